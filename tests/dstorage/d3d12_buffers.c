// d3d12_buffers.c: D3D12 buffers as destinations, read back and compared byte for byte.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "d3d12.h"

#define FILE_BYTES (24u << 20)
#define BUFFER_BYTES (24u << 20)

static storage_factory *factory;
static storage_file *file;
static uint8_t *contents;

static BOOL is_at(const uint8_t *bytes, uint64_t at, uint64_t offset, uint64_t count) {
    return !memcmp(bytes + at, contents + offset, count);
}

static BOOL all_zero(const uint8_t *bytes, uint64_t from, uint64_t to) {
    while (from < to && !bytes[from]) from++;
    return from == to;
}

static storage_request read_to(ID3D12Resource *buffer, uint64_t at, uint64_t offset, uint32_t bytes) {
    return to_buffer(read_request(file, offset, NULL, bytes), buffer, at, bytes);
}

// Sizes of every kind; the largest is more than the upload memory of one batch.
static void bytes_arrive(void) {
    static const uint32_t sizes[] = {1, 3, 255, 4096, 65536, (1 << 20) + 5, 20 << 20};
    storage_queue *from_file = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    storage_queue *from_memory = make_device_queue(factory, SOURCE_MEMORY, CAPACITY);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t size = sizes[i], at = 7 * i, offset = 1001 * i;
        ID3D12Resource *buffer = make_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_DEFAULT);
        ok_hr(run(factory, from_file, read_to(buffer, at, offset, size)), S_OK);
        uint8_t *bytes = read_buffer(buffer, BUFFER_BYTES);
        ok(is_at(bytes, at, offset, size), "%u bytes of a file", size);
        ok(all_zero(bytes, 0, at) && all_zero(bytes, at + size, BUFFER_BYTES), "%u: others", size);
        free(bytes);
        storage_request copy = copy_request(contents + offset + 1, NULL, size);
        ok_hr(run(factory, from_memory, to_buffer(copy, buffer, at, size)), S_OK);
        bytes = read_buffer(buffer, BUFFER_BYTES);
        ok(is_at(bytes, at, offset + 1, size), "%u bytes of memory", size);
        free(bytes);
        ID3D12Resource_Release(buffer);
    }
    from_file->methods->Release(from_file);
    from_memory->methods->Release(from_memory);
}

static SIZE_T compress(uint32_t bytes, uint8_t **stream) {
    storage_codec *codec;
    SIZE_T written = 0;
    must(create_codec(COMPRESSION_GDEFLATE, 1, &IID_CODEC, (void **)&codec));
    SIZE_T bound = codec->methods->CompressBufferBound(codec, bytes);
    *stream = malloc(bound);
    ok_hr(codec->methods->CompressBuffer(codec, contents, bytes, LEVEL_FASTEST, *stream, bound, &written),
          S_OK);
    codec->methods->Release(codec);
    return written;
}

static void compressed_bytes_arrive(void) {
    const uint32_t size = 3 * 65536 + 100;
    uint8_t *stream;
    SIZE_T stream_bytes = compress(size, &stream);
    FILE *out = _wfopen(L"stream", L"wb");
    fwrite(stream, 1, stream_bytes, out);
    fclose(out);
    storage_file *stream_file = open_file(factory, L"stream");
    storage_request requests[] = {copy_request(stream, NULL, (uint32_t)stream_bytes),
                                  read_request(stream_file, 0, NULL, (uint32_t)stream_bytes)};
    for (int i = 0; i < 2; i++) {
        storage_queue *queue = make_device_queue(factory, i ? SOURCE_FILE : SOURCE_MEMORY, CAPACITY);
        ok(queue->methods->GetCompressionSupport(queue, COMPRESSION_GDEFLATE) == 4, "by the CPU");
        requests[i].options.compression_format = COMPRESSION_GDEFLATE;
        requests[i].uncompressed_size = size;
        for (uint32_t wanted = size; wanted > 1; wanted /= 3) {
            ID3D12Resource *buffer = make_buffer(size + 10, D3D12_HEAP_TYPE_DEFAULT);
            ok_hr(run(factory, queue, to_buffer(requests[i], buffer, 5, wanted)), S_OK);
            uint8_t *bytes = read_buffer(buffer, size + 10);
            ok(is_at(bytes, 5, 0, wanted) && all_zero(bytes, 5 + wanted, size + 10), "%u bytes", wanted);
            free(bytes);
            ID3D12Resource_Release(buffer);
        }
        queue->methods->Release(queue);
    }
    stream_file->methods->Release(stream_file);
    free(stream);
}

