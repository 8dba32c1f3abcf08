//! The bytes of a `.dspk` file: header, footer and index, written and checked here and nowhere else.
//!
//! Promises
//! - Archives are hostile: every count, size and offset is compared with what the file can hold before
//!   anything is allocated by it; memory is proportional to the index's real bytes.
//! - An [`Index`] that parsed is safe to unpack into an empty folder: each path is relative and plain, occurs
//!   once, and lies in a folder that the index lists before it (so nothing goes through a symbolic link);
//!   each chunk lies between header and index, behind the chunk before it.
//! - What is written here parses here.
//!
//! Checksums are the reader's business (`read.rs`), so that a fuzzer reaches everything in this file.

use std::collections::HashMap;
use std::fmt;

use crate::error::Shown;

/// The first bytes. The line ends show at once when a transfer in text mode has damaged the file.
pub const MAGIC: [u8; 8] = *b"DSPK\r\n\x1a\n";
/// The footer's first bytes.
pub const FOOTER_MAGIC: [u8; 8] = *b"DSPKEND\n";
/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// Bytes of the header, at the file's start.
pub const HEADER_BYTES: usize = 64;
/// Bytes of the footer, at the file's end.
pub const FOOTER_BYTES: usize = 64;
/// Where the checksum of header and footer stands: over everything before it.
const SELF_CHECKSUM_AT: usize = 56;

/// Chunks begin at multiples of this: a cache line, so that small files waste little.
pub const CHUNK_ALIGN: u64 = 64;
/// Chunks from this size on are written at multiples of [`CHUNK_ALIGN_LARGE`].
pub const CHUNK_LARGE_BYTES: u64 = 128 << 10;
/// A page: unbuffered reads of large chunks need no detour. At most 3 % of such a chunk is lost.
pub const CHUNK_ALIGN_LARGE: u64 = 4096;
/// The default size of a chunk before compression: 8 tiles, so that one chunk already feeds several cores.
pub const CHUNK_BYTES_DEFAULT: u32 = 512 << 10;
/// The smallest chunk size: one tile.
pub const CHUNK_BYTES_MIN: u32 = 64 << 10;
/// The largest chunk size: compressed it fits twice into the smallest usual staging buffer (32 MiB).
pub const CHUNK_BYTES_MAX: u32 = 16 << 20;
/// The largest index that is read: some ten million files.
pub const INDEX_BYTES_MAX: u64 = 1 << 30;
/// The longest path, and the longest target of a symbolic link: Linux' PATH_MAX without its NUL.
pub const PATH_BYTES_MAX: usize = 4095;
/// The longest component of a path.
const NAME_BYTES_MAX: usize = 255;

/// Bytes of an entry record without path and link target.
const ENTRY_BYTES: usize = 32;
/// Bytes of a chunk record.
const CHUNK_RECORD_BYTES: usize = 24;

/// What is wrong with an archive. The text names the entry where there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormatError(String);

impl FormatError {
    fn of(path: &[u8], why: &str) -> FormatError {
        FormatError(format!("entry {}: {why}", Shown::bytes(path)))
    }

    fn entry(number: u64, why: &str) -> FormatError {
        FormatError(format!("entry {number}: {why}"))
    }
}

impl From<&str> for FormatError {
    fn from(why: &str) -> FormatError {
        FormatError(why.to_owned())
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FormatError {}

type Result<T> = std::result::Result<T, FormatError>;

/// What header and footer say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Size of every chunk but a file's last, before compression.
    pub chunk_bytes: u32,
    /// Where the index begins.
    pub index_offset: u64,
    /// Its size; it ends where the footer begins.
    pub index_bytes: u64,
    /// Its checksum.
    pub index_checksum: u64,
    /// Entries in it.
    pub entry_count: u64,
    /// Chunk records in it, behind the entries.
    pub chunk_count: u64,
}

/// The checksum of the format: XXH3, 64 bits, no seed.
pub fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Whether a chunk size may be used.
pub fn is_chunk_bytes(bytes: u32) -> bool {
    (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(CHUNK_BYTES_MIN)
}

/// Where a chunk of `stored_bytes` goes, not before `offset`.
pub fn chunk_start(offset: u64, stored_bytes: u64) -> u64 {
    if stored_bytes >= CHUNK_LARGE_BYTES {
        offset.next_multiple_of(CHUNK_ALIGN_LARGE)
    } else {
        offset.next_multiple_of(CHUNK_ALIGN)
    }
}

impl Layout {
    /// The header for archives of this chunk size.
    pub fn header(chunk_bytes: u32) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&chunk_bytes.to_le_bytes());
        seal(&mut header);
        header
    }

