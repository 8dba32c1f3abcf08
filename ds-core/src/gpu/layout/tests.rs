//! Tests of the layout: Microsoft's published rules worked out by hand, and against a slow walk over
//! every row.

#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;

pub(crate) fn texture(
    kind: ImageKind,
    vulkan: i32,
    extent: [u32; 3],
    mip_levels: u32,
    array_layers: u32,
) -> Result<Texture, LayoutError> {
    let [width, height, depth] = extent;
    let extent = Extent {
        width,
        height,
        depth,
    };
    Texture::new(
        kind,
        Format::from_vulkan(vulkan)?,
        extent,
        mip_levels,
        array_layers,
    )
}

fn whole(width: u32, height: u32, depth: u32) -> TextureBox {
    TextureBox {
        left: 0,
        top: 0,
        front: 0,
        right: width,
        bottom: height,
        back: depth,
    }
}

const RGBA8: i32 = 37;
const RGB32: i32 = 106;
const BC1: i32 = 133;
const BC7: i32 = 145;

/// The worked example of the specification: BC7, 1000 by 500.
#[test]
fn the_mips_of_a_bc7_texture_lie_where_direct3d_puts_them() {
    let texture = texture(ImageKind::D2, BC7, [1000, 500, 1], 10, 1).expect("a texture");
    let range = texture.range(0, Some(5)).expect("five mips");
    let found: Vec<_> = texture
        .subresources(range)
        .map(|piece| {
            let at = piece.footprint;
            (at.rows, at.row_bytes, at.row_pitch, at.offset, at.end())
        })
        .collect();
    let expected = [
        (125, 4000, 4096, 0, 511_904),
        (63, 2000, 2048, 512_000, 640_976),
        (32, 1008, 1024, 641_024, 673_776),
        (16, 512, 512, 673_792, 681_984),
        (8, 256, 256, 681_984, 684_032),
    ];
    assert_eq!(found, expected);
}

#[test]
fn layers_follow_the_last_mip_and_offsets_restart_at_the_first_subresource() {
    let texture = texture(ImageKind::D2, RGBA8, [8, 8, 1], 4, 3).expect("a texture");
    assert_eq!(texture.subresource_count(), 12);
    let pieces: Vec<_> = texture
        .subresources(texture.range(3, Some(2)).expect("in range"))
        .collect();
    assert_eq!((pieces[0].mip, pieces[0].layer), (3, 0));
    assert_eq!((pieces[1].mip, pieces[1].layer), (0, 1));
    assert_eq!(pieces[0].footprint.offset, 0);
    assert_eq!(pieces[0].footprint.end(), 4, "one texel, nothing padded");
    assert_eq!(pieces[1].footprint.offset, 512);
    assert_eq!(pieces[1].footprint.end(), 512 + 7 * 256 + 32);
    assert!(pieces.iter().all(|piece| piece.whole));
    let last = texture
        .subresources(texture.range(4, None).expect("to the end"))
        .last()
        .expect("eight of them");
    assert_eq!((last.mip, last.layer), (3, 2));
}

#[test]
fn slices_of_a_volume_lie_all_rows_apart() {
    let texture = texture(ImageKind::D3, BC1, [16, 12, 5], 3, 1).expect("a texture");
    let mips: Vec<_> = texture
        .subresources(texture.range(0, None).expect("all"))
        .collect();
    let mip = mips[0].footprint;
    assert_eq!((mip.row_bytes, mip.rows, mip.slices), (32, 3, 5));
    assert_eq!(mip.slice_pitch, 3 * 256);
    assert_eq!(mip.end(), 4 * 768 + 2 * 256 + 32);
    let depths: Vec<_> = mips.iter().map(|mip| mip.extent.depth).collect();
    assert_eq!(depths, [5, 2, 1], "the depth halves too");
}

