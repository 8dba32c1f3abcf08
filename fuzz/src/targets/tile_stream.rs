//! Any bytes as a tile stream: header, table, tiles.
//!
//! Beside not failing: what parses adds up, and what decodes has written every byte, which shows when two
//! decodes over different leftovers agree.

#![forbid(unsafe_code)]

use ds_core::gdeflate::{HeaderPolicy, TILE_BYTES, TileStream, decompress};

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
    assert_eq!(
        decode(0),
        decode(0xa5),
        "a byte was not written, or the decoder remembers"
    );
}
