//! `ds inspect`: what is in an archive, or in a GDeflate tile stream.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use ds_core::gdeflate::{DecodeError, HeaderPolicy, TileStream};
use ds_tool::archive::format::{Entry, Index, Kind};
use ds_tool::archive::read::{Archive, is_archive};
use ds_tool::error::Shown;
use ds_tool::{Error, Result};
use serde_json::{Value, json};

use crate::ui::{self, Table};

/// See the file's head.
#[derive(Args)]
pub(crate) struct Arguments {
    /// An archive or a tile stream
    #[arg(value_name = "A.dspk|STREAM.gd")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Inspects.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let path = &arguments.file;
    let failed = |error: std::io::Error| Error::new("inspect", path, error);
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(8).read_to_end(&mut start).map_err(failed)?;
    if is_archive(&start) {
        let archive = Archive::open("inspect", path)?;
        let text = if arguments.json {
            archive_json(&archive)
        } else {
            archive_text(&archive)
        };
        ui::print(&text)
    } else {
        ui::print(&stream(path, arguments.json)?)
    }
}

fn kind_of(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::File { .. } => "file",
        Kind::Folder => "folder",
        Kind::Link { .. } => "link",
    }
}

/// Size, stored size and number of chunks; zeros for what is no file.
fn sizes(index: &Index, entry: &Entry) -> (u64, u64, usize) {
    match &entry.kind {
        Kind::File { bytes, chunks } => {
            let stored = index.chunks[chunks.clone()]
                .iter()
                .map(|chunk| u64::from(chunk.stored_bytes));
            (*bytes, stored.sum(), chunks.len())
        }
        _ => (0, 0, 0),
    }
}

fn archive_text(archive: &Archive) -> String {
    let index = &archive.index;
    let mut table = Table::new(&[6]);
    table.line(["kind", "mode", "bytes", "stored", "ratio", "chunks", "path"]);
    for entry in &index.entries {
        let (bytes, stored, chunks) = sizes(index, entry);
        let mode = format!("{:03o}", entry.mode);
        let mut path = Shown::bytes(&entry.path).to_string();
        if let Kind::Link { target } = &entry.kind {
            path = format!("{path} -> {}", Shown::bytes(target));
        }
        let cells = match entry.kind {
            Kind::File { .. } => [
                bytes.to_string(),
                stored.to_string(),
                ui::per_cent(stored, bytes),
                chunks.to_string(),
            ],
            _ => Default::default(),
        };
        let [bytes, stored, ratio, chunks] = cells;
        table.line([
            kind_of(entry).to_owned(),
            mode,
            bytes,
            stored,
            ratio,
            chunks,
            path,
        ]);
    }
    format!(
        "{}\n{}: {}, {} in {} ({}), {} of {}\n",
        table.text(),
        Shown(archive.path()),
        ui::entries(index.entries.len()),
        ui::bytes(index.bytes()),
        ui::bytes(archive.archive_bytes),
        ui::per_cent(archive.archive_bytes, index.bytes()),
        ui::count(index.chunks.len() as u64, "chunk"),
        ui::bytes(archive.layout.chunk_bytes.into()),
    )
}

fn archive_json(archive: &Archive) -> String {
    let index = &archive.index;
    let entries: Vec<Value> = index
        .entries
        .iter()
        .map(|entry| {
            let (bytes, stored, chunks) = sizes(index, entry);
            let mut value = json!({
                "path": Shown::bytes(&entry.path).to_string(),
                "kind": kind_of(entry),
                "mode": entry.mode,
                "modified_s": entry.modified_s,
            });
            match &entry.kind {
                Kind::File { .. } => {
                    value["bytes"] = bytes.into();
                    value["stored_bytes"] = stored.into();
                    value["chunks"] = chunks.into();
                }
                Kind::Link { target } => {
                    value["target"] = Shown::bytes(target).to_string().into();
                }
                Kind::Folder => {}
            }
            value
        })
        .collect();
    let value = json!({
        "format": "dspk",
        "version": ds_tool::archive::format::VERSION,
        "archive_bytes": archive.archive_bytes,
        "chunk_bytes": archive.layout.chunk_bytes,
        "index_bytes": archive.layout.index_bytes,
        "chunks": index.chunks.len(),
        "bytes": index.bytes(),
        "stored_bytes": index.stored_bytes(),
        "entries": entries,
    });
    format!("{value}\n")
}

/// A tile stream's figures.
fn stream(path: &Path, as_json: bool) -> Result<String> {
    let failed = |why: &dyn std::fmt::Display| Error::new("inspect", path, why);
    let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
    let stream = TileStream::parse(&bytes, HeaderPolicy::AnyId).map_err(|error| match error {
        DecodeError::HeaderMagic | DecodeError::HeaderTruncated => {
            failed(&"neither a .dspk archive nor a GDeflate tile stream")
        }
        error => failed(&format!("a GDeflate tile stream, but damaged: {error}")),
    })?;
    let tiles: std::result::Result<Vec<usize>, DecodeError> = (0..stream.tile_count())
        .map(|index| stream.tile(index).map(<[u8]>::len))
        .collect();
    let tiles = tiles.map_err(|error| failed(&format!("its table is damaged: {error}")))?;
    let (min, max) = (
        tiles.iter().min().unwrap_or(&0),
        tiles.iter().max().unwrap_or(&0),
    );
    let (plain, compressed) = (
        stream.uncompressed_bytes(),
        stream.compressed_bytes() as u64,
    );
    let variant = match bytes[0] {
        4 => "id 4 (GDeflate, as the open-source and Microsoft's codecs write it)",
        _ => "id 0xFE (as files made with the DirectStorage SDK have it)",
    };
    if as_json {
        let value = json!({
            "format": "gdeflate",
            "header_id": bytes[0],
            "tiles": tiles.len(),
            "tile_bytes_min": min,
            "tile_bytes_max": max,
            "bytes": plain,
            "compressed_bytes": compressed,
            "trailing_bytes": stream.trailing_bytes(),
        });
        return Ok(format!("{value}\n"));
    }
    let mut table = Table::new(&[1]);
    table.line(["format", "GDeflate tile stream"]);
    table.line(["header", variant]);
    table.line([
        "tiles".to_owned(),
        format!("{}, compressed to {min} to {max} bytes each", tiles.len()),
    ]);
    table.line([
        "uncompressed".to_owned(),
        format!("{plain} bytes ({})", ui::bytes(plain)),
    ]);
    table.line([
        "compressed".to_owned(),
        format!(
            "{compressed} bytes ({}), {}",
            ui::bytes(compressed),
            ui::per_cent(compressed, plain)
        ),
    ]);
    table.line([
        "trailing".to_owned(),
        format!("{} bytes after the last tile", stream.trailing_bytes()),
    ]);
    Ok(table.text())
}
