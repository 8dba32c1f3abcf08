//! The near-optimal parse: the cheapest way through a tile under prices that are refined a few times.
//!
//! Matches are found once. Then each pass walks the tile from its end, finds for every position the cheapest
//! way to the end under the prices of the block it is in, and the result is split into blocks anew, whose
//! symbol frequencies give the next pass its prices. A match may reach into the next block; the border then
//! moves to the match's end.

use std::ops::Range;

use super::alphabet::{LENGTH_MIN, LENGTH_SHORT_MAX, distance_symbol};
use super::chains::Effort;
use super::items::Items;
use super::prices::Prices;
use super::split::{Estimate, is_better_stored, join};
use super::tile::Tile;
use super::trees::{Found, HASHED_BYTES, Trees};

/// Positions inserted at each end of a match longer than twice this.
const INSERTED_MAX: usize = 256;

/// The parse, with its finder.
pub(super) struct Optimal {
    trees: Trees,
    effort: Effort,
    passes: u32,
    /// How the blocks that are written are chosen.
    last_estimate: Estimate,
    /// All matches, by position; at most as many as distance symbols for each.
    matches: Vec<Found>,
    /// Where the matches of each position end in `matches`; they begin where those of the previous one end.
    match_ends: Vec<u32>,
    /// The price of the way from each position to the end of the tile.
    price_to_end: Vec<u32>,
    /// The first step of that way; distance 0 is a literal.
    steps: Vec<Found>,
}

/// The step that is no match.
const LITERAL: Found = Found {
    length: 1,
    distance: 0,
};

impl Optimal {
    /// A parse that refines its prices `passes` times.
    pub(super) fn new(effort: Effort, passes: u32, last_estimate: Estimate) -> Optimal {
        Optimal {
            trees: Trees::new(),
            effort,
            passes,
            last_estimate,
            matches: Vec::with_capacity(1 << 17),
            match_ends: Vec::with_capacity(1 << 16),
            price_to_end: Vec::with_capacity((1 << 16) + 1),
            steps: Vec::with_capacity(1 << 16),
        }
    }

    /// Parses the tile and splits it into blocks.
    pub(super) fn parse(&mut self, tile: &Tile, items: &mut Items) {
        self.find_matches(tile);
        self.find_steps(tile, std::iter::once((0..tile.len(), Prices::guess(tile))));
        self.take_steps(tile, items);
        for _ in 1..self.passes {
            join(items.parts_mut(), Estimate::Entropy);
            if items.parts().iter().all(is_better_stored) {
                // Noise: no prices will make anything of it.
                break;
            }
            let parts = items.parts().iter().rev();
            self.find_steps(
                tile,
                parts.map(|part| (part.input.clone(), Prices::new(&part.histogram))),
            );
            self.take_steps(tile, items);
        }
        join(items.parts_mut(), self.last_estimate);
    }

    /// Fills `matches`.
    #[inline(never)]
    fn find_matches(&mut self, tile: &Tile) {
        self.trees.clear();
        self.matches.clear();
        self.match_ends.clear();
        let searched = tile.len().saturating_sub(HASHED_BYTES - 1);
        let mut at = 0;
        while at < searched {
            let first = self.matches.len();
            self.trees
                .search(tile, at as u16, self.effort, &mut self.matches);
            self.match_ends.push(self.matches.len() as u32);
            at += 1;
            let longest = self.matches[first..]
                .last()
                .map_or(0, |found| usize::from(found.length));
            if longest >= self.effort.nice_length {
                at = self.skip(tile, at, (at - 1 + longest).min(searched));
            }
        }
        self.match_ends
            .resize(tile.len(), self.matches.len() as u32);
    }

    /// Inserts the positions inside a long match; nothing is to be gained by looking for matches there.
    fn skip(&mut self, tile: &Tile, from: usize, to: usize) -> usize {
        for at in from..to {
            if at < from + INSERTED_MAX || at + INSERTED_MAX >= to {
                self.trees.insert(tile, at as u16, self.effort);
            }
            self.match_ends.push(self.matches.len() as u32);
        }
        to.max(from)
    }

    /// Turns `steps` into items.
    fn take_steps(&self, tile: &Tile, items: &mut Items) {
        take(tile, items, |at| self.steps[at]);
    }

    #[inline(always)]
    fn matches_at(&self, at: usize) -> &[Found] {
        let first = if at == 0 { 0 } else { self.match_ends[at - 1] };
        &self.matches[first as usize..self.match_ends[at] as usize]
    }

    /// Fills `price_to_end` and `steps`, given the prices of each part of the tile, the last part first.
    #[inline(never)]
    fn find_steps(&mut self, tile: &Tile, parts: impl Iterator<Item = (Range<usize>, Prices)>) {
        let mut price_to_end = std::mem::take(&mut self.price_to_end);
        let mut steps = std::mem::take(&mut self.steps);
        price_to_end.clear();
        price_to_end.resize(tile.len() + 1, 0);
        steps.clear();
        steps.resize(tile.len(), LITERAL);
        for (input, prices) in parts {
            for at in input.rev() {
                let ways = &mut price_to_end[at..];
                let literal = prices.literal[usize::from(tile.byte(at))] + ways[1];
                (ways[0], steps[at]) = cheapest_step(&prices, self.matches_at(at), ways, literal);
            }
        }
        (self.price_to_end, self.steps) = (price_to_end, steps);
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

/// The cheapest of a literal, whose way is priced `literal`, and every length of the given matches.
#[inline(always)]
fn cheapest_step(prices: &Prices, matches: &[Found], ways: &[u32], literal: u32) -> (u32, Found) {
    let (mut cheapest, mut step) = (literal, LITERAL);
    let mut shortest = LENGTH_MIN;
    for &Found { length, distance } in matches {
        let longest = usize::from(length);
        let short = longest.min(LENGTH_SHORT_MAX);
        let distance_price = prices.distance[distance_symbol(distance)];
        let lengths = ways[shortest..=short]
            .iter()
            .zip(&prices.length[shortest..=short]);
        for (length, (way, price)) in (shortest as u16..).zip(lengths) {
            let total = distance_price + way + price;
            if total < cheapest {
                (cheapest, step) = (total, Found { length, distance });
            }
        }
        if longest > short {
            let total = distance_price + ways[longest] + prices.length_long;
            if total < cheapest {
                (cheapest, step) = (total, Found { length, distance });
            }
        }
        shortest = short + 1;
    }
    (cheapest, step)
}
