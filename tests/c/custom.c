// Formats of the application's own, and the built-in one where the application has taken it over.

#include "test.h"

#include <poll.h>

#define FORMAT (DS_COMPRESSION_CUSTOM_0 + 1) // "compressed" by inverting every bit
#define SIZE 4096u

static ds_runtime *runtime;
static ds_queue *queue;
static ds_file *file;
static uint8_t bytes[4][SIZE];

static ds_request request_for(int index, uint8_t format) {
    return ds_request_compressed(ds_request_read(file, 0, bytes[index], SIZE), format, SIZE);
}

static uint32_t fetch(ds_select select, ds_custom_request *out, uint32_t max) {
    uint32_t count = 77;
    CHECK_OK(ds_custom_get_requests(runtime, select, max, out, &count));
    return count;
}

static void wait_and_fetch(ds_event *event, ds_custom_request *out, uint32_t count) {
    uint32_t found = 0;
    while (found < count) {
        struct pollfd wait = {.fd = ds_event_fd(event), .events = POLLIN};
        CHECK(poll(&wait, 1, 60000) == 1);
        CHECK(ds_event_take(event));
        found += fetch(DS_SELECT_CUSTOM, out + found, count - found);
    }
}

static void decompress(const ds_custom_request *request) {
    const uint8_t *from = request->source;
    uint8_t *to = request->destination;
    CHECK(request->source_size == SIZE && request->destination_size == SIZE);
    CHECK(request->compression_format == FORMAT && request->flags == 0);
    for (uint64_t i = 0; i < request->source_size; i++) to[i] = (uint8_t)~from[i];
}

static void answer(uint64_t id, ds_result result, ds_result expected) {
    ds_custom_result answer = {.id = id, .result = result};
    CHECK_RESULT(ds_custom_set_results(runtime, 1, &answer), expected);
}

static void the_application_decompresses(void) {
    ds_event *event, *same;
    ds_status_array *done;
    ds_custom_request found[4];
    CHECK_OK(ds_custom_event(runtime, &event));
    CHECK_OK(ds_custom_event(runtime, &same));
    CHECK(same == event);
    ds_event_release(same);
    CHECK(fetch(DS_SELECT_ALL, found, 4) == 0 && fetch(DS_SELECT_ALL, NULL, 0) == 0);
    uint32_t count;
    CHECK_RESULT(ds_custom_get_requests(runtime, 0, 4, found, &count), DS_E_INVALIDARG);
    CHECK_RESULT(ds_custom_get_requests(runtime, 4, 4, found, &count), DS_E_INVALIDARG);

    CHECK_OK(ds_status_array_create(2, NULL, &done));
    for (int i = 0; i < 4; i++) {
        ds_request request = request_for(i, FORMAT);
        CHECK_OK(ds_queue_enqueue_request(queue, &request));
        if (i % 2) CHECK_OK(ds_queue_enqueue_status(queue, done, (uint32_t)i / 2));
    }
    CHECK_OK(ds_queue_submit(queue));
    wait_and_fetch(event, found, 4);
    CHECK(fetch(DS_SELECT_ALL, found, 0) == 0);
    for (int i = 0; i < 4; i++) decompress(&found[i]);
    CHECK_RESULT(ds_status_array_wait(done, 0, SHORT_NS), DS_E_PENDING);
    // Two good answers at once, in any order, with one that nobody asked for between them.
    ds_custom_result some[3] = {{.id = found[3].id}, {.id = UINT64_MAX}, {.id = found[0].id}};
    CHECK_RESULT(ds_custom_set_results(runtime, 3, some), DS_E_INVALIDARG);
    answer(found[0].id, DS_OK, DS_E_INVALIDARG); // answered before
    // And one of each of the others: the application's number is the request's.
    answer(found[1].id, DS_OK, DS_OK);
    answer(found[2].id, DS_E_FAIL - 5, DS_OK);
    ds_result first = ds_status_array_wait(done, 0, LONG_NS);
    ds_result second = ds_status_array_wait(done, 1, LONG_NS);
    // The order in which requests arrive here is not that of the enqueue.
    CHECK((first == DS_OK) != (second == DS_OK));
    CHECK_RESULT(first == DS_OK ? second : first, DS_E_FAIL - 5);
    CHECK_RESULT(record_of(queue).result, DS_E_FAIL - 5);
    for (int i = 0; i < 4; i++) CHECK(has_pattern(bytes[i], 0, SIZE));
    ds_status_array_release(done);
    ds_event_release(event);
}

