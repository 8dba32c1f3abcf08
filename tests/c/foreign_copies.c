// A host that watches memory, as Wine does: the kernel sees it as read-only until the host's thread writes
// there. Requests that go there leave their last step to that thread. Places that only the host knows have a
// cookie, which comes back when the request has ended.

#include "test.h"

#include <sys/mman.h>
#include <unistd.h>

#define SIZE 65536u
#define COUNT 40u
#define COOKIE UINT64_C(0xC0)

static ds_runtime *runtime;
static ds_file *file;
static uint8_t *watched, *hopeless;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned copies;
static int stopping;

static uint8_t *map(size_t size) {
    void *start = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED);
    return start;
}

// What the host's handler does for its own threads.
static ds_result copy(const ds_foreign_task *wanted) {
    uint8_t *to = wanted->destination;
    if (to < watched || to + wanted->size > watched + COUNT * SIZE) return DS_E_ACCESS_VIOLATION;
    uintptr_t page = (uintptr_t)to & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);
    CHECK(mprotect((void *)page, (uintptr_t)to - page + wanted->size, PROT_READ | PROT_WRITE) == 0);
    memcpy(to, wanted->source, wanted->size);
    return DS_OK;
}

static void make_copies(void) {
    ds_foreign_task found[3];
    uint32_t count;
    do {
        CHECK_OK(ds_foreign_tasks_get(runtime, 3, found, &count));
        // Before the answers: whoever sees a request complete sees its copy counted.
        pthread_mutex_lock(&lock);
        copies += count;
        pthread_mutex_unlock(&lock);
        for (uint32_t i = 0; i < count; i++)
            CHECK_OK(ds_foreign_copies_finish(runtime, found[i].id, copy(&found[i])));
    } while (count);
}

static void *pump(void *unused) {
    (void)unused;
    for (;;) {
        ds_notification found[4];
        uint32_t count;
        CHECK_OK(ds_runtime_wait_notifications(runtime, 4, found, &count, DS_WAIT_FOREVER));
        for (uint32_t i = 0; i < count; i++) CHECK(found[i].cookie == COOKIE);
        if (count) make_copies();
        pthread_mutex_lock(&lock);
        int stop = stopping;
        pthread_mutex_unlock(&lock);
        if (stop) return NULL;
    }
}

static void bytes_arrive(void) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    for (uint32_t i = 0; i < COUNT; i++) {
        ds_request request = ds_request_read(file, i, watched + i * SIZE, SIZE);
        CHECK_OK(ds_queue_enqueue_request(queue, &request));
    }
    CHECK_OK(finish(queue));
    for (uint32_t i = 0; i < COUNT; i++) CHECK(has_pattern(watched + i * SIZE, i, SIZE));
    pthread_mutex_lock(&lock);
    CHECK(copies == COUNT);
    pthread_mutex_unlock(&lock);
    // Now the kernel can write there, and the host has nothing to do.
    CHECK_OK(run(queue, ds_request_read(file, 7, watched, SIZE)));
    CHECK(has_pattern(watched, 7, SIZE) && copies == COUNT);
    CHECK_RESULT(run(queue, ds_request_read(file, 0, hopeless, SIZE)), DS_E_ACCESS_VIOLATION);
    ds_error_record record = record_of(queue);
    CHECK(record.failure_count == 1 && record.result == DS_E_ACCESS_VIOLATION);
    ds_queue_destroy(queue);
}

