//! Both halves of both DLLs, built into a tree that Wine can be pointed at.
//!
//! The Windows halves come from mingw-w64, the Unix halves from the system's compiler and the static engine.
//! The Windows halves get the mark by which Wine knows its own DLLs; no tool or header of Wine is needed.
#![forbid(unsafe_code)]

use crate::paths;
use crate::sh::{self, Cmd};
use crate::symbols;
use std::fs;
use std::path::{Path, PathBuf};

const WINDOWS_COMPILER: &str = "x86_64-w64-mingw32-gcc";
const WINDOWS_RESOURCES: &str = "x86_64-w64-mingw32-windres";

/// Far more than a compiler takes here, for machines that do much else besides.
const BUILD_LIMIT_S: u64 = 600;

/// The DLLs. Each has one file of its own, by its name; all others are common.
pub(crate) const DLLS: [&str; 2] = ["dstorage", "dstoragecore"];

/// The folders Wine looks into, below each of the places where it looks.
pub(crate) const WINDOWS_FOLDER: &str = "x86_64-windows";
pub(crate) const UNIX_FOLDER: &str = "x86_64-unix";

/// The mark by which Wine knows its own DLLs, and where it stands: in the DOS stub, which nobody runs.
const MARK: &[u8; 32] = b"Wine builtin DLL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const MARK_AT: usize = 0x40;
/// Where the offset of the PE header stands.
const PE_HEADER_AT: usize = 0x3C;

/// The tool without which no Windows half can be made, if it is missing.
pub(crate) fn missing_tool() -> Option<&'static str> {
    [WINDOWS_COMPILER, WINDOWS_RESOURCES]
        .into_iter()
        .find(|tool| !sh::have(tool))
}

/// Where the Windows halves lie in `tree`.
pub(crate) fn windows_folder(tree: &Path) -> PathBuf {
    tree.join(WINDOWS_FOLDER)
}

/// Where the Windows half of `dll` lies in `tree`.
pub(crate) fn windows_half(tree: &Path, dll: &str) -> PathBuf {
    windows_folder(tree).join(format!("{dll}.dll"))
}

/// Where the Unix half of `dll` lies in `tree`.
pub(crate) fn unix_half(tree: &Path, dll: &str) -> PathBuf {
    tree.join(UNIX_FOLDER).join(format!("{dll}.so"))
}

/// The engine as the Unix halves take it in: a static library, and what the linker is told beside it.
pub(crate) struct Engine {
    pub(crate) library: PathBuf,
    pub(crate) link_with: Vec<String>,
}

/// Builds the engine in the release profile of the common build tree.
pub(crate) fn engine() -> Result<Engine, String> {
    Cmd::cargo()
        .args(["build", "--release", "--quiet", "--package", "ds-capi"])
        .run()?;
    Ok(Engine {
        library: paths::target().join("release/libds_runtime.a"),
        link_with: Vec::new(),
    })
}

/// Builds all halves into `tree`.
pub(crate) fn build(tree: &Path, engine: &Engine) -> Result<(), String> {
    for dll in DLLS {
        build_windows_half(tree, dll)?;
        build_unix_half(tree, dll, engine, &[])?;
    }
    Ok(())
}

fn glue() -> PathBuf {
    paths::root().join("wine-glue")
}

fn compile_windows() -> Cmd {
    Cmd::new(WINDOWS_COMPILER)
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2"])
        .args(["-D_WIN32_WINNT=0x0A00", "-static-libgcc"])
        // The time of the build would make each archive another one.
        .arg("-Wl,--no-insert-timestamp")
        .limit_s(BUILD_LIMIT_S)
        .quiet()
}

/// Builds a Windows program of one file.
pub(crate) fn program(source: &Path, output: &Path, libraries: &[&str]) -> Result<(), String> {
    paths::make_parent(output)?;
    compile_windows()
        .arg(source)
        .args(["-s", "-o"])
        .arg(output)
        .args(libraries)
        .capture()
        .text_or_shown()
        .map(drop)
}

fn build_windows_half(tree: &Path, dll: &str) -> Result<(), String> {
    let output = windows_half(tree, dll);
    paths::make_parent(&output)?;
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

/// Whether a DLL carries Wine's mark.
pub(crate) fn is_marked(bytes: &[u8]) -> bool {
    bytes.get(MARK_AT..MARK_AT + MARK.len()) == Some(MARK)
}

/// A copy of a Windows half without the mark: to Wine, any program's own DLL.
pub(crate) fn copy_unmarked(from: &Path, to: &Path) -> Result<(), String> {
    let mut bytes = fs::read(from).map_err(|e| format!("cannot read {}: {e}", from.display()))?;
    if !is_marked(&bytes) {
        return Err(format!("{} has no mark", from.display()));
    }
    bytes[MARK_AT..MARK_AT + MARK.len()].fill(0);
    fs::write(to, bytes).map_err(|e| format!("cannot write {}: {e}", to.display()))
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

/// Builds the Unix half of `dll` into `tree`, with more flags for the compiler.
pub(crate) fn build_unix_half(
    tree: &Path,
    dll: &str,
    engine: &Engine,
    flags: &[&str],
) -> Result<(), String> {
    let map = glue().join("unix/exports.map");
    let output = unix_half(tree, dll);
    paths::make_parent(&output)?;
    Cmd::new("gcc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2"])
        .args(flags)
        .args(["-fPIC", "-fvisibility=hidden", "-shared", "-s", "-I"])
        .arg(paths::root().join("include"))
        .arg("-o")
        .arg(output)
        .args(paths::files_in(&glue().join("unix"), &["c"]))
        .args(&engine.link_with)
        .arg(&engine.library)
        .arg(format!("-Wl,--version-script={}", map.display()))
        .args(["-Wl,--gc-sections", "-Wl,-z,defs", "-pthread", "-lm"])
        .limit_s(BUILD_LIMIT_S)
        .quiet()
        .capture()
        .text_or_shown()
        .map(drop)
}

/// The Unix half exports its table and nothing else.
pub(crate) fn check_exports(tree: &Path, dll: &str) -> Result<(), String> {
    let found = symbols::exports(&unix_half(tree, dll))?;
    match found.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["__wine_unix_call_funcs"] => Ok(()),
        _ => Err(format!("it exports {}", found.join(", "))),
    }
}

/// A call without an entry would be a jump to nowhere, and the compiler does not say so.
pub(crate) fn check_table() -> Result<(), String> {
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
        assert!(is_marked(&bytes) && !is_marked(&dll_with_header_at(0x80)));
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
