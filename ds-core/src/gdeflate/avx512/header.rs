//! The header of a dynamic block: code lengths, themselves compressed.
//!
//! A round of the lanes is decoded at once, and then walked in order, because a run's place depends
//! on all runs before it.
#![forbid(unsafe_code)]

use std::arch::x86_64::{
    _mm512_add_epi16, _mm512_and_si512, _mm512_andnot_si512, _mm512_gf2p8affine_epi64_epi8,
    _mm512_permutex2var_epi8, _mm512_permutexvar_epi16, _mm512_set1_epi16, _mm512_set1_epi64,
    _mm512_shldi_epi16, _mm512_shrdv_epi16, _mm512_sllv_epi16, _mm512_srli_epi16, _mm512_sub_epi16,
};

use super::super::DecodeError;
use super::super::huffman::{DISTANCE_SYMBOLS_MAX, LITERAL_SYMBOLS_MAX, PRECODE_SYMBOLS};
use super::codes::Lengths;
use super::lanes::Lanes;
use super::simd::{BYTES, HALVES, load, load_halves, store_halves};
use super::words::Words;
use super::{LANES, REVERSE_BYTE_BITS};

/// Longest codeword of the precode.
const PRECODE_BITS_MAX: usize = 7;
/// Bits of a precode entry that are the symbol; its codeword's length stands above them.
const SYMBOL_BITS: u32 = 5;

/// The precode: an entry for each pattern of 7 bits, the first bit highest.
struct Precode([u8; 1 << PRECODE_BITS_MAX]);

/// The order in which precode lengths are sent: likely ones first.
const ORDER: [usize; PRECODE_SYMBOLS] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
/// The precode symbols that stand for runs.
const REPEAT: u16 = 16;

/// Most code lengths of a header.
const LENGTHS_MAX: usize = LITERAL_SYMBOLS_MAX + DISTANCE_SYMBOLS_MAX;
/// Bytes written at once for a run, of which all but the longest are shorter.
const RUN_BYTES: usize = 8;

/// The most words that a header takes: an operation takes one at most, and there is one for the
/// counts, one for each length of the precode, and one for each length.
const HEADER_WORDS_MAX: usize = 1 + PRECODE_SYMBOLS + LENGTHS_MAX;

/// Reads the header behind the block's first three bits.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn read(lanes: &mut Lanes, words: &mut Words) -> Result<Lengths, DecodeError> {
    words.ensure(HEADER_WORDS_MAX);
    let counts = lanes.take_first(words, 14) as usize;
    let literal_count = 257 + (counts & 31);
    let distance_count = 1 + (counts >> 5 & 31);
    let precode_count = 4 + (counts >> 10);

    let precode = read_precode(lanes, words, precode_count)?;
    let mut list = [0; LENGTHS_MAX + RUN_BYTES];
    read_lengths(
        lanes,
        words,
        &precode,
        &mut list,
        literal_count + distance_count,
    )?;
    let mut lengths = Lengths {
        literals: [0; LITERAL_SYMBOLS_MAX],
        distances: [0; DISTANCE_SYMBOLS_MAX],
    };
    let (literals, rest) = list.split_at(literal_count);
    lengths.literals[..literal_count].copy_from_slice(literals);
    lengths.distances[..distance_count].copy_from_slice(&rest[..distance_count]);
    Ok(lengths)
}

#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
fn read_precode(
    lanes: &mut Lanes,
    words: &mut Words,
    count: usize,
) -> Result<Precode, DecodeError> {
    let mut shown = [0; HALVES];
    store_halves(&mut shown, _mm512_srli_epi16::<12>(lanes.window().first));
    let mut lengths = [0; PRECODE_SYMBOLS];
    for (bits, symbol) in shown.iter().zip(&ORDER[..count]) {
        // Three bits behind the one that was used, the first highest.
        lengths[*symbol] = [0, 4, 2, 6, 1, 5, 3, 7][usize::from(bits % 8)];
    }
    lanes.take(words, (1 << count) - 1, _mm512_set1_epi16(3));
    let precode = Precode::new(&lengths)?;
    if precode.0[0] == 0 {
        // No codeword at all: whoever uses it uses one bit, and it is an error.
        lanes.take(words, 1, _mm512_set1_epi16(1));
        return Err(DecodeError::Precode);
    }
    Ok(precode)
}

