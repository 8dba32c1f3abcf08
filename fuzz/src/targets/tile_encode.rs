//! Any bytes encoded as one tile, and decoded again.
//!
//! Must give back the same bytes, at every level, within the size the encoder promises; and the tile must be
//! the same on every path.

#![forbid(unsafe_code)]

use ds_core::gdeflate::encode::{Encoder, Level};
use ds_core::gdeflate::{Decoder, Path, TILE_BYTES, TILE_COMPRESSED_BYTES_MIN};

/// The first byte chooses the level, the rest is the tile.
pub fn target(data: &[u8]) {
    let Some((&first, input)) = data.split_first() else {
        return;
    };
    let level = Level::new(first % 12 + 1).expect("1 to 12 are levels");
    let mut tile = Vec::new();
    if Encoder::new(level).encode_tile(input, &mut tile).is_err() {
        assert!(
            input.is_empty() || input.len() > TILE_BYTES,
            "a tile of a good size was refused"
        );
        return;
    }
    let mut portable = Vec::new();
    let encoded = Encoder::with_path(level, Path::Portable).encode_tile(input, &mut portable);
    assert_eq!(encoded, Ok(()));
    assert!(tile == portable, "level {}: paths differ", level.get());
    assert!(tile.len() >= TILE_COMPRESSED_BYTES_MIN && tile.len().is_multiple_of(4));
    let mut output = vec![0; input.len()];
    let decoded = Decoder::new().decode_tile(&tile, &mut output);
    assert_eq!(decoded, Ok(()), "level {}", level.get());
    assert!(
        output == input,
        "level {} gives other bytes back",
        level.get()
    );
}
