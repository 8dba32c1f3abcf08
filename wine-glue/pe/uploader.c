// uploader.c: brings bytes into a device's resources: command lists, one copy queue, signals behind them.
//
// One uploader a device, for as long as a queue or a request of that device lives. The engine brings bytes to
// blocks of memory that the GPU sees (blocks.c); here only the copies are recorded, and the engine has its
// answers when the fence says that a batch is done, so what follows a request in its queue follows the bytes,
// too. An application's fence is signalled by the same queue of the GPU, behind the copies that it is about:
// nobody waits for that.
//
// A batch goes to the GPU when it is full, when a signal follows, or when nothing more waits and the GPU has
// less than two to work on; what comes while it has goes along with the next.
//
// Where the device has no memory of that kind, bytes wait in the engine's own staging, and the pump copies
// them to a batch's upload memory: UPLOAD_BYTES_MAX for each device, or one payload if that is more.
//
// Batches are the pump's alone. A thread waits for the fence and wakes the pump: one of its own, since an
// event that comes once costs Wine's server many calls when Windows' pool waits for it. A device that was
// removed answers everything with the reason. It need not say so by its fence: while batches are in flight,
// the pump wakes by time, too, and asks.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "decoder.h"

#include <stdlib.h>

#define BATCH_COUNT 4
// So many that the GPU has one to go on with.
#define BATCHES_BUSY 2
// A batch of so many bytes is full: a GPU takes longer for them than for the way to it, and not so long that
// a frame would wait.
#define BATCH_BYTES_FULL (UINT64_C(4) << 20)
// What a batch's own memory has at least.
#define BATCH_BYTES (UINT64_C(8) << 20)
#define UPLOAD_BYTES_MAX (UINT64_C(64) << 20)
// A batch that takes longer makes the pump ask whether the device is there, and again after as long.
#define PATIENCE_MS 1000
#define ANSWERS_MAX 256
#define TRIAL_BYTES 65536
#define WATCH_STACK_BYTES (64 * 1024)

struct answer {
    uint64_t id;
    HRESULT result;
};

struct batch {
    ID3D12CommandAllocator *allocator;
    ID3D12GraphicsCommandList *list;
    uint64_t queued; // bytes that are copied
    // Of its own, for bytes that wait elsewhere.
    ID3D12Resource *memory;
    uint8_t *mapped;
    uint64_t bytes, used;
    uint64_t value; // that the fence gets when it is done
    struct gpu_signal *signals; // that the GPU makes behind it
    uint32_t answer_count;
    struct answer answers[ANSWERS_MAX];
};

// A copy that the engine has handed over, or a signal.
struct pending {
    struct pending *next;
    uint64_t id, source, size, done;
    struct place *place;
    struct block *block; // that the source lies in; or NULL
    struct gpu_signal *signal;
};

// A fence of the application's, for one signal. Holds the fence and the uploader.
struct gpu_signal {
    struct gpu_signal *next;
    struct uploader *uploader;
    ID3D12Fence *fence;
    uint64_t value;
    // Here, so that it is never made too early, before the copies that it is about, for want of memory.
    struct pending pending;
};

struct uploader {
    struct uploader *next;
    LONG references; // users, and blocks; leaves and reaches 0 under the lock
    LONG users;      // queues, places and signals
    ID3D12Device *device;
    IUnknown *identity;
    uint64_t generation; // of the engine whose pool it has
    ID3D12CommandQueue *commands;
    D3D12_COMMAND_LIST_TYPE type;
    struct decoder *decoder; // or NULL
    ID3D12Fence *fence;
    HANDLE event;
    HANDLE watch, watch_ended; // the thread that waits for the event
    LONG watch_stops;
    uint64_t pool;        // the engine's; or 0
    uint64_t pool_cookie; // differs for each
    // The rest is the pump's.
    struct uploader *busy_next;
    BOOL is_busy, is_open; // whether the batch behind those in flight is being filled
    HRESULT removed;
    uint64_t value_last;
    uint64_t value_behind_signals; // when the fence has it, the GPU has made every signal that it was given
    ULONGLONG asked_ms; // when the oldest batch became that, or the device was asked about it
    uint32_t oldest, in_flight;
    struct batch batches[BATCH_COUNT];
    struct pending *first, **last;
};

