// NULL where there should be something is an answer, never a crash.

#include "test.h"

#include <unistd.h>

#define INVALID(call) CHECK_RESULT(call, DS_E_INVALIDARG)

static void to_give_back_null_does_nothing(void) {
    ds_runtime_destroy(NULL);
    ds_queue_destroy(NULL);
    ds_codec_destroy(NULL);
    ds_file_release(NULL);
    ds_status_array_release(NULL);
    ds_fence_release(NULL);
    ds_event_release(NULL);
    ds_file_close(NULL);
    ds_queue_close(NULL);
    ds_event_set(NULL);
    ds_set_error_callback(NULL, NULL);
}

static void null_handles(void) {
    uint64_t size = 7;
    uint32_t count = 7;
    ds_file_info info = {.struct_size = sizeof info};
    ds_queue_info queue_info = {.struct_size = sizeof queue_info};
    ds_queue_stats stats = {.struct_size = sizeof stats};
    ds_staging_stats staging = {.struct_size = sizeof staging};
    ds_error_record record;
    ds_request request = ds_request_read(NULL, 0, NULL, 0);
    ds_notification notification;
    ds_custom_request custom;
    ds_custom_result answer = DS_ZERO;
    ds_event *event = (ds_event *)&event;
    ds_fence *fence = (ds_fence *)&fence;
    ds_queue *queue = (ds_queue *)&queue;
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 128};
    char text[8] = "x";
    int fd = 7;

    INVALID(ds_file_size(NULL, &size));
    CHECK(size == 0);
    INVALID(ds_file_get_info(NULL, &info));
    INVALID(ds_file_path(NULL, text, sizeof text));
    CHECK(text[0] == 0);
    text[0] = 'x';
    INVALID(ds_queue_name(NULL, text, sizeof text));
    CHECK(text[0] == 0);
    text[0] = 'x';
    INVALID(ds_queue_create(NULL, &desc, &queue));
    CHECK(queue == NULL);
    INVALID(ds_queue_enqueue_request(NULL, &request));
    INVALID(ds_queue_enqueue_requests(NULL, &request, 1, NULL, 0, 0));
    INVALID(ds_queue_enqueue_status(NULL, NULL, 0));
    INVALID(ds_queue_enqueue_signal(NULL, NULL, 0));
    INVALID(ds_queue_enqueue_set_event(NULL, NULL));
    INVALID(ds_queue_submit(NULL));
    INVALID(ds_queue_cancel_requests_with_tag(NULL, 0, 0));
    INVALID(ds_queue_query(NULL, &queue_info));
    INVALID(ds_queue_get_stats(NULL, &stats));
    INVALID(ds_queue_error_event(NULL, &event));
    CHECK(event == NULL);
    memset(&record, 0xFF, sizeof record);
    INVALID(ds_queue_retrieve_error_record(NULL, &record));
    CHECK(record.failure_count == 0 && record.result == DS_OK && record.command_type == DS_COMMAND_NONE);
    CHECK(ds_queue_get_compression_support(NULL, DS_COMPRESSION_GDEFLATE) == DS_COMPRESSION_SUPPORT_NONE);
    CHECK(ds_queue_stats_latency_ns(NULL, 0.5) == 0);

    CHECK(!ds_status_array_is_complete(NULL, 0));
    INVALID(ds_status_array_get_result(NULL, 0));
    INVALID(ds_status_array_wait(NULL, 0, DS_WAIT_FOREVER));
    INVALID(ds_status_array_capacity(NULL, &count));
    INVALID(ds_fence_signal(NULL, 1));
    CHECK(ds_fence_value(NULL) == 0);
    INVALID(ds_fence_wait(NULL, 1, DS_WAIT_FOREVER));
    INVALID(ds_fence_set_event_at(NULL, 1, NULL));
    INVALID(ds_fence_eventfd(NULL, 1, &fd));
    CHECK(fd == -1);
    CHECK(!ds_event_take(NULL));
    INVALID(ds_event_wait(NULL, DS_WAIT_FOREVER));
    CHECK(ds_event_fd(NULL) == -1);

    CHECK(ds_runtime_backend(NULL) == NULL && ds_runtime_backend_reason(NULL) == NULL);
    CHECK(!ds_runtime_turn(NULL));
    INVALID(ds_runtime_set_staging_bytes(NULL, 0));
    INVALID(ds_runtime_get_staging_stats(NULL, &staging));
    INVALID(ds_runtime_option_value(NULL, 0, text, sizeof text));
    CHECK(text[0] == 0);
    INVALID(ds_runtime_wait_notifications(NULL, 1, &notification, &count, 0));
    INVALID(ds_runtime_interrupt_notifications(NULL));
    INVALID(ds_event_create_foreign(NULL, 1, &event));
    INVALID(ds_fence_create_foreign(NULL, 1, 0, &fence));
    CHECK(fence == NULL);
    INVALID(ds_custom_event(NULL, &event));
    INVALID(ds_custom_use_event(NULL, NULL));
    INVALID(ds_custom_get_requests(NULL, DS_SELECT_ALL, 1, &custom, &count));
    CHECK(count == 0);
    INVALID(ds_custom_set_results(NULL, 1, &answer));
}

