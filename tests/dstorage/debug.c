// debug.c: SetDebugFlags: what a debugger is told, and where it stops.
//
// What OutputDebugString says is an exception, which handlers in the process see when no debugger does.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define PATH L"debug.bin"
#define PRINTED 0x40010006
#define SAID_BYTES 4096

static SRWLOCK lock = SRWLOCK_INIT;
static char said[SAID_BYTES];
static storage_factory *factory;

static LONG CALLBACK hear(EXCEPTION_POINTERS *pointers) {
    const EXCEPTION_RECORD *record = pointers->ExceptionRecord;
    if (record->ExceptionCode != PRINTED) return EXCEPTION_CONTINUE_SEARCH;
    AcquireSRWLockExclusive(&lock);
    strncat(said, (const char *)record->ExceptionInformation[1], SAID_BYTES - 1 - strlen(said));
    ReleaseSRWLockExclusive(&lock);
    return EXCEPTION_CONTINUE_SEARCH;
}

static BOOL was_said(const char *what) {
    AcquireSRWLockShared(&lock);
    BOOL found = strstr(said, what) != NULL;
    ReleaseSRWLockShared(&lock);
    return found;
}

static void forget(void) {
    AcquireSRWLockExclusive(&lock);
    *said = 0;
    ReleaseSRWLockExclusive(&lock);
}

// A failure, of which the error event has told.
static void fail_once(storage_queue *queue, storage_file *file) {
    uint8_t to[1];
    storage_error_record record;
    ok_hr(run(factory, queue, read_request(file, 100, to, 1)), E_DSTORAGE_END_OF_FILE);
    ok(WaitForSingleObject(queue->methods->GetErrorEvent(queue), LONG_MS) == WAIT_OBJECT_0, "no event");
    Sleep(SHORT_MS);
    queue->methods->RetrieveErrorRecord(queue, &record);
}

static void flags(void) {
    storage_file *file = open_file(factory, PATH);
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    fail_once(queue, file);
    ok(!*said, "said without a flag: %s", said);
    factory->methods->SetDebugFlags(factory, DEBUG_SHOW_ERRORS);
    fail_once(queue, file);
    ok(was_said("\"test\"") && was_said("\"a read\"") && was_said("debug.bin") && was_said("89240007"),
       "said: %s", said);
    forget();
    // Nobody to stop for: nothing stops.
    factory->methods->SetDebugFlags(factory, DEBUG_BREAK_ON_ERROR);
    fail_once(queue, file);
    ok(!*said, "said: %s", said);
    factory->methods->SetDebugFlags(factory, DEBUG_RECORD_OBJECT_NAMES);
    storage_status_array *array = make_array(factory, 1);
    ok(was_said("status array") && was_said("\"array\""), "said: %s", said);
    storage_queue *named = make_queue(factory, SOURCE_FILE);
    ok(was_said("queue") && was_said("\"test\""), "said: %s", said);
    forget();
    factory->methods->SetDebugFlags(factory, DEBUG_NONE);
    fail_once(queue, file);
    ok(!*said, "said without a flag: %s", said);
    array->methods->Release(array);
    named->methods->Release(named);
    queue->methods->Release(queue);
    file->methods->Release(file);
}

// --- A debugger ------------------------------------------------------------------------------------------

static int debugged(void) {
    factory = factory_or_exit();
    storage_file *file = open_file(factory, PATH);
    storage_queue *queue = make_queue(factory, SOURCE_FILE);
    factory->methods->SetDebugFlags(factory, DEBUG_BREAK_ON_ERROR | DEBUG_SHOW_ERRORS);
    fail_once(queue, file);
    return failed ? 1 : 0;
}

struct seen {
    unsigned stops, lines;
    DWORD exit_code;
};

// Until the process ends. The first stop is the one that every debugger gets.
static struct seen debug(void) {
    struct seen seen = {0};
    DEBUG_EVENT event;
    while (WaitForDebugEvent(&event, LONG_MS)) {
        DWORD answer = DBG_CONTINUE;
        if (event.dwDebugEventCode == EXCEPTION_DEBUG_EVENT) {
            BOOL stop = event.u.Exception.ExceptionRecord.ExceptionCode == EXCEPTION_BREAKPOINT;
            seen.stops += stop;
            if (!stop) answer = DBG_EXCEPTION_NOT_HANDLED;
        }
        if (event.dwDebugEventCode == OUTPUT_DEBUG_STRING_EVENT) seen.lines++;
        if (event.dwDebugEventCode == CREATE_PROCESS_DEBUG_EVENT)
            CloseHandle(event.u.CreateProcessInfo.hFile);
        BOOL last = event.dwDebugEventCode == EXIT_PROCESS_DEBUG_EVENT;
        if (last) seen.exit_code = event.u.ExitProcess.dwExitCode;
        ContinueDebugEvent(event.dwProcessId, event.dwThreadId, answer);
        if (last) return seen;
    }
    ok(0, "the process does not end");
    return seen;
}

static void with_a_debugger(void) {
    char self[MAX_PATH], line[2 * MAX_PATH];
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    GetModuleFileNameA(NULL, self, sizeof self);
    snprintf(line, sizeof line, "\"%s\" debugged", self);
    BOOL made = CreateProcessA(self, line, NULL, NULL, FALSE, DEBUG_ONLY_THIS_PROCESS, NULL, NULL, &startup,
                               &process);
    ok(made, "no process");
    if (!made) return;
    struct seen seen = debug();
    ok(seen.exit_code == 0, "exit code %lx", seen.exit_code);
    ok(seen.stops == 2, "it stops %u times", seen.stops);
    ok(seen.lines >= 1, "the debugger hears nothing");
    TerminateProcess(process.hProcess, 1);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
}

int main(int count, char **arguments) {
    load_dll();
    if (!ours) {
        printf("SKIPPED: what Microsoft's DLL says is not known\n");
        return EXIT_SKIPPED;
    }
    (void)arguments;
    if (count > 1) return debugged();
    make_file(PATH, 100);
    factory = factory_or_exit();
    void *handler = AddVectoredExceptionHandler(TRUE, hear);
    flags();
    RemoveVectoredExceptionHandler(handler);
    factory->methods->Release(factory);
    with_a_debugger();
    DeleteFileW(PATH);
    return finish_tests();
}
