// d3d12_gpu_decode.c: GDeflate that the device decodes (DS_CONFIG=gpu_decode=gpu), read back and compared.
//
// Only where the d3d12 has the metacommand that DirectStorage asks for: whether it has, is asked here, too.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "d3d12_texture.h"

#define TILE_BYTES 65536
#define CONTENT_BYTES (24u << 20)
#define BUFFER_BYTES CONTENT_BYTES
#define BY_GPU (SUPPORT_GPU_OPTIMIZED | SUPPORT_USES_COMPUTE_QUEUE)

static storage_factory *factory;
static storage_queue *queue, *file_queue;
static storage_codec *codec;
static uint8_t *contents;

static uint32_t random_state = 1;
static uint32_t random_below(uint32_t end) {
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * end >> 32);
}

// What a driver that has the metacommand answers; the layouts are the metacommand's own.
static BOOL has_metacommand(void) {
    static const GUID id = {0x1bddd090, 0xc47e, 0x459c, {0x8f, 0x81, 0x42, 0xc9, 0xf9, 0x7a, 0x53, 0x08}};
    uint64_t in[2] = {0x100001, 1}, out[3] = {0};
    struct {
        GUID id;
        UINT node_mask;
        const void *in;
        SIZE_T in_bytes;
        void *out;
        SIZE_T out_bytes;
    } query = {id, 0, in, sizeof in, out, sizeof out};
    return SUCCEEDED(ID3D12Device_CheckFeatureSupport(device, (D3D12_FEATURE)31, &query, sizeof query)) &&
           (out[0] >> 16 & 0xFFFF);
}

struct stream {
    uint8_t *bytes;
    SIZE_T size;
    uint32_t offset, decoded;
};

static struct stream compress(uint32_t offset, uint32_t bytes) {
    struct stream made = {.offset = offset, .decoded = bytes};
    SIZE_T bound = codec->methods->CompressBufferBound(codec, bytes);
    made.bytes = malloc(bound);
    must(codec->methods->CompressBuffer(codec, contents + offset, bytes, LEVEL_FASTEST, made.bytes, bound,
                                        &made.size));
    return made;
}

static storage_request decode_request(const struct stream *stream) {
    storage_request request = copy_request(stream->bytes, NULL, (uint32_t)stream->size);
    request.options.compression_format = COMPRESSION_GDEFLATE;
    request.uncompressed_size = stream->decoded;
    return request;
}

static BOOL all_zero(const uint8_t *bytes, uint64_t from, uint64_t to) {
    while (from < to && !bytes[from]) from++;
    return from == to;
}

// The first `wanted` bytes of the stream, at `at` of an empty buffer.
static void expect_bytes(storage_queue *on, storage_request request, const struct stream *stream, uint64_t at,
                         uint32_t wanted) {
    ID3D12Resource *buffer = make_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    ok_hr(run(factory, on, to_buffer(request, buffer, at, wanted)), S_OK);
    uint8_t *bytes = read_buffer(buffer, BUFFER_BYTES);
    ok(!memcmp(bytes + at, contents + stream->offset, wanted), "%u of %u bytes", wanted, stream->decoded);
    ok(all_zero(bytes, 0, at) && all_zero(bytes, at + wanted, BUFFER_BYTES), "%u: others", wanted);
    free(bytes);
    ID3D12Resource_Release(buffer);
}

// Below four tiles the processor decodes; exact multiples have a full last tile.
static void bytes_arrive(void) {
    static const uint32_t sizes[] = {100,        3 * TILE_BYTES, 3 * TILE_BYTES + 1, 4 * TILE_BYTES,
                                     1234567,    1 << 20,        (9 << 20) + 11};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct stream stream = compress(4097 * (uint32_t)i, sizes[i]);
        storage_request request = decode_request(&stream);
        expect_bytes(queue, request, &stream, 0, sizes[i]);
        expect_bytes(queue, request, &stream, 13, sizes[i] / 3);
        FILE *out = _wfopen(L"stream", L"wb");
        fwrite("ahead", 1, 5, out);
        fwrite(stream.bytes, 1, stream.size, out);
        fclose(out);
        storage_file *file = open_file(factory, L"stream");
        storage_request read = read_request(file, 5, NULL, (uint32_t)stream.size);
        read.options.compression_format = COMPRESSION_GDEFLATE;
        read.uncompressed_size = sizes[i];
        expect_bytes(file_queue, read, &stream, 7, sizes[i]);
        file->methods->Release(file);
        free(stream.bytes);
    }
}

// The decoder's memory goes back after two seconds or so, and comes again.
static void a_rest_changes_nothing(void) {
    struct stream stream = compress(77, 7 * TILE_BYTES + 1);
    for (DWORD rest_ms = 3000; rest_ms; rest_ms /= 8) {
        expect_bytes(queue, decode_request(&stream), &stream, 9, stream.decoded);
        Sleep(rest_ms);
    }
    free(stream.bytes);
}

