//! Canonical codes: from code lengths to lookup tables.
//!
//! Owns the entry format and the layout of the tables, which every symbol decoder shares.
//!
//! One lookup decodes: an entry carries the base value and the bits of codeword and extra bits
//! together, so that decoding a symbol is load, mask, shift, add. Codewords longer than the
//! primary table's index go through a second table of 16 entries.
//!
//! Promises: only complete codes become tables, and the two exceptions the format knows (no codeword
//! at all; one codeword of one bit). Every slot a lookup can reach is then an entry of this code.
#![forbid(unsafe_code)]

/// Longest codeword of the literal/length and distance codes.
const CODEWORD_BITS_MAX: usize = 15;

/// Literal/length symbols that a header can give a length, 286 and 287 included.
pub(super) const LITERAL_SYMBOLS_MAX: usize = 288;
/// Distance symbols.
pub(super) const DISTANCE_SYMBOLS_MAX: usize = 32;
/// Symbols of the precode, the code of code lengths.
pub(super) const PRECODE_SYMBOLS: usize = 19;
/// The literal/length symbol that ends a block.
pub(super) const END_OF_BLOCK: usize = 256;

/// What the decoder does with a bit pattern. From the lowest bit:
///
/// | bits | meaning |
/// |---|---|
/// | 0..=4 | bits of codeword and extra bits together |
/// | 5..=7 | 0: a lane adds entries to its count of used bits, whose carry goes there |
/// | 8..=11 | bits of the codeword |
/// | 12 | 0: makes the field above a shift count as it stands |
/// | 13 | [`Entry::LENGTH`] |
/// | 14 | [`Entry::SPECIAL`] |
/// | 15..=30 | base value, or where the second table begins |
/// | 31 | [`Entry::LITERAL`], highest so that one shift makes it a count |
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Entry(pub(super) u32);

impl Entry {
    /// A match length; this lane's next operation is a distance. In the precode: repeat.
    /// Placed to be the distance table's offset: `last & LENGTH` selects the table.
    pub(super) const LENGTH: u32 = 1 << 13;
    /// Not a value: go to the second table, end the block, or refuse.
    pub(super) const SPECIAL: u32 = 1 << 14;
    /// A literal: the low byte of the value. In the precode: a code length.
    pub(super) const LITERAL: u32 = 1 << 31;
    /// The base value says where the second table begins.
    pub(super) const SECOND: u32 = Self::SPECIAL | Self::LITERAL;
    /// End of block.
    pub(super) const END: u32 = Self::SPECIAL | 1 << 15;
    /// A symbol without meaning.
    const INVALID: Self = Self(Self::SPECIAL);

    const fn new(base: u32, extra_bits: u32, flags: u32) -> Self {
        Self(base << 15 | flags | extra_bits)
    }

    /// For an operation without a codeword: `count` bits (0..=31), no flag.
    #[inline(always)]
    pub(super) const fn bits_only(count: u32) -> Self {
        Self(count)
    }

    /// This symbol's entry under a codeword of `bits` bits.
    const fn with_codeword(self, bits: usize) -> Self {
        Self(self.0 + (bits as u32) * (1 << 8 | 1))
    }

    /// Bits to drop, 1..=31.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 31
    }

    #[inline(always)]
    pub(super) fn is(self, flags: u32) -> bool {
        self.0 & flags == flags
    }

    /// The value of a literal.
    #[inline(always)]
    pub(super) fn literal(self) -> u8 {
        (self.0 >> 15) as u8
    }

    /// Base plus the extra bits, which follow the codeword in `bits`. Only the low byte counts for
    /// a literal; its flag is left above it.
    #[inline(always)]
    pub(super) fn value(self, bits: u64) -> u32 {
        let used = bits as u32 & LOW_BITS[self.bits() as usize];
        // A wrapping shift, because it takes the low five bits as they are.
        (self.0 >> 15) + used.wrapping_shr(self.0 >> 8)
    }
}

