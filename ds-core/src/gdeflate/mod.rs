//! GDeflate: tile streams, tiles, decoder, encoder. Uses nothing else of the crate.
//!
//! A *tile stream* is a header, a table and tiles back to back ([`stream`]). A *tile* holds at most
//! [`TILE_BYTES`] bytes of output, depends on no other tile, and spreads its bits over 32 *lanes*
//! ([`decode`]). [`codec`] runs whole streams over several threads.
//!
//! Promises
//! - Streams are hostile: every size, offset, code and distance is checked. Bad input is a
//!   [`DecodeError`], never a panic, a hang, or a byte outside the output slice.
//! - Success means that every byte of the output was written. On failure the output's bytes are
//!   unspecified, within its bounds.
//! - Decoding allocates nothing but the [`Decoder`]'s own scratch, whatever a header claims.
//!
//! The format has no checksum: damage that still decodes to the right size goes unnoticed here.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod codec;
pub mod decode;
pub mod encode;
pub mod error;
mod handout;
mod huffman;
mod lanes;
mod output;
mod path;
mod sequences;
pub mod stream;

pub use codec::{Codec, CodecError, Spawning};
pub use decode::{Decoder, decompress};
pub use error::DecodeError;
pub use path::Path;
pub use stream::{HeaderPolicy, TileStream, header_bytes, write_header};

/// Output bytes of a full tile; only the last tile of a stream may have fewer.
pub const TILE_BYTES: usize = 65_536;

/// The most tiles one stream can hold: its count is 16 bits wide.
pub const TILE_COUNT_MAX: usize = 65_535;

/// Lanes of a tile: independent bit streams that take turns.
pub const LANES: usize = 32;

/// Compressed bytes of a tile that are looked at: twice what it can hold, where no encoder needs two percent
/// more. What is behind them is padding, or the tile is damaged. So a tile of nothing but empty blocks takes
/// bounded time, which matters where it is a GPU's.
pub const TILE_COMPRESSED_BYTES_MAX: usize = 2 * TILE_BYTES;

/// The smallest possible tile: every lane reads one 32-bit word before anything else.
pub const TILE_COMPRESSED_BYTES_MIN: usize = LANES * 4;
