//! `ds bench`: the engine's rate, beside the rate of a bare loop in the same run; and its memory over many
//! gigabytes.
//!
//! Engine and baseline take turns, round by round, and medians are reported, so that both see the same moods
//! of the machine. Both write the same amount of memory: a baseline that stays in the cache would be another
//! experiment. `--compare` does the same with fio and the engine's backends, over several kinds of reads.

mod baseline;
mod compare;
mod gdeflate;
#[cfg(feature = "vulkan")]
mod gpu;
mod memory;
mod priority;
mod rounds;
mod source;
#[cfg(feature = "vulkan")]
mod threads;
#[cfg(feature = "vulkan")]
mod upload;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, value_parser};
use ds_core::{Backend, Runtime};
use ds_tool::stream::{Stream, Window};
use ds_tool::{Error, Result};

use crate::ui;
use source::Source;

const WHAT: &str = "bench";

/// Arguments of `ds bench`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    load: Load,
    /// How long to measure in all, roughly; 4, or 60 with --compare
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    seconds: Option<f64>,
    /// Rounds of each side
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Requests in a round, instead of as many as the time allows
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Read from the disk: drop the file from the page cache before each round
    #[arg(long, conflicts_with = "warm")]
    cold: bool,
    /// Read from the page cache (the default)
    #[arg(long)]
    warm: bool,
    /// fio and the engine's backends side by side: 4 KiB, 64 KiB and 1 MiB, warm and cold, unless
    /// --request-kib, --depth, --warm or --cold say what
    #[arg(long, conflicts_with_all = ["count", "batch", "codec", "backend"])]
    compare: bool,
    /// With --compare, where to put the sample of 1 GiB; without it, the folder for temporary files
    #[arg(long, value_name = "D", requires = "compare", conflicts_with = "file")]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Mode {
    /// Stream many gigabytes and watch the memory
    Stream(memory::Arguments),
    /// The codec over many kinds of data, beside other codecs
    Gdeflate(gdeflate::Arguments),
    /// Tiles on a GPU, by its own clock
    #[cfg(feature = "vulkan")]
    Gpu(gpu::Arguments),
    /// The whole way from the page cache into a GPU's memory
    #[cfg(feature = "vulkan")]
    Upload(Box<upload::Arguments>),
    /// Read with one backend and nothing beside it, for a profiler to look at
    Load(compare::alone::Arguments),
    /// Latency of small reads, urgent or not, behind a bulk load
    Priority(priority::Arguments),
}

/// What is asked of the engine.
#[derive(Args)]
struct Load {
    /// The file to read; a sample of our own if there is none
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
    /// Bytes of a request (after decompression), in KiB; 64
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=16384))]
    request_kib: Option<u32>,
    /// Requests in flight; 64
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=4096))]
    depth: Option<u32>,
    /// Requests that share a status; 0 is a quarter of the depth
    #[arg(long, default_value_t = 0, value_name = "N")]
    batch: u32,
    /// auto, cpu, io_uring or vulkan; without it, what DS_CONFIG says
    #[arg(long, value_parser = parse_backend)]
    backend: Option<Backend>,
    /// How the requests are compressed
    #[arg(long, value_enum, default_value_t = Codec::None)]
    codec: Codec,
    /// I/O threads, and threads of the pread loop; 0 is what the engine chooses
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = value_parser!(u32).range(0..=64))]
    threads: u32,
    /// How files are read; without it, what the engine chooses
    #[arg(long, value_enum)]
    mode: Option<FileMode>,
    /// Print the numbers as one flat JSON object, as the last line
    #[arg(long)]
    json: bool,
}

/// The words of the option `file_mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum FileMode {
    Auto,
    Buffered,
    Direct,
    Dontcache,
}

impl FileMode {
    fn name(self) -> &'static str {
        match self {
            FileMode::Auto => "auto",
            FileMode::Buffered => "buffered",
            FileMode::Direct => "direct",
            FileMode::Dontcache => "dontcache",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Codec {
    None,
    Gdeflate,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gdeflate => "gdeflate",
        }
    }
}

fn parse_backend(name: &str) -> std::result::Result<Backend, String> {
    let backend = Backend::from_name(name).filter(|&backend| backend != Backend::Sim);
    backend.ok_or_else(|| "it is auto, cpu, io_uring or vulkan".to_owned())
}

fn parse_seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.01..=1e6).contains(seconds));
    seconds.ok_or_else(|| "it is a number of seconds, 0.01 to 1000000".to_owned())
}

