//! `cargo xtask asan | tsan | miri | valgrind`: the engine's tests under something that watches memory.
//!
//! The sanitizers need the nightly toolchain. Where it also has its standard library's source, std is
//! rebuilt with the sanitizer; where not, std stays as shipped. AddressSanitizer then still sees every
//! access of ours; ThreadSanitizer does not see what std's own locks order, so the reports that come of it
//! are named in `xtask/tsan-suppressions.txt`, and with std rebuilt the file is not used.
//!
//! Each has its own build tree: sharing one would rebuild everything at every change of flags.
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd};
use crate::test_rust;

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Tests of the engine under AddressSanitizer, leaks included.
pub(crate) fn asan(arguments: &[String], report: &mut Report) -> Result<(), String> {
    sanitizer(
        "asan",
        "-Zsanitizer=address",
        ("ASAN_OPTIONS", "detect_leaks=1".into()),
        arguments,
        report,
    )
}

/// Tests of the engine under ThreadSanitizer.
pub(crate) fn tsan(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let mut options = "halt_on_error=0:exitcode=66".to_string();
    if !(sh::have_nightly() && sh::have_rust_src()) {
        let list = paths::root().join("xtask/tsan-suppressions.txt");
        options += &format!(":suppressions={}", list.display());
    }
    let flags = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer";
    sanitizer("tsan", flags, ("TSAN_OPTIONS", options), arguments, report)
}

fn sanitizer(
    name: &str,
    flags: &str,
    options: (&str, String),
    arguments: &[String],
    report: &mut Report,
) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err(format!("usage: cargo xtask {name}"));
    }
    if !sh::have_nightly() {
        report.skip(name, "there is no nightly toolchain");
        return Ok(());
    }
    let mut command =
        Cmd::cargo_nightly().args(["test", "--package", "ds-core", "--lib", "--tests"]);
    command = command
        .args(["--no-fail-fast", "--target", TRIPLE])
        .limit_s(15 * 60);
    if sh::have_rust_src() {
        command = command.arg("-Zbuild-std");
    }
    let tree = paths::target().join(name);
    let command = command
        .env("CARGO_TARGET_DIR", tree)
        .env("RUSTFLAGS", flags)
        .env(options.0, options.1);
    test_rust::tally(name, command, report);
    Ok(())
}

/// Tests of the codec under Miri, where it is installed. The rest of the engine makes system calls it lacks.
pub(crate) fn miri(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask miri".into());
    }
    let probe = Cmd::cargo_nightly()
        .args(["miri", "--version"])
        .quiet()
        .limit_s(60)
        .capture();
    if probe.code != Some(0) {
        report.skip(
            "miri",
            "it is not installed (rustup +nightly component add miri rust-src)",
        );
        return Ok(());
    }
    let command =
        Cmd::cargo_nightly().args(["miri", "test", "--package", "ds-core", "--lib", "gdeflate"]);
    let command = command
        .env("CARGO_TARGET_DIR", paths::target().join("miri"))
        .env("MIRIFLAGS", "");
    test_rust::tally("miri", command.limit_s(30 * 60), report);
    Ok(())
}

/// Tests of the engine under valgrind: slow, but it sees into std and libc, and needs no nightly.
pub(crate) fn valgrind(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask valgrind".into());
    }
    if !sh::have("valgrind") {
        report.skip("valgrind", "it is not here");
        return Ok(());
    }
    let runner = "valgrind --quiet --error-exitcode=99 --leak-check=full \
                  --errors-for-leak-kinds=definite,indirect";
    let command = Cmd::cargo().args([
        "test",
        "--package",
        "ds-core",
        "--lib",
        "--tests",
        "--no-fail-fast",
    ]);
    let command = command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner);
    test_rust::tally("valgrind", command.limit_s(30 * 60), report);
    Ok(())
}
