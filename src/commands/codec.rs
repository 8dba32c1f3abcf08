//! `ds compress` and `ds decompress`: single files as GDeflate tile streams, the ones that DirectStorage
//! reads.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ds_core::gdeflate::encode::Level;
use ds_core::gdeflate::{Codec, CodecError, HeaderPolicy, TILE_BYTES, TILE_COUNT_MAX, TileStream};
use ds_tool::{Error, Result};

use super::pack::parse_level;
use crate::ui::{self, Progress};

/// The most bytes one stream can hold: 4 GiB less 64 KiB.
const SOURCE_BYTES_MAX: u64 = TILE_COUNT_MAX as u64 * TILE_BYTES as u64;
/// No valid stream of that content is longer: what is read before a file is known to be something else.
const STREAM_BYTES_MAX: u64 = SOURCE_BYTES_MAX + SOURCE_BYTES_MAX / 16;

/// Arguments of `ds compress`.
#[derive(Args)]
pub(crate) struct CompressArguments {
    /// The file to compress; - is standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The tile stream to write; - is standard output
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// How hard to compress: 1 to 12, fastest (1), default (9) or best (12)
    #[arg(long, default_value = "default", value_parser = parse_level)]
    level: Level,
}

/// Arguments of `ds decompress`.
#[derive(Args)]
pub(crate) struct DecompressArguments {
    /// The tile stream; - is standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write; - is standard output
    #[arg(value_name = "OUT")]
    output: PathBuf,
}

/// Compresses.
pub(crate) fn compress(arguments: &CompressArguments) -> Result<()> {
    let input = &arguments.input;
    let source = read("compress", input, SOURCE_BYTES_MAX)?.ok_or_else(|| {
        let error = Error::new("compress", input, CodecError::SourceTooLarge);
        error.cure("split it, or use `ds pack`, which has no such limit")
    })?;
    let progress = Progress::of_one_call(source.len() as u64);
    let tell = |_, _| drop(progress.add(TILE_BYTES as u64));
    let stream = Codec::new(0).compress_to_vec(&source, arguments.level, Some(&tell));
    let stream = stream.map_err(|error| Error::new("compress", input, error))?;
    drop(progress);
    write("compress", &arguments.output, &stream)?;
    let ratio = ui::per_cent(stream.len() as u64, source.len() as u64);
    report(&arguments.output, source.len(), stream.len(), Some(ratio))
}

/// Decompresses.
pub(crate) fn decompress(arguments: &DecompressArguments) -> Result<()> {
    let input = &arguments.input;
    let failed = |why: &dyn std::fmt::Display| Error::new("decompress", input, why);
    let stream = read("decompress", input, STREAM_BYTES_MAX)?
        .ok_or_else(|| failed(&"larger than any GDeflate tile stream"))?;
    let parsed = TileStream::parse(&stream, HeaderPolicy::AnyId).map_err(|error| failed(&error))?;
    // Every tile's place is checked before memory is taken for what they claim to hold.
    for tile in 0..parsed.tile_count() {
        parsed.tile(tile).map_err(|error| failed(&error))?;
    }
    let mut output = vec![0; parsed.uncompressed_bytes() as usize];
    let bytes = Codec::new(0)
        .decompress(&stream, &mut output)
        .map_err(|error| failed(&error))?;
    write("decompress", &arguments.output, &output)?;
    report(&arguments.output, stream.len(), bytes, None)
}

fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The whole input; `None` if it is larger than `bytes_max`.
fn read(what: &str, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    let failed = |error: std::io::Error| Error::new(what, path, error);
    let mut bytes = Vec::new();
    if is_stream(path) {
        let mut input = std::io::stdin().lock().take(bytes_max + 1);
        input.read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > bytes_max {
            return Ok(None);
        }
        file.take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

fn write(what: &str, path: &Path, bytes: &[u8]) -> Result<()> {
    if is_stream(path) {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        return written.map_err(|error| Error::plain(what, error));
    }
    // Devices and pipes are written in place: renaming would replace them.
    if path.exists() && !path.is_file() && !path.is_dir() {
        let written = std::fs::OpenOptions::new().write(true).open(path);
        let written = written.and_then(|mut file| file.write_all(bytes));
        return written.map_err(|error| Error::new(what, path, error));
    }
    let mut temporary = ui::temporary_beside(what, path)?;
    temporary
        .write_all(bytes)
        .map_err(|error| Error::new(what, path, error))?;
    ui::persist(what, temporary, path)
}

/// What became of it; nothing when the result itself went to standard output.
fn report(output: &Path, from: usize, to: usize, ratio: Option<String>) -> Result<()> {
    if is_stream(output) {
        return Ok(());
    }
    let ratio = ratio.map_or_else(String::new, |ratio| format!(" ({ratio})"));
    let (from, to) = (ui::bytes(from as u64), ui::bytes(to as u64));
    ui::print(&format!("{from} to {to}{ratio}\n"))
}
