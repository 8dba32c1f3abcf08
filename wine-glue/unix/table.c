// table.c: the Unix half: every call of unixlib.h, carried out by the engine.
//
// Owns nothing: what a call makes, its caller gives back by another call. It translates fields and adds no
// rule of its own. Runs on Windows threads, whose faults Wine answers with c0000005; the engine's own
// threads never come here.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "../unixlib.h"

#include <ds_runtime.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POINTER(type, number) ((type *)(uintptr_t)(number))
#define NUMBER(pointer) ((uint64_t)(uintptr_t)(pointer))

_Static_assert(sizeof(struct unix_notification) == sizeof(ds_notification), "notification");
_Static_assert(offsetof(struct unix_notification, value) == offsetof(ds_notification, value), "value");
_Static_assert(UNIX_NOTIFICATIONS_MAX == DS_NOTIFICATIONS_MAX, "notifications");
_Static_assert(sizeof(struct unix_task) == sizeof(ds_foreign_task), "task");
_Static_assert(offsetof(struct unix_task, destination) == offsetof(ds_foreign_task, destination), "task");
_Static_assert(offsetof(struct unix_task, block) == offsetof(ds_foreign_task, block), "task");
_Static_assert(TASK_COPY_TO_MEMORY == DS_FOREIGN_COPY_TO_MEMORY, "kind");
_Static_assert(TASK_COPY_TO_PLACE == DS_FOREIGN_COPY_TO_COOKIE, "kind");
_Static_assert(TASK_SIGNAL == DS_FOREIGN_SIGNAL && TASK_BLOCK == DS_FOREIGN_BLOCK, "kind");
_Static_assert(UNIX_DESTINATION_FOREIGN == DS_DESTINATION_FOREIGN, "foreign");
_Static_assert(sizeof(struct unix_foreign) == sizeof(ds_destination_foreign), "foreign");
_Static_assert(offsetof(struct unix_foreign, shown) == offsetof(ds_destination_foreign, shown), "foreign");
_Static_assert(offsetof(struct unix_foreign, shown_format) == offsetof(ds_destination_foreign, shown_format),
               "foreign");
_Static_assert(UNIX_FILENAME_BYTES == DS_ERROR_FILENAME_BYTES, "filename");
_Static_assert(UNIX_NAME_BYTES == DS_REQUEST_MAX_NAME, "name");
_Static_assert(UNIX_REQUEST_BYTES == sizeof(ds_request), "request");

static int32_t attach(void *args) {
    const struct unix_attach *call = args;
    int same = call->version == UNIXLIB_VERSION && call->code_count == UNIX_CODE_COUNT;
    return same ? DS_OK : DS_E_NOTIMPL;
}

static int32_t runtime_create(void *args) {
    struct unix_runtime_create *call = args;
    ds_runtime_options options = {.struct_size = sizeof options,
                                  .config = POINTER(const char, call->config),
                                  .overrides = POINTER(const char, call->overrides)};
    ds_runtime *runtime = NULL;
    ds_result result = ds_runtime_create(&options, &runtime);
    call->runtime = NUMBER(runtime);
    return result;
}

static int32_t runtime_destroy(void *args) {
    const struct unix_object *call = args;
    ds_runtime_destroy(POINTER(ds_runtime, call->object));
    return DS_OK;
}

static void copy(char *to, size_t bytes, const char *text) { snprintf(to, bytes, "%s", text ? text : ""); }

// Whether an option has that value.
static int option_is(const ds_runtime *runtime, const char *key, const char *wanted) {
    char value[8] = "";
    ds_option option;
    for (uint32_t i = 0; ds_option_describe(i, &option) == DS_OK; i++)
        if (!strcmp(option.key, key)) ds_runtime_option_value(runtime, i, value, sizeof value);
    return !strcmp(value, wanted);
}

// The one way to a device's decoder is the metacommand.
static int wants_gpu_decode(const ds_runtime *runtime) {
    return option_is(runtime, "gpu_decode", "gpu") && !option_is(runtime, "disable_gpu_metacommand", "1") &&
           !option_is(runtime, "disable_gpu_decompression", "1");
}