// What was not fetched can be cancelled.
static void waiting_requests_can_be_cancelled(void) {
    ds_event *event;
    ds_custom_request found[1];
    CHECK_OK(ds_event_create(&event));
    CHECK_OK(ds_custom_use_event(runtime, event));
    ds_request request = request_for(0, FORMAT);
    CHECK_OK(ds_queue_enqueue_request(queue, &request));
    CHECK_OK(ds_queue_submit(queue));
    CHECK_OK(ds_event_wait(event, LONG_NS));
    CHECK_OK(ds_queue_cancel_requests_with_tag(queue, 0, 0));
    CHECK(fetch(DS_SELECT_ALL, found, 1) == 0);
    CHECK_RESULT(finish(queue), DS_E_CANCELLED);
    CHECK(record_of(queue).failure_count == 1);
    ds_event_release(event);
}

// What was fetched is the application's: a close comes back before the answer, which may be this very
// thread's to give; the status behind it waits.
static void a_close_does_not_wait_for_answers(void) {
    ds_custom_request found;
    ds_request request = request_for(0, FORMAT);
    ds_status_array *done;
    CHECK_OK(ds_status_array_create(1, NULL, &done));
    CHECK_OK(ds_queue_enqueue_request(queue, &request));
    CHECK_OK(ds_queue_enqueue_status(queue, done, 0));
    CHECK_OK(ds_queue_submit(queue));
    while (fetch(DS_SELECT_CUSTOM, &found, 1) == 0) sleep_ns(SHORT_NS / 10);
    ds_queue_close(queue);
    CHECK_RESULT(ds_status_array_wait(done, 0, SHORT_NS), DS_E_PENDING);
    decompress(&found);
    answer(found.id, DS_OK, DS_OK);
    CHECK_RESULT(ds_status_array_wait(done, 0, LONG_NS), DS_E_CANCELLED);
    ds_status_array_release(done);
}

static void the_application_takes_over(void) {
    ds_runtime_options options = {.struct_size = sizeof options, .decode_threads = -1};
    options.flags = DS_RUNTIME_IGNORE_ENVIRONMENT;
    ds_runtime_destroy(runtime);
    CHECK_OK(ds_runtime_create(&options, &runtime));
    queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_event *event;
    CHECK_OK(ds_custom_event(runtime, &event));
    ds_request request = request_for(0, DS_COMPRESSION_GDEFLATE);
    CHECK_OK(ds_queue_enqueue_request(queue, &request));
    CHECK_OK(ds_queue_submit(queue));
    CHECK_OK(ds_event_wait(event, LONG_NS));
    ds_custom_request found;
    CHECK(fetch(DS_SELECT_CUSTOM, &found, 1) == 0);
    CHECK(fetch(DS_SELECT_BUILTIN, &found, 1) == 1);
    CHECK(found.compression_format == DS_COMPRESSION_GDEFLATE && found.destination == bytes[0]);
    answer(found.id, DS_OK, DS_OK);
    CHECK_OK(finish(queue));
    ds_event_release(event);
    ds_queue_destroy(queue);
}

int main(void) {
    uint8_t inverted[SIZE];
    fill(inverted, SIZE);
    for (uint32_t i = 0; i < SIZE; i++) inverted[i] = (uint8_t)~inverted[i];
    write_file("data", inverted, SIZE);
    runtime = make_runtime();
    queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    file = open_file("data");
    the_application_decompresses();
    waiting_requests_can_be_cancelled();
    a_close_does_not_wait_for_answers();
    ds_queue_destroy(queue);
    the_application_takes_over();
    ds_file_release(file);
    ds_runtime_destroy(runtime);
    return 0;
}
