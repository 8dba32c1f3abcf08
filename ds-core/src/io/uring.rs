//! Reading with io_uring: one ring an I/O thread, many operations in flight, few system calls.
//!
//! Not used where the kernel, a sysctl, a container's filter or a memory limit says no: [`probe`]
//! asks once, by doing it, and the answer names the cause and the cure.
//!
//! Invariants
//! - `user_data` is a token, never a pointer: a stale completion is a lookup miss.
//! - No more operations are in flight than the submission queue has entries, and the completion
//!   queue has room for all of them, their cancellations and the wake-up: it cannot overflow.
//! - The ring is used by the thread that made it (`SINGLE_ISSUER`, `DEFER_TASKRUN`).
//! - Nothing in flight is forgotten: dropping the ring cancels, then waits for every completion.
//!
//! One of the few files that hold `unsafe`: pushing an operation promises that its memory stays.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, opcode, squeue};

use super::{Completion, Direction, Op};
use crate::slots::Token;

/// How many operations a ring keeps in flight.
pub(crate) const DEPTH: u32 = 256;
/// Completions: every operation, a cancellation of each, and the wake-up.
const COMPLETIONS: u32 = 4 * DEPTH;
const _: () = assert!(COMPLETIONS > 2 * DEPTH + 1);

/// The completion of the poll on the wake-up event. No token looks like it: indices are small.
const WAKE: u64 = u64::MAX;
/// The completion of a cancellation.
const CANCEL: u64 = u64::MAX - 1;

/// One thread's ring.
pub(crate) struct Uring {
    ring: IoUring,
    /// Signalled by whoever has work for this thread while it sleeps in the ring.
    wake: Arc<OwnedFd>,
    wake_armed: bool,
    in_flight: usize,
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Uring({} in flight)", self.in_flight)
    }
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    /// Something completed, somebody called, or there was no wait.
    Woken,
    /// Nothing happened for the whole time.
    TimedOut,
}

impl Uring {
    /// A ring for the calling thread.
    pub(crate) fn new(wake: Arc<OwnedFd>) -> io::Result<Uring> {
        let ring = build(true).or_else(|_| build(false))?;
        Ok(Uring {
            ring,
            wake,
            wake_armed: false,
            in_flight: 0,
        })
    }

    pub(super) fn room(&self) -> usize {
        DEPTH as usize - self.in_flight
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn push(&mut self, op: Op) {
        assert!(self.room() > 0, "pushed without room");
        let fd = Fd(op.fd.as_raw_fd());
        let (start, bytes) = (op.span.as_ptr(), op.span.bytes().min(BYTES_MAX) as u32);
        let entry = match op.direction {
            Direction::Read => opcode::Read::new(fd, start, bytes)
                .offset(op.offset)
                .build(),
            Direction::Write => opcode::Write::new(fd, start, bytes)
                .offset(op.offset)
                .build(),
        };
        self.push_entry(entry.user_data(op.token.to_u64()));
        self.in_flight += 1;
    }

    fn push_entry(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: the memory of a read or write is its request's, which completes after this
            // operation does (`Drop` waits for those left); polls and cancellations have none. The
            // descriptor is held by the driver until then.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            // The submission queue is full of what was not handed over yet.
            let _ = self.ring.submit();
        }
    }

    pub(super) fn cancel(&mut self, token: Token) {
        let entry = opcode::AsyncCancel::new(token.to_u64()).build();
        self.push_entry(entry.user_data(CANCEL));
    }

    /// Hands over what was pushed and collects completions. With `wait` it blocks for the first
    /// one, or until the wake-up event, or for `timeout`.
    pub(super) fn reap(
        &mut self,
        wait: bool,
        timeout: Option<Duration>,
        done: &mut Vec<Completion>,
    ) -> Waited {
        if wait && !self.wake_armed {
            let entry =
                opcode::PollAdd::new(Fd(self.wake.as_raw_fd()), libc::POLLIN as u32).build();
            self.push_entry(entry.user_data(WAKE));
            self.wake_armed = true;
        }
        let result = match timeout {
            Some(timeout) if wait => {
                let timespec = Timespec::from(timeout);
                let arguments = SubmitArgs::new().timespec(&timespec);
                self.ring.submitter().submit_with_args(1, &arguments)
            }
            _ => self.ring.submit_and_wait(usize::from(wait)),
        };
        let timed_out = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::ETIME));
        // EINTR, EAGAIN and EBUSY leave everything where it was: the next round submits again.
        let mut woken = false;
        for entry in self.ring.completion() {
            match entry.user_data() {
                WAKE => woken = true,
                CANCEL => {}
                number => {
                    self.in_flight -= 1;
                    let result = entry.result();
                    let result = usize::try_from(result).map_err(|_| -result);
                    done.push(Completion {
                        token: Token::from_u64(number),
                        result,
                    });
                }
            }
        }
        if woken {
            self.wake_armed = false;
            crate::sys::eventfd_take(self.wake.as_fd());
        }
        if timed_out {
            Waited::TimedOut
        } else {
            Waited::Woken
        }
    }
}

