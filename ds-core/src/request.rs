//! What a program asks for: `Request`, `Source`, `Destination`, `Compression`, and which
//! combinations are valid.
//!
//! Validation never refuses a request at the door: DirectStorage's enqueue returns nothing, so an
//! invalid request is accepted with its error attached, and fails when its turn comes, like any
//! other failure.

#![forbid(unsafe_code)]

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::copies::ForeignDestination;
use crate::error::Error;
use crate::file::File;
use crate::gpu::{GpuDestination, GpuDevice};
use crate::handle::Handle;
use crate::memory::{MemoryDestination, MemorySource};
use crate::open_file::OpenFile;

/// How a request's source is compressed: DirectStorage's format numbers. Not at all by default.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Compression(pub u8);

impl Compression {
    /// Not compressed.
    pub const NONE: Compression = Compression(0);
    /// A GDeflate tile stream.
    pub const GDEFLATE: Compression = Compression(1);
    /// The first of the formats 0x80 to 0xFF, whose meaning is the application's.
    pub const CUSTOM_0: Compression = Compression(0x80);

    /// Whether the application decompresses this format.
    pub fn is_custom(self) -> bool {
        self.0 >= Compression::CUSTOM_0.0
    }
}

/// A name for debugging: at most 63 bytes are kept, inside the request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; Name::BYTES_MAX],
    len: u8,
}

impl Name {
    /// How many bytes are kept; one less than DirectStorage's 64, which count a terminating NUL.
    pub const BYTES_MAX: usize = 63;

    /// Keeps as many whole characters of `name` as fit in [`Name::BYTES_MAX`] bytes.
    pub fn new(name: &str) -> Name {
        Name::from_bytes(name.as_bytes())
    }

    /// The same of bytes that may be in any encoding; cut between characters if they are UTF-8.
    pub fn from_bytes(name: &[u8]) -> Name {
        let kept = &name[..name.len().min(Name::BYTES_MAX)];
        match std::str::from_utf8(kept) {
            // Cut inside a character: leave out its first half.
            Err(error) if error.error_len().is_none() => {
                Name::from_whole(&kept[..error.valid_up_to()])
            }
            _ => Name::from_whole(kept),
        }
    }

    fn from_whole(name: &[u8]) -> Name {
        let mut bytes = [0; Name::BYTES_MAX];
        bytes[..name.len()].copy_from_slice(name);
        Name {
            bytes,
            len: name.len() as u8,
        }
    }

    /// The kept bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// Which kind of source a queue serves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceType {
    /// Requests read files.
    File,
    /// Requests read memory.
    Memory,
}

/// Where a request's bytes come from.
#[derive(Debug)]
pub enum Source {
    /// `bytes` bytes of a file, from `offset`. `None` is a foreign caller's NULL and fails as
    /// [`Error::InvalidFileHandle`].
    File {
        /// The file.
        file: Option<File>,
        /// From where, in bytes.
        offset: u64,
        /// How many bytes; compressed bytes, if compressed.
        bytes: u32,
    },
    /// Memory.
    Memory(MemorySource),
    /// Bytes of a GPU buffer, on a queue of memory sources with that buffer's device; the destination must
    /// be a file.
    Gpu(GpuDestination),
}

/// Where a request's bytes go.
#[derive(Debug)]
pub enum Destination {
    /// Memory.
    Memory(MemoryDestination),
    /// A file opened for writing; the source must be memory or a GPU buffer, not compressed.
    File {
        /// The file; `None` fails as [`Error::InvalidFileHandle`].
        file: Option<File>,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        bytes: u32,
    },
    /// Part of a GPU resource; the queue must have that resource's device
    /// ([`crate::QueueDesc::device`]).
    Gpu(GpuDestination),
    /// A place that only the host can reach ([`crate::ForeignCopies::destination`]).
    Foreign(ForeignDestination),
    /// A kind that this queue cannot serve, by DirectStorage's number; fails as
    /// [`Error::InvalidDestinationType`].
    Other(u8),
}

