//! The commands of `ds`, one a file: each has its `Arguments` and a `run`.

pub(crate) mod bench;
pub(crate) mod codec;
pub(crate) mod demo;
#[cfg(feature = "vulkan")]
pub(crate) mod demo_gpu;
pub(crate) mod info;
pub(crate) mod info_gpu;
pub(crate) mod inspect;
pub(crate) mod pack;
pub(crate) mod unpack;
pub(crate) mod verify;
