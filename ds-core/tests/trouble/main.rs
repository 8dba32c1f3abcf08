//! The real backends against a hostile system: refused system calls, tight limits, files, descriptors and
//! memory that somebody takes away while requests are in flight.
//!
//! What must hold: every request completes, with the right bytes or with an error of its own; no other
//! request suffers; nothing hangs. Most bodies run in a process of their own.

mod descriptors;
mod fallback;
mod files;
mod memory;
mod rig;
mod storms;
#[path = "../support/mod.rs"]
mod support;
