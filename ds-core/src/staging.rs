//! Staging: page-aligned ranges from one capped pool, for bytes that cannot land where they end.
//!
//! Owns the pool of a runtime. Invariants:
//! - Ranges handed out are disjoint. All of them lie in one block of memory of exactly the configured
//!   size, or of twice that where bytes may also wait there on their way out (`copies.rs`); or in blocks
//!   that a host gives one by one (`given.rs`).
//! - The block of the runtime's pool is taken from the kernel page by page as it is touched; that of a
//!   device's pool is memory which the device sees too. Any is given back when the pool has been idle.
//! - Whoever is refused waits in line: nobody overtakes, so a large request is not starved by small
//!   ones.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::copies::Desk;
use crate::error::Error;
use crate::given::{Given, Wanted};
use crate::gpu::{GpuDevice, SharedMemory};
use crate::memory::Span;
use crate::sys::{Mapping, PAGE_BYTES};

/// The default size of the pool: DirectStorage's `DSTORAGE_STAGING_BUFFER_SIZE_32MB`.
pub const STAGING_BYTES_DEFAULT: u32 = 32 << 20;

/// A part of the pool, owned by one request until [`Staging::free`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pool: u64,
    offset: usize,
    bytes: usize,
    span: Span,
}

impl Range {
    /// The memory.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// Where the range's byte `offset` lies in the pool.
    pub(crate) fn place(&self, offset: usize) -> Place {
        Place {
            pool: self.pool,
            offset: self.offset + offset,
        }
    }
}

/// A place in the pool's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Which memory: another number each time the pool's size changes.
    pub(crate) pool: u64,
    /// Bytes from its start.
    pub(crate) offset: usize,
}

/// Figures for `ds info` and statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StagingStats {
    /// The cap.
    pub bytes_max: usize,
    /// In use by requests now.
    pub bytes_in_use: usize,
    /// The most that was ever in use at once.
    pub bytes_peak: usize,
    /// Whether any of it may be held, in use or idle. What has been idle for two seconds goes back to the
    /// kernel.
    pub holds_memory: bool,
}

/// Where a pool's memory comes from.
#[derive(Debug, Default)]
enum Origin {
    /// The kernel.
    #[default]
    Host,
    /// A device.
    Device(GpuDevice),
    /// A host.
    Given(Given),
}

/// A pool's memory.
#[derive(Debug)]
enum Block {
    Host(Mapping),
    Device(Arc<SharedMemory>),
}

impl Block {
    /// `None` where memory comes in blocks, when it is given.
    fn new(origin: &Origin, bytes: usize) -> Result<Option<Block>, Error> {
        Ok(match origin {
            Origin::Host => Some(Block::Host(Mapping::new(bytes)?)),
            Origin::Device(device) => {
                Some(Block::Device(Arc::new(SharedMemory::new(device, bytes)?)))
            }
            Origin::Given(_) => None,
        })
    }

    fn span(&self, offset: usize, bytes: usize) -> Span {
        match self {
            Block::Host(mapping) => mapping.span(offset, bytes),
            Block::Device(memory) => memory.span(offset, bytes),
        }
    }
}

#[derive(Debug, Default)]
struct Pool {
    origin: Origin,
    block: Option<Block>,
    /// Free parts as (offset, bytes), by offset, never touching each other.
    free: Vec<(usize, usize)>,
    /// Counts the changes of its size.
    number: u64,
    /// Rings that have some of the memory registered.
    pins: usize,
    bytes_max: usize,
    /// How large the memory is: the cap, or twice that, with room for bytes on their way out. Of blocks:
    /// what one request may have that has all of them to itself.
    bytes_room: usize,
    /// What a person allows the memory to be.
    bytes_room_max: Option<usize>,
    bounces: bool,
    bytes_in_use: usize,
    bytes_peak: usize,
    /// Whether pages may have been touched since they were last given back.
    touched: bool,
    /// Who was refused, in order: the waiters' own numbers.
    line: VecDeque<usize>,
}

/// The pool.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    pool: Mutex<Pool>,
    /// Whether the kernel has refused to hold its pages for a disk.
    refuses_direct_reads: AtomicBool,
}

