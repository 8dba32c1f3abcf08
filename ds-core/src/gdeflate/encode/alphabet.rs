//! The two alphabets of a block, as an encoder needs them: value to symbol and extra bits.
//!
//! GDeflate takes its alphabets from Deflate64: length symbol 285 carries sixteen extra bits, and distances
//! reach the whole tile.

#![forbid(unsafe_code)]

/// Literal/length symbols with a codeword in the static code; 286 and 287 are never sent.
pub(super) const LITLEN_COUNT: usize = 288;
/// Distance symbols.
pub(super) const DISTANCE_COUNT: usize = 32;
/// End of block.
pub(super) const END_OF_BLOCK: usize = 256;
/// The first length symbol.
pub(super) const LENGTH_FIRST: usize = 257;
/// The length symbol with sixteen extra bits.
pub(super) const LENGTH_LONG: usize = 285;
/// No match is shorter.
pub(super) const LENGTH_MIN: usize = 3;
/// The longest match that does without [`LENGTH_LONG`].
pub(super) const LENGTH_SHORT_MAX: usize = 258;

/// Base length of the symbols 257..=284.
const LENGTH_BASE: [u16; 28] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227,
];

/// Length to symbol, counted from 257, for lengths up to [`LENGTH_SHORT_MAX`].
const LENGTH_SYMBOL: [u8; LENGTH_SHORT_MAX + 1] = {
    let mut table = [0; LENGTH_SHORT_MAX + 1];
    let (mut length, mut symbol) = (LENGTH_MIN, 0);
    while length <= LENGTH_SHORT_MAX {
        if symbol + 1 < LENGTH_BASE.len() && length == LENGTH_BASE[symbol + 1] as usize {
            symbol += 1;
        }
        table[length] = symbol as u8;
        length += 1;
    }
    table
};

/// The symbol of a match length.
#[inline(always)]
pub(super) fn length_symbol(length: usize) -> usize {
    if length <= LENGTH_SHORT_MAX {
        LENGTH_FIRST + usize::from(LENGTH_SYMBOL[length])
    } else {
        LENGTH_LONG
    }
}

/// How many extra bits a literal/length symbol carries; none for literals and the end of block.
pub(super) fn litlen_extra_bits(symbol: usize) -> u32 {
    match symbol {
        265..=284 => (symbol as u32 - 261) / 4,
        LENGTH_LONG => 16,
        _ => 0,
    }
}

/// The extra bits of a length: what its symbol leaves open.
pub(super) fn length_extra(length: usize) -> u32 {
    let symbol = length_symbol(length);
    let base = if symbol == LENGTH_LONG {
        3
    } else {
        LENGTH_BASE[symbol - LENGTH_FIRST]
    };
    length as u32 - u32::from(base)
}

/// Rows of a table by distance: see [`distance_row`].
pub(super) const DISTANCE_ROWS: usize = 256 + 512;

/// Where a table has what there is to know about a distance, 1..=65,535: near ones have a row each, of the
/// others 128 share one, which no symbol border parts.
///
/// Anything else gets some row too, for callers that cannot afford to ask first.
#[inline(always)]
pub(super) const fn distance_row(distance: u16) -> usize {
    let value = distance.wrapping_sub(1) as usize;
    if value < 256 {
        value
    } else {
        256 + (value >> DISTANCE_ROW_LOG2)
    }
}

/// The distances of a shared row, less one, differ only in so many bits.
pub(super) const DISTANCE_ROW_LOG2: u32 = 7;

/// Row to distance symbol: two symbols share each power of two, told apart by the bit below the highest.
const DISTANCE_SYMBOL: [u8; DISTANCE_ROWS] = {
    let mut table = [0; DISTANCE_ROWS];
    let mut row = 0;
    while row < DISTANCE_ROWS {
        let value: usize = if row < 256 {
            row
        } else {
            (row - 256) << DISTANCE_ROW_LOG2
        };
        table[row] = if value < 2 {
            value as u8
        } else {
            let bits = value.ilog2();
            (2 * bits) as u8 + (value >> (bits - 1) & 1) as u8
        };
        row += 1;
    }
    table
};

/// The symbol of a distance, 1..=65,535.
#[inline(always)]
pub(super) fn distance_symbol(distance: u16) -> usize {
    distance_row_symbol(distance_row(distance))
}

/// The symbol of the distances of a row.
#[inline(always)]
pub(super) fn distance_row_symbol(row: usize) -> usize {
    usize::from(DISTANCE_SYMBOL[row])
}

/// The smallest distance of a symbol, less one.
pub(super) const fn distance_base(symbol: usize) -> u32 {
    let symbol = symbol as u32;
    if symbol < 4 {
        symbol
    } else {
        (2 + symbol % 2) << (symbol / 2 - 1)
    }
}

/// How many extra bits a distance symbol carries.
#[inline(always)]
pub(super) fn distance_extra_bits(symbol: usize) -> u32 {
    (symbol as u32 / 2).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_come_back() {
        for length in LENGTH_MIN..=65_535 {
            let symbol = length_symbol(length);
            let base = if symbol == LENGTH_LONG {
                3
            } else {
                u32::from(LENGTH_BASE[symbol - LENGTH_FIRST])
            };
            assert_eq!(base + length_extra(length), length as u32);
            assert!(
                length_extra(length) < 1 << litlen_extra_bits(symbol),
                "length {length}"
            );
        }
    }

    #[test]
    fn distances_come_back() {
        for distance in 1..=u16::MAX {
            let symbol = distance_symbol(distance);
            let bits = distance_extra_bits(symbol);
            let base = 1 + distance_base(symbol);
            let extra = u32::from(distance - 1) & ((1 << bits) - 1);
            assert_eq!(base + extra, u32::from(distance), "distance {distance}");
        }
    }
}
