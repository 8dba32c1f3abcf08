//! Destinations that only the host knows: their bytes, their cookies, and every way they can end.
//!
//! The host here is the test: it keeps the bytes of each copy under its cookie.

use std::collections::HashMap;

use ds_core::{
    Backend, Buffer, Compression, CustomResult, Destination, Error, Event, FailedCommand, File,
    ForeignCopy, ForeignShown, ForeignTo, PlaceInfo, Queue, QueueDesc, Request, Runtime, S_OK,
    Select, Source, StatusArray,
};

use crate::rig::{
    Rig, SAMPLE_BYTES, assert_ok, code, config, fetch_copies, sample, sample_file, sample_stream,
};

crate::semantic_tests! {
    every_kind_of_bytes_comes_with_its_cookie;
    a_part_of_what_is_decoded_is_enough;
    what_cannot_be_is_said_and_no_copy_comes_of_it;
    the_hosts_failure_is_the_requests;
    without_a_host_there_is_no_such_place;
    more_than_staging_has_is_refused;
    cancel_and_close_bring_the_cookies_back;
    many_requests_share_the_staging;
}

const FORMAT: Compression = Compression(0x85);

/// What the host keeps of its places.
struct Host<'a> {
    rig: &'a Rig,
    event: Event,
}

/// Bytes by cookie, and how often each cookie came back.
#[derive(Default)]
struct Places {
    bytes: HashMap<u64, Vec<u8>>,
    returned: HashMap<u64, u32>,
}