/// Masks of the lowest n bits: shorter than computing them without the BMI2 instructions.
const LOW_BITS: [u32; 32] = {
    let mut masks = [0; 32];
    let mut count = 0;
    while count < 32 {
        masks[count] = (1 << count) - 1;
        count += 1;
    }
    masks
};

/// Entries of the literal/length symbols, without a codeword.
const LITERALS: [Entry; LITERAL_SYMBOLS_MAX] = {
    let mut entries = [Entry::INVALID; LITERAL_SYMBOLS_MAX];
    let mut symbol = 0;
    while symbol < 256 {
        entries[symbol] = Entry::new(symbol as u32, 0, Entry::LITERAL);
        symbol += 1;
    }
    entries[END_OF_BLOCK] = Entry::new(0, 0, Entry::END);
    // 257..=264 have no extra bits; then every four symbols have one more, and each base follows
    // where the symbol before ends.
    let mut base = 3;
    symbol = 257;
    while symbol < 285 {
        let extra_bits = if symbol < 265 {
            0
        } else {
            (symbol as u32 - 261) / 4
        };
        entries[symbol] = Entry::new(base, extra_bits, Entry::LENGTH);
        base += 1 << extra_bits;
        symbol += 1;
    }
    // As in Deflate64: any length, where DEFLATE has 258.
    entries[285] = Entry::new(3, 16, Entry::LENGTH);
    entries
};

/// Entries of the distance symbols: each pair has one more extra bit than the pair before.
const DISTANCES: [Entry; DISTANCE_SYMBOLS_MAX] = {
    let mut entries = [Entry::INVALID; DISTANCE_SYMBOLS_MAX];
    let mut base = 1;
    let mut symbol = 0;
    while symbol < DISTANCE_SYMBOLS_MAX {
        let extra_bits = if symbol < 4 { 0 } else { symbol as u32 / 2 - 1 };
        entries[symbol] = Entry::new(base, extra_bits, 0);
        base += 1 << extra_bits;
        symbol += 1;
    }
    assert!(base == 65_537);
    entries
};

/// Entries of the precode: lengths 0..=15, repeat the previous one, two runs of zeros.
const PRECODE: [Entry; PRECODE_SYMBOLS] = {
    let mut entries = [Entry::INVALID; PRECODE_SYMBOLS];
    let mut symbol = 0;
    while symbol < 16 {
        entries[symbol] = Entry::new(symbol as u32, 0, Entry::LITERAL);
        symbol += 1;
    }
    entries[16] = Entry::new(3, 2, Entry::LENGTH);
    entries[17] = Entry::new(3, 3, 0);
    entries[18] = Entry::new(11, 7, 0);
    entries
};

/// Why a list of code lengths is no code: it claims more bit patterns than exist, or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotACode;

/// Index bits of the two primary tables.
pub(super) const PRIMARY_BITS: usize = 11;
const PRIMARY_LEN: usize = 1 << PRIMARY_BITS;
/// Index bits of a second table: whatever a codeword can have beyond the primary index.
const SECOND_BITS: usize = CODEWORD_BITS_MAX - PRIMARY_BITS;
const SECOND_LEN: usize = 1 << SECOND_BITS;

/// Where the tables of a block are: literal/length, then the second tables of both codes, then
/// distances, at an offset that is a flag of an entry.
const SECOND_START: usize = PRIMARY_LEN;
const DISTANCE_START: usize = Entry::LENGTH as usize;
const TABLE_LEN: usize = DISTANCE_START + PRIMARY_LEN;

// In a complete code a prefix that some codeword exceeds is shared by at least two codewords, so
// there are at most half as many second tables as symbols.
const _: () = assert!(
    SECOND_START + (LITERAL_SYMBOLS_MAX + DISTANCE_SYMBOLS_MAX) / 2 * SECOND_LEN <= DISTANCE_START
);

/// The tables of one block.
pub(super) struct Tables {
    entries: [Entry; TABLE_LEN],
}

impl Tables {
    pub(super) const EMPTY: Self = Self {
        entries: [Entry(0); TABLE_LEN],
    };

