//! Images as destinations, in DirectStorage's words: a texture region, multiple subresources, a range
//! of subresources, tiles.
//!
//! Owns what is known of an image: [`ImageFacts`], its description once it was checked, since Vulkan
//! cannot be asked; and [`ImagePart`], the part of it that one request fills, with the check of a
//! payload's size. Plain values; the objects that requests name are in `image_resource.rs`.

#![forbid(unsafe_code)]

use super::format::Format;
use super::layout::{Extent, ImageKind, LayoutError, Piece, Subresources, Texture, TextureBox};
use super::tiles::{TileCoordinate, TileRegionSize, Tiles};
use crate::error::Error;

/// `VkImageLayout` numbers that mean something to this module.
const LAYOUT_UNDEFINED: i32 = 0;
const LAYOUT_GENERAL: i32 = 1;
const LAYOUT_TRANSFER_DST: i32 = 7;

/// Layouts that a colour image can be in: general, colour attachment, shader read-only, transfer
/// source and destination, present source, read-only, attachment.
const LAYOUTS: [i32; 8] = [
    LAYOUT_GENERAL,
    2,
    5,
    6,
    LAYOUT_TRANSFER_DST,
    1_000_001_002,
    1_000_314_000,
    1_000_314_001,
];

/// The layout and the owner of an image's subresources before or after a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ImageState {
    /// The `VkImageLayout`.
    pub layout: i32,
    /// The queue family that owns them; `None` where ownership does not change hands.
    pub family: Option<u32>,
}

impl ImageState {
    /// In this `VkImageLayout`, with no change of ownership.
    pub fn layout(layout: i32) -> ImageState {
        ImageState {
            layout,
            family: None,
        }
    }

    /// What it was does not matter: `VK_IMAGE_LAYOUT_UNDEFINED`.
    pub const UNDEFINED: ImageState = ImageState {
        layout: LAYOUT_UNDEFINED,
        family: None,
    };
}

/// A `VkImage`, as it was created, and how requests find and leave it.
///
/// # What the image must be
/// - Created with `VK_IMAGE_TILING_OPTIMAL`, one sample, and `VK_IMAGE_USAGE_TRANSFER_DST_BIT`, on the
///   device that the queue was created for. If it is sparse, the memory of what a request fills is
///   bound before the request runs (wait with a fence: `Queue::enqueue_requests`).
/// - Of a format with one plane and no depth or stencil.
///
/// # Layouts
/// A request finds what it fills in the layout `before` and leaves it in
/// `after`; this is what Direct3D's COMMON state is to DirectStorage. To change either,
/// describe the image again.
/// - `UNDEFINED` before means that the old texels are not needed. That holds only for requests that
///   fill whole subresources, so others are refused.
/// - The same layout before and after, other than UNDEFINED, suits images that are filled bit by bit.
///   With `TRANSFER_DST_OPTIMAL`, the layout of the copies, there are no transitions at all.
/// - Requests that fill parts of one subresource may be in flight together only if `before` equals
///   `after` and neither names a family: which of them comes first nobody knows, and each must find
///   what it expects. The engine carries out all requests for one image on one Vulkan queue, one batch
///   after the other.
/// - Between enqueue and completion nothing else may use the subresources that a request fills, except
///   while a fence holds the request back.
///
/// # Queue families
/// An image with `VK_SHARING_MODE_CONCURRENT` (naming the engine's family) needs nothing; neither does
/// one used in the engine's family only. For any other, `family` of a state names the caller's queue
/// family:
/// - before: the caller has *released* the subresources from that family to the engine's, from layout
///   `before` to `TRANSFER_DST_OPTIMAL`; the engine acquires them with the same layouts. With
///   `UNDEFINED` nothing is released or acquired.
/// - after: the engine releases them from `TRANSFER_DST_OPTIMAL` to layout `after` in that family; the
///   caller's first use there is the matching acquire barrier.
///
/// # The payload
/// Laid out as Direct3D 12's copyable footprints: rows a multiple of 256 bytes
/// apart, subresources at multiples of 512, the last row not padded. Tiles are 65,536 bytes each, in
/// their standard shape, without padding. See [`super::GpuImage::payload_bytes`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ImageDesc {
    /// The `VkImage` handle.
    pub image: u64,
    /// `VkImageCreateInfo::imageType`.
    pub kind: ImageKind,
    /// `VkImageCreateInfo::format`, a `VkFormat`.
    pub format: i32,
    /// `extent.width` in texels, 1 to 65536.
    pub width: u32,
    /// `extent.height`, 1 for a 1D image.
    pub height: u32,
    /// `extent.depth`, 1 unless the image is 3D.
    pub depth: u32,
    /// Mip levels.
    pub mip_levels: u32,
    /// Array layers, 1 to 65536.
    pub array_layers: u32,
    /// How requests find what they fill.
    pub before: ImageState,
    /// How they leave it.
    pub after: ImageState,
}

