//! `cargo xtask conformance --oracle DIR [--d3d12 DIR] [program]`: the same programs with Microsoft's DLLs,
//! compared check by check.
//!
//! DIR holds a dstorage.dll and a dstoragecore.dll that whoever runs this has got for himself; they are
//! copied beside each program and never leave the build tree. Each check that comes out otherwise than with
//! our DLLs is printed, grouped by the reason that `bench/wine/differences.txt` gives. A difference without
//! a reason is a failure, and so is a reason without a difference.
#![forbid(unsafe_code)]

use super::build::{self, DLLS};
use super::display::Display;
use super::host::Wine;
use super::programs::{self, EXIT_SKIPPED, Program};
use crate::paths;
use crate::report::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const REASONS: &str = "bench/wine/differences.txt";
/// The same with a d3d12 with which Microsoft's DLLs make queues.
const REASONS_D3D12: &str = "bench/wine/differences-d3d12.txt";
/// What the programs say nothing about with Microsoft's DLLs.
const NOT_COMPARED: &[&str] = &["missing"];
const RUN_LIMIT_S: u64 = 60;
/// How a program begins its last line that can ask nothing here.
const SKIPPED: &str = "SKIPPED: ";
pub(crate) const PREFIX: &str = "prefix-oracle";
/// What makes Wine take the DLLs beside the program.
pub(crate) const OVERRIDES: &str = "dstorage,dstoragecore=n";
const UNEXPLAINED: &str = "NOT EXPLAINED";

/// Runs everything with both DLLs under each Wine there is.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let usage = "usage: cargo xtask conformance --oracle DIR [--d3d12 DIR] [program]";
    let (d3d12, arguments) = super::take_d3d12(arguments)?;
    let (dlls, only) = match &arguments[..] {
        [option, folder] if option == "--oracle" => (PathBuf::from(folder), None),
        [option, folder, one] if option == "--oracle" => {
            (PathBuf::from(folder), Some(one.as_str()))
        }
        _ => return Err(usage.into()),
    };
    check_folder(&dlls)?;
    if let Some(missing) = build::missing_tool() {
        report.skip("conformance", &format!("{missing} is not here"));
        return Ok(());
    }
    let tree = super::tree();
    build::build(&tree, &build::engine()?)?;
    let mut programs = programs::build(&tree, only)?;
    programs.retain(|program| !NOT_COMPARED.contains(&program.name.as_str()));
    if d3d12.is_some() {
        programs.retain(programs::needs_display);
    }
    let mut reasons = Reasons::read(match d3d12 {
        Some(_) => REASONS_D3D12,
        None => REASONS,
    })?;
    let display = Display::start();
    let wines = super::wines(&tree, report);
    for wine in &wines {
        for program in &programs {
            let name = format!("{}: {} beside the oracle", wine.name, program.name);
            let wine = match (&display, programs::needs_display(program)) {
                (_, false) => wine.clone(),
                (Ok(display), true) => wine.with_d3d12(d3d12.as_deref()).with_display(display),
                (Err(why), true) => {
                    report.skip(&name, why);
                    continue;
                }
            };
            match compare(&wine, program, &tree, &dlls, &mut reasons) {
                Ok(Compared::Alike) => report.pass(&name),
                Ok(Compared::Skipped(why)) => report.skip(&name, &why),
                Err(why) => report.fail(&name, &why),
            }
        }
    }
    // Some reasons are about one Wine or one program only.
    if wines.len() == 2 && only.is_none() {
        report.check("conformance: every reason is needed", reasons.all_needed());
    }
    Ok(())
}

/// What is asked to be compared must be another's: our own DLL would agree with itself.
pub(crate) fn check_folder(folder: &Path) -> Result<(), String> {
    for dll in DLLS.map(|dll| format!("{dll}.dll")) {
        let path = folder.join(&dll);
        let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if build::is_marked(&bytes) {
            return Err(format!("{} is Wine's or ours", path.display()));
        }
    }
    Ok(())
}

/// What a program said about one place in its source.
#[derive(Default)]
struct Said {
    holds: bool,
    fails: bool,
    /// What it says of the first failure.
    text: String,
}

impl Said {
    fn words(said: Option<&Said>) -> String {
        match said {
            None => "not checked".into(),
            Some(Said { fails: false, .. }) => "holds".into(),
            Some(Said { holds, text, .. }) => {
                format!("{}fails: {text}", if *holds { "sometimes " } else { "" })
            }
        }
    }
}

/// A place: the function, and the line.
type Place = (String, usize);

/// Reads `check`, function, line, verdict and text, separated by tabs, from each line that is one.
fn parse(output: &str) -> BTreeMap<Place, Said> {
    let mut places: BTreeMap<Place, Said> = BTreeMap::new();
    for line in output.lines() {
        let fields: Vec<&str> = line.trim_end().splitn(5, '\t').collect();
        let ["check", function, number, verdict, text] = fields[..] else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        let said = places.entry((function.into(), number)).or_default();
        said.holds |= verdict == "holds";
        if verdict == "fails" && !said.fails {
            (said.fails, said.text) = (true, text.into());
        }
    }
    places
}

