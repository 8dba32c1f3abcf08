// sample.c: shows a player whose dstorage.dll a Windows program gets, that it works, and how fast it is.
//
// Usage: dstorage-sample.exe [MiB]. Makes a file of so many mebibytes (64) in the working directory, reads it
// in large and in small requests, compares every byte, and removes it. The exit status is 0 if the DLL is
// ds-runtime's and all was right, 3 if it is another's, 4 if there is none that works, else 1.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#define STORAGE_IIDS
#include "../../wine-glue/include/dstorage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH L"dstorage-sample.bin"
#define MEBIBYTE (1u << 20)
#define FILE_MIB_MAX 2048
#define SUBMIT_EVERY 64

enum { EXIT_WRONG = 1, EXIT_ANOTHER = 3, EXIT_NONE = 4 };

static storage_factory *factory;
static storage_queue *queue;
static uint8_t *wanted, *found;
static uint32_t file_bytes = 64 * MEBIBYTE;

static int no_dll(const char *why, unsigned long code) {
    printf("There is no DirectStorage here: %s (%08lx).\n", why, code);
    return EXIT_NONE;
}

// What the file says of itself, and whether it is ours.
static BOOL describe(HMODULE dll) {
    static uint8_t about[8192];
    WCHAR path[MAX_PATH] = L"";
    char *name = NULL, *version = NULL;
    UINT length;
    GetModuleFileNameW(dll, path, MAX_PATH);
    printf("dstorage.dll   %ls\n", path);
    if (GetFileVersionInfoW(path, 0, sizeof about, about)) {
        VerQueryValueA(about, "\\StringFileInfo\\040904B0\\ProductName", (void **)&name, &length);
        VerQueryValueA(about, "\\StringFileInfo\\040904B0\\ProductVersion", (void **)&version, &length);
    }
    printf("product        %s %s\n", name ? name : "unknown", version ? version : "");
    return name && !strcmp(name, "ds-runtime");
}

static double seconds(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

static BOOL make_file(void) {
    uint32_t noise = 1;
    for (uint32_t i = 0; i < file_bytes; i++) {
        noise = noise * 1664525 + 1013904223;
        wanted[i] = (uint8_t)(noise >> 24);
    }
    FILE *file = _wfopen(PATH, L"wb");
    BOOL written = file && fwrite(wanted, 1, file_bytes, file) == file_bytes;
    return file && !fclose(file) && written;
}

// Reads the whole file in requests of `bytes`; answers whether it was right.
static BOOL read_all(storage_file *file, uint32_t bytes) {
    storage_status_array *array = NULL;
    factory->methods->CreateStatusArray(factory, 1, NULL, &IID_STATUS_ARRAY, (void **)&array);
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    memset(found, 0, file_bytes);
    double start = seconds();
    for (uint32_t at = 0; at < file_bytes; at += bytes) {
        storage_request request = {.options = {.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_MEMORY)}};
        request.source.file.source = file;
        request.source.file.offset = at;
        request.source.file.size = request.destination.memory.size = request.uncompressed_size = bytes;
        request.destination.memory.buffer = found + at;
        queue->methods->EnqueueRequest(queue, &request);
        if (at / bytes % SUBMIT_EVERY == SUBMIT_EVERY - 1) queue->methods->Submit(queue);
    }
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->EnqueueSetEvent(queue, event);
    queue->methods->Submit(queue);
    WaitForSingleObject(event, INFINITE);
    double took = seconds() - start;
    HRESULT result = array->methods->GetHResult(array, 0);
    BOOL right = SUCCEEDED(result) && !memcmp(wanted, found, file_bytes);
    printf("%4u KiB reads %8.0f MB/s, %7.1f us a request: %s\n", bytes / 1024, file_bytes / took / 1e6,
           took * 1e6 * bytes / file_bytes, right ? "every byte is right" : "WRONG");
    if (FAILED(result)) printf("               failed with %08lx\n", (unsigned long)result);
    CloseHandle(event);
    array->methods->Release(array);
    return right;
}

static BOOL try_it(void) {
    static const uint32_t sizes[] = {MEBIBYTE, 64 << 10, 4 << 10};
    storage_queue_desc desc = {.source_type = SOURCE_FILE, .capacity = 2048, .name = "sample"};
    storage_file *file = NULL;
    HRESULT result = factory->methods->CreateQueue(factory, &desc, &IID_QUEUE1, (void **)&queue);
    if (SUCCEEDED(result)) result = factory->methods->OpenFile(factory, PATH, &IID_FILE, (void **)&file);
    if (FAILED(result)) {
        printf("No queue or no file: %08lx\n", (unsigned long)result);
        return FALSE;
    }
    BOOL right = TRUE;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) right &= read_all(file, sizes[i]);
    file->methods->Release(file);
    queue->methods->Release(queue);
    return right;
}

int main(int count, char **arguments) {
    long mib = count > 1 ? strtol(arguments[1], NULL, 10) : 64;
    if (mib < 1 || mib > FILE_MIB_MAX) {
        fprintf(stderr, "usage: dstorage-sample.exe [MiB, 1 to %d]\n", FILE_MIB_MAX);
        return 2;
    }
    file_bytes = (uint32_t)mib * MEBIBYTE;
    // Our DLL then says which backend it takes, and why.
    if (!GetEnvironmentVariableA("DS_LOG", NULL, 0)) SetEnvironmentVariableA("DS_LOG", "info");
    HMODULE dll = LoadLibraryW(L"dstorage.dll");
    if (!dll) return no_dll("no dstorage.dll can be loaded", GetLastError());
    HRESULT(WINAPI * get_factory)(REFIID, void **) = (void *)GetProcAddress(dll, "DStorageGetFactory");
    HRESULT(WINAPI * configure)(const storage_configuration *) =
        (void *)GetProcAddress(dll, "DStorageSetConfiguration");
    if (!get_factory || !configure) return no_dll("it has other exports", GetLastError());
    BOOL ours = describe(dll);
    // Microsoft's does not start under older Wines without this.
    storage_configuration configuration = {.force_mapping_layer = TRUE, .disable_telemetry = TRUE};
    if (!ours) configure(&configuration);
    fflush(stdout);
    HRESULT result = get_factory(&IID_FACTORY, (void **)&factory);
    if (FAILED(result)) return no_dll("DStorageGetFactory failed", (unsigned long)result);
    wanted = malloc(file_bytes);
    found = malloc(file_bytes);
    BOOL right = wanted && found && make_file() && try_it();
    DeleteFileW(PATH);
    factory->methods->Release(factory);
    const char *whose = ours ? "ds-runtime is at work." : "This is another's DLL.";
    printf("%s\n", right ? whose : "Something is wrong.");
    return !right ? EXIT_WRONG : ours ? 0 : EXIT_ANOTHER;
}
