//! Rules about any text: how long a line may be, and which names no file may hold.

#![forbid(unsafe_code)]

use super::{Finding, Source, exempt};

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

/// Directories of one machine: no path of ours starts with these.
const MACHINE_DIRECTORIES: &[&str] = &["/root/", "/home/", "/Users/"];

/// Hosts that serve packages. A build must name none: which one is used is the machine's business.
const REGISTRY_HOSTS: &[&str] = &[
];

/// Cargo configuration that would send a build to a particular registry.
const REGISTRY_SETTINGS: &[&str] = &["replace-with", "[registries", "[source."];

/// Places that name a machine's directory, a registry's host, or a registry setting.
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

fn named_in(path: &str, line: &str) -> Option<&'static str> {
    let directory = MACHINE_DIRECTORIES.iter().find(|d| starts_a_path(line, d));
    let host = REGISTRY_HOSTS.iter().find(|host| line.contains(**host));
    let setting = REGISTRY_SETTINGS
        .iter()
        .find(|s| path.ends_with(".toml") && line.contains(**s));
    directory.or(host).or(setting).copied()
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
        assert_eq!(
            lines_of(
                "a.md",
                "see `/home/x`\nsee docs/work/x\n\"/home/me\"\n$HOME/home/x\n"
            ),
            [1, 3]
        );
    }

    #[test]
    fn registries_are_found() {
        assert_eq!(
            lines_of(
                "a.sh",
                "curl https://packages.example/x\ncrates.io is fine\n"
            ),
            [1]
        );
        assert_eq!(lines_of("config.toml", "[source.crates-io]\n"), [1]);
        assert_eq!(lines_of("a.rs", "let a = [source.b];\n"), [0_usize; 0]);
    }
}
