//! `ds_gpu_device`, `ds_gpu_buffer`, `ds_gpu_image`: GPUs that queues can reach, and what requests fill.
//!
//! Vulkan's handles cross as integers or `void *`, so that the header needs none of Vulkan's.

use std::ffi::{c_char, c_void};
use std::mem::{MaybeUninit, offset_of};

use ds_core::gpu::{
    BorrowedDevice, BufferDesc, DeviceKind, DeviceOptions, GpuBuffer, GpuDestination, GpuDevice,
    GpuError, GpuImage, GpuPlaceInfo, ImageDesc, ImageKind, ImageRegion, ImageState, QueueLock,
    TextureBox, TileCoordinate, TileRegionSize,
};
use ds_core::{Error, Fence};

use crate::fence::ds_fence;
use crate::ffi::{self, Failure, Growing, Shared, User};
use crate::result::ds_result;
use crate::runtime::ds_runtime;
use crate::types::*;

/// A buffer of a GPU: a counted reference. Opaque.
pub struct ds_gpu_buffer {
    _opaque: (),
}

/// An image of a GPU: a counted reference. Opaque.
pub struct ds_gpu_image {
    _opaque: (),
}

impl Shared for GpuDevice {
    type Raw = ds_gpu_device;
}

impl Shared for GpuBuffer {
    type Raw = ds_gpu_buffer;
}

impl Shared for GpuImage {
    type Raw = ds_gpu_image;
}

impl From<GpuError> for Failure {
    fn from(error: GpuError) -> Failure {
        Error::from(error).into()
    }
}

/// How to open a device of the library's own. Zeros are defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_gpu_device_options {
    /// sizeof(ds_gpu_device_options).
    pub struct_size: u32,
    /// DS_GPU_VALIDATE or 0.
    pub flags: u32,
    /// The device: its number among the machine's, or a part of its name. NULL for the best.
    pub device: *const c_char,
}

/// Run under the validation layers, where they are installed.
pub const DS_GPU_VALIDATE: u32 = 1;

impl Default for ds_gpu_device_options {
    fn default() -> ds_gpu_device_options {
        ds_gpu_device_options {
            struct_size: size_of::<ds_gpu_device_options>() as u32,
            flags: 0,
            device: std::ptr::null(),
        }
    }
}

const _: () = assert!(size_of::<ds_gpu_device_options>() == 16);

// SAFETY: begins with a `u32`; the size leaves no padding; integers and raw pointers take any bytes.
unsafe impl Growing for ds_gpu_device_options {
    const VERSIONS_BYTES: &'static [usize] = &[16];
}

/// `timelineSemaphore` was enabled; needed.
pub const DS_GPU_TIMELINE_SEMAPHORE: u32 = 1;
/// `bufferDeviceAddress` was enabled.
pub const DS_GPU_BUFFER_DEVICE_ADDRESS: u32 = 2;
/// `storageBuffer8BitAccess` was enabled.
pub const DS_GPU_STORAGE_8BIT: u32 = 4;
/// `shaderInt16` was enabled.
pub const DS_GPU_INT16: u32 = 8;
/// `shaderInt64` was enabled.
pub const DS_GPU_INT64: u32 = 16;
/// `vulkanMemoryModel` was enabled.
pub const DS_GPU_MEMORY_MODEL: u32 = 32;
/// `subgroupSizeControl` and `computeFullSubgroups` were enabled.
pub const DS_GPU_SUBGROUP_SIZE_CONTROL: u32 = 64;
/// `synchronization2` was enabled.
pub const DS_GPU_SYNCHRONIZATION2: u32 = 128;
/// `memoryDecompression` of VK_NV_memory_decompression was enabled.
pub const DS_GPU_DECOMPRESSION_NV: u32 = 256;
/// `memoryDecompression` of VK_EXT_memory_decompression was enabled.
pub const DS_GPU_DECOMPRESSION_EXT: u32 = 512;

