//! The tile decoder against the reference encoder, a by-the-book writer, golden files and damage;
//! each of its paths, which must not differ in anything, the error for a bad tile included.
//!
//! The reference *decoder* is never given damaged tiles: it reads and writes out of bounds.

mod paths;
mod reference;
mod synthetic;
mod writer;

use std::path::PathBuf;
use std::{env, fs};

use ds_core::gdeflate::{
    DecodeError, HeaderPolicy, TILE_BYTES, TileStream, decompress, write_header,
};
use paths::Decoders;
use synthetic::{KINDS, Kind, Random, data};
use writer::{Item, TileWriter};

/// Decodes a tile to exactly `bytes` bytes, if it does, on every path.
fn decode(tile: &[u8], bytes: usize) -> Result<Vec<u8>, DecodeError> {
    Decoders::new().decode(tile, bytes)
}

#[test]
fn reference_tiles_decode_at_every_level() {
    let mut decoders = Decoders::new();
    let mut tiles = 0;
    for level in 0..=12 {
        let mut encoder = reference::Encoder::new(level);
        for (seed, kind) in (1..).zip(KINDS) {
            for bytes in [1, 2, 31, 33, 127, 1_000, 4_097, 30_000, 65_535, 65_536] {
                // The slow levels on the large sizes once each; this runs without optimisation.
                if level > 9 && bytes > 5_000 && !(bytes + seed as usize).is_multiple_of(3) {
                    continue;
                }
                let original = data(kind, bytes, seed);
                let Some(tile) = encoder.tile(&original) else {
                    continue;
                };
                let decoded = decoders.decode(&tile, bytes);
                assert!(
                    decoded == Ok(original),
                    "level {level} {kind:?} {bytes}: {decoded:?}"
                );
                tiles += 1;
            }
        }
    }
    assert!(tiles > 800, "only {tiles} tiles were made");
}

/// Random items and what they decode to.
fn random_items(random: &mut Random, output: &mut Vec<u8>, bytes_max: usize) -> Vec<Item> {
    let mut items = Vec::new();
    for _ in 0..random.below(200) {
        let room = (bytes_max - output.len()) as u32;
        if room < 4 {
            break;
        }
        if output.is_empty() || random.below(3) == 0 {
            let byte = random.next() as u8;
            items.push(Item::Symbol(byte.into()));
            output.push(byte);
            continue;
        }
        let length_end = if random.below(20) == 0 {
            room
        } else {
            room.min(40)
        };
        let length = 3 + random.below(length_end as usize - 2) as u32;
        let distance_end = if random.below(2) == 0 {
            output.len()
        } else {
            output.len().min(20)
        };
        let distance = 1 + random.below(distance_end) as u32;
        let long = random.below(8) == 0;
        items.push(if long { Item::LongMatch } else { Item::Match }(
            length, distance,
        ));
        for _ in 0..length {
            output.push(output[output.len() - distance as usize]);
        }
    }
    items
}

#[test]
fn written_tiles_decode_whatever_their_shape() {
    let mut decoders = Decoders::new();
    let mut random = Random::new(4);
    for round in 0..3_000 {
        let bytes_max = [40, 300, 5_000, TILE_BYTES][round % 4];
        let (mut tile, mut expected) = (TileWriter::new(), Vec::new());
        for _ in 0..random.below(6) {
            if random.below(4) == 0 {
                let bytes = random.below(700).min(bytes_max - expected.len());
                let bytes: Vec<u8> = (0..bytes).map(|_| random.next() as u8).collect();
                tile.stored(false, &bytes);
                expected.extend(bytes);
            } else {
                let items = random_items(&mut random, &mut expected, bytes_max);
                tile.compressed(false, &items);
            }
        }
        if expected.is_empty() {
            expected.push(7);
            tile.compressed(false, &[Item::Symbol(7)]);
        }
        tile.compressed(true, &[]);
        let decoded = decoders.decode(&tile.finish(), expected.len());
        assert!(decoded == Ok(expected), "round {round}: {decoded:?}");
    }
}

