//! `Hold`: what a request in flight holds of the engine's memory, and what follows once its bytes are
//! there.
//!
//! Travels with the request from whoever reads to whoever copies or decompresses, and ends in
//! [`Shared::land`] or [`Shared::give_back`]. Every way of a request ends in one of them, so a range of
//! staging is given back exactly once.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::foreign_pool::PoolCore;
use crate::gpu::{GpuDestination, Placer};
use crate::memory::Span;
use crate::open_file::OpenFile;
use crate::queue::{Outcome, QueueCore};
use crate::runtime::Shared;
use crate::slots::Token;
use crate::staging::{Place, Range, Staging};

/// See the file's head.
#[derive(Debug)]
pub(crate) enum Hold {
    /// Nothing: the bytes move between memory of the caller's.
    Nothing,
    /// A range of the runtime's staging.
    Staging(Range),
    /// Bytes that the host copies to where they belong.
    Bounce(Box<Bounce>),
    /// A range of a device's staging, from which the GPU takes the bytes on; or, if they go to a file, where
    /// it puts them.
    Upload(Box<Upload>),
    /// The same, once the GPU has put them there.
    Download(Box<Upload>),
}

/// Bytes on their way to a GPU. In a box: what a request of the host's carries stays small.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) placer: Arc<Placer>,
    pub(crate) range: Range,
    /// What the GPU takes: a part of the range.
    pub(crate) payload: Span,
    /// The payload is a tile stream of so many bytes once decoded, and the GPU decodes it.
    pub(crate) decode: Option<u32>,
    /// The GPU's side.
    pub(crate) destination: GpuDestination,
    /// The bytes come from there, and go to this file at this offset.
    pub(crate) write: Option<(Arc<OpenFile>, u64)>,
}

/// An upload whose bytes are in staging, and the request that it belongs to.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) queue: Arc<QueueCore>,
    pub(crate) entry: Token,
    pub(crate) upload: Box<Upload>,
}

/// Bytes on their way to where only the host's own threads can put them (`copies.rs`). In a box, as an
/// upload.
#[derive(Debug)]
pub(crate) struct Bounce {
    /// A range of staging, unless the bytes wait in the request's own source.
    pub(crate) range: Option<Range>,
    /// Whose range it is, if it is not the runtime's.
    pub(crate) pool: Option<OfPool>,
    /// What the host copies.
    pub(crate) payload: Span,
    pub(crate) destination: BounceTo,
}

/// The host's memory that a range is of.
#[derive(Debug)]
pub(crate) struct OfPool {
    pub(crate) pool: Arc<PoolCore>,
    /// What the host calls the block.
    pub(crate) block: u64,
}

/// Where the host puts bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BounceTo {
    /// Memory of the payload's size.
    Memory(Span),
    /// What the host calls so.
    Cookie(u64),
}

impl Hold {
    /// Whether `span` is the engine's own memory, which needs no asking whether it can be touched.
    pub(crate) fn owns(&self, span: Span) -> bool {
        self.span().is_some_and(|own| own.contains(span))
    }

    /// The memory that is held.
    pub(crate) fn span(&self) -> Option<Span> {
        match self {
            Hold::Nothing => None,
            Hold::Staging(range) => Some(range.span()),
            Hold::Bounce(bounce) => bounce.range.as_ref().map(Range::span),
            Hold::Upload(upload) | Hold::Download(upload) => Some(upload.range.span()),
        }
    }

    /// Where byte `offset` of the runtime's staging range lies in the pool, if it is one: memory that a
    /// ring may have registered.
    pub(crate) fn place(&self, offset: usize) -> Option<Place> {
        match self {
            Hold::Staging(range) => Some(range.place(offset)),
            Hold::Nothing | Hold::Bounce(_) | Hold::Upload(_) | Hold::Download(_) => None,
        }
    }

    /// Whether a read past the page cache may end in the memory; no after [`Hold::never_read_direct`].
    pub(crate) fn may_read_direct(&self) -> bool {
        self.foreign_staging()
            .is_none_or(Staging::takes_direct_reads)
    }

