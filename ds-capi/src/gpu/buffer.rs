//! `ds_gpu_buffer`: a buffer of a device, ours or the application's.

use std::ffi::c_void;

use ds_core::gpu::{BufferDesc, GpuBuffer, GpuDevice};

use super::{family, fill};
use crate::ffi::{self, Failure, Growing, Shared};
use crate::result::ds_result;
use crate::types::*;

/// A buffer of a GPU: a counted reference. Opaque.
pub struct ds_gpu_buffer {
    _opaque: (),
}

impl Shared for GpuBuffer {
    type Raw = ds_gpu_buffer;
}

/// A buffer of the application's.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ds_gpu_buffer_desc {
    /// sizeof(ds_gpu_buffer_desc).
    pub struct_size: u32,
    /// The VkBufferUsageFlags it was made with. TRANSFER_DST is needed; with SHADER_DEVICE_ADDRESS tiles are
    /// decoded in place.
    pub usage: u32,
    /// The VkBuffer.
    pub buffer: u64,
    /// Its size in bytes.
    pub size: u64,
    /// DS_GPU_FAMILY(n) of the queue family n that owns it and gets it back after each request; 0 for none.
    /// For a buffer of VK_SHARING_MODE_EXCLUSIVE that another family uses. The application releases the
    /// request's range to our family (ds_gpu_device_info.queue_family) before, and acquires it from there
    /// afterwards.
    pub queue_family: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<ds_gpu_buffer_desc>() == 32);

// SAFETY: begins with a `u32`; the size leaves no padding; integers take any bytes.
unsafe impl Growing for ds_gpu_buffer_desc {
    const VERSIONS_BYTES: &'static [usize] = &[32];
}

/// Makes a buffer of `size` bytes in the device's memory.
///
/// On success `*out` is a reference that ds_gpu_buffer_release gives back; else NULL. Errors:
/// DS_E_INVALIDARG for NULL or a size of 0; DS_E_OUTOFMEMORY. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_buffer_create(
    device: *mut ds_gpu_device,
    size: u64,
    out: *mut *mut ds_gpu_buffer,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    out.share(|| Ok(device.ok_or(Failure::INVALID)?.create_buffer(size)?))
}

/// Names a buffer of the application's, which must be of this device and bound to memory, and stay so until
/// the last reference is given back and every request with it has completed.
///
/// Ownership as for ds_gpu_buffer_create. Errors: DS_E_INVALIDARG for NULL, a wrong struct_size, a size of 0.
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_buffer_import(
    device: *mut ds_gpu_device,
    desc: *const ds_gpu_buffer_desc,
    out: *mut *mut ds_gpu_buffer,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let desc = unsafe { ffi::sized(desc) };
    out.share(|| {
        let desc = desc?.ok_or(Failure::INVALID)?;
        if desc.reserved != 0 {
            return Err(Failure::INVALID);
        }
        let desc = BufferDesc {
            buffer: desc.buffer,
            bytes: desc.size,
            usage: desc.usage,
            queue_family: family(desc.queue_family),
        };
        // SAFETY: promised by the caller, as the function says.
        Ok(unsafe { device.ok_or(Failure::INVALID)?.import_buffer(&desc) }?)
    })
}

/// The VkBuffer; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_buffer_handle(buffer: *mut ds_gpu_buffer) -> u64 {
    // SAFETY: promised by the caller.
    let buffer = unsafe { ffi::shared::<GpuBuffer>(buffer) };
    buffer.map_or(0, |buffer| buffer.raw_handle())
}

/// Reads back `size` bytes from `offset`, and waits for them: for tests and tools, with buffers that
/// ds_gpu_buffer_create made and no request in flight to that range.
///
/// Errors: DS_E_INVALIDARG for NULL, a range outside the buffer, or an imported one; DS_E_OUTOFMEMORY;
/// DS_E_DEVICE_LOST. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_buffer_read(
    buffer: *mut ds_gpu_buffer,
    offset: u64,
    destination: *mut c_void,
    size: usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let buffer = unsafe { ffi::shared::<GpuBuffer>(buffer) };
    // SAFETY: promised by the caller.
    let place = unsafe { ffi::array_out(destination.cast::<u8>(), size) };
    ffi::result(|| {
        let mut bytes = vec![0; place.as_ref().map_or(0, |place| place.len())];
        buffer.ok_or(Failure::INVALID)?.read(offset, &mut bytes)?;
        fill(place?, &bytes);
        Ok(())
    })
}

/// Gives a reference back; NULL does nothing. Requests keep the buffer for themselves. Any thread, but no
/// other call with this reference may be running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_buffer_release(buffer: *mut ds_gpu_buffer) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<GpuBuffer>(buffer) };
}
