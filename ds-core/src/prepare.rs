//! What is to be done first for a valid request, and the memory it needs for that.
//!
//! Knows which way a request takes: straight into its memory, through the runtime's staging, or
//! through a device's. Everything that a request will need is taken at once, from one pool, so that
//! no two requests can wait for what the other has.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::{Error, Fault, Subsystem};
use crate::file::{File, Opened};
use crate::gpu::GpuDestination;
use crate::hold::{Bounce, BounceTo, Hold, OfPool, Upload};
use crate::io::Direction;
use crate::memory::Span;
use crate::queue::{Outcome, QueueCore};
use crate::request::{Compression, Destination, Request, Source};
use crate::staging::{Answer, Range};
use crate::state::{PoolKind, Work};
use crate::sys::PAGE_BYTES;

/// Why there is no work.
pub(crate) enum NotNow {
    /// The pool has no room now, and the queue stands in its line.
    NoStaging(PoolKind),
    /// The request ends here.
    Finish(Outcome),
}

type Prepared = Result<Work, NotNow>;

/// A direct read may put bytes before the payload, as many as the file's offset is past a sector. The
/// GPU takes payloads of this alignment, so others are read where they begin.
const UPLOAD_ALIGNMENT: u64 = 16;
/// The same of a host's pools: what D3D12 wants of the place of a texture.
const FOREIGN_ALIGNMENT: u64 = 512;

#[track_caller]
fn fail(error: Error, operation: &'static str) -> NotNow {
    NotNow::Finish(Err(Fault::new(error, Subsystem::Io, operation)))
}

/// The end of the file says where that is.
#[track_caller]
fn fail_read(error: Error, file: &File) -> NotNow {
    let fault = Fault::new(error, Subsystem::Io, "read");
    NotNow::Finish(Err(match file.bytes() {
        Ok(bytes) if error == Error::EndOfFile => {
            fault.with_detail(format!("the file has {bytes} bytes"))
        }
        _ => fault,
    }))
}

impl Work {
    /// What it has of the engine's memory.
    pub(crate) fn into_hold(self) -> Hold {
        match self {
            Work::Transfer { .. } => Hold::Nothing,
            Work::ReadStaged { hold, .. }
            | Work::Decompress { hold, .. }
            | Work::Copy { hold, .. }
            | Work::HandOver(hold) => hold,
        }
    }

    /// The pool that the work has memory of.
    pub(crate) fn pool(&self) -> Option<PoolKind> {
        match self {
            Work::Transfer { .. } => None,
            Work::ReadStaged { hold, .. }
            | Work::Decompress { hold, .. }
            | Work::Copy { hold, .. }
            | Work::HandOver(hold) => match hold {
                Hold::Nothing => None,
                Hold::Bounce(bounce) if bounce.range.is_none() => None,
                Hold::Bounce(bounce) if bounce.pool.is_some() => Some(PoolKind::Foreign),
                Hold::Staging(_) | Hold::Bounce(_) => Some(PoolKind::Host),
                Hold::Upload(_) | Hold::Download(_) => Some(PoolKind::Device),
            },
        }
    }
}

