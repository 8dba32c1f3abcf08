// sample.h: what both samples begin with: a dstorage.dll, a Direct3D 12 device, and clear words if one of
// them is missing.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef SAMPLE_H
#define SAMPLE_H

#define COBJMACROS
#define WIDL_EXPLICIT_AGGREGATE_RETURNS
#include <initguid.h>

#define STORAGE_IIDS
#include "../../wine-glue/include/dstorage.h"

#include <d3d12.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The exit status: 0 if all went well.
enum { EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_MISSING = 4 };

static ID3D12Device *device;
static ID3D12CommandQueue *commands;
static storage_factory *factory;

__attribute__((format(printf, 2, 3), noreturn)) static inline void end(int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    exit(status);
}

// A game would show the message, and go on without.
static inline void check(HRESULT result, const char *what) {
    if (FAILED(result)) end(EXIT_WRONG, "%s failed: %08lx", what, (unsigned long)result);
}

static inline double seconds(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

static inline void open_storage(void) {
    HMODULE dll = LoadLibraryW(L"dstorage.dll");
    if (!dll)
        end(EXIT_MISSING,
            "There is no dstorage.dll for this program (error %lu).\n"
            "Install it with setup.sh, and start this with the variable WINEDLLPATH that it names.",
            GetLastError());
    HRESULT(WINAPI * get_factory)(REFIID, void **) = (void *)GetProcAddress(dll, "DStorageGetFactory");
    if (!get_factory) end(EXIT_MISSING, "This dstorage.dll has no DStorageGetFactory.");
    HRESULT result = get_factory(&IID_FACTORY, (void **)&factory);
    if (FAILED(result))
        end(EXIT_MISSING,
            "dstorage.dll does not work here (%08lx). Is WINEDLLPATH set, to the folder that setup.sh named?",
            (unsigned long)result);
}

static inline void open_device(void) {
    HMODULE dll = LoadLibraryW(L"d3d12.dll");
    PFN_D3D12_CREATE_DEVICE create = dll ? (void *)GetProcAddress(dll, "D3D12CreateDevice") : NULL;
    if (!create) end(EXIT_MISSING, "There is no d3d12.dll here.");
    HRESULT result = create(NULL, D3D_FEATURE_LEVEL_11_0, &IID_ID3D12Device, (void **)&device);
    if (FAILED(result))
        end(EXIT_MISSING,
            "There is no Direct3D 12 device here (%08lx).\n"
            "Wine needs a Vulkan driver for it (Debian: mesa-vulkan-drivers), and a display: where there is\n"
            "none, start this with xvfb-run, once a Wine that began without has ended.",
            (unsigned long)result);
    D3D12_COMMAND_QUEUE_DESC desc = {.Type = D3D12_COMMAND_LIST_TYPE_DIRECT};
    check(ID3D12Device_CreateCommandQueue(device, &desc, &IID_ID3D12CommandQueue, (void **)&commands),
          "CreateCommandQueue");
}

// A queue that reads files for our device.
static inline storage_queue *open_queue(const char *name) {
    storage_queue_desc desc = {
        .source_type = SOURCE_FILE, .capacity = 128, .name = name, .device = (IUnknown *)device};
    storage_queue *queue = NULL;
    check(factory->methods->CreateQueue(factory, &desc, &IID_QUEUE1, (void **)&queue), "CreateQueue");
    return queue;
}

static inline ID3D12Fence *make_fence(void) {
    ID3D12Fence *fence;
    check(ID3D12Device_CreateFence(device, 0, D3D12_FENCE_FLAG_NONE, &IID_ID3D12Fence, (void **)&fence),
          "CreateFence");
    return fence;
}

static inline void wait_for(ID3D12Fence *fence, uint64_t value) {
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    check(ID3D12Fence_SetEventOnCompletion(fence, value, event), "SetEventOnCompletion");
    WaitForSingleObject(event, INFINITE);
    CloseHandle(event);
}

// DirectStorage wants its resources in the state COMMON, and leaves them there.
static inline ID3D12Resource *make_resource(const D3D12_RESOURCE_DESC *desc, D3D12_HEAP_TYPE heap) {
    D3D12_HEAP_PROPERTIES properties = {.Type = heap};
    D3D12_RESOURCE_STATES state =
        heap == D3D12_HEAP_TYPE_READBACK ? D3D12_RESOURCE_STATE_COPY_DEST : D3D12_RESOURCE_STATE_COMMON;
    ID3D12Resource *made;
    check(ID3D12Device_CreateCommittedResource(device, &properties, D3D12_HEAP_FLAG_NONE, desc, state, NULL,
                                               &IID_ID3D12Resource, (void **)&made),
          "CreateCommittedResource");
    return made;
}

static inline ID3D12Resource *make_buffer(uint64_t bytes, D3D12_HEAP_TYPE heap) {
    D3D12_RESOURCE_DESC desc = {.Dimension = D3D12_RESOURCE_DIMENSION_BUFFER,
                                .Width = bytes,
                                .Height = 1,
                                .DepthOrArraySize = 1,
                                .MipLevels = 1,
                                .SampleDesc = {.Count = 1},
                                .Layout = D3D12_TEXTURE_LAYOUT_ROW_MAJOR};
    return make_resource(&desc, heap);
}

static inline void change(ID3D12GraphicsCommandList *list, ID3D12Resource *resource,
                          D3D12_RESOURCE_STATES from, D3D12_RESOURCE_STATES to) {
    D3D12_RESOURCE_BARRIER barrier = {.Type = D3D12_RESOURCE_BARRIER_TYPE_TRANSITION};
    barrier.Transition.pResource = resource;
    barrier.Transition.Subresource = D3D12_RESOURCE_BARRIER_ALL_SUBRESOURCES;
    barrier.Transition.StateBefore = from;
    barrier.Transition.StateAfter = to;
    ID3D12GraphicsCommandList_ResourceBarrier(list, 1, &barrier);
}

// Commands for the GPU, and where they are kept.
struct recording {
    ID3D12CommandAllocator *allocator;
    ID3D12GraphicsCommandList *list;
};

static inline struct recording begin_commands(void) {
    const D3D12_COMMAND_LIST_TYPE type = D3D12_COMMAND_LIST_TYPE_DIRECT;
    struct recording made;
    check(ID3D12Device_CreateCommandAllocator(device, type, &IID_ID3D12CommandAllocator,
                                              (void **)&made.allocator),
          "CreateCommandAllocator");
    check(ID3D12Device_CreateCommandList(device, 0, type, made.allocator, NULL,
                                         &IID_ID3D12GraphicsCommandList, (void **)&made.list),
          "CreateCommandList");
    return made;
}

// Has the GPU run them and waits until it is done.
static inline void run_commands(struct recording recording) {
    check(ID3D12GraphicsCommandList_Close(recording.list), "Close");
    ID3D12CommandList *lists[] = {(ID3D12CommandList *)recording.list};
    ID3D12CommandQueue_ExecuteCommandLists(commands, 1, lists);
    ID3D12Fence *done = make_fence();
    check(ID3D12CommandQueue_Signal(commands, done, 1), "Signal");
    wait_for(done, 1);
    ID3D12Fence_Release(done);
    ID3D12GraphicsCommandList_Release(recording.list);
    ID3D12CommandAllocator_Release(recording.allocator);
}

// Whether everything that was enqueued before the status succeeded; says which request did not.
static inline BOOL all_is_well(storage_queue *queue, storage_status_array *status) {
    while (!status->methods->IsComplete(status, 0)) Sleep(1);
    if (SUCCEEDED(status->methods->GetHResult(status, 0))) return TRUE;
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    printf("%u requests failed, the first, \"%s\", with %08lx.\n", record.failure_count,
           record.first_failure.request.request_name, (unsigned long)record.first_failure.result);
    return FALSE;
}

static inline storage_status_array *make_status(void) {
    storage_status_array *status = NULL;
    check(factory->methods->CreateStatusArray(factory, 1, "status", &IID_STATUS_ARRAY, (void **)&status),
          "CreateStatusArray");
    return status;
}

#endif // SAMPLE_H
