//! `cargo xtask wine bench [--oracle DIR] [--rounds N] [--record]`: how fast dstorage.dll is.
//!
//! Runs `bench/wine/speed.c` under the newest Wine there is, several times; with `--oracle`, in turns with
//! Microsoft's DLLs, so that both meet the same machine, and prints the medians of the ratios within the
//! rounds beside what is asked of them. The file is in the page cache, and CPU time is that of the process
//! and of Wine's server. `--record` writes `bench/wine/ratios.json`.
//!
//! Nothing here fails for being slow: machines differ, and only a person can say what a number means.
#![forbid(unsafe_code)]

use super::build;
use super::host::Wine;
use super::oracle;
use super::programs::{self, Program};
use crate::bench;
use crate::json;
use crate::paths;
use crate::report::Report;
use std::path::{Path, PathBuf};

const ROUNDS: usize = 3;
const RUN_LIMIT_S: u64 = 90;
const FILE_BYTES: usize = 256 << 20;
const RECORD: &str = "bench/wine/ratios.json";

/// A measurement's name, whether more of it is better, and what is asked of the ratio to the oracle's.
struct Goal {
    name: &'static str,
    what: &'static str,
    more_is_better: bool,
    asked: &'static str,
}

const fn goal(name: &'static str, what: &'static str, more: bool, asked: &'static str) -> Goal {
    Goal {
        name,
        what,
        more_is_better: more,
        asked,
    }
}

const GOALS: &[Goal] = &[
    goal(
        "read_4k_mb_s",
        "4 KiB requests, MB/s",
        true,
        "x 20, goal x 40",
    ),
    goal(
        "read_64k_mb_s",
        "64 KiB requests, MB/s",
        true,
        "x 4, goal x 6",
    ),
    goal("read_1m_mb_s", "1 MiB requests, MB/s", true, ""),
    goal(
        "read_4k_cpu_ns",
        "CPU time of a 4 KiB request, ns",
        false,
        "1/10",
    ),
    goal(
        "read_64k_cpu_ns",
        "CPU time of a 64 KiB request, ns",
        false,
        "",
    ),
    goal(
        "read_4k_server_cpu_ns",
        "of it in Wine's server, ns",
        false,
        "",
    ),
    goal(
        "submit_to_status_p50_ns",
        "submit to status, depth 1, ns",
        false,
        "1/2",
    ),
    goal(
        "submit_to_status_p99_ns",
        "the same, 99th percentile, ns",
        false,
        "",
    ),
    goal(
        "enqueue_p50_ns",
        "EnqueueRequest, median, ns",
        false,
        "200 ns",
    ),
    goal("gdeflate_mb_s", "GDeflate to memory, MB/s", true, "x 4"),
    goal("load_ms", "DLL and factory, ms", false, "20 ms"),
    goal(
        "idle_cpu_ms_per_s",
        "CPU time when idle, ms a second",
        false,
        "0",
    ),
];

struct Options {
    oracle: Option<PathBuf>,
    rounds: usize,
    record: bool,
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let usage =
        || "usage: cargo xtask wine bench [--oracle DIR] [--rounds N] [--record]".to_string();
    let mut options = Options {
        oracle: None,
        rounds: ROUNDS,
        record: false,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--oracle" => options.oracle = Some(arguments.next().ok_or_else(usage)?.into()),
            "--rounds" => {
                let rounds = arguments.next().and_then(|text| text.parse().ok());
                options.rounds = rounds.filter(|&rounds| rounds > 0).ok_or_else(usage)?;
            }
            "--record" => options.record = true,
            _ => return Err(usage()),
        }
    }
    Ok(options)
}

/// One run's measurements, in the order of `GOALS`.
type Numbers = Vec<f64>;

/// Measures, prints, and records if asked to.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let options = options(arguments)?;
    if let Some(folder) = &options.oracle {
        oracle::check_folder(folder)?;
    }
    if let Some(missing) = build::missing_tool() {
        report.skip("wine bench", &format!("{missing} is not here"));
        return Ok(());
    }
    let tree = super::tree();
    build::build(&tree, &build::engine()?)?;
    let program = Program {
        name: "speed".into(),
        binary: tree.join("programs/speed.exe"),
    };
    let source = paths::root().join("bench/wine/speed.c");
    build::program(&source, &program.binary, &[])?;
    make_file(&file(&tree))?;
    let Some(wine) = super::wines(&tree, report).pop() else {
        return Ok(());
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        ours.push(measure(&wine, &program, &tree, None)?);
        if let Some(folder) = &options.oracle {
            let wine = wine.with_prefix(oracle::PREFIX);
            theirs.push(measure(&wine, &program, &tree, Some(folder))?);
        }
    }
    print(&wine.name, &ours, &theirs);
    if options.record {
        record(&wine.name, &ours, &theirs)?;
    }
    report.pass(&format!(
        "{}: measured, {} rounds",
        wine.name, options.rounds
    ));
    Ok(())
}

fn file(tree: &Path) -> PathBuf {
    tree.join("speed.bin")
}

