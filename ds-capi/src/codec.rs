//! `ds_codec`: compresses and decompresses whole tile streams, without a queue.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use ds_core::gdeflate::encode::Level;
use ds_core::gdeflate::{Codec, CodecError, HeaderPolicy, TileStream};

use crate::ffi::{self, Failure, User};
use crate::result::*;
use crate::types::{DS_COMPRESSION_GDEFLATE, ds_compression_format};

/// Compresses and decompresses streams, with one owner. Opaque.
pub struct ds_codec {
    codec: Codec,
}

/// How hard to compress: `DS_COMPRESSION_LEVEL_*`.
pub type ds_compression_level = i32;
/// While someone waits.
pub const DS_COMPRESSION_LEVEL_FASTEST: ds_compression_level = -1;
/// The usual.
pub const DS_COMPRESSION_LEVEL_DEFAULT: ds_compression_level = 0;
/// Once, to be read for years.
pub const DS_COMPRESSION_LEVEL_BEST_RATIO: ds_compression_level = 1;

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Failure {
        Failure(match error {
            CodecError::DestinationTooSmall { .. } => DS_E_INSUFFICIENT_BUFFER,
            CodecError::SourceTooLarge => DS_E_COMPRESSED_DATA_TOO_LARGE,
            _ => DS_E_FAIL,
        })
    }
}

fn level_of(level: ds_compression_level) -> Result<Level, Failure> {
    match level {
        DS_COMPRESSION_LEVEL_FASTEST => Ok(Level::FASTEST),
        DS_COMPRESSION_LEVEL_DEFAULT => Ok(Level::DEFAULT),
        DS_COMPRESSION_LEVEL_BEST_RATIO => Ok(Level::BEST),
        _ => Err(Failure::INVALID),
    }
}

/// Bytes to read and a place to write, neither empty; they may not overlap. What is in the place need not be
/// initialised.
///
/// # Safety
/// As for [`ffi::array`] and [`ffi::array_out`].
unsafe fn buffers<'a>(
    source: *const c_void,
    source_size: usize,
    destination: *mut c_void,
    destination_size: usize,
) -> Result<(&'a [u8], &'a mut [MaybeUninit<u8>]), Failure> {
    let (from, to) = (source.addr(), destination.addr());
    let apart =
        from.saturating_add(source_size) <= to || to.saturating_add(destination_size) <= from;
    if source_size == 0 || destination_size == 0 || !apart {
        return Err(Failure::INVALID);
    }
    // SAFETY: passed on to the caller.
    let source = unsafe { ffi::array(source.cast::<u8>(), source_size) }?;
    // SAFETY: passed on to the caller, and apart from the source.
    let destination = unsafe { ffi::array_out(destination.cast::<u8>(), destination_size) }?;
    Ok((source, destination))
}

/// Makes a codec for a format: DS_COMPRESSION_GDEFLATE. It uses at most `threads` threads a call, the
/// caller's included; 0 means as many as the machine offers. Threads of the library's take no signals but
/// those of faults.
///
/// On success `*out` is a codec that ds_codec_destroy gives back; else NULL. Errors: DS_E_NOTIMPL for other
/// formats; DS_E_INVALIDARG for a NULL `out`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_codec_create(
    format: ds_compression_format,
    threads: u32,
    out: *mut *mut ds_codec,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    out.create(|| {
        if format != DS_COMPRESSION_GDEFLATE {
            return Err(Failure(DS_E_NOTIMPL));
        }
        // Signals are the host's business, and its handlers run on the host's threads.
        let codec = Codec::new(threads as usize).spawning(ds_core::without_signals);
        Ok(Box::new(ds_codec { codec }))
    })
}

/// Gives a codec back; NULL does nothing. No other call with this codec may be running.
#[unsafe(no_mangle)]
pub extern "C" fn ds_codec_destroy(codec: Option<Box<ds_codec>>) {
    drop(codec);
}

/// The most bytes that `source_size` bytes can compress to; SIZE_MAX rather than a number that does not fit.
/// 0 for a NULL codec. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_codec_bound(codec: *const ds_codec, source_size: usize) -> usize {
    // SAFETY: promised by the caller.
    let codec = unsafe { ffi::get(codec) };
    codec.map_or(0, |_| Codec::bound(source_size))
}

/// Compresses `source` to one stream and its size to `*written`. A destination of ds_codec_bound bytes
/// suffices.
///
/// Errors, with `*written` 0 and the destination's bytes unspecified: DS_E_INSUFFICIENT_BUFFER if the stream
/// does not fit; DS_E_COMPRESSED_DATA_TOO_LARGE for a source of almost 4 GiB or more; DS_E_INVALIDARG for
/// NULL, a size of 0, an unknown level, or a destination that overlaps the source. Any thread, any number of
/// them at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_codec_compress(
    codec: *const ds_codec,
    source: *const c_void,
    source_size: usize,
    level: ds_compression_level,
    destination: *mut c_void,
    destination_size: usize,
    written: *mut usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let written = unsafe { ffi::out(written) };
    // SAFETY: promised by the caller.
    let codec = unsafe { ffi::get(codec) };
    // SAFETY: promised by the caller.
    let buffers = unsafe { buffers(source, source_size, destination, destination_size) };
    written.answer(0, || {
        let (codec, level) = (&codec?.codec, level_of(level)?);
        let (source, destination) = buffers?;
        Ok(codec.compress_uninit(source, level, destination, None)?)
    })
}

