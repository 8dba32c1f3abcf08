//! The GPU: devices, their memory, and the decoding of tiles by compute shaders, over Vulkan.
//!
//! The only part of the crate that names Vulkan. It knows buffers, images and tiles, never files or
//! queues of requests. The loader is opened at run time: without one there is simply no device, and
//! [`GpuError`] says so.

mod commands;
mod copy;
mod device;
mod error;
mod format;
mod image;
mod image_memory;
mod instance;
mod layout;
mod memory;
mod probe;
mod tiles;

pub use commands::Commands;
pub use device::{BorrowedDevice, Device, DeviceOptions, QueueLock};
pub use error::GpuError;
pub use format::{FormatError, vulkan_format};
pub use image::{GpuImage, ImageDesc, ImageDestination, ImageRegion, ImageState};
pub use image_memory::Image;
pub use instance::{DeviceInfo, devices};
pub use layout::{ImageKind, LayoutError, TextureBox};
pub use memory::{Buffer, Place};
pub use probe::{Caps, DeviceKind};
pub use tiles::{TileCoordinate, TileRegionSize};
