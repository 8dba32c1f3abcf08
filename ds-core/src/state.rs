//! The state of one queue, under its lock: slots, what may start, what is owed in order, errors,
//! statistics.
//!
//! Pure bookkeeping: nothing here blocks, reads, or takes another queue's lock. What must happen
//! outside the lock is put into [`Deferred`].
//!
//! The life of a request here: `Waiting` (in `pending`, perhaps not submitted yet) → `Parked`
//! (behind a fence) → `InFlight` (the engine works on it) → `Application` (it was handed to the
//! custom decompression queue) → finished. Each arrow is optional, and a request is in exactly one
//! of these places.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::copies::ForeignSignal;
use crate::error::{Error, Fault, S_OK, Subsystem};
use crate::handle::Handle;
use crate::hold::Hold;
use crate::io::Direction;
use crate::memory::Span;
use crate::notify::{Event, Fence, StatusArray};
use crate::open_file::OpenFile;
use crate::order::{Failure, GroupId, Order};
use crate::prepare::{NotNow, prepare};
use crate::queue::{Deferred, ErrorRecord, FailedCommand, FirstFailure, Outcome, QueueCore};
use crate::request::{Compression, Destination, Request, explain};
use crate::scheduler::Wake;
use crate::slots::{Slots, Token};
use crate::staging::Staging;
use crate::stats::QueueStats;

/// An entry that fires in order.
#[derive(Debug)]
pub(crate) enum Marker {
    Status(Option<StatusArray>, u32),
    Signal(Option<Fence>, u64),
    Event(Option<Event>),
    /// A signal that the host makes; gone once it has been handed over.
    Foreign(Option<ForeignSignal>),
}

impl Marker {
    fn command(&self) -> FailedCommand {
        match self {
            Marker::Status(array, index) => FailedCommand::Status(
                array.as_ref().map_or(0, |array| array.as_raw().addr()),
                *index,
            ),
            Marker::Signal(fence, value) => FailedCommand::Signal(
                fence.as_ref().map_or(0, |fence| fence.as_raw().addr()),
                *value,
            ),
            Marker::Event(event) => {
                FailedCommand::Event(event.as_ref().map_or(0, |event| event.as_raw().addr()))
            }
            Marker::Foreign(signal) => {
                FailedCommand::Signal(0, signal.as_ref().map_or(0, ForeignSignal::value))
            }
        }
    }

    fn operation(&self) -> &'static str {
        match self {
            Marker::Status(..) => "status",
            Marker::Signal(..) | Marker::Foreign(_) => "signal",
            Marker::Event(..) => "set event",
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Marker::Status(Some(array), index) => {
                let name = array.name().unwrap_or("without a name");
                write!(
                    f,
                    "index {index} of a status array of {}, {name}",
                    array.capacity()
                )
            }
            Marker::Status(None, index) => write!(f, "index {index} of no status array"),
            Marker::Signal(_, value) => write!(f, "value {value}"),
            Marker::Foreign(Some(signal)) => write!(f, "value {}", signal.value()),
            Marker::Foreign(None) => f.write_str("a value"),
            Marker::Event(_) => f.write_str("no event"),
        }
    }
}

/// Something that was to be enqueued, for the error record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command<'a> {
    Request(&'a Request),
    Marker(&'a Marker),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Waiting,
    Parked,
    InFlight,
    Application,
}

/// What occupies a slot.
#[derive(Debug)]
pub(crate) struct Entry {
    sequence: u64,
    /// Found at enqueue; the entry fails with it when its turn comes.
    invalid: Option<Error>,
    kind: Kind,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "slots are made once, and most hold requests; a box would be an allocation a request"
)]
enum Kind {
    Request(RequestEntry),
    Marker(Marker),
}

#[derive(Debug)]
struct RequestEntry {
    request: Request,
    group: GroupId,
    stage: Stage,
    cancelled: bool,
    /// It met memory that only the host's threads can write, and its bytes go there by a copy of the host's.
    foreign: bool,
    /// Its last step is the host's, who has it.
    handed: bool,
    fence: Option<(Fence, u64)>,
    submitted_at: Option<Instant>,
}

impl Entry {
    /// The request and its sequence number, if it is one.
    fn as_request(&mut self) -> Option<(u64, &mut RequestEntry)> {
        match &mut self.kind {
            Kind::Request(entry) => Some((self.sequence, entry)),
            Kind::Marker(_) => None,
        }
    }
}

impl RequestEntry {
    /// Counts its end.
    fn count(&self, outcome: &Outcome, now: Instant, stats: &mut QueueStats) {
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

/// How much one call of [`State::start`] may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// At most so many requests.
    pub(crate) requests: usize,
    /// No more once so many bytes are taken.
    pub(crate) bytes: usize,
    /// Take no more than this share (1/n) of what is startable, for the sake of other threads.
    pub(crate) threads: usize,
    /// If no more bytes than that are left, wake no other thread for them: this one comes back soon.
    pub(crate) bytes_alone: usize,
}

/// A request on its way out of the queue.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) token: Token,
    pub(crate) group: GroupId,
    pub(crate) work: Work,
}

