//! The tile encoder: at most 64 KiB in, one raw tile out.
//!
//! A tile is encoded in four steps, each with its own file:
//!
//! - *find* earlier occurrences of the bytes at a position (`pairs.rs`, `links.rs`, `matches.rs`,
//!   from quick to thorough);
//! - *parse*: choose literals and matches (`parse.rs`; `optimal.rs` with `prices.rs`), which become
//!   items (`items.rs`);
//! - *split* the items into blocks that share codes (`split.rs`);
//! - *write* each block (`block.rs`, `header.rs`, `code.rs`) into the 32 lanes (`lanes.rs`, or all at once in
//!   `vector.rs`).
//!
//! Promises: any decoder that follows the format can decode the result; only complete codes are sent, or an
//! empty distance code that is not used; the same input and level give the same bytes on every machine and
//! path; no tile is larger than
//! [`TILE_BOUND`].

mod alphabet;
mod block;
mod borders;
mod code;
mod coding;
mod hash;
mod header;
mod items;
mod lanes;
mod links;
mod log2;
mod matches;
mod near;
mod optimal;
mod pairs;
mod parse;
mod prices;
mod split;
mod tile;
#[cfg(target_arch = "x86_64")]
mod vector;
mod ways;
#[cfg(target_arch = "x86_64")]
mod ways512;

use std::fmt;

use block::{Block, BlockWriter};
use coding::Care;
use items::Items;
use lanes::Lanes;
use links::{Effort, Links};
use optimal::Optimal;
use pairs::Pairs;
use parse::HEADS;
use split::Estimate;
use tile::Tile;

use super::Path;

/// Bytes of input in a tile, at most.
const TILE_BYTES_MAX: usize = 65_536;

/// The most bytes [`Encoder::encode_tile`] ever appends: a full tile that no code makes smaller takes two
/// stored blocks.
pub const TILE_BOUND: usize = 65_672;

/// How hard to try, 1 to 12: faster or smaller, in the steps that libdeflate made customary.
///
/// Measured by `ds bench gdeflate` over twelve classes of data (text, code, tables, ELF, textures, meshes,
/// sound) on one core of an EPYC 9005 with the AVX-512 path; geometric means, MB of input a second, and in
/// brackets both relative to the reference codec at the same level in the same run:
///
/// | level | ratio | MB/s |
/// |---|---|---|
/// | 1 | 2.74 (1.010) | 299 (2.24) |
/// | 2 | 2.80 (1.008) | 267 (2.07) |
/// | 3 | 2.84 (1.008) | 258 (2.13) |
/// | 4 | 2.89 (1.013) | 241 (2.20) |
/// | 5 | 2.93 (1.001) | 209 (2.13) |
/// | 6 | 2.96 (1.003) | 191 (2.24) |
/// | 7 | 2.98 (1.006) | 166 (2.43) |
/// | 8 | 3.05 (1.019) | 33 (1.30) |
/// | 9 | 3.09 (1.012) | 25 (1.27) |
/// | 10 | 3.12 (1.011) | 20 (1.19) |
/// | 11 | 3.13 (1.009) | 16 (1.22) |
/// | 12 | 3.14 (1.010) | 12 (1.16) |
///
/// Other paths take longer to write and give the same bytes. More is in `docs/gdeflate-levels.md`.
///
/// ```
/// use ds_core::gdeflate::encode::Level;
/// assert_eq!(Level::new(12), Some(Level::BEST));
/// assert_eq!(Level::new(13), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// DirectStorage's "fastest" (-1): for data that is compressed while someone waits.
    pub const FASTEST: Level = Level(1);
    /// DirectStorage's "default" (0): where the curve bends. Level 7 is seven times as fast but 3.6 %
    /// larger; 12 is 1.8 % smaller and takes twice as long.
    pub const DEFAULT: Level = Level(9);
    /// DirectStorage's "best ratio" (1): assets are packed once and read for years.
    pub const BEST: Level = Level(12);

    /// A level, if there is one of this number.
    pub const fn new(level: u8) -> Option<Level> {
        if matches!(level, 1..=12) {
            Some(Level(level))
        } else {
            None
        }
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Level {
    fn default() -> Level {
        Level::DEFAULT
    }
}

/// The input is empty or larger than a tile; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileBytesError {
    /// How large it is.
    pub bytes: usize,
}

impl fmt::Display for TileBytesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a tile holds 1 to {TILE_BYTES_MAX} bytes, not {}",
            self.bytes
        )
    }
}

impl std::error::Error for TileBytesError {}

/// Encodes tiles, one after another; holds all the memory that takes, and nothing from one tile to the next.
///
/// ```
/// use ds_core::gdeflate::encode::{Encoder, Level};
///
/// let mut tile = Vec::new();
/// Encoder::new(Level::DEFAULT).encode_tile(&[0; 65_536], &mut tile)?;
/// assert_eq!(tile.len(), 140);
/// # Ok::<(), ds_core::gdeflate::encode::TileBytesError>(())
/// ```
pub struct Encoder {
    parser: Parser,
    tile: Tile,
    items: Items,
    writer: BlockWriter,
    lanes: Lanes,
}

/// A parse and its finder.
///
/// Levels are tuned to be no larger than the reference codec's of the same number, over source and document
/// text, byte code, ELF, meshes, an image and BC1 (`examples/bench_encode.rs`), and beyond that to be fast.
enum Parser {
    Fast(Pairs),
    Greedy(Links<HEADS>, Effort),
    Lazy(Links<HEADS>, Effort),
    /// Lazy, with searches that jump.
    Jumping(Links<HEADS>, Effort),
    Optimal(Box<Optimal>),
}

