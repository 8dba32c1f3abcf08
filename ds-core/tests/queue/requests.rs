//! Reads, copies, decompression and writes: what each kind of request does, and which are refused.

use ds_core::{
    Buffer, Compression, Destination, Error, File, QueueDesc, Request, S_OK, Source, SourceType,
    Span, StatusArray,
};

use crate::rig::{
    Rig, SAMPLE_BYTES, assert_ok, code, is_untouched, sample, sample_file, sample_stream,
    temporary, untouched,
};

crate::semantic_tests! {
    reads_land_where_asked;
    odd_sizes_and_offsets_work;
    reads_past_the_end_fail_and_touch_nothing;
    sizes_must_agree;
    missing_places_are_recorded;
    the_source_type_is_fixed;
    closed_files_are_not_read;
    streams_decompress_from_file_and_memory;
    bad_streams_fail;
    unknown_formats_are_refused;
    nothing_to_do_succeeds;
    writes_arrive_and_read_back;
    writes_are_checked;
    copies_copy;
    source_and_destination_are_apart;
    wild_pointers_become_errors;
    neighbours_fail_apart;
    a_file_that_shrinks_ends_early;
    a_file_that_grows_is_seen;
}

fn read(file: &File, offset: u64, buffer: &mut Buffer) -> Request {
    Request::read(file, offset, buffer.len() as u32, buffer.lend().unwrap())
}

fn reads_land_where_asked(rig: &Rig) {
    let (queue, file) = (rig.queue(), sample_file());
    let mut buffers: Vec<_> = (0..20).map(|_| untouched(4096)).collect();
    for (index, buffer) in buffers.iter_mut().enumerate() {
        queue.enqueue_request(read(&file, index as u64 * 9973, buffer));
    }
    assert_ok(rig.finish(&queue));
    for (index, buffer) in buffers.iter_mut().enumerate() {
        assert_eq!(
            buffer.bytes().unwrap(),
            sample(index * 9973, 4096),
            "request {index}"
        );
    }
    let stats = queue.stats();
    assert_eq!(
        (
            stats.requests_enqueued,
            stats.requests_completed,
            stats.requests_failed
        ),
        (20, 20, 0)
    );
    assert_eq!(
        (stats.bytes_source, stats.bytes_destination, stats.depth),
        (20 * 4096, 20 * 4096, 0)
    );
    assert_eq!((stats.latency.count(), stats.submits), (20, 1));
}

/// O-40: UncompressedSize 0 or the size; odd offset, size and address; no name.
fn odd_sizes_and_offsets_work(rig: &Rig) {
    let (queue, file) = (rig.queue(), sample_file());
    for (offset, bytes, uncompressed) in [
        (1, 1, 0),
        (12345, 777, 777),
        (299_999, 1, 0),
        (0, 131_071, 131_071),
    ] {
        let mut buffer = untouched(bytes + 1);
        let destination = buffer.lend_chunks(bytes).unwrap().next().unwrap();
        let request = Request::read(&file, offset, bytes as u32, destination);
        assert_ok(rig.run(
            &queue,
            Request {
                uncompressed_bytes: uncompressed,
                ..request
            },
        ));
        assert_eq!(
            buffer.bytes().unwrap()[..bytes],
            sample(offset as usize, bytes)
        );
        assert_eq!(buffer.bytes().unwrap()[bytes], 0xA5, "nothing past the end");
    }
}

/// O-45, O-46.
fn reads_past_the_end_fail_and_touch_nothing(rig: &Rig) {
    let (queue, file) = (rig.queue(), sample_file());
    let end = SAMPLE_BYTES as u64;
    for offset in [
        end,
        end - 1,
        end - 4095,
        1 << 40,
        i64::MAX as u64,
        u64::MAX - 4096,
        u64::MAX,
    ] {
        let mut buffer = untouched(4096);
        assert_eq!(
            rig.run(&queue, read(&file, offset, &mut buffer)),
            code(Error::EndOfFile),
            "offset {offset}"
        );
        assert!(is_untouched(&mut buffer));
    }
    assert_ok(rig.run(&queue, read(&file, end - 4096, &mut untouched(4096))));
}

