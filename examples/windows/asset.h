// asset.h: what the scene is made of: textures, rows of texels in a buffer, meshes. By their names they are
// understood (examples/scene/mod.rs says how), by the archive they are filled, and from the GPU they come
// back.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef ASSET_H
#define ASSET_H

#include "archive.h"

#define ASSETS_MAX 512
#define MIPS_MAX 12
#define SIDE_MAX 2048
#define VERTEX_BYTES 16

enum kind { TEXTURE, TEXELS, MESH };
// As Vulkan numbers them, in the names.
enum format { RGBA8 = 37, BC1 = 131 };

// One mip as the GPU has it: rows of texels or blocks, and the colours in them.
struct mip {
    uint32_t width, height, depth;
    uint64_t offset; // in the payload
    uint32_t row_bytes, row_pitch, rows;
    uint8_t *rgb; // width by height by depth
};

struct asset {
    const struct packed *file;
    enum kind kind;
    enum format format;
    uint32_t width, height, depth, mip_count;
    uint32_t vertex_count, index_count;
    char name[64], worn[64]; // the texture that a mesh wears
    ID3D12Resource *resource;
    D3D12_RESOURCE_DESC desc;
    uint64_t back; // where it lies in what is read back
    uint8_t *payload;
    struct mip mips[MIPS_MAX];
};

// ---- Names.

static inline BOOL is_picture(const struct asset *asset) {
    BOOL known = asset->format == RGBA8 || asset->format == BC1;
    BOOL fits = asset->width && asset->width <= SIDE_MAX && asset->height && asset->height <= SIDE_MAX &&
                asset->depth && asset->depth <= SIDE_MAX;
    if (asset->kind == TEXTURE) return known && fits && asset->mip_count && asset->mip_count <= MIPS_MAX;
    uint64_t bytes = 4ull * asset->width * asset->height * asset->depth;
    return asset->format == RGBA8 && fits && bytes == asset->file->bytes;
}

static inline BOOL is_mesh(const struct asset *asset) {
    uint64_t bytes = (uint64_t)asset->vertex_count * VERTEX_BYTES + 2ull * asset->index_count;
    return asset->vertex_count && asset->vertex_count <= 65536 && bytes == asset->file->bytes;
}

// Fills in what a file's name says; FALSE if it is no part of a scene.
static inline BOOL understand(const struct packed *file, struct asset *asset) {
    int end = 0;
    const char *name = file->name;
    *asset = (struct asset){.file = file};
    if (sscanf(name, "%63[^.].mesh.%ux%u.%63[^.]%n", asset->name, &asset->vertex_count, &asset->index_count,
               asset->worn, &end) == 4) {
        asset->kind = MESH;
        return !name[end] && is_mesh(asset);
    }
    int format, found = sscanf(name, "%63[^.].vk%d.%ux%ux%u.m%u%n", asset->name, &format, &asset->width,
                               &asset->height, &asset->depth, &asset->mip_count, &end);
    asset->kind = found == 6 ? TEXTURE : TEXELS;
    if (found == 5) sscanf(name, "%*[^.].vk%*d.%*ux%*ux%*u.buffer%n", &end);
    asset->format = found >= 5 ? (enum format)format : 0;
    return found >= 5 && end && !name[end] && is_picture(asset);
}

// ---- On the GPU.

// Where D3D12 wants its subresources is also how the payload has them.
static inline void lay_out(struct asset *asset) {
    D3D12_PLACED_SUBRESOURCE_FOOTPRINT footprints[MIPS_MAX];
    UINT rows[MIPS_MAX];
    UINT64 row_bytes[MIPS_MAX], bytes;
    ID3D12Device_GetCopyableFootprints(device, &asset->desc, 0, asset->mip_count, 0, footprints, rows,
                                       row_bytes, &bytes);
    const char *name = asset->file->name;
    if (bytes != asset->file->bytes) end(EXIT_WRONG, "%s does not hold what its name says.", name);
    if (asset->file->chunk_count != 1)
        end(EXIT_WRONG, "%s: pack the scene with larger chunks (--chunk-kib).", name);
    for (uint32_t i = 0; i < asset->mip_count; i++) {
        uint32_t width = asset->width >> i, height = asset->height >> i, depth = asset->depth >> i;
        asset->mips[i] = (struct mip){.width = width ? width : 1,
                                      .height = height ? height : 1,
                                      .depth = depth ? depth : 1,
                                      .offset = footprints[i].Offset,
                                      .row_bytes = (uint32_t)row_bytes[i],
                                      .row_pitch = footprints[i].Footprint.RowPitch,
                                      .rows = rows[i]};
    }
}

