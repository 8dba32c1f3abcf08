//! Requests with images as destinations: every kind of region, from file and memory, plain and
//! compressed, decoded by the host and by the GPU; and what is refused.
#![forbid(unsafe_code)]

use std::time::Duration;

use ds_core::gdeflate::Codec;
use ds_core::gdeflate::encode::Level;
use ds_core::gpu::{
    GpuDevice, GpuImage, ImageDesc, ImageKind, ImageRegion, ImageState, TextureBox, TileCoordinate,
    TileRegionSize,
};
use ds_core::{
    Buffer, Compression, Config, Destination, Error, File, GpuDecode, Queue, QueueDesc, Request,
    Runtime, S_OK, Source, StatusArray,
};

use crate::model::{Format, Model, noise};
use crate::rig::{self, Validated};

const RGBA8: Format = Format {
    name: "RGBA8",
    vulkan: 37,
    block: [1, 1],
    bytes: 4,
};
const BC7: Format = Format {
    name: "BC7",
    vulkan: 145,
    block: [4, 4],
    bytes: 16,
};
const RGB32: Format = Format {
    name: "RGB32",
    vulkan: 106,
    block: [1, 1],
    bytes: 12,
};
/// `VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL`.
const READ_ONLY: ImageState = ImageState {
    layout: 5,
    family: None,
};

/// How a payload comes to its request.
#[derive(Clone, Copy, Debug)]
enum Origin {
    File,
    /// From an offset that no texel is aligned to.
    OddFile,
    CompressedFile,
    Memory,
    CompressedMemory,
}

/// A runtime with a device under validation. The device is looked at last, when all else is gone.
struct Rig {
    runtime: Runtime,
    device: GpuDevice,
    _validated: Validated,
}

impl Rig {
    fn new(test: &str, gpu_decode: GpuDecode) -> Option<Rig> {
        let validated = rig::device(test)?;
        let mut config = Config::default();
        config.staging_bytes = 2 << 20;
        config.gpu_decode = gpu_decode;
        Some(Rig {
            runtime: Runtime::exactly(config).unwrap(),
            device: GpuDevice::from(validated.clone()),
            _validated: validated,
        })
    }

