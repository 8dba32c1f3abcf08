//! An I/O thread's loop: takes requests from queues, moves their bytes through an `Io`, and passes
//! them on.
//!
//! Owns what is in flight on this thread. How the bytes of one request move is `transfer.rs`'s
//! business; this file says how many at a time, for whom first, and when to sleep.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::cores;
use crate::due::Due;
use crate::hold::Landed;
use crate::io::threads::Threads;
use crate::io::{Completion, Io, Waited};
use crate::notify::Aftermath;
use crate::queue::{Closing, Outcome, PRIORITY_COUNT, Priority, QueueCore};
use crate::runtime::Shared;
use crate::scheduler::Woken;
use crate::slots::{Slots, Token};
use crate::state::{Budget, Started, Work};
use crate::sys;
use crate::transfer::{Finish, Progress, Transfer};

/// A batch of requests ends once it has this many bytes.
const BATCH_BYTES: usize = 256 << 10;
/// So many bytes from the page cache are copied in less time than it takes to wake a thread.
const BYTES_ALONE: usize = 64 << 10;
/// A blocking read that takes no longer than this, and a nanosecond a byte, came from the page cache.
const CACHED_READ: Duration = Duration::from_micros(10);
/// After so long without work, idle staging goes back to the kernel.
pub(crate) const IDLE_RELEASE: Duration = Duration::from_secs(2);
/// How often a ring's thread with nothing in flight looks for work before it sleeps: about as long as
/// sleeping and waking would take.
const SPINS_BEFORE_SLEEP: usize = 100;
/// The same while another thread looks at a queue: it will be back in less time than that, and to be woken
/// for it would take longer.
const SPINS_BESIDE_LOOK: usize = 5 * SPINS_BEFORE_SLEEP;
/// A ring's thread does not sleep for longer while something may have completed that it did not ask to be
/// woken for (`due.rs`): an error's event comes no later than that. A fraction of a frame, and many times
/// what a disk takes for a few reads.
const OVERSLEEP_MAX: Duration = Duration::from_millis(5);

/// How often a ring's thread takes from queues before it looks at what has completed: some requests need
/// no I/O and would keep it from that for ever.
const TAKES_MAX: usize = 16;

/// How much a ring is handed at once.
#[derive(Clone, Copy, Debug)]
struct Portion {
    requests: usize,
    bytes: usize,
}

/// Reads that wait for a disk are handed over as they come.
const PORTION: Portion = Portion {
    requests: usize::MAX,
    bytes: usize::MAX,
};
/// The kernel copies what is cached before it answers. With small portions the application hears of the
/// first requests, and sends more, while this thread works on the next; and an urgent one waits less (a
/// portion of the largest size is copied in less than half a millisecond). The bytes are those of several
/// large reads, so that these do not cost a system call each.
const PORTION_CACHED: Portion = Portion {
    requests: 16,
    bytes: 4 << 20,
};
/// So often a thread that waits asks a kernel that has no memory for its reads, with a millisecond between.
const LENT_TURNS_MAX: usize = 10;
/// What a thread that waits does before it looks again whether its wait is over.
const PORTION_LENT: Portion = Portion {
    requests: 16,
    bytes: 1 << 20,
};
/// Waking a thread costs as much as several small reads. While a ring copies cached files and has another
/// portion to go on with after the next, those who wait are woken for several portions at once, and not
/// much later than this.
const OWED_MAX: Duration = Duration::from_micros(50);

/// How much requests of one priority may have in flight.
#[derive(Clone, Copy, Debug)]
struct Share {
    requests: usize,
    bytes: usize,
}

/// What may be in flight, lowest priority first: requests of that priority and those below on each ring, and
/// bytes of that priority on all rings. More urgent requests find room in the ring and a short line at the
/// disk, however much of the others there is. The bytes are many times what keeps a fast disk busy (7 GB/s at
/// 100 us are 0.7 MB); one request a ring is always allowed.
const SHARES: [Share; PRIORITY_COUNT] = [
    Share {
        requests: 64,
        bytes: 4 << 20,
    },
    Share {
        requests: 192,
        bytes: 32 << 20,
    },
    Share {
        requests: 224,
        bytes: 64 << 20,
    },
    Share {
        requests: usize::MAX,
        bytes: usize::MAX,
    },
];

/// What one priority has in flight.
#[derive(Clone, Copy, Default, Debug)]
struct Load {
    requests: usize,
    bytes: usize,
}

