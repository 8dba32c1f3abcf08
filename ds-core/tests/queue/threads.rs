//! Several threads at one queue: races between enqueueing, cancelling, closing and reading, on real
//! threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ds_core::{
    Backend, Compression, Fence, FenceWait, File, Priority, QueueDesc, Request, Runtime, S_OK,
    StatusArray, set_error_callback,
};

use crate::rig::{PATIENCE, SAMPLE_BYTES, config, sample, sample_file, sample_stream, untouched};

fn runtime() -> Runtime {
    Runtime::exactly(config(Backend::Cpu)).unwrap()
}

#[test]
fn many_threads_enqueue() {
    let runtime = runtime();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let queue = &queue;
            scope.spawn(move || {
                let (file, fence) = (sample_file(), Fence::new(0));
                for round in 1..=50 {
                    let mut buffer = untouched(64 * 20);
                    for (index, destination) in buffer.lend_chunks(64).unwrap().enumerate() {
                        let offset = thread * 10_000 + index as u64 * 64;
                        queue.enqueue_request(Request::read(&file, offset, 64, destination));
                    }
                    queue.enqueue_signal(Some(&fence), round);
                    queue.submit();
                    assert!(fence.wait(round, Some(PATIENCE)));
                    assert!(buffer.bytes().unwrap() == sample(thread as usize * 10_000, 64 * 20));
                }
            });
        }
    });
    assert_eq!(queue.stats().requests_completed, 4 * 50 * 20);
    assert_eq!(queue.query().empty_slots, 127);
}

#[test]
fn cancelling_races_with_everything() {
    let runtime = runtime();
    let queue = runtime.create_queue(QueueDesc::new(256)).unwrap();
    let (stream, path) = sample_stream();
    let stop = AtomicBool::new(false);
    let enqueued = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let (queue, stop, enqueued) = (&queue, &stop, &enqueued);
            scope.spawn(move || {
                let (file, packed) = (sample_file(), File::open(path).unwrap());
                while !stop.load(Ordering::Relaxed) {
                    let (mut plain, mut unpacked) = (untouched(4096), untouched(SAMPLE_BYTES));
                    let request = Request::read(&file, 0, 4096, plain.lend().unwrap());
                    queue.enqueue_request(request.tagged(thread));
                    let request =
                        Request::read(&packed, 0, stream.len() as u32, unpacked.lend().unwrap());
                    let request = request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32);
                    queue.enqueue_request(request.tagged(thread));
                    queue.submit();
                    enqueued.fetch_add(2, Ordering::Relaxed);
                    queue.cancel_requests_with_tag(u64::MAX, thread);
                    assert!(
                        !plain.is_lent() && !unpacked.is_lent(),
                        "cancel returns when the work is quiet"
                    );
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
    });
    let stats = queue.stats();
    assert_eq!(
        stats.requests_completed + stats.requests_cancelled,
        enqueued.into_inner()
    );
    assert_eq!(runtime.staging_stats().bytes_in_use, 0);
}

#[test]
fn closing_wakes_a_blocked_enqueue() {
    let runtime = runtime();
    for _ in 0..50 {
        let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
        let (file, fence) = (sample_file(), Fence::new(0));
        let mut buffer = untouched(8 * 300);
        let mut chunks = buffer.lend_chunks(8).unwrap();
        std::thread::scope(|scope| {
            let (queue, fence) = (&queue, &fence);
            let blocked = scope.spawn(move || {
                let requests = (0..300).map(|_| Request::read(&file, 0, 8, chunks.next().unwrap()));
                queue.enqueue_requests(requests, Some((fence, 1)), FenceWait::default());
            });
            while queue.query().empty_slots > 0 {
                std::thread::yield_now();
            }
            queue.close();
            blocked.join().unwrap();
        });
        assert!(!buffer.is_lent());
        let record = queue.retrieve_error_record();
        assert_eq!(
            record.failure_count, 300,
            "127 cancelled, the others refused"
        );
    }
}

