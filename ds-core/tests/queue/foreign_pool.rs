//! Memory that the host lends a queue: which copies lie in it, how much of it there is, and that all of it
//! comes back.
//!
//! The host here is the test: its memory is a mapping a block, and it keeps the bytes of each copy.

use std::collections::HashMap;
use std::time::Duration;

use ds_core::{
    Buffer, Compression, CustomResult, Destination, Error, Event, File, ForeignCopy, ForeignPool,
    ForeignTask, ForeignTo, Queue, QueueDesc, Request, Runtime, S_OK, Select, Source, Span,
    StatusArray,
};

use crate::rig::{Rig, SAMPLE_BYTES, assert_ok, code, sample, sample_file, sample_stream};

crate::semantic_tests! {
    every_kind_of_bytes_comes_in_a_block;
    a_textures_place_is_aligned_wherever_the_file_begins;
    many_requests_stay_below_the_cap_and_use_the_same_blocks;
    a_larger_one_has_all_to_itself_and_more_than_that_is_refused;
    a_host_without_memory_fails_those_that_need_it;
    a_host_without_more_memory_lets_them_wait;
    cancel_and_close_bring_every_block_back;
    what_the_application_did_not_fetch_goes_back_to_its_pool;
    a_block_that_was_not_asked_for_stays_the_hosts;
    a_pool_of_another_runtime_is_refused;
    a_host_that_has_no_more_is_not_asked_all_the_time;
    a_refusal_that_nobody_hears_harms_nobody;
    a_host_with_little_gives_what_is_needed;
}

const FORMAT: Compression = Compression(0x85);
const PAGE: usize = 4096;
const POOL: u64 = 0xB0;
/// The cap of a pool in tests that set one.
const CAP: usize = 1 << 20;

/// A block of the host's memory.
struct Block {
    start: *mut u8,
    bytes: usize,
}

