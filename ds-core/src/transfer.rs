//! `Transfer`: the bytes of one request on their way between a file and memory.
//!
//! Decides how the next operation moves them (through the page cache or past it, into the
//! destination or into aligned staging first) and what its completion means: continue a short
//! read, repeat what was interrupted, try another way, notice the end of the file, be done. Knows
//! nothing of threads and rings, so every `Io` behaves alike, and the simulation proves it.
//!
//! A direct read must start and end where the device wants it, so an unaligned request reads a
//! *window* around its bytes into staging. `lead` is what the window has before them.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::{Error, Fault, Subsystem};
use crate::hold::{Hold, Upload};
use crate::io::{Direction, Op};
use crate::memory::Span;
use crate::open_file::{Alignment, FileMode, OpenFile, Way};
use crate::order::GroupId;
use crate::queue::{Outcome, Priority, QueueCore};
use crate::request::Compression;
use crate::runtime::Shared;
use crate::slots::Token;
use crate::staging::{Range, Staging};
use crate::state::{Started, Work};

/// How often an operation is repeated after EINTR or EAGAIN before that counts as its failure.
const RETRIES_MAX: u32 = 1000;
/// One operation moves no more, so that a huge request does not keep a disk or a thread to itself.
const OPERATION_BYTES_MAX: usize = 16 << 20;
/// The same for queues of low priority.
const OPERATION_BYTES_MAX_LOW: usize = 2 << 20;

/// A thread of the application's that waits reads no more at once: it has a time-out to keep.
const LENT_BYTES_MAX: usize = 1 << 20;

/// Where the bytes go from memory.
#[derive(Debug)]
enum Next {
    /// They are where they belong.
    Finish,
    /// They are in staging; whoever is next takes them from there.
    PassOn(Hold),
    /// They are compressed, in staging.
    Decompress {
        hold: Hold,
        compression: Compression,
        destination: Span,
    },
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) queue: Arc<QueueCore>,
    pub(crate) entry: Token,
    /// The request's group in its queue.
    pub(crate) group: GroupId,
    /// Somebody wants it to end.
    pub(crate) cancelled: bool,
    /// It is on a thread of the application's, which must not wait for a disk.
    lent: bool,
    op: Op,
    /// What the request wants: these bytes of the file, in this memory (in staging it may be larger, to
    /// have room for a window).
    offset: u64,
    bytes: usize,
    memory: Span,
    next: Next,
    /// The window being read: `window` bytes of memory, of which the first `lead` come before the
    /// request's and `moved` have arrived.
    window: Span,
    window_offset: u64,
    lead: usize,
    moved: usize,
    /// Holds the window when the destination cannot.
    bounce: Option<Range>,
    retries: u32,
}

/// What a completion means.
pub(crate) enum Progress {
    /// Push the operation: the rest, or the same again, or in another way.
    Again,
    /// The request's transfer is over.
    Done(Outcome),
    /// It is for another thread, from the beginning: [`Transfer::put_back`].
    Elsewhere,
}

/// What follows from a transfer's end.
pub(crate) enum Finish {
    /// The request is done.
    Done(Outcome),
    /// The bytes are in staging of a device, for whose placer they are.
    Landed(Box<Upload>),
    /// That is what follows, for whoever does it: after the transfer, and its hold on the file, is gone.
    PassOn(Work),
}

impl Transfer {
    /// The transfer of `work`, or the work back if there is nothing to transfer.
    pub(crate) fn new(
        shared: &Shared,
        queue: &Arc<QueueCore>,
        Started {
            token: entry,
            group,
            work,
        }: Started,
    ) -> Result<Transfer, Work> {
        let (direction, file, offset, bytes, memory, next) = match work {
            Work::Transfer {
                direction,
                file,
                offset,
                span,
            } => (direction, file, offset, span.bytes(), span, Next::Finish),
            Work::ReadStaged {
                file,
                offset,
                bytes,
                hold,
                memory,
                decompress,
            } => {
                let next = match decompress {
                    None => Next::PassOn(hold),
                    Some((compression, destination)) => Next::Decompress {
                        hold,
                        compression,
                        destination,
                    },
                };
                (Direction::Read, file, offset, bytes, memory, next)
            }
            other => return Err(other),
        };
        let way = first_way(&file, direction, shared.file_mode, bytes);
        let op = Op {
            token: entry,
            direction,
            file,
            way,
            priority: queue.priority(),
            offset,
            span: memory,
            staged: None,
        };
        let mut transfer = Transfer {
            queue: Arc::clone(queue),
            entry,
            group,
            cancelled: false,
            lent: false,
            op,
            offset,
            bytes,
            memory,
            next,
            window: memory,
            window_offset: offset,
            lead: 0,
            moved: 0,
            bounce: None,
            retries: 0,
        };
        transfer.plan(shared, way);
        Ok(transfer)
    }

