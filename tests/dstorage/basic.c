// basic.c: factory, files, queues, statuses, error records: what every program uses, and what the wrong
// arguments give. The numbers in comments are those of the list of observed behaviour.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define FILE_BYTES 100000
#define PATH L"basic.bin"

static const GUID unknown_iid = {0x12345678, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};

static storage_factory *factory;
static storage_file *file;
static uint8_t bytes[FILE_BYTES];

static void factory_rules(void) {
    void *out = &out;
    ok_hr(get_factory(&unknown_iid, &out), E_NOINTERFACE); // O-01
    ok(!out, "out is not cleared");
    storage_factory *again = factory_or_exit(); // O-02
    ok(again == factory, "another factory");
    ok(again->methods->Release(again) == 1, "the count is wrong");
    storage_custom_queue *custom = NULL, *custom1 = NULL; // O-04
    ok_hr(factory->methods->QueryInterface(factory, &IID_CUSTOM_QUEUE, (void **)&custom), S_OK);
    ok_hr(factory->methods->QueryInterface(factory, &IID_CUSTOM_QUEUE1, (void **)&custom1), S_OK);
    ok(custom == custom1, "two custom queues");
    IUnknown *identity[2] = {NULL, NULL};
    ok_hr(custom->methods->QueryInterface(custom, &IID_UNKNOWN, (void **)&identity[0]), S_OK);
    ok_hr(factory->methods->QueryInterface(factory, &IID_UNKNOWN, (void **)&identity[1]), S_OK);
    todo_if(!ours && identity[0] != identity[1], identity[0] == identity[1], "two identities");
    for (int i = 0; i < 2; i++) identity[i]->lpVtbl->Release(identity[i]);
    custom->methods->Release(custom);
    custom1->methods->Release(custom1);
    storage_configuration configuration = {0};
    ok_hr(set_configuration(&configuration), E_FAIL); // O-05
    if (ours) ok_hr(set_configuration(NULL), E_FAIL); // O-06
}

static void staging(void) {
    static const uint32_t sizes[] = {0, 1 << 20, 256 << 20, 32 << 20};
    for (unsigned i = 0; i < ARRAYSIZE(sizes); i++) // O-09
        ok_hr(factory->methods->SetStagingBufferSize(factory, sizes[i]), S_OK);
    storage_file *opened = open_file(factory, PATH); // O-10
    ok_hr(factory->methods->SetStagingBufferSize(factory, 32 << 20), S_OK);
    opened->methods->Release(opened);
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    HRESULT locked = factory->methods->SetStagingBufferSize(factory, 32 << 20); // O-08
    ok_hr(locked, E_DSTORAGE_STAGING_BUFFER_LOCKED);
    ok(queue->methods->Release(queue) == 0, "the queue lives on");
}

static HRESULT open_result(const WCHAR *path) {
    void *out = &out;
    HRESULT result = factory->methods->OpenFile(factory, path, &IID_FILE, &out);
    if (FAILED(result)) ok(!out, "out is not cleared");
    if (SUCCEEDED(result)) ((storage_file *)out)->methods->Release(out);
    return result;
}

static void files(void) {
    ok_hr(open_result(L"no-such-file.bin"), 0x80070002);   // O-11
    ok_hr(open_result(L"no-such-dir\\file.bin"), 0x80070003); // O-12
    ok_hr(open_result(L""), 0x80070003);                   // O-13
    CreateDirectoryW(L"basic.dir", NULL);
    ok_hr(open_result(L"basic.dir"), 0x80070005); // O-14
    RemoveDirectoryW(L"basic.dir");
    make_file(L"empty.bin", 0);
    ok_hr(open_result(L"empty.bin"), S_OK); // O-15
    DeleteFileW(L"empty.bin");
    ok_hr(open_result(L"BASIC.BIN"), S_OK);
    ok_hr(open_result(L".\\basic.bin"), S_OK); // O-16
    WCHAR full[MAX_PATH];
    ok(GetFullPathNameW(PATH, MAX_PATH, full, NULL) > 0, "no full path");
    ok_hr(open_result(full), S_OK);
    void *out = &out;
    ok_hr(factory->methods->OpenFile(factory, PATH, &unknown_iid, &out), E_NOINTERFACE); // O-17
    ok(!out, "out is not cleared");
}

