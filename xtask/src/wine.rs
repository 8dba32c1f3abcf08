//! `cargo xtask wine [program]`: dstorage.dll and dstoragecore.dll, and Windows programs that use them.
//!
//! Builds both halves of each DLL (mingw-w64 for Windows, the system's compiler and the static engine for
//! Unix) under `target/wine`, marks the Windows halves as Wine's own, checks that the halves fit, and runs
//! every program in `tests/dstorage`, or the one that is named, under the installed Wine: without a display,
//! in a prefix of its own, each program in an empty directory.
//!
//! Where Wine or the compiler is missing the command says so and skips.
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd, Ended};
use crate::symbols;
use std::fs;
use std::path::{Path, PathBuf};

const WINDOWS_COMPILER: &str = "x86_64-w64-mingw32-gcc";
const WINDOWS_RESOURCES: &str = "x86_64-w64-mingw32-windres";

/// The DLLs. Each has one file of its own, by its name; all others are common.
const DLLS: [&str; 2] = ["dstorage", "dstoragecore"];

/// Where Debian has Wine's programs that are not in PATH, and what else they are called.
const WINE_DIRECTORY: &str = "/usr/lib/wine";
const LOADERS: &[&str] = &["wine64", "wine"];
const SERVERS: &[&str] = &["wineserver", "wineserver64"];

const RUN_LIMIT_S: u64 = 120;
const PREFIX_LIMIT_S: u64 = 180;

/// The exit status of a program that could not test anything.
const EXIT_SKIPPED: i32 = 77;

/// The mark by which Wine knows its own DLLs, and where it stands: in the DOS stub, which nobody runs.
const MARK: &[u8; 32] = b"Wine builtin DLL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const MARK_AT: usize = 0x40;
/// Where the offset of the PE header stands.
const PE_HEADER_AT: usize = 0x3C;

/// Builds the DLLs, checks them and runs the programs.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let only = match arguments {
        [] => None,
        [one] => Some(one.as_str()),
        _ => return Err("usage: cargo xtask wine [program]".into()),
    };
    if let Some(missing) = [WINDOWS_COMPILER, WINDOWS_RESOURCES]
        .iter()
        .find(|tool| !sh::have(tool))
    {
        report.skip("wine", &format!("{missing} is not here"));
        return Ok(());
    }
    let tree = paths::target().join("wine");
    build(&tree)?;
    report.pass("wine: both halves of both DLLs are built");
    report.check("wine: the table has every call", check_table());
    for dll in DLLS {
        let name = format!("wine: {dll}.so exports its table alone");
        report.check(&name, check_exports(&tree, dll));
    }
    let Some(wine) = Wine::find(&tree) else {
        report.skip("wine: programs", "Wine is not here");
        return Ok(());
    };
    wine.make_prefix()?;
    programs(&wine, only, report);
    wine.end();
    Ok(())
}

fn glue() -> PathBuf {
    paths::root().join("wine-glue")
}

// --- Building ----------------------------------------------------------------------------------------------

fn windows_half(tree: &Path, dll: &str) -> PathBuf {
    tree.join("x86_64-windows").join(format!("{dll}.dll"))
}

fn unix_half(tree: &Path, dll: &str) -> PathBuf {
    tree.join("x86_64-unix").join(format!("{dll}.so"))
}

fn make_directory(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|e| format!("cannot make {}: {e}", path.display()))
}

fn build(tree: &Path) -> Result<(), String> {
    Cmd::cargo()
        .args(["build", "--release", "--quiet", "--package", "ds-capi"])
        .run()?;
    for dll in DLLS {
        for file in [windows_half(tree, dll), unix_half(tree, dll)] {
            make_directory(file.parent().unwrap_or(tree))?;
        }
        build_windows_half(tree, dll)?;
        build_unix_half(tree, dll, &[])?;
    }
    Ok(())
}

fn compile_windows() -> Cmd {
    Cmd::new(WINDOWS_COMPILER)
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2"])
        .args(["-D_WIN32_WINNT=0x0A00", "-static-libgcc"])
        .limit_s(120)
        .quiet()
}

fn build_windows_half(tree: &Path, dll: &str) -> Result<(), String> {
    let output = windows_half(tree, dll);
    let others = DLLS.map(|other| format!("{other}.c"));
    let own = format!("{dll}.c");
    let sources = paths::files_in(&glue().join("pe"), &["c"]);
    let sources = sources.iter().filter(|source| {
        let name = paths::name_of(source);
        name == own || !others.contains(&name)
    });
    compile_windows()
        .arg(format!("-DUNIX_LIBRARY_NAME=L\"{dll}.so\""))
        .args(["-shared", "-s", "-o"])
        .arg(&output)
        .args(sources)
        .arg(glue().join(format!("pe/{dll}.def")))
        .arg(build_resources(dll)?)
        .arg("-lntdll")
        .capture()
        .text_or_shown()?;
    mark(&output)
}

