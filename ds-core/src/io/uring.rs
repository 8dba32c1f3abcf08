//! Reading with io_uring: one ring an I/O thread, many operations in flight, few system calls.
//!
//! Not used where the kernel, a sysctl, a container's filter or a memory limit says no: [`probe`]
//! asks once, by doing it, and the answer names the cause and the cure.
//!
//! Invariants
//! - `user_data` is a token, never a pointer: a stale completion is a lookup miss.
//! - No more operations are in flight than the submission queue has entries, and the completion
//!   queue has room for all of them, their cancellations and the wake-up: it cannot overflow.
//! - The ring is used by the thread that made it (`SINGLE_ISSUER`, `DEFER_TASKRUN`), but for one that is
//!   lent ([`Uring::lent`]): that is used by one thread after another, and keeps nothing in between.
//! - Nothing in flight is forgotten: dropping the ring cancels, then waits for every completion.
//!
//! One of the few files that hold `unsafe`: pushing an operation promises that its memory stays.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};

use super::file_table::FileTable;
use super::runs::{Closed, Runs, Target};
use super::{Completion, Direction, Op};
use crate::memory::Span;
use crate::open_file::{OpenFile, Way};
use crate::queue::{PRIORITY_COUNT, Priority};
use crate::slots::Token;
use crate::staging::{Place, Staging};
use crate::stats::IoStats;
use crate::sys::RingIndex;

/// How many operations a ring keeps in flight.
pub(crate) const DEPTH: u32 = 256;
/// Completions: every operation, a cancellation of each, and the wake-ups.
const COMPLETIONS: u32 = 4 * DEPTH;
const _: () = assert!(COMPLETIONS > 2 * DEPTH + 2 * POLLS as u32);
/// Files that a ring registers at most. Others are used by their descriptors.
const FILES_MAX: u32 = 512;
/// The most staging memory that a ring registers, in bytes: first-fit keeps the pool's beginning busy.
const REGISTERED_BYTES_MAX: usize = 4 << 20;

/// So many polls stand on the wake-up event, and each call completes all of them. A wait can be for that many
/// completions, and a call still ends it: there is nothing else by which one thread ends another's wait for
/// several.
const POLLS: usize = 8;
/// The completions of those polls, the first of them. No token looks like it: indices are small.
const WAKE: u64 = u64::MAX - POLLS as u64;
/// The completion of a cancellation.
const CANCEL: u64 = WAKE - 1;
/// Marks the number of a run. A token's lower half is an index below [`DEPTH`].
const RUN: u64 = 1 << 31;
const _: () = assert!((DEPTH as u64) < RUN);

/// One thread's ring.
pub(crate) struct Uring {
    /// Dropped unless its descriptor's number has become somebody else's.
    ring: ManuallyDrop<IoUring>,
    /// Signalled by whoever has work for this thread while it sleeps in the ring.
    wake: Arc<OwnedFd>,
    /// Which of the polls on it stand.
    wake_armed: [bool; POLLS],
    in_flight: usize,
    /// Completions to come of operations and runs of them.
    expected: usize,
    /// Cancellations handed over since the last look at completions.
    cancels: usize,
    /// `user_data` of what was pushed and not taken by the kernel yet.
    pushed: Vec<u64>,
    /// The kernel does not know the ring any more: its descriptor was closed by somebody else.
    lost: bool,
    /// The ring's other name, which nobody can close by mistake; `None` before Linux 5.18.
    index: Option<RingIndex>,
    files: FileTable,
    runs: Runs,
    buffer: Registered,
    /// `ioprio` of each priority, lowest first.
    io_priorities: [u16; PRIORITY_COUNT],
    stats: IoStats,
}

