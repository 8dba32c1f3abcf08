//! The materials of the scene: textures that repeat, painted by arithmetic.

#![forbid(unsafe_code)]

use super::Picture;
use super::paint::{mix, pixel};

/// Texels on a side.
const SIDE: usize = 128;

/// How a material looks at a place; both coordinates run from 0 to 1.
type Paint = fn(f32, f32) -> [f32; 3];

/// Every material, by name.
const MATERIALS: &[(&str, Paint)] = &[
    ("brick", brick),
    ("cloth", cloth),
    ("gold", gold),
    ("grass", grass),
    ("lava", lava),
    ("marble", marble),
    ("night", night),
    ("sand", sand),
    ("slate", slate),
    ("tile", tile),
    ("water", water),
    ("wood", wood),
];

/// Every material, painted.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Picture)> {
    MATERIALS.iter().map(|(name, paint)| {
        let picture = Picture::new([SIDE, SIDE, 1], |[x, y, _]| {
            pixel(paint(x as f32 / SIDE as f32, y as f32 / SIDE as f32))
        });
        (*name, picture)
    })
}

/// A number between 0 and 1 that looks like chance.
fn chance(x: i32, y: i32) -> f32 {
    let mut n = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    n = (n ^ n >> 15).wrapping_mul(0x2C1B_3C6D);
    n = (n ^ n >> 12).wrapping_mul(0x297A_2D39);
    (n >> 8) as f32 / (1 << 24) as f32
}

