//! Any bytes as one raw tile, decoded into any number of bytes.
//!
//! The input is read as a stream of one tile whose header nobody checks: twelve bytes, of which the last
//! tile's size is used, then the tile. So streams serve as a corpus, and no mutation is lost on the header.

#![forbid(unsafe_code)]

use ds_core::gdeflate::{Decoder, TILE_BYTES};

/// Decodes twice, the second time with a decoder that has just seen another tile.
pub fn target(data: &[u8]) {
    let Some((header, tile)) = data.split_first_chunk::<12>() else {
        return;
    };
    let last_tile_bytes =
        (u32::from_le_bytes([header[4], header[5], header[6], header[7]]) >> 2) as usize;
    let output_bytes = last_tile_bytes % (TILE_BYTES + 1);
    let tile = &tile[..tile.len() & !3];

    let mut used = Decoder::new();
    let _ = used.decode_tile(&tile[..tile.len() / 8 * 4], &mut vec![0; TILE_BYTES]);
    let first = decode(&mut Decoder::new(), tile, vec![0; output_bytes]);
    let second = decode(&mut used, tile, vec![0xa5; output_bytes]);
    assert_eq!(
        first, second,
        "a byte was not written, or the decoder remembers"
    );
}

fn decode(
    decoder: &mut Decoder,
    tile: &[u8],
    mut output: Vec<u8>,
) -> Result<Vec<u8>, ds_core::gdeflate::DecodeError> {
    decoder.decode_tile(tile, &mut output).map(|()| output)
}
