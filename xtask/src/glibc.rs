//! The oldest glibc that what ships runs with: linked for, and checked.
//!
//! Proton 8 to 10 run games in a container made of Debian 11, whose glibc is 2.31. What the linker of a newer
//! system would bind to newer versions, `templates/older_glibc.c` binds to old ones. See docs/adr/0009.
#![forbid(unsafe_code)]

use crate::paths;
use crate::sh::Cmd;
use std::path::{Path, PathBuf};

/// The floor, as glibc counts.
pub(crate) const FLOOR: (u32, u32) = (2, 31);

/// Every library that may be asked for: glibc's own, and the unwinder, which that container has, too.
const LIBRARIES: &[&str] = &[
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
];

/// What a linker run through gcc is told beside all else: the object with the old versions, and the libraries
/// that had some of the functions before glibc 2.34.
pub(crate) fn link_arguments() -> Result<Vec<String>, String> {
    let object = compile()?;
    Ok(vec![
        object.display().to_string(),
        "-Wl,--push-state,--no-as-needed,-l:libpthread.so.0,-l:libdl.so.2,--pop-state".into(),
    ])
}

fn compile() -> Result<PathBuf, String> {
    let object = paths::scratch("dist")?.join("older_glibc.o");
    Cmd::new("gcc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC"])
        .args(["-fvisibility=hidden", "-fno-builtin", "-ffunction-sections"])
        .arg("-c")
        .arg(paths::root().join("xtask/templates/older_glibc.c"))
        .arg("-o")
        .arg(&object)
        .quiet()
        .limit_s(60)
        .capture()
        .text_or_shown()?;
    Ok(object)
}

/// Checks that an ELF file asks for no glibc above the floor and for no other library.
pub(crate) fn check(file: &Path) -> Result<(), String> {
    let read = |what: &str| {
        let readelf = Cmd::new("readelf").args([what, "-W"]).arg(file);
        readelf.quiet().limit_s(60).capture().text_or_shown()
    };
    let newer = newer_than(&read("--dyn-syms")?, FLOOR);
    if !newer.is_empty() {
        return Err(format!("it asks for {}", newer.join(", ")));
    }
    let dynamic = read("--dynamic")?;
    match needed(&dynamic).find(|name| !LIBRARIES.contains(name)) {
        Some(other) => Err(format!("it needs {other}")),
        None => Ok(()),
    }
}

/// The symbols, as `name@GLIBC_version`, whose version is above `floor`, or is no number.
fn newer_than(symbols: &str, floor: (u32, u32)) -> Vec<String> {
    let words = symbols.split_whitespace();
    let asked = words.filter_map(|word| Some((word, word.split_once("@GLIBC_")?.1)));
    let mut newer: Vec<String> = asked
        .filter(|(_, version)| number(version).is_none_or(|number| number > floor))
        .map(|(word, _)| word.to_string())
        .collect();
    newer.sort();
    newer.dedup();
    newer
}

/// `2.2.5` is (2, 2).
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// The libraries a file names, from readelf's list of its dynamic section.
fn needed(dynamic: &str) -> impl Iterator<Item = &str> {
    let lines = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| line.split(['[', ']']).nth(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_versions_are_found() {
        let symbols = "\
     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND read@GLIBC_2.2.5 (2)
     2: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND statx@GLIBC_2.31 (3)
     3: 0000000000000000     0 FUNC    WEAK   DEFAULT  UND stat@GLIBC_2.33 (4)
     4: 0000000000000000     0 OBJECT  GLOBAL DEFAULT  UND x@GLIBC_PRIVATE (5)
     5: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND _Unwind_Backtrace@GCC_3.3 (6)
     6: 0000000000001000     0 FUNC    GLOBAL DEFAULT   12 ds_runtime_create\n";
        assert_eq!(
            newer_than(symbols, FLOOR),
            ["stat@GLIBC_2.33", "x@GLIBC_PRIVATE"]
        );
    }

    #[test]
    fn libraries_are_found() {
        let dynamic = " 0x01 (NEEDED)  Shared library: [libc.so.6]\n 0x0e (SONAME)  [a.so]\n";
        assert_eq!(needed(dynamic).collect::<Vec<_>>(), ["libc.so.6"]);
    }
}
