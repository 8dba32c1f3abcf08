//! Whether matches of three bytes are worth looking for in a tile.
//!
//! They are worth much where data has records or indices of a few bytes, and next to nothing in text and
//! code; a finder pays for them at every position in any case. So the first segment of a tile is parsed with
//! them, and whoever finds few there stops looking: for good, since what segments have in common is the rule.

#![forbid(unsafe_code)]

use super::alphabet::{LENGTH_FIRST, LENGTH_MIN};
use super::items::Part;

/// What has been seen so far.
pub(super) struct Near {
    wanted: bool,
    bytes_max: usize,
}

impl Near {
    /// Nothing seen yet: to be looked for. One such match in `bytes_max` bytes, or more often, is worth it.
    pub(super) fn new(bytes_max: usize) -> Near {
        Near {
            wanted: true,
            bytes_max,
        }
    }

    /// Whether to look for them.
    #[inline(always)]
    pub(super) fn wanted(&self) -> bool {
        self.wanted
    }

    /// Learns from a segment that was parsed.
    pub(super) fn learn(&mut self, part: &Part) {
        const { assert!(LENGTH_MIN == 3) };
        let found = part.histogram.litlen[LENGTH_FIRST] as usize;
        self.wanted &= found * self.bytes_max >= part.input.len();
    }
}