static int32_t runtime_describe(void *args) {
    struct unix_runtime_describe *call = args;
    const ds_runtime *runtime = POINTER(ds_runtime, call->runtime);
    copy(call->version, sizeof call->version, ds_version());
    copy(call->backend, sizeof call->backend, ds_runtime_backend(runtime));
    copy(call->reason, sizeof call->reason, ds_runtime_backend_reason(runtime));
    call->exact = (uint32_t)option_is(runtime, "exact", "1");
    call->gpu_decode = (uint32_t)wants_gpu_decode(runtime);
    return DS_OK;
}

static int32_t runtime_set_staging(void *args) {
    const struct unix_runtime_set_staging *call = args;
    return ds_runtime_set_staging_bytes(POINTER(ds_runtime, call->runtime), call->bytes);
}

static int32_t notifications_wait(void *args) {
    struct unix_notifications_wait *call = args;
    ds_notification found[DS_NOTIFICATIONS_MAX];
    ds_result result = ds_runtime_wait_notifications(POINTER(ds_runtime, call->runtime),
                                                     DS_NOTIFICATIONS_MAX, found, &call->count,
                                                     call->timeout_ns);
    if (result == DS_OK) memcpy(call->found, found, call->count * sizeof *found);
    return result;
}

static int32_t notifications_interrupt(void *args) {
    const struct unix_object *call = args;
    return ds_runtime_interrupt_notifications(POINTER(ds_runtime, call->object));
}

static int32_t copies_begin(void *args) {
    const struct unix_copies_begin *call = args;
    ds_runtime *runtime = POINTER(ds_runtime, call->runtime);
    ds_event *event = NULL;
    ds_result result = ds_event_create_foreign(runtime, call->cookie, &event);
    if (result != DS_OK) return result;
    result = ds_foreign_copies_begin(runtime, event);
    ds_event_release(event);
    return result;
}

static int32_t tasks_get(void *args) {
    struct unix_tasks_get *call = args;
    ds_foreign_task found[UNIX_TASKS_MAX];
    ds_result result = ds_foreign_tasks_get(POINTER(ds_runtime, call->runtime), UNIX_TASKS_MAX, found,
                                            &call->count);
    if (result == DS_OK) memcpy(call->found, found, call->count * sizeof *found);
    return result;
}

// No lock is held here: a fault ends this call and nothing else.
static int32_t copies_run(void *args) {
    const struct unix_copies_run *call = args;
    memmove(POINTER(void, call->destination), POINTER(void, call->source), call->size);
    return DS_OK;
}

static int32_t copies_finish(void *args) {
    const struct unix_copies_finish *call = args;
    return ds_foreign_copies_finish(POINTER(ds_runtime, call->runtime), call->id, call->result);
}

static int32_t copies_returned(void *args) {
    struct unix_copies_returned *call = args;
    uint64_t found[UNIX_RETURNED_MAX];
    ds_result result = ds_foreign_copies_returned(POINTER(ds_runtime, call->runtime), UNIX_RETURNED_MAX,
                                                  found, &call->count);
    if (result == DS_OK) memcpy(call->found, found, call->count * sizeof *found);
    return result;
}

static int32_t pool_create(void *args) {
    struct unix_pool_create *call = args;
    ds_foreign_pool *pool = NULL;
    ds_result result = ds_foreign_pool_create(POINTER(ds_runtime, call->runtime), call->cookie, &pool);
    call->pool = NUMBER(pool);
    return result;
}

static int32_t pool_destroy(void *args) {
    const struct unix_object *call = args;
    ds_foreign_pool_destroy(POINTER(ds_foreign_pool, call->object));
    return DS_OK;
}

static int32_t pool_add(void *args) {
    const struct unix_pool_add *call = args;
    return ds_foreign_pool_add_block(POINTER(ds_foreign_pool, call->pool), POINTER(void, call->memory),
                                     call->size, call->cookie);
}

static int32_t pool_refuse(void *args) {
    const struct unix_object *call = args;
    return ds_foreign_pool_refuse_block(POINTER(ds_foreign_pool, call->object));
}

static int32_t file_create(void *args) {
    struct unix_file_create *call = args;
    ds_file *file = NULL;
    ds_result result = ds_file_from_fd(call->fd, POINTER(const char, call->path), false, &file);
    // The engine has a descriptor of its own.
    close(call->fd);
    call->file = NUMBER(file);
    return result;
}

