// Options: the list of them, text and members that set them, and the environment that overrules both.

#include "test.h"

static uint32_t index_of(const char *key) {
    for (uint32_t i = 0; i < ds_option_count(); i++) {
        ds_option option;
        CHECK_OK(ds_option_describe(i, &option));
        CHECK(strlen(option.key) && strlen(option.values) && strlen(option.help));
        if (strcmp(option.key, key) == 0) return i;
    }
    CHECK(!"an option of that name");
    return 0;
}

static int is(ds_runtime *runtime, const char *key, const char *expected) {
    char value[64];
    CHECK_OK(ds_runtime_option_value(runtime, index_of(key), value, sizeof value));
    if (strcmp(value, expected)) fprintf(stderr, "%s is %s, not %s\n", key, value, expected);
    return strcmp(value, expected) == 0;
}

static ds_runtime *make(ds_runtime_options options) {
    ds_runtime *runtime;
    options.struct_size = sizeof options;
    CHECK_OK(ds_runtime_create(&options, &runtime));
    return runtime;
}

static void the_list(void) {
    ds_option option;
    CHECK(ds_option_count() > 0);
    CHECK_RESULT(ds_option_describe(ds_option_count(), &option), DS_E_INVALIDARG);
    CHECK(option.key == NULL && option.values == NULL && option.help == NULL);
    ds_runtime *runtime = make((ds_runtime_options){.flags = DS_RUNTIME_IGNORE_ENVIRONMENT});
    char tight[2] = "x";
    uint32_t staging = index_of("staging_mib"); // "32" needs three bytes
    CHECK_RESULT(ds_runtime_option_value(runtime, staging, tight, 2), DS_E_INSUFFICIENT_BUFFER);
    CHECK(tight[0] == 0);
    CHECK_RESULT(ds_runtime_option_value(runtime, staging, tight, 0), DS_E_INVALIDARG);
    CHECK_RESULT(ds_runtime_option_value(runtime, ds_option_count(), tight, 2), DS_E_INVALIDARG);
    ds_runtime_destroy(runtime);
}

static void members_and_text(void) {
    ds_runtime_options options = {.flags = DS_RUNTIME_IGNORE_ENVIRONMENT | DS_RUNTIME_EXACT_LIMITS,
                                  .backend = DS_BACKEND_CPU,
                                  .io_threads = 3,
                                  .decode_threads = 2,
                                  .staging_bytes = 8 << 20};
    ds_runtime *runtime = make(options);
    CHECK(is(runtime, "io_threads", "3") && is(runtime, "decode_threads", "2"));
    CHECK(is(runtime, "staging_mib", "8") && is(runtime, "exact_limits", "1"));
    CHECK(strcmp(ds_runtime_backend(runtime), "cpu") == 0);
    CHECK(strlen(ds_runtime_backend_reason(runtime)) > 0);
    ds_runtime_destroy(runtime);
    // Text comes after members; what makes no sense leaves the rest alone.
    options.config = "io_threads=5, nonsense=1,staging_mib=no,decode_threads=1";
    runtime = make(options);
    CHECK(is(runtime, "io_threads", "5") && is(runtime, "decode_threads", "1"));
    CHECK(is(runtime, "staging_mib", "8"));
    ds_runtime_destroy(runtime);
}

static void what_makes_no_sense_is_refused(void) {
    ds_runtime *runtime = (ds_runtime *)&runtime;
    ds_runtime_options options = {.struct_size = sizeof options, .backend = 5};
    CHECK_RESULT(ds_runtime_create(&options, &runtime), DS_E_INVALIDARG);
    CHECK(runtime == NULL);
    options = (ds_runtime_options){.struct_size = sizeof options, .flags = 4};
    CHECK_RESULT(ds_runtime_create(&options, &runtime), DS_E_INVALIDARG);
    // More threads than anybody needs are fewer threads.
    options = (ds_runtime_options){.io_threads = UINT32_MAX, .decode_threads = INT32_MIN};
    ds_runtime_destroy(make(options));
}

static void the_environment_overrules(void) {
    static const char text[] = "io_threads = 7\n# a comment\ndecode_threads = 3\n";
    write_file("config", text, sizeof text - 1);
    CHECK(setenv("DS_CONFIG_FILE", "config", 1) == 0 && setenv("DS_CONFIG", "decode_threads=4", 1) == 0);
    ds_runtime *runtime = make((ds_runtime_options){.io_threads = 2, .staging_bytes = 4 << 20});
    CHECK(is(runtime, "io_threads", "7") && is(runtime, "decode_threads", "4"));
    CHECK(is(runtime, "staging_mib", "4"));
    ds_runtime_destroy(runtime);
    // But for what comes after it.
    runtime = make((ds_runtime_options){.config = "io_threads=3", .overrides = "decode_threads=1"});
    CHECK(is(runtime, "io_threads", "7") && is(runtime, "decode_threads", "1"));
    ds_runtime_destroy(runtime);
    runtime = make((ds_runtime_options){.io_threads = 2, .flags = DS_RUNTIME_IGNORE_ENVIRONMENT});
    CHECK(is(runtime, "io_threads", "2"));
    ds_runtime_destroy(runtime);
}

// Every backend is an answer, if not the one that was asked for.
static void backends(void) {
    for (ds_backend backend = DS_BACKEND_AUTO; backend <= DS_BACKEND_SIM; backend++) {
        // valgrind 3.19 holds up every thread while one waits in a ring.
        if (backend == DS_BACKEND_IO_URING && getenv("DS_TEST_VALGRIND")) continue;
        ds_runtime_options options = {.backend = backend, .flags = DS_RUNTIME_IGNORE_ENVIRONMENT};
        ds_runtime *runtime = make(options);
        CHECK(strcmp(ds_runtime_backend(runtime), "auto") != 0);
        if (backend == DS_BACKEND_CPU) CHECK(strcmp(ds_runtime_backend(runtime), "cpu") == 0);
        if (backend == DS_BACKEND_SIM) CHECK(strcmp(ds_runtime_backend(runtime), "sim") == 0);
        CHECK(backend == DS_BACKEND_SIM || !ds_runtime_turn(runtime));
        ds_runtime_destroy(runtime);
    }
}

int main(void) {
    the_list();
    members_and_text();
    what_makes_no_sense_is_refused();
    backends();
    the_environment_overrules();
    return 0;
}