    /// The operation to push, as `token`.
    pub(crate) fn operation(&mut self, token: Token) -> &Op {
        self.op.token = token;
        &self.op
    }

    /// Whether the operation in flight can be its last, and nothing follows from its end but what its
    /// queue owes in order.
    pub(crate) fn ends_quietly(&self) -> bool {
        let is_last = self.op.way != Way::CachedOnly
            && self.moved + self.op.span.bytes() >= self.window.bytes();
        is_last && matches!(self.next, Next::Finish) && self.bounce.is_none() && !self.cancelled
    }

    /// Has it read from the page cache, at once and by one operation, or not at all; `false` if that cannot
    /// be.
    pub(crate) fn lend(&mut self) -> bool {
        self.lent = true;
        let buffered = matches!(self.op.way, Way::Buffered | Way::CachedOnly);
        self.op.way = Way::CachedOnly;
        buffered && self.op.direction == Direction::Read && self.bytes <= LENT_BYTES_MAX
    }

    /// Leaves everything as if it had not begun.
    pub(crate) fn put_back(mut self, shared: &Shared) {
        self.free_bounce(shared);
        let Transfer {
            queue,
            entry,
            op,
            next,
            ..
        } = self;
        // The request may end there, and its file is closed before.
        drop(op);
        match next {
            Next::Finish => {}
            Next::PassOn(hold) | Next::Decompress { hold, .. } => shared.give_back(hold),
        }
        queue.put_back(entry);
    }

    /// Whether it reads a stream for the engine's own decoder, through the page cache, and into memory: what
    /// goes on to a GPU is handed over in batches, which a worker's few are not.
    pub(crate) fn reads_stream(&self) -> bool {
        let Next::Decompress {
            hold, compression, ..
        } = &self.next
        else {
            return false;
        };
        matches!(self.op.way, Way::Buffered | Way::CachedOnly)
            && !compression.is_custom()
            && !matches!(hold, Hold::Upload(_))
    }

    /// Its weight for those who limit what is in flight.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Starts (again) in the given way, or through the page cache if that cannot be.
    fn plan(&mut self, shared: &Shared, way: Way) {
        self.free_bounce(shared);
        self.moved = 0;
        let placed = match way {
            Way::Direct => self.place_window(&shared.staging),
            _ => false,
        };
        if !placed {
            self.free_bounce(shared);
            self.lead = 0;
            self.window_offset = self.offset;
            self.window = self.memory.part(0, self.bytes);
        }
        self.op.way = match way {
            Way::Direct if !placed => Way::Buffered,
            way => way,
        };
        self.aim();
    }

    fn free_bounce(&mut self, shared: &Shared) {
        if let Some(bounce) = self.bounce.take() {
            shared.free_staging(&shared.staging, bounce);
        }
    }

    /// Finds a place for an aligned window; `false` if there is none.
    fn place_window(&mut self, staging: &Staging) -> bool {
        let Some(alignment) = self.op.file.alignment() else {
            return false;
        };
        let Some(window) = Window::around(self.offset, self.bytes, alignment) else {
            return false;
        };
        let place = match &self.next {
            Next::Decompress { hold, .. } | Next::PassOn(hold) => {
                hold.may_read_direct().then_some(self.memory)
            }
            Next::Finish if window.is_exact(self.memory, alignment) => Some(self.memory),
            Next::Finish => {
                self.bounce = staging.alloc_now(window.bytes);
                self.bounce.as_ref().map(Range::span)
            }
        };
        let place = place.filter(|place| {
            place.bytes() >= window.bytes && place.address() % alignment.memory == 0
        });
        if let Some(place) = place {
            self.lead = window.lead;
            self.window_offset = window.offset;
            self.window = place.part(0, window.bytes);
        }
        place.is_some()
    }

