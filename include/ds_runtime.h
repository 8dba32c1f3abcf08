// ds_runtime.h: the C ABI of ds-runtime, a DirectStorage-compatible engine for Linux.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Generated from ds-capi/src; change it there. C11 and C++17, or later.
//
// A request moves bytes from a file or memory, through optional decompression, into memory or a file. Make
// a runtime (ds_runtime_create) and a queue (ds_queue_create), open a file (ds_file_open), enqueue requests
// and a status behind them (ds_queue_enqueue_request, ds_queue_enqueue_status), submit (ds_queue_submit),
// and ask or wait for the status (ds_status_array_wait). Fences and events tell the same to other threads,
// to poll(2), and to other queues. The words and the numbers are DirectStorage's; where the behaviour
// differs on purpose, the function says so.
//
// What holds for every function, unless it says otherwise:
//
// - Results. DS_OK is 0, failures are negative: `if (result < 0)`. ds_result_string says what a number
//   means.
// - NULL. A NULL handle or out pointer is answered with DS_E_INVALIDARG; to release or destroy NULL does
//   nothing. Any other pointer must be valid. Memory that a *request* names is looked at more kindly: see
//   ds_queue_enqueue_request.
// - Ownership. What a function puts into an out pointer is the caller's, to be given back with the function
//   it names. When a function fails it puts NULL or zeros there. Runtimes, queues and codecs are destroyed;
//   files, status arrays, fences and events are counted references: releasing one early is fine, because
//   whatever is enqueued has its own.
// - Threads. Any thread may call any function with the same handle at the same time, but for the one that
//   gives the handle back. Nothing in the library depends on which thread calls.
// - Growth. A struct with a struct_size begins with its own size, which the caller sets: a program that was
//   compiled with an older header works with a newer library. A newer program works with an older library,
//   as long as it leaves zero what the library does not know; else the answer is DS_E_INVALIDARG, as it is
//   for a size that the struct had in no version. In a struct that the library fills, members that it does
//   not know are zero.

#ifndef DS_RUNTIME_H
#define DS_RUNTIME_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
#define DS_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define DS_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif


// A time-out that never ends.
#define DS_WAIT_FOREVER 18446744073709551615ull

// A flag of ds_runtime_options: refuse every request above the staging size, as Microsoft's runtime does.
#define DS_RUNTIME_EXACT_LIMITS 1

// A flag of ds_runtime_options: take no notice of DS_CONFIG and DS_CONFIG_FILE. For tests and benchmarks.
#define DS_RUNTIME_IGNORE_ENVIRONMENT 2

// The most notifications that one call of ds_runtime_wait_notifications answers.
#define DS_NOTIFICATIONS_MAX 64

// The smallest capacity of a queue.
#define DS_MIN_QUEUE_CAPACITY 128

// The largest capacity by DirectStorage's documentation.
#define DS_MAX_QUEUE_CAPACITY 8192

// The largest capacity that is accepted.
#define DS_MAX_QUEUE_CAPACITY_ACCEPTED 32768

// As the runtime is configured (option gpu_decode).
#define DS_GPU_DECODE_DEFAULT 0

// The GPU where enough tiles wait that it is the faster one; the CPU otherwise.
#define DS_GPU_DECODE_AUTO 1

// The GPU wherever it can.
#define DS_GPU_DECODE_GPU 2

// The CPU; the GPU copies.
#define DS_GPU_DECODE_CPU 3

// Bytes of a file's name in an error record, the terminating NUL included.
#define DS_ERROR_FILENAME_BYTES 260

// Bytes of a request's name, the terminating NUL included.
#define DS_REQUEST_MAX_NAME 64

// How many buckets a latency histogram has.
#define DS_HISTOGRAM_BUCKETS 40

// The quickest level of ds_codec_compress_level.
#define DS_CODEC_LEVEL_MIN 1

// The level with the best ratio.
#define DS_CODEC_LEVEL_MAX 12

// The device's queues compete with others of this process as equals.
#define DS_GPU_QUEUES_NORMAL 0

// The device's queues have the lowest of Vulkan's priorities, so that others of this process go first where
// the driver heeds it: for bulk loading beside a renderer with a device of its own.
#define DS_GPU_QUEUES_YIELD 1

// Run under the validation layers, where they are installed.
#define DS_GPU_VALIDATE 1

// `timelineSemaphore` was enabled; needed.
#define DS_GPU_TIMELINE_SEMAPHORE 1

// `bufferDeviceAddress` was enabled.
#define DS_GPU_BUFFER_DEVICE_ADDRESS 2

// `storageBuffer8BitAccess` was enabled.
#define DS_GPU_STORAGE_8BIT 4

// `shaderInt16` was enabled.
#define DS_GPU_INT16 8

// `shaderInt64` was enabled.
#define DS_GPU_INT64 16

// `vulkanMemoryModel` was enabled.
#define DS_GPU_MEMORY_MODEL 32

// `subgroupSizeControl` and `computeFullSubgroups` were enabled.
#define DS_GPU_SUBGROUP_SIZE_CONTROL 64

// `synchronization2` was enabled.
#define DS_GPU_SYNCHRONIZATION2 128

// `memoryDecompression` of VK_NV_memory_decompression was enabled.
#define DS_GPU_DECOMPRESSION_NV 256

// `memoryDecompression` of VK_EXT_memory_decompression was enabled.
#define DS_GPU_DECOMPRESSION_EXT 512

// Compresses and decompresses streams, with one owner. Opaque.
typedef struct ds_codec ds_codec;

// A flag that a queue sets: a counted reference. Opaque.
typedef struct ds_event ds_event;

// A 64-bit timeline: a counted reference. Opaque.
typedef struct ds_fence ds_fence;

// An open file: a counted reference. Opaque.
typedef struct ds_file ds_file;

// Memory of the host's, in which bytes for its own destinations wait: one owner. Opaque.
//
// For hosts whose copies are made by something that sees such memory itself, a GPU for one. A queue with a
// pool (ds_queue_desc::foreign_pool) reads, copies and decodes there, and copies name the block in which
// their source lies. A pool begins empty and asks for blocks when requests need them (DS_FOREIGN_BLOCK):
// one at a time, and no more than the staging buffer's size, but at least 16 and at most 64 MiB, or what the
// option staging_mib_max leaves; a single request that needs more has all that there is to itself.
typedef struct ds_foreign_pool ds_foreign_pool;

// A buffer of a GPU: a counted reference. Opaque.
typedef struct ds_gpu_buffer ds_gpu_buffer;

// A GPU that queues can reach: a counted reference. Opaque.
typedef struct ds_gpu_device ds_gpu_device;

// An image of a GPU: a counted reference. Opaque.
typedef struct ds_gpu_image ds_gpu_image;

// A queue of requests, with one owner. Opaque.
typedef struct ds_queue ds_queue;

// The threads and what queues share; the counterpart of DirectStorage's factory. Opaque.
typedef struct ds_runtime ds_runtime;

// An array of results: a counted reference. Opaque.
typedef struct ds_status_array ds_status_array;

// The result of a call or a request: 0 is success, negative is failure.
//
// The numbers are HRESULTs, DirectStorage's own where it has one.
typedef int32_t ds_result;

// Which part of the library a report is about: `DS_SUBSYSTEM_*`.
typedef uint32_t ds_subsystem;

// One failure. All texts are valid for the time of the call only, and never NULL unless it says so.
typedef struct ds_error_report {
    // The size of this struct in the library's version; members are only ever added at the end.
    uint32_t struct_size;
    // The part of the library.
    ds_subsystem subsystem;
    // Why.
    ds_result result;
    // The line of `file`.
    uint32_t line;
    // When: nanoseconds since 1970.
    uint64_t timestamp_ns;
    // What was being done: "read", "decompress", "open".
    const char *operation;
    // All of it in one line for a person: what failed, why, and what to do about it.
    const char *message;
    // Where in the library's source the failure was found.
    const char *file;
    // 1 if the members below describe a request, else 0.
    uint32_t has_request;
    // Zero.
    uint32_t reserved;
    // The path of the request's file, or NULL.
    const char *filename;
    // Where in the file, in bytes.
    uint64_t offset;
    // Bytes of the request's source.
    uint64_t size;
    // The request's cancellation tag.
    uint64_t cancellation_tag;
    // The request's name, or NULL.
    const char *name;
} ds_error_report;

// Hears of failures; `user` is what ds_set_error_callback was given.
typedef void (*ds_error_callback)(void *user, const struct ds_error_report *report);

// One option. The texts are the library's and valid for ever.
typedef struct ds_option {
    // Its key.
    const char *key;
    // The values it takes, in words.
    const char *values;
    // What it does.
    const char *help;
} ds_option;

// How requests are carried out: `DS_BACKEND_*`.
typedef uint32_t ds_backend;

// How a runtime is to be. Zeros, but for the size, are the defaults.
typedef struct ds_runtime_options {
    // sizeof(ds_runtime_options).
    uint32_t struct_size;
    // How requests are carried out. What is not available falls back; ds_runtime_backend_reason says why.
    ds_backend backend;
    // Threads that read and write; 0 chooses; at most 64.
    uint32_t io_threads;
    // Threads that decompress; 0 chooses; -1 for none: the application takes every compressed request from
    // the custom decompression queue. At most 64.
    int32_t decode_threads;
    // Size of the staging buffer in bytes; 0 for the default of 32 MiB. See ds_runtime_set_staging_bytes.
    uint32_t staging_bytes;
    // DS_RUNTIME_* flags.
    uint32_t flags;
    // Options as text, "key=value,key=value", applied after the members above; or NULL. ds_option_describe
    // lists them. What makes no sense is logged and ignored.
    const char *config;
    // More of the same, applied last of all, after DS_CONFIG; or NULL. For hosts whose programs have an
    // environment of their own.
    const char *overrides;
} ds_runtime_options;

// What a foreign event or fence leaves for its host.
typedef struct ds_notification {
    // The number the object was made with.
    uint64_t cookie;
    // The latest value, for a fence; 0 for an event.
    uint64_t value;
} ds_notification;

// What the file system knows of a file. Set struct_size before the call.
typedef struct ds_file_info {
    // sizeof(ds_file_info).
    uint32_t struct_size;
    // Type and permissions: st_mode.
    uint32_t mode;
    // Bytes.
    uint64_t size;
    // Which file system.
    uint64_t device;
    // Which file of it.
    uint64_t inode;
    // How many names the file has.
    uint64_t links;
    // When the contents were changed: nanoseconds since 1970.
    int64_t modified_ns;
} ds_file_info;

// How urgent a queue's requests are, relative to other queues': `DS_PRIORITY_*`. Other numbers are clamped.
typedef int32_t ds_priority;

// How a queue is to be. Zeros are defaults, but for the size and the capacity.
typedef struct ds_queue_desc {
    // sizeof(ds_queue_desc).
    uint32_t struct_size;
    // How many entries it holds: requests, statuses, signals and events that are not done. One is kept in
    // reserve.
    uint32_t capacity;
    // What its requests read: DS_SOURCE_FILE or DS_SOURCE_MEMORY.
    uint32_t source_type;
    // How urgent they are.
    ds_priority priority;
    // For logs; copied. May be NULL.
    const char *name;
    // Set at each failure; the queue keeps a reference. NULL makes one: see ds_queue_error_event.
    struct ds_event *error_event;
    // The GPU whose resources its requests can reach; the queue keeps a reference. NULL for the runtime's
    // own (ds_runtime_gpu_device), if its backend is Vulkan.
    struct ds_gpu_device *gpu_device;
    // Who decompresses GDeflate for that GPU: DS_GPU_DECODE_*.
    uint32_t gpu_decode;
    // Zero.
    uint32_t reserved;
    // Memory of the host's, for bytes on their way to DS_DESTINATION_FOREIGN; the pool must live until the
    // queue is destroyed. NULL for the library's own.
    struct ds_foreign_pool *foreign_pool;
} ds_queue_desc;

// How a source is compressed: one of `DS_COMPRESSION_*`, or a custom format from 0x80 to 0xFF.
typedef uint8_t ds_compression_format;

// How a request is to be understood. Layout of DSTORAGE_REQUEST_OPTIONS.
typedef struct ds_request_options {
    // Compression of the source.
    ds_compression_format compression_format;
    // Ignored; set to zero.
    uint8_t reserved[7];
    // Source type in bit 0, destination type in bits 1 to 7: use DS_REQUEST_TYPES(source, destination).
    uint8_t types;
    // Ignored; set to zero.
    uint8_t reserved_too[7];
} ds_request_options;

