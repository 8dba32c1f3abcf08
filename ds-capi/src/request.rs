//! `ds_request` to the engine's `Request`: which union member counts, and whose memory it names.
//!
//! Nothing is refused here. What makes no sense is passed on as such and fails when its turn comes, in its
//! status and in the error record, as the engine decides.

use std::ffi::{c_char, c_void};

use ds_core::{
    Compression, Destination, Error, File, ForeignShown, Name, Queue, Request, Runtime, Source,
    Span,
};

use crate::ffi;
use crate::file::ds_file;
use crate::types::*;

/// The request that a caller means, for `queue`. What a queue does not know is not looked at: a destination
/// on a GPU without one, a foreign one where no host makes copies.
///
/// # Safety
/// The pointers in `request` are NULL or valid as the header says, its memory until the request completes.
/// (An address that is not mapped is found out by the engine where the kernel can tell.)
pub(crate) unsafe fn from_c(request: &ds_request, queue: &Queue) -> Request {
    let options = request.options;
    let (from_type, to_type) = (options.types & 1, options.types >> 1);
    let (source, destination) = match to_type {
        // SAFETY: passed on to the caller.
        DS_DESTINATION_FILE_FROM_BUFFER if queue.has_device() => unsafe { from_gpu(request) },
        _ => (
            // SAFETY: passed on to the caller.
            unsafe { source(from_type, &request.source) },
            // SAFETY: passed on to the caller.
            unsafe { destination(to_type, request, queue) },
        ),
    };
    // SAFETY: passed on to the caller.
    let name = unsafe { name(request.name) };
    Request {
        source,
        destination,
        compression: Compression(options.compression_format),
        uncompressed_bytes: request.uncompressed_size,
        cancellation_tag: request.cancellation_tag,
        name,
    }
}

/// # Safety
/// As for [`from_c`].
unsafe fn source(source_type: ds_source_type, source: &ds_source) -> Source {
    if source_type == DS_SOURCE_FILE {
        // SAFETY: the type says that this member was filled; it takes any bytes.
        let from = unsafe { source.file };
        Source::File {
            // SAFETY: passed on to the caller.
            file: unsafe { file(from.source) },
            offset: from.offset,
            bytes: from.size,
        }
    } else {
        // SAFETY: the type says that this member was filled; it takes any bytes.
        let from = unsafe { source.memory };
        // SAFETY: passed on to the caller; a source is not written.
        Source::Memory(unsafe { span(from.source.cast_mut(), from.size) }.into())
    }
}

/// # Safety
/// As for [`from_c`].
unsafe fn destination(
    to_type: ds_destination_type,
    request: &ds_request,
    queue: &Queue,
) -> Destination {
    let destination = &request.destination;
    match to_type {
        DS_DESTINATION_MEMORY => {
            // SAFETY: the type says that this member was filled; it takes any bytes.
            let to = unsafe { destination.memory };
            // SAFETY: passed on to the caller.
            Destination::Memory(unsafe { span(to.buffer, to.size) }.into())
        }
        DS_DESTINATION_FILE => {
            // SAFETY: passed on to the caller.
            unsafe { file_destination(destination) }
        }
        DS_DESTINATION_FOREIGN if queue.runtime().foreign_copies().have_begun() => {
            // SAFETY: the type says that this member was filled; it takes any bytes.
            let to = unsafe { destination.foreign };
            // SAFETY: passed on to the caller.
            unsafe { foreign_destination(&to, queue.runtime()) }
        }
        // SAFETY: passed on to the caller.
        other if queue.has_device() => unsafe { gpu_destination(other, request) },
        other => Destination::Other(other),
    }
}

/// # Safety
/// As for [`from_c`]; the type says that this member was filled.
unsafe fn file_destination(destination: &ds_destination) -> Destination {
    // SAFETY: it was filled, and takes any bytes.
    let to = unsafe { destination.file };
    Destination::File {
        // SAFETY: passed on to the caller.
        file: unsafe { file(to.destination) },
        offset: to.offset,
        bytes: to.size,
    }
}

/// # Safety
/// `to.shown` is NULL or valid.
unsafe fn foreign_destination(to: &ds_destination_foreign, runtime: &Runtime) -> Destination {
    // SAFETY: passed on to the caller; the union has the size and alignment of the words, and any bytes are
    // numbers: it was zeroed before it was filled.
    let words = unsafe { to.shown.cast::<[u64; 5]>().as_ref() };
    let destination = runtime
        .foreign_copies()
        .destination(to.cookie, to.size)
        .shown(ForeignShown {
            kind: (to.shown_type & 0x7F) as u8,
            words: words.copied().unwrap_or_default(),
            format: Compression(to.shown_format),
            uncompressed_bytes: to.shown_uncompressed_size,
        });
    Destination::Foreign(match to.result {
        0.. => destination,
        refused => destination.refused(Error::Application(refused)),
    })
}

