//! `cargo xtask ci`: everything that must hold before a change is merged, in the order that fails soonest.
//!
//! Needs a Debian-like machine with a Rust toolchain, nothing else: `setup` brings or names the rest. One
//! build tree in the dev profile serves all steps but those whose flags forbid it. A step that fails does
//! not stop the next: whoever reads the log wants all the news.
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd};
use crate::{
    dist, fuzz, header, readme, sanitize, setup, shaders, soak, test_c, test_rust, tidy, wine,
};
use std::time::{Duration, Instant};

/// A step: its name, and what it does.
struct Step {
    name: &'static str,
    run: fn(&mut Report) -> Result<(), String>,
}

const fn step(name: &'static str, run: fn(&mut Report) -> Result<(), String>) -> Step {
    Step { name, run }
}

const STEPS: &[Step] = &[
    step("setup", |report| setup::run(&[], report)),
    step("tidy", |report| tidy::run(&[], report)),
    // Before anything else builds the root package: its build script would bring a stale header up to date.
    step("header", |report| header::run(&["--check".into()], report)),
    step("shaders", |report| {
        shaders::run(&["--check".into()], report)
    }),
    step("clippy", clippy),
    step("msrv", msrv),
    step("test", |report| test_rust::run(&[], report)),
    step("soak", |report| {
        soak::run(&["--seconds".into(), "10".into()], report)
    }),
    step("fuzz tests", fuzz_tests),
    step("doc", doc),
    step("test-c", |report| test_c::run(&[], report)),
    step("wine", |report| wine::run(&[], report)),
    step("examples", examples),
    step("fuzz", fuzz_smoke),
    step("readme", |report| readme::run(&[], report)),
    step("dist", |report| dist::run(&[], report)),
    step("asan", |report| sanitize::asan(&[], report)),
    step("tsan", |report| sanitize::tsan(&[], report)),
];

/// Runs every step.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask ci".into());
    }
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for Step { name, run } in STEPS {
        println!("\n== {name}");
        let started = Instant::now();
        if let Err(why) = run(report) {
            report.fail(name, &why);
        }
        times.push((name, started.elapsed()));
    }
    println!("\n== time");
    times
        .iter()
        .for_each(|(name, time)| println!("  {:>6.1} s  {name}", time.as_secs_f64()));
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    println!("  {:>6.1} s  in all", total.as_secs_f64());
    Ok(())
}

fn clippy(report: &mut Report) -> Result<(), String> {
    let all = Cmd::cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    report.check("clippy", all.run());
    // The one feature of the tool is off by default, and no test asks for it.
    let peers = Cmd::cargo().args(["clippy", "--quiet", "--package", "ds-runtime"]);
    let peers = peers.args(["--features", "bench-peers", "--all-targets"]);
    report.check(
        "clippy: bench-peers",
        peers.args(["--", "-D", "warnings"]).run(),
    );
    let fuzz = Cmd::cargo().args(["clippy", "--quiet", "--bins", "--lib", "--manifest-path"]);
    let fuzz = fuzz
        .arg(paths::root().join("fuzz/Cargo.toml"))
        .env("CARGO_TARGET_DIR", paths::target());
    report.check("clippy: fuzz", fuzz.args(["--", "-D", "warnings"]).run());
    Ok(())
}

/// The oldest compiler the manifests promise, where it is installed.
fn msrv(report: &mut Report) -> Result<(), String> {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    if !sh::have_toolchain(oldest) {
        report.skip("msrv", &format!("the toolchain {oldest} is not here"));
        return Ok(());
    }
    let check =
        Cmd::new("cargo")
            .arg(format!("+{oldest}"))
            .args(["check", "--quiet", "--workspace"]);
    let tree = paths::target().join("msrv");
    report.check(
        &format!("msrv: {oldest}"),
        check.env("CARGO_TARGET_DIR", tree).run(),
    );
    Ok(())
}

fn fuzz_tests(report: &mut Report) -> Result<(), String> {
    let command = Cmd::cargo()
        .args(["test", "--lib", "--manifest-path"])
        .arg(paths::root().join("fuzz/Cargo.toml"));
    test_rust::tally(
        "cargo test: fuzz",
        command.env("CARGO_TARGET_DIR", paths::target()),
        report,
    );
    Ok(())
}

fn doc(report: &mut Report) -> Result<(), String> {
    let doc = Cmd::cargo().args([
        "doc",
        "--quiet",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    report.check("doc", doc.env("RUSTDOCFLAGS", "-D warnings").run());
    Ok(())
}

/// Rust examples are built by clippy and test already; here each is run. Those that measure are left to
/// `cargo xtask bench`: in this profile their numbers would mean nothing.
fn examples(report: &mut Report) -> Result<(), String> {
    let mut found = 0;
    for (package, directory) in [("ds-runtime", "examples"), ("ds-core", "ds-core/examples")] {
        for file in paths::files_in(&paths::root().join(directory), &["rs"]) {
            let name = paths::name_of(&file).trim_end_matches(".rs").to_string();
            if name.starts_with("bench") {
                continue;
            }
            found += 1;
            let run =
                Cmd::cargo().args(["run", "--quiet", "--package", package, "--example", &name]);
            let ended = run.limit_s(300).capture();
            report.check(&format!("example: {name}"), ended.text_or_shown().map(drop));
        }
    }
    if found == 0 {
        report.skip("examples", "there are no Rust examples yet");
    }
    Ok(())
}

/// Both engines on the fault that is there to be found, and on every target.
fn fuzz_smoke(report: &mut Report) -> Result<(), String> {
    let words = |text: &str| {
        text.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    fuzz::run(&words("--self-check"), report)?;
    fuzz::run(&words("--seconds 10"), report)?;
    fuzz::run(&words("--libfuzzer --self-check"), report)?;
    match sh::have_nightly() {
        true => fuzz::run(&words("--libfuzzer --seconds 10"), report),
        false => Ok(()),
    }
}