/// The part of the staging pool that the ring has registered as its buffer 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Registered {
    /// None so far.
    Nothing,
    /// So many bytes of that pool's beginning.
    Prefix { pool: u64, bytes: usize },
    /// None ever: it was refused.
    Refused,
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
        // More than the process may open is refused; none is fine, too.
        let registers_files = ring.submitter().register_files_sparse(FILES_MAX).is_ok();
        let files_max = if registers_files { FILES_MAX } else { 0 };
        let mut uring = Uring::around(ring, wake, files_max);
        uring.index = RingIndex::of(uring.ring.as_raw_fd()).ok();
        uring.wake_armed = [false; POLLS];
        Ok(uring)
    }

    /// A ring for whoever holds it at the moment, and for reads that end in the call that hands them over
    /// ([`Way::CachedOnly`]). It registers no files, since nobody would be there to forget those that are
    /// gone, and nobody wakes it: `wake` is not listened to.
    pub(crate) fn lent(wake: Arc<OwnedFd>) -> io::Result<Uring> {
        Ok(Uring::around(build(false)?, wake, 0))
    }

    fn around(ring: IoUring, wake: Arc<OwnedFd>, files_max: u32) -> Uring {
        let files = FileTable::new(files_max, Arc::clone(&wake));
        Uring {
            ring: ManuallyDrop::new(ring),
            index: None,
            wake,
            wake_armed: [true; POLLS],
            in_flight: 0,
            expected: 0,
            cancels: 0,
            pushed: Vec::with_capacity(2 * DEPTH as usize),
            lost: false,
            files,
            runs: Runs::new(DEPTH as usize),
            buffer: Registered::Nothing,
            io_priorities: io_priorities(crate::sys::may_use_realtime_io()),
            stats: IoStats::default(),
        }
    }

    pub(super) fn room(&self) -> usize {
        if self.lost {
            return 0;
        }
        DEPTH as usize - self.in_flight
    }

    /// Whether nothing will come of the ring any more: it is to be replaced.
    pub(super) fn is_over(&self) -> bool {
        self.lost && self.in_flight == 0
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn take_stats(&mut self) -> IoStats {
        std::mem::take(&mut self.stats)
    }

    pub(super) fn push(&mut self, op: &Op) {
        // Not `room`: what a lost ring has answered is pushed once more, and answered again.
        assert!(self.in_flight < DEPTH as usize, "pushed without room");
        self.stats.operations += 1;
        self.stats.direct += u64::from(op.way == Way::Direct);
        self.in_flight += 1;
        let target = self.target(&op.file, op.way);
        if self.runs.join(op, target) {
            return;
        }
        self.push_run();
        if self.is_registered_buffer(op) || !self.runs.start(op, target) {
            let entry = self.entry(op, Fd(target.number));
            self.push_entry(on(target, entry).user_data(op.token.to_u64()));
        }
    }

    /// Pushes the reads that were kept back for neighbours to join.
    fn push_run(&mut self) {
        let (open, entry) = match self.runs.close() {
            None => return,
            Some(Closed::Single(open, token, span)) => {
                let bytes = span.bytes().min(BYTES_MAX) as u32;
                let entry = opcode::Read::new(Fd(open.target.number), span.as_ptr(), bytes)
                    .offset(open.offset)
                    .ioprio(self.io_priorities[open.priority as usize])
                    .build();
                (open, entry.user_data(token.to_u64()))
            }
            Some(Closed::Several(open, number, range)) => {
                let parts = self.runs.parts(range);
                self.stats.vectored += parts.len() as u64;
                let entry = opcode::Readv::new(
                    Fd(open.target.number),
                    parts.as_ptr().cast(),
                    parts.len() as u32,
                )
                .offset(open.offset)
                .ioprio(self.io_priorities[open.priority as usize])
                .build();
                (open, entry.user_data(RUN | u64::from(number)))
            }
        };
        self.push_entry(on(open.target, entry));
    }

    /// The file as the ring knows it.
    fn target(&mut self, file: &OpenFile, way: Way) -> Target {
        match self.registered_file(file, way) {
            Some(place) => Target {
                number: place as i32,
                registered: true,
            },
            None => Target {
                number: file.fd(way).as_raw_fd(),
                registered: false,
            },
        }
    }

    /// The file's place among the registered ones.
    fn registered_file(&mut self, file: &OpenFile, way: Way) -> Option<u32> {
        let (key, fd) = (file.key(way), file.fd(way).as_raw_fd());
        if let Some(place) = self.files.find(key) {
            self.stats.registered_files += 1;
            return Some(place);
        }
        let place = self.files.free_place()?;
        if self.lost || !file.is_used_often() {
            return None;
        }
        self.stats.system_calls += 1;
        match self.ring.submitter().register_files_update(place, &[fd]) {
            Ok(_) => {
                self.files.take_place(key, file);
                Some(place)
            }
            Err(error) => {
                log::debug!(target: "ds", "io_uring registers no more files: {error}");
                self.files.give_up();
                None
            }
        }
    }

    fn entry(&mut self, op: &Op, file: Fd) -> squeue::Entry {
        let (start, bytes) = (op.span.as_ptr(), op.span.bytes().min(BYTES_MAX) as u32);
        let (priority, flags) = (self.io_priorities[op.priority as usize], op.way.rw_flags());
        match op.direction {
            Direction::Read if self.is_registered_buffer(op) => {
                self.stats.registered_buffers += 1;
                opcode::ReadFixed::new(file, start, bytes, 0)
                    .offset(op.offset)
                    .ioprio(priority)
                    .rw_flags(flags)
                    .build()
            }
            Direction::Read => opcode::Read::new(file, start, bytes)
                .offset(op.offset)
                .ioprio(priority)
                .rw_flags(flags)
                .build(),
            Direction::Write => opcode::Write::new(file, start, bytes)
                .offset(op.offset)
                .ioprio(priority)
                .build(),
        }
    }

    /// Whether the operation's memory is registered. Only reads past the page cache gain by that: the
    /// kernel then need not look up and hold each page.
    fn is_registered_buffer(&self, op: &Op) -> bool {
        let (Some(place), Registered::Prefix { pool, bytes }) = (op.staged, self.buffer) else {
            return false;
        };
        op.way == Way::Direct && place.pool == pool && place.offset + op.span.bytes() <= bytes
    }

    /// Registers the beginning of the staging pool, if the next operation would gain by it and the limit
    /// on locked memory allows it.
    pub(super) fn register_buffers(&mut self, op: &Op, staging: &Staging) {
        let Some(Place { pool, .. }) = op.staged.filter(|_| op.way == Way::Direct) else {
            return;
        };
        if self.lost {
            return;
        }
        match self.buffer {
            Registered::Refused => return,
            Registered::Prefix { pool: known, .. } if known == pool => return,
            _ => {}
        }
        // A pool of another size has taken its place, and with operations in flight it would wait.
        if self.in_flight > 0 && self.buffer != Registered::Nothing {
            return;
        }
        self.release_buffers(staging);
        let Some(span) = staging.pin(pool, REGISTERED_BYTES_MAX) else {
            return;
        };
        self.stats.system_calls += 1;
        self.buffer = match self.register(span) {
            Ok(()) => Registered::Prefix {
                pool,
                bytes: span.bytes(),
            },
            Err(error) => {
                log::info!(
                    target: "ds",
                    "io_uring reads without registered buffers ({error}); raising `ulimit -l` \
                     (RLIMIT_MEMLOCK) by {} MiB an I/O thread allows them", span.bytes() >> 20,
                );
                staging.unpin(pool);
                Registered::Refused
            }
        };
    }

    fn register(&self, span: Span) -> io::Result<()> {
        let part = libc::iovec {
            iov_base: span.as_ptr().cast(),
            iov_len: span.bytes(),
        };
        // SAFETY: the memory is the staging pool's, which keeps it as long as it is pinned; should the
        // pool change its size, the kernel keeps the pages until they are released here.
        unsafe { self.ring.submitter().register_buffers(&[part]) }
    }

    /// Lets go of what is registered; nothing that uses it is in flight.
    pub(super) fn release_buffers(&mut self, staging: &Staging) {
        if let Registered::Prefix { pool, .. } = self.buffer {
            // The number of a lost ring may be another's by now.
            if !self.lost {
                self.stats.system_calls += 1;
                if let Err(error) = self.ring.submitter().unregister_buffers() {
                    log::debug!(target: "ds", "io_uring keeps its registered buffers: {error}");
                }
            }
            staging.unpin(pool);
            self.buffer = Registered::Nothing;
        }
    }

    /// Empties the places of files that are gone, so that the kernel closes them.
    fn forget_files(&mut self) {
        for place in self.files.take_gone() {
            self.stats.system_calls += 1;
            if let Err(error) = self.ring.submitter().register_files_update(place, &[-1]) {
                log::debug!(target: "ds", "io_uring keeps a closed file open: {error}");
            }
        }
    }

    fn push_entry(&mut self, entry: squeue::Entry) {
        self.expected += usize::from(is_operation(entry.get_user_data()));
        while !self.lost {
            // SAFETY: the memory of a read or write is its request's, which completes after this
            // operation does (`Drop` waits for those left); polls and cancellations have none. The parts of
            // a vectored read lie still until the kernel has taken it. The descriptor, or its
            // registration, is held by the driver until then.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                self.pushed.push(entry.get_user_data());
                return;
            }
            // The submission queue is full of what was not handed over yet.
            if let Err(error) = self.enter(0, None) {
                self.rest(&error);
            }
        }
        // As what the kernel did not take.
        self.pushed.push(entry.get_user_data());
    }

    pub(super) fn cancel(&mut self, token: Token) {
        self.push_run();
        // One cancellation an operation is enough, and keeps completions countable.
        if self.cancels < self.in_flight {
            self.cancels += 1;
            let entry = opcode::AsyncCancel::new(token.to_u64()).build();
            self.push_entry(entry.user_data(CANCEL));
        }
    }

    /// Hands over what was pushed and collects completions. It blocks until there are `wait` of them, or
    /// as many as can be waited for, or until the wake-up event, or for `timeout`.
    pub(super) fn reap(
        &mut self,
        wait: usize,
        timeout: Option<Duration>,
        done: &mut Vec<Completion>,
    ) -> Waited {
        if self.lost {
            return self.reap_lost(done);
        }
        self.forget_files();
        self.push_run();
        self.arm_wake();
        let result = self.enter(self.completions_of(wait), timeout);
        let timed_out = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::ETIME));
        if self.pushed.is_empty() {
            self.runs.taken();
        }
        self.collect(done);
        // EINTR, EAGAIN and EBUSY leave everything where it was: the next round submits again. Whatever
        // else goes wrong must not turn this into a loop without a rest.
        if let Err(error) = result
            && !timed_out
            && error.raw_os_error() != Some(libc::EINTR)
            && done.is_empty()
        {
            self.rest(&error);
        }
        if timed_out {
            Waited::TimedOut
        } else {
            Waited::Woken
        }
    }

    /// The completions that so many operations make at least: a run has one for all of its. No more than
    /// come, and than the wake-up event makes.
    fn completions_of(&self, wait: usize) -> usize {
        let saved = self.in_flight.saturating_sub(self.expected);
        match wait {
            0 => 0,
            _ => wait
                .saturating_sub(saved)
                .clamp(1, self.expected.clamp(1, POLLS)),
        }
    }

    /// Lets each signal of the wake-up event complete something, so that a wait ends. The poll stays
    /// until the kernel says otherwise, and nobody ever takes the event's count: a signal costs its
    /// sender one system call and this thread none.
    fn arm_wake(&mut self) {
        for index in 0..POLLS {
            if !std::mem::replace(&mut self.wake_armed[index], true) {
                let entry = opcode::PollAdd::new(Fd(self.wake.as_raw_fd()), libc::POLLIN as u32)
                    .multi(true)
                    .build();
                self.push_entry(entry.user_data(WAKE + index as u64));
            }
        }
    }

    fn enter(&mut self, wait: usize, timeout: Option<Duration>) -> io::Result<usize> {
        self.stats.system_calls += 1;
        let result = match timeout {
            Some(timeout) if wait > 0 => {
                let timespec = Timespec::from(timeout);
                let arguments = SubmitArgs::new().timespec(&timespec);
                self.ring.submitter().submit_with_args(wait, &arguments)
            }
            _ => self.ring.submit_and_wait(wait),
        };
        let left = self.ring.submission().len();
        self.pushed.drain(..self.pushed.len() - left);
        result
    }

    fn collect(&mut self, done: &mut Vec<Completion>) {
        self.cancels = 0;
        for entry in self.ring.completion() {
            match entry.user_data() {
                CANCEL => {}
                number @ WAKE.. => {
                    self.wake_armed[(number - WAKE) as usize] = cqueue::more(entry.flags());
                }
                number => {
                    self.expected -= 1;
                    let result = entry.result();
                    let mut result = usize::try_from(result).map_err(|_| -result);
                    let realtime = &mut self.io_priorities[Priority::Realtime as usize];
                    // The process had the right when the ring was made, and has given it up.
                    if result == Err(libc::EPERM) && *realtime != BEST_EFFORT {
                        *realtime = BEST_EFFORT;
                        result = Err(libc::EAGAIN);
                    }
                    self.in_flight -= land(&mut self.runs, number, result, done);
                }
            }
        }
    }

    /// The kernel takes nothing: for want of memory, so it is asked again a little later; or because
    /// somebody closed the ring's descriptor.
    fn rest(&mut self, error: &io::Error) {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => {}
            _ => {
                log::error!(
                    target: "ds",
                    "io_uring_enter: {error}; something in this process closed a descriptor that it does not \
                     own, or forbade this thread the call; who used this ring goes on without"
                );
                self.lost = true;
            }
        }
        std::thread::sleep(REST);
    }

    /// Treats the ring as lost, though its descriptor is still its own: it stays open until the process ends,
    /// for nothing tells it from a number that has become another's.
    pub(super) fn give_up(&mut self) {
        self.lost = true;
    }

    /// What the kernel took still completes; after that, what it did not take is to be done again,
    /// elsewhere.
    fn reap_lost(&mut self, done: &mut Vec<Completion>) -> Waited {
        if let Some(index) = &self.index {
            // Otherwise completions would wait for ever for a thread to enter the ring.
            index.run_completions();
        }
        self.collect(done);
        self.push_run();
        if self.in_flight > self.untaken() {
            std::thread::sleep(REST);
            return Waited::Woken;
        }
        for number in self.pushed.drain(..).filter(|&number| is_operation(number)) {
            self.expected -= 1;
            self.in_flight -= land(&mut self.runs, number, Err(libc::EAGAIN), done);
        }
        Waited::Woken
    }

    /// How many operations were pushed and not taken by the kernel.
    fn untaken(&self) -> usize {
        let operations = |number: &u64| match *number {
            number if !is_operation(number) => 0,
            run if run & RUN != 0 => self.runs.operations(run as u32 & !(RUN as u32)),
            _ => 1,
        };
        self.pushed.iter().map(operations).sum()
    }
}

