//! The shared library as the loader sees it: its name and what it exports.
//!
//! Exports are the ABI's outline. They are compared with the committed list `ds-capi/symbols.txt`, so that
//! one cannot appear or vanish without a line of review.
#![forbid(unsafe_code)]

use crate::paths;
use crate::sh::Cmd;
use std::path::Path;

const LIST: &str = "ds-capi/symbols.txt";
const LIST_HEADER: &str = "\
# What libds_runtime.so exports, one symbol a line, sorted.
# `cargo xtask test-c` compares; `cargo xtask test-c --bless` rewrites.
";

/// The name a program linked against the library asks the loader for.
pub(crate) fn soname_expected() -> String {
    format!("libds_runtime.so.{}", paths::version_major())
}

/// The name the library at `path` carries.
pub(crate) fn soname(path: &Path) -> Result<String, String> {
    let text = Cmd::new("readelf")
        .args(["-d", "-W"])
        .arg(path)
        .quiet()
        .capture()
        .text_or_shown()?;
    let line = text
        .lines()
        .find(|line| line.contains("(SONAME)"))
        .ok_or("it has no SONAME")?;
    let name = line
        .split(['[', ']'])
        .nth(1)
        .ok_or("readelf prints the SONAME in no known form")?;
    Ok(name.to_string())
}

/// Checks the SONAME.
pub(crate) fn check_soname(path: &Path) -> Result<(), String> {
    let (found, expected) = (soname(path)?, soname_expected());
    if found == expected {
        Ok(())
    } else {
        Err(format!("it is {found}, not {expected}"))
    }
}

/// What the library at `path` exports, sorted.
pub(crate) fn exports(path: &Path) -> Result<Vec<String>, String> {
    let text = Cmd::new("nm")
        .args(["-D", "--defined-only"])
        .arg(path)
        .quiet()
        .capture()
        .text_or_shown()?;
    Ok(parse_exports(&text))
}

/// `address type name` a line; only the name counts.
fn parse_exports(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| line.split_whitespace().count() == 3);
    let mut names: Vec<String> = lines
        .filter_map(|l| l.split_whitespace().last().map(String::from))
        .collect();
    names.sort();
    names
}

/// Checks that everything exported has our prefix and is on the list, and the other way round.
pub(crate) fn check_exports(path: &Path, bless: bool) -> Result<(), String> {
    let found = exports(path)?;
    if let Some(foreign) = found.iter().find(|name| !name.starts_with("ds_")) {
        return Err(format!(
            "`{foreign}` is exported and does not begin with ds_"
        ));
    }
    let list = paths::root().join(LIST);
    if bless {
        let body: String = found.iter().map(|name| format!("{name}\n")).collect();
        return paths::write(&list, &format!("{LIST_HEADER}{body}"));
    }
    let text = paths::read(&list)?;
    let listed: Vec<&str> = text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .collect();
    let differences = differences(&listed, &found);
    differences.iter().for_each(|line| println!("  {line}"));
    match differences.len() {
        0 => Ok(()),
        count => Err(format!(
            "{count} differences from {LIST}; if meant, run `cargo xtask test-c --bless`"
        )),
    }
}

fn differences(listed: &[&str], found: &[String]) -> Vec<String> {
    let gone = listed
        .iter()
        .filter(|name| !found.iter().any(|f| f == *name))
        .map(|name| format!("- {name}"));
    let new = found
        .iter()
        .filter(|name| !listed.contains(&name.as_str()))
        .map(|name| format!("+ {name}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let text = "0000000000001139 T ds_b\n0000000000004010 D ds_a\n                 w weak\n";
        assert_eq!(parse_exports(text), ["ds_a", "ds_b"]);
    }

    #[test]
    fn differences_have_a_direction() {
        assert_eq!(
            differences(&["ds_a", "ds_b"], &["ds_b".into(), "ds_c".into()]),
            ["- ds_a", "+ ds_c"]
        );
    }
}
