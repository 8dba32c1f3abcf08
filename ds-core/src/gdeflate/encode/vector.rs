//! Whole rounds of symbols, 32 lanes at a time, for processors with AVX-512.
//!
//! Does exactly what `Rounds` and `Lanes` do one operation at a time, and gives the same words: which
//! operation is whose, and which lane claims the next word, does not depend on who computes it. A round takes
//! as many items as lanes are free, spreads them over those lanes in order, and lets the others send the
//! distances of the round before. Codewords of literals and lengths come from a table in memory, those of
//! distances from two registers. Finished words are listed with their places and put there later, since a
//! scatter would take longer than everything else.

use std::arch::x86_64::{
    __m512i, __mmask16, _mm512_add_epi32, _mm512_and_si512, _mm512_cmpgt_epu32_mask,
    _mm512_i32gather_epi32, _mm512_loadu_si512, _mm512_lzcnt_epi32, _mm512_mask_add_epi32,
    _mm512_mask_expand_epi32, _mm512_mask_mov_epi32, _mm512_mask_sub_epi32,
    _mm512_maskz_compress_epi32, _mm512_maskz_expand_epi32, _mm512_max_epi32, _mm512_or_si512,
    _mm512_permutex2var_epi32, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512,
    _mm512_sllv_epi32, _mm512_srli_epi32, _mm512_srlv_epi32, _mm512_storeu_si512, _mm512_sub_epi32,
    _mm512_test_epi32_mask,
};

use super::alphabet::{DISTANCE_COUNT, LENGTH_MIN, LENGTH_SHORT_MAX};
use super::items::{Item, row_of_length};
use super::lanes::{LANES, Op};

/// Lanes in a register.
const HALF: usize = 16;
/// Entries of the table of literals and lengths: more than there are rows, so that a mask keeps any index
/// inside.
pub(super) const TABLE_LEN: usize = 1024;
const _: () = assert!(row_of_length(LENGTH_SHORT_MAX) < TABLE_LEN && TABLE_LEN.is_power_of_two());
/// Where a packed operation has its count; below it are the bits.
const COUNT_SHIFT: u32 = 24;
/// Finished words listed before they are put in their places.
const LISTED_MAX: usize = 1024;
/// Extra bits of a long match.
const LONG_EXTRA_BITS: i32 = 16;

/// What the codes of a block send, packed for registers.
pub(super) struct Table {
    /// Of each row of items: see [`Item::row`].
    rows: Box<[u32; TABLE_LEN]>,
    /// The codeword of each distance symbol.
    distances: [u32; DISTANCE_COUNT],
    /// The codeword of lengths beyond all rows.
    long: Op,
}

impl Table {
    /// A table of nothing.
    pub(super) fn new() -> Table {
        Table {
            rows: super::zeroed(),
            distances: [0; DISTANCE_COUNT],
            long: Op::NONE,
        }
    }

    /// Takes the operations of a block: none of `rows` and `distances` has more than 24 bits.
    pub(super) fn fill(&mut self, rows: &[Op], distances: &[Op; DISTANCE_COUNT], long: Op) {
        let pack = |op: &Op| op.bits() | op.count() << COUNT_SHIFT;
        for (packed, op) in self.rows.iter_mut().zip(rows) {
            *packed = pack(op);
        }
        self.distances = std::array::from_fn(|symbol| pack(&distances[symbol]));
        self.long = long;
    }
}

/// What all lanes have not yet finished, an array for each field of `Lane`.
pub(super) struct State {
    /// Bits of the current words.
    pub(super) bits: [u32; LANES],
    /// How many, 1..=32.
    pub(super) filled: [u32; LANES],
    /// Indices of the current words.
    pub(super) current: [u32; LANES],
    /// Indices of the words after them.
    pub(super) next: [u32; LANES],
    /// The first word that no lane has claimed.
    pub(super) words_used: u32,
}

/// What was written, and what is owed.
pub(super) struct Written {
    /// Items taken.
    pub(super) items: usize,
    /// The lanes that have yet to send a distance.
    pub(super) pending: u32,
    /// The items whose distances these are.
    pub(super) owed: [u32; LANES],
}

/// Proof that the processor has what the functions here are compiled for.
#[derive(Clone, Copy)]
pub(super) struct Vector(());

impl Vector {
    /// The proof, where there is one.
    pub(super) fn new() -> Option<Vector> {
        (!cfg!(miri)
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("popcnt"))
        .then_some(Vector(()))
    }

    /// Writes whole rounds of items, from lane 0 on, for as long as a round cannot run out of them; calls
    /// `put` with the index of each finished word and the word.
    pub(super) fn write(
        self,
        items: &[Item],
        table: &Table,
        state: &mut State,
        put: impl FnMut(u32, u32),
    ) -> Written {
        // SAFETY: the processor has the features, or there would be no `self`.
        unsafe { write(items, table, state, put) }
    }
}

