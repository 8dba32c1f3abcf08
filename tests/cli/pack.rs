//! `ds pack` and `ds unpack`: what survives, and what is left alone.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::rig::*;

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
