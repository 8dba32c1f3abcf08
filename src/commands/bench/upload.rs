//! `ds bench upload`: the whole way of bytes from the page cache into a GPU's memory, through a queue.
//!
//! Every round is as many requests as there are, one status, and the wait for it. Beside it, the same bytes
//! in one bare copy from mapped memory of the device's. The buffer is poisoned before the first round and
//! compared after it.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use ds_core::gdeflate::Codec;
use ds_core::gdeflate::encode::Level;
use ds_core::gpu::{self, Commands, DeviceOptions, GpuBuffer, GpuDevice, GpuError, Place};
use ds_core::{
    Compression, Config, Destination, File, GpuDecode, GpuStats, Queue, QueueDesc, Request,
    Runtime, S_OK, Source, StatusArray,
};
use ds_tool::{Error, Result};
use serde_json::{Value, json};

use super::rounds::cpu_time;
use crate::ui;

const WHAT: &str = "bench upload";
const POISON: u32 = 0xA5A5_A5A5;
/// Where requests begin in the file, so that the GPU can read them where they land.
const ALIGNMENT: u64 = 16;

/// Arguments of `ds bench upload`.
#[derive(Args)]
pub(super) struct Arguments {
    /// What the requests hold, cut into pieces, again and again
    #[arg(value_name = "FILE")]
    content: PathBuf,
    /// Bytes of a request after decompression, in KiB
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=16384))]
    request_kib: u32,
    /// Requests of a round
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = value_parser!(u32).range(1..=65536))]
    count: u32,
    /// GDeflate level of the compressed rounds
    #[arg(long, value_name = "L", default_value_t = 9, value_parser = value_parser!(u8).range(1..=12))]
    level: u8,
    /// Staging memory, in MiB
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..4096))]
    staging_mib: u32,
    /// The device's number or part of its name; without it, the best one
    #[arg(long, value_name = "D", default_value = "")]
    device: String,
    /// Ways to measure: uncompressed, GDeflate by the GPU, GDeflate by the CPU (a software device takes
    /// minutes for the second)
    #[arg(long, value_name = "WAY", value_delimiter = ',', default_value = "none,gpu,cpu",
          value_parser = ["none", "gpu", "cpu"])]
    ways: Vec<String>,
    /// Rounds of each kind
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Where to put the file that is read; without it, the folder for temporary files
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write everything to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The ways to measure: what the option calls it, how it is compressed, and who decompresses.
const WAYS: [(&str, &str, Compression, GpuDecode); 3] = [
    ("none", "none", Compression::NONE, GpuDecode::Auto),
    (
        "gpu",
        "gdeflate, gpu",
        Compression::GDEFLATE,
        GpuDecode::Gpu,
    ),
    (
        "cpu",
        "gdeflate, cpu",
        Compression::GDEFLATE,
        GpuDecode::Cpu,
    ),
];

/// A file of requests, in the page cache.
struct Sample {
    file: File,
    compression: Compression,
    /// Offset and bytes of each request in the file, and the piece it holds.
    requests: Vec<(u64, u32, usize)>,
    _held: tempfile::NamedTempFile,
}

/// One round's cost.
#[derive(Clone, Copy)]
struct Round {
    wall: Duration,
    cpu: Duration,
}

/// Measures.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let pieces = pieces(arguments)?;
    let options = DeviceOptions {
        device: arguments.device.clone(),
        ..DeviceOptions::default()
    };
    let device = GpuDevice::open(&options).map_err(failed)?;
    let request_bytes = u64::from(arguments.request_kib) << 10;
    let bytes = u64::from(arguments.count) * request_bytes;
    let buffer = device.create_buffer(bytes).map_err(failed)?;
    ui::print(&format!(
        "{} ({}), {} requests of {} KiB, {} pieces of content\n",
        device.name(),
        device.caps().driver,
        arguments.count,
        arguments.request_kib,
        pieces.len(),
    ))?;
    let bare = bare_copy(&device, bytes, arguments.rounds)?;
    let mut rows = vec![row("bare copy", bytes, 1, bare, None)];
    show(&rows[0])?;
    let wanted = |way: &str| arguments.ways.iter().any(|wanted| wanted == way);
    for (_, name, compression, decode) in WAYS.into_iter().filter(|(way, ..)| wanted(way)) {
        let sample = Sample::make(arguments, &pieces, compression)?;
        let (round, stats) = measure(arguments, &device, &buffer, &sample, &pieces, decode)?;
        rows.push(row(name, bytes, arguments.count, round, stats));
        show(rows.last().expect("just pushed"))?;
    }
    if let Some(path) = &arguments.json {
        let all = json!({ "device": device.name(), "driver": device.caps().driver, "rows": rows });
        std::fs::write(path, format!("{all:#}\n"))
            .map_err(|error| Error::new(WHAT, path, error))?;
    }
    Ok(())
}

