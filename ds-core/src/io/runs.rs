//! Runs: reads of adjacent parts of one file, handed to a ring as one vectored read.
//!
//! A game reads a level's small pieces in the order in which they lie in the archive; the kernel does
//! the bookkeeping of a read once for all of them. Pure bookkeeping here: which reads go together, and
//! what a run's result means for each of its members. A run that fails says nothing about any single
//! member, so all of them are done again, one by one, and each hears its own result.

#![forbid(unsafe_code)]

use super::{Completion, Direction, Op};
use crate::memory::Span;
use crate::open_file::Way;
use crate::queue::Priority;
use crate::slots::Token;

/// The most reads of a run.
const MEMBERS_MAX: usize = 16;
/// A run ends once it has this many bytes: a larger read gains nothing more.
const RUN_BYTES_MAX: usize = 128 << 10;
/// After a run has failed, so many reads go alone.
const PAUSE: u32 = 4 * MEMBERS_MAX as u32;

/// The file of a read, as a ring knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// A descriptor, or a place among the registered files.
    pub(super) number: i32,
    pub(super) registered: bool,
}

/// Reads that follow each other in a file.
#[derive(Clone, Copy, Debug)]
struct Run {
    members: [(Token, u32); MEMBERS_MAX],
    len: usize,
}

/// The run that the next read may join. Small, because most are closed with a single read: the members stay
/// where they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// Its place among the runs.
    number: u32,
    pub(super) target: Target,
    pub(super) way: Way,
    pub(super) priority: Priority,
    pub(super) offset: u64,
    bytes: usize,
    /// The index of its first part.
    first_part: usize,
}

/// All runs of a ring.
#[derive(Debug)]
pub(super) struct Runs {
    open: Option<Open>,
    /// The open one and those handed over, by index; free ones are listed.
    runs: Vec<Run>,
    free: Vec<u32>,
    /// Where the members' bytes go, until the kernel has taken the run. Never grows, so that nothing
    /// moves meanwhile.
    parts: Vec<Span>,
    pause: u32,
}

/// What became of the open run.
pub(super) enum Closed {
    /// One read after all: its token and memory.
    Single(Open, Token, Span),
    /// A vectored read: its number among the runs and the range of its parts.
    Several(Open, u32, std::ops::Range<usize>),
}

impl Runs {
    /// Runs for a ring of `depth` operations.
    pub(super) fn new(depth: usize) -> Runs {
        Runs {
            open: None,
            runs: Vec::with_capacity(depth),
            free: Vec::with_capacity(depth),
            parts: Vec::with_capacity(depth),
            pause: 0,
        }
    }

    /// Whether the read went into the open run.
    pub(super) fn join(&mut self, op: &Op, target: Target) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let joins = may_run(op)
            && self.parts.len() < self.parts.capacity()
            && self.runs[open.number as usize].len < MEMBERS_MAX
            && open.bytes < RUN_BYTES_MAX
            && (open.target, open.way, open.priority) == (target, op.way, op.priority)
            && open.offset + open.bytes as u64 == op.offset;
        if joins {
            open.bytes += op.span.bytes();
            self.runs[open.number as usize].add(op);
            self.parts.push(op.span);
        }
        joins
    }

    /// Opens a run with the read; `false` if it must go alone. No run is open.
    pub(super) fn start(&mut self, op: &Op, target: Target) -> bool {
        self.pause = self.pause.saturating_sub(1);
        if self.pause > 0 || !may_run(op) || self.parts.len() == self.parts.capacity() {
            return false;
        }
        let number = self.place();
        let run = &mut self.runs[number as usize];
        run.len = 0;
        run.add(op);
        let open = Open {
            number,
            target,
            way: op.way,
            priority: op.priority,
            offset: op.offset,
            bytes: op.span.bytes(),
            first_part: self.parts.len(),
        };
        self.parts.push(op.span);
        self.open = Some(open);
        true
    }

    /// A place for a run.
    fn place(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.runs.push(Run {
                members: [(Token::from_u64(0), 0); MEMBERS_MAX],
                len: 0,
            });
            self.runs.len() as u32 - 1
        })
    }

    /// Closes the open run, to be handed over.
    pub(super) fn close(&mut self) -> Option<Closed> {
        let open = self.open.take()?;
        let run = &self.runs[open.number as usize];
        if run.len == 1 {
            let token = run.members[0].0;
            self.free.push(open.number);
            return Some(Closed::Single(open, token, self.parts[open.first_part]));
        }
        let parts = open.first_part..self.parts.len();
        Some(Closed::Several(open, open.number, parts))
    }

    /// The parts of a closed run.
    pub(super) fn parts(&self, range: std::ops::Range<usize>) -> &[Span] {
        &self.parts[range]
    }

    /// The kernel has taken everything: parts are needed no longer.
    pub(super) fn taken(&mut self) {
        if self.open.is_none() {
            self.parts.clear();
        }
    }

    /// How many operations a closed run has.
    pub(super) fn operations(&self, number: u32) -> usize {
        self.runs[number as usize].len
    }

    /// A run's result becomes its members'. Answers how many there were.
    pub(super) fn land(
        &mut self,
        number: u32,
        result: Result<usize, i32>,
        done: &mut Vec<Completion>,
    ) -> usize {
        let run = self.runs[number as usize];
        self.free.push(number);
        if result.is_err() {
            self.pause = PAUSE;
        }
        let mut left = result.unwrap_or(0);
        for (index, &(token, bytes)) in run.members[..run.len].iter().enumerate() {
            let moved = left.min(bytes as usize);
            left -= moved;
            let ends_here = index == 0 && result == Ok(0);
            done.push(Completion {
                token,
                // Nothing was said of this one: it is done again.
                result: if moved > 0 || ends_here {
                    Ok(moved)
                } else {
                    Err(libc::EAGAIN)
                },
            });
        }
        run.len
    }
}

