//! Textures: painted pictures with their mipmaps, compressed to the blocks that graphics processors read.
//!
//! The encoders take the colours' bounding box as the line to interpolate on: what a fast encoder does, and
//! the statistics of its blocks are those of real ones.

use super::noise::Noise;
use crate::sample::Random;

/// Pixels along the edge of a picture.
const SIDE: usize = 512;

type Pixel = [u8; 4];
/// 4x4 pixels, row by row.
type Block = [Pixel; 16];

/// A square picture.
struct Picture {
    side: usize,
    pixels: Vec<Pixel>,
}

impl Picture {
    /// Weathered bricks, or ground, in two tints; with grain, as photographs have.
    fn paint(random: &mut Random) -> Picture {
        let noise = Noise::new(random);
        let tint = |random: &mut Random| -> [f32; 3] {
            std::array::from_fn(|_| 30.0 + 190.0 * random.unit())
        };
        let (one, other) = (tint(random), tint(random));
        let bricks = random.next().is_multiple_of(2);
        let grain = 3.0 + 9.0 * random.unit();
        let mut pixels = Vec::with_capacity(SIDE * SIDE);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let (u, v) = (x as f32 / 64.0, y as f32 / 64.0);
                let ground = noise.octaves(u, v, 6);
                let row = y / 32;
                let joint = y % 32 < 3 || (x + row % 2 * 32) % 64 < 3;
                let light = if bricks && joint { 0.55 } else { 1.0 };
                let rough = (random.unit() - 0.5) * grain;
                let colour = |channel: usize| {
                    let mix = one[channel] + (other[channel] - one[channel]) * ground;
                    (mix * light + rough).clamp(0.0, 255.0) as u8
                };
                let alpha = if ground < 0.3 { 200 } else { 255 };
                pixels.push([colour(0), colour(1), colour(2), alpha]);
            }
        }
        Picture { side: SIDE, pixels }
    }

    /// The picture at half the size: the means of 2x2 pixels.
    fn halved(&self) -> Picture {
        let side = self.side / 2;
        let mean = |x: usize, y: usize| {
            let at = 2 * y * self.side + 2 * x;
            let four = [at, at + 1, at + self.side, at + self.side + 1];
            std::array::from_fn(|channel| {
                let sum: u16 = four
                    .iter()
                    .map(|&at| u16::from(self.pixels[at][channel]))
                    .sum();
                (sum / 4) as u8
            })
        };
        let pixels = (0..side * side)
            .map(|at| mean(at % side, at / side))
            .collect();
        Picture { side, pixels }
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        let across = self.side / 4;
        (0..across * across).map(move |number| {
            let (left, top) = (number % across * 4, number / across * 4);
            std::array::from_fn(|at| self.pixels[(top + at / 4) * self.side + left + at % 4])
        })
    }
}

/// Pictures and their mipmaps, the larger first, until there are enough bytes.
fn textures<const N: usize>(
    random: &mut Random,
    bytes: usize,
    encode: fn(&Block) -> [u8; N],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 2 * SIDE * SIDE);
    while out.len() < bytes {
        let mut picture = Picture::paint(random);
        while picture.side >= 4 {
            out.extend(picture.blocks().flat_map(|block| encode(&block)));
            picture = picture.halved();
        }
    }
    out
}

/// Textures in BC1: 8 bytes a block.
pub(super) fn bc1(random: &mut Random, bytes: usize) -> Vec<u8> {
    textures(random, bytes, encode_bc1)
}

/// Textures in BC7: 16 bytes a block.
pub(super) fn bc7(random: &mut Random, bytes: usize) -> Vec<u8> {
    textures(random, bytes, encode_bc7)
}

/// Two ends of a line through the block's colours: a diagonal of their bounding box, the one that runs with
/// the channel that varies most.
fn ends(block: &Block) -> [Pixel; 2] {
    let channel = |channel: usize| block.iter().map(move |pixel| pixel[channel]);
    let low: Pixel = std::array::from_fn(|c| channel(c).min().unwrap_or(0));
    let high: Pixel = std::array::from_fn(|c| channel(c).max().unwrap_or(0));
    let main = (0..4).max_by_key(|&c| high[c] - low[c]).unwrap_or(0);
    let middle = |c: usize| (i32::from(low[c]) + i32::from(high[c])) / 2;
    let (mut from, mut to) = (low, high);
    for other in 0..4 {
        let together: i32 = block
            .iter()
            .map(|p| (i32::from(p[main]) - middle(main)) * (i32::from(p[other]) - middle(other)))
            .sum();
        if together < 0 {
            (from[other], to[other]) = (high[other], low[other]);
        }
    }
    [from, to]
}

/// How far along the line from one end to the other a pixel lies, in `steps` steps.
fn step(pixel: Pixel, [from, to]: [Pixel; 2], steps: i32) -> i32 {
    let (mut dot, mut square) = (0, 0);
    for channel in 0..4 {
        let whole = i32::from(to[channel]) - i32::from(from[channel]);
        dot += (i32::from(pixel[channel]) - i32::from(from[channel])) * whole;
        square += whole * whole;
    }
    match square {
        0 => 0,
        _ => ((dot * steps * 2 + square) / (square * 2)).clamp(0, steps),
    }
}