impl<'a> Host<'a> {
    fn new(rig: &'a Rig) -> Host<'a> {
        let event = Event::new().unwrap();
        rig.runtime.foreign_copies().begin(&event).unwrap();
        Host { rig, event }
    }

    fn to(&self, cookie: u64, bytes: usize) -> Destination {
        let copies = self.rig.runtime.foreign_copies();
        Destination::Foreign(copies.destination(cookie, bytes as u32))
    }

    fn read(&self, offset: u64, bytes: usize, cookie: u64) -> Request {
        Request::new(file_source(offset, bytes), self.to(cookie, bytes))
    }

    /// What the host's thread does when it is woken.
    fn pump(&self, places: &mut Places) {
        let copies = self.rig.runtime.foreign_copies();
        let mut found = Vec::new();
        fetch_copies(&self.rig.runtime, 3, &mut found);
        for copy in &found {
            let bytes = bytes_of(copy);
            let cookie = cookie_of(copy);
            assert!(!places.returned.contains_key(&cookie), "returned too early");
            assert!(places.bytes.insert(cookie, bytes).is_none(), "copied twice");
            copies.finish(copy.id, Ok(())).unwrap();
        }
        self.take_returned(places);
    }

    fn take_returned(&self, places: &mut Places) {
        let mut cookies = Vec::new();
        self.rig
            .runtime
            .foreign_copies()
            .fetch_returned(5, &mut cookies);
        for cookie in cookies {
            *places.returned.entry(cookie).or_default() += 1;
        }
    }

    /// Enqueues a status, submits, and pumps until it completes and so many cookies are back.
    fn finish(&self, queue: &Queue, places: &mut Places, cookies: usize) -> i32 {
        let array = StatusArray::new(1, None);
        queue.enqueue_status(Some(&array), 0);
        queue.submit();
        self.rig.wait_until("a status", || {
            self.pump(places);
            array.is_complete(0)
        });
        self.all_back(places, cookies);
        array.hresult(0)
    }

    fn all_back(&self, places: &mut Places, cookies: usize) {
        while places.returned.len() < cookies {
            let before = places.returned.len();
            self.take_returned(places);
            assert!(places.returned.len() > before, "a cookie is missing");
        }
        assert_eq!(places.returned.len(), cookies);
        assert!(places.returned.values().all(|&times| times == 1));
        assert_eq!(self.rig.runtime.staging_stats().bytes_in_use, 0);
    }
}

fn file_source(offset: u64, bytes: usize) -> Source {
    Source::File {
        file: Some(sample_file()),
        offset,
        bytes: bytes as u32,
    }
}

fn cookie_of(copy: &ForeignCopy) -> u64 {
    match copy.destination {
        ForeignTo::Cookie(cookie) => cookie,
        ForeignTo::Memory(_) => panic!("no request here has memory"),
    }
}

fn bytes_of(copy: &ForeignCopy) -> Vec<u8> {
    let source = copy.source;
    // SAFETY: readable until the answer.
    unsafe { std::slice::from_raw_parts(source.as_ptr(), source.bytes()) }.to_vec()
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

/// Answers every custom request: one that is written backwards.
fn decompress_backwards(rig: &Rig) {
    let custom = rig.runtime.custom_decompression_queue();
    let mut found = Vec::new();
    rig.wait_until("a custom request", || {
        custom.get_requests(Select::All, 1, &mut found) == 1
    });
    let (from, to) = (found[0].source, found[0].destination);
    for at in 0..to.bytes() {
        let from = from.as_ptr().wrapping_add(from.bytes() - 1 - at);
        let to = to.as_ptr().wrapping_add(at);
        // SAFETY: a fetched request's memory is the application's until it answers, and `at` lies inside.
        let byte = unsafe { from.read() };
        // SAFETY: the same.
        unsafe { to.write(byte) };
    }
    let (id, hresult) = (found[0].id, S_OK);
    custom.set_results(&[CustomResult { id, hresult }]).unwrap();
}

fn every_kind_of_bytes_comes_with_its_cookie(rig: &Rig) {
    let host = Host::new(rig);
    let (mut places, expected) = (Places::default(), sample(0, SAMPLE_BYTES));
    let (queue, memory) = (rig.queue(), rig.memory_queue());
    let whole = SAMPLE_BYTES;
    queue.enqueue_request(host.read(0, whole, 0));
    queue.enqueue_request(host.read(77, 1000, 1));
    queue.enqueue_request(
        Request::new(stream_source(), host.to(2, whole))
            .compressed(Compression::GDEFLATE, whole as u32),
    );
    assert_ok(host.finish(&queue, &mut places, 3));
    assert!(host.event.take(), "the host was told");
    memory.enqueue_request(Request::new(memory_source(&expected), host.to(3, whole)));
    let stream = memory_source(&sample_stream().0);
    memory.enqueue_request(
        Request::new(stream, host.to(4, whole)).compressed(Compression::GDEFLATE, whole as u32),
    );
    assert_ok(host.finish(&memory, &mut places, 5));
    for (queue, source, cookie) in [
        (&queue, file_source(0, 1000), 5),
        (&memory, memory_source(&expected[..1000]), 6),
    ] {
        queue.enqueue_request(Request::new(source, host.to(cookie, 1000)).compressed(FORMAT, 1000));
        queue.submit();
        decompress_backwards(rig);
        assert_ok(host.finish(queue, &mut places, cookie as usize + 1));
    }
    for cookie in [0, 2, 3, 4] {
        assert!(places.bytes[&cookie] == expected, "{cookie}");
    }
    assert_eq!(places.bytes[&1], sample(77, 1000));
    let backwards: Vec<u8> = expected[..1000].iter().rev().copied().collect();
    assert!(places.bytes[&5] == backwards && places.bytes[&6] == backwards);
}

/// As for any GPU: a stream may hold more than is wanted.
fn a_part_of_what_is_decoded_is_enough(rig: &Rig) {
    let host = Host::new(rig);
    let mut places = Places::default();
    let queue = rig.queue();
    for (cookie, bytes) in [(1, 1), (2, 70_000.min(SAMPLE_BYTES)), (3, 0)] {
        queue.enqueue_request(
            Request::new(stream_source(), host.to(cookie, bytes))
                .compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32),
        );
        assert_ok(host.finish(&queue, &mut places, cookie as usize));
        assert!(places.bytes[&cookie] == sample(0, bytes));
    }
}

fn what_cannot_be_is_said_and_no_copy_comes_of_it(rig: &Rig) {
    let host = Host::new(rig);
    let mut places = Places::default();
    let (queue, copies) = (rig.queue(), rig.runtime.foreign_copies());
    let refused = copies
        .destination(1, 10)
        .refused(Error::Application(-77))
        .shown(ForeignShown {
            kind: 3,
            words: [5, 6, 7, 8, 9],
            ..ForeignShown::default()
        });
    let mut corrupt = sample_stream().0.to_vec();
    corrupt.truncate(corrupt.len() / 2);
    let past_the_end = host.read(1 << 40, 10, 3);
    let wrong_size = Request::new(file_source(0, 10), host.to(2, 11));
    for (request, error) in [
        (
            Request::new(file_source(0, 10), Destination::Foreign(refused)),
            Error::Application(-77),
        ),
        (wrong_size, Error::InvalidDestinationSize),
        (past_the_end, Error::EndOfFile),
    ] {
        queue.enqueue_request(request);
        let back = places.returned.len() + 1;
        assert_eq!(host.finish(&queue, &mut places, back), code(error));
        let first = queue.retrieve_error_record().first_failure.unwrap();
        let FailedCommand::Request(info) = first.command else {
            panic!("a request has failed")
        };
        let PlaceInfo::Foreign(place) = info.destination else {
            panic!("it had a cookie")
        };
        assert_eq!(place.cookie, back as u64);
        if back == 1 {
            assert_eq!((place.shown.kind, place.shown.words[4]), (3, 9));
        }
    }
    let memory = rig.memory_queue();
    memory.enqueue_request(
        Request::new(memory_source(&corrupt), host.to(4, SAMPLE_BYTES))
            .compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32),
    );
    assert!(host.finish(&memory, &mut places, 4) < 0);
    // The queue is closed.
    queue.close();
    queue.enqueue_request(host.read(0, 10, 5));
    host.all_back(&mut places, 5);
    assert!(places.bytes.is_empty());
}

