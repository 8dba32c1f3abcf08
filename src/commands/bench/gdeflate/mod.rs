//! `ds bench gdeflate`: the codec over many kinds of data, beside other codecs in the same run.
//!
//! Everything is done to the same 64 KiB tiles, which is what DirectStorage's format compresses one by one: a
//! codec with a larger window would do better on whole files, and cannot here. The other codecs are linked in
//! only under the feature `bench-peers`; the engine's own and a plain copy are always there.

mod chart;
mod codec;
mod corpus;
mod generate;
mod measure;
#[cfg(feature = "bench-peers")]
mod peers;
mod report;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, value_parser};
use ds_core::gdeflate::TILE_BYTES;
use ds_tool::{Error, Result};
use tempfile::NamedTempFile;

use crate::ui::{self, Progress};
use codec::Codec;
use corpus::Class;
use measure::{Curve, Plan};
use report::{Figures, Report};

const WHAT: &str = "bench gdeflate";

/// Bytes of each class at most; with --small.
const CLASS_BYTES_MAX: usize = 2 << 20;
const SMALL_CLASS_BYTES_MAX: usize = 512 << 10;
/// Tiles of each class for the curves over all levels, and how often each is encoded.
const CURVE_TILES: usize = 4;
const CURVE_REPETITIONS: usize = 3;

/// Arguments of `ds bench gdeflate`.
#[derive(Args)]
pub(super) struct Arguments {
    /// Measure on these files: each file in DIR, and each folder's files end to end, is a class, of which the
    /// first 2 MiB are taken (512 KiB with --small). Without it, generated classes and some of this machine's
    /// own files
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// How hard to compress: 1 to 12; other codecs take the level that stands where this one does
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = value_parser!(u8).range(1..=12))]
    level: u8,
    /// Measure on so many threads too, by the clock on the wall
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    threads: u16,
    /// How often each codec decodes a class; it encodes it a third as often, but at least three times
    #[arg(long, default_value_t = 15, value_name = "N", value_parser = value_parser!(u16).range(1..=1000))]
    reps: u16,
    /// Under a minute: 512 KiB of each class, generated ones only
    #[arg(long)]
    small: bool,
    /// Write everything to FILE; without FILE, print the means as one flat object, as the last line
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
    /// Draw it
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Measures.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    // Opened first: a measurement of minutes must not end without a place to go.
    let outputs = Outputs::open(arguments)?;
    let classes = arguments.classes()?;
    let plan = arguments.plan();
    ui::print(&describe(&classes, &plan))?;
    let codecs = codec::all();

    let turns = (plan.decodes + plan.encodes) as u64;
    let bytes = |class: &Class| class.data.len() as u64;
    let progress = Progress::new(classes.iter().map(bytes).sum::<u64>() * turns);
    let mut figures = Vec::new();
    for class in &classes {
        let step = || progress.add(bytes(class));
        let rows = measure::class(&class.data, &codecs, &plan, &step)?;
        figures.push(Figures::new(class, rows));
    }
    drop(progress);

    let curves = match arguments.wants_curves() {
        true => curves(arguments, &classes, &figures, &codecs)?,
        false => Vec::new(),
    };
    let report = Report::new(&plan, figures, curves);
    ui::print(&report.text())?;
    outputs.write(&report)?;
    match arguments.json {
        // Numbers that mean nothing are no line for a history.
        Some(None) if report.means.is_empty() => {
            Err(Error::plain(WHAT, "no class has anything to decode"))
        }
        Some(None) => ui::print(&format!("{}\n", report.summary())),
        _ => Ok(()),
    }
}

