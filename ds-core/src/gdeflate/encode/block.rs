//! One block: chooses its type by exact cost, writes it.

use super::alphabet::{
    DISTANCE_COUNT, END_OF_BLOCK, LENGTH_LONG, LENGTH_MIN, LENGTH_SHORT_MAX, LITLEN_COUNT,
    distance_extra_bits, distance_symbol, length_extra, length_symbol, litlen_extra_bits,
};
use super::code::{CODEWORD_BITS_MAX, Code};
use super::header::Header;
use super::lanes::{LANES, Lanes, Op};
use super::sequences::{Histogram, Sequence};

/// Bytes in one stored block, at most.
const STORED_BYTES_MAX: usize = 65_535;
/// Bits before the bytes of a stored block.
const STORED_HEADER_BITS: usize = 3 + 16;

const TYPE_STORED: u32 = 0;
const TYPE_STATIC: u32 = 1;
const TYPE_DYNAMIC: u32 = 2;

/// Codeword lengths of the static literal/length code.
const STATIC_LITLEN: [u8; LITLEN_COUNT] = {
    let mut lengths = [8; LITLEN_COUNT];
    let mut symbol = 144;
    while symbol < 280 {
        lengths[symbol] = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    lengths
};
/// Codeword lengths of the static distance code.
const STATIC_DISTANCE: [u8; DISTANCE_COUNT] = [5; DISTANCE_COUNT];

/// A part of a tile that shares its codes.
pub(super) struct Block<'a> {
    /// The bytes it stands for.
    pub(super) input: &'a [u8],
    /// The same as sequences.
    pub(super) sequences: &'a [Sequence],
    /// Their symbols, the end of block among them.
    pub(super) histogram: &'a Histogram,
    /// Whether the tile ends here.
    pub(super) last: bool,
}

/// Writes blocks; keeps the buffers for it.
pub(super) struct BlockWriter {
    rounds: Rounds,
    codes: Codes,
}

/// The two codes of a block.
struct Codes {
    litlen: Code<LITLEN_COUNT>,
    distance: Code<DISTANCE_COUNT>,
}

