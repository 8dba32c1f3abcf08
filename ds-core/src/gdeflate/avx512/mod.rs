//! The tile decoder for processors with AVX-512 (VBMI2) and GFNI: all 32 lanes in one register.
//!
//! The same batches and the same order of checks as the portable decoder, hence the same answers,
//! faults included. docs/gdeflate-decoder.md explains how it works and what limits it.

mod batch;
mod codes;
mod header;
mod lanes;
mod output;
mod plan;
mod simd;
mod stored;
mod symbols;
mod tile;
mod words;

use super::output::Room;
use super::{DecodeError, LANES};
use batch::Batch;
use codes::Codes;
use words::Buffer;

/// The matrix that reverses the bits of every byte of an affine transformation's operand.
const REVERSE_BYTE_BITS: i64 = 0x8040_2010_0804_0201_u64 as i64;

/// All that a tile's decoding needs besides registers.
pub(super) struct Scratch {
    buffer: Buffer,
    codes: Codes,
    batch: Batch,
}

impl Scratch {
    const EMPTY: Self = Self {
        buffer: Buffer::EMPTY,
        codes: Codes::EMPTY,
        batch: Batch::EMPTY,
    };

    /// Scratch, if this machine can run the decoder.
    pub(super) fn new() -> Option<Box<Self>> {
        available().then(|| Box::new(Self::EMPTY))
    }

    /// Decodes a tile of at least 128 bytes into a non-empty output.
    pub(super) fn decode<'a>(
        &mut self,
        tile: &[[u8; 4]],
        output: Room<'a>,
    ) -> Result<&'a mut [u8], DecodeError> {
        // SAFETY: the processor has the features, or `new` would not have made this scratch.
        unsafe { tile::decode(self, tile, output) }
    }
}

/// Whether this machine has all that the decoder's functions are compiled for.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}
