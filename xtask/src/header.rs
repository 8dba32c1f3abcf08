//! `cargo xtask header [--check]`: is `include/ds_runtime.h` what the sources of `ds-capi` say?
//!
//! The root build script is the only generator. Asked through `DS_HEADER_OUT` it writes elsewhere, which is
//! how a check can compare without touching the tree, and how a forced run differs from a cached one.
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::Cmd;
use std::path::PathBuf;

/// Regenerates the header, or with `--check` only says whether it is stale.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [one] if one == "--check" => true,
        _ => return Err("usage: cargo xtask header [--check]".into()),
    };
    let committed = paths::root().join("include/ds_runtime.h");
    let fresh = generate()?;
    let held = std::fs::read_to_string(&committed).unwrap_or_default();
    if held == fresh {
        report.pass("header: include/ds_runtime.h is what ds-capi says");
    } else if check {
        print_first_difference(&held, &fresh);
        report.fail(
            "header",
            "include/ds_runtime.h is stale: run `cargo xtask header` and commit it",
        );
    } else {
        paths::write(&committed, &fresh)?;
        report.pass("header: include/ds_runtime.h rewritten; commit it");
    }
    Ok(())
}

/// Has the build script write the header into the build tree, and reads it back.
fn generate() -> Result<String, String> {
    let out: PathBuf =
        paths::scratch("header")?.join(format!("ds_runtime-{}.h", std::process::id()));
    let _ = std::fs::remove_file(&out);
    Cmd::cargo()
        .args(["build", "--quiet", "--package", "ds-runtime"])
        .env("DS_HEADER_OUT", &out)
        .run()?;
    let text = paths::read(&out)?;
    let _ = std::fs::remove_file(&out);
    Ok(text)
}

fn print_first_difference(held: &str, fresh: &str) {
    let same = held
        .lines()
        .zip(fresh.lines())
        .take_while(|(a, b)| a == b)
        .count();
    println!("  first difference at line {}:", same + 1);
    println!(
        "  - {}",
        held.lines()
            .nth(same)
            .unwrap_or("(end of the committed header)")
    );
    println!(
        "  + {}",
        fresh
            .lines()
            .nth(same)
            .unwrap_or("(end of the generated header)")
    );
}
