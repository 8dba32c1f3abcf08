//! The decoder between pages that must not be touched: input and output end, or begin, where the next byte
//! would end the process. On every path, with good tiles and with damaged ones.

mod paths;
mod reference;
mod synthetic;

use std::ptr;

use ds_core::gdeflate::{Decoder, TILE_BYTES};
use paths::Decoders;
use synthetic::{KINDS, Random, data};

/// Memory between two pages that allow no access.
struct Guarded {
    mapping: *mut u8,
    mapping_bytes: usize,
    page_bytes: usize,
}

impl Guarded {
    /// Room for at least `bytes` bytes.
    fn new(bytes: usize) -> Self {
        // SAFETY: asks for a number.
        let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let inner_bytes = bytes.next_multiple_of(page_bytes);
        let mapping_bytes = inner_bytes + 2 * page_bytes;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapping_bytes,
                libc::PROT_NONE,
                flags,
                -1,
                0,
            )
        };
        assert_ne!(mapping, libc::MAP_FAILED);
        let mapping = mapping.cast::<u8>();
        // SAFETY: one page behind the beginning of the mapping.
        let inner = unsafe { mapping.add(page_bytes) };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: these pages are this mapping's, and nothing refers to them yet.
        let result = unsafe { libc::mprotect(inner.cast(), inner_bytes, access) };
        assert_eq!(result, 0);
        Self {
            mapping,
            mapping_bytes,
            page_bytes,
        }
    }

    /// The first `bytes` bytes, or the last.
    fn slice(&mut self, bytes: usize, last: bool) -> &mut [u8] {
        let inner_bytes = self.mapping_bytes - 2 * self.page_bytes;
        assert!(bytes <= inner_bytes);
        let at = self.page_bytes + if last { inner_bytes - bytes } else { 0 };
        // SAFETY: within the mapping.
        let start = unsafe { self.mapping.add(at) };
        // SAFETY: the inner pages can be read and written, hold zeros at first, and are borrowed
        // only through `self`.
        unsafe { std::slice::from_raw_parts_mut(start, bytes) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the whole mapping, to which nothing refers any more.
        unsafe { libc::munmap(self.mapping.cast(), self.mapping_bytes) };
    }
}

/// Decodes at both ends of both memories. Damaged tiles may have any result.
fn decode(
    decoder: &mut Decoder,
    input: &mut Guarded,
    output: &mut Guarded,
    tile: &[u8],
    expected: Result<&[u8], usize>,
) {
    for ends in 0..4 {
        let tile_between = input.slice(tile.len(), ends & 1 == 0);
        tile_between.copy_from_slice(tile);
        let output = output.slice(
            expected.map_or_else(|bytes| bytes, <[u8]>::len),
            ends & 2 == 0,
        );
        output.fill(0xEE);
        let result = decoder.decode_tile(tile_between, output);
        if let Ok(expected) = expected {
            assert_eq!(result, Ok(()));
            assert!(output == expected);
        }
    }
}

#[test]
fn nothing_outside_input_and_output_is_touched() {
    let mut decoders = Decoders::new();
    let mut random = Random::new(21);
    let mut input = Guarded::new(70_000);
    let mut output = Guarded::new(TILE_BYTES);
    for (_, decoder) in decoders.each() {
        for (seed, kind) in (1..).zip(KINDS) {
            for level in [1, 6, 12] {
                let mut encoder = reference::Encoder::new(level);
                for bytes in [
                    1, 30, 31, 32, 33, 63, 64, 65, 100, 1_000, 4_096, 9_000, TILE_BYTES,
                ] {
                    let original = data(kind, bytes, seed);
                    let Some(tile) = encoder.tile(&original) else {
                        continue;
                    };
                    let mut check = |tile: &[u8], expected| {
                        decode(decoder, &mut input, &mut output, tile, expected);
                    };
                    check(&tile, Ok(&original));
                    for _ in 0..8 {
                        let mut damaged = tile.clone();
                        damaged[random.below(tile.len())] ^= 1 << random.below(8);
                        check(&damaged, Err(bytes));
                    }
                    let words = 32 + random.below(tile.len() / 4 - 31);
                    check(&tile[..words * 4], Err(bytes));
                    check(&tile, Err(1 + random.below(bytes)));
                }
            }
        }
    }
}
