//! The header of a dynamic block: codeword lengths, run-length coded, under a precode.

#![forbid(unsafe_code)]

use super::alphabet::{DISTANCE_COUNT, LITLEN_COUNT};
use super::code::{Code, lengths_for};
use super::lanes::{Lanes, Op};

/// Symbols of the precode: lengths 0..=15 and three kinds of runs.
const PRECODE_COUNT: usize = 19;
/// The longest codeword of the precode.
const PRECODE_BITS_MAX: usize = 7;
/// In which order the precode's own lengths are sent.
const PRECODE_ORDER: [u8; PRECODE_COUNT] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
/// Three to six more of the previous length.
const REPEAT: u8 = 16;
/// Three to ten zeros.
const ZEROS: u8 = 17;
/// Eleven to 138 zeros.
const ZEROS_MANY: u8 = 18;

/// A precode symbol and its extra bits.
#[derive(Clone, Copy)]
struct Item {
    symbol: u8,
    extra: u8,
}

/// Extra bits of a precode symbol.
const fn extra_bits(symbol: u8) -> u32 {
    match symbol {
        REPEAT => 2,
        ZEROS => 3,
        ZEROS_MANY => 7,
        _ => 0,
    }
}

/// A dynamic header, ready to be sent.
pub(super) struct Header {
    /// HLIT, HDIST and HCLEN.
    counts: Op,
    precode: Code<PRECODE_COUNT>,
    precode_len: usize,
    items: [Item; LITLEN_COUNT + DISTANCE_COUNT],
    item_count: usize,
    /// Bits of the whole header, without the block type.
    pub(super) bits: usize,
}

impl Header {
    /// The header that announces two codes.
    pub(super) fn new(litlen: &[u8; LITLEN_COUNT], distance: &[u8; DISTANCE_COUNT]) -> Header {
        let litlen_len = used_len(litlen, 257);
        let distance_len = used_len(distance, 1);
        // Runs may cross from one code's lengths into the other's, so they are coded as one list.
        let mut lengths = [0; LITLEN_COUNT + DISTANCE_COUNT];
        lengths[..litlen_len].copy_from_slice(&litlen[..litlen_len]);
        lengths[litlen_len..litlen_len + distance_len].copy_from_slice(&distance[..distance_len]);
        let lengths = &lengths[..litlen_len + distance_len];

        let mut items = [Item {
            symbol: 0,
            extra: 0,
        }; LITLEN_COUNT + DISTANCE_COUNT];
        let item_count = run_lengths(lengths, &mut items);
        let mut frequencies = [0; PRECODE_COUNT];
        for item in &items[..item_count] {
            frequencies[usize::from(item.symbol)] += 1;
        }
        let precode = Code::from_lengths(lengths_for(&frequencies, PRECODE_BITS_MAX));
        let unused = PRECODE_ORDER
            .iter()
            .rev()
            .take_while(|&&symbol| precode.lengths[usize::from(symbol)] == 0)
            .count();
        let precode_len = (PRECODE_COUNT - unused).max(4);
        let item_bits: usize = (0..PRECODE_COUNT)
            .map(|symbol| {
                frequencies[symbol] as usize
                    * (usize::from(precode.lengths[symbol]) + extra_bits(symbol as u8) as usize)
            })
            .sum();
        let counts = (litlen_len - 257) | (distance_len - 1) << 5 | (precode_len - 4) << 10;
        Header {
            counts: Op::new(counts as u32, 14),
            precode,
            precode_len,
            items,
            item_count,
            bits: 14 + 3 * precode_len + item_bits,
        }
    }

    /// Sends it, after the block type went to lane 0.
    pub(super) fn write(&self, lanes: &mut Lanes) {
        lanes.put(0, self.counts);
        for (lane, &symbol) in PRECODE_ORDER[..self.precode_len].iter().enumerate() {
            lanes.put(
                lane,
                Op::new(u32::from(self.precode.lengths[usize::from(symbol)]), 3),
            );
        }
        for (lane, item) in self.items[..self.item_count].iter().enumerate() {
            lanes.put(
                lane,
                self.precode.words[usize::from(item.symbol)]
                    .then(u32::from(item.extra), extra_bits(item.symbol)),
            );
        }
    }
}

/// Lengths to send: up to the last one that is not zero, at least `least`.
fn used_len(lengths: &[u8], least: usize) -> usize {
    lengths
        .iter()
        .rposition(|&length| length != 0)
        .map_or(0, |last| last + 1)
        .max(least)
}

/// Splits lengths into precode items, taking every run that is long enough; returns how many items.
fn run_lengths(lengths: &[u8], items: &mut [Item]) -> usize {
    let mut item_count = 0;
    let mut push = |symbol, extra: usize| {
        items[item_count] = Item {
            symbol,
            extra: extra as u8,
        };
        item_count += 1;
    };
    let mut rest = lengths;
    while let [length, ..] = *rest {
        let run = rest.iter().take_while(|&&other| other == length).count();
        rest = &rest[run..];
        let mut left = run;
        if length == 0 {
            while left >= 11 {
                let taken = left.min(138);
                push(ZEROS_MANY, taken - 11);
                left -= taken;
            }
            if left >= 3 {
                push(ZEROS, left - 3);
                left = 0;
            }
        } else {
            push(length, 0);
            left -= 1;
            while left >= 3 {
                let taken = left.min(6);
                push(REPEAT, taken - 3);
                left -= taken;
            }
        }
        for _ in 0..left {
            push(length, 0);
        }
    }
    item_count
}