/// Smooth noise between 0 and 1 that repeats after `cells` cells each way.
fn noise(x: f32, y: f32, cells: i32) -> f32 {
    let (x, y) = (x * cells as f32, y * cells as f32);
    let (left, top) = (x.floor() as i32, y.floor() as i32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (across, down) = (ease(x - left as f32), ease(y - top as f32));
    let at = |dx: i32, dy: i32| {
        chance(
            (left + dx).rem_euclid(cells),
            (top + dy).rem_euclid(cells) + 1000 * cells,
        )
    };
    let upper = at(0, 0) + (at(1, 0) - at(0, 0)) * across;
    let lower = at(0, 1) + (at(1, 1) - at(0, 1)) * across;
    upper + (lower - upper) * down
}

/// Noise of several sizes, from 0 to 1.
fn clouds(x: f32, y: f32, cells: i32) -> f32 {
    (0..4)
        .map(|n| noise(x, y, cells << n) / (2 << n) as f32)
        .sum::<f32>()
        / 0.9375
}

/// 1 along the lines where `value` passes through a half, falling to 0.
fn ridge(value: f32, sharp: f32) -> f32 {
    (1.0 - (value - 0.5).abs() * sharp).clamp(0.0, 1.0)
}

fn wave(turns: f32) -> f32 {
    0.5 + 0.5 * (turns * std::f32::consts::TAU).sin()
}

fn brick(x: f32, y: f32) -> [f32; 3] {
    let row = (y * 8.0).floor();
    let along = x * 4.0 + 0.5 * (row % 2.0);
    let edge = (along.fract().min(1.0 - along.fract()) * 2.0).min((y * 8.0).fract());
    let own = chance(along.floor() as i32 % 4, row as i32);
    let clay = mix([0.55, 0.20, 0.13], [0.78, 0.38, 0.24], own);
    let rough = 0.8 + 0.4 * clouds(x, y, 16);
    mix([0.72, 0.69, 0.64], clay, (edge - 0.10) * 20.0).map(|c| c * rough)
}

fn cloth(x: f32, y: f32) -> [f32; 3] {
    let (across, down) = (x * 16.0, y * 16.0);
    let over = (across.floor() + down.floor()) as i32 % 2 == 0;
    let thread = if over { across.fract() } else { down.fract() };
    let round = 0.55 + 0.45 * (thread * std::f32::consts::PI).sin();
    let stripe = if (x * 4.0) as i32 % 4 == 1 || (y * 4.0) as i32 % 4 == 1 {
        1.0
    } else {
        0.0
    };
    mix([0.70, 0.12, 0.16], [0.93, 0.85, 0.66], stripe).map(|c| c * round)
}

/// Hammered: the nearest of scattered points gives each place its slope.
fn gold(x: f32, y: f32) -> [f32; 3] {
    const CELLS: i32 = 7;
    let (at_x, at_y) = (x * CELLS as f32, y * CELLS as f32);
    let mut nearest = f32::MAX;
    for n in 0..9 {
        let cell = (at_x as i32 + n % 3 - 1, at_y as i32 + n / 3 - 1);
        let (of_x, of_y) = (cell.0.rem_euclid(CELLS), cell.1.rem_euclid(CELLS));
        let dx = cell.0 as f32 + chance(of_x, of_y) - at_x;
        let dy = cell.1 as f32 + chance(of_x + 50, of_y) - at_y;
        nearest = nearest.min(dx.hypot(dy));
    }
    mix([1.0, 0.86, 0.45], [0.66, 0.43, 0.10], nearest * 1.1)
}

fn grass(x: f32, y: f32) -> [f32; 3] {
    let blades = noise(x, y * 0.25, 32) * 0.6 + 0.4 * clouds(x, y, 8);
    mix([0.08, 0.26, 0.06], [0.45, 0.66, 0.20], blades * 1.3 - 0.1)
}

fn lava(x: f32, y: f32) -> [f32; 3] {
    let heat = ridge(clouds(x, y, 4), 7.0);
    let crust = 0.10 + 0.12 * clouds(y, x, 16);
    let glow = mix([0.85, 0.16, 0.02], [1.0, 0.90, 0.35], heat * 1.6 - 0.5);
    mix([crust, crust * 0.85, crust * 0.8], glow, heat * 1.8)
}

fn marble(x: f32, y: f32) -> [f32; 3] {
    let vein = ridge(wave(x + y + 0.9 * clouds(x, y, 4)), 3.0);
    let soft = clouds(y, x, 6);
    let stone = mix([0.97, 0.95, 0.92], [0.80, 0.79, 0.80], soft);
    mix(stone, [0.36, 0.36, 0.42], vein * vein * vein)
}

fn night(x: f32, y: f32) -> [f32; 3] {
    let sky = mix(
        [0.01, 0.01, 0.05],
        [0.28, 0.12, 0.42],
        clouds(x, y, 3) * 1.6 - 0.5,
    );
    let star = chance((x * 128.0) as i32, (y * 128.0) as i32 + 77);
    mix(sky, [1.0, 0.97, 0.88], (star - 0.985) * 90.0)
}

fn sand(x: f32, y: f32) -> [f32; 3] {
    let ripple = wave(6.0 * y + x + 0.8 * clouds(x, y, 4));
    let grain = 0.93 + 0.14 * chance((x * 128.0) as i32, (y * 128.0) as i32);
    mix([0.72, 0.56, 0.34], [0.94, 0.82, 0.58], ripple).map(|c| c * grain)
}

fn slate(x: f32, y: f32) -> [f32; 3] {
    let crack = ridge(noise(x, y, 5), 14.0) * ridge(clouds(y, x, 4), 3.0);
    let layer = clouds(x, y * 3.0, 8);
    let stone = mix([0.24, 0.27, 0.31], [0.48, 0.52, 0.56], layer);
    mix(stone, [0.10, 0.11, 0.13], crack)
}

fn tile(x: f32, y: f32) -> [f32; 3] {
    let (u, v) = ((x * 4.0).fract() - 0.5, (y * 4.0).fract() - 0.5);
    let (white, blue) = ([0.95, 0.95, 0.92], [0.10, 0.26, 0.58]);
    let corner = (u.abs() - 0.5).hypot(v.abs() - 0.5);
    let petals = u.hypot(v) - 0.27 - 0.10 * (4.0 * v.atan2(u)).cos();
    let shape = (petals.abs() - 0.035)
        .min((corner - 0.20).abs() - 0.03)
        .min(u.hypot(v) - 0.07);
    let joint = u.abs().max(v.abs()) - 0.485;
    mix(
        mix(blue, white, shape * 40.0),
        [0.55, 0.55, 0.52],
        joint * 90.0,
    )
}

fn water(x: f32, y: f32) -> [f32; 3] {
    let light = ridge(clouds(x, y, 5), 5.0) * ridge(clouds(y, x, 4), 2.5);
    mix(
        [0.03, 0.24, 0.42],
        [0.60, 0.92, 0.95],
        light * light + 0.25 * clouds(x, y, 3),
    )
}

fn wood(x: f32, y: f32) -> [f32; 3] {
    let plank = (y * 4.0).floor();
    let shifted = x + 0.37 * plank;
    let rings = wave(3.0 * (y + 0.35 * noise(shifted.fract(), y, 4)) * 4.0);
    let grain = 0.9 + 0.2 * noise((shifted * 0.25).fract(), y, 64);
    let timber = mix([0.42, 0.25, 0.12], [0.72, 0.50, 0.28], rings);
    let gap = (y * 4.0).fract().min(1.0 - (y * 4.0).fract());
    mix([0.12, 0.07, 0.04], timber.map(|c| c * grain), gap * 25.0)
}
