//! The host workers: decompression and copies, on the CPU.
//!
//! Owns the jobs that wait for a core. A job is cut into pieces (tiles of a GDeflate stream, parts
//! of a copy); workers claim a few at a time, so that one large request uses every core and many
//! small ones do not pay for that. Bounded: a job exists only for a request that has a slot.
//!
//! Owns the list of queues whose streams workers read, too (`warm.rs`). Only workers come to a queue of that
//! list, and it may have requests for the I/O threads. So its wait is bounded: it is listed only where a few
//! tiles and nothing else are to be done before, and goes to the I/O threads when something overtakes it.
//!
//! One of the few files that hold `unsafe`: this is where the promise of a `Span` is used.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::{Error, Fault, Subsystem};
use crate::gdeflate::{self, HeaderPolicy, TileStream};
use crate::hold::Hold;
use crate::memory::Span;
use crate::open_file::{OpenFile, Way};
use crate::queue::{Closing, Outcome, PRIORITY_COUNT, QueueCore};
use crate::runtime::Shared;
use crate::scheduler::{Wake, Woken};
use crate::slots::{Slots, Token};
use crate::sys;
use crate::warm::{self, Reader};

/// A copy is cut into pieces of this size.
const COPY_PIECE_BYTES: usize = 1 << 20;
/// The most pieces that a worker claims at once: enough that the lock costs nothing, few enough to
/// share well.
const CLAIM_MAX: u32 = 4;
/// Pieces that wait for a worker, for each worker. While there are more, workers have enough to do, and
/// streams are read by the I/O threads: no listed queue waits for more than these.
const BACKLOG_PIECES: usize = 64;
/// Room for jobs that is made at once; more is made when needed.
const JOBS_INITIAL: usize = 1024;

#[derive(Clone, Copy, Debug)]
enum Verb {
    Copy,
    Decode,
    /// Into the job's file.
    Write,
}

/// How a job writes to its destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// As it is: the engine's memory, or that of a `Buffer`, which the request keeps.
    Ours,
    /// After a question to the kernel.
    Asked,
    /// Through the kernel alone: the memory may be taken away from the engine's threads at any time.
    Watched,
}

/// What a job is about. Memory that is not the engine's is asked for before it is touched.
#[derive(Clone, Copy, Debug)]
struct Task {
    verb: Verb,
    source: Span,
    source_is_ours: bool,
    destination: Span,
    access: Access,
}

impl Task {
    fn new(verb: Verb, source: Span, hold: &Hold, destination: Span) -> Task {
        Task {
            verb,
            source,
            source_is_ours: hold.owns(source),
            destination,
            access: match hold.owns(destination) {
                true => Access::Ours,
                false => Access::Asked,
            },
        }
    }

    /// The same, where the host may watch the application's memory (`copies.rs`).
    fn watched(self, shared: &Shared) -> Task {
        match self.access {
            Access::Asked if shared.copies.has_begun() => Task {
                access: Access::Watched,
                ..self
            },
            _ => self,
        }
    }
}

#[derive(Debug)]
struct Job {
    queue: Arc<QueueCore>,
    entry: Token,
    task: Task,
    /// For [`Verb::Write`], with the offset of the first byte.
    file: Option<(Arc<OpenFile>, u64)>,
    hold: Hold,
    pieces: u32,
    /// The next piece that nobody has claimed.
    next: u32,
    /// Workers that have claimed pieces and not come back.
    active: u32,
    failed: Option<Fault>,
}

/// What a worker can turn to.
#[derive(Debug)]
enum Open {
    /// A job with unclaimed pieces.
    Job(Token),
    /// A queue whose streams are to be read (`warm.rs`).
    Queue(Arc<QueueCore>),
}

/// Invariant: while a queue is in `open`, nothing of a higher priority is.
#[derive(Debug)]
struct Jobs {
    jobs: Slots<Job>,
    /// What there is to do, highest priority last.
    open: [VecDeque<Open>; PRIORITY_COUNT],
    /// Files to close, before anything else: somebody waits for their requests' ends.
    closing: VecDeque<(Arc<QueueCore>, Vec<Closing>)>,
    /// How many queues are in `open`.
    listed: usize,
    /// Pieces of all jobs that nobody has claimed.
    pieces: usize,
    /// Jobs that are no decoding: a copy may be a long one, and a write may wait for a disk.
    others: usize,
    sleeping: usize,
    stopped: bool,
}

