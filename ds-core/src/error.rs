//! What can go wrong: one `Error` enum, its DirectStorage number, and the report a person reads.
//!
//! Every failure has an `HRESULT` (what a game sees, the numbers of `dstorageerr.h`) and, if
//! someone listens, an [`ErrorReport`] (what a person sees): which operation failed, on which
//! request, and what to do about it.

#![forbid(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use parking_lot::RwLock;

use crate::request::RequestInfo;

/// The number of success.
pub const S_OK: i32 = 0;
/// What a status reads before its requests have completed.
pub const E_PENDING: i32 = hresult(0x8000_000A);

/// The bit pattern of a failure code as the signed number it is passed as.
const fn hresult(code: u32) -> i32 {
    code.cast_signed()
}

/// Why something failed.
///
/// The numbers ([`Error::hresult`]) are DirectStorage's own and never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A queue's capacity is not in 128..=32768.
    InvalidQueueCapacity,
    /// A read reaches past the end of its file. The destination is untouched, unless the file
    /// shrank meanwhile.
    EndOfFile,
    /// The compressed bytes of a file request do not fit in the staging buffer.
    RequestTooLarge,
    /// Source or destination memory cannot be accessed.
    AccessViolation,
    /// The request's file was closed.
    FileNotOpen,
    /// Source, destination and uncompressed sizes do not agree.
    InvalidDestinationSize,
    /// The queue was closed.
    QueueClosed,
    /// A status index at or above the array's capacity.
    IndexBound,
    /// A request without a file (NULL), or with one that was not opened for this use.
    InvalidFileHandle,
    /// A write's offset that no file can have.
    InvalidFileOffset,
    /// A file request on a memory queue, or the other way round.
    InvalidSourceType,
    /// The staging size cannot change while a queue lives.
    StagingBufferLocked,
    /// A signal without a fence (NULL).
    InvalidFence,
    /// A status without a status array (NULL).
    InvalidStatusArray,
    /// A destination that this queue cannot reach: a GPU resource without a device, or an unknown
    /// kind.
    InvalidDestinationType,
    /// Compressed data that does not decode: `E_FAIL`, as Microsoft's runtime answers.
    Corrupt,
    /// A compression format that is neither built in nor custom.
    UnsupportedFormat,
    /// An argument without meaning.
    InvalidArgument,
    /// The GPU was reset or went away: `DXGI_ERROR_DEVICE_REMOVED`. Nothing on that device
    /// completes any more.
    DeviceLost,
    /// Cancelled by tag, or by closing its queue.
    Cancelled,
    /// A path whose folder does not exist, or an empty path.
    PathNotFound,
    /// A path that leads to something other than a file.
    NotAFile,
    /// The operating system refused; the number is `errno`.
    Os(i32),
    /// The application's own result for a custom decompression request; negative.
    Application(i32),
}

impl Error {
    /// The `HRESULT` that stands in status arrays and error records.
    pub fn hresult(self) -> i32 {
        match self {
            Error::InvalidQueueCapacity => hresult(0x8924_0003),
            Error::EndOfFile => hresult(0x8924_0007),
            Error::RequestTooLarge => hresult(0x8924_0008),
            Error::AccessViolation => hresult(0x8924_0009),
            Error::FileNotOpen => hresult(0x8924_000B),
            Error::InvalidDestinationSize => hresult(0x8924_000F),
            Error::QueueClosed => hresult(0x8924_0010),
            Error::IndexBound => hresult(0x8924_0015),
            Error::InvalidFileHandle => hresult(0x8924_0017),
            Error::InvalidFileOffset => hresult(0x8924_001A),
            Error::InvalidSourceType => hresult(0x8924_001B),
            Error::StagingBufferLocked => hresult(0x8924_001F),
            Error::InvalidFence => hresult(0x8924_0022),
            Error::InvalidStatusArray => hresult(0x8924_0023),
            Error::InvalidDestinationType => hresult(0x8924_0040),
            Error::Corrupt => hresult(0x8000_4005),
            Error::UnsupportedFormat => hresult(0x8000_4001),
            Error::InvalidArgument => hresult(0x8007_0057),
            Error::DeviceLost => hresult(0x887A_0005),
            Error::Cancelled => hresult(0x8007_03E3),
            Error::PathNotFound => hresult(0x8007_0003),
            Error::NotAFile => hresult(0x8007_0005),
            Error::Os(errno) => win32(errno),
            Error::Application(code) => code,
        }
    }