/// A program's checks with one of the DLLs, and how it ended.
fn traced(
    wine: &Wine,
    program: &Program,
    folder: &Path,
    ours: bool,
    tree: &Path,
) -> (Checks, String) {
    let run = wine.run(&folder.join(paths::name_of(&program.binary)));
    let run = match ours {
        true => run.env("WINEDLLPATH", tree),
        false => run.env("WINEDLLOVERRIDES", wine.overrides(OVERRIDES)),
    };
    let ended = run
        .env("TEST_TRACE", "1")
        .env("DS_LOG", "none")
        .directory(folder)
        .limit_s(RUN_LIMIT_S)
        .capture();
    let skipped = ended.text.lines().find(|line| line.starts_with(SKIPPED));
    let last = ended.text.lines().next_back().unwrap_or_default();
    let whole = last.contains(" expected to fail (");
    let expected = if ours { "(our DLL)" } else { "(another DLL)" };
    let how = match (whole, last.contains(expected)) {
        _ if ended.code == Some(EXIT_SKIPPED) => skipped.unwrap_or(SKIPPED).trim_end().into(),
        (true, true) => String::new(),
        (true, false) => "it ran with the wrong DLL".into(),
        (false, _) => format!("it did not reach its end: {}", ended.why),
    };
    (parse(&ended.text), how)
}

type Checks = BTreeMap<Place, Said>;

/// How a comparison without surprises ended.
enum Compared {
    Alike,
    /// Nothing can be asked of ours here, and why.
    Skipped(String),
}

fn compare(
    wine: &Wine,
    program: &Program,
    tree: &Path,
    dlls: &Path,
    reasons: &mut Reasons,
) -> Result<Compared, String> {
    let one = |wine: &Wine, ours: bool| {
        wine.make_prefix()?;
        let from = if ours {
            build::windows_folder(tree)
        } else {
            dlls.to_path_buf()
        };
        let folder = programs::place(wine, program, &from)?;
        let (checks, how) = traced(wine, program, &folder, ours, tree);
        wine.end();
        Ok::<_, String>((checks, how))
    };
    let (ours, how) = one(wine, true)?;
    if let Some(why) = how.strip_prefix(SKIPPED) {
        return Ok(Compared::Skipped(why.into()));
    }
    if !how.is_empty() {
        return Err(format!("with our DLL: {how}"));
    }
    let (theirs, how) = one(&wine.with_prefix(PREFIX), false)?;
    let mut unexplained = 0;
    if theirs.is_empty() {
        // It said that it has nothing to ask of that DLL, or ended before it asked anything.
        let reason = reasons.of(&program.name, "*", &how);
        unexplained += usize::from(reason.is_none());
        println!(
            "  {}: {how}: {}",
            program.name,
            reason.as_deref().unwrap_or(UNEXPLAINED)
        );
    } else {
        let sources = Sources::read(&program.name)?;
        unexplained += print_differences(&program.name, &sources, &ours, &theirs, reasons);
        if !how.is_empty() {
            let reason = reasons.of(&program.name, "*", &how);
            unexplained += usize::from(reason.is_none());
            println!("  {how}: {}", reason.as_deref().unwrap_or(UNEXPLAINED));
        }
    }
    match unexplained {
        0 => Ok(Compared::Alike),
        count => Err(format!(
            "{count} differences that nothing in bench/wine explains"
        )),
    }
}

/// Prints what differs, grouped by reason, and answers how many have none.
fn print_differences(
    program: &str,
    sources: &Sources,
    ours: &Checks,
    theirs: &Checks,
    reasons: &mut Reasons,
) -> usize {
    let places: BTreeSet<&Place> = ours.keys().chain(theirs.keys()).collect();
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unexplained = 0;
    for place in places {
        let (our, their) = (ours.get(place), theirs.get(place));
        let verdict = |said: Option<&Said>| said.map(|said| (said.holds, said.fails));
        if verdict(our) == verdict(their) {
            continue;
        }
        let (function, number) = place;
        let text = sources.line(function, *number);
        let told = format!(
            "    {program} {number} {function}: {text}\n      ours: {}\n      theirs: {}",
            Said::words(our),
            Said::words(their)
        );
        let reason = reasons.of(program, function, text).unwrap_or_else(|| {
            unexplained += 1;
            UNEXPLAINED.into()
        });
        groups.entry(reason).or_default().push(told);
    }
    for (reason, told) in groups {
        println!("  {} x {reason}", told.len());
        told.iter().for_each(|line| println!("{line}"));
    }
    unexplained
}

