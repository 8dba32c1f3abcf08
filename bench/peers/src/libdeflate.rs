//! libdeflate's C interface, as far as it is needed here: raw DEFLATE, a buffer at a time.
//!
//! Declared here because the archive is not the one that libdeflate-sys links (build.rs).

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use crate::Error;

unsafe extern "C" {
    fn libdeflate_alloc_compressor(level: c_int) -> *mut c_void;
    fn libdeflate_free_compressor(compressor: *mut c_void);
    fn libdeflate_deflate_compress(
        compressor: *mut c_void,
        input: *const c_void,
        input_bytes: usize,
        output: *mut c_void,
        output_bytes: usize,
    ) -> usize;
    fn libdeflate_alloc_decompressor() -> *mut c_void;
    fn libdeflate_free_decompressor(decompressor: *mut c_void);
    fn libdeflate_deflate_decompress(
        decompressor: *mut c_void,
        input: *const c_void,
        input_bytes: usize,
        output: *mut c_void,
        output_bytes: usize,
        written_bytes: *mut usize,
    ) -> c_int;
}

/// The encoder at one level.
pub(crate) struct Compressor(NonNull<c_void>);

// SAFETY: libdeflate's objects may move between threads; one thread at a time uses each.
unsafe impl Send for Compressor {}

impl Compressor {
    pub(crate) fn new(level: u8) -> Result<Compressor, Error> {
        // SAFETY: any number may be given; NULL is checked below.
        let object = unsafe { libdeflate_alloc_compressor(c_int::from(level)) };
        let object = NonNull::new(object).ok_or_else(|| Error("no libdeflate encoder".into()))?;
        Ok(Compressor(object))
    }

    /// Bytes of the tile written to `room`; nothing if it does not fit.
    pub(crate) fn tile(&mut self, input: &[u8], room: &mut [u8]) -> Option<usize> {
        // SAFETY: the object is live and used by no one else; both buffers are live for the sizes given.
        let bytes = unsafe {
            libdeflate_deflate_compress(
                self.0.as_ptr(),
                input.as_ptr().cast(),
                input.len(),
                room.as_mut_ptr().cast(),
                room.len(),
            )
        };
        (bytes > 0).then_some(bytes)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: the object came from the matching allocation and is freed once.
        unsafe { libdeflate_free_compressor(self.0.as_ptr()) }
    }
}

/// The decoder.
pub(crate) struct Decompressor(NonNull<c_void>);

// SAFETY: libdeflate's objects may move between threads; one thread at a time uses each.
unsafe impl Send for Decompressor {}

impl Decompressor {
    pub(crate) fn new() -> Result<Decompressor, Error> {
        // SAFETY: no conditions; NULL is checked below.
        let object = unsafe { libdeflate_alloc_decompressor() };
        let object = NonNull::new(object).ok_or_else(|| Error("no libdeflate decoder".into()))?;
        Ok(Decompressor(object))
    }

    /// Decodes a tile of exactly `output.len()` bytes; whether that worked.
    pub(crate) fn tile(&mut self, tile: &[u8], output: &mut [u8]) -> bool {
        // SAFETY: the object is live and used by no one else; both buffers are live for the sizes given; the
        // last pointer may be NULL, which asks for exactly `output.len()` bytes.
        let result = unsafe {
            libdeflate_deflate_decompress(
                self.0.as_ptr(),
                tile.as_ptr().cast(),
                tile.len(),
                output.as_mut_ptr().cast(),
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
        unsafe { libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}
