// custom_queue.c: IDStorageCustomDecompressionQueue and its Queue1, an interface of the factory.
//
// The event is made once and lives as long as the process. Applications are known to close the handle that
// they are given, and not to: they get a duplicate, and a new one when they have closed it.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

static SRWLOCK lock = SRWLOCK_INIT;
static HANDLE event;
static HANDLE given;
static uint64_t cookie;
static uint64_t generation; // of the runtime that sets the event

static HRESULT WINAPI query_interface(storage_custom_queue *this, REFIID iid, void **out) {
    storage_factory *factory = factory_of_custom_queue(this);
    return factory->methods->QueryInterface(factory, iid, out);
}

static ULONG WINAPI add_ref(storage_custom_queue *this) {
    storage_factory *factory = factory_of_custom_queue(this);
    return factory->methods->AddRef(factory);
}

static ULONG WINAPI release(storage_custom_queue *this) {
    storage_factory *factory = factory_of_custom_queue(this);
    return factory->methods->Release(factory);
}

static BOOL make_event(void) {
    if (!event) event = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (event && !cookie) cookie = cookie_for_event(event);
    return cookie != 0;
}

static BOOL use_event(void) {
    if (generation == engine_generation()) return TRUE;
    struct unix_custom_event args = {.runtime = engine_runtime(), .cookie = cookie};
    if (FAILED(unix_call(UNIX_CUSTOM_EVENT, &args))) return FALSE;
    generation = engine_generation();
    return TRUE;
}

static void renew_given(void) {
    DWORD flags;
    if (given && GetHandleInformation(given, &flags)) return;
    HANDLE process = GetCurrentProcess();
    if (!DuplicateHandle(process, event, process, &given, 0, FALSE, DUPLICATE_SAME_ACCESS)) given = NULL;
}

static HANDLE WINAPI get_event(storage_custom_queue *this) {
    (void)this;
    AcquireSRWLockExclusive(&lock);
    BOOL usable = make_event() && use_event();
    if (usable) renew_given();
    HANDLE answer = usable ? given : NULL;
    ReleaseSRWLockExclusive(&lock);
    return answer;
}

static HRESULT WINAPI get_requests1(storage_custom_queue *this, uint32_t select, uint32_t max,
                                    storage_custom_request *out, uint32_t *count) {
    (void)this;
    if (!count || (!out && max)) return E_INVALIDARG;
    touch_to_write(out, (SIZE_T)max * sizeof *out);
    struct unix_custom_requests args = {.runtime = engine_runtime(),
                                        .requests = NUMBER(out),
                                        .select = select,
                                        .max = max};
    HRESULT result = unix_call(UNIX_CUSTOM_REQUESTS, &args);
    *count = args.count;
    return result;
}

static HRESULT WINAPI get_requests(storage_custom_queue *this, uint32_t max, storage_custom_request *out,
                                   uint32_t *count) {
    return get_requests1(this, SELECT_CUSTOM, max, out, count);
}

static HRESULT WINAPI set_request_results(storage_custom_queue *this, uint32_t count,
                                          storage_custom_result *results) {
    (void)this;
    if (!results && count) return E_INVALIDARG;
    touch_to_read(results, (SIZE_T)count * sizeof *results);
    struct unix_custom_results args = {.runtime = engine_runtime(),
                                       .results = NUMBER(results),
                                       .count = count};
    return unix_call(UNIX_CUSTOM_RESULTS, &args);
}

const storage_custom_queue_methods custom_queue_methods = {
    .QueryInterface = query_interface,
    .AddRef = add_ref,
    .Release = release,
    .GetEvent = get_event,
    .GetRequests = get_requests,
    .SetRequestResults = set_request_results,
    .GetRequests1 = get_requests1,
};
