//! `OpenFile`: a descriptor that operations use, and the ways in which the file can be read.
//!
//! Owns up to two descriptors of one file: the one it was opened with, which goes through the page
//! cache, and one that goes past it (`O_DIRECT`), made when it is first wanted. What a file system
//! refuses is found out by trying and remembered here, with the reason; nothing here ever makes a
//! read fail that works through the page cache.
//!
//! Invariants
//! - Operations in flight hold an `Arc` of it, so both descriptors stay open until they are done.
//! - A ring that registered a descriptor is told when the `OpenFile` goes: a registration would keep
//!   the file open. The ring's thread empties the place when it comes to that, so for the kernel (a
//!   busy mount, a lease, the space of a deleted file) the file may outlive the last status by that.

#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::sys::{self, Mapping, PAGE_BYTES};

/// How files are read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum FileMode {
    /// Through the page cache, but past it for large requests of files that would push everything
    /// else out of it.
    #[default]
    Auto,
    /// Through the page cache.
    Buffered,
    /// Past the page cache (`O_DIRECT`), where the file system allows it.
    Direct,
    /// Through the page cache, which forgets what was read (`RWF_DONTCACHE`, Linux 6.14), where the
    /// file system allows it.
    DontCache,
}

impl FileMode {
    /// Every mode, in the order of the documentation.
    pub const ALL: [FileMode; 4] = [
        FileMode::Auto,
        FileMode::Buffered,
        FileMode::Direct,
        FileMode::DontCache,
    ];

    /// The word for options and logs.
    pub fn name(self) -> &'static str {
        match self {
            FileMode::Auto => "auto",
            FileMode::Buffered => "buffered",
            FileMode::Direct => "direct",
            FileMode::DontCache => "dontcache",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<FileMode> {
        FileMode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// How one operation reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Through the page cache.
    Buffered,
    /// From the page cache, if all of it is there; EAGAIN or a part otherwise.
    CachedOnly,
    /// Past the page cache: offset, length and memory must be aligned.
    Direct,
    /// Through the page cache, which forgets it.
    DontCache,
}

impl Way {
    /// The flags of preadv2(2) and of a ring's read.
    pub(crate) fn rw_flags(self) -> i32 {
        match self {
            Way::Buffered | Way::Direct => 0,
            Way::CachedOnly => libc::RWF_NOWAIT,
            Way::DontCache => libc::RWF_DONTCACHE,
        }
    }
}

/// With [`FileMode::Auto`], smaller requests always go through the page cache: there, read-ahead
/// helps them, and they push little out.
const LARGE_REQUEST_BYTES: usize = 128 << 10;
/// The largest alignment that is worth the trouble.
const ALIGN_MAX: usize = 4096;
/// Operations on a file before a ring registers it.
const USES_BEFORE_REGISTRATION: u32 = 16;

/// What reading past the page cache demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Alignment {
    /// Of memory addresses, in bytes.
    pub(crate) memory: usize,
    /// Of offsets and lengths, in bytes.
    pub(crate) offset: usize,
}

/// The descriptor past the page cache.
#[derive(Debug)]
struct Direct {
    fd: OwnedFd,
    alignment: Alignment,
    /// The file system took the descriptor and refused a read later.
    refused: AtomicBool,
}

/// Files that are gone, for a ring that has them registered.
#[derive(Debug)]
pub(crate) struct Gone {
    ids: Mutex<Vec<u64>>,
    any: AtomicBool,
    /// Wakes the ring's thread.
    wake: Arc<OwnedFd>,
}

impl Gone {
    pub(crate) fn new(wake: Arc<OwnedFd>) -> Gone {
        Gone {
            ids: Mutex::default(),
            any: AtomicBool::new(false),
            wake,
        }
    }

    /// The ids since the last look.
    pub(crate) fn take(&self) -> Vec<u64> {
        if !self.any.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *self.ids.lock())
    }

