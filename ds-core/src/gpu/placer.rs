//! `Placer`: takes uploads whose bytes are in staging to their end in GPU resources.
//!
//! Owns the staging pool of one device in one runtime, and the thread that feeds the device. Uploads
//! come in through an inbox from I/O threads and host workers; the thread collects them into batches,
//! and sleeps in one wait for whichever comes first: a batch that is done, or a new upload. Nobody waits
//! for the GPU but this thread, and never for one request.
//!
//! After the device is lost every upload, waiting or to come, fails with that.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ash::vk;
use parking_lot::{Condvar, Mutex};

use crate::backend::GpuDecode;
use crate::config::cores;
use crate::error::{Error, Fault, Subsystem};
use crate::hold::{Hold, Landed};
use crate::queue::{CompressionSupport, Outcome};
use crate::runtime::spawn_thread;
use crate::slots::Token;
use crate::staging::{Range, Staging};
use crate::stats::GpuStats;

use super::batch::{Added, Batch, JOBS_MAX};
use super::decode::{TileDecoder, TilePath};
use super::error::GpuError;
use super::probe::{Caps, DeviceKind};
use super::resource::{GpuDevice, SharedMemory};
use super::timeline::{Timeline, wait_any};
use super::waiting::{BATCH_WEIGHT, PATIENCE, Waiting, is_urgent, weight};

/// A device's pool holds what comes in and what the host makes of it: twice the configured size, and
/// room for a direct read's ends and the page between the two.
const STAGING_SLACK_BYTES: usize = 64 << 10;
/// After so long without work, idle staging goes back.
const IDLE_RELEASE: Duration = Duration::from_secs(2);
/// Batches of one GPU queue at a time: one runs, the next is there when it ends.
const BATCHES: usize = 2;
/// So many requests of a queue are completed with one lock: it costs as much as some of them, and threads
/// that read wait for it.
const COMPLETED_AT_ONCE: usize = 64;
/// A large odd number, to spread handles that differ in few bits.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// How long to wait before asking a driver again that had no memory.
const REST: Duration = Duration::from_millis(1);

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Placer {
    device: GpuDevice,
    staging: Staging,
    inbox: Mutex<Inbox>,
    /// Wakes the thread where nothing is in flight.
    changed: Condvar,
    /// Tiles that wait for the GPU or are being decoded by it.
    tiles: AtomicUsize,
    /// From so many tiles on the GPU decodes faster than the host; `None` if it never does.
    crossover_tiles: Option<usize>,
    /// Which decoder it has, if any.
    path: Option<TilePath>,
    requests_done: AtomicU64,
    batches_done: AtomicU64,
    /// That decoder has been made.
    decoder_ready: AtomicBool,
}

#[derive(Default)]
struct Inbox {
    jobs: Vec<Landed>,
    /// What they weigh.
    weight: usize,
    /// One of them waits for no company.
    urgent: bool,
    asleep: Asleep,
    /// Wakes the thread where something is in flight. Goes with the thread: requests that linger may keep
    /// the placer longer than an application keeps its device.
    wake: Option<Timeline>,
    /// The value of `wake`: how often the thread was woken so.
    wakes: u64,
    /// For the thread, once it is made.
    decoder: Option<Arc<TileDecoder>>,
    stopped: bool,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("jobs", &self.jobs.len())
            .field("asleep", &self.asleep)
            .finish_non_exhaustive()
    }
}