static void file_information(void) {
    BY_HANDLE_FILE_INFORMATION about;
    storage_file *opened = open_file(factory, PATH);
    ok_hr(opened->methods->GetFileInformation(opened, &about), S_OK);
    ok(about.nFileSizeLow == FILE_BYTES && !about.nFileSizeHigh, "size %lu", about.nFileSizeLow);
    opened->methods->Close(opened);
    ok_hr(opened->methods->GetFileInformation(opened, &about), 0x80070006); // O-18
    opened->methods->Close(opened);                                         // O-19
    ok(opened->methods->Release(opened) == 0, "the file lives on");
}

static HRESULT queue_result(storage_queue_desc desc, REFIID iid) {
    void *out = &out;
    HRESULT result = factory->methods->CreateQueue(factory, &desc, iid, &out);
    if (FAILED(result)) ok(!out, "out is not cleared");
    if (SUCCEEDED(result)) ((storage_queue *)out)->methods->Release(out);
    return result;
}

static void queues(void) {
    static const uint16_t good[] = {128, 129, 8191, 8192, 8193, 10000, 16384, 16385, 32767, 32768};
    static const uint16_t bad[] = {0, 1, 127, 40000, 65534, 65535};
    for (unsigned i = 0; i < ARRAYSIZE(good); i++) // O-21
        ok_hr(queue_result((storage_queue_desc){.capacity = good[i]}, &IID_QUEUE), S_OK);
    for (unsigned i = 0; i < ARRAYSIZE(bad); i++) // O-20, O-22
        ok_hr(queue_result((storage_queue_desc){.capacity = bad[i]}, &IID_QUEUE), 0x89240003);
    for (int8_t priority = -2; priority <= 3; priority++) // O-23
        ok_hr(queue_result((storage_queue_desc){.capacity = 128, .priority = priority}, &IID_QUEUE), S_OK);
    storage_queue_desc memory = {.source_type = SOURCE_MEMORY, .capacity = 128};
    ok_hr(queue_result(memory, &IID_QUEUE), S_OK);           // O-24
    ok_hr(queue_result(memory, &unknown_iid), E_NOINTERFACE); // O-26
    storage_queue_desc unknown = {.source_type = 2, .capacity = 128}; // O-25: theirs accepts it
    ok_hr(queue_result(unknown, &IID_QUEUE), ours ? E_INVALIDARG : S_OK);
    void *out;
    if (ours) ok_hr(factory->methods->CreateQueue(factory, NULL, &IID_QUEUE, &out), E_INVALIDARG); // O-27
}

static void queue_interfaces(void) {
    const GUID *ids[] = {&IID_UNKNOWN, &IID_QUEUE, &IID_QUEUE1, &IID_QUEUE2, &IID_QUEUE3};
    storage_queue *queue = make_queue(factory, SOURCE_FILE), *second = NULL;
    for (unsigned i = 0; i < ARRAYSIZE(ids); i++) { // O-28: one object, though not always one pointer
        storage_queue *other = NULL;
        HRESULT result = queue->methods->QueryInterface(queue, ids[i], (void **)&other);
        bug_if(!ours && FAILED(result), result == S_OK && other, "interface %u: %08lx", i, (long)result);
        if (other) other->methods->Release(other);
    }
    // The first interface that has the method: Microsoft's Queue1 ends before it.
    ok_hr(queue->methods->QueryInterface(queue, &IID_QUEUE2, (void **)&second), S_OK);
    ok(second->methods->GetCompressionSupport(second, COMPRESSION_GDEFLATE) == 4, "support"); // O-68
    ok(second->methods->GetCompressionSupport(second, COMPRESSION_NONE) == 0, "support");     // O-71
    ok(second->methods->GetCompressionSupport(second, COMPRESSION_CUSTOM_0) == 0, "support");
    second->methods->Release(second);
    ok(queue->methods->Release(queue) == 0, "the queue lives on");
}

static void slots_are(storage_queue *queue, unsigned empty, unsigned until, int line) {
    storage_queue_info info;
    memset(&info, 0xA5, sizeof info);
    queue->methods->Query(queue, &info);
    ok(info.empty_slot_count == empty && info.request_count_until_auto_submit == until,
       "at line %d: %u and %u, not %u and %u", line, info.empty_slot_count,
       info.request_count_until_auto_submit, empty, until);
    ok(info.desc.capacity == CAPACITY && !strcmp(info.desc.name, "test"), "the description");
}

