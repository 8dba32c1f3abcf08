//! `ds_status_array`: results of requests, one entry for each status.

use std::ffi::c_char;

use ds_core::{E_PENDING, StatusArray};

use crate::ffi::{self, Failure, Shared};
use crate::result::{DS_E_INVALIDARG, DS_E_PENDING, ds_result};

/// An array of results: a counted reference. Opaque.
pub struct ds_status_array {
    _opaque: (),
}

const _: () = assert!(E_PENDING == DS_E_PENDING);

impl Shared for StatusArray {
    type Raw = ds_status_array;
}

/// Makes an array of `capacity` entries, all pending. A capacity of 0 is allowed; `name`, for debugging, may
/// be NULL.
///
/// An entry becomes complete when a status enqueued with its index does, and pending again when one is
/// enqueued again. An entry that is never enqueued stays pending for ever.
///
/// On success `*out` is a reference that ds_status_array_release gives back; else NULL. Errors:
/// DS_E_INVALIDARG for a NULL `out`; DS_E_OUTOFMEMORY for more than 2^30 entries, and where the system has no
/// memory for them. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_status_array_create(
    capacity: u32,
    name: *const c_char,
    out: *mut *mut ds_status_array,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let name = unsafe { ffi::text(name) }.map(|name| name.to_string_lossy());
    out.share(|| Ok(StatusArray::try_new(capacity, name.as_deref())?))
}

/// Whether the entry has a result. Never blocks.
///
/// false for NULL and for an index out of range. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_status_array_is_complete(
    array: *mut ds_status_array,
    index: u32,
) -> bool {
    // SAFETY: promised by the caller.
    let array = unsafe { ffi::shared::<StatusArray>(array) };
    array.is_some_and(|array| array.is_complete(index))
}

/// The entry's result: DS_OK, or the first failure, in the order of enqueue, since the status before. Never
/// blocks.
///
/// DS_E_PENDING before there is one; DS_E_INDEX_BOUND for an index out of range; DS_E_INVALIDARG for NULL.
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_status_array_get_result(
    array: *mut ds_status_array,
    index: u32,
) -> ds_result {
    // SAFETY: promised by the caller.
    let array = unsafe { ffi::shared::<StatusArray>(array) };
    array.map_or(DS_E_INVALIDARG, |array| array.hresult(index))
}

/// Waits until the entry has a result, at most `timeout_ns` (DS_WAIT_FOREVER: without a limit), and answers
/// it as ds_status_array_get_result does: DS_E_PENDING means that the time is over.
///
/// A status that was not submitted, or never enqueued, does not complete. Meanwhile the thread may carry out
/// requests that the page cache answers at once (the option waiters_help); the answer can come later by
/// 2 MiB of such reads than the status. Any thread, any number of them, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_status_array_wait(
    array: *mut ds_status_array,
    index: u32,
    timeout_ns: u64,
) -> ds_result {
    // SAFETY: promised by the caller.
    let array = unsafe { ffi::shared::<StatusArray>(array) };
    array.map_or(DS_E_INVALIDARG, |array| {
        array
            .wait(index, ffi::timeout(timeout_ns))
            .unwrap_or(DS_E_PENDING)
    })
}

/// How many entries the array has.
///
/// Errors: DS_E_INVALIDARG for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_status_array_capacity(
    array: *mut ds_status_array,
    out: *mut u32,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let array = unsafe { ffi::shared::<StatusArray>(array) };
    out.answer(0, || Ok(array.ok_or(Failure::INVALID)?.capacity()))
}

/// Gives a reference back; NULL does nothing. Statuses in a queue keep the array for themselves. Any thread,
/// but no other call with this reference may be running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_status_array_release(array: *mut ds_status_array) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<StatusArray>(array) };
}