impl Run {
    fn add(&mut self, op: &Op) {
        self.members[self.len] = (op.token, op.span.bytes() as u32);
        self.len += 1;
    }
}

/// Reads of a way that promises nothing about single calls, of memory that is not registered.
fn may_run(op: &Op) -> bool {
    let way = match op.way {
        Way::Buffered => true,
        Way::Direct => op.staged.is_none(),
        Way::CachedOnly | Way::DontCache => false,
    };
    way && op.direction == Direction::Read && op.span.bytes() < RUN_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::memory::Buffer;
    use crate::open_file::OpenFile;

    const TARGET: Target = Target {
        number: 3,
        registered: true,
    };

    fn read(token: u64, offset: u64, span: Span) -> Op {
        let path = Path::new("/proc/self/exe");
        let file = OpenFile::new(std::fs::File::open(path).unwrap().into(), path.into());
        Op {
            token: Token::from_u64(token),
            direction: Direction::Read,
            file: Arc::new(file),
            way: Way::Buffered,
            priority: Priority::Normal,
            offset,
            span,
            staged: None,
        }
    }

    fn results(
        runs: &mut Runs,
        number: u32,
        result: Result<usize, i32>,
    ) -> Vec<Result<usize, i32>> {
        let mut done = Vec::new();
        runs.land(number, result, &mut done);
        done.into_iter()
            .map(|completion| completion.result)
            .collect()
    }

    fn run_of_three(runs: &mut Runs, span: Span) -> u32 {
        assert!(runs.start(&read(1, 100, span.part(0, 10)), TARGET));
        assert!(runs.join(&read(2, 110, span.part(20, 20)), TARGET));
        assert!(!runs.join(&read(9, 131, span.part(0, 1)), TARGET), "a gap");
        assert!(runs.join(&read(3, 130, span.part(50, 30)), TARGET));
        let Some(Closed::Several(open, number, parts)) = runs.close() else {
            panic!("a run of three");
        };
        assert_eq!(open.offset, 100);
        let bytes: Vec<_> = runs.parts(parts).iter().map(|part| part.bytes()).collect();
        assert_eq!(bytes, [10, 20, 30]);
        runs.taken();
        number
    }

    #[test]
    fn each_member_hears_what_is_its_own() {
        let mut buffer = Buffer::new(100);
        let memory = buffer.lend().unwrap();
        let again = Err(libc::EAGAIN);
        for (result, expected) in [
            (Ok(60), [Ok(10), Ok(20), Ok(30)]),
            (Ok(35), [Ok(10), Ok(20), Ok(5)]),
            (Ok(15), [Ok(10), Ok(5), again]),
            (Ok(10), [Ok(10), again, again]),
            (Ok(0), [Ok(0), again, again]),
            (Err(libc::EFAULT), [again; 3]),
        ] {
            let mut runs = Runs::new(8);
            let number = run_of_three(&mut runs, memory.span());
            assert_eq!(results(&mut runs, number, result), expected);
        }
    }

    #[test]
    fn after_a_failure_reads_go_alone_for_a_while() {
        let mut buffer = Buffer::new(100);
        let memory = buffer.lend().unwrap();
        let mut runs = Runs::new(8);
        let number = run_of_three(&mut runs, memory.span());
        results(&mut runs, number, Err(libc::EIO));
        let alone = (0..PAUSE)
            .filter(|_| !runs.start(&read(4, 0, memory.span()), TARGET) || runs.close().is_none())
            .count();
        assert_eq!(alone, PAUSE as usize - 1);
        assert!(runs.free.len() == 1, "the run's place is free");
    }

    #[test]
    fn runs_end_by_length_and_never_outgrow_their_parts() {
        let mut buffer = Buffer::new(RUN_BYTES_MAX);
        let memory = buffer.lend().unwrap();
        let mut runs = Runs::new(MEMBERS_MAX + 2);
        let one = |index: usize| read(index as u64, index as u64, memory.span().part(index, 1));
        assert!(runs.start(&one(0), TARGET));
        assert!((1..MEMBERS_MAX).all(|index| runs.join(&one(index), TARGET)));
        assert!(!runs.join(&one(MEMBERS_MAX), TARGET));
        assert!(matches!(runs.close(), Some(Closed::Several(..))));
        assert!(runs.start(&one(0), TARGET) && runs.join(&one(1), TARGET));
        assert!(!runs.join(&one(2), TARGET), "no room for another part");
        runs.close();
        assert!(!runs.start(&one(0), TARGET));
        runs.taken();
        assert!(runs.start(&one(0), TARGET));
        assert!(matches!(runs.close(), Some(Closed::Single(..))));
        assert!(
            !runs.start(&read(1, 0, memory.span()), TARGET),
            "large ones go alone"
        );
    }
}
