//! `ds_error_record`: what went wrong on a queue since it was last asked.
//!
//! The copy of a request carries the pointers that the caller passed, to compare with and not to use: the
//! record keeps nothing alive. A handle of ours is the address of the shared object, so the engine's own
//! record has it.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use ds_core::{Compression, ErrorRecord, FailedCommand, FileInfo, PlaceInfo, RequestInfo};

use crate::event::ds_event;
use crate::fence::ds_fence;
use crate::ffi;
use crate::file::ds_file;
use crate::queue::ds_queue;
use crate::result::{DS_OK, ds_result};
use crate::status::ds_status_array;
use crate::types::*;

/// What kind of entry failed: `DS_COMMAND_*`.
pub type ds_command_type = i32;
/// None: nothing failed.
pub const DS_COMMAND_NONE: ds_command_type = -1;
/// A request.
pub const DS_COMMAND_REQUEST: ds_command_type = 0;
/// A status.
pub const DS_COMMAND_STATUS: ds_command_type = 1;
/// A signal.
pub const DS_COMMAND_SIGNAL: ds_command_type = 2;
/// An event.
pub const DS_COMMAND_EVENT: ds_command_type = 3;

/// Bytes of a file's name in an error record, the terminating NUL included.
pub const DS_ERROR_FILENAME_BYTES: usize = 260;
/// Bytes of a request's name, the terminating NUL included.
pub const DS_REQUEST_MAX_NAME: usize = 64;

/// A request that failed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_error_request {
    /// Path of the request's file as it was opened, cut between characters if it is too long; empty without a
    /// file.
    pub filename: [c_char; 260],
    /// The request's name.
    pub name: [c_char; 64],
    /// A copy of the request with its pointers as they were passed, valid or not, but for the name, which is
    /// NULL: it stands above. Of a GPU destination only the type is kept.
    pub request: ds_request,
}

/// A status that failed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_error_status {
    /// The array as it was passed.
    pub status_array: *mut ds_status_array,
    /// Which entry.
    pub index: u32,
}

/// A signal that failed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_error_signal {
    /// The fence as it was passed.
    pub fence: *mut ds_fence,
    /// The value.
    pub value: u64,
}

/// An event that failed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ds_error_event {
    /// The event as it was passed.
    pub event: *mut ds_event,
}

/// The entry that failed; the member that the command type names.
#[repr(C)]
#[derive(Clone, Copy)]
pub union ds_error_parameters {
    /// For DS_COMMAND_REQUEST.
    pub request: ds_error_request,
    /// For DS_COMMAND_STATUS.
    pub status: ds_error_status,
    /// For DS_COMMAND_SIGNAL.
    pub signal: ds_error_signal,
    /// For DS_COMMAND_EVENT.
    pub event: ds_error_event,
}

/// Failures of a queue. Modelled on DSTORAGE_ERROR_RECORD; the first failure is the first in the order of
/// enqueue.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_error_record {
    /// How many entries failed, cancelled ones included.
    pub failure_count: u32,
    /// Of the first failure: why. DS_OK if there is none.
    pub result: ds_result,
    /// Of the first failure: what kind of entry. DS_COMMAND_NONE if there is none.
    pub command_type: ds_command_type,
    /// Zero.
    pub reserved: u32,
    /// Of the first failure: the entry. Zeros if there is none.
    pub parameters: ds_error_parameters,
}

const _: () = {
    assert!(offset_of!(ds_error_request, request) == 328);
    assert!(size_of::<ds_error_request>() == 432);
    assert!(size_of::<ds_error_status>() == 16 && size_of::<ds_error_signal>() == 16);
    assert!(size_of::<ds_error_event>() == 8);
    assert!(offset_of!(ds_error_record, parameters) == 16);
    assert!(size_of::<ds_error_record>() == 448);
    assert!(DS_ERROR_FILENAME_BYTES == 260 && DS_REQUEST_MAX_NAME == 64);
    assert!(DS_REQUEST_MAX_NAME == ds_core::Name::BYTES_MAX + 1);
};

const SOURCE_NONE: ds_source = ds_source {
    file: ds_source_file {
        source: ptr::null_mut(),
        offset: 0,
        size: 0,
    },
};