/// All of them.
const FEATURES: u32 = 2 * DS_GPU_DECOMPRESSION_EXT - 1;

/// Locks or unlocks one of the application's queues; `user` is ds_gpu_device_handles.lock_user, and `queue`
/// the index in ds_gpu_device_handles.queues. Never hold such a lock while calling the library: a call may
/// wait for work that waits for the lock.
pub type ds_gpu_lock = Option<unsafe extern "C" fn(user: *mut c_void, queue: u32)>;

/// The application's own device.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_gpu_device_handles {
    /// sizeof(ds_gpu_device_handles).
    pub struct_size: u32,
    /// What was enabled when the device was made: DS_GPU_* flags from DS_GPU_TIMELINE_SEMAPHORE on.
    pub features: u32,
    /// vkGetInstanceProcAddr, cast.
    pub get_instance_proc_addr: *const c_void,
    /// The VkInstance.
    pub instance: *mut c_void,
    /// The VkPhysicalDevice.
    pub physical_device: *mut c_void,
    /// The VkDevice.
    pub device: *mut c_void,
    /// VkQueues with compute, all of one family; the first 4 are used. Copied.
    pub queues: *const *mut c_void,
    /// How many.
    pub queue_count: u32,
    /// Their family.
    pub queue_family: u32,
    /// Called around each submission, on a thread of the library's, if the application submits to these
    /// queues, too. Both or none.
    pub lock: ds_gpu_lock,
    /// The other half.
    pub unlock: ds_gpu_lock,
    /// For both.
    pub lock_user: *mut c_void,
}

impl Default for ds_gpu_device_handles {
    fn default() -> ds_gpu_device_handles {
        ds_gpu_device_handles {
            struct_size: size_of::<ds_gpu_device_handles>() as u32,
            features: 0,
            get_instance_proc_addr: std::ptr::null(),
            instance: std::ptr::null_mut(),
            physical_device: std::ptr::null_mut(),
            device: std::ptr::null_mut(),
            queues: std::ptr::null(),
            queue_count: 0,
            queue_family: 0,
            lock: None,
            unlock: None,
            lock_user: std::ptr::null_mut(),
        }
    }
}

const _: () = {
    assert!(offset_of!(ds_gpu_device_handles, queue_count) == 48);
    assert!(size_of::<ds_gpu_device_handles>() == 80);
};

// SAFETY: begins with a `u32`; the size leaves no padding; integers, raw pointers and optional functions,
// which the caller promises to be functions, take any bytes.
unsafe impl Growing for ds_gpu_device_handles {
    const VERSIONS_BYTES: &'static [usize] = &[80];
}

/// What a device is. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_gpu_device_info {
    /// sizeof(ds_gpu_device_info).
    pub struct_size: u32,
    /// The family of the queues that the library uses.
    pub queue_family: u32,
    /// How many queues it uses.
    pub queue_count: u32,
    /// Vulkan's version as VK_MAKE_API_VERSION(0, major, minor, patch).
    pub api_version: u32,
    /// 1 for a device in software (the processor itself), 0 for a GPU.
    pub is_software: u32,
    /// 1 once the device is lost.
    pub is_lost: u32,
    /// The device's name, cut if it is longer.
    pub name: [c_char; 256],
}

impl Default for ds_gpu_device_info {
    fn default() -> ds_gpu_device_info {
        ds_gpu_device_info {
            struct_size: 0,
            queue_family: 0,
            queue_count: 0,
            api_version: 0,
            is_software: 0,
            is_lost: 0,
            name: [0; 256],
        }
    }
}

const _: () = assert!(size_of::<ds_gpu_device_info>() == 280);

