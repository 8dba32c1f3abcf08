//! Plans for short sequences: all that depends on lengths and distances alone, 32 at a time.
//!
//! Owns the check that a sequence stays within the output: a sequence that is no exception has
//! room for whole registers where it is written and where it is read from.
#![forbid(unsafe_code)]

use std::arch::x86_64::{
    __m512i, __mmask32, _mm256_movm_epi8, _mm512_add_epi16, _mm512_adds_epu16,
    _mm512_cmpge_epu16_mask, _mm512_cmple_epu16_mask, _mm512_cmplt_epu16_mask,
    _mm512_cvtepi16_epi8, _mm512_mask_cmplt_epu16_mask, _mm512_mask_sub_epi16,
    _mm512_maskz_permutexvar_epi16, _mm512_maskz_sub_epi16, _mm512_min_epu16, _mm512_set1_epi16,
    _mm512_slli_epi16, _mm512_sub_epi16,
};

use super::batch::{Batch, LIST_LEN};
use super::simd::{BYTES, HALVES, load_halves, store_32, store_halves};

/// Sequences in a plan.
pub(super) const PLANNED: usize = HALVES;

/// What the steps for each sequence need. Positions fit 16 bits, since a tile has 65,536 bytes.
pub(super) struct Plan {
    /// Where each sequence begins in the output, and where the last ends.
    pub(super) starts: [u16; PLANNED + 1],
    /// Where its literals begin in the list of symbols.
    pub(super) symbols: [u16; PLANNED],
    /// Where a register is to be loaded from the output: `distance` before the sequence if it is
    /// far, at the output's beginning otherwise.
    pub(super) sources: [u16; PLANNED],
    /// Where its pattern begins in [`PATTERNS`].
    pub(super) patterns: [u16; PLANNED],
    /// What to add to the pattern: 64 is the sequence's first byte, and before it lies the tail.
    pub(super) origins: [u8; PLANNED],
    /// Number of literals.
    pub(super) runs: [u8; PLANNED],
    /// Number of bytes.
    pub(super) bytes: [u8; PLANNED],
    /// All ones if the match begins further back than the tail, else 0.
    pub(super) far: [u8; PLANNED],
}

impl Plan {
    pub(super) const EMPTY: Self = Self {
        starts: [0; PLANNED + 1],
        symbols: [0; PLANNED],
        sources: [0; PLANNED],
        patterns: [0; PLANNED],
        origins: [0; PLANNED],
        runs: [0; PLANNED],
        bytes: [0; PLANNED],
        far: [0; PLANNED],
    };

    /// Plans the sequences of `batch` from index `first` on, the first of which begins at `start`,
    /// where there is room for a register in the output of `output_bytes`. Answers which of them are
    /// exceptions: too long, wrong, or too near to the end of the output. Of those only `starts` and
    /// `symbols` hold, and these only if there is no fault before.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn make(
        &mut self,
        batch: &Batch,
        first: usize,
        start: usize,
        output_bytes: usize,
    ) -> __mmask32 {
        let splat = |value: usize| _mm512_set1_epi16(value as i16);
        let first = first % LIST_LEN;
        let list = |list: &[u16], first: usize| {
            load_halves(
                list[first..]
                    .first_chunk()
                    .expect("the room behind the list"),
            )
        };
        let symbol = _mm512_add_epi16(list(&batch.places, first), splat(1));
        let run = _mm512_sub_epi16(list(&batch.places, first + 1), symbol);
        // The distance less one, as it is throughout.
        let distance = list(&batch.distances, first);
        // Sums that do not fit saturate, and are then behind the end of any output.
        let bytes = _mm512_adds_epu16(list(&batch.lengths, first), splat(3));
        let bytes = _mm512_adds_epu16(bytes, run);
        let end = _mm512_adds_epu16(splat(start), prefix_sums(bytes));
        let start_vector = _mm512_sub_epi16(end, bytes);
        let target = _mm512_add_epi16(start_vector, run);

        let far = _mm512_cmpge_epu16_mask(distance, splat(BYTES));
        let within = _mm512_cmplt_epu16_mask(distance, target)
            & (!far | _mm512_mask_cmplt_epu16_mask(far, distance, start_vector));
        let fits = _mm512_cmple_epu16_mask(end, splat(output_bytes - BYTES));
        let short = _mm512_cmple_epu16_mask(bytes, splat(BYTES));

        let one_more = _mm512_add_epi16(distance, splat(1));
        let source = _mm512_maskz_sub_epi16(far, start_vector, one_more);
        let row = _mm512_min_epu16(one_more, splat(BYTES + 1));
        let pattern = _mm512_sub_epi16(_mm512_slli_epi16::<PATTERN_SHIFT>(row), run);
        let literal_origin = _mm512_add_epi16(run, splat(BYTES));
        let origin = _mm512_mask_sub_epi16(literal_origin, !far, literal_origin, one_more);
        self.starts[0] = start as u16;
        store_halves(self.starts[1..].first_chunk_mut().expect("one more"), end);
        store_halves(&mut self.symbols, symbol);
        store_halves(&mut self.sources, source);
        store_halves(&mut self.patterns, pattern);
        store_32(&mut self.origins, _mm512_cvtepi16_epi8(origin));
        store_32(&mut self.runs, _mm512_cvtepi16_epi8(run));
        store_32(&mut self.bytes, _mm512_cvtepi16_epi8(bytes));
        store_32(&mut self.far, _mm256_movm_epi8(far));
        !(within & fits & short)
    }
}

/// Each element plus all before it, saturating.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn prefix_sums(values: __m512i) -> __m512i {
    let mut sums = values;
    for (step, places) in SHIFTS.iter().enumerate() {
        let reached = u32::MAX << (1 << step);
        let shifted = _mm512_maskz_permutexvar_epi16(reached, load_halves(places), sums);
        sums = _mm512_adds_epu16(sums, shifted);
    }
    sums
}

/// Indices that shift elements up by 1, 2, 4, 8 and 16 places.
const SHIFTS: [[u16; HALVES]; 5] = {
    let mut shifts = [[0; HALVES]; 5];
    let mut step = 0;
    while step < 5 {
        let mut i = 1 << step;
        while i < HALVES {
            shifts[step][i] = (i - (1 << step)) as u16;
            i += 1;
        }
        step += 1;
    }
    shifts
};

const PATTERN_SHIFT: u32 = BYTES.ilog2();

/// From index `64 * distance` on: which byte of the pattern each byte of a match is. A match with
/// literals before it is read from that many bytes before, which do not matter: hence the first row.
/// The last row is that of all distances above 64.
pub(super) const PATTERNS: [u8; (BYTES + 2) * BYTES] = {
    let mut patterns = [0; (BYTES + 2) * BYTES];
    let mut i = BYTES;
    while i < patterns.len() {
        patterns[i] = (i % BYTES % (i / BYTES)) as u8;
        i += 1;
    }
    patterns
};
