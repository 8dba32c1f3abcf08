//! Foreign copies: bytes that only a host's own threads may put where they belong.
//!
//! For hosts that watch their memory, as Wine does: the kernel sees a watched page as read-only until a
//! thread of the host writes there. And for hosts with places that are no memory of the library's, resources
//! of another graphics API for instance: DS_DESTINATION_FOREIGN. Native programs have no use for this.

use std::ffi::c_void;
use std::mem::offset_of;

use ds_core::{Error, Event, ForeignPool, ForeignTask, ForeignTo, Span};

use crate::event::ds_event;
use crate::ffi::{self, Failure};
use crate::queue::ds_queue;
use crate::result::{DS_E_ACCESS_VIOLATION, ds_result};
use crate::runtime::ds_runtime;

/// What a ds_foreign_task is about: `DS_FOREIGN_*`.
pub type ds_foreign_kind = u32;
/// A copy to memory, to be answered by ds_foreign_copies_finish.
pub const DS_FOREIGN_COPY_TO_MEMORY: ds_foreign_kind = 0;
/// A copy to the place that `cookie` names, to be answered by ds_foreign_copies_finish.
pub const DS_FOREIGN_COPY_TO_COOKIE: ds_foreign_kind = 1;
/// The signal that `cookie` names, behind every copy that was fetched before. It needs no answer, and the
/// cookie does not come back otherwise.
pub const DS_FOREIGN_SIGNAL: ds_foreign_kind = 2;
/// A block of `size` bytes or more for the pool that `cookie` names, to be answered by
/// ds_foreign_pool_add_block or ds_foreign_pool_refuse_block.
pub const DS_FOREIGN_BLOCK: ds_foreign_kind = 3;

/// Something for the host to do.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_foreign_task {
    /// Which of the things below.
    pub kind: ds_foreign_kind,
    /// 0.
    pub reserved: u32,
    /// Of a copy, for the answer; unique among unanswered copies.
    pub id: u64,
    /// How many bytes.
    pub size: u64,
    /// Where they are, readable until the answer: memory of the library, or the source that the request
    /// named, not looked at by the library.
    pub source: *const c_void,
    /// Where they go: the address that the request named. The host may find that it cannot write there.
    /// NULL if they go elsewhere.
    pub destination: *mut c_void,
    /// Of the place, for a DS_DESTINATION_FOREIGN; of the signal; or of the pool.
    pub cookie: u64,
    /// Of a copy whose source lies in a block of a ds_foreign_pool, that block's cookie; else 0.
    pub block: u64,
}

const _: () = {
    assert!(size_of::<ds_foreign_task>() == 56 && offset_of!(ds_foreign_task, source) == 24);
    assert!(offset_of!(ds_foreign_task, destination) == 32);
    assert!(offset_of!(ds_foreign_task, cookie) == 40);
    assert!(offset_of!(ds_foreign_task, block) == 48);
};

impl From<ForeignTask> for ds_foreign_task {
    fn from(task: ForeignTask) -> ds_foreign_task {
        let mut out = ds_foreign_task {
            kind: DS_FOREIGN_COPY_TO_MEMORY,
            reserved: 0,
            id: 0,
            size: 0,
            source: std::ptr::null(),
            destination: std::ptr::null_mut(),
            cookie: 0,
            block: 0,
        };
        match task {
            ForeignTask::Copy(copy) => {
                out.id = copy.id;
                out.size = copy.source.bytes() as u64;
                out.source = copy.source.as_ptr().cast_const().cast();
                out.block = copy.block.unwrap_or(0);
                match copy.destination {
                    ForeignTo::Memory(memory) => out.destination = memory.as_ptr().cast(),
                    ForeignTo::Cookie(cookie) => {
                        out.kind = DS_FOREIGN_COPY_TO_COOKIE;
                        out.cookie = cookie;
                    }
                }
            }
            ForeignTask::Signal(cookie) => {
                out.kind = DS_FOREIGN_SIGNAL;
                out.cookie = cookie;
            }
            ForeignTask::Block { pool, bytes } => {
                out.kind = DS_FOREIGN_BLOCK;
                out.cookie = pool;
                out.size = bytes as u64;
            }
        }
        out
    }
}

/// Has the host make the last step of requests whose destination the kernel cannot write: such a request does
/// not fail, but starts over, comes to memory of the library, and leaves a copy for the host. So do requests
/// to a DS_DESTINATION_FOREIGN, from the beginning.
///
/// `event` is set when there are tasks, and when cookies come back; it may be a foreign one, and the runtime
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

