// copies.c: the last step of requests whose destination only a Windows thread can write, or reach.
//
// Memory with MEM_WRITE_WATCH is read-only for the kernel until a thread that Wine knows writes there: Wine's
// handler notes the page and lets it. The engine leaves such bytes to the pump. The copy itself is a call to
// the Unix half, where Wine answers a fault with c0000005: nothing of it is seen by the application's own
// exception handlers, and the request fails with it.
//
// Bytes for D3D12's resources, and signals behind them, go on to uploader.c, which answers by itself.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#define WRITABLE (PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY)

// Asked first, so that memory that cannot be written as a whole is not written in part, and a guard page,
// which is somebody's alarm, is not set off.
static BOOL is_writable(uint64_t destination, uint64_t size) {
    const char *at = (const char *)(uintptr_t)destination, *end = at + size;
    while (at < end) {
        MEMORY_BASIC_INFORMATION about;
        if (!VirtualQuery(at, &about, sizeof about)) return FALSE;
        if (about.State != MEM_COMMIT || about.Protect & PAGE_GUARD || !(about.Protect & WRITABLE))
            return FALSE;
        at = (const char *)about.BaseAddress + about.RegionSize;
    }
    return TRUE;
}

HRESULT copies_run(const void *source, void *destination, uint64_t size) {
    struct unix_copies_run args = {.source = NUMBER(source),
                                   .destination = NUMBER(destination),
                                   .size = size};
    // Other exceptions than c0000005, a guard page's for one, say the same of the memory.
    return unix_call(UNIX_COPIES_RUN, &args) == S_OK ? S_OK : E_DSTORAGE_ACCESS_VIOLATION;
}

static HRESULT run(const struct unix_task *copy) {
    if (!is_writable(copy->destination, copy->size)) return E_DSTORAGE_ACCESS_VIOLATION;
    return copies_run((const void *)(uintptr_t)copy->source, (void *)(uintptr_t)copy->destination,
                      copy->size);
}

HRESULT copies_begin(uint64_t runtime) {
    struct unix_copies_begin args = {.runtime = runtime, .cookie = cookie_of_copies()};
    return unix_call(UNIX_COPIES_BEGIN, &args);
}

void copies_finish(uint64_t runtime, uint64_t id, HRESULT result) {
    struct unix_copies_finish finish = {.runtime = runtime, .id = id, .result = result};
    unix_call(UNIX_COPIES_FINISH, &finish);
}

// What the engine has no use for any more.
static void free_returned(uint64_t runtime) {
    struct unix_copies_returned returned = {.runtime = runtime};
    while (unix_call(UNIX_COPIES_RETURNED, &returned) == S_OK && returned.count)
        for (uint32_t i = 0; i < returned.count; i++) {
            uint64_t cookie = returned.found[i];
            switch (cookie & COOKIE_OF_MASK) {
            case COOKIE_OF_PLACE: place_free(POINTER_OF(struct place, cookie)); break;
            case COOKIE_OF_BLOCK: block_free(POINTER_OF(struct block, cookie)); break;
            default: gpu_signal_free(POINTER_OF(struct gpu_signal, cookie)); break;
            }
        }
}

// Says whether it was a signal.
static BOOL carry_out(uint64_t runtime, const struct unix_task *task) {
    switch (task->kind) {
    case TASK_COPY_TO_MEMORY: copies_finish(runtime, task->id, run(task)); break;
    case TASK_COPY_TO_PLACE: uploader_take(runtime, task); break;
    case TASK_SIGNAL: uploader_take_signal(POINTER_OF(struct gpu_signal, task->cookie)); break;
    case TASK_BLOCK:
        // Blocks that were given up for this one go first, so that there is never more than there may be.
        free_returned(runtime);
        uploader_give_block(task->cookie, task->size);
        break;
    }
    return task->kind == TASK_SIGNAL;
}

// Fetches all there is to do; says whether there were signals.
static BOOL fetch_tasks(uint64_t runtime) {
    struct unix_tasks_get get = {.runtime = runtime};
    BOOL has_signals = FALSE;
    while (unix_call(UNIX_TASKS_GET, &get) == S_OK && get.count)
        for (uint32_t i = 0; i < get.count; i++) has_signals |= carry_out(runtime, &get.found[i]);
    return has_signals;
}

void copies_make(uint64_t runtime) {
    BOOL has_more;
    uploaders_turn(runtime);
    do {
        // The engine sets an event that stands before a signal before it hands the signal over. So it is
        // here, and is set for the application before the GPU signals.
        has_more = fetch_tasks(runtime) && engine_deliver_waiting(runtime);
        uploaders_turn(runtime);
        free_returned(runtime);
    } while (has_more);
}
