//! `ds_runtime`: what everything starts from, its options, its staging buffer, and its notifications.

use std::ffi::{CStr, CString, c_char};
use std::mem::offset_of;

use ds_core::{Backend, Config, Notification, Runtime, logger};

use crate::ffi::{self, Failure, Growing};
use crate::result::ds_result;

/// The threads and what queues share; the counterpart of DirectStorage's factory. Opaque.
pub struct ds_runtime {
    pub(crate) runtime: Runtime,
    backend: CString,
    reason: CString,
}

/// How requests are carried out: `DS_BACKEND_*`.
pub type ds_backend = u32;
/// The best that is available.
pub const DS_BACKEND_AUTO: ds_backend = 0;
/// A pool of threads that read, and workers that decompress.
pub const DS_BACKEND_CPU: ds_backend = 1;
/// io_uring, and workers that decompress.
pub const DS_BACKEND_IO_URING: ds_backend = 2;
/// Vulkan for GPU destinations and decompression.
pub const DS_BACKEND_VULKAN: ds_backend = 3;
/// A simulation with seeded faults and no threads, for tests; see ds_runtime_turn.
pub const DS_BACKEND_SIM: ds_backend = 4;

/// A flag of ds_runtime_options: refuse every request above the staging size, as Microsoft's runtime does.
pub const DS_RUNTIME_EXACT_LIMITS: u32 = 1;
/// A flag of ds_runtime_options: take no notice of DS_CONFIG and DS_CONFIG_FILE. For tests and benchmarks.
pub const DS_RUNTIME_IGNORE_ENVIRONMENT: u32 = 2;

/// How a runtime is to be. Zeros, but for the size, are the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_runtime_options {
    /// sizeof(ds_runtime_options).
    pub struct_size: u32,
    /// How requests are carried out. What is not available falls back; ds_runtime_backend_reason says why.
    pub backend: ds_backend,
    /// Threads that read and write; 0 chooses; at most 64.
    pub io_threads: u32,
    /// Threads that decompress; 0 chooses; -1 for none: the application takes every compressed request from
    /// the custom decompression queue. At most 64.
    pub decode_threads: i32,
    /// Size of the staging buffer in bytes; 0 for the default of 32 MiB. See ds_runtime_set_staging_bytes.
    pub staging_bytes: u32,
    /// DS_RUNTIME_* flags.
    pub flags: u32,
    /// Options as text, "key=value,key=value", applied after the members above; or NULL. ds_option_describe
    /// lists them. What makes no sense is logged and ignored.
    pub config: *const c_char,
    /// More of the same, applied last of all, after DS_CONFIG; or NULL. For hosts whose programs have an
    /// environment of their own.
    pub overrides: *const c_char,
}

impl Default for ds_runtime_options {
    fn default() -> ds_runtime_options {
        ds_runtime_options {
            struct_size: size_of::<ds_runtime_options>() as u32,
            backend: DS_BACKEND_AUTO,
            io_threads: 0,
            decode_threads: 0,
            staging_bytes: 0,
            flags: 0,
            config: std::ptr::null(),
            overrides: std::ptr::null(),
        }
    }
}

const _: () = assert!(offset_of!(ds_runtime_options, config) == 24);
const _: () = assert!(size_of::<ds_runtime_options>() == 40);

// SAFETY: begins with a `u32`; the sizes above leave no padding; integers and a raw pointer take any bytes.
unsafe impl Growing for ds_runtime_options {
    const VERSIONS_BYTES: &'static [usize] = &[32, 40];
}

impl ds_runtime_options {
    fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::default();
        config.backend = match self.backend {
            DS_BACKEND_AUTO => Backend::Auto,
            DS_BACKEND_CPU => Backend::Cpu,
            DS_BACKEND_IO_URING => Backend::IoUring,
            DS_BACKEND_VULKAN => Backend::Vulkan,
            DS_BACKEND_SIM => Backend::Sim,
            _ => return Err(Failure::INVALID),
        };
        if self.flags & !(DS_RUNTIME_EXACT_LIMITS | DS_RUNTIME_IGNORE_ENVIRONMENT) != 0 {
            return Err(Failure::INVALID);
        }
        config.io_threads = self.io_threads;
        config.decode_threads = self.decode_threads;
        if self.staging_bytes != 0 {
            config.staging_bytes = self.staging_bytes;
        }
        config.exact_limits = self.flags & DS_RUNTIME_EXACT_LIMITS != 0;
        Ok(config)
    }

    fn create(&self) -> Result<Box<ds_runtime>, Failure> {
        let mut config = self.config()?;
        // SAFETY: NULL or a string, as promised by the caller for the member.
        let list = unsafe { ffi::text(self.config) };
        // SAFETY: as above.
        let overrides = unsafe { ffi::text(self.overrides) };
        apply(&mut config, "config", list);
        if self.flags & DS_RUNTIME_IGNORE_ENVIRONMENT == 0 {
            config = config.overruled_by_environment();
        }
        apply(&mut config, "overrides", overrides);
        let runtime = Runtime::exactly(config)?;
        let choice = runtime.backend();
        let (backend, reason) = (choice.backend.name(), choice.reason.as_str());
        let text = |text: &str| CString::new(text).map_err(|_| Failure::INVALID);
        let (backend, reason) = (text(backend)?, text(reason)?);
        Ok(Box::new(ds_runtime {
            runtime,
            backend,
            reason,
        }))
    }
}

/// Applies options given as text in the member of that name.
fn apply(config: &mut Config, member: &str, list: Option<&CStr>) {
    let list = list.map(CStr::to_string_lossy).unwrap_or_default();
    for complaint in config.set_list(&list) {
        log::warn!(target: "ds", "ds_runtime_options.{member} ignored: {complaint}");
    }
}

