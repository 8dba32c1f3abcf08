//! Threads that wait lend a hand: instead of sleeping until others have read what is in the page cache, they
//! read some of it themselves.
//!
//! A read from the page cache is a copy that takes less time than one thread needs to wake another. So a
//! thread that would sleep until a status, a fence or a place in a full queue comes takes requests like an
//! I/O thread does, through a ring that is nobody's ([`Uring::lent`]), for as long as there are any to take.
//! Bounds, so that a wait stays a wait:
//! - Only reads that the page cache answers at once; what would have to wait for a disk goes back to the
//!   queue, for the I/O threads. Nothing is in flight between two rounds.
//! - One thread helps at a time, a small portion a round ([`Driver::help`]); then it looks whether what it
//!   waits for has come.
//! - Not near the end of a time-out, and not before the I/O threads have met cached files.
//! - Nothing that is urgent: it would be in the hands of a thread that may be the least urgent of all.
//! - The end of the runtime waits for whoever helps, as it joins its own threads.

#![forbid(unsafe_code)]

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::driver::Driver;
use crate::io::{Io, uring::Uring};
use crate::runtime::{AbortOnPanic, Shared};
use crate::sys;

/// A wait that ends sooner is not begun with a round of reads: one is up to two megabytes, half of a
/// millisecond where the memory is slow.
const TIME_LEFT_MIN: Duration = Duration::from_millis(2);

/// The driver for whoever waits, where there is one.
#[derive(Debug, Default)]
pub(crate) struct Helper(OnceLock<Mutex<Driver>>);

impl Helper {
    /// Makes it work. Without a ring for it everything goes on as it would otherwise.
    pub(crate) fn begin(&self, shared: &Shared) {
        let threads = shared.config.io_thread_count(shared.backend());
        sys::watch_forks();
        match Uring::lent(shared.scheduler.ring_event(0)) {
            Ok(ring) => {
                let driver = Driver::lent(Io::Uring(Box::new(ring)), threads);
                // There is one thread that does this.
                let _ = self.0.set(Mutex::new(driver));
            }
            Err(error) => log::info!(target: "ds", "no ring for threads that wait: {error}"),
        }
    }

    /// Waits until nobody helps any more. The runtime has stopped, so nobody begins to.
    pub(crate) fn end(&self) {
        if let Some(driver) = self.0.get() {
            drop(driver.lock());
        }
    }
}

/// The runtime whose requests somebody may wait for: of an object that several have used, the last.
#[derive(Debug, Default)]
pub(crate) struct HelpedBy(Mutex<Weak<Shared>>);

impl HelpedBy {
    /// Requests of that runtime come before something that can be waited for.
    pub(crate) fn set(&self, shared: &Arc<Shared>) {
        let mut known = self.0.lock();
        if !std::ptr::eq(known.as_ptr(), Arc::as_ptr(shared)) {
            *known = Arc::downgrade(shared);
        }
    }

    /// Reads until `is_done`, or until there is nothing (more) that this thread could do.
    pub(crate) fn help(&self, deadline: Option<Instant>, is_done: impl Fn() -> bool) {
        let shared = self.0.lock().upgrade();
        if let Some(shared) = shared {
            shared.help(deadline, is_done);
        }
    }
}

impl Shared {
    /// As [`HelpedBy::help`].
    pub(crate) fn help(&self, deadline: Option<Instant>, is_done: impl Fn() -> bool) {
        let Some(driver) = self.helper.0.get() else {
            return;
        };
        // The ring is the parent's; and who waits while it unwinds must not take this for our own panic.
        if sys::is_forked() || std::thread::panicking() {
            return;
        }
        while self.scheduler.is_cached() && !is_done() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left < TIME_LEFT_MIN) {
                return;
            }
            let Some(mut driver) = driver.try_lock() else {
                return;
            };
            if self.scheduler.is_stopped() {
                return;
            }
            let _abort = AbortOnPanic;
            if !driver.help(self) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config::Config;
    use crate::{Backend, Buffer, Error, File, Priority, QueueDesc, Request, Runtime, StatusArray};

    const BYTES: usize = 64 << 10;

    fn byte_at(offset: usize) -> u8 {
        ((offset * 31) >> 8) as u8 ^ offset as u8
    }

