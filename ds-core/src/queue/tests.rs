//! What a queue does while one of its requests closes the file that it was the last to have: close(2) waits
//! for the network or for another process on some file systems.

use std::sync::mpsc;

use super::*;
use crate::backend::Backend;
use crate::config::Config;
use crate::error::S_OK;
use crate::file::File;
use crate::memory::Buffer;
use crate::open_file::Gone;
use crate::sys;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether it comes true before patience ends.
fn comes_true(mut what: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if what() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// Lets a request of `bytes` bytes be the last to have its file, whose close takes long, and lets it end:
/// by `end`, on a thread of its own. The queue must answer meanwhile, and the status must come afterwards.
fn close_slowly(bytes: u32, fence: Option<&Fence>, end: fn(&Queue), hresult: i32) {
    let config = Config {
        backend: Backend::Cpu,
        io_threads: 1,
        ..Config::default()
    };
    let runtime = Runtime::exactly(config).unwrap();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let gone = Arc::new(Gone::new(Arc::new(sys::eventfd().unwrap())));
    let done = StatusArray::new(1, None);
    let mut buffer = Buffer::new(64);
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let open = Arc::downgrade(&file.opened().unwrap());
    open.upgrade().unwrap().registered(&gone);
    let destination = buffer.lend_parts([bytes as usize]).unwrap().remove(0);
    let request = Request::read(&file, 0, bytes, destination);
    drop(file);

    let slow = gone.delay();
    let fence = fence.map(|fence| (fence, 1));
    queue.enqueue_requests([request], fence, FenceWait::default());
    queue.enqueue_status(Some(&done), 0);
    queue.submit();
    std::thread::scope(|scope| {
        scope.spawn(|| end(&queue));
        let closes = comes_true(|| open.strong_count() == 0);
        let (answers, answer) = mpsc::channel();
        let queue = &queue;
        scope.spawn(move || answers.send(queue.query().empty_slots));
        let empty_slots = answer.recv_timeout(PATIENCE);
        let early = done.is_complete(0);
        drop(slow);
        assert!(closes, "the file is closed with its last request");
        assert!(empty_slots.is_ok(), "the queue's lock is held over close");
        assert!(!early, "the status came before the file was closed");
    });
    assert_eq!(done.wait(0, Some(PATIENCE)), Some(hresult));
    assert_eq!(queue.query().empty_slots, 127);
}

#[test]
fn a_slow_close_holds_up_nobody_when_a_read_ends() {
    close_slowly(64, None, |_| {}, S_OK);
}

#[test]
fn a_slow_close_holds_up_nobody_when_there_was_nothing_to_do() {
    close_slowly(0, None, |_| {}, S_OK);
}

#[test]
fn a_slow_close_holds_up_nobody_when_a_request_is_cancelled() {
    let never = Fence::new(0);
    let cancelled = Error::Cancelled.hresult();
    let cancel = |queue: &Queue| queue.cancel_requests_with_tag(0, 0);
    close_slowly(64, Some(&never), cancel, cancelled);
    close_slowly(64, Some(&never), Queue::close, cancelled);
}
