//! Any bytes as a program of queue calls, over the simulation: nothing is lost, whatever the order.

#![forbid(unsafe_code)]

use ds_core::{
    Backend, Buffer, Compression, Config, Event, Fence, FenceWait, File, Priority, QueueDesc,
    Request, Runtime, StatusArray,
};

/// Longer inputs only repeat what shorter ones do.
const CALLS_MAX: usize = 400;
const STATUSES: u32 = 16;

/// Runs the program, then lets everything end and counts.
pub fn target(data: &[u8]) {
    let [seed, faults, calls @ ..] = data else {
        return;
    };
    let mut config = Config::default();
    config.backend = Backend::Sim;
    config.staging_bytes = 8192;
    config.sim.seed = u64::from(*seed);
    config.sim.eio_per_mille = u32::from(*faults);
    let runtime = Runtime::exactly(config).expect("a simulation starts no threads");
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("it is there");
    let queues = [Priority::Low, Priority::Realtime].map(|priority| {
        runtime
            .create_queue(QueueDesc::new(128).priority(priority))
            .expect("a queue")
    });
    let (fence, event) = (Fence::new(0), Event::new().expect("a descriptor"));
    let statuses = StatusArray::new(STATUSES, None);
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut fence_target = 0;
    // Of each queue, one fence and its last value.
    let mut signals = [(Fence::new(0), 0), (Fence::new(0), 0)];
    let mut closed = [false; 2];
    for call in calls.chunks_exact(2).take(CALLS_MAX) {
        let (queue, number) = (&queues[usize::from(call[0] & 1)], call[1]);
        let mut request = |compression| {
            let mut buffer = Buffer::new(usize::from(number) + 1);
            let bytes = buffer.len() as u32;
            let offset = u64::from(number) * 8;
            let request = Request::read(&file, offset, bytes, buffer.lend().expect("new"));
            buffers.push(buffer);
            let request = request.tagged(u64::from(number));
            if compression == Compression::NONE {
                request
            } else {
                request.compressed(compression, bytes)
            }
        };
        match call[0] >> 1 & 15 {
            0..=3 => queue.enqueue_request(request(Compression::NONE)),
            4 => queue.enqueue_request(request(Compression::GDEFLATE)),
            5 => queue.enqueue_request(request(Compression(3))),
            6 => {
                fence_target = fence_target.max(u64::from(number));
                let after = Some((&fence, u64::from(number)));
                queue.enqueue_requests([request(Compression::NONE)], after, FenceWait::default());
            }
            7 => queue.enqueue_status(Some(&statuses), u32::from(number) % (STATUSES + 1)),
            8 => {
                let (signal, value) = &mut signals[usize::from(call[0] & 1)];
                *value += 1;
                queue.enqueue_signal(Some(signal), *value);
            }
            9 => queue.enqueue_set_event(Some(&event)),
            10 => queue.submit(),
            11 => queue.cancel_requests_with_tag(u64::from(number & 7), u64::from(number >> 5)),
            12 => drop(runtime.turn()),
            13 if number > 250 => {
                queue.close();
                closed[usize::from(call[0] & 1)] = true;
            }
            14 => drop(queue.retrieve_error_record()),
            _ => fence.signal(fence.value().max(u64::from(number))),
        }
        // A full queue of requests behind a fence would wait for this very thread.
        if queue.query().empty_slots < 8 {
            fence.signal(fence_target.max(fence.value()));
        }
    }
    fence.signal(fence_target.max(fence.value()));
    for queue in &queues {
        queue.submit();
    }
    while runtime.turn() {}
    for queue in &queues {
        let stats = queue.stats();
        let ended = stats.requests_completed + stats.requests_failed + stats.requests_cancelled;
        assert_eq!((stats.requests_enqueued, stats.depth), (ended, 0));
    }
    for ((signal, value), closed) in signals.iter().zip(closed) {
        assert!(signal.value() == *value || closed, "a signal was lost");
    }
    assert!(buffers.iter_mut().all(|buffer| !buffer.is_lent()));
    assert_eq!(runtime.staging_stats().bytes_in_use, 0);
}
