// d3d12.h: a D3D12 device for test programs, resources, and what they hold.
//
// Without a device the program is skipped. Everything is read back by the direct queue of this file, so that
// states are what D3D12 says they are after DirectStorage: COMMON.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef TEST_D3D12_H
#define TEST_D3D12_H

#define COBJMACROS
#define WIDL_EXPLICIT_AGGREGATE_RETURNS
#include <initguid.h>

#include "test.h"

#include <d3d12.h>

static ID3D12Device *device;
static ID3D12CommandQueue *commands;
static ID3D12Fence *fence;
static uint64_t fence_value;

// A failure here is the machine's, and the end.
#define must(call)                                                                                         \
    do {                                                                                                   \
        HRESULT got_ = (call);                                                                             \
        if (FAILED(got_)) {                                                                                \
            printf("%s: %08lx\n", #call, (long)got_);                                                      \
            exit(1);                                                                                       \
        }                                                                                                  \
    } while (0)

static inline ID3D12Device *another_device(void) {
    HMODULE d3d12 = LoadLibraryW(L"d3d12.dll");
    PFN_D3D12_CREATE_DEVICE create = d3d12 ? (void *)GetProcAddress(d3d12, "D3D12CreateDevice") : NULL;
    ID3D12Device *made = NULL;
    HRESULT result =
        create ? create(NULL, D3D_FEATURE_LEVEL_11_0, &IID_ID3D12Device, (void **)&made) : E_NOTIMPL;
    if (FAILED(result)) {
        printf("SKIPPED: there is no D3D12 device: %08lx\n", (long)result);
        exit(EXIT_SKIPPED);
    }
    return made;
}

static inline ID3D12Fence *make_fence(void) {
    ID3D12Fence *made;
    must(ID3D12Device_CreateFence(device, 0, D3D12_FENCE_FLAG_NONE, &IID_ID3D12Fence, (void **)&made));
    return made;
}

// Microsoft's DLL asks a device for more than some d3d12s of Wine offer, and then makes no queue with it.
static inline void skip_without_queues(void) {
    storage_queue_desc desc = {.capacity = CAPACITY, .device = (IUnknown *)device};
    storage_factory *factory;
    storage_queue *queue;
    must(get_factory(&IID_FACTORY, (void **)&factory));
    HRESULT result = factory->methods->CreateQueue(factory, &desc, &IID_QUEUE, (void **)&queue);
    if (FAILED(result)) {
        printf("SKIPPED: Microsoft's DLL makes no queue with this D3D12 device: %08lx\n", (long)result);
        exit(EXIT_SKIPPED);
    }
    queue->methods->Release(queue);
    factory->methods->Release(factory);
}

static inline void make_device(void) {
    device = another_device();
    if (!ours) skip_without_queues();
    D3D12_COMMAND_QUEUE_DESC desc = {.Type = D3D12_COMMAND_LIST_TYPE_DIRECT};
    must(ID3D12Device_CreateCommandQueue(device, &desc, &IID_ID3D12CommandQueue, (void **)&commands));
    fence = make_fence();
}

// Gives the device back, and ends as finish_tests() does: what still holds on to it was forgotten by someone.
static inline int finish_d3d12_tests(void) {
    ID3D12Fence_Release(fence);
    ID3D12CommandQueue_Release(commands);
    ULONG left = ID3D12Device_Release(device);
    ok(!left, "%lu references to the device are left", left);
    return finish_tests();
}

// Whether the fence came in time.
static inline BOOL wait_fence(ID3D12Fence *of, uint64_t value) {
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    must(ID3D12Fence_SetEventOnCompletion(of, value, event));
    DWORD result = WaitForSingleObject(event, LONG_MS);
    CloseHandle(event);
    return result == WAIT_OBJECT_0 && ID3D12Fence_GetCompletedValue(of) >= value;
}

static inline ID3D12Resource *make_resource(const D3D12_RESOURCE_DESC *desc, D3D12_HEAP_TYPE type,
                                            D3D12_RESOURCE_STATES state) {
    D3D12_HEAP_PROPERTIES heap = {.Type = type};
    ID3D12Resource *made;
    must(ID3D12Device_CreateCommittedResource(device, &heap, D3D12_HEAP_FLAG_NONE, desc, state, NULL,
                                              &IID_ID3D12Resource, (void **)&made));
    return made;
}

struct recording {
    ID3D12CommandAllocator *allocator;
    ID3D12GraphicsCommandList *list;
};

static inline struct recording begin_commands(void) {
    struct recording made;
    D3D12_COMMAND_LIST_TYPE type = D3D12_COMMAND_LIST_TYPE_DIRECT;
    must(ID3D12Device_CreateCommandAllocator(device, type, &IID_ID3D12CommandAllocator,
                                             (void **)&made.allocator));
    must(ID3D12Device_CreateCommandList(device, 0, type, made.allocator, NULL,
                                        &IID_ID3D12GraphicsCommandList, (void **)&made.list));
    return made;
}

static inline void run_commands(struct recording recording) {
    must(ID3D12GraphicsCommandList_Close(recording.list));
    ID3D12CommandList *lists[] = {(ID3D12CommandList *)recording.list};
    ID3D12CommandQueue_ExecuteCommandLists(commands, 1, lists);
    must(ID3D12CommandQueue_Signal(commands, fence, ++fence_value));
    ok(wait_fence(fence, fence_value), "the direct queue does not end");
    ID3D12GraphicsCommandList_Release(recording.list);
    ID3D12CommandAllocator_Release(recording.allocator);
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

static inline D3D12_RESOURCE_DESC buffer_desc(uint64_t bytes) {
    return (D3D12_RESOURCE_DESC){.Dimension = D3D12_RESOURCE_DIMENSION_BUFFER,
                                 .Width = bytes,
                                 .Height = 1,
                                 .DepthOrArraySize = 1,
                                 .MipLevels = 1,
                                 .SampleDesc = {.Count = 1},
                                 .Layout = D3D12_TEXTURE_LAYOUT_ROW_MAJOR};
}

static inline ID3D12Resource *make_unknown_buffer(uint64_t bytes, D3D12_HEAP_TYPE type) {
    D3D12_RESOURCE_DESC desc = buffer_desc(bytes);
    D3D12_RESOURCE_STATES state = D3D12_RESOURCE_STATE_COMMON;
    if (type == D3D12_HEAP_TYPE_UPLOAD) state = D3D12_RESOURCE_STATE_GENERIC_READ;
    if (type == D3D12_HEAP_TYPE_READBACK) state = D3D12_RESOURCE_STATE_COPY_DEST;
    return make_resource(&desc, type, state);
}

// Buffers need not be zero when they are made. Those of the default heap are filled here.
static inline ID3D12Resource *make_buffer(uint64_t bytes, D3D12_HEAP_TYPE type) {
    ID3D12Resource *made = make_unknown_buffer(bytes, type);
    if (type != D3D12_HEAP_TYPE_DEFAULT) return made;
    ID3D12Resource *zeros = make_unknown_buffer(bytes, D3D12_HEAP_TYPE_UPLOAD);
    void *mapped;
    must(ID3D12Resource_Map(zeros, 0, NULL, &mapped));
    memset(mapped, 0, bytes);
    ID3D12Resource_Unmap(zeros, 0, NULL);
    struct recording recording = begin_commands();
    ID3D12GraphicsCommandList_CopyBufferRegion(recording.list, made, 0, zeros, 0, bytes);
    run_commands(recording);
    ID3D12Resource_Release(zeros);
    return made;
}

static inline void take_bytes(ID3D12Resource *readback, uint64_t bytes, uint8_t *out) {
    void *mapped;
    D3D12_RANGE nothing_written = {0, 0};
    must(ID3D12Resource_Map(readback, 0, NULL, &mapped));
    memcpy(out, mapped, bytes);
    ID3D12Resource_Unmap(readback, 0, &nothing_written);
    ID3D12Resource_Release(readback);
}

// What the buffer holds; to be freed.
static inline uint8_t *read_buffer(ID3D12Resource *buffer, uint64_t bytes) {
    ID3D12Resource *readback = make_buffer(bytes, D3D12_HEAP_TYPE_READBACK);
    struct recording recording = begin_commands();
    D3D12_RESOURCE_STATES source = D3D12_RESOURCE_STATE_COPY_SOURCE;
    change(recording.list, buffer, D3D12_RESOURCE_STATE_COMMON, source);
    ID3D12GraphicsCommandList_CopyBufferRegion(recording.list, readback, 0, buffer, 0, bytes);
    change(recording.list, buffer, source, D3D12_RESOURCE_STATE_COMMON);
    run_commands(recording);
    uint8_t *out = malloc(bytes);
    take_bytes(readback, bytes, out);
    return out;
}

static inline storage_queue *make_device_queue(storage_factory *factory, uint64_t source_type,
                                               uint16_t capacity) {
    storage_queue_desc desc = {.source_type = source_type,
                               .capacity = capacity,
                               .name = "device",
                               .device = (IUnknown *)device};
    storage_queue *queue = NULL;
    ok_hr(factory->methods->CreateQueue(factory, &desc, &IID_QUEUE3, (void **)&queue), S_OK);
    return queue;
}

static inline storage_request to_buffer(storage_request request, ID3D12Resource *buffer, uint64_t offset,
                                        uint32_t bytes) {
    request.options.types = REQUEST_TYPES(request.options.types & 1, DESTINATION_BUFFER);
    request.destination = (storage_destination){0};
    request.destination.buffer.resource = (IUnknown *)buffer;
    request.destination.buffer.offset = offset;
    request.destination.buffer.size = bytes;
    return request;
}

#endif // TEST_D3D12_H
