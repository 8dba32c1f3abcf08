// d3d12_texture.h: textures for test programs, filled and read back by their footprints.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef TEST_D3D12_TEXTURE_H
#define TEST_D3D12_TEXTURE_H

#include "d3d12.h"

#define SUBRESOURCES_MAX 32

static inline D3D12_RESOURCE_DESC texture_2d(DXGI_FORMAT format, uint32_t width, uint32_t height,
                                             uint16_t slices, uint16_t levels) {
    return (D3D12_RESOURCE_DESC){.Dimension = D3D12_RESOURCE_DIMENSION_TEXTURE2D,
                                 .Width = width,
                                 .Height = height,
                                 .DepthOrArraySize = slices,
                                 .MipLevels = levels,
                                 .Format = format,
                                 .SampleDesc = {.Count = 1}};
}

struct layout {
    D3D12_PLACED_SUBRESOURCE_FOOTPRINT footprints[SUBRESOURCES_MAX];
    UINT rows[SUBRESOURCES_MAX];
    UINT64 row_bytes[SUBRESOURCES_MAX];
    UINT64 bytes;
};

static inline struct layout layout_of(const D3D12_RESOURCE_DESC *desc, uint32_t first, uint32_t count) {
    struct layout made;
    ID3D12Device_GetCopyableFootprints(device, desc, first, count, 0, made.footprints, made.rows,
                                       made.row_bytes, &made.bytes);
    return made;
}

// Makes all bytes of a texture 0x55.
static inline void fill_texture(ID3D12Resource *made, const D3D12_RESOURCE_DESC *desc, uint32_t count) {
    struct layout layout = layout_of(desc, 0, count);
    ID3D12Resource *fill = make_buffer(layout.bytes, D3D12_HEAP_TYPE_UPLOAD);
    void *mapped;
    must(ID3D12Resource_Map(fill, 0, NULL, &mapped));
    memset(mapped, 0x55, layout.bytes);
    ID3D12Resource_Unmap(fill, 0, NULL);
    struct recording recording = begin_commands();
    change(recording.list, made, D3D12_RESOURCE_STATE_COMMON, D3D12_RESOURCE_STATE_COPY_DEST);
    for (uint32_t i = 0; i < count; i++) {
        D3D12_TEXTURE_COPY_LOCATION to = {.pResource = made,
                                          .Type = D3D12_TEXTURE_COPY_TYPE_SUBRESOURCE_INDEX,
                                          .SubresourceIndex = i};
        D3D12_TEXTURE_COPY_LOCATION from = {.pResource = fill,
                                            .Type = D3D12_TEXTURE_COPY_TYPE_PLACED_FOOTPRINT,
                                            .PlacedFootprint = layout.footprints[i]};
        ID3D12GraphicsCommandList_CopyTextureRegion(recording.list, &to, 0, 0, 0, &from, NULL);
    }
    change(recording.list, made, D3D12_RESOURCE_STATE_COPY_DEST, D3D12_RESOURCE_STATE_COMMON);
    run_commands(recording);
    ID3D12Resource_Release(fill);
}

static inline ID3D12Resource *make_texture(const D3D12_RESOURCE_DESC *desc, uint32_t count) {
    ID3D12Resource *made = make_resource(desc, D3D12_HEAP_TYPE_DEFAULT, D3D12_RESOURCE_STATE_COMMON);
    fill_texture(made, desc, count);
    return made;
}

// What the texture holds, laid out by its footprints; to be freed.
static inline uint8_t *read_texture(ID3D12Resource *texture, const D3D12_RESOURCE_DESC *desc,
                                    uint32_t count) {
    struct layout layout = layout_of(desc, 0, count);
    ID3D12Resource *readback = make_buffer(layout.bytes, D3D12_HEAP_TYPE_READBACK);
    struct recording recording = begin_commands();
    change(recording.list, texture, D3D12_RESOURCE_STATE_COMMON, D3D12_RESOURCE_STATE_COPY_SOURCE);
    for (uint32_t i = 0; i < count; i++) {
        D3D12_TEXTURE_COPY_LOCATION from = {.pResource = texture,
                                            .Type = D3D12_TEXTURE_COPY_TYPE_SUBRESOURCE_INDEX,
                                            .SubresourceIndex = i};
        D3D12_TEXTURE_COPY_LOCATION to = {.pResource = readback,
                                          .Type = D3D12_TEXTURE_COPY_TYPE_PLACED_FOOTPRINT,
                                          .PlacedFootprint = layout.footprints[i]};
        ID3D12GraphicsCommandList_CopyTextureRegion(recording.list, &to, 0, 0, 0, &from, NULL);
    }
    change(recording.list, texture, D3D12_RESOURCE_STATE_COPY_SOURCE, D3D12_RESOURCE_STATE_COMMON);
    run_commands(recording);
    uint8_t *out = malloc(layout.bytes);
    take_bytes(readback, layout.bytes, out);
    return out;
}

// All of the texture, for a type that says which subresources are meant.
static inline storage_request to_texture(storage_request request, ID3D12Resource *texture, uint8_t type) {
    request.options.types = REQUEST_TYPES(request.options.types & 1, type);
    request.destination = (storage_destination){0};
    request.destination.subresources.resource = (IUnknown *)texture;
    return request;
}

// How many rows of a subresource, which begins at `found` and is as `layout` has it, are not the pattern of a
// payload that begins at `offset`.
static inline uint32_t wrong_rows_of(const uint8_t *found, const struct layout *layout, uint32_t which,
                                     uint64_t offset) {
    const D3D12_SUBRESOURCE_FOOTPRINT *is = &layout->footprints[which].Footprint;
    uint32_t wrong = 0;
    for (uint64_t row = 0; row < (uint64_t)layout->rows[which] * is->Depth; row++) {
        uint64_t at = row * is->RowPitch;
        wrong += !has_pattern(found + at, offset + at, layout->row_bytes[which]);
    }
    return wrong;
}

#endif // TEST_D3D12_TEXTURE_H
