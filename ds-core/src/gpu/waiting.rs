//! `Waiting`: uploads that are in no batch yet, and when they make one.
//!
//! Owns their order, most urgent first, and their weight. A device that has nothing to do gets whatever there
//! is. One that has gets another batch when that is worth it: a batch of a few tiles takes a GPU as long as
//! one of a thousand, and keeps one of its queues from a fuller one meanwhile. Nothing waits for company
//! longer than [`PATIENCE`] where the device could take it.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::Duration;

use crate::hold::Landed;
use crate::queue::{PRIORITY_COUNT, Priority};

/// A device that has work gets another batch of no less.
pub(super) const BATCH_WEIGHT: usize = 4 << 20;
/// Bytes of tiles weigh so many times less than those that are copied: 4 MiB are copied in less than 0.1 ms;
/// the slowest of any tiles takes 1 ms, in which 16 MiB of them arrive.
const TILES_LIGHTER: usize = 4;
/// How long uploads wait for others while the device has work.
pub(super) const PATIENCE: Duration = Duration::from_micros(250);

/// How much an upload adds to a batch.
pub(super) fn weight(job: &Landed) -> usize {
    let bytes = job.upload.payload.bytes();
    match job.upload.decode {
        None => bytes,
        Some(_) => bytes / TILES_LIGHTER,
    }
}

/// Whether it waits for no company.
pub(super) fn is_urgent(job: &Landed) -> bool {
    job.queue.priority() >= Priority::High
}

/// See the file's head.
#[derive(Default)]
pub(super) struct Waiting {
    /// By priority, highest last.
    jobs: [VecDeque<Landed>; PRIORITY_COUNT],
    weight: usize,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.iter().all(VecDeque::is_empty)
    }

    /// Of all of them.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Whether one of them waits for no company.
    pub(super) fn is_urgent(&self) -> bool {
        let urgent = &self.jobs[Priority::High as usize..];
        urgent.iter().any(|jobs| !jobs.is_empty())
    }

    pub(super) fn push(&mut self, job: Landed) {
        self.weight += weight(&job);
        self.jobs[job.queue.priority_index()].push_back(job);
    }

    /// The next one, most urgent first.
    pub(super) fn pop(&mut self) -> Option<Landed> {
        let job = self.jobs.iter_mut().rev().find_map(VecDeque::pop_front)?;
        self.weight -= weight(&job);
        Some(job)
    }

    /// Puts back what `pop` gave.
    pub(super) fn unpop(&mut self, job: Landed) {
        self.weight += weight(&job);
        self.jobs[job.queue.priority_index()].push_front(job);
    }
}