static int32_t file_close(void *args) {
    const struct unix_object *call = args;
    ds_file_close(POINTER(ds_file, call->object));
    return DS_OK;
}

static int32_t file_release(void *args) {
    const struct unix_object *call = args;
    ds_file_release(POINTER(ds_file, call->object));
    return DS_OK;
}

static int32_t status_array_create(void *args) {
    struct unix_status_array_create *call = args;
    ds_status_array *array = NULL;
    ds_result result = ds_status_array_create(call->capacity, POINTER(const char, call->name), &array);
    call->array = NUMBER(array);
    return result;
}

static int32_t status_array_release(void *args) {
    const struct unix_object *call = args;
    ds_status_array_release(POINTER(ds_status_array, call->object));
    return DS_OK;
}

static int32_t status_is_complete(void *args) {
    const struct unix_status *call = args;
    return ds_status_array_is_complete(POINTER(ds_status_array, call->array), call->index);
}

static int32_t status_result(void *args) {
    const struct unix_status *call = args;
    return ds_status_array_get_result(POINTER(ds_status_array, call->array), call->index);
}

static int32_t queue_create(void *args) {
    struct unix_queue_create *call = args;
    ds_runtime *runtime = POINTER(ds_runtime, call->runtime);
    ds_event *event = NULL;
    call->queue = 0;
    ds_result result = ds_event_create_foreign(runtime, call->error_cookie, &event);
    if (result != DS_OK) return result;
    ds_queue_desc desc = {.struct_size = sizeof desc,
                          .capacity = call->capacity,
                          .source_type = call->source_type,
                          .priority = call->priority,
                          .name = POINTER(const char, call->name),
                          .error_event = event,
                          .foreign_pool = POINTER(ds_foreign_pool, call->pool)};
    ds_queue *queue = NULL;
    result = ds_queue_create(runtime, &desc, &queue);
    ds_event_release(event);
    call->queue = NUMBER(queue);
    return result;
}

static int32_t queue_destroy(void *args) {
    const struct unix_object *call = args;
    ds_queue_destroy(POINTER(ds_queue, call->object));
    return DS_OK;
}

static int32_t queue_close(void *args) {
    const struct unix_object *call = args;
    ds_queue_close(POINTER(ds_queue, call->object));
    return DS_OK;
}

static int32_t queue_submit(void *args) {
    const struct unix_object *call = args;
    return ds_queue_submit(POINTER(ds_queue, call->object));
}

static int32_t queue_requests(void *args) {
    const struct unix_queue_requests *call = args;
    return ds_queue_enqueue_requests(POINTER(ds_queue, call->queue), POINTER(ds_request, call->requests),
                                     call->count, POINTER(ds_fence, call->fence), call->value,
                                     call->flags);
}

static int32_t queue_status(void *args) {
    const struct unix_queue_status *call = args;
    return ds_queue_enqueue_status(POINTER(ds_queue, call->queue), POINTER(ds_status_array, call->array),
                                   call->index);
}

static int32_t queue_signal(void *args) {
    const struct unix_queue_signal *call = args;
    return ds_queue_enqueue_signal(POINTER(ds_queue, call->queue), POINTER(ds_fence, call->fence),
                                   call->value);
}

static int32_t queue_signal_behind(void *args) {
    const struct unix_queue_signal_behind *call = args;
    return ds_queue_enqueue_foreign_signal(POINTER(ds_queue, call->queue), call->cookie, call->value,
                                           call->result);
}

static int32_t queue_event(void *args) {
    const struct unix_queue_event *call = args;
    ds_event *event = NULL;
    if (call->cookie) {
        ds_result result = ds_event_create_foreign(POINTER(ds_runtime, call->runtime), call->cookie, &event);
        if (result != DS_OK) return result;
    }
    ds_result result = ds_queue_enqueue_set_event(POINTER(ds_queue, call->queue), event);
    // The queue has a reference of its own.
    ds_event_release(event);
    return result;
}

static int32_t queue_cancel(void *args) {
    const struct unix_queue_cancel *call = args;
    return ds_queue_cancel_requests_with_tag(POINTER(ds_queue, call->queue), call->mask, call->value);
}