static void slots(void) {
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_status_array *array = make_array(factory, 1);
    storage_request request = read_request(file, 0, bytes, 4096);
    slots_are(queue, 127, 64, __LINE__); // O-29
    queue->methods->EnqueueRequest(queue, &request);
    slots_are(queue, 126, 63, __LINE__); // O-30
    queue->methods->EnqueueStatus(queue, array, 0);
    slots_are(queue, 125, 62, __LINE__);
    Sleep(SHORT_MS); // O-33
    ok(!array->methods->IsComplete(array, 0), "complete without a submit");
    ok_hr(array->methods->GetHResult(array, 0), E_PENDING);
    queue->methods->Submit(queue);
    ok_hr(wait_status(array, 0, LONG_MS), S_OK);
    slots_are(queue, 127, 64, __LINE__);
    for (int i = 0; i < 63; i++) queue->methods->EnqueueRequest(queue, &request);
    slots_are(queue, 64, 1, __LINE__);
    queue->methods->EnqueueRequest(queue, &request);
    slots_are(queue, 63, 0, __LINE__);
    queue->methods->EnqueueRequest(queue, &request);
    // What is submitted gives its slots back as it completes.
    storage_queue_info info;
    queue->methods->Query(queue, &info);
    ok(info.empty_slot_count >= 62 && info.request_count_until_auto_submit == 64, "%u and %u after 65",
       info.empty_slot_count, info.request_count_until_auto_submit);
    for (int i = 0; i < 5; i++) queue->methods->EnqueueRequest(queue, &request);
    queue->methods->Query(queue, &info);
    ok(info.empty_slot_count >= 57 && info.request_count_until_auto_submit == 59, "%u and %u after 70",
       info.empty_slot_count, info.request_count_until_auto_submit);
    ok_hr(finish(factory, queue), S_OK);
    slots_are(queue, 127, 64, __LINE__);
    queue->methods->Release(queue);
    array->methods->Release(array);
}

static void status_arrays(void) {
    storage_status_array *none = NULL;
    ok_hr(factory->methods->CreateStatusArray(factory, 0, NULL, &IID_STATUS_ARRAY, (void **)&none), S_OK);
    ok(none && none->methods->Release(none) == 0, "an array of none"); // O-32
    none = make_array(factory, 1 << 20);
    none->methods->Release(none);
    if (ours) {
        void *out = &out;
        HRESULT result =
            factory->methods->CreateStatusArray(factory, UINT32_MAX, NULL, &IID_STATUS_ARRAY, &out);
        ok(result == E_OUTOFMEMORY && !out, "an array of all numbers: %08lx", (long)result);
    }
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_status_array *array = make_array(factory, 4);
    ok(!array->methods->IsComplete(array, 3), "complete, though never enqueued"); // O-31
    ok_hr(array->methods->GetHResult(array, 3), E_PENDING);
    ok_hr(array->methods->GetHResult(array, 5), E_DSTORAGE_INDEX_BOUND); // O-35
    ok(!array->methods->IsComplete(array, 5), "out of bounds and complete");
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->Submit(queue);
    ok_hr(wait_status(array, 0, LONG_MS), S_OK);
    queue->methods->EnqueueStatus(queue, array, 0); // O-34
    ok_hr(array->methods->GetHResult(array, 0), E_PENDING);
    queue->methods->Submit(queue);
    ok_hr(wait_status(array, 0, LONG_MS), S_OK);
    if (ours) { // O-36, O-37: theirs take the first for success and end the process for the second
        storage_error_record record;
        queue->methods->EnqueueStatus(queue, array, 4);
        finish(factory, queue);
        queue->methods->RetrieveErrorRecord(queue, &record);
        ok_hr(record.first_failure.result, E_DSTORAGE_INDEX_BOUND);
        ok(record.first_failure.command_type == COMMAND_STATUS, "command %ld",
           (long)record.first_failure.command_type);
        ok(record.first_failure.status.status_array == array && record.first_failure.status.index == 4,
           "which status");
        queue->methods->EnqueueStatus(queue, NULL, 0);
        finish(factory, queue);
        queue->methods->RetrieveErrorRecord(queue, &record);
        ok_hr(record.first_failure.result, E_DSTORAGE_INVALID_STATUS_ARRAY);
    }
    queue->methods->Release(queue);
    array->methods->Release(array);
}