static void half_a_stream_fails(void) {
    const uint32_t size = 3 * 65536 + 100;
    uint8_t *stream;
    SIZE_T stream_bytes = compress(size, &stream);
    storage_queue *queue = make_device_queue(factory, SOURCE_MEMORY, CAPACITY);
    ID3D12Resource *buffer = make_buffer(size, D3D12_HEAP_TYPE_DEFAULT);
    storage_request request = copy_request(stream, NULL, (uint32_t)stream_bytes / 2);
    request.options.compression_format = COMPRESSION_GDEFLATE;
    request.uncompressed_size = size;
    ok(FAILED(run(factory, queue, to_buffer(request, buffer, 0, size))), "half a stream");
    uint8_t *bytes = read_buffer(buffer, size);
    ok(all_zero(bytes, 0, size), "nothing of it");
    free(bytes);
    ID3D12Resource_Release(buffer);
    queue->methods->Release(queue);
    free(stream);
}

// The application's own format: each byte is inverted.
static void custom_formats_arrive(void) {
    storage_custom_queue *custom;
    must(factory->methods->QueryInterface(factory, &IID_CUSTOM_QUEUE, (void **)&custom));
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ID3D12Resource *buffer = make_buffer(1000, D3D12_HEAP_TYPE_DEFAULT);
    storage_request request = read_to(buffer, 0, 50, 1000);
    request.options.compression_format = COMPRESSION_CUSTOM_0;
    storage_status_array *array = make_array(factory, 1);
    queue->methods->EnqueueRequest(queue, &request);
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->Submit(queue);
    storage_custom_request found;
    uint32_t count = 0;
    DWORD start = GetTickCount();
    while (!count && GetTickCount() - start < LONG_MS) {
        custom->methods->GetRequests(custom, 1, &found, &count);
        if (!count) Sleep(1);
    }
    ok(count == 1 && found.source_size == 1000 && found.destination_size == 1000, "a custom request");
    for (int i = 0; i < 1000; i++) ((uint8_t *)found.destination)[i] = ~((const uint8_t *)found.source)[i];
    storage_custom_result result = {.id = found.id, .result = S_OK};
    ok_hr(custom->methods->SetRequestResults(custom, 1, &result), S_OK);
    ok_hr(wait_status(array, 0, LONG_MS), S_OK);
    uint8_t *bytes = read_buffer(buffer, 1000);
    int wrong = 0;
    for (int i = 0; i < 1000; i++) wrong += (bytes[i] ^ contents[50 + i]) != 0xFF;
    ok(!wrong, "%d bytes are wrong", wrong);
    free(bytes);
    array->methods->Release(array);
    ID3D12Resource_Release(buffer);
    queue->methods->Release(queue);
    custom->methods->Release(custom);
}

static uint32_t random_state = 1;
static uint32_t random_below(uint32_t end) {
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * end >> 32);
}

#define MANY 4000
#define SLOT_BYTES 3000

// Files and memory, buffers and memory, many queues' worth of requests, with a fence behind every hundred.
static void thousands_arrive(void) {
    storage_queue *queues[] = {make_device_queue(factory, SOURCE_FILE, 1024),
                               make_device_queue(factory, SOURCE_MEMORY, 1024)};
    ID3D12Resource *buffer = make_buffer(MANY * SLOT_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    uint8_t *memory = calloc(MANY, SLOT_BYTES);
    static uint32_t offsets[MANY], sizes[MANY];
    ID3D12Fence *fences[] = {make_fence(), make_fence()};
    for (uint32_t i = 0; i < MANY; i++) {
        int which = i & 1;
        uint32_t offset = offsets[i] = random_below(1 << 20), size = sizes[i] = 1 + random_below(SLOT_BYTES);
        storage_request request = which ? copy_request(contents + offset, memory + i * SLOT_BYTES, size)
                                        : read_request(file, offset, memory + i * SLOT_BYTES, size);
        if (i % 5) request = to_buffer(request, buffer, (uint64_t)i * SLOT_BYTES, size);
        queues[which]->methods->EnqueueRequest(queues[which], &request);
        if (i % 100 == 98u + i % 2)
            queues[which]->methods->EnqueueSignal(queues[which], (d3d12_fence *)fences[which], i / 100 + 1);
    }
    for (int i = 0; i < 2; i++) {
        ok_hr(finish(factory, queues[i]), S_OK);
        ok(wait_fence(fences[i], MANY / 100), "the last fence");
        ID3D12Fence_Release(fences[i]);
        queues[i]->methods->Release(queues[i]);
    }
    uint8_t *bytes = read_buffer(buffer, MANY * SLOT_BYTES);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        const uint8_t *from = (i % 5 ? bytes : memory) + (uint64_t)i * SLOT_BYTES;
        wrong += !is_at(from, 0, offsets[i], sizes[i]) || !all_zero(from, sizes[i], SLOT_BYTES);
    }
    ok(!wrong, "%u of %u are wrong", wrong, MANY);
    free(bytes);
    free(memory);
    ID3D12Resource_Release(buffer);
}

