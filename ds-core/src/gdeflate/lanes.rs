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

/// One bit stream. `last` belongs to the symbol phase: the table entry the lane decoded last, by
/// which the next round knows whether a distance is due.
#[derive(Clone, Copy, Default)]
pub(super) struct Lane {
    /// The bits not used yet, the next one lowest; zero above `held`.
    pub(super) bits: u64,
    /// How many there are.
    pub(super) held: u32,
    /// See [`super::huffman`] for entries.
    pub(super) last: u32,
}

impl Lane {
    /// Drops `count` bits (0..=31) that the caller has looked at.
    #[inline(always)]
    pub(super) fn drop_bits(&mut self, count: u32) {
        debug_assert!(count < 32 && self.held >= 32);
        self.bits >>= count;
        self.held -= count;
    }

    /// Takes `word` if fewer than 32 bits are left, and says how many words that were: 0 or 1.
    /// Free of branches, since the answer is as good as random.
    #[inline(always)]
    pub(super) fn refill(&mut self, word: u32) -> usize {
        let taken = (self.held >> 5) ^ 1;
        self.bits |= u64::from(word & taken.wrapping_neg()) << self.held;
        // Sets 32 where a word was taken, and changes nothing where it was not needed.
        self.held |= 32;
        taken as usize
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

    /// Ends an operation of `lane`: refills it from the next word.
    #[inline(always)]
    pub(super) fn refill(&mut self, lane: &mut Lane) {
        let word = self.tile.get(self.next).copied().unwrap_or_default();
        self.next += lane.refill(u32::from_le_bytes(word));
    }

    /// The first word of every lane, in order.
    pub(super) fn fill(&mut self, lanes: &mut [Lane; LANES]) {
        for lane in lanes {
            *lane = Lane::default();
            self.refill(lane);
        }
    }

    /// One whole operation: takes `count` bits (0..=31) from `lane`.
    #[inline(always)]
    pub(super) fn take(&mut self, lane: &mut Lane, count: u32) -> u32 {
        let value = lane.bits as u32 & ((1 << count) - 1);
        lane.drop_bits(count);
        self.refill(lane);
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
        let mut lanes = [Lane::default(); LANES];
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
        assert!(lanes.iter().all(|lane| (32..64).contains(&lane.held)));
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
