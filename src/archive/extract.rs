//! Putting an archive's files back: everything into a temporary folder beside, then into place by renaming.
//!
//! Promises
//! - On failure nothing is left but what was there before, and nothing that was there is ever replaced.
//! - No file is written through a symbolic link: each is made anew in a folder that was made anew.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::format::{Entry, Kind, link_leads_outside};
use super::read::Archive;
use crate::error::{Error, Result, Shown, reason};
use crate::stream::Stream;

const WHAT: &str = "unpack";

/// Unpacks `archive` into the folder `target`, which is made if it is missing. `progress` hears of bytes that
/// are done, and may stop it. Links that lead out of the folder are refused unless `outside_links`.
///
/// # Errors
/// The first thing that went wrong, by name; nothing was changed then.
pub fn unpack(
    archive: &Archive,
    target: &Path,
    outside_links: bool,
    stream: &mut Stream,
    progress: &dyn Fn(u64) -> Result<()>,
) -> Result<()> {
    if !outside_links {
        refuse_outside_links(archive)?;
    }
    let place = Place::choose(archive, target)?;
    let root = place.root();
    fs::create_dir(&root).map_err(|error| Error::new(WHAT, &root, error))?;
    make_all_but_contents(archive, &root)?;
    write_contents(archive, &root, stream, progress)?;
    place.move_into_target()?;
    finish_folders(archive, target)
}

fn refuse_outside_links(archive: &Archive) -> Result<()> {
    for entry in &archive.index.entries {
        if let Kind::Link { target } = &entry.kind
            && link_leads_outside(&entry.path, target)
        {
            let why = format!(
                "entry {}: the symbolic link leads outside, to {}",
                Shown::bytes(&entry.path),
                Shown::bytes(target)
            );
            let error = Error::new(WHAT, archive.path(), why);
            return Err(error.cure("if you trust the archive, add --outside-links"));
        }
    }
    Ok(())
}

/// Where files are made, and where they go.
struct Place<'a> {
    temporary: tempfile::TempDir,
    target: &'a Path,
    /// The archive's names in the root, if the target is a folder that exists.
    names: Option<Vec<&'a OsStr>>,
}

impl<'a> Place<'a> {
    /// A temporary folder on the target's file system, after a look at what is in the way.
    fn choose(archive: &'a Archive, target: &'a Path) -> Result<Place<'a>> {
        let exists = match fs::metadata(target) {
            Ok(metadata) if metadata.is_dir() => true,
            Ok(_) => return Err(Error::new(WHAT, target, "exists and is not a folder")),
            Err(_) if fs::symlink_metadata(target).is_ok() => {
                return Err(Error::new(
                    WHAT,
                    target,
                    "is a symbolic link that leads nowhere",
                ));
            }
            Err(_) => false,
        };
        let names = exists.then(|| root_names(archive));
        for name in names.iter().flatten() {
            let path = target.join(name);
            if fs::symlink_metadata(&path).is_ok() {
                let error = Error::new(WHAT, &path, "exists already");
                return Err(error.cure("move it away, or unpack into another folder with -C"));
            }
        }
        let beside = if exists { target } else { parent_of(target) };
        let temporary = tempfile::Builder::new()
            .prefix(".ds-unpack-")
            .tempdir_in(beside);
        let temporary = temporary.map_err(|error| {
            Error::new(WHAT, beside, reason(&error)).cure("the folder must exist and be writable")
        })?;
        Ok(Place {
            temporary,
            target,
            names,
        })
    }

    fn root(&self) -> PathBuf {
        self.temporary.path().join("root")
    }

    fn move_into_target(self) -> Result<()> {
        let root = self.root();
        let Some(names) = &self.names else {
            let renamed = fs::rename(&root, self.target);
            return renamed.map_err(|error| Error::new(WHAT, self.target, error));
        };
        for (done, name) in names.iter().enumerate() {
            let to = self.target.join(name);
            let renamed = rename_to_new(&root.join(name), &to);
            if let Err(error) = renamed {
                for name in &names[..done] {
                    // Back to where the temporary folder's end takes them along.
                    let _ = fs::rename(self.target.join(name), root.join(name));
                }
                return Err(Error::new(WHAT, &to, error));
            }
        }
        Ok(())
    }
}

