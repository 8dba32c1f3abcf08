//! The layout of a texture's payload: where the bytes of every subresource, box and tile lie.
//!
//! DirectStorage takes over Direct3D 12's rules, those of `GetCopyableFootprints` and `CopyTiles`:
//!
//! - A row is a row of texel blocks. Rows lie a *row pitch* apart, which is the row's size rounded up
//!   to 256 bytes; slices of a 3D texture lie `rows` pitches apart.
//! - A subresource begins at a multiple of 512 bytes. Its last row is not padded, so a payload ends
//!   with its last block.
//! - Subresources lie in order: all mips of array layer 0, then of layer 1, and so on.
//!
//! Tiles are laid out otherwise: `tiles.rs`. Source: the D3D12 documentation of copyable footprints.
//!
//! Owns: this arithmetic and the refusal of everything outside it. No Vulkan here, no memory.
//! Nothing overflows: [`Texture::new`] bounds extents and layers so that every product below fits in
//! 64 bits, and every number of a caller's box or tile region is compared with them first.

#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Range;

use super::format::{Block, Format, FormatError};
use super::tiles::TileCoordinate;

/// Rows of a subresource begin at multiples of this many bytes from its start.
pub(crate) const ROW_PITCH_ALIGNMENT: u64 = 256;
/// Subresources begin at multiples of this many bytes from the payload's start.
pub(crate) const SUBRESOURCE_ALIGNMENT: u64 = 512;

/// The largest extent of a texture, in texels: four times what Direct3D 12 and common drivers allow.
pub(crate) const EXTENT_MAX: u32 = 1 << 16;
/// The most array layers.
pub(crate) const ARRAY_LAYERS_MAX: u32 = 1 << 16;

const BLOCK_BYTES_MAX: u64 = 32;
// The largest slice is a row of the largest blocks for every row, and all mips together are less than
// two of mip 0 and one alignment each: a 2D array or a 3D texture of them fits in 64 bits.
const _: () = {
    let slice = EXTENT_MAX as u64 * EXTENT_MAX as u64 * BLOCK_BYTES_MAX;
    let layers = ARRAY_LAYERS_MAX as u64;
    assert!(ARRAY_LAYERS_MAX <= EXTENT_MAX);
    assert!(
        (2 * slice + 64 * SUBRESOURCE_ALIGNMENT)
            .checked_mul(layers)
            .is_some()
    );
};

/// How many dimensions a texture has: `VkImageType`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ImageKind {
    /// Width; may be an array.
    D1,
    /// Width and height; may be an array (a cube map is one of six layers).
    D2,
    /// Width, height and depth; never an array.
    D3,
}

/// A box of texels of one subresource, as `D3D12_BOX`: the right, bottom and back ends are outside.
///
/// In a block-compressed format all sides lie on borders of blocks; an end may also be the
/// subresource's own end, or that rounded up to a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TextureBox {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// First slice.
    pub front: u32,
    /// One past the last column.
    pub right: u32,
    /// One past the last row; 1 in a 1D texture.
    pub bottom: u32,
    /// One past the last slice; 1 unless the texture is 3D.
    pub back: u32,
}

