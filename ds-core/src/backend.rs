//! `Backend`: the public choice of how requests are carried out, and the one function that makes
//! it.
//!
//! A backend is a pair drawn from two closed sets: how bytes are read (`Io`) and how they are
//! decompressed (`Decoder`). Asking for something that is not available falls back and says why; it
//! never fails.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Once;

use crate::gpu;
use crate::io;

/// How requests are carried out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Backend {
    /// The best that is available, for a logged reason.
    #[default]
    Auto,
    /// A pool of threads that read with pread(2), and workers that decompress.
    Cpu,
    /// io_uring, and workers that decompress.
    IoUring,
    /// Reading as above; GPU destinations and decompression through Vulkan.
    Vulkan,
    /// A simulation with seeded faults and no threads, for tests: someone calls
    /// [`crate::Runtime::turn`].
    Sim,
}

impl Backend {
    /// Every backend, in the order of the documentation.
    pub const ALL: [Backend; 5] = [
        Backend::Auto,
        Backend::Cpu,
        Backend::IoUring,
        Backend::Vulkan,
        Backend::Sim,
    ];

    /// The word for options and logs.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Auto => "auto",
            Backend::Cpu => "cpu",
            Backend::IoUring => "io_uring",
            Backend::Vulkan => "vulkan",
            Backend::Sim => "sim",
        }
    }

    /// The backend of that name.
    pub fn from_name(name: &str) -> Option<Backend> {
        Backend::ALL
            .into_iter()
            .find(|backend| backend.name() == name)
    }

    /// Why the backend cannot be used here; `None` if it can.
    pub fn unavailable(self) -> Option<&'static str> {
        match self {
            Backend::Auto | Backend::Cpu | Backend::Sim => None,
            Backend::IoUring => io::uring::probe().err(),
            Backend::Vulkan => gpu::unavailable(),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who decompresses, in DirectStorage's own words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decoder {
    /// CPU workers: `CPU_FALLBACK`.
    Host,
}

/// Who decompresses GDeflate whose destination is a GPU's; per runtime and per queue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum GpuDecode {
    /// The GPU where enough tiles wait that it is the faster one; workers on the CPU otherwise.
    #[default]
    Auto,
    /// The GPU wherever it can.
    Gpu,
    /// Workers on the CPU; the GPU copies.
    Cpu,
}

impl GpuDecode {
    /// Every choice, in the order of the documentation.
    pub const ALL: [GpuDecode; 3] = [GpuDecode::Auto, GpuDecode::Gpu, GpuDecode::Cpu];

    /// The word for options and logs.
    pub fn name(self) -> &'static str {
        match self {
            GpuDecode::Auto => "auto",
            GpuDecode::Gpu => "gpu",
            GpuDecode::Cpu => "cpu",
        }
    }

    /// The choice of that name.
    pub fn from_name(name: &str) -> Option<GpuDecode> {
        GpuDecode::ALL
            .into_iter()
            .find(|choice| choice.name() == name)
    }
}

/// A backend that was chosen, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Never [`Backend::Auto`].
    pub backend: Backend,
    /// Whether files are read through io_uring: always under [`Backend::IoUring`], where it works under
    /// [`Backend::Vulkan`].
    pub ring: bool,
    /// Who decompresses for memory destinations.
    pub decoder: Decoder,
    /// For logs and `ds info`.
    pub reason: String,
}

/// Chooses the backend for what was asked.
pub fn choose(asked: Backend) -> Choice {
    let (backend, reason) = match (asked, asked.unavailable()) {
        (Backend::Auto, _) => match under_valgrind().or_else(|| Backend::IoUring.unavailable()) {
            None => (
                Backend::IoUring,
                "automatic: io_uring works here, and keeps deep queues with few system calls"
                    .to_owned(),
            ),
            Some(why) => (
                Backend::Cpu,
                format!("automatic: pread threads, because {why}"),
            ),
        },
        (asked, None) => (asked, "asked for".to_owned()),
        // Host destinations lose nothing by it.
        (Backend::Vulkan, Some(why)) => {
            let without = choose(Backend::Auto);
            return Choice {
                reason: format!("vulkan was asked for, but {why}; {}", without.reason),
                ..without
            };
        }
        (asked, Some(why)) => (
            Backend::Cpu,
            format!("{asked} was asked for, but {why}; pread threads instead"),
        ),
    };
    // Once, however many runtimes there are: whoever wonders about speed should find it in the log.
    static TOLD: Once = Once::new();
    if matches!(asked, Backend::Auto | Backend::IoUring) && backend == Backend::Cpu {
        TOLD.call_once(|| log::warn!(target: "ds", "no io_uring: {reason}"));
    }
    let no_ring = || under_valgrind().or_else(|| Backend::IoUring.unavailable());
    Choice {
        backend,
        ring: match backend {
            Backend::IoUring => true,
            Backend::Vulkan => no_ring().is_none(),
            _ => false,
        },
        decoder: Decoder::Host,
        reason,
    }
}

/// Why not to take a ring unasked under valgrind, which tells its programs by what it preloads.
fn under_valgrind() -> Option<&'static str> {
    let preloaded = std::env::var_os("LD_PRELOAD")?;
    preloaded
        .as_encoded_bytes()
        .windows(9)
        .any(|word| word == b"vgpreload")
        .then_some("valgrind stops every thread while one waits in io_uring_enter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_asked_something_works_and_says_why() {
        for asked in Backend::ALL {
            let choice = choose(asked);
            assert_eq!(choice.backend.unavailable(), None);
            assert_ne!(choice.backend, Backend::Auto);
            assert!(!choice.reason.is_empty());
            assert_eq!(Backend::from_name(asked.name()), Some(asked));
        }
    }
}
