//! Meshes: patches of a wavy surface, with the vertices and triangles in the order a vertex cache likes.

use super::noise::Noise;
use crate::sample::Random;

/// Vertices along a patch's edge.
const SIDE: usize = 64;
/// Columns of a strip: few enough that a strip's last row is still in the vertex cache.
const STRIP: usize = 14;

/// The corners of quads, strip by strip: top left column and row.
fn quads() -> impl Iterator<Item = (usize, usize)> {
    let strips = (0..SIDE - 1).step_by(STRIP);
    strips.flat_map(|first| {
        let last = (first + STRIP).min(SIDE - 1);
        (0..SIDE - 1).flat_map(move |row| (first..last).map(move |column| (column, row)))
    })
}

/// A patch's vertices in the order in which its triangles first use them: what tools that optimise meshes do.
fn vertex_order() -> Vec<(usize, usize)> {
    let mut seen = vec![false; SIDE * SIDE];
    let mut order = Vec::with_capacity(SIDE * SIDE);
    for (column, row) in quads() {
        for (x, y) in [
            (column, row),
            (column, row + 1),
            (column + 1, row),
            (column + 1, row + 1),
        ] {
            if !std::mem::replace(&mut seen[y * SIDE + x], true) {
                order.push((x, y));
            }
        }
    }
    order
}

/// From -1 to 1 as a signed byte.
fn signed_byte(value: f32) -> u8 {
    (value.clamp(-1.0, 1.0) * 127.0) as i8 as u8
}

/// Vertices of 32 bytes: position (three floats), normal and tangent (four signed bytes each), texture
/// coordinates (two floats), colour (four bytes).
pub(super) fn vertices(random: &mut Random, bytes: usize) -> Vec<u8> {
    let noise = Noise::new(random);
    let order = vertex_order();
    let mut out = Vec::with_capacity(bytes + SIDE * SIDE * 32);
    while out.len() < bytes {
        let origin: [f32; 3] = std::array::from_fn(|_| random.unit() * 200.0 - 100.0);
        let along: [[f32; 3]; 3] =
            std::array::from_fn(|_| std::array::from_fn(|_| random.unit() * 0.5 - 0.25));
        let start = [random.unit() * 40.0, random.unit() * 40.0];
        let tint = random.next().to_le_bytes();
        for &(x, y) in &order {
            let (u, v) = (x as f32, y as f32);
            let height =
                |u: f32, v: f32| noise.octaves(start[0] + u / 12.0, start[1] + v / 12.0, 4) * 12.0;
            let here = height(u, v);
            let slope = [height(u + 0.5, v) - here, height(u, v + 0.5) - here];
            for axis in 0..3 {
                let place = origin[axis] + along[0][axis] * u + along[1][axis] * v;
                out.extend((place + along[2][axis] * here).to_le_bytes());
            }
            let up = 1.0 / (1.0 + slope[0] * slope[0] + slope[1] * slope[1]).sqrt();
            out.extend([-slope[0] * up, up, -slope[1] * up, 0.0].map(signed_byte));
            out.extend([up, slope[0] * up, 0.0, 1.0].map(signed_byte));
            out.extend((u / 63.0).to_le_bytes());
            out.extend((v / 63.0).to_le_bytes());
            let light = (here * 20.0).clamp(0.0, 255.0) as u8;
            out.extend([light, light, tint[0], 255]);
        }
    }
    out
}

/// Triangle lists, with quads cut either way and a few missing; 16 patches share a vertex buffer.
pub(super) fn indices(random: &mut Random, bytes: usize) -> Vec<u8> {
    let mut number = vec![0; SIDE * SIDE];
    for (at, &(x, y)) in vertex_order().iter().enumerate() {
        number[y * SIDE + x] = at;
    }
    let mut out = Vec::with_capacity(bytes + SIDE * SIDE * 12);
    let mut patch = 0;
    while out.len() < bytes {
        let base = patch % 16 * SIDE * SIDE;
        let vertex = |x: usize, y: usize| ((base + number[y * SIDE + x]) as u16).to_le_bytes();
        for (x, y) in quads() {
            let [a, b, c, d] = [
                vertex(x, y),
                vertex(x, y + 1),
                vertex(x + 1, y),
                vertex(x + 1, y + 1),
            ];
            match random.below(32) {
                0 => {}
                1..8 => out.extend([a, b, d, a, d, c].as_flattened()),
                _ => out.extend([a, b, c, c, b, d].as_flattened()),
            }
        }
        patch += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vertex_of_a_patch_is_there_once() {
        let mut order = vertex_order();
        order.sort_unstable();
        order.dedup();
        assert_eq!(order.len(), SIDE * SIDE);
    }

    #[test]
    fn triangles_have_three_corners_that_are_neighbours() {
        let indices = indices(&mut Random::new(5), 200_000);
        let order = vertex_order();
        let corner = |bytes: &[u8]| {
            order[usize::from(u16::from_le_bytes([bytes[0], bytes[1]])) % (SIDE * SIDE)]
        };
        for triangle in indices.chunks_exact(6) {
            let corners: Vec<_> = triangle.chunks_exact(2).map(corner).collect();
            for (a, b) in [(0, 1), (1, 2), (2, 0)] {
                assert_ne!(corners[a], corners[b]);
                assert!(corners[a].0.abs_diff(corners[b].0) <= 1);
                assert!(corners[a].1.abs_diff(corners[b].1) <= 1);
            }
        }
    }

    #[test]
    fn positions_are_numbers_and_normals_are_long() {
        for vertex in vertices(&mut Random::new(5), 200_000).chunks_exact(32) {
            for float in vertex[..12].chunks_exact(4) {
                let float = f32::from_le_bytes(float.try_into().expect("four bytes"));
                assert!(float.abs() < 1000.0, "{float}");
            }
            let square: i32 = vertex[12..15]
                .iter()
                .map(|&byte| i32::from(byte as i8).pow(2))
                .sum();
            assert!((110 * 110..=130 * 130).contains(&square), "{square}");
        }
    }
}
