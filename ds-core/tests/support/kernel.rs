//! The system calls that make trouble, or room for it, as safe functions.
//!
//! What they do to a process is not undone: all but the first belong into a process of its own
//! (`child.rs`).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::ptr::NonNull;

use ds_core::Span;

/// Writes the file to its disk and drops it from the page cache, so that the next read is a real one.
pub(crate) fn forget_cached(path: &Path) {
    let file = File::open(path).expect("the test's own file");
    file.sync_all().expect("a disk with room");
    // SAFETY: numbers only; advice changes no contents.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Makes the allocator give freed memory back at once, so that what a process has is what it uses.
pub(crate) fn keep_no_freed_memory() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_MMAP_THRESHOLD, 32 << 10),
        (libc::M_TRIM_THRESHOLD, 64 << 10),
        (libc::M_ARENA_MAX, 2),
    ] {
        // SAFETY: numbers only; where an option is unknown nothing happens.
        unsafe { libc::mallopt(option, value) };
    }
}

fn check(result: impl Into<i64>, what: &str) {
    if result.into() < 0 {
        panic!("{what}: {}", io::Error::last_os_error());
    }
}

/// The numbers of this process's descriptors whose link under /proc says so.
pub(crate) fn descriptors(is_it: impl Fn(&str) -> bool) -> Vec<RawFd> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    let number = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let link = fs::read_link(entry.path()).ok()?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        is_it(link.to_str()?).then_some(number)
    };
    entries.filter_map(number).collect()
}

/// The descriptors of rings.
pub(crate) fn rings() -> Vec<RawFd> {
    descriptors(|link| link == "anon_inode:[io_uring]")
}

/// The descriptors of a file.
pub(crate) fn descriptors_of(path: &Path) -> Vec<RawFd> {
    descriptors(|link| Path::new(link) == path)
}

/// Closes a descriptor that belongs to somebody else, as a program with a bug does.
pub(crate) fn close_foreign(number: RawFd) {
    // Past libc, where ThreadSanitizer would call the race by its name: it is wanted.
    // SAFETY: a number; what its owner makes of it is what the tests are about.
    check(unsafe { libc::syscall(libc::SYS_close, number) }, "close");
}

/// Lets a number that was closed mean something again, so that its owner may close it in peace.
pub(crate) fn put_back(number: RawFd) {
    let null = File::open("/dev/null").expect("/dev/null is always there");
    if null.as_raw_fd() == number {
        std::mem::forget(null);
        return;
    }
    // SAFETY: numbers only; nobody uses `number` at the moment.
    let taken = unsafe { libc::syscall(libc::SYS_dup3, null.as_raw_fd(), number, 0) };
    check(taken, "dup3");
}

/// Makes the kernel answer these system calls with that errno, for this thread and those it starts.
pub(crate) fn refuse_calls(calls: &[libc::c_long], errno: i32) {
    filter_calls(calls, libc::SECCOMP_RET_ERRNO | errno as u32);
}

/// Makes the kernel end whoever makes one of these system calls.
pub(crate) fn end_at_calls(calls: &[libc::c_long]) {
    filter_calls(calls, libc::SECCOMP_RET_KILL_PROCESS);
}

/// Installs a filter with that answer to these calls.
fn filter_calls(calls: &[libc::c_long], answer: u32) {
    /// Where `struct seccomp_data` has the number of the call.
    const NUMBER: u32 = 0;
    let op = |code: u32, k: u32, jump: u8| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jump,
        k,
    };
    let mut program = vec![op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, NUMBER, 0)];
    for &call in calls {
        // The next call in the list, if it is not this one.
        program.push(op(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            call as u32,
            1,
        ));
        program.push(op(libc::BPF_RET | libc::BPF_K, answer, 0));
    }
    program.push(op(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0));
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: numbers only; without the right to gain rights, anybody may install a filter.
    check(
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
        "no_new_privs",
    );
    // SAFETY: the program and its instructions live until the kernel has copied them.
    let installed = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    check(installed, "seccomp");
}

/// Sets both limits of a resource (`RLIMIT_*`).
pub(crate) fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limits = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: one struct, alive during the call.
    check(
        unsafe { libc::setrlimit(resource, &raw const limits) },
        "setrlimit",
    );
}

/// Gives up root's rights, if this is root: limits mean nothing to it.
pub(crate) fn become_nobody() {
    const NOBODY: libc::uid_t = 65534;
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    // SAFETY: numbers only.
    check(
        unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) },
        "setresgid",
    );
    // SAFETY: numbers only; applies to every thread.
    check(
        unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) },
        "setresuid",
    );
}

/// What a page of a [`Region`] may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    All,
    Read,
    Nothing,
    /// There is no page.
    Unmapped,
}

/// Memory that can be taken away while requests use it.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    bytes: usize,
}

pub(crate) const PAGE_BYTES: usize = 4096;

impl Region {
    /// So many bytes, rounded up to pages, all of them `fill`.
    pub(crate) fn new(bytes: usize, fill: u8) -> Region {
        let bytes = bytes.next_multiple_of(PAGE_BYTES);
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping where nothing is.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        assert_ne!(
            start,
            libc::MAP_FAILED,
            "mmap: {}",
            io::Error::last_os_error()
        );
        let start = NonNull::new(start.cast()).expect("never mapped at 0");
        // SAFETY: just mapped, writable, with this length.
        unsafe { start.write_bytes(fill, bytes) };
        Region { start, bytes }
    }

    /// Changes what `bytes` bytes at `offset`, both in whole pages, may be used for. Requests may be using
    /// them.
    pub(crate) fn allow(&self, offset: usize, bytes: usize, access: Access) {
        assert!(offset + bytes <= self.bytes, "outside of the region");
        let at = self.start.as_ptr().wrapping_add(offset).cast();
        let protection = match access {
            Access::All => libc::PROT_READ | libc::PROT_WRITE,
            Access::Read => libc::PROT_READ,
            Access::Nothing => libc::PROT_NONE,
            Access::Unmapped => {
                // SAFETY: our own pages, of which no reference exists; the engine's promise is to bear it.
                check(unsafe { libc::munmap(at, bytes) }, "munmap");
                return;
            }
        };
        // SAFETY: our own pages; `bytes_at` is not called for what it may not read.
        check(unsafe { libc::mprotect(at, bytes, protection) }, "mprotect");
    }

    /// A request's memory.
    pub(crate) fn span(&self, offset: usize, bytes: usize) -> Span {
        assert!(offset + bytes <= self.bytes, "outside of the region");
        // SAFETY: each test gives a byte to one request at a time, and the region outlives them all; that
        // pages may be taken away is the point, and only the kernel touches those.
        unsafe { Span::new(self.start.as_ptr().wrapping_add(offset), bytes) }
    }

    /// A copy of what is there; no request may be using it.
    pub(crate) fn bytes_at(&self, offset: usize, bytes: usize) -> Vec<u8> {
        self.allow(
            offset / PAGE_BYTES * PAGE_BYTES,
            (offset % PAGE_BYTES + bytes).next_multiple_of(PAGE_BYTES),
            Access::All,
        );
        let at = self.start.as_ptr().wrapping_add(offset);
        // SAFETY: inside of the region (asserted above), readable now, not written meanwhile.
        unsafe { std::slice::from_raw_parts(at, bytes) }.to_vec()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: our own mapping; pages that are gone already are no error. No request uses it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
