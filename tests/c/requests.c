// What requests come to, by the ids of the observed behaviour: O-40 to O-59, and the error record O-60 to
// O-64.

#include "test.h"

#include <sys/mman.h>

#define KIB 1024u
#define MIB (1024u * KIB)

static ds_runtime *runtime;
static ds_queue *files, *memory;
static ds_file *data, *empty, *stream, *zeros;
static uint8_t *bytes, *stream_bytes;
static uint32_t stream_size;

// Runs a request that fails, and finds exactly this failure in the record.
static void fails(ds_queue *queue, ds_request request, ds_result expected) {
    CHECK_RESULT(run(queue, request), expected);
    ds_error_record record = record_of(queue);
    CHECK(record.failure_count == 1 && record.command_type == DS_COMMAND_REQUEST);
    CHECK_RESULT(record.result, expected);
}

static void sizes_without_compression(void) {
    ds_request request = ds_request_read(data, 1, bytes + 3, 1001); // O-40: everything is odd
    CHECK_OK(run(files, request));
    CHECK(has_pattern(bytes + 3, 1, 1001));
    request.uncompressed_size = 1001;
    CHECK_OK(run(files, request));
    request.uncompressed_size = 1000;
    fails(files, request, DS_E_INVALIDARG); // O-41
    request = ds_request_read(data, 0, bytes, 4096);
    request.destination.memory.size = 4095;
    fails(files, request, DS_E_INVALID_DESTINATION_SIZE); // O-42
    request.destination.memory.size = 4097;
    fails(files, request, DS_E_INVALID_DESTINATION_SIZE);
    request.destination.memory.size = 0;
    fails(files, request, DS_E_INVALID_DESTINATION_SIZE); // O-43
    request.source.file.size = 0;
    request.destination.memory.size = 16;
    fails(files, request, DS_E_INVALID_DESTINATION_SIZE);
    CHECK_OK(run(files, ds_request_read(data, 0, bytes, 0)));
    CHECK_OK(run(files, ds_request_read(data, 0, NULL, 0)));
    CHECK_OK(run(memory, ds_request_copy(NULL, NULL, 0)));
    CHECK_OK(run(memory, ds_request_copy(bytes + 3, bytes + 8192, 1001)));
    CHECK(has_pattern(bytes + 8192, 1, 1001));
}

static void missing_things(void) { // O-44
    fails(files, ds_request_read(NULL, 0, bytes, 16), DS_E_INVALID_FILE_HANDLE);
    fails(files, ds_request_read(data, 0, NULL, 16), DS_E_ACCESS_VIOLATION);
    fails(memory, ds_request_copy(NULL, bytes, 16), DS_E_ACCESS_VIOLATION);
    fails(memory, ds_request_copy(bytes, NULL, 16), DS_E_ACCESS_VIOLATION);
}

static void ends_of_files(void) {
    memset(bytes, 0x77, 64);
    fails(files, ds_request_read(data, MIB, bytes, 16), DS_E_END_OF_FILE); // O-45
    fails(files, ds_request_read(data, MIB - 8, bytes, 16), DS_E_END_OF_FILE);
    fails(files, ds_request_read(data, (uint64_t)1 << 40, bytes, 16), DS_E_END_OF_FILE);
    fails(files, ds_request_read(data, UINT64_MAX, bytes, 16), DS_E_END_OF_FILE); // O-46
    fails(files, ds_request_read(data, INT64_MAX, bytes, 16), DS_E_END_OF_FILE);
    fails(files, ds_request_read(empty, 0, bytes, 1), DS_E_END_OF_FILE);
    for (int i = 0; i < 64; i++) CHECK(bytes[i] == 0x77);
    CHECK_OK(run(files, ds_request_read(data, MIB - 16, bytes, 16)));
}

// A big region of address space; pages that nobody looks at cost nothing.
static uint8_t *reserve(size_t size) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint8_t *region = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    CHECK(region != MAP_FAILED);
    return region;
}

