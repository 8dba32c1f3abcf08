//! Room: slots, auto-submit, and what happens when there is none.

#![forbid(unsafe_code)]

use ds_core::{
    Backend, Buffer, Config, Priority, QueueDesc, Request, Runtime, SimConfig, StatusArray,
};

use crate::rig::{Rig, assert_ok, sample, sample_file, untouched};

crate::semantic_tests! {
    room_is_counted_as_observed;
    a_full_queue_blocks_and_goes_on;
    slots_free_as_requests_complete;
}

fn read(buffer: &mut Buffer) -> Request {
    Request::read(
        &sample_file(),
        4096,
        buffer.len() as u32,
        buffer.lend().unwrap(),
    )
}

/// O-29, O-30: (entries enqueued, empty slots, entries until auto-submit), capacity 128.
///
/// A fence keeps the requests from completing, so that the numbers hold still.
fn room_is_counted_as_observed(rig: &Rig) {
    let queue = rig.queue();
    let fence = ds_core::Fence::new(0);
    let file = sample_file();
    let mut buffers: Vec<_> = (0..70).map(|_| untouched(64)).collect();
    let room = || {
        (
            queue.query().empty_slots,
            queue.query().requests_until_auto_submit,
        )
    };
    assert_eq!(room(), (127, 64));
    for (index, buffer) in buffers.iter_mut().enumerate() {
        let request = Request::read(&file, 0, 64, buffer.lend().unwrap());
        queue.enqueue_requests([request], Some((&fence, 1)), ds_core::FenceWait::default());
        match index + 1 {
            1 => assert_eq!(room(), (126, 63)),
            63 => assert_eq!(room(), (64, 1)),
            64 => assert_eq!(room(), (63, 0)),
            65 => assert_eq!(room(), (62, 64)),
            70 => assert_eq!(room(), (57, 59)),
            _ => {}
        }
    }
    fence.signal(1);
    assert_ok(rig.finish(&queue));
    rig.wait_until("the slots", || room() == (127, 64));
    let array = StatusArray::new(1, None);
    queue.enqueue_request(read(&mut buffers[0]));
    queue.enqueue_status(Some(&array), 0);
    assert_eq!(room(), (125, 62), "a status takes a slot, too");
}

fn a_full_queue_blocks_and_goes_on(rig: &Rig) {
    let queue = rig.queue();
    let mut buffer = untouched(64 * 1000);
    let file = sample_file();
    // Nobody submits: half of the capacity does.
    for (index, destination) in buffer.lend_chunks(64).unwrap().enumerate() {
        queue.enqueue_request(Request::read(&file, index as u64 * 64, 64, destination));
    }
    assert_ok(rig.finish(&queue));
    assert!(buffer.bytes().unwrap() == sample(0, 64_000));
    let stats = queue.stats();
    assert!(stats.depth_max <= 127, "{}", stats.depth_max);
    assert_eq!(stats.requests_completed, 1000);
    assert!(stats.submits >= 1000 / 65, "{}", stats.submits);
}

fn slots_free_as_requests_complete(rig: &Rig) {
    let queue = rig.queue();
    let fence = ds_core::Fence::new(0);
    let file = sample_file();
    let (mut held, mut buffer) = (untouched(64), untouched(64));
    // The first request stays; thousands pass it by.
    let request = Request::read(&file, 0, 64, held.lend().unwrap());
    queue.enqueue_requests([request], Some((&fence, 1)), ds_core::FenceWait::default());
    for _ in 0..300 {
        queue.enqueue_request(read(&mut buffer));
        queue.submit();
        rig.wait_until("the buffer", || !buffer.is_lent());
    }
    assert_eq!(queue.query().empty_slots, 126);
    fence.signal(1);
    assert_ok(rig.finish(&queue));
}

/// The limits of a queue do not depend on how long its name is or who made it.
#[test]
fn descriptions_are_kept() {
    let runtime = Runtime::exactly(Config::default()).unwrap();
    let desc = QueueDesc::new(500)
        .named("a queue")
        .priority(Priority::High);
    let queue = runtime.create_queue(desc).unwrap();
    assert_eq!(queue.name(), Some("a queue"));
    let info = queue.query();
    assert_eq!((info.capacity, info.priority), (500, Priority::High));
    assert_eq!(
        (info.empty_slots, info.requests_until_auto_submit),
        (499, 250)
    );
}

/// Priorities order what starts, whatever was submitted first; queues of one priority take turns.
#[test]
fn a_higher_priority_starts_first() {
    let mut config = crate::rig::config(Backend::Sim);
    // A well-behaved disk completes in the order of starting, near enough.
    let (short_per_mille, eintr_per_mille, eagain_per_mille, eio_per_mille, delay_per_mille) =
        (0, 0, 0, 0, 0);
    config.sim = SimConfig {
        seed: 1,
        short_per_mille,
        eintr_per_mille,
        eagain_per_mille,
        eio_per_mille,
        delay_per_mille,
        ..SimConfig::default()
    };
    let runtime = Runtime::exactly(config).unwrap();
    let mut buffers: Vec<_> = (0..5).map(|_| untouched(8192 * 50)).collect();
    let priorities = [
        Priority::Low,
        Priority::Low,
        Priority::Normal,
        Priority::High,
        Priority::Realtime,
    ];
    let queues = priorities.map(|priority| {
        runtime
            .create_queue(QueueDesc::new(128).priority(priority))
            .unwrap()
    });
    let file = sample_file();
    for (queue, buffer) in queues.iter().zip(&mut buffers) {
        for destination in buffer.lend_chunks(8192).unwrap() {
            queue.enqueue_request(Request::read(&file, 0, 8192, destination));
        }
        queue.submit();
    }
    let done = |queue: usize| queues[queue].stats().requests_completed;
    // At most 64 requests are in flight at once, and a low one starts when the 150 above it have
    // started.
    while done(0) + done(1) == 0 {
        assert!(runtime.turn());
    }
    let above = done(2) + done(3) + done(4);
    assert!(
        above >= 150 - 64,
        "a low request was done after {above} of 150 above it"
    );
    while done(0) + done(1) < 50 {
        assert!(runtime.turn());
    }
    assert!(
        done(0) > 0 && done(1) > 0,
        "queues of one priority take turns: {} and {}",
        done(0),
        done(1)
    );
    while runtime.turn() {}
    assert_eq!((0..5).map(done).sum::<u64>(), 250);
}