// SAFETY: begins with a `u32`; the size leaves no padding; integers take any bytes.
unsafe impl Growing for ds_gpu_device_info {
    const VERSIONS_BYTES: &'static [usize] = &[280];
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

/// An image, and how requests find and leave it.
///
/// The image has VK_IMAGE_TILING_OPTIMAL, one sample, VK_IMAGE_USAGE_TRANSFER_DST_BIT and a colour format
/// with one plane. A request finds what it fills in layout_before and leaves it in layout_after. With
/// VK_IMAGE_LAYOUT_UNDEFINED before it must fill whole subresources. A payload is laid out as Direct3D 12's
/// copyable footprints: rows at multiples of 256 bytes, subresources at multiples of 512, the last row not
/// padded; tiles are 65536 bytes each.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ds_gpu_image_desc {
    /// sizeof(ds_gpu_image_desc).
    pub struct_size: u32,
    /// The VkImageType: 0, 1 or 2 for 1D, 2D or 3D.
    pub image_type: u32,
    /// The VkImage; ignored by ds_gpu_image_create.
    pub image: u64,
    /// The VkFormat.
    pub format: i32,
    /// Width in texels.
    pub width: u32,
    /// Height in texels; 1 for a 1D image.
    pub height: u32,
    /// Depth in texels; 1 unless the image is 3D.
    pub depth: u32,
    /// Mip levels.
    pub mip_levels: u32,
    /// Array layers.
    pub array_layers: u32,
    /// The VkImageLayout that a request finds.
    pub layout_before: i32,
    /// The VkImageLayout that it leaves.
    pub layout_after: i32,
    /// DS_GPU_FAMILY(n) of the family n that has released what is filled to ours, 0 for none: from
    /// layout_before to VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL.
    pub family_before: u32,
    /// DS_GPU_FAMILY(n) of the family n that it is released to, 0 for none: from
    /// VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL to layout_after.
    pub family_after: u32,
}

const _: () = assert!(size_of::<ds_gpu_image_desc>() == 56);

// SAFETY: begins with a `u32`; the size leaves no padding; integers take any bytes.
unsafe impl Growing for ds_gpu_image_desc {
    const VERSIONS_BYTES: &'static [usize] = &[56];
}

/// The application's lock.
struct Lock {
    lock: unsafe extern "C" fn(user: *mut c_void, queue: u32),
    unlock: unsafe extern "C" fn(user: *mut c_void, queue: u32),
    user: User,
}

impl QueueLock for Lock {
    fn lock(&self, queue: usize) {
        // SAFETY: the caller's function with the caller's pointer, as it asked for.
        unsafe { (self.lock)(self.user.pointer(), queue as u32) };
    }

    fn unlock(&self, queue: usize) {
        // SAFETY: as above.
        unsafe { (self.unlock)(self.user.pointer(), queue as u32) };
    }
}

impl ds_gpu_device_handles {
    /// # Safety
    /// The queues are as many as said.
    unsafe fn to_core(self) -> Result<BorrowedDevice, Failure> {
        if self.features & !FEATURES != 0 {
            return Err(Failure::INVALID);
        }
        // SAFETY: passed on to the caller.
        let queues = unsafe { ffi::array(self.queues, self.queue_count as usize) }?;
        let lock = match (self.lock, self.unlock) {
            (None, None) => None,
            (Some(lock), Some(unlock)) => Some(Box::new(Lock {
                lock,
                unlock,
                user: User(self.lock_user),
            }) as Box<dyn QueueLock>),
            _ => return Err(Failure::INVALID),
        };
        let has = |flag| self.features & flag != 0;
        let number = |handle: *mut c_void| handle.expose_provenance() as u64;
        Ok(BorrowedDevice {
            get_instance_proc_addr: self.get_instance_proc_addr,
            instance: number(self.instance),
            physical_device: number(self.physical_device),
            device: number(self.device),
            queue_family: self.queue_family,
            queues: queues.iter().map(|&queue| number(queue)).collect(),
            timeline_semaphore: has(DS_GPU_TIMELINE_SEMAPHORE),
            buffer_device_address: has(DS_GPU_BUFFER_DEVICE_ADDRESS),
            storage_8bit: has(DS_GPU_STORAGE_8BIT),
            int16: has(DS_GPU_INT16),
            int64: has(DS_GPU_INT64),
            memory_model: has(DS_GPU_MEMORY_MODEL),
            subgroup_size_control: has(DS_GPU_SUBGROUP_SIZE_CONTROL),
            synchronization2: has(DS_GPU_SYNCHRONIZATION2),
            decompression_nv: has(DS_GPU_DECOMPRESSION_NV),
            decompression_ext: has(DS_GPU_DECOMPRESSION_EXT),
            lock,
        })
    }
}