/// A description that was checked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ImageFacts {
    image: u64,
    texture: Texture,
    before: ImageState,
    after: ImageState,
}

impl ImageFacts {
    /// Checks a description.
    ///
    /// # Errors
    /// What in the description cannot be, or cannot be a destination.
    pub(crate) fn new(desc: &ImageDesc) -> Result<ImageFacts, LayoutError> {
        if desc.image == 0 {
            return Err(LayoutError::NullImage);
        }
        let extent = Extent {
            width: desc.width,
            height: desc.height,
            depth: desc.depth,
        };
        let texture = Texture::new(
            desc.kind,
            Format::from_vulkan(desc.format)?,
            extent,
            desc.mip_levels,
            desc.array_layers,
        )?;
        let before = desc.before.layout;
        if before != LAYOUT_UNDEFINED && !LAYOUTS.contains(&before) {
            return Err(LayoutError::ImageLayout(before));
        }
        if !LAYOUTS.contains(&desc.after.layout) {
            return Err(LayoutError::ImageLayout(desc.after.layout));
        }
        Ok(ImageFacts {
            image: desc.image,
            texture,
            before: desc.before,
            after: desc.after,
        })
    }

    /// The `VkImage` handle.
    pub(crate) fn image(&self) -> u64 {
        self.image
    }

    /// How many subresources it has: mips times layers.
    pub(crate) fn subresource_count(&self) -> u32 {
        self.texture.subresource_count()
    }

    /// The whole of `subresource`, as the box that a texture region takes.
    ///
    /// # Errors
    /// [`LayoutError::Subresource`] if the image has no such subresource.
    pub(crate) fn whole(&self, subresource: u32) -> Result<TextureBox, LayoutError> {
        let (mip, _) = self.texture.split(subresource)?;
        let extent = self.texture.mip_extent(mip);
        Ok(TextureBox {
            left: 0,
            top: 0,
            front: 0,
            right: extent.width,
            bottom: extent.height,
            back: extent.depth,
        })
    }

    /// How requests find it.
    pub(crate) fn before(&self) -> ImageState {
        self.before
    }

    /// How they leave it.
    pub(crate) fn after(&self) -> ImageState {
        self.after
    }

    /// What its payloads' layout depends on.
    pub(crate) fn texture(&self) -> &Texture {
        &self.texture
    }
}

/// The part of an image that a request fills: DirectStorage's destination types 2 to 5.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ImageRegion {
    /// A box of one subresource; the payload is laid out as the box's own footprint.
    Texture {
        /// Mip plus layer times mips.
        subresource: u32,
        /// In texels.
        region: TextureBox,
    },
    /// All subresources from `first` to the last.
    MultipleSubresources {
        /// Where to begin.
        first: u32,
    },
    /// `count` subresources from `first`.
    MultipleSubresourcesRange {
        /// Where to begin.
        first: u32,
        /// How many, at least 1.
        count: u32,
    },
    /// Tiles of 64 KiB.
    Tiles {
        /// The first.
        start: TileCoordinate,
        /// How many, or which box.
        size: TileRegionSize,
    },
}

