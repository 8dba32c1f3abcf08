// test.h: a small harness for Windows programs that test a dstorage.dll, ours or Microsoft's.
//
// ok() counts a check and says where it failed. todo_if(ours, ...) is a check that our DLL does not pass yet;
// when it does, that is a failure too, so that the mark goes away. bug_if(theirs, ...) is the same for what
// Microsoft's DLL does and ours must not. The DLL is loaded by name, so that one program runs with either;
// a DLL without Wine's mark on Wine, or any on Windows, is Microsoft's.
//
// Files are made in the working directory. The exit status is 0 if all is well, 77 if nothing could be
// tested, else 1.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef TEST_H
#define TEST_H

#define STORAGE_IIDS
#include "../../wine-glue/include/dstorage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_SKIPPED 77
#define CAPACITY 128
// Longer than anything here takes.
#define LONG_MS 30000
// Long enough to see that nothing happens.
#define SHORT_MS 30

static unsigned passed, failed, expected_failures;
static BOOL ours;
static HMODULE dll;

static HRESULT(WINAPI *get_factory)(REFIID, void **);
static HRESULT(WINAPI *create_codec)(uint8_t, uint32_t, REFIID, void **);
static HRESULT(WINAPI *set_configuration)(const storage_configuration *);
static HRESULT(WINAPI *set_configuration1)(const storage_configuration *);

