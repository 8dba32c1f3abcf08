//! A device: ours (headless), or the application's own, with its queues.
//!
//! Owns the logical device if it made it, the locks around its queues, the flag that says the device
//! is lost, and the failures that tests inject. Everything made from a device holds an `Arc` of it,
//! so a device outlives its buffers and pipelines.
//!
//! Promises: no queue is used by two threads of ours at once; an application that shares its queues
//! gives a lock, which is held around every submission. After the first `VK_ERROR_DEVICE_LOST`
//! [`Device::is_lost`] is true for good and nothing is submitted any more.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ash::vk::{self, Handle};
use ash::{khr, nv};
use parking_lot::Mutex;

use super::error::GpuError;
use super::instance::Instance;
use super::memory::MemoryTypes;
use super::probe::{self, Caps, DeviceKind, Features};

/// As many queues of the compute family are used: batches on one queue run one after another, and
/// more than four gained nothing on the GPUs measured.
pub(super) const QUEUES_MAX: u32 = 4;

/// How to open a device of our own.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// Part of the device's name, or its number in [`super::devices`]; empty for the best one.
    pub device: String,
    /// Priority of the queues among those of this process, 0.0 to 1.0; 0.0 leaves the GPU to others
    /// first, where the driver heeds it.
    pub queue_priority: f32,
    /// Run under the validation layers if they are installed; see [`Device::take_messages`].
    pub validate: bool,
}

impl Default for DeviceOptions {
    fn default() -> DeviceOptions {
        DeviceOptions {
            device: String::new(),
            queue_priority: 0.5,
            validate: false,
        }
    }
}

/// Locks the application's queues while something is submitted to them.
///
/// Do not hold such a lock while calling the engine: a call may wait for work that waits for the lock.
pub trait QueueLock: Send + Sync {
    /// Called before a submission to queue `queue` of [`BorrowedDevice::queues`], on any thread of the
    /// engine. One thread may hold the locks of several queues.
    fn lock(&self, queue: usize);
    /// Called after it, on the same thread.
    fn unlock(&self, queue: usize);
}

/// The application's device, by its Vulkan handles.
pub struct BorrowedDevice {
    /// `vkGetInstanceProcAddr`.
    pub get_instance_proc_addr: *const c_void,
    /// A `VkInstance`.
    pub instance: u64,
    /// A `VkPhysicalDevice` of it.
    pub physical_device: u64,
    /// A `VkDevice` of that.
    pub device: u64,
    /// The family of `queues`.
    pub queue_family: u32,
    /// `VkQueue`s of that family, with compute; at least one, at most 4 are used.
    pub queues: Vec<u64>,
    /// Was `timelineSemaphore` enabled? It must be.
    pub timeline_semaphore: bool,
    /// Was `bufferDeviceAddress` enabled?
    pub buffer_device_address: bool,
    /// Was `storageBuffer8BitAccess` enabled?
    pub storage_8bit: bool,
    /// Was `shaderInt16` enabled?
    pub int16: bool,
    /// Was `shaderInt64` enabled?
    pub int64: bool,
    /// Was `vulkanMemoryModel` enabled?
    pub memory_model: bool,
    /// Were `subgroupSizeControl` and `computeFullSubgroups` enabled?
    pub subgroup_size_control: bool,
    /// Was `synchronization2` enabled?
    pub synchronization2: bool,
    /// Was `memoryDecompression` of `VK_NV_memory_decompression` enabled?
    pub decompression_nv: bool,
    /// Was `memoryDecompression` of `VK_EXT_memory_decompression` enabled?
    pub decompression_ext: bool,
    /// Held around submissions, if the application uses these queues too.
    pub lock: Option<Box<dyn QueueLock>>,
}