fn failed(error: GpuError) -> Error {
    Error::plain(WHAT, error)
}

/// The content in pieces of a request's size; what is left over at the end is left out.
fn pieces(arguments: &Arguments) -> Result<Vec<Vec<u8>>> {
    let path = &arguments.content;
    let content = std::fs::read(path).map_err(|error| Error::new(WHAT, path, error))?;
    let size = (arguments.request_kib as usize) << 10;
    let pieces: Vec<_> = content.chunks_exact(size).map(<[u8]>::to_vec).collect();
    if pieces.is_empty() {
        return Err(Error::new(WHAT, path, "smaller than one request")
            .cure("choose a smaller --request-kib"));
    }
    Ok(pieces)
}

impl Sample {
    fn make(arguments: &Arguments, pieces: &[Vec<u8>], compression: Compression) -> Result<Sample> {
        let folder = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
        let trouble = |error: std::io::Error| Error::new(WHAT, &folder, error);
        let mut held = tempfile::NamedTempFile::new_in(&folder).map_err(trouble)?;
        let stored = stored(arguments, pieces, compression)?;
        let mut requests = Vec::new();
        let mut offset = 0_u64;
        for index in 0..arguments.count as usize {
            let piece = index % pieces.len();
            let bytes = &stored[piece];
            held.write_all(bytes).map_err(trouble)?;
            requests.push((offset, bytes.len() as u32, piece));
            let end = (offset + bytes.len() as u64).next_multiple_of(ALIGNMENT);
            let gap = end - offset - bytes.len() as u64;
            held.write_all(&[0; ALIGNMENT as usize][..gap as usize])
                .map_err(trouble)?;
            offset = end;
        }
        let file = File::open(held.path()).map_err(|error| Error::plain(WHAT, error))?;
        Ok(Sample {
            file,
            compression,
            requests,
            _held: held,
        })
    }
}

/// The pieces as the file holds them.
fn stored(
    arguments: &Arguments,
    pieces: &[Vec<u8>],
    compression: Compression,
) -> Result<Vec<Vec<u8>>> {
    if compression == Compression::NONE {
        return Ok(pieces.to_vec());
    }
    let level = Level::new(arguments.level).ok_or_else(|| Error::plain(WHAT, "no such level"))?;
    let codec = Codec::new(0);
    let compress = |piece: &Vec<u8>| codec.compress_to_vec(piece, level, None);
    let all: std::result::Result<_, _> = pieces.iter().map(compress).collect();
    all.map_err(|error| Error::plain(WHAT, error))
}

/// As many bytes from mapped memory, in one copy.
fn bare_copy(device: &GpuDevice, bytes: u64, rounds: u32) -> Result<Round> {
    let raw = device.device();
    let source = gpu::Buffer::new(raw, Place::Staging, bytes).map_err(failed)?;
    let target = gpu::Buffer::new(raw, Place::Device, bytes).map_err(failed)?;
    let mut commands = Commands::new(raw).map_err(failed)?;
    let mut all = Vec::new();
    // The first ones bring memory and clock up.
    for index in 0..rounds + 2 {
        let round = timed(|| {
            commands
                .copy((&source, 0), (&target, 0), bytes)
                .map_err(failed)
        })?;
        if index >= 2 {
            all.push(round);
        }
    }
    Ok(median(all))
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Round> {
    let (cpu, start) = (cpu_time(), Instant::now());
    work()?;
    Ok(Round {
        wall: start.elapsed(),
        cpu: cpu_time().saturating_sub(cpu),
    })
}

fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by_key(|round| round.wall);
    rounds[rounds.len() / 2]
}

