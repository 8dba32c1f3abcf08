//! Reads of one folder in every way, every byte checked.

#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ds_core::{
    Backend, Buffer, Compression, Config, File, FileMode, Queue, QueueDesc, Request, Runtime,
};

use crate::support::contents::{
    Guarded, Random, assert_same, contents, finish_well, stream_of, wait_until,
};
use crate::support::kernel::forget_cached;

/// What a file system must allow; all must allow reading.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Expected {
    /// Reads past the page cache.
    direct: bool,
    /// No reads that the page cache forgets, and so they must not be promised.
    no_dontcache: bool,
}

impl Expected {
    pub(crate) const DIRECT: Expected = Expected {
        direct: true,
        no_dontcache: false,
    };
    pub(crate) const NO_DONTCACHE: Expected = Expected {
        direct: false,
        no_dontcache: true,
    };
}

/// Sizes around every boundary there is.
const SIZES: [usize; 10] = [
    1, 511, 512, 4095, 4096, 4097, 65_536, 131_073, 1_000_003, 5_000_011,
];
/// Where the tile stream begins in its file.
const STREAM_OFFSET: usize = 777;
const STREAM_CONTENTS_BYTES: usize = 700_001;
/// What is written into the file that is larger than the page cache may get.
const ISLAND_BYTES: usize = 300_000;

/// A file and what it holds.
struct Known {
    path: PathBuf,
    contents: Vec<u8>,
}

/// One runtime's setting.
#[derive(Clone, Copy, Debug)]
struct Setting {
    backend: Backend,
    mode: FileMode,
    faults: bool,
}

impl Setting {
    fn all() -> Vec<Setting> {
        let mut backends = vec![Backend::Cpu];
        match Backend::IoUring.unavailable() {
            None => backends.push(Backend::IoUring),
            Some(why) => println!("SKIPPED: io_uring: {why}"),
        }
        let mut all = Vec::new();
        for backend in backends {
            for mode in FileMode::ALL {
                for faults in [false, true] {
                    all.push(Setting {
                        backend,
                        mode,
                        faults,
                    });
                }
            }
        }
        all
    }

    fn runtime(self, seed: u64) -> Runtime {
        let mut config = Config::default();
        config.backend = self.backend;
        config.file_mode = self.mode;
        config.io_faults = self.faults;
        config.sim.seed = seed;
        // Less than some windows need: those must do without.
        config.staging_bytes = 2 << 20;
        let runtime = Runtime::exactly(config).expect("threads");
        assert_eq!(runtime.backend().backend, self.backend);
        runtime
    }
}

/// Writes files into `folder` and reads them in every way.
pub(crate) fn read_everything(folder: &Path, name: &str, expected: Expected) {
    let files = write_files(folder);
    let stream = write_stream(folder);
    let islands = write_islands(folder);
    say_how(&files, name, expected);
    for (seed, setting) in (1..).zip(Setting::all()) {
        let what = format!("{name}: {setting:?}");
        let runtime = setting.runtime(seed);
        let queue = runtime.create_queue(QueueDesc::new(128)).expect("a queue");
        let mut random = Random::new(seed);
        for known in &files {
            forget_cached(&known.path);
            read_file(&queue, known, &mut random, &what);
        }
        forget_cached(&stream.path);
        read_stream(&queue, &stream, &what);
        if let Some(islands) = &islands {
            forget_cached(&islands.path);
            read_islands(&queue, islands, &what);
        }
        write_and_read(&runtime, &queue, folder, &what);
        if expected.direct && setting.mode == FileMode::Direct {
            wait_until("the count of direct reads", || {
                runtime.io_stats().direct > 0
            });
        }
    }
}

fn write_files(folder: &Path) -> Vec<Known> {
    let known = |(seed, bytes): (u64, usize)| {
        let path = folder.join(format!("file-{bytes}"));
        let contents = contents(seed, bytes);
        fs::write(&path, &contents).expect("room for the file");
        Known { path, contents }
    };
    (1..).zip(SIZES).map(known).collect()
}

