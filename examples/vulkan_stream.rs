//! Streams a compressed archive into Vulkan images and buffers, and shows them in one picture:
//! `cargo run --example vulkan_stream [ARCHIVE [PICTURE.png]]`.
//!
//! The archive is one that `ds pack` made of a scene (see `scene/mod.rs`), the one beside this file by
//! default. The device is the engine's own, so this needs no unsafe code; `c/vulkan_stream.c` does the same
//! on a device of its own. Each picture's mips stand side by side, the slices of a volume in rows.

#![forbid(unsafe_code)]

mod scene;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use ds_core::gpu::{
    DeviceOptions, GpuBuffer, GpuDestination, GpuDevice, GpuError, GpuImage, ImageDesc, ImageKind,
    ImageRegion, ImageState,
};
use ds_core::{Config, Destination, Queue, QueueDesc, Request, Runtime, S_OK, Source, StatusArray};
use ds_tool::archive::format::Kind;
use ds_tool::archive::read::Archive;
use ds_tool::stream::Piece;
use scene::{Picture, Shape};

/// `VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL`.
const READ_ONLY: i32 = 5;
/// Slices of a volume in one row of the picture.
const SLICES_IN_ROW: usize = 16;
/// Between pictures, in pixels.
const GAP: usize = 8;

/// A file of the archive, on the device.
enum Resource {
    Image(GpuImage),
    Buffer(GpuBuffer),
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/scene.dspk");
    let path = arguments.next().unwrap_or(beside.into());
    let picture = arguments.next();
    let picture = picture.unwrap_or(std::env::temp_dir().join("vulkan_stream.png"));

    // Once in a program: the device, the runtime, and a queue that reads files for that device.
    let device = match GpuDevice::open(&DeviceOptions::default()) {
        Ok(device) => device,
        Err(why @ (GpuError::NoLoader(_) | GpuError::NoDevice(_))) => {
            println!("SKIPPED: {why}");
            return Ok(());
        }
        Err(why) => return Err(why.into()),
    };
    let runtime = Runtime::new(Config::default())?;
    let queue = runtime.create_queue(QueueDesc::new(128).device(&device))?;
    println!("device: {}", device.name());

    let archive = Archive::open("stream", &path)?;
    let resources = stream(&archive, &device, &queue)?;
    println!(
        "{}: {} files, {} bytes compressed, {} on the device",
        path.display(),
        resources.len(),
        archive.index.stored_bytes(),
        archive.index.bytes()
    );
    let pictures = resources
        .iter()
        .map(|(shape, resource)| read_back(*shape, resource));
    let pictures = pictures.collect::<Result<Vec<_>, _>>()?;
    write_png(&picture, &sheet(&pictures.concat()))?;
    println!("see {}", picture.display());
    Ok(())
}

/// Enqueues all of the archive, submits once and waits.
fn stream(
    archive: &Archive,
    device: &GpuDevice,
    queue: &Queue,
) -> Result<Vec<(Shape, Resource)>, Box<dyn Error>> {
    let chunks: Vec<Piece> = archive.pieces().collect();
    let mut resources = Vec::new();
    for entry in &archive.index.entries {
        let name = String::from_utf8_lossy(&entry.path);
        let (Some(shape), Kind::File { bytes, chunks: own }) = (Shape::of(&name), &entry.kind)
        else {
            println!("{name}: no picture, left out");
            continue;
        };
        let own = &chunks[own.clone()];
        let resource = match shape.mips {
            Some(mips) => Resource::Image(device.create_image(&describe(shape, mips))?),
            None => Resource::Buffer(device.create_buffer(*bytes)?),
        };
        match (&resource, own) {
            // One request fills an image, so its file must be one chunk; a buffer takes any number.
            (Resource::Image(image), [chunk]) => {
                let all = ImageRegion::MultipleSubresources { first: 0 };
                enqueue(queue, chunk, image.region(all, chunk.bytes), &name);
            }
            (Resource::Image(_), _) => {
                return Err(format!("{name}: pack with larger chunks (--chunk-kib)").into());
            }
            (Resource::Buffer(buffer), _) => {
                let mut offset = 0;
                for chunk in own {
                    enqueue(queue, chunk, buffer.range(offset, chunk.bytes), &name);
                    offset += u64::from(chunk.bytes);
                }
            }
        }
        resources.push((shape, resource));
    }
    let done = StatusArray::new(1, Some("scene"));
    queue.enqueue_status(Some(&done), 0);
    queue.submit();
    // A game would draw frames, and ask `is_complete` once in each.
    if done.wait(0, None) == Some(S_OK) {
        return Ok(resources);
    }
    let failure = queue.retrieve_error_record().first_failure;
    Err(failure.map_or("cancelled".into(), |failure| failure.error.into()))
}

