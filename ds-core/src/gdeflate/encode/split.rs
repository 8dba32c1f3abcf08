//! Where a tile's blocks begin and end.
//!
//! The whole tile is parsed before its first block is written, so borders need not be guessed while parsing: the sequences are
//! counted in small segments, and neighbours are joined for as long as one code for both is estimated to be cheaper than two.

use std::ops::Range;

use super::alphabet::{DISTANCE_COUNT, LITLEN_COUNT};
use super::block::stored_bits;
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

/// The binary logarithm to about three digits, without branches so that loops over it become vector code; 0 for 0.
#[inline(always)]
fn log2(value: u32) -> f32 {
    let bits = (value.max(1) as f32).to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    // A parabola through log2 at 1, sqrt 2 and 2.
    exponent + (mantissa - 1.0) * (1.0 + (2.0 - mantissa) * 0.343_145_75)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log2_is_close_and_exact_at_powers() {
        for value in 1..=70_000_u32 {
            assert!(
                (log2(value) - (value as f32).log2()).abs() < 0.01,
                "{value}"
            );
        }
        assert_eq!(log2(4096), 12.0);
        assert_eq!(log2(0), 0.0);
    }
}