/// How the thread sleeps, or is about to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Asleep {
    #[default]
    Not,
    /// Without the device, which has nothing to do.
    Here,
    /// In the device, until a batch ends or `wake` is above `wakes`: for something urgent, or so much that a
    /// batch is worth it. To wake it for less would cost whoever reads more than a small read.
    InDevice { from_weight: usize },
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

    /// What it has done so far.
    pub(crate) fn stats(&self) -> GpuStats {
        GpuStats {
            requests: self.requests_done.load(Ordering::Relaxed),
            batches: self.batches_done.load(Ordering::Relaxed),
            wakes: self.inbox.lock().wakes,
        }
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
        self.decoder_ready.load(Ordering::Relaxed)
    }

    /// Makes the decoder for a queue that may use it, which takes a driver up to a second the first time.
    /// Without one, workers on the CPU decode.
    pub(crate) fn make_decoder(&self, asked: GpuDecode) {
        let wanted = match asked {
            GpuDecode::Cpu => false,
            GpuDecode::Gpu => true,
            GpuDecode::Auto => self.crossover_tiles.is_some(),
        };
        let Some(path) = self.path.filter(|_| wanted && !self.can_decode()) else {
            return;
        };
        match TileDecoder::new(self.device.device(), path) {
            Ok(decoder) => {
                self.inbox.lock().decoder.get_or_insert(Arc::new(decoder));
                self.decoder_ready.store(true, Ordering::Relaxed);
            }
            Err(error) => log::warn!(
                target: "ds", "{} does not decode GDeflate: {error}; workers on the CPU do",
                self.device.name(),
            ),
        }
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

    /// Takes over uploads, whose requests it completes. All of them are this placer's.
    pub(crate) fn place(&self, landed: impl Iterator<Item = Landed>) {
        let mut inbox = self.inbox.lock();
        for job in landed {
            if let Some(bytes) = job.upload.decode {
                self.tiles.fetch_add(tiles_of(bytes), Ordering::Relaxed);
            }
            inbox.weight += weight(&job);
            inbox.urgent |= is_urgent(&job);
            inbox.jobs.push(job);
        }
        let needed = match inbox.asleep {
            Asleep::InDevice { from_weight } => inbox.is_worth_waking(from_weight),
            Asleep::Not | Asleep::Here => true,
        };
        if needed {
            self.wake(&mut inbox);
        }
    }

    /// Under the inbox's lock, so that the semaphore's values come in order.
    fn wake(&self, inbox: &mut Inbox) {
        match std::mem::take(&mut inbox.asleep) {
            Asleep::Not => {}
            Asleep::Here => drop(self.changed.notify_one()),
            Asleep::InDevice { .. } => {
                inbox.wakes += 1;
                // It fails when the device is lost, which ends the wait as well.
                let value = inbox.wakes;
                let _ = inbox.wake.as_ref().map(|wake| wake.signal(value));
            }
        }
    }
}

impl Inbox {
    /// Whether a thread in the device that can use so much is to look.
    fn is_worth_waking(&self, from_weight: usize) -> bool {
        self.stopped || self.urgent || self.weight >= from_weight
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
            let pool_bytes = pool_bytes(device.caps(), staging_bytes)?;
            let wake = Timeline::new(device.device(), 0)?;
            let inbox = Inbox {
                wake: Some(wake),
                ..Inbox::default()
            };
            let placer = Arc::new(Placer {
                device: device.clone(),
                staging: Staging::of_device(device, pool_bytes),
                inbox: Mutex::new(inbox),
                changed: Condvar::new(),
                tiles: AtomicUsize::new(0),
                crossover_tiles: crossover_tiles(device.caps()),
                path: TilePath::best(device.device()).ok(),
                requests_done: AtomicU64::new(0),
                batches_done: AtomicU64::new(0),
                decoder_ready: AtomicBool::new(false),
            });
            let queues = 0..device.device().queue_len();
            let outlets = queues.map(|index| Outlet::new(device, index));
            Ok((placer, outlets.collect::<Result<_, _>>()?))
        };
        let (placer, outlets) = start().map_err(|error| {
            log::warn!(target: "ds", "no queue on {}: {error}", device.name());
            Error::from(error)
        })?;
        log::info!(
            target: "ds", "{}: {} queues of family {}; GDeflate: {}", device.name(), outlets.len(),
            device.caps().queue_family, explain_decoding(device.caps()),
        );
        let worker = Worker {
            placer: Arc::clone(&placer),
            outlets,
            decoder: None,
            jobs_max: JOBS_MAX,
            arrived: Vec::new(),
            waiting: Waiting::default(),
            waiting_since: None,
            finished: Vec::new(),
            outcomes: Vec::with_capacity(COMPLETED_AT_ONCE),
            ranges: Vec::with_capacity(COMPLETED_AT_ONCE),
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
        let mut inbox = self.placer.inbox.lock();
        inbox.wake = None;
        inbox.decoder = None;
        drop(inbox);
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

    /// Whether something waits for this queue and no other.
    fn is_waited_for(&self) -> bool {
        !self.bound.is_empty()
    }

    /// The value at which the oldest batch is done.
    fn next_value(&self) -> Option<u64> {
        let older = self.running.len().checked_sub(1)?;
        Some(self.submitted - older as u64)
    }
}

/// The thread's own.
struct Worker {
    placer: Arc<Placer>,
    outlets: Vec<Outlet>,
    /// As in the inbox.
    decoder: Option<Arc<TileDecoder>>,
    /// How many jobs a batch may have; fewer after the device's memory ran out.
    jobs_max: usize,
    /// From the inbox, for the moment between.
    arrived: Vec<Landed>,
    waiting: Waiting,
    /// Since when something waits for a batch, if anything does.
    waiting_since: Option<Instant>,
    /// Done, for the moment between.
    finished: Vec<(Landed, Outcome)>,
    outcomes: Vec<(Token, Outcome)>,
    ranges: Vec<Range>,
}

impl Worker {
    fn run(mut self) {
        while self.take_inbox() {
            let Err(error) = self.round() else {
                continue;
            };
            log::error!(target: "ds", "{}: {error}", self.placer.device.name());
            self.complete();
            if self.placer.device.is_lost() {
                return self.end(&error);
            }
            // Want of memory, for one: what is in flight goes on, and is asked for again.
            std::thread::sleep(REST);
        }
    }

