// O-61: cancelling by tag, before and after the submit; memory may be freed right after the call.

#include "test.h"

#define COUNT 20u
#define SIZE 4096u

typedef struct {
    ds_queue *queue;
    ds_file *file;
    ds_status_array *done;
    uint8_t *destinations[COUNT];
} batch;

// 20 requests behind a fence, every other one tagged 0xA1, the others 0xB1.
static batch enqueue(ds_runtime *runtime, ds_fence *fence) {
    batch b;
    b.queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    b.file = open_file("data");
    CHECK_OK(ds_status_array_create(1, NULL, &b.done));
    for (uint32_t i = 0; i < COUNT; i++) {
        b.destinations[i] = calloc(1, SIZE);
        CHECK(b.destinations[i]);
        ds_request request = ds_request_read(b.file, (uint64_t)i * SIZE, b.destinations[i], SIZE);
        request.cancellation_tag = i % 2 ? 0xA1 : 0xB1;
        CHECK_OK(ds_queue_enqueue_requests(b.queue, &request, 1, fence, 1, DS_ENQUEUE_NONE));
    }
    CHECK_OK(ds_queue_enqueue_status(b.queue, b.done, 0));
    return b;
}

static void cancel_and_check(batch b, ds_fence *fence) {
    CHECK_OK(ds_queue_cancel_requests_with_tag(b.queue, 0xF0, 0xA0));
    for (uint32_t i = 1; i < COUNT; i += 2) {
        free(b.destinations[i]);
        b.destinations[i] = NULL;
    }
    CHECK_OK(ds_queue_submit(b.queue));
    CHECK_RESULT(ds_status_array_get_result(b.done, 0), DS_E_PENDING);
    CHECK_OK(ds_fence_signal(fence, 1));
    CHECK_RESULT(ds_status_array_wait(b.done, 0, LONG_NS), DS_E_CANCELLED);
    for (uint32_t i = 0; i < COUNT; i += 2) {
        CHECK(has_pattern(b.destinations[i], (uint64_t)i * SIZE, SIZE));
        free(b.destinations[i]);
    }
    ds_error_record record = record_of(b.queue);
    CHECK(record.failure_count == COUNT / 2 && record.result == DS_E_CANCELLED);
    CHECK(record.parameters.request.request.cancellation_tag == 0xA1);
    ds_queue_stats stats = stats_of(b.queue);
    CHECK(stats.requests_cancelled == COUNT / 2 && stats.requests_completed == COUNT / 2);
    CHECK(stats.requests_failed == 0);
    ds_status_array_release(b.done);
    ds_file_release(b.file);
    ds_queue_destroy(b.queue);
}

int main(void) {
    make_file("data", COUNT * SIZE);
    ds_runtime *runtime = make_runtime();
    for (int submitted = 0; submitted < 2; submitted++) {
        ds_fence *fence;
        CHECK_OK(ds_fence_create(0, &fence));
        batch b = enqueue(runtime, fence);
        if (submitted) CHECK_OK(ds_queue_submit(b.queue));
        cancel_and_check(b, fence);
        ds_fence_release(fence);
    }
    ds_runtime_destroy(runtime);
    return 0;
}
