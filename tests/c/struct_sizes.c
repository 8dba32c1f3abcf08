// Programs of other ages: a shorter struct is an older caller's, a longer one a newer caller's.

#include "test.h"

// ds_queue_desc as a later version might have it. All of ours are the first; how an older caller is answered
// is tested beside the code.
typedef struct {
    ds_queue_desc known;
    uint64_t later[2];
} new_queue_desc;

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

// A call with this struct_size is refused, and nothing behind the size was written.
static void refused(ds_runtime *runtime, uint32_t size) {
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128), *other_queue;
    ds_file *file = open_file("file");
    ds_runtime *other;
    // Where another size would be a good answer, so that it is the size that is refused.
    ds_queue_desc desc = {.struct_size = size, .capacity = 128};
    ds_runtime_options options = {.struct_size = size};
    ds_queue_info info = {.struct_size = size};
    ds_queue_stats stats = {.struct_size = size};
    ds_staging_stats staging = {.struct_size = size};
    ds_file_info file_info = {.struct_size = size};
    CHECK_RESULT(ds_queue_create(runtime, &desc, &other_queue), DS_E_INVALIDARG);
    CHECK_RESULT(ds_runtime_create(&options, &other), DS_E_INVALIDARG);
    CHECK(other_queue == NULL && other == NULL);
    CHECK_RESULT(ds_queue_query(queue, &info), DS_E_INVALIDARG);
    CHECK_RESULT(ds_queue_get_stats(queue, &stats), DS_E_INVALIDARG);
    CHECK_RESULT(ds_runtime_get_staging_stats(runtime, &staging), DS_E_INVALIDARG);
    CHECK_RESULT(ds_file_get_info(file, &file_info), DS_E_INVALIDARG);
    CHECK(info.struct_size == size && info.capacity == 0);
    CHECK(stats.struct_size == size && staging.struct_size == size && staging.bytes_max == 0);
    CHECK(file_info.struct_size == size && file_info.mode == 0);
    ds_file_release(file);
    ds_queue_destroy(queue);
}

static void sizes_without_meaning(ds_runtime *runtime) {
    // The size alone, and sizes that end inside a member (a pointer, for some), are no version's.
    static const uint32_t sizes[] = {0, 1, 3, 4, 20, 23, 4097, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) refused(runtime, sizes[i]);
    ds_queue *queue;
    ds_queue_desc desc = {.struct_size = sizeof desc - sizeof(void *) / 2, .capacity = 128};
    CHECK_RESULT(ds_queue_create(runtime, &desc, &queue), DS_E_INVALIDARG);
}

static void sizes_of_the_first_version(ds_runtime *runtime) {
    // For ever: a program that was compiled with these sizes goes on working.
    static const uint32_t desc_bytes = 32, info_bytes = 24;
    ds_queue_desc desc = {.struct_size = desc_bytes, .capacity = 200};
    ds_queue *queue;
    CHECK_OK(ds_queue_create(runtime, &desc, &queue));
    uint32_t *info = malloc(info_bytes); // on the heap, so that writing past it is seen
    CHECK(info);
    info[0] = info_bytes;
    CHECK_OK(ds_queue_query(queue, (ds_queue_info *)info));
    CHECK(info[0] == info_bytes && info[1] == 200);
    free(info);
    ds_queue_destroy(queue);
    ds_runtime_options options = {.struct_size = 32, .flags = DS_RUNTIME_IGNORE_ENVIRONMENT};
    options.overrides = (const char *)1; // behind the end: not looked at
    CHECK_OK(ds_runtime_create(&options, &runtime));
    ds_runtime_destroy(runtime);
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
    make_file("file", 1);
    sizes_of_the_first_version(runtime);
    a_newer_caller(runtime);
    sizes_without_meaning(runtime);
    a_failed_answer_is_zeros();
    ds_runtime_destroy(runtime);
    return 0;
}
