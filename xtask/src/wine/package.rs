//! What a player does, done: install with setup.sh, run the sample, uninstall; each twice.
//!
//! Works on a package like the release archive, made of what `target/wine` has, and on the prefix of a Wine;
//! with a Wine whose files are ours to change, on a Proton made of those, too. Checked are the sample's words
//! and exit status, the DLL's version and its banner, that WINEDLLOVERRIDES switches it off, and that
//! uninstalling leaves everything as it was.
#![forbid(unsafe_code)]

use super::build::{self, DLLS};
use super::host::Wine;
use super::oracle;
use super::samples;
use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd, Ended};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const SAMPLE: &str = "dstorage-sample.exe";

/// The sample's exit status without any dstorage.dll.
const EXIT_NONE: i32 = 4;
const RUN_LIMIT_S: u64 = 120;

/// Builds the programs that go with the DLLs into `bin`.
pub(crate) fn build_samples(bin: &Path) -> Result<(), String> {
    let source = paths::root().join("bench/wine/sample.c");
    build::program(&source, &bin.join(SAMPLE), &["-lversion"])?;
    samples::build(bin)
}

/// A folder as the archive unpacks to, as far as Wine is concerned.
pub(crate) fn lay_out(tree: &Path) -> Result<PathBuf, String> {
    let package = tree.join("package");
    let _ = fs::remove_dir_all(&package);
    for dll in DLLS {
        let libraries = package.join("lib/wine");
        for half in [build::windows_half, build::unix_half] {
            paths::copy(&half(tree, dll), &half(&libraries, dll))?;
        }
    }
    let script = paths::root().join("setup.sh");
    paths::copy(&script, &package.join("setup.sh"))?;
    build_samples(&package.join("bin"))?;
    Ok(package)
}

/// The script itself, read by a tool that knows the pitfalls.
pub(crate) fn check_script(report: &mut Report) {
    let name = "setup.sh: shellcheck";
    if !sh::have("shellcheck") {
        return report.skip(name, "shellcheck is not here");
    }
    let check = Cmd::new("shellcheck").args(["--shell=sh", "setup.sh"]);
    report.check(name, check.quiet().capture().text_or_shown().map(drop));
}

/// Everything, with one Wine, whose prefix is complete.
pub(crate) fn try_all(wine: &Wine, package: &Path, report: &mut Report) {
    let name = |what: &str| format!("{}: {what}", wine.name);
    report.check(
        &name("setup.sh and the sample, in a prefix"),
        in_a_prefix(wine, package),
    );
    if wine.is_ours() {
        report.check(
            &name("setup.sh and the sample, in a Proton"),
            in_a_proton(wine, package),
        );
    }
}

fn setup(package: &Path, verb: &str, kind: &str, place: &Path) -> Result<String, String> {
    let setup = Cmd::new("sh").arg(package.join("setup.sh"));
    let setup = setup.args([verb, kind]).arg(place);
    setup.quiet().limit_s(60).capture().text_or_shown()
}

/// What is in a folder: paths, and sums of what may be changed.
fn contents(folder: &Path) -> Result<String, String> {
    let list = "find . -print; find . -name 'dstorage*' -type f -exec cksum {} +";
    let list = Cmd::new("sh").args(["-c", list]).directory(folder);
    let text = list.quiet().limit_s(60).capture().text_or_shown()?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    Ok(lines.join("\n"))
}

/// The sample alone in a folder, with the DLLs that are installed.
fn sample(wine: &Wine, package: &Path, dll_path: Option<&Path>) -> Result<Cmd, String> {
    let folder = wine.folder().join("run/sample");
    let _ = fs::remove_dir_all(&folder);
    let program = folder.join(SAMPLE);
    paths::copy(&package.join("bin").join(SAMPLE), &program)?;
    // As a game does: with a DLL of its own, where Wine's own libraries have the one that counts.
    if dll_path.is_none() {
        let half = build::windows_half(&package.join("lib/wine"), "dstorage");
        build::copy_unmarked(&half, &folder.join("dstorage.dll"))?;
    }
    let run = wine.run(&program).arg("8").directory(&folder);
    let run = run.env("DS_CONFIG", "io_threads=2").limit_s(RUN_LIMIT_S);
    Ok(match dll_path {
        Some(path) => run.env("WINEDLLPATH", path),
        None => run,
    })
}

