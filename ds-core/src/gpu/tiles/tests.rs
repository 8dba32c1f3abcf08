//! Tests of tiles: shapes from the published tables, order, and that tiles cover a mip exactly once.

#![forbid(unsafe_code)]

use super::*;
use crate::gpu::format::Format;

fn texture(kind: ImageKind, vulkan: i32, extent: [u32; 3], mips: u32, layers: u32) -> Texture {
    let [width, height, depth] = extent;
    let extent = Extent {
        width,
        height,
        depth,
    };
    let format = Format::from_vulkan(vulkan).expect("a format");
    Texture::new(kind, format, extent, mips, layers).expect("a texture")
}

fn at(x: u32, y: u32, z: u32, subresource: u32) -> TileCoordinate {
    TileCoordinate {
        x,
        y,
        z,
        subresource,
    }
}

#[test]
fn shapes_are_direct3ds_and_hold_64_kib() {
    for (kind, vulkan, expected) in [
        (ImageKind::D2, 9, [256, 256, 1]),   // R8
        (ImageKind::D2, 16, [256, 128, 1]),  // R8G8
        (ImageKind::D2, 37, [128, 128, 1]),  // RGBA8
        (ImageKind::D2, 97, [128, 64, 1]),   // RGBA16
        (ImageKind::D2, 109, [64, 64, 1]),   // RGBA32
        (ImageKind::D2, 133, [512, 256, 1]), // BC1
        (ImageKind::D2, 145, [256, 256, 1]), // BC7
        (ImageKind::D3, 9, [64, 32, 32]),
        (ImageKind::D3, 16, [32, 32, 32]),
        (ImageKind::D3, 37, [32, 32, 16]),
        (ImageKind::D3, 97, [32, 16, 16]),
        (ImageKind::D3, 109, [16, 16, 16]),
        (ImageKind::D3, 133, [128, 64, 16]),
        (ImageKind::D3, 145, [64, 64, 16]),
    ] {
        let depth = if kind == ImageKind::D3 { 512 } else { 1 };
        let texture = texture(kind, vulkan, [512, 512, depth], 1, 1);
        let shape = texture.tile_shape().expect("a shape");
        assert_eq!(
            [shape.width, shape.height, shape.depth],
            expected,
            "{vulkan}"
        );
        let block = texture.format().block;
        let blocks = shape.divided_by(block.extent());
        let bytes = u64::from(blocks.width)
            * u64::from(blocks.height)
            * u64::from(blocks.depth)
            * u64::from(block.bytes);
        assert_eq!(bytes, TILE_BYTES);
    }
    let line = texture(ImageKind::D1, 37, [4096, 1, 1], 1, 1);
    assert_eq!(line.tile_shape(), Err(LayoutError::NoTileShape));
    let rgb = texture(ImageKind::D2, 106, [512, 512, 1], 1, 1);
    assert_eq!(rgb.tile_shape(), Err(LayoutError::NoTileShape));
    let astc = texture(ImageKind::D2, 183, [512, 512, 1], 1, 1);
    assert_eq!(astc.tile_shape(), Err(LayoutError::NoTileShape));
}

/// Counts how often each texel is reached; every one must be, once.
#[test]
fn all_tiles_cover_a_mip_exactly_once() {
    for (kind, vulkan, extent) in [
        (ImageKind::D2, 37, [300, 200, 1]),
        (ImageKind::D2, 133, [700, 300, 1]),
        (ImageKind::D3, 37, [70, 33, 18]),
        (ImageKind::D3, 145, [66, 130, 40]),
    ] {
        let texture = texture(kind, vulkan, extent, 1, 1);
        let [width, height, depth] = extent.map(|side| side as usize);
        let grid = texture
            .tile_grid(texture.tile_shape().expect("a shape"), 0)
            .expect("larger than a tile");
        let count = grid.width * grid.height * grid.depth;
        let boxed = TileRegionSize::Box {
            width: grid.width,
            height: grid.height,
            depth: grid.depth,
        };
        for size in [TileRegionSize::Count(count), boxed] {
            let mut reached = vec![0u8; width * height * depth];
            let tiles = texture.tiles(at(0, 0, 0, 0), size).expect("all of them");
            assert_eq!(tiles.bytes(), u64::from(count) * TILE_BYTES);
            for (index, piece) in tiles.enumerate() {
                let (from, size) = (piece.origin.map(|at| at as usize), piece.extent);
                for z in 0..size.depth as usize {
                    for y in 0..size.height as usize {
                        let row = ((from[2] + z) * height + from[1] + y) * width + from[0];
                        for texel in &mut reached[row..row + size.width as usize] {
                            *texel += 1;
                        }
                    }
                }
                let at = piece.footprint;
                assert_eq!(at.offset, index as u64 * TILE_BYTES);
                assert!(at.end() <= at.offset + TILE_BYTES, "inside its 64 KiB");
            }
            assert!(reached.iter().all(|&times| times == 1), "{vulkan} {size:?}");
        }
    }
}

