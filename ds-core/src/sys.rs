//! The kernel's side of the engine: the few system calls the standard library does not offer, as
//! safe functions.
//!
//! Owns nothing but the file descriptors and mappings it returns. Every function answers with the
//! kernel's own error; retrying and policy live with the callers. One of the few files of the crate
//! that hold `unsafe`.

use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::memory::Span;
use crate::open_file::Alignment;

/// What the kernel says, as `io::Error`, of a call that answers -1 on failure.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The same for calls that answer a byte count.
fn check_bytes(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A file offset as the kernel wants it; offsets past `i64::MAX` do not exist.
fn file_offset(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// One `pread(2)` into `span`; a bad address is EFAULT, not a fault.
pub(crate) fn pread(fd: BorrowedFd<'_>, span: Span, offset: u64) -> io::Result<usize> {
    let offset = file_offset(offset)?;
    // SAFETY: the kernel checks the address range itself (EFAULT); `Span`'s constructor promises
    // that nobody else uses the bytes meanwhile, and `fd` is borrowed for the whole call.
    let result = unsafe { libc::pread(fd.as_raw_fd(), span.as_ptr().cast(), span.bytes(), offset) };
    check_bytes(result)
}

/// One `preadv2(2)` into `span` with flags (`RWF_*`).
pub(crate) fn preadv2(
    fd: BorrowedFd<'_>,
    span: Span,
    offset: u64,
    flags: i32,
) -> io::Result<usize> {
    let offset = file_offset(offset)?;
    let part = libc::iovec {
        iov_base: span.as_ptr().cast(),
        iov_len: span.bytes(),
    };
    // SAFETY: one iovec, alive during the call; as in `pread` otherwise.
    let result = unsafe { libc::preadv2(fd.as_raw_fd(), &raw const part, 1, offset, flags) };
    check_bytes(result)
}

/// What direct reads of `fd` demand, where the kernel (6.1) and the file system say so.
pub(crate) fn direct_alignment(fd: BorrowedFd<'_>) -> Option<Alignment> {
    let mut answer = MaybeUninit::<libc::statx>::zeroed();
    let (flags, mask) = (libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN);
    // SAFETY: an empty path, which the flag allows, and a place for the answer.
    let result = unsafe {
        libc::statx(
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            mask,
            answer.as_mut_ptr(),
        )
    };
    // SAFETY: numbers, all zero before the call.
    let answer = unsafe { answer.assume_init() };
    let said = result == 0 && answer.stx_mask & libc::STATX_DIOALIGN != 0;
    let (memory, offset) = (answer.stx_dio_mem_align, answer.stx_dio_offset_align);
    // Zeros say that direct reads are not supported; trying tells the same.
    (said && memory > 0 && offset > 0).then_some(Alignment {
        memory: memory as usize,
        offset: offset as usize,
    })
}

/// One `pwrite(2)` from `span`.
pub(crate) fn pwrite(fd: BorrowedFd<'_>, span: Span, offset: u64) -> io::Result<usize> {
    let offset = file_offset(offset)?;
    // SAFETY: as in `pread`; the kernel only reads the bytes.
    let result =
        unsafe { libc::pwrite(fd.as_raw_fd(), span.as_ptr().cast(), span.bytes(), offset) };
    check_bytes(result)
}

/// How often this thread has given up its core because it had to wait; not how often it lost it to
/// another thread.
pub(crate) fn voluntary_switches() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: a place for the answer.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    // SAFETY: numbers, all zero before the call.
    let usage = unsafe { usage.assume_init() };
    usage.ru_nvcsw.unsigned_abs()
}

/// Whether this thread may use the kernel's realtime I/O class, found out by taking it for a moment.
pub(crate) fn may_use_realtime_io() -> bool {
    /// `IOPRIO_WHO_PROCESS`: with 0, the calling thread.
    const THIS_THREAD: (libc::c_int, libc::c_int) = (1, 0);
    const REALTIME: libc::c_int = 1 << 13 | 4;
    let (which, who) = THIS_THREAD;
    // SAFETY: numbers only.
    let before = unsafe { libc::syscall(libc::SYS_ioprio_get, which, who) };
    // SAFETY: as above.
    let taken = unsafe { libc::syscall(libc::SYS_ioprio_set, which, who, REALTIME) } == 0;
    if taken && before >= 0 {
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_ioprio_set, which, who, before) };
    }
    taken
}

/// Whether a seccomp filter looks at the system calls of this thread, and of those it starts.
pub(crate) fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

