//! Other codecs behind one interface, one 64 KiB tile at a time, for `ds bench gdeflate` to compare with.
//!
//! A crate of its own so that none of them becomes part of what ships: the tool names it only under its
//! feature `bench-peers`, which is off unless asked for.
//!
//! Promises
//! - Every [`Encoder`] and [`Decoder`] keeps its memory from tile to tile, as a program that cares about
//!   speed would: nothing is allocated while it works.
//! - No bytes can make a decoder leave the memory it was given. The reference codec does not check its input,
//!   so it only gets tiles that the engine's own decoder, which does, has accepted.

mod libdeflate;
mod reference;
mod zlib;
mod zstd;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bytes of a tile, but for a shorter last one.
pub const TILE_BYTES: usize = ds_core::gdeflate::TILE_BYTES;

/// More than any of the codecs makes of a tile.
const ROOM_BYTES: usize = 2 * TILE_BYTES;
/// Zeros behind the last tile: the reference reads a few bytes past a tile's end.
const SLACK_BYTES: usize = 4096;

/// A codec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// The public GDeflate reference, through the crate gdeflate-sys.
    Reference,
    /// libdeflate: raw DEFLATE.
    Libdeflate,
    /// zlib-rs: raw DEFLATE with a 32 KiB window.
    ZlibRs,
    /// Zstandard: one frame a tile, without a checksum.
    Zstd,
}

impl Peer {
    /// All of them, the reference first.
    pub const ALL: [Peer; 4] = [Peer::Reference, Peer::Libdeflate, Peer::ZlibRs, Peer::Zstd];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Reference => "reference",
            Peer::Libdeflate => "libdeflate",
            Peer::ZlibRs => "zlib-rs",
            Peer::Zstd => "zstd",
        }
    }

    /// Whether it reads and writes GDeflate, like the engine.
    pub fn is_gdeflate(self) -> bool {
        self == Peer::Reference
    }

    /// The levels that compress, weakest first.
    pub fn levels(self) -> RangeInclusive<u8> {
        match self {
            Peer::Reference | Peer::Libdeflate => 1..=12,
            Peer::ZlibRs => 1..=9,
            Peer::Zstd => 1..=19,
        }
    }

    /// The level that stands where `level` (1 to 12) does among the engine's: the same number for those that
    /// count alike, and in proportion for zstd.
    pub fn level_like(self, level: u8) -> u8 {
        let level = level.clamp(1, 12);
        match self {
            Peer::Reference | Peer::Libdeflate => level,
            Peer::ZlibRs => level.min(9),
            Peer::Zstd => 1 + ((level - 1) * 18 + 5) / 11,
        }
    }

    /// An encoder.
    ///
    /// # Errors
    /// No memory, or a level out of [`Peer::levels`].
    pub fn encoder(self, level: u8) -> Result<Encoder, Error> {
        if !self.levels().contains(&level) {
            return Err(Error(format!("{} has no level {level}", self.name())));
        }
        let with = match self {
            Peer::Reference => With::Reference(reference::Compressor::new(level)?),
            Peer::Libdeflate => With::Libdeflate(libdeflate::Compressor::new(level)?),
            Peer::ZlibRs => With::ZlibRs(zlib::Compressor::new(level)),
            Peer::Zstd => With::Zstd(zstd::Compressor::new(level)?),
        };
        Ok(Encoder {
            with,
            room: vec![0; ROOM_BYTES],
        })
    }

    /// A decoder of these tiles, which its own encoder made, or for the reference any GDeflate encoder.
    ///
    /// # Errors
    /// No memory, or for the reference a tile that is not a valid one.
    pub fn decoder(self, tiles: &Arc<Tiles>) -> Result<Decoder, Error> {
        let from = match self {
            Peer::Reference => {
                tiles.check_gdeflate()?;
                From::Reference(reference::Decompressor::new()?)
            }
            Peer::Libdeflate => From::Libdeflate(libdeflate::Decompressor::new()?),
            Peer::ZlibRs => From::ZlibRs(zlib::Decompressor::new()),
            Peer::Zstd => From::Zstd(zstd::Decompressor::new()?),
        };
        Ok(Decoder {
            from,
            tiles: Arc::clone(tiles),
        })
    }
}

/// Compressed tiles, end to end.
pub struct Tiles {
    bytes: Vec<u8>,
    tiles: Vec<Tile>,
}

struct Tile {
    start: usize,
    end: usize,
    content_bytes: usize,
}

impl Tiles {
    /// From the compressed tiles and the bytes of their contents, in order. A tile of no bytes holds a place.
    pub fn new<'a>(tiles: impl IntoIterator<Item = (&'a [u8], usize)>) -> Tiles {
        let mut all = Tiles {
            bytes: Vec::new(),
            tiles: Vec::new(),
        };
        for (tile, content_bytes) in tiles {
            let start = all.bytes.len();
            all.bytes.extend_from_slice(tile);
            let end = all.bytes.len();
            all.tiles.push(Tile {
                start,
                end,
                content_bytes,
            });
        }
        all.bytes.resize(all.bytes.len() + SLACK_BYTES, 0);
        all
    }

    /// The tile's bytes, and those of its content.
    fn get(&self, index: usize) -> Option<(&[u8], usize)> {
        let tile = self.tiles.get(index)?;
        Some((&self.bytes[tile.start..tile.end], tile.content_bytes))
    }

    /// That every tile which is there is a GDeflate tile of that content's size.
    fn check_gdeflate(&self) -> Result<(), Error> {
        let mut decoder = ds_core::gdeflate::Decoder::new();
        let mut output = vec![0; TILE_BYTES];
        for (index, tile) in self.tiles.iter().enumerate() {
            let bytes = &self.bytes[tile.start..tile.end];
            let room = output.get_mut(..tile.content_bytes);
            let room = room.ok_or_else(|| Error(format!("tile {index} is too large")))?;
            if bytes.is_empty() {
                continue;
            }
            let decoded = decoder.decode_tile(bytes, room);
            decoded.map_err(|why| Error(format!("tile {index} is no GDeflate tile: {why}")))?;
        }
        Ok(())
    }
}

