//! Foreign copies: bytes that only a host's own threads may put where they belong.
//!
//! For hosts that watch their memory, as Wine does: the kernel sees a watched page as read-only until a
//! thread of the host writes there. And for hosts with places that are no memory of the library's, resources
//! of another graphics API for instance: DS_DESTINATION_FOREIGN. Native programs have no use for this.

use std::ffi::c_void;
use std::mem::offset_of;

use ds_core::{Error, Event, ForeignTo};

use crate::event::ds_event;
use crate::ffi::{self, Failure};
use crate::result::{DS_E_ACCESS_VIOLATION, ds_result};
use crate::runtime::ds_runtime;

/// A copy for the host to make.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_foreign_copy {
    /// For the answer; unique among unanswered copies.
    pub id: u64,
    /// How many bytes.
    pub size: u64,
    /// Where they are, readable until the answer: memory of the library, or the source that the request
    /// named, not looked at by the library.
    pub source: *const c_void,
    /// Where they go: the address that the request named. The host may find that it cannot write there.
    /// NULL if `is_cookie`.
    pub destination: *mut c_void,
    /// Where they go, for a DS_DESTINATION_FOREIGN: its cookie.
    pub cookie: u64,
    /// 1 if they go where `cookie` says, else 0.
    pub is_cookie: u32,
    /// 0.
    pub reserved: u32,
}

const _: () = {
    assert!(size_of::<ds_foreign_copy>() == 48 && offset_of!(ds_foreign_copy, source) == 16);
    assert!(offset_of!(ds_foreign_copy, destination) == 24);
    assert!(offset_of!(ds_foreign_copy, cookie) == 32);
    assert!(offset_of!(ds_foreign_copy, is_cookie) == 40);
};

/// Has the host make the last step of requests whose destination the kernel cannot write: such a request does
/// not fail, but starts over, comes to memory of the library, and leaves a copy for the host. So do requests
/// to a DS_DESTINATION_FOREIGN, from the beginning.
///
/// `event` is set when there are copies, and when cookies come back; it may be a foreign one, and the runtime
/// keeps a reference. A second call replaces it. The staging buffer's memory becomes twice as large, so that
/// what fits on its way in fits on its way out, too; a request that does not fails with
/// DS_E_REQUEST_TOO_LARGE.
///
/// Errors: DS_E_STAGING_BUFFER_LOCKED while a queue of the runtime exists; DS_E_INVALIDARG for NULL. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_foreign_copies_begin(
    runtime: *mut ds_runtime,
    event: *mut ds_event,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller.
    let event = unsafe { ffi::shared::<Event>(event) };
    ffi::result(|| {
        let (runtime, event) = (runtime?, event.ok_or(Failure::INVALID)?);
        Ok(runtime.runtime.foreign_copies().begin(&event)?)
    })
}

/// Fetches at most `max` copies into `out`, oldest first, and their number into `*count`. Never blocks.
///
/// What was fetched is the host's until ds_foreign_copies_finish answers it: cancelling its request and
/// closing its queue wait for that, so the host's thread must do neither before it has answered. Copies that
/// were not fetched are taken back. `out` may be NULL if `max` is 0.
///
/// Errors: DS_E_INVALIDARG for NULL; `*count` is 0 then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_foreign_copies_get(
    runtime: *mut ds_runtime,
    max: u32,
    out: *mut ds_foreign_copy,
    count: *mut u32,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::array_out(out, max as usize) };
    // SAFETY: promised by the caller.
    let count = unsafe { ffi::out(count) };
    count.answer(0, || {
        let (copies, out) = (runtime?.runtime.foreign_copies(), out?);
        let mut found = Vec::new();
        copies.fetch(out.len(), &mut found);
        for (place, copy) in out.iter_mut().zip(&found) {
            let (destination, cookie) = match copy.destination {
                ForeignTo::Memory(memory) => (memory.as_ptr().cast(), None),
                ForeignTo::Cookie(cookie) => (std::ptr::null_mut(), Some(cookie)),
            };
            place.write(ds_foreign_copy {
                id: copy.id,
                size: copy.source.bytes() as u64,
                source: copy.source.as_ptr().cast_const().cast(),
                destination,
                cookie: cookie.unwrap_or(0),
                is_cookie: cookie.is_some().into(),
                reserved: 0,
            });
        }
        Ok(found.len() as u32)
    })
}

/// Fetches at most `max` cookies of DS_DESTINATION_FOREIGN into `out`, oldest first, and their number into
/// `*count`. Never blocks.
///
/// Each cookie that was enqueued comes back exactly once: when its request has ended, with success, a
/// failure or by being cancelled, and after any copy of it was answered. `out` may be NULL if `max` is 0.
///
/// Errors: DS_E_INVALIDARG for NULL; `*count` is 0 then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_foreign_copies_returned(
    runtime: *mut ds_runtime,
    max: u32,
    out: *mut u64,
    count: *mut u32,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::array_out(out, max as usize) };
    // SAFETY: promised by the caller.
    let count = unsafe { ffi::out(count) };
    count.answer(0, || {
        let (copies, out) = (runtime?.runtime.foreign_copies(), out?);
        let mut found = Vec::new();
        copies.fetch_returned(out.len(), &mut found);
        for (place, cookie) in out.iter_mut().zip(&found) {
            place.write(*cookie);
        }
        Ok(found.len() as u32)
    })
}

/// Answers the copy `id`: it was made, or, if `result` is negative, cannot be, and its request fails with
/// that. DS_E_ACCESS_VIOLATION is what a request says whose destination nobody can write.
///
/// Errors: DS_E_INVALIDARG for NULL, and if the id names no fetched copy. Any thread, but not the error
/// callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_foreign_copies_finish(
    runtime: *mut ds_runtime,
    id: u64,
    result: ds_result,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    ffi::result(|| {
        let outcome = match result {
            0.. => Ok(()),
            DS_E_ACCESS_VIOLATION => Err(Error::AccessViolation),
            other => Err(Error::Application(other)),
        };
        Ok(runtime?.runtime.foreign_copies().finish(id, outcome)?)
    })
}
