// debug.c: DSTORAGE_DEBUG: failures for the debugger, and names of objects.
//
// SHOW_ERRORS tells a debugger (OutputDebugString) of failures, in one line for those of a batch.
// BREAK_ON_ERROR stops there, if a debugger is there to stop for. RECORD_OBJECT_NAMES goes to event tracing
// with Microsoft's DLL, which Wine has none of: here the debugger is told which name an address has.
// All come from the pump's thread or the one that makes the object. The engine's own log (DS_LOG) is another
// matter, and has each failure.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#include <stdio.h>

#define LINE_BYTES 512

static LONG flags_now;

static BOOL has(uint32_t flag) { return ((uint32_t)InterlockedOr(&flags_now, 0) & flag) != 0; }

void debug_set_flags(uint32_t flags) { InterlockedExchange(&flags_now, (LONG)flags); }

static const char *described(const struct unix_queue_errors *errors) {
    switch (errors->command_type) {
    case COMMAND_REQUEST: return "request";
    case COMMAND_STATUS: return "status";
    case COMMAND_SIGNAL: return "signal";
    default: return "event";
    }
}

static void show(const char *queue_name, const struct unix_queue_errors *errors) {
    char line[LINE_BYTES];
    BOOL request = errors->command_type == COMMAND_REQUEST;
    snprintf(line, sizeof line, "DirectStorage: queue \"%s\": %u failed, first a %s%s%s%s%s%s: %08lx\n",
             queue_name, errors->failure_count, described(errors), request && *errors->name ? " \"" : "",
             request ? errors->name : "", request && *errors->name ? "\"" : "",
             request && *errors->filename ? " of " : "", request ? errors->filename : "",
             (unsigned long)errors->result);
    OutputDebugStringA(line);
}

void debug_failures(const char *queue_name, const struct unix_queue_errors *errors) {
    if (has(DEBUG_SHOW_ERRORS)) show(queue_name, errors);
    if (has(DEBUG_BREAK_ON_ERROR) && IsDebuggerPresent()) DebugBreak();
}

void debug_name(const char *kind, const char *name, const void *object) {
    char line[LINE_BYTES];
    if (!has(DEBUG_RECORD_OBJECT_NAMES) || !name) return;
    snprintf(line, sizeof line, "DirectStorage: %s %p is \"%s\"\n", kind, object, name);
    OutputDebugStringA(line);
}
