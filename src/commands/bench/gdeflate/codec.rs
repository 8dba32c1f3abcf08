//! What can be measured: encoders and decoders of single tiles, and the tiles between them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ds_core::gdeflate::encode::{Encoder, Level, TILE_BOUND};
use ds_core::gdeflate::{Decoder, Path, TILE_BYTES};
use ds_tool::{Error, Result};

use super::WHAT;

/// Whose tiles a codec decodes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Those of its own encoder.
    Own,
    /// Those of the engine's encoder, so that all decoders of the format have the same work.
    Engine,
    /// The data as it is.
    Content,
}

/// A codec under measurement. The one named [`ENGINE`] is the first of them.
pub(super) trait Codec {
    /// What people call it.
    fn name(&self) -> &str;

    /// Whose tiles it decodes.
    fn reads(&self) -> Reads;

    /// The levels of its encoder, if it has one.
    fn levels(&self) -> Option<RangeInclusive<u8>>;

    /// The level that stands where `level` (1 to 12) does among the engine's.
    fn level_like(&self, level: u8) -> u8;

    /// An encoder at a level of [`Codec::levels`].
    ///
    /// # Errors
    /// The codec's.
    fn encoder(&self, level: u8) -> Result<Box<dyn Encode>>;

    /// A decoder of these tiles.
    ///
    /// # Errors
    /// The codec's.
    fn decoder(&self, packed: &Arc<Packed>) -> Result<Box<dyn Decode>>;
}

/// Compresses tiles.
pub(super) trait Encode: Send {
    /// The tile compressed; nothing if the codec gives up.
    fn encode(&mut self, tile: &[u8]) -> Option<&[u8]>;
}

/// Decompresses the tiles it was made for.
pub(super) trait Decode: Send {
    /// Decodes a tile into exactly as many bytes as it holds; whether that worked.
    fn decode(&mut self, index: usize, output: &mut [u8]) -> bool;
}

/// Compressed tiles, end to end.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    tiles: Vec<Tile>,
}

#[derive(PartialEq, Eq)]
struct Tile {
    start: usize,
    end: usize,
    content_bytes: usize,
    /// As it is, because the encoder gave up.
    stored: bool,
}

impl Packed {
    /// Appends what an encoder made of a tile; the tile itself if that is nothing.
    pub(super) fn push(&mut self, content: &[u8], packed: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(packed.unwrap_or(content));
        self.tiles.push(Tile {
            start,
            end: self.bytes.len(),
            content_bytes: content.len(),
            stored: packed.is_none(),
        });
    }

    /// None yet, with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Packed {
        Packed {
            bytes: Vec::with_capacity(bytes),
            tiles: Vec::new(),
        }
    }

    /// Empty again, with its memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.tiles.clear();
    }

    /// A tile, if it is compressed.
    pub(super) fn compressed(&self, index: usize) -> Option<&[u8]> {
        let tile = self.tiles.get(index).filter(|tile| !tile.stored)?;
        self.bytes.get(tile.start..tile.end)
    }

    /// A tile, if it is stored as it is.
    pub(super) fn stored(&self, index: usize) -> Option<&[u8]> {
        let tile = self.tiles.get(index).filter(|tile| tile.stored)?;
        self.bytes.get(tile.start..tile.end)
    }

    /// Every tile, and the bytes of its content; a tile of no bytes where one is stored.
    #[cfg(feature = "bench-peers")]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let tile = |(index, tile): (usize, &Tile)| {
            let compressed = self.compressed(index).unwrap_or_default();
            (compressed, tile.content_bytes)
        };
        self.tiles.iter().enumerate().map(tile)
    }

    /// How many bytes all tiles take.
    pub(super) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many tiles are stored as they are.
    pub(super) fn stored_count(&self) -> usize {
        self.tiles.iter().filter(|tile| tile.stored).count()
    }
}

/// The engine's name in tables.
pub(super) const ENGINE: &str = "ds-core";
/// The codec that ratios are taken to.
pub(super) const REFERENCE: &str = "reference";