/// Where a request's bytes go: an image and a region of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ImagePart {
    /// The image.
    pub(crate) image: ImageFacts,
    /// The part of it.
    pub(crate) region: ImageRegion,
}

impl ImagePart {
    /// What the payload of this region takes: the end of its last row.
    ///
    /// # Errors
    /// What is wrong with the region.
    pub(crate) fn payload_bytes(&self) -> Result<u64, LayoutError> {
        self.payload_range().map(|(min, _)| min)
    }

    /// Whether a request with a payload of `bytes` may fill this region. The payload may also have
    /// its last row padded to the row pitch and its end to 512 bytes.
    ///
    /// # Errors
    /// What is wrong with the region, the size, or the layout it is to be found in.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), LayoutError> {
        let (bytes_min, bytes_max) = self.payload_range()?;
        if !(bytes_min..=bytes_max).contains(&bytes) {
            return Err(LayoutError::PayloadSize {
                bytes,
                bytes_min,
                bytes_max,
            });
        }
        if self.image.before.layout == LAYOUT_UNDEFINED && !self.is_whole()? {
            return Err(LayoutError::UndefinedNeedsWhole);
        }
        Ok(())
    }

    /// The pieces of the region, in the order of the payload.
    pub(crate) fn pieces(&self) -> Result<Pieces, LayoutError> {
        let texture = self.image.texture();
        Ok(match self.region {
            ImageRegion::Texture {
                subresource,
                region,
            } => Pieces::Region(Some(texture.region(subresource, region)?)),
            ImageRegion::MultipleSubresources { first } => {
                Pieces::Subresources(texture.subresources(texture.range(first, None)?))
            }
            ImageRegion::MultipleSubresourcesRange { first, count } => {
                Pieces::Subresources(texture.subresources(texture.range(first, Some(count))?))
            }
            ImageRegion::Tiles { start, size } => Pieces::Tiles(texture.tiles(start, size)?),
        })
    }

    fn payload_range(&self) -> Result<(u64, u64), LayoutError> {
        Ok(match self.pieces()? {
            Pieces::Tiles(tiles) => (tiles.bytes(), tiles.bytes()),
            pieces => {
                let last = pieces.last().ok_or(LayoutError::Empty)?.footprint;
                (last.end(), last.padded_end())
            }
        })
    }

    /// Whether the region covers every subresource it touches. Its pieces are apart and those of one
    /// subresource follow each other, so counting texels tells.
    fn is_whole(&self) -> Result<bool, LayoutError> {
        let mut missing = 0;
        let mut at = None;
        for piece in self.pieces()? {
            if at != Some((piece.mip, piece.layer)) {
                if missing != 0 {
                    return Ok(false);
                }
                at = Some((piece.mip, piece.layer));
                missing = self.image.texture().mip_extent(piece.mip).texels();
            }
            missing -= piece.extent.texels();
        }
        Ok(missing == 0)
    }
}

/// The pieces of any region.
#[derive(Clone, Debug)]
pub(crate) enum Pieces {
    Region(Option<Piece>),
    Subresources(Subresources),
    Tiles(Tiles),
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        match self {
            Pieces::Region(piece) => piece.take(),
            Pieces::Subresources(subresources) => subresources.next(),
            Pieces::Tiles(tiles) => tiles.next(),
        }
    }
}

impl LayoutError {
    /// The engine's error: DirectStorage answers every one of these with `E_INVALIDARG`.
    pub fn error(self) -> Error {
        Error::InvalidArgument
    }
}

