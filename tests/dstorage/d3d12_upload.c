// d3d12_upload.c: the way to the GPU: whose memory the bytes wait in and how much of it, who signals, and
// what a device that goes away leaves.
//
// Some methods of D3D12 are replaced here by ones of the test, for the whole process: they count, refuse, or
// say that the device was removed.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "d3d12_texture.h"

#define FILE_BYTES (16u << 20)
#define CAP_MIB 8
#define CAP_BYTES ((uint64_t)CAP_MIB << 20)

static storage_factory *factory;
static storage_file *file;
static uint8_t *contents;

static storage_request read_to(ID3D12Resource *buffer, uint64_t at, uint64_t offset, uint32_t bytes) {
    return to_buffer(read_request(file, offset, NULL, bytes), buffer, at, bytes);
}

// --- Methods that are replaced -------------------------------------------------------------------------

static void replace(void *place, void *method) {
    DWORD before;
    if (!VirtualProtect(place, sizeof method, PAGE_READWRITE, &before)) exit(1);
    memcpy(place, &method, sizeof method);
    VirtualProtect(place, sizeof method, before, &before);
}

typedef HRESULT(STDMETHODCALLTYPE *create_method)(ID3D12Device *, const D3D12_HEAP_PROPERTIES *,
                                                  D3D12_HEAP_FLAGS, const D3D12_RESOURCE_DESC *,
                                                  D3D12_RESOURCE_STATES, const D3D12_CLEAR_VALUE *, REFIID,
                                                  void **);
static create_method create_really;
static BOOL custom_heaps_fail;
static LONG64 custom_bytes;
static LONG custom_count, upload_count;

static HRESULT STDMETHODCALLTYPE create_counted(ID3D12Device *this, const D3D12_HEAP_PROPERTIES *heap,
                                                D3D12_HEAP_FLAGS flags, const D3D12_RESOURCE_DESC *desc,
                                                D3D12_RESOURCE_STATES state, const D3D12_CLEAR_VALUE *clear,
                                                REFIID iid, void **out) {
    if (custom_heaps_fail && heap->Type == D3D12_HEAP_TYPE_CUSTOM) return E_INVALIDARG;
    HRESULT result = create_really(this, heap, flags, desc, state, clear, iid, out);
    if (SUCCEEDED(result) && heap->Type == D3D12_HEAP_TYPE_CUSTOM) {
        InterlockedIncrement(&custom_count);
        InterlockedExchangeAdd64(&custom_bytes, (LONG64)desc->Width);
    }
    if (SUCCEEDED(result) && heap->Type == D3D12_HEAP_TYPE_UPLOAD) InterlockedIncrement(&upload_count);
    return result;
}

static HRESULT STDMETHODCALLTYPE say_hung(ID3D12Device *this) {
    (void)this;
    return DXGI_ERROR_DEVICE_HUNG;
}

static UINT64 STDMETHODCALLTYPE say_lost(ID3D12Fence *this) {
    (void)this;
    return UINT64_MAX;
}

typedef HRESULT(STDMETHODCALLTYPE *signal_method)(ID3D12CommandQueue *, ID3D12Fence *, UINT64);
typedef HRESULT(STDMETHODCALLTYPE *reason_method)(ID3D12Device *);
static LONG swallowed;

static HRESULT STDMETHODCALLTYPE swallow_signal(ID3D12CommandQueue *this, ID3D12Fence *of, UINT64 value) {
    (void)this, (void)of, (void)value;
    InterlockedIncrement(&swallowed);
    return S_OK;
}

// Known only once something was handed to the driver after the loss.
static HRESULT STDMETHODCALLTYPE say_hung_late(ID3D12Device *this) {
    (void)this;
    return swallowed > 2 ? DXGI_ERROR_DEVICE_HUNG : S_OK;
}

// --- Tests ---------------------------------------------------------------------------------------------

// A fence alone, with no status behind or before it.
static void fill_and_wait(storage_queue *queue, ID3D12Resource *buffer, uint32_t count, uint32_t bytes,
                          ID3D12Fence *told, uint64_t value) {
    for (uint32_t i = 0; i < count; i++) {
        storage_request request = read_to(buffer, (uint64_t)i * bytes, (uint64_t)i * bytes, bytes);
        queue->methods->EnqueueRequest(queue, &request);
    }
    queue->methods->EnqueueSignal(queue, (d3d12_fence *)told, value);
    queue->methods->Submit(queue);
    ok(wait_fence(told, value), "fence %u does not come", (unsigned)value);
}

