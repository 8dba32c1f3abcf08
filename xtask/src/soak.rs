//! `cargo xtask soak [--seconds N] [--seed S]`: everything at once, for as long as one likes.
//!
//! The soak is a test of the engine's (`ds-core/tests/soak`), which runs for a few seconds with the others.
//! Here it is given time and a seed, and its reports are shown as they come.
#![forbid(unsafe_code)]

use crate::report::Report;
use crate::sh::Cmd;

const USAGE: &str = "usage: cargo xtask soak [--seconds N] [--seed S]";

/// Runs the soak for two minutes, unless told otherwise.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let (mut seconds, mut seed) = (120, 1);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse::<u64>().ok());
        let place = match word.as_str() {
            "--seconds" => &mut seconds,
            "--seed" => &mut seed,
            _ => return Err(USAGE.into()),
        };
        *place = value.ok_or(USAGE)?;
    }
    let soak = Cmd::cargo().args(["test", "--quiet", "--package", "ds-core", "--test", "soak"]);
    let soak = soak
        .args(["--", "--nocapture"])
        .env("DS_SOAK_SECONDS", seconds.to_string())
        .env("DS_SEED", seed.to_string());
    // What hangs says so within two minutes; building may take as long.
    let ended = soak.limit_s(seconds + 600).run();
    report.check(&format!("soak: {seconds} s, seed {seed}"), ended);
    Ok(())
}
