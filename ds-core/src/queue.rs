//! `Queue`: enqueue, submit, status, signal, event, cancel, close, and the error record.
//!
//! The public face of DirectStorage's queue. Everything that must be true at once is in `state`,
//! under one lock a queue; this file takes the lock, waits, and acts on what the state asks for
//! once the lock is gone.
//!
//! Locks, outermost first: a queue's state, then a file, then a fence, a status array, the notifier,
//! staging or the custom queue. The scheduler, other queues and the error callback are only reached with no
//! queue's lock held (`Deferred`).

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::backend::GpuDecode;
use crate::copies::ForeignSignal;
use crate::error::{Error, Fault, report};
use crate::foreign_pool::{ForeignPool, PoolCore};
use crate::gpu::{GpuDevice, Placer, PlacerThread};
use crate::notify::{Aftermath, Event, Fence, StatusArray};
use crate::open_file::OpenFile;
use crate::order::Failure;
use crate::request::{Compression, Limits, Request, RequestInfo, SourceType, check};
use crate::runtime::{Runtime, Shared};
use crate::scheduler::Wake;
use crate::slots::Token;
use crate::staging::Staging;
use crate::state::{Budget, Command, Marker, PoolKind, Started, State};
use crate::stats::{GpuStats, QueueStats};
use crate::warm::Warm;

/// The smallest capacity of a queue.
pub const CAPACITY_MIN: u32 = 128;
/// The largest capacity by DirectStorage's header.
pub const CAPACITY_MAX_DOCUMENTED: u32 = 8192;
/// The largest capacity that Microsoft's runtime was seen to accept, and that we accept (O-21).
pub const CAPACITY_MAX: u32 = 32_768;

/// A thread that found the queue full is woken when there is worthwhile room, and looks by itself that
/// often: a slot that is free is never withheld for longer.
const ROOM_PATIENCE: Duration = Duration::from_millis(1);

/// How many priorities there are.
pub(crate) const PRIORITY_COUNT: usize = 4;

/// How urgent a queue's requests are, relative to other queues'.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Priority {
    /// After everything else.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before normal ones.
    High,
    /// Before everything else.
    Realtime,
}

impl Priority {
    /// The priority of DirectStorage's number (-1 to 2); other numbers are clamped, not refused
    /// (O-23).
    pub fn from_number(number: i8) -> Priority {
        match number {
            ..=-1 => Priority::Low,
            0 => Priority::Normal,
            1 => Priority::High,
            2.. => Priority::Realtime,
        }
    }
}

/// What a queue is made with.
#[derive(Clone, Debug)]
pub struct QueueDesc {
    /// What its requests read.
    pub source_type: SourceType,
    /// How many entries it holds, [`CAPACITY_MIN`] to [`CAPACITY_MAX`]. One slot is kept in
    /// reserve.
    pub capacity: u32,
    /// How urgent its requests are.
    pub priority: Priority,
    /// For logs.
    pub name: Option<String>,
    /// Set at each failure, cleared by [`Queue::retrieve_error_record`]. `None` makes one.
    pub error_event: Option<Event>,
    /// The GPU whose resources its requests can reach; `None` for the runtime's own, if it has one
    /// ([`Runtime::gpu_device`]).
    pub device: Option<GpuDevice>,
    /// Who decompresses GDeflate for a GPU; `None` for what the runtime is configured to
    /// ([`crate::Config::gpu_decode`]).
    pub gpu_decode: Option<GpuDecode>,
    /// Memory of the host's, in which its destinations' bytes come to it ([`crate::ForeignCopies::pool`]);
    /// `None` for the runtime's.
    pub foreign_pool: Option<ForeignPool>,
}

impl QueueDesc {
    /// A file queue of `capacity` entries, normal priority, no name.
    pub fn new(capacity: u32) -> QueueDesc {
        QueueDesc {
            source_type: SourceType::File,
            capacity,
            priority: Priority::Normal,
            name: None,
            error_event: None,
            device: None,
            gpu_decode: None,
            foreign_pool: None,
        }
    }

    /// The same for memory sources.
    #[must_use]
    pub fn memory(self) -> QueueDesc {
        QueueDesc {
            source_type: SourceType::Memory,
            ..self
        }
    }

    /// The same with a priority.
    #[must_use]
    pub fn priority(self, priority: Priority) -> QueueDesc {
        QueueDesc { priority, ..self }
    }

