//! Requests with GPU buffers as destinations: from file and memory, plain and compressed, and what
//! happens when the GPU, its memory or the request is at fault.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::OnceLock;

use ds_core::gdeflate::Codec;
use ds_core::gdeflate::encode::Level;
use ds_core::gpu::{
    GpuBuffer, GpuDestination, GpuDevice, ImageDesc, ImageKind, ImageRegion, ImageState,
};
use ds_core::{
    Backend, Buffer, Compression, Config, Destination, Error, Fence, File, FileMode, GpuDecode,
    Queue, QueueDesc, Request, Runtime, S_OK, Source, StatusArray,
};

use crate::rig::{self, Validated};

const SAMPLE_BYTES: usize = 150_000;
const POISON: u32 = 0xA5A5_A5A5;

/// What the sample file holds at each place: noise that differs from its neighbours, and compresses.
fn sample(range: std::ops::Range<usize>) -> Vec<u8> {
    let byte = |at: usize| match at % 2 {
        0 => ((at as u64 / 8).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (at % 8 * 8)) as u8,
        _ => 0,
    };
    range.map(byte).collect()
}

struct Files {
    plain: PathBuf,
    stream: PathBuf,
    stream_bytes: Vec<u8>,
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let contents = sample(0..SAMPLE_BYTES);
        let stream_bytes = Codec::new(1)
            .compress_to_vec(&contents, Level::FASTEST, None)
            .unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let name = |what| folder.join(format!("gpu-{}-{what}", std::process::id()));
        let (plain, stream) = (name("plain"), name("stream"));
        std::fs::write(&plain, contents).unwrap();
        std::fs::write(&stream, &stream_bytes).unwrap();
        Files {
            plain,
            stream,
            stream_bytes,
        }
    })
}

/// A runtime with a device under validation. The device is looked at last, when all else is gone.
struct Rig {
    runtime: Runtime,
    device: GpuDevice,
    validated: Validated,
}

impl Rig {
    fn new(test: &str) -> Option<Rig> {
        Rig::with(test, |_| {})
    }

    fn with(test: &str, change: impl FnOnce(&mut Config)) -> Option<Rig> {
        let validated = rig::device(test)?;
        let mut config = Config::default();
        config.staging_bytes = 1 << 20;
        change(&mut config);
        Some(Rig {
            runtime: Runtime::exactly(config).unwrap(),
            device: GpuDevice::from(validated.clone()),
            validated,
        })
    }

    fn queue(&self) -> Queue {
        let desc = QueueDesc::new(128).device(&self.device);
        self.runtime.create_queue(desc).unwrap()
    }

    fn memory_queue(&self) -> Queue {
        let desc = QueueDesc::new(128).device(&self.device).memory();
        self.runtime.create_queue(desc).unwrap()
    }

    /// A buffer full of poison.
    fn buffer(&self, bytes: usize) -> GpuBuffer {
        let buffer = self.device.create_buffer(bytes as u64).unwrap();
        buffer.fill(POISON).unwrap();
        buffer
    }
}

fn from_file(path: &PathBuf, offset: u64, bytes: u32, to: GpuDestination) -> Request {
    let file = Some(File::open(path).unwrap());
    let source = Source::File {
        file,
        offset,
        bytes,
    };
    Request::new(source, Destination::Gpu(to))
}

fn from_memory(bytes: &[u8], to: GpuDestination) -> Request {
    let source = Buffer::from_slice(bytes).into_source().unwrap();
    Request::new(
        Source::Memory(source.part(0, bytes.len()).unwrap()),
        Destination::Gpu(to),
    )
}

fn finish(queue: &Queue) -> i32 {
    let array = StatusArray::new(1, None);
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    array
        .wait(0, Some(std::time::Duration::from_secs(60)))
        .expect("it completes")
}

fn run(queue: &Queue, request: Request) -> i32 {
    queue.enqueue_request(request);
    finish(queue)
}