/// The kernel transfers no more than this at once; the driver continues.
const BYTES_MAX: usize = 0x7fff_f000;

fn build(modern: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(COMPLETIONS).setup_clamp();
    if modern {
        // Kernel 6.1: completions are run when this thread asks for them, and only then.
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun();
    }
    builder.build(DEPTH)
}

impl Drop for Uring {
    fn drop(&mut self) {
        let mut done = Vec::new();
        if self.in_flight > 0 {
            let entry = opcode::AsyncCancel2::new(io_uring::types::CancelBuilder::any()).build();
            self.push_entry(entry.user_data(CANCEL));
        }
        while self.in_flight > 0 {
            self.reap(true, None, &mut done);
        }
    }
}

/// Whether io_uring works here, found out once by using it; if not, the cause and the cure.
pub(crate) fn probe() -> Result<(), &'static str> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(try_it)
        .as_ref()
        .copied()
        .map_err(String::as_str)
}

fn try_it() -> Result<(), String> {
    let ring = build(true)
        .or_else(|_| build(false))
        .map_err(|error| refusal(&error))?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| format!("its probe failed: {error}"))?;
    let needed = [
        (opcode::Read::CODE, "READ"),
        (opcode::Write::CODE, "WRITE"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
    ];
    if let Some((_, name)) = needed
        .into_iter()
        .find(|&(code, _)| !probe.is_supported(code))
    {
        return Err(format!(
            "this kernel's io_uring has no {name}; Linux 5.11 or later has it"
        ));
    }
    drop(ring);
    read_something().map_err(|error| format!("a first read failed: {error}"))
}

/// Reads a little of a file that every process has.
fn read_something() -> io::Result<()> {
    // Kept until the read is done, as the driver keeps its files.
    let file = Arc::new(OwnedFd::from(std::fs::File::open("/proc/self/exe")?));
    let mut buffer = crate::memory::Buffer::new(4);
    let destination = buffer.lend().expect("a new buffer is not lent");
    let mut uring = Uring::new(Arc::new(crate::sys::eventfd()?))?;
    uring.push(Op {
        token: Token::from_u64(1),
        direction: Direction::Read,
        fd: Arc::clone(&file),
        offset: 0,
        span: destination.span(),
    });
    let mut done = Vec::new();
    while done.is_empty() {
        uring.reap(true, None, &mut done);
    }
    drop(uring);
    drop(destination);
    match done[0].result {
        Ok(4) if buffer.bytes() == Some(b"\x7fELF") => Ok(()),
        Ok(_) => Err(io::Error::other("it read something else")),
        Err(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// What `io_uring_setup` said, and what to do about it.
fn refusal(error: &io::Error) -> String {
    let disabled =
        std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let cause = match (error.raw_os_error(), disabled.trim()) {
        (Some(libc::EPERM), "1" | "2") => {
            "the sysctl kernel.io_uring_disabled forbids it; set it to 0 to allow it"
        }
        (Some(libc::EPERM), _) => {
            "a seccomp filter forbids it, as containers do by default; run outside, or allow \
             io_uring_setup, io_uring_enter and io_uring_register in the container's profile"
        }
        (Some(libc::ENOSYS), _) => {
            "this kernel has none, or a sandbox hides it; Linux 5.11 or later without a filter has it"
        }
        (Some(libc::ENOMEM), _) => {
            "there is not enough lockable memory for a ring; raise `ulimit -l` (RLIMIT_MEMLOCK)"
        }
        _ => return format!("io_uring_setup failed: {error}"),
    };
    format!("io_uring_setup failed ({error}): {cause}")
}