static SRWLOCK lock = SRWLOCK_INIT;
static struct uploader *uploaders;
// Those with something to do; the pump's. Their places keep them.
static struct uploader *busy;
// Signals that were made; the pump's. They hold their uploaders until its turn is over.
static struct gpu_signal *made;
static ULONGLONG turned_ms; // when the pump's last turn was
static uint64_t pool_cookie_last;

// --- Life ----------------------------------------------------------------------------------------------

ID3D12Device *uploader_device(const struct uploader *uploader) { return uploader->device; }

uint64_t uploader_pool(const struct uploader *uploader) { return uploader->pool; }

struct decoder *uploader_decoder(const struct uploader *uploader) { return uploader->decoder; }

BOOL uploader_decodes(const struct uploader *uploader) { return uploader && uploader->decoder; }

static DWORD WINAPI watch_fence(void *parameter) {
    struct uploader *uploader = parameter;
    while (WaitForSingleObject(uploader->event, INFINITE) == WAIT_OBJECT_0 &&
           !InterlockedCompareExchange(&uploader->watch_stops, 0, 0)) {
        struct unix_notify args = {.runtime = engine_runtime(), .cookie = cookie_of_copies()};
        unix_call(UNIX_NOTIFY, &args);
    }
    SetEvent(uploader->watch_ended);
    return 0;
}

static BOOL start_watch(struct uploader *uploader) {
    uploader->event = CreateEventW(NULL, FALSE, FALSE, NULL);
    uploader->watch_ended = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!uploader->event || !uploader->watch_ended) return FALSE;
    uploader->watch = CreateThread(NULL, WATCH_STACK_BYTES, watch_fence, uploader,
                                   STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return uploader->watch != NULL;
}

static void stop_watch(struct uploader *uploader) {
    if (uploader->watch) {
        InterlockedExchange(&uploader->watch_stops, TRUE);
        SetEvent(uploader->event);
        thread_end(uploader->watch, uploader->watch_ended);
    } else if (uploader->watch_ended) {
        CloseHandle(uploader->watch_ended);
    }
}

static void drop_memory(struct batch *batch) {
    if (batch->memory) ID3D12Resource_Release(batch->memory);
    batch->memory = NULL;
    batch->bytes = 0;
}

static void destroy(struct uploader *uploader) {
    stop_watch(uploader);
    if (uploader->pool) unix_call_object(UNIX_POOL_DESTROY, uploader->pool);
    for (int i = 0; i < BATCH_COUNT; i++) {
        struct batch *batch = &uploader->batches[i];
        drop_memory(batch);
        if (batch->list) ID3D12GraphicsCommandList_Release(batch->list);
        if (batch->allocator) ID3D12CommandAllocator_Release(batch->allocator);
    }
    decoder_free(uploader->decoder);
    if (uploader->fence) ID3D12Fence_Release(uploader->fence);
    if (uploader->commands) ID3D12CommandQueue_Release(uploader->commands);
    // The fence of a device that went away may still set it: then nothing else must get its number.
    if (uploader->event && SUCCEEDED(uploader->removed)) CloseHandle(uploader->event);
    if (uploader->identity) IUnknown_Release(uploader->identity);
    if (uploader->device) ID3D12Device_Release(uploader->device);
    free(uploader);
}

