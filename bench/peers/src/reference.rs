//! The reference codec's C interface.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use gdeflate_sys::{
    self as sys, libdeflate_gdeflate_compressor, libdeflate_gdeflate_decompressor,
    libdeflate_gdeflate_in_page, libdeflate_gdeflate_out_page,
};

use crate::{Error, ROOM_BYTES, TILE_BYTES};

/// The encoder at one level.
pub(crate) struct Compressor(NonNull<libdeflate_gdeflate_compressor>);

// SAFETY: the object is plain memory of one owner; nothing in it belongs to a thread.
unsafe impl Send for Compressor {}

impl Compressor {
    pub(crate) fn new(level: u8) -> Result<Compressor, Error> {
        // SAFETY: any number may be given; NULL is checked below.
        let object = unsafe { sys::libdeflate_alloc_gdeflate_compressor(i32::from(level)) };
        let object = NonNull::new(object).ok_or_else(|| Error("no reference encoder".into()))?;
        Ok(Compressor(object))
    }

    /// Bytes of the tile written to `room`; nothing where it gives up.
    pub(crate) fn tile(&mut self, input: &[u8], room: &mut [u8]) -> Option<usize> {
        assert!(input.len() <= TILE_BYTES && room.len() >= ROOM_BYTES);
        let mut page = libdeflate_gdeflate_out_page {
            data: room.as_mut_ptr().cast(),
            nbytes: room.len(),
        };
        // SAFETY: the object is live and used by no one else; `input` is readable for its length, and the one
        // page describes `room`, which is larger than the reference's bound for a tile.
        unsafe {
            sys::libdeflate_gdeflate_compress(
                self.0.as_ptr(),
                input.as_ptr().cast::<c_void>(),
                input.len(),
                &raw mut page,
                1,
            );
        }
        (page.nbytes > 0).then_some(page.nbytes)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: the object came from the matching allocation and is freed once.
        unsafe { sys::libdeflate_free_gdeflate_compressor(self.0.as_ptr()) }
    }
}

/// The decoder.
pub(crate) struct Decompressor(NonNull<libdeflate_gdeflate_decompressor>);

// SAFETY: the object is plain memory of one owner; nothing in it belongs to a thread.
unsafe impl Send for Decompressor {}

impl Decompressor {
    pub(crate) fn new() -> Result<Decompressor, Error> {
        // SAFETY: no conditions; NULL is checked below.
        let object = unsafe { sys::libdeflate_alloc_gdeflate_decompressor() };
        let object = NonNull::new(object).ok_or_else(|| Error("no reference decoder".into()))?;
        Ok(Decompressor(object))
    }

    /// Decodes a tile; whether that worked. The tile must be valid, make exactly `output.len()` bytes, and
    /// have slack behind it: the reference checks none of that. `Decoder`, the only caller, has seen to it.
    pub(crate) fn tile(&mut self, tile: &[u8], output: &mut [u8]) -> bool {
        let mut page = libdeflate_gdeflate_in_page {
            data: tile.as_ptr().cast(),
            nbytes: tile.len(),
        };
        // SAFETY: the object is live and used by no one else; the page describes a valid tile of
        // `output.len()` bytes with readable memory behind it, as the caller has checked; the last pointer
        // may be NULL.
        let result = unsafe {
            sys::libdeflate_gdeflate_decompress(
                self.0.as_ptr(),
                &raw mut page,
                1,
                output.as_mut_ptr().cast::<c_void>(),
                output.len(),
                ptr::null_mut(),
            )
        };
        result == 0
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the object came from the matching allocation and is freed once.
        unsafe { sys::libdeflate_free_gdeflate_decompressor(self.0.as_ptr()) }
    }
}
