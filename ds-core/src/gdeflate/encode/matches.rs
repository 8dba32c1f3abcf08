//! Matches: for every position of a tile, its closest earlier match of every length.
//!
//! Chains of positions with the same four bytes lead there (`links.rs`), newest first. A search that jumps
//! leaves out only candidates that are no longer than what is known already, so it meets the same matches as
//! one that looks at all of them, in fewer steps. Matches of three bytes have a table of their own.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::alphabet::{LENGTH_MIN, distance_symbol};
use super::hash::hash3;
use super::links::{Effort, HASHED_BYTES, Links, Match};
use super::tile::Tile;

const HASH3_BITS: u32 = 14;
/// Three bytes from farther back cost about as much as literals; prices that count on such lead astray.
const DISTANCE3_MAX: u16 = 8192;
/// Heads of the chains: where two words share one, a chain breaks.
const HEADS: usize = 1 << 19;
/// Inside a match of at least this length no others are looked for, and it is not shortened.
pub(super) const SKIPPED_FROM: usize = 4096;

/// A match in four bytes, since there are many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How long.
    pub(super) length: u16,
    /// How far back.
    pub(super) distance: u16,
}

/// The matches of a tile, and the finder.
pub(super) struct Matches {
    links: Links<HEADS>,
    /// The two newest nodes of each hash of three bytes.
    heads3: Box<[[u16; 2]; 1 << HASH3_BITS]>,
    effort: Effort,
    /// By position; at most as many as distance symbols for each.
    list: Vec<Found>,
    /// Where the matches of each position begin in `list`; they end where those of the next one begin.
    starts: Vec<u32>,
}

impl Matches {
    /// None yet.
    pub(super) fn new(effort: Effort) -> Matches {
        Matches {
            links: Links::new(),
            heads3: super::zeroed(),
            effort,
            list: Vec::with_capacity(1 << 17),
            starts: Vec::with_capacity((1 << 16) + 1),
        }
    }

    /// Those of a position: lengths and distances rise, and each is the closest match of its length that was
    /// found. Of those whose distances cost the same only the longest is there.
    #[inline(always)]
    pub(super) fn at(&self, at: usize) -> &[Found] {
        &self.list[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// Those of each position of a range, the last position first.
    #[inline(always)]
    pub(super) fn backwards(&self, positions: Range<usize>) -> impl Iterator<Item = &[Found]> {
        let mut rest = &self.list[..self.starts[positions.end] as usize];
        self.starts[positions].iter().rev().map(move |&start| {
            let (before, found) = rest.split_at(start as usize);
            rest = before;
            found
        })
    }

    /// Finds the matches of a tile.
    #[inline(never)]
    pub(super) fn find(&mut self, tile: &Tile) {
        self.links.clear();
        self.links.extend(tile, 0, tile.len(), false);
        self.heads3.fill([0; 2]);
        self.list.clear();
        self.starts.clear();
        self.starts.push(0);
        let searched = tile.len().saturating_sub(HASHED_BYTES - 1);
        let mut longest = None;
        let mut at = 0;
        while at < searched {
            let first = self.list.len();
            self.search3(tile, at as u16);
            longest = self.search4(tile, at as u16, first, longest);
            self.starts.push(self.list.len() as u32);
            at += 1;
            if let Some(found) = longest.filter(|found| found.length >= SKIPPED_FROM) {
                at = self.skip(at, (at - 1 + found.length).min(searched));
                longest = None;
            }
        }
        self.starts.resize(tile.len() + 1, self.list.len() as u32);
    }

    /// Looks for a match of three bytes.
    #[inline(always)]
    fn search3(&mut self, tile: &Tile, position: u16) {
        let word = tile.word(usize::from(position));
        let heads = &mut self.heads3[hash3::<HASH3_BITS>(word)];
        let candidates = *heads;
        *heads = [position + 1, candidates[0]];
        let agrees = |&node: &u16| {
            let differs = (tile.word_of_node(node) ^ word) << 8 != 0;
            node != 0 && !differs && position - (node - 1) <= DISTANCE3_MAX
        };
        if let Some(node) = candidates.into_iter().find(agrees) {
            self.list.push(Found {
                length: LENGTH_MIN as u16,
                distance: position - (node - 1),
            });
        }
    }

    /// Looks for all others; those of this position begin at `first`. Takes the longest of the position
    /// before and returns that of this one.
    #[inline(always)]
    fn search4(
        &mut self,
        tile: &Tile,
        position: u16,
        first: usize,
        before: Option<Match>,
    ) -> Option<Match> {
        // What it was there it still is, less a byte, and need not be compared again.
        let known = before.map(|found| Match {
            length: found.length - 1,
            ..found
        });
        let mut longest = None;
        let list = &mut self.list;
        self.links
            .search_all(tile, position, self.effort, known, |found| {
                longest = Some(found);
                let latest = Found {
                    length: found.length as u16,
                    distance: found.distance as u16,
                };
                let symbol = distance_symbol(latest.distance);
                match list[first..].last_mut() {
                    Some(last) if distance_symbol(last.distance) == symbol => *last = latest,
                    _ => list.push(latest),
                }
            });
        longest
    }

    /// Gives each position inside a long match the rest of it, for a way that comes there from elsewhere;
    /// little is to be gained by looking for others.
    fn skip(&mut self, from: usize, to: usize) -> usize {
        let Found { length, distance } = *self.list.last().expect("the long match");
        let end = from - 1 + usize::from(length);
        for at in from..to {
            if end - at >= LENGTH_MIN {
                self.list.push(Found {
                    length: (end - at) as u16,
                    distance,
                });
            }
            self.starts.push(self.list.len() as u32);
        }
        to.max(from)
    }
}