/// # Safety
/// As for [`from_c`].
#[cfg(feature = "vulkan")]
unsafe fn gpu_destination(to_type: ds_destination_type, request: &ds_request) -> Destination {
    let payload = match (
        request.options.compression_format,
        request.options.types & 1,
    ) {
        // SAFETY: the type says that this member was filled; it takes any bytes.
        (DS_COMPRESSION_NONE, DS_SOURCE_FILE) => unsafe { request.source.file }.size,
        // SAFETY: as above.
        (DS_COMPRESSION_NONE, _) => unsafe { request.source.memory }.size,
        _ => request.uncompressed_size,
    };
    // SAFETY: passed on to the caller.
    let destination =
        unsafe { crate::gpu::place::destination(to_type, &request.destination, payload) };
    destination.map_or(Destination::Other(to_type), Destination::Gpu)
}

/// # Safety
/// None: there are no resources.
#[cfg(not(feature = "vulkan"))]
unsafe fn gpu_destination(to_type: ds_destination_type, _request: &ds_request) -> Destination {
    Destination::Other(to_type)
}

/// Source and destination of a request that writes a GPU's bytes to a file.
///
/// # Safety
/// As for [`from_c`].
#[cfg(feature = "vulkan")]
unsafe fn from_gpu(request: &ds_request) -> (Source, Destination) {
    // SAFETY: passed on to the caller.
    match unsafe { crate::gpu::place::source(&request.source) } {
        // SAFETY: passed on to the caller.
        Some(from) => (Source::Gpu(from), unsafe {
            file_destination(&request.destination)
        }),
        None => no_buffer(),
    }
}

/// # Safety
/// None: there are no resources.
#[cfg(not(feature = "vulkan"))]
unsafe fn from_gpu(_request: &ds_request) -> (Source, Destination) {
    no_buffer()
}

/// There is nothing to read from.
fn no_buffer() -> (Source, Destination) {
    // SAFETY: no bytes.
    let nothing = Source::Memory(unsafe { span(std::ptr::null_mut(), 0) }.into());
    let nowhere = Destination::Other(DS_DESTINATION_FILE_FROM_BUFFER);
    (nothing, nowhere)
}

/// # Safety
/// The memory is valid until the request completes, as for [`Span::new`].
unsafe fn span(start: *mut c_void, bytes: u32) -> Span {
    // SAFETY: passed on to the caller.
    unsafe { Span::new(start.cast(), bytes as usize) }
}

/// # Safety
/// As for [`ffi::shared`].
unsafe fn file(raw: *mut ds_file) -> Option<File> {
    // SAFETY: passed on to the caller.
    let file = unsafe { ffi::shared::<File>(raw) };
    file.map(|file| File::clone(&file))
}

/// # Safety
/// `name` is NULL or a NUL-terminated string.
unsafe fn name(name: *const c_char) -> Option<Name> {
    // SAFETY: passed on to the caller.
    let name = unsafe { ffi::text(name) };
    name.map(|name| Name::from_bytes(name.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ds_core::{PlaceInfo, RequestInfo};

    fn request(types: u8) -> ds_request {
        let file = ds_source_file {
            source: std::ptr::null_mut(),
            offset: 5,
            size: 6,
        };
        let texture = ds_destination_texture_region {
            resource: 8 as *mut c_void,
            subresource_index: 0,
            region: ds_box {
                left: 0,
                top: 0,
                front: 0,
                right: 1,
                bottom: 1,
                back: 1,
            },
        };
        ds_request {
            options: ds_request_options {
                compression_format: 1,
                types,
                reserved: [0xFF; 7],
                reserved_too: [0xFF; 7],
            },
            source: ds_source { file },
            destination: ds_destination { texture },
            uncompressed_size: 9,
            cancellation_tag: 10,
            name: c"name".as_ptr(),
        }
    }

    fn info(types: u8) -> RequestInfo {
        let runtime = ds_core::Runtime::new(ds_core::Config::default()).unwrap();
        let queue = runtime.create_queue(ds_core::QueueDesc::new(128)).unwrap();
        // SAFETY: NULL, numbers and a literal.
        unsafe { from_c(&request(types), &queue) }.info()
    }

    #[test]
    fn the_types_choose_the_members() {
        let file = PlaceInfo::File {
            file: None,
            offset: 5,
            bytes: 6,
        };
        let memory = PlaceInfo::Memory {
            address: 0,
            bytes: 5,
        };
        assert_eq!(info(0).source, file);
        assert_eq!(
            info(1).source,
            memory,
            "the same bytes, read as the other member"
        );
        assert_eq!(info(6 << 1).destination, PlaceInfo::Other(6));
        assert_eq!(info(7 << 1).destination, PlaceInfo::Other(7), "O-51");
        // The pointers of these lead nowhere, and a queue without a device follows none.
        for kind in [1, 2, 65] {
            assert_eq!(info(kind << 1).destination, PlaceInfo::Other(kind));
        }
        let memory = PlaceInfo::Memory {
            address: 8,
            bytes: 0,
        };
        assert_eq!(info(0).destination, memory);
    }

    #[test]
    fn the_rest_is_passed_on_and_reserved_fields_are_ignored() {
        let info = info(0);
        assert_eq!(info.compression, Compression::GDEFLATE, "O-49");
        assert_eq!((info.uncompressed_bytes, info.cancellation_tag), (9, 10));
        assert_eq!(info.name, Some(Name::new("name")));
    }
}
