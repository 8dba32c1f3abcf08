//! `ds bench upload`: the whole way of bytes from the page cache into a GPU's memory, through a queue.
//!
//! Every round is as many requests as there are, one status, and the wait for it. Beside it, the same bytes
//! in one bare copy from mapped memory of the device's. The buffer is poisoned before the first round and
//! compared after it. Requests from memory take the same way without its first step, which tells that step's
//! cost; the CPU time of each kind of thread tells whose time it is.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use ds_core::gdeflate::Codec;
use ds_core::gdeflate::encode::Level;
use ds_core::gpu::{self, Commands, DeviceOptions, GpuBuffer, GpuDevice, GpuError, Place};
use ds_core::{
    Buffer, Compression, Config, Destination, File, GpuDecode, Queue, QueueDesc, Request, Runtime,
    S_OK, SharedBytes, Source, SourceType, StatusArray,
};
use ds_tool::{Error, Result};
use serde_json::{Value, json};

use super::rounds::cpu_time;
use super::threads::cpu_by_name;
use crate::ui;

const WHAT: &str = "bench upload";
const POISON: u32 = 0xA5A5_A5A5;
/// Where requests begin in the file, so that the GPU can read them where they land.
const ALIGNMENT: u64 = 16;
/// How much is compared at once.
const LOOK_BYTES: usize = 32 << 20;

/// Arguments of `ds bench upload`.
#[derive(Args)]
pub(super) struct Arguments {
    /// What the requests hold, cut into pieces, again and again
    #[arg(value_name = "FILE")]
    content: PathBuf,
    /// Bytes of a request after decompression, in KiB
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=16384))]
    request_kib: u32,
    /// Requests between two submits; 0 submits once, after the last
    #[arg(long, value_name = "N", default_value_t = 0)]
    submit_every: u32,
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
    /// Where requests read from
    #[arg(long, value_name = "SOURCE", value_delimiter = ',', default_value = "file",
          value_parser = ["file", "memory"])]
    sources: Vec<String>,
    /// I/O threads, each number by itself; 0 is the engine's own choice
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "0",
          value_parser = value_parser!(u32).range(0..=64))]
    io_threads: Vec<u32>,
    /// Rounds of each kind
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long each kind runs before its rounds, in milliseconds: an idle GPU is slow at first
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = value_parser!(u32).range(0..=60000))]
    warm_up_ms: u32,
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

/// Where requests read from.
enum Origin {
    /// A file, in the page cache.
    File {
        file: File,
        _held: tempfile::NamedTempFile,
    },
    /// The same bytes in memory.
    Memory(SharedBytes),
}

/// Requests and what they read.
struct Sample {
    origin: Origin,
    compression: Compression,
    /// Offset and bytes of each request in the origin, and the piece it holds.
    requests: Vec<(u64, u32, usize)>,
}

