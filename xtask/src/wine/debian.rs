//! A second Debian in a directory: a newer Wine than the machine's own, without touching the machine.
//!
//! Made once by debootstrap from the mirror that the machine's apt is configured for, and kept in the build
//! tree. A command is run inside with its mounts in a name space of its own, so that nothing stays mounted
//! and the same paths mean the same files inside and outside.
#![forbid(unsafe_code)]

use crate::paths;
use crate::setup;
use crate::sh::{self, Cmd};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MAKE_LIMIT_S: u64 = 900;

/// Runs a command inside: `$1` is the root, `$2` a directory to see there under the same path, the rest the
/// command. The working directory must lie below `$2`.
const ENTER: &str = r#"set -e
root=$1 shared=$2
shift 2
mkdir -p "$root$shared"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$shared" "$root$shared"
exec chroot "$root" env --chdir="$PWD" "$@""#;

/// A Debian that lies in a directory.
#[derive(Clone)]
pub(crate) struct Root {
    path: PathBuf,
}

impl Root {
    /// The root for `release` with `packages` in it; made now if it is not there yet, and completed if it was
    /// made for fewer.
    pub(crate) fn get(release: &str, packages: &[&str]) -> Result<Root, String> {
        let path = paths::target().join(format!("debian-{release}"));
        if !path.is_dir() {
            make(release, packages, &path)?;
        }
        let root = Root { path };
        if !root.has(packages) {
            println!(
                "$ apt-get install, in debian-{release}: {}",
                packages.join(" ")
            );
            root.install(packages)?;
        }
        Ok(root)
    }

    /// Whether the packages' lists of files are there, with which they come.
    fn has(&self, packages: &[&str]) -> bool {
        let lists = self.outside("var/lib/dpkg/info");
        let has_list = |package: &&str| {
            let names = [format!("{package}.list"), format!("{package}:amd64.list")];
            names.iter().any(|name| lists.join(name).is_file())
        };
        packages.iter().all(has_list)
    }

    /// The path outside of a file inside.
    pub(crate) fn outside(&self, inside: &str) -> PathBuf {
        self.path.join(inside.trim_start_matches('/'))
    }

    /// A command that will run inside, where `shared` lies under its own path, too.
    pub(crate) fn enter(&self, shared: &Path) -> Cmd {
        let unshare = Cmd::new("unshare").arg("--mount");
        let unshare = match setup::is_root() {
            true => unshare,
            false => unshare.args(["--user", "--map-root-user"]),
        };
        unshare
            .args(["sh", "-c", ENTER, "enter"])
            .arg(&self.path)
            .arg(shared)
    }
}

/// Under another name first: what has the final name is complete.
fn make(release: &str, packages: &[&str], path: &Path) -> Result<(), String> {
    if !setup::is_root() {
        return Err("only root can make a second Debian".into());
    }
    if let Some(missing) = ["debootstrap", "unshare"].iter().find(|p| !sh::have(p)) {
        return Err(format!("{missing} is not here"));
    }
    if !Path::new(KEYRING).is_file() {
        return Err(format!("Debian's keys are not here ({KEYRING})"));
    }
    let mirror = mirror()?;
    let partial = path.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    let started = Instant::now();
    println!("$ debootstrap {release}, with {}", packages.join(" "));
    Cmd::new("debootstrap")
        .args(["--variant=minbase", "--keyring", KEYRING, release])
        .arg(&partial)
        .arg(mirror)
        .quiet()
        .limit_s(MAKE_LIMIT_S)
        .capture()
        .text_or_shown()?;
    let inside = Root { path: partial };
    inside.take_over_network()?;
    inside.install(packages)?;
    println!("  {:.1} s", started.elapsed().as_secs_f64());
    fs::rename(&inside.path, path).map_err(|e| format!("cannot rename to {}: {e}", path.display()))
}

impl Root {
    /// How the machine reaches its mirror: name servers, and apt's settings for proxies.
    fn take_over_network(&self) -> Result<(), String> {
        let _ = fs::copy("/etc/resolv.conf", self.outside("etc/resolv.conf"));
        let settings = Cmd::new("apt-config").arg("dump").quiet().limit_s(60);
        let settings: String = settings
            .capture()
            .text_or_shown()?
            .lines()
            .filter(|line| line.starts_with("Acquire::http"))
            .map(|line| format!("{line}\n"))
            .collect();
        paths::write(&self.outside("etc/apt/apt.conf.d/90machine"), &settings)
    }

    fn install(&self, packages: &[&str]) -> Result<(), String> {
        let shared = paths::scratch("debian")?;
        let apt = || {
            self.enter(&shared)
                .args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"])
                .directory(&shared)
                .quiet()
                .limit_s(MAKE_LIMIT_S)
        };
        apt().arg("update").capture().text_or_shown()?;
        let install = apt().args(["install", "-y", "--no-install-recommends"]);
        install.args(packages).capture().text_or_shown()?;
        apt().arg("clean").capture().text_or_shown().map(drop)
    }
}

/// The address of the archive this machine's own release comes from.
fn mirror() -> Result<String, String> {
    let release = release_of(&paths::read(Path::new("/etc/os-release"))?)?;
    let targets = Cmd::new("apt-get")
        .args(["indextargets", "--format", "$(RELEASE) $(REPO_URI)"])
        .arg("Created-By: Packages")
        .quiet()
        .limit_s(60);
    let text = targets.capture().text_or_shown()?;
    let found = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(of, _)| *of == release);
    let (_, address) = found.ok_or("apt knows no archive of this machine's release")?;
    Ok(address.to_string())
}

/// The release's code name, if the machine is a Debian.
fn release_of(text: &str) -> Result<String, String> {
    let value = |key: &str| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let mut found = lines.filter(|(name, _)| *name == key);
        found.next().map(|(_, value)| value.trim_matches('"'))
    };
    match (value("ID"), value("VERSION_CODENAME")) {
        (Some("debian"), Some(release)) => Ok(release.to_string()),
        _ => Err("this machine is no Debian".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read() {
        let text = "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(release_of(text), Ok("bookworm".into()));
        assert!(release_of("ID=other\nVERSION_CODENAME=x\n").is_err());
        assert!(release_of("ID=debian\n").is_err());
    }
}