/// One transfer: from a source, through decompression, to a destination.
#[derive(Debug)]
pub struct Request {
    /// Where the bytes come from.
    pub source: Source,
    /// Where they go.
    pub destination: Destination,
    /// How the source is compressed.
    pub compression: Compression,
    /// The size after decompression. Without compression: 0, or the size itself.
    pub uncompressed_bytes: u32,
    /// For [`crate::Queue::cancel_requests_with_tag`].
    pub cancellation_tag: u64,
    /// For error records and logs.
    pub name: Option<Name>,
}

impl Request {
    /// Reads `bytes` bytes of `file` from `offset`, uncompressed.
    pub fn read(
        file: &File,
        offset: u64,
        bytes: u32,
        destination: impl Into<MemoryDestination>,
    ) -> Request {
        let source = Source::File {
            file: Some(file.clone()),
            offset,
            bytes,
        };
        Request::new(source, Destination::Memory(destination.into()))
    }

    /// Copies memory, uncompressed.
    pub fn copy(
        source: impl Into<MemorySource>,
        destination: impl Into<MemoryDestination>,
    ) -> Request {
        Request::new(
            Source::Memory(source.into()),
            Destination::Memory(destination.into()),
        )
    }

    /// Writes memory to `file` at `offset`.
    pub fn write(source: impl Into<MemorySource>, file: &File, offset: u64) -> Request {
        let source = source.into();
        let bytes = u32::try_from(source.span().bytes()).unwrap_or(u32::MAX);
        Request::new(
            Source::Memory(source),
            Destination::File {
                file: Some(file.clone()),
                offset,
                bytes,
            },
        )
    }

    /// An uncompressed, unnamed request with tag 0.
    pub fn new(source: Source, destination: Destination) -> Request {
        Request {
            source,
            destination,
            compression: Compression::NONE,
            uncompressed_bytes: 0,
            cancellation_tag: 0,
            name: None,
        }
    }

    /// The same request with a compressed source.
    #[must_use]
    pub fn compressed(self, compression: Compression, uncompressed_bytes: u32) -> Request {
        Request {
            compression,
            uncompressed_bytes,
            ..self
        }
    }

    /// The same request with a cancellation tag.
    #[must_use]
    pub fn tagged(self, cancellation_tag: u64) -> Request {
        Request {
            cancellation_tag,
            ..self
        }
    }

    /// The same request with a name.
    #[must_use]
    pub fn named(self, name: &str) -> Request {
        Request {
            name: Some(Name::new(name)),
            ..self
        }
    }

    /// Whether it reads a stream from a file that the engine decodes by itself.
    pub(crate) fn reads_stream(&self) -> bool {
        let from_file = matches!(self.source, Source::File { .. });
        from_file && self.compression != Compression::NONE && !self.compression.is_custom()
    }

    /// The source's size in bytes.
    pub fn source_bytes(&self) -> usize {
        match &self.source {
            Source::File { bytes, .. } => *bytes as usize,
            Source::Memory(memory) => memory.span().bytes(),
            Source::Gpu(source) => source.bytes(),
        }
    }

    /// The destination's size in bytes.
    pub fn destination_bytes(&self) -> usize {
        match &self.destination {
            Destination::Memory(memory) => memory.span().bytes(),
            Destination::File { bytes, .. } => *bytes as usize,
            Destination::Gpu(destination) => destination.bytes(),
            Destination::Foreign(destination) => destination.bytes(),
            Destination::Other(_) => 0,
        }
    }

    /// Takes the request's files away, and answers what nobody else has open: that is for the caller to
    /// close. A request that was refused may have named two.
    pub(crate) fn take_last_files(&mut self) -> [Option<Arc<OpenFile>>; 2] {
        let source = match &mut self.source {
            Source::File { file, .. } => file.take(),
            _ => None,
        };
        let destination = match &mut self.destination {
            Destination::File { file, .. } => file.take(),
            _ => None,
        };
        [source, destination].map(|file| file.and_then(File::into_last))
    }