    /// Points the operation at what is still missing of the window.
    fn aim(&mut self) {
        let rest = self.window.bytes() - self.moved;
        let most = match self.op.priority {
            Priority::Low => OPERATION_BYTES_MAX_LOW,
            _ => OPERATION_BYTES_MAX,
        };
        self.op.offset = self.window_offset + self.moved as u64;
        self.op.span = self.window.part(self.moved, rest.min(most));
        self.op.staged = match (&self.next, &self.bounce) {
            (Next::Decompress { hold, .. }, _) => hold.place(self.moved),
            (_, Some(bounce)) => Some(bounce.place(self.moved)),
            _ => None,
        };
    }

    /// What the operation's completion means.
    pub(crate) fn advance(&mut self, shared: &Shared, result: Result<usize, i32>) -> Progress {
        if self.lent && result != Ok(self.bytes) {
            // Not cached, the file's end, memory that is not there: for those who can look into it.
            return Progress::Elsewhere;
        }
        match result {
            Ok(bytes) => self.advance_by(shared, bytes),
            // Not in the page cache.
            Err(libc::EAGAIN) if self.op.way == Way::CachedOnly => self.try_next_way(shared),
            Err(libc::EINTR | libc::EAGAIN) if self.retries < RETRIES_MAX => {
                self.retries += 1;
                Progress::Again
            }
            // The engine's own memory is there; the kernel cannot hold its pages for a disk to write. So it
            // is with GPU memory that drivers map (those on TTM, amdgpu among them).
            Err(libc::EFAULT) if self.op.way == Way::Direct && self.is_window_ours() => {
                if let Next::Decompress { hold, .. } | Next::PassOn(hold) = &self.next {
                    hold.never_read_direct();
                }
                self.plan(shared, Way::Buffered);
                Progress::Again
            }
            Err(libc::ECANCELED) => fail(self, Error::Cancelled),
            Err(errno) if is_refusal(self.op.way, errno) => {
                self.op.file.refuse(self.op.way, errno);
                self.try_next_way(shared)
            }
            Err(errno) => fail(self, Error::from_io_errno(errno)),
        }
    }

    fn advance_by(&mut self, shared: &Shared, bytes: usize) -> Progress {
        let needed = self.lead + self.bytes;
        self.moved += bytes;
        if self.moved >= needed {
            return Progress::Done(Ok(()));
        }
        if self.op.way == Way::CachedOnly && bytes < self.op.span.bytes() {
            return self.try_next_way(shared);
        }
        if bytes == 0 {
            // The file has become shorter since its size was looked at; a device that takes nothing is
            // full.
            return fail(
                self,
                match self.op.direction {
                    Direction::Read => Error::EndOfFile,
                    Direction::Write => Error::Os(libc::ENOSPC),
                },
            );
        }
        if self.queue.is_cancelled(self.entry) {
            return fail(self, Error::Cancelled);
        }
        self.retries = 0;
        if self.op.way == Way::Direct && !self.is_aligned_at(self.moved) {
            self.op.way = Way::Buffered;
        }
        self.aim();
        Progress::Again
    }

    fn is_window_ours(&self) -> bool {
        match &self.next {
            Next::Decompress { hold, .. } | Next::PassOn(hold) => hold.owns(self.window),
            Next::Finish => self.bounce.is_some(),
        }
    }

    /// Whether a direct read may go on behind the first `moved` bytes of the window.
    fn is_aligned_at(&self, moved: usize) -> bool {
        self.op.file.alignment().is_some_and(|alignment| {
            moved.is_multiple_of(alignment.offset) && moved.is_multiple_of(alignment.memory)
        })
    }

    fn try_next_way(&mut self, shared: &Shared) -> Progress {
        if self.queue.is_cancelled(self.entry) {
            return fail(self, Error::Cancelled);
        }
        let way = self.op.file.way_after(self.op.way);
        self.plan(shared, way);
        Progress::Again
    }

