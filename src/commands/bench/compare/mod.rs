//! `ds bench --compare`: fio and the engine's backends over the same random reads, side by side.
//!
//! What is compared: one file, one size of request, one depth, one number of threads that read (but for the
//! `cpu` backend, whose depth is its threads: without `--threads` it has as many as the engine chooses), and
//! destinations of as many bytes as are in flight, used again and again. All sides take turns, round by
//! round, each round beginning with another one; what is reported are medians, and of ratios the median of
//! the ratios within a round. Starting a process, laying out the file and a ramp are not in any figure.
//!
//! Warm means that every page is in the page cache, which is checked. Cold means that none is when a round
//! begins; fio then reads with O_DIRECT, and the engine as [`cold_mode`] says.

pub(super) mod alone;
mod fio;
pub(super) mod load;
mod report;
pub(super) mod subject;
mod syscalls;

use std::time::Duration;

use ds_core::{Backend, Priority};
use ds_tool::{Error, Result};

use super::{Arguments, FileMode, WHAT};
use crate::ui::{self, Progress};
use fio::{Job, Until};
use load::{Load, Order, Setup, Shape};
use subject::Subject;

/// What is measured in all if nobody says how long, in seconds.
const SECONDS: f64 = 60.0;
/// The shortest round that means something, in seconds.
const ROUND_SECONDS_MIN: f64 = 0.05;
/// Work that is not measured, before each round of the engine; fio has as much.
const RAMP: Duration = Duration::from_millis(100);
/// Bytes in flight, at most.
const WINDOW_BYTES_MAX: u64 = 4 << 30;

/// Where the bytes are when a round begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Temperature {
    /// In the page cache.
    Warm,
    /// On the disk.
    Cold,
}

/// One line of the comparison: a kind of read.
#[derive(Clone, Copy, Debug)]
struct Case {
    temperature: Temperature,
    shape: Shape,
}

impl Case {
    /// Its name in the numbers: `warm_4k`, `cold_1m`.
    fn name(self) -> String {
        let temperature = match self.temperature {
            Temperature::Warm => "warm",
            Temperature::Cold => "cold",
        };
        match self.shape.request_bytes >> 10 {
            kib if kib % 1024 == 0 => format!("{temperature}_{}m", kib / 1024),
            kib => format!("{temperature}_{kib}k"),
        }
    }
}

/// What one side did in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    requests: f64,
    seconds: f64,
    /// Of all threads, those of the kernel that work for them included.
    cpu_seconds: f64,
}

impl Round {
    /// The rate in 10^6 bytes a second, for requests of this shape.
    pub(super) fn mb_per_s(self, shape: Shape) -> f64 {
        self.requests * f64::from(shape.request_bytes) / self.seconds / 1e6
    }
}

/// Who is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// With the descriptor registered.
    Fio,
    /// With the destinations registered, too.
    FioFixed,
    /// The engine with one of its backends.
    Engine(Backend),
}

impl Who {
    const ALL: [Who; 4] = [
        Who::Fio,
        Who::FioFixed,
        Who::Engine(Backend::IoUring),
        Who::Engine(Backend::Cpu),
    ];

    /// For people.
    fn title(self) -> &'static str {
        match self {
            Who::Fio => "fio io_uring",
            Who::FioFixed => "fio, fixed buffers",
            Who::Engine(Backend::IoUring) => "ds io_uring",
            Who::Engine(_) => "ds cpu",
        }
    }

    /// In the numbers.
    fn name(self) -> &'static str {
        match self {
            Who::Fio => "fio",
            Who::FioFixed => "fio_fixed",
            Who::Engine(backend) => backend.name(),
        }
    }
}

/// One side of one case.
struct Side<'a> {
    who: Who,
    threads: u32,
    rounds: Vec<Round>,
    syscalls: std::result::Result<f64, String>,
    /// Why it takes no part any more.
    gone: Option<String>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Fio(Job<'a>),
    Engine(Setup, Load),
}

/// Everything that the cases share.
struct Comparison {
    subject: Subject,
    /// Of each side: the threads that read; 0 is what the engine chooses.
    sides: Vec<(Who, u32)>,
    /// How the engine reads, if the user said so.
    mode: Option<FileMode>,
    rounds: u32,
    round_seconds: f64,
}

/// Compares and reports.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut cases = cases(arguments)?;
    let subject = Subject::open(arguments.load.file.as_deref(), arguments.dir.as_deref())?;
    for case in &cases {
        if subject.span_bytes() < u64::from(case.shape.request_bytes) {
            let size = ui::bytes(case.shape.request_bytes.into());
            let why = format!("smaller than one request of {size}");
            return Err(
                Error::new(WHAT, subject.path(), why).cure("choose a smaller --request-kib")
            );
        }
    }
    ui::print(&format!("{}\n{}\n", subject.describe(), subject::machine()))?;
    leave_out_cold(&subject, &mut cases)?;
    let comparison = Comparison::new(arguments, subject, cases.len())?;
    ui::print(&comparison.describe())?;
    let mut numbers = report::Numbers::default();
    let progress = Progress::new(cases.len() as u64 * u64::from(comparison.rounds));
    for case in cases {
        let sides = comparison.measure(case, &progress)?;
        ui::print(&report::table(case, &sides))?;
        numbers.add(case, &sides);
    }
    drop(progress);
    if arguments.load.json {
        ui::print(&format!("{}\n", numbers.json()))?;
    }
    Ok(())
}