/// The work of `request`, behind which `waiting` more could start. `foreign`: its destination is memory
/// that only the host's threads can write.
pub(crate) fn prepare(
    request: &Request,
    foreign: bool,
    queue: &Arc<QueueCore>,
    waiting: usize,
) -> Prepared {
    if request.source_bytes() == 0 {
        return Err(NotNow::Finish(Ok(()))); // O-43
    }
    match (&request.source, &request.destination) {
        (_, Destination::Memory(memory)) if foreign => {
            prepare_bounce(request, BounceTo::Memory(memory.span()), queue)
        }
        (_, Destination::Foreign(destination)) => {
            prepare_bounce(request, BounceTo::Cookie(destination.cookie()), queue)
        }
        (Source::File { .. }, Destination::Memory(memory)) => {
            prepare_read(request, memory.span(), queue)
        }
        (
            Source::Memory(source),
            Destination::File {
                file: Some(file),
                offset,
                ..
            },
        ) => Ok(Work::Transfer {
            direction: Direction::Write,
            file: Arc::clone(&*file.opened().map_err(|error| fail(error, "write"))?),
            offset: *offset,
            span: source.span(),
        }),
        (Source::Memory(source), Destination::Memory(memory)) => {
            Ok(in_memory(request.compression, source.span(), memory.span()))
        }
        (
            Source::Gpu(source),
            Destination::File {
                file: Some(file),
                offset,
                ..
            },
        ) => prepare_download(source, file, *offset, queue),
        (_, Destination::Gpu(destination)) => prepare_upload(request, destination, queue, waiting),
        // Validation has refused these.
        _ => Err(fail(Error::InvalidDestinationType, "enqueue")),
    }
}

/// A request that reads a file into memory.
fn prepare_read(request: &Request, span: Span, queue: &Arc<QueueCore>) -> Prepared {
    let (file, offset, bytes) = opened_source(request)?;
    if request.compression == Compression::NONE {
        return Ok(Work::Transfer {
            direction: Direction::Read,
            file: Arc::clone(&file),
            offset,
            span,
        });
    }
    let slack = file.slack_bytes(queue.shared.file_mode, bytes);
    let staging = take(queue, PoolKind::Host, bytes, slack)?;
    Ok(Work::ReadStaged {
        file: Arc::clone(&file),
        offset,
        bytes,
        memory: staging.span(),
        hold: Hold::Staging(staging),
        decompress: Some((request.compression, span)),
    })
}

/// From memory to memory, which needs none of the engine's.
fn in_memory(compression: Compression, source: Span, destination: Span) -> Work {
    let hold = Hold::Nothing;
    match compression {
        Compression::NONE => Work::Copy {
            source,
            hold,
            destination,
        },
        compression => Work::Decompress {
            source,
            compression,
            hold,
            destination,
        },
    }
}

/// The file of a request that reads one, with offset and size.
fn opened_source(request: &Request) -> Result<(Opened<'_>, u64, usize), NotNow> {
    let Source::File {
        file: Some(file),
        offset,
        bytes,
    } = &request.source
    else {
        return Err(fail(Error::InvalidSourceType, "enqueue"));
    };
    let opened = file.opened_for_read(*offset, *bytes);
    let opened = opened.map_err(|error| fail_read(error, file))?;
    Ok((opened, *offset, *bytes as usize))
}

/// A request whose last step is the host's. What must be there at the same time (what is read, what
/// is decoded from it) has one range of staging: whoever held one and waited for another might wait for
/// ever. It is the host's own memory where the host has lent some.
fn prepare_bounce(request: &Request, destination: BounceTo, queue: &Arc<QueueCore>) -> Prepared {
    let compression = request.compression;
    let decoded = bytes_decoded_here(request, destination);
    if let Source::Memory(source) = &request.source {
        let source = source.span();
        if compression == Compression::NONE {
            return hand_memory_over(request, source, destination, queue);
        }
        let (hold, destination) = match destination {
            BounceTo::Memory(span) if decoded == 0 => (Hold::Nothing, span),
            _ => take_bounce(request, queue, decoded, decoded, 0, destination)?,
        };
        return Ok(Work::Decompress {
            source,
            compression,
            hold,
            destination,
        });
    }
    let (file, offset, bytes) = opened_source(request)?;
    let kept =
        pool_kind(queue, destination) == PoolKind::Foreign && compression == Compression::NONE;
    let slack = match offset % FOREIGN_ALIGNMENT == 0 || !kept {
        true => file.slack_bytes(queue.shared.file_mode, bytes),
        false => 0,
    };
    let before = decoded.next_multiple_of(PAGE_BYTES);
    let (hold, output) = take_bounce(request, queue, decoded, before + bytes, slack, destination)?;
    let room = hold.span().expect("just taken");
    let memory = room.part(before, room.bytes() - before);
    let decompress = (compression != Compression::NONE).then_some((compression, output));
    Ok(Work::ReadStaged {
        file: Arc::clone(&file),
        offset,
        bytes,
        hold,
        memory,
        decompress,
    })
}