/// One variant: what is read, who decompresses, and how many threads read.
struct Variant<'a> {
    sample: &'a Sample,
    pieces: &'a [Vec<u8>],
    decode: GpuDecode,
    io_threads: u32,
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
    let what = json!({ "way": "bare copy", "bytes": bytes });
    let mut rows = vec![merged(what, row(bytes, 1, bare))];
    show(&rows[0])?;
    let wanted = |way: &str| arguments.ways.iter().any(|wanted| wanted == way);
    for (_, name, compression, decode) in WAYS.into_iter().filter(|(way, ..)| wanted(way)) {
        let stored = stored(arguments, &pieces, compression)?;
        for source in &arguments.sources {
            let sample = Sample::make(arguments, source, &stored, compression)?;
            for &io_threads in &arguments.io_threads {
                let variant = Variant {
                    sample: &sample,
                    pieces: &pieces,
                    decode,
                    io_threads,
                };
                let measured = measure(arguments, &device, &buffer, &variant)?;
                let what = json!({ "way": name, "source": source, "bytes": bytes });
                rows.push(merged(what, measured));
                show(rows.last().expect("just pushed"))?;
            }
        }
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
    fn make(
        arguments: &Arguments,
        source: &str,
        stored: &[Vec<u8>],
        compression: Compression,
    ) -> Result<Sample> {
        let mut requests = Vec::new();
        let mut offset = 0_u64;
        for index in 0..arguments.count as usize {
            let piece = index % stored.len();
            let bytes = stored[piece].len() as u64;
            requests.push((offset, bytes as u32, piece));
            offset = (offset + bytes).next_multiple_of(ALIGNMENT);
        }
        let write = |out: &mut dyn FnMut(&[u8]) -> std::io::Result<()>| {
            for &(_, bytes, piece) in &requests {
                out(&stored[piece])?;
                let gap = u64::from(bytes).next_multiple_of(ALIGNMENT) - u64::from(bytes);
                out(&[0; ALIGNMENT as usize][..gap as usize])?;
            }
            Ok(())
        };
        let origin = match source {
            "memory" => {
                let mut all = Vec::new();
                write(&mut |bytes| {
                    all.extend_from_slice(bytes);
                    Ok(())
                })
                .map_err(|error| Error::plain(WHAT, error))?;
                Origin::Memory(shared(&all)?)
            }
            _ => {
                let folder = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
                let trouble = |error: std::io::Error| Error::new(WHAT, &folder, error);
                let mut held = tempfile::NamedTempFile::new_in(&folder).map_err(trouble)?;
                write(&mut |bytes| held.write_all(bytes)).map_err(trouble)?;
                let file = File::open(held.path()).map_err(|error| Error::plain(WHAT, error))?;
                Origin::File { file, _held: held }
            }
        };
        Ok(Sample {
            origin,
            compression,
            requests,
        })
    }

    fn source(&self, offset: u64, bytes: u32) -> Source {
        match &self.origin {
            Origin::File { file, .. } => Source::File {
                file: Some(file.clone()),
                offset,
                bytes,
            },
            Origin::Memory(memory) => {
                let part = memory.part(offset as usize, bytes as usize);
                Source::Memory(part.expect("requests lie inside what they were made from"))
            }
        }
    }

    fn source_type(&self) -> SourceType {
        match self.origin {
            Origin::File { .. } => SourceType::File,
            Origin::Memory(_) => SourceType::Memory,
        }
    }
}

/// Memory that requests may read.
fn shared(bytes: &[u8]) -> Result<SharedBytes> {
    let mut buffer = Buffer::new(bytes.len());
    let own = buffer.bytes_mut();
    own.expect("a new buffer is not lent")
        .copy_from_slice(bytes);
    buffer
        .into_source()
        .map_err(|_| Error::plain(WHAT, "the buffer is still lent"))
}

