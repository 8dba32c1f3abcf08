//! Statistics: what a queue has done, and how full the staging buffer is.

use std::mem::offset_of;

use ds_core::Histogram;

use crate::ffi::{self, Growing};
use crate::queue::ds_queue;
use crate::result::ds_result;
use crate::runtime::ds_runtime;

/// How many buckets a latency histogram has.
pub const DS_HISTOGRAM_BUCKETS: usize = 40;

const _: () = assert!(DS_HISTOGRAM_BUCKETS == Histogram::BUCKETS);

/// What a queue has done since it was made. Requests only: statuses, signals and events are not counted, but
/// for the depth. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_queue_stats {
    /// sizeof(ds_queue_stats).
    pub struct_size: u32,
    /// Entries in the queue now.
    pub depth: u32,
    /// The most entries that were ever in the queue at once.
    pub depth_max: u32,
    /// Zero.
    pub reserved: u32,
    /// Requests enqueued.
    pub requests_enqueued: u64,
    /// Requests that completed without failure.
    pub requests_completed: u64,
    /// Requests that failed, cancelled ones not included.
    pub requests_failed: u64,
    /// Requests that were cancelled.
    pub requests_cancelled: u64,
    /// Bytes taken from sources by completed requests; compressed bytes, if compressed.
    pub bytes_source: u64,
    /// Bytes delivered to destinations by completed requests.
    pub bytes_destination: u64,
    /// Submits that submitted something, automatic ones included.
    pub submits: u64,
    /// How often an enqueue found the queue full and had to wait.
    pub enqueue_waits: u64,
    /// Times from submit to completion, counted in powers of two of a nanosecond: bucket n holds those from
    /// 2^n to below 2^(n+1), the first one 0 as well, the last one everything above.
    pub latency_buckets: [u64; 40],
}

impl Default for ds_queue_stats {
    fn default() -> ds_queue_stats {
        ds_queue_stats {
            struct_size: size_of::<ds_queue_stats>() as u32,
            depth: 0,
            depth_max: 0,
            reserved: 0,
            requests_enqueued: 0,
            requests_completed: 0,
            requests_failed: 0,
            requests_cancelled: 0,
            bytes_source: 0,
            bytes_destination: 0,
            submits: 0,
            enqueue_waits: 0,
            latency_buckets: [0; DS_HISTOGRAM_BUCKETS],
        }
    }
}

const _: () = assert!(offset_of!(ds_queue_stats, latency_buckets) == 80);
const _: () = assert!(size_of::<ds_queue_stats>() == 400);

// SAFETY: begins with a `u32`; four of those and then words leave no padding; integers take any bytes.
unsafe impl Growing for ds_queue_stats {
    const VERSIONS_BYTES: &'static [usize] = &[400];
}

/// Use of the staging buffer. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ds_staging_stats {
    /// sizeof(ds_staging_stats).
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The most that may be used at once.
    pub bytes_max: u64,
    /// In use now.
    pub bytes_in_use: u64,
    /// The most that was ever in use at once.
    pub bytes_peak: u64,
}

const _: () = assert!(size_of::<ds_staging_stats>() == 32);

// SAFETY: begins with a `u32`; two of those and three words leave no padding; integers take any bytes.
unsafe impl Growing for ds_staging_stats {
    const VERSIONS_BYTES: &'static [usize] = &[32];
}

/// What the queue has done. Set out->struct_size before.
///
/// Errors: DS_E_INVALIDARG for NULL or a wrong struct_size. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_get_stats(
    queue: *mut ds_queue,
    out: *mut ds_queue_stats,
) -> ds_result {
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    let stats = || {
        let stats = queue?.queue.stats();
        Ok(ds_queue_stats {
            depth: stats.depth,
            depth_max: stats.depth_max,
            requests_enqueued: stats.requests_enqueued,
            requests_completed: stats.requests_completed,
            requests_failed: stats.requests_failed,
            requests_cancelled: stats.requests_cancelled,
            bytes_source: stats.bytes_source,
            bytes_destination: stats.bytes_destination,
            submits: stats.submits,
            enqueue_waits: stats.enqueue_waits,
            latency_buckets: stats.latency.buckets,
            ..ds_queue_stats::default()
        })
    };
    // SAFETY: promised by the caller; the struct says how long it is.
    unsafe { ffi::answer_sized(out, stats) }
}

/// A time in nanoseconds that the fraction `quantile` (0.0 to 1.0) of all requests did not exceed: the upper
/// end of its bucket. 0 when nothing was counted, and for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_stats_latency_ns(
    stats: *const ds_queue_stats,
    quantile: f64,
) -> u64 {
    // SAFETY: promised by the caller; the struct says how long it is.
    let stats = unsafe { ffi::sized(stats) };
    let buckets = stats.ok().flatten().unwrap_or_default().latency_buckets;
    Histogram { buckets }.quantile_ns(quantile)
}

/// Use of the staging buffer. Set out->struct_size before.
///
/// Errors: DS_E_INVALIDARG for NULL or a wrong struct_size. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_get_staging_stats(
    runtime: *mut ds_runtime,
    out: *mut ds_staging_stats,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    let stats = || {
        let stats = runtime?.runtime.staging_stats();
        Ok(ds_staging_stats {
            bytes_max: stats.bytes_max as u64,
            bytes_in_use: stats.bytes_in_use as u64,
            bytes_peak: stats.bytes_peak as u64,
            ..ds_staging_stats::default()
        })
    };
    // SAFETY: promised by the caller; the struct says how long it is.
    unsafe { ffi::answer_sized(out, stats) }
}
