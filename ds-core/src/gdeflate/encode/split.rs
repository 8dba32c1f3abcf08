//! Where a tile's blocks begin and end.
//!
//! The whole tile is parsed before its first block is written, so borders need not be guessed while parsing: the sequences are
//! counted in small segments, and neighbours are joined for as long as one code for both is estimated to be cheaper than two.

use std::ops::Range;

use super::alphabet::{DISTANCE_COUNT, LITLEN_COUNT};
use super::block::stored_bits;
use super::log2::log2;
use super::sequences::{Histogram, Sequence};

/// Bytes a segment covers before the next one begins.
const SEGMENT_BYTES: usize = 4096;

/// A run of sequences that will share their codes.
#[derive(Clone)]
pub(super) struct Part {
    /// Which sequences.
    pub(super) sequences: Range<usize>,
    /// Which bytes they stand for.
    pub(super) input: Range<usize>,
    /// Their symbols, the end of block among them.
    pub(super) histogram: Histogram,
    /// Estimated cost as one block.
    bits: f32,
}

impl Part {
    fn new(sequences: Range<usize>, input: Range<usize>, histogram: Histogram) -> Part {
        let bits = estimated_bits(&histogram, input.len());
        Part {
            sequences,
            input,
            histogram,
            bits,
        }
    }

    fn joined(&self, next: &Part) -> Part {
        let mut histogram = self.histogram.clone();
        histogram.add(&next.histogram);
        histogram.end_block();
        Part::new(
            self.sequences.start..next.sequences.end,
            self.input.start..next.input.end,
            histogram,
        )
    }
}

/// Splits a parsed tile into blocks, in order. `parts` is cleared first; it is the caller's so that its memory is reused.
pub(super) fn split(sequences: &[Sequence], input: &[u8], parts: &mut Vec<Part>) {
    segments(sequences, input, parts);
    join(parts);
}

/// Counts the tile in segments.
fn segments(sequences: &[Sequence], input: &[u8], parts: &mut Vec<Part>) {
    parts.clear();
    let (mut first, mut start, mut at) = (0, 0, 0);
    let mut histogram = Histogram::EMPTY;
    for (index, &sequence) in sequences.iter().enumerate() {
        histogram.count(sequence, &input[at..]);
        at += sequence.bytes();
        if at - start >= SEGMENT_BYTES || index + 1 == sequences.len() {
            histogram.end_block();
            let counted = std::mem::replace(&mut histogram, Histogram::EMPTY);
            parts.push(Part::new(first..index + 1, start..at, counted));
            (first, start) = (index + 1, at);
        }
    }
}

/// Joins the pair of neighbours that gains most, again and again.
fn join(parts: &mut Vec<Part>) {
    let mut pairs: Vec<Part> = parts
        .windows(2)
        .map(|pair| pair[0].joined(&pair[1]))
        .collect();
    loop {
        let gains = pairs
            .iter()
            .enumerate()
            .map(|(index, pair)| (index, parts[index].bits + parts[index + 1].bits - pair.bits));
        let Some((best, gain)) = gains.max_by(|a, b| a.1.total_cmp(&b.1)) else {
            return;
        };
        if gain <= 0.0 {
            return;
        }
        parts[best] = pairs.remove(best);
        parts.remove(best + 1);
        if best > 0 {
            pairs[best - 1] = parts[best - 1].joined(&parts[best]);
        }
        if best < pairs.len() {
            pairs[best] = parts[best].joined(&parts[best + 1]);
        }
    }
}

/// About how many bits a block takes: its entropy, and a guess at the header from the number of used symbols.
fn estimated_bits(histogram: &Histogram, bytes: usize) -> f32 {
    const HEADER_BITS: f32 = 60.0;
    const HEADER_BITS_PER_SYMBOL: f32 = 3.5;
    let (litlen_bits, litlen_used) = entropy::<LITLEN_COUNT>(&histogram.litlen);
    let (distance_bits, distance_used) = entropy::<DISTANCE_COUNT>(&histogram.distance);
    let header = HEADER_BITS + HEADER_BITS_PER_SYMBOL * (litlen_used + distance_used);
    let coded = litlen_bits + distance_bits + header + histogram.extra_bits() as f32;
    coded.min(stored_bits(bytes) as f32)
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
