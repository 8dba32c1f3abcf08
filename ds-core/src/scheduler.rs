//! Which queue's requests start next.
//!
//! Owns the list of queues that have something to start, by priority, and the sleep of the I/O
//! threads. A queue is in the list at most once (`QueueCore` keeps that flag), and an I/O thread
//! takes it out while it looks at it. Queues of one priority take turns. Waking is a chain: a
//! submit wakes one thread, and each thread that leaves work behind wakes the next, so that a
//! submit costs at most one system call.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::config::cores;
use crate::queue::{PRIORITY_COUNT, QueueCore};
use crate::sys;

#[derive(Debug, Default)]
struct Ready {
    /// Highest priority last.
    queues: [VecDeque<Arc<QueueCore>>; PRIORITY_COUNT],
    sleeping: usize,
    stopped: bool,
}

/// A thread that sleeps in its ring, and how to wake it.
#[derive(Debug)]
struct RingSleeper {
    /// The priorities of which it could start something, one bit each, while it sleeps; 0 otherwise.
    asleep: AtomicU8,
    event: Arc<OwnedFd>,
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    ready: Mutex<Ready>,
    wake: Condvar,
    /// How many queues of each priority are listed, to look at without the lock.
    len: [AtomicUsize; PRIORITY_COUNT],
    /// How many queues I/O threads have taken out of the list and look at: each may be back soon.
    looked_at: AtomicUsize,
    /// How many I/O threads there are.
    threads: usize,
    /// Whether the last reads of some thread came from the page cache.
    cached: AtomicBool,
    /// Threads that sleep in their rings; none where threads sleep here.
    rings: Vec<RingSleeper>,
    /// How often one of them had to be woken.
    wakes: AtomicU64,
    stopped: AtomicBool,
}

/// Whether listing a queue wakes a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wake {
    /// One that sleeps, if there is one.
    Yes,
    /// The thread that lists comes back for it.
    No,
}

/// Why a sleep ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    /// There may be work.
    Work,
    /// Nothing happened for the whole time.
    Idle,
    /// The runtime is going away.
    Stop,
}

/// How often an I/O thread looks for work before it sleeps: about as long as sleeping and waking
/// would take.
const SPINS_BEFORE_SLEEP: usize = 100;

impl RingSleeper {
    /// Whether it slept and could start something of that priority; then it is the caller's to wake.
    fn stop_sleep(&self, priority: usize) -> bool {
        let could = |mask: u8| mask & 1 << priority != 0;
        let woken = self
            .asleep
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |mask| {
                could(mask).then_some(0)
            });
        woken.is_ok()
    }
}

impl Scheduler {
    /// The scheduler of `threads` I/O threads that sleep here.
    pub(crate) fn new(threads: usize) -> Scheduler {
        Scheduler {
            threads,
            ..Scheduler::default()
        }
    }

    /// A scheduler for threads that sleep in rings, each woken by its event.
    pub(crate) fn for_rings(events: Vec<Arc<OwnedFd>>) -> Scheduler {
        let sleeper = |event| RingSleeper {
            asleep: AtomicU8::new(0),
            event,
        };
        Scheduler {
            threads: events.len(),
            rings: events.into_iter().map(sleeper).collect(),
            ..Scheduler::default()
        }
    }

    /// The event that wakes a ring's thread.
    pub(crate) fn ring_event(&self, index: usize) -> Arc<OwnedFd> {
        Arc::clone(&self.rings[index].event)
    }

    /// Whether the last reads of some thread came from the page cache.
    pub(crate) fn is_cached(&self) -> bool {
        self.cached.load(Ordering::Relaxed)
    }

    /// A driver says what its last reads were like.
    pub(crate) fn set_cached(&self, cached: bool) {
        if self.cached.load(Ordering::Relaxed) != cached {
            self.cached.store(cached, Ordering::Relaxed);
        }
    }

    /// Lists a queue that has something to start; unless the runtime has gone, and its queues were closed
    /// before: then nobody would take it out of the list again.
    pub(crate) fn list(&self, queue: Arc<QueueCore>, wake: Wake) {
        let mut ready = self.ready.lock();
        if ready.stopped {
            drop(ready);
            return;
        }
        let priority = queue.priority_index();
        ready.queues[priority].push_back(queue);
        // Before the look at who sleeps, as `fall_asleep` looks after saying so: one sees the other.
        self.len[priority].fetch_add(1, Ordering::SeqCst);
        let awake = self.threads.saturating_sub(ready.sleeping);
        // Reads from the page cache need cores, not threads; those awake look here before they sleep.
        let enough =
            self.cached.load(Ordering::Relaxed) && awake >= cores() && self.rings.is_empty();
        let sleeping = ready.sleeping > 0 && wake == Wake::Yes && !enough;
        drop(ready);
        if sleeping {
            self.wake.notify_one();
        }
        if wake == Wake::Yes
            && let Some(ring) = self.rings.iter().find(|ring| ring.stop_sleep(priority))
        {
            self.wakes.fetch_add(1, Ordering::Relaxed);
            sys::eventfd_set(ring.event.as_fd());
        }
    }