static void reads(void) {
    static const struct {
        uint64_t offset;
        uint32_t bytes;
    } cases[] = {{0, 1}, {0, 4096}, {1, 4095}, {4097, 65536}, {0, FILE_BYTES}, {FILE_BYTES - 1, 1}};
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    for (unsigned i = 0; i < ARRAYSIZE(cases); i++) { // O-40
        storage_request request = read_request(file, cases[i].offset, bytes, cases[i].bytes);
        memset(bytes, 0, sizeof bytes);
        if (i & 1) request.uncompressed_size = 0;
        if (i & 2) request.name = NULL;
        memset(request.options.reserved, 0x5A, sizeof request.options.reserved); // O-49
        memset(request.options.reserved_too, 0xFF, sizeof request.options.reserved_too);
        ok_hr(run(factory, queue, request), S_OK);
        ok(has_pattern(bytes, cases[i].offset, cases[i].bytes), "the bytes of case %u", i);
    }
    storage_error_record record;
    memset(&record, 0xA5, sizeof record); // O-63
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 0 && record.first_failure.result == S_OK &&
           record.first_failure.command_type == COMMAND_NONE,
       "a record of nothing");
    ok(WaitForSingleObject(queue->methods->GetErrorEvent(queue), 0) == WAIT_TIMEOUT, "set"); // O-64
    queue->methods->Release(queue);
}

static void copies(void) {
    static uint8_t to[FILE_BYTES];
    storage_queue *queue = make_queue(factory, SOURCE_MEMORY);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = pattern(i);
    ok_hr(run(factory, queue, copy_request(bytes, to, sizeof to)), S_OK);
    ok(has_pattern(to, 0, sizeof to), "the bytes");
    ok_hr(run(factory, queue, read_request(file, 0, to, 1)), E_DSTORAGE_INVALID_SOURCE_TYPE); // O-50
    queue->methods->Release(queue);
}

static void errors(void) {
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_request past = read_request(file, FILE_BYTES, bytes, 16);
    storage_error_record record;
    past.cancellation_tag = 77;
    ok_hr(run(factory, queue, past), E_DSTORAGE_END_OF_FILE); // O-45
    HANDLE event = queue->methods->GetErrorEvent(queue);
    ok(WaitForSingleObject(event, LONG_MS) == WAIT_OBJECT_0, "the error event is not set"); // O-60
    memset(&record, 0xA5, sizeof record);
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 1, "%u failures", record.failure_count);
    ok_hr(record.first_failure.result, E_DSTORAGE_END_OF_FILE);
    ok(record.first_failure.command_type == COMMAND_REQUEST, "the command");
    const storage_error_request *first = &record.first_failure.request;
    ok(!wcscmp(first->filename, PATH), "the file is %ls", first->filename);
    ok(!strcmp(first->request_name, "a read"), "the name is %s", first->request_name);
    ok(first->request.source.file.source == file && first->request.source.file.offset == FILE_BYTES &&
           first->request.source.file.size == 16 && first->request.destination.memory.buffer == bytes &&
           first->request.cancellation_tag == 77,
       "the request");
    queue->methods->RetrieveErrorRecord(queue, &record); // O-62
    ok(record.failure_count == 0 && record.first_failure.result == S_OK, "retrieved twice");
    ok(WaitForSingleObject(event, SHORT_MS) == WAIT_TIMEOUT, "the error event is set again");
    static const uint64_t offsets[] = {FILE_BYTES - 8, UINT64_C(1) << 40};
    for (unsigned i = 0; i < ARRAYSIZE(offsets); i++)
        ok_hr(run(factory, queue, read_request(file, offsets[i], bytes, 16)), E_DSTORAGE_END_OF_FILE);
    if (ours) // O-46
        ok_hr(run(factory, queue, read_request(file, UINT64_MAX, bytes, 16)), E_DSTORAGE_END_OF_FILE);
    ok_hr(run(factory, queue, copy_request(bytes, bytes + 1000, 1)), E_DSTORAGE_INVALID_SOURCE_TYPE);
    queue->methods->Release(queue);
}

