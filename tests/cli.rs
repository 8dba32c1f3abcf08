//! The tool as its users run it: real processes, real files, and what they print.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ds_tool::archive::format::{
    CHUNK_BYTES_DEFAULT, Chunk, Entry, FOOTER_BYTES, Index, Kind, Layout, Method, checksum,
};

/// Runs the tool in `folder`.
fn ds(folder: &Path, arguments: &[&dyn AsRef<OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ds"));
    command
        .current_dir(folder)
        .args(arguments.iter().map(|argument| argument.as_ref()));
    for variable in ["DS_CONFIG", "DS_CONFIG_FILE", "DS_LOG", "DS_LOG_PATH"] {
        command.env_remove(variable);
    }
    command.output().expect("the tool starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the tool, which must succeed quietly; answers what it prints.
fn ok(folder: &Path, arguments: &[&dyn AsRef<OsStr>]) -> String {
    let output = ds(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// Runs the tool, which must fail with one line; answers it.
fn fails(folder: &Path, arguments: &[&dyn AsRef<OsStr>]) -> String {
    let output = ds(folder, arguments);
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(
        line.starts_with("error: ") && line.lines().count() == 1,
        "{line}"
    );
    line
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Bytes that compress to about a half: noise and repetition.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..bytes)
        .map(|index| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if index / 64 % 2 == 0 {
                state as u8
            } else {
                (index / 640) as u8
            }
        })
        .collect()
}

/// A tree with everything that an archive can hold.
fn make_tree(root: &Path) {
    let sub = root.join("sub dir/deeper");
    fs::create_dir_all(&sub).unwrap();
    fs::create_dir(root.join("empty folder")).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    fs::write(root.join("one"), b"1").unwrap();
    fs::write(root.join("large"), content(1, 3_000_000)).unwrap();
    fs::write(root.join("exact"), content(2, CHUNK_BYTES_DEFAULT as usize)).unwrap();
    fs::write(root.join("zeros"), vec![0; 700_000]).unwrap();
    fs::write(
        sub.join(OsStr::from_bytes(b"not \xff utf-8\n")),
        content(3, 70_000),
    )
    .unwrap();
    fs::write(root.join("tool.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("tool.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(root.join("one"), fs::Permissions::from_mode(0o440)).unwrap();
    fs::set_permissions(root.join("empty folder"), fs::Permissions::from_mode(0o500)).unwrap();
    symlink("../../large", sub.join("link")).unwrap();
    symlink("nothing/there", root.join("dangling")).unwrap();
    for index in 0..200 {
        fs::write(
            sub.join(format!("small{index}")),
            content(index, index as usize * 37),
        )
        .unwrap();
    }
}

type Tree = BTreeMap<OsString, (Vec<u8>, u32, (i64, i64))>;

/// Everything that must survive: path, kind and content, permissions, time of change.
fn describe(root: &Path) -> Tree {
    let mut described = BTreeMap::new();
    let mut stack = vec![root.to_owned()];
    while let Some(path) = stack.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            stack.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|item| item.unwrap().path()),
            );
            b"folder".to_vec()
        } else if metadata.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        } else {
            fs::read(&path).unwrap()
        };
        let name = path.strip_prefix(root).unwrap().as_os_str().to_owned();
        let time = (metadata.mtime(), metadata.mtime_nsec());
        described.insert(name, (content, metadata.mode(), time));
    }
    described
}

/// The names in a folder, to see that nothing was left behind.
fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|item| item.unwrap().file_name())
        .collect();
    names.sort();
    names
}