/// The texture's member is as large as the union, so that it zeroes all of it.
pub(crate) const DESTINATION_NONE: ds_destination = ds_destination {
    texture: ds_destination_texture_region {
        resource: ptr::null_mut(),
        subresource_index: 0,
        region: ds_box {
            left: 0,
            top: 0,
            front: 0,
            right: 0,
            bottom: 0,
            back: 0,
        },
    },
};

const REQUEST_NONE: ds_error_request = ds_error_request {
    filename: [0; 260],
    name: [0; 64],
    request: ds_request {
        options: ds_request_options {
            compression_format: 0,
            reserved: [0; 7],
            types: 0,
            reserved_too: [0; 7],
        },
        source: SOURCE_NONE,
        destination: DESTINATION_NONE,
        uncompressed_size: 0,
        cancellation_tag: 0,
        name: ptr::null(),
    },
};

const RECORD_NONE: ds_error_record = ds_error_record {
    failure_count: 0,
    result: DS_OK,
    command_type: DS_COMMAND_NONE,
    reserved: 0,
    parameters: ds_error_parameters {
        request: REQUEST_NONE,
    },
};

fn record_of(record: ErrorRecord) -> ds_error_record {
    let Some(first) = record.first_failure else {
        return RECORD_NONE;
    };
    let mut parameters = RECORD_NONE.parameters;
    let command_type = match first.command {
        FailedCommand::Request(info) => {
            parameters.request = request_of(&info);
            DS_COMMAND_REQUEST
        }
        FailedCommand::Status(address, index) => {
            let status_array = ptr::without_provenance_mut(address);
            parameters.status = ds_error_status {
                status_array,
                index,
            };
            DS_COMMAND_STATUS
        }
        FailedCommand::Signal(address, value) => {
            let fence = ptr::without_provenance_mut(address);
            parameters.signal = ds_error_signal { fence, value };
            DS_COMMAND_SIGNAL
        }
        FailedCommand::Event(address) => {
            let event = ptr::without_provenance_mut(address);
            parameters.event = ds_error_event { event };
            DS_COMMAND_EVENT
        }
    };
    ds_error_record {
        failure_count: record.failure_count,
        result: first.error.hresult(),
        command_type,
        reserved: 0,
        parameters,
    }
}

fn request_of(info: &RequestInfo) -> ds_error_request {
    let mut copy = REQUEST_NONE;
    if let Some(file) = info.file() {
        ffi::copy_text(file.path.as_os_str().as_bytes(), &mut copy.filename);
    }
    if let Some(name) = &info.name {
        ffi::copy_text(name.as_bytes(), &mut copy.name);
    }
    let (source_type, source) = source_of(&info.source);
    let (destination_type, destination) = match info.source {
        PlaceInfo::Gpu(_) => {
            let (_, to_file) = destination_of(&info.destination);
            (DS_DESTINATION_FILE_FROM_BUFFER, to_file)
        }
        _ => destination_of(&info.destination),
    };
    let (format, uncompressed_bytes) = compression_of(info);
    copy.request.options.compression_format = format.0;
    copy.request.options.types = source_type | destination_type << 1;
    copy.request.source = source;
    copy.request.destination = destination;
    copy.request.uncompressed_size = uncompressed_bytes;
    copy.request.cancellation_tag = info.cancellation_tag;
    copy
}

/// What the host decompresses by itself is shown as the application wrote it.
fn compression_of(info: &RequestInfo) -> (Compression, u32) {
    match info.destination {
        PlaceInfo::Foreign(ref place) if place.shown.format != Compression::NONE => {
            (place.shown.format, place.shown.uncompressed_bytes)
        }
        _ => (info.compression, info.uncompressed_bytes),
    }
}

fn source_of(place: &PlaceInfo) -> (ds_source_type, ds_source) {
    let mut source = SOURCE_NONE;
    match *place {
        PlaceInfo::File {
            ref file,
            offset,
            bytes,
        } => {
            source.file = ds_source_file {
                source: raw_file(file),
                offset,
                size: bytes,
            };
            (DS_SOURCE_FILE, source)
        }
        PlaceInfo::Memory { address, bytes } => {
            source.memory = ds_source_memory {
                source: ptr::without_provenance(address),
                size: bytes as u32,
            };
            (DS_SOURCE_MEMORY, source)
        }
        #[cfg(feature = "vulkan")]
        PlaceInfo::Gpu(ref place) => {
            if let Some(buffer) = crate::gpu::place::source_of(place) {
                source.buffer = buffer;
            }
            (DS_SOURCE_MEMORY, source)
        }
        #[cfg(not(feature = "vulkan"))]
        PlaceInfo::Gpu(ref place) => match *place {},
        PlaceInfo::Foreign(_) => (DS_SOURCE_MEMORY, source),
        PlaceInfo::Other(kind) => (kind & 1, source),
    }
}

