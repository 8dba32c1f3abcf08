//! Making archives: one thread reads, several compress, the caller's thread writes, in the files' order.
//!
//! Promises
//! - Memory is bounded by the threads and the chunk size, however large the files; only the index grows with
//!   their number.
//! - The archive is written from start to end without seeking, and does not depend on the number of threads.
//! - A file that changes while it is read is an error that names it, never an archive with half of each
//!   version.

use std::fs::{self, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use ds_core::gdeflate::encode::{Encoder, Level};
use ds_core::gdeflate::{TILE_BYTES, header_bytes, write_header};

use super::format::{
    Chunk, Entry, HEADER_BYTES, INDEX_BYTES_MAX, Index, Kind, Layout, Method, checksum, chunk_start,
};
use super::tree::Found;
use crate::error::{Error, Result};

/// How to pack.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How hard to compress; `None` stores everything as it is.
    pub level: Option<Level>,
    /// Threads that compress; at least 1.
    pub threads: usize,
    /// Size of chunks; see [`super::format::is_chunk_bytes`].
    pub chunk_bytes: u32,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The archive's index.
    pub index: Index,
    /// The archive's size.
    pub archive_bytes: u64,
}

/// Writes an archive of `found` to `out`. `progress` hears of bytes that are done, and may stop it.
///
/// # Errors
/// The first file that cannot be read or changes meanwhile, a failed write (of `target`, which is only a name
/// here), or `progress`'s own error.
pub fn write(
    found: Vec<Found>,
    out: &mut dyn Write,
    target: &Path,
    options: Options,
    progress: &dyn Fn(u64) -> Result<()>,
) -> Result<Written> {
    let threads = options.threads.max(1);
    // Each thread has a chunk at hand and one to come; two more let reader and writer go on.
    let (order_in, order) = sync_channel(2 * threads + 2);
    let (jobs_in, jobs) = sync_channel(2 * threads + 2);
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| compress_jobs(&jobs, options.level));
        }
        let reader = scope.spawn(move || {
            let reader = Reader {
                order: order_in,
                jobs: jobs_in,
                chunk_bytes: options.chunk_bytes,
                chunk_count: 0,
            };
            reader.read_all(found)
        });
        let mut writer = Writer {
            out,
            target,
            offset: 0,
            chunks: Vec::new(),
        };
        writer.write(&Layout::header(options.chunk_bytes))?;
        // Leaving early drops `order`, which stops the reader, which stops the compressors.
        for packed in order {
            writer.write_chunk(packed, progress)?;
        }
        let entries = reader.join().expect("the reader does not panic")?;
        writer.finish(entries, options.chunk_bytes)
    })
}

/// A chunk on its way.
struct Job {
    bytes: Vec<u8>,
    reply: SyncSender<Packed>,
}

struct Packed {
    stored: Vec<u8>,
    bytes: u32,
    method: Method,
    checksum: u64,
}

/// The writer is gone; it knows why.
struct Stopped;

struct Reader {
    /// Where each chunk's result will be, in the order of the archive.
    order: SyncSender<Receiver<Packed>>,
    jobs: SyncSender<Job>,
    chunk_bytes: u32,
    chunk_count: usize,
}

