//! The tool as its users run it: real processes, real files, and what they print.

#![forbid(unsafe_code)]

mod benchmarks;
mod hostile;
mod pack;
mod rig;
mod streams;
mod tells;
mod usage;