/// O-41, O-42, O-43, O-55.
fn sizes_must_agree(rig: &Rig) {
    let (queue, file) = (rig.queue(), sample_file());
    let result = |source: u32, destination: usize, compression: u8, uncompressed: u32| {
        let mut buffer = untouched(destination);
        let request = Request::read(&file, 0, source, buffer.lend().unwrap());
        rig.run(
            &queue,
            Request {
                compression: Compression(compression),
                uncompressed_bytes: uncompressed,
                ..request
            },
        )
    };
    assert_eq!(
        result(100, 100, 0, 99),
        code(Error::InvalidArgument),
        "O-41"
    );
    for (source, destination, uncompressed) in [
        (100, 50, 0),
        (100, 200, 0),
        (100, 200, 200),
        (0, 10, 0),
        (10, 0, 0),
    ] {
        assert_eq!(
            result(source, destination, 0, uncompressed),
            code(Error::InvalidDestinationSize),
            "O-42"
        );
    }
    assert_eq!(
        result(100, 300, 1, 0),
        code(Error::InvalidDestinationSize),
        "O-55"
    );
    assert_eq!(
        result(100, 300, 1, 301),
        code(Error::InvalidDestinationSize),
        "O-55"
    );
    assert_eq!(result(0, 300, 1, 300), code(Error::InvalidArgument));
}

/// O-44, O-51.
fn missing_places_are_recorded(rig: &Rig) {
    let file = sample_file();
    let mut buffer = untouched(64);
    // SAFETY: a NULL range is never touched.
    let null = unsafe { Span::new(std::ptr::null_mut(), 64) };
    let queue = rig.queue();
    let source = Source::File {
        file: None,
        offset: 0,
        bytes: 64,
    };
    let request = Request::new(source, Destination::Memory(buffer.lend().unwrap()));
    assert_eq!(rig.run(&queue, request), code(Error::InvalidFileHandle));
    assert_eq!(
        rig.run(&queue, Request::read(&file, 0, 64, null)),
        code(Error::AccessViolation)
    );
    for kind in [1, 2, 7, 127] {
        let source = Source::File {
            file: Some(file.clone()),
            offset: 0,
            bytes: 64,
        };
        let result = rig.run(&queue, Request::new(source, Destination::Other(kind)));
        assert_eq!(result, code(Error::InvalidDestinationType));
    }
    let queue = rig.memory_queue();
    assert_eq!(
        rig.run(&queue, Request::copy(null, buffer.lend().unwrap())),
        code(Error::AccessViolation)
    );
    assert!(is_untouched(&mut buffer));
}

/// O-50.
fn the_source_type_is_fixed(rig: &Rig) {
    let file = sample_file();
    let mut buffer = untouched(64);
    let result = rig.run(&rig.memory_queue(), read(&file, 0, &mut buffer));
    assert_eq!(result, code(Error::InvalidSourceType));
    let source = Buffer::new(64).into_source().unwrap().part(0, 64).unwrap();
    let queue = rig.queue();
    let result = rig.run(&queue, Request::copy(source, buffer.lend().unwrap()));
    assert_eq!(result, code(Error::InvalidSourceType));
    assert_eq!(queue.query().source_type, SourceType::File);
}

/// O-52.
fn closed_files_are_not_read(rig: &Rig) {
    let queue = rig.queue();
    let mut buffer = untouched(64);
    let file = sample_file();
    file.close();
    assert_eq!(
        rig.run(&queue, read(&file, 0, &mut buffer)),
        code(Error::FileNotOpen)
    );
    let file = sample_file();
    queue.enqueue_request(read(&file, 0, &mut buffer));
    file.close();
    drop(file);
    assert_eq!(
        rig.finish(&queue),
        code(Error::FileNotOpen),
        "closed and forgotten between enqueue and submit"
    );
    assert!(is_untouched(&mut buffer));
}