impl Parser {
    fn new(level: Level, path: Path) -> Parser {
        let effort = |depth, nice_length| Effort { depth, nice_length };
        let optimal = |effort, passes, last| {
            Parser::Optimal(Box::new(Optimal::new(effort, passes, last, path)))
        };
        match level.get() {
            1 => Parser::Fast(Pairs::new()),
            2 => Parser::Greedy(Links::new(), effort(4, 16)),
            3 => Parser::Lazy(Links::new(), effort(3, 20)),
            4 => Parser::Lazy(Links::new(), effort(6, 32)),
            5 => Parser::Jumping(Links::new(), effort(5, 32)),
            6 => Parser::Jumping(Links::new(), effort(8, 64)),
            7 => Parser::Jumping(Links::new(), effort(20, 100)),
            8 => optimal(effort(6, 20), 1, Estimate::Entropy),
            9 => optimal(effort(8, 32), 2, Estimate::Entropy),
            10 => optimal(effort(16, 56), 2, Estimate::Exact),
            11 => optimal(effort(40, 128), 3, Estimate::Exact),
            _ => optimal(effort(100, 160), 4, Estimate::Exact),
        }
    }

    /// Parses the tile and splits it into blocks.
    fn parse(&mut self, tile: &Tile, items: &mut Items) {
        items.clear();
        match self {
            Parser::Fast(pairs) => parse::fast(tile, pairs, items),
            Parser::Greedy(links, effort) => parse::greedy(tile, links, *effort, items),
            Parser::Lazy(links, effort) => parse::lazy::<false>(tile, links, *effort, items),
            Parser::Jumping(links, effort) => parse::lazy::<true>(tile, links, *effort, items),
            // Its prices are those of the blocks, so it splits as it goes.
            Parser::Optimal(optimal) => return optimal.parse(tile, items),
        }
        split::join(items.parts_mut(), Estimate::Entropy);
    }
}

impl Encoder {
    /// An encoder; all tables are allocated here. It takes the path that [`Path::chosen`] names now.
    pub fn new(level: Level) -> Encoder {
        Encoder::with_path(level, Path::chosen())
    }

    /// An encoder that uses no more of the processor than a path does, for tests and measurements; the bytes
    /// are the same on each.
    pub fn with_path(level: Level, path: Path) -> Encoder {
        Encoder {
            parser: Parser::new(level, path),
            tile: Tile::new(),
            items: Items::new(segment_bytes(level)),
            writer: BlockWriter::new(path, care(level)),
            lanes: Lanes::new(),
        }
    }

    /// Appends one raw tile to `out`: a multiple of four bytes, at least 128, at most [`TILE_BOUND`].
    ///
    /// # Errors
    ///
    /// Input of no byte or of more than 65,536 is refused, and `out` is left as it was.
    pub fn encode_tile(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), TileBytesError> {
        if input.is_empty() || input.len() > TILE_BYTES_MAX {
            return Err(TileBytesError { bytes: input.len() });
        }
        self.tile.load(input);
        self.parser.parse(&self.tile, &mut self.items);
        self.lanes.start();
        let parts = self.items.parts();
        for (index, part) in parts.iter().enumerate() {
            let block = Block {
                input: &input[part.input.clone()],
                items: self.items.of(part),
                histogram: &part.histogram,
                last: index + 1 == parts.len(),
            };
            self.writer.write(&mut self.lanes, &block);
        }
        if self.lanes.word_count() > stored_words(input.len()) {
            self.lanes.start();
            block::write_stored(&mut self.lanes, input, true);
        }
        self.lanes.finish(out);
        Ok(())
    }
}

/// Words of a tile in which so many bytes are only stored: those of the bits of each lane, and one reserved
/// for each.
fn stored_words(bytes: usize) -> usize {
    let mut bits = [0; lanes::LANES];
    for block in [bytes.min(65_535), bytes.saturating_sub(65_535)] {
        if block != 0 {
            bits[0] += 3 + 16;
            (0..lanes::LANES).for_each(|lane| {
                bits[lane] += (block + lanes::LANES - 1 - lane) / lanes::LANES * 8
            });
        }
    }
    bits.iter().map(|bits| bits.div_ceil(32) + 1).sum()
}

/// In what portions a tile is looked at to find the borders of its blocks: small ones find better borders,
/// and take longer.
fn segment_bytes(level: Level) -> usize {
    match level.get() {
        ..8 => 8192,
        8 | 9 => 4096,
        10 | 11 => 1024,
        _ => 512,
    }
}

/// Short headers are worth the time where parsing takes ten times as long in any case.
fn care(level: Level) -> Care {
    match level.get() {
        ..8 => Care::Quick,
        _ => Care::Thorough,
    }
}

/// A large array on the heap that never was on the stack.
fn zeroed<T: Clone + Default, const N: usize>() -> Box<[T; N]> {
    vec![T::default(); N]
        .into_boxed_slice()
        .try_into()
        .ok()
        .expect("made with this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_a_full_tile_of_stored_bytes() {
        assert_eq!(stored_words(TILE_BYTES_MAX) * 4, TILE_BOUND);
        assert!((1..=TILE_BYTES_MAX).all(|bytes| stored_words(bytes) * 4 <= TILE_BOUND));
    }

    #[test]
    fn stored_tiles_have_the_foreseen_size() {
        let mut lanes = Lanes::new();
        for bytes in [
            1, 2, 31, 32, 33, 127, 128, 129, 4096, 65_534, 65_535, 65_536,
        ] {
            lanes.start();
            block::write_stored(&mut lanes, &vec![0x5a; bytes], true);
            assert_eq!(lanes.word_count(), stored_words(bytes), "{bytes} bytes");
        }
    }
}
