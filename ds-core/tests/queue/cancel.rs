//! Cancelling by tag, and closing.

#![forbid(unsafe_code)]

use std::time::Duration;

use ds_core::{
    Buffer, Compression, Error, Event, FailedCommand, Fence, FenceWait, File, Request, S_OK,
    StatusArray,
};

use crate::rig::{
    Rig, SAMPLE_BYTES, assert_ok, code, sample, sample_file, sample_stream, untouched,
};

crate::semantic_tests! {
    cancelling_before_submit;
    cancelling_after_submit_quiesces;
    cancelling_matches_masked_tags;
    cancelling_compressed_requests_frees_staging;
    cancelling_parked_requests;
    closing_drops_what_was_not_submitted;
    closing_drains_what_was;
    a_closed_queue_records_late_entries;
    dropping_a_queue_with_work_is_safe;
}

fn read(offset: u64, buffer: &mut Buffer, tag: u64) -> Request {
    Request::read(
        &sample_file(),
        offset,
        buffer.len() as u32,
        buffer.lend().unwrap(),
    )
    .tagged(tag)
}

/// O-61: 10 of 20 match.
fn cancelling_before_submit(rig: &Rig) {
    let queue = rig.queue();
    let array = StatusArray::new(1, None);
    let mut buffers: Vec<_> = (0..20).map(|_| untouched(64)).collect();
    for (index, buffer) in buffers.iter_mut().enumerate() {
        queue.enqueue_request(read(0, buffer, index as u64 % 2));
    }
    queue.enqueue_status(Some(&array), 0);
    queue.cancel_requests_with_tag(u64::MAX, 1);
    assert!(
        buffers
            .iter_mut()
            .skip(1)
            .step_by(2)
            .all(|buffer| !buffer.is_lent()),
        "given back"
    );
    assert!(!array.is_complete(0));
    queue.submit();
    assert_eq!(rig.wait(&array, 0), code(Error::Cancelled));
    let record = queue.retrieve_error_record();
    assert_eq!(record.failure_count, 10);
    let first = record.first_failure.unwrap();
    assert_eq!(first.error, Error::Cancelled);
    assert!(matches!(first.command, FailedCommand::Request(info) if info.cancellation_tag == 1));
    for (index, buffer) in buffers.iter_mut().enumerate() {
        let expected = if index % 2 == 1 {
            vec![0xA5; 64]
        } else {
            sample(0, 64)
        };
        assert_eq!(buffer.bytes().unwrap(), expected);
    }
    assert_eq!(queue.stats().requests_cancelled, 10);
    assert_eq!(queue.query().empty_slots, 127);
}

fn cancelling_after_submit_quiesces(rig: &Rig) {
    let queue = rig.queue();
    let (array, fence) = (StatusArray::new(1, None), Fence::new(0));
    let mut buffers: Vec<_> = (0..60).map(|_| untouched(4096)).collect();
    for buffer in &mut buffers {
        queue.enqueue_request(read(100, buffer, 5));
    }
    queue.enqueue_status(Some(&array), 0);
    queue.enqueue_signal(Some(&fence), 1);
    queue.submit();
    for _ in 0..rig.seed % 40 {
        rig.runtime.turn();
    }
    queue.cancel_requests_with_tag(0, 0);
    for buffer in &mut buffers {
        // Done, or never begun, or begun and stopped; but not touched any more.
        assert!(!buffer.is_lent(), "still in the engine's hands");
    }
    rig.wait_fence(&fence, 1);
    let stats = queue.stats();
    assert_eq!(stats.requests_cancelled + stats.requests_completed, 60);
    let expected = if stats.requests_cancelled > 0 {
        code(Error::Cancelled)
    } else {
        S_OK
    };
    assert_eq!(array.hresult(0), expected);
    assert_eq!(
        u64::from(queue.retrieve_error_record().failure_count),
        stats.requests_cancelled
    );
}

fn cancelling_matches_masked_tags(rig: &Rig) {
    let queue = rig.queue();
    let mut buffers: Vec<_> = (0..8).map(|_| untouched(64)).collect();
    for (index, buffer) in buffers.iter_mut().enumerate() {
        queue.enqueue_request(read(0, buffer, 0xAB00 + index as u64));
    }
    queue.cancel_requests_with_tag(0xFF00, 0xAC00);
    assert_eq!(queue.stats().requests_cancelled, 0);
    queue.cancel_requests_with_tag(0xFF04, 0xAB04);
    assert_eq!(queue.stats().requests_cancelled, 4, "4, 5, 6 and 7");
    assert_eq!(rig.finish(&queue), code(Error::Cancelled));
    assert_eq!(queue.stats().requests_completed, 4);
}

