//! Reading with pread(2) and pwrite(2), on the I/O thread itself.
//!
//! The way that works everywhere: always built, and what everything else falls back to. Depth comes
//! from the number of threads. A thread takes a few small operations at a time so that they share
//! the cost of the queue's lock.

#![forbid(unsafe_code)]

use super::{Completion, Op, run};
use crate::slots::Token;

/// The most operations that one thread takes at a time.
pub(crate) const BATCH_MAX: usize = 16;

/// One thread's operations.
#[derive(Debug)]
pub(crate) struct Threads {
    pushed: Vec<Op>,
    done: Vec<Completion>,
}

impl Threads {
    pub(crate) fn new() -> Threads {
        Threads {
            pushed: Vec::with_capacity(BATCH_MAX),
            done: Vec::with_capacity(BATCH_MAX),
        }
    }

    pub(super) fn room(&self) -> usize {
        BATCH_MAX - self.in_flight()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.pushed.len() + self.done.len()
    }

    pub(super) fn push(&mut self, op: Op) {
        assert!(self.room() > 0, "pushed without room");
        self.pushed.push(op);
    }

    pub(super) fn submit_and_reap(&mut self, done: &mut Vec<Completion>) {
        for op in self.pushed.drain(..) {
            self.done.push(Completion {
                token: op.token,
                result: run(&op),
            });
        }
        done.append(&mut self.done);
    }

    /// What was submitted is already done; what was not ends here.
    pub(super) fn cancel(&mut self, token: Token) {
        if let Some(index) = self.pushed.iter().position(|op| op.token == token) {
            self.pushed.swap_remove(index);
            self.done.push(Completion {
                token,
                result: Err(libc::ECANCELED),
            });
        }
    }
}
