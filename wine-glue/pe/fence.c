// fence.c: ID3D12Fence and the engine's fences, in both directions.
//
// Signals: an ID3D12Fence that queues are to signal has one engine's fence for all of them, so that their
// values arrive in order. It is kept while a value is to come.
// Waits: an ID3D12Fence that requests wait for tells a thread of Windows' pool, which tells the engine.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#include <stdlib.h>

struct entry {
    struct entry *next;
    d3d12_fence *fence;
    uint64_t id;
    uint64_t native;
    uint64_t value_last; // the last one enqueued
    uint32_t enqueues;   // going on now
};

static SRWLOCK lock = SRWLOCK_INIT;
static struct entry *first;
static uint64_t id_last;

static struct entry *find(const d3d12_fence *fence) {
    struct entry *entry = first;
    while (entry && entry->fence != fence) entry = entry->next;
    return entry;
}

static HRESULT add(d3d12_fence *fence, struct entry **out) {
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry) return E_OUTOFMEMORY;
    struct unix_fence_create create = {.runtime = engine_runtime(), .cookie = cookie_of_fence(++id_last)};
    HRESULT result = unix_call(UNIX_FENCE_CREATE, &create);
    if (FAILED(result)) {
        free(entry);
        return result;
    }
    *entry = (struct entry){.next = first, .fence = fence, .id = id_last, .native = create.fence};
    *out = first = entry;
    return S_OK;
}

HRESULT fence_begin_signal(d3d12_fence *fence, uint64_t value, uint64_t *native) {
    *native = 0;
    if (!fence) return S_OK; // the engine records it
    fence->methods->AddRef(fence);
    AcquireSRWLockExclusive(&lock);
    struct entry *entry = find(fence);
    BOOL kept = !entry;
    HRESULT result = entry ? S_OK : add(fence, &entry);
    if (SUCCEEDED(result)) {
        entry->value_last = value;
        entry->enqueues++;
        *native = entry->native;
    }
    ReleaseSRWLockExclusive(&lock);
    if (!kept || FAILED(result)) fence->methods->Release(fence);
    return result;
}

void fence_end_signal(d3d12_fence *fence) {
    AcquireSRWLockExclusive(&lock);
    struct entry *entry = find(fence);
    if (entry) entry->enqueues--;
    ReleaseSRWLockExclusive(&lock);
}

static void unlink_entry(struct entry *gone) {
    struct entry **place = &first;
    while (*place != gone) place = &(*place)->next;
    *place = gone->next;
}

static void forget(struct entry *entry) {
    unix_call_object(UNIX_FENCE_RELEASE, entry->native);
    entry->fence->methods->Release(entry->fence);
    free(entry);
}

// Entries go away here and when the pump is no more, so that one that is found stays.
void fence_deliver(uint64_t id, uint64_t value) {
    AcquireSRWLockExclusive(&lock);
    struct entry *entry = first;
    while (entry && entry->id != id) entry = entry->next;
    BOOL last = entry && !entry->enqueues && value >= entry->value_last;
    if (last) unlink_entry(entry);
    ReleaseSRWLockExclusive(&lock);
    if (!entry) return;
    HRESULT result = entry->fence->methods->Signal(entry->fence, value);
    if (FAILED(result)) log_line("ID3D12Fence::Signal failed: %08lx", result);
    if (last) forget(entry);
}

void fence_forget_all(void) {
    AcquireSRWLockExclusive(&lock);
    struct entry *entry = first;
    first = NULL;
    ReleaseSRWLockExclusive(&lock);
    while (entry) {
        struct entry *next = entry->next;
        forget(entry);
        entry = next;
    }
}

// --- Waits ---------------------------------------------------------------------------------------------
//
// A wait stands in the list until the pool's thread or its queue's end takes it out, whoever comes first.

static SRWLOCK waits_lock = SRWLOCK_INIT;
static struct fence_wait *waits;

