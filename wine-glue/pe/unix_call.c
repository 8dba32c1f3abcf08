// unix_call.c: the way to the Unix half, found at run time for every Wine since 8.0.
//
// Wine before 10 exports `__wine_unix_call`, a function; all export `__wine_unix_call_dispatcher`, a pointer
// to one. The table of the Unix half is asked for by an information class of NtQueryVirtualMemory: 1000 for
// a DLL that carries Wine's mark, 1002 by name for one that does not (Wine 11).
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#include <winternl.h>

#define STATUS_ACCESS_VIOLATION_ 0xC0000005u
#define CLASS_UNIX_FUNCTIONS 1000
#define CLASS_UNIX_LIBRARY_BY_NAME 1002

// UNIX_LIBRARY_NAME, this DLL's Unix half as a wide string, comes from the build.

typedef LONG(WINAPI *unix_call_function)(uint64_t table, unsigned code, void *args);
typedef LONG(WINAPI *query_function)(HANDLE, const void *, int, void *, SIZE_T, SIZE_T *);
typedef LONG(CDECL *descriptor_function)(HANDLE, unsigned access, int *fd, unsigned *options);

extern IMAGE_DOS_HEADER __ImageBase;

static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
static HRESULT opened;
static uint64_t table;
static unix_call_function call_function;
static descriptor_function descriptor;

static BOOL find_functions(HMODULE ntdll, query_function *query) {
    unix_call_function *dispatcher = (void *)GetProcAddress(ntdll, "__wine_unix_call_dispatcher");
    call_function = dispatcher ? *dispatcher : (void *)GetProcAddress(ntdll, "__wine_unix_call");
    descriptor = (void *)GetProcAddress(ntdll, "wine_server_handle_to_fd");
    *query = (void *)GetProcAddress(ntdll, "NtQueryVirtualMemory");
    return call_function && descriptor && *query;
}

static LONG find_table(query_function query) {
    LONG status = query(GetCurrentProcess(), &__ImageBase, CLASS_UNIX_FUNCTIONS, &table, sizeof table, NULL);
    if (status >= 0) return status;
    WCHAR name[] = UNIX_LIBRARY_NAME;
    UNICODE_STRING text = {sizeof name - sizeof *name, sizeof name, name};
    uint64_t found[2] = {0};
    LONG by_name = query(GetCurrentProcess(), &text, CLASS_UNIX_LIBRARY_BY_NAME, found, sizeof found, NULL);
    if (by_name < 0) return status;
    table = found[1];
    return by_name;
}

static BOOL CALLBACK open_once(INIT_ONCE *unused, void *parameter, void **context) {
    (void)unused, (void)parameter, (void)context;
    query_function query;
    opened = E_NOTIMPL;
    if (!find_functions(GetModuleHandleW(L"ntdll.dll"), &query)) {
        log_line("this DLL needs Wine: DirectStorage is off");
        return TRUE;
    }
    LONG status = find_table(query);
    if (status < 0) {
        log_line("the Unix half, %ls, was not found (%08lx): DirectStorage is off; it belongs into a "
                 "folder x86_64-unix of WINEDLLPATH or of Wine",
                 UNIX_LIBRARY_NAME, status);
        return TRUE;
    }
    struct unix_attach attach = {.version = UNIXLIB_VERSION, .code_count = UNIX_CODE_COUNT};
    if (call_function(table, UNIX_ATTACH, &attach) != S_OK) {
        log_line("the Unix half, %ls, is of another version: DirectStorage is off; install both halves",
                 UNIX_LIBRARY_NAME);
        return TRUE;
    }
    opened = S_OK;
    return TRUE;
}

HRESULT unix_open(void) {
    InitOnceExecuteOnce(&once, open_once, NULL, NULL);
    return opened;
}

HRESULT unix_call(enum unix_code code, void *args) {
    LONG result = call_function(table, code, args);
    return (uint32_t)result == STATUS_ACCESS_VIOLATION_ ? E_DSTORAGE_ACCESS_VIOLATION : result;
}

void unix_call_object(enum unix_code code, uint64_t object) {
    struct unix_object args = {.object = object};
    unix_call(code, &args);
}

HRESULT unix_descriptor(HANDLE file, int32_t *fd) {
    LONG status = descriptor(file, FILE_READ_DATA, fd, NULL);
    return status < 0 ? HRESULT_FROM_WIN32(RtlNtStatusToDosError(status)) : S_OK;
}
