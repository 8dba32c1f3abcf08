//! `ds unpack`: an archive's files, read and decompressed by the engine.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ds_tool::archive::extract;
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
    /// The folder to unpack into; made if it is missing
    #[arg(short = 'C', long, default_value = ".", value_name = "DIR")]
    directory: PathBuf,
    /// Allow symbolic links that lead out of the folder
    #[arg(long)]
    outside_links: bool,
}

/// Unpacks.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let archive = Archive::open("unpack", &arguments.archive)?;
    let runtime = ui::runtime(ui::config())?;
    let stream = Stream::new(&runtime, Window::for_pieces(archive.layout.chunk_bytes));
    let mut stream = stream.map_err(|error| Error::plain("unpack", error))?;
    let progress = Progress::new(archive.index.bytes());
    extract::unpack(
        &archive,
        &arguments.directory,
        arguments.outside_links,
        &mut stream,
        &|bytes| progress.add(bytes),
    )?;
    drop(progress);
    ui::print(&format!(
        "{}, {} in {:.1} s\n",
        ui::entries(archive.index.entries.len()),
        ui::bytes(archive.index.bytes()),
        started.elapsed().as_secs_f64(),
    ))
}
