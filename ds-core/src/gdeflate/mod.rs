//! GDeflate: tile streams, tiles, decoder, encoder. Uses nothing else of the crate.

pub mod decode;
pub mod encode;