#[test]
fn everything_survives_the_round_trip() {
    let folder = folder();
    let tree = folder.path().join("tree");
    make_tree(&tree);
    for (name, extra) in [
        ("default", &["--level", "default"][..]),
        ("fastest", &["--level", "fastest", "--threads", "3"]),
        ("small chunks", &["--level", "1", "--chunk-kib", "64"]),
        ("stored", &["--store"]),
    ] {
        let archive = format!("{name}.dspk");
        let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"pack", &"tree", &"-o", &archive];
        arguments.extend(extra.iter().map(|argument| argument as &dyn AsRef<OsStr>));
        ok(folder.path(), &arguments);
        assert!(ok(folder.path(), &[&"verify", &archive]).contains("all checksums agree"));
        let out = format!("out {name}");
        ok(folder.path(), &[&"unpack", &archive, &"-C", &out]);
        let unpacked = folder.path().join(&out);
        assert_eq!(names(&unpacked), ["tree"], "nothing else is left");
        assert_eq!(describe(&unpacked.join("tree")), describe(&tree), "{name}");
    }
}

#[test]
fn contents_of_a_folder_and_several_arguments_are_packed() {
    let folder = folder();
    make_tree(&folder.path().join("tree"));
    ok(
        &folder.path().join("tree"),
        &[&"pack", &".", &"-o", &"../a.dspk"],
    );
    ok(folder.path(), &[&"unpack", &"a.dspk", &"-C", &"out"]);
    let (out, tree) = (folder.path().join("out"), folder.path().join("tree"));
    let without_root = |mut tree: Tree| {
        tree.remove(OsStr::new(""));
        tree
    };
    assert_eq!(without_root(describe(&out)), without_root(describe(&tree)));

    ok(
        folder.path(),
        &[
            &"pack",
            &"tree/large",
            &"tree/empty folder",
            &"-o",
            &"b.dspk",
        ],
    );
    ok(folder.path(), &[&"unpack", &"b.dspk", &"-C", &"two"]);
    assert_eq!(names(&folder.path().join("two")), ["empty folder", "large"]);
    let error = fails(
        folder.path(),
        &[&"pack", &"tree/one", &"out/one", &"-o", &"c.dspk"],
    );
    assert!(error.contains("same name"), "{error}");
}

#[test]
fn an_archive_in_the_folder_that_is_packed_leaves_itself_out() {
    let folder = folder();
    fs::write(folder.path().join("a"), "a").unwrap();
    for _ in 0..2 {
        let printed = ok(folder.path(), &[&"pack", &".", &"-o", &"self.dspk"]);
        assert!(printed.starts_with("1 entry, 1 B"), "{printed}");
    }
}

#[test]
fn nothing_that_exists_is_replaced_and_nothing_is_left_behind() {
    let folder = folder();
    make_tree(&folder.path().join("tree"));
    ok(
        folder.path(),
        &[&"pack", &"tree", &"-o", &"a.dspk", &"--store"],
    );
    let before = describe(folder.path());
    let error = fails(folder.path(), &[&"unpack", &"a.dspk"]);
    assert!(error.contains("tree: exists already"), "{error}");
    assert!(
        fails(folder.path(), &[&"unpack", &"a.dspk", &"-C", &"a.dspk"]).contains("not a folder")
    );
    assert!(
        fails(folder.path(), &[&"unpack", &"a.dspk", &"-C", &"no/such"]).contains("No such file")
    );
    assert!(fails(folder.path(), &[&"pack", &"tree", &"-o", &"no/such"]).contains("No such file"));
    assert!(fails(folder.path(), &[&"pack", &"tree", &"-o", &"tree"]).contains("is a folder"));
    assert!(fails(folder.path(), &[&"pack", &"missing", &"-o", &"a.dspk"]).contains("missing"));
    assert!(fails(folder.path(), &[&"verify", &"tree/large"]).contains("not a .dspk archive"));
    assert!(fails(folder.path(), &[&"verify", &"tree/one"]).contains("too short"));
    assert!(fails(folder.path(), &[&"verify", &"tree"]).contains("not a regular file"));
    let after = describe(folder.path());
    assert!(after.keys().eq(before.keys()), "nothing is left behind");
    assert_eq!(
        after[OsStr::new("a.dspk")].0,
        before[OsStr::new("a.dspk")].0
    );
}

