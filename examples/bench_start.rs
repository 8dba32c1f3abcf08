//! How long a program waits for the engine: from its own start to a runtime, and to a file's first 4 KiB.
//!
//!     cargo run --release --example bench_start -- [--json]
//!
//! This program starts itself again, so that each run is cold in everything but the page cache: a new
//! process, its libraries loaded, a runtime, a queue, one read. The parent takes the time before, the child
//! after, by the clock both share. Fails if the median to a runtime is above [`START_MAX`].

#![forbid(unsafe_code)]

use std::error::Error;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ds_core::{Buffer, Config, File, QueueDesc, Request, Runtime, S_OK, StatusArray};

const RUNS: usize = 20;
const READ_BYTES: u32 = 4096;
/// What the engine may take to start.
const START_MAX: Duration = Duration::from_millis(5);

/// When this process was started, in nanoseconds, by whoever started it.
const STARTED: &str = "DS_BENCH_STARTED_NS";

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::var(STARTED) {
        Ok(started) => child(started.parse()?),
        Err(_) => parent(),
    }
}

fn now_ns() -> Result<u64, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_nanos())?)
}

/// Prints how long it took to a runtime, and to the first bytes.
fn child(started_ns: u64) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new(Config::default())?;
    let runtime_ns = now_ns()?;

    // A file that is there wherever this program is, and large enough.
    let file = File::open(std::env::current_exe()?)?;
    let queue = runtime.create_queue(QueueDesc::new(128))?;
    let mut buffer = Buffer::new(READ_BYTES as usize);
    let done = StatusArray::new(1, None);
    let place = buffer.lend().ok_or("a new buffer is not lent")?;
    queue.enqueue_request(Request::read(&file, 0, READ_BYTES, place));
    queue.enqueue_status(Some(&done), 0);
    queue.submit();
    let result = done.wait(0, None);
    let read_ns = now_ns()?;

    let is_program = buffer.bytes().is_some_and(|b| b.starts_with(b"\x7fELF"));
    if result != Some(S_OK) || !is_program {
        return Err("the first read failed".into());
    }
    let since = |ns: u64| ns.checked_sub(started_ns).ok_or("the clock went back");
    println!("{} {}", since(runtime_ns)?, since(read_ns)?);
    Ok(())
}

fn parent() -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let (mut to_runtime, mut to_read) = (Vec::new(), Vec::new());
    // One run before those that count brings the program into the page cache.
    for run in 0..=RUNS {
        let mut command = Command::new(&program);
        let output = command.env(STARTED, now_ns()?.to_string()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(runtime_ns)), Some(Ok(read_ns))) = (numbers.next(), numbers.next()) else {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("run {run}: {}, {said}", output.status).into());
        };
        if run > 0 {
            to_runtime.push(runtime_ns);
            to_read.push(read_ns);
        }
    }
    report(median(to_runtime), median(to_read))
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn report(runtime_ns: u64, read_ns: u64) -> Result<(), Box<dyn Error>> {
    let ms = |ns: u64| ns as f64 / 1e6;
    println!("medians of {RUNS} processes, from their start");
    println!("to a runtime          {:.3} ms", ms(runtime_ns));
    println!("to the first 4 KiB    {:.3} ms", ms(read_ns));
    if u128::from(runtime_ns) > START_MAX.as_nanos() {
        return Err(format!("to a runtime takes more than {START_MAX:?}").into());
    }
    if std::env::args().any(|argument| argument == "--json") {
        println!(
            "{{\"runtime_ns\": {runtime_ns}, \"first_read_ns\": {read_ns}, \"runs\": {RUNS}}}"
        );
    }
    Ok(())
}
