// Programs of other ages: a shorter struct is an older caller's, a longer one a newer caller's.

#include "test.h"

// ds_queue_desc as a version that knew nothing after the capacity would have it.
typedef struct {
    uint32_t struct_size;
    uint32_t capacity;
} old_queue_desc;

// And as a later version might.
typedef struct {
    ds_queue_desc known;
    uint64_t later[2];
} new_queue_desc;

static void an_older_caller(ds_runtime *runtime) {
    old_queue_desc *desc = malloc(sizeof *desc); // on the heap, so that reading past it is seen
    CHECK(desc);
    desc->struct_size = sizeof *desc;
    desc->capacity = 200;
    ds_queue *queue;
    CHECK_OK(ds_queue_create(runtime, (const ds_queue_desc *)desc, &queue));
    free(desc);

    uint32_t *info = malloc(2 * sizeof *info); // ds_queue_info that ends after the capacity
    CHECK(info);
    info[0] = 2 * sizeof *info;
    CHECK_OK(ds_queue_query(queue, (ds_queue_info *)info));
    CHECK(info[0] == 2 * sizeof *info && info[1] == 200);
    free(info);
    ds_queue_info all = query(queue);
    CHECK(all.source_type == DS_SOURCE_FILE && all.priority == DS_PRIORITY_NORMAL);
    ds_queue_destroy(queue);
}

static void a_newer_caller(ds_runtime *runtime) {
    new_queue_desc desc = DS_ZERO;
    desc.known.struct_size = sizeof desc;
    desc.known.capacity = 128;
    ds_queue *queue;
    CHECK_OK(ds_queue_create(runtime, &desc.known, &queue));

    struct {
        ds_queue_info known;
        uint64_t later[4];
    } info;
    memset(&info, 0xA5, sizeof info);
    info.known.struct_size = sizeof info;
    CHECK_OK(ds_queue_query(queue, &info.known));
    CHECK(info.known.struct_size == sizeof info && info.known.capacity == 128);
    CHECK(info.later[0] == 0 && info.later[3] == 0);
    ds_queue_destroy(queue);

    desc.later[1] = 1; // asks for something that this version does not know
    CHECK_RESULT(ds_queue_create(runtime, &desc.known, &queue), DS_E_INVALIDARG);
    CHECK(queue == NULL);
}

static void sizes_without_meaning(ds_runtime *runtime) {
    static const uint32_t sizes[] = {0, 1, 3, 4097, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ds_queue_desc desc = {.struct_size = sizes[i], .capacity = 128};
        ds_runtime_options options = {.struct_size = sizes[i]};
        ds_staging_stats stats = {.struct_size = sizes[i]};
        ds_queue *queue;
        ds_runtime *other;
        CHECK_RESULT(ds_queue_create(runtime, &desc, &queue), DS_E_INVALIDARG);
        CHECK_RESULT(ds_runtime_create(&options, &other), DS_E_INVALIDARG);
        CHECK_RESULT(ds_runtime_get_staging_stats(runtime, &stats), DS_E_INVALIDARG);
        CHECK(stats.struct_size == sizes[i] && stats.bytes_max == 0);
    }
}

static void the_size_alone_is_a_struct(ds_runtime *runtime) {
    uint32_t size = sizeof size;
    ds_runtime *defaults;
    CHECK_OK(ds_runtime_create((const ds_runtime_options *)&size, &defaults));
    ds_runtime_destroy(defaults);
    ds_queue *queue;
    ds_result result = ds_queue_create(runtime, (const ds_queue_desc *)&size, &queue);
    CHECK_RESULT(result, DS_E_INVALID_QUEUE_CAPACITY);
    CHECK_OK(ds_runtime_get_staging_stats(runtime, (ds_staging_stats *)&size));
    CHECK(size == sizeof size);
}

static void a_failed_answer_is_zeros(void) {
    ds_file_info info;
    memset(&info, 0xA5, sizeof info);
    info.struct_size = sizeof info;
    CHECK_RESULT(ds_file_get_info(NULL, &info), DS_E_INVALIDARG);
    CHECK(info.struct_size == sizeof info && info.size == 0 && info.modified_ns == 0);
}

int main(void) {
    ds_runtime *runtime = make_runtime();
    an_older_caller(runtime);
    a_newer_caller(runtime);
    sizes_without_meaning(runtime);
    the_size_alone_is_a_struct(runtime);
    a_failed_answer_is_zeros();
    ds_runtime_destroy(runtime);
    return 0;
}