    /// The footer.
    pub fn footer(&self) -> [u8; FOOTER_BYTES] {
        let mut footer = [0; FOOTER_BYTES];
        footer[..8].copy_from_slice(&FOOTER_MAGIC);
        let fields = [
            self.index_offset,
            self.index_bytes,
            self.index_checksum,
            self.entry_count,
            self.chunk_count,
        ];
        for (place, field) in footer[8..48].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        seal(&mut footer);
        footer
    }

    /// Checks header and footer of a file of `archive_bytes` bytes.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(
        header: &[u8; HEADER_BYTES],
        footer: &[u8; FOOTER_BYTES],
        archive_bytes: u64,
    ) -> Result<Layout> {
        let mut fields = Fields(header);
        if fields.take() != MAGIC {
            return Err("this is not a .dspk archive (its first bytes are others)".into());
        }
        let version = fields.u32();
        if version != VERSION {
            let why = format!("it is of version {version}, and only version {VERSION} is known");
            return Err(FormatError(why));
        }
        let chunk_bytes = fields.u32();
        let unused_is_zero = header[16..SELF_CHECKSUM_AT].iter().all(|&byte| byte == 0);
        if !is_sealed(header) || !unused_is_zero || !is_chunk_bytes(chunk_bytes) {
            return Err("the header is damaged".into());
        }
        if footer[..8] != FOOTER_MAGIC {
            return Err("the end is missing: the file is truncated or was not finished".into());
        }
        let mut fields = Fields(&footer[8..]);
        let layout = Layout {
            chunk_bytes,
            index_offset: fields.u64(),
            index_bytes: fields.u64(),
            index_checksum: fields.u64(),
            entry_count: fields.u64(),
            chunk_count: fields.u64(),
        };
        if !is_sealed(footer) || footer[48..SELF_CHECKSUM_AT].iter().any(|&byte| byte != 0) {
            return Err("the footer is damaged".into());
        }
        layout.check(archive_bytes)?;
        Ok(layout)
    }

    /// Whether such an index can be in a file of this size.
    fn check(&self, archive_bytes: u64) -> Result<()> {
        let index_end = self.index_offset.checked_add(self.index_bytes);
        let footer_start = archive_bytes.checked_sub(FOOTER_BYTES as u64);
        if index_end.is_none() || index_end != footer_start {
            return Err("the footer's index does not end where the footer begins".into());
        }
        if self.index_offset < HEADER_BYTES as u64 {
            return Err("the index overlaps the header".into());
        }
        if self.index_bytes > INDEX_BYTES_MAX {
            return Err("the index is larger than 1 GiB".into());
        }
        let records = self
            .entry_count
            .checked_mul(ENTRY_BYTES as u64)
            .zip(self.chunk_count.checked_mul(CHUNK_RECORD_BYTES as u64))
            .and_then(|(entries, chunks)| entries.checked_add(chunks));
        if records.is_none_or(|bytes| bytes > self.index_bytes) {
            return Err("the index is too small for its entries and chunks".into());
        }
        Ok(())
    }
}

fn seal(block: &mut [u8; 64]) {
    let sum = checksum(&block[..SELF_CHECKSUM_AT]);
    block[SELF_CHECKSUM_AT..].copy_from_slice(&sum.to_le_bytes());
}

fn is_sealed(block: &[u8; 64]) -> bool {
    block[SELF_CHECKSUM_AT..] == checksum(&block[..SELF_CHECKSUM_AT]).to_le_bytes()
}

/// What an entry is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its size.
        bytes: u64,
        /// Its chunks, as a range of [`Index::chunks`].
        chunks: std::ops::Range<usize>,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link {
        /// Where it points, as the kernel would read it.
        target: Box<[u8]>,
    },
}

/// A file, folder or symbolic link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The path below the archive's root, `/` between components. Any bytes but NUL.
    pub path: Box<[u8]>,
    /// Permission bits, 0 to 0o777.
    pub mode: u32,
    /// Last modification: seconds since 1970.
    pub modified_s: i64,
    /// And nanoseconds.
    pub modified_ns: u32,
    /// What it is.
    pub kind: Kind,
}

/// How a chunk is stored; the numbers are DirectStorage's compression formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// As it is, because compression made it no smaller.
    Stored = 0,
    /// A GDeflate tile stream.
    GDeflate = 1,
}

