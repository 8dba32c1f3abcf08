//! Everything at once, for as long as one likes: `cargo xtask soak`; a few seconds as a plain test.
//!
//! Several runtimes, one for each way to read, each with queues of every priority; several threads that
//! throw random work at all of them: reads, tile streams, writes, copies, fences, events, cancels, queues
//! closed with work in flight, files opened and closed. Whatever ends well has the right bytes; whatever
//! does not has written nothing that is not the file's, and nothing outside of its memory; and at the end
//! the process holds what it held at the beginning.
//!
//! `DS_SOAK_SECONDS` and `DS_SEED` say how long and where the random numbers start. Threads race, so a seed
//! repeats the mix, not the run.

#[path = "../support/mod.rs"]
mod support;
mod work;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ds_core::{Backend, Config, FileMode, Runtime};

use support::contents::{Random, wait_until};
use support::kernel::keep_no_freed_memory;
use work::{Counts, Files, Worker};

const THREADS: u64 = 4;
/// Long enough for every kind of work to happen, short enough for everybody's `cargo test`.
const SECONDS_DEFAULT: u64 = 4;
/// From here on, memory is expected to be flat: caches are warm by then.
const SECONDS_FOR_MEMORY: u64 = 30;
/// How much memory may grow between the first third and the end.
const GROWTH_KIB_MAX: u64 = 24 << 10;

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One runtime for each backend, mode and kind of day.
fn runtimes(seed: u64) -> Vec<Runtime> {
    let mut runtimes = Vec::new();
    for backend in [Backend::Cpu, Backend::IoUring] {
        if let Some(why) = backend.unavailable() {
            println!("SKIPPED: {backend}: {why}");
            continue;
        }
        for mode in FileMode::ALL {
            for faults in [false, true] {
                let mut config = Config::default();
                config.backend = backend;
                config.file_mode = mode;
                config.io_faults = faults;
                config.sim.seed = seed + runtimes.len() as u64;
                config.sim.eio_per_mille = if mode == FileMode::Direct { 3 } else { 0 };
                config.io_threads = 2;
                config.decode_threads = 1;
                config.staging_bytes = 2 << 20;
                runtimes.push(Runtime::exactly(config).expect("threads"));
            }
        }
    }
    runtimes
}

/// What the process holds: memory in KiB, descriptors, threads.
#[derive(Clone, Copy, Debug)]
struct Held {
    memory_kib: u64,
    descriptors: usize,
    threads: u64,
}

impl Held {
    fn now() -> Held {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.expect("the kernel's own format")
        };
        let descriptors = std::fs::read_dir("/proc/self/fd").expect("/proc is mounted");
        Held {
            memory_kib: line("VmRSS:"),
            descriptors: descriptors.count(),
            threads: line("Threads:"),
        }
    }
}

#[test]
fn soak() {
    let seconds = number_from("DS_SOAK_SECONDS").unwrap_or(SECONDS_DEFAULT);
    let seed = number_from("DS_SEED").unwrap_or(1);
    println!("soak: {seconds} s, seed {seed}");
    keep_no_freed_memory();
    let files = Files::new();
    let before = Held::now();
    let total = Counts::default();
    let warm = run(&files, &total, seed, Duration::from_secs(seconds));
    // Threads that were joined may still be on their way out of the kernel's list, and so may rings.
    wait_until("what the runtimes held", || {
        let after = Held::now();
        after.threads <= before.threads && after.descriptors <= before.descriptors
    });
    let after = Held::now();
    println!("soak: before {before:?}, warm {warm:?}, after {after:?}");
    println!("soak: {}", total.summary(seconds));
    total.assert_all_happened();
}

/// Counts a thread that is done, well or by a panic.
struct Done<'a>(&'a AtomicU64);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Works for that long; answers what was held when a third of it was over.
fn run(files: &Files, total: &Counts, seed: u64, time: Duration) -> Held {
    let runtimes = runtimes(seed);
    let start = Instant::now();
    let threads_done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (runtimes, done) = (&runtimes, &threads_done);
            scope.spawn(move || {
                let _done = Done(done);
                let mut worker = Worker::new(files, runtimes, Random::new(seed ^ thread << 32));
                while start.elapsed() < time {
                    worker.round(total);
                }
            });
        }
        let warm = watch(start, time, total, &threads_done);
        for runtime in &runtimes {
            assert_eq!(
                runtime.staging_stats().bytes_in_use,
                0,
                "staging is all back"
            );
        }
        warm
    })
}

/// Says now and then how it goes, until the threads are done.
fn watch(start: Instant, time: Duration, total: &Counts, threads_done: &AtomicU64) -> Held {
    let (mut warm, mut said) = (None, 0);
    while threads_done.load(Ordering::SeqCst) < THREADS {
        std::thread::sleep(Duration::from_millis(100));
        let elapsed = start.elapsed();
        if elapsed > time / 3 && warm.is_none() {
            warm = Some(Held::now());
        }
        if elapsed.as_secs() / 15 > said {
            said = elapsed.as_secs() / 15;
            println!(
                "{:>5} s: {:?} {}",
                elapsed.as_secs(),
                Held::now(),
                total.summary(said * 15)
            );
        }
    }
    let end = Held::now();
    let warm = warm.unwrap_or(end);
    if time.as_secs() >= SECONDS_FOR_MEMORY {
        assert!(
            end.memory_kib < warm.memory_kib + GROWTH_KIB_MAX,
            "memory grows: {warm:?}, then {end:?}"
        );
    }
    warm
}
