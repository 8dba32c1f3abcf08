//! An I/O thread's loop: takes requests from queues, moves their bytes through an `Io`, and passes
//! them on.
//!
//! Owns what is in flight on this thread. The only place where short reads are continued,
//! interrupted calls repeated, and the end of a file noticed, for every way of reading; and so the
//! place that the simulation proves.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::cores;
use crate::error::{Error, Fault, Subsystem};
use crate::io::{Completion, Direction, Io, Op, Waited};
use crate::memory::Span;
use crate::queue::{Outcome, QueueCore};
use crate::request::Compression;
use crate::runtime::Shared;
use crate::scheduler::Woken;
use crate::slots::{Slots, Token};
use crate::staging::Range;
use crate::state::{Budget, Started, Work};
use crate::sys;

/// A batch of requests ends once it has this many bytes.
const BATCH_BYTES: usize = 256 << 10;
/// So many bytes from the page cache are copied in less time than it takes to wake a thread.
const BYTES_ALONE: usize = 64 << 10;
/// A blocking read that takes no longer than this, and a nanosecond a byte, came from the page cache.
const CACHED_READ: Duration = Duration::from_micros(10);
/// How often a request is repeated after EINTR or EAGAIN before that counts as its failure.
const RETRIES_MAX: u32 = 1000;
/// After so long without work, idle staging goes back to the kernel.
const IDLE_RELEASE: Duration = Duration::from_secs(2);

/// What follows a transfer.
#[derive(Debug)]
enum Next {
    Finish,
    Decompress {
        staging: Range,
        compression: Compression,
        destination: Span,
    },
}

/// A request whose bytes this thread is moving.
#[derive(Debug)]
struct Active {
    queue: Arc<QueueCore>,
    entry: Token,
    op: Op,
    next: Next,
    retries: u32,
}

/// One I/O thread.
#[derive(Debug)]
pub(crate) struct Driver {
    io: Io,
    active: Slots<Active>,
    started: Vec<Started>,
    completions: Vec<Completion>,
    finished: Vec<(Arc<QueueCore>, Token, Outcome)>,
    cancel_epoch: u64,
    /// How many drivers share the queues.
    threads: usize,
    /// Whether the last reads came from the page cache. They cost a core and little time, so it pays to
    /// take several at once and to wake nobody for a few more. Reads that wait for a disk are taken one
    /// by one, so that none waits behind another.
    cached: bool,
    /// How often this thread had waited when it was last looked at.
    switches: u64,
}

impl Driver {
    /// A driver for `io`, one of `threads`.
    pub(crate) fn new(io: Io, threads: usize) -> Driver {
        let (room, blocking) = (io.room(), io.blocks());
        Driver {
            io,
            active: Slots::new(room),
            started: Vec::with_capacity(room),
            completions: Vec::with_capacity(room),
            finished: Vec::with_capacity(room),
            cancel_epoch: 0,
            threads,
            cached: !blocking,
            switches: 0,
        }
    }

    /// Works until the runtime stops. `index` is the thread's own, below the number of drivers.
    pub(crate) fn run(mut self, shared: &Shared, index: usize) {
        if self.io.waits() {
            return self.run_ring(shared, index);
        }
        loop {
            if self.step(shared) {
                continue;
            }
            let timeout = shared.staging.holds_memory().then_some(IDLE_RELEASE);
            match shared.scheduler.sleep(timeout) {
                Woken::Work => {}
                Woken::Idle => shared.staging.release_idle(),
                Woken::Stop => return,
            }
            // Sleeping was waiting, too.
            self.has_waited();
        }
    }

    /// The same for an `Io` that sleeps in the kernel: it is woken by completions and by new work.
    fn run_ring(&mut self, shared: &Shared, index: usize) {
        while !shared.scheduler.is_stopped() || self.io.in_flight() > 0 {
            while self.take(shared) {}
            self.pass_on_cancels(shared);
            // With room left and nothing listed, there is nothing to do until something happens.
            let wait = self.io.room() == 0 || shared.scheduler.fall_asleep(index);
            let idle = wait && self.io.in_flight() == 0 && shared.staging.holds_memory();
            let timeout = idle.then_some(IDLE_RELEASE);
            let waited = self
                .io
                .submit_and_reap(wait, timeout, &mut self.completions);
            shared.scheduler.awake(index);
            self.complete(shared);
            if waited == Waited::TimedOut {
                shared.staging.release_idle();
            }
        }
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
        took || moving
    }

    /// Passes on what was reaped.
    fn complete(&mut self, shared: &Shared) {
        while let Some(completion) = self.completions.pop() {
            self.on_completion(shared, completion);
        }
        self.flush();
    }

    fn move_bytes(&mut self, shared: &Shared) {
        let (count, start) = (self.io.in_flight() as u32, Instant::now());
        self.io.submit_and_reap(false, None, &mut self.completions);
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
        let room = self.io.room();
        if room == 0 {
            return false;
        }
        let Some(queue) = shared.scheduler.next() else {
            return false;
        };
        // A ring does not stand still for a batch, so it takes what there is room for.
        let bytes = if self.io.waits() {
            usize::MAX
        } else {
            BATCH_BYTES
        };
        let budget = Budget {
            requests: if self.cached { room } else { 1 },
            bytes,
            threads: if self.cached && self.io.blocks() {
                self.threads.min(cores())
            } else {
                self.threads
            },
            bytes_alone: if self.cached && self.io.blocks() {
                BYTES_ALONE
            } else {
                0
            },
        };
        let mut started = std::mem::take(&mut self.started);
        queue.start(budget, &mut started);
        for Started { token, work } in started.drain(..) {
            self.begin(shared, &queue, token, work);
        }
        self.started = started;
        // What ended without any I/O must be told now: a ring may wait next.
        self.flush();
        true
    }

