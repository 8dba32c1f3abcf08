//! Tile streams: the header and table around tiles, as DirectStorage stores them.
//!
//! Owns the layout of the 8-byte header and of the table; nothing else reads or writes them.
//!
//! Promises
//! - [`TileStream::parse`] costs the same whatever the header claims: it allocates nothing and
//!   reads two table entries. Each tile's bounds are checked when the tile is asked for.
//! - A tile that [`TileStream::tile`] returns lies within the stream, behind the table, is at least
//!   128 bytes long and starts on a 4-byte boundary of the tile data.
//!
//! Decisions where the format leaves room
//! - Ids 4 and 0xFE are accepted by default ([`HeaderPolicy::AnyId`]), only 4 in strict mode. Other
//!   ids are refused although their magic may match: nobody was seen to write one.
//! - Reserved bits must be 0: a stream that sets them means something this decoder does not know.
//! - Bytes after the last tile are ignored and reported by [`TileStream::trailing_bytes`].
//! - 0 tiles with a last-tile size of 0 is the empty stream.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::{DecodeError, TILE_BYTES, TILE_COMPRESSED_BYTES_MIN, TILE_COUNT_MAX};

/// Bytes of the header before the table.
const FIXED_BYTES: usize = 8;
/// The id of the open-source codec and of Microsoft's codec object; written by [`write_header`].
const ID: u8 = 4;
/// The id seen in streams made with the DirectStorage SDK. Everything else in them is the same.
const ID_SDK: u8 = 0xFE;

/// Which header ids are accepted. The second byte must be the id's complement in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderPolicy {
    /// The two ids seen in the wild: 4 and 0xFE.
    #[default]
    AnyId,
    /// Only 4, as the open-source codec does.
    Strict,
}

/// A tile stream whose header was checked. Borrows the bytes, copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct TileStream<'a> {
    /// Entry 0 is the last tile's compressed size, entry i the offset of tile i; little-endian.
    table: &'a [[u8; 4]],
    /// Tile data, cut to the end of the last tile.
    tiles: &'a [u8],
    uncompressed_bytes: u64,
    trailing_bytes: usize,
}

impl<'a> TileStream<'a> {
    /// Checks the header and the extent of the stream; tiles are checked as they are asked for.
    pub fn parse(bytes: &'a [u8], policy: HeaderPolicy) -> Result<Self, DecodeError> {
        let (header, rest) = bytes
            .split_first_chunk::<FIXED_BYTES>()
            .ok_or(DecodeError::HeaderTruncated)?;
        let (tile_count, uncompressed_bytes) = parse_fixed(header, policy)?;
        let (table, data) = rest
            .split_at_checked(tile_count * 4)
            .ok_or(DecodeError::TableTruncated)?;
        let (table, _) = table.as_chunks::<4>();
        let end = match table {
            [] => 0,
            [only] => entry(only),
            [last_bytes, .., last_start] => entry(last_start) + entry(last_bytes),
        };
        let end = usize::try_from(end).map_err(|_| DecodeError::TableOffset)?;
        let (tiles, trailing) = data.split_at_checked(end).ok_or(DecodeError::TableOffset)?;
        Ok(Self {
            table,
            tiles,
            uncompressed_bytes,
            trailing_bytes: trailing.len(),
        })
    }

    /// Bytes the whole stream decodes to.
    pub fn uncompressed_bytes(&self) -> u64 {
        self.uncompressed_bytes
    }

    /// Number of tiles.
    pub fn tile_count(&self) -> usize {
        self.table.len()
    }

    /// Bytes of header, table and tiles together: the stream without what follows it.
    pub fn compressed_bytes(&self) -> usize {
        FIXED_BYTES + self.table.len() * 4 + self.tiles.len()
    }

    /// Bytes after the last tile. They carry nothing; 0 in a well-made stream.
    pub fn trailing_bytes(&self) -> usize {
        self.trailing_bytes
    }

    /// The compressed bytes of tile `index`, its bounds checked here.
    pub fn tile(&self, index: usize) -> Result<&'a [u8], DecodeError> {
        if index >= self.table.len() {
            return Err(DecodeError::TileIndex);
        }
        let start = self.start(index);
        let end = if index + 1 < self.table.len() {
            self.start(index + 1)
        } else {
            self.tiles.len()
        };
        if !start.is_multiple_of(4) || !end.is_multiple_of(4) {
            return Err(DecodeError::TableOffset);
        }
        let tile = self.tiles.get(start..end).ok_or(DecodeError::TableOffset)?;
        if tile.len() < TILE_COMPRESSED_BYTES_MIN {
            return Err(DecodeError::TileBytes);
        }
        Ok(tile)
    }

    /// Where the output of tile `index` lies in the stream's output; empty for an index too high.
    pub fn tile_output(&self, index: usize) -> Range<u64> {
        let at = |index: usize| {
            (index as u64)
                .saturating_mul(TILE_BYTES as u64)
                .min(self.uncompressed_bytes)
        };
        at(index)..at(index.saturating_add(1))
    }

    /// Offset of tile `index` in the tile data. Saturates, so that it fails the bounds check on
    /// targets whose `usize` cannot hold it.
    fn start(&self, index: usize) -> usize {
        if index == 0 {
            0
        } else {
            usize::try_from(entry(&self.table[index])).unwrap_or(usize::MAX)
        }
    }
}

