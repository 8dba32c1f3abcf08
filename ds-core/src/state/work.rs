//! `Work`: what leaves a queue's state for the engine's threads, and how much of it at a time.
//!
//! Words only. Which work a request is, `prepare.rs` says; what becomes of it, `driver.rs`.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::hold::Hold;
use crate::io::Direction;
use crate::memory::Span;
use crate::open_file::OpenFile;
use crate::order::GroupId;
use crate::request::Compression;
use crate::slots::Token;

/// How much one call of `State::start` may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// At most so many requests.
    pub(crate) requests: usize,
    /// No more once so many bytes are taken.
    pub(crate) bytes: usize,
    /// Take no more than this share (1/n) of what is startable, for the sake of other threads.
    pub(crate) threads: usize,
    /// If no more bytes than that are left, wake no other thread for them: this one comes back soon.
    pub(crate) bytes_alone: usize,
}

/// A request on its way out of the queue.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) token: Token,
    pub(crate) group: GroupId,
    pub(crate) work: Work,
}

/// What is to be done for a request first.
#[derive(Debug)]
pub(crate) enum Work {
    /// Read into the destination, or write from the source.
    Transfer {
        direction: Direction,
        file: Arc<OpenFile>,
        offset: u64,
        span: Span,
    },
    /// Read into staging, `memory`; then decompress if anything is to be, and pass on what is held.
    ReadStaged {
        file: Arc<OpenFile>,
        offset: u64,
        bytes: usize,
        hold: Hold,
        memory: Span,
        decompress: Option<(Compression, Span)>,
    },
    /// Decompress memory into memory.
    Decompress {
        source: Span,
        compression: Compression,
        hold: Hold,
        destination: Span,
    },
    /// Copy memory to memory.
    Copy {
        source: Span,
        hold: Hold,
        destination: Span,
    },
    /// Nothing: the bytes are where the next one takes them.
    HandOver(Hold),
}

/// The pools that a request may wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PoolKind {
    /// The runtime's.
    Host,
    /// That of the queue's device.
    Device,
    /// What the host has lent the queue.
    Foreign,
}

impl PoolKind {
    pub(crate) const ALL: [PoolKind; 3] = [PoolKind::Host, PoolKind::Device, PoolKind::Foreign];
}
