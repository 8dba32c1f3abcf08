// speed_d3d12.c: files into D3D12 buffers, beside what a program would write by hand.
//
// Usage: speed_d3d12.exe FILE [SERVER]. FILE has at least LOAD_BYTES and is read once before, so that it lies
// in the page cache; SERVER, which speed.c takes, means nothing here. By hand means: ReadFile into a mapped
// upload heap, request by request, then one CopyBufferRegion, and a wait for its fence. Both take turns in
// this process, read the same bytes and end when a fence has come; whoever waits sleeps. Speeds are medians
// of the turns, ratios are taken within each turn. GDeflate is compared with what the DLL's own codec decodes
// on one thread of the program, times the cores; both DLLs are asked to let no GPU decode. The last line is
// one JSON object of numbers; without a D3D12 device, or where the DLL makes no queue for one, it says
// SKIPPED and ends with 77.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "../../tests/dstorage/d3d12.h"

#include <psapi.h>

#define MEBIBYTE (1u << 20)
#define LOAD_BYTES (64u << 20)
#define QUEUE_CAPACITY 2048
#define SUBMIT_EVERY 64
#define TURNS 7
#define TURN_S 0.2
#define SAMPLES 400
#define LATENCY_BYTES 65536
#define STREAM_BYTES MEBIBYTE
#define STREAMS (LOAD_BYTES / STREAM_BYTES)
#define THREADS_MAX 64
#define GROWTH_WARM_UP 20000
#define GROWTH_REQUESTS 100000
#define GROWTH_BYTES 4096

static storage_factory *factory;
static storage_queue *queue;
static storage_status_array *array;
static storage_file *file;
static ID3D12Resource *buffer;
static HANDLE event;
// For EnqueueSignal alone, so that its values only grow.
static ID3D12Fence *loaded;
static uint64_t loaded_value;

// What the loop by hand has.
static struct {
    HANDLE file;
    ID3D12Resource *heap, *buffer;
    uint8_t *mapped;
    ID3D12CommandQueue *commands;
    ID3D12CommandAllocator *allocator;
    ID3D12GraphicsCommandList *list;
    ID3D12Fence *fence;
    uint64_t value;
} hand;

static double seconds(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double quantile(double *samples, unsigned count, unsigned percent) {
    qsort(samples, count, sizeof *samples, compare);
    return samples[count * percent / 100];
}

// A late event would wake another wait: the program ends instead.
static void sleep_until(ID3D12Fence *of, uint64_t value) {
    must(ID3D12Fence_SetEventOnCompletion(of, value, event));
    if (WaitForSingleObject(event, LONG_MS) == WAIT_OBJECT_0) return;
    uint64_t there = ID3D12Fence_GetCompletedValue(of);
    printf("\nno event for value %u of %s fence, which has %u\n", (unsigned)value,
           of == loaded ? "the queue's" : "the loop's", (unsigned)there);
    exit(1);
}

// ---- The two ways.

typedef void way(uint32_t bytes, uint32_t request_bytes);

static void wait_for_fence(void) {
    queue->methods->EnqueueSignal(queue, (d3d12_fence *)loaded, ++loaded_value);
    queue->methods->Submit(queue);
    sleep_until(loaded, loaded_value);
}

// A status before the fence, which must be set when the fence comes.
static void wait_for_load(void) {
    queue->methods->EnqueueStatus(queue, array, 0);
    wait_for_fence();
}

// One request, and nothing but its fence.
static void load_one(uint32_t bytes, uint32_t request_bytes) {
    (void)bytes;
    storage_request request = read_request(file, 0, NULL, request_bytes);
    request = to_buffer(request, buffer, 0, request_bytes);
    queue->methods->EnqueueRequest(queue, &request);
    wait_for_fence();
}

// Fills the first `bytes` of the buffer in requests of `request_bytes`.
static void load(uint32_t bytes, uint32_t request_bytes) {
    uint32_t count = 0;
    for (uint32_t at = 0; at < bytes; at += request_bytes) {
        storage_request request = read_request(file, at, NULL, request_bytes);
        request = to_buffer(request, buffer, at, request_bytes);
        queue->methods->EnqueueRequest(queue, &request);
        if (++count % SUBMIT_EVERY == 0) queue->methods->Submit(queue);
    }
    wait_for_load();
    ok_hr(array->methods->GetHResult(array, 0), S_OK);
}

static void copy_by_hand(ID3D12Resource *to, uint32_t bytes) {
    must(ID3D12CommandAllocator_Reset(hand.allocator));
    must(ID3D12GraphicsCommandList_Reset(hand.list, hand.allocator, NULL));
    ID3D12GraphicsCommandList_CopyBufferRegion(hand.list, to, 0, hand.heap, 0, bytes);
    must(ID3D12GraphicsCommandList_Close(hand.list));
    ID3D12CommandList *lists[] = {(ID3D12CommandList *)hand.list};
    ID3D12CommandQueue_ExecuteCommandLists(hand.commands, 1, lists);
    must(ID3D12CommandQueue_Signal(hand.commands, hand.fence, ++hand.value));
    sleep_until(hand.fence, hand.value);
}

static void load_by_hand(uint32_t bytes, uint32_t request_bytes) {
    SetFilePointer(hand.file, 0, NULL, FILE_BEGIN);
    for (uint32_t at = 0; at < bytes; at += request_bytes) {
        DWORD got = 0;
        ok(ReadFile(hand.file, hand.mapped + at, request_bytes, &got, NULL) && got == request_bytes,
           "ReadFile: %lu", GetLastError());
    }
    copy_by_hand(hand.buffer, bytes);
}

static void prepare_hand(const WCHAR *path) {
    hand.file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING,
                            FILE_FLAG_SEQUENTIAL_SCAN, NULL);
    ok(hand.file != INVALID_HANDLE_VALUE, "CreateFileW: %lu", GetLastError());
    hand.heap = make_unknown_buffer(LOAD_BYTES, D3D12_HEAP_TYPE_UPLOAD);
    must(ID3D12Resource_Map(hand.heap, 0, NULL, (void **)&hand.mapped));
    const D3D12_COMMAND_LIST_TYPE type = D3D12_COMMAND_LIST_TYPE_COPY;
    D3D12_COMMAND_QUEUE_DESC desc = {.Type = type};
    must(ID3D12Device_CreateCommandQueue(device, &desc, &IID_ID3D12CommandQueue, (void **)&hand.commands));
    must(ID3D12Device_CreateCommandAllocator(device, type, &IID_ID3D12CommandAllocator,
                                             (void **)&hand.allocator));
    must(ID3D12Device_CreateCommandList(device, 0, type, hand.allocator, NULL, &IID_ID3D12GraphicsCommandList,
                                        (void **)&hand.list));
    must(ID3D12GraphicsCommandList_Close(hand.list));
    hand.fence = make_fence();
    hand.buffer = make_unknown_buffer(LOAD_BYTES, D3D12_HEAP_TYPE_DEFAULT);
}

