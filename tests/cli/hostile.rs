//! Archives that are damaged, or made to harm: nothing is written outside, nothing is left.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

use ds_tool::archive::format::{
    CHUNK_BYTES_DEFAULT, Chunk, Entry, FOOTER_BYTES, Index, Kind, Layout, Method, checksum,
};

use crate::rig::*;

/// Archives made by hand, with checksums that agree.
fn archive_of(index: &Index, data: &[u8]) -> Vec<u8> {
    let mut archive = Layout::header(CHUNK_BYTES_DEFAULT).to_vec();
    archive.extend(data);
    archive.resize(archive.len().next_multiple_of(64), 0);
    let bytes = index.to_bytes();
    let layout = Layout {
        chunk_bytes: CHUNK_BYTES_DEFAULT,
        index_offset: archive.len() as u64,
        index_bytes: bytes.len() as u64,
        index_checksum: checksum(&bytes),
        entry_count: index.entries.len() as u64,
        chunk_count: index.chunks.len() as u64,
    };
    archive.extend(bytes);
    archive.extend(layout.footer());
    archive
}

fn entry(path: &[u8], kind: Kind) -> Entry {
    Entry {
        path: path.into(),
        mode: if kind == Kind::Folder { 0o755 } else { 0o644 },
        modified_s: 1_000_000_000,
        modified_ns: 0,
        kind,
    }
}

fn file_of(path: &[u8], bytes: u64) -> Entry {
    entry(
        path,
        Kind::File {
            bytes,
            chunks: 0..1,
        },
    )
}

fn link(path: &[u8], target: &[u8]) -> Entry {
    entry(
        path,
        Kind::Link {
            target: target.into(),
        },
    )
}

fn one_chunk() -> Chunk {
    Chunk {
        offset: 64,
        stored_bytes: 5,
        bytes: 5,
        method: Method::Stored,
        checksum: checksum(b"hello"),
    }
}

#[test]
fn traversal_is_refused_by_name_and_writes_nothing() {
    let cases: &[(&str, Vec<Entry>)] = &[
        ("../evil", vec![file_of(b"../evil", 5)]),
        ("/tmp/evil", vec![file_of(b"/tmp/evil", 5)]),
        (
            "a/../../evil",
            vec![entry(b"a", Kind::Folder), file_of(b"a/../../evil", 5)],
        ),
        ("l/evil", vec![link(b"l", b"."), file_of(b"l/evil", 5)]),
        ("entry l", vec![link(b"l", b"/etc"), file_of(b"x", 5)]),
        (
            "entry a/l",
            vec![
                entry(b"a", Kind::Folder),
                link(b"a/l", b"../../x"),
                file_of(b"x", 5),
            ],
        ),
        ("twice", vec![file_of(b"x", 5), entry(b"x", Kind::Folder)]),
        ("twice", vec![link(b"x", b"y"), file_of(b"x", 5)]),
        ("empty", vec![file_of(b"", 5)]),
        ("NUL", vec![file_of(b"a\0b", 5)]),
    ];
    for (word, entries) in cases {
        let folder = folder();
        let index = Index {
            entries: entries.clone(),
            chunks: vec![one_chunk()],
        };
        fs::write(folder.path().join("a.dspk"), archive_of(&index, b"hello")).unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let error = fails(
            &folder.path().join("in"),
            &[&"unpack", &"../a.dspk", &"-C", &"out"],
        );
        assert!(error.contains(word), "{word}: {error}");
        assert_eq!(names(folder.path()), ["a.dspk", "in"]);
        assert!(names(&folder.path().join("in")).is_empty(), "{word}");
    }
}

#[test]
fn links_that_lead_outside_are_unpacked_when_asked_for() {
    let folder = folder();
    let index = Index {
        entries: vec![link(b"l", b"/nowhere")],
        chunks: Vec::new(),
    };
    fs::write(folder.path().join("a.dspk"), archive_of(&index, b"")).unwrap();
    ok(
        folder.path(),
        &[&"unpack", &"a.dspk", &"-C", &"out", &"--outside-links"],
    );
    assert_eq!(
        fs::read_link(folder.path().join("out/l")).unwrap(),
        Path::new("/nowhere")
    );
}

/// Unpacks damaged bytes: an error that leaves nothing, or the right files.
fn unpack_damaged(folder: &Path, tree: &Path, archive: &[u8], what: &str) -> bool {
    fs::write(folder.join("bad.dspk"), archive).unwrap();
    let output = ds(folder, &[&"unpack", &"bad.dspk", &"-C", &"out"]);
    let out = folder.join("out");
    match output.status.code() {
        Some(0) => {
            assert_eq!(describe(&out.join("tree")), describe(tree), "{what}");
            fs::remove_dir_all(out).unwrap();
            true
        }
        Some(1) => {
            assert!(
                !out.exists() && names(folder).len() == 3,
                "{what}: something was left"
            );
            false
        }
        _ => panic!("{what}: {}", text(&output.stderr)),
    }
}

#[test]
fn every_truncation_is_an_error() {
    let (folder, tree, archive) = small_archive();
    let interesting = (0..archive.len()).step_by(archive.len() / 60);
    let ends = (0..130).chain(archive.len() - 200..archive.len());
    for kept in interesting.chain(ends.step_by(7)) {
        let what = format!("cut to {kept} bytes");
        assert!(
            !unpack_damaged(folder.path(), &tree, &archive[..kept], &what),
            "{what}"
        );
    }
    let mut longer = archive.clone();
    longer.push(0);
    assert!(!unpack_damaged(
        folder.path(),
        &tree,
        &longer,
        "one byte too many"
    ));
}

#[test]
fn a_flipped_byte_is_an_error_or_does_not_matter() {
    let (folder, tree, archive) = small_archive();
    let footer = archive.len() - FOOTER_BYTES;
    let index_offset = u64::from_le_bytes(archive[footer + 8..footer + 16].try_into().unwrap());
    let data = (64..index_offset as usize).step_by(1999);
    let listed = (index_offset as usize..archive.len()).step_by(5);
    for at in (0..64).step_by(3).chain(data).chain(listed) {
        let mut damaged = archive.clone();
        damaged[at] ^= 0x10;
        let survived = unpack_damaged(folder.path(), &tree, &damaged, &format!("byte {at}"));
        let in_data = (64..index_offset as usize).contains(&at);
        assert!(in_data || !survived, "byte {at} is covered by a checksum");
    }
}

#[test]
fn damage_in_a_chunk_names_the_file() {
    let (folder, _, mut archive) = small_archive();
    archive[64 + 600] ^= 0xFF;
    fs::write(folder.path().join("bad.dspk"), &archive).unwrap();
    let error = fails(folder.path(), &[&"verify", &"bad.dspk"]);
    assert!(error.contains("tree/a: chunk at offset 64"), "{error}");
}
