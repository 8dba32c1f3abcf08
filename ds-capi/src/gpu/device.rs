//! `ds_gpu_device`: a device of the library's own, or the application's.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;

use ds_core::Error;
use ds_core::gpu::{BorrowedDevice, DeviceKind, DeviceOptions, GpuDevice, QueueLock};

use crate::ffi::{self, Failure, Growing, Shared, User};
use crate::result::ds_result;
use crate::runtime::ds_runtime;
use crate::types::*;

impl Shared for GpuDevice {
    type Raw = ds_gpu_device;
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
    /// DS_GPU_QUEUES_NORMAL or DS_GPU_QUEUES_YIELD.
    pub queues: u32,
    /// Zero.
    pub reserved: u32,
}

/// The device's queues compete with others of this process as equals.
pub const DS_GPU_QUEUES_NORMAL: u32 = 0;
/// The device's queues have the lowest of Vulkan's priorities, so that others of this process go first where
/// the driver heeds it: for bulk loading beside a renderer with a device of its own.
pub const DS_GPU_QUEUES_YIELD: u32 = 1;

/// Run under the validation layers, where they are installed.
pub const DS_GPU_VALIDATE: u32 = 1;

impl Default for ds_gpu_device_options {
    fn default() -> ds_gpu_device_options {
        ds_gpu_device_options {
            struct_size: size_of::<ds_gpu_device_options>() as u32,
            flags: 0,
            device: std::ptr::null(),
            queues: DS_GPU_QUEUES_NORMAL,
            reserved: 0,
        }
    }
}

const _: () = assert!(size_of::<ds_gpu_device_options>() == 24);

// SAFETY: begins with a `u32`; the size leaves no padding; integers and raw pointers take any bytes.
unsafe impl Growing for ds_gpu_device_options {
    const VERSIONS_BYTES: &'static [usize] = &[16, 24];
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
/// On success `*out` is a reference that ds_gpu_device_release gives back; else NULL. Errors: DS_E_INVALIDARG
/// for a NULL `out`, a wrong struct_size or unknown numbers; DS_E_INVALID_DESTINATION_TYPE where there is no
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
        if options.flags & !DS_GPU_VALIDATE != 0 || options.reserved != 0 {
            return Err(Failure::INVALID);
        }
        let queue_priority = match options.queues {
            DS_GPU_QUEUES_NORMAL => DeviceOptions::default().queue_priority,
            DS_GPU_QUEUES_YIELD => 0.0,
            _ => return Err(Failure::INVALID),
        };
        // SAFETY: NULL or a string, as promised by the caller for the member.
        let name = unsafe { ffi::text(options.device) };
        let options = DeviceOptions {
            device: name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            validate: options.flags & DS_GPU_VALIDATE != 0,
            queue_priority,
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
