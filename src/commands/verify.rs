//! `ds verify`: everything in an archive is read, decompressed and compared with its checksum; nothing is
//! written.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ds_tool::archive::read::Archive;
use ds_tool::stream::{Stream, Window};
use ds_tool::{Error, Result};

use crate::ui::{self, Progress};

/// See the file's head.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The archive
    #[arg(value_name = "A.dspk")]
    archive: PathBuf,
}

/// Verifies.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let archive = Archive::open("verify", &arguments.archive)?;
    let runtime = ui::runtime(ui::config())?;
    let stream = Stream::new(&runtime, Window::for_pieces(archive.layout.chunk_bytes));
    let mut stream = stream.map_err(|error| Error::plain("verify", error))?;
    let bytes = archive.index.bytes();
    let progress = Progress::new(bytes);
    let started = Instant::now();
    archive.read_all("verify", &mut stream, |_, chunk| {
        progress.add(chunk.len() as u64)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    drop(progress);
    ui::print(&format!(
        "{}: {}, {} in {}, all checksums agree; {:.2} GB/s\n",
        ds_tool::error::Shown(archive.path()),
        ui::entries(archive.index.entries.len()),
        ui::bytes(bytes),
        ui::count(archive.index.chunks.len() as u64, "chunk"),
        bytes as f64 / seconds.max(1e-9) / 1e9,
    ))
}
