//! The codec object: whole streams, several threads, destinations of every size.

mod synthetic;

use std::sync::atomic::{AtomicU64, Ordering};

use ds_core::gdeflate::encode::Level;
use ds_core::gdeflate::{
    Codec, CodecError, DecodeError, Decoder, HeaderPolicy, Path, TILE_BYTES, TileStream,
};
use synthetic::{Kind, data};

#[test]
fn bounds_are_those_callers_know() {
    let expected = [
        (0, 66_420),
        (1, 66_420),
        (65_536, 66_420),
        (65_537, 132_824),
    ];
    for (bytes, bound) in expected.into_iter().chain([(1 << 20, 1_062_480)]) {
        assert_eq!(Codec::bound(bytes), bound);
    }
    assert_eq!(Codec::bound(usize::MAX), usize::MAX);
}

#[test]
fn streams_come_back_and_do_not_depend_on_threads() {
    for bytes in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
        let source = data(Kind::Mixed, bytes, 9);
        let stream = Codec::new(1)
            .compress_to_vec(&source, Level::FASTEST, None)
            .unwrap();
        assert!(stream.len() <= Codec::bound(bytes));
        let parsed = TileStream::parse(&stream, HeaderPolicy::Strict).unwrap();
        assert_eq!(parsed.uncompressed_bytes(), bytes as u64);
        assert_eq!(
            (parsed.compressed_bytes(), parsed.trailing_bytes()),
            (stream.len(), 0)
        );
        for threads in [0, 2, 7] {
            let codec = Codec::new(threads);
            assert!(
                codec
                    .compress_to_vec(&source, Level::FASTEST, None)
                    .unwrap()
                    == stream
            );
            let mut output = vec![0xA5; bytes + 100];
            assert_eq!(codec.decompress(&stream, &mut output), Ok(bytes));
            assert!(output[..bytes] == source);
            assert_eq!(output[bytes..], [0xA5; 100]);
        }
    }
}

#[test]
fn destinations_are_checked_to_the_byte() {
    let source = data(Kind::Words, 100_000, 2);
    let codec = Codec::new(2);
    let stream = codec
        .compress_to_vec(&source, Level::DEFAULT, None)
        .unwrap();
    let too_small = |bytes| {
        Err(CodecError::DestinationTooSmall {
            needed_bytes: bytes as u64,
        })
    };
    let mut target = vec![0xA5; stream.len() + 1];
    let fits = codec.compress(&source, Level::DEFAULT, &mut target, None);
    assert_eq!(fits, Ok(stream.len()));
    assert!(target[..stream.len()] == stream && target[stream.len()] == 0xA5);
    let short = &mut target[..stream.len() - 1];
    assert_eq!(
        codec.compress(&source, Level::DEFAULT, short, None),
        too_small(stream.len())
    );
    let mut output = vec![0; source.len() - 1];
    assert_eq!(
        codec.decompress(&stream, &mut output),
        too_small(source.len())
    );
}

#[test]
fn the_first_bad_tile_is_the_one_reported() {
    let source = data(Kind::Words, 20 * TILE_BYTES, 3);
    let mut stream = Codec::new(0)
        .compress_to_vec(&source, Level::FASTEST, None)
        .unwrap();
    let parsed = TileStream::parse(&stream, HeaderPolicy::Strict).unwrap();
    let data_start = parsed.compressed_bytes()
        - (0..20)
            .map(|index| parsed.tile(index).unwrap().len())
            .sum::<usize>();
    let offset = |tile| {
        (0..tile)
            .map(|index| parsed.tile(index).unwrap().len())
            .sum::<usize>()
    };
    // Block type 3 in the first bits.
    for at in [7, 8, 13].map(|tile| data_start + offset(tile)) {
        stream[at] |= 6;
    }
    let mut output = vec![0; source.len()];
    for threads in [1, 2, 5, 16] {
        assert_eq!(
            Codec::new(threads).decompress(&stream, &mut output),
            Err(CodecError::Tile {
                index: 7,
                error: DecodeError::BlockType
            })
        );
    }
    assert_eq!(
        Codec::new(1).decompress(&stream[..6], &mut output),
        Err(CodecError::Stream(DecodeError::HeaderTruncated))
    );
}

#[test]
fn progress_reaches_the_end() {
    let source = data(Kind::Records, 300_000, 4);
    let (calls, furthest) = (AtomicU64::new(0), AtomicU64::new(0));
    let progress = |done: u64, total: u64| {
        assert_eq!(total, 300_000);
        calls.fetch_add(1, Ordering::Relaxed);
        furthest.fetch_max(done, Ordering::Relaxed);
    };
    Codec::new(3)
        .compress_to_vec(&source, Level::FASTEST, Some(&progress))
        .unwrap();
    assert_eq!((calls.into_inner(), furthest.into_inner()), (5, 300_000));
}

#[test]
fn a_preferred_path_is_taken_if_the_machine_can() {
    for path in Path::ALL {
        Path::prefer(Some(path));
        assert_eq!(Path::from_name(path.name()), Some(path));
        if path.is_available() {
            assert_eq!(Path::chosen(), path);
        } else {
            assert_eq!(Path::chosen(), Path::best());
            assert!(Decoder::with_path(path).is_none());
            println!("SKIPPED: this machine cannot take the path {}", path.name());
        }
        let source = data(Kind::Words, 100_000, 1);
        let codec = Codec::new(2);
        let stream = codec
            .compress_to_vec(&source, Level::FASTEST, None)
            .unwrap();
        let mut output = vec![0; source.len()];
        assert_eq!(codec.decompress(&stream, &mut output), Ok(source.len()));
        assert!(output == source);
    }
    Path::prefer(None);
    assert_eq!(Path::chosen(), Path::best());
    assert_eq!(Path::from_name("fast"), None);
}
