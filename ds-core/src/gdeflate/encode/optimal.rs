//! The near-optimal parse: the cheapest way through a tile under prices that are refined a few times.
//!
//! Matches are found once. Then each pass walks the tile from its end, finds for every position the cheapest
//! way to the end under the prices of the block it is in, and the result is split into blocks anew, whose
//! symbol frequencies give the next pass its prices. A match may reach into the next block; the border then
//! moves to the match's end.

#![forbid(unsafe_code)]

use super::borders::refine;
use super::items::Items;
use super::links::Effort;
use super::matches::{Found, Matches};
use super::prices::Prices;
use super::split::{Estimate, is_better_stored, join, merge_to};
use super::tile::Tile;
use super::ways::Ways;
use crate::gdeflate::Path;

/// Bytes of a segment while prices are still being refined: at least as many, or two segments of the tile.
const COARSE_BYTES_MAX: usize = 2048;

/// The parse, with its finder.
pub(super) struct Optimal {
    matches: Matches,
    passes: u32,
    /// How the blocks that are written are chosen.
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
        let guess = std::iter::once((0..tile.len(), Prices::guess(tile)));
        self.ways.find(tile, &self.matches, guess);
        self.take_steps(tile, items);
        let coarse_bytes = COARSE_BYTES_MAX.min(2 * items.segment_bytes());
        for _ in 1..self.passes {
            merge_to(items.parts_mut(), coarse_bytes);
            join(items.parts_mut(), Estimate::Entropy);
            refine(items);
            if items.parts().iter().all(is_better_stored) {
                // Noise: no prices will make anything of it.
                break;
            }
            let parts = items.parts().iter().rev();
            let parts = parts.map(|part| (part.input.clone(), Prices::new(&part.histogram)));
            self.ways.find(tile, &self.matches, parts);
            self.take_steps(tile, items);
        }
        join(items.parts_mut(), self.last_estimate);
        refine(items);
    }

    /// Turns `steps` into items.
    fn take_steps(&self, tile: &Tile, items: &mut Items) {
        take(tile, items, |at| self.ways.step(at));
    }
}

/// Goes through the tile step by step.
fn take(tile: &Tile, items: &mut Items, step_at: impl Fn(usize) -> Found) {
    items.clear();
    let mut at = 0;
    while at < tile.len() {
        let end = items.segment_end(at, tile.len());
        while at < end {
            let step = step_at(at);
            if step.distance == 0 {
                items.push_literal(tile.byte(at));
                at += 1;
            } else {
                items.push_match(usize::from(step.length), usize::from(step.distance));
                at += usize::from(step.length);
            }
        }
        items.close_segment(at);
    }
}