// Bytes in memory, to read. They stay the caller's and must not change until the request completes.
typedef struct ds_source_memory {
    // The first byte.
    const void *source;
    // How many.
    uint32_t size;
} ds_source_memory;

// Bytes of a file.
typedef struct ds_source_file {
    // The file. The request keeps a reference: it may be released, and even closed, at any time after the
    // enqueue.
    struct ds_file *source;
    // Of the first byte.
    uint64_t offset;
    // How many bytes; compressed bytes, if compressed.
    uint32_t size;
} ds_source_file;

// Bytes of a GPU buffer, to write to a file.
typedef struct ds_source_buffer {
    // The ds_gpu_buffer, made to be copied from. The request keeps a reference.
    void *resource;
    // Of the first byte.
    uint64_t offset;
    // How many bytes.
    uint32_t size;
} ds_source_buffer;

// Where bytes come from; the member that the source type names.
typedef union ds_source {
    // For DS_SOURCE_MEMORY.
    struct ds_source_memory memory;
    // For DS_SOURCE_FILE.
    struct ds_source_file file;
    // For DS_DESTINATION_FILE_FROM_BUFFER.
    struct ds_source_buffer buffer;
} ds_source;

// Bytes in memory, to write. They stay the caller's and must not be touched until the request completes.
typedef struct ds_destination_memory {
    // The first byte; any alignment.
    void *buffer;
    // How many: the source's size, or uncompressed_size if the source is compressed.
    uint32_t size;
} ds_destination_memory;

// Bytes of a GPU buffer.
typedef struct ds_destination_buffer {
    // The ds_gpu_buffer. The request keeps a reference.
    void *resource;
    // Of the first byte.
    uint64_t offset;
    // How many bytes.
    uint32_t size;
} ds_destination_buffer;

// A box of texels, the ends not included.
typedef struct ds_box {
    // x from.
    uint32_t left;
    // y from.
    uint32_t top;
    // z from.
    uint32_t front;
    // x to.
    uint32_t right;
    // y to.
    uint32_t bottom;
    // z to.
    uint32_t back;
} ds_box;

// A box of one subresource of a texture.
typedef struct ds_destination_texture_region {
    // The ds_gpu_image. The request keeps a reference.
    void *resource;
    // Which subresource.
    uint32_t subresource_index;
    // Which box of it.
    struct ds_box region;
} ds_destination_texture_region;

// All subresources of a texture from one on.
typedef struct ds_destination_multiple_subresources {
    // The ds_gpu_image. The request keeps a reference.
    void *resource;
    // The first subresource.
    uint32_t first_subresource;
} ds_destination_multiple_subresources;

// Tiles of a reserved resource.
typedef struct ds_destination_tiles {
    // The ds_gpu_image. The request keeps a reference.
    void *resource;
    // First tile: x.
    uint32_t start_x;
    // First tile: y.
    uint32_t start_y;
    // First tile: z.
    uint32_t start_z;
    // First tile: subresource.
    uint32_t start_subresource;
    // How many tiles.
    uint32_t num_tiles;
    // Whether the tiles form a box of width, height and depth.
    uint32_t use_box;
    // Tiles in x.
    uint32_t width;
    // Tiles in y.
    uint16_t height;
    // Tiles in z.
    uint16_t depth;
} ds_destination_tiles;

// Some subresources of a texture.
typedef struct ds_destination_multiple_subresources_range {
    // The ds_gpu_image. The request keeps a reference.
    void *resource;
    // The first subresource.
    uint32_t first_subresource;
    // How many.
    uint32_t num_subresources;
} ds_destination_multiple_subresources_range;

// Bytes of a file, to write.
typedef struct ds_destination_file {
    // The file, opened with ds_file_create. The request keeps a reference.
    struct ds_file *destination;
    // Of the first byte; beyond the end of the file is allowed.
    uint64_t offset;
    // How many bytes: the source's size.
    uint32_t size;
} ds_destination_file;

// A place that only the host of the library can reach. For hosts that make copies
// (ds_foreign_copies_begin); elsewhere the request fails with DS_E_INVALID_DESTINATION_TYPE.
typedef struct ds_destination_foreign {
    // What the host calls it: the copy names it, and ds_foreign_copies_returned gives it back, once, when
    // nothing more will come of the request.
    uint64_t cookie;
    // How many bytes: the source's size, or at most uncompressed_size if the source is compressed.
    uint32_t size;
    // If negative, the host refuses the request: it fails with that when its turn comes.
    int32_t result;
    // Copied by the enqueue, and shown in error records in the place of this one. NULL for zeros.
    const union ds_destination *shown;
    // The type of destination, 0 to 127, that error records show.
    uint32_t shown_type;
    // If `shown_format` is not DS_COMPRESSION_NONE: the size after decompression that error records show.
    uint32_t shown_uncompressed_size;
    // The compression format that error records show for a request of DS_COMPRESSION_NONE whose bytes the
    // host decompresses by itself.
    ds_compression_format shown_format;
    // 0.
    uint8_t reserved[7];
} ds_destination_foreign;

// Where bytes go; the member that the destination type names.
typedef union ds_destination {
    // For DS_DESTINATION_MEMORY.
    struct ds_destination_memory memory;
    // For DS_DESTINATION_BUFFER.
    struct ds_destination_buffer buffer;
    // For DS_DESTINATION_TEXTURE_REGION.
    struct ds_destination_texture_region texture;
    // For DS_DESTINATION_MULTIPLE_SUBRESOURCES.
    struct ds_destination_multiple_subresources multiple_subresources;
    // For DS_DESTINATION_TILES.
    struct ds_destination_tiles tiles;
    // For DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE.
    struct ds_destination_multiple_subresources_range multiple_subresources_range;
    // For DS_DESTINATION_FILE and DS_DESTINATION_FILE_FROM_BUFFER.
    struct ds_destination_file file;
    // For DS_DESTINATION_FOREIGN.
    struct ds_destination_foreign foreign;
} ds_destination;

// One transfer. Layout of DSTORAGE_REQUEST on x64, 104 bytes; zero it before filling it.
//
// ds_request_read, ds_request_copy, ds_request_write and ds_request_compressed at the end of this header
// fill it.
typedef struct ds_request {
    // Types and compression.
    struct ds_request_options options;
    // Where the bytes come from.
    union ds_source source;
    // Where they go.
    union ds_destination destination;
    // The size after decompression. Without compression: 0, or the size itself.
    uint32_t uncompressed_size;
    // For ds_queue_cancel_requests_with_tag.
    uint64_t cancellation_tag;
    // For error records and logs; copied by the enqueue, cut after 63 bytes. May be NULL.
    const char *name;
} ds_request;

// How requests wait for the fence they are enqueued with: `DS_ENQUEUE_*`.
typedef uint32_t ds_enqueue_flags;

// The answer of ds_queue_query. Set struct_size before the call.
typedef struct ds_queue_info {
    // sizeof(ds_queue_info).
    uint32_t struct_size;
    // Entries in all.
    uint32_t capacity;
    // What it reads: DS_SOURCE_FILE or DS_SOURCE_MEMORY.
    uint32_t source_type;
    // How urgent.
    ds_priority priority;
    // Entries that can be enqueued before an enqueue blocks.
    uint32_t empty_slots;
    // Entries that can be enqueued before the queue submits by itself.
    uint32_t requests_until_auto_submit;
} ds_queue_info;

// How a queue decompresses a format: `DS_COMPRESSION_SUPPORT_*` flags.
typedef uint32_t ds_compression_support;

// What kind of entry failed: `DS_COMMAND_*`.
typedef int32_t ds_command_type;

// A request that failed.
typedef struct ds_error_request {
    // Path of the request's file as it was opened, cut between characters if it is too long; empty without a
    // file.
    char filename[260];
    // The request's name.
    char name[64];
    // A copy of the request with its pointers as they were passed, valid or not, but for the name, which is
    // NULL: it stands above. Of a GPU destination only the type is kept.
    struct ds_request request;
} ds_error_request;

// A status that failed.
typedef struct ds_error_status {
    // The array as it was passed.
    struct ds_status_array *status_array;
    // Which entry.
    uint32_t index;
} ds_error_status;

// A signal that failed.
typedef struct ds_error_signal {
    // The fence as it was passed.
    struct ds_fence *fence;
    // The value.
    uint64_t value;
} ds_error_signal;

// An event that failed.
typedef struct ds_error_event {
    // The event as it was passed.
    struct ds_event *event;
} ds_error_event;

// The entry that failed; the member that the command type names.
typedef union ds_error_parameters {
    // For DS_COMMAND_REQUEST.
    struct ds_error_request request;
    // For DS_COMMAND_STATUS.
    struct ds_error_status status;
    // For DS_COMMAND_SIGNAL.
    struct ds_error_signal signal;
    // For DS_COMMAND_EVENT.
    struct ds_error_event event;
} ds_error_parameters;

// Failures of a queue. Modelled on DSTORAGE_ERROR_RECORD; the first failure is the first in the order of
// enqueue.
typedef struct ds_error_record {
    // How many entries failed, cancelled ones included.
    uint32_t failure_count;
    // Of the first failure: why. DS_OK if there is none.
    ds_result result;
    // Of the first failure: what kind of entry. DS_COMMAND_NONE if there is none.
    ds_command_type command_type;
    // Zero.
    uint32_t reserved;
    // Of the first failure: the entry. Zeros if there is none.
    union ds_error_parameters parameters;
} ds_error_record;

// What a queue has done since it was made. Requests only: statuses, signals and events are not counted, but
// for the depth. Set struct_size before the call.
typedef struct ds_queue_stats {
    // sizeof(ds_queue_stats).
    uint32_t struct_size;
    // Entries in the queue now.
    uint32_t depth;
    // The most entries that were ever in the queue at once.
    uint32_t depth_max;
    // Zero.
    uint32_t reserved;
    // Requests enqueued.
    uint64_t requests_enqueued;
    // Requests that completed without failure.
    uint64_t requests_completed;
    // Requests that failed, cancelled ones not included.
    uint64_t requests_failed;
    // Requests that were cancelled.
    uint64_t requests_cancelled;
    // Bytes taken from sources by completed requests; compressed bytes, if compressed.
    uint64_t bytes_source;
    // Bytes delivered to destinations by completed requests.
    uint64_t bytes_destination;
    // Submits that submitted something, automatic ones included.
    uint64_t submits;
    // How often an enqueue found the queue full and had to wait.
    uint64_t enqueue_waits;
    // Times from submit to completion, counted in powers of two of a nanosecond: bucket n holds those from
    // 2^n to below 2^(n+1), the first one 0 as well, the last one everything above.
    uint64_t latency_buckets[40];
} ds_queue_stats;

// Use of the staging buffer. Set struct_size before the call.
typedef struct ds_staging_stats {
    // sizeof(ds_staging_stats).
    uint32_t struct_size;
    // Zero.
    uint32_t reserved;
    // The most that may be used at once.
    uint64_t bytes_max;
    // In use now.
    uint64_t bytes_in_use;
    // The most that was ever in use at once.
    uint64_t bytes_peak;
} ds_staging_stats;

// Which requests to fetch: `DS_SELECT_*`.
typedef uint32_t ds_select;

// A request for the application: decompress `source` into exactly `destination_size` bytes. Layout of
// DSTORAGE_CUSTOM_DECOMPRESSION_REQUEST.
typedef struct ds_custom_request {
    // For the answer; unique among unanswered requests.
    uint64_t id;
    // The format.
    ds_compression_format compression_format;
    // Zero.
    uint8_t reserved[3];
    // Zero: every destination may be read back.
    uint32_t flags;
    // Compressed bytes.
    uint64_t source_size;
    // The compressed bytes, readable until the answer.
    const void *source;
    // Bytes to produce.
    uint64_t destination_size;
    // Where they go, writable until the answer: the address that the request named, not looked at by the
    // library.
    void *destination;
} ds_custom_request;

// The application's answer. Layout of DSTORAGE_CUSTOM_DECOMPRESSION_RESULT.
typedef struct ds_custom_result {
    // Which request.
    uint64_t id;
    // How it went; a negative number fails the request and becomes its result.
    ds_result result;
    // Ignored; set to zero.
    uint32_t reserved;
} ds_custom_result;

// What a ds_foreign_task is about: `DS_FOREIGN_*`.
typedef uint32_t ds_foreign_kind;