static void null_out_pointers(ds_runtime *runtime, ds_queue *queue) {
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 128};
    uint32_t count;
    INVALID(ds_runtime_create(NULL, NULL));
    INVALID(ds_option_describe(0, NULL));
    INVALID(ds_runtime_option_value(runtime, 0, NULL, 8));
    INVALID(ds_runtime_get_staging_stats(runtime, NULL));
    INVALID(ds_runtime_wait_notifications(runtime, 1, NULL, &count, 0));
    INVALID(ds_runtime_wait_notifications(runtime, 1, (ds_notification[1]){0}, NULL, 0));
    INVALID(ds_runtime_wait_notifications(runtime, 0, (ds_notification[1]){0}, &count, 0));
    INVALID(ds_queue_create(runtime, &desc, NULL));
    INVALID(ds_queue_create(runtime, NULL, &queue)); // O-27
    CHECK(queue == NULL);
    INVALID(ds_file_open("data", NULL));
    INVALID(ds_file_create("data", NULL));
    INVALID(ds_file_from_fd(0, NULL, false, NULL));
    INVALID(ds_status_array_create(1, NULL, NULL));
    INVALID(ds_fence_create(0, NULL));
    INVALID(ds_fence_create_foreign(runtime, 1, 0, NULL));
    INVALID(ds_event_create(NULL));
    INVALID(ds_event_create_foreign(runtime, 1, NULL));
    INVALID(ds_custom_event(runtime, NULL));
    INVALID(ds_custom_get_requests(runtime, DS_SELECT_ALL, 0, NULL, NULL));
    INVALID(ds_custom_get_requests(runtime, DS_SELECT_ALL, 1, NULL, &count));
    INVALID(ds_codec_create(DS_COMPRESSION_GDEFLATE, 1, NULL));
}

static void null_arguments(ds_runtime *runtime, ds_queue *queue) {
    ds_file *file = (ds_file *)&file;
    ds_file_info *no_info = NULL;
    ds_fence *fence;
    INVALID(ds_file_open(NULL, &file));
    CHECK(file == NULL);
    INVALID(ds_file_create(NULL, &file));
    CHECK_RESULT(ds_file_from_fd(-1, NULL, false, &file), DS_E_HANDLE);
    INVALID(ds_queue_enqueue_request(queue, NULL));
    INVALID(ds_queue_enqueue_requests(queue, NULL, 1, NULL, 0, 0));
    CHECK_OK(ds_queue_enqueue_requests(queue, NULL, 0, NULL, 0, 0));
    INVALID(ds_queue_query(queue, NULL));
    INVALID(ds_queue_get_stats(queue, NULL));
    INVALID(ds_queue_error_event(queue, NULL));
    INVALID(ds_queue_retrieve_error_record(queue, NULL));
    INVALID(ds_queue_peek_error_record(queue, NULL));
    ds_error_record record = {.failure_count = 7};
    INVALID(ds_queue_peek_error_record(NULL, &record));
    CHECK(record.failure_count == 0 && record.command_type == DS_COMMAND_NONE);
    INVALID(ds_custom_use_event(runtime, NULL));
    INVALID(ds_custom_set_results(runtime, 1, NULL));
    CHECK_OK(ds_custom_set_results(runtime, 0, NULL));
    CHECK_OK(ds_fence_create(0, &fence));
    INVALID(ds_fence_set_event_at(fence, 1, NULL));
    INVALID(ds_fence_eventfd(fence, 1, NULL));
    ds_fence_release(fence);
    file = open_file("data");
    INVALID(ds_file_size(file, NULL));
    INVALID(ds_file_path(file, NULL, 8));
    INVALID(ds_queue_name(queue, NULL, 8));
    INVALID(ds_file_get_info(file, no_info));
    ds_file_release(file);
}

static void null_in_a_codec(void) {
    ds_codec *codec;
    uint8_t bytes[16] = {0};
    size_t written = 7;
    CHECK_OK(ds_codec_create(DS_COMPRESSION_GDEFLATE, 1, &codec));
    CHECK(ds_codec_bound(NULL, 1) == 0);
    INVALID(ds_codec_compress(NULL, bytes, 8, 0, bytes + 8, 8, &written));
    CHECK(written == 0);
    INVALID(ds_codec_compress(codec, NULL, 8, 0, bytes + 8, 8, &written));
    INVALID(ds_codec_compress(codec, bytes, 8, 0, NULL, 8, &written));
    INVALID(ds_codec_compress(codec, bytes, 8, 0, bytes + 8, 8, NULL));
    INVALID(ds_codec_compress_level(NULL, bytes, 8, 1, bytes + 8, 8, NULL, NULL, &written));
    INVALID(ds_codec_compress_level(codec, NULL, 8, 1, bytes + 8, 8, NULL, NULL, &written));
    INVALID(ds_codec_compress_level(codec, bytes, 8, 1, NULL, 8, NULL, NULL, &written));
    INVALID(ds_codec_compress_level(codec, bytes, 8, 1, bytes + 8, 8, NULL, NULL, NULL));
    INVALID(ds_codec_decompress(NULL, bytes, 8, bytes + 8, 8, &written));
    INVALID(ds_codec_decompress(codec, NULL, 8, bytes + 8, 8, &written));
    INVALID(ds_codec_decompress(codec, bytes, 8, NULL, 8, &written));
    INVALID(ds_codec_decompress(codec, bytes, 8, bytes + 8, 8, NULL));
    ds_codec_destroy(codec);
}

int main(void) {
    make_file("data", 100);
    to_give_back_null_does_nothing();
    null_handles();
    ds_runtime *runtime = make_runtime();
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    null_out_pointers(runtime, queue);
    null_arguments(runtime, queue);
    null_in_a_codec();
    ds_queue_destroy(queue);
    ds_runtime_destroy(runtime);
    // Defaults are an answer to no options.
    CHECK_OK(ds_runtime_create(NULL, &runtime));
    ds_runtime_destroy(runtime);
    return 0;
}
