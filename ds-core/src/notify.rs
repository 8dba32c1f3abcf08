//! Completion, as programs see it: `StatusArray`, `Fence`, `Event`, and notifications for foreign
//! hosts.
//!
//! Who wakes whom: a queue fires these when its turn comes; threads block on them or poll them; a
//! fence also releases requests that were enqueued behind it. Engine threads never call foreign
//! code: a host whose events and fences are not ours makes *foreign* ones, which put a
//! [`Notification`] where [`Notifier::wait`] finds it.
//!
//! Bounded by construction: a foreign object has at most one notification pending, however often it
//! is signalled.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::{E_PENDING, Error, S_OK};
use crate::gpu::FenceLink;
use crate::handle::shared_handle;
use crate::help::HelpedBy;
use crate::memory::try_zeros;
use crate::queue::QueueCore;
use crate::runtime::Shared;
use crate::slots::Token;
use crate::sys;

/// Waits on `condvar` until `deadline`; `false` once it has passed.
fn wait_until<T>(
    condvar: &Condvar,
    guard: &mut MutexGuard<'_, T>,
    deadline: Option<Instant>,
) -> bool {
    match deadline {
        Some(deadline) => !condvar.wait_until(guard, deadline).timed_out(),
        None => {
            condvar.wait(guard);
            true
        }
    }
}

fn deadline_after(timeout: Option<Duration>) -> Option<Instant> {
    // A time-out too far away to be a time is no time-out.
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// What turns [`E_PENDING`] to zero.
const PENDING_BITS: i32 = E_PENDING;

/// Results of requests, one entry for each status; read without a lock.
#[derive(Clone, Debug)]
pub struct StatusArray(Arc<StatusCore>);

/// The shared part of a [`StatusArray`]; opaque, for its address.
#[derive(Debug)]
pub struct StatusCore {
    /// Each entry's result, but for [`PENDING_BITS`]: zeros are pending, and pages of them cost nothing.
    results: Box<[AtomicI32]>,
    name: Option<String>,
    waiting: AtomicU32,
    lock: Mutex<()>,
    changed: Condvar,
    helped_by: HelpedBy,
}

shared_handle!(StatusArray, StatusCore);
shared_handle!(Fence, FenceCore);
shared_handle!(Event, EventCore);

impl StatusArray {
    /// The most entries: 4 GiB of them. Memory is taken as they are used, so a system may promise more than
    /// it has.
    pub const CAPACITY_MAX: u32 = 1 << 30;

    /// `capacity` entries (0 is allowed), each [`E_PENDING`] until a status with its index
    /// completes.
    ///
    /// # Panics
    /// Where [`StatusArray::try_new`] fails.
    pub fn new(capacity: u32, name: Option<&str>) -> StatusArray {
        StatusArray::try_new(capacity, name).expect("memory for a status array")
    }

    /// The same, if there can be so many.
    ///
    /// # Errors
    /// ENOMEM above [`StatusArray::CAPACITY_MAX`], and where the system says so.
    pub fn try_new(capacity: u32, name: Option<&str>) -> Result<StatusArray, Error> {
        if capacity > StatusArray::CAPACITY_MAX {
            return Err(Error::Os(libc::ENOMEM));
        }
        Ok(StatusArray(Arc::new(StatusCore {
            results: try_zeros(capacity as usize).ok_or(Error::Os(libc::ENOMEM))?,
            name: name.map(str::to_owned),
            waiting: AtomicU32::new(0),
            lock: Mutex::new(()),
            changed: Condvar::new(),
            helped_by: HelpedBy::default(),
        })))
    }

    /// How many entries there are.
    pub fn capacity(&self) -> u32 {
        self.0.results.len() as u32
    }

    /// The name it was made with.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Whether the entry has a result; `false` for an index out of range.
    pub fn is_complete(&self, index: u32) -> bool {
        self.load(index).is_some_and(|result| result != E_PENDING)
    }

    /// The entry's `HRESULT`: [`E_PENDING`] before completion, [`Error::IndexBound`] for an index
    /// out of range.
    pub fn hresult(&self, index: u32) -> i32 {
        self.load(index).unwrap_or(Error::IndexBound.hresult())
    }

    /// Blocks until the entry completes; `None` if it has not within `timeout`. `None` waits
    /// without a limit. Meanwhile the thread may carry out requests that the page cache answers at once
    /// ([`Config::waiters_help`](crate::Config)). Must not be called from the error callback.
    pub fn wait(&self, index: u32, timeout: Option<Duration>) -> Option<i32> {
        let deadline = deadline_after(timeout);
        let mut result = self.hresult(index);
        if result != E_PENDING {
            return Some(result);
        }
        let is_done = || self.hresult(index) != E_PENDING;
        self.0.helped_by.help(deadline, is_done);
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let mut guard = self.0.lock.lock();
        loop {
            result = self.hresult(index);
            if result != E_PENDING || !wait_until(&self.0.changed, &mut guard, deadline) {
                break;
            }
        }
        drop(guard);
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        result = self.hresult(index);
        (result != E_PENDING).then_some(result)
    }

    /// Requests of that runtime come before one of the statuses.
    pub(crate) fn is_helped_by(&self, shared: &Arc<Shared>) {
        self.0.helped_by.set(shared);
    }

    fn load(&self, index: u32) -> Option<i32> {
        self.0
            .results
            .get(index as usize)
            .map(|result| result.load(Ordering::SeqCst) ^ PENDING_BITS)
    }

    /// Marks the entry as enqueued again.
    pub(crate) fn reset(&self, index: u32) -> Result<(), Error> {
        let entry = self
            .0
            .results
            .get(index as usize)
            .ok_or(Error::IndexBound)?;
        entry.store(E_PENDING ^ PENDING_BITS, Ordering::SeqCst);
        Ok(())
    }

    /// Completes the entry. Sequentially consistent, so that a waiter either sees the result or is seen
    /// waiting, and is woken in the aftermath.
    pub(crate) fn set(&self, index: u32, hresult: i32, aftermath: &mut Aftermath) {
        let Some(entry) = self.0.results.get(index as usize) else {
            return;
        };
        let result = if hresult == E_PENDING { S_OK } else { hresult };
        entry.store(result ^ PENDING_BITS, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            aftermath.wake_status(self.clone());
        }
    }

    /// Wakes everyone who waits for an entry.
    fn wake(&self) {
        drop(self.0.lock.lock());
        self.0.changed.notify_all();
    }
}

/// What a foreign object's signal leaves for its host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notification {
    /// The number the object was made with.
    pub cookie: u64,
    /// The value, for a fence; 0 for an event.
    pub value: u64,
}