// Something for the host to do.
typedef struct ds_foreign_task {
    // Which of the things below.
    ds_foreign_kind kind;
    // 0.
    uint32_t reserved;
    // Of a copy, for the answer; unique among unanswered copies.
    uint64_t id;
    // How many bytes.
    uint64_t size;
    // Where they are, readable until the answer: memory of the library, or the source that the request
    // named, not looked at by the library.
    const void *source;
    // Where they go: the address that the request named. The host may find that it cannot write there.
    // NULL if they go elsewhere.
    void *destination;
    // Of the place, for a DS_DESTINATION_FOREIGN; of the signal; or of the pool.
    uint64_t cookie;
    // Of a copy whose source lies in a block of a ds_foreign_pool, that block's cookie; else 0.
    uint64_t block;
} ds_foreign_task;

// How hard to compress: `DS_COMPRESSION_LEVEL_*`.
typedef int32_t ds_compression_level;

// Hears how far a compression has come: `bytes_done` of the source's `bytes_all`; `user` is what the call
// was given.
typedef void (*ds_codec_progress)(void *user, uint64_t bytes_done, uint64_t bytes_all);

// How to open a device of the library's own. Zeros are defaults.
typedef struct ds_gpu_device_options {
    // sizeof(ds_gpu_device_options).
    uint32_t struct_size;
    // DS_GPU_VALIDATE or 0.
    uint32_t flags;
    // The device: its number among the machine's, or a part of its name. NULL for the best.
    const char *device;
    // DS_GPU_QUEUES_NORMAL or DS_GPU_QUEUES_YIELD.
    uint32_t queues;
    // Zero.
    uint32_t reserved;
} ds_gpu_device_options;

// Locks or unlocks one of the application's queues; `user` is ds_gpu_device_handles.lock_user, and `queue`
// the index in ds_gpu_device_handles.queues. Never hold such a lock while calling the library: a call may
// wait for work that waits for the lock.
typedef void (*ds_gpu_lock)(void *user, uint32_t queue);

// The application's own device.
typedef struct ds_gpu_device_handles {
    // sizeof(ds_gpu_device_handles).
    uint32_t struct_size;
    // What was enabled when the device was made: DS_GPU_* flags from DS_GPU_TIMELINE_SEMAPHORE on.
    uint32_t features;
    // vkGetInstanceProcAddr, cast.
    const void *get_instance_proc_addr;
    // The VkInstance.
    void *instance;
    // The VkPhysicalDevice.
    void *physical_device;
    // The VkDevice.
    void *device;
    // VkQueues with compute, all of one family; the first 4 are used. Copied.
    void *const *queues;
    // How many.
    uint32_t queue_count;
    // Their family.
    uint32_t queue_family;
    // Called around each submission, on a thread of the library's, if the application submits to these
    // queues, too. Both or none.
    ds_gpu_lock lock;
    // The other half.
    ds_gpu_lock unlock;
    // For both.
    void *lock_user;
} ds_gpu_device_handles;

// What a device is. Set struct_size before the call.
typedef struct ds_gpu_device_info {
    // sizeof(ds_gpu_device_info).
    uint32_t struct_size;
    // The family of the queues that the library uses.
    uint32_t queue_family;
    // How many queues it uses.
    uint32_t queue_count;
    // Vulkan's version as VK_MAKE_API_VERSION(0, major, minor, patch).
    uint32_t api_version;
    // 1 for a device in software (the processor itself), 0 for a GPU.
    uint32_t is_software;
    // 1 once the device is lost.
    uint32_t is_lost;
    // The device's name, cut if it is longer.
    char name[256];
} ds_gpu_device_info;

// A buffer of the application's.
typedef struct ds_gpu_buffer_desc {
    // sizeof(ds_gpu_buffer_desc).
    uint32_t struct_size;
    // The VkBufferUsageFlags it was made with. TRANSFER_DST is needed; with SHADER_DEVICE_ADDRESS tiles are
    // decoded in place.
    uint32_t usage;
    // The VkBuffer.
    uint64_t buffer;
    // Its size in bytes.
    uint64_t size;
    // DS_GPU_FAMILY(n) of the queue family n that owns it and gets it back after each request; 0 for none.
    // For a buffer of VK_SHARING_MODE_EXCLUSIVE that another family uses. The application releases the
    // request's range to our family (ds_gpu_device_info.queue_family) before, and acquires it from there
    // afterwards.
    uint32_t queue_family;
    // Zero.
    uint32_t reserved;
} ds_gpu_buffer_desc;

// An image, and how requests find and leave it.
//
// The image has VK_IMAGE_TILING_OPTIMAL, one sample, VK_IMAGE_USAGE_TRANSFER_DST_BIT and a colour format
// with one plane. A request finds what it fills in layout_before and leaves it in layout_after. With
// VK_IMAGE_LAYOUT_UNDEFINED before it must fill whole subresources. A payload is laid out as Direct3D 12's
// copyable footprints: rows at multiples of 256 bytes, subresources at multiples of 512, the last row not
// padded; tiles are 65536 bytes each.
typedef struct ds_gpu_image_desc {
    // sizeof(ds_gpu_image_desc).
    uint32_t struct_size;
    // The VkImageType: 0, 1 or 2 for 1D, 2D or 3D.
    uint32_t image_type;
    // The VkImage; ignored by ds_gpu_image_create.
    uint64_t image;
    // The VkFormat.
    int32_t format;
    // Width in texels.
    uint32_t width;
    // Height in texels; 1 for a 1D image.
    uint32_t height;
    // Depth in texels; 1 unless the image is 3D.
    uint32_t depth;
    // Mip levels.
    uint32_t mip_levels;
    // Array layers.
    uint32_t array_layers;
    // The VkImageLayout that a request finds.
    int32_t layout_before;
    // The VkImageLayout that it leaves.
    int32_t layout_after;
    // DS_GPU_FAMILY(n) of the family n that has released what is filled to ours, 0 for none: from
    // layout_before to VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL.
    uint32_t family_before;
    // DS_GPU_FAMILY(n) of the family n that it is released to, 0 for none: from
    // VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL to layout_after.
    uint32_t family_after;
} ds_gpu_image_desc;

// What a queue reads, and where a request's bytes come from: `DS_SOURCE_*`.
typedef uint8_t ds_source_type;

// Where a request's bytes go: `DS_DESTINATION_*`.
//
// GPU resources need a queue with their device: see ds_queue_desc.gpu_device. In a library that was built
// without Vulkan, such a request fails with DS_E_INVALID_DESTINATION_TYPE.
typedef uint8_t ds_destination_type;

// Success.
#define DS_OK 0

// 0x80004001. A compression format that is not built in.
#define DS_E_NOTIMPL -2147467263

// 0x80004005. Compressed data that is damaged, or of another size than said.
#define DS_E_FAIL -2147467259

// 0x8000000A. Not complete yet, or a wait's time is over.
#define DS_E_PENDING -2147483638

// 0x80070002. No such file.
#define DS_E_FILE_NOT_FOUND -2147024894

// 0x80070003. The path's directory is missing, or the path is empty.
#define DS_E_PATH_NOT_FOUND -2147024893

// 0x80070004. No file descriptors are left.
#define DS_E_TOO_MANY_OPEN_FILES -2147024892

// 0x80070005. No permission, or not a file.
#define DS_E_ACCESSDENIED -2147024891

// 0x80070006. The file is closed, or a descriptor is not open.
#define DS_E_HANDLE -2147024890

// 0x8007000E. The system has no memory left.
#define DS_E_OUTOFMEMORY -2147024882

// 0x80070013. The file system is read-only.
#define DS_E_WRITE_PROTECT -2147024877

// 0x80070057. An argument has no meaning: NULL, an unknown flag.
#define DS_E_INVALIDARG -2147024809

// 0x80070070. No space left to write.
#define DS_E_DISK_FULL -2147024784

// 0x8007007A. The buffer is too small for the answer.
#define DS_E_INSUFFICIENT_BUFFER -2147024774

// 0x800700CE. The path is too long.
#define DS_E_FILENAME_TOO_LONG -2147024690

// 0x800700DF. A write beyond the largest size a file may have.
#define DS_E_FILE_TOO_LARGE -2147024673

// 0x800703E3. Cancelled by its tag, or because its queue was closed.
#define DS_E_CANCELLED -2147023901

// 0x8007045D. The device failed, or the system refused for another reason.
#define DS_E_IO_DEVICE -2147023779

// 0x887A0005. The GPU was reset or went away: DXGI_ERROR_DEVICE_REMOVED.
#define DS_E_DEVICE_LOST -2005270523

// 0x89240001. Reserved: this library never answers it.
#define DS_E_ALREADY_RUNNING -1994129407

// 0x89240002. Reserved: this library never answers it.
#define DS_E_NOT_RUNNING -1994129406

// 0x89240003. The capacity of a queue is not 128 to 32768.
#define DS_E_INVALID_QUEUE_CAPACITY -1994129405

// 0x89240004. Reserved: this library never answers it.
#define DS_E_XVD_DEVICE_NOT_SUPPORTED -1994129404

// 0x89240005. Reserved: this library never answers it.
#define DS_E_UNSUPPORTED_VOLUME -1994129403

// 0x89240007. The request reaches past the end of its file.
#define DS_E_END_OF_FILE -1994129401

// 0x89240008. It does not fit in the staging buffer.
#define DS_E_REQUEST_TOO_LARGE -1994129400

// 0x89240009. Source or destination memory cannot be accessed.
#define DS_E_ACCESS_VIOLATION -1994129399

// 0x8924000A. Reserved: this library never answers it.
#define DS_E_UNSUPPORTED_FILE -1994129398

// 0x8924000B. The request's file was closed before the request ran.
#define DS_E_FILE_NOT_OPEN -1994129397

// 0x8924000C. Reserved: this library ignores reserved fields of requests.
#define DS_E_RESERVED_FIELDS -1994129396

// 0x8924000D. Reserved: this library never answers it.
#define DS_E_INVALID_BCPACK_MODE -1994129395

// 0x8924000E. Reserved: this library never answers it.
#define DS_E_INVALID_SWIZZLE_MODE -1994129394

// 0x8924000F. Source, destination and uncompressed sizes do not agree.
#define DS_E_INVALID_DESTINATION_SIZE -1994129393

// 0x89240010. The queue was closed.
#define DS_E_QUEUE_CLOSED -1994129392

// 0x89240011. Reserved: this library never answers it.
#define DS_E_INVALID_CLUSTER_SIZE -1994129391

// 0x89240012. Reserved: this library never answers it.
#define DS_E_TOO_MANY_QUEUES -1994129390

// 0x89240013. Reserved: this library clamps priorities instead.
#define DS_E_INVALID_QUEUE_PRIORITY -1994129389

// 0x89240014. Reserved: this library never answers it.
#define DS_E_TOO_MANY_FILES -1994129388

// 0x89240015. A status index at or above the capacity of its array.
#define DS_E_INDEX_BOUND -1994129387

// 0x89240016. Reserved: this library never answers it.
#define DS_E_IO_TIMEOUT -1994129386

// 0x89240017. No file, or one to write that was not opened for it.
#define DS_E_INVALID_FILE_HANDLE -1994129385

// 0x89240018. Reserved: this library never answers it.
#define DS_E_DEPRECATED_PREVIEW_GDK -1994129384

// 0x89240019. Reserved: this library never answers it.
#define DS_E_XVD_NOT_REGISTERED -1994129383

// 0x8924001A. A write at an offset that no file can have.
#define DS_E_INVALID_FILE_OFFSET -1994129382

// 0x8924001B. A file request on a memory queue, or the other way round.
#define DS_E_INVALID_SOURCE_TYPE -1994129381

// 0x8924001C. Reserved: this library never answers it.
#define DS_E_INVALID_INTERMEDIATE_SIZE -1994129380

// 0x8924001D. Reserved: this library never answers it.
#define DS_E_SYSTEM_NOT_SUPPORTED -1994129379

// 0x8924001F. The staging size cannot change while a queue exists.
#define DS_E_STAGING_BUFFER_LOCKED -1994129377

// 0x89240020. Reserved: this library takes every size.
#define DS_E_INVALID_STAGING_BUFFER_SIZE -1994129376

// 0x89240021. Reserved: this library answers DS_E_REQUEST_TOO_LARGE.
#define DS_E_STAGING_BUFFER_TOO_SMALL -1994129375

// 0x89240022. A signal without a fence.
#define DS_E_INVALID_FENCE -1994129374