static BOOL unlink_wait(struct fence_wait *wait) {
    AcquireSRWLockExclusive(&waits_lock);
    struct fence_wait **place = &waits;
    while (*place && *place != wait) place = &(*place)->next;
    BOOL found = *place != NULL;
    if (found) *place = wait->next;
    ReleaseSRWLockExclusive(&waits_lock);
    return found;
}

// One of the owner's, out of the list; NULL if there is none.
static struct fence_wait *unlink_any(uint64_t owner) {
    AcquireSRWLockExclusive(&waits_lock);
    struct fence_wait **place = &waits;
    while (*place && (*place)->owner != owner) place = &(*place)->next;
    struct fence_wait *found = *place;
    if (found) *place = found->next;
    ReleaseSRWLockExclusive(&waits_lock);
    return found;
}

void fence_end_wait(struct fence_wait *wait) {
    if (!wait || InterlockedDecrement(&wait->references)) return;
    unix_call_object(UNIX_FENCE_RELEASE, wait->native);
    if (wait->event) CloseHandle(wait->event);
    free(wait);
}

static void CALLBACK reached(PTP_CALLBACK_INSTANCE instance, void *context, PTP_WAIT pool_wait,
                             TP_WAIT_RESULT why) {
    (void)instance, (void)why;
    struct fence_wait *wait = context;
    // Else somebody waits for this call to end, and ends the wait.
    if (!unlink_wait(wait)) return;
    struct unix_fence_signal args = {.fence = wait->native, .value = wait->value};
    unix_call(UNIX_FENCE_SIGNAL, &args);
    CloseThreadpoolWait(pool_wait);
    fence_end_wait(wait);
}

void fence_forget_waits(uint64_t owner) {
    struct fence_wait *wait;
    while ((wait = unlink_any(owner))) {
        SetThreadpoolWait(wait->pool_wait, NULL, NULL);
        WaitForThreadpoolWaitCallbacks(wait->pool_wait, TRUE);
        CloseThreadpoolWait(wait->pool_wait);
        // The event stays open: the fence may have noted no more than its number, and set what has it then.
        wait->event = NULL;
        fence_end_wait(wait);
    }
}

static HRESULT arm(struct fence_wait *wait, d3d12_fence *fence) {
    wait->pool_wait = CreateThreadpoolWait(reached, wait, NULL);
    if (!wait->pool_wait) return HRESULT_FROM_WIN32(GetLastError());
    HRESULT result = fence->methods->SetEventOnCompletion(fence, wait->value, wait->event);
    if (FAILED(result)) {
        CloseThreadpoolWait(wait->pool_wait);
        return result;
    }
    InterlockedIncrement(&wait->references);
    AcquireSRWLockExclusive(&waits_lock);
    wait->next = waits;
    waits = wait;
    // Under the lock: whoever finds it in the list finds it armed.
    SetThreadpoolWait(wait->pool_wait, wait->event, NULL);
    ReleaseSRWLockExclusive(&waits_lock);
    return S_OK;
}

HRESULT fence_begin_wait(d3d12_fence *fence, uint64_t value, uint64_t owner, struct fence_wait **out) {
    *out = NULL;
    uint64_t now = fence->methods->GetCompletedValue(fence);
    if (now >= value) return S_OK;
    struct unix_fence_create create = {.initial = now};
    HRESULT result = unix_call(UNIX_FENCE_CREATE, &create);
    if (FAILED(result)) return result;
    struct fence_wait *wait = calloc(1, sizeof *wait);
    HANDLE event = wait ? CreateEventW(NULL, TRUE, FALSE, NULL) : NULL;
    if (!event) {
        unix_call_object(UNIX_FENCE_RELEASE, create.fence);
        free(wait);
        return E_OUTOFMEMORY;
    }
    wait->references = 1;
    wait->native = create.fence;
    wait->value = value;
    wait->event = event;
    wait->owner = owner;
    result = arm(wait, fence);
    if (FAILED(result))
        fence_end_wait(wait);
    else
        *out = wait;
    return result;
}
