//! Smooth noise in two dimensions: the mother of terrain and of pictures.

use crate::sample::Random;

/// Points of the lattice along an edge; it repeats after them.
const SIDE: usize = 64;

/// A repeating lattice of random heights, to be interpolated.
pub(super) struct Noise {
    lattice: Vec<f32>,
}

impl Noise {
    pub(super) fn new(random: &mut Random) -> Noise {
        let lattice = (0..SIDE * SIDE).map(|_| random.unit()).collect();
        Noise { lattice }
    }

    /// From 0 to 1, smooth in both; a step of 1 leads from one point of the lattice to the next. Neither may
    /// be negative.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        let (column, row) = (x as usize, y as usize);
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (right, down) = (ease(x - column as f32), ease(y - row as f32));
        let point = |column: usize, row: usize| self.lattice[row % SIDE * SIDE + column % SIDE];
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        mix(
            mix(point(column, row), point(column + 1, row), right),
            mix(point(column, row + 1), point(column + 1, row + 1), right),
            down,
        )
    }

    /// Octaves of it, each half as strong and twice as fine as the one before; from 0 to 1.
    pub(super) fn octaves(&self, x: f32, y: f32, octaves: u32) -> f32 {
        let (mut sum, mut strength, mut all, mut scale) = (0.0, 1.0, 0.0, 1.0);
        for octave in 0..octaves {
            // Moved apart, so that the lattices' points do not fall together.
            let apart = octave as f32 * 17.3;
            sum += strength * self.at(x * scale + apart, y * scale + apart);
            all += strength;
            strength *= 0.5;
            scale *= 2.0;
        }
        sum / all
    }
}