/// Half of the lanes, a field to a register.
#[derive(Clone, Copy)]
struct Half {
    bits: __m512i,
    filled: __m512i,
    current: __m512i,
    next: __m512i,
    /// The items of the round before.
    owed: __m512i,
    /// Which of them are matches.
    pending: __mmask16,
}

/// One operation for each lane of a half.
#[derive(Clone, Copy)]
struct Ops {
    bits: __m512i,
    count: __m512i,
}

/// Finished words and their indices.
struct Listed {
    indices: [u32; LISTED_MAX + HALF],
    words: [u32; LISTED_MAX + HALF],
    len: usize,
}

/// The codewords that registers hold.
#[derive(Clone, Copy)]
struct Codewords<'a> {
    rows: &'a [u32; TABLE_LEN],
    distances: [__m512i; 2],
    long: Op,
}

#[target_feature(enable = "avx512f,avx512cd,popcnt")]
fn write(
    items: &[Item],
    table: &Table,
    state: &mut State,
    mut put: impl FnMut(u32, u32),
) -> Written {
    let codewords = Codewords {
        rows: &table.rows,
        distances: [0, HALF].map(|at| load(&table.distances, at)),
        long: table.long,
    };
    let mut halves = [0, HALF].map(|at| Half {
        bits: load(&state.bits, at),
        filled: load(&state.filled, at),
        current: load(&state.current, at),
        next: load(&state.next, at),
        owed: _mm512_setzero_si512(),
        pending: 0,
    });
    let mut listed = Listed {
        indices: [0; LISTED_MAX + HALF],
        words: [0; LISTED_MAX + HALF],
        len: 0,
    };
    let mut words_used = state.words_used;
    let mut rest = items;
    // A round takes no more than 32 items, so all of its loads stay inside.
    while rest.len() >= LANES {
        for half in &mut halves {
            let (ops, taken) = next_ops(half, rest, codewords);
            rest = &rest[taken..];
            words_used = half.put(ops, words_used, &mut listed);
            if listed.len > LISTED_MAX - HALF {
                listed.hand_over(&mut put);
            }
        }
    }
    listed.hand_over(&mut put);
    let mut written = Written {
        items: items.len() - rest.len(),
        pending: 0,
        owed: [0; LANES],
    };
    for (half, at) in halves.iter().zip([0, HALF]) {
        store(&mut state.bits, at, half.bits);
        store(&mut state.filled, at, half.filled);
        store(&mut state.current, at, half.current);
        store(&mut state.next, at, half.next);
        store(&mut written.owed, at, half.owed);
        written.pending |= u32::from(half.pending) << at;
    }
    state.words_used = words_used;
    written
}

/// The operations of a half's lanes: distances where they are owed, and the next items for the other lanes;
/// says how many of these, at most 16. There must be 16.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn next_ops(half: &mut Half, rest: &[Item], codewords: Codewords<'_>) -> (Ops, usize) {
    let owing = half.pending;
    let distances = distance_ops(half.owed, codewords);
    let items = _mm512_maskz_expand_epi32(!owing, load_items(rest));
    let matches = _mm512_test_epi32_mask(items, _mm512_set1_epi32(0xffff));
    let litlens = litlen_ops(items, matches, codewords);
    (half.owed, half.pending) = (items, matches);
    let ops = Ops {
        bits: _mm512_mask_mov_epi32(litlens.bits, owing, distances.bits),
        count: _mm512_mask_mov_epi32(litlens.count, owing, distances.count),
    };
    (ops, (!owing).count_ones() as usize)
}

#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn litlen_ops(items: __m512i, matches: __mmask16, codewords: Codewords<'_>) -> Ops {
    let first = _mm512_set1_epi32(row_of_length(0) as i32);
    let values = _mm512_srli_epi32::<16>(items);
    let rows = _mm512_mask_add_epi32(values, matches, values, first);
    let Ops { bits, count } = unpack(gather(codewords.rows, rows));
    let row_max = _mm512_set1_epi32(row_of_length(LENGTH_SHORT_MAX) as i32);
    let long = _mm512_cmpgt_epu32_mask(rows, row_max);
    if long == 0 {
        return Ops { bits, count };
    }
    let word = codewords.long;
    let extra = _mm512_sub_epi32(values, _mm512_set1_epi32(LENGTH_MIN as i32));
    let shift = _mm512_set1_epi32(word.count() as i32);
    let with_extra = _mm512_or_si512(
        _mm512_set1_epi32(word.bits() as i32),
        _mm512_sllv_epi32(extra, shift),
    );
    let all = _mm512_add_epi32(shift, _mm512_set1_epi32(LONG_EXTRA_BITS));
    Ops {
        bits: _mm512_mask_mov_epi32(bits, long, with_extra),
        count: _mm512_mask_mov_epi32(count, long, all),
    }
}

