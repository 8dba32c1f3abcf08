//! `Placer`: takes uploads whose bytes are in staging to their end in GPU resources.
//!
//! Owns the staging pool of one device in one runtime, and the thread that feeds the device. Uploads
//! come in through an inbox from I/O threads and host workers; the thread collects them into batches,
//! and sleeps in one wait for whichever comes first: a batch that is done, or a new upload. Nobody waits
//! for the GPU but this thread, and never for one request.
//!
//! After the device is lost every upload, waiting or to come, fails with that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::backend::GpuDecode;
use crate::config::cores;
use crate::error::{Error, Fault, Subsystem};
use crate::hold::Upload;
use crate::queue::{CompressionSupport, Outcome, PRIORITY_COUNT, QueueCore};
use crate::runtime::spawn_thread;
use crate::slots::Token;
use crate::staging::Staging;

use super::batch::{Added, Batch, Job};
use super::decode::{TileDecoder, TilePath};
use super::error::GpuError;
use super::probe::DeviceKind;
use super::resource::{GpuDevice, SharedMemory};
use super::timeline::{Timeline, wait_any};

/// A device's pool holds what comes in and what the host makes of it: twice the configured size, and
/// room for a direct read's ends and the page between the two.
const STAGING_SLACK_BYTES: usize = 64 << 10;
/// After so long without work, idle staging goes back.
const IDLE_RELEASE: Duration = Duration::from_secs(2);
/// Batches of one GPU queue at a time: one runs, the next is there when it ends.
const BATCHES: usize = 2;
/// A second batch is worth its submission only if it has so much to do; less waits for company.
const SECOND_BATCH_BYTES: usize = 4 << 20;
/// A large odd number, to spread handles that differ in few bits.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// What is in flight gets so long to end after the device was lost.
const LOST_PATIENCE_NS: u64 = 2_000_000_000;

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Placer {
    device: GpuDevice,
    staging: Staging,
    inbox: Mutex<Inbox>,
    /// Wakes the thread where nothing is in flight.
    changed: Condvar,
    /// Wakes it where something is; its value counts how often.
    wake: Timeline,
    /// Tiles that wait for the GPU or are being decoded by it.
    tiles: AtomicUsize,
    /// From so many tiles on the GPU decodes faster than the host; `None` if it never does.
    crossover_tiles: Option<usize>,
    /// Which decoder it has, if any.
    path: Option<TilePath>,
    /// That decoder could not be made.
    decoder_failed: AtomicBool,
}

#[derive(Debug, Default)]
struct Inbox {
    jobs: Vec<Job>,
    asleep: Asleep,
    wakes: u64,
    stopped: bool,
}

/// How the thread sleeps, or is about to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Asleep {
    #[default]
    Not,
    /// Without the device, which has nothing to do.
    Here,
    /// In the device, until a batch ends or `wake` is above `wakes`.
    InDevice,
}

/// A placer's thread. Dropped by the last queue that has it, when nothing of that is in flight.
#[derive(Debug)]
pub(crate) struct PlacerThread {
    placer: Arc<Placer>,
    thread: Option<JoinHandle<()>>,
}

impl Placer {
    pub(crate) fn device(&self) -> &GpuDevice {
        &self.device
    }

    pub(crate) fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Whether the GPU is to decode a tile stream of `bytes` decoded bytes, behind which `waiting`
    /// requests probably like it could start.
    pub(crate) fn decodes(&self, asked: GpuDecode, bytes: u32, waiting: usize) -> bool {
        match asked {
            GpuDecode::Cpu => false,
            GpuDecode::Gpu => self.can_decode(),
            GpuDecode::Auto => self.crossover_tiles.is_some_and(|crossover| {
                let coming = tiles_of(bytes).saturating_mul(waiting + 1);
                self.can_decode() && self.tiles.load(Ordering::Relaxed) + coming >= crossover
            }),
        }
    }

