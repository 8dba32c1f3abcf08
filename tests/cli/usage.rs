//! Command lines and help.

#![forbid(unsafe_code)]

use std::ffi::OsStr;

use crate::rig::*;

#[test]
fn wrong_command_lines_are_status_two() {
    let folder = folder();
    for arguments in [
        &["frobnicate"][..],
        &["pack"],
        &["pack", "x"],
        &["pack", "x", "-o", "y", "--level", "13"],
        &["pack", "x", "-o", "y", "--level", "3", "--store"],
    ] {
        let arguments: Vec<_> = arguments.iter().map(|a| a as &dyn AsRef<OsStr>).collect();
        assert_eq!(ds(folder.path(), &arguments).status.code(), Some(2));
    }
    let error = fails(
        folder.path(),
        &[&"pack", &"x", &"-o", &"y", &"--chunk-kib", &"100"],
    );
    assert!(error.contains("multiple of 64"), "{error}");
}

#[test]
fn help_lists_every_command() {
    let folder = folder();
    let help = ok(folder.path(), &[]);
    for command in [
        "demo",
        "pack",
        "unpack",
        "verify",
        "inspect",
        "compress",
        "decompress",
        "bench",
        "info",
    ] {
        let line = help
            .lines()
            .find(|line| line.trim_start().starts_with(command));
        assert!(
            line.is_some_and(|line| line.len() <= 100),
            "{command}: {help}"
        );
        assert!(ok(folder.path(), &[&command, &"--help"]).contains("Usage: ds"));
    }
}
