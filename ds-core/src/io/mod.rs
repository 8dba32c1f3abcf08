//! `Io`: what a queue asks of the disk, in four verbs: push, submit, reap, cancel.
//!
//! A closed set of ways to do it; each I/O thread owns one. Knows bytes and offsets, never
//! compression or queues. An operation owns its memory and descriptor from `push` until `reap`
//! gives it back; nothing is freed before. Completions carry what the kernel said; continuing short
//! reads, retrying and giving up are the driver's work (`driver.rs`), so that they are written and
//! proved once.

#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::memory::Span;
use crate::slots::Token;

pub(crate) mod sim;
pub(crate) mod threads;

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
    /// A simulation with seeded faults.
    Sim(sim::Sim),
}

impl Io {
    /// How many more operations may be pushed.
    pub(crate) fn room(&self) -> usize {
        match self {
            Io::Threads(io) => io.room(),
            Io::Sim(io) => io.room(),
        }
    }

    /// How many operations have been pushed and not reaped.
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            Io::Threads(io) => io.in_flight(),
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
            Io::Sim(io) => io.push(op),
        }
    }

    /// Starts what was pushed.
    pub(crate) fn submit(&mut self) {
        match self {
            Io::Threads(io) => io.submit(),
            Io::Sim(io) => io.submit(),
        }
    }

    /// Appends what has completed to `done`; with operations in flight, waits for at least one
    /// where the way of reading can wait.
    pub(crate) fn reap(&mut self, done: &mut Vec<Completion>) {
        match self {
            Io::Threads(io) => io.reap(done),
            Io::Sim(io) => io.reap(done),
        }
    }

    /// Asks for an early end of an operation. It still completes, perhaps with ECANCELED, perhaps
    /// as if not asked.
    pub(crate) fn cancel(&mut self, token: Token) {
        match self {
            Io::Threads(io) => io.cancel(token),
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
