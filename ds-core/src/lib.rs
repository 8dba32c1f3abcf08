//! The engine of ds-runtime.

pub mod gdeflate;
