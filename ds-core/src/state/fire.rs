//! Fire: statuses, signals and events whose turn has come.
//!
//! Each fires once, in order. Waking whoever waits for one is put off until the lock is gone.

#![forbid(unsafe_code)]

use super::State;
use super::entry::Kind;
use super::marker::Marker;
use crate::error::{Error, Fault, S_OK, Subsystem};
use crate::queue::Deferred;
use crate::slots::Token;

impl State {
    /// Hands the signals over that wait for nothing but the host. A status or event before one must come
    /// first: whoever sees the signal may look at the status.
    pub(super) fn hand_signals(&mut self) {
        while let Some(token) = self.order.next_handed_marker(self.submitted) {
            let entry = self
                .slots
                .get_mut(token)
                .expect("a marker stays until it fires");
            let Kind::Marker(Marker::Foreign(signal)) = &mut entry.kind else {
                return;
            };
            // A closed queue signals nothing any more.
            let signal = signal.take_if(|_| entry.invalid.is_none() && !self.closed);
            if let Some(signal) = signal {
                signal.hand(self.owner);
            }
            self.order.pass_handed_marker();
        }
    }

    /// Fires every marker whose turn has come.
    pub(crate) fn fire_markers(&mut self, deferred: &mut Deferred) {
        self.hand_signals();
        while let Some(token) = self.order.next_marker(self.submitted) {
            self.fire_marker(token, deferred);
            self.hand_signals();
        }
    }

    fn fire_marker(&mut self, token: Token, deferred: &mut Deferred) {
        let Some(entry) = self.slots.get_mut(token) else {
            return;
        };
        let (sequence, invalid) = (entry.sequence, entry.invalid);
        let Kind::Marker(marker) = &mut entry.kind else {
            return;
        };
        let marker = std::mem::replace(marker, Marker::Event(None));
        self.slots.free(token);
        match invalid {
            Some(error) => {
                self.errors.record(sequence, error, marker.command());
                let fault = Fault::new(error, Subsystem::Queue, marker.operation());
                deferred
                    .reports
                    .push((fault.with_detail(marker.to_string()), None));
            }
            None => self.fire(sequence, marker, deferred),
        }
    }

    fn fire(&mut self, sequence: u64, marker: Marker, deferred: &mut Deferred) {
        let dropped = self.closed && sequence >= self.closed_at;
        match marker {
            Marker::Status(Some(array), index) => {
                let unfinished = if dropped {
                    Error::Cancelled.hresult()
                } else {
                    S_OK
                };
                let failure = self.order.take_failure();
                let hresult = failure.map_or(unfinished, |failure| failure.hresult);
                array.set(index, hresult, &mut deferred.aftermath);
            }
            // A closed queue signals nothing any more: a fence that fires says that the bytes are
            // there.
            Marker::Signal(Some(fence), value) if !self.closed => {
                fence.set(value, &mut deferred.aftermath)
            }
            Marker::Event(Some(event)) if !self.closed => event.set(),
            _ => {}
        }
    }
}