/// The sample must say that ours is at work, which version, and how; the banner is one line. Switched off, it
/// is not.
fn check_at_work(wine: &Wine, sample: impl Fn() -> Result<Cmd, String>) -> Result<(), String> {
    check_banner(sample()?.capture())?;
    let overrides = wine.overrides(oracle::OVERRIDES);
    let off = sample()?.env("WINEDLLOVERRIDES", overrides).capture();
    match off.code {
        Some(EXIT_NONE) if !off.text.contains("backend ") => Ok(()),
        code => Err(format!("switched off, the sample ends with {code:?}")),
    }
}

fn check_banner(ended: Ended) -> Result<(), String> {
    let text = ended.text_or_shown()?;
    let version = paths::version();
    let banner: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(&format!("ds-runtime {version}, backend ")))
        .collect();
    let [banner] = banner[..] else {
        println!("{text}");
        return Err(format!("there are {} banners", banner.len()));
    };
    for part in ["io_threads=2", "\\dstorage.dll"] {
        if !banner.contains(part) {
            return Err(format!("the banner has no `{part}`: {banner}"));
        }
    }
    let says = |what: &str| match text.contains(what) {
        true => Ok(()),
        false => Err(format!("the sample does not say `{what}`")),
    };
    says(&format!("ds-runtime {version}"))?;
    says("ds-runtime is at work.")
}

fn check_gone(sample: Cmd) -> Result<(), String> {
    match sample.capture().code {
        Some(EXIT_NONE) => Ok(()),
        code => Err(format!("after uninstalling, the sample ends with {code:?}")),
    }
}

/// Installs twice, runs, uninstalls twice, and compares.
fn round(
    package: &Path,
    kind: &str,
    place: &Path,
    is_at_work: impl Fn() -> Result<(), String>,
) -> Result<(), String> {
    let before = contents(place)?;
    setup(package, "install", kind, place)?;
    let installed = contents(place)?;
    let again = setup(package, "install", kind, place)?;
    if contents(place)? != installed || again.contains("installed:") {
        return Err("installing twice is not the same as once".into());
    }
    is_at_work()?;
    setup(package, "uninstall", kind, place)?;
    let after = contents(place)?;
    if after != before {
        let new = after.lines().filter(|line| !before.contains(line));
        let new: Vec<&str> = new.collect();
        return Err(format!("uninstalling leaves: {}", new.join(", ")));
    }
    let again = setup(package, "uninstall", kind, place)?;
    match again.contains("nothing is installed") {
        true => Ok(()),
        false => Err("uninstalling twice finds something to do".into()),
    }
}

fn in_a_prefix(wine: &Wine, package: &Path) -> Result<(), String> {
    let prefix = wine.prefix();
    let libraries = prefix.join("ds-runtime/wine");
    let at_work = || check_at_work(wine, || sample(wine, package, Some(&libraries)));
    round(package, "--prefix", &prefix, at_work)?;
    check_gone(sample(wine, package, Some(&libraries))?)?;
    // What another put there stays.
    let foreign = prefix.join("drive_c/windows/system32/dstorage.dll");
    paths::write(&foreign, "another's")?;
    let tried = round(package, "--prefix", &prefix, at_work);
    let kept = paths::read(&foreign);
    fs::remove_file(&foreign).map_err(|e| format!("{}: {e}", foreign.display()))?;
    tried?;
    match kept?.as_str() {
        "another's" => Ok(()),
        _ => Err("another's DLL was not put back".into()),
    }
}

/// A folder that looks like a Proton and holds that Wine's libraries.
fn in_a_proton(wine: &Wine, package: &Path) -> Result<(), String> {
    let proton = wine.folder().join("proton");
    let _ = fs::remove_dir_all(&proton);
    let libraries = proton.join("files/lib");
    paths::make_parent(&libraries.join("wine"))?;
    symlink(wine.libraries(), libraries.join("wine"))
        .map_err(|e| format!("cannot link {}: {e}", libraries.display()))?;
    let at_work = || check_at_work(wine, || sample(wine, package, None));
    round(package, "--proton", &proton, at_work)?;
    check_gone(sample(wine, package, None)?)
}
