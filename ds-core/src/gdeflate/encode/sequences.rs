//! What a parse yields: literal runs and matches, in input order, with counts of their symbols.

use super::alphabet::{
    DISTANCE_COUNT, END_OF_BLOCK, LITLEN_COUNT, distance_extra_bits, distance_symbol,
    length_symbol, litlen_extra_bits,
};

/// Literals in one sequence at most, so that a block border can fall into a long run of them.
const RUN_MAX: u16 = 1024;

/// Some literals, then a match or, where `length` is 0, none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    /// Literals before the match.
    pub(super) literals: u16,
    /// Length of the match.
    pub(super) length: u16,
    /// Its distance.
    pub(super) distance: u16,
}

impl Sequence {
    /// Bytes of input the sequence stands for.
    #[inline(always)]
    pub(super) fn bytes(self) -> usize {
        usize::from(self.literals) + usize::from(self.length)
    }
}

/// A tile as sequences, under construction.
pub(super) struct Sequences {
    list: Vec<Sequence>,
    /// Input bytes covered by `list`.
    covered: usize,
}

impl Sequences {
    /// None; the list grows to what a tile needs, once.
    pub(super) fn new() -> Sequences {
        Sequences {
            list: Vec::with_capacity(1 << 14),
            covered: 0,
        }
    }

    /// Forgets the previous tile.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.covered = 0;
    }

    /// A match at `position`; everything uncovered before it is literals.
    #[inline(always)]
    pub(super) fn push_match(&mut self, position: usize, length: usize, distance: usize) {
        if position - self.covered > usize::from(RUN_MAX) {
            self.push_literals(position);
        }
        let literals = (position - self.covered) as u16;
        self.list.push(Sequence {
            literals,
            length: length as u16,
            distance: distance as u16,
        });
        self.covered = position + length;
    }

    /// Literals up to `end`.
    #[cold]
    pub(super) fn push_literals(&mut self, end: usize) {
        while self.covered < end {
            let literals = (end - self.covered).min(usize::from(RUN_MAX)) as u16;
            self.list.push(Sequence {
                literals,
                length: 0,
                distance: 0,
            });
            self.covered += usize::from(literals);
        }
    }

    /// All sequences so far.
    pub(super) fn list(&self) -> &[Sequence] {
        &self.list
    }
}

/// How often a part of the input uses each symbol.
#[derive(Clone)]
pub(super) struct Histogram {
    /// Literal/length symbols; the end of block is not counted until [`Self::end_block`].
    pub(super) litlen: [u32; LITLEN_COUNT],
    /// Distance symbols.
    pub(super) distance: [u32; DISTANCE_COUNT],
}

impl Histogram {
    /// Nothing counted.
    pub(super) const EMPTY: Histogram = Histogram {
        litlen: [0; LITLEN_COUNT],
        distance: [0; DISTANCE_COUNT],
    };

    /// Counts a sequence whose literals come first in `input`.
    #[inline(always)]
    pub(super) fn count(&mut self, sequence: Sequence, input: &[u8]) {
        for &byte in &input[..usize::from(sequence.literals)] {
            self.litlen[usize::from(byte)] += 1;
        }
        if sequence.length != 0 {
            self.litlen[length_symbol(usize::from(sequence.length))] += 1;
            self.distance[distance_symbol(sequence.distance)] += 1;
        }
    }

    /// Adds all counts of another part.
    pub(super) fn add(&mut self, other: &Histogram) {
        for (sum, count) in self.litlen.iter_mut().zip(&other.litlen) {
            *sum += count;
        }
        for (sum, count) in self.distance.iter_mut().zip(&other.distance) {
            *sum += count;
        }
    }

    /// Every block ends with one end-of-block symbol.
    pub(super) fn end_block(&mut self) {
        self.litlen[END_OF_BLOCK] = 1;
    }

    /// Bits that no choice of codes can change.
    pub(super) fn extra_bits(&self) -> usize {
        let lengths = (265..=285).map(|symbol| self.litlen[symbol] * litlen_extra_bits(symbol));
        let distances =
            (4..DISTANCE_COUNT).map(|symbol| self.distance[symbol] * distance_extra_bits(symbol));
        lengths.chain(distances).sum::<u32>() as usize
    }
}