/// Opens a device of the library's own. `options` may be NULL.
///
/// On success `*out` is a reference that ds_gpu_device_release gives back; else NULL. Errors:
/// DS_E_INVALIDARG for a NULL `out` or a wrong struct_size; DS_E_INVALID_DESTINATION_TYPE where there is no
/// Vulkan loader, no driver, or no such device; the log says which. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_device_open(
    options: *const ds_gpu_device_options,
    out: *mut *mut ds_gpu_device,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let options = unsafe { ffi::sized(options) };
    out.share(|| {
        let options = options?.unwrap_or_default();
        if options.flags & !DS_GPU_VALIDATE != 0 {
            return Err(Failure::INVALID);
        }
        // SAFETY: NULL or a string, as promised by the caller for the member.
        let name = unsafe { ffi::text(options.device) };
        let options = DeviceOptions {
            device: name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            validate: options.flags & DS_GPU_VALIDATE != 0,
            ..DeviceOptions::default()
        };
        let device = GpuDevice::open(&options);
        Ok(device.inspect_err(|error| log::warn!(target: "ds", "no GPU: {error}"))?)
    })
}

/// Uses the application's device.
///
/// The handles must belong together and stay valid until the device, every queue with it and every resource
/// of it were given back. Without a lock nobody else may submit to these queues.
///
/// On success `*out` is a reference that ds_gpu_device_release gives back; else NULL. Errors:
/// DS_E_INVALIDARG for NULL where there must be something, a wrong struct_size, or half a lock;
/// DS_E_INVALID_DESTINATION_TYPE if the device lacks something, timeline semaphores for one. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_device_borrow(
    handles: *const ds_gpu_device_handles,
    out: *mut *mut ds_gpu_device,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let handles = unsafe { ffi::sized(handles) };
    out.share(|| {
        let handles = handles?.ok_or(Failure::INVALID)?;
        // SAFETY: promised by the caller for the members.
        let borrowed = unsafe { handles.to_core() }?;
        // SAFETY: promised by the caller, as the function says.
        let device = unsafe { GpuDevice::borrow(borrowed) };
        Ok(device.inspect_err(|error| log::warn!(target: "ds", "no GPU: {error}"))?)
    })
}

/// The device of a runtime whose backend is Vulkan: that of queues that name none.
///
/// On success `*out` is a new reference that ds_gpu_device_release gives back; else NULL. Errors:
/// DS_E_INVALIDARG for NULL; DS_E_INVALID_DESTINATION_TYPE if the runtime has none. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_gpu_device(
    runtime: *mut ds_runtime,
    out: *mut *mut ds_gpu_device,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    out.share(|| {
        let device = runtime?.runtime.gpu_device().cloned();
        Ok(device.ok_or(Error::InvalidDestinationType)?)
    })
}

