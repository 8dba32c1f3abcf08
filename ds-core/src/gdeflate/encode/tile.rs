//! The input of one tile, copied where reading is cheap: any position can be read as a whole word.
//!
//! A tile is at most 64 KiB, so a position is a `u16` and the compiler itself can see that reads at positions
//! stay inside the buffer. The slack behind the data holds zeros; what is matched there is cut off by the
//! callers' `length_max`.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::TILE_BYTES_MAX;

/// Readable zeros behind the data.
const SLACK: usize = 64;

/// Where the data begins: see [`Tile::word_of_node`].
const FRONT: usize = 1;

/// The bytes of one tile.
pub(super) struct Tile {
    bytes: Box<[u8; FRONT + TILE_BYTES_MAX + SLACK]>,
    len: usize,
}

impl Tile {
    /// An empty tile.
    pub(super) fn new() -> Tile {
        Tile {
            bytes: super::zeroed(),
            len: 0,
        }
    }

    /// Takes new data, at most [`TILE_BYTES_MAX`] of it.
    pub(super) fn load(&mut self, input: &[u8]) {
        self.len = input.len();
        let (data, rest) = self.bytes[FRONT..].split_at_mut(input.len());
        data.copy_from_slice(input);
        rest[..SLACK].fill(0);
    }

    /// Bytes of data.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The byte at a position.
    #[inline(always)]
    pub(super) fn byte(&self, position: usize) -> u8 {
        self.bytes[FRONT + position]
    }

    /// The bytes at some positions.
    #[inline(always)]
    pub(super) fn bytes(&self, positions: Range<usize>) -> &[u8] {
        &self.bytes[FRONT..][positions]
    }

    /// The four bytes at a position, the first one lowest.
    #[inline(always)]
    pub(super) fn word(&self, position: usize) -> u32 {
        let bytes = self.bytes[FRONT + position..].first_chunk();
        u32::from_le_bytes(*bytes.expect("there is slack"))
    }

    /// The four bytes at a node: a position plus one, so that tables of zeros name none. Of node 0, which is
    /// no position, some bytes; nobody need ask first.
    #[inline(always)]
    pub(super) fn word_of_node(&self, node: u16) -> u32 {
        let bytes = self.bytes[FRONT - 1 + usize::from(node)..].first_chunk();
        u32::from_le_bytes(*bytes.expect("there is slack"))
    }

    /// The eight bytes at a position, the first one lowest.
    #[inline(always)]
    pub(super) fn long(&self, position: usize) -> u64 {
        let bytes = self.bytes[FRONT + position..].first_chunk();
        u64::from_le_bytes(*bytes.expect("there is slack"))
    }

    /// How many bytes at `earlier` and `position` agree, if the first `known` do; at most `length_max`.
    ///
    /// `earlier < position` and `position + length_max <= len()`.
    #[inline(always)]
    pub(super) fn match_length(
        &self,
        earlier: usize,
        position: usize,
        known: usize,
        length_max: usize,
    ) -> usize {
        let mut length = known;
        while length < length_max {
            let difference = self.long(earlier + length) ^ self.long(position + length);
            if difference != 0 {
                return (length + difference.trailing_zeros() as usize / 8).min(length_max);
            }
            length += 8;
        }
        length_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_stop_at_the_end() {
        let mut tile = Tile::new();
        tile.load(&[7; TILE_BYTES_MAX]);
        assert_eq!(
            tile.match_length(0, 1, 0, TILE_BYTES_MAX - 1),
            TILE_BYTES_MAX - 1
        );
        tile.load(b"abcabcab\0\0\0");
        assert_eq!(tile.match_length(0, 3, 0, 8), 5);
        assert_eq!(tile.match_length(8, 9, 0, 2), 2);
    }
}
