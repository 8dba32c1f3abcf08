//! The root build script: the C header, from the sources of `ds-capi` through cbindgen.
//!
//! Promises that `include/ds_runtime.h` follows `ds-capi/src` without anyone remembering to run a tool, and
//! that the file is touched only when its text changes. Where the tree is read-only (a packager's build) it
//! warns and goes on: the committed header is then the one that counts, and CI has checked it.
//!
//! `DS_HEADER_OUT` sends the text elsewhere and leaves the tree alone; `cargo xtask header` uses that.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const HEADER: &str = "include/ds_runtime.h";
const SOURCES: &str = "ds-capi/src";
const CONFIG: &str = "cbindgen.toml";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=DS_HEADER_OUT");
    for path in ["build.rs", SOURCES, CONFIG, HEADER] {
        println!("cargo::rerun-if-changed={path}");
    }
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let text = generate(&root)?;
    match std::env::var_os("DS_HEADER_OUT") {
        Some(out) => fs::write(out, text)?,
        None => update(&root.join(HEADER), &text),
    }
    Ok(())
}

/// Each source is parsed by itself rather than through the crate: that needs no `cargo metadata` inside a
/// build, and keeps types of other crates out of the header for certain.
fn generate(root: &Path) -> Result<String, Box<dyn Error>> {
    let mut builder =
        cbindgen::Builder::new().with_config(cbindgen::Config::from_file(root.join(CONFIG))?);
    for source in rust_files(&root.join(SOURCES))? {
        builder = builder.with_src(source);
    }
    let mut text = Vec::new();
    builder.generate()?.write(&mut text);
    Ok(String::from_utf8(text)?)
}

/// The public modules, in the order in which `lib.rs` declares them: it is the header's, and so a reader's.
fn rust_files(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    modules_of(&directory.join("lib.rs"))
}

/// The files of the modules that `parent` declares, `lib.rs` or a `mod.rs`; of a folder, those in it.
fn modules_of(parent: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let text = fs::read_to_string(parent)?;
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut files = Vec::new();
    for name in names {
        let module = parent.with_file_name(name);
        match module.with_extension("rs") {
            file if file.exists() => files.push(file),
            _ => files.extend(modules_of(&module.join("mod.rs"))?),
        }
    }
    Ok(files)
}

fn update(header: &Path, text: &str) {
    if fs::read_to_string(header).is_ok_and(|held| held == text) {
        return;
    }
    let written = fs::create_dir_all(header.parent().unwrap_or(header))
        .and_then(|()| fs::write(header, text));
    if let Err(e) = written {
        println!("cargo::warning={HEADER} differs from {SOURCES} and cannot be written: {e}");
    }
}
