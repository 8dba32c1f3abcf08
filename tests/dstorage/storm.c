// storm.c: every method of every object, by many threads at once, in an order that a seed decides.
//
// The objects are shared; any thread may put another in the place of one, close it and let it go while the
// others use it. What can be checked whatever the order: nobody hangs, every byte of a destination is either
// as it was or the right one, no byte beside a destination changes, and in the end nothing is left.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

#define PATH L"storm.bin"
#define THREADS 6
#define DEEDS 4000
#define ROUNDS 3
#define PLACES 64
#define BYTES 512
#define STRIDE (2 * BYTES)
#define UNTOUCHED 0xA5
#define FORMAT COMPRESSION_CUSTOM_0

// A place's right bytes are always these of the file, whichever way they come.
#define FILE_BYTES (PLACES * BYTES)

struct worker {
    uint64_t random;
    uint8_t *memory; // PLACES destinations, with as much room beside each
    HANDLE event;
    unsigned done;
};

// What all threads use. Whoever takes an object counts a reference under the lock.
enum { FILES, MEMORY, QUEUES };
static SRWLOCK lock = SRWLOCK_INIT;
static storage_factory *factory;
static storage_queue *queues[QUEUES];
static storage_file *file;
static storage_status_array *array;
static storage_custom_queue *custom;
static storage_codec *codec;
static uint8_t contents[FILE_BYTES], streams[PLACES][4 * BYTES];
static SIZE_T stream_bytes[PLACES];
static LONG stop, wrong;

static uint32_t roll(struct worker *worker, uint32_t below) {
    worker->random = worker->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(worker->random >> 33) % below;
}

static void expect(BOOL condition) {
    if (!condition) InterlockedIncrement(&wrong);
}

static storage_queue *take_queue(struct worker *worker, uint32_t *which) {
    *which = roll(worker, QUEUES);
    AcquireSRWLockShared(&lock);
    storage_queue *queue = queues[*which];
    queue->methods->AddRef(queue);
    ReleaseSRWLockShared(&lock);
    return queue;
}

static storage_file *take_file(void) {
    AcquireSRWLockShared(&lock);
    storage_file *taken = file;
    taken->methods->AddRef(taken);
    ReleaseSRWLockShared(&lock);
    return taken;
}

static storage_status_array *take_array(void) {
    AcquireSRWLockShared(&lock);
    storage_status_array *taken = array;
    taken->methods->AddRef(taken);
    ReleaseSRWLockShared(&lock);
    return taken;
}

// --- Requests --------------------------------------------------------------------------------------------

// A request of any kind to a place of the worker's. Now and then a wrong one.
static storage_request any_request(struct worker *worker, uint32_t which, storage_file *from) {
    uint32_t place = roll(worker, PLACES);
    uint8_t *to = worker->memory + place * STRIDE;
    storage_request request;
    if (which == FILES) {
        request = read_request(from, place * BYTES, to, BYTES);
        if (roll(worker, 4) == 0) request.options.compression_format = FORMAT;
    } else {
        request = copy_request(contents + place * BYTES, to, BYTES);
        if (roll(worker, 2)) {
            request.source.memory.source = streams[place];
            request.source.memory.size = (uint32_t)stream_bytes[place];
            request.options.compression_format = COMPRESSION_GDEFLATE;
            request.uncompressed_size = BYTES;
        }
    }
    request.cancellation_tag = roll(worker, 8);
    switch (roll(worker, 40)) {
    case 0: request.destination.memory.size--; break;
    case 1: request.options.types ^= 1; break;
    case 2: request.destination.memory.buffer = NULL; break;
    default: break;
    }
    return request;
}

static void enqueue(struct worker *worker) {
    uint32_t which;
    storage_queue *queue = take_queue(worker, &which);
    storage_file *from = take_file();
    for (uint32_t left = roll(worker, 8); left; left--) {
        storage_request request = any_request(worker, which, from);
        queue->methods->EnqueueRequest(queue, &request);
    }
    from->methods->Release(from);
    queue->methods->Release(queue);
}

static void enqueue_many(struct worker *worker) {
    uint32_t which;
    storage_request requests[4];
    storage_queue *queue = take_queue(worker, &which);
    storage_file *from = take_file();
    for (unsigned i = 0; i < ARRAYSIZE(requests); i++) requests[i] = any_request(worker, which, from);
    queue->methods->EnqueueRequests(queue, requests, ARRAYSIZE(requests), NULL, 0, ENQUEUE_NONE);
    from->methods->Release(from);
    queue->methods->Release(queue);
}

