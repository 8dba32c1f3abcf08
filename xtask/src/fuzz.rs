//! `cargo xtask fuzz [target] [--seconds N] [--libfuzzer] [--seed N] [--self-check]`
//!
//! Runs the targets of `fuzz/` for N seconds each (10 unless told otherwise), with the stable engine or,
//! with `--libfuzzer`, with libFuzzer under AddressSanitizer on nightly. An input that breaks a target is
//! kept under `fuzz/artifacts/<target>/`; once fixed, it belongs in `fuzz/corpus/<target>/`.
//!
//! libFuzzer is driven without cargo-fuzz: what that tool adds for us is one set of compiler flags, below.
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The target that is broken on purpose; see `fuzz/src/targets/planted.rs`.
const PLANTED: &str = "planted";

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What libFuzzer needs of the compiler: coverage counters at every edge with a table of their addresses,
/// comparisons reported so that it can solve for constants, and AddressSanitizer. `--cfg fuzzing` is the
/// convention by which code may know.
const COVERAGE_FLAGS: &[&str] = &[
    "-Zsanitizer=address",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "--cfg",
    "fuzzing",
];

struct Options {
    target: Option<String>,
    seconds: u64,
    seed: u64,
    libfuzzer: bool,
    self_check: bool,
}

/// Fuzzes one target or all.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let options = parse(arguments)?;
    if options.libfuzzer && !sh::have_nightly() {
        report.skip("fuzz: libFuzzer", "there is no nightly toolchain");
        return Ok(());
    }
    let program = if options.libfuzzer {
        build_libfuzzer()?
    } else {
        build_smoke()?
    };
    if options.self_check {
        self_check(&program, &options, report);
        return Ok(());
    }
    let mut targets = listed_targets()?;
    match &options.target {
        Some(name) => targets.retain(|target| target.name == *name),
        None => targets.retain(|target| target.name != PLANTED),
    }
    if let (true, Some(name)) = (targets.is_empty(), &options.target) {
        return Err(format!("fuzz/src/lib.rs lists no target `{name}`"));
    }
    if targets.is_empty() {
        report.skip("fuzz: targets", "fuzz/src/lib.rs lists none yet");
    }
    for target in targets {
        report.check(
            &format!("fuzz: {}", target.name),
            fuzz(&program, &target, &options),
        );
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    // A seed of the day explores more over time than a fixed one; it is printed, so a failure can be
    // replayed.
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |d| d.as_secs());
    let mut options = Options {
        target: None,
        seconds: 10,
        seed,
        libfuzzer: false,
        self_check: false,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || {
            rest.next()
                .and_then(|v| v.parse::<u64>().ok())
                .ok_or(format!("{argument} needs a number"))
        };
        match argument.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--libfuzzer" => options.libfuzzer = true,
            "--self-check" => options.self_check = true,
            name if !name.starts_with('-') && options.target.is_none() => {
                options.target = Some(name.into())
            }
            other => return Err(format!("fuzz knows no `{other}`")),
        }
    }
    Ok(options)
}

fn manifest() -> PathBuf {
    paths::root().join("fuzz/Cargo.toml")
}

/// The smoke engine shares the build tree: its dependencies are the same, only its workspace is not.
fn build_smoke() -> Result<PathBuf, String> {
    let build = Cmd::cargo().args([
        "build",
        "--quiet",
        "--bin",
        "ds-fuzz-smoke",
        "--manifest-path",
    ]);
    build
        .arg(manifest())
        .env("CARGO_TARGET_DIR", paths::target())
        .run()?;
    Ok(paths::target().join("debug/ds-fuzz-smoke"))
}

/// With `--target` the flags reach our code and its dependencies, but not build scripts, which must run here.
fn build_libfuzzer() -> Result<PathBuf, String> {
    let tree = paths::target().join("fuzz");
    let build = Cmd::cargo_nightly().args([
        "build",
        "--quiet",
        "--bin",
        "ds-fuzz-libfuzzer",
        "--features",
    ]);
    let build = build
        .args(["libfuzzer", "--target", TRIPLE, "--manifest-path"])
        .arg(manifest());
    build
        .env("CARGO_TARGET_DIR", &tree)
        .env("RUSTFLAGS", COVERAGE_FLAGS.join(" "))
        .run()?;
    Ok(tree.join(TRIPLE).join("debug/ds-fuzz-libfuzzer"))
}

/// A target as the table in `fuzz/src/lib.rs` has it.
struct Target {
    name: String,
    /// Directories of inputs, relative to the repository root.
    seeds: Vec<String>,
}

/// That table is the only list, so the program that holds it is asked.
fn listed_targets() -> Result<Vec<Target>, String> {
    let list = Cmd::new(build_smoke()?).arg("--list").quiet().limit_s(60);
    Ok(list
        .capture()
        .text_or_shown()?
        .lines()
        .filter_map(read_target)
        .collect())
}

/// The name and the directories, between tabs.
fn read_target(line: &str) -> Option<Target> {
    let mut words = line.split('\t').map(String::from);
    Some(Target {
        name: words.next().filter(|name| !name.is_empty())?,
        seeds: words.collect(),
    })
}

