// Requests that name memory which is not there, or may not be touched, fail; the process lives.

#include "test.h"

#include <sys/mman.h>

#define SIZE 8192u

// Below what the kernel ever maps for a program.
static uint8_t *const unmapped = (uint8_t *)4096;
static uint8_t *read_only, *no_access, *half;

static void map(void) {
    read_only = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    no_access = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    half = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(read_only != MAP_FAILED && no_access != MAP_FAILED && half != MAP_FAILED);
    CHECK(mprotect(half + SIZE / 2, SIZE / 2, PROT_NONE) == 0);
}

static void refused(ds_queue *queue, ds_request request) {
    CHECK_RESULT(run(queue, request), DS_E_ACCESS_VIOLATION);
    ds_error_record record = record_of(queue);
    CHECK(record.failure_count == 1 && record.result == DS_E_ACCESS_VIOLATION);
}

static void destinations(ds_runtime *runtime) {
    ds_queue *files = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_queue *memory = make_queue(runtime, DS_SOURCE_MEMORY, 128);
    ds_file *file = open_file("data");
    ds_file *stream = open_file("stream");
    uint64_t stream_size;
    CHECK_OK(ds_file_size(stream, &stream_size));
    uint8_t *bytes = calloc(1, SIZE);
    CHECK(bytes);
    uint8_t *const bad[] = {unmapped, read_only, no_access, half, NULL, (uint8_t *)UINTPTR_MAX - 100,
                            (uint8_t *)(UINTPTR_MAX / 2 + 1)};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refused(files, ds_request_read(file, 0, bad[i], SIZE));
        refused(memory, ds_request_copy(bytes, bad[i], SIZE));
        ds_request request = ds_request_read(stream, 0, bad[i], (uint32_t)stream_size);
        refused(files, ds_request_compressed(request, DS_COMPRESSION_GDEFLATE, SIZE));
    }
    ds_file_release(file);
    ds_file_release(stream);
    ds_queue_destroy(files);
    ds_queue_destroy(memory);
    free(bytes);
}

static void sources(ds_runtime *runtime) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_MEMORY, 128);
    ds_file *out;
    CHECK_OK(ds_file_create("out", &out));
    uint8_t *bytes = calloc(1, SIZE);
    CHECK(bytes);
    uint8_t *const bad[] = {unmapped, no_access, half, NULL, (uint8_t *)UINTPTR_MAX - 100};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refused(queue, ds_request_copy(bad[i], bytes, SIZE));
        ds_request request = ds_request_copy(bad[i], bytes, SIZE);
        refused(queue, ds_request_compressed(request, DS_COMPRESSION_GDEFLATE, SIZE));
        // A write may have begun with the bytes that are there.
        refused(queue, ds_request_write(bad[i], out, 0, SIZE));
    }
    // Read-only memory is a good source.
    CHECK_OK(run(queue, ds_request_copy(read_only, bytes, SIZE)));
    ds_file_release(out);
    ds_queue_destroy(queue);
    free(bytes);
}

static void make_stream(void) {
    static uint8_t data[SIZE], stream[128 * 1024];
    ds_codec *codec;
    size_t written;
    fill(data, sizeof data);
    CHECK_OK(ds_codec_create(DS_COMPRESSION_GDEFLATE, 1, &codec));
    CHECK_OK(ds_codec_compress(codec, data, sizeof data, 0, stream, sizeof stream, &written));
    ds_codec_destroy(codec);
    write_file("stream", stream, written);
}

int main(void) {
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded && strstr(preloaded, "vgpreload")) {
        puts("valgrind reports every bad address that a system call gets, which is the point here");
        return 77;
    }
    make_file("data", SIZE);
    make_stream();
    map();
    ds_runtime *runtime = make_runtime();
    destinations(runtime);
    sources(runtime);
    ds_runtime_destroy(runtime);
    return 0;
}
