//! The cheapest way from every position of a tile to its end, under given prices.
//!
//! A walk from the end backwards: at each position the next step is a literal or a match, and where it leads
//! the rest of the way is known. Every length of a match up to [`WINDOW_LENGTH_MAX`] is tried, with the
//! cheapest distance of those matches that are as long or longer; of longer matches only the longest lengths.
//!
//! `ways512.rs` does the same sixteen lengths at a time. Both take the same steps: where two ways cost the
//! same, a literal wins over a match, then the shorter length, then the smaller distance.

#![forbid(unsafe_code)]

use std::hint::select_unpredictable;
use std::ops::Range;

use super::TILE_BYTES_MAX;
use super::alphabet::{LENGTH_MIN, LENGTH_SHORT_MAX, distance_symbol};
use super::matches::{Found, Matches, SKIPPED_FROM};
use super::prices::Prices;
use super::tile::Tile;
#[cfg(target_arch = "x86_64")]
use super::vector::Vector;
#[cfg(target_arch = "x86_64")]
use super::ways512;
use crate::gdeflate::Path;

/// Lengths that are looked at together.
pub(super) const TOGETHER: usize = 16;
/// The longest of the shortest [`TOGETHER`] lengths.
pub(super) const WINDOW_LENGTH_MAX: usize = LENGTH_MIN + TOGETHER - 1;
/// By how much a longer match is shortened, at most: where much less of it is wanted, another begins in its
/// place.
const SHORTENED_MAX: usize = 31;
/// Readable prices behind those of a tile, for registers.
const SLACK: usize = 3 * TOGETHER;
/// Prices, one for each position and for the end.
pub(super) const WAYS: usize = TILE_BYTES_MAX + 1 + SLACK;
/// Where a price and what it is the price of share a number, the price is above so many bits.
pub(super) const INDEX_BITS: u32 = TOGETHER.ilog2();

// No way is dearer than literals alone, and a literal takes no more than 15 bits; one match more on top.
const _: () = assert!((TILE_BYTES_MAX as u64 * 15 + 64) << 8 < 1 << (32 - INDEX_BITS));

/// A step: its length above its distance, which is 0 for a literal.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(super) struct Step(u32);

impl Step {
    /// The step that is no match.
    pub(super) const LITERAL: Step = Step::new(1, 0);

    /// A step of so many bytes.
    #[inline(always)]
    pub(super) const fn new(length: u16, distance: u16) -> Step {
        Step((length as u32) << 16 | distance as u32)
    }

    /// The step in its 32 bits.
    #[cfg(target_arch = "x86_64")]
    pub(super) const fn from_bits(bits: u32) -> Step {
        Step(bits)
    }

