//! The tile decoder on the GPU: the table of jobs, the pipeline, and what the statuses mean.
//!
//! Owns the layouts shared with `shaders/gdeflate.comp` and the choice among its variants. Knows
//! addresses, not buffers: whoever records keeps the memory alive until the work is done.
//!
//! Promises: whatever the tiles hold, no byte outside a job's source is read and none outside its
//! destination written, and every job's status says whether its destination holds the tile's bytes.

use std::sync::Arc;

use ash::vk;

use super::commands::Recorder;
use super::device::Device;
use super::error::GpuError;
use super::memory::Buffer;
use crate::gdeflate::{DecodeError, LANES};

/// One tile to decode. As the shader reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TileJob {
    /// Device address of the raw tile; a multiple of 4.
    pub source: u64,
    /// Device address of the output. It must not overlap any job's source.
    pub destination: u64,
    /// Bytes of the raw tile: at least 128, a multiple of 4, or the status says so. No more than
    /// [`TILE_COMPRESSED_BYTES_MAX`](crate::gdeflate::TILE_COMPRESSED_BYTES_MAX) are looked at.
    pub source_bytes: u32,
    /// Bytes of the output: 1 to 65,536, or the status says so.
    pub destination_bytes: u32,
}

const _: () = assert!(size_of::<TileJob>() == 24 && align_of::<TileJob>() == 8);

impl TileJob {
    /// The bytes of one job in a table, and of a table's entry.
    pub const BYTES: usize = size_of::<TileJob>();

    /// The job as it stands in a table.
    pub fn to_bytes(self) -> [u8; TileJob::BYTES] {
        let mut bytes = [0; TileJob::BYTES];
        bytes[..8].copy_from_slice(&self.source.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.destination.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.source_bytes.to_le_bytes());
        bytes[20..].copy_from_slice(&self.destination_bytes.to_le_bytes());
        bytes
    }
}

/// Where a dispatch finds its jobs, and where it leaves their statuses.
#[derive(Clone, Copy, Debug)]
pub struct TileTable {
    /// Device address of the first [`TileJob`]; a multiple of 8.
    pub jobs: u64,
    /// Device address of the first status, a `u32` each; a multiple of 4.
    pub statuses: u64,
    /// How many of each.
    pub count: u32,
}

/// What a tile's address must be a multiple of, for our shader. Its output may begin anywhere.
pub const SOURCE_ALIGNMENT: u64 = 4;

/// The bytes of one status.
pub const STATUS_BYTES: usize = 4;

/// What a status says. What no shader writes counts as damage: the dispatch did not run.
pub fn status_result(status: u32) -> Result<(), DecodeError> {
    match status {
        0 => Ok(()),
        1 => Err(DecodeError::TileBytes),
        2 => Err(DecodeError::TileTruncated),
        3 => Err(DecodeError::BlockType),
        4 => Err(DecodeError::LiteralCode),
        5 => Err(DecodeError::Symbol),
        6 => Err(DecodeError::Distance),
        7 => Err(DecodeError::OutputOverflow),
        8 => Err(DecodeError::OutputUnderflow),
        _ => Err(DecodeError::TileIndex),
    }
}

/// Which code decodes the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TilePath {
    /// Our shader, a tile a subgroup of 32.
    Subgroup,
    /// Our shader for any subgroup size: slow.
    Any,
}

impl TilePath {
    /// A lower-case word for logs and tools.
    pub fn name(self) -> &'static str {
        match self {
            TilePath::Subgroup => "shader-32",
            TilePath::Any => "shader-any",
        }
    }

    /// The best of the paths that this device can take, or what it lacks.
    pub fn best(device: &Device) -> Result<TilePath, GpuError> {
        let paths = [TilePath::Subgroup, TilePath::Any];
        let best = paths
            .into_iter()
            .find(|path| path.missing(device).is_none());
        best.ok_or_else(|| {
            let lacks = TilePath::Any.missing(device).unwrap_or_default();
            GpuError::Unsupported(lacks.to_owned())
        })
    }

    /// What this device lacks for this path.
    pub fn missing(self, device: &Device) -> Option<&'static str> {
        let caps = device.caps();
        let base = caps.missing_for_shader();
        match self {
            TilePath::Any => base,
            TilePath::Subgroup => base.or_else(|| caps.missing_for_subgroup_shader()),
        }
    }
}

