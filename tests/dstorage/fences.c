// fences.c: EnqueueSignal, and EnqueueRequests behind a fence.
//
// The fence is the program's own object with the methods of ID3D12Fence, so that no GPU is needed. Only our
// DLL promises to be content with it.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define FILE_BYTES 65536
#define PATH L"fences.bin"

struct fence {
    d3d12_fence base;
    LONG references;
    SRWLOCK lock;
    CONDITION_VARIABLE changed;
    uint64_t value;
    unsigned signals, backwards;
    struct {
        uint64_t value;
        HANDLE event;
    } waits[8];
};

static struct fence *from(d3d12_fence *this) { return CONTAINING_RECORD(this, struct fence, base); }

static HRESULT WINAPI query_interface(d3d12_fence *this, REFIID iid, void **out) {
    (void)this, (void)iid;
    *out = NULL;
    return E_NOINTERFACE;
}

static ULONG WINAPI add_ref(d3d12_fence *this) {
    return (ULONG)InterlockedIncrement(&from(this)->references);
}

static ULONG WINAPI release(d3d12_fence *this) {
    return (ULONG)InterlockedDecrement(&from(this)->references);
}

static uint64_t WINAPI get_completed_value(d3d12_fence *this) {
    AcquireSRWLockShared(&from(this)->lock);
    uint64_t value = from(this)->value;
    ReleaseSRWLockShared(&from(this)->lock);
    return value;
}

static HRESULT WINAPI set_event_on_completion(d3d12_fence *this, uint64_t value, HANDLE event) {
    struct fence *fence = from(this);
    AcquireSRWLockExclusive(&fence->lock);
    unsigned place = 0;
    while (fence->waits[place].event && place < ARRAYSIZE(fence->waits) - 1) place++;
    if (fence->value >= value)
        SetEvent(event);
    else
        fence->waits[place].value = value, fence->waits[place].event = event;
    ReleaseSRWLockExclusive(&fence->lock);
    return S_OK;
}

static HRESULT WINAPI signal_fence(d3d12_fence *this, uint64_t value) {
    struct fence *fence = from(this);
    AcquireSRWLockExclusive(&fence->lock);
    fence->signals++;
    if (value < fence->value) fence->backwards++;
    fence->value = value;
    for (unsigned i = 0; i < ARRAYSIZE(fence->waits); i++)
        if (fence->waits[i].event && fence->waits[i].value <= value) {
            SetEvent(fence->waits[i].event);
            fence->waits[i].event = NULL;
        }
    ReleaseSRWLockExclusive(&fence->lock);
    WakeAllConditionVariable(&fence->changed);
    return S_OK;
}

static const d3d12_fence_methods methods = {
    .QueryInterface = query_interface,
    .AddRef = add_ref,
    .Release = release,
    .GetCompletedValue = get_completed_value,
    .SetEventOnCompletion = set_event_on_completion,
    .Signal = signal_fence,
};

static BOOL wait_for(struct fence *fence, uint64_t value) {
    AcquireSRWLockExclusive(&fence->lock);
    BOOL in_time = TRUE;
    while (fence->value < value && in_time)
        in_time = SleepConditionVariableSRW(&fence->changed, &fence->lock, LONG_MS, 0);
    ReleaseSRWLockExclusive(&fence->lock);
    return in_time;
}

static storage_factory *factory;
static storage_file *file;
static uint8_t bytes[FILE_BYTES];

static void signals(void) {
    struct fence fence = {.base = {&methods}, .references = 1};
    storage_queue *queue = make_queue(factory, SOURCE_FILE), *other = make_queue(factory, SOURCE_FILE);
    for (uint64_t round = 1; round <= 200; round++) {
        storage_queue *now = round & 1 ? queue : other;
        storage_request request = read_request(file, 0, bytes, 4096);
        memset(bytes, 0, 4096);
        now->methods->EnqueueRequest(now, &request);
        now->methods->EnqueueSignal(now, &fence.base, round);
        now->methods->Submit(now);
        ok(wait_for(&fence, round), "no signal in round %u", (unsigned)round);
        ok(has_pattern(bytes, 0, 4096), "the bytes of round %u", (unsigned)round);
    }
    // Many at once: the last value counts, and none goes back.
    for (uint64_t value = 201; value <= 300; value++)
        queue->methods->EnqueueSignal(queue, &fence.base, value);
    queue->methods->Submit(queue);
    ok(wait_for(&fence, 300), "no last signal");
    ok(fence.value == 300 && !fence.backwards, "value %u", (unsigned)fence.value);
    // A signal behind a failure fires all the same.
    storage_request bad = read_request(file, FILE_BYTES, bytes, 16);
    queue->methods->EnqueueRequest(queue, &bad);
    queue->methods->EnqueueSignal(queue, &fence.base, 301);
    queue->methods->Submit(queue);
    ok(wait_for(&fence, 301), "no signal behind a failure");
    queue->methods->Release(queue);
    other->methods->Release(other);
    for (DWORD waited = 0; fence.references != 1 && waited < LONG_MS; waited += 5) Sleep(5);
    ok(fence.references == 1, "%ld references are left", fence.references);
}

