// Requests that write memory to files, and what may not be written.

#include "test.h"

#define SIZE (256u * 1024 + 3)

static uint8_t *bytes, *back;

static void written_bytes_come_back(ds_queue *writer, ds_queue *reader) {
    ds_file *file;
    uint64_t size;
    CHECK_OK(ds_file_create("out", &file));
    CHECK_OK(ds_file_size(file, &size));
    CHECK(size == 0);
    // In two pieces, the second one first: it leaves a hole that the first one fills.
    ds_request second = ds_request_write(bytes + 1000, file, 1000, SIZE - 1000);
    ds_request first = ds_request_write(bytes, file, 0, 1000);
    CHECK_OK(run(writer, second));
    CHECK_OK(run(writer, first));
    CHECK_OK(ds_file_size(file, &size));
    CHECK(size == SIZE);
    CHECK_OK(run(reader, ds_request_read(file, 0, back, SIZE)));
    CHECK(has_pattern(back, 0, SIZE));
    ds_file_release(file);

    // To create again keeps what is there.
    CHECK_OK(ds_file_create("out", &file));
    CHECK_OK(ds_file_size(file, &size));
    CHECK(size == SIZE);
    ds_file_release(file);
}

static void what_cannot_be_written(ds_queue *writer, ds_queue *reader) {
    ds_file *file, *read_only = open_file("out");
    CHECK_OK(ds_file_create("out", &file));
    CHECK_RESULT(run(writer, ds_request_write(bytes, read_only, 0, 16)), DS_E_INVALID_FILE_HANDLE);
    ds_error_record record = record_of(writer);
    CHECK(record.parameters.request.request.destination.file.destination == read_only);
    CHECK(record.parameters.request.request.options.types == 0x81);
    CHECK(strcmp(record.parameters.request.filename, "out") == 0);
    CHECK_RESULT(run(writer, ds_request_write(bytes, NULL, 0, 16)), DS_E_INVALID_FILE_HANDLE);
    CHECK_RESULT(run(writer, ds_request_write(bytes, file, UINT64_MAX, 16)), DS_E_INVALID_FILE_OFFSET);
    CHECK_RESULT(run(writer, ds_request_write(bytes, file, INT64_MAX, 16)), DS_E_INVALID_FILE_OFFSET);
    CHECK_RESULT(run(writer, ds_request_write(NULL, file, 0, 16)), DS_E_ACCESS_VIOLATION);
    // From a file, or compressed.
    ds_request request = ds_request_read(read_only, 0, NULL, 16);
    request.options.types = DS_REQUEST_TYPES(DS_SOURCE_FILE, DS_DESTINATION_FILE);
    request.destination.file.destination = file;
    request.destination.file.offset = 0;
    request.destination.file.size = 16;
    CHECK_RESULT(run(reader, request), DS_E_INVALID_DESTINATION_TYPE);
    request = ds_request_write(bytes, file, 0, 16);
    request.options.compression_format = DS_COMPRESSION_GDEFLATE;
    CHECK_RESULT(run(writer, request), DS_E_INVALID_DESTINATION_TYPE);
    request = ds_request_write(bytes, file, 0, 16);
    request.destination.file.size = 15;
    CHECK_RESULT(run(writer, request), DS_E_INVALID_DESTINATION_SIZE);
    ds_file_close(file);
    CHECK_RESULT(run(writer, ds_request_write(bytes, file, 0, 16)), DS_E_FILE_NOT_OPEN);
    ds_file_release(file);
    ds_file_release(read_only);
}

int main(void) {
    bytes = malloc(SIZE);
    back = calloc(1, SIZE);
    CHECK(bytes && back);
    fill(bytes, SIZE);
    ds_runtime *runtime = make_runtime();
    ds_queue *writer = make_queue(runtime, DS_SOURCE_MEMORY, 128);
    ds_queue *reader = make_queue(runtime, DS_SOURCE_FILE, 128);
    written_bytes_come_back(writer, reader);
    what_cannot_be_written(writer, reader);
    ds_queue_destroy(writer);
    ds_queue_destroy(reader);
    ds_runtime_destroy(runtime);
    free(bytes);
    free(back);
    return 0;
}
