//! Greedy and lazy parses: one pass, decisions on the spot.

#![forbid(unsafe_code)]

use super::items::Items;
use super::links::{Effort, Links, Match};
use super::near::Near;
use super::pairs::{self, Pairs};
use super::tile::Tile;

/// How rare matches of three bytes may be, in bytes for each, before they are no longer looked for.
const NEAR_FAST: usize = 12;
const NEAR_QUICK: usize = 40;
const NEAR_THOROUGH: usize = 80;

/// Heads of chains: more would find more and no longer fit the caches.
pub(super) const HEADS: usize = 1 << 16;

/// Takes the first match wherever there is one; hurries through data without any.
#[inline(never)]
pub(super) fn fast(tile: &Tile, pairs: &mut Pairs, items: &mut Items) {
    /// Literals in a row after which every other position is skipped; twice as many: two of three, and so on.
    const PATIENCE_LOG2: u32 = 6;
    pairs.clear();
    items.push_literal(tile.byte(0));
    let searched = tile.len().saturating_sub(pairs::HASHED_BYTES - 1);
    let (mut at, mut near) = (1, Near::new(NEAR_FAST));
    while at < searched {
        let end = items.segment_end(at, searched);
        let near_wanted = near.wanted();
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
            if next < searched {
                insert_inside(tile, pairs, at + 1, next - 1);
                if near_wanted {
                    insert_inside_near(tile, pairs, at + 1, next - 1);
                }
            }
            at = next;
            run_start = at;
        }
        if at < searched {
            near.learn(items.close_segment(at));
        }
    }
    finish(tile, at, items);
}

/// Inserts some of the positions `first..=last`: always six, twice the same ones if there are fewer, because
/// a loop that ends with the match ends where nobody can predict. That costs more than the positions are
/// worth that a long match loses by it.
#[inline(always)]
fn insert_inside(tile: &Tile, pairs: &mut Pairs, first: usize, last: usize) {
    for near in 0..4 {
        pairs.insert(tile, (first + near).min(last) as u16);
    }
    pairs.insert(tile, (last - 1).max((first + 3).min(last)) as u16);
    pairs.insert(tile, last as u16);
}

/// Inserts the first six of the positions `first..=last` where matches of three bytes are looked for, as
/// above; else those would only be found where a match began.
#[inline(always)]
fn insert_inside_near(tile: &Tile, pairs: &mut Pairs, first: usize, last: usize) {
    for near in 0..6 {
        pairs.insert_near(tile, (first + near).min(last) as u16);
    }
}

/// Takes the longest match wherever there is one.
#[inline(never)]
pub(super) fn greedy(tile: &Tile, links: &mut Links<HEADS>, effort: Effort, items: &mut Items) {
    links.clear();
    items.push_literal(tile.byte(0));
    let (mut at, mut near) = (1, Near::new(NEAR_QUICK));
    while at < tile.len() {
        let end = items.segment_end(at, tile.len());
        links.extend(tile, at, end, near.wanted());
        while at < end {
            if let Some(found) = links.search::<false>(tile, at as u16, effort) {
                items.push_match(found.length, found.distance);
                at += found.length;
            } else {
                items.push_literal(tile.byte(at));
                at += 1;
            }
        }
        if at < tile.len() {
            near.learn(items.close_segment(at));
        }
    }
    finish(tile, at, items);
}

/// Puts a match off by one position, again and again, while the next one is better. Searches that jump find
/// more in as many steps, and take longer for each.
#[inline(never)]
pub(super) fn lazy<const JUMPS: bool>(
    tile: &Tile,
    links: &mut Links<HEADS>,
    effort: Effort,
    items: &mut Items,
) {
    links.clear();
    items.push_literal(tile.byte(0));
    let again = Effort {
        depth: (effort.depth / 4).max(1),
        ..effort
    };
    let (mut at, mut near) = (1, Near::new(if JUMPS { NEAR_THOROUGH } else { NEAR_QUICK }));
    while at < tile.len() {
        let end = items.segment_end(at, tile.len());
        links.extend(tile, at, end, near.wanted());
        while at < end {
            let Some(mut found) = links.search::<JUMPS>(tile, at as u16, effort) else {
                items.push_literal(tile.byte(at));
                at += 1;
                continue;
            };
            while found.length < effort.nice_length && at + 1 < links.end() {
                let next =
                    links.search_longer::<JUMPS>(tile, (at + 1) as u16, found.length - 1, again);
                let Some(next) = next.filter(|&next| gain(next) > gain(found) + 1) else {
                    break;
                };
                items.push_literal(tile.byte(at));
                at += 1;
                found = next;
            }
            items.push_match(found.length, found.distance);
            at += found.length;
        }
        if at < tile.len() {
            near.learn(items.close_segment(at));
        }
    }
    finish(tile, at, items);
}

/// What a match is worth: about four bits saved a byte, less what its distance costs.
#[inline(always)]
fn gain(found: Match) -> i32 {
    4 * found.length as i32 - found.distance.ilog2() as i32
}

/// Makes literals of what is left and closes the last segment.
fn finish(tile: &Tile, at: usize, items: &mut Items) {
    (at..tile.len()).for_each(|at| items.push_literal(tile.byte(at)));
    items.close_segment(tile.len());
}