static void waits(uint32_t flags) {
    struct fence fence = {.base = {&methods}, .references = 1};
    storage_status_array *array = make_array(factory, 1);
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    storage_request requests[40];
    memset(bytes, 0, sizeof bytes);
    for (unsigned i = 0; i < ARRAYSIZE(requests); i++)
        requests[i] = read_request(file, i * 1000, bytes + i * 1000, 1000);
    storage_queue *queue3 = NULL;
    ok_hr(queue->methods->QueryInterface(queue, &IID_QUEUE3, (void **)&queue3), S_OK);
    queue3->methods->EnqueueRequests(queue3, requests, ARRAYSIZE(requests), &fence.base, 5, flags);
    queue3->methods->EnqueueStatus(queue3, array, 0);
    queue3->methods->Submit(queue3);
    Sleep(SHORT_MS);
    ok(!array->methods->IsComplete(array, 0) && !bytes[0] && !bytes[39999], "it did not wait");
    signal_fence(&fence.base, 4);
    Sleep(SHORT_MS);
    ok(!array->methods->IsComplete(array, 0), "it did not wait for 5");
    signal_fence(&fence.base, 5);
    ok_hr(wait_status(array, 0, LONG_MS), S_OK);
    ok(has_pattern(bytes, 0, 40000), "the bytes");
    // A value that is reached already, and no fence, hold nothing back.
    queue3->methods->EnqueueRequests(queue3, requests, ARRAYSIZE(requests), &fence.base, 5, flags);
    queue3->methods->EnqueueRequests(queue3, requests, ARRAYSIZE(requests), NULL, 0, 0);
    ok_hr(finish(factory, queue3), S_OK);
    queue3->methods->Release(queue3);
    queue->methods->Release(queue);
    array->methods->Release(array);
}

// More requests than the queue holds, behind a fence that another thread signals meanwhile.
static DWORD WINAPI signal_later(void *fence) {
    Sleep(2 * SHORT_MS);
    signal_fence(fence, 1);
    return 0;
}

static void more_than_fit(void) {
    struct fence fence = {.base = {&methods}, .references = 1};
    static storage_request requests[3 * CAPACITY];
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    for (unsigned i = 0; i < ARRAYSIZE(requests); i++)
        requests[i] = read_request(file, i * 100, bytes + i * 100, 100);
    memset(bytes, 0, sizeof bytes);
    HANDLE thread = CreateThread(NULL, 0, signal_later, &fence.base, 0, NULL);
    queue->methods->EnqueueRequests(queue, requests, ARRAYSIZE(requests), &fence.base, 1, 0);
    ok_hr(finish(factory, queue), S_OK);
    ok(has_pattern(bytes, 0, 100 * ARRAYSIZE(requests)), "the bytes");
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    queue->methods->Release(queue);
}

// What waits for a fence that never comes goes with its queue, and leaves no handles but the fence's events.
static void waits_that_never_end(void) {
    struct fence fence = {.base = {&methods}, .references = 1};
    storage_status_array *array = make_array(factory, 1);
    for (unsigned round = 0; round < ARRAYSIZE(fence.waits); round++) {
        storage_queue *queue = make_queue(factory, SOURCE_FILE);
        storage_request request = read_request(file, 0, bytes, 100);
        memset(bytes, 0, 100);
        queue->methods->EnqueueRequests(queue, &request, 1, &fence.base, 1, 0);
        queue->methods->EnqueueStatus(queue, array, 0);
        queue->methods->Submit(queue);
        if (round & 1) queue->methods->Close(queue);
        ok(queue->methods->Release(queue) == 0, "the queue lives on");
        ok_hr(wait_status(array, 0, LONG_MS), 0x800703E3);
    }
    signal_fence(&fence.base, 1); // too late, for nobody
    Sleep(SHORT_MS);
    ok(!bytes[0], "a request of a closed queue was carried out");
    array->methods->Release(array);
}

int main(void) {
    load_dll();
    if (!ours) {
        printf("SKIPPED: Microsoft's DLL wants fences of D3D12\n");
        return EXIT_SKIPPED;
    }
    make_file(PATH, FILE_BYTES);
    factory = factory_or_exit();
    file = open_file(factory, PATH);
    signals();
    for (uint32_t flags = 0; flags <= 2; flags++) waits(flags);
    more_than_fit();
    waits_that_never_end();
    file->methods->Release(file);
    factory->methods->Release(factory);
    DeleteFileW(PATH);
    return finish_tests();
}
