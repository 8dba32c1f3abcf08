//! A Wine to run programs under: the machine's own, or that of a second Debian.
//!
//! Each has a prefix for the tests alone, made once, with drives of several kinds, and no display unless it
//! is given one. Whatever runs is bound by a time limit; `end` ends what is left.
#![forbid(unsafe_code)]

use super::debian::Root;
use super::display::{Display, VULKAN_DRIVERS};
use crate::paths;
use crate::sh::Cmd;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where Debian has Wine's programs that are not in PATH, and what else they are called.
const DIRECTORY: &str = "/usr/lib/wine";
const LOADERS: &[&str] = &["wine64", "wine"];
const SERVERS: &[&str] = &["wineserver", "wineserver64"];

/// The release that brings the second Wine, and what of it is needed: Wine's d3d12 makes its devices on
/// Vulkan, and its dxgi asks for OpenGL before that.
const SECOND_RELEASE: &str = "trixie";
const SECOND_PACKAGES: &[&str] = &["wine64", "libvulkan1", "mesa-vulkan-drivers", "libgl1"];
/// What the second Wine is called where it is missing.
pub(crate) const SECOND_NAME: &str = "wine 10.0";

const PREFIX_LIMIT_S: u64 = 180;

/// A Wine, and a prefix of its own.
#[derive(Clone)]
pub(crate) struct Wine {
    /// As reports call it: `wine 8.0`.
    pub(crate) name: String,
    loader: PathBuf,
    server: PathBuf,
    root: Option<Root>,
    tree: PathBuf,
    prefix: &'static str,
    /// For DISPLAY; empty for none.
    display: String,
    /// A program of Linux that starts Wine.
    launcher: Option<PathBuf>,
    /// Where the d3d12 lies that programs get in the place of Wine's own.
    d3d12: Option<PathBuf>,
}

/// Drives that programs find in every prefix: letter, and Wine's word for the kind. With the share of
/// [`SHARE`] they lead to one folder.
const DRIVES: [(&str, &str); 2] = [("r:", "floppy"), ("n:", "network")];
/// A share of a server, below `dosdevices`.
const SHARE: &str = "unc/server/share";
/// What a complete prefix says of itself: a prefix that was made otherwise is made again.
const PREFIX_REVISION: &str = "with drives R: and N:\n";

/// Whether a Wine is installed on this machine.
pub(crate) fn is_installed() -> bool {
    find(LOADERS, Path::new("/")).is_some() && find(SERVERS, Path::new("/")).is_some()
}

impl Wine {
    /// The Wine installed here. What programs need lies below `tree`.
    pub(crate) fn installed(tree: &Path) -> Result<Wine, String> {
        Wine::found(tree, None)
    }

    /// The Wine of a newer Debian.
    pub(crate) fn second(tree: &Path) -> Result<Wine, String> {
        Wine::found(tree, Some(Root::get(SECOND_RELEASE, SECOND_PACKAGES)?))
    }

    fn found(tree: &Path, root: Option<Root>) -> Result<Wine, String> {
        let top = root
            .as_ref()
            .map_or(PathBuf::from("/"), |root| root.outside(""));
        let mut wine = Wine {
            name: String::new(),
            loader: find(LOADERS, &top).ok_or("Wine is not here")?,
            server: find(SERVERS, &top).ok_or("Wine's server is not here")?,
            root,
            tree: tree.to_path_buf(),
            prefix: "prefix",
            display: String::new(),
            launcher: None,
            d3d12: None,
        };
        let version = wine.command(&wine.loader).arg("--version").limit_s(60);
        wine.name = name_of_version(&version.capture().text_or_shown()?)?;
        Ok(wine)
    }

    /// The same Wine with another prefix.
    pub(crate) fn with_prefix(&self, prefix: &'static str) -> Wine {
        Wine {
            prefix,
            ..self.clone()
        }
    }

    /// The same Wine with a display. Of a prefix nothing must run that was started without.
    pub(crate) fn with_display(&self, display: &Display) -> Wine {
        Wine {
            display: display.name().into(),
            ..self.clone()
        }
    }

    /// The same Wine, started by a program of Linux, which lies below the common tree.
    pub(crate) fn with_launcher(&self, launcher: &Path) -> Wine {
        Wine {
            launcher: Some(launcher.into()),
            ..self.clone()
        }
    }

    /// The same Wine with the d3d12 that lies in `folder` beside each program, or with its own.
    pub(crate) fn with_d3d12(&self, folder: Option<&Path>) -> Wine {
        Wine {
            d3d12: folder.map(PathBuf::from),
            ..self.clone()
        }
    }

    /// What `with_d3d12` was given.
    pub(crate) fn d3d12(&self) -> Option<&Path> {
        self.d3d12.as_deref()
    }

    /// For WINEDLLOVERRIDES: `more`, behind what holds for every program.
    pub(crate) fn overrides(&self, more: &str) -> String {
        let d3d12 = self.d3d12.as_ref().map_or("", |_| "d3d12,d3d12core=n;");
        // What would ask for a download in a fresh prefix.
        format!("mscoree,mshtml=;{d3d12}{more}")
    }

    /// The folder for what belongs to this Wine alone.
    pub(crate) fn folder(&self) -> PathBuf {
        self.tree.join(self.name.replace(' ', "-"))
    }

    pub(crate) fn prefix(&self) -> PathBuf {
        self.folder().join(self.prefix)
    }

    /// The folder of Wine's own libraries, as Debian lays it out, seen from outside.
    pub(crate) fn libraries(&self) -> PathBuf {
        let libraries = "usr/lib/x86_64-linux-gnu/wine";
        match &self.root {
            Some(root) => root.outside(libraries),
            None => Path::new("/").join(libraries),
        }
    }

