//! Binary trees: for a position, its closest earlier match of every length.
//!
//! All positions whose first four bytes have the same hash form a tree, ordered by the bytes that follow
//! them, newest at the root. A search walks down to where the new position belongs, meets the longest matches
//! on the way, newest first, and rebuilds the tree around the new root. Nodes are numbered by position plus
//! one, so that fresh tables say "none".

#![forbid(unsafe_code)]

use super::alphabet::distance_symbol;
use super::hash::{hash3, hash4};
use super::links::Effort;
use super::tile::Tile;

const HASH3_BITS: u32 = 14;
const HASH4_BITS: u32 = 16;

/// Bytes at a position that its hash covers; later positions are neither inserted nor searched.
pub(super) const HASHED_BYTES: usize = 4;

/// A match in four bytes, since there are many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How long.
    pub(super) length: u16,
    /// How far back.
    pub(super) distance: u16,
}

impl Found {
    #[inline(always)]
    fn new(length: usize, distance: usize) -> Found {
        Found {
            length: length as u16,
            distance: distance as u16,
        }
    }
}

/// The finder.
pub(super) struct Trees {
    /// The two newest nodes of each hash of three bytes.
    heads3: Box<[[u16; 2]; 1 << HASH3_BITS]>,
    /// The root of each hash of four bytes.
    roots: Box<[u16; 1 << HASH4_BITS]>,
    /// The lesser and the greater child of each position.
    children: Box<[[u16; 2]; 1 << 16]>,
}

impl Trees {
    /// Empty trees.
    pub(super) fn new() -> Trees {
        Trees {
            heads3: super::zeroed(),
            roots: super::zeroed(),
            children: super::zeroed(),
        }
    }

    /// Forgets the previous tile; children are only ever read where this tile has written.
    pub(super) fn clear(&mut self) {
        self.heads3.fill([0; 2]);
        self.roots.fill(0);
    }

    /// Inserts a position and appends its matches to `found`: lengths and distances rise, and each is the
    /// closest match of its length. Of those whose distances cost the same only the longest is kept, so there
    /// are never more than distance symbols.
    ///
    /// Positions come in ascending order, and each has at least [`HASHED_BYTES`] bytes to the end of the
    /// tile.
    #[inline(always)]
    pub(super) fn search(
        &mut self,
        tile: &Tile,
        position: u16,
        effort: Effort,
        found: &mut Vec<Found>,
    ) {
        let at = usize::from(position);
        let word = tile.word(at);
        let first = found.len();
        let mut longest = self.search3(tile, position, word, found);
        let length_max = tile.len() - at;
        self.descend(
            tile,
            position,
            word,
            effort,
            length_max,
            |length, distance| {
                if length > longest {
                    longest = length;
                    let latest = Found::new(length, distance);
                    match found[first..].last_mut() {
                        Some(last)
                            if distance_symbol(last.distance)
                                == distance_symbol(latest.distance) =>
                        {
                            *last = latest
                        }
                        _ => found.push(latest),
                    }
                }
            },
        );
    }

    /// Inserts a position without looking for matches.
    #[inline(always)]
    pub(super) fn insert(&mut self, tile: &Tile, position: u16, effort: Effort) {
        let word = tile.word(usize::from(position));
        let heads = &mut self.heads3[hash3::<HASH3_BITS>(word)];
        *heads = [position + 1, heads[0]];
        // More than a nice length need not be known of a match that nobody asks for.
        let length_max = effort.nice_length.min(tile.len() - usize::from(position));
        self.descend(tile, position, word, effort, length_max, |_, _| {});
    }

    /// Looks for a match of three bytes; says how long the longest found one is.
    #[inline(always)]
    fn search3(&mut self, tile: &Tile, position: u16, word: u32, found: &mut Vec<Found>) -> usize {
        let heads = &mut self.heads3[hash3::<HASH3_BITS>(word)];
        let candidates = *heads;
        *heads = [position + 1, candidates[0]];
        for node in candidates {
            if node != 0 && (tile.word(usize::from(node - 1)) ^ word) << 8 == 0 {
                found.push(Found::new(3, usize::from(position - (node - 1))));
                return 3;
            }
        }
        2
    }

    /// Makes a position the root of its tree, and shows every node on the way down.
    #[inline(always)]
    fn descend(
        &mut self,
        tile: &Tile,
        position: u16,
        word: u32,
        effort: Effort,
        length_max: usize,
        mut show: impl FnMut(usize, usize),
    ) {
        let at = usize::from(position);
        let nice_length = effort.nice_length.min(length_max);
        let mut node = std::mem::replace(&mut self.roots[hash4::<HASH4_BITS>(word)], position + 1);
        // Where the next lesser and the next greater node will hang, and how much all nodes below them are
        // known to match.
        let (mut lesser, mut lesser_known) = ((at, 0), 0);
        let (mut greater, mut greater_known) = ((at, 1), 0);
        for _ in 0..effort.depth {
            if node == 0 {
                break;
            }
            let earlier = usize::from(node - 1);
            let known = lesser_known.min(greater_known);
            let length = tile.match_length(earlier, at, known, length_max);
            show(length, at - earlier);
            let [below, above] = self.children[earlier];
            if length >= nice_length {
                // As good as equal: the new node takes its place.
                self.children[lesser.0][lesser.1] = below;
                self.children[greater.0][greater.1] = above;
                return;
            }
            if tile.byte(earlier + length) < tile.byte(at + length) {
                self.children[lesser.0][lesser.1] = node;
                (lesser, lesser_known, node) = ((earlier, 1), length, above);
            } else {
                self.children[greater.0][greater.1] = node;
                (greater, greater_known, node) = ((earlier, 0), length, below);
            }
        }
        self.children[lesser.0][lesser.1] = 0;
        self.children[greater.0][greater.1] = 0;
    }
}
