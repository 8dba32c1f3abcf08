//! `Room` and `Output`: the bytes of a tile while they come into being.
//!
//! Memory that somebody allocated and never wrote has no values, and to look at it, or only to say that it is
//! `[u8]`, breaks the language's rules. A decoder looks at its own output, but only at what it has written;
//! this file keeps apart what has values and what has not.
//!
//! Promises
//! - No byte outside the output is touched; a match that begins before the output or ends behind it is an
//!   error.
//! - A room that was made of bytes with values has values after, whatever happens: what is written are
//!   values, or bytes of the room itself.
//! - The first `written` bytes of an [`Output`] have values.

use std::mem::MaybeUninit;

use super::DecodeError;

/// Bytes copied at once. Reads and writes may pass the end of a copy by less than this.
pub(super) const BLOCK: usize = 16;

/// Memory to be written, which may have no values yet.
pub(super) struct Room<'a>(&'a mut [MaybeUninit<u8>]);

impl<'a> From<&'a mut [u8]> for Room<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        let bytes = std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>];
        // SAFETY: the same memory, borrowed for as long; each byte has the size and alignment of one without
        // a value. Whoever has the room takes no byte's value away, by the second promise of this file.
        Room(unsafe { &mut *bytes })
    }
}

impl<'a> From<&'a mut [MaybeUninit<u8>]> for Room<'a> {
    fn from(bytes: &'a mut [MaybeUninit<u8>]) -> Self {
        Room(bytes)
    }
}

impl<'a> Room<'a> {
    /// The room of so many bytes.
    ///
    /// # Safety
    /// As for [`std::slice::from_raw_parts_mut`], but that the bytes need no values. It is a part of another
    /// room.
    pub(super) unsafe fn from_raw_parts(start: *mut MaybeUninit<u8>, bytes: usize) -> Self {
        // SAFETY: passed on to the caller; a `MaybeUninit` is valid without a value.
        Room(unsafe { std::slice::from_raw_parts_mut(start, bytes) })
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut MaybeUninit<u8> {
        self.0.as_mut_ptr()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first so many bytes, if there are as many.
    pub(super) fn first(self, bytes: usize) -> Option<Room<'a>> {
        self.0.get_mut(..bytes).map(Room)
    }
}

/// The output of one tile, and how much of it is written.
pub(super) struct Output<'a> {
    bytes: &'a mut [MaybeUninit<u8>],
    written: usize,
}

/// Bytes with values, as such that may have none.
fn values(bytes: &[u8]) -> &[MaybeUninit<u8>] {
    let bytes = std::ptr::from_ref(bytes) as *const [MaybeUninit<u8>];
    // SAFETY: the same memory, borrowed for as long and not written; each byte has the size and alignment of
    // one without a value.
    unsafe { &*bytes }
}

impl<'a> Output<'a> {
    pub(super) fn new(room: Room<'a>) -> Self {
        Self {
            bytes: room.0,
            written: 0,
        }
    }

    /// Bytes not yet written.
    pub(super) fn room_bytes(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// The output, and how much of it is written.
    ///
    /// # Safety
    /// The count is raised only over bytes that were given values.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) unsafe fn parts(&mut self) -> (&mut [MaybeUninit<u8>], &mut usize) {
        (self.bytes, &mut self.written)
    }

    /// Literals `from..until` of a list, then a match of `length` bytes, `distance` before.
    #[inline(always)]
    pub(super) fn sequence<const LEN: usize>(
        &mut self,
        literals: &[u8; LEN],
        from: usize,
        until: usize,
        length: usize,
        distance: usize,
    ) -> Result<(), DecodeError> {
        let start = self.written;
        let target = start + (until - from);
        let end = target + length;
        if distance > target {
            return Err(DecodeError::Distance);
        }
        if end + BLOCK > self.bytes.len() {
            return self.sequence_at_end(&literals[from..until], length, distance);
        }
        // From here on there is room for a block behind the sequence, and so behind each part.
        copy_block(literals, from, self.bytes, start);
        let mut done = BLOCK;
        while done < until - from {
            copy_block(literals, from + done, self.bytes, start + done);
            done += BLOCK;
        }
        let source = target - distance;
        if distance >= BLOCK {
            let mut done = 0;
            loop {
                move_block(self.bytes, source + done, target + done);
                done += BLOCK;
                if done >= length {
                    break;
                }
            }
        } else {
            // SAFETY: what is before the sequence was written earlier, and its literals just now.
            unsafe { repeat(self.bytes, distance, target, end) };
        }
        self.written = end;
        Ok(())
    }

    /// The same where copies must be exact, because the output ends.
    #[cold]
    pub(super) fn sequence_at_end(
        &mut self,
        literals: &[u8],
        length: usize,
        distance: usize,
    ) -> Result<(), DecodeError> {
        if distance > self.written + literals.len() {
            return Err(DecodeError::Distance);
        }
        self.put(literals)?;
        if length > self.room_bytes() {
            return Err(DecodeError::OutputOverflow);
        }
        // What lies between source and target is the pattern a whole number of times, and each copy
        // adds as much again: few copies, however long the match.
        let (source, end) = (self.written - distance, self.written + length);
        while self.written < end {
            let bytes = (self.written - source).min(end - self.written);
            self.bytes.copy_within(source..source + bytes, self.written);
            self.written += bytes;
        }
        Ok(())
    }