    /// Whoever closes one of the files waits until the answer is gone, as for a slow file system.
    #[cfg(test)]
    pub(crate) fn delay(&self) -> parking_lot::MutexGuard<'_, Vec<u64>> {
        self.ids.lock()
    }

    fn add(&self, id: u64) {
        self.ids.lock().push(id);
        self.any.store(true, Ordering::Release);
        sys::eventfd_set(self.wake.as_fd());
    }
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// Unlike the address, never used again.
    id: u64,
    fd: OwnedFd,
    path: Arc<Path>,
    direct: OnceLock<Result<Direct, String>>,
    dontcache_refused: AtomicBool,
    /// Whether it is too large to stay in the page cache, and why.
    crowds: OnceLock<(bool, String)>,
    uses: AtomicU32,
    registered_by: Mutex<Vec<Arc<Gone>>>,
}

impl OpenFile {
    pub(crate) fn new(fd: OwnedFd, path: Arc<Path>) -> OpenFile {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        OpenFile {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            fd,
            path,
            direct: OnceLock::new(),
            dontcache_refused: AtomicBool::new(false),
            crowds: OnceLock::new(),
            uses: AtomicU32::new(0),
            registered_by: Mutex::default(),
        }
    }

    /// The descriptor for operations of that way.
    pub(crate) fn fd(&self, way: Way) -> BorrowedFd<'_> {
        match (way, self.direct.get()) {
            (Way::Direct, Some(Ok(direct))) => direct.fd.as_fd(),
            _ => self.fd.as_fd(),
        }
    }

    /// A number for the pair of file and descriptor, never 0, never used again.
    pub(crate) fn key(&self, way: Way) -> u64 {
        self.id << 1 | u64::from(way == Way::Direct)
    }

    /// The keys of the file with that id, in `Gone`.
    pub(crate) fn keys(id: u64) -> [u64; 2] {
        [id << 1, id << 1 | 1]
    }

    /// Counts an operation; says whether the file is used often enough to be registered.
    pub(crate) fn is_used_often(&self) -> bool {
        // Rings of several threads may lose a count; what matters is that it grows.
        let uses = self.uses.load(Ordering::Relaxed);
        if uses >= USES_BEFORE_REGISTRATION {
            return true;
        }
        self.uses.store(uses + 1, Ordering::Relaxed);
        false
    }

    /// A ring has registered a descriptor and wants to know when the file goes.
    pub(crate) fn registered(&self, gone: &Arc<Gone>) {
        let mut rings = self.registered_by.lock();
        if rings.iter().all(|other| !Arc::ptr_eq(other, gone)) {
            rings.push(Arc::clone(gone));
        }
    }

    /// The first way to try for a read of `bytes` bytes. May block for a moment: a file is looked at
    /// when it is first read in a way that asks for it.
    pub(crate) fn way(&self, mode: FileMode, bytes: usize) -> Way {
        match mode {
            FileMode::Buffered => Way::Buffered,
            FileMode::Direct if self.alignment().is_some() => Way::Direct,
            FileMode::DontCache if self.may_forget() => Way::DontCache,
            FileMode::Direct | FileMode::DontCache => Way::Buffered,
            FileMode::Auto if bytes < LARGE_REQUEST_BYTES || !self.crowds().0 => Way::Buffered,
            FileMode::Auto => Way::CachedOnly,
        }
    }

    /// The next way to try when `way` did not do.
    pub(crate) fn way_after(&self, way: Way) -> Way {
        match way {
            Way::CachedOnly if self.alignment().is_some() => Way::Direct,
            Way::CachedOnly if self.may_forget() => Way::DontCache,
            _ => Way::Buffered,
        }
    }

    /// The file system said no to a read of that way: it is not asked again.
    pub(crate) fn refuse(&self, way: Way, errno: i32) {
        let already = match (way, self.direct.get()) {
            (Way::Direct, Some(Ok(direct))) => direct.refused.swap(true, Ordering::Relaxed),
            (Way::DontCache, _) => self.dontcache_refused.swap(true, Ordering::Relaxed),
            _ => true,
        };
        if !already {
            let error = std::io::Error::from_raw_os_error(errno);
            log::info!(
                target: "ds",
                "{}: a {way:?} read was refused ({error}); buffered from now on",
                self.path.display()
            );
        }
    }

    /// What direct reads demand; `None` if there are none. Looks at the file the first time.
    pub(crate) fn alignment(&self) -> Option<Alignment> {
        self.direct()
            .ok()
            .filter(|direct| !direct.refused.load(Ordering::Relaxed))
            .map(|direct| direct.alignment)
    }

    /// How much more than its `bytes` a read in this mode may need in staging, for alignment at both
    /// ends; a guess as long as nobody has tried.
    pub(crate) fn slack_bytes(&self, mode: FileMode, bytes: usize) -> usize {
        match (mode, self.direct.get()) {
            (FileMode::Buffered | FileMode::DontCache, _) | (_, Some(Err(_))) => 0,
            (FileMode::Auto, _) if self.way(mode, bytes) == Way::Buffered => 0,
            (_, None) => 2 * ALIGN_MAX,
            (_, Some(Ok(direct))) => 2 * direct.alignment.offset,
        }
    }

    /// Why the file is read as it is, for a person; looks at the file.
    pub(crate) fn explain(&self, mode: FileMode) -> String {
        let past = |wish: &str| match self.direct() {
            Ok(direct) if direct.refused.load(Ordering::Relaxed) => {
                format!("buffered: {wish}, but the file system refused a direct read")
            }
            Ok(direct) => format!(
                "direct: {wish}; offsets aligned to {}, memory to {}",
                direct.alignment.offset, direct.alignment.memory
            ),
            Err(why) => format!("buffered: {wish}, but {why}"),
        };
        match mode {
            FileMode::Buffered => "buffered: asked for".to_owned(),
            FileMode::Direct => past("asked for"),
            FileMode::DontCache if self.try_to_forget() => "dontcache: asked for".to_owned(),
            FileMode::DontCache => {
                "buffered: dontcache was asked for, but the file system refused it".to_owned()
            }
            FileMode::Auto => match self.crowds() {
                (false, why) => format!("buffered: {why}"),
                (true, why) => {
                    let large = LARGE_REQUEST_BYTES >> 10;
                    let other = past(&format!("requests of {large} KiB or more, as {why}"));
                    format!("{other}; what is cached, and smaller requests, buffered")
                }
            },
        }
    }

    fn may_forget(&self) -> bool {
        !self.dontcache_refused.load(Ordering::Relaxed)
    }

    /// The same, after a first read.
    fn try_to_forget(&self) -> bool {
        if let Ok(page) = Mapping::new(PAGE_BYTES) {
            let flags = Way::DontCache.rw_flags();
            let read = sys::preadv2(self.fd.as_fd(), page.span(0, PAGE_BYTES), 0, flags);
            if let Err(errno @ (libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS)) =
                read.map_err(|error| error.raw_os_error().unwrap_or(0))
            {
                self.refuse(Way::DontCache, errno);
            }
        }
        self.may_forget()
    }

    fn direct(&self) -> Result<&Direct, &str> {
        let found = self.direct.get_or_init(|| {
            let found = open_direct(self.fd.as_fd());
            match &found {
                Ok(direct) => log::debug!(
                    target: "ds", "{}: direct reads, {:?}", self.path.display(), direct.alignment
                ),
                Err(why) => log::debug!(
                    target: "ds", "{}: no direct reads: {why}", self.path.display()
                ),
            }
            found
        });
        found.as_ref().map_err(String::as_str)
    }

    fn crowds(&self) -> (bool, &str) {
        let (crowds, why) = self.crowds.get_or_init(|| {
            let file = sys::metadata(self.fd.as_fd()).map_or(0, |metadata| metadata.len());
            let free = memory_available_bytes();
            let (file_mib, free_mib) = (file >> 20, free >> 20);
            if file > free / 2 {
                let why = format!("its {file_mib} MiB are over half of {free_mib} MiB available");
                (true, why)
            } else {
                (
                    false,
                    format!("its {file_mib} MiB fit into {free_mib} MiB available"),
                )
            }
        });
        (*crowds, why)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        for ring in self.registered_by.get_mut().drain(..) {
            ring.add(self.id);
        }
    }
}

