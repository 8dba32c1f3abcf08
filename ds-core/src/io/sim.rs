//! A simulation of a disk: real bytes, seeded trouble.
//!
//! Operations complete in a random order, some only after many reaps, some with less than was
//! asked, some with EINTR, EAGAIN or EIO. The same seed and the same calls give the same run, so a
//! failing test is replayed by its seed. Never chosen by itself: it exists so that the semantics
//! are proved where a real disk would behave well.

#![forbid(unsafe_code)]

use super::{Completion, Op, run};
use crate::config::SimConfig;
use crate::slots::Token;

/// How many operations may be in flight.
const DEPTH_MAX: usize = 64;
/// How many turns a delayed operation takes at most.
const DELAY_TURNS_MAX: u64 = 50;

/// A small generator of pseudo-random numbers: `splitmix64`, whose every seed is good.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end` (not 0).
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True `per_mille` times of a thousand.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }
}

#[derive(Debug)]
struct InFlight {
    op: Op,
    submitted: bool,
    cancelled: bool,
    /// Completes at a reap from this turn on.
    ready_at: u64,
}

/// The simulated disk.
#[derive(Debug)]
pub(crate) struct Sim {
    config: SimConfig,
    random: Random,
    turn: u64,
    in_flight: Vec<InFlight>,
}

impl Sim {
    pub(crate) fn new(config: SimConfig) -> Sim {
        Sim {
            config,
            random: Random::new(config.seed),
            turn: 0,
            in_flight: Vec::with_capacity(DEPTH_MAX),
        }
    }

    pub(super) fn room(&self) -> usize {
        DEPTH_MAX - self.in_flight.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn push(&mut self, op: &Op) {
        assert!(self.room() > 0, "pushed without room");
        let delayed = self.random.chance(self.config.delay_per_mille);
        let delay = if delayed {
            self.random.below(DELAY_TURNS_MAX)
        } else {
            0
        };
        self.in_flight.push(InFlight {
            op: op.clone(),
            submitted: false,
            cancelled: false,
            ready_at: self.turn + delay,
        });
    }

    /// Completes a random few of those that are ready.
    pub(super) fn submit_and_reap(&mut self, done: &mut Vec<Completion>) {
        for in_flight in &mut self.in_flight {
            in_flight.submitted = true;
        }
        self.turn += 1;
        for _ in 0..=self.random.below(3) {
            let ready: Vec<usize> = (0..self.in_flight.len())
                .filter(|&index| {
                    self.in_flight[index].submitted && self.in_flight[index].ready_at <= self.turn
                })
                .collect();
            if ready.is_empty() {
                return;
            }
            let chosen = ready[self.random.below(ready.len() as u64) as usize];
            let in_flight = self.in_flight.swap_remove(chosen);
            done.push(Completion {
                token: in_flight.op.token,
                result: self.complete(&in_flight),
            });
        }
    }

    fn complete(&mut self, in_flight: &InFlight) -> Result<usize, i32> {
        if in_flight.cancelled && self.random.chance(500) {
            return Err(libc::ECANCELED);
        }
        for (errno, per_mille) in [
            (libc::EINTR, self.config.eintr_per_mille),
            (libc::EAGAIN, self.config.eagain_per_mille),
            (libc::EIO, self.config.eio_per_mille),
        ] {
            if self.random.chance(per_mille) {
                return Err(errno);
            }
        }
        let op = &in_flight.op;
        let bytes = op.span.bytes();
        if bytes > 1 && self.random.chance(self.config.short_per_mille) {
            let some = 1 + self.random.below(bytes as u64 - 1) as usize;
            return run(&Op {
                span: op.span.part(0, some),
                ..op.clone()
            });
        }
        run(op)
    }

    pub(super) fn cancel(&mut self, token: Token) {
        for in_flight in self
            .in_flight
            .iter_mut()
            .filter(|in_flight| in_flight.op.token == token)
        {
            in_flight.cancelled = true;
            in_flight.submitted = true;
            in_flight.ready_at = self.turn;
        }
    }
}
