// log.c: messages of the Windows half.
//
// Wine's own output takes them where it can be found, so that they stand between its messages; else standard
// error does.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// What is longer is cut: Wine collects a line in 1020 bytes, in which the beginning of another may stand, and
// ends the process when they do not suffice.
#define LINE_BYTES 900

void log_line(const char *format, ...) {
    char line[LINE_BYTES];
    int used = snprintf(line, sizeof line, "dstorage: ");
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
    va_end(arguments);
    if (more < 0) return;
    strcat(line, "\n");
    int(__cdecl * output)(const char *) =
        (void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "__wine_dbg_output");
    if (output)
        output(line);
    else
        fputs(line, stderr);
}

BOOL log_is_verbose(void) {
    static const char *const levels[] = {"info", "debug", "trace"};
    char level[16];
    DWORD length = GetEnvironmentVariableA("DS_LOG", level, sizeof level);
    if (!length || length >= sizeof level) return FALSE;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (!lstrcmpiA(level, levels[i])) return TRUE;
    return FALSE;
}
