//! The staging buffer: its size, its lock, and requests that must share it.

#![forbid(unsafe_code)]

use ds_core::{
    Backend, Compression, CustomResult, Error, File, Request, S_OK, Select, StatusArray,
};

use crate::rig::{
    Rig, SAMPLE_BYTES, assert_ok, code, config, over_cpu_with, over_sim_with, sample, sample_file,
    sample_stream, untouched,
};

crate::semantic_tests! {
    the_size_is_locked_while_a_queue_lives;
    many_streams_share_a_small_buffer;
    two_queues_share_a_small_buffer;
    only_staged_bytes_are_limited;
    a_request_that_fails_in_line_lets_the_next_pass;
}

/// O-08, O-09, O-10.
fn the_size_is_locked_while_a_queue_lives(rig: &Rig) {
    let _file = sample_file();
    for bytes in [0, 1 << 20, 256 << 20] {
        assert_eq!(
            rig.runtime.set_staging_bytes(bytes),
            Ok(()),
            "an open file does not lock"
        );
    }
    let queue = rig.queue();
    for bytes in [0, 1 << 20, 32 << 20, u32::MAX] {
        assert_eq!(
            rig.runtime.set_staging_bytes(bytes),
            Err(Error::StagingBufferLocked)
        );
    }
    drop(queue);
    assert_eq!(rig.runtime.set_staging_bytes(1 << 20), Ok(()));
}

fn stream_requests(rig: &Rig, count: usize, queues: &[ds_core::Queue]) {
    let (stream, path) = sample_stream();
    let file = File::open(path).unwrap();
    let mut buffers: Vec<_> = (0..count).map(|_| untouched(SAMPLE_BYTES)).collect();
    for (index, buffer) in buffers.iter_mut().enumerate() {
        let request = Request::read(&file, 0, stream.len() as u32, buffer.lend().unwrap());
        queues[index % queues.len()]
            .enqueue_request(request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32));
    }
    for queue in queues {
        queue.submit();
    }
    for queue in queues {
        assert_ok(rig.finish(queue));
    }
    for buffer in &mut buffers {
        assert!(buffer.bytes().unwrap() == sample(0, SAMPLE_BYTES));
    }
    let stats = rig.runtime.staging_stats();
    assert_eq!(stats.bytes_in_use, 0);
    // Ranges are whole pages.
    assert!(stats.bytes_peak > 0 && stats.bytes_peak <= stats.bytes_max.next_multiple_of(4096));
}

fn many_streams_share_a_small_buffer(rig: &Rig) {
    let stream_bytes = sample_stream().0.len() as u32;
    rig.runtime
        .set_staging_bytes(stream_bytes + stream_bytes / 2)
        .unwrap();
    stream_requests(rig, if rig.is_sim() { 4 } else { 40 }, &[rig.queue()]);
}

fn two_queues_share_a_small_buffer(rig: &Rig) {
    rig.runtime
        .set_staging_bytes(sample_stream().0.len() as u32)
        .unwrap();
    stream_requests(
        rig,
        if rig.is_sim() { 4 } else { 40 },
        &[rig.queue(), rig.queue()],
    );
}

/// O-47, O-48, O-58, and the one case that remains of REQUEST_TOO_LARGE.
fn only_staged_bytes_are_limited(rig: &Rig) {
    let (stream, path) = sample_stream();
    let file = File::open(path).unwrap();
    for (staging, result) in [
        (0, code(Error::RequestTooLarge)),
        (stream.len() - 1, code(Error::RequestTooLarge)),
    ] {
        rig.runtime.set_staging_bytes(staging as u32).unwrap();
        let queue = rig.queue();
        let mut buffer = untouched(SAMPLE_BYTES);
        let request = Request::read(&file, 0, stream.len() as u32, buffer.lend().unwrap());
        assert_eq!(
            rig.run(
                &queue,
                request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32)
            ),
            result
        );
        let request = Request::read(
            &sample_file(),
            0,
            SAMPLE_BYTES as u32,
            buffer.lend().unwrap(),
        );
        assert_eq!(
            rig.run(&queue, request),
            S_OK,
            "uncompressed bytes need no staging"
        );
    }
}

/// Staging is held by a request that the application has fetched; two queues stand in line; the first
/// one's file is closed. Its request fails without staging, and must not keep the place.
fn a_request_that_fails_in_line_lets_the_next_pass(rig: &Rig) {
    let (stream, path) = sample_stream();
    let bytes = stream.len() as u32;
    rig.runtime.set_staging_bytes(bytes).unwrap();
    let custom = rig.runtime.custom_decompression_queue();
    let (holder, first, second) = (rig.queue(), rig.queue(), rig.queue());
    let mut buffers: Vec<_> = (0..3).map(|_| untouched(SAMPLE_BYTES)).collect();
    let mut request = |file: &File, buffer: usize, format| {
        let request = Request::read(file, 0, bytes, buffers[buffer].lend().unwrap());
        request.compressed(format, SAMPLE_BYTES as u32)
    };
    let (closed, open) = (File::open(path).unwrap(), File::open(path).unwrap());
    holder.enqueue_request(request(&open, 0, Compression::CUSTOM_0));
    holder.submit();
    let mut fetched = Vec::new();
    rig.wait_until("the fetch", || {
        custom.get_requests(Select::Custom, 1, &mut fetched) == 1
    });
    let array = StatusArray::new(2, None);
    for (index, (queue, file)) in [(&first, &closed), (&second, &open)]
        .into_iter()
        .enumerate()
    {
        queue.enqueue_request(request(file, index + 1, Compression::GDEFLATE));
        queue.enqueue_status(Some(&array), index as u32);
        queue.submit();
        rig.settle();
    }
    closed.close();
    custom
        .set_results(&[CustomResult {
            id: fetched[0].id,
            hresult: S_OK,
        }])
        .unwrap();
    assert_eq!(rig.wait(&array, 0), code(Error::FileNotOpen));
    assert_ok(rig.wait(&array, 1));
}

fn exact_limits_are_microsofts(rig: &Rig) {
    let queue = rig.queue();
    let mut buffer = untouched(1 << 16);
    let file = sample_file();
    assert_ok(rig.run(
        &queue,
        Request::read(&file, 1, 1 << 16, buffer.lend().unwrap()),
    ));
    let mut buffer = untouched((1 << 16) + 1);
    let request = Request::read(&file, 1, (1 << 16) + 1, buffer.lend().unwrap());
    assert_eq!(rig.run(&queue, request), code(Error::RequestTooLarge));
}

#[test]
fn exact_limits() {
    for (backend, over) in [
        (Backend::Cpu, over_cpu_with as fn(_, _)),
        (Backend::Sim, over_sim_with),
    ] {
        let mut config = config(backend);
        config.exact_limits = true;
        config.staging_bytes = 1 << 16;
        over(config, exact_limits_are_microsofts);
    }
}