/// Where checks stand: in a program, or in one of the headers that programs share.
struct Sources {
    program: String,
    headers: Vec<String>,
}

impl Sources {
    fn read(program: &str) -> Result<Sources, String> {
        let program = programs::source(program);
        let headers = program
            .parent()
            .map(|folder| paths::files_in(folder, &["h"]));
        let headers = headers.unwrap_or_default();
        let headers: Result<_, _> = headers.iter().map(|header| paths::read(header)).collect();
        Ok(Sources {
            headers: headers?,
            program: paths::read(&program)?,
        })
    }

    /// No two of these texts define a function of one name: what a header defines, no program does.
    fn line(&self, function: &str, number: usize) -> &str {
        let definition = [" ", "*"].map(|before| format!("{before}{function}("));
        let defines = |header: &&String| {
            let mut lines = header.lines().filter(|line| line.starts_with("static "));
            lines.any(|line| definition.iter().any(|start| line.contains(start)))
        };
        let text = self.headers.iter().find(defines).unwrap_or(&self.program);
        text.lines().nth(number - 1).map_or("", str::trim)
    }
}

/// The table of reasons: `program function | words of the source line | reason`. An asterisk stands for
/// any function; no words, for any line.
struct Reasons {
    rows: Vec<Row>,
}

struct Row {
    program: String,
    function: String,
    words: String,
    reason: String,
    is_needed: bool,
}

impl Reasons {
    fn read(path: &str) -> Result<Reasons, String> {
        Reasons::parse(&paths::read(&paths::root().join(path))?)
    }

    fn parse(text: &str) -> Result<Reasons, String> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rows = lines.map(|line| {
            let mut columns = line.splitn(3, '|').map(str::trim);
            let (place, words, reason) = (columns.next(), columns.next(), columns.next());
            let (program, function) = place?.split_once(' ')?;
            Some(Row {
                program: program.into(),
                function: function.trim().into(),
                words: words?.into(),
                reason: reason.filter(|reason| !reason.is_empty())?.into(),
                is_needed: false,
            })
            .ok_or(line)
            .ok()
        });
        let rows: Option<Vec<Row>> = rows.collect();
        let rows = rows.ok_or("the differences: a line is not of three columns")?;
        Ok(Reasons { rows })
    }

    /// The reason of the first row that fits.
    fn of(&mut self, program: &str, function: &str, line: &str) -> Option<String> {
        let row = self.rows.iter_mut().find(|row| {
            row.program == program
                && (row.function == "*" || row.function == function)
                && line.contains(&row.words)
        })?;
        row.is_needed = true;
        Some(row.reason.clone())
    }

    fn all_needed(&self) -> Result<(), String> {
        let mut idle = self.rows.iter().filter(|row| !row.is_needed).peekable();
        if idle.peek().is_none() {
            return Ok(());
        }
        let named: Vec<String> = idle
            .map(|row| format!("{} {} | {}", row.program, row.function, row.words))
            .collect();
        Err(format!("nothing differs in: {}", named.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_and_joined() {
        let output =
            "noise\ncheck\tf\t3\tholds\ta\ncheck\tf\t3\tfails\tb\r\ncheck\tf\t3\tfails\tc\n";
        let checks = parse(output);
        assert_eq!(checks.len(), 1);
        let said = &checks[&("f".to_string(), 3)];
        assert_eq!(Said::words(Some(said)), "sometimes fails: b");
        assert_eq!(Said::words(None), "not checked");
    }

    #[test]
    fn a_reason_fits_by_place_and_words_and_must_be_needed() {
        let mut reasons = Reasons::parse("# x\na f | two | because\nb * | | always\n").unwrap();
        assert_eq!(reasons.of("a", "f", "one"), None);
        assert_eq!(reasons.of("a", "f", "one two"), Some("because".into()));
        assert!(reasons.all_needed().unwrap_err().contains("b *"));
        assert_eq!(reasons.of("b", "g", "any"), Some("always".into()));
        assert_eq!(reasons.all_needed(), Ok(()));
        assert!(Reasons::parse("a f | two\n").is_err());
    }

    #[test]
    fn only_what_comes_out_otherwise_is_a_difference() {
        let ours = parse("check\tf\t1\tholds\tx\ncheck\tf\t2\tholds\tx\n");
        let theirs = parse("check\tf\t1\tholds\tx\ncheck\tf\t2\tfails\tx\n");
        let mut none = Reasons { rows: Vec::new() };
        let sources = Sources {
            program: "a\nb\n".into(),
            headers: vec!["f(x);\n".into(), "static void g(void)\nc\n".into()],
        };
        assert_eq!((sources.line("f", 2), sources.line("g", 2)), ("b", "c"));
        let mut count = |theirs| print_differences("p", &sources, &ours, theirs, &mut none);
        assert_eq!((count(&theirs), count(&ours)), (1, 0));
    }
}
