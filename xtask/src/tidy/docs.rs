//! Rules about the documents: versions agree, decisions and settings are listed, links lead somewhere.

#![forbid(unsafe_code)]

use super::{Finding, Source, resolve};
use crate::paths;
use std::collections::HashSet;

const DECISIONS: &str = "docs/adr/";
const DECISIONS_INDEX: &str = "docs/adr/README.md";

const OPTIONS: &str = "ds-core/src/config.rs";
const OPTIONS_PAGE: &str = "docs/players.md";

/// Every option of the engine stands on the page for players.
pub(crate) fn options_listed(sources: &[Source]) -> Vec<Finding> {
    let text = |path: &str| sources.iter().find(|source| source.path == path);
    let (Some(options), Some(page)) = (text(OPTIONS), text(OPTIONS_PAGE)) else {
        return vec![Finding::new(
            OPTIONS_PAGE,
            1,
            "it or the options are missing",
        )];
    };
    let keys = options.text.lines().filter_map(|line| {
        let key = line.trim().strip_prefix("key: \"")?;
        key.strip_suffix("\",")
    });
    keys.filter(|key| !page.text.contains(&format!("`{key}`")))
        .map(|key| Finding::new(&page.path, 1, format!("does not name the option `{key}`")))
        .collect()
}

/// The change log's newest release, the manifests and this build say one version.
pub(crate) fn versions_agree(sources: &[Source]) -> Vec<Finding> {
    check_versions(sources, paths::version())
}

fn check_versions(sources: &[Source], version: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources
        .iter()
        .filter(|s| s.path.ends_with("Cargo.toml") && !s.path.starts_with("fuzz/"))
    {
        for (number, line) in source.text.lines().enumerate() {
            let own = line
                .strip_prefix("version = \"")
                .and_then(|rest| rest.strip_suffix('"'));
            if own.is_some_and(|own| own != version) {
                findings.push(Finding::new(
                    &source.path,
                    number + 1,
                    format!("the version is {version}"),
                ));
            }
        }
    }
    let Some(log) = sources.iter().find(|s| s.path == "CHANGELOG.md") else {
        findings.push(Finding::new("CHANGELOG.md", 1, "is missing"));
        return findings;
    };
    match newest_release(&log.text) {
        Some((_, newest)) if newest == version => {}
        Some((line, newest)) => {
            findings.push(Finding::new(
                &log.path,
                line,
                format!("tops out at {newest}, not {version}"),
            ));
        }
        None => findings.push(Finding::new(&log.path, 1, "names no version")),
    }
    findings
}

/// The first `## [x.y.z]` heading: its line and version. `## [Unreleased]` may stand above it.
fn newest_release(log: &str) -> Option<(usize, &str)> {
    log.lines().enumerate().find_map(|(number, line)| {
        let version = line.strip_prefix("## [")?.split(']').next()?;
        version
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some((number + 1, version))
    })
}

/// Every decision is in the index, and they are numbered without gaps or doubles.
pub(crate) fn decisions_listed(sources: &[Source]) -> Vec<Finding> {
    let Some(index) = sources.iter().find(|s| s.path == DECISIONS_INDEX) else {
        return vec![Finding::new(DECISIONS_INDEX, 1, "is missing")];
    };
    let mut findings = Vec::new();
    let mut next = 1;
    let decisions = sources.iter().filter(|s| {
        s.path.starts_with(DECISIONS)
            && s.is_markdown()
            && s.path != DECISIONS_INDEX
            && !s.path.ends_with("template.md")
    });
    // Sources are sorted by path, so numbers come in order.
    for decision in decisions {
        let file = &decision.path[DECISIONS.len()..];
        let number = file
            .split('-')
            .next()
            .and_then(|digits| digits.parse::<u32>().ok());
        if number != Some(next) || !file.starts_with(&format!("{next:04}-")) {
            findings.push(Finding::new(
                &decision.path,
                1,
                format!("should be number {next:04}"),
            ));
        }
        next = number.unwrap_or(next) + 1;
        if !index.text.contains(&format!("({file})")) {
            findings.push(Finding::new(
                DECISIONS_INDEX,
                1,
                format!("does not list {file}"),
            ));
        }
    }
    findings
}