/// Where foreign objects put their notifications, and a host's thread waits for them.
#[derive(Debug)]
pub struct Notifier {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    objects: VecDeque<Arc<Foreign>>,
    /// Calls of [`Notifier::interrupt`] that no wait has taken.
    interrupts: u32,
}

/// A foreign object's end here.
#[derive(Debug)]
struct Foreign {
    /// Weak, because the list there keeps what was signalled and not fetched. Without a runtime there is
    /// nobody to fetch it.
    notifier: Weak<Notifier>,
    cookie: u64,
    /// Its notification stands in the list; guarded by the list's lock.
    listed: AtomicBool,
    /// The latest value signalled.
    value: Mutex<u64>,
}

impl Foreign {
    fn signal(self: &Arc<Foreign>, value: u64) {
        let Some(notifier) = self.notifier.upgrade() else {
            return;
        };
        let mut pending = notifier.pending.lock();
        *self.value.lock() = value;
        if !self.listed.swap(true, Ordering::Relaxed) {
            pending.objects.push_back(Arc::clone(self));
            drop(pending);
            notifier.changed.notify_one();
        }
    }
}

impl Pending {
    fn take_interrupt(&mut self) -> bool {
        let taken = self.interrupts > 0;
        self.interrupts -= u32::from(taken);
        taken
    }
}

