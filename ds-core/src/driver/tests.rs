//! What a ring's thread must not sleep through for long, and what it and others must not wait for.

use std::io::Write;

use super::*;
use crate::backend::Backend;
use crate::config::Config;
use crate::error::{Error, S_OK};
use crate::file::File;
use crate::memory::Buffer;
use crate::notify::StatusArray;
use crate::queue::tests::{SlowFile, comes_true};
use crate::queue::{Priority, QueueDesc};
use crate::request::Request;
use crate::runtime::Runtime;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file system that does not answer holds up one read; another read of the same group fails.
#[test]
fn an_error_is_heard_of_while_other_reads_of_the_group_hang() {
    if let Some(why) = Backend::IoUring.unavailable() {
        return println!("SKIPPED: no io_uring here: {why}");
    }
    let config = Config {
        backend: Backend::IoUring,
        io_threads: 1,
        ..Config::default()
    };
    let runtime = Runtime::exactly(config).unwrap();
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let (pipe, mut writer) = std::io::pipe().unwrap();
    let slow = File::of_any_fd(pipe.into());
    let own = std::env::current_exe().unwrap();
    let folder = std::fs::File::open(own.parent().unwrap()).unwrap();
    let bad = File::of_any_fd(folder.into());
    let mut buffers = [1, 1].map(Buffer::new);
    let [one, other] = buffers.each_mut().map(|buffer| buffer.lend().unwrap());
    let done = StatusArray::new(1, None);
    queue.enqueue_request(Request::read(&slow, 0, 1, one));
    queue.enqueue_request(Request::read(&bad, 0, 1, other));
    queue.enqueue_status(Some(&done), 0);
    queue.submit();
    let heard = queue.error_event().wait(Some(PATIENCE));
    let early = done.is_complete(0);
    let record = queue.retrieve_error_record();
    writer.write_all(&[7]).unwrap();
    assert!(heard, "the ring's thread sleeps until the pipe is written");
    assert!(!early);
    assert_eq!(record.failure_count, 1);
    let error = Error::Os(libc::EISDIR).hresult();
    assert_eq!(done.wait(0, Some(PATIENCE)), Some(error));
    assert_ne!(error, S_OK);
    assert_eq!(buffers[0].bytes().unwrap(), [7]);
}

/// A runtime in which nothing happens by itself, with a queue of each priority: the first has a request that
/// is the last to have a file, whose close takes long.
struct Hanging {
    runtime: Runtime,
    _queues: Vec<crate::queue::Queue>,
    slow: SlowFile,
    /// What the others read; nobody closes it.
    _other: File,
    dones: Vec<StatusArray>,
}

/// Reads of queues of these priorities, the slow one of `priorities[0]`.
fn hanging(priorities: &[Priority]) -> Hanging {
    let mut config = Config {
        backend: Backend::Sim,
        ..Config::default()
    };
    config.sim.short_per_mille = 0;
    let runtime = Runtime::exactly(config).unwrap();
    let (file, slow) = SlowFile::new();
    let other = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let mut files = [file].into_iter().chain(std::iter::repeat(other.clone()));
    let (mut queues, mut dones) = (Vec::new(), Vec::new());
    for &priority in priorities {
        let desc = QueueDesc::new(128).priority(priority);
        let queue = runtime.create_queue(desc).unwrap();
        let destination = Buffer::new(64).lend().unwrap();
        let file = files.next().expect("without end");
        queue.enqueue_request(Request::read(&file, 0, 64, destination));
        let done = StatusArray::new(1, None);
        queue.enqueue_status(Some(&done), 0);
        queue.submit();
        queues.push(queue);
        dones.push(done);
    }
    Hanging {
        runtime,
        _queues: queues,
        slow,
        _other: other,
        dones,
    }
}

/// Whatever was reaped together with the read: requests of more and of less urgent queues.
#[test]
fn a_slow_close_holds_up_nothing_that_was_reaped_with_it() {
    let it = hanging(&[Priority::Normal, Priority::Realtime, Priority::Low]);
    let shared = it.runtime.shared();
    let mut driver = Driver::new(Io::Threads(Threads::new()), 1);
    while driver.take(shared) {}
    assert_eq!(driver.io.in_flight(), 3);
    let delay = it.slow.gone.delay();
    std::thread::scope(|scope| {
        scope.spawn(|| driver.step(shared));
        let closes = comes_true(|| it.slow.is_closing());
        let others = it.dones[1..].iter().all(|done| done.is_complete(0));
        let early = it.dones[0].is_complete(0);
        drop(delay);
        assert!(closes);
        assert!(!early);
        assert!(others, "they wait behind close(2)");
    });
    assert_eq!(it.dones[0].hresult(0), S_OK);
}

#[test]
fn a_thread_that_helps_closes_nothing() {
    if let Err(why) = crate::io::uring::probe() {
        return println!("SKIPPED: no io_uring here: {why}");
    }
    let it = hanging(&[Priority::Normal]);
    let shared = it.runtime.shared();
    shared.scheduler.set_cached(true);
    let wake = Arc::new(sys::eventfd().unwrap());
    let ring = crate::io::uring::Uring::lent(wake).unwrap();
    let mut driver = Driver::lent(Io::Uring(Box::new(ring)), 1);
    let delay = it.slow.gone.delay();
    std::thread::scope(|scope| {
        let helps = scope.spawn(|| driver.help(shared));
        let returns = comes_true(|| helps.is_finished());
        let closing = it.slow.is_closing();
        drop(delay);
        assert!(returns, "it closes the file itself");
        assert!(!closing, "nobody else is there yet");
        assert!(helps.join().unwrap(), "it has read");
    });
    assert!(!it.dones[0].is_complete(0));
    while it.runtime.turn() {}
    assert_eq!(it.dones[0].hresult(0), S_OK);
    assert!(it.slow.is_closing());
}