/// Everything there is to measure: the engine, the codecs that were linked in, and as a limit a plain copy.
pub(super) fn all() -> Vec<Box<dyn Codec>> {
    let mut codecs: Vec<Box<dyn Codec>> = vec![Box::new(Engine)];
    // The engine takes the best of its paths by itself; here are the others that this machine can take.
    for path in Path::ALL {
        if path != Path::best() && Decoder::with_path(path).is_some() {
            codecs.push(Box::new(OtherPath(
                path,
                format!("{ENGINE}-{}", path.name()),
            )));
        }
    }
    #[cfg(feature = "bench-peers")]
    codecs.extend(super::peers::all());
    codecs.push(Box::new(Copy));
    codecs
}

/// The engine's own codec.
struct Engine;

impl Codec for Engine {
    fn name(&self) -> &str {
        ENGINE
    }

    fn reads(&self) -> Reads {
        Reads::Own
    }

    fn levels(&self) -> Option<RangeInclusive<u8>> {
        Some(1..=12)
    }

    fn level_like(&self, level: u8) -> u8 {
        level
    }

    fn encoder(&self, level: u8) -> Result<Box<dyn Encode>> {
        let level = Level::new(level);
        let level = level.ok_or_else(|| Error::plain(WHAT, "levels are 1 to 12"))?;
        let room = Vec::with_capacity(TILE_BOUND);
        Ok(Box::new((Encoder::new(level), room)))
    }

    fn decoder(&self, packed: &Arc<Packed>) -> Result<Box<dyn Decode>> {
        Ok(Box::new((Decoder::new(), Arc::clone(packed))))
    }
}

/// The engine's decoder on a path that is not the best, and its name.
struct OtherPath(Path, String);

impl Codec for OtherPath {
    fn name(&self) -> &str {
        &self.1
    }

    fn reads(&self) -> Reads {
        Reads::Engine
    }

    fn levels(&self) -> Option<RangeInclusive<u8>> {
        None
    }

    fn level_like(&self, level: u8) -> u8 {
        level
    }

    fn encoder(&self, _: u8) -> Result<Box<dyn Encode>> {
        Err(Error::plain(WHAT, "a decoder's path compresses nothing"))
    }

    fn decoder(&self, packed: &Arc<Packed>) -> Result<Box<dyn Decode>> {
        let decoder = Decoder::with_path(self.0);
        let decoder = decoder.ok_or_else(|| Error::plain(WHAT, "this machine lacks the path"))?;
        Ok(Box::new((decoder, Arc::clone(packed))))
    }
}

impl Encode for (Encoder, Vec<u8>) {
    fn encode(&mut self, tile: &[u8]) -> Option<&[u8]> {
        let (encoder, room) = self;
        room.clear();
        encoder.encode_tile(tile, room).ok()?;
        Some(room)
    }
}

impl Decode for (Decoder, Arc<Packed>) {
    fn decode(&mut self, index: usize, output: &mut [u8]) -> bool {
        let (decoder, packed) = self;
        let tile = packed.compressed(index);
        tile.is_some_and(|tile| decoder.decode_tile(tile, output).is_ok())
    }
}

/// The limit: nothing decodes faster than it is copied.
struct Copy;

impl Codec for Copy {
    fn name(&self) -> &str {
        "memcpy"
    }

    fn reads(&self) -> Reads {
        Reads::Content
    }

    fn levels(&self) -> Option<RangeInclusive<u8>> {
        None
    }

    fn level_like(&self, level: u8) -> u8 {
        level
    }

    fn encoder(&self, _: u8) -> Result<Box<dyn Encode>> {
        Err(Error::plain(WHAT, "a copy compresses nothing"))
    }

    fn decoder(&self, packed: &Arc<Packed>) -> Result<Box<dyn Decode>> {
        Ok(Box::new(Copied(Arc::clone(packed))))
    }
}

struct Copied(Arc<Packed>);

impl Decode for Copied {
    fn decode(&mut self, index: usize, output: &mut [u8]) -> bool {
        let tile = self.0.compressed(index);
        let tile = tile.filter(|tile| tile.len() == output.len());
        tile.map(|tile| output.copy_from_slice(tile)).is_some()
    }
}

/// The tiles of some data.
pub(super) fn tiles(data: &[u8]) -> std::slice::Chunks<'_, u8> {
    data.chunks(TILE_BYTES)
}
