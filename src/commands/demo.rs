//! `ds demo`: makes a sample, packs it, streams it through every backend, and compares every byte.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use ds_core::gdeflate::encode::Level;
use ds_core::{Backend, Compression, File, QueueStats, Runtime};
use ds_tool::archive::format::{CHUNK_BYTES_DEFAULT, Kind};
use ds_tool::archive::read::Archive;
use ds_tool::archive::{tree, write};
use ds_tool::stream::{Batch, Piece, Stream, Window};
use ds_tool::{Error, Result};

use crate::sample::{self, SampleFile};
use crate::ui::{self, Progress, Table};

const WHAT: &str = "demo";
/// Each row is the median of so many passes.
const PASSES: usize = 3;

/// See the file's head.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Size of the sample in MiB
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = value_parser!(u32).range(1..=1024))]
    mib: u32,
}

/// Demonstrates.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("ds-demo-").tempdir();
    let folder = folder.map_err(|error| {
        let temporary = std::env::temp_dir();
        Error::new(WHAT, temporary, ds_tool::error::reason(&error))
            .cure("set TMPDIR to a folder with 200 MiB of room")
    })?;
    let samples: Vec<SampleFile> = sample::files((arguments.mib as usize) << 20).collect();
    let archive = make_archive(&samples, folder.path())?;
    let sources = [
        stored(&samples, folder.path())?,
        packed(&samples, &archive)?,
    ];

    let mut table = Table::new(&[1]);
    table.line([
        "backend",
        "compression",
        "bytes",
        "seconds",
        "GB/s",
        "requests",
        "p50",
        "p99",
        "verified",
    ]);
    let (base, mut notes) = (ui::config(), Vec::new());
    for backend in Backend::ALL
        .into_iter()
        .filter(|&backend| backend != Backend::Sim)
    {
        if let Some(why) = backend.unavailable() {
            notes.push((backend.name(), format!("not available: {why}")));
            continue;
        }
        let mut config = base.clone();
        config.backend = backend;
        let runtime = ui::runtime(config)?;
        let choice = runtime.backend();
        notes.push((
            backend.name(),
            format!("takes the path {}: {}", choice.backend, choice.reason),
        ));
        for source in &sources {
            let row = measure(&runtime, source)?;
            table.line(row.cells(backend.name(), source));
        }
        for (source, row) in gpu_rows(&runtime, &sources)? {
            table.line(row.cells("vulkan to GPU", source));
        }
    }
    ui::print(&format!("\n{}\n", table.text()))?;
    let mut paths = Table::new(&[1]);
    notes
        .into_iter()
        .for_each(|(name, note)| paths.line([name.to_owned(), note]));
    ui::print(&format!(
        "{}\nEach row is the median of {PASSES} passes from the page cache into memory, or into the GPU's; \
         every byte of each was compared.\n\
         p50 and p99 are upper bounds of the time from submit to completion, \
         with everything submitted at once.\n",
        paths.text()
    ))
}

/// Writes the sample's files and packs them; says so.
fn make_archive(samples: &[SampleFile], folder: &Path) -> Result<Archive> {
    let files = folder.join("sample");
    fs::create_dir(&files).map_err(|error| Error::new(WHAT, &files, error))?;
    for sample in samples {
        let path = files.join(sample.name);
        fs::write(&path, &sample.bytes).map_err(|error| Error::new(WHAT, &path, error))?;
    }
    let bytes: u64 = samples.iter().map(|sample| sample.bytes.len() as u64).sum();
    let started = Instant::now();
    let found = tree::list(&[files.join(".")], &|_| false, &mut |line| ui::warn(&line))?;
    let path = folder.join("sample.dspk");
    let mut out = fs::File::create(&path).map_err(|error| Error::new(WHAT, &path, error))?;
    let options = write::Options {
        level: Some(Level::FASTEST),
        threads: ui::cores(),
        chunk_bytes: CHUNK_BYTES_DEFAULT,
    };
    let progress = Progress::new(bytes);
    let written = write::write(found, &mut out, &path, options, &|bytes| {
        progress.add(bytes)
    })?;
    drop(progress);
    ui::print(&format!(
        "A sample of {} in {} files, packed with GDeflate to {} ({}) in {:.1} s.\n",
        ui::bytes(bytes),
        samples.len(),
        ui::bytes(written.archive_bytes),
        ui::per_cent(written.archive_bytes, bytes),
        started.elapsed().as_secs_f64(),
    ))?;
    Archive::open(WHAT, &path)
}

/// Requests, and the bytes that each must give; tags count both.
struct Source<'a> {
    compression: &'static str,
    pieces: Vec<Piece>,
    expected: Vec<&'a [u8]>,
}