/// A piece of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Where it begins in the archive.
    pub offset: u64,
    /// Bytes there.
    pub stored_bytes: u32,
    /// Bytes after decompression.
    pub bytes: u32,
    /// How it is stored.
    pub method: Method,
    /// Checksum after decompression.
    pub checksum: u64,
}

/// Everything an archive lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Index {
    /// Folders before what is in them.
    pub entries: Vec<Entry>,
    /// In the order of the files, and of the archive.
    pub chunks: Vec<Chunk>,
}

impl Index {
    /// The index as it stands in the archive.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for entry in &self.entries {
            write_entry(&mut out, entry);
        }
        for chunk in &self.chunks {
            out.extend(chunk.offset.to_le_bytes());
            out.extend(chunk.stored_bytes.to_le_bytes());
            out.extend((chunk.method as u32).to_le_bytes());
            out.extend(chunk.checksum.to_le_bytes());
        }
        out
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum()
    }

    /// Bytes of all chunks in the archive, without gaps.
    pub fn stored_bytes(&self) -> u64 {
        let stored = self
            .chunks
            .iter()
            .map(|chunk| u64::from(chunk.stored_bytes));
        stored.sum()
    }
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    let (kind, bytes, target): (u8, u64, &[u8]) = match &entry.kind {
        Kind::File { bytes, .. } => (0, *bytes, &[]),
        Kind::Folder => (1, 0, &[]),
        Kind::Link { target } => (2, 0, target),
    };
    assert!(
        entry.path.len() <= PATH_BYTES_MAX && target.len() <= PATH_BYTES_MAX,
        "paths are checked when they are listed"
    );
    out.extend([kind, 0]);
    out.extend((entry.path.len() as u16).to_le_bytes());
    out.extend((target.len() as u16).to_le_bytes());
    out.extend((entry.mode as u16).to_le_bytes());
    out.extend(entry.modified_ns.to_le_bytes());
    out.extend([0; 4]);
    out.extend(entry.modified_s.to_le_bytes());
    out.extend(bytes.to_le_bytes());
    out.extend(&*entry.path);
    out.extend(target);
}

/// Checks an index: `bytes` is what stands in the file where `layout` says.
///
/// # Errors
/// What is wrong, in words that name the entry.
pub fn parse_index(bytes: &[u8], layout: &Layout) -> Result<Index> {
    if bytes.len() as u64 != layout.index_bytes {
        return Err("the index is truncated".into());
    }
    // Again, for callers that made the layout themselves.
    let archive_bytes = layout.index_offset.checked_add(layout.index_bytes);
    layout.check(
        archive_bytes
            .and_then(|end| end.checked_add(64))
            .unwrap_or(0),
    )?;
    // The layout's check has compared both counts with the index's real size.
    let chunk_table_bytes = layout.chunk_count as usize * CHUNK_RECORD_BYTES;
    let (entry_records, chunk_records) = bytes.split_at(bytes.len() - chunk_table_bytes);

    let mut rest = entry_records;
    let mut entries = Vec::with_capacity(layout.entry_count as usize);
    let mut files = FileChunks::new(layout, chunk_records);
    for number in 0..layout.entry_count {
        let entry = parse_entry(&mut rest, number, &mut files)?;
        entries.push(entry);
    }
    if !rest.is_empty() || !files.records.0.is_empty() {
        return Err("the index holds more than its entries need".into());
    }
    check_tree(&entries)?;
    Ok(Index {
        entries,
        chunks: files.chunks,
    })
}

