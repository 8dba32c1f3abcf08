//! Memory that only threads of the host can write, and the copies that the host makes there.
//!
//! The host here is the test: it watches memory as Wine does, with pages that are read-only until it writes
//! there itself.

use std::time::Duration;

use ds_core::{
    Compression, CustomResult, Error, Event, File, ForeignCopy, ForeignTo, Queue, QueueDesc,
    Request, S_OK, Select, Span, StatusArray,
};

use crate::rig::{
    Rig, SAMPLE_BYTES, assert_ok, code, fetch_copies, sample, sample_file, sample_stream, untouched,
};

crate::semantic_tests! {
    every_way_leads_to_watched_memory;
    a_watched_page_in_the_middle_is_enough;
    what_the_host_cannot_write_fails_its_request;
    a_bad_source_is_no_matter_for_the_host;
    more_than_staging_has_is_refused;
    many_requests_share_the_staging;
    cancel_takes_back_what_was_not_fetched_and_waits_for_the_rest;
    close_ends_without_a_host;
    a_cancelled_one_leaves_the_line_for_staging_to_others;
    answers_are_for_fetched_copies_and_count_once;
    it_begins_before_the_first_queue;
}

const PAGE: usize = 4096;
const FORMAT: Compression = Compression(0x85);

/// Memory of the host's, of whole pages.
struct Watched {
    start: *mut u8,
    bytes: usize,
}

impl Watched {
    /// Zeros that the kernel may not write.
    fn new(bytes: usize) -> Watched {
        let bytes = bytes.next_multiple_of(PAGE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping where nothing is.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Watched {
            start: start.cast(),
            bytes,
        }
    }

    /// Lets the kernel write the pages of `bytes` bytes from `offset`.
    fn unwatch(&self, offset: usize, bytes: usize) {
        let first = offset / PAGE * PAGE;
        let (start, bytes) = (self.start.wrapping_add(first), offset + bytes - first);
        assert!(first + bytes <= self.bytes);
        protect(start, bytes, libc::PROT_READ | libc::PROT_WRITE);
    }

    /// Nobody can use it any more.
    fn spoil(&self) {
        protect(self.start, self.bytes, libc::PROT_NONE);
    }

    fn span(&self, offset: usize, bytes: usize) -> Span {
        assert!(offset + bytes <= self.bytes);
        // SAFETY: mapped until this is dropped, which the tests do when the requests are done; nobody else
        // uses it meanwhile.
        unsafe { Span::new(self.start.wrapping_add(offset), bytes) }
    }

    fn bytes(&self, offset: usize, bytes: usize) -> &[u8] {
        assert!(offset + bytes <= self.bytes);
        // SAFETY: mapped, readable, and not written while the tests look.
        unsafe { std::slice::from_raw_parts(self.start.wrapping_add(offset), bytes) }
    }
}

fn protect(start: *mut u8, bytes: usize, protection: libc::c_int) {
    // SAFETY: pages of a mapping that nobody has a reference to.
    let result = unsafe { libc::mprotect(start.cast(), bytes, protection) };
    assert_eq!(result, 0);
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, unmapped once.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// The host.
struct Host<'a> {
    rig: &'a Rig,
    memory: &'a Watched,
    event: Event,
}

impl<'a> Host<'a> {
    fn new(rig: &'a Rig, memory: &'a Watched) -> Host<'a> {
        let event = Event::new().unwrap();
        rig.runtime.foreign_copies().begin(&event).unwrap();
        Host { rig, memory, event }
    }

    fn fetch(&self, max: usize) -> Vec<ForeignCopy> {
        let mut found = Vec::new();
        fetch_copies(&self.rig.runtime, max, &mut found);
        found
    }

    /// Waits for so many copies.
    fn fetch_exactly(&self, count: usize) -> Vec<ForeignCopy> {
        let mut found = Vec::new();
        self.rig.wait_until("copies", || {
            found.extend(self.fetch(count - found.len()));
            found.len() == count
        });
        found
    }