/// Bits of a block under codes of these lengths, from its type to its end, without a dynamic header.
fn bits_under(
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

/// Bits of stored blocks for so many bytes.
pub(super) fn stored_bits(bytes: usize) -> usize {
    bytes * 8 + bytes.div_ceil(STORED_BYTES_MAX).max(1) * STORED_HEADER_BITS
}

/// Writes bytes as they are; `last` if the tile ends with them.
pub(super) fn write_stored(lanes: &mut Lanes, input: &[u8], last: bool) {
    let count = input.len().div_ceil(STORED_BYTES_MAX);
    for (index, bytes) in input.chunks(STORED_BYTES_MAX).enumerate() {
        lanes.put(
            0,
            Op::new(u32::from(last && index + 1 == count) | TYPE_STORED << 1, 3),
        );
        lanes.put(0, Op::new(bytes.len() as u32, 16));
        for round in bytes.chunks(LANES) {
            for (lane, &byte) in round.iter().enumerate() {
                lanes.put(lane, Op::new(u32::from(byte), 8));
            }
        }
    }
}

impl BlockWriter {
    /// A writer for any number of blocks.
    pub(super) fn new() -> BlockWriter {
        let codes = Codes {
            litlen: Code::empty(),
            distance: Code::empty(),
        };
        BlockWriter {
            rounds: Rounds::new(),
            codes,
        }
    }

    /// Writes a block in the way that takes the fewest bits.
    pub(super) fn write(&mut self, lanes: &mut Lanes, block: &Block<'_>) {
        self.codes.litlen = Code::from_frequencies(&block.histogram.litlen, CODEWORD_BITS_MAX);
        self.codes.distance = Code::from_frequencies(&block.histogram.distance, CODEWORD_BITS_MAX);
        let header = Header::new(&self.codes.litlen.lengths, &self.codes.distance.lengths);
        let dynamic_bits = header.bits
            + bits_under(
                block.histogram,
                &self.codes.litlen.lengths,
                &self.codes.distance.lengths,
            );
        let static_bits = bits_under(block.histogram, &STATIC_LITLEN, &STATIC_DISTANCE);
        if stored_bits(block.input.len()) <= dynamic_bits.min(static_bits) {
            return write_stored(lanes, block.input, block.last);
        }
        let start = |lanes: &mut Lanes, kind: u32| {
            lanes.put(0, Op::new(u32::from(block.last) | kind << 1, 3))
        };
        if static_bits <= dynamic_bits {
            start(lanes, TYPE_STATIC);
            self.codes.litlen = Code::from_lengths(STATIC_LITLEN);
            self.codes.distance = Code::from_lengths(STATIC_DISTANCE);
            self.rounds.write(lanes, block, &self.codes);
        } else {
            start(lanes, TYPE_DYNAMIC);
            header.write(lanes);
            self.rounds.write(lanes, block, &self.codes);
        }
    }
}

/// Operations buffered between scheduling and the lanes: whole rounds, and two more for what the last of them reserves.
const ROUNDS_OPS: usize = 1024;
const BUFFER_OPS: usize = 2 * ROUNDS_OPS;

/// Puts the symbols of a block in decoding order.
///
/// A match takes two operations of its lane: the length now and the distance exactly [`LANES`] operations later. So operations have
/// fixed numbers, a match reserves the number of its distance, and what comes next takes the first number that is not reserved.
struct Rounds {
    ops: Box<[Op; BUFFER_OPS]>,
    /// The number of the next operation, counted from the start of the buffer.
    at: usize,
    /// Which of the operations from `at` on are reserved, the next one lowest. Never more than the first [`LANES`].
    reserved: u64,
    /// What a match of each length sends.
    lengths: [Op; LENGTH_SHORT_MAX + 1],
}

impl Rounds {
    fn new() -> Rounds {
        let ops = vec![Op::NONE; BUFFER_OPS]
            .into_boxed_slice()
            .try_into()
            .expect("as long as it says");
        Rounds {
            ops,
            at: 0,
            reserved: 0,
            lengths: [Op::NONE; LENGTH_SHORT_MAX + 1],
        }
    }

    /// Writes all symbols of a block, its end included.
    fn write(&mut self, lanes: &mut Lanes, block: &Block<'_>, codes: &Codes) {
        (self.at, self.reserved) = (0, 0);
        for length in LENGTH_MIN..=LENGTH_SHORT_MAX {
            let symbol = length_symbol(length);
            let word = codes.litlen.words[symbol];
            if word.count() != 0 {
                self.lengths[length] = word.then(length_extra(length), litlen_extra_bits(symbol));
            }
        }
        let mut rest = block.input;
        for &sequence in block.sequences {
            let (literals, after) = rest.split_at(usize::from(sequence.literals));
            for &byte in literals {
                self.place(lanes, codes.litlen.words[usize::from(byte)]);
            }
            if sequence.length != 0 {
                self.place_match(lanes, codes, sequence);
            }
            rest = &after[usize::from(sequence.length)..];
        }
        self.place(lanes, codes.litlen.words[END_OF_BLOCK]);
        self.finish(lanes);
    }

    #[inline(always)]
    fn place_match(&mut self, lanes: &mut Lanes, codes: &Codes, sequence: Sequence) {
        let length = usize::from(sequence.length);
        let op = if length <= LENGTH_SHORT_MAX {
            self.lengths[length]
        } else {
            codes.litlen.words[LENGTH_LONG].then(length_extra(length), 16)
        };
        self.place(lanes, op);
        let symbol = distance_symbol(sequence.distance);
        let count = distance_extra_bits(symbol);
        let extra = u32::from(sequence.distance - 1) & ((1 << count) - 1);
        self.ops[(self.at + LANES - 1) % BUFFER_OPS] =
            codes.distance.words[symbol].then(extra, count);
        self.reserved |= 1 << (LANES - 1);
    }

    /// Gives an operation the next free number.
    #[inline(always)]
    fn place(&mut self, lanes: &mut Lanes, op: Op) {
        let passed = self.reserved.trailing_ones();
        self.at += passed as usize;
        self.reserved >>= passed;
        self.ops[self.at % BUFFER_OPS] = op;
        self.at += 1;
        self.reserved >>= 1;
        if self.at >= ROUNDS_OPS {
            self.flush(lanes);
        }
    }

    /// Hands full rounds to the lanes and moves the rest to the front.
    #[inline(never)]
    fn flush(&mut self, lanes: &mut Lanes) {
        lanes.put_rounds(&self.ops[..ROUNDS_OPS]);
        self.ops.copy_within(ROUNDS_OPS..ROUNDS_OPS + 3 * LANES, 0);
        self.at -= ROUNDS_OPS;
    }

    /// The distances still pending, each in its lane's turn; the others pass.
    fn finish(&mut self, lanes: &mut Lanes) {
        for _ in 0..LANES {
            if self.reserved & 1 == 0 {
                self.ops[self.at % BUFFER_OPS] = Op::NONE;
            }
            self.at += 1;
            self.reserved >>= 1;
        }
        lanes.put_rounds(&self.ops[..self.at]);
    }
}