/// The buffer holds `expected` at `offset`, and poison everywhere else.
#[track_caller]
fn assert_holds(buffer: &GpuBuffer, offset: usize, expected: &[u8]) {
    let mut found = vec![0; buffer.bytes() as usize];
    buffer.read(0, &mut found).unwrap();
    let end = offset + expected.len();
    assert!(found[offset..end] == *expected, "the bytes themselves");
    let poisoned = |bytes: &[u8]| bytes.iter().all(|&byte| byte == POISON as u8);
    assert!(poisoned(&found[..offset]), "before them");
    assert!(poisoned(&found[end..]), "after them");
}

#[test]
fn plain_bytes_of_files_and_memory_arrive() {
    let Some(rig) = Rig::new("plain_bytes_of_files_and_memory_arrive") else {
        return;
    };
    let queue = rig.queue();
    for (from, bytes, to) in [
        (0, 65_536, 0),
        (1, 1, 3),
        (4096, 100_000, 512),
        (777, 12_345, 1),
    ] {
        let buffer = rig.buffer(110_000);
        let request = from_file(&files().plain, from, bytes, buffer.range(to, bytes));
        assert_eq!(run(&queue, request), S_OK);
        let expected = sample(from as usize..from as usize + bytes as usize);
        assert_holds(&buffer, to as usize, &expected);
    }
    let (queue, buffer) = (rig.memory_queue(), rig.buffer(10_000));
    let expected = sample(5..9005);
    let request = from_memory(&expected, buffer.range(100, 9000));
    assert_eq!(run(&queue, request), S_OK);
    assert_holds(&buffer, 100, &expected);
}

/// GPU drivers map memory whose pages the kernel cannot hold for a disk: a direct read into it is EFAULT.
#[test]
fn staging_that_takes_no_direct_reads_is_filled_through_the_page_cache() {
    let name = "staging_that_takes_no_direct_reads_is_filled_through_the_page_cache";
    for backend in [Backend::Cpu, Backend::IoUring] {
        let Some(rig) = Rig::with(name, |config| {
            config.backend = backend;
            config.file_mode = FileMode::Direct;
            config.io_faults = true;
            config.sim.direct_efault_per_mille = 1000;
        }) else {
            return;
        };
        let file = File::open(&files().plain).unwrap();
        let queue = rig.queue();
        for _ in 0..3 {
            let buffer = rig.buffer(110_000);
            let source = Source::File {
                file: Some(file.clone()),
                offset: 4096,
                bytes: 100_000,
            };
            let target = Destination::Gpu(buffer.range(0, 100_000));
            assert_eq!(run(&queue, Request::new(source, target)), S_OK);
            assert_holds(&buffer, 0, &sample(4096..104_096));
        }
        match rig.runtime.io_stats().direct {
            // Asked for once, not for each request.
            1 => {}
            0 => println!("SKIPPED: {name}: this file system has no direct reads"),
            more => panic!("{more} direct reads into memory that takes none"),
        }
    }
}

#[test]
fn compressed_bytes_arrive_decoded_by_the_host() {
    let Some(rig) = Rig::with("compressed_bytes_arrive_decoded_by_the_host", |config| {
        config.gpu_decode = GpuDecode::Cpu;
    }) else {
        return;
    };
    decode_everywhere(&rig, &[0, 64, 6, 3]);
}

/// They go on to the GPU in batches, which the few that a worker reads at a time are not.
#[test]
fn workers_do_not_read_what_goes_on_to_a_gpu() {
    let name = "workers_do_not_read_what_goes_on_to_a_gpu";
    let Some(rig) = Rig::with(name, |config| config.gpu_decode = GpuDecode::Cpu) else {
        return;
    };
    let all = SAMPLE_BYTES as u32;
    let (queue, buffer) = (rig.queue(), rig.buffer(SAMPLE_BYTES));
    let bytes = files().stream_bytes.len() as u32;
    // Many more than make a queue warm whose streams are for memory.
    for _ in 0..300 {
        let request = from_file(&files().stream, 0, bytes, buffer.range(0, all));
        let request = request.compressed(Compression::GDEFLATE, all);
        assert_eq!(run(&queue, request), S_OK);
    }
    assert_eq!(rig.runtime.io_stats().by_workers, 0);
    assert_holds(&buffer, 0, &sample(0..SAMPLE_BYTES));
}