static inline void make_texture(struct asset *asset) {
    D3D12_RESOURCE_DIMENSION flat = D3D12_RESOURCE_DIMENSION_TEXTURE2D;
    asset->desc = (D3D12_RESOURCE_DESC){
        .Dimension = asset->depth > 1 ? D3D12_RESOURCE_DIMENSION_TEXTURE3D : flat,
        .Width = asset->width,
        .Height = asset->height,
        .DepthOrArraySize = (UINT16)asset->depth,
        .MipLevels = (UINT16)asset->mip_count,
        .Format = asset->format == BC1 ? DXGI_FORMAT_BC1_UNORM : DXGI_FORMAT_R8G8B8A8_UNORM,
        .SampleDesc = {.Count = 1},
        .Layout = D3D12_TEXTURE_LAYOUT_UNKNOWN};
    lay_out(asset);
    asset->resource = make_resource(&asset->desc, D3D12_HEAP_TYPE_DEFAULT);
}

static inline void make_asset(struct asset *asset) {
    if (asset->kind == TEXTURE) {
        make_texture(asset);
        return;
    }
    asset->resource = make_buffer(asset->file->bytes, D3D12_HEAP_TYPE_DEFAULT);
    if (asset->kind == TEXELS)
        asset->mips[0] = (struct mip){asset->width,     asset->height,    asset->depth,  0,
                                      4 * asset->width, 4 * asset->width, asset->height, NULL};
    asset->mip_count = asset->kind == TEXELS;
}

// One request for each chunk of its file. The GPU's memory gets what the chunk holds, decompressed.
static inline void enqueue_asset(storage_queue *queue, storage_file *file, const struct asset *asset,
                                 uint32_t chunk_bytes) {
    for (uint32_t i = 0; i < asset->file->chunk_count; i++) {
        const uint8_t *chunk = asset->file->chunks + i * CHUNK_BYTES;
        uint64_t at = (uint64_t)i * chunk_bytes, left = asset->file->bytes - at;
        uint32_t bytes = left < chunk_bytes ? (uint32_t)left : chunk_bytes;
        storage_request request = {.uncompressed_size = bytes, .name = asset->name};
        request.options.compression_format = (uint8_t)number(chunk + 12, 4);
        request.source.file.source = file;
        request.source.file.offset = number(chunk, 8);
        request.source.file.size = (uint32_t)number(chunk + 8, 4);
        if (asset->kind == TEXTURE) {
            request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_MULTIPLE_SUBRESOURCES);
            request.destination.subresources.resource = (IUnknown *)asset->resource;
        } else {
            request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_BUFFER);
            request.destination.buffer.resource = (IUnknown *)asset->resource;
            request.destination.buffer.offset = at;
            request.destination.buffer.size = bytes;
        }
        queue->methods->EnqueueRequest(queue, &request);
    }
}

// ---- Back from it.

