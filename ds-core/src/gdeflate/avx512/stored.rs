//! Stored blocks: bytes as they are, one from each lane in turn.
#![forbid(unsafe_code)]

use std::arch::x86_64::{
    _mm512_gf2p8affine_epi64_epi8, _mm512_permutexvar_epi8, _mm512_permutexvar_epi16,
    _mm512_set1_epi16, _mm512_set1_epi64,
};

use super::super::DecodeError;
use super::super::output::Output;
use super::lanes::{Lanes, Window};
use super::simd::{BYTES, HALVES, load, load_halves, store, store_halves};
use super::words::Words;
use super::{LANES, REVERSE_BYTE_BITS};

/// Bytes of four rounds: one word of each lane.
const ROUNDS_BYTES: usize = 4 * LANES;
/// How far ahead words are brought into the buffer: far enough for the stores to have reached memory
/// when the words are looked at, since a look covers parts of two stores.
const AHEAD_WORDS: usize = 512;

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn copy(
    lanes: &mut Lanes,
    words: &mut Words,
    output: &mut Output<'_>,
) -> Result<(), DecodeError> {
    words.ensure(LANES);
    let bytes = lanes.take_first(words, 16) as usize;
    if bytes > output.room_bytes() {
        return Err(DecodeError::OutputOverflow);
    }
    let order = load_halves(&order(lanes));
    let mut blocks = bytes / ROUNDS_BYTES;
    while blocks > 0 {
        if words.overrun() {
            return Err(DecodeError::TileTruncated);
        }
        words.ensure(AHEAD_WORDS);
        let now = blocks.min(AHEAD_WORDS / LANES / 2);
        blocks -= now;
        for _ in 0..now {
            four_rounds(lanes.whole_window(), output.zeros()?);
            let next = words.next();
            let (first, second) = words.peek(next);
            words.set_next(next + LANES);
            lanes.shift_in((
                _mm512_permutexvar_epi16(order, first),
                _mm512_permutexvar_epi16(order, second),
            ));
        }
    }
    words.ensure(4 * LANES);
    let mut last = [0; ROUNDS_BYTES];
    four_rounds(lanes.whole_window(), &mut last);
    let rest = &last[..bytes % ROUNDS_BYTES];
    for bytes in rest.chunks(LANES) {
        let active = u32::MAX >> (LANES - bytes.len());
        lanes.take(words, active, _mm512_set1_epi16(8));
    }
    output.put(rest)
}

/// Writes the first four bytes of every lane, round by round.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn four_rounds(window: Window, block: &mut [u8; ROUNDS_BYTES]) {
    let matrix = _mm512_set1_epi64(REVERSE_BYTE_BITS);
    let (rounds, _) = block.as_chunks_mut::<BYTES>();
    for (rounds, half) in rounds.iter_mut().zip([window.first, window.second]) {
        let half = _mm512_gf2p8affine_epi64_epi8::<0>(half, matrix);
        store(rounds, _mm512_permutexvar_epi8(load(&HIGH_THEN_LOW), half));
    }
}

/// The high bytes of all 16-bit elements, which are the lanes' earlier ones, then the low bytes.
const HIGH_THEN_LOW: [u8; BYTES] = {
    let mut bytes = [0; BYTES];
    let mut lane = 0;
    while lane < LANES {
        bytes[lane] = 2 * lane as u8 + 1;
        bytes[LANES + lane] = 2 * lane as u8;
        lane += 1;
    }
    bytes
};

/// Which of the next 32 words each lane takes in the course of four rounds. A lane takes its word in
/// the round in which it falls below 32 bits; within a round lanes take words in order. Four rounds
/// take 32 bits, so that every lane is then where it was, and the order stays the same.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
fn order(lanes: &Lanes) -> [u16; HALVES] {
    let mut used = [0; HALVES];
    store_halves(&mut used, lanes.used);
    let mut order = [0; HALVES];
    let mut next = 0;
    for round in 0..4 {
        for (used, order) in used.iter().zip(&mut order) {
            if (31 - used) / 8 == round {
                *order = next;
                next += 1;
            }
        }
    }
    order
}
