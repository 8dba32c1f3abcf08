// file.c: IDStorageFile.
//
// Wine opens the file, so that sharing, case, drives and error codes are Wine's; the engine gets the
// descriptor behind the handle. The handle stays open until Close, for GetFileInformation.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#define STORAGE_IIDS
#include "glue.h"

#include <stdlib.h>
#include <wchar.h>

struct file {
    storage_file base;
    LONG references;
    uint64_t native;
    struct link link;
    SRWLOCK lock; // over the handle
    HANDLE handle; // NULL: closed
    WCHAR path[];
};

static const storage_file_methods methods;

static struct file *from(storage_file *this) { return CONTAINING_RECORD(this, struct file, base); }

static HRESULT WINAPI query_interface(storage_file *this, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    if (!IsEqualGUID(iid, &IID_UNKNOWN) && !IsEqualGUID(iid, &IID_FILE)) return E_NOINTERFACE;
    this->methods->AddRef(this);
    *out = this;
    return S_OK;
}

static ULONG WINAPI add_ref(storage_file *this) {
    return (ULONG)InterlockedIncrement(&from(this)->references);
}

static void close_handle(struct file *file) {
    AcquireSRWLockExclusive(&file->lock);
    HANDLE handle = file->handle;
    file->handle = NULL;
    ReleaseSRWLockExclusive(&file->lock);
    if (handle) CloseHandle(handle);
}

// Requests that are enqueued keep the engine's file; only Close takes it away from them.
static ULONG WINAPI release(storage_file *this) {
    struct file *file = from(this);
    LONG left = InterlockedDecrement(&file->references);
    if (left == 0) {
        link_remove(&file->link);
        unix_call_object(UNIX_FILE_RELEASE, file->native);
        close_handle(file);
        free(file);
    }
    return (ULONG)left;
}

static void WINAPI close_file(storage_file *this) {
    struct file *file = from(this);
    unix_call_object(UNIX_FILE_CLOSE, file->native);
    close_handle(file);
}

static HRESULT WINAPI get_file_information(storage_file *this, BY_HANDLE_FILE_INFORMATION *out) {
    struct file *file = from(this);
    if (!out) return E_POINTER;
    AcquireSRWLockShared(&file->lock);
    HRESULT result = HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
    if (file->handle)
        result = GetFileInformationByHandle(file->handle, out) ? S_OK : HRESULT_FROM_WIN32(GetLastError());
    ReleaseSRWLockShared(&file->lock);
    return result;
}

static const storage_file_methods methods = {
    .QueryInterface = query_interface,
    .AddRef = add_ref,
    .Release = release,
    .Close = close_file,
    .GetFileInformation = get_file_information,
};

// The engine's file for the handle.
static HRESULT native_create(HANDLE handle, const WCHAR *path, uint64_t *native) {
    // Messages and error records name the file as the application did.
    int bytes = WideCharToMultiByte(CP_UTF8, 0, path, -1, NULL, 0, NULL, NULL);
    char *text = malloc(bytes > 0 ? (size_t)bytes : 1);
    if (!text) return E_OUTOFMEMORY;
    if (!WideCharToMultiByte(CP_UTF8, 0, path, -1, text, bytes, NULL, NULL)) *text = 0;
    struct unix_file_create create = {.path = NUMBER(text)};
    HRESULT result = unix_descriptor(handle, &create.fd);
    if (SUCCEEDED(result)) result = unix_call(UNIX_FILE_CREATE, &create);
    free(text);
    *native = create.file;
    return result;
}

static HRESULT make(HANDLE handle, const WCHAR *path, struct file **out) {
    size_t path_bytes = (wcslen(path) + 1) * sizeof *path;
    struct file *file = calloc(1, sizeof *file + path_bytes);
    if (!file) return E_OUTOFMEMORY;
    HRESULT result = native_create(handle, path, &file->native);
    if (FAILED(result)) {
        free(file);
        return result;
    }
    file->base.methods = &methods;
    file->references = 1;
    file->handle = handle;
    InitializeSRWLock(&file->lock);
    CopyMemory(file->path, path, path_bytes);
    link_add(&file->link, file->native, file);
    *out = file;
    return S_OK;
}

HRESULT file_open(const WCHAR *path, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    if (!path) return E_INVALIDARG;
    // An open file of ours must not keep anybody from replacing it: updaters do so while games run.
    DWORD sharing = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE handle = CreateFileW(path, GENERIC_READ, sharing, NULL, OPEN_EXISTING, 0, NULL);
    if (handle == INVALID_HANDLE_VALUE) return HRESULT_FROM_WIN32(GetLastError());
    struct file *file;
    HRESULT result = make(handle, path, &file);
    if (FAILED(result)) {
        CloseHandle(handle);
        return result;
    }
    result = query_interface(&file->base, iid, out);
    release(&file->base);
    return result;
}

uint64_t file_native(storage_file *this) {
    return this && this->methods == &methods ? from(this)->native : 0;
}

const WCHAR *file_path(const storage_file *this) { return CONTAINING_RECORD(this, struct file, base)->path; }
