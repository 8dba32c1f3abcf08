//! The tile decoder: blocks, their headers, and the symbol phase.
//!
//! Works in rounds, as the format does: in a round each of the 32 lanes performs one operation.
//! Lanes do not depend on each other within a round but for the order of their words, so the
//! symbol phase is free of branches on data except for three rare things: a long codeword, the
//! end of a block, and an error. What it finds goes to lists; sequences.rs makes output of it.
//!
//! Promises
//! - Every byte of the output is written exactly as the tile says, or an error is returned.
//! - Work is bounded by the tile's size and the output's: every operation takes at least one bit,
//!   and a batch that does not fit into the output ends the tile.
#![forbid(unsafe_code)]

use std::mem::MaybeUninit;

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::huffman::{
    DISTANCE_SYMBOLS_MAX, Entry, LITERAL_SYMBOLS_MAX, PRECODE_SYMBOLS, Precode, TableError, Tables,
};
use super::lanes::{Lane, WINDOW_WORDS, Window, Words};
use super::output::{Output, Room};
use super::path::Path;
use super::sequences::{BATCH_ROUNDS, Batch, Counts};
use super::stream::{HeaderPolicy, TileStream};
use super::{DecodeError, LANES, TILE_BYTES, TILE_COMPRESSED_BYTES_MAX, TILE_COMPRESSED_BYTES_MIN};

/// Decodes tiles, one at a time. Holds only scratch: tables and lists that are worth reusing.
pub struct Decoder(Inner);

enum Inner {
    Portable(Box<Scratch>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Box<Scratch>, Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Box<avx512::Scratch>),
}

/// All that the hot loop uses, in one place: one register addresses it.
struct Scratch {
    lanes: [Lane; LANES],
    tables: Tables,
    batch: Batch,
}

impl Decoder {
    /// A decoder on the path that is [`Path::chosen`]. The only place where decoding allocates.
    pub fn new() -> Self {
        Self::with_path(Path::chosen()).expect("a path that is not there is not chosen")
    }

    /// A decoder on this path, if the machine can take it.
    pub fn with_path(path: Path) -> Option<Self> {
        if !path.is_available() {
            return None;
        }
        let inner = match path {
            Path::Portable => Inner::Portable(Box::new(Scratch::EMPTY)),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => Inner::Avx2(Box::new(Scratch::EMPTY), Avx2::new()?),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => Inner::Avx512(avx512::Scratch::new()?),
            #[cfg(not(target_arch = "x86_64"))]
            Path::Avx2 | Path::Avx512 => return None,
        };
        Some(Self(inner))
    }

    /// Decodes one raw tile, without any header, into `output`, whose length (1..=65,536) must be
    /// exactly what the tile holds. Padding at the end of the tile is ignored, and so is whatever is
    /// behind its first [`TILE_COMPRESSED_BYTES_MAX`] bytes.
    ///
    /// On an error the content of `output` is unspecified.
    pub fn decode_tile(&mut self, tile: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
        self.decode(tile, output.into()).map(|_| ())
    }

    /// The same into memory that need not have values before, and has them on success: the answer is all of
    /// `output`. On an error it may have some or none.
    pub fn decode_tile_uninit<'a>(
        &mut self,
        tile: &[u8],
        output: &'a mut [MaybeUninit<u8>],
    ) -> Result<&'a mut [u8], DecodeError> {
        self.decode(tile, output.into())
    }

    pub(super) fn decode<'a>(
        &mut self,
        tile: &[u8],
        output: Room<'a>,
    ) -> Result<&'a mut [u8], DecodeError> {
        if output.len() == 0 || output.len() > TILE_BYTES {
            return Err(DecodeError::OutputBytes);
        }
        let (words, odd) = tile.as_chunks::<4>();
        if tile.len() < TILE_COMPRESSED_BYTES_MIN || !odd.is_empty() {
            return Err(DecodeError::TileBytes);
        }
        let words = &words[..words.len().min(TILE_COMPRESSED_BYTES_MAX / 4)];
        match &mut self.0 {
            Inner::Portable(scratch) => decode_tile(scratch, Plain, words, output),
            #[cfg(target_arch = "x86_64")]
            Inner::Avx2(scratch, avx2) => decode_tile(scratch, *avx2, words, output),
            #[cfg(target_arch = "x86_64")]
            Inner::Avx512(scratch) => scratch.decode(words, output),
        }
    }
}

