//! Just enough JSON: one flat object of names and numbers, which is all a benchmark may say.
#![forbid(unsafe_code)]

/// Reads `{"name": 1.5, …}`. Strings, lists and nesting are errors: a measurement is a number.
pub(crate) fn read_numbers(text: &str) -> Result<Vec<(String, f64)>, String> {
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'));
    let inner = inner.ok_or("not a JSON object")?.trim();
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    inner.split(',').map(read_pair).collect()
}

/// Splitting at commas and colons is sound because names hold neither, which is checked.
fn read_pair(pair: &str) -> Result<(String, f64), String> {
    let (name, value) = pair
        .split_once(':')
        .ok_or_else(|| format!("`{}` is no pair", pair.trim()))?;
    let name = name
        .trim()
        .strip_prefix('"')
        .and_then(|n| n.strip_suffix('"'))
        .unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("`{}` has no plain name", pair.trim()));
    }
    let number: f64 = value
        .trim()
        .parse()
        .map_err(|_| format!("`{name}` is not a number"))?;
    if number.is_finite() {
        Ok((name.into(), number))
    } else {
        Err(format!("`{name}` is not finite"))
    }
}

/// A string as JSON has it.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        let read = read_numbers(" {\"a_mb_s\": 1.5, \"b\":-2e3} ").unwrap();
        assert_eq!(read, [("a_mb_s".into(), 1.5), ("b".into(), -2000.0)]);
        assert_eq!(read_numbers("{}").unwrap(), []);
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "",
            "1",
            "{\"a\":\"x\"}",
            "{\"a\":{\"b\":1}}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":NaN}",
            "{\"a,b\":1}",
        ] {
            assert!(read_numbers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quote("a\"\\\n"), "\"a\\\"\\\\\\u000a\"");
    }
}
