//! The stable engine: mutates inputs blindly for a while. It knows no coverage, needs no nightly, and finds
//! in seconds what a careless change broke.
//!
//!     ds-fuzz-smoke <target> --root DIR --current FILE [--seconds N] [--seed N] [--case N]
//!
//! Every input is written to FILE before it is tried, so whatever ends this process (a panic, a bad access,
//! the watchdog, `kill`) leaves the culprit behind. The run is a function of the seed and the corpus alone.

#![forbid(unsafe_code)]

use ds_fuzz::mutate::{self, Random};
use ds_fuzz::{TARGETS, Target};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One input may take this long; no bounded work on an input this small takes a hundredth of it.
const CASE_LIMIT: Duration = Duration::from_secs(20);

struct Options {
    target: &'static Target,
    root: PathBuf,
    current: PathBuf,
    time: Duration,
    seed: u64,
    /// Try this case alone: the replay of a failure.
    case: Option<u64>,
}

fn main() -> ExitCode {
    match parse().and_then(|options| fuzz(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ds-fuzz-smoke: {message}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> Result<Options, String> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("which target?")?;
    if name == "--list" {
        list();
        std::process::exit(0);
    }
    let target = ds_fuzz::find(&name).ok_or_else(|| format!("no target `{name}`"))?;
    let mut options = Options {
        target,
        root: PathBuf::from("."),
        current: PathBuf::from("current-input"),
        time: Duration::from_secs(10),
        seed: 1,
        case: None,
    };
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{option} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{option} needs a number, not `{value}`"))
        };
        match option.as_str() {
            "--root" => options.root = PathBuf::from(value),
            "--current" => options.current = PathBuf::from(value),
            "--seconds" => options.time = Duration::from_secs(number()?),
            "--seed" => options.seed = number()?,
            "--case" => options.case = Some(number()?),
            _ => return Err(format!("no option {option}")),
        }
    }
    Ok(options)
}

/// One target a line: the name and every directory of inputs, between tabs, for whoever drives the engines.
fn list() {
    for target in TARGETS {
        let seeds: String = target
            .seeds
            .iter()
            .map(|seeds| format!("\t{seeds}"))
            .collect();
        println!("{}{seeds}\tfuzz/corpus/{}", target.name, target.name);
    }
}

fn fuzz(options: &Options) -> Result<(), String> {
    let corpus = corpus(options)?;
    let file = File::create(&options.current)
        .map_err(|e| format!("cannot create {}: {e}", options.current.display()))?;
    let progress = Arc::new(AtomicU64::new(0));
    watch(Arc::clone(&progress));
    println!(
        "{}: seed {}, corpus of {}",
        options.target.name,
        options.seed,
        corpus.len()
    );
    let attempt = |data: &[u8]| {
        remember(&file, data)?;
        progress.fetch_add(1, Ordering::Relaxed);
        (options.target.run)(data);
        Ok::<(), String>(())
    };
    if let Some(case) = options.case {
        return attempt(&mutate::input(
            &mut Random::for_case(options.seed, case),
            &corpus,
        ));
    }
    // The corpus itself first: every fault ever found is in it.
    for data in &corpus {
        attempt(data)?;
    }
    let started = Instant::now();
    let mut case = 0;
    while started.elapsed() < options.time {
        attempt(&mutate::input(
            &mut Random::for_case(options.seed, case),
            &corpus,
        ))?;
        case += 1;
    }
    drop(fs::remove_file(&options.current));
    println!(
        "{}: {} inputs from the corpus, {case} made, no fault",
        options.target.name,
        corpus.len()
    );
    if case == 0 && !options.time.is_zero() {
        Err("not one case was tried".into())
    } else {
        Ok(())
    }
}

/// Every file of the target's corpus and seed directories, sorted by path.
fn corpus(options: &Options) -> Result<Vec<Vec<u8>>, String> {
    let own = format!("fuzz/corpus/{}", options.target.name);
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in options.target.seeds.iter().copied().chain([own.as_str()]) {
        files.extend(files_in(&options.root.join(directory)));
    }
    files.sort();
    files.dedup();
    let read =
        |path: &PathBuf| fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
    let corpus = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(corpus
        .into_iter()
        .filter(|data| data.len() <= mutate::INPUT_BYTES_MAX)
        .collect())
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect()
}

/// Leaves `data` in the file, whole. It goes to the page cache, which outlives this process.
fn remember(file: &File, data: &[u8]) -> Result<(), String> {
    let written = file
        .set_len(data.len() as u64)
        .and_then(|()| file.write_all_at(data, 0));
    written.map_err(|e| format!("cannot write the current input: {e}"))
}

/// Aborts when one input takes too long. A thread, since the target may never come back.
fn watch(progress: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        let mut last = (progress.load(Ordering::Relaxed), Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(250));
            let now = progress.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            } else if last.1.elapsed() > CASE_LIMIT {
                eprintln!(
                    "ds-fuzz-smoke: one input has taken {} s: a hang",
                    CASE_LIMIT.as_secs()
                );
                std::process::abort();
            }
        }
    });
}
