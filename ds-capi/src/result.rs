//! `ds_result`: every number this library answers with, and what it means.
//!
//! Owns the numbers. They are those of `HRESULT`, of `HRESULT_FROM_WIN32` and of DirectStorage's facility
//! 0x924, so that a program ported from Windows compares with what it always compared with. A number is never
//! given a second meaning. The reserved ones stand here so that such a program compiles.

use std::ffi::{CStr, c_char};

/// The result of a call or a request: 0 is success, negative is failure.
///
/// The numbers are HRESULTs, DirectStorage's own where it has one.
pub type ds_result = i32;

/// Success.
pub const DS_OK: ds_result = 0;

/// 0x80004001. A compression format that is not built in.
pub const DS_E_NOTIMPL: ds_result = -2_147_467_263;

/// 0x80004005. Compressed data that is damaged, or of another size than said.
pub const DS_E_FAIL: ds_result = -2_147_467_259;

/// 0x8000000A. Not complete yet, or a wait's time is over.
pub const DS_E_PENDING: ds_result = -2_147_483_638;

/// 0x80070002. No such file.
pub const DS_E_FILE_NOT_FOUND: ds_result = -2_147_024_894;

/// 0x80070003. The path's directory is missing, or the path is empty.
pub const DS_E_PATH_NOT_FOUND: ds_result = -2_147_024_893;

/// 0x80070004. No file descriptors are left.
pub const DS_E_TOO_MANY_OPEN_FILES: ds_result = -2_147_024_892;

/// 0x80070005. No permission, or not a file.
pub const DS_E_ACCESSDENIED: ds_result = -2_147_024_891;

/// 0x80070006. The file is closed, or a descriptor is not open.
pub const DS_E_HANDLE: ds_result = -2_147_024_890;

/// 0x8007000E. The system has no memory left.
pub const DS_E_OUTOFMEMORY: ds_result = -2_147_024_882;

/// 0x80070013. The file system is read-only.
pub const DS_E_WRITE_PROTECT: ds_result = -2_147_024_877;

/// 0x80070057. An argument has no meaning: NULL, an unknown flag.
pub const DS_E_INVALIDARG: ds_result = -2_147_024_809;

/// 0x80070070. No space left to write.
pub const DS_E_DISK_FULL: ds_result = -2_147_024_784;

/// 0x8007007A. The buffer is too small for the answer.
pub const DS_E_INSUFFICIENT_BUFFER: ds_result = -2_147_024_774;

/// 0x800700CE. The path is too long.
pub const DS_E_FILENAME_TOO_LONG: ds_result = -2_147_024_690;

/// 0x800700DF. A write beyond the largest size a file may have.
pub const DS_E_FILE_TOO_LARGE: ds_result = -2_147_024_673;

/// 0x800703E3. Cancelled by its tag, or because its queue was closed.
pub const DS_E_CANCELLED: ds_result = -2_147_023_901;

/// 0x8007045D. The device failed, or the system refused for another reason.
pub const DS_E_IO_DEVICE: ds_result = -2_147_023_779;

/// 0x887A0005. The GPU was reset or went away: DXGI_ERROR_DEVICE_REMOVED.
pub const DS_E_DEVICE_LOST: ds_result = -2_005_270_523;

/// 0x89240001. Reserved: this library never answers it.
pub const DS_E_ALREADY_RUNNING: ds_result = -1_994_129_407;

/// 0x89240002. Reserved: this library never answers it.
pub const DS_E_NOT_RUNNING: ds_result = -1_994_129_406;

/// 0x89240003. The capacity of a queue is not 128 to 32768.
pub const DS_E_INVALID_QUEUE_CAPACITY: ds_result = -1_994_129_405;

/// 0x89240004. Reserved: this library never answers it.
pub const DS_E_XVD_DEVICE_NOT_SUPPORTED: ds_result = -1_994_129_404;

