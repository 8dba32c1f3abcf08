//! `cargo xtask bench [--record]`: the project's benchmarks, and their history.
//!
//! The contract is in `bench/README.md`: a benchmark is a command whose last line of output is one flat
//! JSON object of numbers. `--record` appends one line for the whole run to `bench/history.ndjson`, with
//! what is needed to judge it later: commit, date, processor, cores, kernel.
#![forbid(unsafe_code)]

use crate::json;
use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd};
use std::io::Write;
use std::path::Path;

/// A benchmark: the name its metrics are filed under, and the command, run in the repository root. Its first
/// word is a program that the release build made, so that what is measured is what ships; but for `ds-peers`,
/// which is `ds` with other codecs to compare with.
struct Benchmark {
    name: &'static str,
    command: &'static str,
    /// A program that it compares with: the Debian package's name is the program's.
    needs: Option<&'static str>,
}

const fn benchmark(name: &'static str, command: &'static str) -> Benchmark {
    Benchmark {
        name,
        command,
        needs: None,
    }
}

/// Every benchmark. Reads are warm: a machine's disk is not ours to compare.
const BENCHMARKS: &[Benchmark] = &[
    benchmark(
        "read_warm_64k",
        "ds bench --warm --request-kib 64 --depth 1024 --seconds 8 --json",
    ),
    benchmark(
        "read_warm_4k",
        "ds bench --warm --request-kib 4 --depth 1024 --seconds 8 --json",
    ),
    Benchmark {
        needs: Some("fio"),
        ..benchmark(
            "compare",
            "ds bench --compare --warm --seconds 15 --rounds 5 --json",
        )
    },
    benchmark(
        "pipeline_warm_gdeflate_512k",
        "ds bench --warm --codec gdeflate --request-kib 512 --depth 64 --seconds 8 --json",
    ),
    benchmark("gdeflate", "ds-peers bench gdeflate --small --json"),
    benchmark("decode", "examples/bench_decode --json"),
    benchmark("encode_1", "examples/bench_encode --json -l 1 -m 2"),
    benchmark("encode_9", "examples/bench_encode --json -l 9 -m 2"),
    benchmark("encode_12", "examples/bench_encode --json -l 12 -m 1"),
    benchmark("start", "examples/bench_start --json"),
];

/// Files whose size is a measurement too.
const SIZES: &[(&str, &str)] = &[
    ("ds_bytes", "release/ds"),
    ("libds_runtime_so_bytes", "release/libds_runtime.so"),
];

/// Runs every benchmark; with `--record` keeps the numbers.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let record = match arguments {
        [] => false,
        [one] if one == "--record" => true,
        _ => return Err("usage: cargo xtask bench [--record]".into()),
    };
    build_with_peers()?;
    Cmd::cargo()
        .args([
            "build",
            "--release",
            "--package",
            "ds-runtime",
            "--package",
            "ds-capi",
            "--quiet",
        ])
        .run()?;
    Cmd::cargo()
        .args(["build", "--release", "--workspace", "--examples", "--quiet"])
        .run()?;
    let mut metrics = sizes(report);
    for benchmark in BENCHMARKS {
        let name = format!("bench: {}", benchmark.name);
        if let Some(program) = benchmark.needs.filter(|program| !sh::have(program)) {
            report.skip(
                &name,
                &format!("{program} is not installed; apt install {program}"),
            );
            continue;
        }
        match measure(benchmark) {
            Ok(found) => {
                metrics.extend(found);
                report.pass(&name);
            }
            Err(why) => report.fail(&name, &why),
        }
    }
    metrics
        .iter()
        .for_each(|(name, value)| println!("  {name:<40} {value}"));
    if record && report.failed_count() == 0 {
        append(&history_line(&metrics)?)?;
        report.pass("bench: recorded in bench/history.ndjson");
    }
    Ok(())
}

/// Builds `ds` with its feature `bench-peers`, and puts it aside: the build of what ships takes its name.
fn build_with_peers() -> Result<(), String> {
    let build = Cmd::cargo().args(["build", "--release", "--package", "ds-runtime"]);
    build
        .args(["--features", "bench-peers", "--bin", "ds", "--quiet"])
        .run()?;
    let folder = paths::target().join("release");
    // A copy by rename, since the one from the last time may be a program that still runs.
    let temporary = folder.join("ds-peers.new");
    let copied = std::fs::copy(folder.join("ds"), &temporary);
    copied
        .and_then(|_| std::fs::rename(&temporary, folder.join("ds-peers")))
        .map_err(|e| format!("cannot put ds-peers aside: {e}"))
}

fn sizes(report: &mut Report) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for (name, file) in SIZES {
        let size = stripped_bytes(&paths::target().join(file));
        report.check(
            &format!("bench: size of {file}"),
            size.as_ref().map(drop).map_err(Clone::clone),
        );
        found.extend(size.map(|bytes| (format!("size.{name}"), bytes as f64)));
    }
    found
}

/// The size without what only a debugger reads: that is what a user downloads and maps.
fn stripped_bytes(file: &Path) -> Result<u64, String> {
    let stripped = paths::scratch("bench")?.join(paths::name_of(file));
    Cmd::new("strip")
        .args(["--strip-all", "-o"])
        .arg(&stripped)
        .arg(file)
        .quiet()
        .run()?;
    std::fs::metadata(&stripped)
        .map(|metadata| metadata.len())
        .map_err(|e| e.to_string())
}

fn measure(benchmark: &Benchmark) -> Result<Vec<(String, f64)>, String> {
    let mut words = benchmark.command.split(' ');
    let program = words.next().ok_or("its command is empty")?;
    let text = Cmd::new(paths::target().join("release").join(program))
        .args(words)
        .limit_s(20 * 60)
        .capture()
        .text_or_shown()?;
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .ok_or("it printed nothing")?;
    let numbers = json::read_numbers(last).map_err(|why| format!("its last line: {why}"))?;
    if numbers.is_empty() {
        return Err("it measured nothing".into());
    }
    Ok(numbers
        .into_iter()
        .map(|(name, value)| (format!("{}.{name}", benchmark.name), value))
        .collect())
}

fn history_line(metrics: &[(String, f64)]) -> Result<String, String> {
    let numbers: Vec<String> = metrics
        .iter()
        .map(|(name, v)| format!("{}:{v}", json::quote(name)))
        .collect();
    Ok(format!(
        "{{{},\"metrics\":{{{}}}}}",
        circumstances()?,
        numbers.join(",")
    ))
}

/// When, of what and on what something is measured: members of a JSON object.
pub(crate) fn circumstances() -> Result<String, String> {
    let said = |program: &str, arguments: &[&str]| {
        let asked = Cmd::new(program).args(arguments).quiet().limit_s(60);
        let text = asked.capture().text_or_shown()?;
        Ok::<String, String>(json::quote(text.trim()))
    };
    let describe = [
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ];
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(format!(
        "\"date\":{},\"commit\":{},\"cpu\":{},\"cores\":{cores},\"kernel\":{}",
        said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?,
        said("git", &describe)?,
        json::quote(&cpu_model()),
        said("uname", &["-r"])?
    ))
}

/// The processor as the kernel names it.
fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|l| l.split_once(':'))
        .map_or_else(|| "unknown".into(), |(_, name)| name.trim().to_string())
}

fn append(line: &str) -> Result<(), String> {
    let path = paths::root().join("bench/history.ndjson");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{line}"));
    written.map_err(|e| format!("cannot append to {}: {e}", path.display()))
}
