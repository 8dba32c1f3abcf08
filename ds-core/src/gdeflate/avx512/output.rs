//! The second half of decoding: symbols and matches, once known, become output.
//!
//! A *sequence* is literals and the match behind them. Most have at most 64 bytes together; these
//! are *short*, made in one register and written by one store, which may pass their end: literals
//! wait in a list of their own, and cannot be damaged. What the steps of that need is *planned* for
//! 32 sequences at once, checks included; the others are exceptions, and done one by one.
//!
//! The last 64 bytes of output are kept in a register, the *tail*. A match that begins in them does
//! not read memory: its bytes may still be on their way there in several stores, and such a load
//! waits until all of them have arrived.
//!
//! Promises: no byte outside the output is touched; a match that begins before the output or ends
//! behind it is an error.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi8, _mm512_mask_mov_epi8, _mm512_permutex2var_epi8,
    _mm512_permutexvar_epi8, _mm512_set1_epi8,
};
use std::mem::MaybeUninit;

use super::super::DecodeError;
use super::super::output::Output;
use super::batch::{Batch, LIST_LEN};
use super::codes::{Codes, IOTA};
use super::plan::{PATTERNS, PLANNED, Plan};
use super::simd::{BYTES, load, load_unchecked, load_written, store_unchecked, store_written};

/// Executes everything up to the first match without a distance and keeps the rest in `batch`.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn execute(
    batch: &mut Batch,
    codes: &Codes,
    output: &mut Output<'_>,
) -> Result<(), DecodeError> {
    batch.translate(codes);
    let known = batch.counts.distances;
    // SAFETY: below, the count grows by sequences that were stored, whole.
    let (bytes, written) = unsafe { output.parts() };
    if let Some(first) = bytes.first_chunk_mut::<BYTES>() {
        // Plans load from there where they want nothing of it, so it must have values.
        first[BYTES.min(*written)..].fill(MaybeUninit::new(0));
    }
    // SAFETY: so much is written.
    let mut tail = unsafe { load_tail(bytes, *written) };
    let mut plan = Plan::EMPTY;
    let mut i = 0;
    // Whoever has no room for a register has none for a short sequence.
    while i < known && *written + BYTES <= bytes.len() {
        let mut exceptions = plan.make(batch, i, *written, bytes.len());
        let planned = PLANNED.min(known - i);
        let mut k = 0;
        while k < planned {
            let until = planned.min(exceptions.trailing_zeros() as usize);
            tail = short(&plan, k..until, &batch.symbols, bytes, tail);
            *written = usize::from(plan.starts[until]);
            k = until;
            if k == planned {
                break;
            }
            if !long(batch, &plan, i + k, k, bytes, *written)? {
                return rest(batch, output, i + k);
            }
            k += 1;
            *written = usize::from(plan.starts[k]);
            // SAFETY: so much is written.
            tail = unsafe { load_tail(bytes, *written) };
            exceptions &= exceptions - 1;
        }
        i += planned;
    }
    rest(batch, output, i)
}

/// What follows the `i` matches that were executed: matches at the end of the output, then literals.
fn rest(batch: &mut Batch, output: &mut Output<'_>, i: usize) -> Result<(), DecodeError> {
    let counts = batch.counts;
    let mut done = usize::from(batch.places[i].wrapping_add(1));
    for i in i..counts.distances {
        let place = usize::from(batch.places[i + 1]);
        let length = usize::from(batch.lengths[i]) + 3;
        let distance = usize::from(batch.distances[i]) + 1;
        output.sequence_at_end(&batch.symbols[done..place], length, distance)?;
        done = place + 1;
    }
    let until = match batch.places[1..][..counts.matches].get(counts.distances) {
        Some(place) => usize::from(*place),
        None => counts.symbols,
    };
    output.put(&batch.symbols[done..until])?;
    batch.carry(until);
    Ok(())
}

