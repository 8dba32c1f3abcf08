//! Signals that the host makes: behind their copies, before their answers, each once.

#![forbid(unsafe_code)]

use ds_core::{
    Destination, Error, Event, FailedCommand, ForeignSignal, ForeignTask, Queue, Request, Source,
    StatusArray,
};

use crate::rig::{Rig, assert_ok, code, sample_file, untouched};

crate::semantic_tests! {
    a_signal_comes_behind_its_copies_and_before_their_answers;
    a_signal_waits_for_memory_and_for_failures;
    a_refused_signal_is_recorded_in_its_turn;
    a_closed_queue_gives_its_signals_back;
    what_is_enqueued_before_a_signal_comes_before_it;
}

/// The cookies of signals; those of destinations are below.
const SIGNAL: u64 = 1000;

struct Host<'a> {
    rig: &'a Rig,
}

impl<'a> Host<'a> {
    fn new(rig: &'a Rig) -> Host<'a> {
        let copies = rig.runtime.foreign_copies();
        copies.begin(&Event::new().unwrap()).unwrap();
        Host { rig }
    }

    fn read(&self, cookie: u64) -> Request {
        let copies = self.rig.runtime.foreign_copies();
        let source = Source::File {
            file: Some(sample_file()),
            offset: cookie,
            bytes: 100,
        };
        Request::new(
            source,
            Destination::Foreign(copies.destination(cookie, 100)),
        )
    }

    fn signal(&self, cookie: u64) -> ForeignSignal {
        self.rig.runtime.foreign_copies().signal(cookie, cookie)
    }

    fn fetch(&self) -> Vec<ForeignTask> {
        let mut tasks = Vec::new();
        self.rig.runtime.foreign_copies().fetch(99, &mut tasks);
        tasks
    }

    /// Waits for so many tasks.
    fn fetch_exactly(&self, count: usize) -> Vec<ForeignTask> {
        let mut tasks = Vec::new();
        self.rig.wait_until("tasks", || {
            tasks.extend(self.fetch());
            tasks.len() >= count
        });
        assert_eq!(tasks.len(), count);
        tasks
    }

    fn answer(&self, tasks: &[ForeignTask]) {
        let copies = self.rig.runtime.foreign_copies();
        for task in tasks {
            if let ForeignTask::Copy(copy) = task {
                copies.finish(copy.id, Ok(())).unwrap();
            }
        }
    }

    fn returned(&self) -> Vec<u64> {
        let mut cookies = Vec::new();
        self.rig
            .runtime
            .foreign_copies()
            .fetch_returned(999, &mut cookies);
        cookies.sort_unstable();
        cookies
    }
}

fn submitted_status(queue: &Queue) -> StatusArray {
    let array = StatusArray::new(1, None);
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    array
}

fn a_signal_comes_behind_its_copies_and_before_their_answers(rig: &Rig) {
    let host = Host::new(rig);
    let queue = rig.queue();
    for cookie in 0..10 {
        queue.enqueue_request(host.read(cookie));
    }
    queue.enqueue_foreign_signal(host.signal(SIGNAL));
    queue.enqueue_request(host.read(10));
    queue.enqueue_foreign_signal(host.signal(SIGNAL + 1));
    let array = submitted_status(&queue);
    let tasks = host.fetch_exactly(13);
    let at = |wanted| {
        let is_it = |task: &ForeignTask| *task == ForeignTask::Signal(wanted);
        tasks.iter().position(is_it).expect("it came")
    };
    assert!(at(SIGNAL) >= 10, "before one of its copies");
    assert_eq!(at(SIGNAL + 1), 12);
    rig.settle();
    assert!(!array.is_complete(0), "nothing was answered");
    assert!(host.returned().is_empty());
    host.answer(&tasks);
    assert_ok(rig.wait(&array, 0));
    assert_eq!(host.returned(), (0..11).collect::<Vec<_>>());
    assert!(host.fetch().is_empty(), "a signal came twice");
}

/// Bytes of other destinations must be there, and what fails has ended.
fn a_signal_waits_for_memory_and_for_failures(rig: &Rig) {
    let host = Host::new(rig);
    let queue = rig.queue();
    let (go, mut buffer) = (ds_core::Fence::new(0), untouched(100));
    let to_memory = Request::read(&sample_file(), 0, 100, buffer.lend().unwrap());
    queue.enqueue_requests([to_memory], Some((&go, 1)), Default::default());
    queue.enqueue_request(host.read(1));
    queue.enqueue_request(host.read(1 << 40));
    queue.enqueue_foreign_signal(host.signal(SIGNAL));
    let array = submitted_status(&queue);
    let tasks = host.fetch_exactly(1);
    rig.settle();
    assert!(host.fetch().is_empty(), "memory is not there yet");
    go.signal(1);
    assert_eq!(host.fetch_exactly(1), [ForeignTask::Signal(SIGNAL)]);
    assert!(!array.is_complete(0));
    host.answer(&tasks);
    assert_eq!(rig.wait(&array, 0), code(Error::EndOfFile));
    assert_eq!(host.returned(), [1, 1 << 40]);
    // With nothing before it, at once.
    queue.enqueue_foreign_signal(host.signal(SIGNAL + 1));
    rig.settle();
    assert!(host.fetch().is_empty(), "it was not submitted");
    queue.submit();
    assert_eq!(host.fetch_exactly(1), [ForeignTask::Signal(SIGNAL + 1)]);
}

fn a_refused_signal_is_recorded_in_its_turn(rig: &Rig) {
    let host = Host::new(rig);
    let queue = rig.queue();
    queue.enqueue_request(host.read(1));
    let refused = host.signal(SIGNAL).refused(Error::InvalidFence);
    queue.enqueue_foreign_signal(refused);
    queue.enqueue_foreign_signal(host.signal(SIGNAL + 1));
    let array = submitted_status(&queue);
    let tasks = host.fetch_exactly(2);
    assert_eq!(tasks[1], ForeignTask::Signal(SIGNAL + 1));
    host.answer(&tasks);
    assert_ok(rig.wait(&array, 0));
    assert_eq!(host.returned(), [1, SIGNAL]);
    let record = queue.retrieve_error_record();
    let first = record.first_failure.unwrap();
    assert_eq!(
        (record.failure_count, first.error),
        (1, Error::InvalidFence)
    );
    assert!(matches!(first.command, FailedCommand::Signal(0, SIGNAL)));
}

fn a_closed_queue_gives_its_signals_back(rig: &Rig) {
    let host = Host::new(rig);
    let queue = rig.queue();
    for cookie in 0..5 {
        queue.enqueue_request(host.read(cookie));
        queue.enqueue_foreign_signal(host.signal(SIGNAL + cookie));
    }
    queue.submit();
    for _ in 0..rig.seed % 20 {
        rig.runtime.turn();
    }
    // Nobody fetches: copies that were handed over are taken back, and the signals behind them.
    queue.close();
    queue.enqueue_foreign_signal(host.signal(SIGNAL + 5));
    assert!(host.fetch().is_empty());
    let all: Vec<_> = (0..5).chain(SIGNAL..SIGNAL + 6).collect();
    assert_eq!(host.returned(), all);
    // What was fetched is made.
    let queue = rig.queue();
    queue.enqueue_request(host.read(0));
    queue.enqueue_foreign_signal(host.signal(SIGNAL));
    queue.submit();
    let tasks = host.fetch_exactly(2);
    host.answer(&tasks);
    drop(queue);
    assert_eq!(host.returned(), [0]);
}

/// Whoever sees the signal may look at a status before it; one behind it does not matter.
fn what_is_enqueued_before_a_signal_comes_before_it(rig: &Rig) {
    let host = Host::new(rig);
    let queue = rig.queue();
    let (event, native) = (Event::new().unwrap(), ds_core::Fence::new(0));
    let array = StatusArray::new(1, None);
    let before: [&dyn Fn(); 3] = [
        &|| queue.enqueue_status(Some(&array), 0),
        &|| queue.enqueue_set_event(Some(&event)),
        &|| queue.enqueue_signal(Some(&native), 7),
    ];
    for enqueue in before {
        queue.enqueue_request(host.read(1));
        queue.enqueue_foreign_signal(host.signal(SIGNAL));
        enqueue();
        queue.enqueue_foreign_signal(host.signal(SIGNAL + 1));
        queue.enqueue_foreign_signal(host.signal(SIGNAL + 2));
        queue.submit();
        let tasks = host.fetch_exactly(2);
        assert_eq!(tasks[1], ForeignTask::Signal(SIGNAL));
        rig.settle();
        assert!(host.fetch().is_empty(), "it overtook what is before it");
        host.answer(&tasks);
        let tasks = host.fetch_exactly(2);
        assert_eq!(tasks, [SIGNAL + 1, SIGNAL + 2].map(ForeignTask::Signal));
        assert_eq!(host.returned(), [1]);
    }
    assert!(array.is_complete(0));
    rig.wait_fence(&native, 7);
    rig.wait_until("the event", || event.take());
}
