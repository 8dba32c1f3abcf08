//! Any bytes as a tile stream: header, table, tiles.
//!
//! Beside not failing: what parses adds up, and what decodes has written every byte, which shows when two
//! decodes over different leftovers agree. Every path of the decoder must come to the same end.

#![forbid(unsafe_code)]

use ds_core::gdeflate::{
    DecodeError, Decoder, HeaderPolicy, Path, TILE_BYTES, TileStream, decompress,
};

/// A header may claim up to 4 GiB; the decoder is not at fault for what a caller agrees to allocate.
const OUTPUT_BYTES_MAX: u64 = 8 * TILE_BYTES as u64;

/// Parses, and decodes what is not too large.
pub fn target(data: &[u8]) {
    let strict = TileStream::parse(data, HeaderPolicy::Strict);
    let Ok(stream) = TileStream::parse(data, HeaderPolicy::AnyId) else {
        assert!(
            strict.is_err(),
            "strict accepts what the lenient policy refuses"
        );
        return;
    };
    let bytes = stream.uncompressed_bytes();
    assert_eq!(
        stream.compressed_bytes() + stream.trailing_bytes(),
        data.len()
    );
    assert_eq!(
        stream.tile_count() as u64,
        bytes.div_ceil(TILE_BYTES as u64)
    );
    assert!(stream.tile(stream.tile_count()).is_err());
    if bytes > OUTPUT_BYTES_MAX {
        return;
    }
    let decode = |fill: u8| {
        let mut output = vec![fill; bytes as usize];
        decompress(data, &mut output, HeaderPolicy::AnyId).map(|()| output)
    };
    let chosen = decode(0);
    assert_eq!(
        chosen,
        decode(0xa5),
        "a byte was not written, or the decoder remembers"
    );
    for path in Path::ALL {
        if let Some(mut decoder) = Decoder::with_path(path) {
            let mut output = vec![0x5a; bytes as usize];
            let result = decode_tiles(&stream, &mut decoder, &mut output).map(|()| output);
            assert_eq!(result, chosen, "{} differs", path.name());
        }
    }
}

fn decode_tiles(
    stream: &TileStream<'_>,
    decoder: &mut Decoder,
    output: &mut [u8],
) -> Result<(), DecodeError> {
    for (index, output) in output.chunks_mut(TILE_BYTES).enumerate() {
        decoder.decode_tile(stream.tile(index)?, output)?;
    }
    Ok(())
}
