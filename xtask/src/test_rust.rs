//! `cargo xtask test`: `cargo test`, with its tests counted and its skips said aloud.
//!
//! libtest knows no skip, so a test that cannot run here prints a line that begins with `SKIPPED` and
//! returns. Its output would be swallowed with that of every passing test; here it is shown, and the test
//! is counted as skipped rather than passed.
#![forbid(unsafe_code)]

use crate::report::Report;
use crate::sh::{Cmd, Ended};
use std::collections::BTreeMap;

/// Runs the tests of the whole workspace.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask test".into());
    }
    let tests = Cmd::cargo().args(["test", "--workspace", "--no-fail-fast"]);
    tally("cargo test", tests, report);
    Ok(())
}

/// Runs a `cargo test` command and adds its tests to the report.
pub(crate) fn tally(name: &str, command: Cmd, report: &mut Report) {
    let ended = command.args(["--", "--show-output"]).capture();
    let counted = Counted::read(&ended.text);
    for line in ended.text.lines().filter(|l| l.starts_with("test result:")) {
        println!("  {line}");
    }
    for (test, why) in &counted.skipped {
        report.skip(&format!("{name}: {test}"), why);
    }
    report.pass_many(counted.passed.saturating_sub(counted.skipped.len()));
    for test in &counted.failed {
        output_of(&ended.text, test).for_each(|line| println!("  | {line}"));
        report.fail(name, test);
    }
    match verdict(&ended, &counted) {
        Err(why) => {
            ended.show_tail(120);
            report.fail(name, &why);
        }
        Ok(()) if !counted.failed.is_empty() => {}
        Ok(()) if counted == Counted::default() => report.skip(name, "it has no tests yet"),
        Ok(()) => println!("ok: {name}: {} tests", counted.passed),
    }
}

/// A run that ended badly without naming a failed test (it did not compile, or a test aborted) still failed.
fn verdict(ended: &Ended, counted: &Counted) -> Result<(), String> {
    match (ended.ok(), counted.failed.is_empty()) {
        (Err(why), true) => Err(why),
        (_, _) => Ok(()),
    }
}

/// What a test printed; not the end of the output, which is that of another program.
fn output_of<'a>(text: &'a str, test: &str) -> impl Iterator<Item = &'a str> {
    const LINES_MAX: usize = 60;
    let head = format!("---- {test} stdout ----");
    let ends =
        |line: &&str| line.starts_with("---- ") || ["failures:", "successes:"].contains(line);
    let lines = text.lines().skip_while(move |line| *line != head).skip(1);
    lines.take_while(move |line| !ends(line)).take(LINES_MAX)
}

/// What the output of one or more test programs says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    passed: usize,
    failed: Vec<String>,
    /// Test and reason.
    skipped: BTreeMap<String, String>,
}

impl Counted {
    fn read(text: &str) -> Self {
        let mut counted = Self::default();
        let mut shown = "a test".to_string();
        for line in text.lines() {
            if let Some(test) = line
                .strip_prefix("---- ")
                .and_then(|l| l.strip_suffix(" stdout ----"))
            {
                shown = test.to_string();
            } else if let Some(why) = line.trim_start().strip_prefix("SKIPPED") {
                let why = why.trim_start_matches(':').trim();
                counted.skipped.insert(shown.clone(), why.to_string());
            } else if let Some(test) = line
                .strip_prefix("test ")
                .and_then(|l| l.strip_suffix(" ... FAILED"))
            {
                counted.failed.push(test.to_string());
            } else if line.starts_with("test result:") {
                counted.passed += number_before(line, " passed");
            }
        }
        counted
    }
}

/// The number that stands just before `word` in `line`, or 0.
fn number_before(line: &str, word: &str) -> usize {
    let Some((before, _)) = line.split_once(word) else {
        return 0;
    };
    before
        .rsplit(' ')
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
test a::b ... ok
test a::c ... FAILED
test a::d ... ok
---- a::d stdout ----
SKIPPED: no ring here
failures:
---- a::c stdout ----
assertion failed: 1 == 2
failures:
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out
";

    #[test]
    fn a_tests_own_output_is_found() {
        let lines: Vec<_> = output_of(OUTPUT, "a::c").collect();
        assert_eq!(lines, ["assertion failed: 1 == 2"]);
        assert_eq!(output_of(OUTPUT, "a::x").count(), 0);
    }

    #[test]
    fn tests_are_counted_over_programs() {
        let counted = Counted::read(OUTPUT);
        assert_eq!(counted.passed, 7);
        assert_eq!(counted.failed, ["a::c"]);
        assert_eq!(
            counted.skipped,
            BTreeMap::from([("a::d".to_string(), "no ring here".to_string())])
        );
    }
}
