//! Opening archives, and reading their chunks through the engine.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ds_core::Compression;

use super::format::{
    self, Chunk, Entry, FOOTER_BYTES, HEADER_BYTES, Index, Kind, Layout, MAGIC, Method, checksum,
};
use crate::error::{Error, Result, Shown};
use crate::stream::{Piece, Stream, StreamError};

/// An archive whose header, footer and index are sound.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    file: ds_core::File,
    /// The archive's size.
    pub archive_bytes: u64,
    /// Header and footer.
    pub layout: Layout,
    /// What is in it.
    pub index: Index,
}

/// Whether a file's first bytes are an archive's.
pub fn is_archive(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

impl Archive {
    /// Opens the archive at `path` and checks everything but the chunks.
    ///
    /// # Errors
    /// The kernel's, or what is wrong with the archive. `what` is the operation that the message names.
    pub fn open(what: &str, path: &Path) -> Result<Archive> {
        let failed = |why: &dyn std::fmt::Display| Error::new(what, path, why);
        let file = fs::File::open(path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            return Err(failed(&"not a regular file"));
        }
        let archive_bytes = metadata.len();
        let (mut header, mut footer) = ([0; HEADER_BYTES], [0; FOOTER_BYTES]);
        let footer_offset = archive_bytes.saturating_sub(FOOTER_BYTES as u64);
        if footer_offset < HEADER_BYTES as u64 {
            return Err(failed(&"too short for a .dspk archive"));
        }
        let read_at = |bytes: &mut [u8], offset| {
            file.read_exact_at(bytes, offset)
                .map_err(|error| failed(&error))
        };
        read_at(&mut header, 0)?;
        read_at(&mut footer, footer_offset)?;
        let layout =
            Layout::parse(&header, &footer, archive_bytes).map_err(|error| failed(&error))?;
        // Bounded by the file's size and by INDEX_BYTES_MAX.
        let mut bytes = vec![0; layout.index_bytes as usize];
        read_at(&mut bytes, layout.index_offset)?;
        if checksum(&bytes) != layout.index_checksum {
            return Err(failed(&"the index is damaged (its checksum is another)"));
        }
        let index = format::parse_index(&bytes, &layout).map_err(|error| failed(&error))?;
        let file = ds_core::File::from_fd(OwnedFd::from(file), path, false)
            .map_err(|error| failed(&error))?;
        Ok(Archive {
            path: path.to_owned(),
            file,
            archive_bytes,
            layout,
            index,
        })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every chunk as a request, tagged with its number.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.index
            .chunks
            .iter()
            .enumerate()
            .map(|(number, chunk)| Piece {
                file: self.file.clone(),
                offset: chunk.offset,
                stored_bytes: chunk.stored_bytes,
                bytes: chunk.bytes,
                compression: match chunk.method {
                    Method::Stored => Compression::NONE,
                    Method::GDeflate => Compression::GDEFLATE,
                },
                tag: number as u64,
            })
    }

    /// Reads every chunk through `stream`, compares checksums, and calls `on_chunk` with its number and
    /// bytes, in order.
    ///
    /// # Errors
    /// The first chunk that cannot be read, does not decompress or has another checksum; or `on_chunk`'s
    /// error.
    pub fn read_all(
        &self,
        what: &str,
        stream: &mut Stream,
        mut on_chunk: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let result = stream.run(self.pieces(), |piece, bytes| {
            let number = piece.tag as usize;
            if checksum(bytes) != self.index.chunks[number].checksum {
                return Err(Failed::Checksum(number));
            }
            on_chunk(number, bytes).map_err(Failed::Caller)
        });
        result.map_err(|failed| match failed {
            Failed::Caller(error) => error,
            Failed::Checksum(number) => self.chunk_error(what, number, "the checksum is another"),
            Failed::Read(StreamError { error, tag }) => match tag {
                Some(number) => self.chunk_error(what, number as usize, &error.to_string()),
                None => Error::new(what, &self.path, error),
            },
        })
    }

    /// The file that a chunk belongs to.
    pub fn entry_of(&self, chunk: usize) -> Option<&Entry> {
        self.index.entries.iter().find(
            |entry| matches!(&entry.kind, Kind::File { chunks, .. } if chunks.contains(&chunk)),
        )
    }

    fn chunk_error(&self, what: &str, number: usize, why: &str) -> Error {
        let name = self.entry_of(number).map_or(&b"?"[..], |entry| &entry.path);
        let Chunk { offset, .. } = self.index.chunks[number];
        let name = Shown::bytes(name);
        Error::new(
            what,
            &self.path,
            format!("{name}: chunk at offset {offset}: {why}"),
        )
    }
}

enum Failed {
    Read(StreamError),
    Checksum(usize),
    Caller(Error),
}

impl From<StreamError> for Failed {
    fn from(error: StreamError) -> Failed {
        Failed::Read(error)
    }
}
