// status_array.c: IDStorageStatusArray.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#define STORAGE_IIDS
#include "glue.h"

#include <stdlib.h>

struct status_array {
    storage_status_array base;
    LONG references;
    uint64_t native;
    struct link link;
};

static const storage_status_array_methods methods;

static struct status_array *from(storage_status_array *this) {
    return CONTAINING_RECORD(this, struct status_array, base);
}

static HRESULT WINAPI query_interface(storage_status_array *this, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    if (!IsEqualGUID(iid, &IID_UNKNOWN) && !IsEqualGUID(iid, &IID_STATUS_ARRAY)) return E_NOINTERFACE;
    this->methods->AddRef(this);
    *out = this;
    return S_OK;
}

static ULONG WINAPI add_ref(storage_status_array *this) {
    return (ULONG)InterlockedIncrement(&from(this)->references);
}

static ULONG WINAPI release(storage_status_array *this) {
    struct status_array *array = from(this);
    LONG left = InterlockedDecrement(&array->references);
    if (left == 0) {
        link_remove(&array->link);
        unix_call_object(UNIX_STATUS_ARRAY_RELEASE, array->native);
        free(array);
    }
    return (ULONG)left;
}

static _Bool WINAPI is_complete(storage_status_array *this, uint32_t index) {
    struct unix_status args = {.array = from(this)->native, .index = index};
    return unix_call(UNIX_STATUS_IS_COMPLETE, &args) == 1;
}

static HRESULT WINAPI get_hresult(storage_status_array *this, uint32_t index) {
    struct unix_status args = {.array = from(this)->native, .index = index};
    return unix_call(UNIX_STATUS_RESULT, &args);
}

static const storage_status_array_methods methods = {
    .QueryInterface = query_interface,
    .AddRef = add_ref,
    .Release = release,
    .IsComplete = is_complete,
    .GetHResult = get_hresult,
};

HRESULT status_array_create(uint32_t capacity, const char *name, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    struct status_array *array = calloc(1, sizeof *array);
    if (!array) return E_OUTOFMEMORY;
    struct unix_status_array_create create = {.capacity = capacity, .name = NUMBER(name)};
    HRESULT result = unix_call(UNIX_STATUS_ARRAY_CREATE, &create);
    if (FAILED(result)) {
        free(array);
        return result;
    }
    array->base.methods = &methods;
    array->references = 1;
    array->native = create.array;
    link_add(&array->link, array->native, array);
    debug_name("status array", name, array);
    result = query_interface(&array->base, iid, out);
    release(&array->base);
    return result;
}

uint64_t status_array_native(storage_status_array *this) {
    return this && this->methods == &methods ? from(this)->native : 0;
}
