// Queues, statuses and files, by the ids of the observed behaviour: O-08 to O-39.

#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static ds_runtime *runtime;
static uint8_t bytes[4096];

static void staging_is_locked_by_queues(void) {
    ds_staging_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(ds_runtime_set_staging_bytes(runtime, 0)); // O-09
    CHECK_OK(ds_runtime_set_staging_bytes(runtime, 1 << 20));
    ds_file *file = open_file("data");
    CHECK_OK(ds_runtime_set_staging_bytes(runtime, 256 << 20)); // O-10
    CHECK_OK(ds_runtime_get_staging_stats(runtime, &stats));
    CHECK(stats.bytes_max == 256 << 20 && stats.bytes_in_use == 0);
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    CHECK_RESULT(ds_runtime_set_staging_bytes(runtime, 0), DS_E_STAGING_BUFFER_LOCKED); // O-08
    CHECK_RESULT(ds_runtime_set_staging_bytes(runtime, UINT32_MAX), DS_E_STAGING_BUFFER_LOCKED);
    ds_queue_destroy(queue);
    ds_file_release(file);
    CHECK_OK(ds_runtime_set_staging_bytes(runtime, 32 << 20));
}

static ds_result open_result(const char *path) {
    ds_file *file = (ds_file *)&file;
    ds_result result = ds_file_open(path, &file);
    CHECK((file != NULL) == (result == DS_OK));
    ds_file_release(file);
    return result;
}

static void files_open_or_say_why(void) {
    CHECK_RESULT(open_result("missing"), DS_E_FILE_NOT_FOUND); // O-11
    CHECK_RESULT(open_result("missing/data"), DS_E_PATH_NOT_FOUND); // O-12
    CHECK_RESULT(open_result(""), DS_E_PATH_NOT_FOUND); // O-13
    CHECK_RESULT(open_result("."), DS_E_ACCESSDENIED); // O-14
    CHECK_RESULT(open_result("/dev/null"), DS_E_ACCESSDENIED);
    CHECK_OK(open_result("empty")); // O-15
    CHECK_OK(open_result("./data")); // O-16
}

static void files_have_sizes_until_closed(void) {
    ds_file *file = open_file("data");
    ds_file_info info = {.struct_size = sizeof info};
    struct stat status;
    uint64_t size;
    CHECK(stat("data", &status) == 0);
    CHECK_OK(ds_file_get_info(file, &info));
    CHECK(info.size == 4096 && info.mode == status.st_mode && info.inode == status.st_ino);
    CHECK(info.links == 1 && info.modified_ns / 1000000000 == status.st_mtime);
    CHECK_OK(ds_file_size(file, &size));
    CHECK(size == 4096);
    ds_file_close(file);
    CHECK_RESULT(ds_file_size(file, &size), DS_E_HANDLE); // O-18
    CHECK(size == 0);
    CHECK_RESULT(ds_file_get_info(file, &info), DS_E_HANDLE);
    ds_file_close(file); // O-19
    ds_file_release(file);
}

static void files_from_descriptors(void) {
    int fd = open("data", O_RDONLY);
    CHECK(fd >= 0);
    ds_file *file;
    CHECK_OK(ds_file_from_fd(fd, "known as data", false, &file));
    CHECK(close(fd) == 0); // ours was a duplicate
    uint64_t size;
    CHECK_OK(ds_file_size(file, &size));
    CHECK(size == 4096);
    ds_file_release(file);
    CHECK_RESULT(ds_file_from_fd(fd, NULL, false, &file), DS_E_HANDLE);
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK_RESULT(ds_file_from_fd(ends[0], NULL, false, &file), DS_E_ACCESSDENIED);
    CHECK(fcntl(ends[0], F_GETFD) >= 0); // still the caller's
    close(ends[0]);
    close(ends[1]);
}

static ds_result create_result(ds_queue_desc desc) {
    ds_queue *queue;
    desc.struct_size = sizeof desc;
    ds_result result = ds_queue_create(runtime, &desc, &queue);
    CHECK((queue != NULL) == (result == DS_OK));
    ds_queue_destroy(queue);
    return result;
}

static void capacities_and_priorities(void) {
    static const uint32_t bad[] = {0, 1, 127, 32769, 40000, 65534, 65535, 65536, UINT32_MAX};
    static const uint32_t good[] = {128, 129, 8191, 8192, 8193, 16385, 32768};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) // O-20, O-22
        CHECK_RESULT(create_result((ds_queue_desc){.capacity = bad[i]}), DS_E_INVALID_QUEUE_CAPACITY);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) // O-21
        CHECK_OK(create_result((ds_queue_desc){.capacity = good[i]}));
    for (int32_t priority = -3; priority <= 4; priority++) // O-23
        CHECK_OK(create_result((ds_queue_desc){.capacity = 128, .priority = priority}));
    CHECK_OK(create_result((ds_queue_desc){.capacity = 128, .priority = INT32_MIN}));
    CHECK_OK(create_result((ds_queue_desc){.capacity = 128, .source_type = DS_SOURCE_MEMORY})); // O-24
    CHECK_RESULT(create_result((ds_queue_desc){.capacity = 128, .source_type = 2}), DS_E_INVALIDARG); // O-25
    CHECK_RESULT(create_result((ds_queue_desc){.capacity = 128, .source_type = 256}), DS_E_INVALIDARG);
}

