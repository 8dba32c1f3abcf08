//! The engine's side: a queue that is kept full of reads, as an application with statuses keeps it.
//!
//! Owns the runtime, the queue and the destinations: as many bytes as there are in flight, written again
//! and again, as fio does. Requests come in four batches with a status each; the oldest batch is waited for
//! and enqueued again, so that three quarters of the depth are always in flight.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use ds_core::{
    Backend, Buffer, File, Priority, Queue, QueueDesc, Request, Runtime, S_OK, StatusArray,
};
use ds_tool::{Error, Result};

use super::super::rounds::cpu_time;
use super::super::{FileMode, WHAT};
use super::Round;
use crate::ui;

/// How many batches share the depth.
const BATCHES: u32 = 4;
/// Entries of the queue: statuses too, and twice as many as are ever there, since half of the capacity is
/// submitted unasked.
const QUEUE_CAPACITY_MIN: u32 = 1024;

/// What a load does.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Shape {
    /// Bytes of a request.
    pub(in super::super) request_bytes: u32,
    /// Requests in flight.
    pub(in super::super) depth: u32,
}

/// See the file's head.
pub(in super::super) struct Load {
    // Dropped first: closing the queue gives the buffers back.
    queue: Queue,
    statuses: StatusArray,
    buffers: Vec<Buffer>,
    shape: Shape,
    file: File,
}

/// Which engine.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Setup {
    /// Exactly this one, if it is not auto.
    pub(in super::super) backend: Backend,
    /// Threads that read; 0 is what the engine chooses.
    pub(in super::super) threads: u32,
    /// How files are read; `None` is what the engine chooses.
    pub(in super::super) mode: Option<FileMode>,
}

/// The engine as a user would start it, but for the setup.
pub(in super::super) fn runtime(setup: Setup) -> Result<Runtime> {
    let mut config = ui::config();
    config.backend = setup.backend;
    config.io_threads = setup.threads;
    if let Some(mode) = setup.mode {
        let set = config.set("file_mode", mode.name());
        set.map_err(|why| Error::plain(WHAT, why))?;
    }
    let runtime = ui::runtime(config)?;
    let (asked, choice) = (setup.backend, runtime.backend());
    if asked != Backend::Auto && choice.backend != asked {
        let why = asked.unavailable().unwrap_or(&choice.reason);
        return Err(Error::plain(WHAT, format!("no {asked} here: {why}")));
    }
    Ok(runtime)
}

impl Load {
    /// A queue of `runtime` over `file`, nothing in flight.
    pub(in super::super) fn new(
        runtime: &Runtime,
        file: &std::path::Path,
        shape: Shape,
        priority: Priority,
    ) -> Result<Load> {
        let failed = |error| Error::plain(WHAT, error);
        let capacity = (4 * shape.depth).next_power_of_two();
        let capacity = capacity.clamp(QUEUE_CAPACITY_MIN, ds_core::CAPACITY_MAX);
        let desc = QueueDesc::new(capacity).priority(priority).named("bench");
        let batch_requests = shape.depth.div_ceil(BATCHES);
        let batches = shape.depth.div_ceil(batch_requests);
        let batch_bytes = batch_requests as usize * shape.request_bytes as usize;
        let file = File::open(file).map_err(|error| Error::new(WHAT, file, error))?;
        Ok(Load {
            queue: runtime.create_queue(desc).map_err(failed)?,
            statuses: StatusArray::new(batches, None),
            buffers: (0..batches).map(|_| Buffer::new(batch_bytes)).collect(),
            shape,
            file,
        })
    }

    /// Reads at `offsets` until they end or `limit` has passed, then waits for what is in flight.
    pub(in super::super) fn run(
        &mut self,
        mut offsets: impl Iterator<Item = u64>,
        limit: Duration,
    ) -> Result<Round> {
        let (cpu, started) = (cpu_time(), Instant::now());
        let mut in_flight = vec![0; self.buffers.len()];
        for (index, requests) in in_flight.iter_mut().enumerate() {
            *requests = self.enqueue_batch(index, &mut offsets);
        }
        let (mut done, mut index) = (0, 0);
        while in_flight[index] > 0 {
            self.wait(index)?;
            done += std::mem::take(&mut in_flight[index]);
            if started.elapsed() < limit {
                in_flight[index] = self.enqueue_batch(index, &mut offsets);
            }
            index = (index + 1) % in_flight.len();
        }
        Ok(Round {
            requests: done as f64,
            seconds: started.elapsed().as_secs_f64(),
            cpu_seconds: (cpu_time() - cpu).as_secs_f64(),
        })
    }

