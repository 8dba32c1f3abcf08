//! Every path of the decoder at once: what one of them answers, all must.
//!
//! Inputs lie in boxes of exactly their size, for the sanitizers; outputs between guard bytes.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "each test program uses its own part")]

use std::sync::Once;

use ds_core::gdeflate::{DecodeError, Decoder, Path};

const GUARD: [u8; 64] = [0xA5; 64];

/// A decoder for each path that this machine can take, the portable one first.
pub(crate) struct Decoders(Vec<(Path, Decoder)>);

impl Decoders {
    /// Says loudly which paths are missing, once a program.
    pub(crate) fn new() -> Self {
        static SAID: Once = Once::new();
        let decoders: Vec<_> = Path::ALL
            .into_iter()
            .filter_map(|path| Some((path, Decoder::with_path(path)?)))
            .collect();
        SAID.call_once(|| {
            for path in Path::ALL {
                if !decoders.iter().any(|(have, _)| *have == path) {
                    eprintln!("SKIPPED: this machine cannot take the path {}", path.name());
                }
            }
        });
        assert_eq!(decoders[0].0, Path::Portable);
        Self(decoders)
    }

    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut (Path, Decoder)> {
        self.0.iter_mut()
    }

    /// Decodes a tile to exactly `bytes` bytes, if it does, on every path.
    pub(crate) fn decode(&mut self, tile: &[u8], bytes: usize) -> Result<Vec<u8>, DecodeError> {
        let tile: Box<[u8]> = tile.into();
        let mut results = self.0.iter_mut().map(|(path, decoder)| {
            let mut guarded = [&GUARD[..], &vec![0xEE; bytes], &GUARD].concat();
            let output = &mut guarded[GUARD.len()..][..bytes];
            let result = decoder.decode_tile(&tile, output);
            let output = output.to_vec();
            let name = path.name();
            assert!(
                guarded.starts_with(&GUARD),
                "{name}: a write before the output"
            );
            assert!(
                guarded.ends_with(&GUARD),
                "{name}: a write behind the output"
            );
            (name, result.map(|()| output))
        });
        let (_, portable) = results.next().expect("the portable path is always there");
        for (name, result) in results {
            assert!(
                result == portable,
                "{name}: {:?} where the portable path has {:?}",
                result.map(|output| output.len()),
                portable.map(|output| output.len()),
            );
        }
        portable
    }
}
