//! The time of a decoding kernel on the device's own clock.
//!
//! Owns the buffers of a load: every tile has a copy of its input and an output of its own, so that
//! no cache makes up for memory. Timestamps stand around each repetition, with full barriers, so a
//! figure is a kernel's and not a submission's.

use std::sync::Arc;

use ash::vk;

use super::commands::{Commands, Recorder};
use super::decode::{STATUS_BYTES, TileDecoder, TileJob, TileTable, read_statuses};
use super::device::Device;
use super::error::GpuError;
use super::memory::{Buffer, Place};
use super::oneshot::RawTile;
use super::vendor::{REGION_BYTES, VendorDecoder, VendorTiles, region_bytes};
use crate::gdeflate::TILE_BYTES;

/// What is measured.
pub enum Kernel {
    /// Our shader.
    Shader(TileDecoder),
    /// The driver's extension.
    Vendor(VendorDecoder),
}

/// Bytes that go to the device, or come back, at once.
const CHUNK_BYTES: usize = 64 << 20;
const POISON: u32 = 0xA5A5_A5A5;

/// Tiles on the device, ready to be decoded again and again.
pub struct Load {
    sources: Buffer,
    outputs: Buffer,
    jobs: Buffer,
    regions: Buffer,
    /// The count that the extension reads, alone in a buffer.
    count: Buffer,
    statuses: Buffer,
    /// For each tile of the load, which of the given ones it is.
    draw: Vec<u32>,
    list: Vec<TileJob>,
    /// Our shader found every tile sound, so the driver's decoder may have them.
    sound: bool,
    commands: Commands,
    device: Arc<Device>,
}