// The file's rows, as the footprints have them.
static uint32_t wrong_rows(const uint8_t *found, const D3D12_RESOURCE_DESC *desc, uint32_t count,
                           const uint8_t *payload) {
    struct layout layout = layout_of(desc, 0, count);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t row = 0; row < layout.rows[i]; row++) {
            const D3D12_PLACED_SUBRESOURCE_FOOTPRINT *footprint = &layout.footprints[i];
            uint64_t at = footprint->Offset + (uint64_t)row * footprint->Footprint.RowPitch;
            wrong += !!memcmp(found + at, payload + at, layout.row_bytes[i]);
        }
    return wrong;
}

static void textures_arrive(void) {
    const D3D12_RESOURCE_DESC descs[] = {texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 600, 500, 1, 5),
                                         texture_2d(DXGI_FORMAT_BC7_UNORM, 1000, 500, 1, 5)};
    for (int i = 0; i < 2; i++) {
        ID3D12Resource *texture = make_texture(&descs[i], 5);
        struct stream stream = compress(i * 999, (uint32_t)layout_of(&descs[i], 0, 5).bytes);
        storage_request request = decode_request(&stream);
        request.options.types = REQUEST_TYPES(SOURCE_MEMORY, DESTINATION_MULTIPLE_SUBRESOURCES);
        request.destination = (storage_destination){0};
        request.destination.subresources.resource = (IUnknown *)texture;
        ok_hr(run(factory, queue, request), S_OK);
        uint8_t *found = read_texture(texture, &descs[i], 5);
        ok(!wrong_rows(found, &descs[i], 5, contents + stream.offset), "texture %d", i);
        free(found);
        free(stream.bytes);
        ID3D12Resource_Release(texture);
    }
}

#define MANY 300
#define KINDS 8

// More than the decoder's memory takes at a time, with small ones and uncompressed ones between.
static void many_arrive(void) {
    struct stream streams[KINDS];
    for (uint32_t i = 0; i < KINDS; i++)
        streams[i] = compress(random_below(1 << 20), 1 + random_below(12 * TILE_BYTES));
    const uint64_t slot = 12 * TILE_BYTES;
    ID3D12Resource *buffer = make_buffer(MANY * slot, D3D12_HEAP_TYPE_DEFAULT);
    ID3D12Fence *told = make_fence();
    for (uint32_t i = 0; i < MANY; i++) {
        const struct stream *stream = &streams[i % KINDS];
        storage_request request = decode_request(stream);
        if (i % 7 == 3) request = copy_request(contents + stream->offset, NULL, stream->decoded);
        request = to_buffer(request, buffer, i * slot, stream->decoded);
        queue->methods->EnqueueRequest(queue, &request);
    }
    queue->methods->EnqueueSignal(queue, (d3d12_fence *)told, 5);
    queue->methods->Submit(queue);
    must(ID3D12CommandQueue_Wait(commands, told, 5));
    uint8_t *bytes = read_buffer(buffer, MANY * slot);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        const struct stream *stream = &streams[i % KINDS];
        wrong += memcmp(bytes + i * slot, contents + stream->offset, stream->decoded) ||
                 !all_zero(bytes + i * slot, stream->decoded, slot);
    }
    ok(!wrong, "%u of %u are wrong", wrong, MANY);
    free(bytes);
    for (uint32_t i = 0; i < KINDS; i++) free(streams[i].bytes);
    ID3D12Fence_Release(told);
    ID3D12Resource_Release(buffer);
}

static void expect_failure(storage_request request, HRESULT wanted) {
    ok_hr(run(factory, queue, request), wanted);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    const storage_request *told = &record.first_failure.request.request;
    ok(record.failure_count == 1 && record.first_failure.result == wanted, "%u failures, %08lx",
       record.failure_count, (long)record.first_failure.result);
    ok(told->options.compression_format == COMPRESSION_GDEFLATE &&
           told->options.types == request.options.types &&
           told->uncompressed_size == request.uncompressed_size &&
           !memcmp(&told->destination, &request.destination, sizeof told->destination),
       "the record shows the request");
}

// What a stream says of itself is checked before the GPU sees it.
static void broken_headers_are_refused(void) {
    struct stream stream = compress(0, 6 * TILE_BYTES + 77);
    ID3D12Resource *buffer = make_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    storage_request good = to_buffer(decode_request(&stream), buffer, 100, stream.decoded);
    // Bytes of: id, its complement, the count of tiles, the last tile's size, the table.
    static const uint32_t places[] = {0, 1, 2, 3, 4, 5, 6, 11, 15, 19, 35};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        stream.bytes[places[i]] ^= 0x81;
        expect_failure(good, E_FAIL);
        stream.bytes[places[i]] ^= 0x81;
    }
    storage_request request = good;
    request.source.memory.size = 20;
    expect_failure(request, E_FAIL);
    request.source.memory.size = (uint32_t)stream.size - 1;
    expect_failure(request, E_FAIL);
    request.source.memory.size = 0;
    expect_failure(request, E_INVALIDARG);
    request = good;
    request.uncompressed_size = stream.decoded + 1;
    expect_failure(request, E_FAIL);
    request.uncompressed_size = request.destination.buffer.size = stream.decoded - 1;
    expect_failure(request, E_FAIL);
    request = good;
    request.destination.buffer.size = stream.decoded + 1;
    expect_failure(request, E_DSTORAGE_INVALID_DESTINATION_SIZE);
    uint8_t *bytes = read_buffer(buffer, BUFFER_BYTES);
    ok(all_zero(bytes, 0, BUFFER_BYTES), "something was written");
    free(bytes);
    ok_hr(run(factory, queue, good), S_OK);
    free(stream.bytes);
    ID3D12Resource_Release(buffer);
}