static int32_t queue_query(void *args) {
    struct unix_queue_query *call = args;
    ds_queue_info info = {.struct_size = sizeof info};
    ds_result result = ds_queue_query(POINTER(ds_queue, call->queue), &info);
    call->empty_slots = info.empty_slots;
    call->until_auto_submit = info.requests_until_auto_submit;
    return result;
}

static int32_t queue_errors(void *args) {
    struct unix_queue_errors *call = args;
    ds_error_record record;
    ds_queue *queue = POINTER(ds_queue, call->queue);
    ds_result result = call->peek ? ds_queue_peek_error_record(queue, &record)
                                  : ds_queue_retrieve_error_record(queue, &record);
    call->failure_count = record.failure_count;
    call->result = record.result;
    call->command_type = record.command_type;
    if (record.command_type == DS_COMMAND_REQUEST) {
        memcpy(call->filename, record.parameters.request.filename, sizeof call->filename);
        memcpy(call->name, record.parameters.request.name, sizeof call->name);
        memcpy(call->request, &record.parameters.request.request, sizeof call->request);
    } else if (record.command_type == DS_COMMAND_STATUS) {
        call->object = NUMBER(record.parameters.status.status_array);
        call->index = record.parameters.status.index;
    } else if (record.command_type == DS_COMMAND_SIGNAL) {
        call->object = NUMBER(record.parameters.signal.fence);
        call->value = record.parameters.signal.value;
    }
    return result;
}

static int32_t notify(void *args) {
    const struct unix_notify *call = args;
    ds_event *event = NULL;
    ds_result result = ds_event_create_foreign(POINTER(ds_runtime, call->runtime), call->cookie, &event);
    if (result != DS_OK) return result;
    ds_event_set(event);
    ds_event_release(event);
    return DS_OK;
}

static int32_t queue_support(void *args) {
    struct unix_queue_support *call = args;
    ds_compression_format format = (ds_compression_format)call->format;
    call->support = ds_queue_get_compression_support(POINTER(ds_queue, call->queue), format);
    return DS_OK;
}

static int32_t fence_create(void *args) {
    struct unix_fence_create *call = args;
    ds_fence *fence = NULL;
    ds_runtime *runtime = POINTER(ds_runtime, call->runtime);
    ds_result result = runtime ? ds_fence_create_foreign(runtime, call->cookie, call->initial, &fence)
                               : ds_fence_create(call->initial, &fence);
    call->fence = NUMBER(fence);
    return result;
}

static int32_t fence_signal(void *args) {
    const struct unix_fence_signal *call = args;
    return ds_fence_signal(POINTER(ds_fence, call->fence), call->value);
}

static int32_t fence_release(void *args) {
    const struct unix_object *call = args;
    ds_fence_release(POINTER(ds_fence, call->object));
    return DS_OK;
}

static int32_t custom_event(void *args) {
    const struct unix_custom_event *call = args;
    ds_runtime *runtime = POINTER(ds_runtime, call->runtime);
    ds_event *event = NULL;
    ds_result result = ds_event_create_foreign(runtime, call->cookie, &event);
    if (result != DS_OK) return result;
    result = ds_custom_use_event(runtime, event);
    ds_event_release(event);
    return result;
}

static int32_t custom_requests(void *args) {
    struct unix_custom_requests *call = args;
    return ds_custom_get_requests(POINTER(ds_runtime, call->runtime), call->select, call->max,
                                  POINTER(ds_custom_request, call->requests), &call->count);
}

static int32_t custom_results(void *args) {
    const struct unix_custom_results *call = args;
    return ds_custom_set_results(POINTER(ds_runtime, call->runtime), call->count,
                                 POINTER(ds_custom_result, call->results));
}

static int32_t codec_create(void *args) {
    struct unix_codec_create *call = args;
    ds_codec *codec = NULL;
    ds_result result = ds_codec_create((ds_compression_format)call->format, call->threads, &codec);
    call->codec = NUMBER(codec);
    return result;
}

static int32_t codec_destroy(void *args) {
    const struct unix_object *call = args;
    ds_codec_destroy(POINTER(ds_codec, call->object));
    return DS_OK;
}

static int32_t codec_bound(void *args) {
    struct unix_codec_bound *call = args;
    call->bound = ds_codec_bound(POINTER(ds_codec, call->codec), call->source_bytes);
    return DS_OK;
}