    /// Whether its files are ours to change: those of a second Debian are, the machine's are not.
    pub(crate) fn is_ours(&self) -> bool {
        self.root.is_some()
    }

    fn command(&self, program: &Path) -> Cmd {
        let command = match (&self.root, &self.launcher) {
            (Some(root), Some(launcher)) => root.enter(&self.tree).arg(launcher).arg(program),
            (Some(root), None) => root.enter(&self.tree).arg(program),
            (None, Some(launcher)) => Cmd::new(launcher).arg(program),
            (None, None) => Cmd::new(program),
        };
        command
            .env("WINEPREFIX", self.prefix())
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            .env("WINESERVER", &self.server)
            .env("WINEDLLOVERRIDES", self.overrides(""))
            .env("DISPLAY", &self.display)
            .env("VK_ICD_FILENAMES", VULKAN_DRIVERS)
            .env("VK_DRIVER_FILES", VULKAN_DRIVERS)
            .directory(&self.tree)
            .quiet()
    }

    /// A Windows program to be run. `TEST_DRIVES` tells it that the drives are there.
    pub(crate) fn run(&self, program: &Path) -> Cmd {
        let command = self.command(&self.loader).arg(program);
        command.env("TEST_DRIVES", "1")
    }

    /// Makes the prefix, unless a complete one is there.
    pub(crate) fn make_prefix(&self) -> Result<(), String> {
        let complete = self.folder().join(format!("{}.complete", self.prefix));
        if fs::read(&complete).is_ok_and(|said| said == PREFIX_REVISION.as_bytes()) {
            return Ok(());
        }
        let _ = fs::remove_file(&complete);
        let prefix = self.prefix();
        let _ = fs::remove_dir_all(&prefix);
        fs::create_dir_all(&prefix)
            .map_err(|e| format!("cannot make {}: {e}", prefix.display()))?;
        let started = Instant::now();
        println!("$ wineboot -i, {}", self.name);
        let boot = self.command(&self.loader).args(["wineboot", "-i"]);
        boot.limit_s(PREFIX_LIMIT_S).capture().text_or_shown()?;
        self.make_drives()?;
        self.wait()?;
        println!("  {:.1} s", started.elapsed().as_secs_f64());
        paths::write(&complete, PREFIX_REVISION)
    }

    /// Drives of the kinds that are not a fixed disk, and a share. Wine looks at the registry when its first
    /// process starts, so this is over before programs come.
    fn make_drives(&self) -> Result<(), String> {
        let folder = self.folder().join("drives");
        fs::create_dir_all(&folder)
            .map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        let devices = self.prefix().join("dosdevices");
        let letters = DRIVES.iter().map(|(letter, _)| *letter);
        for name in letters.chain([SHARE]) {
            let link = devices.join(name);
            paths::make_parent(&link)?;
            symlink(&folder, &link).map_err(|e| format!("cannot make {}: {e}", link.display()))?;
        }
        for (letter, kind) in DRIVES {
            let key = r"HKLM\Software\Wine\Drives";
            let add = self.command(&self.loader).args(["reg", "add", key]);
            let add = add.args(["/v", letter, "/d", kind, "/f"]).limit_s(60);
            add.capture().text_or_shown()?;
        }
        Ok(())
    }

    /// Waits until the last Windows process has ended and all is written.
    pub(crate) fn wait(&self) -> Result<(), String> {
        let wait = self.command(&self.server).arg("-w").limit_s(PREFIX_LIMIT_S);
        wait.capture().text_or_shown().map(drop)
    }

    /// Starts the server, which then stays, and answers its process number.
    pub(crate) fn server_pid(&self) -> Result<u32, String> {
        let start = self.command(&self.server).arg("-p").limit_s(60);
        start.capture().text_or_shown()?;
        let prefix = self.prefix().display().to_string();
        let pids = fs::read_dir("/proc").map_err(|e| format!("cannot read /proc: {e}"))?;
        pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .find(|pid| is_server_of(*pid, &prefix))
            .ok_or_else(|| "Wine's server does not stay".into())
    }

    /// Ends what Wine left running in the prefix.
    pub(crate) fn end(&self) {
        let _ = self.command(&self.server).arg("-k").limit_s(30).capture();
    }
}

fn is_server_of(pid: u32, prefix: &str) -> bool {
    let read = |what| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let environment = read("environ");
    let wanted = format!("WINEPREFIX={prefix}");
    read("comm").starts_with(b"wineserver")
        && environment
            .split(|&byte| byte == 0)
            .any(|variable| variable == wanted.as_bytes())
}

/// The path, below `top`, of the first of `names` that is there.
fn find(names: &[&str], top: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.push(DIRECTORY.into());
    let is_there = |program: &PathBuf| {
        let below = program.strip_prefix("/").unwrap_or(program);
        top.join(below).is_file()
    };
    names
        .iter()
        .flat_map(|name| directories.iter().map(move |d| d.join(name)))
        .find(is_there)
}

/// `wine-10.0 (Debian …)` is called `wine 10.0`.
fn name_of_version(text: &str) -> Result<String, String> {
    let line = text.lines().find_map(|line| line.strip_prefix("wine-"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    let number = number.ok_or("Wine does not say its version")?;
    Ok(format!("wine {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wine_is_called_by_its_version() {
        let name = name_of_version("it looks like\nwine-8.0 (Debian 8.0~repack-4)\n");
        assert_eq!(name, Ok("wine 8.0".into()));
        assert!(name_of_version("no\n").is_err());
    }
}