/// Why a texture, a region of it, or its payload is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LayoutError {
    /// The format cannot be a destination.
    Format(FormatError),
    /// A width, height, depth, mip or layer count of zero.
    ZeroExtent,
    /// An extent above 65536, or more than 65536 layers.
    ExtentTooLarge,
    /// An extent or layer count that this kind of texture does not have.
    KindMismatch(ImageKind),
    /// More mips than halving the extents gives.
    TooManyMips {
        /// As given.
        levels: u32,
        /// What the extents allow.
        levels_max: u32,
    },
    /// A subresource, or the end of a range of them, that the texture does not have.
    Subresource {
        /// One past the last that was named.
        end: u64,
        /// How many there are.
        count: u32,
    },
    /// A range or region of nothing.
    Empty,
    /// A box that reaches outside its subresource.
    BoxOutside(TextureBox),
    /// A box that cuts blocks of its format.
    BoxCutsBlocks(TextureBox),
    /// A tile outside the subresource's grid of tiles.
    TileOutside(TileCoordinate),
    /// The number of tiles is not that of the box.
    TileCount {
        /// As given.
        tiles: u32,
        /// Of the box.
        boxed: u64,
    },
    /// The format has no standard tile shape: its blocks are not 1, 2, 4, 8 or 16 bytes of 1x1 or
    /// 4x4 texels, or the texture is 1D.
    NoTileShape,
    /// A mip smaller than a tile is packed with others in a way only the driver knows; it is reached
    /// by its subresource.
    PackedMip(u32),
    /// The payload is not as large as the layout of the region.
    PayloadSize {
        /// The request's size after decompression, in bytes.
        bytes: u64,
        /// The smallest possible, in bytes.
        bytes_min: u64,
        /// The largest possible, in bytes: with the last row and the end padded.
        bytes_max: u64,
    },
    /// `VK_IMAGE_LAYOUT_UNDEFINED` discards what an image holds, so it needs regions that cover
    /// whole subresources.
    UndefinedNeedsWhole,
    /// An image layout that no image may be left in, or that this library does not know.
    ImageLayout(i32),
    /// A null image handle.
    NullImage,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::Format(error) => error.fmt(f),
            LayoutError::ZeroExtent => f.write_str("an extent, mip count or layer count is 0"),
            LayoutError::ExtentTooLarge => write!(
                f,
                "an extent is above {EXTENT_MAX} texels, or there are more than {ARRAY_LAYERS_MAX} layers"
            ),
            LayoutError::KindMismatch(kind) => write!(
                f,
                "a {kind:?} image does not have these extents and layers: 1D has height and depth 1, \
                 2D has depth 1, 3D has 1 layer"
            ),
            LayoutError::TooManyMips { levels, levels_max } => {
                write!(f, "{levels} mips, but these extents have {levels_max}")
            }
            LayoutError::Subresource { end, count } => write!(
                f,
                "subresource {} of an image that has {count}",
                end.saturating_sub(1)
            ),
            LayoutError::Empty => f.write_str("the region is empty"),
            LayoutError::BoxOutside(region) => {
                write!(f, "{region:?} reaches outside its subresource")
            }
            LayoutError::BoxCutsBlocks(region) => write!(
                f,
                "{region:?} cuts blocks of the format; align it to the block's extent"
            ),
            LayoutError::TileOutside(tile) => write!(f, "{tile:?} is outside its subresource"),
            LayoutError::TileCount { tiles, boxed } => {
                write!(f, "{tiles} tiles in a box of {boxed}")
            }
            LayoutError::NoTileShape => {
                f.write_str("this kind of image or format has no standard tile shape")
            }
            LayoutError::PackedMip(subresource) => write!(
                f,
                "subresource {subresource} is smaller than a tile; reach it as a texture region or \
                 subresource"
            ),
            LayoutError::PayloadSize {
                bytes,
                bytes_min,
                bytes_max,
            } => write!(
                f,
                "the payload has {bytes} bytes, but the region's layout takes {bytes_min} (to \
                 {bytes_max} with padding): rows 256 bytes apart, subresources 512"
            ),
            LayoutError::UndefinedNeedsWhole => f.write_str(
                "the image layout UNDEFINED discards the rest of the subresource; name the layout it \
                 is in, or write all of it",
            ),
            LayoutError::ImageLayout(layout) => {
                write!(f, "image layout {layout} cannot be used here")
            }
            LayoutError::NullImage => f.write_str("the image is VK_NULL_HANDLE"),
        }
    }
}

impl std::error::Error for LayoutError {}

impl From<FormatError> for LayoutError {
    fn from(error: FormatError) -> LayoutError {
        LayoutError::Format(error)
    }
}

/// Width, height and depth, in the unit the context says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Extent {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) depth: u32,
}

impl Extent {
    /// How many `unit`s cover it, in each direction.
    pub(super) fn divided_by(self, unit: Extent) -> Extent {
        Extent {
            width: self.width.div_ceil(unit.width),
            height: self.height.div_ceil(unit.height),
            depth: self.depth.div_ceil(unit.depth),
        }
    }

