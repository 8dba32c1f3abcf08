//! The codes of a block, in a form that fits registers.
//!
//! Canonical codewords of one length are consecutive numbers, and those of the next length begin
//! where these end. So a codeword's length is found by comparing with the *limits* of the lengths,
//! and its symbol by its distance from the first codeword of that length. Within a length literals
//! come before all other symbols; they are listed apart, so that the list whose entries decide how
//! a lane goes on has only 64: 32 for the end of block and lengths, 32 for distances.
//!
//! All tables that depend on the length are indexed by a *leaf*: 15 minus the length, plus 16 in
//! the distance code.
//!
//! Promises: only complete codes are accepted, and the two exceptions the format knows. Whatever
//! bits a lane then shows, it finds an entry of this block's code.
#![forbid(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _mm256_cmpeq_epi8_mask, _mm256_maskz_compress_epi8, _mm256_set1_epi8,
    _mm512_cmpeq_epi8_mask, _mm512_maskz_compress_epi8, _mm512_permutex2var_epi16,
    _mm512_permutexvar_epi16, _mm512_set1_epi8,
};

use super::super::huffman::{DISTANCE_SYMBOLS_MAX, END_OF_BLOCK, LITERAL_SYMBOLS_MAX, TableError};
use super::simd::{BYTES, HALVES, load, load_32, load_halves, store, store_32, store_halves};

/// Longest codeword.
const BITS_MAX: usize = 15;
/// All patterns of 15 bits.
const CODE_SPACE: u16 = 1 << BITS_MAX;

/// What the distance code adds to an index into a table by leaf.
const DISTANCE: usize = 16;
/// Where distances begin in the list of entries.
const DISTANCE_ENTRIES: usize = 32;

/// What an entry says beside, in its low five bits, the number of extra bits.
pub(super) mod entry {
    /// A match length: the lane's next operation is a distance. The highest bit, because that is
    /// what shifts and masks take from an element.
    pub(in super::super) const LENGTH: u16 = 1 << 15;
    /// Ends the block, or has no meaning.
    pub(in super::super) const SPECIAL: u16 = 1 << 14;
    /// Ends the block.
    pub(in super::super) const END: u16 = SPECIAL | 1 << 13;
}

/// A code length for each symbol, 0 for none.
pub(super) struct Lengths {
    pub(super) literals: [u8; LITERAL_SYMBOLS_MAX],
    pub(super) distances: [u8; DISTANCE_SYMBOLS_MAX],
}

impl Lengths {
    pub(super) const STATIC: Self = {
        let mut literals = [8; LITERAL_SYMBOLS_MAX];
        let mut symbol = 144;
        while symbol < 280 {
            literals[symbol] = if symbol < 256 { 9 } else { 7 };
            symbol += 1;
        }
        Self {
            literals,
            distances: [5; DISTANCE_SYMBOLS_MAX],
        }
    };
}

/// The codes of one block.
pub(super) struct Codes {
    /// Limits as a search tree: [`TREE`] says where.
    pub(super) tree: [u16; HALVES],
    /// By leaf: the first codeword that is not a literal.
    pub(super) split: [u16; HALVES],
    /// By leaf: what makes an index of `entries` of a codeword.
    pub(super) to_entry: [u16; HALVES],
    /// By leaf: what makes an index of `literals` of a codeword.
    pub(super) to_literal: [u16; HALVES],
    /// Flags and numbers of extra bits.
    pub(super) entries: [[u16; HALVES]; 2],
    /// Lengths less three and distances less one, without their extra bits.
    pub(super) bases: [[u16; HALVES]; 2],
    /// The literals in the order of their codewords, and room for a whole store.
    pub(super) literals: [u8; 256 + BYTES],
}

impl Codes {
    pub(super) const EMPTY: Self = Self {
        tree: [0; HALVES],
        split: [0; HALVES],
        to_entry: [0; HALVES],
        to_literal: [0; HALVES],
        entries: [[0; HALVES]; 2],
        bases: [[0; HALVES]; 2],
        literals: [0; 256 + BYTES],
    };

    /// The codes of these lengths. The literal/length code must be able to end its block.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn set(&mut self, lengths: &Lengths) -> Result<(), TableError> {
        if lengths.literals[END_OF_BLOCK] == 0 {
            return Err(TableError::NoEndOfBlock);
        }
        let (literals, others) = lengths.literals.split_first_chunk().expect("256 literals");
        let others: &[u8; 32] = others.try_into().expect("32 other symbols");

        let mut sorted = [[0; 2 * HALVES]; 2];
        let literal_counts = sort_literals(literals, &mut self.literals);
        let other_counts = sort_32(others, &mut sorted[0]);
        let distance_counts = sort_32(&lengths.distances, &mut sorted[1]);

