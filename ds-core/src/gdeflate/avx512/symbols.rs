//! The symbol phase: rounds of 32 operations, all lanes at once.
//!
//! Owns the hot loop. A round is one dependency chain, from a lane's `used` through four steps down
//! the tree of limits to the entry that says how many bits were used; whatever the chain does not
//! need (literals, values, their places in the lists) is computed beside it.
#![forbid(unsafe_code)]

use std::arch::x86_64::{
    __m512i, __mmask32, _mm256_mask_compress_epi8, _mm512_add_epi16, _mm512_and_si512,
    _mm512_andnot_si512, _mm512_castsi512_si256, _mm512_cvtepi16_epi8, _mm512_cvtepu8_epi16,
    _mm512_gf2p8affine_epi64_epi8, _mm512_maskz_compress_epi16, _mm512_maskz_expand_epi16,
    _mm512_movepi16_mask, _mm512_permutex2var_epi16, _mm512_permutexvar_epi16, _mm512_set1_epi16,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shldi_epi16, _mm512_shrdv_epi16,
    _mm512_sllv_epi16, _mm512_srai_epi16, _mm512_sub_epi16, _mm512_test_epi16_mask,
};

use super::batch::{BATCH_ROUNDS, Batch, Counts};
use super::codes::{Codes, IOTA, entry};
use super::lanes::{Lanes, Window};
use super::simd::{load, load_halves};
use super::words::Words;
use super::{LANES, REVERSE_BYTE_BITS};

/// The tables that every round needs, in registers as far as there are.
#[derive(Clone, Copy)]
struct Tables {
    tree: __m512i,
    split: __m512i,
    to_entry: __m512i,
    to_literal: __m512i,
    entries: [__m512i; 2],
    bases: [__m512i; 2],
}

impl Tables {
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    fn load(codes: &Codes) -> Self {
        Self {
            tree: load_halves(&codes.tree),
            split: load_halves(&codes.split),
            to_entry: load_halves(&codes.to_entry),
            to_literal: load_halves(&codes.to_literal),
            entries: codes.entries.each_ref().map(|half| load_halves(half)),
            bases: codes.bases.each_ref().map(|half| load_halves(half)),
        }
    }
}

/// What a round's lanes found.
#[derive(Clone, Copy)]
struct Step {
    /// The leaf, plus 32: see codes.rs.
    leaf: __m512i,
    /// The codeword as a number.
    codeword: __m512i,
    /// Index of the entry; without meaning for a literal.
    index: __m512i,
    /// Flags and extra bits: 0 for a literal.
    entry: __m512i,
}

/// The most words that a batch takes: a word a lane in each round, and in the round behind the last
/// whole one, in which a lane is looked at twice at most.
pub(super) const BATCH_WORDS_MAX: usize = (BATCH_ROUNDS + 2) * LANES;

/// A round: which code each lane uses, and what it finds.
#[derive(Clone, Copy)]
pub(super) struct Rounds {
    lanes: Lanes,
    /// Where each lane's search starts: 2, or 3 where a distance is due.
    root: __m512i,
    /// Where a distance is due.
    due: __mmask32,
}

/// Why a batch ended.
pub(super) enum BatchEnd {
    /// It is full.
    Full,
    /// The block ended.
    Block,
    /// A symbol without meaning.
    Symbol,
}

/// Finds the symbols of all lanes.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn search(tables: &Tables, window: Window, root: __m512i) -> Step {
    let bits = _mm512_and_si512(window.first, _mm512_set1_epi16(0x7FFF));
    let mut node = root;
    for _ in 0..4 {
        let limit = _mm512_permutexvar_epi16(node, tables.tree);
        // Both are at most 2^15, so the highest bit says which is less.
        node = _mm512_shldi_epi16::<1>(node, _mm512_sub_epi16(bits, limit));
    }
    // The shift counts by the low four bits, tables are indexed by the low five.
    let codeword = _mm512_shrdv_epi16(bits, _mm512_setzero_si512(), node);
    let split = _mm512_permutexvar_epi16(node, tables.split);
    let literal = _mm512_srai_epi16::<15>(_mm512_sub_epi16(codeword, split));
    let index = _mm512_add_epi16(codeword, _mm512_permutexvar_epi16(node, tables.to_entry));
    let [low, high] = tables.entries;
    let entry = _mm512_permutex2var_epi16(low, index, high);
    Step {
        leaf: node,
        codeword,
        index,
        entry: _mm512_andnot_si512(literal, entry),
    }
}

