//! What the symbol phase found and the output does not have yet: three lists.
//!
//! The list of symbols holds the literals, and for each match a byte without meaning, so that a
//! match's place in it says which literals come before. Distances arrive a round after their matches but
//! in the same order: the lists line up by index.
#![forbid(unsafe_code)]

use std::arch::x86_64::{
    __m256i, __m512i, __mmask32, _mm512_mask_mov_epi8, _mm512_movepi8_mask,
    _mm512_permutex2var_epi8,
};

use super::LANES;
use super::codes::Codes;
use super::simd::{BYTES, HALVES, load, store, store_32, store_halves};

/// Rounds in a batch. As many as in the portable decoder, so that of several faults in a batch both
/// report the same one. All lists stay in the first-level cache.
pub(super) const BATCH_ROUNDS: usize = super::super::sequences::BATCH_ROUNDS;

/// Elements of each list: a power of two, so that masked indices need no bounds check.
pub(super) const LIST_LEN: usize = 2048;
// A batch, the partial round behind its last whole one, and what the batch before left; one more
// place than matches.
const _: () = assert!((BATCH_ROUNDS + 2) * LANES < LIST_LEN);

/// The lists, each with room for a whole store behind its end.
pub(super) struct Batch {
    /// Indices of literals in [`Codes::literals`], which [`Batch::translate`] turns to literals.
    pub(super) symbols: [u8; LIST_LEN + 2 * BYTES],
    /// The places of the matches in the list of symbols, from index 1 on. Before them stands the
    /// place before the first symbol, so that two neighbours always say how many literals are
    /// between them.
    pub(super) places: [u16; LIST_LEN + 2 * HALVES],
    /// Lengths of the matches, less three.
    pub(super) lengths: [u16; LIST_LEN + HALVES],
    /// Distances of the matches, less one.
    pub(super) distances: [u16; LIST_LEN + HALVES],
    pub(super) counts: Counts,
    /// How many symbols are translated.
    translated: usize,
}

/// How many elements each list has.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) symbols: usize,
    pub(super) matches: usize,
    pub(super) distances: usize,
}

impl Batch {
    pub(super) const EMPTY: Self = Self {
        symbols: [0; LIST_LEN + 2 * BYTES],
        places: {
            let mut places = [0; LIST_LEN + 2 * HALVES];
            places[0] = u16::MAX;
            places
        },
        lengths: [0; LIST_LEN + HALVES],
        distances: [0; LIST_LEN + HALVES],
        counts: Counts {
            symbols: 0,
            matches: 0,
            distances: 0,
        },
        translated: 0,
    };

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.counts = Counts::default();
        self.translated = 0;
    }

    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn put_symbols(&mut self, counts: &mut Counts, symbols: __m256i, mask: __mmask32) {
        store_32(room(&mut self.symbols, counts.symbols), symbols);
        counts.symbols += mask.count_ones() as usize;
    }

    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn put_matches(
        &mut self,
        counts: &mut Counts,
        places: __m512i,
        lengths: __m512i,
        mask: __mmask32,
    ) {
        store_halves(room(&mut self.places, counts.matches + 1), places);
        store_halves(room(&mut self.lengths, counts.matches), lengths);
        counts.matches += mask.count_ones() as usize;
    }

    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn put_distances(&mut self, counts: &mut Counts, values: __m512i, mask: __mmask32) {
        store_halves(room(&mut self.distances, counts.distances), values);
        counts.distances += mask.count_ones() as usize;
    }

    /// Replaces the indices in the list of symbols by the literals of `codes`.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn translate(&mut self, codes: &Codes) {
        let (quarters, _) = codes.literals.as_chunks();
        let quarters = [0, 1, 2, 3].map(|i: usize| load(&quarters[i]));
        let mut at = self.translated;
        while at < self.counts.symbols {
            let symbols: &mut [u8; BYTES] = room(&mut self.symbols, at);
            let indices = load(symbols);
            let low = _mm512_permutex2var_epi8(quarters[0], indices, quarters[1]);
            let high = _mm512_permutex2var_epi8(quarters[2], indices, quarters[3]);
            store(
                symbols,
                _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(indices), high),
            );
            at += BYTES;
        }
        self.translated = self.counts.symbols;
    }

    /// Forgets the first `symbols` symbols and the matches before them, whose number is that of the
    /// distances. What is left is of the last round.
    pub(super) fn carry(&mut self, symbols: usize) {
        let Counts {
            symbols: all,
            matches,
            distances,
        } = self.counts;
        self.symbols.copy_within(symbols..all, 0);
        self.lengths.copy_within(distances..matches, 0);
        self.places.copy_within(distances + 1..matches + 1, 1);
        self.counts = Counts {
            symbols: all - symbols,
            matches: matches - distances,
            distances: 0,
        };
        for place in &mut self.places[1..][..matches - distances] {
            *place -= symbols as u16;
        }
        self.translated = self.counts.symbols;
    }
}

/// `N` elements of a list from index `at`, which is below [`LIST_LEN`].
#[inline(always)]
fn room<T, const L: usize, const N: usize>(list: &mut [T; L], at: usize) -> &mut [T; N] {
    list[at % LIST_LEN..]
        .first_chunk_mut()
        .expect("the room behind the list")
}
