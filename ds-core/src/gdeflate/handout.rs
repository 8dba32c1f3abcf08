//! A tile stream's output, handed out to threads one tile at a time.
//!
//! Owns what lets several threads write to one slice without a lock: a counter that says which
//! tile is next. Every tile's part is handed out once at most, and no two parts overlap.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::TILE_BYTES;
use super::output::Room;

/// The parts of an output that were not yet handed out.
pub(super) struct Handout<'a> {
    start: *mut MaybeUninit<u8>,
    bytes: usize,
    /// The next tile. Every thread raises it once more than there are tiles for it, no further.
    next: AtomicUsize,
    output: PhantomData<Room<'a>>,
}

// SAFETY: what a thread gets through a shared reference is a part of the output that no other gets,
// and bytes may be sent to other threads.
unsafe impl Sync for Handout<'_> {}

impl<'a> Handout<'a> {
    pub(super) fn new(mut output: Room<'a>) -> Self {
        Self {
            start: output.as_mut_ptr(),
            bytes: output.len(),
            next: AtomicUsize::new(0),
            output: PhantomData,
        }
    }

    /// The next tile: its index and its part of the output.
    pub(super) fn take(&self) -> Option<(usize, Room<'a>)> {
        // Relaxed suffices: the counter orders nothing but itself, and the threads' end publishes
        // what they wrote.
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let at = index.checked_mul(TILE_BYTES)?;
        let rest = self.bytes.checked_sub(at).filter(|rest| *rest > 0)?;
        // SAFETY: `at` is below the output's size.
        let start = unsafe { self.start.add(at) };
        // SAFETY: the part lies within the output, which is borrowed mutably for 'a. The counter
        // gives each index to one caller, and parts of different indices do not overlap, so this is the
        // only reference to it.
        let part = unsafe { Room::from_raw_parts(start, rest.min(TILE_BYTES)) };
        Some((index, part))
    }

    /// Hands out nothing more.
    pub(super) fn stop(&self) {
        self.next
            .fetch_max(self.bytes.div_ceil(TILE_BYTES), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::Output;
    use super::*;

    #[test]
    fn every_byte_is_handed_out_once_whoever_asks() {
        for bytes in [0, 1, TILE_BYTES, 5 * TILE_BYTES + 7] {
            let mut output = vec![0u8; bytes];
            let handout = Handout::new(output.as_mut_slice().into());
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while let Some((index, part)) = handout.take() {
                            let bytes = vec![1 + index as u8; part.len()];
                            Output::new(part).put(&bytes).unwrap();
                        }
                    });
                }
            });
            for (index, part) in output.chunks(TILE_BYTES).enumerate() {
                assert!(part.iter().all(|byte| *byte == 1 + index as u8));
            }
        }
    }

    #[test]
    fn nothing_follows_a_stop() {
        let mut output = vec![0u8; 3 * TILE_BYTES];
        let handout = Handout::new(output.as_mut_slice().into());
        assert!(handout.take().is_some_and(|(index, _)| index == 0));
        handout.stop();
        assert!(handout.take().is_none());
    }
}
