//! Times the tile decoder against the reference crate, one thread each, on files given by name.
//!
//!     cargo run --release --example bench_decode -- [--level N] [--reps N] FILE_OR_FOLDER...
//!
//! Each file (a folder counts as one: its files, sorted, end to end, up to 4 MiB) is cut into 64 KiB
//! tiles and compressed by the reference. Both decoders then run in turn within one repetition, so
//! that a change of clock or a noisy neighbour meets both; the ratio of the two is taken within a
//! repetition, and its median is printed. The last line is the geometric mean of those.

#[path = "../tests/reference/mod.rs"]
mod reference;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use ds_core::gdeflate::{Decoder, TILE_BYTES};

/// Bytes taken of each file or folder.
const CORPUS_BYTES_MAX: usize = 4 << 20;

fn main() {
    let (mut level, mut repetitions) = (9, 15);
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
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    assert!(
        !paths.is_empty() && repetitions > 0,
        "usage: bench_decode [--level N] FILE..."
    );

    println!("corpus                          MB  ratio   ref GB/s  ours GB/s   ours/ref");
    let mut logs = Vec::new();
    for path in &paths {
        let Some(corpus) = Corpus::load(path, level) else {
            println!("{}: nothing to read", path.display());
            continue;
        };
        logs.push(corpus.measure(repetitions).ln());
    }
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    println!(
        "geometric mean of {} corpora: {:.3}",
        logs.len(),
        mean.exp()
    );
}

struct Corpus {
    name: String,
    /// Compressed tiles and their content, without those that the reference fails to compress.
    tiles: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Corpus {
    fn load(path: &Path, level: i32) -> Option<Self> {
        let mut bytes = Vec::new();
        read(path, &mut bytes);
        bytes.truncate(CORPUS_BYTES_MAX);
        let mut encoder = reference::Encoder::new(level);
        let tiles = bytes
            .chunks(TILE_BYTES)
            .filter_map(|content| Some((encoder.tile(content)?, content.to_vec())))
            .collect::<Vec<_>>();
        let name = path.file_name()?.to_string_lossy().into_owned();
        (!tiles.is_empty()).then_some(Self { name, tiles })
    }

    /// Prints one line and returns the median of the ratios.
    fn measure(&self, repetitions: i32) -> f64 {
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
        println!(
            "{:<28} {:>5.1} {:>6.2} {:>10.3} {:>10.3} {:>10.3}",
            self.name,
            bytes / 1e6,
            bytes / compressed as f64,
            bytes / 1e9 / median(&mut of_reference),
            bytes / 1e9 / median(&mut of_ours),
            median(&mut ratios),
        );
        ratios[ratios.len() / 2]
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
