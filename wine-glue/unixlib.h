// unixlib.h: the calls from the Windows half to the Unix half; the only thing that both see.
//
// A call has a number and one struct. Fields have fixed widths, pointers and handles are uint64_t, so that
// 32-bit callers could use the same structs. A call answers a ds_result, which is an HRESULT, or the
// NTSTATUS c0000005 if a pointer was bad. `out` marks what the Unix half fills.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef UNIXLIB_H
#define UNIXLIB_H

#include <stdint.h>

// Raised by every change in this file: halves of two versions refuse each other. (Their test makes another.)
#ifndef UNIXLIB_VERSION
#define UNIXLIB_VERSION 5
#endif

enum unix_code {
    UNIX_ATTACH,
    UNIX_RUNTIME_CREATE,
    UNIX_RUNTIME_DESTROY,
    UNIX_RUNTIME_DESCRIBE,
    UNIX_RUNTIME_SET_STAGING,
    UNIX_NOTIFICATIONS_WAIT,
    UNIX_NOTIFICATIONS_INTERRUPT,
    UNIX_COPIES_BEGIN,
    UNIX_TASKS_GET,
    UNIX_COPIES_RUN,
    UNIX_COPIES_FINISH,
    UNIX_COPIES_RETURNED,
    UNIX_POOL_CREATE,
    UNIX_POOL_DESTROY,
    UNIX_POOL_ADD,
    UNIX_POOL_REFUSE,
    UNIX_FILE_CREATE,
    UNIX_FILE_CLOSE,
    UNIX_FILE_RELEASE,
    UNIX_STATUS_ARRAY_CREATE,
    UNIX_STATUS_ARRAY_RELEASE,
    UNIX_STATUS_IS_COMPLETE,
    UNIX_STATUS_RESULT,
    UNIX_QUEUE_CREATE,
    UNIX_QUEUE_DESTROY,
    UNIX_QUEUE_CLOSE,
    UNIX_QUEUE_SUBMIT,
    UNIX_QUEUE_REQUESTS,
    UNIX_QUEUE_STATUS,
    UNIX_QUEUE_SIGNAL,
    UNIX_QUEUE_SIGNAL_BEHIND,
    UNIX_QUEUE_EVENT,
    UNIX_QUEUE_CANCEL,
    UNIX_QUEUE_QUERY,
    UNIX_QUEUE_ERRORS,
    UNIX_NOTIFY,
    UNIX_QUEUE_SUPPORT,
    UNIX_FENCE_CREATE,
    UNIX_FENCE_SIGNAL,
    UNIX_FENCE_RELEASE,
    UNIX_CUSTOM_EVENT,
    UNIX_CUSTOM_REQUESTS,
    UNIX_CUSTOM_RESULTS,
    UNIX_CODEC_CREATE,
    UNIX_CODEC_DESTROY,
    UNIX_CODEC_BOUND,
    UNIX_CODEC_COMPRESS,
    UNIX_CODEC_DECOMPRESS,
    UNIX_CODE_COUNT
};

struct unix_attach {
    uint32_t version;
    uint32_t code_count;
};

// For every call that only names an object.
struct unix_object {
    uint64_t object;
};

// Texts of options, key=value,...: the program's, and a person's, which beat everything else; or 0.
struct unix_runtime_create {
    uint64_t config;
    uint64_t overrides;
    uint64_t runtime; // out
};

struct unix_runtime_describe {
    uint64_t runtime;
    char version[32];  // out
    char backend[32];  // out
    char reason[256];  // out
    uint32_t exact;      // out: 1 if all is to be as with Microsoft's runtime
    uint32_t gpu_decode; // out: 1 if devices are to decode GDeflate by themselves
};

struct unix_runtime_set_staging {
    uint64_t runtime;
    uint32_t bytes;
    uint32_t reserved;
};

struct unix_notification {
    uint64_t cookie;
    uint64_t value;
};

#define UNIX_NOTIFICATIONS_MAX 64

#define UNIX_WAIT_FOREVER UINT64_MAX

struct unix_notifications_wait {
    uint64_t runtime;
    uint64_t timeout_ns;
    uint32_t count; // out
    uint32_t reserved;
    struct unix_notification found[UNIX_NOTIFICATIONS_MAX]; // out
};

// Before the first queue: the pump makes copies, and hears of them by the cookie.
struct unix_copies_begin {
    uint64_t runtime;
    uint64_t cookie;
};

enum unix_task_kind {
    TASK_COPY_TO_MEMORY,
    TASK_COPY_TO_PLACE, // the cookie says where
    TASK_SIGNAL,        // of the cookie, behind the copies that came before
    TASK_BLOCK,         // of `size` bytes or more, for the pool of the cookie
};

struct unix_task {
    uint32_t kind;
    uint32_t reserved;
    uint64_t id; // of a copy, for the answer
    uint64_t size;
    uint64_t source;
    uint64_t destination; // or 0
    uint64_t cookie;
    uint64_t block; // the cookie of the block that the source lies in; or 0
};

#define UNIX_TASKS_MAX 32

struct unix_tasks_get {
    uint64_t runtime;
    uint32_t count; // out
    uint32_t reserved;
    struct unix_task found[UNIX_TASKS_MAX]; // out
};

// Copies; what cannot be read or written is c0000005, as for every call.
struct unix_copies_run {
    uint64_t source;
    uint64_t destination;
    uint64_t size;
};

struct unix_copies_finish {
    uint64_t runtime;
    uint64_t id;
    int32_t result;
    uint32_t reserved;
};