    fn can_decode(&self) -> bool {
        self.path.is_some() && !self.decoder_failed.load(Ordering::Relaxed)
    }

    /// Which paths GDeflate can take on a queue that asks for `asked`.
    pub(crate) fn compression_support(&self, asked: GpuDecode) -> CompressionSupport {
        let host = CompressionSupport::CPU_FALLBACK;
        match asked {
            GpuDecode::Cpu => host,
            GpuDecode::Auto if self.crossover_tiles.is_none() => host,
            _ if !self.can_decode() => host,
            _ => CompressionSupport::GPU_FALLBACK
                .and(host)
                .and(CompressionSupport::USES_COMPUTE_QUEUE),
        }
    }

    /// Takes over an upload, whose request it completes.
    pub(crate) fn place(&self, queue: &Arc<QueueCore>, entry: Token, upload: Upload) {
        if let Some(bytes) = upload.decode {
            self.tiles.fetch_add(tiles_of(bytes), Ordering::Relaxed);
        }
        let queue = Arc::clone(queue);
        let mut inbox = self.inbox.lock();
        inbox.jobs.push(Job {
            queue,
            entry,
            upload,
        });
        self.wake(&mut inbox);
    }

    /// Under the inbox's lock, so that the semaphore's values come in order.
    fn wake(&self, inbox: &mut Inbox) {
        match std::mem::take(&mut inbox.asleep) {
            Asleep::Not => {}
            Asleep::Here => drop(self.changed.notify_one()),
            Asleep::InDevice => {
                inbox.wakes += 1;
                // It fails when the device is lost, which ends the wait as well.
                let _ = self.wake.signal(inbox.wakes);
            }
        }
    }
}

/// How many tiles make so many bytes.
fn tiles_of(bytes: u32) -> usize {
    (bytes as usize).div_ceil(64 << 10)
}

impl PlacerThread {
    /// Starts a thread for a device, with a pool for requests of at most `staging_bytes`.
    pub(crate) fn start(device: &GpuDevice, staging_bytes: usize) -> Result<PlacerThread, Error> {
        let start = || -> Result<(Arc<Placer>, Vec<Outlet>), GpuError> {
            let pool_bytes = 2 * staging_bytes + STAGING_SLACK_BYTES;
            let placer = Arc::new(Placer {
                device: device.clone(),
                staging: Staging::of_device(device, pool_bytes),
                inbox: Mutex::default(),
                changed: Condvar::new(),
                wake: Timeline::new(device.device(), 0)?,
                tiles: AtomicUsize::new(0),
                crossover_tiles: crossover_tiles(device),
                path: TilePath::best(device.device()).ok(),
                decoder_failed: AtomicBool::new(false),
            });
            let queues = 0..device.device().queue_len();
            let outlets = queues.map(|index| Outlet::new(device, index));
            Ok((placer, outlets.collect::<Result<_, _>>()?))
        };
        let (placer, outlets) = start().map_err(|error| {
            log::warn!(target: "ds", "no queue on {}: {error}", device.name());
            Error::from(error)
        })?;
        let worker = Worker {
            placer: Arc::clone(&placer),
            outlets,
            decoder: None,
            waiting: Waiting::default(),
            finished: Vec::new(),
            outcomes: Vec::new(),
        };
        let thread = spawn_thread("ds-gpu", move || worker.run())?;
        Ok(PlacerThread {
            placer,
            thread: Some(thread),
        })
    }

    pub(crate) fn placer(&self) -> &Arc<Placer> {
        &self.placer
    }
}

impl Drop for PlacerThread {
    fn drop(&mut self) {
        let mut inbox = self.placer.inbox.lock();
        inbox.stopped = true;
        self.placer.wake(&mut inbox);
        drop(inbox);
        if let Some(thread) = self.thread.take() {
            // Engine threads abort the process rather than unwind.
            let _ = thread.join();
        }
        self.placer.staging.release_idle();
    }
}

