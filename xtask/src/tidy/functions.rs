//! Functions fit a screen: at most 70 lines from `fn` to the closing brace.

#![forbid(unsafe_code)]

use super::{Finding, Source, exempt, line_of, word_offsets};

/// One screen. What is longer is either two thoughts or a table; a table can be exempted by name.
const LINES_MAX: usize = 70;

/// Functions longer than a screen that are not exempt, and exemptions that nothing needs.
pub(crate) fn length(sources: &[Source]) -> Vec<Finding> {
    check(sources, exempt::LONG_FUNCTIONS)
}

fn check(sources: &[Source], exempt: &[(&str, &str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut unused: Vec<_> = exempt.to_vec();
    for source in sources.iter().filter(|s| s.is_rust()) {
        for Function { name, line, lines } in functions(&source.code) {
            if lines <= LINES_MAX {
                continue;
            }
            if exempt.iter().any(|e| e.0 == source.path && e.1 == name) {
                unused.retain(|e| !(e.0 == source.path && e.1 == name));
            } else {
                let what = format!("`{name}` has {lines} lines; {LINES_MAX} fit a screen");
                findings.push(Finding::new(&source.path, line, what));
            }
        }
    }
    let stale = unused
        .iter()
        .map(|e| Finding::new(e.0, 1, format!("`{}` needs no exemption", e.1)));
    findings.extend(stale);
    findings
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Every function with a body in `code`, which must be blanked source.
fn functions(code: &str) -> Vec<Function> {
    word_offsets(code, "fn")
        .into_iter()
        .filter_map(|at| function_at(code, at))
        .collect()
}

fn function_at(code: &str, at: usize) -> Option<Function> {
    let after = code[at + 2..].trim_start();
    let name: String = after
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    // `fn(u8) -> u8` is a type.
    if name.is_empty() {
        return None;
    }
    let (open, close) = body(code, at)?;
    debug_assert!(open < close);
    let line = line_of(code, at);
    Some(Function {
        name,
        line,
        lines: line_of(code, close) - line + 1,
    })
}

/// The braces around the body of the function at `at`; `None` for a declaration that ends in `;`.
fn body(code: &str, at: usize) -> Option<(usize, usize)> {
    let mut nested = 0_usize;
    let mut open = None;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match (byte, open) {
            // `[u8; 4]` in a signature holds a semicolon that ends nothing.
            (b'(' | b'[', None) => nested += 1,
            (b')' | b']', None) => nested = nested.saturating_sub(1),
            (b';', None) if nested == 0 => return None,
            (b'{', None) if nested == 0 => (open, nested) = (Some(offset), 1),
            (b'{', Some(_)) => nested += 1,
            (b'}', Some(start)) => {
                nested -= 1;
                if nested == 0 {
                    return Some((start, offset));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(name: &str) -> String {
        format!(
            "fn {name}(a: [u8; 4]) -> u8 {{\n{}}}\n",
            "    let _ = (1, 2);\n".repeat(LINES_MAX)
        )
    }

    #[test]
    fn lengths_are_measured() {
        let code = "fn a() {}\nfn b();\ntype F = fn(u8) -> u8;\nfn c(x: [u8; 4])\n{\n  {\n  }\n}\n";
        let found: Vec<_> = functions(code)
            .into_iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect();
        assert_eq!(found, [("a".into(), 1, 1), ("c".into(), 4, 5)]);
    }

    #[test]
    fn a_long_function_is_found() {
        let sources = [Source::new("a.rs", &long("big"))];
        assert_eq!(check(&sources, &[]).len(), 1);
        assert_eq!(check(&sources, &[("a.rs", "big", "a table")]), []);
    }

    #[test]
    fn a_stale_exemption_is_found() {
        let sources = [Source::new("a.rs", "fn small() {}")];
        assert_eq!(check(&sources, &[("a.rs", "small", "a table")]).len(), 1);
    }
}
