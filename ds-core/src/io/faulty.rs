//! Seeded trouble between a real `Io` and the driver, for tests.
//!
//! Every operation is really carried out; what the driver hears of it is made worse: less than was
//! transferred, EINTR, EAGAIN, EIO, or the same later and in another order. All of that the kernel
//! may say by its contract, and says far too rarely to test with.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::sim::Random;
use super::{Completion, Io, Op, Waited};
use crate::config::SimConfig;
use crate::open_file::Way;
use crate::slots::Token;

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Io,
    config: SimConfig,
    random: Random,
    /// Completions that are withheld for now.
    late: Vec<Completion>,
    /// Reads past the page cache that are not answered yet.
    direct: Vec<Token>,
}

impl Faulty {
    /// `inner` with trouble; `index` tells the threads of a runtime apart.
    pub(crate) fn new(inner: Io, config: SimConfig, index: usize) -> Faulty {
        Faulty {
            inner,
            config,
            random: Random::new(config.seed ^ (index as u64) << 48),
            late: Vec::new(),
            direct: Vec::new(),
        }
    }

    pub(super) fn inner(&self) -> &Io {
        &self.inner
    }

    pub(super) fn inner_mut(&mut self) -> &mut Io {
        &mut self.inner
    }

    pub(super) fn room(&self) -> usize {
        self.inner.room().saturating_sub(self.late.len())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.inner.in_flight() + self.late.len()
    }

    pub(super) fn is_over(&self) -> bool {
        self.inner.is_over() && self.late.is_empty()
    }

    pub(super) fn push(&mut self, op: &Op) {
        if op.way == Way::Direct && self.config.direct_efault_per_mille > 0 {
            self.direct.push(op.token);
        }
        self.inner.push(op);
    }

    pub(super) fn cancel(&mut self, token: Token) {
        self.inner.cancel(token);
    }

    pub(super) fn submit_and_reap(
        &mut self,
        wait: usize,
        timeout: Option<Duration>,
        done: &mut Vec<Completion>,
    ) -> Waited {
        // What is withheld here wakes nobody, so nobody may sleep for it.
        let wait = if self.late.is_empty() { wait } else { 0 };
        let waited = self.inner.submit_and_reap(wait, timeout, &mut self.late);
        // A ring that is over is replaced as soon as nothing is withheld.
        let over = self.inner.is_over();
        let mut index = 0;
        while index < self.late.len() {
            if !over && self.random.chance(self.config.delay_per_mille) {
                index += 1;
                continue;
            }
            let completion = self.late.swap_remove(index);
            done.push(self.worsen(completion));
        }
        waited
    }

    fn worsen(&mut self, completion: Completion) -> Completion {
        let errors = [
            (libc::EINTR, self.config.eintr_per_mille),
            (libc::EAGAIN, self.config.eagain_per_mille),
            (libc::EIO, self.config.eio_per_mille),
        ];
        let mut result = completion.result;
        if let Ok(bytes) = result
            && bytes > 1
            && self.random.chance(self.config.short_per_mille)
        {
            result = Ok(1 + self.random.below(bytes as u64 - 1) as usize);
        }
        if let Some(index) = self.direct.iter().position(|&t| t == completion.token) {
            self.direct.swap_remove(index);
            if self.random.chance(self.config.direct_efault_per_mille) {
                result = Err(libc::EFAULT);
            }
        }
        for (errno, per_mille) in errors {
            if result.is_ok() && self.random.chance(per_mille) {
                result = Err(errno);
            }
        }
        Completion {
            result,
            ..completion
        }
    }
}
