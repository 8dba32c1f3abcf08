//! `ds_queue`: enqueue, submit, status, signal, event, cancel, close, query.

use std::ffi::c_char;
use std::mem::offset_of;

use ds_core::gpu::GpuDevice;
use ds_core::{
    Compression, Event, Fence, FenceWait, GpuDecode, Priority, Queue, QueueDesc, SourceType,
    StatusArray,
};

use crate::copies::ds_foreign_pool;
use crate::event::ds_event;
use crate::fence::ds_fence;
use crate::ffi::{self, Failure, Growing};
use crate::request;
use crate::result::ds_result;
use crate::runtime::ds_runtime;
use crate::status::ds_status_array;
use crate::types::*;

/// A queue of requests, with one owner. Opaque.
pub struct ds_queue {
    pub(crate) queue: Queue,
}

/// How urgent a queue's requests are, relative to other queues': `DS_PRIORITY_*`. Other numbers are clamped.
pub type ds_priority = i32;
/// After everything else.
pub const DS_PRIORITY_LOW: ds_priority = -1;
/// The usual.
pub const DS_PRIORITY_NORMAL: ds_priority = 0;
/// Before normal ones.
pub const DS_PRIORITY_HIGH: ds_priority = 1;
/// Before everything else.
pub const DS_PRIORITY_REALTIME: ds_priority = 2;

/// The smallest capacity of a queue.
pub const DS_MIN_QUEUE_CAPACITY: u32 = 128;
/// The largest capacity by DirectStorage's documentation.
pub const DS_MAX_QUEUE_CAPACITY: u32 = 8192;
/// The largest capacity that is accepted.
pub const DS_MAX_QUEUE_CAPACITY_ACCEPTED: u32 = 32768;

const _: () = {
    assert!(DS_MIN_QUEUE_CAPACITY == ds_core::CAPACITY_MIN);
    assert!(DS_MAX_QUEUE_CAPACITY == ds_core::CAPACITY_MAX_DOCUMENTED);
    assert!(DS_MAX_QUEUE_CAPACITY_ACCEPTED == ds_core::CAPACITY_MAX);
};

/// How a queue is to be. Zeros are defaults, but for the size and the capacity.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_queue_desc {
    /// sizeof(ds_queue_desc).
    pub struct_size: u32,
    /// How many entries it holds: requests, statuses, signals and events that are not done. One is kept in
    /// reserve.
    pub capacity: u32,
    /// What its requests read: DS_SOURCE_FILE or DS_SOURCE_MEMORY.
    pub source_type: u32,
    /// How urgent they are.
    pub priority: ds_priority,
    /// For logs; copied. May be NULL.
    pub name: *const c_char,
    /// Set at each failure; the queue keeps a reference. NULL makes one: see ds_queue_error_event.
    pub error_event: *mut ds_event,
    /// The GPU whose resources its requests can reach; the queue keeps a reference. NULL for the runtime's
    /// own (ds_runtime_gpu_device), if its backend is Vulkan.
    pub gpu_device: *mut ds_gpu_device,
    /// Who decompresses GDeflate for that GPU: DS_GPU_DECODE_*.
    pub gpu_decode: u32,
    /// Zero.
    pub reserved: u32,
    /// Memory of the host's, for bytes on their way to DS_DESTINATION_FOREIGN; the pool must live until the
    /// queue is destroyed. NULL for the library's own.
    pub foreign_pool: *mut ds_foreign_pool,
}

/// As the runtime is configured (option gpu_decode).
pub const DS_GPU_DECODE_DEFAULT: u32 = 0;
/// The GPU where enough tiles wait that it is the faster one; the CPU otherwise.
pub const DS_GPU_DECODE_AUTO: u32 = 1;
/// The GPU wherever it can.
pub const DS_GPU_DECODE_GPU: u32 = 2;
/// The CPU; the GPU copies.
pub const DS_GPU_DECODE_CPU: u32 = 3;