/// The sample's files as they are.
fn stored<'a>(samples: &'a [SampleFile], folder: &Path) -> Result<Source<'a>> {
    let (mut pieces, mut expected) = (Vec::new(), Vec::new());
    for sample in samples {
        let path = folder.join("sample").join(sample.name);
        let file = File::open(&path).map_err(|error| Error::new(WHAT, &path, error))?;
        let mut offset = 0;
        for part in sample.bytes.chunks(CHUNK_BYTES_DEFAULT as usize) {
            pieces.push(Piece {
                file: file.clone(),
                offset,
                stored_bytes: part.len() as u32,
                bytes: part.len() as u32,
                compression: Compression::NONE,
                tag: expected.len() as u64,
            });
            offset += part.len() as u64;
            expected.push(part);
        }
    }
    Ok(Source {
        compression: "none",
        pieces,
        expected,
    })
}

/// The archive's chunks.
fn packed<'a>(samples: &'a [SampleFile], archive: &Archive) -> Result<Source<'a>> {
    let mut expected = Vec::new();
    for entry in &archive.index.entries {
        let sample = samples
            .iter()
            .find(|sample| sample.name.as_bytes() == &*entry.path);
        let (Some(sample), Kind::File { .. }) = (sample, &entry.kind) else {
            return Err(Error::new(
                WHAT,
                archive.path(),
                "the archive lists a file that was not packed",
            ));
        };
        expected.extend(sample.bytes.chunks(CHUNK_BYTES_DEFAULT as usize));
    }
    Ok(Source {
        compression: "gdeflate",
        pieces: archive.pieces().collect(),
        expected,
    })
}

/// The same sources into the memory of the runtime's GPU, if it has one.
#[cfg(feature = "vulkan")]
fn gpu_rows<'a>(
    runtime: &Runtime,
    sources: &'a [Source<'a>],
) -> Result<Vec<(&'a Source<'a>, Row)>> {
    let Some(device) = runtime.gpu_device() else {
        return Ok(Vec::new());
    };
    let rows = sources.iter().map(|source| {
        let (pieces, expected) = (&source.pieces, &source.expected);
        let (time, stats) =
            super::demo_gpu::measure(WHAT, runtime, device, pieces, expected, PASSES)?;
        let seconds = time.as_secs_f64();
        Ok((source, Row { seconds, stats }))
    });
    rows.collect()
}

/// No GPU in this build.
#[cfg(not(feature = "vulkan"))]
fn gpu_rows<'a>(_: &Runtime, _: &'a [Source<'a>]) -> Result<Vec<(&'a Source<'a>, Row)>> {
    Ok(Vec::new())
}

struct Row {
    seconds: f64,
    stats: QueueStats,
}

impl Row {
    fn cells(&self, backend: &str, source: &Source<'_>) -> [String; 9] {
        let bytes: usize = source.expected.iter().map(|part| part.len()).sum();
        let latency = |quantile| ui::time(self.stats.latency.quantile_ns(quantile));
        [
            backend.to_owned(),
            source.compression.to_owned(),
            ui::bytes(bytes as u64),
            format!("{:.4}", self.seconds),
            format!("{:.2}", bytes as f64 / self.seconds / 1e9),
            source.pieces.len().to_string(),
            latency(0.50),
            latency(0.99),
            "yes".to_owned(),
        ]
    }
}

fn measure(runtime: &Runtime, source: &Source<'_>) -> Result<Row> {
    // The window holds everything, so that comparing is no part of the time.
    let mut window = Window::for_pieces(CHUNK_BYTES_DEFAULT);
    window.batches = source.pieces.len();
    let stream = Stream::new(runtime, window);
    let mut stream = stream.map_err(|error| Error::plain(WHAT, error))?;
    // The first pass is for the memory's sake.
    pass(&mut stream, source)?;
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..PASSES {
        times.push(pass(&mut stream, source)?);
    }
    times.sort_unstable();
    Ok(Row {
        seconds: times[PASSES / 2].as_secs_f64(),
        stats: stream.stats(),
    })
}

/// Reads everything, then compares everything; answers the time until all was read.
fn pass(stream: &mut Stream, source: &Source<'_>) -> Result<Duration> {
    let mut pieces = source.pieces.iter().cloned();
    let started = Instant::now();
    stream.start(&mut pieces);
    let mut batches: Vec<Batch> = Vec::new();
    while let Some(batch) = stream.wait() {
        batches.push(batch.map_err(|failed| Error::plain(WHAT, failed.error))?);
    }
    let elapsed = started.elapsed();
    let mut compared = 0;
    for mut batch in batches {
        for (piece, bytes) in batch.pieces() {
            if source.expected[piece.tag as usize] != bytes {
                let why = format!("request {} gave other bytes than were packed", piece.tag);
                return Err(Error::plain(WHAT, why));
            }
            compared += 1;
        }
        stream.recycle(batch);
    }
    if compared != source.pieces.len() {
        return Err(Error::plain(WHAT, "some requests were never answered"));
    }
    Ok(elapsed)
}
