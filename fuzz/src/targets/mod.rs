//! The targets, one file each.

#![forbid(unsafe_code)]

pub mod archive;
pub mod archive_file;
pub mod planted;
pub mod queue_program;
pub mod request_validation;
pub mod tile_decode;
pub mod tile_encode;
pub mod tile_stream;