/// A Vulkan device and the queues of it that the engine uses. May be used by any thread.
pub struct Device {
    raw: ash::Device,
    caps: Caps,
    physical: vk::PhysicalDevice,
    memory_types: MemoryTypes,
    queues: Vec<Mutex<vk::Queue>>,
    lock: Option<Box<dyn QueueLock>>,
    decompression_nv: Option<nv::memory_decompression::Device>,
    executable_info: Option<khr::pipeline_executable_properties::Device>,
    lost: AtomicBool,
    /// Tests: so many more allocations succeed; `u32::MAX` for no limit.
    allocations_left: AtomicU32,
    /// Tests: so many more submissions succeed; `u32::MAX` for no limit.
    submissions_left: AtomicU32,
    owned: bool,
    /// Last: the device goes before its instance does.
    instance: Instance,
}

impl Device {
    /// Opens a device of our own: the one named, or the best. A software device is the last choice.
    pub fn open(options: &DeviceOptions) -> Result<Arc<Device>, GpuError> {
        let instance = Instance::new(options.validate)?;
        let (physical, caps) = choose(&instance, &options.device)?;
        let count = caps.queue_count.min(QUEUES_MAX);
        let raw = create(&instance, physical, &caps, count, options.queue_priority)?;
        let queues = (0..count).map(|index| {
            // SAFETY: so many queues of this family were asked for.
            Mutex::new(unsafe { raw.get_device_queue(caps.queue_family, index) })
        });
        let queues = queues.collect();
        Ok(Arc::new(Device::assemble(
            instance, raw, physical, caps, queues, None, true,
        )))
    }

    /// Uses the application's device.
    ///
    /// # Safety
    /// The handles are live and belong together, the features were enabled as said, and all of it
    /// stays so until the result and everything made from it is gone. Without a lock, nobody else
    /// submits to `queues`.
    pub unsafe fn borrow(borrowed: BorrowedDevice) -> Result<Arc<Device>, GpuError> {
        if borrowed.get_instance_proc_addr.is_null() || borrowed.queues.is_empty() {
            return Err(GpuError::Argument(
                "a borrowed device needs vkGetInstanceProcAddr and at least one queue",
            ));
        }
        let handles = [borrowed.instance, borrowed.physical_device, borrowed.device];
        if handles.iter().chain(&borrowed.queues).any(|raw| *raw == 0) {
            return Err(GpuError::Argument(
                "a handle of the borrowed device is NULL",
            ));
        }
        // SAFETY: the caller's promise; the pointer is not NULL, and function pointers are as wide as
        // data pointers on every system that this crate is for.
        let get = unsafe {
            std::mem::transmute::<*const c_void, vk::PFN_vkGetInstanceProcAddr>(
                borrowed.get_instance_proc_addr,
            )
        };
        let instance_handle = vk::Instance::from_raw(borrowed.instance);
        // SAFETY: the caller's promise: a live instance, and a name that ends in NUL.
        let found = unsafe { get(instance_handle, c"vkGetPhysicalDeviceProperties2".as_ptr()) };
        if found.is_none() {
            return Err(too_old());
        }
        // SAFETY: the caller's promise: a live instance that outlives the device.
        let instance = unsafe { Instance::borrow(get, instance_handle) };
        let physical = vk::PhysicalDevice::from_raw(borrowed.physical_device);
        let caps = borrowed_caps(&instance, physical, &borrowed)?;
        if let Some(missing) = caps.missing() {
            return Err(GpuError::Unsupported(missing));
        }
        let handle = vk::Device::from_raw(borrowed.device);
        // SAFETY: the caller's promise: a live device of that instance.
        let found =
            unsafe { (instance.raw).get_device_proc_addr(handle, c"vkWaitSemaphores".as_ptr()) };
        if found.is_none() {
            return Err(too_old());
        }
        // SAFETY: the caller's promise: a live device of that instance.
        let raw = unsafe { ash::Device::load(instance.raw.fp_v1_0(), handle) };
        let queues = borrowed.queues.iter().take(QUEUES_MAX as usize);
        let queues = queues.map(|queue| Mutex::new(vk::Queue::from_raw(*queue)));
        let queues = queues.collect();
        Ok(Arc::new(Device::assemble(
            instance,
            raw,
            physical,
            caps,
            queues,
            borrowed.lock,
            false,
        )))
    }