    fn image(&self, format: Format, desc: ImageDesc) -> Option<Subject> {
        match self.device.create_image(&desc) {
            Ok(image) => Some(Subject {
                image,
                model: Model::new(format, desc),
                desc,
                seed: 1,
            }),
            Err(ds_core::gpu::GpuError::Unsupported(what)) => {
                println!("not on this device: {what}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn queue(&self, from: Origin) -> Queue {
        let desc = QueueDesc::new(128).device(&self.device);
        let desc = match from {
            Origin::Memory | Origin::CompressedMemory => desc.memory(),
            _ => desc,
        };
        self.runtime.create_queue(desc).unwrap()
    }

    /// Carries out one request, and answers its status.
    fn run(&self, from: Origin, payload: &[u8], to: Destination) -> i32 {
        let queue = self.queue(from);
        queue.enqueue_request(request(from, payload, to));
        finish(&queue)
    }
}

fn request(from: Origin, payload: &[u8], to: Destination) -> Request {
    let compress = || {
        let codec = Codec::new(1);
        codec
            .compress_to_vec(payload, Level::FASTEST, None)
            .unwrap()
    };
    let bytes = payload.len() as u32;
    match from {
        Origin::File => Request::new(file(payload, 0), to),
        Origin::OddFile => Request::new(file(payload, 5), to),
        Origin::CompressedFile => {
            Request::new(file(&compress(), 64), to).compressed(Compression::GDEFLATE, bytes)
        }
        Origin::Memory => Request::new(memory(payload), to),
        Origin::CompressedMemory => {
            Request::new(memory(&compress()), to).compressed(Compression::GDEFLATE, bytes)
        }
    }
}

fn file(contents: &[u8], offset: usize) -> Source {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "gpu-image-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let mut bytes = vec![0xEE; offset];
    bytes.extend(contents);
    std::fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    Source::File {
        file: Some(file),
        offset: offset as u64,
        bytes: contents.len() as u32,
    }
}

fn memory(contents: &[u8]) -> Source {
    let source = Buffer::from_slice(contents).into_source().unwrap();
    Source::Memory(source.part(0, contents.len()).unwrap())
}

fn finish(queue: &Queue) -> i32 {
    let status = StatusArray::new(1, None);
    queue.enqueue_status(Some(&status), 0);
    queue.submit();
    let done = status.wait(0, Some(Duration::from_secs(60)));
    done.expect("it completes")
}

/// An image and what it should hold.
struct Subject {
    image: GpuImage,
    model: Model,
    desc: ImageDesc,
    seed: u32,
}

impl Subject {
    /// A payload for `region`, which the model is given too: every other byte noise, so that it
    /// compresses.
    fn payload(&mut self, region: ImageRegion) -> Vec<u8> {
        self.seed += 1;
        let mut payload = noise(1 << 20, self.seed);
        payload.iter_mut().step_by(2).for_each(|byte| *byte = 7);
        let bytes = self.model.fill(region, &payload);
        payload.truncate(bytes);
        assert_eq!(self.image.payload_bytes(region), Ok(bytes as u64));
        payload
    }

    fn to(&self, region: ImageRegion, payload: &[u8]) -> Destination {
        Destination::Gpu(self.image.region(region, payload.len() as u32))
    }

    /// Rows padded by the copy hold what the buffer held before: zeros.
    fn compare(&self) {
        for subresource in 0..self.image.subresource_count() {
            let found = self.image.read(subresource).unwrap();
            self.model.compare_rows(subresource, &found);
        }
    }
}

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
        before: READ_ONLY,
        after: READ_ONLY,
    }
}

const ALL: ImageRegion = ImageRegion::MultipleSubresources { first: 0 };

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

fn every_region_from(rig: &Rig, sources: &[Origin]) {
    for &from in sources {
        for (format, kind, extent, layers) in [
            (RGBA8, ImageKind::D2, [61, 40, 1], 2),
            (RGB32, ImageKind::D2, [30, 20, 1], 1),
            (BC7, ImageKind::D3, [40, 24, 5], 1),
        ] {
            let desc = desc(format, kind, extent, 3, layers);
            let Some(mut subject) = rig.image(format, desc) else {
                continue;
            };
            let range = ImageRegion::MultipleSubresourcesRange { first: 1, count: 2 };
            for region in [ALL, boxed(0, [8, 4, 0], [24, 16, 1]), range] {
                let payload = subject.payload(region);
                let to = subject.to(region, &payload);
                assert_eq!(rig.run(from, &payload, to), S_OK, "{from:?} {region:?}");
            }
            subject.compare();
        }
    }
}

#[test]
fn every_region_is_filled_from_every_source() {
    let name = "every_region_is_filled_from_every_source";
    let Some(rig) = Rig::new(name, GpuDecode::Cpu) else {
        return;
    };
    use Origin::{CompressedFile, CompressedMemory, File, Memory, OddFile};
    every_region_from(
        &rig,
        &[File, OddFile, CompressedFile, Memory, CompressedMemory],
    );
}

#[test]
fn every_region_is_filled_by_the_gpus_decoder() {
    let name = "every_region_is_filled_by_the_gpus_decoder";
    let Some(rig) = Rig::new(name, GpuDecode::Gpu) else {
        return;
    };
    every_region_from(&rig, &[Origin::CompressedFile, Origin::CompressedMemory]);
}

/// Every row of an image by a request of its own, all in flight at once, each in any order.
#[test]
fn many_requests_fill_one_subresource_together() {
    let name = "many_requests_fill_one_subresource_together";
    let Some(rig) = Rig::new(name, GpuDecode::Auto) else {
        return;
    };
    let Some(mut subject) = rig.image(RGBA8, desc(RGBA8, ImageKind::D2, [80, 100, 1], 1, 1)) else {
        return;
    };
    let queue = rig.queue(Origin::Memory);
    for row in 0..100 {
        let region = boxed(0, [0, row, 0], [80, row + 1, 1]);
        let payload = subject.payload(region);
        let from = match row % 2 {
            0 => Origin::Memory,
            _ => Origin::CompressedMemory,
        };
        queue.enqueue_request(request(from, &payload, subject.to(region, &payload)));
        if row % 10 == 9 {
            queue.submit();
        }
    }
    assert_eq!(finish(&queue), S_OK);
    subject.compare();
}

/// A damaged payload fails its own request; the image beside it, in the same batch, is whole.
fn a_corrupt_payload_fails_alone(rig: &Rig) {
    let desc = desc(RGBA8, ImageKind::D2, [64, 40, 1], 1, 1);
    // Each request has an image of its own: what two of one batch write to the same place is a race.
    let [mut good, bad, mut other] = [(); 3].map(|()| rig.image(RGBA8, desc).unwrap());
    let payload = good.payload(ALL);
    assert!(other.payload(ALL) == payload, "the same noise for both");
    let codec = Codec::new(1);
    let stream = codec.compress_to_vec(&payload, Level::FASTEST, None);
    let (stream, bytes) = (stream.unwrap(), payload.len() as u32);
    let mut damaged = stream.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xFF);
    let queue = rig.queue(Origin::Memory);
    let statuses = StatusArray::new(3, None);
    for (index, stream, subject) in [
        (0, &stream, &good),
        (1, &damaged, &bad),
        (2, &stream, &other),
    ] {
        let to = subject.to(ALL, &payload);
        let request = Request::new(memory(stream), to);
        queue.enqueue_request(request.compressed(Compression::GDEFLATE, bytes));
        queue.enqueue_status(Some(&statuses), index);
    }
    queue.submit();
    let corrupt = Error::Corrupt.hresult();
    for (index, expected) in [(0, S_OK), (1, corrupt), (2, S_OK)] {
        let done = statuses.wait(index, Some(Duration::from_secs(60)));
        assert_eq!(done, Some(expected), "{index}");
    }
    good.compare();
    other.compare();
}

