//! How many completions may pass before anybody could hear of one: so many a ring's thread sleeps through.
//!
//! What a program hears of are statuses, signals and events, and each waits for every request of its group
//! and of the groups before. So of the requests that one queue has in flight here, those of the oldest group
//! must all come back before anything follows from them. A request whose bytes go on to somebody else, or
//! which somebody wants to end, is worth a look of its own; so is one that makes room for another. The driver
//! says so by not asking. What else a request's end does (an error's event, a place in a queue that is full,
//! a figure that is asked for) can come a few completions later than it would, and a few milliseconds at
//! most: the driver looks when the sleep has lasted so long.
//!
//! Pure arithmetic over what is in flight on one thread, done only when that thread is about to sleep.

#![forbid(unsafe_code)]

use crate::order::GroupId;

/// More queues than that in flight on one thread are not told apart: every completion counts.
const QUEUES_MAX: usize = 4;

/// What one queue has in flight.
#[derive(Clone, Copy, Debug)]
struct Share {
    queue: usize,
    /// The oldest group.
    group: GroupId,
    /// Requests of that group.
    requests: usize,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct Due {
    shares: [Option<Share>; QUEUES_MAX],
    too_many: bool,
}

impl Due {
    /// Counts a request of the queue with that id.
    pub(crate) fn add(&mut self, queue: usize, group: GroupId) {
        let of_queue = |share: &&mut Option<Share>| share.is_none_or(|known| known.queue == queue);
        let Some(share) = self.shares.iter_mut().find(of_queue) else {
            self.too_many = true;
            return;
        };
        let share = share.get_or_insert(Share {
            queue,
            group,
            requests: 0,
        });
        if group < share.group {
            share.group = group;
            share.requests = 0;
        }
        share.requests += usize::from(group == share.group);
    }

    /// Completions to wait for, at least 1.
    pub(crate) fn completions(&self) -> usize {
        let requests = self.shares.iter().flatten().map(|share| share.requests);
        match requests.min() {
            Some(requests) if !self.too_many => requests,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(requests: &[(usize, GroupId)]) -> Due {
        let mut due = Due::default();
        for &(queue, group) in requests {
            due.add(queue, group);
        }
        due
    }

    #[test]
    fn the_oldest_group_of_each_queue_counts() {
        assert_eq!(due(&[]).completions(), 1);
        assert_eq!(due(&[(1, 5), (1, 6), (1, 5), (1, 7)]).completions(), 2);
        assert_eq!(due(&[(1, 6), (1, 6), (1, 5)]).completions(), 1);
        let two = [(1, 5), (2, 9), (1, 5), (2, 9), (1, 5)];
        assert_eq!(due(&two).completions(), 2);
        assert_eq!(due(&two[..2]).completions(), 1);
    }

    #[test]
    fn many_queues_are_looked_at_one_by_one() {
        let many: Vec<_> = (1..=5).flat_map(|queue| [(queue, 0), (queue, 0)]).collect();
        assert_eq!(due(&many[..8]).completions(), 2);
        assert_eq!(due(&many).completions(), 1);
    }
}
