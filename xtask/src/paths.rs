//! Where things are in the repository, and the few file operations every command needs.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// The repository root: the directory above this crate.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("the xtask crate lies inside the repository")
        .to_path_buf()
}

/// The build tree. `CARGO_TARGET_DIR` moves it, as it does for Cargo.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// A directory under the build tree for what a command leaves behind; made if it is missing.
pub(crate) fn scratch(name: &str) -> Result<PathBuf, String> {
    let directory = target().join("xtask").join(name);
    fs::create_dir_all(&directory)
        .map_err(|e| format!("cannot make {}: {e}", directory.display()))?;
    Ok(directory)
}

/// Makes the directory that `path` is to lie in.
pub(crate) fn make_parent(path: &Path) -> Result<(), String> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.map_err(|e| format!("cannot make the directory of {}: {e}", path.display()))
}

/// Copies a file, making its directory if need be, naming both in the error.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    make_parent(to)?;
    fs::copy(from, to)
        .map(drop)
        .map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
}

/// Reads a text file, naming it in the error.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// Writes a file, making its directory if need be, naming it in the error.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    make_parent(path)?;
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// The files directly in `directory` whose extension is one of `extensions`, sorted; none if it is missing.
pub(crate) fn files_in(directory: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && has_extension(path, extensions))
        .collect();
    files.sort();
    files
}

/// Whether `path` ends in one of `extensions` (given without the dot).
pub(crate) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| extensions.contains(&e))
}

/// The file name without directory, for messages and for naming outputs.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The version the workspace declares. Every crate inherits it, so this one has it too.
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The number an incompatible ABI changes: the SONAME ends in it.
pub(crate) fn version_major() -> &'static str {
    env!("CARGO_PKG_VERSION_MAJOR")
}
