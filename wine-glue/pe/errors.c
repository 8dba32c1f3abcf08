// errors.c: error records, from the engine's form to DirectStorage's.
//
// The record names the application's objects as it passed them, if they still live; else NULL.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#include <wchar.h>

static void put_object(void *object, void *context) { *(void **)context = object; }

static void *object_of(uint64_t native) {
    void *object = NULL;
    link_visit(native, put_object, &object);
    return object;
}

static void put_path(void *file, void *filename) {
    const WCHAR *path = file_path(file);
    size_t length = wcslen(path);
    if (length >= ERROR_FILENAME_LEN) length = ERROR_FILENAME_LEN - 1;
    CopyMemory(filename, path, length * sizeof *path);
    ((WCHAR *)filename)[length] = 0;
}

static void fill_request(const struct unix_queue_errors *from, storage_error_request *to) {
    CopyMemory(to->request_name, from->name, sizeof to->request_name);
    CopyMemory(&to->request, from->request, sizeof to->request);
    to->request.name = NULL; // copied by the enqueue; it stands in request_name
    if ((to->request.options.types & 1) == SOURCE_MEMORY) return;
    uint64_t native = NUMBER(to->request.source.file.source);
    to->request.source.file.source = object_of(native);
    // The file itself has the whole path; if it is gone, the engine has its beginning.
    if (!link_visit(native, put_path, to->filename))
        MultiByteToWideChar(CP_UTF8, 0, from->filename, -1, to->filename, ERROR_FILENAME_LEN);
}

// Writes as many bytes as the record has since version 1.1. That of 1.0 is longer, with the same beginning.
void errors_retrieve(uint64_t queue, storage_error_record *out) {
    struct unix_queue_errors errors = {.queue = queue, .command_type = COMMAND_NONE};
    unix_call(UNIX_QUEUE_ERRORS, &errors);
    ZeroMemory(out, sizeof *out);
    out->failure_count = errors.failure_count;
    out->first_failure.result = errors.result;
    out->first_failure.command_type = errors.command_type;
    switch (errors.command_type) {
    case COMMAND_REQUEST: fill_request(&errors, &out->first_failure.request); break;
    case COMMAND_STATUS:
        out->first_failure.status.status_array = object_of(errors.object);
        out->first_failure.status.index = errors.index;
        break;
    // Signals and events fail for one reason: there was none.
    case COMMAND_SIGNAL: out->first_failure.signal.value = errors.value; break;
    default: break;
    }
}
