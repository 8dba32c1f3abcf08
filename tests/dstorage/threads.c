// threads.c: many threads at one queue, objects that come and go, threads that are suspended, and the end of
// a process with work in flight.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define PATH L"threads.bin"
#define FILE_BYTES 65536
#define THREADS 4
#define ROUNDS 300

static storage_factory *factory;
static storage_file *file;
static storage_queue *queue;
static LONG stop;

static storage_request request_of(uint8_t *to, unsigned round) {
    return read_request(file, round % 8 * 4096, to, 4096);
}

// Its own requests, status and bytes, in the common queue.
static DWORD WINAPI read_much(void *parameter) {
    uint8_t *to = malloc(4096 * 4);
    storage_status_array *array = make_array(factory, 1);
    unsigned bad = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < 4; i++) {
            storage_request request = request_of(to + 4096 * i, round + i);
            queue->methods->EnqueueRequest(queue, &request);
        }
        queue->methods->EnqueueStatus(queue, array, 0);
        queue->methods->Submit(queue);
        bad += wait_status(array, 0, LONG_MS) != S_OK;
        for (unsigned i = 0; i < 4; i++) bad += !has_pattern(to + 4096 * i, (round + i) % 8 * 4096, 4096);
    }
    array->methods->Release(array);
    free(to);
    *(unsigned *)parameter = bad;
    return 0;
}

static DWORD WINAPI cancel_none(void *parameter) {
    storage_queue_info info;
    (void)parameter;
    while (!InterlockedCompareExchange(&stop, 0, 0)) {
        queue->methods->CancelRequestsWithTag(queue, UINT64_MAX, 12345);
        queue->methods->Query(queue, &info);
        Sleep(0);
    }
    return 0;
}

static void many_threads(void) {
    unsigned bad[THREADS];
    HANDLE threads[THREADS];
    queue = make_queue(factory, SOURCE_FILE);
    HANDLE canceller = CreateThread(NULL, 0, cancel_none, NULL, 0, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        threads[i] = CreateThread(NULL, 0, read_much, &bad[i], 0, NULL);
    ok(WaitForMultipleObjects(THREADS, threads, TRUE, 2 * LONG_MS) == WAIT_OBJECT_0, "they do not end");
    for (unsigned i = 0; i < THREADS; i++) {
        ok(!bad[i], "thread %u: %u bad results", i, bad[i]);
        CloseHandle(threads[i]);
    }
    InterlockedExchange(&stop, 1);
    WaitForSingleObject(canceller, INFINITE);
    CloseHandle(canceller);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 0, "%u failures", record.failure_count);
}

// Threads that are stopped now and then, in the middle of whatever they do.
static void suspended(void) {
    unsigned bad = 1;
    HANDLE thread = CreateThread(NULL, 0, read_much, &bad, 0, NULL);
    for (unsigned i = 0; i < 200 && WaitForSingleObject(thread, 0) == WAIT_TIMEOUT; i++) {
        CONTEXT context = {.ContextFlags = CONTEXT_CONTROL};
        // It may have ended since it was looked at.
        if (SuspendThread(thread) == (DWORD)-1) break;
        GetThreadContext(thread, &context);
        ok(ResumeThread(thread) != (DWORD)-1, "not resumed");
    }
    ok(WaitForSingleObject(thread, LONG_MS) == WAIT_OBJECT_0, "it does not end");
    ok(!bad, "%u bad results", bad);
    CloseHandle(thread);
}

