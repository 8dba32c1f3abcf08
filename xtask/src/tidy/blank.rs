//! Rust source with comments and string contents turned to spaces.
//!
//! A rule that looks for a word must not find it in prose. Length and line breaks stay as they are, so an
//! offset into the result is an offset into the source. Not a full lexer: it knows exactly what it takes to
//! tell code from not-code (nested comments, raw and byte strings, and that `'a` may be a lifetime).

#![forbid(unsafe_code)]

/// The source with everything that is not code blanked.
pub(crate) fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = not_code_end(bytes, at);
        match end {
            Some(end) => {
                erase(&mut out[at..end]);
                at = end;
            }
            None => at += identifier_len(&bytes[at..]).max(1),
        }
    }
    // Only whole characters are erased, each by as many spaces as it has bytes.
    String::from_utf8(out).unwrap_or_default()
}

fn erase(bytes: &mut [u8]) {
    bytes
        .iter_mut()
        .filter(|b| **b != b'\n')
        .for_each(|b| *b = b' ');
}

/// The end of the comment, string or character that begins at `at`, or `None` if code does.
fn not_code_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => Some(at + line_len(rest)),
        [b'/', b'*', ..] => Some(at + block_comment_len(rest)),
        [b'"', ..] => Some(at + string_len(rest)),
        [b'b' | b'c', b'"', ..] => Some(at + 1 + string_len(&rest[1..])),
        [b'b', b'\'', ..] => Some(at + 1 + quote_len(&rest[1..])),
        [b'b' | b'c', b'r', b'"' | b'#', ..] => {
            Some(at + 1 + raw_len(&rest[1..])).filter(|&e| e > at + 1)
        }
        [b'r', b'"' | b'#', ..] => Some(at + raw_len(rest)).filter(|&e| e > at),
        [b'\'', ..] => Some(at + quote_len(rest)),
        _ => None,
    }
}

fn line_len(rest: &[u8]) -> usize {
    rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
}

fn block_comment_len(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a string that begins with its quote.
fn string_len(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string that begins with its `r`; 0 if this is a raw identifier instead.
fn raw_len(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&b| b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let body = 2 + hashes;
    let found = rest[body..]
        .windows(close.len())
        .position(|window| window == close);
    found.map_or(rest.len(), |offset| body + offset + close.len())
}

/// The length of a character literal, or 1 (the quote alone) where the quote begins a lifetime.
fn quote_len(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let close = rest[2..].iter().skip(1).position(|&b| b == b'\'');
        return close.map_or(rest.len(), |offset| 2 + 1 + offset + 1);
    }
    let char_bytes = match rest.get(1) {
        Some(0..=0x7f) => 1,
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(_) => 4,
        None => return 1,
    };
    if rest.get(1 + char_bytes) == Some(&b'\'') {
        char_bytes + 2
    } else {
        1
    }
}

/// The length of the identifier or number at the start, so that its last letter is not taken for the prefix
/// of a string.
fn identifier_len(rest: &[u8]) -> usize {
    rest.iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left, with runs of blanks made one.
    fn left(source: &str) -> String {
        let code = blank(source);
        assert_eq!(code.len(), source.len());
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_go() {
        assert_eq!(left("a // unsafe\nb"), "a b");
        assert_eq!(left("a /* x /* unsafe */ y */ b"), "a b");
        assert_eq!(left("//! unsafe"), "");
    }

    #[test]
    fn strings_go() {
        assert_eq!(left(r#"f("unsafe \" // x", 1)"#), "f( , 1)");
        assert_eq!(
            left(r##"f(r#"a " b"#, br"x", b"y", c"z") g"##),
            "f( , , , ) g"
        );
        assert_eq!(left("attr\"x\""), "attr");
    }

    #[test]
    fn characters_go_and_lifetimes_stay() {
        assert_eq!(left("f('\"', '\\'', b'x', 'é') \"a\""), "f( , , , )");
        assert_eq!(left("fn f<'a>(x: &'a str) {}"), "fn f< a>(x: & a str) {}");
        assert_eq!(left("'\\u{1f600}' x"), "x");
    }

    #[test]
    fn raw_identifiers_stay() {
        assert_eq!(left("r#fn x"), "r#fn x");
    }

    #[test]
    fn lines_stay() {
        assert_eq!(blank("a\n/* \n */ b\n\"\n\"").lines().count(), 5);
    }

    #[test]
    fn broken_input_ends() {
        for source in ["\"", "'", "/*", "r#\"", "'\\", "b'", "\\", "r#"] {
            assert_eq!(blank(source).len(), source.len());
        }
    }
}
