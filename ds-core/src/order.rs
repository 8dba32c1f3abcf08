//! What a queue owes in order: statuses, signals and events, each after everything enqueued before
//! it.
//!
//! Requests finish in any order, markers (status, signal, event) fire in theirs. The entries
//! between two markers are a *group*; a marker fires when its group has nothing outstanding and
//! every marker before it has fired. So the bookkeeping is one counter a group, however many
//! requests come and go, and its size is bounded by the markers in the queue.
//!
//! A status covers the requests since the previous status and reports the first that failed, in
//! enqueue order; a signal or event between the two does not end its range.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

use crate::slots::Token;

/// A failure and its place in the order of enqueueing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Failure {
    pub(crate) sequence: u64,
    pub(crate) hresult: i32,
}

#[derive(Debug, Default)]
struct Group {
    outstanding: u32,
    /// Of those, the ones whose last step is not the host's already.
    unhanded: u32,
    first_failure: Option<Failure>,
    /// The marker that ends the group, and its sequence number; the newest group has none yet.
    marker: Option<(Token, u64)>,
}

/// Names a group; never used again.
pub(crate) type GroupId = u64;

/// The groups of one queue, oldest first.
#[derive(Debug)]
pub(crate) struct Order {
    groups: VecDeque<Group>,
    /// The id of `groups[0]`.
    first_id: GroupId,
    /// The first group whose marker waits for requests to be handed to the host.
    ahead: GroupId,
    /// The first failure of groups whose marker has fired but was no status.
    carried: Option<Failure>,
}

