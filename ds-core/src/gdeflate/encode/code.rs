//! Prefix codes: lengths from frequencies, canonical codewords from lengths.

#![forbid(unsafe_code)]

use super::lanes::Op;

/// The longest codeword of the literal/length and distance codes.
pub(super) const CODEWORD_BITS_MAX: usize = 15;
/// Symbols in the largest alphabet.
const SYMBOLS_MAX: usize = 288;

/// A canonical code over `N` symbols: each symbol's codeword as an operation. Unused symbols have none.
pub(super) struct Code<const N: usize> {
    /// Codeword lengths, 0 for unused symbols.
    pub(super) lengths: [u8; N],
    /// Codewords, first bit lowest.
    pub(super) words: [Op; N],
}

impl<const N: usize> Code<N> {
    /// No symbol used.
    pub(super) const fn empty() -> Self {
        Code {
            lengths: [0; N],
            words: [Op::NONE; N],
        }
    }

    /// The code with these lengths, which must satisfy Kraft's inequality.
    pub(super) fn from_lengths(lengths: [u8; N]) -> Self {
        let mut code = Code {
            lengths,
            words: [Op::NONE; N],
        };
        code.assign_words();
        code
    }

    /// Canonical order is by length, then by symbol; the wire wants a codeword's first bit lowest.
    fn assign_words(&mut self) {
        let mut counts = [0_u16; CODEWORD_BITS_MAX + 1];
        for &length in &self.lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let mut next = [0_u16; CODEWORD_BITS_MAX + 1];
        for bits in 1..=CODEWORD_BITS_MAX {
            next[bits] = (next[bits - 1] + counts[bits - 1]) << 1;
        }
        for (word, &length) in self.words.iter_mut().zip(&self.lengths) {
            if length == 0 {
                continue;
            }
            let value = &mut next[usize::from(length)];
            *word = Op::new(
                u32::from(value.reverse_bits() >> (16 - length)),
                u32::from(length),
            );
            *value += 1;
        }
    }
}

/// Codeword lengths for these frequencies: Huffman's, or near them where Huffman's exceed `bits_max`.
///
/// The result is always a complete code, but for one exception: all frequencies zero give all lengths zero. A
/// single used symbol gets a partner that is never sent, because decoders on GPUs do not check for incomplete
/// codes.
pub(super) fn lengths_for<const N: usize>(frequencies: &[u32; N], bits_max: usize) -> [u8; N] {
    const { assert!(N <= SYMBOLS_MAX) };
    debug_assert!(bits_max <= CODEWORD_BITS_MAX && N <= 1 << bits_max);
    let mut lengths = [0; N];
    // Symbols by frequency: sorted keys of frequency and symbol. A tile has too few symbols for the frequency
    // to overflow.
    let mut keys = [0_u32; SYMBOLS_MAX];
    let mut used = 0;
    for (symbol, &frequency) in frequencies.iter().enumerate() {
        keys[used] = frequency << 9 | symbol as u32;
        used += usize::from(frequency != 0);
        debug_assert!(frequency < 1 << 23);
    }
    let keys = &mut keys[..used];
    match *keys {
        [] => return lengths,
        [only] => {
            let symbol = (only & 511) as usize;
            lengths[symbol] = 1;
            lengths[usize::from(symbol == 0)] = 1;
            return lengths;
        }
        _ => keys.sort_unstable(),
    }
    let counts = limited_counts(depth_counts(keys), bits_max);
    // The rarest symbols get the longest codewords.
    let mut rarest_first = keys.iter().map(|key| (key & 511) as usize);
    for bits in (1..=bits_max).rev() {
        for symbol in rarest_first.by_ref().take(counts[bits]) {
            lengths[symbol] = bits as u8;
        }
    }
    lengths
}