    fn assemble(
        instance: Instance,
        raw: ash::Device,
        physical: vk::PhysicalDevice,
        caps: Caps,
        queues: Vec<Mutex<vk::Queue>>,
        lock: Option<Box<dyn QueueLock>>,
        owned: bool,
    ) -> Device {
        let nv = nv::memory_decompression::Device::new;
        let executable = khr::pipeline_executable_properties::Device::new;
        let show = caps.executable_properties && owned;
        Device {
            decompression_nv: caps.decompression_nv.then(|| nv(&instance.raw, &raw)),
            executable_info: show.then(|| executable(&instance.raw, &raw)),
            memory_types: MemoryTypes::new(&instance.raw, physical),
            raw,
            caps,
            physical,
            queues,
            lock,
            lost: AtomicBool::new(false),
            allocations_left: AtomicU32::new(u32::MAX),
            submissions_left: AtomicU32::new(u32::MAX),
            owned,
            instance,
        }
    }

    /// What the device can do, as far as it is enabled.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Whether the device is gone. Once true it stays so.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// How many queues there are to submit to: 1 to 4.
    pub fn queue_len(&self) -> usize {
        self.queues.len()
    }

    /// The validation layers' messages since the last call, if the device runs under them.
    pub fn take_messages(&self) -> Vec<String> {
        self.instance.take_messages()
    }

    /// Whether the validation layers watch.
    pub fn is_validated(&self) -> bool {
        self.instance.is_validated()
    }

    pub(super) fn raw(&self) -> &ash::Device {
        &self.raw
    }

    pub(super) fn instance(&self) -> &ash::Instance {
        &self.instance.raw
    }

    pub(super) fn physical(&self) -> vk::PhysicalDevice {
        self.physical
    }

    pub(super) fn memory_types(&self) -> &MemoryTypes {
        &self.memory_types
    }

    pub(super) fn decompression_nv(&self) -> Option<&nv::memory_decompression::Device> {
        self.decompression_nv.as_ref()
    }

    pub(super) fn executable_info(&self) -> Option<&khr::pipeline_executable_properties::Device> {
        self.executable_info.as_ref()
    }

    /// What a call answered, with its name; notices the loss of the device.
    pub(super) fn check<T>(
        &self,
        call: &'static str,
        result: Result<T, vk::Result>,
    ) -> Result<T, GpuError> {
        result.map_err(|result| {
            if result == vk::Result::ERROR_DEVICE_LOST {
                self.lost.store(true, Ordering::Release);
            }
            GpuError::call(call, result)
        })
    }

    /// Submits to queue `queue % queue_len()`, under its locks.
    ///
    /// # Safety
    /// As `vkQueueSubmit`: what the submission names is valid, complete, and of this device, and the
    /// fence is not in use.
    pub(super) unsafe fn submit(
        &self,
        queue: usize,
        submits: &[vk::SubmitInfo<'_>],
        fence: vk::Fence,
    ) -> Result<(), GpuError> {
        const CALL: &str = "vkQueueSubmit";
        if self.is_lost() || !take_one(&self.submissions_left) {
            return self.check(CALL, Err(vk::Result::ERROR_DEVICE_LOST));
        }
        let index = queue % self.queues.len();
        let queue = self.queues[index].lock();
        if let Some(lock) = &self.lock {
            lock.lock(index);
        }
        // SAFETY: the caller's promise; the queue is ours alone while both locks are held.
        let result = unsafe { self.raw.queue_submit(*queue, submits, fence) };
        if let Some(lock) = &self.lock {
            lock.unlock(index);
        }
        self.check(CALL, result)
    }

    /// For tests: after `count` more allocations of GPU memory, all fail. `u32::MAX` ends it.
    #[doc(hidden)]
    pub fn fail_allocations_after(&self, count: u32) {
        self.allocations_left.store(count, Ordering::Release);
    }

    /// For tests: after `count` more submissions the device counts as lost.
    #[doc(hidden)]
    pub fn lose_after_submissions(&self, count: u32) {
        self.submissions_left.store(count, Ordering::Release);
    }

    /// Whether an allocation may be tried.
    pub(super) fn may_allocate(&self) -> bool {
        take_one(&self.allocations_left)
    }
}

/// Takes one of what is left; without a limit there is always one.
fn take_one(left: &AtomicU32) -> bool {
    let next = |left| match left {
        u32::MAX => Some(u32::MAX),
        left => u32::checked_sub(left, 1),
    };
    left.fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
        .is_ok()
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("name", &self.caps.name)
            .field("queues", &self.queues.len())
            .field("owned", &self.owned)
            .finish_non_exhaustive()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: whatever was made from this device held it, so all of it is gone; whoever
            // submitted has waited, as Commands and the batches do before they go.
            unsafe { self.raw.destroy_device(None) };
        }
    }
}

