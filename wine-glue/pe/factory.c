// factory.c: IDStorageFactory, the one of the process.
//
// A static object. The engine's runtime starts with its first reference and may end with its last; a
// reference that comes later starts it anew.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#define STORAGE_IIDS
#include "glue.h"

static const storage_factory_methods methods;

static SRWLOCK lock = SRWLOCK_INIT;

static struct {
    storage_factory base;
    storage_custom_queue custom;
    LONG references; // leaves and reaches 0 under the lock
} the_factory = {.base = {&methods}, .custom = {&custom_queue_methods}};

storage_factory *factory_of_custom_queue(storage_custom_queue *queue) {
    (void)queue;
    return &the_factory.base;
}

// The interface with that id; NULL if there is none.
static void *interface_of(REFIID iid) {
    if (IsEqualGUID(iid, &IID_UNKNOWN) || IsEqualGUID(iid, &IID_FACTORY)) return &the_factory.base;
    if (IsEqualGUID(iid, &IID_CUSTOM_QUEUE) || IsEqualGUID(iid, &IID_CUSTOM_QUEUE1))
        return &the_factory.custom;
    return NULL;
}

static HRESULT WINAPI query_interface(storage_factory *this, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = interface_of(iid);
    if (!*out) return E_NOINTERFACE;
    this->methods->AddRef(this);
    return S_OK;
}

static ULONG WINAPI add_ref(storage_factory *this) {
    (void)this;
    return (ULONG)InterlockedIncrement(&the_factory.references);
}

static ULONG WINAPI release(storage_factory *this) {
    (void)this;
    AcquireSRWLockExclusive(&lock);
    LONG left = InterlockedDecrement(&the_factory.references);
    if (left == 0) engine_release();
    ReleaseSRWLockExclusive(&lock);
    return (ULONG)left;
}

static HRESULT WINAPI create_queue(storage_factory *this, const storage_queue_desc *desc, REFIID iid,
                                   void **out) {
    (void)this;
    return queue_create(desc, iid, out);
}

static HRESULT WINAPI open_file(storage_factory *this, const WCHAR *path, REFIID iid, void **out) {
    (void)this;
    return file_open(path, iid, out);
}

static HRESULT WINAPI create_status_array(storage_factory *this, uint32_t capacity, const char *name,
                                          REFIID iid, void **out) {
    (void)this;
    return status_array_create(capacity, name, iid, out);
}

static void WINAPI set_debug_flags(storage_factory *this, uint32_t flags) {
    (void)this;
    debug_set_flags(flags);
}

static HRESULT WINAPI set_staging_buffer_size(storage_factory *this, uint32_t bytes) {
    (void)this;
    struct unix_runtime_set_staging args = {.runtime = engine_runtime(), .bytes = bytes};
    return unix_call(UNIX_RUNTIME_SET_STAGING, &args);
}

static const storage_factory_methods methods = {
    .QueryInterface = query_interface,
    .AddRef = add_ref,
    .Release = release,
    .CreateQueue = create_queue,
    .OpenFile = open_file,
    .CreateStatusArray = create_status_array,
    .SetDebugFlags = set_debug_flags,
    .SetStagingBufferSize = set_staging_buffer_size,
};

HRESULT factory_get(REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    void *found = interface_of(iid);
    HRESULT result = S_OK;
    if (!found) return E_NOINTERFACE;
    AcquireSRWLockExclusive(&lock);
    if (the_factory.references == 0) result = engine_acquire();
    if (SUCCEEDED(result)) {
        InterlockedIncrement(&the_factory.references);
        *out = found;
    }
    ReleaseSRWLockExclusive(&lock);
    return result;
}