impl Step {
    /// `used` and the bits that the operation takes. The sum's sixth bit is the carry; above it are
    /// flags, which no one looks at.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    fn used(&self, used: __m512i) -> __m512i {
        let leaf = _mm512_and_si512(self.leaf, _mm512_set1_epi16(15));
        let codeword_bits = _mm512_sub_epi16(_mm512_set1_epi16(15), leaf);
        _mm512_add_epi16(_mm512_add_epi16(used, codeword_bits), self.entry)
    }

    /// Lengths less three, distances less one.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    fn values(&self, tables: &Tables, window: Window) -> __m512i {
        // The 16 bits behind the codeword, then the first of them lowest.
        let bits = _mm512_shrdv_epi16(window.second, window.first, self.leaf);
        let matrix = _mm512_set1_epi64(REVERSE_BYTE_BITS);
        let bits = _mm512_gf2p8affine_epi64_epi8::<0>(bits, matrix);
        let bits = _mm512_shldi_epi16::<8>(bits, bits);
        let extra_bits = _mm512_and_si512(self.entry, _mm512_set1_epi16(31));
        let others = _mm512_sllv_epi16(_mm512_set1_epi16(-1), extra_bits);
        let [low, high] = tables.bases;
        let base = _mm512_permutex2var_epi16(low, self.index, high);
        _mm512_add_epi16(base, _mm512_andnot_si512(others, bits))
    }
}