static void wrong_arguments(ds_event *event) {
    uint32_t count = 77;
    ds_foreign_task found[1];
    CHECK_RESULT(ds_foreign_copies_begin(NULL, event), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_copies_begin(runtime, NULL), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_tasks_get(NULL, 1, found, &count), DS_E_INVALIDARG);
    CHECK(count == 0);
    CHECK_RESULT(ds_foreign_tasks_get(runtime, 1, NULL, &count), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_tasks_get(runtime, 1, found, NULL), DS_E_INVALIDARG);
    CHECK_OK(ds_foreign_tasks_get(runtime, 0, NULL, &count));
    uint64_t cookie;
    CHECK_RESULT(ds_foreign_copies_returned(NULL, 1, &cookie, &count), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_copies_returned(runtime, 1, NULL, &count), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_copies_returned(runtime, 1, &cookie, NULL), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_copies_finish(NULL, 0, DS_OK), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_copies_finish(runtime, 0, DS_OK), DS_E_INVALIDARG);
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    CHECK_RESULT(ds_foreign_copies_begin(runtime, event), DS_E_STAGING_BUFFER_LOCKED);
    CHECK_RESULT(run(queue, ds_request_read(file, 0, watched, SIZE)), DS_E_ACCESS_VIOLATION);
    ds_queue_destroy(queue);
}

// What the host refuses fails as it says, is shown as it says, and its cookie comes back.
static void a_refused_place_comes_back(void) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_destination shown = {.buffer = {.offset = 5, .size = 6}};
    ds_request request = ds_request_read(file, 0, NULL, SIZE);
    request.options.types = DS_REQUEST_TYPES(DS_SOURCE_FILE, DS_DESTINATION_FOREIGN);
    request.destination.foreign = (ds_destination_foreign){.cookie = 77,
                                                           .size = SIZE,
                                                           .result = DS_E_INVALIDARG,
                                                           .shown = &shown,
                                                           .shown_type = DS_DESTINATION_BUFFER,
                                                           .shown_uncompressed_size = 99,
                                                           .shown_format = DS_COMPRESSION_GDEFLATE};
    CHECK_RESULT(run(queue, request), DS_E_INVALIDARG);
    ds_error_record record = record_of(queue);
    const ds_request *told = &record.parameters.request.request;
    CHECK(told->options.types == DS_REQUEST_TYPES(DS_SOURCE_FILE, DS_DESTINATION_BUFFER));
    CHECK(told->destination.buffer.offset == 5 && told->destination.buffer.size == 6);
    CHECK(told->options.compression_format == DS_COMPRESSION_GDEFLATE && told->uncompressed_size == 99);
    uint64_t cookie = 0;
    uint32_t count;
    CHECK_OK(ds_foreign_copies_returned(runtime, 1, &cookie, &count));
    CHECK(count == 1 && cookie == 77);
    ds_queue_destroy(queue);
}

// The next task; waits for it.
static ds_foreign_task next_task(ds_runtime *of) {
    ds_foreign_task found;
    uint32_t count = 0;
    while (!count) CHECK_OK(ds_foreign_tasks_get(of, 1, &found, &count));
    return found;
}

