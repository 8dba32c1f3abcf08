//! Hash chains: all earlier positions that may start with the same four bytes, newest first.
//!
//! The tile is the window, so nothing ever leaves and positions are `u16`. Tables need no marker for "none":
//! a fresh head says position 0, which is a true candidate (it is never inserted, it is simply always there),
//! and a chain that reaches it ends. Candidates are only candidates; their bytes decide.

#![forbid(unsafe_code)]

use super::hash::{hash3, hash4};
use super::tile::Tile;

const HASH3_BITS: u32 = 13;
const HASH4_BITS: u32 = 16;

/// A match, or `length` 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// How long.
    pub(super) length: usize,
    /// How far back.
    pub(super) distance: usize,
}

impl Match {
    /// No match.
    pub(super) const NONE: Match = Match {
        length: 0,
        distance: 0,
    };

    /// Itself if it was found, that is, has a distance.
    #[inline(always)]
    pub(super) fn or_none(self) -> Match {
        if self.distance == 0 {
            Match::NONE
        } else {
            self
        }
    }
}

/// How hard to search.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// Candidates looked at.
    pub(super) depth: u32,
    /// A match of this length ends the search.
    pub(super) nice_length: usize,
}

/// What greedy and lazy parses ask for.
pub(super) trait Finder {
    /// Forgets the previous tile.
    fn clear(&mut self);

    /// Makes a position, which must not be 0, known without searching.
    fn insert(&mut self, tile: &Tile, position: u16);

    /// The longest match at a position longer than `longer_than` (at least 2), of those within the effort;
    /// then inserts it.
    ///
    /// Positions are searched or inserted in ascending order, each once, from 1 on.
    fn search(&mut self, tile: &Tile, position: u16, longer_than: usize, effort: Effort) -> Match;
}

/// A match of three bytes with the newest position of the same hash, or else `best`.
#[inline(always)]
pub(super) fn hash3_match(
    tile: &Tile,
    position: u16,
    newest: u16,
    word: u32,
    best: Match,
) -> Match {
    /// Three bytes from farther back cost more than literals do.
    const DISTANCE_MAX: usize = 4096;
    let distance = usize::from(position - newest);
    let agrees = (tile.word(usize::from(newest)) ^ word) << 8 == 0;
    if agrees && distance <= DISTANCE_MAX {
        Match {
            length: 3,
            distance,
        }
    } else {
        best
    }
}

/// The finder.
pub(super) struct Chains {
    /// Newest position of each hash of three bytes.
    heads3: Box<[u16; 1 << HASH3_BITS]>,
    /// Newest position of each hash of four bytes.
    heads4: Box<[u16; 1 << HASH4_BITS]>,
    /// The next older position of the same hash.
    older: Box<[u16; 1 << 16]>,
}

impl Chains {
    /// Empty tables.
    pub(super) fn new() -> Chains {
        Chains {
            heads3: super::zeroed(),
            heads4: super::zeroed(),
            older: super::zeroed(),
        }
    }
}

impl Finder for Chains {
    /// `older` is only ever read where this tile has written.
    fn clear(&mut self) {
        self.heads3.fill(0);
        self.heads4.fill(0);
    }

    #[inline(always)]
    fn insert(&mut self, tile: &Tile, position: u16) {
        let word = tile.word(usize::from(position));
        self.heads3[hash3::<HASH3_BITS>(word)] = position;
        let head = &mut self.heads4[hash4::<HASH4_BITS>(word)];
        self.older[usize::from(position)] = *head;
        *head = position;
    }

    #[inline(always)]
    fn search(&mut self, tile: &Tile, position: u16, longer_than: usize, effort: Effort) -> Match {
        let at = usize::from(position);
        let word = tile.word(at);
        let length_max = tile.len() - at;
        let candidate3 = std::mem::replace(&mut self.heads3[hash3::<HASH3_BITS>(word)], position);
        let mut candidate =
            std::mem::replace(&mut self.heads4[hash4::<HASH4_BITS>(word)], position);
        self.older[at] = candidate;
        let mut best = Match {
            length: longer_than,
            distance: 0,
        };
        if length_max <= longer_than {
            return Match::NONE;
        }
        if longer_than < 3 {
            best = hash3_match(tile, position, candidate3, word, best);
            if length_max == 3 {
                return best.or_none();
            }
        }
        // A better match must agree here, where the best one ends, and that is where most candidates differ.
        let mut end = best.length.saturating_sub(3);
        let mut tail = tile.word(at + end);
        for _ in 0..effort.depth {
            let earlier = usize::from(candidate);
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
            if candidate == 0 {
                break;
            }
            candidate = self.older[earlier];
        }
        best.or_none()
    }
}
