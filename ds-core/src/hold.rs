//! `Hold`: what a request in flight holds of the engine's memory, and what follows once its bytes are
//! there.
//!
//! Travels with the request from whoever reads to whoever copies or decompresses, and ends in
//! [`Shared::land`] or [`Shared::give_back`]. Every way of a request ends in one of them, so a range of
//! staging is given back exactly once.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::gpu::{GpuDestination, Placer};
use crate::memory::Span;
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
    /// A range of a device's staging, from which the GPU takes the bytes on.
    Upload(Upload),
}

/// Bytes on their way to a GPU.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) placer: Arc<Placer>,
    pub(crate) range: Range,
    /// What the GPU takes: a part of the range.
    pub(crate) payload: Span,
    /// The payload is a tile stream of so many bytes once decoded, and the GPU decodes it.
    pub(crate) decode: Option<u32>,
    pub(crate) destination: GpuDestination,
}

impl Hold {
    /// Whether `span` is the engine's own memory, which needs no asking whether it can be touched.
    pub(crate) fn owns(&self, span: Span) -> bool {
        let range = match self {
            Hold::Nothing => return false,
            Hold::Staging(range) => range,
            Hold::Upload(upload) => &upload.range,
        };
        range.span().contains(span)
    }

    /// Where byte `offset` of the runtime's staging range lies in the pool, if it is one: memory that a
    /// ring may have registered.
    pub(crate) fn place(&self, offset: usize) -> Option<Place> {
        match self {
            Hold::Staging(range) => Some(range.place(offset)),
            Hold::Nothing | Hold::Upload(_) => None,
        }
    }

    /// Says which part of the memory the GPU is to take, where that was not known before the read.
    pub(crate) fn set_payload(&mut self, payload: Span) {
        if let Hold::Upload(upload) = self {
            upload.payload = payload;
        }
    }

    /// Gives the memory back and tells nobody; the caller asks the pools later who is next. For those
    /// who hold a queue's lock.
    pub(crate) fn free_quietly(self, staging: &Staging) {
        match self {
            Hold::Nothing => {}
            Hold::Staging(range) => drop(staging.free(range)),
            Hold::Upload(upload) => drop(upload.placer.staging().free(upload.range)),
        }
    }
}

impl Shared {
    /// The bytes of a request are in its memory, or have failed to come: completes it, or passes it on
    /// to the GPU. No queue's lock is held.
    pub(crate) fn land(&self, queue: &Arc<QueueCore>, entry: Token, hold: Hold, outcome: Outcome) {
        match (hold, outcome) {
            (Hold::Upload(upload), Ok(())) => {
                let placer = Arc::clone(&upload.placer);
                placer.place(queue, entry, upload);
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
            Hold::Upload(upload) => self.free_staging(upload.placer.staging(), upload.range),
        }
    }
}