/// The table, or what the user asked for instead.
fn cases(arguments: &Arguments) -> Result<Vec<Case>> {
    let load = &arguments.load;
    // Deep enough for a fast disk; a mebibyte is a request of its own to most disks already.
    let shapes: Vec<Shape> = match load.request_kib {
        None => [(4, 64), (64, 64), (1024, 16)].to_vec(),
        Some(kib) => vec![(kib, if kib >= 1024 { 16 } else { 64 })],
    }
    .into_iter()
    .map(|(kib, depth)| Shape {
        request_bytes: kib << 10,
        depth: load.depth.unwrap_or(depth),
    })
    .collect();
    let window_bytes = |shape: &Shape| u64::from(shape.request_bytes) * u64::from(shape.depth);
    if let Some(bytes) = shapes
        .iter()
        .map(window_bytes)
        .find(|&bytes| bytes > WINDOW_BYTES_MAX)
    {
        let why = format!("{} would be in flight at once", ui::bytes(bytes));
        return Err(Error::plain(WHAT, why)
            .cure("choose less of --depth times --request-kib, at most 4 GiB"));
    }
    let temperatures = match (arguments.warm, arguments.cold) {
        (true, _) => vec![Temperature::Warm],
        (_, true) => vec![Temperature::Cold],
        _ => vec![Temperature::Warm, Temperature::Cold],
    };
    let cases = temperatures
        .into_iter()
        .flat_map(|temperature| shapes.iter().map(move |&shape| Case { temperature, shape }));
    Ok(cases.collect())
}

/// Where the page cache cannot be emptied (tmpfs, some network file systems), nothing is cold.
fn leave_out_cold(subject: &Subject, cases: &mut Vec<Case>) -> Result<()> {
    let any_cold = cases
        .iter()
        .any(|case| case.temperature == Temperature::Cold);
    if any_cold && !subject.can_be_cold()? {
        cases.retain(|case| case.temperature == Temperature::Warm);
        ui::print(&format!("SKIPPED: cold reads: {}\n", subject::NEVER_COLD))?;
    }
    Ok(())
}

/// How the engine reads cold files if the user does not say: as fio does, past the page cache. An engine that
/// has no such option reads through the page cache, which is emptied before each round either way.
fn cold_mode() -> Option<FileMode> {
    let there = ds_core::OPTIONS
        .iter()
        .any(|option| option.key == "file_mode");
    there.then_some(FileMode::Direct)
}

impl Comparison {
    fn new(arguments: &Arguments, subject: Subject, cases: usize) -> Result<Comparison> {
        let asked = arguments.load.threads;
        let mut sides = Vec::new();
        let fio = fio::version().and_then(|version| match Backend::IoUring.unavailable() {
            None => Ok(version),
            Some(why) => Err(format!("its io_uring cannot be used here: {why}")),
        });
        match &fio {
            Ok(version) => ui::print(&format!("{version}\n"))?,
            Err(why) => ui::print(&format!("SKIPPED: comparison with fio: {why}\n"))?,
        }
        for who in Who::ALL {
            match who {
                Who::Fio | Who::FioFixed if fio.is_err() => {}
                Who::Fio | Who::FioFixed => sides.push((who, asked.max(1))),
                Who::Engine(backend) => {
                    // One ring is to be compared with one of fio's.
                    let one = u32::from(backend == Backend::IoUring);
                    let setup = Setup {
                        backend,
                        threads: asked.max(one),
                        mode: arguments.load.mode,
                    };
                    match load::runtime(setup) {
                        Ok(_) => sides.push((who, setup.threads)),
                        Err(why) => ui::print(&format!("SKIPPED: {}: {why}\n", who.title()))?,
                    }
                }
            }
        }
        let turns = (cases * sides.len()).max(1) as f64 * f64::from(arguments.rounds);
        let round_seconds = arguments.seconds.unwrap_or(SECONDS) / turns;
        Ok(Comparison {
            subject,
            sides,
            mode: arguments.load.mode,
            rounds: arguments.rounds,
            round_seconds: round_seconds.max(ROUND_SECONDS_MIN),
        })
    }

    /// How the engine is to be set up.
    fn setup(&self, temperature: Temperature, backend: Backend, threads: u32) -> Setup {
        let usual = match temperature {
            Temperature::Warm => None,
            Temperature::Cold => cold_mode(),
        };
        Setup {
            backend,
            threads,
            mode: self.mode.or(usual),
        }
    }

