//! Random programs against a model: every kind of entry, in any order, with and without disk
//! errors.
//!
//! The model knows which requests must fail and with what, and so what each status must say. With
//! disk errors it knows less, and checks what must hold all the same: nothing is lost, nothing
//! completes twice, and a status that says success tells the truth.

#![forbid(unsafe_code)]

use ds_core::{
    Backend, Buffer, Compression, Error, Fence, FenceWait, File, Queue, Request, S_OK, StatusArray,
};

use crate::rig::{
    Rig, SAMPLE_BYTES, code, config, over_cpu_with, over_sim_with, sample, sample_file,
    sample_stream, untouched,
};

/// The same generator as everywhere: good enough, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ (z >> 29)) % end
    }
}

/// A request of the program and what must become of it.
struct Expected {
    buffer: Buffer,
    /// What the buffer holds after success.
    contents: Vec<u8>,
    /// What it must end with, if the disk does its part.
    result: i32,
    tag: u64,
}

/// A status of the program: the requests that it covers.
struct Covered {
    index: u32,
    first: usize,
    end: usize,
}

struct Program {
    random: Random,
    file: File,
    stream: File,
    queue: Queue,
    fence: Fence,
    fence_target: u64,
    array: StatusArray,
    requests: Vec<Expected>,
    statuses: Vec<Covered>,
    covered: usize,
    signals: u64,
    signal_fence: Fence,
    unsubmitted_from: usize,
}

const STATUSES_MAX: u32 = 64;
const ENTRIES: u64 = 90;

impl Program {
    fn new(rig: &Rig) -> Program {
        Program {
            random: Random(rig.seed.wrapping_mul(77).wrapping_add(5)),
            file: sample_file(),
            stream: File::open(&sample_stream().1).unwrap(),
            queue: rig.queue(),
            fence: Fence::new(0),
            fence_target: 0,
            array: StatusArray::new(STATUSES_MAX, None),
            requests: Vec::new(),
            statuses: Vec::new(),
            covered: 0,
            signals: 0,
            signal_fence: Fence::new(0),
            unsubmitted_from: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=9 => self.request(),
            10..=11 => self.fenced_requests(),
            12..=14 => self.status(),
            15..=16 => {
                self.signals += 1;
                self.queue
                    .enqueue_signal(Some(&self.signal_fence), self.signals);
            }
            17 => self.cancel_unsubmitted(),
            _ => {
                self.queue.submit();
                self.unsubmitted_from = self.requests.len();
            }
        }
    }

    /// A request of some kind, with what must become of it.
    fn make_request(&mut self) -> Request {
        let tag = self.random.below(4);
        let bytes = 1 + self.random.below(5000) as usize;
        let offset = self.random.below((SAMPLE_BYTES - 5000) as u64);
        let mut buffer = untouched(bytes);
        let contents = sample(offset as usize, bytes);
        let (request, contents, result) = match self.random.below(8) {
            0 => {
                let request = Request::read(
                    &self.file,
                    SAMPLE_BYTES as u64 - 1,
                    bytes as u32,
                    buffer.lend().unwrap(),
                );
                let result = if bytes == 1 {
                    S_OK
                } else {
                    code(Error::EndOfFile)
                };
                (request, sample(SAMPLE_BYTES - 1, 1), result)
            }
            1 => {
                let request =
                    Request::read(&self.file, offset, bytes as u32 + 1, buffer.lend().unwrap());
                (request, contents, code(Error::InvalidDestinationSize))
            }
            2 => {
                buffer = untouched(SAMPLE_BYTES);
                let stream_bytes = sample_stream().0.len() as u32;
                let request = Request::read(&self.stream, 0, stream_bytes, buffer.lend().unwrap());
                let request = request.compressed(Compression::GDEFLATE, SAMPLE_BYTES as u32);
                (request, sample(0, SAMPLE_BYTES), S_OK)
            }
            3 => {
                let request = Request::read(&self.stream, 8, 4000, buffer.lend().unwrap());
                (
                    request.compressed(Compression::GDEFLATE, bytes as u32),
                    contents,
                    code(Error::Corrupt),
                )
            }
            _ => {
                let request =
                    Request::read(&self.file, offset, bytes as u32, buffer.lend().unwrap());
                (request, contents, S_OK)
            }
        };
        self.requests.push(Expected {
            buffer,
            contents,
            result,
            tag,
        });
        request.tagged(tag)
    }

    fn request(&mut self) {
        let request = self.make_request();
        self.queue.enqueue_request(request);
    }

