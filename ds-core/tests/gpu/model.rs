//! What an image should hold: texel blocks without padding, filled by the rules of Direct3D 12 as a
//! person would write them down. Nothing of the engine's own arithmetic is used.
#![forbid(unsafe_code)]

use ds_core::gpu::{ImageDesc, ImageRegion, TextureBox};

/// A format: its `VkFormat`, its block in texels and bytes, its tile of 64 KiB in texels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) vulkan: i32,
    pub(crate) block: [usize; 2],
    pub(crate) bytes: usize,
}

/// The blocks of every subresource.
pub(crate) struct Model {
    format: Format,
    desc: ImageDesc,
    subresources: Vec<Vec<u8>>,
}

impl Model {
    pub(crate) fn new(format: Format, desc: ImageDesc) -> Model {
        let count = desc.mip_levels * desc.array_layers;
        let mut model = Model {
            format,
            desc,
            subresources: Vec::new(),
        };
        for subresource in 0..count {
            let [width, height, depth] = model.blocks(subresource);
            let bytes = width * height * depth * format.bytes;
            model.subresources.push(vec![0; bytes]);
        }
        model
    }

    /// The extent of a subresource in texels.
    pub(crate) fn extent(&self, subresource: u32) -> [usize; 3] {
        let mip = subresource % self.desc.mip_levels;
        [self.desc.width, self.desc.height, self.desc.depth]
            .map(|side| (side as usize >> mip).max(1))
    }

    /// The extent of a subresource in blocks.
    fn blocks(&self, subresource: u32) -> [usize; 3] {
        let [width, height, depth] = self.extent(subresource);
        let [across, down] = self.format.block;
        [width.div_ceil(across), height.div_ceil(down), depth]
    }

    /// Puts a payload where a region says, and answers its size.
    pub(crate) fn fill(&mut self, region: ImageRegion, payload: &[u8]) -> usize {
        match region {
            ImageRegion::Texture {
                subresource,
                region,
            } => self.fill_box(subresource, region, payload, 0),
            ImageRegion::MultipleSubresources { first } => {
                let count = self.subresources.len() as u32 - first;
                self.fill_range(first, count, payload)
            }
            ImageRegion::MultipleSubresourcesRange { first, count } => {
                self.fill_range(first, count, payload)
            }
            ImageRegion::Tiles { .. } => panic!("tiles have a test of their own"),
        }
    }

    fn fill_range(&mut self, first: u32, count: u32, payload: &[u8]) -> usize {
        let mut end = 0;
        for subresource in first..first + count {
            let [right, bottom, back] = self.extent(subresource).map(|side| side as u32);
            let whole = TextureBox {
                left: 0,
                top: 0,
                front: 0,
                right,
                bottom,
                back,
            };
            let start = usize::next_multiple_of(end, 512);
            end = start + self.fill_box(subresource, whole, payload, start);
        }
        end
    }

    /// Rows a multiple of 256 bytes apart, slices all rows apart.
    fn fill_box(&mut self, at: u32, region: TextureBox, payload: &[u8], start: usize) -> usize {
        let [across, down] = self.format.block;
        let bytes = self.format.bytes;
        let left = region.left as usize / across;
        let width = (region.right as usize).div_ceil(across) - left;
        let top = region.top as usize / down;
        let height = (region.bottom as usize).div_ceil(down) - top;
        let pitch = (width * bytes).next_multiple_of(256);
        let [line, lines, _] = self.blocks(at);
        let mut end = 0;
        for slice in 0..(region.back - region.front) as usize {
            for row in 0..height {
                let from = (slice * height + row) * pitch;
                end = from + width * bytes;
                let z = region.front as usize + slice;
                let to = ((z * lines + top + row) * line + left) * bytes;
                let row = &payload[start + from..start + end];
                self.subresources[at as usize][to..to + row.len()].copy_from_slice(row);
            }
        }
        end
    }

    /// Puts one tile's bytes, rows without padding, where the tile is; `shape` and `at` in texels.
    pub(crate) fn fill_tile(
        &mut self,
        subresource: u32,
        at: [usize; 3],
        shape: [usize; 3],
        tile: &[u8],
    ) {
        let [across, down] = self.format.block;
        let bytes = self.format.bytes;
        let [line, lines, slices] = self.blocks(subresource);
        let (left, top) = (at[0] / across, at[1] / down);
        let (width, height) = (shape[0] / across, shape[1] / down);
        for slice in 0..shape[2].min(slices - at[2]) {
            for row in 0..height.min(lines - top) {
                let from = (slice * height + row) * width * bytes;
                let kept = width.min(line - left) * bytes;
                let to = (((at[2] + slice) * lines + top + row) * line + left) * bytes;
                self.subresources[subresource as usize][to..to + kept]
                    .copy_from_slice(&tile[from..from + kept]);
            }
        }
    }

    /// Compares a subresource with what was read back: rows `pitch` apart, and between them what
    /// was there before.
    pub(crate) fn compare(&self, subresource: u32, found: &[u8], untouched: u8) {
        self.compare_rows(subresource, found);
        let (row_bytes, pitch, rows) = self.rows(subresource);
        for row in 0..rows {
            let end = found.len().min((row + 1) * pitch);
            let rest = &found[row * pitch + row_bytes..end];
            assert!(rest.iter().all(|byte| *byte == untouched));
        }
    }

    /// Compares only the rows.
    pub(crate) fn compare_rows(&self, subresource: u32, found: &[u8]) {
        let (row_bytes, pitch, rows) = self.rows(subresource);
        let expected = self.subresources[subresource as usize].chunks(row_bytes);
        for (row, expected) in expected.enumerate() {
            let at = row * pitch;
            assert!(
                found[at..at + row_bytes] == *expected,
                "{}: subresource {subresource}, row {row} of {rows}",
                self.format.name
            );
        }
    }

    /// A subresource that is read back: the bytes of a row, from row to row, and the rows.
    fn rows(&self, subresource: u32) -> (usize, usize, usize) {
        let [line, lines, slices] = self.blocks(subresource);
        let row_bytes = line * self.format.bytes;
        let padded = row_bytes.next_multiple_of(256);
        let pitch = if padded.is_multiple_of(self.format.bytes) {
            padded
        } else {
            row_bytes
        };
        (row_bytes, pitch, lines * slices)
    }
}

/// Bytes that repeat nowhere near: a payload's, padding too.
pub(crate) fn noise(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
