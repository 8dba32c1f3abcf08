//! The file that all sides read: where it is, what it lies on, and whether it is in memory.
//!
//! Owns the sample if there is no other file; it is gone when this is dropped.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{IoSliceMut, Write};
use std::path::{Path, PathBuf};

use ds_tool::{Error, Result};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::super::WHAT;
use crate::ui;

/// More than any cache of a processor, and a second's work for a fast disk.
const SAMPLE_BYTES: u64 = 1 << 30;
/// The part of a larger file that is read: the order of requests is kept in memory.
const SPAN_BYTES_MAX: u64 = 4 << 30;
/// Bytes to move at once.
const STEP_BYTES: usize = 1 << 20;

/// What to say where nothing can be cold.
pub(in super::super) const NEVER_COLD: &str =
    "the file stays in memory whatever is done; one on a disk would go (--dir, --file)";

/// See the file's head.
pub(in super::super) struct Subject {
    path: PathBuf,
    file: fs::File,
    span_bytes: u64,
    /// Holds our own sample.
    _folder: Option<tempfile::TempDir>,
}

impl Subject {
    /// `file`, or a sample in `folder`, or one in the folder for temporary files.
    pub(in super::super) fn open(file: Option<&Path>, folder: Option<&Path>) -> Result<Subject> {
        Subject::open_sized(file, folder, SAMPLE_BYTES)
    }

    /// The same with a size for the sample, in bytes.
    pub(in super::super) fn open_sized(
        file: Option<&Path>,
        folder: Option<&Path>,
        sample_bytes: u64,
    ) -> Result<Subject> {
        let mut own = None;
        let path = match file {
            Some(file) => file.to_owned(),
            None => {
                let temporary = std::env::temp_dir();
                let folder = own.insert(folder_in(folder.unwrap_or(&temporary))?);
                write_sample(folder.path(), sample_bytes)?
            }
        };
        let failed = |error: std::io::Error| Error::new(WHAT, &path, error);
        // fio is told where by its full name: it does not share this process's idea of the folder.
        let path = path.canonicalize().map_err(failed)?;
        let file = fs::File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Error::new(WHAT, path, "not a regular file"));
        }
        Ok(Subject {
            path,
            file,
            span_bytes: metadata.len().min(SPAN_BYTES_MAX),
            _folder: own,
        })
    }

    pub(in super::super) fn path(&self) -> &Path {
        &self.path
    }

    /// How much of the file is read, in bytes.
    pub(in super::super) fn span_bytes(&self) -> u64 {
        self.span_bytes
    }

    /// Drops the file from the page cache, as far as the kernel follows the advice (not on tmpfs).
    pub(in super::super) fn evict(&self) -> Result<()> {
        // Dirty pages would stay.
        self.file.sync_all().map_err(|error| self.failed(error))?;
        self.evict_part(0, u64::MAX)
    }

    /// The same for a part of a file that nobody writes; `u64::MAX` is to its end.
    pub(in super::super) fn evict_part(&self, offset: u64, bytes: u64) -> Result<()> {
        let bytes = std::num::NonZeroU64::new(bytes).filter(|bytes| bytes.get() < u64::MAX);
        let advice = rustix::fs::fadvise(&self.file, offset, bytes, rustix::fs::Advice::DontNeed);
        advice.map_err(|errno| self.failed(errno.into()))
    }

    /// Makes sure that everything is in the page cache. A file system that cannot tell (tmpfs knows no reads
    /// that do not wait) is believed.
    pub(in super::super) fn warm(&self) -> Result<()> {
        // Pages that somebody else has just locked count as absent, so one look is not enough.
        const LOOKS: u32 = 5;
        let mut resident_bytes = 0;
        for _ in 0..LOOKS {
            let read = self.read_all(ReadWriteFlags::NOWAIT);
            let told = read != Err(Errno::OPNOTSUPP);
            if told {
                resident_bytes = read.map_err(|errno| self.failed(errno.into()))?;
            }
            if resident_bytes == self.span_bytes {
                return Ok(());
            }
            let read = self.read_all(ReadWriteFlags::empty());
            read.map_err(|errno| self.failed(errno.into()))?;
            if !told {
                return Ok(());
            }
        }
        let why = format!(
            "{} of {} do not stay in the page cache",
            ui::bytes(self.span_bytes - resident_bytes),
            ui::bytes(self.span_bytes)
        );
        Err(Error::new(WHAT, &self.path, why).cure("choose a smaller --file, or free memory"))
    }

    /// Whether evicting works: the file is dropped, and then a little of it must come from the disk. Asking
    /// for absent pages in a way that does not wait would not do, since that has them read ahead.
    pub(in super::super) fn can_be_cold(&self) -> Result<bool> {
        self.evict()?;
        let before = fetched_bytes();
        let mut buffer = [0; 4096];
        let parts = &mut [IoSliceMut::new(&mut buffer)];
        preadv2(&self.file, parts, 0, ReadWriteFlags::empty())
            .map_err(|errno| self.failed(errno.into()))?;
        let after = fetched_bytes();
        self.evict()?;
        // A kernel that does not count is believed.
        Ok(before.is_none() || after > before)
    }

    /// Reads the span with `flags`; answers how many bytes there were. Pages that would have to be waited
    /// for are passed over.
    fn read_all(&self, flags: ReadWriteFlags) -> std::result::Result<u64, Errno> {
        const PAGE_BYTES: u64 = 4096;
        let mut buffer = vec![0; STEP_BYTES];
        let (mut at, mut found) = (0, 0);
        while at < self.span_bytes {
            let part = (self.span_bytes - at).min(STEP_BYTES as u64) as usize;
            let parts = &mut [IoSliceMut::new(&mut buffer[..part])];
            match preadv2(&self.file, parts, at, flags) {
                Ok(0) => break,
                Ok(bytes) => {
                    at += bytes as u64;
                    found += bytes as u64;
                }
                Err(Errno::AGAIN) => at = (at / PAGE_BYTES + 1) * PAGE_BYTES,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(found)
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::new(WHAT, &self.path, error)
    }

    /// `F, 1.00 GiB, ext4 (/dev/sda1)`.
    pub(in super::super) fn describe(&self) -> String {
        let size = ui::bytes(self.span_bytes);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let (kind, device) = file_system(&mounts, &self.path).unwrap_or(("unknown", "unknown"));
        let path = ds_tool::error::Shown(&self.path);
        format!("{path}, {size}, file system {kind} on {device}")
    }
}

/// How much this process has had fetched from storage, in bytes, where the kernel counts that.
fn fetched_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix("read_bytes:"))?;
    number.trim().parse().ok()
}

