//! The project's own commands, as one program: `cargo xtask <command>`.
//!
//! One language and one place instead of a heap of scripts, so that what a person runs and what CI runs is
//! the same code. Each command is one file; each prints what it runs and how long it took, and closes with a
//! line of the form `N passed, N failed, N skipped`.
//!
//! Only the standard library: a tool that checks the house must build before anything else does.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod dist;
mod fuzz;
mod glibc;
mod header;
mod json;
mod paths;
mod readme;
mod report;
mod sanitize;
mod setup;
mod sh;
mod shaders;
mod soak;
mod symbols;
mod test_c;
mod test_rust;
mod tidy;
mod wine;

use report::Report;
use std::process::ExitCode;

/// A command: its name, what follows the name, what it does, and the function that does it.
struct Command {
    name: &'static str,
    options: &'static str,
    summary: &'static str,
    run: fn(&[String], &mut Report) -> Result<(), String>,
}

/// Every command, in the order the help lists them.
const COMMANDS: &[Command] = &[
    Command {
        name: "ci",
        options: "",
        summary: "everything CI runs, in order",
        run: ci::run,
    },
    Command {
        name: "setup",
        options: "",
        summary: "find and install missing packages",
        run: setup::run,
    },
    Command {
        name: "tidy",
        options: "[--fix]",
        summary: "the rules of the house over the sources",
        run: tidy::run,
    },
    Command {
        name: "header",
        options: "[--check]",
        summary: "regenerate the C header",
        run: header::run,
    },
    Command {
        name: "shaders",
        options: "[--check]",
        summary: "recompile the shaders",
        run: shaders::run,
    },
    Command {
        name: "test",
        options: "",
        summary: "cargo test, with skips counted",
        run: test_rust::run,
    },
    Command {
        name: "test-c",
        options: "[--bless]",
        summary: "C and C++ programs, symbols",
        run: test_c::run,
    },
    Command {
        name: "fuzz",
        options: "[target] [--seconds N] [--libfuzzer] [--seed N] [--self-check]",
        summary: "fuzz every target, or one",
        run: fuzz::run,
    },
    Command {
        name: "asan",
        options: "",
        summary: "tests under AddressSanitizer",
        run: sanitize::asan,
    },
    Command {
        name: "tsan",
        options: "",
        summary: "tests under ThreadSanitizer",
        run: sanitize::tsan,
    },
    Command {
        name: "miri",
        options: "",
        summary: "tests of the codec under Miri",
        run: sanitize::miri,
    },
    Command {
        name: "valgrind",
        options: "",
        summary: "tests under valgrind",
        run: sanitize::valgrind,
    },
    Command {
        name: "soak",
        options: "[--seconds N] [--seed S]",
        summary: "random work of every kind, every byte checked",
        run: soak::run,
    },
    Command {
        name: "bench",
        options: "[--record]",
        summary: "run the benchmarks",
        run: bench::run,
    },
    Command {
        name: "wine",
        options: "[--d3d12 DIR] [program] | bench [--oracle DIR] [--rounds N] [--record]",
        summary: "dstorage.dll, and Windows programs that use it",
        run: wine::run,
    },
    Command {
        name: "conformance",
        options: "--oracle DIR [--d3d12 DIR] [program]",
        summary: "the same programs with Microsoft's DLLs, compared",
        run: wine::conformance,
    },
    Command {
        name: "readme",
        options: "",
        summary: "run the commands README.md shows",
        run: readme::run,
    },
    Command {
        name: "dist",
        options: "",
        summary: "build the release archive",
        run: dist::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = arguments.first() else {
        print_help();
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print_help();
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|c| c.name == name) else {
        eprintln!("xtask: no command `{name}`; `cargo xtask help` lists them");
        return ExitCode::from(2);
    };
    let mut report = Report::new();
    if let Err(message) = (command.run)(&arguments[1..], &mut report) {
        report.fail(command.name, &message);
    }
    report.close()
}

fn print_help() {
    println!("cargo xtask <command>\n");
    for command in COMMANDS {
        let usage = format!("{} {}", command.name, command.options);
        println!("  {:<20} {}", usage.trim_end(), command.summary);
    }
}