/// The rounds of one way, the first compared and not counted.
fn measure(
    arguments: &Arguments,
    device: &GpuDevice,
    buffer: &GpuBuffer,
    sample: &Sample,
    pieces: &[Vec<u8>],
    decode: GpuDecode,
) -> Result<(Round, Option<GpuStats>)> {
    let mut config = Config::default();
    config.staging_bytes = arguments.staging_mib << 20;
    config.gpu_decode = decode;
    let trouble = |error: ds_core::Error| Error::plain(WHAT, error);
    let runtime = Runtime::new(config).map_err(trouble)?;
    let desc = QueueDesc::new(ds_core::CAPACITY_MAX_DOCUMENTED).device(device);
    let queue = runtime.create_queue(desc).map_err(trouble)?;
    buffer.fill(POISON).map_err(failed)?;
    stream(&queue, buffer, sample, pieces)?;
    compare(buffer, sample, pieces)?;
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        rounds.push(timed(|| stream(&queue, buffer, sample, pieces))?);
    }
    Ok((median(rounds), queue.gpu_stats()))
}

/// One round.
fn stream(queue: &Queue, buffer: &GpuBuffer, sample: &Sample, pieces: &[Vec<u8>]) -> Result<()> {
    let done = StatusArray::new(1, None);
    let mut to = 0;
    for &(offset, bytes, piece) in &sample.requests {
        let size = pieces[piece].len() as u32;
        let source = Source::File {
            file: Some(sample.file.clone()),
            offset,
            bytes,
        };
        let request = Request::new(source, Destination::Gpu(buffer.range(to, size)));
        queue.enqueue_request(request.compressed(sample.compression, size));
        to += u64::from(size);
    }
    queue.enqueue_status(Some(&done), 0);
    queue.submit();
    match done.wait(0, None) {
        Some(S_OK) => Ok(()),
        other => {
            let code = other.unwrap_or_default();
            let why = format!("a request failed with {code:#010x}; DS_LOG=error says more");
            Err(Error::plain(WHAT, why))
        }
    }
}

/// Whether every byte is where it belongs.
fn compare(buffer: &GpuBuffer, sample: &Sample, pieces: &[Vec<u8>]) -> Result<()> {
    let mut to = 0;
    for (index, &(_, _, piece)) in sample.requests.iter().enumerate() {
        let expected = &pieces[piece];
        let mut found = vec![0; expected.len()];
        buffer.read(to, &mut found).map_err(failed)?;
        if found != *expected {
            return Err(Error::plain(
                WHAT,
                format!("request {index} brought wrong bytes"),
            ));
        }
        to += expected.len() as u64;
    }
    Ok(())
}

fn row(name: &str, bytes: u64, requests: u32, round: Round, stats: Option<GpuStats>) -> Value {
    let seconds = round.wall.as_secs_f64();
    let a_batch = |count: fn(&GpuStats) -> u64| {
        stats.map(|stats| count(&stats) as f64 / stats.batches.max(1) as f64)
    };
    json!({
        "requests_batch": a_batch(|stats| stats.requests),
        "wakes_batch": a_batch(|stats| stats.wakes),
        "way": name,
        "bytes": bytes,
        "requests": requests,
        "ms": seconds * 1e3,
        "gb_s": bytes as f64 / seconds / 1e9,
        "cpu_us_request": round.cpu.as_secs_f64() * 1e6 / f64::from(requests),
    })
}

fn show(row: &Value) -> Result<()> {
    let number = |key: &str| row[key].as_f64().unwrap_or_default();
    let batches = match row["requests_batch"].as_f64() {
        None => String::new(),
        Some(requests) => format!(
            "; {requests:.0} requests and {:.2} wakes a batch",
            number("wakes_batch")
        ),
    };
    ui::print(&format!(
        "{:16} {:9.3} ms {:8.2} GB/s, CPU {:8.2} us a request{batches}\n",
        row["way"].as_str().unwrap_or_default(),
        number("ms"),
        number("gb_s"),
        number("cpu_us_request"),
    ))
}