/// A pipeline that decodes tiles. May be recorded by any thread.
pub struct TileDecoder {
    path: TilePath,
    has_statistics: bool,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
    device: Arc<Device>,
}

/// The shader's push constants.
const PUSH_BYTES: usize = 20;

/// A dispatch may have so many workgroups on every device.
const GROUPS_MAX: u32 = 65_535;

impl TileDecoder {
    /// Builds the pipeline of `path`. The first time takes a driver up to a second.
    pub fn new(device: &Arc<Device>, path: TilePath) -> Result<TileDecoder, GpuError> {
        TileDecoder::build(device, path, false)
    }

    /// The same, with [`TileDecoder::statistics`], which some drivers keep at a cost.
    pub fn with_statistics(device: &Arc<Device>, path: TilePath) -> Result<TileDecoder, GpuError> {
        TileDecoder::build(device, path, true)
    }

    fn build(
        device: &Arc<Device>,
        path: TilePath,
        statistics: bool,
    ) -> Result<TileDecoder, GpuError> {
        if let Some(missing) = path.missing(device) {
            return Err(GpuError::Unsupported(missing.to_owned()));
        }
        let mut decoder = TileDecoder {
            path,
            has_statistics: statistics,
            layout: vk::PipelineLayout::null(),
            pipeline: vk::Pipeline::null(),
            device: Arc::clone(device),
        };
        decoder.layout = create_layout(device)?;
        decoder.pipeline = create_pipeline(device, path, decoder.layout, statistics)?;
        Ok(decoder)
    }

    pub(super) fn is_of(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(&self.device, device)
    }

    /// Which code it is.
    pub fn path(&self) -> TilePath {
        self.path
    }

    /// The most tiles one dispatch takes.
    pub fn tile_count_max(&self) -> u32 {
        GROUPS_MAX
    }

    /// Records the decoding of all tiles of the table. What the commands before wrote must be visible
    /// to compute shaders (reads and writes); the caller makes the outputs and statuses visible to
    /// whoever is next.
    ///
    /// # Safety
    /// Until the commands are done: the table's jobs and statuses, and the sources and destinations
    /// of the jobs, are valid ranges of device memory; destinations overlap nothing.
    pub(super) unsafe fn record(
        &self,
        recorder: &Recorder<'_>,
        table: &TileTable,
    ) -> Result<(), GpuError> {
        if table.count == 0 {
            return Ok(());
        }
        if table.count > self.tile_count_max() {
            return Err(GpuError::Argument("more tiles than one dispatch takes"));
        }
        let device = self.device.raw();
        let point = vk::PipelineBindPoint::COMPUTE;
        // SAFETY: recording, and a live pipeline of this device.
        unsafe { device.cmd_bind_pipeline(recorder.raw, point, self.pipeline) };
        let mut push = [0; PUSH_BYTES];
        push[..8].copy_from_slice(&table.jobs.to_le_bytes());
        push[8..16].copy_from_slice(&table.statuses.to_le_bytes());
        push[16..].copy_from_slice(&table.count.to_le_bytes());
        let stage = vk::ShaderStageFlags::COMPUTE;
        // SAFETY: the layout's only range, whole.
        unsafe { device.cmd_push_constants(recorder.raw, self.layout, stage, 0, &push) };
        // SAFETY: a compute pipeline is bound, its push constants are set, and it has no sets; the
        // count is within what every device takes, and the caller vouches for the addresses.
        unsafe { device.cmd_dispatch(recorder.raw, table.count, 1, 1) };
        Ok(())
    }

    /// What the driver tells of the compiled shader (registers, shared memory, …), where it does and
    /// was asked to.
    pub fn statistics(&self) -> Vec<(String, u64)> {
        let Some(info) = self.device.executable_info() else {
            return Vec::new();
        };
        let executable = vk::PipelineExecutableInfoKHR::default().pipeline(self.pipeline);
        if !self.has_statistics {
            return Vec::new();
        }
        // SAFETY: the feature is enabled, and the pipeline was created to capture statistics.
        let found = unsafe { info.get_pipeline_executable_statistics(&executable) };
        let name = |s: &vk::PipelineExecutableStatisticKHR<'_>| {
            let name = s.name_as_c_str().map(|name| name.to_string_lossy());
            name.map_or_else(|_| String::new(), |name| name.into_owned())
        };
        let value = |s: &vk::PipelineExecutableStatisticKHR<'_>| {
            // SAFETY: every member of the union is plain data of at most 64 bits, and the driver
            // wrote one; the structure was zero before.
            unsafe { s.value.u64 }
        };
        let found = found.unwrap_or_default();
        found.iter().map(|s| (name(s), value(s))).collect()
    }
}

