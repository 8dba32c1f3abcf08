//! `ds bench load`: one backend, so many requests, and nothing beside it: for perf, strace, and the count of
//! system calls of `--compare`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use ds_core::{Backend, Priority};
use ds_tool::{Error, Result};

use super::super::{FileMode, WHAT, parse_backend};
use super::load::{Load, Order, Setup, Shape, runtime};
use super::subject::Subject;
use crate::ui;

/// Arguments of `ds bench load`.
#[derive(Args)]
pub(in super::super) struct Arguments {
    /// The file to read
    #[arg(long, value_name = "F")]
    file: PathBuf,
    /// cpu or io_uring
    #[arg(long, value_parser = parse_backend)]
    backend: Backend,
    /// Bytes of a request, in KiB
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = value_parser!(u32).range(1..=16384))]
    request_kib: u32,
    /// Requests in flight
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = value_parser!(u32).range(1..=4096))]
    depth: u32,
    /// I/O threads; 0 is what the engine chooses
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = value_parser!(u32).range(0..=64))]
    threads: u32,
    /// How files are read; without it, what the engine chooses
    #[arg(long, value_enum)]
    mode: Option<FileMode>,
    /// Requests in all
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    count: u64,
    /// Drop the file from the page cache first
    #[arg(long)]
    cold: bool,
}

/// Reads, and says how long it took.
pub(in super::super) fn run(arguments: &Arguments) -> Result<()> {
    let subject = Subject::open(Some(&arguments.file), None)?;
    let shape = Shape {
        request_bytes: arguments.request_kib << 10,
        depth: arguments.depth,
    };
    let order = Order::new(subject.span_bytes(), shape.request_bytes);
    if order.len() == 0 {
        let size = ui::bytes(shape.request_bytes.into());
        let why = format!("smaller than one request of {size}");
        return Err(Error::new(WHAT, subject.path(), why).cure("choose a smaller --request-kib"));
    }
    if arguments.cold {
        subject.evict()?;
    }
    let runtime = runtime(Setup {
        backend: arguments.backend,
        threads: arguments.threads,
        mode: arguments.mode,
    })?;
    let mut load = Load::new(&runtime, subject.path(), shape, Priority::Normal)?;
    let offsets = order.endless().take(arguments.count as usize);
    let round = load.run(offsets, Duration::MAX)?;
    ui::print(&format!(
        "{} requests in {:.3} s, {:.0}/s, CPU {:.0} ns each\n",
        round.requests,
        round.seconds,
        round.requests / round.seconds,
        round.cpu_seconds / round.requests * 1e9,
    ))
}

/// The arguments that make this process's own program read `count` requests.
pub(super) fn command(
    subject: &Subject,
    setup: Setup,
    shape: Shape,
    (count, cold): (u64, bool),
) -> std::io::Result<std::process::Command> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .args(["bench", "load", "--file"])
        .arg(subject.path());
    command.args(["--backend", setup.backend.name()]);
    for (name, value) in [
        ("--request-kib", u64::from(shape.request_bytes >> 10)),
        ("--depth", shape.depth.into()),
        ("--threads", setup.threads.into()),
        ("--count", count),
    ] {
        command.arg(name).arg(value.to_string());
    }
    if let Some(mode) = setup.mode {
        command.args(["--mode", mode.name()]);
    }
    if cold {
        command.arg("--cold");
    }
    Ok(command)
}
