//! What the engine is compared with: a bare loop of pread, or of the decoder, on several threads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ds_core::gdeflate::{Decoder, HeaderPolicy, TileStream};
use ds_tool::{Error, Result};

use super::WHAT;
use super::source::{Place, Source};

/// A loop and the memory it writes to.
pub(super) enum Baseline {
    /// Threads that read the same requests with pread.
    Pread(File, Vec<Vec<u8>>),
    /// Threads that decode the same streams, which lie in memory.
    Decode(Vec<u8>, Vec<Vec<u8>>),
}

impl Baseline {
    /// A pread loop of `threads` threads that share `window_bytes` of memory.
    pub(super) fn pread(source: &Source, threads: usize, window_bytes: usize) -> Result<Baseline> {
        Ok(Baseline::Pread(
            source.plain_file()?,
            memory(source, threads, window_bytes),
        ))
    }

    /// The same with the decoder.
    pub(super) fn decode(source: &Source, threads: usize, window_bytes: usize) -> Result<Baseline> {
        let streams = std::fs::read(source.path());
        let streams = streams.map_err(|error| Error::new(WHAT, source.path(), error))?;
        Ok(Baseline::Decode(
            streams,
            memory(source, threads, window_bytes),
        ))
    }

    /// What it is called in the report.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Baseline::Pread(..) => "pread loop",
            Baseline::Decode(..) => "decode only",
        }
    }

    /// How many threads it has.
    pub(super) fn threads(&self) -> usize {
        match self {
            Baseline::Pread(_, memory) | Baseline::Decode(_, memory) => memory.len(),
        }
    }

    /// Does the requests `first..first + count`.
    pub(super) fn run(&mut self, source: &Source, first: u64, count: u64) -> Result<()> {
        match self {
            Baseline::Pread(file, memory) => {
                on_threads(memory, source, first..first + count, |_, place, output| {
                    file.read_exact_at(output, place.offset)
                        .map_err(|error| error.to_string())
                })
            }
            Baseline::Decode(streams, memory) => on_threads(
                memory,
                source,
                first..first + count,
                |decoder, place, output| {
                    let start = place.offset as usize;
                    let stream = &streams[start..start + place.stored_bytes as usize];
                    decode(decoder, stream, output).map_err(|error| error.to_string())
                },
            ),
        }
    }
}

/// Every thread's part of the window, touched; at least one request each.
fn memory(source: &Source, threads: usize, window_bytes: usize) -> Vec<Vec<u8>> {
    let request_bytes = source.place(0).bytes as usize;
    let slots = (window_bytes / request_bytes / threads.max(1)).max(1);
    (0..threads.max(1))
        .map(|_| vec![1; slots * request_bytes])
        .collect()
}

/// Lets each thread take the next request until there are no more; the first error ends its thread.
fn on_threads(
    memory: &mut [Vec<u8>],
    source: &Source,
    numbers: std::ops::Range<u64>,
    work: impl Fn(&mut Decoder, Place, &mut [u8]) -> std::result::Result<(), String> + Sync,
) -> Result<()> {
    let next = AtomicU64::new(numbers.start);
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for memory in memory {
            scope.spawn(|| {
                let mut decoder = Decoder::new();
                let request_bytes = source.place(0).bytes as usize;
                let (mut slot, slots) = (0, memory.len() / request_bytes);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let output = &mut memory[slot * request_bytes..][..request_bytes];
                    if let Err(why) = work(&mut decoder, source.place(number), output) {
                        *failed
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(why);
                        return;
                    }
                    slot = (slot + 1) % slots;
                }
            });
        }
    });
    match failed
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
    {
        Some(why) => Err(Error::new(WHAT, source.path(), why)),
        None => Ok(()),
    }
}

fn decode(
    decoder: &mut Decoder,
    stream: &[u8],
    output: &mut [u8],
) -> std::result::Result<(), ds_core::gdeflate::DecodeError> {
    let stream = TileStream::parse(stream, HeaderPolicy::AnyId)?;
    for tile in 0..stream.tile_count() {
        let place = stream.tile_output(tile);
        let output = &mut output[place.start as usize..place.end as usize];
        decoder.decode_tile(stream.tile(tile)?, output)?;
    }
    Ok(())
}
