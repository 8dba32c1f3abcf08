//! Decodes the shared GDeflate vectors, valid and malformed, and checks every verdict.
//!
//! Inputs lie in boxes of exactly their size and outputs between guard bytes, so that a sanitizer
//! sees reads, and the test sees writes, outside them.

#![forbid(unsafe_code)]

mod paths;

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ds_core::gdeflate::{Codec, CodecError, HeaderPolicy, TileStream, decompress};
use paths::Decoders;
use sha2::{Digest, Sha256};

const GUARD_BYTES: usize = 64;

/// The vectors' folder, or nothing and a loud line.
fn vectors() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    if path.join("manifest.tsv").is_file() {
        return Some(path);
    }
    eprintln!("SKIPPED: no GDeflate vectors at {}", path.display());
    None
}

fn rows(manifest: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(manifest).unwrap();
    let rows = text
        .lines()
        .skip(1)
        .map(|line| line.split('\t').map(str::to_owned).collect());
    rows.collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
}

/// Decodes with one thread and with several, and each tile on every path; all must agree, and leave
/// the guards alone.
fn decode(stream: &[u8], policy: HeaderPolicy) -> Result<Vec<u8>, String> {
    let stream: Box<[u8]> = stream.into();
    let bytes = TileStream::parse(&stream, policy).map_err(|error| error.to_string())?;
    let bytes = bytes.uncompressed_bytes() as usize;
    let mut guarded = vec![0xA5; bytes + 2 * GUARD_BYTES];
    let result = decompress(&stream, &mut guarded[GUARD_BYTES..][..bytes], policy);
    let (before, rest) = guarded.split_at(GUARD_BYTES);
    let (output, behind) = rest.split_at(bytes);
    assert!(
        before.iter().chain(behind).all(|byte| *byte == 0xA5),
        "a write outside the output"
    );

    let parsed = TileStream::parse(&stream, policy).map_err(|error| error.to_string())?;
    let tiles = (0..parsed.tile_count()).map(|index| {
        let Range { start, end } = parsed.tile_output(index);
        Decoders::new().decode(parsed.tile(index)?, (end - start) as usize)
    });
    let tiles: Result<Vec<_>, _> = tiles.collect();
    assert_eq!(tiles.as_ref().err(), result.as_ref().err());
    assert!(tiles.is_err() || tiles.unwrap().concat() == output);

    if policy == HeaderPolicy::AnyId {
        let mut larger = vec![0xA5; bytes + GUARD_BYTES];
        match Codec::new(3).decompress(&stream, &mut larger) {
            Ok(bytes) => assert_eq!(larger[..bytes], *output),
            Err(CodecError::Tile { error, .. } | CodecError::Stream(error)) => {
                assert_eq!(Err(error), result);
            }
            Err(error) => panic!("{error}"),
        }
        assert!(
            larger[bytes..].iter().all(|byte| *byte == 0xA5),
            "a write behind the output"
        );
    }
    result
        .map(|()| output.to_vec())
        .map_err(|error| error.to_string())
}

#[test]
fn valid_vectors_decode_to_their_hashes() {
    let Some(folder) = vectors() else { return };
    let rows = rows(&folder.join("manifest.tsv"));
    assert!(rows.len() >= 220, "only {} vectors", rows.len());
    for row in rows {
        let stream = fs::read(folder.join(&row[0])).unwrap();
        assert_eq!(sha256(&stream), row[5], "{} itself is damaged", row[0]);
        let output = decode(&stream, HeaderPolicy::Strict)
            .unwrap_or_else(|error| panic!("{}: {error}", row[0]));
        assert_eq!(output.len().to_string(), row[2], "{}", row[0]);
        assert_eq!(sha256(&output), row[4], "{}", row[0]);
        let parsed = TileStream::parse(&stream, HeaderPolicy::Strict).unwrap();
        assert_eq!(
            (parsed.compressed_bytes(), parsed.trailing_bytes()),
            (stream.len(), 0)
        );
    }
}

#[test]
fn malformed_vectors_get_their_verdicts() {
    let Some(folder) = vectors() else { return };
    let text = fs::read(folder.join("text150k.bin")).unwrap();
    let folder = folder.join("malformed");
    let rows = rows(&folder.join("manifest.tsv"));
    assert!(rows.len() >= 73, "only {} vectors", rows.len());
    for row in rows {
        let name = row[0].as_str();
        let stream = fs::read(folder.join(name)).unwrap();
        let result = decode(&stream, HeaderPolicy::AnyId);
        println!("{name}: {:?}", result.as_ref().map(Vec::len));
        match name {
            "hlit_288.gd" => assert_eq!(result.as_deref(), Ok(&b"A"[..])),
            "tile_padded.gd" => assert_eq!(result.as_deref(), Ok(&b"AB"[..])),
            // Our choices among those the manifest allows; stream.rs gives the reasons.
            "id_fe.gd" => {
                assert_eq!(result.as_deref(), Ok(&text[..300]));
                assert!(decode(&stream, HeaderPolicy::Strict).is_err());
            }
            "trailing_junk.gd" => {
                assert_eq!(result.as_deref(), Ok(&text[..300]));
                let parsed = TileStream::parse(&stream, HeaderPolicy::AnyId).unwrap();
                assert_eq!(parsed.trailing_bytes(), 64);
            }
            // Without a checksum any output of the announced size is right; the size was checked.
            _ if name.starts_with("flip3_") => {}
            _ => {
                let verdict = row.last().unwrap();
                assert!(
                    verdict.starts_with("reject"),
                    "{name}: unknown verdict {verdict}"
                );
                assert!(result.is_err(), "{name} ({}) was accepted", row[2]);
            }
        }
    }
}
