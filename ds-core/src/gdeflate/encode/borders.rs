//! Moves the borders between blocks to the items where they belong.
//!
//! Joining segments (split.rs) finds how many blocks there are and about where; data changes in the middle of
//! segments, though. Under the prices of the two blocks at a border, the best place for it is the minimum of
//! a sum that one walk over their items yields.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::items::{Histogram, Item, Items, Part};
use super::prices::{BIT, Prices};
use super::split::is_better_stored;

/// Moves each border to the cheapest place between its neighbours.
pub(super) fn refine(items: &mut Items) {
    let (list, parts) = items.list_and_parts_mut();
    for border in 1..parts.len() {
        let (before, after) = parts.split_at_mut(border);
        move_border(list, &mut before[border - 1], &mut after[0]);
    }
}

fn move_border(list: &[Item], left: &mut Part, right: &mut Part) {
    let (left_prices, right_prices) = (PartPrices::new(left), PartPrices::new(right));
    let first = left.items.start;
    // How much more the items up to here cost on the left than on the right.
    let (mut sum, mut least) = (0_i64, i64::MAX);
    let (mut best, mut at_border) = (left.items.end, i64::MAX);
    for (index, &item) in list[first..right.items.end - 1].iter().enumerate() {
        sum += left_prices.of(item) - right_prices.of(item);
        if sum < least {
            (least, best) = (sum, first + index + 1);
        }
        if first + index + 1 == left.items.end {
            at_border = sum;
        }
    }
    if least == at_border {
        return;
    }
    let border = left.items.end;
    if best < border {
        transfer(
            list,
            best..border,
            &mut left.histogram,
            &mut right.histogram,
        );
        left.input.end -= bytes(list, best..border);
    } else {
        transfer(
            list,
            border..best,
            &mut right.histogram,
            &mut left.histogram,
        );
        left.input.end += bytes(list, border..best);
    }
    right.input.start = left.input.end;
    (left.items.end, right.items.start) = (best, best);
}

/// Counts items in another block.
fn transfer(list: &[Item], range: Range<usize>, from: &mut Histogram, to: &mut Histogram) {
    for &item in &list[range] {
        from.remove(item);
        to.add(item);
    }
}

fn bytes(list: &[Item], range: Range<usize>) -> usize {
    list[range].iter().map(|item| item.bytes()).sum()
}

/// What items cost in a block.
enum PartPrices {
    Coded(Box<Prices>),
    Stored,
}

impl PartPrices {
    fn new(part: &Part) -> PartPrices {
        if is_better_stored(part) {
            PartPrices::Stored
        } else {
            PartPrices::Coded(Box::new(Prices::new(&part.histogram)))
        }
    }

    #[inline(always)]
    fn of(&self, item: Item) -> i64 {
        match self {
            PartPrices::Coded(prices) => i64::from(prices.of(item)),
            PartPrices::Stored => item.bytes() as i64 * 8 * i64::from(BIT),
        }
    }
}
