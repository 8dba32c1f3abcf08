//! The error record and the error event.

#![forbid(unsafe_code)]

use std::time::Duration;

use ds_core::{Buffer, Error, FailedCommand, Handle, PlaceInfo, Request, S_OK, StatusArray};

use crate::rig::{Rig, code, sample_file, untouched};

crate::semantic_tests! {
    the_record_names_the_first_failure;
    reading_the_record_resets_it;
    success_sets_nothing;
    bad_markers_are_recorded_and_pass;
}

fn bad(buffer: &mut Buffer, name: &str) -> Request {
    let request = Request::read(
        &sample_file(),
        1 << 40,
        buffer.len() as u32,
        buffer.lend().unwrap(),
    );
    request.named(name).tagged(77)
}

/// O-60.
fn the_record_names_the_first_failure(rig: &Rig) {
    let queue = rig.queue();
    let mut buffers = [untouched(64), untouched(32), untouched(16)];
    let address = buffers[0].address();
    for (buffer, name) in buffers.iter_mut().zip(["one", "two", "three"]) {
        queue.enqueue_request(bad(buffer, name));
    }
    assert_eq!(rig.finish(&queue), code(Error::EndOfFile));
    assert!(queue.error_event().wait(Some(Duration::ZERO)));
    let record = queue.retrieve_error_record();
    assert_eq!(record.failure_count, 3);
    let first = record.first_failure.unwrap();
    assert_eq!(first.error, Error::EndOfFile);
    let FailedCommand::Request(info) = first.command else {
        panic!("{:?}", first.command)
    };
    assert_eq!(info.name.unwrap().as_bytes(), b"one");
    assert_eq!(info.cancellation_tag, 77);
    assert_eq!(info.destination, PlaceInfo::Memory { address, bytes: 64 });
    let PlaceInfo::File {
        file: Some(file),
        offset,
        bytes,
    } = &info.source
    else {
        panic!("{:?}", info.source)
    };
    assert_eq!(
        (file.path.as_ref(), *offset, *bytes),
        (sample_file().path(), 1 << 40, 64)
    );
    let text = info.to_string();
    assert!(
        text.contains("one") && text.contains("sample") && text.contains("0x4d"),
        "{text}"
    );
}

/// O-62, O-63.
fn reading_the_record_resets_it(rig: &Rig) {
    let queue = rig.queue();
    let mut buffer = untouched(64);
    queue.enqueue_request(bad(&mut buffer, "x"));
    rig.finish(&queue);
    assert_eq!(queue.retrieve_error_record().failure_count, 1);
    assert!(
        !queue.error_event().wait(Some(Duration::ZERO)),
        "cleared by the retrieval"
    );
    let record = queue.retrieve_error_record();
    assert_eq!(record.failure_count, 0);
    assert!(record.first_failure.is_none());
}

/// O-64.
fn success_sets_nothing(rig: &Rig) {
    let queue = rig.queue();
    let mut buffer = untouched(64);
    queue.enqueue_request(Request::read(&sample_file(), 0, 64, buffer.lend().unwrap()));
    assert_eq!(rig.finish(&queue), S_OK);
    assert!(!queue.error_event().take());
    assert_eq!(queue.retrieve_error_record().failure_count, 0);
}

/// O-36, O-37, O-38.
fn bad_markers_are_recorded_and_pass(rig: &Rig) {
    let queue = rig.queue();
    let array = StatusArray::new(2, None);
    let kind = |queue: &ds_core::Queue| {
        queue
            .retrieve_error_record()
            .first_failure
            .map(|f| (f.error, f.command))
    };
    queue.enqueue_status(Some(&array), 2);
    assert_eq!(rig.finish(&queue), S_OK);
    let address = array.as_raw().addr();
    let Some((Error::IndexBound, FailedCommand::Status(of, 2))) = kind(&queue) else {
        panic!("O-36")
    };
    assert_eq!(of, address);
    queue.enqueue_status(None, 0);
    queue.submit();
    let Some((Error::InvalidStatusArray, FailedCommand::Status(0, 0))) = kind(&queue) else {
        panic!("O-37")
    };
    queue.enqueue_signal(None, 9);
    assert_eq!(rig.finish(&queue), S_OK);
    let Some((Error::InvalidFence, FailedCommand::Signal(0, 9))) = kind(&queue) else {
        panic!("O-38")
    };
    queue.enqueue_set_event(None);
    assert_eq!(rig.finish(&queue), S_OK);
    let Some((Error::InvalidArgument, FailedCommand::Event(0))) = kind(&queue) else {
        panic!("event")
    };
    assert_eq!(queue.query().empty_slots, 127);
}
