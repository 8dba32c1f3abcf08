//! What the engine does where the kernel, a container or a limit says no: it works all the same, and says
//! why, once.

#![forbid(unsafe_code)]

use ds_core::{Backend, Compression, Config, Error, File, FileMode, QueueDesc, Request, Runtime};

use crate::rig::{Known, Part};
use crate::support::child::{self, Start};
use crate::support::contents::{Guarded, Random, contents, finish_well, stream_of};
use crate::support::kernel::{become_nobody, end_at_calls, limit, refuse_calls};

/// With all that a person could read.
const LOGGED: Start = Start {
    launcher: &[],
    log: Some("info"),
};

fn config(backend: Backend, mode: FileMode) -> Config {
    let mut config = Config::default();
    config.backend = backend;
    config.file_mode = mode;
    config.io_threads = 2;
    config
}

/// A file, and a tile stream of the same contents.
struct Files {
    plain: Known,
    stream: Known,
}

impl Files {
    fn new() -> Files {
        let (plain, stream) = (Known::new("fallback", 900_001), Known::new("packed", 1));
        std::fs::write(&stream.path, stream_of(&plain.contents)).unwrap();
        Files { plain, stream }
    }

    /// Reads everything a few times; more often than it takes a ring to register a file.
    fn read(&self, runtime: &Runtime, what: &str) {
        let queue = runtime.create_queue(QueueDesc::new(256)).unwrap();
        let (file, stream) = (self.plain.open(), self.stream.open());
        let mut random = Random::new(3);
        for _ in 0..6 {
            let mut parts: Vec<_> = (0..30)
                .map(|_| Part::random(&mut random, self.plain.contents.len(), 200_000))
                .collect();
            for part in &mut parts {
                queue.enqueue_request(part.request(&file));
            }
            let mut unpacked = Guarded::new(self.plain.contents.len(), 3);
            let bytes = stream.bytes().unwrap() as u32;
            let request = Request::read(&stream, 0, bytes, unpacked.lend());
            let plain_bytes = self.plain.contents.len() as u32;
            queue.enqueue_request(request.compressed(Compression::GDEFLATE, plain_bytes));
            finish_well(&queue, what);
            for part in &mut parts {
                part.expect(&self.plain.contents, what);
            }
            unpacked.expect(&self.plain.contents, what);
        }
    }

    /// In every mode.
    fn read_in_all_modes(&self, backend: Backend) {
        for mode in FileMode::ALL {
            let runtime = Runtime::exactly(config(backend, mode)).unwrap();
            self.read(&runtime, mode.name());
        }
    }
}

