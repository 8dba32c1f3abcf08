//! What the bodies stand on: a runtime of some backend, files with known contents, and waiting that
//! also turns the simulation.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ds_core::gdeflate::Codec;
use ds_core::gdeflate::encode::Level;
use ds_core::{
    Backend, Buffer, Config, Error, Fence, File, FileMode, ForeignCopy, ForeignTask, Queue,
    QueueDesc, Request, Runtime, S_OK, StatusArray,
};

/// How many seeds a body runs with, unless `DS_SEEDS` says otherwise.
const SEEDS: u64 = 1000;
/// The same for real backends with faults.
const FAULTY_SEEDS: u64 = 24;
/// Longer than anything takes; a body that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A runtime under test.
pub(crate) struct Rig {
    pub(crate) runtime: Runtime,
    pub(crate) seed: u64,
}

/// Makes a test of `$body` for each backend.
#[macro_export]
macro_rules! semantic_tests {
    ($($(#[$doc:meta])* $body:ident;)*) => { $(
        mod $body {
            #[test]
            fn cpu() {
                $crate::rig::over_cpu(super::$body);
            }
            #[test]
            fn io_uring() {
                $crate::rig::over_io_uring(super::$body);
            }
            #[test]
            fn vulkan() {
                $crate::rig::over_vulkan(super::$body);
            }
            #[test]
            fn sim() {
                $crate::rig::over_sim(super::$body);
            }
            #[test]
            fn faulty() {
                $crate::rig::over_faulty(super::$body);
            }
        }
    )* };
}

pub(crate) fn config(backend: Backend) -> Config {
    let mut config = Config::default();
    config.backend = backend;
    config.staging_bytes = 1 << 20;
    config
}

pub(crate) fn over_cpu(body: fn(&Rig)) {
    over_cpu_with(config(Backend::Cpu), body);
}

pub(crate) fn over_io_uring(body: fn(&Rig)) {
    if let Some(why) = Backend::IoUring.unavailable() {
        println!("SKIPPED: no io_uring here: {why}");
        return;
    }
    over_cpu_with(config(Backend::IoUring), body);
}

/// The queue has a device then, which host destinations must not notice; what reaches the GPU is tested
/// in `tests/gpu`.
pub(crate) fn over_vulkan(body: fn(&Rig)) {
    if let Some(why) = Backend::Vulkan.unavailable() {
        println!("SKIPPED: no Vulkan here: {why}");
        return;
    }
    over_cpu_with(config(Backend::Vulkan), body);
}

/// Real backends and every way to read a file, with faults between them and the engine.
pub(crate) fn over_faulty(body: fn(&Rig)) {
    let ring = Backend::IoUring.unavailable().is_none();
    for seed in seeds(FAULTY_SEEDS) {
        let _named = NameSeedOnPanic(seed);
        let backend = if ring && seed / 4 % 3 != 0 {
            Backend::IoUring
        } else {
            Backend::Cpu
        };
        let mut config = config(backend);
        config.io_faults = true;
        config.sim.seed = seed;
        config.file_mode = FileMode::ALL[seed as usize % FileMode::ALL.len()];
        config.io_threads = 1 + seed as u32 % 3;
        let runtime = Runtime::exactly(config).unwrap();
        body(&Rig { runtime, seed });
    }
}

pub(crate) fn over_cpu_with(config: Config, body: fn(&Rig)) {
    let asked = config.backend;
    let runtime = Runtime::exactly(config).unwrap();
    assert_eq!(
        runtime.backend().backend,
        asked,
        "{}",
        runtime.backend().reason
    );
    body(&Rig { runtime, seed: 0 });
}

pub(crate) fn over_sim(body: fn(&Rig)) {
    over_sim_with(config(Backend::Sim), body);
}

pub(crate) fn over_sim_with(config: Config, body: fn(&Rig)) {
    for seed in seeds(SEEDS) {
        let _named = NameSeedOnPanic(seed);
        let mut config = config.clone();
        config.sim.seed = seed;
        body(&Rig {
            runtime: Runtime::exactly(config).unwrap(),
            seed,
        });
    }
}

/// The seeds to run: `DS_SEED` alone, or the first `count`; `DS_SEEDS` replaces the simulation's number
/// and changes others in proportion.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("DS_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let share = number("DS_SEEDS").map_or(count, |seeds| seeds * count / SEEDS);
            1..1 + share.max(1)
        }
    }
}

struct NameSeedOnPanic(u64);

