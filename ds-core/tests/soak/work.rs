//! What the threads of the soak do, and how they know that it was right.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ds_core::{
    Buffer, Compression, Event, Fence, FenceWait, File, Priority, Queue, QueueDesc, Request,
    Runtime, S_OK, SharedBytes, StatusArray,
};

use crate::support::contents::{
    Guarded, PATIENCE, Random, UNTOUCHED, assert_same, contents, stream_of,
};

/// Sizes of the files that everybody reads.
const SIZES: [usize; 4] = [4096, 65_537, 1_000_003, 6_000_000];
const STREAM_CONTENTS_BYTES: [usize; 3] = [1000, 65_536, 400_001];
/// What a file holds before a write, so that a hole is no accident.
const WRITTEN_BYTES: usize = 200_000;
const REQUESTS_MAX: u64 = 60;

/// A file and what it holds, or what its tile stream decodes to.
pub(crate) struct Known {
    path: PathBuf,
    contents: Vec<u8>,
}

/// The files of a soak.
pub(crate) struct Files {
    folder: PathBuf,
    plain: Vec<Known>,
    packed: Vec<Known>,
    source: SharedBytes,
    source_contents: Vec<u8>,
}

impl Files {
    pub(crate) fn new() -> Files {
        let folder = format!("soak-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        std::fs::create_dir_all(&folder).expect("cargo's folder is writable");
        let write = |name: String, contents: Vec<u8>, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).expect("room for the file");
            Known { path, contents }
        };
        let plain = SIZES.map(|bytes| {
            let known = contents(bytes as u64, bytes);
            let copy = known.clone();
            write(format!("plain-{bytes}"), known, &copy)
        });
        let packed = STREAM_CONTENTS_BYTES.map(|bytes| {
            let known = contents(bytes as u64, bytes);
            let stream = stream_of(&known);
            write(format!("packed-{bytes}"), known, &stream)
        });
        let source_contents = contents(77, WRITTEN_BYTES);
        Files {
            plain: plain.into(),
            packed: packed.into(),
            source: Buffer::from_slice(&source_contents)
                .into_source()
                .expect("a new buffer is not lent"),
            source_contents,
            folder,
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A soak that fails leaves them to whoever looks.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

macro_rules! counts {
    ($($name:ident),*) => {
        /// What has happened so far, over all threads.
        #[derive(Default, Debug)]
        pub(crate) struct Counts {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counts {
            fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counts!(
    rounds, good, failed, cancelled, bytes, streams, writes, copies, fenced, events, cancels,
    closes
);

impl Counts {
    pub(crate) fn summary(&self, seconds: u64) -> String {
        let seconds = seconds.max(1);
        let all = self
            .all()
            .into_iter()
            .map(|(name, n)| format!("{n} {name}"));
        let (good, bytes) = (
            self.good.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        );
        format!(
            "{} requests/s, {} MiB/s; {}",
            good / seconds,
            (bytes >> 20) / seconds,
            all.collect::<Vec<_>>().join(", ")
        )
    }

    pub(crate) fn assert_all_happened(&self) {
        for (name, number) in self.all() {
            // The disk's errors are rare, and without rings or faults there are none.
            assert!(
                number > 0 || name == "failed",
                "no {name} in the whole soak"
            );
        }
    }
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

/// A request, and how to judge it.
struct Pending<'a> {
    buffer: Guarded,
    expected: &'a [u8],
    /// Where its result will stand.
    status: u32,
    tag: u64,
}

/// One thread of the soak.
pub(crate) struct Worker<'a> {
    files: &'a Files,
    runtimes: &'a [Runtime],
    random: Random,
}

/// How a round ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Wait,
    Cancel,
    Close,
    /// Files are closed with requests in flight.
    CloseFiles,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(files: &'a Files, runtimes: &'a [Runtime], random: Random) -> Worker<'a> {
        Worker {
            files,
            runtimes,
            random,
        }
    }

    /// Some work on a queue of its own, to the end.
    pub(crate) fn round(&mut self, counts: &Counts) {
        add(&counts.rounds, 1);
        let runtime = &self.runtimes[self.random.below(self.runtimes.len() as u64) as usize];
        match self.random.below(8) {
            0 => self.write_and_read(runtime, counts),
            1 => self.copy(runtime, counts),
            _ => self.read(runtime, counts),
        }
    }

    fn queue(&mut self, runtime: &Runtime, memory: bool) -> Queue {
        let priority = Priority::from_number(self.random.below(4) as i8 - 1);
        let desc = QueueDesc::new(128 + self.random.below(200) as u32).priority(priority);
        let desc = if memory { desc.memory() } else { desc };
        runtime.create_queue(desc).expect("descriptors are left")
    }

    fn read(&mut self, runtime: &Runtime, counts: &Counts) {
        let queue = self.queue(runtime, false);
        let len = 1 + self.random.below(REQUESTS_MAX) as usize;
        let statuses = StatusArray::new(len as u32, None);
        let (fence, event) = (Fence::new(0), Event::new().expect("descriptors are left"));
        let end = match self.random.below(10) {
            0 => End::Close,
            1 | 2 => End::Cancel,
            3 => End::CloseFiles,
            _ => End::Wait,
        };
        let mut open = Vec::new();
        let mut pending = Vec::with_capacity(len);
        for status in 0..len as u32 {
            let fenced = self.random.one_in(8).then_some(&fence);
            let (request, one) = self.request(&mut open, status, counts);
            add(&counts.fenced, u64::from(fenced.is_some()));
            queue.enqueue_requests(
                [request],
                fenced.map(|fence| (fence, 1)),
                FenceWait::BeforeSourceAccess,
            );
            queue.enqueue_status(Some(&statuses), status);
            pending.push(one);
            if self.random.one_in(10) {
                queue.submit();
            }
            // A full queue must not wait for a fence that only comes later.
            if status == 50 {
                fence.signal(1);
            }
        }
        queue.enqueue_set_event(Some(&event));
        queue.submit();
        self.end(end, &queue, &fence, &open, counts);
        if end != End::Close {
            assert!(event.wait(Some(PATIENCE)), "the event never came");
            add(&counts.events, 1);
        }
        judge(&mut pending, &statuses, end, counts);
    }

    /// A read of something, somewhere.
    fn request(
        &mut self,
        open: &mut Vec<File>,
        status: u32,
        counts: &Counts,
    ) -> (Request, Pending<'a>) {
        let tag = self.random.below(3);
        let shift = self.random.pick(&[0, 0, 0, 1, 512]);
        let (request, buffer, expected) = if self.random.one_in(6) {
            add(&counts.streams, 1);
            let which = self.random.below(self.files.packed.len() as u64) as usize;
            let known = &self.files.packed[which];
            let file = File::open(&known.path).expect("the soak's own file");
            let mut buffer = Guarded::new(known.contents.len(), shift);
            let bytes = file.bytes().expect("it is open") as u32;
            let request = Request::read(&file, 0, bytes, buffer.lend())
                .compressed(Compression::GDEFLATE, known.contents.len() as u32);
            open.push(file);
            (request, buffer, known.contents.as_slice())
        } else {
            let known = &self.files.plain[self.random.below(SIZES.len() as u64) as usize];
            let (offset, bytes) = self.part(known.contents.len());
            let file = File::open(&known.path).expect("the soak's own file");
            let mut buffer = Guarded::new(bytes, shift);
            let request = Request::read(&file, offset as u64, bytes as u32, buffer.lend());
            open.push(file);
            (request, buffer, &known.contents[offset..offset + bytes])
        };
        let one = Pending {
            buffer,
            expected,
            status,
            tag,
        };
        (request.tagged(tag), one)
    }

    /// Offset and length of a part of a file.
    fn part(&mut self, file_bytes: usize) -> (usize, usize) {
        let unit = self.random.pick(&[1, 1, 4096]);
        let most = self.random.pick(&[5000, 5000, 70_000, 600_000]);
        let bytes = (1 + self.random.below(most) as usize)
            .next_multiple_of(unit)
            .min(file_bytes);
        let offset = self.random.below((file_bytes - bytes + 1) as u64) as usize;
        (offset / unit * unit, bytes)
    }

    fn end(&mut self, end: End, queue: &Queue, fence: &Fence, open: &[File], counts: &Counts) {
        if self.random.one_in(2) {
            let pause = Duration::from_micros(self.random.below(500));
            std::thread::sleep(pause);
        }
        if end == End::CloseFiles {
            open.iter().for_each(File::close);
        }
        if end == End::Cancel {
            queue.cancel_requests_with_tag(u64::MAX, 1);
            add(&counts.cancels, 1);
        }
        if end == End::Close {
            queue.close();
            add(&counts.closes, 1);
        }
        fence.signal(1);
    }

    /// A file of its own, written in pieces and read back.
    fn write_and_read(&mut self, runtime: &Runtime, counts: &Counts) {
        let name = format!(
            "written-{:?}-{}",
            std::thread::current().id(),
            self.random.below(1 << 40)
        );
        let path = self.files.folder.join(name);
        let file = File::create(&path).expect("room for a file");
        let (writer, reader) = (self.queue(runtime, true), self.queue(runtime, false));
        let bytes = 1 + self.random.below(WRITTEN_BYTES as u64) as usize;
        let piece = bytes.div_ceil(1 + self.random.below(30) as usize);
        for offset in (0..bytes).step_by(piece) {
            let part = self.files.source.part(offset, piece.min(bytes - offset));
            let part = part.expect("inside");
            writer.enqueue_request(Request::write(part, &file, offset as u64));
            add(&counts.writes, 1);
        }
        let statuses = StatusArray::new(2, None);
        writer.enqueue_status(Some(&statuses), 0);
        writer.submit();
        let written = statuses
            .wait(0, Some(PATIENCE))
            .expect("a write never ended");
        if written == S_OK {
            let known = &self.files.source_contents[..bytes];
            assert_same(&std::fs::read(&path).expect("written"), known, "on disk");
            let mut buffer = Guarded::new(bytes, 0);
            let request = Request::read(&file, 0, bytes as u32, buffer.lend());
            reader.enqueue_request(request);
            reader.enqueue_status(Some(&statuses), 1);
            reader.submit();
            if statuses
                .wait(1, Some(PATIENCE))
                .expect("a read never ended")
                == S_OK
            {
                buffer.expect(known, "read back");
            }
        }
        std::fs::remove_file(&path).expect("written");
    }

    /// Memory to memory.
    fn copy(&mut self, runtime: &Runtime, counts: &Counts) {
        let queue = self.queue(runtime, true);
        let mut buffers = Vec::new();
        for _ in 0..1 + self.random.below(20) {
            let (offset, bytes) = self.part(WRITTEN_BYTES);
            let mut buffer = Guarded::new(bytes, 3);
            let part = self.files.source.part(offset, bytes).expect("inside");
            queue.enqueue_request(Request::copy(part, buffer.lend()));
            buffers.push((offset, bytes, buffer));
        }
        let statuses = StatusArray::new(1, None);
        queue.enqueue_status(Some(&statuses), 0);
        queue.submit();
        assert_eq!(
            statuses.wait(0, Some(PATIENCE)),
            Some(S_OK),
            "copies never fail"
        );
        for (offset, bytes, mut buffer) in buffers {
            let known = &self.files.source_contents[offset..offset + bytes];
            buffer.expect(known, "copied");
            add(&counts.copies, 1);
        }
    }
}

/// Waits for every status and looks at every byte.
fn judge(pending: &mut [Pending<'_>], statuses: &StatusArray, end: End, counts: &Counts) {
    const CANCELLED: i32 = 0x8007_03E3_u32.cast_signed();
    const FILE_NOT_OPEN: i32 = 0x8924_000B_u32.cast_signed();
    /// What EIO is called, which only faults say here.
    const FAULT: i32 = 0x8007_045D_u32.cast_signed();
    for one in pending {
        let result = statuses.wait(one.status, Some(PATIENCE));
        let result = result.expect("a request never ended");
        if result == S_OK {
            one.buffer.expect(one.expected, "a read");
            add(&counts.good, 1);
            add(&counts.bytes, one.expected.len() as u64);
            continue;
        }
        let expected = match result {
            CANCELLED => end == End::Close || end == End::Cancel && one.tag == 1,
            FILE_NOT_OPEN => end == End::CloseFiles,
            FAULT => true,
            _ => false,
        };
        assert!(
            expected,
            "{end:?}, tag {}: {:#010X}",
            one.tag,
            result.cast_unsigned()
        );
        let mut bytes = one.buffer.bytes().iter().zip(one.expected);
        assert!(
            bytes.all(|(found, known)| found == known || *found == UNTOUCHED),
            "{end:?}: a request that failed left bytes that are not its own"
        );
        let counter = if result == CANCELLED {
            &counts.cancelled
        } else {
            &counts.failed
        };
        add(counter, 1);
    }
}