impl Rounds {
    /// At the beginning of a block.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn new(lanes: Lanes) -> Self {
        Self {
            lanes,
            root: _mm512_set1_epi16(2),
            due: 0,
        }
    }

    /// The lanes, at the end of the block.
    pub(super) fn lanes(self) -> Lanes {
        self.lanes
    }

    /// The hot loop: rounds until the batch is full or something ends it. The caller ensured the
    /// words.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline(never)]
    pub(super) fn fill(&mut self, words: &mut Words, codes: &Codes, batch: &mut Batch) -> BatchEnd {
        let tables = Tables::load(codes);
        let mut rounds = *self;
        let mut counts = batch.counts;
        let mut next = words.next();
        let mut end = BatchEnd::Full;
        for _ in 0..BATCH_ROUNDS {
            let new = words.peek(next);
            let window = rounds.lanes.window();
            let step = search(&tables, window, rounds.root);
            let special = _mm512_set1_epi16(entry::SPECIAL as i16);
            if _mm512_test_epi16_mask(step.entry, special) != 0 {
                words.set_next(next);
                end = rounds.last(words, &tables, batch, &mut counts);
                next = words.next();
                break;
            }
            let lengths = _mm512_movepi16_mask(step.entry);
            put(
                batch,
                &mut counts,
                &tables,
                window,
                &step,
                [!rounds.due, lengths, rounds.due],
            );
            next += rounds.lanes.advance(step.used(rounds.lanes.used), new);
            rounds.root = _mm512_shldi_epi16::<1>(_mm512_set1_epi16(1), step.entry);
            rounds.due = lengths;
        }
        words.set_next(next);
        batch.counts = counts;
        *self = rounds;
        end
    }

    /// The round in which a special entry was seen, and the distances due after it.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[cold]
    #[inline(never)]
    fn last(
        &mut self,
        words: &mut Words,
        tables: &Tables,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> BatchEnd {
        let window = self.lanes.window();
        let step = search(tables, window, self.root);
        let end_flag = _mm512_set1_epi16((entry::END & !entry::SPECIAL) as i16);
        let special = _mm512_test_epi16_mask(step.entry, _mm512_set1_epi16(entry::SPECIAL as i16));
        let ends = _mm512_test_epi16_mask(step.entry, end_flag);
        // The first special entry decides, since it is the first in order.
        let first = special & special.wrapping_neg();
        let before = first.wrapping_sub(1);
        if ends & first == 0 {
            self.some(words, tables, batch, counts, before);
            return BatchEnd::Symbol;
        }
        // Lanes behind the end go on only where a distance is due.
        let behind = !(before | first);
        let wrong = special & behind & self.due;
        let active = before | first | behind & self.due;
        if wrong != 0 {
            let before = (wrong & wrong.wrapping_neg()).wrapping_sub(1);
            self.some(words, tables, batch, counts, active & before);
            return BatchEnd::Symbol;
        }
        let lengths = self.some(words, tables, batch, counts, active);
        let due = lengths & before;
        if due == 0 {
            return BatchEnd::Block;
        }
        (self.due, self.root) = (due, _mm512_set1_epi16(3));
        let step = search(tables, self.lanes.window(), self.root);
        let special = _mm512_test_epi16_mask(step.entry, _mm512_set1_epi16(entry::SPECIAL as i16));
        let wrong = special & due;
        let before = (wrong & wrong.wrapping_neg()).wrapping_sub(1);
        self.some(words, tables, batch, counts, due & before);
        if wrong == 0 {
            BatchEnd::Block
        } else {
            BatchEnd::Symbol
        }
    }

    /// A round of the lanes in `active` alone; the first that ends the block, if any, yields
    /// nothing. Answers which lanes found lengths.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    fn some(
        &mut self,
        words: &mut Words,
        tables: &Tables,
        batch: &mut Batch,
        counts: &mut Counts,
        active: __mmask32,
    ) -> __mmask32 {
        let window = self.lanes.window();
        let step = search(tables, window, self.root);
        let special = _mm512_test_epi16_mask(step.entry, _mm512_set1_epi16(entry::SPECIAL as i16));
        let yields = active & !special;
        let lengths = _mm512_movepi16_mask(step.entry) & yields;
        put(
            batch,
            counts,
            tables,
            window,
            &step,
            [yields & !self.due, lengths, yields & self.due],
        );
        let taken = step.used(_mm512_setzero_si512());
        let taken = _mm512_and_si512(taken, _mm512_set1_epi16(31));
        self.lanes.take(words, active, taken);
        lengths
    }
}

/// Appends what a round found to the lists: of the lanes that yield a symbol, of those among them
/// that yield a length, and of those that yield a distance.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn put(
    batch: &mut Batch,
    counts: &mut Counts,
    tables: &Tables,
    window: Window,
    step: &Step,
    [symbols, lengths, distances]: [__mmask32; 3],
) {
    let to_literal = _mm512_permutexvar_epi16(step.leaf, tables.to_literal);
    let literals = _mm512_cvtepi16_epi8(_mm512_add_epi16(step.codeword, to_literal));
    let literals = _mm256_mask_compress_epi8(literals, symbols, literals);
    let values = step.values(tables, window);
    // The place of each length among the symbols.
    let iota = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(load(&IOTA)));
    let places = _mm512_maskz_expand_epi16(symbols, iota);
    let places = _mm512_add_epi16(places, _mm512_set1_epi16(counts.symbols as i16));
    batch.put_symbols(counts, literals, symbols);
    batch.put_matches(
        counts,
        _mm512_maskz_compress_epi16(lengths, places),
        _mm512_maskz_compress_epi16(lengths, values),
        lengths,
    );
    batch.put_distances(
        counts,
        _mm512_maskz_compress_epi16(distances, values),
        distances,
    );
}