/// Fetches at most `max` tasks into `out`, oldest first, and their number into `*count`. Never blocks.
///
/// A copy that was fetched is the host's until ds_foreign_copies_finish answers it: cancelling its request
/// and closing its queue wait for that, so the host's thread must do neither before it has answered. Copies
/// that were not fetched are taken back. `out` may be NULL if `max` is 0.
///
/// Errors: DS_E_INVALIDARG for NULL; `*count` is 0 then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_foreign_tasks_get(
    runtime: *mut ds_runtime,
    max: u32,
    out: *mut ds_foreign_task,
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
        for (place, task) in out.iter_mut().zip(&found) {
            place.write((*task).into());
        }
        Ok(found.len() as u32)
    })
}

/// Fetches at most `max` cookies that are of no use any more into `out`, oldest first, and their number into
/// `*count`. Never blocks.
///
/// Each comes back exactly once: that of a DS_DESTINATION_FOREIGN when its request has ended, with success, a
/// failure or by being cancelled, and after any copy of it was answered; that of a signal that will never be
/// a task; that of a block that the library does not touch any more. `out` may be NULL if `max` is 0.
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

/// Memory of the host's, in which bytes for its own destinations wait: one owner. Opaque.
///
/// For hosts whose copies are made by something that sees such memory itself, a GPU for one. A queue with a
/// pool (ds_queue_desc::foreign_pool) reads, copies and decodes there, and copies name the block in which
/// their source lies. A pool begins empty and asks for blocks when requests need them (DS_FOREIGN_BLOCK):
/// one at a time, and no more than the staging buffer's size, but at least 16 and at most 64 MiB, or what the
/// option staging_mib_max leaves; a single request that needs more has all that there is to itself.
pub struct ds_foreign_pool {
    pub(crate) pool: ForeignPool,
}

/// Makes a pool that the host calls `cookie`, for queues of this runtime.
///
/// On success `*out` is a pool that ds_foreign_pool_destroy gives back; else NULL. It may outlive the
/// runtime's handle. Errors: DS_E_INVALIDARG for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_foreign_pool_create(
    runtime: *mut ds_runtime,
    cookie: u64,
    out: *mut *mut ds_foreign_pool,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    out.create(|| {
        let pool = runtime?.runtime.foreign_copies().pool(cookie);
        Ok(Box::new(ds_foreign_pool { pool }))
    })
}

/// Gives a pool back; NULL does nothing. The cookies of its blocks come back as soon as no request uses
/// them: at once, if its queues are closed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn ds_foreign_pool_destroy(pool: Option<Box<ds_foreign_pool>>) {
    if let Some(pool) = pool {
        pool.pool.close();
    }
}

/// Gives the pool the block that it asked for: `size` bytes from `memory`, which begins at a page. They must
/// stay valid, and nobody else may write them, until ds_foreign_copies_returned tells `cookie`, which is not
/// 0.
///
/// Errors: DS_E_INVALIDARG for NULL, if the pool did not ask or asked for more, and if the memory begins
/// inside a page: then it stays the host's, and what was asked for is still to be answered. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_foreign_pool_add_block(
    pool: *mut ds_foreign_pool,
    memory: *mut c_void,
    size: u64,
    cookie: u64,
) -> ds_result {
    // SAFETY: promised by the caller.
    let pool = unsafe { ffi::get(pool) };
    ffi::result(|| {
        let bytes = usize::try_from(size).map_err(|_| Failure::INVALID)?;
        if memory.is_null() || cookie == 0 {
            return Err(Failure::INVALID);
        }
        // SAFETY: promised by the caller until the cookie is back.
        let memory = unsafe { Span::new(memory.cast(), bytes) };
        Ok(pool?.pool.add_block(memory, cookie)?)
    })
}

/// Says that there is no block to be had: requests wait for the blocks that there are, and if there are none,
/// the one that asked fails with DS_E_OUTOFMEMORY.
///
/// Errors: DS_E_INVALIDARG for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_foreign_pool_refuse_block(pool: *mut ds_foreign_pool) -> ds_result {
    // SAFETY: promised by the caller.
    let pool = unsafe { ffi::get(pool) };
    ffi::result(|| {
        pool?.pool.refuse_block();
        Ok(())
    })
}

/// Adds a signal that the host makes, and calls `cookie`: it becomes a DS_FOREIGN_SIGNAL when everything
/// enqueued before is done, failed requests too, or is a copy that comes to the host before it; statuses,
/// events and other signals before it come first. For hosts whose copies are made in the order in which they
/// are fetched, by something that makes the signal, too.
///
/// If `result` is negative, the host refuses it: it is recorded as a failure with that when its turn comes.
/// `value` is for error records. Blocks while the queue is full. Errors: DS_E_INVALIDARG for a NULL queue;
/// the cookie does not come back then. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_enqueue_foreign_signal(
    queue: *mut ds_queue,
    cookie: u64,
    value: u64,
    result: ds_result,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    ffi::result(|| {
        let queue = &queue?.queue;
        let signal = queue.runtime().foreign_copies().signal(cookie, value);
        queue.enqueue_foreign_signal(match result {
            0.. => signal,
            refused => signal.refused(Error::Application(refused)),
        });
        Ok(())
    })
}
