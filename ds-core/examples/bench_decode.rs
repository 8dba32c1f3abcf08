//! Times every path of the tile decoder against the reference crate, one thread each, on files given by name,
//! or on data of its own.
//!
//!     cargo run --release --example bench_decode -- [--path portable|avx2|avx512] [--level N] [--reps N]
//!         [--tile-bytes N] [--threads N] [--json] [FILE_OR_FOLDER...]
//!
//! Each file (a folder counts as one: its files, sorted, end to end, up to 4 MiB) is cut into tiles, of 64
//! KiB unless told otherwise, and compressed by the reference. All decoders then run in turn within one
//! repetition, so that a change of clock or a noisy neighbour meets them all, and so does a plain copy of the
//! output; the ratio to the reference is taken within a repetition, and its median is printed. The last line
//! is the geometric mean of those; with `--json` it is what `bench/README.md` asks of a benchmark, with
//! geometric means over the corpora and of the last path.
//!
//! With `--threads N` the codec object decodes a tile stream of 16 MiB instead, on one thread and on N.

#[path = "../tests/reference/mod.rs"]
mod reference;
#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs};

use ds_core::gdeflate::{Codec, Decoder, Path, TILE_BYTES, write_header};

/// Bytes taken of each file or folder.
const CORPUS_BYTES_MAX: usize = 4 << 20;

/// Tiles of the stream that several threads decode.
const STREAM_TILES: usize = 256;

struct Options {
    level: i32,
    repetitions: usize,
    tile_bytes: usize,
    threads: Option<usize>,
    json: bool,
    path: Option<Path>,
    files: Vec<PathBuf>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            level: 9,
            repetitions: 15,
            tile_bytes: TILE_BYTES,
            threads: None,
            json: false,
            path: None,
            files: Vec::new(),
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("a value");
            match argument.as_str() {
                "--level" => options.level = value().parse().expect("a level"),
                "--reps" => options.repetitions = value().parse().expect("a number"),
                "--tile-bytes" => options.tile_bytes = value().parse().expect("a number"),
                "--threads" => options.threads = Some(value().parse().expect("a number")),
                "--path" => {
                    let name = value();
                    options.path = Some(Path::from_name(&name).expect("a path"));
                }
                "--json" => options.json = true,
                _ => options.files.push(PathBuf::from(argument)),
            }
        }
        assert!(options.repetitions > 0 && (1..=TILE_BYTES).contains(&options.tile_bytes));
        options
    }

    /// The decoders to time, and the names of their paths.
    fn decoders(&self) -> Vec<(Path, Decoder)> {
        let wanted = Path::ALL
            .into_iter()
            .filter(|path| self.path.is_none_or(|only| only == *path));
        let decoders: Vec<_> = wanted
            .filter_map(|path| Some((path, Decoder::with_path(path)?)))
            .collect();
        assert!(!decoders.is_empty(), "this machine cannot take that path");
        decoders
    }
}

fn main() {
    let options = Options::parse();
    let corpora = match options.files.is_empty() {
        true => Corpus::synthetic(&options),
        false => options
            .files
            .iter()
            .map(|path| Corpus::load(path, &options))
            .collect(),
    };
    if let Some(threads) = options.threads {
        Path::prefer(options.path);
        println!(
            "{}: corpus, GB/s on one thread, ratio on {threads}",
            Path::chosen().name()
        );
        for corpus in &corpora {
            corpus.measure_threads(threads, options.repetitions);
        }
        return;
    }
    let mut decoders = options.decoders();
    print!("corpus                  MB  ratio  copy GB/s  reference");
    decoders
        .iter()
        .for_each(|(path, _)| print!(" {:>19}", path.name()));
    println!();
    let figures: Vec<Figures> = corpora
        .iter()
        .map(|corpus| corpus.measure(&mut decoders, options.repetitions))
        .collect();
    let mean = |figure: &dyn Fn(&Figures) -> f64| {
        let logs: f64 = figures.iter().map(|figures| figure(figures).ln()).sum();
        (logs / figures.len() as f64).exp()
    };
    if options.json {
        let last = decoders.len() - 1;
        println!(
            "{{\"decode_mb_s\": {:.1}, \"reference_decode_mb_s\": {:.1}, \
             \"decode_to_reference_ratio\": {:.4}, \"corpora\": {}, \"level\": {}}}",
            mean(&|figures| figures.ours[last].mb_s),
            mean(&|figures| figures.reference_mb_s),
            mean(&|figures| figures.ours[last].ratio),
            figures.len(),
            options.level,
        );
        return;
    }
    print!(
        "geometric mean of {:<38}",
        format!("{} corpora", corpora.len())
    );
    for i in 0..decoders.len() {
        print!(
            " {:>10.3} {:>7.2}x",
            mean(&|f| f.ours[i].mb_s / 1e3),
            mean(&|f| f.ours[i].ratio)
        );
    }
    println!();
}

/// Medians for one corpus.
struct Figures {
    reference_mb_s: f64,
    ours: Vec<Ours>,
}

/// Medians of one path.
struct Ours {
    mb_s: f64,
    ratio: f64,
}

