//! Writes tiles symbol by symbol, by the book and slowly: for streams that no encoder would make.
//!
//! Shares no code with the library. Lanes are queues of bits; a word is laid out for a lane at the
//! moment when a decoder would take it.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::VecDeque;

const LANES: usize = 32;

/// What a block holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    /// A literal/length symbol without extra bits: a literal, or one that has no meaning.
    Symbol(u32),
    /// Length and distance.
    Match(u32, u32),
    /// The same, with symbol 285 whatever the length.
    LongMatch(u32, u32),
}

/// A tile under construction.
pub(crate) struct TileWriter {
    lanes: [VecDeque<bool>; LANES],
    held: [u32; LANES],
    words: Vec<usize>,
}

impl TileWriter {
    pub(crate) fn new() -> Self {
        Self {
            lanes: std::array::from_fn(|_| VecDeque::new()),
            held: [32; LANES],
            words: (0..LANES).collect(),
        }
    }

    /// One operation of a lane: values with their numbers of bits, lowest bit first.
    pub(crate) fn operation(&mut self, lane: usize, parts: &[(u32, u32)]) {
        for &(value, bits) in parts {
            self.lanes[lane].extend((0..bits).map(|bit| value >> bit & 1 == 1));
            self.held[lane] -= bits;
        }
        if self.held[lane] < 32 {
            self.held[lane] += 32;
            self.words.push(lane);
        }
    }

    pub(crate) fn block_header(&mut self, last: bool, block_type: u32) {
        self.operation(0, &[(last.into(), 1), (block_type, 2)]);
    }

    pub(crate) fn stored(&mut self, last: bool, bytes: &[u8]) {
        self.block_header(last, 0);
        self.operation(0, &[(bytes.len() as u32, 16)]);
        for (i, byte) in bytes.iter().enumerate() {
            self.operation(i % LANES, &[((*byte).into(), 8)]);
        }
    }

    /// A block with the static codes.
    pub(crate) fn compressed(&mut self, last: bool, items: &[Item]) {
        self.block_header(last, 1);
        let mut due = [None; LANES];
        let mut lane = 0;
        for item in items.iter().map(Some).chain([None]) {
            while let Some(distance) = due[lane].take() {
                self.operation(lane, &distance_parts(distance));
                lane = (lane + 1) % LANES;
            }
            match item {
                Some(Item::Symbol(symbol)) => self.operation(lane, &[literal_code(*symbol)]),
                Some(Item::Match(length, distance)) => {
                    self.operation(lane, &length_parts(*length));
                    due[lane] = Some(*distance);
                }
                Some(Item::LongMatch(length, distance)) => {
                    self.operation(lane, &[literal_code(285), (length - 3, 16)]);
                    due[lane] = Some(*distance);
                }
                None => self.operation(lane, &[literal_code(256)]),
            }
            lane = (lane + 1) % LANES;
        }
        for i in 0..LANES - 1 {
            let lane = (lane + i) % LANES;
            if let Some(distance) = due[lane].take() {
                self.operation(lane, &distance_parts(distance));
            }
        }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let mut tile = Vec::new();
        for lane in self.words {
            let queue = &mut self.lanes[lane];
            let bit = |bit| u32::from(queue.pop_front().unwrap_or(false)) << bit;
            tile.extend((0..32).map(bit).sum::<u32>().to_le_bytes());
        }
        assert!(
            self.lanes.iter().all(VecDeque::is_empty),
            "bits were left over"
        );
        tile
    }
}

/// A static codeword: first bit lowest.
fn literal_code(symbol: u32) -> (u32, u32) {
    let (code, bits) = match symbol {
        0..144 => (0x30 + symbol, 8),
        144..256 => (0x190 + symbol - 144, 9),
        256..280 => (symbol - 256, 7),
        _ => (0xC0 + symbol - 280, 8),
    };
    (code.reverse_bits() >> (32 - bits), bits)
}

fn length_parts(length: u32) -> [(u32, u32); 2] {
    let mut base = 3;
    for symbol in 257..285 {
        let extra_bits = (symbol - 257u32).saturating_sub(4) / 4;
        if length < base + (1 << extra_bits) {
            return [literal_code(symbol), (length - base, extra_bits)];
        }
        base += 1 << extra_bits;
    }
    [literal_code(285), (length - 3, 16)]
}

fn distance_parts(distance: u32) -> [(u32, u32); 2] {
    let mut base = 1;
    for symbol in 0..32u32 {
        let extra_bits = (symbol / 2).saturating_sub(1);
        if distance < base + (1 << extra_bits) {
            return [
                (symbol.reverse_bits() >> 27, 5),
                (distance - base, extra_bits),
            ];
        }
        base += 1 << extra_bits;
    }
    panic!("no symbol for distance {distance}");
}