/// The jobs and the workers' sleep.
#[derive(Debug)]
pub(crate) struct Host {
    jobs: Mutex<Jobs>,
    wake: Condvar,
    workers: u32,
}

/// What a worker owns.
#[derive(Default)]
pub(crate) struct Worker {
    decoder: gdeflate::Decoder,
    /// For a tile on its way to watched memory.
    scratch: Vec<u8>,
    pub(crate) reader: Reader,
}

struct Claim {
    job: Token,
    task: Task,
    file: Option<(Arc<OpenFile>, u64)>,
    pieces: std::ops::Range<u32>,
}

/// What a worker does next.
enum Next {
    Work(Claim),
    Read(Arc<QueueCore>),
    Close(Arc<QueueCore>, Vec<Closing>),
}

impl Host {
    pub(crate) fn new(workers: usize) -> Host {
        let jobs = Jobs {
            jobs: Slots::with_initial(u32::MAX as usize, JOBS_INITIAL),
            open: Default::default(),
            closing: VecDeque::new(),
            listed: 0,
            pieces: 0,
            others: 0,
            sleeping: 0,
            stopped: false,
        };
        Host {
            jobs: Mutex::new(jobs),
            wake: Condvar::new(),
            workers: workers.max(1) as u32,
        }
    }

    /// Adds a copy; source and destination have the same size.
    pub(crate) fn copy(
        &self,
        shared: &Shared,
        queue: &Arc<QueueCore>,
        entry: Token,
        source: Span,
        hold: Hold,
        destination: Span,
    ) {
        let pieces = source.bytes().div_ceil(COPY_PIECE_BYTES) as u32;
        let task = Task::new(Verb::Copy, source, &hold, destination).watched(shared);
        self.add(shared, Job::new(queue, entry, task, hold, pieces));
    }

    /// Adds a write of what is held, through the page cache: where the bytes were got by other means than
    /// an `Io`.
    pub(crate) fn write(
        &self,
        shared: &Shared,
        queue: &Arc<QueueCore>,
        entry: Token,
        source: Span,
        hold: Hold,
        file: (Arc<OpenFile>, u64),
    ) {
        let pieces = source.bytes().div_ceil(COPY_PIECE_BYTES) as u32;
        let task = Task::new(Verb::Write, source, &hold, source);
        let mut job = Job::new(queue, entry, task, hold, pieces);
        job.file = Some(file);
        self.add(shared, job);
    }

    /// Adds the decompression of a GDeflate tile stream.
    pub(crate) fn decode(
        &self,
        shared: &Shared,
        queue: &Arc<QueueCore>,
        entry: Token,
        source: Span,
        hold: Hold,
        destination: Span,
    ) {
        if let Some(job) = decode_job(shared, queue, entry, source, hold, destination) {
            self.add(shared, job);
        }
    }

    /// The same of a stream that `worker` has just read: one of a single tile is decoded at once, others are
    /// everybody's.
    pub(crate) fn decode_read(
        &self,
        shared: &Shared,
        worker: &mut Worker,
        (queue, entry): (&Arc<QueueCore>, Token),
        source: Span,
        hold: Hold,
        destination: Span,
    ) {
        let job = decode_job(shared, queue, entry, source, hold, destination);
        match job {
            None => {}
            Some(mut job) if job.pieces == 1 => {
                job.failed = worker.work(&job.task, &None, 0..1).err();
                finish(shared, job);
            }
            Some(job) => self.add(shared, job),
        }
    }

    fn add(&self, shared: &Shared, job: Job) {
        if job.pieces == 0 {
            return finish(shared, job);
        }
        let priority = job.queue.priority_index();
        let mut jobs = self.jobs.lock();
        jobs.pieces += job.pieces as usize;
        jobs.others += usize::from(job.is_other());
        let Ok(token) = jobs.jobs.insert(job) else {
            unreachable!("fewer jobs than slots")
        };
        self.open(shared, jobs, priority, Open::Job(token));
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.workers as usize
    }