/// One of the device's queues and its batches.
struct Outlet {
    index: usize,
    timeline: Timeline,
    /// The value of the last submission.
    submitted: u64,
    /// In flight, oldest first.
    running: VecDeque<Batch>,
    idle: Vec<Batch>,
    /// Jobs that this queue must carry out.
    bound: Waiting,
}

impl Outlet {
    fn new(device: &GpuDevice, index: usize) -> Result<Outlet, GpuError> {
        let batches = (0..BATCHES).map(|_| Batch::new(device));
        Ok(Outlet {
            index,
            timeline: Timeline::new(device.device(), 0)?,
            submitted: 0,
            running: VecDeque::with_capacity(BATCHES),
            idle: batches.collect::<Result<_, _>>()?,
            bound: Waiting::default(),
        })
    }

    /// The value at which the oldest batch is done.
    fn next_value(&self) -> Option<u64> {
        let older = self.running.len().checked_sub(1)?;
        Some(self.submitted - older as u64)
    }
}

/// Jobs that are in no batch yet.
#[derive(Default)]
struct Waiting {
    /// By priority, highest last.
    jobs: [VecDeque<Job>; PRIORITY_COUNT],
    bytes: usize,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.jobs.iter().all(VecDeque::is_empty)
    }

    fn push(&mut self, job: Job) {
        self.bytes += job.upload.payload.bytes();
        self.jobs[job.queue.priority_index()].push_back(job);
    }

    /// The next one, most urgent first.
    fn pop(&mut self) -> Option<Job> {
        let job = self.jobs.iter_mut().rev().find_map(VecDeque::pop_front)?;
        self.bytes -= job.upload.payload.bytes();
        Some(job)
    }

    /// Puts back what `pop` gave.
    fn unpop(&mut self, job: Job) {
        self.bytes += job.upload.payload.bytes();
        self.jobs[job.queue.priority_index()].push_front(job);
    }
}

/// The thread's own.
struct Worker {
    placer: Arc<Placer>,
    outlets: Vec<Outlet>,
    /// Made for the first tiles.
    decoder: Option<Arc<TileDecoder>>,
    waiting: Waiting,
    /// Done, for the moment between.
    finished: Vec<(Job, Outcome)>,
    outcomes: Vec<(Token, Outcome)>,
}

impl Worker {
    fn run(mut self) {
        let mut result = Ok(());
        while result.is_ok() && self.take_inbox() {
            result = self.round();
        }
        if let Err(error) = result {
            log::error!(target: "ds", "{}: {error}", self.placer.device.name());
            self.drain(&error);
            while self.take_inbox() {
                self.fail_waiting(&error);
                self.sleep_without_device();
            }
        }
    }

    /// Takes what came in; `false` once the thread is to end.
    fn take_inbox(&mut self) -> bool {
        let mut inbox = self.placer.inbox.lock();
        inbox.asleep = Asleep::Not;
        for job in inbox.jobs.drain(..) {
            match job.upload.destination.affinity() {
                None => self.waiting.push(job),
                Some(number) => {
                    let index = number.wrapping_mul(SPREAD) >> 32;
                    let index = index as usize % self.outlets.len();
                    self.outlets[index].bound.push(job);
                }
            }
        }
        !inbox.stopped
    }

    fn round(&mut self) -> Result<(), GpuError> {
        self.reap()?;
        while self.submit_one()? {}
        self.sleep()
    }

    /// Completes the batches that are done.
    fn reap(&mut self) -> Result<(), GpuError> {
        for outlet in &mut self.outlets {
            if outlet.running.is_empty() {
                continue;
            }
            let reached = outlet.timeline.value()?;
            while outlet.next_value().is_some_and(|value| value <= reached) {
                let mut batch = outlet.running.pop_front().expect("it has a value");
                batch.finish(&mut self.finished);
                outlet.idle.push(batch);
            }
        }
        self.complete();
        Ok(())
    }