#[test]
fn compressed_bytes_arrive_decoded_by_the_gpu() {
    let Some(rig) = Rig::with("compressed_bytes_arrive_decoded_by_the_gpu", |config| {
        config.gpu_decode = GpuDecode::Gpu;
    }) else {
        return;
    };
    decode_everywhere(&rig, &[0, 3]);
    corrupt_streams_fail_alone(&rig);
}

fn decode_everywhere(rig: &Rig, offsets: &[u64]) {
    let (all, expected) = (SAMPLE_BYTES as u32, sample(0..SAMPLE_BYTES));
    let stream = &files().stream_bytes;
    let file_request = |to| {
        from_file(&files().stream, 0, stream.len() as u32, to)
            .compressed(Compression::GDEFLATE, all)
    };
    let memory_request = |to| from_memory(stream, to).compressed(Compression::GDEFLATE, all);
    for &offset in offsets {
        let buffer = rig.buffer(SAMPLE_BYTES + 256);
        assert_eq!(
            run(&rig.queue(), file_request(buffer.range(offset, all))),
            S_OK
        );
        assert_holds(&buffer, offset as usize, &expected);
        let buffer = rig.buffer(SAMPLE_BYTES + 256);
        let queue = rig.memory_queue();
        assert_eq!(run(&queue, memory_request(buffer.range(offset, all))), S_OK);
        assert_holds(&buffer, offset as usize, &expected);
    }
    // The destination may be smaller than what the stream holds.
    let buffer = rig.buffer(100_000);
    assert_eq!(
        run(&rig.queue(), file_request(buffer.range(8, 70_001))),
        S_OK
    );
    assert_holds(&buffer, 8, &expected[..70_001]);
}

#[test]
fn a_corrupt_stream_fails_alone() {
    let Some(rig) = Rig::with("a_corrupt_stream_fails_alone", |config| {
        config.gpu_decode = GpuDecode::Cpu;
    }) else {
        return;
    };
    corrupt_streams_fail_alone(&rig);
}

fn corrupt_streams_fail_alone(rig: &Rig) {
    let queue = rig.memory_queue();
    let all = SAMPLE_BYTES as u32;
    let good = rig.buffer(SAMPLE_BYTES);
    let bad = rig.buffer(SAMPLE_BYTES + 4);
    let mut broken = files().stream_bytes.clone();
    let middle = broken.len() / 2;
    broken[middle..middle + 64].fill(0xFF);
    let mut no_stream = files().stream_bytes.clone();
    no_stream[0] ^= 0x55;
    // One tile with far more compressed bytes than any encoder makes: empty stored blocks without end.
    let mut endless = vec![0; 8 + 4 + (200 << 10)];
    endless[..4].copy_from_slice(&[4, 0xFB, 1, 0]);
    endless[4..8].copy_from_slice(&(1u32 | (100 << 2)).to_le_bytes());
    endless[8..12].copy_from_slice(&(200u32 << 10).to_le_bytes());
    let statuses = StatusArray::new(5, None);
    let gdeflate = Compression::GDEFLATE;
    let requests = [
        from_memory(&broken, bad.range(0, all)).compressed(gdeflate, all),
        from_memory(&files().stream_bytes, good.range(0, all)).compressed(gdeflate, all),
        from_memory(&no_stream, bad.range(0, all)).compressed(gdeflate, all),
        from_memory(&files().stream_bytes, bad.range(0, all)).compressed(gdeflate, all + 1),
        from_memory(&endless, bad.range(0, 100)).compressed(gdeflate, 100),
    ];
    for (index, request) in (0..).zip(requests) {
        queue.enqueue_request(request);
        queue.enqueue_status(Some(&statuses), index);
    }
    queue.submit();
    let results: Vec<_> = (0..5)
        .map(|index| statuses.wait(index, None).unwrap())
        .collect();
    let corrupt = Error::Corrupt.hresult();
    assert_eq!(results, [corrupt, S_OK, corrupt, corrupt, corrupt]);
    assert_holds(&good, 0, &sample(0..SAMPLE_BYTES));
    let mut end = [0; 4];
    bad.read(u64::from(all), &mut end).unwrap();
    assert_eq!(
        end,
        POISON.to_le_bytes(),
        "nothing was written past the destination"
    );
}