impl Drop for TileDecoder {
    fn drop(&mut self) {
        let device = self.device.raw();
        // SAFETY: ours alone; whoever recorded it keeps it until the commands are done.
        unsafe { device.destroy_pipeline(self.pipeline, None) };
        // SAFETY: as above.
        unsafe { device.destroy_pipeline_layout(self.layout, None) };
    }
}

/// The committed SPIR-V of a path.
fn spirv(path: TilePath) -> &'static [u8] {
    match path {
        TilePath::Subgroup => include_bytes!("../../../shaders/spv/gdeflate-subgroup.spv"),
        TilePath::Any => include_bytes!("../../../shaders/spv/gdeflate-any.spv"),
    }
}

fn create_layout(device: &Device) -> Result<vk::PipelineLayout, GpuError> {
    let ranges = [vk::PushConstantRange::default()
        .stage_flags(vk::ShaderStageFlags::COMPUTE)
        .size(PUSH_BYTES as u32)];
    let info = vk::PipelineLayoutCreateInfo::default().push_constant_ranges(&ranges);
    // SAFETY: one range, of fewer bytes than every device has.
    let layout = unsafe { device.raw().create_pipeline_layout(&info, None) };
    device.check("vkCreatePipelineLayout", layout)
}

fn create_pipeline(
    device: &Device,
    path: TilePath,
    layout: vk::PipelineLayout,
    statistics: bool,
) -> Result<vk::Pipeline, GpuError> {
    let (words, _) = spirv(path).as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|w| u32::from_le_bytes(*w)).collect();
    let info = vk::ShaderModuleCreateInfo::default().code(&words);
    // SAFETY: SPIR-V of ours, which the validator accepts; what it needs, the caller looked for.
    let module = unsafe { device.raw().create_shader_module(&info, None) };
    let module = device.check("vkCreateShaderModule", module)?;

    let mut size = vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default()
        .required_subgroup_size(LANES as u32);
    let mut stage = vk::PipelineShaderStageCreateInfo::default()
        .stage(vk::ShaderStageFlags::COMPUTE)
        .module(module)
        .name(c"main");
    if path == TilePath::Subgroup && device.caps().subgroup_size_control {
        stage = stage
            .flags(vk::PipelineShaderStageCreateFlags::REQUIRE_FULL_SUBGROUPS)
            .push_next(&mut size);
    }
    let capture = match device.executable_info() {
        Some(_) if statistics => vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR,
        _ => vk::PipelineCreateFlags::empty(),
    };
    let info = vk::ComputePipelineCreateInfo::default()
        .flags(capture)
        .stage(stage)
        .layout(layout);
    let none = vk::PipelineCache::null();
    // SAFETY: all that `info` points to lives in this function; the module has this entry point, and
    // flags and subgroup size are asked for only where the features are enabled.
    let made = unsafe { device.raw().create_compute_pipelines(none, &[info], None) };
    // SAFETY: a pipeline does not need its module any more.
    unsafe { device.raw().destroy_shader_module(module, None) };
    let made = made.map(|made| made[0]).map_err(|(_, result)| result);
    device.check("vkCreateComputePipelines", made)
}

/// Reads the statuses of a table from memory that the host sees.
pub fn read_statuses(
    buffer: &Buffer,
    offset: u64,
    count: u32,
) -> Result<Vec<Result<(), DecodeError>>, GpuError> {
    let mut bytes = vec![0; count as usize * STATUS_BYTES];
    buffer.read(offset, &mut bytes)?;
    let (words, _) = bytes.as_chunks::<STATUS_BYTES>();
    let result = |word: &[u8; 4]| status_result(u32::from_le_bytes(*word));
    Ok(words.iter().map(result).collect())
}