/// One table entry, wide enough to add two of them.
fn entry(bytes: &[u8; 4]) -> u64 {
    u64::from(u32::from_le_bytes(*bytes))
}

/// The 8 fixed bytes: tile count and uncompressed size.
fn parse_fixed(
    header: &[u8; FIXED_BYTES],
    policy: HeaderPolicy,
) -> Result<(usize, u64), DecodeError> {
    let [id, magic, count_low, count_high, fields @ ..] = *header;
    let id_known = id == ID || (id == ID_SDK && policy == HeaderPolicy::AnyId);
    if !id_known || magic != id ^ 0xFF {
        return Err(DecodeError::HeaderMagic);
    }
    let tile_count = u16::from_le_bytes([count_low, count_high]);
    let fields = u32::from_le_bytes(fields);
    let (size_index, last_tile_bytes, reserved) =
        (fields & 3, u64::from(fields >> 2 & 0x3_FFFF), fields >> 20);
    if size_index != 1 {
        return Err(DecodeError::HeaderTileSize);
    }
    if reserved != 0 {
        return Err(DecodeError::HeaderReserved);
    }
    let tile_bytes = TILE_BYTES as u64;
    if last_tile_bytes > tile_bytes || (tile_count == 0 && last_tile_bytes != 0) {
        return Err(DecodeError::HeaderLastTile);
    }
    let missing = if last_tile_bytes == 0 {
        0
    } else {
        tile_bytes - last_tile_bytes
    };
    Ok((
        usize::from(tile_count),
        u64::from(tile_count) * tile_bytes - missing,
    ))
}

/// Bytes that header and table take in front of `tile_count` tiles.
pub const fn header_bytes(tile_count: usize) -> usize {
    FIXED_BYTES + tile_count * 4
}

/// The header and table for tiles of these compressed sizes, in order; the tiles follow it back to
/// back. `None` when the sizes describe no stream: more than [`TILE_COUNT_MAX`] tiles, a count that
/// does not fit `uncompressed_bytes`, or offsets that do not fit 32 bits.
pub fn write_header(tile_bytes: &[u32], uncompressed_bytes: u64) -> Option<Vec<u8>> {
    let tile_count = tile_bytes.len();
    if tile_count > TILE_COUNT_MAX
        || uncompressed_bytes.div_ceil(TILE_BYTES as u64) != tile_count as u64
    {
        return None;
    }
    let last_tile_bytes = (uncompressed_bytes % TILE_BYTES as u64) as u32;
    let mut header = Vec::with_capacity(header_bytes(tile_count));
    header.extend([ID, ID ^ 0xFF]);
    header.extend((tile_count as u16).to_le_bytes());
    header.extend((1 | last_tile_bytes << 2).to_le_bytes());
    let (last, before) = match tile_bytes.split_last() {
        Some(split) => split,
        None => return Some(header),
    };
    header.extend(last.to_le_bytes());
    let mut offset = 0u32;
    for bytes in before {
        offset = offset.checked_add(*bytes)?;
        header.extend(offset.to_le_bytes());
    }
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_of_one_mebibyte_is_the_one_microsoft_writes() {
        let header = write_header(&[128; 16], 1 << 20).unwrap();
        assert_eq!(
            header[..8],
            [0x04, 0xFB, 0x10, 0x00, 0x01, 0x00, 0x00, 0x00]
        );
        assert_eq!(header.len(), header_bytes(16));
    }

    #[test]
    fn header_of_150_000_bytes_is_the_one_of_the_specification() {
        let header = write_header(&[128, 132, 136], 150_000).unwrap();
        let words: Vec<u32> = header
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect();
        assert_eq!(words, [0x0003_FB04, 0x0001_27C1, 136, 128, 260]);
    }

    #[test]
    fn what_is_written_parses_back() {
        for (sizes, bytes) in [(&[][..], 0), (&[128][..], 1), (&[132, 140][..], 131_072)] {
            let mut stream = write_header(sizes, bytes).unwrap();
            stream.resize(stream.len() + sizes.iter().sum::<u32>() as usize + 7, 0);
            let parsed = TileStream::parse(&stream, HeaderPolicy::Strict).unwrap();
            assert_eq!(parsed.uncompressed_bytes(), bytes);
            assert_eq!(parsed.trailing_bytes(), 7);
            assert_eq!(parsed.compressed_bytes() + 7, stream.len());
            let tiles: Vec<u32> = (0..parsed.tile_count())
                .map(|i| parsed.tile(i).unwrap().len() as u32)
                .collect();
            assert_eq!(tiles, sizes);
            assert_eq!(parsed.tile(sizes.len()), Err(DecodeError::TileIndex));
            assert_eq!(parsed.tile_output(sizes.len()), bytes..bytes);
        }
    }

    #[test]
    fn sizes_that_describe_no_stream_are_refused() {
        assert_eq!(write_header(&[128], 0), None);
        assert_eq!(write_header(&[128], 65_537), None);
        assert_eq!(write_header(&[u32::MAX, 128, 128], 3 * 65_536), None);
        assert_eq!(write_header(&vec![128; 65_536], 65_536 * 65_536), None);
    }
}
