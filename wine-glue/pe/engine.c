// engine.c: the engine's runtime, how it is configured, and the pump.
//
// One runtime a process, while the factory or a queue lives. The pump is a Windows thread that waits in the
// engine for completions and does what only a Windows thread may: SetEvent, ID3D12Fence::Signal. It sleeps
// when nothing completes.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#define PUMP_STACK_BYTES (256 * 1024)
// The engine takes no more.
#define DECODE_THREADS_MAX 64

static SRWLOCK lock = SRWLOCK_INIT;
static uint32_t references;
static uint64_t runtime;
static uint64_t generation;
static int32_t decode_threads;

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

static DWORD WINAPI pump_run(void *parameter) {
    struct unix_notifications_wait wait = {.runtime = NUMBER(parameter)};
    HANDLE ended = pump.ended;
    for (;;) {
        if (unix_call(UNIX_NOTIFICATIONS_WAIT, &wait) != S_OK) break;
        for (uint32_t i = 0; i < wait.count; i++) {
            // Many entries of a batch may name one event: to set it once is one server call, not many.
            uint32_t before = times(&wait, i, wait.found[i].cookie);
            uint32_t all = times(&wait, wait.count, wait.found[i].cookie);
            if (before + 1 == all) cookie_deliver(wait.runtime, &wait.found[i], all);
        }
        if (!wait.count && InterlockedCompareExchange(&pump.stopping, 0, 0)) break;
    }
    // Whoever waits for the thread itself may hold the loader's lock, which a thread needs to end.
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

static void pump_stop(void) {
    InterlockedExchange(&pump.stopping, 1);
    unix_call_object(UNIX_NOTIFICATIONS_INTERRUPT, runtime);
    HANDLE either[] = {pump.ended, pump.thread};
    WaitForMultipleObjects(2, either, FALSE, INFINITE);
    CloseHandle(pump.thread);
    CloseHandle(pump.ended);
}

static void say_hello(void) {
    if (!log_is_verbose()) return;
    char overrides[256] = "";
    GetEnvironmentVariableA("DS_CONFIG", overrides, sizeof overrides);
    struct unix_runtime_describe about = {.runtime = runtime};
    if (unix_call(UNIX_RUNTIME_DESCRIBE, &about) != S_OK) return;
    log_line("ds-runtime %s, backend %s (%s)%s%s", about.version, about.backend, about.reason,
             *overrides ? ", DS_CONFIG=" : "", overrides);
}

// The pump runs code of this DLL, which must not go away under it.
static void stay_loaded(void) {
    HMODULE self;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                       (const WCHAR *)stay_loaded, &self);
}

static HRESULT start(void) {
    struct unix_runtime_create create = {.decode_threads = decode_threads};
    HRESULT result = unix_open();
    if (FAILED(result)) return result;
    stay_loaded();
    result = unix_call(UNIX_RUNTIME_CREATE, &create);
    if (FAILED(result)) return result;
    runtime = create.runtime;
    generation++;
    result = copies_begin(runtime);
    if (SUCCEEDED(result)) result = pump_start();
    if (FAILED(result)) {
        unix_call_object(UNIX_RUNTIME_DESTROY, runtime);
        return result;
    }
    say_hello();
    return S_OK;
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

// Of the fields one has a meaning here. NumSubmitThreads is about Microsoft's way to submit; the engine's
// number of threads follows from its backend, and DS_CONFIG overrules it. The others are about Windows'
// storage stack and the GPU.
HRESULT engine_configure(const storage_configuration *configuration) {
    int32_t threads = configuration->num_decompression_threads;
    if (threads < -1) threads = 0;
    if (threads > DECODE_THREADS_MAX) threads = DECODE_THREADS_MAX;
    AcquireSRWLockExclusive(&lock);
    HRESULT result = references ? E_FAIL : S_OK;
    if (SUCCEEDED(result)) decode_threads = threads;
    ReleaseSRWLockExclusive(&lock);
    return result;
}
