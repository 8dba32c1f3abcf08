//! What symbols cost, in fractions of a bit, under an ideal code for given frequencies.

#![forbid(unsafe_code)]

use super::alphabet::{
    DISTANCE_COUNT, LENGTH_LONG, LENGTH_MIN, LENGTH_SHORT_MAX, LITLEN_COUNT, distance_extra_bits,
    distance_symbol, length_symbol, litlen_extra_bits,
};
use super::items::{Histogram, Item};
use super::log2::log2;
use super::tile::Tile;
use super::ways::TOGETHER;

/// One bit.
pub(super) const BIT: u32 = 256;

/// Room for the prices of lengths: registers may read past those of [`LENGTH_SHORT_MAX`].
const LENGTH_PRICES: usize = LENGTH_SHORT_MAX + 1 + 2 * TOGETHER;

/// Prices for one part of a tile.
#[derive(Clone)]
pub(super) struct Prices {
    /// Of a literal.
    pub(super) literal: [u32; 256],
    /// Of a length up to [`LENGTH_SHORT_MAX`], with its extra bits; behind that, zeros.
    pub(super) length: [u32; LENGTH_PRICES],
    /// Of any longer one.
    pub(super) length_long: u32,
    /// Of a distance symbol, with its extra bits.
    pub(super) distance: [u32; DISTANCE_COUNT],
}

impl Prices {
    /// Prices under which the counted symbols are cheapest.
    pub(super) fn new(histogram: &Histogram) -> Prices {
        Prices::of_symbols(
            &symbol_prices(&histogram.litlen),
            &symbol_prices(&histogram.distance),
        )
    }

    /// Of an item, whatever it is.
    #[inline(always)]
    pub(super) fn of(&self, item: Item) -> u32 {
        if item.distance() == 0 {
            return self.literal[item.byte()];
        }
        let length = match item.length() {
            ..=LENGTH_SHORT_MAX => self.length[item.length()],
            _ => self.length_long,
        };
        length + self.distance[distance_symbol(item.distance())]
    }

    /// Prices to begin with: literals by how often a tile has each byte, all length and all distance symbols
    /// alike.
    pub(super) fn guess(tile: &Tile) -> Prices {
        /// Beyond the bits of its own kind, a literal or length symbol must say of which kind it is.
        const KIND: u32 = BIT;
        const LENGTH: u32 = 4 * BIT;
        const DISTANCE: u32 = 4 * BIT;
        let mut bytes = [0; 256];
        (0..tile.len()).for_each(|at| bytes[usize::from(tile.byte(at))] += 1);
        let mut litlen = [LENGTH + KIND; LITLEN_COUNT];
        for (price, literal) in litlen.iter_mut().zip(symbol_prices(&bytes)) {
            *price = literal + KIND;
        }
        Prices::of_symbols(&litlen, &[DISTANCE; DISTANCE_COUNT])
    }

    fn of_symbols(litlen: &[u32; LITLEN_COUNT], distance: &[u32; DISTANCE_COUNT]) -> Prices {
        let of_symbol = |symbol: usize| litlen[symbol] + litlen_extra_bits(symbol) * BIT;
        let mut length = [0; LENGTH_PRICES];
        let short = length[..=LENGTH_SHORT_MAX].iter_mut().enumerate();
        for (value, price) in short.skip(LENGTH_MIN) {
            *price = of_symbol(length_symbol(value));
        }
        Prices {
            literal: std::array::from_fn(|byte| litlen[byte]),
            length,
            length_long: of_symbol(LENGTH_LONG),
            distance: std::array::from_fn(|symbol| {
                distance[symbol] + distance_extra_bits(symbol) * BIT
            }),
        }
    }
}

/// Bits by entropy, between one and fifteen; a symbol that was not used is priced as if it were used once in
/// a while.
fn symbol_prices<const N: usize>(counts: &[u32; N]) -> [u32; N] {
    let total = log2(counts.iter().sum());
    counts.map(|count| {
        let bits = if count == 0 {
            total + 1.0
        } else {
            total - log2(count)
        };
        (bits.clamp(0.5, 15.0) * BIT as f32) as u32
    })
}
