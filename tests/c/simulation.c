// The simulation: nothing happens by itself, faults come from a seed, and the data is right all the same.

#include "test.h"

#define COUNT 100u
#define SIZE 5000u

static ds_result go(const char *config, uint8_t *bytes) {
    ds_runtime_options options = {.struct_size = sizeof options, .backend = DS_BACKEND_SIM, .config = config};
    options.flags = DS_RUNTIME_IGNORE_ENVIRONMENT;
    ds_runtime *runtime;
    ds_status_array *done;
    CHECK_OK(ds_runtime_create(&options, &runtime));
    CHECK_OK(ds_status_array_create(1, NULL, &done));
    CHECK(!ds_runtime_turn(runtime));
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *file = open_file("data");
    for (uint32_t i = 0; i < COUNT; i++) {
        ds_request request = ds_request_read(file, (uint64_t)i * SIZE, bytes + (size_t)i * SIZE, SIZE);
        CHECK_OK(ds_queue_enqueue_request(queue, &request));
    }
    CHECK_OK(ds_queue_enqueue_status(queue, done, 0));
    CHECK_OK(ds_queue_submit(queue));
    CHECK_RESULT(ds_status_array_wait(done, 0, SHORT_NS), DS_E_PENDING);
    while (!ds_status_array_is_complete(done, 0)) ds_runtime_turn(runtime);
    ds_result result = ds_status_array_get_result(done, 0);
    // Work that is still to be turned is turned by the close.
    ds_request last = ds_request_read(file, 0, bytes, SIZE);
    CHECK_OK(ds_queue_enqueue_request(queue, &last));
    CHECK_OK(ds_queue_submit(queue));
    ds_queue_destroy(queue);
    ds_file_release(file);
    ds_status_array_release(done);
    ds_runtime_destroy(runtime);
    return result;
}

int main(void) {
    make_file("data", COUNT * SIZE);
    uint8_t *bytes = malloc(COUNT * SIZE);
    CHECK(bytes);
    static const char *const seeds[] = {"sim_seed=1", "sim_seed=2", "sim_seed=77"};
    for (int i = 0; i < 3; i++) {
        memset(bytes, 0, COUNT * SIZE);
        CHECK_OK(go(seeds[i], bytes));
        CHECK(has_pattern(bytes, 0, COUNT * SIZE));
    }
    CHECK_RESULT(go("sim_seed=1,sim_eio_per_mille=1000", bytes), DS_E_IO_DEVICE);
    free(bytes);
    return 0;
}