#[test]
fn an_unreadable_file_is_named_and_stops_packing() {
    let folder = folder();
    let secret = folder.path().join("secret");
    fs::write(&secret, "s").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&secret).is_ok() {
        eprintln!("SKIPPED: this user reads every file, so none is unreadable");
        return;
    }
    let error = fails(folder.path(), &[&"pack", &"secret", &"-o", &"a.dspk"]);
    assert!(error.contains("secret: Permission denied"), "{error}");
    assert_eq!(names(folder.path()), ["secret"]);
}

#[test]
fn what_no_archive_holds_is_skipped_aloud() {
    let folder = folder();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    let output = ds(folder.path(), &[&"pack", &"tree", &"-o", &"a.dspk"]);
    assert!(output.status.success());
    let line = text(&output.stderr);
    assert!(line.starts_with("warning: tree/socket: skipped"), "{line}");
}

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

/// A folder with a small archive of `tree`.
fn small_archive() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = folder();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("a"), content(5, 150_000)).unwrap();
    fs::write(tree.join("b"), b"short").unwrap();
    symlink("a", tree.join("l")).unwrap();
    ok(
        folder.path(),
        &[&"pack", &"tree", &"-o", &"a.dspk", &"--chunk-kib", &"64"],
    );
    let archive = fs::read(folder.path().join("a.dspk")).unwrap();
    (folder, tree, archive)
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

#[test]
fn wrong_command_lines_are_status_two() {
    let folder = folder();
    for arguments in [
        &["frobnicate"][..],
        &["pack"],
        &["pack", "x"],
        &["pack", "x", "-o", "y", "--level", "13"],
        &["pack", "x", "-o", "y", "--level", "3", "--store"],
    ] {
        let arguments: Vec<_> = arguments.iter().map(|a| a as &dyn AsRef<OsStr>).collect();
        assert_eq!(ds(folder.path(), &arguments).status.code(), Some(2));
    }
    let error = fails(
        folder.path(),
        &[&"pack", &"x", &"-o", &"y", &"--chunk-kib", &"100"],
    );
    assert!(error.contains("multiple of 64"), "{error}");
}

#[test]
fn help_lists_every_command() {
    let folder = folder();
    let help = ok(folder.path(), &[]);
    for command in [
        "demo",
        "pack",
        "unpack",
        "verify",
        "inspect",
        "compress",
        "decompress",
        "bench",
        "info",
    ] {
        let line = help
            .lines()
            .find(|line| line.trim_start().starts_with(command));
        assert!(
            line.is_some_and(|line| line.len() <= 100),
            "{command}: {help}"
        );
        assert!(ok(folder.path(), &[&command, &"--help"]).contains("Usage: ds"));
    }
}

#[test]
fn a_file_that_grows_while_it_is_packed_is_named() {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = folder();
    let path = folder.path().join("log");
    // Large, and written to without a pause: reading it takes many times what a busy machine may keep
    // the writer from running.
    fs::File::create(&path).unwrap().set_len(256 << 20).unwrap();
    let stop = AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all(b"another line\n").unwrap();
            }
        });
        let output = ds(
            folder.path(),
            &[&"pack", &"log", &"-o", &"a.dspk", &"--store"],
        );
        stop.store(true, Ordering::Relaxed);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    });
    assert!(
        error.starts_with("error: pack: log: it changed while"),
        "{error}"
    );
    assert_eq!(names(folder.path()), ["log"]);
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let folder = folder();
    fs::write(folder.path().join("data"), content(1, 40_000_000)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ds"))
        .current_dir(folder.path())
        .args([
            "pack",
            "data",
            "-o",
            "a.dspk",
            "--level",
            "best",
            "--chunk-kib",
            "64",
        ])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The temporary file is made before the handlers; it has bytes in it only after them.
    let begun = |folder: &Path| {
        fs::read_dir(folder).unwrap().flatten().any(|item| {
            item.file_name().as_bytes().starts_with(b".ds-")
                && item.metadata().is_ok_and(|metadata| metadata.len() > 0)
        })
    };
    while !begun(folder.path()) {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it was interrupted"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: interrupted"));
    assert_eq!(names(folder.path()), ["data"]);
}

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

