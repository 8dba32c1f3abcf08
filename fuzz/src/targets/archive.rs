//! Any bytes as the index of an archive, under any layout.
//!
//! Beside not failing: what parses is written back as the same bytes, and keeps what unpacking trusts: plain
//! relative paths, each once and in a folder listed before, and chunks that lie between header and index
//! without overlap.

#![forbid(unsafe_code)]

use std::collections::HashSet;

use ds_tool::archive::format::{HEADER_BYTES, Index, Kind, Layout, parse_index};

/// The layout's numbers, before the index: chunk size, index offset, counts of entries and chunks.
const LAYOUT_BYTES: usize = 4 + 3 * 8;

/// Parses the input, and checks what was let through.
pub fn target(data: &[u8]) {
    let _ = parse(data);
}

/// What the input lists, if it parses.
fn parse(data: &[u8]) -> Option<Index> {
    let (numbers, index_bytes) = data.split_first_chunk::<LAYOUT_BYTES>()?;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| numbers[at + byte]));
    let layout = Layout {
        chunk_bytes: u32::from_le_bytes(std::array::from_fn(|byte| numbers[byte])),
        index_offset: number(4),
        index_bytes: index_bytes.len() as u64,
        index_checksum: 0,
        entry_count: number(12),
        chunk_count: number(20),
    };
    let index = match parse_index(index_bytes, &layout) {
        Ok(index) => index,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    assert!(index.to_bytes() == index_bytes, "written, it is another");
    assert_eq!(index.entries.len() as u64, layout.entry_count);
    assert_eq!(index.chunks.len() as u64, layout.chunk_count);
    check_paths(&index);
    check_chunks(&index, &layout);
    Some(index)
}

/// The rules of unpacking once more, in other words than the parser's.
fn check_paths(index: &Index) {
    let (mut all, mut folders) = (HashSet::new(), HashSet::new());
    for entry in &index.entries {
        let names: Vec<&[u8]> = entry.path.split(|&byte| byte == b'/').collect();
        for name in &names {
            assert!(!name.is_empty() && !matches!(*name, b"." | b".."));
            assert!(!name.contains(&0));
        }
        assert!(all.insert(&entry.path), "a path occurs twice");
        let parent = names[..names.len() - 1].join(&b'/');
        assert!(parent.is_empty() || folders.contains(&parent));
        match &entry.kind {
            Kind::Folder => drop(folders.insert(entry.path.to_vec())),
            Kind::Link { target } => assert!(!target.is_empty() && !target.contains(&0)),
            Kind::File { .. } => {}
        }
    }
}

fn check_chunks(index: &Index, layout: &Layout) {
    let mut free = HEADER_BYTES as u64;
    for chunk in &index.chunks {
        assert!(chunk.offset >= free && chunk.stored_bytes <= chunk.bytes);
        free = chunk.offset + u64::from(chunk.stored_bytes);
    }
    assert!(free <= layout.index_offset, "a chunk overlaps the index");
    let mut next = 0;
    for entry in &index.entries {
        if let Kind::File { bytes, chunks } = &entry.kind {
            let of_file = &index.chunks[chunks.clone()];
            let sum: u64 = of_file.iter().map(|chunk| u64::from(chunk.bytes)).sum();
            assert_eq!((chunks.start, sum), (next, *bytes));
            next = chunks.end;
        }
    }
    assert_eq!(next, index.chunks.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_parses() {
        let seed = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/archive/");
            let data = std::fs::read(format!("{folder}{name}.index")).expect("a seed");
            parse(&data).expect("an index").entries.len()
        };
        assert_eq!(["tree", "zeros", "empty"].map(seed), [7, 3, 1]);
    }
}