fn build_resources(dll: &str) -> Result<PathBuf, String> {
    let output = paths::scratch("wine")?.join(format!("{dll}.res.o"));
    let numbers = paths::version().replace('.', ",") + ",0";
    Cmd::new(WINDOWS_RESOURCES)
        .arg(format!("-DVERSION_NUMBERS={numbers}"))
        .arg(format!("-DVERSION_TEXT=\\\"{}\\\"", paths::version()))
        .arg(format!("-DDLL_NAME=\\\"{dll}.dll\\\""))
        .arg(glue().join("pe/version.rc"))
        .arg(&output)
        .limit_s(60)
        .quiet()
        .capture()
        .text_or_shown()?;
    Ok(output)
}

fn mark(path: &Path) -> Result<(), String> {
    let mut bytes = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    mark_bytes(&mut bytes)?;
    fs::write(path, bytes).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn mark_bytes(bytes: &mut [u8]) -> Result<(), String> {
    let header = bytes.get(PE_HEADER_AT..PE_HEADER_AT + 4);
    let header = header.ok_or("it is no DLL: too short")?;
    let header = u32::from_le_bytes(header.try_into().expect("four bytes")) as usize;
    let end = MARK_AT + MARK.len();
    if header < end || header >= bytes.len() {
        return Err("its header leaves no room for the mark".into());
    }
    bytes[MARK_AT..end].copy_from_slice(MARK);
    Ok(())
}

fn build_unix_half(tree: &Path, dll: &str, flags: &[&str]) -> Result<(), String> {
    let map = glue().join("unix/exports.map");
    Cmd::new("gcc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2"])
        .args(flags)
        .args(["-fPIC", "-fvisibility=hidden", "-shared", "-s", "-I"])
        .arg(paths::root().join("include"))
        .arg("-o")
        .arg(unix_half(tree, dll))
        .args(paths::files_in(&glue().join("unix"), &["c"]))
        .arg(paths::target().join("release/libds_runtime.a"))
        .arg(format!("-Wl,--version-script={}", map.display()))
        .args(["-Wl,--gc-sections", "-Wl,-z,defs", "-pthread", "-lm"])
        .limit_s(120)
        .quiet()
        .capture()
        .text_or_shown()
        .map(drop)
}

// --- Checking ----------------------------------------------------------------------------------------------

fn check_exports(tree: &Path, dll: &str) -> Result<(), String> {
    let found = symbols::exports(&unix_half(tree, dll))?;
    match found.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["__wine_unix_call_funcs"] => Ok(()),
        _ => Err(format!("it exports {}", found.join(", "))),
    }
}

/// A call without an entry would be a jump to nowhere, and the compiler does not say so.
fn check_table() -> Result<(), String> {
    let header = paths::read(&glue().join("unixlib.h"))?;
    let table = paths::read(&glue().join("unix/table.c"))?;
    let codes = codes_of(&header);
    if codes.is_empty() {
        return Err("unixlib.h lists no calls".into());
    }
    let without = codes
        .into_iter()
        .find(|code| table.matches(&format!("[{code}] = ")).count() != 1);
    without.map_or(Ok(()), |code| {
        Err(format!("unix/table.c has not one entry for {code}"))
    })
}

/// The names in the enumeration of calls, but for the last, which counts them.
fn codes_of(header: &str) -> Vec<&str> {
    header
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with("UNIX_"))
        .filter_map(|line| line.strip_suffix(','))
        .collect()
}

// --- Running -----------------------------------------------------------------------------------------------

/// The installed Wine, with a prefix for the tests alone.
struct Wine {
    loader: PathBuf,
    server: PathBuf,
    tree: PathBuf,
}

impl Wine {
    fn find(tree: &Path) -> Option<Wine> {
        Some(Wine {
            loader: find_program(LOADERS)?,
            server: find_program(SERVERS)?,
            tree: tree.to_path_buf(),
        })
    }

    fn prefix(&self) -> PathBuf {
        self.tree.join("prefix")
    }

    fn command(&self, program: &Path) -> Cmd {
        Cmd::new(program)
            .env("WINEPREFIX", self.prefix())
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            .env("WINESERVER", &self.server)
            // What would ask for a download in a fresh prefix.
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env("DISPLAY", "")
            .quiet()
    }

    fn make_prefix(&self) -> Result<(), String> {
        if self.prefix().join("system.reg").is_file() {
            return Ok(());
        }
        make_directory(&self.prefix())?;
        println!("$ wineboot -i");
        let boot = self.command(&self.loader).args(["wineboot", "-i"]);
        boot.limit_s(PREFIX_LIMIT_S).capture().text_or_shown()?;
        let wait = self.command(&self.server).arg("-w");
        wait.limit_s(PREFIX_LIMIT_S)
            .capture()
            .text_or_shown()
            .map(drop)
    }

