//! What a queue has done: counters and a latency histogram, kept for every queue, always.

#![forbid(unsafe_code)]

use std::time::Duration;

/// Times, counted in powers of two of a nanosecond: bucket `n` holds those from `2^n` to below
/// `2^(n+1)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Histogram {
    /// Bucket 0 also holds times of 0, the last one everything above.
    pub buckets: [u64; Histogram::BUCKETS],
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: [0; Histogram::BUCKETS],
        }
    }
}

impl Histogram {
    /// How many buckets there are; the last begins at 2^39 ns, about nine minutes.
    pub const BUCKETS: usize = 40;

    /// Counts one time.
    pub(crate) fn add(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = ns.max(1).ilog2() as usize;
        self.buckets[bucket.min(Histogram::BUCKETS - 1)] += 1;
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A time that the fraction `quantile` (0.0 to 1.0) of all times do not exceed: the upper end
    /// of its bucket, in nanoseconds. 0 when nothing was counted.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let wanted = (self.count() as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return (2 << bucket) - 1;
            }
        }
        0
    }
}

/// What a queue has done since it was created. Requests only; statuses, signals and events are not
/// counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueStats {
    /// Requests enqueued.
    pub requests_enqueued: u64,
    /// Requests that completed without failure.
    pub requests_completed: u64,
    /// Requests that failed, cancelled ones not included.
    pub requests_failed: u64,
    /// Requests that were cancelled.
    pub requests_cancelled: u64,
    /// Bytes taken from sources by completed requests (compressed bytes, if compressed).
    pub bytes_source: u64,
    /// Bytes delivered to destinations by completed requests.
    pub bytes_destination: u64,
    /// Submits, automatic ones included.
    pub submits: u64,
    /// How often an enqueue found the queue full and had to wait.
    pub enqueue_waits: u64,
    /// Entries in the queue now.
    pub depth: u32,
    /// The most entries that were ever in the queue at once.
    pub depth_max: u32,
    /// Time from submit to completion of each completed or failed request.
    pub latency: Histogram,
}

/// What the I/O threads of a runtime have asked of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IoStats {
    /// Reads and writes, each piece of a short one counted.
    pub operations: u64,
    /// System calls made for them: one each with threads, one for many with a ring.
    pub system_calls: u64,
    /// Of the operations, those on a file that is registered with its ring.
    pub registered_files: u64,
    /// Of the operations, those into memory that is registered with its ring.
    pub registered_buffers: u64,
    /// Of the operations, those read together with their neighbours in the file.
    pub vectored: u64,
    /// Of the operations, those past the page cache.
    pub direct: u64,
    /// Of the operations, those of workers that read a stream from the page cache before they decoded it.
    pub by_workers: u64,
    /// System calls that woke an I/O thread.
    pub wakes: u64,
}

impl std::ops::AddAssign for IoStats {
    fn add_assign(&mut self, other: IoStats) {
        self.operations += other.operations;
        self.system_calls += other.system_calls;
        self.registered_files += other.registered_files;
        self.registered_buffers += other.registered_buffers;
        self.vectored += other.vectored;
        self.direct += other.direct;
        self.by_workers += other.by_workers;
        self.wakes += other.wakes;
    }
}

/// What was asked of a GPU for the queues of a runtime that share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GpuStats {
    /// Requests whose bytes went to the GPU, or came from it.
    pub requests: u64,
    /// Submissions that carried them.
    pub batches: u64,
    /// How often the thread that submits was woken while the GPU had work, which asks the driver.
    pub wakes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_right_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ns(0.5), 0);
        for ns in [0, 1, 900, 1000, 1_000_000] {
            histogram.add(Duration::from_nanos(ns));
        }
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.quantile_ns(0.5), 1023);
        assert_eq!(histogram.quantile_ns(1.0), (1 << 20) - 1);
        histogram.add(Duration::MAX);
        assert_eq!(histogram.buckets[Histogram::BUCKETS - 1], 1);
    }
}