    /// Its volume.
    pub(super) fn texels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * u64::from(self.depth)
    }

    fn has_zero(self) -> bool {
        self.width == 0 || self.height == 0 || self.depth == 0
    }
}

/// Where a box of texel blocks lies in a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Footprint {
    /// Its first byte, from the payload's start.
    pub(crate) offset: u64,
    /// Bytes of a row that have a meaning.
    pub(crate) row_bytes: u64,
    /// Bytes from row to row, at least `row_bytes`.
    pub(crate) row_pitch: u64,
    /// Rows of a slice that have a meaning.
    pub(crate) rows: u64,
    /// Bytes from slice to slice: a multiple of `row_pitch`, at least `rows` of them.
    pub(crate) slice_pitch: u64,
    /// Slices.
    pub(crate) slices: u64,
}

impl Footprint {
    /// The footprint of `extent` texels at `offset`, with rows a placed row pitch apart.
    fn placed(extent: Extent, block: Block, offset: u64) -> Footprint {
        let blocks = extent.divided_by(block.extent());
        let row_bytes = u64::from(blocks.width) * u64::from(block.bytes);
        let row_pitch = row_bytes.next_multiple_of(ROW_PITCH_ALIGNMENT);
        let rows = u64::from(blocks.height);
        Footprint {
            offset,
            row_bytes,
            row_pitch,
            rows,
            slice_pitch: row_pitch * rows,
            slices: u64::from(blocks.depth),
        }
    }

    /// One past its last byte, from the payload's start.
    pub(crate) fn end(&self) -> u64 {
        self.offset
            + (self.slices - 1) * self.slice_pitch
            + (self.rows - 1) * self.row_pitch
            + self.row_bytes
    }

    /// The same, with the last row padded, and up to where another subresource could begin: tools
    /// write such payloads too.
    pub(crate) fn padded_end(&self) -> u64 {
        let end = self.offset + self.slices * self.slice_pitch;
        end.next_multiple_of(SUBRESOURCE_ALIGNMENT)
    }
}

/// A part of one subresource and the bytes that go there: what one copy command takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    /// Mip level.
    pub(crate) mip: u32,
    /// Array layer.
    pub(crate) layer: u32,
    /// The first texel in x, y and z.
    pub(crate) origin: [u32; 3],
    /// How many texels; never past the subresource's end.
    pub(crate) extent: Extent,
    /// Whether this is the whole subresource.
    pub(crate) whole: bool,
    /// The bytes.
    pub(crate) footprint: Footprint,
}

impl Block {
    pub(super) fn extent(self) -> Extent {
        Extent {
            width: u32::from(self.width),
            height: u32::from(self.height),
            depth: 1,
        }
    }
}

/// What the layout of a payload depends on; always sound.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Texture {
    kind: ImageKind,
    mip_levels: u8,
    format: Format,
    extent: Extent,
    array_layers: u32,
}

impl Texture {
    /// Checks the description of a texture.
    pub(crate) fn new(
        kind: ImageKind,
        format: Format,
        extent: Extent,
        mip_levels: u32,
        array_layers: u32,
    ) -> Result<Texture, LayoutError> {
        if extent.has_zero() || mip_levels == 0 || array_layers == 0 {
            return Err(LayoutError::ZeroExtent);
        }
        let largest = extent.width.max(extent.height).max(extent.depth);
        if largest > EXTENT_MAX || array_layers > ARRAY_LAYERS_MAX {
            return Err(LayoutError::ExtentTooLarge);
        }
        let fits = match kind {
            ImageKind::D1 => extent.height == 1 && extent.depth == 1,
            ImageKind::D2 => extent.depth == 1,
            ImageKind::D3 => array_layers == 1,
        };
        if !fits {
            return Err(LayoutError::KindMismatch(kind));
        }
        let levels_max = largest.ilog2() + 1;
        if mip_levels > levels_max {
            return Err(LayoutError::TooManyMips {
                levels: mip_levels,
                levels_max,
            });
        }
        Ok(Texture {
            kind,
            mip_levels: mip_levels as u8,
            format,
            extent,
            array_layers,
        })
    }

    /// Its format.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// How many dimensions it has.
    pub(crate) fn kind(&self) -> ImageKind {
        self.kind
    }

