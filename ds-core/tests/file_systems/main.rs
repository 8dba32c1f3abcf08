//! Every file system that a game may lie on, every backend, every way to read a file: the same bytes.
//!
//! A file system is free to refuse a way of reading, to demand an alignment or to say nothing of either; the
//! engine must deliver all the same. Real ones are mounted from images in files, which needs root, loop
//! devices and the tools of each; what is missing is said in a line that begins with `SKIPPED:`.

mod mounts;
mod reads;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use mounts::Mounts;
use reads::{Expected, read_everything};
use support::child::{self, Start};

/// In a mount namespace of its own: whatever happens to the process, no mount and no loop device outlives it.
const OWN_MOUNTS: Start = Start {
    launcher: &["unshare", "--mount", "--propagation", "private"],
    log: None,
};

/// Mounts by `mount` and reads there.
fn on(
    test: &str,
    expected: Expected,
    mount: impl FnOnce(&mut Mounts) -> Result<std::path::PathBuf, String>,
) {
    if let Err(why) = mounts::possible() {
        println!("SKIPPED: {test}: {why}");
        return;
    }
    child::run(test, OWN_MOUNTS, || {
        let mut mounts = Mounts::new(test);
        match mount(&mut mounts) {
            Ok(folder) => read_everything(&folder, test, expected),
            Err(why) => println!("SKIPPED: {test}: {why}"),
        }
    });
}

#[test]
fn plain_folder() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    read_everything(&folder, "plain folder", Expected::default());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn ext4() {
    on("ext4", Expected::DIRECT, |mounts| {
        mounts.image("ext4", 96, &["-q"], "loop")
    });
}

/// Blocks of 1 KiB: other alignments than the page's.
#[test]
fn ext4_small_blocks() {
    on("ext4_small_blocks", Expected::DIRECT, |mounts| {
        mounts.image("ext4", 96, &["-q", "-b", "1024"], "loop")
    });
}

#[test]
fn xfs() {
    on("xfs", Expected::DIRECT, |mounts| {
        mounts.image("xfs", 320, &["-q"], "loop")
    });
}

#[test]
fn btrfs() {
    on("btrfs", Expected::default(), |mounts| {
        mounts.image("btrfs", 256, &["-q"], "loop")
    });
}

/// The file system compresses every file, so that no direct read is what it says.
#[test]
fn btrfs_compressed() {
    on("btrfs_compressed", Expected::default(), |mounts| {
        mounts.image("btrfs", 256, &["-q"], "loop,compress-force=zstd")
    });
}

#[test]
fn tmpfs() {
    on("tmpfs", Expected::NO_DONTCACHE, |mounts| {
        mounts.mount("tmpfs", "tmpfs", "size=128m")
    });
}

#[test]
fn overlay_on_ext4() {
    on("overlay_on_ext4", Expected::default(), |mounts| {
        let below = mounts.image("ext4", 96, &["-q"], "loop")?;
        mounts.overlay(&below)
    });
}

#[test]
fn fuse() {
    on("fuse", Expected::default(), |mounts| {
        let below = mounts.image("ext4", 96, &["-q"], "loop")?;
        mounts.bindfs(&below)
    });
}
