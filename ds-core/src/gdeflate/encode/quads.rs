//! Quads: for each hash of four bytes, the four newest positions that had it, in one word.
//!
//! Against chains of the same depth this finds a little less, since strangers with the same hash push older
//! positions out, but it does so without a walk: one load names all candidates. As in `chains.rs`, position 0
//! stands for "none" as well as for itself, because its bytes decide anyway.

#![forbid(unsafe_code)]

use super::chains::{Effort, Finder, Match, hash3_match};
use super::hash::{hash3, hash4};
use super::tile::Tile;

const HASH3_BITS: u32 = 12;
const HASH4_BITS: u32 = 15;
/// Positions of one hash.
const WAYS: u32 = 4;

/// The finder.
pub(super) struct Quads {
    /// The newest position lowest.
    table: Box<[u64; 1 << HASH4_BITS]>,
    /// The newest position of each hash of three bytes.
    heads3: Box<[u16; 1 << HASH3_BITS]>,
}

impl Quads {
    /// An empty table.
    pub(super) fn new() -> Quads {
        Quads {
            table: super::zeroed(),
            heads3: super::zeroed(),
        }
    }
}

impl Finder for Quads {
    fn clear(&mut self) {
        self.table.fill(0);
        self.heads3.fill(0);
    }

    #[inline(always)]
    fn insert(&mut self, tile: &Tile, position: u16) {
        let word = tile.word(usize::from(position));
        self.heads3[hash3::<HASH3_BITS>(word)] = position;
        let known = &mut self.table[hash4::<HASH4_BITS>(word)];
        *known = *known << 16 | u64::from(position);
    }

    #[inline(always)]
    fn search(&mut self, tile: &Tile, position: u16, longer_than: usize, effort: Effort) -> Match {
        let at = usize::from(position);
        let word = tile.word(at);
        let length_max = tile.len() - at;
        let newest3 = std::mem::replace(&mut self.heads3[hash3::<HASH3_BITS>(word)], position);
        let known = &mut self.table[hash4::<HASH4_BITS>(word)];
        let mut candidates = *known;
        *known = candidates << 16 | u64::from(position);
        if length_max <= longer_than {
            return Match::NONE;
        }
        let mut best = Match {
            length: longer_than,
            distance: 0,
        };
        if longer_than < 3 {
            best = hash3_match(tile, position, newest3, word, best);
            if length_max == 3 {
                return best.or_none();
            }
        }
        let mut end = best.length.saturating_sub(3);
        let mut tail = tile.word(at + end);
        for _ in 0..effort.depth.min(WAYS) {
            let earlier = usize::from(candidates as u16);
            candidates >>= 16;
            if tile.word(earlier + end) == tail && tile.word(earlier) == word {
                let length = tile.match_length(earlier, at, 4, length_max);
                if length > best.length {
                    best = Match {
                        length,
                        distance: at - earlier,
                    };
                    if length >= effort.nice_length || length == length_max {
                        break;
                    }
                    end = length - 3;
                    tail = tile.word(at + end);
                }
            }
        }
        best.or_none()
    }
}
