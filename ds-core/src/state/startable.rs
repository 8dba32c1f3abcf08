//! `Startable`: the requests that have not started, in the order in which they will.
//!
//! Owns that order, and the times of the submits that made them startable. Invariants:
//! - A token is in one of the lists, once, from when it comes in until [`Startable::take`] gives it out or
//!   [`Startable::forget`] drops it.
//! - Nothing overtakes the request that is held; what a fence let go comes before what never waited.
//! - Tokens of `pending` come out in the order in which they came in, and only submitted ones do.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::Instant;

use crate::slots::Token;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Startable {
    /// In order; the first `pending_submitted` are submitted.
    pending: VecDeque<Token>,
    pending_submitted: usize,
    /// Those that their fence let go, or that begin again.
    released: VecDeque<Token>,
    /// The one that waits for staging.
    held: Option<Token>,
    /// Ends of submits that still have pending requests: the first sequence number behind, and when.
    submits: VecDeque<(u64, Instant)>,
    /// No more submits than there can be requests to tell apart.
    submits_max: usize,
}

impl Startable {
    /// For a queue of `capacity` slots.
    pub(super) fn new(capacity: usize) -> Startable {
        Startable {
            pending: VecDeque::with_capacity(capacity),
            pending_submitted: 0,
            released: VecDeque::new(),
            held: None,
            submits: VecDeque::with_capacity(16),
            submits_max: capacity,
        }
    }

    /// Comes in last, not submitted.
    pub(super) fn add(&mut self, token: Token) {
        self.pending.push_back(token);
    }

    /// All that came in is submitted; their sequence numbers are smaller than `end`.
    pub(super) fn submit(&mut self, end: u64) {
        if self.pending_submitted == self.pending.len() {
            return;
        }
        self.pending_submitted = self.pending.len();
        // The newest two share a time.
        if self.submits.len() >= self.submits_max {
            self.submits.pop_back();
        }
        self.submits.push_back((end, Instant::now()));
    }

    /// When the submit was that covered `sequence`, for requests taken in order.
    pub(super) fn submit_time(&mut self, sequence: u64) -> Option<Instant> {
        while self
            .submits
            .front()
            .is_some_and(|&(end, _)| end <= sequence)
        {
            self.submits.pop_front();
        }
        self.submits.front().map(|&(_, when)| when)
    }

    /// A submitted request may start now, after others that came back like it.
    pub(super) fn release(&mut self, token: Token) {
        self.released.push_back(token);
    }

    /// The request that was just taken finds no staging: it is the next to be taken again.
    pub(super) fn hold(&mut self, token: Token) {
        self.held = Some(token);
    }

    /// Whether a request waits for staging.
    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// How many could start now, the one that is held aside.
    pub(super) fn len(&self) -> usize {
        self.pending_submitted + self.released.len()
    }

    /// Whether [`Startable::take`] would give anything.
    pub(super) fn is_any(&self) -> bool {
        self.held.is_some() || self.len() > 0
    }

    /// What [`Startable::take`] would give.
    pub(super) fn first(&self) -> Option<Token> {
        let submitted = (self.pending_submitted > 0).then(|| self.pending.front());
        let others = self.held.as_ref().or(self.released.front());
        others.or(submitted.flatten()).copied()
    }

    /// The next one.
    pub(super) fn take(&mut self) -> Option<Token> {
        if let Some(token) = self.held.take() {
            return Some(token);
        }
        if let Some(token) = self.released.pop_front() {
            return Some(token);
        }
        self.pending_submitted = self.pending_submitted.checked_sub(1)?;
        self.pending.pop_front()
    }

    /// Keeps those that are live.
    pub(super) fn forget(&mut self, is_live: impl Fn(&Token) -> bool) {
        self.pending_submitted = self
            .pending
            .iter()
            .take(self.pending_submitted)
            .filter(|token| is_live(token))
            .count();
        self.pending.retain(&is_live);
        self.released.retain(&is_live);
        self.held = self.held.filter(&is_live);
        if self.pending_submitted == 0 {
            self.submits.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: u64) -> Token {
        Token::from_u64(n)
    }

    fn taken(startable: &mut Startable) -> Vec<Token> {
        let mut take = || {
            let first = startable.first();
            assert_eq!(startable.take(), first);
            first
        };
        std::iter::from_fn(&mut take).collect()
    }

    #[test]
    fn the_held_one_comes_first_and_nothing_comes_before_its_submit() {
        let mut startable = Startable::new(8);
        for n in 0..3 {
            startable.add(token(n));
        }
        assert_eq!(startable.take(), None, "nothing is submitted");
        startable.submit(3);
        startable.add(token(3));
        assert_eq!(startable.len(), 3);
        let first = startable.take().expect("submitted");
        startable.release(token(9));
        startable.hold(first);
        assert_eq!(startable.len(), 3, "the held one aside");
        assert_eq!(taken(&mut startable), [0, 9, 1, 2].map(token));
        assert!(!startable.is_any());
    }

    #[test]
    fn what_is_forgotten_does_not_come_and_the_rest_does() {
        let mut startable = Startable::new(8);
        for n in 0..4 {
            startable.add(token(n));
        }
        startable.submit(4);
        startable.add(token(4));
        startable.add(token(5));
        let first = startable.take().expect("submitted");
        startable.hold(first);
        startable.forget(|token| token.to_u64() % 2 == 1);
        assert!(!startable.is_holding());
        assert_eq!(startable.len(), 2);
        assert_eq!(taken(&mut startable), [1, 3].map(token));
        startable.submit(6);
        assert_eq!(taken(&mut startable), [5].map(token));
    }

    #[test]
    fn a_request_is_as_old_as_its_own_submit() {
        let mut startable = Startable::new(2);
        startable.add(token(0));
        startable.submit(1);
        let first = startable.submits[0].1;
        startable.add(token(1));
        startable.submit(2);
        assert_eq!(startable.submit_time(0), Some(first));
        let second = startable.submit_time(1);
        assert!(second.is_some_and(|second| second >= first));
        assert_eq!(startable.submit_time(2), None, "never submitted");
    }
}
