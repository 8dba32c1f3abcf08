//! The Windows programs of `tests/dstorage`: built once, run under each Wine.
#![forbid(unsafe_code)]

use super::build::{self, DLLS, Engine};
use super::display::Display;
use super::host::Wine;
use crate::paths;
use crate::report::Report;
use crate::sh::{Cmd, Ended};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const RUN_LIMIT_S: u64 = 120;

/// What a d3d12 of one's own consists of.
const D3D12_DLLS: &[&str] = &["d3d12.dll", "d3d12core.dll"];

/// The exit status of a program that could not test anything.
pub(crate) const EXIT_SKIPPED: i32 = 77;

/// How the banner begins where io_uring is forbidden.
const WITHOUT_IO_URING: &str =
    "backend cpu (automatic: pread threads, because io_uring_setup failed";

/// A program that was built.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
}

/// The source of a program.
pub(crate) fn source(name: &str) -> PathBuf {
    paths::root().join(format!("tests/dstorage/{name}.c"))
}

/// Builds every program, or the one that is named, into `tree`.
pub(crate) fn build(tree: &Path, only: Option<&str>) -> Result<Vec<Program>, String> {
    let mut programs = Vec::new();
    for source in paths::files_in(&paths::root().join("tests/dstorage"), &["c"]) {
        let name = paths::name_of(&source).trim_end_matches(".c").to_string();
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let binary = tree.join("programs").join(format!("{name}.exe"));
        build::program(&source, &binary, &[])?;
        programs.push(Program { name, binary });
    }
    match programs.is_empty() {
        true => Err("there is no such program in tests/dstorage".into()),
        false => Ok(programs),
    }
}

/// Whether a program asks for Direct3D 12, and so for a display.
pub(crate) fn needs_display(program: &Program) -> bool {
    program.name.starts_with("d3d12_")
}

/// Runs the programs with our DLLs, and passes or fails each. Those that need a display come last, in a
/// Wine that begins with one.
pub(crate) fn run_all(
    wine: &Wine,
    tree: &Path,
    programs: &[Program],
    display: Result<&Display, &str>,
    report: &mut Report,
) {
    let started = Instant::now();
    let mut checks = Checks::default();
    let (with, without): (Vec<_>, Vec<_>) = programs.iter().partition(|p| needs_display(p));
    run_some(wine, tree, &without, &mut checks, report);
    match display {
        Ok(display) => {
            wine.end();
            run_some(
                &wine.with_display(display),
                tree,
                &with,
                &mut checks,
                report,
            );
            wine.end();
        }
        Err(why) => {
            for program in with {
                report.skip(&format!("{}: {}", wine.name, program.name), why);
            }
        }
    }
    println!(
        "  {}: {} checks passed, {} failed, {} expected to fail; {:.1} s",
        wine.name,
        checks.passed,
        checks.failed,
        checks.expected,
        started.elapsed().as_secs_f64()
    );
}

fn run_some(
    wine: &Wine,
    tree: &Path,
    programs: &[&Program],
    checks: &mut Checks,
    report: &mut Report,
) {
    for program in programs {
        for halves in Halves::of_program(&program.name) {
            let label = format!("{}: {}{}", wine.name, program.name, halves.described());
            let folder = place(wine, program, &build::windows_folder(tree));
            let ended = folder.map(|folder| run(wine, program, &folder, &halves.folder(tree)));
            let ended = ended.and_then(|ended| must_say(ended, halves.told()));
            conclude(&label, ended, checks, report);
        }
    }
}

/// Fails what ended without a word of what it must tell people.
fn must_say(ended: Ended, what: &str) -> Result<Ended, String> {
    match ended.text.contains(what) {
        true => Ok(ended),
        false => {
            ended.show_tail(20);
            Err(format!("nothing says `{what}`"))
        }
    }
}

/// Runs a program again where io_uring is forbidden: it works as before, and the banner says why it is
/// slower.
pub(crate) fn run_without_io_uring(
    wine: &Wine,
    tree: &Path,
    program: &Program,
) -> Result<(), String> {
    let launcher = tree.join("without_io_uring");
    let source = paths::root().join("xtask/templates/without_io_uring.c");
    let compile = Cmd::new("gcc").args(["-Wall", "-Wextra", "-Werror", "-O2", "-static", "-o"]);
    let compile = compile.arg(&launcher).arg(source).limit_s(60).quiet();
    compile.capture().text_or_shown()?;
    let folder = place(wine, program, &build::windows_folder(tree))?;
    let ended = wine
        .with_launcher(&launcher)
        .run(&folder.join(paths::name_of(&program.binary)))
        .env("WINEDLLPATH", tree)
        .env("DS_LOG", "info")
        // With the longest reason this makes a banner that Wine could not take whole.
        .env("DS_CONFIG", "io_threads=0,".repeat(80))
        .directory(&folder)
        .limit_s(RUN_LIMIT_S)
        .capture();
    must_say(ended, WITHOUT_IO_URING)?.text_or_shown().map(drop)
}

