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
//! copied or decoded there like any others, and the copy names the cookie in the place of an address.
//!
//! Owns the requests between the engine's part and that answer. Bounded: one copy for each request in flight,
//! its bytes in staging, and one returned cookie for each request that ended. A copy that the host has
//! fetched is the host's until it answers: cancelling and closing wait for it. One that was not fetched is
//! taken back.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, Fault, Subsystem};
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
    returned: Arc<Returned>,
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
        self.returned.add(self.cookie);
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

/// Cookies on their way back to the host.
#[derive(Default, Debug)]
struct Returned(Mutex<ReturnedCookies>);

#[derive(Default, Debug)]
struct ReturnedCookies {
    cookies: VecDeque<u64>,
    event: Option<Event>,
}

impl Returned {
    /// May be called under a queue's lock.
    fn add(&self, cookie: u64) {
        let mut returned = self.0.lock();
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
    bounce: Bounce,
    fetched: bool,
}

#[derive(Debug)]
struct Jobs {
    jobs: Slots<Job>,
    /// Not fetched yet, oldest first.
    waiting: VecDeque<Token>,
    event: Option<Event>,
}

/// The shared part.
#[derive(Debug)]
pub(crate) struct Copies {
    jobs: Mutex<Jobs>,
    /// Whether the host makes copies. Changes only while there is no queue.
    begun: AtomicBool,
    returned: Arc<Returned>,
}

impl Copies {
    pub(crate) fn new() -> Copies {
        Copies {
            jobs: Mutex::new(Jobs {
                jobs: Slots::with_initial(u32::MAX as usize, 0),
                waiting: VecDeque::new(),
                event: None,
            }),
            begun: AtomicBool::new(false),
            returned: Arc::default(),
        }
    }

    /// Whether requests may start over for a copy of the host's.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    fn begin(&self, event: &Event) {
        self.jobs.lock().event = Some(event.clone());
        self.returned.0.lock().event = Some(event.clone());
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Hands the last step of a request to the host. No queue's lock is held.
    pub(crate) fn hand(&self, queue: &Arc<QueueCore>, entry: Token, bounce: Bounce) {
        let mut job = Some(Job {
            queue: Arc::clone(queue),
            entry,
            bounce,
            fetched: false,
        });
        // Under the queue's lock, so that a cancel finds the request before or behind this.
        queue.unless_cancelled(entry, || self.add(job.take().expect("handed once")));
        if let Some(cancelled) = job {
            cancelled.complete(Ok(()));
        }
    }

    fn add(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        let Ok(token) = jobs.jobs.insert(job) else {
            unreachable!("fewer copies than slots")
        };
        jobs.waiting.push_back(token);
        if let Some(event) = &jobs.event {
            event.set();
        }
    }

    /// Takes back those of a queue's cancelled requests that the host has not fetched. No queue's lock is
    /// held.
    pub(crate) fn skip_cancelled(&self, queue: &Arc<QueueCore>) {
        if !self.has_begun() {
            return;
        }
        // Two steps, because asking the queue takes its lock, which comes before this one.
        let mut entries = Vec::new();
        for (token, job) in self.jobs.lock().jobs.iter_mut() {
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
        let mut jobs = self.jobs.lock();
        if jobs.jobs.get(token)?.fetched {
            return None;
        }
        jobs.waiting.retain(|&waiting| waiting != token);
        jobs.jobs.remove(token)
    }

    fn fetch(&self, max: usize, out: &mut Vec<ForeignCopy>) -> usize {
        let mut jobs = self.jobs.lock();
        let Jobs { jobs, waiting, .. } = &mut *jobs;
        let count = max.min(waiting.len());
        for token in waiting.drain(..count) {
            let job = jobs.get_mut(token).expect("a waiting copy lives");
            job.fetched = true;
            out.push(ForeignCopy {
                id: token.to_u64(),
                source: RawBytes::new(job.bounce.payload),
                destination: match job.bounce.destination {
                    BounceTo::Memory(span) => ForeignTo::Memory(RawBytes::new(span)),
                    BounceTo::Cookie(cookie) => ForeignTo::Cookie(cookie),
                },
            });
        }
        count
    }

    /// The copy that the host answers.
    fn take_fetched(&self, id: u64) -> Option<Job> {
        let token = Token::from_u64(id);
        let mut jobs = self.jobs.lock();
        match jobs.jobs.get(token) {
            Some(job) if job.fetched => jobs.jobs.remove(token),
            _ => None,
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

    /// From now on the host makes copies: `event` is set when there are any, and when cookies come back.
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
            returned: Arc::clone(&self.copies().returned),
        }
    }

    /// Fetches at most `max` cookies whose requests have ended, oldest first, to the end of `out`; answers
    /// how many. Each comes back exactly once, after any copy of it was answered.
    pub fn fetch_returned(&self, max: usize, out: &mut Vec<u64>) -> usize {
        let mut returned = self.copies().returned.0.lock();
        let count = max.min(returned.cookies.len());
        out.extend(returned.cookies.drain(..count));
        count
    }

    /// Whether the host makes copies.
    pub fn have_begun(&self) -> bool {
        self.copies().has_begun()
    }

    /// Fetches at most `max` copies, oldest first, to the end of `out`; answers how many. They are the
    /// host's until it answers each with [`ForeignCopies::finish`], whatever becomes of their queues.
    pub fn fetch(&self, max: usize, out: &mut Vec<ForeignCopy>) -> usize {
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
