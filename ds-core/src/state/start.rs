//! Start: which requests leave the queue for the engine, and what holds one back.
//!
//! A request that a fence holds is parked with the fence; one that finds no staging is held, and the queue
//! stands in line for the pool. The order among requests is `startable.rs`'s.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::State;
use super::entry::{Kind, Stage};
use super::work::{Budget, PoolKind, Started, Work};
use crate::error::{Fault, Subsystem};
use crate::order::GroupId;
use crate::prepare::{NotNow, prepare};
use crate::queue::{Deferred, Outcome, QueueCore};
use crate::request::explain;
use crate::scheduler::Wake;
use crate::slots::Token;

/// What came of looking at the next request.
enum Next {
    Start(Work),
    Finish(Outcome),
    Parked,
    NoStaging(PoolKind),
}

impl State {
    pub(crate) fn start(
        &mut self,
        queue: &Arc<QueueCore>,
        budget: Budget,
        started: &mut Vec<Started>,
        deferred: &mut Deferred,
    ) {
        let share = self.startable.len().div_ceil(budget.threads.max(1));
        let requests = budget.requests.min(share.max(1));
        let mut bytes = 0;
        let mut waits_for_staging = false;
        let mut ended = 0;
        while started.len() + ended < requests && bytes < budget.bytes {
            let Some(token) = self.startable.take() else {
                break;
            };
            match self.look_at(queue, token, deferred) {
                Next::Start(work) => {
                    let (group, source_bytes) = self.mark_in_flight(token);
                    bytes += source_bytes;
                    started.push(Started { token, group, work });
                }
                Next::Finish(outcome) => {
                    self.end(token, outcome, deferred);
                    ended += 1;
                }
                Next::Parked => {}
                Next::NoStaging(pool) => {
                    self.startable.hold(token);
                    // The request held before may have waited for the other.
                    if self.in_line != Some(pool) {
                        self.leave_line(queue, deferred);
                    }
                    self.in_line = Some(pool);
                    waits_for_staging = true;
                    break;
                }
            }
        }
        self.fire_markers(deferred);
        self.listed = false;
        if !waits_for_staging {
            self.leave_line(queue, deferred);
            self.list_if_startable(deferred);
            // What is left is probably like what was taken.
            let bytes_left = bytes.max(1) * self.startable.len() / started.len().max(1);
            if bytes_left <= budget.bytes_alone {
                deferred.list = deferred.list.map(|_| Wake::No);
            }
        }
    }

    /// Whether the next request that starts reads a stream for the engine's own decoder.
    pub(crate) fn next_is_stream(&self) -> bool {
        let next = self.startable.first().and_then(|token| self.request(token));
        next.is_some_and(|entry| entry.request.reads_stream())
    }

    /// Whoever needs no staging any more must not stand in the way of others.
    pub(super) fn leave_line(&mut self, queue: &QueueCore, deferred: &mut Deferred) {
        if let Some(pool) = self.in_line.take()
            && let Some(staging) = queue.staging(pool)
        {
            let next = staging.leave(queue.id()).or(staging.next_in_line());
            deferred.next_for(pool, next);
        }
    }

    fn look_at(&mut self, queue: &Arc<QueueCore>, token: Token, deferred: &mut Deferred) -> Next {
        let Some(sequence) = self.slots.get(token).map(|entry| entry.sequence) else {
            return Next::Parked;
        };
        let first_look = matches!(self.request(token), Some(entry) if entry.submitted_at.is_none());
        let submitted_at = if first_look {
            self.startable.submit_time(sequence)
        } else {
            None
        };
        let entry = self.slots.get_mut(token).expect("just seen");
        let invalid = entry.invalid;
        let Kind::Request(entry) = &mut entry.kind else {
            return Next::Parked;
        };
        entry.submitted_at = entry.submitted_at.or(submitted_at);
        if let Some(error) = invalid {
            let fault = Fault::new(error, Subsystem::Queue, "enqueue");
            let detail = explain(&entry.request, error, queue.limits());
            return Next::Finish(Err(match detail {
                Some(detail) => fault.with_detail(detail),
                None => fault,
            }));
        }
        if let Some((fence, value)) = entry.fence.take()
            && !fence.reached_or_park(value, queue, token)
        {
            entry.fence = Some((fence, value));
            entry.stage = Stage::Parked;
            return Next::Parked;
        }
        let waiting = self.startable.len();
        match prepare(&entry.request, entry.foreign, queue, waiting) {
            Ok(work) => {
                if let Some(pool) = work.pool()
                    && let Some(staging) = queue.staging(pool)
                {
                    deferred.next_for(pool, staging.next_in_line());
                }
                Next::Start(work)
            }
            Err(NotNow::NoStaging(pool)) => Next::NoStaging(pool),
            Err(NotNow::Finish(outcome)) => Next::Finish(outcome),
        }
    }

    /// Answers the request's group and the bytes that it moves.
    fn mark_in_flight(&mut self, token: Token) -> (GroupId, usize) {
        self.in_flight += 1;
        let entry = self.request_mut(token).expect("a started request lives");
        entry.stage = Stage::InFlight;
        (entry.group, entry.request.source_bytes())
    }

    pub(crate) fn release_from_fence(&mut self, token: Token, deferred: &mut Deferred) {
        let Some(entry) = self
            .request_mut(token)
            .filter(|entry| entry.stage == Stage::Parked)
        else {
            return;
        };
        entry.stage = Stage::Waiting;
        entry.fence = None;
        self.startable.release(token);
        self.list_if_startable(deferred);
    }
}