/// Bytes of memory, as they are: the host takes them from there; or they are copied into its own memory, by
/// whoever has time.
fn hand_memory_over(
    request: &Request,
    source: Span,
    destination: BounceTo,
    queue: &Arc<QueueCore>,
) -> Prepared {
    if pool_kind(queue, destination) == PoolKind::Host {
        return Ok(Work::HandOver(Hold::Bounce(Box::new(Bounce {
            range: None,
            pool: None,
            payload: source,
            destination,
        }))));
    }
    let bytes = source.bytes();
    let (hold, destination) = take_bounce(request, queue, bytes, bytes, 0, destination)?;
    Ok(Work::Copy {
        source,
        hold,
        destination,
    })
}

/// Where bytes wait for the host.
fn pool_kind(queue: &QueueCore, destination: BounceTo) -> PoolKind {
    match destination {
        BounceTo::Cookie(_) if queue.foreign_pool().is_some() => PoolKind::Foreign,
        BounceTo::Cookie(_) | BounceTo::Memory(_) => PoolKind::Host,
    }
}

/// How many bytes are decompressed into staging. The application writes to memory by itself.
fn bytes_decoded_here(request: &Request, destination: BounceTo) -> usize {
    match destination {
        _ if request.compression == Compression::NONE => 0,
        BounceTo::Memory(_) if request.compression.is_custom() => 0,
        _ => request.uncompressed_bytes as usize,
    }
}

/// Takes `bytes` of staging, of which the first `decoded` are for what is decoded; answers where that goes,
/// which is the destination itself if it is memory and there are none.
fn take_bounce(
    request: &Request,
    queue: &Arc<QueueCore>,
    decoded: usize,
    bytes: usize,
    slack: usize,
    destination: BounceTo,
) -> Result<(Hold, Span), NotNow> {
    let kind = pool_kind(queue, destination);
    let range = take(queue, kind, bytes, slack)?;
    let lent = queue.foreign_pool().filter(|_| kind == PoolKind::Foreign);
    let output = match destination {
        BounceTo::Memory(span) if decoded == 0 => span,
        _ => range.span().part(0, decoded),
    };
    let bounce = Bounce {
        pool: lent.map(|pool| OfPool {
            block: pool
                .staging()
                .block_of(&range)
                .expect("a range lies in a block"),
            pool: Arc::clone(pool),
        }),
        range: Some(range),
        // Of what is not decoded the read says later where it is.
        payload: output.part(0, output.bytes().min(request.destination_bytes())),
        destination,
    };
    Ok((Hold::Bounce(Box::new(bounce)), output))
}