impl Default for ds_queue_desc {
    fn default() -> ds_queue_desc {
        ds_queue_desc {
            struct_size: size_of::<ds_queue_desc>() as u32,
            capacity: 0,
            source_type: u32::from(DS_SOURCE_FILE),
            priority: DS_PRIORITY_NORMAL,
            name: std::ptr::null(),
            error_event: std::ptr::null_mut(),
            gpu_device: std::ptr::null_mut(),
            gpu_decode: DS_GPU_DECODE_DEFAULT,
            reserved: 0,
            foreign_pool: std::ptr::null_mut(),
        }
    }
}

const _: () = assert!(offset_of!(ds_queue_desc, name) == 16 && size_of::<ds_queue_desc>() == 56);

// SAFETY: begins with a `u32`; the sizes above leave no padding; integers and raw pointers take any bytes.
unsafe impl Growing for ds_queue_desc {
    const VERSIONS_BYTES: &'static [usize] = &[32, 48, 56];
}

/// The answer of ds_queue_query. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ds_queue_info {
    /// sizeof(ds_queue_info).
    pub struct_size: u32,
    /// Entries in all.
    pub capacity: u32,
    /// What it reads: DS_SOURCE_FILE or DS_SOURCE_MEMORY.
    pub source_type: u32,
    /// How urgent.
    pub priority: ds_priority,
    /// Entries that can be enqueued before an enqueue blocks.
    pub empty_slots: u32,
    /// Entries that can be enqueued before the queue submits by itself.
    pub requests_until_auto_submit: u32,
}

const _: () = assert!(size_of::<ds_queue_info>() == 24);

// SAFETY: begins with a `u32`; six of them leave no padding; integers take any bytes.
unsafe impl Growing for ds_queue_info {
    const VERSIONS_BYTES: &'static [usize] = &[24];
}

/// How requests wait for the fence they are enqueued with: `DS_ENQUEUE_*`.
pub type ds_enqueue_flags = u32;
/// Only the destination is not written before the fence has its value.
pub const DS_ENQUEUE_NONE: ds_enqueue_flags = 0;
/// GPU work does not start before, either.
pub const DS_ENQUEUE_FENCE_WAIT_BEFORE_GPU_WORK: ds_enqueue_flags = 1;
/// The source is not read before, either.
pub const DS_ENQUEUE_FENCE_WAIT_BEFORE_SOURCE_ACCESS: ds_enqueue_flags = 2;

/// How a queue decompresses a format: `DS_COMPRESSION_SUPPORT_*` flags.
pub type ds_compression_support = u32;
/// The library does not decompress it.
pub const DS_COMPRESSION_SUPPORT_NONE: ds_compression_support = 0;
/// The GPU, by its driver.
pub const DS_COMPRESSION_SUPPORT_GPU_OPTIMIZED: ds_compression_support = 1;
/// The GPU, by a shader of the library.
pub const DS_COMPRESSION_SUPPORT_GPU_FALLBACK: ds_compression_support = 2;
/// The CPU.
pub const DS_COMPRESSION_SUPPORT_CPU_FALLBACK: ds_compression_support = 4;
/// With a compute queue.
pub const DS_COMPRESSION_SUPPORT_USES_COMPUTE_QUEUE: ds_compression_support = 8;
/// With a copy queue.
pub const DS_COMPRESSION_SUPPORT_USES_COPY_QUEUE: ds_compression_support = 16;

