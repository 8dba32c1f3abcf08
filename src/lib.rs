//! What the command-line tool `ds` is made of, apart from its screens: the archive format and the way it
//! streams.
//!
//! A library, so that tests and fuzz targets reach the parser ([`archive::format::parse_index`]) without the
//! tool.

#![forbid(unsafe_code)]

pub mod archive;
pub mod error;
pub mod stream;

pub use error::{Error, Result};
