//! What a benchmark reads: a file in equal requests, as it is or compressed request by request.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use ds_core::Compression;
use ds_core::gdeflate::encode::Level;
use ds_tool::stream::Piece;
use ds_tool::{Error, Result};

use super::{Codec, WHAT};
use crate::{sample, ui};

/// Size of our own sample.
const SAMPLE_BYTES: usize = 64 << 20;
/// At most so much of a file is compressed: it takes a second or two.
const COMPRESS_BYTES_MAX: u64 = 256 << 20;
/// The streams are written in pieces of this size, as `ds pack` writes archives. It shows in the page cache:
/// the kernel takes larger parts of memory for larger writes, and copies out of them faster.
const WRITE_BYTES: usize = 1 << 20;

/// Requests to repeat, and where their bytes are.
pub(super) struct Source {
    file: ds_core::File,
    path: PathBuf,
    codec: Codec,
    requests: Vec<Place>,
    /// Holds our own files.
    _folder: Option<tempfile::TempDir>,
}

/// A request's place in the file.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) stored_bytes: u32,
    pub(super) bytes: u32,
}

impl Source {
    /// Requests of `request_bytes` over `file`, or over a sample.
    pub(super) fn open(file: Option<&Path>, request_bytes: u32, codec: Codec) -> Result<Source> {
        let mut folder = None;
        let mut path = match file {
            Some(file) => file.to_owned(),
            None => {
                let folder = folder.insert(temporary_folder()?);
                write_sample(folder.path())?
            }
        };
        let requests = match codec {
            Codec::None => cut(&path, request_bytes)?,
            Codec::Gdeflate => {
                let folder = match &folder {
                    Some(folder) => folder,
                    None => folder.insert(temporary_folder()?),
                };
                let (compressed, requests) = compress(&path, folder.path(), request_bytes)?;
                path = compressed;
                requests
            }
        };
        if requests.is_empty() {
            let why = format!(
                "smaller than one request of {}",
                ui::bytes(request_bytes.into())
            );
            return Err(Error::new(WHAT, path, why).cure("choose a smaller --request-kib"));
        }
        let file = ds_core::File::open(&path).map_err(|error| Error::new(WHAT, &path, error))?;
        Ok(Source {
            file,
            path,
            codec,
            requests,
            _folder: folder,
        })
    }

    /// How many requests there are before they repeat.
    pub(super) fn len(&self) -> u64 {
        self.requests.len() as u64
    }

    /// Request `number`, counted around.
    pub(super) fn place(&self, number: u64) -> Place {
        self.requests[(number % self.len()) as usize]
    }

    /// The same for the engine.
    pub(super) fn piece(&self, number: u64) -> Piece {
        let place = self.place(number);
        Piece {
            file: self.file.clone(),
            offset: place.offset,
            stored_bytes: place.stored_bytes,
            bytes: place.bytes,
            compression: match self.codec {
                Codec::None => Compression::NONE,
                Codec::Gdeflate => Compression::GDEFLATE,
            },
            tag: number,
        }
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A second handle, for the baseline.
    pub(super) fn plain_file(&self) -> Result<fs::File> {
        fs::File::open(&self.path).map_err(|error| Error::new(WHAT, &self.path, error))
    }

    /// Drops the file from the page cache, as far as the kernel follows the advice (not on tmpfs).
    pub(super) fn evict(&self) -> Result<()> {
        let file = self.plain_file()?;
        let failed = |error: std::io::Error| Error::new(WHAT, &self.path, error);
        // Dirty pages would stay.
        file.sync_all().map_err(failed)?;
        let advice = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        advice.map_err(|errno| failed(errno.into()))
    }

    /// Size and ratio in words.
    pub(super) fn describe(&self) -> String {
        let stored: u64 = self
            .requests
            .iter()
            .map(|place| u64::from(place.stored_bytes))
            .sum();
        let bytes: u64 = self
            .requests
            .iter()
            .map(|place| u64::from(place.bytes))
            .sum();
        match self.codec {
            Codec::None => format!("over {}", ui::bytes(bytes)),
            Codec::Gdeflate => format!(
                "over {} compressed to {} ({})",
                ui::bytes(bytes),
                ui::bytes(stored),
                ui::per_cent(stored, bytes)
            ),
        }
    }
}

fn temporary_folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("ds-bench-").tempdir();
    folder.map_err(|error| {
        Error::new(WHAT, std::env::temp_dir(), ds_tool::error::reason(&error))
            .cure("set TMPDIR to a folder with room")
    })
}

fn write_sample(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("sample");
    let failed = |error: std::io::Error| Error::new(WHAT, &path, error);
    let mut file = fs::File::create(&path).map_err(failed)?;
    for part in sample::files(SAMPLE_BYTES) {
        file.write_all(&part.bytes).map_err(failed)?;
    }
    Ok(path)
}

/// The whole requests that fit into the file.
fn cut(path: &Path, request_bytes: u32) -> Result<Vec<Place>> {
    let metadata = fs::metadata(path).map_err(|error| Error::new(WHAT, path, error))?;
    let count = metadata.len() / u64::from(request_bytes);
    let places = (0..count).map(|number| Place {
        offset: number * u64::from(request_bytes),
        stored_bytes: request_bytes,
        bytes: request_bytes,
    });
    Ok(places.collect())
}

/// Compresses request by request into a file; answers it and where its streams are.
fn compress(path: &Path, folder: &Path, request_bytes: u32) -> Result<(PathBuf, Vec<Place>)> {
    let target = folder.join("compressed");
    let failed = |path: &Path, error: std::io::Error| Error::new(WHAT, path, error);
    let file = fs::File::open(path).map_err(|error| failed(path, error))?;
    let mut input = file.take(COMPRESS_BYTES_MAX);
    let out = fs::File::create(&target).map_err(|error| failed(&target, error))?;
    let mut out = BufWriter::with_capacity(WRITE_BYTES, out);
    let codec = ds_core::gdeflate::Codec::new(0);
    let (mut places, mut offset) = (Vec::new(), 0u64);
    loop {
        let mut bytes = Vec::with_capacity(request_bytes as usize);
        let mut part = Read::by_ref(&mut input).take(request_bytes.into());
        part.read_to_end(&mut bytes)
            .map_err(|error| failed(path, error))?;
        if bytes.len() < request_bytes as usize {
            break;
        }
        let stream = codec.compress_to_vec(&bytes, Level::FASTEST, None);
        let stream = stream.map_err(|error| Error::new(WHAT, path, error))?;
        out.write_all(&stream)
            .map_err(|error| failed(&target, error))?;
        places.push(Place {
            offset,
            stored_bytes: stream.len() as u32,
            bytes: request_bytes,
        });
        offset += stream.len() as u64;
    }
    out.flush().map_err(|error| failed(&target, error))?;
    drop(out);
    Ok((target, places))
}
