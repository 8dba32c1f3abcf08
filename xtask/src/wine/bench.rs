//! `cargo xtask wine bench [d3d12] [--oracle DIR] [--d3d12 DIR] [--rounds N] [--record]`: how fast
//! dstorage.dll is.
//!
//! Runs a program of `bench/wine` (see `suites`) under the newest Wine that can, several times; with
//! `--oracle`, in turns with Microsoft's DLLs, so that both meet the same machine, and prints the medians of
//! the ratios within the rounds beside what is asked of them. `--d3d12` puts the d3d12.dll of another folder
//! in the place of Wine's. The file is in the page cache, and CPU time is that of the process and of Wine's
//! server. `--record` writes the suite's file in `bench/wine`.
//!
//! Nothing here fails for being slow: machines differ, and only a person can say what a number means.
#![forbid(unsafe_code)]

use super::build;
use super::display::Display;
use super::host::Wine;
use super::oracle;
use super::programs::{self, EXIT_SKIPPED, Program};
use super::suites::{self, Suite};
use crate::bench;
use crate::json;
use crate::paths;
use crate::report::Report;
use std::path::{Path, PathBuf};

const ROUNDS: usize = 3;
const RUN_LIMIT_S: u64 = 90;
const FILE_BYTES: usize = 256 << 20;