#[test]
fn host_destinations_work_as_ever_on_a_queue_with_a_device() {
    let Some(rig) = Rig::new("host_destinations_work_as_ever_on_a_queue_with_a_device") else {
        return;
    };
    let queue = rig.queue();
    let mut buffer = Buffer::new(SAMPLE_BYTES);
    let file = File::open(&files().stream).unwrap();
    let bytes = files().stream_bytes.len() as u32;
    let request = Request::read(&file, 0, bytes, buffer.lend().unwrap())
        .compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32);
    assert_eq!(run(&queue, request), S_OK);
    assert!(buffer.bytes().unwrap() == sample(0..SAMPLE_BYTES));
}

#[test]
fn destinations_that_cannot_be_are_refused_with_a_code() {
    let Some(rig) = Rig::new("destinations_that_cannot_be_are_refused_with_a_code") else {
        return;
    };
    let queue = rig.queue();
    let buffer = rig.buffer(1000);
    let request = |to| from_file(&files().plain, 0, 100, to);
    let code = |error: Error| error.hresult();
    for offset in [901, 1000, u64::MAX - 50] {
        let result = run(&queue, request(buffer.range(offset, 100)));
        assert_eq!(result, code(Error::InvalidArgument), "offset {offset}");
    }
    let sizes = run(&queue, request(buffer.range(0, 101)));
    assert_eq!(sizes, code(Error::InvalidDestinationSize));
    let without = rig.runtime.create_queue(QueueDesc::new(128)).unwrap();
    let result = run(&without, request(buffer.range(0, 100)));
    assert_eq!(
        result,
        code(Error::InvalidDestinationType),
        "a queue without a device"
    );
    let large = rig.buffer(2 << 20);
    let request = from_file(
        &files().plain,
        0,
        (1 << 20) + 1,
        large.range(0, (1 << 20) + 1),
    );
    assert_eq!(run(&queue, request), code(Error::RequestTooLarge));
    if let Some(other) = rig::device("destinations_that_cannot_be_are_refused_with_a_code") {
        let other_device = GpuDevice::from(other.clone());
        let foreign = other_device.create_buffer(1000).unwrap();
        let request = from_file(&files().plain, 0, 100, foreign.range(0, 100));
        assert_eq!(
            run(&queue, request),
            code(Error::InvalidArgument),
            "another device's"
        );
    }
    assert_holds(&buffer, 0, &[]);
}

#[test]
fn staging_that_cannot_be_had_fails_requests_and_nothing_else() {
    let Some(rig) = Rig::new("staging_that_cannot_be_had_fails_requests_and_nothing_else") else {
        return;
    };
    let (queue, buffer) = (rig.queue(), rig.buffer(1000));
    let request = || from_file(&files().plain, 0, 100, buffer.range(0, 100));
    rig.validated.fail_allocations_after(0);
    assert_eq!(run(&queue, request()), Error::Os(12).hresult(), "ENOMEM");
    rig.validated.fail_allocations_after(u32::MAX);
    assert_eq!(run(&queue, request()), S_OK, "and it comes back");
    assert_holds(&buffer, 0, &sample(0..100));
}