impl Scratch {
    const EMPTY: Self = Self {
        lanes: [Lane::EMPTY; LANES],
        tables: Tables::EMPTY,
        batch: Batch::EMPTY,
    };
}

/// How the two hot loops are compiled.
pub(super) trait Hot: Copy {
    /// Calls [`Tile::fill_batch_inline`].
    fn fill_batch<const LITERAL_RUNS: bool>(self, tile: &mut Tile<'_, '_, Self>) -> BatchEnd;
    /// Calls [`Output::execute_inline`].
    fn execute(self, output: &mut Output<'_>, batch: &mut Batch) -> Result<(), DecodeError>;
}

/// For any processor of the architecture.
#[derive(Clone, Copy)]
struct Plain;

impl Hot for Plain {
    fn fill_batch<const LITERAL_RUNS: bool>(self, tile: &mut Tile<'_, '_, Self>) -> BatchEnd {
        tile.fill_batch_inline::<LITERAL_RUNS>()
    }

    fn execute(self, output: &mut Output<'_>, batch: &mut Batch) -> Result<(), DecodeError> {
        output.execute_inline(batch)
    }
}

/// The portable path, and the one of the same code for newer processors.
fn decode_tile<'a, H: Hot>(
    scratch: &mut Scratch,
    hot: H,
    words: &[[u8; 4]],
    output: Room<'a>,
) -> Result<&'a mut [u8], DecodeError> {
    scratch.batch.counts = Default::default();
    let mut tile = Tile {
        words: Words::new(words),
        scratch,
        hot,
        tables_are_static: false,
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

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Decodes a whole tile stream on the calling thread. `output` must have exactly the stream's
/// uncompressed size.
pub fn decompress(
    stream: &[u8],
    output: &mut [u8],
    policy: HeaderPolicy,
) -> Result<(), DecodeError> {
    let stream = TileStream::parse(stream, policy)?;
    if stream.uncompressed_bytes() != output.len() as u64 {
        return Err(DecodeError::OutputBytes);
    }
    let mut decoder = Decoder::new();
    for (index, output) in output.chunks_mut(TILE_BYTES).enumerate() {
        decoder.decode_tile(stream.tile(index)?, output)?;
    }
    Ok(())
}

/// Bytes of four rounds of a stored block: one word of each lane.
const ROUNDS_BYTES: usize = 4 * LANES;

/// A tile being decoded.
pub(super) struct Tile<'s, 'a, H> {
    words: Words<'s>,
    scratch: &'s mut Scratch,
    hot: H,
    /// Whether `scratch.tables` holds the static codes: a tile of thousands of tiny static blocks must not
    /// build them thousands of times.
    tables_are_static: bool,
    output: Output<'a>,
}

/// Why a batch ended.
pub(super) enum BatchEnd {
    /// It is full.
    Full,
    /// This lane came upon this entry, which is not a value, and has not used it up yet.
    Special(usize, Entry),
}

impl<H: Hot> Tile<'_, '_, H> {
    fn blocks(&mut self) -> Result<(), DecodeError> {
        self.words.fill(&mut self.scratch.lanes);
        loop {
            let header = self.words.take(&mut self.scratch.lanes[0], 3);
            match header >> 1 {
                0 => self.stored_block()?,
                1 => {
                    if !self.tables_are_static {
                        self.scratch.tables.set_static();
                        self.tables_are_static = true;
                    }
                    self.compressed_block()?;
                }
                2 => {
                    self.tables_are_static = false;
                    self.dynamic_header()?;
                    self.compressed_block()?;
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

    /// Bytes as they are, one from each lane in turn.
    fn stored_block(&mut self) -> Result<(), DecodeError> {
        let bytes = self.words.take(&mut self.scratch.lanes[0], 16) as usize;
        if bytes > self.output.room_bytes() {
            return Err(DecodeError::OutputOverflow);
        }
        // Four rounds at a time take 32 bits, and so exactly one word, from each lane; every lane
        // is then where it was. Which of the four rounds takes a lane's word never changes, nor
        // does the order of the words.
        let order = stored_order(&self.scratch.lanes);
        for _ in 0..bytes / ROUNDS_BYTES {
            if self.words.overrun() {
                return Err(DecodeError::TileTruncated);
            }
            let block = self.output.zeros::<ROUNDS_BYTES>()?;
            let window = self.words.window();
            for (i, lane) in self.scratch.lanes.iter_mut().enumerate() {
                let word = u32::from_le_bytes(window[usize::from(order[i]) % WINDOW_WORDS]);
                let bytes = (lane.bits as u32).to_le_bytes();
                lane.bits = lane.bits >> 32 | u64::from(word) << (lane.held() - 32);
                for (round, byte) in bytes.into_iter().enumerate() {
                    block[round * LANES + i] = byte;
                }
            }
            self.words.advance(LANES);
        }
        let mut rest = [0; ROUNDS_BYTES];
        let rest = &mut rest[..bytes % ROUNDS_BYTES];
        for (i, byte) in rest.iter_mut().enumerate() {
            *byte = self.words.take(&mut self.scratch.lanes[i % LANES], 8) as u8;
        }
        self.output.put(rest)
    }

    /// Code lengths, themselves compressed, and the tables made from them.
    fn dynamic_header(&mut self) -> Result<(), DecodeError> {
        /// The order in which precode lengths are sent: likely ones first.
        const ORDER: [usize; PRECODE_SYMBOLS] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];

        let counts = self.words.take(&mut self.scratch.lanes[0], 14) as usize;
        let literal_count = 257 + (counts & 31);
        let distance_count = 1 + (counts >> 5 & 31);
        let precode_count = 4 + (counts >> 10);

        let mut precode_lengths = [0; PRECODE_SYMBOLS];
        for (lane, symbol) in self.scratch.lanes.iter_mut().zip(&ORDER[..precode_count]) {
            precode_lengths[*symbol] = self.words.take(lane, 3) as u8;
        }
        let precode = Precode::new(&precode_lengths).map_err(|_| DecodeError::Precode)?;

        let mut lengths = [0; LITERAL_SYMBOLS_MAX + DISTANCE_SYMBOLS_MAX];
        let lengths = &mut lengths[..literal_count + distance_count];
        self.code_lengths(&precode, lengths)?;
        let (literals, distances) = lengths.split_at(literal_count);
        self.scratch
            .tables
            .set(literals, distances)
            .map_err(|error| match error {
                TableError::NoEndOfBlock => DecodeError::NoEndOfBlock,
                TableError::Literal => DecodeError::LiteralCode,
                TableError::Distance => DecodeError::DistanceCode,
            })
    }

    fn code_lengths(&mut self, precode: &Precode, lengths: &mut [u8]) -> Result<(), DecodeError> {
        let mut at = 0;
        let mut lane = 0;
        while at < lengths.len() {
            let bits = self.scratch.lanes[lane].bits;
            let entry = precode.entry(bits);
            let value = entry.value(bits);
            // Not the entry itself: its flags must not look like a length to the symbol phase.
            self.words.take(&mut self.scratch.lanes[lane], entry.bits());
            lane = (lane + 1) % LANES;
            if entry.is(Entry::SPECIAL) {
                return Err(DecodeError::Precode);
            }
            if entry.is(Entry::LITERAL) {
                lengths[at] = value as u8;
                at += 1;
                continue;
            }
            let run = value as usize;
            // The surplus of a run that passes the end is an error here, as in DEFLATE.
            let repeated = match entry.is(Entry::LENGTH) {
                true => *lengths[..at].last().ok_or(DecodeError::CodeLengths)?,
                false => 0,
            };
            lengths
                .get_mut(at..at + run)
                .ok_or(DecodeError::CodeLengths)?
                .fill(repeated);
            at += run;
        }
        Ok(())
    }

    /// The symbols of a block, in batches.
    fn compressed_block(&mut self) -> Result<(), DecodeError> {
        loop {
            let end = match self.scratch.batch.mostly_literals() {
                true => self.hot.fill_batch::<true>(self),
                false => self.hot.fill_batch::<false>(self),
            };
            match end {
                BatchEnd::Full => {}
                BatchEnd::Special(lane, entry) if entry.is(Entry::END) => {
                    self.words.finish(&mut self.scratch.lanes[lane], entry);
                    self.end_of_block(lane)?;
                    return self.hot.execute(&mut self.output, &mut self.scratch.batch);
                }
                BatchEnd::Special(..) => return Err(DecodeError::Symbol),
            }
            if self.words.overrun() {
                return Err(DecodeError::TileTruncated);
            }
            self.hot
                .execute(&mut self.output, &mut self.scratch.batch)?;
        }
    }

    /// The hot loop: rounds until the batch is full or something ends it.
    ///
    /// With `LITERAL_RUNS`, lanes are tried four at a time as literals. That halves the work where
    /// it succeeds, and costs a misprediction where it does not: only for data that is nearly all
    /// literals.
    #[inline(always)]
    pub(super) fn fill_batch_inline<const LITERAL_RUNS: bool>(&mut self) -> BatchEnd {
        let Self { words, scratch, .. } = self;
        let Scratch {
            lanes,
            tables,
            batch,
        } = &mut **scratch;
        let mut counts = batch.counts;
        let mut end = BatchEnd::Full;
        'batch: for _ in 0..BATCH_ROUNDS {
            let window = words.window();
            let mut taken = 0;
            // By index, not by iterator: registers are scarce here, and `i` is needed anyway.
            let mut i = 0;
            while i < LANES {
                if LITERAL_RUNS && i % RUN_LANES == 0 {
                    let run = lanes[i..].first_chunk_mut().expect("a multiple of lanes");
                    if let Some(words) = literal_run(run, tables, batch, &mut counts, window, taken)
                    {
                        taken = words;
                        i += RUN_LANES;
                        continue;
                    }
                }
                let mut lane = lanes[i];
                let mut entry = tables.first(lane.bits, lane.state);
                if entry.is(Entry::SPECIAL) {
                    if entry.is(Entry::SECOND) {
                        entry = tables.second(entry, lane.bits);
                    }
                    if entry.is(Entry::SPECIAL) {
                        end = BatchEnd::Special(i, entry);
                        words.advance(taken);
                        break 'batch;
                    }
                }
                batch.put(&counts, entry.value(lane.bits));
                counts.add(entry, lane.state);
                let word = u32::from_le_bytes(window[taken % WINDOW_WORDS]);
                taken += lane.advance(entry, word);
                lanes[i] = lane;
                i += 1;
            }
            words.advance(taken);
        }
        batch.counts = counts;
        end
    }

    /// The distances still due when `lane` ended the block: of the round before in the lanes after
    /// it, of this round in the lanes before it.
    fn end_of_block(&mut self, lane: usize) -> Result<(), DecodeError> {
        let Scratch {
            lanes,
            tables,
            batch,
        } = &mut *self.scratch;
        for i in lane + 1..lane + LANES {
            let lane = &mut lanes[i % LANES];
            if !lane.distance_due() {
                continue;
            }
            let mut entry = tables.first(lane.bits, lane.state);
            if entry.is(Entry::SECOND) {
                entry = tables.second(entry, lane.bits);
            }
            if entry.is(Entry::SPECIAL) {
                return Err(DecodeError::Symbol);
            }
            let mut counts = batch.counts;
            batch.put(&counts, entry.value(lane.bits));
            counts.add(entry, lane.state);
            batch.counts = counts;
            self.words.finish(lane, entry);
        }
        Ok(())
    }
}

/// Lanes tried together as literals.
const RUN_LANES: usize = 4;

/// Performs the operations of these lanes if all of them are literals with short codewords, and
/// returns how many words of the window are then taken.
#[inline(always)]
fn literal_run(
    lanes: &mut [Lane; RUN_LANES],
    tables: &Tables,
    batch: &mut Batch,
    counts: &mut Counts,
    window: &Window,
    mut taken: usize,
) -> Option<usize> {
    let entries = lanes.map(|lane| tables.first(lane.bits, lane.state));
    let all = entries.iter().fold(u32::MAX, |all, entry| all & entry.0);
    let any = entries.iter().fold(0, |any, entry| any | entry.0);
    if all & Entry::LITERAL == 0 || any & Entry::SPECIAL != 0 {
        return None;
    }
    batch.put_literals(counts, entries.map(Entry::literal));
    for (lane, entry) in lanes.iter_mut().zip(entries) {
        let word = u32::from_le_bytes(window[taken % WINDOW_WORDS]);
        taken += lane.advance(entry, word);
    }
    Some(taken)
}

/// For a stored block: which of the next 32 words each lane takes. A lane takes its word in the
/// round in which it falls below 32 bits; within a round lanes take words in order.
fn stored_order(lanes: &[Lane; LANES]) -> [u8; LANES] {
    let mut order = [0; LANES];
    let mut next = 0;
    for round in 0..4 {
        for (lane, order) in lanes.iter().zip(&mut order) {
            if (lane.held() - 32) / 8 == round {
                *order = next;
                next += 1;
            }
        }
    }
    order
}