// Queues that go away with work in flight, thousands of them.
static void short_lives(void) {
    static uint8_t to[64 * 4096];
    for (unsigned round = 0; round < 2000; round++) {
        storage_queue *brief = make_queue(factory, SOURCE_FILE);
        storage_file *opened = round % 16 ? NULL : open_file(factory, PATH);
        storage_status_array *array = make_array(factory, 1);
        for (unsigned i = 0; i < round % 64; i++) {
            storage_request request = request_of(to + 4096 * i, i);
            if (opened) request.source.file.source = opened;
            brief->methods->EnqueueRequest(brief, &request);
        }
        brief->methods->EnqueueStatus(brief, array, 0);
        if (round & 1) brief->methods->Submit(brief);
        if (round & 2) brief->methods->Close(brief);
        if (opened) opened->methods->Release(opened);
        array->methods->Release(array);
        ok(brief->methods->Release(brief) == 0, "the queue lives on in round %u", round);
    }
}

// At the very end of a process, when its other threads are gone: the pump, too, which has copies to make and
// will not make them. Destructors of programs do this.
static storage_queue *left_behind;

static void CALLBACK at_the_end(void *unused) {
    (void)unused;
    left_behind->methods->CancelRequestsWithTag(left_behind, 0, 0);
    left_behind->methods->Close(left_behind);
    left_behind->methods->Release(left_behind);
    factory->methods->Release(factory);
    TerminateProcess(GetCurrentProcess(), 42);
}

// What another process of the same program does: it ends in the middle of everything.
static int end_with_work_in_flight(const char *how) {
    const DWORD watched = *how == 'w' || *how == 'd' ? MEM_WRITE_WATCH : 0;
    uint8_t *to = VirtualAlloc(NULL, CAPACITY * 4096, MEM_RESERVE | MEM_COMMIT | watched, PAGE_READWRITE);
    make_file(PATH, FILE_BYTES);
    factory = factory_or_exit();
    file = open_file(factory, PATH);
    queue = make_queue(factory, SOURCE_FILE);
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    for (unsigned i = 0; i < CAPACITY / 2; i++) {
        storage_request request = request_of(to + 4096 * i, i);
        queue->methods->EnqueueRequest(queue, &request);
        queue->methods->EnqueueSetEvent(queue, event);
        if (i == CAPACITY / 4) queue->methods->Submit(queue);
    }
    if (*how == 'e' || *how == 'w') ExitProcess(42);
    if (*how == 'd') {
        left_behind = queue;
        FlsSetValue(FlsAlloc(at_the_end), queue);
        ExitProcess(41);
    }
    if (*how == 't') TerminateProcess(GetCurrentProcess(), 42);
    if (*how == 'f') FreeLibrary(dll);
    return 42;
}

// Whether such a process comes to its end, and with the status that it chose.
static BOOL ends_well(const char *way) {
    char self[MAX_PATH], line[2 * MAX_PATH];
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    GetModuleFileNameA(NULL, self, sizeof self);
    snprintf(line, sizeof line, "\"%s\" %s", self, way);
    if (!CreateProcessA(self, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process)) return FALSE;
    DWORD code = 0;
    BOOL ended = WaitForSingleObject(process.hProcess, LONG_MS) == WAIT_OBJECT_0;
    GetExitCodeProcess(process.hProcess, &code);
    if (!ended || code != 42) printf("%s: %s, exit code %lx\n", way, ended ? "ended" : "still there", code);
    TerminateProcess(process.hProcess, 1);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return ended && code == 42;
}

static void process_ends(void) {
    static const char *const ways[] = {"exit", "terminate", "free", "return", "watched"};
    for (unsigned i = 0; i < ARRAYSIZE(ways); i++) ok(ends_well(ways[i]), "%s: it ends badly", ways[i]);
    if (ours) ok(ends_well("destructor"), "a destructor that closes a queue: it ends badly");
}

int main(int count, char **arguments) {
    load_dll();
    if (count > 1) return end_with_work_in_flight(arguments[1]);
    process_ends();
    make_file(PATH, FILE_BYTES);
    factory = factory_or_exit();
    file = open_file(factory, PATH);
    many_threads();
    suspended();
    queue->methods->Release(queue);
    short_lives();
    file->methods->Release(file);
    ok(factory->methods->Release(factory) == 0, "the factory lives on");
    DeleteFileW(PATH);
    return finish_tests();
}