#[test]
fn a_corrupt_payload_fails_alone_on_the_host() {
    let name = "a_corrupt_payload_fails_alone_on_the_host";
    if let Some(rig) = Rig::new(name, GpuDecode::Cpu) {
        a_corrupt_payload_fails_alone(&rig);
    }
}

#[test]
fn a_corrupt_payload_fails_alone_on_the_gpu() {
    let name = "a_corrupt_payload_fails_alone_on_the_gpu";
    if let Some(rig) = Rig::new(name, GpuDecode::Gpu) {
        a_corrupt_payload_fails_alone(&rig);
    }
}

#[test]
fn a_lost_device_fails_requests_into_images() {
    let name = "a_lost_device_fails_requests_into_images";
    let Some(rig) = Rig::new(name, GpuDecode::Auto) else {
        return;
    };
    let desc = desc(RGBA8, ImageKind::D2, [64, 40, 1], 1, 1);
    let mut subject = rig.image(RGBA8, desc).unwrap();
    let payload = subject.payload(ALL);
    rig.device.device().lose_after_submissions(0);
    let lost = Error::DeviceLost.hresult();
    for _ in 0..2 {
        let to = subject.to(ALL, &payload);
        assert_eq!(rig.run(Origin::Memory, &payload, to), lost);
    }
    assert!(rig.device.is_lost());
}

