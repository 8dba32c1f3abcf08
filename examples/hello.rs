//! Reads a file through the engine from Rust: `cargo run --example hello [FILE]`.
//!
//! Without a name it reads its own manifest. No unsafe code: a `Buffer` lends its parts to requests and shows
//! its bytes again when the last of them is done.

#![forbid(unsafe_code)]

use ds_core::{Buffer, Config, Error, File, QueueDesc, Request, Runtime, S_OK, StatusArray};

const CHUNK_BYTES: usize = 256 * 1024;

fn main() -> Result<(), Error> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let path = std::env::args().nth(1).unwrap_or(manifest.to_owned());

    // Once in a program: the runtime owns the threads, a queue takes requests.
    let runtime = Runtime::new(Config::default())?;
    let queue = runtime.create_queue(QueueDesc::new(1024))?;
    let choice = runtime.backend();
    println!(
        "ds-runtime {}, backend {}: {}",
        ds_core::VERSION,
        choice.backend,
        choice.reason
    );

    let file = File::open(&path)?;
    let bytes = usize::try_from(file.bytes()?).map_err(|_| Error::InvalidArgument)?;
    let mut buffer = Buffer::new(bytes);
    let done = StatusArray::new(1, Some("hello"));

    // Any number of requests, then one status behind them, then one submit.
    let chunks = buffer
        .lend_chunks(CHUNK_BYTES)
        .expect("a new buffer is not lent");
    let mut offset = 0;
    for chunk in chunks {
        let chunk_bytes = chunk.bytes() as u32;
        queue
            .enqueue_request(Request::read(&file, offset, chunk_bytes, chunk).named("hello chunk"));
        offset += u64::from(chunk_bytes);
    }
    queue.enqueue_status(Some(&done), 0);
    queue.submit();

    // A game would do something else, and ask `is_complete` once a frame.
    if done.wait(0, None) != Some(S_OK) {
        let failure = queue.retrieve_error_record().first_failure;
        return Err(failure.map_or(Error::Cancelled, |failure| failure.error));
    }
    let bytes = buffer.bytes().expect("its requests are done");
    let sum: u64 = bytes.iter().copied().map(u64::from).sum();
    println!("{path}: {} bytes, their sum is {sum}", bytes.len());
    Ok(())
}
