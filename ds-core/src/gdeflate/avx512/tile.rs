//! A tile: its blocks, one after the other.
#![forbid(unsafe_code)]

use super::super::DecodeError;
use super::super::huffman::TableError;
use super::super::output::{Output, Room};
use super::batch::Batch;
use super::codes::{Codes, Lengths};
use super::lanes::Lanes;
use super::symbols::{BATCH_WORDS_MAX, BatchEnd, Rounds};
use super::words::Words;
use super::{LANES, Scratch, header, output, stored};

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn decode<'a>(
    scratch: &mut Scratch,
    tile: &[[u8; 4]],
    output: Room<'a>,
) -> Result<&'a mut [u8], DecodeError> {
    let Scratch {
        buffer,
        codes,
        batch,
    } = scratch;
    batch.clear();
    let mut tile = Tile {
        words: Words::new(buffer, tile),
        codes,
        batch,
        codes_are_static: false,
        output: Output::new(output),
    };
    let result = tile.blocks();
    if tile.words.overrun() {
        // Whatever went wrong, it was read from beyond the end.
        return Err(DecodeError::TileTruncated);
    }
    result?;
    tile.output.finish()
}

/// A tile being decoded.
struct Tile<'s, 'a> {
    words: Words<'s>,
    codes: &'s mut Codes,
    batch: &'s mut Batch,
    /// Whether `codes` holds the static codes: a tile of thousands of tiny static blocks must not
    /// make them thousands of times.
    codes_are_static: bool,
    output: Output<'a>,
}

impl Tile<'_, '_> {
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    fn blocks(&mut self) -> Result<(), DecodeError> {
        let mut lanes = Lanes::new(&mut self.words);
        loop {
            self.words.ensure(LANES);
            let header = lanes.take_first(&mut self.words, 3);
            match header >> 1 {
                0 => stored::copy(&mut lanes, &mut self.words, &mut self.output)?,
                1 => {
                    if !self.codes_are_static {
                        self.set_codes(&Lengths::STATIC)?;
                        self.codes_are_static = true;
                    }
                    lanes = self.compressed_block(lanes)?;
                }
                2 => {
                    self.codes_are_static = false;
                    let lengths = header::read(&mut lanes, &mut self.words)?;
                    self.set_codes(&lengths)?;
                    lanes = self.compressed_block(lanes)?;
                }
                _ => return Err(DecodeError::BlockType),
            }
            if self.words.overrun() {
                return Err(DecodeError::TileTruncated);
            }
            if header & 1 == 1 {
                return Ok(());
            }
        }
    }

    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    fn set_codes(&mut self, lengths: &Lengths) -> Result<(), DecodeError> {
        self.codes.set(lengths).map_err(|error| match error {
            TableError::NoEndOfBlock => DecodeError::NoEndOfBlock,
            TableError::Literal => DecodeError::LiteralCode,
            TableError::Distance => DecodeError::DistanceCode,
        })
    }

    /// The symbols of a block, in batches.
    #[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
    fn compressed_block(&mut self, lanes: Lanes) -> Result<Lanes, DecodeError> {
        let mut rounds = Rounds::new(lanes);
        loop {
            self.words.ensure(BATCH_WORDS_MAX);
            let end = rounds.fill(&mut self.words, self.codes, self.batch);
            match end {
                BatchEnd::Symbol => return Err(DecodeError::Symbol),
                BatchEnd::Full if self.words.overrun() => return Err(DecodeError::TileTruncated),
                BatchEnd::Full | BatchEnd::Block => {}
            }
            output::execute(self.batch, self.codes, &mut self.output)?;
            if let BatchEnd::Block = end {
                return Ok(rounds.lanes());
            }
        }
    }
}