/// The answer to a request for staging.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Here it is.
    Granted(Range),
    /// Not now; the asker stands in line, and `free` will name it.
    Wait,
    /// Not ever: more than the pool has.
    TooLarge,
    /// The pool cannot have its memory: the address space, or a limit on it, is used up.
    NoMemory,
}

impl Staging {
    /// The same of memory that a device sees too.
    pub(crate) fn of_device(device: &GpuDevice, bytes_max: usize) -> Staging {
        let staging = Staging::default();
        staging.pool.lock().origin = Origin::Device(device.clone());
        staging.set_bytes_max(bytes_max);
        staging
    }

    /// Whether reads past the page cache may end in the pool's memory.
    pub(crate) fn takes_direct_reads(&self) -> bool {
        !self.refuses_direct_reads.load(Ordering::Relaxed)
    }

    /// They end in EFAULT there.
    pub(crate) fn refuse_direct_reads(&self) {
        if !self.refuses_direct_reads.swap(true, Ordering::Relaxed) {
            log::info!(
                target: "ds",
                "files are read through the page cache on their way to the GPU: its driver's memory takes no \
                 direct reads"
            );
        }
    }

    /// The memory of a device's pool, while it has any.
    pub(crate) fn shared_memory(&self) -> Option<Arc<SharedMemory>> {
        match &self.pool.lock().block {
            Some(Block::Device(memory)) => Some(Arc::clone(memory)),
            Some(Block::Host(_)) | None => None,
        }
    }

    /// A pool of at most `bytes_max` bytes, whose memory is at most `bytes_room_max`; nothing is allocated
    /// yet.
    pub(crate) fn new(bytes_max: usize, bytes_room_max: Option<usize>) -> Staging {
        let staging = Staging::default();
        staging.pool.lock().bytes_room_max = bytes_room_max;
        staging.set_bytes_max(bytes_max);
        staging
    }

    /// A pool of blocks that the host gives when it is asked, at `desk`, for one for `pool`.
    pub(crate) fn given(desk: Arc<Desk>, pool: u64) -> Staging {
        let staging = Staging::default();
        staging.pool.lock().origin = Origin::Given(Given::new(desk, pool));
        staging
    }

    /// How much memory a pool of blocks may have: `bytes_max`, or as much as a single range needs, up to
    /// `bytes_room`.
    pub(crate) fn set_limits(&self, bytes_max: usize, bytes_room: usize) {
        let mut pool = self.pool.lock();
        pool.bytes_max = bytes_max;
        pool.bytes_room = bytes_room;
    }

    /// Adds a block; names the asker who should try again.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if none that small is wanted, or it begins inside a page.
    pub(crate) fn add_block(&self, memory: Span, cookie: u64) -> Result<Option<usize>, Error> {
        let mut pool = self.pool.lock();
        let Pool { origin, free, .. } = &mut *pool;
        let Origin::Given(given) = origin else {
            return Err(Error::InvalidArgument);
        };
        given.add(free, memory, cookie)?;
        pool.touched = true;
        Ok(pool.line.front().copied())
    }

    /// The host has no memory for the block that it was asked for; names the asker who should try again.
    #[must_use]
    pub(crate) fn refuse_block(&self) -> Option<usize> {
        let mut pool = self.pool.lock();
        let (idle, first) = (pool.bytes_in_use == 0, pool.line.front().copied());
        let Pool {
            origin: Origin::Given(given),
            free,
            ..
        } = &mut *pool
        else {
            return None;
        };
        let again = given.refuse(free, idle, first.is_some());
        first.filter(|_| again)
    }

    /// Gives blocks back as soon as nobody uses them.
    pub(crate) fn close(&self) {
        if let Pool {
            origin: Origin::Given(given),
            free,
            ..
        } = &mut *self.pool.lock()
        {
            given.close(free);
        }
    }

    /// What the host has given and not got back, in bytes.
    pub(crate) fn bytes_given(&self) -> usize {
        match &self.pool.lock().origin {
            Origin::Given(given) => given.bytes(),
            Origin::Host | Origin::Device(_) => 0,
        }
    }