    /// What a person or an error record wants to know of this request.
    pub fn info(&self) -> RequestInfo {
        RequestInfo {
            source: match &self.source {
                Source::File {
                    file,
                    offset,
                    bytes,
                } => PlaceInfo::file(file.as_ref(), *offset, *bytes),
                Source::Memory(memory) => PlaceInfo::memory(memory.span()),
                Source::Gpu(source) => PlaceInfo::Gpu(source.info()),
            },
            destination: match &self.destination {
                Destination::Memory(memory) => PlaceInfo::memory(memory.span()),
                Destination::File {
                    file,
                    offset,
                    bytes,
                } => PlaceInfo::file(file.as_ref(), *offset, *bytes),
                Destination::Gpu(destination) => PlaceInfo::Gpu(destination.info()),
                Destination::Foreign(destination) => PlaceInfo::Foreign(destination.info()),
                Destination::Other(kind) => PlaceInfo::Other(*kind),
            },
            compression: self.compression,
            uncompressed_bytes: self.uncompressed_bytes,
            cancellation_tag: self.cancellation_tag,
            name: self.name,
        }
    }
}

/// What validation needs to know of the queue and the runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    pub(crate) source_type: SourceType,
    /// The device whose resources the queue can reach.
    pub(crate) device: Option<&'a GpuDevice>,
    /// Whether there is a host that copies.
    pub(crate) host_copies: bool,
    pub(crate) staging_bytes: usize,
    /// Refuse everything above the staging size, as Microsoft's runtime does, even what needs no
    /// staging.
    pub(crate) exact: bool,
}

/// The reason why `request` cannot be carried out on a queue with these limits and no device, if there is
/// one.
///
/// Codes: `spec/directstorage-observed.md`, O-40 to O-59.
pub fn validate(
    request: &Request,
    source_type: SourceType,
    staging_bytes: usize,
    exact: bool,
) -> Result<(), Error> {
    check(
        request,
        Limits {
            source_type,
            device: None,
            host_copies: false,
            staging_bytes,
            exact,
        },
    )
}

pub(crate) fn check(request: &Request, limits: Limits<'_>) -> Result<(), Error> {
    check_source(request, limits)?;
    check_destination(request, limits)?;
    check_sizes(request)?;
    check_overlap(request)?;
    check_limits(request, limits)
}

fn check_source(request: &Request, limits: Limits<'_>) -> Result<(), Error> {
    match (&request.source, limits.source_type) {
        (Source::File { file: None, .. }, SourceType::File) => Err(Error::InvalidFileHandle),
        (
            Source::File {
                file: Some(_),
                offset,
                bytes,
            },
            SourceType::File,
        ) => {
            // O-46: the addition is checked; no file ends there.
            offset
                .checked_add(u64::from(*bytes))
                .map(drop)
                .ok_or(Error::EndOfFile)
        }
        (Source::Memory(memory), SourceType::Memory) => check_span(memory.span()),
        (Source::Gpu(source), SourceType::Memory) => match limits.device {
            Some(device) => source.check_source(device),
            None => Err(Error::InvalidSourceType),
        },
        _ => Err(Error::InvalidSourceType),
    }
}

fn check_destination(request: &Request, limits: Limits<'_>) -> Result<(), Error> {
    let to_file = matches!(request.destination, Destination::File { .. });
    if matches!(request.source, Source::Gpu(_)) && !to_file {
        return Err(Error::InvalidDestinationType);
    }
    match &request.destination {
        Destination::Memory(memory) => check_span(memory.span()),
        Destination::File { file: None, .. } => Err(Error::InvalidFileHandle),
        Destination::File {
            file: Some(file),
            offset,
            bytes,
        } => {
            if matches!(request.source, Source::File { .. })
                || request.compression != Compression::NONE
            {
                return Err(Error::InvalidDestinationType);
            }
            if !file.is_writable() {
                return Err(Error::InvalidFileHandle);
            }
            let end = offset
                .checked_add(u64::from(*bytes))
                .ok_or(Error::InvalidFileOffset)?;
            i64::try_from(end)
                .map(drop)
                .map_err(|_| Error::InvalidFileOffset)
        }
        Destination::Gpu(destination) => match limits.device {
            Some(device) => destination.check(device),
            None => Err(Error::InvalidDestinationType),
        },
        Destination::Foreign(destination) if limits.host_copies => destination.check(),
        Destination::Foreign(_) => Err(Error::InvalidDestinationType),
        Destination::Other(_) => Err(Error::InvalidDestinationType),
    }
}

