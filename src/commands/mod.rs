//! The commands of `ds`, one a file: each has its `Arguments` and a `run`.

pub(crate) mod pack;
pub(crate) mod unpack;
pub(crate) mod verify;
