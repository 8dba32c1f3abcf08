//! Links: for each position, an earlier one where the same bytes begin, and from there to the next older one.
//!
//! Positions are linked ahead of the parse, a segment at a time, because a loop without decisions costs
//! little and what a parse does in between costs much: its branches cannot be predicted, and each wrong guess
//! throws away what was begun. Links are true: a link is only made where at least three bytes agree, so most
//! positions without a match say so at once, and no search walks past strangers that share a hash.
//!
//! A link leads to the newest position with the same four bytes or, if that is not known and such are wanted
//! (`near.rs`), to a near one with the same three. The tile is the window, so nothing ever leaves. Tables
//! hold nodes: positions plus one, and 0 for none.
//!
//! Whatever is longer than the best match so far agrees with the position at the four bytes where that match
//! ends, too. So it is on the chain that begins there as well, and a search that *jumps* goes on along
//! whichever of the two chains leads farther back at once. Often that is the end, and nothing longer exists.

#![forbid(unsafe_code)]

use std::hint::select_unpredictable;
use std::mem::replace;
use std::ops::Range;

use super::TILE_BYTES_MAX;
use super::hash::{hash3, hash4};
use super::tile::Tile;

const HASH3_BITS: u32 = 13;
/// Bytes at a position that its hashes cover; later positions have no link.
pub(super) const HASHED_BYTES: usize = 4;
/// Three bytes from this distance on cost more than literals do.
const DISTANCE3_LOG2: u32 = 13;
/// Positions linked before the end of a match that reaches farther than twice this; the middle of a long run
/// is not worth knowing.
const RELINKED: usize = 256;

/// A match, or `length` 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// How long.
    pub(super) length: usize,
    /// How far back.
    pub(super) distance: usize,
}

/// How hard to search.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// Candidates looked at.
    pub(super) depth: u32,
    /// A match of this length ends the search.
    pub(super) nice_length: usize,
}

/// The finder, with so many heads of chains of four bytes, a power of two.
pub(super) struct Links<const HEADS: usize> {
    /// Newest linked node of each hash of three bytes.
    heads3: Box<[u16; 1 << HASH3_BITS]>,
    /// Newest linked node of each hash of four bytes.
    heads4: Box<[u16; HEADS]>,
    /// The node that each position links to.
    links: Box<[u16; TILE_BYTES_MAX]>,
    /// Positions before this one have their links, or never will.
    end: usize,
}

impl<const HEADS: usize> Links<HEADS> {
    /// No links.
    pub(super) fn new() -> Links<HEADS> {
        Links {
            heads3: super::zeroed(),
            heads4: super::zeroed(),
            links: super::zeroed(),
            end: 0,
        }
    }

    /// Forgets the previous tile; links are only ever read where this tile has written.
    pub(super) fn clear(&mut self) {
        self.heads3.fill(0);
        self.heads4.fill(0);
        self.end = 0;
    }

    /// Where the links end.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Makes the links of positions before `to`; those well before `from` will not be asked for. Links to
    /// near positions where only three bytes agree are made if `near`.
    #[inline(never)]
    pub(super) fn extend(&mut self, tile: &Tile, from: usize, to: usize, near: bool) {
        let first = if from > self.end + 2 * RELINKED {
            from - RELINKED
        } else {
            self.end
        };
        let hashed = tile.len().saturating_sub(HASHED_BYTES - 1).min(to);
        if near {
            self.link::<true>(tile, first..hashed);
        } else {
            self.link::<false>(tile, first..hashed);
        }
        self.links[hashed.max(first)..to].fill(0);
        self.end = to;
    }

    /// Makes links in a loop without decisions: one position takes as long as another.
    #[inline(always)]
    fn link<const NEAR: bool>(&mut self, tile: &Tile, positions: Range<usize>) {
        for at in positions {
            // A position of the tile, as the compiler should know.
            let at = at as u16;
            let word = tile.word(usize::from(at));
            let node = at + 1;
            let newest = replace(&mut self.heads4[hash4(word, HEADS)], node);
            let differs4 = tile.word_of_node(newest) ^ word;
            self.links[usize::from(at)] = if NEAR {
                let near = replace(&mut self.heads3[hash3::<HASH3_BITS>(word)], node);
                // Zero if three bytes agree and are not far.
                let differs3 = (tile.word_of_node(near) ^ word) << 8
                    | u32::from(node - near) >> DISTANCE3_LOG2;
                select_unpredictable(differs4 == 0, newest, near & ones_if_zero(differs3))
            } else {
                newest & ones_if_zero(differs4)
            };
        }
    }

    /// The longest match at a position, of those within the effort.
    #[inline(always)]
    pub(super) fn search<const JUMPS: bool>(
        &self,
        tile: &Tile,
        position: u16,
        effort: Effort,
    ) -> Option<Match> {
        let at = usize::from(position);
        let newest = usize::from(self.links[at].checked_sub(1)?);
        let length = tile.match_length(newest, at, 0, tile.len() - at);
        let best = Match {
            length,
            distance: at - newest,
        };
        if length >= effort.nice_length {
            return Some(best);
        }
        // What a match of three bytes links to has other bytes.
        let older = select_unpredictable(length == 3, 0, self.links[newest]);
        let effort = Effort {
            depth: effort.depth - 1,
            ..effort
        };
        Some(self.walk::<JUMPS>(tile, position, older, best, effort))
    }