static void sizes_above_the_staging_buffer(void) { // O-47, O-48, O-58
    uint32_t size = 3 * MIB;
    uint8_t *big = reserve(size);
    ds_runtime_options options = {.struct_size = sizeof options, .staging_bytes = MIB};
    for (int exact = 0; exact < 2; exact++) {
        options.flags = DS_RUNTIME_IGNORE_ENVIRONMENT | (exact ? DS_RUNTIME_EXACT_LIMITS : 0);
        ds_runtime *small;
        CHECK_OK(ds_runtime_create(&options, &small));
        ds_queue *queue = make_queue(small, DS_SOURCE_FILE, 128);
        ds_result expected = exact ? DS_E_REQUEST_TOO_LARGE : DS_OK;
        CHECK_RESULT(run(queue, ds_request_read(zeros, 0, big, size)), expected);
        ds_request request = ds_request_read(stream, 0, big, stream_size);
        request = ds_request_compressed(request, DS_COMPRESSION_GDEFLATE, MIB);
        CHECK_OK(run(queue, request));
        ds_queue_destroy(queue);
        CHECK_OK(ds_runtime_set_staging_bytes(small, stream_size - 1));
        queue = make_queue(small, DS_SOURCE_FILE, 128);
        CHECK_RESULT(run(queue, request), DS_E_REQUEST_TOO_LARGE);
        ds_queue_destroy(queue);
        ds_runtime_destroy(small);
    }
    CHECK(munmap(big, size) == 0);
}

static void fields_and_types(void) {
    ds_request request = ds_request_read(data, 0, bytes, 4096);
    memset(request.options.reserved, 0xFF, sizeof request.options.reserved);
    memset(request.options.reserved_too, 0xFF, sizeof request.options.reserved_too);
    CHECK_OK(run(files, request)); // O-49
    fails(files, ds_request_copy(bytes, bytes + 64, 64), DS_E_INVALID_SOURCE_TYPE); // O-50
    fails(memory, ds_request_read(data, 0, bytes, 64), DS_E_INVALID_SOURCE_TYPE);
    static const uint8_t types[] = {
        DS_DESTINATION_BUFFER, DS_DESTINATION_TEXTURE_REGION, DS_DESTINATION_MULTIPLE_SUBRESOURCES,
        DS_DESTINATION_TILES, DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE, 6, 7, 63, 65, 127};
    for (size_t i = 0; i < sizeof types; i++) { // O-51
        request = ds_request_read(data, 0, bytes, 64);
        request.options.types = DS_REQUEST_TYPES(DS_SOURCE_FILE, types[i]);
        fails(files, request, DS_E_INVALID_DESTINATION_TYPE);
    }
}

static ds_request decompress(ds_file *from, uint32_t size, uint32_t uncompressed_size) {
    ds_request request = ds_request_read(from, 0, bytes, size);
    return ds_request_compressed(request, DS_COMPRESSION_GDEFLATE, uncompressed_size);
}

static void compressed(void) {
    fails(files, decompress(data, 4096, 4096), DS_E_FAIL); // O-53
    fails(files, decompress(data, 4096, 64 * KIB), DS_E_FAIL);
    memset(bytes, 0, MIB);
    CHECK_OK(run(files, decompress(stream, stream_size, MIB))); // O-54
    CHECK(has_pattern(bytes, 0, MIB));
    memset(bytes, 0, MIB);
    ds_request request = ds_request_copy(stream_bytes, bytes, stream_size);
    request = ds_request_compressed(request, DS_COMPRESSION_GDEFLATE, MIB);
    CHECK_OK(run(memory, request));
    CHECK(has_pattern(bytes, 0, MIB));
    request = decompress(stream, stream_size, MIB);
    request.uncompressed_size = 0;
    fails(files, request, DS_E_INVALID_DESTINATION_SIZE); // O-55
    request.uncompressed_size = MIB + 1;
    fails(files, request, DS_E_INVALID_DESTINATION_SIZE);
    fails(files, decompress(stream, stream_size, MIB - 1), DS_E_FAIL); // O-56
    fails(files, decompress(stream, stream_size, MIB + 64 * KIB), DS_E_FAIL);
    fails(files, decompress(stream, stream_size / 2, MIB), DS_E_FAIL); // O-57
    fails(files, decompress(stream, 0, MIB), DS_E_INVALIDARG);
    request = decompress(stream, stream_size, MIB);
    request.options.compression_format = 2;
    fails(files, request, DS_E_NOTIMPL); // O-59
    request.options.compression_format = 5;
    fails(files, request, DS_E_NOTIMPL);
    CHECK(ds_queue_get_compression_support(files, DS_COMPRESSION_GDEFLATE) ==
          DS_COMPRESSION_SUPPORT_CPU_FALLBACK); // O-68
    CHECK(ds_queue_get_compression_support(files, DS_COMPRESSION_NONE) == 0); // O-71
    CHECK(ds_queue_get_compression_support(files, 2) == 0);
    CHECK(ds_queue_get_compression_support(files, DS_COMPRESSION_CUSTOM_0) == 0);
}

