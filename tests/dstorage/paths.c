// paths.c: names of files: other scripts, long ones, other spellings; and what others may do with a file that
// is open.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#include <wchar.h>

#define FILE_BYTES 5000
#define LONG_PARTS 8

static storage_factory *factory;
static storage_queue *queue;
static uint8_t bytes[FILE_BYTES];

static void reads_whole(const WCHAR *path, const char *what) {
    storage_file *file = NULL;
    HRESULT result = factory->methods->OpenFile(factory, path, &IID_FILE, (void **)&file);
    ok(result == S_OK, "%s: %08lx", what, (long)result);
    if (!file) return;
    memset(bytes, 0, sizeof bytes);
    ok_hr(run(factory, queue, read_request(file, 0, bytes, FILE_BYTES)), S_OK);
    ok(has_pattern(bytes, 0, FILE_BYTES), "%s: the bytes", what);
    file->methods->Release(file);
}

static void scripts_and_spellings(void) {
    static const WCHAR name[] = L"sp\x00e4t \x65e5\x672c.\x0444\xd83d\xdcc1";
    WCHAR spelled[MAX_PATH];
    make_file(name, FILE_BYTES);
    reads_whole(name, "other scripts");
    swprintf(spelled, MAX_PATH, L".\\.\\%ls", name);
    reads_whole(spelled, "dots");
    swprintf(spelled, MAX_PATH, L"./%ls", name);
    reads_whole(spelled, "slashes");
    WCHAR full[MAX_PATH];
    GetFullPathNameW(name, MAX_PATH - 4, full, NULL);
    reads_whole(full, "full");
    swprintf(spelled, MAX_PATH, L"\\\\?\\%ls", full);
    reads_whole(spelled, "verbatim");
    DeleteFileW(name);
}

// Removable and network drives, and a share of a server: whatever Wine opens can be read. The prefix of
// these tests has them, and the environment says so; elsewhere what is not there is left out.
static void drives(void) {
    static const struct {
        const WCHAR *root;
        UINT type;
    } places[] = {{L"R:\\", DRIVE_REMOVABLE},
                  {L"N:\\", DRIVE_REMOTE},
                  {L"\\\\server\\share\\", DRIVE_NO_ROOT_DIR}}; // any type
    for (unsigned i = 0; i < ARRAYSIZE(places); i++) {
        WCHAR path[MAX_PATH];
        BOOL is_there = GetFileAttributesW(places[i].root) != INVALID_FILE_ATTRIBUTES;
        ok(is_there || !getenv("TEST_DRIVES"), "there is no %ls", places[i].root);
        if (!is_there) continue;
        if (places[i].type != DRIVE_NO_ROOT_DIR) {
            UINT type = GetDriveTypeW(places[i].root);
            ok(type == places[i].type, "%ls is of type %u", places[i].root, type);
        }
        swprintf(path, MAX_PATH, L"%lspaths of drives.bin", places[i].root);
        make_file(path, FILE_BYTES);
        reads_whole(path, "on a drive");
        for (WCHAR *letter = path; *letter; letter++)
            if (*letter == L'\\') *letter = L'/';
        reads_whole(path, "on a drive, with slashes");
        DeleteFileW(path);
    }
}

// Relative to the drive's folder, to the drive, and to the folder above.
static void relative_paths(void) {
    WCHAR folder[MAX_PATH], path[MAX_PATH];
    make_file(L"relative.bin", FILE_BYTES);
    GetCurrentDirectoryW(MAX_PATH, folder);
    swprintf(path, MAX_PATH, L"%.2lsrelative.bin", folder);
    reads_whole(path, "relative to the drive's folder");
    swprintf(path, MAX_PATH, L"%ls\\relative.bin", folder + 2);
    reads_whole(path, "relative to the drive");
    swprintf(path, MAX_PATH, L"..\\%ls\\relative.bin", wcsrchr(folder, L'\\') + 1);
    reads_whole(path, "relative to the folder above");
    // A folder of the program's choice, after the DLL was loaded.
    CreateDirectoryW(L"below", NULL);
    SetCurrentDirectoryW(L"below");
    reads_whole(L"..\\relative.bin", "from another folder");
    SetCurrentDirectoryW(folder);
    RemoveDirectoryW(L"below");
    DeleteFileW(L"relative.bin");
}

