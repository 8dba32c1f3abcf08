//! Streams in the page cache, which workers read by themselves: nothing but the statistics may tell.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use ds_core::gdeflate::Codec;
use ds_core::gdeflate::encode::Level;
use ds_core::{Compression, Error, File, Queue, QueueDesc, Request, S_OK, StatusArray};

use crate::rig::{
    PATIENCE, Rig, assert_ok, code, is_untouched, over_cpu, over_io_uring, sample, temporary,
    untouched,
};

/// Content of a stream: two tiles, the last one not whole.
const BYTES: usize = 100_000;

/// A file with one stream, and a queue that reads it.
struct Archive {
    path: std::path::PathBuf,
    file: File,
    stream_bytes: u32,
}

impl Archive {
    fn new(rig: &Rig, name: &str) -> Archive {
        let path = temporary(&format!("{name}-{}", rig.runtime.backend().backend));
        let stream = Codec::new(1)
            .compress_to_vec(&sample(0, BYTES), Level::FASTEST, None)
            .unwrap();
        std::fs::write(&path, &stream).unwrap();
        Archive {
            file: File::open(&path).unwrap(),
            path,
            stream_bytes: stream.len() as u32,
        }
    }

    fn request(&self, destination: ds_core::MemoryDestination) -> Request {
        Request::read(&self.file, 0, self.stream_bytes, destination)
            .compressed(Compression::GDEFLATE, BYTES as u32)
    }

    /// Reads the stream `count` times and looks at what came.
    fn read(&self, rig: &Rig, queue: &Queue, count: usize) {
        let mut buffers: Vec<_> = (0..count).map(|_| untouched(BYTES)).collect();
        for buffer in &mut buffers {
            queue.enqueue_request(self.request(buffer.lend().unwrap()));
        }
        assert_ok(rig.finish(queue));
        for buffer in &mut buffers {
            assert!(buffer.bytes().unwrap() == sample(0, BYTES));
        }
    }

    /// Reads until workers do it by themselves; `false` with a line that says why they never will.
    fn warm_up(&self, rig: &Rig, queue: &Queue) -> bool {
        if !self.kernel_can_tell() {
            println!("SKIPPED: the file system cannot say what is in the page cache");
            return false;
        }
        let start = Instant::now();
        let before = by_workers(rig);
        while by_workers(rig) == before {
            self.read(rig, queue, 32);
            assert!(start.elapsed() < PATIENCE, "workers never read");
        }
        true
    }

    /// Whether reads that must not wait exist here (RWF_NOWAIT).
    fn kernel_can_tell(&self) -> bool {
        let file = std::fs::File::open(&self.path).unwrap();
        let mut byte = 0u8;
        let part = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        // SAFETY: one part, which is a byte of this frame's.
        let read = unsafe { libc::preadv2(file.as_raw_fd(), &part, 1, 0, libc::RWF_NOWAIT) };
        read == 1
    }

