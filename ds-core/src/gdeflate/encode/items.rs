//! What a parse yields: literals and matches in input order, counted in segments.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::TILE_BYTES_MAX;
use super::alphabet::{
    DISTANCE_COUNT, END_OF_BLOCK, LENGTH_SHORT_MAX, LITLEN_COUNT, distance_extra_bits,
    distance_symbol, length_symbol, litlen_extra_bits,
};

/// A literal or a match, in 32 bits: the distance, 0 for a literal, below the byte or the length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Item(u32);

/// What the rows of an item table stand for: 256 literals, then a row for each length that is not long.
pub(super) const ROW_COUNT: usize = 256 + LENGTH_SHORT_MAX + 1;

impl Item {
    #[inline(always)]
    const fn literal(byte: u8) -> Item {
        Item((byte as u32) << 16)
    }

    #[inline(always)]
    const fn matched(length: usize, distance: usize) -> Item {
        Item((length as u32) << 16 | distance as u32)
    }

    /// The item in its 32 bits.
    #[cfg(target_arch = "x86_64")]
    pub(super) const fn from_bits(bits: u32) -> Item {
        Item(bits)
    }

    /// The distance, 0 for a literal.
    #[inline(always)]
    pub(super) const fn distance(self) -> u16 {
        self.0 as u16
    }

    /// The length of a match.
    #[inline(always)]
    pub(super) const fn length(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// How many bytes it stands for.
    #[inline(always)]
    pub(super) const fn bytes(self) -> usize {
        if self.distance() == 0 {
            1
        } else {
            self.length()
        }
    }

    /// The byte of a literal.
    #[inline(always)]
    pub(super) const fn byte(self) -> usize {
        (self.0 >> 16 & 0xff) as usize
    }

    /// What it sends: a literal, or a length and a distance.
    #[inline(always)]
    fn symbols(self) -> (usize, Option<usize>) {
        if self.distance() == 0 {
            (self.byte(), None)
        } else {
            (
                length_symbol(self.length()),
                Some(distance_symbol(self.distance())),
            )
        }
    }

    /// Its row in a table of [`ROW_COUNT`] rows; beyond that, it is a match that only symbol 285 can express.
    #[inline(always)]
    pub(super) const fn row(self) -> usize {
        (self.0 >> 16) as usize + if self.distance() == 0 { 0 } else { 256 }
    }
}

/// The row of a match length.
pub(super) const fn row_of_length(length: usize) -> usize {
    256 + length
}

/// A run of items: at first a segment, in the end a block.
#[derive(Clone)]
pub(super) struct Part {
    /// Which items.
    pub(super) items: Range<usize>,
    /// Which bytes they stand for.
    pub(super) input: Range<usize>,
    /// Their symbols, one end of block among them.
    pub(super) histogram: Histogram,
}

/// A tile as items, under construction.
pub(super) struct Items {
    /// As many as a tile has bytes, at most.
    list: Box<[Item; TILE_BYTES_MAX]>,
    len: usize,
    /// Bytes a segment covers before the next one begins.
    segment_bytes: usize,
    /// Symbols of the open segment.
    open: Histogram,
    /// Where the open segment begins, in items and in bytes.
    open_item: usize,
    open_byte: usize,
    /// The closed segments.
    parts: Vec<Part>,
}

impl Items {
    /// None; segments will have `segment_bytes` bytes or, where a match passes their end, a little more.
    pub(super) fn new(segment_bytes: usize) -> Items {
        Items {
            list: super::zeroed(),
            len: 0,
            segment_bytes,
            open: Histogram::EMPTY,
            open_item: 0,
            open_byte: 0,
            parts: Vec::with_capacity(TILE_BYTES_MAX / segment_bytes),
        }
    }

    /// Forgets the previous tile.
    pub(super) fn clear(&mut self) {
        (self.len, self.open_item, self.open_byte) = (0, 0, 0);
        self.open = Histogram::EMPTY;
        self.parts.clear();
    }

