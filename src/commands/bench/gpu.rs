//! `ds bench gpu`: how fast a device decodes tiles, by its own clock.
//!
//! Every tile of a load has a copy of its input, everything is decoded over poison and compared before it is
//! timed, and loads are drawn in an order that is random and always the same. Figures are medians.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use ds_core::gdeflate::{Decoder, HeaderPolicy, TileStream};
use ds_core::gpu::decode::{TileDecoder, TilePath};
use ds_core::gpu::measure::{Kernel, Load};
use ds_core::gpu::oneshot::RawTile;
use ds_core::gpu::vendor::VendorDecoder;
use ds_core::gpu::{Device, DeviceOptions, GpuError, Place};
use ds_tool::{Error, Result};
use serde_json::{Value, json};

use crate::ui;

const WHAT: &str = "bench gpu";

/// Arguments of `ds bench gpu`.
#[derive(Args)]
pub(super) struct Arguments {
    /// A tile stream, as `ds compress` makes it: its tiles are what is decoded
    #[arg(value_name = "FILE")]
    stream: PathBuf,
    /// How many tiles at once; several times
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "32,256,1024,8192"
    )]
    tiles: Vec<u32>,
    /// The device's number or part of its name; without it, the best one
    #[arg(long, value_name = "D", default_value = "")]
    device: String,
    /// How often each load is decoded
    #[arg(long, value_name = "N", default_value_t = 11)]
    reps: u32,
    /// Leave the compressed tiles in system memory, for the device to read over the bus
    #[arg(long)]
    from_host: bool,
    /// Write everything to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Tiles and their content.
struct Corpus {
    bytes: Vec<u8>,
    content: Vec<Vec<u8>>,
}

/// Measures.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let corpus = Corpus::read(arguments)?;
    let options = DeviceOptions {
        device: arguments.device.clone(),
        ..DeviceOptions::default()
    };
    let device = Device::open(&options).map_err(failed)?;
    let caps = device.caps();
    ui::print(&format!(
        "{} ({}), {} tiles to draw from\n",
        caps.name,
        caps.driver,
        corpus.content.len()
    ))?;
    let kernels = kernels(&device)?;
    let mut rows = Vec::new();
    for (name, kernel) in &kernels {
        rows.push(statistics(name, kernel));
    }
    for count in &arguments.tiles {
        measure(arguments, &device, &corpus, &kernels, *count, &mut rows)?;
    }
    if let Some(path) = &arguments.json {
        let all = json!({
            "device": caps.name,
            "driver": caps.driver,
            "rows": rows,
        });
        fs::write(path, format!("{all:#}\n")).map_err(|error| Error::new(WHAT, path, error))?;
    }
    Ok(())
}

fn failed(error: GpuError) -> Error {
    Error::plain(WHAT, error)
}

impl Corpus {
    fn read(arguments: &Arguments) -> Result<Corpus> {
        let path = &arguments.stream;
        let bytes = fs::read(path).map_err(|error| Error::new(WHAT, path, error))?;
        let stream = TileStream::parse(&bytes, HeaderPolicy::AnyId);
        let stream = stream.map_err(|error| Error::new(WHAT, path, error))?;
        let mut decoder = Decoder::new();
        let mut content = Vec::new();
        for index in 0..stream.tile_count() {
            let range = stream.tile_output(index);
            let mut output = vec![0; (range.end - range.start) as usize];
            let tile = stream.tile(index);
            let decoded = tile.and_then(|tile| decoder.decode_tile(tile, &mut output));
            decoded.map_err(|error| Error::new(WHAT, path, error))?;
            content.push(output);
        }
        if content.is_empty() {
            return Err(Error::new(WHAT, path, "holds no tile"));
        }
        Ok(Corpus { bytes, content })
    }

