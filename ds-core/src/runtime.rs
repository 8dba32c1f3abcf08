//! `Runtime`: the configuration, the threads, and everything that queues share.
//!
//! Owns the I/O threads and the decompression workers. They live until the last handle (a runtime,
//! or a queue of it) is gone; that drop stops and joins them.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Mutex, ReentrantMutex};

use crate::backend::{Backend, Choice, choose};
use crate::config::{Config, cores};
use crate::copies::{Copies, ForeignCopies};
use crate::custom::{Custom, CustomDecompressionQueue};
use crate::driver::Driver;
use crate::error::{Error, Fault, Subsystem, report};
use crate::file::File;
use crate::foreign_pool::PoolCore;
use crate::gdeflate;
use crate::gpu::{GpuDevice, PlacerThread};
use crate::help::Helper;
use crate::hold::Hold;
use crate::host::{Host, Worker};
use crate::io::{Faulty, Io, sim, threads, uring};
use crate::memory::Span;
use crate::notify::{Notification, Notifier};
use crate::open_file::FileMode;
use crate::queue::{Queue, QueueCore, QueueDesc};
use crate::request::Compression;
use crate::scheduler::Scheduler;
use crate::slots::Token;
use crate::staging::{Range, Staging, StagingStats};
use crate::stats::IoStats;
use crate::sys;

/// What everything starts from: DirectStorage's factory. Clones are the same runtime.
#[derive(Clone, Debug)]
pub struct Runtime(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What queues and threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// How files are read.
    pub(crate) file_mode: FileMode,
    choice: Choice,
    pub(crate) scheduler: Scheduler,
    pub(crate) staging: Staging,
    pub(crate) host: Host,
    pub(crate) custom: Custom,
    pub(crate) copies: Copies,
    notifier: Arc<Notifier>,
    /// Grows with each cancel, so that I/O threads look for cancelled requests.
    pub(crate) cancel_epoch: AtomicU64,
    queues: Mutex<Vec<Weak<QueueCore>>>,
    /// The GPU of queues that name none, under [`Backend::Vulkan`].
    gpu: Option<GpuDevice>,
    /// One for each device that a queue of this runtime has.
    placers: Mutex<Vec<Weak<PlacerThread>>>,
    /// Memory that the host has lent.
    foreign_pools: Mutex<Vec<Weak<PoolCore>>>,
    io_stats: Mutex<IoStats>,
    /// For threads that wait.
    pub(crate) helper: Helper,
    /// The simulation's driver and worker, which nobody's thread runs. Whoever turns them may hear of a
    /// failure meanwhile and ask again, on the same thread: then there is nothing to be had.
    turned: Option<ReentrantMutex<RefCell<Turned>>>,
}

struct Turned {
    driver: Driver,
    worker: Worker,
}

impl std::fmt::Debug for Turned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.driver.fmt(f)
    }
}

impl Runtime {
    /// A runtime with `config`, overruled by the environment (see
    /// [`Config::overruled_by_environment`]).
    ///
    /// # Errors
    /// The kernel's, if threads cannot be made.
    pub fn new(config: Config) -> Result<Runtime, Error> {
        Runtime::exactly(config.overruled_by_environment())
    }

    /// A runtime with exactly `config`, whatever the environment says; for tests and benchmarks.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn exactly(config: Config) -> Result<Runtime, Error> {
        let mut choice = choose(config.backend);
        let gpu = open_gpu(&config, &mut choice);
        let simulated = choice.backend == Backend::Sim;
        let turned = simulated.then(|| {
            let driver = Driver::new(Io::Sim(sim::Sim::new(config.sim)), 1);
            ReentrantMutex::new(RefCell::new(Turned {
                driver,
                worker: Worker::default(),
            }))
        });
        let io_threads = config.io_thread_count(choice.backend);
        let scheduler = match choice.ring {
            true => Scheduler::for_rings(ring_events(io_threads)?),
            false => Scheduler::new(io_threads),
        };
        gdeflate::Path::prefer(config.decoder);
        let shared = Arc::new(Shared {
            file_mode: config.effective_file_mode(),
            choice,
            scheduler,
            staging: Staging::new(config.staging_bytes as usize, config.staging_room_max()),
            host: Host::new(config.decode_thread_count()),
            custom: Custom::new(),
            copies: Copies::new(),
            notifier: Notifier::new(),
            cancel_epoch: AtomicU64::new(0),
            queues: Mutex::default(),
            gpu,
            placers: Mutex::default(),
            foreign_pools: Mutex::default(),
            io_stats: Mutex::default(),
            helper: Helper::default(),
            turned,
            config,
        });
        // Made first, so that threads already started are stopped and joined if one cannot be.
        let mut handle = Handle {
            shared,
            threads: Vec::new(),
        };
        if !simulated {
            handle.start_threads()?;
        }
        let choice = &handle.shared.choice;
        log::info!(
            target: "ds",
            "ds-runtime {}: backend {} ({}), {} threads, staging {} MiB",
            crate::VERSION, choice.backend, choice.reason, handle.threads.len(),
            handle.shared.config.staging_bytes >> 20,
        );
        Ok(Runtime(Arc::new(handle)))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// The backend in use, and why.
    pub fn backend(&self) -> &Choice {
        &self.0.shared.choice
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.0.shared.config
    }