static void the_record_is_the_request(void) { // O-60, O-62, O-63, O-64
    ds_event *failed;
    CHECK_OK(ds_queue_error_event(files, &failed));
    CHECK_OK(run(files, ds_request_read(data, 0, bytes, 16)));
    CHECK_RESULT(ds_event_wait(failed, 0), DS_E_PENDING);
    ds_request request = ds_request_read(data, MIB, bytes, 16);
    request.cancellation_tag = 0x1234;
    request.name = "a name that is so long that it does not fit in sixty-three bytes, is it?";
    CHECK_RESULT(run(files, request), DS_E_END_OF_FILE);
    CHECK_OK(ds_event_wait(failed, 0));
    ds_error_record record = record_of(files);
    CHECK_RESULT(ds_event_wait(failed, 0), DS_E_PENDING);
    CHECK(record.failure_count == 1 && record.result == DS_E_END_OF_FILE);
    ds_error_request found = record.parameters.request;
    CHECK(strcmp(found.filename, "data") == 0);
    CHECK(strlen(found.name) == DS_REQUEST_MAX_NAME - 1 && strncmp(found.name, request.name, 63) == 0);
    CHECK(found.request.source.file.source == data && found.request.source.file.offset == MIB);
    CHECK(found.request.destination.memory.buffer == bytes && found.request.destination.memory.size == 16);
    CHECK(found.request.options.types == request.options.types);
    CHECK(found.request.cancellation_tag == 0x1234 && found.request.name == NULL);
    record = record_of(files);
    CHECK(record.failure_count == 0 && record.result == DS_OK && record.command_type == DS_COMMAND_NONE);

    CHECK_RESULT(run(memory, ds_request_copy(NULL, bytes, 8)), DS_E_ACCESS_VIOLATION);
    found = record_of(memory).parameters.request;
    CHECK(found.filename[0] == 0 && found.name[0] == 0);
    CHECK(found.request.options.types == DS_REQUEST_TYPES(DS_SOURCE_MEMORY, DS_DESTINATION_MEMORY));
    ds_event_release(failed);
}

// A path longer than the record has room for, with a two-byte character across its end.
static void long_names_are_cut_between_characters(void) {
    char path[301];
    memset(path, 'x', sizeof path);
    memcpy(path, "./", 2);
    for (int i = 2; i < 258; i++) path[i] = i % 2 ? '/' : '.'; // "./././" and so on: no such directory needed
    memcpy(path + 258, "\xC3\xA9", 3);                         // byte 259 would be the last one kept
    write_file(path, "", 0);
    ds_file *file = open_file(path);
    CHECK_RESULT(run(files, ds_request_read(file, 0, bytes, 1)), DS_E_END_OF_FILE);
    ds_error_record record = record_of(files);
    CHECK(strlen(record.parameters.request.filename) == 258);
    CHECK(strncmp(record.parameters.request.filename, path, 258) == 0);
    ds_file_release(file);
}

static void make_streams(void) {
    uint8_t *plain = malloc(MIB);
    ds_codec *codec;
    size_t written;
    CHECK_OK(ds_codec_create(DS_COMPRESSION_GDEFLATE, 1, &codec));
    size_t bound = ds_codec_bound(codec, MIB);
    stream_bytes = malloc(bound);
    CHECK(plain && stream_bytes);
    fill(plain, MIB);
    ds_compression_level level = DS_COMPRESSION_LEVEL_FASTEST;
    CHECK_OK(ds_codec_compress(codec, plain, MIB, level, stream_bytes, bound, &written));
    stream_size = (uint32_t)written;
    write_file("stream", stream_bytes, stream_size);
    uint8_t *nothing = calloc(3, MIB);
    CHECK(nothing);
    write_file("zeros", nothing, 3 * MIB);
    free(nothing);
    free(plain);
    ds_codec_destroy(codec);
}

int main(void) {
    make_streams();
    make_file("data", MIB);
    make_file("empty", 0);
    bytes = malloc(MIB + 64 * KIB);
    CHECK(bytes);
    runtime = make_runtime();
    files = make_queue(runtime, DS_SOURCE_FILE, 128);
    memory = make_queue(runtime, DS_SOURCE_MEMORY, 128);
    data = open_file("data");
    empty = open_file("empty");
    stream = open_file("stream");
    zeros = open_file("zeros");
    sizes_without_compression();
    missing_things();
    ends_of_files();
    sizes_above_the_staging_buffer();
    fields_and_types();
    compressed();
    the_record_is_the_request();
    long_names_are_cut_between_characters();
    ds_queue_destroy(files);
    ds_queue_destroy(memory);
    ds_runtime_destroy(runtime);
    ds_file *all[] = {data, empty, stream, zeros};
    for (int i = 0; i < 4; i++) ds_file_release(all[i]);
    free(bytes);
    free(stream_bytes);
    return 0;
}