#[test]
fn blocks_end_at_every_lane_with_distances_due_on_both_sides() {
    for literals in 1..100 {
        let mut items = vec![Item::Symbol(65); literals];
        items.extend([Item::Match(3, 1); 40]);
        items.extend(vec![Item::Symbol(66); literals % 32]);
        items.extend([Item::Match(5, 2); 3]);
        let mut tile = TileWriter::new();
        tile.compressed(false, &items);
        tile.compressed(true, &[Item::Symbol(67)]);
        let mut expected = vec![65; literals + 120];
        expected.extend(vec![66; literals % 32]);
        let pattern = [expected[expected.len() - 2], expected[expected.len() - 1]];
        expected.extend(pattern.iter().cycle().take(15));
        expected.push(67);
        assert_eq!(
            decode(&tile.finish(), expected.len()),
            Ok(expected),
            "{literals}"
        );
    }
}

/// A tile of one static block.
fn tile_of(items: &[Item]) -> Vec<u8> {
    let mut tile = TileWriter::new();
    tile.compressed(true, items);
    tile.finish()
}

#[test]
fn wrong_symbols_and_ranges_are_told_apart() {
    let a = Item::Symbol(65);
    let error = |items: &[Item], bytes| decode(&tile_of(items), bytes).unwrap_err();
    assert_eq!(error(&[a, Item::Symbol(286)], 4), DecodeError::Symbol);
    assert_eq!(error(&[a, Item::Symbol(287)], 4), DecodeError::Symbol);
    assert_eq!(error(&[Item::Match(3, 1)], 3), DecodeError::Distance);
    assert_eq!(error(&[a, Item::Match(3, 2)], 4), DecodeError::Distance);
    assert_eq!(
        error(&[a, Item::Match(300, 65_536)], 301),
        DecodeError::Distance
    );
    assert_eq!(error(&[a, a], 1), DecodeError::OutputOverflow);
    assert_eq!(error(&[a, a], 3), DecodeError::OutputUnderflow);
    assert_eq!(
        error(&[a, Item::LongMatch(65_538, 1)], TILE_BYTES),
        DecodeError::OutputOverflow
    );
    assert_eq!(
        error(&[a, Item::Match(4, 1)], 4),
        DecodeError::OutputOverflow
    );
    assert_eq!(error(&[a], 0), DecodeError::OutputBytes);
    assert_eq!(error(&[a], TILE_BYTES + 1), DecodeError::OutputBytes);
    let longest = tile_of(&[a, Item::LongMatch(65_535, 1)]);
    assert_eq!(decode(&longest, TILE_BYTES), Ok(vec![65; TILE_BYTES]));
}

#[test]
fn wrong_blocks_and_tiles_are_told_apart() {
    let mut undefined = TileWriter::new();
    undefined.block_header(true, 3);
    assert_eq!(decode(&undefined.finish(), 1), Err(DecodeError::BlockType));

    let mut long = TileWriter::new();
    long.block_header(true, 0);
    long.operation(0, &[(60_000, 16)]);
    let long = long.finish();
    assert_eq!(decode(&long, 59_999), Err(DecodeError::OutputOverflow));
    assert_eq!(decode(&long, 60_000), Err(DecodeError::TileTruncated));

    let mut endless = TileWriter::new();
    endless.compressed(false, &[Item::Symbol(65)]);
    assert_eq!(
        decode(&endless.finish(), 1),
        Err(DecodeError::TileTruncated)
    );

    // A precode that gives 1 to symbol 16 and 17 each: complete, and its first word is a repeat.
    let mut repeat = TileWriter::new();
    repeat.block_header(true, 2);
    repeat.operation(0, &[(0, 14)]);
    (0..4).for_each(|lane| repeat.operation(lane, &[(u32::from(lane < 2), 3)]));
    repeat.operation(0, &[(0, 3)]);
    assert_eq!(decode(&repeat.finish(), 1), Err(DecodeError::CodeLengths));

    let mut precode = TileWriter::new();
    precode.block_header(true, 2);
    precode.operation(0, &[(0, 14)]);
    (0..4).for_each(|lane| precode.operation(lane, &[(1, 3)]));
    assert_eq!(decode(&precode.finish(), 1), Err(DecodeError::Precode));

    let tile = tile_of(&[Item::Symbol(65)]);
    assert_eq!(decode(&tile[..124], 1), Err(DecodeError::TileBytes));
    assert_eq!(
        decode(&[&tile[..], &[0]].concat(), 1),
        Err(DecodeError::TileBytes)
    );
    assert_eq!(decode(&[&tile[..], &[0xFF; 128]].concat(), 1), Ok(vec![65]));
}

