// memory.c: destinations and sources of every kind of memory that Windows has. What cannot be written fails
// its request and nothing else.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define PATH L"memory.bin"
#define PACKED_PATH L"memory.packed"
#define PAGE 4096
#define BYTES 65536

static storage_factory *factory;
static storage_file *file, *packed;
static storage_queue *files, *memory;
static uint8_t source[BYTES], stream[2 * BYTES];
static SIZE_T stream_bytes;

static void make_stream(void) {
    storage_codec *codec = NULL;
    ok_hr(create_codec(COMPRESSION_GDEFLATE, 1, &IID_CODEC, (void **)&codec), S_OK);
    for (unsigned i = 0; i < BYTES; i++) source[i] = pattern(i);
    ok_hr(codec->methods->CompressBuffer(codec, source, BYTES, 0, stream, sizeof stream, &stream_bytes),
          S_OK);
    codec->methods->Release(codec);
    FILE *out = _wfopen(PACKED_PATH, L"wb");
    ok(out && fwrite(stream, 1, stream_bytes, out) == stream_bytes && !fclose(out), "no packed file");
}

static storage_request decode_request(const void *from, void *to) {
    storage_request request = copy_request(from, to, (uint32_t)stream_bytes);
    request.options.compression_format = COMPRESSION_GDEFLATE;
    request.destination.memory.size = request.uncompressed_size = BYTES;
    return request;
}

static storage_request decode_file_request(void *to) {
    storage_request request = read_request(packed, 0, to, (uint32_t)stream_bytes);
    request.options.compression_format = COMPRESSION_GDEFLATE;
    request.destination.memory.size = request.uncompressed_size = BYTES;
    return request;
}

// The ways bytes come to `to`.
#define WAYS 4
static HRESULT bring(unsigned way, void *to) {
    switch (way) {
    case 0: return run(factory, files, read_request(file, 0, to, BYTES));
    case 1: return run(factory, files, decode_file_request(to));
    case 2: return run(factory, memory, copy_request(source, to, BYTES));
    default: return run(factory, memory, decode_request(stream, to));
    }
}

static void results_are(const char *what, void *to, BOOL good) {
    const HRESULT wanted = good ? S_OK : E_DSTORAGE_ACCESS_VIOLATION;
    for (unsigned way = 0; way < WAYS; way++) {
        HRESULT result = bring(way, to);
        ok(result == wanted, "%s, way %u: %08lx", what, way, (long)result);
    }
    if (good) ok(has_pattern(to, 0, BYTES), "%s: the bytes", what);
}

static void good_memory(void) {
    void *committed = VirtualAlloc(NULL, BYTES, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    results_are("committed", committed, TRUE);
    VirtualFree(committed, 0, MEM_RELEASE);
    void *executable = VirtualAlloc(NULL, BYTES, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE);
    results_are("executable", executable, TRUE);
    VirtualFree(executable, 0, MEM_RELEASE);
    void *heap = HeapAlloc(GetProcessHeap(), 0, BYTES + 1);
    results_are("heap, odd", (char *)heap + 1, TRUE);
    HeapFree(GetProcessHeap(), 0, heap);
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, BYTES, NULL);
    void *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    results_are("section", view, TRUE);
    UnmapViewOfFile(view);
    view = MapViewOfFile(section, FILE_MAP_COPY, 0, 0, 0);
    results_are("copy on write", view, TRUE);
    UnmapViewOfFile(view);
    CloseHandle(section);
}