fn json(printed: &str) -> serde_json::Value {
    let line = printed.lines().last().expect("a line");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn inspect_tells_what_is_there() {
    let (folder, _, archive) = small_archive();
    let printed = ok(folder.path(), &[&"inspect", &"a.dspk"]);
    assert!(
        printed.contains("tree/l -> a") && printed.contains("4 entries"),
        "{printed}"
    );
    let value = json(&ok(folder.path(), &[&"inspect", &"a.dspk", &"--json"]));
    assert_eq!(value["archive_bytes"], archive.len());
    assert_eq!(value["bytes"], 150_005);
    assert_eq!(value["entries"].as_array().unwrap().len(), 4);
    assert_eq!(value["entries"][1]["chunks"], 3);

    ok(folder.path(), &[&"compress", &"tree/a", &"s.gd"]);
    assert!(ok(folder.path(), &[&"inspect", &"s.gd"]).contains("150000 bytes"));
    let value = json(&ok(folder.path(), &[&"inspect", &"s.gd", &"--json"]));
    assert_eq!(
        (&value["tiles"], &value["header_id"]),
        (&3.into(), &4.into())
    );
    let error = fails(folder.path(), &[&"inspect", &"tree/a"]);
    assert!(error.contains("neither"), "{error}");
}

#[test]
fn info_names_every_option_and_backend() {
    let folder = folder();
    fs::write(folder.path().join("f"), "12345").unwrap();
    let printed = ok(folder.path(), &[&"info", &"--file", &"f"]);
    let value = json(&ok(folder.path(), &[&"info", &"--file", &"f", &"--json"]));
    for option in ds_core::OPTIONS {
        assert!(printed.contains(option.key));
        assert!(value["options"][option.key]["value"].is_string());
    }
    for backend in ds_core::Backend::ALL {
        let available = value["backends"][backend.name()]["available"].as_bool();
        assert_eq!(available, Some(backend.unavailable().is_none()));
    }
    assert_eq!(value["file"]["bytes"], 5);
    assert!(printed.contains("DS_CONFIG_FILE") && printed.contains("file system"));
    assert!(fails(folder.path(), &[&"info", &"--file", &"none"]).contains("No such file"));
}

#[test]
fn info_says_how_a_file_is_read_and_why() {
    let folder = folder();
    fs::write(folder.path().join("f"), content(1, 100_000)).unwrap();
    let file = |config: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_ds"))
            .current_dir(folder.path())
            .args(["info", "--file", "f", "--json"])
            .env("DS_CONFIG", config)
            .output()
            .unwrap();
        json(&text(&output.stdout))["file"].clone()
    };
    for mode in ds_core::FileMode::ALL {
        let facts = file(&format!("file_mode={}", mode.name()));
        assert_eq!(facts["mode"], mode.name());
        assert_eq!(facts["read"], facts[format!("if {}", mode.name())]);
        let read = facts["read"].as_str().unwrap();
        assert!(!read.is_empty() && read.contains(": "), "{read}");
    }
    // What the file system allows is for it to say; the words are the engine's own.
    let opened = ds_core::File::open(folder.path().join("f")).unwrap();
    let direct = opened.explain_mode(ds_core::FileMode::Direct).unwrap();
    assert_eq!(file("file_mode=direct")["read"], direct);
    let forced = file("file_mode=direct,force_file_buffering=1");
    assert_eq!(
        (&forced["mode"], &forced["read"]),
        (&"buffered".into(), &"buffered: asked for".into())
    );
    let printed = ok(folder.path(), &[&"info", &"--file", &"f"]);
    assert!(
        printed.contains("if direct") && printed.contains(&direct),
        "{printed}"
    );
    assert_ne!(forced["file system"], "unknown", "/proc says it");
    if let Some(alignment) = forced["direct offset alignment"].as_u64() {
        assert!(alignment.is_power_of_two());
        assert!(
            !direct.starts_with("direct") || direct.contains(&format!("aligned to {alignment},"))
        );
    }
}

