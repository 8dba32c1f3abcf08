//! Foreign copies: bytes that only the host's own threads may put where they belong.
//!
//! Some hosts watch memory: the kernel sees a page as read-only until a thread of the host writes there, and
//! the host's handler makes it writable (Wine does so for MEM_WRITE_WATCH). Reads into such a page end with
//! EFAULT, and so do the questions that workers ask the kernel. With [`ForeignCopies::begin`] a request that
//! meets one starts over: its bytes come to memory of the engine, and the last step is a copy that a thread
//! of the host makes and answers.
//!
//! Other places only the host knows at all, a resource of its graphics API for one. It gives them a number,
//! a *cookie*, with [`ForeignCopies::destination`]. Their bytes always come to the engine's memory, read,
//! copied or decoded there like any others, and the copy names the cookie in the place of an address. Where
//! the queue has a [`ForeignPool`] that memory is the host's own, which its graphics API sees too: then
//! nothing is left to be copied by the host's threads.
//!
//! A host whose copies are made by something else, in the order in which they are given to it, can have that
//! make signals, too ([`ForeignCopies::signal`]): they come to the host behind the copies that they are
//! about, and do not wait for the answers.
//!
//! Owns the desk at which the host's threads come by: tasks in order, and cookies that come back. Bounded:
//! one copy for each request in flight, its bytes in staging, one signal for each that was enqueued, one
//! block for each pool, and one returned cookie for each request that ended and each block. A copy that the
//! host has fetched is the host's until it answers: cancelling and closing wait for it. One that was not
//! fetched is taken back.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, Fault, Subsystem};
use crate::foreign_pool::ForeignPool;
use crate::hold::{Bounce, BounceTo, Hold};
use crate::memory::RawBytes;
use crate::notify::Event;
use crate::queue::{Outcome, QueueCore};
use crate::request::Compression;
use crate::runtime::Runtime;
use crate::slots::{Slots, Token};

/// Where a copy goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForeignTo {
    /// Memory of the source's size: the request's destination, where the host may find that nothing can be
    /// written.
    Memory(RawBytes),
    /// The place that the host gave this number.
    Cookie(u64),
}

/// A copy for the host: all of `source` to `destination`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForeignCopy {
    /// For the answer; unique among unanswered copies.
    pub id: u64,
    /// Readable until the answer: the engine's memory, or that of the request's own source.
    pub source: RawBytes,
    /// Where its bytes go.
    pub destination: ForeignTo,
    /// The block of a [`ForeignPool`] that the source lies in, by the number that the host gave it.
    pub block: Option<u64>,
}

/// Something for the host's threads to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForeignTask {
    /// A copy, to be answered.
    Copy(ForeignCopy),
    /// The signal of that cookie, behind every copy that was fetched before it. Nothing is to be answered,
    /// and the cookie does not come back otherwise.
    Signal(u64),
    /// A block of at least `bytes` bytes for the pool that the host calls `pool`: to be answered with
    /// [`ForeignPool::add_block`] or [`ForeignPool::refuse_block`].
    Block {
        /// The pool's cookie.
        pool: u64,
        /// How many bytes.
        bytes: usize,
    },
}

/// What the host calls a destination in error records, and gets back as it was.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ForeignShown {
    /// DirectStorage's number for the type of destination.
    pub kind: u8,
    /// Whatever the host likes.
    pub words: [u64; 5],
    /// In the place of [`Compression::NONE`]: what the host decompresses by itself.
    pub format: Compression,
    /// With a format: the size after decompression, in bytes.
    pub uncompressed_bytes: u32,
}

/// A destination that only the host can reach, from [`ForeignCopies::destination`].
///
/// Owned by its request. When that has ended, however it did, and nothing of it will be copied any more, the
/// cookie goes back to the host: [`ForeignCopies::fetch_returned`].
#[derive(Debug)]
pub struct ForeignDestination {
    cookie: u64,
    bytes: u32,
    refusal: Option<Error>,
    shown: ForeignShown,
    desk: Arc<Desk>,
}

impl ForeignDestination {
    /// The same destination of a request that the host finds impossible: it fails with `error` when its turn
    /// comes, unless its source is what is wrong with it.
    #[must_use]
    pub fn refused(mut self, error: Error) -> ForeignDestination {
        self.refusal = Some(error);
        self
    }

    /// The same destination with what error records tell of it.
    #[must_use]
    pub fn shown(mut self, shown: ForeignShown) -> ForeignDestination {
        self.shown = shown;
        self
    }