struct Corpus {
    name: String,
    /// Compressed tiles and their content, without those that the reference fails to compress.
    tiles: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Corpus {
    /// One of each kind that does not merely copy or fill memory.
    fn synthetic(options: &Options) -> Vec<Self> {
        use synthetic::Kind::{Far, Mixed, Period, Records, Skewed, Words};
        let kinds = [Words, Records, Skewed, Far, Period, Mixed];
        let corpus = |kind| {
            let bytes = synthetic::data(kind, CORPUS_BYTES_MAX, 1);
            Self::compress(format!("{kind:?}").to_lowercase(), &bytes, options)
        };
        kinds.into_iter().map(corpus).collect()
    }

    /// A file, a folder, or a kind of synthetic data.
    fn load(path: &std::path::Path, options: &Options) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let kind = synthetic::KINDS
            .into_iter()
            .find(|kind| format!("{kind:?}").to_lowercase() == name);
        let mut bytes = Vec::new();
        match kind {
            Some(kind) if !path.exists() => bytes = synthetic::data(kind, CORPUS_BYTES_MAX, 1),
            _ => read(path, &mut bytes),
        }
        bytes.truncate(CORPUS_BYTES_MAX);
        Self::compress(name, &bytes, options)
    }

    fn compress(name: String, bytes: &[u8], options: &Options) -> Self {
        let mut encoder = reference::Encoder::new(options.level);
        let tiles = bytes
            .chunks(options.tile_bytes)
            .filter_map(|content| Some((encoder.tile(content)?, content.to_vec())))
            .collect::<Vec<_>>();
        assert!(!tiles.is_empty(), "{name}: nothing to decode");
        Self { name, tiles }
    }

    /// Prints one line, too.
    fn measure(&self, decoders: &mut [(Path, Decoder)], repetitions: usize) -> Figures {
        let bytes: usize = self.tiles.iter().map(|(_, content)| content.len()).sum();
        let mut output = vec![0; bytes];
        let mut reference = reference::Decoder::new();
        // Seconds of each repetition: a copy, the reference, each of ours.
        let mut times = vec![Vec::new(); 2 + decoders.len()];
        for _ in 0..repetitions {
            // What another decoder left is not what this one is to be credited with.
            output.fill(0);
            let copies = self.tiles.iter().map(|(_, content)| content);
            times[0].push(self.time(&mut output, copies, |content, output| {
                output.copy_from_slice(content);
            }));
            let tiles = self.tiles.iter().map(|(tile, _)| tile);
            output.fill(0);
            times[1].push(self.time(&mut output, tiles.clone(), |tile, output| {
                // SAFETY: the reference's own encoder made this tile, of this size.
                unsafe { reference.decode(tile, output) }
            }));
            for ((_, decoder), times) in decoders.iter_mut().zip(&mut times[2..]) {
                output.fill(0);
                times.push(self.time(&mut output, tiles.clone(), |tile, output| {
                    decoder
                        .decode_tile(tile, output)
                        .expect("the reference made this tile");
                }));
            }
        }
        let mb = bytes as f64 / 1e6;
        let mb_s = |times: &[f64]| mb / median(times.to_vec());
        let ours = times[2..].iter().map(|times_of_ours| Ours {
            mb_s: mb_s(times_of_ours),
            ratio: median(
                times[1]
                    .iter()
                    .zip(times_of_ours)
                    .map(|(a, b)| a / b)
                    .collect(),
            ),
        });
        let figures = Figures {
            reference_mb_s: mb_s(&times[1]),
            ours: ours.collect(),
        };
        let compressed: usize = self.tiles.iter().map(|(tile, _)| tile.len()).sum();
        print!(
            "{:<20} {mb:>5.1} {:>6.2} {:>10.2} {:>10.3}",
            self.name,
            bytes as f64 / compressed as f64,
            mb_s(&times[0]) / 1e3,
            figures.reference_mb_s / 1e3,
        );
        for ours in &figures.ours {
            print!(" {:>10.3} {:>7.2}x", ours.mb_s / 1e3, ours.ratio);
        }
        println!();
        figures
    }

    /// Prints what threads gain for a stream of whole tiles.
    fn measure_threads(&self, threads: usize, repetitions: usize) {
        let whole = self
            .tiles
            .iter()
            .filter(|(_, content)| content.len() == TILE_BYTES);
        let tiles: Vec<_> = whole.cycle().take(STREAM_TILES).collect();
        let sizes: Vec<u32> = tiles.iter().map(|(tile, _)| tile.len() as u32).collect();
        let bytes = tiles.len() * TILE_BYTES;
        let mut stream = write_header(&sizes, bytes as u64).expect("a stream of few tiles");
        tiles.iter().for_each(|(tile, _)| stream.extend(tile));
        let mut output = vec![0; bytes];
        let (mut one, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..repetitions {
            let [of_one, of_many] = [1, threads].map(|threads| {
                let start = Instant::now();
                let result = Codec::new(threads).decompress(&stream, &mut output);
                assert_eq!(result, Ok(bytes));
                start.elapsed().as_secs_f64()
            });
            one.push(of_one);
            ratios.push(of_one / of_many);
        }
        let gb_s = bytes as f64 / 1e9 / median(one);
        println!("{:<20} {gb_s:>10.3} {:>7.2}x", self.name, median(ratios));
    }

    /// Seconds that `work` takes for all `inputs`, one a tile.
    fn time<'a>(
        &self,
        output: &mut [u8],
        inputs: impl Iterator<Item = &'a Vec<u8>>,
        mut work: impl FnMut(&[u8], &mut [u8]),
    ) -> f64 {
        let start = Instant::now();
        let mut rest = &mut *output;
        for (input, (_, content)) in inputs.zip(&self.tiles) {
            let (output, behind) = rest.split_at_mut(content.len());
            work(input, output);
            rest = behind;
        }
        let elapsed = start.elapsed();
        let expected = self.tiles.iter().flat_map(|(_, content)| content);
        assert!(
            output.iter().eq(expected),
            "{} came out different",
            self.name
        );
        elapsed.as_secs_f64()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Appends the files at `path`; stops soon after there are enough.
fn read(path: &std::path::Path, bytes: &mut Vec<u8>) {
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