/// The pieces as they are stored.
fn stored(
    arguments: &Arguments,
    pieces: &[Vec<u8>],
    compression: Compression,
) -> Result<Vec<Vec<u8>>> {
    if compression == Compression::NONE {
        return Ok(pieces.to_vec());
    }
    let level = Level::new(arguments.level).ok_or_else(|| Error::plain(WHAT, "no such level"))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = pieces.len().div_ceil(threads).max(1);
    let compress = |pieces: &[Vec<u8>]| -> std::result::Result<Vec<_>, _> {
        // One thread each: most pieces are single tiles.
        let codec = Codec::new(1);
        let compress = |piece: &Vec<u8>| codec.compress_to_vec(piece, level, None);
        pieces.iter().map(compress).collect()
    };
    let parts = std::thread::scope(|scope| {
        let parts = pieces
            .chunks(share)
            .map(|part| scope.spawn(move || compress(part)));
        let parts: Vec<_> = parts.collect();
        let join = |part: std::thread::ScopedJoinHandle<'_, _>| part.join();
        parts.into_iter().map(join).collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    for part in parts {
        let part = part.map_err(|_| Error::plain(WHAT, "a thread that compresses has panicked"))?;
        all.extend(part.map_err(|error| Error::plain(WHAT, error))?);
    }
    Ok(all)
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

/// The rounds of one variant, the first compared and not counted: a row without its name.
fn measure(
    arguments: &Arguments,
    device: &GpuDevice,
    buffer: &GpuBuffer,
    variant: &Variant<'_>,
) -> Result<Value> {
    let mut config = Config::default();
    config.staging_bytes = arguments.staging_mib << 20;
    config.gpu_decode = variant.decode;
    config.io_threads = variant.io_threads;
    let trouble = |error: ds_core::Error| Error::plain(WHAT, error);
    let runtime = Runtime::new(config).map_err(trouble)?;
    let mut desc = QueueDesc::new(ds_core::CAPACITY_MAX_DOCUMENTED).device(device);
    desc.source_type = variant.sample.source_type();
    let queue = runtime.create_queue(desc).map_err(trouble)?;
    buffer.fill(POISON).map_err(failed)?;
    stream(arguments, &queue, buffer, variant)?;
    compare(buffer, variant)?;
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_millis(arguments.warm_up_ms.into()) {
        stream(arguments, &queue, buffer, variant)?;
    }
    let before = cpu_by_name();
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        rounds.push(timed(|| stream(arguments, &queue, buffer, variant))?);
    }
    let requests = arguments.count;
    let bytes = u64::from(requests) * (u64::from(arguments.request_kib) << 10);
    let mut row = row(bytes, requests, median(rounds));
    row["io_threads"] = runtime.io_thread_count().into();
    let all = f64::from(requests) * f64::from(arguments.rounds);
    for (name, after) in cpu_by_name() {
        let time = after.saturating_sub(before.get(&name).copied().unwrap_or_default());
        if !time.is_zero() {
            row["cpu_us_request_by_thread"][name] = (time.as_secs_f64() * 1e6 / all).into();
        }
    }
    if let Some(stats) = queue.gpu_stats() {
        let a_batch = |count: u64| count as f64 / stats.batches.max(1) as f64;
        row["requests_batch"] = a_batch(stats.requests).into();
        row["wakes_batch"] = a_batch(stats.wakes).into();
    }
    Ok(row)
}

/// One round.
fn stream(
    arguments: &Arguments,
    queue: &Queue,
    buffer: &GpuBuffer,
    variant: &Variant<'_>,
) -> Result<()> {
    let (sample, done) = (variant.sample, StatusArray::new(1, None));
    let mut to = 0;
    let every = match arguments.submit_every {
        0 => usize::MAX,
        every => every as usize,
    };
    for (index, &(offset, bytes, piece)) in sample.requests.iter().enumerate() {
        let size = variant.pieces[piece].len() as u32;
        let destination = Destination::Gpu(buffer.range(to, size));
        let request = Request::new(sample.source(offset, bytes), destination);
        queue.enqueue_request(request.compressed(sample.compression, size));
        to += u64::from(size);
        if (index + 1) % every == 0 {
            queue.submit();
        }
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
fn compare(buffer: &GpuBuffer, variant: &Variant<'_>) -> Result<()> {
    let size = variant.pieces[0].len();
    // Each look makes a buffer and waits for the device.
    let requests_look = (LOOK_BYTES / size).max(1);
    let looks = variant.sample.requests.chunks(requests_look);
    let mut found = vec![0; requests_look * size];
    for (look, requests) in looks.enumerate() {
        let found = &mut found[..requests.len() * size];
        let first = look * requests_look;
        buffer.read((first * size) as u64, found).map_err(failed)?;
        for (index, (&(_, _, piece), bytes)) in requests.iter().zip(found.chunks(size)).enumerate()
        {
            if bytes != variant.pieces[piece] {
                let why = format!("request {} brought wrong bytes", first + index);
                return Err(Error::plain(WHAT, why));
            }
        }
    }
    Ok(())
}

fn row(bytes: u64, requests: u32, round: Round) -> Value {
    let seconds = round.wall.as_secs_f64();
    json!({
        "requests": requests,
        "ms": seconds * 1e3,
        "gb_s": bytes as f64 / seconds / 1e9,
        "cpu_us_request": round.cpu.as_secs_f64() * 1e6 / f64::from(requests),
    })
}

/// One object with the members of both.
fn merged(mut first: Value, second: Value) -> Value {
    if let (Some(all), Value::Object(more)) = (first.as_object_mut(), second) {
        all.extend(more);
    }
    first
}

fn show(row: &Value) -> Result<()> {
    let number = |key: &str| row[key].as_f64().unwrap_or_default();
    let mut text = format!(
        "{:14} {:6} {:9.3} ms {:7.2} GB/s, CPU {:6.2} us a request",
        row["way"].as_str().unwrap_or_default(),
        row["source"].as_str().unwrap_or_default(),
        number("ms"),
        number("gb_s"),
        number("cpu_us_request"),
    );
    if let Some(threads) = row["cpu_us_request_by_thread"].as_object() {
        text += &format!(", {} I/O threads (", row["io_threads"]);
        for (name, time) in threads {
            text += &format!(" {name} {:.2}", time.as_f64().unwrap_or_default());
        }
        text += &format!(
            " ), {:.0} requests and {:.2} wakes a batch",
            number("requests_batch"),
            number("wakes_batch")
        );
    }
    ui::print(&(text + "\n"))
}
