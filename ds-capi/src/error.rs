//! The error callback: each failure, with everything a person needs to find it.

use std::ffi::{CString, c_char, c_void};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::time::UNIX_EPOCH;

use ds_core::{ErrorReport, PlaceInfo, RequestInfo, Subsystem, set_error_callback};

use crate::ffi::User;
use crate::result::ds_result;

/// Which part of the library a report is about: `DS_SUBSYSTEM_*`.
pub type ds_subsystem = u32;
/// None of the others.
pub const DS_SUBSYSTEM_OTHER: ds_subsystem = 0;
/// Creating and configuring the runtime.
pub const DS_SUBSYSTEM_RUNTIME: ds_subsystem = 1;
/// Opening and closing files.
pub const DS_SUBSYSTEM_FILE: ds_subsystem = 2;
/// Enqueue, submit, completion.
pub const DS_SUBSYSTEM_QUEUE: ds_subsystem = 3;
/// Reading and writing.
pub const DS_SUBSYSTEM_IO: ds_subsystem = 4;
/// Decompression.
pub const DS_SUBSYSTEM_DECODE: ds_subsystem = 5;
/// Work on a GPU.
pub const DS_SUBSYSTEM_GPU: ds_subsystem = 6;

/// One failure. All texts are valid for the time of the call only, and never NULL unless it says so.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_error_report {
    /// The size of this struct in the library's version; members are only ever added at the end.
    pub struct_size: u32,
    /// The part of the library.
    pub subsystem: ds_subsystem,
    /// Why.
    pub result: ds_result,
    /// The line of `file`.
    pub line: u32,
    /// When: nanoseconds since 1970.
    pub timestamp_ns: u64,
    /// What was being done: "read", "decompress", "open".
    pub operation: *const c_char,
    /// All of it in one line for a person: what failed, why, and what to do about it.
    pub message: *const c_char,
    /// Where in the library's source the failure was found.
    pub file: *const c_char,
    /// 1 if the members below describe a request, else 0.
    pub has_request: u32,
    /// Zero.
    pub reserved: u32,
    /// The path of the request's file, or NULL.
    pub filename: *const c_char,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// Bytes of the request's source.
    pub size: u64,
    /// The request's cancellation tag.
    pub cancellation_tag: u64,
    /// The request's name, or NULL.
    pub name: *const c_char,
}

const _: () = {
    assert!(offset_of!(ds_error_report, operation) == 24);
    assert!(offset_of!(ds_error_report, filename) == 56);
    assert!(size_of::<ds_error_report>() == 96);
};

/// Hears of failures; `user` is what ds_set_error_callback was given.
pub type ds_error_callback =
    Option<unsafe extern "C" fn(user: *mut c_void, report: *const ds_error_report)>;

/// Installs the callback that hears of every failure in the process, or removes it with NULL.
///
/// It is called once for each failure, cancelled requests included, on the thread that found it: a thread of
/// the library, or one that is inside a call of it, such as a wait: it must take no lock that the program
/// holds over a wait. Several calls may come at once. Work waits meanwhile, so
/// it should be short, and it must not enqueue, submit, cancel, close, destroy, wait, or signal a fence.
///
/// `user` is passed on. It must stay valid until the callback was removed or replaced *and* every queue and
/// runtime is destroyed: a call that has begun is not waited for. Any thread, but not the callback itself.
#[unsafe(no_mangle)]
pub extern "C" fn ds_set_error_callback(callback: ds_error_callback, user: *mut c_void) {
    let user = User(user);
    set_error_callback(
        callback.map(|callback| -> Box<dyn Fn(&ErrorReport) + Send + Sync> {
            Box::new(move |report| Texts::of(report).call(callback, user.pointer(), report))
        }),
    );
}

/// The texts of a report as C wants them.
struct Texts {
    operation: CString,
    message: CString,
    file: CString,
    filename: Option<CString>,
    name: Option<CString>,
}

/// A C string of the bytes before the first NUL.
fn c_string(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    let end = bytes.iter().position(|&byte| byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    CString::new(bytes).unwrap_or_default()
}

impl Texts {
    fn of(report: &ErrorReport) -> Texts {
        let request = report.request.as_ref();
        let filename = request
            .and_then(RequestInfo::file)
            .map(|file| file.path.as_os_str().as_bytes());
        let name = request.and_then(|request| request.name.as_ref());
        Texts {
            operation: c_string(report.operation),
            message: c_string(report.to_string()),
            file: c_string(report.location.file()),
            filename: filename.map(c_string),
            name: name.map(|name| c_string(name.as_bytes())),
        }
    }

    fn call(
        &self,
        callback: unsafe extern "C" fn(*mut c_void, *const ds_error_report),
        user: *mut c_void,
        report: &ErrorReport,
    ) {
        let pointer =
            |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |t| t.as_ptr());
        let request = report.request.as_ref();
        let since_1970 = report.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let report = ds_error_report {
            struct_size: size_of::<ds_error_report>() as u32,
            subsystem: number_of(report.subsystem),
            result: report.error.hresult(),
            line: report.location.line(),
            timestamp_ns: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
            operation: self.operation.as_ptr(),
            message: self.message.as_ptr(),
            file: self.file.as_ptr(),
            has_request: request.is_some().into(),
            reserved: 0,
            filename: pointer(&self.filename),
            offset: request.map_or(0, offset_of_request),
            size: request.map_or(0, size_of_request),
            cancellation_tag: request.map_or(0, |request| request.cancellation_tag),
            name: pointer(&self.name),
        };
        // SAFETY: a function of this type, by the contract of `ds_set_error_callback`; the report outlives
        // the call.
        unsafe { callback(user, &report) };
    }
}

fn number_of(subsystem: Subsystem) -> ds_subsystem {
    match subsystem {
        Subsystem::Runtime => DS_SUBSYSTEM_RUNTIME,
        Subsystem::File => DS_SUBSYSTEM_FILE,
        Subsystem::Queue => DS_SUBSYSTEM_QUEUE,
        Subsystem::Io => DS_SUBSYSTEM_IO,
        Subsystem::Decode => DS_SUBSYSTEM_DECODE,
        Subsystem::Gpu => DS_SUBSYSTEM_GPU,
        _ => DS_SUBSYSTEM_OTHER,
    }
}

fn offset_of_request(request: &RequestInfo) -> u64 {
    match (&request.source, &request.destination) {
        (PlaceInfo::File { offset, .. }, _) | (_, PlaceInfo::File { offset, .. }) => *offset,
        _ => 0,
    }
}

fn size_of_request(request: &RequestInfo) -> u64 {
    match request.source {
        PlaceInfo::File { bytes, .. } => bytes.into(),
        PlaceInfo::Memory { bytes, .. } => bytes as u64,
        PlaceInfo::Gpu(_) | PlaceInfo::Foreign(_) | PlaceInfo::Other(_) => 0,
    }
}