#[test]
fn info_does_not_wait_for_a_pipe() {
    let folder = folder();
    let made = Command::new("mkfifo").arg(folder.path().join("p")).status();
    assert!(made.unwrap().success());
    let line = fails(folder.path(), &[&"info", &"--file", &"p"]);
    assert!(line.contains("not a regular file"), "{line}");
    assert!(fails(folder.path(), &[&"info", &"--file", &"."]).contains("not a regular file"));
}

#[test]
fn the_environment_reaches_the_engine() {
    let run = |config: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ds"));
        command
            .args(["info", "--json"])
            .env("DS_CONFIG", config)
            .output()
            .unwrap()
    };
    let output = run("io_threads=3");
    assert_eq!(json(&text(&output.stdout))["limits"]["io_threads"], 3);
    let output = run("speed=11");
    assert!(output.status.success() && text(&output.stderr).contains("speed"));
}

#[test]
fn options_that_only_games_can_serve_do_not_stop_the_tool() {
    let (folder, tree, _) = small_archive();
    for (config, word) in [
        ("decode_threads=-1", "decode_threads"),
        ("backend=sim", "sim"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ds"))
            .current_dir(folder.path())
            .args(["unpack", "a.dspk", "-C", config])
            .env("DS_CONFIG", config)
            .output()
            .unwrap();
        let line = text(&output.stderr);
        assert!(
            output.status.success() && line.starts_with("warning: "),
            "{line}"
        );
        assert!(line.contains(word) && line.lines().count() == 1, "{line}");
        assert_eq!(
            describe(&folder.path().join(config).join("tree")),
            describe(&tree)
        );
    }
    let output = Command::new(env!("CARGO_BIN_EXE_ds"))
        .current_dir(folder.path())
        .args(["verify", "a.dspk"])
        .env("DS_CONFIG", "staging_mib=0")
        .output()
        .unwrap();
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        line.contains("tree/a") && line.contains("staging"),
        "{line}"
    );
}

#[test]
fn the_demonstration_shows_every_backend() {
    let folder = folder();
    let printed = ok(folder.path(), &[&"demo", &"--mib", &"2"]);
    for backend in ds_core::Backend::ALL {
        let named = printed
            .lines()
            .filter(|line| line.starts_with(backend.name()))
            .count();
        let expected = match (backend, backend.unavailable()) {
            (ds_core::Backend::Sim, _) => 0,
            (_, Some(_)) => 1,
            // Into memory, and into the GPU's.
            (ds_core::Backend::Vulkan, None) => 5,
            (_, None) => 3,
        };
        assert_eq!(named, expected, "{backend}: {printed}");
    }
}

/// The last line, which must be what `bench/README.md` asks of a benchmark: flat, and numbers only.
fn measured(text: &str) -> serde_json::Value {
    let value = json(text);
    let numbers = value.as_object().expect("an object").values();
    assert!(numbers.clone().all(serde_json::Value::is_number), "{value}");
    value
}

