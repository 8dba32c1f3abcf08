//! How many system calls a program makes, counted by perf(1): the tracepoint `raw_syscalls:sys_enter` sees
//! every thread and process of the program, and costs next to nothing, where ptrace would change what it
//! counts. Needs root or CAP_PERFMON; where it is refused, the answer is why.

#![forbid(unsafe_code)]

use std::process::{Command, Stdio};

const EVENT: &str = "raw_syscalls:sys_enter";

/// Runs the program to its end, which must be a good one; answers how many calls it made.
pub(super) fn count(program: &Command) -> Result<u64, String> {
    let answer = tempfile::NamedTempFile::new().map_err(|error| format!("perf: {error}"))?;
    let mut perf = Command::new("perf");
    perf.args(["stat", "--field-separator=,", "--event", EVENT, "--output"]);
    perf.arg(answer.path()).arg("--").arg(program.get_program());
    perf.args(program.get_args()).stdin(Stdio::null());
    let output = perf.output();
    let output = output.map_err(|error| format!("perf does not start: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let why = complaint.lines().find(|line| !line.trim().is_empty());
        return Err(format!("perf: {}", why.unwrap_or("it did not say why")));
    }
    let answer = std::fs::read_to_string(answer.path());
    parse(&answer.map_err(|error| format!("perf: {error}"))?)
}

/// The count's line begins with the count, or with why there is none.
fn parse(text: &str) -> Result<u64, String> {
    let line = text.lines().find(|line| line.contains(EVENT));
    let word = line.and_then(|line| line.split(',').next());
    let word = word.ok_or("perf's answer has no count")?;
    word.trim()
        .parse()
        .map_err(|_| format!("perf says {}", word.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        assert_eq!(
            parse("# started on\n\n1234,,raw_syscalls:sys_enter,5,100.00,,\n"),
            Ok(1234)
        );
        let error = parse("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n").unwrap_err();
        assert!(error.contains("not supported"), "{error}");
        assert!(parse("# started on\n").is_err());
    }

    #[test]
    fn calls_of_children_are_counted() {
        let mut program = Command::new("sh");
        program.args(["-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; done"]);
        match count(&program) {
            // A process that does nothing takes a dozen calls at least.
            Ok(calls) => assert!(calls > 120, "{calls}"),
            Err(why) => println!("SKIPPED: {why}"),
        }
    }
}
