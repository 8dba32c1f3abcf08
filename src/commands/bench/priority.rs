//! `ds bench priority`: how long a small read of an urgent queue takes while a bulk load of low priority
//! keeps the disk busy.
//!
//! Beside it the same read on an idle disk, which is the best there is, and from a queue of the bulk's own
//! priority, which waits its turn. Under the load all queues are asked at once, so that they meet the same
//! disk; the idle disk is asked before and after. Everything is cold: what is read is dropped from the page
//! cache, and no place is read twice by the small reads.
//!
//! Reads begin at moments that do not depend on how long the last one takes, several at once if need be:
//! whoever asks only when the last answer is there hardly ever sees the disk at its worst.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use ds_core::{
    Backend, Buffer, File, Priority, Queue, QueueDesc, Request, Runtime, S_OK, StatusArray,
};
use ds_tool::{Error, Result};
use serde_json::{Map, Value};

use super::compare::load::{Load, Order, Setup, Shape, runtime};
use super::compare::subject::{NEVER_COLD, Subject, machine};
use super::{FileMode, WHAT, parse_backend, parse_seconds};
use crate::ui::{self, Table};

/// Bytes of a small read.
const PROBE_BYTES: u32 = 64 << 10;
/// Small reads lie that far apart, so that the kernel does not read ahead into the next.
const PROBE_STEP_BYTES: u64 = 256 << 10;
/// The part of the file for small reads; the bulk has the rest.
const PROBE_SHARE: u64 = 4;
/// The bulk reads that long before the first small read, and a few of those are made before any counts.
const RAMP: Duration = Duration::from_millis(300);
const PROBES_BEFORE: usize = 10;
/// Small reads of a queue that may be in flight; with that many a moment passes unused.
const PROBES_MAX: usize = 256;
/// The longest time between small reads of a queue, in microseconds; the mean is a half of it. Times vary so
/// that they do not march in step with the bulk.
const INTERVAL_US_MAX: u64 = 20_000;

/// Arguments of `ds bench priority`.
#[derive(Args)]
pub(super) struct Arguments {
    /// The file to read; a sample of 1 GiB if there is none
    #[arg(long, value_name = "F", conflicts_with = "dir")]
    file: Option<PathBuf>,
    /// Where to put the sample; without it, the folder for temporary files
    #[arg(long, value_name = "D")]
    dir: Option<PathBuf>,
    /// How long to measure in all, roughly
    #[arg(long, default_value_t = 20.0, value_name = "S", value_parser = parse_seconds)]
    seconds: f64,
    /// auto, cpu or io_uring
    #[arg(long, default_value = "auto", value_parser = parse_backend)]
    backend: Backend,
    /// I/O threads; 0 is what the engine chooses
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = value_parser!(u32).range(0..=64))]
    threads: u32,
    /// How files are read; without it, what the engine chooses
    #[arg(long, value_enum)]
    mode: Option<FileMode>,
    /// Bytes of a bulk request, in KiB
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = value_parser!(u32).range(1..=16384))]
    bulk_kib: u32,
    /// Bulk requests in flight
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = value_parser!(u32).range(1..=1024))]
    bulk_depth: u32,
    /// Print the numbers as one flat JSON object, as the last line
    #[arg(long)]
    json: bool,
}

/// A queue for small reads, and how long each took, in nanoseconds.
struct Probe {
    name: &'static str,
    // Dropped before the buffers: closing the queue gives them back.
    queue: Queue,
    statuses: StatusArray,
    /// One for each read in flight.
    buffers: Vec<Buffer>,
    /// When those in flight began, oldest first.
    in_flight: VecDeque<Instant>,
    /// How many have begun.
    begun: usize,
    file: File,
    times_ns: Vec<u64>,
}

/// Measures and reports.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let subject = Subject::open(arguments.file.as_deref(), arguments.dir.as_deref())?;
    ui::print(&format!("{}\n{}\n", subject.describe(), machine()))?;
    let bulk = Bulk::new(arguments, &subject)?;
    if !subject.can_be_cold()? {
        return ui::print(&format!("SKIPPED: priorities: {NEVER_COLD}\n"));
    }
    let runtime = runtime(Setup {
        backend: arguments.backend,
        threads: arguments.threads,
        mode: arguments.mode,
    })?;
    ui::print(&format!("backend {}\n", runtime.backend().backend))?;
    let places = Mutex::new(Places::new(&subject));
    let mut idle = Probe::new(&runtime, &subject, "idle disk", Priority::High)?;
    let mut busy = [
        Probe::new(&runtime, &subject, "low, as the bulk", Priority::Low)?,
        Probe::new(&runtime, &subject, "high", Priority::High)?,
        Probe::new(&runtime, &subject, "realtime", Priority::Realtime)?,
    ];
    // What was read to get going is not to be met again.
    subject.evict()?;
    let part = Duration::from_secs_f64(arguments.seconds / 10.0);
    let idle_only = std::slice::from_mut(&mut idle);
    probe(idle_only, &places, part)?;
    let bulk_mb_per_s = bulk.during(&runtime, || {
        std::thread::sleep(RAMP);
        probe(&mut busy, &places, part * 8)
    })?;
    probe(idle_only, &places, part)?;
    let probes: Vec<&Probe> = std::iter::once(&idle).chain(&busy).collect();
    ui::print(&table(arguments, &probes, bulk_mb_per_s))?;
    if arguments.json {
        ui::print(&format!("{}\n", numbers(&probes, bulk_mb_per_s)))?;
    }
    Ok(())
}