// ---- Measurements.

// Whether a way has filled its buffer with the file.
static void check_bytes(const char *name, ID3D12Resource *filled) {
    uint8_t *found = read_buffer(filled, LOAD_BYTES), *wanted = malloc(LOAD_BYTES);
    DWORD got = 0;
    SetFilePointer(hand.file, 0, NULL, FILE_BEGIN);
    ok(ReadFile(hand.file, wanted, LOAD_BYTES, &got, NULL) && got == LOAD_BYTES, "%s: the file", name);
    ok(!memcmp(found, wanted, LOAD_BYTES), "%s: other bytes", name);
    free(wanted);
    free(found);
}

static double mb_s(way *fill, uint32_t request_bytes) {
    double start = seconds(), took;
    uint64_t bytes = 0;
    do {
        fill(LOAD_BYTES, request_bytes);
        bytes += LOAD_BYTES;
        took = seconds() - start;
    } while (took < TURN_S);
    return (double)bytes / took / 1e6;
}

static void throughput(const char *name, uint32_t request_bytes) {
    double ours_[TURNS], hand_[TURNS], ratios[TURNS];
    for (unsigned i = 0; i < TURNS; i++) {
        ours_[i] = mb_s(load, request_bytes);
        hand_[i] = mb_s(load_by_hand, request_bytes);
        ratios[i] = ours_[i] / hand_[i];
    }
    printf("\"%s_mb_s\": %.1f, \"%s_by_hand_mb_s\": %.1f, \"%s_ratio\": %.4f, ", name,
           quantile(ours_, TURNS, 50), name, quantile(hand_, TURNS, 50), name, quantile(ratios, TURNS, 50));
}

static double once(way *fill) {
    double start = seconds();
    fill(LATENCY_BYTES, LATENCY_BYTES);
    return seconds() - start;
}

