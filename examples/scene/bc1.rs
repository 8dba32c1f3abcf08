//! BC1, as graphics processors read it: 4 by 4 pixels in 8 bytes, two colours and the steps between them.

#![forbid(unsafe_code)]

use super::Picture;

/// Which of the four colours lies so many thirds of the way from the first to the second.
const INDEX_OF_STEP: [u32; 4] = [0, 2, 3, 1];

/// The block whose first pixel is at `place`. The line between the darkest and the brightest pixel is what
/// a fast encoder interpolates on.
pub(crate) fn encode(picture: &Picture, [x, y, z]: [usize; 3]) -> [u8; 8] {
    let pixels: [[u8; 4]; 16] = std::array::from_fn(|n| picture.at([x + n % 4, y + n / 4, z]));
    let light = |pixel: &&[u8; 4]| pixel[..3].iter().map(|c| u32::from(*c)).sum::<u32>();
    let brightest = pixels.iter().max_by_key(light).expect("16 pixels");
    let darkest = pixels.iter().min_by_key(light).expect("16 pixels");
    let (mut first, mut second) = (pack(brightest), pack(darkest));
    // The greater comes first: the other order means another format.
    if first < second {
        (first, second) = (second, first);
    }
    let mut indices = 0;
    if first != second {
        let (from, to) = (unpack(first), unpack(second));
        for (n, pixel) in pixels.iter().enumerate() {
            indices |= INDEX_OF_STEP[step(pixel, from, to)] << (2 * n);
        }
    }
    let mut block = [0; 8];
    block[..2].copy_from_slice(&first.to_le_bytes());
    block[2..4].copy_from_slice(&second.to_le_bytes());
    block[4..].copy_from_slice(&indices.to_le_bytes());
    block
}

/// The pixel at column `x`, row `y` of a block.
pub(crate) fn decode(block: &[u8], x: usize, y: usize) -> [u8; 4] {
    let word = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
    let (first, second) = (word(0), word(2));
    let index = block[4 + y] >> (2 * x) & 3;
    let (a, b) = (unpack(first), unpack(second));
    let (of_a, of_b, sum) = match (index, first > second) {
        (0, _) => (1, 0, 1),
        (1, _) => (0, 1, 1),
        (2, true) => (2, 1, 3),
        (3, true) => (1, 2, 3),
        (2, false) => (1, 1, 2),
        _ => (0, 0, 1),
    };
    let mix = |channel: usize| ((a[channel] * of_a + b[channel] * of_b) / sum) as u8;
    [mix(0), mix(1), mix(2), 255]
}

fn pack([r, g, b, _]: &[u8; 4]) -> u16 {
    u16::from(r >> 3) << 11 | u16::from(g >> 2) << 5 | u16::from(b >> 3)
}

fn unpack(packed: u16) -> [i32; 3] {
    let packed = i32::from(packed);
    let (r, g, b) = (packed >> 11, packed >> 5 & 63, packed & 31);
    [r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2]
}

/// How many thirds of the way from one colour to the other a pixel lies.
fn step(pixel: &[u8; 4], from: [i32; 3], to: [i32; 3]) -> usize {
    let (mut along, mut whole) = (0, 0);
    for channel in 0..3 {
        let length = to[channel] - from[channel];
        along += (i32::from(pixel[channel]) - from[channel]) * length;
        whole += length * length;
    }
    ((6 * along + whole) / (2 * whole).max(1)).clamp(0, 3) as usize
}
