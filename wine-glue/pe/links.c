// links.c: from the engine's objects back to the application's.
//
// Only error records ask, so a list is enough.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

static SRWLOCK lock = SRWLOCK_INIT;
static struct link *first;

void link_add(struct link *link, uint64_t native, void *object) {
    AcquireSRWLockExclusive(&lock);
    *link = (struct link){.next = first, .native = native, .object = object};
    if (first) first->previous = link;
    first = link;
    ReleaseSRWLockExclusive(&lock);
}

void link_remove(struct link *link) {
    AcquireSRWLockExclusive(&lock);
    if (link->previous)
        link->previous->next = link->next;
    else
        first = link->next;
    if (link->next) link->next->previous = link->previous;
    ReleaseSRWLockExclusive(&lock);
}

BOOL link_visit(uint64_t native, void (*visit)(void *object, void *context), void *context) {
    AcquireSRWLockShared(&lock);
    struct link *link = native ? first : NULL;
    while (link && link->native != native) link = link->next;
    if (link) visit(link->object, context);
    ReleaseSRWLockShared(&lock);
    return link != NULL;
}
