//! The GPU on whatever Vulkan device there is: lavapipe in CI, a real GPU by hand.
//!
//! Every device here runs under the validation layers where they are installed, and any message of
//! theirs fails the test. Without a device a test prints a line that begins with `SKIPPED:`.
#![cfg(feature = "vulkan")]

mod decode;
mod device;
mod fences;
mod image_requests;
mod images;
mod model;
mod rig;
mod uploads;
