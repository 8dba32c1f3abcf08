//! The reference codec, for comparison: one tile at a time, without the safe crate's allocations.
//!
//! Direct calls because the safe wrapper, the crate `gdeflate`, hides that the encoder gives up on
//! some noise: it hands on a tile of 0 bytes, which its decoder then reads as if it were one.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::ffi::c_void;
use std::ptr;

use gdeflate_sys::{
    self as sys, libdeflate_gdeflate_compressor, libdeflate_gdeflate_decompressor,
    libdeflate_gdeflate_in_page, libdeflate_gdeflate_out_page,
};

/// More than any tile takes.
const TILE_BOUND: usize = 66_404;

/// The reference encoder.
pub(crate) struct Encoder(*mut libdeflate_gdeflate_compressor);

impl Encoder {
    /// Levels 0 to 12.
    pub(crate) fn new(level: i32) -> Self {
        // SAFETY: any level may be given; the result is checked.
        let encoder = unsafe { sys::libdeflate_alloc_gdeflate_compressor(level) };
        assert!(!encoder.is_null(), "no such level, or out of memory");
        Self(encoder)
    }

    /// The tile for 1 to 65,536 bytes; nothing where the encoder gives up, as on some noise.
    pub(crate) fn tile(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        let mut tile = vec![0; TILE_BOUND];
        let mut page = libdeflate_gdeflate_out_page {
            data: tile.as_mut_ptr().cast(),
            nbytes: tile.len(),
        };
        // SAFETY: `self.0` is live and used by no one else; `input` and the one page describe live
        // memory of their sizes.
        unsafe {
            sys::libdeflate_gdeflate_compress(
                self.0,
                input.as_ptr().cast::<c_void>(),
                input.len(),
                &raw mut page,
                1,
            );
        }
        tile.truncate(page.nbytes);
        (!tile.is_empty()).then_some(tile)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: `self.0` came from the matching allocator and is freed once.
        unsafe { sys::libdeflate_free_gdeflate_compressor(self.0) }
    }
}

/// The reference decoder.
pub(crate) struct Decoder(*mut libdeflate_gdeflate_decompressor);

impl Decoder {
    pub(crate) fn new() -> Self {
        // SAFETY: the function has no precondition; the result is checked.
        let decoder = unsafe { sys::libdeflate_alloc_gdeflate_decompressor() };
        assert!(!decoder.is_null(), "out of memory");
        Self(decoder)
    }

    /// Decodes a tile of exactly `output.len()` bytes.
    ///
    /// # Safety
    ///
    /// The tile must be valid and of that size: the reference reads and writes out of bounds
    /// otherwise.
    pub(crate) unsafe fn decode(&mut self, tile: &[u8], output: &mut [u8]) {
        let mut page = libdeflate_gdeflate_in_page {
            data: tile.as_ptr().cast(),
            nbytes: tile.len(),
        };
        // SAFETY: `self.0` is live; the caller promises that `page`, which describes `tile`, is a
        // valid tile of `output.len()` bytes; the last pointer may be null.
        let result = unsafe {
            sys::libdeflate_gdeflate_decompress(
                self.0,
                &raw mut page,
                1,
                output.as_mut_ptr().cast::<c_void>(),
                output.len(),
                ptr::null_mut(),
            )
        };
        assert_eq!(result, 0, "the reference refused a valid tile");
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: `self.0` came from the matching allocator and is freed once.
        unsafe { sys::libdeflate_free_gdeflate_decompressor(self.0) }
    }
}
