//! The GPU: devices, their memory, and the decoding of tiles by compute shaders, over Vulkan.
//!
//! The only part of the crate that names Vulkan. It knows buffers, images and tiles, never files or
//! queues of requests. The loader is opened at run time: without one there is simply no device, and
//! [`GpuError`] says so.

mod batch;
mod commands;
mod copy;
pub mod decode;
mod device;
mod error;
mod fence;
mod format;
mod image;
mod image_memory;
mod image_resource;
mod instance;
mod layout;
pub mod measure;
mod memory;
pub mod oneshot;
mod placer;
mod probe;
mod resource;
mod tile_batch;
mod tiles;
mod timeline;
pub mod vendor;
mod waiting;

pub use commands::Commands;
pub use device::{BorrowedDevice, Device, DeviceOptions, QueueLock};
pub use error::GpuError;
pub(crate) use fence::FenceLink;
pub use format::{FormatError, vulkan_format};
pub use image::{ImageDesc, ImageRegion, ImageState};
pub use image_memory::Image;
pub use image_resource::{GpuImage, GpuImageCore};
pub use instance::{DeviceInfo, devices};
pub use layout::{ImageKind, LayoutError, TextureBox};
pub use memory::{Buffer, Place};
pub use placer::explain_decoding;
pub(crate) use placer::{Placer, PlacerThread};
pub use probe::{Caps, DeviceKind};
pub(crate) use resource::SharedMemory;
pub use resource::{BufferDesc, GpuBuffer, GpuBufferCore, GpuDestination, GpuDevice, GpuPlaceInfo};
pub use tiles::{TileCoordinate, TileRegionSize};

/// Why no GPU can be used here; `None` if there is one. Asked once.
pub(crate) fn unavailable() -> Option<&'static str> {
    static ANSWER: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let ask = || match devices() {
        Ok(list) if list.iter().any(|device| device.unusable.is_none()) => None,
        Ok(list) if list.is_empty() => Some("there is no Vulkan device".to_owned()),
        Ok(list) => {
            let why = |device: &DeviceInfo| {
                let why = device.unusable.as_deref().unwrap_or_default();
                format!("{} lacks {why}", device.caps.name)
            };
            Some(list.iter().map(why).collect::<Vec<_>>().join(", "))
        }
        Err(error) => Some(error.to_string()),
    };
    ANSWER.get_or_init(ask).as_deref()
}
