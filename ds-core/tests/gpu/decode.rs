//! The shader against the CPU decoder: the same tiles, the same verdicts, the same bytes.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ds_core::gdeflate::encode::{Encoder, Level};
use ds_core::gdeflate::{Decoder, HeaderPolicy, TileStream};
use ds_core::gpu::decode::{TileDecoder, TilePath};
use ds_core::gpu::oneshot::{RawTile, TileOutput, decode_tiles_with};

use crate::rig;

/// So many tiles go to the device at once: it bounds memory, and a software device's patience.
const BATCH_TILES: usize = 64;

/// A raw tile, the size of what it should hold, and where it came from.
struct Case {
    bytes: Vec<u8>,
    output_bytes: usize,
    from: String,
}

/// One device for all tests here, with a decoder for every path that it can take: a software driver takes
/// seconds to compile the shader.
struct Bench {
    device: rig::Validated,
    decoders: Vec<TileDecoder>,
}

/// The bench, or a line that says why `test` proves nothing here.
fn bench(test: &str) -> Option<&'static Bench> {
    static BENCH: OnceLock<Option<Bench>> = OnceLock::new();
    let bench = BENCH.get_or_init(|| {
        let device = rig::device(test)?;
        let paths = [TilePath::Subgroup, TilePath::Any];
        let there = paths
            .into_iter()
            .filter(|path| path.missing(&device).is_none());
        let decoders = there.map(|path| TileDecoder::new(&device, path).unwrap());
        let decoders = decoders.collect();
        Some(Bench { device, decoders })
    });
    let Some(bench) = bench else {
        println!("SKIPPED: {test}: there is no Vulkan device");
        return None;
    };
    if bench.decoders.is_empty() {
        let lacks = TilePath::Any.missing(&bench.device).unwrap_or_default();
        println!("SKIPPED: {test}: no shader runs here: the device lacks {lacks}");
        return None;
    }
    Some(bench)
}

/// Decodes all cases both ways and compares. Returns how many decode, and how many do not.
fn compare(bench: &Bench, cases: &[Case]) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for decoder in &bench.decoders {
        let name = decoder.path().name();
        for cases in cases.chunks(BATCH_TILES) {
            let tiles: Vec<_> = cases.iter().map(Case::raw).collect();
            let outputs = decode_tiles_with(&bench.device, decoder, &tiles).unwrap();
            for (case, output) in cases.iter().zip(outputs) {
                match case.check(name, output) {
                    true => good += 1,
                    false => bad += 1,
                }
            }
        }
    }
    // Nobody drops the bench, so nobody else asks.
    let messages = bench.device.take_messages();
    assert!(messages.is_empty(), "validation: {messages:#?}");
    (good, bad)
}

impl Case {
    fn raw(&self) -> RawTile<'_> {
        RawTile {
            bytes: &self.bytes,
            output_bytes: self.output_bytes as u32,
        }
    }

    /// Whether it decodes, which the CPU must agree on, and on every byte.
    fn check(&self, path: &str, output: TileOutput) -> bool {
        let from = &self.from;
        match (self.on_cpu(), output) {
            (Ok(expected), Ok(found)) => {
                let differs = expected.iter().zip(&found).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{path}: {from}: first wrong byte");
                true
            }
            (Err(_), Err(_)) => false,
            (cpu, gpu) => panic!(
                "{path}: {from}: the CPU says {:?}, the GPU {:?}",
                cpu.err(),
                gpu.err()
            ),
        }
    }

    fn on_cpu(&self) -> Result<Vec<u8>, ds_core::gdeflate::DecodeError> {
        let mut output = vec![0; self.output_bytes];
        let decoded = Decoder::new().decode_tile(&self.bytes, &mut output);
        decoded.map(|()| output)
    }
}

/// The tiles of the streams in a folder, as far as the streams have tiles at all.
fn streams(folder: &Path) -> Vec<Case> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gd"))
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let Ok(stream) = TileStream::parse(&bytes, HeaderPolicy::AnyId) else {
            continue;
        };
        for index in 0..stream.tile_count() {
            let output = stream.tile_output(index);
            let Ok(tile) = stream.tile(index) else {
                continue;
            };
            cases.push(Case {
                bytes: tile.to_vec(),
                output_bytes: (output.end - output.start) as usize,
                from: format!("{} tile {index}", file.display()),
            });
        }
    }
    cases
}

#[test]
fn every_vector_decodes_as_on_the_cpu() {
    const TEST: &str = "every_vector_decodes_as_on_the_cpu";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    if !folder.join("manifest.tsv").is_file() {
        println!(
            "SKIPPED: {TEST}: no GDeflate vectors at {}",
            folder.display()
        );
        return;
    }
    let Some(bench) = bench(TEST) else {
        return;
    };
    let (good, bad) = compare(bench, &streams(&folder));
    println!("{good} tiles decode, {bad} do not");
    let malformed = streams(&folder.join("malformed"));
    let (good, bad) = compare(bench, &malformed);
    println!("malformed: {good} tiles decode, {bad} do not");
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }
}

