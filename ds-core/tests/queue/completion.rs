//! Statuses, fences and events: what they cover, and in which order they fire.

#![forbid(unsafe_code)]

use std::time::Duration;

use ds_core::{Buffer, Error, Event, Fence, FenceWait, Notification, Request, S_OK, StatusArray};

use crate::rig::{Rig, assert_ok, code, sample, sample_file, untouched};

crate::semantic_tests! {
    nothing_starts_before_submit;
    a_status_covers_what_came_since_the_last;
    a_status_can_be_used_again;
    markers_fire_behind_failures;
    markers_alone_fire_on_submit;
    markers_fire_in_order;
    requests_wait_for_their_fence;
    parked_requests_hold_nobody_up;
    foreign_objects_notify;
    memory_is_given_back_before_the_status;
}

fn good(buffer: &mut Buffer) -> Request {
    Request::read(
        &sample_file(),
        0,
        buffer.len() as u32,
        buffer.lend().unwrap(),
    )
}

/// A request that fails with END_OF_FILE.
fn bad(buffer: &mut Buffer) -> Request {
    Request::read(
        &sample_file(),
        1 << 40,
        buffer.len() as u32,
        buffer.lend().unwrap(),
    )
}

/// O-33.
fn nothing_starts_before_submit(rig: &Rig) {
    let queue = rig.queue();
    let (mut buffer, array) = (untouched(64), StatusArray::new(1, None));
    queue.enqueue_request(good(&mut buffer));
    queue.enqueue_status(Some(&array), 0);
    if rig.seed < 3 {
        rig.settle();
    }
    assert!(!array.is_complete(0) && buffer.is_lent());
    queue.submit();
    assert_ok(rig.wait(&array, 0));
    assert_eq!(buffer.bytes().unwrap(), sample(0, 64));
}

/// O-39.
fn a_status_covers_what_came_since_the_last(rig: &Rig) {
    let queue = rig.queue();
    let array = StatusArray::new(4, None);
    let mut buffers: Vec<_> = (0..4).map(|_| untouched(64)).collect();
    let [a, b, c, d] = &mut buffers[..] else {
        unreachable!()
    };
    queue.enqueue_request(bad(a).named("first"));
    queue.enqueue_request(Request {
        uncompressed_bytes: 3,
        ..good(b)
    });
    queue.enqueue_status(Some(&array), 0);
    queue.enqueue_request(good(c));
    queue.enqueue_signal(Some(&Fence::new(0)), 1);
    queue.enqueue_status(Some(&array), 1);
    queue.enqueue_request(bad(d));
    queue.enqueue_signal(Some(&Fence::new(0)), 1);
    queue.enqueue_status(Some(&array), 2);
    queue.enqueue_status(Some(&array), 3);
    queue.submit();
    assert_eq!(
        rig.wait(&array, 0),
        code(Error::EndOfFile),
        "the first in enqueue order"
    );
    assert_eq!(rig.wait(&array, 1), S_OK);
    assert_eq!(
        rig.wait(&array, 2),
        code(Error::EndOfFile),
        "across the signal"
    );
    assert_eq!(rig.wait(&array, 3), S_OK, "an empty range");
    assert_eq!(queue.retrieve_error_record().failure_count, 3);
}

/// O-34.
fn a_status_can_be_used_again(rig: &Rig) {
    let queue = rig.queue();
    let (mut buffer, array) = (untouched(64), StatusArray::new(1, None));
    for _ in 0..3 {
        queue.enqueue_request(good(&mut buffer));
        queue.enqueue_status(Some(&array), 0);
        assert!(!array.is_complete(0), "pending again at once");
        queue.submit();
        assert_ok(rig.wait(&array, 0));
    }
}

/// O-67, and fences: failures hold nothing back.
fn markers_fire_behind_failures(rig: &Rig) {
    let queue = rig.queue();
    let (fence, event) = (Fence::new(0), Event::new().unwrap());
    let mut buffers = [untouched(64), untouched(64)];
    queue.enqueue_request(bad(&mut buffers[0]));
    queue.enqueue_signal(Some(&fence), 42);
    queue.enqueue_request(good(&mut buffers[1]));
    queue.enqueue_set_event(Some(&event));
    queue.submit();
    rig.wait_until("the event", || event.wait(Some(Duration::ZERO)));
    assert_eq!(fence.value(), 42, "it came before the event");
    assert!(fence.wait(42, None) && event.take());
    assert_eq!(
        buffers[1].bytes().unwrap(),
        sample(0, 64),
        "the fence says that the bytes are there"
    );
}

fn markers_alone_fire_on_submit(rig: &Rig) {
    let queue = rig.queue();
    let (fence, array) = (Fence::new(0), StatusArray::new(2, None));
    queue.enqueue_status(Some(&array), 1);
    queue.enqueue_signal(Some(&fence), 7);
    assert_eq!((array.is_complete(1), fence.value()), (false, 0));
    queue.submit();
    assert_eq!((array.hresult(1), fence.value()), (S_OK, 7));
    assert_eq!(queue.query().empty_slots, 127);
}