    /// The entry for the next bits of a lane: the distance code's if the entry decoded `last` was a
    /// length, the literal/length code's otherwise. May be a [`Entry::SECOND`].
    #[inline(always)]
    pub(super) fn first(&self, bits: u64, last: u32) -> Entry {
        let index = bits as usize & (PRIMARY_LEN - 1) | (last & Entry::LENGTH) as usize;
        self.entries[index]
    }

    /// The entry behind a [`Entry::SECOND`].
    #[inline(always)]
    pub(super) fn second(&self, first: Entry, bits: u64) -> Entry {
        let start = (first.0 >> 15) as usize % DISTANCE_START;
        self.entries[start + (bits as usize >> PRIMARY_BITS) % SECOND_LEN]
    }

    /// The static codes.
    pub(super) fn set_static(&mut self) {
        let mut lengths = [8; LITERAL_SYMBOLS_MAX];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        let set = self.set(&lengths, &[5; DISTANCE_SYMBOLS_MAX]);
        debug_assert_eq!(set, Ok(()));
    }

    /// The codes of these lengths. The literal/length code must be able to end its block.
    pub(super) fn set(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), TableError> {
        if literals[END_OF_BLOCK] == 0 {
            return Err(TableError::NoEndOfBlock);
        }
        let (rest, distance_table) = self.entries.split_at_mut(DISTANCE_START);
        let (literal_table, second) = rest.split_at_mut(SECOND_START);
        let used = fill(literals, &LITERALS, literal_table, second, SECOND_START)
            .map_err(|_| TableError::Literal)?;
        fill(
            distances,
            &DISTANCES,
            distance_table,
            &mut second[used..],
            SECOND_START + used,
        )
        .map_err(|_| TableError::Distance)?;
        Ok(())
    }
}

/// Which of a block's codes is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableError {
    /// The literal/length code lacks symbol 256.
    NoEndOfBlock,
    /// The literal/length code is not a code.
    Literal,
    /// The distance code is not a code.
    Distance,
}

/// Longest codeword of the precode.
const PRECODE_BITS_MAX: usize = 7;

/// The precode's table.
pub(super) struct Precode([Entry; 1 << PRECODE_BITS_MAX]);

impl Precode {
    pub(super) fn new(lengths: &[u8; PRECODE_SYMBOLS]) -> Result<Self, NotACode> {
        let mut table = [Entry(0); 1 << PRECODE_BITS_MAX];
        fill(lengths, &PRECODE, &mut table, &mut [], 0)?;
        Ok(Self(table))
    }

    #[inline(always)]
    pub(super) fn entry(&self, bits: u64) -> Entry {
        self.0[bits as usize % (1 << PRECODE_BITS_MAX)]
    }
}