/// Data with literals, runs, near and far matches, in proportions that vary.
fn data(numbers: &mut Numbers, bytes: usize) -> Vec<u8> {
    let mut data: Vec<u8> = Vec::with_capacity(bytes);
    let letters = 1 + numbers.next(255);
    while data.len() < bytes {
        match numbers.next(4) {
            0 => data.extend((0..numbers.next(40)).map(|_| numbers.next(letters) as u8)),
            1 => {
                let byte = numbers.next(letters) as u8;
                data.extend(std::iter::repeat_n(byte, numbers.next(100)));
            }
            _ if data.is_empty() => data.push(0),
            kind => {
                let reach = if kind == 2 { 48 } else { 65_536 };
                let distance = 1 + numbers.next(reach.min(data.len()));
                for _ in 0..numbers.next(60) {
                    data.push(data[data.len() - distance]);
                }
            }
        }
    }
    data.truncate(bytes);
    data
}

fn encoded(data: &[u8], level: u8, from: String) -> Case {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(Level::new(level).unwrap());
    encoder.encode_tile(data, &mut bytes).unwrap();
    Case {
        bytes,
        output_bytes: data.len(),
        from,
    }
}

/// Sound tiles of every size class and level.
fn sound(numbers: &mut Numbers) -> Vec<Case> {
    let sizes = [
        1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 1000, 4097, 20_000, 65_535, 65_536,
    ];
    let mut cases = Vec::new();
    for (i, size) in sizes.into_iter().enumerate() {
        let data = data(numbers, size);
        let level = 1 + (i % 12) as u8;
        cases.push(encoded(
            &data,
            level,
            format!("{size} bytes at level {level}"),
        ));
    }
    let noise: Vec<u8> = (0..65_536).map(|_| numbers.next(256) as u8).collect();
    cases.push(encoded(&noise, 1, "noise".into()));
    cases.push(encoded(&[7; 65_536], 9, "one run".into()));
    cases
}

#[test]
fn sound_tiles_decode_to_what_was_encoded() {
    let Some(bench) = bench("sound_tiles_decode_to_what_was_encoded") else {
        return;
    };
    let cases = sound(&mut Numbers(0x9E37_79B9_7F4A_7C15));
    let (good, bad) = compare(bench, &cases);
    assert_eq!(bad, 0);
    println!("{good} tiles");
}

/// A tile whose first lane says again and again: a block with the static codes, and its end.
fn empty_blocks(bytes: usize) -> Case {
    let mut words = vec![[0; 4]; bytes / 4];
    for (at, word) in words
        .iter_mut()
        .enumerate()
        .filter(|(at, _)| *at == 0 || *at >= 32)
    {
        let first_bit = at.saturating_sub(31) * 32;
        let bits = (0..32).filter(|bit| (first_bit + bit) % 10 == 1);
        *word = bits.fold(0u32, |word, bit| word | 1 << bit).to_le_bytes();
    }
    Case {
        bytes: words.concat(),
        output_bytes: 1,
        from: format!("{bytes} bytes of empty blocks"),
    }
}

#[test]
fn a_tile_of_millions_of_empty_blocks_ends_soon() {
    let Some(bench) = bench("a_tile_of_millions_of_empty_blocks_ends_soon") else {
        return;
    };
    // 13 million blocks, were all of them looked at: hours on a software device.
    let (good, _) = compare(bench, &[empty_blocks(16 << 20)]);
    assert_eq!(good, 0);
}

#[test]
fn padding_does_not_count_however_long() {
    let Some(bench) = bench("padding_does_not_count_however_long") else {
        return;
    };
    let mut case = encoded(b"a tile with much behind it", 9, "padded".into());
    case.bytes.resize(1 << 20, 0xEE);
    let (_, bad) = compare(bench, &[case]);
    assert_eq!(bad, 0);
}

#[test]
fn damaged_tiles_get_the_verdict_of_the_cpu() {
    let Some(bench) = bench("damaged_tiles_get_the_verdict_of_the_cpu") else {
        return;
    };
    let mut numbers = Numbers(0xD1B5_4A32_D192_ED03);
    let mut cases = Vec::new();
    for round in 0..160 {
        let bytes = 1 + numbers.next(3000);
        let data = data(&mut numbers, bytes);
        let mut case = encoded(&data, 1 + (round % 12) as u8, format!("damage {round}"));
        damage(&mut numbers, &mut case);
        cases.push(case);
    }
    let (good, bad) = compare(bench, &cases);
    println!("{good} tiles decode all the same, {bad} do not");
    assert!(bad > 40, "hardly any damage was found");
}

/// One kind of damage: to bits anywhere, to the headers, to the length, or to the size asked for.
fn damage(numbers: &mut Numbers, case: &mut Case) {
    let bytes = case.bytes.len();
    match numbers.next(6) {
        0 => case.bytes.truncate(numbers.next(bytes + 1)),
        1 => case.bytes.truncate(numbers.next(bytes / 4 + 1) * 4),
        2 => case.output_bytes = (case.output_bytes - 1).max(1),
        3 => case.output_bytes += 1,
        // The first words of the lanes hold the first block's header.
        4 => {
            let at = numbers.next(bytes.min(128) * 8);
            case.bytes[at / 8] ^= 1 << (at % 8);
        }
        _ => {
            for _ in 0..1 + numbers.next(4) {
                let at = numbers.next(bytes * 8);
                case.bytes[at / 8] ^= 1 << (at % 8);
            }
        }
    }
}
