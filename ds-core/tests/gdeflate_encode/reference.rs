//! The reference codec, one raw tile at a time. Shared by the tests and `examples/bench_encode.rs`.

use gdeflate_sys as sys;

/// Room for any tile of the reference, and slack: its decoder reads past the end of a tile.
const TILE_ROOM: usize = 65_536 + 4096;

/// The reference encoder at one level.
pub(crate) struct Compressor {
    handle: *mut sys::libdeflate_gdeflate_compressor,
    room: Vec<u8>,
}

impl Compressor {
    pub(crate) fn new(level: u8) -> Compressor {
        // SAFETY: takes any number; NULL says that it is none.
        let handle = unsafe { sys::libdeflate_alloc_gdeflate_compressor(i32::from(level)) };
        assert!(!handle.is_null(), "the reference has no level {level}");
        Compressor {
            handle,
            room: vec![0; TILE_ROOM],
        }
    }

    /// One raw tile.
    pub(crate) fn encode_tile(&mut self, input: &[u8]) -> &[u8] {
        assert!(input.len() <= 65_536);
        let mut page = sys::libdeflate_gdeflate_out_page {
            data: self.room.as_mut_ptr().cast(),
            nbytes: self.room.len(),
        };
        // SAFETY: the handle is live, `input` is readable for its length, and the page describes `room`,
        // which is larger than the reference's bound for one tile.
        let bytes = unsafe {
            sys::libdeflate_gdeflate_compress(
                self.handle,
                input.as_ptr().cast(),
                input.len(),
                &raw mut page,
                1,
            )
        };
        assert_ne!(bytes, 0, "the reference does not compress this");
        &self.room[..page.nbytes]
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: made by the matching allocation, freed once.
        unsafe { sys::libdeflate_free_gdeflate_compressor(self.handle) }
    }
}

/// The reference decoder.
#[allow(dead_code, reason = "the benchmark does not decode")]
pub(crate) struct Decompressor {
    handle: *mut sys::libdeflate_gdeflate_decompressor,
    tile: Vec<u8>,
    output: Vec<u8>,
}

#[allow(dead_code, reason = "the benchmark does not decode")]
impl Decompressor {
    pub(crate) fn new() -> Decompressor {
        // SAFETY: no conditions; NULL says that memory ran out.
        let handle = unsafe { sys::libdeflate_alloc_gdeflate_decompressor() };
        assert!(!handle.is_null());
        Decompressor {
            handle,
            tile: vec![0; 2 * TILE_ROOM],
            output: vec![0; 2 * TILE_ROOM],
        }
    }

    /// The first `bytes` bytes of a tile; none if the reference refuses it.
    pub(crate) fn decode_tile(&mut self, tile: &[u8], bytes: usize) -> Option<&[u8]> {
        self.tile.fill(0);
        self.tile[..tile.len()].copy_from_slice(tile);
        self.output.fill(0xEE);
        let mut page = sys::libdeflate_gdeflate_in_page {
            data: self.tile.as_ptr().cast(),
            nbytes: tile.len(),
        };
        let mut written = 0;
        // SAFETY: the handle is live; the tile has slack for the reference's over-reads, and the output is
        // twice a tile, more than the reference ever writes for one.
        let result = unsafe {
            sys::libdeflate_gdeflate_decompress(
                self.handle,
                &raw mut page,
                1,
                self.output.as_mut_ptr().cast(),
                65_536,
                &raw mut written,
            )
        };
        (result == 0).then(|| &self.output[..bytes])
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: made by the matching allocation, freed once.
        unsafe { sys::libdeflate_free_gdeflate_decompressor(self.handle) }
    }
}
