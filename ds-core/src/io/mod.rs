//! `Io`: what a queue asks of the disk, in four verbs: push, submit, reap, cancel.
//!
//! A closed set of ways to do it; each I/O thread owns one. Knows bytes and offsets, never
//! compression or queues. An operation owns its memory and descriptor from `push` until `reap`
//! gives it back; nothing is freed before. Completions carry what the kernel said; continuing short
//! reads, retrying and giving up are the driver's work (`driver.rs`), so that they are written and
//! proved once.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::memory::Span;
use crate::slots::Token;

pub(crate) mod sim;
pub(crate) mod threads;
pub(crate) mod uring;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// From the file into memory.
    Read,
    /// From memory into the file.
    Write,
}

pub(crate) use uring::Waited;

/// One read or write.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// Comes back with the completion.
    pub(crate) token: Token,
    pub(crate) direction: Direction,
    pub(crate) fd: Arc<OwnedFd>,
    pub(crate) offset: u64,
    pub(crate) span: Span,
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
}

impl Io {
    /// How many more operations may be pushed.
    pub(crate) fn room(&self) -> usize {
        match self {
            Io::Threads(io) => io.room(),
            Io::Uring(io) => io.room(),
            Io::Sim(io) => io.room(),
        }
    }

    /// How many operations have been pushed and not reaped.
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            Io::Threads(io) => io.in_flight(),
            Io::Uring(io) => io.in_flight(),
            Io::Sim(io) => io.in_flight(),
        }
    }

    /// Whether operations take the owning thread's time, so that it may say something about them.
    pub(crate) fn blocks(&self) -> bool {
        matches!(self, Io::Threads(_))
    }

    /// Adds an operation; there must be room.
    pub(crate) fn push(&mut self, op: Op) {
        match self {
            Io::Threads(io) => io.push(op),
            Io::Uring(io) => io.push(op),
            Io::Sim(io) => io.push(op),
        }
    }

    /// Starts what was pushed, and appends what has completed to `done`.
    ///
    /// Blocking calls complete everything at once. A ring waits for the first completion if `wait`
    /// says so, for at most `timeout`; whoever lists a queue meanwhile wakes it.
    pub(crate) fn submit_and_reap(
        &mut self,
        wait: bool,
        timeout: Option<Duration>,
        done: &mut Vec<Completion>,
    ) -> Waited {
        match self {
            Io::Threads(io) => io.submit_and_reap(done),
            Io::Uring(io) => return io.reap(wait, timeout, done),
            Io::Sim(io) => io.submit_and_reap(done),
        }
        Waited::Woken
    }

    /// Whether the thread sleeps in here rather than in the scheduler.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Io::Uring(_))
    }

    /// Asks for an early end of an operation. It still completes, perhaps with ECANCELED, perhaps
    /// as if not asked.
    pub(crate) fn cancel(&mut self, token: Token) {
        match self {
            Io::Threads(io) => io.cancel(token),
            Io::Uring(io) => io.cancel(token),
            Io::Sim(io) => io.cancel(token),
        }
    }
}

/// Carries out one operation by a blocking call, once.
fn run(op: &Op) -> Result<usize, i32> {
    use std::os::fd::AsFd;
    let result = match op.direction {
        Direction::Read => crate::sys::pread(op.fd.as_fd(), op.span, op.offset),
        Direction::Write => crate::sys::pwrite(op.fd.as_fd(), op.span, op.offset),
    };
    result.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}
