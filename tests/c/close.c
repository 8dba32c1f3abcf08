// Closing: unsubmitted work (O-65), work behind a fence, and enqueues that come too late (O-66).

#include "test.h"

static ds_file *file;
static uint8_t bytes[4096];

static void unsubmitted_work_is_cancelled(ds_runtime *runtime) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_status_array *done;
    ds_fence *fence;
    ds_event *event;
    CHECK_OK(ds_status_array_create(1, "done", &done));
    CHECK_OK(ds_fence_create(0, &fence));
    CHECK_OK(ds_event_create(&event));
    ds_request request = ds_request_read(file, 0, bytes, sizeof bytes);
    CHECK_OK(ds_queue_enqueue_request(queue, &request));
    CHECK_OK(ds_queue_enqueue_status(queue, done, 0));
    CHECK_OK(ds_queue_enqueue_signal(queue, fence, 1));
    CHECK_OK(ds_queue_enqueue_set_event(queue, event));
    ds_queue_close(queue);
    ds_queue_close(queue);
    CHECK_RESULT(ds_status_array_get_result(done, 0), DS_E_CANCELLED);
    CHECK(ds_fence_value(fence) == 0 && !ds_event_take(event));
    ds_queue_destroy(queue);
    ds_status_array_release(done);
    ds_fence_release(fence);
    ds_event_release(event);
}

static void what_waits_for_a_fence_is_cancelled(ds_runtime *runtime) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_status_array *done;
    ds_fence *never;
    CHECK_OK(ds_status_array_create(1, NULL, &done));
    CHECK_OK(ds_fence_create(0, &never));
    ds_request request = ds_request_read(file, 0, bytes, sizeof bytes);
    CHECK_OK(ds_queue_enqueue_requests(queue, &request, 1, never, 1, 0));
    CHECK_OK(ds_queue_enqueue_status(queue, done, 0));
    CHECK_OK(ds_queue_submit(queue));
    // To destroy is to close.
    ds_queue_destroy(queue);
    CHECK_RESULT(ds_status_array_get_result(done, 0), DS_E_CANCELLED);
    ds_status_array_release(done);
    ds_fence_release(never);
}

static void enqueues_after_the_close_are_recorded(ds_runtime *runtime) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_status_array *done;
    CHECK_OK(ds_status_array_create(1, NULL, &done));
    ds_queue_close(queue);
    ds_request request = ds_request_read(file, 0, bytes, sizeof bytes);
    CHECK_OK(ds_queue_enqueue_request(queue, &request));
    CHECK_OK(ds_queue_submit(queue));
    ds_error_record record = record_of(queue);
    CHECK(record.failure_count == 1 && record.result == DS_E_QUEUE_CLOSED);
    CHECK(record.command_type == DS_COMMAND_REQUEST);
    CHECK_OK(ds_queue_enqueue_status(queue, done, 0));
    CHECK_RESULT(ds_status_array_get_result(done, 0), DS_E_QUEUE_CLOSED);
    ds_status_array_release(done);
    ds_queue_destroy(queue);
}

// A file may be closed at any time (O-52).
static void files_close_too(ds_runtime *runtime) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *closed = open_file("data");
    ds_request request = ds_request_read(closed, 0, bytes, sizeof bytes);
    CHECK_OK(ds_queue_enqueue_request(queue, &request));
    ds_file_close(closed);
    ds_file_release(closed);
    CHECK_RESULT(finish(queue), DS_E_FILE_NOT_OPEN);
    closed = open_file("data");
    ds_file_close(closed);
    ds_file_close(closed); // O-19
    CHECK_RESULT(run(queue, ds_request_read(closed, 0, bytes, sizeof bytes)), DS_E_FILE_NOT_OPEN);
    ds_file_release(closed);
    ds_queue_destroy(queue);
}

int main(void) {
    make_file("data", sizeof bytes);
    file = open_file("data");
    ds_runtime *runtime = make_runtime();
    unsubmitted_work_is_cancelled(runtime);
    what_waits_for_a_fence_is_cancelled(runtime);
    enqueues_after_the_close_are_recorded(runtime);
    files_close_too(runtime);
    ds_file_release(file);
    ds_runtime_destroy(runtime);
    return 0;
}
