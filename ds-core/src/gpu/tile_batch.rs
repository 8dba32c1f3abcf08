//! `TileBatch`: the tiles that one batch decodes.
//!
//! Owns their table, their statuses and the scratch for outputs that cannot be written in place. Tile
//! streams are taken apart here, on the host: the GPU sees addresses and sizes that were checked
//! against the stream, its staging range and the destination, and nothing of a header.

use std::ops::Range;
use std::sync::Arc;

use ash::vk;

use crate::error::{Error, Fault, Subsystem};
use crate::gdeflate::{HeaderPolicy, TILE_BYTES, TileStream};
use crate::hold::Upload;

use super::commands::Recorder;
use super::decode::{STATUS_BYTES, TileDecoder, TileJob, TileTable, status_result};
use super::device::Device;
use super::error::GpuError;
use super::memory::{Buffer, Place};

/// A barrier's two sides: stages and accesses.
type Barrier = [(vk::PipelineStageFlags, vk::AccessFlags); 2];

/// Batches before on the same queue have done with scratch and with the same destinations.
const BEFORE: Barrier = [
    (
        vk::PipelineStageFlags::from_raw(
            vk::PipelineStageFlags::TRANSFER.as_raw()
                | vk::PipelineStageFlags::COMPUTE_SHADER.as_raw(),
        ),
        vk::AccessFlags::from_raw(
            vk::AccessFlags::TRANSFER_WRITE.as_raw() | vk::AccessFlags::SHADER_WRITE.as_raw(),
        ),
    ),
    (
        vk::PipelineStageFlags::COMPUTE_SHADER,
        vk::AccessFlags::from_raw(
            vk::AccessFlags::SHADER_READ.as_raw() | vk::AccessFlags::SHADER_WRITE.as_raw(),
        ),
    ),
];

/// What was decoded is visible to whatever comes next, and its statuses to the host.
const AFTER: Barrier = [
    (
        vk::PipelineStageFlags::COMPUTE_SHADER,
        vk::AccessFlags::SHADER_WRITE,
    ),
    (
        vk::PipelineStageFlags::from_raw(
            vk::PipelineStageFlags::HOST.as_raw() | vk::PipelineStageFlags::ALL_COMMANDS.as_raw(),
        ),
        vk::AccessFlags::from_raw(
            vk::AccessFlags::HOST_READ.as_raw()
                | vk::AccessFlags::MEMORY_READ.as_raw()
                | vk::AccessFlags::MEMORY_WRITE.as_raw(),
        ),
    ),
];

/// The most tiles in a batch: 64 MiB of output, a few milliseconds of a GPU.
pub(super) const TILES_MAX: usize = 1024;
/// Outputs in scratch begin at multiples of this, which every texel of an image divides.
const SCRATCH_ALIGNMENT: u64 = 16;

/// Where a stream's output goes.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Into the destination itself, at this address.
    InPlace(u64),
    /// Into scratch, at this offset.
    Scratch(u64),
}

/// One tile, before addresses are known.
#[derive(Clone, Copy, Debug)]
struct Tile {
    /// Which stream of the batch.
    stream: u32,
    /// Offset in staging.
    source: u64,
    source_bytes: u32,
    /// Offset in the stream's output.
    output: u64,
    output_bytes: u32,
}

/// One request's stream.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// Which job of the batch.
    job: usize,
    target: Target,
}

/// See the file's head.
#[derive(Default)]
pub(super) struct TileBatch {
    streams: Vec<Stream>,
    tiles: Vec<Tile>,
    scratch_bytes: u64,
    table: Option<Buffer>,
    scratch: Option<Buffer>,
    /// For writing the table at once.
    bytes: Vec<u8>,
}

/// What became of a stream that was to be added.
pub(super) enum Added {
    Yes,
    Full,
    Corrupt(Fault),
}