// 0x89240023. A status without a status array.
#define DS_E_INVALID_STATUS_ARRAY -1994129373

// 0x89240024. Reserved: memory queues may have any priority.
#define DS_E_INVALID_MEMORY_QUEUE_PRIORITY -1994129372

// 0x89240030. Reserved: this library answers DS_E_FAIL.
#define DS_E_DECOMPRESSION_ERROR -1994129360

// 0x89240031. Reserved: this library never answers it.
#define DS_E_ZLIB_BAD_HEADER -1994129359

// 0x89240032. Reserved: this library never answers it.
#define DS_E_ZLIB_BAD_DATA -1994129358

// 0x89240033. Reserved: this library never answers it.
#define DS_E_ZLIB_PARITY_FAIL -1994129357

// 0x89240034. Reserved: this library never answers it.
#define DS_E_BCPACK_BAD_HEADER -1994129356

// 0x89240035. Reserved: this library never answers it.
#define DS_E_BCPACK_BAD_DATA -1994129355

// 0x89240036. Reserved: this library never answers it.
#define DS_E_DECRYPTION_ERROR -1994129354

// 0x89240037. Reserved: this library never answers it.
#define DS_E_PASSTHROUGH_ERROR -1994129353

// 0x89240038. Reserved: this library never answers it.
#define DS_E_FILE_TOO_FRAGMENTED -1994129352

// 0x89240039. The source has more than 65535 tiles of 64 KiB.
#define DS_E_COMPRESSED_DATA_TOO_LARGE -1994129351

// 0x89240040. The queue cannot reach this destination.
#define DS_E_INVALID_DESTINATION_TYPE -1994129344

// 0x89240041. Reserved: this library never answers it.
#define DS_E_FILEBUFFERING_REQUIRES_DISABLED_BYPASSIO -1994129343

// 0x89240042. Reserved: this library never answers it.
#define DS_E_SCRATCH_BUFFER_TOO_SMALL -1994129342

// 0x89240043. Reserved: this library never answers it.
#define DS_E_INVALID_GACL_SHUFFLE_TRANSFORM_TYPE -1994129341

// Not compressed.
#define DS_COMPRESSION_NONE 0

// A GDeflate tile stream.
#define DS_COMPRESSION_GDEFLATE 1

// The first of the formats that the application decompresses, 0x80 to 0xFF.
#define DS_COMPRESSION_CUSTOM_0 128

// A file.
#define DS_SOURCE_FILE 0

// Memory.
#define DS_SOURCE_MEMORY 1

// Memory.
#define DS_DESTINATION_MEMORY 0

// A GPU buffer.
#define DS_DESTINATION_BUFFER 1

// A box of one subresource of a texture.
#define DS_DESTINATION_TEXTURE_REGION 2

// All subresources of a texture from one on.
#define DS_DESTINATION_MULTIPLE_SUBRESOURCES 3

// Tiles of a reserved resource.
#define DS_DESTINATION_TILES 4

// Some subresources of a texture.
#define DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE 5

// A file opened with ds_file_create: the source must be memory, not compressed. Not in DirectStorage.
#define DS_DESTINATION_FILE 64

// A file opened with ds_file_create, which gets bytes of a GPU buffer: `source.buffer` counts, on a queue of
// DS_SOURCE_MEMORY with that buffer's device. Not compressed. Not in DirectStorage.
#define DS_DESTINATION_FILE_FROM_BUFFER 66

// A place that only the host of the library can reach; see ds_foreign_copies_begin. Not in DirectStorage.
#define DS_DESTINATION_FOREIGN 65

// None of the others.
#define DS_SUBSYSTEM_OTHER 0

// Creating and configuring the runtime.
#define DS_SUBSYSTEM_RUNTIME 1

// Opening and closing files.
#define DS_SUBSYSTEM_FILE 2

// Enqueue, submit, completion.
#define DS_SUBSYSTEM_QUEUE 3

// Reading and writing.
#define DS_SUBSYSTEM_IO 4

// Decompression.
#define DS_SUBSYSTEM_DECODE 5

// Work on a GPU.
#define DS_SUBSYSTEM_GPU 6

// The best that is available.
#define DS_BACKEND_AUTO 0

// A pool of threads that read, and workers that decompress.
#define DS_BACKEND_CPU 1

// io_uring, and workers that decompress.
#define DS_BACKEND_IO_URING 2

// Vulkan for GPU destinations and decompression.
#define DS_BACKEND_VULKAN 3

// A simulation with seeded faults and no threads, for tests; see ds_runtime_turn.
#define DS_BACKEND_SIM 4

// After everything else.
#define DS_PRIORITY_LOW -1

// The usual.
#define DS_PRIORITY_NORMAL 0

// Before normal ones.
#define DS_PRIORITY_HIGH 1

// Before everything else.
#define DS_PRIORITY_REALTIME 2

// Only the destination is not written before the fence has its value.
#define DS_ENQUEUE_NONE 0

// GPU work does not start before, either.
#define DS_ENQUEUE_FENCE_WAIT_BEFORE_GPU_WORK 1

// The source is not read before, either.
#define DS_ENQUEUE_FENCE_WAIT_BEFORE_SOURCE_ACCESS 2

// The library does not decompress it.
#define DS_COMPRESSION_SUPPORT_NONE 0

// The GPU, by its driver.
#define DS_COMPRESSION_SUPPORT_GPU_OPTIMIZED 1

// The GPU, by a shader of the library.
#define DS_COMPRESSION_SUPPORT_GPU_FALLBACK 2

// The CPU.
#define DS_COMPRESSION_SUPPORT_CPU_FALLBACK 4

// With a compute queue.
#define DS_COMPRESSION_SUPPORT_USES_COMPUTE_QUEUE 8

// With a copy queue.
#define DS_COMPRESSION_SUPPORT_USES_COPY_QUEUE 16

// None: nothing failed.
#define DS_COMMAND_NONE -1

// A request.
#define DS_COMMAND_REQUEST 0

// A status.
#define DS_COMMAND_STATUS 1

// A signal.
#define DS_COMMAND_SIGNAL 2

// An event.
#define DS_COMMAND_EVENT 3

// Custom formats, 0x80 to 0xFF.
#define DS_SELECT_CUSTOM 1

// Built-in formats; they come here only from a runtime with decode_threads -1.
#define DS_SELECT_BUILTIN 2

// Both.
#define DS_SELECT_ALL 3

// A copy to memory, to be answered by ds_foreign_copies_finish.
#define DS_FOREIGN_COPY_TO_MEMORY 0

// A copy to the place that `cookie` names, to be answered by ds_foreign_copies_finish.
#define DS_FOREIGN_COPY_TO_COOKIE 1

// The signal that `cookie` names, behind every copy that was fetched before. It needs no answer, and the
// cookie does not come back otherwise.
#define DS_FOREIGN_SIGNAL 2

// A block of `size` bytes or more for the pool that `cookie` names, to be answered by
// ds_foreign_pool_add_block or ds_foreign_pool_refuse_block.
#define DS_FOREIGN_BLOCK 3

// While someone waits.
#define DS_COMPRESSION_LEVEL_FASTEST -1

// The usual.
#define DS_COMPRESSION_LEVEL_DEFAULT 0

// Once, to be read for years.
#define DS_COMPRESSION_LEVEL_BEST_RATIO 1

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The name and the meaning of a result, in one line of English.
//
// Never NULL. The text is the library's and valid for ever. Numbers that are not this library's have a text
// that says so. Any thread, any time.
const char *ds_result_string(ds_result result);

// Installs the callback that hears of every failure in the process, or removes it with NULL.
//
// It is called once for each failure, cancelled requests included, on the thread that found it: a thread of
// the library, or one that is inside a call of it, such as a wait: it must take no lock that the program
// holds over a wait. Several calls may come at once. Work waits meanwhile, so
// it should be short, and it must not enqueue, submit, cancel, close, destroy, wait, or signal a fence.
//
// `user` is passed on. It must stay valid until the callback was removed or replaced *and* every queue and
// runtime is destroyed: a call that has begun is not waited for. Any thread, but not the callback itself.
void ds_set_error_callback(ds_error_callback callback,
                           void *user);

// How many options there are. Any thread, any time.
uint32_t ds_option_count(void);

// Describes the option `index`, which is below ds_option_count.
//
// Errors: DS_E_INVALIDARG for a NULL `out` or an index out of range; the members are NULL then. Any thread,
// any time.
ds_result ds_option_describe(uint32_t index,
                             struct ds_option *out);

// The value of the option `index` in a runtime, as text, into `buffer`.
//
// Errors: DS_E_INSUFFICIENT_BUFFER if `buffer_size` bytes do not hold the text and its NUL; DS_E_INVALIDARG
// for NULL, a size of 0, or an index out of range. The buffer holds an empty text then, if there is one. Any
// thread.
ds_result ds_runtime_option_value(const struct ds_runtime *runtime,
                                  uint32_t index,
                                  char *buffer,
                                  size_t buffer_size);

// The version of this library: "major.minor.patch".
//
// Never NULL. The text is the library's and valid for ever. Any thread, any time.
const char *ds_version(void);

// Makes a runtime: its threads start now.
//
// `options` may be NULL for the defaults. The environment overrules them, so that a person can overrule a
// game: DS_CONFIG="key=value,..." beats the file that DS_CONFIG_FILE names, which beats `options` but for
// their last member. The first
// call also installs the logger that DS_LOG (none, error, warn, info, debug, trace) and DS_LOG_PATH ask for;
// without them warnings go to standard error.
//
// On success `*out` is a runtime that ds_runtime_destroy gives back; else NULL. A process may have several.
//
// Errors: DS_E_INVALIDARG for a NULL `out`, a wrong struct_size, an unknown backend or flag; the system's,
// if threads cannot be made. Any thread, any time.
ds_result ds_runtime_create(const struct ds_runtime_options *options,
                            struct ds_runtime **out);

// Gives a runtime back; NULL does nothing.
//
// Its queues may live on and work: the threads end when the last of them is destroyed, too, and this call or
// that one waits for them. No other call with this runtime may be running, ds_runtime_wait_notifications
// included. Not to be called from the error callback.
void ds_runtime_destroy(struct ds_runtime *runtime);

// The backend in use, by its name as an option: "cpu", for example.
//
// NULL for a NULL runtime. The text is the runtime's and valid until it is destroyed. Any thread.
const char *ds_runtime_backend(const struct ds_runtime *runtime);

// Why that backend is in use, in a sentence for people.
//
// NULL for a NULL runtime. The text is the runtime's and valid until it is destroyed. Any thread.
const char *ds_runtime_backend_reason(const struct ds_runtime *runtime);

// Changes the size of the staging buffer, through which the compressed bytes of files pass. 0 is a size,
// too: it suffices when nothing is compressed. Memory is taken when it is needed.
//
// Errors: DS_E_STAGING_BUFFER_LOCKED while a queue of the runtime exists; DS_E_INVALIDARG for a NULL
// runtime. Open files do not matter. Any thread.
ds_result ds_runtime_set_staging_bytes(struct ds_runtime *runtime,
                                       uint32_t bytes);

// For DS_BACKEND_SIM only: does one step of the work on this thread; false when there is none left, always
// for other backends and NULL.
//
// A call that waits in the queue (an enqueue that finds it full, a cancel, a close) turns by itself; waiting
// for a status, a fence or an event does not. Any thread, but not the error callback.
bool ds_runtime_turn(struct ds_runtime *runtime);

// Waits until foreign events or fences (ds_event_create_foreign, ds_fence_create_foreign) were signalled,
// and fetches what they left: at most `max` notifications into `out`, their number into `*count`.
//
// Answers DS_OK with a count of 0 when `timeout_ns` (DS_WAIT_FOREVER: never) is over or
// ds_runtime_interrupt_notifications was called. Several signals of one object make one notification with
// the latest value. More than DS_NOTIFICATIONS_MAX are left for the next call.
//
// Errors: DS_E_INVALIDARG for a NULL pointer or a `max` of 0. Any number of threads may wait.
ds_result ds_runtime_wait_notifications(struct ds_runtime *runtime,
                                        uint32_t max,
                                        struct ds_notification *out,
                                        uint32_t *count,
                                        uint64_t timeout_ns);

// Makes one thread in ds_runtime_wait_notifications return with nothing, or the next that comes, so that a
// host can stop its thread.
//
// Errors: DS_E_INVALIDARG for a NULL runtime. Any thread.
ds_result ds_runtime_interrupt_notifications(struct ds_runtime *runtime);