impl Load {
    /// Uploads `tiles[i]` for each `i` of `draw`. With [`Place::Staging`] the sources stay in system
    /// memory, and the device reads them over the bus.
    ///
    /// # Panics
    /// If an index of `draw` is none of `tiles`, or a tile holds more than 64 KiB.
    pub fn new(
        device: &Arc<Device>,
        tiles: &[RawTile<'_>],
        draw: &[u32],
        place: Place,
    ) -> Result<Load, GpuError> {
        assert!(
            tiles
                .iter()
                .all(|tile| tile.output_bytes as usize <= TILE_BYTES)
        );
        let bytes = |i: &u32| tiles[*i as usize].bytes.len().next_multiple_of(4);
        let source_bytes: usize = draw.iter().map(bytes).sum();
        let buffer = |place, bytes: usize| Buffer::new(device, place, bytes as u64);
        let mut load = Load {
            sources: buffer(place, source_bytes)?,
            outputs: buffer(Place::Device, draw.len() * TILE_BYTES)?,
            jobs: buffer(Place::Device, draw.len() * TileJob::BYTES)?,
            regions: buffer(Place::Device, draw.len() * REGION_BYTES)?,
            count: buffer(Place::Device, 4)?,
            statuses: buffer(Place::Readback, draw.len() * STATUS_BYTES)?,
            draw: draw.to_vec(),
            list: Vec::new(),
            sound: false,
            commands: Commands::new(device)?,
            device: Arc::clone(device),
        };
        let mut sources = Vec::with_capacity(source_bytes);
        for (index, which) in draw.iter().enumerate() {
            let tile = &tiles[*which as usize];
            load.list.push(TileJob {
                source: load.sources.address() + sources.len() as u64,
                destination: load.outputs.address() + (index * TILE_BYTES) as u64,
                source_bytes: tile.bytes.len() as u32,
                destination_bytes: tile.output_bytes,
            });
            sources.extend_from_slice(tile.bytes);
            sources.resize(sources.len().next_multiple_of(4), 0);
        }
        match place {
            Place::Device => upload(&mut load.commands, &load.sources, &sources)?,
            _ => load.sources.write(0, &sources)?,
        }
        load.order(false)?;
        Ok(load)
    }

    /// How many tiles it has.
    pub fn len(&self) -> usize {
        self.draw.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.draw.is_empty()
    }

    /// Compressed bytes on the device.
    pub fn source_bytes(&self) -> u64 {
        self.sources.bytes()
    }

    /// Bytes that the tiles decode to.
    pub fn output_bytes(&self) -> u64 {
        self.list
            .iter()
            .map(|job| u64::from(job.destination_bytes))
            .sum()
    }

    /// Orders the jobs as drawn, or the largest compressed tile first.
    pub fn order(&mut self, largest_first: bool) -> Result<(), GpuError> {
        let mut list = self.list.clone();
        if largest_first {
            list.sort_by_key(|job| std::cmp::Reverse(job.source_bytes));
        }
        let jobs: Vec<u8> = list.iter().flat_map(|job| job.to_bytes()).collect();
        let regions: Vec<u8> = list.iter().flat_map(region_bytes).collect();
        let count = list.len() as u32;
        upload(&mut self.commands, &self.jobs, &jobs)?;
        upload(&mut self.commands, &self.regions, &regions)?;
        upload(&mut self.commands, &self.count, &count.to_le_bytes())
    }

    /// Decodes once over poison and compares everything with `expected`, which has the content of
    /// the tiles given to [`Load::new`]. The answer is what is wrong first, if anything is.
    ///
    /// The driver's decoder must come after our shader, which says whether it may have the tiles.
    pub fn verify(
        &mut self,
        kernel: &Kernel,
        expected: &[&[u8]],
    ) -> Result<Option<String>, GpuError> {
        let mut commands = Commands::new(&self.device)?;
        commands.run(|recorder| {
            recorder.fill(&self.outputs, 0, self.outputs.bytes(), POISON);
            recorder.fill(&self.statuses, 0, self.statuses.bytes(), u32::MAX);
            recorder.barrier();
            self.record(recorder, kernel)
        })?;
        if let Kernel::Shader(_) = kernel {
            let statuses = read_statuses(&self.statuses, 0, self.draw.len() as u32)?;
            if let Some(at) = statuses.iter().position(Result::is_err) {
                let why = statuses[at].err();
                return Ok(Some(format!("tile {at} of the table: {why:?}")));
            }
            self.sound = true;
        }
        let tiles_at_once = CHUNK_BYTES / TILE_BYTES;
        let back = Buffer::new(&self.device, Place::Readback, CHUNK_BYTES as u64)?;
        let mut found = vec![0; TILE_BYTES];
        for (chunk, draw) in self.draw.chunks(tiles_at_once).enumerate() {
            let offset = (chunk * CHUNK_BYTES) as u64;
            let bytes = (draw.len() * TILE_BYTES) as u64;
            commands.copy((&self.outputs, offset), (&back, 0), bytes)?;
            for (index, which) in draw.iter().enumerate() {
                let expected = expected[*which as usize];
                let found = &mut found[..expected.len()];
                back.read((index * TILE_BYTES) as u64, found)?;
                if found != expected {
                    let at = found.iter().zip(expected).position(|(a, b)| a != b);
                    let tile = chunk * tiles_at_once + index;
                    return Ok(Some(format!(
                        "tile {tile} (content {which}) differs at {at:?}"
                    )));
                }
            }
        }
        Ok(None)
    }

    /// Decodes `repetitions` times and returns the milliseconds of each.
    pub fn time(&mut self, kernel: &Kernel, repetitions: u32) -> Result<Vec<f64>, GpuError> {
        let clock = Clock::new(&self.device, repetitions * 2)?;
        let mut commands = Commands::new(&self.device)?;
        commands.run(|recorder| {
            clock.reset(recorder);
            for repetition in 0..repetitions {
                clock.stamp(recorder, repetition * 2);
                self.record(recorder, kernel)?;
                recorder.barrier();
                clock.stamp(recorder, repetition * 2 + 1);
                recorder.barrier();
            }
            Ok(())
        })?;
        let stamps = clock.read()?;
        let tick_ms = self.device.caps().timestamp_ns / 1e6;
        let (pairs, _) = stamps.as_chunks::<2>();
        let ms = |[start, end]: &[u64; 2]| end.wrapping_sub(*start) as f64 * tick_ms;
        Ok(pairs.iter().map(ms).collect())
    }

    fn record(&self, recorder: &Recorder<'_>, kernel: &Kernel) -> Result<(), GpuError> {
        let is_ours = match kernel {
            Kernel::Shader(decoder) => decoder.is_of(&self.device),
            Kernel::Vendor(decoder) => decoder.is_of(&self.device),
        };
        if !is_ours {
            return Err(GpuError::Argument("a decoder of another device"));
        }
        let table = TileTable {
            jobs: self.jobs.address(),
            statuses: self.statuses.address(),
            count: self.draw.len() as u32,
        };
        match kernel {
            // SAFETY: everything the table names lies in buffers of this load, which outlives the
            // commands, since both callers wait for them; each output is a range of its own.
            Kernel::Shader(decoder) => unsafe { decoder.record(recorder, &table) },
            Kernel::Vendor(_) if !self.sound => Err(GpuError::Argument(
                "the driver's decoder is given only what our shader has verified",
            )),
            Kernel::Vendor(decoder) => {
                let (regions, count) = (self.regions.address(), self.count.address());
                // SAFETY: as above; our shader has decoded each tile to exactly its destination.
                let tiles = unsafe { VendorTiles::new(regions, count) };
                decoder.record(recorder, tiles);
                Ok(())
            }
        }
    }
}

/// Copies `bytes` to the beginning of a buffer of the device.
fn upload(commands: &mut Commands, target: &Buffer, bytes: &[u8]) -> Result<(), GpuError> {
    let chunk_bytes = bytes.len().min(CHUNK_BYTES);
    let mut staging = Buffer::new(target.device(), Place::Staging, chunk_bytes as u64)?;
    for (index, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
        staging.write(0, chunk)?;
        let offset = (index * CHUNK_BYTES) as u64;
        commands.copy((&staging, 0), (target, offset), chunk.len() as u64)?;
    }
    Ok(())
}

/// Timestamps.
struct Clock {
    pool: vk::QueryPool,
    count: u32,
    device: Arc<Device>,
}

impl Clock {
    fn new(device: &Arc<Device>, count: u32) -> Result<Clock, GpuError> {
        if device.caps().timestamp_ns == 0.0 {
            return Err(GpuError::Unsupported("timestamps".into()));
        }
        let info = vk::QueryPoolCreateInfo::default()
            .query_type(vk::QueryType::TIMESTAMP)
            .query_count(count.max(1));
        // SAFETY: a count above 0.
        let pool = unsafe { device.raw().create_query_pool(&info, None) };
        Ok(Clock {
            pool: device.check("vkCreateQueryPool", pool)?,
            count,
            device: Arc::clone(device),
        })
    }

    fn reset(&self, recorder: &Recorder<'_>) {
        let device = self.device.raw();
        // SAFETY: recording; every query of the pool.
        unsafe { device.cmd_reset_query_pool(recorder.raw, self.pool, 0, self.count) };
    }

    fn stamp(&self, recorder: &Recorder<'_>, query: u32) {
        let device = self.device.raw();
        let stage = vk::PipelineStageFlags::BOTTOM_OF_PIPE;
        // SAFETY: recording on a family with timestamps; a query that was reset and not used since.
        unsafe { device.cmd_write_timestamp(recorder.raw, stage, self.pool, query) };
    }

    fn read(&self) -> Result<Vec<u64>, GpuError> {
        let mut stamps = vec![0u64; self.count as usize];
        let flags = vk::QueryResultFlags::TYPE_64 | vk::QueryResultFlags::WAIT;
        let device = self.device.raw();
        // SAFETY: all queries were written by commands that are done.
        let read = unsafe { device.get_query_pool_results(self.pool, 0, &mut stamps, flags) };
        self.device.check("vkGetQueryPoolResults", read)?;
        Ok(stamps)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // SAFETY: ours alone, and the commands that used it are done.
        unsafe { self.device.raw().destroy_query_pool(self.pool, None) };
    }
}
