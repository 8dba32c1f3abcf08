//! `.dspk`, the archive of `ds`: a folder in one file, in chunks that the engine's queues read and
//! decompress.
//!
//! [`mod@format`] knows the bytes and checks them, [`mod@write`] makes archives, [`read`] opens them,
//! [`tree`] lists what is to be packed, and [`extract`] puts files back. The format is described in
//! `docs/archive-format.md`.

pub mod extract;
pub mod format;
pub mod read;
pub mod tree;
pub mod write;