static inline void record_copy_back(const struct recording *recording, const struct asset *asset,
                                    ID3D12Resource *readback) {
    ID3D12GraphicsCommandList *list = recording->list;
    change(list, asset->resource, D3D12_RESOURCE_STATE_COMMON, D3D12_RESOURCE_STATE_COPY_SOURCE);
    if (asset->kind != TEXTURE) {
        ID3D12GraphicsCommandList_CopyBufferRegion(list, readback, asset->back, asset->resource, 0,
                                                   asset->file->bytes);
        return;
    }
    D3D12_PLACED_SUBRESOURCE_FOOTPRINT footprints[MIPS_MAX];
    ID3D12Device_GetCopyableFootprints(device, &asset->desc, 0, asset->mip_count, asset->back, footprints,
                                       NULL, NULL, NULL);
    for (uint32_t i = 0; i < asset->mip_count; i++) {
        D3D12_TEXTURE_COPY_LOCATION from = {.pResource = asset->resource,
                                            .Type = D3D12_TEXTURE_COPY_TYPE_SUBRESOURCE_INDEX,
                                            .SubresourceIndex = i};
        D3D12_TEXTURE_COPY_LOCATION to = {.pResource = readback,
                                          .Type = D3D12_TEXTURE_COPY_TYPE_PLACED_FOOTPRINT,
                                          .PlacedFootprint = footprints[i]};
        ID3D12GraphicsCommandList_CopyTextureRegion(list, &to, 0, 0, 0, &from, NULL);
    }
}

// Takes its payload: of a texture the rows, and zeros between them.
static inline void take_payload(struct asset *asset, const uint8_t *readback) {
    const uint8_t *from = readback + asset->back;
    asset->payload = calloc(1, asset->file->bytes);
    if (!asset->payload) end(EXIT_WRONG, "There is no memory for %s.", asset->name);
    if (asset->kind != TEXTURE) {
        memcpy(asset->payload, from, asset->file->bytes);
        return;
    }
    for (uint32_t i = 0; i < asset->mip_count; i++) {
        const struct mip *mip = &asset->mips[i];
        for (uint32_t row = 0; row < mip->rows * mip->depth; row++) {
            uint64_t at = mip->offset + (uint64_t)row * mip->row_pitch;
            memcpy(asset->payload + at, from + at, mip->row_bytes);
        }
    }
}

// ---- Colours.

static inline void unpack_565(uint32_t packed, int *rgb) {
    int r = (int)packed >> 11, g = (int)packed >> 5 & 63, b = (int)packed & 31;
    rgb[0] = r << 3 | r >> 2, rgb[1] = g << 2 | g >> 4, rgb[2] = b << 3 | b >> 2;
}

// One of the sixteen texels in a block of BC1: two colours, and two or one between them.
static inline void texel_of_block(const uint8_t *block, uint32_t x, uint32_t y, uint8_t *rgb) {
    // Shares of the first and the second colour, and their sum; the fourth of the short list is black.
    static const int shares[2][4][3] = {{{1, 0, 1}, {0, 1, 1}, {1, 1, 2}, {0, 0, 1}},
                                        {{1, 0, 1}, {0, 1, 1}, {2, 1, 3}, {1, 2, 3}}};
    uint32_t first = (uint32_t)number(block, 2), second = (uint32_t)number(block + 2, 2);
    const int *share = shares[first > second][block[4 + y] >> 2 * x & 3];
    int a[3], b[3];
    unpack_565(first, a);
    unpack_565(second, b);
    for (int i = 0; i < 3; i++) rgb[i] = (uint8_t)((a[i] * share[0] + b[i] * share[1]) / share[2]);
}

static inline void decode_mip(const struct asset *asset, struct mip *mip) {
    uint64_t slice_bytes = (uint64_t)mip->rows * mip->row_pitch;
    uint8_t *to = mip->rgb = malloc(3ull * mip->width * mip->height * mip->depth);
    if (!to) end(EXIT_WRONG, "There is no memory for %s.", asset->name);
    for (uint32_t z = 0; z < mip->depth; z++)
        for (uint32_t y = 0; y < mip->height; y++)
            for (uint32_t x = 0; x < mip->width; x++, to += 3) {
                const uint8_t *slice = asset->payload + mip->offset + z * slice_bytes;
                if (asset->format == BC1)
                    texel_of_block(slice + (uint64_t)(y / 4) * mip->row_pitch + x / 4 * 8, x % 4, y % 4, to);
                else
                    memcpy(to, slice + (uint64_t)y * mip->row_pitch + 4 * x, 3);
            }
}

#endif // ASSET_H