static void queues_end_with_work_in_flight(void) {
    struct stream stream = compress(0, 8 * TILE_BYTES);
    ID3D12Resource *buffer = make_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    for (int round = 0; round < 30; round++) {
        storage_queue *ending = make_device_queue(factory, SOURCE_MEMORY, CAPACITY);
        for (uint32_t i = 0; i < 40; i++) {
            uint64_t at = (uint64_t)i * stream.decoded;
            storage_request request = to_buffer(decode_request(&stream), buffer, at, stream.decoded);
            request.cancellation_tag = i & 1;
            ending->methods->EnqueueRequest(ending, &request);
        }
        ending->methods->Submit(ending);
        if (round % 3 == 1) ending->methods->CancelRequestsWithTag(ending, 1, round & 1);
        if (round % 3 == 2) ending->methods->Close(ending);
        ending->methods->Release(ending);
    }
    DWORD start = GetTickCount();
    ULONG left = 1;
    while (left && GetTickCount() - start < LONG_MS) {
        ID3D12Resource_AddRef(buffer);
        left = ID3D12Resource_Release(buffer) - 1;
        Sleep(1);
    }
    ok(!left, "%lu references are left", left);
    ID3D12Resource_Release(buffer);
    free(stream.bytes);
}

static void configure(const char *more) {
    static char own[400];
    static BOOL is_known;
    char config[512];
    if (!is_known) GetEnvironmentVariableA("DS_CONFIG", own, sizeof own);
    is_known = TRUE;
    snprintf(config, sizeof config, "%s%s%s", own, *own ? "," : "", more);
    SetEnvironmentVariableA("DS_CONFIG", config);
}

// With settings that forbid it the processor decodes, in a runtime of its own.
static void settings_forbid_it(void) {
    static const char *const settings[] = {"gpu_decode=gpu,disable_gpu_decompression=1",
                                           "gpu_decode=gpu,disable_gpu_metacommand=1", "gpu_decode=cpu",
                                           "gpu_decode=auto"};
    struct stream stream = compress(5, 5 * TILE_BYTES);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        configure(settings[i]);
        factory = factory_or_exit();
        queue = make_device_queue(factory, SOURCE_MEMORY, CAPACITY);
        uint32_t support = queue->methods->GetCompressionSupport(queue, COMPRESSION_GDEFLATE);
        if (ours) ok(support == SUPPORT_CPU_FALLBACK, "%s: %x", settings[i], support);
        expect_bytes(queue, decode_request(&stream), &stream, 3, stream.decoded);
        queue->methods->Release(queue);
        factory->methods->Release(factory);
    }
    free(stream.bytes);
}

// Noise among what can be compressed, so that some tiles are stored.
static void make_contents(void) {
    contents = malloc(CONTENT_BYTES);
    for (uint32_t i = 0; i < CONTENT_BYTES; i++) {
        BOOL is_noise = (i >> 15) % 5 == 2;
        contents[i] = is_noise ? (uint8_t)random_below(256) : pattern(i / 3) ^ (uint8_t)(i >> 16);
    }
}

int main(void) {
    load_dll();
    make_device();
    if (!has_metacommand()) {
        printf("SKIPPED: the d3d12 here has no metacommand that decodes GDeflate\n");
        return EXIT_SKIPPED;
    }
    configure("gpu_decode=gpu");
    make_contents();
    must(create_codec(COMPRESSION_GDEFLATE, 1, &IID_CODEC, (void **)&codec));
    factory = factory_or_exit();
    queue = make_device_queue(factory, SOURCE_MEMORY, CAPACITY);
    file_queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    // On Microsoft's own the copy queue is used as well.
    uint32_t support = queue->methods->GetCompressionSupport(queue, COMPRESSION_GDEFLATE);
    ok((support & ~SUPPORT_USES_COPY_QUEUE) == BY_GPU, "GDeflate: %x", support);
    ok(queue->methods->GetCompressionSupport(queue, COMPRESSION_NONE) == 0, "no format");
    bytes_arrive();
    textures_arrive();
    a_rest_changes_nothing();
    many_arrive();
    queues_end_with_work_in_flight();
    broken_headers_are_refused();
    queue->methods->Release(queue);
    file_queue->methods->Release(file_queue);
    factory->methods->Release(factory);
    settings_forbid_it();
    codec->methods->Release(codec);
    return finish_d3d12_tests();
}
