//! `cargo xtask setup`: what a bare Debian-like machine lacks, and how it gets it.
//!
//! As root, missing packages are installed from wherever the machine's apt is told to look; no mirror is ever
//! named here. Otherwise they are listed, so that a person can install them, and each suite that needs one
//! says for itself that it could not run.
#![forbid(unsafe_code)]

use crate::report::Report;
use crate::sh::{self, Cmd};
use crate::wine;
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
    Found(fn() -> bool),
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
    package("glslang-tools", Present::Program("glslangValidator"), false),
    package("spirv-tools", Present::Program("spirv-opt"), false),
    package(
        "mesa-vulkan-drivers",
        Present::File("/usr/share/vulkan/icd.d"),
        false,
    ),
    package(
        "vulkan-validationlayers",
        Present::File("/usr/share/vulkan/explicit_layer.d"),
        false,
    ),
    // File systems for the engine's tests to read from.
    package("e2fsprogs", Present::Program("mkfs.ext4"), false),
    package("btrfs-progs", Present::Program("mkfs.btrfs"), false),
    package("xfsprogs", Present::Program("mkfs.xfs"), false),
    package("fuse3", Present::Program("fusermount3"), false),
    package("bindfs", Present::Program("bindfs"), false),
    package("shellcheck", Present::Program("shellcheck"), false),
    // dstorage.dll, the Wine that runs it, and what brings a second, newer Wine.
    package(
        "gcc-mingw-w64-x86-64",
        Present::Program("x86_64-w64-mingw32-gcc"),
        false,
    ),
    package("wine64", Present::Found(wine::is_installed), false),
    // Direct3D 12 for it, on the processor.
    package("xvfb", Present::Program("Xvfb"), false),
    package(
        "mesa-vulkan-drivers",
        Present::File("/usr/share/vulkan/icd.d"),
        false,
    ),
    package("debootstrap", Present::Program("debootstrap"), false),
];

/// A part of a Rust toolchain: the rustup component, the toolchain, and how to see that it is there.
struct Component {
    name: &'static str,
    toolchain: &'static str,
    present: fn() -> bool,
    required: bool,
}

const COMPONENTS: &[Component] = &[
    Component {
        name: "rustfmt",
        toolchain: "",
        present: || cargo_has("fmt"),
        required: true,
    },
    Component {
        name: "clippy",
        toolchain: "",
        present: || cargo_has("clippy"),
        required: true,
    },
    Component {
        name: "rust-src",
        toolchain: "nightly",
        present: sh::have_rust_src,
        required: false,
    },
];

impl Component {
    fn advice(&self) -> String {
        let toolchain = if self.toolchain.is_empty() {
            String::new()
        } else {
            format!(" --toolchain {}", self.toolchain)
        };
        format!("not here; rustup component add {}{toolchain}", self.name)
    }
}

fn cargo_has(command: &str) -> bool {
    Cmd::cargo()
        .args([command, "--version"])
        .quiet()
        .limit_s(60)
        .capture()
        .code
        == Some(0)
}

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
        Present::Found(found) => !found(),
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

/// Whether this process may do what root may.
pub(crate) fn is_root() -> bool {
    Cmd::new("id")
        .arg("-u")
        .quiet()
        .limit_s(10)
        .capture()
        .text
        .trim()
        == "0"
}

/// Toolchains and their parts are never installed: which ones a machine has is for its owner to
/// choose, and a download outside the package registries is nothing to do behind his back.
fn components(report: &mut Report) {
    for component in COMPONENTS {
        let name = format!("setup: {} {}", component.toolchain, component.name).replace("  ", " ");
        if component.toolchain == "nightly" && !sh::have_nightly() {
            report.skip(&name, "there is no nightly toolchain");
            continue;
        }
        match ((component.present)(), component.required) {
            (true, _) => report.pass(&name),
            (false, true) => report.fail(&name, &component.advice()),
            (false, false) => report.skip(&name, &component.advice()),
        }
    }
}
