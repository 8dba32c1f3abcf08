//! A few tiles, decoded now: for tests, tools, and whoever has tiles and no queue.

use std::sync::Arc;

use super::commands::Commands;
use super::decode::{STATUS_BYTES, TileDecoder, TileJob, TilePath, TileTable, read_statuses};
use super::device::Device;
use super::error::GpuError;
use super::memory::{Buffer, Place};
use crate::gdeflate::{DecodeError, TILE_BYTES};

/// A raw tile and the size of what it holds.
#[derive(Clone, Copy, Debug)]
pub struct RawTile<'a> {
    /// The compressed bytes, without any header.
    pub bytes: &'a [u8],
    /// Bytes of output.
    pub output_bytes: u32,
}

/// The output of a tile, or why it has none.
pub type TileOutput = Result<Vec<u8>, DecodeError>;

/// Poison around each output, to see that it stays.
const GUARD_BYTES: usize = 64;
const POISON: u32 = 0xA5A5_A5A5;

/// Decodes tiles on the GPU, in memory allocated for the purpose, and waits for them.
///
/// Every output lies between poison, which is looked at afterwards.
///
/// # Panics
/// If the shader wrote outside its destinations.
pub fn decode_tiles(
    device: &Arc<Device>,
    path: TilePath,
    tiles: &[RawTile<'_>],
) -> Result<Vec<TileOutput>, GpuError> {
    if tiles.is_empty() {
        return Ok(Vec::new());
    }
    let decoder = TileDecoder::new(device, path)?;
    decode_tiles_with(device, &decoder, tiles)
}

/// The same with a pipeline that exists.
pub fn decode_tiles_with(
    device: &Arc<Device>,
    decoder: &TileDecoder,
    tiles: &[RawTile<'_>],
) -> Result<Vec<TileOutput>, GpuError> {
    if !decoder.is_of(device) {
        return Err(GpuError::Argument("a decoder of another device"));
    }
    let plan = Plan::new(tiles);
    let mut staging = Buffer::new(device, Place::Staging, plan.staging_bytes as u64)?;
    let output = Buffer::new(device, Place::Device, plan.output_bytes as u64)?;
    let back = Buffer::new(device, Place::Readback, plan.output_bytes as u64)?;
    let statuses = Buffer::new(device, Place::Readback, (tiles.len() * STATUS_BYTES) as u64)?;
    plan.stage(tiles, &mut staging, output.address())?;
    let count = u32::try_from(tiles.len()).map_err(|_| GpuError::Argument("too many tiles"))?;
    let table = TileTable {
        jobs: staging.address(),
        statuses: statuses.address(),
        count,
    };
    let mut commands = Commands::new(device)?;
    commands.run(|recorder| {
        recorder.fill(&output, 0, output.bytes(), POISON);
        recorder.fill(&statuses, 0, statuses.bytes(), u32::MAX);
        recorder.barrier();
        // SAFETY: jobs, statuses, sources and destinations lie in the buffers above, which live until
        // `run` has waited; each destination is a range of its own.
        unsafe { decoder.record(recorder, &table) }?;
        recorder.barrier();
        recorder.copy((&output, 0), (&back, 0), output.bytes());
        Ok(())
    })?;
    let results = read_statuses(&statuses, 0, count)?;
    let mut bytes = vec![0; plan.output_bytes];
    back.read(0, &mut bytes)?;
    plan.check_guards(tiles, &bytes);
    let outputs = plan.outputs.iter().zip(tiles).zip(results);
    Ok(outputs
        .map(|((start, tile), result)| {
            let end = start + tile.output_bytes as usize;
            result.map(|()| bytes[*start..end].to_vec())
        })
        .collect())
}

/// Where everything lies.
struct Plan {
    /// In the staging buffer, behind the table of jobs.
    sources: Vec<usize>,
    staging_bytes: usize,
    outputs: Vec<usize>,
    output_bytes: usize,
}

impl Plan {
    fn new(tiles: &[RawTile<'_>]) -> Plan {
        let mut plan = Plan {
            sources: Vec::new(),
            staging_bytes: tiles.len() * TileJob::BYTES,
            outputs: Vec::new(),
            output_bytes: GUARD_BYTES,
        };
        for (index, tile) in tiles.iter().enumerate() {
            plan.sources.push(plan.staging_bytes);
            plan.staging_bytes += tile.bytes.len().next_multiple_of(4);
            // At every alignment in turn: outputs need none.
            let start = plan.output_bytes + index % 4;
            plan.outputs.push(start);
            let end = start + (tile.output_bytes as usize).min(TILE_BYTES) + GUARD_BYTES;
            plan.output_bytes = end.next_multiple_of(4);
        }
        plan
    }

    fn stage(
        &self,
        tiles: &[RawTile<'_>],
        staging: &mut Buffer,
        output: u64,
    ) -> Result<(), GpuError> {
        for (index, tile) in tiles.iter().enumerate() {
            let job = TileJob {
                source: staging.address() + self.sources[index] as u64,
                destination: output + self.outputs[index] as u64,
                source_bytes: u32::try_from(tile.bytes.len()).unwrap_or(u32::MAX),
                destination_bytes: tile.output_bytes,
            };
            staging.write((index * TileJob::BYTES) as u64, &job.to_bytes())?;
            staging.write(self.sources[index] as u64, tile.bytes)?;
        }
        Ok(())
    }

    fn check_guards(&self, tiles: &[RawTile<'_>], bytes: &[u8]) {
        let mut end = 0;
        for (start, tile) in self.outputs.iter().zip(tiles) {
            let intact = bytes[end..*start].iter().all(|byte| *byte == POISON as u8);
            assert!(
                intact,
                "bytes outside every destination were written before {start}"
            );
            end = start + (tile.output_bytes as usize).min(TILE_BYTES);
        }
        let intact = bytes[end..].iter().all(|byte| *byte == POISON as u8);
        assert!(intact, "bytes behind the last destination were written");
    }
}