#[test]
fn benchmarks_end_with_json() {
    let folder = folder();
    fs::write(folder.path().join("f"), content(1, 3_000_000)).unwrap();
    let common: [&dyn AsRef<OsStr>; 8] = [
        &"--file",
        &"f",
        &"--request-kib",
        &"16",
        &"--depth",
        &"32",
        &"--json",
        &"--codec",
    ];
    for codec in ["none", "gdeflate"] {
        let mut arguments: Vec<&dyn AsRef<OsStr>> =
            vec![&"bench", &"--count", &"200", &"--rounds", &"2"];
        arguments.extend(common);
        arguments.push(&codec);
        let text = ok(folder.path(), &arguments);
        assert!(text.contains(&format!("codec {codec}")), "{text}");
        let value = measured(&text);
        let counts = [&value["requests_per_round"], &value["cold"]];
        assert_eq!(counts, [200, 0]);
        let positive = |name: &str| value[name].as_f64().is_some_and(|number| number > 0.0);
        assert!(positive("engine_mb_s") && positive("engine_to_baseline_ratio"));
        assert!(positive("latency_p99_ns") && value["enqueue_median_ns"].is_u64());

        let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"bench", &"stream", &"--gib", &"0.03"];
        arguments.extend(common);
        arguments.push(&codec);
        let value = measured(&ok(folder.path(), &arguments));
        let bytes = value["streamed_bytes"].as_u64();
        assert!(bytes.is_some_and(|bytes| bytes >= 30 << 20));
    }
    let cold = ok(
        folder.path(),
        &[
            &"bench",
            &"--file",
            &"f",
            &"--cold",
            &"--seconds",
            &"0.1",
            &"--json",
        ],
    );
    assert_eq!(measured(&cold)["cold"], 1);
    let error = fails(
        folder.path(),
        &[&"bench", &"--file", &"f", &"--request-kib", &"16384"],
    );
    assert!(error.contains("smaller than one request"), "{error}");
}

