//! `GpuImage`: an image that requests can name, ours or the application's.
//!
//! What requests do to it is said at [`ImageDesc`]; everything is checked when a request is enqueued.

use std::fmt;
use std::sync::Arc;

use crate::handle::shared_handle;

use super::commands::Commands;
use super::error::GpuError;
use super::image::{ImageDesc, ImageFacts, ImagePart, ImageRegion};
use super::image_memory::Image;
use super::layout::{LayoutError, TextureBox};
use super::memory::{Buffer, Place};
use super::resource::{GpuDestination, GpuDevice};

/// An image of a device, as a destination. Clones are the same image.
#[derive(Clone, Debug)]
pub struct GpuImage(Arc<GpuImageCore>);

shared_handle!(GpuImage, GpuImageCore);

/// The shared part of a [`GpuImage`]; opaque, for its address.
pub struct GpuImageCore {
    facts: ImageFacts,
    /// Ours; `None` for the application's.
    memory: Option<Image>,
    device: GpuDevice,
}

impl fmt::Debug for GpuImageCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on {}", self.facts, self.device.name())
    }
}

impl GpuDevice {
    /// Makes an image in the device's memory, for requests to fill; `desc.image` is ignored. It is in
    /// the layout `desc.after` from the start, so `desc.before` is that or UNDEFINED, and it belongs to
    /// the engine's queue family.
    ///
    /// # Errors
    /// [`GpuError::Layout`] with what is wrong with the description, [`GpuError::Unsupported`] if the
    /// device has no such images, or what it answered.
    pub fn create_image(&self, desc: &ImageDesc) -> Result<GpuImage, GpuError> {
        let keeps = desc.before == desc.after || desc.before.layout == 0;
        if !keeps || desc.before.family.is_some() || desc.after.family.is_some() {
            return Err(GpuError::Argument(
                "an image of our own is found as it was left, or its contents do not matter; and it \
                 changes no owners",
            ));
        }
        let mut memory = Image::new(self.device(), desc)?;
        let facts = ImageFacts::new(&memory.desc()).map_err(GpuError::Layout)?;
        memory.settle(&mut Commands::new(self.device())?, desc.after)?;
        Ok(GpuImage(Arc::new(GpuImageCore {
            facts,
            memory: Some(memory),
            device: self.clone(),
        })))
    }

    /// Names an image of the application's.
    ///
    /// # Errors
    /// [`GpuError::Layout`] with what is wrong with the description.
    ///
    /// # Safety
    /// `desc` describes a live image of this device as [`ImageDesc`] demands; it is bound to memory and
    /// stays so until the result is gone and every request with it has completed; and whenever a
    /// request runs, what it fills is in the layout, and belongs to the family, that `desc` says.
    pub unsafe fn import_image(&self, desc: &ImageDesc) -> Result<GpuImage, GpuError> {
        Ok(GpuImage(Arc::new(GpuImageCore {
            facts: ImageFacts::new(desc).map_err(GpuError::Layout)?,
            memory: None,
            device: self.clone(),
        })))
    }
}

impl GpuImage {
    /// The `VkImage`.
    pub fn raw_handle(&self) -> u64 {
        self.0.facts.image()
    }

    /// Its device.
    pub fn device(&self) -> &GpuDevice {
        &self.0.device
    }

    /// How many subresources it has: mips times layers.
    pub fn subresource_count(&self) -> u32 {
        self.0.facts.subresource_count()
    }

    /// The whole of `subresource`, as the box that a texture region takes.
    ///
    /// # Errors
    /// [`LayoutError::Subresource`] if the image has no such subresource.
    pub fn whole(&self, subresource: u32) -> Result<TextureBox, LayoutError> {
        self.0.facts.whole(subresource)
    }

    /// How large the payload of a region is: the end of its last row.
    ///
    /// # Errors
    /// What is wrong with the region.
    pub fn payload_bytes(&self, region: ImageRegion) -> Result<u64, LayoutError> {
        self.part(region).payload_bytes()
    }

    /// A region as a destination for a payload of `bytes` bytes: [`GpuImage::payload_bytes`], or up to
    /// so much more as padding the last row to its pitch and the end to 512 bytes adds. Whether that
    /// is so is checked with the request.
    pub fn region(&self, region: ImageRegion, bytes: u32) -> GpuDestination {
        GpuDestination::Image {
            image: self.clone(),
            region,
            bytes,
        }
    }

    /// Reads back a subresource, by a copy that this thread waits for; for tests and tools. Rows lie
    /// at multiples of 256 bytes, as in a payload; of 12-byte texels, which no such pitch divides, they
    /// may lie without padding. Images of our own only, with no request to them in flight.
    ///
    /// # Errors
    /// [`GpuError`]: there is no such subresource, the image is not ours, or the GPU failed.
    pub fn read(&self, subresource: u32) -> Result<Vec<u8>, GpuError> {
        let memory = self.0.memory.as_ref();
        let memory = memory.ok_or(GpuError::Argument("not an image of ours"))?;
        let region = ImageRegion::MultipleSubresourcesRange {
            first: subresource,
            count: 1,
        };
        let bytes = self.payload_bytes(region).map_err(GpuError::Layout)?;
        let device = self.device().device();
        let back = Buffer::new(device, Place::Readback, bytes)?;
        let mut commands = Commands::new(device)?;
        let state = self.0.facts.after();
        // SAFETY: an image of our own is in this layout from the start, every request leaves it so,
        // and none is in flight.
        unsafe { memory.download(&mut commands, subresource, state, (&back, 0)) }?;
        let mut read = vec![0; bytes as usize];
        back.read(0, &mut read)?;
        Ok(read)
    }

    /// A region of it, to be checked and copied to.
    pub(super) fn part(&self, region: ImageRegion) -> ImagePart {
        ImagePart {
            image: self.0.facts,
            region,
        }
    }
}