// No batch stays behind, whatever the GPU is doing when it is filled.
static void bursts_end_by_themselves(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, 1024);
    ID3D12Resource *buffer = make_buffer(FILE_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    ID3D12Fence *told = make_fence();
    storage_status_array *array = make_array(factory, 1);
    for (uint64_t round = 1; round <= 150; round++) {
        uint32_t bytes = 4096u << round % 5;
        fill_and_wait(queue, buffer, 40 + (uint32_t)round, bytes, told, round);
        for (uint32_t i = 0; i < 100; i++) {
            storage_request request = read_to(buffer, i * 65536, i * 65536, 65536);
            queue->methods->EnqueueRequest(queue, &request);
        }
        queue->methods->EnqueueStatus(queue, array, 0);
        queue->methods->Submit(queue);
        ok_hr(wait_status(array, 0, LONG_MS), S_OK);
    }
    uint8_t *bytes = read_buffer(buffer, 100 * 65536);
    ok(!memcmp(bytes, contents, 100 * 65536), "the bytes");
    free(bytes);
    array->methods->Release(array);
    ID3D12Fence_Release(told);
    ID3D12Resource_Release(buffer);
    queue->methods->Release(queue);
}

// Whoever sees the fence may look at the status before it.
static void a_status_before_a_fence_comes_before_it(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ID3D12Resource *buffer = make_buffer(65536, D3D12_HEAP_TYPE_DEFAULT);
    ID3D12Fence *told = make_fence();
    storage_status_array *array = make_array(factory, 1);
    for (uint64_t i = 1; i <= 100; i++) {
        storage_request request = read_to(buffer, 0, i * 4096, 65536);
        queue->methods->EnqueueRequest(queue, &request);
        queue->methods->EnqueueStatus(queue, array, 0);
        queue->methods->EnqueueSignal(queue, (d3d12_fence *)told, i);
        queue->methods->Submit(queue);
        ok(wait_fence(told, i), "fence %u", (unsigned)i);
        ok_hr(array->methods->GetHResult(array, 0), S_OK);
    }
    array->methods->Release(array);
    ID3D12Fence_Release(told);
    ID3D12Resource_Release(buffer);
    queue->methods->Release(queue);
}

// The same of an event. The processor sets it, and the GPU, which has nothing else to do, signals at once.
static void an_event_before_a_fence_is_set_before_it(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ID3D12Resource *buffer = make_buffer(4096, D3D12_HEAP_TYPE_DEFAULT);
    ID3D12Fence *told = make_fence();
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    uint32_t late = 0;
    for (uint64_t i = 1; i <= 2000; i++) {
        storage_request request = read_to(buffer, 0, i * 4096, 4096);
        queue->methods->EnqueueRequest(queue, &request);
        queue->methods->EnqueueSetEvent(queue, event);
        queue->methods->EnqueueSignal(queue, (d3d12_fence *)told, i);
        queue->methods->Submit(queue);
        while (ID3D12Fence_GetCompletedValue(told) < i) {}
        if (WaitForSingleObject(event, 0) == WAIT_OBJECT_0) continue;
        late++;
        ok(WaitForSingleObject(event, LONG_MS) == WAIT_OBJECT_0, "event %u", (unsigned)i);
    }
    ok(!late, "%u of 2000 events were set behind the fence that follows them", late);
    CloseHandle(event);
    ID3D12Fence_Release(told);
    ID3D12Resource_Release(buffer);
    queue->methods->Release(queue);
}

static void a_fence_of_another_device_is_refused(void) {
    ID3D12Device *first = device;
    device = another_device();
    ID3D12Fence *foreign = make_fence();
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    BOOL differs = device != first;
    ID3D12Device_Release(device);
    device = first;
    queue->methods->Release(queue);
    if (!differs) {
        printf("there is one device for all\n");
        ID3D12Fence_Release(foreign);
        return;
    }
    queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    queue->methods->EnqueueSignal(queue, (d3d12_fence *)foreign, 1);
    ok_hr(finish(factory, queue), S_OK);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 1 && record.first_failure.result == E_DSTORAGE_INVALID_FENCE,
       "%u failures, %08lx", record.failure_count, (long)record.first_failure.result);
    ok(ID3D12Fence_GetCompletedValue(foreign) == 0, "it was signalled");
    ID3D12Fence_Release(foreign);
    queue->methods->Release(queue);
}

