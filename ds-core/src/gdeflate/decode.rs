//! The tile decoder.
