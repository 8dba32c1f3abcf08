// codec.c: IDStorageCompressionCodec, and streams that queues decompress.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define BYTES (1 << 20)
#define PATH L"codec.bin"

static uint8_t source[BYTES], decoded[2 * BYTES];
static uint8_t *stream;
static SIZE_T stream_bytes, bound;

static HRESULT create_result(uint8_t format, uint32_t threads) {
    storage_codec *codec = NULL;
    HRESULT result = create_codec(format, threads, &IID_CODEC, (void **)&codec);
    if (codec) codec->methods->Release(codec);
    return result;
}

static storage_codec *creation(void) {
    ok_hr(create_result(COMPRESSION_NONE, 0), E_NOTIMPL); // O-72
    ok_hr(create_result(COMPRESSION_ZSTD, 0), E_NOTIMPL);
    ok_hr(create_result(COMPRESSION_CUSTOM_0, 0), E_NOTIMPL);
    ok_hr(create_result(COMPRESSION_GDEFLATE, 1000), S_OK); // O-73
    void *out = &out;
    ok_hr(create_codec(COMPRESSION_GDEFLATE, 0, &IID_QUEUE, &out), E_NOINTERFACE);
    ok(!out, "out is not cleared");
    storage_codec *codec = NULL;
    ok_hr(create_codec(COMPRESSION_GDEFLATE, 0, &IID_CODEC, (void **)&codec), S_OK);
    return codec;
}

static void bounds(storage_codec *codec) { // O-74
    static const SIZE_T sizes[] = {0, 1, 65536, 65537, 1 << 20};
    static const SIZE_T theirs[] = {66420, 66420, 66420, 132824, 1062480};
    for (unsigned i = 0; i < ARRAYSIZE(sizes); i++) {
        bound = codec->methods->CompressBufferBound(codec, sizes[i]);
        ok(bound >= theirs[i], "bound %u", i);
    }
}

static void compression(storage_codec *codec) {
    SIZE_T written = 0;
    stream = malloc(bound);
    for (int32_t level = LEVEL_FASTEST; level <= LEVEL_BEST_RATIO; level++) { // O-76
        stream_bytes = 0;
        ok_hr(codec->methods->CompressBuffer(codec, source, BYTES, level, stream, bound, &stream_bytes),
              S_OK);
        ok(stream_bytes > 8 && stream_bytes <= bound, "a stream of %lu bytes", (unsigned long)stream_bytes);
    }
    ok(!memcmp(stream, "\x04\xfb\x10\x00\x01\x00\x00\x00", 8), "the header"); // O-78
    for (int32_t level = -2; level <= 2; level += 4) // O-75
        ok_hr(codec->methods->CompressBuffer(codec, source, BYTES, level, stream, bound, &written),
              E_INVALIDARG);
    ok_hr(codec->methods->CompressBuffer(codec, source, 0, 0, stream, bound, &written), E_INVALIDARG);
    ok_hr(codec->methods->CompressBuffer(codec, NULL, 1, 0, stream, bound, &written), E_INVALIDARG);
    uint8_t small[101] = {[100] = 0xA5}; // O-77
    HRESULT result = codec->methods->CompressBuffer(codec, source, BYTES, 0, small, 100, &written);
    bug_if(!ours && result == S_OK, FAILED(result), "100 bytes suffice");
    ok(small[100] == 0xA5, "written beyond the end");
}

static HRESULT decompress(storage_codec *codec, SIZE_T from_bytes, SIZE_T to_bytes, SIZE_T *written) {
    memset(decoded, 0xA5, sizeof decoded);
    HRESULT result = codec->methods->DecompressBuffer(codec, stream, from_bytes, decoded, to_bytes, written);
    ok(decoded[to_bytes < BYTES ? to_bytes : BYTES] == 0xA5, "written beyond the end");
    return result;
}

