// exact.c: DS_CONFIG, set by the program itself: exact=1, with Microsoft's limits and its ends of the
// process, and what overrules the program's configuration.
//
// What each child process does is named by its argument. The numbers are those of the list of observed
// behaviour.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define PATH L"exact.bin"
#define MIB (1u << 20)
#define FILE_BYTES (101 * MIB)
// A child that came through.
#define ALIVE 42

static storage_factory *factory;
static storage_queue *queue;
static storage_file *file;
static char bytes[64];

// Mostly zeros that are nowhere: only its size matters.
static void make_large_file(void) {
    HANDLE handle = CreateFileW(PATH, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    LARGE_INTEGER end = {.QuadPart = FILE_BYTES};
    BOOL made = SetFilePointerEx(handle, end, NULL, FILE_BEGIN) && SetEndOfFile(handle);
    ok(made && CloseHandle(handle), "no large file");
}

static void begin(const char *config) {
    SetEnvironmentVariableA("DS_CONFIG", config);
    factory = factory_or_exit();
    file = open_file(factory, PATH);
}

// --- The end of the process ------------------------------------------------------------------------------

static storage_request good(void) { return read_request(file, 0, bytes, 16); }

static storage_request request_of(const char *what) {
    storage_request request = good();
    if (!strcmp(what, "O-41")) request.uncompressed_size = 17;
    if (!strcmp(what, "O-42")) request.destination.memory.size = 15;
    if (!strcmp(what, "O-43 both")) request = read_request(file, 0, bytes, 0);
    if (!strcmp(what, "O-43 source")) request.source.file.size = 0;
    if (!strcmp(what, "O-43 destination")) request.destination.memory.size = 0;
    if (!strcmp(what, "O-44 destination")) request.destination.memory.buffer = NULL;
    if (!strcmp(what, "O-44 file")) request.source.file.source = NULL;
    if (!strcmp(what, "O-44 memory")) request = copy_request(NULL, bytes, 16);
    if (!strcmp(what, "O-51 buffer")) {
        request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_BUFFER);
        request.destination.buffer.resource = NULL;
    }
    if (!strcmp(what, "O-51 type")) request.options.types = REQUEST_TYPES(SOURCE_FILE, 7);
    if (!strncmp(what, "O-55", 4)) request.options.compression_format = COMPRESSION_GDEFLATE;
    if (!strcmp(what, "O-55 none")) request.uncompressed_size = 0;
    if (!strcmp(what, "O-55 other")) request.uncompressed_size = 17;
    return request;
}

static const char *const ends[] = {
    "O-37",             "O-38",      "O-41",        "O-42",        "O-43 both", "O-43 source",
    "O-43 destination", "O-44 file", "O-44 memory", "O-44 destination",
    "O-51 buffer",      "O-51 type", "O-55 none",   "O-55 other",
};

static int child(const char *config, const char *what) {
    begin(config);
    queue = make_queue(factory, SOURCE_FILE);
    storage_request request = good();
    ok_hr(run(factory, queue, request), S_OK);
    if (failed) return 1;
    request = request_of(what);
    if (!strcmp(what, "O-37")) queue->methods->EnqueueStatus(queue, NULL, 0);
    else if (!strcmp(what, "O-38")) queue->methods->EnqueueSignal(queue, NULL, 1);
    else queue->methods->EnqueueRequest(queue, &request);
    finish(factory, queue);
    ExitProcess(ALIVE);
}

static DWORD run_child(const char *config, const char *what) {
    char self[MAX_PATH], line[2 * MAX_PATH];
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    DWORD code = 0;
    GetModuleFileNameA(NULL, self, sizeof self);
    snprintf(line, sizeof line, "\"%s\" \"%s\" \"%s\"", self, config, what);
    if (!CreateProcessA(self, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process)) return 0;
    ok(WaitForSingleObject(process.hProcess, LONG_MS) == WAIT_OBJECT_0, "%s: it does not end", what);
    GetExitCodeProcess(process.hProcess, &code);
    TerminateProcess(process.hProcess, 1);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return code;
}

// The same requests, with and without.
static void processes(void) {
    for (unsigned i = 0; i < ARRAYSIZE(ends); i++) {
        DWORD code = run_child("exact=1", ends[i]);
        ok(code == 0xC0000602, "%s: exit code %lx", ends[i], code);
        code = run_child("exact=0", ends[i]);
        ok(code == ALIVE, "%s, not exact: exit code %lx", ends[i], code);
    }
    ok(run_child("exact=1", "nothing wrong") == ALIVE, "it ends for nothing");
}

// --- Limits ----------------------------------------------------------------------------------------------

static HRESULT read_size(uint32_t offset, uint32_t size) {
    void *to = VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    HRESULT result = run(factory, queue, read_request(file, offset, to, size));
    VirtualFree(to, 0, MEM_RELEASE);
    return result;
}

