//! `ds_file`: what requests read and write.

use std::ffi::{c_char, c_int};
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use ds_core::{Error, File};

use crate::ffi::{self, Failure, Growing, Shared};
use crate::result::{DS_E_HANDLE, ds_result};

/// An open file: a counted reference. Opaque.
pub struct ds_file {
    _opaque: (),
}

impl Shared for File {
    type Raw = ds_file;
}

/// What the file system knows of a file. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct ds_file_info {
    /// sizeof(ds_file_info).
    pub struct_size: u32,
    /// Type and permissions: st_mode.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Which file system.
    pub device: u64,
    /// Which file of it.
    pub inode: u64,
    /// How many names the file has.
    pub links: u64,
    /// When the contents were changed: nanoseconds since 1970.
    pub modified_ns: i64,
}

const _: () = assert!(offset_of!(ds_file_info, modified_ns) == 40);
const _: () = assert!(size_of::<ds_file_info>() == 48);

// SAFETY: begins with a `u32`; two of those and five words leave no padding; integers take any bytes.
unsafe impl Growing for ds_file_info {
    const VERSIONS_BYTES: &'static [usize] = &[48];
}

/// A closed file is a closed handle to who asks for its size (O-18), and only to a request a file that is not
/// open.
fn of_handle(error: Error) -> Failure {
    match error {
        Error::FileNotOpen => Failure(DS_E_HANDLE),
        other => other.into(),
    }
}

/// Opens a file for reading. `path` is relative to the working directory unless it begins with a slash.
///
/// On success `*out` is a reference that ds_file_release gives back; else NULL. A file belongs to no runtime:
/// any queue may read it.
///
/// Errors: DS_E_FILE_NOT_FOUND; DS_E_PATH_NOT_FOUND, if the directory is missing or the path empty;
/// DS_E_ACCESSDENIED, without permission or for a directory, a pipe, a device; DS_E_INVALIDARG for NULL;
/// others of the system. Any thread; may take as long as the file system does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_file_open(path: *const c_char, out: *mut *mut ds_file) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let path = unsafe { ffi::path(path) };
    out.share(|| Ok(File::open(path?)?))
}

/// Opens a file for reading and for DS_DESTINATION_FILE; makes an empty one if there is none, and keeps what
/// is in it otherwise.
///
/// Ownership, errors and threads as for ds_file_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_file_create(path: *const c_char, out: *mut *mut ds_file) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let path = unsafe { ffi::path(path) };
    out.share(|| Ok(File::create(path?)?))
}

/// Makes a file of an open descriptor, which is duplicated and stays the caller's.
///
/// `path` is for messages only and may be NULL. `writable` says whether requests may write to it; the
/// descriptor must allow that.
///
/// Ownership as for ds_file_open. Errors: DS_E_HANDLE if the descriptor is not open; DS_E_ACCESSDENIED if it
/// is not a regular file or block device; DS_E_INVALIDARG for a NULL `out`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_file_from_fd(
    fd: c_int,
    path: *const c_char,
    writable: bool,
    out: *mut *mut ds_file,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let path = unsafe { ffi::path(path) }.unwrap_or("(descriptor)".as_ref());
    out.share(|| {
        if fd < 0 {
            return Err(Failure(DS_E_HANDLE));
        }
        // SAFETY: not -1; used for the one call below, which refuses a number that is not open.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let own = fd.try_clone_to_owned().map_err(Error::from)?;
        Ok(File::from_fd(own, path, writable)?)
    })
}

/// Closes a file: the system's descriptor is given up now. Requests in flight finish; requests that have not
/// started fail with DS_E_FILE_NOT_OPEN. A second close does nothing, and neither does NULL.
///
/// The reference remains to be given back with ds_file_release. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_file_close(file: *mut ds_file) {
    // SAFETY: promised by the caller.
    if let Some(file) = unsafe { ffi::shared::<File>(file) } {
        file.close();
    }
}

/// Gives a reference back; NULL does nothing. Without ds_file_close before, the file closes when the last
/// request with it is done. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_file_release(file: *mut ds_file) {
    // SAFETY: promised by the caller.
    unsafe { ffi::release::<File>(file) };
}

/// The path that a file was opened with, as it was given, into `buffer`: for messages. What lies there may be
/// another file by now. PATH_MAX (4096) bytes hold whatever ds_file_open took.
///
/// Errors: DS_E_INSUFFICIENT_BUFFER if `buffer_size` bytes do not hold the text and its NUL; DS_E_INVALIDARG
/// for NULL or a size of 0. The buffer holds an empty text then, if there is one. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_file_path(
    file: *mut ds_file,
    buffer: *mut c_char,
    buffer_size: usize,
) -> ds_result {
    // SAFETY: promised by the caller.
    let file = unsafe { ffi::shared::<File>(file) };
    // SAFETY: promised by the caller.
    let buffer = unsafe { ffi::text_out(buffer, buffer_size) };
    buffer.answer(|| {
        let file = file.ok_or(Failure::INVALID)?;
        Ok(file.path().as_os_str().as_bytes().to_vec())
    })
}

/// Asks for the size of a file in bytes, as it is now.
///
/// Errors: DS_E_HANDLE after ds_file_close, DS_E_INVALIDARG for NULL; `*out` is 0 then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_file_size(file: *mut ds_file, out: *mut u64) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let file = unsafe { ffi::shared::<File>(file) };
    out.answer(0, || {
        file.ok_or(Failure::INVALID)?.bytes().map_err(of_handle)
    })
}

/// Asks what the file system knows of a file now. Set out->struct_size before.
///
/// Errors: DS_E_HANDLE after ds_file_close, DS_E_INVALIDARG for NULL or a wrong struct_size; the other
/// members are 0 then. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_file_get_info(file: *mut ds_file, out: *mut ds_file_info) -> ds_result {
    // SAFETY: promised by the caller.
    let file = unsafe { ffi::shared::<File>(file) };
    let info = || {
        let file = file.ok_or(Failure::INVALID)?;
        let metadata = file.metadata().map_err(of_handle)?;
        Ok(ds_file_info {
            struct_size: 0,
            mode: metadata.mode(),
            size: file.bytes().map_err(of_handle)?,
            device: metadata.dev(),
            inode: metadata.ino(),
            links: metadata.nlink(),
            modified_ns: (metadata.mtime().saturating_mul(1_000_000_000))
                .saturating_add(metadata.mtime_nsec()),
        })
    };
    // SAFETY: promised by the caller; the struct says how long it is.
    unsafe { ffi::answer_sized(out, info) }
}
