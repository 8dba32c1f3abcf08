//! The second half of decoding: literals and matches, once known, become output.
//!
//! A tile is decoded in batches. The symbol phase appends literals, matches and distances to the
//! three lists of a [`Batch`]; [`Output::execute_inline`] then walks them strictly in output order, which
//! makes every byte before a match final by the time it is copied. Distances arrive a round after
//! their matches but in the same order, so the lists line up by index; what still waits for its
//! distance is carried into the next batch.
//!
//! Why two halves: literals that wait in a list of their own cannot be damaged, so that copies may
//! write past their end, in whole blocks of 16 bytes, wherever the output has room for that.
//!
//! Promises: no byte outside the output is touched; a match that begins before the output or ends
//! behind it is an error.
#![forbid(unsafe_code)]

use super::huffman::Entry;
use super::{DecodeError, LANES};

/// Rounds in a batch. Small enough for all lists to stay in the first-level cache.
pub(super) const BATCH_ROUNDS: usize = 61;

/// Elements of each list: a power of two, so that masked indices need no bounds check. The slack
/// lets copies of literals read a whole block.
const LIST_LEN: usize = 2048;
const _: () = assert!((BATCH_ROUNDS + 1) * LANES + BLOCK <= LIST_LEN);

/// Bytes copied at once. Reads and writes may pass the end of a copy by less than this.
const BLOCK: usize = 16;

/// What the symbol phase found, not yet in the output.
pub(super) struct Batch {
    literals: [u8; LIST_LEN],
    /// Number of literals before the match in the low bits, its length above them.
    matches: [u32; LIST_LEN],
    distances: [u32; LIST_LEN],
    pub(super) counts: Counts,
    /// See [`Batch::mostly_literals`].
    mostly_literals: bool,
}

/// Bits of a match that count literals.
const LITERALS_BITS: u32 = LIST_LEN.ilog2();

/// How many elements each list has. Separate, to live in registers while a batch grows.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    literals: usize,
    matches: usize,
    distances: usize,
}

impl Counts {
    /// Counts the value that was put last: `entry`'s, decoded by a lane that was in `state`. If a
    /// distance was due then it is a distance, otherwise the entry knows.
    #[inline(always)]
    pub(super) fn add(&mut self, entry: Entry, state: u32) {
        self.literals += (entry.0 / Entry::LITERAL) as usize;
        self.matches += (entry.0 / Entry::LENGTH) as usize % 2;
        self.distances += (state / Entry::LENGTH) as usize % 2;
    }
}

impl Batch {
    pub(super) const EMPTY: Self = Self {
        literals: [0; LIST_LEN],
        matches: [0; LIST_LEN],
        distances: [0; LIST_LEN],
        counts: Counts {
            literals: 0,
            matches: 0,
            distances: 0,
        },
        mostly_literals: false,
    };

    /// Writes `value` as the next element of *every* list. Whoever calls this then raises the
    /// count of the one list it belongs to: a write is cheaper than a branch that cannot be
    /// predicted.
    #[inline(always)]
    pub(super) fn put(&mut self, at: &Counts, value: u32) {
        self.literals[at.literals % LIST_LEN] = value as u8;
        self.matches[at.matches % LIST_LEN] = value << LITERALS_BITS | at.literals as u32;
        self.distances[at.distances % LIST_LEN] = value;
    }

    /// Writes and counts several literals.
    #[inline(always)]
    pub(super) fn put_literals<const N: usize>(&mut self, counts: &mut Counts, literals: [u8; N]) {
        self.literals[counts.literals..][..N].copy_from_slice(&literals);
        counts.literals += N;
    }

    /// Whether the last batch executed was nearly all literals; the next one is then likely to be.
    pub(super) fn mostly_literals(&self) -> bool {
        self.mostly_literals
    }

    /// Forgets the first `matches` matches, with their distances, and the first `literals` literals.
    fn carry(&mut self, literals: usize, matches: usize) {
        let counts = self.counts;
        self.mostly_literals = literals > 16 * matches;
        self.literals.copy_within(literals..counts.literals, 0);
        self.matches.copy_within(matches..counts.matches, 0);
        self.counts = Counts {
            literals: counts.literals - literals,
            matches: counts.matches - matches,
            distances: 0,
        };
        for waiting in &mut self.matches[..self.counts.matches] {
            *waiting -= literals as u32;
        }
    }
}

/// The output of one tile, and how much of it is written.
pub(super) struct Output<'a> {
    bytes: &'a mut [u8],
    written: usize,
}