    fn describe(&self) -> String {
        let name = |temperature| {
            let mode = self.setup(temperature, Backend::Auto, 0).mode;
            mode.map_or("as it chooses", FileMode::name)
        };
        format!(
            "{} of {:.2} s for each side; medians. fio reads warm files buffered and cold ones direct, \
             the engine {} and {}\n\
             CPU: user and system time of all threads, the application's and the kernel's workers too; \
             fio's as it says itself, without such workers (tmpfs and others that cannot read at once need \
             them)\n",
            ui::count(self.rounds.into(), "round"),
            self.round_seconds,
            name(Temperature::Warm),
            name(Temperature::Cold),
        )
    }

    /// All rounds of one case.
    fn measure(&self, case: Case, progress: &Progress) -> Result<Vec<Side<'_>>> {
        let order = Order::new(self.subject.span_bytes(), case.shape.request_bytes);
        let mut sides = Vec::with_capacity(self.sides.len());
        for &(who, threads) in &self.sides {
            sides.push(self.side(case, who, threads)?);
        }
        for round in 0..self.rounds as usize {
            for turn in 0..sides.len() {
                let turn = (round + turn) % self.sides.len();
                if sides[turn].gone.is_none() {
                    self.prepare(case)?;
                    self.turn(&mut sides[turn], case, &order, round)?;
                }
            }
            progress.add(1)?;
        }
        for side in sides.iter_mut().filter(|side| side.gone.is_none()) {
            side.syscalls = self.count_syscalls(side, case);
        }
        Ok(sides)
    }

    fn side(&self, case: Case, who: Who, threads: u32) -> Result<Side<'_>> {
        let (kind, threads) = match who {
            Who::Engine(backend) => {
                let setup = self.setup(case.temperature, backend, threads);
                let runtime = load::runtime(setup)?;
                let path = self.subject.path();
                let load = Load::new(&runtime, path, case.shape, Priority::Normal)?;
                let threads = runtime.io_thread_count() as u32;
                (Kind::Engine(setup, load), threads)
            }
            Who::Fio | Who::FioFixed => {
                let job = Job {
                    subject: &self.subject,
                    shape: case.shape,
                    temperature: case.temperature,
                    threads,
                    fixed_buffers: who == Who::FioFixed,
                };
                (Kind::Fio(job), threads)
            }
        };
        Ok(Side {
            who,
            threads,
            rounds: Vec::new(),
            syscalls: Err("not counted".into()),
            gone: None,
            kind,
        })
    }

    /// Makes the page cache what the case wants.
    fn prepare(&self, case: Case) -> Result<()> {
        match case.temperature {
            Temperature::Warm => self.subject.warm(),
            Temperature::Cold => self.subject.evict(),
        }
    }

    /// One side's part of a round. fio may not be able to read this file in this way (O_DIRECT where there is
    /// none); the engine always is.
    fn turn(&self, side: &mut Side, case: Case, order: &Order, round: usize) -> Result<()> {
        let limit = Duration::from_secs_f64(self.round_seconds);
        let done = match (&mut side.kind, case.temperature) {
            (Kind::Fio(job), _) => match job.run(Until::Milliseconds(limit.as_millis() as u64)) {
                Ok(done) => done,
                Err(why) => {
                    side.gone = Some(why);
                    return Ok(());
                }
            },
            (Kind::Engine(_, load), Temperature::Warm) => {
                load.run(order.endless(), RAMP)?;
                load.run(order.endless(), limit)?
            }
            (Kind::Engine(_, load), Temperature::Cold) => {
                // What was read is in the page cache, so nothing is read twice in a round.
                let first = order.len() / self.rounds as usize * round;
                let mut offsets = order.once(first);
                load.run(offsets.by_ref().take(order.len() / 4), RAMP)?;
                load.run(offsets, limit)?
            }
        };
        side.rounds.push(done);
        Ok(())
    }

    /// System calls for each request, in runs of their own: two lengths of the same work, and the
    /// difference, so that starting and ending are not in it.
    fn count_syscalls(&self, side: &Side, case: Case) -> std::result::Result<f64, String> {
        const BYTES: u64 = 64 << 20;
        let (shape, threads) = (case.shape, u64::from(side.threads));
        let few = 4 * u64::from(shape.depth);
        let more = (BYTES / u64::from(shape.request_bytes)).max(few);
        let count = |requests: u64| {
            let prepared = self.prepare(case).map_err(|error| error.to_string());
            prepared.and_then(|()| match &side.kind {
                Kind::Fio(job) => {
                    let each = Until::Requests(requests.div_ceil(threads));
                    syscalls::count(&job.command(each))
                }
                Kind::Engine(setup, _) => {
                    let how = (requests, case.temperature == Temperature::Cold);
                    let command = alone::command(&self.subject, *setup, shape, how);
                    syscalls::count(&command.map_err(|error| error.to_string())?)
                }
            })
        };
        let (short, long) = (count(few)?, count(few + more)?);
        Ok(long.saturating_sub(short) as f64 / more as f64)
    }
}
