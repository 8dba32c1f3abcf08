//! Tiles: the 64 KiB units that Direct3D 12's tiled resources and Vulkan's sparse images bind memory
//! in, as destinations.
//!
//! A tile's bytes are its rows and slices in order, without padding, in the *standard shape* of its
//! texel size; that is what `CopyTiles` takes from a linear buffer. Where a mip ends inside a tile, the
//! rest of the tile's bytes has no meaning.
//!
//! Nothing here needs sparse residency: a tile is a region of a subresource, and any image with
//! optimal tiling has it. If the image is sparse, binding its memory first is the caller's part. Mips
//! smaller than a tile are packed together by the driver in an order that Vulkan does not tell, so they
//! are refused; their subresources can be reached as such.
//!
//! Sources: the D3D12 documentation of tiled resources (the "texture tiling" tables), the same shapes
//! as the standard sparse image block shapes of the Vulkan specification.

#![forbid(unsafe_code)]

use super::layout::ImageKind;
use super::layout::{Extent, Footprint, LayoutError, Piece, Texture};

/// The size of a tile.
pub(crate) const TILE_BYTES: u64 = 65_536;

/// The first tile of a region, as `D3D12_TILED_RESOURCE_COORDINATE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TileCoordinate {
    /// Column, in tiles.
    pub x: u32,
    /// Row, in tiles.
    pub y: u32,
    /// Slice, in tiles.
    pub z: u32,
    /// Index of the subresource.
    pub subresource: u32,
}

/// How many tiles, as `D3D12_TILE_REGION_SIZE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TileRegionSize {
    /// So many tiles from the start on: along x, then y, then z, then the next subresource.
    Count(u32),
    /// A box of tiles of one subresource, x fastest, then y, then z.
    Box {
        /// In tiles.
        width: u32,
        /// In tiles.
        height: u32,
        /// In tiles.
        depth: u32,
    },
}

impl TileRegionSize {
    /// From the fields of `D3D12_TILE_REGION_SIZE`; with a box, `tiles` must be its size.
    ///
    /// # Errors
    /// [`LayoutError::TileCount`] if it is not, [`LayoutError::Empty`] for a box without a side.
    pub fn new(
        tiles: u32,
        use_box: bool,
        [width, height, depth]: [u32; 3],
    ) -> Result<TileRegionSize, LayoutError> {
        if !use_box {
            return Ok(TileRegionSize::Count(tiles));
        }
        if width == 0 || height == 0 || depth == 0 {
            return Err(LayoutError::Empty);
        }
        let boxed = u64::from(width)
            .saturating_mul(u64::from(height))
            .saturating_mul(u64::from(depth));
        if boxed != u64::from(tiles) {
            return Err(LayoutError::TileCount { tiles, boxed });
        }
        Ok(TileRegionSize::Box {
            width,
            height,
            depth,
        })
    }
}

impl Texture {
    /// The texels of a tile, if the format has tiles.
    pub(crate) fn tile_shape(&self) -> Result<Extent, LayoutError> {
        let block = self.format().block;
        if !matches!((block.width, block.height), (1, 1) | (4, 4)) {
            return Err(LayoutError::NoTileShape);
        }
        let (width, height, depth) = match (self.kind(), block.bytes) {
            (ImageKind::D2, 1) => (256, 256, 1),
            (ImageKind::D2, 2) => (256, 128, 1),
            (ImageKind::D2, 4) => (128, 128, 1),
            (ImageKind::D2, 8) => (128, 64, 1),
            (ImageKind::D2, 16) => (64, 64, 1),
            (ImageKind::D3, 1) => (64, 32, 32),
            (ImageKind::D3, 2) => (32, 32, 32),
            (ImageKind::D3, 4) => (32, 32, 16),
            (ImageKind::D3, 8) => (32, 16, 16),
            (ImageKind::D3, 16) => (16, 16, 16),
            _ => return Err(LayoutError::NoTileShape),
        };
        Ok(Extent {
            width: width * u32::from(block.width),
            height: height * u32::from(block.height),
            depth,
        })
    }

    /// The tiles of a region, each a piece, in the order of the payload.
    pub(crate) fn tiles(
        &self,
        start: TileCoordinate,
        size: TileRegionSize,
    ) -> Result<Tiles, LayoutError> {
        let shape = self.tile_shape()?;
        let mut tiles = Tiles {
            texture: *self,
            shape,
            grid: self.tile_grid(shape, start.subresource)?,
            start,
            size,
            count: 0,
            next: 0,
            at: start,
        };
        let grid = tiles.grid;
        if start.x >= grid.width || start.y >= grid.height || start.z >= grid.depth {
            return Err(LayoutError::TileOutside(start));
        }
        tiles.count = match size {
            TileRegionSize::Count(count) => self.counted(shape, start, grid, count)?,
            TileRegionSize::Box {
                width,
                height,
                depth,
            } => boxed(start, grid, [width, height, depth])?,
        };
        if tiles.count == 0 {
            return Err(LayoutError::Empty);
        }
        Ok(tiles)
    }