// A pool of blocks, if the device makes such: else the engine's own staging is used.
static void equip_pool(struct uploader *uploader) {
    struct block *trial;
    HRESULT result = block_make(uploader->device, NULL, TRIAL_BYTES, &trial);
    if (FAILED(result)) {
        log_line("the device has no cached memory for reads (%08lx): bytes take one more copy", result);
        return;
    }
    block_free(trial);
    AcquireSRWLockExclusive(&lock);
    uploader->pool_cookie = ++pool_cookie_last;
    ReleaseSRWLockExclusive(&lock);
    struct unix_pool_create create = {.runtime = engine_runtime(), .cookie = uploader->pool_cookie};
    if (SUCCEEDED(unix_call(UNIX_POOL_CREATE, &create))) uploader->pool = create.pool;
}

static HRESULT equip(struct uploader *uploader) {
    ID3D12Device *device = uploader->device;
    if (engine_wants_gpu_decode()) uploader->decoder = decoder_make(device);
    // One queue for all, so that its order is that of the requests.
    uploader->type = uploader->decoder ? D3D12_COMMAND_LIST_TYPE_COMPUTE : D3D12_COMMAND_LIST_TYPE_COPY;
    D3D12_COMMAND_QUEUE_DESC desc = {.Type = uploader->type};
    HRESULT result = ID3D12Device_CreateCommandQueue(device, &desc, &IID_ID3D12CommandQueue,
                                                     (void **)&uploader->commands);
    if (SUCCEEDED(result))
        result = ID3D12Device_CreateFence(device, 0, D3D12_FENCE_FLAG_NONE, &IID_ID3D12Fence,
                                          (void **)&uploader->fence);
    if (FAILED(result)) return result;
    if (!start_watch(uploader)) return E_OUTOFMEMORY;
    equip_pool(uploader);
    return S_OK;
}

static HRESULT make(IUnknown *object, IUnknown *identity, struct uploader **out) {
    struct uploader *uploader = calloc(1, sizeof *uploader);
    if (!uploader) return E_OUTOFMEMORY;
    uploader->references = uploader->users = 1;
    uploader->last = &uploader->first;
    uploader->identity = identity;
    uploader->generation = engine_generation();
    IUnknown_AddRef(identity);
    HRESULT result = IUnknown_QueryInterface(object, &IID_ID3D12Device, (void **)&uploader->device);
    if (SUCCEEDED(result)) result = equip(uploader);
    if (FAILED(result)) destroy(uploader);
    *out = SUCCEEDED(result) ? uploader : NULL;
    return result;
}

// Not one that outlived its engine: an application may keep a request that it fetched.
static struct uploader *find(const IUnknown *identity) {
    struct uploader *uploader = uploaders;
    uint64_t generation = engine_generation();
    while (uploader && (uploader->identity != identity || uploader->generation != generation))
        uploader = uploader->next;
    return uploader;
}

// Two threads that come first may make one each; the second takes the first's.
static struct uploader *add(struct uploader *made) {
    AcquireSRWLockExclusive(&lock);
    struct uploader *found = find(made->identity);
    if (found) {
        found->references++, found->users++;
    } else {
        made->next = uploaders;
        uploaders = made;
    }
    ReleaseSRWLockExclusive(&lock);
    if (!found) return made;
    destroy(made);
    return found;
}

struct uploader *uploader_acquire(IUnknown *object) {
    IUnknown *identity = NULL;
    HRESULT result = IUnknown_QueryInterface(object, &IID_IUnknown, (void **)&identity);
    if (FAILED(result)) {
        log_line("CreateQueue: its device has no identity (%08lx): only memory can be reached", result);
        return NULL;
    }
    AcquireSRWLockExclusive(&lock);
    struct uploader *uploader = find(identity);
    if (uploader) uploader->references++, uploader->users++;
    ReleaseSRWLockExclusive(&lock);
    if (!uploader && SUCCEEDED(result = make(object, identity, &uploader))) uploader = add(uploader);
    IUnknown_Release(identity);
    if (!uploader)
        log_line("CreateQueue: its device cannot copy (%08lx): only memory can be reached", result);
    return uploader;
}