    /// Writes as a host's thread does: its handler lets it.
    fn copy(&self, copy: &ForeignCopy) -> Result<(), Error> {
        let bytes = copy.source.bytes();
        let ForeignTo::Memory(destination) = copy.destination else {
            return Err(Error::InvalidArgument);
        };
        assert_eq!(destination.bytes(), bytes);
        let offset = destination
            .as_ptr()
            .addr()
            .wrapping_sub(self.memory.start.addr());
        if offset
            .checked_add(bytes)
            .is_none_or(|end| end > self.memory.bytes)
        {
            return Err(Error::AccessViolation);
        }
        self.memory.unwatch(offset, bytes);
        // SAFETY: the source is the engine's until the answer; the destination lies in the mapping and was
        // made writable; both have the same size and do not overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(copy.source.as_ptr(), destination.as_ptr(), bytes);
        }
        Ok(())
    }

    /// What its thread does when it is woken; says how many copies there were.
    fn pump(&self) -> usize {
        let copies = self.rig.runtime.foreign_copies();
        let found = self.fetch(3);
        for copy in &found {
            copies.finish(copy.id, self.copy(copy)).unwrap();
        }
        found.len()
    }

    /// Enqueues a status, submits, and pumps until it completes.
    fn finish(&self, queue: &Queue) -> i32 {
        let array = StatusArray::new(1, None);
        queue.enqueue_status(Some(&array), 0);
        queue.submit();
        self.wait(&array)
    }

    fn wait(&self, array: &StatusArray) -> i32 {
        self.rig.wait_until("a status", || {
            self.pump();
            array.is_complete(0)
        });
        array.hresult(0)
    }
}

fn compressed_read(destination: Span) -> Request {
    let (stream, path) = sample_stream();
    let file = File::open(path).unwrap();
    Request::read(&file, 0, stream.len() as u32, destination)
        .compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32)
}

fn nothing_is_left(rig: &Rig, queue: &Queue) {
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
    assert_eq!(queue.retrieve_error_record().failure_count, 0);
    assert_eq!(queue.stats().requests_failed, 0);
}

fn every_way_leads_to_watched_memory(rig: &Rig) {
    let (ours, at) = (Watched::new(SAMPLE_BYTES + PAGE), 100);
    let host = Host::new(rig, &ours);
    let expected = sample(0, SAMPLE_BYTES);
    let queue = rig.queue();
    let read = Request::read(
        &sample_file(),
        0,
        SAMPLE_BYTES as u32,
        ours.span(at, SAMPLE_BYTES),
    );
    queue.enqueue_request(read);
    assert_ok(host.finish(&queue));
    assert!(host.event.wait(Some(Duration::ZERO)), "the host was told");
    assert!(ours.bytes(at, SAMPLE_BYTES) == expected);
    assert!(ours.bytes(0, at).iter().all(|&byte| byte == 0));
    nothing_is_left(rig, &queue);
    drop(queue);

    let ours = Watched::new(SAMPLE_BYTES);
    let host = Host::new(rig, &ours);
    let queue = rig.queue();
    queue.enqueue_request(compressed_read(ours.span(0, SAMPLE_BYTES)));
    assert_ok(host.finish(&queue));
    assert!(ours.bytes(0, SAMPLE_BYTES) == expected);
    nothing_is_left(rig, &queue);
    drop(queue);

    let ours = Watched::new(2 * SAMPLE_BYTES);
    let host = Host::new(rig, &ours);
    let queue = rig.memory_queue();
    let (stream, _) = sample_stream();
    let stream = ds_core::Buffer::from_slice(stream).into_source().unwrap();
    let plain = ds_core::Buffer::from_slice(&expected)
        .into_source()
        .unwrap();
    let decode = Request::copy(
        stream.part(0, stream.len()).unwrap(),
        ours.span(0, SAMPLE_BYTES),
    );
    queue.enqueue_request(decode.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32));
    queue.enqueue_request(Request::copy(
        plain.part(0, SAMPLE_BYTES).unwrap(),
        ours.span(SAMPLE_BYTES, SAMPLE_BYTES),
    ));
    assert_ok(host.finish(&queue));
    assert!(ours.bytes(0, SAMPLE_BYTES) == expected);
    assert!(ours.bytes(SAMPLE_BYTES, SAMPLE_BYTES) == expected);
    nothing_is_left(rig, &queue);
    drop(queue);
    custom_formats_need_no_copy(rig);
}