    /// Gives the memory of finished jobs back and completes their requests, with one lock for those of
    /// one queue that stand together.
    fn complete(&mut self) {
        let staging = &self.placer.staging;
        let mut finished = self.finished.drain(..).peekable();
        while let Some((job, outcome)) = finished.next() {
            if let Some(bytes) = job.upload.decode {
                let tiles = tiles_of(bytes);
                self.placer.tiles.fetch_sub(tiles, Ordering::Relaxed);
            }
            let next = staging.free(job.upload.range);
            self.outcomes.push((job.entry, outcome));
            let same = finished
                .peek()
                .is_some_and(|(other, _)| Arc::ptr_eq(&other.queue, &job.queue));
            if !same {
                job.queue.shared.try_staging_again(staging, next);
                job.queue.complete(self.outcomes.drain(..));
            }
        }
    }

    /// Fills and submits one batch, if there is one worth it; says whether.
    fn submit_one(&mut self) -> Result<bool, GpuError> {
        let common = &self.waiting;
        let has_work = |outlet: &&mut Outlet| {
            let bytes = common.bytes + outlet.bound.bytes;
            let any = !common.is_empty() || !outlet.bound.is_empty();
            let worth_it = outlet.running.is_empty() || bytes >= SECOND_BATCH_BYTES;
            any && worth_it && !outlet.idle.is_empty()
        };
        let outlets = self.outlets.iter_mut().filter(has_work);
        let Some(outlet) = outlets.min_by_key(|outlet| outlet.running.len()) else {
            return Ok(false);
        };
        let memory = self.placer.staging.shared_memory();
        let memory = memory.ok_or(GpuError::Argument("an upload without staging"))?;
        let mut batch = outlet.idle.pop().expect("an outlet with an idle batch");
        for waiting in [&mut outlet.bound, &mut self.waiting] {
            fill(&mut batch, &memory, waiting, &mut self.finished);
        }
        let submitted = match batch.is_empty() {
            true => Ok(()),
            false => {
                let value = outlet.submitted + 1;
                decoder_for(&batch, &mut self.decoder, &self.placer).and_then(|decoder| {
                    batch.submit(memory, decoder, outlet.index, &outlet.timeline, value)
                })
            }
        };
        match submitted {
            Ok(()) if batch.is_empty() => outlet.idle.push(batch),
            Ok(()) => {
                outlet.submitted += 1;
                outlet.running.push_back(batch);
            }
            Err(error) => {
                batch.fail(&error, &mut self.finished);
                outlet.idle.push(batch);
                self.complete();
                // Without memory for this batch the next, or the same again later, may still do.
                return match error.is_device_lost() {
                    true => Err(error),
                    false => Ok(true),
                };
            }
        }
        self.complete();
        Ok(true)
    }

    /// Sleeps until a batch is done or something comes in.
    fn sleep(&mut self) -> Result<(), GpuError> {
        let mut semaphores = [self.placer.wake.raw(); 1 + super::device::QUEUES_MAX as usize];
        let mut values = [0; 1 + super::device::QUEUES_MAX as usize];
        let mut count = 1;
        for outlet in &self.outlets {
            if let Some(value) = outlet.next_value() {
                semaphores[count] = outlet.timeline.raw();
                values[count] = value;
                count += 1;
            }
        }
        let mut inbox = self.placer.inbox.lock();
        if !inbox.jobs.is_empty() || inbox.stopped {
            return Ok(());
        }
        if count > 1 {
            inbox.asleep = Asleep::InDevice;
            values[0] = inbox.wakes + 1;
            drop(inbox);
            let device = self.placer.device.device();
            return wait_any(device, &semaphores[..count], &values[..count], u64::MAX).map(drop);
        }
        inbox.asleep = Asleep::Here;
        if !self.placer.staging.holds_memory() {
            self.placer.changed.wait(&mut inbox);
        } else if self
            .placer
            .changed
            .wait_for(&mut inbox, IDLE_RELEASE)
            .timed_out()
        {
            drop(inbox);
            self.release_idle();
        }
        Ok(())
    }