/// One I/O thread.
#[derive(Debug)]
pub(crate) struct Driver {
    io: Io,
    active: Slots<Transfer>,
    loads: [Load; PRIORITY_COUNT],
    /// Pushed since the last submit.
    pushed: Load,
    started: Vec<Started>,
    completions: Vec<Completion>,
    finished: Finished,
    /// Uploads whose bytes are there, for the moment between.
    landed: Vec<Landed>,
    /// Who is to be woken for what completed, and since when.
    owed: Aftermath,
    owed_since: Option<Instant>,
    /// Requests that could have started when this thread last took some.
    left: usize,
    cancel_epoch: u64,
    /// How many drivers share the queues.
    threads: usize,
    /// Whether it is for threads of the application's that wait: what they take ends in the call that hands
    /// it over, or goes back.
    lent: bool,
    /// Whether the last reads came from the page cache. They cost a core and little time, so it pays to
    /// take several at once and to wake nobody for a few more. Reads that wait for a disk are taken one
    /// by one, so that none waits behind another.
    cached: bool,
    /// How often this thread had waited when it was last looked at.
    switches: u64,
    /// The last sleep lasted for [`OVERSLEEP_MAX`].
    overslept: bool,
}

impl Driver {
    /// A driver for `io`, one of `threads`.
    pub(crate) fn new(io: Io, threads: usize) -> Driver {
        let (room, blocking) = (io.room(), io.blocks());
        Driver {
            io,
            active: Slots::new(room),
            loads: Default::default(),
            pushed: Load::default(),
            started: Vec::with_capacity(room),
            completions: Vec::with_capacity(room),
            finished: Finished {
                queue: None,
                outcomes: Vec::with_capacity(room),
                closing: Vec::new(),
            },
            landed: Vec::new(),
            owed: Aftermath::default(),
            owed_since: None,
            left: 0,
            cancel_epoch: 0,
            threads,
            lent: false,
            cached: !blocking,
            switches: 0,
            overslept: false,
        }
    }

    /// The same for threads that wait, one at a time; see [`Driver::help`].
    pub(crate) fn lent(io: Io, threads: usize) -> Driver {
        Driver {
            lent: true,
            ..Driver::new(io, threads)
        }
    }

    /// Works until the runtime stops. `index` is the thread's own, below the number of drivers.
    pub(crate) fn run(mut self, shared: &Shared, index: usize) {
        if self.io.waits() && !self.run_ring(shared, index) {
            return;
        }
        loop {
            if self.step(shared) {
                continue;
            }
            let timeout = shared.holds_staging().then_some(IDLE_RELEASE);
            match shared.scheduler.sleep(timeout) {
                Woken::Work => {}
                Woken::Idle => shared.release_idle_staging(),
                Woken::Stop => return,
            }
            // Sleeping was waiting, too.
            self.has_waited();
        }
    }

    /// The same for an `Io` that sleeps in the kernel: it is woken by completions and by new work. Says
    /// whether the ring was lost, and threads' ways are to be used from now on.
    fn run_ring(&mut self, shared: &Shared, index: usize) -> bool {
        while !shared.scheduler.is_stopped() || self.io.in_flight() > 0 {
            let mut takes = 0;
            while takes < TAKES_MAX && self.portion_left() && self.take(shared) {
                takes += 1;
            }
            self.pass_on_cancels(shared);
            self.wake_owed_in_time();
            let wait = match self.portion_left() {
                true => self.falls_asleep(shared, index),
                false => 0,
            };
            let idle = wait > 0 && self.io.in_flight() == 0 && shared.holds_staging();
            let timeout = match wait {
                0 | 1 => idle.then_some(IDLE_RELEASE),
                _ => Some(OVERSLEEP_MAX),
            };
            let waited = self
                .io
                .submit_and_reap(wait, timeout, &mut self.completions);
            shared.scheduler.awake(index);
            self.look_whether_cached(shared);
            if self.io.is_over() {
                self.io.release_buffers(&shared.staging);
                self.io = Io::Threads(Threads::new());
                self.complete(shared);
                self.wake_owed();
                return true;
            }
            self.complete(shared);
            shared.count_io(self.io.take_stats());
            // What is slow is waited for by itself, and not looked at again and again.
            self.overslept = waited == Waited::TimedOut && !idle;
            if waited == Waited::TimedOut && idle {
                self.io.release_buffers(&shared.staging);
                shared.release_idle_staging();
            }
        }
        self.wake_owed();
        self.io.release_buffers(&shared.staging);
        false
    }