void uploader_reference(struct uploader *uploader) {
    AcquireSRWLockExclusive(&lock);
    uploader->references++, uploader->users++;
    ReleaseSRWLockExclusive(&lock);
}

void uploader_hold(struct uploader *uploader) {
    AcquireSRWLockExclusive(&lock);
    uploader->references++;
    ReleaseSRWLockExclusive(&lock);
}

void uploader_let_go(struct uploader *uploader) {
    AcquireSRWLockExclusive(&lock);
    BOOL last = --uploader->references == 0;
    ReleaseSRWLockExclusive(&lock);
    if (last) destroy(uploader);
}

static void unlink_uploader(struct uploader *gone) {
    struct uploader **place = &uploaders;
    while (*place != gone) place = &(*place)->next;
    *place = gone->next;
}

// With its last user the pool goes, and so its blocks come back to the pump.
void uploader_release(struct uploader *uploader) {
    AcquireSRWLockExclusive(&lock);
    BOOL unused = --uploader->users == 0;
    uint64_t pool = uploader->pool;
    if (unused) {
        unlink_uploader(uploader);
        uploader->pool = 0;
    }
    ReleaseSRWLockExclusive(&lock);
    if (unused && pool) unix_call_object(UNIX_POOL_DESTROY, pool);
    uploader_let_go(uploader);
}

// --- Memory and signals --------------------------------------------------------------------------------

// A user, so that the pool stays meanwhile; NULL if it has gone.
static struct uploader *reference_by_pool(uint64_t pool_cookie) {
    AcquireSRWLockExclusive(&lock);
    struct uploader *uploader = uploaders;
    while (uploader && uploader->pool_cookie != pool_cookie) uploader = uploader->next;
    if (uploader) uploader->references++, uploader->users++;
    ReleaseSRWLockExclusive(&lock);
    return uploader;
}

void uploader_give_block(uint64_t pool_cookie, uint64_t bytes) {
    struct uploader *uploader = reference_by_pool(pool_cookie);
    if (!uploader) return;
    struct block *block;
    HRESULT result = block_make(uploader->device, uploader, bytes, &block);
    if (SUCCEEDED(result)) {
        struct unix_pool_add add = {.pool = uploader->pool,
                                    .memory = NUMBER(block->mapped),
                                    .size = block->bytes,
                                    .cookie = NUMBER(block) | COOKIE_OF_BLOCK};
        result = unix_call(UNIX_POOL_ADD, &add);
        if (FAILED(result)) block_free(block);
    }
    if (FAILED(result)) {
        log_line("no memory of %llu bytes for the GPU: %08lx", (unsigned long long)bytes, result);
        unix_call_object(UNIX_POOL_REFUSE, uploader->pool);
    }
    uploader_release(uploader);
}

// S_FALSE if the fence does not say whose it is: then it is the application's own.
static HRESULT check_fence(const struct uploader *uploader, ID3D12Fence *fence) {
    IUnknown *own = NULL;
    if (FAILED(ID3D12Fence_GetDevice(fence, &IID_IUnknown, (void **)&own)) || !own) return S_FALSE;
    IUnknown *identity = NULL;
    IUnknown_QueryInterface(own, &IID_IUnknown, (void **)&identity);
    BOOL same = identity == uploader->identity;
    if (identity) IUnknown_Release(identity);
    IUnknown_Release(own);
    return same ? S_OK : E_DSTORAGE_INVALID_FENCE;
}

HRESULT uploader_signal(struct uploader *uploader, d3d12_fence *fence, uint64_t value, uint64_t *cookie) {
    *cookie = COOKIE_OF_SIGNAL;
    HRESULT result = check_fence(uploader, (ID3D12Fence *)fence);
    if (result != S_OK) return result;
    struct gpu_signal *signal = calloc(1, sizeof *signal);
    if (!signal) return E_OUTOFMEMORY;
    uploader_reference(uploader);
    *signal =
        (struct gpu_signal){.uploader = uploader, .fence = (ID3D12Fence *)fence, .value = value};
    ID3D12Fence_AddRef(signal->fence);
    *cookie |= NUMBER(signal);
    return S_OK;
}