#[test]
fn a_tile_cut_at_any_word_is_truncated() {
    for kind in [Kind::Words, Kind::Mixed, Kind::Noise] {
        let original = data(kind, 20_000, 3);
        let tile = reference::Encoder::new(6).tile(&original).unwrap();
        let mut decoders = Decoders::new();
        for bytes in (0..tile.len()).step_by(4) {
            let error = decoders.decode(&tile[..bytes], original.len()).unwrap_err();
            let expected = if bytes < 128 {
                DecodeError::TileBytes
            } else {
                DecodeError::TileTruncated
            };
            assert_eq!(error, expected, "{kind:?} cut to {bytes} bytes");
        }
        assert_eq!(
            decode(&tile, original.len() - 1),
            Err(DecodeError::OutputOverflow)
        );
        assert_eq!(
            decode(&tile, original.len() + 1),
            Err(DecodeError::OutputUnderflow)
        );
    }
}

/// How many damaged tiles a test tries; more with GDEFLATE_DAMAGE set.
fn damage_rounds() -> usize {
    env::var("GDEFLATE_DAMAGE")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(4_000)
}

#[test]
fn damaged_tiles_never_panic_or_write_outside() {
    let mut random = Random::new(11);
    let mut decoders = Decoders::new();
    let mut tiles = Vec::new();
    for (seed, kind) in (20..).zip(KINDS) {
        for (level, bytes) in [(1, 900), (6, 3_000), (9, 20_000), (12, 400)] {
            let original = data(kind, bytes, seed);
            tiles.extend(
                reference::Encoder::new(level)
                    .tile(&original)
                    .map(|tile| (tile, bytes)),
            );
        }
    }
    let mut refused = 0;
    let rounds = damage_rounds();
    for _ in 0..rounds {
        let (tile, bytes) = &tiles[random.below(tiles.len())];
        let mut tile = tile.clone();
        for _ in 0..1 + random.below(4) {
            // Headers are where the damage is most varied.
            let end = if random.below(2) == 0 {
                tile.len().min(200)
            } else {
                tile.len()
            };
            let at = random.below(end);
            match random.below(3) {
                0 => tile[at] ^= 1 << random.below(8),
                1 => tile[at] = random.next() as u8,
                _ => {
                    let from = random.below(tile.len());
                    let length = random.below(16).min(tile.len() - from.max(at));
                    tile.copy_within(from..from + length, at);
                }
            }
        }
        // The decoder is reused on purpose: no tile may leave anything behind for the next.
        refused += usize::from(decoders.decode(&tile, *bytes).is_err());
    }
    assert!(
        refused > rounds / 3,
        "only {refused} of {rounds} damaged tiles were refused"
    );
    let (tile, bytes) = &tiles[9];
    assert_eq!(decoders.decode(tile, *bytes), decode(tile, *bytes));
}

