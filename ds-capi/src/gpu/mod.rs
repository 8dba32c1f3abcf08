//! GPUs that queues can reach, and what requests fill: devices, buffers, images, fences of theirs.
//!
//! Vulkan's handles cross as integers or `void *`, so that the header needs none of Vulkan's.

use std::mem::MaybeUninit;

use ds_core::Error;
use ds_core::gpu::GpuError;

use crate::ffi::Failure;

pub mod device;

pub mod buffer;

pub mod image;

pub mod fence;

pub(crate) mod place;

impl From<GpuError> for Failure {
    fn from(error: GpuError) -> Failure {
        Error::from(error).into()
    }
}

/// The family of a DS_GPU_FAMILY(n), which is n + 1, so that zero is none.
pub(crate) fn family(number: u32) -> Option<u32> {
    number.checked_sub(1)
}

pub(crate) fn fill(place: &mut [MaybeUninit<u8>], bytes: &[u8]) {
    for (place, &byte) in place.iter_mut().zip(bytes) {
        place.write(byte);
    }
}
