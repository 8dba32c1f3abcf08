//! The targets, one file each.

#![forbid(unsafe_code)]

pub mod planted;