impl Block {
    fn new(bytes: usize) -> Block {
        let bytes = bytes.next_multiple_of(PAGE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where nothing is.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Block {
            start: start.cast(),
            bytes,
        }
    }

    fn span(&self) -> Span {
        // SAFETY: mapped until the cookie is back, when the host drops it.
        unsafe { Span::new(self.start, self.bytes) }
    }

    fn contains(&self, copy: &ForeignCopy) -> bool {
        let offset = copy.source.as_ptr().addr().wrapping_sub(self.start.addr());
        offset
            .checked_add(copy.source.bytes())
            .is_some_and(|end| end <= self.bytes)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, unmapped once; whoever uses it still finds out.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

/// A host with its pool, and what it keeps.
struct Host {
    rig: Rig,
    pool: ForeignPool,
    blocks: HashMap<u64, Block>,
    next_block: u64,
    /// How many bytes it lends at most.
    has: usize,
    given_peak: usize,
    bytes: HashMap<u64, Vec<u8>>,
    returned: usize,
}

impl Host {
    /// With a runtime of its own, whose pools have at most `cap` bytes; 0 for the usual.
    fn new(rig: &Rig, cap: usize) -> Host {
        let mut config = rig.runtime.config().clone();
        config.staging_bytes_max = 2 * cap as u64;
        let runtime = Runtime::exactly(config).unwrap();
        let copies = runtime.foreign_copies();
        copies.begin(&Event::new().unwrap()).unwrap();
        Host {
            pool: copies.pool(POOL),
            rig: Rig {
                runtime,
                seed: rig.seed,
            },
            blocks: HashMap::new(),
            next_block: 1 << 32,
            has: usize::MAX,
            given_peak: 0,
            bytes: HashMap::new(),
            returned: 0,
        }
    }

    fn queue(&self, memory: bool) -> Queue {
        let desc = QueueDesc::new(128).foreign_pool(&self.pool);
        let desc = if memory { desc.memory() } else { desc };
        self.rig.runtime.create_queue(desc).unwrap()
    }

    fn to(&self, cookie: u64, bytes: usize) -> Destination {
        let copies = self.rig.runtime.foreign_copies();
        Destination::Foreign(copies.destination(cookie, bytes as u32))
    }

    fn read(&self, offset: u64, bytes: usize, cookie: u64) -> Request {
        Request::new(file_source(offset, bytes), self.to(cookie, bytes))
    }

    fn lent(&self) -> usize {
        self.blocks.values().map(|block| block.bytes).sum()
    }

    fn lend(&mut self, bytes: usize) {
        if self.lent() + bytes > self.has {
            return self.pool.refuse_block();
        }
        let block = Block::new(bytes);
        self.next_block += 1;
        self.pool.add_block(block.span(), self.next_block).unwrap();
        self.blocks.insert(self.next_block, block);
        self.given_peak = self.given_peak.max(self.lent());
    }

    fn copy(&mut self, copy: &ForeignCopy) {
        let ForeignTo::Cookie(cookie) = copy.destination else {
            panic!("no request here has memory");
        };
        let block = copy.block.expect("it lies in memory of the host's");
        assert!(self.blocks[&block].contains(copy), "another block");
        let source = copy.source;
        // SAFETY: readable until the answer.
        let bytes = unsafe { std::slice::from_raw_parts(source.as_ptr(), source.bytes()) };
        assert!(self.bytes.insert(cookie, bytes.to_vec()).is_none(), "twice");
    }

    fn take_returned(&mut self) {
        let mut cookies = Vec::new();
        let copies = self.rig.runtime.foreign_copies();
        while copies.fetch_returned(7, &mut cookies) > 0 {}
        for cookie in cookies {
            match self.blocks.remove(&cookie) {
                Some(_) => {}
                None => self.returned += 1,
            }
        }
    }

    /// What its thread does when it is woken.
    fn pump(&mut self) {
        let copies = self.rig.runtime.foreign_copies();
        let mut tasks = Vec::new();
        copies.fetch(3, &mut tasks);
        self.take_returned();
        for task in tasks {
            match task {
                ForeignTask::Copy(copy) => {
                    self.copy(&copy);
                    copies.finish(copy.id, Ok(())).unwrap();
                }
                ForeignTask::Block { pool, bytes } => {
                    assert_eq!(pool, POOL);
                    self.lend(bytes);
                }
                ForeignTask::Signal(_) => panic!("nobody signals"),
            }
        }
        assert!(self.pool.bytes_given() <= self.lent());
    }

    fn pump_until(&mut self, what: &str, condition: impl Fn(&Host) -> bool) {
        let start = std::time::Instant::now();
        while !condition(self) {
            self.pump();
            if !self.rig.runtime.turn() {
                std::thread::yield_now();
            }
            assert!(start.elapsed() < crate::rig::PATIENCE, "in vain for {what}");
        }
    }

    /// Enqueues a status, submits, and pumps until it completes.
    fn finish(&mut self, queue: &Queue) -> i32 {
        let array = StatusArray::new(1, None);
        queue.enqueue_status(Some(&array), 0);
        queue.submit();
        self.pump_until("a status", |_| array.is_complete(0));
        array.hresult(0)
    }

    /// Nothing is in use; when the pool is closed, nothing is lent.
    fn end(mut self) {
        assert_eq!(self.pool.stats().bytes_in_use, 0);
        assert_eq!(self.rig.runtime.staging_stats().bytes_in_use, 0);
        self.pool.close();
        self.take_returned();
        assert!(self.blocks.is_empty(), "{} bytes", self.lent());
    }
}

fn file_source(offset: u64, bytes: usize) -> Source {
    Source::File {
        file: Some(sample_file()),
        offset,
        bytes: bytes as u32,
    }
}

fn stream_source() -> Source {
    let (stream, path) = sample_stream();
    Source::File {
        file: Some(File::open(path).unwrap()),
        offset: 0,
        bytes: stream.len() as u32,
    }
}

fn memory_source(bytes: &[u8]) -> Source {
    let whole = Buffer::from_slice(bytes).into_source().unwrap();
    Source::Memory(whole.part(0, bytes.len()).unwrap())
}

/// Answers a custom request with zeros.
fn decompress_to_zeros(host: &mut Host) {
    let custom = host.rig.runtime.custom_decompression_queue();
    let mut found = Vec::new();
    for _ in 0..1_000_000 {
        host.pump();
        host.rig.runtime.turn();
        if custom.get_requests(Select::All, 1, &mut found) == 1 {
            break;
        }
        std::thread::yield_now();
    }
    let (id, to) = (found[0].id, found[0].destination);
    // SAFETY: a fetched request's memory is the application's until it answers.
    unsafe { to.as_ptr().write_bytes(0, to.bytes()) };
    let hresult = S_OK;
    custom.set_results(&[CustomResult { id, hresult }]).unwrap();
}

fn every_kind_of_bytes_comes_in_a_block(rig: &Rig) {
    let mut host = Host::new(rig, 0);
    let (expected, whole) = (sample(0, SAMPLE_BYTES), SAMPLE_BYTES);
    let (files, memory) = (host.queue(false), host.queue(true));
    files.enqueue_request(host.read(0, whole, 0));
    files.enqueue_request(host.read(77, 1000, 1));
    let decode = Request::new(stream_source(), host.to(2, whole));
    files.enqueue_request(decode.compressed(Compression::GDEFLATE, whole as u32));
    let part = Request::new(stream_source(), host.to(3, 70_000));
    files.enqueue_request(part.compressed(Compression::GDEFLATE, whole as u32));
    assert_ok(host.finish(&files));
    memory.enqueue_request(Request::new(memory_source(&expected), host.to(4, whole)));
    let stream = Request::new(memory_source(&sample_stream().0), host.to(5, whole));
    memory.enqueue_request(stream.compressed(Compression::GDEFLATE, whole as u32));
    assert_ok(host.finish(&memory));
    let custom = Request::new(file_source(0, 1000), host.to(6, 500));
    files.enqueue_request(custom.compressed(FORMAT, 500));
    files.submit();
    decompress_to_zeros(&mut host);
    assert_ok(host.finish(&files));
    for (cookie, from, bytes) in [(0, 0, whole), (1, 77, 1000), (2, 0, whole), (3, 0, 70_000)] {
        assert!(host.bytes[&cookie] == sample(from, bytes), "{cookie}");
    }
    assert!(host.bytes[&4] == expected && host.bytes[&5] == expected);
    assert_eq!(host.bytes[&6], vec![0; 500]);
    host.take_returned();
    assert_eq!(host.returned, 7);
    host.end();
}

/// Whatever way the file is read in: a direct read brings bytes before the payload.
fn a_textures_place_is_aligned_wherever_the_file_begins(rig: &Rig) {
    let mut host = Host::new(rig, 0);
    let queue = host.queue(false);
    for (cookie, offset) in [0, 1, 512, 4096 + 512, 4095, 8192].into_iter().enumerate() {
        queue.enqueue_request(host.read(offset, 20_000, cookie as u64));
    }
    queue.submit();
    let copies = host.rig.runtime.foreign_copies();
    let mut left = 6;
    while left > 0 {
        let mut tasks = Vec::new();
        host.rig
            .wait_until("a task", || copies.fetch(1, &mut tasks) == 1);
        match tasks[0] {
            ForeignTask::Block { bytes, .. } => host.lend(bytes),
            ForeignTask::Copy(copy) => {
                assert!(copy.source.as_ptr().addr().is_multiple_of(512));
                host.copy(&copy);
                copies.finish(copy.id, Ok(())).unwrap();
                left -= 1;
            }
            ForeignTask::Signal(_) => panic!("nobody signals"),
        }
    }
    for (cookie, offset) in [0, 1, 512, 4096 + 512, 4095, 8192].into_iter().enumerate() {
        assert!(host.bytes[&(cookie as u64)] == sample(offset, 20_000));
    }
    assert_ok(host.finish(&queue));
    host.end();
}

fn many_requests_stay_below_the_cap_and_use_the_same_blocks(rig: &Rig) {
    // The simulation comes with a thousand seeds.
    let count = if rig.is_sim() { 12 } else { 3000 };
    let mut host = Host::new(rig, CAP);
    let queues = [host.queue(false), host.queue(true)];
    let expected = sample(0, SAMPLE_BYTES);
    for cookie in 0..count {
        let (at, bytes) = (cookie as usize % 1000, 1 + cookie as usize * 37 % 40_000);
        let queue = &queues[cookie as usize % 2];
        queue.enqueue_request(match cookie % 6 {
            1 | 3 => Request::new(
                memory_source(&expected[at..at + bytes]),
                host.to(cookie, bytes),
            ),
            4 => Request::new(stream_source(), host.to(cookie, SAMPLE_BYTES))
                .compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32),
            5 => Request::new(
                memory_source(&sample_stream().0),
                host.to(cookie, SAMPLE_BYTES),
            )
            .compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32),
            _ => host.read(at as u64, bytes, cookie),
        });
        host.pump();
        if cookie % 40 == 39 {
            queues
                .iter()
                .for_each(|queue| assert_ok(host.finish(queue)));
        }
    }
    queues
        .iter()
        .for_each(|queue| assert_ok(host.finish(queue)));
    for cookie in 0..count {
        let (at, bytes) = (cookie as usize % 1000, 1 + cookie as usize * 37 % 40_000);
        let (at, bytes) = if cookie % 6 > 3 {
            (0, SAMPLE_BYTES)
        } else {
            (at, bytes)
        };
        assert!(host.bytes[&cookie] == expected[at..at + bytes], "{cookie}");
    }
    assert!(
        host.given_peak <= CAP,
        "{} bytes were lent",
        host.given_peak
    );
    assert_eq!(host.pool.stats().bytes_max, CAP);
    assert!(host.pool.stats().bytes_peak <= CAP);
    // Half of the cap each, and a larger one now and then.
    let asked = host.next_block - (1 << 32);
    assert!(asked <= 8, "{asked} blocks were asked for");
    drop(queues);
    host.end();
}

fn a_larger_one_has_all_to_itself_and_more_than_that_is_refused(rig: &Rig) {
    // What the staging buffer allows is more than the pool's usual cap; a person's cap is the end.
    let mut host = Host::new(rig, 0);
    host.rig.runtime.set_staging_bytes(80 << 20).unwrap();
    let queue = host.queue(true);
    let usual = host.pool.stats().bytes_max;
    assert_eq!(usual, 64 << 20);
    if !rig.is_sim() {
        let large = vec![7; usual + 5];
        queue.enqueue_request(Request::new(memory_source(b"abc"), host.to(1, 3)));
        queue.enqueue_request(Request::new(memory_source(&large), host.to(2, large.len())));
        queue.enqueue_request(Request::new(memory_source(b"def"), host.to(3, 3)));
        assert_ok(host.finish(&queue));
        assert!(host.bytes[&2] == large && host.bytes[&3] == b"def");
        assert!(host.given_peak <= usual + PAGE, "{}", host.given_peak);
        host.pump();
        assert!(host.lent() <= usual, "what was above the cap came back");
    }
    drop(queue);
    host.end();
    let mut host = Host::new(rig, CAP);
    let queue = host.queue(true);
    let large = vec![7; CAP + 1];
    queue.enqueue_request(Request::new(memory_source(&large), host.to(1, large.len())));
    assert_eq!(host.finish(&queue), code(Error::RequestTooLarge));
    queue.enqueue_request(Request::new(memory_source(&large[1..]), host.to(2, CAP)));
    assert_ok(host.finish(&queue));
    assert!(host.given_peak <= CAP);
    drop(queue);
    host.end();
}

fn a_host_without_memory_fails_those_that_need_it(rig: &Rig) {
    let mut host = Host::new(rig, CAP);
    host.has = 0;
    let queue = host.queue(false);
    queue.enqueue_request(host.read(0, 10, 1));
    assert_eq!(host.finish(&queue), code(Error::Os(libc::ENOMEM)));
    assert_eq!(queue.retrieve_error_record().failure_count, 1);
    host.has = usize::MAX;
    queue.enqueue_request(host.read(0, 10, 2));
    assert_ok(host.finish(&queue));
    assert_eq!(host.bytes[&2], sample(0, 10));
    drop(queue);
    host.end();
}

fn a_host_without_more_memory_lets_them_wait(rig: &Rig) {
    let mut host = Host::new(rig, CAP);
    host.has = CAP / 2;
    let queues = [host.queue(false), host.queue(false)];
    for cookie in 0..40 {
        let queue = &queues[cookie as usize % 2];
        queue.enqueue_request(host.read(cookie, 100_000, cookie));
    }
    queues.iter().for_each(Queue::submit);
    queues
        .iter()
        .for_each(|queue| assert_ok(host.finish(queue)));
    // One that is larger than the block that there is.
    host.has = CAP * 3 / 4;
    let large = vec![7; CAP * 3 / 4];
    let memory = host.queue(true);
    memory.enqueue_request(Request::new(
        memory_source(&large),
        host.to(99, large.len()),
    ));
    assert_ok(host.finish(&memory));
    assert!(host.bytes[&99] == large && host.bytes.len() == 41);
    assert!(host.given_peak <= CAP * 3 / 4);
    drop((queues, memory));
    host.end();
}

fn cancel_and_close_bring_every_block_back(rig: &Rig) {
    let mut host = Host::new(rig, CAP);
    let queue = host.queue(false);
    for cookie in 0..60 {
        queue.enqueue_request(host.read(cookie, 50_000, cookie).tagged(cookie & 1));
    }
    queue.submit();
    for _ in 0..rig.seed % 40 {
        host.rig.runtime.turn();
        host.pump();
    }
    queue.cancel_requests_with_tag(1, 1);
    let result = host.finish(&queue);
    assert!(result == code(Error::Cancelled) || result == S_OK);
    for cookie in 60..90 {
        queue.enqueue_request(host.read(cookie, 50_000, cookie));
    }
    queue.submit();
    // The host's memory stays until its last user is gone, even if the pool is closed before.
    host.pool.close();
    host.take_returned();
    assert_eq!(host.pool.bytes_given(), host.lent());
    queue.close();
    drop(queue);
    host.take_returned();
    assert_eq!(host.returned, 90);
    host.end();
}

fn what_the_application_did_not_fetch_goes_back_to_its_pool(rig: &Rig) {
    let mut host = Host::new(rig, CAP);
    let queue = host.queue(false);
    let custom = Request::new(file_source(0, 1000), host.to(0, 500));
    queue.enqueue_request(custom.compressed(FORMAT, 500).tagged(3));
    queue.submit();
    let waiting = host
        .rig
        .runtime
        .custom_decompression_queue()
        .event()
        .unwrap();
    host.pump_until("the application's turn", |_| {
        waiting.wait(Some(Duration::ZERO))
    });
    assert!(host.pool.stats().bytes_in_use > 0);
    queue.cancel_requests_with_tag(3, 3);
    assert_eq!(host.finish(&queue), code(Error::Cancelled));
    host.take_returned();
    assert_eq!(host.returned, 1);
    host.end();
}

fn a_block_that_was_not_asked_for_stays_the_hosts(rig: &Rig) {
    let host = Host::new(rig, CAP);
    let block = Block::new(2 * CAP);
    let invalid = Err(Error::InvalidArgument);
    assert_eq!(host.pool.add_block(block.span(), 1), invalid);
    let queue = host.queue(false);
    queue.enqueue_request(host.read(0, 10, 1));
    queue.submit();
    let (copies, mut tasks) = (host.rig.runtime.foreign_copies(), Vec::new());
    host.rig
        .wait_until("a task", || copies.fetch(1, &mut tasks) == 1);
    let ForeignTask::Block { bytes, .. } = tasks[0] else {
        panic!("memory comes first");
    };
    assert_eq!(bytes, CAP / 2);
    let small = Block::new(CAP / 4);
    assert_eq!(host.pool.add_block(small.span(), 2), invalid);
    // SAFETY: a part of the block.
    let odd = unsafe { Span::new(block.start.wrapping_add(8), CAP) };
    assert_eq!(host.pool.add_block(odd, 3), invalid);
    assert_eq!(host.pool.add_block(block.span(), 4), Ok(()));
    assert_eq!(host.pool.add_block(block.span(), 5), invalid);
    drop(queue);
    let mut cookies = Vec::new();
    host.pool.close();
    while copies.fetch_returned(9, &mut cookies) > 0 {}
    cookies.sort_unstable();
    assert_eq!(cookies, [1, 4]);
    host.end();
}

fn a_pool_of_another_runtime_is_refused(rig: &Rig) {
    let (host, other) = (Host::new(rig, CAP), Host::new(rig, CAP));
    let desc = QueueDesc::new(128).foreign_pool(&other.pool);
    let made = host.rig.runtime.create_queue(desc);
    assert_eq!(made.unwrap_err(), Error::InvalidArgument);
    host.end();
    other.end();
}

/// The next task of a host that does nothing else.
fn next_task(host: &Host) -> ForeignTask {
    let mut tasks = Vec::new();
    let start = std::time::Instant::now();
    while host.rig.runtime.foreign_copies().fetch(1, &mut tasks) == 0 {
        host.rig.runtime.turn();
        assert!(start.elapsed() < crate::rig::PATIENCE, "no task");
    }
    tasks.remove(0)
}

fn a_host_that_has_no_more_is_not_asked_all_the_time(rig: &Rig) {
    let mut host = Host::new(rig, CAP);
    host.has = CAP / 2;
    let (small, large) = (host.queue(true), host.queue(true));
    small.enqueue_request(Request::new(memory_source(&[1; 100]), host.to(1, 100)));
    small.submit();
    let ForeignTask::Block { bytes, .. } = next_task(&host) else {
        panic!("the first request needs a block");
    };
    host.lend(bytes);
    let ForeignTask::Copy(unanswered) = next_task(&host) else {
        panic!("there is a block for it");
    };
    let bytes = vec![2; CAP / 2];
    large.enqueue_request(Request::new(memory_source(&bytes), host.to(2, bytes.len())));
    large.submit();
    let ForeignTask::Block { .. } = next_task(&host) else {
        panic!("that block is too small");
    };
    host.pool.refuse_block();
    let mut more = Vec::new();
    for _ in 0..1000 {
        host.rig.runtime.turn();
        host.rig.runtime.foreign_copies().fetch(1, &mut more);
    }
    assert!(more.is_empty(), "asked again: {more:?}");
    host.copy(&unanswered);
    let copies = host.rig.runtime.foreign_copies();
    copies.finish(unanswered.id, Ok(())).unwrap();
    assert_ok(host.finish(&large));
    assert!(host.bytes[&2] == bytes);
    drop((small, large));
    host.end();
}

fn a_refusal_that_nobody_hears_harms_nobody(rig: &Rig) {
    let mut host = Host::new(rig, CAP);
    let queue = host.queue(true);
    let request = Request::new(memory_source(&[1; 100]), host.to(1, 100));
    queue.enqueue_request(request.tagged(1));
    queue.submit();
    let ForeignTask::Block { .. } = next_task(&host) else {
        panic!("the request needs a block");
    };
    queue.cancel_requests_with_tag(1, 1);
    host.pool.refuse_block();
    queue.enqueue_request(Request::new(memory_source(&[2; 100]), host.to(2, 100)));
    let result = host.finish(&queue);
    assert!(host.bytes[&2] == [2; 100], "{result:#x}");
    drop(queue);
    host.end();
}

fn a_host_with_little_gives_what_is_needed(rig: &Rig) {
    let mut host = Host::new(rig, CAP);
    host.has = 2 * PAGE;
    let queue = host.queue(true);
    for cookie in 0..10 {
        let to = host.to(cookie, PAGE);
        queue.enqueue_request(Request::new(memory_source(&[3; PAGE]), to));
    }
    assert_ok(host.finish(&queue));
    assert_eq!(host.bytes.len(), 10);
    drop(queue);
    host.end();
}
