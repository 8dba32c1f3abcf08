//! `Batch`: uploads that the GPU carries out in one submission.
//!
//! Owns a command buffer and what it refers to until the submission is done. Bounded in jobs and in
//! bytes, so that one submission never keeps the GPU from others for long.

use std::sync::Arc;

use ash::vk;

use crate::error::{Fault, Subsystem};
use crate::hold::Landed;
use crate::queue::Outcome;

use super::commands::Recorder;
use super::copy::{BufferRange, Copies, Produced, Slice};
use super::decode::TileDecoder;
use super::device::Device;
use super::error::GpuError;
use super::memory::{Buffer, Place};
use super::placer::fault;
use super::resource::{GpuDestination, GpuDevice, SharedMemory};
use super::tile_batch::{self, TileBatch, grow};
use super::timeline::Timeline;

/// The most uploads in a batch.
pub(super) const JOBS_MAX: usize = 1024;
/// No more once so many bytes are to be written.
const BYTES_MAX: usize = 64 << 20;

/// See the file's head.
pub(super) struct Batch {
    device: Arc<Device>,
    pool: vk::CommandPool,
    commands: vk::CommandBuffer,
    jobs: Vec<Landed>,
    bytes: usize,
    tiles: TileBatch,
    /// What tiles are decoded by, while that runs.
    decoder: Option<Arc<TileDecoder>>,
    copies: Copies,
    /// Where payloads of images are laid out anew, if they must be.
    scratch: Option<Buffer>,
    /// Jobs that turned out to be impossible while the batch was recorded.
    refused: Vec<(usize, Fault)>,
    /// The staging that the commands read, while they run.
    memory: Option<Arc<SharedMemory>>,
}

/// What became of a job that was to be added.
pub(super) enum Added {
    /// It will be carried out with the others.
    Yes,
    /// There is no room for it in this batch.
    Full(Landed),
    /// It cannot be carried out.
    Refused(Landed, Fault),
}

// SAFETY: a batch is used by one thread at a time; its pool is nobody else's.
unsafe impl Send for Batch {}

