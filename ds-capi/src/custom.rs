//! The custom decompression queue: requests that the application decompresses. One for each runtime.

use std::ffi::c_void;
use std::mem::offset_of;

use ds_core::{CustomResult, Event, Select};

use crate::event::ds_event;
use crate::ffi::{self, Failure};
use crate::result::ds_result;
use crate::runtime::ds_runtime;
use crate::types::ds_compression_format;

/// Which requests to fetch: `DS_SELECT_*`.
pub type ds_select = u32;
/// Custom formats, 0x80 to 0xFF.
pub const DS_SELECT_CUSTOM: ds_select = 1;
/// Built-in formats; they come here only from a runtime with decode_threads -1.
pub const DS_SELECT_BUILTIN: ds_select = 2;
/// Both.
pub const DS_SELECT_ALL: ds_select = 3;

/// A request for the application: decompress `source` into exactly `destination_size` bytes. Layout of
/// DSTORAGE_CUSTOM_DECOMPRESSION_REQUEST.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_custom_request {
    /// For the answer; unique among unanswered requests.
    pub id: u64,
    /// The format.
    pub compression_format: ds_compression_format,
    /// Zero.
    pub reserved: [u8; 3],
    /// Zero: every destination may be read back.
    pub flags: u32,
    /// Compressed bytes.
    pub source_size: u64,
    /// The compressed bytes, readable until the answer.
    pub source: *const c_void,
    /// Bytes to produce.
    pub destination_size: u64,
    /// Where they go, writable until the answer: the address that the request named, not looked at by the
    /// library.
    pub destination: *mut c_void,
}

/// The application's answer. Layout of DSTORAGE_CUSTOM_DECOMPRESSION_RESULT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_custom_result {
    /// Which request.
    pub id: u64,
    /// How it went; a negative number fails the request and becomes its result.
    pub result: ds_result,
    /// Ignored; set to zero.
    pub reserved: u32,
}

const _: () = {
    assert!(size_of::<ds_custom_request>() == 48);
    assert!(offset_of!(ds_custom_request, flags) == 12);
    assert!(offset_of!(ds_custom_request, source) == 24);
    assert!(offset_of!(ds_custom_request, destination) == 40);
    assert!(size_of::<ds_custom_result>() == 16 && offset_of!(ds_custom_result, result) == 8);
};

/// The event that is set when requests arrive: wait for it, ds_event_take it, then fetch until there are
/// none.
///
/// On success `*out` is a new reference to the same event every time, which ds_event_release gives back; else
/// NULL. Errors: DS_E_INVALIDARG for NULL; DS_E_TOO_MANY_OPEN_FILES. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_custom_event(
    runtime: *mut ds_runtime,
    out: *mut *mut ds_event,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    out.share(|| Ok(runtime?.runtime.custom_decompression_queue().event()?))
}

/// Has the runtime set `event` instead, which may be a foreign one. The runtime keeps a reference.
///
/// Errors: DS_E_INVALIDARG for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_custom_use_event(
    runtime: *mut ds_runtime,
    event: *mut ds_event,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller.
    let event = unsafe { ffi::shared::<Event>(event) };
    ffi::result(|| {
        let (runtime, event) = (runtime?, event.ok_or(Failure::INVALID)?);
        runtime
            .runtime
            .custom_decompression_queue()
            .use_event(&event);
        Ok(())
    })
}

/// Fetches at most `max` waiting requests of the kinds `select` (DS_SELECT_*) into `out`, oldest first, and
/// their number into `*count`. Never blocks.
///
/// What was fetched belongs to the application until ds_custom_set_results answers it: its memory is to be
/// read and written until then, whatever happens to its queue. A request that is never answered never
/// completes; cancelling it and closing its queue do not wait for it, since the application may be the very
/// thread that does so. `out` may be NULL if `max` is 0.
///
/// Errors: DS_E_INVALIDARG for NULL or an unknown `select`; `*count` is 0 then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_custom_get_requests(
    runtime: *mut ds_runtime,
    select: ds_select,
    max: u32,
    out: *mut ds_custom_request,
    count: *mut u32,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::array_out(out, max as usize) };
    // SAFETY: promised by the caller.
    let count = unsafe { ffi::out(count) };
    count.answer(0, || {
        let select = match select {
            DS_SELECT_CUSTOM => Select::Custom,
            DS_SELECT_BUILTIN => Select::BuiltIn,
            DS_SELECT_ALL => Select::All,
            _ => return Err(Failure::INVALID),
        };
        let (queue, out) = (runtime?.runtime.custom_decompression_queue(), out?);
        let mut found = Vec::new();
        queue.get_requests(select, out.len(), &mut found);
        for (place, request) in out.iter_mut().zip(&found) {
            place.write(ds_custom_request {
                id: request.id,
                compression_format: request.compression.0,
                reserved: [0; 3],
                flags: 0,
                source_size: request.source.bytes() as u64,
                source: request.source.as_ptr().cast_const().cast(),
                destination_size: request.destination.bytes() as u64,
                destination: request.destination.as_ptr().cast(),
            });
        }
        Ok(found.len() as u32)
    })
}

/// Answers `count` requests, in any order and from any thread. Their memory is the library's again.
///
/// Errors: DS_E_INVALIDARG for NULL (`results` may be NULL if `count` is 0), and if an id names no fetched
/// request; the others are answered all the same. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_custom_set_results(
    runtime: *mut ds_runtime,
    count: u32,
    results: *const ds_custom_result,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller.
    let results = unsafe { ffi::array(results, count as usize) };
    ffi::result(|| {
        let (queue, results) = (runtime?.runtime.custom_decompression_queue(), results?);
        let results: Vec<_> = results
            .iter()
            .map(|answer| CustomResult {
                id: answer.id,
                hresult: answer.result,
            })
            .collect();
        Ok(queue.set_results(&results)?)
    })
}
