//! Times the tile decoder against the reference crate, one thread each, on files given by name, or on data of
//! its own.
//!
//!     cargo run --release --example bench_decode -- [--level N] [--reps N] [--json] [FILE_OR_FOLDER...]
//!
//! Each file (a folder counts as one: its files, sorted, end to end, up to 4 MiB) is cut into 64 KiB
//! tiles and compressed by the reference. Both decoders then run in turn within one repetition, so
//! that a change of clock or a noisy neighbour meets both; the ratio of the two is taken within a
//! repetition, and its median is printed. The last line is the geometric mean of those; with `--json` it is
//! what `bench/README.md` asks of a benchmark, with geometric means over the corpora.

#[path = "../tests/reference/mod.rs"]
mod reference;
#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use ds_core::gdeflate::{Decoder, TILE_BYTES};

/// Bytes taken of each file or folder.
const CORPUS_BYTES_MAX: usize = 4 << 20;

fn main() {
    let (mut level, mut repetitions, mut json) = (9, 15, false);
    let mut paths = Vec::new();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            arguments
                .next()
                .and_then(|n| n.parse().ok())
                .expect("a number")
        };
        match argument.as_str() {
            "--level" => level = number(),
            "--reps" => repetitions = number(),
            "--json" => json = true,
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    assert!(
        repetitions > 0,
        "usage: bench_decode [--level N] [--reps N] [--json] [FILE_OR_FOLDER...]"
    );
    let corpora = match paths.is_empty() {
        true => Corpus::synthetic(level),
        false => paths.iter().map(|path| Corpus::load(path, level)).collect(),
    };

    println!("corpus                          MB  ratio   ref GB/s  ours GB/s   ours/ref");
    let figures: Vec<Figures> = corpora
        .iter()
        .map(|corpus| corpus.measure(repetitions))
        .collect();
    let mean = |figure: fn(&Figures) -> f64| {
        let logs: f64 = figures.iter().map(|figures| figure(figures).ln()).sum();
        (logs / figures.len() as f64).exp()
    };
    let ratio = mean(|figures| figures.ratio);
    if json {
        println!(
            "{{\"decode_mb_s\": {:.1}, \"reference_decode_mb_s\": {:.1}, \
             \"decode_to_reference_ratio\": {ratio:.4}, \"corpora\": {}, \"level\": {level}}}",
            mean(|figures| figures.ours_mb_s),
            mean(|figures| figures.reference_mb_s),
            figures.len(),
        );
    } else {
        println!("geometric mean of {} corpora: {ratio:.3}", corpora.len());
    }
}

/// Medians for one corpus.
struct Figures {
    ours_mb_s: f64,
    reference_mb_s: f64,
    ratio: f64,
}

struct Corpus {
    name: String,
    /// Compressed tiles and their content, without those that the reference fails to compress.
    tiles: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Corpus {
    /// One of each kind that does not merely copy or fill memory.
    fn synthetic(level: i32) -> Vec<Self> {
        use synthetic::Kind::{Far, Mixed, Period, Records, Skewed, Words};
        let kinds = [Words, Records, Skewed, Far, Period, Mixed];
        let corpus = |kind| {
            let bytes = synthetic::data(kind, CORPUS_BYTES_MAX, 1);
            Self::compress(format!("{kind:?}").to_lowercase(), &bytes, level)
        };
        kinds.into_iter().map(corpus).collect()
    }

    fn load(path: &Path, level: i32) -> Self {
        let mut bytes = Vec::new();
        read(path, &mut bytes);
        bytes.truncate(CORPUS_BYTES_MAX);
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self::compress(name.to_string_lossy().into_owned(), &bytes, level)
    }

    fn compress(name: String, bytes: &[u8], level: i32) -> Self {
        let mut encoder = reference::Encoder::new(level);
        let tiles = bytes
            .chunks(TILE_BYTES)
            .filter_map(|content| Some((encoder.tile(content)?, content.to_vec())))
            .collect::<Vec<_>>();
        assert!(!tiles.is_empty(), "{name}: nothing to decode");
        Self { name, tiles }
    }

    /// Prints one line, too.
    fn measure(&self, repetitions: i32) -> Figures {
        let bytes: usize = self.tiles.iter().map(|(_, content)| content.len()).sum();
        let mut output = vec![0; bytes];
        let mut decoder = Decoder::new();
        let mut reference = reference::Decoder::new();
        let (mut of_reference, mut of_ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..repetitions {
            output.fill(0);
            let theirs = self.time(&mut output, |tile, output| {
                // SAFETY: the reference's own encoder made this tile, of this size.
                unsafe { reference.decode(tile, output) }
            });
            output.fill(0);
            let ours = self.time(&mut output, |tile, output| {
                decoder
                    .decode_tile(tile, output)
                    .expect("the reference made this tile");
            });
            ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
            of_reference.push(theirs.as_secs_f64());
            of_ours.push(ours.as_secs_f64());
        }
        let compressed: usize = self.tiles.iter().map(|(tile, _)| tile.len()).sum();
        let bytes = bytes as f64;
        let figures = Figures {
            ours_mb_s: bytes / 1e6 / median(&mut of_ours),
            reference_mb_s: bytes / 1e6 / median(&mut of_reference),
            ratio: median(&mut ratios),
        };
        println!(
            "{:<28} {:>5.1} {:>6.2} {:>10.3} {:>10.3} {:>10.3}",
            self.name,
            bytes / 1e6,
            bytes / compressed as f64,
            figures.reference_mb_s / 1e3,
            figures.ours_mb_s / 1e3,
            figures.ratio,
        );
        figures
    }

    fn time(&self, output: &mut [u8], mut decode: impl FnMut(&[u8], &mut [u8])) -> Duration {
        let start = Instant::now();
        let mut rest = &mut *output;
        for (tile, content) in &self.tiles {
            let (output, behind) = rest.split_at_mut(content.len());
            decode(tile, output);
            rest = behind;
        }
        let elapsed = start.elapsed();
        let expected = self.tiles.iter().flat_map(|(_, content)| content);
        assert!(
            output.iter().eq(expected),
            "{} came out different",
            self.name
        );
        elapsed
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Appends the files at `path`; stops soon after there are enough.
fn read(path: &Path, bytes: &mut Vec<u8>) {
    if bytes.len() >= CORPUS_BYTES_MAX {
        return;
    }
    if let Ok(entries) = fs::read_dir(path) {
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries
            .iter()
            .filter(|entry| entry.file_type().is_ok_and(|t| !t.is_symlink()))
        {
            read(&entry.path(), bytes);
        }
    } else if let Ok(content) = fs::read(path) {
        bytes.extend(content);
    }
}