    /// The failure that an I/O call's `errno` means for a request.
    pub(crate) fn from_io_errno(errno: i32) -> Error {
        match errno {
            libc::EFAULT => Error::AccessViolation,
            libc::ECANCELED => Error::Cancelled,
            libc::EBADF => Error::InvalidFileHandle,
            other => Error::Os(other),
        }
    }

    /// What is wrong, the likely cause and the cure, in a sentence.
    fn describe(self) -> &'static str {
        match self {
            Error::InvalidQueueCapacity => "the queue capacity must be 128 to 32768 entries",
            Error::EndOfFile => {
                "the request reaches past the end of the file; compare its offset and size with the \
                 file's"
            }
            Error::RequestTooLarge => {
                "the request does not fit in the staging buffer; raise the staging size before \
                 creating queues, or split the request"
            }
            Error::AccessViolation => {
                "source or destination memory is not accessible; it must stay valid until the \
                 request completes"
            }
            Error::FileNotOpen => {
                "the file was closed before the request ran; close it after its requests complete"
            }
            Error::InvalidDestinationSize => {
                "the sizes do not agree: without compression destination and source sizes are equal, \
                 with compression destination and uncompressed sizes are"
            }
            Error::QueueClosed => "the queue was closed; create a new one",
            Error::IndexBound => "the status index is not below the status array's capacity",
            Error::InvalidFileHandle => {
                "the request has no usable file; open it, for writing if the request writes"
            }
            Error::InvalidFileOffset => "no file reaches that offset",
            Error::InvalidSourceType => {
                "the request's source is not of the kind the queue was created for (file or memory)"
            }
            Error::StagingBufferLocked => {
                "the staging size cannot change while a queue exists; set it first"
            }
            Error::InvalidFence => "the fence is NULL",
            Error::InvalidStatusArray => "the status array is NULL",
            Error::InvalidDestinationType => {
                "the queue cannot reach this destination: GPU resources need a queue with a device, \
                 files need a memory source without compression"
            }
            Error::Corrupt => {
                "the compressed data is damaged, truncated, or of another uncompressed size than the \
                 request says"
            }
            Error::UnsupportedFormat => {
                "the compression format is not built in; formats 0x80 to 0xFF go to the custom \
                 decompression queue"
            }
            Error::InvalidArgument => "an argument has no meaning here",
            Error::DeviceLost => {
                "the GPU was reset or went away; create a new device and new queues on it"
            }
            Error::Cancelled => "cancelled",
            Error::PathNotFound => "the path's folder does not exist, or the path is empty",
            Error::NotAFile => "the path is not a regular file (a folder, pipe or device?)",
            Error::Os(_) => "the operating system refused",
            Error::Application(_) => "the application's decompression or the host's copy failed",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Os(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno))?,
            other => f.write_str(other.describe())?,
        }
        write!(f, " [{:#010X}]", self.hresult().cast_unsigned())
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::Os(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// `HRESULT_FROM_WIN32` of the Win32 code that Windows uses for the same condition.
fn win32(errno: i32) -> i32 {
    let code = match errno {
        libc::ENOENT => 2,                // ERROR_FILE_NOT_FOUND
        libc::ENOTDIR | libc::ELOOP => 3, // ERROR_PATH_NOT_FOUND
        libc::EMFILE | libc::ENFILE => 4, // ERROR_TOO_MANY_OPEN_FILES
        libc::EACCES | libc::EPERM | libc::EISDIR | libc::ETXTBSY => 5, // ERROR_ACCESS_DENIED
        libc::EBADF => 6,                 // ERROR_INVALID_HANDLE
        libc::EAGAIN => 1450,             // ERROR_NO_SYSTEM_RESOURCES
        libc::ENOMEM => 14,               // ERROR_OUTOFMEMORY, of E_OUTOFMEMORY
        libc::EROFS => 19,                // ERROR_WRITE_PROTECT
        libc::ENOSPC | libc::EDQUOT => 112, // ERROR_DISK_FULL
        libc::ENAMETOOLONG => 206,        // ERROR_FILENAME_EXCED_RANGE
        libc::EFBIG => 223,               // ERROR_FILE_TOO_LARGE
        libc::EINVAL => 87,               // ERROR_INVALID_PARAMETER
        _ => 1117,                        // ERROR_IO_DEVICE
    };
    hresult(0x8007_0000 | code)
}

/// Which part of the library a report is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Subsystem {
    /// Creating and configuring the runtime.
    Runtime,
    /// Opening and closing files.
    File,
    /// Enqueue, submit, completion.
    Queue,
    /// Reading and writing.
    Io,
    /// Decompression.
    Decode,
    /// Work on a GPU.
    Gpu,
}