    /// What is left for a thread whose device is lost.
    fn end(mut self, error: &GpuError) {
        self.drain(error);
        while self.take_inbox() {
            self.fail_waiting(error);
            self.sleep_without_device();
        }
    }

    /// Takes what came in; `false` once the thread is to end.
    fn take_inbox(&mut self) -> bool {
        let mut inbox = self.placer.inbox.lock();
        inbox.asleep = Asleep::Not;
        if self.decoder.is_none() {
            self.decoder = inbox.decoder.clone();
        }
        std::mem::swap(&mut inbox.jobs, &mut self.arrived);
        (inbox.weight, inbox.urgent) = (0, false);
        let stopped = inbox.stopped;
        // Nobody who places something waits for the rest.
        drop(inbox);
        for job in self.arrived.drain(..) {
            match job.upload.destination.affinity() {
                None => self.waiting.push(job),
                Some(number) => {
                    let index = number.wrapping_mul(SPREAD) >> 32;
                    let index = index as usize % self.outlets.len();
                    self.outlets[index].bound.push(job);
                }
            }
        }
        !stopped
    }

    /// Work for the device comes first: what is done can wait, and an idle device should not.
    fn round(&mut self) -> Result<(), GpuError> {
        self.reap()?;
        let now = Instant::now();
        while self.submit_one(now)? {}
        self.complete();
        let waits = !self.waiting.is_empty() || self.outlets.iter().any(Outlet::is_waited_for);
        self.waiting_since = waits.then(|| self.waiting_since.unwrap_or(now));
        self.sleep(now)
    }

    /// Whether whatever waits may go to the device now, however little it is.
    fn is_patience_over(&self, now: Instant) -> bool {
        self.outlets.iter().all(|outlet| outlet.running.is_empty())
            || self
                .waiting_since
                .is_some_and(|since| now.duration_since(since) >= PATIENCE)
    }

    /// While the device has work: how much more makes a batch, and for how long, in nanoseconds, less is to
    /// wait.
    fn company(&self, now: Instant) -> (usize, u64) {
        if self.outlets.iter().all(|outlet| outlet.idle.is_empty()) {
            return (usize::MAX, u64::MAX);
        }
        let Some(since) = self.waiting_since else {
            // The first one begins the wait.
            return (0, u64::MAX);
        };
        let bound: usize = self
            .outlets
            .iter()
            .map(|outlet| outlet.bound.weight())
            .sum();
        let waiting = self.waiting.weight() + bound;
        let left = PATIENCE.saturating_sub(now.duration_since(since));
        // None left: it may go and cannot, until a batch ends.
        let timeout = match left.as_nanos() as u64 {
            0 => u64::MAX,
            left => left,
        };
        (BATCH_WEIGHT.saturating_sub(waiting), timeout)
    }

    /// Takes the jobs out of the batches that are done.
    fn reap(&mut self) -> Result<(), GpuError> {
        for outlet in &mut self.outlets {
            if outlet.running.is_empty() {
                continue;
            }
            let reached = outlet.timeline.value()?;
            while outlet.next_value().is_some_and(|value| value <= reached) {
                let mut batch = outlet.running.pop_front().expect("it has a value");
                let requests = batch.job_len() as u64;
                self.placer
                    .requests_done
                    .fetch_add(requests, Ordering::Relaxed);
                self.placer.batches_done.fetch_add(1, Ordering::Relaxed);
                batch.finish(&mut self.finished);
                outlet.idle.push(batch);
            }
        }
        Ok(())
    }

