// engine.c: the engine's runtime, how it is configured, and the pump.
//
// One runtime a process, while the factory or a queue lives. The pump is a Windows thread that waits in the
// engine for completions and does what only a Windows thread may: SetEvent, ID3D12Fence::Signal. It sleeps
// when nothing completes.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#include <stdio.h>
#include <stdlib.h>

#define PUMP_STACK_BYTES (256 * 1024)
// How long the end of a thread of ours is waited for; it cannot go while the caller holds the
// lock of the loader.
#define THREAD_EXIT_MS_MAX 100
// Room for every field of the configuration as text.
#define CONFIG_BYTES 512

static SRWLOCK lock = SRWLOCK_INIT;
static uint32_t references;
static uint64_t runtime;
static uint64_t generation;
static BOOL exact, wants_gpu_decode;
static storage_configuration configuration;

static struct {
    HANDLE thread;
    HANDLE ended;
    LONG stopping;
} pump;

// How often the cookie stands among the first notifications.
static uint32_t times(const struct unix_notifications_wait *wait, uint32_t count, uint64_t cookie) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) found += wait->found[i].cookie == cookie;
    return found;
}

// Delivers them, and says whether there are tasks. Those come last: a signal among them stands behind events
// that were fetched with it.
static BOOL deliver(const struct unix_notifications_wait *wait) {
    BOOL has_tasks = FALSE;
    for (uint32_t i = 0; i < wait->count; i++) {
        uint64_t cookie = wait->found[i].cookie;
        if (cookie == cookie_of_copies()) {
            has_tasks = TRUE;
            continue;
        }
        // Many entries of a batch may name one event: to set it once is one server call, not many.
        uint32_t before = times(wait, i, cookie), all = times(wait, wait->count, cookie);
        if (before + 1 == all) cookie_deliver(&wait->found[i], all);
    }
    return has_tasks;
}

BOOL engine_deliver_waiting(uint64_t of) {
    struct unix_notifications_wait wait = {.runtime = of};
    BOOL has_tasks = FALSE;
    while (unix_call(UNIX_NOTIFICATIONS_WAIT, &wait) == S_OK && wait.count) has_tasks |= deliver(&wait);
    return has_tasks;
}

static BOOL is_stopping(void) { return InterlockedCompareExchange(&pump.stopping, 0, 0) != 0; }

static DWORD WINAPI pump_run(void *parameter) {
    struct unix_notifications_wait wait = {.runtime = NUMBER(parameter)};
    HANDLE ended = pump.ended;
    for (;;) {
        // Who stops the pump interrupts one call: it may have been one that was not to wait.
        wait.timeout_ns = is_stopping() ? 0 : uploaders_timeout_ns();
        if (unix_call(UNIX_NOTIFICATIONS_WAIT, &wait) != S_OK) break;
        if (!wait.count && is_stopping()) break;
        if (deliver(&wait) || !wait.count || uploaders_are_due()) copies_make(wait.runtime);
    }
    // Whoever waits may hold the loader's lock, which a thread needs to end: nobody waits for that for long.
    SetEvent(ended);
    return 0;
}

static HRESULT last_error(void) { return HRESULT_FROM_WIN32(GetLastError()); }

static HRESULT pump_start(void) {
    pump.stopping = 0;
    pump.ended = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!pump.ended) return last_error();
    pump.thread = CreateThread(NULL, PUMP_STACK_BYTES, pump_run, (void *)(uintptr_t)runtime,
                               STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (pump.thread) return S_OK;
    HRESULT result = last_error();
    CloseHandle(pump.ended);
    return result;
}

void thread_end(HANDLE thread, HANDLE ended) {
    HANDLE either[] = {ended, thread};
    WaitForMultipleObjects(2, either, FALSE, INFINITE);
    // A process that exits while a thread is on its way out can crash in Wine, or lose its exit status: the
    // server still sends that thread the signal to end. So it is let out of the door first, if it can leave.
    WaitForSingleObject(thread, THREAD_EXIT_MS_MAX);
    CloseHandle(thread);
    CloseHandle(ended);
}

static void pump_stop(void) {
    InterlockedExchange(&pump.stopping, 1);
    unix_call_object(UNIX_NOTIFICATIONS_INTERRUPT, runtime);
    thread_end(pump.thread, pump.ended);
}

// DS_CONFIG of the program's own environment, which it may have changed since it started; NULL if there is
// none, to be freed.
static char *overrides(void) {
    DWORD bytes = GetEnvironmentVariableA("DS_CONFIG", NULL, 0);
    char *text = bytes ? malloc(bytes) : NULL;
    if (text && GetEnvironmentVariableA("DS_CONFIG", text, bytes) >= bytes) *text = 0;
    return text;
}