#[test]
fn a_box_of_blocks_may_end_where_the_mip_ends() {
    let texture = texture(ImageKind::D2, BC7, [10, 10, 1], 4, 1).expect("a texture");
    let region = |subresource, left, top, right, bottom| {
        let region = TextureBox {
            left,
            top,
            front: 0,
            right,
            bottom,
            back: 1,
        };
        texture.region(subresource, region)
    };
    // 10 texels are three blocks; both ways of naming the end are common.
    for end in [10, 12] {
        let piece = region(0, 8, 4, end, 8).expect("a box");
        assert_eq!((piece.extent.width, piece.extent.height), (2, 4));
        assert_eq!(piece.footprint.row_bytes, 16);
        assert!(!piece.whole);
    }
    for end in [1, 4] {
        let piece = region(3, 0, 0, end, end).expect("the last mip");
        assert_eq!((piece.extent.width, piece.whole), (1, true));
    }
    let cuts = |left, right| {
        let result = region(0, left, 0, right, 4);
        matches!(result, Err(LayoutError::BoxCutsBlocks(_)))
    };
    assert!(cuts(2, 8) && cuts(0, 6) && cuts(0, 9));
    assert!(matches!(
        region(0, 0, 0, 13, 4),
        Err(LayoutError::BoxOutside(_))
    ));
    assert!(matches!(
        region(0, 0, 0, u32::MAX, 4),
        Err(LayoutError::BoxOutside(_))
    ));
    assert_eq!(region(0, 4, 0, 4, 4), Err(LayoutError::Empty));
    assert_eq!(region(0, 8, 0, 4, 4), Err(LayoutError::Empty));
    let missing = LayoutError::Subresource { end: 5, count: 4 };
    assert_eq!(region(4, 0, 0, 4, 4), Err(missing));
}

#[test]
fn descriptions_that_make_no_texture_are_refused() {
    use ImageKind::{D1, D2, D3};
    let too_many = |levels, levels_max| LayoutError::TooManyMips { levels, levels_max };
    let depth = LayoutError::Format(FormatError::DepthStencil(126));
    for (kind, format, extent, mips, layers, expected) in [
        (D2, RGBA8, [0, 4, 1], 1, 1, LayoutError::ZeroExtent),
        (D2, RGBA8, [4, 0, 1], 1, 1, LayoutError::ZeroExtent),
        (D2, RGBA8, [4, 4, 0], 1, 1, LayoutError::ZeroExtent),
        (D2, RGBA8, [4, 4, 1], 0, 1, LayoutError::ZeroExtent),
        (D2, RGBA8, [4, 4, 1], 1, 0, LayoutError::ZeroExtent),
        (D2, RGBA8, [65_537, 4, 1], 1, 1, LayoutError::ExtentTooLarge),
        (D2, RGBA8, [4, 4, 1], 1, 65_537, LayoutError::ExtentTooLarge),
        (D2, RGBA8, [4, 4, 2], 1, 1, LayoutError::KindMismatch(D2)),
        (D1, RGBA8, [4, 4, 1], 1, 1, LayoutError::KindMismatch(D1)),
        (D3, RGBA8, [4, 4, 4], 1, 2, LayoutError::KindMismatch(D3)),
        (D2, RGBA8, [4, 4, 1], 4, 1, too_many(4, 3)),
        (D2, RGBA8, [4, 4, 1], u32::MAX, 1, too_many(u32::MAX, 3)),
        (D2, 126, [4, 4, 1], 1, 1, depth),
    ] {
        let result = texture(kind, format, extent, mips, layers);
        assert_eq!(result, Err(expected), "{expected}");
    }
}

#[test]
fn ranges_outside_the_texture_are_refused() {
    let texture = texture(ImageKind::D2, RGBA8, [4, 4, 1], 3, 2).expect("a texture");
    let missing = |end| Err(LayoutError::Subresource { end, count: 6 });
    assert_eq!(texture.range(0, Some(6)), Ok(0..6));
    assert_eq!(texture.range(5, None), Ok(5..6));
    assert_eq!(texture.range(0, Some(0)), Err(LayoutError::Empty));
    assert_eq!(texture.range(0, Some(7)), missing(7));
    assert_eq!(texture.range(6, None), missing(7));
    assert_eq!(texture.range(1, Some(u32::MAX)), missing(1 << 32));
    assert_eq!(texture.range(u32::MAX, Some(u32::MAX)), missing(1 << 32));
}

#[test]
fn the_largest_textures_do_not_overflow() {
    let largest = EXTENT_MAX;
    let layers = texture(
        ImageKind::D2,
        121,
        [largest, largest, 1],
        17,
        ARRAY_LAYERS_MAX,
    )
    .expect("sixty-four-bit arithmetic");
    let range = layers.range(0, None).expect("all");
    assert_eq!(range.len(), 17 << 16);
    let end = layers.subresources(range).last().expect("many").footprint;
    let expected_min = (1u64 << 16) * (1 << 16) * (1 << 16) * 32;
    assert!(end.end() > expected_min && end.end() < 2 * expected_min);
    let volume = texture(ImageKind::D3, 121, [largest; 3], 17, 1).expect("a volume");
    let all = volume.subresources(volume.range(0, None).expect("all"));
    assert!(all.last().expect("many").footprint.end() > expected_min);
    let piece = volume.region(0, whole(largest, largest, largest));
    assert_eq!(piece.expect("all of it").footprint.end(), expected_min);
}