    /// Ends what Wine left running in the prefix.
    fn end(&self) {
        let _ = self.command(&self.server).arg("-k").limit_s(30).capture();
    }
}

fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.push(WINE_DIRECTORY.into());
    names
        .iter()
        .flat_map(|name| directories.iter().map(move |d| d.join(name)))
        .find(|program| program.is_file())
}

fn programs(wine: &Wine, only: Option<&str>, report: &mut Report) {
    let mut found = 0;
    for source in paths::files_in(&paths::root().join("tests/dstorage"), &["c"]) {
        let name = paths::name_of(&source);
        let stem = name.trim_end_matches(".c");
        if only.is_some_and(|only| only != stem) {
            continue;
        }
        found += 1;
        for halves in Halves::of_program(stem) {
            let label = format!("wine: {stem}{}", halves.described());
            conclude(&label, program(wine, &source, stem, *halves), report);
        }
    }
    if found == 0 {
        report.fail("wine: programs", "there is no such program");
    }
}

fn conclude(label: &str, ended: Result<Ended, String>, report: &mut Report) {
    match ended {
        Err(why) => report.fail(label, &why),
        Ok(ended) if ended.code == Some(EXIT_SKIPPED) => {
            let last = ended.text.lines().next_back().unwrap_or("it says nothing");
            report.skip(label, last);
        }
        Ok(ended) => {
            println!("  {}", ended.text.lines().next_back().unwrap_or_default());
            report.check(label, ended.text_or_shown().map(drop));
        }
    }
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
    fn of_program(stem: &str) -> &'static [Halves] {
        match stem {
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

    /// The folder for WINEDLLPATH.
    fn install(self, tree: &Path) -> Result<PathBuf, String> {
        let place = match self {
            Halves::Both => return Ok(tree.to_path_buf()),
            Halves::WindowsAlone => tree.join("alone"),
            Halves::Mismatched => tree.join("mismatched"),
        };
        for dll in DLLS {
            for file in [windows_half(&place, dll), unix_half(&place, dll)] {
                make_directory(file.parent().unwrap_or(&place))?;
            }
            copy(&windows_half(tree, dll), &windows_half(&place, dll))?;
            if self == Halves::Mismatched {
                build_unix_half(&place, dll, &["-DUNIXLIB_VERSION=0"])?;
            }
        }
        Ok(place)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map(drop)
        .map_err(|e| format!("cannot copy to {}: {e}", to.display()))
}

/// Builds a program and runs it in an empty directory, which holds it and the DLLs. Those are only found if
/// they stand there, too; what is loaded is the pair under WINEDLLPATH.
fn program(wine: &Wine, source: &Path, stem: &str, halves: Halves) -> Result<Ended, String> {
    let directory = wine.tree.join("run").join(stem);
    let _ = fs::remove_dir_all(&directory);
    make_directory(&directory)?;
    let binary = directory.join(format!("{stem}.exe"));
    compile_windows()
        .arg(source)
        .arg("-o")
        .arg(&binary)
        .capture()
        .text_or_shown()?;
    for dll in DLLS {
        copy(
            &windows_half(&wine.tree, dll),
            &directory.join(format!("{dll}.dll")),
        )?;
    }
    Ok(wine
        .command(&wine.loader)
        .env("WINEDLLPATH", halves.install(&wine.tree)?)
        .env("DS_LOG", "none")
        .arg(&binary)
        .directory(&directory)
        .limit_s(RUN_LIMIT_S)
        .capture())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dll_with_header_at(at: u32) -> Vec<u8> {
        let mut bytes = vec![0; 0x100];
        bytes[PE_HEADER_AT..PE_HEADER_AT + 4].copy_from_slice(&at.to_le_bytes());
        bytes
    }

    #[test]
    fn the_mark_goes_before_the_header_or_nowhere() {
        let mut bytes = dll_with_header_at(0x80);
        mark_bytes(&mut bytes).unwrap();
        assert_eq!(&bytes[0x40..0x50], b"Wine builtin DLL");
        assert!(bytes[0x50..].iter().all(|&byte| byte == 0));
        for at in [0x40, 0x5F, 0x100, u32::MAX] {
            assert!(mark_bytes(&mut dll_with_header_at(at)).is_err(), "{at:#x}");
        }
        assert!(mark_bytes(&mut [0; 0x3F]).is_err());
    }

    #[test]
    fn the_calls_are_found_and_their_count_is_not_one() {
        let header = "enum {\n    UNIX_A,\n    UNIX_B,\n    UNIX_CODE_COUNT\n};\n";
        assert_eq!(codes_of(header), ["UNIX_A", "UNIX_B"]);
        assert_eq!(check_table(), Ok(()));
    }
}
