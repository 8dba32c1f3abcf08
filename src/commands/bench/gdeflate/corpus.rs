//! The classes of data to measure on: a folder's, or the standard ones.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use ds_tool::error::{Shown, reason};
use ds_tool::{Error, Result};

use super::{WHAT, generate};
use crate::ui;

/// More classes would make a table that nobody reads.
const CLASSES_MAX: usize = 64;

/// Data of one kind.
pub(super) struct Class {
    pub(super) name: String,
    /// Where it is from, in words.
    pub(super) origin: String,
    pub(super) data: Vec<u8>,
}

/// Every kind that is generated, `bytes` bytes of each.
pub(super) fn generated(bytes: usize) -> Vec<Class> {
    let class = |kind: &generate::Kind| Class {
        name: kind.name.to_owned(),
        origin: format!("generated: {}", kind.what),
        data: kind.data(bytes),
    };
    generate::KINDS.iter().map(class).collect()
}

/// Files that most machines have: the class, the folders to look in, and which files are meant.
type Found = (&'static str, &'static [&'static str], fn(&str) -> bool);

const FOUND: [Found; 4] = [
    (
        "elf",
        &[
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
        ],
        |name| name.contains(".so"),
    ),
    ("c-headers", &["/usr/include"], |name| name.ends_with(".h")),
    (
        "python",
        &[
            "/usr/lib/python3",
            "/usr/lib/python3.11",
            "/usr/lib/python3.12",
            "/usr/lib/python3.13",
        ],
        |name| name.ends_with(".py"),
    ),
    ("docs", &["/usr/share/doc"], |name| !name.ends_with(".gz")),
];

/// Classes of this machine's own files, at most `bytes_max` bytes of each. What is not there, or not
/// readable, is left out, and so is a class that would be shorter than a quarter of that.
pub(super) fn found(bytes_max: usize) -> Vec<Class> {
    let class = |&(name, folders, wanted): &Found| {
        folders.iter().find_map(|folder| {
            let mut data = Vec::new();
            // What cannot be read is another machine's class.
            let mut append = |path: &Path| -> Result<bool> {
                let name = path.file_name().map(|name| name.to_string_lossy());
                if name.is_some_and(|name| wanted(&name)) {
                    let _ = read_into(&mut data, path, bytes_max);
                }
                Ok(data.len() < bytes_max)
            };
            let _ = walk(Path::new(folder), &mut append);
            (data.len() >= bytes_max / 4).then(|| Class {
                name: name.to_owned(),
                origin: format!("this machine's {folder}"),
                data,
            })
        })
    };
    FOUND.iter().filter_map(class).collect()
}

/// A class for each file in `folder`, and for each folder in it: its files end to end, in order of name, at
/// most `bytes_max` bytes of each class. Links, devices and empty files are passed over.
///
/// # Errors
/// What cannot be read, or nothing to read, or more classes than can be shown.
pub(super) fn folder(folder: &Path, bytes_max: usize) -> Result<Vec<Class>> {
    let mut classes = Vec::new();
    for path in entries(folder)? {
        let mut data = Vec::new();
        walk(&path, &mut |file| {
            read_into(&mut data, file, bytes_max)?;
            Ok(data.len() < bytes_max)
        })?;
        if data.is_empty() {
            continue;
        }
        let name = Path::new(path.file_name().unwrap_or(path.as_os_str()));
        classes.push(Class {
            name: Shown(name).to_string(),
            origin: format!("corpus: {}", ui::bytes(data.len() as u64)),
            data,
        });
        if classes.len() > CLASSES_MAX {
            let why = format!("holds more than {CLASSES_MAX} files and folders");
            return Err(Error::new(WHAT, folder, why).cure("gather them in fewer folders"));
        }
    }
    if classes.is_empty() {
        return Err(Error::new(WHAT, folder, "nothing to read in it")
            .cure("name a folder with files, or with folders of files"));
    }
    Ok(classes)
}

/// What is in a folder, in order of name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error::new(WHAT, folder, reason(&error));
    let entries = fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<std::io::Result<_>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Calls `visit` with every file at or below `path`, in order of name, until it has enough. Answers whether
/// it wants more.
fn walk(path: &Path, visit: &mut dyn FnMut(&Path) -> Result<bool>) -> Result<bool> {
    let metadata = fs::symlink_metadata(path);
    let metadata = metadata.map_err(|error| Error::new(WHAT, path, reason(&error)))?;
    if metadata.is_file() {
        return visit(path);
    }
    // No links are followed, so there are no circles.
    if metadata.is_dir() {
        for entry in entries(path)? {
            if !walk(&entry, visit)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Appends a file, as much of it as there is room for.
fn read_into(data: &mut Vec<u8>, path: &Path, bytes_max: usize) -> Result<()> {
    let room = bytes_max.saturating_sub(data.len()) as u64;
    let read = File::open(path).and_then(|file| file.take(room).read_to_end(data));
    read.map(drop)
        .map_err(|error| Error::new(WHAT, path, reason(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_classes() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let put = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        };
        put("b/2", b"two");
        put("b/1/x", b"one");
        put("a", b"single");
        put("empty", b"");
        std::os::unix::fs::symlink("/", root.path().join("link")).expect("a link");
        let classes = folder(root.path(), 5).expect("classes");
        let seen: Vec<(&str, &[u8])> = classes
            .iter()
            .map(|class| (&class.name[..], &class.data[..]))
            .collect();
        assert_eq!(seen, [("a", &b"singl"[..]), ("b", &b"onetw"[..])]);
    }

    #[test]
    fn classes_found_are_within_their_bounds() {
        for class in found(1 << 16) {
            assert!(
                (1 << 14..=1 << 16).contains(&class.data.len()),
                "{}",
                class.name
            );
        }
    }
}