/// Writes the tables of the code with these `lengths`, whose symbols mean `meanings`. Codewords
/// longer than the index of `primary` go to `second`, which begins at table index `second_start`.
/// Returns how much of `second` is used.
fn fill(
    lengths: &[u8],
    meanings: &[Entry],
    primary: &mut [Entry],
    second: &mut [Entry],
    second_start: usize,
) -> Result<usize, NotACode> {
    let primary_bits = primary.len().ilog2() as usize;
    let counts = count(lengths);
    match claimed(&counts) {
        CODE_SPACE => {}
        0 => {
            // Not a code, but allowed as long as no one uses it.
            primary.fill(Entry::INVALID.with_codeword(1));
            return Ok(0);
        }
        HALF_CODE_SPACE if counts[1] == 1 => {
            // The only symbol, whatever the bit.
            let symbol = lengths.iter().position(|length| *length == 1).unwrap_or(0);
            primary.fill(meanings[symbol].with_codeword(1));
            return Ok(0);
        }
        _ => return Err(NotACode),
    }

    let mut symbols = [0; LITERAL_SYMBOLS_MAX];
    sort(lengths, &counts, &mut symbols);
    let mut symbols = symbols.iter().map(|symbol| meanings[usize::from(*symbol)]);
    // The codeword as it stands in a lane: first bit lowest.
    let mut reversed = 0;
    let (short, long) = counts[1..].split_at(primary_bits);
    for (bits, count) in (1..).zip(short) {
        // The table for codewords up to `bits - 1` bits, twice, is the one for up to `bits`,
        // wherever those codewords decide.
        let half = 1 << (bits - 1);
        primary.copy_within(..half, half);
        for entry in symbols.by_ref().take(usize::from(*count)) {
            primary[reversed] = entry.with_codeword(bits);
            reversed = successor(reversed, bits);
        }
    }
    let mut used = 0;
    let mut prefix = usize::MAX;
    for (bits, count) in (primary_bits + 1..).zip(long) {
        for entry in symbols.by_ref().take(usize::from(*count)) {
            if prefix != reversed & (primary.len() - 1) {
                prefix = reversed & (primary.len() - 1);
                primary[prefix] = Entry::new((second_start + used) as u32, 0, Entry::SECOND);
                used += SECOND_LEN;
            }
            let table = &mut second[used - SECOND_LEN..used];
            for slot in table[reversed >> primary_bits..]
                .iter_mut()
                .step_by(1 << (bits - primary_bits))
            {
                *slot = entry.with_codeword(bits);
            }
            reversed = successor(reversed, bits);
        }
    }
    Ok(used)
}

/// How many codewords have each length.
fn count(lengths: &[u8]) -> [u16; CODEWORD_BITS_MAX + 1] {
    let mut counts = [0; CODEWORD_BITS_MAX + 1];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts
}

/// All patterns of 15 bits.
const CODE_SPACE: u32 = 1 << CODEWORD_BITS_MAX;
const HALF_CODE_SPACE: u32 = CODE_SPACE / 2;

/// How many patterns of 15 bits begin with some codeword, if no codeword begins with another.
fn claimed(counts: &[u16; CODEWORD_BITS_MAX + 1]) -> u32 {
    (1..)
        .zip(&counts[1..])
        .map(|(bits, count)| u32::from(*count) * (CODE_SPACE >> bits))
        .sum()
}

/// Sorts the symbols that have a codeword by length, then by value: the order of canonical codewords.
fn sort(
    lengths: &[u8],
    counts: &[u16; CODEWORD_BITS_MAX + 1],
    symbols: &mut [u16; LITERAL_SYMBOLS_MAX],
) {
    // Those without a codeword are sorted too, behind all others.
    let mut places = [0; CODEWORD_BITS_MAX + 1];
    for bits in 2..=CODEWORD_BITS_MAX {
        places[bits] = places[bits - 1] + counts[bits - 1];
    }
    places[0] = places[CODEWORD_BITS_MAX] + counts[CODEWORD_BITS_MAX];
    for (symbol, length) in (0..).zip(lengths) {
        let place = &mut places[usize::from(*length)];
        symbols[usize::from(*place)] = symbol;
        *place += 1;
    }
}