/// A little file and the arguments that compare over it for a moment.
fn compared(folder: &Path, more: &[&dyn AsRef<OsStr>]) -> Command {
    fs::write(folder.join("f"), content(1, 3_000_000)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ds"));
    command.current_dir(folder).args(["bench", "--compare"]);
    command.args(["--file", "f", "--seconds", "0.1", "--rounds", "1"]);
    command.args(["--json", "--threads", "1"]);
    command.args(more.iter().map(|argument| argument.as_ref()));
    command
}

#[test]
fn a_comparison_without_fio_says_so_and_compares_the_rest() {
    let folder = folder();
    let output = compared(folder.path(), &[]).env("PATH", "").output();
    let output = output.unwrap();
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let missing = printed.lines().find(|line| line.contains("not installed"));
    let missing = missing.expect("a line that says it");
    assert!(
        missing.starts_with("SKIPPED") && missing.contains("apt install fio"),
        "{missing}"
    );
    let value = measured(&printed);
    let cases = printed.matches(" random, depth ").count();
    // A file system that cannot forget a file has no cold cases, and says so.
    let warm_only = printed.contains("SKIPPED: cold reads");
    assert_eq!(cases, if warm_only { 3 } else { 6 }, "{printed}");
    assert_eq!(printed.matches("ds cpu").count(), cases, "{printed}");
    assert!(value["warm_4k.cpu_iops"].as_f64() > Some(0.0), "{value}");
    assert!(value["warm_1m.cpu_cpu_ns_per_request"].is_number());
    assert!(value["warm_64k.fio_iops"].is_null() && value["warm_64k.cpu_to_fio_ratio"].is_null());
    if ds_core::Backend::IoUring.unavailable().is_none() {
        assert_eq!(printed.matches("ds io_uring").count(), cases, "{printed}");
        assert!(value["warm_64k.io_uring_mb_s"].is_number(), "{value}");
    }
}

#[test]
fn a_comparison_with_fio_has_its_ratio() {
    let folder = folder();
    let arguments: [&dyn AsRef<OsStr>; 5] = [&"--warm", &"--request-kib", &"16", &"--depth", &"8"];
    let output = compared(folder.path(), &arguments).output().unwrap();
    let printed = text(&output.stdout);
    if let Some(why) = printed
        .lines()
        .find(|line| line.starts_with("SKIPPED: comparison"))
    {
        return println!("{why}");
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        printed.contains("warm, 16.0 KiB random, depth 8"),
        "{printed}"
    );
    assert!(printed.contains("fio io_uring"), "{printed}");
    let value = measured(&printed);
    assert!(value["warm_16k.fio_iops"].as_f64() > Some(0.0), "{value}");
    assert!(
        value["warm_16k.cpu_to_fio_ratio"].as_f64() > Some(0.0),
        "{value}"
    );
}

#[test]
fn a_comparison_refuses_what_makes_no_sense() {
    let folder = folder();
    let refuse = |arguments: &[&dyn AsRef<OsStr>], code: i32, why: &str| {
        let output = compared(folder.path(), arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(why), "{said}");
    };
    refuse(&[&"--count", &"5"], 2, "--count");
    refuse(&[&"--backend", &"cpu"], 2, "--backend");
    refuse(&[&"--warm", &"--cold"], 2, "--cold");
    refuse(&[&"--mode", &"sideways"], 2, "buffered");
    refuse(&[&"--dir", &"."], 2, "--dir");
    refuse(&[&"--request-kib", &"0"], 2, "0 is not in 1..=16384");
    refuse(&[&"--request-kib", &"4096"], 1, "smaller than one request");
    refuse(
        &[&"--request-kib", &"16384", &"--depth", &"4096"],
        1,
        "in flight at once",
    );
    let error = fails(
        folder.path(),
        &[&"bench", &"--compare", &"--file", &"nothing"],
    );
    assert!(error.contains("nothing: No such file"), "{error}");
    let usage = ds(folder.path(), &[&"bench", &"--seconds", &"-1"]);
    assert_eq!(usage.status.code(), Some(2), "{}", text(&usage.stderr));
    let usage = ds(folder.path(), &[&"bench", &"--seconds", &"nan"]);
    assert!(text(&usage.stderr).contains("a number of seconds"));
}

#[test]
fn one_backend_reads_alone() {
    let folder = folder();
    fs::write(folder.path().join("f"), content(1, 300_000)).unwrap();
    let said = ok(
        folder.path(),
        &[
            &"bench",
            &"load",
            &"--file",
            &"f",
            &"--backend",
            &"cpu",
            &"--count",
            &"1000",
            &"--request-kib",
            &"4",
            &"--depth",
            &"7",
        ],
    );
    assert!(said.starts_with("1000 requests in "), "{said}");
}

#[test]
fn priorities_are_measured_behind_a_bulk() {
    let folder = folder();
    fs::write(folder.path().join("f"), content(1, 3_000_000)).unwrap();
    let common: [&dyn AsRef<OsStr>; 9] = [
        &"bench",
        &"priority",
        &"--file",
        &"f",
        &"--seconds",
        &"0.2",
        &"--json",
        &"--backend",
        &"cpu",
    ];
    let mut arguments = common.to_vec();
    arguments.extend::<[&dyn AsRef<OsStr>; 4]>([&"--bulk-kib", &"16", &"--bulk-depth", &"8"]);
    let printed = ok(folder.path(), &arguments);
    if let Some(why) = printed.lines().find(|line| line.starts_with("SKIPPED")) {
        return println!("{why}");
    }
    let value = measured(&printed);
    for row in ["idle", "low", "high", "realtime"] {
        assert!(printed.contains(&format!("\n{row}")), "{printed}");
        assert!(value[format!("{row}_reads")].as_u64() > Some(0), "{value}");
        let [median, p99] =
            ["median", "p99"].map(|name| value[format!("{row}_{name}_ns")].as_u64());
        assert!(median > Some(0) && p99 >= median, "{value}");
    }
    assert!(value["bulk_mb_s"].as_f64() > Some(0.0), "{value}");
    let error = fails(folder.path(), &common);
    assert!(
        error.contains("too small") && error.contains("--bulk-depth"),
        "{error}"
    );
}