impl ds_queue_desc {
    fn to_core(self) -> Result<QueueDesc, Failure> {
        if self.reserved != 0 {
            return Err(Failure::INVALID);
        }
        let source_type = match u8::try_from(self.source_type) {
            Ok(DS_SOURCE_FILE) => SourceType::File,
            Ok(DS_SOURCE_MEMORY) => SourceType::Memory,
            _ => return Err(Failure::INVALID),
        };
        // SAFETY: NULL or a string, as promised by the caller for the member.
        let name = unsafe { ffi::text(self.name) };
        // SAFETY: NULL or an event, as promised by the caller for the member.
        let error_event = unsafe { ffi::shared::<Event>(self.error_event) };
        // SAFETY: NULL or a pool, as promised by the caller for the member.
        let foreign_pool = unsafe { self.foreign_pool.as_ref() };
        let priority = self.priority.clamp(DS_PRIORITY_LOW, DS_PRIORITY_REALTIME);
        Ok(QueueDesc {
            source_type,
            capacity: self.capacity,
            priority: Priority::from_number(priority as i8),
            name: name.map(|name| name.to_string_lossy().into_owned()),
            error_event: error_event.map(|event| Event::clone(&event)),
            device: self.device()?,
            gpu_decode: match self.gpu_decode {
                DS_GPU_DECODE_DEFAULT => None,
                DS_GPU_DECODE_AUTO => Some(GpuDecode::Auto),
                DS_GPU_DECODE_GPU => Some(GpuDecode::Gpu),
                DS_GPU_DECODE_CPU => Some(GpuDecode::Cpu),
                _ => return Err(Failure::INVALID),
            },
            foreign_pool: foreign_pool.map(|pool| pool.pool.clone()),
        })
    }
}

#[cfg(feature = "vulkan")]
impl ds_queue_desc {
    fn device(&self) -> Result<Option<GpuDevice>, Failure> {
        // SAFETY: NULL or a device, as promised by the caller for the member.
        let device = unsafe { ffi::shared::<GpuDevice>(self.gpu_device) };
        Ok(device.map(|device| GpuDevice::clone(&device)))
    }
}

#[cfg(not(feature = "vulkan"))]
impl ds_queue_desc {
    fn device(&self) -> Result<Option<GpuDevice>, Failure> {
        match self.gpu_device.is_null() {
            true => Ok(None),
            false => Err(Failure::INVALID),
        }
    }
}

/// Makes a queue.
///
/// On success `*out` is a queue that ds_queue_destroy gives back; else NULL. The queue may outlive the
/// runtime's handle.
///
/// Errors: DS_E_INVALID_QUEUE_CAPACITY; DS_E_INVALIDARG for NULL, a wrong struct_size, an unknown source
/// type or an unknown gpu_decode; DS_E_TOO_MANY_OPEN_FILES; DS_E_OUTOFMEMORY or DS_E_DEVICE_LOST if the
/// GPU cannot be used. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_create(
    runtime: *mut ds_runtime,
    desc: *const ds_queue_desc,
    out: *mut *mut ds_queue,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let desc = unsafe { ffi::sized(desc) };
    out.create(|| {
        let desc = desc?.ok_or(Failure::INVALID)?.to_core()?;
        let queue = runtime?.runtime.create_queue(desc)?;
        Ok(Box::new(ds_queue { queue }))
    })
}

/// Closes a queue as ds_queue_close does, with the same exception, and gives it back; NULL does nothing.
/// Requests that the application has fetched may be answered afterwards, too.
///
/// No other call with this queue may be running. Not to be called from the error callback.
#[unsafe(no_mangle)]
pub extern "C" fn ds_queue_destroy(queue: Option<Box<ds_queue>>) {
    drop(queue);
}

/// Adds a request, which is copied. Blocks while the queue is full; nothing is read or decompressed on this
/// thread.
///
/// Nothing starts before ds_queue_submit, or before more than half of the capacity waits for it. Requests
/// complete in any order. A request that is invalid, or fails, says so in the next status and in the error
/// record, and not here.
///
/// Memory and name are the caller's: the memory must stay valid and untouched until the request completes;
/// the name is copied. An address where nothing is mapped makes the request fail with DS_E_ACCESS_VIOLATION.
///
/// Errors: DS_E_INVALIDARG for NULL. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_enqueue_request(
    queue: *mut ds_queue,
    request: *const ds_request,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    // SAFETY: promised by the caller.
    let request = unsafe { ffi::get(request) };
    ffi::result(|| {
        let (queue, request) = (queue?, request?);
        // SAFETY: promised by the caller for what the request points to.
        let request = unsafe { request::from_c(request, &queue.queue) };
        queue.queue.enqueue_request(request);
        Ok(())
    })
}