/// 0x89240005. Reserved: this library never answers it.
pub const DS_E_UNSUPPORTED_VOLUME: ds_result = -1_994_129_403;

/// 0x89240007. The request reaches past the end of its file.
pub const DS_E_END_OF_FILE: ds_result = -1_994_129_401;

/// 0x89240008. It does not fit in the staging buffer.
pub const DS_E_REQUEST_TOO_LARGE: ds_result = -1_994_129_400;

/// 0x89240009. Source or destination memory cannot be accessed.
pub const DS_E_ACCESS_VIOLATION: ds_result = -1_994_129_399;

/// 0x8924000A. Reserved: this library never answers it.
pub const DS_E_UNSUPPORTED_FILE: ds_result = -1_994_129_398;

/// 0x8924000B. The request's file was closed before the request ran.
pub const DS_E_FILE_NOT_OPEN: ds_result = -1_994_129_397;

/// 0x8924000C. Reserved: this library ignores reserved fields of requests.
pub const DS_E_RESERVED_FIELDS: ds_result = -1_994_129_396;

/// 0x8924000D. Reserved: this library never answers it.
pub const DS_E_INVALID_BCPACK_MODE: ds_result = -1_994_129_395;

/// 0x8924000E. Reserved: this library never answers it.
pub const DS_E_INVALID_SWIZZLE_MODE: ds_result = -1_994_129_394;

/// 0x8924000F. Source, destination and uncompressed sizes do not agree.
pub const DS_E_INVALID_DESTINATION_SIZE: ds_result = -1_994_129_393;

/// 0x89240010. The queue was closed.
pub const DS_E_QUEUE_CLOSED: ds_result = -1_994_129_392;

/// 0x89240011. Reserved: this library never answers it.
pub const DS_E_INVALID_CLUSTER_SIZE: ds_result = -1_994_129_391;

/// 0x89240012. Reserved: this library never answers it.
pub const DS_E_TOO_MANY_QUEUES: ds_result = -1_994_129_390;

/// 0x89240013. Reserved: this library clamps priorities instead.
pub const DS_E_INVALID_QUEUE_PRIORITY: ds_result = -1_994_129_389;

/// 0x89240014. Reserved: this library never answers it.
pub const DS_E_TOO_MANY_FILES: ds_result = -1_994_129_388;

/// 0x89240015. A status index at or above the capacity of its array.
pub const DS_E_INDEX_BOUND: ds_result = -1_994_129_387;

/// 0x89240016. Reserved: this library never answers it.
pub const DS_E_IO_TIMEOUT: ds_result = -1_994_129_386;

/// 0x89240017. No file, or one to write that was not opened for it.
pub const DS_E_INVALID_FILE_HANDLE: ds_result = -1_994_129_385;

/// 0x89240018. Reserved: this library never answers it.
pub const DS_E_DEPRECATED_PREVIEW_GDK: ds_result = -1_994_129_384;

/// 0x89240019. Reserved: this library never answers it.
pub const DS_E_XVD_NOT_REGISTERED: ds_result = -1_994_129_383;

/// 0x8924001A. A write at an offset that no file can have.
pub const DS_E_INVALID_FILE_OFFSET: ds_result = -1_994_129_382;

/// 0x8924001B. A file request on a memory queue, or the other way round.
pub const DS_E_INVALID_SOURCE_TYPE: ds_result = -1_994_129_381;

/// 0x8924001C. Reserved: this library never answers it.
pub const DS_E_INVALID_INTERMEDIATE_SIZE: ds_result = -1_994_129_380;

/// 0x8924001D. Reserved: this library never answers it.
pub const DS_E_SYSTEM_NOT_SUPPORTED: ds_result = -1_994_129_379;

/// 0x8924001F. The staging size cannot change while a queue exists.
pub const DS_E_STAGING_BUFFER_LOCKED: ds_result = -1_994_129_377;

/// 0x89240020. Reserved: this library takes every size.
pub const DS_E_INVALID_STAGING_BUFFER_SIZE: ds_result = -1_994_129_376;