/// Lets all probes read for `time`, each on a thread of its own.
fn probe(probes: &mut [Probe], places: &Mutex<Places>, time: Duration) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = probes
            .iter_mut()
            .map(|probe| scope.spawn(move || probe.run(places, time)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.map_err(|_| Error::plain(WHAT, "a thread that reads died"))?
        })
    })
}

/// Where and when small reads are: each place once, then all of them are dropped from the page cache.
struct Places<'a> {
    subject: &'a Subject,
    order: Order,
    next: usize,
    state: u64,
}

impl Places<'_> {
    fn new(subject: &Subject) -> Places<'_> {
        Places {
            subject,
            order: Order::new(probe_part_bytes(subject), PROBE_STEP_BYTES as u32),
            next: 0,
            state: 0x9E37_79B9_7F4A_7C15,
        }
    }

    /// The next place, and how long after the last read of the queue this one is due.
    fn next(&mut self) -> Result<(u64, Duration)> {
        if self.next == self.order.len() {
            self.next = 0;
            self.subject.evict_part(0, probe_part_bytes(self.subject))?;
        }
        let offset = self.order.once(self.next).next().unwrap_or(0);
        self.next += 1;
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let interval = Duration::from_micros(self.state % INTERVAL_US_MAX);
        Ok((offset, interval))
    }
}

/// How much of the file is for small reads, in bytes.
fn probe_part_bytes(subject: &Subject) -> u64 {
    subject.span_bytes() / PROBE_SHARE / PROBE_STEP_BYTES * PROBE_STEP_BYTES
}

impl Probe {
    fn new(
        runtime: &Runtime,
        subject: &Subject,
        name: &'static str,
        priority: Priority,
    ) -> Result<Probe> {
        let desc = QueueDesc::new(4 * PROBES_MAX as u32).priority(priority);
        let desc = desc.named(name);
        let queue = runtime.create_queue(desc);
        let file = File::open(subject.path());
        let mut probe = Probe {
            name,
            queue: queue.map_err(|error| Error::plain(WHAT, error))?,
            statuses: StatusArray::new(PROBES_MAX as u32, None),
            buffers: (0..PROBES_MAX)
                .map(|_| Buffer::new(PROBE_BYTES as usize))
                .collect(),
            in_flight: VecDeque::with_capacity(PROBES_MAX),
            begun: 0,
            file: file.map_err(|error| Error::new(WHAT, subject.path(), error))?,
            times_ns: Vec::new(),
        };
        for _ in 0..PROBES_BEFORE {
            probe.begin(0);
            probe.collect(None)?;
        }
        probe.times_ns.clear();
        Ok(probe)
    }

    /// Reads now and then until `time` has passed.
    fn run(&mut self, places: &Mutex<Places>, time: Duration) -> Result<()> {
        let mut due = Instant::now();
        let end = due + time;
        while due < end {
            let next = places.lock().unwrap_or_else(PoisonError::into_inner).next();
            let (offset, interval) = next?;
            if self.in_flight.len() < PROBES_MAX {
                self.begin(offset);
            }
            due += interval;
            self.collect(Some(due))?;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.collect(None)
    }

    /// Begins a read at `offset`.
    fn begin(&mut self, offset: u64) {
        let slot = self.begun % PROBES_MAX;
        self.begun += 1;
        let destination = self.buffers[slot].lend();
        let destination = destination.expect("fewer than there are buffers are in flight");
        let request = Request::read(&self.file, offset, PROBE_BYTES, destination);
        self.in_flight.push_back(Instant::now());
        self.queue.enqueue_request(request);
        self.queue.enqueue_status(Some(&self.statuses), slot as u32);
        self.queue.submit();
    }

    /// Notes how long reads took, as they end, until none is in flight or it is `until`.
    fn collect(&mut self, until: Option<Instant>) -> Result<()> {
        while let Some(&began) = self.in_flight.front() {
            let slot = (self.begun - self.in_flight.len()) % PROBES_MAX;
            let patience = until.map(|until| until.saturating_duration_since(Instant::now()));
            match self.statuses.wait(slot as u32, patience) {
                None => break,
                Some(S_OK) => {
                    self.times_ns.push(began.elapsed().as_nanos() as u64);
                    self.in_flight.pop_front();
                }
                Some(_) => {
                    let failure = self.queue.retrieve_error_record().first_failure;
                    let error = failure.map(|failure| failure.error);
                    let error = error.unwrap_or(ds_core::Error::QueueClosed);
                    return Err(Error::plain(WHAT, error));
                }
            }
        }
        Ok(())
    }

    /// The time that the fraction `quantile` of the reads did not exceed, in nanoseconds.
    fn quantile_ns(&self, quantile: f64) -> u64 {
        let mut times = self.times_ns.clone();
        times.sort_unstable();
        let index = (times.len() as f64 * quantile) as usize;
        times[index.min(times.len() - 1)]
    }
}

/// The load: large reads of low priority, all over the part of the file that is not for small ones.
struct Bulk<'a> {
    subject: &'a Subject,
    shape: Shape,
    start: u64,
    order: Order,
}