void gpu_signal_free(struct gpu_signal *signal) {
    if (!signal) return;
    ID3D12Fence_Release(signal->fence);
    uploader_release(signal->uploader);
    free(signal);
}

// --- Batches -------------------------------------------------------------------------------------------

static struct batch *batch_at(struct uploader *uploader, uint32_t behind_oldest) {
    return &uploader->batches[(uploader->oldest + behind_oldest) % BATCH_COUNT];
}

static void answer_all(uint64_t runtime, struct batch *batch, HRESULT failure) {
    for (uint32_t i = 0; i < batch->answer_count; i++) {
        const struct answer *answer = &batch->answers[i];
        copies_finish(runtime, answer->id, FAILED(failure) ? failure : answer->result);
    }
    batch->answer_count = 0;
    batch->used = batch->queued = 0;
}

static void keep_made(struct gpu_signal *signal) {
    signal->next = made;
    made = signal;
}

// The signals behind a batch that is over. Those that a lost GPU did not make, the processor does.
static void retire_signals(struct batch *batch, HRESULT failure) {
    while (batch->signals) {
        struct gpu_signal *signal = batch->signals;
        batch->signals = signal->next;
        if (FAILED(failure) && ID3D12Fence_GetCompletedValue(signal->fence) < signal->value)
            ID3D12Fence_Signal(signal->fence, signal->value);
        keep_made(signal);
    }
}

// Why the device went away, if it did; `otherwise` if it does not say.
static HRESULT removal(struct uploader *uploader, HRESULT otherwise) {
    HRESULT reason = ID3D12Device_GetDeviceRemovedReason(uploader->device);
    return FAILED(reason) ? reason : otherwise;
}

// A d3d12 may neither signal nor end a fence when the driver is lost, and learn of that only when it hands
// something over: so it is given one more signal, then asked.
static void ask_device(struct uploader *uploader) {
    uploader->asked_ms = GetTickCount64();
    HRESULT result =
        ID3D12CommandQueue_Signal(uploader->commands, uploader->fence, ++uploader->value_last);
    uploader->removed = removal(uploader, result == E_OUTOFMEMORY ? S_OK : result);
}

static void retire(struct uploader *uploader, uint64_t runtime) {
    if (!uploader->in_flight) return;
    uint64_t there = ID3D12Fence_GetCompletedValue(uploader->fence);
    if (there == UINT64_MAX)
        uploader->removed = removal(uploader, DXGI_ERROR_DEVICE_REMOVED);
    else if (there < batch_at(uploader, 0)->value && SUCCEEDED(uploader->removed) &&
             GetTickCount64() - uploader->asked_ms >= PATIENCE_MS)
        ask_device(uploader);
    while (uploader->in_flight && (FAILED(uploader->removed) || batch_at(uploader, 0)->value <= there)) {
        struct batch *batch = batch_at(uploader, 0);
        answer_all(runtime, batch, uploader->removed);
        retire_signals(batch, uploader->removed);
        if (batch->bytes > BATCH_BYTES) drop_memory(batch);
        uploader->oldest = (uploader->oldest + 1) % BATCH_COUNT;
        uploader->in_flight--;
        uploader->asked_ms = GetTickCount64();
    }
}

static void drop_first(struct uploader *uploader) {
    struct pending *gone = uploader->first;
    uploader->first = gone->next;
    if (!uploader->first) uploader->last = &uploader->first;
    if (!gone->signal) free(gone);
}

// Whether the GPU has made all that it was given, signals too.
static BOOL is_idle(const struct uploader *uploader) {
    return !uploader->in_flight &&
           ID3D12Fence_GetCompletedValue(uploader->fence) >= uploader->value_behind_signals;
}