    /// The pool, if its memory comes from somebody else than the kernel.
    fn foreign_staging(&self) -> Option<&Staging> {
        match self {
            Hold::Upload(upload) => Some(upload.placer.staging()),
            Hold::Bounce(bounce) => bounce.pool.as_ref().map(|of| of.pool.staging()),
            _ => None,
        }
    }

    /// The kernel cannot hold the pages of that memory, a device's, for a disk to write; nor those of the
    /// rest of its pool.
    pub(crate) fn never_read_direct(&self) {
        if let Some(staging) = self.foreign_staging() {
            staging.refuse_direct_reads();
        }
    }

    /// Says which part of the memory the GPU is to take, where that was not known before the read.
    pub(crate) fn set_payload(&mut self, payload: Span) {
        match self {
            Hold::Nothing | Hold::Staging(_) => {}
            Hold::Bounce(bounce) => bounce.payload = payload,
            Hold::Upload(upload) | Hold::Download(upload) => upload.payload = payload,
        }
    }

    /// What the application holds while it decompresses a request, and where it writes: its threads can
    /// write to all memory that the host's can, so nothing is left to be copied.
    pub(crate) fn for_application(self, destination: Span) -> (Hold, Span) {
        match self {
            Hold::Bounce(bounce) => match bounce.destination {
                BounceTo::Memory(memory) => {
                    (bounce.range.map_or(Hold::Nothing, Hold::Staging), memory)
                }
                BounceTo::Cookie(_) => (Hold::Bounce(bounce), destination),
            },
            hold => (hold, destination),
        }
    }

    /// Gives the memory back and tells nobody; the caller asks the pools later who is next. For those
    /// who hold a queue's lock.
    pub(crate) fn free_quietly(self, staging: &Staging) {
        match self {
            Hold::Nothing => {}
            Hold::Staging(range) => {
                let _ = staging.free(range);
            }
            Hold::Bounce(bounce) => {
                let Bounce { range, pool, .. } = *bounce;
                if let Some(range) = range {
                    let _ = staging_of(&pool, staging).free(range);
                }
            }
            Hold::Upload(upload) | Hold::Download(upload) => {
                let _ = upload.placer.staging().free(upload.range);
            }
        }
    }
}

/// The pool that a bounce's range is of: the host's, or the runtime's.
fn staging_of<'a>(pool: &'a Option<OfPool>, runtimes: &'a Staging) -> &'a Staging {
    pool.as_ref().map_or(runtimes, |of| of.pool.staging())
}

impl Shared {
    /// The bytes of a request are in its memory, or have failed to come: completes it, or passes it on
    /// to the GPU or the host. No queue's lock is held.
    pub(crate) fn land(&self, queue: &Arc<QueueCore>, entry: Token, hold: Hold, outcome: Outcome) {
        match (hold, outcome) {
            (Hold::Bounce(bounce), Ok(())) => self.copies.hand(queue, entry, bounce),
            (Hold::Upload(upload), Ok(())) => {
                let (placer, queue) = (Arc::clone(&upload.placer), Arc::clone(queue));
                let landed = Landed {
                    queue,
                    entry,
                    upload,
                };
                placer.place(std::iter::once(landed));
            }
            (hold, outcome) => {
                self.give_back(hold);
                queue.complete([(entry, outcome)]);
            }
        }
    }

    /// Gives staging back and lets the next in line try. No queue's lock is held.
    pub(crate) fn give_back(&self, hold: Hold) {
        match hold {
            Hold::Nothing => {}
            Hold::Staging(range) => self.free_staging(&self.staging, range),
            Hold::Bounce(bounce) => {
                let Bounce { range, pool, .. } = *bounce;
                if let Some(range) = range {
                    self.free_staging(staging_of(&pool, &self.staging), range);
                }
            }
            Hold::Upload(upload) | Hold::Download(upload) => {
                self.free_staging(upload.placer.staging(), upload.range)
            }
        }
    }
}