// What ends the process with Microsoft's DLL.
static void malformed(void) {
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_request request = read_request(file, 0, bytes, 16);
    request.uncompressed_size = 17; // O-41
    ok(FAILED(run(factory, queue, request)), "an uncompressed size of another size");
    request = read_request(file, 0, bytes, 16);
    request.destination.memory.size = 15; // O-42
    ok_hr(run(factory, queue, request), E_DSTORAGE_INVALID_DESTINATION_SIZE);
    ok_hr(run(factory, queue, read_request(file, 0, bytes, 0)), S_OK); // O-43
    request = read_request(file, 0, bytes, 16);
    request.source.file.size = request.uncompressed_size = 0;
    ok_hr(run(factory, queue, request), E_DSTORAGE_INVALID_DESTINATION_SIZE);
    request = read_request(file, 0, bytes, 16);
    request.destination.memory.size = 0;
    ok_hr(run(factory, queue, request), E_DSTORAGE_INVALID_DESTINATION_SIZE);
    ok_hr(run(factory, queue, read_request(NULL, 0, bytes, 16)), E_DSTORAGE_INVALID_FILE_HANDLE); // O-44
    ok_hr(run(factory, queue, read_request(file, 0, NULL, 16)), E_DSTORAGE_ACCESS_VIOLATION);
    ok_hr(run(factory, queue, read_request(file, 0, (void *)(uintptr_t)0x10000, 16)),
          E_DSTORAGE_ACCESS_VIOLATION);
    for (int type = 1; type < 128; type++) { // O-51
        request = read_request(file, 0, bytes, 16);
        request.options.types = REQUEST_TYPES(SOURCE_FILE, type);
        ok_hr(run(factory, queue, request), E_DSTORAGE_INVALID_DESTINATION_TYPE);
    }
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    storage_queue *memory = make_queue(factory, SOURCE_MEMORY); // O-44
    ok_hr(run(factory, memory, copy_request(NULL, bytes, 16)), E_DSTORAGE_ACCESS_VIOLATION);
    memory->methods->Release(memory);
    queue->methods->EnqueueSignal(queue, NULL, 1); // O-38
    finish(factory, queue);
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.first_failure.command_type == COMMAND_SIGNAL && record.first_failure.signal.value == 1,
       "which signal");
    ok_hr(record.first_failure.result, E_DSTORAGE_INVALID_FENCE);
    queue->methods->Release(queue);
}

static void closed_files(void) {
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_file *gone = open_file(factory, PATH);
    storage_request request = read_request(gone, 0, bytes, 16);
    queue->methods->EnqueueRequest(queue, &request);
    gone->methods->Close(gone);
    ok(gone->methods->Release(gone) == 0, "the file lives on");
    ok_hr(finish(factory, queue), E_DSTORAGE_FILE_NOT_OPEN); // O-52
    gone = open_file(factory, PATH);
    gone->methods->Close(gone);
    ok_hr(run(factory, queue, read_request(gone, 0, bytes, 16)), E_DSTORAGE_FILE_NOT_OPEN);
    gone->methods->Release(gone);
    gone = open_file(factory, PATH); // released, but not closed: requests keep it
    request = read_request(gone, 5, bytes, 16);
    queue->methods->EnqueueRequest(queue, &request);
    gone->methods->Release(gone);
    ok_hr(finish(factory, queue), S_OK);
    ok(has_pattern(bytes, 5, 16), "the bytes");
    queue->methods->Release(queue);
}

static void statuses_between(void) { // O-39
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_status_array *array = make_array(factory, 2);
    storage_request good = read_request(file, 0, bytes, 16);
    storage_request bad = read_request(file, FILE_BYTES, bytes, 16), worse = copy_request(bytes, bytes, 1);
    queue->methods->EnqueueRequest(queue, &bad);
    queue->methods->EnqueueRequest(queue, &worse);
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->EnqueueRequest(queue, &good);
    queue->methods->EnqueueStatus(queue, array, 1);
    queue->methods->Submit(queue);
    ok_hr(wait_status(array, 1, LONG_MS), S_OK);
    ok_hr(wait_status(array, 0, LONG_MS), E_DSTORAGE_END_OF_FILE);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 2, "%u failures", record.failure_count);
    ok_hr(record.first_failure.result, E_DSTORAGE_END_OF_FILE);
    queue->methods->Release(queue);
    array->methods->Release(array);
}

