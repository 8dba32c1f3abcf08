// races.c: objects that are used, closed and released by many threads at once; handles that are closed under
// us; wrong pointers; and thousands of lives of everything.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#include <tlhelp32.h>

#define PATH L"races.bin"
#define FILE_BYTES 65536
#define THREADS 4

static storage_factory *factory;
static storage_file *file;

static storage_request small_read(uint8_t *to) { return read_request(file, 0, to, 512); }

static BOOL end_of(HANDLE thread) {
    BOOL ended = WaitForSingleObject(thread, 2 * LONG_MS) == WAIT_OBJECT_0;
    CloseHandle(thread);
    return ended;
}

// --- A queue that is closed under its users --------------------------------------------------------------

struct round {
    storage_queue *queue;
    unsigned number;
    LONG bad;
};

// Each with a status of its own, whose result can only be one of three.
static DWORD WINAPI use_queue(void *parameter) {
    struct round *round = parameter;
    storage_queue *queue = round->queue;
    storage_status_array *array = make_array(factory, 1);
    uint8_t *to = calloc(64, 512);
    for (unsigned i = 0; i < 200; i++) {
        storage_request request = small_read(to + i % 64 * 512);
        request.cancellation_tag = i & 1;
        queue->methods->EnqueueRequest(queue, &request);
        if (i % 16 == 7) {
            queue->methods->EnqueueStatus(queue, array, 0);
            queue->methods->Submit(queue);
            HRESULT result = wait_status(array, 0, LONG_MS);
            if (result != S_OK && result != (HRESULT)0x800703E3 && result != E_DSTORAGE_QUEUE_CLOSED)
                InterlockedIncrement(&round->bad);
        }
        if (i == 100 + round->number % 50) queue->methods->CancelRequestsWithTag(queue, 1, 1);
    }
    // Nobody writes there any more once the queue is closed, by whomever.
    queue->methods->Close(queue);
    free(to);
    array->methods->Release(array);
    queue->methods->Release(queue);
    return 0;
}

static void closed_under_its_users(void) {
    for (unsigned number = 0; number < 60; number++) {
        struct round round = {.queue = make_queue(factory, SOURCE_FILE), .number = number};
        HANDLE threads[THREADS];
        for (unsigned i = 0; i < THREADS; i++) {
            round.queue->methods->AddRef(round.queue);
            threads[i] = CreateThread(NULL, 0, use_queue, &round, 0, NULL);
        }
        if (number % 3 == 0) round.queue->methods->Close(round.queue);
        if (number % 3 == 1) {
            Sleep(1);
            round.queue->methods->Close(round.queue);
        }
        round.queue->methods->Release(round.queue);
        for (unsigned i = 0; i < THREADS; i++) ok(end_of(threads[i]), "round %u: it does not end", number);
        ok(!round.bad, "round %u: %ld bad results", number, round.bad);
    }
}

// --- What requests name goes away while they are on their way --------------------------------------------

static DWORD WINAPI close_file(void *opened) {
    storage_file *gone = opened;
    gone->methods->Close(gone);
    gone->methods->Release(gone);
    return 0;
}

static void files_close_meanwhile(void) {
    static uint8_t to[32 * 512];
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    for (unsigned round = 0; round < 200; round++) {
        storage_file *opened = open_file(factory, PATH);
        for (unsigned i = 0; i < 32; i++) {
            storage_request request = read_request(opened, 0, to + i * 512, 512);
            queue->methods->EnqueueRequest(queue, &request);
        }
        HANDLE thread = CreateThread(NULL, 0, close_file, opened, 0, NULL);
        HRESULT result = finish(factory, queue);
        ok(result == S_OK || result == E_DSTORAGE_FILE_NOT_OPEN, "round %u: %08lx", round, (long)result);
        ok(end_of(thread), "it does not end");
    }
    queue->methods->Release(queue);
}

static LONG stop;

static DWORD WINAPI retrieve_for_ever(void *parameter) {
    storage_queue *queue = parameter;
    storage_error_record record;
    LONG failures = 0;
    while (!InterlockedCompareExchange(&stop, 0, 0)) {
        queue->methods->RetrieveErrorRecord(queue, &record);
        failures += (LONG)record.failure_count;
    }
    queue->methods->RetrieveErrorRecord(queue, &record);
    return (DWORD)failures + record.failure_count;
}

// Each failure is told of once, whoever asks.
static void failures_are_counted_once(void) {
    uint8_t to[1];
    const unsigned count = 500;
    DWORD all = 0, told = 0;
    HANDLE threads[THREADS];
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    for (unsigned i = 0; i < THREADS; i++)
        threads[i] = CreateThread(NULL, 0, retrieve_for_ever, queue, 0, NULL);
    for (unsigned i = 0; i < count; i++) {
        storage_request past = read_request(file, FILE_BYTES, to, 1);
        queue->methods->EnqueueRequest(queue, &past);
    }
    finish(factory, queue);
    InterlockedExchange(&stop, 1);
    for (unsigned i = 0; i < THREADS; i++) {
        ok(WaitForSingleObject(threads[i], LONG_MS) == WAIT_OBJECT_0, "it does not end");
        GetExitCodeThread(threads[i], &told);
        CloseHandle(threads[i]);
        all += told;
    }
    ok(all == count, "%lu failures are told of", all);
    queue->methods->Release(queue);
}