// Memory of the host's, in which bytes come to it, and a signal behind them.
static void memory_is_lent(void) {
    ds_runtime *own = make_runtime();
    ds_event *event;
    ds_foreign_pool *pool;
    CHECK_OK(ds_event_create_foreign(own, COOKIE, &event));
    CHECK_OK(ds_foreign_copies_begin(own, event));
    CHECK_RESULT(ds_foreign_pool_create(NULL, 5, &pool), DS_E_INVALIDARG);
    CHECK(!pool);
    CHECK_RESULT(ds_foreign_pool_create(own, 5, NULL), DS_E_INVALIDARG);
    CHECK_OK(ds_foreign_pool_create(own, 5, &pool));
    CHECK_RESULT(ds_foreign_pool_add_block(pool, watched, SIZE, 6), DS_E_INVALIDARG); // not asked for
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 128, .foreign_pool = pool};
    ds_queue *queue;
    CHECK_OK(ds_queue_create(own, &desc, &queue));
    ds_request request = ds_request_read(file, 3, NULL, SIZE);
    request.options.types = DS_REQUEST_TYPES(DS_SOURCE_FILE, DS_DESTINATION_FOREIGN);
    request.destination.foreign = (ds_destination_foreign){.cookie = 78, .size = SIZE};
    CHECK_OK(ds_queue_enqueue_request(queue, &request));
    CHECK_OK(ds_queue_enqueue_foreign_signal(queue, 79, 1, DS_OK));
    CHECK_OK(ds_queue_enqueue_foreign_signal(queue, 80, 2, DS_E_INVALIDARG));
    CHECK_RESULT(ds_queue_enqueue_foreign_signal(NULL, 81, 3, DS_OK), DS_E_INVALIDARG);
    CHECK_OK(ds_queue_submit(queue));
    ds_foreign_task task = next_task(own);
    CHECK(task.kind == DS_FOREIGN_BLOCK && task.cookie == 5 && task.size >= SIZE);
    size_t bytes = task.size;
    uint8_t *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED);
    CHECK_RESULT(ds_foreign_pool_add_block(NULL, block, bytes, 6), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_pool_add_block(pool, NULL, bytes, 6), DS_E_INVALIDARG);
    CHECK_RESULT(ds_foreign_pool_add_block(pool, block, bytes, 0), DS_E_INVALIDARG);
    CHECK_OK(ds_foreign_pool_add_block(pool, block, bytes, 6));
    task = next_task(own);
    CHECK(task.kind == DS_FOREIGN_COPY_TO_COOKIE && task.cookie == 78 && task.block == 6);
    CHECK((const uint8_t *)task.source >= block && task.size == SIZE);
    CHECK(has_pattern(task.source, 3, SIZE));
    ds_foreign_task signal = next_task(own);
    CHECK(signal.kind == DS_FOREIGN_SIGNAL && signal.cookie == 79);
    CHECK_OK(ds_foreign_copies_finish(own, task.id, DS_OK));
    CHECK_OK(finish(queue));
    CHECK(record_of(queue).failure_count == 1);
    ds_queue_destroy(queue);
    CHECK_RESULT(ds_foreign_pool_refuse_block(NULL), DS_E_INVALIDARG);
    ds_foreign_pool_destroy(pool);
    ds_foreign_pool_destroy(NULL);
    uint64_t cookies[4];
    uint32_t count, sum = 0;
    CHECK_OK(ds_foreign_copies_returned(own, 4, cookies, &count));
    for (uint32_t i = 0; i < count; i++) sum += (uint32_t)cookies[i];
    CHECK(count == 3 && sum == 78 + 80 + 6);
    CHECK(munmap(block, bytes) == 0);
    ds_event_release(event);
    ds_runtime_destroy(own);
}

// The library can be left with copies that nobody fetched.
static void nobody_copies(ds_event *event) {
    CHECK_OK(ds_foreign_copies_begin(runtime, event));
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    for (uint32_t i = 0; i < 10; i++) {
        ds_request request = ds_request_read(file, i, hopeless, SIZE);
        CHECK_OK(ds_queue_enqueue_request(queue, &request));
    }
    CHECK_OK(ds_queue_submit(queue));
    sleep_ns(SHORT_NS);
    ds_queue_destroy(queue);
    ds_runtime_destroy(runtime);
}

int main(void) {
    make_file("data", SIZE + COUNT);
    file = open_file("data");
    watched = map(COUNT * SIZE);
    hopeless = map(SIZE);
    runtime = make_runtime();
    ds_event *event;
    CHECK_OK(ds_event_create_foreign(runtime, COOKIE, &event));
    wrong_arguments(event);
    CHECK_OK(ds_foreign_copies_begin(runtime, event));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, pump, NULL) == 0);
    bytes_arrive();
    a_refused_place_comes_back();
    memory_is_lent();
    pthread_mutex_lock(&lock);
    stopping = 1;
    pthread_mutex_unlock(&lock);
    CHECK_OK(ds_runtime_interrupt_notifications(runtime));
    CHECK(pthread_join(thread, NULL) == 0);
    nobody_copies(event);
    ds_event_release(event);
    ds_file_release(file);
    return 0;
}