// Opens a file for reading. `path` is relative to the working directory unless it begins with a slash.
//
// On success `*out` is a reference that ds_file_release gives back; else NULL. A file belongs to no runtime:
// any queue may read it.
//
// Errors: DS_E_FILE_NOT_FOUND; DS_E_PATH_NOT_FOUND, if the directory is missing or the path empty;
// DS_E_ACCESSDENIED, without permission or for a directory, a pipe, a device; DS_E_INVALIDARG for NULL;
// others of the system. Any thread; may take as long as the file system does.
ds_result ds_file_open(const char *path,
                       struct ds_file **out);

// Opens a file for reading and for DS_DESTINATION_FILE; makes an empty one if there is none, and keeps what
// is in it otherwise.
//
// Ownership, errors and threads as for ds_file_open.
ds_result ds_file_create(const char *path,
                         struct ds_file **out);

// Makes a file of an open descriptor, which is duplicated and stays the caller's.
//
// `path` is for messages only and may be NULL. `writable` says whether requests may write to it; the
// descriptor must allow that.
//
// Ownership as for ds_file_open. Errors: DS_E_HANDLE if the descriptor is not open; DS_E_ACCESSDENIED if it
// is not a regular file or block device; DS_E_INVALIDARG for a NULL `out`. Any thread.
ds_result ds_file_from_fd(int fd,
                          const char *path,
                          bool writable,
                          struct ds_file **out);

// Closes a file: the system's descriptor is given up now. Requests in flight finish; requests that have not
// started fail with DS_E_FILE_NOT_OPEN. A second close does nothing, and neither does NULL.
//
// The reference remains to be given back with ds_file_release. Any thread.
void ds_file_close(struct ds_file *file);

// Gives a reference back; NULL does nothing. Without ds_file_close before, the file closes when the last
// request with it is done. Any thread.
void ds_file_release(struct ds_file *file);

// The path that a file was opened with, as it was given, into `buffer`: for messages. What lies there may be
// another file by now. PATH_MAX (4096) bytes hold whatever ds_file_open took.
//
// Errors: DS_E_INSUFFICIENT_BUFFER if `buffer_size` bytes do not hold the text and its NUL; DS_E_INVALIDARG
// for NULL or a size of 0. The buffer holds an empty text then, if there is one. Any thread.
ds_result ds_file_path(struct ds_file *file,
                       char *buffer,
                       size_t buffer_size);

// Asks for the size of a file in bytes, as it is now.
//
// Errors: DS_E_HANDLE after ds_file_close, DS_E_INVALIDARG for NULL; `*out` is 0 then. Any thread.
ds_result ds_file_size(struct ds_file *file, uint64_t *out);

// Asks what the file system knows of a file now. Set out->struct_size before.
//
// Errors: DS_E_HANDLE after ds_file_close, DS_E_INVALIDARG for NULL or a wrong struct_size; the other
// members are 0 then. Any thread.
ds_result ds_file_get_info(struct ds_file *file,
                           struct ds_file_info *out);

// Makes an array of `capacity` entries, all pending. A capacity of 0 is allowed; `name`, for debugging, may
// be NULL.
//
// An entry becomes complete when a status enqueued with its index does, and pending again when one is
// enqueued again. An entry that is never enqueued stays pending for ever.
//
// On success `*out` is a reference that ds_status_array_release gives back; else NULL. Errors:
// DS_E_INVALIDARG for a NULL `out`; DS_E_OUTOFMEMORY for more than 2^30 entries, and where the system has no
// memory for them. Any thread.
ds_result ds_status_array_create(uint32_t capacity,
                                 const char *name,
                                 struct ds_status_array **out);

// Whether the entry has a result. Never blocks.
//
// false for NULL and for an index out of range. Any thread.
bool ds_status_array_is_complete(struct ds_status_array *array, uint32_t index);

// The entry's result: DS_OK, or the first failure, in the order of enqueue, since the status before. Never
// blocks.
//
// DS_E_PENDING before there is one; DS_E_INDEX_BOUND for an index out of range; DS_E_INVALIDARG for NULL.
// Any thread.
ds_result ds_status_array_get_result(struct ds_status_array *array,
                                     uint32_t index);

// Waits until the entry has a result, at most `timeout_ns` (DS_WAIT_FOREVER: without a limit), and answers
// it as ds_status_array_get_result does: DS_E_PENDING means that the time is over.
//
// A status that was not submitted, or never enqueued, does not complete. Meanwhile the thread may carry out
// requests that the page cache answers at once (the option waiters_help); the answer can come later by
// 2 MiB of such reads than the status. Any thread, any number of them, but not the error callback.
ds_result ds_status_array_wait(struct ds_status_array *array,
                               uint32_t index,
                               uint64_t timeout_ns);

// How many entries the array has.
//
// Errors: DS_E_INVALIDARG for NULL. Any thread.
ds_result ds_status_array_capacity(struct ds_status_array *array, uint32_t *out);

// Gives a reference back; NULL does nothing. Statuses in a queue keep the array for themselves. Any thread,
// but no other call with this reference may be running.
void ds_status_array_release(struct ds_status_array *array);

// Makes a fence with the value `initial`.
//
// On success `*out` is a reference that ds_fence_release gives back; else NULL. Errors: DS_E_INVALIDARG for
// a NULL `out`. Any thread.
ds_result ds_fence_create(uint64_t initial,
                          struct ds_fence **out);

// Makes a fence that stands for one of a host that signals fences itself: each signal leaves a notification
// with `cookie` and the value for ds_runtime_wait_notifications. Waiting for it works as for any fence.
//
// Ownership as for ds_fence_create; the fence may outlive the runtime. Errors: DS_E_INVALIDARG for NULL. Any
// thread.
ds_result ds_fence_create_foreign(struct ds_runtime *runtime,
                                  uint64_t cookie,
                                  uint64_t initial,
                                  struct ds_fence **out);

// Sets the value, wakes everyone who waited for it or less, and lets requests go that were enqueued behind
// it. The value should grow; whatever it is, it is taken.
//
// Errors: DS_E_INVALIDARG for NULL. Any thread, but not the error callback.
ds_result ds_fence_signal(struct ds_fence *fence,
                          uint64_t value);

// The value now; 0 for NULL. Any thread.
uint64_t ds_fence_value(struct ds_fence *fence);

// Waits until the value is `value` or more.
//
// DS_OK: it is. DS_E_PENDING: `timeout_ns` (DS_WAIT_FOREVER: never) is over. DS_E_INVALIDARG for NULL.
// Meanwhile the thread may carry out requests, as in ds_status_array_wait. Any thread, any number of them,
// but not the error callback.
ds_result ds_fence_wait(struct ds_fence *fence,
                        uint64_t value,
                        uint64_t timeout_ns);

// Has `event` set once, when the value is `value` or more: at once, if it is.
//
// The fence keeps a reference to the event until then. Errors: DS_E_INVALIDARG for NULL. Any thread.
ds_result ds_fence_set_event_at(struct ds_fence *fence,
                                uint64_t value,
                                struct ds_event *event);

// Makes an eventfd that becomes readable once the value is `value` or more, for poll(2) and epoll(7).
//
// On success `*out` is a descriptor that the caller closes; else -1. Closing it early does no harm, but the
// fence keeps its own end until the value is reached: do not make them without end for a value that never
// comes.
//
// Errors: DS_E_INVALIDARG for NULL; DS_E_TOO_MANY_OPEN_FILES. Any thread.
ds_result ds_fence_eventfd(struct ds_fence *fence,
                           uint64_t value,
                           int *out);

// Gives a reference back; NULL does nothing. Signals in a queue, and requests behind the fence, keep it for
// themselves. Any thread, but no other call with this reference may be running.
void ds_fence_release(struct ds_fence *fence);

// Makes an event that is not set.
//
// On success `*out` is a reference that ds_event_release gives back; else NULL. Errors: DS_E_INVALIDARG for
// a NULL `out`; DS_E_TOO_MANY_OPEN_FILES. Any thread.
ds_result ds_event_create(struct ds_event **out);

// Makes an event that stands for one of a host that signals events itself: setting it leaves a notification
// with `cookie` for ds_runtime_wait_notifications, and the host clears its own event.
//
// Ownership as for ds_event_create; the event may outlive the runtime. Errors: DS_E_INVALIDARG for NULL. Any
// thread.
ds_result ds_event_create_foreign(struct ds_runtime *runtime,
                                  uint64_t cookie,
                                  struct ds_event **out);

// Sets an event; it stays set until it is taken. Setting a set event changes nothing, and neither does NULL.
// Any thread.
void ds_event_set(struct ds_event *event);

// Clears an event and says whether it was set. Of several threads one is told so.
//
// false for NULL and for a foreign event, which its host clears. Any thread.
bool ds_event_take(struct ds_event *event);

// Waits until an event is set and leaves it set: ds_event_take clears it.
//
// DS_OK: it is set. DS_E_PENDING: `timeout_ns` (DS_WAIT_FOREVER: never) is over. DS_E_INVALIDARG for NULL
// and for a foreign event, whose state its host has. Any thread, any number of them.
ds_result ds_event_wait(struct ds_event *event,
                        uint64_t timeout_ns);

// The event's eventfd, for poll(2) and epoll(7): readable while the event is set.
//
// It is the event's and valid as long as the event is: do not close it, read it only through ds_event_take.
// -1 for NULL and for a foreign event. Any thread.
int ds_event_fd(struct ds_event *event);

// Gives a reference back; NULL does nothing. Whatever will set the event keeps it for itself. Any thread,
// but no other call with this reference may be running.
void ds_event_release(struct ds_event *event);

// Makes a queue.
//
// On success `*out` is a queue that ds_queue_destroy gives back; else NULL. The queue may outlive the
// runtime's handle.
//
// Errors: DS_E_INVALID_QUEUE_CAPACITY; DS_E_INVALIDARG for NULL, a wrong struct_size, an unknown source
// type or an unknown gpu_decode; DS_E_TOO_MANY_OPEN_FILES; DS_E_OUTOFMEMORY or DS_E_DEVICE_LOST if the
// GPU cannot be used. Any thread.
ds_result ds_queue_create(struct ds_runtime *runtime,
                          const struct ds_queue_desc *desc,
                          struct ds_queue **out);

// Closes a queue as ds_queue_close does, with the same exception, and gives it back; NULL does nothing.
// Requests that the application has fetched may be answered afterwards, too.
//
// No other call with this queue may be running. Not to be called from the error callback.
void ds_queue_destroy(struct ds_queue *queue);

// Adds a request, which is copied. Blocks while the queue is full; nothing is read or decompressed on this
// thread.
//
// Nothing starts before ds_queue_submit, or before more than half of the capacity waits for it. Requests
// complete in any order. A request that is invalid, or fails, says so in the next status and in the error
// record, and not here.
//
// Memory and name are the caller's: the memory must stay valid and untouched until the request completes;
// the name is copied. An address where nothing is mapped makes the request fail with DS_E_ACCESS_VIOLATION.
//
// Errors: DS_E_INVALIDARG for NULL. Any thread, but not the error callback.
ds_result ds_queue_enqueue_request(struct ds_queue *queue,
                                   const struct ds_request *request);

// Adds `count` requests that do not start before `fence` has the value `value` or more; a NULL fence means
// at once. `flags` says what else waits, DS_ENQUEUE_*: for destinations in memory everything does.
//
// The wait takes no slot, and other requests overtake those that wait. Blocks while the queue is full: a
// fence that is signalled only after this call returns must not hold back more requests than the queue has
// room for.
//
// Memory, errors and threads as for ds_queue_enqueue_request; DS_E_INVALIDARG for an unknown flag, too.
// `requests` may be NULL if `count` is 0.
ds_result ds_queue_enqueue_requests(struct ds_queue *queue,
                                    const struct ds_request *requests,
                                    uint32_t count,
                                    struct ds_fence *fence,
                                    uint64_t value,
                                    ds_enqueue_flags flags);

// Adds a status: the entry `index` of `array` is pending from now on, and complete when everything enqueued
// before is done. Its result is DS_OK, or the first failure, in the order of enqueue, since the status
// before.
//
// The queue keeps a reference to the array. Blocks while the queue is full. A NULL array or an index out of
// range is recorded as a failure, DS_E_INVALID_STATUS_ARRAY or DS_E_INDEX_BOUND.
//
// Errors: DS_E_INVALIDARG for a NULL queue. Any thread, but not the error callback.
ds_result ds_queue_enqueue_status(struct ds_queue *queue,
                                  struct ds_status_array *array,
                                  uint32_t index);

