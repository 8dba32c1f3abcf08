//! The measurement: codecs take turns within each repetition, and what they make is checked before it counts.
//!
//! One thread is measured by its own processor time, which other programs on the machine do not add to; many
//! threads by the wall clock, because waiting for each other is their cost. Ratios are taken within a
//! repetition, where both sides saw the same machine, and the median of those is what is reported.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::Instant;

use ds_core::gdeflate::TILE_BYTES;
use ds_tool::{Error, Result};
use rustix::time::{ClockId, clock_gettime};

use super::WHAT;
use super::codec::{Codec, Decode, ENGINE, Encode, Packed, REFERENCE, Reads, tiles};

/// Decoding is repeated over a class until about so many bytes are made: the clock is not fine enough for
/// less.
const PASS_BYTES_MIN: usize = 4 << 20;
const PASSES_MAX: usize = 64;
/// Tiles for each of many threads to encode, so that the last one does not keep the others waiting for long.
const TILES_PER_THREAD_MIN: usize = 8;

/// How to measure.
pub(super) struct Plan {
    /// On the engine's scale, 1 to 12.
    pub(super) level: u8,
    /// Threads of the second measurement, if it is more than 1; never 0.
    pub(super) threads: usize,
    /// How often each codec decodes a class.
    pub(super) decodes: usize,
    /// How often each codec encodes it.
    pub(super) encodes: usize,
}

/// Medians of a codec on a class.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) codec: String,
    /// Of its encoder, if it has one.
    pub(super) level: Option<u8>,
    pub(super) content_bytes: usize,
    /// What the tiles it decodes take.
    pub(super) compressed_bytes: usize,
    /// Tiles that its encoder gave up on; they are stored as they are.
    pub(super) stored_count: usize,
    pub(super) decode: Speed,
    pub(super) encode: Option<Speed>,
}

impl Row {
    /// Bytes of content a compressed byte.
    pub(super) fn ratio(&self) -> f64 {
        self.content_bytes as f64 / self.compressed_bytes.max(1) as f64
    }
}

/// Content, in 10^6 bytes a second.
#[derive(Clone, Copy)]
pub(super) struct Speed {
    /// Of one thread's processor time.
    pub(super) mb_s: f64,
    /// The median of its ratios to the reference, if that takes part.
    pub(super) to_reference: Option<f64>,
    /// Of the time on the wall with all threads, if that was measured.
    pub(super) threads_mb_s: Option<f64>,
}

/// Seconds of one codec in one direction, a repetition after the other.
#[derive(Default)]
struct Times {
    one: Vec<f64>,
    many: Vec<f64>,
}

/// A codec, the tiles it made or was given, and what works on them: one of each for every thread.
struct Contestant<'a> {
    codec: &'a dyn Codec,
    level: Option<u8>,
    encoders: Vec<Box<dyn Encode>>,
    decoders: Vec<Box<dyn Decode>>,
    /// Made by its own encoder, if it has one.
    own: Option<Arc<Packed>>,
    /// What it decodes.
    packed: Arc<Packed>,
    encodes: Times,
    decodes: Times,
}

/// Measures every codec on one class of data. `step` is told of every repetition that is done.
///
/// # Errors
/// A codec that fails, or whose result differs from the data; and those of `step`.
pub(super) fn class(
    data: &[u8],
    codecs: &[Box<dyn Codec>],
    plan: &Plan,
    step: &dyn Fn() -> Result<()>,
) -> Result<Vec<Row>> {
    let mut contestants = contestants(data, codecs, plan)?;
    for _ in 0..plan.encodes {
        for contestant in &mut contestants {
            contestant.encode(data, plan.threads)?;
        }
        step()?;
    }
    let mut output = vec![0; data.len()];
    for _ in 0..plan.decodes {
        for contestant in &mut contestants {
            contestant.decode(data, &mut output, plan.threads)?;
        }
        step()?;
    }
    let reference = contestants.iter().position(|c| c.codec.name() == REFERENCE);
    let rows = contestants.iter().map(|contestant| {
        let reference = reference.map(|index| &contestants[index]);
        contestant.row(data.len(), reference)
    });
    Ok(rows.collect())
}

