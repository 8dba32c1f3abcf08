// queue.c: IDStorageQueue to IDStorageQueue3, one object with all fifteen methods.
//
// Older clients ask for older ids and see the beginning of the same table.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#define STORAGE_IIDS
#include "glue.h"

#include <stdlib.h>
#include <string.h>

// The engine knows a destination that DirectStorage does not, with a pointer of its own inside. What the
// application calls so is unknown here as well, and is passed on under another unknown number.
#define DESTINATION_KNOWN_MAX DESTINATION_MULTIPLE_SUBRESOURCES_RANGE
#define DESTINATION_UNKNOWN 127

// Requests translated at a time: on the stack, and one call for all of them.
#define TRANSLATED_MAX 32

struct queue {
    storage_queue base;
    LONG references;
    uint64_t native;
    HANDLE error_event;
    uint64_t error_cookie;
    uint64_t owner; // its number for what was enqueued and is not done
    struct uploader *uploader; // of its device; NULL without one
    storage_queue_desc desc;
    char name[];
};

static const storage_queue_methods methods;

static struct queue *from(storage_queue *this) { return CONTAINING_RECORD(this, struct queue, base); }

static BOOL is_mine(REFIID iid) {
    const GUID *mine[] = {&IID_UNKNOWN, &IID_QUEUE, &IID_QUEUE1, &IID_QUEUE2, &IID_QUEUE3};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        if (IsEqualGUID(iid, mine[i])) return TRUE;
    return FALSE;
}

static HRESULT WINAPI query_interface(storage_queue *this, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    if (!is_mine(iid)) return E_NOINTERFACE;
    this->methods->AddRef(this);
    *out = this;
    return S_OK;
}

static ULONG WINAPI add_ref(storage_queue *this) {
    return (ULONG)InterlockedIncrement(&from(this)->references);
}

// Of events, those that fired are still to be set; this comes behind them.
static void forget_enqueued(struct queue *queue) {
    struct unix_notify args = {.runtime = engine_runtime(), .cookie = cookie_of_owner(queue->owner)};
    fence_forget_waits(queue->owner);
    unix_call(UNIX_NOTIFY, &args);
}

// Of what make() has made so far; the engine's reference is the caller's.
static void unmake(struct queue *queue) {
    if (queue->error_cookie) cookie_forget_event(queue->error_cookie);
    if (queue->native) unix_call_object(UNIX_QUEUE_DESTROY, queue->native);
    if (queue->owner) forget_enqueued(queue);
    if (queue->uploader) uploader_release(queue->uploader);
    if (queue->error_event) CloseHandle(queue->error_event);
    if (queue->desc.device) queue->desc.device->lpVtbl->Release(queue->desc.device);
    free(queue);
}

static ULONG WINAPI release(storage_queue *this) {
    struct queue *queue = from(this);
    LONG left = InterlockedDecrement(&queue->references);
    // Else the process's end takes it.
    if (left == 0 && !process_is_ending()) {
        unmake(queue);
        engine_release();
    }
    return (ULONG)left;
}

// --- Enqueue -------------------------------------------------------------------------------------------

// A request in the engine's words, and what it points to meanwhile.
struct translated {
    char name[REQUEST_NAME_BYTES];
    storage_destination shown;
};

// A resource is the pump's business; the engine learns a cookie for it.
static void translate_resource(struct queue *queue, storage_request *to, storage_destination *shown) {
    struct unix_foreign foreign;
    place_make(queue->uploader, to, &foreign);
    *shown = to->destination;
    foreign.shown = NUMBER(shown);
    foreign.shown_type = to->options.types >> 1;
    // What the GPU decodes is for the engine a stream of bytes like any other.
    if (foreign.shown_format) {
        to->options.compression_format = COMPRESSION_NONE;
        to->uncompressed_size = 0;
    }
    to->destination = (storage_destination){0};
    memcpy(&to->destination, &foreign, sizeof foreign);
    to->options.types = REQUEST_TYPES(to->options.types & 1, UNIX_DESTINATION_FOREIGN);
}

// Reads the name here: a bad pointer must be this function's fault, not one inside the engine's locks.
static void copy_name(storage_request *request, char copy[REQUEST_NAME_BYTES]) {
    if (!request->name) return;
    size_t length = strnlen(request->name, REQUEST_NAME_BYTES - 1);
    memcpy(copy, request->name, length);
    copy[length] = 0;
    request->name = copy;
}

static void translate(struct queue *queue, storage_request *to, const storage_request *request,
                      struct translated *kept) {
    exact_request(request);
    *to = *request;
    copy_name(to, kept->name);
    uint8_t source = request->options.types & 1, destination = to->options.types >> 1;
    if (destination > DESTINATION_KNOWN_MAX)
        to->options.types = REQUEST_TYPES(source, DESTINATION_UNKNOWN);
    else if (destination != DESTINATION_MEMORY)
        translate_resource(queue, to, &kept->shown);
    if (source == SOURCE_FILE)
        to->source.file.source = (storage_file *)(uintptr_t)file_native(request->source.file.source);
}