// What the GPU does behind the fence sees the bytes, without a look from the CPU.
static void a_fence_is_behind_its_bytes(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ID3D12Fence *told = make_fence();
    ID3D12Resource *buffer = make_buffer(65536, D3D12_HEAP_TYPE_DEFAULT);
    for (uint64_t i = 1; i <= 40; i++) {
        storage_request request = read_to(buffer, 0, i * 4001, 65536);
        queue->methods->EnqueueRequest(queue, &request);
        queue->methods->EnqueueSignal(queue, (d3d12_fence *)told, i);
        queue->methods->Submit(queue);
        must(ID3D12CommandQueue_Wait(commands, told, i));
        uint8_t *bytes = read_buffer(buffer, 65536);
        ok(is_at(bytes, 0, i * 4001, 65536), "round %u", (unsigned)i);
        free(bytes);
    }
    queue->methods->Release(queue);
    ID3D12Fence_Release(told);
    ID3D12Resource_Release(buffer);
}

static void expect(storage_queue *queue, storage_request request, HRESULT wanted) {
    ok_hr(run(factory, queue, request), wanted);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 1 && record.first_failure.result == wanted, "%u failures, %08lx",
       record.failure_count, (long)record.first_failure.result);
    const storage_request *told = &record.first_failure.request.request;
    ok(told->options.types == request.options.types, "types %x", told->options.types);
    ok(!memcmp(&told->destination, &request.destination, sizeof told->destination), "the destination");
}

static BOOL has_tiles(void) {
    D3D12_FEATURE_DATA_D3D12_OPTIONS options = {0};
    must(ID3D12Device_CheckFeatureSupport(device, D3D12_FEATURE_D3D12_OPTIONS, &options, sizeof options));
    return options.TiledResourcesTier != D3D12_TILED_RESOURCES_TIER_NOT_SUPPORTED;
}

static void what_cannot_be_is_said(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ID3D12Resource *buffer = make_buffer(65536, D3D12_HEAP_TYPE_DEFAULT);
    ID3D12Resource *upload = make_buffer(65536, D3D12_HEAP_TYPE_UPLOAD);
    expect(queue, read_to(NULL, 0, 0, 10), E_DSTORAGE_ACCESS_VIOLATION);
    expect(queue, read_to(buffer, 65530, 0, 10), E_INVALIDARG);
    expect(queue, read_to(buffer, UINT64_MAX, 0, 10), E_INVALIDARG);
    expect(queue, read_to(upload, 0, 0, 10), E_INVALIDARG);
    expect(queue, read_to(buffer, 0, FILE_BYTES - 5, 10), E_DSTORAGE_END_OF_FILE);
    storage_request request = read_to(buffer, 0, 0, 10);
    request.destination.buffer.size = 11;
    expect(queue, request, E_DSTORAGE_INVALID_DESTINATION_SIZE);
    request = read_to(buffer, 0, 0, 10);
    request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_TEXTURE_REGION);
    expect(queue, request, E_INVALIDARG);
    request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_TILES);
    expect(queue, request, has_tiles() ? E_INVALIDARG : E_DSTORAGE_INVALID_DESTINATION_TYPE);
    ID3D12Device *first = device;
    device = another_device();
    if (device != first) {
        ID3D12Resource *foreign = make_unknown_buffer(65536, D3D12_HEAP_TYPE_DEFAULT);
        expect(queue, read_to(foreign, 0, 0, 10), E_INVALIDARG);
        ID3D12Resource_Release(foreign);
    }
    ID3D12Device_Release(device);
    device = first;
    storage_queue *without = make_queue(factory, SOURCE_FILE);
    expect(without, read_to(buffer, 0, 0, 10), E_DSTORAGE_INVALID_DESTINATION_TYPE);
    without->methods->Release(without);
    uint8_t *bytes = read_buffer(buffer, 65536);
    ok(all_zero(bytes, 0, 65536), "something was written");
    free(bytes);
    // All is well after all that.
    ok_hr(run(factory, queue, read_to(buffer, 0, 0, 10)), S_OK);
    queue->methods->Release(queue);
    ID3D12Resource_Release(upload);
    ID3D12Resource_Release(buffer);
}