// Adds a signal: `fence` is set to `value` when everything enqueued before is done, failed requests too.
//
// The queue keeps a reference to the fence. Blocks while the queue is full. A NULL fence is recorded as a
// failure, DS_E_INVALID_FENCE.
//
// Errors: DS_E_INVALIDARG for a NULL queue. Any thread, but not the error callback.
ds_result ds_queue_enqueue_signal(struct ds_queue *queue,
                                  struct ds_fence *fence,
                                  uint64_t value);

// Adds an event: `event` is set when everything enqueued before is done, failed requests too.
//
// The queue keeps a reference to the event. Blocks while the queue is full. A NULL event is recorded as a
// failure, DS_E_INVALIDARG.
//
// Errors: DS_E_INVALIDARG for a NULL queue. Any thread, but not the error callback.
ds_result ds_queue_enqueue_set_event(struct ds_queue *queue,
                                     struct ds_event *event);

// Starts everything enqueued so far. Never blocks for it to be done.
//
// Errors: DS_E_INVALIDARG for NULL. Any thread, but not the error callback.
ds_result ds_queue_submit(struct ds_queue *queue);

// Cancels every request enqueued so far with (cancellation_tag & mask) == value.
//
// On return no cancelled request touches its memory or its files any more, except one that the application
// has taken from the custom decompression queue and not answered. Cancelled requests count as failures with
// DS_E_CANCELLED, in their status and in the error record, as Microsoft's runtime does it.
//
// Errors: DS_E_INVALIDARG for NULL. Any thread, but not the error callback.
ds_result ds_queue_cancel_requests_with_tag(struct ds_queue *queue,
                                            uint64_t mask,
                                            uint64_t value);

// Closes a queue: requests that have not started are cancelled, requests in flight end first. Their statuses
// complete; signals and events of work that was not done do not fire. What is enqueued later is recorded as
// a failure, DS_E_QUEUE_CLOSED.
//
// On return no request touches its memory or its files any more, except one that the application has taken
// from the custom decompression queue and not answered: that is not waited for, and a status behind it
// completes with its answer.
//
// A second close does nothing, and neither does NULL. Any thread, but not the error callback.
void ds_queue_close(struct ds_queue *queue);

// Capacity and room. Set out->struct_size before.
//
// Errors: DS_E_INVALIDARG for NULL or a wrong struct_size. Any thread, but not the error callback.
ds_result ds_queue_query(struct ds_queue *queue, struct ds_queue_info *out);

// The name that a queue was made with, into `buffer`; an empty text if it has none. Bytes that are not UTF-8
// were replaced.
//
// Errors: DS_E_INSUFFICIENT_BUFFER if `buffer_size` bytes do not hold the text and its NUL; DS_E_INVALIDARG
// for NULL or a size of 0. The buffer holds an empty text then, if there is one. Any thread.
ds_result ds_queue_name(struct ds_queue *queue,
                        char *buffer,
                        size_t buffer_size);

// How the queue decompresses a format; DS_COMPRESSION_SUPPORT_NONE for formats that it does not, and for
// NULL. Any thread.
ds_compression_support ds_queue_get_compression_support(struct ds_queue *queue,
                                                        ds_compression_format format);

// The event that is set when an entry fails; ds_queue_retrieve_error_record clears it. With io_uring it may
// be set up to 5 ms later than the read failed, but not later than the status, signal or event behind the
// entry.
//
// On success `*out` is a new reference that ds_event_release gives back; else NULL. Errors: DS_E_INVALIDARG
// for NULL. Any thread.
ds_result ds_queue_error_event(struct ds_queue *queue,
                               struct ds_event **out);

// Fetches the failures since the last call, and clears the queue's error event.
//
// With nothing to report the count is 0, the result DS_OK and the command type DS_COMMAND_NONE. Errors:
// DS_E_INVALIDARG for NULL, and `*out` says the same as with nothing to report. Any thread, but not the
// error callback.
ds_result ds_queue_retrieve_error_record(struct ds_queue *queue,
                                         struct ds_error_record *out);

// What ds_queue_retrieve_error_record would tell; leaves the failures and the event as they are. For a host
// of foreign events, before it sets its own: the record may have been fetched since.
//
// Answers, errors and threads as for ds_queue_retrieve_error_record.
ds_result ds_queue_peek_error_record(struct ds_queue *queue,
                                     struct ds_error_record *out);

// What the queue has done. Set out->struct_size before.
//
// Errors: DS_E_INVALIDARG for NULL or a wrong struct_size. Any thread, but not the error callback.
ds_result ds_queue_get_stats(struct ds_queue *queue, struct ds_queue_stats *out);

// A time in nanoseconds that the fraction `quantile` (0.0 to 1.0) of all requests did not exceed: the upper
// end of its bucket. 0 when nothing was counted, and for NULL. Any thread.
uint64_t ds_queue_stats_latency_ns(const struct ds_queue_stats *stats,
                                   double quantile);

// Use of the staging buffer. Set out->struct_size before.
//
// Errors: DS_E_INVALIDARG for NULL or a wrong struct_size. Any thread.
ds_result ds_runtime_get_staging_stats(struct ds_runtime *runtime, struct ds_staging_stats *out);

// The event that is set when requests arrive: wait for it, ds_event_take it, then fetch until there are
// none.
//
// On success `*out` is a new reference to the same event every time, which ds_event_release gives back; else
// NULL. Errors: DS_E_INVALIDARG for NULL; DS_E_TOO_MANY_OPEN_FILES. Any thread.
ds_result ds_custom_event(struct ds_runtime *runtime,
                          struct ds_event **out);

// Has the runtime set `event` instead, which may be a foreign one. The runtime keeps a reference.
//
// Errors: DS_E_INVALIDARG for NULL. Any thread.
ds_result ds_custom_use_event(struct ds_runtime *runtime, struct ds_event *event);

// Fetches at most `max` waiting requests of the kinds `select` (DS_SELECT_*) into `out`, oldest first, and
// their number into `*count`. Never blocks.
//
// What was fetched belongs to the application until ds_custom_set_results answers it: its memory is to be
// read and written until then, whatever happens to its queue. A request that is never answered never
// completes; cancelling it and closing its queue do not wait for it, since the application may be the very
// thread that does so. `out` may be NULL if `max` is 0.
//
// Errors: DS_E_INVALIDARG for NULL or an unknown `select`; `*count` is 0 then. Any thread.
ds_result ds_custom_get_requests(struct ds_runtime *runtime,
                                 ds_select select,
                                 uint32_t max,
                                 struct ds_custom_request *out,
                                 uint32_t *count);

// Answers `count` requests, in any order and from any thread. Their memory is the library's again.
//
// Errors: DS_E_INVALIDARG for NULL (`results` may be NULL if `count` is 0), and if an id names no fetched
// request; the others are answered all the same. Any thread, but not the error callback.
ds_result ds_custom_set_results(struct ds_runtime *runtime,
                                uint32_t count,
                                const struct ds_custom_result *results);

// Has the host make the last step of requests whose destination the kernel cannot write: such a request does
// not fail, but starts over, comes to memory of the library, and leaves a copy for the host. So do requests
// to a DS_DESTINATION_FOREIGN, from the beginning.
//
// `event` is set when there are tasks, and when cookies come back; it may be a foreign one, and the runtime
// keeps a reference. A second call replaces it. The staging buffer's memory becomes twice as large, so that
// what fits on its way in fits on its way out, too; a request that does not fails with
// DS_E_REQUEST_TOO_LARGE.
//
// Errors: DS_E_STAGING_BUFFER_LOCKED while a queue of the runtime exists; DS_E_INVALIDARG for NULL. Any
// thread.
ds_result ds_foreign_copies_begin(struct ds_runtime *runtime,
                                  struct ds_event *event);

// Fetches at most `max` tasks into `out`, oldest first, and their number into `*count`. Never blocks.
//
// A copy that was fetched is the host's until ds_foreign_copies_finish answers it: cancelling its request
// and closing its queue wait for that, so the host's thread must do neither before it has answered. Copies
// that were not fetched are taken back. `out` may be NULL if `max` is 0.
//
// Errors: DS_E_INVALIDARG for NULL; `*count` is 0 then. Any thread.
ds_result ds_foreign_tasks_get(struct ds_runtime *runtime,
                               uint32_t max,
                               struct ds_foreign_task *out,
                               uint32_t *count);

// Fetches at most `max` cookies that are of no use any more into `out`, oldest first, and their number into
// `*count`. Never blocks.
//
// Each comes back exactly once: that of a DS_DESTINATION_FOREIGN when its request has ended, with success, a
// failure or by being cancelled, and after any copy of it was answered; that of a signal that will never be
// a task; that of a block that the library does not touch any more. `out` may be NULL if `max` is 0.
//
// Errors: DS_E_INVALIDARG for NULL; `*count` is 0 then. Any thread.
ds_result ds_foreign_copies_returned(struct ds_runtime *runtime,
                                     uint32_t max,
                                     uint64_t *out,
                                     uint32_t *count);

// Answers the copy `id`: it was made, or, if `result` is negative, cannot be, and its request fails with
// that. DS_E_ACCESS_VIOLATION is what a request says whose destination nobody can write.
//
// Errors: DS_E_INVALIDARG for NULL, and if the id names no fetched copy. Any thread, but not the error
// callback.
ds_result ds_foreign_copies_finish(struct ds_runtime *runtime,
                                   uint64_t id,
                                   ds_result result);

// Makes a pool that the host calls `cookie`, for queues of this runtime.
//
// On success `*out` is a pool that ds_foreign_pool_destroy gives back; else NULL. It may outlive the
// runtime's handle. Errors: DS_E_INVALIDARG for NULL. Any thread.
ds_result ds_foreign_pool_create(struct ds_runtime *runtime,
                                 uint64_t cookie,
                                 struct ds_foreign_pool **out);

// Gives a pool back; NULL does nothing. The cookies of its blocks come back as soon as no request uses
// them: at once, if its queues are closed. Any thread.
void ds_foreign_pool_destroy(struct ds_foreign_pool *pool);

// Gives the pool the block that it asked for: `size` bytes from `memory`, which begins at a page. They must
// stay valid, and nobody else may write them, until ds_foreign_copies_returned tells `cookie`, which is not
// 0.
//
// Errors: DS_E_INVALIDARG for NULL, if the pool did not ask or asked for more, and if the memory begins
// inside a page: then it stays the host's, and what was asked for is still to be answered. Any thread.
ds_result ds_foreign_pool_add_block(struct ds_foreign_pool *pool,
                                    void *memory,
                                    uint64_t size,
                                    uint64_t cookie);

// Says that there is no block to be had: requests wait for the blocks that there are, and if there are none,
// the one that asked fails with DS_E_OUTOFMEMORY.
//
// Errors: DS_E_INVALIDARG for NULL. Any thread.
ds_result ds_foreign_pool_refuse_block(struct ds_foreign_pool *pool);

// Adds a signal that the host makes, and calls `cookie`: it becomes a DS_FOREIGN_SIGNAL when everything
// enqueued before is done, failed requests too, or is a copy that comes to the host before it; statuses,
// events and other signals before it come first. For hosts whose copies are made in the order in which they
// are fetched, by something that makes the signal, too.
//
// If `result` is negative, the host refuses it: it is recorded as a failure with that when its turn comes.
// `value` is for error records. Blocks while the queue is full. Errors: DS_E_INVALIDARG for a NULL queue;
// the cookie does not come back then. Any thread, but not the error callback.
ds_result ds_queue_enqueue_foreign_signal(struct ds_queue *queue,
                                          uint64_t cookie,
                                          uint64_t value,
                                          ds_result result);

// Makes a codec for a format: DS_COMPRESSION_GDEFLATE. It uses at most `threads` threads a call, the
// caller's included; 0 means as many as the machine offers. Threads of the library's take no signals but
// those of faults.
//
// On success `*out` is a codec that ds_codec_destroy gives back; else NULL. Errors: DS_E_NOTIMPL for other
// formats; DS_E_INVALIDARG for a NULL `out`. Any thread.
ds_result ds_codec_create(ds_compression_format format,
                          uint32_t threads,
                          struct ds_codec **out);

// Gives a codec back; NULL does nothing. No other call with this codec may be running.
void ds_codec_destroy(struct ds_codec *codec);