// By the processor where the GPU cannot, or has nothing to make it behind: the way there takes longer.
// `behind` is the batch that is about to be in flight, or NULL.
static void make_signal(struct uploader *uploader, struct gpu_signal *signal, struct batch *behind) {
    HRESULT result = uploader->removed;
    if (SUCCEEDED(result) && !behind && is_idle(uploader)) result = S_FALSE;
    if (!behind && uploader->in_flight) behind = batch_at(uploader, uploader->in_flight - 1);
    if (result == S_OK) {
        result = ID3D12CommandQueue_Signal(uploader->commands, signal->fence, signal->value);
        uploader->value_behind_signals = uploader->value_last + 1;
    }
    if (result == S_OK && behind) {
        signal->next = behind->signals;
        behind->signals = signal;
        return;
    }
    if (result != S_OK) result = ID3D12Fence_Signal(signal->fence, signal->value);
    if (FAILED(result)) log_line("a fence cannot be signalled: %08lx", result);
    keep_made(signal);
}

// Those that are next in line.
static void make_signals(struct uploader *uploader, struct batch *behind) {
    while (uploader->first && uploader->first->signal) {
        struct gpu_signal *signal = uploader->first->signal;
        drop_first(uploader);
        make_signal(uploader, signal, behind);
    }
}

static HRESULT execute(struct uploader *uploader, struct batch *batch) {
    // Its fence might never come.
    HRESULT result = uploader->removed = removal(uploader, uploader->removed);
    if (SUCCEEDED(result) && uploader->decoder)
        result = decoder_finish(uploader->decoder, batch->list, (uint32_t)(batch - uploader->batches));
    if (SUCCEEDED(result)) result = ID3D12GraphicsCommandList_Close(batch->list);
    if (FAILED(result)) return result;
    ID3D12CommandList *lists[] = {(ID3D12CommandList *)batch->list};
    ID3D12CommandQueue_ExecuteCommandLists(uploader->commands, 1, lists);
    // What tells the application comes before what tells the pump, and so takes it no time.
    make_signals(uploader, batch);
    batch->value = ++uploader->value_last;
    result = ID3D12CommandQueue_Signal(uploader->commands, uploader->fence, batch->value);
    if (SUCCEEDED(result))
        result = ID3D12Fence_SetEventOnCompletion(uploader->fence, batch->value, uploader->event);
    // The GPU may be using the memory, and nobody will say when it is not.
    if (FAILED(result)) uploader->removed = removal(uploader, result);
    return S_OK;
}

static void send_batch(struct uploader *uploader, uint64_t runtime) {
    if (!uploader->is_open) return;
    struct batch *batch = batch_at(uploader, uploader->in_flight);
    uploader->is_open = FALSE;
    HRESULT result = execute(uploader, batch);
    if (FAILED(result))
        answer_all(runtime, batch, removal(uploader, result));
    else if (!uploader->in_flight++)
        uploader->asked_ms = GetTickCount64();
}

// Memory of `bytes` bytes for a batch that is not in use. S_FALSE: not before others are done.
static HRESULT provide_memory(struct uploader *uploader, struct batch *batch, uint64_t bytes) {
    if (batch->bytes >= bytes) return S_OK;
    drop_memory(batch);
    uint64_t wanted = bytes > BATCH_BYTES ? bytes : BATCH_BYTES, all = wanted;
    for (uint32_t i = 0; i < BATCH_COUNT; i++) {
        struct batch *other = batch_at(uploader, i);
        if (i >= uploader->in_flight && bytes > BATCH_BYTES) drop_memory(other);
        all += other->bytes;
    }
    if (all > UPLOAD_BYTES_MAX && uploader->in_flight) return S_FALSE;
    D3D12_HEAP_PROPERTIES heap = {.Type = D3D12_HEAP_TYPE_UPLOAD};
    HRESULT result = memory_make(uploader->device, &heap, wanted, &batch->memory, &batch->mapped);
    if (FAILED(result)) return uploader->in_flight ? S_FALSE : result;
    batch->bytes = wanted;
    return S_OK;
}

