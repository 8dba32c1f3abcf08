//! The codecs of other projects, where they are linked in.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ds_bench_peers::{Decoder, Encoder, Peer, Tiles};
use ds_tool::{Error, Result};

use super::WHAT;
use super::codec::{Codec, Decode, Encode, Packed, Reads};

/// Each of them.
pub(super) fn all() -> impl Iterator<Item = Box<dyn Codec>> {
    Peer::ALL
        .into_iter()
        .map(|peer| -> Box<dyn Codec> { Box::new(peer) })
}

impl Codec for Peer {
    fn name(&self) -> &str {
        Peer::name(*self)
    }

    fn reads(&self) -> Reads {
        if self.is_gdeflate() {
            Reads::Engine
        } else {
            Reads::Own
        }
    }

    fn levels(&self) -> Option<RangeInclusive<u8>> {
        Some(Peer::levels(*self))
    }

    fn level_like(&self, level: u8) -> u8 {
        Peer::level_like(*self, level)
    }

    fn encoder(&self, level: u8) -> Result<Box<dyn Encode>> {
        let encoder = Peer::encoder(*self, level).map_err(|why| Error::plain(WHAT, why))?;
        Ok(Box::new(encoder))
    }

    fn decoder(&self, packed: &Arc<Packed>) -> Result<Box<dyn Decode>> {
        let tiles = Arc::new(Tiles::new(packed.iter()));
        let decoder = Peer::decoder(*self, &tiles).map_err(|why| Error::plain(WHAT, why))?;
        Ok(Box::new(decoder))
    }
}

impl Encode for Encoder {
    fn encode(&mut self, tile: &[u8]) -> Option<&[u8]> {
        Encoder::encode(self, tile)
    }
}

impl Decode for Decoder {
    fn decode(&mut self, index: usize, output: &mut [u8]) -> bool {
        Decoder::decode(self, index, output)
    }
}