    pub(crate) fn cookie(&self) -> u64 {
        self.cookie
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// What the host will make of the bytes; 0 if it takes them as they are.
    pub(crate) fn bytes_decoded_by_host(&self) -> usize {
        self.shown.uncompressed_bytes as usize
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.refusal.map_or(Ok(()), Err)
    }

    pub(crate) fn info(&self) -> ForeignPlaceInfo {
        ForeignPlaceInfo {
            cookie: self.cookie,
            bytes: self.bytes,
            shown: self.shown,
        }
    }
}

impl Drop for ForeignDestination {
    fn drop(&mut self) {
        self.desk.give_back(self.cookie);
    }
}

/// A signal that the host makes, from [`ForeignCopies::signal`].
///
/// Its cookie goes to the host once: as a [`ForeignTask::Signal`] when its turn has come; or, if that will
/// never be, back by [`ForeignCopies::fetch_returned`].
#[derive(Debug)]
pub struct ForeignSignal {
    /// Gone once it was fetched.
    cookie: Option<u64>,
    value: u64,
    refusal: Option<Error>,
    desk: Arc<Desk>,
}

impl ForeignSignal {
    /// The same of a fence that the host finds impossible: it fails with `error` when its turn comes.
    #[must_use]
    pub fn refused(mut self, error: Error) -> ForeignSignal {
        self.refusal = Some(error);
        self
    }

    pub(crate) fn refusal(&self) -> Option<Error> {
        self.refusal
    }

    pub(crate) fn value(&self) -> u64 {
        self.value
    }

    /// Goes to the host, behind the copies that are there. May be called under the lock of the queue,
    /// `owner`.
    pub(crate) fn hand(self, owner: usize) {
        let desk = Arc::clone(&self.desk);
        desk.add(|line| line.waiting.push_back(Errand::Signal(owner, self)));
    }
}

impl Drop for ForeignSignal {
    fn drop(&mut self) {
        if let Some(cookie) = self.cookie {
            self.desk.give_back(cookie);
        }
    }
}

/// A [`ForeignDestination`], as error records and logs name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignPlaceInfo {
    /// The host's number, which may have been returned since.
    pub cookie: u64,
    /// Size in bytes.
    pub bytes: u32,
    /// What the host calls it.
    pub shown: ForeignShown,
}

impl fmt::Display for ForeignPlaceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes of the host's destination {:#x}, of type {}",
            self.bytes, self.cookie, self.shown.kind
        )
    }
}

/// Where the host's threads come by. All of it may be called under a queue's or a pool's lock.
#[derive(Debug)]
pub(crate) struct Desk {
    line: Mutex<Line>,
    returned: Mutex<ReturnedCookies>,
}

/// Cookies on their way back to the host.
#[derive(Default, Debug)]
struct ReturnedCookies {
    cookies: VecDeque<u64>,
    event: Option<Event>,
}

/// What the host has to do.
#[derive(Debug)]
struct Line {
    /// Copies that were not answered.
    jobs: Slots<Job>,
    /// Not fetched yet, oldest first.
    waiting: VecDeque<Errand>,
    event: Option<Event>,
}

#[derive(Debug)]
enum Errand {
    Copy(Token),
    /// With the number of its queue.
    Signal(usize, ForeignSignal),
    Block {
        pool: u64,
        bytes: usize,
    },
}

impl Desk {
    fn new() -> Desk {
        Desk {
            line: Mutex::new(Line {
                jobs: Slots::with_initial(u32::MAX as usize, 0),
                waiting: VecDeque::new(),
                event: None,
            }),
            returned: Mutex::default(),
        }
    }

    fn begin(&self, event: &Event) {
        self.line.lock().event = Some(event.clone());
        self.returned.lock().event = Some(event.clone());
    }

    /// Lets `add` add something for the host to do.
    fn add(&self, add: impl FnOnce(&mut Line)) {
        let mut line = self.line.lock();
        add(&mut line);
        if let Some(event) = &line.event {
            event.set();
        }
    }

    /// Asks for a block of memory.
    pub(crate) fn want_block(&self, pool: u64, bytes: usize) {
        self.add(|line| line.waiting.push_back(Errand::Block { pool, bytes }));
    }

    /// The host has its cookie back.
    pub(crate) fn give_back(&self, cookie: u64) {
        let mut returned = self.returned.lock();
        returned.cookies.push_back(cookie);
        if let Some(event) = &returned.event {
            event.set();
        }
    }
}

