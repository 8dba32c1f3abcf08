//! Any bytes as a program of queue calls, over the simulation: nothing is lost, whatever the order.

#![forbid(unsafe_code)]

use ds_core::{
    Backend, Buffer, Compression, Config, Event, Fence, FenceWait, File, Priority, Queue,
    QueueDesc, Request, Runtime, StatusArray,
};

/// Longer inputs only repeat what shorter ones do.
const CALLS_MAX: usize = 400;
const STATUSES: u32 = 16;

struct Program {
    runtime: Runtime,
    file: File,
    lanes: [Lane; 2],
    /// What requests wait for, and the most that any of them does.
    fence: Fence,
    fence_target: u64,
    event: Event,
    statuses: StatusArray,
    buffers: Vec<Buffer>,
}

/// A queue, the fence that it signals, and the last value that was asked of it.
struct Lane {
    queue: Queue,
    signal: Fence,
    signalled: u64,
    closed: bool,
}

/// Runs the program, then lets everything end and counts.
pub fn target(data: &[u8]) {
    let [seed, faults, calls @ ..] = data else {
        return;
    };
    let mut program = Program::new(u64::from(*seed), u32::from(*faults));
    for call in calls.chunks_exact(2).take(CALLS_MAX) {
        program.call(usize::from(call[0] & 1), call[0] >> 1 & 15, call[1]);
    }
    program.finish();
}

impl Program {
    fn new(seed: u64, eio_per_mille: u32) -> Program {
        let mut config = Config::default();
        config.backend = Backend::Sim;
        config.staging_bytes = 8192;
        config.sim.seed = seed;
        config.sim.eio_per_mille = eio_per_mille;
        let runtime = Runtime::exactly(config).expect("a simulation starts no threads");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let lanes = [Priority::Low, Priority::Realtime].map(|priority| {
            let queue = runtime.create_queue(QueueDesc::new(128).priority(priority));
            Lane {
                queue: queue.expect("a queue"),
                signal: Fence::new(0),
                signalled: 0,
                closed: false,
            }
        });
        Program {
            file: File::open(path).expect("the manifest is there"),
            lanes,
            fence: Fence::new(0),
            fence_target: 0,
            event: Event::new().expect("a descriptor"),
            statuses: StatusArray::new(STATUSES, None),
            buffers: Vec::new(),
            runtime,
        }
    }

    fn request(&mut self, number: u8, compression: Compression) -> Request {
        let mut buffer = Buffer::new(usize::from(number) + 1);
        let bytes = buffer.len() as u32;
        let offset = u64::from(number) * 8;
        let request = Request::read(&self.file, offset, bytes, buffer.lend().expect("new"));
        self.buffers.push(buffer);
        let request = request.tagged(u64::from(number));
        if compression == Compression::NONE {
            request
        } else {
            request.compressed(compression, bytes)
        }
    }

    fn call(&mut self, lane: usize, call: u8, number: u8) {
        let value = u64::from(number);
        if call <= 6 {
            self.enqueue_request(lane, call, number);
        }
        let Lane {
            queue,
            signal,
            signalled,
            closed,
        } = &mut self.lanes[lane];
        match call {
            0..=6 => {}
            7 => queue.enqueue_status(Some(&self.statuses), u32::from(number) % (STATUSES + 1)),
            8 => {
                *signalled += 1;
                queue.enqueue_signal(Some(signal), *signalled);
            }
            9 => queue.enqueue_set_event(Some(&self.event)),
            10 => queue.submit(),
            11 => queue.cancel_requests_with_tag(value & 7, value >> 5),
            12 => drop(self.runtime.turn()),
            13 if number > 250 => {
                queue.close();
                *closed = true;
            }
            14 => drop(queue.retrieve_error_record()),
            _ => self.fence.signal(self.fence.value().max(value)),
        }
        // A full queue of requests behind a fence would wait for this very thread.
        if self.lanes[lane].queue.query().empty_slots < 8 {
            self.fence.signal(self.fence_target.max(self.fence.value()));
        }
    }

    fn enqueue_request(&mut self, lane: usize, call: u8, number: u8) {
        let compression = match call {
            4 => Compression::GDEFLATE,
            5 => Compression(3),
            _ => Compression::NONE,
        };
        let request = self.request(number, compression);
        let queue = &self.lanes[lane].queue;
        if call == 6 {
            let value = u64::from(number);
            self.fence_target = self.fence_target.max(value);
            queue.enqueue_requests([request], Some((&self.fence, value)), FenceWait::default());
        } else {
            queue.enqueue_request(request);
        }
    }

    fn finish(mut self) {
        self.fence.signal(self.fence_target.max(self.fence.value()));
        for lane in &self.lanes {
            lane.queue.submit();
        }
        while self.runtime.turn() {}
        for lane in &self.lanes {
            let stats = lane.queue.stats();
            let ended = stats.requests_completed + stats.requests_failed + stats.requests_cancelled;
            assert_eq!((stats.requests_enqueued, stats.depth), (ended, 0));
            assert!(
                lane.closed || lane.signal.value() == lane.signalled,
                "a signal was lost"
            );
        }
        assert!(self.buffers.iter_mut().all(|buffer| !buffer.is_lent()));
        assert_eq!(self.runtime.staging_stats().bytes_in_use, 0);
    }
}