    /// One round on a thread that waits: reads what is in the page cache. Says whether there was anything
    /// to do, and all of it could be done here.
    pub(crate) fn help(&mut self, shared: &Shared) -> bool {
        if !self.take(shared) {
            return false;
        }
        let mut turns = 0;
        while self.io.in_flight() > 0 {
            let wait = usize::from(turns > 0);
            self.io.submit_and_reap(wait, None, &mut self.completions);
            turns += 1;
            if turns == LENT_TURNS_MAX {
                self.io.give_up();
            }
        }
        self.pushed = Load::default();
        // What goes back does so in its order.
        self.completions.reverse();
        self.complete(shared);
        self.wake_owed();
        shared.count_io(self.io.take_stats());
        shared.scheduler.is_cached() && !self.io.is_over()
    }

    /// Wakes those who wait for what completed, now or, where that is soon enough, later.
    fn wake_owed_in_time(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        let now = Instant::now();
        let since = *self.owed_since.get_or_insert(now);
        let short = self.pushed.bytes < 2 * PORTION_CACHED.bytes;
        let busy = self.cached && !self.portion_left() && self.left > 0 && short;
        if !busy || now.duration_since(since) >= OWED_MAX {
            self.wake_owed();
        }
    }

    fn wake_owed(&mut self) {
        self.owed_since = None;
        std::mem::take(&mut self.owed).run();
    }

    /// Whether more may be pushed before the next submit.
    fn portion_left(&self) -> bool {
        let portion = self.portion();
        self.pushed.requests < portion.requests && self.pushed.bytes < portion.bytes
    }

    fn portion(&self) -> Portion {
        match (self.lent, self.cached) {
            (true, _) => PORTION_LENT,
            (false, true) => PORTION_CACHED,
            (false, false) => PORTION,
        }
    }

    /// What completes in the submit itself came from the page cache.
    fn look_whether_cached(&mut self, shared: &Shared) {
        let pushed = std::mem::take(&mut self.pushed).requests;
        if pushed > 0 {
            self.cached = self.completions.len() >= pushed && self.io.in_flight() < pushed;
            shared.scheduler.set_cached(self.cached);
        }
    }

    /// How many completions there is nothing to do before, unless somebody calls; 0 if there is something to
    /// do now. Looks a little longer when nothing is in flight, because more work often comes at once.
    fn falls_asleep(&self, shared: &Shared, index: usize) -> usize {
        let spins = match self.io.in_flight() {
            0 if cores() > self.threads => SPINS_BEFORE_SLEEP..SPINS_BESIDE_LOOK,
            // Somebody else has use for this core.
            0 => SPINS_BEFORE_SLEEP..SPINS_BEFORE_SLEEP,
            _ => 0..0,
        };
        for spin in 0..spins.end {
            if shared
                .scheduler
                .has_work(|priority| self.has_room(priority))
            {
                return 0;
            }
            if spin >= spins.start && !shared.scheduler.is_looked_at() {
                break;
            }
            std::hint::spin_loop();
        }
        let asleep = shared
            .scheduler
            .fall_asleep(index, |priority| self.has_room(priority));
        if asleep { self.due() } else { 0 }
    }

    /// How many completions may come before anybody could hear of one. Where a priority has its share, the
    /// next one makes room for a request that waits, or will while this thread sleeps.
    fn due(&self) -> usize {
        if self.overslept || !(0..PRIORITY_COUNT).all(|priority| self.has_room(priority)) {
            return 1;
        }
        let mut due = Due::default();
        for transfer in self.active.iter() {
            if !transfer.ends_quietly() {
                return 1;
            }
            due.add(transfer.queue.id(), transfer.group);
        }
        due.completions()
    }

    fn is_below_share(&self, priority: usize) -> bool {
        let share = self.share(priority);
        self.requests_up_to(priority) < share.requests && self.loads[priority].bytes < share.bytes
    }

    /// Requests in flight of that priority and those below: what must leave room for the ones above.
    fn requests_up_to(&self, priority: usize) -> usize {
        self.loads[..=priority]
            .iter()
            .map(|load| load.requests)
            .sum()
    }

    /// This ring's share of what a priority may have in flight.
    fn share(&self, priority: usize) -> Share {
        let all = SHARES[priority];
        Share {
            bytes: (all.bytes / self.threads).max(1),
            ..all
        }
    }

    /// Whether another request of that priority may start.
    fn has_room(&self, priority: usize) -> bool {
        if self.lent && priority > Priority::Normal as usize {
            return false;
        }
        self.io.room() > 0 && (!self.io.waits() || self.is_below_share(priority))
    }

