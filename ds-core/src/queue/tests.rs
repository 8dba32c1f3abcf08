//! What a queue does while one of its requests closes the file that it was the last to have: close(2) waits
//! for the network or for another process on some file systems.

use std::fs;
use std::sync::Weak;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use super::*;
use crate::backend::Backend;
use crate::config::Config;
use crate::error::S_OK;
use crate::file::File;
use crate::hold::Hold;
use crate::host::Worker;
use crate::memory::{Buffer, MemoryDestination};
use crate::open_file::Gone;
use crate::runtime::AbortOnPanic;
use crate::state::Work;
use crate::sys;
use crate::transfer::Transfer;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// The size of [`SlowFile`]s.
const BYTES: u32 = 4096;

/// Whether it comes true before patience ends.
pub(crate) fn comes_true(mut what: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if what() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// What is left to see of a file that closes slowly.
pub(crate) struct SlowFile {
    open: Weak<OpenFile>,
    /// Closing takes until nobody holds its delay.
    pub(crate) gone: Arc<Gone>,
}

impl SlowFile {
    /// A file of zeros in the page cache, which has no name any more.
    pub(crate) fn new() -> (File, SlowFile) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ds-slow-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, vec![0; BYTES as usize]).unwrap();
        let file = File::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let gone = Arc::new(Gone::new(Arc::new(sys::eventfd().unwrap())));
        let open = Arc::downgrade(&file.opened().unwrap());
        open.upgrade().unwrap().registered(&gone);
        (file, SlowFile { open, gone })
    }

    /// Whether somebody has begun to close it, and perhaps hangs.
    pub(crate) fn is_closing(&self) -> bool {
        self.open.strong_count() == 0
    }
}

fn runtime_of(backend: Backend) -> Runtime {
    let mut config = Config {
        backend,
        io_threads: 1,
        ..Config::default()
    };
    config.sim.short_per_mille = 0;
    Runtime::exactly(config).unwrap()
}

/// A request is the last to have its file, whose close takes long, and ends by `end`, on a thread of its own.
/// The queue must answer meanwhile, and the status must come afterwards.
fn ends_slowly(queue: &Queue, request: Request, fence: Option<&Fence>, slow: &SlowFile, end: End) {
    let End { end, hresult } = end;
    let done = StatusArray::new(1, None);
    let delay = slow.gone.delay();
    let fence = fence.map(|fence| (fence, 1));
    queue.enqueue_requests([request], fence, FenceWait::default());
    queue.enqueue_status(Some(&done), 0);
    queue.submit();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As on the engine's threads: what a failed assertion leaves in the middle would hang.
            let _abort = AbortOnPanic;
            end(queue);
        });
        let closes = comes_true(|| slow.is_closing());
        let (answers, answer) = mpsc::channel();
        scope.spawn(move || answers.send(queue.query().empty_slots));
        let empty_slots = answer.recv_timeout(PATIENCE);
        let early = done.is_complete(0);
        drop(delay);
        assert!(closes, "the file is closed with its last request");
        assert!(empty_slots.is_ok(), "the queue's lock is held over close");
        assert!(!early, "the status came before the file was closed");
    });
    assert_eq!(done.wait(0, Some(PATIENCE)), Some(hresult));
    assert_eq!(queue.query().empty_slots, 127);
}

/// How a request ends, and as what.
struct End {
    end: fn(&Queue),
    hresult: i32,
}

/// A read of that many bytes ends slowly.
fn close_slowly(bytes: u32, fence: Option<&Fence>, end: fn(&Queue), hresult: i32) {
    let runtime = runtime_of(Backend::Cpu);
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let (file, slow) = SlowFile::new();
    let mut buffer = Buffer::new(64);
    let request = Request::read(&file, 0, bytes, part(&mut buffer, bytes));
    drop(file);
    ends_slowly(&queue, request, fence, &slow, End { end, hresult });
}

fn part(buffer: &mut Buffer, bytes: u32) -> MemoryDestination {
    buffer.lend_parts([bytes as usize]).unwrap().remove(0)
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

/// Zeros are no stream; `warm`: a worker finds that out, who has read them, or else an I/O thread.
fn close_after_a_bad_stream(warm: bool) {
    let runtime = runtime_of(Backend::Cpu);
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    while warm && !queue.core.warm.is_warm() {
        queue.core.warm.note(true);
    }
    let (file, slow) = SlowFile::new();
    let mut buffer = Buffer::new(64);
    let request = Request::read(&file, 0, BYTES, part(&mut buffer, 64));
    let request = request.compressed(Compression::GDEFLATE, 64);
    drop(file);
    let (end, hresult) = (|_: &Queue| {}, Error::Corrupt.hresult());
    ends_slowly(&queue, request, None, &slow, End { end, hresult });
    if warm && !comes_true(|| runtime.io_stats().by_workers == 1) {
        println!("SKIPPED: workers cannot read here without waiting");
    }
}

#[test]
fn the_file_of_a_bad_stream_is_closed_before_its_status() {
    close_after_a_bad_stream(false);
    close_after_a_bad_stream(true);
}

/// The one request of a queue that nobody serves, as an engine thread would get it.
fn take_one(queue: &Queue) -> Started {
    let budget = Budget {
        requests: 1,
        bytes: usize::MAX,
        threads: 1,
        bytes_alone: 0,
    };
    let mut started = Vec::new();
    queue.core.start(budget, &mut started);
    started.pop().unwrap()
}

/// As for bytes that a GPU has handed over: a worker has the file while it writes.
#[test]
fn a_file_that_a_worker_wrote_is_closed_before_its_status() {
    let runtime = runtime_of(Backend::Sim);
    let queue = runtime.create_queue(QueueDesc::new(128).memory()).unwrap();
    let (file, slow) = SlowFile::new();
    let source = Buffer::from_slice(&[7; 64]).into_source().unwrap();
    let request = Request::write(source.part(0, 64).unwrap(), &file, 0);
    drop(file);
    let write = |queue: &Queue| {
        let Started { token, work, .. } = take_one(queue);
        let Work::Transfer { file, span, .. } = work else {
            panic!("{work:?}")
        };
        let shared = &queue.core.shared;
        let hold = Hold::Nothing;
        shared
            .host
            .write(shared, &queue.core, token, span, hold, (file, 0));
        let mut worker = Worker::default();
        while shared.host.turn(shared, &mut worker) {}
    };
    let (end, hresult) = (write, S_OK);
    ends_slowly(&queue, request, None, &slow, End { end, hresult });
}

#[test]
fn the_file_of_a_read_that_comes_back_cancelled_is_closed_before_its_status() {
    let runtime = runtime_of(Backend::Sim);
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let (file, slow) = SlowFile::new();
    let mut buffer = Buffer::new(64);
    let request = Request::read(&file, 0, 64, part(&mut buffer, 64));
    drop(file);
    let cancel = |queue: &Queue| {
        let shared = &queue.core.shared;
        let transfer = Transfer::new(shared, &queue.core, take_one(queue)).unwrap();
        let entry = transfer.entry;
        std::thread::scope(|scope| {
            scope.spawn(|| queue.cancel_requests_with_tag(0, 0));
            let _abort = AbortOnPanic;
            assert!(comes_true(|| queue.core.is_cancelled(entry)));
            transfer.put_back(shared);
        });
    };
    let (end, hresult) = (cancel, Error::Cancelled.hresult());
    ends_slowly(&queue, request, None, &slow, End { end, hresult });
}