fn destination_of(place: &PlaceInfo) -> (ds_destination_type, ds_destination) {
    let mut destination = DESTINATION_NONE;
    match *place {
        PlaceInfo::File {
            ref file,
            offset,
            bytes,
        } => {
            destination.file = ds_destination_file {
                destination: raw_file(file),
                offset,
                size: bytes,
            };
            (DS_DESTINATION_FILE, destination)
        }
        PlaceInfo::Memory { address, bytes } => {
            destination.memory = ds_destination_memory {
                buffer: ptr::without_provenance_mut::<c_void>(address),
                size: bytes as u32,
            };
            (DS_DESTINATION_MEMORY, destination)
        }
        #[cfg(feature = "vulkan")]
        PlaceInfo::Gpu(ref place) => crate::gpu::place::destination_of(place),
        #[cfg(not(feature = "vulkan"))]
        PlaceInfo::Gpu(ref place) => match *place {},
        PlaceInfo::Foreign(ref place) => (place.shown.kind, shown(place.shown.words)),
        PlaceInfo::Other(kind) => (kind, destination),
    }
}

/// The bytes that the host has given, as it gave them.
fn shown(words: [u64; 5]) -> ds_destination {
    // SAFETY: the union has this size, takes any bytes, and is not looked at here.
    unsafe { std::mem::transmute(words) }
}

fn raw_file(file: &Option<FileInfo>) -> *mut ds_file {
    let address = file.as_ref().map_or(0, |file| file.raw);
    ptr::without_provenance_mut(address)
}

/// Fetches the failures since the last call, and clears the queue's error event.
///
/// With nothing to report the count is 0, the result DS_OK and the command type DS_COMMAND_NONE. Errors:
/// DS_E_INVALIDARG for NULL, and `*out` says the same as with nothing to report. Any thread, but not the
/// error callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_retrieve_error_record(
    queue: *mut ds_queue,
    out: *mut ds_error_record,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    out.answer(RECORD_NONE, || {
        Ok(record_of(queue?.queue.retrieve_error_record()))
    })
}

/// What ds_queue_retrieve_error_record would tell; leaves the failures and the event as they are. For a host
/// of foreign events, before it sets its own: the record may have been fetched since.
///
/// Answers, errors and threads as for ds_queue_retrieve_error_record.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ds_queue_peek_error_record(
    queue: *mut ds_queue,
    out: *mut ds_error_record,
) -> ds_result {
    // SAFETY: promised by the caller.
    let out = unsafe { ffi::out(out) };
    // SAFETY: promised by the caller.
    let queue = unsafe { ffi::get(queue) };
    out.answer(RECORD_NONE, || {
        Ok(record_of(queue?.queue.peek_error_record()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ds_core::{Error, FirstFailure};

    #[test]
    fn nothing_to_report_has_its_own_numbers() {
        let record = record_of(ErrorRecord::default());
        let seen = (record.failure_count, record.result, record.command_type);
        assert_eq!(seen, (0, DS_OK, DS_COMMAND_NONE), "O-63");
    }

    #[test]
    fn addresses_and_sizes_come_back_as_they_were_passed() {
        let first = |command| ErrorRecord {
            failure_count: 3,
            first_failure: Some(FirstFailure {
                error: Error::InvalidFence,
                command,
            }),
        };
        let record = record_of(first(FailedCommand::Signal(16, 17)));
        assert_eq!(
            (record.failure_count, record.command_type),
            (3, DS_COMMAND_SIGNAL)
        );
        // SAFETY: the member that the command type names.
        let signal = unsafe { record.parameters.signal };
        assert_eq!((signal.fence.addr(), signal.value), (16, 17));
        let record = record_of(first(FailedCommand::Event(0)));
        // SAFETY: the member that the command type names.
        assert!(unsafe { record.parameters.event }.event.is_null());
    }
}
