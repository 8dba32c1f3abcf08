//! `ds pack`: files and folders into an archive.

use std::fs::Metadata;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ds_core::gdeflate::encode::Level;
use ds_tool::archive::format::{
    CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, Kind, is_chunk_bytes, link_leads_outside,
};
use ds_tool::archive::{tree, write};
use ds_tool::error::Shown;
use ds_tool::{Error, Result};

use crate::ui::{self, Progress};

/// See the file's head.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Files and folders; each is stored under its own name (DIR/. stores what is in DIR)
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The archive to write
    #[arg(short, long, value_name = "A.dspk")]
    output: PathBuf,
    /// How hard to compress: 1 to 12, fastest (1), default (9) or best (12)
    #[arg(long, default_value = "default", value_parser = parse_level, value_name = "LEVEL")]
    level: Level,
    /// Do not compress
    #[arg(long, conflicts_with = "level")]
    store: bool,
    /// Threads that compress; 0 is one a core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Size of chunks before compression, in KiB: a multiple of 64, at most 16384
    #[arg(long, default_value_t = CHUNK_BYTES_DEFAULT >> 10, value_name = "N")]
    chunk_kib: u32,
}

/// A level by number or by DirectStorage's words.
pub(crate) fn parse_level(text: &str) -> std::result::Result<Level, String> {
    match text {
        "fastest" => Ok(Level::FASTEST),
        "default" => Ok(Level::DEFAULT),
        "best" => Ok(Level::BEST),
        number => {
            let level = number.parse().ok().and_then(Level::new);
            level.ok_or_else(|| "it is 1 to 12, fastest, default or best".to_owned())
        }
    }
}

/// Packs.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let output = &arguments.output;
    let options = options(arguments)?;
    // Listed before there is a temporary file, so that it is not found; an archive that is replaced is left
    // out.
    let id = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    let replaced = std::fs::metadata(output).map(|metadata| id(&metadata)).ok();
    let skip = |metadata: &Metadata| replaced == Some(id(metadata));
    let found = tree::list(&arguments.paths, &skip, &mut |line| ui::warn(&line))?;
    warn_of_outside_links(&found);
    let total = found.iter().map(|found| match found.entry.kind {
        Kind::File { bytes, .. } => bytes,
        _ => 0,
    });
    let progress = Progress::new(total.sum());
    let mut temporary = ui::temporary_beside("pack", output)?;
    let written = {
        let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file_mut());
        let written = write::write(found, &mut out, output, options, &|bytes| {
            progress.add(bytes)
        })?;
        out.flush()
            .map_err(|error| Error::new("pack", output, error))?;
        written
    };
    drop(progress);
    ui::persist("pack", temporary, output)?;
    let seconds = started.elapsed().as_secs_f64();
    let bytes = written.index.bytes();
    // Of next to nothing, the archive's own bytes are a share that tells nothing.
    let ratio = match written.archive_bytes < bytes {
        true => format!(" ({})", ui::per_cent(written.archive_bytes, bytes)),
        false => String::new(),
    };
    ui::print(&format!(
        "{}, {} in {}{ratio} in {seconds:.1} s\n",
        ui::entries(written.index.entries.len()),
        ui::bytes(bytes),
        ui::bytes(written.archive_bytes),
    ))
}

/// They are packed, but `ds unpack` will want to be asked.
fn warn_of_outside_links(found: &[tree::Found]) {
    let mut outside = found.iter().filter(|found| match &found.entry.kind {
        Kind::Link { target } => link_leads_outside(&found.entry.path, target),
        _ => false,
    });
    if let Some(first) = outside.next() {
        let count = ui::count(1 + outside.count() as u64, "symbolic link");
        let path = Shown(&first.source);
        ui::warn(&format!(
            "{count} out of what is packed, first {path}: unpack with --outside-links"
        ));
    }
}

fn options(arguments: &Arguments) -> Result<write::Options> {
    let kib = arguments.chunk_kib;
    let chunk_bytes = kib.checked_mul(1024).filter(|&bytes| is_chunk_bytes(bytes));
    let chunk_bytes = chunk_bytes.ok_or_else(|| {
        let (min, max) = (CHUNK_BYTES_MIN >> 10, CHUNK_BYTES_MAX >> 10);
        let why = format!("{kib} is not a multiple of {min} from {min} to {max}");
        Error::plain("--chunk-kib", why)
    })?;
    Ok(write::Options {
        level: (!arguments.store).then_some(arguments.level),
        threads: match arguments.threads {
            0 => ui::cores(),
            threads => threads.min(1024),
        },
        chunk_bytes,
    })
}
