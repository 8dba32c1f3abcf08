// blocks.c: memory that the engine's threads fill and the GPU copies from.
//
// A block is a buffer in a custom heap of system memory with a write-back cache, mapped for as long as it
// lives: for the processor ordinary memory, in which the engine reads, decodes and reads again. Memory of
// D3D12's upload heaps would be right as well, but is often write-combined: what is read from there comes
// slowly, and a decoder reads its own output all the time.
//
// The engine says how much there is: it asks for blocks when requests need them and gives them back when they
// are idle. The pump makes and frees them.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "upload.h"

#include <stdlib.h>

// The engine's page, of which blocks are made.
#define PAGE_BYTES 4096
// D3D12_HEAP_FLAG_CREATE_NOT_ZEROED, which mingw-w64 may not declare, nor an older d3d12 take.
#define HEAP_NOT_ZEROED ((D3D12_HEAP_FLAGS)0x1000)

HRESULT memory_make(ID3D12Device *device, const D3D12_HEAP_PROPERTIES *heap, uint64_t bytes,
                    ID3D12Resource **memory, uint8_t **mapped) {
    D3D12_RESOURCE_DESC desc = {.Dimension = D3D12_RESOURCE_DIMENSION_BUFFER,
                                .Width = bytes,
                                .Height = 1,
                                .DepthOrArraySize = 1,
                                .MipLevels = 1,
                                .SampleDesc = {.Count = 1},
                                .Layout = D3D12_TEXTURE_LAYOUT_ROW_MAJOR};
    // Upload heaps have this state for ever; buffers of others are promoted by their first use.
    D3D12_RESOURCE_STATES state = heap->Type == D3D12_HEAP_TYPE_UPLOAD ? D3D12_RESOURCE_STATE_GENERIC_READ
                                                                       : D3D12_RESOURCE_STATE_COMMON;
    // To fill it with zeros takes milliseconds, and everything here is written before it is read.
    HRESULT result = ID3D12Device_CreateCommittedResource(device, heap, HEAP_NOT_ZEROED, &desc, state, NULL,
                                                          &IID_ID3D12Resource, (void **)memory);
    if (FAILED(result))
        result = ID3D12Device_CreateCommittedResource(device, heap, D3D12_HEAP_FLAG_NONE, &desc, state, NULL,
                                                      &IID_ID3D12Resource, (void **)memory);
    if (FAILED(result)) {
        *memory = NULL;
        return result;
    }
    D3D12_RANGE nothing_read = {0, 0};
    result = ID3D12Resource_Map(*memory, 0, &nothing_read, (void **)mapped);
    if (FAILED(result)) {
        ID3D12Resource_Release(*memory);
        *memory = NULL;
    }
    return result;
}

HRESULT block_make(ID3D12Device *device, struct uploader *uploader, uint64_t bytes, struct block **out) {
    D3D12_HEAP_PROPERTIES heap = {.Type = D3D12_HEAP_TYPE_CUSTOM,
                                  .CPUPageProperty = D3D12_CPU_PAGE_PROPERTY_WRITE_BACK,
                                  .MemoryPoolPreference = D3D12_MEMORY_POOL_L0};
    struct block *block = *out = calloc(1, sizeof *block);
    if (!block) return E_OUTOFMEMORY;
    block->bytes = bytes;
    HRESULT result = memory_make(device, &heap, bytes, &block->memory, &block->mapped);
    if (SUCCEEDED(result) && (uintptr_t)block->mapped % PAGE_BYTES) {
        ID3D12Resource_Release(block->memory);
        result = E_NOTIMPL;
    }
    if (FAILED(result)) {
        free(block);
        *out = NULL;
        return result;
    }
    block->uploader = uploader;
    if (uploader) uploader_hold(uploader);
    return S_OK;
}

void block_free(struct block *block) {
    if (!block) return;
    ID3D12Resource_Release(block->memory);
    if (block->uploader) uploader_let_go(block->uploader);
    free(block);
}