static void cancel(void) { // O-61
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    for (unsigned i = 0; i < 20; i++) {
        storage_request request = read_request(file, 0, bytes, 16);
        request.cancellation_tag = 0x100 | (i & 1);
        queue->methods->EnqueueRequest(queue, &request);
    }
    queue->methods->CancelRequestsWithTag(queue, 0xFF, 1);
    ok_hr(finish(factory, queue), 0x800703E3);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 10, "%u failures", record.failure_count);
    ok_hr(record.first_failure.result, 0x800703E3);
    queue->methods->Release(queue);
}

static void close_queue(void) {
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_request request = read_request(file, 0, bytes, 16);
    queue->methods->Close(queue);
    queue->methods->EnqueueRequest(queue, &request);
    queue->methods->Submit(queue);
    Sleep(SHORT_MS);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record); // O-66
    ok(record.failure_count == 1, "%u failures", record.failure_count);
    ok_hr(record.first_failure.result, E_DSTORAGE_QUEUE_CLOSED);
    queue->methods->Close(queue);
    ok(queue->methods->Release(queue) == 0, "the queue lives on");
}

static void close_with_work(void) { // O-65
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_status_array *array = make_array(factory, 1);
    storage_request request = read_request(file, 0, bytes, 16);
    queue->methods->EnqueueRequest(queue, &request);
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->Close(queue);
    // Theirs leaves the status pending for ever; whoever waits for it is better off with an answer.
    ok_hr(wait_status(array, 0, SHORT_MS), ours ? 0x800703E3 : E_PENDING);
    array->methods->Release(array);
    queue->methods->Release(queue);
}

static void events(void) { // O-67
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    for (int round = 0; round < 50; round++) {
        storage_request request = read_request(file, 0, bytes, 4096);
        queue->methods->EnqueueRequest(queue, &request);
        queue->methods->EnqueueSetEvent(queue, event);
        queue->methods->Submit(queue);
        ok(WaitForSingleObject(event, LONG_MS) == WAIT_OBJECT_0, "round %d", round);
    }
    CloseHandle(event);
    queue->methods->Release(queue);
}

static void again_after_the_last_release(void) { // O-03
    ok(file->methods->Release(file) == 0, "the file lives on");
    ok(factory->methods->Release(factory) == 0, "the factory lives on");
    storage_configuration configuration = {.num_submit_threads = 1000, .num_decompression_threads = -2};
    ok_hr(set_configuration(&configuration), S_OK); // O-07
    configuration.force_file_buffering = TRUE;
    ok_hr(set_configuration1(&configuration), E_DSTORAGE_FILEBUFFERING_REQUIRES_DISABLED_BYPASSIO);
    for (int round = 0; round < 50; round++) {
        factory = factory_or_exit();
        storage_queue *queue = make_queue(factory, SOURCE_FILE);
        file = open_file(factory, PATH);
        // The queue keeps the engine when the factory is gone.
        if (round & 1) ok(factory->methods->Release(factory) == 0, "the factory lives on");
        storage_request request = read_request(file, 7, bytes, 100);
        HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
        queue->methods->EnqueueRequest(queue, &request);
        queue->methods->EnqueueSetEvent(queue, event);
        queue->methods->Submit(queue);
        ok(WaitForSingleObject(event, LONG_MS) == WAIT_OBJECT_0, "round %d", round);
        ok(has_pattern(bytes, 7, 100), "the bytes");
        CloseHandle(event);
        file->methods->Release(file);
        queue->methods->Release(queue);
        if (!(round & 1)) ok(factory->methods->Release(factory) == 0, "the factory lives on");
    }
}

int main(void) {
    load_dll();
    make_file(PATH, FILE_BYTES);
    factory = factory_or_exit();
    factory_rules();
    staging();
    files();
    file_information();
    file = open_file(factory, PATH);
    queues();
    queue_interfaces();
    slots();
    status_arrays();
    reads();
    copies();
    errors();
    if (ours) malformed();
    closed_files();
    statuses_between();
    cancel();
    close_queue();
    close_with_work();
    events();
    if (ours) again_after_the_last_release();
    DeleteFileW(PATH);
    return finish_tests();
}
