//! One block: chooses its type by exact cost, writes it.

#![forbid(unsafe_code)]

use super::alphabet::{
    DISTANCE_COUNT, DISTANCE_ROW_LOG2, DISTANCE_ROWS, END_OF_BLOCK, LENGTH_LONG, LENGTH_MIN,
    LENGTH_SHORT_MAX, LITLEN_COUNT, distance_base, distance_extra_bits, distance_row,
    distance_row_symbol, length_extra, length_symbol, litlen_extra_bits,
};
use super::code::Code;
use super::coding::{Care, Coding, bits_under};
use super::items::{Histogram, Item, ROW_COUNT, row_of_length};
use super::lanes::{LANES, Lanes, Op};
#[cfg(target_arch = "x86_64")]
use super::vector::{Table, Vector};
use crate::gdeflate::Path;

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
    /// The same as items.
    pub(super) items: &'a [Item],
    /// Their symbols, the end of block among them.
    pub(super) histogram: &'a Histogram,
    /// Whether the tile ends here.
    pub(super) last: bool,
}

/// Writes blocks; keeps the buffers for it.
pub(super) struct BlockWriter {
    rounds: Rounds,
    codes: Codes,
    care: Care,
}

/// The two codes of a block.
struct Codes {
    litlen: Code<LITLEN_COUNT>,
    distance: Code<DISTANCE_COUNT>,
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
    pub(super) fn new(path: Path, care: Care) -> BlockWriter {
        let codes = Codes {
            litlen: Code::empty(),
            distance: Code::empty(),
        };
        BlockWriter {
            rounds: Rounds::new(path),
            codes,
            care,
        }
    }

    /// Writes a block in the way that takes the fewest bits.
    pub(super) fn write(&mut self, lanes: &mut Lanes, block: &Block<'_>) {
        let coding = Coding::new(block.histogram, self.care);
        let static_bits = bits_under(block.histogram, &STATIC_LITLEN, &STATIC_DISTANCE);
        if stored_bits(block.input.len()) <= coding.bits.min(static_bits) {
            return write_stored(lanes, block.input, block.last);
        }
        let start = |lanes: &mut Lanes, kind: u32| {
            lanes.put(0, Op::new(u32::from(block.last) | kind << 1, 3))
        };
        if static_bits <= coding.bits {
            start(lanes, TYPE_STATIC);
            self.codes.litlen = Code::from_lengths(STATIC_LITLEN);
            self.codes.distance = Code::from_lengths(STATIC_DISTANCE);
            self.rounds.write(lanes, block, &self.codes);
        } else {
            start(lanes, TYPE_DYNAMIC);
            coding.header.write(lanes);
            self.codes.litlen = Code::from_lengths(coding.litlen);
            self.codes.distance = Code::from_lengths(coding.distance);
            self.rounds.write(lanes, block, &self.codes);
        }
    }
}

/// Operations buffered between scheduling and the lanes: whole rounds, and two more for what the last of them
/// reserves.
const ROUNDS_OPS: usize = 1024;
const BUFFER_OPS: usize = 2 * ROUNDS_OPS;

/// Puts the symbols of a block in decoding order.
///
/// A match takes two operations of its lane: the length now and the distance exactly [`LANES`] operations
/// later. So operations have fixed numbers, a match reserves the number of its distance, and what comes next
/// takes the first number that is not reserved.
struct Rounds {
    ops: Box<[Op; BUFFER_OPS]>,
    /// What each literal and each length sends.
    rows: [Op; ROW_COUNT],
    /// What each row of distances sends.
    distances: [DistanceOp; DISTANCE_ROWS],
    /// The faster way, where there is one.
    #[cfg(target_arch = "x86_64")]
    vector: Option<(Vector, Table)>,
}

/// An operation for the distances of one row.
#[derive(Clone, Copy, Default)]
struct DistanceOp {
    /// The bits for the row's first distance. Where the symbol begins above that, in the middle of the row,
    /// this wraps below zero, and what is added brings it back.
    bits: u32,
    count: u16,
    /// By how much to shift what is added.
    codeword_count: u16,
}

impl DistanceOp {
    /// `value` is the distance less one.
    #[inline(always)]
    fn at(self, value: u16) -> Op {
        let low = u32::from(value) % (1 << DISTANCE_ROW_LOG2);
        let bits = self.bits.wrapping_add(low << self.codeword_count);
        Op::new(bits, u32::from(self.count))
    }
}

/// Where the next operation goes.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The number of the next operation, counted from the start of the buffer.
    at: usize,
    /// Which of the operations from `at` on are reserved, the next one lowest. Never more than the first
    /// [`LANES`].
    reserved: u64,
}

impl Place {
    /// The first free number.
    #[inline(always)]
    fn free(self) -> usize {
        self.at + self.passed() as usize
    }

    /// How many reserved operations come first. The set bit says that it is never all of them, which saves a
    /// branch.
    #[inline(always)]
    fn passed(self) -> u32 {
        (!self.reserved | 1 << 63).trailing_zeros()
    }

    /// What comes after the operation at the first free number, which reserves its lane's next turn for a
    /// match.
    #[inline(always)]
    fn after(self, is_match: bool) -> Place {
        let passed = self.passed();
        let reserved = (self.reserved >> passed >> 1) | u64::from(is_match) << (LANES - 1);
        Place {
            at: self.at + passed as usize + 1,
            reserved,
        }
    }
}

