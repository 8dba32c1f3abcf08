//! Which descriptor has which place in a ring's table of registered files.
//!
//! Pure bookkeeping: the ring does the registering. A place belongs to one descriptor until its file
//! is gone, which the file itself says ([`Gone`]); a key is never used for another file, so a stale
//! place is never used either.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::open_file::{Gone, OpenFile};

/// The places, none at first.
#[derive(Debug)]
pub(super) struct FileTable {
    places: HashMap<u64, u32>,
    free: Vec<u32>,
    /// The last answer: most operations are on the file of the one before.
    last: (u64, u32),
    given_up: bool,
    gone: Arc<Gone>,
}

impl FileTable {
    /// A table of `len` places for a ring whose thread `wake` wakes.
    pub(super) fn new(len: u32, wake: Arc<OwnedFd>) -> FileTable {
        FileTable {
            places: HashMap::with_capacity(len as usize),
            free: (0..len).rev().collect(),
            last: (0, 0),
            given_up: false,
            gone: Arc::new(Gone::new(wake)),
        }
    }

    /// The place of the descriptor with that key.
    pub(super) fn find(&mut self, key: u64) -> Option<u32> {
        if self.last.0 == key {
            return Some(self.last.1);
        }
        let place = *self.places.get(&key)?;
        self.last = (key, place);
        Some(place)
    }

    /// A place for a descriptor that has none, if one is free.
    pub(super) fn free_place(&self) -> Option<u32> {
        self.free.last().copied()
    }

    /// The free place is `key`'s now. The file says when it goes.
    pub(super) fn take_place(&mut self, key: u64, file: &OpenFile) {
        if let Some(place) = self.free.pop() {
            self.places.insert(key, place);
            file.registered(&self.gone);
        }
    }

    /// Places of files that are gone, to be emptied; they are free again.
    pub(super) fn take_gone(&mut self) -> Vec<u32> {
        let keys = self.gone.take().into_iter().flat_map(OpenFile::keys);
        let mut places = Vec::new();
        for place in keys.filter_map(|key| self.places.remove(&key)) {
            places.push(place);
        }
        if !places.is_empty() {
            self.last = (0, 0);
            if !self.given_up {
                self.free.extend(&places);
            }
        }
        places
    }

    /// Registers nothing from now on.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
        self.free.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open_file::Way;
    use crate::sys;

    fn file() -> OpenFile {
        let path = std::path::Path::new("/proc/self/exe");
        OpenFile::new(std::fs::File::open(path).unwrap().into(), path.into())
    }

    #[test]
    fn places_are_found_until_their_file_goes() {
        let wake = Arc::new(sys::eventfd().unwrap());
        let mut table = FileTable::new(2, wake);
        let (first, second, third) = (file(), file(), file());
        let keys = [&first, &second, &third].map(|file| file.key(Way::Buffered));
        for (key, file) in keys.into_iter().zip([&first, &second, &third]) {
            assert_eq!(table.find(key), None);
            if table.free_place().is_some() {
                table.take_place(key, file);
            }
        }
        assert_eq!(
            (table.find(keys[0]), table.find(keys[1])),
            (Some(0), Some(1))
        );
        assert_eq!(table.find(keys[2]), None, "the table is full");
        drop(second);
        assert_eq!(table.take_gone(), [1]);
        assert_eq!(table.find(keys[1]), None, "not even as the last answer");
        assert_eq!(table.free_place(), Some(1));
        assert!(table.take_gone().is_empty());
    }
}