fn check_span(span: crate::memory::Span) -> Result<(), Error> {
    // An empty range is never looked at, so its address does not matter.
    if span.bytes() > 0 && (span.is_null() || span.wraps()) {
        Err(Error::AccessViolation)
    } else {
        Ok(())
    }
}

fn check_sizes(request: &Request) -> Result<(), Error> {
    let (source, destination) = (request.source_bytes(), request.destination_bytes());
    let uncompressed = request.uncompressed_bytes as usize;
    if request.compression == Compression::NONE {
        if source != destination {
            return Err(Error::InvalidDestinationSize);
        }
        return if uncompressed == 0 || uncompressed == source {
            Ok(())
        } else {
            Err(Error::InvalidArgument)
        };
    }
    if request.compression != Compression::GDEFLATE && !request.compression.is_custom() {
        return Err(Error::UnsupportedFormat);
    }
    if source == 0 {
        return Err(Error::InvalidArgument);
    }
    // For a GPU a stream may hold more than is wanted (since DirectStorage 1.1).
    let fits = match request.destination {
        Destination::Gpu(_) | Destination::Foreign(_) => uncompressed >= destination,
        _ => uncompressed == destination,
    };
    if uncompressed == 0 || !fits {
        Err(Error::InvalidDestinationSize)
    } else {
        Ok(())
    }
}

/// Workers copy and decompress in pieces, in any order, so source and destination must be apart.
fn check_overlap(request: &Request) -> Result<(), Error> {
    let (Source::Memory(source), Destination::Memory(destination)) =
        (&request.source, &request.destination)
    else {
        return Ok(());
    };
    let (source, destination) = (source.span(), destination.span());
    let apart = source.address() + source.bytes() <= destination.address()
        || destination.address() + destination.bytes() <= source.address();
    if apart || source.bytes() == 0 || destination.bytes() == 0 {
        Ok(())
    } else {
        Err(Error::InvalidArgument)
    }
}

fn check_limits(request: &Request, limits: Limits<'_>) -> Result<(), Error> {
    let from_file = matches!(request.source, Source::File { .. });
    let compressed = request.compression != Compression::NONE;
    let largest = request
        .source_bytes()
        .max(request.destination_bytes())
        .max(request.uncompressed_bytes as usize);
    // Compressed file bytes pass through staging, and everything on its way to or from a GPU, also to one
    // that only the host can reach; the rest has no limit of ours (O-47, O-48, O-58).
    let staged = match (&request.source, &request.destination) {
        (Source::Gpu(_), _) | (_, Destination::Gpu(_) | Destination::Foreign(_)) => {
            largest > limits.staging_bytes
        }
        _ => from_file && compressed && request.source_bytes() > limits.staging_bytes,
    };
    let by_host = match &request.destination {
        Destination::Foreign(place) => place.bytes_decoded_by_host(),
        _ => 0,
    };
    let exact = limits.exact
        && (from_file || compressed || by_host > 0)
        && largest.max(by_host) > limits.staging_bytes;
    if staged || exact {
        Err(Error::RequestTooLarge)
    } else {
        Ok(())
    }
}

/// A file, as error records and logs name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileInfo {
    /// Which file object: the address of [`File::as_raw`], valid or not.
    pub raw: usize,
    /// The path as it was opened.
    pub path: Arc<Path>,
}

impl FileInfo {
    fn of(file: &File) -> FileInfo {
        FileInfo {
            raw: file.as_raw().addr(),
            path: file.shared_path(),
        }
    }
}

/// A source or destination, as error records and logs name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlaceInfo {
    /// Part of a file.
    File {
        /// Which file, if one was given.
        file: Option<FileInfo>,
        /// Offset in bytes.
        offset: u64,
        /// Size in bytes.
        bytes: u32,
    },
    /// Memory.
    Memory {
        /// Address of the first byte.
        address: usize,
        /// Size in bytes.
        bytes: usize,
    },
    /// Part of a GPU resource.
    Gpu(crate::gpu::GpuPlaceInfo),
    /// A place that only the host can reach.
    Foreign(crate::copies::ForeignPlaceInfo),
    /// A destination of a kind that was not understood.
    Other(u8),
}