impl Notifier {
    pub(crate) fn new() -> Arc<Notifier> {
        Arc::new(Notifier {
            pending: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Fills `out` with pending notifications, oldest first, and answers how many. Blocks until
    /// there is one, until `timeout` (`None`: no limit), or until [`Notifier::interrupt`]; the
    /// answer is then 0.
    ///
    /// Several signals of one object become one notification with the latest value. Any number of
    /// threads may wait.
    pub fn wait(&self, out: &mut [Notification], timeout: Option<Duration>) -> usize {
        let deadline = deadline_after(timeout);
        let mut pending = self.pending.lock();
        while pending.objects.is_empty() {
            if pending.take_interrupt() || !wait_until(&self.changed, &mut pending, deadline) {
                break;
            }
        }
        let count = out.len().min(pending.objects.len());
        for (slot, object) in out.iter_mut().zip(pending.objects.drain(..count)) {
            object.listed.store(false, Ordering::Relaxed);
            *slot = Notification {
                cookie: object.cookie,
                value: *object.value.lock(),
            };
        }
        if !pending.objects.is_empty() {
            self.changed.notify_one();
        }
        count
    }

    /// Makes one waiter (or the next to come) return with nothing, so that a host can stop its
    /// thread.
    pub fn interrupt(&self) {
        self.pending.lock().interrupts += 1;
        self.changed.notify_one();
    }
}

/// A flag that a queue sets: an eventfd, or a foreign host's event.
#[derive(Clone, Debug)]
pub struct Event(Arc<EventCore>);

/// The shared part of an [`Event`]; opaque, for its address.
#[derive(Debug)]
pub struct EventCore(EventKind);

#[derive(Debug)]
enum EventKind {
    Native(OwnedFd),
    Foreign(Arc<Foreign>),
}

impl Event {
    /// A new event, not set.
    ///
    /// # Errors
    /// The kernel's, if there are no descriptors left.
    pub fn new() -> Result<Event, Error> {
        Ok(Event(Arc::new(EventCore(EventKind::Native(
            sys::eventfd()?
        )))))
    }

    /// An event of a host that waits for notifications: setting it notifies with `cookie`.
    pub fn foreign(notifier: &Arc<Notifier>, cookie: u64) -> Event {
        Event(Arc::new(EventCore(EventKind::Foreign(Foreign::new(
            notifier, cookie,
        )))))
    }

    /// Sets it. Setting a set event changes nothing.
    pub fn set(&self) {
        match &self.0.0 {
            EventKind::Native(fd) => sys::eventfd_set(fd.as_fd()),
            EventKind::Foreign(foreign) => foreign.signal(0),
        }
    }

    /// Clears it; says whether it was set. A foreign event is cleared by its host: always `false`.
    pub fn take(&self) -> bool {
        match &self.0.0 {
            EventKind::Native(fd) => sys::eventfd_take(fd.as_fd()),
            EventKind::Foreign(_) => false,
        }
    }

    /// Waits until it is set and leaves it so; `false` after `timeout` (`None`: no limit), or at
    /// once for a foreign event, whose host knows.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        match &self.0.0 {
            EventKind::Native(fd) => sys::wait_readable(fd.as_fd(), timeout),
            EventKind::Foreign(_) => false,
        }
    }

    /// The eventfd, readable while set, for poll(2) and epoll(7); `None` for a foreign event.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.0.0 {
            EventKind::Native(fd) => Some(fd.as_fd()),
            EventKind::Foreign(_) => None,
        }
    }
}

impl Foreign {
    fn new(notifier: &Arc<Notifier>, cookie: u64) -> Arc<Foreign> {
        let notifier = Arc::downgrade(notifier);
        Arc::new(Foreign {
            notifier,
            cookie,
            listed: AtomicBool::new(false),
            value: Mutex::new(0),
        })
    }
}

/// A 64-bit timeline: a value that queues and programs set, and anyone can wait for.
///
/// A wait is for the value *or more*. Programs keep values growing; the fence takes whatever it is
/// given, like `ID3D12Fence`.
#[derive(Clone, Debug)]
pub struct Fence(Arc<FenceCore>);

