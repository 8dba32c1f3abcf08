//! The second half of decoding: symbols and matches, once known, become output.
//!
//! The same walk as the portable decoder's, in wider steps. Literals wait in a list of their own,
//! so copies may write past their end, in whole blocks, wherever the output has room for that.
//!
//! Promises: no byte outside the output is touched; a match that begins before the output or ends
//! behind it is an error.
#![forbid(unsafe_code)]

use std::arch::x86_64::{__m256i, _mm256_permutexvar_epi8};

use super::super::DecodeError;
use super::super::sequences::Output;
use super::batch::{Batch, LIST_LEN};
use super::codes::Codes;
use super::simd::{load_32, store_32};

/// Bytes copied at once. Reads and writes may pass the end of a copy by less than this.
const BLOCK: usize = 32;

/// Executes everything up to the first match without a distance and keeps the rest in `batch`.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn execute(
    batch: &mut Batch,
    codes: &Codes,
    output: &mut Output<'_>,
) -> Result<(), DecodeError> {
    batch.translate(codes);
    let counts = batch.counts;
    let (bytes, written) = output.parts();
    let mut at = *written;
    let mut done = 0;
    for i in 0..counts.distances {
        let place = usize::from(batch.places[i % LIST_LEN]) % LIST_LEN;
        let length = usize::from(batch.lengths[i % LIST_LEN]) + 3;
        let distance = usize::from(batch.distances[i % LIST_LEN]) + 1;
        let target = at + (place - done);
        let end = target + length;
        if distance > target {
            return Err(DecodeError::Distance);
        }
        if end + BLOCK > bytes.len() {
            *written = at;
            output.sequence_at_end(&batch.symbols[done..place], length, distance)?;
            return rest(batch, output, i + 1, place + 1);
        }
        literals(&batch.symbols, done, bytes, at, target);
        copy(bytes, distance, target, end);
        at = end;
        done = place + 1;
    }
    *written = at;
    rest(batch, output, counts.distances, done)
}

/// What follows the `i` matches that were executed, when `done` symbols are: matches at the end of
/// the output, then literals.
fn rest(
    batch: &mut Batch,
    output: &mut Output<'_>,
    i: usize,
    mut done: usize,
) -> Result<(), DecodeError> {
    let counts = batch.counts;
    for i in i..counts.distances {
        let place = usize::from(batch.places[i]);
        let length = usize::from(batch.lengths[i]) + 3;
        let distance = usize::from(batch.distances[i]) + 1;
        output.sequence_at_end(&batch.symbols[done..place], length, distance)?;
        done = place + 1;
    }
    let until = match batch.places[..counts.matches].get(counts.distances) {
        Some(place) => usize::from(*place),
        None => counts.symbols,
    };
    output.literals(&batch.symbols[done..until])?;
    batch.carry(until);
    Ok(())
}

/// Literals from index `from` on go to `at..end`. There is room for a block behind the end.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn literals(symbols: &[u8], mut from: usize, bytes: &mut [u8], mut at: usize, end: usize) {
    loop {
        store_block(bytes, at, load_block(symbols, from));
        at += BLOCK;
        from += BLOCK;
        if at >= end {
            return;
        }
    }
}

/// The bytes at `distance` before the target go to `target..end`, as often as they fit. There is room
/// for a block behind the end.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn copy(bytes: &mut [u8], distance: usize, target: usize, end: usize) {
    let mut source = target - distance;
    let row = load_32(&PATTERNS[distance.min(BLOCK)]);
    let block = _mm256_permutexvar_epi8(row, load_block(bytes, source));
    store_block(bytes, target, block);
    let mut at = target + BLOCK;
    if at >= end {
        return;
    }
    if distance >= BLOCK {
        while at < end {
            source += BLOCK;
            store_block(bytes, at, load_block(bytes, source));
            at += BLOCK;
        }
    } else {
        // The block holds the pattern a whole number of times, and a part of it.
        let step = BLOCK / distance * distance;
        at = target + step;
        while at < end {
            store_block(bytes, at, block);
            at += step;
        }
    }
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn load_block(bytes: &[u8], at: usize) -> __m256i {
    load_32(bytes[at..].first_chunk().expect("room for a block"))
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn store_block(bytes: &mut [u8], at: usize, block: __m256i) {
    store_32(
        bytes[at..].first_chunk_mut().expect("room for a block"),
        block,
    );
}

/// For each distance below a block: which of the bytes from the source on make a block of the
/// pattern. The last row is for all longer distances.
const PATTERNS: [[u8; BLOCK]; BLOCK + 1] = {
    let mut rows = [[0; BLOCK]; BLOCK + 1];
    let mut distance = 1;
    while distance <= BLOCK {
        let mut i = 0;
        while i < BLOCK {
            rows[distance][i] = (i % distance) as u8;
            i += 1;
        }
        distance += 1;
    }
    rows
};
