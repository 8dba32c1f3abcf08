//! Pairs: for each hash of four bytes, the two newest positions that had it. The fastest finder.
//!
//! A fresh table says position 0, which is never inserted: it stands for "none" as well as for itself,
//! because its bytes decide anyway.

#![forbid(unsafe_code)]

use std::hint::select_unpredictable;

use super::hash::{hash3, hash4};
use super::links::Match;
use super::tile::Tile;

const HEADS: usize = 1 << 15;
const HASH3_BITS: u32 = 12;
/// Three bytes from farther back cost more than literals do.
const DISTANCE3_MAX: usize = 2048;

/// Bytes that a hash covers.
pub(super) const HASHED_BYTES: usize = 4;
/// A match of this length ends the search.
const NICE_LENGTH: usize = 16;

/// The finder.
pub(super) struct Pairs {
    /// The newer position in the lower half, the older one in the upper.
    table: Box<[u32; HEADS]>,
    /// The newest position of each hash of three bytes that was searched or inserted for them.
    table3: Box<[u16; 1 << HASH3_BITS]>,
}

impl Pairs {
    /// An empty table.
    pub(super) fn new() -> Pairs {
        Pairs {
            table: super::zeroed(),
            table3: super::zeroed(),
        }
    }

    /// Forgets the previous tile.
    pub(super) fn clear(&mut self) {
        self.table.fill(0);
        self.table3.fill(0);
    }

    /// Makes a position, which must not be 0, known without searching; the same one again changes nothing.
    #[inline(always)]
    pub(super) fn insert(&mut self, tile: &Tile, position: u16) {
        let pair = &mut self.table[hash4(tile.word(usize::from(position)), HEADS)];
        let known = *pair;
        let pushed = known << 16 | u32::from(position);
        *pair = select_unpredictable(known as u16 == position, known, pushed);
    }

    /// Makes a position known to searches for three bytes.
    #[inline(always)]
    pub(super) fn insert_near(&mut self, tile: &Tile, position: u16) {
        self.table3[hash3::<HASH3_BITS>(tile.word(usize::from(position)))] = position;
    }

    #[inline(always)]
    fn exchange(&mut self, word: u32, position: u16) -> (usize, usize) {
        let pair = &mut self.table[hash4(word, HEADS)];
        let known = *pair;
        *pair = known << 16 | u32::from(position);
        ((known & 0xffff) as usize, (known >> 16) as usize)
    }

    /// The longer of the matches with the two known positions, else one of three bytes; then inserts.
    ///
    /// Positions are searched or inserted in ascending order from 1 on; at least [`HASHED_BYTES`] bytes
    /// follow each.
    #[inline(always)]
    pub(super) fn search(&mut self, tile: &Tile, position: u16) -> Option<Match> {
        let at = usize::from(position);
        let word = tile.word(at);
        let (newer, older) = self.exchange(word, position);
        let newest3 = usize::from(std::mem::replace(
            &mut self.table3[hash3::<HASH3_BITS>(word)],
            position,
        ));
        let (newer_agrees, older_agrees) = (tile.word(newer) == word, tile.word(older) == word);
        if !(newer_agrees | older_agrees) {
            let agrees = (tile.word(newest3) ^ word) << 8 == 0 && at - newest3 <= DISTANCE3_MAX;
            return agrees.then_some(Match {
                length: 3,
                distance: at - newest3,
            });
        }
        let length_max = tile.len() - at;
        let first = if newer_agrees { newer } else { older };
        let length = tile.match_length(first, at, HASHED_BYTES, length_max);
        let best = Match {
            length,
            distance: at - first,
        };
        if newer_agrees & older_agrees && length < NICE_LENGTH {
            let length = tile.match_length(older, at, HASHED_BYTES, length_max);
            if length > best.length {
                return Some(Match {
                    length,
                    distance: at - older,
                });
            }
        }
        Some(best)
    }
}
