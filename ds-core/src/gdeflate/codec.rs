//! The codec object: whole tile streams, compressed and decompressed over several threads.
//!
//! Tiles are independent, so threads take them one at a time from a shared counter. Threads live
//! for one call only; the calling thread is one of them, and small inputs use no other.
//!
//! Promises
//! - The result does not depend on the number of threads, nor does the error: it is that of the
//!   first tile that has one.
//! - Nothing is written past the destination; a destination that is too small is an error. On any
//!   error its content is unspecified.
#![forbid(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{iter, thread};

use super::encode::{Encoder, Level, TILE_BOUND};
use super::handout::Handout;
use super::output::{Output, Room};
use super::stream::{HeaderPolicy, TileStream, header_bytes, write_header};
use super::{DecodeError, Decoder, TILE_BYTES, TILE_COUNT_MAX};

/// What a codec tells while it compresses: bytes of the source done, bytes in all. Called once a
/// tile by whichever thread did it; two calls may come at the same time, and out of order.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Bytes of the bound per tile and per stream: what DirectStorage's own codec answers, because
/// callers allocate by it.
const BOUND_TILE_BYTES: usize = 66_404;
const BOUND_STREAM_BYTES: usize = 16;
const _: () = assert!(TILE_BOUND + 4 <= BOUND_TILE_BYTES);
const _: () = assert!(header_bytes(0) <= BOUND_STREAM_BYTES);

/// Tiles that a thread must have to decode before it is worth starting: a tile takes about as long
/// as a thread takes to start.
const DECODE_TILES_PER_THREAD_MIN: usize = 4;
/// The same for compressing, where a tile takes milliseconds.
const ENCODE_TILES_PER_THREAD_MIN: usize = 1;

/// Compresses and decompresses tile streams. Cheap to make; any number of threads may use one.
#[derive(Clone, Debug)]
pub struct Codec {
    threads: usize,
    spawning: Spawning,
}

/// What surrounds the start of a codec's threads: calls its argument once. They inherit what it changes in
/// the calling thread meanwhile, such as the signals that are blocked.
pub type Spawning = fn(&mut dyn FnMut());

impl Codec {
    /// A codec that uses at most `threads` threads per call, the caller's included; 0 means as many
    /// as the machine offers.
    pub fn new(threads: usize) -> Self {
        let threads = match threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        Self {
            threads,
            spawning: |start| start(),
        }
    }

    /// The same, and its threads are started inside of `spawning`.
    #[must_use]
    pub fn spawning(self, spawning: Spawning) -> Self {
        Self { spawning, ..self }
    }

    /// The most bytes `source_bytes` bytes can compress to. Saturates.
    pub fn bound(source_bytes: usize) -> usize {
        source_bytes
            .div_ceil(TILE_BYTES)
            .max(1)
            .saturating_mul(BOUND_TILE_BYTES)
            .saturating_add(BOUND_STREAM_BYTES)
    }

    /// Compresses `source` into `destination` and returns the stream's size. A destination of
    /// [`Codec::bound`] bytes always suffices. An empty source makes a stream of 0 tiles.
    pub fn compress(
        &self,
        source: &[u8],
        level: Level,
        destination: &mut [u8],
        progress: Option<Progress<'_>>,
    ) -> Result<usize, CodecError> {
        self.compress_into(source, level, destination.into(), progress)
    }

    /// The same into memory that need not have values before. So many of its first bytes as the answer says
    /// have values then.
    pub fn compress_uninit(
        &self,
        source: &[u8],
        level: Level,
        destination: &mut [MaybeUninit<u8>],
        progress: Option<Progress<'_>>,
    ) -> Result<usize, CodecError> {
        self.compress_into(source, level, destination.into(), progress)
    }

    fn compress_into(
        &self,
        source: &[u8],
        level: Level,
        destination: Room<'_>,
        progress: Option<Progress<'_>>,
    ) -> Result<usize, CodecError> {
        let (header, tiles) = self.compress_tiles(source, level, progress)?;
        let stream_bytes = header.len() + tiles.iter().map(Vec::len).sum::<usize>();
        let too_small = CodecError::DestinationTooSmall {
            needed_bytes: stream_bytes as u64,
        };
        let mut stream = Output::new(destination.first(stream_bytes).ok_or(too_small)?);
        iter::once(&header)
            .chain(&tiles)
            .try_for_each(|part| stream.put(part))?;
        Ok(stream.finish()?.len())
    }