    /// Appends a literal.
    #[inline(always)]
    pub(super) fn push_literal(&mut self, byte: u8) {
        self.list[self.len % TILE_BYTES_MAX] = Item::literal(byte);
        self.len += 1;
        self.open.litlen[usize::from(byte)] += 1;
    }

    /// Appends a match: a length of 3 to 65,535, a distance of 1 to 65,535.
    #[inline(always)]
    pub(super) fn push_match(&mut self, length: usize, distance: usize) {
        self.list[self.len % TILE_BYTES_MAX] = Item::matched(length, distance);
        self.len += 1;
        self.open.litlen[length_symbol(length)] += 1;
        self.open.distance[distance_symbol(distance as u16)] += 1;
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of a segment, or a little fewer than it has.
    pub(super) fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// Where a segment that begins at byte `start` should end, in a tile of so many bytes.
    pub(super) fn segment_end(&self, start: usize, bytes: usize) -> usize {
        (start + self.segment_bytes).min(bytes)
    }

    /// Closes the open segment, which ends before byte `end`, and shows it.
    pub(super) fn close_segment(&mut self, end: usize) -> &Part {
        self.open.litlen[END_OF_BLOCK] = 1;
        let histogram = std::mem::replace(&mut self.open, Histogram::EMPTY);
        self.parts.push(Part {
            items: self.open_item..self.len,
            input: self.open_byte..end,
            histogram,
        });
        (self.open_item, self.open_byte) = (self.len, end);
        self.parts.last().expect("just closed")
    }

    /// The items of a part.
    pub(super) fn of(&self, part: &Part) -> &[Item] {
        &self.list[part.items.clone()]
    }

    /// All closed segments in order, or what they were joined to.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// All items, and the parts they make, whose borders may move.
    pub(super) fn list_and_parts_mut(&mut self) -> (&[Item], &mut [Part]) {
        (&self.list[..self.len], &mut self.parts)
    }

    /// The same, to be joined.
    pub(super) fn parts_mut(&mut self) -> &mut Vec<Part> {
        &mut self.parts
    }
}

/// How often a part of the input uses each symbol.
#[derive(Clone)]
pub(super) struct Histogram {
    /// Literal/length symbols.
    pub(super) litlen: [u32; LITLEN_COUNT],
    /// Distance symbols.
    pub(super) distance: [u32; DISTANCE_COUNT],
}

impl Histogram {
    /// Nothing counted.
    pub(super) const EMPTY: Histogram = Histogram {
        litlen: [0; LITLEN_COUNT],
        distance: [0; DISTANCE_COUNT],
    };

    /// Counts an item.
    #[inline(always)]
    pub(super) fn add(&mut self, item: Item) {
        let (litlen, distance) = item.symbols();
        self.litlen[litlen] += 1;
        if let Some(distance) = distance {
            self.distance[distance] += 1;
        }
    }

    /// Undoes [`Self::add`].
    #[inline(always)]
    pub(super) fn remove(&mut self, item: Item) {
        let (litlen, distance) = item.symbols();
        self.litlen[litlen] -= 1;
        if let Some(distance) = distance {
            self.distance[distance] -= 1;
        }
    }

    /// The counts of two neighbours that become one block: one end of block is saved.
    pub(super) fn joined(&self, next: &Histogram) -> Histogram {
        let mut sum = self.clone();
        for (sum, count) in sum.litlen.iter_mut().zip(&next.litlen) {
            *sum += count;
        }
        for (sum, count) in sum.distance.iter_mut().zip(&next.distance) {
            *sum += count;
        }
        sum.litlen[END_OF_BLOCK] = 1;
        sum
    }

    /// Bits that no choice of codes can change.
    pub(super) fn extra_bits(&self) -> usize {
        let lengths = (265..=285).map(|symbol| self.litlen[symbol] * litlen_extra_bits(symbol));
        let distances =
            (4..DISTANCE_COUNT).map(|symbol| self.distance[symbol] * distance_extra_bits(symbol));
        lengths.chain(distances).sum::<u32>() as usize
    }
}