fn parse_entry(rest: &mut &[u8], number: u64, files: &mut FileChunks<'_>) -> Result<Entry> {
    let truncated = || FormatError::entry(number, "its record is cut off");
    let (record, names) = rest
        .split_first_chunk::<ENTRY_BYTES>()
        .ok_or_else(truncated)?;
    let mut fields = Fields(record);
    let [kind, reserved] = fields.take();
    let (path_len, target_len) = (usize::from(fields.u16()), usize::from(fields.u16()));
    let (mode, modified_ns, reserved_word) = (u32::from(fields.u16()), fields.u32(), fields.u32());
    let (modified_s, bytes) = (fields.u64().cast_signed(), fields.u64());
    let (path, names) = names.split_at_checked(path_len).ok_or_else(truncated)?;
    let (target, names) = names.split_at_checked(target_len).ok_or_else(truncated)?;
    *rest = names;

    check_path(path).map_err(|why| FormatError::of(path, why))?;
    if reserved != 0 || reserved_word != 0 || mode > 0o777 || modified_ns >= 1_000_000_000 {
        return Err(FormatError::of(
            path,
            "mode, time or a reserved field makes no sense",
        ));
    }
    let kind = match kind {
        0 if target.is_empty() => Kind::File {
            bytes,
            chunks: files.take(path, bytes)?,
        },
        1 if target.is_empty() && bytes == 0 => Kind::Folder,
        2 if bytes == 0 => {
            check_target(target).map_err(|why| FormatError::of(path, why))?;
            Kind::Link {
                target: target.into(),
            }
        }
        0..=2 => {
            return Err(FormatError::of(
                path,
                "it has fields that its kind does not have",
            ));
        }
        _ => return Err(FormatError::of(path, "its kind is unknown")),
    };
    Ok(Entry {
        path: path.into(),
        mode,
        modified_s,
        modified_ns,
        kind,
    })
}

/// Hands out the chunk records file by file.
struct FileChunks<'a> {
    records: Fields<'a>,
    chunks: Vec<Chunk>,
    chunk_bytes: u64,
    /// Where the next chunk may begin.
    free: u64,
    index_offset: u64,
}

impl<'a> FileChunks<'a> {
    fn new(layout: &Layout, records: &'a [u8]) -> FileChunks<'a> {
        FileChunks {
            records: Fields(records),
            chunks: Vec::with_capacity(layout.chunk_count as usize),
            chunk_bytes: u64::from(layout.chunk_bytes.max(1)),
            free: HEADER_BYTES as u64,
            index_offset: layout.index_offset,
        }
    }

    fn take(&mut self, path: &[u8], bytes: u64) -> Result<std::ops::Range<usize>> {
        let wanted = bytes.div_ceil(self.chunk_bytes);
        if wanted > (self.records.0.len() / CHUNK_RECORD_BYTES) as u64 {
            return Err(FormatError::of(path, "it is larger than its chunks"));
        }
        let first = self.chunks.len();
        for number in 0..wanted {
            let chunk_bytes = self.chunk_bytes.min(bytes - number * self.chunk_bytes) as u32;
            let chunk = self.next(chunk_bytes);
            self.chunks
                .push(chunk.map_err(|why| FormatError::of(path, why))?);
        }
        Ok(first..self.chunks.len())
    }

    fn next(&mut self, bytes: u32) -> std::result::Result<Chunk, &'static str> {
        let (offset, stored_bytes) = (self.records.u64(), self.records.u32());
        let (method, checksum) = (self.records.u32(), self.records.u64());
        let method = match method {
            0 if stored_bytes == bytes => Method::Stored,
            1 if (1..bytes).contains(&stored_bytes) => Method::GDeflate,
            0 | 1 => return Err("a chunk's stored size makes no sense"),
            _ => return Err("a chunk's compression method is unknown"),
        };
        if !offset.is_multiple_of(CHUNK_ALIGN) {
            return Err("a chunk is not aligned");
        }
        let end = offset.checked_add(u64::from(stored_bytes));
        let Some(end) = end.filter(|&end| offset >= self.free && end <= self.index_offset) else {
            return Err("a chunk lies outside the data, or overlaps another");
        };
        self.free = end;
        Ok(Chunk {
            offset,
            stored_bytes,
            bytes,
            method,
            checksum,
        })
    }
}

/// Why a path cannot be unpacked, if so.
///
/// # Errors
/// The reason, in words.
pub fn check_path(path: &[u8]) -> std::result::Result<(), &'static str> {
    if path.is_empty() {
        return Err("the path is empty");
    }
    if path.len() > PATH_BYTES_MAX {
        return Err("the path is longer than 4095 bytes");
    }
    if path.contains(&0) {
        return Err("the path contains a NUL byte");
    }
    if path[0] == b'/' {
        return Err("the path is absolute");
    }
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" => return Err("the path has an empty component"),
            b"." | b".." => return Err("the path contains `.` or `..`"),
            name if name.len() > NAME_BYTES_MAX => {
                return Err("the path has a component of more than 255 bytes");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Why no symbolic link can have this target, if so.
///
/// # Errors
/// The reason, in words.
pub fn check_target(target: &[u8]) -> std::result::Result<(), &'static str> {
    if target.is_empty() || target.len() > PATH_BYTES_MAX || target.contains(&0) {
        return Err("the link's target is empty, too long, or contains a NUL byte");
    }
    Ok(())
}

