//! Gives libdeflate's archive other names where the reference codec has the same ones.
//!
//! The reference is an old fork of libdeflate, and the two export helper functions of the same names with
//! different parameters: linked as they are, one of them would call the other's. So the archive that
//! libdeflate-sys built is copied with those names changed, and the copy is linked in its place; the crate
//! itself is never named in the sources, so that its own archive stays out.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

/// What both archives define.
const SHARED: [&str; 3] = [
    "libdeflate_aligned_malloc",
    "libdeflate_aligned_free",
    "libdeflate_set_memory_allocator",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let root = std::env::var("DEP_LIBDEFLATE_ROOT").expect("libdeflate-sys tells where it built");
    let folder = std::env::var("OUT_DIR").expect("Cargo tells where to build");
    let archive = Path::new(&root).join("lib/libdeflate.a");
    let mut objcopy = Command::new("objcopy");
    for name in SHARED {
        objcopy.args(["--redefine-sym", &format!("{name}=peer_{name}")]);
    }
    objcopy
        .arg(&archive)
        .arg(Path::new(&folder).join("libpeer_deflate.a"));
    let status = objcopy
        .status()
        .expect("objcopy, of the package binutils, starts");
    assert!(
        status.success(),
        "objcopy of {} failed: {status}",
        archive.display()
    );
    println!("cargo::rustc-link-search=native={folder}");
    println!("cargo::rustc-link-lib=static=peer_deflate");
}
