//! The pictures of the scene, painted by arithmetic.

#![forbid(unsafe_code)]

use super::{BC1, Picture, RGBA8, Shape, materials, mesh};

/// Every file: its name, and its bytes.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let image = |name: &str, picture: Picture, format: i32| {
        let extent = picture.extent.map(|side| side as u32);
        let mips = extent.iter().max().expect("three sides").ilog2() + 1;
        let shape = Shape {
            format,
            extent,
            mips: Some(mips),
        };
        (shape.name(name), picture.payload(format, mips))
    };
    let bar = spectrum();
    let shape = Shape {
        format: RGBA8,
        extent: bar.extent.map(|side| side as u32),
        mips: None,
    };
    let mut files = vec![
        image("hills", hills(), BC1),
        image("mandelbrot", mandelbrot(), RGBA8),
        image("ball", ball(), RGBA8),
        (shape.name("spectrum"), bar.pixels.concat()),
    ];
    files.extend(materials::all().map(|(name, picture)| image(name, picture, BC1)));
    files.extend(mesh::files());
    files
}

pub(crate) fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    let t = t.clamp(0.0, 1.0);
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

pub(crate) fn pixel(colour: [f32; 3]) -> [u8; 4] {
    let [r, g, b] = colour.map(|c| (255.0 * c.clamp(0.0, 1.0)) as u8);
    [r, g, b, 255]
}

/// Ridges under an evening sky.
fn hills() -> Picture {
    const SUN: [f32; 2] = [372.0, 98.0];
    Picture::new([512, 256, 1], |[x, y, _]| {
        let (x, y) = (x as f32, y as f32);
        let mut colour = mix([0.16, 0.18, 0.42], [0.98, 0.62, 0.36], y / 170.0);
        let away = (x - SUN[0]).hypot(y - SUN[1]);
        colour = mix([1.0, 0.93, 0.72], colour, (away - 20.0) / 2.0);
        for ridge in 0..5 {
            let n = ridge as f32;
            let wave = |length: f32, high: f32| high * ((x + 97.0 * n) / length).sin();
            let jagged = wave(61.0, 14.0) + wave(23.0, 6.0) + wave(7.0, 1.6);
            let top = 118.0 + 26.0 * n + jagged * (1.0 - 0.1 * n);
            let near = mix([0.52, 0.36, 0.46], [0.05, 0.09, 0.13], n / 4.0);
            let haze = mix(near, [0.80, 0.52, 0.44], (y - top) / 160.0);
            colour = mix(colour, haze, y - top);
        }
        pixel(colour)
    })
}

fn mandelbrot() -> Picture {
    const STEPS: usize = 120;
    Picture::new([256, 256, 1], |[x, y, _]| {
        let (cx, cy) = (-2.1 + x as f32 / 90.0, -1.42 + y as f32 / 90.0);
        let (mut zx, mut zy, mut steps) = (0.0f32, 0.0f32, 0);
        while zx * zx + zy * zy < 16.0 && steps < STEPS {
            (zx, zy) = (zx * zx - zy * zy + cx, 2.0 * zx * zy + cy);
            steps += 1;
        }
        if steps == STEPS {
            return [8, 8, 16, 255];
        }
        // Bands of colour, so that the picture also compresses.
        let t = steps as f32 / 24.0;
        pixel(mix(
            [0.05, 0.10, 0.35],
            mix([0.2, 0.7, 0.9], [1.0, 0.9, 0.5], t - 0.6),
            t,
        ))
    })
}

/// A glass ball, slice by slice.
fn ball() -> Picture {
    Picture::new([32, 32, 32], |place| {
        let [x, y, z] = place.map(|at| (at as f32 - 15.5) / 15.5);
        let away = (x * x + y * y + z * z).sqrt();
        if away > 1.0 {
            return [24, 24, 30, 255];
        }
        let shell = [0.5 + 0.5 * x, 0.5 + 0.5 * y, 0.5 + 0.5 * z];
        pixel(mix([0.95, 0.95, 1.0], shell, (away - 0.3) * 4.0))
    })
}

/// All hues in a row.
fn spectrum() -> Picture {
    Picture::new([512, 24, 1], |[x, _, _]| {
        let hue = x as f32 / 512.0 * 6.0;
        pixel([
            (hue - 3.0).abs() - 1.0,
            2.0 - (hue - 2.0).abs(),
            2.0 - (hue - 4.0).abs(),
        ])
    })
}
