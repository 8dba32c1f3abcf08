//! Images on a device: every kind of region, filled and read back, against a model that knows only
//! the rules.

use std::sync::Arc;

use ds_core::gpu::{
    Buffer, Commands, Device, GpuError, Image, ImageDesc, ImageKind, ImageRegion, ImageState,
    LayoutError, Place, TextureBox, TileCoordinate, TileRegionSize,
};

use crate::model::{Format, Model, noise};
use crate::rig;

const UNTOUCHED: u8 = 0xAB;
const UNDEFINED: ImageState = ImageState::UNDEFINED;
/// `VK_IMAGE_LAYOUT_GENERAL` and `VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL`.
const GENERAL: ImageState = ImageState {
    layout: 1,
    family: None,
};
const READ_ONLY: ImageState = ImageState {
    layout: 5,
    family: None,
};

const fn format(name: &'static str, vulkan: i32, block: [usize; 2], bytes: usize) -> Format {
    Format {
        name,
        vulkan,
        block,
        bytes,
    }
}

const R8: Format = format("R8", 9, [1, 1], 1);
const RGBA8: Format = format("RGBA8", 37, [1, 1], 4);
const RGB32: Format = format("RGB32", 106, [1, 1], 12);
const BC1: Format = format("BC1", 133, [4, 4], 8);
const BC7: Format = format("BC7", 145, [4, 4], 16);

/// One of every block size, compressed or not.
const FORMATS: [Format; 15] = [
    R8,
    format("RG8", 16, [1, 1], 2),
    format("RGB8", 23, [1, 1], 3),
    RGBA8,
    format("BGRA8", 44, [1, 1], 4),
    format("RGB16", 90, [1, 1], 6),
    format("RGBA16", 97, [1, 1], 8),
    RGB32,
    format("RGBA32", 109, [1, 1], 16),
    BC1,
    format("BC3", 137, [4, 4], 16),
    format("BC4", 139, [4, 4], 8),
    BC7,
    format("ETC2 RGBA8", 151, [4, 4], 16),
    format("ASTC 8x5", 167, [8, 5], 16),
];

fn desc(format: Format, kind: ImageKind, extent: [u32; 3], mips: u32, layers: u32) -> ImageDesc {
    ImageDesc {
        image: 0,
        kind,
        format: format.vulkan,
        width: extent[0],
        height: extent[1],
        depth: extent[2],
        mip_levels: mips,
        array_layers: layers,
        before: UNDEFINED,
        after: READ_ONLY,
    }
}

/// An image, what it should hold, and the means to fill and read it.
struct Bench {
    image: Image,
    model: Model,
    commands: Commands,
    device: Arc<Device>,
    seed: u32,
}

impl Bench {
    /// `None`, with a line that says so, where the device has no such images.
    fn new(device: &Arc<Device>, format: Format, desc: ImageDesc) -> Option<Bench> {
        match Image::new(device, &desc) {
            Ok(image) => Some(Bench {
                image,
                model: Model::new(format, desc),
                commands: Commands::new(device).unwrap(),
                device: Arc::clone(device),
                seed: 0,
            }),
            Err(GpuError::Unsupported(what)) => {
                println!("not on this device: {what}");
                None
            }
            Err(error) => panic!("{}: {error}", format.name),
        }
    }

    /// Uploads noise into a region from `offset` in a staging buffer.
    fn fill(&mut self, region: ImageRegion, offset: u64, before: ImageState, after: ImageState) {
        self.seed += 1;
        // Large enough for any region here; the model says how much of it is the payload.
        let payload = noise(4 << 20, self.seed);
        let bytes = self.model.fill(region, &payload);
        self.upload(region, &payload[..bytes], offset, before, after)
            .unwrap();
    }

    fn upload(
        &mut self,
        region: ImageRegion,
        payload: &[u8],
        offset: u64,
        before: ImageState,
        after: ImageState,
    ) -> Result<(), GpuError> {
        let bytes = payload.len() as u64;
        let mut staging = Buffer::new(&self.device, Place::Staging, offset + bytes)?;
        staging.write(offset, payload)?;
        let (commands, source) = (&mut self.commands, (&staging, offset));
        // SAFETY: each test names the layout it left the image in; nothing else uses it.
        unsafe {
            self.image
                .upload(commands, source, bytes, region, before, after)
        }
    }

