//! Loads and stores: the only place of the vector decoder that touches memory through pointers.
//!
//! Each takes a reference to an array of exactly the bytes that it moves, so that the compiler has
//! checked the bounds before the pointer exists. Wherever the caller masks its index, that check
//! costs nothing.

use std::arch::x86_64::{
    __m256i, __m512i, _MM_HINT_T0, _mm_prefetch, _mm256_loadu_si256, _mm256_storeu_si256,
    _mm512_loadu_si512, _mm512_storeu_si512,
};
use std::mem::MaybeUninit;

/// Bytes of a whole register.
pub(super) const BYTES: usize = 64;
/// 16-bit elements of a whole register: one for each lane of a tile.
pub(super) const HALVES: usize = 32;

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn load(from: &[u8; BYTES]) -> __m512i {
    // SAFETY: the 64 bytes are those of the array; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn store(to: &mut [u8; BYTES], value: __m512i) {
    // SAFETY: the 64 bytes are those of the array; no alignment is asked for.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn load_halves(from: &[u16; HALVES]) -> __m512i {
    // SAFETY: the 64 bytes are those of the array; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn store_halves(to: &mut [u16; HALVES], value: __m512i) {
    // SAFETY: the 64 bytes are those of the array; no alignment is asked for.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn load_32(from: &[u8; 32]) -> __m256i {
    // SAFETY: the 32 bytes are those of the array; no alignment is asked for.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn store_32(to: &mut [u8; 32], value: __m256i) {
    // SAFETY: the 32 bytes are those of the array; no alignment is asked for.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
}

/// Asks for memory to be brought near; that it exists is all the reference is for.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
#[allow(
    unused_unsafe,
    reason = "newer standard libraries have made the intrinsic safe"
)]
pub(super) fn prefetch(bytes: &[u8; 4]) {
    // SAFETY: any address may be asked for; nothing is read.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) }
}

/// Loads a register from index `at` on.
///
/// # Safety
///
/// The slice must have 64 bytes from there on.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) unsafe fn load_unchecked(from: &[u8], at: usize) -> __m512i {
    debug_assert!(at + BYTES <= from.len());
    // SAFETY: the caller promises that the index is within the slice.
    let from = unsafe { from.as_ptr().add(at) };
    // SAFETY: the caller promises 64 bytes from there on; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

/// Loads a register from index `at` on.
///
/// # Safety
///
/// The slice must have 64 bytes from there on, with values.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) unsafe fn load_written(from: &[MaybeUninit<u8>], at: usize) -> __m512i {
    debug_assert!(at + BYTES <= from.len());
    // SAFETY: the caller promises that the index is within the slice.
    let from = unsafe { from.as_ptr().add(at) };
    // SAFETY: the caller promises 64 bytes with values from there on; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

/// Stores a register where there may have been no values.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) fn store_written(to: &mut [MaybeUninit<u8>; BYTES], value: __m512i) {
    // SAFETY: the 64 bytes are those of the array; no alignment is asked for.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

/// Stores a register from index `at` on.
///
/// # Safety
///
/// The slice must have 64 bytes from there on.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
pub(super) unsafe fn store_unchecked(to: &mut [MaybeUninit<u8>], at: usize, value: __m512i) {
    debug_assert!(at + BYTES <= to.len());
    // SAFETY: the caller promises that the index is within the slice.
    let to = unsafe { to.as_mut_ptr().add(at) };
    // SAFETY: the caller promises 64 bytes from there on; no alignment is asked for.
    unsafe { _mm512_storeu_si512(to.cast(), value) }
}
