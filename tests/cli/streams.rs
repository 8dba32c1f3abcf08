//! `ds compress` and `ds decompress`.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::rig::*;

#[test]
fn tile_streams_survive_the_round_trip() {
    let folder = folder();
    for (name, bytes) in [
        ("empty", 0),
        ("one", 1),
        ("tile", 65_536),
        ("more", 1_000_001),
    ] {
        let plain = content(7, bytes);
        fs::write(folder.path().join(name), &plain).unwrap();
        for level in ["1", "fastest", "6", "default", "best"] {
            ok(
                folder.path(),
                &[&"compress", &name, &"s.gd", &"--level", &level],
            );
            ok(folder.path(), &[&"decompress", &"s.gd", &"back"]);
            assert_eq!(
                fs::read(folder.path().join("back")).unwrap(),
                plain,
                "{name} {level}"
            );
        }
    }
    let piped = Command::new(env!("CARGO_BIN_EXE_ds"))
        .current_dir(folder.path())
        .args(["decompress", "-", "-"])
        .stdin(fs::File::open(folder.path().join("s.gd")).unwrap())
        .output()
        .unwrap();
    assert_eq!(piped.stdout, content(7, 1_000_001));
}

#[test]
fn damaged_and_impossible_streams_are_errors() {
    let folder = folder();
    fs::write(folder.path().join("plain"), content(9, 200_000)).unwrap();
    ok(
        folder.path(),
        &[&"compress", &"plain", &"s.gd", &"--level", &"1"],
    );
    let stream = fs::read(folder.path().join("s.gd")).unwrap();
    for kept in (0..stream.len()).step_by(stream.len() / 20) {
        fs::write(folder.path().join("bad"), &stream[..kept]).unwrap();
        fails(folder.path(), &[&"decompress", &"bad", &"out"]);
    }
    assert!(fails(folder.path(), &[&"decompress", &"plain", &"out"]).contains("decompress: plain"));
    let huge = fs::File::create(folder.path().join("huge")).unwrap();
    huge.set_len(65_535 * 65_536 + 1).unwrap();
    let error = fails(folder.path(), &[&"compress", &"huge", &"out"]);
    assert!(
        error.contains("65535 tiles") && error.contains("ds pack"),
        "{error}"
    );
    assert!(!folder.path().join("out").exists());
}

#[test]
fn streams_of_other_encoders_decompress() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let Ok(items) = fs::read_dir(&vectors) else {
        eprintln!("SKIPPED: no test vectors in {}", vectors.display());
        return;
    };
    let (folder, mut compared) = (folder(), 0);
    for stream in items.map(|item| item.unwrap().path()) {
        let name = stream
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some((plain, _)) = name.rsplit_once("_L") else {
            continue;
        };
        let plain = vectors.join(format!("{plain}.bin"));
        if stream.extension() != Some(OsStr::new("gd")) || !plain.exists() {
            continue;
        }
        ok(folder.path(), &[&"decompress", &stream, &"out"]);
        assert!(
            fs::read(folder.path().join("out")).unwrap() == fs::read(plain).unwrap(),
            "{name}"
        );
        compared += 1;
    }
    assert!(
        compared > 0,
        "vectors without a pair of stream and plain bytes"
    );
}