/// Sets whether the entry's file is a registered one.
fn on(target: Target, entry: squeue::Entry) -> squeue::Entry {
    if target.registered {
        entry.flags(squeue::Flags::FIXED_FILE)
    } else {
        entry
    }
}

/// Whether that is an operation, or a run of them, and not the ring's own business.
fn is_operation(number: u64) -> bool {
    number < CANCEL
}

/// Turns a completion into those of its operations; answers how many.
fn land(
    runs: &mut Runs,
    number: u64,
    result: Result<usize, i32>,
    done: &mut Vec<Completion>,
) -> usize {
    if number & RUN != 0 {
        return runs.land(number as u32 & !(RUN as u32), result, done);
    }
    done.push(Completion {
        token: Token::from_u64(number),
        result,
    });
    1
}

/// How long to wait before asking a kernel again that had no memory.
const REST: Duration = Duration::from_millis(1);

/// IOPRIO_PRIO_VALUE of the best-effort class (2) and the realtime class (1); levels 0 to 7, 0 first.
const BEST_EFFORT: u16 = 2 << 13;
const REALTIME: u16 = 1 << 13;

/// `ioprio` of each priority. Without the right to the realtime class, the most urgent of the usual one.
fn io_priorities(realtime: bool) -> [u16; PRIORITY_COUNT] {
    let mut values = [0; PRIORITY_COUNT];
    values[Priority::Low as usize] = BEST_EFFORT | 7;
    // The thread's own, which a user may have chosen with ionice(1).
    values[Priority::Normal as usize] = 0;
    values[Priority::High as usize] = BEST_EFFORT;
    values[Priority::Realtime as usize] = if realtime { REALTIME | 4 } else { BEST_EFFORT };
    values
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
            .setup_coop_taskrun()
            .setup_taskrun_flag();
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
            self.reap(1, None, &mut done);
        }
        // It would keep the ring as long as its thread lives.
        self.index = None;
        if self.lost && !crate::sys::occupy(self.ring.as_raw_fd()) {
            // The number is another descriptor by now, which must stay open.
            return;
        }
        // SAFETY: dropped here, once, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
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
    if crate::sys::is_filtered() && !crate::sys::survives_ring_calls() {
        return Err(
            "a seccomp filter ends processes that call io_uring_setup; allow \
                    io_uring_setup, io_uring_enter and io_uring_register in its profile"
                .to_owned(),
        );
    }
    let ring = build(true)
        .or_else(|_| build(false))
        .map_err(|error| refusal(&error))?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| format!("its probe failed: {error}"))?;
    let needed = [
        (opcode::Read::CODE, "READ"),
        (opcode::Readv::CODE, "READV"),
        (opcode::Write::CODE, "WRITE"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
    ];
    if let Some((_, name)) = needed
        .into_iter()
        .find(|&(code, _)| !probe.is_supported(code))
    {
        return Err(format!(
            "this kernel's io_uring has no {name}; Linux 5.13 or later has it"
        ));
    }
    drop(ring);
    read_something().map_err(|error| format!("a first read failed: {error}"))
}