static void enqueue_mark(struct worker *worker) {
    uint32_t which;
    storage_queue *queue = take_queue(worker, &which);
    storage_status_array *told = take_array();
    switch (roll(worker, 4)) {
    case 0: queue->methods->EnqueueSetEvent(queue, worker->event); break;
    case 1: queue->methods->EnqueueSignal(queue, NULL, 1); break;
    default: queue->methods->EnqueueStatus(queue, told, roll(worker, 9)); break; // the last is out of bounds
    }
    told->methods->Release(told);
    queue->methods->Release(queue);
}

// --- Queues ----------------------------------------------------------------------------------------------

static void submit(struct worker *worker) {
    uint32_t which;
    storage_queue *queue = take_queue(worker, &which);
    queue->methods->Submit(queue);
    queue->methods->Release(queue);
}

static void cancel(struct worker *worker) {
    uint32_t which;
    storage_queue *queue = take_queue(worker, &which);
    queue->methods->CancelRequestsWithTag(queue, roll(worker, 8), roll(worker, 8));
    queue->methods->Release(queue);
}

static void ask_queue(struct worker *worker) {
    uint32_t which;
    storage_queue_info info;
    storage_error_record record;
    storage_queue *queue = take_queue(worker, &which), *same = NULL;
    queue->methods->Query(queue, &info);
    expect(info.desc.capacity == CAPACITY && info.empty_slot_count < CAPACITY);
    queue->methods->RetrieveErrorRecord(queue, &record);
    expect((record.failure_count == 0) == (record.first_failure.command_type == COMMAND_NONE));
    expect(queue->methods->GetErrorEvent(queue) != NULL);
    expect(queue->methods->GetCompressionSupport(queue, COMPRESSION_GDEFLATE) == 4);
    expect(queue->methods->QueryInterface(queue, &IID_QUEUE3, (void **)&same) == S_OK && same == queue);
    same->methods->Release(same);
    queue->methods->Release(queue);
}

static storage_queue *new_queue(uint32_t which) {
    storage_queue_desc desc = {
        .source_type = which == FILES ? SOURCE_FILE : SOURCE_MEMORY, .capacity = CAPACITY, .name = "storm"};
    storage_queue *made = NULL;
    HRESULT result = factory->methods->CreateQueue(factory, &desc, &IID_QUEUE3, (void **)&made);
    expect(result == S_OK);
    if (!made) exit(1);
    return made;
}

// Another queue takes the place of one, which is closed, or only let go, with all that is in it.
static void replace_queue(struct worker *worker) {
    uint32_t which = roll(worker, QUEUES);
    storage_queue *made = new_queue(which);
    AcquireSRWLockExclusive(&lock);
    storage_queue *old = queues[which];
    queues[which] = made;
    ReleaseSRWLockExclusive(&lock);
    if (roll(worker, 2)) old->methods->Close(old);
    old->methods->Release(old);
}

// --- Files, arrays, the factory, the codec ---------------------------------------------------------------

static storage_file *new_file(void) {
    storage_file *made = NULL;
    expect(factory->methods->OpenFile(factory, PATH, &IID_FILE, (void **)&made) == S_OK);
    if (!made) exit(1);
    return made;
}

static void use_file(struct worker *worker) {
    BY_HANDLE_FILE_INFORMATION about;
    storage_file *used = take_file();
    HRESULT result = used->methods->GetFileInformation(used, &about);
    expect(result == (HRESULT)0x80070006 || (result == S_OK && about.nFileSizeLow == FILE_BYTES));
    if (roll(worker, 4) == 0) {
        storage_file *made = new_file();
        AcquireSRWLockExclusive(&lock);
        storage_file *old = file;
        file = made;
        ReleaseSRWLockExclusive(&lock);
        if (roll(worker, 2)) old->methods->Close(old);
        old->methods->Release(old);
    }
    used->methods->Release(used);
}

static storage_status_array *new_array(void) {
    storage_status_array *made = NULL;
    HRESULT result =
        factory->methods->CreateStatusArray(factory, 8, "storm", &IID_STATUS_ARRAY, (void **)&made);
    expect(result == S_OK);
    if (!made) exit(1);
    return made;
}

static void use_array(struct worker *worker) {
    storage_status_array *used = take_array();
    uint32_t index = roll(worker, 9);
    used->methods->IsComplete(used, index);
    HRESULT result = used->methods->GetHResult(used, index);
    expect((index == 8) == (result == E_DSTORAGE_INDEX_BOUND));
    if (roll(worker, 4) == 0) {
        storage_status_array *made = new_array();
        AcquireSRWLockExclusive(&lock);
        storage_status_array *old = array;
        array = made;
        ReleaseSRWLockExclusive(&lock);
        old->methods->Release(old);
    }
    used->methods->Release(used);
}

