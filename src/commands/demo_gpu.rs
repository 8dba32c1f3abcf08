//! The demo's rows with a GPU: the same pieces into one buffer of the device, read back and compared.

use std::time::{Duration, Instant};

use ds_core::gpu::{GpuBuffer, GpuDevice, GpuError};
use ds_core::{
    Destination, Queue, QueueDesc, QueueStats, Request, Runtime, S_OK, Source, StatusArray,
};
use ds_tool::stream::Piece;
use ds_tool::{Error, Result};

/// The capacity of the queue: enough to keep every part busy.
const CAPACITY: u32 = 8192;

/// Streams `pieces`, which decode to `expected`, into the device's memory `passes` times, after one for the
/// memory's sake; answers the median time and what the queue counted.
pub(crate) fn measure(
    what: &'static str,
    runtime: &Runtime,
    device: &GpuDevice,
    pieces: &[Piece],
    expected: &[&[u8]],
    passes: usize,
) -> Result<(Duration, QueueStats)> {
    let gpu = |error: GpuError| Error::plain(what, error.to_string());
    let bytes: usize = expected.iter().map(|part| part.len()).sum();
    let buffer = device.create_buffer(bytes as u64).map_err(gpu)?;
    let queue = runtime.create_queue(QueueDesc::new(CAPACITY).device(device));
    let queue = queue.map_err(|error| Error::plain(what, error))?;
    let mut times = Vec::new();
    for number in 0..=passes {
        buffer.fill(0xDEAD_BEEF).map_err(gpu)?;
        let elapsed = pass(what, &queue, &buffer, pieces)?;
        compare(what, &buffer, expected)?;
        if number > 0 {
            times.push(elapsed);
        }
    }
    times.sort_unstable();
    Ok((times[passes / 2], queue.stats()))
}

/// The time from the first enqueue until everything is in the device's memory.
fn pass(
    what: &'static str,
    queue: &Queue,
    buffer: &GpuBuffer,
    pieces: &[Piece],
) -> Result<Duration> {
    let done = StatusArray::new(1, None);
    let started = Instant::now();
    let mut offset = 0;
    for piece in pieces {
        let source = Source::File {
            file: Some(piece.file.clone()),
            offset: piece.offset,
            bytes: piece.stored_bytes,
        };
        let to = Destination::Gpu(buffer.range(offset, piece.bytes));
        let request = Request::new(source, to).compressed(piece.compression, piece.bytes);
        queue.enqueue_request(request);
        offset += u64::from(piece.bytes);
    }
    queue.enqueue_status(Some(&done), 0);
    queue.submit();
    let result = done.wait(0, None);
    let elapsed = started.elapsed();
    if result != Some(S_OK) {
        let failed = queue.retrieve_error_record().first_failure;
        let why = failed.map_or_else(
            || "a request failed".to_owned(),
            |failure| failure.error.to_string(),
        );
        return Err(Error::plain(what, why));
    }
    Ok(elapsed)
}

fn compare(what: &'static str, buffer: &GpuBuffer, expected: &[&[u8]]) -> Result<()> {
    let mut back = vec![0; buffer.bytes() as usize];
    let read = buffer.read(0, &mut back);
    read.map_err(|error| Error::plain(what, error.to_string()))?;
    let mut rest = &back[..];
    for (number, part) in expected.iter().enumerate() {
        let (found, after) = rest.split_at(part.len());
        if found != *part {
            let why = format!("request {number} gave other bytes than were packed");
            return Err(Error::plain(what, why));
        }
        rest = after;
    }
    Ok(())
}