#define UNIX_RETURNED_MAX 64

// Cookies that are of no use any more: of requests that have ended, of signals, of blocks.
struct unix_copies_returned {
    uint64_t runtime;
    uint32_t count; // out
    uint32_t reserved;
    uint64_t found[UNIX_RETURNED_MAX]; // out
};

// Memory of the Windows half's, in which bytes wait for it.
struct unix_pool_create {
    uint64_t runtime;
    uint64_t cookie;
    uint64_t pool; // out
};

// A block that the pool asked for. It is the engine's until its cookie, which is not 0, comes back.
struct unix_pool_add {
    uint64_t pool;
    uint64_t memory;
    uint64_t size;
    uint64_t cookie;
};

// Takes the descriptor over, whatever the answer.
struct unix_file_create {
    int32_t fd;
    uint32_t reserved;
    uint64_t path; // UTF-8, for messages
    uint64_t file; // out
};

struct unix_status_array_create {
    uint32_t capacity;
    uint32_t reserved;
    uint64_t name;
    uint64_t array; // out
};

// The answer of UNIX_STATUS_IS_COMPLETE is 1 or 0, that of UNIX_STATUS_RESULT the entry's result.
struct unix_status {
    uint64_t array;
    uint32_t index;
    uint32_t reserved;
};

struct unix_queue_create {
    uint64_t runtime;
    uint64_t name;
    uint64_t error_cookie;
    uint32_t capacity;
    uint32_t source_type;
    int32_t priority;
    uint32_t reserved;
    uint64_t pool;  // or 0
    uint64_t queue; // out
};

// `requests` has the layout of DSTORAGE_REQUEST, with the Unix half's file where the COM object stood.
struct unix_queue_requests {
    uint64_t queue;
    uint64_t requests;
    uint64_t fence;
    uint64_t value;
    uint32_t count;
    uint32_t flags;
};

// In such a request a destination of this type is one that only the Windows half can reach: this stands in
// the place of DSTORAGE_DESTINATION.
#define UNIX_DESTINATION_FOREIGN 65

struct unix_foreign {
    uint64_t cookie;
    uint32_t size;
    int32_t result;      // negative: the request fails with it
    uint64_t shown;      // the DSTORAGE_DESTINATION for error records
    uint32_t shown_type; // and its type
    // If a format: the host decodes, and error records show these.
    uint32_t shown_uncompressed_size;
    uint8_t shown_format;
    uint8_t reserved[7];
};

struct unix_queue_status {
    uint64_t queue;
    uint64_t array;
    uint32_t index;
    uint32_t reserved;
};

struct unix_queue_signal {
    uint64_t queue;
    uint64_t fence;
    uint64_t value;
};

// A signal that the pump makes, when it comes to it as a task. Refused, if `result` is negative.
struct unix_queue_signal_behind {
    uint64_t queue;
    uint64_t cookie;
    uint64_t value;
    int32_t result;
    uint32_t reserved;
};

// A cookie of 0 stands for no event.
struct unix_queue_event {
    uint64_t queue;
    uint64_t runtime;
    uint64_t cookie;
};

struct unix_queue_cancel {
    uint64_t queue;
    uint64_t mask;
    uint64_t value;
};

struct unix_queue_query {
    uint64_t queue;
    uint32_t empty_slots;       // out
    uint32_t until_auto_submit; // out
};

#define UNIX_FILENAME_BYTES 260
#define UNIX_NAME_BYTES 64
#define UNIX_REQUEST_BYTES 104

// Takes the record, or looks at it. What follows `reserved` is out.
struct unix_queue_errors {
    uint64_t queue;
    uint32_t peek;
    uint32_t reserved;
    uint32_t failure_count;
    int32_t result;
    int32_t command_type;
    uint32_t index;  // of a status
    uint64_t object; // status array or fence
    uint64_t value;  // of a signal
    char filename[UNIX_FILENAME_BYTES];
    char name[UNIX_NAME_BYTES];
    uint32_t reserved_too;
    uint8_t request[UNIX_REQUEST_BYTES];
};

// Puts a notification behind those that are there.
struct unix_notify {
    uint64_t runtime;
    uint64_t cookie;
};

struct unix_queue_support {
    uint64_t queue;
    uint32_t format;
    uint32_t support; // out
};

// With a runtime the fence's signals become notifications with the cookie; without one, it is only waited
// for.
struct unix_fence_create {
    uint64_t runtime;
    uint64_t cookie;
    uint64_t initial;
    uint64_t fence; // out
};

struct unix_fence_signal {
    uint64_t fence;
    uint64_t value;
};

struct unix_custom_event {
    uint64_t runtime;
    uint64_t cookie;
};

struct unix_custom_requests {
    uint64_t runtime;
    uint64_t requests;
    uint32_t select;
    uint32_t max;
    uint32_t count; // out
    uint32_t reserved;
};

struct unix_custom_results {
    uint64_t runtime;
    uint64_t results;
    uint32_t count;
    uint32_t reserved;
};

struct unix_codec_create {
    uint32_t format;
    uint32_t threads;
    uint64_t codec; // out
};

struct unix_codec_bound {
    uint64_t codec;
    uint64_t source_bytes;
    uint64_t bound; // out
};

struct unix_codec_run {
    uint64_t codec;
    uint64_t source;
    uint64_t source_bytes;
    uint64_t destination;
    uint64_t destination_bytes;
    int32_t level; // to compress
    uint32_t reserved;
    uint64_t written; // out
};

#endif // UNIXLIB_H