impl Subsystem {
    /// A lower-case word for logs.
    pub fn name(self) -> &'static str {
        match self {
            Subsystem::Runtime => "runtime",
            Subsystem::File => "file",
            Subsystem::Queue => "queue",
            Subsystem::Io => "io",
            Subsystem::Decode => "decode",
            Subsystem::Gpu => "gpu",
        }
    }
}

/// One failure, with everything a person needs to find it.
#[derive(Clone, Debug)]
pub struct ErrorReport {
    /// What went wrong.
    pub error: Error,
    /// The part of the library.
    pub subsystem: Subsystem,
    /// What was being done: "read", "decompress", "open", …
    pub operation: &'static str,
    /// Where in the library's source the failure was found.
    pub location: &'static Location<'static>,
    /// When.
    pub time: SystemTime,
    /// The request concerned, if any.
    pub request: Option<RequestInfo>,
    /// More about the cause, if known: a path, a decoder's message.
    pub detail: Option<String>,
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}",
            self.subsystem.name(),
            self.operation,
            self.error
        )?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(request) = &self.request {
            write!(f, " ({request})")?;
        }
        Ok(())
    }
}

/// Hears of failures; see [`set_error_callback`].
pub type ErrorCallback = Box<dyn Fn(&ErrorReport) + Send + Sync>;

type Callback = Arc<dyn Fn(&ErrorReport) + Send + Sync>;

static CALLBACK: RwLock<Option<Callback>> = RwLock::new(None);

/// Installs the process-wide error callback, or removes it.
///
/// It is called once for each failure, on whichever thread found it, one that waits for a status or a fence
/// included, with no lock of the library held that others wait for. It may be called from several threads at
/// once, and must not block for long: requests wait behind it. It must not enqueue, cancel or close on any
/// queue, wait, or drop the last handle of a runtime, and [`crate::Runtime::turn`] does nothing for it. It
/// must not take a lock that a thread of the program holds while it waits.
pub fn set_error_callback(callback: Option<ErrorCallback>) {
    let previous = std::mem::replace(&mut *CALLBACK.write(), callback.map(Callback::from));
    // Outside the lock: what the old one owns may have failures to report while it goes.
    drop(previous);
}

/// A failure with what a person wants to know; what a completion carries when it is not success.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: Error,
    pub(crate) subsystem: Subsystem,
    pub(crate) operation: &'static str,
    pub(crate) detail: Option<String>,
    /// Where it was found.
    pub(crate) location: &'static Location<'static>,
}

