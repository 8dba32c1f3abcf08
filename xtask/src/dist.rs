//! `cargo xtask dist`: what a user downloads.
//!
//! Makes `target/dist/ds-runtime-<version>-x86_64-linux/` and an archive of it: the library for native
//! programs, the DLLs for Wine with what installs them, and the tool. Then proves it usable: a C program is
//! built against it through its own pkg-config file, shared and static, and run; every ELF file in it is
//! read for the glibc it asks for.
//!
//! The archive depends on the sources alone: sorted, owned by nobody, dated by SOURCE_DATE_EPOCH or the
//! commit.
#![forbid(unsafe_code)]

use crate::glibc;
use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd};
use crate::symbols;
use crate::wine::build as wine;
use crate::wine::package;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const PKG_CONFIG: &str = include_str!("../templates/ds_runtime.pc.in");

/// Files copied as they are: from the repository, to the tree. The README is the project's own.
const COPIED: &[(&str, &str)] = &[
    ("include/ds_runtime.h", "include/ds_runtime.h"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("CHANGELOG.md", "CHANGELOG.md"),
];

/// What goes with the DLLs for Wine.
const COPIED_FOR_WINE: &[(&str, &str)] = &[
    ("setup.sh", "setup.sh"),
    ("docs/players.md", "docs/players.md"),
];

/// Where the DLLs lie in the archive.
const WINE_TREE: &str = "lib/wine";

/// Builds, lays out, packs and tries the distribution.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask dist".into());
    }
    cargo(&[
        "build",
        "--package",
        "ds-runtime",
        "--package",
        "ds-capi",
        "--quiet",
    ])?
    .run()?;
    let name = format!("ds-runtime-{}-x86_64-linux", paths::version());
    let tree = paths::target().join("dist").join(&name);
    let libraries = static_libraries()?;
    lay_out(&tree, &libraries)?;
    report.pass(&format!("dist: {name} laid out"));
    copy_readme(&tree, report)?;
    lay_out_wine(&tree, report)?;
    let shared = tree.join("lib/libds_runtime.so");
    report.check("dist: SONAME", symbols::check_soname(&shared));
    report.check(
        "dist: exported symbols",
        symbols::check_exports(&shared, false),
    );
    report.check(
        "dist: names no directory of this machine",
        check_no_paths(&tree),
    );
    for file in elf_files(&tree) {
        let (major, minor) = glibc::FLOOR;
        let name = paths::name_of(&file);
        report.check(
            &format!("dist: {name} runs with glibc {major}.{minor}"),
            glibc::check(&file),
        );
    }
    try_it(&tree, report);
    let archive = pack(&tree, &name)?;
    report.pass(&format!("dist: {}", archive.display()));
    summarise(&tree, &archive)
}

/// The build tree of what ships: its own, since its flags are.
fn build_tree() -> PathBuf {
    paths::target().join("dist-build")
}

/// Cargo in the release profile, with this machine's directories kept out of what it makes: panic messages
/// would carry them to every user, and two machines would make two different archives.
fn cargo(arguments: &[&str]) -> Result<Cmd, String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home =
        home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let mut flags = format!("--remap-path-prefix={}=ds-runtime", paths::root().display());
    if let Some(home) = home {
        flags += &format!(" --remap-path-prefix={}=cargo", home.display());
    }
    for argument in glibc::link_arguments()? {
        flags += &format!(" -Clink-arg={argument}");
    }
    let (verb, rest) = arguments.split_first().unwrap_or((&"build", &[]));
    let cargo = Cmd::cargo().arg(verb).arg("--release").args(rest);
    Ok(cargo
        .env("CARGO_TARGET_DIR", build_tree())
        .env("RUSTFLAGS", flags))
}

/// What ships names no directory of the machine that built it.
fn check_no_paths(tree: &Path) -> Result<(), String> {
    let root = paths::root().display().to_string();
    let mut files = elf_files(tree);
    files.push(tree.join("lib/libds_runtime.a"));
    files.extend(paths::files_in(
        &wine::windows_folder(&tree.join(WINE_TREE)),
        &["dll"],
    ));
    for file in files {
        let bytes = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        if bytes
            .windows(root.len())
            .any(|window| window == root.as_bytes())
        {
            let file = file.display();
            return Err(format!("{file} names the directory it was built in"));
        }
    }
    Ok(())
}

