//! What is fuzzed: a table of functions that take any bytes and must neither panic, hang nor touch memory
//! that is not theirs.
//!
//! Two engines run the same functions: `smoke` (stable Rust, blind mutation, seconds, in CI) and `libfuzzer`
//! (nightly, guided by coverage, under AddressSanitizer, for hours). A target is one file in `targets/` with
//! `pub fn target(data: &[u8])`, and one line in [`TARGETS`].

#![forbid(unsafe_code)]

pub mod mutate;
pub mod targets;

/// A target: its name, the function, and where inputs worth starting from lie.
pub struct Target {
    /// The name on the command line and of the directories `corpus/<name>` and `artifacts/<name>`.
    pub name: &'static str,
    /// Tries one input. Whatever it finds wrong it says by panicking.
    pub run: fn(&[u8]),
    /// More directories of inputs beside the corpus, relative to the repository root; may be missing.
    pub seeds: &'static [&'static str],
}

/// Streams of the reference encoder, where they lie beside the repository, and our own.
const STREAMS: &[&str] = &[
    "../shared/vectors",
    "../shared/vectors/malformed",
    "fuzz/corpus/tile_stream",
];

/// Every target. The last one is broken on purpose, so that each engine can be seen to find something.
pub const TARGETS: &[Target] = &[
    target("tile_stream", targets::tile_stream::target, STREAMS),
    target("tile_decode", targets::tile_decode::target, STREAMS),
    target("tile_encode", targets::tile_encode::target, STREAMS),
    target(
        "request_validation",
        targets::request_validation::target,
        &[],
    ),
    target("queue_program", targets::queue_program::target, &[]),
    target("archive", targets::archive::target, &[]),
    target("archive_file", targets::archive_file::target, &[]),
    target(PLANTED, targets::planted::target, &[]),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: &'static [&'static str]) -> Target {
    Target { name, run, seeds }
}

/// The target that is broken on purpose; no run of "all targets" includes it.
pub const PLANTED: &str = "planted";

/// The target called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
