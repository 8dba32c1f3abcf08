// custom.c: the custom decompression queue: who gets which requests, and what becomes of the answers.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define FORMAT COMPRESSION_CUSTOM_0
#define FILE_BYTES 4096
#define PATH L"custom.bin"

static storage_factory *factory;
static storage_custom_queue *custom;
static storage_file *file;
static uint8_t decoded[2 * FILE_BYTES];

static storage_request custom_request(uint32_t offset) {
    storage_request request = read_request(file, offset, decoded + 2 * offset, 16);
    request.options.compression_format = FORMAT;
    request.destination.memory.size = request.uncompressed_size = 32;
    return request;
}

// Our "decompression": every byte twice.
static void double_bytes(const storage_custom_request *request) {
    const uint8_t *from = request->source;
    uint8_t *to = request->destination;
    for (uint64_t i = 0; i < request->source_size; i++) to[2 * i] = to[2 * i + 1] = from[i];
}

static void events(void) {
    HANDLE first = custom->methods->GetEvent(custom), second = custom->methods->GetEvent(custom);
    ok(first && second, "no event");
    ok(WaitForSingleObject(first, 0) == WAIT_TIMEOUT, "set, though there is nothing");
    // A program that closes it, as a sample does, harms nobody.
    if (ours) {
        CloseHandle(first);
        ok(custom->methods->GetEvent(custom) != NULL, "no event any more");
    }
}

static unsigned answer_all(HRESULT result) {
    storage_custom_request requests[8];
    storage_custom_result results[8];
    uint32_t count = 99;
    unsigned answered = 0;
    for (;;) {
        ok_hr(custom->methods->GetRequests1(custom, SELECT_CUSTOM, 8, requests, &count), S_OK);
        if (!count) return answered;
        for (uint32_t i = 0; i < count; i++) {
            ok(requests[i].compression_format == FORMAT && requests[i].source_size == 16 &&
                   requests[i].destination_size == 32 && requests[i].flags == 0,
               "the request");
            double_bytes(&requests[i]);
            results[i] = (storage_custom_result){.id = requests[i].id, .result = result};
        }
        ok_hr(custom->methods->SetRequestResults(custom, count, results), S_OK);
        answered += count;
    }
}

static void answers(storage_queue *queue, HRESULT result) {
    storage_status_array *array = make_array(factory, 1);
    HANDLE event = custom->methods->GetEvent(custom);
    memset(decoded, 0, sizeof decoded);
    for (uint32_t i = 0; i < 20; i++) {
        storage_request request = custom_request(16 * i);
        queue->methods->EnqueueRequest(queue, &request);
    }
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->Submit(queue);
    unsigned answered = 0;
    while (answered < 20) {
        DWORD woken = WaitForSingleObject(event, LONG_MS);
        ok(woken == WAIT_OBJECT_0, "no event after %u requests", answered);
        if (woken != WAIT_OBJECT_0) break;
        answered += answer_all(result);
    }
    ok_hr(wait_status(array, 0, LONG_MS), result);
    for (uint32_t i = 0; i < 20 * 32; i++)
        if (decoded[i] != pattern(i / 2)) {
            ok(FALSE, "byte %u", i);
            break;
        }
    array->methods->Release(array);
}

static void wrong_answers(void) {
    storage_custom_result result = {.id = 12345678901234ull};
    if (ours) ok_hr(custom->methods->SetRequestResults(custom, 1, &result), E_INVALIDARG);
    uint32_t count = 99;
    storage_custom_request request;
    ok_hr(custom->methods->GetRequests(custom, 1, &request, &count), S_OK);
    ok(count == 0, "%u requests", count);
    ok_hr(custom->methods->GetRequests1(custom, SELECT_BUILTIN, 1, &request, &count), S_OK);
    ok(count == 0, "%u requests", count);
}

int main(void) {
    load_dll();
    make_file(PATH, FILE_BYTES);
    factory = factory_or_exit();
    ok_hr(factory->methods->QueryInterface(factory, &IID_CUSTOM_QUEUE1, (void **)&custom), S_OK);
    file = open_file(factory, PATH);
    events();
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    for (int round = 0; round < 20; round++) answers(queue, S_OK);
    answers(queue, E_ABORT);
    wrong_answers();
    ok(queue->methods->Release(queue) == 0, "the queue lives on");
    file->methods->Release(file);
    factory->methods->Release(factory);
    ok(custom->methods->Release(custom) == 0, "the factory lives on");
    DeleteFileW(PATH);
    return finish_tests();
}
