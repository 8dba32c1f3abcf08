// Reads a file with ds-runtime: the shortest whole program.
//
//     cc hello.c -o hello $(pkg-config --cflags --libs ds_runtime) && ./hello some-file
//
// Without a name it writes a small file first, and reads that.

#include <ds_runtime.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (256u * 1024)

// Ends the program on a failure. A game would show the message, and go on.
static void check(ds_result result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, ds_result_string(result));
        exit(1);
    }
}

static const char *make_file(void) {
    static const char text[] = "Hello from a file that was read by ds-runtime.\n";
    FILE *file = fopen("hello.txt", "wb");
    if (!file || fwrite(text, 1, strlen(text), file) != strlen(text) || fclose(file) != 0) {
        perror("hello.txt");
        exit(1);
    }
    return "hello.txt";
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : make_file();

    // Once in a program: the runtime owns the threads, a queue takes requests.
    ds_runtime *runtime;
    check(ds_runtime_create(NULL, &runtime), "runtime");
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 1024, .source_type = DS_SOURCE_FILE};
    ds_queue *queue;
    check(ds_queue_create(runtime, &desc, &queue), "queue");
    ds_status_array *status;
    check(ds_status_array_create(1, "hello", &status), "status array");
    printf("ds-runtime %s, backend %s: %s\n", ds_version(), ds_runtime_backend(runtime),
           ds_runtime_backend_reason(runtime));

    ds_file *file;
    uint64_t size;
    check(ds_file_open(path, &file), path);
    check(ds_file_size(file, &size), path);
    uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes) {
        fprintf(stderr, "%s: too large for this example\n", path);
        return 1;
    }

    // Any number of requests, then one status behind them, then one submit.
    for (uint64_t offset = 0; offset < size; offset += CHUNK_BYTES) {
        uint64_t left = size - offset;
        uint32_t chunk = left < CHUNK_BYTES ? (uint32_t)left : CHUNK_BYTES;
        ds_request request = ds_request_read(file, offset, bytes + offset, chunk);
        request.name = "hello chunk";
        check(ds_queue_enqueue_request(queue, &request), "enqueue");
    }
    check(ds_queue_enqueue_status(queue, status, 0), "enqueue");
    check(ds_queue_submit(queue), "submit");

    // A game would do something else, and ask ds_status_array_is_complete once a frame.
    check(ds_status_array_wait(status, 0, DS_WAIT_FOREVER), path);

    uint64_t sum = 0;
    for (uint64_t i = 0; i < size; i++) sum += bytes[i];
    printf("%s: %llu bytes, their sum is %llu\n", path, (unsigned long long)size, (unsigned long long)sum);

    free(bytes);
    ds_file_release(file);
    ds_status_array_release(status);
    ds_queue_destroy(queue);
    ds_runtime_destroy(runtime);
    return 0;
}