/// The next codeword of `bits` bits, bit-reversed: adds one at the highest bit, carrying downwards.
/// After the last codeword the result is 0 or whatever the next length begins with.
fn successor(reversed: usize, bits: usize) -> usize {
    let zeros = !reversed & ((1 << bits) - 1);
    match zeros.checked_ilog2() {
        Some(highest) => reversed & ((1 << highest) - 1) | 1 << highest,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entry that decodes `bits`, wherever it is.
    fn lookup(tables: &Tables, bits: u64, last: u32) -> Entry {
        let first = tables.first(bits, last);
        if first.is(Entry::SECOND) {
            tables.second(first, bits)
        } else {
            first
        }
    }

    /// Codewords as the DEFLATE specification assigns them, first bit highest.
    fn codewords(lengths: &[u8]) -> Vec<(usize, u64, u32)> {
        let mut codewords = Vec::new();
        let mut code = 0;
        for bits in 1..=15 {
            for (symbol, _) in lengths
                .iter()
                .enumerate()
                .filter(|(_, length)| **length == bits)
            {
                codewords.push((symbol, code, u32::from(bits)));
                code += 1;
            }
            code <<= 1;
        }
        codewords
    }

    #[test]
    fn every_codeword_finds_its_symbol_whatever_follows() {
        // Lengths 1 to 14 once, 15 twice: every length, and second tables of every depth.
        let mut literals = [0; LITERAL_SYMBOLS_MAX];
        let symbols = [
            101, 256, 7, 285, 257, 0, 255, 33, 284, 265, 270, 66, 200, 9, 280, 262,
        ];
        for (i, symbol) in symbols.into_iter().enumerate() {
            literals[symbol] = (i as u8 + 1).min(15);
        }
        let mut distances = [0; DISTANCE_SYMBOLS_MAX];
        for (i, length) in distances[3..19].iter_mut().rev().enumerate() {
            *length = (i as u8 + 1).min(15);
        }
        let mut tables = Box::new(Tables::EMPTY);
        tables.set(&literals, &distances).unwrap();
        let codes = [
            (&literals[..], &LITERALS[..], 0),
            (&distances, &DISTANCES, Entry::LENGTH),
        ];
        for (lengths, meanings, last) in codes {
            for (symbol, code, bits) in codewords(lengths) {
                let reversed = code.reverse_bits() >> (64 - bits);
                for behind in [0, u64::MAX, 0x1234_5678_9ABC_DEF5] {
                    let entry = lookup(&tables, reversed | behind << bits, last);
                    assert_eq!(
                        entry,
                        meanings[symbol].with_codeword(bits as usize),
                        "{symbol}"
                    );
                }
            }
        }
    }

    #[test]
    fn values_cover_all_lengths_and_distances_without_gaps() {
        let mut next = 3;
        for entry in &LITERALS[257..285] {
            assert_eq!(entry.value(0), next);
            next = entry.value(u64::MAX) + 1;
        }
        assert_eq!(next, 259);
        assert_eq!(
            (LITERALS[285].value(0), LITERALS[285].value(u64::MAX)),
            (3, 65_538)
        );
        next = 1;
        for entry in &DISTANCES {
            assert_eq!(entry.value(0), next);
            next = entry.value(u64::MAX) + 1;
        }
        assert_eq!(next, 65_537);
        // Extra bits behind a codeword of 15 bits; what follows them does not count.
        let entry = LITERALS[285].with_codeword(15);
        assert_eq!(entry.value(0x1_2345 << 15 | 0x7FFF), 3 + 0x2345);
    }

    #[test]
    fn only_complete_codes_and_the_two_exceptions_become_tables() {
        let mut tables = Box::new(Tables::EMPTY);
        let mut end_only = [0; 257];
        end_only[END_OF_BLOCK] = 1;
        assert_eq!(tables.set(&end_only, &[0]), Ok(()));
        for bits in [0, 1] {
            assert!(lookup(&tables, bits, 0).is(Entry::END));
            assert_eq!(
                lookup(&tables, bits, Entry::LENGTH),
                Entry::INVALID.with_codeword(1)
            );
        }
        assert_eq!(tables.set(&end_only, &[0, 1]), Ok(()));
        assert_eq!(lookup(&tables, 1, Entry::LENGTH).value(0), 2);
        for wrong in [&[2][..], &[2, 2], &[1, 2], &[1, 1, 1], &[1, 1, 15]] {
            assert_eq!(
                tables.set(&end_only, wrong),
                Err(TableError::Distance),
                "{wrong:?}"
            );
        }
        assert_eq!(tables.set(&[8; 257], &[0]), Err(TableError::Literal));
        assert_eq!(tables.set(&[9; 257], &[0]), Err(TableError::Literal));
        end_only[END_OF_BLOCK] = 2;
        assert_eq!(tables.set(&end_only, &[0]), Err(TableError::Literal));
        assert_eq!(tables.set(&[0; 257], &[0]), Err(TableError::NoEndOfBlock));
    }
}