fn cancelling_compressed_requests_frees_staging(rig: &Rig) {
    let (stream, path) = sample_stream();
    let file = File::open(path).unwrap();
    let queue = rig.queue();
    let mut buffers: Vec<_> = (0..12).map(|_| untouched(SAMPLE_BYTES)).collect();
    for buffer in &mut buffers {
        // Twelve streams do not fit in one MiB of staging: some wait for it.
        let request = Request::read(&file, 0, stream.len() as u32, buffer.lend().unwrap());
        queue.enqueue_request(
            request
                .compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32)
                .tagged(3),
        );
    }
    queue.submit();
    for _ in 0..rig.seed % 30 {
        rig.runtime.turn();
    }
    queue.cancel_requests_with_tag(3, 3);
    assert!(buffers.iter_mut().all(|buffer| !buffer.is_lent()));
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
    let request = Request::read(&file, 0, stream.len() as u32, buffers[0].lend().unwrap());
    queue.retrieve_error_record();
    rig.finish(&queue);
    assert_ok(rig.run(
        &queue,
        request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32),
    ));
    assert!(buffers[0].bytes().unwrap() == sample(0, SAMPLE_BYTES));
}

fn cancelling_parked_requests(rig: &Rig) {
    let queue = rig.queue();
    let fence = Fence::new(0);
    let mut buffers: Vec<_> = (0..4).map(|_| untouched(64)).collect();
    let requests: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| read(0, buffer, 9))
        .collect();
    queue.enqueue_requests(requests, Some((&fence, 1)), FenceWait::BeforeSourceAccess);
    queue.submit();
    if rig.seed.is_multiple_of(2) {
        rig.settle();
    }
    queue.cancel_requests_with_tag(u64::MAX, 9);
    assert!(buffers.iter_mut().all(|buffer| !buffer.is_lent()));
    fence.signal(1);
    assert_eq!(rig.finish(&queue), code(Error::Cancelled));
    assert_eq!(queue.stats().requests_cancelled, 4);
}

/// O-65.
fn closing_drops_what_was_not_submitted(rig: &Rig) {
    let queue = rig.queue();
    let (array, fence, event) = (
        StatusArray::new(2, None),
        Fence::new(0),
        Event::new().unwrap(),
    );
    let mut buffer = untouched(64);
    queue.enqueue_request(read(0, &mut buffer, 0));
    queue.enqueue_status(Some(&array), 0);
    queue.enqueue_status(Some(&array), 1);
    queue.enqueue_signal(Some(&fence), 1);
    queue.enqueue_set_event(Some(&event));
    queue.close();
    queue.close();
    assert!(crate::rig::is_untouched(&mut buffer));
    assert_eq!(
        array.hresult(0),
        code(Error::Cancelled),
        "kinder than pending for ever"
    );
    assert_eq!(
        array.hresult(1),
        code(Error::Cancelled),
        "it was never submitted, so it is no success"
    );
    assert_eq!(
        (fence.value(), event.wait(Some(Duration::ZERO))),
        (0, false)
    );
}

fn closing_drains_what_was(rig: &Rig) {
    let queue = rig.queue();
    let array = StatusArray::new(1, None);
    let mut buffers: Vec<_> = (0..40).map(|_| untouched(2048)).collect();
    for buffer in &mut buffers {
        queue.enqueue_request(read(0, buffer, 0));
    }
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    for _ in 0..rig.seed % 25 {
        rig.runtime.turn();
    }
    queue.close();
    assert!(buffers.iter_mut().all(|buffer| !buffer.is_lent()));
    assert!(array.is_complete(0));
    let stats = queue.stats();
    assert_eq!(
        (
            stats.requests_completed + stats.requests_cancelled,
            stats.depth
        ),
        (40, 0)
    );
}

/// O-66.
fn a_closed_queue_records_late_entries(rig: &Rig) {
    let queue = rig.queue();
    let (array, fence, event) = (
        StatusArray::new(1, None),
        Fence::new(0),
        Event::new().unwrap(),
    );
    queue.close();
    let mut buffer = untouched(64);
    queue.enqueue_request(read(0, &mut buffer, 0));
    queue.submit();
    assert!(!buffer.is_lent());
    let record = queue.retrieve_error_record();
    assert_eq!(record.failure_count, 1);
    let first = record.first_failure.unwrap();
    assert_eq!(first.error, Error::QueueClosed);
    assert!(matches!(first.command, FailedCommand::Request(_)));
    queue.enqueue_status(Some(&array), 0);
    queue.enqueue_signal(Some(&fence), 1);
    queue.enqueue_set_event(Some(&event));
    queue.submit();
    assert_eq!(array.hresult(0), code(Error::QueueClosed));
    assert_eq!((fence.value(), event.take()), (0, false));
    assert_eq!(queue.retrieve_error_record().failure_count, 3);
}

fn dropping_a_queue_with_work_is_safe(rig: &Rig) {
    let mut buffers: Vec<_> = (0..50).map(|_| untouched(4096)).collect();
    {
        let queue = rig.queue();
        for buffer in &mut buffers {
            queue.enqueue_request(read(0, buffer, 0));
        }
        queue.submit();
    }
    assert!(buffers.iter_mut().all(|buffer| !buffer.is_lent()));
    assert_eq!(
        rig.runtime.set_staging_bytes(1 << 20),
        Ok(()),
        "no queue is left"
    );
}
