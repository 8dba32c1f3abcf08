//! `File`: what requests read and write.
//!
//! Owns a descriptor until it is closed or forgotten. Closing is prompt (games rely on it to write
//! files that they streamed from) and safe: an operation in flight keeps the descriptor for itself
//! until it is done, so a closed number is never used for another file. A file whose last user is a
//! request is closed before anybody hears of that request's end; only a ring that has it registered
//! keeps the kernel's side of it for a moment more (`open_file.rs`).

#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use crate::error::{Error, Fault, Subsystem, report};
use crate::handle::shared_handle;
use crate::open_file::{FileMode, OpenFile, Way};
use crate::sys;

/// An open file; clones are the same file.
#[derive(Clone, Debug)]
pub struct File(Arc<FileCore>);

/// The shared part of a [`File`]; opaque, for its address.
#[derive(Debug)]
pub struct FileCore {
    path: Arc<Path>,
    writable: bool,
    /// `None` once closed.
    open: Mutex<Option<Arc<OpenFile>>>,
    /// The size when last looked at. Files may grow and shrink at any time: this only saves a
    /// system call.
    bytes_seen: AtomicU64,
}

shared_handle!(File, FileCore);

/// An open file while it is looked at; a clone of the `Arc` keeps it open for longer.
pub(crate) type Opened<'a> = MappedMutexGuard<'a, Arc<OpenFile>>;

impl File {
    /// Opens a regular file for reading.
    ///
    /// Relative paths start at the working directory. May block; not for the render thread.
    ///
    /// # Errors
    /// As `IDStorageFactory::OpenFile`: `0x80070002` missing file, `0x80070003` missing folder or
    /// empty path, `0x80070005` a folder, or something else that is not a file, or no permission.
    pub fn open(path: impl AsRef<Path>) -> Result<File, Error> {
        File::open_with(path.as_ref(), fs::OpenOptions::new().read(true), false)
    }

    /// Opens a file for reading and for the destination of requests; makes it if it is missing.
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn create(path: impl AsRef<Path>) -> Result<File, Error> {
        let mut options = fs::OpenOptions::new();
        File::open_with(
            path.as_ref(),
            options.read(true).write(true).create(true).truncate(false),
            true,
        )
    }

    /// Takes over a descriptor; `path` is only for messages.
    ///
    /// # Errors
    /// [`Error::NotAFile`] if it is not a regular file.
    pub fn from_fd(fd: OwnedFd, path: impl AsRef<Path>, writable: bool) -> Result<File, Error> {
        File::adopt(fs::File::from(fd), path.as_ref(), writable)
    }

    /// Anything that can be read, which [`File::open`] would refuse: a pipe, to have slow reads.
    #[cfg(test)]
    pub(crate) fn of_any_fd(fd: OwnedFd) -> File {
        let path: Arc<Path> = Path::new("any").into();
        File(Arc::new(FileCore {
            open: Mutex::new(Some(Arc::new(OpenFile::new(fd, Arc::clone(&path))))),
            path,
            writable: false,
            bytes_seen: AtomicU64::new(u64::MAX),
        }))
    }

    fn open_with(
        path: &Path,
        options: &mut fs::OpenOptions,
        writable: bool,
    ) -> Result<File, Error> {
        let opened = if path.as_os_str().is_empty() {
            Err(Error::PathNotFound)
        } else {
            // O_NONBLOCK: opening a pipe must not wait for its other end.
            let file = options
                .custom_flags(libc::O_NONBLOCK)
                .open(path)
                .map_err(|e| open_error(path, &e));
            file.and_then(|file| File::adopt(file, path, writable))
        };
        opened.inspect_err(|&error| {
            let fault = Fault::new(error, Subsystem::File, "open");
            report(fault.with_detail(path.display().to_string()), None);
        })
    }