impl Precode {
    /// The code with these lengths; all zeros if it is the empty one.
    fn new(lengths: &[u8; PRECODE_SYMBOLS]) -> Result<Self, DecodeError> {
        let mut entries = [0; 1 << PRECODE_BITS_MAX];
        let mut at = 0;
        for bits in 1..=PRECODE_BITS_MAX {
            for (symbol, _) in (0..)
                .zip(lengths)
                .filter(|(_, of)| usize::from(**of) == bits)
            {
                let end = at + (1 << (PRECODE_BITS_MAX - bits));
                let entries = entries.get_mut(at..end).ok_or(DecodeError::Precode)?;
                entries.fill(symbol | (bits as u8) << SYMBOL_BITS);
                at = end;
            }
        }
        let (low, high) = entries.split_at_mut(1 << (PRECODE_BITS_MAX - 1));
        match at {
            128 | 0 => {}
            // One codeword of one bit, which stands for the other bit, too.
            64 if low[0] >> SYMBOL_BITS == 1 => high.copy_from_slice(low),
            _ => return Err(DecodeError::Precode),
        }
        Ok(Self(entries))
    }
}

/// Extra bits and shortest run of each precode symbol.
const EXTRA_BITS: [u16; HALVES] = {
    let mut bits = [0; HALVES];
    (bits[16], bits[17], bits[18]) = (2, 3, 7);
    bits
};
const RUNS: [u16; HALVES] = {
    let mut runs = [1; HALVES];
    (runs[16], runs[17], runs[18]) = (3, 3, 11);
    runs
};

/// Reads the first `count` code lengths. What is behind them in the list is zero.
#[target_feature(enable = "avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
fn read_lengths(
    lanes: &mut Lanes,
    words: &mut Words,
    precode: &Precode,
    list: &mut [u8; LENGTHS_MAX + RUN_BYTES],
    count: usize,
) -> Result<(), DecodeError> {
    let (entries, _) = precode.0.as_chunks::<BYTES>();
    let entries = [load(&entries[0]), load(&entries[1])];
    let (mut symbols, mut runs) = ([0; HALVES], [0; HALVES]);
    let (mut at, mut previous) = (0, None);
    while at < count {
        let window = lanes.window();
        let index = _mm512_srli_epi16::<8>(window.first);
        let entry = _mm512_permutex2var_epi8(entries[0], index, entries[1]);
        let symbol = _mm512_and_si512(entry, _mm512_set1_epi16((1 << SYMBOL_BITS) - 1));
        let bits = _mm512_and_si512(
            _mm512_srli_epi16::<SYMBOL_BITS>(entry),
            _mm512_set1_epi16(7),
        );
        let rest = _mm512_sub_epi16(_mm512_set1_epi16(15), bits);
        let extra = _mm512_shrdv_epi16(window.second, window.first, rest);
        let matrix = _mm512_set1_epi64(REVERSE_BYTE_BITS);
        let extra = _mm512_gf2p8affine_epi64_epi8::<0>(extra, matrix);
        let extra = _mm512_shldi_epi16::<8>(extra, extra);
        let extra_bits = _mm512_permutexvar_epi16(symbol, load_halves(&EXTRA_BITS));
        let others = _mm512_sllv_epi16(_mm512_set1_epi16(-1), extra_bits);
        let run = _mm512_permutexvar_epi16(symbol, load_halves(&RUNS));
        let run = _mm512_add_epi16(run, _mm512_andnot_si512(others, extra));
        store_halves(&mut symbols, symbol);
        store_halves(&mut runs, run);

        let mut used = 0;
        let mut result = Ok(());
        while used < LANES && at < count && result.is_ok() {
            result = append(
                list,
                count,
                &mut at,
                &mut previous,
                (symbols[used], runs[used]),
            );
            used += 1;
        }
        let active = u32::MAX >> (LANES - used);
        lanes.take(words, active, _mm512_add_epi16(bits, extra_bits));
        result?;
    }
    list[count..].fill(0);
    Ok(())
}

/// Performs one precode symbol.
#[inline(always)]
fn append(
    list: &mut [u8; LENGTHS_MAX + RUN_BYTES],
    count: usize,
    at: &mut usize,
    previous: &mut Option<u8>,
    (symbol, run): (u16, u16),
) -> Result<(), DecodeError> {
    let run = usize::from(run);
    let length = match symbol {
        0..REPEAT => symbol as u8,
        REPEAT => previous.ok_or(DecodeError::CodeLengths)?,
        _ => 0,
    };
    // The surplus of a run that passes the end is an error here, as in DEFLATE.
    if run > count - *at {
        return Err(DecodeError::CodeLengths);
    }
    // Behind a longer run the list is zero, and only runs of zeros are longer.
    list[*at..*at + RUN_BYTES].fill(length);
    *at += run;
    *previous = Some(length);
    Ok(())
}
