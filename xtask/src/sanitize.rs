//! `cargo xtask asan | tsan | miri | valgrind`: the engine's tests under something that watches memory.
//!
//! The sanitizers need the nightly toolchain. AddressSanitizer sees every access of ours whether or not std
//! has it built in, so std stays as shipped. ThreadSanitizer must also see what std's locks, scoped threads
//! and reference counts order, or it reports races that are none (tried: `Arc`, `Mutex` and `thread::scope`
//! each gave some); so std is rebuilt with it, and where its source is missing the suite is skipped rather
//! than drowned in suppressions.
//!
//! Each has its own build tree: sharing one would rebuild everything at every change of flags.
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd};
use crate::test_rust;

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Under any of these a test is some ten times slower; past this it hangs.
const LIMIT_S: u64 = 15 * 60;

/// Tests of the engine under AddressSanitizer, leaks included.
pub(crate) fn asan(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let suite = Suite {
        name: "asan",
        flags: "-Zsanitizer=address",
        options: ("ASAN_OPTIONS", "detect_leaks=1"),
        rebuilds_std: false,
        seeds: "50",
    };
    suite.run(arguments, report)
}

/// Tests of the engine under ThreadSanitizer.
pub(crate) fn tsan(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let suite = Suite {
        name: "tsan",
        flags: "-Zsanitizer=thread",
        // What the loader of GPU drivers does inside dlopen and dlclose is not instrumented: its own order
        // is not seen, so that every start of it beside another would count as a race of ours.
        options: (
            "TSAN_OPTIONS",
            "halt_on_error=0:exitcode=66:ignore_noninstrumented_modules=1",
        ),
        rebuilds_std: true,
        // The simulation has one thread, so there is nothing for this sanitizer to see in it.
        seeds: "2",
    };
    suite.run(arguments, report)
}

/// A sanitizer and what it needs.
struct Suite {
    name: &'static str,
    flags: &'static str,
    /// Its environment variable and what it is set to.
    options: (&'static str, &'static str),
    rebuilds_std: bool,
    /// How many seeds of the simulation: the plain run has the thousand.
    seeds: &'static str,
}

impl Suite {
    fn run(&self, arguments: &[String], report: &mut Report) -> Result<(), String> {
        if !arguments.is_empty() {
            return Err(format!("usage: cargo xtask {}", self.name));
        }
        if !sh::have_nightly() {
            report.skip(self.name, "there is no nightly toolchain");
            return Ok(());
        }
        if self.rebuilds_std && !sh::have_rust_src() {
            report.skip(
                self.name,
                "the source of std is not here (rustup +nightly component add rust-src)",
            );
            return Ok(());
        }
        let command =
            Cmd::cargo_nightly().args(["test", "--package", "ds-core", "--lib", "--tests"]);
        let command = command.args(self.rebuilds_std.then_some("-Zbuild-std"));
        // Tests unwind whatever the profile says; were the rest to abort, std would be built both ways, and
        // two of its cores do not link.
        let command = command.env("CARGO_PROFILE_DEV_PANIC", "unwind");
        let command = command
            .args(["--no-fail-fast", "--target", TRIPLE])
            .limit_s(LIMIT_S);
        let command = command.env("CARGO_TARGET_DIR", paths::target().join(self.name));
        let command = command
            .env("RUSTFLAGS", self.flags)
            .env(self.options.0, self.options.1)
            // Drivers leak, are unloaded before anyone can say whose the memory was, and run code made at
            // run time: what is found there is theirs. So there is no GPU, which the tests say.
            .env("VK_ICD_FILENAMES", "/dev/null")
            .env("VK_DRIVER_FILES", "/dev/null")
            .env("DS_SEEDS", self.seeds);
        test_rust::tally(self.name, command, report);
        Ok(())
    }
}

/// Tests of the codec under Miri, where it is installed. The rest of the engine makes system calls it lacks.
pub(crate) fn miri(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask miri".into());
    }
    if !(sh::have_nightly() && sh::have_miri()) {
        report.skip(
            "miri",
            "it is not installed (rustup +nightly component add miri rust-src)",
        );
        return Ok(());
    }
    let command =
        Cmd::cargo_nightly().args(["miri", "test", "--package", "ds-core", "--lib", "gdeflate"]);
    let command = command.env("CARGO_TARGET_DIR", paths::target().join("miri"));
    test_rust::tally("miri", command.limit_s(LIMIT_S), report);
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
    test_rust::tally("valgrind", command.limit_s(LIMIT_S), report);
    Ok(())
}