static void latency(void) {
    static double ours_[SAMPLES], status[SAMPLES], hand_[SAMPLES], ratios[SAMPLES];
    for (unsigned i = 0; i < SAMPLES; i++) {
        ours_[i] = once(load_one);
        status[i] = once(load);
        hand_[i] = once(load_by_hand);
        ratios[i] = ours_[i] / hand_[i];
    }
    printf("\"latency_p50_ns\": %.0f, \"latency_status_p50_ns\": %.0f, \"latency_by_hand_p50_ns\": %.0f, "
           "\"latency_ratio\": %.4f, ",
           quantile(ours_, SAMPLES, 50) * 1e9, quantile(status, SAMPLES, 50) * 1e9,
           quantile(hand_, SAMPLES, 50) * 1e9, quantile(ratios, SAMPLES, 50));
    printf("\"latency_p99_ns\": %.0f, \"latency_by_hand_p99_ns\": %.0f, ",
           quantile(ours_, SAMPLES, 99) * 1e9, quantile(hand_, SAMPLES, 99) * 1e9);
}

// ---- GDeflate.

static uint8_t *content, *stream, *decoded;
static SIZE_T stream_bytes;
static storage_file *streams;

// As compressible as a game's textures are; the same as speed.c's.
static void make_content(void) {
    uint32_t noise = 1;
    content = malloc(STREAM_BYTES);
    for (uint32_t i = 0; i < STREAM_BYTES; i++) {
        noise = noise * 1664525 + 1013904223;
        content[i] = i > 1000 && (i >> 5) % 2 ? content[i - 1000] : (uint8_t)(noise >> 28);
    }
}

static storage_codec *make_codec(uint32_t threads) {
    storage_codec *codec = NULL;
    must(create_codec(COMPRESSION_GDEFLATE, threads, &IID_CODEC, (void **)&codec));
    return codec;
}

// A file of as many streams as the buffer has room for, one after the other.
static void make_streams(void) {
    make_content();
    storage_codec *codec = make_codec(1);
    SIZE_T bound = codec->methods->CompressBufferBound(codec, STREAM_BYTES);
    stream = malloc(bound);
    must(codec->methods->CompressBuffer(codec, content, STREAM_BYTES, LEVEL_DEFAULT, stream, bound,
                                        &stream_bytes));
    codec->methods->Release(codec);
    FILE *out = _wfopen(L"streams", L"wb");
    for (unsigned i = 0; out && i < STREAMS; i++) fwrite(stream, 1, stream_bytes, out);
    ok(out && !fclose(out), "no file of streams");
    streams = open_file(factory, L"streams");
    decoded = malloc(LOAD_BYTES);
    memset(decoded, 1, LOAD_BYTES);
}

static void load_compressed(uint32_t bytes, uint32_t request_bytes) {
    for (uint32_t i = 0; i < bytes / request_bytes; i++) {
        storage_request request = read_request(streams, i * stream_bytes, NULL, (uint32_t)stream_bytes);
        request.options.compression_format = COMPRESSION_GDEFLATE;
        request.uncompressed_size = request_bytes;
        request = to_buffer(request, buffer, (uint64_t)i * request_bytes, request_bytes);
        queue->methods->EnqueueRequest(queue, &request);
    }
    wait_for_load();
    ok_hr(array->methods->GetHResult(array, 0), S_OK);
}

static void decode_some(storage_codec *codec, unsigned first, unsigned step) {
    for (unsigned i = first; i < STREAMS; i += step) {
        SIZE_T written = 0;
        codec->methods->DecompressBuffer(codec, stream, stream_bytes, decoded + (SIZE_T)i * STREAM_BYTES,
                                         STREAM_BYTES, &written);
        ok(written == STREAM_BYTES, "decoded %u bytes", (unsigned)written);
    }
}

static storage_codec *one_thread;
static void decode_alone(uint32_t bytes, uint32_t request_bytes) {
    (void)bytes, (void)request_bytes;
    decode_some(one_thread, 0, 1);
}

static unsigned cores(void) {
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    return system.dwNumberOfProcessors;
}

static void decompression(void) {
    double ours_[TURNS], alone[TURNS], ratios[TURNS], shared[TURNS];
    make_streams();
    one_thread = make_codec(1);
    load_compressed(LOAD_BYTES, STREAM_BYTES);
    uint8_t *found = read_buffer(buffer, LOAD_BYTES);
    for (unsigned i = 0; i < STREAMS; i++)
        ok(!memcmp(found + (SIZE_T)i * STREAM_BYTES, content, STREAM_BYTES), "stream %u", i);
    free(found);
    for (unsigned i = 0; i < TURNS; i++) {
        ours_[i] = mb_s(load_compressed, STREAM_BYTES);
        alone[i] = mb_s(decode_alone, STREAM_BYTES) * cores();
        ratios[i] = ours_[i] / alone[i];
        // Where the GPU is software, the cores that decode also copy.
        shared[i] = ours_[i] * (1 / alone[i] + 1 / mb_s(load, STREAM_BYTES));
    }
    printf("\"gdeflate_mb_s\": %.1f, \"decode_mb_s\": %.1f, \"cores\": %u, \"gdeflate_ratio\": %.4f, "
           "\"gdeflate_software_gpu_ratio\": %.4f, ",
           quantile(ours_, TURNS, 50), quantile(alone, TURNS, 50), cores(), quantile(ratios, TURNS, 50),
           quantile(shared, TURNS, 50));
    one_thread->methods->Release(one_thread);
    streams->methods->Release(streams);
}

