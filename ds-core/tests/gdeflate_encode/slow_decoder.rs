//! A decoder written from the format's description alone, for clearness and strictness, never for speed.
//!
//! Beyond decoding it checks what the encoder promises: complete codes (or an unused, empty distance code),
//! no symbol 286 or 287, an end-of-block codeword, no distance or length out of the tile, and a tile of
//! exactly the words that decoding reads.

#![forbid(unsafe_code)]

const LANES: usize = 32;

/// What a tile was made of.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) stored: usize,
    pub(crate) fixed: usize,
    pub(crate) dynamic: usize,
    pub(crate) longest_match: usize,
    pub(crate) farthest_match: usize,
    pub(crate) longest_codeword: usize,
}

struct Lanes<'a> {
    tile: &'a [u8],
    words_read: usize,
    /// Per lane the bits not yet taken, next one first.
    bits: Vec<std::collections::VecDeque<bool>>,
}

impl<'a> Lanes<'a> {
    fn new(tile: &'a [u8]) -> Result<Self, String> {
        let mut lanes = Lanes {
            tile,
            words_read: 0,
            bits: vec![Default::default(); LANES],
        };
        for lane in 0..LANES {
            lanes.refill(lane)?;
        }
        Ok(lanes)
    }

    /// After each operation: a lane with fewer than 32 bits takes the next word.
    fn refill(&mut self, lane: usize) -> Result<(), String> {
        if self.bits[lane].len() < 32 {
            let at = self.words_read * 4;
            let word = self.tile.get(at..at + 4).ok_or("tile ends early")?;
            let word = u32::from_le_bytes(word.try_into().unwrap());
            self.words_read += 1;
            self.bits[lane].extend((0..32).map(|bit| word >> bit & 1 == 1));
        }
        Ok(())
    }

    fn take(&mut self, lane: usize, count: usize) -> usize {
        (0..count)
            .map(|bit| usize::from(self.bits[lane].pop_front().unwrap()) << bit)
            .sum()
    }
}

/// A canonical code as (length, codeword, symbol).
struct Code(Vec<(usize, usize, usize)>);

impl Code {
    fn new(lengths: &[usize], may_be_empty: bool) -> Result<Code, String> {
        let mut by_length: Vec<(usize, usize)> = lengths
            .iter()
            .enumerate()
            .filter(|(_, length)| **length != 0)
            .map(|(symbol, &length)| (length, symbol))
            .collect();
        by_length.sort_unstable();
        if by_length.is_empty() && may_be_empty {
            return Ok(Code(Vec::new()));
        }
        let space: usize = by_length.iter().map(|(length, _)| 1 << (15 - length)).sum();
        if space != 1 << 15 {
            return Err(format!("code space is {space} of 32768"));
        }
        let (mut word, mut previous) = (0, 0);
        let words = by_length.into_iter().map(|(length, symbol)| {
            word <<= length - previous;
            previous = length;
            word += 1;
            (length, word - 1, symbol)
        });
        Ok(Code(words.collect()))
    }

    fn take(&self, lanes: &mut Lanes<'_>, lane: usize) -> Result<usize, String> {
        let (mut word, mut length) = (0, 0);
        loop {
            word = word << 1 | lanes.take(lane, 1);
            length += 1;
            if let Some(found) = self
                .0
                .iter()
                .find(|entry| (entry.0, entry.1) == (length, word))
            {
                return Ok(found.2);
            }
            if length == 15 {
                return Err("not a codeword".into());
            }
        }
    }

    fn longest(&self) -> usize {
        self.0.last().map_or(0, |entry| entry.0)
    }
}

/// Base and extra bits of a length symbol.
fn length_of(symbol: usize) -> (usize, usize) {
    match symbol {
        257..=264 => (symbol - 254, 0),
        265..=284 => {
            let (group, step) = ((symbol - 261) / 4, (symbol - 261) % 4);
            (3 + ((4 + step) << group), group)
        }
        285 => (3, 16),
        _ => unreachable!("refused before"),
    }
}

/// Base and extra bits of a distance symbol.
fn distance_of(symbol: usize) -> (usize, usize) {
    if symbol < 4 {
        (symbol + 1, 0)
    } else {
        (1 + ((2 + symbol % 2) << (symbol / 2 - 1)), symbol / 2 - 1)
    }
}

