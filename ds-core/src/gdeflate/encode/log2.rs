//! The binary logarithm, quick and the same on every machine.

#![forbid(unsafe_code)]

/// To about three digits, without branches so that loops over it become vector code; 0 for 0.
#[inline(always)]
pub(super) fn log2(value: u32) -> f32 {
    let bits = (value.max(1) as f32).to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    // A parabola through log2 at 1, sqrt 2 and 2.
    exponent + (mantissa - 1.0) * (1.0 + (2.0 - mantissa) * 0.343_145_75)
}

#[cfg(test)]
mod tests {
    use super::log2;

    #[test]
    fn log2_is_close_and_exact_at_powers() {
        for value in 1..=70_000_u32 {
            assert!(
                (log2(value) - (value as f32).log2()).abs() < 0.01,
                "{value}"
            );
        }
        assert_eq!(log2(4096), 12.0);
        assert_eq!(log2(0), 0.0);
    }
}