struct Options {
    suite: &'static Suite,
    oracle: Option<PathBuf>,
    /// Where another d3d12.dll lies.
    d3d12: Option<PathBuf>,
    rounds: usize,
    record: bool,
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let usage = || {
        "usage: cargo xtask wine bench [d3d12] [--oracle DIR] [--d3d12 DIR] [--rounds N] [--record]"
            .to_string()
    };
    let mut options = Options {
        suite: &suites::MEMORY,
        oracle: None,
        d3d12: None,
        rounds: ROUNDS,
        record: false,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "d3d12" => options.suite = &suites::D3D12,
            "--oracle" => options.oracle = Some(arguments.next().ok_or_else(usage)?.into()),
            "--d3d12" => options.d3d12 = Some(arguments.next().ok_or_else(usage)?.into()),
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

/// One run's measurements, in the order of the suite's goals.
type Numbers = Vec<f64>;

/// Our runs, and the oracle's if there is one.
type Rounds = (Vec<Numbers>, Vec<Numbers>);

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
    let name = options.suite.program;
    let program = Program {
        name: name.into(),
        binary: tree.join(format!("programs/{name}.exe")),
    };
    let source = paths::root().join(format!("bench/wine/{name}.c"));
    build::program(&source, &program.binary, &[])?;
    make_file(&file(&tree))?;
    let display = Display::start();
    let mut wines = super::wines(&tree, report);
    while let Some(wine) = wines.pop() {
        let label = format!("{}: {name}", wine.name);
        let wine = match (&display, options.suite.needs_display) {
            (Ok(display), true) => wine.with_display(display),
            (Err(why), true) => return Err(why.clone()),
            (_, false) => wine,
        };
        let bench = Bench {
            wine: &wine,
            program: &program,
            tree: &tree,
            options: &options,
        };
        match bench.rounds()? {
            Some((ours, theirs)) => {
                bench.print(&ours, &theirs);
                if options.record {
                    bench.record(&ours, &theirs)?;
                }
                report.pass(&format!("{label}: measured, {} rounds", ours.len()));
                return Ok(());
            }
            None => report.skip(&label, "there is no D3D12 device"),
        }
    }
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

/// What is measured, and with what.
struct Bench<'a> {
    wine: &'a Wine,
    program: &'a Program,
    tree: &'a Path,
    options: &'a Options,
}

impl Bench<'_> {
    /// Both sides' rounds, by turns; nothing where ours cannot be measured.
    fn rounds(&self) -> Result<Option<Rounds>, String> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let Some(numbers) = self.measure(self.wine, None)? else {
                return Ok(None);
            };
            ours.push(numbers);
            if let Some(folder) = &self.options.oracle {
                let wine = self.wine.with_prefix(oracle::PREFIX);
                theirs.extend(self.measure(&wine, Some(folder))?);
            }
        }
        // What the other could not do in one round it has not done.
        if theirs.len() < ours.len() {
            theirs.clear();
        }
        Ok(Some((ours, theirs)))
    }

    /// One run; nothing if the program skipped.
    fn measure(&self, wine: &Wine, oracle: Option<&Path>) -> Result<Option<Numbers>, String> {
        let wine = &wine.with_d3d12(self.options.d3d12.as_deref());
        wine.make_prefix()?;
        let server = wine.server_pid()?;
        let folder = build::windows_folder(self.tree);
        let folder = programs::place(wine, self.program, oracle.unwrap_or(&folder))?;
        let file = file(self.tree).display().to_string().replace('/', "\\");
        let run = wine.run(&folder.join(paths::name_of(&self.program.binary)));
        let run = run.env("DS_LOG", "none");
        let run = match oracle {
            None => run.env("WINEDLLPATH", self.tree),
            Some(_) => run.env("WINEDLLOVERRIDES", wine.overrides(oracle::OVERRIDES)),
        };
        let run = run.arg(format!("Z:{file}")).arg(server.to_string());
        let ended = run.directory(&folder).limit_s(RUN_LIMIT_S).capture();
        wine.end();
        if ended.code == Some(EXIT_SKIPPED) {
            ended.show_tail(1);
            return Ok(None);
        }
        self.numbers(&ended.text_or_shown()?, oracle.is_none())
            .map(Some)
    }

    fn numbers(&self, text: &str, ours: bool) -> Result<Numbers, String> {
        let read = json::read_numbers(text.lines().next_back().unwrap_or_default())?;
        let number = |name: &str| {
            let found = read.iter().find(|(found, _)| found == name);
            found
                .map(|(_, number)| *number)
                .ok_or_else(|| format!("{}.exe does not say {name}", self.program.name))
        };
        if (number("ours")? == 1.0) != ours {
            return Err("it ran with the wrong DLL".into());
        }
        let goals = self.options.suite.goals.iter();
        goals.map(|goal| number(goal.name)).collect()
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

impl Bench<'_> {
    fn print(&self, ours: &[Numbers], theirs: &[Numbers]) {
        println!(
            "\n| {}, medians of {} rounds | ours | theirs | ratio | asked |",
            self.wine.name,
            ours.len()
        );
        println!("|---|---|---|---|---|");
        for (index, goal) in self.options.suite.goals.iter().enumerate() {
            let their = match theirs.is_empty() {
                true => String::new(),
                false => short(column(theirs, index)),
            };
            let ratio = ratio(ours, theirs, index).map_or(String::new(), |ratio| {
                match goal.more_is_better || ratio >= 1.0 {
                    true => format!("x {ratio:.1}"),
                    false => format!("1/{:.1}", 1.0 / ratio),
                }
            });
            let our = short(column(ours, index));
            println!(
                "| {} | {our} | {their} | {ratio} | {} |",
                goal.what, goal.asked
            );
        }
        println!();
    }

    fn record(&self, ours: &[Numbers], theirs: &[Numbers]) -> Result<(), String> {
        let suite = self.options.suite;
        let rows = suite.goals.iter().enumerate().map(|(index, goal)| {
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
        let d3d12 = match &self.options.d3d12 {
            Some(_) => "  \"d3d12\": \"another\",\n",
            None => "",
        };
        let text = format!(
            "{{\n{},\n  \"wine\": {},\n{d3d12}  \"rounds\": {},\n  \"medians\": {{\n{}\n  }}\n}}\n",
            bench::circumstances()?,
            json::quote(&self.wine.name),
            ours.len(),
            rows.join(",\n")
        );
        paths::write(&paths::root().join(suite.record), &text)
    }
}

/// Ratios of a program's own are small.
fn short(number: f64) -> String {
    match number.abs() < 10.0 {
        true => format!("{number:.2}"),
        false => format!("{number:.1}"),
    }
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
