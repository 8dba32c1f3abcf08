//! The C ABI: `libds_runtime.so`, `libds_runtime.a`, and through cbindgen `include/ds_runtime.h`.
//!
//! Owns the names, layouts and numbers that C sees, and no policy: each function checks its pointers
//! (`ffi.rs`), translates, and calls `ds-core`. The documentation of what is exported is the C manual, so it
//! speaks to C.
//!
//! Handles come in two kinds. A runtime, a queue and a codec are boxes with one owner, made and destroyed.
//! Files, status arrays, fences, events and what a GPU has are shared with whatever is enqueued: their handle
//! is a counted reference, and its address is the one that the engine's error records carry.

#![allow(non_camel_case_types)] // Types are named as they are in C.
#![allow(clippy::missing_safety_doc)] // One contract for all: the top of `ffi.rs`, and the header's.

mod ffi;
mod request;

// The blank lines keep rustfmt from sorting: this is the order of the header (see the root build.rs).

pub mod result;

pub mod types;

pub mod error;

pub mod config;

pub mod runtime;

pub mod file;

pub mod status;

pub mod fence;

pub mod event;

pub mod queue;

pub mod record;

pub mod stats;

pub mod custom;

pub mod copies;

pub mod codec;

#[cfg(feature = "vulkan")]
pub mod gpu;
