//! The tally of a run: what passed, what failed and what was skipped, and why.
//!
//! Promises that a skip is never silent (it is said when it happens and again at the end), that it is never
//! counted as a pass, and that the last line printed is the tally alone, so that a machine can read it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// What a command found out.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    /// An empty tally.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One thing was checked and holds.
    pub(crate) fn pass(&mut self, name: &str) {
        println!("ok: {name}");
        self.passed += 1;
    }

    /// `count` things were checked and hold; whoever checked them has printed their names.
    pub(crate) fn pass_many(&mut self, count: usize) {
        self.passed += count;
    }

    /// One thing was checked and does not hold.
    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        println!("FAILED: {name}: {why}");
        self.failed.push(format!("{name}: {why}"));
    }

    /// One thing could not be checked here.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        println!("SKIPPED: {name}: {why}");
        self.skipped.push(format!("{name}: {why}"));
    }

    /// Passes or fails by `result`.
    pub(crate) fn check(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.pass(name),
            Err(why) => self.fail(name, &why),
        }
    }

    /// How many things have failed so far.
    pub(crate) fn failed_count(&self) -> usize {
        self.failed.len()
    }

    /// How many things have passed so far.
    pub(crate) fn passed_count(&self) -> usize {
        self.passed
    }

    /// The tally as the closing line has it.
    fn tally(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed.len(),
            self.skipped.len()
        )
    }

    /// Whether nothing failed and something was proved: a run that skipped everything has proved nothing.
    fn succeeded(&self) -> bool {
        self.failed.is_empty() && (self.passed > 0 || self.skipped.is_empty())
    }

    /// Repeats what did not pass, prints the tally on the last line, and gives the exit status.
    pub(crate) fn close(self) -> ExitCode {
        println!();
        self.skipped
            .iter()
            .for_each(|line| println!("SKIPPED: {line}"));
        self.failed
            .iter()
            .for_each(|line| println!("FAILED: {line}"));
        if self.failed.is_empty() && !self.succeeded() {
            println!("everything was skipped, so nothing is proved: that is a failure");
        }
        println!("{}", self.tally());
        if self.succeeded() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Reports are put together by hand here: one that speaks would look like a skip to whoever counts ours.
    fn report(passed: usize, failed: &[&str], skipped: &[&str]) -> Report {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Report {
            passed,
            failed: owned(failed),
            skipped: owned(skipped),
        }
    }

    #[test]
    fn the_tally_counts_each_kind_apart() {
        assert_eq!(
            report(4, &["b"], &["c", "d"]).tally(),
            "4 passed, 1 failed, 2 skipped"
        );
    }

    #[test]
    fn only_a_clean_run_succeeds() {
        assert!(report(1, &[], &["b"]).succeeded());
        assert!(report(0, &[], &[]).succeeded());
        assert!(!report(1, &["b"], &[]).succeeded());
    }

    #[test]
    fn a_run_that_skipped_everything_fails() {
        assert!(!report(0, &[], &["a"]).succeeded());
    }
}