/// Adds `count` requests that do not start before `fence` has the value `value` or more; a NULL fence means
/// at once. `flags` says what else waits, DS_ENQUEUE_*: for destinations in memory everything does.
///
/// The wait takes no slot, and other requests overtake those that wait. Blocks while the queue is full: a
/// fence that is signalled only after this call returns must not hold back more requests than the queue has
/// room for.
///
/// Memory, errors and threads as for ds_queue_enqueue_request; DS_E_INVALIDARG for an unknown flag, too.
/// `requests` may be NULL if `count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_enqueue_requests(
    queue: *mut ds_queue,
    requests: *const ds_request,
    count: u32,
    fence: *mut ds_fence,
    value: u64,
    flags: ds_enqueue_flags,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    // SAFETY: promised by the caller.
    let requests = unsafe { ffi::array(requests, count as usize) };
    // SAFETY: promised by the caller.
    let fence = unsafe { ffi::shared::<Fence>(fence) };
    ffi::result(|| {
        let wait = match flags {
            DS_ENQUEUE_NONE => FenceWait::BeforeDestination,
            DS_ENQUEUE_FENCE_WAIT_BEFORE_GPU_WORK => FenceWait::BeforeGpuWork,
            DS_ENQUEUE_FENCE_WAIT_BEFORE_SOURCE_ACCESS => FenceWait::BeforeSourceAccess,
            _ => return Err(Failure::INVALID),
        };
        let (queue, requests) = (queue?, requests?);
        let target = &queue.queue;
        // SAFETY: promised by the caller for what the requests point to.
        let requests = requests
            .iter()
            .map(|request| unsafe { request::from_c(request, target) });
        let fence = fence.as_deref().map(|fence| (fence, value));
        queue.queue.enqueue_requests(requests, fence, wait);
        Ok(())
    })
}

/// Adds a status: the entry `index` of `array` is pending from now on, and complete when everything enqueued
/// before is done. Its result is DS_OK, or the first failure, in the order of enqueue, since the status
/// before.
///
/// The queue keeps a reference to the array. Blocks while the queue is full. A NULL array or an index out of
/// range is recorded as a failure, DS_E_INVALID_STATUS_ARRAY or DS_E_INDEX_BOUND.
///
/// Errors: DS_E_INVALIDARG for a NULL queue. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_enqueue_status(
    queue: *mut ds_queue,
    array: *mut ds_status_array,
    index: u32,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    // SAFETY: promised by the caller.
    let array = unsafe { ffi::shared::<StatusArray>(array) };
    ffi::result(|| {
        queue?.queue.enqueue_status(array.as_deref(), index);
        Ok(())
    })
}

/// Adds a signal: `fence` is set to `value` when everything enqueued before is done, failed requests too.
///
/// The queue keeps a reference to the fence. Blocks while the queue is full. A NULL fence is recorded as a
/// failure, DS_E_INVALID_FENCE.
///
/// Errors: DS_E_INVALIDARG for a NULL queue. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_enqueue_signal(
    queue: *mut ds_queue,
    fence: *mut ds_fence,
    value: u64,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    // SAFETY: promised by the caller.
    let fence = unsafe { ffi::shared::<Fence>(fence) };
    ffi::result(|| {
        queue?.queue.enqueue_signal(fence.as_deref(), value);
        Ok(())
    })
}

/// Adds an event: `event` is set when everything enqueued before is done, failed requests too.
///
/// The queue keeps a reference to the event. Blocks while the queue is full. A NULL event is recorded as a
/// failure, DS_E_INVALIDARG.
///
/// Errors: DS_E_INVALIDARG for a NULL queue. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_enqueue_set_event(
    queue: *mut ds_queue,
    event: *mut ds_event,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    // SAFETY: promised by the caller.
    let event = unsafe { ffi::shared::<Event>(event) };
    ffi::result(|| {
        queue?.queue.enqueue_set_event(event.as_deref());
        Ok(())
    })
}

/// Starts everything enqueued so far. Never blocks for it to be done.
///
/// Errors: DS_E_INVALIDARG for NULL. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_submit(queue: *mut ds_queue) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    ffi::result(|| {
        queue?.queue.submit();
        Ok(())
    })
}

