//! `Timeline`: a semaphore with a 64-bit value that only grows, signalled by queues or by the host.
//!
//! Owns the semaphore. The values are the caller's to keep growing.

use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::error::GpuError;

/// See the file's head.
pub(super) struct Timeline {
    raw: vk::Semaphore,
    device: Arc<Device>,
}

impl Timeline {
    /// With the value `initial`.
    pub(super) fn new(device: &Arc<Device>, initial: u64) -> Result<Timeline, GpuError> {
        let mut kind = vk::SemaphoreTypeCreateInfo::default()
            .semaphore_type(vk::SemaphoreType::TIMELINE)
            .initial_value(initial);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the timelineSemaphore feature is enabled on every device we take.
        let raw = unsafe { device.raw().create_semaphore(&info, None) };
        Ok(Timeline {
            raw: device.check("vkCreateSemaphore", raw)?,
            device: Arc::clone(device),
        })
    }

    pub(super) fn raw(&self) -> vk::Semaphore {
        self.raw
    }

    /// The value now.
    pub(super) fn value(&self) -> Result<u64, GpuError> {
        value_of(&self.device, self.raw)
    }

    /// Sets a greater value, from the host.
    pub(super) fn signal(&self, value: u64) -> Result<(), GpuError> {
        signal(&self.device, self.raw, value)
    }
}

impl std::fmt::Debug for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.raw)
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        // SAFETY: ours; whoever submitted something that signals it has waited for that.
        unsafe { self.device.raw().destroy_semaphore(self.raw, None) };
    }
}

/// The value of a live timeline semaphore of the device.
pub(super) fn value_of(device: &Device, semaphore: vk::Semaphore) -> Result<u64, GpuError> {
    // SAFETY: a live timeline semaphore of this device, by this function's contract.
    let value = unsafe { device.raw().get_semaphore_counter_value(semaphore) };
    device.check("vkGetSemaphoreCounterValue", value)
}

/// Sets a greater value from the host on a live timeline semaphore of the device.
pub(super) fn signal(
    device: &Device,
    semaphore: vk::Semaphore,
    value: u64,
) -> Result<(), GpuError> {
    let info = vk::SemaphoreSignalInfo::default()
        .semaphore(semaphore)
        .value(value);
    // SAFETY: a live timeline semaphore of this device; that the value grows is this function's contract.
    let signalled = unsafe { device.raw().signal_semaphore(&info) };
    device.check("vkSignalSemaphore", signalled)
}

/// Sleeps until one of the semaphores has its value, or for `timeout_ns`; says whether one has.
pub(super) fn wait_any(
    device: &Device,
    semaphores: &[vk::Semaphore],
    values: &[u64],
    timeout_ns: u64,
) -> Result<bool, GpuError> {
    assert_eq!(semaphores.len(), values.len(), "a value for each semaphore");
    let info = vk::SemaphoreWaitInfo::default()
        .flags(vk::SemaphoreWaitFlags::ANY)
        .semaphores(semaphores)
        .values(values);
    // SAFETY: live timeline semaphores of this device, as many as values.
    match unsafe { device.raw().wait_semaphores(&info, timeout_ns) } {
        Ok(()) => Ok(true),
        Err(vk::Result::TIMEOUT) => Ok(false),
        Err(error) => device.check("vkWaitSemaphores", Err(error)),
    }
}
