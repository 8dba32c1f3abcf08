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
//! What writes the output, and promises to stay within it, is output.rs.
#![forbid(unsafe_code)]

use super::huffman::Entry;
use super::output::{BLOCK, Output};
use super::{DecodeError, LANES};

/// Rounds in a batch. Small enough for all lists to stay in the first-level cache.
pub(super) const BATCH_ROUNDS: usize = 61;

/// Elements of each list: a power of two, so that masked indices need no bounds check. The slack
/// lets copies of literals read a whole block.
const LIST_LEN: usize = 2048;
const _: () = assert!((BATCH_ROUNDS + 1) * LANES + BLOCK <= LIST_LEN);

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

impl Output<'_> {
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
        self.put(&batch.literals[literals_done..literals_until])?;
        batch.carry(literals_until, counts.distances);
        Ok(())
    }
}