static void use_factory(struct worker *worker) {
    static const GUID *const ids[] = {&IID_UNKNOWN, &IID_FACTORY, &IID_CUSTOM_QUEUE, &IID_CUSTOM_QUEUE1};
    storage_factory *again = NULL;
    IUnknown *part = NULL;
    expect(get_factory(&IID_FACTORY, (void **)&again) == S_OK && again == factory);
    const GUID *id = ids[roll(worker, ARRAYSIZE(ids))];
    expect(again->methods->QueryInterface(again, id, (void **)&part) == S_OK && part);
    part->lpVtbl->Release(part);
    again->methods->SetDebugFlags(again, roll(worker, 50) ? DEBUG_NONE : DEBUG_RECORD_OBJECT_NAMES);
    expect(again->methods->SetStagingBufferSize(again, 32 << 20) == E_DSTORAGE_STAGING_BUFFER_LOCKED);
    again->methods->Release(again);
    storage_configuration configuration = {0};
    expect(set_configuration(&configuration) == E_FAIL);
}

static void use_codec(struct worker *worker) {
    uint8_t packed[4 * BYTES], bytes[BYTES];
    SIZE_T packed_bytes = 0, count = 0;
    uint32_t place = roll(worker, PLACES);
    codec->methods->AddRef(codec);
    expect(codec->methods->CompressBufferBound(codec, BYTES) >= BYTES);
    expect(codec->methods->CompressBuffer(codec, contents + place * BYTES, BYTES, LEVEL_FASTEST, packed,
                                          sizeof packed, &packed_bytes) == S_OK);
    expect(codec->methods->DecompressBuffer(codec, packed, packed_bytes, bytes, BYTES, &count) == S_OK);
    expect(count == BYTES && !memcmp(bytes, contents + place * BYTES, BYTES));
    codec->methods->Release(codec);
}

static void use_event(struct worker *worker) {
    WaitForSingleObject(worker->event, 0);
    if (roll(worker, 8)) return;
    CloseHandle(worker->event); // requests may still name it
    worker->event = CreateEventW(NULL, FALSE, FALSE, NULL);
}

// --- The custom queue ------------------------------------------------------------------------------------

// Answers what is there, and answers it again, which is refused.
static void answer(void) {
    storage_custom_request requests[8];
    uint32_t count = 0;
    if (custom->methods->GetRequests1(custom, SELECT_CUSTOM, 8, requests, &count) != S_OK) return;
    for (uint32_t i = 0; i < count; i++) {
        storage_custom_result result = {.id = requests[i].id};
        memcpy(requests[i].destination, requests[i].source, requests[i].source_size);
        custom->methods->SetRequestResults(custom, 1, &result);
        expect(custom->methods->SetRequestResults(custom, 1, &result) == E_INVALIDARG);
    }
}

static void use_custom(struct worker *worker) {
    uint32_t count = 1;
    storage_custom_request none;
    (void)worker;
    WaitForSingleObject(custom->methods->GetEvent(custom), 0);
    custom->methods->GetRequests(custom, 0, &none, &count);
    expect(count == 0);
    answer();
}

// One who always answers: the others may all wait for room in a full queue.
static DWORD WINAPI answer_for_ever(void *unused) {
    (void)unused;
    while (!InterlockedCompareExchange(&stop, 0, 0)) {
        answer();
        Sleep(1);
    }
    return 0;
}

// --- The storm -------------------------------------------------------------------------------------------

static DWORD WINAPI do_things(void *parameter) {
    static void (*const deeds[])(struct worker *) = {
        enqueue,       enqueue,  enqueue,   enqueue,     enqueue_many, enqueue_mark, enqueue_mark, submit,
        replace_queue, cancel,   ask_queue, use_factory, use_file,     use_array,    use_codec,    use_event,
        use_custom,
    };
    struct worker *worker = parameter;
    for (unsigned i = 0; i < DEEDS; i++) deeds[roll(worker, ARRAYSIZE(deeds))](worker), worker->done++;
    return 0;
}

// How many bytes are neither as they were nor right.
static unsigned bad_bytes(const struct worker *worker) {
    unsigned bad = 0;
    for (unsigned place = 0; place < PLACES; place++)
        for (unsigned i = 0; i < STRIDE; i++) {
            uint8_t byte = worker->memory[place * STRIDE + i];
            BOOL right = i < BYTES && byte == contents[place * BYTES + i];
            bad += byte != UNTOUCHED && !right;
        }
    return bad;
}