    /// Lists a queue whose streams workers read; `false` if they have enough to do without, or something that
    /// may take long.
    pub(crate) fn list(&self, queue: &Arc<QueueCore>) -> bool {
        let priority = queue.priority_index();
        let jobs = self.jobs.lock();
        let enough = jobs.pieces > BACKLOG_PIECES * self.workers as usize;
        if enough || jobs.others > 0 || jobs.has_more_urgent(priority) {
            return false;
        }
        let open = Open::Queue(Arc::clone(queue));
        self.open(&queue.shared, jobs, priority, open);
        true
    }

    /// Opens something. What it overtakes might wait for as long as more like it comes, so queues among that
    /// go to the I/O threads, with the lock let go: theirs comes after none.
    fn open(&self, shared: &Shared, mut jobs: MutexGuard<'_, Jobs>, priority: usize, open: Open) {
        let overtaken = jobs.take_overtaken(priority);
        jobs.listed += usize::from(matches!(open, Open::Queue(_)));
        jobs.open[priority].push_back(open);
        let sleeping = jobs.sleeping > 0;
        drop(jobs);
        if sleeping {
            self.wake.notify_one();
        }
        for queue in overtaken {
            shared.scheduler.list(queue, Wake::Yes);
        }
    }

    /// Has a queue's files closed, for threads that cannot wait for that.
    pub(crate) fn close_files(&self, queue: Arc<QueueCore>, closing: Vec<Closing>) {
        let mut jobs = self.jobs.lock();
        jobs.closing.push_back((queue, closing));
        let sleeping = jobs.sleeping > 0;
        drop(jobs);
        if sleeping {
            self.wake.notify_one();
        }
    }

    /// Forgets the queues that are still listed, when nobody looks for them any more. A listed queue keeps
    /// the runtime, which keeps this list.
    pub(crate) fn clear(&self) {
        let mut jobs = self.jobs.lock();
        let listed = jobs.open.each_mut().map(std::mem::take);
        jobs.listed = 0;
        drop(jobs);
        drop(listed);
    }

    /// Works until [`Host::stop`].
    pub(crate) fn run(&self, shared: &Shared) {
        let mut worker = Worker::default();
        loop {
            if self.turn(shared, &mut worker) {
                continue;
            }
            match self.sleep(worker.reader.release_due(shared)) {
                Woken::Work => {}
                Woken::Idle => shared.release_idle_staging(),
                Woken::Stop => return,
            }
        }
    }

    /// Sleeps until there is something to do, or nothing was for as long as `timeout`.
    fn sleep(&self, timeout: Option<Duration>) -> Woken {
        let mut jobs = self.jobs.lock();
        while !jobs.stopped && jobs.is_idle() {
            jobs.sleeping += 1;
            let timed_out = match timeout {
                Some(timeout) => self.wake.wait_for(&mut jobs, timeout).timed_out(),
                None => {
                    self.wake.wait(&mut jobs);
                    false
                }
            };
            jobs.sleeping -= 1;
            if timed_out {
                return Woken::Idle;
            }
        }
        if jobs.stopped {
            Woken::Stop
        } else {
            Woken::Work
        }
    }

    /// Does a few pieces of the next job, or reads for more; `false` if there is nothing to do.
    pub(crate) fn turn(&self, shared: &Shared, worker: &mut Worker) -> bool {
        let mut claim = match self.next() {
            None => return false,
            Some(Next::Read(queue)) => {
                warm::read(shared, &queue, worker);
                return true;
            }
            Some(Next::Close(queue, closing)) => {
                queue.close_files(closing);
                return true;
            }
            Some(Next::Work(claim)) => claim,
        };
        let result = worker.work(&claim.task, &claim.file, claim.pieces.clone());
        // First: the request may end with this claim or another's, and its file is closed before.
        drop(claim.file.take());
        if let Some(job) = self.give_back(&claim, result) {
            finish(shared, job);
        }
        true
    }

    /// Ends [`Host::run`].
    pub(crate) fn stop(&self) {
        self.jobs.lock().stopped = true;
        self.wake.notify_all();
    }

