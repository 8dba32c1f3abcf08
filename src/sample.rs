//! Sample data for the demonstration and the benchmarks: kinds of bytes that games ship, made from a fixed
//! seed.

/// A file of the sample.
pub(crate) struct SampleFile {
    /// Its name, which says what is in it.
    pub(crate) name: &'static str,
    /// Its contents.
    pub(crate) bytes: Vec<u8>,
}

/// The sample, one file at a time, `total_bytes` in all but for rounding; the same bytes each time.
pub(crate) fn files(total_bytes: usize) -> impl Iterator<Item = SampleFile> {
    type Make = fn(&mut Random, usize) -> Vec<u8>;
    let kinds: [(&'static str, usize, Make); 6] = [
        ("text.txt", 12, text),
        ("records.bin", 10, records),
        ("texture.bc1", 16, texture),
        ("mesh.f32", 12, mesh),
        ("noise.bin", 8, noise),
        ("zeros.bin", 6, zeros),
    ];
    kinds.into_iter().map(move |(name, parts, make)| {
        let mut bytes = make(&mut Random::new(1), total_bytes / 64 * parts);
        bytes.truncate(total_bytes / 64 * parts);
        SampleFile { name, bytes }
    })
}

/// Marsaglia's xorshift with 64 bits: fast, and good enough to look like data.
pub(crate) struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    pub(crate) fn new(seed: u64) -> Random {
        // Multiplied, since small seeds begin with small numbers; odd, since 0 would stay 0.
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 64 bits, never all 0.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `end`, which is at most 2^32; every number as often.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((self.next() >> 32) * end) >> 32
    }

    /// From 0 to less than 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Below `end`, small numbers more often: a product of two draws.
    pub(crate) fn skewed(&mut self, end: u64) -> u64 {
        let draws = self.next();
        ((draws >> 48) * (draws >> 32 & 0xFFFF) * end) >> 32
    }
}

/// Sentences of made-up words, the short ones frequent.
fn text(random: &mut Random, bytes: usize) -> Vec<u8> {
    const SYLLABLES: [&str; 16] = [
        "ka", "ro", "the", "in", "mer", "sol", "an", "du", "vi", "est", "or", "lan", "qui", "be",
        "tor", "e",
    ];
    let word = |random: &mut Random| -> String {
        let draw = random.next();
        let syllables = (0..1 + draw % 4).map(|at| SYLLABLES[(draw >> (8 + 4 * at) & 15) as usize]);
        syllables.collect()
    };
    let words: Vec<String> = (0..4096).map(|_| word(random)).collect();
    let mut out = Vec::with_capacity(bytes + 64);
    while out.len() < bytes {
        let word = &words[random.skewed(words.len() as u64) as usize];
        out.extend(word.as_bytes());
        out.extend(if random.next().is_multiple_of(12) {
            &b".\n"[..]
        } else {
            b" "
        });
    }
    out
}

/// Records of 32 bytes: a counter, a small type, two ids and a price.
fn records(random: &mut Random, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 32);
    let mut counter = 1_000_000u64;
    while out.len() < bytes {
        counter += 1 + random.skewed(8);
        out.extend(counter.to_le_bytes());
        out.extend((random.skewed(12) as u32).to_le_bytes());
        out.extend((random.skewed(50_000) as u32).to_le_bytes());
        out.extend(random.skewed(1 << 20).to_le_bytes());
        out.extend((random.skewed(20_000) as f64 / 100.0).to_le_bytes());
    }
    out
}

/// BC1 blocks of a smooth picture: two colours that drift, and indices with few patterns.
fn texture(random: &mut Random, bytes: usize) -> Vec<u8> {
    let patterns: Vec<u32> = (0..512).map(|_| random.next() as u32).collect();
    let mut out = Vec::with_capacity(bytes + 8);
    let mut colour = 0x7BEFu16;
    while out.len() < bytes {
        if random.next().is_multiple_of(3) {
            colour = colour
                .wrapping_add((random.skewed(5) as u16) << 5)
                .wrapping_sub(33);
        }
        out.extend(colour.to_le_bytes());
        out.extend((colour ^ 0x0841).to_le_bytes());
        out.extend(patterns[random.skewed(patterns.len() as u64) as usize].to_le_bytes());
    }
    out
}

/// Vertices of a wavy surface: positions and normals, 24 bytes each.
fn mesh(random: &mut Random, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 24);
    let mut index = 0u32;
    while out.len() < bytes {
        let (x, z) = ((index % 512) as f32 / 8.0, (index / 512) as f32 / 8.0);
        let height = (x * 0.3).sin() * (z * 0.2).cos() * 4.0 + random.skewed(16) as f32 / 1024.0;
        let normal =
            [-(x * 0.3).cos(), 1.0, (z * 0.2).sin()].map(|part| (part * 64.0).round() / 64.0);
        for value in [x, height, z].into_iter().chain(normal) {
            out.extend(value.to_le_bytes());
        }
        index += 1;
    }
    out
}

/// What does not compress: media that already are.
fn noise(random: &mut Random, bytes: usize) -> Vec<u8> {
    (0..bytes.div_ceil(8))
        .flat_map(|_| random.next().to_le_bytes())
        .collect()
}

/// What compresses best.
fn zeros(_: &mut Random, bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_its_size_and_is_the_same_each_time() {
        let (one, two): (Vec<_>, Vec<_>) = (files(1 << 20).collect(), files(1 << 20).collect());
        assert_eq!(
            one.iter().map(|file| file.bytes.len()).sum::<usize>(),
            1 << 20
        );
        assert!(one.iter().zip(&two).all(|(a, b)| a.bytes == b.bytes));
    }
}
