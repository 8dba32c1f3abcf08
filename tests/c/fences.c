// Fences and events: signalled by queues and programs, waited for by threads, poll(2) and other queues.

#include "test.h"

#include <poll.h>
#include <unistd.h>

static ds_runtime *runtime;
static uint8_t bytes[4096];

static int readable(int fd, int timeout_ms) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int count = poll(&wait, 1, timeout_ms);
    CHECK(count >= 0);
    return count == 1 && (wait.revents & POLLIN);
}

static void events_are_set_until_taken(void) {
    ds_event *event;
    CHECK_OK(ds_event_create(&event));
    int fd = ds_event_fd(event);
    CHECK(fd >= 0 && !readable(fd, 0) && !ds_event_take(event));
    CHECK_RESULT(ds_event_wait(event, SHORT_NS), DS_E_PENDING);
    ds_event_set(event);
    ds_event_set(event);
    CHECK_OK(ds_event_wait(event, DS_WAIT_FOREVER));
    CHECK(readable(fd, 0) && ds_event_take(event) && !ds_event_take(event) && !readable(fd, 0));
    ds_event_release(event);
}

static void fences_wait_for_the_value_or_more(void) {
    ds_fence *fence;
    ds_event *soon, *at_once;
    int early, late;
    CHECK_OK(ds_fence_create(5, &fence));
    CHECK_OK(ds_event_create(&soon));
    CHECK_OK(ds_event_create(&at_once));
    CHECK(ds_fence_value(fence) == 5);
    CHECK_OK(ds_fence_wait(fence, 5, 0));
    CHECK_OK(ds_fence_wait(fence, 4, DS_WAIT_FOREVER));
    CHECK_RESULT(ds_fence_wait(fence, 6, SHORT_NS), DS_E_PENDING);
    CHECK_OK(ds_fence_set_event_at(fence, 5, at_once));
    CHECK(ds_event_take(at_once));
    CHECK_OK(ds_fence_set_event_at(fence, 7, soon));
    ds_event_release(soon); // the fence has its own
    CHECK_OK(ds_fence_eventfd(fence, 7, &late));
    CHECK_OK(ds_fence_eventfd(fence, 5, &early));
    CHECK(readable(early, 0) && !readable(late, 0));
    CHECK_OK(ds_fence_signal(fence, 6));
    CHECK(!readable(late, 0));
    CHECK_OK(ds_fence_signal(fence, 8));
    CHECK(readable(late, 0));
    // The descriptors are the caller's, and outlive the fence.
    ds_fence_release(fence);
    CHECK(readable(late, 0));
    CHECK(close(early) == 0 && close(late) == 0);
    ds_event_release(at_once);
}

static void queues_signal_in_order(void) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *file = open_file("data");
    ds_fence *fence;
    ds_event *event;
    int fd;
    CHECK_OK(ds_fence_create(0, &fence));
    CHECK_OK(ds_event_create(&event));
    CHECK_OK(ds_fence_eventfd(fence, 2, &fd));
    ds_request good = ds_request_read(file, 0, bytes, sizeof bytes);
    ds_request bad = ds_request_read(file, 4096, bytes, sizeof bytes);
    CHECK_OK(ds_queue_enqueue_request(queue, &good));
    CHECK_OK(ds_queue_enqueue_signal(queue, fence, 1));
    CHECK_OK(ds_queue_enqueue_request(queue, &bad)); // failed ones let signals through
    CHECK_OK(ds_queue_enqueue_signal(queue, fence, 2));
    CHECK_OK(ds_queue_enqueue_set_event(queue, event)); // O-67
    CHECK(!readable(fd, 20));
    CHECK_OK(ds_queue_submit(queue));
    CHECK(readable(fd, 60000));
    CHECK_OK(ds_fence_wait(fence, 2, LONG_NS));
    CHECK(readable(ds_event_fd(event), 60000) && ds_event_take(event));
    CHECK(has_pattern(bytes, 0, sizeof bytes));
    CHECK(close(fd) == 0);
    ds_queue_destroy(queue);
    ds_file_release(file);
    ds_fence_release(fence);
    ds_event_release(event);
}

// One queue's work waits for another's, and requests that do not wait overtake.
static void requests_wait_for_fences(void) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *file = open_file("data");
    ds_status_array *done;
    ds_fence *fence;
    static uint8_t held[4096];
    memset(bytes, 0, sizeof bytes);
    CHECK_OK(ds_status_array_create(1, NULL, &done));
    CHECK_OK(ds_fence_create(0, &fence));
    for (ds_enqueue_flags flags = 0; flags < 3; flags++) {
        ds_request request = ds_request_read(file, flags, held + flags, 1);
        CHECK_OK(ds_queue_enqueue_requests(queue, &request, 1, fence, 3, flags));
    }
    ds_request any = ds_request_read(file, 0, bytes, sizeof bytes);
    CHECK_RESULT(ds_queue_enqueue_requests(queue, &any, 1, fence, 3, 3), DS_E_INVALIDARG);
    CHECK_OK(ds_queue_enqueue_requests(queue, &any, 1, NULL, 3, 0)); // no fence, no wait
    CHECK_OK(ds_queue_enqueue_status(queue, done, 0));
    CHECK_OK(ds_queue_submit(queue));
    while (stats_of(queue).requests_completed == 0) sleep_ns(SHORT_NS / 10);
    CHECK(has_pattern(bytes, 0, sizeof bytes));
    CHECK_RESULT(ds_status_array_wait(done, 0, SHORT_NS), DS_E_PENDING);
    CHECK(held[0] == 0);
    CHECK_OK(ds_fence_signal(fence, 2));
    CHECK_RESULT(ds_status_array_wait(done, 0, SHORT_NS), DS_E_PENDING);
    CHECK_OK(ds_fence_signal(fence, 3));
    CHECK_OK(ds_status_array_wait(done, 0, LONG_NS));
    CHECK(has_pattern(held, 0, 3));
    ds_queue_destroy(queue);
    ds_file_release(file);
    ds_fence_release(fence);
    ds_status_array_release(done);
}

static void *wait_for_nine(void *fence) {
    CHECK_OK(ds_fence_wait(fence, 9, LONG_NS));
    return NULL;
}

static void threads_wake(void) {
    ds_fence *fence;
    pthread_t threads[3];
    CHECK_OK(ds_fence_create(0, &fence));
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, wait_for_nine, fence) == 0);
    for (uint64_t value = 1; value <= 9; value++) CHECK_OK(ds_fence_signal(fence, value));
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    ds_fence_release(fence);
}

int main(void) {
    make_file("data", sizeof bytes);
    runtime = make_runtime();
    events_are_set_until_taken();
    fences_wait_for_the_value_or_more();
    queues_signal_in_order();
    requests_wait_for_fences();
    threads_wake();
    ds_runtime_destroy(runtime);
    return 0;
}
