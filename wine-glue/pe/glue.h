// glue.h: what the files of the Windows half know of each other.
//
// Locks, outermost first: the factory's, the engine's, then the fences', the cookies' or the links'. The last
// three are never held while a call into the engine may wait, or while D3D12's code runs.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef GLUE_H
#define GLUE_H

#include "../include/dstorage.h"
#include "../unixlib.h"

#define NUMBER(pointer) ((uint64_t)(uintptr_t)(pointer))

// log.c: one line to where Wine's own messages go, printf-like.
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Whether DS_LOG asks for more than failures.
BOOL log_is_verbose(void);

// unix_call.c. Any thread.
// Finds the Unix half; E_NOTIMPL, said once in the log, if there is none or one of another version.
HRESULT unix_open(void);
// Carries out one call of unixlib.h; a bad pointer is E_DSTORAGE_ACCESS_VIOLATION. Only after unix_open.
HRESULT unix_call(enum unix_code code, void *args);
// The same for calls that take one object and cannot fail.
void unix_call_object(enum unix_code code, uint64_t object);
// A HANDLE's file descriptor, which the caller gives away or closes.
HRESULT unix_descriptor(HANDLE file, int32_t *fd);

// touch.c: faults now, on this thread, if the memory is bad; keeps its contents.
void touch_to_read(const void *memory, SIZE_T bytes);
void touch_to_write(void *memory, SIZE_T bytes);

// engine.c: the engine's runtime and its pump, which live while the factory or a queue does.
HRESULT engine_acquire(void);
void engine_release(void);
// Waits for a thread of ours that has been told to end, and sets `ended` as its last act; closes both.
void thread_end(HANDLE thread, HANDLE ended);
// The runtime; only between acquire and release.
uint64_t engine_runtime(void);
// Carries out the notifications that are there, but those of tasks; says whether there were such. The pump
// only.
BOOL engine_deliver_waiting(uint64_t runtime);
// Differs for each runtime of the process, where addresses may not.
uint64_t engine_generation(void);
// While a process ends, its other threads are gone, the pump among them, whatever locks they held: nothing is
// to be waited for.
BOOL process_is_ending(void);
// Whether all is to be as with Microsoft's runtime; see exact.c.
BOOL engine_is_exact(void);
// Whether devices that can decode GDeflate are to do it (gpu_decode=gpu, and nothing that forbids it).
BOOL engine_wants_gpu_decode(void);
// E_FAIL while there is a runtime.
HRESULT engine_configure(const storage_configuration *given);

// exact.c: if all is to be exact, ends the process where Microsoft's runtime does.
void exact_request(const storage_request *request);
void exact_object(const void *object, const char *what);

// cookies.c: what a notification's number stands for.
// Of a fence, by a number of fence.c's.
uint64_t cookie_of_fence(uint64_t id);
// Of the copies that the engine wants; there is one.
uint64_t cookie_of_copies(void);
// Of an event of ours, set by the pump until forgotten; 0 without memory.
uint64_t cookie_for_event(HANDLE event);
// From now on the pump sets the event only if the engine's queue has failures to tell. Keeps `name`, which
// may be NULL, until the event is forgotten.
void cookie_tells_failures(uint64_t cookie, uint64_t queue, const char *name);
// Afterwards the pump does not touch the event any more, nor its queue.
void cookie_forget_event(uint64_t cookie);
// Between the two the pump sets no event of ours. Nothing that may fault or wait stands between them.
void cookies_hold(void);
void cookies_let_go(void);
// A number for a queue, as the owner of what is enqueued.
uint64_t cookie_new_owner(void);
// Of an event of the application's, to be delivered once; 0 if it is none, or without memory.
uint64_t cookie_for_enqueued_event(HANDLE event, uint64_t owner);
// Of the end of an owner: its events that are not set by then never will be.
uint64_t cookie_of_owner(uint64_t owner);
// Carries a notification out that was found so many times, and is not that of tasks. The pump only.
void cookie_deliver(const struct unix_notification *found, uint32_t times);

// copies.c: bytes that the engine leaves to the pump, for only Windows threads can write where they belong.
// Before the runtime's first queue.
HRESULT copies_begin(uint64_t runtime);
// Does what the notification of tasks is about, and what is due by time. The pump only.
void copies_make(uint64_t runtime);
// Copies; E_DSTORAGE_ACCESS_VIOLATION if either side is bad.
HRESULT copies_run(const void *source, void *destination, uint64_t size);
// Answers a copy.
void copies_finish(uint64_t runtime, uint64_t id, HRESULT result);

// What the engine gives back says what it is in its lowest bits.
#define COOKIE_OF_MASK 3u
#define COOKIE_OF_PLACE 0u
#define COOKIE_OF_BLOCK 1u
#define COOKIE_OF_SIGNAL 2u
#define POINTER_OF(type, cookie) ((type *)(uintptr_t)((cookie) & ~(uint64_t)COOKIE_OF_MASK))

// place.c: destinations in D3D12 resources.
struct uploader;
struct place;
// What `request`, to a resource, means on a queue with this uploader, NULL for none: fills what the engine is
// told in the destination's place, but for `shown`. A place that was made comes back by place_free.
void place_make(struct uploader *uploader, const storage_request *request, struct unix_foreign *out);
void place_free(struct place *place);