    /// What the calling worker does next. Waking is a chain: whoever takes something wakes the next worker if
    /// it leaves something.
    fn next(&self) -> Option<Next> {
        let mut jobs = self.jobs.lock();
        if let Some((queue, closing)) = jobs.closing.pop_front() {
            return Some(Next::Close(queue, closing));
        }
        let next = jobs.next(self.workers)?;
        if jobs.sleeping > 0 && jobs.open.iter().any(|open| !open.is_empty()) {
            self.wake.notify_one();
        }
        Some(next)
    }

    /// A worker comes back; answers the job if it was the last.
    fn give_back(&self, claim: &Claim, result: Outcome) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        let job = jobs
            .jobs
            .get_mut(claim.job)
            .expect("a job lives while it is worked on");
        job.active -= 1;
        if let Err(fault) = result {
            job.failed.get_or_insert(fault);
            jobs.skip_rest(claim.job);
        }
        jobs.take_if_done(claim.job)
    }

    /// Drops the unclaimed pieces of a queue's cancelled requests.
    pub(crate) fn skip_cancelled(&self, queue: &Arc<QueueCore>) {
        // Two steps, because asking the queue takes its lock, which comes before this one.
        let mut entries = Vec::new();
        for (token, job) in self.jobs.lock().jobs.iter_mut() {
            if Arc::ptr_eq(&job.queue, queue) {
                entries.push((token, job.entry));
            }
        }
        entries.retain(|&(_, entry)| queue.is_cancelled(entry));
        for (token, _) in entries {
            let mut jobs = self.jobs.lock();
            jobs.skip_rest(token);
            let done = jobs.take_if_done(token);
            drop(jobs);
            if let Some(job) = done {
                finish(&queue.shared, job);
            }
        }
    }
}

impl Jobs {
    fn is_idle(&self) -> bool {
        self.closing.is_empty() && self.open.iter().all(VecDeque::is_empty)
    }

    fn next(&mut self, workers: u32) -> Option<Next> {
        let open = self.open.iter_mut().rev().find(|open| !open.is_empty())?;
        let token = match open.front()? {
            Open::Job(token) => *token,
            Open::Queue(_) => {
                let Some(Open::Queue(queue)) = open.pop_front() else {
                    unreachable!("seen just now")
                };
                self.listed -= 1;
                return Some(Next::Read(queue));
            }
        };
        let job = self.jobs.get_mut(token).expect("an open job lives");
        let share = (job.pieces - job.next).div_ceil(workers * 2);
        let count = share.clamp(1, CLAIM_MAX).min(job.pieces - job.next);
        let pieces = job.next..job.next + count;
        job.next += count;
        self.pieces -= count as usize;
        job.active += 1;
        let claim = Claim {
            job: token,
            task: job.task,
            file: job.file.clone(),
            pieces,
        };
        if job.next == job.pieces {
            open.pop_front();
        }
        Some(Next::Work(claim))
    }

    /// Whether anything is open that comes before that priority, whatever its turn.
    fn has_more_urgent(&self, priority: usize) -> bool {
        let more_urgent = &self.open[priority + 1..];
        more_urgent.iter().any(|open| !open.is_empty())
    }

    /// Takes out the queues that something of that priority overtakes.
    fn take_overtaken(&mut self, priority: usize) -> Vec<Arc<QueueCore>> {
        let mut overtaken = Vec::new();
        // Where something of the priority is open, none is below.
        if self.listed == 0 || !self.open[priority].is_empty() || self.has_more_urgent(priority) {
            return overtaken;
        }
        for open in &mut self.open[..priority] {
            open.retain(|open| match open {
                Open::Job(_) => true,
                Open::Queue(queue) => {
                    overtaken.push(Arc::clone(queue));
                    false
                }
            });
        }
        self.listed -= overtaken.len();
        overtaken
    }

    fn skip_rest(&mut self, token: Token) {
        let Some(job) = self.jobs.get_mut(token) else {
            return;
        };
        if job.next < job.pieces {
            self.pieces -= (job.pieces - job.next) as usize;
            job.next = job.pieces;
            let priority = job.queue.priority_index();
            self.open[priority].retain(|open| !matches!(open, Open::Job(job) if *job == token));
        }
    }