    fn begin(&mut self, shared: &Shared, queue: &Arc<QueueCore>, entry: Token, work: Work) {
        match work {
            Work::Transfer {
                direction,
                fd,
                offset,
                span,
            } => {
                let op = Op {
                    token: entry,
                    direction,
                    fd,
                    offset,
                    span,
                };
                self.push_new(queue, entry, op, Next::Finish);
            }
            Work::ReadCompressed {
                fd,
                offset,
                staging,
                compression,
                destination,
            } => {
                let op = Op {
                    token: entry,
                    direction: Direction::Read,
                    fd,
                    offset,
                    span: staging.span(),
                };
                self.push_new(
                    queue,
                    entry,
                    op,
                    Next::Decompress {
                        staging,
                        compression,
                        destination,
                    },
                );
            }
            Work::Decompress {
                source,
                compression,
                destination,
            } => {
                shared.decompress(queue, entry, source, None, compression, destination);
            }
            Work::Copy {
                source,
                destination,
            } => shared.host.copy(shared, queue, entry, source, destination),
        }
    }

    fn push_new(&mut self, queue: &Arc<QueueCore>, entry: Token, op: Op, next: Next) {
        let active = Active {
            queue: Arc::clone(queue),
            entry,
            op,
            next,
            retries: 0,
        };
        let token = self
            .active
            .insert(active)
            .expect("no more requests were taken than there is room for");
        self.push(token);
    }

    fn push(&mut self, token: Token) {
        let active = self.active.get_mut(token).expect("pushed while it lives");
        active.op.token = token;
        self.io.push(active.op.clone());
    }

    /// Tells `Io` about requests in flight that somebody cancelled.
    fn pass_on_cancels(&mut self, shared: &Shared) {
        let epoch = shared.cancel_epoch.load(Ordering::Acquire);
        if epoch == self.cancel_epoch {
            return;
        }
        self.cancel_epoch = epoch;
        for (token, active) in self.active.iter_mut() {
            if active.queue.is_cancelled(active.entry) {
                self.io.cancel(token);
            }
        }
    }

    fn on_completion(&mut self, shared: &Shared, completion: Completion) {
        let token = completion.token;
        let Some(active) = self.active.get_mut(token) else {
            return;
        };
        match advance(active, completion.result) {
            Progress::Again => self.push(token),
            Progress::Done(outcome) => {
                let active = self.active.remove(token).expect("just seen");
                self.end(shared, active, outcome);
            }
        }
    }

    fn end(&mut self, shared: &Shared, active: Active, outcome: Outcome) {
        let Active {
            queue, entry, next, ..
        } = active;
        match (next, outcome) {
            (Next::Finish, outcome) => self.finished.push((queue, entry, outcome)),
            (
                Next::Decompress {
                    staging,
                    compression,
                    destination,
                },
                Ok(()),
            ) => {
                let source = staging.span();
                shared.decompress(
                    &queue,
                    entry,
                    source,
                    Some(staging),
                    compression,
                    destination,
                );
            }
            (Next::Decompress { staging, .. }, Err(fault)) => {
                shared.free_staging(Some(staging));
                self.finished.push((queue, entry, Err(fault)));
            }
        }
    }

    /// Completes what is finished, one lock for each run of requests of one queue.
    fn flush(&mut self) {
        while let Some((queue, _, _)) = self.finished.first() {
            let queue = Arc::clone(queue);
            let run = self
                .finished
                .iter()
                .take_while(|(other, _, _)| Arc::ptr_eq(other, &queue))
                .count();
            queue.complete(
                self.finished
                    .drain(..run)
                    .map(|(_, entry, outcome)| (entry, outcome)),
            );
        }
    }
}

enum Progress {
    /// Push the operation again: the rest, or the same.
    Again,
    Done(Outcome),
}

/// What a completion means for its request.
fn advance(active: &mut Active, result: Result<usize, i32>) -> Progress {
    let op = &mut active.op;
    let operation = match op.direction {
        Direction::Read => "read",
        Direction::Write => "write",
    };
    let fail = |error| Progress::Done(Err(Fault::new(error, Subsystem::Io, operation)));
    match result {
        Ok(bytes) if bytes >= op.span.bytes() => Progress::Done(Ok(())),
        // The file has become shorter since its size was looked at; a device that takes nothing is
        // full.
        Ok(0) if op.direction == Direction::Read => fail(Error::EndOfFile),
        Ok(0) => fail(Error::Os(libc::ENOSPC)),
        Ok(bytes) => {
            active.retries = 0;
            op.offset += bytes as u64;
            op.span = op.span.part(bytes, op.span.bytes() - bytes);
            if active.queue.is_cancelled(active.entry) {
                fail(Error::Cancelled)
            } else {
                Progress::Again
            }
        }
        Err(libc::EINTR | libc::EAGAIN) if active.retries < RETRIES_MAX => {
            active.retries += 1;
            Progress::Again
        }
        Err(errno) => fail(Error::from_io_errno(errno)),
    }
}