/// Compresses tiles with one codec at one level.
pub struct Encoder {
    with: With,
    room: Vec<u8>,
}

enum With {
    Reference(reference::Compressor),
    Libdeflate(libdeflate::Compressor),
    ZlibRs(zlib::Compressor),
    Zstd(zstd::Compressor),
}

impl Encoder {
    /// The tile compressed; nothing if the codec gives up, as the reference does on some noise, or if `tile`
    /// does not have 1 to [`TILE_BYTES`] bytes.
    pub fn encode(&mut self, tile: &[u8]) -> Option<&[u8]> {
        if tile.is_empty() || tile.len() > TILE_BYTES {
            return None;
        }
        let bytes = match &mut self.with {
            With::Reference(with) => with.tile(tile, &mut self.room),
            With::Libdeflate(with) => with.tile(tile, &mut self.room),
            With::ZlibRs(with) => with.tile(tile, &mut self.room),
            With::Zstd(with) => with.tile(tile, &mut self.room),
        }?;
        self.room.get(..bytes)
    }
}

/// Decompresses the tiles it was made for.
pub struct Decoder {
    from: From,
    tiles: Arc<Tiles>,
}

enum From {
    Reference(reference::Decompressor),
    Libdeflate(libdeflate::Decompressor),
    ZlibRs(zlib::Decompressor),
    Zstd(zstd::Decompressor),
}

impl Decoder {
    /// Decodes the tile `index` into `output`, which has exactly its content's bytes; whether that worked.
    pub fn decode(&mut self, index: usize, output: &mut [u8]) -> bool {
        let Some((tile, content_bytes)) = self.tiles.get(index) else {
            return false;
        };
        if tile.is_empty() || output.len() != content_bytes {
            return false;
        }
        match &mut self.from {
            // What `reference::Decompressor` asks was checked when this decoder was made: the tile is valid
            // and makes `content_bytes`, and there is slack behind it.
            From::Reference(from) => from.tile(tile, output),
            From::Libdeflate(from) => from.tile(tile, output),
            From::ZlibRs(from) => from.tile(tile, output),
            From::Zstd(from) => from.tile(tile, output),
        }
    }
}

/// Why a codec is not to be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words, a run and noise: compresses, but not to nothing.
    fn content(bytes: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
            state >> 24
        };
        (0..bytes)
            .map(|at| match at / 1000 % 3 {
                0 => b"tile lane round "[at % 16],
                1 => (next() % 12) as u8,
                _ => next() as u8,
            })
            .collect()
    }

    #[test]
    fn every_codec_gives_back_what_it_took_at_every_level() {
        let content = content(TILE_BYTES + 777);
        for peer in Peer::ALL {
            for level in peer.levels() {
                let mut encoder = peer.encoder(level).expect("an encoder");
                let packed: Vec<(Vec<u8>, usize)> = content
                    .chunks(TILE_BYTES)
                    .map(|tile| {
                        let packed = encoder.encode(tile).expect("it compresses");
                        (packed.to_vec(), tile.len())
                    })
                    .collect();
                assert!(packed[0].0.len() < TILE_BYTES / 4 * 3, "{peer:?} {level}");
                let tiles = Tiles::new(packed.iter().map(|(tile, bytes)| (&tile[..], *bytes)));
                let mut decoder = peer.decoder(&Arc::new(tiles)).expect("a decoder");
                for (index, tile) in content.chunks(TILE_BYTES).enumerate() {
                    let mut output = vec![0xEE; tile.len()];
                    assert!(decoder.decode(index, &mut output), "{peer:?} {level}");
                    assert!(output == tile, "{peer:?} {level}");
                    assert!(!decoder.decode(index, &mut output[1..]), "too small");
                }
                assert!(!decoder.decode(2, &mut [0; 777]), "there are two tiles");
            }
        }
    }

    #[test]
    fn levels_correspond_and_others_are_refused() {
        for peer in Peer::ALL {
            let (first, last) = (*peer.levels().start(), *peer.levels().end());
            assert_eq!([peer.level_like(1), peer.level_like(12)], [first, last]);
            assert!((1..12).all(|level| peer.level_like(level) <= peer.level_like(level + 1)));
            for level in [0, last + 1] {
                assert!(peer.encoder(level).is_err(), "{peer:?} {level}");
            }
        }
    }

    #[test]
    fn damage_is_an_answer() {
        for peer in Peer::ALL {
            let damaged = [0xFF; 300];
            let tiles = Arc::new(Tiles::new([(&damaged[..], 1000)]));
            match peer.decoder(&tiles) {
                Ok(mut decoder) => assert!(!decoder.decode(0, &mut [0; 1000]), "{peer:?}"),
                Err(why) => assert!(why.to_string().contains("tile 0"), "{peer:?}: {why}"),
            }
            let mut encoder = peer.encoder(1).expect("an encoder");
            assert!(encoder.encode(&[]).is_none() && encoder.encode(&[0; 65_537]).is_none());
        }
    }
}