    /// Bytes as they are.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.bytes[self.written..]
            .get_mut(..bytes.len())
            .ok_or(DecodeError::OutputOverflow)?
            .copy_from_slice(values(bytes));
        self.written += bytes.len();
        Ok(())
    }

    /// The next bytes, which are zero and count as written, for the caller to write them in any order.
    #[inline(always)]
    pub(super) fn zeros<const LEN: usize>(&mut self) -> Result<&mut [u8; LEN], DecodeError> {
        let next = self.bytes[self.written..].first_chunk_mut::<LEN>();
        let next = next.ok_or(DecodeError::OutputOverflow)?;
        self.written += LEN;
        *next = [MaybeUninit::new(0); LEN];
        let next = std::ptr::from_mut(next).cast::<[u8; LEN]>();
        // SAFETY: the same memory, borrowed for as long; all of it was written just now.
        Ok(unsafe { &mut *next })
    }

    /// The end of the tile: was everything written?
    pub(super) fn finish(self) -> Result<&'a mut [u8], DecodeError> {
        if self.written < self.bytes.len() {
            return Err(DecodeError::OutputUnderflow);
        }
        let bytes = std::ptr::from_mut(self.bytes) as *mut [u8];
        // SAFETY: the same memory, borrowed for as long; all of it was written, and so has values.
        Ok(unsafe { &mut *bytes })
    }
}

#[inline(always)]
fn copy_block(from: &[u8], source: usize, to: &mut [MaybeUninit<u8>], target: usize) {
    to[target..target + BLOCK].copy_from_slice(values(&from[source..source + BLOCK]));
}

/// A block within the output: read whole, then written whole. What it has no values of, it passes on as such.
#[inline(always)]
fn move_block(bytes: &mut [MaybeUninit<u8>], source: usize, target: usize) {
    bytes.copy_within(source..source + BLOCK, target);
}

/// Half a block: one register's worth.
const WORD: usize = BLOCK / 2;

/// A match at a distance below [`BLOCK`]: the last `distance` bytes, again and again. Writes less
/// than a block behind `end`.
///
/// # Safety
/// The bytes before `target` have values.
#[inline(always)]
unsafe fn repeat(bytes: &mut [MaybeUninit<u8>], distance: usize, target: usize, end: usize) {
    let mut at = target;
    if distance >= WORD {
        while at < end {
            bytes.copy_within(at - distance..at - distance + WORD, at);
            at += WORD;
        }
        return;
    }
    let Some(before) = bytes[..target].last_chunk::<WORD>() else {
        return repeat_at_beginning(bytes, distance, target, end);
    };
    // SAFETY: all of them lie before `target`, and so have values as the caller promises.
    let before = unsafe { before.as_ptr().cast::<[u8; WORD]>().read() };
    // The pattern, as often as it fits into a word; further down only this register is read.
    let mut bits = WORD_BITS_MAX.min(8 * distance as u32);
    let mut pattern = u64::from_le_bytes(before) >> (64 - bits);
    while bits < 64 {
        pattern |= pattern << bits;
        bits *= 2;
    }
    let step = WORD / distance * distance;
    while at < end {
        bytes[at..at + WORD].copy_from_slice(values(&pattern.to_le_bytes()));
        at += step;
    }
}

/// The same where less than a word lies before the match.
#[cold]
fn repeat_at_beginning(bytes: &mut [MaybeUninit<u8>], distance: usize, target: usize, end: usize) {
    for at in target..end {
        bytes[at] = bytes[at - distance];
    }
}

/// Bits of the longest pattern that `repeat` keeps in a register.
const WORD_BITS_MAX: u32 = 56;

#[cfg(test)]
mod tests {
    use super::*;

    /// Under Miri this also says that nothing is looked at before it has a value.
    #[test]
    fn every_short_distance_repeats_what_was_written() {
        let literals: [u8; 64] = std::array::from_fn(|i| i as u8 + 1);
        for distance in 1..=40 {
            for (first, length) in [(distance, 3), (40, 3), (40, 40), (distance, 258)] {
                let mut memory = vec![MaybeUninit::uninit(); first + length + BLOCK];
                let mut output = Output::new(memory.as_mut_slice().into());
                output
                    .sequence(&literals, 0, first, length, distance)
                    .unwrap();
                assert_eq!(output.room_bytes(), BLOCK);
                // The rest, where copies must be exact.
                output.sequence_at_end(&[], BLOCK, distance).unwrap();
                let made = output.finish().unwrap();
                let (literal, repeated) = made.split_at(first);
                assert_eq!(literal, &literals[..first]);
                for (i, byte) in repeated.iter().enumerate() {
                    assert_eq!(*byte, literals[first - distance + i % distance]);
                }
            }
        }
    }

    #[test]
    fn an_output_that_is_not_full_is_not_given_out() {
        let mut memory = [MaybeUninit::uninit(); 3];
        let mut output = Output::new(memory.as_mut_slice().into());
        output.put(&[1, 2]).unwrap();
        assert_eq!(output.put(&[3, 4]), Err(DecodeError::OutputOverflow));
        assert_eq!(output.finish(), Err(DecodeError::OutputUnderflow));
    }
}
