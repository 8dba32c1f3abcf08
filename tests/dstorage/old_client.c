// old_client.c: a program built for DirectStorage 1.0, which says so by a number that it exports. Its
// configuration and its error records are laid out in another way.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define PATH L"old_client.bin"

// SDK version 1.0.0.
__declspec(dllexport) const uint32_t DStorageSDKVersion = 1;

// Behind the 16 bytes that the function may read stands what would be refused.
static void configuration(void) {
    struct {
        storage_configuration_1_0 known;
        BOOL unknown[4];
    } configuration = {{.num_submit_threads = 1, .disable_telemetry = TRUE}, {TRUE, TRUE, TRUE, TRUE}};
    ok_hr(set_configuration((const storage_configuration *)&configuration), S_OK);
    // And where memory ends behind them.
    uint8_t *page = VirtualAlloc(NULL, 8192, MEM_RESERVE, PAGE_NOACCESS);
    page = VirtualAlloc(page, 4096, MEM_COMMIT, PAGE_READWRITE);
    void *last = page + 4096 - sizeof configuration.known;
    memcpy(last, &configuration.known, sizeof configuration.known);
    ok_hr(set_configuration(last), S_OK);
    VirtualFree(page, 0, MEM_RELEASE);
}

static void error_record(void) {
    static const char name[] = "a request with a name of more than sixty-four characters, which is cut there";
    struct {
        storage_error_record_1_0 record;
        uint8_t behind[64];
    } errors;
    uint8_t byte;
    storage_factory *factory = factory_or_exit();
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_file *file = open_file(factory, PATH);
    storage_request past = read_request(file, 1000, &byte, 1);
    past.name = name;
    past.cancellation_tag = 99;
    ok_hr(run(factory, queue, past), E_DSTORAGE_END_OF_FILE);
    memset(&errors, 0xA5, sizeof errors);
    queue->methods->RetrieveErrorRecord(queue, (storage_error_record *)&errors);
    const storage_error_request_1_0 *first = &errors.record.first_failure.request;
    ok(errors.record.failure_count == 1, "%u failures", errors.record.failure_count);
    ok_hr(errors.record.first_failure.result, E_DSTORAGE_END_OF_FILE);
    ok(errors.record.first_failure.command_type == COMMAND_REQUEST, "the command");
    ok(!wcscmp(first->filename, PATH), "the file is %ls", first->filename);
    ok(!strncmp(first->request_name, name, 60), "the name is %s", first->request_name);
    ok(first->request.source.file.source == file && first->request.source.file.offset == 1000 &&
           first->request.destination.memory.buffer == &byte && first->request.cancellation_tag == 99,
       "the request");
    for (unsigned i = 0; i < sizeof errors.behind; i++)
        ok(errors.behind[i] == 0xA5, "byte %u behind the record is written", i);
    queue->methods->EnqueueStatus(queue, NULL, 5);
    finish(factory, queue);
    queue->methods->RetrieveErrorRecord(queue, (storage_error_record *)&errors);
    ok(errors.record.first_failure.command_type == COMMAND_STATUS, "the command");
    queue->methods->RetrieveErrorRecord(queue, (storage_error_record *)&errors);
    ok(errors.record.failure_count == 0 && errors.record.first_failure.command_type == COMMAND_NONE,
       "a record of nothing");
    file->methods->Release(file);
    queue->methods->Release(queue);
    factory->methods->Release(factory);
}

int main(void) {
    load_dll();
    if (!ours) {
        printf("SKIPPED: the core beside the program is of another version than the program\n");
        return EXIT_SKIPPED;
    }
    make_file(PATH, 1000);
    configuration();
    error_record();
    DeleteFileW(PATH);
    return finish_tests();
}