#[test]
fn queues_come_and_go() {
    let runtime = runtime();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let file = sample_file();
                for round in 0..300i32 {
                    let priority = Priority::from_number((round % 4) as i8 - 1);
                    let queue = runtime
                        .create_queue(QueueDesc::new(128).priority(priority))
                        .unwrap();
                    let mut buffer = untouched(512);
                    queue.enqueue_request(Request::read(&file, 0, 512, buffer.lend().unwrap()));
                    queue.submit();
                    drop(queue);
                    assert!(!buffer.is_lent());
                }
            });
        }
    });
}

#[test]
fn runtimes_come_and_go() {
    for round in 0..100 {
        let runtime = runtime();
        let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
        // The queue keeps the threads alive.
        drop(runtime);
        let array = StatusArray::new(1, None);
        let mut buffer = untouched(100);
        queue.enqueue_request(Request::read(
            &sample_file(),
            0,
            100,
            buffer.lend().unwrap(),
        ));
        queue.enqueue_status(Some(&array), 0);
        queue.submit();
        if round % 2 == 0 {
            assert_eq!(array.wait(0, Some(PATIENCE)), Some(S_OK));
        }
    }
}

/// There is one callback for the whole process.
static CALLBACK: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// The simulation works on the thread that asks, and the callback runs on it: it must not wait for itself.
#[test]
fn the_error_callback_may_ask_the_simulation_for_another_step() {
    use std::sync::mpsc;
    let _mine = CALLBACK.lock().unwrap();
    let runtime = Runtime::exactly(crate::rig::config(Backend::Sim)).unwrap();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let (asks, asked) = mpsc::channel();
    let simulation = runtime.clone();
    set_error_callback(Some(Box::new(move |report| {
        let request = report.request.as_ref();
        if request.is_some_and(|request| request.cancellation_tag == 0xCA12) {
            asks.send(simulation.turn()).unwrap();
        }
    })));
    let mut buffer = untouched(64);
    let request = Request::read(&sample_file(), 1 << 40, 64, buffer.lend().unwrap());
    let array = StatusArray::new(1, None);
    queue.enqueue_request(request.tagged(0xCA12));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let turning = std::thread::spawn(move || while runtime.turn() {});
    let moved = asked.recv_timeout(PATIENCE);
    set_error_callback(None);
    assert_eq!(moved, Ok(false), "nothing can be done within a step");
    turning.join().unwrap();
    assert!(array.is_complete(0));
}

#[test]
fn the_error_callback_hears_of_requests() {
    use std::sync::{Arc, Mutex};
    let _mine = CALLBACK.lock().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    set_error_callback(Some(Box::new(move |report| {
        // Other tests fail requests on purpose, too.
        let mine = report
            .request
            .as_ref()
            .is_some_and(|request| request.cancellation_tag == 0xCA11);
        if mine {
            listener
                .lock()
                .unwrap()
                .push((report.operation, report.to_string()));
        }
    })));
    let runtime = runtime();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let mut buffer = untouched(64);
    let request = Request::read(&sample_file(), 1 << 40, 64, buffer.lend().unwrap());
    queue.enqueue_request(request.named("texture").tagged(0xCA11));
    let array = StatusArray::new(1, None);
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    array.wait(0, Some(PATIENCE)).unwrap();
    drop(queue);
    drop(runtime); // the callback runs after the status; its thread is joined here
    set_error_callback(None);
    let heard = heard.lock().unwrap();
    let (operation, text) = &heard[0];
    assert_eq!((heard.len(), *operation), (1, "read"));
    for part in [
        "texture",
        "sample",
        "1099511627776",
        "0x89240007",
        "end of the file",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text:?}");
    }
}