/// The device that `wanted` names, or the best one.
fn choose(instance: &Instance, wanted: &str) -> Result<(vk::PhysicalDevice, Caps), GpuError> {
    let devices = instance.physical_devices()?;
    let count = devices.len();
    let mut best: Option<(vk::PhysicalDevice, Caps)> = None;
    let mut refused = Vec::new();
    for (number, device) in devices.into_iter().enumerate() {
        let caps = probe::probe(&instance.raw, device);
        if !is_wanted(wanted, number, count, &caps.name) {
            refused.push(format!("{} has another name", caps.name));
            continue;
        }
        if let Some(missing) = caps.missing() {
            refused.push(format!("{} lacks {missing}", caps.name));
            continue;
        }
        if best
            .as_ref()
            .is_none_or(|(_, held)| rank(held) < rank(&caps))
        {
            best = Some((device, caps));
        }
    }
    best.ok_or_else(|| {
        let found = match refused.is_empty() {
            true => "the drivers offer none".into(),
            false => refused.join(", "),
        };
        GpuError::NoDevice(found)
    })
}

/// Whether device `number` of `count` is one that `wanted` means: all that are, if it is empty. A number that
/// some device has is that device's, and no part of another one's name.
fn is_wanted(wanted: &str, number: usize, count: usize, name: &str) -> bool {
    match wanted.parse::<usize>() {
        Ok(wanted) if wanted < count => wanted == number,
        _ => name.contains(wanted),
    }
}

/// What makes a device the better one: its kind, then whether our shader runs on it.
fn rank(caps: &Caps) -> (DeviceKind, bool) {
    (caps.kind, caps.missing_for_shader().is_none())
}

/// Creates the logical device with every feature of [`Caps`] enabled.
fn create(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    caps: &Caps,
    queue_count: u32,
    priority: f32,
) -> Result<ash::Device, GpuError> {
    let priority = match priority.is_nan() {
        true => 0.0,
        false => priority.clamp(0.0, 1.0),
    };
    let priorities = vec![priority; queue_count as usize];
    let queues = [vk::DeviceQueueCreateInfo::default()
        .queue_family_index(caps.queue_family)
        .queue_priorities(&priorities)];
    let names = extension_names(caps);
    let mut features = Features::enabling(caps);
    let mut info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_extension_names(&names)
        .enabled_features(&features.core)
        .push_next(&mut features.v12);
    if caps.subgroup_size_control {
        info = info.push_next(&mut features.size_control);
    }
    if caps.synchronization2 {
        info = info.push_next(&mut features.synchronization2);
    }
    if caps.decompression_nv {
        info = info.push_next(&mut features.decompression_nv);
    }
    if caps.executable_properties {
        info = info.push_next(&mut features.executable);
    }
    // SAFETY: all that `info` points to lives in this function; features and extensions were found
    // on this device.
    let device = unsafe { instance.raw.create_device(physical, &info, None) };
    device.map_err(|result| GpuError::call("vkCreateDevice", result))
}

