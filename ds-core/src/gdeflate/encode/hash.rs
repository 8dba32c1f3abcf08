//! Hashes of the next few bytes, for the tables of the match finders.
//!
//! Multiplicative hashing: the high bits of a product with an odd constant near the golden ratio depend
//! on all the bytes below them. `BITS` is the size of the table, as a power of two.

#![forbid(unsafe_code)]

const MULTIPLIER: u32 = 0x9e37_79b1;

/// Of the first three bytes of `word`, read little-endian.
#[inline(always)]
pub(super) fn hash3<const BITS: u32>(word: u32) -> usize {
    ((word << 8).wrapping_mul(MULTIPLIER) >> (32 - BITS)) as usize
}

/// Of all four, for a table of `len` entries, a power of two.
#[inline(always)]
pub(super) const fn hash4(word: u32, len: usize) -> usize {
    (word.wrapping_mul(MULTIPLIER) >> (32 - len.ilog2())) as usize
}
