//! `cargo xtask tidy [--fix]`: the rules of the house, read off the sources.
//!
//! What only a document says, rots; so each rule here is code, has a name, and has tests of its own. A rule
//! that some file must break has its exceptions listed with their reason, in `exempt.rs` or, for unsafe code,
//! in `unsafe-files.txt`; an exception that nothing needs any more is itself a finding.

#![forbid(unsafe_code)]

mod blank;
mod docs;
mod exempt;
mod functions;
mod reach;
mod rewrap;
mod rust;
mod text;
mod unsafety;

use crate::paths;
use crate::report::Report;
use crate::sh::Cmd;
use std::path::{Path, PathBuf};

/// One file of the tree, read once and shared by all rules.
pub(crate) struct Source {
    /// Path relative to the repository root, with forward slashes.
    path: String,
    /// The text as it is.
    text: String,
    /// For Rust: the same text with comments and string contents turned to spaces, so that every offset and
    /// line number still agrees with `text`. Empty otherwise.
    code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") {
            blank::blank(text)
        } else {
            String::new()
        };
        Self {
            path: path.into(),
            text: text.into(),
            code,
        }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }
}

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            what: what.into(),
        }
    }
}

/// A rule: its name, and a function from the whole tree to the places that break it.
type Rule = (&'static str, fn(&[Source]) -> Vec<Finding>);

const RULES: &[Rule] = &[
    ("every Rust file opens with what it is", rust::opening_docs),
    (
        "unsafe code only in the listed files",
        unsafety::unsafe_only_where_listed,
    ),
    (
        "files without unsafe forbid it",
        unsafety::safe_files_forbid_it,
    ),
    ("no leftovers in the sources", rust::banned_words),
    ("lines fit", text::line_length),
    ("functions fit a screen", functions::length),
    ("no Rust file is out of reach", reach::dead_files),
    ("foreign names stay where they belong", rust::name_borders),
    ("versions agree", docs::versions_agree),
    ("the list of decisions is complete", docs::decisions_listed),
    ("players are told every option", docs::options_listed),
    ("links in documents resolve", docs::links_resolve),
    ("nothing names a machine or a registry", text::machine_names),
];

/// Runs the formatter's check and every rule; with `--fix` first mends what needs no thought.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    match arguments {
        [] => {}
        [one] if one == "--fix" => fix()?,
        _ => return Err("usage: cargo xtask tidy [--fix]".into()),
    }
    report.check("tidy: cargo fmt --check", format(&["--check"]));
    let sources = read_tree()?;
    for (name, rule) in RULES {
        let findings = rule(&sources);
        for Finding { path, line, what } in &findings {
            println!("  {path}:{line}: {what}");
        }
        let result = match findings.len() {
            0 => Ok(()),
            count => Err(format!("{count} places")),
        };
        report.check(&format!("tidy: {name}"), result);
    }
    Ok(())
}

/// Formats code, and fills comments that are too long.
fn fix() -> Result<(), String> {
    format(&[])?;
    for Source { path, text, .. } in read_tree()?.iter().filter(|source| source.is_rust()) {
        let filled = rewrap::rewrap(text, text::COLUMNS_MAX);
        if filled != *text {
            println!("  filled {path}");
            paths::write(&paths::root().join(path), &filled)?;
        }
    }
    Ok(())
}

/// Runs rustfmt over both workspaces.
fn format(options: &[&str]) -> Result<(), String> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let manifest = paths::root().join(manifest);
        let format = Cmd::cargo()
            .args(["fmt", "--all", "--manifest-path"])
            .arg(manifest);
        format.args(options).run()?;
    }
    Ok(())
}

/// Reads every text file of the tree: what git tracks or would track, or a walk where there is no git.
fn read_tree() -> Result<Vec<Source>, String> {
    let root = paths::root();
    let mut names = git_files().unwrap_or_else(|| walk(&root));
    names.sort();
    names.dedup();
    let mut sources = Vec::new();
    for name in names {
        let path = root.join(&name);
        // A directory here is a submodule or a link; a file that is gone is a deletion not yet committed.
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|e| format!("cannot read {name}: {e}"))?;
        // Not text: nothing to say about corpora, archives and SPIR-V.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        sources.push(Source::new(&name, &text));
    }
    if sources.is_empty() {
        Err("no files found to check".into())
    } else {
        Ok(sources)
    }
}

fn git_files() -> Option<Vec<String>> {
    let list = [
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ];
    let ended = Cmd::new("git").args(list).quiet().limit_s(60).capture();
    if ended.code != Some(0) {
        return None;
    }
    let names: Vec<String> = ended
        .text
        .split('\0')
        .filter(|n| !n.is_empty())
        .map(String::from)
        .collect();
    (!names.is_empty()).then_some(names)
}

fn walk(root: &Path) -> Vec<String> {
    let mut pending: Vec<PathBuf> = vec![root.to_path_buf()];
    let mut names = Vec::new();
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = paths::name_of(&path);
            if path.is_dir() && name != "target" && name != ".git" {
                pending.push(path);
            } else if path.is_file() {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                names.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    names
}

/// The line, counted from 1, that holds byte `offset` of `text`.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset]
        .iter()
        .filter(|&&b| b == b'\n')
        .count()
        + 1
}

/// Where `word` stands in `text` as a whole identifier (or path, if it holds `::`).
pub(crate) fn word_offsets(text: &str, word: &str) -> Vec<usize> {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    let free = |at: Option<&u8>, edge: u8| !is_part(edge) || at.is_none_or(|&b| !is_part(b));
    let (first, last) = (word.as_bytes()[0], word.as_bytes()[word.len() - 1]);
    text.match_indices(word)
        .map(|(offset, _)| offset)
        .filter(|&at| free(at.checked_sub(1).and_then(|i| bytes.get(i)), first))
        .filter(|&at| free(bytes.get(at + word.len()), last))
        .collect()
}

/// `file` seen from `directory`, as a path from the root; `None` if it climbs out of the tree.
pub(crate) fn resolve(directory: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|p| !p.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert_eq!(
            word_offsets("unsafe unsafe_code an_unsafe unsafe{", "unsafe"),
            [0, 29]
        );
        assert_eq!(
            word_offsets("a::io_uring::b my_io_uring::c", "io_uring::"),
            [3]
        );
        assert_eq!(word_offsets("", "a"), [0_usize; 0]);
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(
            (
                line_of("a\nb\nc", 0),
                line_of("a\nb\nc", 2),
                line_of("a\nb\nc", 4)
            ),
            (1, 2, 3)
        );
    }
}