impl Reader {
    fn read_all(mut self, found: Vec<Found>) -> Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(found.len());
        for Found { mut entry, source } in found {
            if let Kind::File { bytes, chunks } = &mut entry.kind {
                let first = self.chunk_count;
                match self.read_file(&source)? {
                    Ok(read_bytes) => *bytes = read_bytes,
                    Err(Stopped) => return Ok(entries),
                }
                *chunks = first..self.chunk_count;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Sends a file's chunks on their way; answers its size.
    fn read_file(&mut self, source: &Path) -> Result<std::result::Result<u64, Stopped>> {
        let failed = |error: std::io::Error| Error::new("pack", source, error);
        // O_NONBLOCK: should a pipe have taken the file's place, nobody waits for its other end.
        let mut options = fs::OpenOptions::new();
        let opened = options
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
        let mut file = opened.open(source).map_err(failed)?;
        let before = file.metadata().map_err(failed)?;
        if !before.is_file() {
            return Err(changed(source, "it is no longer a regular file"));
        }
        let mut left = before.len();
        while left > 0 {
            let wanted = left.min(u64::from(self.chunk_bytes));
            let mut bytes = Vec::with_capacity(wanted as usize);
            let mut part = Read::by_ref(&mut file).take(wanted);
            part.read_to_end(&mut bytes).map_err(failed)?;
            if (bytes.len() as u64) < wanted {
                return Err(changed(source, "it shrank while it was read"));
            }
            left -= wanted;
            if self.send(bytes).is_err() {
                return Ok(Err(Stopped));
            }
        }
        let after = file.metadata().map_err(failed)?;
        if !is_same(&before, &after) {
            return Err(changed(source, "it changed while it was read"));
        }
        Ok(Ok(before.len()))
    }

    fn send(&mut self, bytes: Vec<u8>) -> std::result::Result<(), Stopped> {
        let (reply, packed) = sync_channel(1);
        self.order.send(packed).map_err(|_| Stopped)?;
        self.jobs.send(Job { bytes, reply }).map_err(|_| Stopped)?;
        self.chunk_count += 1;
        Ok(())
    }
}

fn is_same(before: &Metadata, after: &Metadata) -> bool {
    let stamp = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    stamp(before) == stamp(after)
}

fn changed(source: &Path, why: &str) -> Error {
    Error::new("pack", source, why).cure("pack again when nothing writes to it")
}

/// Compresses until there are no more jobs.
fn compress_jobs(jobs: &Mutex<Receiver<Job>>, level: Option<Level>) {
    let mut encoder = level.map(Encoder::new);
    loop {
        // The lock is held while waiting: the others would only wait for the same.
        let next = jobs
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .recv();
        let Ok(Job { bytes, reply }) = next else {
            return;
        };
        // Nobody may be left to take it; then the writer has failed, and says so.
        let _ = reply.send(pack(bytes, encoder.as_mut()));
    }
}

fn pack(bytes: Vec<u8>, encoder: Option<&mut Encoder>) -> Packed {
    let (checksum, plain_bytes) = (checksum(&bytes), bytes.len() as u32);
    let compressed = encoder.map(|encoder| compress(&bytes, encoder));
    let (stored, method) = match compressed {
        Some(stream) if stream.len() < bytes.len() => (stream, Method::GDeflate),
        _ => (bytes, Method::Stored),
    };
    Packed {
        stored,
        bytes: plain_bytes,
        method,
        checksum,
    }
}

/// The tile stream of `bytes`. What `Codec` does, with an encoder that is kept from chunk to chunk.
fn compress(bytes: &[u8], encoder: &mut Encoder) -> Vec<u8> {
    let tiles = bytes.chunks(TILE_BYTES);
    let header_bytes = header_bytes(tiles.len());
    let mut stream = Vec::with_capacity(header_bytes + bytes.len());
    stream.resize(header_bytes, 0);
    let sizes: Vec<u32> = tiles
        .map(|tile| {
            let start = stream.len();
            encoder
                .encode_tile(tile, &mut stream)
                .expect("a tile's size");
            (stream.len() - start) as u32
        })
        .collect();
    let header = write_header(&sizes, bytes.len() as u64).expect("a chunk has few tiles");
    stream[..header_bytes].copy_from_slice(&header);
    stream
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    target: &'a Path,
    offset: u64,
    chunks: Vec<Chunk>,
}

impl Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.offset += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::new("pack", self.target, error)
    }

    fn write_chunk(
        &mut self,
        packed: Receiver<Packed>,
        progress: &dyn Fn(u64) -> Result<()>,
    ) -> Result<()> {
        let packed = packed.recv();
        let packed =
            packed.map_err(|_| Error::plain("pack", "a compressing thread ended early"))?;
        let offset = chunk_start(self.offset, packed.stored.len() as u64);
        self.pad_to(offset)?;
        self.write(&packed.stored)?;
        self.chunks.push(Chunk {
            offset,
            stored_bytes: packed.stored.len() as u32,
            bytes: packed.bytes,
            method: packed.method,
            checksum: packed.checksum,
        });
        progress(u64::from(packed.bytes))
    }

    fn pad_to(&mut self, offset: u64) -> Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let gap = (offset - self.offset) as usize;
        self.write(&ZEROS[..gap])
    }

    fn finish(mut self, entries: Vec<Entry>, chunk_bytes: u32) -> Result<Written> {
        self.pad_to(self.offset.next_multiple_of(HEADER_BYTES as u64))?;
        let index = Index {
            entries,
            chunks: std::mem::take(&mut self.chunks),
        };
        let bytes = index.to_bytes();
        if bytes.len() as u64 > INDEX_BYTES_MAX {
            return Err(
                Error::plain("pack", "the list of files is larger than 1 GiB")
                    .cure("make several archives"),
            );
        }
        let layout = Layout {
            chunk_bytes,
            index_offset: self.offset,
            index_bytes: bytes.len() as u64,
            index_checksum: checksum(&bytes),
            entry_count: index.entries.len() as u64,
            chunk_count: index.chunks.len() as u64,
        };
        self.write(&bytes)?;
        self.write(&layout.footer())?;
        self.out.flush().map_err(|error| self.failed(error))?;
        Ok(Written {
            index,
            archive_bytes: self.offset,
        })
    }
}
