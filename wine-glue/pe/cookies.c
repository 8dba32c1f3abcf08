// cookies.c: what the number in a notification stands for.
//
// Events stand in a table whose places count their generations, so that a notification that comes late
// reaches its event or nothing. A fence is fence.c's. That of tasks is the pump's own, engine.c's.
//
// Events of ours stay until they are forgotten. Events of the application's are duplicated: it may close its
// handle before the event is set, and the number may then be another object's. A duplicate lives until the
// pump has set it as often as it was enqueued, or until its queue is gone.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#include <stdlib.h>

// The kinds stand in the two highest bits.
#define KIND_MASK (UINT64_C(3) << 62)
#define KIND_OWNER (UINT64_C(0) << 62)
#define KIND_TABLE (UINT64_C(1) << 62)
#define KIND_FENCE (UINT64_C(2) << 62)
#define KIND_COPIES (UINT64_C(3) << 62)
#define GENERATION_MASK 0x3FFFFFFFu

struct entry {
    HANDLE event; // NULL: free
    uint32_t generation;
    uint32_t pending; // notifications to come, for an event of the application's
    HANDLE named;     // what the application calls it
    uint64_t owner;   // the queue that it was enqueued to; 0 for an event of ours
    uint64_t failures_of; // the engine's queue whose failures an event of ours tells; or 0
    const char *name;     // of that queue; or NULL
};

static SRWLOCK lock = SRWLOCK_INIT;
static struct entry *entries;
static uint32_t entry_count;
static LONG64 owner_last;

// --- The table, under the lock ---------------------------------------------------------------------------

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

static uint64_t cookie_of_place(uint32_t place) {
    return KIND_TABLE | (uint64_t)entries[place].generation << 32 | place;
}

// 0 if there is no memory.
static uint64_t add(struct entry entry) {
    uint32_t place = free_place();
    if (place == UINT32_MAX) return 0;
    entry.generation = (entries[place].generation + 1) & GENERATION_MASK;
    entries[place] = entry;
    return cookie_of_place(place);
}

// The entry that the cookie was made for, or NULL.
static struct entry *entry_of(uint64_t cookie) {
    uint32_t place = (uint32_t)cookie;
    if (place >= entry_count || !entries[place].event) return NULL;
    BOOL same = entries[place].generation == ((cookie >> 32) & GENERATION_MASK);
    return same ? &entries[place] : NULL;
}

// --- Events of ours --------------------------------------------------------------------------------------

uint64_t cookie_for_event(HANDLE event) {
    AcquireSRWLockExclusive(&lock);
    uint64_t cookie = add((struct entry){.event = event});
    ReleaseSRWLockExclusive(&lock);
    return cookie;
}

void cookie_tells_failures(uint64_t cookie, uint64_t queue, const char *name) {
    AcquireSRWLockExclusive(&lock);
    struct entry *entry = entry_of(cookie);
    if (entry) entry->failures_of = queue, entry->name = name;
    ReleaseSRWLockExclusive(&lock);
}

void cookie_forget_event(uint64_t cookie) {
    AcquireSRWLockExclusive(&lock);
    struct entry *entry = entry_of(cookie);
    if (entry) entry->event = NULL;
    ReleaseSRWLockExclusive(&lock);
}

void cookies_hold(void) { AcquireSRWLockExclusive(&lock); }

void cookies_let_go(void) { ReleaseSRWLockExclusive(&lock); }

// --- Events of the application's -------------------------------------------------------------------------

uint64_t cookie_new_owner(void) { return (uint64_t)InterlockedIncrement64(&owner_last); }

static BOOL is_same_object(HANDLE one, HANDLE other) {
    LONG(WINAPI * compare)(HANDLE, HANDLE) =
        (void *)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtCompareObjects");
    return compare && compare(one, other) == 0;
}

// The place where the event stands already, for the same queue.
static uint32_t place_of(HANDLE event, uint64_t owner) {
    for (uint32_t i = 0; i < entry_count; i++) {
        const struct entry *entry = &entries[i];
        if (entry->event && entry->owner == owner && entry->named == event &&
            is_same_object(entry->event, event))
            return i;
    }
    return UINT32_MAX;
}

static uint64_t add_duplicate(HANDLE event, uint64_t owner) {
    HANDLE process = GetCurrentProcess(), duplicate;
    if (!DuplicateHandle(process, event, process, &duplicate, 0, FALSE, DUPLICATE_SAME_ACCESS)) return 0;
    uint64_t cookie = add((struct entry){.event = duplicate, .pending = 1, .named = event, .owner = owner});
    if (!cookie) CloseHandle(duplicate);
    return cookie;
}

uint64_t cookie_for_enqueued_event(HANDLE event, uint64_t owner) {
    AcquireSRWLockExclusive(&lock);
    uint64_t cookie;
    uint32_t place = place_of(event, owner);
    if (place != UINT32_MAX) {
        entries[place].pending++;
        cookie = cookie_of_place(place);
    } else {
        cookie = add_duplicate(event, owner);
    }
    ReleaseSRWLockExclusive(&lock);
    return cookie;
}

uint64_t cookie_of_owner(uint64_t owner) { return KIND_OWNER | owner; }

// What the queue has enqueued and never fired.
static void forget_owner(uint64_t owner) {
    AcquireSRWLockExclusive(&lock);
    for (uint32_t i = 0; i < entry_count; i++) {
        if (!entries[i].event || entries[i].owner != owner) continue;
        CloseHandle(entries[i].event);
        entries[i].event = NULL;
    }
    ReleaseSRWLockExclusive(&lock);
}

// --- The pump's part -------------------------------------------------------------------------------------

// Under the lock, which cookie_forget_event and cookies_hold wait for: afterwards the event is not touched.
// Failures that were fetched before the pump came are told of no more.
static void set_own_event(const struct entry *entry, struct unix_queue_errors *errors, char *name) {
    if (entry->failures_of) {
        *errors = (struct unix_queue_errors){.queue = entry->failures_of, .peek = TRUE};
        unix_call(UNIX_QUEUE_ERRORS, errors);
        if (!errors->failure_count) return;
        lstrcpynA(name, entry->name ? entry->name : "", DEBUG_NAME_BYTES);
    }
    SetEvent(entry->event);
}

static void set_event(uint64_t cookie, uint32_t times) {
    HANDLE event = NULL;
    BOOL last = FALSE;
    struct unix_queue_errors errors = {0};
    char name[DEBUG_NAME_BYTES];
    AcquireSRWLockExclusive(&lock);
    struct entry *entry = entry_of(cookie);
    if (entry && !entry->owner) {
        set_own_event(entry, &errors, name);
    } else if (entry) {
        event = entry->event;
        entry->pending -= times < entry->pending ? times : entry->pending;
        last = !entry->pending;
        if (last) entry->event = NULL;
    }
    ReleaseSRWLockExclusive(&lock);
    if (errors.failure_count) debug_failures(name, &errors);
    // Only the pump closes duplicates.
    if (event) SetEvent(event);
    if (last) CloseHandle(event);
}

uint64_t cookie_of_fence(uint64_t id) { return KIND_FENCE | id; }

uint64_t cookie_of_copies(void) { return KIND_COPIES; }

void cookie_deliver(const struct unix_notification *found, uint32_t times) {
    uint64_t rest = found->cookie & ~KIND_MASK;
    switch (found->cookie & KIND_MASK) {
    case KIND_TABLE: set_event(found->cookie, times); break;
    case KIND_FENCE: fence_deliver(rest, found->value); break;
    default: forget_owner(rest); break;
    }
}
