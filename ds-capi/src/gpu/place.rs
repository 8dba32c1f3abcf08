//! The members of a request that name a part of a GPU's resource, to the engine's, and back for error
//! records.

use ds_core::gpu::{
    GpuBuffer, GpuDestination, GpuImage, GpuPlaceInfo, ImageRegion, TextureBox, TileCoordinate,
    TileRegionSize,
};

use crate::ffi;
use crate::types::*;

/// The GPU destination that a caller means; `None` for a NULL resource or another type. `payload` is the size
/// of what an image gets.
///
/// # Safety
/// The resource is NULL or a `ds_gpu_buffer` for a buffer and a `ds_gpu_image` for the others.
pub(crate) unsafe fn destination(
    to_type: ds_destination_type,
    destination: &ds_destination,
    payload: u32,
) -> Option<GpuDestination> {
    // SAFETY: every member for a GPU begins with the resource, and any bytes make a pointer.
    let resource = unsafe { destination.buffer }.resource;
    if to_type == DS_DESTINATION_BUFFER {
        // SAFETY: the type says that this member was filled; it takes any bytes.
        let to = unsafe { destination.buffer };
        // SAFETY: passed on to the caller.
        let buffer = unsafe { ffi::shared::<GpuBuffer>(resource.cast()) }?;
        return Some(buffer.range(to.offset, to.size));
    }
    // SAFETY: passed on to the caller.
    let region = unsafe { region(to_type, destination) }?;
    // SAFETY: passed on to the caller.
    let image = unsafe { ffi::shared::<GpuImage>(resource.cast()) }?;
    Some(image.region(region, payload))
}

/// The part of a buffer that a request reads; `None` for a NULL resource.
///
/// # Safety
/// The type says that `source.buffer` was filled; its resource is NULL or a `ds_gpu_buffer`.
pub(crate) unsafe fn source(source: &ds_source) -> Option<GpuDestination> {
    // SAFETY: it was filled, and takes any bytes.
    let from = unsafe { source.buffer };
    // SAFETY: passed on to the caller.
    let buffer = unsafe { ffi::shared::<GpuBuffer>(from.resource.cast()) }?;
    Some(buffer.range(from.offset, from.size))
}

/// # Safety
/// None: every member takes any bytes.
unsafe fn region(
    to_type: ds_destination_type,
    destination: &ds_destination,
) -> Option<ImageRegion> {
    Some(match to_type {
        DS_DESTINATION_TEXTURE_REGION => {
            // SAFETY: the type says that this member was filled; it takes any bytes.
            let to = unsafe { destination.texture };
            let ds_box {
                left,
                top,
                front,
                right,
                bottom,
                back,
            } = to.region;
            ImageRegion::Texture {
                subresource: to.subresource_index,
                region: TextureBox {
                    left,
                    top,
                    front,
                    right,
                    bottom,
                    back,
                },
            }
        }
        DS_DESTINATION_MULTIPLE_SUBRESOURCES => {
            // SAFETY: as above.
            let to = unsafe { destination.multiple_subresources };
            ImageRegion::MultipleSubresources {
                first: to.first_subresource,
            }
        }
        DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE => {
            // SAFETY: as above.
            let to = unsafe { destination.multiple_subresources_range };
            ImageRegion::MultipleSubresourcesRange {
                first: to.first_subresource,
                count: to.num_subresources,
            }
        }
        DS_DESTINATION_TILES => {
            // SAFETY: as above.
            let to = unsafe { destination.tiles };
            let extent = [to.width, to.height.into(), to.depth.into()];
            ImageRegion::Tiles {
                start: TileCoordinate {
                    x: to.start_x,
                    y: to.start_y,
                    z: to.start_z,
                    subresource: to.start_subresource,
                },
                // A box of another number of tiles is no region, which validation says.
                size: TileRegionSize::new(to.num_tiles, to.use_box != 0, extent)
                    .unwrap_or(TileRegionSize::Count(0)),
            }
        }
        _ => return None,
    })
}

/// A source as error records show it: only buffers are.
pub(crate) fn source_of(place: &GpuPlaceInfo) -> Option<ds_source_buffer> {
    match *place {
        GpuPlaceInfo::Buffer { raw, offset, bytes } => Some(ds_source_buffer {
            resource: std::ptr::without_provenance_mut(raw),
            offset,
            size: bytes,
        }),
        GpuPlaceInfo::Image { .. } => None,
    }
}

/// A destination as error records show it.
pub(crate) fn destination_of(place: &GpuPlaceInfo) -> (ds_destination_type, ds_destination) {
    let none = crate::record::DESTINATION_NONE;
    let resource = |raw: usize| std::ptr::without_provenance_mut(raw);
    match *place {
        GpuPlaceInfo::Buffer { raw, offset, bytes } => {
            let buffer = ds_destination_buffer {
                resource: resource(raw),
                offset,
                size: bytes,
            };
            (DS_DESTINATION_BUFFER, ds_destination { buffer })
        }
        GpuPlaceInfo::Image { raw, region, .. } => {
            let (to_type, mut shown) = region_of(region, none);
            shown.buffer.resource = resource(raw);
            (to_type, shown)
        }
    }
}

fn region_of(region: ImageRegion, none: ds_destination) -> (ds_destination_type, ds_destination) {
    let mut shown = none;
    let resource = std::ptr::null_mut();
    match region {
        ImageRegion::Texture {
            subresource,
            region,
        } => {
            let TextureBox {
                left,
                top,
                front,
                right,
                bottom,
                back,
            } = region;
            shown.texture = ds_destination_texture_region {
                resource,
                subresource_index: subresource,
                region: ds_box {
                    left,
                    top,
                    front,
                    right,
                    bottom,
                    back,
                },
            };
            (DS_DESTINATION_TEXTURE_REGION, shown)
        }
        ImageRegion::MultipleSubresources { first } => {
            shown.multiple_subresources = ds_destination_multiple_subresources {
                resource,
                first_subresource: first,
            };
            (DS_DESTINATION_MULTIPLE_SUBRESOURCES, shown)
        }
        ImageRegion::MultipleSubresourcesRange { first, count } => {
            shown.multiple_subresources_range = ds_destination_multiple_subresources_range {
                resource,
                first_subresource: first,
                num_subresources: count,
            };
            (DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE, shown)
        }
        ImageRegion::Tiles { start, size } => {
            shown.tiles = tiles_of(start, size);
            (DS_DESTINATION_TILES, shown)
        }
    }
}

fn tiles_of(start: TileCoordinate, size: TileRegionSize) -> ds_destination_tiles {
    let (num_tiles, [width, height, depth]) = match size {
        TileRegionSize::Count(tiles) => (tiles, [0; 3]),
        TileRegionSize::Box {
            width,
            height,
            depth,
        } => (
            width.saturating_mul(height).saturating_mul(depth),
            [width, height, depth],
        ),
    };
    ds_destination_tiles {
        resource: std::ptr::null_mut(),
        start_x: start.x,
        start_y: start.y,
        start_z: start.z,
        start_subresource: start.subresource,
        num_tiles,
        use_box: u32::from(width > 0),
        width,
        height: height as u16,
        depth: depth as u16,
    }
}