#[test]
fn tiles_arrive_in_their_order() {
    let Some(rig) = Rig::new("tiles_arrive_in_their_order", GpuDecode::Auto) else {
        return;
    };
    let desc = desc(RGBA8, ImageKind::D2, [300, 200, 1], 1, 1);
    let Some(mut subject) = rig.image(RGBA8, desc) else {
        return;
    };
    let start = TileCoordinate {
        x: 1,
        y: 0,
        z: 0,
        subresource: 0,
    };
    let size = TileRegionSize::Count(5);
    let region = ImageRegion::Tiles { start, size };
    let tiles = noise(5 * 65_536, 9);
    let all = subject.payload(ALL);
    assert_eq!(rig.run(Origin::File, &all, subject.to(ALL, &all)), S_OK);
    assert_eq!(
        rig.run(Origin::File, &tiles, subject.to(region, &tiles)),
        S_OK
    );
    let places = [[1, 0], [2, 0], [0, 1], [1, 1], [2, 1]];
    for (tile, [x, y]) in tiles.chunks(65_536).zip(places) {
        subject
            .model
            .fill_tile(0, [x * 128, y * 128, 0], [128, 128, 1], tile);
    }
    subject.compare();
}

#[test]
fn what_does_not_fit_is_refused_and_touches_nothing() {
    let name = "what_does_not_fit_is_refused_and_touches_nothing";
    let Some(rig) = Rig::new(name, GpuDecode::Auto) else {
        return;
    };
    let desc = desc(RGBA8, ImageKind::D2, [64, 64, 1], 2, 1);
    let Some(mut subject) = rig.image(RGBA8, desc) else {
        return;
    };
    let all = subject.payload(ALL);
    assert_eq!(rig.run(Origin::File, &all, subject.to(ALL, &all)), S_OK);
    let invalid = Error::InvalidArgument.hresult();
    let short = &all[..all.len() - 1];
    assert_eq!(
        rig.run(Origin::File, short, subject.to(ALL, short)),
        invalid
    );
    for region in [
        boxed(2, [0, 0, 0], [1, 1, 1]),
        boxed(0, [0, 0, 0], [65, 1, 1]),
        boxed(0, [3, 0, 0], [3, 1, 1]),
        ImageRegion::MultipleSubresources { first: 9 },
        ImageRegion::MultipleSubresourcesRange { first: 1, count: 2 },
    ] {
        let to = subject.to(region, &all);
        assert_eq!(rig.run(Origin::Memory, &all, to), invalid, "{region:?}");
    }
    // The sizes of source and destination are compared as for any other.
    let differs = Error::InvalidDestinationSize.hresult();
    let to = subject.to(ALL, &all);
    assert_eq!(rig.run(Origin::Memory, short, to), differs);
    // Another device's image, and none where a queue has no device.
    let Some(other) = Rig::new(name, GpuDecode::Auto) else {
        return;
    };
    assert_eq!(
        other.run(Origin::Memory, &all, subject.to(ALL, &all)),
        invalid
    );
    subject.compare();
    assert_eq!(subject.desc.mip_levels, 2);
}

#[test]
fn images_of_ours_have_no_impossible_states() {
    let name = "images_of_ours_have_no_impossible_states";
    let Some(rig) = Rig::new(name, GpuDecode::Auto) else {
        return;
    };
    let good = desc(RGBA8, ImageKind::D2, [8, 8, 1], 1, 1);
    let owned = ImageState {
        family: Some(0),
        ..READ_ONLY
    };
    for wrong in [
        ImageDesc {
            before: ImageState::layout(1),
            ..good
        },
        ImageDesc {
            before: owned,
            after: owned,
            ..good
        },
    ] {
        assert!(rig.device.create_image(&wrong).is_err());
    }
    let discards = ImageDesc {
        before: ImageState::UNDEFINED,
        ..good
    };
    let mut subject = rig.image(RGBA8, discards).unwrap();
    let payload = subject.payload(ALL);
    assert_eq!(
        rig.run(Origin::File, &payload, subject.to(ALL, &payload)),
        S_OK
    );
    subject.compare();
    let part = boxed(0, [0, 0, 0], [8, 7, 1]);
    let to = subject.to(part, &payload[256..]);
    let invalid = Error::InvalidArgument.hresult();
    assert_eq!(rig.run(Origin::Memory, &payload[256..], to), invalid);
}