fn enqueue(queue: &Queue, chunk: &Piece, to: GpuDestination, name: &str) {
    let source = Source::File {
        file: Some(chunk.file.clone()),
        offset: chunk.offset,
        bytes: chunk.stored_bytes,
    };
    let request = Request::new(source, Destination::Gpu(to));
    queue.enqueue_request(
        request
            .compressed(chunk.compression, chunk.bytes)
            .named(name),
    );
}

/// An image for shaders to read, whose old texels are nobody's.
fn describe(shape: Shape, mips: u32) -> ImageDesc {
    let [width, height, depth] = shape.extent;
    ImageDesc {
        image: 0,
        kind: if depth > 1 {
            ImageKind::D3
        } else {
            ImageKind::D2
        },
        format: shape.format,
        width,
        height,
        depth,
        mip_levels: mips,
        array_layers: 1,
        before: ImageState::UNDEFINED,
        after: ImageState::layout(READ_ONLY),
    }
}

/// What is on the device, as a row of pictures.
fn read_back(shape: Shape, resource: &Resource) -> Result<Vec<Vec<Picture>>, GpuError> {
    let image = match resource {
        Resource::Image(image) => image,
        Resource::Buffer(buffer) => {
            let mut bytes = vec![0; buffer.bytes() as usize];
            buffer.read(0, &mut bytes)?;
            return Ok(vec![vec![Picture::from_rows(
                shape.mip(0),
                shape.format,
                &bytes,
            )]]);
        }
    };
    let mips = 0..image.subresource_count();
    let mips = mips.map(|mip| {
        let bytes = image.read(mip)?;
        Ok(Picture::from_rows(shape.mip(mip), shape.format, &bytes))
    });
    let mips = mips.collect::<Result<Vec<_>, GpuError>>()?;
    if shape.extent[2] == 1 {
        return Ok(vec![mips]);
    }
    let slices: Vec<Picture> = mips.iter().flat_map(slices).collect();
    Ok(slices.chunks(SLICES_IN_ROW).map(<[_]>::to_vec).collect())
}

fn slices(volume: &Picture) -> Vec<Picture> {
    let [width, height, depth] = volume.extent;
    let slice = |z| Picture::new([width, height, 1], |[x, y, _]| volume.at([x, y, z]));
    (0..depth).map(slice).collect()
}

/// All rows of pictures on one sheet.
fn sheet(rows: &[Vec<Picture>]) -> Picture {
    let width_of = |row: &Vec<Picture>| row.iter().map(|picture| picture.extent[0] + GAP).sum();
    let height_of = |row: &Vec<Picture>| row.iter().map(|picture| picture.extent[1]).max();
    let width = rows.iter().map(width_of).max().unwrap_or(0) + GAP;
    let heights: Vec<usize> = rows.iter().map(|row| height_of(row).unwrap_or(0)).collect();
    let height = heights.iter().map(|height| height + GAP).sum::<usize>() + GAP;
    let mut sheet = Picture::new([width, height, 1], |_| [40, 40, 44, 255]);
    let mut top = GAP;
    for (row, height) in rows.iter().zip(heights) {
        let mut left = GAP;
        for picture in row {
            let [across, down, _] = picture.extent;
            for y in 0..down {
                let to = (top + y) * width + left;
                sheet.pixels[to..to + across]
                    .copy_from_slice(&picture.pixels[y * across..(y + 1) * across]);
            }
            left += across + GAP;
        }
        top += height + GAP;
    }
    sheet
}

fn write_png(path: &Path, picture: &Picture) -> Result<(), Box<dyn Error>> {
    let [width, height, _] = picture.extent.map(|side| side as u32);
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()?
        .write_image_data(&picture.pixels.concat())?;
    Ok(())
}
