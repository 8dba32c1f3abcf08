//! `cargo xtask setup`: what a bare Debian-like machine lacks, and how it gets it.
//!
//! As root, missing packages are installed from wherever the machine's apt is told to look; no mirror is ever
//! named here. Otherwise they are listed, so that a person can install them, and each suite that needs one
//! says for itself that it could not run.
#![forbid(unsafe_code)]

use crate::report::Report;
use crate::sh::{self, Cmd};
use std::path::Path;

/// A Debian package, and how to see that it (or its like from elsewhere) is there.
struct Package {
    name: &'static str,
    present: Present,
    /// Without it nothing can be built; the others cost a suite each.
    required: bool,
}

enum Present {
    Program(&'static str),
    File(&'static str),
}

const fn package(name: &'static str, present: Present, required: bool) -> Package {
    Package {
        name,
        present,
        required,
    }
}

const PACKAGES: &[Package] = &[
    package("gcc", Present::Program("gcc"), true),
    package("libc6-dev", Present::File("/usr/include/stdio.h"), true),
    package("g++", Present::Program("g++"), true),
    package("binutils", Present::Program("readelf"), true),
    package("clang", Present::Program("clang++"), false),
    package("valgrind", Present::Program("valgrind"), false),
    // valgrind must see the loader's symbols to follow its string functions.
    package(
        "libc6-dbg",
        Present::File("/usr/lib/debug/.build-id"),
        false,
    ),
    package("pkg-config", Present::Program("pkg-config"), false),
];

/// Parts of the Rust toolchain: what is called, and the rustup component that brings it.
const COMPONENTS: &[(&str, &str)] = &[("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")];

/// Finds what is missing, and installs it where that is possible.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask setup".into());
    }
    packages(report);
    components(report);
    Ok(())
}

fn packages(report: &mut Report) {
    if missing().next().is_none() {
        report.pass("setup: every package is there");
        return;
    }
    if let Err(why) = install(&missing().map(|p| p.name).collect::<Vec<_>>()) {
        println!("  {why}");
    }
    let mut complete = true;
    for package in missing() {
        complete = false;
        let advice = format!(
            "not here; install the Debian package `{0}` (apt-get install {0})",
            package.name
        );
        match package.required {
            true => report.fail(&format!("setup: {}", package.name), &advice),
            false => report.skip(&format!("setup: {}", package.name), &advice),
        }
    }
    if complete {
        report.pass("setup: missing packages installed");
    }
}

fn missing() -> impl Iterator<Item = &'static Package> {
    PACKAGES.iter().filter(|package| match package.present {
        Present::Program(program) => !sh::have(program),
        Present::File(path) => !Path::new(path).exists(),
    })
}

fn install(names: &[&str]) -> Result<(), String> {
    if !sh::have("apt-get") {
        return Err("there is no apt-get here".into());
    }
    if !is_root() {
        return Err("only root can install packages".into());
    }
    let apt = || {
        Cmd::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .limit_s(600)
    };
    apt().args(["update", "-qq"]).capture().text_or_shown()?;
    // One by one: a package this release does not have must not cost the others.
    for name in names {
        let ended = apt()
            .args(["install", "-y", "-qq", "--no-install-recommends", name])
            .capture();
        if let Err(why) = ended.text_or_shown() {
            println!("  apt-get install {name}: {why}");
        }
    }
    Ok(())
}

fn is_root() -> bool {
    Cmd::new("id")
        .arg("-u")
        .quiet()
        .limit_s(10)
        .capture()
        .text
        .trim()
        == "0"
}

fn components(report: &mut Report) {
    for (program, component) in COMPONENTS {
        let works = || {
            Cmd::cargo()
                .args([program.trim_start_matches("cargo-"), "--version"])
                .quiet()
                .capture()
        };
        if works().code != Some(0) && sh::have("rustup") {
            let _ = Cmd::new("rustup")
                .args(["component", "add", component])
                .limit_s(300)
                .run();
        }
        match works().ok() {
            Ok(()) => report.pass(&format!("setup: {component}")),
            Err(why) => report.fail(
                &format!("setup: {component}"),
                &format!("does not run: {why}"),
            ),
        }
    }
}
