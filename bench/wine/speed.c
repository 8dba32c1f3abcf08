// speed.c: throughput and latency of a dstorage.dll, ours or Microsoft's, through its public interface.
//
// Usage: speed.exe FILE. The file is read once before, so that it lies in the page cache. Prints one line a
// measurement. Compare only numbers of one machine, one Wine and one hour.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "../../tests/dstorage/test.h"

#define QUEUE_CAPACITY 2048
#define SUBMIT_EVERY 64
#define SAMPLES 2000

static storage_factory *factory;
static storage_file *file;
static storage_queue *queue;
static storage_status_array *array;
static uint8_t *to;
static uint64_t file_bytes;

static double seconds(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

// Reads `bytes_all` bytes in requests of `request_bytes`; answers the seconds.
static double pass(uint32_t request_bytes, uint64_t bytes_all) {
    double start = seconds();
    uint64_t count = bytes_all / request_bytes;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = i * request_bytes % file_bytes;
        storage_request request = read_request(file, at, to + at % (64 << 20), request_bytes);
        queue->methods->EnqueueRequest(queue, &request);
        if (i % SUBMIT_EVERY == SUBMIT_EVERY - 1) queue->methods->Submit(queue);
    }
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->Submit(queue);
    while (!array->methods->IsComplete(array, 0)) Sleep(0);
    ok_hr(array->methods->GetHResult(array, 0), S_OK);
    return seconds() - start;
}

static void throughput(uint32_t request_bytes, uint64_t bytes_all) {
    pass(request_bytes, bytes_all); // warm
    double took = pass(request_bytes, bytes_all);
    printf("%7u bytes: %8.1f MB/s, %8.3f us a request\n", request_bytes, (double)bytes_all / took / 1e6,
           took * 1e6 * request_bytes / (double)bytes_all);
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_median(const char *what, double *samples) {
    qsort(samples, SAMPLES, sizeof *samples, compare);
    printf("%s: median %.3f us, 99 %% below %.3f us\n", what, samples[SAMPLES / 2] * 1e6,
           samples[SAMPLES * 99 / 100] * 1e6);
}

// One request at a time, and what the calling thread spends on it. An enqueue is timed in groups, for the
// clock is not finer.
static void latency(void) {
    static double whole[SAMPLES], enqueue[SAMPLES];
    for (unsigned i = 0; i < SAMPLES; i++) {
        storage_request request = read_request(file, i * 4096, to, 4096);
        queue->methods->EnqueueRequest(queue, &request);
        queue->methods->EnqueueStatus(queue, array, 0);
        double start = seconds();
        queue->methods->Submit(queue);
        while (!array->methods->IsComplete(array, 0)) YieldProcessor();
        whole[i] = seconds() - start;
    }
    for (unsigned i = 0; i < SAMPLES; i++) {
        storage_request request = read_request(file, 0, to, 4096);
        double start = seconds();
        for (unsigned j = 0; j < 64; j++) queue->methods->EnqueueRequest(queue, &request);
        enqueue[i] = (seconds() - start) / 64;
        queue->methods->EnqueueStatus(queue, array, 0);
        queue->methods->Submit(queue);
        while (!array->methods->IsComplete(array, 0)) Sleep(0);
    }
    print_median("submit to status", whole);
    print_median("enqueue", enqueue);
}

// Streams of a mebibyte, from memory to memory.
static void decompression(void) {
    enum { STREAM = 1 << 20, ROUNDS = 512 };
    uint8_t *source = malloc(STREAM), *stream = malloc(2 * STREAM);
    SIZE_T stream_bytes = 0;
    uint32_t noise = 1;
    for (unsigned i = 0; i < STREAM; i++) {
        noise = noise * 1664525 + 1013904223;
        // Half of it repeats what came 1000 bytes before.
        source[i] = i > 1000 && (i >> 5) % 2 ? source[i - 1000] : (uint8_t)(noise >> 28);
    }
    storage_codec *codec = NULL;
    ok_hr(create_codec(COMPRESSION_GDEFLATE, 0, &IID_CODEC, (void **)&codec), S_OK);
    ok_hr(codec->methods->CompressBuffer(codec, source, STREAM, 0, stream, 2 * STREAM, &stream_bytes), S_OK);
    codec->methods->Release(codec);
    storage_queue_desc desc = {.source_type = SOURCE_MEMORY, .capacity = QUEUE_CAPACITY};
    storage_queue *memory = NULL;
    ok_hr(factory->methods->CreateQueue(factory, &desc, &IID_QUEUE, (void **)&memory), S_OK);
    double start = seconds();
    for (unsigned i = 0; i < ROUNDS; i++) {
        storage_request request = copy_request(stream, to + i % 64 * STREAM, (uint32_t)stream_bytes);
        request.options.compression_format = COMPRESSION_GDEFLATE;
        request.destination.memory.size = request.uncompressed_size = STREAM;
        memory->methods->EnqueueRequest(memory, &request);
    }
    ok_hr(finish(factory, memory), S_OK);
    printf("GDeflate of %u %%: %.1f MB/s\n", (unsigned)(100 * stream_bytes / STREAM),
           ROUNDS * (double)STREAM / (seconds() - start) / 1e6);
    ok(!memcmp(to, source, STREAM), "the bytes");
    memory->methods->Release(memory);
    free(stream);
    free(source);
}

int main(int count, char **arguments) {
    double start = seconds();
    load_dll();
    factory = factory_or_exit();
    printf("load and factory: %.1f ms\n", (seconds() - start) * 1e3);
    WCHAR path[MAX_PATH];
    if (count != 2 || !MultiByteToWideChar(CP_ACP, 0, arguments[1], -1, path, MAX_PATH)) return 2;
    file = open_file(factory, path);
    if (!file) return 1;
    BY_HANDLE_FILE_INFORMATION about;
    ok_hr(file->methods->GetFileInformation(file, &about), S_OK);
    // Whole mebibytes, so that no request crosses the end.
    file_bytes = ((uint64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow) & ~UINT64_C(0xFFFFF);
    if (!file_bytes) return 2;
    to = malloc(65 << 20);
    memset(to, 1, 65 << 20);
    storage_queue_desc desc = {.source_type = SOURCE_FILE, .capacity = QUEUE_CAPACITY};
    ok_hr(factory->methods->CreateQueue(factory, &desc, &IID_QUEUE, (void **)&queue), S_OK);
    array = make_array(factory, 1);
    throughput(4096, 256 << 20);
    throughput(65536, 1 << 30);
    throughput(1 << 20, 1 << 30);
    latency();
    decompression();
    array->methods->Release(array);
    queue->methods->Release(queue);
    file->methods->Release(file);
    factory->methods->Release(factory);
    return finish_tests();
}
