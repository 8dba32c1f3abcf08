//! The meshes of the scene, computed. A payload is its vertices, 16 bytes each, and then its indices, 16 bits
//! each, three a triangle, counterclockwise seen from outside; all numbers little-endian.
//!
//! | at | what |
//! |---|---|
//! | 0 | position: three `i16` in units of 1/32767, within -1 to 1; two bytes of zeros |
//! | 8 | normal: three `i8` in units of 1/127; one byte of zero |
//! | 12 | place in the texture: two `u16` in units of 1/4096, below 16; a texture repeats after 1 |

#![forbid(unsafe_code)]

use std::f32::consts::{PI, TAU};

/// A mesh and the texture it wears.
struct Mesh {
    texture: &'static str,
    vertices: Vec<[u8; 16]>,
    indices: Vec<u16>,
}

/// Every file: its name, `NAME.mesh.VERTICESxINDICES.TEXTURE`, and its bytes.
pub(crate) fn files() -> impl Iterator<Item = (String, Vec<u8>)> {
    let meshes = [
        ("crate", crate_of_wood()),
        ("flag", sheet([32, 20], "cloth", [4.0, 3.0], flag)),
        ("island", sheet([32, 32], "grass", [4.0, 4.0], island)),
        ("knot", sheet([120, 10], "gold", [12.0, 2.0], knot)),
        ("planet", sheet([40, 20], "lava", [4.0, 2.0], planet)),
        ("ring", sheet([48, 20], "brick", [8.0, 3.0], ring)),
        ("shell", sheet([80, 14], "marble", [6.0, 1.0], shell)),
        ("vase", sheet([36, 28], "tile", [6.0, 4.0], vase)),
    ];
    meshes.into_iter().map(|(name, mesh)| {
        let counts = format!("{}x{}", mesh.vertices.len(), mesh.indices.len());
        let mut bytes = mesh.vertices.concat();
        bytes.extend(mesh.indices.iter().flat_map(|index| index.to_le_bytes()));
        (format!("{name}.mesh.{counts}.{}", mesh.texture), bytes)
    })
}

fn vertex(position: [f32; 3], normal: [f32; 3], texture: [f32; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for axis in 0..3 {
        let place = (position[axis].clamp(-1.0, 1.0) * 32767.0) as i16;
        bytes[2 * axis..2 * axis + 2].copy_from_slice(&place.to_le_bytes());
        bytes[8 + axis] = ((normal[axis] * 127.0) as i8) as u8;
    }
    for axis in 0..2 {
        let place = (texture[axis] * 4096.0).min(65535.0) as u16;
        bytes[12 + 2 * axis..14 + 2 * axis].copy_from_slice(&place.to_le_bytes());
    }
    bytes
}

fn cross(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|n| {
        let (i, j) = ((n + 1) % 3, (n + 2) % 3);
        a[i] * b[j] - a[j] * b[i]
    })
}

fn unit(a: [f32; 3]) -> [f32; 3] {
    let length = a.iter().map(|c| c * c).sum::<f32>().sqrt().max(1e-12);
    a.map(|c| c / length)
}

fn less(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|n| a[n] - b[n])
}

/// A surface over two coordinates that run from 0 to 1, in so many cells each way; its texture repeats so
/// many times.
fn sheet(
    [across, down]: [usize; 2],
    texture: &'static str,
    repeats: [f32; 2],
    surface: fn(f32, f32) -> [f32; 3],
) -> Mesh {
    const STEP: f32 = 1e-3;
    let mut vertices = Vec::new();
    for j in 0..=down {
        for i in 0..=across {
            let (u, v) = (i as f32 / across as f32, j as f32 / down as f32);
            // At a pole one of the two directions vanishes: look at it from a little aside.
            let inner = v.clamp(0.01, 0.99);
            let along_u = less(surface(u + STEP, inner), surface(u - STEP, inner));
            let along_v = less(surface(u, inner + STEP), surface(u, inner - STEP));
            let normal = unit(cross(along_u, along_v));
            let place = [u * repeats[0], v * repeats[1]];
            vertices.push(vertex(surface(u, v), normal, place));
        }
    }
    let mut indices = Vec::new();
    for j in 0..down {
        for i in 0..across {
            let corner = |di: usize, dj: usize| ((j + dj) * (across + 1) + i + di) as u16;
            let (a, b, c, d) = (corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1));
            indices.extend([a, b, c, a, c, d]);
        }
    }
    Mesh {
        texture,
        vertices,
        indices,
    }
}