/// O-54.
fn streams_decompress_from_file_and_memory(rig: &Rig) {
    let (stream, path) = sample_stream();
    let file = File::open(path).unwrap();
    let (from_file, from_memory) = (rig.queue(), rig.memory_queue());
    let mut buffers = [untouched(SAMPLE_BYTES), untouched(SAMPLE_BYTES)];
    let [first, second] = &mut buffers;
    let request = Request::read(&file, 0, stream.len() as u32, first.lend().unwrap());
    assert_ok(rig.run(
        &from_file,
        request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32),
    ));
    let source = Buffer::from_slice(stream)
        .into_source()
        .unwrap()
        .part(0, stream.len())
        .unwrap();
    let request = Request::copy(source, second.lend().unwrap());
    assert_ok(rig.run(
        &from_memory,
        request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32),
    ));
    for buffer in &mut buffers {
        assert!(buffer.bytes().unwrap() == sample(0, SAMPLE_BYTES));
    }
    assert_eq!(from_file.stats().bytes_source, stream.len() as u64);
    assert_eq!(from_file.stats().bytes_destination, SAMPLE_BYTES as u64);
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

/// O-53, O-56, O-57: garbage, another size than the stream's, half a stream.
fn bad_streams_fail(rig: &Rig) {
    let (stream, _) = sample_stream();
    let queue = rig.memory_queue();
    let decompress = |stream: &[u8], uncompressed: usize| {
        let source = Buffer::from_slice(stream)
            .into_source()
            .unwrap()
            .part(0, stream.len())
            .unwrap();
        let mut buffer = untouched(uncompressed);
        let request = Request::copy(source, buffer.lend().unwrap());
        rig.run(
            &queue,
            request.compressed(Compression::GDEFLATE, uncompressed as u32),
        )
    };
    let garbage: Vec<u8> = (0..5000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    assert_eq!(decompress(&garbage, 4096), code(Error::Corrupt));
    assert_eq!(decompress(&garbage, 65_536), code(Error::Corrupt));
    assert_eq!(decompress(stream, SAMPLE_BYTES - 1), code(Error::Corrupt));
    assert_eq!(
        decompress(stream, SAMPLE_BYTES + 65_536),
        code(Error::Corrupt)
    );
    assert_eq!(
        decompress(&stream[..stream.len() / 2], SAMPLE_BYTES),
        code(Error::Corrupt)
    );
    assert_eq!(decompress(&stream[..4], 10), code(Error::Corrupt));
    assert_ok(decompress(stream, SAMPLE_BYTES));
}

/// O-59.
fn unknown_formats_are_refused(rig: &Rig) {
    let (queue, file) = (rig.queue(), sample_file());
    for format in [2, 5, 0x7F] {
        let mut buffer = untouched(200);
        let request = Request::read(&file, 0, 100, buffer.lend().unwrap())
            .compressed(Compression(format), 200);
        assert_eq!(rig.run(&queue, request), code(Error::UnsupportedFormat));
        let record = queue.retrieve_error_record();
        assert_eq!(
            record.first_failure.unwrap().error,
            Error::UnsupportedFormat
        );
    }
}

/// O-43, the part that fails fast elsewhere and succeeds here.
fn nothing_to_do_succeeds(rig: &Rig) {
    let (queue, file) = (rig.queue(), sample_file());
    let mut buffer = Buffer::new(0);
    assert_ok(rig.run(&queue, Request::read(&file, 5, 0, buffer.lend().unwrap())));
    // SAFETY: an empty range is never touched.
    let null = unsafe { Span::new(std::ptr::null_mut(), 0) };
    assert_ok(rig.run(&rig.memory_queue(), Request::copy(null, null)));
    assert_ok(rig.finish(&queue));
}

fn writes_arrive_and_read_back(rig: &Rig) {
    let path = temporary(&format!("write-{:?}", std::thread::current().id()));
    let _ = std::fs::remove_file(&path);
    let file = File::create(&path).unwrap();
    let (writer, reader) = (rig.memory_queue(), rig.queue());
    let source = Buffer::from_slice(&sample(0, 100_000))
        .into_source()
        .unwrap();
    // In pieces, last first, so that the file grows from holes.
    for piece in (0..10).rev() {
        let part = source.part(piece * 10_000, 10_000).unwrap();
        writer.enqueue_request(Request::write(part, &file, piece as u64 * 10_000));
    }
    assert_ok(rig.finish(&writer));
    assert!(std::fs::read(&path).unwrap() == sample(0, 100_000));
    let mut buffer = untouched(100_000);
    assert_ok(rig.run(&reader, read(&file, 0, &mut buffer)));
    assert!(buffer.bytes().unwrap() == sample(0, 100_000));
    std::fs::remove_file(&path).unwrap();
}

fn writes_are_checked(rig: &Rig) {
    let queue = rig.memory_queue();
    let part = || Buffer::new(64).into_source().unwrap().part(0, 64).unwrap();
    let read_only = sample_file();
    assert_eq!(
        rig.run(&queue, Request::write(part(), &read_only, 0)),
        code(Error::InvalidFileHandle)
    );
    let path = temporary(&format!("checked-{:?}", std::thread::current().id()));
    let file = File::create(&path).unwrap();
    for offset in [u64::MAX, i64::MAX as u64] {
        assert_eq!(
            rig.run(&queue, Request::write(part(), &file, offset)),
            code(Error::InvalidFileOffset)
        );
    }
    let request = Request::write(part(), &file, 0).compressed(Compression::GDEFLATE, 64);
    assert_eq!(
        rig.run(&queue, request),
        code(Error::InvalidDestinationType)
    );
    let missing = Destination::File {
        file: None,
        offset: 0,
        bytes: 64,
    };
    assert_eq!(
        rig.run(&queue, Request::new(Source::Memory(part()), missing)),
        code(Error::InvalidFileHandle)
    );
    file.close();
    assert_eq!(
        rig.run(&queue, Request::write(part(), &file, 0)),
        code(Error::FileNotOpen)
    );
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    std::fs::remove_file(&path).unwrap();
}

fn copies_copy(rig: &Rig) {
    let queue = rig.memory_queue();
    let source = Buffer::from_slice(&sample(0, SAMPLE_BYTES))
        .into_source()
        .unwrap();
    let mut buffer = untouched(SAMPLE_BYTES);
    let chunks = buffer.lend_chunks(7001).unwrap();
    let array = StatusArray::new(1, None);
    let mut offset = 0;
    for destination in chunks {
        let bytes = destination.bytes();
        queue.enqueue_request(Request::copy(
            source.part(offset, bytes).unwrap(),
            destination,
        ));
        offset += bytes;
    }
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    assert_ok(rig.wait(&array, 0));
    assert!(buffer.bytes().unwrap() == sample(0, SAMPLE_BYTES));
}

fn source_and_destination_are_apart(rig: &Rig) {
    let queue = rig.memory_queue();
    let mut memory = vec![0u8; 8192];
    let start = memory.as_mut_ptr();
    // SAFETY: inside `memory`, which outlives the requests; refused before anything is touched.
    let span = |offset, bytes| unsafe { Span::new(start.wrapping_add(offset), bytes) };
    for (source, destination) in [(0, 0), (0, 1), (1, 0), (0, 4095)] {
        let request = Request::copy(span(source, 4096), span(destination, 4096));
        assert_eq!(rig.run(&queue, request), code(Error::InvalidArgument));
    }
    assert_ok(rig.run(&queue, Request::copy(span(0, 4096), span(4096, 4096))));
}

/// A wild destination or source is an error of its request, where the kernel can tell.
/// Reads of adjacent bytes may be carried out as one; each still has a result of its own.
fn neighbours_fail_apart(rig: &Rig) {
    const BYTES: usize = 512;
    const COUNT: usize = 50;
    let first = SAMPLE_BYTES - (COUNT - 5) * BYTES; // the last five end behind the file
    let (queue, file) = (rig.queue(), sample_file());
    let mut buffers: Vec<_> = (0..COUNT).map(|_| untouched(BYTES)).collect();
    let results = StatusArray::new(COUNT as u32, None);
    let is_wild = |index: usize| index % 20 == 7;
    for (index, buffer) in buffers.iter_mut().enumerate() {
        let offset = (first + index * BYTES) as u64;
        let request = if is_wild(index) {
            // SAFETY: as below, nothing is there.
            let wild = unsafe { Span::new(std::ptr::without_provenance_mut(0x1000), BYTES) };
            Request::read(&file, offset, BYTES as u32, wild)
        } else {
            read(&file, offset, buffer)
        };
        queue.enqueue_request(request);
        queue.enqueue_status(Some(&results), index as u32);
    }
    queue.submit();
    for (index, buffer) in buffers.iter_mut().enumerate() {
        let result = rig.wait(&results, index as u32);
        if index >= COUNT - 5 {
            assert_eq!(result, code(Error::EndOfFile), "request {index}");
            assert!(is_untouched(buffer));
        } else if is_wild(index) {
            assert_eq!(result, code(Error::AccessViolation), "request {index}");
        } else {
            assert_ok(result);
            let expected = sample(first + index * BYTES, BYTES);
            assert_eq!(buffer.bytes().unwrap(), expected, "request {index}");
        }
    }
}

fn wild_pointers_become_errors(rig: &Rig) {
    if rig.seed > 20 {
        return; // nothing here depends on the seed
    }
    // The second page of the address space is never mapped.
    let wild = std::ptr::without_provenance_mut(0x1000);
    // SAFETY: nobody else uses this address; that nothing is there is the point.
    let wild = |bytes| unsafe { Span::new(wild, bytes) };
    let mut buffer = untouched(64);
    let (queue, memory) = (rig.queue(), rig.memory_queue());
    let (stream, _) = sample_stream();
    assert_eq!(
        rig.run(&queue, Request::read(&sample_file(), 0, 64, wild(64))),
        code(Error::AccessViolation)
    );
    assert_eq!(
        rig.run(&memory, Request::copy(wild(64), buffer.lend().unwrap())),
        code(Error::AccessViolation)
    );
    let source = Buffer::from_slice(stream).into_source().unwrap();
    let whole = || source.part(0, stream.len()).unwrap();
    let request = Request::copy(whole(), wild(SAMPLE_BYTES));
    let request = request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32);
    assert_eq!(rig.run(&memory, request), code(Error::AccessViolation));
    assert_eq!(
        rig.run(
            &memory,
            Request::copy(source.part(0, 64).unwrap(), wild(64))
        ),
        code(Error::AccessViolation)
    );
    let request =
        Request::copy(wild(100), buffer.lend().unwrap()).compressed(Compression::GDEFLATE, 64);
    assert_eq!(rig.run(&memory, request), code(Error::AccessViolation));
    // SAFETY: as above; the range runs past the end of the address space.
    let wraps = unsafe { Span::new(std::ptr::without_provenance_mut(usize::MAX - 10), 64) };
    assert_eq!(
        rig.run(&memory, Request::copy(wraps, buffer.lend().unwrap())),
        code(Error::AccessViolation)
    );
    assert!(is_untouched(&mut buffer));
}