    fn evict(&self) {
        let file = std::fs::File::open(&self.path).unwrap();
        file.sync_all().unwrap();
        // SAFETY: takes no memory.
        let result =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(result, 0);
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn by_workers(rig: &Rig) -> u64 {
    rig.runtime.io_stats().by_workers
}

macro_rules! over_real_backends {
    ($($body:ident;)*) => { $(
        mod $body {
            #[test]
            fn cpu() {
                super::over_cpu(super::$body);
            }
            #[test]
            fn io_uring() {
                super::over_io_uring(super::$body);
            }
        }
    )* };
}

over_real_backends! {
    what_leaves_the_cache_is_read_by_others;
    other_requests_go_to_the_io_threads;
    queues_share_a_small_buffer;
    errors_are_the_same;
    cancelled_and_closed_in_the_middle;
    idle_memory_is_given_back;
}

fn what_leaves_the_cache_is_read_by_others(rig: &Rig) {
    let (archive, queue) = (Archive::new(rig, "warm-evicted"), rig.queue());
    if !archive.warm_up(rig, &queue) {
        return;
    }
    for _ in 0..5 {
        archive.evict();
        archive.read(rig, &queue, 20);
    }
}

/// One that is no stream ends the workers' reading for a while, and loses nothing by having been theirs:
/// alone, and between streams that a worker starts together with it.
fn other_requests_go_to_the_io_threads(rig: &Rig) {
    let archive = Archive::new(rig, "warm-mixed");
    let stored = std::fs::read(&archive.path).unwrap();
    for streams_around in [0, 1, 2] {
        let queue = rig.queue();
        if !archive.warm_up(rig, &queue) {
            return;
        }
        let mut plain = untouched(stored.len());
        let mut unpacked: Vec<_> = (0..2 * streams_around).map(|_| untouched(BYTES)).collect();
        let (first, last) = unpacked.split_at_mut(streams_around);
        for buffer in first {
            queue.enqueue_request(archive.request(buffer.lend().unwrap()));
        }
        let part = plain.lend().unwrap();
        queue.enqueue_request(Request::read(&archive.file, 0, archive.stream_bytes, part));
        for buffer in last {
            queue.enqueue_request(archive.request(buffer.lend().unwrap()));
        }
        assert_ok(rig.finish(&queue));
        assert!(plain.bytes().unwrap() == stored);
        for buffer in &mut unpacked {
            assert!(buffer.bytes().unwrap() == sample(0, BYTES));
        }
        let before = by_workers(rig);
        archive.read(rig, &queue, 40);
        assert_eq!(by_workers(rig), before, "it was the I/O threads' turn");
    }
}

/// Room for one stream and a half, so that nearly every request waits for staging.
fn queues_share_a_small_buffer(rig: &Rig) {
    let archive = Archive::new(rig, "warm-staging");
    let staging_bytes = archive.stream_bytes + archive.stream_bytes / 2;
    rig.runtime.set_staging_bytes(staging_bytes).unwrap();
    let queues = [rig.queue(), rig.queue()];
    if !queues.iter().all(|queue| archive.warm_up(rig, queue)) {
        return;
    }
    std::thread::scope(|scope| {
        for queue in &queues {
            let archive = &archive;
            scope.spawn(move || (0..10).for_each(|_| archive.read(rig, queue, 20)));
        }
    });
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

fn errors_are_the_same(rig: &Rig) {
    let (archive, queue) = (Archive::new(rig, "warm-errors"), rig.queue());
    if !archive.warm_up(rig, &queue) {
        return;
    }
    let mut buffer = untouched(BYTES);
    let behind = Request::read(
        &archive.file,
        1,
        archive.stream_bytes,
        buffer.lend().unwrap(),
    );
    let behind = behind.compressed(Compression::GDEFLATE, BYTES as u32);
    assert_eq!(rig.run(&queue, behind), code(Error::EndOfFile));
    assert!(is_untouched(&mut buffer));
    let inside = Request::read(
        &archive.file,
        1,
        archive.stream_bytes - 1,
        buffer.lend().unwrap(),
    );
    let inside = inside.compressed(Compression::GDEFLATE, BYTES as u32);
    assert_eq!(rig.run(&queue, inside), code(Error::Corrupt));
    assert!(is_untouched(&mut buffer));
    archive.read(rig, &queue, 20);
}

fn cancelled_and_closed_in_the_middle(rig: &Rig) {
    let archive = Archive::new(rig, "warm-cancel");
    for round in 0..20 {
        let queue = rig.runtime.create_queue(QueueDesc::new(256)).unwrap();
        if !archive.warm_up(rig, &queue) {
            return;
        }
        let mut buffers: Vec<_> = (0..100).map(|_| untouched(BYTES)).collect();
        for (index, buffer) in buffers.iter_mut().enumerate() {
            let request = archive.request(buffer.lend().unwrap());
            queue.enqueue_request(request.tagged(index as u64 % 2));
        }
        queue.submit();
        std::thread::sleep(Duration::from_micros(100 * round));
        queue.cancel_requests_with_tag(u64::MAX, 1);
        for buffer in buffers.iter_mut().skip(1).step_by(2) {
            assert!(buffer.bytes().is_some(), "cancel returns when it is quiet");
        }
        queue.close();
        for buffer in &mut buffers {
            let bytes = buffer.bytes().expect("close returns when it is quiet");
            let whole = bytes == sample(0, BYTES);
            assert!(whole || bytes.contains(&0xA5), "neither all nor a part");
        }
        assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
    }
}

/// The I/O threads have gone to sleep for good by the time that workers use staging.
fn idle_memory_is_given_back(rig: &Rig) {
    let (archive, queue) = (Archive::new(rig, "warm-idle"), rig.queue());
    if !archive.warm_up(rig, &queue) {
        return;
    }
    let patience = Duration::from_secs(20);
    let wait_until_given_back = || {
        let start = Instant::now();
        while rig.runtime.staging_stats().holds_memory {
            assert!(start.elapsed() < patience, "idle staging is kept");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait_until_given_back();
    let before = by_workers(rig);
    archive.read(rig, &queue, 1);
    if by_workers(rig) == before {
        // On a loaded machine the last reads took so long that they may have been the disk's.
        assert!(archive.warm_up(rig, &queue));
    }
    wait_until_given_back();
    let (array, mut buffer) = (StatusArray::new(1, None), untouched(BYTES));
    queue.enqueue_request(archive.request(buffer.lend().unwrap()));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    assert_eq!(array.wait(0, Some(PATIENCE)), Some(S_OK));
}