/// A tile stream at an odd place of its file.
fn write_stream(folder: &Path) -> Known {
    let contents = contents(99, STREAM_CONTENTS_BYTES);
    let path = folder.join("stream");
    let mut file = vec![b'x'; STREAM_OFFSET];
    file.extend(stream_of(&contents));
    file.extend([b'y'; 5]);
    fs::write(&path, file).expect("room for the file");
    Known { path, contents }
}

/// A file as large as memory, nearly all of it a hole: what `auto` does not let into the page cache.
/// Contents at its beginning and at its end. Some file systems have no holes or no room for them.
fn write_islands(folder: &Path) -> Option<Known> {
    let path = folder.join("islands");
    let contents = contents(98, ISLAND_BYTES);
    let file = fs::File::create(&path).expect("room for a file");
    let bytes = memory_bytes();
    let written = file
        .write_all_at(&contents, 0)
        .and_then(|()| file.write_all_at(&contents, bytes - ISLAND_BYTES as u64));
    if let Err(error) = written {
        println!("without a file as large as memory: {error}");
        return None;
    }
    Some(Known { path, contents })
}

fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").expect("/proc is mounted");
    let line = text.lines().find(|line| line.starts_with("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.expect("MemTotal is always there") << 10
}

/// Every mode is explained, and those that must work do.
fn say_how(files: &[Known], name: &str, expected: Expected) {
    let large = files.last().expect("there are files");
    let file = File::open(&large.path).expect("just written");
    for mode in FileMode::ALL {
        let explained = file.explain_mode(mode).expect("it is open");
        println!("{name}: {}: {explained}", mode.name());
        assert!(!explained.is_empty());
    }
    let direct = file.explain_mode(FileMode::Direct).expect("it is open");
    assert!(
        !expected.direct || direct.starts_with("direct:"),
        "{name}: {direct}"
    );
    let dontcache = file.explain_mode(FileMode::DontCache).expect("it is open");
    assert!(
        !expected.no_dontcache || dontcache.starts_with("buffered:"),
        "{name}: {dontcache}"
    );
}

/// Offset, length, and how far the destination is behind a page's beginning.
type Wish = (usize, usize, usize);

/// The whole, both ends, and random parts of a file of `size` bytes.
fn wishes(size: usize, random: &mut Random) -> Vec<Wish> {
    let mut wishes = vec![
        (0, size, 0),
        (0, size, 1),
        (0, 1, 0),
        (size - 1, 1, 0),
        (size / 2, size - size / 2, 512),
    ];
    for last in [512, 4096, 4097] {
        wishes.push((size.saturating_sub(last), last.min(size), 0));
    }
    for _ in 0..10 {
        let unit = random.pick(&[1, 512, 1024, 4096]);
        let (offset, bytes) = (random.below(size as u64), random.below(size as u64));
        let offset = offset as usize / unit * unit;
        let bytes = (bytes as usize).next_multiple_of(unit).max(1);
        wishes.push((
            offset,
            bytes.min(size - offset),
            random.pick(&[0, 0, 1, 8, 512, 4095]),
        ));
    }
    wishes
}

fn read_file(queue: &Queue, known: &Known, random: &mut Random, what: &str) {
    let file = File::open(&known.path).expect("just written");
    let direct = file.explain_mode(FileMode::Direct).expect("it is open");
    let wishes = wishes(known.contents.len(), random);
    let mut buffers: Vec<_> = wishes
        .iter()
        .map(|&(_, bytes, shift)| Guarded::new(bytes, shift))
        .collect();
    for (&(offset, bytes, _), buffer) in wishes.iter().zip(&mut buffers) {
        let request = Request::read(&file, offset as u64, bytes as u32, buffer.lend());
        queue.enqueue_request(request);
    }
    finish_well(queue, what);
    for (&(offset, bytes, shift), buffer) in wishes.iter().zip(&mut buffers) {
        let what = format!(
            "{what}: {bytes} bytes at {offset} to +{shift} of {:?}",
            known.path
        );
        buffer.expect(&known.contents[offset..offset + bytes], &what);
    }
    // A read that the engine aligned badly would be refused, and then hidden by the fallback.
    let after = file.explain_mode(FileMode::Direct).expect("it is open");
    assert_eq!(direct, after, "{what}: after the reads of {:?}", known.path);
}

fn read_stream(queue: &Queue, known: &Known, what: &str) {
    let file = File::open(&known.path).expect("just written");
    let bytes = fs::metadata(&known.path).expect("just written").len() as usize - STREAM_OFFSET - 5;
    let mut buffers: Vec<_> = [0, 1, 4095]
        .map(|shift| Guarded::new(STREAM_CONTENTS_BYTES, shift))
        .into();
    for buffer in &mut buffers {
        let request = Request::read(&file, STREAM_OFFSET as u64, bytes as u32, buffer.lend());
        queue.enqueue_request(
            request.compressed(Compression::GDEFLATE, STREAM_CONTENTS_BYTES as u32),
        );
    }
    finish_well(queue, what);
    for buffer in &mut buffers {
        buffer.expect(&known.contents, &format!("{what}: tile stream"));
    }
}

fn read_islands(queue: &Queue, known: &Known, what: &str) {
    let file = File::open(&known.path).expect("just written");
    let why = file.explain_mode(FileMode::Auto).expect("it is open");
    assert!(why.contains("over half of"), "{what}: {why}");
    let end = file.bytes().expect("it is open") - ISLAND_BYTES as u64;
    // Whole islands (large requests, twice: first not in the page cache, then perhaps), and parts.
    let wishes = [
        (0, 0, ISLAND_BYTES),
        (end, 0, ISLAND_BYTES),
        (0, 0, ISLAND_BYTES),
        (end + 4095, 4095, 200_000),
        (end + 1, 1, 3),
    ];
    for (offset, at, bytes) in wishes {
        let mut buffer = Guarded::new(bytes, at % 512);
        queue.enqueue_request(Request::read(&file, offset, bytes as u32, buffer.lend()));
        finish_well(queue, what);
        buffer.expect(
            &known.contents[at..at + bytes],
            &format!("{what}: at {offset}"),
        );
    }
    let mut hole = Guarded::new(200_000, 0);
    queue.enqueue_request(Request::read(&file, 123_456_789, 200_000, hole.lend()));
    finish_well(queue, what);
    hole.expect(&vec![0; 200_000], &format!("{what}: a hole"));
}

/// Writes through the engine in odd pieces, and reads the file back at once.
fn write_and_read(runtime: &Runtime, queue: &Queue, folder: &Path, what: &str) {
    let path = folder.join("written");
    let file = File::create(&path).expect("room for a file");
    let known = contents(97, 300_007);
    let source = Buffer::from_slice(&known)
        .into_source()
        .expect("a new buffer is not lent");
    let writer = runtime
        .create_queue(QueueDesc::new(128).memory())
        .expect("a queue");
    for offset in (0..known.len()).step_by(7001) {
        let part = source.part(offset, 7001.min(known.len() - offset));
        let part = part.expect("inside");
        writer.enqueue_request(Request::write(part, &file, offset as u64));
    }
    finish_well(&writer, what);
    let mut buffer = Guarded::new(known.len(), 0);
    queue.enqueue_request(Request::read(&file, 0, known.len() as u32, buffer.lend()));
    finish_well(queue, what);
    buffer.expect(&known, &format!("{what}: what was written"));
    assert_same(&fs::read(&path).expect("written"), &known, what);
    fs::remove_file(&path).expect("written");
}