// The most bytes that `source_size` bytes can compress to; SIZE_MAX rather than a number that does not fit.
// 0 for a NULL codec. Any thread.
size_t ds_codec_bound(const struct ds_codec *codec,
                      size_t source_size);

// Compresses `source` to one stream and its size to `*written`. A destination of ds_codec_bound bytes
// suffices.
//
// Errors, with `*written` 0 and the destination's bytes unspecified: DS_E_INSUFFICIENT_BUFFER if the stream
// does not fit; DS_E_COMPRESSED_DATA_TOO_LARGE for a source of almost 4 GiB or more; DS_E_INVALIDARG for
// NULL, a size of 0, an unknown level, or a destination that overlaps the source. Any thread, any number of
// them at once.
ds_result ds_codec_compress(const struct ds_codec *codec,
                            const void *source,
                            size_t source_size,
                            ds_compression_level level,
                            void *destination,
                            size_t destination_size,
                            size_t *written);

// The same as ds_codec_compress with a level from DS_CODEC_LEVEL_MIN to DS_CODEC_LEVEL_MAX, where a higher
// one takes longer and, on most data, saves more; and with a callback that hears of progress, which may be
// NULL.
//
// The callback is called once for each 64 KiB of the source, by the thread that compressed them: the
// caller's or one of the codec's. Several calls may come at once, and out of order; the one with
// `bytes_done` equal to `bytes_all` may not be the last. All have returned when this function does. It must
// return, and not by longjmp or a C++ exception. `user` is passed on.
//
// Result, errors and threads as for ds_codec_compress.
ds_result ds_codec_compress_level(const struct ds_codec *codec,
                                  const void *source,
                                  size_t source_size,
                                  uint32_t level,
                                  void *destination,
                                  size_t destination_size,
                                  ds_codec_progress progress,
                                  void *user,
                                  size_t *written);

// Reads from a stream's header how many bytes it decompresses to, into `*out`. The whole stream is given,
// and its table of tiles is checked; the tiles themselves are not looked at.
//
// Errors, with `*out` 0: DS_E_FAIL for anything but the beginning of a stream, or one that is cut;
// DS_E_INVALIDARG for NULL or a size of 0. Any thread, any number of them at once.
ds_result ds_codec_uncompressed_size(const struct ds_codec *codec,
                                     const void *source,
                                     size_t source_size,
                                     size_t *out);

// Decompresses a stream to the beginning of `destination`, which may be larger than needed, and the
// uncompressed size to `*written`. Bytes behind that are not touched.
//
// Errors, with `*written` 0 and the destination's bytes unspecified: DS_E_INSUFFICIENT_BUFFER if the
// destination is smaller than the stream's uncompressed size; DS_E_FAIL for anything but a whole and
// undamaged stream; DS_E_INVALIDARG for NULL, a size of 0, or a destination that overlaps the source. No
// stream, however damaged, makes it read or write elsewhere. Any thread, any number of them at once.
ds_result ds_codec_decompress(const struct ds_codec *codec,
                              const void *source,
                              size_t source_size,
                              void *destination,
                              size_t destination_size,
                              size_t *written);

// Opens a device of the library's own. `options` may be NULL.
//
// On success `*out` is a reference that ds_gpu_device_release gives back; else NULL. Errors: DS_E_INVALIDARG
// for a NULL `out`, a wrong struct_size or unknown numbers; DS_E_INVALID_DESTINATION_TYPE where there is no
// Vulkan loader, no driver, or no such device; the log says which. Any thread.
ds_result ds_gpu_device_open(const struct ds_gpu_device_options *options,
                             struct ds_gpu_device **out);

// Uses the application's device.
//
// The handles must belong together and stay valid until the device, every queue with it and every resource
// of it were given back. Without a lock nobody else may submit to these queues.
//
// On success `*out` is a reference that ds_gpu_device_release gives back; else NULL. Errors:
// DS_E_INVALIDARG for NULL where there must be something, a wrong struct_size, or half a lock;
// DS_E_INVALID_DESTINATION_TYPE if the device lacks something, timeline semaphores for one. Any thread.
ds_result ds_gpu_device_borrow(const struct ds_gpu_device_handles *handles,
                               struct ds_gpu_device **out);

// The device of a runtime whose backend is Vulkan: that of queues that name none.
//
// On success `*out` is a new reference that ds_gpu_device_release gives back; else NULL. Errors:
// DS_E_INVALIDARG for NULL; DS_E_INVALID_DESTINATION_TYPE if the runtime has none. Any thread.
ds_result ds_runtime_gpu_device(struct ds_runtime *runtime, struct ds_gpu_device **out);

// What a device is. Set out->struct_size before.
//
// Errors: DS_E_INVALIDARG for NULL or a wrong struct_size. Any thread.
ds_result ds_gpu_device_query(struct ds_gpu_device *device, struct ds_gpu_device_info *out);

// Gives a reference back; NULL does nothing. Queues and resources keep the device for themselves. Any
// thread, but no other call with this reference may be running.
void ds_gpu_device_release(struct ds_gpu_device *device);

// Makes a buffer of `size` bytes in the device's memory.
//
// On success `*out` is a reference that ds_gpu_buffer_release gives back; else NULL. Errors:
// DS_E_INVALIDARG for NULL or a size of 0; DS_E_OUTOFMEMORY. Any thread.
ds_result ds_gpu_buffer_create(struct ds_gpu_device *device,
                               uint64_t size,
                               struct ds_gpu_buffer **out);

// Names a buffer of the application's, which must be of this device and bound to memory, and stay so until
// the last reference is given back and every request with it has completed.
//
// Ownership as for ds_gpu_buffer_create. Errors: DS_E_INVALIDARG for NULL, a wrong struct_size, a size of 0.
// Any thread.
ds_result ds_gpu_buffer_import(struct ds_gpu_device *device,
                               const struct ds_gpu_buffer_desc *desc,
                               struct ds_gpu_buffer **out);

// The VkBuffer; 0 for NULL. Any thread.
uint64_t ds_gpu_buffer_handle(struct ds_gpu_buffer *buffer);

// Reads back `size` bytes from `offset`, and waits for them: for tests and tools, with buffers that
// ds_gpu_buffer_create made and no request in flight to that range.
//
// Errors: DS_E_INVALIDARG for NULL, a range outside the buffer, or an imported one; DS_E_OUTOFMEMORY;
// DS_E_DEVICE_LOST. Any thread.
ds_result ds_gpu_buffer_read(struct ds_gpu_buffer *buffer,
                             uint64_t offset,
                             void *destination,
                             size_t size);

// Gives a reference back; NULL does nothing. Requests keep the buffer for themselves. Any thread, but no
// other call with this reference may be running.
void ds_gpu_buffer_release(struct ds_gpu_buffer *buffer);

// Makes an image in the device's memory. It is in layout_after from the start; layout_before is that or
// VK_IMAGE_LAYOUT_UNDEFINED, and both families are 0.
//
// On success `*out` is a reference that ds_gpu_image_release gives back; else NULL. Errors:
// DS_E_INVALIDARG for NULL, a wrong struct_size or a description without meaning;
// DS_E_INVALID_DESTINATION_TYPE if the device has no such images; DS_E_OUTOFMEMORY. Any thread.
ds_result ds_gpu_image_create(struct ds_gpu_device *device,
                              const struct ds_gpu_image_desc *desc,
                              struct ds_gpu_image **out);

// Names an image of the application's, which must be of this device and bound to memory, and stay so until
// the last reference is given back and every request with it has completed. Whenever a request runs, what it
// fills is in the layout, and belongs to the family, that `desc` says.
//
// Ownership and errors as for ds_gpu_image_create. Any thread.
ds_result ds_gpu_image_import(struct ds_gpu_device *device,
                              const struct ds_gpu_image_desc *desc,
                              struct ds_gpu_image **out);

// The VkImage; 0 for NULL. Any thread.
uint64_t ds_gpu_image_handle(struct ds_gpu_image *image);

// How many bytes fill `num_subresources` subresources from `first_subresource`.
//
// Errors: DS_E_INVALIDARG for NULL, and for subresources that the image does not have; `*out` is 0 then. Any
// thread.
ds_result ds_gpu_image_payload_size(struct ds_gpu_image *image,
                                    uint32_t first_subresource,
                                    uint32_t num_subresources,
                                    uint64_t *out);

// Reads back a subresource, and waits for it: for tests and tools, with images that ds_gpu_image_create made
// and no request in flight. `size` is ds_gpu_image_payload_size of that subresource.
//
// Errors: DS_E_INVALIDARG for NULL, another size, or an imported image; DS_E_OUTOFMEMORY; DS_E_DEVICE_LOST.
// Any thread.
ds_result ds_gpu_image_read(struct ds_gpu_image *image,
                            uint32_t subresource,
                            void *destination,
                            size_t size);

// Gives a reference back; NULL does nothing. Requests keep the image for themselves. Any thread, but no
// other call with this reference may be running.
void ds_gpu_image_release(struct ds_gpu_image *image);

// Makes a fence with a timeline semaphore of its own on a device, of the value `initial`.
//
// Everything about fences holds for it; its value never goes back. Ownership as for ds_fence_create. Errors:
// DS_E_INVALIDARG for NULL; DS_E_OUTOFMEMORY; DS_E_DEVICE_LOST. Any thread.
ds_result ds_fence_create_gpu(struct ds_gpu_device *device,
                              uint64_t initial,
                              struct ds_fence **out);

// Makes a fence of a timeline semaphore of the application's, a VkSemaphore of that device: a queue's signal
// sets it, and waits for the fence end when anybody signals it, the application's own queues too.
//
// The semaphore must stay valid until the last reference is given back and every entry with it is done.
// Whoever else signals it uses values that grow along with the queue's, as Vulkan demands. Ownership as for
// ds_fence_create. Errors: DS_E_INVALIDARG for NULL; DS_E_OUTOFMEMORY; DS_E_DEVICE_LOST. Any thread.
ds_result ds_fence_import_gpu(struct ds_gpu_device *device,
                              uint64_t semaphore,
                              struct ds_fence **out);

// The VkSemaphore of a fence that was made on a device; 0 for others and for NULL. Any thread.
uint64_t ds_fence_gpu_handle(struct ds_fence *fence);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus


// The layout, as the library was compiled with it.
DS_STATIC_ASSERT(sizeof(void *) == 8, "ds_runtime is for 64-bit programs");
DS_STATIC_ASSERT(sizeof(ds_request_options) == 16, "ds_request_options");
DS_STATIC_ASSERT(offsetof(ds_request_options, types) == 8, "ds_request_options.types");
DS_STATIC_ASSERT(sizeof(ds_source_memory) == 16, "ds_source_memory");
DS_STATIC_ASSERT(offsetof(ds_source_memory, size) == 8, "ds_source_memory.size");
DS_STATIC_ASSERT(sizeof(ds_source_file) == 24, "ds_source_file");
DS_STATIC_ASSERT(offsetof(ds_source_file, offset) == 8, "ds_source_file.offset");
DS_STATIC_ASSERT(offsetof(ds_source_file, size) == 16, "ds_source_file.size");
DS_STATIC_ASSERT(sizeof(ds_source) == 24, "ds_source");
DS_STATIC_ASSERT(sizeof(ds_destination_memory) == 16, "ds_destination_memory");
DS_STATIC_ASSERT(offsetof(ds_destination_memory, size) == 8, "ds_destination_memory.size");
DS_STATIC_ASSERT(sizeof(ds_destination_buffer) == 24, "ds_destination_buffer");
DS_STATIC_ASSERT(offsetof(ds_destination_buffer, offset) == 8, "ds_destination_buffer.offset");
DS_STATIC_ASSERT(offsetof(ds_destination_buffer, size) == 16, "ds_destination_buffer.size");
DS_STATIC_ASSERT(sizeof(ds_destination_texture_region) == 40, "ds_destination_texture_region");
DS_STATIC_ASSERT(offsetof(ds_destination_texture_region, subresource_index) == 8,
                 "ds_destination_texture_region.subresource_index");
DS_STATIC_ASSERT(offsetof(ds_destination_texture_region, region) == 12,
                 "ds_destination_texture_region.region");
DS_STATIC_ASSERT(sizeof(ds_destination_multiple_subresources) == 16, "ds_destination_multiple_subresources");
DS_STATIC_ASSERT(offsetof(ds_destination_multiple_subresources, first_subresource) == 8,
                 "ds_destination_multiple_subresources.first_subresource");
