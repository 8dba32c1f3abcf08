//! What is to be packed: files, folders and symbolic links below the paths that the user names.
//!
//! Each path is listed under its own last name; `DIR/.` lists what is in `DIR`. The order is that of the
//! names' bytes, so that the same tree makes the same archive on every file system.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::format::{self, Entry, Kind};
use crate::error::{Error, Result, Shown};

/// An entry of the archive to be, and where it comes from. A file has no chunks yet.
#[derive(Clone, Debug)]
pub struct Found {
    /// What stands in the index.
    pub entry: Entry,
    /// The path to read.
    pub source: PathBuf,
}

/// Lists everything below `arguments`, folders before what is in them. `skip` is asked for each file whether
/// to leave it out; `warn` gets a line for each thing that no archive can hold (sockets, pipes, devices).
///
/// # Errors
/// The first path that cannot be looked at, by name.
pub fn list(
    arguments: &[PathBuf],
    skip: &dyn Fn(&Metadata) -> bool,
    warn: &mut dyn FnMut(String),
) -> Result<Vec<Found>> {
    let mut walk = Walk {
        skip,
        warn,
        found: Vec::new(),
    };
    for argument in arguments {
        match name_of(argument) {
            Some(name) => walk.add(argument.clone(), name)?,
            None => walk.add_contents(argument, b"")?,
        }
    }
    let found = walk.found;
    refuse_duplicates(&found)?;
    Ok(found)
}

/// The name that an argument is stored under; `None` for `.`, `..`, `/` and `DIR/.`, whose contents are
/// meant.
fn name_of(argument: &Path) -> Option<Vec<u8>> {
    let bytes = argument.as_os_str().as_bytes();
    if bytes.ends_with(b"/.") {
        return None;
    }
    argument.file_name().map(|name| name.as_bytes().to_vec())
}

fn refuse_duplicates(found: &[Found]) -> Result<()> {
    let mut paths: Vec<&Found> = found.iter().collect();
    paths.sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
    match paths
        .windows(2)
        .find(|pair| pair[0].entry.path == pair[1].entry.path)
    {
        Some(pair) => {
            let why = format!(
                "{} has the same name in the archive",
                Shown(&pair[1].source)
            );
            Err(Error::new("pack", &pair[0].source, why).cure("rename one, or pack their folders"))
        }
        None => Ok(()),
    }
}

struct Walk<'a> {
    skip: &'a dyn Fn(&Metadata) -> bool,
    warn: &'a mut dyn FnMut(String),
    found: Vec<Found>,
}

impl Walk<'_> {
    /// Adds `source` as `path`, and what is below it. A stack of its own, so that depth costs no thread's
    /// stack.
    fn add(&mut self, source: PathBuf, path: Vec<u8>) -> Result<()> {
        let mut stack = vec![(source, path)];
        while let Some((source, path)) = stack.pop() {
            if self.add_one(&source, &path)? {
                let mut below = children(&source, &path)?;
                stack.append(&mut below);
            }
        }
        Ok(())
    }

    fn add_contents(&mut self, folder: &Path, path: &[u8]) -> Result<()> {
        let mut below = children(folder, path)?;
        while let Some((source, path)) = below.pop() {
            self.add(source, path)?;
        }
        Ok(())
    }

    /// Adds `source` alone; says whether it is a folder.
    fn add_one(&mut self, source: &Path, path: &[u8]) -> Result<bool> {
        let failed = |why: &dyn std::fmt::Display| Error::new("pack", source, why);
        let metadata = fs::symlink_metadata(source).map_err(|error| failed(&error))?;
        format::check_path(path).map_err(|why| failed(&why))?;
        let file_type = metadata.file_type();
        let kind = if file_type.is_file() {
            if (self.skip)(&metadata) {
                return Ok(false);
            }
            Kind::File {
                bytes: metadata.len(),
                chunks: 0..0,
            }
        } else if file_type.is_dir() {
            Kind::Folder
        } else if file_type.is_symlink() {
            let target = fs::read_link(source).map_err(|error| failed(&error))?;
            let target = target.into_os_string().into_vec();
            format::check_target(&target).map_err(|why| failed(&why))?;
            Kind::Link {
                target: target.into(),
            }
        } else {
            (self.warn)(format!(
                "{}: skipped: not a file, folder or symbolic link",
                Shown(source)
            ));
            return Ok(false);
        };
        let is_folder = kind == Kind::Folder;
        self.found.push(Found {
            entry: entry(path, &metadata, kind),
            source: source.to_owned(),
        });
        Ok(is_folder)
    }
}

/// The entry of `path` with everything that `metadata` knows.
fn entry(path: &[u8], metadata: &Metadata, kind: Kind) -> Entry {
    Entry {
        path: path.into(),
        mode: metadata.mode() & 0o777,
        modified_s: metadata.mtime(),
        // The kernel keeps it below a second.
        modified_ns: metadata.mtime_nsec().clamp(0, 999_999_999) as u32,
        kind,
    }
}

/// What is in a folder, last name first: the order a stack wants.
fn children(folder: &Path, path: &[u8]) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let failed = |error: std::io::Error| Error::new("pack", folder, error);
    let mut names: Vec<OsString> = fs::read_dir(folder)
        .map_err(failed)?
        .map(|item| item.map(|item| item.file_name()))
        .collect::<std::io::Result<_>>()
        .map_err(failed)?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    let below = names.into_iter().map(|name| {
        let mut below = path.to_vec();
        if !below.is_empty() {
            below.push(b'/');
        }
        below.extend(name.as_bytes());
        (folder.join(&name), below)
    });
    Ok(below.collect())
}
