//! Finish: how a request that was started leaves the queue, changes hands on its way, or begins again.
//!
//! Every request comes to [`State::end`] once, and leaves in [`State::finish`]. Between the two its file is
//! closed, if nobody else has it: close(2) may take its time on some file systems, and must not while the
//! lock is held. On the way to its end the application or the host may have the request for a while: then the
//! engine waits for it no longer, or its last step is not the engine's.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::State;
use super::entry::{Entry, Stage};
use crate::error::{Error, Fault, Subsystem};
use crate::order::Failure;
use crate::queue::{Closing, Deferred, FailedCommand, Outcome};
use crate::request::Destination;
use crate::slots::Token;

impl State {
    /// A request is done, unless it begins again. A token that reaches nothing is one that ended otherwise.
    pub(crate) fn end(&mut self, token: Token, outcome: Outcome, deferred: &mut Deferred) {
        if self.starts_over(token, &outcome, deferred) {
            return;
        }
        let Some((sequence, entry)) = self.slots.get_mut(token).and_then(Entry::as_request) else {
            return;
        };
        let outcome = if entry.cancelled {
            Err(Fault::new(Error::Cancelled, Subsystem::Queue, "cancel"))
        } else {
            outcome
        };
        entry.count(&outcome, deferred.now(), &mut self.stats);
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
        let files = entry.request.take_last_files();
        if files.iter().all(Option::is_none) {
            return self.finish(token, failure);
        }
        // Whoever ends a request has let its file go: else closing these would close nothing.
        debug_assert!(
            files
                .iter()
                .flatten()
                .all(|file| Arc::strong_count(file) == 1)
        );
        let was_in_flight = std::mem::replace(&mut entry.stage, Stage::Closing) == Stage::InFlight;
        if !was_in_flight {
            self.in_flight += 1;
            self.cancelled_in_flight += u32::from(entry.cancelled);
        }
        deferred.closing.push(Closing {
            token,
            failure,
            files,
        });
    }

    /// A request that has ended is gone: it has no file open.
    pub(crate) fn finish(&mut self, token: Token, failure: Option<Failure>) {
        let Some(entry) = self.request_mut(token) else {
            return;
        };
        let (group, handed, cancelled) = (entry.group, entry.handed, entry.cancelled);
        if matches!(entry.stage, Stage::InFlight | Stage::Closing) {
            self.in_flight -= 1;
            self.cancelled_in_flight -= u32::from(cancelled);
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
        self.begin_again(token, deferred);
        true
    }

    /// Gives a request in flight back, of which nothing was done: it begins again, or ends if it was
    /// cancelled meanwhile.
    pub(crate) fn put_back(&mut self, token: Token, deferred: &mut Deferred) {
        if self.is_cancelled(token) {
            self.end(token, Ok(()), deferred);
            self.fire_markers(deferred);
        } else {
            self.begin_again(token, deferred);
        }
    }

    fn begin_again(&mut self, token: Token, deferred: &mut Deferred) {
        let entry = self.request_mut(token).expect("it is in flight");
        entry.stage = Stage::Waiting;
        self.in_flight -= 1;
        self.startable.release(token);
        self.list_if_startable(deferred);
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