        let mut limits = [0; HALVES];
        let (of_lengths, of_distances) = limits.split_at_mut(DISTANCE);
        match set_limits(of_lengths, |bits| literal_counts[bits] + other_counts[bits]) {
            Claimed::All => {}
            // The only codeword, which is that of the end of block: both bits mean it.
            Claimed::OneBit => sorted[0][1] = sorted[0][0],
            _ => return Err(TableError::Literal),
        }
        match set_limits(of_distances, |bits| distance_counts[bits]) {
            Claimed::All => {}
            Claimed::OneBit => sorted[1][1] = sorted[1][0],
            // No distance, allowed as long as no one uses one.
            Claimed::Nothing => sorted[1][..2].fill(NO_DISTANCE),
            Claimed::Wrong => return Err(TableError::Distance),
        }
        let limit_vector = load_halves(&limits);
        let tree = _mm512_permutexvar_epi16(load_halves(&TREE), limit_vector);
        store_halves(&mut self.tree, tree);
        self.set_offsets(&limits, &literal_counts, &other_counts, &distance_counts);
        self.set_entries(&sorted);
        Ok(())
    }

    /// The tables by leaf.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    fn set_offsets(
        &mut self,
        limits: &[u16; HALVES],
        literal_counts: &Counts,
        other_counts: &Counts,
        distance_counts: &Counts,
    ) {
        let (mut literals, mut others, mut distances) = (0u16, 0u16, DISTANCE_ENTRIES as u16);
        for bits in 1..=BITS_MAX {
            let leaf = BITS_MAX - bits;
            let first = limits[bits - 1] >> leaf;
            let split = first + literal_counts[bits];
            self.to_literal[leaf] = literals.wrapping_sub(first);
            self.split[leaf] = split;
            self.to_entry[leaf] = others.wrapping_sub(split);
            literals += literal_counts[bits];
            others += other_counts[bits];

            let first = limits[DISTANCE + bits - 1] >> leaf;
            self.split[DISTANCE + leaf] = 0;
            self.to_entry[DISTANCE + leaf] = distances.wrapping_sub(first);
            distances += distance_counts[bits];
        }
    }

    /// What the sorted symbols mean.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    fn set_entries(&mut self, sorted: &[[u8; 2 * HALVES]; 2]) {
        let meanings = [
            (&LENGTH_ENTRIES, &LENGTH_BASES),
            (&DISTANCE_ENTRY_LIST, &DISTANCE_BASES),
        ];
        for (i, (entries, bases)) in meanings.into_iter().enumerate() {
            let symbols = widen(sorted[i].first_chunk().expect("32 symbols"));
            let look_up = |table: &[[u16; HALVES]; 2]| {
                let [low, high] = table;
                _mm512_permutex2var_epi16(load_halves(low), symbols, load_halves(high))
            };
            store_halves(&mut self.entries[i], look_up(entries));
            store_halves(&mut self.bases[i], look_up(bases));
        }
    }
}

/// How many codewords have each length.
type Counts = [u16; BITS_MAX + 1];

/// How many patterns of 15 bits some codeword begins.
enum Claimed {
    All,
    /// Half of them, by a single codeword of one bit.
    OneBit,
    Nothing,
    Wrong,
}

/// Computes the limits: element n is the first pattern that begins with no codeword of up to n bits.
/// In the two exceptions, codewords of one bit are all there is.
#[inline(always)]
fn set_limits(limits: &mut [u16], count: impl Fn(usize) -> u16) -> Claimed {
    let mut limit = 0;
    for (bits, of_bits) in limits.iter_mut().enumerate().take(BITS_MAX + 1).skip(1) {
        limit += u32::from(count(bits)) << (BITS_MAX - bits);
        // Cut off where it does not fit; then it is refused.
        *of_bits = limit as u16;
    }
    const ALL: u32 = CODE_SPACE as u32;
    const HALF: u32 = ALL / 2;
    let claimed = match limit {
        ALL => return Claimed::All,
        HALF if count(1) == 1 => Claimed::OneBit,
        0 => Claimed::Nothing,
        _ => Claimed::Wrong,
    };
    limits[1..].fill(CODE_SPACE);
    claimed
}

