//! What the examples stream: pictures and meshes, by names that say how they are stored.
//!
//! A picture of the scene is called `NAME.vkFORMAT.WxHxD.mMIPS` if it is the payload of an image with all its
//! mips, and `NAME.vkFORMAT.WxHxD.buffer` if it is rows of texels for a buffer. FORMAT is a `VkFormat`: 37
//! (RGBA8) or 131 (BC1). A mesh is called `NAME.mesh.VERTICESxINDICES.TEXTURE`, after the picture it wears.
//! So the archive needs no other description.

#![forbid(unsafe_code)]
// Each example uses its own part of this.
#![allow(dead_code)]

pub(crate) mod bc1;
pub(crate) mod materials;
pub(crate) mod mesh;
pub(crate) mod paint;

/// `VK_FORMAT_R8G8B8A8_UNORM`.
pub(crate) const RGBA8: i32 = 37;
/// `VK_FORMAT_BC1_RGB_UNORM_BLOCK`.
pub(crate) const BC1: i32 = 131;

/// Rows of a payload begin at multiples of this.
const ROW_BYTES: usize = 256;
/// Subresources of a payload begin at multiples of this.
const SUBRESOURCE_BYTES: usize = 512;

/// A file of the scene, as its name tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// A `VkFormat`.
    pub(crate) format: i32,
    /// Width, height and depth in texels.
    pub(crate) extent: [u32; 3],
    /// How many mips; `None` for a buffer.
    pub(crate) mips: Option<u32>,
}

impl Shape {
    /// Reads a file's name; `None` for a file that is no picture.
    pub(crate) fn of(name: &str) -> Option<Shape> {
        let mut parts = name.rsplit('/').next()?.split('.').skip(1);
        let format = parts.next()?.strip_prefix("vk")?.parse().ok()?;
        let mut sides = parts.next()?.split('x').map(|side| side.parse().ok());
        let extent = [sides.next()??, sides.next()??, sides.next()??];
        let mips = match parts.next()? {
            "buffer" => None,
            mips => Some(mips.strip_prefix('m')?.parse().ok()?),
        };
        let known = matches!(format, RGBA8 | BC1) && parts.next().is_none();
        known.then_some(Shape {
            format,
            extent,
            mips,
        })
    }

    /// The name of such a file.
    pub(crate) fn name(&self, name: &str) -> String {
        let [width, height, depth] = self.extent;
        let last = self.mips.map_or("buffer".into(), |mips| format!("m{mips}"));
        format!("{name}.vk{}.{width}x{height}x{depth}.{last}", self.format)
    }

    /// The extent of a mip.
    pub(crate) fn mip(&self, mip: u32) -> [usize; 3] {
        self.extent.map(|side| (side >> mip).max(1) as usize)
    }
}

/// A picture, or a stack of them: RGBA, row by row, slice by slice.
#[derive(Clone)]
pub(crate) struct Picture {
    /// Width, height and depth.
    pub(crate) extent: [usize; 3],
    /// So many pixels.
    pub(crate) pixels: Vec<[u8; 4]>,
}

impl Picture {
    /// Paints each pixel by its place.
    pub(crate) fn new(extent: [usize; 3], mut paint: impl FnMut([usize; 3]) -> [u8; 4]) -> Picture {
        let [width, height, depth] = extent;
        let mut pixels = Vec::with_capacity(width * height * depth);
        for z in 0..depth {
            for y in 0..height {
                pixels.extend((0..width).map(|x| paint([x, y, z])));
            }
        }
        Picture { extent, pixels }
    }

    /// A pixel; past an edge, the one at the edge.
    pub(crate) fn at(&self, place: [usize; 3]) -> [u8; 4] {
        let [width, height, depth] = self.extent;
        let [x, y, z] = place;
        let row = z.min(depth - 1) * height + y.min(height - 1);
        self.pixels[row * width + x.min(width - 1)]
    }

    /// The next mip: means of two pixels each way.
    pub(crate) fn halved(&self) -> Picture {
        Picture::new(self.extent.map(|side| (side / 2).max(1)), |place| {
            let [x, y, z] = place.map(|at| 2 * at);
            let corner = |n: usize| self.at([x + (n & 1), y + (n >> 1 & 1), z + (n >> 2)]);
            std::array::from_fn(|channel| {
                let sum: u32 = (0..8).map(|n| u32::from(corner(n)[channel])).sum();
                (sum / 8) as u8
            })
        })
    }

    /// The rows of texels or blocks, as they lie in memory.
    fn rows(&self, format: i32) -> Vec<Vec<u8>> {
        let [width, height, depth] = self.extent;
        let mut rows = Vec::new();
        for z in 0..depth {
            if format == BC1 {
                for y in (0..height).step_by(4) {
                    let blocks = (0..width).step_by(4);
                    rows.push(blocks.flat_map(|x| bc1::encode(self, [x, y, z])).collect());
                }
            } else {
                let row = |y| (0..width).flat_map(move |x| self.at([x, y, z]));
                rows.extend((0..height).map(|y| row(y).collect::<Vec<u8>>()));
            }
        }
        rows
    }

    /// All mips as one payload: rows 256 bytes apart or a multiple, subresources at multiples of 512.
    pub(crate) fn payload(&self, format: i32, mips: u32) -> Vec<u8> {
        let (mut payload, mut mip) = (Vec::new(), self.clone());
        for _ in 0..mips {
            payload.resize(payload.len().next_multiple_of(SUBRESOURCE_BYTES), 0);
            let start = payload.len();
            for row in mip.rows(format) {
                let at = (payload.len() - start).next_multiple_of(ROW_BYTES);
                payload.resize(start + at, 0);
                payload.extend(row);
            }
            mip = mip.halved();
        }
        payload
    }

    /// One subresource back from its rows, which lie 256 bytes or a multiple apart.
    pub(crate) fn from_rows(extent: [usize; 3], format: i32, bytes: &[u8]) -> Picture {
        let [width, height, _] = extent;
        let (across, down, unit) = match format {
            BC1 => (4, 4, 8),
            _ => (1, 1, 4),
        };
        let pitch = (width.div_ceil(across) * unit).next_multiple_of(ROW_BYTES);
        Picture::new(extent, |[x, y, z]| {
            let row = z * height.div_ceil(down) + y / down;
            let at = row * pitch + x / across * unit;
            let texel = &bytes[at..at + unit];
            match format {
                BC1 => bc1::decode(texel, x % 4, y % 4),
                _ => [texel[0], texel[1], texel[2], texel[3]],
            }
        })
    }
}