    /// Enqueues and submits batch `index`; answers how many requests it has, 0 when the offsets ended.
    fn enqueue_batch(&mut self, index: usize, offsets: &mut impl Iterator<Item = u64>) -> u64 {
        let bytes = self.shape.request_bytes;
        let parts = self.buffers[index].lend_chunks(bytes as usize);
        let parts = parts.expect("its requests are done");
        let mut requests = 0;
        // In this order: a part for which there is no offset is no loss, an offset would be.
        for (part, offset) in parts.zip(offsets.by_ref()) {
            let request = Request::read(&self.file, offset, bytes, part);
            self.queue.enqueue_request(request);
            requests += 1;
        }
        if requests > 0 {
            self.queue
                .enqueue_status(Some(&self.statuses), index as u32);
            self.queue.submit();
        }
        requests
    }

    fn wait(&self, index: usize) -> Result<()> {
        match self.statuses.wait(index as u32, None) {
            Some(S_OK) => Ok(()),
            _ => {
                let failure = self.queue.retrieve_error_record().first_failure;
                let error = failure.map_or(ds_core::Error::QueueClosed, |failure| failure.error);
                Err(Error::plain(WHAT, error))
            }
        }
    }
}

/// Offsets of all requests of a file, in an order that nobody can guess: each once before any comes again.
#[derive(Clone)]
pub(in super::super) struct Order {
    numbers: Vec<u32>,
    request_bytes: u32,
}

impl Order {
    /// The whole requests of `request_bytes` in `span_bytes`.
    pub(in super::super) fn new(span_bytes: u64, request_bytes: u32) -> Order {
        let count = u32::try_from(span_bytes / u64::from(request_bytes)).unwrap_or(u32::MAX);
        let mut numbers: Vec<u32> = (0..count).collect();
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        // Fisher and Yates; the bias of the remainder does not matter here.
        for left in (1..numbers.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            numbers.swap(left, (state % (left as u64 + 1)) as usize);
        }
        Order {
            numbers,
            request_bytes,
        }
    }

    /// How many there are.
    pub(in super::super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The offsets in bytes, from number `first` on, once around.
    pub(in super::super) fn once(&self, first: usize) -> impl Iterator<Item = u64> + '_ {
        let (behind, ahead) = self.numbers.split_at(first % self.len().max(1));
        let numbers = ahead.iter().chain(behind);
        numbers.map(|&number| u64::from(number) * u64::from(self.request_bytes))
    }

    /// The same without end.
    pub(in super::super) fn endless(&self) -> impl Iterator<Item = u64> + '_ {
        let numbers = self.numbers.iter().cycle();
        numbers.map(|&number| u64::from(number) * u64::from(self.request_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_request_once() {
        let order = Order::new(100 * 4096 + 17, 4096);
        assert_eq!(order.len(), 100);
        let offsets: Vec<u64> = order.once(7).collect();
        let mut sorted = offsets.clone();
        sorted.sort_unstable();
        assert_ne!(offsets, sorted);
        let expected: Vec<u64> = (0..100).map(|number| number * 4096).collect();
        assert_eq!(sorted, expected);
        assert_eq!(order.endless().take(250).count(), 250);
        assert_eq!(Order::new(4095, 4096).once(3).count(), 0);
    }

    #[test]
    fn a_load_reads_what_it_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let setup = Setup {
            backend: Backend::Cpu,
            threads: 2,
            mode: None,
        };
        let runtime = runtime(setup).unwrap();
        // A depth that four batches do not divide.
        let shape = Shape {
            request_bytes: 4096,
            depth: 13,
        };
        let mut load = Load::new(&runtime, file.path(), shape, Priority::Normal).unwrap();
        let order = Order::new(1 << 20, 4096);
        let round = load.run(order.once(0), Duration::MAX).unwrap();
        assert!((round.requests - 256.0).abs() < 0.5);
        assert_eq!(load.queue.stats().requests_completed, 256);
        let round = load.run(order.endless().take(1), Duration::MAX).unwrap();
        assert!((round.requests - 1.0).abs() < 0.5);
        let round = load.run(order.endless(), Duration::from_millis(5)).unwrap();
        assert!(round.requests >= 16.0 && round.seconds >= 0.005);
    }
}