/// What a device is. Set out->struct_size before.
///
/// Errors: DS_E_INVALIDARG for NULL or a wrong struct_size. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_device_query(
    device: *mut ds_gpu_device,
    out: *mut ds_gpu_device_info,
) -> ds_result {
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    let query = || {
        let device = device.ok_or(Failure::INVALID)?;
        let caps = device.caps();
        let [major, minor, patch] = caps.api_version;
        let mut info = ds_gpu_device_info {
            queue_family: caps.queue_family,
            queue_count: device.device().queue_len() as u32,
            api_version: major << 22 | minor << 12 | patch,
            is_software: u32::from(caps.kind == DeviceKind::Software),
            is_lost: u32::from(device.is_lost()),
            ..ds_gpu_device_info::default()
        };
        ffi::copy_text(caps.name.as_bytes(), &mut info.name);
        Ok(info)
    };
    // SAFETY: promised by the caller; the struct says how long it is.
    unsafe { ffi::answer_sized(out, query) }
}

/// Gives a reference back; NULL does nothing. Queues and resources keep the device for themselves. Any
/// thread, but no other call with this reference may be running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_device_release(device: *mut ds_gpu_device) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<GpuDevice>(device) };
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

fn fill(place: &mut [MaybeUninit<u8>], bytes: &[u8]) {
    for (place, &byte) in place.iter_mut().zip(bytes) {
        place.write(byte);
    }
}

/// Gives a reference back; NULL does nothing. Requests keep the buffer for themselves. Any thread, but no
/// other call with this reference may be running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_buffer_release(buffer: *mut ds_gpu_buffer) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<GpuBuffer>(buffer) };
}

/// The family of a DS_GPU_FAMILY(n), which is n + 1, so that zero is none.
fn family(number: u32) -> Option<u32> {
    number.checked_sub(1)
}

impl ds_gpu_image_desc {
    fn to_core(self) -> Result<ImageDesc, Failure> {
        let kind = match self.image_type {
            0 => ImageKind::D1,
            1 => ImageKind::D2,
            2 => ImageKind::D3,
            _ => return Err(Failure::INVALID),
        };
        Ok(ImageDesc {
            image: self.image,
            kind,
            format: self.format,
            width: self.width,
            height: self.height,
            depth: self.depth,
            mip_levels: self.mip_levels,
            array_layers: self.array_layers,
            before: ImageState {
                layout: self.layout_before,
                family: family(self.family_before),
            },
            after: ImageState {
                layout: self.layout_after,
                family: family(self.family_after),
            },
        })
    }
}

/// Makes an image in the device's memory. It is in layout_after from the start; layout_before is that or
/// VK_IMAGE_LAYOUT_UNDEFINED, and both families are 0.
///
/// On success `*out` is a reference that ds_gpu_image_release gives back; else NULL. Errors:
/// DS_E_INVALIDARG for NULL, a wrong struct_size or a description without meaning;
/// DS_E_INVALID_DESTINATION_TYPE if the device has no such images; DS_E_OUTOFMEMORY. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_create(
    device: *mut ds_gpu_device,
    desc: *const ds_gpu_image_desc,
    out: *mut *mut ds_gpu_image,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let desc = unsafe { ffi::sized(desc) };
    out.share(|| {
        let desc = desc?.ok_or(Failure::INVALID)?.to_core()?;
        Ok(device.ok_or(Failure::INVALID)?.create_image(&desc)?)
    })
}

/// Names an image of the application's, which must be of this device and bound to memory, and stay so until
/// the last reference is given back and every request with it has completed. Whenever a request runs, what it
/// fills is in the layout, and belongs to the family, that `desc` says.
///
/// Ownership and errors as for ds_gpu_image_create. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_import(
    device: *mut ds_gpu_device,
    desc: *const ds_gpu_image_desc,
    out: *mut *mut ds_gpu_image,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let desc = unsafe { ffi::sized(desc) };
    out.share(|| {
        let desc = desc?.ok_or(Failure::INVALID)?.to_core()?;
        // SAFETY: promised by the caller, as the function says.
        Ok(unsafe { device.ok_or(Failure::INVALID)?.import_image(&desc) }?)
    })
}

/// The VkImage; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_handle(image: *mut ds_gpu_image) -> u64 {
    // SAFETY: promised by the caller.
    let image = unsafe { ffi::shared::<GpuImage>(image) };
    image.map_or(0, |image| image.raw_handle())
}

