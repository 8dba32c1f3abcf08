//! The comparison: alternating rounds, medians, latencies, and the cost of an enqueue.

use std::time::{Duration, Instant};

use ds_core::{Histogram, Queue, Request};
use ds_tool::stream::StreamError;
use ds_tool::{Error, Result};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::baseline::Baseline;
use super::source::Source;
use super::{Arguments, Codec, Engine, WHAT};
use crate::ui::{self, Progress, Table};

/// Enqueues to time: enough for a stable 99th percentile.
const ENQUEUES_MAX: u64 = 50_000;

/// One side's round.
#[derive(Clone, Copy)]
struct Round {
    seconds: f64,
    cpu_seconds: f64,
}

/// One side's medians.
struct Side {
    gb_per_s: f64,
    requests_per_s: f64,
    cpu_s_per_gib: f64,
}

/// Measures and reports.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let load = &arguments.load;
    let source = load.source()?;
    let mut engine = load.engine()?;
    ui::print(&load.describe(&engine, &source))?;
    let mut baseline = match load.codec {
        Codec::None => Baseline::pread(&source, engine.threads, load.window_bytes())?,
        Codec::Gdeflate => {
            let threads = engine.runtime.config().decode_thread_count();
            Baseline::decode(&source, threads, load.window_bytes())?
        }
    };
    let count = requests_in_round(arguments, &mut engine, &source)?;
    baseline.run(&source, 0, count.min(source.len()))?;

    let before = engine.stream.stats().latency;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let progress = Progress::new(u64::from(arguments.rounds));
    for round in 0..u64::from(arguments.rounds) {
        // Each round goes on where the last one ended, both sides over the same requests.
        let first = round * count;
        prepare(arguments, &source)?;
        ours.push(timed(|| engine.stream(&source, first, count))?);
        prepare(arguments, &source)?;
        theirs.push(timed(|| baseline.run(&source, first, count))?);
        progress.add(1)?;
    }
    drop(progress);
    let latency = difference(&engine.stream.stats().latency, &before);
    let enqueue = time_enqueues(&mut engine, &source)?;
    let report = Report {
        count,
        ratio: median(
            ours.iter()
                .zip(&theirs)
                .map(|(ours, theirs)| theirs.seconds / ours.seconds),
        ),
        ours: side(&ours, &source, count),
        theirs: side(&theirs, &source, count),
        latency,
        enqueue,
    };
    ui::print(&report.text(&baseline))?;
    if load.json {
        ui::print(&format!("{}\n", report.json(arguments, &engine, &baseline)))?;
    }
    Ok(())
}

/// Cold rounds begin with nothing of the file in memory.
fn prepare(arguments: &Arguments, source: &Source) -> Result<()> {
    if arguments.cold {
        source.evict()
    } else {
        Ok(())
    }
}

/// As many as take a round's share of the time; also warms everything up.
fn requests_in_round(arguments: &Arguments, engine: &mut Engine, source: &Source) -> Result<u64> {
    let once = source.len();
    prepare(arguments, source)?;
    engine.stream(source, 0, once)?;
    prepare(arguments, source)?;
    let round = timed(|| engine.stream(source, 0, once))?;
    let wanted = match arguments.count {
        Some(count) => count,
        None => {
            let share = arguments.seconds.unwrap_or(4.0) / f64::from(2 * arguments.rounds);
            ((once as f64 * share / round.seconds.max(1e-9)) as u64)
                .max(arguments.load.depth().into())
        }
    };
    // A cold round must not meet its own pages again.
    Ok(if arguments.cold {
        wanted.min(once)
    } else {
        wanted
    })
}

pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Round> {
    let (cpu, started) = (cpu_time(), Instant::now());
    work()?;
    Ok(Round {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: (cpu_time() - cpu).as_secs_f64(),
    })
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn side(rounds: &[Round], source: &Source, count: u64) -> Side {
    let bytes = count as f64 * f64::from(source.place(0).bytes);
    let seconds = median(rounds.iter().map(|round| round.seconds));
    let cpu_seconds = median(rounds.iter().map(|round| round.cpu_seconds));
    Side {
        gb_per_s: bytes / seconds / 1e9,
        requests_per_s: count as f64 / seconds,
        cpu_s_per_gib: cpu_seconds / (bytes / f64::from(1 << 30)),
    }
}

fn difference(after: &Histogram, before: &Histogram) -> Histogram {
    let mut difference = *after;
    for (bucket, before) in difference.buckets.iter_mut().zip(before.buckets) {
        *bucket -= before;
    }
    difference
}

/// Times of single enqueue calls, the clock's own time taken off.
#[derive(Clone, Copy)]
struct Enqueue {
    median_ns: u64,
    p99_ns: u64,
    clock_ns: u64,
    count: usize,
}

/// A round of its own: two looks at the clock for each request would disturb the others.
fn time_enqueues(engine: &mut Engine, source: &Source) -> Result<Enqueue> {
    let clock_ns = clock_overhead_ns();
    let count = source.len().clamp(ENQUEUES_MAX / 10, ENQUEUES_MAX);
    let mut pieces = (0..count).map(|number| source.piece(number));
    let mut times: Vec<u64> = Vec::with_capacity(count as usize);
    let mut enqueue = |queue: &Queue, request: Request| {
        let started = Instant::now();
        queue.enqueue_request(request);
        times.push(started.elapsed().as_nanos() as u64);
    };
    let failed = |error: StreamError| Error::plain(WHAT, error.error);
    engine.stream.start_with(&mut pieces, &mut enqueue);
    while let Some(batch) = engine.stream.wait() {
        engine.stream.recycle(batch.map_err(failed)?);
        engine.stream.start_with(&mut pieces, &mut enqueue);
    }
    times.sort_unstable();
    let at = |quantile: f64| {
        let index = (times.len() as f64 * quantile) as usize;
        times[index.min(times.len() - 1)].saturating_sub(clock_ns)
    };
    Ok(Enqueue {
        median_ns: at(0.5),
        p99_ns: at(0.99),
        clock_ns,
        count: times.len(),
    })
}

/// What two looks at the clock with nothing in between cost.
fn clock_overhead_ns() -> u64 {
    let mut times: Vec<u64> = (0..10_001)
        .map(|_| {
            let started = Instant::now();
            started.elapsed().as_nanos() as u64
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

struct Report {
    count: u64,
    ratio: f64,
    ours: Side,
    theirs: Side,
    latency: Histogram,
    enqueue: Enqueue,
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

impl Report {
    fn text(&self, baseline: &Baseline) -> String {
        let mut table = Table::new(&[]);
        table.line(["", "engine", baseline.name(), "engine / loop"]);
        let rows: [(&str, f64, f64, usize, f64); 3] = [
            (
                "GB/s",
                self.ours.gb_per_s,
                self.theirs.gb_per_s,
                3,
                self.ratio,
            ),
            (
                "requests/s",
                self.ours.requests_per_s,
                self.theirs.requests_per_s,
                0,
                self.ratio,
            ),
            (
                "CPU s/GiB",
                self.ours.cpu_s_per_gib,
                self.theirs.cpu_s_per_gib,
                4,
                self.ours.cpu_s_per_gib / self.theirs.cpu_s_per_gib,
            ),
        ];
        for (name, ours, theirs, digits, ratio) in rows {
            table.line([
                name.to_owned(),
                format!("{ours:.digits$}"),
                format!("{theirs:.digits$}"),
                format!("{ratio:.3}"),
            ]);
        }
        let latencies: Vec<String> = QUANTILES
            .iter()
            .map(|&(name, quantile)| {
                format!("{name} {}", ui::time(self.latency.quantile_ns(quantile)))
            })
            .collect();
        format!(
            "\n{}\nlatency  {} (upper bounds, submit to completion)\n\
             enqueue  median {}, p99 {} of {} calls ({} of the clock's own taken off)\n\
             medians of rounds of {}; the loop has {}\n",
            table.text(),
            latencies.join(", "),
            ui::time(self.enqueue.median_ns),
            ui::time(self.enqueue.p99_ns),
            self.enqueue.count,
            ui::time(self.enqueue.clock_ns),
            ui::count(self.count, "request"),
            ui::count(baseline.threads() as u64, "thread"),
        )
    }

    /// Flat, and numbers only: a line for `bench/history.ndjson`. What was measured in words is above it.
    fn json(
        &self,
        arguments: &Arguments,
        engine: &Engine,
        baseline: &Baseline,
    ) -> serde_json::Value {
        let load = &arguments.load;
        let mut line = json!({
            "request_bytes": load.request_bytes(),
            "depth": load.depth(),
            "batch": load.batch,
            "cold": u32::from(arguments.cold),
            "io_threads": engine.threads,
            "decode_threads": engine.runtime.config().decode_thread_count(),
            "rounds": arguments.rounds,
            "requests_per_round": self.count,
            "engine_mb_s": self.ours.gb_per_s * 1e3,
            "engine_iops": self.ours.requests_per_s,
            "engine_cpu_s_per_gib": self.ours.cpu_s_per_gib,
            "baseline_threads": baseline.threads(),
            "baseline_mb_s": self.theirs.gb_per_s * 1e3,
            "baseline_iops": self.theirs.requests_per_s,
            "baseline_cpu_s_per_gib": self.theirs.cpu_s_per_gib,
            "engine_to_baseline_ratio": self.ratio,
            "enqueue_median_ns": self.enqueue.median_ns,
            "enqueue_p99_ns": self.enqueue.p99_ns,
            "enqueue_calls": self.enqueue.count,
            "enqueue_clock_ns": self.enqueue.clock_ns,
        });
        for (name, quantile) in QUANTILES {
            let at_most_ns = self.latency.quantile_ns(quantile);
            line[format!("latency_{name}_ns")] = at_most_ns.into();
        }
        line
    }
}