    /// The longest match at a position longer than `longer_than`, of four bytes at least.
    #[inline(always)]
    pub(super) fn search_longer<const JUMPS: bool>(
        &self,
        tile: &Tile,
        position: u16,
        longer_than: usize,
        effort: Effort,
    ) -> Option<Match> {
        let at = usize::from(position);
        let newest = self.links[at];
        if newest == 0 || tile.len() - at <= longer_than {
            return None;
        }
        let none = Match {
            length: longer_than.max(3),
            distance: 0,
        };
        let found = self.walk::<JUMPS>(tile, position, newest, none, effort);
        (found.distance != 0).then_some(found)
    }

    /// The best of a match and those of a chain of nodes, which must be longer.
    #[inline(always)]
    fn walk<const JUMPS: bool>(
        &self,
        tile: &Tile,
        position: u16,
        node: u16,
        mut best: Match,
        effort: Effort,
    ) -> Match {
        let at = usize::from(position);
        let word = tile.word(at);
        let length_max = tile.len() - at;
        // A better match must agree here, where the best one ends, and that is where most candidates differ.
        let mut tail_at = best.length - 3;
        let mut tail = tile.word(at + tail_at);
        let mut chain = Chain { node, offset: 0 };
        if JUMPS {
            chain = self.farther(chain, at, tail_at);
        }
        for _ in 0..effort.depth {
            let Some(earlier) = usize::from(chain.node).checked_sub(1 + chain.offset) else {
                break;
            };
            chain.node = self.links[earlier + chain.offset];
            if tile.word(earlier + tail_at) == tail && tile.word(earlier) == word {
                let length = tile.match_length(earlier, at, 4, length_max);
                if length > best.length {
                    best = Match {
                        length,
                        distance: at - earlier,
                    };
                    if length >= effort.nice_length || length == length_max {
                        break;
                    }
                    tail_at = length - 3;
                    tail = tile.word(at + tail_at);
                    if JUMPS {
                        chain = self.farther(chain, at, tail_at);
                    }
                }
            }
        }
        best
    }

    /// Shows matches of four bytes and more, each longer than the ones before and the closest that is. A
    /// match whose length is known need not be measured.
    ///
    /// All positions of the tile must have their links, and [`HASHED_BYTES`] bytes follow this one.
    #[inline(always)]
    pub(super) fn search_all(
        &self,
        tile: &Tile,
        position: u16,
        effort: Effort,
        known: Option<Match>,
        mut show: impl FnMut(Match),
    ) {
        let at = usize::from(position);
        let word = tile.word(at);
        let length_max = tile.len() - at;
        let (mut longest, mut tail_at, mut tail) = (3, 0, word);
        let mut chain = Chain {
            node: self.links[at],
            offset: 0,
        };
        for _ in 0..effort.depth {
            let Some(earlier) = usize::from(chain.node).checked_sub(1 + chain.offset) else {
                break;
            };
            chain.node = self.links[earlier + chain.offset];
            if tile.word(earlier + tail_at) != tail || tile.word(earlier) != word {
                continue;
            }
            let distance = at - earlier;
            let length = match known {
                Some(known) if known.distance == distance => known.length,
                _ => tile.match_length(earlier, at, 4, length_max),
            };
            if length > longest {
                show(Match { length, distance });
                if length >= effort.nice_length || length == length_max {
                    break;
                }
                (longest, tail_at) = (length, length - 3);
                tail = tile.word(at + tail_at);
                chain = self.farther(chain, at, tail_at);
            }
        }
    }

    /// A chain, or the one that begins `offset` bytes after a position, whichever leads farther back.
    #[inline(always)]
    fn farther(&self, chain: Chain, at: usize, offset: usize) -> Chain {
        if at + offset >= self.end {
            return chain;
        }
        let node = self.links[at + offset];
        // Which of the two cannot be predicted.
        let farther = usize::from(node) + chain.offset < usize::from(chain.node) + offset;
        Chain {
            node: select_unpredictable(farther, node, chain.node),
            offset: select_unpredictable(farther, offset, chain.offset),
        }
    }
}

/// Earlier nodes to look at.
#[derive(Clone, Copy)]
struct Chain {
    /// The next one.
    node: u16,
    /// By how much it is behind the begin of the match that it stands for.
    offset: usize,
}

/// All bits set for 0, otherwise none. Arithmetic, because compilers turn a choice between a node and 0 into
/// a branch that nobody can predict.
#[inline(always)]
fn ones_if_zero(differs: u32) -> u16 {
    (u64::from(differs).wrapping_sub(1) >> 32) as u16
}