/// The operations for the distances of items; of literals, something.
///
/// With v = distance - 1 and e extra bits, the symbol is 2e + (v >> e), also below 2 where e = 0; and e is
/// one less than the binary logarithm of v.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn distance_ops(items: __m512i, codewords: Codewords<'_>) -> Ops {
    let one = _mm512_set1_epi32(1);
    let value = _mm512_sub_epi32(_mm512_and_si512(items, _mm512_set1_epi32(0xffff)), one);
    let log2 = _mm512_sub_epi32(_mm512_set1_epi32(31), _mm512_lzcnt_epi32(value));
    let extra_bits = _mm512_sub_epi32(_mm512_max_epi32(log2, one), one);
    let high = _mm512_srlv_epi32(value, extra_bits);
    let symbol = _mm512_add_epi32(_mm512_add_epi32(extra_bits, extra_bits), high);
    let [low_words, high_words] = codewords.distances;
    let word = unpack(_mm512_permutex2var_epi32(low_words, symbol, high_words));
    let extra = _mm512_sub_epi32(value, _mm512_sllv_epi32(high, extra_bits));
    Ops {
        bits: _mm512_or_si512(word.bits, _mm512_sllv_epi32(extra, word.count)),
        count: _mm512_add_epi32(word.count, extra_bits),
    }
}

#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn unpack(packed: __m512i) -> Ops {
    Ops {
        bits: _mm512_and_si512(packed, _mm512_set1_epi32((1 << COUNT_SHIFT) - 1)),
        count: _mm512_srli_epi32::<COUNT_SHIFT>(packed),
    }
}

impl Half {
    /// What `Lane::put` does, for 16 lanes.
    #[target_feature(enable = "avx512f,avx512cd,popcnt")]
    #[inline]
    fn put(&mut self, ops: Ops, words_used: u32, listed: &mut Listed) -> u32 {
        let word_bits = _mm512_set1_epi32(32);
        let low = _mm512_or_si512(self.bits, _mm512_sllv_epi32(ops.bits, self.filled));
        let high = _mm512_srlv_epi32(ops.bits, _mm512_sub_epi32(word_bits, self.filled));
        let filled = _mm512_add_epi32(self.filled, ops.count);
        let full = _mm512_cmpgt_epu32_mask(filled, word_bits);
        listed.push(full, self.current, low);
        self.bits = _mm512_mask_mov_epi32(low, full, high);
        self.filled = _mm512_mask_sub_epi32(filled, full, filled, word_bits);
        self.current = _mm512_mask_mov_epi32(self.current, full, self.next);
        let numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let free = _mm512_add_epi32(_mm512_set1_epi32(words_used as i32), numbers);
        self.next = _mm512_mask_expand_epi32(self.next, full, free);
        words_used + full.count_ones()
    }
}

impl Listed {
    /// Lists the words of some lanes; there must be room for 16.
    #[target_feature(enable = "avx512f,avx512cd,popcnt")]
    #[inline]
    fn push(&mut self, full: __mmask16, indices: __m512i, words: __m512i) {
        let at = self.len % LISTED_MAX;
        store(
            &mut self.indices,
            at,
            _mm512_maskz_compress_epi32(full, indices),
        );
        store(
            &mut self.words,
            at,
            _mm512_maskz_compress_epi32(full, words),
        );
        self.len += full.count_ones() as usize;
    }

    /// Empties the list.
    fn hand_over(&mut self, put: &mut impl FnMut(u32, u32)) {
        let listed = self.indices[..self.len].iter().zip(&self.words);
        listed.for_each(|(&index, &word)| put(index, word));
        self.len = 0;
    }
}

/// Sixteen numbers from index `at` on.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
pub(super) fn load(from: &[u32], at: usize) -> __m512i {
    let from = from[at..].first_chunk::<HALF>().expect("sixteen of them");
    // SAFETY: the 64 bytes are those of the array; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// The first sixteen of some items.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn load_items(from: &[Item]) -> __m512i {
    let from = from.first_chunk::<HALF>().expect("sixteen of them");
    // SAFETY: the 64 bytes are those of the array, whose elements are transparent 32-bit numbers; no
    // alignment is asked for.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn store(to: &mut [u32], at: usize, value: __m512i) {
    let to = to[at..].first_chunk_mut::<HALF>().expect("sixteen of them");
    // SAFETY: the 64 bytes are those of the array; no alignment is asked for.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

/// Entries of the table, by index; of an index outside, some entry.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn gather(table: &[u32; TABLE_LEN], indices: __m512i) -> __m512i {
    let inside = _mm512_and_si512(indices, _mm512_set1_epi32(TABLE_LEN as i32 - 1));
    // SAFETY: indices are masked to be less than the length of the table, and scaled by the size of an
    // element.
    unsafe { _mm512_i32gather_epi32::<4>(inside, table.as_ptr().cast()) }
}
