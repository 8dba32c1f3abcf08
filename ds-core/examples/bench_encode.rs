//! Encodes files at every level with the reference codec and with this one, side by side.
//!
//! `bench_encode [-l FROM-TO] [-m MIB] FILE_OR_DIRECTORY...`: each argument is one class of data; of a
//! directory, the files below it in order of name, joined, up to MIB (8) MiB. Prints per class and level both
//! ratios and speeds (MB of input a second of thread time), and at the end the geometric means. The two take
//! turns tile group by tile group, so that both see the same moods of the machine, and of each group the best
//! of five runs counts.

#[path = "../tests/gdeflate_encode/reference.rs"]
mod reference;

use std::path::{Path, PathBuf};

use ds_core::gdeflate::encode::{Encoder, Level};

const TILE_BYTES: usize = 65_536;
/// Tiles between turns.
const GROUP_TILES: usize = 16;
const RUNS: usize = 5;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut from, mut to, mut bytes_max, mut classes) = (1, 12, 8 << 20, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("an option without its value");
        match argument.as_str() {
            "-l" => {
                let range = value();
                let (first, last) = range.split_once('-').unwrap_or((&range, &range));
                (from, to) = (
                    first.parse().expect("a level"),
                    last.parse().expect("a level"),
                );
            }
            "-m" => bytes_max = value().parse::<usize>().expect("a number of MiB") << 20,
            _ => classes.push(argument),
        }
    }
    assert!(
        !classes.is_empty(),
        "usage: bench_encode [-l FROM-TO] [-m MIB] FILE_OR_DIRECTORY..."
    );
    let classes: Vec<(String, Vec<u8>)> = classes
        .into_iter()
        .map(|path| read_class(path, bytes_max))
        .collect();

    println!(
        "{:24} {:>5} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7}",
        "class", "level", "ref", "ours", "ratio", "ref MB/s", "ours", "speed"
    );
    for level in from..=to {
        let mut means = [0.0; 4];
        for (name, data) in &classes {
            let result = measure(level, data);
            print_row(name, level, result);
            means
                .iter_mut()
                .zip(result)
                .for_each(|(sum, value)| *sum += value.ln() / classes.len() as f64);
        }
        print_row("GEOMETRIC MEAN", level, means.map(f64::exp));
    }
}

/// Ratio and MB/s: reference, then ours.
fn print_row(name: &str, level: u8, [ratio, ours, speed, our_speed]: [f64; 4]) {
    let name = &name[name.len().saturating_sub(24)..];
    println!(
        "{name:24} {level:>5} {ratio:>9.4} {ours:>9.4} {:>7.4} {speed:>9.1} {our_speed:>9.1} {:>6.2}x",
        ours / ratio,
        our_speed / speed
    );
}

fn measure(level: u8, data: &[u8]) -> [f64; 4] {
    let mut reference = reference::Compressor::new(level);
    let mut encoder = Encoder::new(Level::new(level).expect("a level"));
    let (mut reference_bytes, mut bytes, mut reference_ns, mut ns) = (0, 0, 0, 0);
    let mut out = Vec::with_capacity(2 * GROUP_TILES * TILE_BYTES);
    for group in data.chunks(GROUP_TILES * TILE_BYTES) {
        let mut best = [u64::MAX; 2];
        let mut sizes = [0; 2];
        for _ in 0..RUNS {
            let start = thread_ns();
            sizes[0] = group
                .chunks(TILE_BYTES)
                .map(|tile| reference.encode_tile(tile).len())
                .sum();
            best[0] = best[0].min(thread_ns() - start);

            let start = thread_ns();
            out.clear();
            for tile in group.chunks(TILE_BYTES) {
                encoder.encode_tile(tile, &mut out).expect("a tile");
            }
            sizes[1] = out.len();
            best[1] = best[1].min(thread_ns() - start);
        }
        reference_bytes += sizes[0];
        bytes += sizes[1];
        reference_ns += best[0];
        ns += best[1];
    }
    let total = data.len() as f64;
    [
        total / reference_bytes as f64,
        total / bytes as f64,
        total * 1e3 / reference_ns as f64,
        total * 1e3 / ns as f64,
    ]
}

/// Processor time of this thread.
fn thread_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is writable, and the clock exists on every Linux.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "no thread clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn read_class(path: String, bytes_max: usize) -> (String, Vec<u8>) {
    let mut data = Vec::new();
    append(Path::new(&path), bytes_max, &mut data);
    assert!(!data.is_empty(), "nothing to read at {path}");
    (path, data)
}

/// Appends a file, or the files below a directory, until there is enough.
fn append(path: &Path, bytes_max: usize, data: &mut Vec<u8>) {
    if data.len() >= bytes_max {
        return;
    }
    let Ok(kind) = std::fs::symlink_metadata(path) else {
        return;
    };
    if kind.is_dir() {
        let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        inside.sort();
        inside.iter().for_each(|path| append(path, bytes_max, data));
    } else if kind.is_file() {
        data.extend(std::fs::read(path).unwrap_or_default());
        data.truncate(bytes_max);
    }
}
