//! Which of the decoder's implementations runs on this machine.
#![forbid(unsafe_code)]

/// An implementation of the tile decoder. All give the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Plain Rust, on every machine.
    Portable,
    /// x86-64 with AVX2, BMI1 and BMI2.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, VL, VBMI, VBMI2) and GFNI, as on Ice Lake, Zen 4 and later.
    Avx512,
}

impl Path {
    /// Every path, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The fastest path that this machine can take.
    pub fn best() -> Self {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if super::avx512::available() {
            return Self::Avx512;
        }
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if super::avx2::Avx2::new().is_some() {
            return Self::Avx2;
        }
        Self::Portable
    }

    /// The path's name: in the configuration, in benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}
