//! The near-optimal parse: the cheapest way through a tile under prices that are refined a few times.
//!
//! Matches are found once, and a lazy parse of them gives the first prices: nearly as good as those of a
//! whole pass, in a tenth of its time. Then each pass walks the tile from its end, finds for every position
//! the cheapest way to the end under the prices of the block it is in, and the result is split into blocks
//! anew, whose symbol frequencies give the next pass its prices. A match may reach into the next block; the
//! border then moves to the match's end.

#![forbid(unsafe_code)]

use super::borders::refine;
use super::items::Items;
use super::links::Effort;
use super::matches::{Found, Matches};
use super::prices::Prices;
use super::split::{Estimate, is_better_stored, join, merge_to};
use super::tile::Tile;
use super::ways::{Step, Ways};
use crate::gdeflate::Path;

/// Bytes of a segment while prices are still being refined: at least as many, or two segments of the tile.
const COARSE_BYTES_MAX: usize = 2048;

/// So many bytes an item, and more, make a tile repetitive,
const REPETITIVE: usize = 12;
/// and so many leave nothing to refine.
const MONOTONOUS: usize = 1024;
/// In the first parse a match that saves less is not taken,
const GAIN_MIN: i32 = 4;
/// and one that is longer is taken at once.
const LAZY_LENGTH_MAX: u16 = 64;

/// The parse, with its finder.
pub(super) struct Optimal {
    matches: Matches,
    passes: u32,
    /// How the blocks of the later passes, and those that are written, are chosen.
    last_estimate: Estimate,
    ways: Ways,
}

impl Optimal {
    /// A parse that refines its prices `passes` times.
    pub(super) fn new(effort: Effort, passes: u32, last_estimate: Estimate, path: Path) -> Optimal {
        Optimal {
            matches: Matches::new(effort),
            passes,
            last_estimate,
            ways: Ways::new(path),
        }
    }

    /// Parses the tile and splits it into blocks.
    pub(super) fn parse(&mut self, tile: &Tile, items: &mut Items) {
        self.matches.find(tile);
        take(tile, items, |at| self.promising_step(tile, at));
        let item_bytes = tile.len() / items.len();
        let passes = match item_bytes >= MONOTONOUS {
            true => 0,
            false => self.passes,
        };
        if passes != 0 && item_bytes >= REPETITIVE {
            let guess = std::iter::once((0..tile.len(), Prices::guess(tile)));
            self.ways.find(tile, &self.matches, guess);
            take(tile, items, |at| self.ways.step(at));
        }
        let coarse_bytes = COARSE_BYTES_MAX.min(2 * items.segment_bytes());
        for pass in 0..passes {
            merge_to(items.parts_mut(), coarse_bytes);
            // At first blocks are not worth knowing exactly.
            let estimate = match pass < passes / 2 {
                true => Estimate::Entropy,
                false => self.last_estimate,
            };
            join(items.parts_mut(), estimate);
            refine(items);
            if items.parts().iter().all(is_better_stored) {
                // Noise: no prices will make anything of it.
                break;
            }
            let parts = items.parts().iter().rev();
            let parts = parts.map(|part| (part.input.clone(), Prices::new(&part.histogram)));
            self.ways.find(tile, &self.matches, parts);
            take(tile, items, |at| self.ways.step(at));
        }
        join(items.parts_mut(), self.last_estimate);
        refine(items);
    }

    /// What a lazy parse does at a position: prices come from what it finds.
    #[inline(always)]
    fn promising_step(&self, tile: &Tile, at: usize) -> Step {
        let longest = |at: usize| self.matches.at(at).last().copied();
        let Some(found) = longest(at).filter(|&found| gain(found) >= GAIN_MIN) else {
            return Step::LITERAL;
        };
        let better = |later: Found| gain(later) > gain(found) + 1;
        let waits = found.length < LAZY_LENGTH_MAX && at + 1 < tile.len();
        if waits && longest(at + 1).is_some_and(better) {
            return Step::LITERAL;
        }
        found.into()
    }
}

/// About how many bits a match saves.
#[inline(always)]
fn gain(found: Found) -> i32 {
    4 * i32::from(found.length) - found.distance.ilog2() as i32
}

/// Goes through the tile step by step.
fn take(tile: &Tile, items: &mut Items, step_at: impl Fn(usize) -> Step) {
    items.clear();
    let mut at = 0;
    while at < tile.len() {
        let end = items.segment_end(at, tile.len());
        while at < end {
            let step = step_at(at);
            if step.distance() == 0 {
                items.push_literal(tile.byte(at));
                at += 1;
            } else {
                items.push_match(step.length(), step.distance());
                at += step.length();
            }
        }
        items.close_segment(at);
    }
}