    /// Compresses `source` into a new vector.
    pub fn compress_to_vec(
        &self,
        source: &[u8],
        level: Level,
        progress: Option<Progress<'_>>,
    ) -> Result<Vec<u8>, CodecError> {
        let (mut stream, tiles) = self.compress_tiles(source, level, progress)?;
        stream.reserve_exact(tiles.iter().map(Vec::len).sum());
        tiles.iter().for_each(|tile| stream.extend_from_slice(tile));
        Ok(stream)
    }

    /// Decompresses `stream` into the beginning of `destination`, which may be larger than needed,
    /// and returns the uncompressed size. Bytes behind it are not touched.
    pub fn decompress(&self, stream: &[u8], destination: &mut [u8]) -> Result<usize, CodecError> {
        self.decompress_into(stream, destination.into())
    }

    /// The same into memory that need not have values before. So many of its first bytes as the answer says
    /// have values then.
    pub fn decompress_uninit(
        &self,
        stream: &[u8],
        destination: &mut [MaybeUninit<u8>],
    ) -> Result<usize, CodecError> {
        self.decompress_into(stream, destination.into())
    }

    fn decompress_into(&self, stream: &[u8], destination: Room<'_>) -> Result<usize, CodecError> {
        let stream = TileStream::parse(stream, HeaderPolicy::AnyId)?;
        let too_small = CodecError::DestinationTooSmall {
            needed_bytes: stream.uncompressed_bytes(),
        };
        let bytes = usize::try_from(stream.uncompressed_bytes()).map_err(|_| too_small)?;
        let output = destination.first(bytes).ok_or(too_small)?;

        let queue = DecodeQueue::new(&stream, output);
        self.on_threads(stream.tile_count() / DECODE_TILES_PER_THREAD_MIN, || {
            queue.work()
        });
        queue.into_result().map(|()| bytes)
    }

    /// The header and the tiles of the stream for `source`.
    fn compress_tiles(
        &self,
        source: &[u8],
        level: Level,
        progress: Option<Progress<'_>>,
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), CodecError> {
        let inputs: Vec<&[u8]> = source.chunks(TILE_BYTES).collect();
        if inputs.len() > TILE_COUNT_MAX {
            return Err(CodecError::SourceTooLarge);
        }
        let tiles: Vec<OnceLock<Vec<u8>>> = inputs.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        let done = AtomicU64::new(0);
        self.on_threads(inputs.len() / ENCODE_TILES_PER_THREAD_MIN, || {
            let mut encoder = Encoder::new(level);
            let mut scratch = Vec::with_capacity(TILE_BOUND);
            // Relaxed suffices: the counters order nothing but themselves, and the threads' end
            // publishes the tiles.
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(input) = inputs.get(index) else {
                    return;
                };
                scratch.clear();
                encoder
                    .encode_tile(input, &mut scratch)
                    .expect("tiles have 1 to 65,536 bytes");
                let set = tiles[index].set(scratch.to_vec());
                debug_assert!(set.is_ok(), "each tile is taken once");
                let bytes = input.len() as u64;
                let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                if let Some(progress) = progress {
                    progress(done, source.len() as u64);
                }
            }
        });
        let tiles: Vec<Vec<u8>> = tiles
            .into_iter()
            .map(|tile| tile.into_inner().expect("all threads ended"))
            .collect();
        let sizes: Vec<u32> = tiles.iter().map(|tile| tile.len() as u32).collect();
        let header = write_header(&sizes, source.len() as u64).ok_or(CodecError::SourceTooLarge)?;
        Ok((header, tiles))
    }

    /// Runs `work` on the calling thread and on others, `threads_useful` in all if the codec may
    /// use that many. A thread that cannot be started is not missed: the others do its share.
    fn on_threads(&self, threads_useful: usize, work: impl Fn() + Sync) {
        thread::scope(|scope| {
            let work = &work;
            let others = 1..self.threads.min(threads_useful);
            if !others.is_empty() {
                (self.spawning)(&mut || {
                    let start = |_| {
                        thread::Builder::new()
                            .name("ds-codec".into())
                            .spawn_scoped(scope, work)
                    };
                    // As many as can be.
                    let _ = others.clone().map(start).take_while(Result::is_ok).count();
                });
            }
            work();
        });
    }
}