/// The application writes the destination itself, on a thread of the host's.
fn custom_formats_need_no_copy(rig: &Rig) {
    let ours = Watched::new(1000);
    let host = Host::new(rig, &ours);
    let queue = rig.queue();
    let custom = rig.runtime.custom_decompression_queue();
    let read = Request::read(&sample_file(), 0, 1000, ours.span(0, 1000));
    queue.enqueue_request(read.compressed(FORMAT, 1000));
    queue.submit();
    let mut found = Vec::new();
    rig.wait_until("a custom request", || {
        custom.get_requests(Select::All, 1, &mut found) == 1
    });
    ours.unwatch(0, 1000);
    let (from, to) = (found[0].source, found[0].destination);
    // SAFETY: a fetched request's memory is the application's until it answers.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), 1000) };
    custom
        .set_results(&[CustomResult {
            id: found[0].id,
            hresult: S_OK,
        }])
        .unwrap();
    assert_ok(host.finish(&queue));
    assert!(ours.bytes(0, 1000) == sample(0, 1000));
    nothing_is_left(rig, &queue);
}

/// What the kernel wrote before it came to the page is written again.
fn a_watched_page_in_the_middle_is_enough(rig: &Rig) {
    for decoded in [false, true] {
        let ours = Watched::new(SAMPLE_BYTES);
        ours.unwatch(0, 20 * PAGE);
        ours.unwatch(21 * PAGE, ours.bytes - 21 * PAGE);
        let host = Host::new(rig, &ours);
        let queue = rig.queue();
        let to = ours.span(0, SAMPLE_BYTES);
        queue.enqueue_request(match decoded {
            true => compressed_read(to),
            false => Request::read(&sample_file(), 0, SAMPLE_BYTES as u32, to),
        });
        assert_ok(host.finish(&queue));
        assert!(ours.bytes(0, SAMPLE_BYTES) == sample(0, SAMPLE_BYTES));
        nothing_is_left(rig, &queue);
    }
}