    /// Opens a file for reading; see [`File::open`].
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn open_file(&self, path: impl AsRef<Path>) -> Result<File, Error> {
        File::open(path)
    }

    /// Creates a queue.
    ///
    /// # Errors
    /// [`Error::InvalidQueueCapacity`], or the kernel's if there are no descriptors left.
    pub fn create_queue(&self, desc: QueueDesc) -> Result<Queue, Error> {
        let capacity = desc.capacity;
        let queue = Queue::create(self, desc);
        queue.inspect_err(|&error| {
            let fault = Fault::new(error, Subsystem::Runtime, "create queue");
            report(fault.with_detail(format!("capacity {capacity}")), None);
        })
    }

    /// Changes the size of the staging buffer.
    ///
    /// # Errors
    /// [`Error::StagingBufferLocked`] while a queue exists (O-08). Open files do not matter (O-10).
    pub fn set_staging_bytes(&self, bytes: u32) -> Result<(), Error> {
        self.shared()
            .without_queues(|staging| staging.set_bytes_max(bytes as usize))
            .filter(|&changed| changed)
            .map(drop)
            .ok_or(Error::StagingBufferLocked)
    }

    /// Use of the staging buffer.
    pub fn staging_stats(&self) -> StagingStats {
        self.shared().staging.stats()
    }

    /// The GPU of queues that name none: that of [`Backend::Vulkan`].
    pub fn gpu_device(&self) -> Option<&GpuDevice> {
        self.shared().gpu.as_ref()
    }

    /// How many threads read and write.
    pub fn io_thread_count(&self) -> usize {
        self.config().io_thread_count(self.backend().backend)
    }

    /// What the I/O threads have asked of the kernel so far.
    pub fn io_stats(&self) -> IoStats {
        let shared = self.shared();
        IoStats {
            wakes: shared.scheduler.wakes(),
            ..*shared.io_stats.lock()
        }
    }

    /// The requests that the application decompresses.
    pub fn custom_decompression_queue(&self) -> CustomDecompressionQueue {
        CustomDecompressionQueue::new(self)
    }

    /// The copies that the host makes, once it has begun to.
    pub fn foreign_copies(&self) -> ForeignCopies {
        ForeignCopies::new(self)
    }

    /// Where foreign fences and events are made; see [`Notifier`].
    pub fn notifier(&self) -> &Arc<Notifier> {
        &self.shared().notifier
    }

    /// Waits for notifications of foreign objects; see [`Notifier::wait`].
    pub fn wait_notifications(&self, out: &mut [Notification], timeout: Option<Duration>) -> usize {
        self.shared().notifier.wait(out, timeout)
    }

    /// [`Backend::Sim`] only: does one step of its work on this thread; `false` if nothing is left
    /// to do, or if the error callback asks, which is called in the course of a step. With other backends
    /// there is nothing to turn.
    pub fn turn(&self) -> bool {
        self.shared().turn()
    }
}