/// How many leaves Huffman's tree has at each depth; those deeper than the array are counted at its end.
fn depth_counts(keys: &[u32]) -> [usize; SYMBOLS_MAX] {
    let leaves = keys.len();
    // Inner nodes in the order of their making, which is also the order of their weights.
    let mut weights = [0_u32; SYMBOLS_MAX];
    let mut parents = [0_u16; SYMBOLS_MAX];
    let mut leaf_parents = [0_u16; SYMBOLS_MAX];
    let (mut leaf, mut inner) = (0, 0);
    for made in 0..leaves - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            if leaf < leaves && (inner == made || keys[leaf] >> 9 <= weights[inner]) {
                weight += keys[leaf] >> 9;
                leaf_parents[leaf] = made as u16;
                leaf += 1;
            } else {
                weight += weights[inner];
                parents[inner] = made as u16;
                inner += 1;
            }
        }
        weights[made] = weight;
    }
    // From the root, which was made last, down: `weights` now holds depths.
    let root = leaves - 2;
    weights[root] = 0;
    for node in (0..root).rev() {
        weights[node] = weights[usize::from(parents[node])] + 1;
    }
    let mut counts = [0; SYMBOLS_MAX];
    for &parent in &leaf_parents[..leaves] {
        counts[weights[usize::from(parent)] as usize + 1] += 1;
    }
    counts
}

/// Pushes leaves below `bits_max` up to it and pays for that with the deepest leaves above it, until the code
/// is complete again.
///
/// In units of the longest codeword's share of the code space, each step (a leaf becomes a pair of leaves one
/// bit longer, and one leaf of the longest codewords moves into the pair) frees exactly one.
fn limited_counts(mut counts: [usize; SYMBOLS_MAX], bits_max: usize) -> [usize; SYMBOLS_MAX] {
    let too_deep: usize = counts[bits_max + 1..].iter().sum();
    if too_deep == 0 {
        return counts;
    }
    counts[bits_max + 1..].fill(0);
    counts[bits_max] += too_deep;
    let space: usize = (1..=bits_max)
        .map(|bits| counts[bits] << (bits_max - bits))
        .sum();
    for _ in 1 << bits_max..space {
        let bits = (1..bits_max)
            .rev()
            .find(|&bits| counts[bits] != 0)
            .expect("too many symbols for the limit");
        counts[bits] -= 1;
        counts[bits + 1] += 2;
        counts[bits_max] -= 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space<const N: usize>(lengths: &[u8; N]) -> u32 {
        lengths
            .iter()
            .filter(|&&length| length != 0)
            .map(|&length| 1 << (15 - length))
            .sum()
    }

    #[test]
    fn codes_are_complete_under_every_limit() {
        let mut fibonacci = [0_u32; 32];
        let (mut a, mut b) = (1, 1);
        for frequency in fibonacci.iter_mut().take(30) {
            *frequency = a;
            (a, b) = (b, a + b);
        }
        for used in 2..=30 {
            let mut frequencies = fibonacci;
            frequencies[used..].fill(0);
            for bits_max in 5..=15 {
                let lengths = lengths_for(&frequencies, bits_max);
                assert_eq!(space(&lengths), 1 << 15, "{used} symbols, {bits_max} bits");
                assert!(
                    lengths
                        .iter()
                        .all(|&length| usize::from(length) <= bits_max)
                );
                assert!(
                    lengths
                        .iter()
                        .zip(&frequencies)
                        .all(|(&length, &frequency)| (length == 0) == (frequency == 0))
                );
                assert!(
                    lengths[..used].is_sorted_by(|a, b| a >= b),
                    "a rarer symbol has a shorter codeword"
                );
            }
        }
    }

    #[test]
    fn huffman_is_optimal_where_the_limit_allows() {
        // A known tree: 45 13 12 16 9 5, total 224.
        let lengths = lengths_for(&[45, 13, 12, 16, 9, 5], 7);
        assert_eq!(lengths, [1, 3, 3, 3, 4, 4]);
    }

    #[test]
    fn one_symbol_gets_a_partner() {
        assert_eq!(lengths_for(&[0, 0, 9], 7), [1, 0, 1]);
        assert_eq!(lengths_for(&[9, 0, 0], 7), [1, 1, 0]);
        assert_eq!(lengths_for(&[0, 0, 0], 7), [0, 0, 0]);
    }
}
