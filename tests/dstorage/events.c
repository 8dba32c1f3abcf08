// events.c: EnqueueSetEvent and the error event: handles that are closed too early, numbers that are used
// again, and events that are set once.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define PATH L"events.bin"

static storage_factory *factory;
static storage_file *file;
static uint8_t bytes[4096];

static HANDLE make_event(void) { return CreateEventW(NULL, FALSE, FALSE, NULL); }

static HANDLE duplicate(HANDLE event) {
    HANDLE process = GetCurrentProcess(), other = NULL;
    ok(DuplicateHandle(process, event, process, &other, 0, FALSE, DUPLICATE_SAME_ACCESS), "no duplicate");
    return other;
}

static DWORD handle_count(void) {
    DWORD count = 0;
    GetProcessHandleCount(GetCurrentProcess(), &count);
    return count;
}

// Whether so many handles are left; what is no longer needed may be closed a little later.
static BOOL handles_come_down_to(DWORD wanted) {
    for (DWORD waited = 0; waited < LONG_MS && handle_count() > wanted; waited += 5) Sleep(5);
    return handle_count() <= wanted;
}

static void read_and_set(storage_queue *queue, HANDLE event) {
    storage_request request = read_request(file, 0, bytes, sizeof bytes);
    queue->methods->EnqueueRequest(queue, &request);
    queue->methods->EnqueueSetEvent(queue, event);
}

// The event is the one that the handle named when it was enqueued.
static void closed_before_it_is_set(void) {
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    for (unsigned round = 0; round < 50; round++) {
        HANDLE event = make_event(), same = duplicate(event);
        read_and_set(queue, event);
        CloseHandle(event);
        HANDLE other = make_event(); // the same number, most likely
        queue->methods->Submit(queue);
        ok(WaitForSingleObject(same, LONG_MS) == WAIT_OBJECT_0, "round %u: not set", round);
        ok(WaitForSingleObject(other, 0) == WAIT_TIMEOUT, "round %u: another event is set", round);
        // Both under one number, one behind the other.
        if (other == event) {
            read_and_set(queue, other);
            queue->methods->Submit(queue);
            ok(WaitForSingleObject(other, LONG_MS) == WAIT_OBJECT_0, "round %u: not set", round);
        }
        CloseHandle(other);
        CloseHandle(same);
    }
    queue->methods->Release(queue);
}

static void one_event_for_many(void) {
    storage_queue *queue = make_queue(factory, SOURCE_FILE), *second = make_queue(factory, SOURCE_FILE);
    HANDLE event = make_event(), last = make_event();
    DWORD before = handle_count();
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 10; i++) read_and_set(i & 1 ? queue : second, event);
        queue->methods->EnqueueSetEvent(queue, last);
        second->methods->Submit(second);
        queue->methods->Submit(queue);
        ok(WaitForSingleObject(last, LONG_MS) == WAIT_OBJECT_0, "round %u", round);
        ok(WaitForSingleObject(event, LONG_MS) == WAIT_OBJECT_0, "round %u", round);
    }
    ok(handles_come_down_to(before), "%lu handles, %lu before", handle_count(), before);
    CloseHandle(event);
    CloseHandle(last);
    second->methods->Release(second);
    queue->methods->Release(queue);
}

// What fired is set, what did not leaves nothing behind.
static void queue_ends_first(void) {
    // Whatever is made once is made.
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    queue->methods->Release(queue);
    Sleep(SHORT_MS);
    DWORD before = handle_count();
    for (unsigned round = 0; round < 200; round++) {
        HANDLE fired = make_event(), never = make_event();
        storage_status_array *array = make_array(factory, 1);
        queue = make_queue(factory, SOURCE_FILE);
        read_and_set(queue, fired);
        queue->methods->EnqueueStatus(queue, array, 0);
        queue->methods->Submit(queue);
        ok_hr(wait_status(array, 0, LONG_MS), S_OK);
        read_and_set(queue, never);
        ok(queue->methods->Release(queue) == 0, "the queue lives on");
        ok(WaitForSingleObject(fired, LONG_MS) == WAIT_OBJECT_0, "round %u: not set", round);
        ok(WaitForSingleObject(never, 0) == WAIT_TIMEOUT, "round %u: set without a submit", round);
        CloseHandle(fired);
        CloseHandle(never);
        array->methods->Release(array);
    }
    ok(handles_come_down_to(before), "%lu handles, %lu before", handle_count(), before);
}

static void no_event(void) {
    storage_error_record record;
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    HANDLE gone = make_event();
    CloseHandle(gone);
    const HANDLE none[] = {NULL, gone, (HANDLE)(uintptr_t)0xDEAD0};
    for (unsigned i = 0; i < ARRAYSIZE(none); i++) {
        queue->methods->EnqueueSetEvent(queue, none[i]);
        finish(factory, queue);
        queue->methods->RetrieveErrorRecord(queue, &record);
        ok(record.failure_count == 1 && record.first_failure.command_type == COMMAND_EVENT,
           "event %u: %u failures, command %ld", i, record.failure_count,
           (long)record.first_failure.command_type);
        ok_hr(record.first_failure.result, E_INVALIDARG);
    }
    queue->methods->Release(queue);
}

// A record that was fetched is told of no more, however late the thread comes that sets the event.
static void error_event_is_set_once(void) {
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    HANDLE errors = queue->methods->GetErrorEvent(queue), passed_by = make_event();
    unsigned again = 0;
    for (unsigned round = 0; round < 500; round++) {
        storage_error_record record;
        ok_hr(run(factory, queue, read_request(file, 4096, bytes, 1)), E_DSTORAGE_END_OF_FILE);
        queue->methods->RetrieveErrorRecord(queue, &record);
        ok(record.failure_count == 1, "round %u: %u failures", round, record.failure_count);
        // What is set in order behind the failure is set by the same thread.
        queue->methods->EnqueueSetEvent(queue, passed_by);
        queue->methods->Submit(queue);
        ok(WaitForSingleObject(passed_by, LONG_MS) == WAIT_OBJECT_0, "round %u", round);
        again += WaitForSingleObject(errors, 0) == WAIT_OBJECT_0;
    }
    ok(!again, "set again in %u rounds", again);
    CloseHandle(passed_by);
    queue->methods->Release(queue);
}

int main(void) {
    load_dll();
    make_file(PATH, 4096);
    factory = factory_or_exit();
    file = open_file(factory, PATH);
    if (ours) {
        closed_before_it_is_set();
        queue_ends_first();
        no_event();
        error_event_is_set_once();
    }
    one_event_for_many();
    file->methods->Release(file);
    factory->methods->Release(factory);
    DeleteFileW(PATH);
    return finish_tests();
}
