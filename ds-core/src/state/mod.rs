//! `State`: what is true of one queue at one time, under its lock.
//!
//! Pure bookkeeping: nothing here blocks, reads, or takes another queue's lock. What must happen outside the
//! lock is put into [`Deferred`].
//!
//! The life of a request here: `Waiting` (in `startable`, perhaps not submitted yet) → `Parked` (behind a
//! fence) → `InFlight` (the engine works on it) → `Application` (it was handed to the custom decompression
//! queue) → `Closing` (its file is closed, with the lock let go) → finished. Each arrow is optional, and a
//! request is in exactly one of these places.
//!
//! This file owns the fields and what must hold between them; each other file is one thing that happens to
//! them, or one of their types:
//! - `enqueue.rs`, `start.rs`, `finish.rs`: a request comes in, leaves for the engine, and ends;
//! - `fire.rs`: statuses, signals and events;
//! - `cancel.rs`: cancel and close;
//! - `entry.rs`, `marker.rs`: what a slot holds;
//! - `startable.rs`, `errors.rs`: what may start; what went wrong;
//! - `work.rs`: what the engine gets.

#![forbid(unsafe_code)]

mod cancel;
mod enqueue;
mod entry;
mod errors;
mod finish;
mod fire;
mod marker;
mod start;
mod startable;
mod work;

use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use marker::{Command, Marker};
pub(crate) use work::{Budget, PoolKind, Started, Work};

use crate::notify::Event;
use crate::order::Order;
use crate::queue::{Deferred, ErrorRecord};
use crate::scheduler::Wake;
use crate::slots::{Slots, Token};
use crate::stats::QueueStats;
use entry::{Entry, Kind, RequestEntry};
use errors::Errors;
use startable::Startable;

/// Numbers for queues, never used again.
static OWNERS: AtomicUsize = AtomicUsize::new(0);

/// The state. Invariants:
/// - A slot is taken from when its entry is enqueued until the entry ends: a request in `finish`, a marker
///   when it fires. One slot is never taken.
/// - `submitted <= next_sequence`; `unsubmitted` is at most half of the capacity when the lock is let go.
/// - `startable` has the requests at stage `Waiting`, but for those that `start` looks at.
/// - `in_flight` counts the requests at stages `InFlight` and `Closing`, `cancelled_in_flight` those of them
///   that are cancelled.
/// - Every request counts in its group of `order` until it ends.
/// - `in_line` is `Some` while `startable` holds a request, and at no other time when the lock is let go.
/// - `listed` is set while the queue is in the scheduler's list or the workers', or a thread that took it out
///   looks at it. If something can start, it is set, or the queue stands in line: whoever makes something
///   startable sets it and says so in [`Deferred`].
#[derive(Debug)]
pub(crate) struct State {
    /// The number that names this queue to whoever keeps its signals.
    owner: usize,
    capacity: u32,
    slots: Slots<Entry>,
    next_sequence: u64,
    /// Entries with a smaller sequence number are submitted.
    submitted: u64,
    /// Entries enqueued since the last submit.
    unsubmitted: u32,
    startable: Startable,
    /// The pool for which the queue stands in line.
    in_line: Option<PoolKind>,
    /// Whether the queue is in the scheduler's list or the workers', or a thread looks at it.
    listed: bool,
    order: Order,
    in_flight: u32,
    cancelled_in_flight: u32,
    /// Threads that sleep in an enqueue because the queue was full.
    pub(crate) waiting_for_room: u32,
    /// Threads that sleep in a cancel or close until requests come back.
    pub(crate) waiting_for_quiet: u32,
    closed: bool,
    /// `submitted` when the queue was closed: markers from there on were never submitted.
    closed_at: u64,
    errors: Errors,
    /// Whether there is a host that copies.
    host_copies: bool,
    stats: QueueStats,
}

impl State {
    pub(crate) fn new(capacity: u32, error_event: Event, host_copies: bool) -> State {
        let slots = capacity as usize;
        State {
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            capacity,
            slots: Slots::new(slots),
            next_sequence: 0,
            submitted: 0,
            unsubmitted: 0,
            startable: Startable::new(slots),
            in_line: None,
            listed: false,
            order: Order::new(slots),
            in_flight: 0,
            cancelled_in_flight: 0,
            waiting_for_room: 0,
            waiting_for_quiet: 0,
            closed: false,
            closed_at: 0,
            errors: Errors::new(error_event),
            host_copies,
            stats: QueueStats::default(),
        }
    }

    pub(crate) fn owner(&self) -> usize {
        self.owner
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn cancelled_in_flight(&self) -> u32 {
        self.cancelled_in_flight
    }

    /// One slot is kept in reserve: a fresh queue of 128 has 127 (O-29).
    pub(crate) fn empty_slots(&self) -> u32 {
        self.capacity - 1 - self.slots.len() as u32
    }

    pub(crate) fn is_full(&self) -> bool {
        self.empty_slots() == 0
    }

    /// Whether a thread that found the queue full should be woken. A thread woken for every slot would
    /// enqueue once and sleep again, which costs more than a small read; so it is woken for an eighth
    /// of the queue, or when nothing more will come of what is under way.
    pub(crate) fn is_room_worth_waking_for(&self) -> bool {
        let is_stuck = self.startable.len() == 0 || self.startable.is_holding();
        let idle = self.in_flight == 0 && is_stuck;
        !self.is_full() && (self.empty_slots() >= self.capacity / 8 || idle)
    }

    /// How many entries may be enqueued before one submits (O-30).
    pub(crate) fn until_auto_submit(&self) -> u32 {
        self.capacity / 2 - self.unsubmitted
    }

    pub(crate) fn count_enqueue_wait(&mut self) {
        self.stats.enqueue_waits += 1;
    }

    pub(crate) fn stats(&self) -> QueueStats {
        QueueStats {
            depth: self.slots.len() as u32,
            ..self.stats
        }
    }

    pub(crate) fn error_record(&self) -> ErrorRecord {
        self.errors.peek()
    }

    pub(crate) fn take_error_record(&mut self) -> ErrorRecord {
        self.errors.take()
    }

    /// How many requests could start now.
    pub(crate) fn startable_len(&self) -> usize {
        self.startable.len()
    }

    pub(crate) fn list_if_startable(&mut self, deferred: &mut Deferred) {
        if !self.listed && self.startable.is_any() {
            self.listed = true;
            deferred.list = Some(Wake::Yes);
        }
    }

    fn request(&self, token: Token) -> Option<&RequestEntry> {
        match &self.slots.get(token)?.kind {
            Kind::Request(entry) => Some(entry),
            Kind::Marker(_) => None,
        }
    }

    fn request_mut(&mut self, token: Token) -> Option<&mut RequestEntry> {
        match &mut self.slots.get_mut(token)?.kind {
            Kind::Request(entry) => Some(entry),
            Kind::Marker(_) => None,
        }
    }
}