impl Handle {
    fn start_threads(&mut self) -> Result<(), Error> {
        let config = &self.shared.config;
        let ring = self.shared.choice.ring;
        let io_threads = config.io_thread_count(self.shared.choice.backend);
        for index in 0..io_threads {
            self.spawn("ds-io", move |shared| {
                // A ring belongs to the thread that makes it.
                let io = if ring {
                    ring_or_threads(shared, index)
                } else {
                    Io::Threads(threads::Threads::new())
                };
                let io = with_faults(shared, io, index);
                if index == 0 && shared.may_be_helped(&io) {
                    shared.helper.begin(shared);
                }
                Driver::new(io, io_threads).run(shared, index);
            })?;
        }
        // Copies of memory need a worker even where the application decompresses.
        for _ in 0..self.shared.config.decode_thread_count().max(1) {
            self.spawn("ds-host", |shared| shared.host.run(shared))?;
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        name: &str,
        body: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let thread = spawn_thread(name, move || body(&shared))?;
        self.threads.push(thread);
        Ok(())
    }
}

/// Starts a thread of the engine's.
pub(crate) fn spawn_thread(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    let spawn = || {
        builder.spawn(move || {
            let _abort = AbortOnPanic;
            body();
        })
    };
    // Signals are the host's business, and its handlers run on the host's threads.
    sys::with_signals_blocked(spawn).map_err(|error| {
        let error = Error::from(error);
        let cure = "raise the limit on threads (ulimit -u), or lower io_threads or decode_threads";
        report(
            Fault::new(error, Subsystem::Runtime, "start a thread").with_detail(cure.into()),
            None,
        );
        error
    })
}

/// One event for each ring.
fn ring_events(threads: usize) -> Result<Vec<Arc<OwnedFd>>, Error> {
    let event = |_| Ok(Arc::new(sys::eventfd()?));
    (0..threads).map(event).collect()
}

/// The GPU of a Vulkan backend. If it cannot be had, the choice becomes another.
fn open_gpu(config: &Config, choice: &mut Choice) -> Option<GpuDevice> {
    if choice.backend != Backend::Vulkan {
        return None;
    }
    match GpuDevice::open_for(&config.gpu_device) {
        Ok(device) => {
            choice.reason = format!("{}: {}", choice.reason, device.name());
            Some(device)
        }
        Err((error, why)) => {
            let fault = Fault::new(error, Subsystem::Runtime, "open the GPU");
            report(fault.with_detail(why.clone()), None);
            let without = choose(Backend::Auto);
            *choice = Choice {
                reason: format!("vulkan was asked for, but {why}; {}", without.reason),
                ..without
            };
            None
        }
    }
}

/// A ring for this thread. It worked when the backend was chosen; if it does not any more (memory ran
/// out, a filter came), the thread reads by itself, and sleeps like the others do.
fn ring_or_threads(shared: &Shared, index: usize) -> Io {
    match uring::Uring::new(shared.scheduler.ring_event(index)) {
        Ok(ring) => Io::Uring(Box::new(ring)),
        Err(error) => {
            log::warn!(target: "ds", "no ring for I/O thread {index}: {error}; it uses pread");
            Io::Threads(threads::Threads::new())
        }
    }
}

/// The same with trouble, for tests.
fn with_faults(shared: &Shared, io: Io, index: usize) -> Io {
    if shared.config.io_faults {
        Io::Faulty(Box::new(Faulty::new(io, shared.config.sim, index)))
    } else {
        io
    }
}

/// An engine thread that dies leaves requests in flight for ever, so the process goes with it, whatever
/// the panic strategy of the program that the engine is part of.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.scheduler.stop();
        self.shared.host.stop();
        for thread in self.threads.drain(..) {
            // The profile aborts on panic, so a thread that ended has ended well.
            let _ = thread.join();
        }
        self.shared.helper.end();
        self.shared.scheduler.clear();
        self.shared.host.clear();
    }
}

impl Shared {
    /// Adds up what a driver did.
    pub(crate) fn count_io(&self, stats: IoStats) {
        if stats != IoStats::default() {
            *self.io_stats.lock() += stats;
        }
    }

    /// The backend in use.
    pub(crate) fn backend(&self) -> Backend {
        self.choice.backend
    }

    /// Whether threads that wait are to read what others would read through `io`.
    fn may_be_helped(&self, io: &Io) -> bool {
        // Direct reads would go back, after a look at the file that may wait for its disk.
        let through_cache = matches!(self.file_mode, FileMode::Auto | FileMode::Buffered);
        self.config.waiters_help && through_cache && matches!(io, Io::Uring(_))
    }

    pub(crate) fn has_threads(&self) -> bool {
        self.turned.is_none()
    }

    pub(crate) fn turn(&self) -> bool {
        let Some(turned) = &self.turned else {
            return false;
        };
        let turned = turned.lock();
        let Ok(mut turned) = turned.try_borrow_mut() else {
            return false;
        };
        let turned = &mut *turned;
        let moved = turned.driver.step(self);
        let worked = self.host.turn(self, &mut turned.worker);
        moved || worked
    }