static void query_counts(void) { // O-29, O-30
    static const uint32_t table[][3] = {{0, 127, 64}, {1, 126, 63}, {2, 125, 62}, {63, 64, 1},
                                        {64, 63, 0},  {65, 62, 64}, {70, 57, 59}};
    ds_fence *never;
    CHECK_OK(ds_fence_create(0, &never));
    ds_file *file = open_file("data");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 128, .priority = DS_PRIORITY_HIGH};
        ds_queue *queue;
        CHECK_OK(ds_queue_create(runtime, &desc, &queue));
        // Behind a fence, so that an automatic submit completes nothing.
        for (uint32_t j = 0; j < table[i][0]; j++) {
            ds_request request = ds_request_read(file, 0, bytes, sizeof bytes);
            CHECK_OK(ds_queue_enqueue_requests(queue, &request, 1, never, 1, 0));
        }
        ds_queue_info info = query(queue);
        CHECK(info.capacity == 128 && info.source_type == DS_SOURCE_FILE);
        CHECK(info.priority == DS_PRIORITY_HIGH);
        CHECK(info.empty_slots == table[i][1] && info.requests_until_auto_submit == table[i][2]);
        ds_queue_destroy(queue);
    }
    ds_file_release(file);
    ds_fence_release(never);
}

static void statuses(void) {
    ds_status_array *array;
    uint32_t capacity;
    CHECK_OK(ds_status_array_create(0, NULL, &array)); // O-32
    CHECK_RESULT(ds_status_array_get_result(array, 0), DS_E_INDEX_BOUND);
    ds_status_array_release(array);
    CHECK_OK(ds_status_array_create(1 << 20, "large", &array));
    CHECK_OK(ds_status_array_capacity(array, &capacity));
    CHECK(capacity == 1 << 20);
    ds_status_array_release(array);

    CHECK_OK(ds_status_array_create(2, NULL, &array));
    CHECK(!ds_status_array_is_complete(array, 0)); // O-31
    CHECK_RESULT(ds_status_array_get_result(array, 0), DS_E_PENDING);
    CHECK_RESULT(ds_status_array_wait(array, 0, SHORT_NS), DS_E_PENDING);
    CHECK_RESULT(ds_status_array_get_result(array, 2), DS_E_INDEX_BOUND); // O-35
    CHECK_RESULT(ds_status_array_wait(array, 2, DS_WAIT_FOREVER), DS_E_INDEX_BOUND);
    CHECK(!ds_status_array_is_complete(array, 2));

    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    CHECK_OK(ds_queue_enqueue_status(queue, array, 0));
    CHECK_RESULT(ds_status_array_wait(array, 0, SHORT_NS), DS_E_PENDING); // O-33: not submitted
    CHECK_OK(ds_queue_submit(queue));
    CHECK_OK(ds_status_array_wait(array, 0, LONG_NS));
    CHECK(ds_status_array_is_complete(array, 0));
    CHECK_OK(ds_queue_enqueue_status(queue, array, 0));
    CHECK_RESULT(ds_status_array_get_result(array, 0), DS_E_PENDING); // O-34
    CHECK_OK(finish(queue));

    CHECK_OK(ds_queue_enqueue_status(queue, array, 2));
    finish(queue);
    ds_error_record record = record_of(queue); // O-36
    CHECK(record.failure_count == 1 && record.result == DS_E_INDEX_BOUND);
    CHECK(record.command_type == DS_COMMAND_STATUS);
    CHECK(record.parameters.status.status_array == array && record.parameters.status.index == 2);
    CHECK_OK(ds_queue_enqueue_status(queue, NULL, 5));
    finish(queue);
    record = record_of(queue); // O-37
    CHECK(record.result == DS_E_INVALID_STATUS_ARRAY && record.command_type == DS_COMMAND_STATUS);
    CHECK(record.parameters.status.status_array == NULL && record.parameters.status.index == 5);
    CHECK_OK(ds_queue_enqueue_signal(queue, NULL, 9));
    finish(queue);
    record = record_of(queue); // O-38
    CHECK(record.result == DS_E_INVALID_FENCE && record.command_type == DS_COMMAND_SIGNAL);
    CHECK(record.parameters.signal.fence == NULL && record.parameters.signal.value == 9);
    CHECK_OK(ds_queue_enqueue_set_event(queue, NULL));
    finish(queue);
    record = record_of(queue);
    CHECK(record.result == DS_E_INVALIDARG && record.command_type == DS_COMMAND_EVENT);
    CHECK(record.parameters.event.event == NULL);
    ds_queue_destroy(queue);
    ds_status_array_release(array);
}