static void bad_memory(void) {
    static const struct {
        const char *what;
        DWORD type, protection;
    } kinds[] = {{"reserved", MEM_RESERVE, PAGE_NOACCESS},
                 {"no access", MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS},
                 {"read-only", MEM_RESERVE | MEM_COMMIT, PAGE_READONLY},
                 {"guarded", MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD}};
    for (unsigned i = 0; i < ARRAYSIZE(kinds); i++) {
        void *bad = VirtualAlloc(NULL, BYTES, kinds[i].type, kinds[i].protection);
        results_are(kinds[i].what, bad, FALSE);
        VirtualFree(bad, 0, MEM_RELEASE);
        results_are("freed", bad, FALSE);
    }
    results_are("NULL", NULL, FALSE);
    results_are("not an address", (void *)(uintptr_t)0x8000000000000000, FALSE);
    // A source that cannot be read.
    static uint8_t to[BYTES];
    void *none = VirtualAlloc(NULL, BYTES, MEM_RESERVE, PAGE_NOACCESS);
    ok_hr(run(factory, memory, copy_request(none, to, BYTES)), E_DSTORAGE_ACCESS_VIOLATION);
    ok_hr(run(factory, memory, decode_request(none, to)), E_DSTORAGE_ACCESS_VIOLATION);
    VirtualFree(none, 0, MEM_RELEASE);
}

// --- Watched memory ------------------------------------------------------------------------------------
//
// Wine keeps its pages read-only for the kernel until a thread of its own writes there.

static char *watched_memory(void) {
    return VirtualAlloc(NULL, BYTES, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, PAGE_READWRITE);
}

// How many pages were written since the last reset; `reset` makes them unwritten.
static ULONG_PTR written_pages(void *memory_, DWORD reset) {
    void *addresses[BYTES / PAGE];
    ULONG_PTR count = ARRAYSIZE(addresses);
    ULONG size = 0;
    UINT result = GetWriteWatch(reset, memory_, BYTES, addresses, &count, &size);
    ok(result == 0 && size == PAGE, "GetWriteWatch: %u, pages of %lu", result, size);
    return count;
}

static void watched(void) {
    for (unsigned way = 0; way < WAYS; way++) {
        char *to = watched_memory();
        ok(written_pages(to, 0) == 0, "written at once");
        for (unsigned round = 0; round < 3; round++) {
            memset(to + PAGE, 0xA5, PAGE); // one page that the kernel may write
            HRESULT result = bring(way, to);
            ok(result == S_OK, "watched, way %u, round %u: %08lx", way, round, (long)result);
            ok(has_pattern((uint8_t *)to, 0, BYTES), "way %u: the bytes", way);
            ULONG_PTR pages = written_pages(to, WRITE_WATCH_FLAG_RESET);
            ok(pages == BYTES / PAGE, "way %u, round %u: %u pages written", way, round, (unsigned)pages);
        }
        VirtualFree(to, 0, MEM_RELEASE);
    }
    char *to = watched_memory(); // a part, and no page more
    ok_hr(run(factory, files, read_request(file, 5, to + 3 * PAGE + 7, 2 * PAGE)), S_OK);
    ok(has_pattern((uint8_t *)to + 3 * PAGE + 7, 5, 2 * PAGE), "the bytes");
    ok(written_pages(to, 0) == 3, "%u pages written", (unsigned)written_pages(to, 0));
    VirtualFree(to, 0, MEM_RELEASE);
}

// Watched, and read-only in the middle all the same: nothing is written, not even what could be.
static void watched_and_read_only(void) {
    storage_error_record record;
    char *to = watched_memory();
    DWORD before;
    VirtualProtect(to + 5 * PAGE, PAGE, PAGE_READONLY, &before);
    for (unsigned way = 0; way < WAYS; way++) {
        storage_queue *queue = way < 2 ? files : memory;
        ok_hr(bring(way, to), E_DSTORAGE_ACCESS_VIOLATION);
        queue->methods->RetrieveErrorRecord(queue, &record);
        ok(record.failure_count == 1, "way %u: %u failures", way, record.failure_count);
        ok_hr(record.first_failure.result, E_DSTORAGE_ACCESS_VIOLATION);
        ok(record.first_failure.request.request.destination.memory.buffer == to, "which request");
    }
    ok(written_pages(to, 0) == 0, "%u pages written", (unsigned)written_pages(to, 0));
    VirtualFree(to, 0, MEM_RELEASE);
}

static LONG stop;

