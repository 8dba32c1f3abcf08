// speed.c: throughput, latency and CPU time of a dstorage.dll, ours or Microsoft's, through its public
// interface.
//
// Usage: speed.exe FILE SERVER. FILE is read once before, so that it lies in the page cache. SERVER is the
// process number of Wine's server, whose CPU time counts, or 0. The last line is one JSON object of numbers.
// Compare only numbers of one machine, one Wine and one hour.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "../../tests/dstorage/test.h"

#define QUEUE_CAPACITY 2048
#define SUBMIT_EVERY 64
#define SAMPLES 1000
#define ENQUEUE_SAMPLES 200
// Long against the clock of CPU times, which ticks every 10 ms.
#define PASS_S 1.0
#define IDLE_MS 2000
#define BUFFER_BYTES (64u << 20)

static storage_factory *factory;
static storage_file *file;
static storage_queue *queue;
static storage_status_array *array;
static HANDLE event;
static uint8_t *to;
static uint64_t file_bytes;
static unsigned server;

static double seconds(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

// CPU time so far: of this process, with all its threads, and of Wine's server, by its own account.
struct cpu {
    double process_s, server_s;
};

static double seconds_of(FILETIME time) {
    return (double)((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime) / 1e7;
}

static struct cpu cpu_time(void) {
    FILETIME unused, kernel, user;
    struct cpu cpu = {0};
    GetProcessTimes(GetCurrentProcess(), &unused, &unused, &kernel, &user);
    cpu.process_s = seconds_of(kernel) + seconds_of(user);
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "Z:\\proc\\%u\\schedstat", server);
    FILE *account = server ? fopen(path, "rb") : NULL;
    ok(!server || account, "no account of the server's time");
    if (!account) return cpu;
    if (fgets(text, sizeof text, account)) cpu.server_s = strtod(text, NULL) / 1e9;
    fclose(account);
    return cpu;
}

// Submits, and sleeps until all before has completed.
static void wait_for_all(void) {
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->EnqueueSetEvent(queue, event);
    queue->methods->Submit(queue);
    ok(WaitForSingleObject(event, LONG_MS) == WAIT_OBJECT_0, "it takes too long");
    ok_hr(array->methods->GetHResult(array, 0), S_OK);
}

// Reads in requests of `request_bytes` for `limit_s`; answers how many.
static uint64_t read_for(uint32_t request_bytes, double limit_s) {
    double start = seconds();
    uint64_t count = 0;
    while (seconds() - start < limit_s) {
        for (unsigned i = 0; i < SUBMIT_EVERY; i++, count++) {
            uint64_t at = count * request_bytes % file_bytes;
            storage_request request = read_request(file, at, to + at % BUFFER_BYTES, request_bytes);
            queue->methods->EnqueueRequest(queue, &request);
        }
        queue->methods->Submit(queue);
    }
    wait_for_all();
    return count;
}

static void throughput(const char *name, uint32_t request_bytes) {
    read_for(request_bytes, PASS_S / 4);
    struct cpu before = cpu_time();
    double start = seconds();
    double count = (double)read_for(request_bytes, PASS_S);
    double took = seconds() - start;
    struct cpu after = cpu_time();
    printf("\"%s_mb_s\": %.1f, \"%s_ns\": %.1f, \"%s_cpu_ns\": %.1f, \"%s_server_cpu_ns\": %.1f, ", name,
           count * request_bytes / took / 1e6, name, took * 1e9 / count, name,
           (after.process_s - before.process_s + after.server_s - before.server_s) * 1e9 / count, name,
           (after.server_s - before.server_s) * 1e9 / count);
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_median(const char *name, double *samples, unsigned count) {
    qsort(samples, count, sizeof *samples, compare);
    printf("\"%s_p50_ns\": %.1f, \"%s_p99_ns\": %.1f, ", name, samples[count / 2] * 1e9, name,
           samples[count * 99 / 100] * 1e9);
}

// One request at a time, from submit until its status is seen.
static void latency(void) {
    static double samples[SAMPLES];
    for (unsigned i = 0; i < SAMPLES; i++) {
        storage_request request = read_request(file, i * 4096, to, 4096);
        queue->methods->EnqueueRequest(queue, &request);
        queue->methods->EnqueueStatus(queue, array, 0);
        double start = seconds();
        queue->methods->Submit(queue);
        while (!array->methods->IsComplete(array, 0)) YieldProcessor();
        samples[i] = seconds() - start;
    }
    print_median("submit_to_status", samples, SAMPLES);
}

// What the calling thread spends on an enqueue: timed in groups, for the clock is not finer.
static void enqueue(void) {
    static double samples[ENQUEUE_SAMPLES];
    for (unsigned i = 0; i < ENQUEUE_SAMPLES; i++) {
        storage_request request = read_request(file, 0, to, 4096);
        double start = seconds();
        for (unsigned j = 0; j < 64; j++) queue->methods->EnqueueRequest(queue, &request);
        samples[i] = (seconds() - start) / 64;
        wait_for_all();
    }
    print_median("enqueue", samples, ENQUEUE_SAMPLES);
}

// What a runtime costs that has nothing to do.
static void idle(void) {
    Sleep(200);
    struct cpu before = cpu_time();
    Sleep(IDLE_MS);
    struct cpu after = cpu_time();
    printf("\"idle_cpu_ms_per_s\": %.2f, ", (after.process_s - before.process_s) * 1e6 / IDLE_MS);
}

// Streams of a mebibyte, from memory to memory.
static void decompression(void) {
    enum { STREAM = 1 << 20, ROUNDS = 256 };
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
    printf("\"gdeflate_mb_s\": %.1f, \"gdeflate_stream_bytes\": %u, ",
           ROUNDS * (double)STREAM / (seconds() - start) / 1e6, (unsigned)stream_bytes);
    ok(!memcmp(to, source, STREAM), "the bytes");
    memory->methods->Release(memory);
    free(stream);
    free(source);
}

static int usage(void) {
    fprintf(stderr, "usage: speed.exe FILE SERVER\n");
    return 2;
}

int main(int count, char **arguments) {
    double start = seconds();
    load_dll();
    factory = factory_or_exit();
    double started = seconds() - start;
    WCHAR path[MAX_PATH];
    if (count != 3 || !MultiByteToWideChar(CP_ACP, 0, arguments[1], -1, path, MAX_PATH)) return usage();
    server = (unsigned)strtoul(arguments[2], NULL, 10);
    file = open_file(factory, path);
    if (!file) return 1;
    BY_HANDLE_FILE_INFORMATION about;
    ok_hr(file->methods->GetFileInformation(file, &about), S_OK);
    // Whole mebibytes, so that no request crosses the end.
    file_bytes = ((uint64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow) & ~UINT64_C(0xFFFFF);
    if (!file_bytes) return usage();
    to = malloc(BUFFER_BYTES + (1u << 20));
    memset(to, 1, BUFFER_BYTES + (1u << 20));
    event = CreateEventW(NULL, FALSE, FALSE, NULL);
    storage_queue_desc desc = {.source_type = SOURCE_FILE, .capacity = QUEUE_CAPACITY};
    ok_hr(factory->methods->CreateQueue(factory, &desc, &IID_QUEUE1, (void **)&queue), S_OK);
    array = make_array(factory, 1);
    read_for(1 << 20, PASS_S / 4);
    printf("{\"ours\": %d, ", ours);
    throughput("read_4k", 4096);
    throughput("read_64k", 65536);
    throughput("read_1m", 1 << 20);
    latency();
    enqueue();
    decompression();
    idle();
    printf("\"load_ms\": %.2f}\n", started * 1e3);
    array->methods->Release(array);
    queue->methods->Release(queue);
    file->methods->Release(file);
    factory->methods->Release(factory);
    return failed ? 1 : 0;
}