// Under a person's cap, with a buffer of a title that asks for more. What is made once is used again.
static void memory_stays_below_the_cap(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, 2048);
    ID3D12Resource *buffer = make_buffer(FILE_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    ID3D12Fence *told = make_fence();
    custom_bytes = custom_count = upload_count = 0;
    for (uint64_t round = 1; round <= 20; round++) fill_and_wait(queue, buffer, 1000, 4096, told, round);
    LONG64 warm = custom_bytes;
    ok(warm > 0 && warm <= (LONG64)CAP_BYTES / 2, "%lld bytes of %llu", warm, CAP_BYTES / 2);
    for (uint64_t round = 21; round <= 50; round++) fill_and_wait(queue, buffer, 1000, 4096, told, round);
    for (uint64_t round = 51; round <= 60; round++) fill_and_wait(queue, buffer, 16, 1 << 20, told, round);
    ok(custom_bytes <= (LONG64)CAP_BYTES, "%lld bytes, %ld blocks", custom_bytes, custom_count);
    ok(!upload_count, "%ld upload buffers", upload_count);
    // More than may ever be: it fails, and all goes on.
    ok_hr(run(factory, queue, read_to(buffer, 0, 0, (uint32_t)CAP_BYTES / 2 + 1)),
          E_DSTORAGE_REQUEST_TOO_LARGE);
    ok_hr(run(factory, queue, read_to(buffer, 0, 0, (uint32_t)CAP_BYTES / 2)), S_OK);
    ID3D12Fence_Release(told);
    ID3D12Resource_Release(buffer);
    queue->methods->Release(queue);
}

// Then bytes take one more copy, and arrive.
static void a_device_without_such_memory_is_served(void) {
    Sleep(200); // until what the queues before had is gone
    custom_heaps_fail = TRUE;
    custom_count = upload_count = 0;
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, 1024);
    ID3D12Resource *buffer = make_unknown_buffer(FILE_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    ID3D12Fence *told = make_fence();
    for (uint64_t round = 1; round <= 20; round++) fill_and_wait(queue, buffer, 200, 65536, told, round);
    ok(!custom_count && upload_count > 0, "%ld blocks, %ld upload buffers", custom_count, upload_count);
    custom_heaps_fail = FALSE;
    uint8_t *bytes = read_buffer(buffer, FILE_BYTES);
    ok(!memcmp(bytes, contents, 200 * 65536), "the bytes");
    free(bytes);
    ID3D12Fence_Release(told);
    ID3D12Resource_Release(buffer);
    queue->methods->Release(queue);
}

// Neither a fence nor a reason tells of it, until the driver is given something more.
static void a_device_that_is_lost_in_silence_answers_everything(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ID3D12Resource *buffer = make_buffer(65536, D3D12_HEAP_TYPE_DEFAULT);
    storage_status_array *array = make_array(factory, 1);
    ID3D12Fence *told = make_fence();
    signal_method signal_really = (signal_method)commands->lpVtbl->Signal;
    reason_method reason_really = (reason_method)device->lpVtbl->GetDeviceRemovedReason;
    replace(&commands->lpVtbl->Signal, (void *)swallow_signal);
    replace(&device->lpVtbl->GetDeviceRemovedReason, (void *)say_hung_late);
    storage_request request = read_to(buffer, 0, 0, 65536);
    queue->methods->EnqueueRequest(queue, &request);
    queue->methods->EnqueueStatus(queue, array, 0);
    queue->methods->EnqueueSignal(queue, (d3d12_fence *)told, 1);
    queue->methods->Submit(queue);
    // Other work does not let the pump sleep meanwhile.
    storage_queue *other = make_queue(factory, SOURCE_FILE);
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    for (DWORD start = GetTickCount(); !array->methods->IsComplete(array, 0);) {
        if (GetTickCount() - start > LONG_MS) break;
        other->methods->EnqueueSetEvent(other, event);
        other->methods->Submit(other);
        WaitForSingleObject(event, LONG_MS);
        Sleep(50);
    }
    CloseHandle(event);
    other->methods->Release(other);
    ok_hr(wait_status(array, 0, SHORT_MS), DXGI_ERROR_DEVICE_HUNG);
    ok(wait_fence(told, 1), "the fence behind it never comes");
    ok(swallowed == 3, "%ld signals", swallowed);
    queue->methods->Release(queue);
    ID3D12Fence_Release(told);
    replace(&commands->lpVtbl->Signal, (void *)signal_really);
    replace(&device->lpVtbl->GetDeviceRemovedReason, (void *)reason_really);
    Sleep(500); // the device only says so, and still has the copy
    queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ok_hr(run(factory, queue, request), S_OK);
    queue->methods->Release(queue);
    array->methods->Release(array);
    ID3D12Resource_Release(buffer);
}

