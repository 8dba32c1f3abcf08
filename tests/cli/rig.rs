//! What the tests share: the tool as a process, folders, trees, and what is in them.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ds_tool::archive::format::CHUNK_BYTES_DEFAULT;

/// Runs the tool in `folder`.
pub(crate) fn ds(folder: &Path, arguments: &[&dyn AsRef<OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ds"));
    command
        .current_dir(folder)
        .args(arguments.iter().map(|argument| argument.as_ref()));
    for variable in ["DS_CONFIG", "DS_CONFIG_FILE", "DS_LOG", "DS_LOG_PATH"] {
        command.env_remove(variable);
    }
    command.output().expect("the tool starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the tool, which must succeed quietly; answers what it prints.
pub(crate) fn ok(folder: &Path, arguments: &[&dyn AsRef<OsStr>]) -> String {
    let output = ds(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// Runs the tool, which must fail with one line; answers it.
pub(crate) fn fails(folder: &Path, arguments: &[&dyn AsRef<OsStr>]) -> String {
    let output = ds(folder, arguments);
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(
        line.starts_with("error: ") && line.lines().count() == 1,
        "{line}"
    );
    line
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Bytes that compress to about a half: noise and repetition.
pub(crate) fn content(seed: u64, bytes: usize) -> Vec<u8> {
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
pub(crate) fn make_tree(root: &Path) {
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

pub(crate) type Tree = BTreeMap<OsString, (Vec<u8>, u32, (i64, i64))>;

/// Everything that must survive: path, kind and content, permissions, time of change.
pub(crate) fn describe(root: &Path) -> Tree {
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
pub(crate) fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|item| item.unwrap().file_name())
        .collect();
    names.sort();
    names
}

/// A folder with a small archive of `tree`.
pub(crate) fn small_archive() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
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

pub(crate) fn json(printed: &str) -> serde_json::Value {
    let line = printed.lines().last().expect("a line");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
