//! `cargo xtask tidy --fix`: comments that are too long, broken anew.
//!
//! rustfmt leaves comments alone, so this does the one thing it will not: the paragraph or list item that a
//! long line belongs to is filled again. Tables, headings, code and comments behind code are not touched;
//! they stay findings for a person.

#![forbid(unsafe_code)]

/// The text with every comment paragraph that has a line of more than `columns_max` filled again.
pub(crate) fn rewrap(text: &str, columns_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out: Vec<String> = Vec::new();
    let mut fenced = false;
    let mut at = 0;
    while at < lines.len() {
        let Some(first) = Comment::read(lines[at]) else {
            out.push(lines[at].into());
            at += 1;
            continue;
        };
        fenced ^= first.body.starts_with("```");
        let more = match fenced || !first.flows() {
            true => 0,
            false => lines[at + 1..]
                .iter()
                .take_while(|line| first.goes_on_in(line))
                .count(),
        };
        let paragraph = &lines[at..=at + more];
        match paragraph
            .iter()
            .any(|line| line.chars().count() > columns_max)
            && first.flows()
            && !fenced
        {
            true => out.extend(first.fill(paragraph, columns_max)),
            false => out.extend(paragraph.iter().map(ToString::to_string)),
        }
        at += more + 1;
    }
    out.join("\n") + if text.ends_with('\n') { "\n" } else { "" }
}

/// A line that is all comment: what stands before the words, and the words.
struct Comment<'a> {
    prefix: &'a str,
    body: &'a str,
}

const MARKS: [&str; 3] = ["//!", "///", "//"];
const ITEM: &str = "- ";

impl<'a> Comment<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let indent = line.len() - line.trim_start().len();
        let mark = MARKS
            .iter()
            .find(|mark| line[indent..].starts_with(**mark))?;
        let rest = line[indent + mark.len()..].strip_prefix(' ')?;
        Some(Self {
            prefix: &line[..line.len() - rest.len()],
            body: rest,
        })
    }

    /// Whether this is prose or a list item, the two things that can be filled.
    fn flows(&self) -> bool {
        let other = [" ", "|", "#", "```", "* ", "+ ", ">", "["];
        !self.body.is_empty() && !other.iter().any(|start| self.body.starts_with(start))
    }

    /// How far the following lines of the same paragraph are indented.
    fn hang(&self) -> &'static str {
        if self.body.starts_with(ITEM) {
            "  "
        } else {
            ""
        }
    }

    fn goes_on_in(&self, line: &str) -> bool {
        let Some(next) = Comment::read(line).filter(|next| next.prefix == self.prefix) else {
            return false;
        };
        let Some(words) = next.body.strip_prefix(self.hang()) else {
            return false;
        };
        Comment {
            prefix: next.prefix,
            body: words,
        }
        .flows()
            && !words.starts_with(ITEM)
    }

    fn fill(&self, paragraph: &[&str], columns_max: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = self.prefix.to_string();
        let mut is_empty = true;
        for word in paragraph
            .iter()
            .flat_map(|l| l[self.prefix.len()..].split_whitespace())
        {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > columns_max {
                lines.push(std::mem::replace(
                    &mut line,
                    format!("{}{}", self.prefix, self.hang()),
                ));
                is_empty = true;
            }
            line += if is_empty { "" } else { " " };
            line += word;
            is_empty = false;
        }
        lines.push(line);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_filled() {
        let text = "//! one two three four five\n//! six\n//!\n//! seven\nlet a = 1;\n";
        let wanted = "//! one two three\n//! four five six\n//!\n//! seven\nlet a = 1;\n";
        assert_eq!(rewrap(text, 17), wanted);
    }

    #[test]
    fn items_hang_and_stay_apart() {
        let text = "    // - one two three\n    //   four\n    // - five\n";
        let wanted = "    // - one two\n    //   three four\n    // - five\n";
        assert_eq!(rewrap(text, 19), wanted);
    }

    #[test]
    fn what_fits_and_what_does_not_flow_is_left() {
        for text in [
            "// a b\n// c\n",
            "/// | aaaaaaaaaa | bbbbbbbbbb | cccccc |\n",
            "//! ```\n//! let a_long_line_of_code = 1 + 2;\n//! ```\n",
            "let a = \"a string, and then a comment\"; // which is long\n",
            "//     code code code code code code code\n",
        ] {
            assert_eq!(rewrap(text, 20), text);
        }
    }

    #[test]
    fn filling_twice_changes_nothing() {
        let once = rewrap(
            "/// - a b c d e f g h i j k\n///   l m n o p q\n/// r s t u v w x y z\n",
            14,
        );
        assert_eq!(rewrap(&once, 14), once);
    }
}