    fn tiles(&self) -> Vec<RawTile<'_>> {
        let stream = TileStream::parse(&self.bytes, HeaderPolicy::AnyId).expect("read before");
        let tile = |(index, content): (usize, &Vec<u8>)| RawTile {
            bytes: stream.tile(index).expect("read before"),
            output_bytes: content.len() as u32,
        };
        self.content.iter().enumerate().map(tile).collect()
    }

    /// `count` tiles: permutations of all of them, one after another, always the same.
    fn draw(&self, count: u32) -> Vec<u32> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        let mut draw = Vec::new();
        while draw.len() < count as usize {
            let mut all: Vec<u32> = (0..self.content.len() as u32).collect();
            for i in (1..all.len()).rev() {
                all.swap(i, next(i + 1));
            }
            draw.extend(all);
        }
        draw.truncate(count as usize);
        draw
    }
}

/// What to measure: our shader, and the driver's decoder where there is one.
fn kernels(device: &Arc<Device>) -> Result<Vec<(String, Kernel)>> {
    let mut kernels = Vec::new();
    let best = TilePath::best(device).map_err(failed)?;
    let decoder = TileDecoder::with_statistics(device, best).map_err(failed)?;
    kernels.push((best.name().to_owned(), Kernel::Shader(decoder)));
    // Behind the shader, which says whether it may have the tiles.
    if let Ok(decoder) = VendorDecoder::new(device) {
        kernels.push(("nv".to_owned(), Kernel::Vendor(decoder)));
    }
    Ok(kernels)
}

/// Registers, shared memory and the like.
fn statistics(name: &str, kernel: &Kernel) -> Value {
    let mut row = json!({ "kernel": name });
    if let Kernel::Shader(decoder) = kernel {
        for (what, value) in decoder.statistics() {
            row[what] = value.into();
        }
    }
    row
}

/// All kernels over one load.
fn measure(
    arguments: &Arguments,
    device: &Arc<Device>,
    corpus: &Corpus,
    kernels: &[(String, Kernel)],
    count: u32,
    rows: &mut Vec<Value>,
) -> Result<()> {
    let tiles = corpus.tiles();
    let place = match arguments.from_host {
        true => Place::Staging,
        false => Place::Device,
    };
    let draw = corpus.draw(count);
    let mut load = Load::new(device, &tiles, &draw, place).map_err(failed)?;
    let expected: Vec<&[u8]> = corpus.content.iter().map(Vec::as_slice).collect();
    for largest_first in [false, true] {
        load.order(largest_first).map_err(failed)?;
        for (name, kernel) in kernels {
            let wrong = load.verify(kernel, &expected).map_err(failed)?;
            let order = if largest_first { "sorted" } else { "unsorted" };
            if let Some(wrong) = wrong {
                let why = format!("{name} is wrong, and so not timed: {wrong}");
                return Err(Error::plain(WHAT, why));
            }
            let times = Times::take(&mut load, kernel, arguments.reps)?;
            let gb_s = load.output_bytes() as f64 / times.median / 1e6;
            let Times {
                median,
                fastest,
                slowest,
            } = times;
            let label = format!("{name:24} {count:6} {order:9}");
            let range = format!("fastest {fastest:.3}, slowest {slowest:.3}");
            ui::print(&format!(
                "{label} {median:9.3} ms {gb_s:8.2} GB/s ({range})\n"
            ))?;
            rows.push(json!({
                "kernel": name, "tiles": count, "order": order, "from_host": arguments.from_host,
                "source_bytes": load.source_bytes(), "output_bytes": load.output_bytes(),
                "ms": median, "ms_fastest": fastest, "ms_slowest": slowest,
                "gb_s": gb_s,
            }));
        }
    }
    Ok(())
}

/// Milliseconds of one load.
struct Times {
    median: f64,
    fastest: f64,
    slowest: f64,
}

impl Times {
    fn take(load: &mut Load, kernel: &Kernel, repetitions: u32) -> Result<Times> {
        // The first ones bring the device to its clock.
        let warm = if load.len() >= 4096 { 3 } else { 25 };
        let mut ms = load
            .time(kernel, repetitions.max(1) + warm)
            .map_err(failed)?;
        ms.drain(..warm as usize);
        ms.sort_by(f64::total_cmp);
        Ok(Times {
            median: ms[ms.len() / 2],
            fastest: ms[0],
            slowest: ms[ms.len() - 1],
        })
    }
}