#[test]
fn a_count_runs_along_x_and_on_into_the_next_mip() {
    // Mip 0 has 3x2 tiles, mip 1 has 2x1, mip 2 is smaller than a tile.
    let texture = texture(ImageKind::D2, 37, [384, 256, 1], 3, 2);
    let places = |start, count| {
        let tiles = texture.tiles(start, TileRegionSize::Count(count));
        tiles.map(|tiles| {
            tiles
                .map(|piece| (piece.mip, piece.layer, piece.origin[0], piece.origin[1]))
                .collect::<Vec<_>>()
        })
    };
    let expected = vec![
        (0, 0, 256, 0),
        (0, 0, 0, 128),
        (0, 0, 128, 128),
        (0, 0, 256, 128),
        (1, 0, 0, 0),
        (1, 0, 128, 0),
    ];
    assert_eq!(places(at(2, 0, 0, 0), 6), Ok(expected));
    assert_eq!(places(at(2, 0, 0, 0), 7), Err(LayoutError::PackedMip(2)));
    assert_eq!(places(at(0, 0, 0, 2), 1), Err(LayoutError::PackedMip(2)));
    assert_eq!(places(at(0, 0, 0, 3), 1), Ok(vec![(0, 1, 0, 0)]));
    assert_eq!(places(at(0, 0, 0, 0), 0), Err(LayoutError::Empty));
    assert_eq!(
        places(at(3, 0, 0, 0), 1),
        Err(LayoutError::TileOutside(at(3, 0, 0, 0)))
    );
    let missing = LayoutError::Subresource { end: 7, count: 6 };
    assert_eq!(places(at(0, 0, 0, 6), 1), Err(missing));
    assert!(places(at(0, 0, 0, 0), u32::MAX).is_err());
}

#[test]
fn boxes_of_tiles_stay_in_their_subresource() {
    let texture = texture(ImageKind::D2, 37, [512, 512, 1], 2, 1);
    let tiles = |start, width, height, depth| {
        let size = TileRegionSize::Box {
            width,
            height,
            depth,
        };
        texture.tiles(start, size).map(|tiles| {
            tiles
                .map(|piece| (piece.origin[0] / 128, piece.origin[1] / 128))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        tiles(at(1, 2, 0, 0), 2, 2, 1),
        Ok(vec![(1, 2), (2, 2), (1, 3), (2, 3)])
    );
    let outside = |x, y, z| Err(LayoutError::TileOutside(at(x, y, z, 0)));
    assert_eq!(tiles(at(1, 2, 0, 0), 4, 2, 1), outside(4, 3, 0));
    assert_eq!(tiles(at(1, 2, 0, 0), 2, 3, 1), outside(2, 4, 0));
    assert_eq!(tiles(at(1, 2, 0, 0), 2, 2, 2), outside(2, 3, 1));
    assert_eq!(
        tiles(at(1, 2, 0, 0), u32::MAX, 1, 1),
        outside(u32::MAX, 2, 0)
    );
    assert_eq!(tiles(at(0, 0, 0, 0), 0, 1, 1), Err(LayoutError::Empty));
}

#[test]
fn a_box_names_as_many_tiles_as_it_has() {
    let size = TileRegionSize::new(24, true, [4, 3, 2]).expect("they agree");
    let expected = TileRegionSize::Box {
        width: 4,
        height: 3,
        depth: 2,
    };
    assert_eq!(size, expected);
    let count = TileRegionSize::new(5, false, [9, 9, 9]).expect("the box is not looked at");
    assert_eq!(count, TileRegionSize::Count(5));
    let wrong = TileRegionSize::new(0, true, [u32::MAX; 3]).expect_err("overflows, but not here");
    assert!(matches!(wrong, LayoutError::TileCount { tiles: 0, .. }));
    // The product of these is 0 too, but on the way to it 32 bits overflow.
    let flat = TileRegionSize::new(0, true, [1 << 31, 2, 0]);
    assert_eq!(flat, Err(LayoutError::Empty));
}
