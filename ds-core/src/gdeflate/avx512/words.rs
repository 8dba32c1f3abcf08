//! The words of a tile, turned into what the vector lanes want.
//!
//! Lanes look at their bits from the first one down, so that codewords compare as numbers; hence
//! every word is stored bit-reversed. A register holds 16 bits of each lane, hence the two halves
//! of the words go to two lists. Both are done here, ahead of the lanes, a buffer at a time.
//!
//! Promises: no byte outside the tile is read; past its end words are zero, and
//! [`Words::overrun`] tells.
#![forbid(unsafe_code)]

use std::arch::x86_64::{
    __m512i, _mm512_gf2p8affine_epi64_epi8, _mm512_permutex2var_epi8, _mm512_set1_epi64,
};

use super::simd::{BYTES, HALVES, load, load_halves, prefetch, store_halves};
use super::{LANES, REVERSE_BYTE_BITS};

/// Words in the buffer: two batches of the symbol phase and more, few enough for the first-level
/// cache.
const BUFFER_WORDS: usize = 4096;

/// How far ahead of the buffer a tile's words are asked for: about what one batch takes of dense data.
const PREFETCH_WORDS: usize = 1024;

/// The most words that can be ensured.
pub(super) const ENSURED_WORDS_MAX: usize = BUFFER_WORDS - 2 * LANES;

/// The halves of the words in the buffer, each reversed. Behind the last there is room for a whole
/// load.
pub(super) struct Buffer {
    first: [u16; BUFFER_WORDS + HALVES],
    second: [u16; BUFFER_WORDS + HALVES],
}

impl Buffer {
    pub(super) const EMPTY: Self = Self {
        first: [0; BUFFER_WORDS + HALVES],
        second: [0; BUFFER_WORDS + HALVES],
    };
}

/// The words of a tile in the order the lanes take them.
pub(super) struct Words<'a> {
    buffer: &'a mut Buffer,
    /// Index of the next word in the buffer.
    next: usize,
    /// Words of the buffer that are filled, whether from the tile or behind its end.
    filled: usize,
    /// The tile's words that were not yet brought into the buffer.
    rest: &'a [[u8; 4]],
    /// Words taken that the tile has not are in the buffer from here on.
    end: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(buffer: &'a mut Buffer, tile: &'a [[u8; 4]]) -> Self {
        Self {
            buffer,
            next: 0,
            filled: 0,
            rest: tile,
            end: tile.len(),
        }
    }

    /// Whether more words were taken than the tile has.
    #[inline]
    pub(super) fn overrun(&self) -> bool {
        self.next > self.end
    }

    /// Index of the next word. Rounds keep it in a register and give it back with `set_next`.
    #[inline]
    pub(super) fn next(&self) -> usize {
        self.next
    }

    #[inline]
    pub(super) fn set_next(&mut self, next: usize) {
        debug_assert!((self.next..=self.filled).contains(&next));
        self.next = next;
    }

    /// The halves of the 32 words from index `next`.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn peek(&self, next: usize) -> (__m512i, __m512i) {
        let next = next % BUFFER_WORDS;
        let first = self.buffer.first[next..].first_chunk().expect("the slack");
        let second = self.buffer.second[next..].first_chunk().expect("the slack");
        (load_halves(first), load_halves(second))
    }

    /// Sees to it that `count` words can be taken, at most [`ENSURED_WORDS_MAX`].
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn ensure(&mut self, count: usize) {
        debug_assert!(count <= ENSURED_WORDS_MAX);
        // A look at the words that may be next shows a whole round.
        let count = count + LANES;
        if self.filled - self.next < count {
            self.fill(count);
        }
    }

    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline(never)]
    fn fill(&mut self, count: usize) {
        if self.next + count + LANES > BUFFER_WORDS {
            let (next, filled) = (self.next, self.filled);
            // Behind the end of the tile there is nothing to keep.
            let Some(end) = self.end.checked_sub(next) else {
                return self.fill_overrun();
            };
            self.buffer.first.copy_within(next..filled, 0);
            self.buffer.second.copy_within(next..filled, 0);
            (self.next, self.filled, self.end) = (0, filled - next, end);
        }
        while self.filled - self.next < count {
            if let Some((words, rest)) = self.rest.split_first_chunk::<LANES>() {
                self.append(words);
                if let Some(ahead) = rest.get(PREFETCH_WORDS..PREFETCH_WORDS + LANES) {
                    prefetch(&ahead[0]);
                    prefetch(&ahead[LANES / 2]);
                }
                self.rest = rest;
            } else {
                let mut words = [[0; 4]; LANES];
                words[..self.rest.len()].copy_from_slice(self.rest);
                self.append(&words);
                self.rest = &[];
            }
        }
    }

    /// After an overrun: zeros, and the overrun remembered.
    #[cold]
    fn fill_overrun(&mut self) {
        *self.buffer = Buffer::EMPTY;
        (self.next, self.end, self.filled) = (1, 0, BUFFER_WORDS);
    }

    /// Brings a round's words into the buffer.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    fn append(&mut self, words: &[[u8; 4]; LANES]) {
        let bytes: &[u8; 2 * BYTES] = words.as_flattened().try_into().expect("32 words");
        let (low, high) = bytes.split_at(BYTES);
        let matrix = _mm512_set1_epi64(REVERSE_BYTE_BITS);
        let reverse = |half: &[u8]| {
            let half = load(half.try_into().expect("half of 32 words"));
            _mm512_gf2p8affine_epi64_epi8::<0>(half, matrix)
        };
        let (low, high) = (reverse(low), reverse(high));
        let first = _mm512_permutex2var_epi8(low, load(&FIRST_HALVES), high);
        let second = _mm512_permutex2var_epi8(low, load(&SECOND_HALVES), high);
        let at = self.filled;
        store_halves(
            self.buffer.first[at..].first_chunk_mut().expect("room"),
            first,
        );
        store_halves(
            self.buffer.second[at..].first_chunk_mut().expect("room"),
            second,
        );
        self.filled = at + LANES;
    }
}

/// Where in 32 words the bytes of their reversed halves are: half 0 or 1 of each word.
const fn halves(half: u8) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let mut word = 0;
    while word < LANES {
        bytes[2 * word] = 4 * word as u8 + 2 * half + 1;
        bytes[2 * word + 1] = 4 * word as u8 + 2 * half;
        word += 1;
    }
    bytes
}
const FIRST_HALVES: [u8; BYTES] = halves(0);
const SECOND_HALVES: [u8; BYTES] = halves(1);