    /// A runtime in which nothing happens by itself, and a driver for threads that wait.
    fn bench(mode: &str) -> Option<(Runtime, Driver)> {
        if let Err(why) = crate::io::uring::probe() {
            println!("SKIPPED: no io_uring here: {why}");
            return None;
        }
        let mut config = Config {
            backend: Backend::Sim,
            ..Config::default()
        };
        config.sim.short_per_mille = 0;
        config.set("file_mode", mode).unwrap();
        let runtime = Runtime::exactly(config).unwrap();
        runtime.shared().scheduler.set_cached(true);
        let wake = Arc::new(crate::sys::eventfd().unwrap());
        let io = Io::Uring(Box::new(Uring::lent(wake).unwrap()));
        Some((runtime, Driver::lent(io, 1)))
    }

    /// A file whose first bytes are in the page cache; behind them it has a hole that nobody has read.
    fn file() -> File {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ds-help-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let bytes: Vec<u8> = (0..BYTES).map(byte_at).collect();
        std::fs::write(&path, bytes).unwrap();
        let written = std::fs::File::options().write(true).open(&path).unwrap();
        written.set_len(64 << 20).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file
    }

    /// Enqueues reads at `offsets` and a status behind them.
    fn enqueue(
        runtime: &Runtime,
        file: &File,
        offsets: &[u64],
        buffer: &mut Buffer,
    ) -> (crate::Queue, StatusArray) {
        enqueue_with(runtime, Priority::Normal, file, offsets, buffer)
    }

    fn enqueue_with(
        runtime: &Runtime,
        priority: Priority,
        file: &File,
        offsets: &[u64],
        buffer: &mut Buffer,
    ) -> (crate::Queue, StatusArray) {
        let desc = QueueDesc::new(128).priority(priority);
        let queue = runtime.create_queue(desc).unwrap();
        let array = StatusArray::new(1, None);
        let bytes = buffer.len() / offsets.len();
        for (part, &offset) in buffer.lend_chunks(bytes).unwrap().zip(offsets) {
            queue.enqueue_request(Request::read(file, offset, bytes as u32, part));
        }
        queue.enqueue_status(Some(&array), 0);
        queue.submit();
        (queue, array)
    }

    #[test]
    fn who_waits_reads_what_is_cached() {
        let Some((runtime, mut driver)) = bench("buffered") else {
            return;
        };
        let file = file();
        let offsets: Vec<u64> = (0..40).map(|index| index * 777).collect();
        let mut buffer = Buffer::new(40 * 500);
        let (queue, array) = enqueue(&runtime, &file, &offsets, &mut buffer);
        let mut rounds = 0;
        while driver.help(runtime.shared()) {
            rounds += 1;
        }
        assert_eq!(rounds, 3, "40 requests, 16 a round");
        assert_eq!(array.hresult(0), 0, "and nobody else has done anything");
        let stats = runtime.io_stats();
        assert_eq!((stats.operations, stats.system_calls), (40, 3));
        drop(queue);
        for (part, &offset) in buffer.bytes().unwrap().chunks(500).zip(&offsets) {
            let expected: Vec<u8> = (0..500).map(|at| byte_at(offset as usize + at)).collect();
            assert_eq!(part, expected);
        }
    }

    /// What one request of that kind comes to, where a thread that waits has looked at it first.
    fn goes_back(mode: &str, offset: u64, bytes: usize) -> Option<i32> {
        let (runtime, mut driver) = bench(mode)?;
        let mut buffer = Buffer::new(bytes);
        let (queue, array) = enqueue(&runtime, &file(), &[offset], &mut buffer);
        assert!(!driver.help(runtime.shared()), "{mode} {offset} {bytes}");
        assert!(!array.is_complete(0), "{mode} {offset} {bytes}");
        assert!(!runtime.shared().scheduler.is_cached());
        assert_eq!(queue.stats().requests_completed, 0);
        while runtime.turn() {}
        array.is_complete(0).then(|| array.hresult(0))
    }

    #[test]
    fn what_it_cannot_read_at_once_goes_back() {
        if bench("buffered").is_none() {
            return;
        }
        assert_eq!(goes_back("buffered", 0, 2 << 20), Some(0), "too large");
        assert_eq!(goes_back("dontcache", 0, 4096), Some(0));
        let direct = file().opened().unwrap().alignment().is_some();
        if direct {
            assert_eq!(goes_back("direct", 0, 4096), Some(0));
        }
    }