/// How many bytes fill `num_subresources` subresources from `first_subresource`.
///
/// Errors: DS_E_INVALIDARG for NULL, and for subresources that the image does not have; `*out` is 0 then. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_payload_size(
    image: *mut ds_gpu_image,
    first_subresource: u32,
    num_subresources: u32,
    out: *mut u64,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let image = unsafe { ffi::shared::<GpuImage>(image) };
    out.answer(0, || {
        let region = ImageRegion::MultipleSubresourcesRange {
            first: first_subresource,
            count: num_subresources,
        };
        let bytes = image.ok_or(Failure::INVALID)?.payload_bytes(region);
        Ok(bytes.map_err(GpuError::Layout)?)
    })
}

/// Reads back a subresource, and waits for it: for tests and tools, with images that ds_gpu_image_create made
/// and no request in flight. `size` is ds_gpu_image_payload_size of that subresource.
///
/// Errors: DS_E_INVALIDARG for NULL, another size, or an imported image; DS_E_OUTOFMEMORY; DS_E_DEVICE_LOST.
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_read(
    image: *mut ds_gpu_image,
    subresource: u32,
    destination: *mut c_void,
    size: usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let image = unsafe { ffi::shared::<GpuImage>(image) };
    // SAFETY: promised by the caller.
    let place = unsafe { ffi::array_out(destination.cast::<u8>(), size) };
    ffi::result(|| {
        let bytes = image.ok_or(Failure::INVALID)?.read(subresource)?;
        let place = place?;
        if place.len() != bytes.len() {
            return Err(Failure::INVALID);
        }
        fill(place, &bytes);
        Ok(())
    })
}

/// Gives a reference back; NULL does nothing. Requests keep the image for themselves. Any thread, but no
/// other call with this reference may be running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_release(image: *mut ds_gpu_image) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<GpuImage>(image) };
}

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

/// The GPU destination that a caller means; `None` for a NULL resource or another type. `payload` is the size
/// of what an image gets.
///
/// # Safety
/// The resource is NULL or a `ds_gpu_buffer` for a buffer and a `ds_gpu_image` for the others.
pub(crate) unsafe fn destination(
    to_type: ds_destination_type,
    destination: &ds_destination,
    payload: u32,
) -> Option<GpuDestination> {
    // SAFETY: every member for a GPU begins with the resource, and any bytes make a pointer.
    let resource = unsafe { destination.buffer }.resource;
    if to_type == DS_DESTINATION_BUFFER {
        // SAFETY: the type says that this member was filled; it takes any bytes.
        let to = unsafe { destination.buffer };
        // SAFETY: passed on to the caller.
        let buffer = unsafe { ffi::shared::<GpuBuffer>(resource.cast()) }?;
        return Some(buffer.range(to.offset, to.size));
    }
    // SAFETY: passed on to the caller.
    let region = unsafe { region(to_type, destination) }?;
    // SAFETY: passed on to the caller.
    let image = unsafe { ffi::shared::<GpuImage>(resource.cast()) }?;
    Some(image.region(region, payload))
}

