//! Rules about the words of a Rust file: its opening, what may not be left in it, and which crate's names may
//! stand where.

#![forbid(unsafe_code)]

use super::{Finding, Source, line_of, word_offsets};

/// Files that do not begin with `//!`.
pub(crate) fn opening_docs(sources: &[Source]) -> Vec<Finding> {
    let silent = sources
        .iter()
        .filter(|s| s.is_rust() && !s.text.starts_with("//!"));
    silent
        .map(|s| Finding::new(&s.path, 1, "does not begin with `//!` and what it is"))
        .collect()
}

/// Words that mean "not finished". Joined here from halves, so that this file does not hold them.
const BANNED: &[(&str, &str)] = &[
    (concat!("db", "g!"), "use the log"),
    (concat!("to", "do!"), "finish it or leave it out"),
    (
        concat!("unimple", "mented!"),
        "return an error that says so",
    ),
    (concat!("FIX", "ME"), "fix it or write an issue"),
    (concat!("XX", "X"), "fix it or write an issue"),
    (
        concat!("HA", "CK"),
        "say what it works round, and when it can go",
    ),
];

/// Files whose comments the banned words are looked for in, beside Rust.
const SOURCE_ENDINGS: &[&str] = &[".rs", ".c", ".cpp", ".h", ".hpp", ".comp", ".toml", ".sh"];

/// Places that hold a banned word, in code or in a comment.
pub(crate) fn banned_words(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources
        .iter()
        .filter(|s| SOURCE_ENDINGS.iter().any(|e| s.path.ends_with(e)))
    {
        for (word, instead) in BANNED {
            for at in word_offsets(&source.text, word) {
                let what = format!("`{word}`: {instead}");
                findings.push(Finding::new(&source.path, line_of(&source.text, at), what));
            }
        }
    }
    findings
}

/// A name that must not cross a border: the name, where it may stand, and what may follow it anywhere.
struct Border {
    name: &'static str,
    /// Paths the rule looks at; empty for all.
    within: &'static [&'static str],
    /// Path prefixes where the name belongs.
    home: &'static [&'static str],
    /// The name is fine when these words follow it.
    unless_followed_by: &'static [&'static str],
    why: &'static str,
}

const BORDERS: &[Border] = &[
    Border {
        name: "io_uring::",
        within: &["ds-core/", "ds-capi/", "src/"],
        home: &["ds-core/src/io/uring.rs", "ds-core/src/io/uring/"],
        unless_followed_by: &[],
        why: "only io/uring.rs knows the ring",
    },
    Border {
        name: "ash::",
        within: &["ds-core/", "ds-capi/", "src/"],
        home: &["ds-core/src/gpu/"],
        unless_followed_by: &[],
        why: "only gpu knows Vulkan",
    },
    Border {
        name: "vk::",
        within: &["ds-core/", "ds-capi/", "src/"],
        home: &["ds-core/src/gpu/"],
        unless_followed_by: &[],
        why: "only gpu knows Vulkan",
    },
    Border {
        name: "crate::",
        within: &["ds-core/src/gdeflate/"],
        home: &[],
        unless_followed_by: &["gdeflate"],
        why: "the codec uses nothing else of the crate",
    },
];

/// Places where a name stands outside its home.
pub(crate) fn name_borders(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| s.is_rust()) {
        for border in BORDERS {
            let inside = border
                .within
                .iter()
                .any(|prefix| source.path.starts_with(prefix));
            let home = border
                .home
                .iter()
                .any(|prefix| source.path.starts_with(prefix));
            if !inside || home {
                continue;
            }
            for at in word_offsets(&source.code, border.name) {
                let after = &source.code[at + border.name.len()..];
                if border
                    .unless_followed_by
                    .iter()
                    .any(|word| after.starts_with(word))
                {
                    continue;
                }
                let what = format!("`{}` here: {}", border.name, border.why);
                findings.push(Finding::new(&source.path, line_of(&source.code, at), what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opening_is_required() {
        let sources = [
            Source::new("a.rs", "//! A.\n"),
            Source::new("b.rs", "\n//! B.\n"),
        ];
        assert_eq!(opening_docs(&sources).len(), 1);
    }

    #[test]
    fn leftovers_are_found_in_code_and_comments() {
        let text = format!(
            "fn f() {{ {}(1) }}\n// {}: later\n",
            BANNED[0].0, BANNED[3].0
        );
        let found = banned_words(&[Source::new("a.rs", &text), Source::new("a.md", &text)]);
        assert_eq!(found.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 2]);
        let innocent = format!("{}X unhackable", BANNED[4].0);
        assert_eq!(banned_words(&[Source::new("a.rs", &innocent)]), []);
    }

    #[test]
    fn borders_hold() {
        let ring = "use io_uring::IoUring; // io_uring::x\n";
        assert_eq!(
            name_borders(&[Source::new("ds-core/src/io/uring.rs", ring)]),
            []
        );
        assert_eq!(
            name_borders(&[Source::new("ds-core/src/queue.rs", ring)]).len(),
            1
        );
        let codec = "use crate::gdeflate::tile;\nuse crate::queue;\n";
        let found = name_borders(&[Source::new("ds-core/src/gdeflate/decode.rs", codec)]);
        assert_eq!(found.iter().map(|f| f.line).collect::<Vec<_>>(), [2]);
    }
}