    /// How many tiles cover a subresource that is not packed.
    fn tile_grid(&self, shape: Extent, subresource: u32) -> Result<Extent, LayoutError> {
        let (mip, _) = self.split(subresource)?;
        let extent = self.mip_extent(mip);
        let packed = extent.width < shape.width
            || extent.height < shape.height
            || extent.depth < shape.depth;
        if packed {
            return Err(LayoutError::PackedMip(subresource));
        }
        Ok(extent.divided_by(shape))
    }

    /// Checks that `count` tiles from `start` on exist, in as many subresources as they take.
    fn counted(
        &self,
        shape: Extent,
        start: TileCoordinate,
        grid: Extent,
        count: u32,
    ) -> Result<u32, LayoutError> {
        let tiles =
            |grid: Extent| u64::from(grid.width) * u64::from(grid.height) * u64::from(grid.depth);
        let before = (u64::from(start.z) * u64::from(grid.height) + u64::from(start.y))
            * u64::from(grid.width)
            + u64::from(start.x);
        let mut reached = tiles(grid) - before;
        let mut subresource = start.subresource;
        while reached < u64::from(count) {
            subresource += 1;
            reached += tiles(self.tile_grid(shape, subresource)?);
        }
        Ok(count)
    }
}

/// Checks a box of tiles against the grid that its start, which is inside, belongs to.
fn boxed(start: TileCoordinate, grid: Extent, size: [u32; 3]) -> Result<u32, LayoutError> {
    let [width, height, depth] = size;
    let outside = width > grid.width - start.x
        || height > grid.height - start.y
        || depth > grid.depth - start.z;
    if outside {
        return Err(LayoutError::TileOutside(TileCoordinate {
            x: start.x.saturating_add(width.max(1) - 1),
            y: start.y.saturating_add(height.max(1) - 1),
            z: start.z.saturating_add(depth.max(1) - 1),
            ..start
        }));
    }
    // Grids of 65536 texels in tiles of 16 and more are at most 2^36 tiles; a payload of that many
    // is refused by its size, so the count only has to be right while it fits.
    let count = u64::from(width) * u64::from(height) * u64::from(depth);
    u32::try_from(count).map_err(|_| LayoutError::ExtentTooLarge)
}

/// The tiles of a region that was checked: see [`Texture::tiles`].
#[derive(Clone, Debug)]
pub(crate) struct Tiles {
    texture: Texture,
    shape: Extent,
    /// The grid of the subresource that `at` is in.
    grid: Extent,
    start: TileCoordinate,
    size: TileRegionSize,
    count: u32,
    next: u32,
    at: TileCoordinate,
}

impl Tiles {
    /// The size of the payload.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.count) * TILE_BYTES
    }

    /// The piece of the tile at `at`, whose bytes are the payload's tile `next`.
    fn piece(&self) -> Piece {
        let texture = &self.texture;
        let mip = self.at.subresource % texture.mip_levels();
        let mip_extent = texture.mip_extent(mip);
        let (shape, block) = (self.shape, texture.format().block);
        let origin = [
            self.at.x * shape.width,
            self.at.y * shape.height,
            self.at.z * shape.depth,
        ];
        let extent = Extent {
            width: shape.width.min(mip_extent.width - origin[0]),
            height: shape.height.min(mip_extent.height - origin[1]),
            depth: shape.depth.min(mip_extent.depth - origin[2]),
        };
        let (blocks, full) = (
            extent.divided_by(block.extent()),
            shape.divided_by(block.extent()),
        );
        let row_pitch = u64::from(full.width) * u64::from(block.bytes);
        Piece {
            mip,
            layer: self.at.subresource / texture.mip_levels(),
            origin,
            extent,
            whole: extent == mip_extent,
            footprint: Footprint {
                offset: u64::from(self.next) * TILE_BYTES,
                row_bytes: u64::from(blocks.width) * u64::from(block.bytes),
                row_pitch,
                rows: u64::from(blocks.height),
                slice_pitch: row_pitch * u64::from(full.height),
                slices: u64::from(blocks.depth),
            },
        }
    }

    /// Moves `at` on: x, then y, then z, then the next subresource.
    fn advance(&mut self) {
        let (low, high) = match self.size {
            TileRegionSize::Count(_) => {
                ([0; 3], [self.grid.width, self.grid.height, self.grid.depth])
            }
            TileRegionSize::Box {
                width,
                height,
                depth,
            } => {
                let low = [self.start.x, self.start.y, self.start.z];
                (low, [low[0] + width, low[1] + height, low[2] + depth])
            }
        };
        self.at.x += 1;
        if self.at.x == high[0] {
            (self.at.x, self.at.y) = (low[0], self.at.y + 1);
        }
        if self.at.y == high[1] {
            (self.at.y, self.at.z) = (low[1], self.at.z + 1);
        }
        if self.at.z == high[2] {
            (self.at.z, self.at.subresource) = (low[2], self.at.subresource + 1);
            // Past the last tile of a region there need be no grid.
            if let Ok(grid) = self.texture.tile_grid(self.shape, self.at.subresource) {
                self.grid = grid;
            }
        }
    }
}

impl Iterator for Tiles {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.next == self.count {
            return None;
        }
        let piece = self.piece();
        self.next += 1;
        self.advance();
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