static void each_status_has_its_own_failures(void) { // O-39
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *file = open_file("data");
    ds_status_array *array;
    CHECK_OK(ds_status_array_create(2, NULL, &array));
    ds_request past = ds_request_read(file, 4096, bytes, 1), none = ds_request_read(NULL, 0, bytes, 1);
    ds_request good = ds_request_read(file, 0, bytes, sizeof bytes);
    CHECK_OK(ds_queue_enqueue_request(queue, &past));
    CHECK_OK(ds_queue_enqueue_request(queue, &none));
    CHECK_OK(ds_queue_enqueue_status(queue, array, 0));
    CHECK_OK(ds_queue_enqueue_request(queue, &good));
    CHECK_OK(ds_queue_enqueue_status(queue, array, 1));
    CHECK_OK(ds_queue_submit(queue));
    CHECK_OK(ds_status_array_wait(array, 1, LONG_NS));
    CHECK_RESULT(ds_status_array_get_result(array, 0), DS_E_END_OF_FILE);
    ds_error_record record = record_of(queue);
    CHECK(record.failure_count == 2 && record.result == DS_E_END_OF_FILE);
    CHECK(record.parameters.request.request.source.file.source == file);
    ds_queue_destroy(queue);
    ds_file_release(file);
    ds_status_array_release(array);
}

// The caller's event is the queue's error event.
static void an_error_event_of_the_callers(void) {
    ds_event *event, *same;
    CHECK_OK(ds_event_create(&event));
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 128, .error_event = event, .name = "q"};
    ds_queue *queue;
    CHECK_OK(ds_queue_create(runtime, &desc, &queue));
    CHECK_OK(ds_queue_error_event(queue, &same));
    CHECK(same == event);
    ds_event_release(same);
    CHECK_RESULT(run(queue, ds_request_read(NULL, 0, bytes, 1)), DS_E_INVALID_FILE_HANDLE);
    CHECK_OK(ds_event_wait(event, LONG_NS));
    ds_error_record seen;
    CHECK_OK(ds_queue_peek_error_record(queue, &seen));
    CHECK(seen.failure_count == 1 && seen.result == DS_E_INVALID_FILE_HANDLE);
    CHECK_OK(ds_event_wait(event, 0));
    CHECK(record_of(queue).failure_count == 1);
    CHECK_OK(ds_queue_peek_error_record(queue, &seen));
    CHECK(seen.failure_count == 0 && seen.command_type == DS_COMMAND_NONE);
    ds_queue_destroy(queue);
    ds_event_release(event);
}

// More than there can be is an error, and not the end of the process.
static void huge_status_arrays(void) {
    ds_status_array *array = (ds_status_array *)&array;
    CHECK_RESULT(ds_status_array_create(UINT32_MAX, NULL, &array), DS_E_OUTOFMEMORY);
    CHECK(array == NULL && (uint32_t)DS_E_OUTOFMEMORY == 0x8007000E);
    CHECK_OK(ds_status_array_create(1u << 24, NULL, &array)); // memory that nobody touches
    CHECK(ds_status_array_get_result(array, (1u << 24) - 1) == DS_E_PENDING);
    ds_status_array_release(array);
}

// A text fits as a whole, with its NUL, or is empty.
static void names_and_paths(void) {
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 128, .name = "textures"};
    ds_queue *queue, *unnamed = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *file = open_file("./data");
    CHECK_OK(ds_queue_create(runtime, &desc, &queue));
    char *text = malloc(9); // no larger, so that writing past it is seen
    CHECK(text);
    CHECK_OK(ds_queue_name(queue, text, 9));
    CHECK(strcmp(text, "textures") == 0);
    CHECK_RESULT(ds_queue_name(queue, text, 8), DS_E_INSUFFICIENT_BUFFER);
    CHECK(text[0] == 0);
    CHECK_RESULT(ds_queue_name(queue, text, 0), DS_E_INVALIDARG);
    text[0] = 'x';
    CHECK_OK(ds_queue_name(unnamed, text, 1));
    CHECK(text[0] == 0);
    CHECK_OK(ds_file_path(file, text, 7));
    CHECK(strcmp(text, "./data") == 0);
    CHECK_RESULT(ds_file_path(file, text, 6), DS_E_INSUFFICIENT_BUFFER);
    CHECK(text[0] == 0);
    ds_file_close(file); // keeps its path
    CHECK_OK(ds_file_path(file, text, 9));
    CHECK(strcmp(text, "./data") == 0);
    free(text);
    ds_file_release(file);
    ds_queue_destroy(queue);
    ds_queue_destroy(unnamed);
}

int main(void) {
    make_file("data", sizeof bytes);
    make_file("empty", 0);
    runtime = make_runtime();
    staging_is_locked_by_queues();
    files_open_or_say_why();
    files_have_sizes_until_closed();
    files_from_descriptors();
    capacities_and_priorities();
    query_counts();
    statuses();
    each_status_has_its_own_failures();
    an_error_event_of_the_callers();
    huge_status_arrays();
    names_and_paths();
    ds_runtime_destroy(runtime);
    return 0;
}