    fn adopt(file: fs::File, path: &Path, writable: bool) -> Result<File, Error> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::NotAFile);
        }
        sys::set_blocking(file.as_fd());
        let path: Arc<Path> = path.into();
        let open = OpenFile::new(file.into(), Arc::clone(&path));
        Ok(File(Arc::new(FileCore {
            path,
            writable,
            open: Mutex::new(Some(Arc::new(open))),
            bytes_seen: AtomicU64::new(metadata.len()),
        })))
    }

    /// The path as it was opened.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn shared_path(&self) -> Arc<Path> {
        Arc::clone(&self.0.path)
    }

    /// Whether requests may write to it.
    pub fn is_writable(&self) -> bool {
        self.0.writable
    }

    /// Closes the file: requests that have not started fail with [`Error::FileNotOpen`]; those in
    /// flight finish. A second close does nothing.
    pub fn close(&self) {
        let open = self.0.open.lock().take();
        // Outside the lock: close(2) may take its time.
        drop(open);
    }

    /// Whether [`File::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.0.open.lock().is_none()
    }

    /// The file's size in bytes, asked of the kernel now.
    ///
    /// # Errors
    /// [`Error::FileNotOpen`] after [`File::close`].
    pub fn bytes(&self) -> Result<u64, Error> {
        let open = self.cloned()?;
        self.see_bytes(&open)
    }

    /// The file's metadata, asked of the kernel now.
    ///
    /// # Errors
    /// [`Error::FileNotOpen`] after [`File::close`].
    pub fn metadata(&self) -> Result<fs::Metadata, Error> {
        Ok(sys::metadata(self.cloned()?.fd(Way::Buffered))?)
    }

    /// How a runtime with that mode reads the file, and why, for a person. Looks at the file, and may
    /// read a little of it.
    ///
    /// # Errors
    /// [`Error::FileNotOpen`] after [`File::close`].
    pub fn explain_mode(&self, mode: FileMode) -> Result<String, Error> {
        Ok(self.cloned()?.explain(mode))
    }

    /// The open file, for questions to the kernel: they may take their time, and the lock is one that
    /// engine threads take with a queue's lock held.
    fn cloned(&self) -> Result<Arc<OpenFile>, Error> {
        Ok(Arc::clone(&*self.opened()?))
    }

    /// The open file. Whoever closes it waits until the answer is gone: those who look at a file under a
    /// lock are never the last to have it.
    pub(crate) fn opened(&self) -> Result<Opened<'_>, Error> {
        MutexGuard::try_map(self.0.open.lock(), Option::as_mut).map_err(|_| Error::FileNotOpen)
    }

    /// The same, if the file is open and `offset + bytes` lies in it. Asks the kernel, under the lock (and
    /// under the queue's, if the caller holds that), where the file's end was last seen before the request's:
    /// without the lock this could become the last to have the file, and close it under the queue's.
    pub(crate) fn opened_for_read(&self, offset: u64, bytes: u32) -> Result<Opened<'_>, Error> {
        let open = self.opened()?;
        let end = offset
            .checked_add(u64::from(bytes))
            .ok_or(Error::EndOfFile)?;
        // The remembered size answers the common case; a file that grew meanwhile is asked again.
        if end > self.0.bytes_seen.load(Ordering::Relaxed) && end > self.see_bytes(&open)? {
            return Err(Error::EndOfFile);
        }
        Ok(open)
    }

    fn see_bytes(&self, open: &OpenFile) -> Result<u64, Error> {
        let bytes = sys::metadata(open.fd(Way::Buffered))?.len();
        self.0.bytes_seen.store(bytes, Ordering::Relaxed);
        Ok(bytes)
    }

    /// Lets this one go without closing anything: the last of all answers what there is to close.
    pub(crate) fn into_last(self) -> Option<Arc<OpenFile>> {
        Arc::into_inner(self.0)?.open.into_inner()
    }
}

/// open(2)'s answer in DirectStorage's terms: a missing file and a missing folder differ (O-11,
/// O-12).
fn open_error(path: &Path, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOENT) => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => {
                Error::PathNotFound
            }
            _ => Error::Os(libc::ENOENT),
        },
        Some(libc::ENXIO) => Error::NotAFile,
        Some(errno) => Error::Os(errno),
        None => Error::InvalidArgument, // a NUL inside the path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_answers_directstorage_codes() {
        let code = |path: &str| {
            File::open(path)
                .map(drop)
                .unwrap_err()
                .hresult()
                .cast_unsigned()
        };
        let dir = env!("CARGO_MANIFEST_DIR");
        assert_eq!(code(&format!("{dir}/no-such-file")), 0x8007_0002, "O-11");
        assert_eq!(
            code(&format!("{dir}/no-such-dir/file")),
            0x8007_0003,
            "O-12"
        );
        assert_eq!(code(""), 0x8007_0003, "O-13");
        assert_eq!(code(dir), 0x8007_0005, "O-14");
        assert_eq!(code("/dev/null"), 0x8007_0005, "not a file");
    }

    #[test]
    fn operations_on_an_opened_file_wait() {
        use std::os::fd::AsRawFd;
        let file = File::open("/proc/self/exe").unwrap();
        let fd = file.opened().unwrap().fd(Way::Buffered).as_raw_fd();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = i32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn a_closed_file_stays_open_for_what_is_in_flight() {
        let file = File::open(
            file!()
                .rsplit('/')
                .next()
                .map(|f| format!("{}/src/{f}", env!("CARGO_MANIFEST_DIR")))
                .unwrap(),
        )
        .unwrap();
        let in_flight = Arc::clone(&file.opened().unwrap());
        file.close();
        file.close();
        assert!(file.is_closed());
        assert_eq!(file.bytes().unwrap_err(), Error::FileNotOpen);
        assert!(sys::metadata(in_flight.fd(Way::Buffered)).is_ok());
    }
}
