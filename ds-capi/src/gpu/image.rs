//! `ds_gpu_image`: an image of a device, ours or the application's.

use std::ffi::c_void;

use ds_core::gpu::{GpuDevice, GpuError, GpuImage, ImageDesc, ImageKind, ImageRegion, ImageState};

use super::{family, fill};
use crate::ffi::{self, Failure, Growing, Shared};
use crate::result::ds_result;
use crate::types::*;

/// An image of a GPU: a counted reference. Opaque.
pub struct ds_gpu_image {
    _opaque: (),
}

impl Shared for GpuImage {
    type Raw = ds_gpu_image;
}

/// An image, and how requests find and leave it.
///
/// The image has VK_IMAGE_TILING_OPTIMAL, one sample, VK_IMAGE_USAGE_TRANSFER_DST_BIT and a colour format
/// with one plane. A request finds what it fills in layout_before and leaves it in layout_after. With
/// VK_IMAGE_LAYOUT_UNDEFINED before it must fill whole subresources. A payload is laid out as Direct3D 12's
/// copyable footprints: rows at multiples of 256 bytes, subresources at multiples of 512, the last row not
/// padded; tiles are 65536 bytes each.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ds_gpu_image_desc {
    /// sizeof(ds_gpu_image_desc).
    pub struct_size: u32,
    /// The VkImageType: 0, 1 or 2 for 1D, 2D or 3D.
    pub image_type: u32,
    /// The VkImage; ignored by ds_gpu_image_create.
    pub image: u64,
    /// The VkFormat.
    pub format: i32,
    /// Width in texels.
    pub width: u32,
    /// Height in texels; 1 for a 1D image.
    pub height: u32,
    /// Depth in texels; 1 unless the image is 3D.
    pub depth: u32,
    /// Mip levels.
    pub mip_levels: u32,
    /// Array layers.
    pub array_layers: u32,
    /// The VkImageLayout that a request finds.
    pub layout_before: i32,
    /// The VkImageLayout that it leaves.
    pub layout_after: i32,
    /// DS_GPU_FAMILY(n) of the family n that has released what is filled to ours, 0 for none: from
    /// layout_before to VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL.
    pub family_before: u32,
    /// DS_GPU_FAMILY(n) of the family n that it is released to, 0 for none: from
    /// VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL to layout_after.
    pub family_after: u32,
}

const _: () = assert!(size_of::<ds_gpu_image_desc>() == 56);

// SAFETY: begins with a `u32`; the size leaves no padding; integers take any bytes.
unsafe impl Growing for ds_gpu_image_desc {
    const VERSIONS_BYTES: &'static [usize] = &[56];
}

impl ds_gpu_image_desc {
    fn to_core(self) -> Result<ImageDesc, Failure> {
        let kind = match self.image_type {
            0 => ImageKind::D1,
            1 => ImageKind::D2,
            2 => ImageKind::D3,
            _ => return Err(Failure::INVALID),
        };
        Ok(ImageDesc {
            image: self.image,
            kind,
            format: self.format,
            width: self.width,
            height: self.height,
            depth: self.depth,
            mip_levels: self.mip_levels,
            array_layers: self.array_layers,
            before: ImageState {
                layout: self.layout_before,
                family: family(self.family_before),
            },
            after: ImageState {
                layout: self.layout_after,
                family: family(self.family_after),
            },
        })
    }
}

/// Makes an image in the device's memory. It is in layout_after from the start; layout_before is that or
/// VK_IMAGE_LAYOUT_UNDEFINED, and both families are 0.
///
/// On success `*out` is a reference that ds_gpu_image_release gives back; else NULL. Errors:
/// DS_E_INVALIDARG for NULL, a wrong struct_size or a description without meaning;
/// DS_E_INVALID_DESTINATION_TYPE if the device has no such images; DS_E_OUTOFMEMORY. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_create(
    device: *mut ds_gpu_device,
    desc: *const ds_gpu_image_desc,
    out: *mut *mut ds_gpu_image,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let desc = unsafe { ffi::sized(desc) };
    out.share(|| {
        let desc = desc?.ok_or(Failure::INVALID)?.to_core()?;
        Ok(device.ok_or(Failure::INVALID)?.create_image(&desc)?)
    })
}

/// Names an image of the application's, which must be of this device and bound to memory, and stay so until
/// the last reference is given back and every request with it has completed. Whenever a request runs, what it
/// fills is in the layout, and belongs to the family, that `desc` says.
///
/// Ownership and errors as for ds_gpu_image_create. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_import(
    device: *mut ds_gpu_device,
    desc: *const ds_gpu_image_desc,
    out: *mut *mut ds_gpu_image,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let device = unsafe { ffi::shared::<GpuDevice>(device) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let desc = unsafe { ffi::sized(desc) };
    out.share(|| {
        let desc = desc?.ok_or(Failure::INVALID)?.to_core()?;
        // SAFETY: promised by the caller, as the function says.
        Ok(unsafe { device.ok_or(Failure::INVALID)?.import_image(&desc) }?)
    })
}

/// The VkImage; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_handle(image: *mut ds_gpu_image) -> u64 {
    // SAFETY: promised by the caller.
    let image = unsafe { ffi::shared::<GpuImage>(image) };
    image.map_or(0, |image| image.raw_handle())
}

/// How many bytes fill `num_subresources` subresources from `first_subresource`.
///
/// Errors: DS_E_INVALIDARG for NULL, and for subresources that the image does not have; `*out` is 0 then. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_payload_size(
    image: *mut ds_gpu_image,
    first_subresource: u32,
    num_subresources: u32,
    out: *mut u64,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let image = unsafe { ffi::shared::<GpuImage>(image) };
    out.answer(0, || {
        let region = ImageRegion::MultipleSubresourcesRange {
            first: first_subresource,
            count: num_subresources,
        };
        let bytes = image.ok_or(Failure::INVALID)?.payload_bytes(region);
        Ok(bytes.map_err(GpuError::Layout)?)
    })
}

/// Reads back a subresource, and waits for it: for tests and tools, with images that ds_gpu_image_create made
/// and no request in flight. `size` is ds_gpu_image_payload_size of that subresource.
///
/// Errors: DS_E_INVALIDARG for NULL, another size, or an imported image; DS_E_OUTOFMEMORY; DS_E_DEVICE_LOST.
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_read(
    image: *mut ds_gpu_image,
    subresource: u32,
    destination: *mut c_void,
    size: usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let image = unsafe { ffi::shared::<GpuImage>(image) };
    // SAFETY: promised by the caller.
    let place = unsafe { ffi::array_out(destination.cast::<u8>(), size) };
    ffi::result(|| {
        let bytes = image.ok_or(Failure::INVALID)?.read(subresource)?;
        let place = place?;
        if place.len() != bytes.len() {
            return Err(Failure::INVALID);
        }
        fill(place, &bytes);
        Ok(())
    })
}

/// Gives a reference back; NULL does nothing. Requests keep the image for themselves. Any thread, but no
/// other call with this reference may be running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_gpu_image_release(image: *mut ds_gpu_image) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<GpuImage>(image) };
}
