//! Unsafe code has an owner: the files listed in `xtask/unsafe-files.txt`, and no others.
//!
//! The list is kept by hand on purpose: a new line in it is a decision, and shows in review as one.

#![forbid(unsafe_code)]

use super::{Finding, Source, line_of, reach, word_offsets};

const LIST: &str = "xtask/unsafe-files.txt";

/// Joined from halves: this file and its list of rules must not look as if they held what they forbid.
const FORBID: &str = concat!("#![forbid(un", "safe_code)]");

/// Unsafe code in a file that is not listed, and listed files that hold none or are gone.
pub(crate) fn unsafe_only_where_listed(sources: &[Source]) -> Vec<Finding> {
    let listed = listed(sources);
    let mut findings = Vec::new();
    for source in sources
        .iter()
        .filter(|s| s.is_rust() && !listed.contains(&s.path))
    {
        let places = word_offsets(&source.code, "unsafe");
        if let Some(&first) = places.first() {
            let line = line_of(&source.code, first);
            let what = format!(
                "unsafe code, {} places, and {LIST} does not name the file",
                places.len()
            );
            findings.push(Finding::new(&source.path, line, what));
        }
    }
    let needed = |path: &String| sources.iter().any(|s| s.path == *path && has_unsafe(s));
    let stale = listed.iter().filter(|path| !needed(path));
    findings
        .extend(stale.map(|path| Finding::new(LIST, 1, format!("{path} holds no unsafe code"))));
    findings
}

/// Files outside the list in which the compiler would let unsafe code in: neither they nor a module above
/// them forbid it.
///
/// A file that declares modules is let off: the attribute reaches down into files that may be listed.
pub(crate) fn safe_files_forbid_it(sources: &[Source]) -> Vec<Finding> {
    let listed = listed(sources);
    // A file that holds unsafe code is the other rule's finding, not this one's too.
    let safe = |s: &&Source| !listed.contains(&s.path) && !has_unsafe(s);
    let leaves = sources
        .iter()
        .filter(|s| s.is_rust() && !reach::declares_modules(s));
    let open = leaves.filter(safe).filter(|s| {
        let mut line = reach::lineage(sources, s).into_iter();
        !line.any(|s| s.text.contains(FORBID))
    });
    open.map(|s| Finding::new(&s.path, 1, format!("lacks `{FORBID}`")))
        .collect()
}

fn has_unsafe(source: &Source) -> bool {
    !word_offsets(&source.code, "unsafe").is_empty()
}

fn listed(sources: &[Source]) -> Vec<String> {
    let text = sources
        .iter()
        .find(|s| s.path == LIST)
        .map_or("", |s| s.text.as_str());
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(list: &str, text: &str) -> Vec<Source> {
        vec![Source::new(LIST, list), Source::new("a.rs", text)]
    }

    #[test]
    fn only_listed_files_may() {
        let text = "fn f() { unsafe { g() } }";
        assert_eq!(unsafe_only_where_listed(&tree("", text)).len(), 1);
        assert_eq!(
            unsafe_only_where_listed(&tree("# why\na.rs # reads memory\n", text)),
            []
        );
    }

    #[test]
    fn prose_and_lint_names_are_not_unsafe() {
        let text = "// unsafe\n#![forbid(unsafe_code)]\nconst A: &str = \"unsafe\";";
        assert_eq!(unsafe_only_where_listed(&tree("", text)), []);
    }

    #[test]
    fn a_stale_entry_is_found() {
        assert_eq!(
            unsafe_only_where_listed(&tree("a.rs\nb.rs", "fn f() {}")).len(),
            2
        );
    }

    #[test]
    fn leaves_must_forbid() {
        assert_eq!(safe_files_forbid_it(&tree("", "//! A.\n")).len(), 1);
        assert_eq!(
            safe_files_forbid_it(&tree("", &format!("//! A.\n{FORBID}\n"))),
            []
        );
        assert_eq!(safe_files_forbid_it(&tree("", "//! A.\nmod b;\n")), []);
        assert_eq!(safe_files_forbid_it(&tree("a.rs", "//! A.\n")), []);
        let parent = Source::new("src/lib.rs", &format!("{FORBID}\nmod below;"));
        assert_eq!(
            safe_files_forbid_it(&[parent, Source::new("src/below.rs", "")]),
            []
        );
    }
}
