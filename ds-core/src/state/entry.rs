//! `Entry`: what occupies a slot of a queue, and at what stage a request is.
//!
//! Owns the request itself, with all that it refers to (its file, its memory, its fence): when the entry
//! goes, they do. Which entries there are is `State`'s to know.

#![forbid(unsafe_code)]

use std::time::Instant;

use super::marker::Marker;
use crate::error::Error;
use crate::notify::Fence;
use crate::order::GroupId;
use crate::queue::Outcome;
use crate::request::Request;
use crate::stats::QueueStats;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Waiting,
    Parked,
    InFlight,
    Application,
    /// It has ended, and nothing is left but to close its file.
    Closing,
}

/// What occupies a slot.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    /// Found at enqueue; the entry fails with it when its turn comes.
    pub(super) invalid: Option<Error>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "slots are made once, and most hold requests; a box would be an allocation a request"
)]
pub(super) enum Kind {
    Request(RequestEntry),
    Marker(Marker),
}

#[derive(Debug)]
pub(super) struct RequestEntry {
    pub(super) request: Request,
    pub(super) group: GroupId,
    pub(super) stage: Stage,
    pub(super) cancelled: bool,
    /// It met memory that only the host's threads can write, and its bytes go there by a copy of the host's.
    pub(super) foreign: bool,
    /// Its last step is the host's, who has it.
    pub(super) handed: bool,
    pub(super) fence: Option<(Fence, u64)>,
    pub(super) submitted_at: Option<Instant>,
}

impl Entry {
    /// The request and its sequence number, if it is one.
    pub(super) fn as_request(&mut self) -> Option<(u64, &mut RequestEntry)> {
        match &mut self.kind {
            Kind::Request(entry) => Some((self.sequence, entry)),
            Kind::Marker(_) => None,
        }
    }
}

impl RequestEntry {
    /// Counts its end.
    pub(super) fn count(&self, outcome: &Outcome, now: Instant, stats: &mut QueueStats) {
        match outcome {
            Ok(()) => {
                stats.requests_completed += 1;
                stats.bytes_source += self.request.source_bytes() as u64;
                stats.bytes_destination += self.request.destination_bytes() as u64;
            }
            Err(fault) if fault.error == Error::Cancelled => stats.requests_cancelled += 1,
            Err(_) => stats.requests_failed += 1,
        }
        if let Some(submitted_at) = self.submitted_at {
            stats
                .latency
                .add(now.saturating_duration_since(submitted_at));
        }
    }
}

/// Entries are large; the compiler should say so before the cache does.
const _: () = assert!(size_of::<Entry>() <= 320);