    /// One round: take, push, submit, reap, complete. Says whether anything happened.
    pub(crate) fn step(&mut self, shared: &Shared) -> bool {
        let took = self.take(shared);
        self.pass_on_cancels(shared);
        let moving = self.io.in_flight() > 0;
        if moving {
            self.move_bytes(shared);
        }
        self.complete(shared);
        self.wake_owed();
        shared.count_io(self.io.take_stats());
        took || moving
    }

    /// Passes on what was reaped.
    fn complete(&mut self, shared: &Shared) {
        while let Some(completion) = self.completions.pop() {
            self.on_completion(shared, completion);
        }
        self.finished.flush(&mut self.owed);
        self.place_landed();
        if !self.finished.closing.is_empty() {
            self.close_files(shared);
        }
    }

    /// Closing may take its time, and nobody is to wait for that but those who must: what else was reaped
    /// is passed on by now. A thread of the application's, which has a time-out to keep, closes nothing.
    fn close_files(&mut self, shared: &Shared) {
        self.wake_owed();
        for (queue, closing) in self.finished.closing.drain(..) {
            match self.lent {
                true => shared.host.close_files(queue, closing),
                false => queue.close_files(closing),
            }
        }
    }

    /// Hands over what is for a GPU: one lock and at most one wake-up for all of a device's.
    fn place_landed(&mut self) {
        let mut landed = self.landed.drain(..).peekable();
        while let Some(first) = landed.peek() {
            let placer = Arc::clone(&first.upload.placer);
            let same = |next: &Landed| Arc::ptr_eq(&next.upload.placer, &placer);
            placer.place(std::iter::from_fn(|| landed.next_if(same)));
        }
    }

    fn move_bytes(&mut self, shared: &Shared) {
        let (count, start) = (self.io.in_flight() as u32, Instant::now());
        self.io.submit_and_reap(0, None, &mut self.completions);
        let bytes: usize = self
            .completions
            .iter()
            .filter_map(|done| done.result.ok())
            .sum();
        let expected = CACHED_READ * count + Duration::from_nanos(bytes as u64);
        if self.io.blocks() {
            self.cached = start.elapsed() <= expected || !self.has_waited();
            shared.scheduler.set_cached(self.cached);
        }
    }

    /// Whether this thread has waited for something since the last look. A read that took long without
    /// that was held up by another thread on the same core, and says nothing about the disk.
    fn has_waited(&mut self) -> bool {
        let before = std::mem::replace(&mut self.switches, sys::voluntary_switches());
        self.switches != before
    }

    /// Takes a batch of requests from the next queue.
    fn take(&mut self, shared: &Shared) -> bool {
        if self.io.room() == 0 {
            return false;
        }
        let Some(queue) = shared.scheduler.next(|priority| self.has_room(priority)) else {
            return false;
        };
        let budget = self.budget(queue.priority_index());
        let mut started = std::mem::take(&mut self.started);
        self.left = queue.start(budget, &mut started);
        shared.scheduler.looked();
        for request in started.drain(..) {
            self.begin(shared, &queue, request);
        }
        self.started = started;
        self.finished.flush(&mut self.owed);
        true
    }

    /// How much to take from a queue of that priority.
    fn budget(&self, priority: usize) -> Budget {
        if self.io.waits() {
            let (share, load) = (self.share(priority), self.loads[priority]);
            let portion = self.portion();
            let requests = (share.requests - self.requests_up_to(priority))
                .min(portion.requests.saturating_sub(self.pushed.requests));
            return Budget {
                requests: requests.min(self.io.room()),
                bytes: (share.bytes - load.bytes)
                    .min(portion.bytes.saturating_sub(self.pushed.bytes)),
                threads: self.threads,
                bytes_alone: 0,
            };
        }
        let in_cores = self.cached && self.io.blocks();
        Budget {
            requests: if self.cached { self.io.room() } else { 1 },
            bytes: BATCH_BYTES,
            threads: if in_cores {
                self.threads.min(cores())
            } else {
                self.threads
            },
            bytes_alone: if in_cores { BYTES_ALONE } else { 0 },
        }
    }

    fn begin(&mut self, shared: &Shared, queue: &Arc<QueueCore>, request: Started) {
        let entry = request.token;
        match Transfer::new(shared, queue, request) {
            Ok(mut transfer) => match self.lent && !transfer.lend() {
                true => self.put_back(shared, transfer),
                false => self.push_new(shared, transfer),
            },
            Err(work) => pass_on(shared, queue, entry, work),
        }
    }

    fn push_new(&mut self, shared: &Shared, transfer: Transfer) {
        let load = &mut self.loads[transfer.queue.priority_index()];
        load.requests += 1;
        load.bytes += transfer.bytes();
        let token = self
            .active
            .insert(transfer)
            .expect("no more requests were taken than there is room for");
        self.push(shared, token);
    }