impl<'a> Output<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, written: 0 }
    }

    /// Bytes not yet written.
    pub(super) fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.written..]
    }

    /// Counts bytes that were written through `rest`.
    pub(super) fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes.len() - self.written);
        self.written += bytes;
    }

    /// The output, and how much of it is written.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) fn parts(&mut self) -> (&mut [u8], &mut usize) {
        (self.bytes, &mut self.written)
    }

    /// Executes everything up to the first match without a distance and keeps the rest in `batch`.
    #[inline(always)]
    pub(super) fn execute_inline(&mut self, batch: &mut Batch) -> Result<(), DecodeError> {
        let counts = batch.counts;
        let mut literals_done = 0;
        let known = batch.matches[..counts.distances]
            .iter()
            .zip(&batch.distances);
        for (sequence, distance) in known {
            let literals_until = *sequence as usize % LIST_LEN;
            let length = (*sequence >> LITERALS_BITS) as usize;
            self.sequence(
                &batch.literals,
                literals_done,
                literals_until,
                length,
                *distance as usize,
            )?;
            literals_done = literals_until;
        }
        let literals_until = match batch.matches[..counts.matches].get(counts.distances) {
            Some(waiting) => *waiting as usize % LIST_LEN,
            None => counts.literals,
        };
        self.literals(&batch.literals[literals_done..literals_until])?;
        batch.carry(literals_until, counts.distances);
        Ok(())
    }

    /// Literals `from..until` of the list, then a match.
    #[inline(always)]
    fn sequence(
        &mut self,
        literals: &[u8; LIST_LEN],
        from: usize,
        until: usize,
        length: usize,
        distance: usize,
    ) -> Result<(), DecodeError> {
        let start = self.written;
        let target = start + (until - from);
        let end = target + length;
        if distance > target {
            return Err(DecodeError::Distance);
        }
        if end + BLOCK > self.bytes.len() {
            return self.sequence_at_end(&literals[from..until], length, distance);
        }
        // From here on there is room for a block behind the sequence, and so behind each part.
        copy_block(literals, from, self.bytes, start);
        let mut done = BLOCK;
        while done < until - from {
            copy_block(literals, from + done, self.bytes, start + done);
            done += BLOCK;
        }
        let source = target - distance;
        if distance >= BLOCK {
            let mut done = 0;
            loop {
                move_block(self.bytes, source + done, target + done);
                done += BLOCK;
                if done >= length {
                    break;
                }
            }
        } else {
            repeat(self.bytes, distance, target, end);
        }
        self.written = end;
        Ok(())
    }

    /// The same where copies must be exact, because the output ends.
    #[cold]
    pub(super) fn sequence_at_end(
        &mut self,
        literals: &[u8],
        length: usize,
        distance: usize,
    ) -> Result<(), DecodeError> {
        if distance > self.written + literals.len() {
            return Err(DecodeError::Distance);
        }
        self.literals(literals)?;
        if length > self.bytes.len() - self.written {
            return Err(DecodeError::OutputOverflow);
        }
        // What lies between source and target is the pattern a whole number of times, and each copy
        // adds as much again: few copies, however long the match.
        let (source, end) = (self.written - distance, self.written + length);
        while self.written < end {
            let bytes = (self.written - source).min(end - self.written);
            self.bytes.copy_within(source..source + bytes, self.written);
            self.written += bytes;
        }
        Ok(())
    }

    pub(super) fn literals(&mut self, literals: &[u8]) -> Result<(), DecodeError> {
        let rest = self.rest();
        rest.get_mut(..literals.len())
            .ok_or(DecodeError::OutputOverflow)?
            .copy_from_slice(literals);
        self.written += literals.len();
        Ok(())
    }

    /// The end of the tile: was everything written?
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.written == self.bytes.len() {
            Ok(())
        } else {
            Err(DecodeError::OutputUnderflow)
        }
    }
}

#[inline(always)]
fn copy_block(from: &[u8], source: usize, to: &mut [u8], target: usize) {
    to[target..target + BLOCK].copy_from_slice(&from[source..source + BLOCK]);
}

/// A block within the output: read whole, then written whole.
#[inline(always)]
fn move_block(bytes: &mut [u8], source: usize, target: usize) {
    bytes.copy_within(source..source + BLOCK, target);
}

/// A match at a distance below [`BLOCK`]: the last `distance` bytes, again and again. Writes less
/// than a block behind `end`.
#[inline(always)]
fn repeat(bytes: &mut [u8], distance: usize, target: usize, end: usize) {
    /// Half a block: one register's worth.
    const WORD: usize = BLOCK / 2;
    let mut at = target;
    if distance >= WORD {
        while at < end {
            bytes.copy_within(at - distance..at - distance + WORD, at);
            at += WORD;
        }
    } else {
        // The pattern, as often as it fits into a word; further down only this register is read.
        let first: [u8; WORD] = *bytes[at - distance..]
            .first_chunk()
            .expect("room for a block");
        let mut bits = WORD_BITS_MAX.min(8 * distance as u32);
        let mut pattern = u64::from_le_bytes(first) & (u64::MAX >> (64 - bits));
        while bits < 64 {
            pattern |= pattern << bits;
            bits *= 2;
        }
        let step = WORD / distance * distance;
        while at < end {
            bytes[at..at + WORD].copy_from_slice(&pattern.to_le_bytes());
            at += step;
        }
    }
}

/// Bits of the longest pattern that `repeat` keeps in a register.
const WORD_BITS_MAX: u32 = 56;