fn dynamic_codes(lanes: &mut Lanes<'_>) -> Result<(Code, Code), String> {
    const ORDER: [usize; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let litlen_len = lanes.take(0, 5) + 257;
    let distance_len = lanes.take(0, 5) + 1;
    let precode_len = lanes.take(0, 4) + 4;
    lanes.refill(0)?;
    let mut precode_lengths = [0; 19];
    for (lane, &symbol) in ORDER[..precode_len].iter().enumerate() {
        precode_lengths[symbol] = lanes.take(lane, 3);
        lanes.refill(lane)?;
    }
    let precode = Code::new(&precode_lengths, false)?;
    let mut lengths = Vec::new();
    for lane in (0..LANES).cycle() {
        if lengths.len() >= litlen_len + distance_len {
            break;
        }
        let (value, count) = match precode.take(lanes, lane)? {
            16 => (
                *lengths.last().ok_or("repeats nothing")?,
                3 + lanes.take(lane, 2),
            ),
            17 => (0, 3 + lanes.take(lane, 3)),
            18 => (0, 11 + lanes.take(lane, 7)),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(value, count));
        lanes.refill(lane)?;
    }
    if lengths.len() != litlen_len + distance_len {
        return Err("run of lengths passes the end".into());
    }
    let (litlen, distance) = lengths.split_at(litlen_len);
    if litlen[256] == 0
        || litlen[286.min(litlen_len)..]
            .iter()
            .any(|&length| length != 0)
    {
        return Err("no end of block, or a symbol that does not exist".into());
    }
    Ok((Code::new(litlen, false)?, Code::new(distance, true)?))
}

fn symbols(
    lanes: &mut Lanes<'_>,
    litlen: &Code,
    distance: &Code,
    out: &mut Vec<u8>,
    seen: &mut Seen,
) -> Result<(), String> {
    let mut pending: [Option<(usize, usize)>; LANES] = [None; LANES];
    let mut copy =
        |lanes: &mut Lanes<'_>, lane: usize, (start, length): (usize, usize), out: &mut Vec<u8>| {
            let (base, extra) = distance_of(distance.take(lanes, lane)?);
            let far = base + lanes.take(lane, extra);
            lanes.refill(lane)?;
            if far > start {
                return Err(format!("distance {far} at {start}"));
            }
            (start..start + length).for_each(|at| out[at] = out[at - far]);
            seen.farthest_match = seen.farthest_match.max(far);
            seen.longest_match = seen.longest_match.max(length);
            Ok::<(), String>(())
        };
    for lane in (0..LANES).cycle() {
        if let Some(reserved) = pending[lane].take() {
            copy(lanes, lane, reserved, out)?;
            continue;
        }
        match litlen.take(lanes, lane)? {
            literal @ 0..=255 => out.push(literal as u8),
            256 => {
                lanes.refill(lane)?;
                for later in (1..LANES).map(|step| (lane + step) % LANES) {
                    if let Some(reserved) = pending[later].take() {
                        copy(lanes, later, reserved, out)?;
                    }
                }
                return Ok(());
            }
            286.. => return Err("symbol 286 or 287".into()),
            symbol => {
                let (base, extra) = length_of(symbol);
                let length = base + lanes.take(lane, extra);
                pending[lane] = Some((out.len(), length));
                out.resize(out.len() + length, 0xEE);
            }
        }
        lanes.refill(lane)?;
        if out.len() > 65_536 {
            return Err("more than a tile".into());
        }
    }
    unreachable!("an endless loop")
}

/// Decodes a raw tile and says what it was made of.
pub(crate) fn decode(tile: &[u8]) -> Result<(Vec<u8>, Seen), String> {
    let mut lanes = Lanes::new(tile)?;
    let (mut out, mut seen, mut last) = (Vec::new(), Seen::default(), false);
    while !last {
        last = lanes.take(0, 1) == 1;
        let kind = lanes.take(0, 2);
        lanes.refill(0)?;
        let (litlen, distance) = match kind {
            0 => {
                seen.stored += 1;
                let count = lanes.take(0, 16);
                for lane in (0..LANES).cycle().take(count) {
                    out.push(lanes.take(lane, 8) as u8);
                    lanes.refill(lane)?;
                }
                continue;
            }
            1 => {
                seen.fixed += 1;
                let lengths: Vec<usize> = [(144, 8), (112, 9), (24, 7), (8, 8)]
                    .iter()
                    .flat_map(|&(count, length)| std::iter::repeat_n(length, count))
                    .collect();
                (Code::new(&lengths, false)?, Code::new(&[5; 32], false)?)
            }
            2 => {
                seen.dynamic += 1;
                dynamic_codes(&mut lanes)?
            }
            _ => return Err("block type 3".into()),
        };
        seen.longest_codeword = seen
            .longest_codeword
            .max(litlen.longest())
            .max(distance.longest());
        symbols(&mut lanes, &litlen, &distance, &mut out, &mut seen)?;
    }
    if lanes.words_read * 4 != tile.len() {
        return Err(format!(
            "{} bytes, of which {} are read",
            tile.len(),
            lanes.words_read * 4
        ));
    }
    Ok((out, seen))
}