    /// What follows the transfer; asked once.
    pub(crate) fn finish(&mut self, shared: &Shared, outcome: Outcome) -> Finish {
        match (std::mem::replace(&mut self.next, Next::Finish), outcome) {
            (Next::Finish, Ok(())) => match self.bounce.take() {
                None => Finish::Done(Ok(())),
                Some(bounce) => {
                    let source = bounce.span().part(self.lead, self.bytes);
                    Finish::PassOn(Work::Copy {
                        source,
                        hold: Hold::Staging(bounce),
                        destination: self.memory,
                    })
                }
            },
            (Next::Finish, Err(fault)) => {
                self.free_bounce(shared);
                Finish::Done(Err(fault))
            }
            (Next::PassOn(mut hold), Ok(())) => {
                hold.set_payload(self.memory.part(self.lead, self.bytes));
                match hold {
                    Hold::Upload(upload) => Finish::Landed(upload),
                    hold => Finish::PassOn(Work::HandOver(hold)),
                }
            }
            (
                Next::Decompress {
                    hold,
                    compression,
                    destination,
                },
                Ok(()),
            ) => Finish::PassOn(Work::Decompress {
                source: self.memory.part(self.lead, self.bytes),
                compression,
                hold,
                destination,
            }),
            (Next::PassOn(hold) | Next::Decompress { hold, .. }, Err(fault)) => {
                shared.give_back(hold);
                Finish::Done(Err(fault))
            }
        }
    }
}

/// Writes go through the page cache: there, reads of the same file see them at once.
fn first_way(file: &OpenFile, direction: Direction, mode: FileMode, bytes: usize) -> Way {
    match direction {
        Direction::Read => file.way(mode, bytes),
        Direction::Write => Way::Buffered,
    }
}

/// What a file system answers to a way of reading that it does not have.
fn is_refusal(way: Way, errno: i32) -> bool {
    matches!(way, Way::Direct | Way::DontCache | Way::CachedOnly)
        && matches!(
            errno,
            libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS | libc::ENOTBLK | libc::ENOTTY
        )
}

fn fail(transfer: &Transfer, error: Error) -> Progress {
    let operation = match transfer.op.direction {
        Direction::Read => "read",
        Direction::Write => "write",
    };
    Progress::Done(Err(Fault::new(error, Subsystem::Io, operation)))
}

/// An aligned part of a file around the bytes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Window {
    offset: u64,
    bytes: usize,
    lead: usize,
}

impl Window {
    /// `None` if it would reach past the end of all files.
    fn around(offset: u64, bytes: usize, alignment: Alignment) -> Option<Window> {
        let unit = alignment.offset as u64;
        let lead = offset % unit;
        let end = (offset + bytes as u64).checked_next_multiple_of(unit)?;
        let start = offset - lead;
        Some(Window {
            offset: start,
            bytes: usize::try_from(end - start).ok()?,
            lead: lead as usize,
        })
    }

    /// Whether it needs no more than `memory`, and can be read there.
    fn is_exact(&self, memory: Span, alignment: Alignment) -> bool {
        self.lead == 0
            && self.bytes == memory.bytes()
            && memory.address().is_multiple_of(alignment.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGNMENT: Alignment = Alignment {
        memory: 8,
        offset: 512,
    };

    #[test]
    fn windows_cover_their_bytes_and_no_more_than_they_must() {
        let window = |offset, bytes| Window::around(offset, bytes, ALIGNMENT).unwrap();
        let of = |offset, bytes, lead| Window {
            offset,
            bytes,
            lead,
        };
        assert_eq!(window(0, 512), of(0, 512, 0));
        assert_eq!(window(512, 1), of(512, 512, 0));
        assert_eq!(window(511, 2), of(0, 1024, 511));
        assert_eq!(window(1023, 513), of(512, 1024, 511));
        assert_eq!(Window::around(u64::MAX - 1, 1, ALIGNMENT), None);
    }

    #[test]
    fn only_some_errors_say_that_a_way_does_not_exist() {
        assert!(is_refusal(Way::Direct, libc::EINVAL));
        assert!(is_refusal(Way::DontCache, libc::EOPNOTSUPP));
        assert!(!is_refusal(Way::Buffered, libc::EINVAL));
        assert!(!is_refusal(Way::Direct, libc::EIO));
        assert!(!is_refusal(Way::Direct, libc::EFAULT));
    }
}