// uploader.c: what brings bytes into a device's resources.
// The uploader of an ID3D12Device, made if there is none; NULL, said in the log, if the object is no device.
struct uploader *uploader_acquire(IUnknown *device);
void uploader_release(struct uploader *uploader);
// The engine's pool of its memory; 0 if the device has no memory that the engine could use.
uint64_t uploader_pool(const struct uploader *uploader);
// A signal of `fence` on the uploader's queue: its cookie, 0 without memory. S_FALSE: only a processor can
// signal it; E_DSTORAGE_INVALID_FENCE if it is another device's.
HRESULT uploader_signal(struct uploader *uploader, d3d12_fence *fence, uint64_t value, uint64_t *cookie);
struct gpu_signal;
void gpu_signal_free(struct gpu_signal *signal);
// Whether what has tiles enough is decoded on the device; NULL for none.
BOOL uploader_decodes(const struct uploader *uploader);
// The pump's part: takes a copy over, whose cookie is a place, and answers it later.
void uploader_take(uint64_t runtime, const struct unix_task *copy);
// Takes a signal over, to be made behind the copies that were taken before.
void uploader_take_signal(struct gpu_signal *signal);
// Gives the pool of that cookie a block of `bytes` bytes or more, or says that there is none.
void uploader_give_block(uint64_t pool_cookie, uint64_t bytes);
// Answers what the GPU is done with, and gives it more to do.
void uploaders_turn(uint64_t runtime);
// How long the pump may sleep until the next turn, if nothing wakes it.
uint64_t uploaders_timeout_ns(void);
// Whether the next turn should be now, though other things keep the pump awake.
BOOL uploaders_are_due(void);

// blocks.c: memory that the engine fills and the GPU reads.
struct block;
void block_free(struct block *block);

// fence.c: ID3D12Fence on one side, the engine's fences on the other.
// Finds or makes the engine's fence that stands for `fence` in signals, and notes that `value` is to come.
HRESULT fence_begin_signal(d3d12_fence *fence, uint64_t value, uint64_t *native);
// The enqueue is over.
void fence_end_signal(d3d12_fence *fence);
// The pump's part: signals the fence whose cookie was made of `id`.
void fence_deliver(uint64_t id, uint64_t value);
// Forgets all, when the runtime is gone.
void fence_forget_all(void);
// The other direction: an engine's fence, `native`, that gets `value` when `fence` does.
struct fence_wait {
    struct fence_wait *next;
    LONG references;
    uint64_t native, value;
    HANDLE event;
    PTP_WAIT pool_wait;
    uint64_t owner;
};
// `*out` is NULL if the fence is there already; else fence_end_wait follows the enqueue.
HRESULT fence_begin_wait(d3d12_fence *fence, uint64_t value, uint64_t owner, struct fence_wait **out);
void fence_end_wait(struct fence_wait *wait);
// The owner's waits will not be answered any more. Not under a lock that the pool's threads want.
void fence_forget_waits(uint64_t owner);

// links.c: from the engine's objects back to ours, for error records.
struct link {
    struct link *next, *previous;
    uint64_t native;
    void *object;
};
void link_add(struct link *link, uint64_t native, void *object);
void link_remove(struct link *link);
// Calls `visit` under the lock, so that the object lives meanwhile; FALSE if nothing is linked.
BOOL link_visit(uint64_t native, void (*visit)(void *object, void *context), void *context);

// The objects, one a file. Each answers E_NOINTERFACE for ids that are not its own.
HRESULT factory_get(REFIID iid, void **out);
HRESULT queue_create(const storage_queue_desc *desc, REFIID iid, void **out);
HRESULT file_open(const WCHAR *path, REFIID iid, void **out);
HRESULT status_array_create(uint32_t capacity, const char *name, REFIID iid, void **out);
HRESULT codec_create(uint8_t format, uint32_t threads, REFIID iid, void **out);

// The custom queue is a second interface of the factory: same identity, same count.
extern const storage_custom_queue_methods custom_queue_methods;
storage_factory *factory_of_custom_queue(storage_custom_queue *queue);

// The engine's object behind one of ours; 0 for NULL and for objects that are not ours.
uint64_t file_native(storage_file *file);
uint64_t status_array_native(storage_status_array *array);
// The path a file was opened with; the file's for as long as it lives.
const WCHAR *file_path(const storage_file *file);

// errors.c: fills a record, of the length that the program knows, from the engine's.
void errors_fill(const struct unix_queue_errors *errors, void *out);

// debug.c: what SetDebugFlags asks for.
#define DEBUG_NAME_BYTES 64
void debug_set_flags(uint32_t flags);
// A queue has failed requests, the first of which is told; for the pump, without locks.
void debug_failures(const char *queue_name, const struct unix_queue_errors *errors);
// An object with a name, which may be NULL, was made.
void debug_name(const char *kind, const char *name, const void *object);

// configuration.c: the exports' part that is common to both DLLs.
// Whether the program was built for version 1.0, whose structs are others.
BOOL program_is_1_0(void);
HRESULT configuration_set(const void *configuration, size_t bytes);

#endif // GLUE_H
