//! The generated part of the standard corpus: the kinds of bytes that games ship, made in memory from fixed
//! seeds.
//!
//! The same bytes on every machine: nothing here asks the clock, the machine or its mathematics library, only
//! arithmetic that IEEE 754 fixes to the last bit.

mod audio;
mod mesh;
mod noise;
mod texture;
mod words;

use crate::sample::Random;

/// A kind of data: its name, what it is, and how it is made (so many bytes at least).
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    make: fn(&mut Random, usize) -> Vec<u8>,
}

const fn kind(
    name: &'static str,
    what: &'static str,
    make: fn(&mut Random, usize) -> Vec<u8>,
) -> Kind {
    Kind { name, what, make }
}

/// Every kind; the last two only copy or fill memory.
pub(super) const KINDS: [Kind; 10] = [
    kind(
        "text",
        "sentences of made-up words with favourite neighbours",
        words::text,
    ),
    kind("json", "a scene: objects, places, tags", words::json),
    kind("table", "comma-separated values", words::table),
    kind(
        "texture-bc1",
        "pictures with mipmaps in BC1 blocks",
        texture::bc1,
    ),
    kind(
        "texture-bc7",
        "the like in BC7 blocks, mode 6",
        texture::bc7,
    ),
    kind(
        "mesh-vertices",
        "interleaved vertices of 32 bytes",
        mesh::vertices,
    ),
    kind(
        "mesh-indices",
        "16-bit triangle lists in cache order",
        mesh::indices,
    ),
    kind(
        "audio-pcm",
        "notes and noise, 16-bit stereo, 48 kHz",
        audio::pcm,
    ),
    kind("random", "what is compressed or encrypted already", random),
    kind("zeros", "nothing but zeros", zeros),
];

impl Kind {
    /// Exactly `bytes` bytes, the same each time; those of a smaller size are a beginning of those of a
    /// larger.
    pub(super) fn data(&self, bytes: usize) -> Vec<u8> {
        let seed = self
            .name
            .bytes()
            .fold(7u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
        let mut data = (self.make)(&mut Random::new(seed), bytes);
        data.truncate(bytes);
        debug_assert_eq!(data.len(), bytes, "{} came out short", self.name);
        data
    }
}

fn random(random: &mut Random, bytes: usize) -> Vec<u8> {
    let words = (0..bytes.div_ceil(8)).flat_map(|_| random.next().to_le_bytes());
    words.collect()
}

fn zeros(_: &mut Random, bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ds_core::gdeflate::Codec;
    use ds_core::gdeflate::encode::Level;

    fn ratio(data: &[u8]) -> f64 {
        let packed = Codec::new(1)
            .compress_to_vec(data, Level::DEFAULT, None)
            .expect("it compresses");
        data.len() as f64 / packed.len() as f64
    }

    #[test]
    fn the_same_bytes_each_time_and_a_beginning_of_more() {
        for kind in &KINDS {
            let (some, again) = (kind.data(300_001), kind.data(300_001));
            assert!(some.len() == 300_001 && some == again, "{}", kind.name);
            assert!(kind.data(400_000).starts_with(&some), "{}", kind.name);
        }
    }

    /// The bytes themselves, so that figures of one commit mean the same in the next.
    #[test]
    fn the_corpus_is_the_one_that_was_measured() {
        let all: Vec<u8> = KINDS.iter().flat_map(|kind| kind.data(200_000)).collect();
        assert_eq!(xxhash_rust::xxh3::xxh3_64(&all), 0x4756_0A45_782E_4E9D);
    }

    /// What real data of these kinds does: formatted text to a third or a sixth, blocks and floats a little.
    #[test]
    fn every_kind_compresses_as_its_kind_does() {
        for (name, from, to) in [
            ("text", 2.0, 3.6),
            ("json", 4.0, 9.0),
            ("table", 2.2, 4.5),
            ("texture-bc1", 1.2, 2.5),
            ("texture-bc7", 1.05, 1.8),
            ("mesh-vertices", 1.2, 2.5),
            ("mesh-indices", 1.6, 4.0),
            ("audio-pcm", 1.05, 1.6),
            ("random", 0.99, 1.0),
            ("zeros", 300.0, 1e6),
        ] {
            let kind = KINDS.iter().find(|kind| kind.name == name);
            let ratio = ratio(&kind.expect("the kind").data(1 << 19));
            println!("{name}: {ratio:.3}");
            assert!((from..=to).contains(&ratio), "{name}: {ratio:.3}");
        }
    }
}
