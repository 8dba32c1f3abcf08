//! The near-optimal parse: the cheapest way through a tile under prices that are refined a few times.
//!
//! Matches are found once. Then each pass walks the tile from its end, finds for every position the cheapest
//! way to the end under the prices of the block it is in, and the result is split into blocks anew, whose
//! symbol frequencies give the next pass its prices. A match may reach into the next block; the border then
//! moves to the match's end.

#![forbid(unsafe_code)]

use std::hint::select_unpredictable;
use std::ops::Range;

use super::alphabet::{LENGTH_MIN, LENGTH_SHORT_MAX, distance_symbol};
use super::borders::refine;
use super::items::Items;
use super::links::Effort;
use super::matches::{Found, Matches, SKIPPED_FROM};
use super::prices::Prices;
use super::split::{Estimate, is_better_stored, join, merge_to};
use super::tile::Tile;

/// By how much a match is shortened, at most: where much less of it is wanted, another begins in its place.
const SHORTENED_MAX: usize = 31;
/// Bytes of a segment while prices are still being refined, at least.
const COARSE_BYTES: usize = 2048;

/// The parse, with its finder.
pub(super) struct Optimal {
    matches: Matches,
    passes: u32,
    /// How the blocks that are written are chosen.
    last_estimate: Estimate,
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
            matches: Matches::new(effort),
            passes,
            last_estimate,
            price_to_end: Vec::with_capacity((1 << 16) + 1),
            steps: Vec::with_capacity(1 << 16),
        }
    }

    /// Parses the tile and splits it into blocks.
    pub(super) fn parse(&mut self, tile: &Tile, items: &mut Items) {
        self.matches.find(tile);
        self.find_steps(tile, std::iter::once((0..tile.len(), Prices::guess(tile))));
        self.take_steps(tile, items);
        for _ in 1..self.passes {
            merge_to(items.parts_mut(), COARSE_BYTES);
            join(items.parts_mut(), Estimate::Entropy);
            refine(items);
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
        refine(items);
    }

    /// Turns `steps` into items.
    fn take_steps(&self, tile: &Tile, items: &mut Items) {
        take(tile, items, |at| self.steps[at]);
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
                (ways[0], steps[at]) = cheapest_step(&prices, self.matches.at(at), ways, literal);
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
///
/// Which of them wins cannot be predicted, so nothing branches on it: what a length gains over the literal
/// and the length itself are compared as one number. The gain of a length that has a row of its own is less
/// than 258 literals of 15 bits, which leaves room for the length below it.
#[inline(always)]
fn cheapest_step(prices: &Prices, matches: &[Found], ways: &[u32], literal: u32) -> (u32, Found) {
    const LENGTH_BITS: u32 = 9;
    let (mut best, mut step) = (0, LITERAL);
    let mut shortest = LENGTH_MIN;
    for &Found { length, distance } in matches {
        let longest = usize::from(length);
        shortest = shortest.max(
            longest
                .min(LENGTH_SHORT_MAX + 1)
                .saturating_sub(SHORTENED_MAX),
        );
        let short = if longest < SKIPPED_FROM {
            longest.min(LENGTH_SHORT_MAX)
        } else {
            shortest - 1
        };
        let base = prices.distance[distance_symbol(distance)].wrapping_sub(literal);
        let ways_and_prices = ways[shortest..=short]
            .iter()
            .zip(&prices.length[shortest..=short]);
        let mut key = i32::MAX;
        for (length, (way, price)) in (shortest as i32..).zip(ways_and_prices) {
            let loss = base.wrapping_add(way + price) as i32;
            key = key.min(loss << LENGTH_BITS | length);
        }
        let mut loss = key >> LENGTH_BITS;
        let mut length = key & ((1 << LENGTH_BITS) - 1);
        if longest > short {
            let long = base.wrapping_add(ways[longest] + prices.length_long) as i32;
            (loss, length) = if long < loss {
                (long, longest as i32)
            } else {
                (loss, length)
            };
        }
        let found = Found {
            length: length as u16,
            distance,
        };
        step = select_unpredictable(loss < best, found, step);
        best = best.min(loss);
        shortest = short + 1;
    }
    (literal.wrapping_add_signed(best), step)
}