/// What is to be done for a request first.
#[derive(Debug)]
pub(crate) enum Work {
    /// Read into the destination, or write from the source.
    Transfer {
        direction: Direction,
        file: Arc<OpenFile>,
        offset: u64,
        span: Span,
    },
    /// Read into staging, `memory`; then decompress if anything is to be, and pass on what is held.
    ReadStaged {
        file: Arc<OpenFile>,
        offset: u64,
        bytes: usize,
        hold: Hold,
        memory: Span,
        decompress: Option<(Compression, Span)>,
    },
    /// Decompress memory into memory.
    Decompress {
        source: Span,
        compression: Compression,
        hold: Hold,
        destination: Span,
    },
    /// Copy memory to memory.
    Copy {
        source: Span,
        hold: Hold,
        destination: Span,
    },
    /// Nothing: the bytes are where the next one takes them.
    HandOver(Hold),
}

/// The pools that a request may wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PoolKind {
    /// The runtime's.
    Host,
    /// That of the queue's device.
    Device,
    /// What the host has lent the queue.
    Foreign,
}

impl PoolKind {
    pub(crate) const ALL: [PoolKind; 3] = [PoolKind::Host, PoolKind::Device, PoolKind::Foreign];
}

/// What came of looking at the next request.
enum Next {
    Start(Work),
    Finish(Outcome),
    Parked,
    NoStaging(PoolKind),
}

/// Numbers for queues, never used again.
static OWNERS: AtomicUsize = AtomicUsize::new(0);