/// Measures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.mode {
        Some(Mode::Stream(stream)) => memory::run(stream),
        Some(Mode::Gdeflate(arguments)) => gdeflate::run(arguments),
        #[cfg(feature = "vulkan")]
        Some(Mode::Gpu(arguments)) => gpu::run(arguments),
        #[cfg(feature = "vulkan")]
        Some(Mode::Upload(arguments)) => upload::run(arguments),
        Some(Mode::Load(load)) => compare::alone::run(load),
        Some(Mode::Priority(priority)) => priority::run(priority),
        None if arguments.compare => compare::run(arguments),
        None => rounds::run(arguments),
    }
}

/// The engine and a stream of requests through it.
struct Engine {
    runtime: Runtime,
    stream: Stream,
    threads: usize,
}

impl Load {
    fn request_bytes(&self) -> u32 {
        self.request_kib.unwrap_or(64) << 10
    }

    /// Requests in flight.
    fn depth(&self) -> u32 {
        self.depth.unwrap_or(64)
    }

    /// Bytes that are in flight: the memory that both sides write to.
    fn window_bytes(&self) -> usize {
        self.depth() as usize * self.request_bytes() as usize
    }

    fn engine(&self) -> Result<Engine> {
        const WINDOW_BYTES_MAX: usize = 4 << 30;
        if self.window_bytes() > WINDOW_BYTES_MAX {
            let why = format!(
                "{} would be in flight at once",
                ui::bytes(self.window_bytes() as u64)
            );
            return Err(Error::plain(WHAT, why)
                .cure("choose less of --depth times --request-kib, at most 4 GiB"));
        }
        let mut config = ui::config();
        if let Some(backend) = self.backend {
            config.backend = backend;
        }
        if self.threads > 0 {
            config.io_threads = self.threads;
        }
        if let Some(mode) = self.mode {
            let set = config.set("file_mode", mode.name());
            set.map_err(|why| Error::plain(WHAT, why))?;
        }
        let runtime = ui::runtime(config)?;
        let threads = runtime.io_thread_count();
        self.check_backend(&runtime)?;
        let batch_pieces = match self.batch {
            // Four statuses in flight: rarely enough that waiting costs little, and three quarters of the
            // depth at least.
            0 => self.depth().div_ceil(4),
            batch => batch.min(self.depth()),
        } as usize;
        let window = Window {
            batch_bytes: batch_pieces * self.request_bytes() as usize,
            batch_pieces,
            batches: (self.depth() as usize).div_ceil(batch_pieces),
        };
        let stream = Stream::new(&runtime, window).map_err(|error| Error::plain(WHAT, error))?;
        Ok(Engine {
            runtime,
            stream,
            threads,
        })
    }

    /// A figure under the name of another backend would be worse than none.
    fn check_backend(&self, runtime: &Runtime) -> Result<()> {
        let choice = runtime.backend();
        match self.backend {
            Some(asked) if asked != Backend::Auto && asked != choice.backend => {
                let why = asked.unavailable().unwrap_or(&choice.reason);
                Err(Error::plain(WHAT, format!("no {asked} here: {why}"))
                    .cure("choose another --backend; `ds info` lists them"))
            }
            _ => Ok(()),
        }
    }

    fn source(&self) -> Result<Source> {
        Source::open(self.file.as_deref(), self.request_bytes(), self.codec)
    }

    /// One line that says what was asked.
    fn describe(&self, engine: &Engine, source: &Source) -> String {
        let choice = engine.runtime.backend();
        format!(
            "{} requests, depth {}, codec {}, {}\nbackend {} ({}), {}, {} decoding\n",
            ui::bytes(self.request_bytes().into()),
            self.depth(),
            self.codec.name(),
            source.describe(),
            choice.backend,
            choice.reason,
            ui::count(engine.threads as u64, "I/O thread"),
            engine.runtime.config().decode_thread_count(),
        )
    }
}

impl Engine {
    /// Streams the requests `first..first + count` of `source`.
    fn stream(&mut self, source: &Source, first: u64, count: u64) -> Result<()> {
        let pieces = (first..first + count).map(|number| source.piece(number));
        let result = self
            .stream
            .run(pieces, |_, _| Ok::<(), ds_tool::stream::StreamError>(()));
        result.map_err(|failed| Error::plain(WHAT, failed.error))
    }
}