    fn take_if_done(&mut self, token: Token) -> Option<Job> {
        let job = self.jobs.get(token)?;
        if job.active > 0 || job.next < job.pieces {
            return None;
        }
        self.others -= usize::from(job.is_other());
        self.jobs.remove(token)
    }
}

impl Job {
    fn new(queue: &Arc<QueueCore>, entry: Token, task: Task, hold: Hold, pieces: u32) -> Job {
        Job {
            queue: Arc::clone(queue),
            entry,
            task,
            file: None,
            hold,
            pieces,
            next: 0,
            active: 0,
            failed: None,
        }
    }

    fn is_other(&self) -> bool {
        !matches!(self.task.verb, Verb::Decode)
    }
}

/// The job of decoding a stream; `None` if the request ends here.
fn decode_job(
    shared: &Shared,
    queue: &Arc<QueueCore>,
    entry: Token,
    source: Span,
    hold: Hold,
    destination: Span,
) -> Option<Job> {
    let Some(kept) = queue.keeps_destination(entry) else {
        shared.land(queue, entry, hold, Err(cancelled()));
        return None;
    };
    let mut task = Task::new(Verb::Decode, source, &hold, destination);
    if kept {
        // The kernel walks every page to answer: a tenth of the time that decoding them takes.
        task.access = Access::Ours;
    }
    let task = task.watched(shared);
    match open_stream(&task) {
        Ok(pieces) => Some(Job::new(queue, entry, task, hold, pieces)),
        Err(fault) => {
            shared.land(queue, entry, hold, Err(fault));
            None
        }
    }
}

/// Passes a job's request on, whose file is let go before.
fn finish(shared: &Shared, mut job: Job) {
    drop(job.file.take());
    let outcome = job.failed.map_or(Ok(()), Err);
    shared.land(&job.queue, job.entry, job.hold, outcome);
}

#[track_caller]
fn cancelled() -> Fault {
    Fault::new(Error::Cancelled, Subsystem::Queue, "cancel")
}

#[track_caller]
fn decode_fault(error: Error) -> Fault {
    Fault::new(error, Subsystem::Decode, "decompress")
}

/// Checks a stream's header against the request; answers the number of tiles.
fn open_stream(task: &Task) -> Result<u32, Fault> {
    if !task.source_is_ours {
        task.source.check_readable().map_err(decode_fault)?;
    }
    // SAFETY: staging, or checked just now; the request is in flight.
    let bytes = unsafe { task.source.as_slice() };
    let stream = TileStream::parse(bytes, HeaderPolicy::AnyId).map_err(corrupt)?;
    let (holds, wanted) = (stream.uncompressed_bytes(), task.destination.bytes() as u64);
    if holds != wanted {
        // O-56: never success for a stream of another size.
        let detail = format!("the stream holds {holds} bytes, the request says {wanted}");
        return Err(decode_fault(Error::Corrupt).with_detail(detail));
    }
    Ok(stream.tile_count() as u32)
}

fn corrupt(error: gdeflate::DecodeError) -> Fault {
    decode_fault(Error::Corrupt).with_detail(error.to_string())
}

impl Worker {
    fn work(
        &mut self,
        task: &Task,
        file: &Option<(Arc<OpenFile>, u64)>,
        mut pieces: std::ops::Range<u32>,
    ) -> Outcome {
        pieces.try_for_each(|piece| match task.verb {
            Verb::Copy => copy_piece(piece as usize, task),
            Verb::Decode => self.decode_piece(piece as usize, task),
            Verb::Write => write_piece(piece as usize, task.source, file),
        })
    }

    fn decode_piece(&mut self, piece: usize, task: &Task) -> Outcome {
        // SAFETY: `open_stream` has checked it; the request is in flight.
        let bytes = unsafe { task.source.as_slice() };
        let tile = Tile::of(bytes, piece, task.destination)?;
        // Where the kernel does not copy, a look has to do.
        if task.access == Access::Watched
            && let Some(outcome) = self.decode_watched(&tile)
        {
            return outcome;
        }
        if task.access != Access::Ours {
            tile.part.check_writable().map_err(decode_fault)?;
        }
        // SAFETY: staging, or checked just now; pieces do not overlap, and each is claimed once.
        let output = unsafe { tile.part.as_uninit_mut() };
        tile.outcome(self.decoder.decode_tile_uninit(tile.compressed, output))
    }

