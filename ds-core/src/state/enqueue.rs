//! Enqueue and submit: entries come into the queue here, and nowhere else.
//!
//! Numbers entries in the order of enqueueing, and says which of them are submitted: by the application, or
//! once half of the capacity waits.

#![forbid(unsafe_code)]

use super::State;
use super::entry::{Entry, Kind, RequestEntry, Stage};
use super::marker::{Command, Marker};
use crate::error::{Error, Fault, Subsystem};
use crate::notify::Fence;
use crate::queue::{Deferred, FailedCommand};
use crate::request::Request;
use crate::slots::Token;

impl State {
    pub(crate) fn add_request(
        &mut self,
        request: Request,
        invalid: Option<Error>,
        fence: Option<(Fence, u64)>,
        deferred: &mut Deferred,
    ) {
        let group = self.order.add_request();
        let stage = Stage::Waiting;
        let entry = RequestEntry {
            request,
            group,
            stage,
            cancelled: false,
            foreign: false,
            handed: false,
            fence,
            submitted_at: None,
        };
        let token = self.add(invalid, Kind::Request(entry));
        self.startable.add(token);
        self.stats.requests_enqueued += 1;
        self.auto_submit(deferred);
    }

    pub(crate) fn add_marker(
        &mut self,
        marker: Marker,
        invalid: Option<Error>,
        deferred: &mut Deferred,
    ) {
        let sequence = self.next_sequence;
        let token = self.add(invalid, Kind::Marker(marker));
        self.order.add_marker(token, sequence);
        self.auto_submit(deferred);
    }

    /// Inlined, so that a request is moved once, to where it stays.
    #[inline(always)]
    fn add(&mut self, invalid: Option<Error>, kind: Kind) -> Token {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.unsubmitted += 1;
        let token = self
            .slots
            .insert(Entry {
                sequence,
                invalid,
                kind,
            })
            .expect("the caller waited for room");
        self.stats.depth_max = self.stats.depth_max.max(self.slots.len() as u32);
        token
    }

    /// The entry after half of the capacity submits, and goes along (O-30).
    fn auto_submit(&mut self, deferred: &mut Deferred) {
        if self.unsubmitted > self.capacity / 2 {
            self.submit(deferred);
        }
    }

    pub(crate) fn submit(&mut self, deferred: &mut Deferred) {
        if self.unsubmitted == 0 {
            return;
        }
        self.submitted = self.next_sequence;
        self.unsubmitted = 0;
        self.stats.submits += 1;
        self.startable.submit(self.submitted);
        self.list_if_startable(deferred);
        // Markers behind finished requests have nobody else to fire them.
        self.fire_markers(deferred);
    }

    /// Records an entry that came after the queue was closed (O-66).
    pub(crate) fn refuse(&mut self, command: Command<'_>, deferred: &mut Deferred) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let (failed, info) = match command {
            Command::Request(request) => {
                let info = request.info();
                (FailedCommand::Request(info.clone()), Some(info))
            }
            Command::Marker(marker) => (marker.command(), None),
        };
        let fault = Fault::new(Error::QueueClosed, Subsystem::Queue, "enqueue");
        self.errors.record(sequence, fault.error, failed);
        deferred.reports.push((fault, info));
    }
}