fn crate_of_wood() -> Mesh {
    let (mut vertices, mut indices) = (Vec::new(), Vec::new());
    for face in 0..6 {
        let (axis, side) = (face / 2, if face % 2 == 0 { 1.0 } else { -1.0 });
        let mut normal = [0.0; 3];
        normal[axis] = side;
        let mut right = [0.0; 3];
        right[(axis + 1) % 3] = side;
        let up = cross(normal, right);
        let first = vertices.len() as u16;
        for (x, y) in [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)] {
            let place = std::array::from_fn(|n| 0.54 * (normal[n] + x * right[n] + y * up[n]));
            vertices.push(vertex(place, normal, [(x + 1.0) / 2.0, (y + 1.0) / 2.0]));
        }
        indices.extend([0, 1, 2, 0, 2, 3].map(|n| first + n));
    }
    Mesh {
        texture: "wood",
        vertices,
        indices,
    }
}

fn flag(u: f32, v: f32) -> [f32; 3] {
    let wind = 0.22 * u * (TAU * (1.3 * u + 0.25 * v)).sin();
    [1.8 * u - 0.9, 1.2 * v - 0.6, wind]
}

fn island(u: f32, v: f32) -> [f32; 3] {
    let (x, z) = (2.0 * u - 1.0, 1.0 - 2.0 * v);
    let shore = (1.15 - x.hypot(z)).clamp(0.0, 1.0);
    let peaks =
        0.5 + 0.3 * (5.0 * x + 1.0).sin() * (4.0 * z).cos() + 0.2 * (9.0 * x - 7.0 * z).sin();
    [0.76 * x, 0.8 * shore * shore * peaks - 0.3, 0.76 * z]
}

/// A tube around a curve.
fn tube(centre: impl Fn(f32) -> [f32; 3], radius: f32, u: f32, v: f32) -> [f32; 3] {
    const STEP: f32 = 1e-3;
    let along = unit(less(centre(u + STEP), centre(u - STEP)));
    let side = unit(cross(along, [0.0, 0.0, 1.0]));
    let other = cross(side, along);
    let (sin, cos) = (-TAU * v).sin_cos();
    let middle = centre(u);
    std::array::from_fn(|n| middle[n] + radius * (cos * side[n] + sin * other[n]))
}

fn knot(u: f32, v: f32) -> [f32; 3] {
    let curve = |u: f32| {
        let t = TAU * u;
        let far = 0.50 + 0.26 * (3.0 * t).cos();
        [
            far * (2.0 * t).cos(),
            far * (2.0 * t).sin(),
            0.30 * (3.0 * t).sin(),
        ]
    };
    tube(curve, 0.145, u, v)
}

fn planet(u: f32, v: f32) -> [f32; 3] {
    let (around, from_pole) = (TAU * u, PI * v);
    let rough = 1.0 + 0.03 * (5.0 * around).sin() * (7.0 * from_pole).sin();
    let r = 0.85 * rough;
    [
        r * from_pole.sin() * around.cos(),
        -r * from_pole.cos(),
        -r * from_pole.sin() * around.sin(),
    ]
}

fn ring(u: f32, v: f32) -> [f32; 3] {
    let curve = |u: f32| [0.62 * (TAU * u).cos(), 0.62 * (TAU * u).sin(), 0.0];
    tube(curve, 0.30, u, v)
}

/// A spiral that grows as it turns.
fn shell(u: f32, v: f32) -> [f32; 3] {
    let turn = 3.0 * TAU * u;
    let grown = 0.06 + 0.94 * u * u;
    let (sin, cos) = (TAU * v).sin_cos();
    let from_axis = grown * (0.48 + 0.40 * cos);
    [
        from_axis * turn.cos(),
        0.85 - 1.35 * u.powf(1.6) + 0.42 * grown * sin,
        from_axis * turn.sin(),
    ]
}

/// A profile turned around the upright axis.
fn vase(u: f32, v: f32) -> [f32; 3] {
    let around = TAU * u;
    let r = 0.34 + 0.24 * (TAU * (0.86 * v - 0.08)).sin() + 0.08 * v * v;
    [r * around.cos(), 1.8 * v - 0.9, -r * around.sin()]
}
