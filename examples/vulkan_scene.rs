//! Paints the scene that the GPU examples stream: `cargo run --example vulkan_scene [FOLDER]`.
//!
//! `examples/scene.dspk` was made of such a folder, each picture in one chunk, so that one request fills it:
//! `ds pack --level 12 --chunk-kib 1024 -o examples/scene.dspk FOLDER/.` Without a folder this only says what
//! it would write.

#![forbid(unsafe_code)]

mod scene;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    if let Some(folder) = &folder {
        std::fs::create_dir_all(folder)?;
    }
    for (name, bytes) in scene::paint::files() {
        println!("{name}: {} bytes", bytes.len());
        if let Some(folder) = &folder {
            std::fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