    fn compare(&mut self, state: ImageState) {
        let desc = self.image.desc();
        for subresource in 0..desc.mip_levels * desc.array_layers {
            let mut found = vec![UNTOUCHED; 4 << 20];
            let mut back = Buffer::new(&self.device, Place::Readback, 4 << 20).unwrap();
            back.write(0, &found).unwrap();
            let (commands, target) = (&mut self.commands, (&back, 0));
            // SAFETY: each test names the layout it left the image in; nothing else uses it.
            let done = unsafe { self.image.download(commands, subresource, state, target) };
            done.unwrap();
            back.read(0, &mut found).unwrap();
            self.model.compare(subresource, &found, UNTOUCHED);
        }
    }
}

const ALL: ImageRegion = ImageRegion::MultipleSubresources { first: 0 };

#[test]
fn every_format_arrives_from_any_offset() {
    let Some(device) = rig::device("every_format_arrives_from_any_offset") else {
        return;
    };
    for format in FORMATS {
        let desc = desc(format, ImageKind::D2, [37, 23, 1], 4, 2);
        for offset in [0, 48, 5] {
            let Some(mut bench) = Bench::new(&device, format, desc) else {
                break;
            };
            bench.fill(ALL, offset, UNDEFINED, READ_ONLY);
            bench.compare(READ_ONLY);
        }
    }
}

#[test]
fn volumes_and_lines_arrive_with_all_their_mips() {
    let Some(device) = rig::device("volumes_and_lines_arrive_with_all_their_mips") else {
        return;
    };
    for format in FORMATS {
        for desc in [
            desc(format, ImageKind::D3, [21, 10, 7], 5, 1),
            desc(format, ImageKind::D1, [300, 1, 1], 9, 3),
        ] {
            let Some(mut bench) = Bench::new(&device, format, desc) else {
                continue;
            };
            bench.fill(ALL, 0, UNDEFINED, GENERAL);
            bench.compare(GENERAL);
        }
    }
}

fn boxed(subresource: u32, from: [u32; 3], to: [u32; 3]) -> ImageRegion {
    let region = TextureBox {
        left: from[0],
        top: from[1],
        front: from[2],
        right: to[0],
        bottom: to[1],
        back: to[2],
    };
    ImageRegion::Texture {
        subresource,
        region,
    }
}

#[test]
fn boxes_change_nothing_around_them() {
    let Some(device) = rig::device("boxes_change_nothing_around_them") else {
        return;
    };
    for format in [R8, RGBA8, RGB32, BC1, BC7] {
        let desc = desc(format, ImageKind::D2, [70, 42, 1], 3, 2);
        let Some(mut bench) = Bench::new(&device, format, desc) else {
            continue;
        };
        bench.fill(ALL, 0, UNDEFINED, READ_ONLY);
        bench.fill(boxed(0, [8, 4, 0], [40, 20, 1]), 0, READ_ONLY, READ_ONLY);
        bench.fill(boxed(0, [64, 40, 0], [70, 42, 1]), 16, READ_ONLY, GENERAL);
        bench.fill(boxed(0, [0, 0, 0], [4, 4, 1]), 3, GENERAL, GENERAL);
        bench.fill(boxed(5, [8, 8, 0], [16, 10, 1]), 0, READ_ONLY, READ_ONLY);
        bench.fill(boxed(0, [4, 4, 0], [8, 8, 1]), 0, GENERAL, READ_ONLY);
        bench.compare(READ_ONLY);
    }
}

#[test]
fn boxes_of_volumes_change_nothing_around_them() {
    let Some(device) = rig::device("boxes_of_volumes_change_nothing_around_them") else {
        return;
    };
    for format in [RGBA8, BC7] {
        let desc = desc(format, ImageKind::D3, [40, 24, 9], 2, 1);
        let Some(mut bench) = Bench::new(&device, format, desc) else {
            continue;
        };
        bench.fill(ALL, 0, UNDEFINED, GENERAL);
        bench.fill(boxed(0, [4, 8, 2], [20, 24, 5]), 0, GENERAL, GENERAL);
        bench.fill(boxed(1, [16, 8, 3], [20, 12, 4]), 7, GENERAL, GENERAL);
        bench.compare(GENERAL);
    }
}

#[test]
fn a_range_fills_its_subresources_and_no_other() {
    let Some(device) = rig::device("a_range_fills_its_subresources_and_no_other") else {
        return;
    };
    for format in [RGBA8, BC1] {
        let desc = desc(format, ImageKind::D2, [50, 50, 1], 3, 3);
        let Some(mut bench) = Bench::new(&device, format, desc) else {
            continue;
        };
        bench.fill(ALL, 0, UNDEFINED, READ_ONLY);
        let range = ImageRegion::MultipleSubresourcesRange { first: 2, count: 3 };
        bench.fill(range, 0, UNDEFINED, READ_ONLY);
        let rest = ImageRegion::MultipleSubresources { first: 7 };
        bench.fill(rest, 0, READ_ONLY, READ_ONLY);
        bench.compare(READ_ONLY);
    }
}

