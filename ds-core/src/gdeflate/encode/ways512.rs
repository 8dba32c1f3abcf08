//! The walk of `ways.rs` for processors with AVX-512: sixteen lengths at a time.
//!
//! The prices of where the shortest matches lead stay in a register: reading them back from memory would have
//! to wait for stores of four bytes that one load covers. A position enters it when matches can lead there,
//! three positions later, and all of that time may pass until its price is known. Another register has the
//! cheapest distance for each of the sixteen shortest lengths; a match lowers those that it reaches.

use std::arch::x86_64::{
    __m512i, __mmask16, _mm_cvtsi128_si32, _mm512_add_epi32, _mm512_alignr_epi32, _mm512_and_si512,
    _mm512_castsi512_si128, _mm512_cmple_epu32_mask, _mm512_cmplt_epu32_mask,
    _mm512_cmpneq_epi32_mask, _mm512_mask_min_epu32, _mm512_mask_mov_epi32,
    _mm512_mask_reduce_min_epu32, _mm512_min_epu32, _mm512_or_si512, _mm512_permutexvar_epi32,
    _mm512_set1_epi32, _mm512_setr_epi32, _mm512_shuffle_epi32, _mm512_shuffle_i64x2,
    _mm512_slli_epi32, _mm512_srli_epi32,
};
use std::ops::Range;

use super::TILE_BYTES_MAX;
use super::alphabet::{LENGTH_MIN, distance_symbol};
use super::matches::{Found, Matches};
use super::prices::Prices;
use super::tile::Tile;
use super::vector::{Vector, load};
use super::ways::{
    INDEX_BITS, Step, TOGETHER, WAYS, WINDOW_LENGTH_MAX, cheaper, long_lengths, or_longest,
    priced_distance,
};

/// Goes through one part of a tile, from its end to its start.
pub(super) fn walk(
    _: Vector,
    tile: &Tile,
    matches: &Matches,
    input: Range<usize>,
    prices: &Prices,
    ways: &mut [u32; WAYS],
    steps: &mut [Step; TILE_BYTES_MAX],
) {
    // SAFETY: the processor has the features, or there would be no `Vector`.
    unsafe { walk512(tile, matches, input, prices, ways, steps) }
}

#[target_feature(enable = "avx512f,avx512cd,popcnt")]
fn walk512(
    tile: &Tile,
    matches: &Matches,
    input: Range<usize>,
    prices: &Prices,
    ways: &mut [u32; WAYS],
    steps: &mut [Step; TILE_BYTES_MAX],
) {
    let mut window = Window {
        ways: load(&ways[..], input.end + LENGTH_MIN),
        length_prices: load(&prices.length, LENGTH_MIN),
    };
    let ahead = [0, 1, 2].map(|ahead| _mm512_set1_epi32(ways[input.end + ahead] as i32));
    let [mut next, mut second, mut third] = ahead;
    let bytes = tile.bytes(input.clone()).iter();
    let places = bytes.zip(&mut steps[input.clone()]).zip(input.clone());
    for (((&byte, step), at), found) in places.rev().zip(matches.backwards(input)) {
        window.prepend(third);
        let literal = _mm512_set1_epi32(prices.literal[usize::from(byte)] as i32);
        let literal = _mm512_add_epi32(next, literal);
        (third, second) = (second, next);
        if found.is_empty() {
            next = literal;
            (ways[at], *step) = (first_lane(literal), Step::LITERAL);
            continue;
        }
        let (way, first) = window.cheapest(cheapest_distances(found, prices), literal);
        next = way;
        let mut best = (first_lane(way), Step::from_bits(first_lane(first)));
        if usize::from(found[found.len() - 1].length) > WINDOW_LENGTH_MAX {
            best = longer(best, found, prices, &ways[at..]);
            next = _mm512_set1_epi32(best.0 as i32);
        }
        (ways[at], *step) = best;
    }
}

/// For each of the shortest lengths, the cheapest priced distance; all ones where no match is as long.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn cheapest_distances(found: &[Found], prices: &Prices) -> __m512i {
    let lengths = _mm512_add_epi32(lanes(), _mm512_set1_epi32(LENGTH_MIN as i32));
    let mut distances = _mm512_set1_epi32(-1);
    for found in found {
        let priced = _mm512_set1_epi32(priced_distance(prices, found.distance) as i32);
        let length = _mm512_set1_epi32(i32::from(found.length));
        let reached = _mm512_cmple_epu32_mask(lengths, length);
        distances = _mm512_mask_min_epu32(distances, reached, distances, priced);
    }
    distances
}