impl From<LayoutError> for Error {
    fn from(error: LayoutError) -> Error {
        error.error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desc() -> ImageDesc {
        ImageDesc {
            image: 1,
            kind: ImageKind::D2,
            format: 37,
            width: 300,
            height: 200,
            depth: 1,
            mip_levels: 3,
            array_layers: 2,
            before: ImageState::layout(LAYOUT_GENERAL),
            after: ImageState::layout(5),
        }
    }

    fn of(desc: &ImageDesc, region: ImageRegion) -> ImagePart {
        let image = ImageFacts::new(desc).expect("a sound description");
        ImagePart { image, region }
    }

    fn part() -> TextureBox {
        TextureBox {
            left: 10,
            top: 20,
            front: 0,
            right: 30,
            bottom: 25,
            back: 1,
        }
    }

    #[test]
    fn payloads_may_end_with_the_last_row_or_with_padding() {
        let region = ImageRegion::Texture {
            subresource: 3,
            region: part(),
        };
        let destination = of(&desc(), region);
        assert_eq!(destination.payload_bytes(), Ok(4 * 256 + 80));
        for bytes in [4 * 256 + 80, 5 * 256, 6 * 256] {
            assert_eq!(destination.check(bytes), Ok(()));
        }
        for bytes in [0, 4 * 256 + 79, 6 * 256 + 1, u64::MAX] {
            let error = destination.check(bytes).expect_err("another size");
            assert!(matches!(error, LayoutError::PayloadSize { .. }), "{error}");
            assert_eq!(error.error(), Error::InvalidArgument);
        }
    }

    #[test]
    fn tiles_have_exact_payloads() {
        let start = TileCoordinate {
            x: 1,
            y: 0,
            z: 0,
            subresource: 0,
        };
        let region = ImageRegion::Tiles {
            start,
            size: TileRegionSize::Count(3),
        };
        let destination = of(&desc(), region);
        assert_eq!(destination.payload_bytes(), Ok(3 * 65_536));
        assert_eq!(destination.check(3 * 65_536), Ok(()));
        assert!(destination.check(3 * 65_536 + 512).is_err());
    }

    #[test]
    fn undefined_discards_only_whole_subresources() {
        let undefined = ImageDesc {
            before: ImageState::UNDEFINED,
            ..desc()
        };
        let check = |region| {
            let destination = of(&undefined, region);
            destination.check(destination.payload_bytes().expect("a region"))
        };
        let whole = ImageFacts::new(&undefined)
            .and_then(|image| image.whole(4))
            .expect("subresource 4");
        assert_eq!((whole.right, whole.bottom), (150, 100));
        let at = |subresource, region| ImageRegion::Texture {
            subresource,
            region,
        };
        assert_eq!(check(at(4, whole)), Ok(()));
        assert_eq!(check(at(4, part())), Err(LayoutError::UndefinedNeedsWhole));
        assert_eq!(
            check(ImageRegion::MultipleSubresources { first: 2 }),
            Ok(())
        );
        let tiles = |x, count| ImageRegion::Tiles {
            start: TileCoordinate {
                x,
                y: 0,
                z: 0,
                subresource: 0,
            },
            size: TileRegionSize::Count(count),
        };
        assert_eq!(check(tiles(0, 6)), Ok(()), "3 by 2 tiles are all of mip 0");
        assert_eq!(check(tiles(0, 5)), Err(LayoutError::UndefinedNeedsWhole));
        assert_eq!(check(tiles(1, 5)), Err(LayoutError::UndefinedNeedsWhole));
    }

    #[test]
    fn descriptions_without_meaning_are_refused() {
        let layout = ImageState::layout;
        for (wrong, expected) in [
            (ImageDesc { image: 0, ..desc() }, LayoutError::NullImage),
            (ImageDesc { width: 0, ..desc() }, LayoutError::ZeroExtent),
            (
                ImageDesc {
                    after: ImageState::UNDEFINED,
                    ..desc()
                },
                LayoutError::ImageLayout(0),
            ),
            (
                ImageDesc {
                    before: layout(3),
                    ..desc()
                },
                LayoutError::ImageLayout(3),
            ),
            (
                ImageDesc {
                    after: layout(-1),
                    ..desc()
                },
                LayoutError::ImageLayout(-1),
            ),
        ] {
            assert_eq!(ImageFacts::new(&wrong), Err(expected));
        }
    }
}
