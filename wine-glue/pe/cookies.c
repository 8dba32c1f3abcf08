// cookies.c: what the number in a notification stands for.
//
// An event of the application's is its handle: if the application has closed it, setting it does nothing, as
// on Windows. An event of ours has a place in a table with a generation, so that a notification that comes
// late reaches it or nothing. A fence is fence.c's.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#include <stdlib.h>

// The kinds stand in the two highest bits; handles never have them.
#define KIND_MASK (UINT64_C(3) << 62)
#define KIND_TABLE (UINT64_C(1) << 62)
#define KIND_FENCE (UINT64_C(2) << 62)
#define KIND_COPIES (UINT64_C(3) << 62)
#define GENERATION_MASK 0x3FFFFFFFu

struct entry {
    HANDLE event; // NULL: free
    uint32_t generation;
};

static SRWLOCK lock = SRWLOCK_INIT;
static struct entry *entries;
static uint32_t entry_count;

static uint32_t free_place(void) {
    uint32_t place = 0;
    while (place < entry_count && entries[place].event) place++;
    if (place < entry_count) return place;
    uint32_t grown = entry_count ? entry_count * 2 : 16;
    struct entry *more = realloc(entries, grown * sizeof *more);
    if (!more) return UINT32_MAX;
    for (uint32_t i = entry_count; i < grown; i++) more[i] = (struct entry){0};
    entries = more;
    entry_count = grown;
    return place;
}

uint64_t cookie_of_fence(uint64_t id) { return KIND_FENCE | id; }

uint64_t cookie_of_copies(void) { return KIND_COPIES; }

uint64_t cookie_of_event(HANDLE event) { return NUMBER(event) & ~KIND_MASK; }

uint64_t cookie_for_event(HANDLE event) {
    AcquireSRWLockExclusive(&lock);
    uint64_t cookie = 0;
    uint32_t place = free_place();
    if (place != UINT32_MAX) {
        entries[place].event = event;
        entries[place].generation = (entries[place].generation + 1) & GENERATION_MASK;
        cookie = KIND_TABLE | (uint64_t)entries[place].generation << 32 | place;
    }
    ReleaseSRWLockExclusive(&lock);
    return cookie;
}

// The entry that the cookie was made for, or NULL. Under the lock.
static struct entry *entry_of(uint64_t cookie) {
    uint32_t place = (uint32_t)cookie;
    if (place >= entry_count || !entries[place].event) return NULL;
    BOOL same = entries[place].generation == ((cookie >> 32) & GENERATION_MASK);
    return same ? &entries[place] : NULL;
}

void cookie_forget_event(uint64_t cookie) {
    AcquireSRWLockExclusive(&lock);
    struct entry *entry = entry_of(cookie);
    if (entry) entry->event = NULL;
    ReleaseSRWLockExclusive(&lock);
}

static void set_own_event(uint64_t cookie) {
    // Shared with nobody but cookie_forget_event, which must wait: its caller closes the handle.
    AcquireSRWLockShared(&lock);
    struct entry *entry = entry_of(cookie);
    if (entry) SetEvent(entry->event);
    ReleaseSRWLockShared(&lock);
}

void cookie_deliver(uint64_t runtime, uint64_t cookie, uint64_t value) {
    switch (cookie & KIND_MASK) {
    case KIND_TABLE: set_own_event(cookie); break;
    case KIND_FENCE: fence_deliver(cookie & ~KIND_MASK, value); break;
    case KIND_COPIES: copies_make(runtime); break;
    default: SetEvent((HANDLE)(uintptr_t)cookie); break;
    }
}
