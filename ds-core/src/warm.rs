//! Streams that lie in the page cache: the worker that decodes one reads it, too.
//!
//! Between an I/O thread and a worker lie two threads that wake each other, a core that changes hands, and
//! staging that has left the cache by the time it is decoded. Where a read is nothing but a copy out of the
//! page cache, none of that is needed: the worker makes the copy when it has nothing else to do.
//!
//! Owns the judgement which queues are read so ([`Warm`]) and that reading ([`Reader`]). Promises:
//! - A worker never waits for a disk. What it does not find in the page cache, and every request that is no
//!   such stream, begins again on an I/O thread, and the queue stays with those for a while.
//! - A queue is listed with the workers or with the I/O threads (`scheduler.rs`), never with both.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use crate::driver::IDLE_RELEASE;
use crate::host::Worker;
use crate::io;
use crate::open_file::{OpenFile, Way};
use crate::queue::QueueCore;
use crate::runtime::Shared;
use crate::scheduler::Wake;
use crate::state::{Budget, Started, Work};
use crate::stats::IoStats;

/// So many reads of a queue, one after the other, were of streams in the page cache before workers try it.
const STREAK: i32 = 64;
/// So many more it takes after a try that failed: a worker's time was lost.
const STREAK_AFTER_MISS: i32 = 1024;
/// What a worker starts at a time: enough small streams that the locks cost little, and no more than it
/// decodes in less time than a thread has on a core before another one may have it.
const BATCH: Budget = Budget {
    requests: 8,
    bytes: 128 << 10,
    threads: 1,
    bytes_alone: 0,
};

/// Whether workers read a queue's streams.
///
/// A count of reads, below 0 after a miss. I/O threads may lose some of each other's counts; what matters is
/// that it grows.
#[derive(Debug, Default)]
pub(crate) struct Warm(AtomicI32);

impl Warm {
    /// Whether they do.
    pub(crate) fn is_warm(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= STREAK
    }

    /// An I/O thread has read something, a stream from the page cache or anything else.
    pub(crate) fn note(&self, warm_stream: bool) {
        let streak = self.0.load(Ordering::Relaxed);
        match warm_stream {
            true if streak < STREAK => self.0.store(streak + 1, Ordering::Relaxed),
            false if streak > 0 => self.0.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    fn miss(&self) {
        self.0.store(STREAK - STREAK_AFTER_MISS, Ordering::Relaxed);
    }
}

/// A worker's reading.
#[derive(Debug)]
pub(crate) struct Reader {
    started: Vec<Started>,
    /// Whether it has used staging that nobody has given back to the kernel since.
    used_staging: bool,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader {
            started: Vec::with_capacity(BATCH.requests),
            used_staging: false,
        }
    }
}

impl Reader {
    /// After how long without work idle staging is to be given back; `None` if this worker need not see to
    /// that.
    pub(crate) fn release_due(&mut self, shared: &Shared) -> Option<Duration> {
        self.used_staging = self.used_staging && shared.holds_staging();
        self.used_staging.then_some(IDLE_RELEASE)
    }
}

/// Starts a few requests of a listed queue, reads their streams, and decodes them or has them decoded.
pub(crate) fn read(shared: &Shared, queue: &Arc<QueueCore>, worker: &mut Worker) {
    if !queue.warm.is_warm() {
        return shared.scheduler.list(Arc::clone(queue), Wake::Yes);
    }
    let budget = Budget {
        // The others want some, too, and this worker comes back.
        threads: 2 * shared.host.workers(),
        ..BATCH
    };
    let mut read = 0;
    let mut started = std::mem::take(&mut worker.reader.started);
    queue.start(budget, &mut started);
    for request in started.drain(..) {
        read += u64::from(begin(shared, queue, request, worker));
    }
    worker.reader.started = started;
    worker.reader.used_staging = true;
    shared.count_io(IoStats {
        operations: read,
        system_calls: read,
        by_workers: read,
        ..IoStats::default()
    });
}

/// Whether the stream of a request that was started has been read here.
fn begin(shared: &Shared, queue: &Arc<QueueCore>, request: Started, worker: &mut Worker) -> bool {
    let entry = request.token;
    match request.work {
        Work::ReadStaged {
            file,
            offset,
            bytes,
            hold,
            memory,
            decompress: Some((compression, destination)),
        } if !compression.is_custom()
            && goes_through_cache(shared, &file, bytes)
            && io::read_cached(&file, offset, memory.part(0, bytes)) =>
        {
            // First: the request may end there, or on another thread, and its file is closed before.
            drop(file);
            let source = memory.part(0, bytes);
            let request = (queue, entry);
            let host = &shared.host;
            host.decode_read(shared, worker, request, source, hold, destination);
            true
        }
        other => {
            queue.warm.miss();
            shared.give_back(other.into_hold());
            queue.put_back(entry);
            false
        }
    }
}

fn goes_through_cache(shared: &Shared, file: &OpenFile, bytes: usize) -> bool {
    let way = file.way(shared.file_mode, bytes);
    matches!(way, Way::Buffered | Way::CachedOnly)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::config::{Config, cores};
    use crate::open_file::FileMode;
    use crate::runtime::Runtime;

    #[test]
    fn no_worker_asks_whether_a_file_can_be_read_past_the_page_cache() {
        let reads = |file_mode| {
            let config = Config {
                backend: Backend::Cpu,
                decode_threads: cores() as i32,
                file_mode,
                ..Config::default()
            };
            Runtime::exactly(config).unwrap().shared().workers_read()
        };
        assert!(reads(FileMode::Auto) && reads(FileMode::Buffered));
        assert!(!reads(FileMode::Direct));
    }

    fn note(warm: &Warm, streams: i32) {
        (0..streams).for_each(|_| warm.note(true));
    }

    #[test]
    fn workers_read_what_was_cached_for_long_enough() {
        let warm = Warm::default();
        note(&warm, STREAK - 1);
        assert!(!warm.is_warm());
        warm.note(false);
        note(&warm, STREAK - 1);
        assert!(!warm.is_warm(), "something else came between");
        note(&warm, 2);
        assert!(warm.is_warm());
        warm.note(false);
        assert!(!warm.is_warm());
    }

    #[test]
    fn after_a_miss_it_takes_much_longer() {
        let warm = Warm::default();
        note(&warm, STREAK);
        warm.miss();
        warm.note(false);
        note(&warm, STREAK_AFTER_MISS - 1);
        assert!(!warm.is_warm());
        note(&warm, 1);
        assert!(warm.is_warm());
    }
}