#[test]
fn a_texel_of_twelve_bytes_does_not_divide_its_pitch() {
    let texture = texture(ImageKind::D2, RGB32, [50, 3, 1], 1, 1).expect("a texture");
    let piece = texture.region(0, whole(50, 3, 1)).expect("all of it");
    assert_eq!(
        (piece.footprint.row_bytes, piece.footprint.row_pitch),
        (600, 768)
    );
    assert!(
        piece.footprint.row_pitch.is_multiple_of(12),
        "768 happens to"
    );
    let narrow = texture.region(0, whole(20, 3, 1)).expect("a part");
    assert_eq!(narrow.footprint.row_pitch % 12, 4);
}

fn any_texture() -> impl Strategy<Value = Texture> {
    let formats = prop::sample::select(vec![9, 16, 30, RGBA8, 84, RGB32, BC1, BC7, 171, 183]);
    let kinds = prop::sample::select(vec![ImageKind::D1, ImageKind::D2, ImageKind::D3]);
    (kinds, formats, [1u32..90, 1..90, 1..20], 1u32..8, 1u32..4).prop_map(
        |(kind, format, [width, height, depth], mips, layers)| {
            let extent = match kind {
                ImageKind::D1 => [width, 1, 1],
                ImageKind::D2 => [width, height, 1],
                ImageKind::D3 => [width, height, depth],
            };
            let largest = extent.into_iter().max().expect("three");
            let layers = if kind == ImageKind::D3 { 1 } else { layers };
            texture(kind, format, extent, mips.min(largest.ilog2() + 1), layers).expect("sound")
        },
    )
}

proptest! {
    /// Every row of every slice of every subresource begins where the rules say, after the end of
    /// the one before, and the last ends the payload.
    #[test]
    fn rows_are_in_order_aligned_and_apart(texture in any_texture(), first in 0u32..24) {
        let first = first % texture.subresource_count();
        let block = texture.format().block;
        let mut end = 0;
        let mut last = None;
        for piece in texture.subresources(texture.range(first, None).expect("in range")) {
            let at = piece.footprint;
            prop_assert!(at.offset.is_multiple_of(SUBRESOURCE_ALIGNMENT));
            prop_assert!(at.offset - end < SUBRESOURCE_ALIGNMENT, "no more padding than needed");
            for slice in 0..at.slices {
                for row in 0..at.rows {
                    let start = at.offset + slice * at.slice_pitch + row * at.row_pitch;
                    prop_assert!(start >= end && (start - at.offset).is_multiple_of(ROW_PITCH_ALIGNMENT));
                    end = start + at.row_bytes;
                }
            }
            prop_assert_eq!(end, at.end());
            prop_assert_eq!(at.slices, u64::from(piece.extent.depth));
            let texels = at.row_bytes / u64::from(block.bytes) * u64::from(block.width);
            prop_assert!((0..u64::from(block.width)).contains(&(texels - u64::from(piece.extent.width))));
            last = Some(piece);
        }
        let last = last.expect("at least one").footprint;
        prop_assert_eq!(last.end(), end);
        prop_assert!(last.padded_end() >= end && last.padded_end() - end < 768 + last.slice_pitch);
    }

    /// Any box is refused, or lies inside its subresource on borders of blocks.
    #[test]
    fn boxes_stay_inside(
        texture in any_texture(),
        subresource in 0u32..30,
        sides in prop::array::uniform6(0u32..100),
    ) {
        let [left, right, top, bottom, front, back] = sides;
        let region = TextureBox { left, top, front, right, bottom, back };
        let Ok(piece) = texture.region(subresource, region) else { return Ok(()) };
        let (mip, _) = texture.split(subresource).expect("it has a region");
        let (end, unit) = (texture.mip_extent(mip), texture.format().block.extent());
        for (origin, length, end, unit) in [
            (piece.origin[0], piece.extent.width, end.width, unit.width),
            (piece.origin[1], piece.extent.height, end.height, unit.height),
            (piece.origin[2], piece.extent.depth, end.depth, unit.depth),
        ] {
            prop_assert!(length > 0 && origin + length <= end);
            prop_assert!(origin.is_multiple_of(unit));
            prop_assert!(length.is_multiple_of(unit) || origin + length == end);
        }
    }
}