/// 0x89240021. Reserved: this library answers DS_E_REQUEST_TOO_LARGE.
pub const DS_E_STAGING_BUFFER_TOO_SMALL: ds_result = -1_994_129_375;

/// 0x89240022. A signal without a fence.
pub const DS_E_INVALID_FENCE: ds_result = -1_994_129_374;

/// 0x89240023. A status without a status array.
pub const DS_E_INVALID_STATUS_ARRAY: ds_result = -1_994_129_373;

/// 0x89240024. Reserved: memory queues may have any priority.
pub const DS_E_INVALID_MEMORY_QUEUE_PRIORITY: ds_result = -1_994_129_372;

/// 0x89240030. Reserved: this library answers DS_E_FAIL.
pub const DS_E_DECOMPRESSION_ERROR: ds_result = -1_994_129_360;

/// 0x89240031. Reserved: this library never answers it.
pub const DS_E_ZLIB_BAD_HEADER: ds_result = -1_994_129_359;

/// 0x89240032. Reserved: this library never answers it.
pub const DS_E_ZLIB_BAD_DATA: ds_result = -1_994_129_358;

/// 0x89240033. Reserved: this library never answers it.
pub const DS_E_ZLIB_PARITY_FAIL: ds_result = -1_994_129_357;

/// 0x89240034. Reserved: this library never answers it.
pub const DS_E_BCPACK_BAD_HEADER: ds_result = -1_994_129_356;

/// 0x89240035. Reserved: this library never answers it.
pub const DS_E_BCPACK_BAD_DATA: ds_result = -1_994_129_355;

/// 0x89240036. Reserved: this library never answers it.
pub const DS_E_DECRYPTION_ERROR: ds_result = -1_994_129_354;

/// 0x89240037. Reserved: this library never answers it.
pub const DS_E_PASSTHROUGH_ERROR: ds_result = -1_994_129_353;

/// 0x89240038. Reserved: this library never answers it.
pub const DS_E_FILE_TOO_FRAGMENTED: ds_result = -1_994_129_352;

/// 0x89240039. The source has more than 65535 tiles of 64 KiB.
pub const DS_E_COMPRESSED_DATA_TOO_LARGE: ds_result = -1_994_129_351;

/// 0x89240040. The queue cannot reach this destination.
pub const DS_E_INVALID_DESTINATION_TYPE: ds_result = -1_994_129_344;

/// 0x89240041. Reserved: this library never answers it.
pub const DS_E_FILEBUFFERING_REQUIRES_DISABLED_BYPASSIO: ds_result = -1_994_129_343;

/// 0x89240042. Reserved: this library never answers it.
pub const DS_E_SCRATCH_BUFFER_TOO_SMALL: ds_result = -1_994_129_342;

/// 0x89240043. Reserved: this library never answers it.
pub const DS_E_INVALID_GACL_SHUFFLE_TRANSFORM_TYPE: ds_result = -1_994_129_341;