static void WINAPI enqueue_request(storage_queue *this, const storage_request *request) {
    storage_request translated;
    struct translated kept;
    exact_object(request, "no request");
    if (!request) {
        log_line("EnqueueRequest without a request: ignored");
        return;
    }
    translate(from(this), &translated, request, &kept);
    struct unix_queue_requests args = {.queue = from(this)->native,
                                       .requests = NUMBER(&translated),
                                       .count = 1};
    unix_call(UNIX_QUEUE_REQUESTS, &args);
}

static void enqueue_many(struct queue *queue, const storage_request *requests, uint32_t count,
                         uint64_t fence, uint64_t value, uint32_t flags) {
    storage_request translated[TRANSLATED_MAX];
    struct translated kept[TRANSLATED_MAX];
    while (count) {
        uint32_t some = count < TRANSLATED_MAX ? count : TRANSLATED_MAX;
        for (uint32_t i = 0; i < some; i++) translate(queue, &translated[i], &requests[i], &kept[i]);
        struct unix_queue_requests args = {.queue = queue->native,
                                           .requests = NUMBER(translated),
                                           .fence = fence,
                                           .value = value,
                                           .count = some,
                                           .flags = flags};
        unix_call(UNIX_QUEUE_REQUESTS, &args);
        requests += some;
        count -= some;
    }
}

static void WINAPI enqueue_requests(storage_queue *this, const storage_request *requests, uint32_t count,
                                    d3d12_fence *fence, uint64_t value, uint32_t flags) {
    const uint32_t known = ENQUEUE_WAIT_BEFORE_GPU_WORK | ENQUEUE_WAIT_BEFORE_SOURCE_ACCESS;
    struct fence_wait *wait = NULL;
    if (!requests && count) {
        log_line("EnqueueRequests without requests: ignored");
        return;
    }
    HRESULT result = fence ? fence_begin_wait(fence, value, from(this)->owner, &wait) : S_OK;
    if (FAILED(result)) {
        log_line("EnqueueRequests: the fence cannot be waited for (%08lx): %u requests are lost", result,
                 count);
        return;
    }
    enqueue_many(from(this), requests, count, wait ? wait->native : 0, value, flags & known);
    fence_end_wait(wait);
}

static void WINAPI enqueue_status(storage_queue *this, storage_status_array *array, uint32_t index) {
    exact_object(array, "no status array"); // O-37
    struct unix_queue_status args = {.queue = from(this)->native,
                                     .array = status_array_native(array),
                                     .index = index};
    unix_call(UNIX_QUEUE_STATUS, &args);
}

// On the queue of the GPU that makes the copies, behind them. FALSE: the pump is to signal the fence.
static BOOL signal_behind_copies(struct queue *queue, d3d12_fence *fence, uint64_t value) {
    struct unix_queue_signal_behind args = {.queue = queue->native, .value = value};
    if (!queue->uploader || !fence) return FALSE;
    args.result = uploader_signal(queue->uploader, fence, value, &args.cookie);
    if (args.result == S_FALSE) return FALSE;
    unix_call(UNIX_QUEUE_SIGNAL_BEHIND, &args);
    return TRUE;
}

static void WINAPI enqueue_signal(storage_queue *this, d3d12_fence *fence, uint64_t value) {
    exact_object(fence, "no fence"); // O-38
    if (signal_behind_copies(from(this), fence, value)) return;
    struct unix_queue_signal args = {.queue = from(this)->native, .value = value};
    HRESULT result = fence_begin_signal(fence, value, &args.fence);
    if (FAILED(result)) log_line("EnqueueSignal: no fence could be made (%08lx)", result);
    // Without a fence the engine records the failure.
    unix_call(UNIX_QUEUE_SIGNAL, &args);
    if (args.fence) fence_end_signal(fence);
}

static void WINAPI enqueue_set_event(storage_queue *this, HANDLE event) {
    struct queue *queue = from(this);
    // Without an event the engine records the failure.
    struct unix_queue_event args = {.queue = queue->native,
                                    .runtime = engine_runtime(),
                                    .cookie = event ? cookie_for_enqueued_event(event, queue->owner) : 0};
    unix_call(UNIX_QUEUE_EVENT, &args);
}

// --- The rest ------------------------------------------------------------------------------------------

static void WINAPI submit(storage_queue *this) { unix_call_object(UNIX_QUEUE_SUBMIT, from(this)->native); }

static void WINAPI cancel_requests_with_tag(storage_queue *this, uint64_t mask, uint64_t value) {
    struct unix_queue_cancel args = {.queue = from(this)->native, .mask = mask, .value = value};
    // Both wait for requests in flight, and so perhaps for the pump.
    if (!process_is_ending()) unix_call(UNIX_QUEUE_CANCEL, &args);
}

