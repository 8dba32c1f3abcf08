// What the C tests share: CHECK, a runtime and a queue, files with known contents.
//
// A failed CHECK says where and ends the program with status 1. Tests run in an empty directory of their own,
// so they use plain file names.

#ifndef DS_TEST_H
#define DS_TEST_H

#define _GNU_SOURCE
#include <ds_runtime.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);              \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

// The same for results, which it names.
#define CHECK_RESULT(call, expected)                                                             \
    do {                                                                                         \
        ds_result got_ = (call), wanted_ = (expected);                                           \
        if (got_ != wanted_) {                                                                   \
            fprintf(stderr, "%s:%d: %s\n  is     0x%08" PRIX32 " %s\n  not    0x%08" PRIX32 " %s\n", \
                    __FILE__, __LINE__, #call, (uint32_t)got_, ds_result_string(got_),           \
                    (uint32_t)wanted_, ds_result_string(wanted_));                               \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

#define CHECK_OK(call) CHECK_RESULT(call, DS_OK)

#define SECOND_NS UINT64_C(1000000000)
// Longer than anything here takes, under valgrind too.
#define LONG_NS (60 * SECOND_NS)
// Long enough to see that nothing happens.
#define SHORT_NS (SECOND_NS / 50)

// The byte that test files have at an offset.
static inline uint8_t pattern(uint64_t offset) { return (uint8_t)(offset * 31 + (offset >> 8) * 7 + 3); }

static inline void fill(uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) bytes[i] = pattern(i);
}

static inline int has_pattern(const uint8_t *bytes, uint64_t offset, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != pattern(offset + i)) return 0;
    return 1;
}

static inline void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static inline void make_file(const char *path, size_t size) {
    uint8_t *bytes = malloc(size ? size : 1);
    CHECK(bytes);
    fill(bytes, size);
    write_file(path, bytes, size);
    free(bytes);
}

static inline ds_runtime *make_runtime(void) {
    ds_runtime_options options = {.struct_size = sizeof options, .backend = DS_BACKEND_CPU};
    options.flags = DS_RUNTIME_IGNORE_ENVIRONMENT;
    ds_runtime *runtime = NULL;
    CHECK_OK(ds_runtime_create(&options, &runtime));
    return runtime;
}

static inline ds_queue *make_queue(ds_runtime *runtime, ds_source_type source_type, uint32_t capacity) {
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = capacity, .source_type = source_type};
    ds_queue *queue = NULL;
    CHECK_OK(ds_queue_create(runtime, &desc, &queue));
    return queue;
}

static inline ds_file *open_file(const char *path) {
    ds_file *file = NULL;
    CHECK_OK(ds_file_open(path, &file));
    return file;
}

static inline ds_queue_info query(ds_queue *queue) {
    ds_queue_info info = {.struct_size = sizeof info};
    CHECK_OK(ds_queue_query(queue, &info));
    return info;
}

static inline ds_queue_stats stats_of(ds_queue *queue) {
    ds_queue_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(ds_queue_get_stats(queue, &stats));
    return stats;
}

static inline ds_error_record record_of(ds_queue *queue) {
    ds_error_record record;
    memset(&record, 0xA5, sizeof record);
    CHECK_OK(ds_queue_retrieve_error_record(queue, &record));
    return record;
}

// Enqueues a status, submits, waits, and answers the result.
static inline ds_result finish(ds_queue *queue) {
    ds_status_array *done = NULL;
    CHECK_OK(ds_status_array_create(1, NULL, &done));
    CHECK_OK(ds_queue_enqueue_status(queue, done, 0));
    CHECK_OK(ds_queue_submit(queue));
    ds_result result = ds_status_array_wait(done, 0, LONG_NS);
    CHECK(result != DS_E_PENDING);
    ds_status_array_release(done);
    return result;
}

// Runs one request to its end.
static inline ds_result run(ds_queue *queue, ds_request request) {
    CHECK_OK(ds_queue_enqueue_request(queue, &request));
    return finish(queue);
}

static inline void sleep_ns(uint64_t ns) {
    struct timespec time = {.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};
    nanosleep(&time, NULL);
}

#endif