/// Every result: its number, the same as it stands in Microsoft's headers, its name and meaning.
const RESULTS: &[(ds_result, u32, &CStr)] = &[
    (DS_OK, 0, c"DS_OK: success"),
    (
        DS_E_NOTIMPL,
        0x8000_4001,
        c"DS_E_NOTIMPL: a compression format that is not built in",
    ),
    (
        DS_E_FAIL,
        0x8000_4005,
        c"DS_E_FAIL: compressed data that is damaged, or of another size than said",
    ),
    (
        DS_E_PENDING,
        0x8000_000A,
        c"DS_E_PENDING: not complete yet, or a wait's time is over",
    ),
    (
        DS_E_FILE_NOT_FOUND,
        0x8007_0002,
        c"DS_E_FILE_NOT_FOUND: no such file",
    ),
    (
        DS_E_PATH_NOT_FOUND,
        0x8007_0003,
        c"DS_E_PATH_NOT_FOUND: the path's directory is missing, or the path is empty",
    ),
    (
        DS_E_TOO_MANY_OPEN_FILES,
        0x8007_0004,
        c"DS_E_TOO_MANY_OPEN_FILES: no file descriptors are left",
    ),
    (
        DS_E_ACCESSDENIED,
        0x8007_0005,
        c"DS_E_ACCESSDENIED: no permission, or not a file",
    ),
    (
        DS_E_HANDLE,
        0x8007_0006,
        c"DS_E_HANDLE: the file is closed, or a descriptor is not open",
    ),
    (
        DS_E_OUTOFMEMORY,
        0x8007_000E,
        c"DS_E_OUTOFMEMORY: the system has no memory left",
    ),
    (
        DS_E_WRITE_PROTECT,
        0x8007_0013,
        c"DS_E_WRITE_PROTECT: the file system is read-only",
    ),
    (
        DS_E_INVALIDARG,
        0x8007_0057,
        c"DS_E_INVALIDARG: an argument has no meaning: NULL, an unknown flag",
    ),
    (
        DS_E_DISK_FULL,
        0x8007_0070,
        c"DS_E_DISK_FULL: no space left to write",
    ),
    (
        DS_E_INSUFFICIENT_BUFFER,
        0x8007_007A,
        c"DS_E_INSUFFICIENT_BUFFER: the buffer is too small for the answer",
    ),
    (
        DS_E_FILENAME_TOO_LONG,
        0x8007_00CE,
        c"DS_E_FILENAME_TOO_LONG: the path is too long",
    ),
    (
        DS_E_FILE_TOO_LARGE,
        0x8007_00DF,
        c"DS_E_FILE_TOO_LARGE: a write beyond the largest size a file may have",
    ),
    (
        DS_E_CANCELLED,
        0x8007_03E3,
        c"DS_E_CANCELLED: cancelled by its tag, or because its queue was closed",
    ),
    (
        DS_E_IO_DEVICE,
        0x8007_045D,
        c"DS_E_IO_DEVICE: the device failed, or the system refused for another reason",
    ),
    (
        DS_E_DEVICE_LOST,
        0x887A_0005,
        c"DS_E_DEVICE_LOST: the GPU was reset or went away; make a new device and new queues on it",
    ),
    (
        DS_E_ALREADY_RUNNING,
        0x8924_0001,
        c"DS_E_ALREADY_RUNNING: reserved",
    ),
    (DS_E_NOT_RUNNING, 0x8924_0002, c"DS_E_NOT_RUNNING: reserved"),
    (
        DS_E_INVALID_QUEUE_CAPACITY,
        0x8924_0003,
        c"DS_E_INVALID_QUEUE_CAPACITY: the capacity of a queue is not 128 to 32768",
    ),
    (
        DS_E_XVD_DEVICE_NOT_SUPPORTED,
        0x8924_0004,
        c"DS_E_XVD_DEVICE_NOT_SUPPORTED: reserved",
    ),
    (
        DS_E_UNSUPPORTED_VOLUME,
        0x8924_0005,
        c"DS_E_UNSUPPORTED_VOLUME: reserved",
    ),
    (
        DS_E_END_OF_FILE,
        0x8924_0007,
        c"DS_E_END_OF_FILE: the request reaches past the end of its file",
    ),
    (
        DS_E_REQUEST_TOO_LARGE,
        0x8924_0008,
        c"DS_E_REQUEST_TOO_LARGE: it does not fit in the staging buffer",
    ),
    (
        DS_E_ACCESS_VIOLATION,
        0x8924_0009,
        c"DS_E_ACCESS_VIOLATION: source or destination memory cannot be accessed",
    ),
    (
        DS_E_UNSUPPORTED_FILE,
        0x8924_000A,
        c"DS_E_UNSUPPORTED_FILE: reserved",
    ),
    (
        DS_E_FILE_NOT_OPEN,
        0x8924_000B,
        c"DS_E_FILE_NOT_OPEN: the request's file was closed before the request ran",
    ),
    (
        DS_E_RESERVED_FIELDS,
        0x8924_000C,
        c"DS_E_RESERVED_FIELDS: reserved",
    ),
    (
        DS_E_INVALID_BCPACK_MODE,
        0x8924_000D,
        c"DS_E_INVALID_BCPACK_MODE: reserved",
    ),
    (
        DS_E_INVALID_SWIZZLE_MODE,
        0x8924_000E,
        c"DS_E_INVALID_SWIZZLE_MODE: reserved",
    ),
    (
        DS_E_INVALID_DESTINATION_SIZE,
        0x8924_000F,
        c"DS_E_INVALID_DESTINATION_SIZE: source, destination and uncompressed sizes do not agree",
    ),
    (
        DS_E_QUEUE_CLOSED,
        0x8924_0010,
        c"DS_E_QUEUE_CLOSED: the queue was closed",
    ),
    (
        DS_E_INVALID_CLUSTER_SIZE,
        0x8924_0011,
        c"DS_E_INVALID_CLUSTER_SIZE: reserved",
    ),
    (
        DS_E_TOO_MANY_QUEUES,
        0x8924_0012,
        c"DS_E_TOO_MANY_QUEUES: reserved",
    ),
    (
        DS_E_INVALID_QUEUE_PRIORITY,
        0x8924_0013,
        c"DS_E_INVALID_QUEUE_PRIORITY: reserved",
    ),
    (
        DS_E_TOO_MANY_FILES,
        0x8924_0014,
        c"DS_E_TOO_MANY_FILES: reserved",
    ),
    (
        DS_E_INDEX_BOUND,
        0x8924_0015,
        c"DS_E_INDEX_BOUND: a status index at or above the capacity of its array",
    ),
    (DS_E_IO_TIMEOUT, 0x8924_0016, c"DS_E_IO_TIMEOUT: reserved"),
    (
        DS_E_INVALID_FILE_HANDLE,
        0x8924_0017,
        c"DS_E_INVALID_FILE_HANDLE: no file, or one to write that was not opened for it",
    ),
    (
        DS_E_DEPRECATED_PREVIEW_GDK,
        0x8924_0018,
        c"DS_E_DEPRECATED_PREVIEW_GDK: reserved",
    ),
    (
        DS_E_XVD_NOT_REGISTERED,
        0x8924_0019,
        c"DS_E_XVD_NOT_REGISTERED: reserved",
    ),
    (
        DS_E_INVALID_FILE_OFFSET,
        0x8924_001A,
        c"DS_E_INVALID_FILE_OFFSET: a write at an offset that no file can have",
    ),
    (
        DS_E_INVALID_SOURCE_TYPE,
        0x8924_001B,
        c"DS_E_INVALID_SOURCE_TYPE: a file request on a memory queue, or the other way round",
    ),
    (
        DS_E_INVALID_INTERMEDIATE_SIZE,
        0x8924_001C,
        c"DS_E_INVALID_INTERMEDIATE_SIZE: reserved",
    ),
    (
        DS_E_SYSTEM_NOT_SUPPORTED,
        0x8924_001D,
        c"DS_E_SYSTEM_NOT_SUPPORTED: reserved",
    ),
    (
        DS_E_STAGING_BUFFER_LOCKED,
        0x8924_001F,
        c"DS_E_STAGING_BUFFER_LOCKED: the staging size cannot change while a queue exists",
    ),
    (
        DS_E_INVALID_STAGING_BUFFER_SIZE,
        0x8924_0020,
        c"DS_E_INVALID_STAGING_BUFFER_SIZE: reserved",
    ),
    (
        DS_E_STAGING_BUFFER_TOO_SMALL,
        0x8924_0021,
        c"DS_E_STAGING_BUFFER_TOO_SMALL: reserved",
    ),
    (
        DS_E_INVALID_FENCE,
        0x8924_0022,
        c"DS_E_INVALID_FENCE: a signal without a fence",
    ),
    (
        DS_E_INVALID_STATUS_ARRAY,
        0x8924_0023,
        c"DS_E_INVALID_STATUS_ARRAY: a status without a status array",
    ),
    (
        DS_E_INVALID_MEMORY_QUEUE_PRIORITY,
        0x8924_0024,
        c"DS_E_INVALID_MEMORY_QUEUE_PRIORITY: reserved",
    ),
    (
        DS_E_DECOMPRESSION_ERROR,
        0x8924_0030,
        c"DS_E_DECOMPRESSION_ERROR: reserved",
    ),
    (
        DS_E_ZLIB_BAD_HEADER,
        0x8924_0031,
        c"DS_E_ZLIB_BAD_HEADER: reserved",
    ),
    (
        DS_E_ZLIB_BAD_DATA,
        0x8924_0032,
        c"DS_E_ZLIB_BAD_DATA: reserved",
    ),
    (
        DS_E_ZLIB_PARITY_FAIL,
        0x8924_0033,
        c"DS_E_ZLIB_PARITY_FAIL: reserved",
    ),
    (
        DS_E_BCPACK_BAD_HEADER,
        0x8924_0034,
        c"DS_E_BCPACK_BAD_HEADER: reserved",
    ),
    (
        DS_E_BCPACK_BAD_DATA,
        0x8924_0035,
        c"DS_E_BCPACK_BAD_DATA: reserved",
    ),
    (
        DS_E_DECRYPTION_ERROR,
        0x8924_0036,
        c"DS_E_DECRYPTION_ERROR: reserved",
    ),
    (
        DS_E_PASSTHROUGH_ERROR,
        0x8924_0037,
        c"DS_E_PASSTHROUGH_ERROR: reserved",
    ),
    (
        DS_E_FILE_TOO_FRAGMENTED,
        0x8924_0038,
        c"DS_E_FILE_TOO_FRAGMENTED: reserved",
    ),
    (
        DS_E_COMPRESSED_DATA_TOO_LARGE,
        0x8924_0039,
        c"DS_E_COMPRESSED_DATA_TOO_LARGE: the source has more than 65535 tiles of 64 KiB",
    ),
    (
        DS_E_INVALID_DESTINATION_TYPE,
        0x8924_0040,
        c"DS_E_INVALID_DESTINATION_TYPE: the queue cannot reach this destination",
    ),
    (
        DS_E_FILEBUFFERING_REQUIRES_DISABLED_BYPASSIO,
        0x8924_0041,
        c"DS_E_FILEBUFFERING_REQUIRES_DISABLED_BYPASSIO: reserved",
    ),
    (
        DS_E_SCRATCH_BUFFER_TOO_SMALL,
        0x8924_0042,
        c"DS_E_SCRATCH_BUFFER_TOO_SMALL: reserved",
    ),
    (
        DS_E_INVALID_GACL_SHUFFLE_TRANSFORM_TYPE,
        0x8924_0043,
        c"DS_E_INVALID_GACL_SHUFFLE_TRANSFORM_TYPE: reserved",
    ),
];

const _: () = {
    let mut index = 0;
    while index < RESULTS.len() {
        assert!(RESULTS[index].0.cast_unsigned() == RESULTS[index].1);
        index += 1;
    }
};

/// The name and the meaning of a result, in one line of English.
///
/// Never NULL. The text is the library's and valid for ever. Numbers that are not this library's have a text
/// that says so. Any thread, any time.
#[unsafe(no_mangle)]
pub extern "C" fn ds_result_string(result: ds_result) -> *const c_char {
    RESULTS
        .iter()
        .find(|(number, ..)| *number == result)
        .map_or(
            c"a result of the application or the system",
            |(.., text)| text,
        )
        .as_ptr()
}