/// `MemAvailable`: what the kernel could use for the page cache without swapping.
fn memory_available_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    // Without the answer, assume plenty: the page cache is what works everywhere.
    kib.map_or(u64::MAX, |kib| kib << 10)
}

/// Opens the file again past the page cache, and reads a little to see whether that works.
fn open_direct(fd: BorrowedFd<'_>) -> Result<Direct, String> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let again = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT | libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| format!("it cannot be opened with O_DIRECT: {error}"))?;
    sys::set_blocking(again.as_fd());
    // File systems that say nothing take what a page is aligned to, if they take anything.
    let alignment = sys::direct_alignment(again.as_fd()).unwrap_or(Alignment {
        memory: PAGE_BYTES,
        offset: PAGE_BYTES,
    });
    if alignment.memory.max(alignment.offset) > ALIGN_MAX {
        return Err(format!(
            "direct reads would have to be aligned: {alignment:?}"
        ));
    }
    let page = Mapping::new(PAGE_BYTES).map_err(|error| error.to_string())?;
    sys::pread(again.as_fd(), page.span(0, PAGE_BYTES), 0)
        .map_err(|error| format!("a direct read was refused: {error}"))?;
    Ok(Direct {
        fd: again.into(),
        alignment,
        refused: AtomicBool::new(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_file() -> OpenFile {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/open_file.rs");
        let file = fs::File::open(path).unwrap();
        OpenFile::new(file.into(), Path::new(path).into())
    }

    #[test]
    fn modes_are_named_and_buffered_is_the_last_resort_of_all() {
        for mode in FileMode::ALL {
            assert_eq!(FileMode::from_name(mode.name()), Some(mode));
            let file = this_file();
            let mut way = file.way(mode, 1 << 20);
            for _ in 0..3 {
                way = file.way_after(way);
            }
            assert_eq!(way, Way::Buffered);
            assert!(!file.explain(mode).is_empty());
        }
    }

    #[test]
    fn what_was_refused_is_not_asked_again() {
        let file = this_file();
        assert_eq!(file.way(FileMode::DontCache, 1), Way::DontCache);
        file.refuse(Way::DontCache, libc::EOPNOTSUPP);
        assert_eq!(file.way(FileMode::DontCache, 1), Way::Buffered);
        assert!(file.explain(FileMode::DontCache).contains("refused"));
        if file.alignment().is_some() {
            file.refuse(Way::Direct, libc::EINVAL);
        }
        assert_eq!(file.way(FileMode::Direct, 1 << 20), Way::Buffered);
        assert!(file.explain(FileMode::Direct).starts_with("buffered"));
    }

    #[test]
    fn a_file_that_fits_into_memory_stays_in_the_page_cache() {
        let file = this_file();
        assert_eq!(file.way(FileMode::Auto, 1 << 30), Way::Buffered);
        file.crowds.set((true, String::new())).unwrap_err();
        let large = this_file();
        large.crowds.set((true, "it is large".to_owned())).unwrap();
        assert_eq!(large.way(FileMode::Auto, 4096), Way::Buffered);
        assert_eq!(large.way(FileMode::Auto, 1 << 20), Way::CachedOnly);
        assert!(large.explain(FileMode::Auto).contains("it is large"));
    }

    #[test]
    fn a_ring_hears_of_files_that_go() {
        let wake = Arc::new(sys::eventfd().unwrap());
        let gone = Arc::new(Gone::new(Arc::clone(&wake)));
        let file = this_file();
        file.registered(&gone);
        file.registered(&gone);
        let key = file.key(Way::Buffered);
        assert!(gone.take().is_empty());
        drop(file);
        let ids = gone.take();
        assert_eq!(ids.len(), 1);
        assert!(OpenFile::keys(ids[0]).contains(&key));
        assert!(sys::eventfd_take(wake.as_fd()));
    }
}
