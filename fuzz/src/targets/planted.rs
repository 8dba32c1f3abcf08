//! A target that is broken on purpose: an engine that does not find this finds nothing.
//!
//! `cargo xtask fuzz --self-check` expects each engine to report it and to leave the input behind.

#![forbid(unsafe_code)]

/// Panics on inputs that hold a certain byte in two certain places: reached by chance within a few thousand
/// tries, by coverage sooner.
pub fn target(data: &[u8]) {
    if data.len() >= 4 && data[0] == b'd' {
        assert!(data[2] != b's', "the planted fault, found");
    }
}