/// A request whose bytes go to a GPU. One range of the device's staging holds what must be there at
/// the same time: first what the host decodes, then, from a page on, what is read from a file or copied
/// for the GPU to decode.
fn prepare_upload(
    request: &Request,
    destination: &GpuDestination,
    queue: &Arc<QueueCore>,
    waiting: usize,
) -> Prepared {
    let Some(placer) = queue.placer() else {
        return Err(fail(Error::InvalidDestinationType, "enqueue"));
    };
    let gpu_decodes = request.compression == Compression::GDEFLATE
        && placer.decodes(queue.gpu_decode(), request.uncompressed_bytes, waiting);
    let host_decodes = request.compression != Compression::NONE && !gpu_decodes;
    let decoded = if host_decodes {
        request.uncompressed_bytes as usize
    } else {
        0
    };
    let source = match &request.source {
        Source::File { .. } => UploadSource::File(opened_source(request)?),
        Source::Memory(source) => UploadSource::Memory(source.span()),
        Source::Gpu(_) => return Err(fail(Error::InvalidDestinationType, "enqueue")),
    };
    let (input, slack) = match &source {
        UploadSource::File((file, offset, bytes)) if offset % UPLOAD_ALIGNMENT == 0 => {
            (*bytes, file.slack_bytes(queue.shared.file_mode, *bytes))
        }
        UploadSource::File((_, _, bytes)) => (*bytes, 0),
        UploadSource::Memory(_) if host_decodes => (0, 0),
        UploadSource::Memory(span) => (span.bytes(), 0),
    };
    let before = decoded.next_multiple_of(PAGE_BYTES);
    let range = take(queue, PoolKind::Device, before + input, slack)?;
    let output = range.span().part(0, decoded);
    let memory = range.span().part(before, range.span().bytes() - before);
    let upload = Upload {
        placer: Arc::clone(placer),
        payload: if host_decodes {
            output.part(0, destination.bytes())
        } else {
            memory.part(0, input)
        },
        range,
        decode: gpu_decodes.then_some(request.uncompressed_bytes),
        destination: destination.clone(),
        write: None,
    };
    let decompress = host_decodes.then_some((request.compression, output));
    Ok(source.work(Hold::Upload(Box::new(upload)), memory, input, decompress))
}

/// A request whose bytes go from a GPU to a file, by way of the device's staging.
fn prepare_download(
    source: &GpuDestination,
    file: &File,
    offset: u64,
    queue: &Arc<QueueCore>,
) -> Prepared {
    let Some(placer) = queue.placer() else {
        return Err(fail(Error::InvalidSourceType, "enqueue"));
    };
    let file = file.opened().map_err(|error| fail(error, "write"))?;
    let range = take(queue, PoolKind::Device, source.bytes(), 0)?;
    Ok(Work::HandOver(Hold::Upload(Box::new(Upload {
        placer: Arc::clone(placer),
        payload: range.span(),
        range,
        decode: None,
        destination: source.clone(),
        write: Some((Arc::clone(&file), offset)),
    }))))
}

/// Where the bytes of an upload come from.
enum UploadSource<'a> {
    File((Opened<'a>, u64, usize)),
    Memory(Span),
}

impl UploadSource<'_> {
    fn work(
        self,
        hold: Hold,
        memory: Span,
        input: usize,
        decompress: Option<(Compression, Span)>,
    ) -> Work {
        match (self, decompress) {
            (UploadSource::File((file, offset, bytes)), decompress) => Work::ReadStaged {
                file: Arc::clone(&file),
                offset,
                bytes,
                hold,
                memory,
                decompress,
            },
            (UploadSource::Memory(source), Some((compression, destination))) => Work::Decompress {
                source,
                compression,
                hold,
                destination,
            },
            (UploadSource::Memory(source), None) => Work::Copy {
                source,
                hold,
                destination: memory.part(0, input),
            },
        }
    }
}

/// Takes `bytes` of staging, and `slack` more if there can be so much: room to read past the page
/// cache, from aligned to aligned.
fn take(
    queue: &Arc<QueueCore>,
    pool: PoolKind,
    bytes: usize,
    slack: usize,
) -> Result<Range, NotNow> {
    let Some(staging) = queue.staging(pool) else {
        return Err(fail(Error::InvalidDestinationType, "staging"));
    };
    let wanted = match bytes + slack {
        wanted if wanted <= staging.bytes_max() => wanted,
        _ => bytes,
    };
    match staging.alloc(queue.id(), wanted) {
        Answer::Granted(range) => Ok(range),
        Answer::Wait => Err(NotNow::NoStaging(pool)),
        Answer::TooLarge => Err(fail(Error::RequestTooLarge, "staging")),
        Answer::NoMemory => Err(fail(Error::Os(libc::ENOMEM), "staging")),
    }
}