impl PlaceInfo {
    fn file(file: Option<&File>, offset: u64, bytes: u32) -> PlaceInfo {
        PlaceInfo::File {
            file: file.map(FileInfo::of),
            offset,
            bytes,
        }
    }

    fn memory(span: crate::memory::Span) -> PlaceInfo {
        PlaceInfo::Memory {
            address: span.address(),
            bytes: span.bytes(),
        }
    }
}

/// A copy of a request's parameters, for error records, reports and logs. Holds neither memory nor
/// files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestInfo {
    /// Source.
    pub source: PlaceInfo,
    /// Destination.
    pub destination: PlaceInfo,
    /// Compression format.
    pub compression: Compression,
    /// Size after decompression, as given.
    pub uncompressed_bytes: u32,
    /// Cancellation tag.
    pub cancellation_tag: u64,
    /// Name, if any.
    pub name: Option<Name>,
}

impl RequestInfo {
    /// The file that the request reads or writes.
    pub fn file(&self) -> Option<&FileInfo> {
        match (&self.source, &self.destination) {
            (
                PlaceInfo::File {
                    file: Some(file), ..
                },
                _,
            )
            | (
                _,
                PlaceInfo::File {
                    file: Some(file), ..
                },
            ) => Some(file),
            _ => None,
        }
    }
}

impl fmt::Display for PlaceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlaceInfo::File {
                file: Some(file),
                offset,
                bytes,
            } => {
                write!(f, "{} bytes at {offset} of {}", bytes, file.path.display())
            }
            PlaceInfo::File {
                file: None,
                offset,
                bytes,
            } => write!(f, "{bytes} bytes at {offset} of no file"),
            PlaceInfo::Memory { address, bytes } => {
                write!(f, "{bytes} bytes of memory at {address:#x}")
            }
            PlaceInfo::Gpu(place) => place.fmt(f),
            PlaceInfo::Foreign(place) => place.fmt(f),
            PlaceInfo::Other(kind) => write!(f, "destination type {kind}"),
        }
    }
}

impl fmt::Display for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "request {:?}, ", name.to_string())?;
        }
        write!(f, "{} to {}", self.source, self.destination)?;
        if self.compression != Compression::NONE {
            write!(
                f,
                ", format {}, {} bytes uncompressed",
                self.compression.0, self.uncompressed_bytes
            )?;
        }
        write!(f, ", tag {:#x}", self.cancellation_tag)
    }
}

/// The sizes that a refused request named, where they are what is wrong with it.
pub(crate) fn explain(request: &Request, error: Error, limits: Limits<'_>) -> Option<String> {
    let sizes = format!(
        "source {} bytes, destination {}, uncompressed {}",
        request.source_bytes(),
        request.destination_bytes(),
        request.uncompressed_bytes
    );
    match error {
        Error::InvalidDestinationSize => Some(sizes),
        Error::InvalidArgument if check_overlap(request).is_err() => {
            Some("source and destination overlap".to_owned())
        }
        Error::InvalidArgument => Some(match (&request.destination, limits.device) {
            (Destination::Gpu(destination), Some(device)) => {
                destination.complaint(device).unwrap_or(sizes)
            }
            _ => sizes,
        }),
        Error::RequestTooLarge => Some(format!(
            "{sizes}, staging {} bytes (option staging_mib)",
            limits.staging_bytes
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(Name::new("short").as_bytes(), b"short");
        assert_eq!(
            Name::new(&"é".repeat(40)).as_bytes(),
            "é".repeat(31).as_bytes()
        );
        assert_eq!(
            Name::from_bytes(&[0xFF; 70]).as_bytes(),
            [0xFF; 63],
            "not UTF-8: as it is"
        );
        assert_eq!(Name::new(&"x".repeat(63)).as_bytes().len(), 63);
    }
}