// What a collector of garbage does.
static DWORD WINAPI reset_for_ever(void *to) {
    for (unsigned round = 0; !InterlockedCompareExchange(&stop, 0, 0); round++) {
        ResetWriteWatch(to, BYTES);
        // So that it comes at every moment of a request.
        for (unsigned i = 0; i < round * 37 % 4000; i++) YieldProcessor();
    }
    return 0;
}

static void watched_and_reset_meanwhile(void) {
    char *to = watched_memory();
    HANDLE thread = CreateThread(NULL, 0, reset_for_ever, to, 0, NULL);
    for (unsigned round = 0; round < 400; round++) {
        memset(to, 0xA5, BYTES); // pages that the kernel may write, for a moment
        HRESULT result = bring(round % WAYS, to);
        ok(result == S_OK, "round %u: %08lx", round, (long)result);
        ok(has_pattern((uint8_t *)to, 0, BYTES), "round %u: the bytes", round);
    }
    InterlockedExchange(&stop, 1);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    VirtualFree(to, 0, MEM_RELEASE);
}

// More than the staging buffer holds at once, on two queues.
static void many_watched(void) {
    enum { COUNT = 100 };
    char *to[COUNT];
    ok_hr(finish(factory, files), S_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        to[i] = watched_memory();
        storage_request request = i % 3 ? read_request(file, 0, to[i], BYTES) : decode_file_request(to[i]);
        files->methods->EnqueueRequest(files, &request);
    }
    ok_hr(finish(factory, files), S_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        ok(has_pattern((uint8_t *)to[i], 0, BYTES), "the bytes of %u", i);
        VirtualFree(to[i], 0, MEM_RELEASE);
    }
}

// Cancelled and closed at every moment; nothing is written afterwards.
static void watched_and_cancelled(void) {
    for (unsigned round = 0; round < 100; round++) {
        storage_queue *queue = make_queue(factory, SOURCE_FILE);
        storage_status_array *array = make_array(factory, 1);
        char *to = watched_memory();
        for (unsigned i = 0; i < 16; i++) {
            storage_request request = read_request(file, i, to + i * PAGE, PAGE);
            request.cancellation_tag = i & 1;
            queue->methods->EnqueueRequest(queue, &request);
        }
        queue->methods->EnqueueStatus(queue, array, 0);
        queue->methods->Submit(queue);
        for (unsigned i = 0; i < round * 50; i++) YieldProcessor();
        if (round & 1)
            queue->methods->CancelRequestsWithTag(queue, 1, 1);
        else
            queue->methods->Close(queue);
        ResetWriteWatch(to, BYTES);
        HRESULT result = wait_status(array, 0, LONG_MS);
        ok(result == S_OK || result == (HRESULT)0x800703E3, "round %u: %08lx", round, (long)result);
        if (!(round & 1)) ok(written_pages(to, 0) == 0, "round %u: written after Close", round);
        queue->methods->Release(queue);
        array->methods->Release(array);
        VirtualFree(to, 0, MEM_RELEASE);
    }
}

int main(void) {
    load_dll();
    make_file(PATH, BYTES);
    make_stream();
    factory = factory_or_exit();
    file = open_file(factory, PATH);
    packed = open_file(factory, PACKED_PATH);
    files = make_queue(factory, SOURCE_FILE);
    memory = make_queue(factory, SOURCE_MEMORY);
    good_memory();
    watched();
    if (ours) {
        bad_memory();
        storage_error_record record;
        files->methods->RetrieveErrorRecord(files, &record);
        memory->methods->RetrieveErrorRecord(memory, &record);
        watched_and_read_only();
    }
    watched_and_reset_meanwhile();
    many_watched();
    watched_and_cancelled();
    files->methods->Release(files);
    memory->methods->Release(memory);
    file->methods->Release(file);
    packed->methods->Release(packed);
    factory->methods->Release(factory);
    DeleteFileW(PATH);
    DeleteFileW(PACKED_PATH);
    return finish_tests();
}