impl Drop for NameSeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nfailed with seed {0}; replay: DS_SEED={0}\n", self.0);
        }
    }
}

impl Rig {
    pub(crate) fn queue(&self) -> Queue {
        self.runtime.create_queue(QueueDesc::new(128)).unwrap()
    }

    pub(crate) fn memory_queue(&self) -> Queue {
        self.runtime
            .create_queue(QueueDesc::new(128).memory())
            .unwrap()
    }

    pub(crate) fn is_sim(&self) -> bool {
        self.runtime.backend().backend == Backend::Sim
    }

    /// Waits until `condition`, turning the simulation meanwhile.
    pub(crate) fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            if !self.runtime.turn() {
                std::thread::yield_now();
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        }
    }

    /// Waits for a status; answers its result.
    pub(crate) fn wait(&self, array: &StatusArray, index: u32) -> i32 {
        self.wait_until("a status", || array.is_complete(index));
        array.hresult(index)
    }

    /// Lets everything happen that would happen by itself.
    pub(crate) fn settle(&self) {
        if self.is_sim() {
            while self.runtime.turn() {}
        } else {
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Enqueues a status, submits and waits for it.
    pub(crate) fn finish(&self, queue: &Queue) -> i32 {
        let array = StatusArray::new(1, None);
        queue.enqueue_status(Some(&array), 0);
        queue.submit();
        self.wait(&array, 0)
    }

    /// One request through a queue of its own: its result.
    pub(crate) fn run(&self, queue: &Queue, request: Request) -> i32 {
        queue.enqueue_request(request);
        self.finish(queue)
    }

    pub(crate) fn wait_fence(&self, fence: &Fence, value: u64) {
        self.wait_until("a fence", || fence.value() >= value);
    }
}

/// Fetches copies for the host, which has nothing else to do.
pub(crate) fn fetch_copies(runtime: &Runtime, max: usize, out: &mut Vec<ForeignCopy>) -> usize {
    let mut tasks = Vec::new();
    let count = runtime.foreign_copies().fetch(max, &mut tasks);
    out.extend(tasks.iter().map(|task| match task {
        ForeignTask::Copy(copy) => *copy,
        other => panic!("nothing but copies was asked for, got {other:?}"),
    }));
    count
}

/// The code of an error, to compare with results.
pub(crate) fn code(error: Error) -> i32 {
    error.hresult()
}

pub(crate) fn assert_ok(result: i32) {
    assert_eq!(
        result,
        S_OK,
        "expected success, got {:#010X}",
        result.cast_unsigned()
    );
}

/// The known contents of the sample file, at `offset`.
pub(crate) fn sample_byte(offset: usize) -> u8 {
    let word = (offset as u64 / 8).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // Half noise, half zeros, so that it compresses and every position differs from its neighbours.
    if offset.is_multiple_of(2) {
        (word >> ((offset % 8) * 8)) as u8
    } else {
        0
    }
}

pub(crate) fn sample(offset: usize, bytes: usize) -> Vec<u8> {
    (offset..offset + bytes).map(sample_byte).collect()
}

pub(crate) const SAMPLE_BYTES: usize = 300_000;

/// Where a test's files are; cargo's own folder for them.
pub(crate) fn temporary(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("queue-{}-{name}", std::process::id()))
}

/// A file with the sample's contents.
pub(crate) fn sample_file() -> File {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let path = temporary("sample");
        std::fs::write(&path, sample(0, SAMPLE_BYTES)).unwrap();
        path
    });
    File::open(path).unwrap()
}

/// The sample as a tile stream, and a file with it.
pub(crate) fn sample_stream() -> &'static (Vec<u8>, PathBuf) {
    static STREAM: OnceLock<(Vec<u8>, PathBuf)> = OnceLock::new();
    STREAM.get_or_init(|| {
        let stream = Codec::new(1)
            .compress_to_vec(&sample(0, SAMPLE_BYTES), Level::FASTEST, None)
            .unwrap();
        let path = temporary("stream");
        std::fs::write(&path, &stream).unwrap();
        (stream, path)
    })
}

/// A buffer that says where nothing was written.
pub(crate) fn untouched(bytes: usize) -> Buffer {
    Buffer::from_slice(&vec![0xA5; bytes])
}

pub(crate) fn is_untouched(buffer: &mut Buffer) -> bool {
    buffer
        .bytes()
        .expect("given back")
        .iter()
        .all(|&byte| byte == 0xA5)
}