/// The earlier of two failures.
fn earlier(a: Option<Failure>, b: Option<Failure>) -> Option<Failure> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Order {
    /// The order of an empty queue with `capacity` slots.
    pub(crate) fn new(capacity: usize) -> Order {
        let mut groups = VecDeque::with_capacity(capacity + 1);
        groups.push_back(Group::default());
        Order {
            groups,
            first_id: 0,
            ahead: 0,
            carried: None,
        }
    }

    fn group(&mut self, id: GroupId) -> &mut Group {
        let index = usize::try_from(id - self.first_id).expect("groups are counted in memory");
        &mut self.groups[index]
    }

    /// A request joins the newest group.
    pub(crate) fn add_request(&mut self) -> GroupId {
        let id = self.first_id + self.groups.len() as u64 - 1;
        let group = self.group(id);
        group.outstanding += 1;
        group.unhanded += 1;
        id
    }

    /// A marker ends the newest group.
    pub(crate) fn add_marker(&mut self, marker: Token, sequence: u64) {
        let newest = self
            .groups
            .back_mut()
            .expect("there is always an open group");
        newest.marker = Some((marker, sequence));
        self.groups.push_back(Group::default());
    }

    /// A request of `group` is done, or all that is left to be done is the host's. Once for each.
    pub(crate) fn hand_request(&mut self, group: GroupId) {
        let group = self.group(group);
        group.unhanded = group
            .unhanded
            .checked_sub(1)
            .expect("a request is handed over once");
    }

    /// The next marker before which nothing is left but for the host, among those with a sequence number
    /// below `submitted`. It stays, and is the next one until [`Order::pass_handed_marker`] or its turn.
    pub(crate) fn next_handed_marker(&mut self, submitted: u64) -> Option<Token> {
        self.ahead = self.ahead.max(self.first_id);
        let ahead = self.ahead;
        let group = self.group(ahead);
        let (marker, sequence) = group.marker?;
        if group.unhanded > 0 || sequence >= submitted {
            return None;
        }
        Some(marker)
    }

    /// The one behind it may be the next: it was handed over, or nobody waits for it.
    pub(crate) fn pass_handed_marker(&mut self) {
        self.ahead += 1;
    }

    /// A request of `group` is done.
    pub(crate) fn finish_request(&mut self, group: GroupId, failure: Option<Failure>) {
        let group = self.group(group);
        group.outstanding = group
            .outstanding
            .checked_sub(1)
            .expect("a request finishes once");
        group.first_failure = earlier(group.first_failure, failure);
    }

    /// The next marker that may fire, among those with a sequence number below `submitted`. It is
    /// gone from here.
    pub(crate) fn next_marker(&mut self, submitted: u64) -> Option<Token> {
        let oldest = self.groups.front()?;
        let (marker, sequence) = oldest.marker?;
        if oldest.outstanding > 0 || sequence >= submitted {
            return None;
        }
        self.carried = earlier(self.carried, oldest.first_failure);
        self.groups.pop_front();
        self.first_id += 1;
        Some(marker)
    }

    /// What a status that just fired reports; the next status starts afresh.
    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        self.carried.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: u64) -> Token {
        Token::from_u64(n)
    }

    fn failure(sequence: u64, hresult: i32) -> Option<Failure> {
        Some(Failure { sequence, hresult })
    }

    #[test]
    fn markers_wait_for_their_group_and_for_each_other() {
        let mut order = Order::new(8);
        let a = order.add_request();
        order.add_marker(token(1), 1);
        let b = order.add_request();
        order.add_marker(token(2), 3);
        order.finish_request(b, None);
        assert_eq!(
            order.next_marker(9),
            None,
            "the second group is done, the first is not"
        );
        order.finish_request(a, None);
        assert_eq!(order.next_marker(9), Some(token(1)));
        assert_eq!(order.next_marker(9), Some(token(2)));
        assert_eq!(order.next_marker(9), None);
    }

    #[test]
    fn an_unsubmitted_marker_does_not_fire() {
        let mut order = Order::new(8);
        order.add_marker(token(1), 5);
        assert_eq!(order.next_marker(5), None);
        assert_eq!(order.next_marker(6), Some(token(1)));
    }

    #[test]
    fn a_status_reports_the_first_failure_since_the_previous_status() {
        let mut order = Order::new(8);
        let a = order.add_request();
        let b = order.add_request();
        order.add_marker(token(1), 2); // a signal
        let c = order.add_request();
        order.add_marker(token(2), 4); // a status
        order.finish_request(c, failure(3, -3));
        order.finish_request(b, failure(1, -1));
        order.finish_request(a, None);
        assert_eq!(order.next_marker(9), Some(token(1)));
        assert_eq!(order.next_marker(9), Some(token(2)));
        assert_eq!(
            order.take_failure(),
            failure(1, -1),
            "enqueue order, not completion order"
        );
        assert_eq!(order.take_failure(), None, "the next status starts afresh");
    }

    #[test]
    fn what_was_handed_over_lets_its_marker_be_seen_but_not_fire() {
        let mut order = Order::new(8);
        let a = order.add_request();
        order.add_marker(token(1), 1);
        let b = order.add_request();
        order.add_marker(token(2), 3);
        order.hand_request(b);
        assert_eq!(order.next_handed_marker(9), None, "the first comes first");
        order.hand_request(a);
        assert_eq!(order.next_handed_marker(1), None, "not submitted");
        assert_eq!(order.next_handed_marker(9), Some(token(1)));
        assert_eq!(order.next_handed_marker(9), Some(token(1)), "it stays");
        order.pass_handed_marker();
        assert_eq!(order.next_handed_marker(2), None);
        assert_eq!(order.next_handed_marker(9), Some(token(2)));
        order.pass_handed_marker();
        assert_eq!(order.next_handed_marker(9), None, "each once");
        assert_eq!(order.next_marker(9), None, "both are with the host");
        order.finish_request(a, None);
        order.finish_request(b, None);
        assert_eq!(order.next_marker(9), Some(token(1)));
        assert_eq!(order.next_marker(9), Some(token(2)));
        order.add_marker(token(3), 9);
        assert_eq!(order.next_marker(10), Some(token(3)));
        assert_eq!(order.next_handed_marker(10), None, "it has fired");
    }

    #[test]
    fn long_streams_without_markers_take_no_room() {
        let mut order = Order::new(4);
        for _ in 0..100_000 {
            let group = order.add_request();
            order.finish_request(group, None);
        }
        assert_eq!(order.groups.len(), 1);
    }
}