    /// Gives the memory of finished jobs back and completes their requests: a few of one queue at a time, so
    /// that they share locks which nobody else waits for long.
    fn complete(&mut self) {
        let staging = &self.placer.staging;
        let mut finished = self.finished.drain(..).peekable();
        while let Some((job, outcome)) = finished.next() {
            if let Some(bytes) = job.upload.decode {
                let tiles = tiles_of(bytes);
                self.placer.tiles.fetch_sub(tiles, Ordering::Relaxed);
            }
            let (queue, mut upload) = (job.queue, job.upload);
            match (upload.write.take(), &outcome) {
                (Some(file), Ok(())) if !queue.is_cancelled(job.entry) => {
                    let (shared, payload) = (&queue.shared, upload.payload);
                    let hold = Hold::Download(upload);
                    shared
                        .host
                        .write(shared, &queue, job.entry, payload, hold, file);
                }
                _ => {
                    self.ranges.push(upload.range);
                    self.outcomes.push((job.entry, outcome));
                }
            }
            let same = finished
                .peek()
                .is_some_and(|(other, _)| Arc::ptr_eq(&other.queue, &queue));
            if !same || self.outcomes.len() == COMPLETED_AT_ONCE {
                let next = staging.free_all(self.ranges.drain(..));
                queue.complete(self.outcomes.drain(..));
                queue.shared.try_staging_again(staging, next);
            }
        }
    }