#[derive(Debug)]
struct Job {
    queue: Arc<QueueCore>,
    entry: Token,
    bounce: Box<Bounce>,
    fetched: bool,
}

/// The shared part.
#[derive(Debug)]
pub(crate) struct Copies {
    desk: Arc<Desk>,
    /// Whether the host makes copies. Changes only while there is no queue.
    begun: AtomicBool,
}

impl Copies {
    pub(crate) fn new() -> Copies {
        Copies {
            desk: Arc::new(Desk::new()),
            begun: AtomicBool::new(false),
        }
    }

    /// Whether requests may start over for a copy of the host's.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    fn begin(&self, event: &Event) {
        self.desk.begin(event);
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Hands the last step of a request to the host. No queue's lock is held.
    pub(crate) fn hand(&self, queue: &Arc<QueueCore>, entry: Token, bounce: Box<Bounce>) {
        let mut job = Some(Job {
            queue: Arc::clone(queue),
            entry,
            bounce,
            fetched: false,
        });
        // Under the queue's lock, so that a cancel finds the request before or behind this.
        queue.hand_to_host(entry, || self.add(job.take().expect("handed once")));
        if let Some(cancelled) = job {
            cancelled.complete(Ok(()));
        }
    }

    fn add(&self, job: Job) {
        self.desk.add(|line| {
            let Ok(token) = line.jobs.insert(job) else {
                unreachable!("fewer copies than slots")
            };
            line.waiting.push_back(Errand::Copy(token));
        });
    }

    /// Takes back those of a queue's cancelled requests that the host has not fetched. No queue's lock is
    /// held.
    pub(crate) fn skip_cancelled(&self, queue: &Arc<QueueCore>) {
        if !self.has_begun() {
            return;
        }
        // Two steps, because asking the queue takes its lock, which comes before this one.
        let mut entries = Vec::new();
        for (token, job) in self.desk.line.lock().jobs.iter_mut() {
            if !job.fetched && Arc::ptr_eq(&job.queue, queue) {
                entries.push((token, job.entry));
            }
        }
        entries.retain(|&(_, entry)| queue.is_cancelled(entry));
        for (token, _) in entries {
            if let Some(job) = self.revoke(token) {
                job.complete(Ok(()));
            }
        }
    }

    /// The copy, if the host has not fetched it meanwhile.
    fn revoke(&self, token: Token) -> Option<Job> {
        let mut line = self.desk.line.lock();
        if line.jobs.get(token)?.fetched {
            return None;
        }
        line.waiting
            .retain(|waiting| !matches!(waiting, Errand::Copy(other) if *other == token));
        line.jobs.remove(token)
    }

    /// Takes back the signals of a queue that is closed: they were to tell of bytes that may not come any
    /// more. One that was fetched stands behind copies that were, too.
    pub(crate) fn drop_signals(&self, owner: usize) {
        let mut dropped = Vec::new();
        let mut line = self.desk.line.lock();
        let (mut waiting, mut rest) = (std::mem::take(&mut line.waiting), VecDeque::new());
        for errand in waiting.drain(..) {
            match errand {
                Errand::Signal(of, signal) if of == owner => dropped.push(signal),
                other => rest.push_back(other),
            }
        }
        line.waiting = rest;
        // They come back to the host without the lock.
        drop(line);
    }

    fn fetch(&self, max: usize, out: &mut Vec<ForeignTask>) -> usize {
        let mut line = self.desk.line.lock();
        let Line { jobs, waiting, .. } = &mut *line;
        let count = max.min(waiting.len());
        for errand in waiting.drain(..count) {
            out.push(match errand {
                Errand::Copy(token) => {
                    let job = jobs.get_mut(token).expect("a waiting copy lives");
                    job.fetched = true;
                    ForeignTask::Copy(job.bounce.as_copy(token.to_u64()))
                }
                Errand::Signal(_, mut signal) => {
                    ForeignTask::Signal(signal.cookie.take().expect("handed once"))
                }
                Errand::Block { pool, bytes } => ForeignTask::Block { pool, bytes },
            });
        }
        count
    }

    /// The copy that the host answers.
    fn take_fetched(&self, id: u64) -> Option<Job> {
        let token = Token::from_u64(id);
        let mut line = self.desk.line.lock();
        match line.jobs.get(token) {
            Some(job) if job.fetched => line.jobs.remove(token),
            _ => None,
        }
    }
}

