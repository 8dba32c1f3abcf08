//! The tile encoder.