    /// Decodes in memory of the worker's, and has the kernel put the bytes in their place; `None` if it does
    /// not do such things here.
    fn decode_watched(&mut self, tile: &Tile<'_>) -> Option<Outcome> {
        self.scratch.resize(gdeflate::TILE_BYTES, 0);
        let output = &mut self.scratch[..tile.part.bytes()];
        let result = self.decoder.decode_tile(tile.compressed, output);
        if let Err(fault) = tile.outcome(result) {
            return Some(Err(fault));
        }
        // SAFETY: the worker's own memory, which outlives the call below.
        let decoded = unsafe { Span::new(output.as_mut_ptr(), output.len()) };
        let filled = tile.part.fill_from(decoded)?;
        Some(filled.map_err(decode_fault))
    }
}

/// One tile of a stream, and where it goes.
struct Tile<'a> {
    compressed: &'a [u8],
    part: Span,
    number: usize,
    count: usize,
}

impl Tile<'_> {
    /// Parsing is a look at eight bytes. The source is hostile memory that may have changed since the last
    /// look.
    fn of(source: &[u8], number: usize, destination: Span) -> Result<Tile<'_>, Fault> {
        let stream = TileStream::parse(source, HeaderPolicy::AnyId).map_err(corrupt)?;
        let compressed = stream.tile(number).map_err(corrupt)?;
        let output = stream.tile_output(number);
        let (start, end) = (output.start as usize, output.end as usize);
        if end > destination.bytes() {
            return Err(decode_fault(Error::Corrupt)
                .with_detail("the stream's header changed while it was read".into()));
        }
        Ok(Tile {
            compressed,
            part: destination.part(start, end - start),
            number,
            count: stream.tile_count(),
        })
    }

    fn outcome<T>(&self, result: Result<T, gdeflate::DecodeError>) -> Outcome {
        result.map(drop).map_err(|error| {
            decode_fault(Error::Corrupt)
                .with_detail(format!("tile {} of {}: {error}", self.number, self.count))
        })
    }
}

fn write_piece(piece: usize, source: Span, file: &Option<(Arc<OpenFile>, u64)>) -> Outcome {
    let fault = |error| Fault::new(error, Subsystem::Io, "write");
    let Some((file, offset)) = file else {
        return Err(fault(Error::InvalidFileHandle));
    };
    let start = piece * COPY_PIECE_BYTES;
    let mut rest = source.part(start, COPY_PIECE_BYTES.min(source.bytes() - start));
    let mut offset = offset + start as u64;
    while rest.bytes() > 0 {
        match sys::pwrite(file.fd(Way::Buffered), rest, offset) {
            Ok(0) => return Err(fault(Error::Os(libc::ENOSPC))),
            Ok(bytes) => {
                rest = rest.part(bytes, rest.bytes() - bytes);
                offset += bytes as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                return Err(fault(Error::from_io_errno(errno)));
            }
        }
    }
    Ok(())
}