/// Relative links in Markdown whose target is not in the tree.
pub(crate) fn links_resolve(sources: &[Source]) -> Vec<Finding> {
    let known = known_paths(sources);
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| s.is_markdown()) {
        let directory = source
            .path
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        for (line, target) in links(&source.text) {
            let file = target.split('#').next().unwrap_or_default();
            let found = file.is_empty()
                || resolve(directory, file).is_some_and(|path| known.contains(&path));
            if !found {
                findings.push(Finding::new(
                    &source.path,
                    line,
                    format!("`{target}` leads nowhere"),
                ));
            }
        }
    }
    findings
}

/// Every file and every directory above one.
fn known_paths(sources: &[Source]) -> HashSet<String> {
    let mut known = HashSet::from([String::new()]);
    for source in sources {
        let ends = source.path.match_indices('/').map(|(at, _)| at);
        known.extend(
            ends.chain([source.path.len()])
                .map(|end| source.path[..end].to_string()),
        );
    }
    known
}

/// The targets of `[text](target)` with their lines: no URLs, nothing in fenced or inline code.
fn links(markdown: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("");
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push((number + 1, target.to_string()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_is_read() {
        assert_eq!(
            newest_release("# Log\n## [Unreleased]\n## [0.2.0] - x\n## [0.1.0]\n"),
            Some((3, "0.2.0"))
        );
        assert_eq!(newest_release("# Log\n"), None);
    }

    #[test]
    fn versions_must_agree() {
        let log = Source::new("CHANGELOG.md", "## [0.1.0]\n");
        let manifest = Source::new("a/Cargo.toml", "version = \"0.1.0\"\n");
        let sources = [log, manifest];
        assert_eq!(check_versions(&sources, "0.1.0"), []);
        assert_eq!(check_versions(&sources, "0.2.0").len(), 2);
        assert_eq!(check_versions(&[], "0.1.0").len(), 1);
    }

    #[test]
    fn options_must_be_listed() {
        let options = Source::new(OPTIONS, "  key: \"a\",\n  key: \"b_c\",\n");
        let page = Source::new(OPTIONS_PAGE, "| `a` | b_c |");
        let found = options_listed(&[options, page]);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("`b_c`"));
        assert_eq!(options_listed(&[]).len(), 1);
    }

    #[test]
    fn decisions_must_be_listed_and_numbered() {
        let index = |text: &str| Source::new(DECISIONS_INDEX, text);
        let first = || Source::new("docs/adr/0001-a.md", "");
        let third = || Source::new("docs/adr/0003-c.md", "");
        let template = || Source::new("docs/adr/template.md", "");
        assert_eq!(
            decisions_listed(&[first(), index("[a](0001-a.md)"), template()]),
            []
        );
        assert_eq!(decisions_listed(&[first(), index("")]).len(), 1);
        assert_eq!(
            decisions_listed(&[first(), third(), index("(0001-a.md) (0003-c.md)")]).len(),
            1
        );
        assert_eq!(decisions_listed(&[first()]).len(), 1);
    }

    #[test]
    fn links_must_lead_somewhere() {
        let text = "[a](b.md) [u](https://github.com) [p](../README.md#top) [s](#here) `[c](no)`\n\
                    ```\n[d](no)\n```\n[e](gone)";
        let sources = [
            Source::new("docs/a.md", text),
            Source::new("docs/b.md", ""),
            Source::new("README.md", ""),
        ];
        let found = links_resolve(&sources);
        assert_eq!(found.iter().map(|f| f.line).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn directories_and_climbing() {
        let sources = [Source::new(
            "docs/a.md",
            "[d](../docs) [r](..) [out](../../x)",
        )];
        assert_eq!(links_resolve(&sources).len(), 1);
    }
}