/// Whether a link at `path` can lead out of the folder it is unpacked into.
///
/// Exact, not a guess: leading `..` climb real folders, since parents of entries are never links; after the
/// first name there may be other links, each of which stays inside by the same rule, but no more `..`, which
/// would climb from wherever such a link led.
pub fn link_leads_outside(path: &[u8], target: &[u8]) -> bool {
    if target.first() == Some(&b'/') {
        return true;
    }
    let mut depth = path.iter().filter(|&&byte| byte == b'/').count();
    let mut descended = false;
    for name in target.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if descended || depth == 0 => return true,
            b".." => depth -= 1,
            _ => descended = true,
        }
    }
    false
}

/// Each path once, each in a folder listed before it (or in the root).
fn check_tree(entries: &[Entry]) -> Result<()> {
    let mut seen: HashMap<&[u8], bool> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let path = &*entry.path;
        if let Some(slash) = path.iter().rposition(|&byte| byte == b'/')
            && seen.get(&path[..slash]) != Some(&true)
        {
            return Err(FormatError::of(
                path,
                "its folder is not listed before it, or is not a folder",
            ));
        }
        if seen.insert(path, entry.kind == Kind::Folder).is_some() {
            return Err(FormatError::of(path, "it is listed twice"));
        }
    }
    Ok(())
}