/// Type and device of the file system that `path` is on, from a table of mounts. The last of the longest
/// mount points covers the others.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<(&'a str, &'a str)> {
    let lines = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, point, kind) = (words.next()?, words.next()?, words.next()?);
        // Blanks are the only octal escapes that ordinary mount points need.
        let point = point.replace("\\040", " ");
        path.starts_with(&point)
            .then_some((point.len(), kind, device))
    });
    lines
        .max_by_key(|&(length, ..)| length)
        .map(|(_, kind, device)| (kind, device))
}

/// Kernel, processor and cores, in one line.
pub(in super::super) fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = ui::count(ui::cores() as u64, "core");
    format!("Linux {}, {name}, {cores}", kernel.trim())
}

fn folder_in(folder: &Path) -> Result<tempfile::TempDir> {
    let made = tempfile::Builder::new()
        .prefix("ds-bench-")
        .tempdir_in(folder);
    made.map_err(|error| {
        Error::new(WHAT, folder, ds_tool::error::reason(&error))
            .cure("name a folder with room with --dir")
    })
}

/// Noise: nothing below can make it smaller, or find out that a part of it is zeros.
fn write_sample(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join("sample");
    let failed = |error: std::io::Error| Error::new(WHAT, &path, error);
    let mut file = fs::File::create(&path).map_err(failed)?;
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut step = vec![0; STEP_BYTES];
    for _ in 0..bytes.div_ceil(STEP_BYTES as u64) {
        for word in step.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&step).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /data xfs rw 0 0\ntmpfs /data/a\\040b tmpfs rw 0 0\n\
                      none /data/a\\040b ramfs rw 0 0\nshort\n";
        for (path, expected) in [
            ("/etc/x", ("ext4", "/dev/a")),
            ("/data/x", ("xfs", "/dev/b")),
            ("/datas", ("ext4", "/dev/a")),
            ("/data/a b/c", ("ramfs", "none")),
        ] {
            assert_eq!(
                file_system(mounts, Path::new(path)),
                Some(expected),
                "{path}"
            );
        }
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn a_sample_is_as_large_as_asked_and_gets_warm() {
        let subject = Subject::open_sized(None, None, 3 << 20).unwrap();
        assert_eq!(subject.span_bytes(), 3 << 20);
        subject.evict().unwrap();
        subject.warm().unwrap();
        let resident_bytes = subject.read_all(ReadWriteFlags::NOWAIT).unwrap();
        assert_eq!(resident_bytes, subject.span_bytes());
    }

    #[test]
    fn memory_is_never_cold() {
        let memory = Path::new("/dev/shm");
        let Ok(subject) = Subject::open_sized(None, Some(memory), 1 << 20) else {
            return println!("SKIPPED: there is no /dev/shm to write to");
        };
        assert!(!subject.can_be_cold().unwrap());
        subject.warm().unwrap();
    }

    #[test]
    fn a_folder_is_no_subject() {
        let error = Subject::open(Some(Path::new("/")), None).err().unwrap();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
}