    #[test]
    fn a_hole_that_nobody_has_read_is_read_by_one_or_the_other() {
        let Some((runtime, mut driver)) = bench("buffered") else {
            return;
        };
        let mut buffer = Buffer::new(40 * 4096);
        buffer.bytes_mut().unwrap().fill(7);
        let offsets: Vec<u64> = (0..40).map(|index| (1 + index) << 20).collect();
        let (queue, array) = enqueue(&runtime, &file(), &offsets, &mut buffer);
        driver.help(runtime.shared());
        assert!(!array.is_complete(0));
        while runtime.turn() {}
        assert_eq!(array.hresult(0), 0);
        drop(queue);
        assert!(buffer.bytes().unwrap().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_cancelled_request_that_comes_back_ends() {
        let Some((runtime, mut driver)) = bench("dontcache") else {
            return;
        };
        let mut buffer = Buffer::new(4096);
        let (queue, array) = enqueue(&runtime, &file(), &[0], &mut buffer);
        assert!(!driver.help(runtime.shared()));
        queue.close();
        assert_eq!(array.hresult(0), Error::Cancelled.hresult());
        assert_eq!(buffer.bytes().map(<[u8]>::len), Some(4096));
    }

    #[test]
    fn a_wait_that_is_nearly_over_is_not_lengthened() {
        let Some((runtime, driver)) = bench("buffered") else {
            return;
        };
        let shared = runtime.shared();
        shared.helper.0.set(Mutex::new(driver)).unwrap();
        let mut buffer = Buffer::new(4096);
        let file = file();
        let (_queue, array) = enqueue(&runtime, &file, &[0], &mut buffer);
        assert_eq!(array.wait(0, Some(TIME_LEFT_MIN / 2)), None);
        assert_eq!(array.wait(0, Some(Duration::from_secs(10))), Some(0));
    }

    /// Such a thread may be the least urgent of all.
    #[test]
    fn what_is_urgent_is_left_to_the_engine() {
        let Some((runtime, mut driver)) = bench("buffered") else {
            return;
        };
        for (priority, helps) in [
            (Priority::Low, true),
            (Priority::Normal, true),
            (Priority::High, false),
            (Priority::Realtime, false),
        ] {
            let mut buffer = Buffer::new(4096);
            let file = file();
            let (_queue, array) = enqueue_with(&runtime, priority, &file, &[0], &mut buffer);
            assert_eq!(driver.help(runtime.shared()), helps, "{priority:?}");
            assert_eq!(array.is_complete(0), helps, "{priority:?}");
            while runtime.turn() {}
        }
    }

    #[test]
    fn who_waits_while_it_unwinds_goes_on_unwinding() {
        let Some((runtime, driver)) = bench("buffered") else {
            return;
        };
        struct WaitsAtItsEnd(StatusArray);
        impl Drop for WaitsAtItsEnd {
            fn drop(&mut self) {
                self.0.wait(0, Some(10 * TIME_LEFT_MIN));
            }
        }
        let shared = runtime.shared();
        shared.helper.0.set(Mutex::new(driver)).unwrap();
        let mut buffer = Buffer::new(4096);
        let (_queue, array) = enqueue(&runtime, &file(), &[0], &mut buffer);
        let unwound = std::thread::spawn(|| {
            let _guard = WaitsAtItsEnd(array);
            std::panic::resume_unwind(Box::new("as a program's own panic"));
        });
        assert!(unwound.join().is_err());
    }

    #[test]
    fn the_last_runtime_counts() {
        let Some((first, _)) = bench("buffered") else {
            return;
        };
        let (second, _) = bench("buffered").unwrap();
        let helped_by = HelpedBy::default();
        for runtime in [&first, &second] {
            helped_by.set(runtime.shared());
            let known = helped_by.0.lock().upgrade().unwrap();
            assert!(Arc::ptr_eq(&known, runtime.shared()));
        }
    }

    #[test]
    fn a_runtime_that_has_gone_lists_nothing() {
        let Some((runtime, mut driver)) = bench("buffered") else {
            return;
        };
        let mut buffer = Buffer::new(4096);
        let (_queue, _) = enqueue(&runtime, &file(), &[0], &mut buffer);
        let shared = runtime.shared();
        let queue = shared.scheduler.next(|_| true).unwrap();
        shared.scheduler.looked();
        shared.scheduler.stop();
        shared.scheduler.list(queue, crate::scheduler::Wake::Yes);
        assert!(!driver.help(shared));
    }
}
