//! zlib-rs: raw DEFLATE streams, finished in one call.

#![forbid(unsafe_code)]

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

/// log2 of the window: the format's largest.
const WINDOW_BITS: u8 = 15;

/// The encoder at one level.
pub(crate) struct Compressor(Deflate);

impl Compressor {
    pub(crate) fn new(level: u8) -> Compressor {
        Compressor(Deflate::new(i32::from(level), false, WINDOW_BITS))
    }

    /// Bytes of the tile written to `room`; nothing if it does not fit.
    pub(crate) fn tile(&mut self, input: &[u8], room: &mut [u8]) -> Option<usize> {
        self.0.reset();
        match self.0.compress(input, room, DeflateFlush::Finish) {
            Ok(Status::StreamEnd) => usize::try_from(self.0.total_out()).ok(),
            _ => None,
        }
    }
}

/// The decoder.
pub(crate) struct Decompressor(Inflate);

impl Decompressor {
    pub(crate) fn new() -> Decompressor {
        Decompressor(Inflate::new(false, WINDOW_BITS))
    }

    /// Decodes a tile of exactly `output.len()` bytes; whether that worked.
    pub(crate) fn tile(&mut self, tile: &[u8], output: &mut [u8]) -> bool {
        self.0.reset(false);
        let status = self.0.decompress(tile, output, InflateFlush::Finish);
        status == Ok(Status::StreamEnd) && self.0.total_out() == output.len() as u64
    }
}