/// Lists the literals by length of their codewords, then by value.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn sort_literals(lengths: &[u8; 256], sorted: &mut [u8; 256 + BYTES]) -> Counts {
    let mut counts = [0; BITS_MAX + 1];
    let mut quarters = [load(&IOTA); 4];
    for (quarter, lengths) in quarters.iter_mut().zip(lengths.as_chunks().0) {
        *quarter = load(lengths);
    }
    let mut at = 0;
    for (bits, count) in counts.iter_mut().enumerate().skip(1) {
        let start = at;
        for (i, quarter) in quarters.into_iter().enumerate() {
            let mask = _mm512_cmpeq_epi8_mask(quarter, _mm512_set1_epi8(bits as i8));
            let symbols = std::arch::x86_64::_mm512_add_epi8(
                load(&IOTA),
                _mm512_set1_epi8((i * BYTES) as u8 as i8),
            );
            let symbols = _mm512_maskz_compress_epi8(mask, symbols);
            store(sorted[at..].first_chunk_mut().expect("the slack"), symbols);
            at += mask.count_ones() as usize;
        }
        *count = (at - start) as u16;
    }
    counts
}

/// The same for 32 symbols.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn sort_32(lengths: &[u8; 32], sorted: &mut [u8; 2 * HALVES]) -> Counts {
    let mut counts = [0; BITS_MAX + 1];
    let lengths = load_32(lengths);
    let symbols = load_32(IOTA.first_chunk().expect("64 bytes"));
    let mut at = 0;
    for (bits, count) in counts.iter_mut().enumerate().skip(1) {
        let mask = _mm256_cmpeq_epi8_mask(lengths, _mm256_set1_epi8(bits as i8));
        let symbols = _mm256_maskz_compress_epi8(mask, symbols);
        store_32(sorted[at..].first_chunk_mut().expect("the slack"), symbols);
        *count = mask.count_ones() as u16;
        at += usize::from(*count);
    }
    counts
}

/// Bytes as 16-bit elements.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn widen(bytes: &[u8; 32]) -> __m512i {
    std::arch::x86_64::_mm512_cvtepu8_epi16(load_32(bytes))
}

/// 0, 1, 2, and so on.
pub(super) const IOTA: [u8; BYTES] = {
    let mut bytes = [0; BYTES];
    let mut i = 0;
    while i < BYTES {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

/// Which limit stands at which node of the search tree: node 2 is the root of the literal/length
/// code, 3 that of the distance code, and node n leads to 2n, or to 2n + 1 if the bits are below
/// its limit. Four steps lead to 32 plus the leaf: the number of limits that the bits are below.
const TREE: [u16; HALVES] = {
    let mut tree = [0; HALVES];
    let mut node = 2;
    while node < HALVES {
        let level = node.ilog2() as usize - 1;
        let code = node >> level & 1;
        let path = node & ((1 << level) - 1);
        let below = (path << (4 - level)) + (8 >> level);
        tree[node] = (code * DISTANCE + BITS_MAX - below) as u16;
        node += 1;
    }
    tree
};

/// The symbol that stands for the distances of a code without any; no real symbol.
const NO_DISTANCE: u8 = 32;

/// Entries of the symbols from 256 on: the end of block, lengths, two without meaning.
const LENGTH_ENTRIES: [[u16; HALVES]; 2] = {
    let mut entries = [[entry::SPECIAL; HALVES]; 2];
    entries[0][0] = entry::END;
    let mut symbol = 1;
    while symbol <= 29 {
        entries[0][symbol] = entry::LENGTH | length_extra_bits(symbol);
        symbol += 1;
    }
    entries
};

/// Extra bits of the `symbol`-th length: none for eight, then one more every four, and the last as
/// in Deflate64.
const fn length_extra_bits(symbol: usize) -> u16 {
    match symbol {
        29 => 16,
        9.. => (symbol as u16 - 5) / 4,
        _ => 0,
    }
}

const LENGTH_BASES: [[u16; HALVES]; 2] = {
    let mut bases = [[0; HALVES]; 2];
    let mut base = 0;
    let mut symbol = 1;
    while symbol < 29 {
        bases[0][symbol] = base;
        base += 1 << length_extra_bits(symbol);
        symbol += 1;
    }
    bases
};

/// Entries of the distance symbols; the last half is for [`NO_DISTANCE`].
const DISTANCE_ENTRY_LIST: [[u16; HALVES]; 2] = {
    let mut entries = [
        [
            0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12,
            12, 13, 13, 14, 14,
        ],
        [entry::SPECIAL; HALVES],
    ];
    entries[1][1] = entry::SPECIAL;
    entries
};

const DISTANCE_BASES: [[u16; HALVES]; 2] = {
    let mut bases = [[0; HALVES]; 2];
    let mut base: u32 = 0;
    let mut symbol = 0;
    while symbol < HALVES {
        bases[0][symbol] = base as u16;
        base += 1 << DISTANCE_ENTRY_LIST[0][symbol];
        symbol += 1;
    }
    assert!(base == 1 << 16);
    bases
};