/// An application that fetches as fast as it can never gets a request that a cancel has taken back.
#[test]
fn cancelling_races_with_fetching() {
    use ds_core::{CustomResult, Select};
    let runtime = runtime();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let custom = runtime.custom_decompression_queue();
    let (file, stop) = (sample_file(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let fetcher = scope.spawn(|| {
            let (mut requests, mut count) = (Vec::new(), 0u64);
            while !stop.load(Ordering::Relaxed) {
                requests.clear();
                custom.get_requests(Select::All, 16, &mut requests);
                for request in &requests {
                    // SAFETY: fetched and not answered: ours to write.
                    unsafe {
                        request
                            .destination
                            .as_ptr()
                            .write_bytes(1, request.destination.bytes())
                    };
                    let answer = CustomResult {
                        id: request.id,
                        hresult: S_OK,
                    };
                    custom
                        .set_results(&[answer])
                        .expect("a fetched request is answered once");
                    count += 1;
                }
            }
            count
        });
        for _ in 0..3000 {
            let mut buffer = untouched(64);
            let request = Request::read(&file, 0, 32, buffer.lend().unwrap());
            queue.enqueue_request(request.compressed(Compression::CUSTOM_0, 64));
            queue.submit();
            queue.cancel_requests_with_tag(0, 0);
            // Taken back, or in the application's hands and soon answered.
            let start = std::time::Instant::now();
            while buffer.is_lent() {
                assert!(start.elapsed() < PATIENCE, "a cancelled request was lost");
                std::thread::yield_now();
            }
        }
        stop.store(true, Ordering::Relaxed);
        fetcher.join().unwrap();
    });
    let stats = queue.stats();
    assert_eq!(stats.requests_cancelled + stats.requests_completed, 3000);
    assert_eq!(runtime.staging_stats().bytes_in_use, 0);
}

/// Whoever closes may free the memory when its own call returns, first or second.
#[test]
fn every_close_waits() {
    let runtime = runtime();
    let file = sample_file();
    for _ in 0..100 {
        let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
        let mut buffers: Vec<_> = (0..100).map(|_| untouched(200_000)).collect();
        for buffer in &mut buffers {
            let request = Request::read(&file, 0, 200_000, buffer.lend().unwrap());
            queue.enqueue_request(request);
        }
        queue.submit();
        let lent = std::thread::scope(|scope| {
            let closer = scope.spawn(|| queue.close());
            queue.close();
            let lent = buffers.iter_mut().any(ds_core::Buffer::is_lent);
            closer.join().unwrap();
            lent
        });
        assert!(!lent, "a close returned with requests in flight");
    }
}

/// A thread that found the queue full goes on with the little room that there is, although the queue
/// is not idle: an unanswered request holds the staging that another one waits for.
#[test]
fn little_room_is_room() {
    let runtime = runtime();
    runtime.set_staging_bytes(64).unwrap();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let custom = runtime.custom_decompression_queue();
    let (file, fence) = (sample_file(), Fence::new(0));
    let mut buffer = untouched(64 * 128);
    let mut chunks = buffer.lend_chunks(64).unwrap();
    let mut next = || Request::read(&file, 0, 64, chunks.next().unwrap());
    for _ in 0..2 {
        queue.enqueue_request(next().compressed(Compression::CUSTOM_0, 64));
    }
    queue.submit();
    let mut fetched = Vec::new();
    while custom.get_requests(ds_core::Select::All, 1, &mut fetched) == 0 {
        std::thread::yield_now();
    }
    let parked = (0..125).map(|index| next().tagged(index));
    queue.enqueue_requests(parked, Some((&fence, 1)), FenceWait::default());
    assert_eq!(queue.query().empty_slots, 0);
    let one_more = next();
    std::thread::scope(|scope| {
        scope.spawn(|| queue.enqueue_requests([one_more], Some((&fence, 1)), FenceWait::default()));
        while queue.stats().enqueue_waits == 0 {
            std::thread::yield_now();
        }
        queue.cancel_requests_with_tag(u64::MAX, 100);
    });
    let answer = ds_core::CustomResult {
        id: fetched[0].id,
        hresult: S_OK,
    };
    custom.set_results(&[answer]).unwrap();
    queue.close();
}