#[test]
fn a_lost_device_completes_everything_with_an_error() {
    let Some(rig) = Rig::new("a_lost_device_completes_everything_with_an_error") else {
        return;
    };
    let buffer = rig.buffer(SAMPLE_BYTES);
    let queue = rig.queue();
    let fence = Fence::new(0);
    rig.validated.lose_after_submissions(1);
    let early = run(
        &queue,
        from_file(&files().plain, 0, 1000, buffer.range(0, 1000)),
    );
    assert_eq!(early, S_OK);
    for chunk in 0..60 {
        let offset = chunk * 1000;
        queue.enqueue_request(from_file(
            &files().plain,
            offset,
            1000,
            buffer.range(offset, 1000),
        ));
        queue.submit();
    }
    queue.enqueue_signal(Some(&fence), 1);
    let result = finish(&queue);
    assert!(fence.wait(1, None), "fences fire behind failures");
    assert_eq!(result, Error::DeviceLost.hresult());
    assert!(rig.device.is_lost());
    let late = run(
        &queue,
        from_file(&files().plain, 0, 1000, buffer.range(0, 1000)),
    );
    assert_eq!(
        late,
        Error::DeviceLost.hresult(),
        "and so does what comes later"
    );
    let mut host = Buffer::new(1000);
    let file = File::open(&files().plain).unwrap();
    let request = Request::read(&file, 0, 1000, host.lend().unwrap());
    assert_eq!(
        run(&queue, request),
        S_OK,
        "host destinations need no device"
    );
}

#[test]
fn two_thousand_mixed_requests() {
    let Some(rig) = Rig::with("two_thousand_mixed_requests", |config| {
        config.gpu_decode = GpuDecode::Cpu;
    }) else {
        return;
    };
    let (queue, memory_queue) = (rig.queue(), rig.memory_queue());
    let buffer = rig.buffer(2000 * 128);
    let mut host = Buffer::new(2000 * 128);
    let mut chunks = host.lend_chunks(128).unwrap();
    let file = File::open(&files().plain).unwrap();
    let tiny = Codec::new(1)
        .compress_to_vec(&sample(0..128), Level::FASTEST, None)
        .unwrap();
    for index in 0..2000u64 {
        let to = buffer.range(index * 128, 128);
        let chunk = chunks.next().unwrap();
        match index % 4 {
            0 => queue.enqueue_request(from_file(&files().plain, index, 128, to)),
            1 => memory_queue.enqueue_request(from_memory(&sample(7..135), to)),
            2 => memory_queue
                .enqueue_request(from_memory(&tiny, to).compressed(Compression::GDEFLATE, 128)),
            _ => queue.enqueue_request(Request::read(&file, index, 128, chunk)),
        }
    }
    drop(chunks);
    assert_eq!((finish(&queue), finish(&memory_queue)), (S_OK, S_OK));
    let stats = queue.gpu_stats().expect("the queue has a device");
    assert_eq!(stats.requests, 1500, "of both queues, for they share it");
    assert!((1..=1500).contains(&stats.batches), "{stats:?}");
    let mut found = vec![0; 2000 * 128];
    buffer.read(0, &mut found).unwrap();
    let host = host.bytes().unwrap();
    for (index, found) in found.chunks(128).enumerate() {
        let read = sample(index..index + 128);
        match index % 4 {
            0 => assert!(found == read, "request {index}"),
            1 => assert!(found == sample(7..135), "request {index}"),
            2 => assert!(found == sample(0..128), "request {index}"),
            _ => assert!(host[index * 128..][..128] == read, "request {index}"),
        }
    }
}

#[test]
fn a_runtime_of_the_vulkan_backend_has_a_device_of_its_own() {
    let mut config = Config::default();
    config.backend = Backend::Vulkan;
    let runtime = Runtime::exactly(config).unwrap();
    let Some(device) = runtime.gpu_device() else {
        println!(
            "SKIPPED: a_runtime_of_the_vulkan_backend_has_a_device_of_its_own: {}",
            runtime.backend().reason
        );
        return;
    };
    assert_eq!(runtime.backend().backend, Backend::Vulkan);
    let buffer = device.create_buffer(100).unwrap();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let request = from_file(&files().plain, 3, 100, buffer.range(0, 100));
    assert_eq!(run(&queue, request), S_OK);
    assert_holds(&buffer, 0, &sample(3..103));
}

/// `VK_FORMAT_R8G8B8A8_UNORM` and `VK_IMAGE_LAYOUT_GENERAL`.
const RGBA8: i32 = 37;
const GENERAL: i32 = 1;