static unsigned places_filled(const struct worker *worker) {
    unsigned filled = 0;
    for (unsigned place = 0; place < PLACES; place++)
        filled += !memcmp(worker->memory + place * STRIDE, contents + place * BYTES, BYTES);
    return filled;
}

static DWORD handle_count(void) {
    DWORD count = 0;
    GetProcessHandleCount(GetCurrentProcess(), &count);
    return count;
}

static void begin(void) {
    factory = factory_or_exit();
    queues[FILES] = new_queue(FILES);
    queues[MEMORY] = new_queue(MEMORY);
    file = new_file();
    array = new_array();
    ok_hr(factory->methods->QueryInterface(factory, &IID_CUSTOM_QUEUE1, (void **)&custom), S_OK);
    ok_hr(create_codec(COMPRESSION_GDEFLATE, 1, &IID_CODEC, (void **)&codec), S_OK);
}

static void end(void) {
    for (unsigned i = 0; i < QUEUES; i++) {
        queues[i]->methods->Close(queues[i]);
        ok(queues[i]->methods->Release(queues[i]) == 0, "queue %u lives on", i);
    }
    ok(file->methods->Release(file) == 0, "the file lives on");
    ok(array->methods->Release(array) == 0, "the array lives on");
    ok(codec->methods->Release(codec) == 0, "the codec lives on");
    custom->methods->Release(custom);
    ok(factory->methods->Release(factory) == 0, "the factory lives on");
}

static void storm(unsigned seed) {
    struct worker workers[THREADS];
    HANDLE threads[THREADS];
    begin();
    InterlockedExchange(&stop, 0);
    HANDLE answerer = CreateThread(NULL, 0, answer_for_ever, NULL, 0, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.random = seed * THREADS + i, .memory = malloc(PLACES * STRIDE)};
        memset(workers[i].memory, UNTOUCHED, PLACES * STRIDE);
        workers[i].event = CreateEventW(NULL, FALSE, FALSE, NULL);
        threads[i] = CreateThread(NULL, 0, do_things, &workers[i], 0, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        BOOL ended = WaitForSingleObject(threads[i], LONG_MS) == WAIT_OBJECT_0;
        ok(ended, "seed %u, thread %u hangs after %u deeds", seed, i, workers[i].done);
        if (!ended) exit(finish_tests());
        CloseHandle(threads[i]);
    }
    InterlockedExchange(&stop, 1);
    ok(WaitForSingleObject(answerer, LONG_MS) == WAIT_OBJECT_0, "seed %u: who answers hangs", seed);
    CloseHandle(answerer);
    end();
    for (unsigned i = 0; i < THREADS; i++) {
        unsigned bad = bad_bytes(&workers[i]);
        ok(!bad, "seed %u, thread %u: %u bytes are wrong", seed, i, bad);
        unsigned filled = places_filled(&workers[i]);
        ok(filled > PLACES / 2, "seed %u, thread %u: only %u places are filled", seed, i, filled);
        free(workers[i].memory);
        CloseHandle(workers[i].event);
    }
    ok(!wrong, "seed %u: %ld answers are wrong", seed, wrong);
}

static void make_streams(void) {
    for (unsigned i = 0; i < FILE_BYTES; i++) contents[i] = pattern(i);
    begin();
    for (unsigned i = 0; i < PLACES; i++)
        ok_hr(codec->methods->CompressBuffer(codec, contents + i * BYTES, BYTES, LEVEL_DEFAULT, streams[i],
                                             sizeof streams[i], &stream_bytes[i]),
              S_OK);
    end();
}

int main(int count, char **arguments) {
    load_dll();
    if (!ours) {
        printf("SKIPPED: most of this ends the process with Microsoft's DLL\n");
        return EXIT_SKIPPED;
    }
    unsigned seed = count > 1 ? (unsigned)atoi(arguments[1]) : 1;
    make_file(PATH, FILE_BYTES);
    make_streams();
    storm(seed);
    DWORD before = handle_count();
    for (unsigned round = 1; round < ROUNDS; round++) storm(seed + round);
    for (DWORD waited = 0; waited < LONG_MS && handle_count() > before; waited += 5) Sleep(5);
    ok(handle_count() <= before, "%lu handles, %lu before", handle_count(), before);
    DeleteFileW(PATH);
    return finish_tests();
}