/// What the loader of Linux reads: the tool, the library, the Unix halves of the DLLs.
fn elf_files(tree: &Path) -> Vec<PathBuf> {
    let mut files = vec![tree.join("bin/ds"), tree.join("lib/libds_runtime.so")];
    let halves = tree.join(WINE_TREE).join(wine::UNIX_FOLDER);
    files.extend(paths::files_in(&halves, &["so"]));
    files
}

/// The DLLs, with the engine that was just built inside, and what installs them.
fn lay_out_wine(tree: &Path, report: &mut Report) -> Result<(), String> {
    let name = "dist: the DLLs for Wine";
    if let Some(missing) = wine::missing_tool() {
        report.skip(name, &format!("{missing} is not here"));
        return Ok(());
    }
    let engine = wine::Engine {
        library: build_tree().join("release/libds_runtime.a"),
        link_with: glibc::link_arguments()?,
    };
    let libraries = tree.join(WINE_TREE);
    wine::build(&libraries, &engine)?;
    for dll in wine::DLLS {
        wine::check_exports(&libraries, dll)?;
    }
    package::build_samples(&tree.join("bin"))?;
    for (from, to) in COPIED_FOR_WINE {
        paths::copy(&paths::root().join(from), &tree.join(to))?;
    }
    report.pass(name);
    Ok(())
}

/// What a static link needs beside the archive, as rustc itself says.
fn static_libraries() -> Result<String, String> {
    let build = [
        "rustc",
        "--package",
        "ds-capi",
        "--crate-type",
        "staticlib",
        "--",
    ];
    let asked = cargo(&build)?.args(["--print", "native-static-libs"]);
    let text = asked.capture().text_or_shown()?;
    let line = text
        .lines()
        .find_map(|line| line.split_once("native-static-libs: "));
    let (_, libraries) = line.ok_or("rustc does not say what a static link needs")?;
    Ok(libraries.trim().to_string())
}

fn lay_out(tree: &Path, libraries: &str) -> Result<(), String> {
    if tree.exists() {
        fs::remove_dir_all(tree).map_err(|e| format!("cannot clear {}: {e}", tree.display()))?;
    }
    for directory in ["bin", "lib/pkgconfig", "include"] {
        let path = tree.join(directory);
        fs::create_dir_all(&path).map_err(|e| format!("cannot make {}: {e}", path.display()))?;
    }
    let built = build_tree().join("release");
    let versioned = format!("libds_runtime.so.{}", paths::version());
    paths::copy(&built.join("ds"), &tree.join("bin/ds"))?;
    paths::copy(
        &built.join("libds_runtime.so"),
        &tree.join("lib").join(&versioned),
    )?;
    paths::copy(
        &built.join("libds_runtime.a"),
        &tree.join("lib/libds_runtime.a"),
    )?;
    link(
        &versioned,
        &tree.join("lib").join(symbols::soname_expected()),
    )?;
    link(
        &symbols::soname_expected(),
        &tree.join("lib/libds_runtime.so"),
    )?;
    for (from, to) in COPIED {
        paths::copy(&paths::root().join(from), &tree.join(to))?;
    }
    let config = PKG_CONFIG
        .replace("@VERSION@", paths::version())
        .replace("@LIBS_PRIVATE@", libraries);
    paths::write(&tree.join("lib/pkgconfig/ds_runtime.pc"), &config)?;
    strip(&tree.join("bin/ds"), "--strip-all")?;
    strip(&tree.join("lib").join(&versioned), "--strip-unneeded")?;
    strip(&tree.join("lib/libds_runtime.a"), "--strip-debug")
}

fn copy_readme(tree: &Path, report: &mut Report) -> Result<(), String> {
    let readme = paths::root().join("README.md");
    if !readme.is_file() {
        report.skip("dist: README.md", "there is none yet");
        return Ok(());
    }
    paths::copy(&readme, &tree.join("README.md"))
}

fn link(target: &str, at: &Path) -> Result<(), String> {
    symlink(target, at).map_err(|e| format!("cannot link {}: {e}", at.display()))
}

