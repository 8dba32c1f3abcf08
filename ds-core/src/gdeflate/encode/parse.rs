//! Greedy and lazy parses: one pass, decisions on the spot.

#![forbid(unsafe_code)]

use super::chains::{Effort, Finder, Match};
use super::items::Items;
use super::pairs::{self, Pairs};
use super::tile::Tile;

/// Positions inserted at each end of a match longer than twice this; the middle of a long run is not worth
/// knowing.
const INSERTED_MAX: usize = 256;

/// Takes the first match wherever there is one; hurries through data without any.
#[inline(never)]
pub(super) fn fast(tile: &Tile, pairs: &mut Pairs, items: &mut Items) {
    /// Literals in a row after which every other position is skipped; twice as many: two of three, and so on.
    const PATIENCE_LOG2: u32 = 6;
    pairs.clear();
    items.push_literal(tile.byte(0));
    let searched = tile.len().saturating_sub(pairs::HASHED_BYTES - 1);
    let mut at = 1;
    while at < searched {
        let end = items.segment_end(at, searched);
        let mut run_start = at;
        while at < end {
            let Some(found) = pairs.search(tile, at as u16) else {
                let step = 1 + ((at - run_start) >> PATIENCE_LOG2);
                let next = (at + step).min(end);
                (at..next).for_each(|at| items.push_literal(tile.byte(at)));
                at = next;
                continue;
            };
            items.push_match(found.length, found.distance);
            let next = at + found.length;
            insert_inside(at + 1, next.min(searched), |at| pairs.insert(tile, at));
            at = next;
            run_start = at;
        }
        if at < searched {
            items.close_segment(at);
        }
    }
    finish(tile, at, items);
}

/// Takes the longest match wherever there is one.
#[inline(never)]
pub(super) fn greedy(tile: &Tile, finder: &mut impl Finder, effort: Effort, items: &mut Items) {
    finder.clear();
    items.push_literal(tile.byte(0));
    let mut at = 1;
    while at < tile.len() {
        let end = items.segment_end(at, tile.len());
        while at < end {
            let found = finder.search(tile, at as u16, 2, effort);
            if found.length == 0 {
                items.push_literal(tile.byte(at));
                at += 1;
                continue;
            }
            items.push_match(found.length, found.distance);
            insert_inside(at + 1, at + found.length, |at| finder.insert(tile, at));
            at += found.length;
        }
        if at < tile.len() {
            items.close_segment(at);
        }
    }
    finish(tile, at, items);
}

/// Puts a match off by one position, again and again, while the next one is better.
#[inline(never)]
pub(super) fn lazy(tile: &Tile, finder: &mut impl Finder, effort: Effort, items: &mut Items) {
    finder.clear();
    items.push_literal(tile.byte(0));
    let half = Effort {
        depth: effort.depth / 2,
        ..effort
    };
    let mut at = 1;
    while at < tile.len() {
        let end = items.segment_end(at, tile.len());
        while at < end {
            let mut found = finder.search(tile, at as u16, 2, effort);
            if found.length == 0 {
                items.push_literal(tile.byte(at));
                at += 1;
                continue;
            }
            let mut searched = at + 1;
            while found.length < effort.nice_length && searched < tile.len() {
                let next = finder.search(tile, searched as u16, found.length - 1, half);
                searched += 1;
                if next.length == 0 || gain(next) <= gain(found) + 2 {
                    break;
                }
                items.push_literal(tile.byte(at));
                at += 1;
                found = next;
            }
            items.push_match(found.length, found.distance);
            at += found.length;
            insert_inside(searched, at, |at| finder.insert(tile, at));
        }
        if at < tile.len() {
            items.close_segment(at);
        }
    }
    finish(tile, at, items);
}

/// What a match is worth: about four bits saved a byte, less what its distance costs.
#[inline(always)]
fn gain(found: Match) -> i32 {
    4 * found.length as i32 - found.distance.ilog2() as i32
}

/// Inserts the positions `from..to`, or only the outer ones of very many.
#[inline(always)]
fn insert_inside(from: usize, to: usize, mut insert: impl FnMut(u16)) {
    if to > from + 2 * INSERTED_MAX {
        (from..from + INSERTED_MAX).for_each(|at| insert(at as u16));
        (to - INSERTED_MAX..to).for_each(|at| insert(at as u16));
    } else {
        (from..to).for_each(|at| insert(at as u16));
    }
}

/// Makes literals of what is left and closes the last segment.
fn finish(tile: &Tile, at: usize, items: &mut Items) {
    (at..tile.len()).for_each(|at| items.push_literal(tile.byte(at)));
    items.close_segment(tile.len());
}