    /// How often a submit had to wake a ring's thread.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }

    /// Whether a queue is listed of a priority that `may_start`.
    pub(crate) fn has_work(&self, may_start: impl Fn(usize) -> bool) -> bool {
        (0..PRIORITY_COUNT)
            .any(|priority| self.len[priority].load(Ordering::SeqCst) > 0 && may_start(priority))
    }

    /// Says that a ring's thread is about to sleep; `false` if it must not, because there is work that
    /// `may_start`.
    pub(crate) fn fall_asleep(&self, index: usize, may_start: impl Fn(usize) -> bool) -> bool {
        let could = (0..PRIORITY_COUNT).filter(|&priority| may_start(priority));
        let mask = could.fold(0, |mask, priority| mask | 1 << priority);
        self.rings[index].asleep.store(mask, Ordering::SeqCst);
        let nothing = !self.has_work(may_start) && !self.is_stopped();
        if !nothing {
            self.awake(index);
        }
        nothing
    }

    /// A ring's thread is up.
    pub(crate) fn awake(&self, index: usize) {
        self.rings[index].asleep.store(0, Ordering::SeqCst);
    }

    /// Makes every ring's thread look around, asleep or about to be.
    pub(crate) fn call_rings(&self) {
        for ring in &self.rings {
            sys::eventfd_set(ring.event.as_fd());
        }
    }

    /// Takes the next queue of a priority that `may_start` out of the list, for the caller to look at until
    /// [`Scheduler::looked`].
    pub(crate) fn next(&self, may_start: impl Fn(usize) -> bool) -> Option<Arc<QueueCore>> {
        if !self.has_work(&may_start) {
            return None;
        }
        let mut ready = self.ready.lock();
        let mut priorities = (0..PRIORITY_COUNT).rev().filter(|&p| may_start(p));
        let (priority, queue) = priorities
            .find_map(|priority| Some((priority, ready.queues[priority].pop_front()?)))?;
        self.looked_at.fetch_add(1, Ordering::Relaxed);
        self.len[priority].fetch_sub(1, Ordering::Relaxed);
        Some(queue)
    }

    /// The queue that [`Scheduler::next`] gave is listed again, if it is to be.
    pub(crate) fn looked(&self) {
        self.looked_at.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether somebody looks at a queue that may be listed again any moment.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.looked_at.load(Ordering::Relaxed) > 0
    }

    /// Sleeps until a queue is listed, `timeout` passes, or [`Scheduler::stop`].
    pub(crate) fn sleep(&self, timeout: Option<Duration>) -> Woken {
        for _ in 0..SPINS_BEFORE_SLEEP {
            if self.has_work(|_| true) {
                return Woken::Work;
            }
            std::hint::spin_loop();
        }
        let mut ready = self.ready.lock();
        if !ready.stopped && ready.queues.iter().all(VecDeque::is_empty) {
            ready.sleeping += 1;
            let timed_out = match timeout {
                Some(timeout) => self.wake.wait_for(&mut ready, timeout).timed_out(),
                None => {
                    self.wake.wait(&mut ready);
                    false
                }
            };
            ready.sleeping -= 1;
            if timed_out && !ready.stopped {
                return Woken::Idle;
            }
        }
        if ready.stopped {
            Woken::Stop
        } else {
            Woken::Work
        }
    }

    /// Forgets the queues that are still listed, when nobody looks for them any more. A listed queue keeps
    /// the runtime, which keeps this list.
    pub(crate) fn clear(&self) {
        while self.next(|_| true).is_some() {
            self.looked();
        }
    }

    /// Ends every sleep, now and later.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.ready.lock().stopped = true;
        self.wake.notify_all();
        self.call_rings();
    }

    /// Whether [`Scheduler::stop`] was called.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_woken_only_for_what_it_could_start() {
        let events: Vec<_> = (0..2).map(|_| Arc::new(sys::eventfd().unwrap())).collect();
        let scheduler = Scheduler::for_rings(events);
        assert!(scheduler.fall_asleep(0, |priority| priority > 1));
        assert!(scheduler.fall_asleep(1, |_| true));
        let wake = |priority| {
            scheduler
                .rings
                .iter()
                .position(|ring| ring.stop_sleep(priority))
        };
        assert_eq!(wake(0), Some(1), "the first has no room for it");
        assert_eq!(wake(0), None, "nobody else could");
        assert_eq!(wake(2), Some(0));
        assert_eq!(wake(2), None, "both are up");
    }
}
