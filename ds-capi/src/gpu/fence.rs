//! Fences with a timeline semaphore: a renderer waits for them on the GPU.

use ds_core::Fence;
use ds_core::gpu::GpuDevice;

use crate::fence::ds_fence;
use crate::ffi::{self, Failure};
use crate::result::ds_result;
use crate::types::*;

/// Makes a fence with a timeline semaphore of its own on a device, of the value `initial`.
///
/// Everything about fences holds for it; its value never goes back. Ownership as for ds_fence_create. Errors:
/// DS_E_INVALIDARG for NULL; DS_E_OUTOFMEMORY; DS_E_DEVICE_LOST. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_create_gpu(
    device: *mut ds_gpu_device,
    initial: u64,
    out: *mut *mut ds_fence,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    out.share(|| Ok(device.ok_or(Failure::INVALID)?.create_fence(initial)?))
}

/// Makes a fence of a timeline semaphore of the application's, a VkSemaphore of that device: a queue's signal
/// sets it, and waits for the fence end when anybody signals it, the application's own queues too.
///
/// The semaphore must stay valid until the last reference is given back and every entry with it is done.
/// Whoever else signals it uses values that grow along with the queue's, as Vulkan demands. Ownership as for
/// ds_fence_create. Errors: DS_E_INVALIDARG for NULL; DS_E_OUTOFMEMORY; DS_E_DEVICE_LOST. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_import_gpu(
    device: *mut ds_gpu_device,
    semaphore: u64,
    out: *mut *mut ds_fence,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    // SAFETY: promised by the caller, as the function says.
    out.share(|| Ok(unsafe { device.ok_or(Failure::INVALID)?.import_fence(semaphore) }?))
}

/// The VkSemaphore of a fence that was made on a device; 0 for others and for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_gpu_handle(fence: *mut ds_fence) -> u64 {
    // SAFETY: promised by the caller.
    let fence = unsafe { ffi::shared::<Fence>(fence) };
    fence
        .and_then(|fence| fence.vulkan_semaphore())
        .unwrap_or(0)
}