fn markers_fire_in_order(rig: &Rig) {
    let queue = rig.queue();
    let fence = Fence::new(0);
    let mut buffers: Vec<_> = (0..40).map(|_| untouched(512)).collect();
    for (index, buffer) in buffers.iter_mut().enumerate() {
        queue.enqueue_request(good(buffer));
        queue.enqueue_signal(Some(&fence), index as u64 + 1);
    }
    queue.submit();
    let mut last = 0;
    rig.wait_until("all signals", || {
        let value = fence.value();
        assert!(value >= last, "the fence went back from {last} to {value}");
        last = value;
        for buffer in &mut buffers[..value as usize] {
            assert!(!buffer.is_lent(), "signalled before its request was done");
        }
        value == 40
    });
}

fn requests_wait_for_their_fence(rig: &Rig) {
    let queue = rig.queue();
    let fence = Fence::new(0);
    for wait in [
        FenceWait::BeforeDestination,
        FenceWait::BeforeGpuWork,
        FenceWait::BeforeSourceAccess,
    ] {
        let (mut buffer, array) = (untouched(64), StatusArray::new(1, None));
        let value = fence.value() + 2;
        queue.enqueue_requests([good(&mut buffer)], Some((&fence, value)), wait);
        queue.enqueue_status(Some(&array), 0);
        queue.submit();
        fence.signal(value - 1);
        if rig.seed < 3 {
            rig.settle();
        }
        assert!(buffer.is_lent() && !array.is_complete(0));
        fence.signal(value);
        assert_ok(rig.wait(&array, 0));
        assert_eq!(buffer.bytes().unwrap(), sample(0, 64));
    }
    let mut buffer = untouched(64);
    queue.enqueue_requests([good(&mut buffer)], None, FenceWait::default());
    assert_ok(rig.finish(&queue));
}

fn parked_requests_hold_nobody_up(rig: &Rig) {
    let (queue, signaller) = (rig.queue(), rig.queue());
    let fence = Fence::new(0);
    let mut buffers: Vec<_> = (0..20).map(|_| untouched(64)).collect();
    let (parked, free) = buffers.split_at_mut(10);
    queue.enqueue_requests(
        parked.iter_mut().map(good),
        Some((&fence, 5)),
        FenceWait::default(),
    );
    for buffer in free.iter_mut() {
        queue.enqueue_request(good(buffer));
    }
    queue.submit();
    rig.wait_until("the free requests", || {
        free.iter_mut().all(|buffer| !buffer.is_lent())
    });
    assert!(parked.iter_mut().all(Buffer::is_lent));
    // Another queue lets them go, in its turn.
    signaller.enqueue_request(good(&mut free[0]));
    signaller.enqueue_signal(Some(&fence), 5);
    signaller.submit();
    assert_ok(rig.finish(&queue));
    assert!(
        parked
            .iter_mut()
            .all(|buffer| buffer.bytes().unwrap() == sample(0, 64))
    );
}

fn foreign_objects_notify(rig: &Rig) {
    let queue = rig.queue();
    let notifier = rig.runtime.notifier();
    let (fence, event) = (
        Fence::foreign(notifier, 100, 0),
        Event::foreign(notifier, 200),
    );
    let mut buffer = untouched(64);
    queue.enqueue_request(good(&mut buffer));
    queue.enqueue_signal(Some(&fence), 1);
    queue.enqueue_signal(Some(&fence), 2);
    queue.enqueue_set_event(Some(&event));
    queue.submit();
    let mut seen = Vec::new();
    rig.wait_until("the notifications", || {
        let mut out = [Notification {
            cookie: 0,
            value: 0,
        }; 4];
        let count = rig
            .runtime
            .wait_notifications(&mut out, Some(Duration::ZERO));
        seen.extend_from_slice(&out[..count]);
        seen.iter().any(|notification| notification.cookie == 200)
    });
    assert!(
        seen.contains(&Notification {
            cookie: 100,
            value: 2
        }),
        "{seen:?}"
    );
    assert_eq!(
        seen.last(),
        Some(&Notification {
            cookie: 200,
            value: 0
        })
    );
}

/// Whoever sees a status may use the memory at once, so the engine must be done with it.
fn memory_is_given_back_before_the_status(rig: &Rig) {
    let queue = rig.queue();
    let array = StatusArray::new(1, None);
    for _ in 0..20 {
        let mut buffer = untouched(5000);
        queue.enqueue_request(good(&mut buffer));
        queue.enqueue_status(Some(&array), 0);
        queue.submit();
        rig.wait(&array, 0);
        assert!(buffer.bytes().is_some_and(|bytes| bytes == sample(0, 5000)));
    }
}
