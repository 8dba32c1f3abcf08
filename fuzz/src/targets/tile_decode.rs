//! Any bytes as one raw tile, decoded into any number of bytes, on every path of the decoder.
//!
//! The input is read as a stream of one tile whose header nobody checks: twelve bytes, of which the last
//! tile's size is used, then the tile. So streams serve as a corpus, and no mutation is lost on the header.

#![forbid(unsafe_code)]

use ds_core::gdeflate::{DecodeError, Decoder, Path, TILE_BYTES};

/// Decodes twice on each path, the second time with a decoder that has just seen another tile. All results
/// must be that of the portable path.
pub fn target(data: &[u8]) {
    let Some((header, tile)) = data.split_first_chunk::<12>() else {
        return;
    };
    let last_tile_bytes =
        (u32::from_le_bytes([header[4], header[5], header[6], header[7]]) >> 2) as usize;
    let output_bytes = last_tile_bytes % (TILE_BYTES + 1);
    let tile = &tile[..tile.len() & !3];

    let mut portable = None;
    for path in Path::ALL {
        let Some(mut used) = Decoder::with_path(path) else {
            continue;
        };
        let _ = used.decode_tile(&tile[..tile.len() / 8 * 4], &mut vec![0; TILE_BYTES]);
        let mut fresh = Decoder::with_path(path).expect("it was there");
        let first = decode(&mut fresh, tile, vec![0; output_bytes]);
        let second = decode(&mut used, tile, vec![0xa5; output_bytes]);
        let name = path.name();
        assert_eq!(
            first, second,
            "{name}: a byte was not written, or the decoder remembers"
        );
        let portable = portable.get_or_insert_with(|| first.clone());
        assert_eq!(*portable, first, "{name} differs from the portable path");
    }
}

fn decode(decoder: &mut Decoder, tile: &[u8], mut output: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    decoder.decode_tile(tile, &mut output).map(|()| output)
}