    /// The same for resources of a GPU.
    #[must_use]
    pub fn device(self, device: &GpuDevice) -> QueueDesc {
        QueueDesc {
            device: Some(device.clone()),
            ..self
        }
    }

    /// The same with memory of the host's.
    #[must_use]
    pub fn foreign_pool(self, pool: &ForeignPool) -> QueueDesc {
        QueueDesc {
            foreign_pool: Some(pool.clone()),
            ..self
        }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(self, name: &str) -> QueueDesc {
        QueueDesc {
            name: Some(name.to_owned()),
            ..self
        }
    }
}

/// The answer of [`Queue::query`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueInfo {
    /// What it reads.
    pub source_type: SourceType,
    /// Entries in all.
    pub capacity: u32,
    /// How urgent.
    pub priority: Priority,
    /// Entries that can be enqueued before an enqueue blocks.
    pub empty_slots: u32,
    /// Entries that can be enqueued before the queue submits by itself.
    pub requests_until_auto_submit: u32,
}

/// How requests wait for the fence they are enqueued with; `DSTORAGE_ENQUEUE_REQUEST_FLAGS`.
///
/// A host destination is written by the read itself, so all of them wait before the source is read:
/// the flags say what *may* happen earlier, and nothing does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum FenceWait {
    /// Only the destination waits.
    #[default]
    BeforeDestination,
    /// GPU work waits too.
    BeforeGpuWork,
    /// The source is not read before.
    BeforeSourceAccess,
}

/// Which decompression path a queue has for a format; `DSTORAGE_COMPRESSION_SUPPORT`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CompressionSupport(pub u32);

impl CompressionSupport {
    /// None of ours.
    pub const NONE: CompressionSupport = CompressionSupport(0);
    /// The driver's own decoder.
    pub const GPU_OPTIMIZED: CompressionSupport = CompressionSupport(1);
    /// Our shader.
    pub const GPU_FALLBACK: CompressionSupport = CompressionSupport(2);
    /// Workers on the CPU.
    pub const CPU_FALLBACK: CompressionSupport = CompressionSupport(4);
    /// Decompression and copies run on compute queues.
    pub const USES_COMPUTE_QUEUE: CompressionSupport = CompressionSupport(8);

    /// Both.
    #[must_use]
    pub const fn and(self, other: CompressionSupport) -> CompressionSupport {
        CompressionSupport(self.0 | other.0)
    }
}

/// What went wrong on a queue since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct ErrorRecord {
    /// How many entries failed, cancelled ones included (O-61).
    pub failure_count: u32,
    /// The first of them, in enqueue order.
    pub first_failure: Option<FirstFailure>,
}

/// The first failure of an [`ErrorRecord`].
#[derive(Clone, Debug)]
pub struct FirstFailure {
    /// Why.
    pub error: Error,
    /// Which entry.
    pub command: FailedCommand,
}

/// The entry that failed, with its parameters.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each queue's first failure"
)]
pub enum FailedCommand {
    /// A request.
    Request(RequestInfo),
    /// A status; the address of its array ([`Handle::as_raw`](crate::Handle::as_raw), 0 for NULL) and the
    /// index.
    Status(usize, u32),
    /// A signal; the address of its fence (0 for NULL) and the value.
    Signal(usize, u64),
    /// An event; its address (0 for NULL).
    Event(usize),
}

/// A queue of requests. Clones are not possible: dropping it closes it.
///
/// All methods may be called from any thread, at any time, except from the error callback.
#[derive(Debug)]
pub struct Queue {
    core: Arc<QueueCore>,
    /// Keeps the threads alive for as long as the queue needs them; dropped after `core` is closed.
    runtime: Runtime,
    /// The same for its device's thread.
    _placer: Option<Arc<PlacerThread>>,
}

/// The shared part of a [`Queue`].
#[derive(Debug)]
pub(crate) struct QueueCore {
    pub(crate) shared: Arc<Shared>,
    desc: QueueDesc,
    error_event: Event,
    staging_bytes: usize,
    /// Where bytes for a GPU go.
    placer: Option<Arc<Placer>>,
    /// Where bytes for the host wait.
    foreign_pool: Option<Arc<PoolCore>>,
    state: Mutex<State>,
    /// Whether workers read its streams by themselves.
    pub(crate) warm: Warm,
    /// Whether anything was ever cancelled: as long as not, nobody asks under the lock.
    has_cancelled: AtomicBool,
    /// There is room again, or the queue closed.
    room: Condvar,
    /// A request in flight came back.
    quiet: Condvar,
}