// The record has room for 259 characters; the path may be longer.
static void record_names(const WCHAR *path) {
    storage_file *file = open_file(factory, path);
    storage_error_record record;
    if (!file) return;
    ok_hr(run(factory, queue, read_request(file, FILE_BYTES, bytes, 1)), E_DSTORAGE_END_OF_FILE);
    queue->methods->RetrieveErrorRecord(queue, &record);
    const WCHAR *name = record.first_failure.request.filename;
    ok(wcslen(name) == ERROR_FILENAME_LEN - 1 && !wcsncmp(name, path, ERROR_FILENAME_LEN - 1), "the name");
    // The file is gone: the engine knows the beginning of its name.
    storage_request bad = read_request(file, FILE_BYTES, bytes, 1);
    queue->methods->EnqueueRequest(queue, &bad);
    file->methods->Release(file);
    ok_hr(finish(factory, queue), E_DSTORAGE_END_OF_FILE);
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(!record.first_failure.request.request.source.file.source, "a file that is gone is named");
    ok(!wcsncmp(record.first_failure.request.filename, path, 100), "the name of a file that is gone");
}

static void long_path(void) {
    WCHAR path[1024], part[64];
    GetCurrentDirectoryW(512, path + 4);
    memcpy(path, L"\\\\?\\", 4 * sizeof *path);
    for (int i = 0; i < LONG_PARTS; i++) {
        swprintf(part, 64, L"\\a directory with quite a long name, number %d", i);
        wcscat(path, part);
        CreateDirectoryW(path, NULL);
    }
    wcscat(path, L"\\file.bin");
    make_file(path, FILE_BYTES);
    ok(wcslen(path) > 300, "not long");
    reads_whole(path, "long");
    if (ours) record_names(path);
    DeleteFileW(path);
    for (int i = 0; i < LONG_PARTS; i++) {
        *wcsrchr(path, L'\\') = 0;
        RemoveDirectoryW(path);
    }
}

// Whoever wants to write, rename or delete the file can do so.
static void sharing(void) {
    make_file(L"shared.bin", FILE_BYTES);
    storage_file *file = open_file(factory, L"shared.bin");
    const DWORD all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    HANDLE other = CreateFileW(L"shared.bin", GENERIC_WRITE, all, NULL, OPEN_EXISTING, 0, NULL);
    bug_if(!ours && other == INVALID_HANDLE_VALUE, other != INVALID_HANDLE_VALUE, "no writer beside it");
    if (other != INVALID_HANDLE_VALUE) CloseHandle(other);
    BOOL renamed = MoveFileW(L"shared.bin", L"renamed.bin");
    bug_if(!ours && !renamed, renamed, "it cannot be renamed");
    ok_hr(run(factory, queue, read_request(file, 0, bytes, FILE_BYTES)), S_OK);
    ok(has_pattern(bytes, 0, FILE_BYTES), "the bytes");
    file->methods->Release(file);
    DeleteFileW(L"shared.bin");
    DeleteFileW(L"renamed.bin");
    // One that another program keeps for itself.
    other = CreateFileW(L"own.bin", GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    void *out = &out;
    ok_hr(factory->methods->OpenFile(factory, L"own.bin", &IID_FILE, &out), 0x80070020);
    ok(!out, "out is not cleared");
    CloseHandle(other);
    DeleteFileW(L"own.bin");
}

int main(void) {
    load_dll();
    factory = factory_or_exit();
    queue = make_queue(factory, SOURCE_FILE);
    scripts_and_spellings();
    drives();
    relative_paths();
    long_path();
    sharing();
    queue->methods->Release(queue);
    factory->methods->Release(factory);
    return finish_tests();
}