// --- Handles that are closed under us --------------------------------------------------------------------

static void error_event_is_closed(void) {
    uint8_t to[512];
    storage_error_record record;
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    CloseHandle(queue->methods->GetErrorEvent(queue));
    ok_hr(run(factory, queue, read_request(file, FILE_BYTES, to, 1)), E_DSTORAGE_END_OF_FILE);
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 1, "%u failures", record.failure_count);
    ok_hr(run(factory, queue, small_read(to)), S_OK);
    ok(queue->methods->Release(queue) == 0, "the queue lives on");
}

// --- Pointers that lead nowhere --------------------------------------------------------------------------

static LONG exceptions;

static void end_thread(void) { ExitThread(7); }

// The exception is the application's, as with any function that is given a bad pointer; it must not leave
// anything locked. Its thread goes on in end_thread.
static LONG CALLBACK on_exception(EXCEPTION_POINTERS *pointers) {
    if (pointers->ExceptionRecord->ExceptionCode != EXCEPTION_ACCESS_VIOLATION)
        return EXCEPTION_CONTINUE_SEARCH;
    InterlockedIncrement(&exceptions);
    pointers->ContextRecord->Rsp = (pointers->ContextRecord->Rsp - 256) & ~(DWORD64)15;
    pointers->ContextRecord->Rsp -= 8; // as after a call
    pointers->ContextRecord->Rip = (DWORD64)(uintptr_t)end_thread;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static storage_queue *victim;
static void *nowhere; // reserved, and nothing there

static DWORD WINAPI bad_call(void *which) {
    storage_request request = {.name = nowhere};
    storage_queue_desc desc = {.capacity = CAPACITY, .name = nowhere};
    void *out;
    switch ((uintptr_t)which) {
    case 0: victim->methods->EnqueueRequest(victim, nowhere); break;
    case 1: victim->methods->EnqueueRequest(victim, &request); break;
    case 2: victim->methods->EnqueueRequests(victim, nowhere, 3, NULL, 0, 0); break;
    case 3: victim->methods->RetrieveErrorRecord(victim, nowhere); break;
    case 4: victim->methods->Query(victim, nowhere); break;
    case 5: factory->methods->CreateQueue(factory, nowhere, &IID_QUEUE, &out); break;
    case 6: factory->methods->CreateQueue(factory, &desc, &IID_QUEUE, &out); break;
    case 7: factory->methods->OpenFile(factory, nowhere, &IID_FILE, &out); break;
    case 8: victim->methods->EnqueueStatus(victim, nowhere, 0); break;
    default: return 1;
    }
    return 0;
}

static void bad_pointers(void) {
    uint8_t to[512];
    victim = make_queue(factory, SOURCE_FILE);
    nowhere = VirtualAlloc(NULL, 1 << 20, MEM_RESERVE, PAGE_NOACCESS);
    void *handler = AddVectoredExceptionHandler(TRUE, on_exception);
    for (uintptr_t which = 0;; which++) {
        DWORD code = 0;
        HANDLE thread = CreateThread(NULL, 0, bad_call, (void *)which, 0, NULL);
        ok(WaitForSingleObject(thread, LONG_MS) == WAIT_OBJECT_0, "call %u does not end", (unsigned)which);
        GetExitCodeThread(thread, &code);
        CloseHandle(thread);
        if (code == 1) break;
        // Answered, or the application's exception; and everything works as before.
        ok(code == 7 || code == 0, "call %u: %lu", (unsigned)which, code);
        HRESULT result = run(factory, victim, small_read(to));
        ok(result == S_OK, "after call %u: %08lx", (unsigned)which, (long)result);
    }
    VirtualFree(nowhere, 0, MEM_RELEASE);
    RemoveVectoredExceptionHandler(handler);
    ok(exceptions > 0, "no pointer was looked at");
    ok(victim->methods->Release(victim) == 0, "the queue lives on");
}

// Objects of somebody else's are no objects, whatever their tables hold.
static void foreign_objects(void) {
    uint8_t to[512];
    void *table[16] = {NULL};
    struct {
        void **methods;
    } stranger = {table};
    storage_error_record record;
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    ok_hr(run(factory, queue, read_request((storage_file *)&stranger, 0, to, 1)),
          E_DSTORAGE_INVALID_FILE_HANDLE);
    queue->methods->RetrieveErrorRecord(queue, &record);
    queue->methods->EnqueueStatus(queue, (storage_status_array *)&stranger, 0);
    finish(factory, queue);
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok_hr(record.first_failure.result, E_DSTORAGE_INVALID_STATUS_ARRAY);
    // Objects of ours, of another kind.
    ok_hr(run(factory, queue, read_request((storage_file *)queue, 0, to, 1)), E_DSTORAGE_INVALID_FILE_HANDLE);
    queue->methods->Release(queue);
}

// Whatever version a program asked for, all methods are there: some call what their version has not.
static void versions(void) {
    static const GUID *const ids[] = {&IID_UNKNOWN, &IID_QUEUE, &IID_QUEUE1, &IID_QUEUE2, &IID_QUEUE3};
    for (unsigned i = 0; i < ARRAYSIZE(ids); i++) {
        uint8_t to[512] = {0};
        storage_queue_desc desc = {.capacity = CAPACITY};
        storage_queue *queue = NULL;
        ok_hr(factory->methods->CreateQueue(factory, &desc, ids[i], (void **)&queue), S_OK);
        storage_request request = small_read(to);
        HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
        queue->methods->EnqueueRequests(queue, &request, 1, NULL, 0, 0);
        queue->methods->EnqueueSetEvent(queue, event);
        queue->methods->Submit(queue);
        ok(WaitForSingleObject(event, LONG_MS) == WAIT_OBJECT_0, "version %u: no event", i);
        ok(has_pattern(to, 0, sizeof to), "version %u: the bytes", i);
        ok(queue->methods->GetCompressionSupport(queue, COMPRESSION_GDEFLATE) == 4, "version %u", i);
        CloseHandle(event);
        queue->methods->Release(queue);
    }
}

// --- Thousands of lives ----------------------------------------------------------------------------------

static DWORD handle_count(void) {
    DWORD count = 0;
    GetProcessHandleCount(GetCurrentProcess(), &count);
    return count;
}

// Windows' threads of this process.
static unsigned thread_count(void) {
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 entry = {.dwSize = sizeof entry};
    unsigned count = 0;
    for (BOOL more = Thread32First(snapshot, &entry); more; more = Thread32Next(snapshot, &entry))
        count += entry.th32OwnerProcessID == GetCurrentProcessId();
    CloseHandle(snapshot);
    return count;
}

static void one_life(unsigned round) {
    uint8_t to[512];
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_file *opened = open_file(factory, PATH);
    storage_status_array *array = make_array(factory, round % 7);
    storage_codec *codec = NULL;
    ok_hr(create_codec(COMPRESSION_GDEFLATE, 1, &IID_CODEC, (void **)&codec), S_OK);
    if (round % 4 == 0) ok_hr(run(factory, queue, read_request(opened, 0, to, sizeof to)), S_OK);
    ok(codec->methods->Release(codec) == 0 && array->methods->Release(array) == 0 &&
           opened->methods->Release(opened) == 0 && queue->methods->Release(queue) == 0,
       "something lives on in round %u", round);
}

static void thousands_of_lives(void) {
    for (unsigned round = 0; round < 50; round++) one_life(round);
    Sleep(SHORT_MS);
    DWORD before = handle_count();
    for (unsigned round = 0; round < 3000; round++) one_life(round);
    for (DWORD waited = 0; waited < LONG_MS && handle_count() > before; waited += 5) Sleep(5);
    ok(handle_count() <= before, "%lu handles, %lu before", handle_count(), before);
}

// The engine itself, with all its threads. None is still on its way out when the last Release is over: Wine
// can crash in a process that exits just then, or lose its exit status.
static void hundreds_of_factories(void) {
    file->methods->Release(file);
    ok(factory->methods->Release(factory) == 0, "the factory lives on");
    DWORD before = handle_count();
    unsigned threads = thread_count(), lingering = 0;
    for (unsigned round = 0; round < 200; round++) {
        factory = factory_or_exit();
        if (round % 2) one_life(round);
        ok(factory->methods->Release(factory) == 0, "the factory lives on in round %u", round);
        lingering += thread_count() > threads;
    }
    ok(!lingering, "a thread was left in %u of 200 rounds", lingering);
    ok(handle_count() <= before + 2, "%lu handles, %lu before", handle_count(), before);
}

int main(void) {
    load_dll();
    if (!ours) {
        printf("SKIPPED: most of this ends the process with Microsoft's DLL\n");
        return EXIT_SKIPPED;
    }
    make_file(PATH, FILE_BYTES);
    factory = factory_or_exit();
    file = open_file(factory, PATH);
    closed_under_its_users();
    files_close_meanwhile();
    failures_are_counted_once();
    error_event_is_closed();
    bad_pointers();
    foreign_objects();
    versions();
    thousands_of_lives();
    hundreds_of_factories();
    DeleteFileW(PATH);
    return finish_tests();
}