DS_STATIC_ASSERT(sizeof(ds_destination_multiple_subresources_range) == 16,
                 "ds_destination_multiple_subresources_range");
DS_STATIC_ASSERT(offsetof(ds_destination_multiple_subresources_range, num_subresources) == 12,
                 "ds_destination_multiple_subresources_range.num_subresources");
DS_STATIC_ASSERT(sizeof(ds_destination_tiles) == 40, "ds_destination_tiles");
DS_STATIC_ASSERT(offsetof(ds_destination_tiles, start_x) == 8, "ds_destination_tiles.start_x");
DS_STATIC_ASSERT(offsetof(ds_destination_tiles, num_tiles) == 24, "ds_destination_tiles.num_tiles");
DS_STATIC_ASSERT(offsetof(ds_destination_tiles, use_box) == 28, "ds_destination_tiles.use_box");
DS_STATIC_ASSERT(offsetof(ds_destination_tiles, width) == 32, "ds_destination_tiles.width");
DS_STATIC_ASSERT(offsetof(ds_destination_tiles, height) == 36, "ds_destination_tiles.height");
DS_STATIC_ASSERT(offsetof(ds_destination_tiles, depth) == 38, "ds_destination_tiles.depth");
DS_STATIC_ASSERT(sizeof(ds_destination_file) == 24, "ds_destination_file");
DS_STATIC_ASSERT(offsetof(ds_destination_file, offset) == 8, "ds_destination_file.offset");
DS_STATIC_ASSERT(offsetof(ds_destination_file, size) == 16, "ds_destination_file.size");
DS_STATIC_ASSERT(sizeof(ds_destination) == 40, "ds_destination");
DS_STATIC_ASSERT(sizeof(ds_request) == 104, "ds_request");
DS_STATIC_ASSERT(offsetof(ds_request, source) == 16, "ds_request.source");
DS_STATIC_ASSERT(offsetof(ds_request, destination) == 40, "ds_request.destination");
DS_STATIC_ASSERT(offsetof(ds_request, uncompressed_size) == 80, "ds_request.uncompressed_size");
DS_STATIC_ASSERT(offsetof(ds_request, cancellation_tag) == 88, "ds_request.cancellation_tag");
DS_STATIC_ASSERT(offsetof(ds_request, name) == 96, "ds_request.name");
DS_STATIC_ASSERT(sizeof(ds_runtime_options) == 40, "ds_runtime_options");
DS_STATIC_ASSERT(sizeof(ds_foreign_task) == 56, "ds_foreign_task");
DS_STATIC_ASSERT(offsetof(ds_runtime_options, config) == 24, "ds_runtime_options.config");
DS_STATIC_ASSERT(sizeof(ds_option) == 24, "ds_option");
DS_STATIC_ASSERT(sizeof(ds_notification) == 16, "ds_notification");
DS_STATIC_ASSERT(offsetof(ds_notification, value) == 8, "ds_notification.value");
DS_STATIC_ASSERT(sizeof(ds_file_info) == 48, "ds_file_info");
DS_STATIC_ASSERT(offsetof(ds_file_info, size) == 8, "ds_file_info.size");
DS_STATIC_ASSERT(offsetof(ds_file_info, modified_ns) == 40, "ds_file_info.modified_ns");
DS_STATIC_ASSERT(sizeof(ds_queue_desc) == 56, "ds_queue_desc");
DS_STATIC_ASSERT(offsetof(ds_queue_desc, name) == 16, "ds_queue_desc.name");
DS_STATIC_ASSERT(offsetof(ds_queue_desc, error_event) == 24, "ds_queue_desc.error_event");
DS_STATIC_ASSERT(offsetof(ds_queue_desc, gpu_device) == 32, "ds_queue_desc.gpu_device");
DS_STATIC_ASSERT(sizeof(ds_queue_info) == 24, "ds_queue_info");
DS_STATIC_ASSERT(sizeof(ds_gpu_device_options) == 24, "ds_gpu_device_options");
DS_STATIC_ASSERT(sizeof(ds_gpu_device_handles) == 80, "ds_gpu_device_handles");
DS_STATIC_ASSERT(offsetof(ds_gpu_device_handles, queue_count) == 48, "ds_gpu_device_handles.queue_count");
DS_STATIC_ASSERT(sizeof(ds_gpu_device_info) == 280, "ds_gpu_device_info");
DS_STATIC_ASSERT(sizeof(ds_gpu_buffer_desc) == 32, "ds_gpu_buffer_desc");
DS_STATIC_ASSERT(sizeof(ds_gpu_image_desc) == 56, "ds_gpu_image_desc");
DS_STATIC_ASSERT(sizeof(ds_queue_stats) == 400, "ds_queue_stats");
DS_STATIC_ASSERT(offsetof(ds_queue_stats, requests_enqueued) == 16, "ds_queue_stats.requests_enqueued");
DS_STATIC_ASSERT(offsetof(ds_queue_stats, latency_buckets) == 80, "ds_queue_stats.latency_buckets");
DS_STATIC_ASSERT(sizeof(ds_staging_stats) == 32, "ds_staging_stats");
DS_STATIC_ASSERT(offsetof(ds_staging_stats, bytes_max) == 8, "ds_staging_stats.bytes_max");
DS_STATIC_ASSERT(sizeof(ds_error_request) == 432, "ds_error_request");
DS_STATIC_ASSERT(offsetof(ds_error_request, name) == 260, "ds_error_request.name");
DS_STATIC_ASSERT(offsetof(ds_error_request, request) == 328, "ds_error_request.request");
DS_STATIC_ASSERT(sizeof(ds_error_status) == 16, "ds_error_status");
DS_STATIC_ASSERT(sizeof(ds_error_signal) == 16, "ds_error_signal");
DS_STATIC_ASSERT(sizeof(ds_error_event) == 8, "ds_error_event");
DS_STATIC_ASSERT(sizeof(ds_error_record) == 448, "ds_error_record");
DS_STATIC_ASSERT(offsetof(ds_error_record, result) == 4, "ds_error_record.result");
DS_STATIC_ASSERT(offsetof(ds_error_record, command_type) == 8, "ds_error_record.command_type");
DS_STATIC_ASSERT(offsetof(ds_error_record, parameters) == 16, "ds_error_record.parameters");
DS_STATIC_ASSERT(sizeof(ds_error_report) == 96, "ds_error_report");
DS_STATIC_ASSERT(offsetof(ds_error_report, timestamp_ns) == 16, "ds_error_report.timestamp_ns");
DS_STATIC_ASSERT(offsetof(ds_error_report, operation) == 24, "ds_error_report.operation");
DS_STATIC_ASSERT(offsetof(ds_error_report, has_request) == 48, "ds_error_report.has_request");
DS_STATIC_ASSERT(offsetof(ds_error_report, filename) == 56, "ds_error_report.filename");
DS_STATIC_ASSERT(offsetof(ds_error_report, name) == 88, "ds_error_report.name");
DS_STATIC_ASSERT(sizeof(ds_custom_request) == 48, "ds_custom_request");
DS_STATIC_ASSERT(offsetof(ds_custom_request, compression_format) == 8,
                 "ds_custom_request.compression_format");
DS_STATIC_ASSERT(offsetof(ds_custom_request, flags) == 12, "ds_custom_request.flags");
DS_STATIC_ASSERT(offsetof(ds_custom_request, source_size) == 16, "ds_custom_request.source_size");
DS_STATIC_ASSERT(offsetof(ds_custom_request, source) == 24, "ds_custom_request.source");
DS_STATIC_ASSERT(offsetof(ds_custom_request, destination) == 40, "ds_custom_request.destination");
DS_STATIC_ASSERT(sizeof(ds_custom_result) == 16, "ds_custom_result");
DS_STATIC_ASSERT(offsetof(ds_custom_result, result) == 8, "ds_custom_result.result");

// Puts a source type (DS_SOURCE_*) and a destination type (DS_DESTINATION_*) into ds_request_options.types.
#if defined(__cplusplus)
#define DS_REQUEST_TYPES(source, destination) (static_cast<uint8_t>((source) | ((destination) << 1)))
#else
#define DS_REQUEST_TYPES(source, destination) ((uint8_t)((source) | ((destination) << 1)))
#endif

// A queue family, in a member where zero means none.
#define DS_GPU_FAMILY(index) ((uint32_t)(index) + 1)

// The functions below only fill structs; they call nothing.

// A struct of zeros, in either language.
#if defined(__cplusplus)
#define DS_ZERO {}
#else
#define DS_ZERO {0}
#endif

// A request that reads `size` bytes of `file` from `offset` into `destination`.
static inline ds_request ds_request_read(ds_file *file, uint64_t offset, void *destination,
                                         uint32_t size) {
    ds_request request = DS_ZERO;
    request.options.types = DS_REQUEST_TYPES(DS_SOURCE_FILE, DS_DESTINATION_MEMORY);
    request.source.file.source = file;
    request.source.file.offset = offset;
    request.source.file.size = size;
    request.destination.memory.buffer = destination;
    request.destination.memory.size = size;
    return request;
}

// A request that copies `size` bytes from `source` to `destination`; for a queue of DS_SOURCE_MEMORY.
static inline ds_request ds_request_copy(const void *source, void *destination, uint32_t size) {
    ds_request request = DS_ZERO;
    request.options.types = DS_REQUEST_TYPES(DS_SOURCE_MEMORY, DS_DESTINATION_MEMORY);
    request.source.memory.source = source;
    request.source.memory.size = size;
    request.destination.memory.buffer = destination;
    request.destination.memory.size = size;
    return request;
}

// A request that writes `size` bytes from `source` to `file` at `offset`; for a queue of DS_SOURCE_MEMORY.
static inline ds_request ds_request_write(const void *source, ds_file *file, uint64_t offset,
                                          uint32_t size) {
    ds_request request = DS_ZERO;
    request.options.types = DS_REQUEST_TYPES(DS_SOURCE_MEMORY, DS_DESTINATION_FILE);
    request.source.memory.source = source;
    request.source.memory.size = size;
    request.destination.file.destination = file;
    request.destination.file.offset = offset;
    request.destination.file.size = size;
    return request;
}

// A request that writes `size` bytes of a GPU buffer, from `from` on, to `file` at `offset`; for a queue of
// DS_SOURCE_MEMORY with the buffer's device.
static inline ds_request ds_request_write_gpu_buffer(ds_gpu_buffer *buffer, uint64_t from, ds_file *file,
                                                     uint64_t offset, uint32_t size) {
    ds_request request = DS_ZERO;
    request.options.types = DS_REQUEST_TYPES(DS_SOURCE_MEMORY, DS_DESTINATION_FILE_FROM_BUFFER);
    request.source.buffer.resource = buffer;
    request.source.buffer.offset = from;
    request.source.buffer.size = size;
    request.destination.file.destination = file;
    request.destination.file.offset = offset;
    request.destination.file.size = size;
    return request;
}

// The same request, with `size` bytes of a GPU buffer from `offset` on as its destination.
static inline ds_request ds_request_to_gpu_buffer(ds_request request, ds_gpu_buffer *buffer,
                                                  uint64_t offset, uint32_t size) {
    request.options.types = DS_REQUEST_TYPES(request.options.types & 1, DS_DESTINATION_BUFFER);
    request.destination.buffer.resource = buffer;
    request.destination.buffer.offset = offset;
    request.destination.buffer.size = size;
    return request;
}

// The same request, with some subresources of a GPU image as its destination.
static inline ds_request ds_request_to_gpu_image(ds_request request, ds_gpu_image *image,
                                                 uint32_t first_subresource,
                                                 uint32_t num_subresources) {
    request.options.types = DS_REQUEST_TYPES(request.options.types & 1,
                                             DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE);
    request.destination.multiple_subresources_range.resource = image;
    request.destination.multiple_subresources_range.first_subresource = first_subresource;
    request.destination.multiple_subresources_range.num_subresources = num_subresources;
    return request;
}

// The same request, made by ds_request_read or ds_request_copy, with a source that is compressed in `format`
// (DS_COMPRESSION_*) and `uncompressed_size` bytes of destination.
static inline ds_request ds_request_compressed(ds_request request, ds_compression_format format,
                                               uint32_t uncompressed_size) {
    request.options.compression_format = format;
    request.destination.memory.size = uncompressed_size;
    request.uncompressed_size = uncompressed_size;
    return request;
}

#endif  // DS_RUNTIME_H