    /// Leaves a transfer to the threads of the engine.
    fn put_back(&mut self, shared: &Shared, transfer: Transfer) {
        shared.scheduler.set_cached(false);
        transfer.put_back(shared);
    }

    fn push(&mut self, shared: &Shared, token: Token) {
        let transfer = self.active.get_mut(token).expect("pushed while it lives");
        let op = transfer.operation(token);
        self.pushed.requests += 1;
        self.pushed.bytes += op.span.bytes();
        if op.staged.is_some() {
            self.io.register_buffers(op, &shared.staging);
        }
        self.io.push(op);
    }

    /// Tells `Io` about requests in flight that somebody cancelled.
    fn pass_on_cancels(&mut self, shared: &Shared) {
        let epoch = shared.cancel_epoch.load(Ordering::Acquire);
        if epoch == self.cancel_epoch {
            return;
        }
        self.cancel_epoch = epoch;
        for (token, transfer) in self.active.iter_mut() {
            if transfer.queue.is_cancelled(transfer.entry) {
                transfer.cancelled = true;
                self.io.cancel(token);
            }
        }
    }

    fn on_completion(&mut self, shared: &Shared, completion: Completion) {
        let token = completion.token;
        let Some(transfer) = self.active.get_mut(token) else {
            return;
        };
        let outcome = match transfer.advance(shared, completion.result) {
            Progress::Again => return self.push(shared, token),
            Progress::Done(outcome) => Some(outcome),
            Progress::Elsewhere => None,
        };
        let load = &mut self.loads[transfer.queue.priority_index()];
        load.requests -= 1;
        load.bytes -= transfer.bytes();
        let Some(outcome) = outcome else {
            let transfer = self.active.remove(token).expect("just seen");
            return self.put_back(shared, transfer);
        };
        if shared.workers_read() {
            let warm = self.cached && outcome.is_ok() && transfer.reads_stream();
            transfer.queue.warm.note(warm);
        }
        match transfer.finish(shared, outcome) {
            Finish::Done(outcome) => {
                self.finished
                    .add(&transfer.queue, transfer.entry, outcome, &mut self.owed);
            }
            Finish::Landed(upload) => self.landed.push(Landed {
                queue: Arc::clone(&transfer.queue),
                entry: transfer.entry,
                upload,
            }),
            Finish::PassOn(work) => {
                let (queue, entry) = (Arc::clone(&transfer.queue), transfer.entry);
                // First: the request may end there, or on another thread, and its file is closed before.
                self.active.free(token);
                return pass_on(shared, &queue, entry, work);
            }
        }
        self.active.free(token);
    }
}

/// Has the rest of a request done, of which nothing is to be read or written here (any more).
fn pass_on(shared: &Shared, queue: &Arc<QueueCore>, entry: Token, work: Work) {
    match work {
        Work::Decompress {
            source,
            compression,
            hold,
            destination,
        } => shared.decompress(queue, entry, source, hold, compression, destination),
        Work::Copy {
            source,
            hold,
            destination,
        } => shared
            .host
            .copy(shared, queue, entry, source, hold, destination),
        Work::HandOver(hold) => shared.land(queue, entry, hold, Ok(())),
        Work::Transfer { .. } | Work::ReadStaged { .. } => unreachable!("these are transfers"),
    }
}

/// Requests that are done, of one queue at a time: one lock for all of them.
#[derive(Debug, Default)]
struct Finished {
    queue: Option<Arc<QueueCore>>,
    outcomes: Vec<(Token, Outcome)>,
    /// Requests, by queue, whose files are to be closed first.
    closing: Vec<(Arc<QueueCore>, Vec<Closing>)>,
}

impl Finished {
    fn add(
        &mut self,
        queue: &Arc<QueueCore>,
        entry: Token,
        outcome: Outcome,
        owed: &mut Aftermath,
    ) {
        if self
            .queue
            .as_ref()
            .is_none_or(|other| !Arc::ptr_eq(other, queue))
        {
            self.flush(owed);
            self.queue = Some(Arc::clone(queue));
        }
        self.outcomes.push((entry, outcome));
    }

    /// Completes them.
    fn flush(&mut self, owed: &mut Aftermath) {
        // Not kept: the queue may be the last to hold its runtime's threads, this one among them.
        if let Some(queue) = self.queue.take() {
            let closing = queue.complete_and_owe(self.outcomes.drain(..), owed);
            if !closing.is_empty() {
                self.closing.push((queue, closing));
            }
        }
    }
}

#[cfg(test)]
mod tests;