/// The state.
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
    /// Requests not started, in order; the first `pending_submitted` are submitted.
    pending: VecDeque<Token>,
    pending_submitted: usize,
    /// Requests that their fence let go.
    released: VecDeque<Token>,
    /// The request that waits for staging; nothing of this queue overtakes it.
    held: Option<Token>,
    /// The pool for which the queue stands in line.
    in_line: Option<PoolKind>,
    /// Ends of submits that still have pending requests: (`submitted`, when).
    submits: VecDeque<(u64, Instant)>,
    /// Whether the scheduler has the queue, or an I/O thread looks at it.
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
    failure_count: u32,
    first_failure: Option<(u64, FirstFailure)>,
    /// Set at each failure.
    error_event: Event,
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
            pending: VecDeque::with_capacity(slots),
            pending_submitted: 0,
            released: VecDeque::new(),
            held: None,
            in_line: None,
            submits: VecDeque::with_capacity(16),
            listed: false,
            order: Order::new(slots),
            in_flight: 0,
            cancelled_in_flight: 0,
            waiting_for_room: 0,
            waiting_for_quiet: 0,
            closed: false,
            closed_at: 0,
            failure_count: 0,
            first_failure: None,
            error_event,
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
        let startable = self.pending_submitted > 0 || !self.released.is_empty();
        let idle = self.in_flight == 0 && (!startable || self.held.is_some());
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

    // ---- enqueue and submit ----

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
        self.pending.push_back(token);
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
        if self.pending_submitted < self.pending.len() {
            self.pending_submitted = self.pending.len();
            let submit = (self.submitted, Instant::now());
            // No more than there can be requests to tell apart: the newest two share a time.
            if self.submits.len() >= self.capacity as usize {
                self.submits.pop_back();
            }
            self.submits.push_back(submit);
        }
        self.list_if_startable(deferred);
        // Markers behind finished requests have nobody else to fire them.
        self.fire_markers(deferred);
    }

    /// How many requests could start now.
    pub(crate) fn startable_len(&self) -> usize {
        self.pending_submitted + self.released.len()
    }

    fn is_startable(&self) -> bool {
        self.held.is_some() || !self.released.is_empty() || self.pending_submitted > 0
    }

    pub(crate) fn list_if_startable(&mut self, deferred: &mut Deferred) {
        if !self.listed && self.is_startable() {
            self.listed = true;
            deferred.list = Some(Wake::Yes);
        }
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
        self.record(sequence, fault.error, failed);
        deferred.reports.push((fault, info));
    }

    // ---- start ----

    pub(crate) fn start(
        &mut self,
        queue: &Arc<QueueCore>,
        budget: Budget,
        started: &mut Vec<Started>,
        deferred: &mut Deferred,
    ) {
        let share = self.startable_len().div_ceil(budget.threads.max(1));
        let requests = budget.requests.min(share.max(1));
        let mut bytes = 0;
        let mut waits_for_staging = false;
        while started.len() < requests && bytes < budget.bytes {
            let Some(token) = self.take_startable() else {
                break;
            };
            match self.look_at(queue, token, deferred) {
                Next::Start(work) => {
                    let (group, source_bytes) = self.mark_in_flight(token);
                    bytes += source_bytes;
                    started.push(Started { token, group, work });
                }
                Next::Finish(outcome) => self.finish(token, outcome, deferred),
                Next::Parked => {}
                Next::NoStaging(pool) => {
                    self.held = Some(token);
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
            let bytes_left = bytes.max(1) * self.startable_len() / started.len().max(1);
            if bytes_left <= budget.bytes_alone {
                deferred.list = deferred.list.map(|_| Wake::No);
            }
        }
    }

    /// Whoever needs no staging any more must not stand in the way of others.
    pub(crate) fn leave_line(&mut self, queue: &QueueCore, deferred: &mut Deferred) {
        if let Some(pool) = self.in_line.take()
            && let Some(staging) = queue.staging(pool)
        {
            let next = staging.leave(queue.id()).or(staging.next_in_line());
            deferred.next_for(pool, next);
        }
    }

    fn take_startable(&mut self) -> Option<Token> {
        if let Some(token) = self.held.take() {
            return Some(token);
        }
        if let Some(token) = self.released.pop_front() {
            return Some(token);
        }
        if self.pending_submitted == 0 {
            return None;
        }
        self.pending_submitted -= 1;
        self.pending.pop_front()
    }

    /// When the submit was that covered `sequence`, for requests taken in order.
    fn submit_time(&mut self, sequence: u64) -> Option<Instant> {
        while self
            .submits
            .front()
            .is_some_and(|&(end, _)| end <= sequence)
        {
            self.submits.pop_front();
        }
        self.submits.front().map(|&(_, when)| when)
    }

    fn look_at(&mut self, queue: &Arc<QueueCore>, token: Token, deferred: &mut Deferred) -> Next {
        let Some(sequence) = self.slots.get(token).map(|entry| entry.sequence) else {
            return Next::Parked;
        };
        let first_look = matches!(self.request(token), Some(entry) if entry.submitted_at.is_none());
        let submitted_at = if first_look {
            self.submit_time(sequence)
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
        let waiting = self.pending_submitted + self.released.len();
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
        self.released.push_back(token);
        self.list_if_startable(deferred);
    }

    // ---- completion ----

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
            self.record(sequence, fault.error, FailedCommand::Request(info.clone()));
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
        self.released.push_back(token);
        self.list_if_startable(deferred);
        true
    }

    fn record(&mut self, sequence: u64, error: Error, command: FailedCommand) {
        self.failure_count = self.failure_count.saturating_add(1);
        if self
            .first_failure
            .as_ref()
            .is_none_or(|(first, _)| sequence < *first)
        {
            self.first_failure = Some((sequence, FirstFailure { error, command }));
        }
        self.error_event.set();
    }

    pub(crate) fn error_record(&self) -> ErrorRecord {
        let first = self.first_failure.as_ref();
        ErrorRecord {
            failure_count: self.failure_count,
            first_failure: first.map(|(_, failure)| failure.clone()),
        }
    }

    pub(crate) fn take_error_record(&mut self) -> ErrorRecord {
        self.error_event.take();
        ErrorRecord {
            failure_count: std::mem::take(&mut self.failure_count),
            first_failure: self.first_failure.take().map(|(_, failure)| failure),
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

    /// Hands the signals over that wait for nothing but the host. A status or event before one must come
    /// first: whoever sees the signal may look at the status.
    fn hand_signals(&mut self) {
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
                self.record(sequence, error, marker.command());
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

    // ---- cancel and close ----

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
            if entry.cancelled || !matches(entry.request.cancellation_tag) {
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
            self.finish(token, Ok(()), deferred);
        }
        // Revoked requests gave their staging back.
        for pool in PoolKind::ALL {
            let next = queue.staging(pool).and_then(Staging::next_in_line);
            deferred.next_for(pool, next);
        }
        if self.held.is_none() {
            self.leave_line(queue, deferred);
        }
        self.fire_markers(deferred);
    }

    /// Takes cancelled requests out of the lists of what may start.
    fn forget_cancelled(&mut self) {
        let slots = &self.slots;
        let is_live = |token: &Token| match slots.get(*token).map(|entry| &entry.kind) {
            Some(Kind::Request(entry)) => !entry.cancelled,
            _ => false,
        };
        self.pending_submitted = self
            .pending
            .iter()
            .take(self.pending_submitted)
            .filter(|t| is_live(t))
            .count();
        self.pending.retain(is_live);
        self.released.retain(is_live);
        self.held = self.held.filter(is_live);
        if self.pending_submitted == 0 {
            self.submits.clear();
        }
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