/// Takes little-endian fields from bytes whose length was checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .expect("the caller checked the length");
        self.0 = rest;
        *field
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8], kind: Kind) -> Entry {
        Entry {
            path: path.into(),
            mode: 0o644,
            modified_s: -5,
            modified_ns: 7,
            kind,
        }
    }

    fn file(path: &[u8], bytes: u64, chunks: std::ops::Range<usize>) -> Entry {
        entry(path, Kind::File { bytes, chunks })
    }

    fn chunk(offset: u64, stored_bytes: u32, bytes: u32) -> Chunk {
        let method = if stored_bytes == bytes {
            Method::Stored
        } else {
            Method::GDeflate
        };
        Chunk {
            offset,
            stored_bytes,
            bytes,
            method,
            checksum: 9,
        }
    }

    fn sample() -> Index {
        Index {
            entries: vec![
                entry(b"d", Kind::Folder),
                file(b"d/a", 65_536 + 10, 0..2),
                entry(
                    b"d/l",
                    Kind::Link {
                        target: (*b"../x").into(),
                    },
                ),
                file(b"e\xff", 0, 2..2),
            ],
            chunks: vec![chunk(64, 300, 65_536), chunk(384, 10, 10)],
        }
    }

    fn parse(index: &Index) -> Result<Index> {
        let bytes = index.to_bytes();
        let layout = Layout {
            chunk_bytes: 65_536,
            index_offset: 448,
            index_bytes: bytes.len() as u64,
            index_checksum: 0,
            entry_count: index.entries.len() as u64,
            chunk_count: index.chunks.len() as u64,
        };
        parse_index(&bytes, &layout)
    }

    #[test]
    fn what_is_written_parses_back() {
        let index = sample();
        assert_eq!(parse(&index).unwrap(), index);
        assert_eq!(parse(&Index::default()).unwrap(), Index::default());
        let layout = Layout {
            chunk_bytes: 65_536,
            index_offset: 448,
            index_bytes: 300,
            index_checksum: 3,
            entry_count: 4,
            chunk_count: 2,
        };
        let parsed = Layout::parse(&Layout::header(65_536), &layout.footer(), 448 + 300 + 64);
        assert_eq!(parsed.unwrap(), layout);
    }

    #[test]
    fn every_flipped_byte_of_header_and_footer_is_noticed() {
        let layout = Layout {
            chunk_bytes: CHUNK_BYTES_DEFAULT,
            index_offset: 64,
            index_bytes: 0,
            index_checksum: 0,
            entry_count: 0,
            chunk_count: 0,
        };
        let (header, footer) = (Layout::header(CHUNK_BYTES_DEFAULT), layout.footer());
        Layout::parse(&header, &footer, 128).unwrap();
        for byte in 0..64 {
            let (mut h, mut f) = (header, footer);
            h[byte] ^= 1;
            f[byte] ^= 1;
            assert!(
                Layout::parse(&h, &footer, 128).is_err(),
                "header byte {byte}"
            );
            assert!(
                Layout::parse(&header, &f, 128).is_err(),
                "footer byte {byte}"
            );
        }
    }

    #[test]
    fn hostile_entries_are_named() {
        let bad_path = |path: &[u8]| {
            let mut index = sample();
            index.entries[3].path = path.into();
            parse(&index).unwrap_err().to_string()
        };
        for (path, why) in [
            (&b"../up"[..], "`..`"),
            (b"/etc/passwd", "absolute"),
            (b"d//a", "empty component"),
            (b"d/", "empty component"),
            (b"", "empty"),
            (b"d/./x", "`.`"),
            (b"a\0b", "NUL"),
            (b"d/a", "twice"),
            (b"d/l/through-a-link", "not a folder"),
            (b"d/a/through-a-file", "not a folder"),
            (b"nowhere/x", "not listed"),
        ] {
            let error = bad_path(path);
            assert!(error.contains(why), "{path:?}: {error}");
        }
        assert!(bad_path(&[b'x'; 256]).contains("255"));
    }

    #[test]
    fn hostile_chunks_are_refused() {
        let with = |change: fn(&mut Index)| {
            let mut index = sample();
            change(&mut index);
            parse(&index)
        };
        assert!(
            with(|index| index.chunks[1].offset = 0).is_err(),
            "in the header"
        );
        assert!(
            with(|index| index.chunks[1].offset = 320).is_err(),
            "overlap"
        );
        assert!(
            with(|index| index.chunks[1].offset = 448).is_err(),
            "in the index"
        );
        assert!(
            with(|index| index.chunks[1].offset = u64::MAX - 63).is_err(),
            "overflow"
        );
        assert!(
            with(|index| index.chunks[1].offset += 1).is_err(),
            "alignment"
        );
        assert!(
            with(|index| index.chunks[0].stored_bytes = 65_536).is_err(),
            "too large"
        );
        assert!(
            with(|index| index.chunks[0].stored_bytes = 0).is_err(),
            "empty"
        );
        assert!(with(|index| index.chunks.truncate(1)).is_err(), "too few");
        assert!(
            with(|index| index.chunks.push(chunk(448, 0, 0))).is_err(),
            "too many"
        );
        let huge = |index: &mut Index| index.entries[1] = file(b"d/a", u64::MAX, 0..2);
        assert!(with(huge).is_err(), "a size beyond all chunks");
    }

    #[test]
    fn every_truncation_of_an_index_is_an_error() {
        let index = sample();
        let bytes = index.to_bytes();
        for kept in 0..bytes.len() {
            let layout = Layout {
                chunk_bytes: 65_536,
                index_offset: 448,
                index_bytes: kept as u64,
                index_checksum: 0,
                entry_count: index.entries.len() as u64,
                chunk_count: index.chunks.len() as u64,
            };
            assert!(parse_index(&bytes[..kept], &layout).is_err());
        }
    }

    #[test]
    fn damaged_indexes_are_errors_or_still_safe() {
        let bytes = sample().to_bytes();
        let layout = Layout {
            chunk_bytes: 65_536,
            index_offset: 448,
            index_bytes: bytes.len() as u64,
            index_checksum: 0,
            entry_count: 4,
            chunk_count: 2,
        };
        let (mut state, mut parsed) = (1u64, 0);
        for _ in 0..50_000 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + state % 3 {
                state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                let at = (state >> 33) as usize % damaged.len();
                damaged[at] = (state >> 25) as u8;
            }
            let Ok(index) = parse_index(&damaged, &layout) else {
                continue;
            };
            parsed += 1;
            assert!(
                index
                    .entries
                    .iter()
                    .all(|entry| check_path(&entry.path).is_ok())
            );
            let ends = index
                .chunks
                .iter()
                .map(|chunk| chunk.offset + u64::from(chunk.stored_bytes));
            assert!(ends.clone().is_sorted() && ends.max() <= Some(448));
        }
        assert!((1..50_000).contains(&parsed), "{parsed} of 50,000 parsed");
    }

    #[test]
    fn links_that_lead_outside_are_recognised() {
        for (path, target, outside) in [
            (&b"l"[..], &b"/etc"[..], true),
            (b"l", b"..", true),
            (b"l", b"a/b", false),
            (b"a/b/l", b"../../x", false),
            (b"a/b/l", b"../../../x", true),
            (b"a/l", b"./../b", false),
            (b"a/l", b"s/../../..", true),
            (b"a/b/l", b"s/..", true),
            (b"l", b".", false),
        ] {
            assert_eq!(
                link_leads_outside(path, target),
                outside,
                "{path:?} -> {target:?}"
            );
        }
    }
}