fn what_the_host_cannot_write_fails_its_request(rig: &Rig) {
    let (ours, bad) = (Watched::new(PAGE), Watched::new(SAMPLE_BYTES));
    let host = Host::new(rig, &ours);
    let queue = rig.queue();
    let file = sample_file();
    for request in [
        Request::read(&file, 0, 5000, bad.span(0, 5000)),
        compressed_read(bad.span(0, SAMPLE_BYTES)),
    ] {
        queue.enqueue_request(request);
        queue.enqueue_request(Request::read(&file, 1, 10, ours.span(0, 10)));
        assert_eq!(host.finish(&queue), code(Error::AccessViolation));
        assert_eq!(ours.bytes(0, 10), sample(1, 10), "the others go on");
        let record = queue.retrieve_error_record();
        assert_eq!(record.failure_count, 1);
        assert_eq!(record.first_failure.unwrap().error, Error::AccessViolation);
    }
    assert!(bad.bytes(0, SAMPLE_BYTES).iter().all(|&byte| byte == 0));
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

fn a_bad_source_is_no_matter_for_the_host(rig: &Rig) {
    let ours = Watched::new(PAGE);
    let host = Host::new(rig, &ours);
    let queue = rig.memory_queue();
    let mut buffer = untouched(PAGE);
    let gone = Watched::new(PAGE);
    gone.spoil();
    let copy = Request::copy(gone.span(0, PAGE), buffer.lend().unwrap());
    queue.enqueue_request(copy.compressed(Compression::GDEFLATE, PAGE as u32));
    assert_eq!(host.finish(&queue), code(Error::AccessViolation));
    assert_eq!(queue.retrieve_error_record().failure_count, 1);
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

fn more_than_staging_has_is_refused(rig: &Rig) {
    rig.runtime.set_staging_bytes(PAGE as u32).unwrap();
    let ours = Watched::new(3 * PAGE);
    let host = Host::new(rig, &ours);
    let queue = rig.queue();
    let read = |bytes| Request::read(&sample_file(), 0, bytes as u32, ours.span(0, bytes));
    queue.enqueue_request(read(3 * PAGE));
    assert_eq!(host.finish(&queue), code(Error::RequestTooLarge));
    queue.enqueue_request(read(PAGE));
    assert_ok(host.finish(&queue));
    assert_eq!(ours.bytes(0, PAGE), sample(0, PAGE));
}

/// Staging for one at a time, two queues, and every kind of request.
fn many_requests_share_the_staging(rig: &Rig) {
    const COUNT: usize = 60;
    let (stream_bytes, part) = (sample_stream().0.len(), 10_000);
    rig.runtime
        .set_staging_bytes(stream_bytes.max(SAMPLE_BYTES) as u32)
        .unwrap();
    let ours = Watched::new(COUNT * part + 2 * SAMPLE_BYTES);
    let host = Host::new(rig, &ours);
    let queues = [rig.queue(), rig.queue()];
    let arrays = [StatusArray::new(1, None), StatusArray::new(1, None)];
    for (queue, array) in queues.iter().zip(&arrays) {
        let odd = usize::from(std::ptr::eq(queue, &queues[1]));
        for index in (odd..COUNT).step_by(2) {
            let to = ours.span(index * part, part);
            queue.enqueue_request(Request::read(&sample_file(), index as u64, part as u32, to));
        }
        let to = ours.span(COUNT * part + odd * SAMPLE_BYTES, SAMPLE_BYTES);
        queue.enqueue_request(compressed_read(to));
        queue.enqueue_status(Some(array), 0);
        queue.submit();
    }
    arrays.iter().for_each(|array| assert_ok(host.wait(array)));
    for index in 0..COUNT {
        assert!(ours.bytes(index * part, part) == sample(index, part));
    }
    for (odd, queue) in queues.iter().enumerate() {
        let decoded = ours.bytes(COUNT * part + odd * SAMPLE_BYTES, SAMPLE_BYTES);
        assert!(decoded == sample(0, SAMPLE_BYTES));
        nothing_is_left(rig, queue);
    }
}

fn read_of_a_page(ours: &Watched, index: usize) -> Request {
    let to = ours.span(index * PAGE, PAGE);
    Request::read(&sample_file(), (index * PAGE) as u64, PAGE as u32, to).tagged(1)
}

fn cancel_takes_back_what_was_not_fetched_and_waits_for_the_rest(rig: &Rig) {
    let ours = Watched::new(4 * PAGE);
    let host = Host::new(rig, &ours);
    let queue = rig.queue();
    let array = StatusArray::new(1, None);
    (0..4).for_each(|index| queue.enqueue_request(read_of_a_page(&ours, index)));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let fetched = host.fetch_exactly(1)[0];
    let runtime = rig.runtime.clone();
    let answering = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(2));
        runtime.foreign_copies().finish(fetched.id, Ok(())).unwrap();
    });
    queue.cancel_requests_with_tag(1, 1);
    let copies = rig.runtime.foreign_copies();
    assert_eq!(
        copies.finish(fetched.id, Ok(())),
        Err(Error::InvalidArgument),
        "cancel came back before the host had answered"
    );
    answering.join().unwrap();
    assert!(array.is_complete(0));
    assert_eq!(array.hresult(0), code(Error::Cancelled));
    assert!(host.fetch(9).is_empty());
    // The host may have answered before the cancel began.
    let stats = queue.stats();
    assert!(stats.requests_completed <= 1 && stats.requests_failed == 0);
    assert_eq!(stats.requests_cancelled + stats.requests_completed, 4);
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