/// Extensions to enable: what of [`Caps`] is not core in Vulkan 1.3.
fn extension_names(caps: &Caps) -> Vec<*const c_char> {
    let at_1_3 = caps.api_version >= [1, 3, 0];
    let optional = [
        (
            caps.subgroup_size_control && !at_1_3,
            ash::ext::subgroup_size_control::NAME,
        ),
        (
            caps.synchronization2 && !at_1_3,
            khr::synchronization2::NAME,
        ),
        (caps.decompression_nv, nv::memory_decompression::NAME),
        (
            caps.executable_properties,
            khr::pipeline_executable_properties::NAME,
        ),
        (caps.external_semaphore_fd, khr::external_semaphore_fd::NAME),
    ];
    let there = optional.into_iter().filter(|(there, _)| *there);
    there.map(|(_, name)| name.as_ptr()).collect()
}

impl Features {
    fn enabling(caps: &Caps) -> Features {
        let mut features = Features::default();
        features.v12 = features
            .v12
            .timeline_semaphore(caps.timeline_semaphore)
            .buffer_device_address(caps.buffer_device_address)
            .storage_buffer8_bit_access(caps.storage_8bit)
            .vulkan_memory_model(caps.memory_model);
        features.core = features
            .core
            .shader_int16(caps.int16)
            .shader_int64(caps.int64)
            .texture_compression_bc(caps.texture_bc)
            .texture_compression_etc2(caps.texture_etc2)
            .texture_compression_astc_ldr(caps.texture_astc);
        features.size_control = features
            .size_control
            .subgroup_size_control(caps.subgroup_size_control)
            .compute_full_subgroups(caps.subgroup_size_control);
        features.synchronization2 = features
            .synchronization2
            .synchronization2(caps.synchronization2);
        features.decompression_nv = features
            .decompression_nv
            .memory_decompression(caps.decompression_nv);
        features.executable = features
            .executable
            .pipeline_executable_info(caps.executable_properties);
        features
    }
}

/// The application asked for less than its GPU has, so functions that we call are not there.
fn too_old() -> GpuError {
    GpuError::Unsupported("Vulkan 1.2 in the application's VkApplicationInfo::apiVersion".into())
}

/// What a borrowed device can do: no more than was enabled.
fn borrowed_caps(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    borrowed: &BorrowedDevice,
) -> Result<Caps, GpuError> {
    let mut caps = probe::probe(&instance.raw, physical);
    let count = u32::try_from(borrowed.queues.len()).unwrap_or(u32::MAX);
    probe::use_family(&instance.raw, physical, borrowed.queue_family, &mut caps)?;
    if count > caps.queue_count {
        return Err(GpuError::Argument("more queues than their family has"));
    }
    caps.queue_count = count;
    caps.timeline_semaphore &= borrowed.timeline_semaphore;
    caps.buffer_device_address &= borrowed.buffer_device_address;
    caps.storage_8bit &= borrowed.storage_8bit;
    caps.int16 &= borrowed.int16;
    caps.int64 &= borrowed.int64;
    caps.memory_model &= borrowed.memory_model;
    caps.subgroup_size_control &= borrowed.subgroup_size_control;
    caps.synchronization2 &= borrowed.synchronization2;
    caps.decompression_nv &= borrowed.decompression_nv;
    caps.decompression_ext &= borrowed.decompression_ext;
    caps.executable_properties = false;
    caps.external_semaphore_fd = false;
    Ok(caps)
}

#[cfg(test)]
mod tests {
    use super::is_wanted;

    #[test]
    fn a_device_is_meant_by_its_number_or_by_part_of_its_name() {
        // Every name has a 1, and there is a device 1.
        let names = ["NVIDIA H100", "NVIDIA H200 (1)", "llvmpipe (LLVM 15)"];
        let meant = |wanted: &str| -> Vec<usize> {
            let meant = |(number, name): &(usize, &&str)| is_wanted(wanted, *number, 3, name);
            let found = names.iter().enumerate().filter(meant);
            found.map(|(number, _)| number).collect()
        };
        assert_eq!(meant("1"), [1]);
        assert_eq!(meant("200"), [1]);
        assert_eq!(meant("pipe"), [2]);
        assert_eq!(meant(""), [0, 1, 2]);
        assert_eq!(meant("3080"), [0usize; 0]);
    }
}
