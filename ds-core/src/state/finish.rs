//! Finish: how a request that was started leaves the queue, or changes hands on its way.
//!
//! Every request ends in [`State::finish`], once. On the way there the application or the host may have it
//! for a while: then the engine waits for it no longer, or its last step is not the engine's.

#![forbid(unsafe_code)]

use super::State;
use super::entry::{Entry, Stage};
use crate::error::{Error, Fault, Subsystem};
use crate::order::Failure;
use crate::queue::{Deferred, FailedCommand, Outcome};
use crate::request::Destination;
use crate::slots::Token;

impl State {
    /// A request is done. A token that reaches nothing is one that was finished otherwise.
    pub(crate) fn finish(&mut self, token: Token, outcome: Outcome, deferred: &mut Deferred) {
        if self.starts_over(token, &outcome, deferred) {
            return;
        }
        let Some((sequence, entry)) = self.slots.get_mut(token).and_then(Entry::as_request) else {
            return;
        };
        if entry.stage == Stage::InFlight {
            self.in_flight -= 1;
            self.cancelled_in_flight -= u32::from(entry.cancelled);
        }
        let outcome = if entry.cancelled {
            Err(Fault::new(Error::Cancelled, Subsystem::Queue, "cancel"))
        } else {
            outcome
        };
        entry.count(&outcome, deferred.now(), &mut self.stats);
        let (group, handed) = (entry.group, entry.handed);
        let mut failure = None;
        if let Err(fault) = outcome {
            let info = entry.request.info();
            failure = Some(Failure {
                sequence,
                hresult: fault.error.hresult(),
            });
            self.errors
                .record(sequence, fault.error, FailedCommand::Request(info.clone()));
            deferred.reports.push((fault, Some(info)));
        }
        // Before any status can fire: whoever sees the status may use the memory and delete the
        // file. Dropped where it lies: moving it out would cost more than all of the above.
        self.slots.free(token);
        if !handed {
            self.order.hand_request(group);
        }
        self.order.finish_request(group, failure);
    }

    /// Whether a request in flight met memory that the host may be able to write, and so begins again.
    fn starts_over(&mut self, token: Token, outcome: &Outcome, deferred: &mut Deferred) -> bool {
        let met_bad_memory = matches!(outcome, Err(fault) if fault.error == Error::AccessViolation);
        if !self.host_copies || !met_bad_memory {
            return false;
        }
        let Some(entry) = self.request_mut(token).filter(|entry| {
            entry.stage == Stage::InFlight
                && !entry.cancelled
                && !entry.foreign
                && matches!(entry.request.destination, Destination::Memory(_))
        }) else {
            return false;
        };
        entry.foreign = true;
        entry.stage = Stage::Waiting;
        self.in_flight -= 1;
        self.startable.release(token);
        self.list_if_startable(deferred);
        true
    }

    pub(crate) fn is_cancelled(&self, token: Token) -> bool {
        self.request(token).is_none_or(|entry| entry.cancelled)
    }

    /// Whether a live request's destination is memory that the request keeps.
    pub(crate) fn keeps_destination(&self, token: Token) -> Option<bool> {
        let entry = self.request(token).filter(|entry| !entry.cancelled)?;
        let destination = &entry.request.destination;
        Some(matches!(destination, Destination::Memory(memory) if memory.is_owned()))
    }

    /// From in flight to the application's hands; `false` if it was cancelled meanwhile.
    pub(crate) fn hand_to_application(&mut self, token: Token) -> bool {
        let Some(entry) = self.request_mut(token).filter(|entry| !entry.cancelled) else {
            return false;
        };
        entry.stage = Stage::Application;
        self.in_flight -= 1;
        true
    }

    /// The application has answered; the request is the engine's again.
    pub(crate) fn take_back(&mut self, token: Token) {
        let Some(entry) = self.request_mut(token) else {
            return;
        };
        if entry.stage == Stage::Application {
            entry.stage = Stage::InFlight;
            let cancelled = u32::from(entry.cancelled);
            self.in_flight += 1;
            self.cancelled_in_flight += cancelled;
        }
    }

    /// The last step of a request is the host's.
    pub(crate) fn mark_handed(&mut self, token: Token) {
        let Some(entry) = self.request_mut(token) else {
            return;
        };
        let (group, before) = (entry.group, std::mem::replace(&mut entry.handed, true));
        if !before {
            self.order.hand_request(group);
            self.hand_signals();
        }
    }
}