    /// Which block of the host's the range lies in.
    pub(crate) fn block_of(&self, range: &Range) -> Option<u64> {
        match &self.pool.lock().origin {
            Origin::Given(given) => given.cookie_at(range.offset),
            Origin::Host | Origin::Device(_) => None,
        }
    }

    /// The cap in bytes.
    pub(crate) fn bytes_max(&self) -> usize {
        self.pool.lock().bytes_max
    }

    /// Changes the cap. Says no while anything is in use.
    pub(crate) fn set_bytes_max(&self, bytes_max: usize) -> bool {
        let mut pool = self.pool.lock();
        pool.bytes_in_use == 0 && pool.start_anew(bytes_max)
    }

    /// Makes the memory twice as large as the cap, so that a request's bytes on their way in leave room for
    /// those on their way out. Says no while anything is in use.
    pub(crate) fn make_room_for_bounces(&self) -> bool {
        let mut pool = self.pool.lock();
        if pool.bounces {
            return true;
        }
        if pool.bytes_in_use > 0 {
            return false;
        }
        pool.bounces = true;
        let bytes_max = pool.bytes_max;
        pool.start_anew(bytes_max)
    }

    /// Asks for `bytes` bytes on behalf of `asker`, which must stand in line if it is refused.
    pub(crate) fn alloc(&self, asker: usize, bytes: usize) -> Answer {
        let mut pool = self.pool.lock();
        if bytes > pool.bytes_limit() || bytes == 0 {
            return Answer::TooLarge;
        }
        if pool.map().is_err() {
            return Answer::NoMemory;
        }
        let first = pool.line.front().is_none_or(|&front| front == asker);
        let rounded = bytes.next_multiple_of(PAGE_BYTES);
        let taken = first.then(|| pool.take(rounded)).flatten();
        if first && taken.is_none() && pool.want(rounded) == Wanted::Never {
            return Answer::NoMemory;
        }
        match taken {
            Some(range) => {
                pool.line.retain(|&waiter| waiter != asker);
                Answer::Granted(Range {
                    span: range.span.part(0, bytes),
                    ..range
                })
            }
            None => {
                if !pool.line.contains(&asker) {
                    pool.line.push_back(asker);
                }
                Answer::Wait
            }
        }
    }

    /// `bytes` bytes, if there are so many and nobody stands in line for them.
    pub(crate) fn alloc_now(&self, bytes: usize) -> Option<Range> {
        let mut pool = self.pool.lock();
        if !pool.line.is_empty() || bytes > pool.bytes_max || pool.map().is_err() {
            return None;
        }
        let range = pool.take(bytes.next_multiple_of(PAGE_BYTES))?;
        Some(Range {
            span: range.span.part(0, bytes),
            ..range
        })
    }

    /// The first `bytes_max` bytes (or fewer) of that memory, to register with a ring; `None` if it is
    /// not the pool's any more. It is not given back to the kernel before [`Staging::unpin`].
    pub(crate) fn pin(&self, number: u64, bytes_max: usize) -> Option<Span> {
        let mut pool = self.pool.lock();
        if pool.number != number {
            return None;
        }
        let bytes = bytes_max.min(pool.bytes_max.next_multiple_of(PAGE_BYTES));
        let span = pool.block.as_ref()?.span(0, bytes);
        pool.pins += 1;
        Some(span)
    }

    /// A ring has that memory registered no longer.
    pub(crate) fn unpin(&self, number: u64) {
        let mut pool = self.pool.lock();
        if pool.number == number {
            pool.pins -= 1;
        }
    }

    /// Gives a range back; names the asker who should try again.
    #[must_use]
    pub(crate) fn free(&self, range: Range) -> Option<usize> {
        let mut pool = self.pool.lock();
        pool.give(range.offset, range.bytes);
        pool.line.front().copied()
    }

    /// The same for several ranges, with one lock.
    #[must_use]
    pub(crate) fn free_all(&self, ranges: impl Iterator<Item = Range>) -> Option<usize> {
        let mut pool = self.pool.lock();
        for range in ranges {
            pool.give(range.offset, range.bytes);
        }
        pool.line.front().copied()
    }