/// Every codec with its tiles; makes them, which also warms the encoders up.
fn contestants<'a>(
    data: &[u8],
    codecs: &'a [Box<dyn Codec>],
    plan: &Plan,
) -> Result<Vec<Contestant<'a>>> {
    let mut contestants: Vec<Contestant<'a>> = Vec::new();
    for codec in codecs {
        let engine = contestants.iter().find(|c| c.codec.name() == ENGINE);
        let engine = engine.map(|engine| Arc::clone(&engine.packed));
        contestants.push(Contestant::new(data, codec.as_ref(), engine, plan)?);
    }
    Ok(contestants)
}

fn pack(encoder: &mut dyn Encode, data: &[u8]) -> Packed {
    let mut packed = Packed::default();
    pack_into(encoder, data, &mut packed);
    packed
}

fn pack_into(encoder: &mut dyn Encode, data: &[u8], packed: &mut Packed) {
    packed.clear();
    tiles(data).for_each(|tile| packed.push(tile, encoder.encode(tile)));
}

fn as_it_is(data: &[u8]) -> Packed {
    let mut packed = Packed::default();
    tiles(data).for_each(|tile| packed.push(tile, Some(tile)));
    packed
}

impl<'a> Contestant<'a> {
    fn new(
        data: &[u8],
        codec: &'a dyn Codec,
        engine: Option<Arc<Packed>>,
        plan: &Plan,
    ) -> Result<Contestant<'a>> {
        let level = codec.levels().map(|_| codec.level_like(plan.level));
        let encoders = level.map(|level| (0..plan.threads).map(move |_| codec.encoder(level)));
        let mut encoders: Vec<_> = encoders.into_iter().flatten().collect::<Result<_>>()?;
        let own = encoders.first_mut();
        let own = own.map(|encoder| Arc::new(pack(encoder.as_mut(), data)));
        if let Some(own) = &own {
            check(codec, own, data)?;
        }
        let packed = match (codec.reads(), &own, engine) {
            (Reads::Own, Some(own), _) => Arc::clone(own),
            (Reads::Engine, _, Some(engine)) => engine,
            _ => Arc::new(as_it_is(data)),
        };
        let decoders = (0..plan.threads).map(|_| codec.decoder(&packed));
        Ok(Contestant {
            codec,
            level,
            encoders,
            decoders: decoders.collect::<Result<_>>()?,
            own,
            packed,
            encodes: Times::default(),
            decodes: Times::default(),
        })
    }

    fn failed(&self, why: &str) -> Error {
        Error::plain(WHAT, format!("{} {why}", self.codec.name()))
    }

    /// One turn of encoding: the tiles must be the ones that were checked.
    fn encode(&mut self, data: &[u8], threads: usize) -> Result<()> {
        let (Some(encoder), Some(own)) = (self.encoders.first_mut(), &self.own) else {
            return Ok(());
        };
        let mut packed = Packed::with_room(own.len_bytes());
        let seconds = on_this_thread(|| pack_into(encoder.as_mut(), data, &mut packed));
        if packed != **own {
            return Err(self.failed("does not make the same of the same data"));
        }
        self.encodes.one.push(seconds);
        if threads > 1 {
            let tile_count = data.len().div_ceil(TILE_BYTES);
            let passes = (TILES_PER_THREAD_MIN * threads).div_ceil(tile_count);
            let (seconds, same) = encode_together(&mut self.encoders, data, own, passes);
            if !same {
                return Err(self.failed("encodes differently on many threads"));
            }
            self.encodes.many.push(seconds / passes as f64);
        }
        Ok(())
    }

    /// One turn of decoding.
    fn decode(&mut self, data: &[u8], output: &mut [u8], threads: usize) -> Result<()> {
        output.fill(0x5A);
        let passes = passes(data);
        let mut decoded = true;
        let decoder = self.decoders[0].as_mut();
        let seconds = on_this_thread(|| {
            for _ in 0..passes {
                decoded &= decode_all(&self.packed, decoder, output);
            }
        });
        if !decoded || output != data {
            return Err(self.failed("decodes to something else"));
        }
        self.decodes.one.push(seconds / passes as f64);
        if threads > 1 {
            output.fill(0x5A);
            // As much for each thread as the one had.
            let passes = passes * threads;
            let (seconds, decoded) =
                decode_together(&mut self.decoders, &self.packed, output, passes);
            if !decoded || output != data {
                return Err(self.failed("decodes to something else on many threads"));
            }
            self.decodes.many.push(seconds / passes as f64);
        }
        Ok(())
    }

    /// The medians. The sizes are those of its own tiles, where it makes some.
    fn row(&self, content_bytes: usize, reference: Option<&Contestant<'_>>) -> Row {
        let speed = |times: &Times, reference: Option<&Times>| Speed {
            mb_s: mb_s(content_bytes, &times.one),
            to_reference: reference.map(|reference| {
                let pairs = reference.one.iter().zip(&times.one);
                median(pairs.map(|(reference, ours)| reference / ours.max(1e-9)))
            }),
            threads_mb_s: (!times.many.is_empty()).then(|| mb_s(content_bytes, &times.many)),
        };
        let packed = self.own.as_ref().unwrap_or(&self.packed);
        Row {
            codec: self.codec.name().to_owned(),
            level: self.level,
            content_bytes,
            compressed_bytes: packed.len_bytes(),
            stored_count: packed.stored_count(),
            decode: speed(&self.decodes, reference.map(|reference| &reference.decodes)),
            encode: (!self.encodes.one.is_empty())
                .then(|| speed(&self.encodes, reference.map(|reference| &reference.encodes))),
        }
    }
}

