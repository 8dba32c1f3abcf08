//! The custom decompression queue: requests that the application decompresses.
//!
//! Owns the requests between the end of their read and the application's answer. Formats 0x80 to
//! 0xFF come here, and the built-in ones too when the runtime has no decompression threads. A
//! request that was fetched belongs to the application until it answers: the engine touches neither
//! its source nor its destination meanwhile.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{E_PENDING, Error, Fault, Subsystem};
use crate::hold::Hold;
use crate::memory::{RawBytes, Span};
use crate::notify::Event;
use crate::queue::QueueCore;
use crate::request::Compression;
use crate::runtime::Runtime;
use crate::slots::{Slots, Token};

/// Which requests to fetch; `DSTORAGE_GET_REQUEST_FLAGS`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Select {
    /// Custom formats.
    Custom,
    /// Built-in formats.
    BuiltIn,
    /// Both.
    All,
}

impl Select {
    fn takes(self, compression: Compression) -> bool {
        match self {
            Select::Custom => compression.is_custom(),
            Select::BuiltIn => !compression.is_custom(),
            Select::All => true,
        }
    }
}

/// A request for the application: decompress `source` into exactly `destination`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CustomRequest {
    /// For the answer; unique among unanswered requests.
    pub id: u64,
    /// The format.
    pub compression: Compression,
    /// The compressed bytes, readable until the answer.
    pub source: RawBytes,
    /// Where they go, writable until the answer.
    pub destination: RawBytes,
}

/// The application's answer: a [`CustomRequest`]'s id, and an `HRESULT` (negative for failure).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CustomResult {
    /// Which request.
    pub id: u64,
    /// How it went.
    pub hresult: i32,
}

#[derive(Debug)]
struct Job {
    queue: Arc<QueueCore>,
    entry: Token,
    compression: Compression,
    source: Span,
    hold: Hold,
    destination: Span,
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
pub(crate) struct Custom {
    jobs: Mutex<Jobs>,
}

impl Custom {
    pub(crate) fn new() -> Custom {
        let jobs = Slots::with_initial(u32::MAX as usize, 0);
        Custom {
            jobs: Mutex::new(Jobs {
                jobs,
                waiting: VecDeque::new(),
                event: None,
            }),
        }
    }

    /// Offers a request to the application.
    pub(crate) fn add(
        &self,
        queue: &Arc<QueueCore>,
        entry: Token,
        source: Span,
        hold: Hold,
        compression: Compression,
        destination: Span,
    ) {
        let queue = Arc::clone(queue);
        let job = Job {
            queue,
            entry,
            compression,
            source,
            hold,
            destination,
            fetched: false,
        };
        let mut jobs = self.jobs.lock();
        let Ok(token) = jobs.jobs.insert(job) else {
            unreachable!("fewer jobs than slots")
        };
        jobs.waiting.push_back(token);
        let event = jobs.event.clone();
        drop(jobs);
        if let Some(event) = event {
            event.set();
        }
    }

    /// Takes back those of a queue's requests that the application has not fetched; their staging is
    /// free again. The caller holds the queue's lock, and asks later who is next in line for staging.
    pub(crate) fn revoke(
        &self,
        queue: &Arc<QueueCore>,
        is_cancelled: impl Fn(Token) -> bool,
    ) -> Vec<Token> {
        let mut revoked = Vec::new();
        let mut jobs = self.jobs.lock();
        let Jobs { jobs, waiting, .. } = &mut *jobs;
        waiting.retain(|&token| {
            let job = jobs.get(token).expect("a waiting job lives");
            if !Arc::ptr_eq(&job.queue, queue) || !is_cancelled(job.entry) {
                return true;
            }
            let job = jobs.remove(token).expect("just seen");
            job.hold.free_quietly(&queue.shared.staging);
            revoked.push(job.entry);
            false
        });
        revoked
    }
}

/// The application's side; one for each runtime, any number of handles.
#[derive(Clone, Debug)]
pub struct CustomDecompressionQueue {
    runtime: Runtime,
}

impl CustomDecompressionQueue {
    pub(crate) fn new(runtime: &Runtime) -> CustomDecompressionQueue {
        CustomDecompressionQueue {
            runtime: runtime.clone(),
        }
    }

    fn custom(&self) -> &Custom {
        &self.runtime.shared().custom
    }

    /// The event that is set when requests arrive. Made at the first call; wait for it,
    /// [`Event::take`] it, then fetch until there are none.
    ///
    /// # Errors
    /// The kernel's, if there are no descriptors left.
    pub fn event(&self) -> Result<Event, Error> {
        let mut jobs = self.custom().jobs.lock();
        if jobs.event.is_none() {
            let event = Event::new()?;
            if !jobs.waiting.is_empty() {
                event.set();
            }
            jobs.event = Some(event);
        }
        Ok(jobs.event.clone().expect("made above"))
    }

    /// Uses the caller's event instead, a foreign one perhaps.
    pub fn use_event(&self, event: &Event) {
        let mut jobs = self.custom().jobs.lock();
        jobs.event = Some(event.clone());
        if !jobs.waiting.is_empty() {
            event.set();
        }
    }

    /// Fetches at most `max` requests of the kind, oldest first, to the end of `out`; answers how
    /// many.
    pub fn get_requests(&self, select: Select, max: usize, out: &mut Vec<CustomRequest>) -> usize {
        let mut jobs = self.custom().jobs.lock();
        let jobs = &mut *jobs;
        let mut count = 0;
        jobs.waiting.retain(|&token| {
            let job = jobs.jobs.get_mut(token).expect("a waiting job lives");
            if count == max || !select.takes(job.compression) {
                return true;
            }
            count += 1;
            job.fetched = true;
            let Job {
                compression,
                source,
                destination,
                ..
            } = *job;
            out.push(CustomRequest {
                id: token.to_u64(),
                compression,
                source: RawBytes::new(source),
                destination: RawBytes::new(destination),
            });
            false
        });
        count
    }

    /// Answers requests, in any order and number, from any thread.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if an id names no fetched request; the others are answered all
    /// the same.
    pub fn set_results(&self, results: &[CustomResult]) -> Result<(), Error> {
        let mut unknown = false;
        for result in results {
            let token = Token::from_u64(result.id);
            let mut jobs = self.custom().jobs.lock();
            let job = match jobs.jobs.get(token) {
                Some(job) if job.fetched => jobs.jobs.remove(token),
                _ => None,
            };
            drop(jobs);
            let Some(job) = job else {
                unknown = true;
                continue;
            };
            let fault = || {
                Fault::new(
                    application_error(result.hresult),
                    Subsystem::Decode,
                    "custom decompress",
                )
            };
            let outcome = if result.hresult < 0 {
                Err(fault())
            } else {
                Ok(())
            };
            job.queue.take_back(job.entry);
            let shared = &job.queue.shared;
            shared.land(&job.queue, job.entry, job.hold, outcome);
        }
        if unknown {
            Err(Error::InvalidArgument)
        } else {
            Ok(())
        }
    }
}

/// The application's failure as ours. "Pending" is no result: a status that said so would never be
/// seen to complete.
fn application_error(hresult: i32) -> Error {
    if hresult == E_PENDING {
        Error::Corrupt
    } else {
        Error::Application(hresult)
    }
}