    /// `asker` wants nothing any more; names the asker who should try now.
    #[must_use]
    pub(crate) fn leave(&self, asker: usize) -> Option<usize> {
        let mut pool = self.pool.lock();
        let before = pool.line.len();
        pool.line.retain(|&waiter| waiter != asker);
        if let (true, Origin::Given(given)) = (pool.line.is_empty(), &mut pool.origin) {
            given.nobody_waits();
        }
        if pool.line.len() < before {
            pool.line.front().copied()
        } else {
            None
        }
    }

    /// Who is first in line, if anybody is.
    pub(crate) fn next_in_line(&self) -> Option<usize> {
        self.pool.lock().line.front().copied()
    }

    /// Whether there is memory to give back, now or when its users are done.
    pub(crate) fn holds_memory(&self) -> bool {
        self.pool.lock().touched
    }

    /// Gives idle memory back to the kernel.
    pub(crate) fn release_idle(&self) {
        let mut pool = self.pool.lock();
        if pool.bytes_in_use == 0 && pool.touched && pool.pins == 0 {
            pool.touched = false;
            // Nobody has a range, so the GPU is done with it.
            match &pool.block {
                Some(Block::Host(mapping)) => mapping.release(),
                Some(Block::Device(_)) => pool.block = None,
                None => {}
            }
            if let Pool {
                origin: Origin::Given(given),
                free,
                ..
            } = &mut *pool
            {
                given.retire_all(free);
            }
        }
    }

    /// Figures.
    pub(crate) fn stats(&self) -> StagingStats {
        let pool = self.pool.lock();
        StagingStats {
            bytes_max: pool.bytes_max,
            bytes_in_use: pool.bytes_in_use,
            bytes_peak: pool.bytes_peak,
            holds_memory: pool.touched,
        }
    }
}

impl Pool {
    /// Memory of another size, none of it in use.
    fn start_anew(&mut self, bytes_max: usize) -> bool {
        // Rings that have it registered keep their pages until they look; nobody uses those any more.
        self.block = None;
        self.number += 1;
        self.pins = 0;
        self.bytes_max = bytes_max;
        self.free.clear();
        let shares = if self.bounces { 2 } else { 1 };
        let room = bytes_max.next_multiple_of(PAGE_BYTES) * shares;
        self.bytes_room = room.min(self.bytes_room_max.unwrap_or(room));
        self.bytes_max = bytes_max.min(self.bytes_room);
        if self.bytes_room > 0 {
            self.free.push((0, self.bytes_room));
        }
        true
    }

    /// The most that one request can have.
    fn bytes_limit(&self) -> usize {
        if self.bounces || matches!(self.origin, Origin::Given(_)) {
            self.bytes_room
        } else {
            self.bytes_max
        }
    }

    /// Reserves the address space, or the device's memory, on first use.
    fn map(&mut self) -> Result<(), Error> {
        if self.block.is_none() {
            self.block = Block::new(&self.origin, self.bytes_room)?;
        }
        Ok(())
    }

    /// Asks for memory for `bytes` bytes, which the first in line did not find, where that can be asked.
    fn want(&mut self, bytes: usize) -> Wanted {
        match &mut self.origin {
            Origin::Given(given) => given.want(&mut self.free, bytes, self.bytes_max),
            Origin::Host | Origin::Device(_) => Wanted::Later,
        }
    }

    fn span(&self, offset: usize, bytes: usize) -> Option<Span> {
        match &self.origin {
            Origin::Given(given) => given.span(offset, bytes),
            Origin::Host | Origin::Device(_) => Some(self.block.as_ref()?.span(offset, bytes)),
        }
    }

    /// First fit; `bytes` is a multiple of the page size.
    fn take(&mut self, bytes: usize) -> Option<Range> {
        let index = self.free.iter().position(|&(_, free)| free >= bytes)?;
        let (offset, free) = self.free[index];
        let span = self.span(offset, bytes)?;
        if free == bytes {
            self.free.remove(index);
        } else {
            self.free[index] = (offset + bytes, free - bytes);
        }
        self.bytes_in_use += bytes;
        self.bytes_peak = self.bytes_peak.max(self.bytes_in_use);
        self.touched = true;
        Some(Range {
            pool: self.number,
            offset,
            bytes,
            span,
        })
    }