    /// Mips of a layer.
    pub(crate) fn mip_levels(&self) -> u32 {
        u32::from(self.mip_levels)
    }

    /// Mips times layers.
    pub(crate) fn subresource_count(&self) -> u32 {
        self.mip_levels() * self.array_layers
    }

    pub(super) fn mip_extent(&self, mip: u32) -> Extent {
        Extent {
            width: (self.extent.width >> mip).max(1),
            height: (self.extent.height >> mip).max(1),
            depth: (self.extent.depth >> mip).max(1),
        }
    }

    /// `subresource` as mip and layer, if there is such a one.
    pub(super) fn split(&self, subresource: u32) -> Result<(u32, u32), LayoutError> {
        let count = self.subresource_count();
        if subresource < count {
            Ok((
                subresource % self.mip_levels(),
                subresource / self.mip_levels(),
            ))
        } else {
            Err(LayoutError::Subresource {
                end: u64::from(subresource) + 1,
                count,
            })
        }
    }

    /// `count` subresources from `first`; without a count, all from there on.
    pub(crate) fn range(&self, first: u32, count: Option<u32>) -> Result<Range<u32>, LayoutError> {
        let all = self.subresource_count();
        self.split(first)?;
        let end = count.map_or(u64::from(all), |count| u64::from(first) + u64::from(count));
        if end > u64::from(all) {
            return Err(LayoutError::Subresource { end, count: all });
        }
        if end == u64::from(first) {
            return Err(LayoutError::Empty);
        }
        Ok(first..end as u32)
    }

    /// The pieces of whole subresources, in order; `range` is from [`Texture::range`].
    pub(crate) fn subresources(&self, range: Range<u32>) -> Subresources {
        Subresources {
            texture: *self,
            range,
            end: 0,
        }
    }

    /// The piece of one box of one subresource: its payload is the box's own footprint.
    pub(crate) fn region(
        &self,
        subresource: u32,
        region: TextureBox,
    ) -> Result<Piece, LayoutError> {
        let (mip, layer) = self.split(subresource)?;
        let mip_extent = self.mip_extent(mip);
        let unit = self.format.block.extent();
        let width = side(
            region,
            region.left..region.right,
            mip_extent.width,
            unit.width,
        )?;
        let height = side(
            region,
            region.top..region.bottom,
            mip_extent.height,
            unit.height,
        )?;
        let depth = side(
            region,
            region.front..region.back,
            mip_extent.depth,
            unit.depth,
        )?;
        let extent = Extent {
            width,
            height,
            depth,
        };
        Ok(Piece {
            mip,
            layer,
            origin: [region.left, region.top, region.front],
            extent,
            whole: extent == mip_extent,
            footprint: Footprint::placed(extent, self.format.block, 0),
        })
    }
}

/// Whole subresources: see [`Texture::subresources`].
#[derive(Clone, Debug)]
pub(crate) struct Subresources {
    texture: Texture,
    range: Range<u32>,
    /// The end of the last one's footprint.
    end: u64,
}

impl Iterator for Subresources {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let (mip, layer) = self.texture.split(self.range.next()?).ok()?;
        let extent = self.texture.mip_extent(mip);
        let offset = self.end.next_multiple_of(SUBRESOURCE_ALIGNMENT);
        let footprint = Footprint::placed(extent, self.texture.format.block, offset);
        self.end = footprint.end();
        Some(Piece {
            mip,
            layer,
            origin: [0; 3],
            extent,
            whole: true,
            footprint,
        })
    }
}

/// The length of one side of `region` in texels, cut to the subresource's `end`.
fn side(region: TextureBox, side: Range<u32>, end: u32, block: u32) -> Result<u32, LayoutError> {
    if side.start >= side.end {
        return Err(LayoutError::Empty);
    }
    if side.end > end.next_multiple_of(block) {
        return Err(LayoutError::BoxOutside(region));
    }
    let ends_well = side.end.is_multiple_of(block) || side.end == end;
    if !side.start.is_multiple_of(block) || !ends_well {
        return Err(LayoutError::BoxCutsBlocks(region));
    }
    Ok(side.end.min(end) - side.start)
}

#[cfg(test)]
mod tests;