    /// Gives back what a device without work need not keep.
    fn release_idle(&mut self) {
        self.placer.staging.release_idle();
        for batch in self.outlets.iter_mut().flat_map(|outlet| &mut outlet.idle) {
            batch.release_idle();
        }
    }

    /// Ends everything with the device's failure, once it no longer runs.
    fn drain(&mut self, error: &GpuError) {
        let device = Arc::clone(self.placer.device.device());
        for outlet in &mut self.outlets {
            if outlet.running.is_empty() {
                continue;
            }
            let (semaphores, values) = ([outlet.timeline.raw()], [outlet.submitted]);
            // Whether it ended or cannot end any more: nobody will know of its results.
            let _ = wait_any(&device, &semaphores, &values, LOST_PATIENCE_NS);
            for mut batch in outlet.running.drain(..) {
                batch.fail(error, &mut self.finished);
                outlet.idle.push(batch);
            }
        }
        self.complete();
        self.fail_waiting(error);
    }

    fn fail_waiting(&mut self, error: &GpuError) {
        let bound = self.outlets.iter_mut().map(|outlet| &mut outlet.bound);
        for waiting in bound.chain([&mut self.waiting]) {
            while let Some(job) = waiting.pop() {
                self.finished.push((job, Err(fault(error))));
            }
        }
        self.complete();
    }

    fn sleep_without_device(&self) {
        let mut inbox = self.placer.inbox.lock();
        while inbox.jobs.is_empty() && !inbox.stopped {
            inbox.asleep = Asleep::Here;
            self.placer.changed.wait(&mut inbox);
        }
    }
}

/// The decoder, if the batch needs one.
fn decoder_for(
    batch: &Batch,
    decoder: &mut Option<Arc<TileDecoder>>,
    placer: &Placer,
) -> Result<Option<Arc<TileDecoder>>, GpuError> {
    if !batch.has_tiles() {
        return Ok(None);
    }
    if let (None, Some(path)) = (&decoder, placer.path) {
        let made = TileDecoder::new(placer.device.device(), path);
        let made = made.inspect_err(|error| {
            log::warn!(
                target: "ds", "{} does not decode GDeflate: {error}; workers on the CPU do from now on",
                placer.device.name(),
            );
            placer.decoder_failed.store(true, Ordering::Relaxed);
        })?;
        *decoder = Some(Arc::new(made));
    }
    Ok(decoder.clone())
}

/// From how many tiles on the device decodes faster than the host's workers; `None` for never.
///
/// Measured on an H200: a GPU takes 2 to 4 ms for its first tile and hardly more for a thousand, in
/// which 16 cores decode 130; fewer cores decode fewer. A software device decodes on the same cores,
/// slower.
fn crossover_tiles(device: &GpuDevice) -> Option<usize> {
    const TILES_OF_CORES: (usize, usize) = (130, 16);
    let (tiles, cores_measured) = TILES_OF_CORES;
    match device.caps().kind {
        DeviceKind::Software => None,
        _ => Some((tiles * cores() / cores_measured).max(1)),
    }
}

/// Moves jobs into the batch, most urgent first, until it is full; cancelled ones are done at once.
fn fill(
    batch: &mut Batch,
    memory: &SharedMemory,
    waiting: &mut Waiting,
    finished: &mut Vec<(Job, Outcome)>,
) {
    while let Some(job) = waiting.pop() {
        if job.queue.is_cancelled(job.entry) {
            // The queue knows why it ends.
            finished.push((job, Ok(())));
            continue;
        }
        match batch.add(job, memory) {
            Added::Yes => {}
            Added::Full(job) => return waiting.unpop(job),
            Added::Refused(job, fault) => finished.push((job, Err(fault))),
        }
    }
}

/// What a failure of the GPU is for a request.
#[track_caller]
pub(super) fn fault(error: &GpuError) -> Fault {
    Fault::new(Error::from(error.clone()), Subsystem::Gpu, "place").with_detail(error.to_string())
}