#[test]
fn garbage_never_panics_or_writes_outside() {
    let mut random = Random::new(12);
    let mut decoders = Decoders::new();
    for round in 0..damage_rounds() {
        let mut tile: Vec<u8> = (0..128 + random.below(300) * 4)
            .map(|_| random.next() as u8)
            .collect();
        // A plausible block header, so that most rounds get past it.
        tile[0] = tile[0] & !7 | [1, 3, 5, 4][round % 4];
        let bytes = 1 + random.below([8, 1_000, TILE_BYTES][round % 3]);
        let _ = decoders.decode(&tile, bytes);
    }
}

#[test]
fn damaged_streams_never_panic() {
    let mut random = Random::new(13);
    let original = data(Kind::Words, 150_000, 5);
    let mut encoder = reference::Encoder::new(6);
    let tiles: Vec<Vec<u8>> = original
        .chunks(TILE_BYTES)
        .map(|tile| encoder.tile(tile).unwrap())
        .collect();
    let stream = stream_of(&tiles, original.len());
    let mut output = vec![0; original.len()];
    decompress(&stream, &mut output, HeaderPolicy::Strict).unwrap();
    assert!(output == original);
    for _ in 0..damage_rounds() {
        let mut stream = stream.clone();
        stream[random.below(20)] = random.next() as u8;
        stream.truncate(stream.len() - random.below(3) * random.below(300));
        let stream = stream.into_boxed_slice();
        let Ok(parsed) = TileStream::parse(&stream, HeaderPolicy::AnyId) else {
            continue;
        };
        assert!(parsed.compressed_bytes() + parsed.trailing_bytes() == stream.len());
        for index in 0..parsed.tile_count() {
            let range = parsed.tile_output(index);
            assert!(range.start < range.end && range.end - range.start <= TILE_BYTES as u64);
            let _ = parsed.tile(index);
        }
    }
}

fn stream_of(tiles: &[Vec<u8>], bytes: usize) -> Vec<u8> {
    let sizes: Vec<u32> = tiles.iter().map(|tile| tile.len() as u32).collect();
    let header = write_header(&sizes, bytes as u64).unwrap();
    [&header[..], &tiles.concat()].concat()
}

/// The golden files: reference streams of synthetic data, so that a clean clone can test without
/// the reference and the shared vectors.
const GOLDEN: [(Kind, usize, i32); 12] = [
    (Kind::Noise, 3_000, 6),
    (Kind::Zeros, 200_000, 6),
    (Kind::Words, 90_000, 1),
    (Kind::Words, 70_000, 12),
    (Kind::Words, 100, 9),
    (Kind::Records, 40_000, 9),
    (Kind::Skewed, 65_536, 6),
    (Kind::Far, 65_536, 9),
    (Kind::Period, 65_537, 6),
    (Kind::Mixed, 30_000, 3),
    (Kind::Mixed, 30_000, 12),
    (Kind::Zeros, 1, 6),
];

fn golden_path(index: usize) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/gdeflate");
    let (kind, bytes, level) = GOLDEN[index];
    folder.join(format!("{kind:?}_{bytes}_L{level}.gd").to_lowercase())
}

#[test]
fn golden_files_decode() {
    for (index, (kind, bytes, _)) in GOLDEN.into_iter().enumerate() {
        let path = golden_path(index);
        let stream = fs::read(&path).unwrap();
        let mut output = vec![0; bytes];
        decompress(&stream, &mut output, HeaderPolicy::Strict).unwrap();
        assert!(
            output == data(kind, bytes, index as u64),
            "{}",
            path.display()
        );
    }
}

/// Makes the golden files anew: `cargo test -p ds-core --test gdeflate_decode -- --ignored`.
#[test]
#[ignore = "writes the golden files"]
fn write_golden_files() {
    for (index, (kind, bytes, level)) in GOLDEN.into_iter().enumerate() {
        let original = data(kind, bytes, index as u64);
        let mut encoder = reference::Encoder::new(level);
        let tiles: Vec<Vec<u8>> = original
            .chunks(TILE_BYTES)
            .map(|tile| encoder.tile(tile).unwrap())
            .collect();
        fs::write(golden_path(index), stream_of(&tiles, bytes)).unwrap();
    }
}