static void WINAPI close_queue(storage_queue *this) {
    if (process_is_ending()) return;
    unix_call_object(UNIX_QUEUE_CLOSE, from(this)->native);
    fence_forget_waits(from(this)->owner);
}

static HANDLE WINAPI get_error_event(storage_queue *this) { return from(this)->error_event; }

static void WINAPI retrieve_error_record(storage_queue *this, storage_error_record *out) {
    struct queue *queue = from(this);
    if (!out) return;
    struct unix_queue_errors errors = {.queue = queue->native, .command_type = COMMAND_NONE};
    // The pump, which may be about to tell of these failures, comes before or after both. First the event,
    // so that a failure that comes after the record was taken leaves it set.
    cookies_hold();
    ResetEvent(queue->error_event);
    unix_call(UNIX_QUEUE_ERRORS, &errors);
    cookies_let_go();
    errors_fill(&errors, out);
}

static void WINAPI query(storage_queue *this, storage_queue_info *out) {
    struct queue *queue = from(this);
    struct unix_queue_query args = {.queue = queue->native};
    if (!out) return;
    unix_call(UNIX_QUEUE_QUERY, &args);
    *out = (storage_queue_info){.desc = queue->desc,
                                .empty_slot_count = (uint16_t)args.empty_slots,
                                .request_count_until_auto_submit = (uint16_t)args.until_auto_submit};
}

static uint32_t WINAPI get_compression_support(storage_queue *this, uint8_t format) {
    struct unix_queue_support args = {.queue = from(this)->native, .format = format};
    if (format == COMPRESSION_GDEFLATE && uploader_decodes(from(this)->uploader))
        return SUPPORT_GPU_OPTIMIZED | SUPPORT_USES_COMPUTE_QUEUE;
    return SUCCEEDED(unix_call(UNIX_QUEUE_SUPPORT, &args)) ? args.support : 0;
}

static const storage_queue_methods methods = {
    .QueryInterface = query_interface,
    .AddRef = add_ref,
    .Release = release,
    .EnqueueRequest = enqueue_request,
    .EnqueueStatus = enqueue_status,
    .EnqueueSignal = enqueue_signal,
    .Submit = submit,
    .CancelRequestsWithTag = cancel_requests_with_tag,
    .Close = close_queue,
    .GetErrorEvent = get_error_event,
    .RetrieveErrorRecord = retrieve_error_record,
    .Query = query,
    .EnqueueSetEvent = enqueue_set_event,
    .GetCompressionSupport = get_compression_support,
    .EnqueueRequests = enqueue_requests,
};

// --- Creation ------------------------------------------------------------------------------------------

static HRESULT native_create(struct queue *queue) {
    queue->error_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!queue->error_event) return HRESULT_FROM_WIN32(GetLastError());
    queue->error_cookie = cookie_for_event(queue->error_event);
    if (!queue->error_cookie) return E_OUTOFMEMORY;
    struct unix_queue_create create = {.runtime = engine_runtime(),
                                       .name = NUMBER(queue->desc.name),
                                       .error_cookie = queue->error_cookie,
                                       .capacity = queue->desc.capacity,
                                       .source_type = (uint32_t)queue->desc.source_type,
                                       .priority = queue->desc.priority,
                                       .pool = queue->uploader ? uploader_pool(queue->uploader) : 0};
    HRESULT result = unix_call(UNIX_QUEUE_CREATE, &create);
    queue->native = create.queue;
    if (SUCCEEDED(result)) cookie_tells_failures(queue->error_cookie, queue->native, queue->desc.name);
    if (SUCCEEDED(result)) debug_name("queue", queue->desc.name, queue);
    return result;
}

static HRESULT make(const storage_queue_desc *desc, size_t name_bytes, struct queue **out) {
    struct queue *queue = calloc(1, sizeof *queue + name_bytes);
    if (!queue) return E_OUTOFMEMORY;
    queue->base.methods = &methods;
    queue->references = 1;
    queue->owner = cookie_new_owner();
    queue->desc = *desc;
    if (desc->name) queue->desc.name = memcpy(queue->name, desc->name, name_bytes);
    if (desc->device) {
        desc->device->lpVtbl->AddRef(desc->device);
        queue->uploader = uploader_acquire(desc->device);
    }
    HRESULT result = native_create(queue);
    if (FAILED(result))
        unmake(queue);
    else
        *out = queue;
    return result;
}

HRESULT queue_create(const storage_queue_desc *desc, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    if (!desc || desc->source_type > SOURCE_MEMORY) return E_INVALIDARG;
    if (!is_mine(iid)) return E_NOINTERFACE;
    // A bad pointer faults here, before anything is held.
    size_t name_bytes = desc->name ? strlen(desc->name) + 1 : 0;
    HRESULT result = engine_acquire();
    if (FAILED(result)) return result;
    struct queue *queue;
    result = make(desc, name_bytes, &queue);
    if (FAILED(result)) {
        engine_release();
        return result;
    }
    *out = &queue->base;
    return S_OK;
}