fn make_file(path: &Path) -> Result<(), String> {
    if path
        .metadata()
        .is_ok_and(|about| about.len() == FILE_BYTES as u64)
    {
        return Ok(());
    }
    let bytes: Vec<u8> = (0..FILE_BYTES)
        .map(|at| (at * 31 + (at >> 8) * 7) as u8)
        .collect();
    std::fs::write(path, bytes).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn measure(
    wine: &Wine,
    program: &Program,
    tree: &Path,
    oracle: Option<&Path>,
) -> Result<Numbers, String> {
    wine.make_prefix()?;
    let server = wine.server_pid()?;
    let folder = build::windows_folder(tree);
    let folder = programs::place(wine, program, oracle.unwrap_or(&folder))?;
    let run = wine.run(&folder.join(paths::name_of(&program.binary)));
    let run = match oracle {
        None => run.env("WINEDLLPATH", tree),
        Some(_) => run.env("WINEDLLOVERRIDES", wine.overrides(oracle::OVERRIDES)),
    };
    let ended = run
        .env("DS_LOG", "none")
        .arg(format!(
            "Z:{}",
            file(tree).display().to_string().replace('/', "\\")
        ))
        .arg(server.to_string())
        .directory(&folder)
        .limit_s(RUN_LIMIT_S)
        .capture();
    wine.end();
    let text = ended.text_or_shown()?;
    let read = json::read_numbers(text.lines().next_back().unwrap_or_default())?;
    let number = |name: &str| {
        let found = read.iter().find(|(found, _)| found == name);
        found
            .map(|(_, number)| *number)
            .ok_or_else(|| format!("speed.exe does not say {name}"))
    };
    match (number("ours")? == 1.0, oracle) {
        (true, None) | (false, Some(_)) => GOALS.iter().map(|goal| number(goal.name)).collect(),
        _ => Err("it ran with the wrong DLL".into()),
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() % 2 {
        0 => f64::midpoint(numbers[middle - 1], numbers[middle]),
        _ => numbers[middle],
    }
}

fn column(runs: &[Numbers], index: usize) -> f64 {
    median(runs.iter().map(|run| run[index]).collect())
}

/// The median of the ratios within the rounds; none where there is no other, or it has nothing.
fn ratio(ours: &[Numbers], theirs: &[Numbers], index: usize) -> Option<f64> {
    let pairs = ours.iter().zip(theirs);
    let ratios: Vec<f64> = pairs
        .map(|(our, their)| our[index] / their[index])
        .collect();
    let is_whole = !ratios.is_empty() && ratios.iter().all(|ratio| ratio.is_finite());
    is_whole.then(|| median(ratios))
}

fn print(wine: &str, ours: &[Numbers], theirs: &[Numbers]) {
    println!(
        "\n| {wine}, medians of {} rounds | ours | theirs | ratio | asked |",
        ours.len()
    );
    println!("|---|---|---|---|---|");
    for (index, goal) in GOALS.iter().enumerate() {
        let their = match theirs.is_empty() {
            true => String::new(),
            false => format!("{:.1}", column(theirs, index)),
        };
        let ratio = ratio(ours, theirs, index).map_or(String::new(), |ratio| {
            match goal.more_is_better || ratio >= 1.0 {
                true => format!("x {ratio:.1}"),
                false => format!("1/{:.1}", 1.0 / ratio),
            }
        });
        let our = column(ours, index);
        println!(
            "| {} | {our:.1} | {their} | {ratio} | {} |",
            goal.what, goal.asked
        );
    }
    println!();
}

fn record(wine: &str, ours: &[Numbers], theirs: &[Numbers]) -> Result<(), String> {
    let rows = GOALS.iter().enumerate().map(|(index, goal)| {
        let their = match theirs.is_empty() {
            true => String::new(),
            false => format!(", \"theirs\": {:.3}", column(theirs, index)),
        };
        let ratio = ratio(ours, theirs, index);
        let ratio = ratio.map_or(String::new(), |ratio| format!(", \"ratio\": {ratio:.4}"));
        let our = column(ours, index);
        format!(
            "    \"{}\": {{\"ours\": {our:.3}{their}{ratio}}}",
            goal.name
        )
    });
    let rows: Vec<String> = rows.collect();
    let text = format!(
        "{{\n{},\n  \"wine\": {},\n  \"rounds\": {},\n  \"medians\": {{\n{}\n  }}\n}}\n",
        bench::circumstances()?,
        json::quote(wine),
        ours.len(),
        rows.join(",\n")
    );
    paths::write(&paths::root().join(RECORD), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_rounds() {
        let (ours, theirs) = (
            [vec![2.0], vec![30.0], vec![4.0]],
            [vec![1.0], vec![3.0], vec![1.0]],
        );
        assert_eq!(ratio(&ours, &theirs, 0), Some(4.0));
        assert_eq!(ratio(&ours, &[], 0), None);
        assert_eq!(ratio(&ours[..1], &[vec![0.0]], 0), None);
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
    }
}
