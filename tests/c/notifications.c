// A host with fences and events of its own: a thread of the host waits in the library and signals them.

#include "test.h"

#define FENCE UINT64_C(0xF00)
#define EVENT UINT64_C(0xE00)

static ds_runtime *runtime;

// What the host has: stand-ins for ID3D12Fence::Signal and SetEvent.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t fence_value;
static unsigned event_count;
static int stopping;

static void deliver(const ds_notification *notification) {
    pthread_mutex_lock(&lock);
    if (notification->cookie == FENCE) {
        CHECK(notification->value > fence_value); // the latest value, never an older one
        fence_value = notification->value;
    } else {
        CHECK(notification->cookie == EVENT && notification->value == 0);
        event_count++;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void *pump(void *unused) {
    (void)unused;
    for (;;) {
        ds_notification found[4];
        uint32_t count;
        CHECK_OK(ds_runtime_wait_notifications(runtime, 4, found, &count, DS_WAIT_FOREVER));
        for (uint32_t i = 0; i < count; i++) deliver(&found[i]);
        pthread_mutex_lock(&lock);
        int stop = stopping;
        pthread_mutex_unlock(&lock);
        if (stop) return NULL;
    }
}

static void wait_for(const uint64_t *value, uint64_t wanted) {
    pthread_mutex_lock(&lock);
    while (*value < wanted) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void without_a_pump(ds_event *event, ds_fence *fence) {
    ds_notification found[2] = {{1, 1}, {1, 1}};
    uint32_t count = 7;
    CHECK_OK(ds_runtime_wait_notifications(runtime, 2, found, &count, SHORT_NS));
    CHECK(count == 0);
    ds_event_set(event);
    ds_event_set(event);
    CHECK_OK(ds_fence_signal(fence, 1));
    CHECK_OK(ds_fence_signal(fence, 2));
    CHECK_OK(ds_runtime_wait_notifications(runtime, 1, found, &count, 0));
    CHECK(count == 1 && found[0].cookie == EVENT);
    CHECK_OK(ds_runtime_wait_notifications(runtime, 1000, found, &count, 0));
    CHECK(count == 1 && found[0].cookie == FENCE && found[0].value == 2);
    // A foreign event has no state here; a foreign fence has.
    CHECK(ds_event_fd(event) == -1 && !ds_event_take(event));
    CHECK_RESULT(ds_event_wait(event, DS_WAIT_FOREVER), DS_E_INVALIDARG);
    CHECK(ds_fence_value(fence) == 2);
    CHECK_OK(ds_fence_wait(fence, 2, 0));
}

static void with_a_pump(ds_event *event, ds_fence *fence) {
    static uint8_t bytes[4096];
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *file = open_file("data");
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, pump, NULL) == 0);
    for (uint64_t round = 3; round < 53; round++) {
        ds_request request = ds_request_read(file, 0, bytes, sizeof bytes);
        CHECK_OK(ds_queue_enqueue_request(queue, &request));
        CHECK_OK(ds_queue_enqueue_set_event(queue, event));
        CHECK_OK(ds_queue_enqueue_signal(queue, fence, round));
        CHECK_OK(ds_queue_submit(queue));
        wait_for(&fence_value, round);
    }
    CHECK(has_pattern(bytes, 0, sizeof bytes));
    pthread_mutex_lock(&lock);
    CHECK(event_count > 0 && event_count <= 50);
    stopping = 1;
    pthread_mutex_unlock(&lock);
    CHECK_OK(ds_runtime_interrupt_notifications(runtime));
    CHECK(pthread_join(thread, NULL) == 0);
    ds_queue_destroy(queue);
    ds_file_release(file);
}

int main(void) {
    make_file("data", 4096);
    runtime = make_runtime();
    ds_event *event;
    ds_fence *fence;
    CHECK_OK(ds_event_create_foreign(runtime, EVENT, &event));
    CHECK_OK(ds_fence_create_foreign(runtime, FENCE, 0, &fence));
    without_a_pump(event, fence);
    with_a_pump(event, fence);
    ds_runtime_destroy(runtime);
    // They may outlive it.
    ds_event_set(event);
    CHECK_OK(ds_fence_signal(fence, 100));
    ds_event_release(event);
    ds_fence_release(fence);
    return 0;
}