// Of a payload that is larger than a batch's memory is as a rule, and no multiple of any alignment.
static void a_payload_behind_a_bad_one_arrives(void) {
    storage_factory *uncapped = factory_or_exit();
    custom_heaps_fail = TRUE;
    storage_queue *queue = make_device_queue(uncapped, SOURCE_MEMORY, CAPACITY);
    storage_status_array *array = make_array(uncapped, 2);
    const D3D12_RESOURCE_DESC desc = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 2050, 1050, 1, 1);
    struct layout layout = layout_of(&desc, 0, 1);
    uint32_t bytes = (uint32_t)layout.bytes, pitch = layout.footprints[0].Footprint.RowPitch, wrong = 0;
    uint8_t *torn = VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_NOACCESS);
    if (!VirtualAlloc(torn, bytes / 2, MEM_COMMIT, PAGE_READWRITE)) exit(1);
    ID3D12Resource *texture = make_texture(&desc, 1);
    const uint8_t all = DESTINATION_MULTIPLE_SUBRESOURCES;
    storage_request both[] = {to_texture(copy_request(torn, NULL, bytes), texture, all),
                              to_texture(copy_request(contents, NULL, bytes), texture, all)};
    for (uint32_t i = 0; i < 2; i++) {
        queue->methods->EnqueueRequest(queue, &both[i]);
        queue->methods->EnqueueStatus(queue, array, i);
    }
    queue->methods->Submit(queue);
    ok_hr(wait_status(array, 0, LONG_MS), E_DSTORAGE_ACCESS_VIOLATION);
    ok_hr(wait_status(array, 1, LONG_MS), S_OK);
    uint8_t *found = read_texture(texture, &desc, 1);
    for (uint32_t row = 0; row < layout.rows[0]; row++)
        wrong += !!memcmp(found + row * pitch, contents + row * pitch, layout.row_bytes[0]);
    ok(!wrong, "%u rows are wrong", wrong);
    free(found);
    custom_heaps_fail = FALSE;
    VirtualFree(torn, 0, MEM_RELEASE);
    ID3D12Resource_Release(texture);
    array->methods->Release(array);
    queue->methods->Release(queue);
    uncapped->methods->Release(uncapped);
}

// A request that an application fetches and never answers holds what it needs for ever; the engine that comes
// then has nothing of it.
static void an_engine_leaves_what_the_one_before_had(void) {
    storage_factory *old = factory_or_exit();
    file = open_file(old, L"data");
    storage_queue *queue = make_device_queue(old, SOURCE_FILE, CAPACITY);
    ID3D12Resource *buffer = make_buffer(65536, D3D12_HEAP_TYPE_DEFAULT);
    storage_custom_queue *custom;
    must(old->methods->QueryInterface(old, &IID_CUSTOM_QUEUE, (void **)&custom));
    storage_request request = read_to(buffer, 0, 0, 1000);
    request.options.compression_format = COMPRESSION_CUSTOM_0;
    queue->methods->EnqueueRequest(queue, &request);
    queue->methods->Submit(queue);
    storage_custom_request found;
    uint32_t count = 0;
    for (DWORD start = GetTickCount(); !count && GetTickCount() - start < LONG_MS; Sleep(1))
        custom->methods->GetRequests(custom, 1, &found, &count);
    ok(count == 1, "no custom request");
    custom->methods->Release(custom);
    queue->methods->Release(queue);
    old->methods->Release(old);
    storage_factory *fresh = factory_or_exit();
    queue = make_device_queue(fresh, SOURCE_FILE, CAPACITY);
    ok_hr(run(fresh, queue, read_to(buffer, 0, 0, 65536)), S_OK);
    uint8_t *bytes = read_buffer(buffer, 65536);
    ok(!memcmp(bytes, contents, 65536), "the bytes");
    free(bytes);
    queue->methods->Release(queue);
    fresh->methods->Release(fresh);
    file->methods->Release(file);
    ID3D12Resource_Release(buffer);
}