/// Tiles to decode, and the first of them that failed.
struct DecodeQueue<'a> {
    stream: &'a TileStream<'a>,
    outputs: Handout<'a>,
    failed: Mutex<Option<(usize, DecodeError)>>,
}

impl<'a> DecodeQueue<'a> {
    fn new(stream: &'a TileStream<'a>, output: Room<'a>) -> Self {
        Self {
            stream,
            outputs: Handout::new(output),
            failed: Mutex::new(None),
        }
    }

    /// Decodes tiles until there are none, or one fails.
    fn work(&self) {
        let mut decoder = Decoder::new();
        while let Some((index, output)) = self.outputs.take() {
            let result = self
                .stream
                .tile(index)
                .and_then(|tile| decoder.decode(tile, output));
            if let Err(error) = result {
                self.fail(index, error);
                return;
            }
        }
    }

    /// Keeps the error if it is the first in stream order, and lets nobody begin another tile.
    /// Tiles before this one were all begun earlier and are still finished, so that the first error
    /// is found whoever finds it.
    fn fail(&self, index: usize, error: DecodeError) {
        self.outputs.stop();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_none_or(|(first, _)| index < first) {
            *failed = Some((index, error));
        }
    }

    fn into_result(self) -> Result<(), CodecError> {
        match self
            .failed
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Some((index, error)) => Err(CodecError::Tile { index, error }),
            None => Ok(()),
        }
    }
}

/// Why a codec refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The header or the table is wrong.
    Stream(DecodeError),
    /// A tile is wrong; the first such tile.
    Tile {
        /// Which one, from 0.
        index: usize,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The result does not fit into the destination.
    DestinationTooSmall {
        /// What it needs.
        needed_bytes: u64,
    },
    /// More than 65,535 tiles: almost 4 GiB.
    SourceTooLarge,
}

impl From<DecodeError> for CodecError {
    fn from(error: DecodeError) -> Self {
        Self::Stream(error)
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => write!(f, "{error}"),
            Self::Tile { index, error } => write!(f, "tile {index}: {error}"),
            Self::DestinationTooSmall { needed_bytes } => {
                write!(
                    f,
                    "the destination is too small: {needed_bytes} bytes are needed"
                )
            }
            Self::SourceTooLarge => {
                write!(
                    f,
                    "the source has more than {TILE_COUNT_MAX} tiles of {TILE_BYTES} bytes"
                )
            }
        }
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stream(error) | Self::Tile { error, .. } => Some(error),
            Self::DestinationTooSmall { .. } | Self::SourceTooLarge => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Under Miri this also says that nothing is looked at before it has a value.
    #[test]
    fn streams_come_and_go_through_memory_without_values() {
        let sources: [Vec<u8>; 3] = [
            (0..3000u32).map(|i| (i * i / 7 % 31) as u8).collect(),
            [0, 1, 2, 1, 2, 3, 3, 3].repeat(300),
            (0..1000u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect(),
        ];
        let codec = Codec::new(1);
        // Miri takes most of a minute for each.
        for source in sources.into_iter().take(if cfg!(miri) { 1 } else { 3 }) {
            let mut memory = vec![MaybeUninit::uninit(); Codec::bound(source.len())];
            let bytes = codec.compress_uninit(&source, Level::FASTEST, &mut memory, None);
            let stream = codec.compress_to_vec(&source, Level::FASTEST, None);
            let stream = stream.unwrap();
            assert_eq!(bytes, Ok(stream.len()));
            let mut memory = vec![MaybeUninit::uninit(); source.len() + 9];
            let decoded = codec.decompress_uninit(&stream, &mut memory);
            assert_eq!(decoded, Ok(source.len()));
            let parsed = TileStream::parse(&stream, HeaderPolicy::Strict).unwrap();
            let mut memory = vec![MaybeUninit::uninit(); source.len()];
            let tile = parsed.tile(0).unwrap();
            let tile = Decoder::new().decode_tile_uninit(tile, &mut memory);
            assert_eq!(tile, Ok(source.clone().as_mut_slice()));
        }
    }
}
