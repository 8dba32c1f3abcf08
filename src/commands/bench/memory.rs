//! `ds bench stream`: many gigabytes through one window, and what that does to the process's memory.

use std::time::Instant;

use clap::Args;
use ds_tool::{Error, Result};
use serde_json::json;

use super::{Load, WHAT};
use crate::ui::{self, Progress};

/// Arguments of `ds bench stream`.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    load: Load,
    /// How much to stream, in GiB
    #[arg(long, default_value_t = 10.0, value_name = "N")]
    gib: f64,
    /// Fail if resident memory grows by more, in MiB
    #[arg(long, default_value_t = 16, value_name = "N")]
    growth_mib_max: u64,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy)]
struct Memory {
    now: u64,
    peak: u64,
}

impl Memory {
    fn look() -> Result<Memory> {
        const PATH: &str = "/proc/self/status";
        let status =
            std::fs::read_to_string(PATH).map_err(|error| Error::new(WHAT, PATH, error))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib << 10)
        };
        match (field("VmRSS:"), field("VmHWM:")) {
            (Some(now), Some(peak)) => Ok(Memory { now, peak }),
            _ => Err(Error::new(WHAT, PATH, "it does not tell VmRSS and VmHWM")),
        }
    }
}

/// Streams.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let load = &arguments.load;
    let source = load.source()?;
    let mut engine = load.engine()?;
    ui::print(&load.describe(&engine, &source))?;
    // Once around, so that buffers and staging are there.
    engine.stream(&source, 0, source.len().max(u64::from(load.depth()) * 2))?;
    let before = Memory::look()?;

    let request_bytes = u64::from(load.request_bytes());
    let total = (arguments.gib.clamp(0.0, 1e9) * f64::from(1 << 30)) as u64;
    let count = total.div_ceil(request_bytes);
    let (progress, started) = (Progress::new(total), Instant::now());
    let step = source.len();
    let mut first = 0;
    while first < count {
        let some = step.min(count - first);
        engine.stream(&source, first, some)?;
        progress.add(some * request_bytes)?;
        first += some;
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(progress);
    let after = Memory::look()?;
    let growth = after.now.saturating_sub(before.now);
    ui::print(&format!(
        "\nstreamed {} in {seconds:.1} s, {:.2} GB/s\n\
         resident memory {} before, {} after; peak {} before, {} after\n",
        ui::bytes(count * request_bytes),
        (count * request_bytes) as f64 / seconds.max(1e-9) / 1e9,
        ui::bytes(before.now),
        ui::bytes(after.now),
        ui::bytes(before.peak),
        ui::bytes(after.peak),
    ))?;
    if load.json {
        let value = json!({
            "streamed_bytes": count * request_bytes,
            "streamed_mb_s": (count * request_bytes) as f64 / seconds.max(1e-9) / 1e6,
            "before_rss_bytes": before.now,
            "after_rss_bytes": after.now,
            "before_peak_bytes": before.peak,
            "after_peak_bytes": after.peak,
        });
        ui::print(&format!("{value}\n"))?;
    }
    if growth > arguments.growth_mib_max << 20 {
        let why = format!("resident memory grew by {}", ui::bytes(growth));
        return Err(Error::plain("bench stream", why));
    }
    Ok(())
}