fn copy_piece(piece: usize, task: &Task) -> Outcome {
    let start = piece * COPY_PIECE_BYTES;
    let bytes = COPY_PIECE_BYTES.min(task.source.bytes() - start);
    let source = task.source.part(start, bytes);
    let destination = task.destination.part(start, bytes);
    let fault = |error| Fault::new(error, Subsystem::Io, "copy");
    // Where the kernel does not copy, a look has to do.
    if task.access == Access::Watched
        && let Some(filled) = destination.fill_from(source)
    {
        return filled.map_err(fault);
    }
    if !task.source_is_ours {
        source.check_readable().map_err(fault)?;
    }
    if task.access != Access::Ours {
        destination.check_writable().map_err(fault)?;
    }
    // SAFETY: both are staging, or were checked just now; the request is in flight.
    unsafe { destination.copy_from(source) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;
    use crate::backend::Backend;
    use crate::config::Config;
    use crate::queue::{Priority, Queue, QueueDesc};
    use crate::runtime::Runtime;
    use crate::sys::Mapping;

    /// Far more than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A runtime without threads, and queues of it, lowest priority first.
    fn queues() -> (Runtime, [Queue; PRIORITY_COUNT]) {
        let config = Config {
            backend: Backend::Sim,
            ..Config::default()
        };
        let runtime = Runtime::exactly(config).unwrap();
        let priorities = [
            Priority::Low,
            Priority::Normal,
            Priority::High,
            Priority::Realtime,
        ];
        let queues = priorities.map(|priority| {
            let mut desc = QueueDesc::new(128);
            desc.priority = priority;
            runtime.create_queue(desc).unwrap()
        });
        (runtime, queues)
    }

    /// A job of one piece, which nobody works on.
    fn job(queue: &Queue, verb: Verb) -> Job {
        let span = Mapping::new(1).unwrap().span(0, 1);
        let mut task = Task::new(verb, span, &Hold::Nothing, span);
        task.access = Access::Ours;
        Job::new(queue.core(), Token::from_u64(0), task, Hold::Nothing, 1)
    }

    /// A worker takes the next piece, and comes back.
    fn pass_one(host: &Host) {
        let Some(Next::Work(claim)) = host.next() else {
            panic!("no job is open")
        };
        assert!(host.give_back(&claim, Ok(())).is_some());
    }

    #[test]
    fn a_listed_queue_that_is_overtaken_goes_to_the_io_threads() {
        let (runtime, [_, normal, high, _]) = queues();
        let (shared, host) = (runtime.shared(), Host::new(2));
        let goes = |queue: &Queue| {
            let listed = shared.scheduler.next(|_| true);
            listed.is_some_and(|listed| {
                shared.scheduler.looked();
                Arc::ptr_eq(&listed, queue.core())
            })
        };
        host.add(shared, job(&normal, Verb::Decode));
        assert!(host.list(normal.core()));
        host.add(shared, job(&normal, Verb::Decode));
        assert!(
            shared.scheduler.next(|_| true).is_none(),
            "it keeps its place"
        );

        host.add(shared, job(&high, Verb::Decode));
        assert!(goes(&normal));
        assert!(!host.list(normal.core()), "it would come last");
        (0..3).for_each(|_| pass_one(&host));
        assert!(host.next().is_none(), "it is in one list alone");

        assert!(host.list(normal.core()));
        assert!(host.list(high.core()));
        assert!(goes(&normal), "the other may read for ever");
        assert!(matches!(host.next(), Some(Next::Read(queue)) if Arc::ptr_eq(&queue, high.core())));
        assert!(host.next().is_none());
    }

    #[test]
    fn no_queue_waits_for_copies_and_writes() {
        let (runtime, [low, normal, ..]) = queues();
        let host = Host::new(2);
        host.add(runtime.shared(), job(&low, Verb::Copy));
        assert!(!host.list(normal.core()));
        let Some(Next::Work(claim)) = host.next() else {
            panic!("no job is open")
        };
        assert!(!host.list(normal.core()), "a worker may be long about it");
        assert!(host.give_back(&claim, Ok(())).is_some());
        assert!(host.list(normal.core()));
    }

    #[test]
    fn whoever_reads_wakes_the_next_worker_for_what_is_left() {
        let (_runtime, queues) = queues();
        let host = &Host::new(2);
        let (ends, end) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || ends.send(host.sleep(None)));
            let start = Instant::now();
            while host.jobs.lock().sleeping == 0 {
                assert!(start.elapsed() < PATIENCE);
                std::thread::yield_now();
            }
            // As if the sleeper's own wake had gone to somebody else.
            let mut jobs = host.jobs.lock();
            for queue in &queues[..2] {
                jobs.listed += 1;
                jobs.open[0].push_back(Open::Queue(Arc::clone(queue.core())));
            }
            drop(jobs);
            let read = host.next();
            let woken = end.recv_timeout(PATIENCE);
            host.stop();
            assert!(matches!(read, Some(Next::Read(_))));
            assert_eq!(woken, Ok(Woken::Work));
        });
    }
}