fn decode_all(packed: &Packed, decoder: &mut dyn Decode, output: &mut [u8]) -> bool {
    let mut outputs = output.chunks_mut(TILE_BYTES).enumerate();
    outputs.all(|(index, output)| decode_tile(packed, decoder, index, output))
}

fn decode_tile(packed: &Packed, decoder: &mut dyn Decode, index: usize, output: &mut [u8]) -> bool {
    match packed.stored(index) {
        Some(tile) if tile.len() == output.len() => {
            output.copy_from_slice(tile);
            true
        }
        _ => decoder.decode(index, output),
    }
}

/// Seconds of this thread's processor time.
fn on_this_thread(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let started = now();
    work();
    now() - started
}

/// Runs `work` on as many threads as there are `states`, this one included, from when all are there. Answers
/// the seconds until the last is done, and whether all were content.
fn together<S: Send>(states: &mut [S], work: impl Fn(&mut S) -> bool + Sync) -> (f64, bool) {
    let start = Barrier::new(states.len());
    let mut states = states.iter_mut();
    std::thread::scope(|scope| {
        let own = states.next();
        let others: Vec<_> = states
            .map(|state| {
                let (work, start) = (&work, &start);
                scope.spawn(move || {
                    start.wait();
                    work(state)
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        let mut content = own.is_none_or(&work);
        for other in others {
            content &= other.join().unwrap_or(false);
        }
        (started.elapsed().as_secs_f64(), content)
    })
}

/// Encodes everything `passes` times, tile by tile as threads are free. Answers how long it took, and whether
/// every tile came out as in `expected`.
fn encode_together(
    encoders: &mut [Box<dyn Encode>],
    data: &[u8],
    expected: &Packed,
    passes: usize,
) -> (f64, bool) {
    let contents: Vec<&[u8]> = tiles(data).collect();
    let next = AtomicUsize::new(0);
    together(encoders, |encoder| {
        let mut same = true;
        while let Some(index) = take(&next, contents.len(), passes) {
            same &= encoder.encode(contents[index]) == expected.compressed(index);
        }
        same
    })
}

/// Decodes everything `passes` times, tile by tile as threads are free. Answers how long it took, and whether
/// every tile was decoded.
fn decode_together(
    decoders: &mut [Box<dyn Decode>],
    packed: &Packed,
    output: &mut [u8],
    passes: usize,
) -> (f64, bool) {
    // The locks are what lets threads write to one slice; two meet only where there are fewer tiles than
    // threads.
    let outputs: Vec<Mutex<&mut [u8]>> = output.chunks_mut(TILE_BYTES).map(Mutex::new).collect();
    let next = AtomicUsize::new(0);
    together(decoders, |decoder| {
        let mut decoded = true;
        while let Some(index) = take(&next, outputs.len(), passes) {
            let mut output = outputs[index]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            decoded &= decode_tile(packed, decoder.as_mut(), index, &mut output);
        }
        decoded
    })
}

/// The next tile that nobody has taken in one of the passes.
fn take(next: &AtomicUsize, tile_count: usize, passes: usize) -> Option<usize> {
    // Relaxed: the counter orders nothing but itself.
    let number = next.fetch_add(1, Ordering::Relaxed);
    (number < tile_count * passes).then(|| number % tile_count)
}

/// A point of an encoder's curve.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) level: u8,
    pub(super) ratio: f64,
    pub(super) mb_s: f64,
}

/// An encoder's levels, each as the geometric means over the samples.
pub(super) struct Curve {
    pub(super) codec: String,
    pub(super) points: Vec<Point>,
}

/// Encodes the samples at those levels of each codec that are `wanted`, `repetitions` times. The codecs take
/// turns from sample to sample.
///
/// # Errors
/// A codec that fails, and those of `step`, which is told of every level of every sample.
pub(super) fn curves(
    samples: &[Vec<u8>],
    codecs: &[Box<dyn Codec>],
    repetitions: usize,
    wanted: &dyn Fn(u8) -> bool,
    step: &dyn Fn(&[u8]) -> Result<()>,
) -> Result<Vec<Curve>> {
    if samples.is_empty() {
        return Ok(Vec::new());
    }
    let mut curves: Vec<(&dyn Codec, Curve)> = codecs
        .iter()
        .filter_map(|codec| Some((codec.as_ref(), Curve::start(codec.as_ref(), wanted)?)))
        .collect();
    for data in samples {
        for (codec, curve) in &mut curves {
            for point in &mut curve.points {
                let (ratio, mb_s) = encode_once(data, *codec, point.level, repetitions)?;
                // Geometric means: sums of logarithms until all are there.
                point.ratio += ratio.ln() / samples.len() as f64;
                point.mb_s += mb_s.ln() / samples.len() as f64;
                step(data)?;
            }
        }
    }
    for point in curves.iter_mut().flat_map(|(_, curve)| &mut curve.points) {
        (point.ratio, point.mb_s) = (point.ratio.exp(), point.mb_s.exp());
    }
    Ok(curves.into_iter().map(|(_, curve)| curve).collect())
}

impl Curve {
    /// The curve of a codec that encodes, with its points' levels and no figures yet.
    fn start(codec: &dyn Codec, wanted: &dyn Fn(u8) -> bool) -> Option<Curve> {
        let levels = codec.levels()?.filter(|&level| wanted(level));
        let point = |level| Point {
            level,
            ratio: 0.0,
            mb_s: 0.0,
        };
        Some(Curve {
            codec: codec.name().to_owned(),
            points: levels.map(point).collect(),
        })
    }
}

/// Ratio and speed of one encoder on one sample.
fn encode_once(
    data: &[u8],
    codec: &dyn Codec,
    level: u8,
    repetitions: usize,
) -> Result<(f64, f64)> {
    let mut encoder = codec.encoder(level)?;
    let mut packed = pack(encoder.as_mut(), data);
    let times: Vec<f64> = (0..repetitions)
        .map(|_| on_this_thread(|| pack_into(encoder.as_mut(), data, &mut packed)))
        .collect();
    let ratio = data.len() as f64 / packed.len_bytes() as f64;
    check(codec, &Arc::new(packed), data)?;
    Ok((ratio, mb_s(data.len(), &times)))
}

/// That the tiles decode to what they were made of.
fn check(codec: &dyn Codec, packed: &Arc<Packed>, data: &[u8]) -> Result<()> {
    let mut decoder = codec.decoder(packed)?;
    let mut output = vec![0; data.len()];
    if !decode_all(packed, decoder.as_mut(), &mut output) || output != data {
        let why = format!("{} decodes to something else", codec.name());
        return Err(Error::plain(WHAT, why));
    }
    Ok(())
}

/// How often one thread decodes a class in a turn.
fn passes(data: &[u8]) -> usize {
    PASS_BYTES_MIN.div_ceil(data.len()).min(PASSES_MAX)
}

fn mb_s(bytes: usize, seconds: &[f64]) -> f64 {
    // A clock that stood still measured less than a nanosecond.
    bytes as f64 / 1e6 / median(seconds.iter().copied()).max(1e-9)
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::RangeInclusive;

    /// Copies, with a flaw.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flawed {
        /// None.
        No,
        /// It gives up on every tile that begins with 1.
        GivesUp,
        /// A byte comes out wrong.
        Wrong,
        /// It says that it cannot.
        Refuses,
        /// It makes something else each time.
        Moody,
    }

    /// A coder: the flaw, the last tile made, the tiles to read, and how many tiles it made.
    struct Coder(Flawed, Vec<u8>, Arc<Packed>, u8);

    impl Codec for Flawed {
        fn name(&self) -> &str {
            if *self == Flawed::No {
                ENGINE
            } else {
                "flawed"
            }
        }

        fn reads(&self) -> Reads {
            Reads::Own
        }

        fn levels(&self) -> Option<RangeInclusive<u8>> {
            Some(1..=2)
        }

        fn level_like(&self, _: u8) -> u8 {
            2
        }

        fn encoder(&self, _: u8) -> Result<Box<dyn Encode>> {
            Ok(Box::new(Coder(*self, Vec::new(), Arc::default(), 0)))
        }

        fn decoder(&self, packed: &Arc<Packed>) -> Result<Box<dyn Decode>> {
            Ok(Box::new(Coder(*self, Vec::new(), Arc::clone(packed), 0)))
        }
    }

    impl Encode for Coder {
        fn encode(&mut self, tile: &[u8]) -> Option<&[u8]> {
            if self.0 == Flawed::GivesUp && tile[0] == 1 {
                return None;
            }
            self.1.clear();
            self.1.extend(tile);
            self.3 += 1;
            // Behind the content, where no decoder looks.
            self.1
                .push(if self.0 == Flawed::Moody { self.3 } else { 0 });
            Some(&self.1)
        }
    }

    impl Decode for Coder {
        fn decode(&mut self, index: usize, output: &mut [u8]) -> bool {
            let tile = self
                .2
                .compressed(index)
                .expect("never asked for a stored tile");
            output.copy_from_slice(&tile[..output.len()]);
            output[0] ^= u8::from(self.0 == Flawed::Wrong);
            self.0 != Flawed::Refuses
        }
    }

    fn measure(flawed: Flawed, threads: usize) -> Result<Vec<Row>> {
        let plan = Plan {
            level: 9,
            threads,
            decodes: 2,
            encodes: 2,
        };
        let data: Vec<u8> = (0..5 * TILE_BYTES + 3)
            .map(|at| (at / TILE_BYTES) as u8)
            .collect();
        class(
            &data,
            &[Box::new(Flawed::No), Box::new(flawed)],
            &plan,
            &|| Ok(()),
        )
    }

    #[test]
    fn what_comes_out_wrong_does_not_count() {
        for threads in [1, 3] {
            for (flawed, why) in [
                (Flawed::Wrong, "flawed decodes to something else"),
                (Flawed::Refuses, "flawed decodes to something else"),
                (Flawed::Moody, "flawed does not make the same"),
            ] {
                let error = measure(flawed, threads)
                    .err()
                    .expect("an error")
                    .to_string();
                assert!(error.contains(why), "{error}");
            }
        }
    }

    #[test]
    fn a_tile_that_is_given_up_is_stored_and_counted() {
        for threads in [1, 3] {
            let rows = measure(Flawed::GivesUp, threads).expect("it measures");
            let sizes = |row: &Row| (row.content_bytes, row.compressed_bytes, row.stored_count);
            let content = 5 * TILE_BYTES + 3;
            assert_eq!(sizes(&rows[0]), (content, content + 6, 0));
            assert_eq!(sizes(&rows[1]), (content, content + 5, 1));
            assert!(rows.iter().all(|row| row.level == Some(2)));
            let many = rows[1].encode.expect("it encodes").threads_mb_s;
            assert_eq!(many.is_some(), threads > 1);
            assert!(
                rows[1].decode.to_reference.is_none(),
                "there is no reference"
            );
        }
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([5.0].into_iter()), 5.0);
    }
}