/// How a request ended.
pub(crate) type Outcome = Result<(), Fault>;

/// A request that has ended but for its files, which it was the last to have.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) token: Token,
    pub(crate) failure: Option<Failure>,
    pub(crate) files: [Option<Arc<OpenFile>>; 2],
}

/// What must wait until the queue's lock is gone.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    pub(crate) aftermath: Aftermath,
    pub(crate) reports: Vec<(Fault, Option<RequestInfo>)>,
    pub(crate) closing: Vec<Closing>,
    /// The queue has something to start and is not in the scheduler's list.
    pub(crate) list: Option<Wake>,
    /// Somebody else may get staging now, of each pool.
    next_for_staging: [Option<usize>; PoolKind::ALL.len()],
    now: Option<Instant>,
}

impl Deferred {
    /// The queue of that id may try for staging when the lock is gone.
    pub(crate) fn next_for(&mut self, pool: PoolKind, id: Option<usize>) {
        self.next_for_staging[pool as usize] = id;
    }

    /// One time for everything that is done under one lock.
    pub(crate) fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(Instant::now)
    }
}

impl Queue {
    pub(crate) fn create(runtime: &Runtime, mut desc: QueueDesc) -> Result<Queue, Error> {
        if !(CAPACITY_MIN..=CAPACITY_MAX).contains(&desc.capacity) {
            return Err(Error::InvalidQueueCapacity);
        }
        // Its line would name queues that the pool's runtime does not know.
        let another = |pool: &ForeignPool| !pool.is_of(runtime);
        if desc.foreign_pool.as_ref().is_some_and(another) {
            return Err(Error::InvalidArgument);
        }
        let error_event = match &desc.error_event {
            Some(event) => event.clone(),
            None => Event::new()?,
        };
        let shared = runtime.shared();
        let placer = match (&desc.device, runtime.gpu_device()) {
            (Some(device), _) => Some(shared.placer_of(device)?),
            // Nobody named it, and host destinations work without.
            (None, Some(device)) => shared.placer_of(device).ok(),
            (None, None) => None,
        };
        if let Some(thread) = &placer {
            let asked = desc.gpu_decode.unwrap_or(shared.config.gpu_decode);
            thread.placer().make_decoder(asked);
        }
        let core = shared.register(|staging_bytes| {
            let foreign_pool = desc.foreign_pool.take().map(|pool| Arc::clone(pool.core()));
            if let Some(pool) = &foreign_pool {
                pool.set_limits(&shared.config, staging_bytes);
            }
            let copies = shared.copies.has_begun();
            let state = Mutex::new(State::new(desc.capacity, error_event.clone(), copies));
            Arc::new(QueueCore {
                shared: Arc::clone(shared),
                desc,
                error_event,
                staging_bytes,
                placer: placer.as_ref().map(|thread| Arc::clone(thread.placer())),
                foreign_pool,
                state,
                warm: Warm::default(),
                has_cancelled: AtomicBool::new(false),
                room: Condvar::new(),
                quiet: Condvar::new(),
            })
        });
        Ok(Queue {
            core,
            runtime: runtime.clone(),
            _placer: placer,
        })
    }

    /// Whether the queue has a GPU, its own or the runtime's.
    pub fn has_device(&self) -> bool {
        self.core.placer.is_some()
    }

    /// The runtime the queue belongs to.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Adds a request. Blocks while the queue is full. Nothing starts before [`Queue::submit`], or
    /// before half of the capacity waits for it.
    ///
    /// Nothing is refused here: an invalid request fails when its turn comes, in its status and the
    /// error record.
    pub fn enqueue_request(&self, request: Request) {
        self.core.enqueue_request(request, None);
    }

    /// Adds requests that do not start before `fence` is at least `value`.
    ///
    /// The wait itself takes no slot, and other requests overtake those that wait.
    pub fn enqueue_requests(
        &self,
        requests: impl IntoIterator<Item = Request>,
        fence: Option<(&Fence, u64)>,
        _wait: FenceWait,
    ) {
        for request in requests {
            self.core
                .enqueue_request(request, fence.map(|(fence, value)| (fence.clone(), value)));
        }
    }

