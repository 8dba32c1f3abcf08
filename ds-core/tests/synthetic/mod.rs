//! Seeded data for tests: the same bytes on every machine and in every year.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "each test program uses its own part")]

/// A small generator of pseudo-random numbers (xorshift with a multiplier). Its sequence is part
/// of the golden files: never change it.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Kinds of data: each favours other parts of a decoder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Stored blocks.
    Noise,
    /// One long match.
    Zeros,
    /// Words of a small vocabulary: literals and matches of middling length.
    Words,
    /// Records with counters: many short matches at one distance.
    Records,
    /// A few values, very unevenly distributed: short and long codewords, few matches.
    Skewed,
    /// Noise that returns from afar: distances up to the window's size.
    Far,
    /// A period of 1 to 40 bytes: overlapping copies.
    Period,
    /// All of the above in pieces: several blocks in a tile.
    Mixed,
}

pub(crate) const KINDS: [Kind; 8] = [
    Kind::Noise,
    Kind::Zeros,
    Kind::Words,
    Kind::Records,
    Kind::Skewed,
    Kind::Far,
    Kind::Period,
    Kind::Mixed,
];

/// `bytes` bytes of a kind.
pub(crate) fn data(kind: Kind, bytes: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut data = Vec::with_capacity(bytes + 64);
    while data.len() < bytes {
        piece(kind, bytes, &mut random, &mut data);
    }
    data.truncate(bytes);
    data
}

fn piece(kind: Kind, bytes: usize, random: &mut Random, data: &mut Vec<u8>) {
    match kind {
        Kind::Noise => data.push(random.next() as u8),
        Kind::Zeros => data.resize(bytes, 0),
        Kind::Words => {
            let word = random.below(400) as u64;
            let mut letters = Random::new(word + 7);
            let letter = |_| b'a' + letters.below(26) as u8;
            data.extend((0..2 + word % 9).map(letter));
            data.push(b" \n.,"[random.below(4)]);
        }
        Kind::Records => {
            let counter = data.len() as u32 / 12;
            data.extend(counter.to_le_bytes());
            data.extend((random.next() as u16).to_le_bytes());
            data.extend([0, 0, 0x40, random.below(3) as u8, 1, 0]);
        }
        Kind::Skewed => {
            let zeros = random.next().trailing_zeros() as u8;
            data.push(zeros.wrapping_mul(37) ^ (random.below(20) == 0) as u8);
        }
        Kind::Far => {
            let far = 20_000 + random.below(45_000);
            match data.len().checked_sub(far) {
                Some(at) => data.extend_from_within(at..at + (3 + random.below(200)).min(far)),
                None => data.extend((0..64).map(|_| random.next() as u8)),
            }
        }
        Kind::Period => {
            let period: Vec<u8> = (0..1 + random.below(40))
                .map(|_| random.next() as u8)
                .collect();
            let repeats = 2 + random.below(60);
            data.extend(period.iter().cycle().take(repeats * period.len()));
        }
        Kind::Mixed => {
            let piece_bytes = 500 + random.below(9_000);
            let kind = KINDS[random.below(KINDS.len() - 1)];
            data.extend(self::data(kind, piece_bytes, random.next()));
        }
    }
}