/// The shared part of a [`Fence`]; opaque, for its address.
#[derive(Debug)]
pub struct FenceCore {
    state: Mutex<FenceState>,
    changed: Condvar,
    foreign: Option<Arc<Foreign>>,
    /// The semaphore that it goes with.
    link: Option<FenceLink>,
    helped_by: HelpedBy,
}

#[derive(Debug, Default)]
struct FenceState {
    value: u64,
    waiters: Vec<(u64, Waiter)>,
}

/// Who waits for a fence other than by blocking.
#[derive(Debug)]
enum Waiter {
    Event(Event),
    /// A request enqueued behind the fence.
    Request(Weak<QueueCore>, Token),
}

/// What firing leaves for later, when no queue's lock is held: whoever wakes comes back to enqueue at
/// once and would run into that lock, and released requests belong to other queues.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Aftermath {
    requests: Vec<(Weak<QueueCore>, Token)>,
    /// The last of each kind; one more wakes the one before it under the lock, which costs time and
    /// nothing else. A list would cost an allocation for each batch.
    status: Option<StatusArray>,
    fence: Option<Fence>,
}

impl Aftermath {
    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.status.is_none() && self.fence.is_none() && self.requests.is_empty()
    }

    /// Takes over what follows from something else.
    pub(crate) fn absorb(&mut self, other: Aftermath) {
        if let Some(array) = other.status
            && self
                .status
                .as_ref()
                .is_none_or(|mine| !Arc::ptr_eq(&mine.0, &array.0))
        {
            self.wake_status(array);
        }
        if let Some(fence) = other.fence
            && self
                .fence
                .as_ref()
                .is_none_or(|mine| !Arc::ptr_eq(&mine.0, &fence.0))
        {
            self.wake_fence(&fence);
        }
        self.requests.extend(other.requests);
    }

    /// Lets the requests go and wakes the waiters. The caller holds no queue's lock.
    pub(crate) fn run(self) {
        if let Some(array) = self.status {
            array.wake();
        }
        if let Some(fence) = self.fence {
            fence.0.changed.notify_all();
        }
        for (queue, token) in self.requests {
            if let Some(queue) = queue.upgrade() {
                queue.release_from_fence(token);
            }
        }
    }

    fn wake_status(&mut self, array: StatusArray) {
        if let Some(other) = self.status.replace(array) {
            other.wake();
        }
    }

    fn wake_fence(&mut self, fence: &Fence) {
        if let Some(other) = self.fence.replace(fence.clone()) {
            other.0.changed.notify_all();
        }
    }
}

impl Fence {
    /// A fence with the value `initial`.
    pub fn new(initial: u64) -> Fence {
        Fence::with(initial, None, None)
    }

    /// A fence that goes with a semaphore of a GPU.
    pub(crate) fn linked(link: FenceLink) -> Fence {
        Fence::with(link.value(), None, Some(link))
    }

    /// The `VkSemaphore` that it goes with, if it was made by a GPU.
    pub fn vulkan_semaphore(&self) -> Option<u64> {
        self.0.link.as_ref().map(FenceLink::semaphore)
    }

    /// A fence of a host that waits for notifications: each signal notifies with `cookie` and the
    /// value.
    pub fn foreign(notifier: &Arc<Notifier>, cookie: u64, initial: u64) -> Fence {
        Fence::with(initial, Some(Foreign::new(notifier, cookie)), None)
    }

    fn with(initial: u64, foreign: Option<Arc<Foreign>>, link: Option<FenceLink>) -> Fence {
        let state = Mutex::new(FenceState {
            value: initial,
            waiters: Vec::new(),
        });
        Fence(Arc::new(FenceCore {
            state,
            changed: Condvar::new(),
            foreign,
            link,
            helped_by: HelpedBy::default(),
        }))
    }

    /// Requests of that runtime come before a signal of it.
    pub(crate) fn is_helped_by(&self, shared: &Arc<Shared>) {
        self.0.helped_by.set(shared);
    }

