//! `ds bench`: what it prints, for people and for programs.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::rig::*;

/// The last line, which must be what `bench/README.md` asks of a benchmark: flat, and numbers only.
fn measured(text: &str) -> serde_json::Value {
    let value = json(text);
    let numbers = value.as_object().expect("an object").values();
    assert!(numbers.clone().all(serde_json::Value::is_number), "{value}");
    value
}

#[test]
fn benchmarks_end_with_json() {
    let folder = folder();
    fs::write(folder.path().join("f"), content(1, 3_000_000)).unwrap();
    let common: [&dyn AsRef<OsStr>; 8] = [
        &"--file",
        &"f",
        &"--request-kib",
        &"16",
        &"--depth",
        &"32",
        &"--json",
        &"--codec",
    ];
    for codec in ["none", "gdeflate"] {
        let mut arguments: Vec<&dyn AsRef<OsStr>> =
            vec![&"bench", &"--count", &"200", &"--rounds", &"2"];
        arguments.extend(common);
        arguments.push(&codec);
        let text = ok(folder.path(), &arguments);
        assert!(text.contains(&format!("codec {codec}")), "{text}");
        let value = measured(&text);
        let counts = [&value["requests_per_round"], &value["cold"]];
        assert_eq!(counts, [200, 0]);
        let positive = |name: &str| value[name].as_f64().is_some_and(|number| number > 0.0);
        assert!(positive("engine_mb_s") && positive("engine_to_baseline_ratio"));
        assert!(positive("latency_p99_ns") && value["enqueue_median_ns"].is_u64());

        let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"bench", &"stream", &"--gib", &"0.03"];
        arguments.extend(common);
        arguments.push(&codec);
        let value = measured(&ok(folder.path(), &arguments));
        let bytes = value["streamed_bytes"].as_u64();
        assert!(bytes.is_some_and(|bytes| bytes >= 30 << 20));
    }
    let cold = ok(
        folder.path(),
        &[
            &"bench",
            &"--file",
            &"f",
            &"--cold",
            &"--seconds",
            &"0.1",
            &"--json",
        ],
    );
    assert_eq!(measured(&cold)["cold"], 1);
    let error = fails(
        folder.path(),
        &[&"bench", &"--file", &"f", &"--request-kib", &"16384"],
    );
    assert!(error.contains("smaller than one request"), "{error}");
}