/// Nobody fetches anything: whoever closes a queue must not wait for that.
fn close_ends_without_a_host(rig: &Rig) {
    let ours = Watched::new(8 * PAGE);
    let host = Host::new(rig, &ours);
    let queue = rig.queue();
    let array = StatusArray::new(1, None);
    (0..8).for_each(|index| queue.enqueue_request(read_of_a_page(&ours, index)));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    if rig.seed.is_multiple_of(2) {
        rig.settle();
    }
    queue.close();
    assert!(array.is_complete(0));
    assert!(host.fetch(9).is_empty());
    assert!(ours.bytes(0, 8 * PAGE).iter().all(|&byte| byte == 0));
    // Dropped with work on its way.
    let queue = rig.runtime.create_queue(QueueDesc::new(128)).unwrap();
    (0..8).for_each(|index| queue.enqueue_request(read_of_a_page(&ours, index)));
    queue.submit();
    drop(queue);
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

fn a_cancelled_one_leaves_the_line_for_staging_to_others(rig: &Rig) {
    rig.runtime.set_staging_bytes(PAGE as u32).unwrap();
    let ours = Watched::new(4 * PAGE);
    let host = Host::new(rig, &ours);
    let (first, second) = (rig.queue(), rig.queue());
    // Two copies take all there is, and stay: the host does not answer.
    (0..3).for_each(|index| first.enqueue_request(read_of_a_page(&ours, index)));
    first.submit();
    let fetched = host.fetch_exactly(2);
    let array = StatusArray::new(1, None);
    second.enqueue_request(read_of_a_page(&ours, 3));
    second.enqueue_status(Some(&array), 0);
    second.submit();
    rig.settle();
    assert!(!array.is_complete(0));
    for copy in &fetched {
        let copies = rig.runtime.foreign_copies();
        copies.finish(copy.id, host.copy(copy)).unwrap();
    }
    first.cancel_requests_with_tag(1, 1);
    assert_ok(host.wait(&array));
    assert_eq!(ours.bytes(3 * PAGE, PAGE), sample(3 * PAGE, PAGE));
}

fn answers_are_for_fetched_copies_and_count_once(rig: &Rig) {
    let ours = Watched::new(PAGE);
    let host = Host::new(rig, &ours);
    let copies = rig.runtime.foreign_copies();
    let queue = rig.queue();
    let array = StatusArray::new(1, None);
    queue.enqueue_request(read_of_a_page(&ours, 0));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let copy = host.fetch_exactly(1)[0];
    let unknown = Err(Error::InvalidArgument);
    assert_eq!(copies.finish(0, Ok(())), unknown);
    assert_eq!(copies.finish(copy.id + 1, Ok(())), unknown);
    assert!(!array.is_complete(0), "it waits for the answer");
    let error = Err(Error::Application(-1234));
    assert_eq!(copies.finish(copy.id, error), Ok(()));
    assert_eq!(copies.finish(copy.id, Ok(())), unknown);
    rig.wait_until("the status", || array.is_complete(0));
    assert_eq!(array.hresult(0), -1234);
}

fn it_begins_before_the_first_queue(rig: &Rig) {
    let ours = Watched::new(PAGE);
    let queue = rig.queue();
    let copies = rig.runtime.foreign_copies();
    let event = Event::new().unwrap();
    assert_eq!(copies.begin(&event), Err(Error::StagingBufferLocked));
    queue.enqueue_request(read_of_a_page(&ours, 0));
    assert_eq!(rig.finish(&queue), code(Error::AccessViolation));
    drop(queue);
    assert_eq!(copies.begin(&event), Ok(()));
    assert_eq!(copies.begin(&event), Ok(()), "again");
    let staging = rig.runtime.staging_stats();
    assert_eq!(staging.bytes_max, 1 << 20, "as it was set");
}