    pub(crate) fn link(&self) -> Option<&FenceLink> {
        self.0.link.as_ref()
    }

    /// The state, with what a GPU may have done to it meanwhile.
    fn state(&self) -> MutexGuard<'_, FenceState> {
        let mut state = self.0.state.lock();
        if let Some(link) = &self.0.link {
            state.value = state.value.max(link.value());
        }
        state
    }

    /// Has a GPU tell when it sets `value`. Nobody holds the fence's lock.
    fn watch(&self, value: u64) {
        if let Some(link) = &self.0.link {
            link.watch(&self.0, value);
        }
    }

    /// A GPU has set the value, or a greater one.
    pub(crate) fn reached(core: Arc<FenceCore>, value: u64) {
        let mut aftermath = Aftermath::default();
        Fence(core).advance(value, &mut aftermath);
        aftermath.run();
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.state().value
    }

    /// Sets the value and wakes everyone who waited for it or less. Must not be called from the
    /// error callback.
    pub fn signal(&self, value: u64) {
        let mut aftermath = Aftermath::default();
        self.set(value, &mut aftermath);
        aftermath.run();
    }

    /// Blocks until the value is at least `value`; `false` after `timeout` (`None`: no limit). Meanwhile the
    /// thread may carry out requests, as in [`StatusArray::wait`].
    pub fn wait(&self, value: u64, timeout: Option<Duration>) -> bool {
        let deadline = deadline_after(timeout);
        if self.value() >= value {
            return true;
        }
        self.0.helped_by.help(deadline, || self.value() >= value);
        self.watch(value);
        let mut state = self.state();
        while state.value < value {
            if !wait_until(&self.0.changed, &mut state, deadline) {
                return state.value >= value;
            }
        }
        true
    }

    /// Sets `event` when the value is at least `value`: at once, if it is.
    pub fn set_event_at(&self, value: u64, event: &Event) {
        let mut state = self.state();
        if state.value >= value {
            drop(state);
            event.set();
        } else {
            state.waiters.push((value, Waiter::Event(event.clone())));
            drop(state);
            self.watch(value);
        }
    }

    /// Sets the value; what follows from it is for the caller to run when it holds no queue's lock.
    pub(crate) fn set(&self, value: u64, aftermath: &mut Aftermath) {
        if self.0.link.is_some() {
            return self.advance(value, aftermath);
        }
        let mut state = self.0.state.lock();
        state.value = value;
        self.fire(state, aftermath);
    }

    /// The same for a fence whose value only grows, since a semaphore's does.
    fn advance(&self, value: u64, aftermath: &mut Aftermath) {
        let mut state = self.state();
        if let Some(link) = &self.0.link {
            link.signal(value);
        }
        state.value = state.value.max(value);
        self.fire(state, aftermath);
    }

    /// Lets go whoever has waited for the value.
    fn fire(&self, mut state: MutexGuard<'_, FenceState>, aftermath: &mut Aftermath) {
        let value = state.value;
        for (_, waiter) in state.waiters.extract_if(.., |(wanted, _)| *wanted <= value) {
            match waiter {
                Waiter::Event(event) => event.set(),
                Waiter::Request(queue, token) => aftermath.requests.push((queue, token)),
            }
        }
        aftermath.wake_fence(self);
        // Under the lock, so that a host sees values in the order they were set.
        if let Some(foreign) = &self.0.foreign {
            foreign.signal(value);
        }
    }

    /// Whether the value is at least `value`; if not, the request waits in line.
    pub(crate) fn reached_or_park(&self, value: u64, queue: &Arc<QueueCore>, token: Token) -> bool {
        let mut state = self.state();
        if state.value >= value {
            return true;
        }
        state
            .waiters
            .push((value, Waiter::Request(Arc::downgrade(queue), token)));
        drop(state);
        self.watch(value);
        false
    }

    /// Forgets those of a queue's requests that no longer wait.
    pub(crate) fn unpark(&self, queue: &Arc<QueueCore>, is_gone: impl Fn(Token) -> bool) {
        self.0
            .state
            .lock()
            .waiters
            .retain(|(_, waiter)| match waiter {
                Waiter::Request(of, token) if std::ptr::eq(of.as_ptr(), Arc::as_ptr(queue)) => {
                    !is_gone(*token)
                }
                _ => true,
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_was_never_enqueued_stays_pending() {
        let array = StatusArray::new(2, Some("test"));
        assert_eq!(
            (array.is_complete(0), array.hresult(0)),
            (false, E_PENDING),
            "O-31"
        );
        assert_eq!(
            (array.is_complete(2), array.hresult(2)),
            (false, Error::IndexBound.hresult()),
            "O-35"
        );
        assert_eq!(array.wait(0, Some(Duration::from_millis(1))), None);
        assert_eq!((array.capacity(), array.name()), (2, Some("test")));
    }

    #[test]
    #[cfg_attr(miri, ignore = "looks at much memory")]
    fn more_than_there_can_be_is_an_error() {
        for capacity in [StatusArray::CAPACITY_MAX + 1, u32::MAX] {
            let result = StatusArray::try_new(capacity, None);
            assert_eq!(result.map(drop), Err(Error::Os(libc::ENOMEM)));
        }
        let large = StatusArray::try_new(1 << 24, None).unwrap();
        assert_eq!(large.hresult((1 << 24) - 1), E_PENDING, "O-32");
    }

    #[test]
    fn a_waiter_hears_of_its_status() {
        let array = StatusArray::new(1, None);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| array.wait(0, None));
            std::thread::sleep(Duration::from_millis(5));
            let mut aftermath = Aftermath::default();
            array.set(0, -7, &mut aftermath);
            aftermath.run();
            assert_eq!(waiter.join().unwrap(), Some(-7));
        });
        assert_eq!(array.reset(1), Err(Error::IndexBound));
        array.reset(0).unwrap();
        assert!(!array.is_complete(0), "O-34");
    }

    #[test]
    fn fences_wake_threads_and_set_events() {
        let fence = Fence::new(1);
        let (early, late) = (Event::new().unwrap(), Event::new().unwrap());
        fence.set_event_at(1, &early);
        fence.set_event_at(5, &late);
        assert!(early.take() && !late.wait(Some(Duration::ZERO)));
        assert!(!fence.wait(5, Some(Duration::from_millis(1))));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| fence.wait(5, None));
            fence.signal(4);
            fence.signal(5);
            assert!(waiter.join().unwrap());
        });
        assert!(late.wait(None) && late.take() && !late.take());
    }

    #[test]
    fn what_was_signalled_and_not_fetched_goes_with_the_notifier() {
        let notifier = Notifier::new();
        let event = Event::foreign(&notifier, 1);
        event.set();
        let gone = Arc::downgrade(&notifier);
        drop(notifier);
        assert!(gone.upgrade().is_none());
        event.set();
    }

    #[test]
    fn a_foreign_object_has_one_notification_with_the_latest_value() {
        let notifier = Notifier::new();
        let fence = Fence::foreign(&notifier, 7, 0);
        let event = Event::foreign(&notifier, 8);
        for value in 1..=1000 {
            fence.signal(value);
            event.set();
        }
        let mut out = [Notification {
            cookie: 0,
            value: 0,
        }; 8];
        assert_eq!(notifier.wait(&mut out[..1], None), 1);
        assert_eq!(
            out[0],
            Notification {
                cookie: 7,
                value: 1000
            }
        );
        assert_eq!(notifier.wait(&mut out, None), 1);
        assert_eq!(
            out[0],
            Notification {
                cookie: 8,
                value: 0
            }
        );
        assert_eq!(notifier.wait(&mut out, Some(Duration::ZERO)), 0);
        // One thread a call, however the calls and waits fall.
        notifier.interrupt();
        notifier.interrupt();
        assert_eq!(notifier.wait(&mut out, None), 0);
        assert_eq!(notifier.wait(&mut out, None), 0);
    }
}
