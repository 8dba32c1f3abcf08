// An enqueue blocks while the queue is full, and goes on when a slot is free; nothing is lost on the way.

#include "test.h"

#define COUNT 1000u
#define SIZE 512u

static ds_queue *queue;
static ds_file *file;
static uint8_t *bytes;
static ds_fence *gate;

static void *enqueue_many(void *unused) {
    (void)unused;
    for (uint32_t i = 0; i < COUNT; i++) {
        ds_request request = ds_request_read(file, (uint64_t)i * SIZE, bytes + (size_t)i * SIZE, SIZE);
        CHECK_OK(ds_queue_enqueue_requests(queue, &request, 1, gate, 1, DS_ENQUEUE_NONE));
    }
    return NULL;
}

int main(void) {
    make_file("data", COUNT * SIZE);
    bytes = calloc(COUNT, SIZE);
    CHECK(bytes);
    ds_runtime *runtime = make_runtime();
    queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    file = open_file("data");
    CHECK_OK(ds_fence_create(0, &gate));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, enqueue_many, NULL) == 0);
    // The fence holds everything back, so that the other thread must run into the end of the queue.
    while (stats_of(queue).enqueue_waits == 0) sleep_ns(SHORT_NS / 10);
    CHECK(query(queue).empty_slots == 0);
    ds_queue_stats stats = stats_of(queue);
    CHECK(stats.requests_enqueued == 127 && stats.depth == 127 && stats.requests_completed == 0);
    CHECK_OK(ds_fence_signal(gate, 1));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(finish(queue));
    CHECK(has_pattern(bytes, 0, COUNT * SIZE));
    stats = stats_of(queue);
    CHECK(stats.requests_completed == COUNT && stats.depth == 0 && stats.depth_max == 127);
    ds_queue_destroy(queue);
    ds_file_release(file);
    ds_fence_release(gate);
    ds_runtime_destroy(runtime);
    free(bytes);
    return 0;
}