static HMODULE self;

// One line for people: which DLL, which version, and what it does.
static void show_banner(const struct unix_runtime_describe *about, const char *overruled) {
    WCHAR path[MAX_PATH] = L"";
    char text[3 * MAX_PATH];
    GetModuleFileNameW(self, path, MAX_PATH);
    if (!WideCharToMultiByte(CP_UTF8, 0, path, -1, text, sizeof text, NULL, NULL)) *text = 0;
    log_line("ds-runtime %s, backend %s (%s), loaded as %s%s%s", about->version, about->backend,
             about->reason, text, overruled ? ", DS_CONFIG=" : "", overruled ? overruled : "");
}

static HRESULT look(const char *overruled) {
    struct unix_runtime_describe about = {.runtime = runtime};
    HRESULT result = unix_call(UNIX_RUNTIME_DESCRIBE, &about);
    if (FAILED(result)) return result;
    exact = about.exact != 0;
    wants_gpu_decode = about.gpu_decode != 0;
    if (log_is_verbose()) show_banner(&about, overruled);
    return S_OK;
}

// The pump runs code of this DLL, which must not go away under it.
static void stay_loaded(void) {
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                       (const WCHAR *)stay_loaded, &self);
}

// The program's configuration in the engine's words, so that each field has a name by which a person can
// overrule it.
static void configuration_text(char text[CONFIG_BYTES]) {
    const storage_configuration *from = &configuration;
    snprintf(text, CONFIG_BYTES,
             "submit_threads=%u,decode_threads=%d,force_mapping_layer=%d,disable_bypass_io=%d,"
             "disable_telemetry=%d,disable_gpu_metacommand=%d,disable_gpu_decompression=%d,"
             "force_file_buffering=%d",
             from->num_submit_threads, from->num_decompression_threads, !!from->force_mapping_layer,
             !!from->disable_bypass_io, !!from->disable_telemetry, !!from->disable_gpu_metacommand,
             !!from->disable_gpu_decompression, !!from->force_file_buffering);
}

static HRESULT create(const char *overruled) {
    char text[CONFIG_BYTES];
    configuration_text(text);
    struct unix_runtime_create args = {.config = NUMBER(text), .overrides = NUMBER(overruled)};
    HRESULT result = unix_call(UNIX_RUNTIME_CREATE, &args);
    if (FAILED(result)) return result;
    runtime = args.runtime;
    generation++;
    result = look(overruled);
    if (SUCCEEDED(result)) result = copies_begin(runtime);
    if (SUCCEEDED(result)) result = pump_start();
    if (FAILED(result)) unix_call_object(UNIX_RUNTIME_DESTROY, runtime);
    return result;
}

static HRESULT start(void) {
    HRESULT result = unix_open();
    if (FAILED(result)) return result;
    stay_loaded();
    char *overruled = overrides();
    result = create(overruled);
    free(overruled);
    return result;
}

HRESULT engine_acquire(void) {
    AcquireSRWLockExclusive(&lock);
    HRESULT result = references ? S_OK : start();
    if (SUCCEEDED(result)) references++;
    ReleaseSRWLockExclusive(&lock);
    return result;
}

BOOL process_is_ending(void) {
    BOOLEAN(WINAPI * ending)(void) =
        (void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlDllShutdownInProgress");
    return ending && ending();
}

void engine_release(void) {
    if (process_is_ending()) return;
    AcquireSRWLockExclusive(&lock);
    if (--references == 0) {
        pump_stop();
        unix_call_object(UNIX_RUNTIME_DESTROY, runtime);
        fence_forget_all();
        runtime = 0;
    }
    ReleaseSRWLockExclusive(&lock);
}

uint64_t engine_runtime(void) { return runtime; }

uint64_t engine_generation(void) { return generation; }

BOOL engine_is_exact(void) { return exact; }

BOOL engine_wants_gpu_decode(void) { return wants_gpu_decode; }

// Nothing is refused (O-07): what the engine has no use for it clamps or only notes. Fewer than -1 threads to
// decompress are as many as it likes.
HRESULT engine_configure(const storage_configuration *given) {
    AcquireSRWLockExclusive(&lock);
    HRESULT result = references ? E_FAIL : S_OK;
    if (SUCCEEDED(result)) {
        configuration = *given;
        if (configuration.num_decompression_threads < -1) configuration.num_decompression_threads = 0;
    }
    ReleaseSRWLockExclusive(&lock);
    return result;
}