    /// Adds a status: `array[index]` is pending from now on and gets a result when everything
    /// enqueued before is done: success, or the first failure, in enqueue order, since the previous
    /// status. `None` is a foreign NULL.
    pub fn enqueue_status(&self, array: Option<&StatusArray>, index: u32) {
        let invalid = match array {
            None => Some(Error::InvalidStatusArray),
            Some(array) => array.reset(index).err(),
        };
        let array = array.cloned();
        if let Some(array) = &array {
            array.is_helped_by(&self.core.shared);
        }
        if self
            .core
            .enqueue_marker(Marker::Status(array.clone(), index), invalid)
            .is_err()
            && let Some(array) = array
        {
            // Kinder than a status that stays pending for ever (O-66).
            let mut aftermath = Aftermath::default();
            array.set(index, Error::QueueClosed.hresult(), &mut aftermath);
            aftermath.run();
        }
    }

    /// Adds a signal: `fence` gets `value` when everything enqueued before is done, failed requests
    /// too.
    pub fn enqueue_signal(&self, fence: Option<&Fence>, value: u64) {
        let invalid = fence.is_none().then_some(Error::InvalidFence);
        if let Some(fence) = fence {
            fence.is_helped_by(&self.core.shared);
        }
        let _ = self
            .core
            .enqueue_marker(Marker::Signal(fence.cloned(), value), invalid);
    }

    /// Adds a signal that the host makes: it comes to the host when everything enqueued before is done,
    /// failed requests too, or is a copy that came to the host before it. Statuses, events and other signals
    /// before it come first.
    pub fn enqueue_foreign_signal(&self, signal: ForeignSignal) {
        let invalid = signal.refusal();
        let _ = self
            .core
            .enqueue_marker(Marker::Foreign(Some(signal)), invalid);
    }

    /// Adds an event: it is set when everything enqueued before is done, failed requests too.
    pub fn enqueue_set_event(&self, event: Option<&Event>) {
        let invalid = event.is_none().then_some(Error::InvalidArgument);
        let _ = self
            .core
            .enqueue_marker(Marker::Event(event.cloned()), invalid);
    }

    /// Starts everything enqueued so far.
    pub fn submit(&self) {
        let mut deferred = Deferred::default();
        let mut state = self.core.state.lock();
        state.submit(&mut deferred);
        self.core.after(state, deferred);
    }

    /// Cancels every request enqueued so far with `tag & mask == value`.
    ///
    /// On return no cancelled request touches its source or destination any more. One exception: a
    /// request that the application has taken from the custom decompression queue is the
    /// application's to stop. Cancelled requests count as failures with [`Error::Cancelled`], as in
    /// Microsoft's runtime (O-61).
    pub fn cancel_requests_with_tag(&self, mask: u64, value: u64) {
        self.core.cancel(mask, value);
    }

    /// Closes the queue: what has not started is cancelled, what is in flight finishes first.
    /// Statuses complete, fences and events of unfinished work are not signalled. Later enqueues
    /// are recorded as failures.
    pub fn close(&self) {
        self.core.close();
    }

    /// Set when an entry fails; cleared by [`Queue::retrieve_error_record`]. A request's failure is noticed
    /// at once or, under io_uring, up to 5 ms later than its read ended, while others of its group are still
    /// read; never later than the status, signal or event behind it.
    pub fn error_event(&self) -> &Event {
        &self.core.error_event
    }

    /// Failures since the last call; clears the event.
    pub fn retrieve_error_record(&self) -> ErrorRecord {
        self.core.state.lock().take_error_record()
    }

    /// What [`Queue::retrieve_error_record`] would tell; leaves everything as it is.
    pub fn peek_error_record(&self) -> ErrorRecord {
        self.core.state.lock().error_record()
    }

    /// Capacity and room.
    pub fn query(&self) -> QueueInfo {
        let state = self.core.state.lock();
        QueueInfo {
            source_type: self.core.desc.source_type,
            capacity: self.core.desc.capacity,
            priority: self.core.desc.priority,
            empty_slots: state.empty_slots(),
            requests_until_auto_submit: state.until_auto_submit(),
        }
    }