/// How often a line of the log has this in it.
fn count(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

fn refused(test: &str, errno: i32, cause: &str, cure: &str) {
    let log = child::run(test, LOGGED, || {
        ds_core::logger::init_from_environment();
        refuse_calls(&[libc::SYS_io_uring_setup], errno);
        let files = Files::new();
        let asked = Runtime::new(config(Backend::IoUring, FileMode::Auto)).unwrap();
        let choice = asked.backend();
        assert_eq!(choice.backend, Backend::Cpu);
        assert!(
            choice.reason.contains(cause) && choice.reason.contains(cure),
            "{}",
            choice.reason
        );
        files.read(&asked, "io_uring asked for");
        drop(asked);
        eprintln!("-- automatic");
        let automatic = Runtime::new(config(Backend::Auto, FileMode::Auto)).unwrap();
        assert_eq!(automatic.backend().backend, Backend::Cpu);
        files.read(&automatic, "automatic");
        files.read_in_all_modes(Backend::Cpu);
    });
    if let Some(log) = log {
        let (asked, _) = log.split_once("-- automatic").expect("it got there");
        let said = |level: &str| {
            let lines = asked.lines().filter(|line| line.contains(level));
            count(&lines.collect::<Vec<_>>().join("\n"), cause)
        };
        let (warnings, notes) = (said(" warn: "), said(" info: "));
        assert!(warnings <= 1 && notes <= 1, "no level says it twice: {log}");
        assert!(warnings + notes > 0, "and one says it: {log}");
    }
}

#[test]
fn a_filter_that_forbids_rings() {
    refused(
        "fallback::a_filter_that_forbids_rings",
        libc::EPERM,
        "a seccomp filter forbids it",
        "allow io_uring_setup",
    );
}

#[test]
fn a_filter_that_hides_rings() {
    refused(
        "fallback::a_filter_that_hides_rings",
        libc::ENOSYS,
        "a sandbox hides it",
        "without a filter has it",
    );
}

/// Some sandboxes end a program that asks for a ring. A game must not find out that way.
#[test]
fn a_filter_that_ends_who_asks() {
    child::run("fallback::a_filter_that_ends_who_asks", LOGGED, || {
        ds_core::logger::init_from_environment();
        end_at_calls(&[libc::SYS_io_uring_setup]);
        let files = Files::new();
        for backend in [Backend::Auto, Backend::IoUring] {
            let runtime = Runtime::new(config(backend, FileMode::Auto)).unwrap();
            let choice = runtime.backend();
            assert_eq!(choice.backend, Backend::Cpu);
            let why = "a seccomp filter ends processes that call io_uring_setup";
            assert!(choice.reason.contains(why), "{}", choice.reason);
            files.read(&runtime, "in a strict sandbox");
        }
    });
}

/// Whether there are rings here; if not, says that the test was skipped.
fn have_rings() -> bool {
    let why = Backend::IoUring.unavailable();
    if let Some(why) = why {
        println!("SKIPPED: io_uring: {why}");
    }
    why.is_none()
}

/// It forbids what a ring needs only after a ring was made.
#[test]
fn a_filter_that_forbids_entering_rings() {
    child::run(
        "fallback::a_filter_that_forbids_entering_rings",
        LOGGED,
        || {
            refuse_calls(&[libc::SYS_io_uring_enter], libc::EPERM);
            let runtime = Runtime::new(config(Backend::IoUring, FileMode::Auto)).unwrap();
            assert_eq!(runtime.backend().backend, Backend::Cpu);
            Files::new().read(&runtime, "cannot enter");
        },
    );
}

#[test]
fn a_filter_that_comes_later() {
    let test = "fallback::a_filter_that_comes_later";
    let log = child::run(test, LOGGED, || {
        if !have_rings() {
            return;
        }
        ds_core::logger::init_from_environment();
        refuse_calls(&[libc::SYS_io_uring_setup], libc::EPERM);
        let files = Files::new();
        let runtime = Runtime::new(config(Backend::IoUring, FileMode::Direct)).unwrap();
        files.read(&runtime, "no ring after all");
        drop(runtime);
        eprintln!("-- the rest");
        files.read_in_all_modes(Backend::IoUring);
    });
    if let Some((first, _)) = log.as_deref().and_then(|log| log.split_once("-- the rest")) {
        assert_eq!(
            count(first, "no ring for I/O thread"),
            2,
            "one a thread: {first}"
        );
    }
}

#[test]
fn a_limit_on_locked_memory() {
    let test = "fallback::a_limit_on_locked_memory";
    let log = child::run(test, LOGGED, || {
        if !have_rings() {
            return;
        }
        ds_core::logger::init_from_environment();
        let files = Files::new();
        let mut direct = config(Backend::IoUring, FileMode::Direct);
        direct.io_threads = 1;
        let file = File::open(&files.plain.path).unwrap();
        let explained = file.explain_mode(FileMode::Direct).unwrap();
        let runtime = Runtime::new(direct.clone()).unwrap();
        files.read(&runtime, "no limit");
        let before = runtime.io_stats().registered_buffers;
        drop(runtime);
        eprintln!("-- limited");
        limit(libc::RLIMIT_MEMLOCK, 64 << 10);
        become_nobody();
        let runtime = Runtime::new(direct).unwrap();
        files.read(&runtime, "64 KiB");
        assert_eq!(runtime.io_stats().registered_buffers, 0);
        println!("without a limit {before} reads into registered memory ({explained})");
        drop(runtime);
        eprintln!("-- the rest");
        files.read_in_all_modes(Backend::IoUring);
        if explained.starts_with("direct") {
            assert!(before > 0, "the test can tell the difference");
            eprintln!("-- staging was used");
        }
    });
    let Some(log) = log.filter(|log| log.contains("-- staging was used")) else {
        return;
    };
    let (_, limited) = log.split_once("-- limited").expect("it got there");
    let (limited, _) = limited.split_once("-- the rest").expect("it got there");
    let said = count(limited, "ulimit -l");
    assert_eq!(said, 1, "once, with the cure: {limited}");
}

#[test]
fn a_limit_on_descriptors() {
    child::run("fallback::a_limit_on_descriptors", LOGGED, || {
        if !have_rings() {
            return;
        }
        let files = Files::new();
        let one = || {
            let mut config = config(Backend::IoUring, FileMode::Auto);
            config.io_threads = 1;
            Runtime::exactly(config).unwrap()
        };
        let runtime = one();
        files.read(&runtime, "no limit");
        assert!(runtime.io_stats().registered_files > 0, "the test can tell");
        drop(runtime);
        limit(libc::RLIMIT_NOFILE, 32);
        let runtime = one();
        assert_eq!(runtime.backend().backend, Backend::IoUring);
        files.read(&runtime, "32 descriptors");
        assert_eq!(runtime.io_stats().registered_files, 0);
        run_out(&runtime, &files);
    });
}

/// Opens files until there are no descriptors left: an error, and no harm to what is open.
fn run_out(runtime: &Runtime, files: &Files) {
    let queue = runtime.create_queue(QueueDesc::new(128)).unwrap();
    let mut open = Vec::new();
    let error = loop {
        match File::open(&files.plain.path) {
            Ok(file) => open.push(file),
            Err(error) => break error,
        }
        assert!(open.len() < 40, "the limit has no effect");
    };
    assert_eq!(error, Error::Os(libc::EMFILE));
    assert!(runtime.create_queue(QueueDesc::new(128)).is_err());
    assert!(Runtime::exactly(config(Backend::Cpu, FileMode::Auto)).is_ok());
    let known = contents(
        files.plain.contents.len() as u64,
        files.plain.contents.len(),
    );
    for mode in FileMode::ALL {
        assert!(!open[0].explain_mode(mode).unwrap().is_empty());
    }
    for file in &open {
        let mut buffer = Guarded::new(known.len(), 0);
        queue.enqueue_request(Request::read(file, 0, known.len() as u32, buffer.lend()));
        finish_well(&queue, "no descriptors left");
        buffer.expect(&known, "no descriptors left");
    }
}