/// Two colours of 5, 6 and 5 bits, the greater first, then 16 indices of 2 bits.
fn encode_bc1(block: &Block) -> [u8; 8] {
    let pack =
        |p: Pixel| u16::from(p[0] >> 3) << 11 | u16::from(p[1] >> 2) << 5 | u16::from(p[2] >> 3);
    let opaque = block.map(|[r, g, b, _]| [r, g, b, 255]);
    let [mut from, mut to] = ends(&opaque);
    if pack(from) < pack(to) {
        (from, to) = (to, from);
    }
    let mut indices = 0u32;
    // Colours that pack alike would mean a format with three colours: all indices stay 0 then.
    if pack(from) > pack(to) {
        for (at, &pixel) in opaque.iter().enumerate() {
            let index = [0, 2, 3, 1][step(pixel, [from, to], 3) as usize];
            indices |= index << (2 * at);
        }
    }
    let [a, b] = [pack(from), pack(to)].map(u16::to_le_bytes);
    let [i, j, k, l] = indices.to_le_bytes();
    [a[0], a[1], b[0], b[1], i, j, k, l]
}

/// Mode 6: two colours with alpha of 7 bits a channel, a last bit that a colour's channels share, and 16
/// indices of 4 bits, of which the first has lost its highest.
fn encode_bc7(block: &Block) -> [u8; 16] {
    let [mut from, mut to] = ends(block);
    if step(block[0], [from, to], 15) > 7 {
        (from, to) = (to, from);
    }
    // The shared bit is set where that is nearer to most channels.
    let shared = |p: Pixel| u8::from(p.iter().map(|&channel| channel & 1).sum::<u8>() > 2);
    let mut bits = Bits::default();
    bits.put(1 << 6, 7);
    for channel in 0..4 {
        bits.put(u128::from(from[channel] >> 1), 7);
        bits.put(u128::from(to[channel] >> 1), 7);
    }
    bits.put(u128::from(shared(from)), 1);
    bits.put(u128::from(shared(to)), 1);
    for (at, &pixel) in block.iter().enumerate() {
        // Rounding may say 8 for the first pixel whichever way the line runs.
        let last = if at == 0 { 7 } else { 15 };
        let index = step(pixel, [from, to], 15).min(last);
        bits.put(index as u128, if at == 0 { 3 } else { 4 });
    }
    debug_assert_eq!(bits.len, 128);
    bits.all.to_le_bytes()
}

/// Bits, the lowest first.
#[derive(Default)]
struct Bits {
    all: u128,
    len: u32,
}

impl Bits {
    fn put(&mut self, value: u128, bits: u32) {
        self.all |= value << self.len;
        self.len += bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack_565(packed: u16) -> [i32; 3] {
        let widen = |value: i32, bits: u32| value << (8 - bits) | value >> (2 * bits - 8);
        let packed = i32::from(packed);
        [
            widen(packed >> 11, 5),
            widen(packed >> 5 & 63, 6),
            widen(packed & 31, 5),
        ]
    }

    fn decode_bc1(block: [u8; 8]) -> [[i32; 3]; 16] {
        let word = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
        let [a, b] = [unpack_565(word(0)), unpack_565(word(2))];
        let indices = u32::from(word(4)) | u32::from(word(6)) << 16;
        std::array::from_fn(|at| {
            let index = indices >> (2 * at) & 3;
            std::array::from_fn(|c| match index {
                0 => a[c],
                1 => b[c],
                2 => (2 * a[c] + b[c]) / 3,
                _ => (a[c] + 2 * b[c]) / 3,
            })
        })
    }

    fn decode_bc7(block: [u8; 16]) -> [[i32; 3]; 16] {
        const WEIGHTS: [i32; 16] = [0, 4, 9, 13, 17, 21, 26, 30, 34, 38, 43, 47, 51, 55, 60, 64];
        let all = u128::from_le_bytes(block);
        let field = |start: usize, bits: usize| (all >> start & ((1 << bits) - 1)) as i32;
        assert_eq!(field(0, 7), 64, "mode 6");
        let end =
            |c: usize, which: usize| field(7 + 14 * c + 7 * which, 7) << 1 | field(63 + which, 1);
        std::array::from_fn(|at| {
            let index = match at {
                0 => field(65, 3),
                _ => field(68 + 4 * (at - 1), 4),
            };
            let weight = WEIGHTS[index as usize];
            std::array::from_fn(|c| (end(c, 0) * (64 - weight) + end(c, 1) * weight + 32) >> 6)
        })
    }

    /// The mean square error of a picture's colours.
    fn error<const N: usize>(
        encode: fn(&Block) -> [u8; N],
        decode: fn([u8; N]) -> [[i32; 3]; 16],
    ) -> f64 {
        let mut random = Random::new(11);
        let (mut sum, mut count) = (0.0, 0.0);
        for _ in 0..3 {
            for block in Picture::paint(&mut random).blocks() {
                for (pixel, decoded) in block.iter().zip(decode(encode(&block))) {
                    for channel in 0..3 {
                        sum += f64::from(i32::from(pixel[channel]) - decoded[channel]).powi(2);
                        count += 1.0;
                    }
                }
            }
        }
        sum / count
    }

    /// 30 and 38 dB: what fast encoders reach on pictures with grain.
    #[test]
    fn blocks_decode_to_their_pictures() {
        let errors = [error(encode_bc1, decode_bc1), error(encode_bc7, decode_bc7)];
        let db = errors.map(|error| 10.0 * (255.0f64 * 255.0 / error).log10());
        assert!(db[0] > 30.0 && db[1] > 38.0, "{db:?}");
    }

    #[test]
    fn a_block_of_one_colour_stays_one() {
        for colour in [[0, 0, 0, 255], [255; 4], [8, 4, 8, 255]] {
            let block = [colour; 16];
            for pixel in decode_bc1(encode_bc1(&block)) {
                assert!((0..3).all(|c| (pixel[c] - i32::from(colour[c])).abs() <= 4));
            }
            for pixel in decode_bc7(encode_bc7(&block)) {
                assert!((0..3).all(|c| (pixel[c] - i32::from(colour[c])).abs() <= 1));
            }
        }
    }
}