    /// Puts a range back and joins it with its free neighbours.
    fn give(&mut self, offset: usize, bytes: usize) {
        let index = self.free.partition_point(|&(start, _)| start < offset);
        let joins_next = self
            .free
            .get(index)
            .is_some_and(|&(start, _)| start == offset + bytes);
        let joins_previous = index > 0 && self.free[index - 1].0 + self.free[index - 1].1 == offset;
        debug_assert!(
            self.free
                .get(index)
                .is_none_or(|&(start, _)| start >= offset + bytes),
            "given back twice"
        );
        match (joins_previous, joins_next) {
            (true, true) => {
                self.free[index - 1].1 += bytes + self.free[index].1;
                self.free.remove(index);
            }
            (true, false) => self.free[index - 1].1 += bytes,
            (false, true) => self.free[index] = (offset, bytes + self.free[index].1),
            (false, false) => self.free.insert(index, (offset, bytes)),
        }
        self.bytes_in_use -= bytes;
        if let Origin::Given(given) = &mut self.origin {
            given.given_back(&mut self.free, offset, self.bytes_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(answer: Answer) -> Range {
        match answer {
            Answer::Granted(range) => range,
            other => panic!("expected a range, got {other:?}"),
        }
    }

    #[test]
    fn ranges_are_disjoint_aligned_and_join_again() {
        let staging = Staging::new(16 * PAGE_BYTES, None);
        let ranges: Vec<_> = (0..16).map(|_| granted(staging.alloc(1, 100))).collect();
        let mut starts: Vec<_> = ranges.iter().map(|r| r.span().address()).collect();
        starts.dedup();
        assert_eq!(starts.len(), 16);
        assert!(starts.iter().all(|start| start % PAGE_BYTES == 0));
        assert_eq!(staging.alloc(1, 1), Answer::Wait);
        let (even, odd): (Vec<_>, Vec<_>) = ranges
            .into_iter()
            .enumerate()
            .partition(|(i, _)| i % 2 == 0);
        for (_, range) in even.into_iter().chain(odd) {
            let _ = staging.free(range);
        }
        let whole = granted(staging.alloc(1, 16 * PAGE_BYTES));
        assert_eq!(staging.stats().bytes_in_use, 16 * PAGE_BYTES);
        assert_eq!(staging.free(whole), None);
        assert_eq!(staging.stats().bytes_in_use, 0);
        assert_eq!(staging.stats().bytes_peak, 16 * PAGE_BYTES);
    }

    #[test]
    fn nobody_overtakes_a_large_request() {
        let staging = Staging::new(4 * PAGE_BYTES, None);
        let small = granted(staging.alloc(1, PAGE_BYTES));
        assert_eq!(staging.alloc(2, 4 * PAGE_BYTES), Answer::Wait);
        assert_eq!(
            staging.alloc(3, PAGE_BYTES),
            Answer::Wait,
            "there is room, but 2 is first"
        );
        assert_eq!(staging.free(small), Some(2));
        let large = granted(staging.alloc(2, 4 * PAGE_BYTES));
        assert_eq!(staging.free(large), Some(3));
        assert_eq!(staging.leave(3), None, "nobody is left in line");
        let _ = staging.free(granted(staging.alloc(4, 1)));
    }

    #[test]
    fn sizes_above_the_cap_never_fit() {
        let staging = Staging::new(10_000, None);
        assert_eq!(staging.alloc(1, 10_001), Answer::TooLarge);
        assert_eq!(Staging::new(0, None).alloc(1, 1), Answer::TooLarge);
        let range = granted(staging.alloc(1, 10_000));
        assert!(!staging.set_bytes_max(5), "in use");
        let _ = staging.free(range);
        assert!(staging.holds_memory());
        staging.release_idle();
        assert!(!staging.holds_memory());
        assert!(staging.set_bytes_max(5));
    }
}
