//! No Rust file lies about that nothing compiles.
//!
//! Starts at the files Cargo compiles by convention and follows `mod name;`, with `#[path]` where it stands.

#![forbid(unsafe_code)]

use super::{Finding, Source, exempt, resolve, word_offsets};
use std::collections::HashSet;

/// Rust files that no crate root leads to.
pub(crate) fn dead_files(sources: &[Source]) -> Vec<Finding> {
    let reached = reached(sources);
    let excused = |path: &str| exempt::UNREACHED.iter().any(|e| e.0 == path);
    let dead = sources
        .iter()
        .filter(|s| s.is_rust() && !reached.contains(&s.path) && !excused(&s.path));
    dead.map(|s| Finding::new(&s.path, 1, "no `mod` leads here, so nothing compiles it"))
        .collect()
}

/// Whether the file has a `mod name;`.
pub(crate) fn declares_modules(source: &Source) -> bool {
    !declared(source).is_empty()
}

/// The path of `source` and of the files above it that lead to it, nearest first, up to a crate root.
pub(crate) fn lineage<'a>(sources: &'a [Source], source: &'a Source) -> Vec<&'a Source> {
    let mut line = vec![source];
    let leads_to = |from: &Source, to: &Source| candidates(from).any(|path| path == to.path);
    while let Some(child) = line.last() {
        let parent = sources.iter().find(|s| s.is_rust() && leads_to(s, child));
        match parent.filter(|parent| !line.iter().any(|s| s.path == parent.path)) {
            Some(parent) => line.push(parent),
            None => break,
        }
    }
    line
}

fn reached(sources: &[Source]) -> HashSet<String> {
    let mut reached = HashSet::new();
    let mut pending: Vec<&Source> = sources.iter().filter(|s| is_crate_root(&s.path)).collect();
    while let Some(source) = pending.pop() {
        if !reached.insert(source.path.clone()) {
            continue;
        }
        for wanted in candidates(source) {
            pending.extend(sources.iter().filter(|s| s.path == wanted));
        }
    }
    reached
}

/// Where the files may be that `source` declares as modules.
fn candidates(source: &Source) -> impl Iterator<Item = String> {
    let from = source.path.clone();
    declared(source)
        .into_iter()
        .flat_map(move |module| module.candidates(&from))
}

/// Cargo's conventions; no manifest of ours names any other file.
fn is_crate_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [.., "src", "lib.rs" | "main.rs"] | [.., "build.rs"] => true,
        [.., "src", "bin", file] | [.., "src", "bin", _, file @ "main.rs"] => file.ends_with(".rs"),
        [.., "tests" | "examples" | "benches", file] => file.ends_with(".rs"),
        [.., "tests" | "examples" | "benches", _, "main.rs"] => true,
        _ => false,
    }
}

/// A `mod name;` or `#[path = "file"] mod name;`.
#[derive(Debug, PartialEq, Eq)]
struct Module {
    name: String,
    path: Option<String>,
}

impl Module {
    /// Where the file may be, seen from the file that declares it.
    fn candidates(&self, from: &str) -> Vec<String> {
        let (directory, file) = from.rsplit_once('/').map_or(("", from), |(d, f)| (d, f));
        if let Some(path) = &self.path {
            return resolve(directory, path).into_iter().collect();
        }
        let stem = file.trim_end_matches(".rs");
        let base = match is_crate_root(from) || stem == "mod" {
            true => directory.to_string(),
            false => format!("{directory}/{stem}"),
        };
        let names = [format!("{}.rs", self.name), format!("{}/mod.rs", self.name)];
        names
            .iter()
            .filter_map(|name| resolve(&base, name))
            .collect()
    }
}

fn declared(source: &Source) -> Vec<Module> {
    let code = &source.code;
    let mut modules = Vec::new();
    for at in word_offsets(code, "mod") {
        let after = code[at + 3..].trim_start();
        let name: String = after
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if !name.is_empty() && after[name.len()..].trim_start().starts_with(';') {
            modules.push(Module {
                name,
                path: path_attribute(source, at),
            });
        }
    }
    modules
}

/// The file of a `#[path = "file"]` in the attributes just before the `mod` at `at`.
fn path_attribute(source: &Source, at: usize) -> Option<String> {
    let before = &source.code[..at];
    let item = before.rfind([';', '}', '{']).map_or(0, |end| end + 1);
    // The blanked code says where the attribute is; its string is only in the text.
    let attribute = item + before[item..].rfind("#[path")?;
    let quoted = &source.text[attribute..at];
    quoted.split('"').nth(1).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::new(path, text))
            .collect();
        dead_files(&sources).into_iter().map(|f| f.path).collect()
    }

    #[test]
    fn modules_are_followed() {
        let files = [
            ("a/src/lib.rs", "mod x; pub(crate) mod y; mod inline { }"),
            ("a/src/x.rs", "mod z;"),
            ("a/src/x/z.rs", ""),
            ("a/src/y/mod.rs", "mod w;"),
            ("a/src/y/w.rs", ""),
            ("a/build.rs", ""),
            ("a/tests/t.rs", ""),
            ("a/src/bin/b.rs", ""),
        ];
        assert_eq!(dead(&files), [""; 0]);
    }

    #[test]
    fn lineage_leads_up_to_the_root() {
        let files = [
            ("a/src/lib.rs", "mod x;"),
            ("a/src/x.rs", "mod y;"),
            ("a/src/x/y.rs", ""),
        ];
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::new(path, text))
            .collect();
        let line: Vec<&str> = lineage(&sources, &sources[2])
            .iter()
            .map(|s| s.path.as_str())
            .collect();
        assert_eq!(line, ["a/src/x/y.rs", "a/src/x.rs", "a/src/lib.rs"]);
    }

    #[test]
    fn lost_files_are_found() {
        let files = [
            ("a/src/lib.rs", "// mod x;\n"),
            ("a/src/x.rs", ""),
            ("a/src/y/z.rs", ""),
        ];
        assert_eq!(dead(&files), ["a/src/x.rs", "a/src/y/z.rs"]);
    }

    #[test]
    fn path_attributes_are_followed() {
        let files = [
            (
                "a/src/lib.rs",
                "mod b;\n#[cfg(test)]\n#[path = \"../other/x_tests.rs\"]\nmod tests;\n",
            ),
            ("a/src/b.rs", ""),
            ("a/other/x_tests.rs", ""),
        ];
        assert_eq!(dead(&files), [""; 0]);
    }
}
