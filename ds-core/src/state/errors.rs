//! `Errors`: what went wrong since the application last asked.
//!
//! Owns the count, the first failure in the order of enqueueing, and the event, which is set from the first
//! failure on until the record is taken.

#![forbid(unsafe_code)]

use crate::error::Error;
use crate::notify::Event;
use crate::queue::{ErrorRecord, FailedCommand, FirstFailure};

/// See the file's head.
#[derive(Debug)]
pub(super) struct Errors {
    count: u32,
    /// With its sequence number.
    first: Option<(u64, FirstFailure)>,
    event: Event,
}

impl Errors {
    /// None so far; `event` will be set at each.
    pub(super) fn new(event: Event) -> Errors {
        Errors {
            count: 0,
            first: None,
            event,
        }
    }

    /// The entry of that sequence number failed.
    pub(super) fn record(&mut self, sequence: u64, error: Error, command: FailedCommand) {
        self.count = self.count.saturating_add(1);
        if self
            .first
            .as_ref()
            .is_none_or(|(first, _)| sequence < *first)
        {
            self.first = Some((sequence, FirstFailure { error, command }));
        }
        self.event.set();
    }

    /// The record, which stays.
    pub(super) fn peek(&self) -> ErrorRecord {
        let first = self.first.as_ref();
        ErrorRecord {
            failure_count: self.count,
            first_failure: first.map(|(_, failure)| failure.clone()),
        }
    }

    /// The record; the next one starts afresh.
    pub(super) fn take(&mut self) -> ErrorRecord {
        self.event.take();
        ErrorRecord {
            failure_count: std::mem::take(&mut self.count),
            first_failure: self.first.take().map(|(_, failure)| failure),
        }
    }
}