#[test]
fn images_are_filled_from_files_and_memory() {
    let Some(rig) = Rig::with("images_are_filled_from_files_and_memory", |config| {
        config.gpu_decode = GpuDecode::Gpu;
    }) else {
        return;
    };
    // 64 texels of 4 bytes make a row of 256, so the payload has no padding.
    let (width, height) = (64, 100);
    let bytes = width * height * 4;
    let desc = ImageDesc {
        image: 0,
        kind: ImageKind::D2,
        format: RGBA8,
        width,
        height,
        depth: 1,
        mip_levels: 1,
        array_layers: 1,
        before: ImageState::UNDEFINED,
        after: ImageState::layout(GENERAL),
    };
    let pixels = sample(0..bytes as usize);
    let stream = Codec::new(1)
        .compress_to_vec(&pixels, Level::FASTEST, None)
        .unwrap();
    let (queue, memory_queue) = (rig.queue(), rig.memory_queue());
    let all = ImageRegion::MultipleSubresourcesRange { first: 0, count: 1 };
    for way in 0..4 {
        let image = rig.device.create_image(&desc).unwrap();
        let result = match way {
            0 => run(
                &queue,
                from_file(&files().plain, 0, bytes, image.region(all, bytes)),
            ),
            1 => run(
                &memory_queue,
                from_memory(&pixels, image.region(all, bytes)),
            ),
            2 => {
                let request = from_memory(&stream, image.region(all, bytes));
                run(
                    &memory_queue,
                    request.compressed(Compression::GDEFLATE, bytes),
                )
            }
            _ => {
                let region = ImageRegion::Texture {
                    subresource: 0,
                    region: image.whole(0).unwrap(),
                };
                run(
                    &queue,
                    from_file(&files().plain, 0, bytes, image.region(region, bytes)),
                )
            }
        };
        assert_eq!(result, S_OK, "way {way}");
        assert!(image.read(0).unwrap() == pixels, "way {way}");
        let short = from_file(&files().plain, 0, bytes / 2, image.region(all, bytes / 2));
        assert_eq!(run(&queue, short), Error::InvalidArgument.hresult());
        let absent = ImageRegion::MultipleSubresourcesRange { first: 1, count: 1 };
        let absent = from_file(&files().plain, 0, bytes, image.region(absent, bytes));
        assert_eq!(run(&queue, absent), Error::InvalidArgument.hresult());
    }
}

#[test]
fn a_buffers_bytes_are_written_to_a_file() {
    let Some(rig) = Rig::new("a_buffers_bytes_are_written_to_a_file") else {
        return;
    };
    let (files_queue, queue) = (rig.queue(), rig.memory_queue());
    let buffer = rig.buffer(SAMPLE_BYTES);
    let filled = from_file(&files().plain, 0, 100_000, buffer.range(0, 100_000));
    assert_eq!(run(&files_queue, filled), S_OK);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("gpu-{}-written", std::process::id()));
    let file = File::create(&path).unwrap();
    let to_file = |from: u64, bytes: u32, offset: u64| {
        let source = Source::Gpu(buffer.range(from, bytes));
        let destination = Destination::File {
            file: Some(file.clone()),
            offset,
            bytes,
        };
        Request::new(source, destination)
    };
    queue.enqueue_request(to_file(5, 40_000, 7));
    queue.enqueue_request(to_file(40_005, 59_995, 40_007));
    assert_eq!(finish(&queue), S_OK);
    let written = std::fs::read(&path).unwrap();
    assert_eq!(written.len(), 100_002);
    assert!(written[7..] == sample(5..100_000));
    let code = |error: Error| error.hresult();
    let beyond = to_file(SAMPLE_BYTES as u64 - 9, 10, 0);
    assert_eq!(run(&queue, beyond), code(Error::InvalidArgument));
    let mut host = Buffer::new(10);
    let to_memory = Request::new(
        Source::Gpu(buffer.range(0, 10)),
        Destination::Memory(host.lend().unwrap()),
    );
    assert_eq!(run(&queue, to_memory), code(Error::InvalidDestinationType));
    assert_eq!(
        run(&files_queue, to_file(0, 10, 0)),
        code(Error::InvalidSourceType)
    );
    assert_eq!(
        std::fs::read(&path).unwrap(),
        written,
        "and nothing was written"
    );
    std::fs::remove_file(&path).unwrap();
}