impl TileBatch {
    /// Adds the stream of `upload`, which is job `job` and says that it decodes to `bytes` bytes.
    /// `base` is where staging begins.
    pub(super) fn add(&mut self, job: usize, upload: &Upload, bytes: u32, base: usize) -> Added {
        // SAFETY: staging that belongs to this upload, whose bytes have arrived; nobody writes them
        // until it is given back.
        let source = unsafe { upload.payload.as_slice() };
        let stream = match open(source, bytes) {
            Ok(stream) => stream,
            Err(fault) => return Added::Corrupt(fault),
        };
        if !self.tiles.is_empty() && self.tiles.len() + stream.tile_count() > TILES_MAX {
            return Added::Full;
        }
        let start = (upload.payload.address() - base) as u64;
        let first = self.tiles.len();
        for index in 0..stream.tile_count() {
            let tile = match stream.tile(index) {
                Ok(tile) => tile,
                Err(error) => {
                    self.tiles.truncate(first);
                    return Added::Corrupt(corrupt(error.to_string()));
                }
            };
            let inside = (tile.as_ptr().addr() - source.as_ptr().addr()) as u64;
            let output = stream.tile_output(index);
            self.tiles.push(Tile {
                stream: self.streams.len() as u32,
                source: start + inside,
                source_bytes: tile.len() as u32,
                output: output.start,
                output_bytes: (output.end - output.start) as u32,
            });
        }
        let whole = upload.destination.bytes() == bytes as usize;
        let target = match upload.destination.decode_address().filter(|_| whole) {
            Some(address) => Target::InPlace(address),
            None => {
                let offset = self.scratch_bytes;
                let end = offset + u64::from(bytes);
                self.scratch_bytes = end.next_multiple_of(SCRATCH_ALIGNMENT);
                Target::Scratch(offset)
            }
        };
        self.streams.push(Stream { job, target });
        Added::Yes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Jobs whose output is in scratch, and where it begins there.
    pub(super) fn in_scratch(&self) -> impl Iterator<Item = (usize, u64)> {
        self.streams
            .iter()
            .filter_map(|stream| match stream.target {
                Target::Scratch(offset) => Some((stream.job, offset)),
                Target::InPlace(_) => None,
            })
    }

    /// The scratch, once [`TileBatch::record`] has made it.
    pub(super) fn scratch(&self) -> Option<&Buffer> {
        self.scratch.as_ref()
    }

    /// Writes the table and records the decoding, and that its statuses are visible to the host.
    pub(super) fn record(
        &mut self,
        device: &Arc<Device>,
        decoder: &TileDecoder,
        staging: &Buffer,
        recorder: &Recorder<'_>,
    ) -> Result<(), GpuError> {
        // Largest first: the batch lasts as long as its last tile.
        self.tiles
            .sort_unstable_by_key(|tile| std::cmp::Reverse(tile.source_bytes));
        if self.scratch_bytes > 0 {
            grow(&mut self.scratch, device, Place::Device, self.scratch_bytes)?;
        }
        let statuses = self.statuses();
        grow(&mut self.table, device, Place::Staging, statuses.end as u64)?;
        self.write_table(staging)?;
        let table = self.table.as_ref().expect("made above");
        let table = TileTable {
            jobs: table.address(),
            statuses: table.address() + statuses.start as u64,
            count: self.tiles.len() as u32,
        };
        self.barrier(device, recorder, BEFORE);
        // SAFETY: the table holds so many jobs and statuses; sources are parts of staging and
        // destinations parts of scratch or of resources that validation has seen, all of it kept by the
        // batch until it is done. Destinations of different requests are the application's to keep apart.
        unsafe { decoder.record(recorder, &table) }?;
        self.barrier(device, recorder, AFTER);
        Ok(())
    }

    fn barrier(&self, device: &Device, recorder: &Recorder<'_>, barrier: Barrier) {
        let [(from, written), (to, seen)] = barrier;
        let barriers = [vk::MemoryBarrier::default()
            .src_access_mask(written)
            .dst_access_mask(seen)];
        let (device, flags) = (device.raw(), vk::DependencyFlags::empty());
        // SAFETY: recording, outside a render pass; stages and accesses that compute queues have.
        unsafe { device.cmd_pipeline_barrier(recorder.raw, from, to, flags, &barriers, &[], &[]) };
    }

    /// Where the statuses are in the table, in bytes.
    fn statuses(&self) -> Range<usize> {
        let start = self.tiles.len() * TileJob::BYTES;
        start..start + self.tiles.len() * STATUS_BYTES
    }

    fn write_table(&mut self, staging: &Buffer) -> Result<(), GpuError> {
        let scratch = self.scratch.as_ref().map_or(0, Buffer::address);
        let statuses = self.statuses();
        self.bytes.clear();
        for tile in &self.tiles {
            let target = match self.streams[tile.stream as usize].target {
                Target::InPlace(address) => address,
                Target::Scratch(offset) => scratch + offset,
            };
            let job = TileJob {
                source: staging.address() + tile.source,
                destination: target + tile.output,
                source_bytes: tile.source_bytes,
                destination_bytes: tile.output_bytes,
            };
            self.bytes.extend_from_slice(&job.to_bytes());
        }
        // What the shader does not reach counts as damaged.
        self.bytes.resize(statuses.end, 0xFF);
        let table = self.table.as_mut().expect("the caller made it");
        table.write(0, &self.bytes)
    }

    /// Reads the statuses of the decoding, which is done; tells `failed` of each job with a damaged tile.
    pub(super) fn finish(&mut self, mut failed: impl FnMut(usize, Fault)) {
        let Some(table) = &self.table else {
            for stream in &self.streams {
                failed(stream.job, corrupt("it was not decoded".to_owned()));
            }
            return;
        };
        let statuses = self.statuses();
        self.bytes.clear();
        self.bytes.resize(statuses.len(), 0);
        let read = table.read(statuses.start as u64, &mut self.bytes);
        let (words, _) = self.bytes.as_chunks::<STATUS_BYTES>();
        for (tile, word) in self.tiles.iter().zip(words) {
            let result = match &read {
                Ok(()) => status_result(u32::from_le_bytes(*word)).map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = result {
                let index = tile.output / TILE_BYTES as u64;
                let job = self.streams[tile.stream as usize].job;
                failed(job, corrupt(format!("tile {index}: {why}")));
            }
        }
    }

    /// Forgets the tiles, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.streams.clear();
        self.tiles.clear();
        self.scratch_bytes = 0;
    }

    /// Gives the memory back; nothing is in flight.
    pub(super) fn release_idle(&mut self) {
        self.scratch = None;
        self.table = None;
    }
}

/// Checks a stream's header against the request.
fn open(source: &[u8], bytes: u32) -> Result<TileStream<'_>, Fault> {
    let stream = TileStream::parse(source, HeaderPolicy::AnyId);
    let stream = stream.map_err(|error| corrupt(error.to_string()))?;
    let holds = stream.uncompressed_bytes();
    if holds != u64::from(bytes) {
        // O-56: never success for a stream of another size.
        let why = format!("the stream holds {holds} bytes, the request says {bytes}");
        return Err(corrupt(why));
    }
    Ok(stream)
}

#[track_caller]
fn corrupt(why: String) -> Fault {
    Fault::new(Error::Corrupt, Subsystem::Decode, "decompress").with_detail(why)
}

/// Makes sure that the buffer has `bytes` bytes; grown in powers of two, so that it soon fits.
pub(super) fn grow(
    buffer: &mut Option<Buffer>,
    device: &Arc<Device>,
    place: Place,
    bytes: u64,
) -> Result<(), GpuError> {
    if buffer
        .as_ref()
        .is_some_and(|buffer| buffer.bytes() >= bytes)
    {
        return Ok(());
    }
    // First, so that both are never there at once.
    *buffer = None;
    let rounded = bytes
        .next_power_of_two()
        .min(device.caps().buffer_bytes_max);
    *buffer = Some(Buffer::new(device, place, rounded.max(bytes))?);
    Ok(())
}