static void limits(BOOL exact) {
    static const struct {
        uint32_t staging, size;
        HRESULT result;
    } cases[] = {{32 * MIB, 32 * MIB, S_OK},
                 {32 * MIB, 32 * MIB + 1, E_DSTORAGE_REQUEST_TOO_LARGE}, // O-47
                 {32 * MIB, 100 * MIB, E_DSTORAGE_REQUEST_TOO_LARGE},
                 {0, 16 * MIB, E_DSTORAGE_REQUEST_TOO_LARGE}, // O-48
                 {MIB, 16 * MIB, E_DSTORAGE_REQUEST_TOO_LARGE},
                 {256 * MIB, 64 * MIB, S_OK},
                 {256 * MIB, 100 * MIB, S_OK}};
    begin(exact ? "exact=1" : "");
    for (unsigned i = 0; i < ARRAYSIZE(cases); i++) {
        ok_hr(factory->methods->SetStagingBufferSize(factory, cases[i].staging), S_OK);
        queue = make_queue(factory, SOURCE_FILE);
        HRESULT wanted = exact ? cases[i].result : S_OK, result = read_size(i & 1, cases[i].size);
        ok(result == wanted, "exact %d, case %u: %08lx", exact, i, (long)result);
        queue->methods->Release(queue);
    }
    file->methods->Release(file);
    ok(factory->methods->Release(factory) == 0, "the factory lives on");
}

// A stream of zeros: small on its way in, and large on its way out.
static void decoded_limit(BOOL exact) { // O-58
    const uint32_t size = 64 * MIB;
    storage_codec *codec = NULL;
    ok_hr(create_codec(COMPRESSION_GDEFLATE, 0, &IID_CODEC, (void **)&codec), S_OK);
    SIZE_T room = codec->methods->CompressBufferBound(codec, size), written = 0;
    char *to = VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    char *stream = VirtualAlloc(NULL, room, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    ok_hr(codec->methods->CompressBuffer(codec, to, size, LEVEL_FASTEST, stream, room, &written), S_OK);
    begin(exact ? "exact=1" : "");
    queue = make_queue(factory, SOURCE_MEMORY);
    storage_request request = copy_request(stream, to, (uint32_t)written);
    request.options.compression_format = COMPRESSION_GDEFLATE;
    request.destination.memory.size = request.uncompressed_size = size;
    ok_hr(run(factory, queue, request), exact ? E_DSTORAGE_REQUEST_TOO_LARGE : S_OK);
    VirtualFree(to, 0, MEM_RELEASE);
    VirtualFree(stream, 0, MEM_RELEASE);
    codec->methods->Release(codec);
    queue->methods->Release(queue);
    file->methods->Release(file);
    ok(factory->methods->Release(factory) == 0, "the factory lives on");
}

// --- The configuration -----------------------------------------------------------------------------------

// Who decompresses is what can be seen from outside.
static BOOL application_decompresses(void) {
    storage_custom_queue *custom = NULL;
    storage_custom_request found;
    uint32_t count = 0;
    begin("decode_threads=-1");
    ok_hr(factory->methods->QueryInterface(factory, &IID_CUSTOM_QUEUE1, (void **)&custom), S_OK);
    queue = make_queue(factory, SOURCE_FILE);
    storage_request request = good();
    request.options.compression_format = COMPRESSION_GDEFLATE;
    queue->methods->EnqueueRequest(queue, &request);
    queue->methods->Submit(queue);
    for (DWORD waited = 0; !count && waited < LONG_MS; waited += 5) {
        Sleep(5);
        ok_hr(custom->methods->GetRequests1(custom, SELECT_BUILTIN, 1, &found, &count), S_OK);
    }
    storage_custom_result answer = {.id = found.id, .result = S_OK};
    if (count) ok_hr(custom->methods->SetRequestResults(custom, 1, &answer), S_OK);
    ok_hr(finish(factory, queue), S_OK);
    custom->methods->Release(custom);
    queue->methods->Release(queue);
    file->methods->Release(file);
    ok(factory->methods->Release(factory) == 0, "the factory lives on");
    return count == 1;
}

static void overruled(void) {
    storage_configuration configuration = {.num_decompression_threads = 2, .disable_bypass_io = TRUE};
    configuration.force_file_buffering = TRUE;
    ok_hr(set_configuration1(&configuration), S_OK);
    ok(application_decompresses(), "DS_CONFIG does not overrule the program");
    configuration = (storage_configuration){0};
    ok_hr(set_configuration1(&configuration), S_OK);
}

int main(int count, char **arguments) {
    load_dll();
    if (!ours) {
        printf("SKIPPED: DS_CONFIG is ours\n");
        return EXIT_SKIPPED;
    }
    if (count > 2) return child(arguments[1], arguments[2]);
    make_large_file();
    overruled();
    for (int exact = 0; exact < 2; exact++) {
        limits(exact);
        decoded_limit(exact);
    }
    processes();
    DeleteFileW(PATH);
    return finish_tests();
}
