//! A command buffer, run and waited for: for work that one thread does by itself.
//!
//! Owns its pool, buffer and fence. The batches of a queue do not come this way, since waiting for
//! each submission costs half a millisecond; tests, tools and set-up do.

use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::error::GpuError;
use super::memory::Buffer;

/// Records commands, runs them, waits. Used by one thread at a time.
pub struct Commands {
    pool: vk::CommandPool,
    raw: vk::CommandBuffer,
    fence: vk::Fence,
    device: Arc<Device>,
}

impl Commands {
    /// Without any commands.
    pub fn new(device: &Arc<Device>) -> Result<Commands, GpuError> {
        let mut commands = Commands {
            pool: vk::CommandPool::null(),
            raw: vk::CommandBuffer::null(),
            fence: vk::Fence::null(),
            device: Arc::clone(device),
        };
        let info =
            vk::CommandPoolCreateInfo::default().queue_family_index(device.caps().queue_family);
        // SAFETY: a family that the device has queues of.
        let pool = unsafe { device.raw().create_command_pool(&info, None) };
        commands.pool = device.check("vkCreateCommandPool", pool)?;
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(commands.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        // SAFETY: a live pool that nobody else uses.
        let buffers = unsafe { device.raw().allocate_command_buffers(&info) };
        commands.raw = device.check("vkAllocateCommandBuffers", buffers)?[0];
        let info = vk::FenceCreateInfo::default();
        // SAFETY: nothing to ask.
        let fence = unsafe { device.raw().create_fence(&info, None) };
        commands.fence = device.check("vkCreateFence", fence)?;
        Ok(commands)
    }

    /// Records with `record`, submits to the first queue and waits until all is done, and what the
    /// device wrote is visible to the host.
    pub(super) fn run(
        &mut self,
        record: impl FnOnce(&Recorder<'_>) -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        let device = Arc::clone(&self.device);
        let raw = device.raw();
        let flags = vk::CommandPoolResetFlags::empty();
        // SAFETY: the pool's only buffer is not pending: the last run waited for it.
        let reset = unsafe { raw.reset_command_pool(self.pool, flags) };
        device.check("vkResetCommandPool", reset)?;
        let info = vk::CommandBufferBeginInfo::default()
            .flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: in the initial state after the reset.
        let begun = unsafe { raw.begin_command_buffer(self.raw, &info) };
        device.check("vkBeginCommandBuffer", begun)?;
        let recorder = Recorder {
            device: &device,
            raw: self.raw,
        };
        record(&recorder)?;
        recorder.barrier();
        // SAFETY: recording, as begun above.
        let ended = unsafe { raw.end_command_buffer(self.raw) };
        device.check("vkEndCommandBuffer", ended)?;
        self.submit_and_wait()
    }

    fn submit_and_wait(&mut self) -> Result<(), GpuError> {
        let device = &self.device;
        let fences = [self.fence];
        // SAFETY: not pending: the last run waited for it.
        let reset = unsafe { device.raw().reset_fences(&fences) };
        device.check("vkResetFences", reset)?;
        let buffers = [self.raw];
        let submit = vk::SubmitInfo::default().command_buffers(&buffers);
        // SAFETY: an executable buffer of this device's family, and a fence that was just reset; what
        // the commands name is kept by `run`'s caller, which waits here.
        unsafe { device.submit(0, &[submit], self.fence) }?;
        // SAFETY: a live fence, submitted above.
        let waited = unsafe { device.raw().wait_for_fences(&fences, true, u64::MAX) };
        device.check("vkWaitForFences", waited)
    }

    /// Fills `buffer` from `offset` on with the word, `bytes` bytes; both multiples of 4.
    pub fn fill(
        &mut self,
        buffer: &Buffer,
        offset: u64,
        bytes: u64,
        word: u32,
    ) -> Result<(), GpuError> {
        if !offset.is_multiple_of(4) || !bytes.is_multiple_of(4) || bytes == 0 {
            return Err(GpuError::Argument("a fill not of whole words"));
        }
        self.check_range(buffer, offset, bytes)?;
        self.run(|recorder| {
            recorder.fill(buffer, offset, bytes, word);
            Ok(())
        })
    }

    /// Copies `bytes` bytes between buffers.
    pub fn copy(
        &mut self,
        source: (&Buffer, u64),
        target: (&Buffer, u64),
        bytes: u64,
    ) -> Result<(), GpuError> {
        self.check_range(source.0, source.1, bytes)?;
        self.check_range(target.0, target.1, bytes)?;
        if source.0.raw() == target.0.raw() || bytes == 0 {
            return Err(GpuError::Argument(
                "a copy within one buffer, or of nothing",
            ));
        }
        self.run(|recorder| {
            recorder.copy(source, target, bytes);
            Ok(())
        })
    }

    /// Whether the range is inside the buffer, and the buffer of this device.
    fn check_range(&self, buffer: &Buffer, offset: u64, bytes: u64) -> Result<(), GpuError> {
        if !Arc::ptr_eq(buffer.device(), &self.device) {
            return Err(GpuError::Argument("a buffer of another device"));
        }
        match offset.checked_add(bytes) {
            Some(end) if end <= buffer.bytes() => Ok(()),
            _ => Err(GpuError::Argument("a range outside its buffer")),
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        let device = self.device.raw();
        // SAFETY: nothing of it is pending: every run waits, or the device is lost.
        unsafe { device.destroy_fence(self.fence, None) };
        // SAFETY: as above; its buffer goes with it.
        unsafe { device.destroy_command_pool(self.pool, None) };
    }
}

/// A command buffer while it records.
pub(super) struct Recorder<'a> {
    pub(super) device: &'a Device,
    pub(super) raw: vk::CommandBuffer,
}

impl Recorder<'_> {
    /// Everything before is done and visible to everything after, and to the host.
    pub(super) fn barrier(&self) {
        let stages = vk::PipelineStageFlags::ALL_COMMANDS;
        let target = stages | vk::PipelineStageFlags::HOST;
        let barrier = vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::MEMORY_WRITE)
            .dst_access_mask(
                vk::AccessFlags::MEMORY_READ
                    | vk::AccessFlags::MEMORY_WRITE
                    | vk::AccessFlags::HOST_READ,
            );
        let flags = vk::DependencyFlags::empty();
        let barriers = [barrier];
        let device = self.device.raw();
        // SAFETY: recording, outside a render pass; stages and accesses that every queue has.
        unsafe {
            device.cmd_pipeline_barrier(self.raw, stages, target, flags, &barriers, &[], &[])
        };
    }

    /// Fills whole words; the caller has checked the range.
    pub(super) fn fill(&self, buffer: &Buffer, offset: u64, bytes: u64, word: u32) {
        let device = self.device.raw();
        // SAFETY: recording; a multiple of 4 inside the buffer, which can be a transfer's target.
        unsafe { device.cmd_fill_buffer(self.raw, buffer.raw(), offset, bytes, word) };
    }

    /// Copies between two buffers; the caller has checked the ranges.
    pub(super) fn copy(&self, source: (&Buffer, u64), target: (&Buffer, u64), bytes: u64) {
        let region = vk::BufferCopy::default()
            .src_offset(source.1)
            .dst_offset(target.1)
            .size(bytes);
        let device = self.device.raw();
        let (source, target) = (source.0.raw(), target.0.raw());
        // SAFETY: recording; ranges inside two different buffers with the usages for it.
        unsafe { device.cmd_copy_buffer(self.raw, source, target, &[region]) };
    }
}
