//! Rules about any text: how long a line may be, and which names no file may hold.

#![forbid(unsafe_code)]

use super::{Finding, Source, exempt};
use crate::paths;

/// What a reader can take in beside a second window. Prose in Markdown wraps itself and is not measured.
pub(crate) const COLUMNS_MAX: usize = 110;

const MEASURED: &[&str] = &[".rs", ".c", ".cpp", ".h", ".hpp", ".comp", ".sh", ".toml"];

/// Lines that are too long, in files that are not exempt.
pub(crate) fn line_length(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources
        .iter()
        .filter(|s| MEASURED.iter().any(|e| s.path.ends_with(e)))
    {
        if exempt::LONG_LINES
            .iter()
            .any(|e| source.path.starts_with(e.0))
        {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                let what = format!("{columns} columns; {COLUMNS_MAX} fit");
                findings.push(Finding::new(&source.path, number + 1, what));
            }
        }
    }
    findings
}

/// Where people's files lie: no path of ours starts there, nor where this very tree lies.
const PEOPLES_DIRECTORIES: &[&str] = &["/root/", "/home/", "/Users/"];

/// The hosts that documents may link to. All others are findings, those that serve packages above all:
/// which of them a build uses is the machine's business.
const HOSTS: &[&str] = &[
    "github.com",
    "keepachangelog.com",
    "semver.org",
    "www.apache.org",
    // Not a link: the name by which every SVG says that it is one.
    "www.w3.org",
];

/// Cargo configuration that would send a build to a particular registry.
const REGISTRY_SETTINGS: &[&str] = &["replace-with", "[registries", "[source."];

/// Places that name a machine's directory, a host that is not listed, or a registry setting.
pub(crate) fn machine_names(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        if exempt::MACHINE_NAMES
            .iter()
            .any(|e| source.path.starts_with(e.0))
        {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            if let Some(name) = named_in(&source.path, line) {
                findings.push(Finding::new(
                    &source.path,
                    number + 1,
                    format!("names `{name}`"),
                ));
            }
        }
    }
    findings
}

fn named_in(path: &str, line: &str) -> Option<String> {
    let here = paths::root()
        .parent()
        .map(|above| format!("{}/", above.display()));
    // A tree that lies at the root of the file system has no directory of its own.
    let here = here.filter(|here| here.len() > 1);
    let peoples = PEOPLES_DIRECTORIES
        .iter()
        .map(|directory| (*directory).to_owned());
    let mut directories = here.into_iter().chain(peoples);
    let setting = || {
        let settings = REGISTRY_SETTINGS.iter().filter(|_| path.ends_with(".toml"));
        settings
            .map(|setting| (*setting).to_owned())
            .find(|setting| line.contains(setting))
    };
    directories
        .find(|directory| starts_a_path(line, directory))
        .or_else(|| unlisted_host(line))
        .or_else(setting)
}

/// The first host of a web address in `line` that is not listed.
fn unlisted_host(line: &str) -> Option<String> {
    let schemes = [concat!("http", "://"), concat!("https", "://")];
    let addresses = schemes.iter().flat_map(|scheme| line.split(scheme).skip(1));
    let host = |address: &str| {
        let end = address.find(|c: char| !c.is_alphanumeric() && !".-".contains(c));
        address[..end.unwrap_or(address.len())]
            .trim_end_matches('.')
            .to_owned()
    };
    addresses
        .map(host)
        .find(|host| !host.is_empty() && !HOSTS.contains(&host.as_str()))
}

/// Whether `directory` stands in `line` as the start of a path rather than within one.
fn starts_a_path(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-/}~".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(path: &str, text: &str) -> Vec<usize> {
        machine_names(&[Source::new(path, text)])
            .into_iter()
            .map(|f| f.line)
            .collect()
    }

    #[test]
    fn long_lines_are_found_in_characters() {
        let text = format!(
            "{}\n{}\n",
            "é".repeat(COLUMNS_MAX),
            "x".repeat(COLUMNS_MAX + 1)
        );
        let found = line_length(&[Source::new("a.rs", &text), Source::new("a.md", &text)]);
        assert_eq!(found.iter().map(|f| f.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn machines_are_found() {
        let text = "see docs/home/x\n\"/home/me\"\n$HOME/home/x\n";
        assert_eq!(lines_of("a.md", text), [2]);
        let above = paths::root()
            .parent()
            .map(|above| above.display().to_string());
        let here = above
            .filter(|above| above.len() > 1)
            .map(|above| format!("in {above}/x\n"));
        if let Some(here) = here {
            assert_eq!(lines_of("a.md", &here), [1]);
        }
    }

    #[test]
    fn hosts_that_are_not_listed_are_found() {
        let scheme = concat!("https", "://");
        let text = format!(
            "{scheme}packages.example/x\nsee {scheme}github.com/a/b.\nexample.org is no link\n"
        );
        assert_eq!(lines_of("a.sh", &text), [1]);
        assert_eq!(lines_of("config.toml", "[source.other]\n"), [1]);
        assert_eq!(lines_of("a.rs", "let a = [source.b];\n"), [0_usize; 0]);
    }
}