#define ok(condition, ...) ok_at(__func__, __LINE__, 0, (condition), __VA_ARGS__)
#define todo_if(not_yet, condition, ...) ok_at(__func__, __LINE__, (not_yet), (condition), __VA_ARGS__)
#define bug_if(broken, condition, ...) ok_at(__func__, __LINE__, (broken), (condition), __VA_ARGS__)
// A result, which it names.
#define ok_hr(call, wanted)                                                                                \
    do {                                                                                                   \
        HRESULT got_ = (call), wanted_ = (HRESULT)(wanted);                                                \
        ok(got_ == wanted_, "%s: %08lx, not %08lx", #call, (long)got_, (long)wanted_);                     \
    } while (0)

// With TEST_TRACE in the environment every check is told, so that two DLLs can be compared check by check.
static void trace(const char *function, int line, int condition, const char *format, va_list arguments) {
    static int wanted = -1;
    if (wanted < 0) wanted = getenv("TEST_TRACE") != NULL;
    if (!wanted) return;
    printf("check\t%s\t%d\t%s\t", function, line, condition ? "holds" : "fails");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
}

static void __attribute__((format(printf, 5, 6))) ok_at(const char *function, int line, int expected_to_fail,
                                                        int condition, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    trace(function, line, condition, format, arguments);
    va_end(arguments);
    if (!!condition == !expected_to_fail) {
        if (condition)
            passed++;
        else
            expected_failures++;
        return;
    }
    failed++;
    printf("line %d: %s: ", line, condition ? "is expected to fail, and does not" : "failed");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

// Wine marks its own DLLs behind the DOS header.
static BOOL is_wine_builtin(HMODULE module) {
    return !memcmp((const char *)module + 0x40, "Wine builtin DLL", 16);
}

static void load_dll(void) {
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    dll = LoadLibraryW(L"dstorage.dll");
    if (!dll) {
        printf("SKIPPED: no dstorage.dll can be loaded: error %lu\n", GetLastError());
        exit(EXIT_SKIPPED);
    }
    ours = is_wine_builtin(dll);
    get_factory = (void *)GetProcAddress(dll, "DStorageGetFactory");
    create_codec = (void *)GetProcAddress(dll, "DStorageCreateCompressionCodec");
    set_configuration = (void *)GetProcAddress(dll, "DStorageSetConfiguration");
    set_configuration1 = (void *)GetProcAddress(dll, "DStorageSetConfiguration1");
    // Microsoft's needs this on Wine, before the first factory.
    storage_configuration configuration = {.force_mapping_layer = TRUE, .disable_telemetry = TRUE};
    if (!ours) set_configuration(&configuration);
}

static int finish_tests(void) {
    printf("%u passed, %u failed, %u expected to fail (%s DLL)\n", passed, failed, expected_failures,
           ours ? "our" : "another");
    fflush(stdout);
    return failed ? 1 : 0;
}

// The byte that test files have at an offset.
static inline uint8_t pattern(uint64_t offset) { return (uint8_t)(offset * 31 + (offset >> 8) * 7 + 3); }

static inline BOOL has_pattern(const uint8_t *bytes, uint64_t offset, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != pattern(offset + i)) return FALSE;
    return TRUE;
}

static inline void make_file(const WCHAR *path, size_t bytes) {
    FILE *file = _wfopen(path, L"wb");
    for (size_t i = 0; file && i < bytes; i++) fputc(pattern(i), file);
    if (!file || fclose(file)) {
        printf("SKIPPED: no file can be made here\n");
        exit(EXIT_SKIPPED);
    }
}

static inline storage_factory *factory_or_exit(void) {
    storage_factory *factory = NULL;
    HRESULT result = get_factory(&IID_FACTORY, (void **)&factory);
    ok(result == S_OK && factory, "no factory: %08lx", (long)result);
    if (!factory) exit(finish_tests());
    return factory;
}

static inline storage_queue *make_queue(storage_factory *factory, uint64_t source_type) {
    storage_queue_desc desc = {.source_type = source_type, .capacity = CAPACITY, .name = "test"};
    storage_queue *queue = NULL;
    ok_hr(factory->methods->CreateQueue(factory, &desc, &IID_QUEUE1, (void **)&queue), S_OK);
    return queue;
}

static inline storage_file *open_file(storage_factory *factory, const WCHAR *path) {
    storage_file *file = NULL;
    ok_hr(factory->methods->OpenFile(factory, path, &IID_FILE, (void **)&file), S_OK);
    return file;
}

static inline storage_status_array *make_array(storage_factory *factory, uint32_t capacity) {
    storage_status_array *array = NULL;
    ok_hr(factory->methods->CreateStatusArray(factory, capacity, "array", &IID_STATUS_ARRAY,
                                              (void **)&array),
          S_OK);
    return array;
}

static inline storage_request read_request(storage_file *file, uint64_t offset, void *to, uint32_t bytes) {
    storage_request request = {.options = {.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_MEMORY)}};
    request.source.file.source = file;
    request.source.file.offset = offset;
    request.source.file.size = bytes;
    request.destination.memory.buffer = to;
    request.destination.memory.size = bytes;
    request.uncompressed_size = bytes;
    request.name = "a read";
    return request;
}

static inline storage_request copy_request(const void *from, void *to, uint32_t bytes) {
    storage_request request = {.options = {.types = REQUEST_TYPES(SOURCE_MEMORY, DESTINATION_MEMORY)}};
    request.source.memory.source = from;
    request.source.memory.size = bytes;
    request.destination.memory.buffer = to;
    request.destination.memory.size = bytes;
    return request;
}

// Waits for the entry and answers its result; E_PENDING if the time is over.
static inline HRESULT wait_status(storage_status_array *array, uint32_t index, DWORD limit_ms) {
    DWORD start = GetTickCount();
    while (!array->methods->IsComplete(array, index) && GetTickCount() - start < limit_ms) Sleep(1);
    return array->methods->GetHResult(array, index);
}

// Enqueues a status, submits, and answers the result.
static inline HRESULT finish(storage_factory *factory, storage_queue *queue) {
    storage_status_array *array = make_array(factory, 1);
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->Submit(queue);
    HRESULT result = wait_status(array, 0, LONG_MS);
    array->methods->Release(array);
    return result;
}

static inline HRESULT run(storage_factory *factory, storage_queue *queue, storage_request request) {
    queue->methods->EnqueueRequest(queue, &request);
    return finish(factory, queue);
}

#endif // TEST_H
