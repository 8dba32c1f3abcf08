//! A test in a process of its own: for limits, filters, mounts and descriptors that other tests must not see.
//!
//! The test's program starts itself again, with only that test, under a time limit. What the child prints,
//! its `SKIPPED` lines too, becomes the test's output.

#![forbid(unsafe_code)]

use std::process::Command;

/// In the child, the name of its test.
const CHILD: &str = "DS_TEST_CHILD";
/// What the child says when its body begins: a name that matches no test would pass without a word.
const BEGINS: &str = "child begins";
/// Time for one body, also under a sanitizer.
const LIMIT_S: &str = "400";

/// How to start the child.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Start {
    /// A program and its arguments that start the test's program in turn.
    pub(crate) launcher: &'static [&'static str],
    /// The engine's log level.
    pub(crate) log: Option<&'static str>,
}

/// Runs `body` in a process of its own. `test` is the caller's name, with its modules. Answers what the child
/// wrote on standard error; in the child itself, nothing.
pub(crate) fn run(test: &str, start: Start, body: impl FnOnce()) -> Option<String> {
    if std::env::var_os(CHILD).is_some_and(|name| name == test) {
        println!("\n{BEGINS}");
        body();
        return None;
    }
    let program = std::env::current_exe().expect("a test has a program");
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", LIMIT_S])
        .args(start.launcher)
        .arg(program)
        .args([
            test,
            "--exact",
            "--quiet",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, test)
        .env_remove("DS_CONFIG")
        .env_remove("DS_CONFIG_FILE");
    match start.log {
        Some(level) => command.env("DS_LOG", level),
        None => command.env_remove("DS_LOG"),
    };
    let ended = command.output().expect("timeout(1) is part of coreutils");
    let out = String::from_utf8_lossy(&ended.stdout);
    let err = String::from_utf8_lossy(&ended.stderr).into_owned();
    let own = |line: &&str| {
        !["running ", "test result", ".", BEGINS]
            .iter()
            .any(|word| line.starts_with(word))
    };
    out.lines()
        .filter(own)
        .filter(|line| !line.is_empty())
        .for_each(|line| println!("{line}"));
    assert!(
        ended.status.success(),
        "the child ended badly ({}; 124 is the time limit):\n{err}",
        ended.status
    );
    assert!(out.contains(BEGINS), "no test is called {test}");
    Some(err)
}
