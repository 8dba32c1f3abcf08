//! How a dynamic block is coded: the codeword lengths of its two codes, and the header that announces them.
//!
//! The cheapest codes are not always the cheapest block. A header sends lengths as runs of equal ones, and
//! counts that differ by chance make lengths differ. Where neighbouring symbols are used about equally often,
//! codes made as if they were used equally often cost a little more and are announced in much less; which is
//! less in sum is found by trying.

#![forbid(unsafe_code)]

use super::alphabet::{DISTANCE_COUNT, LITLEN_COUNT};
use super::code::{CODEWORD_BITS_MAX, lengths_for};
use super::header::Header;
use super::items::Histogram;

/// How much to do for few bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Take the cheapest codes.
    Quick,
    /// Look for codes that take less together with their header.
    Thorough,
}

/// Codeword lengths and their header.
pub(super) struct Coding {
    pub(super) litlen: [u8; LITLEN_COUNT],
    pub(super) distance: [u8; DISTANCE_COUNT],
    pub(super) header: Header,
    /// All bits of the block, from its type to its end.
    pub(super) bits: usize,
}

/// How unequal counts may be to count as equal, and how unequal if little is asked.
const TOLERANCES: [Tolerance; 2] = [
    Tolerance { least: 3, share: 4 },
    Tolerance { least: 1, share: 8 },
];

/// From the mean, a count may be off by `least`, and by one `share`th of the mean more.
#[derive(Clone, Copy)]
struct Tolerance {
    least: u32,
    share: u32,
}

impl Coding {
    /// The best coding for these counts that is tried.
    pub(super) fn new(histogram: &Histogram, care: Care) -> Coding {
        let mut best = Coding::of(histogram, histogram);
        if care == Care::Thorough {
            for tolerance in TOLERANCES {
                let mut evened = histogram.clone();
                even_out(&mut evened.litlen, tolerance);
                even_out(&mut evened.distance, tolerance);
                let other = Coding::of(histogram, &evened);
                if other.bits < best.bits {
                    best = other;
                }
            }
        }
        best
    }

    /// The codes that are cheapest for the counts `made_for`, which use the same symbols.
    fn of(histogram: &Histogram, made_for: &Histogram) -> Coding {
        let litlen = lengths_for(&made_for.litlen, CODEWORD_BITS_MAX);
        let distance = lengths_for(&made_for.distance, CODEWORD_BITS_MAX);
        let header = Header::new(&litlen, &distance);
        let bits = header.bits + bits_under(histogram, &litlen, &distance);
        Coding {
            litlen,
            distance,
            header,
            bits,
        }
    }
}

/// Bits of a block under codes of these lengths, from its type to its end, without a dynamic header.
pub(super) fn bits_under(
    histogram: &Histogram,
    litlen: &[u8; LITLEN_COUNT],
    distance: &[u8; DISTANCE_COUNT],
) -> usize {
    let bits = |frequencies: &[u32], lengths: &[u8]| -> u32 {
        frequencies
            .iter()
            .zip(lengths)
            .map(|(&frequency, &length)| frequency * u32::from(length))
            .sum()
    };
    3 + (bits(&histogram.litlen, litlen) + bits(&histogram.distance, distance)) as usize
        + histogram.extra_bits()
}

/// Gives neighbours whose counts are about equal the same count, their mean. A symbol that is not used may
/// get a count among those that are; longer stretches of such stay, and what is behind the last used symbol:
/// they are announced in next to nothing.
fn even_out(counts: &mut [u32], tolerance: Tolerance) {
    /// Fewer are no run.
    const RUN_MIN: usize = 4;
    /// Unused symbols in a row that stay unused.
    const UNUSED_MIN: usize = 5;
    let mut rest = counts;
    while let Some(&first) = rest.first() {
        let unused = rest.iter().take_while(|&&count| count == 0).count();
        if unused >= UNUSED_MIN {
            rest = &mut rest[unused..];
            continue;
        }
        let (mut sum, mut len, mut mean) = (first, 1, first);
        while let Some(&count) = rest.get(len) {
            let far = count.abs_diff(mean) > tolerance.least + mean / tolerance.share;
            let stays_unused =
                count == 0 && rest[len..].iter().take(UNUSED_MIN).all(|&count| count == 0);
            if far || stays_unused {
                break;
            }
            sum += count;
            len += 1;
            mean = (sum + len as u32 / 2) / len as u32;
        }
        let (run, others) = rest.split_at_mut(len);
        if len >= RUN_MIN && sum != 0 {
            run.fill(mean.max(1));
        }
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gdeflate::encode::alphabet::LENGTH_LONG;

    /// Counts of many kinds: dense, sparse, flat, skewed.
    fn histogram(seed: u32) -> Histogram {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let mut histogram = Histogram::EMPTY;
        let (most, one_in) = (1 + random(1 << (seed % 12)), 1 + random(4));
        let (litlen, distance) = (
            &mut histogram.litlen[..=LENGTH_LONG],
            &mut histogram.distance,
        );
        for count in litlen.iter_mut().chain(distance) {
            *count = if random(one_in) == 0 {
                random(most + 1)
            } else {
                0
            };
        }
        histogram.litlen[256] = 1;
        histogram
    }

    #[test]
    fn every_used_symbol_has_a_codeword_and_care_costs_no_bit() {
        let mut shorter = 0;
        for seed in 0..2000 {
            let histogram = histogram(seed);
            let quick = Coding::new(&histogram, Care::Quick);
            let thorough = Coding::new(&histogram, Care::Thorough);
            assert!(thorough.bits <= quick.bits, "seed {seed}");
            shorter += usize::from(thorough.bits < quick.bits);
            let litlen = histogram.litlen.iter().zip(&thorough.litlen);
            let distance = histogram.distance.iter().zip(&thorough.distance);
            for (&count, &length) in litlen.chain(distance) {
                assert!(count == 0 || length != 0, "seed {seed}");
            }
            assert_eq!(thorough.litlen[LENGTH_LONG + 1..], [0, 0], "seed {seed}");
        }
        assert!(shorter > 500, "only {shorter} of 2000 are shorter");
    }

    #[test]
    fn counts_about_equal_become_equal() {
        let tolerance = Tolerance { least: 1, share: 8 };
        let mut counts = [9, 10, 11, 10, 0, 0, 0, 0, 0, 100, 1, 1, 0, 1, 0, 0];
        even_out(&mut counts, tolerance);
        assert_eq!(
            counts,
            [10, 10, 10, 10, 0, 0, 0, 0, 0, 100, 1, 1, 1, 1, 0, 0]
        );
    }
}
