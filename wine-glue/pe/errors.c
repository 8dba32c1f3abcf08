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

// The file's path, then the request itself; where they stand differs between versions.
static void fill_request(const struct unix_queue_errors *from, WCHAR *filename, storage_request *to) {
    CopyMemory(to, from->request, sizeof *to);
    to->name = NULL; // copied by the enqueue; it stands in the record
    if ((to->options.types & 1) == SOURCE_MEMORY) return;
    uint64_t native = NUMBER(to->source.file.source);
    to->source.file.source = object_of(native);
    // The file itself has the whole path; if it is gone, the engine has its beginning.
    if (!link_visit(native, put_path, filename))
        MultiByteToWideChar(CP_UTF8, 0, from->filename, -1, filename, ERROR_FILENAME_LEN);
}

// What all versions have at the same places.
static void fill_common(const struct unix_queue_errors *errors, storage_error_record *out) {
    out->failure_count = errors->failure_count;
    out->first_failure.result = errors->result;
    out->first_failure.command_type = errors->command_type;
    if (errors->command_type == COMMAND_STATUS) {
        out->first_failure.status.status_array = object_of(errors->object);
        out->first_failure.status.index = errors->index;
    }
    // Signals and events fail for one reason: there was none.
    if (errors->command_type == COMMAND_SIGNAL) out->first_failure.signal.value = errors->value;
}

static void fill_1_0(const struct unix_queue_errors *errors, storage_error_record_1_0 *out) {
    ZeroMemory(out, sizeof *out);
    fill_common(errors, (storage_error_record *)out);
    if (errors->command_type != COMMAND_REQUEST) return;
    storage_error_request_1_0 *request = &out->first_failure.request;
    CopyMemory(request->request_name, errors->name, sizeof errors->name);
    fill_request(errors, request->filename, &request->request);
}

static void fill_1_1(const struct unix_queue_errors *errors, storage_error_record *out) {
    ZeroMemory(out, sizeof *out);
    fill_common(errors, out);
    if (errors->command_type != COMMAND_REQUEST) return;
    storage_error_request *request = &out->first_failure.request;
    CopyMemory(request->request_name, errors->name, sizeof request->request_name);
    fill_request(errors, request->filename, &request->request);
}

void errors_fill(const struct unix_queue_errors *errors, void *out) {
    if (program_is_1_0())
        fill_1_0(errors, out);
    else
        fill_1_1(errors, out);
}