    pub(crate) fn turn_or_yield(&self) {
        if !self.turn() {
            std::thread::yield_now();
        }
    }

    /// Makes a queue, which is told the size of the staging buffer: it cannot change while one lives.
    pub(crate) fn register(&self, make: impl FnOnce(usize) -> Arc<QueueCore>) -> Arc<QueueCore> {
        let mut queues = self.queues.lock();
        let queue = make(self.staging.bytes_max());
        queues.push(Arc::downgrade(&queue));
        queue
    }

    /// Changes the staging buffer while there is no queue; `None` if there is one.
    pub(crate) fn without_queues<T>(&self, change: impl FnOnce(&Staging) -> T) -> Option<T> {
        let queues = self.queues.lock();
        queues.is_empty().then(|| change(&self.staging))
    }

    /// What puts bytes into a device's resources, for queues of this runtime: made for the first queue,
    /// gone with the last.
    pub(crate) fn placer_of(&self, device: &GpuDevice) -> Result<Arc<PlacerThread>, Error> {
        let mut placers = self.placers.lock();
        placers.retain(|placer| placer.strong_count() > 0);
        let known = placers.iter().filter_map(Weak::upgrade);
        let mut known = known.filter(|thread| thread.placer().device().is_same(device));
        if let Some(thread) = known.next() {
            return Ok(thread);
        }
        let thread = Arc::new(PlacerThread::start(device, self.staging.bytes_max())?);
        placers.push(Arc::downgrade(&thread));
        Ok(thread)
    }

    pub(crate) fn add_foreign_pool(&self, pool: &Arc<PoolCore>) {
        let mut pools = self.foreign_pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// Whether there is memory to give back, now or when its users are done.
    pub(crate) fn holds_staging(&self) -> bool {
        let pools = self.foreign_pools.lock();
        let mut pools = pools.iter().filter_map(Weak::upgrade);
        self.staging.holds_memory() || pools.any(|pool| pool.staging().holds_memory())
    }

    /// Gives idle memory back to the kernel, and to the host.
    pub(crate) fn release_idle_staging(&self) {
        self.staging.release_idle();
        for pool in self.foreign_pools.lock().iter().filter_map(Weak::upgrade) {
            pool.staging().release_idle();
        }
    }

    pub(crate) fn unregister(&self, queue: &Arc<QueueCore>) {
        self.queues
            .lock()
            .retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(queue)));
    }

    /// Whether workers may read for themselves. Not where there are cores without one, which can read while
    /// the workers decode; nor where trouble is put between the disk and whoever reads: they read past it;
    /// nor past the page cache: even the question whether a file allows that waits for a disk.
    pub(crate) fn workers_read(&self) -> bool {
        let config = &self.config;
        let cached = !config.io_faults && self.file_mode != FileMode::Direct;
        self.has_threads() && cached && config.decode_thread_count() >= cores()
    }

    /// Sends a request's compressed bytes to whoever decompresses them.
    pub(crate) fn decompress(
        &self,
        queue: &Arc<QueueCore>,
        entry: Token,
        source: Span,
        hold: Hold,
        compression: Compression,
        destination: Span,
    ) {
        if !compression.is_custom() && !self.config.application_decodes() {
            return self
                .host
                .decode(self, queue, entry, source, hold, destination);
        }
        let mut hold = Some(hold);
        let handed = queue.hand_to_application(entry, || {
            let (hold, destination) = hold
                .take()
                .expect("handed over once")
                .for_application(destination);
            self.custom
                .add(queue, entry, source, hold, compression, destination);
        });
        if !handed {
            self.give_back(hold.expect("not handed over"));
            queue.complete([(entry, Ok(()))]);
        }
    }

    /// Gives a range back to its pool and lets the next in line try. No queue's lock is held.
    pub(crate) fn free_staging(&self, staging: &Staging, range: Range) {
        let next = staging.free(range);
        self.try_staging_again(staging, next);
    }

    /// Lets the queue of that id try for staging again. No queue's lock is held.
    pub(crate) fn try_staging_again(&self, staging: &Staging, id: Option<usize>) {
        let Some(id) = id else { return };
        let queue = self
            .queues
            .lock()
            .iter()
            .find(|queue| queue.as_ptr().addr() == id)
            .and_then(Weak::upgrade);
        match queue {
            Some(queue) => queue.try_again(),
            // It went away; whoever stands behind it is next.
            None => self.try_staging_again(staging, staging.leave(id)),
        }
    }
}