static void decompression(storage_codec *codec) {
    SIZE_T written = 0;
    ok_hr(decompress(codec, stream_bytes, BYTES, &written), S_OK);
    ok(written == BYTES && !memcmp(decoded, source, BYTES), "the bytes");
    ok_hr(decompress(codec, stream_bytes, sizeof decoded - 1, &written), S_OK); // O-79
    ok(written == BYTES && !memcmp(decoded, source, BYTES), "the bytes");
    ok_hr(decompress(codec, 0, BYTES, &written), E_INVALIDARG); // O-81
    const struct {
        SIZE_T from, to;
    } cut[] = {{stream_bytes, BYTES - 1}, {stream_bytes / 2, BYTES}, {4, BYTES}}; // O-80
    for (unsigned i = 0; i < ARRAYSIZE(cut); i++) {
        HRESULT result = decompress(codec, cut[i].from, cut[i].to, &written);
        bug_if(!ours && result == S_OK, FAILED(result), "case %u", i);
    }
    stream[0] ^= 0xFF; // O-82
    ok_hr(decompress(codec, stream_bytes, BYTES, &written), E_FAIL);
    stream[0] ^= 0xFF;
}

static void make_stream_file(void) {
    FILE *file = _wfopen(PATH, L"wb");
    ok(file && fwrite(stream, 1, stream_bytes, file) == stream_bytes && !fclose(file), "no file");
}

static storage_request compressed(storage_request request, uint8_t format, uint32_t bytes) {
    request.options.compression_format = format;
    request.destination.memory.size = bytes;
    request.uncompressed_size = bytes;
    return request;
}

static void queued(void) {
    storage_factory *factory = factory_or_exit();
    make_stream_file();
    storage_file *file = open_file(factory, PATH);
    storage_queue *files = make_queue(factory, SOURCE_FILE), *memory = make_queue(factory, SOURCE_MEMORY);
    const uint32_t size = (uint32_t)stream_bytes;
    storage_request from_file = read_request(file, 0, decoded, size);
    storage_request from_memory = copy_request(stream, decoded, size);
    memset(decoded, 0, sizeof decoded);
    ok_hr(run(factory, files, compressed(from_file, COMPRESSION_GDEFLATE, BYTES)), S_OK); // O-54
    ok(!memcmp(decoded, source, BYTES), "the bytes");
    memset(decoded, 0, sizeof decoded);
    ok_hr(run(factory, memory, compressed(from_memory, COMPRESSION_GDEFLATE, BYTES)), S_OK);
    ok(!memcmp(decoded, source, BYTES), "the bytes");
    from_memory.source.memory.source = source; // O-53
    ok_hr(run(factory, memory, compressed(from_memory, COMPRESSION_GDEFLATE, 4096)), E_FAIL);
    ok_hr(run(factory, memory, compressed(from_memory, COMPRESSION_GDEFLATE, 65536)), E_FAIL);
    from_memory.source.memory.source = stream;
    ok_hr(run(factory, memory, compressed(from_memory, 2, BYTES)), E_NOTIMPL); // O-59
    ok_hr(run(factory, memory, compressed(from_memory, 5, BYTES)), E_NOTIMPL);
    from_file.source.file.size = size / 2; // O-57
    HRESULT result = run(factory, files, compressed(from_file, COMPRESSION_GDEFLATE, BYTES));
    bug_if(!ours && result == S_OK, result == E_FAIL, "half a stream: %08lx", (long)result);
    static const uint32_t others[] = {BYTES - 1, BYTES + 65536}; // O-56
    for (unsigned i = 0; i < ARRAYSIZE(others); i++) {
        result = run(factory, memory, compressed(from_memory, COMPRESSION_GDEFLATE, others[i]));
        bug_if(!ours && result == S_OK, FAILED(result), "another size, %u: %08lx", i, (long)result);
    }
    if (ours) { // O-55
        storage_request request = compressed(from_memory, COMPRESSION_GDEFLATE, BYTES);
        request.uncompressed_size = 0;
        ok_hr(run(factory, memory, request), E_DSTORAGE_INVALID_DESTINATION_SIZE);
        request.uncompressed_size = BYTES - 1;
        ok_hr(run(factory, memory, request), E_DSTORAGE_INVALID_DESTINATION_SIZE);
    }
    files->methods->Release(files);
    memory->methods->Release(memory);
    file->methods->Release(file);
    factory->methods->Release(factory);
    DeleteFileW(PATH);
}

int main(void) {
    load_dll();
    for (uint32_t i = 0; i < BYTES; i++) source[i] = (uint8_t)(i * i >> 11);
    storage_codec *codec = creation();
    bounds(codec);
    compression(codec);
    decompression(codec);
    ok(codec->methods->Release(codec) == 0, "the codec lives on");
    queued();
    free(stream);
    return finish_tests();
}