impl Batch {
    pub(super) fn new(device: &GpuDevice) -> Result<Batch, GpuError> {
        let device = Arc::clone(device.device());
        let mut batch = Batch {
            pool: vk::CommandPool::null(),
            commands: vk::CommandBuffer::null(),
            jobs: Vec::with_capacity(JOBS_MAX),
            bytes: 0,
            tiles: TileBatch::default(),
            decoder: None,
            copies: Copies::new(device.caps().queue_family),
            scratch: None,
            refused: Vec::new(),
            memory: None,
            device,
        };
        let device = &batch.device;
        let info = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::TRANSIENT)
            .queue_family_index(device.caps().queue_family);
        // SAFETY: a family that the device has queues of.
        let pool = unsafe { device.raw().create_command_pool(&info, None) };
        batch.pool = device.check("vkCreateCommandPool", pool)?;
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(batch.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        // SAFETY: a live pool that nobody else uses.
        let buffers = unsafe { device.raw().allocate_command_buffers(&info) };
        batch.commands = device.check("vkAllocateCommandBuffers", buffers)?[0];
        Ok(batch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Adds a job, if it can; `memory` is the staging that it is in.
    pub(super) fn add(&mut self, job: Landed, memory: &SharedMemory) -> Added {
        let bytes = match job.upload.decode {
            None => job.upload.destination.bytes(),
            Some(bytes) => bytes as usize,
        };
        let full = self.jobs.len() == JOBS_MAX || self.bytes + bytes > BYTES_MAX;
        if full && !self.jobs.is_empty() {
            return Added::Full(job);
        }
        if let Some(bytes) = job.upload.decode {
            let base = memory.span(0, 0).address();
            match self.tiles.add(self.jobs.len(), &job.upload, bytes, base) {
                tile_batch::Added::Yes => {}
                tile_batch::Added::Full => return Added::Full(job),
                tile_batch::Added::Corrupt(fault) => return Added::Refused(job, fault),
            }
        }
        self.bytes += bytes;
        self.jobs.push(job);
        Added::Yes
    }

    pub(super) fn job_len(&self) -> usize {
        self.jobs.len()
    }

    /// Takes the jobs back out, last first; the batch was not submitted.
    pub(super) fn take_jobs(&mut self) -> Vec<Landed> {
        let jobs = self.jobs.drain(..).rev().collect();
        self.reset();
        jobs
    }

    /// Whether it needs a decoder.
    fn has_tiles(&self) -> bool {
        !self.tiles.is_empty()
    }

    /// Records the batch and submits it; `timeline` gets `value` when it is done.
    pub(super) fn submit(
        &mut self,
        memory: Arc<SharedMemory>,
        decoder: Option<Arc<TileDecoder>>,
        queue: usize,
        timeline: &Timeline,
        value: u64,
    ) -> Result<(), GpuError> {
        self.begin()?;
        if self.has_tiles() {
            let decoder = decoder.as_ref();
            let decoder = decoder.ok_or(GpuError::Argument("tiles without a decoder"))?;
            let device = Arc::clone(&self.device);
            let recorder = Recorder {
                device: &device,
                raw: self.commands,
            };
            self.tiles
                .record(&device, decoder, memory.buffer(), &recorder)?;
        }
        self.copy_from(&memory)?;
        let device = self.device.raw();
        // SAFETY: recording, as begun above.
        let ended = unsafe { device.end_command_buffer(self.commands) };
        self.device.check("vkEndCommandBuffer", ended)?;
        self.memory = Some(memory);
        self.decoder = decoder;

        let (values, semaphores) = ([value], [timeline.raw()]);
        let mut signal =
            vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let buffers = [self.commands];
        let submit = vk::SubmitInfo::default()
            .command_buffers(&buffers)
            .signal_semaphores(&semaphores)
            .push_next(&mut signal);
        // SAFETY: an executable buffer of this device's family; what it names lives until `finish` or
        // `fail`: staging by `memory`, destinations by the jobs. The value is above all before.
        unsafe { self.device.submit(queue, &[submit], vk::Fence::null()) }
    }

    fn begin(&mut self) -> Result<(), GpuError> {
        let device = self.device.raw();
        let flags = vk::CommandPoolResetFlags::empty();
        // SAFETY: the pool's only buffer is not pending: an idle batch has ended.
        let reset = unsafe { device.reset_command_pool(self.pool, flags) };
        self.device.check("vkResetCommandPool", reset)?;
        let info = vk::CommandBufferBeginInfo::default()
            .flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: in the initial state after the reset.
        let begun = unsafe { device.begin_command_buffer(self.commands, &info) };
        self.device.check("vkBeginCommandBuffer", begun)
    }

    /// Copies what is not decoded in place.
    fn copy_from(&mut self, memory: &SharedMemory) -> Result<(), GpuError> {
        let base = memory.span(0, 0).address();
        for (index, job) in self.jobs.iter().enumerate() {
            if job.upload.decode.is_none() {
                let source = Slice {
                    buffer: memory.buffer().raw(),
                    offset: (job.upload.payload.address() - base) as u64,
                };
                push(&mut self.copies, source, index, job, &mut self.refused);
            }
        }
        if let Some(scratch) = self.tiles.scratch() {
            for (index, offset) in self.tiles.in_scratch() {
                let source = Slice {
                    buffer: scratch.raw(),
                    offset,
                };
                let job = &self.jobs[index];
                push(&mut self.copies, source, index, job, &mut self.refused);
            }
        }
        let bytes = self.copies.scratch_bytes();
        if bytes > 0 {
            grow(&mut self.scratch, &self.device, Place::Device, bytes)?;
        }
        let scratch = self
            .scratch
            .as_ref()
            .map_or(vk::Buffer::null(), Buffer::raw);
        let produced = match self.has_tiles() {
            true => Produced::Gpu {
                stages: vk::PipelineStageFlags::COMPUTE_SHADER,
                accesses: vk::AccessFlags::SHADER_WRITE,
            },
            false => Produced::Host,
        };
        let device = self.device.raw();
        // SAFETY: recording, for a queue of the device's family. Sources are inside staging or scratch
        // (they were allocated there), destinations inside their resources (validation), which the jobs'
        // requests keep; all have the usages for it. The host wrote the sources, or the decoder did.
        unsafe { self.copies.record(device, self.commands, scratch, produced) };
        Ok(())
    }

    /// The submission is done: its jobs go to `finished`.
    pub(super) fn finish(&mut self, finished: &mut Vec<(Landed, Outcome)>) {
        let first = finished.len();
        finished.extend(self.jobs.drain(..).map(|job| (job, Ok(()))));
        if self.has_tiles() {
            self.tiles.finish(|job, fault| {
                let outcome = &mut finished[first + job].1;
                if outcome.is_ok() {
                    *outcome = Err(fault);
                }
            });
        }
        for (job, fault) in self.refused.drain(..) {
            finished[first + job].1 = Err(fault);
        }
        self.reset();
    }

    /// The submission failed, and runs no more.
    pub(super) fn fail(&mut self, error: &GpuError, finished: &mut Vec<(Landed, Outcome)>) {
        finished.extend(self.jobs.drain(..).map(|job| (job, Err(fault(error)))));
        self.reset();
    }

    fn reset(&mut self) {
        self.bytes = 0;
        self.tiles.clear();
        self.copies.clear();
        self.refused.clear();
        self.decoder = None;
        self.memory = None;
    }

    /// Gives back what an idle batch need not keep.
    pub(super) fn release_idle(&mut self) {
        self.tiles.release_idle();
        self.scratch = None;
    }
}

/// Adds the copy of a job's bytes from where they are in staging or scratch.
fn push(
    copies: &mut Copies,
    source: Slice,
    index: usize,
    job: &Landed,
    refused: &mut Vec<(usize, Fault)>,
) {
    match &job.upload.destination {
        GpuDestination::Buffer {
            buffer,
            offset,
            bytes,
        } => {
            let range = BufferRange {
                at: Slice {
                    buffer: buffer.raw(),
                    offset: *offset,
                },
                bytes: u64::from(*bytes),
                acquire: buffer.family(),
                release: buffer.family(),
            };
            match job.upload.write {
                None => copies.push_buffer(source, &range),
                // The other way round: staging is where the bytes go.
                Some(_) => copies.push_readback(&range, source),
            }
        }
        GpuDestination::Image { image, region, .. } => {
            if let Err(error) = copies.push_image(source, &image.part(*region)) {
                let fault = Fault::new(error.error(), Subsystem::Gpu, "copy to an image");
                refused.push((index, fault.with_detail(error.to_string())));
            }
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: nothing of it is pending: the placer's thread ends with all batches idle.
        unsafe { self.device.raw().destroy_command_pool(self.pool, None) };
    }
}