/// Tiles of 128 x 128 and 256 x 256 texels; the image ends inside the last ones.
#[test]
fn tiles_arrive_where_they_belong() {
    let Some(device) = rig::device("tiles_arrive_where_they_belong") else {
        return;
    };
    for (format, extent, kind, shape) in [
        (RGBA8, [300, 200, 1], ImageKind::D2, [128, 128, 1]),
        (BC7, [600, 300, 1], ImageKind::D2, [256, 256, 1]),
        (RGBA8, [70, 33, 18], ImageKind::D3, [32, 32, 16]),
    ] {
        let desc = desc(format, kind, extent, 2, 1);
        let Some(mut bench) = Bench::new(&device, format, desc) else {
            continue;
        };
        bench.fill(ALL, 0, UNDEFINED, GENERAL);
        let start = TileCoordinate {
            x: 1,
            y: 0,
            z: 0,
            subresource: 0,
        };
        let tiles = noise(4 * 65_536, 99);
        // Along x from the second tile on, then the next row.
        let count = ImageRegion::Tiles {
            start,
            size: TileRegionSize::Count(4),
        };
        bench.upload(count, &tiles, 0, GENERAL, GENERAL).unwrap();
        for (tile, [x, y]) in tiles.chunks(65_536).zip([[1, 0], [2, 0], [0, 1], [1, 1]]) {
            bench
                .model
                .fill_tile(0, [x * shape[0], y * shape[1], 0], shape, tile);
        }
        bench.compare(GENERAL);
        let column = ImageRegion::Tiles {
            start,
            size: TileRegionSize::Box {
                width: 1,
                height: 2,
                depth: 1,
            },
        };
        let tiles = noise(2 * 65_536, 100);
        bench.upload(column, &tiles, 512, GENERAL, GENERAL).unwrap();
        for (tile, y) in tiles.chunks(65_536).zip([0, 1]) {
            bench
                .model
                .fill_tile(0, [shape[0], y * shape[1], 0], shape, tile);
        }
        bench.compare(GENERAL);
    }
}

#[test]
fn what_cannot_be_filled_is_refused_with_the_reason() {
    let Some(device) = rig::device("what_cannot_be_filled_is_refused_with_the_reason") else {
        return;
    };
    let good = desc(RGBA8, ImageKind::D2, [8, 8, 1], 1, 1);
    let depth = ImageDesc {
        format: 126,
        ..good
    };
    for wrong in [
        ImageDesc { width: 0, ..good },
        ImageDesc {
            mip_levels: 9,
            ..good
        },
        depth,
    ] {
        let error = Image::new(&device, &wrong).err().unwrap();
        assert!(matches!(error, GpuError::Layout(_)), "{error}");
        assert_eq!(ds_core::Error::from(error), ds_core::Error::InvalidArgument);
    }
    let large = ImageDesc {
        width: 65_536,
        ..good
    };
    let error = Image::new(&device, &large).err().unwrap();
    assert!(matches!(error, GpuError::Unsupported(_)), "{error}");
    device.fail_allocations_after(0);
    let error = Image::new(&device, &good).err().unwrap();
    assert!(error.is_out_of_memory(), "{error}");
    device.fail_allocations_after(u32::MAX);

    let mut bench = Bench::new(&device, RGBA8, good).unwrap();
    let payload = noise(7 * 256 + 32, 1);
    let mut refused = |region, payload: &[u8]| {
        let result = bench.upload(region, payload, 0, UNDEFINED, READ_ONLY);
        match result {
            Err(GpuError::Layout(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let part = boxed(0, [0, 0, 0], [8, 7, 1]);
    let short = refused(ALL, &payload[1..]);
    assert!(matches!(short, LayoutError::PayloadSize { .. }), "{short}");
    assert_eq!(
        refused(part, &payload[256..]),
        LayoutError::UndefinedNeedsWhole
    );
    let outside = refused(boxed(0, [0, 0, 0], [9, 8, 1]), &payload);
    assert!(matches!(outside, LayoutError::BoxOutside(_)), "{outside}");
    bench
        .upload(ALL, &payload, 0, UNDEFINED, READ_ONLY)
        .unwrap();
}
