//! GPU resources as destinations: where the bytes of a texture lie, and how they are copied there.

mod format;
mod image;
mod layout;
mod tiles;

pub use format::FormatError;
pub use image::{GpuImage, ImageDesc, ImageDestination, ImageRegion, ImageState};
pub use layout::{ImageKind, LayoutError, TextureBox};
pub use tiles::{TileCoordinate, TileRegionSize};
