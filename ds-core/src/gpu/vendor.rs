//! The driver's own decoder: `VK_NV_memory_decompression`, in its indirect form only.
//!
//! The direct form runs one region after another, 10.6 µs each on the GPU measured; so there is no
//! way here to ask for it. The extension reports nothing: damaged input is undefined behaviour, by
//! its specification. So it may only be given tiles that were decoded once, or were made by the
//! program itself: [`VendorTiles`] says so in its constructor. Tiles from files go to our shader,
//! which is also the faster one.

use std::sync::Arc;

use ash::vk;

use super::commands::Recorder;
use super::decode::TileJob;
use super::device::Device;
use super::error::GpuError;

/// Bytes of one region in the indirect buffer.
pub const REGION_BYTES: usize = size_of::<vk::DecompressMemoryRegionNV>();

const _: () = assert!(REGION_BYTES == 40);

/// A job as the extension reads it. Source and destination must be multiples of 4.
pub fn region_bytes(job: &TileJob) -> [u8; REGION_BYTES] {
    let mut bytes = [0; REGION_BYTES];
    bytes[..8].copy_from_slice(&job.source.to_le_bytes());
    bytes[8..16].copy_from_slice(&job.destination.to_le_bytes());
    bytes[16..24].copy_from_slice(&u64::from(job.source_bytes).to_le_bytes());
    bytes[24..32].copy_from_slice(&u64::from(job.destination_bytes).to_le_bytes());
    let method = vk::MemoryDecompressionMethodFlagsNV::GDEFLATE_1_0.as_raw();
    bytes[32..].copy_from_slice(&method.to_le_bytes());
    bytes
}

/// Tiles that are known to decode to exactly their destinations.
#[derive(Clone, Copy, Debug)]
pub struct VendorTiles {
    regions: u64,
    count: u64,
}

impl VendorTiles {
    /// Regions at device address `regions`, as many as the `u32` at device address `count` says;
    /// both multiples of 4, in memory usable for indirect commands.
    ///
    /// # Safety
    /// Until the commands are done: the addresses are valid, every region is a sound tile whose
    /// output is exactly its destination, and nothing overlaps.
    pub unsafe fn new(regions: u64, count: u64) -> VendorTiles {
        VendorTiles { regions, count }
    }
}

/// Records the driver's decoder.
pub struct VendorDecoder {
    device: Arc<Device>,
}

impl VendorDecoder {
    /// If the device has it.
    pub fn new(device: &Arc<Device>) -> Result<VendorDecoder, GpuError> {
        match device.decompression_nv() {
            Some(_) => Ok(VendorDecoder {
                device: Arc::clone(device),
            }),
            None => Err(GpuError::Unsupported("VK_NV_memory_decompression".into())),
        }
    }

    pub(super) fn is_of(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(&self.device, device)
    }

    /// Records the decoding; to barriers it counts as a compute shader.
    pub(super) fn record(&self, recorder: &Recorder<'_>, tiles: VendorTiles) {
        let nv = self.device.decompression_nv().expect("seen by `new`");
        let stride = REGION_BYTES as u32;
        // SAFETY: recording, outside a render pass, on a compute queue; `VendorTiles` vouches for
        // the addresses and what is there, and the stride is a multiple of 4 and the structure's.
        unsafe {
            nv.cmd_decompress_memory_indirect_count(
                recorder.raw,
                tiles.regions,
                tiles.count,
                stride,
            )
        };
    }
}