/// The version of this library: "major.minor.patch".
///
/// Never NULL. The text is the library's and valid for ever. Any thread, any time.
#[unsafe(no_mangle)]
pub extern "C" fn ds_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Makes a runtime: its threads start now.
///
/// `options` may be NULL for the defaults. The environment overrules them, so that a person can overrule a
/// game: DS_CONFIG="key=value,..." beats the file that DS_CONFIG_FILE names, which beats `options` but for
/// their last member. The first
/// call also installs the logger that DS_LOG (none, error, warn, info, debug, trace) and DS_LOG_PATH ask for;
/// without them warnings go to standard error.
///
/// On success `*out` is a runtime that ds_runtime_destroy gives back; else NULL. A process may have several.
///
/// Errors: DS_E_INVALIDARG for a NULL `out`, a wrong struct_size, an unknown backend or flag; the system's,
/// if threads cannot be made. Any thread, any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_create(
    options: *const ds_runtime_options,
    out: *mut *mut ds_runtime,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller; the struct says how long it is.
    let options = unsafe { ffi::sized(options) };
    logger::init_from_environment();
    out.create(|| options?.unwrap_or_default().create())
}

/// Gives a runtime back; NULL does nothing.
///
/// Its queues may live on and work: the threads end when the last of them is destroyed, too, and this call or
/// that one waits for them. No other call with this runtime may be running, ds_runtime_wait_notifications
/// included. Not to be called from the error callback.
#[unsafe(no_mangle)]
pub extern "C" fn ds_runtime_destroy(runtime: Option<Box<ds_runtime>>) {
    drop(runtime);
}

/// The backend in use, by its name as an option: "cpu", for example.
///
/// NULL for a NULL runtime. The text is the runtime's and valid until it is destroyed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_backend(runtime: *const ds_runtime) -> *const c_char {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    runtime.map_or(std::ptr::null(), |runtime| runtime.backend.as_ptr())
}

/// Why that backend is in use, in a sentence for people.
///
/// NULL for a NULL runtime. The text is the runtime's and valid until it is destroyed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_backend_reason(runtime: *const ds_runtime) -> *const c_char {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    runtime.map_or(std::ptr::null(), |runtime| runtime.reason.as_ptr())
}

/// Changes the size of the staging buffer, through which the compressed bytes of files pass. 0 is a size,
/// too: it suffices when nothing is compressed. Memory is taken when it is needed.
///
/// Errors: DS_E_STAGING_BUFFER_LOCKED while a queue of the runtime exists; DS_E_INVALIDARG for a NULL
/// runtime. Open files do not matter. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_set_staging_bytes(
    runtime: *mut ds_runtime,
    bytes: u32,
) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    ffi::result(|| Ok(runtime?.runtime.set_staging_bytes(bytes)?))
}

/// For DS_BACKEND_SIM only: does one step of the work on this thread; false when there is none left, always
/// for other backends and NULL.
///
/// A call that waits in the queue (an enqueue that finds it full, a cancel, a close) turns by itself; waiting
/// for a status, a fence or an event does not. Any thread, but not the error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_turn(runtime: *mut ds_runtime) -> bool {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    runtime.is_ok_and(|runtime| runtime.runtime.turn())
}

/// What a foreign event or fence leaves for its host.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ds_notification {
    /// The number the object was made with.
    pub cookie: u64,
    /// The latest value, for a fence; 0 for an event.
    pub value: u64,
}

const _: () = assert!(size_of::<ds_notification>() == 16);

/// The most notifications that one call of ds_runtime_wait_notifications answers.
pub const DS_NOTIFICATIONS_MAX: u32 = 64;

/// Waits until foreign events or fences (ds_event_create_foreign, ds_fence_create_foreign) were signalled,
/// and fetches what they left: at most `max` notifications into `out`, their number into `*count`.
///
/// Answers DS_OK with a count of 0 when `timeout_ns` (DS_WAIT_FOREVER: never) is over or
/// ds_runtime_interrupt_notifications was called. Several signals of one object make one notification with
/// the latest value. More than DS_NOTIFICATIONS_MAX are left for the next call.
///
/// Errors: DS_E_INVALIDARG for a NULL pointer or a `max` of 0. Any number of threads may wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_wait_notifications(
    runtime: *mut ds_runtime,
    max: u32,
    out: *mut ds_notification,
    count: *mut u32,
    timeout_ns: u64,
) -> ds_result {
    let max = max.min(DS_NOTIFICATIONS_MAX) as usize;
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::array_out(out, max) };
    // SAFETY: promised by the caller.
    let count = unsafe { ffi::out(count) };
    count.answer(0, || {
        let (runtime, out) = (runtime?, out?);
        if out.is_empty() {
            return Err(Failure::INVALID);
        }
        let none = Notification {
            cookie: 0,
            value: 0,
        };
        let mut found = [none; DS_NOTIFICATIONS_MAX as usize];
        let timeout = ffi::timeout(timeout_ns);
        let count = runtime
            .runtime
            .wait_notifications(&mut found[..max], timeout);
        for (place, &Notification { cookie, value }) in out.iter_mut().zip(&found[..count]) {
            place.write(ds_notification { cookie, value });
        }
        Ok(count as u32)
    })
}

/// Makes one thread in ds_runtime_wait_notifications return with nothing, or the next that comes, so that a
/// host can stop its thread.
///
/// Errors: DS_E_INVALIDARG for a NULL runtime. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_runtime_interrupt_notifications(runtime: *mut ds_runtime) -> ds_result {
    // SAFETY: promised by the caller.
    let runtime = unsafe { ffi::get(runtime) };
    ffi::result(|| {
        runtime?.runtime.notifier().interrupt();
        Ok(())
    })
}
