// A file is read in pieces of odd sizes into one buffer, and every byte is where it belongs.

#include "test.h"

#define FILE_BYTES (3u * 1024 * 1024 + 17)
#define PIECE_BYTES 65537u

int main(void) {
    make_file("data", FILE_BYTES);
    ds_runtime *runtime = make_runtime();
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, DS_MIN_QUEUE_CAPACITY);
    ds_file *file = open_file("data");
    // The queue keeps the threads; the files and arrays need no runtime at all.
    ds_runtime_destroy(runtime);

    uint64_t size = 0;
    CHECK_OK(ds_file_size(file, &size));
    CHECK(size == FILE_BYTES);

    uint8_t *bytes = calloc(1, FILE_BYTES + 1);
    CHECK(bytes);
    bytes[FILE_BYTES] = 0xEE;
    for (uint32_t offset = 0; offset < FILE_BYTES; offset += PIECE_BYTES) {
        uint32_t left = FILE_BYTES - offset;
        uint32_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
        ds_request request = ds_request_read(file, offset, bytes + offset, piece);
        request.name = "piece";
        CHECK_OK(ds_queue_enqueue_request(queue, &request));
    }
    // What is enqueued has its own reference.
    ds_file_release(file);
    CHECK_OK(finish(queue));
    CHECK(has_pattern(bytes, 0, FILE_BYTES));
    CHECK(bytes[FILE_BYTES] == 0xEE);

    ds_error_record record = record_of(queue);
    CHECK(record.failure_count == 0 && record.result == DS_OK && record.command_type == DS_COMMAND_NONE);
    ds_queue_destroy(queue);
    free(bytes);
    return 0;
}
