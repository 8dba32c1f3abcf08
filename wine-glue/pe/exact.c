// exact.c: where Microsoft's runtime ends the process, for those who want the same (DS_CONFIG=exact=1).
//
// It answers requests that cannot be meant with RaiseFailFastException in the enqueue. No program that was
// finished depends on it, so ours fails the request instead; whoever writes a program may want to know. The
// numbers are those of the list of observed behaviour. What theirs does wrong without ending is not repeated.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

static const char *wrong_sizes(const storage_request *request, uint32_t source, uint32_t destination) {
    uint32_t uncompressed = request->uncompressed_size;
    if (!source || !destination) return "a size of 0"; // O-43
    if (request->options.compression_format == COMPRESSION_NONE) {
        if (uncompressed && uncompressed != source) return "UncompressedSize is another size"; // O-41
        if (destination != source) return "the destination has another size than the source"; // O-42
    } else if (!uncompressed || destination != uncompressed) {
        return "the destination has another size than UncompressedSize"; // O-55
    }
    return NULL;
}

// What cannot be meant, in words; NULL if nothing.
static const char *malformed(const storage_request *request) {
    uint8_t type = request->options.types >> 1;
    BOOL from_file = (request->options.types & 1) == SOURCE_FILE;
    if (type > DESTINATION_MULTIPLE_SUBRESOURCES_RANGE) return "an unknown destination type"; // O-51
    if (from_file ? !request->source.file.source : !request->source.memory.source) return "no source"; // O-44
    // Every kind of destination begins with its pointer.
    if (!request->destination.memory.buffer) return "no destination"; // O-44, O-51
    if (type != DESTINATION_MEMORY) return NULL;
    uint32_t source = from_file ? request->source.file.size : request->source.memory.size;
    return wrong_sizes(request, source, request->destination.memory.size);
}

static void end(const char *what) {
    log_line("%s: the process ends, as it does with Microsoft's runtime (exact=1)", what);
    RaiseFailFastException(NULL, NULL, 0);
}

void exact_request(const storage_request *request) {
    if (!engine_is_exact()) return;
    const char *what = malformed(request);
    if (what) end(what);
}

void exact_object(const void *object, const char *what) {
    if (!object && engine_is_exact()) end(what);
}
