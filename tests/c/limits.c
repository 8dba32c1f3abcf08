// A process without file descriptors gets answers, and goes on when it has some again.

#include "test.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static void everything_says_so(ds_runtime *runtime, ds_fence *fence) {
    ds_event *event = (ds_event *)&event;
    ds_file *file = (ds_file *)&file;
    ds_queue *queue = (ds_queue *)&queue;
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 128};
    int fd = 77;
    CHECK_RESULT(ds_event_create(&event), DS_E_TOO_MANY_OPEN_FILES);
    CHECK_RESULT(ds_custom_event(runtime, &event), DS_E_TOO_MANY_OPEN_FILES);
    CHECK_RESULT(ds_fence_eventfd(fence, 1, &fd), DS_E_TOO_MANY_OPEN_FILES);
    CHECK_RESULT(ds_file_open("data", &file), DS_E_TOO_MANY_OPEN_FILES);
    CHECK_RESULT(ds_file_from_fd(0, NULL, false, &file), DS_E_TOO_MANY_OPEN_FILES);
    CHECK_RESULT(ds_queue_create(runtime, &desc, &queue), DS_E_TOO_MANY_OPEN_FILES);
    CHECK(!event && !file && !queue && fd == -1);
}

// What has its descriptors already works.
static void work_goes_on(ds_queue *queue, ds_file *file) {
    uint8_t bytes[100] = {0};
    CHECK_OK(run(queue, ds_request_read(file, 0, bytes, sizeof bytes)));
    CHECK(has_pattern(bytes, 0, sizeof bytes));
}

int main(void) {
    make_file("data", 100);
    ds_runtime *runtime = make_runtime();
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *file = open_file("data");
    ds_fence *fence;
    CHECK_OK(ds_fence_create(0, &fence));

    struct rlimit before, now;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    int next = dup(0); // the lowest number that is free
    CHECK(next >= 0 && close(next) == 0);
    now = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &now) == 0);
    everything_says_so(runtime, fence);
    work_goes_on(queue, file);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);

    ds_event *event;
    CHECK_OK(ds_event_create(&event));
    ds_event_release(event);
    ds_fence_release(fence);
    ds_file_release(file);
    ds_queue_destroy(queue);
    ds_runtime_destroy(runtime);
    return 0;
}