/// Every encoder at its levels, over some tiles of each class that is not trivial.
fn curves(
    arguments: &Arguments,
    classes: &[Class],
    figures: &[Figures],
    codecs: &[Box<dyn Codec>],
) -> Result<Vec<Curve>> {
    let counting = classes.iter().zip(figures);
    let counting = counting.filter(|(_, figures)| !figures.is_trivial());
    let samples: Vec<Vec<u8>> = counting.map(|(class, _)| sample(&class.data)).collect();
    // With --small only every third level, but always the one that was asked for.
    let small = |level: u8| level == 1 || level.is_multiple_of(3) || level == arguments.level;
    let wanted = |level: u8| !arguments.small || small(level);

    let levels = codecs.iter().filter_map(|codec| codec.levels()).flatten();
    let levels = levels.filter(|&level| wanted(level)).count() as u64;
    let bytes = |sample: &[u8]| sample.len() as u64;
    let total: u64 = samples.iter().map(|sample| bytes(sample)).sum();
    let progress = Progress::new(total * levels);
    let step = |sample: &[u8]| progress.add(bytes(sample));
    measure::curves(&samples, codecs, CURVE_REPETITIONS, &wanted, &step)
}

impl Arguments {
    fn classes(&self) -> Result<Vec<Class>> {
        let bytes_max = match self.small {
            true => SMALL_CLASS_BYTES_MAX,
            false => CLASS_BYTES_MAX,
        };
        if let Some(folder) = &self.corpus {
            return corpus::folder(folder, bytes_max);
        }
        let mut classes = corpus::generated(bytes_max);
        if !self.small {
            classes.extend(corpus::found(bytes_max));
        }
        Ok(classes)
    }

    fn plan(&self) -> Plan {
        let decodes = usize::from(self.reps);
        Plan {
            level: self.level,
            threads: usize::from(self.threads),
            decodes,
            encodes: (decodes / 3).max(3),
        }
    }

    /// Only files have room for them.
    fn wants_curves(&self) -> bool {
        self.svg.is_some() || matches!(self.json, Some(Some(_)))
    }
}

/// The files to write, as temporary ones beside them until everything is there.
struct Outputs<'a> {
    json: Option<(&'a Path, NamedTempFile)>,
    svg: Option<(&'a Path, NamedTempFile)>,
}

impl<'a> Outputs<'a> {
    fn open(arguments: &'a Arguments) -> Result<Outputs<'a>> {
        let open = |path: Option<&'a PathBuf>| {
            let path = path.map(PathBuf::as_path);
            let open = |path| Ok((path, ui::temporary_beside(WHAT, path)?));
            path.map(open).transpose()
        };
        Ok(Outputs {
            json: open(arguments.json.as_ref().and_then(Option::as_ref))?,
            svg: open(arguments.svg.as_ref())?,
        })
    }

    fn write(self, report: &Report) -> Result<()> {
        let write = |file: Option<(&Path, NamedTempFile)>, text: &dyn Fn() -> String| {
            let Some((path, mut file)) = file else {
                return Ok(());
            };
            let written = file.write_all(text().as_bytes());
            written.map_err(|error| Error::new(WHAT, path, error))?;
            ui::persist(WHAT, file, path)
        };
        write(self.json, &|| format!("{:#}\n", report.json()))?;
        write(self.svg, &|| chart::draw(report))
    }
}

/// What is measured, and how.
fn describe(classes: &[Class], plan: &Plan) -> String {
    let mut table = ui::Table::new(&[2]);
    for class in classes {
        let bytes = ui::bytes(class.data.len() as u64);
        table.line([class.name.clone(), bytes, class.origin.clone()]);
    }
    format!(
        "{}\ntiles of 64 KiB, level {}, {}\n",
        table.text(),
        plan.level,
        ui::count(plan.threads as u64, "thread")
    )
}

/// A few whole tiles from all over some data.
fn sample(data: &[u8]) -> Vec<u8> {
    let tiles: Vec<&[u8]> = codec::tiles(data).collect();
    let count = CURVE_TILES.min(tiles.len());
    let picked = (0..count).map(|number| tiles[number * tiles.len() / count]);
    picked.collect::<Vec<_>>().concat()
}

const _: () = assert!(SMALL_CLASS_BYTES_MAX.is_multiple_of(TILE_BYTES));