static HRESULT begin_list(struct uploader *uploader, struct batch *batch) {
    ID3D12Device *device = uploader->device;
    HRESULT result = S_OK;
    if (batch->list) {
        result = ID3D12CommandAllocator_Reset(batch->allocator);
        if (FAILED(result)) return result;
        return ID3D12GraphicsCommandList_Reset(batch->list, batch->allocator, NULL);
    }
    if (!batch->allocator)
        result = ID3D12Device_CreateCommandAllocator(device, uploader->type,
                                                     &IID_ID3D12CommandAllocator,
                                                     (void **)&batch->allocator);
    if (FAILED(result)) return result;
    return ID3D12Device_CreateCommandList(device, 0, uploader->type, batch->allocator, NULL,
                                          &IID_ID3D12GraphicsCommandList, (void **)&batch->list);
}

static BOOL has_room(const struct batch *batch, uint64_t bytes) {
    // Of a large payload the rounding up may lie outside.
    uint64_t left = batch->used < batch->bytes ? batch->bytes - batch->used : 0;
    return batch->answer_count < ANSWERS_MAX && batch->queued < BATCH_BYTES_FULL && left >= bytes;
}

// The batch to be filled, with room for one more copy, and `bytes` bytes of its own memory. S_FALSE: not
// before others are done.
static HRESULT open_batch(struct uploader *uploader, uint64_t runtime, uint64_t bytes, struct batch **out) {
    if (uploader->is_open && !has_room(batch_at(uploader, uploader->in_flight), bytes))
        send_batch(uploader, runtime);
    if (uploader->in_flight == BATCH_COUNT) return S_FALSE;
    struct batch *batch = *out = batch_at(uploader, uploader->in_flight);
    if (uploader->is_open) return S_OK;
    HRESULT result = provide_memory(uploader, batch, bytes);
    if (result == S_OK) result = begin_list(uploader, batch);
    uploader->is_open = result == S_OK;
    return result;
}

// --- The pump ------------------------------------------------------------------------------------------

static void append(struct uploader *uploader, struct pending *pending) {
    *uploader->last = pending;
    uploader->last = &pending->next;
    if (uploader->is_busy) return;
    uploader->is_busy = TRUE;
    uploader->busy_next = busy;
    busy = uploader;
}

void uploader_take(uint64_t runtime, const struct unix_task *copy) {
    struct place *place = POINTER_OF(struct place, copy->cookie);
    struct pending *pending = calloc(1, sizeof *pending);
    if (!pending) {
        copies_finish(runtime, copy->id, E_OUTOFMEMORY);
        return;
    }
    *pending = (struct pending){.id = copy->id,
                                .source = copy->source,
                                .size = copy->size,
                                .place = place,
                                .block = POINTER_OF(struct block, copy->block)};
    // What comes behind a texture's last row is nobody's.
    if (pending->size > place->bytes) pending->size = place->bytes;
    append(place->uploader, pending);
}

void uploader_take_signal(struct gpu_signal *signal) {
    signal->pending.signal = signal;
    append(signal->uploader, &signal->pending);
}

// The next part of a copy, into the batch.
static HRESULT put(struct batch *batch, struct pending *pending, uint64_t bytes) {
    ID3D12Resource *memory = batch->memory;
    const uint8_t *mapped = batch->mapped + batch->used;
    uint64_t from = batch->used;
    HRESULT result = S_OK;
    if (pending->block) {
        memory = pending->block->memory;
        mapped = (const uint8_t *)(uintptr_t)pending->source;
        from = (uint64_t)(mapped - pending->block->mapped);
    } else {
        const char *source = (const char *)(uintptr_t)pending->source + pending->done;
        result = copies_run(source, batch->mapped + from, bytes);
        // What did not come takes no room.
        uint64_t rounded = (bytes + UPLOAD_ALIGNMENT - 1) / UPLOAD_ALIGNMENT * UPLOAD_ALIGNMENT;
        if (SUCCEEDED(result)) batch->used += rounded;
    }
    if (SUCCEEDED(result) && bytes)
        result = place_record(pending->place, batch->list, memory, mapped, from, pending->done, bytes);
    if (FAILED(result)) return result;
    batch->queued += bytes;
    pending->done += bytes;
    return S_OK;
}

