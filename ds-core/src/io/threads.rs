//! Reading with pread(2) and pwrite(2), on the I/O thread itself.
//!
//! The way that works everywhere: always built, and what everything else falls back to. Depth comes
//! from the number of threads. A thread takes a few small operations at a time so that they share
//! the cost of the queue's lock.

#![forbid(unsafe_code)]

use super::{Completion, Op, run};
use crate::open_file::Way;
use crate::slots::Token;
use crate::stats::IoStats;

/// The most operations that one thread takes at a time.
pub(crate) const BATCH_MAX: usize = 16;

/// One thread's operations.
#[derive(Debug)]
pub(crate) struct Threads {
    pushed: Vec<Op>,
    done: Vec<Completion>,
    stats: IoStats,
}

impl Threads {
    pub(crate) fn new() -> Threads {
        Threads {
            pushed: Vec::with_capacity(BATCH_MAX),
            done: Vec::with_capacity(BATCH_MAX),
            stats: IoStats::default(),
        }
    }

    pub(super) fn room(&self) -> usize {
        BATCH_MAX.saturating_sub(self.in_flight())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.pushed.len() + self.done.len()
    }

    pub(super) fn push(&mut self, op: &Op) {
        // What a ring left behind may be more than a batch.
        self.pushed.push(op.clone());
    }

    pub(super) fn submit_and_reap(&mut self, done: &mut Vec<Completion>) {
        self.stats.operations += self.pushed.len() as u64;
        self.stats.system_calls += self.pushed.len() as u64;
        for op in self.pushed.drain(..) {
            self.stats.direct += u64::from(op.way == Way::Direct);
            self.done.push(Completion {
                token: op.token,
                result: run(&op),
            });
        }
        done.append(&mut self.done);
    }

    pub(super) fn take_stats(&mut self) -> IoStats {
        std::mem::take(&mut self.stats)
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
