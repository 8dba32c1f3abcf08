//! Contents that say where they belong, and memory that says who wrote where he must not.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use ds_core::gdeflate::Codec;
use ds_core::gdeflate::encode::Level;
use ds_core::{Buffer, MemoryDestination, Queue, S_OK, StatusArray};

/// Longer than anything takes, also under a sanitizer; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// SplitMix64's finisher.
fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Numbers that are the same for the same seed on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(mix(seed))
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0) % end
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub(crate) fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }
}

/// `bytes` bytes of which every eight differ from all others, none is 0 (which memory and holes are full
/// of) and none is what untouched memory has. They compress to about half.
pub(crate) fn contents(seed: u64, bytes: usize) -> Vec<u8> {
    let word = |index: u64| mix(mix(seed) ^ index) & 0x0F0F_0F0F_0F0F_0F0F | 0x4040_4040_4040_4040;
    let mut all: Vec<u8> = (0..bytes.div_ceil(8) as u64)
        .flat_map(|index| word(index).to_le_bytes())
        .collect();
    all.truncate(bytes);
    all
}

/// `contents` as a tile stream.
pub(crate) fn stream_of(contents: &[u8]) -> Vec<u8> {
    Codec::new(1)
        .compress_to_vec(contents, Level::FASTEST, None)
        .expect("any contents can be compressed")
}

/// What a byte says that nobody has written.
pub(crate) const UNTOUCHED: u8 = 0xA5;
/// Bytes on either side of a destination.
const GUARD_BYTES: usize = 4096;

/// A destination between two guards.
#[derive(Debug)]
pub(crate) struct Guarded {
    buffer: Buffer,
    start: usize,
    bytes: usize,
}

impl Guarded {
    /// A destination of `bytes` bytes, `shift` bytes behind a page's beginning.
    pub(crate) fn new(bytes: usize, shift: usize) -> Guarded {
        let start = GUARD_BYTES + shift;
        Guarded {
            buffer: Buffer::from_slice(&vec![UNTOUCHED; start + bytes + GUARD_BYTES]),
            start,
            bytes,
        }
    }

    pub(crate) fn lend(&mut self) -> MemoryDestination {
        let parts = self.buffer.lend_parts([self.start, self.bytes]);
        parts.expect("it is not lent").pop().expect("two parts")
    }

    /// Whether the engine still has it.
    pub(crate) fn is_lent(&mut self) -> bool {
        self.buffer.is_lent()
    }

    /// The destination's bytes, once the engine has given them back and if no guard was touched.
    pub(crate) fn bytes(&mut self) -> &[u8] {
        let (start, end) = (self.start, self.start + self.bytes);
        let all = self.buffer.bytes().expect("given back");
        let touched = |guard: &[u8]| guard.iter().any(|&byte| byte != UNTOUCHED);
        assert!(!touched(&all[..start]), "bytes before the destination");
        assert!(!touched(&all[end..]), "bytes behind the destination");
        &all[start..end]
    }

    /// Fails unless the destination holds `expected`; says where it does not.
    pub(crate) fn expect(&mut self, expected: &[u8], what: &str) {
        assert_same(self.bytes(), expected, what);
    }
}

/// Fails where `found` is not `expected`, without printing megabytes.
pub(crate) fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    if found != expected {
        let at = found.iter().zip(expected).position(|(a, b)| a != b);
        let at = at.expect("equal lengths, different bytes");
        let around = at..(at + 16).min(found.len());
        panic!(
            "{what}: byte {at} of {}: found {:02x?}, expected {:02x?}",
            found.len(),
            &found[around.clone()],
            &expected[around]
        );
    }
}

/// Enqueues a status, submits, and answers what the status says.
pub(crate) fn finish(queue: &Queue) -> i32 {
    let array = StatusArray::new(1, None);
    queue.enqueue_status(Some(&array), 0);
    queue.submit();
    array.wait(0, Some(PATIENCE)).expect("waited in vain")
}

/// The same, for success.
pub(crate) fn finish_well(queue: &Queue, what: &str) {
    let result = finish(queue);
    if result != S_OK {
        let failure = queue.retrieve_error_record().first_failure;
        panic!("{what}: {:#010X}: {failure:?}", result.cast_unsigned());
    }
}

/// Waits until `condition`.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
