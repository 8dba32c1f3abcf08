//! What the suites against real trouble share: known contents, guarded memory, processes of their own, and
//! the system calls that make the trouble.

#![allow(dead_code, reason = "no suite uses all of it")]

pub(crate) mod child;
pub(crate) mod contents;
pub(crate) mod kernel;