// Moves on with the first copy that waits; FALSE if it must wait on.
static BOOL advance_copy(struct uploader *uploader, uint64_t runtime) {
    struct pending *pending = uploader->first;
    struct batch *batch = NULL;
    uint64_t bytes = pending->size - pending->done;
    BOOL is_split = !pending->block && place_can_be_split(pending->place) && bytes > BATCH_BYTES;
    if (is_split) bytes = BATCH_BYTES;
    HRESULT result = uploader->removed;
    if (uploader->is_open && !place_has_room(pending->place)) send_batch(uploader, runtime);
    if (SUCCEEDED(result)) result = open_batch(uploader, runtime, pending->block ? 0 : bytes, &batch);
    if (result == S_FALSE) return FALSE;
    if (FAILED(result)) {
        // Parts of it may still be on their way.
        if (uploader->in_flight && SUCCEEDED(uploader->removed)) return FALSE;
        copies_finish(runtime, pending->id, removal(uploader, result));
        drop_first(uploader);
        return TRUE;
    }
    result = put(batch, pending, bytes);
    // Answered in the batch, so that its place stays until the parts before are there.
    if (FAILED(result) || pending->done == pending->size) {
        batch->answers[batch->answer_count++] = (struct answer){pending->id, result};
        drop_first(uploader);
    }
    return TRUE;
}

// The same with the first that waits, copy or signal.
static BOOL advance(struct uploader *uploader, uint64_t runtime) {
    if (!uploader->first->signal) return advance_copy(uploader, runtime);
    send_batch(uploader, runtime);
    make_signals(uploader, NULL);
    return TRUE;
}

static void free_made(void) {
    while (made) {
        struct gpu_signal *signal = made;
        made = signal->next;
        gpu_signal_free(signal);
    }
}

static void rest(struct uploader *uploader) {
    decoder_rest(uploader->decoder);
    // One memory stays, for the batch that comes next: a new one can cost milliseconds.
    struct batch *next = batch_at(uploader, 0);
    for (uint32_t i = 1; i < BATCH_COUNT; i++) {
        struct batch *other = batch_at(uploader, i);
        if (!next->memory && other->memory) {
            next->memory = other->memory, next->mapped = other->mapped, next->bytes = other->bytes;
            other->memory = NULL;
        }
        drop_memory(other);
    }
}

uint64_t uploaders_timeout_ns(void) {
    return busy ? UINT64_C(1000000) * PATIENCE_MS : UNIX_WAIT_FOREVER;
}

BOOL uploaders_are_due(void) { return busy && GetTickCount64() - turned_ms >= PATIENCE_MS; }

// Places, and with them uploaders, are freed behind this.
void uploaders_turn(uint64_t runtime) {
    struct uploader **place = &busy;
    turned_ms = GetTickCount64();
    while (*place) {
        struct uploader *uploader = *place;
        retire(uploader, runtime);
        while (uploader->first && advance(uploader, runtime)) {}
        // What is done by now lets the open one go: no fence would come for that.
        do {
            if (uploader->in_flight < BATCHES_BUSY) send_batch(uploader, runtime);
            retire(uploader, runtime);
        } while (uploader->is_open && uploader->in_flight < BATCHES_BUSY);
        if (uploader->first || uploader->in_flight) {
            place = &uploader->busy_next;
            continue;
        }
        rest(uploader);
        uploader->is_busy = FALSE;
        *place = uploader->busy_next;
    }
    free_made();
}