fn fuzz(program: &Path, target: &Target, options: &Options) -> Result<(), String> {
    let artifacts = paths::root().join("fuzz/artifacts").join(&target.name);
    std::fs::create_dir_all(&artifacts)
        .map_err(|e| format!("cannot make {}: {e}", artifacts.display()))?;
    match options.libfuzzer {
        true => fuzz_libfuzzer(program, target, &artifacts, options),
        false => fuzz_smoke(program, target, &artifacts, options),
    }
}

fn fuzz_smoke(
    program: &Path,
    target: &Target,
    artifacts: &Path,
    options: &Options,
) -> Result<(), String> {
    let current = paths::scratch("fuzz")?.join(format!("{}-{}", target.name, std::process::id()));
    let command = Cmd::new(program)
        .arg(&target.name)
        .arg("--root")
        .arg(paths::root())
        .arg("--current")
        .arg(&current);
    let command = command.args([
        "--seconds",
        &options.seconds.to_string(),
        "--seed",
        &options.seed.to_string(),
    ]);
    let ended = command.limit_s(options.seconds + 120).capture();
    if ended.code == Some(0) {
        ended.show_tail(1);
        return Ok(());
    }
    ended.show_tail(if target.name == PLANTED { 3 } else { 40 });
    let kept = keep(&current, artifacts).unwrap_or_else(|why| why);
    Err(format!("{}; seed {}; {kept}", ended.why, options.seed))
}

/// Moves the input that was being tried to the artifacts, named by its content so that doubles fall together.
fn keep(current: &Path, artifacts: &Path) -> Result<String, String> {
    let data = std::fs::read(current).map_err(|e| format!("the input is lost: {e}"))?;
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let kept = artifacts.join(format!("crash-{:016x}", hasher.finish()));
    std::fs::write(&kept, &data).map_err(|e| format!("the input is lost: {e}"))?;
    let _ = std::fs::remove_file(current);
    let shown = kept
        .strip_prefix(paths::root())
        .unwrap_or(&kept)
        .display()
        .to_string();
    Ok(format!("input kept in {shown}"))
}

fn fuzz_libfuzzer(
    program: &Path,
    target: &Target,
    artifacts: &Path,
    options: &Options,
) -> Result<(), String> {
    // The first directory is where libFuzzer adds what it finds: the build tree, not the committed corpus.
    let grown = paths::scratch("fuzz")?.join(format!("{}.corpus", target.name));
    std::fs::create_dir_all(&grown).map_err(|e| format!("cannot make {}: {e}", grown.display()))?;
    let mut command = Cmd::new(program)
        .env("DS_FUZZ_TARGET", &target.name)
        .arg(&grown);
    let seeds = target
        .seeds
        .iter()
        .map(|directory| paths::root().join(directory));
    command = command.args(seeds.filter(|directory| directory.is_dir()));
    let prefix = format!("-artifact_prefix={}/", artifacts.display());
    let time = format!("-max_total_time={}", options.seconds);
    command = command.args([
        prefix.as_str(),
        &time,
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]);
    command = command.arg(format!("-seed={}", options.seed as u32));
    let ended = command.limit_s(options.seconds + 300).capture();
    let brief = ended.code == Some(0) || target.name == PLANTED;
    ended.show_tail(if brief { 7 } else { 60 });
    ended.ok()
}

/// The engine must find the planted fault and leave the input; otherwise its silence means nothing.
fn self_check(program: &Path, options: &Options, report: &mut Report) {
    let name = format!("fuzz: {} finds the planted fault", engine_name(options));
    let artifacts = paths::root().join("fuzz/artifacts").join(PLANTED);
    let _ = std::fs::remove_dir_all(&artifacts);
    let planted = Target {
        name: PLANTED.into(),
        seeds: Vec::new(),
    };
    let found = fuzz(program, &planted, options);
    let kept = std::fs::read_dir(&artifacts).is_ok_and(|mut entries| entries.next().is_some());
    let result = match (found, kept) {
        (Err(why), true) => {
            println!("  found as it should be: {why}");
            Ok(())
        }
        (Err(why), false) => Err(format!("found, but the input is not kept: {why}")),
        (Ok(()), _) => Err("it ran to the end without finding it".into()),
    };
    let _ = std::fs::remove_dir_all(&artifacts);
    report.check(&name, result);
}

fn engine_name(options: &Options) -> &'static str {
    if options.libfuzzer {
        "libFuzzer"
    } else {
        "the smoke engine"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn options_are_read() {
        let options = parse(&words("tile --seconds 3 --seed 9 --libfuzzer")).unwrap();
        assert_eq!(
            (options.target.as_deref(), options.seconds, options.seed),
            (Some("tile"), 3, 9)
        );
        assert!(options.libfuzzer && !options.self_check);
    }

    #[test]
    fn bad_options_are_errors() {
        for text in ["--seconds", "--seconds x", "--frob", "a b"] {
            assert!(parse(&words(text)).is_err(), "{text}");
        }
    }
}
