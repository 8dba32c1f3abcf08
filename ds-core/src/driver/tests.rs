//! What a ring's thread must not sleep through for long.

use std::io::Write;

use super::*;
use crate::backend::Backend;
use crate::config::Config;
use crate::error::{Error, S_OK};
use crate::file::File;
use crate::memory::Buffer;
use crate::notify::StatusArray;
use crate::queue::QueueDesc;
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
