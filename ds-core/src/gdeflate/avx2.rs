//! The portable decoder's hot loops, compiled for processors with AVX2, BMI1 and BMI2.
//!
//! The loops are the same; shifts by a variable and masks take one instruction instead of several,
//! and 16-byte copies need no second register. Gathers would not help: a round of them takes longer
//! than the loads it replaces.

use super::DecodeError;
use super::decode::{BatchEnd, Hot, Tile};
use super::output::Output;
use super::sequences::Batch;

/// Proof that the processor has what the functions here are compiled for.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn new() -> Option<Self> {
        available().then_some(Self(()))
    }
}

/// Whether the processor has what the functions here are compiled for.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

impl Hot for Avx2 {
    #[inline]
    fn fill_batch<const LITERAL_RUNS: bool>(self, tile: &mut Tile<'_, '_, Self>) -> BatchEnd {
        // SAFETY: the processor has the features, or there would be no `self`.
        unsafe { fill_batch::<LITERAL_RUNS>(tile) }
    }

    #[inline]
    fn execute(self, output: &mut Output<'_>, batch: &mut Batch) -> Result<(), DecodeError> {
        // SAFETY: the processor has the features, or there would be no `self`.
        unsafe { execute(output, batch) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn fill_batch<const LITERAL_RUNS: bool>(tile: &mut Tile<'_, '_, Avx2>) -> BatchEnd {
    tile.fill_batch_inline::<LITERAL_RUNS>()
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn execute(output: &mut Output<'_>, batch: &mut Batch) -> Result<(), DecodeError> {
    output.execute_inline(batch)
}