fn strip(file: &Path, how: &str) -> Result<(), String> {
    Cmd::new("strip").arg(how).arg(file).quiet().run()
}

/// Builds and runs a C program against the tree, as a user with only pkg-config would.
fn try_it(tree: &Path, report: &mut Report) {
    for (name, is_static) in [("shared", false), ("static", true)] {
        let name = format!("dist: a C program links it, {name}");
        match sh::have("pkg-config") {
            true => report.check(&name, link_and_run(tree, is_static)),
            false => report.skip(&name, "pkg-config is not here"),
        }
    }
}

fn link_and_run(tree: &Path, is_static: bool) -> Result<(), String> {
    let directory = paths::scratch("dist")?;
    let (source, program) = (directory.join("try.c"), directory.join("try"));
    paths::write(
        &source,
        "#include <ds_runtime.h>\nint main(void) { return 0; }\n",
    )?;
    let ask = |arguments: &[&str]| {
        let ask = Cmd::new("pkg-config")
            .env("PKG_CONFIG_PATH", tree.join("lib/pkgconfig"))
            .args(arguments);
        ask.arg("ds_runtime")
            .quiet()
            .limit_s(60)
            .capture()
            .text_or_shown()
    };
    let includes = ask(&["--cflags"])?;
    // Static: the archive whole, so that every object in it must link, and then what rustc says it needs.
    let links = match is_static {
        true => {
            let archive = tree.join("lib/libds_runtime.a");
            let others = ask(&["--libs", "--static"])?.replace("-lds_runtime ", "");
            format!(
                "-Wl,--whole-archive {} -Wl,--no-whole-archive {others}",
                archive.display()
            )
        }
        // Without --no-as-needed the linker would drop a library of which nothing is used.
        false => format!("-Wl,--no-as-needed {}", ask(&["--libs"])?),
    };
    let compile = Cmd::new("gcc")
        .args(["-std=c11", "-Wall", "-Werror"])
        .args(includes.split_whitespace());
    let compile = compile
        .arg(&source)
        .args(links.split_whitespace())
        .arg("-o")
        .arg(&program);
    compile.quiet().capture().text_or_shown()?;
    let run = Cmd::new(&program).quiet().limit_s(60);
    let run = if is_static {
        run
    } else {
        run.env("LD_LIBRARY_PATH", tree.join("lib"))
    };
    run.capture().text_or_shown().map(drop)
}

fn pack(tree: &Path, name: &str) -> Result<PathBuf, String> {
    let directory = tree.parent().ok_or("the tree lies in no directory")?;
    let archive = directory.join(format!("{name}.tar.gz"));
    let date = format!("--mtime=@{}", source_date());
    let tar = Cmd::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(date);
    let tar = tar
        .args(["--use-compress-program=gzip -n9", "-cf"])
        .arg(&archive)
        .arg("-C")
        .arg(directory);
    tar.arg(name).run()?;
    Ok(archive)
}

/// When the sources were made, in seconds; the beginning of time where nothing says.
fn source_date() -> String {
    if let Ok(date) = std::env::var("SOURCE_DATE_EPOCH") {
        return date;
    }
    let log = Cmd::new("git")
        .args(["log", "-1", "--format=%ct"])
        .quiet()
        .limit_s(60)
        .capture();
    if log.code == Some(0) {
        log.text.trim().to_string()
    } else {
        "0".into()
    }
}

fn summarise(tree: &Path, archive: &Path) -> Result<(), String> {
    let shared = tree.join("lib/libds_runtime.so");
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    println!("  SONAME {}", symbols::soname(&shared)?);
    for file in [
        "bin/ds",
        "lib/libds_runtime.so",
        "lib/libds_runtime.a",
        "include/ds_runtime.h",
    ] {
        println!("  {:>10} bytes  {file}", bytes(&tree.join(file)));
    }
    println!(
        "  {:>10} bytes  {}",
        bytes(archive),
        paths::name_of(archive)
    );
    let exports = symbols::exports(&shared)?;
    println!("  {} exports: {}", exports.len(), exports.join(" "));
    Ok(())
}
