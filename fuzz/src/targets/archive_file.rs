//! Any bytes as a whole archive: opened from a file, every chunk read through the engine.
//!
//! The input's checksums are made right first. Otherwise an engine that mutates blindly would never see more
//! than the comparison of the first.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ds_core::{Backend, Config, Runtime};
use ds_tool::archive::format::{FOOTER_BYTES, HEADER_BYTES, checksum};
use ds_tool::archive::read::Archive;
use ds_tool::stream::{Stream, Window};

/// Where header and footer keep the checksum of the bytes before it, by `docs/archive-format.md`.
const SELF_CHECKSUM_AT: usize = 56;

/// Larger archives are not read, only opened: what they claim costs more time than it finds.
const READ_BYTES_MAX: u64 = 1 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut config = Config::default();
    config.backend = Backend::Cpu;
    config.io_threads = 1;
    config.decode_threads = 1;
    Runtime::new(config).expect("a runtime with one thread of each kind")
});

/// Writes the input to a file, opens it, and reads what is in it.
pub fn target(data: &[u8]) {
    let path = path();
    std::fs::write(&path, sealed(data)).expect("the temporary folder takes a small file");
    read(&path);
    std::fs::remove_file(&path).expect("written just now");
}

/// One file for each process: targets run one input at a time.
fn path() -> PathBuf {
    std::env::temp_dir().join(format!("ds-fuzz-{}", std::process::id()))
}

/// How many chunks were read and were as the index says.
fn read(path: &Path) -> usize {
    let archive = match Archive::open("fuzz", path) {
        Ok(archive) => archive,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return 0;
        }
    };
    if archive.index.bytes() > READ_BYTES_MAX {
        return 0;
    }
    let window = Window {
        batch_bytes: READ_BYTES_MAX as usize,
        batch_pieces: 8,
        batches: 2,
    };
    let mut stream = Stream::new(&RUNTIME, window).expect("a queue");
    let mut next = 0;
    let result = archive.read_all("fuzz", &mut stream, |number, bytes| {
        let chunk = &archive.index.chunks[number];
        assert_eq!(
            (number, bytes.len(), checksum(bytes)),
            (next, chunk.bytes as usize, chunk.checksum)
        );
        next += 1;
        Ok(())
    });
    assert!(
        result.is_err() || next == archive.index.chunks.len(),
        "a chunk is missing"
    );
    next
}

/// The input with the checksums of index, footer and header made right, as far as there is room for them.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    if data.len() < HEADER_BYTES + FOOTER_BYTES {
        return data;
    }
    let footer_at = data.len() - FOOTER_BYTES;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| data[at + byte]));
    let start = usize::try_from(number(footer_at + 8)).unwrap_or(usize::MAX);
    let index_sum = data.get(start..footer_at).map(checksum);
    if let Some(sum) = index_sum {
        data[footer_at + 24..][..8].copy_from_slice(&sum.to_le_bytes());
    }
    for block in [0, footer_at] {
        let sum = checksum(&data[block..block + SELF_CHECKSUM_AT]);
        data[block + SELF_CHECKSUM_AT..][..8].copy_from_slice(&sum.to_le_bytes());
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_read_to_its_end() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/archive_file/");
        for (name, chunks) in [("tree", 2), ("zeros", 2), ("empty", 0)] {
            let path = format!("{folder}{name}.image");
            assert_eq!(read(path.as_ref()), chunks, "{name}");
            let data = std::fs::read(&path).expect("a seed");
            assert!(sealed(&data) == data, "{name}: nothing was wrong with it");
        }
    }
}