/// Cancels every request enqueued so far with (cancellation_tag & mask) == value.
///
/// On return no cancelled request touches its memory or its files any more, except one that the application
/// has taken from the custom decompression queue and not answered. Cancelled requests count as failures with
/// DS_E_CANCELLED, in their status and in the error record, as Microsoft's runtime does it.
///
/// Errors: DS_E_INVALIDARG for NULL. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_cancel_requests_with_tag(
    queue: *mut ds_queue,
    mask: u64,
    value: u64,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    ffi::result(|| {
        queue?.queue.cancel_requests_with_tag(mask, value);
        Ok(())
    })
}

/// Closes a queue: requests that have not started are cancelled, requests in flight end first. Their statuses
/// complete; signals and events of work that was not done do not fire. What is enqueued later is recorded as
/// a failure, DS_E_QUEUE_CLOSED.
///
/// On return no request touches its memory or its files any more, except one that the application has taken
/// from the custom decompression queue and not answered: that is not waited for, and a status behind it
/// completes with its answer.
///
/// A second close does nothing, and neither does NULL. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_close(queue: *mut ds_queue) {
    // SAFETY: promised by the caller.
    if let Ok(queue) = unsafe { ffi::get(queue) } {
        queue.queue.close();
    }
}

/// Capacity and room. Set out->struct_size before.
///
/// Errors: DS_E_INVALIDARG for NULL or a wrong struct_size. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_query(
    queue: *mut ds_queue,
    out: *mut ds_queue_info,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    let query = || {
        let info = queue?.queue.query();
        let source_type = match info.source_type {
            SourceType::File => DS_SOURCE_FILE,
            SourceType::Memory => DS_SOURCE_MEMORY,
        };
        let priority = match info.priority {
            Priority::Low => DS_PRIORITY_LOW,
            Priority::Normal => DS_PRIORITY_NORMAL,
            Priority::High => DS_PRIORITY_HIGH,
            Priority::Realtime => DS_PRIORITY_REALTIME,
        };
        Ok(ds_queue_info {
            struct_size: 0,
            capacity: info.capacity,
            source_type: source_type.into(),
            priority,
            empty_slots: info.empty_slots,
            requests_until_auto_submit: info.requests_until_auto_submit,
        })
    };
    // SAFETY: promised by the caller; the struct says how long it is.
    unsafe { ffi::answer_sized(out, query) }
}

/// The name that a queue was made with, into `buffer`; an empty text if it has none. Bytes that are not UTF-8
/// were replaced.
///
/// Errors: DS_E_INSUFFICIENT_BUFFER if `buffer_size` bytes do not hold the text and its NUL; DS_E_INVALIDARG
/// for NULL or a size of 0. The buffer holds an empty text then, if there is one. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_name(
    queue: *mut ds_queue,
    buffer: *mut c_char,
    buffer_size: usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    // SAFETY: promised by the caller.
    let buffer = unsafe { ffi::text_out(buffer, buffer_size) };
    buffer.answer(|| Ok(queue?.queue.name().unwrap_or_default()))
}

/// How the queue decompresses a format; DS_COMPRESSION_SUPPORT_NONE for formats that it does not, and for
/// NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_get_compression_support(
    queue: *mut ds_queue,
    format: ds_compression_format,
) -> ds_compression_support {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    queue.map_or(DS_COMPRESSION_SUPPORT_NONE, |queue| {
        queue.queue.compression_support(Compression(format)).0
    })
}

/// The event that is set when an entry fails; ds_queue_retrieve_error_record clears it. With io_uring it may
/// be set up to 5 ms later than the read failed, but not later than the status, signal or event behind the
/// entry.
///
/// On success `*out` is a new reference that ds_event_release gives back; else NULL. Errors: DS_E_INVALIDARG
/// for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_error_event(
    queue: *mut ds_queue,
    out: *mut *mut ds_event,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    out.share(|| Ok(queue?.queue.error_event().clone()))
}
