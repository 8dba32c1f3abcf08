//! Cancel and close: requests that nobody wants any more.
//!
//! What has not started ends at once; what is in flight is only marked, and ends as cancelled when it comes
//! back (`finish.rs`).

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::State;
use super::entry::{Kind, Stage};
use super::work::PoolKind;
use crate::handle::Handle;
use crate::notify::Fence;
use crate::queue::{Deferred, QueueCore};
use crate::staging::Staging;

impl State {
    /// Cancels what `matches`; what is in flight is only marked.
    pub(crate) fn cancel(
        &mut self,
        queue: &Arc<QueueCore>,
        matches: impl Fn(u64) -> bool,
        deferred: &mut Deferred,
    ) {
        let mut finished = Vec::new();
        let mut fences: Vec<Fence> = Vec::new();
        let mut handed = false;
        for (token, entry) in self.slots.iter_mut() {
            let Kind::Request(entry) = &mut entry.kind else {
                continue;
            };
            let is_too_late = entry.cancelled || entry.stage == Stage::Closing;
            if is_too_late || !matches(entry.request.cancellation_tag) {
                continue;
            }
            entry.cancelled = true;
            match entry.stage {
                Stage::InFlight => self.cancelled_in_flight += 1,
                // What the application has taken comes back by its answer.
                Stage::Application => handed = true,
                _ => finished.push(token),
            }
            if let Some((fence, _)) = entry.fence.take()
                && fences.iter().all(|other| other.as_raw() != fence.as_raw())
            {
                fences.push(fence);
            }
        }
        if handed {
            finished.extend(
                queue
                    .shared
                    .custom
                    .revoke(queue, |token| self.is_cancelled(token)),
            );
        }
        for fence in fences {
            fence.unpark(queue, |token| self.is_cancelled(token));
        }
        self.forget_cancelled();
        for token in finished {
            self.end(token, Ok(()), deferred);
        }
        // Revoked requests gave their staging back.
        for pool in PoolKind::ALL {
            let next = queue.staging(pool).and_then(Staging::next_in_line);
            deferred.next_for(pool, next);
        }
        if !self.startable.is_holding() {
            self.leave_line(queue, deferred);
        }
        self.fire_markers(deferred);
    }

    /// Takes cancelled requests out of the lists of what may start.
    fn forget_cancelled(&mut self) {
        let slots = &self.slots;
        self.startable
            .forget(|token| match slots.get(*token).map(|entry| &entry.kind) {
                Some(Kind::Request(entry)) => !entry.cancelled,
                _ => false,
            });
    }

    /// No more entries; everything enqueued counts as submitted, so that what is owed in order can
    /// end.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.closed_at = self.submitted;
        self.submitted = self.next_sequence;
        self.unsubmitted = 0;
    }
}