/// Reads a little of a file that every process has.
fn read_something() -> io::Result<()> {
    let path = Path::new("/proc/self/exe");
    let file = Arc::new(OpenFile::new(
        std::fs::File::open(path)?.into(),
        path.into(),
    ));
    let mut buffer = crate::memory::Buffer::new(4);
    let destination = buffer.lend().expect("a new buffer is not lent");
    let mut uring = Uring::new(Arc::new(crate::sys::eventfd()?))?;
    // Kept until the read is done, as the driver keeps its operations.
    let op = Op {
        token: Token::from_u64(1),
        direction: Direction::Read,
        file,
        way: Way::Buffered,
        priority: Priority::Normal,
        offset: 0,
        span: destination.span(),
        staged: None,
    };
    uring.push(&op);
    let mut done = Vec::new();
    while done.is_empty() {
        uring.reap(1, None, &mut done);
    }
    if uring.wake_armed != [true; POLLS] {
        return Err(io::Error::other(
            "it has no multishot poll, which Linux 5.13 has",
        ));
    }
    drop(uring);
    drop((op, destination));
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
            "this kernel has none, or a sandbox hides it; Linux 5.13 or later without a filter has it"
        }
        (Some(libc::ENOMEM), _) => {
            "there is not enough lockable memory for a ring; raise `ulimit -l` (RLIMIT_MEMLOCK)"
        }
        _ => return format!("io_uring_setup failed: {error}"),
    };
    format!("io_uring_setup failed ({error}): {cause}")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::time::Instant;

    use super::*;

    /// A ring and its wake-up event, or a line that says why there is none.
    fn ring() -> Option<(Uring, Arc<OwnedFd>)> {
        if let Err(why) = probe() {
            println!("SKIPPED: no io_uring here: {why}");
            return None;
        }
        let wake = Arc::new(crate::sys::eventfd().unwrap());
        Some((Uring::new(Arc::clone(&wake)).unwrap(), wake))
    }

    /// Reads of it wait until something is written.
    fn empty_pipe() -> (Arc<OpenFile>, std::io::PipeWriter) {
        let (reader, writer) = std::io::pipe().unwrap();
        let file = OpenFile::new(reader.into(), Path::new("pipe").into());
        (Arc::new(file), writer)
    }

    /// Reads of one byte each, `apart` bytes from one to the next.
    fn push_reads(ring: &mut Uring, file: &Arc<OpenFile>, span: Span, apart: u64) -> Vec<Op> {
        let op = |index: usize| Op {
            token: Token::from_u64(apart << 32 | index as u64),
            direction: Direction::Read,
            file: Arc::clone(file),
            way: Way::Buffered,
            priority: Priority::Normal,
            offset: apart * index as u64,
            span: span.part(index, 1),
            staged: None,
        };
        let ops: Vec<Op> = (0..POLLS).map(op).collect();
        for op in &ops {
            ring.push(op);
        }
        ops
    }

    #[test]
    fn a_call_ends_a_wait_for_several_completions() {
        let Some((mut ring, wake)) = ring() else {
            return;
        };
        let (file, mut writer) = empty_pipe();
        let mut buffer = crate::memory::Buffer::new(POLLS);
        let memory = buffer.lend().unwrap();
        let ops = push_reads(&mut ring, &file, memory.span(), 100);
        let mut done = Vec::new();
        let patience = Duration::from_secs(10);
        // More than once: the event is never emptied, and the polls stand for good.
        for _ in 0..3 {
            let started = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(5));
                    crate::sys::eventfd_set(wake.as_fd());
                });
                ring.reap(POLLS, Some(patience), &mut done);
            });
            // The kernel does not say so when something completed, but not enough.
            assert!(started.elapsed() < patience, "the wait has timed out");
            assert!(done.is_empty());
        }
        writer.write_all(&[7; POLLS]).unwrap();
        while done.len() < ops.len() {
            let waited = ring.reap(POLLS, Some(patience), &mut done);
            assert_eq!(waited, Waited::Woken);
        }
        assert_eq!((ring.in_flight, ring.expected), (0, 0));
        assert!(done.iter().all(|done| done.result == Ok(1)));
        drop((ring, ops, memory));
        assert_eq!(buffer.bytes().unwrap(), [7; POLLS]);
    }

    #[test]
    fn a_run_is_one_completion_to_wait_for() {
        let Some((mut ring, _)) = ring() else {
            return;
        };
        let (slow, mut writer) = empty_pipe();
        let own = std::env::current_exe().unwrap();
        let quick = std::fs::File::open(&own).unwrap();
        let quick = Arc::new(OpenFile::new(quick.into(), own.as_path().into()));
        let mut buffers = [POLLS; 2].map(crate::memory::Buffer::new);
        let memories = buffers.each_mut().map(|buffer| buffer.lend().unwrap());
        let patience = Duration::from_secs(10);
        let mut done = Vec::new();
        let held = push_reads(&mut ring, &slow, memories[0].span(), 100);
        let run = push_reads(&mut ring, &quick, memories[1].span(), 1);
        let started = Instant::now();
        ring.reap(run.len(), Some(patience), &mut done);
        assert!(started.elapsed() < patience, "it waited for the pipe");
        assert_eq!(done.len(), run.len());
        writer.write_all(&[7; POLLS]).unwrap();
        while ring.in_flight > 0 {
            ring.reap(1, Some(patience), &mut done);
        }
        drop((ring, held, run, memories));
        assert_eq!(buffers[1].bytes().unwrap(), b"\x7fELF\x02\x01\x01\x00");
    }
}
