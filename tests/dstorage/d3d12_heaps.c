// d3d12_heaps.c: destinations in every kind of heap, and in several devices.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "d3d12_texture.h"

#define FILE_BYTES (2u << 20)
#define BUFFER_BYTES 200000

static storage_factory *factory;
static storage_file *file;
static storage_queue *queue;

static storage_request bytes_of(ID3D12Resource *resource, uint64_t at, uint64_t offset, uint32_t bytes) {
    return to_buffer(read_request(file, offset, NULL, bytes), resource, at, bytes);
}

// What the processor can read is there when the status says so.
static void expect_mapped(const char *what, ID3D12Resource *buffer) {
    void *mapped;
    ok_hr(run(factory, queue, bytes_of(buffer, 100, 7, BUFFER_BYTES - 100)), S_OK);
    must(ID3D12Resource_Map(buffer, 0, NULL, &mapped));
    ok(has_pattern((uint8_t *)mapped + 100, 7, BUFFER_BYTES - 100), "%s", what);
    ID3D12Resource_Unmap(buffer, 0, NULL);
}

static void readback_heaps_are_filled(void) {
    ID3D12Resource *buffer = make_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_READBACK);
    expect_mapped("a readback heap", buffer);
    ID3D12Resource_Release(buffer);
}

static void custom_heaps_are_filled(void) {
    D3D12_HEAP_PROPERTIES heap = {.Type = D3D12_HEAP_TYPE_CUSTOM,
                                  .CPUPageProperty = D3D12_CPU_PAGE_PROPERTY_WRITE_BACK,
                                  .MemoryPoolPreference = D3D12_MEMORY_POOL_L0};
    D3D12_RESOURCE_DESC desc = buffer_desc(BUFFER_BYTES);
    ID3D12Resource *buffer;
    must(ID3D12Device_CreateCommittedResource(device, &heap, D3D12_HEAP_FLAG_NONE, &desc,
                                              D3D12_RESOURCE_STATE_COMMON, NULL, &IID_ID3D12Resource,
                                              (void **)&buffer));
    expect_mapped("a custom heap", buffer);
    ID3D12Resource_Release(buffer);
}

static ID3D12Resource *place_in(ID3D12Heap *heap, uint64_t at, const D3D12_RESOURCE_DESC *desc) {
    ID3D12Resource *made;
    must(ID3D12Device_CreatePlacedResource(device, heap, at, desc, D3D12_RESOURCE_STATE_COMMON, NULL,
                                           &IID_ID3D12Resource, (void **)&made));
    return made;
}

static ID3D12Heap *make_heap(uint64_t bytes, D3D12_HEAP_FLAGS flags) {
    D3D12_HEAP_DESC desc = {
        .SizeInBytes = bytes, .Properties = {.Type = D3D12_HEAP_TYPE_DEFAULT}, .Flags = flags};
    ID3D12Heap *made;
    must(ID3D12Device_CreateHeap(device, &desc, &IID_ID3D12Heap, (void **)&made));
    return made;
}

// Two in one heap: the other keeps its bytes.
static void placed_buffers_are_filled(void) {
    const uint64_t apart = 4 * 65536;
    ID3D12Heap *heap = make_heap(2 * apart, D3D12_HEAP_FLAG_ALLOW_ONLY_BUFFERS);
    D3D12_RESOURCE_DESC desc = buffer_desc(BUFFER_BYTES);
    ID3D12Resource *both[] = {place_in(heap, 0, &desc), place_in(heap, apart, &desc)};
    ok_hr(run(factory, queue, bytes_of(both[0], 0, 1, BUFFER_BYTES)), S_OK);
    ok_hr(run(factory, queue, bytes_of(both[1], 0, 5000, BUFFER_BYTES)), S_OK);
    for (int i = 0; i < 2; i++) {
        uint8_t *bytes = read_buffer(both[i], BUFFER_BYTES);
        ok(has_pattern(bytes, i ? 5000 : 1, BUFFER_BYTES), "placed buffer %d", i);
        free(bytes);
        ID3D12Resource_Release(both[i]);
    }
    ID3D12Heap_Release(heap);
}

static void placed_textures_are_filled(void) {
    D3D12_RESOURCE_DESC desc = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 128, 100, 1, 1);
    D3D12_RESOURCE_ALLOCATION_INFO info;
    device->lpVtbl->GetResourceAllocationInfo(device, &info, 0, 1, &desc);
    ID3D12Heap *heap =
        make_heap(2 * info.SizeInBytes, D3D12_HEAP_FLAG_ALLOW_ONLY_NON_RT_DS_TEXTURES);
    ID3D12Resource *texture = place_in(heap, info.SizeInBytes, &desc);
    fill_texture(texture, &desc, 1);
    struct layout layout = layout_of(&desc, 0, 1);
    storage_request request = read_request(file, 3, NULL, (uint32_t)layout.bytes);
    ok_hr(run(factory, queue, to_texture(request, texture, DESTINATION_MULTIPLE_SUBRESOURCES)), S_OK);
    uint8_t *bytes = read_texture(texture, &desc, 1);
    uint32_t wrong = wrong_rows_of(bytes, &layout, 0, 3);
    ok(!wrong, "%u rows are wrong", wrong);
    free(bytes);
    ID3D12Resource_Release(texture);
    ID3D12Heap_Release(heap);
}

// One queue a device, at the same time. Where a process has one device only, both queues are its.
static void several_devices_are_filled(void) {
    ID3D12Device *first = device, *second = another_device();
    device = second;
    storage_queue *other = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    ID3D12Resource *there = make_unknown_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_READBACK);
    device = first;
    ID3D12Resource *here = make_unknown_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_READBACK);
    for (uint32_t i = 0; i < 100; i++) {
        storage_request one = bytes_of(here, i * 2000, i * 2000, 2000);
        storage_request two = bytes_of(there, i * 2000, i * 2000 + 9, 2000);
        queue->methods->EnqueueRequest(queue, &one);
        other->methods->EnqueueRequest(other, &two);
    }
    ok_hr(finish(factory, queue), S_OK);
    ok_hr(finish(factory, other), S_OK);
    void *mapped;
    must(ID3D12Resource_Map(here, 0, NULL, &mapped));
    ok(has_pattern(mapped, 0, BUFFER_BYTES), "the first device's");
    must(ID3D12Resource_Map(there, 0, NULL, &mapped));
    ok(has_pattern(mapped, 9, BUFFER_BYTES), "the second device's");
    other->methods->Release(other);
    ID3D12Resource_Release(here);
    ID3D12Resource_Release(there);
    ID3D12Device_Release(second);
}

int main(void) {
    load_dll();
    make_device();
    make_file(L"data", FILE_BYTES);
    factory = factory_or_exit();
    file = open_file(factory, L"data");
    queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    readback_heaps_are_filled();
    custom_heaps_are_filled();
    placed_buffers_are_filled();
    placed_textures_are_filled();
    several_devices_are_filled();
    queue->methods->Release(queue);
    file->methods->Release(file);
    factory->methods->Release(factory);
    return finish_d3d12_tests();
}
