//! Which of the decoder's implementations runs on this machine, and who decides.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// An implementation of the tile decoder. All give the same answers: the same bytes for a good tile
/// and the same error for a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Plain Rust, on every machine.
    Portable,
    /// The same code compiled for x86-64 with AVX2, BMI1 and BMI2.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, VL, VBMI, VBMI2) and GFNI, as on Ice Lake, Zen 4 and later.
    Avx512,
}

/// One more than the index in [`Path::ALL`] of the path that [`Path::prefer`] asked for; 0 for none.
static PREFERRED: AtomicU8 = AtomicU8::new(0);

impl Path {
    /// Every path, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Whether this machine can take the path. Under Miri only the portable one, since it knows few
    /// of the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Avx2 => super::avx2::available(),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Self::Avx512 => super::avx512::available(),
            #[cfg(any(not(target_arch = "x86_64"), miri))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The fastest path that this machine can take.
    pub fn best() -> Self {
        let mut available = Self::ALL.into_iter().filter(|path| path.is_available());
        available.next_back().unwrap_or(Self::Portable)
    }

    /// Which path decoders made from now on take, in the whole process: this one if the machine
    /// can, otherwise, and for `None`, the best. Any thread may call this at any time.
    pub fn prefer(path: Option<Self>) {
        let index = path.and_then(|path| Self::ALL.iter().position(|other| *other == path));
        let code = index.map_or(0, |index| index as u8 + 1);
        // Relaxed suffices: nothing else is published by it.
        PREFERRED.store(code, Ordering::Relaxed);
    }

    /// The path that [`Decoder::new`](super::Decoder::new) takes.
    pub fn chosen() -> Self {
        let code = usize::from(PREFERRED.load(Ordering::Relaxed));
        let preferred = code.checked_sub(1).and_then(|index| Self::ALL.get(index));
        match preferred {
            Some(path) if path.is_available() => *path,
            _ => Self::best(),
        }
    }

    /// The path's name in the configuration and in benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// The path of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.name() == name)
    }
}
