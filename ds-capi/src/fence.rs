//! `ds_fence`: a 64-bit timeline that queues and programs signal, and anyone can wait for.

use std::ffi::c_int;
use std::os::fd::IntoRawFd;

use ds_core::{Error, Event, Fence};

use crate::event::ds_event;
use crate::ffi::{self, Failure, Shared};
use crate::result::{DS_E_PENDING, ds_result};
use crate::runtime::ds_runtime;

/// A 64-bit timeline: a counted reference. Opaque.
pub struct ds_fence {
    _opaque: (),
}

impl Shared for Fence {
    type Raw = ds_fence;
}

/// Makes a fence with the value `initial`.
///
/// On success `*out` is a reference that ds_fence_release gives back; else NULL. Errors: DS_E_INVALIDARG for
/// a NULL `out`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_create(initial: u64, out: *mut *mut ds_fence) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    out.share(|| Ok(Fence::new(initial)))
}

/// Makes a fence that stands for one of a host that signals fences itself: each signal leaves a notification
/// with `cookie` and the value for ds_runtime_wait_notifications. Waiting for it works as for any fence.
///
/// Ownership as for ds_fence_create; the fence may outlive the runtime. Errors: DS_E_INVALIDARG for NULL. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_create_foreign(
    runtime: *mut ds_runtime,
    cookie: u64,
    initial: u64,
    out: *mut *mut ds_fence,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    out.share(|| Ok(Fence::foreign(runtime?.runtime.notifier(), cookie, initial)))
}

/// Sets the value, wakes everyone who waited for it or less, and lets requests go that were enqueued behind
/// it. The value should grow; whatever it is, it is taken.
///
/// Errors: DS_E_INVALIDARG for NULL. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_signal(fence: *mut ds_fence, value: u64) -> ds_result {
    // SAFETY: promised by the caller.
    let fence = unsafe { ffi::shared::<Fence>(fence) };
    ffi::result(|| {
        fence.ok_or(Failure::INVALID)?.signal(value);
        Ok(())
    })
}

/// The value now; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_value(fence: *mut ds_fence) -> u64 {
    // SAFETY: promised by the caller.
    let fence = unsafe { ffi::shared::<Fence>(fence) };
    fence.map_or(0, |fence| fence.value())
}

/// Waits until the value is `value` or more.
///
/// DS_OK: it is. DS_E_PENDING: `timeout_ns` (DS_WAIT_FOREVER: never) is over. DS_E_INVALIDARG for NULL.
/// Meanwhile the thread may carry out requests, as in ds_status_array_wait. Any thread, any number of them,
/// but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_wait(
    fence: *mut ds_fence,
    value: u64,
    timeout_ns: u64,
) -> ds_result {
    // SAFETY: promised by the caller.
    let fence = unsafe { ffi::shared::<Fence>(fence) };
    ffi::result(|| {
        if fence
            .ok_or(Failure::INVALID)?
            .wait(value, ffi::timeout(timeout_ns))
        {
            Ok(())
        } else {
            Err(Failure(DS_E_PENDING))
        }
    })
}

/// Has `event` set once, when the value is `value` or more: at once, if it is.
///
/// The fence keeps a reference to the event until then. Errors: DS_E_INVALIDARG for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_set_event_at(
    fence: *mut ds_fence,
    value: u64,
    event: *mut ds_event,
) -> ds_result {
    // SAFETY: promised by the caller.
    let fence = unsafe { ffi::shared::<Fence>(fence) };
    // SAFETY: promised by the caller.
    let event = unsafe { ffi::shared::<Event>(event) };
    ffi::result(|| {
        let (fence, event) = (
            fence.ok_or(Failure::INVALID)?,
            event.ok_or(Failure::INVALID)?,
        );
        fence.set_event_at(value, &event);
        Ok(())
    })
}

/// Makes an eventfd that becomes readable once the value is `value` or more, for poll(2) and epoll(7).
///
/// On success `*out` is a descriptor that the caller closes; else -1. Closing it early does no harm, but the
/// fence keeps its own end until the value is reached: do not make them without end for a value that never
/// comes.
///
/// Errors: DS_E_INVALIDARG for NULL; DS_E_TOO_MANY_OPEN_FILES. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_eventfd(
    fence: *mut ds_fence,
    value: u64,
    out: *mut c_int,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let fence = unsafe { ffi::shared::<Fence>(fence) };
    out.answer(-1, || {
        let fence = fence.ok_or(Failure::INVALID)?;
        let event = Event::new()?;
        let own = event.fd().ok_or(Failure::INVALID)?.try_clone_to_owned();
        let own = own.map_err(Error::from)?;
        fence.set_event_at(value, &event);
        Ok(own.into_raw_fd())
    })
}

/// Gives a reference back; NULL does nothing. Signals in a queue, and requests behind the fence, keep it for
/// themselves. Any thread, but no other call with this reference may be running.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_fence_release(fence: *mut ds_fence) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<Fence>(fence) };
}