fn the_hosts_failure_is_the_requests(rig: &Rig) {
    let host = Host::new(rig);
    let (queue, copies) = (rig.queue(), rig.runtime.foreign_copies());
    let array = StatusArray::new(1, None);
    queue.enqueue_request(host.read(0, 10, 9));
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    let mut found = Vec::new();
    rig.wait_until("a copy", || fetch_copies(&rig.runtime, 1, &mut found) == 1);
    let mut places = Places::default();
    host.take_returned(&mut places);
    assert!(
        places.returned.is_empty(),
        "it is the host's until it answers"
    );
    let error = Error::Application(-99);
    copies.finish(found[0].id, Err(error)).unwrap();
    rig.wait_until("the status", || array.is_complete(0));
    assert_eq!(array.hresult(0), -99);
    host.all_back(&mut places, 1);
}

fn without_a_host_there_is_no_such_place(rig: &Rig) {
    let queue = rig.queue();
    let copies = rig.runtime.foreign_copies();
    let to = Destination::Foreign(copies.destination(1, 10));
    queue.enqueue_request(Request::new(file_source(0, 10), to));
    assert_eq!(rig.finish(&queue), code(Error::InvalidDestinationType));
    let mut cookies = Vec::new();
    copies.fetch_returned(9, &mut cookies);
    assert_eq!(cookies, [1]);
}

fn more_than_staging_has_is_refused(rig: &Rig) {
    rig.runtime.set_staging_bytes(4096).unwrap();
    let host = Host::new(rig);
    let mut places = Places::default();
    let queue = rig.queue();
    queue.enqueue_request(host.read(0, 4097, 0));
    let result = host.finish(&queue, &mut places, 1);
    assert_eq!(result, code(Error::RequestTooLarge));
    queue.enqueue_request(host.read(0, 4096, 1));
    assert_ok(host.finish(&queue, &mut places, 2));
    assert_eq!(places.bytes[&1], sample(0, 4096));
}

fn what_the_host_decodes_counts(rig: &Rig, exact: bool) {
    let host = Host::new(rig);
    let mut places = Places::default();
    let queue = rig.queue();
    let of_size = |cookie, uncompressed_bytes| {
        let copies = rig.runtime.foreign_copies();
        let shown = ForeignShown {
            format: Compression::GDEFLATE,
            uncompressed_bytes,
            ..ForeignShown::default()
        };
        let to = Destination::Foreign(copies.destination(cookie, 100).shown(shown));
        Request::new(file_source(0, 100), to)
    };
    queue.enqueue_request(of_size(0, 1 << 16));
    assert_ok(host.finish(&queue, &mut places, 1));
    queue.enqueue_request(of_size(1, (1 << 16) + 1));
    let result = host.finish(&queue, &mut places, 2);
    match exact {
        true => assert_eq!(result, code(Error::RequestTooLarge)),
        false => assert_ok(result),
    }
}

#[test]
fn what_the_host_decodes_counts_under_exact_limits() {
    for exact in [false, true] {
        let mut config = config(Backend::Cpu);
        config.exact_limits = exact;
        config.staging_bytes = 1 << 16;
        let runtime = Runtime::exactly(config).unwrap();
        what_the_host_decodes_counts(&Rig { runtime, seed: 0 }, exact);
    }
}

fn cancel_and_close_bring_the_cookies_back(rig: &Rig) {
    let host = Host::new(rig);
    let queue = rig.queue();
    let array = StatusArray::new(1, None);
    for cookie in 0..8 {
        queue.enqueue_request(host.read(cookie, 4096, cookie).tagged(1));
    }
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    if rig.seed.is_multiple_of(2) {
        rig.settle();
    }
    queue.cancel_requests_with_tag(1, 1);
    assert!(array.is_complete(0));
    assert_eq!(array.hresult(0), code(Error::Cancelled));
    let mut places = Places::default();
    host.all_back(&mut places, 8);
    for cookie in 8..16 {
        queue.enqueue_request(host.read(cookie, 4096, cookie));
    }
    queue.submit();
    drop(queue);
    // Whatever was not submitted.
    let queue = rig.runtime.create_queue(QueueDesc::new(128)).unwrap();
    queue.enqueue_request(host.read(0, 1, 16));
    drop(queue);
    host.all_back(&mut places, 17);
    assert!(places.bytes.is_empty());
}

/// Staging for one at a time, and every kind of request.
fn many_requests_share_the_staging(rig: &Rig) {
    const COUNT: usize = 30;
    let stream_bytes = sample_stream().0.len();
    rig.runtime
        .set_staging_bytes(stream_bytes.max(SAMPLE_BYTES) as u32)
        .unwrap();
    let host = Host::new(rig);
    let queue = rig.queue();
    let mut places = Places::default();
    for cookie in 0..COUNT {
        queue.enqueue_request(match cookie % 5 {
            4 => Request::new(stream_source(), host.to(cookie as u64, SAMPLE_BYTES))
                .compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32),
            _ => host.read(cookie as u64, 10_000, cookie as u64),
        });
    }
    assert_ok(host.finish(&queue, &mut places, COUNT));
    for cookie in 0..COUNT {
        let expected = match cookie % 5 {
            4 => sample(0, SAMPLE_BYTES),
            _ => sample(cookie, 10_000),
        };
        assert!(places.bytes[&(cookie as u64)] == expected, "{cookie}");
    }
}
