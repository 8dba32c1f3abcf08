//! `cargo xtask wine [program | samples]`: dstorage.dll and dstoragecore.dll, and Windows programs that use
//! them.
//!
//! Builds both halves of each DLL under `target/wine`, checks that they fit, and runs every program of
//! `tests/dstorage`, or the one that is named, under each Wine there is: the installed one, and a newer one
//! in a second Debian, which root can make. Without a display but for Direct3D's, in prefixes of their own,
//! each program in a folder of its own and under a time limit. Then does what a player does, with setup.sh
//! and the samples.
//!
//! What is missing is said, and its programs count as skipped.
//!
//! `--d3d12 DIR` runs the programs that use Direct3D 12 with the d3d12.dll and d3d12core.dll of DIR in the
//! place of Wine's own, which whoever runs this has got for himself; copies never leave the build tree.
#![forbid(unsafe_code)]

mod bench;
pub(crate) mod build;
mod debian;
mod display;
mod host;
mod oracle;
pub(crate) mod package;
mod programs;
pub(crate) mod samples;
mod suites;

pub(crate) use host::is_installed;
pub(crate) use oracle::run as conformance;

use crate::paths;
use crate::report::Report;
use display::Display;
use host::{SECOND_NAME, Wine};
use std::path::{Path, PathBuf};

/// In the place of a program: the samples for Direct3D 12 alone.
const SAMPLES: &str = "samples";

/// Builds the DLLs, checks them and runs the programs.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if let [one, options @ ..] = arguments
        && one == "bench"
    {
        return bench::run(options, report);
    }
    let (d3d12, arguments) = take_d3d12(arguments)?;
    let only = match &arguments[..] {
        [] => None,
        [one] => Some(one.as_str()),
        _ => {
            return Err(
                "usage: cargo xtask wine [--d3d12 DIR] [program | samples], or: wine bench [options]"
                    .into(),
            );
        }
    };
    if let Some(missing) = build::missing_tool() {
        report.skip("wine", &format!("{missing} is not here"));
        return Ok(());
    }
    let tree = tree();
    let engine = build::engine()?;
    build::build(&tree, &engine)?;
    report.pass("wine: both halves of both DLLs are built");
    report.check("wine: the table has every call", build::check_table());
    for dll in build::DLLS {
        let name = format!("wine: {dll}.so exports its table alone");
        report.check(&name, build::check_exports(&tree, dll));
    }
    programs::build_broken(&tree, &engine)?;
    package::check_script(report);
    let package = package::lay_out(&tree)?;
    let mut programs = match only {
        Some(SAMPLES) => Vec::new(),
        _ => programs::build(&tree, only)?,
    };
    if d3d12.is_some() {
        programs.retain(programs::needs_display);
    }
    let display = Display::start();
    for wine in wines(&tree, report) {
        let wine = wine.with_d3d12(d3d12.as_deref());
        if let Err(why) = wine.make_prefix() {
            report.fail(&format!("{}: a prefix", wine.name), &why);
            continue;
        }
        let display = display.as_ref().map_err(String::as_str);
        programs::run_all(&wine, &tree, &programs, display, report);
        if let Some(basic) = programs.iter().find(|program| program.name == "basic") {
            report.check(
                &format!("{}: {} without io_uring", wine.name, basic.name),
                programs::run_without_io_uring(&wine, &tree, basic),
            );
        }
        if only.is_none() && d3d12.is_none() {
            package::try_all(&wine, &package, report);
        }
        if matches!(only, None | Some(SAMPLES)) {
            run_samples(&wine, display, &package, report);
        }
        wine.end();
    }
    Ok(())
}

/// Runs the samples that use Direct3D 12.
fn run_samples(wine: &Wine, display: Result<&Display, &str>, package: &Path, report: &mut Report) {
    let name = format!("{}: the samples for Direct3D 12", wine.name);
    // What was started without a display lingers, and makes no Direct3D 12 device.
    wine.end();
    match display {
        Ok(display) => samples::try_all(&wine.with_display(display), package, report),
        Err(why) => report.skip(&name, why),
    }
}

/// Takes `--d3d12 DIR` out of the arguments.
fn take_d3d12(arguments: &[String]) -> Result<(Option<PathBuf>, Vec<String>), String> {
    let mut rest = arguments.to_vec();
    let Some(at) = rest.iter().position(|argument| argument == "--d3d12") else {
        return Ok((None, rest));
    };
    let taken: Vec<String> = rest.drain(at..rest.len().min(at + 2)).collect();
    let folder = taken.get(1).ok_or("--d3d12 needs a folder")?;
    let folder = std::fs::canonicalize(folder).map_err(|e| format!("{folder}: {e}"))?;
    Ok((Some(folder), rest))
}

/// Where everything of this command lies.
fn tree() -> PathBuf {
    paths::target().join("wine")
}

/// Each Wine there is; what is not, is skipped.
fn wines(tree: &Path, report: &mut Report) -> Vec<Wine> {
    let found = [
        ("wine", Wine::installed(tree)),
        (SECOND_NAME, Wine::second(tree)),
    ];
    let mut wines = Vec::new();
    for (name, wine) in found {
        match wine {
            Ok(wine) => wines.push(wine),
            Err(why) => report.skip(&format!("{name}: programs"), &why),
        }
    }
    wines
}
