//! Zstandard: one frame a tile.

#![forbid(unsafe_code)]

use zstd_safe::{CCtx, DCtx};

use crate::Error;

/// The encoder at one level.
pub(crate) struct Compressor {
    context: CCtx<'static>,
    level: i32,
}

impl Compressor {
    pub(crate) fn new(level: u8) -> Result<Compressor, Error> {
        let context = CCtx::try_create().ok_or_else(|| Error("no zstd encoder".into()))?;
        let level = i32::from(level);
        Ok(Compressor { context, level })
    }

    /// Bytes of the tile written to `room`; nothing if it does not fit.
    pub(crate) fn tile(&mut self, input: &[u8], room: &mut [u8]) -> Option<usize> {
        self.context.compress(room, input, self.level).ok()
    }
}

/// The decoder.
pub(crate) struct Decompressor(DCtx<'static>);

impl Decompressor {
    pub(crate) fn new() -> Result<Decompressor, Error> {
        let context = DCtx::try_create().ok_or_else(|| Error("no zstd decoder".into()))?;
        Ok(Decompressor(context))
    }

    /// Decodes a tile of exactly `output.len()` bytes; whether that worked.
    pub(crate) fn tile(&mut self, tile: &[u8], output: &mut [u8]) -> bool {
        self.0.decompress(output, tile) == Ok(output.len())
    }
}