impl<'a> Bulk<'a> {
    fn new(arguments: &Arguments, subject: &'a Subject) -> Result<Bulk<'a>> {
        let shape = Shape {
            request_bytes: arguments.bulk_kib << 10,
            depth: arguments.bulk_depth,
        };
        let start = probe_part_bytes(subject);
        let bytes = subject.span_bytes() - start;
        let window_bytes = u64::from(shape.request_bytes) * u64::from(shape.depth);
        if start == 0 || bytes < 2 * window_bytes {
            let why = "too small: the bulk would read what is still in memory";
            return Err(Error::new(WHAT, subject.path(), why)
                .cure("choose a larger --file, or less --bulk-depth or --bulk-kib"));
        }
        Ok(Bulk {
            subject,
            shape,
            start,
            order: Order::new(bytes, shape.request_bytes),
        })
    }

    /// Reads for as long as `work` takes; answers its own rate in MB/s.
    fn during(&self, runtime: &Runtime, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let path = self.subject.path();
        let mut load = Load::new(runtime, path, self.shape, Priority::Low)?;
        let stop = AtomicBool::new(false);
        // Often enough that nothing is met again, seldom enough to cost little.
        let step = (self.order.len() / 4).max(1);
        let mut count = 0;
        let offsets = self.order.endless().take_while(|_| {
            count += 1;
            if count % step == 0 {
                // Without it the load is lighter than it should be, which the rate shows.
                let bytes = self.subject.span_bytes() - self.start;
                let _ = self.subject.evict_part(self.start, bytes);
            }
            !stop.load(Ordering::Relaxed)
        });
        let offsets = offsets.map(|offset| self.start + offset);
        let (round, worked) = std::thread::scope(|scope| {
            let bulk = scope.spawn(|| load.run(offsets, Duration::MAX));
            let worked = work();
            stop.store(true, Ordering::Relaxed);
            (bulk.join(), worked)
        });
        worked?;
        let round = round.map_err(|_| Error::plain(WHAT, "the bulk's thread died"))??;
        Ok(round.mb_per_s(self.shape))
    }
}

const QUANTILES: [(&str, f64); 3] = [("median", 0.5), ("p90", 0.9), ("p99", 0.99)];

fn table(arguments: &Arguments, probes: &[&Probe], bulk_mb_per_s: f64) -> String {
    let mut table = Table::new(&[]);
    table.line(["queue", "reads", "median", "p90", "p99", "median to idle"]);
    for probe in probes {
        let [median, p90, p99] = QUANTILES.map(|(_, quantile)| probe.quantile_ns(quantile));
        let idle = probes[0].quantile_ns(0.5).max(1);
        table.line([
            probe.name.to_owned(),
            probe.times_ns.len().to_string(),
            ui::time(median),
            ui::time(p90),
            ui::time(p99),
            format!("{:.1}", median as f64 / idle as f64),
        ]);
    }
    format!(
        "\nsingle {} reads; but for the idle disk, behind a bulk of {} requests, {} deep, low priority, \
         {bulk_mb_per_s:.0} MB/s\n{}",
        ui::bytes(PROBE_BYTES.into()),
        ui::bytes(u64::from(arguments.bulk_kib) << 10),
        arguments.bulk_depth,
        table.text()
    )
}

/// Flat, units last.
fn numbers(probes: &[&Probe], bulk_mb_per_s: f64) -> Value {
    let mut numbers = Map::new();
    numbers.insert("bulk_mb_s".into(), bulk_mb_per_s.into());
    for probe in probes {
        let name = probe.name.split([' ', ',']).next().unwrap_or(probe.name);
        numbers.insert(format!("{name}_reads"), probe.times_ns.len().into());
        for (which, quantile) in QUANTILES {
            let ns = probe.quantile_ns(quantile);
            numbers.insert(format!("{name}_{which}_ns"), ns.into());
        }
    }
    let mut ratio = |name: &str, probe: &Probe, to: &Probe| {
        let value = probe.quantile_ns(0.5) as f64 / to.quantile_ns(0.5).max(1) as f64;
        numbers.insert(format!("{name}_ratio"), value.into());
    };
    ratio("high_to_idle_median", probes[2], probes[0]);
    ratio("realtime_to_idle_median", probes[3], probes[0]);
    ratio("high_to_low_median", probes[2], probes[1]);
    Value::Object(numbers)
}
