//! The near-optimal parse: the cheapest way through a tile under prices that are refined a few times.
//!
//! Matches are found once. Then each pass walks the tile from its end, finds for every position the cheapest way to the end under the
//! prices of the block it is in, and the result is split into blocks anew, whose symbol frequencies give the next pass its prices.
//! A match may reach into the next block; the border then moves to the match's end.

use super::alphabet::{LENGTH_MIN, LENGTH_SHORT_MAX, distance_symbol};
use super::chains::{Effort, Match};
use super::prices::Prices;
use super::sequences::Sequences;
use super::split::{Part, split};
use super::tile::Tile;
use super::trees::{HASHED_BYTES, Trees};

/// Matches kept for one tile; beyond this a position keeps only its longest.
const MATCHES_MAX: usize = 1 << 20;
/// Positions inserted at each end of a match longer than twice this.
const INSERTED_MAX: usize = 256;

/// The parse, with its finder.
pub(super) struct Optimal {
    trees: Trees,
    effort: Effort,
    passes: u32,
    /// All matches, by position.
    matches: Vec<Match>,
    /// Where the matches of each position end in `matches`; they begin where those of the previous one end.
    match_ends: Vec<u32>,
    /// The price of the way from each position to the end of the tile.
    price_to_end: Vec<u32>,
    /// The first step of that way; distance 0 is a literal.
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Default)]
struct Step {
    length: u16,
    distance: u16,
}

impl Optimal {
    /// A parse that refines its prices `passes` times.
    pub(super) fn new(effort: Effort, passes: u32) -> Optimal {
        Optimal {
            trees: Trees::new(),
            effort,
            passes,
            matches: Vec::with_capacity(1 << 17),
            match_ends: Vec::with_capacity(1 << 16),
            price_to_end: Vec::with_capacity((1 << 16) + 1),
            steps: Vec::with_capacity(1 << 16),
        }
    }

    /// Parses the tile and splits it into blocks.
    pub(super) fn parse(&mut self, tile: &Tile, sequences: &mut Sequences, parts: &mut Vec<Part>) {
        self.find_matches(tile);
        self.take_longest(tile, sequences);
        split(sequences.list(), tile.data(), parts);
        for _ in 0..self.passes {
            self.find_steps(tile, parts);
            self.take_steps(tile, sequences);
            split(sequences.list(), tile.data(), parts);
        }
    }

    /// Fills `matches`.
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
            if self.matches.len() > MATCHES_MAX {
                self.matches.drain(first..self.matches.len() - 1);
            }
            self.match_ends.push(self.matches.len() as u32);
            at += 1;
            let longest = if self.matches.len() > first {
                self.matches[self.matches.len() - 1].length
            } else {
                0
            };
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

    /// A first parse, to have frequencies: the longest match wherever there is one.
    fn take_longest(&self, tile: &Tile, sequences: &mut Sequences) {
        sequences.clear();
        let mut at = 0;
        while at < tile.len() {
            match self.matches_at(at).last() {
                Some(&Match { length, distance }) if length > LENGTH_MIN || distance < 4096 => {
                    sequences.push_match(at, length, distance);
                    at += length;
                }
                _ => at += 1,
            }
        }
        sequences.push_literals(tile.len());
    }

    #[inline(always)]
    fn matches_at(&self, at: usize) -> &[Match] {
        let first = if at == 0 { 0 } else { self.match_ends[at - 1] };
        &self.matches[first as usize..self.match_ends[at] as usize]
    }

    /// Fills `price_to_end` and `steps`.
    fn find_steps(&mut self, tile: &Tile, parts: &[Part]) {
        let mut price_to_end = std::mem::take(&mut self.price_to_end);
        let mut steps = std::mem::take(&mut self.steps);
        price_to_end.clear();
        price_to_end.resize(tile.len() + 1, 0);
        steps.clear();
        steps.resize(tile.len(), Step::default());
        for part in parts.iter().rev() {
            let prices = Prices::new(&part.histogram);
            for at in part.input.clone().rev() {
                let ways = &mut price_to_end[at..];
                let literal = prices.literal[usize::from(tile.byte(at))] + ways[1];
                (ways[0], steps[at]) = cheapest_step(&prices, self.matches_at(at), ways, literal);
            }
        }
        (self.price_to_end, self.steps) = (price_to_end, steps);
    }

    /// Turns `steps` into sequences.
    fn take_steps(&self, tile: &Tile, sequences: &mut Sequences) {
        sequences.clear();
        let mut at = 0;
        while at < tile.len() {
            let step = self.steps[at];
            if step.distance == 0 {
                at += 1;
            } else {
                sequences.push_match(at, usize::from(step.length), usize::from(step.distance));
                at += usize::from(step.length);
            }
        }
        sequences.push_literals(tile.len());
    }
}

/// The cheapest of a literal, whose way is priced `literal`, and every length of the given matches.
#[inline(always)]
fn cheapest_step(prices: &Prices, matches: &[Match], ways: &[u32], literal: u32) -> (u32, Step) {
    let (mut cheapest, mut step) = (literal, Step::default());
    let mut shortest = LENGTH_MIN;
    for &Match { length, distance } in matches {
        let distance_price = prices.distance[distance_symbol(distance as u16)];
        let short = length.min(LENGTH_SHORT_MAX);
        for (offset, (way, price)) in ways[shortest..=short]
            .iter()
            .zip(&prices.length[shortest..=short])
            .enumerate()
        {
            let total = distance_price + way + price;
            if total < cheapest {
                (cheapest, step) = (
                    total,
                    Step {
                        length: (shortest + offset) as u16,
                        distance: distance as u16,
                    },
                );
            }
        }
        if length > short {
            let total = distance_price + ways[length] + prices.of_length(length);
            if total < cheapest {
                (cheapest, step) = (
                    total,
                    Step {
                        length: length as u16,
                        distance: distance as u16,
                    },
                );
            }
        }
        shortest = short + 1;
    }
    (cheapest, step)
}