/// Makes planned sequences, none of which may be an exception, behind a `tail`. Answers the new tail.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn short(
    plan: &Plan,
    sequences: std::ops::Range<usize>,
    symbols: &[u8; LIST_LEN + 2 * BYTES],
    bytes: &mut [MaybeUninit<u8>],
    mut tail: __m512i,
) -> __m512i {
    let iota = load(&IOTA);
    let in_literals = load(&LITERALS);
    for i in sequences {
        let i = i % PLANNED;
        let symbol = usize::from(plan.symbols[i]) % LIST_LEN;
        let literals = load(
            symbols[symbol..]
                .first_chunk()
                .expect("the room behind the list"),
        );
        // The byte of a far match that goes to a place is as far before it as the match's source
        // is before the match. So a register from that far before the sequence fits in behind the
        // literals as it is.
        let of_match = u64::MAX << (plan.runs[i] % 64);
        let of_source = of_match & i64::from(plan.far[i] as i8) as u64;
        // SAFETY: a far match's source begins within the output, more than a register before the
        // sequence, and what is before that is written; otherwise the source is 0, and the output has
        // room there, with values.
        let source = unsafe { load_written(bytes, plan.sources[i].into()) };
        let new = _mm512_mask_mov_epi8(literals, of_source, source);
        // SAFETY: patterns begin in the rows 1 to 65, or up to 61 bytes before, and the last row,
        // 65, is a register long.
        let pattern = unsafe { load_unchecked(&PATTERNS, plan.patterns[i].into()) };
        let in_match = _mm512_add_epi8(pattern, _mm512_set1_epi8(plan.origins[i] as i8));
        let indices = _mm512_mask_mov_epi8(in_literals, of_match, in_match);
        let made = _mm512_permutex2var_epi8(tail, indices, new);
        // SAFETY: a planned sequence ends where there is room for a register.
        unsafe { store_unchecked(bytes, plan.starts[i].into(), made) };
        // The new tail could be taken from the old one and `made`. It is taken from what `made` was
        // taken from, so that one tail depends on the other by a single permutation.
        let behind = _mm512_add_epi8(iota, _mm512_set1_epi8(plan.bytes[i] as i8));
        let behind = _mm512_permutex2var_epi8(iota, behind, indices);
        tail = _mm512_permutex2var_epi8(tail, behind, new);
    }
    tail
}

/// An exception: match `i` of the batch, sequence `k` of the plan. Answers whether there was room
/// for copies that pass their end; if not, nothing is done.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
fn long(
    batch: &Batch,
    plan: &Plan,
    i: usize,
    k: usize,
    bytes: &mut [MaybeUninit<u8>],
    mut at: usize,
) -> Result<bool, DecodeError> {
    let mut from = usize::from(plan.symbols[k]);
    let target = at + usize::from(batch.places[i + 1]) - from;
    let end = target + usize::from(batch.lengths[i]) + 3;
    let distance = usize::from(batch.distances[i]) + 1;
    if distance > target {
        return Err(DecodeError::Distance);
    }
    if end + BYTES > bytes.len() {
        return Ok(false);
    }
    while at < target {
        store_at(bytes, at, load_at(&batch.symbols, from));
        at += BYTES;
        from += BYTES;
    }
    let mut source = target - distance;
    at = target;
    if distance >= BYTES {
        while at < end {
            // SAFETY: the register ends before `at`, and so much is written.
            let block = unsafe { load_written(bytes, source) };
            store_at(bytes, at, block);
            at += BYTES;
            source += BYTES;
        }
    } else {
        // As often as it fits whole; then the next register begins where the pattern does.
        let pattern = load_at(&PATTERNS, distance * BYTES);
        let pattern = _mm512_add_epi8(pattern, _mm512_set1_epi8((BYTES - distance) as i8));
        // SAFETY: so much is written: the sequence's literals just now.
        let before = unsafe { load_tail(bytes, target) };
        let block = _mm512_permutexvar_epi8(pattern, before);
        while at < end {
            store_at(bytes, at, block);
            at += BYTES / distance * distance;
        }
    }
    Ok(true)
}

/// The 64 bytes before `at`; as many of them as there are.
///
/// # Safety
///
/// The bytes before `at` have values.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
unsafe fn load_tail(bytes: &[MaybeUninit<u8>], at: usize) -> __m512i {
    let mut tail = [MaybeUninit::new(0); BYTES];
    let (bytes, start) = match at.checked_sub(BYTES) {
        Some(start) => (&bytes[..at], start),
        None => {
            tail[BYTES - at..].copy_from_slice(&bytes[..at]);
            (tail.as_slice(), 0)
        }
    };
    // SAFETY: the register ends where the slice does, and all of that has values.
    unsafe { load_written(bytes, start) }
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn load_at(bytes: &[u8], at: usize) -> __m512i {
    load(bytes[at..].first_chunk().expect("room for a register"))
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn store_at(bytes: &mut [MaybeUninit<u8>], at: usize, value: __m512i) {
    store_written(
        bytes[at..].first_chunk_mut().expect("room for a register"),
        value,
    );
}

/// Indices of the literals behind a tail.
const LITERALS: [u8; BYTES] = {
    let mut indices = IOTA;
    let mut i = 0;
    while i < BYTES {
        indices[i] += BYTES as u8;
        i += 1;
    }
    indices
};