// A source that cannot be read is found by the pump.
static void a_bad_source_fails_its_request_alone(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_MEMORY, CAPACITY);
    ID3D12Resource *buffer = make_buffer(65536, D3D12_HEAP_TYPE_DEFAULT);
    void *bad = VirtualAlloc(NULL, 65536, MEM_RESERVE, PAGE_NOACCESS);
    storage_request good = to_buffer(copy_request(contents, NULL, 100), buffer, 0, 100);
    queue->methods->EnqueueRequest(queue, &good);
    ok_hr(run(factory, queue, to_buffer(copy_request(bad, NULL, 100), buffer, 200, 100)),
          E_DSTORAGE_ACCESS_VIOLATION);
    uint8_t *bytes = read_buffer(buffer, 65536);
    ok(is_at(bytes, 0, 0, 100) && all_zero(bytes, 100, 65536), "the good one alone");
    free(bytes);
    VirtualFree(bad, 0, MEM_RELEASE);
    queue->methods->Release(queue);
    ID3D12Resource_Release(buffer);
}

// How many references there are, besides the test's own.
static ULONG others(ID3D12Resource *resource) {
    ID3D12Resource_AddRef(resource);
    return ID3D12Resource_Release(resource) - 1;
}

static void queues_end_with_work_in_flight(void) {
    ID3D12Resource *buffer = make_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    for (int round = 0; round < 60; round++) {
        storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
        storage_status_array *array = make_array(factory, 1);
        for (uint32_t i = 0; i < 100; i++) {
            storage_request request = read_to(buffer, i * 65536, i * 65536, 65536);
            request.cancellation_tag = i & 1;
            queue->methods->EnqueueRequest(queue, &request);
        }
        queue->methods->EnqueueStatus(queue, array, 0);
        if (round % 4) queue->methods->Submit(queue);
        if (round % 4 == 2) queue->methods->CancelRequestsWithTag(queue, 1, round & 1);
        if (round % 4 == 1) queue->methods->Close(queue);
        if (round % 4 == 3) ok_hr(wait_status(array, 0, LONG_MS), S_OK);
        queue->methods->Release(queue);
        array->methods->Release(array);
    }
    DWORD start = GetTickCount();
    while (others(buffer) && GetTickCount() - start < LONG_MS) Sleep(1);
    ok(others(buffer) == 0, "%lu references are left", others(buffer));
    ID3D12Resource_Release(buffer);
}

// The application may forget a resource that is on its way.
static void a_resource_lives_while_it_is_filled(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    for (int i = 0; i < 20; i++) {
        ID3D12Resource *buffer = make_buffer(1 << 20, D3D12_HEAP_TYPE_DEFAULT);
        storage_request request = read_to(buffer, 0, 0, 1 << 20);
        queue->methods->EnqueueRequest(queue, &request);
        ID3D12Resource_Release(buffer);
    }
    ok_hr(finish(factory, queue), S_OK);
    queue->methods->Release(queue);
}

int main(void) {
    load_dll();
    make_device();
    contents = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i++) contents[i] = pattern(i) ^ (uint8_t)(i >> 16);
    FILE *out = _wfopen(L"data", L"wb");
    if (!out || fwrite(contents, 1, FILE_BYTES, out) != FILE_BYTES || fclose(out)) exit(1);
    factory = factory_or_exit();
    file = open_file(factory, L"data");
    bytes_arrive();
    compressed_bytes_arrive();
    custom_formats_arrive();
    thousands_arrive();
    a_fence_is_behind_its_bytes();
    queues_end_with_work_in_flight();
    a_resource_lives_while_it_is_filled();
    what_cannot_be_is_said();
    half_a_stream_fails();
    a_bad_source_fails_its_request_alone();
    file->methods->Release(file);
    factory->methods->Release(factory);
    return finish_d3d12_tests();
}