    /// Which decompression path requests of a format take (O-68 to O-71).
    pub fn compression_support(&self, compression: Compression) -> CompressionSupport {
        match &self.core.placer {
            _ if compression != Compression::GDEFLATE => CompressionSupport::NONE,
            Some(placer) => placer.compression_support(self.core.gpu_decode()),
            None => CompressionSupport::CPU_FALLBACK,
        }
    }

    /// What the queue has done.
    pub fn stats(&self) -> QueueStats {
        self.core.state.lock().stats()
    }

    /// What was asked of its GPU, by all queues of the runtime; `None` without one.
    pub fn gpu_stats(&self) -> Option<GpuStats> {
        self.core.placer.as_ref().map(|placer| placer.stats())
    }

    /// The name it was made with.
    pub fn name(&self) -> Option<&str> {
        self.core.desc.name.as_deref()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.core.close();
        self.core.shared.unregister(&self.core);
    }
}

#[cfg(test)]
impl Queue {
    /// What the engine has of it.
    pub(crate) fn core(&self) -> &Arc<QueueCore> {
        &self.core
    }
}

impl QueueCore {
    pub(crate) fn priority_index(&self) -> usize {
        self.desc.priority as usize
    }

    pub(crate) fn priority(&self) -> Priority {
        self.desc.priority
    }

