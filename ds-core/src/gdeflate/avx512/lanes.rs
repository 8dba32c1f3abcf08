//! The 32 lanes of a tile as vectors, 16 bits of each lane to a register.
//!
//! A lane is two words, the *current* and the *next*, and a count of bits used of the current one,
//! less one: `used`, 0..=31. A lane then holds `63 - used` bits, as many as the format says: 32 to
//! 63. An operation adds its bits to `used`; if the result exceeds 31, the format says that the
//! lane takes a word, and here the next word becomes the current one and the new word the next.
#![forbid(unsafe_code)]

use std::arch::x86_64::{
    __m512i, __mmask32, _mm512_add_epi16, _mm512_and_si512, _mm512_cvtsi512_si32,
    _mm512_mask_expand_epi16, _mm512_mask_mov_epi16, _mm512_maskz_mov_epi16, _mm512_set1_epi16,
    _mm512_setzero_si512, _mm512_shldi_epi16, _mm512_shldv_epi16, _mm512_test_epi16_mask,
    _mm512_testn_epi16_mask,
};

use super::LANES;
use super::words::Words;

/// All lanes. Words are bit-reversed: a lane's next bit is the highest.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    current: (__m512i, __m512i),
    next: (__m512i, __m512i),
    /// Bits of the current word that are used, less one. Only the low five bits count.
    pub(super) used: __m512i,
}

/// What the lanes show: 32 bits each, of which the first was used already.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) first: __m512i,
    pub(super) second: __m512i,
}

impl Lanes {
    /// All lanes with their first words.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn new(words: &mut Words) -> Self {
        let zero = _mm512_setzero_si512();
        words.ensure(LANES);
        let next = words.peek(words.next());
        words.set_next(words.next() + LANES);
        Self {
            current: (zero, zero),
            next,
            used: _mm512_set1_epi16(31),
        }
    }

    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn window(&self) -> Window {
        let second_half = _mm512_test_epi16_mask(self.used, _mm512_set1_epi16(16));
        let a = _mm512_mask_mov_epi16(self.current.0, second_half, self.current.1);
        let b = _mm512_mask_mov_epi16(self.current.1, second_half, self.next.0);
        let c = _mm512_mask_mov_epi16(self.next.0, second_half, self.next.1);
        Window {
            first: _mm512_shldv_epi16(a, b, self.used),
            second: _mm512_shldv_epi16(b, c, self.used),
        }
    }

    /// The same, but for the used bit: 32 bits of each lane that are all to come.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn whole_window(&self) -> Window {
        let first_half = _mm512_testn_epi16_mask(self.used, _mm512_set1_epi16(16));
        let Window { first, second } = self.window();
        let c = _mm512_mask_mov_epi16(self.next.1, first_half, self.next.0);
        let d = _mm512_maskz_mov_epi16(first_half, self.next.1);
        let third = _mm512_shldv_epi16(c, d, self.used);
        Window {
            first: _mm512_shldi_epi16::<1>(first, second),
            second: _mm512_shldi_epi16::<1>(second, third),
        }
    }

    /// Every lane has used a whole word and takes the one of `new` that stands in its place.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn shift_in(&mut self, new: (__m512i, __m512i)) {
        self.current = self.next;
        self.next = new;
    }

    /// Ends an operation of every lane: `used` is the sum of the lane's `used`, whose sixth bit must
    /// have been clear, and the bits that the operation took (0..=31). `new` are the next words, and
    /// the answer is how many of them were taken.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn advance(&mut self, used: __m512i, new: (__m512i, __m512i)) -> usize {
        let short: __mmask32 = _mm512_test_epi16_mask(used, _mm512_set1_epi16(32));
        self.current.0 = _mm512_mask_mov_epi16(self.current.0, short, self.next.0);
        self.current.1 = _mm512_mask_mov_epi16(self.current.1, short, self.next.1);
        self.next.0 = _mm512_mask_expand_epi16(self.next.0, short, new.0);
        self.next.1 = _mm512_mask_expand_epi16(self.next.1, short, new.1);
        self.used = _mm512_and_si512(used, _mm512_set1_epi16(31));
        short.count_ones() as usize
    }

    /// A whole operation of the lanes in `active`: each takes as many bits as `bits` says. The
    /// caller ensured the words.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn take(&mut self, words: &mut Words, active: __mmask32, bits: __m512i) {
        let used = _mm512_add_epi16(self.used, _mm512_maskz_mov_epi16(active, bits));
        let next = words.next();
        let taken = self.advance(used, words.peek(next));
        words.set_next(next + taken);
    }

    /// A whole operation of the first lane: its next `count` bits (1..=31). The caller ensured the
    /// words.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn take_first(&mut self, words: &mut Words, count: u32) -> u32 {
        let Window { first, second } = self.window();
        let first = _mm512_cvtsi512_si32(first) as u32;
        let second = _mm512_cvtsi512_si32(second) as u32 & 0xFFFF;
        let bits = (first << 16 | second) << 1;
        self.take(words, 1, _mm512_set1_epi16(count as i16));
        bits.reverse_bits() & ((1 << count) - 1)
    }
}
