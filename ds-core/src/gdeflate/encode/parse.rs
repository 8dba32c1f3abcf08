//! Greedy and lazy parses: one pass, decisions on the spot.

use super::chains::{Chains, Effort, Match};
use super::sequences::Sequences;
use super::tile::Tile;

/// Positions inserted at each end of a match longer than twice this; the middle of a long run is not worth knowing.
const INSERTED_MAX: usize = 256;

/// Takes the longest match wherever there is one.
pub(super) fn greedy(tile: &Tile, chains: &mut Chains, effort: Effort, sequences: &mut Sequences) {
    chains.clear();
    let mut at = 1;
    while at < tile.len() {
        let found = chains.search(tile, at as u16, 2, effort);
        if found.length == 0 {
            at += 1;
            continue;
        }
        sequences.push_match(at, found.length, found.distance);
        insert_inside(tile, chains, at + 1, at + found.length);
        at += found.length;
    }
    sequences.push_literals(tile.len());
}

/// Puts a match off by one position, again and again, while the next one is better.
pub(super) fn lazy(tile: &Tile, chains: &mut Chains, effort: Effort, sequences: &mut Sequences) {
    chains.clear();
    let mut at = 1;
    'tile: while at < tile.len() {
        let mut found = chains.search(tile, at as u16, 2, effort);
        if found.length == 0 {
            at += 1;
            continue;
        }
        while found.length < effort.nice_length && at + 1 < tile.len() {
            let half = Effort {
                depth: effort.depth / 2,
                ..effort
            };
            let next = chains.search(tile, (at + 1) as u16, found.length - 1, half);
            if next.length == 0 || gain(next) <= gain(found) + 2 {
                sequences.push_match(at, found.length, found.distance);
                insert_inside(tile, chains, at + 2, at + found.length);
                at += found.length;
                continue 'tile;
            }
            found = next;
            at += 1;
        }
        sequences.push_match(at, found.length, found.distance);
        insert_inside(tile, chains, at + 1, at + found.length);
        at += found.length;
    }
    sequences.push_literals(tile.len());
}

/// What a match is worth: about four bits saved a byte, less what its distance costs.
#[inline(always)]
fn gain(found: Match) -> i32 {
    4 * found.length as i32 - found.distance.ilog2() as i32
}

/// Inserts the positions `from..to`, or only the outer ones of very many.
#[inline(always)]
fn insert_inside(tile: &Tile, chains: &mut Chains, from: usize, to: usize) {
    if to > from + 2 * INSERTED_MAX {
        (from..from + INSERTED_MAX).for_each(|at| chains.insert(tile, at as u16));
        (to - INSERTED_MAX..to).for_each(|at| chains.insert(tile, at as u16));
    } else {
        (from..to).for_each(|at| chains.insert(tile, at as u16));
    }
}
