//! `ds_event`: a flag that a queue sets. A native one is an eventfd; a foreign one notifies its host.

use std::ffi::c_int;
use std::os::fd::AsRawFd;

use ds_core::Event;

use crate::ffi::{self, Failure, Shared};
use crate::result::{DS_E_PENDING, ds_result};
use crate::runtime::ds_runtime;

/// A flag that a queue sets: a counted reference. Opaque.
pub struct ds_event {
    _opaque: (),
}

impl Shared for Event {
    type Raw = ds_event;
}

/// Makes an event that is not set.
///
/// On success `*out` is a reference that ds_event_release gives back; else NULL. Errors: DS_E_INVALIDARG for
/// a NULL `out`; DS_E_TOO_MANY_OPEN_FILES. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_event_create(out: *mut *mut ds_event) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    out.share(|| Ok(Event::new()?))
}

/// Makes an event that stands for one of a host that signals events itself: setting it leaves a notification
/// with `cookie` for ds_runtime_wait_notifications, and the host clears its own event.
///
/// Ownership as for ds_event_create; the event may outlive the runtime. Errors: DS_E_INVALIDARG for NULL. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_event_create_foreign(
    runtime: *mut ds_runtime,
    cookie: u64,
    out: *mut *mut ds_event,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    out.share(|| Ok(Event::foreign(runtime?.runtime.notifier(), cookie)))
}

/// Sets an event; it stays set until it is taken. Setting a set event changes nothing, and neither does NULL.
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_event_set(event: *mut ds_event) {
    // SAFETY: promised by the caller.
    if let Some(event) = unsafe { ffi::shared::<Event>(event) } {
        event.set();
    }
}

/// Clears an event and says whether it was set. Of several threads one is told so.
///
/// false for NULL and for a foreign event, which its host clears. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_event_take(event: *mut ds_event) -> bool {
    // SAFETY: promised by the caller.
    let event = unsafe { ffi::shared::<Event>(event) };
    event.is_some_and(|event| event.take())
}

/// Waits until an event is set and leaves it set: ds_event_take clears it.
///
/// DS_OK: it is set. DS_E_PENDING: `timeout_ns` (DS_WAIT_FOREVER: never) is over. DS_E_INVALIDARG for NULL
/// and for a foreign event, whose state its host has. Any thread, any number of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_event_wait(event: *mut ds_event, timeout_ns: u64) -> ds_result {
    // SAFETY: promised by the caller.
    let event = unsafe { ffi::shared::<Event>(event) };
    ffi::result(|| {
        let event = event.filter(|event| event.fd().is_some());
        if event
            .ok_or(Failure::INVALID)?
            .wait(ffi::timeout(timeout_ns))
        {
            Ok(())
        } else {
            Err(Failure(DS_E_PENDING))
        }
    })
}

/// The event's eventfd, for poll(2) and epoll(7): readable while the event is set.
///
/// It is the event's and valid as long as the event is: do not close it, read it only through ds_event_take.
/// -1 for NULL and for a foreign event. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_event_fd(event: *mut ds_event) -> c_int {
    // SAFETY: promised by the caller.
    let event = unsafe { ffi::shared::<Event>(event) };
    event
        .and_then(|event| event.fd().map(|fd| fd.as_raw_fd()))
        .unwrap_or(-1)
}

/// Gives a reference back; NULL does nothing. Whatever will set the event keeps it for itself. Any thread,
/// but no other call with this reference may be running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_event_release(event: *mut ds_event) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<Event>(event) };
}