/// What is known at a position.
struct Window {
    /// Prices of the ways from where matches lead.
    ways: __m512i,
    /// Of the lengths that are looked at together.
    length_prices: __m512i,
}

impl Window {
    /// In every lane, the price of the cheapest way and its step; `literal` is the price with a literal.
    #[target_feature(enable = "avx512f,avx512cd,popcnt")]
    #[inline]
    fn cheapest(&self, distances: __m512i, literal: __m512i) -> (__m512i, __m512i) {
        let none = _mm512_set1_epi32(-1);
        let matches = _mm512_add_epi32(self.length_prices, _mm512_srli_epi32::<16>(distances));
        let sums = _mm512_add_epi32(self.ways, matches);
        let keys = _mm512_or_si512(_mm512_slli_epi32::<INDEX_BITS>(sums), lanes());
        let reached = _mm512_cmpneq_epi32_mask(distances, none);
        let key = least(_mm512_mask_mov_epi32(none, reached, keys));
        let price = _mm512_srli_epi32::<INDEX_BITS>(key);
        let index = _mm512_and_si512(key, _mm512_set1_epi32(TOGETHER as i32 - 1));
        let length = _mm512_add_epi32(index, _mm512_set1_epi32(LENGTH_MIN as i32));
        let distance = _mm512_permutexvar_epi32(index, distances);
        let distance = _mm512_and_si512(distance, _mm512_set1_epi32(0xffff));
        let step = _mm512_or_si512(_mm512_slli_epi32::<16>(length), distance);
        let cheaper = _mm512_cmplt_epu32_mask(price, literal);
        let no_match = _mm512_set1_epi32(Step::LITERAL.bits() as i32);
        (
            _mm512_min_epu32(price, literal),
            _mm512_mask_mov_epi32(no_match, cheaper, step),
        )
    }

    /// Goes on to the position before, from which matches lead to where the way is priced `way`, in every
    /// lane.
    #[target_feature(enable = "avx512f,avx512cd,popcnt")]
    #[inline]
    fn prepend(&mut self, way: __m512i) {
        self.ways = _mm512_alignr_epi32::<{ TOGETHER as i32 - 1 }>(self.ways, way);
    }
}

/// In every lane, the least number of all lanes.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn least(numbers: __m512i) -> __m512i {
    let least = _mm512_min_epu32(
        numbers,
        _mm512_shuffle_i64x2::<0b0100_1110>(numbers, numbers),
    );
    let least = _mm512_min_epu32(least, _mm512_shuffle_i64x2::<0b1011_0001>(least, least));
    let least = _mm512_min_epu32(least, _mm512_shuffle_epi32::<0b0100_1110>(least));
    _mm512_min_epu32(least, _mm512_shuffle_epi32::<0b1011_0001>(least))
}

#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn first_lane(numbers: __m512i) -> u32 {
    _mm_cvtsi128_si32(_mm512_castsi512_si128(numbers)) as u32
}

/// Tries the lengths beyond the window.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
fn longer(mut best: (u32, Step), found: &[Found], prices: &Prices, ways: &[u32]) -> (u32, Step) {
    let mut shorter = LENGTH_MIN - 1;
    for &Found { length, distance } in found {
        let longest = usize::from(length);
        if longest > WINDOW_LENGTH_MAX {
            let price = prices.distance[distance_symbol(distance)];
            let lengths = long_lengths(longest, shorter);
            for first in lengths.clone().step_by(TOGETHER) {
                let valid = (1_u32 << (lengths.end - first).min(TOGETHER)) - 1;
                let sums = _mm512_add_epi32(load(ways, first), load(&prices.length, first));
                let sums = _mm512_add_epi32(sums, _mm512_set1_epi32(price as i32));
                let keys = _mm512_or_si512(_mm512_slli_epi32::<INDEX_BITS>(sums), lanes());
                let key = _mm512_mask_reduce_min_epu32(valid as __mmask16, keys);
                best = cheaper(best, key, first, distance);
            }
            best = or_longest(best, prices, ways, Found { length, distance }, price);
        }
        shorter = longest;
    }
    best
}

/// The number of each lane.
#[target_feature(enable = "avx512f,avx512cd,popcnt")]
#[inline]
fn lanes() -> __m512i {
    _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}