// ---- Memory.

struct memory {
    double resident_mib, peak_mib;
    DWORD handles;
};

static struct memory memory_now(void) {
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};
    struct memory now = {0};
    ok(K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters), "no account of memory");
    now.resident_mib = (double)counters.WorkingSetSize / MEBIBYTE;
    now.peak_mib = (double)counters.PeakWorkingSetSize / MEBIBYTE;
    GetProcessHandleCount(GetCurrentProcess(), &now.handles);
    return now;
}

static void load_small(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i % (LOAD_BYTES / GROWTH_BYTES) * GROWTH_BYTES;
        storage_request request = read_request(file, at, NULL, GROWTH_BYTES);
        request = to_buffer(request, buffer, at, GROWTH_BYTES);
        queue->methods->EnqueueRequest(queue, &request);
        if (i % SUBMIT_EVERY == SUBMIT_EVERY - 1) queue->methods->Submit(queue);
        if (i % 1000 == 999) queue->methods->EnqueueSignal(queue, (d3d12_fence *)loaded, ++loaded_value);
    }
    wait_for_load();
    ok_hr(array->methods->GetHResult(array, 0), S_OK);
}

// What 100,000 requests leave behind, once as many have gone before as it takes to have everything.
static void growth(void) {
    load_small(GROWTH_WARM_UP);
    struct memory before = memory_now();
    double start = seconds();
    load_small(GROWTH_REQUESTS);
    double took = seconds() - start;
    struct memory after = memory_now();
    printf("\"small_requests_per_s\": %.0f, \"growth_mib\": %.2f, \"growth_handles\": %ld, ",
           GROWTH_REQUESTS / took, after.resident_mib - before.resident_mib,
           (long)(after.handles - before.handles));
}

// Also where a d3d12 offers to decode on the GPU.
static void decode_by_processor(void) {
    storage_configuration configuration = {
        .force_mapping_layer = !ours, .disable_telemetry = TRUE, .disable_gpu_decompression = TRUE};
    ok_hr(set_configuration(&configuration), S_OK);
}

static void make_queue_or_skip(void) {
    storage_queue_desc desc = {.source_type = SOURCE_FILE,
                               .capacity = QUEUE_CAPACITY,
                               .name = "speed",
                               .device = (IUnknown *)device};
    HRESULT result = factory->methods->CreateQueue(factory, &desc, &IID_QUEUE1, (void **)&queue);
    if (SUCCEEDED(result)) return;
    printf("SKIPPED: this DLL makes no queue for this device: %08lx\n", (long)result);
    exit(EXIT_SKIPPED);
}

int main(int count, char **arguments) {
    WCHAR path[MAX_PATH];
    if (count < 2 || !MultiByteToWideChar(CP_ACP, 0, arguments[1], -1, path, MAX_PATH)) {
        fprintf(stderr, "usage: speed_d3d12.exe FILE [SERVER]\n");
        return 2;
    }
    load_dll();
    make_device();
    decode_by_processor();
    factory = factory_or_exit();
    make_queue_or_skip();
    file = open_file(factory, path);
    array = make_array(factory, 1);
    event = CreateEventW(NULL, FALSE, FALSE, NULL);
    loaded = make_fence();
    buffer = make_unknown_buffer(LOAD_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    prepare_hand(path);
    // From here on all memory that is not the queue's has its pages.
    memset(hand.mapped, 0x55, LOAD_BYTES);
    copy_by_hand(buffer, LOAD_BYTES);
    load_by_hand(LOAD_BYTES, MEBIBYTE);
    struct memory before = memory_now();
    load(LOAD_BYTES, MEBIBYTE);
    printf("{\"ours\": %d, ", ours);
    throughput("read_64k", 65536);
    throughput("read_1m", MEBIBYTE);
    struct memory after = memory_now();
    check_bytes("queue", buffer);
    check_bytes("by hand", hand.buffer);
    latency();
    growth();
    decompression();
    printf("\"resident_before_mib\": %.1f, \"staging_mib\": %.1f}\n", before.resident_mib,
           after.peak_mib - before.resident_mib);
    queue->methods->Release(queue);
    file->methods->Release(file);
    array->methods->Release(array);
    factory->methods->Release(factory);
    return failed ? 1 : 0;
}
