//! `Io`: what a queue asks of the disk, in four verbs: push, submit, reap, cancel.
//!
//! A closed set of ways to do it; each I/O thread owns one. Knows bytes and offsets, never
//! compression or queues. An operation's memory and descriptor are its own from `push` until `reap`
//! gives it back; nothing is freed before. Completions carry what the kernel said; continuing short
//! reads, retrying, trying another way and giving up are `transfer.rs`'s work, so that they are
//! written and proved once.

use std::sync::Arc;
use std::time::Duration;

use crate::memory::Span;
use crate::open_file::{OpenFile, Way};
use crate::queue::Priority;
use crate::slots::Token;
use crate::staging::{Place, Staging};
use crate::stats::IoStats;

mod faulty;
mod file_table;
mod runs;
pub(crate) mod sim;
pub(crate) mod threads;
pub(crate) mod uring;

pub(crate) use faulty::Faulty;
pub(crate) use uring::Waited;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// From the file into memory.
    Read,
    /// From memory into the file.
    Write,
}

/// One read or write.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// Comes back with the completion.
    pub(crate) token: Token,
    pub(crate) direction: Direction,
    pub(crate) file: Arc<OpenFile>,
    pub(crate) way: Way,
    pub(crate) priority: Priority,
    pub(crate) offset: u64,
    pub(crate) span: Span,
    /// Where `span` lies in the staging pool, if it does.
    pub(crate) staged: Option<Place>,
}

/// What became of an operation: bytes transferred, or errno.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Completion {
    pub(crate) token: Token,
    pub(crate) result: Result<usize, i32>,
}

/// A way to read and write.
#[derive(Debug)]
pub(crate) enum Io {
    /// Blocking calls on the thread that owns it.
    Threads(threads::Threads),
    /// A ring in the kernel.
    Uring(Box<uring::Uring>),
    /// A simulation with seeded faults.
    Sim(sim::Sim),
    /// Any of the above, with seeded faults between it and the driver.
    Faulty(Box<Faulty>),
}

impl Io {
    /// How many more operations may be pushed.
    pub(crate) fn room(&self) -> usize {
        match self {
            Io::Threads(io) => io.room(),
            Io::Uring(io) => io.room(),
            Io::Sim(io) => io.room(),
            Io::Faulty(io) => io.room(),
        }
    }

    /// How many operations have been pushed and not reaped.
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            Io::Threads(io) => io.in_flight(),
            Io::Uring(io) => io.in_flight(),
            Io::Sim(io) => io.in_flight(),
            Io::Faulty(io) => io.in_flight(),
        }
    }

    /// Whether operations take the owning thread's time, so that it may say something about them.
    pub(crate) fn blocks(&self) -> bool {
        match self {
            Io::Threads(_) => true,
            Io::Uring(_) | Io::Sim(_) => false,
            Io::Faulty(io) => io.inner().blocks(),
        }
    }

    /// Adds an operation; there must be room. Its memory and file stay until it has completed.
    pub(crate) fn push(&mut self, op: &Op) {
        match self {
            Io::Threads(io) => io.push(op),
            Io::Uring(io) => io.push(op),
            Io::Sim(io) => io.push(op),
            Io::Faulty(io) => io.push(op),
        }
    }

    /// Starts what was pushed, and appends what has completed to `done`.
    ///
    /// Blocking calls complete everything at once. A ring waits for `wait` completions (0: for none), or a
    /// few less, for at most `timeout`; whoever lists a queue meanwhile wakes it.
    pub(crate) fn submit_and_reap(
        &mut self,
        wait: usize,
        timeout: Option<Duration>,
        done: &mut Vec<Completion>,
    ) -> Waited {
        match self {
            Io::Threads(io) => io.submit_and_reap(done),
            Io::Uring(io) => return io.reap(wait, timeout, done),
            Io::Sim(io) => io.submit_and_reap(done),
            Io::Faulty(io) => return io.submit_and_reap(wait, timeout, done),
        }
        Waited::Woken
    }

    /// Whether the thread sleeps in here rather than in the scheduler.
    pub(crate) fn waits(&self) -> bool {
        match self {
            Io::Uring(_) => true,
            Io::Threads(_) | Io::Sim(_) => false,
            Io::Faulty(io) => io.inner().waits(),
        }
    }

    /// Asks for an early end of an operation. It still completes, perhaps with ECANCELED, perhaps
    /// as if not asked.
    pub(crate) fn cancel(&mut self, token: Token) {
        match self {
            Io::Threads(io) => io.cancel(token),
            Io::Uring(io) => io.cancel(token),
            Io::Sim(io) => io.cancel(token),
            Io::Faulty(io) => io.cancel(token),
        }
    }

    /// Registers staging memory, if the operation to be pushed would gain by it.
    pub(crate) fn register_buffers(&mut self, op: &Op, staging: &Staging) {
        match self {
            Io::Uring(io) => io.register_buffers(op, staging),
            Io::Faulty(io) => io.inner_mut().register_buffers(op, staging),
            Io::Threads(_) | Io::Sim(_) => {}
        }
    }

    /// Whether nothing will come of it any more, and nothing is in flight.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Io::Uring(io) => io.is_over(),
            Io::Faulty(io) => io.is_over(),
            Io::Threads(_) | Io::Sim(_) => false,
        }
    }

    /// Has what the kernel would not take end with EAGAIN, and takes no more.
    pub(crate) fn give_up(&mut self) {
        match self {
            Io::Uring(io) => io.give_up(),
            Io::Faulty(io) => io.inner_mut().give_up(),
            Io::Threads(_) | Io::Sim(_) => {}
        }
    }

    /// Lets go of staging memory that it has registered; nothing is in flight.
    pub(crate) fn release_buffers(&mut self, staging: &Staging) {
        match self {
            Io::Uring(io) => io.release_buffers(staging),
            Io::Faulty(io) => io.inner_mut().release_buffers(staging),
            Io::Threads(_) | Io::Sim(_) => {}
        }
    }

    /// What was done since the last call.
    pub(crate) fn take_stats(&mut self) -> IoStats {
        match self {
            Io::Threads(io) => io.take_stats(),
            Io::Uring(io) => io.take_stats(),
            Io::Sim(_) => IoStats::default(),
            Io::Faulty(io) => io.inner_mut().take_stats(),
        }
    }
}

/// Fills `span` on the calling thread if all of it is in the page cache; `false` if not, or if the file
/// system cannot tell: then it has to be read in another way. Never waits for a disk.
pub(crate) fn read_cached(file: &OpenFile, offset: u64, span: Span) -> bool {
    let way = Way::CachedOnly;
    let read = crate::sys::preadv2(file.fd(way), span, offset, way.rw_flags());
    read.is_ok_and(|bytes| bytes == span.bytes())
}

/// Carries out one operation by a blocking call, once.
fn run(op: &Op) -> Result<usize, i32> {
    let fd = op.file.fd(op.way);
    let result = match (op.direction, op.way.rw_flags()) {
        (Direction::Read, 0) => crate::sys::pread(fd, op.span, op.offset),
        (Direction::Read, flags) => crate::sys::preadv2(fd, op.span, op.offset, flags),
        (Direction::Write, _) => crate::sys::pwrite(fd, op.span, op.offset),
    };
    result.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}
