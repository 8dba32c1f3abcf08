//! Where a tile's blocks begin and end.
//!
//! The whole tile is parsed before its first block is written, so borders need not be guessed while parsing:
//! items are counted in small segments, and neighbours are joined for as long as one code for both is
//! estimated to be cheaper than two.

#![forbid(unsafe_code)]

use std::mem::swap;

use super::alphabet::{DISTANCE_COUNT, LITLEN_COUNT};
use super::block::stored_bits;
use super::coding::{Care, Coding};
use super::items::{Histogram, Part};
use super::log2::log2;

/// Two neighbours as one block.
struct Pair {
    histogram: Histogram,
    bits: f32,
}

impl Pair {
    fn new(part: &Part, next: &Part, estimate: Estimate) -> Pair {
        let histogram = part.histogram.joined(&next.histogram);
        let bits = estimate.bits(&histogram, next.input.end - part.input.start);
        Pair { histogram, bits }
    }
}

/// How to foresee what a block takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Estimate {
    /// By entropy and a guess at the header.
    Entropy,
    /// By making the codes and the header; about twenty times as slow.
    Exact,
}

impl Estimate {
    fn bits(self, histogram: &Histogram, bytes: usize) -> f32 {
        let coded = match self {
            Estimate::Entropy => entropy_bits(histogram),
            // At most 2^20 or so, which a float holds exactly.
            Estimate::Exact => Coding::new(histogram, Care::Quick).bits as f32,
        };
        coded.min(stored_bits(bytes) as f32)
    }
}

/// A gain that entropy foresees and that exact costs hardly ever deny.
const CERTAIN_BITS: f32 = 100.0;

/// Joins the pair of neighbours that gains most, again and again.
pub(super) fn join(parts: &mut Vec<Part>, estimate: Estimate) {
    if estimate == Estimate::Exact {
        // Most segments join their neighbours in any case; exact costs are for the borders in doubt.
        join_above(parts, Estimate::Entropy, CERTAIN_BITS);
    }
    join_above(parts, estimate, 0.0);
}

/// Joins only where more than so many bits are gained.
fn join_above(parts: &mut Vec<Part>, estimate: Estimate, gain_min: f32) {
    let mut bits: Vec<f32> = parts
        .iter()
        .map(|part| estimate.bits(&part.histogram, part.input.len()))
        .collect();
    // Each part with its neighbour.
    let mut pairs: Vec<Pair> = parts
        .windows(2)
        .map(|pair| Pair::new(&pair[0], &pair[1], estimate))
        .collect();
    // Parts are large: those that are joined to another stay where they are until the end.
    let mut left: Vec<usize> = (0..parts.len()).collect();
    loop {
        let gains = left.windows(2).enumerate().map(|(place, pair)| {
            let (part, next) = (pair[0], pair[1]);
            (place, bits[part] + bits[next] - pairs[part].bits)
        });
        let best = gains.max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((place, _)) = best.filter(|&(_, gain)| gain > gain_min) else {
            break;
        };
        let (part, next) = (left[place], left.remove(place + 1));
        (parts[part].items.end, parts[part].input.end) =
            (parts[next].items.end, parts[next].input.end);
        swap(&mut parts[part].histogram, &mut pairs[part].histogram);
        bits[part] = pairs[part].bits;
        if let Some(&before) = place.checked_sub(1).map(|place| &left[place]) {
            pairs[before] = Pair::new(&parts[before], &parts[part], estimate);
        }
        if let Some(&next) = left.get(place + 1) {
            pairs[part] = Pair::new(&parts[part], &parts[next], estimate);
        }
    }
    let mut index = 0..parts.len();
    parts.retain(|_| {
        index
            .next()
            .is_some_and(|index| left.binary_search(&index).is_ok())
    });
}

/// Merges neighbours, whatever they hold, until each part but the last has so many bytes.
pub(super) fn merge_to(parts: &mut Vec<Part>, bytes_min: usize) {
    parts.dedup_by(|next, part| {
        let merge = part.input.len() < bytes_min;
        if merge {
            part.histogram = part.histogram.joined(&next.histogram);
            (part.items.end, part.input.end) = (next.items.end, next.input.end);
        }
        merge
    });
}

/// Whether a part is likely to end as a stored block.
pub(super) fn is_better_stored(part: &Part) -> bool {
    entropy_bits(&part.histogram) >= stored_bits(part.input.len()) as f32
}

/// About how many bits a coded block takes: its entropy, and a guess at the header from the number of used
/// symbols.
fn entropy_bits(histogram: &Histogram) -> f32 {
    const HEADER_BITS: f32 = 60.0;
    const HEADER_BITS_PER_SYMBOL: f32 = 3.9;
    let (litlen_bits, litlen_used) = entropy::<LITLEN_COUNT>(&histogram.litlen);
    let (distance_bits, distance_used) = entropy::<DISTANCE_COUNT>(&histogram.distance);
    let header = HEADER_BITS + HEADER_BITS_PER_SYMBOL * (litlen_used + distance_used);
    litlen_bits + distance_bits + header + histogram.extra_bits() as f32
}

/// Bits that an ideal code would take for these symbols, and how many of them are used.
fn entropy<const N: usize>(counts: &[u32; N]) -> (f32, f32) {
    const WIDTH: usize = 8;
    const { assert!(N.is_multiple_of(WIDTH)) };
    // Eight sums side by side, because a compiler may not reorder the additions of one.
    let (mut total, mut used, mut weighted) = ([0; WIDTH], [0; WIDTH], [0.0; WIDTH]);
    for counts in counts.chunks_exact(WIDTH) {
        for lane in 0..WIDTH {
            let count = counts[lane];
            total[lane] += count;
            used[lane] += u32::from(count != 0);
            weighted[lane] += count as f32 * log2(count);
        }
    }
    let total: u32 = total.iter().sum();
    let bits = total as f32 * log2(total) - weighted.iter().sum::<f32>();
    (bits, used.iter().sum::<u32>() as f32)
}
