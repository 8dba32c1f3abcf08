// touch.c: looks at every page of memory that the engine is about to use.
//
// What Wine mends on its threads (pages that are watched, guarded, not there yet) ends the process when an
// engine's thread meets it, and a fault inside the engine's locks would leave them locked. Touched here
// first, the memory is either good, or the fault is the application's, as it would be with Microsoft's DLL.
// Requests of queues need none of it: the engine asks the kernel before it touches their memory.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#define PAGE_BYTES 4096

void touch_to_read(const void *memory, SIZE_T bytes) {
    const volatile uint8_t *first = memory;
    for (SIZE_T at = 0; at < bytes; at += PAGE_BYTES) (void)first[at];
    if (bytes) (void)first[bytes - 1];
}

void touch_to_write(void *memory, SIZE_T bytes) {
    volatile uint8_t *first = memory;
    for (SIZE_T at = 0; at < bytes; at += PAGE_BYTES) first[at] = first[at];
    if (bytes) first[bytes - 1] = first[bytes - 1];
}