impl Fault {
    #[track_caller]
    pub(crate) fn new(error: Error, subsystem: Subsystem, operation: &'static str) -> Fault {
        let location = Location::caller();
        Fault {
            error,
            subsystem,
            operation,
            detail: None,
            location,
        }
    }

    /// The same with more about the cause.
    pub(crate) fn with_detail(self, detail: String) -> Fault {
        Fault {
            detail: Some(detail),
            ..self
        }
    }
}

/// So many failures are warnings; later ones are for those who turn the log up. A title that reads
/// past the end of a file in every frame must not fill a disk.
const WARNINGS_MAX: u32 = 100;

static WARNINGS: AtomicU32 = AtomicU32::new(0);

/// The level for a failure in the log.
fn log_level(error: Error) -> log::Level {
    // A cancelled request is what somebody asked for.
    if error == Error::Cancelled {
        return log::Level::Debug;
    }
    let earlier = WARNINGS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
    match earlier.unwrap_or(u32::MAX) {
        ..WARNINGS_MAX => log::Level::Warn,
        WARNINGS_MAX => {
            log::warn!(target: "ds", "{WARNINGS_MAX} failures so far; DS_LOG=debug shows the rest");
            log::Level::Debug
        }
        _ => log::Level::Debug,
    }
}

/// Tells the log and the callback, in that order.
pub(crate) fn report(fault: Fault, request: Option<RequestInfo>) {
    let Fault {
        error,
        subsystem,
        operation,
        detail,
        location,
    } = fault;
    let time = SystemTime::now();
    let report = ErrorReport {
        error,
        subsystem,
        operation,
        location,
        time,
        request,
        detail,
    };
    log::log!(target: "ds", log_level(error), "{report}");
    let callback = CALLBACK.read().clone();
    if let Some(callback) = callback {
        callback(&report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_documents() {
        assert_eq!(Error::EndOfFile.hresult().cast_unsigned(), 0x8924_0007);
        assert_eq!(Error::Cancelled.hresult().cast_unsigned(), 0x8007_03E3);
        assert_eq!(Error::Corrupt.hresult().cast_unsigned(), 0x8000_4005);
        assert_eq!(
            Error::Os(libc::ENOENT).hresult().cast_unsigned(),
            0x8007_0002
        );
        assert_eq!(E_PENDING.cast_unsigned(), 0x8000_000A);
    }

    #[test]
    fn a_report_names_the_cause_the_number_and_the_cure() {
        let text = Error::RequestTooLarge.to_string();
        assert!(
            text.contains("staging") && text.contains("raise") && text.contains("0x89240008"),
            "{text}"
        );
    }

    #[test]
    fn the_callback_hears_of_failures_until_it_is_removed() {
        use std::sync::Mutex;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&heard);
        set_error_callback(Some(Box::new(move |r| {
            listener.lock().unwrap().push((r.operation, r.error))
        })));
        report(
            Fault::new(Error::NotAFile, Subsystem::File, "test-open"),
            None,
        );
        set_error_callback(None);
        report(
            Fault::new(Error::NotAFile, Subsystem::File, "test-later"),
            None,
        );
        let mine: Vec<_> = heard
            .lock()
            .unwrap()
            .iter()
            .filter(|(o, _)| o.starts_with("test-"))
            .copied()
            .collect();
        assert_eq!(mine, [("test-open", Error::NotAFile)]);
    }

    #[test]
    fn a_callback_may_report_while_it_is_replaced() {
        struct Reports;
        impl Drop for Reports {
            fn drop(&mut self) {
                report(
                    Fault::new(Error::NotAFile, Subsystem::File, "test-drop"),
                    None,
                );
            }
        }
        let owned = Reports;
        set_error_callback(Some(Box::new(move |_| {
            let _ = &owned;
        })));
        // The callback of the other test may come between; either way the old one is dropped here.
        set_error_callback(None);
    }
}
