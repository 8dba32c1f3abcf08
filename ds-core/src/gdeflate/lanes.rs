//! The 32 lanes of a tile, and the words they share.
//!
//! Owns the refill rule, and with it the order in which lanes take words: after every operation a
//! lane that holds fewer than 32 bits takes the next word. No operation uses more than 31 bits, so
//! one word is enough and a lane always holds 32..=63 bits between operations.
//!
//! Promises: no byte outside the tile is read. Past the tile's end words read as zero, and
//! [`Words::overrun`] tells; whoever loops over input asks it often enough to stay bounded.
#![forbid(unsafe_code)]

use super::LANES;
use super::huffman::Entry;

/// One bit stream.
#[derive(Clone, Copy)]
pub(super) struct Lane {
    /// The bits not used yet, the next one lowest; zero above them.
    pub(super) bits: u64,
    /// The entry that the lane decoded last, by which the symbol phase knows whether a distance is
    /// due, plus in the low six bits `63 - (number of bits in the lane)`. That number is 32..=63
    /// between operations, so the sixth bit is the question whether the lane must take a word, and
    /// ignoring that bit afterwards counts the word. Everything above is any entry's flags.
    pub(super) state: u32,
}

impl Lane {
    /// Without any bits, and in need of the first word.
    pub(super) const EMPTY: Self = Self { bits: 0, state: 63 };

    /// How many bits the lane has: 32..=63.
    pub(super) fn held(self) -> u32 {
        63 - (self.state & 31)
    }

    /// Whether the operation before was a length, so that a distance is next.
    #[inline(always)]
    pub(super) fn distance_due(self) -> bool {
        self.state & Entry::LENGTH != 0
    }

    /// Ends an operation: drops the bits that `entry` used, and takes `word` if fewer than 32 are
    /// left. Says how many words that were: 0 or 1. Free of branches, since the answer is as good
    /// as random.
    #[inline(always)]
    pub(super) fn advance(&mut self, entry: Entry, word: u32) -> usize {
        self.bits >>= entry.bits();
        self.state = (self.state & 31) + entry.0;
        self.refill(word)
    }

    /// See `advance`.
    #[inline(always)]
    fn refill(&mut self, word: u32) -> usize {
        // The sixth bit, over the whole register.
        let needed = ((self.state << 26) as i32 >> 31) as u32;
        // A wrapping shift takes the low six bits as they are: 63 - (63 - bits held).
        self.bits |= u64::from(word & needed).wrapping_shl(!self.state);
        (self.state >> 5) as usize % 2
    }
}

/// Words that one window shows: at least what a round may take (32), a power of two so that masked
/// indices need no bounds check.
pub(super) const WINDOW_WORDS: usize = 64;

/// The next words of a tile, padded with zeros.
pub(super) type Window = [[u8; 4]; WINDOW_WORDS];

/// The words of a tile in the order the lanes take them.
pub(super) struct Words<'a> {
    tile: &'a [[u8; 4]],
    /// The next word. May pass the end of the tile; see `overrun`.
    next: usize,
    /// The last words of the tile, then zeros, so that a window never leaves memory of ours.
    tail: [[u8; 4]; 2 * WINDOW_WORDS],
    /// Where in the tile `tail` begins.
    tail_start: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(tile: &'a [[u8; 4]]) -> Self {
        let tail_start = tile.len().saturating_sub(WINDOW_WORDS);
        let mut tail = [[0; 4]; 2 * WINDOW_WORDS];
        tail[..tile.len() - tail_start].copy_from_slice(&tile[tail_start..]);
        Self {
            tile,
            next: 0,
            tail,
            tail_start,
        }
    }

    /// Whether more words were taken than the tile has.
    #[inline]
    pub(super) fn overrun(&self) -> bool {
        self.next > self.tile.len()
    }

    /// The next [`WINDOW_WORDS`] words. The caller must [`Words::advance`] by what it used.
    #[inline]
    pub(super) fn window(&self) -> &Window {
        let next = self.next.min(self.tile.len());
        match self.tile[next..].first_chunk() {
            Some(window) => window,
            None => self.tail_window(next),
        }
    }

    /// The window near the end: `next` is at most a window's length behind `tail_start`, because a
    /// whole window did not fit any more.
    #[cold]
    fn tail_window(&self, next: usize) -> &Window {
        self.tail[next - self.tail_start..]
            .first_chunk()
            .expect("the tail holds two windows")
    }

    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.next += count;
    }

    /// The next word, not yet taken.
    #[inline(always)]
    fn peek(&self) -> u32 {
        u32::from_le_bytes(self.tile.get(self.next).copied().unwrap_or_default())
    }

    /// Ends an operation of `lane`; see [`Lane::advance`].
    #[inline(always)]
    pub(super) fn finish(&mut self, lane: &mut Lane, entry: Entry) {
        self.next += lane.advance(entry, self.peek());
    }

    /// The first word of every lane, in order.
    pub(super) fn fill(&mut self, lanes: &mut [Lane; LANES]) {
        for lane in lanes {
            *lane = Lane::EMPTY;
            self.next += lane.refill(self.peek());
        }
    }

    /// One whole operation: takes `count` bits (0..=31) from `lane`.
    #[inline(always)]
    pub(super) fn take(&mut self, lane: &mut Lane, count: u32) -> u32 {
        let value = lane.bits as u32 & ((1 << count) - 1);
        self.finish(lane, Entry::bits_only(count));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_keep_32_to_63_bits_and_take_words_in_order() {
        let tile: Vec<[u8; 4]> = (0..200u32)
            .map(|i| (i * 0x0101_0101).to_le_bytes())
            .collect();
        let mut words = Words::new(&tile);
        let mut lanes = [Lane::EMPTY; LANES];
        words.fill(&mut lanes);
        assert!(
            lanes
                .iter()
                .enumerate()
                .all(|(i, lane)| lane.bits == i as u64 * 0x0101_0101)
        );
        // Lane 5 first, so word 32 is its second one.
        assert_eq!(words.take(&mut lanes[5], 31), 0x0505_0505);
        assert_eq!(words.take(&mut lanes[5], 31), 0x4040_4040);
        assert!(lanes.iter().all(|lane| (32..64).contains(&lane.held())));
        assert!(!words.overrun());
    }

    #[test]
    fn words_past_the_end_are_zero_and_reported() {
        let tile = [[0xFF; 4]; 40];
        let mut words = Words::new(&tile);
        assert_eq!(words.window()[39], [0xFF; 4]);
        assert_eq!(words.window()[40], [0; 4]);
        words.advance(40);
        assert_eq!(*words.window(), [[0; 4]; WINDOW_WORDS]);
        assert!(!words.overrun());
        words.advance(1);
        assert_eq!(*words.window(), [[0; 4]; WINDOW_WORDS]);
        assert!(words.overrun());
    }
}
