//! `Given`: the blocks of memory that a host gives a pool, one by one, when it is asked.
//!
//! Some memory only the host can get: what its graphics API maps, for one. A pool of such memory begins
//! empty. When the first in line finds no room, the pool asks for a block, at the desk where the host's
//! threads come by, and the line waits for it. Blocks that nobody uses go back the same way: when another
//! size is needed than they have, when the pool has been idle, and when it is closed.
//!
//! Blocks lie in one space of offsets, with gaps between them, so that free parts of two never join. Ranges,
//! the line and the figures are `staging.rs`'s. Promises that what was given is never more than the cap,
//! but for a single range that is larger: that has all there is to itself.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::copies::Desk;
use crate::error::Error;
use crate::memory::Span;
use crate::sys::PAGE_BYTES;

/// What a block has at least, if that is no more than half of the cap: room for many small ranges, and few
/// blocks.
const BLOCK_BYTES: usize = 8 << 20;
/// The first ones are smaller, as much as there is already: memory of a GPU's driver is not had at once.
const BLOCK_BYTES_FIRST: usize = 1 << 20;

/// What asking for memory came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// There may be some later.
    Later,
    /// There is none to be had.
    Never,
}

#[derive(Debug)]
struct Block {
    /// Where it begins in the space of offsets.
    base: usize,
    memory: Span,
    /// What the host calls it.
    cookie: u64,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Given {
    desk: Arc<Desk>,
    /// What the host calls the pool.
    pool: u64,
    /// By their bases.
    blocks: Vec<Block>,
    /// Where the next block begins.
    base_next: usize,
    /// All blocks'.
    bytes: usize,
    /// What the host was asked for and has not answered, and what is needed of it.
    wanted: Option<(usize, usize)>,
    /// It had nothing to give of the usual size: it is asked for what is needed.
    modest: bool,
    /// It had nothing to give, and nothing will come back.
    refused: bool,
    /// It had nothing to give while ranges were in use: it is asked again when one of them comes back.
    rests: bool,
    closed: bool,
}

impl Given {
    pub(crate) fn new(desk: Arc<Desk>, pool: u64) -> Given {
        Given {
            desk,
            pool,
            blocks: Vec::new(),
            base_next: 0,
            bytes: 0,
            wanted: None,
            modest: false,
            refused: false,
            rests: false,
            closed: false,
        }
    }

    /// Of all blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn index_at(&self, offset: usize) -> Option<usize> {
        let behind = self.blocks.partition_point(|block| block.base <= offset);
        behind.checked_sub(1)
    }

    /// What the host calls the block in which byte `offset` lies.
    pub(crate) fn cookie_at(&self, offset: usize) -> Option<u64> {
        Some(self.blocks[self.index_at(offset)?].cookie)
    }

    /// The memory of a part that was found free.
    pub(crate) fn span(&self, offset: usize, bytes: usize) -> Option<Span> {
        let block = &self.blocks[self.index_at(offset)?];
        Some(block.memory.part(offset - block.base, bytes))
    }

    /// Asks for a block in which `bytes` bytes find room, of which the pool may have `bytes_max` in all.
    pub(crate) fn want(
        &mut self,
        free: &mut Vec<(usize, usize)>,
        bytes: usize,
        bytes_max: usize,
    ) -> Wanted {
        if std::mem::take(&mut self.refused) || self.closed {
            return Wanted::Never;
        }
        if self.wanted.is_some() || self.rests {
            return Wanted::Later;
        }
        let share = bytes_max / 2 / PAGE_BYTES * PAGE_BYTES;
        let step = self.bytes.clamp(BLOCK_BYTES_FIRST, BLOCK_BYTES);
        let usual = match self.modest {
            true => bytes,
            false => bytes.max(step.min(share)),
        };
        let fits = |given: &Given, block: usize| given.bytes + block <= bytes_max;
        let block = if fits(self, usual) { usual } else { bytes };
        while !fits(self, block) && self.retire_one(free) {}
        if fits(self, block) || self.blocks.is_empty() {
            self.wanted = Some((block, bytes));
            self.desk.want_block(self.pool, block);
        }
        Wanted::Later
    }

    /// Adds the block that was asked for.
    pub(crate) fn add(
        &mut self,
        free: &mut Vec<(usize, usize)>,
        memory: Span,
        cookie: u64,
    ) -> Result<(), Error> {
        let bytes = memory.bytes() / PAGE_BYTES * PAGE_BYTES;
        let aligned = memory.address().is_multiple_of(PAGE_BYTES) && !memory.wraps();
        if self.closed || !aligned || self.wanted.is_none_or(|(wanted, _)| bytes < wanted) {
            return Err(Error::InvalidArgument);
        }
        self.wanted = None;
        self.modest = false;
        let base = self.base_next;
        self.base_next += bytes + PAGE_BYTES;
        self.bytes += bytes;
        let memory = memory.part(0, bytes);
        self.blocks.push(Block {
            base,
            memory,
            cookie,
        });
        free.push((base, bytes));
        Ok(())
    }

    /// The host has no such block. While ranges are in use, more room will come of them; while blocks lie
    /// idle, of giving them back. `waited_for`: somebody stands in line. Says whether to try again now.
    pub(crate) fn refuse(
        &mut self,
        free: &mut Vec<(usize, usize)>,
        idle: bool,
        waited_for: bool,
    ) -> bool {
        let Some((asked, needed)) = self.wanted.take() else {
            return false;
        };
        self.modest = asked > needed;
        if self.modest {
            return true;
        }
        self.rests = !idle;
        if idle {
            self.refused = self.blocks.is_empty() && waited_for;
            self.retire_all(free);
        }
        idle
    }

    /// Nobody stands in line any more, to be told that there is no memory.
    pub(crate) fn nobody_waits(&mut self) {
        self.refused = false;
    }

    /// A range that began at `offset` is free again.
    pub(crate) fn given_back(
        &mut self,
        free: &mut Vec<(usize, usize)>,
        offset: usize,
        bytes_max: usize,
    ) {
        self.rests = false;
        // Blocks above the cap were for one range.
        if (self.closed || self.bytes > bytes_max)
            && let Some(index) = self.index_at(offset)
        {
            self.retire(free, index);
        }
    }

    /// Gives the blocks back that nobody uses.
    pub(crate) fn retire_all(&mut self, free: &mut Vec<(usize, usize)>) {
        while self.retire_one(free) {}
    }

    /// From now on no block stays that nobody uses.
    pub(crate) fn close(&mut self, free: &mut Vec<(usize, usize)>) {
        self.closed = true;
        self.retire_all(free);
    }

    fn retire_one(&mut self, free: &mut Vec<(usize, usize)>) -> bool {
        (0..self.blocks.len()).any(|index| self.retire(free, index))
    }

    /// Gives a block back, if nobody uses any of it.
    fn retire(&mut self, free: &mut Vec<(usize, usize)>, index: usize) -> bool {
        let block = &self.blocks[index];
        let whole = (block.base, block.memory.bytes());
        let Some(place) = free.iter().position(|&part| part == whole) else {
            return false;
        };
        free.remove(place);
        let block = self.blocks.remove(index);
        self.bytes -= block.memory.bytes();
        self.desk.give_back(block.cookie);
        true
    }
}