    /// The same.
    #[cfg(target_arch = "x86_64")]
    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    /// How many bytes it stands for.
    #[inline(always)]
    pub(super) const fn length(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// How far back a match is, 0 for a literal.
    #[inline(always)]
    pub(super) const fn distance(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

impl From<Found> for Step {
    #[inline(always)]
    fn from(found: Found) -> Step {
        Step::new(found.length, found.distance)
    }
}

/// The ways through one tile.
pub(super) struct Ways {
    /// The price of the way from each position to the end of the tile.
    prices: Box<[u32; WAYS]>,
    /// The first step of that way.
    steps: Box<[Step; TILE_BYTES_MAX]>,
    #[cfg(target_arch = "x86_64")]
    vector: Option<Vector>,
}

impl Ways {
    /// None yet.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
    pub(super) fn new(path: Path) -> Ways {
        Ways {
            prices: super::zeroed(),
            steps: super::zeroed(),
            #[cfg(target_arch = "x86_64")]
            vector: (path == Path::Avx512).then(Vector::new).flatten(),
        }
    }

    /// The first step from a position.
    #[inline(always)]
    pub(super) fn step(&self, at: usize) -> Step {
        self.steps[at]
    }

    /// Finds the ways through a tile, given the prices of each of its parts, the last part first.
    #[inline(never)]
    pub(super) fn find(
        &mut self,
        tile: &Tile,
        matches: &Matches,
        parts: impl Iterator<Item = (Range<usize>, Prices)>,
    ) {
        self.prices[tile.len()] = 0;
        for (input, prices) in parts {
            #[cfg(target_arch = "x86_64")]
            if let Some(vector) = self.vector {
                let (ways, steps) = (&mut self.prices, &mut self.steps);
                ways512::walk(vector, tile, matches, input, &prices, ways, steps);
                continue;
            }
            self.walk(tile, matches, input, &prices);
        }
    }

    /// Goes through one part; what is behind it is done.
    fn walk(&mut self, tile: &Tile, matches: &Matches, input: Range<usize>, prices: &Prices) {
        for at in input.rev() {
            let ways = &mut self.prices[at..];
            let literal = prices.literal[usize::from(tile.byte(at))] + ways[1];
            (ways[0], self.steps[at]) = cheapest_step(prices, matches.at(at), ways, literal);
        }
    }
}

/// The price of a match's distance, and below it the distance.
#[inline(always)]
pub(super) fn priced_distance(prices: &Prices, distance: u16) -> u32 {
    prices.distance[distance_symbol(distance)] << 16 | u32::from(distance)
}

/// Which lengths of a match longer than the window are tried, if any: `shorter` is the longest length of the
/// matches before it.
#[inline(always)]
pub(super) fn long_lengths(length: usize, shorter: usize) -> Range<usize> {
    let end = length.min(LENGTH_SHORT_MAX) + 1;
    let first = length.min(LENGTH_SHORT_MAX + 1) - SHORTENED_MAX.min(length);
    let first = first.max(WINDOW_LENGTH_MAX + 1).max(shorter + 1);
    if length < SKIPPED_FROM {
        first..end
    } else {
        0..0
    }
}

/// The cheapest of a literal, whose way is priced `literal`, and the lengths of the given matches. Which of
/// them wins cannot be predicted, so little branches on it.
#[inline(always)]
fn cheapest_step(prices: &Prices, matches: &[Found], ways: &[u32], literal: u32) -> (u32, Step) {
    let mut best = (literal, Step::LITERAL);
    let (mut priced, mut key, mut distance) = (u32::MAX, u32::MAX, 0);
    // From the longest on, so that the cheapest distance of those long enough is at hand.
    for (index, found) in matches.iter().enumerate().rev() {
        priced = priced.min(priced_distance(prices, found.distance));
        let shorter = index
            .checked_sub(1)
            .map_or(LENGTH_MIN - 1, |index| matches[index].length.into());
        let lengths = shorter + 1..usize::from(found.length).min(WINDOW_LENGTH_MAX) + 1;
        let other = cheapest_length(prices, ways, lengths, LENGTH_MIN, priced >> 16);
        distance = select_unpredictable(other < key, priced as u16, distance);
        key = key.min(other);
    }
    best = cheaper(best, key, LENGTH_MIN, distance);
    let mut shorter = LENGTH_MIN - 1;
    for &Found { length, distance } in matches {
        let longest = usize::from(length);
        if longest > WINDOW_LENGTH_MAX {
            let price = prices.distance[distance_symbol(distance)];
            let lengths = long_lengths(longest, shorter);
            for first in lengths.clone().step_by(TOGETHER) {
                let some = first..lengths.end.min(first + TOGETHER);
                let key = cheapest_length(prices, ways, some, first, price);
                best = cheaper(best, key, first, distance);
            }
            best = or_longest(best, prices, ways, Found { length, distance }, price);
        }
        shorter = longest;
    }
    best
}

/// The price of the cheapest way that begins with a match of one of these lengths, and in its lowest bits by
/// how much that is longer than `first`.
#[inline(always)]
fn cheapest_length(
    prices: &Prices,
    ways: &[u32],
    lengths: Range<usize>,
    first: usize,
    distance_price: u32,
) -> u32 {
    let index = lengths.start as u32 - first as u32;
    if lengths.is_empty() {
        return u32::MAX;
    }
    let both = ways[lengths.clone()].iter().zip(&prices.length[lengths]);
    let keys = (index..)
        .zip(both)
        .map(|(index, (way, price))| (way + price + distance_price) << INDEX_BITS | index);
    keys.fold(u32::MAX, u32::min)
}

/// The step that is known, or the one of the key, if that is cheaper.
#[inline(always)]
pub(super) fn cheaper(best: (u32, Step), key: u32, first: usize, distance: u16) -> (u32, Step) {
    let price = key >> INDEX_BITS;
    let length = first as u16 + (key % TOGETHER as u32) as u16;
    let step = Step::new(length, distance);
    (
        best.0.min(price),
        select_unpredictable(price < best.0, step, best.1),
    )
}

/// The step that is known, or a whole match whose length has no row of its own, if that is cheaper.
#[inline(always)]
pub(super) fn or_longest(
    best: (u32, Step),
    prices: &Prices,
    ways: &[u32],
    found: Found,
    distance_price: u32,
) -> (u32, Step) {
    let length = usize::from(found.length);
    if length <= LENGTH_SHORT_MAX {
        return best;
    }
    let price = ways[length] + prices.length_long + distance_price;
    if price < best.0 {
        (price, found.into())
    } else {
        best
    }
}
