// What the header says of layouts and numbers, where a static assertion does not reach.

#include "test.h"

static void the_types_are_one_byte(void) {
    // The bytes that DirectStorage's compilers make of format 1, a memory source and destination type 5.
    static const uint8_t expected[16] = {1, 0, 0, 0, 0, 0, 0, 0, 0x0B};
    ds_request_options options = DS_ZERO;
    options.compression_format = DS_COMPRESSION_GDEFLATE;
    options.types = DS_REQUEST_TYPES(DS_SOURCE_MEMORY, DS_DESTINATION_MULTIPLE_SUBRESOURCES_RANGE);
    CHECK(memcmp(&options, expected, sizeof options) == 0);
    CHECK(DS_REQUEST_TYPES(DS_SOURCE_MEMORY, DS_DESTINATION_FILE) == 0x81);
}

static void results_are_hresults(void) {
    CHECK((uint32_t)DS_E_END_OF_FILE == UINT32_C(0x89240007));
    CHECK((uint32_t)DS_E_INVALID_DESTINATION_TYPE == UINT32_C(0x89240040));
    CHECK((uint32_t)DS_E_PENDING == UINT32_C(0x8000000A));
    CHECK((uint32_t)DS_E_INVALIDARG == UINT32_C(0x80070057));
    CHECK((uint32_t)DS_E_CANCELLED == UINT32_C(0x800703E3));
}

static void results_have_names(void) {
    CHECK(strncmp(ds_result_string(DS_OK), "DS_OK:", 6) == 0);
    CHECK(strncmp(ds_result_string(DS_E_END_OF_FILE), "DS_E_END_OF_FILE:", 17) == 0);
    CHECK(strlen(ds_result_string(INT32_MIN)) > 0 && strlen(ds_result_string(12345)) > 0);
}

static void the_version_is_three_numbers(void) {
    unsigned major, minor, patch;
    CHECK(sscanf(ds_version(), "%u.%u.%u", &major, &minor, &patch) == 3);
}

static void constants_are_what_the_structs_have(void) {
    CHECK(sizeof((ds_error_request *)0)->filename == DS_ERROR_FILENAME_BYTES);
    CHECK(sizeof((ds_error_request *)0)->name == DS_REQUEST_MAX_NAME);
    CHECK(sizeof((ds_queue_stats *)0)->latency_buckets == DS_HISTOGRAM_BUCKETS * sizeof(uint64_t));
    CHECK(DS_WAIT_FOREVER == UINT64_MAX);
}

int main(void) {
    the_types_are_one_byte();
    results_are_hresults();
    results_have_names();
    the_version_is_three_numbers();
    constants_are_what_the_structs_have();
    return 0;
}
