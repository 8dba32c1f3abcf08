//! Random numbers, and inputs made from other inputs.
//!
//! Promises that the same seed makes the same inputs in the same order, on every machine: a failure is
//! replayed by its seed alone.

#![forbid(unsafe_code)]

/// No input grows past this; tile streams of a few tiles fit.
pub const INPUT_BYTES_MAX: usize = 1 << 18;

/// A small generator (splitmix64): its whole state is one number, so any case can be reached directly.
pub struct Random(u64);

impl Random {
    /// The generator for case `case` of the run `seed`.
    #[must_use]
    pub fn for_case(seed: u64, case: u64) -> Self {
        Self(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0 if `end` is 0. The bias of the remainder is below what fuzzing can notice.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 {
            0
        } else {
            (self.bits() % end as u64) as usize
        }
    }

    /// Mostly small, now and then any number below `end`: lengths worth trying are rarely large.
    fn small(&mut self, end: usize) -> usize {
        let bits = self.below(usize::BITS as usize - end.leading_zeros() as usize + 1);
        self.below(end.min(1 << bits.min(30)))
    }
}

/// Makes an input: from the corpus with a few changes, or now and then from nothing.
#[must_use]
pub fn input(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut data = match corpus.len() {
        0 => noise(random),
        _ if random.below(32) == 0 => noise(random),
        count => corpus[random.below(count)].clone(),
    };
    for _ in 0..=random.small(8) {
        change(random, &mut data, corpus);
    }
    data.truncate(INPUT_BYTES_MAX);
    data
}

fn noise(random: &mut Random) -> Vec<u8> {
    let bytes = random.small(4096);
    (0..bytes).map(|_| random.bits() as u8).collect()
}

fn change(random: &mut Random, data: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    match random.below(9) {
        0 => flip_bit(random, data),
        1 => set_byte(random, data),
        2 => set_word(random, data),
        3 => nudge_word(random, data),
        4 => data.truncate(random.below(data.len() + 1)),
        5 => remove_range(random, data),
        6 => repeat_range(random, data),
        7 => insert_noise(random, data),
        _ => splice(random, data, corpus),
    }
}

fn flip_bit(random: &mut Random, data: &mut [u8]) {
    let at = random.below(data.len());
    if let Some(byte) = data.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn set_byte(random: &mut Random, data: &mut [u8]) {
    let at = random.below(data.len());
    if let Some(byte) = data.get_mut(at) {
        *byte = random.bits() as u8;
    }
}

/// Numbers at which code changes its mind.
const EDGES: [u32; 14] = [
    0,
    1,
    2,
    3,
    4,
    31,
    32,
    127,
    255,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    u32::MAX,
];

/// Writes an edge number over 1, 2 or 4 bytes, little endian, as the formats have it.
fn set_word(random: &mut Random, data: &mut [u8]) {
    let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
    let bytes = 1 << random.below(3);
    let at = random.below(data.len());
    data[at..]
        .iter_mut()
        .zip(&edge[..bytes])
        .for_each(|(byte, new)| *byte = *new);
}

/// Adds or takes a little from a 16-bit number: sizes and offsets that are nearly right find most.
fn nudge_word(random: &mut Random, data: &mut [u8]) {
    let at = random.below(data.len().saturating_sub(1));
    let Some([low, high]) = data.get_mut(at..at + 2) else {
        return;
    };
    let by = random.below(33) as u16;
    let word = u16::from_le_bytes([*low, *high])
        .wrapping_add(by)
        .wrapping_sub(16);
    [*low, *high] = word.to_le_bytes();
}

fn range(random: &mut Random, data: &[u8]) -> std::ops::Range<usize> {
    let start = random.below(data.len() + 1);
    start..start + random.small(data.len() - start + 1)
}

fn remove_range(random: &mut Random, data: &mut Vec<u8>) {
    let range = range(random, data);
    data.drain(range);
}

fn repeat_range(random: &mut Random, data: &mut Vec<u8>) {
    let copy = data[range(random, data)].to_vec();
    let at = random.below(data.len() + 1);
    data.splice(at..at, copy);
}

fn insert_noise(random: &mut Random, data: &mut Vec<u8>) {
    let at = random.below(data.len() + 1);
    let bytes = random.small(64);
    let noise: Vec<u8> = (0..bytes).map(|_| random.bits() as u8).collect();
    data.splice(at..at, noise);
}

/// The start of one input and the end of another.
fn splice(random: &mut Random, data: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let Some(other) = corpus.get(random.below(corpus.len())) else {
        return;
    };
    data.truncate(random.below(data.len() + 1));
    data.extend_from_slice(&other[random.below(other.len())..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_inputs() {
        let corpus = vec![vec![1, 2, 3], vec![], vec![9; 100]];
        let make = |seed| {
            (0..500)
                .map(|case| input(&mut Random::for_case(seed, case), &corpus))
                .collect::<Vec<_>>()
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }

    #[test]
    fn inputs_stay_bounded_and_differ() {
        let corpus = vec![vec![0; INPUT_BYTES_MAX]];
        let made: Vec<_> = (0..200)
            .map(|case| input(&mut Random::for_case(1, case), &corpus))
            .collect();
        assert!(made.iter().all(|data| data.len() <= INPUT_BYTES_MAX));
        assert!(made.iter().filter(|data| **data != corpus[0]).count() > 150);
    }
}