/// The quickest level of ds_codec_compress_level.
pub const DS_CODEC_LEVEL_MIN: u32 = 1;
/// The level with the best ratio.
pub const DS_CODEC_LEVEL_MAX: u32 = 12;

const _: () = {
    assert!(DS_CODEC_LEVEL_MIN == Level::FASTEST.get() as u32);
    assert!(DS_CODEC_LEVEL_MAX == Level::BEST.get() as u32);
};

/// Hears how far a compression has come: `bytes_done` of the source's `bytes_all`; `user` is what the call
/// was given.
pub type ds_codec_progress =
    Option<unsafe extern "C" fn(user: *mut c_void, bytes_done: u64, bytes_all: u64)>;

/// The same as ds_codec_compress with a level from DS_CODEC_LEVEL_MIN to DS_CODEC_LEVEL_MAX, where a higher
/// one takes longer and, on most data, saves more; and with a callback that hears of progress, which may be
/// NULL.
///
/// The callback is called once for each 64 KiB of the source, by the thread that compressed them: the
/// caller's or one of the codec's. Several calls may come at once, and out of order; the one with
/// `bytes_done` equal to `bytes_all` may not be the last. All have returned when this function does. It must
/// return, and not by longjmp or a C++ exception. `user` is passed on.
///
/// Result, errors and threads as for ds_codec_compress.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_codec_compress_level(
    codec: *const ds_codec,
    source: *const c_void,
    source_size: usize,
    level: u32,
    destination: *mut c_void,
    destination_size: usize,
    progress: ds_codec_progress,
    user: *mut c_void,
    written: *mut usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let written = unsafe { ffi::out(written) };
    // SAFETY: promised by the caller.
    let codec = unsafe { ffi::get(codec) };
    // SAFETY: promised by the caller.
    let buffers = unsafe { buffers(source, source_size, destination, destination_size) };
    let user = User(user);
    let call = progress.map(|callback| {
        move |done, all| {
            // SAFETY: a function of this type that may be called on any thread, as promised by the caller.
            unsafe { callback(user.pointer(), done, all) };
        }
    });
    written.answer(0, || {
        let level = u8::try_from(level).ok().and_then(Level::new);
        let (codec, level) = (&codec?.codec, level.ok_or(Failure::INVALID)?);
        let (source, destination) = buffers?;
        let progress = call.as_ref().map(|call| call as &(dyn Fn(u64, u64) + Sync));
        Ok(codec.compress_uninit(source, level, destination, progress)?)
    })
}

/// Reads from a stream's header how many bytes it decompresses to, into `*out`. The whole stream is given,
/// and its table of tiles is checked; the tiles themselves are not looked at.
///
/// Errors, with `*out` 0: DS_E_FAIL for anything but the beginning of a stream, or one that is cut;
/// DS_E_INVALIDARG for NULL or a size of 0. Any thread, any number of them at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_codec_uncompressed_size(
    codec: *const ds_codec,
    source: *const c_void,
    source_size: usize,
    out: *mut usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let codec = unsafe { ffi::get(codec) };
    // SAFETY: promised by the caller.
    let source = unsafe { ffi::array(source.cast::<u8>(), source_size) };
    out.answer(0, || {
        let (_, source) = (codec?, source?);
        if source.is_empty() {
            return Err(Failure::INVALID);
        }
        let stream = TileStream::parse(source, HeaderPolicy::AnyId).map_err(CodecError::from)?;
        usize::try_from(stream.uncompressed_bytes()).map_err(|_| Failure(DS_E_FAIL))
    })
}

/// Decompresses a stream to the beginning of `destination`, which may be larger than needed, and the
/// uncompressed size to `*written`. Bytes behind that are not touched.
///
/// Errors, with `*written` 0 and the destination's bytes unspecified: DS_E_INSUFFICIENT_BUFFER if the
/// destination is smaller than the stream's uncompressed size; DS_E_FAIL for anything but a whole and
/// undamaged stream; DS_E_INVALIDARG for NULL, a size of 0, or a destination that overlaps the source. No
/// stream, however damaged, makes it read or write elsewhere. Any thread, any number of them at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_codec_decompress(
    codec: *const ds_codec,
    source: *const c_void,
    source_size: usize,
    destination: *mut c_void,
    destination_size: usize,
    written: *mut usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let written = unsafe { ffi::out(written) };
    // SAFETY: promised by the caller.
    let codec = unsafe { ffi::get(codec) };
    // SAFETY: promised by the caller.
    let buffers = unsafe { buffers(source, source_size, destination, destination_size) };
    written.answer(0, || {
        let (codec, (source, destination)) = (&codec?.codec, buffers?);
        Ok(codec.decompress_uninit(source, destination)?)
    })
}
