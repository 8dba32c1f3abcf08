//! The 32 lanes of a tile: takes operations in decoding order, puts their bits into the right words.
//!
//! A decoder refills a lane from the shared word list whenever fewer than 32 bits are left in it, so the
//! order of the words is the order of the refills, and an encoder must replay them. The replay is short when
//! a lane counts the bits of its *current* word as 1..=32 instead of 0..=31: then it always owns exactly two
//! words, the current one and the next, and one rule covers everything: an operation that takes the count
//! above 32 finishes the current word, and this is also the moment of the decoder's refill, which claims the
//! first free word of the tile. A fresh lane has a full, imaginary current word (`filled` = 32) and its
//! initial word as the next one.

#![forbid(unsafe_code)]

use std::hint::select_unpredictable;

#[cfg(target_arch = "x86_64")]
use super::vector::State;

/// Lanes in a tile.
pub(super) const LANES: usize = 32;

/// Words of room. A tile is never written with more bits than two stored blocks take (encode.rs), which is
/// 16,418 words.
const WORDS_ROOM: usize = 1 << 15;

/// Where the imaginary first words of the lanes go: far beyond anything that is kept.
const IMAGINARY: u16 = (WORDS_ROOM - 1) as u16;

/// One operation: at most 31 bits, and how many.
///
/// The bits are in the lower half, the count in the upper half, so that lists of operations are dense and an
/// empty one is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Op(u64);

impl Op {
    /// An operation that takes no bits: the lane passes its turn.
    pub(super) const NONE: Op = Op(0);

    /// `count` bits, the first one lowest.
    #[inline(always)]
    pub(super) const fn new(bits: u32, count: u32) -> Op {
        debug_assert!(count <= 31);
        Op(bits as u64 | (count as u64) << 32)
    }

    /// These bits, then `extra`.
    #[inline(always)]
    pub(super) const fn then(self, extra: u32, count: u32) -> Op {
        Op::new(self.bits() | extra << self.count(), self.count() + count)
    }

    /// Its bits.
    #[inline(always)]
    pub(super) const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// How many bits.
    #[inline(always)]
    pub(super) const fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What a lane has not yet finished.
#[derive(Clone, Copy)]
struct Lane {
    /// Bits of the current word, zero above `filled`.
    bits: u64,
    /// Bits in the current word, 1..=32.
    filled: u32,
    /// Index of the current word.
    current: u16,
    /// Index of the word after it.
    next: u16,
}

impl Lane {
    /// One operation; `words_used` is the first word that no lane has claimed, before and after.
    #[inline(always)]
    fn put(&mut self, op: Op, words_used: u16, words: &mut [u32; WORDS_ROOM]) -> u16 {
        let bits = self.bits | u64::from(op.bits()) << self.filled;
        let filled = self.filled + op.count();
        // Stored every time: whether a word is finished is unpredictable, and a later store to the same word
        // corrects this one.
        words[usize::from(self.current) % WORDS_ROOM] = bits as u32;
        let full = filled > 32;
        let (current, next) = (self.current, self.next);
        *self = Lane {
            bits: select_unpredictable(full, bits >> 32, bits),
            filled: select_unpredictable(full, filled.wrapping_sub(32), filled),
            current: select_unpredictable(full, next, current),
            next: select_unpredictable(full, words_used, next),
        };
        words_used + u16::from(full)
    }
}

/// The words of one tile under construction.
pub(super) struct Lanes {
    lanes: [Lane; LANES],
    words: Box<[u32; WORDS_ROOM]>,
    words_used: u16,
}

impl Lanes {
    /// Room for one tile; call [`Self::start`] before use.
    pub(super) fn new() -> Lanes {
        let lane = Lane {
            bits: 0,
            filled: 32,
            current: IMAGINARY,
            next: 0,
        };
        Lanes {
            lanes: [lane; LANES],
            words: super::zeroed(),
            words_used: 0,
        }
    }

    /// Forgets the previous tile.
    pub(super) fn start(&mut self) {
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            *lane = Lane {
                bits: 0,
                filled: 32,
                current: IMAGINARY,
                next: index as u16,
            };
        }
        self.words_used = LANES as u16;
    }

    /// One operation of one lane.
    #[inline(always)]
    pub(super) fn put(&mut self, lane: usize, op: Op) {
        let lane = &mut self.lanes[lane % LANES];
        self.words_used = lane.put(op, self.words_used, &mut self.words);
    }

    /// Operations of whole rounds: lane 0 first.
    #[inline(always)]
    pub(super) fn put_rounds(&mut self, ops: &[Op]) {
        let mut words_used = self.words_used;
        for round in ops.chunks(LANES) {
            for (lane, &op) in self.lanes.iter_mut().zip(round) {
                words_used = lane.put(op, words_used, &mut self.words);
            }
        }
        self.words_used = words_used;
    }

    /// Lets someone else do operations on the lanes, who gives finished words to the function handed over,
    /// with their indices.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn lend<T>(
        &mut self,
        work: impl FnOnce(&mut State, &mut dyn FnMut(u32, u32)) -> T,
    ) -> T {
        let mut state = State {
            bits: self.lanes.map(|lane| lane.bits as u32),
            filled: self.lanes.map(|lane| lane.filled),
            current: self.lanes.map(|lane| u32::from(lane.current)),
            next: self.lanes.map(|lane| u32::from(lane.next)),
            words_used: u32::from(self.words_used),
        };
        let words = &mut self.words;
        let result = work(&mut state, &mut |index, word| {
            words[index as usize % WORDS_ROOM] = word
        });
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            *lane = Lane {
                bits: u64::from(state.bits[index]),
                filled: state.filled[index],
                current: state.current[index] as u16,
                next: state.next[index] as u16,
            };
        }
        self.words_used = state.words_used as u16;
        result
    }

    /// How many words the tile has so far; final once the last operation is in.
    pub(super) fn word_count(&self) -> usize {
        usize::from(self.words_used)
    }

    /// Writes the unfinished words and appends the tile.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        for lane in &self.lanes {
            self.words[usize::from(lane.current) % WORDS_ROOM] = lane.bits as u32;
            // The reserved word of each lane carries no bits yet, and no later tile's leftovers either.
            self.words[usize::from(lane.next) % WORDS_ROOM] = 0;
        }
        let words = &self.words[..usize::from(self.words_used)];
        out.reserve(words.len() * 4);
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decoder's own rule, from the specification, as slowly as it reads.
    fn words_by_refill_rule(ops: &[(usize, u32)]) -> usize {
        let mut left = [32_u32; LANES];
        let mut words = LANES;
        for &(lane, count) in ops {
            left[lane] -= count;
            if left[lane] < 32 {
                left[lane] += 32;
                words += 1;
            }
        }
        words
    }

    #[test]
    fn words_follow_the_refill_rule() {
        let mut seed = 1_u32;
        let mut next = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % below
        };
        let mut lanes = Lanes::new();
        for _ in 0..100 {
            let ops: Vec<(usize, u32)> = (0..next(500))
                .map(|_| (next(32) as usize, next(32)))
                .collect();
            lanes.start();
            for &(lane, count) in &ops {
                lanes.put(lane, Op::new(0, count));
            }
            assert_eq!(lanes.word_count(), words_by_refill_rule(&ops));
        }
    }

    #[test]
    fn an_empty_tile_is_the_first_words() {
        let mut lanes = Lanes::new();
        lanes.start();
        let mut out = Vec::new();
        lanes.finish(&mut out);
        assert_eq!(out, [0; 128]);
    }
}