/// Whether a process may make the three calls of io_uring and live; some filters end it. A child of this
/// one makes them, with arguments that do nothing, and is looked at.
pub(crate) fn survives_ring_calls() -> bool {
    fn child() -> ! {
        let none = std::ptr::null::<libc::c_void>();
        // SAFETY: no entries and no parameters: an error, if the filter lets it get that far.
        unsafe { libc::syscall(libc::SYS_io_uring_setup, 0, none) };
        // SAFETY: no such descriptor: an error.
        unsafe { libc::syscall(libc::SYS_io_uring_enter, -1, 0, 0, 0, none, 0) };
        // SAFETY: no such descriptor: an error.
        unsafe { libc::syscall(libc::SYS_io_uring_register, -1, 0, none, 0) };
        loop {
            // SAFETY: ends this process, without what a program does at its end.
            unsafe { libc::syscall(libc::SYS_exit_group, 0) };
        }
    }
    // As fork(2), but for what the program wants done at a fork, and for the signal that tells it of the
    // child's end. The memory is not shared: before Linux 5.16, who is ended takes everybody along who
    // has the same.
    // SAFETY: the child has this thread alone, and does nothing but system calls.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if pid == 0 {
        child();
    }
    let pid = pid as libc::pid_t;
    if pid < 0 {
        return false;
    }
    let mut status = 0;
    loop {
        // SAFETY: a place for the answer; the child is ours.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if waited == pid {
            return libc::WIFEXITED(status);
        }
        if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return false;
        }
    }
}

/// Makes operations on a regular file wait. With O_NONBLOCK, which other programs ignore there, a ring
/// answers EAGAIN where the device below cannot say in advance whether it would wait.
pub(crate) fn set_blocking(fd: BorrowedFd<'_>) {
    // SAFETY: no pointer is passed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags >= 0 && flags & libc::O_NONBLOCK != 0 {
        // SAFETY: as above.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK) };
    }
}

/// The metadata of an open file.
///
/// Through the descriptor itself: closing a duplicate would drop the process's POSIX locks on the file.
pub(crate) fn metadata(fd: BorrowedFd<'_>) -> io::Result<std::fs::Metadata> {
    // SAFETY: the descriptor is open, and `ManuallyDrop` keeps this second owner from closing it.
    let file = ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(fd.as_raw_fd()) });
    file.metadata()
}

/// Calls `spawn` with every signal blocked that a process can do without, so that a thread made in
/// there never runs a handler.
pub(crate) fn with_signals_blocked<T>(spawn: impl FnOnce() -> T) -> T {
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a place for a set, which the call fills.
    unsafe { libc::sigfillset(blocked.as_mut_ptr()) };
    for fault in [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
    ] {
        // SAFETY: filled above; the numbers are signals.
        unsafe { libc::sigdelset(blocked.as_mut_ptr(), fault) };
    }
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a filled set, and a place for the one before.
    let changed =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), before.as_mut_ptr()) };
    let result = spawn();
    if changed == 0 {
        // SAFETY: `before` was filled by the call that succeeded.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    result
}

/// Calls `start` with the signals blocked that the engine's threads have blocked: what it starts inherits
/// that. For threads of a codec ([`gdeflate::Codec::spawning`](crate::gdeflate::Codec::spawning)).
pub fn without_signals(start: &mut dyn FnMut()) {
    with_signals_blocked(start);
}

/// A new non-blocking eventfd with the value 0.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor was just made and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds 1 to an eventfd. A counter that is full is already signalled, so EAGAIN is success.
pub(crate) fn eventfd_set(fd: BorrowedFd<'_>) {
    let one = 1u64;
    // SAFETY: eight readable bytes, as the call wants.
    unsafe { libc::write(fd.as_raw_fd(), (&raw const one).cast(), 8) };
}

/// Sets an eventfd's counter back to 0; says whether it was signalled.
pub(crate) fn eventfd_take(fd: BorrowedFd<'_>) -> bool {
    let mut count = 0u64;
    // SAFETY: eight writable bytes, as the call wants.
    let result = unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    result == 8
}

/// Waits until `fd` is readable; `None` waits without a limit. Says whether it is.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> bool {
    // A time-out too far away to be a time is no time-out.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let wait = left.map(|l| libc::timespec {
            tv_sec: libc::time_t::try_from(l.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: l.subsec_nanos().into(),
        });
        let mut poll = libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let wait_ptr = wait.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: one pollfd and, if any, one timespec, both alive during the call; no signal mask.
        let result = unsafe { libc::ppoll(&raw mut poll, 1, wait_ptr, std::ptr::null()) };
        let interrupted =
            result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
        if !interrupted {
            return result > 0;
        }
    }
}