static int32_t codec_compress(void *args) {
    struct unix_codec_run *call = args;
    size_t written = 0;
    ds_result result = ds_codec_compress(POINTER(ds_codec, call->codec), POINTER(void, call->source),
                                         call->source_bytes, call->level,
                                         POINTER(void, call->destination), call->destination_bytes,
                                         &written);
    call->written = written;
    return result;
}

static int32_t codec_decompress(void *args) {
    struct unix_codec_run *call = args;
    size_t written = 0;
    ds_result result = ds_codec_decompress(POINTER(ds_codec, call->codec), POINTER(void, call->source),
                                           call->source_bytes, POINTER(void, call->destination),
                                           call->destination_bytes, &written);
    call->written = written;
    return result;
}

typedef int32_t (*unix_function)(void *args);

// The name and the form are Wine's: it looks the table up when the Windows half asks for it.
__attribute__((visibility("default"))) extern const unix_function __wine_unix_call_funcs[UNIX_CODE_COUNT];

const unix_function __wine_unix_call_funcs[UNIX_CODE_COUNT] = {
    [UNIX_ATTACH] = attach,
    [UNIX_RUNTIME_CREATE] = runtime_create,
    [UNIX_RUNTIME_DESTROY] = runtime_destroy,
    [UNIX_RUNTIME_DESCRIBE] = runtime_describe,
    [UNIX_RUNTIME_SET_STAGING] = runtime_set_staging,
    [UNIX_NOTIFICATIONS_WAIT] = notifications_wait,
    [UNIX_NOTIFICATIONS_INTERRUPT] = notifications_interrupt,
    [UNIX_COPIES_BEGIN] = copies_begin,
    [UNIX_TASKS_GET] = tasks_get,
    [UNIX_COPIES_RUN] = copies_run,
    [UNIX_COPIES_FINISH] = copies_finish,
    [UNIX_COPIES_RETURNED] = copies_returned,
    [UNIX_POOL_CREATE] = pool_create,
    [UNIX_POOL_DESTROY] = pool_destroy,
    [UNIX_POOL_ADD] = pool_add,
    [UNIX_POOL_REFUSE] = pool_refuse,
    [UNIX_FILE_CREATE] = file_create,
    [UNIX_FILE_CLOSE] = file_close,
    [UNIX_FILE_RELEASE] = file_release,
    [UNIX_STATUS_ARRAY_CREATE] = status_array_create,
    [UNIX_STATUS_ARRAY_RELEASE] = status_array_release,
    [UNIX_STATUS_IS_COMPLETE] = status_is_complete,
    [UNIX_STATUS_RESULT] = status_result,
    [UNIX_QUEUE_CREATE] = queue_create,
    [UNIX_QUEUE_DESTROY] = queue_destroy,
    [UNIX_QUEUE_CLOSE] = queue_close,
    [UNIX_QUEUE_SUBMIT] = queue_submit,
    [UNIX_QUEUE_REQUESTS] = queue_requests,
    [UNIX_QUEUE_STATUS] = queue_status,
    [UNIX_QUEUE_SIGNAL] = queue_signal,
    [UNIX_QUEUE_SIGNAL_BEHIND] = queue_signal_behind,
    [UNIX_QUEUE_EVENT] = queue_event,
    [UNIX_QUEUE_CANCEL] = queue_cancel,
    [UNIX_QUEUE_QUERY] = queue_query,
    [UNIX_QUEUE_ERRORS] = queue_errors,
    [UNIX_NOTIFY] = notify,
    [UNIX_QUEUE_SUPPORT] = queue_support,
    [UNIX_FENCE_CREATE] = fence_create,
    [UNIX_FENCE_SIGNAL] = fence_signal,
    [UNIX_FENCE_RELEASE] = fence_release,
    [UNIX_CUSTOM_EVENT] = custom_event,
    [UNIX_CUSTOM_REQUESTS] = custom_requests,
    [UNIX_CUSTOM_RESULTS] = custom_results,
    [UNIX_CODEC_CREATE] = codec_create,
    [UNIX_CODEC_DESTROY] = codec_destroy,
    [UNIX_CODEC_BOUND] = codec_bound,
    [UNIX_CODEC_COMPRESS] = codec_compress,
    [UNIX_CODEC_DECOMPRESS] = codec_decompress,
};