/// # Safety
/// None: every member takes any bytes.
unsafe fn region(
    to_type: ds_destination_type,
    destination: &ds_destination,
) -> Option<ImageRegion> {
    Some(match to_type {
        DS_DESTINATION_TEXTURE_REGION => {
            // SAFETY: the type says that this member was filled; it takes any bytes.
            let to = unsafe { destination.texture };
            let ds_box {
                left,
                top,
                front,
                right,
                bottom,
                back,
            } = to.region;
            ImageRegion::Texture {
                subresource: to.subresource_index,
                region: TextureBox {
                    left,
                    top,
                    front,
                    right,
                    bottom,
                    back,
                },
            }
        }
        DS_DESTINATION_MULTIPLE_SUBRESOURCES => {
            // SAFETY: as above.
            let to = unsafe { destination.multiple_subresources };
            ImageRegion::MultipleSubresources {
                first: to.first_subresource,
            }
        }
        DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE => {
            // SAFETY: as above.
            let to = unsafe { destination.multiple_subresources_range };
            ImageRegion::MultipleSubresourcesRange {
                first: to.first_subresource,
                count: to.num_subresources,
            }
        }
        DS_DESTINATION_TILES => {
            // SAFETY: as above.
            let to = unsafe { destination.tiles };
            let extent = [to.width, to.height.into(), to.depth.into()];
            ImageRegion::Tiles {
                start: TileCoordinate {
                    x: to.start_x,
                    y: to.start_y,
                    z: to.start_z,
                    subresource: to.start_subresource,
                },
                // A box of another number of tiles is no region, which validation says.
                size: TileRegionSize::new(to.num_tiles, to.use_box != 0, extent)
                    .unwrap_or(TileRegionSize::Count(0)),
            }
        }
        _ => return None,
    })
}

/// A destination as error records show it.
pub(crate) fn destination_of(place: &GpuPlaceInfo) -> (ds_destination_type, ds_destination) {
    let none = crate::record::DESTINATION_NONE;
    let resource = |raw: usize| std::ptr::without_provenance_mut(raw);
    match *place {
        GpuPlaceInfo::Buffer { raw, offset, bytes } => {
            let buffer = ds_destination_buffer {
                resource: resource(raw),
                offset,
                size: bytes,
            };
            (DS_DESTINATION_BUFFER, ds_destination { buffer })
        }
        GpuPlaceInfo::Image { raw, region, .. } => {
            let (to_type, mut shown) = region_of(region, none);
            shown.buffer.resource = resource(raw);
            (to_type, shown)
        }
    }
}

fn region_of(region: ImageRegion, none: ds_destination) -> (ds_destination_type, ds_destination) {
    let mut shown = none;
    let resource = std::ptr::null_mut();
    match region {
        ImageRegion::Texture {
            subresource,
            region,
        } => {
            let TextureBox {
                left,
                top,
                front,
                right,
                bottom,
                back,
            } = region;
            shown.texture = ds_destination_texture_region {
                resource,
                subresource_index: subresource,
                region: ds_box {
                    left,
                    top,
                    front,
                    right,
                    bottom,
                    back,
                },
            };
            (DS_DESTINATION_TEXTURE_REGION, shown)
        }
        ImageRegion::MultipleSubresources { first } => {
            shown.multiple_subresources = ds_destination_multiple_subresources {
                resource,
                first_subresource: first,
            };
            (DS_DESTINATION_MULTIPLE_SUBRESOURCES, shown)
        }
        ImageRegion::MultipleSubresourcesRange { first, count } => {
            shown.multiple_subresources_range = ds_destination_multiple_subresources_range {
                resource,
                first_subresource: first,
                num_subresources: count,
            };
            (DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE, shown)
        }
        ImageRegion::Tiles { start, size } => {
            shown.tiles = tiles_of(start, size);
            (DS_DESTINATION_TILES, shown)
        }
    }
}

fn tiles_of(start: TileCoordinate, size: TileRegionSize) -> ds_destination_tiles {
    let (num_tiles, [width, height, depth]) = match size {
        TileRegionSize::Count(tiles) => (tiles, [0; 3]),
        TileRegionSize::Box {
            width,
            height,
            depth,
        } => (
            width.saturating_mul(height).saturating_mul(depth),
            [width, height, depth],
        ),
    };
    ds_destination_tiles {
        resource: std::ptr::null_mut(),
        start_x: start.x,
        start_y: start.y,
        start_z: start.z,
        start_subresource: start.subresource,
        num_tiles,
        use_box: u32::from(width > 0),
        width,
        height: height as u16,
        depth: depth as u16,
    }
}