/// The memory-management page size, in bytes.
pub(crate) const PAGE_BYTES: usize = 4096;

/// A ring's place in its thread's table of rings: a name for it that outlives its descriptor.
///
/// For that thread alone. The table has the ring until this is dropped, on the same thread.
#[derive(Debug)]
pub(crate) struct RingIndex(u32);

/// `struct io_uring_rsrc_update` of the kernel's interface.
#[repr(C)]
struct RingUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

impl RingIndex {
    /// `IORING_REGISTER_RING_FDS`, `IORING_UNREGISTER_RING_FDS`.
    const REGISTER: u32 = 20;
    const UNREGISTER: u32 = 21;
    /// `IORING_REGISTER_USE_REGISTERED_RING`: the call's first argument is an index (Linux 6.3).
    const BY_INDEX: u32 = 1 << 31;

    /// Enters the ring into the calling thread's table (Linux 5.18).
    pub(crate) fn of(ring: RawFd) -> io::Result<RingIndex> {
        let mut update = RingUpdate {
            offset: u32::MAX, // any place
            reserved: 0,
            data: ring as u64,
        };
        Self::register(ring as u32, Self::REGISTER, &mut update)?;
        Ok(RingIndex(update.offset))
    }

    /// Lets the kernel put what has completed into the completion queue; submits nothing, waits for
    /// nothing.
    pub(crate) fn run_completions(&self) {
        /// `IORING_ENTER_GETEVENTS` and `IORING_ENTER_REGISTERED_RING`.
        const FLAGS: u32 = 1 | 1 << 4;
        // SAFETY: numbers only. What else it could answer than success shows in the queue, too.
        unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.0,
                0,
                0,
                FLAGS,
                0usize,
                0usize,
            )
        };
    }

    fn register(on: u32, operation: u32, update: &mut RingUpdate) -> io::Result<()> {
        // SAFETY: one struct of the kernel's layout, alive during the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                on,
                operation,
                std::ptr::from_mut(update),
                1,
            )
        };
        check(result as libc::c_int).map(drop)
    }
}

impl Drop for RingIndex {
    fn drop(&mut self) {
        let mut update = RingUpdate {
            offset: self.0,
            reserved: 0,
            data: 0,
        };
        // A kernel that cannot, forgets it when the thread ends.
        let _ = Self::register(self.0, Self::UNREGISTER | Self::BY_INDEX, &mut update);
    }
}

/// Opens something harmless under a number that somebody has closed, so that its owner can close it
/// without harm; `false` if it is in use again.
pub(crate) fn occupy(number: RawFd) -> bool {
    let Ok(event) = eventfd() else { return false };
    // SAFETY: numbers only; the call answers the lowest free number from `number` on.
    let taken = unsafe { libc::fcntl(event.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) };
    if taken >= 0 && taken != number {
        // SAFETY: just made, not wanted, nobody else's.
        drop(unsafe { OwnedFd::from_raw_fd(taken) });
    }
    taken == number
        || event.as_raw_fd() == number && {
            std::mem::forget(event);
            true
        }
}

/// Copies memory as the kernel does: what cannot be read or written is EFAULT at the moment of the copy, and
/// not a fault. Both have the same size and do not overlap. EPERM or ENOSYS where a filter forbids it.
pub(crate) fn copy_by_kernel(from: Span, to: Span) -> io::Result<()> {
    // SAFETY: no arguments, and nothing that can fail.
    let this_process = unsafe { libc::getpid() };
    let mut done = 0;
    while done < to.bytes() {
        let rest = |span: Span| {
            let part = span.part(done, span.bytes() - done);
            libc::iovec {
                iov_base: part.as_ptr().cast(),
                iov_len: part.bytes(),
            }
        };
        let (local, remote) = (rest(to), rest(from));
        let (local, remote) = (&raw const local, &raw const remote);
        // SAFETY: two ranges, alive during the call; the kernel checks both of them, and `Span`'s
        // constructor promises that nobody else uses what is written.
        let moved = unsafe { libc::process_vm_readv(this_process, local, 1, remote, 1, 0) };
        match check_bytes(moved)? {
            0 => return Err(io::Error::from_raw_os_error(libc::EFAULT)),
            moved => done += moved,
        }
    }
    Ok(())
}

