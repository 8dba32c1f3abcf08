//! Mounts for the length of a test.
//!
//! Made with the system's own tools: `mount -o loop` gives the loop device back with the mount. Everything is
//! unmounted and removed when the [`Mounts`] goes, also by a panic; should the process die without that, its
//! mount namespace goes with it.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::support::contents::wait_until;

/// See the file's head.
pub(crate) struct Mounts {
    root: PathBuf,
    mounted: Vec<PathBuf>,
    daemon: Option<Child>,
}

/// Whether this process may mount at all; if not, why.
pub(crate) fn possible() -> Result<(), String> {
    run("unshare", &["--mount", "--propagation", "private", "true"])
        .map_err(|why| format!("mounting needs root: {why}"))
}

impl Mounts {
    pub(crate) fn new(test: &str) -> Mounts {
        let name = format!("fs-{}-{test}", std::process::id());
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&root).expect("cargo's folder is writable");
        Mounts {
            root,
            mounted: Vec::new(),
            daemon: None,
        }
    }

    /// A file system of that kind in a file of so many MiB.
    pub(crate) fn image(
        &mut self,
        kind: &str,
        mib: u64,
        make_options: &[&str],
        mount_options: &str,
    ) -> Result<PathBuf, String> {
        let image = self.root.join("image");
        let file = fs::File::create(&image).map_err(|error| error.to_string())?;
        // Sparse: only what is used takes room.
        file.set_len(mib << 20).map_err(|error| error.to_string())?;
        let path = text(&image);
        let arguments: Vec<_> = make_options.iter().copied().chain([path]).collect();
        run(&format!("mkfs.{kind}"), &arguments)?;
        self.mount(kind, path, mount_options)
    }

    pub(crate) fn mount(
        &mut self,
        kind: &str,
        source: &str,
        options: &str,
    ) -> Result<PathBuf, String> {
        let at = self.place()?;
        run("mount", &["-t", kind, "-o", options, source, text(&at)])?;
        self.mounted.push(at.clone());
        Ok(at)
    }

    /// An overlay with all its layers in `below`.
    pub(crate) fn overlay(&mut self, below: &Path) -> Result<PathBuf, String> {
        for layer in ["lower", "upper", "work"] {
            fs::create_dir(below.join(layer)).map_err(|error| error.to_string())?;
        }
        let below = text(below);
        let options = format!("lowerdir={below}/lower,upperdir={below}/upper,workdir={below}/work");
        self.mount("overlay", "overlay", &options)
    }

    /// The same files again, through a daemon.
    pub(crate) fn bindfs(&mut self, below: &Path) -> Result<PathBuf, String> {
        if !Path::new("/dev/fuse").exists() {
            return Err("there is no /dev/fuse".to_owned());
        }
        run("bindfs", &["--version"])?;
        let at = self.place()?;
        // The daemon must not outlive the test: it would keep the namespace.
        let daemon = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "bindfs", "-f"])
            .args([below, &at])
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        self.daemon = Some(daemon);
        self.mounted.push(at.clone());
        wait_until("bindfs", || {
            let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
            mounts.contains(text(&at))
        });
        Ok(at)
    }

    /// A folder to mount on.
    fn place(&self) -> Result<PathBuf, String> {
        let at = self.root.join(format!("mount-{}", self.mounted.len()));
        fs::create_dir(&at).map_err(|error| error.to_string())?;
        Ok(at)
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for at in self.mounted.drain(..).rev() {
            if let Err(why) = unmount(&at) {
                // Lazily at least: the namespace's end does the rest.
                println!("unmounting: {why}");
                let _ = run("umount", &["--lazy", text(&at)]);
            }
        }
        if let Some(mut daemon) = self.daemon.take() {
            // Its mount is gone, so it ends by itself, if it has not yet.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        if let Err(error) = fs::remove_dir_all(&self.root) {
            println!("removing {}: {error}", self.root.display());
        }
    }
}

/// The kernel closes what a ring had registered a little after the ring is gone.
fn unmount(at: &Path) -> Result<(), String> {
    let mut result = run("umount", &[text(at)]);
    for _ in 0..100 {
        if result.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        result = run("umount", &[text(at)]);
    }
    result
}

fn text(path: &Path) -> &str {
    path.to_str().expect("cargo's folder has a plain name")
}

/// Runs a program; if it did not do its work, says why.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let ended = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said = said.lines().next().unwrap_or("it said nothing");
    Err(format!("{program}: {}: {said}", ended.status))
}
