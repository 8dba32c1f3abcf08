//! What the bodies stand on: settings to run under, a file with known contents, and requests whose results
//! are known one by one.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use ds_core::{
    Backend, Config, Error, Fence, FenceWait, File, FileMode, MemoryDestination, Priority, Queue,
    QueueDesc, Request, Runtime, StatusArray,
};

use crate::support::child::{self, Start};
use crate::support::contents::{Guarded, PATIENCE, Random, UNTOUCHED, contents};

/// A runtime under test.
pub(crate) struct Rig {
    pub(crate) runtime: Runtime,
    pub(crate) random: Random,
    pub(crate) what: String,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Rig {
        let what = format!(
            "{} {} {}",
            config.backend,
            config.file_mode.name(),
            if config.io_faults { "with faults" } else { "" }
        );
        let random = Random::new(config.sim.seed);
        let runtime = Runtime::exactly(config).expect("threads");
        Rig {
            runtime,
            random,
            what,
        }
    }

    pub(crate) fn queue(&self, capacity: u32) -> Queue {
        self.runtime
            .create_queue(QueueDesc::new(capacity).priority(Priority::Normal))
            .expect("descriptors are left")
    }
}

/// Whether a sanitizer makes everything slow: `DS_SEEDS` then asks for fewer runs.
fn is_in_a_hurry() -> bool {
    let seeds = std::env::var("DS_SEEDS").ok();
    seeds.is_some_and(|seeds| seeds.parse::<u64>().is_ok_and(|seeds| seeds < 100))
}

/// Both backends, every mode, with and without faults; in a hurry, every mode with one of the two.
pub(crate) fn configs() -> Vec<Config> {
    let mut all = Vec::new();
    for backend in [Backend::Cpu, Backend::IoUring] {
        if let Some(why) = backend.unavailable() {
            println!("SKIPPED: {backend}: {why}");
            continue;
        }
        for (index, mode) in FileMode::ALL.into_iter().enumerate() {
            for faults in [false, true] {
                if is_in_a_hurry() && faults == index.is_multiple_of(2) {
                    continue;
                }
                let mut config = Config::default();
                config.backend = backend;
                config.file_mode = mode;
                config.io_faults = faults;
                config.sim.seed = 1 + all.len() as u64;
                config.staging_bytes = 8 << 20;
                all.push(config);
            }
        }
    }
    all
}

/// Runs `body` under every setting, in a process of its own.
pub(crate) fn over_all(test: &str, body: fn(&mut Rig)) {
    child::run(test, Start::default(), || {
        for config in configs() {
            body(&mut Rig::new(config));
        }
    });
}

/// A file in cargo's folder for tests, removed when this goes.
pub(crate) struct Known {
    pub(crate) path: PathBuf,
    pub(crate) contents: Vec<u8>,
}

impl Known {
    pub(crate) fn new(name: &str, bytes: usize) -> Known {
        let name = format!("trouble-{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let contents = contents(bytes as u64, bytes);
        std::fs::write(&path, &contents).expect("room for the file");
        Known { path, contents }
    }

    pub(crate) fn open(&self) -> File {
        File::open(&self.path).expect("just written")
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        // A test may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Requests of one queue, each with a status of its own.
pub(crate) struct Each {
    statuses: StatusArray,
    len: u32,
}

impl Each {
    pub(crate) fn new(requests_max: u32) -> Each {
        Each {
            statuses: StatusArray::new(requests_max, None),
            len: 0,
        }
    }

    /// Enqueues a request, not submitted.
    pub(crate) fn enqueue(&mut self, queue: &Queue, request: Request) {
        queue.enqueue_request(request);
        queue.enqueue_status(Some(&self.statuses), self.len);
        self.len += 1;
    }

    /// The same, to start when the fence has reached 1.
    pub(crate) fn enqueue_behind(&mut self, queue: &Queue, request: Request, fence: &Fence) {
        queue.enqueue_requests([request], Some((fence, 1)), FenceWait::BeforeSourceAccess);
        queue.enqueue_status(Some(&self.statuses), self.len);
        self.len += 1;
    }

    /// The results, in order, when all are there.
    pub(crate) fn results(&self) -> Vec<i32> {
        let result = |index| self.statuses.wait(index, Some(PATIENCE));
        (0..self.len)
            .map(|index| result(index).unwrap_or_else(|| panic!("request {index} never ended")))
            .collect()
    }
}

/// A read of a part of a file, with where it goes.
pub(crate) struct Part {
    pub(crate) offset: usize,
    pub(crate) buffer: Guarded,
    pub(crate) bytes: usize,
}

impl Part {
    pub(crate) fn random(random: &mut Random, file_bytes: usize, bytes_max: usize) -> Part {
        let unit = random.pick(&[1, 4096]);
        let bytes = 1 + random.below(bytes_max as u64) as usize;
        let bytes = bytes.next_multiple_of(unit).min(file_bytes);
        let offset = random.below((file_bytes - bytes + 1) as u64) as usize / unit * unit;
        let shift = random.pick(&[0, 0, 7]);
        Part {
            offset,
            buffer: Guarded::new(bytes, shift),
            bytes,
        }
    }

    pub(crate) fn request(&mut self, file: &File) -> Request {
        let destination: MemoryDestination = self.buffer.lend();
        Request::read(file, self.offset as u64, self.bytes as u32, destination)
    }

    /// The bytes must be the file's.
    pub(crate) fn expect(&mut self, known: &[u8], what: &str) {
        let what = format!("{what}: {} bytes at {}", self.bytes, self.offset);
        self.buffer
            .expect(&known[self.offset..self.offset + self.bytes], &what);
    }

    /// Each byte must be the file's, or nobody's.
    pub(crate) fn expect_or_untouched(&mut self, known: &[u8], what: &str) {
        let known = &known[self.offset..self.offset + self.bytes];
        let mut bytes = self.buffer.bytes().iter().zip(known);
        assert!(
            bytes.all(|(found, known)| found == known || *found == UNTOUCHED),
            "{what}: {} bytes at {}: neither the file's nor untouched",
            self.bytes,
            self.offset
        );
    }
}

/// The code of an error, to compare with results.
pub(crate) fn code(error: Error) -> i32 {
    error.hresult()
}