impl Rounds {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
    fn new(path: Path) -> Rounds {
        let ops = vec![Op::NONE; BUFFER_OPS]
            .into_boxed_slice()
            .try_into()
            .expect("as long as it says");
        Rounds {
            ops,
            rows: [Op::NONE; ROW_COUNT],
            distances: [DistanceOp::default(); DISTANCE_ROWS],
            #[cfg(target_arch = "x86_64")]
            vector: (path == Path::Avx512)
                .then(Vector::new)
                .flatten()
                .map(|vector| (vector, Table::new())),
        }
    }

    /// Writes all symbols of a block, its end included.
    #[inline(never)]
    fn write(&mut self, lanes: &mut Lanes, block: &Block<'_>, codes: &Codes) {
        self.fill_rows(codes);
        let (mut place, items) = self.write_whole_rounds(lanes, block.items, codes);
        for &item in items {
            place = self.place_item(place, codes, item);
            if place.at >= ROUNDS_OPS {
                place.at = self.flush(lanes, place.at);
            }
        }
        self.ops[place.free() % BUFFER_OPS] = codes.litlen.words[END_OF_BLOCK];
        self.finish(lanes, place.after(false));
    }

    /// Writes as many rounds as the faster way can; returns where the next operation goes and the items left.
    #[cfg(target_arch = "x86_64")]
    fn write_whole_rounds<'a>(
        &mut self,
        lanes: &mut Lanes,
        items: &'a [Item],
        codes: &Codes,
    ) -> (Place, &'a [Item]) {
        let Some((vector, table)) = &mut self.vector else {
            return (Place::default(), items);
        };
        table.fill(
            &self.rows,
            &codes.distance.words,
            codes.litlen.words[LENGTH_LONG],
        );
        let written = lanes.lend(|state, put| vector.write(items, table, state, put));
        for (lane, &bits) in written.owed.iter().enumerate() {
            let distance = Item::from_bits(bits).distance();
            self.ops[lane] = self.distances[distance_row(distance)].at(distance.wrapping_sub(1));
        }
        let place = Place {
            at: 0,
            reserved: u64::from(written.pending),
        };
        (place, &items[written.items..])
    }

    /// There is no faster way.
    #[cfg(not(target_arch = "x86_64"))]
    fn write_whole_rounds<'a>(
        &mut self,
        _: &mut Lanes,
        items: &'a [Item],
        _: &Codes,
    ) -> (Place, &'a [Item]) {
        (Place::default(), items)
    }

    fn fill_rows(&mut self, codes: &Codes) {
        for row in 0..DISTANCE_ROWS {
            let value = if row < 256 {
                row & !((1 << DISTANCE_ROW_LOG2) - 1)
            } else {
                (row - 256) << DISTANCE_ROW_LOG2
            };
            let symbol = distance_row_symbol(row);
            let word = codes.distance.words[symbol];
            self.distances[row] = DistanceOp {
                bits: word.bits().wrapping_add(
                    (value as u32).wrapping_sub(distance_base(symbol)) << word.count(),
                ),
                count: (word.count() + distance_extra_bits(symbol)) as u16,
                codeword_count: word.count() as u16,
            };
        }
        self.rows[..256].copy_from_slice(&codes.litlen.words[..256]);
        for length in LENGTH_MIN..=LENGTH_SHORT_MAX {
            let symbol = length_symbol(length);
            let word = codes.litlen.words[symbol];
            if word.count() != 0 {
                self.rows[row_of_length(length)] =
                    word.then(length_extra(length), litlen_extra_bits(symbol));
            }
        }
    }

    /// Literals and matches alike, because which of them comes next cannot be predicted: a literal's distance
    /// is an operation of no bits that nothing is reserved for.
    #[inline(always)]
    fn place_item(&mut self, place: Place, codes: &Codes, item: Item) -> Place {
        let op = match self.rows.get(item.row()) {
            Some(&op) => op,
            None => codes.litlen.words[LENGTH_LONG].then(length_extra(item.length()), 16),
        };
        let free = place.free();
        self.ops[free % BUFFER_OPS] = op;
        let value = item.distance().wrapping_sub(1);
        self.ops[(free + LANES) % BUFFER_OPS] =
            self.distances[distance_row(item.distance())].at(value);
        let is_match = item.distance() != 0;
        place.after(is_match)
    }

    /// Hands full rounds to the lanes and moves the rest to the front; returns where the next operation goes
    /// now.
    #[inline(never)]
    fn flush(&mut self, lanes: &mut Lanes, at: usize) -> usize {
        lanes.put_rounds(&self.ops[..ROUNDS_OPS]);
        self.ops.copy_within(ROUNDS_OPS..ROUNDS_OPS + 3 * LANES, 0);
        at - ROUNDS_OPS
    }

    /// The distances still pending, each in its lane's turn; the others pass.
    fn finish(&mut self, lanes: &mut Lanes, place: Place) {
        for turn in 0..LANES {
            if place.reserved >> turn & 1 == 0 {
                self.ops[(place.at + turn) % BUFFER_OPS] = Op::NONE;
            }
        }
        lanes.put_rounds(&self.ops[..place.at + LANES]);
    }
}