fn a_file_that_shrinks_ends_early(rig: &Rig) {
    let path = temporary(&format!("shrink-{:?}", std::thread::current().id()));
    std::fs::write(&path, sample(0, 50_000)).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(20_000)
        .unwrap();
    let queue = rig.queue();
    assert_eq!(
        rig.run(&queue, read(&file, 0, &mut untouched(50_000))),
        code(Error::EndOfFile)
    );
    assert_ok(rig.run(&queue, read(&file, 0, &mut untouched(20_000))));
    std::fs::remove_file(&path).unwrap();
}

fn a_file_that_grows_is_seen(rig: &Rig) {
    let path = temporary(&format!("grow-{:?}", std::thread::current().id()));
    std::fs::write(&path, sample(0, 1000)).unwrap();
    let file = File::open(&path).unwrap();
    let queue = rig.queue();
    assert_eq!(
        rig.run(&queue, read(&file, 0, &mut untouched(2000))),
        code(Error::EndOfFile)
    );
    std::fs::write(&path, sample(0, 2000)).unwrap();
    let mut buffer = untouched(2000);
    assert_eq!(rig.run(&queue, read(&file, 0, &mut buffer)), S_OK);
    assert!(buffer.bytes().unwrap() == sample(0, 2000));
    std::fs::remove_file(&path).unwrap();
}

/// The queue's own description is checked, too.
#[test]
fn capacities_are_those_observed() {
    crate::rig::over_cpu(|rig| {
        let create = |capacity| rig.runtime.create_queue(QueueDesc::new(capacity)).map(drop);
        for capacity in [0, 1, 127, 40_000, 65_534, 65_535, u32::MAX] {
            assert_eq!(
                create(capacity),
                Err(Error::InvalidQueueCapacity),
                "O-20, O-22: {capacity}"
            );
        }
        for capacity in [
            128, 129, 8191, 8192, 8193, 10_000, 16_384, 16_385, 32_767, 32_768,
        ] {
            assert_eq!(create(capacity), Ok(()), "O-21: {capacity}");
        }
    });
}