/// Renames without replacing, where the file system can.
fn rename_to_new(from: &Path, to: &Path) -> std::io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to),
        result => Ok(result?),
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn root_names(archive: &Archive) -> Vec<&OsStr> {
    let entries = archive.index.entries.iter();
    let names = entries.map(|entry| OsStr::from_bytes(&entry.path));
    names
        .filter(|name| !name.as_bytes().contains(&b'/'))
        .collect()
}

fn place_of(root: &Path, entry: &Entry) -> PathBuf {
    root.join(OsStr::from_bytes(&entry.path))
}

/// An error about an entry; the temporary name would mean nothing to the user.
fn entry_error(archive: &Archive, entry: &Entry, error: &dyn std::fmt::Display) -> Error {
    Error::new(
        WHAT,
        archive.path(),
        format!("entry {}: {error}", Shown::bytes(&entry.path)),
    )
}

/// Makes folders, links and empty files.
fn make_all_but_contents(archive: &Archive, root: &Path) -> Result<()> {
    for entry in &archive.index.entries {
        let path = place_of(root, entry);
        let made = match &entry.kind {
            Kind::Folder => fs::create_dir(&path),
            Kind::Link { target } => {
                symlink(OsStr::from_bytes(target), &path).and_then(|()| set_link_time(&path, entry))
            }
            Kind::File { bytes: 0, .. } => create(&path).and_then(|file| finish_file(&file, entry)),
            Kind::File { .. } => Ok(()),
        };
        made.map_err(|error| entry_error(archive, entry, &error))?;
    }
    Ok(())
}

fn write_contents(
    archive: &Archive,
    root: &Path,
    stream: &mut Stream,
    progress: &dyn Fn(u64) -> Result<()>,
) -> Result<()> {
    let mut files = archive
        .index
        .entries
        .iter()
        .filter_map(|entry| match &entry.kind {
            Kind::File { chunks, .. } if !chunks.is_empty() => Some((entry, chunks)),
            _ => None,
        });
    let mut open: Option<(File, &Entry, usize)> = None;
    archive.read_all(WHAT, stream, |number, bytes| {
        let (mut file, entry, end) = match open.take() {
            Some(open) => open,
            None => {
                let (entry, chunks) = files.next().expect("each chunk belongs to a file");
                let file = create(&place_of(root, entry));
                let file = file.map_err(|error| entry_error(archive, entry, &error))?;
                (file, entry, chunks.end)
            }
        };
        let written = file.write_all(bytes);
        if number + 1 < end {
            written.map_err(|error| entry_error(archive, entry, &error))?;
            open = Some((file, entry, end));
        } else {
            let finished = written.and_then(|()| finish_file(&file, entry));
            finished.map_err(|error| entry_error(archive, entry, &error))?;
        }
        progress(bytes.len() as u64)
    })
}

/// A new file that nobody else can open before it is finished.
fn create(path: &Path) -> std::io::Result<File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn finish_file(file: &File, entry: &Entry) -> std::io::Result<()> {
    if let Some(time) = modified(entry) {
        file.set_times(FileTimes::new().set_modified(time))?;
    }
    file.set_permissions(fs::Permissions::from_mode(entry.mode))
}

/// The time, if the system can represent it.
fn modified(entry: &Entry) -> Option<SystemTime> {
    let whole = Duration::from_secs(entry.modified_s.unsigned_abs());
    let time = if entry.modified_s < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    time?.checked_add(Duration::from_nanos(entry.modified_ns.into()))
}

fn set_link_time(path: &Path, entry: &Entry) -> std::io::Result<()> {
    let time = Timespec {
        tv_sec: entry.modified_s,
        tv_nsec: entry.modified_ns.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Times and permissions of folders, innermost first: a folder without write permission could not be filled
/// or moved.
fn finish_folders(archive: &Archive, target: &Path) -> Result<()> {
    let folders = archive.index.entries.iter().rev();
    for entry in folders.filter(|entry| entry.kind == Kind::Folder) {
        let finished =
            File::open(place_of(target, entry)).and_then(|file| finish_file(&file, entry));
        finished.map_err(|error| entry_error(archive, entry, &error))?;
    }
    Ok(())
}
