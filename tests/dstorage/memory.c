// memory.c: destinations and sources of every kind of memory that Windows has. What cannot be written fails
// its request and nothing else.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define PATH L"memory.bin"
#define BYTES 65536

static storage_factory *factory;
static storage_file *file;
static storage_queue *files, *memory;
static uint8_t source[BYTES], stream[2 * BYTES];
static SIZE_T stream_bytes;

static void make_stream(void) {
    storage_codec *codec = NULL;
    ok_hr(create_codec(COMPRESSION_GDEFLATE, 1, &IID_CODEC, (void **)&codec), S_OK);
    for (unsigned i = 0; i < BYTES; i++) source[i] = pattern(i);
    ok_hr(codec->methods->CompressBuffer(codec, source, BYTES, 0, stream, sizeof stream, &stream_bytes),
          S_OK);
    codec->methods->Release(codec);
}

static storage_request decode_request(const void *from, void *to) {
    storage_request request = copy_request(from, to, (uint32_t)stream_bytes);
    request.options.compression_format = COMPRESSION_GDEFLATE;
    request.destination.memory.size = request.uncompressed_size = BYTES;
    return request;
}

// The three ways bytes come to `to`.
static void results_are(const char *what, void *to, BOOL good, BOOL not_yet) {
    const HRESULT wanted = good ? S_OK : E_DSTORAGE_ACCESS_VIOLATION;
    const HRESULT results[] = {run(factory, files, read_request(file, 0, to, BYTES)),
                               run(factory, memory, copy_request(source, to, BYTES)),
                               run(factory, memory, decode_request(stream, to))};
    for (unsigned way = 0; way < ARRAYSIZE(results); way++)
        todo_if(not_yet, results[way] == wanted, "%s, way %u: %08lx", what, way, (long)results[way]);
    if (good && !not_yet) ok(has_pattern(to, 0, BYTES), "%s: the bytes", what);
}

static void good_memory(void) {
    void *committed = VirtualAlloc(NULL, BYTES, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    results_are("committed", committed, TRUE, FALSE);
    VirtualFree(committed, 0, MEM_RELEASE);
    void *executable = VirtualAlloc(NULL, BYTES, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE);
    results_are("executable", executable, TRUE, FALSE);
    VirtualFree(executable, 0, MEM_RELEASE);
    void *heap = HeapAlloc(GetProcessHeap(), 0, BYTES + 1);
    results_are("heap, odd", (char *)heap + 1, TRUE, FALSE);
    HeapFree(GetProcessHeap(), 0, heap);
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, BYTES, NULL);
    void *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    results_are("section", view, TRUE, FALSE);
    UnmapViewOfFile(view);
    view = MapViewOfFile(section, FILE_MAP_COPY, 0, 0, 0);
    results_are("copy on write", view, TRUE, FALSE);
    UnmapViewOfFile(view);
    CloseHandle(section);
    // Wine keeps such pages read-only for the kernel until a thread of its own writes there.
    void *watched = VirtualAlloc(NULL, BYTES, MEM_RESERVE | MEM_COMMIT | MEM_WRITE_WATCH, PAGE_READWRITE);
    results_are("watched", watched, TRUE, ours);
    VirtualFree(watched, 0, MEM_RELEASE);
}

static void bad_memory(void) {
    static const struct {
        const char *what;
        DWORD type, protection;
    } kinds[] = {{"reserved", MEM_RESERVE, PAGE_NOACCESS},
                 {"no access", MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS},
                 {"read-only", MEM_RESERVE | MEM_COMMIT, PAGE_READONLY},
                 {"guarded", MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD}};
    for (unsigned i = 0; i < ARRAYSIZE(kinds); i++) {
        void *bad = VirtualAlloc(NULL, BYTES, kinds[i].type, kinds[i].protection);
        results_are(kinds[i].what, bad, FALSE, FALSE);
        VirtualFree(bad, 0, MEM_RELEASE);
        results_are("freed", bad, FALSE, FALSE);
    }
    results_are("NULL", NULL, FALSE, FALSE);
    results_are("not an address", (void *)(uintptr_t)0x8000000000000000, FALSE, FALSE);
    // A source that cannot be read.
    static uint8_t to[BYTES];
    void *none = VirtualAlloc(NULL, BYTES, MEM_RESERVE, PAGE_NOACCESS);
    ok_hr(run(factory, memory, copy_request(none, to, BYTES)), E_DSTORAGE_ACCESS_VIOLATION);
    ok_hr(run(factory, memory, decode_request(none, to)), E_DSTORAGE_ACCESS_VIOLATION);
    VirtualFree(none, 0, MEM_RELEASE);
}

int main(void) {
    load_dll();
    make_file(PATH, BYTES);
    make_stream();
    factory = factory_or_exit();
    file = open_file(factory, PATH);
    files = make_queue(factory, SOURCE_FILE);
    memory = make_queue(factory, SOURCE_MEMORY);
    good_memory();
    if (ours) bad_memory();
    files->methods->Release(files);
    memory->methods->Release(memory);
    file->methods->Release(file);
    factory->methods->Release(factory);
    DeleteFileW(PATH);
    return finish_tests();
}