    pub(crate) fn limits(&self) -> Limits<'_> {
        Limits {
            source_type: self.desc.source_type,
            device: self.placer.as_ref().map(|placer| placer.device()),
            host_copies: self.shared.copies.has_begun(),
            staging_bytes: self.staging_bytes,
            exact: self.shared.config.has_exact_limits(),
        }
    }

    /// Where bytes for a GPU go, if the queue has one.
    pub(crate) fn placer(&self) -> Option<&Arc<Placer>> {
        self.placer.as_ref()
    }

    /// Where bytes for the host wait, if it has lent memory.
    pub(crate) fn foreign_pool(&self) -> Option<&Arc<PoolCore>> {
        self.foreign_pool.as_ref()
    }

    /// Who decompresses for a GPU.
    pub(crate) fn gpu_decode(&self) -> GpuDecode {
        self.desc
            .gpu_decode
            .unwrap_or(self.shared.config.gpu_decode)
    }

    /// A pool that the queue's requests take memory from.
    pub(crate) fn staging(&self, pool: PoolKind) -> Option<&Staging> {
        match pool {
            PoolKind::Host => Some(&self.shared.staging),
            PoolKind::Device => self.placer.as_ref().map(|placer| placer.staging()),
            PoolKind::Foreign => self.foreign_pool.as_ref().map(|pool| pool.staging()),
        }
    }

    /// The number that names this queue to the staging pool.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Lets the lock go and does what was put off until then.
    fn after(self: &Arc<Self>, state: MutexGuard<'_, State>, deferred: Deferred) {
        let for_workers = deferred.list.is_some() && self.warm.is_warm() && state.next_is_stream();
        drop(state);
        if let Some(wake) = deferred.list
            && !(for_workers && self.shared.host.list(self))
        {
            self.shared.scheduler.list(Arc::clone(self), wake);
        }
        deferred.aftermath.run();
        for pool in PoolKind::ALL {
            if let Some(staging) = self.staging(pool) {
                let next = deferred.next_for_staging[pool as usize];
                self.shared.try_staging_again(staging, next);
            }
        }
        for (fault, request) in deferred.reports {
            report(fault, request);
        }
        if !deferred.closing.is_empty() {
            // This may be a thread of the application's.
            let queue = Arc::clone(self);
            self.shared.host.close_files(queue, deferred.closing);
        }
    }

    /// Closes files, and then lets the requests go that had them: whoever hears of one may count on it,
    /// since whoever ends a request has let its file go. (A ring that has the file registered lets go of
    /// it a moment later, when its thread comes to that: see `open_file.rs`.)
    pub(crate) fn close_files(self: &Arc<Self>, mut closing: Vec<Closing>) {
        for request in &mut closing {
            request.files = [None, None];
        }
        let mut deferred = Deferred::default();
        let mut state = self.state.lock();
        for Closing { token, failure, .. } in closing {
            state.finish(token, failure);
        }
        state.fire_markers(&mut deferred);
        self.wake_waiting(&state);
        self.after(state, deferred);
    }

    /// Sleeps on one of the two; without threads, makes something change.
    fn wait_for(
        &self,
        condvar: &Condvar,
        state: &mut MutexGuard<'_, State>,
        patience: Option<Duration>,
    ) {
        if !self.shared.has_threads() {
            return MutexGuard::unlocked(state, || self.shared.turn_or_yield());
        }
        match patience {
            Some(patience) => drop(condvar.wait_for(state, patience)),
            None => condvar.wait(state),
        }
    }

    /// The lock, once there is a free slot; `Err` with the lock if the queue is closed.
    fn lock_with_room(&self) -> Result<MutexGuard<'_, State>, MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if state.is_full() && !state.is_closed() {
            state.count_enqueue_wait();
            let is_over = || {
                let state = self.state.lock();
                !state.is_full() || state.is_closed()
            };
            MutexGuard::unlocked(&mut state, || self.shared.help(None, is_over));
            while state.is_full() && !state.is_closed() {
                state.waiting_for_room += 1;
                self.wait_for(&self.room, &mut state, Some(ROOM_PATIENCE));
                state.waiting_for_room -= 1;
            }
        }
        if state.is_closed() {
            Err(state)
        } else {
            Ok(state)
        }
    }

    fn enqueue_request(self: &Arc<Self>, request: Request, fence: Option<(Fence, u64)>) {
        let invalid = check(&request, self.limits()).err();
        let mut deferred = Deferred::default();
        let state = match self.lock_with_room() {
            Ok(mut state) => {
                state.add_request(request, invalid, fence, &mut deferred);
                state
            }
            Err(mut state) => {
                state.refuse(Command::Request(&request), &mut deferred);
                state
            }
        };
        self.after(state, deferred);
    }

    fn enqueue_marker(self: &Arc<Self>, marker: Marker, invalid: Option<Error>) -> Result<(), ()> {
        let mut deferred = Deferred::default();
        let (state, result) = match self.lock_with_room() {
            Ok(mut state) => {
                state.add_marker(marker, invalid, &mut deferred);
                (state, Ok(()))
            }
            Err(mut state) => {
                state.refuse(Command::Marker(&marker), &mut deferred);
                (state, Err(()))
            }
        };
        self.after(state, deferred);
        result
    }

    /// Takes requests to start, within `budget`, into `started`. Answers how many more could start.
    pub(crate) fn start(self: &Arc<Self>, budget: Budget, started: &mut Vec<Started>) -> usize {
        let mut deferred = Deferred::default();
        let mut state = self.state.lock();
        state.start(self, budget, started, &mut deferred);
        let left = state.startable_len();
        self.wake_waiting(&state);
        self.after(state, deferred);
        left
    }

    /// A request that was started is to start again, on an I/O thread.
    pub(crate) fn put_back(self: &Arc<Self>, token: Token) {
        let mut deferred = Deferred::default();
        let mut state = self.state.lock();
        state.put_back(token, &mut deferred);
        self.wake_waiting(&state);
        self.after(state, deferred);
    }

    /// Requests came to their end.
    pub(crate) fn complete(self: &Arc<Self>, outcomes: impl IntoIterator<Item = (Token, Outcome)>) {
        let mut owed = Aftermath::default();
        let closing = self.complete_and_owe(outcomes, &mut owed);
        owed.run();
        if !closing.is_empty() {
            self.shared.host.close_files(Arc::clone(self), closing);
        }
    }

    /// The same; waking those who wait is left to the caller, who owes it to others already, and so is
    /// [`QueueCore::close_files`] of the answer, which may take its time.
    pub(crate) fn complete_and_owe(
        self: &Arc<Self>,
        outcomes: impl IntoIterator<Item = (Token, Outcome)>,
        owed: &mut Aftermath,
    ) -> Vec<Closing> {
        let mut deferred = Deferred::default();
        let mut state = self.state.lock();
        for (token, outcome) in outcomes {
            state.end(token, outcome, &mut deferred);
        }
        state.fire_markers(&mut deferred);
        self.wake_waiting(&state);
        let fired = std::mem::take(&mut deferred.aftermath);
        let closing = std::mem::take(&mut deferred.closing);
        self.after(state, deferred);
        owed.absorb(fired);
        closing
    }

    fn wake_waiting(&self, state: &State) {
        if state.waiting_for_quiet > 0 {
            self.quiet.notify_all();
        }
        if state.waiting_for_room > 0 && state.is_room_worth_waking_for() {
            self.room.notify_all();
        }
    }

    /// Whether somebody wants this request in flight to end early.
    pub(crate) fn is_cancelled(&self, token: Token) -> bool {
        self.has_cancelled.load(Ordering::Acquire) && self.state.lock().is_cancelled(token)
    }

    /// Whether the request's destination is memory that the request keeps alive; `None` if somebody wants it
    /// to end early.
    pub(crate) fn keeps_destination(&self, token: Token) -> Option<bool> {
        self.state.lock().keeps_destination(token)
    }

    /// The last step of the request in flight is the host's: `hand` gives it away, under the lock, so that a
    /// cancel comes before or after it; unless it was cancelled. Signals that waited for no more than this
    /// follow.
    pub(crate) fn hand_to_host(self: &Arc<Self>, token: Token, hand: impl FnOnce()) {
        let mut state = self.state.lock();
        if !state.is_cancelled(token) {
            hand();
            state.mark_handed(token);
        }
    }

    /// The request is the application's now: `hand` gives it away, under the lock, so that a cancel
    /// finds it in one place or the other. `false` if it was cancelled and must be completed instead.
    pub(crate) fn hand_to_application(&self, token: Token, hand: impl FnOnce()) -> bool {
        let mut state = self.state.lock();
        let handed = state.hand_to_application(token);
        if handed {
            hand();
        }
        self.wake_waiting(&state);
        handed
    }

    /// The application has answered a request; whatever follows is the engine's.
    pub(crate) fn take_back(&self, token: Token) {
        self.state.lock().take_back(token);
    }

    /// The fence that a request waited for has reached its value.
    pub(crate) fn release_from_fence(self: &Arc<Self>, token: Token) {
        let mut deferred = Deferred::default();
        let mut state = self.state.lock();
        state.release_from_fence(token, &mut deferred);
        self.after(state, deferred);
    }

    /// Puts the queue back into the scheduler's list if it has something to start.
    pub(crate) fn try_again(self: &Arc<Self>) {
        let mut deferred = Deferred::default();
        let mut state = self.state.lock();
        state.list_if_startable(&mut deferred);
        self.after(state, deferred);
    }

    fn cancel(self: &Arc<Self>, mask: u64, value: u64) {
        let mut deferred = Deferred::default();
        let mut state = self.state.lock();
        self.has_cancelled.store(true, Ordering::Release);
        state.cancel(self, |tag| tag & mask == value, &mut deferred);
        self.finish_cancelling(state, deferred, State::cancelled_in_flight);
    }

    fn close(self: &Arc<Self>) {
        let mut deferred = Deferred::default();
        let mut state = self.state.lock();
        // Another thread may be closing: then this one waits with it.
        if !state.is_closed() {
            state.close();
            self.has_cancelled.store(true, Ordering::Release);
            state.cancel(self, |_| true, &mut deferred);
            self.room.notify_all();
        }
        self.finish_cancelling(state, deferred, State::in_flight);
    }

    /// Asks everyone who works on cancelled requests to stop, and waits until `left` of them is 0.
    fn finish_cancelling(
        self: &Arc<Self>,
        state: MutexGuard<'_, State>,
        deferred: Deferred,
        left: fn(&State) -> u32,
    ) {
        self.wake_waiting(&state);
        self.after(state, deferred);
        self.shared.cancel_epoch.fetch_add(1, Ordering::Release);
        self.shared.scheduler.call_rings();
        self.shared.host.skip_cancelled(self);
        let state = self.state.lock();
        // Before the copies that they follow: else the host could make a signal for bytes that never come.
        if state.is_closed() {
            self.shared.copies.drop_signals(state.owner());
        }
        drop(state);
        self.shared.copies.skip_cancelled(self);
        let mut state = self.state.lock();
        while left(&state) > 0 {
            state.waiting_for_quiet += 1;
            self.wait_for(&self.quiet, &mut state, None);
            state.waiting_for_quiet -= 1;
        }
        // A request that was next in line for staging may have been left behind by the ones
        // cancelled.
        let mut deferred = Deferred::default();
        state.list_if_startable(&mut deferred);
        self.after(state, deferred);
    }
}

#[cfg(test)]
pub(crate) mod tests;