/// Asks the kernel to make `span` present for writing (`true`) or reading.
///
/// This is how a wild pointer becomes an error: unmapped memory answers ENOMEM, memory that cannot
/// be accessed answers EFAULT. Kernels before 5.14, read-only memory and special mappings all
/// answer EINVAL.
pub(crate) fn populate(span: Span, write: bool) -> io::Result<()> {
    let start = span.address() & !(PAGE_BYTES - 1);
    let bytes = (span.address() + span.bytes()).next_multiple_of(PAGE_BYTES) - start;
    let advice = if write {
        libc::MADV_POPULATE_WRITE
    } else {
        libc::MADV_POPULATE_READ
    };
    // SAFETY: MADV_POPULATE_* changes no contents, whatever the range; a bad range is an error.
    check(unsafe { libc::madvise(std::ptr::without_provenance_mut(start), bytes, advice) })
        .map(drop)
}

/// Fails where a page of `span` cannot be written (`true`) or read, one system call a page.
///
/// For what [`populate`] answers with EINVAL. futex(2) looks at a word without changing its value and without
/// caring what kind of memory it is in: FUTEX_WAKE_OP adds 0 to it, FUTEX_CMP_REQUEUE compares it. Neither
/// finds anybody to wake.
pub(crate) fn probe(span: Span, write: bool) -> io::Result<()> {
    let first = span.address() & !(PAGE_BYTES - 1);
    for page in (first..span.address() + span.bytes()).step_by(PAGE_BYTES) {
        if probe_word(page, write).raw_os_error() == Some(libc::EFAULT) {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
    }
    Ok(())
}

/// What the kernel says of the aligned word at `address`.
fn probe_word(address: usize, write: bool) -> io::Error {
    /// FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0).
    const ADD_NOTHING: libc::c_long = 1 << 28;
    let nobody = AtomicU32::new(0);
    let (own, probed) = (nobody.as_ptr().addr(), address);
    let (operation, first, second, third) = if write {
        (libc::FUTEX_WAKE_OP, own, probed, ADD_NOTHING)
    } else {
        (libc::FUTEX_CMP_REQUEUE, probed, own, 0)
    };
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel checks both addresses. The word of our own outlives the call; the other is not
    // changed.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, first, operation, 0, 0usize, second, third) };
    if result < 0 {
        io::Error::last_os_error()
    } else {
        io::Error::from_raw_os_error(0)
    }
}

/// An anonymous private mapping: zeroed, given memory by the kernel page by page as it is touched.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory with one owner; nothing in it is tied to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Reserves `bytes` (not 0) of address space.
    pub(crate) fn new(bytes: usize) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing that
        // exists.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base =
            NonNull::new(base.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Mapping { base, bytes })
    }

    /// The bytes `offset..offset + bytes`, which must lie inside.
    pub(crate) fn span(&self, offset: usize, bytes: usize) -> Span {
        assert!(
            offset
                .checked_add(bytes)
                .is_some_and(|end| end <= self.bytes),
            "staging range outside its mapping"
        );
        // SAFETY: asserted to lie inside the mapping.
        let start = unsafe { self.base.add(offset) };
        // SAFETY: the mapping outlives its ranges (staging.rs frees it only with none handed out),
        // and the allocator there hands each byte to one owner at a time.
        unsafe { Span::new(start.as_ptr(), bytes) }
    }

    /// Gives the memory back to the kernel and keeps the addresses; contents become zero.
    pub(crate) fn release(&self) {
        // SAFETY: a private anonymous mapping that nobody uses at the moment (staging.rs: no range
        // is out).
        unsafe { libc::madvise(self.base.as_ptr().cast(), self.bytes, libc::MADV_DONTNEED) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`, unmapped once.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Whether this process was forked from one that called [`watch_forks`].
static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_fork() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Has [`is_forked`] tell from now on.
pub(crate) fn watch_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler goes with the library that it is in, and only stores a flag. Without memory
        // nothing is registered.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(note_fork)) };
    });
}

/// Whether this is a child of fork(2): what its parent has in the kernel is not its own.
pub(crate) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "makes a process")]
    fn a_child_that_makes_the_calls_lives_where_nothing_forbids_them() {
        // A filter that ends the child is tested where there is one: tests/trouble/fallback.rs.
        assert!(survives_ring_calls() || is_filtered());
    }
}