impl Bounce {
    fn as_copy(&self, id: u64) -> ForeignCopy {
        ForeignCopy {
            id,
            source: RawBytes::new(self.payload),
            destination: match self.destination {
                BounceTo::Memory(span) => ForeignTo::Memory(RawBytes::new(span)),
                BounceTo::Cookie(cookie) => ForeignTo::Cookie(cookie),
            },
            block: self.pool.as_ref().map(|of| of.block),
        }
    }
}

impl Job {
    fn complete(self, outcome: Outcome) {
        self.queue.shared.give_back(Hold::Bounce(self.bounce));
        self.queue.complete([(self.entry, outcome)]);
    }
}

/// The host's side; one for each runtime, any number of handles.
#[derive(Clone, Debug)]
pub struct ForeignCopies {
    runtime: Runtime,
}

impl ForeignCopies {
    pub(crate) fn new(runtime: &Runtime) -> ForeignCopies {
        ForeignCopies {
            runtime: runtime.clone(),
        }
    }

    fn copies(&self) -> &Copies {
        &self.runtime.shared().copies
    }

    /// From now on the host makes copies: `event` is set when there are tasks, and when cookies come back.
    /// Fetch until there are none, and answer each. The staging buffer becomes twice as large, so that
    /// whatever fits on its way in fits on its way out, too. A second call changes the event.
    ///
    /// # Errors
    /// [`Error::StagingBufferLocked`] while a queue exists.
    pub fn begin(&self, event: &Event) -> Result<(), Error> {
        let copies = self.copies();
        self.runtime
            .shared()
            .without_queues(|staging| staging.make_room_for_bounces())
            .filter(|&made| made)
            .map(|_| copies.begin(event))
            .ok_or(Error::StagingBufferLocked)
    }

    /// A destination of `bytes` bytes, for one request of this runtime, that the host calls `cookie`. The
    /// request fails with [`Error::InvalidDestinationType`] where no host makes copies.
    pub fn destination(&self, cookie: u64, bytes: u32) -> ForeignDestination {
        ForeignDestination {
            cookie,
            bytes,
            refusal: None,
            shown: ForeignShown::default(),
            desk: Arc::clone(&self.copies().desk),
        }
    }

    /// A signal, with `value`, that the host makes and calls `cookie`; for one entry of a queue of this
    /// runtime ([`crate::Queue::enqueue_foreign_signal`]).
    pub fn signal(&self, cookie: u64, value: u64) -> ForeignSignal {
        ForeignSignal {
            cookie: Some(cookie),
            value,
            refusal: None,
            desk: Arc::clone(&self.copies().desk),
        }
    }

    /// A pool of memory of the host's, which it calls `cookie`, for queues of this runtime
    /// ([`crate::QueueDesc::foreign_pool`]). It begins empty, and asks for blocks.
    pub fn pool(&self, cookie: u64) -> ForeignPool {
        ForeignPool::new(&self.runtime, &self.copies().desk, cookie)
    }

    /// Fetches at most `max` cookies that are of no use any more, oldest first, to the end of `out`; answers
    /// how many: destinations whose requests have ended, after any copy of theirs was answered; signals that
    /// will never be; blocks that the engine does not touch any more. Each comes back exactly once.
    pub fn fetch_returned(&self, max: usize, out: &mut Vec<u64>) -> usize {
        let mut returned = self.copies().desk.returned.lock();
        let count = max.min(returned.cookies.len());
        out.extend(returned.cookies.drain(..count));
        count
    }

    /// Whether the host makes copies.
    pub fn have_begun(&self) -> bool {
        self.copies().has_begun()
    }

    /// Fetches at most `max` tasks, oldest first, to the end of `out`; answers how many. Copies are the
    /// host's until it answers each with [`ForeignCopies::finish`], whatever becomes of their queues.
    pub fn fetch(&self, max: usize, out: &mut Vec<ForeignTask>) -> usize {
        self.copies().fetch(max, out)
    }

    /// Answers a copy: it was made, or cannot be made and its request fails with `result`'s error. Any
    /// thread.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the id names no fetched copy.
    pub fn finish(&self, id: u64, result: Result<(), Error>) -> Result<(), Error> {
        let job = self.copies().take_fetched(id);
        let job = job.ok_or(Error::InvalidArgument)?;
        job.complete(result.map_err(|error| Fault::new(error, Subsystem::Io, "foreign copy")));
        Ok(())
    }
}