/// A little file and the arguments that compare over it for a moment.
fn compared(folder: &Path, more: &[&dyn AsRef<OsStr>]) -> Command {
    fs::write(folder.join("f"), content(1, 3_000_000)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ds"));
    command.current_dir(folder).args(["bench", "--compare"]);
    command.args(["--file", "f", "--seconds", "0.1", "--rounds", "1"]);
    command.args(["--json", "--threads", "1"]);
    command.args(more.iter().map(|argument| argument.as_ref()));
    command
}

#[test]
fn a_comparison_without_fio_says_so_and_compares_the_rest() {
    let folder = folder();
    let output = compared(folder.path(), &[]).env("PATH", "").output();
    let output = output.unwrap();
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let missing = printed.lines().find(|line| line.contains("not installed"));
    let missing = missing.expect("a line that says it");
    assert!(
        missing.starts_with("SKIPPED") && missing.contains("apt install fio"),
        "{missing}"
    );
    let value = measured(&printed);
    let cases = printed.matches(" random, depth ").count();
    // A file system that cannot forget a file has no cold cases, and says so.
    let warm_only = printed.contains("SKIPPED: cold reads");
    assert_eq!(cases, if warm_only { 3 } else { 6 }, "{printed}");
    assert_eq!(printed.matches("ds cpu").count(), cases, "{printed}");
    assert!(value["warm_4k.cpu_iops"].as_f64() > Some(0.0), "{value}");
    assert!(value["warm_1m.cpu_cpu_ns_per_request"].is_number());
    assert!(value["warm_64k.fio_iops"].is_null() && value["warm_64k.cpu_to_fio_ratio"].is_null());
    if ds_core::Backend::IoUring.unavailable().is_none() {
        assert_eq!(printed.matches("ds io_uring").count(), cases, "{printed}");
        assert!(value["warm_64k.io_uring_mb_s"].is_number(), "{value}");
    }
}

#[test]
fn a_comparison_with_fio_has_its_ratio() {
    let folder = folder();
    let arguments: [&dyn AsRef<OsStr>; 5] = [&"--warm", &"--request-kib", &"16", &"--depth", &"8"];
    let output = compared(folder.path(), &arguments).output().unwrap();
    let printed = text(&output.stdout);
    if let Some(why) = printed
        .lines()
        .find(|line| line.starts_with("SKIPPED: comparison"))
    {
        return println!("{why}");
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        printed.contains("warm, 16.0 KiB random, depth 8"),
        "{printed}"
    );
    assert!(printed.contains("fio io_uring"), "{printed}");
    let value = measured(&printed);
    assert!(value["warm_16k.fio_iops"].as_f64() > Some(0.0), "{value}");
    assert!(
        value["warm_16k.cpu_to_fio_ratio"].as_f64() > Some(0.0),
        "{value}"
    );
}

#[test]
fn a_comparison_refuses_what_makes_no_sense() {
    let folder = folder();
    let refuse = |arguments: &[&dyn AsRef<OsStr>], code: i32, why: &str| {
        let output = compared(folder.path(), arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(why), "{said}");
    };
    refuse(&[&"--count", &"5"], 2, "--count");
    refuse(&[&"--backend", &"cpu"], 2, "--backend");
    refuse(&[&"--warm", &"--cold"], 2, "--cold");
    refuse(&[&"--mode", &"sideways"], 2, "buffered");
    refuse(&[&"--dir", &"."], 2, "--dir");
    refuse(&[&"--request-kib", &"0"], 2, "0 is not in 1..=16384");
    refuse(&[&"--request-kib", &"4096"], 1, "smaller than one request");
    refuse(
        &[&"--request-kib", &"16384", &"--depth", &"4096"],
        1,
        "in flight at once",
    );
    let error = fails(
        folder.path(),
        &[&"bench", &"--compare", &"--file", &"nothing"],
    );
    assert!(error.contains("nothing: No such file"), "{error}");
    let usage = ds(folder.path(), &[&"bench", &"--seconds", &"-1"]);
    assert_eq!(usage.status.code(), Some(2), "{}", text(&usage.stderr));
    let usage = ds(folder.path(), &[&"bench", &"--seconds", &"nan"]);
    assert!(text(&usage.stderr).contains("a number of seconds"));
}

#[test]
fn one_backend_reads_alone() {
    let folder = folder();
    fs::write(folder.path().join("f"), content(1, 300_000)).unwrap();
    let said = ok(
        folder.path(),
        &[
            &"bench",
            &"load",
            &"--file",
            &"f",
            &"--backend",
            &"cpu",
            &"--count",
            &"1000",
            &"--request-kib",
            &"4",
            &"--depth",
            &"7",
        ],
    );
    assert!(said.starts_with("1000 requests in "), "{said}");
}

#[test]
fn priorities_are_measured_behind_a_bulk() {
    let folder = folder();
    fs::write(folder.path().join("f"), content(1, 3_000_000)).unwrap();
    let common: [&dyn AsRef<OsStr>; 9] = [
        &"bench",
        &"priority",
        &"--file",
        &"f",
        &"--seconds",
        &"0.2",
        &"--json",
        &"--backend",
        &"cpu",
    ];
    let mut arguments = common.to_vec();
    arguments.extend::<[&dyn AsRef<OsStr>; 4]>([&"--bulk-kib", &"16", &"--bulk-depth", &"8"]);
    let printed = ok(folder.path(), &arguments);
    if let Some(why) = printed.lines().find(|line| line.starts_with("SKIPPED")) {
        return println!("{why}");
    }
    let value = measured(&printed);
    for row in ["idle", "low", "high", "realtime"] {
        assert!(printed.contains(&format!("\n{row}")), "{printed}");
        assert!(value[format!("{row}_reads")].as_u64() > Some(0), "{value}");
        let [median, p99] =
            ["median", "p99"].map(|name| value[format!("{row}_{name}_ns")].as_u64());
        assert!(median > Some(0) && p99 >= median, "{value}");
    }
    assert!(value["bulk_mb_s"].as_f64() > Some(0.0), "{value}");
    let error = fails(folder.path(), &common);
    assert!(
        error.contains("too small") && error.contains("--bulk-depth"),
        "{error}"
    );
}