/// What the programs count by themselves.
#[derive(Default, Debug, PartialEq, Eq)]
struct Checks {
    passed: u64,
    failed: u64,
    expected: u64,
}

impl Checks {
    /// Adds a program's last line: `N passed, N failed, N expected to fail (…)`. Its exit status says as
    /// much, but Wine can lose that.
    fn add(&mut self, line: &str) -> Result<(), String> {
        let (passed, failed, expected) = counts(line).ok_or("it ends without its counts")?;
        self.passed += passed;
        self.failed += failed;
        self.expected += expected;
        match failed {
            0 => Ok(()),
            _ => Err(format!("{failed} checks failed")),
        }
    }
}

/// How many checks a program's last line says have passed, failed, and failed as expected.
fn counts(line: &str) -> Option<(u64, u64, u64)> {
    let count = |part: &str, what: &str| part.trim().strip_suffix(what)?.trim().parse().ok();
    let mut parts = line.split(" (").next()?.split(',');
    Some((
        count(parts.next()?, "passed")?,
        count(parts.next()?, "failed")?,
        count(parts.next()?, "expected to fail")?,
    ))
}

fn conclude(label: &str, ended: Result<Ended, String>, checks: &mut Checks, report: &mut Report) {
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => return report.fail(label, &why),
    };
    let last = ended.text.lines().next_back().unwrap_or_default();
    if ended.code == Some(EXIT_SKIPPED) {
        return report.skip(label, last.trim_start_matches("SKIPPED: "));
    }
    println!("  {last}");
    let counted = checks.add(last);
    let passed = ended.text_or_shown().map(drop);
    report.check(label, passed.and(counted));
}

/// What is installed of the DLLs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Halves {
    Both,
    WindowsAlone,
    /// The Unix half is of another version.
    Mismatched,
}

impl Halves {
    fn of_program(name: &str) -> &'static [Halves] {
        match name {
            "missing" => &[Halves::WindowsAlone, Halves::Mismatched],
            _ => &[Halves::Both],
        }
    }

    fn described(self) -> &'static str {
        match self {
            Halves::Both => "",
            Halves::WindowsAlone => " (no Unix half)",
            Halves::Mismatched => " (a Unix half of another version)",
        }
    }

    /// What must stand in Wine's output, for whoever looks for the cause.
    fn told(self) -> &'static str {
        match self {
            Halves::Both => "",
            Halves::WindowsAlone => "the Unix half, dstorage.so, was not found",
            Halves::Mismatched => "the Unix half, dstorage.so, is of another version",
        }
    }

    /// The folder for WINEDLLPATH.
    fn folder(self, tree: &Path) -> PathBuf {
        match self {
            Halves::Both => tree.to_path_buf(),
            Halves::WindowsAlone => tree.join("alone"),
            Halves::Mismatched => tree.join("mismatched"),
        }
    }
}

/// Lays out the folders that lack a half, or have a wrong one.
pub(crate) fn build_broken(tree: &Path, engine: &Engine) -> Result<(), String> {
    for halves in [Halves::WindowsAlone, Halves::Mismatched] {
        let folder = halves.folder(tree);
        for dll in DLLS {
            let half = build::windows_half(tree, dll);
            paths::copy(&half, &build::windows_half(&folder, dll))?;
            if halves == Halves::Mismatched {
                build::build_unix_half(&folder, dll, engine, &["-DUNIXLIB_VERSION=0"])?;
            }
        }
    }
    Ok(())
}

/// An empty folder with the program, the DLLs of `dlls`, and the d3d12 that the Wine was given: Wine only
/// finds a DLL, be it its own, if one of that name stands where Windows would look.
pub(crate) fn place(wine: &Wine, program: &Program, dlls: &Path) -> Result<PathBuf, String> {
    let folder = wine.folder().join("run").join(&program.name);
    let _ = fs::remove_dir_all(&folder);
    paths::copy(
        &program.binary,
        &folder.join(paths::name_of(&program.binary)),
    )?;
    for dll in DLLS.map(|dll| format!("{dll}.dll")) {
        paths::copy(&dlls.join(&dll), &folder.join(&dll))?;
    }
    if let Some(d3d12) = wine.d3d12() {
        for dll in D3D12_DLLS {
            paths::copy(&d3d12.join(dll), &folder.join(dll))?;
        }
    }
    Ok(folder)
}

/// Runs a program that stands in `folder`, which is also its working directory.
fn run(wine: &Wine, program: &Program, folder: &Path, halves: &Path) -> Ended {
    wine.run(&folder.join(paths::name_of(&program.binary)))
        .env("WINEDLLPATH", halves)
        .env("DS_LOG", "none")
        .directory(folder)
        .limit_s(RUN_LIMIT_S)
        .capture()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_up() {
        let mut checks = Checks::default();
        let line = "6 passed, 1 failed, 2 expected to fail (our DLL)";
        assert!(checks.add(line).is_err(), "one failed");
        assert!(checks.add("6 passed, 0 failed, 2 expected to fail").is_ok());
        assert!(checks.add("line 3: failed").is_err());
        assert_eq!((checks.passed, checks.failed, checks.expected), (12, 1, 4));
    }
}
