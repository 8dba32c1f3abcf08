//! The GPU: devices, their memory, and the decoding of tiles by compute shaders, over Vulkan.
//!
//! The only part of the crate that names Vulkan. It knows buffers and tiles, never files or queues
//! of requests. The loader is opened at run time: without one there is simply no device, and
//! [`GpuError`] says so.

mod commands;
pub mod decode;
mod device;
mod error;
mod instance;
pub mod measure;
mod memory;
pub mod oneshot;
mod probe;
pub mod vendor;

pub use commands::Commands;
pub use device::{BorrowedDevice, Device, DeviceOptions, QueueLock};
pub use error::GpuError;
pub use instance::{DeviceInfo, devices};
pub use memory::{Buffer, Place};
pub use probe::{Caps, DeviceKind};