    fn fenced_requests(&mut self) {
        let count = 1 + self.random.below(3);
        let requests: Vec<_> = (0..count).map(|_| self.make_request()).collect();
        let value = self.fence.value() + self.random.below(3);
        self.fence_target = self.fence_target.max(value);
        self.queue
            .enqueue_requests(requests, Some((&self.fence, value)), FenceWait::default());
    }

    fn status(&mut self) {
        let index = self.statuses.len() as u32;
        if index < STATUSES_MAX {
            self.queue.enqueue_status(Some(&self.array), index);
            self.statuses.push(Covered {
                index,
                first: self.covered,
                end: self.requests.len(),
            });
            self.covered = self.requests.len();
        }
    }

    /// Cancels where the model knows the outcome: nothing that was submitted has that tag.
    fn cancel_unsubmitted(&mut self) {
        let tag = 100 + self.random.below(2);
        let start = self.unsubmitted_from;
        let mut marked = false;
        if self.queue.query().requests_until_auto_submit > 10 {
            for _ in 0..2 {
                let request = self.make_request().tagged(tag);
                self.queue.enqueue_request(request);
                let last = self.requests.last_mut().unwrap();
                (last.result, last.tag) = (code(Error::Cancelled), tag);
                marked = true;
            }
        }
        if marked {
            self.queue.cancel_requests_with_tag(u64::MAX, tag);
            let cancelled = self.requests[start..]
                .iter_mut()
                .filter(|request| request.tag == tag);
            assert!(
                cancelled
                    .into_iter()
                    .all(|request| !request.buffer.is_lent())
            );
        }
    }

    fn finish(&mut self, rig: &Rig) {
        self.fence.signal(self.fence_target);
        rig.finish(&self.queue);
        rig.wait_fence(&self.signal_fence, self.signals);
    }

    fn first_failure(&self, range: &Covered) -> i32 {
        self.requests[range.first..range.end]
            .iter()
            .map(|request| request.result)
            .find(|r| *r != S_OK)
            .unwrap_or(S_OK)
    }
}

fn run(rig: &Rig) -> Program {
    let mut program = Program::new(rig);
    for step in 0..ENTRIES {
        program.step();
        if program.random.below(3) == 0 {
            rig.runtime.turn();
        }
        // Now and then, so that a full queue has something to wait for.
        if step % 16 == 15 {
            program.fence.signal(program.fence_target);
        }
    }
    program.finish(rig);
    program
}

fn every_status_says_what_happened(rig: &Rig) {
    let mut program = run(rig);
    for status in &program.statuses {
        assert_eq!(
            program.array.hresult(status.index),
            program.first_failure(status),
            "status {}",
            status.index
        );
    }
    let failures = program
        .requests
        .iter()
        .filter(|request| request.result != S_OK)
        .count();
    assert_eq!(
        program.queue.retrieve_error_record().failure_count as usize,
        failures
    );
    for (index, request) in program.requests.iter_mut().enumerate() {
        let bytes = request.buffer.bytes().expect("given back");
        if request.result == S_OK {
            assert!(bytes == request.contents, "request {index}");
        }
    }
    assert_eq!(program.queue.query().empty_slots, 127);
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

fn disk_errors_lose_nothing(rig: &Rig) {
    let mut program = run(rig);
    let stats = program.queue.stats();
    let done = stats.requests_completed + stats.requests_failed + stats.requests_cancelled;
    assert_eq!((stats.requests_enqueued, stats.depth), (done, 0));
    assert_eq!(done, program.requests.len() as u64);
    let failures = u64::from(program.queue.retrieve_error_record().failure_count);
    assert_eq!(failures, stats.requests_failed + stats.requests_cancelled);
    for status in &program.statuses {
        let result = program.array.hresult(status.index);
        if result == S_OK {
            for request in &mut program.requests[status.first..status.end] {
                assert_eq!(request.result, S_OK);
                assert!(request.buffer.bytes().expect("given back") == request.contents);
            }
        }
    }
    assert_eq!(rig.runtime.staging_stats().bytes_in_use, 0);
}

#[test]
fn cpu() {
    for _ in 0..20 {
        over_cpu_with(config(Backend::Cpu), every_status_says_what_happened);
    }
}

#[test]
fn sim() {
    over_sim_with(config(Backend::Sim), every_status_says_what_happened);
}

#[test]
fn sim_with_disk_errors() {
    let mut config = config(Backend::Sim);
    config.sim.eio_per_mille = 100;
    over_sim_with(config, disk_errors_lose_nothing);
}