// Last: after it nothing works any more. All ends with the reason.
static void a_device_that_is_removed_answers_everything(void) {
    storage_queue *queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ID3D12Resource *buffer = make_buffer(FILE_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    ID3D12Fence *told = make_fence();
    storage_status_array *array = make_array(factory, 2);
    replace(&device->lpVtbl->GetDeviceRemovedReason, (void *)say_hung);
    replace(&told->lpVtbl->GetCompletedValue, (void *)say_lost);
    for (uint32_t index = 0; index < 2; index++) {
        for (uint32_t i = 0; i < 50; i++) {
            storage_request request = read_to(buffer, i * 65536, i * 65536, 65536);
            queue->methods->EnqueueRequest(queue, &request);
        }
        queue->methods->EnqueueSignal(queue, (d3d12_fence *)told, index + 1);
        queue->methods->EnqueueStatus(queue, array, index);
        queue->methods->Submit(queue);
        ok_hr(wait_status(array, index, LONG_MS), DXGI_ERROR_DEVICE_HUNG);
    }
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 100 && record.first_failure.result == DXGI_ERROR_DEVICE_HUNG,
       "%u failures, %08lx", record.failure_count, (long)record.first_failure.result);
    // Memory is no matter of the device's.
    uint8_t to[100] = {0};
    ok_hr(run(factory, queue, read_request(file, 5, to, sizeof to)), S_OK);
    ok(!memcmp(to, contents + 5, sizeof to), "the bytes in memory");
    array->methods->Release(array);
    queue->methods->Release(queue);
    Sleep(500); // the device only says so, and still has the copies
    ID3D12Resource_Release(buffer);
}

// For engines that are made from now on.
static void cap_memory(void) {
    char config[256] = "", capped[320];
    GetEnvironmentVariableA("DS_CONFIG", config, sizeof config);
    snprintf(capped, sizeof capped, "%s%sstaging_mib_max=%d", config, config[0] ? "," : "", CAP_MIB);
    SetEnvironmentVariableA("DS_CONFIG", capped);
}

int main(void) {
    load_dll();
    if (!ours) {
        printf("SKIPPED: these are ways of our own\n");
        return EXIT_SKIPPED;
    }
    make_device();
    create_really = (create_method)device->lpVtbl->CreateCommittedResource;
    replace(&device->lpVtbl->CreateCommittedResource, (void *)create_counted);
    contents = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i++) contents[i] = pattern(i) ^ (uint8_t)(i >> 16);
    FILE *out = _wfopen(L"data", L"wb");
    if (!out || fwrite(contents, 1, FILE_BYTES, out) != FILE_BYTES || fclose(out)) exit(1);
    a_payload_behind_a_bad_one_arrives();
    an_engine_leaves_what_the_one_before_had();
    cap_memory();
    factory = factory_or_exit();
    factory->methods->SetStagingBufferSize(factory, 1u << 30);
    file = open_file(factory, L"data");
    memory_stays_below_the_cap();
    bursts_end_by_themselves();
    a_status_before_a_fence_comes_before_it();
    an_event_before_a_fence_is_set_before_it();
    a_fence_of_another_device_is_refused();
    a_device_without_such_memory_is_served();
    a_device_that_is_lost_in_silence_answers_everything();
    a_device_that_is_removed_answers_everything();
    file->methods->Release(file);
    factory->methods->Release(factory);
    // The device stays: a request that was fetched and never given back holds on to it.
    return finish_tests();
}