    /// Fills and submits one batch, if there is one worth it; says whether.
    fn submit_one(&mut self, now: Instant) -> Result<bool, GpuError> {
        let (common, any_will_do) = (&self.waiting, self.is_patience_over(now));
        let has_work = |outlet: &&mut Outlet| {
            let weight = common.weight() + outlet.bound.weight();
            let any = !common.is_empty() || outlet.is_waited_for();
            let urgent = common.is_urgent() || outlet.bound.is_urgent();
            let worth_it = any_will_do || urgent || weight >= BATCH_WEIGHT;
            any && worth_it && !outlet.idle.is_empty()
        };
        let outlets = self.outlets.iter_mut().filter(has_work);
        let Some(outlet) = outlets.min_by_key(|outlet| outlet.running.len()) else {
            return Ok(false);
        };
        let index = outlet.index;
        let memory = self.placer.staging.shared_memory();
        let memory = memory.ok_or(GpuError::Argument("an upload without staging"))?;
        let mut batch = outlet.idle.pop().expect("an outlet with an idle batch");
        for waiting in [&mut outlet.bound, &mut self.waiting] {
            fill(
                &mut batch,
                self.jobs_max,
                &memory,
                waiting,
                &mut self.finished,
            );
        }
        let submitted = match batch.is_empty() {
            true => Ok(()),
            false => {
                let value = outlet.submitted + 1;
                let decoder = self.decoder.clone();
                batch.submit(memory, decoder, outlet.index, &outlet.timeline, value)
            }
        };
        match submitted {
            Ok(()) if batch.is_empty() => outlet.idle.push(batch),
            Ok(()) => {
                outlet.submitted += 1;
                outlet.running.push_back(batch);
                self.jobs_max = (2 * self.jobs_max).min(JOBS_MAX);
            }
            Err(error) if error.is_out_of_memory() => return Ok(self.retreat(batch, index, &error)),
            Err(error) => {
                batch.fail(&error, &mut self.finished);
                outlet.idle.push(batch);
                if error.is_device_lost() {
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// There was no memory for a batch: its jobs wait for what is in flight, or come again in smaller
    /// batches. A single job on an idle device fails. Says whether to go on.
    fn retreat(&mut self, mut batch: Batch, index: usize, error: &GpuError) -> bool {
        let running = self.outlets.iter().any(|outlet| !outlet.running.is_empty());
        if batch.job_len() == 1 && !running {
            batch.fail(error, &mut self.finished);
        } else {
            self.jobs_max = (batch.job_len() / 2).max(1);
            let outlet = &mut self.outlets[index];
            for job in batch.take_jobs() {
                match job.upload.destination.affinity() {
                    None => self.waiting.unpop(job),
                    Some(_) => outlet.bound.unpop(job),
                }
            }
        }
        self.outlets[index].idle.push(batch);
        for batch in self.outlets.iter_mut().flat_map(|outlet| &mut outlet.idle) {
            batch.release_idle();
        }
        !running
    }

    /// Sleeps until a batch is done or something comes in.
    fn sleep(&mut self, now: Instant) -> Result<(), GpuError> {
        let mut semaphores = [vk::Semaphore::null(); 1 + super::device::QUEUES_MAX as usize];
        let mut values = [0; 1 + super::device::QUEUES_MAX as usize];
        let mut count = 1;
        for outlet in &self.outlets {
            if let Some(value) = outlet.next_value() {
                semaphores[count] = outlet.timeline.raw();
                values[count] = value;
                count += 1;
            }
        }
        let in_device = count > 1;
        let (from_weight, timeout) = self.company(now);
        let mut inbox = self.placer.inbox.lock();
        if inbox.stopped
            || !inbox.jobs.is_empty() && (!in_device || inbox.is_worth_waking(from_weight))
        {
            return Ok(());
        }
        if in_device {
            let wake = inbox.wake.as_ref();
            semaphores[0] = wake.expect("it goes after the thread").raw();
            inbox.asleep = Asleep::InDevice { from_weight };
            values[0] = inbox.wakes + 1;
            drop(inbox);
            let device = self.placer.device.device();
            return wait_any(device, &semaphores[..count], &values[..count], timeout).map(drop);
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
            // It ends, or fails when the device is lost; either way it runs no more.
            let _ = wait_any(&device, &semaphores, &values, u64::MAX);
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

/// How large a device's pool is: what comes in and what the host makes of it, each of `staging_bytes`. Where
/// the device has no such buffers, what it has; the largest requests are refused then if the host decodes.
fn pool_bytes(caps: &Caps, staging_bytes: usize) -> Result<usize, GpuError> {
    let wanted = 2 * staging_bytes + STAGING_SLACK_BYTES;
    let most = usize::try_from(caps.buffer_bytes_max).unwrap_or(usize::MAX);
    let least = staging_bytes + STAGING_SLACK_BYTES;
    if most < least {
        return Err(GpuError::Unsupported(format!(
            "buffers of {least} bytes, which staging needs; the largest has {most} (option staging_mib)"
        )));
    }
    Ok(wanted.min(most & !(STAGING_SLACK_BYTES - 1)))
}

/// From how many tiles on the device decodes faster than the host's workers; `None` for never.
///
/// Measured on an H200: a GPU takes 2 to 4 ms for its first tile and hardly more for a thousand, in
/// which 16 cores decode 130; fewer cores decode fewer. A software device decodes on the same cores,
/// slower.
fn crossover_tiles(caps: &Caps) -> Option<usize> {
    const TILES_OF_CORES: (usize, usize) = (130, 16);
    let (tiles, cores_measured) = TILES_OF_CORES;
    match caps.kind {
        DeviceKind::Software => None,
        // The other shader was not measured on a GPU, and does much less at a time.
        _ if caps.missing_for_subgroup_shader().is_some() => None,
        _ => Some((tiles * cores() / cores_measured).max(1)),
    }
}

/// Who decompresses GDeflate for a device under [`GpuDecode::Auto`], and why, for logs and `ds info`.
pub fn explain_decoding(caps: &Caps) -> String {
    let shader = match (
        caps.missing_for_shader(),
        caps.missing_for_subgroup_shader(),
    ) {
        (Some(missing), _) => return format!("workers on the CPU: the device lacks {missing}"),
        (None, Some(missing)) => format!("the shader for any subgroup size, for want of {missing}"),
        (None, None) => "the shader with a tile a subgroup of 32".to_owned(),
    };
    match crossover_tiles(caps) {
        Some(tiles) => format!(
            "the GPU, by {shader}, where {tiles} tiles or more wait; workers on the CPU for fewer, which \
             takes less time"
        ),
        None if caps.kind == DeviceKind::Software => format!(
            "workers on the CPU: a software device runs on the same cores, slower; if asked for, {shader}"
        ),
        None => format!("workers on the CPU; if asked for, {shader}"),
    }
}

/// Moves jobs into the batch, most urgent first, until it is full; cancelled ones are done at once.
fn fill(
    batch: &mut Batch,
    jobs_max: usize,
    memory: &SharedMemory,
    waiting: &mut Waiting,
    finished: &mut Vec<(Landed, Outcome)>,
) {
    while batch.job_len() < jobs_max
        && let Some(job) = waiting.pop()
    {
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
