//! The system calls that make trouble, or room for it, as safe functions.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Writes the file to its disk and drops it from the page cache, so that the next read is a real one.
pub(crate) fn forget_cached(path: &Path) {
    let file = File::open(path).expect("the test's own file");
    file.sync_all().expect("a disk with room");
    // SAFETY: numbers only; advice changes no contents.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}
