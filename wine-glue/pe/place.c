// place.c: destinations in D3D12 resources: which are possible, and the copies that bring bytes there.
//
// A payload for a texture is laid out as GetCopyableFootprints says: rows at multiples of 256 bytes,
// subresources at multiples of 512, the last row of each without padding. A payload may be longer than that,
// not shorter.
//
// Textures are in the state COMMON before and after; buffers are promoted and decay by themselves. The
// barriers are spelled out, since not every d3d12 promotes textures.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <initguid.h>

#include "decoder.h"

#include <stdlib.h>

// --- What is possible ----------------------------------------------------------------------------------

static uint64_t align_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

static uint32_t smaller(uint32_t size, uint32_t level) {
    return size >> level > 1 ? size >> level : 1;
}

// Block compressed formats have blocks of 4 x 4 texels, others of one.
static uint32_t block_size(DXGI_FORMAT format) {
    BOOL first_five = format >= DXGI_FORMAT_BC1_TYPELESS && format <= DXGI_FORMAT_BC5_SNORM;
    BOOL others = format >= DXGI_FORMAT_BC6H_TYPELESS && format <= DXGI_FORMAT_BC7_UNORM_SRGB;
    return first_five || others ? 4 : 1;
}

static BOOL is_3d(const D3D12_RESOURCE_DESC *desc) {
    return desc->Dimension == D3D12_RESOURCE_DIMENSION_TEXTURE3D;
}

static uint32_t plane_count(ID3D12Device *device, DXGI_FORMAT format) {
    D3D12_FEATURE_DATA_FORMAT_INFO info = {.Format = format};
    HRESULT result =
        ID3D12Device_CheckFeatureSupport(device, D3D12_FEATURE_FORMAT_INFO, &info, sizeof info);
    return SUCCEEDED(result) && info.PlaneCount ? info.PlaneCount : 1;
}

static uint32_t subresource_count(const struct place *place) {
    if (place->is_buffer) return 1;
    uint32_t slices = is_3d(&place->desc) ? 1 : place->desc.DepthOrArraySize;
    ID3D12Device *device = uploader_device(place->uploader);
    return place->desc.MipLevels * slices * plane_count(device, place->desc.Format);
}

static BOOL is_of_device(ID3D12Resource *resource, ID3D12Device *device) {
    ID3D12Device *own = NULL;
    IUnknown *one = NULL, *other = NULL;
    if (FAILED(ID3D12Resource_GetDevice(resource, &IID_ID3D12Device, (void **)&own))) return FALSE;
    ID3D12Device_QueryInterface(own, &IID_IUnknown, (void **)&one);
    ID3D12Device_QueryInterface(device, &IID_IUnknown, (void **)&other);
    BOOL same = one && one == other;
    if (one) IUnknown_Release(one);
    if (other) IUnknown_Release(other);
    ID3D12Device_Release(own);
    return same;
}

// Upload heaps are never written by the GPU. Reserved resources have no heap.
static BOOL can_be_written(ID3D12Resource *resource) {
    D3D12_HEAP_PROPERTIES heap = {0};
    D3D12_HEAP_FLAGS flags;
    return FAILED(ID3D12Resource_GetHeapProperties(resource, &heap, &flags)) ||
           heap.Type != D3D12_HEAP_TYPE_UPLOAD;
}

// The extent of a subresource, in texels.
static D3D12_BOX extent(const D3D12_RESOURCE_DESC *desc, uint32_t subresource) {
    uint32_t level = subresource % desc->MipLevels;
    return (D3D12_BOX){.right = smaller((uint32_t)desc->Width, level),
                       .bottom = smaller(desc->Height, level),
                       .back = is_3d(desc) ? smaller(desc->DepthOrArraySize, level) : 1};
}

static BOOL fits(uint32_t from, uint32_t to, uint32_t size, uint32_t block) {
    return from < to && to <= align_up(size, block) && from % block == 0 &&
           (to % block == 0 || to == size);
}

// The region's footprint is that of a texture of its size.
static HRESULT measure_region(struct place *place, D3D12_PLACED_SUBRESOURCE_FOOTPRINT *footprint) {
    const D3D12_BOX *box = &place->region, all = extent(&place->desc, place->first);
    uint32_t block = block_size(place->desc.Format);
    ID3D12Device *device = uploader_device(place->uploader);
    if (!fits(box->left, box->right, all.right, block) || !fits(box->top, box->bottom, all.bottom, block) ||
        !fits(box->front, box->back, all.back, 1) || plane_count(device, place->desc.Format) > 1)
        return E_INVALIDARG;
    D3D12_RESOURCE_DESC desc = place->desc;
    desc.Alignment = 0;
    desc.Width = align_up(box->right - box->left, block);
    desc.Height = (uint32_t)align_up(box->bottom - box->top, block);
    desc.DepthOrArraySize = (uint16_t)(box->back - box->front);
    desc.MipLevels = 1;
    ID3D12Device_GetCopyableFootprints(device, &desc, 0, 1, 0, footprint, NULL, NULL, &place->bytes);
    return place->bytes == UINT64_MAX ? E_INVALIDARG : S_OK;
}

static HRESULT measure_subresources(struct place *place) {
    uint32_t all = subresource_count(place);
    if (place->first >= all || !place->count || place->count > all - place->first) return E_INVALIDARG;
    if (place->is_region) {
        D3D12_PLACED_SUBRESOURCE_FOOTPRINT footprint;
        return measure_region(place, &footprint);
    }
    ID3D12Device_GetCopyableFootprints(uploader_device(place->uploader), &place->desc, place->first,
                                       place->count, 0, NULL, NULL, NULL, &place->bytes);
    return place->bytes == UINT64_MAX ? E_INVALIDARG : S_OK;
}

static HRESULT understand_texture(struct place *place, const storage_request *request) {
    const storage_destination *to = &request->destination;
    if (place->desc.SampleDesc.Count > 1) return E_INVALIDARG;
    switch (request->options.types >> 1) {
    case DESTINATION_TEXTURE_REGION:
        place->is_region = TRUE;
        place->first = to->texture.subresource_index;
        place->count = 1;
        memcpy(&place->region, to->texture.region, sizeof place->region);
        break;
    case DESTINATION_MULTIPLE_SUBRESOURCES: {
        uint32_t all = subresource_count(place);
        place->first = to->subresources.first_subresource;
        place->count = place->first < all ? all - place->first : 0;
        break;
    }
    default:
        place->first = to->subresources.first_subresource;
        place->count = to->subresources.num_subresources;
        break;
    }
    return measure_subresources(place);
}

static HRESULT understand(struct place *place, const storage_request *request) {
    const storage_destination *to = &request->destination;
    if (!is_of_device(place->resource, uploader_device(place->uploader)) ||
        !can_be_written(place->resource))
        return E_INVALIDARG;
    place->resource->lpVtbl->GetDesc(place->resource, &place->desc);
    place->is_buffer = place->desc.Dimension == D3D12_RESOURCE_DIMENSION_BUFFER;
    uint8_t type = request->options.types >> 1;
    if (type == DESTINATION_TILES) return tiles_understand(place, request, subresource_count(place));
    if (place->is_buffer != (type == DESTINATION_BUFFER)) return E_INVALIDARG;
    if (!place->is_buffer) return understand_texture(place, request);
    place->offset = to->buffer.offset;
    place->bytes = to->buffer.size;
    BOOL inside = place->offset <= place->desc.Width && place->bytes <= place->desc.Width - place->offset;
    return inside ? S_OK : E_INVALIDARG;
}

// --- Places --------------------------------------------------------------------------------------------

static uint32_t source_bytes(const storage_request *request) {
    BOOL from_memory = (request->options.types & 1) == SOURCE_MEMORY;
    return from_memory ? request->source.memory.size : request->source.file.size;
}

// How many bytes come, after decompression.
static uint32_t payload_bytes(const storage_request *request) {
    BOOL is_compressed = request->options.compression_format != COMPRESSION_NONE;
    return is_compressed ? request->uncompressed_size : source_bytes(request);
}

// Has the engine bring the stream as it is, if the GPU is to decode it.
static void leave_to_gpu(struct place *place, const storage_request *request, struct unix_foreign *out) {
    uint32_t stream_bytes = source_bytes(request), decoded_bytes = request->uncompressed_size;
    if (request->options.compression_format != COMPRESSION_GDEFLATE || !uploader_decoder(place->uploader) ||
        !decoder_takes(stream_bytes, decoded_bytes) || !place->bytes || place->bytes > decoded_bytes)
        return;
    place->is_compressed = TRUE;
    place->decoded_bytes = decoded_bytes;
    place->wanted_bytes = place->bytes;
    place->bytes = out->size = stream_bytes;
    out->shown_uncompressed_size = decoded_bytes;
    out->shown_format = COMPRESSION_GDEFLATE;
}

static HRESULT refusal(const struct uploader *uploader, const storage_request *request) {
    if (!uploader) return E_DSTORAGE_INVALID_DESTINATION_TYPE;
    return request->destination.buffer.resource ? S_OK : E_DSTORAGE_ACCESS_VIOLATION;
}

void place_make(struct uploader *uploader, const storage_request *request, struct unix_foreign *out) {
    *out = (struct unix_foreign){.size = payload_bytes(request), .result = refusal(uploader, request)};
    if (FAILED(out->result)) return;
    struct place *place = calloc(1, sizeof *place);
    if (!place) {
        out->result = E_OUTOFMEMORY;
        return;
    }
    uploader_reference(uploader);
    place->uploader = uploader;
    place->resource = (ID3D12Resource *)request->destination.buffer.resource;
    ID3D12Resource_AddRef(place->resource);
    out->cookie = NUMBER(place);
    out->result = understand(place, request);
    if (FAILED(out->result)) return;
    // A buffer's size is the request's own word, which the engine compares.
    if (request->options.types >> 1 == DESTINATION_BUFFER)
        out->size = (uint32_t)place->bytes;
    else if (out->size < place->bytes)
        out->result = E_INVALIDARG;
    else if (request->options.compression_format != COMPRESSION_NONE)
        out->size = (uint32_t)place->bytes;
    if (SUCCEEDED(out->result)) leave_to_gpu(place, request, out);
}

void place_free(struct place *place) {
    if (!place) return;
    ID3D12Resource_Release(place->resource);
    uploader_release(place->uploader);
    free(place);
}

// --- Copies --------------------------------------------------------------------------------------------

static void change_state(const struct place *place, ID3D12GraphicsCommandList *list, uint32_t subresource,
                         D3D12_RESOURCE_STATES from, D3D12_RESOURCE_STATES to) {
    D3D12_RESOURCE_BARRIER barrier = {.Type = D3D12_RESOURCE_BARRIER_TYPE_TRANSITION};
    barrier.Transition.pResource = place->resource;
    barrier.Transition.Subresource = subresource;
    barrier.Transition.StateBefore = from;
    barrier.Transition.StateAfter = to;
    ID3D12GraphicsCommandList_ResourceBarrier(list, 1, &barrier);
}

static void record_subresource(const struct place *place, ID3D12GraphicsCommandList *list,
                               uint32_t subresource, ID3D12Resource *memory,
                               const D3D12_PLACED_SUBRESOURCE_FOOTPRINT *footprint) {
    D3D12_TEXTURE_COPY_LOCATION to = {.pResource = place->resource,
                                      .Type = D3D12_TEXTURE_COPY_TYPE_SUBRESOURCE_INDEX,
                                      .SubresourceIndex = subresource};
    D3D12_TEXTURE_COPY_LOCATION from = {.pResource = memory,
                                        .Type = D3D12_TEXTURE_COPY_TYPE_PLACED_FOOTPRINT,
                                        .PlacedFootprint = *footprint};
    const D3D12_BOX *box = &place->region; // zeros, if it is none
    change_state(place, list, subresource, D3D12_RESOURCE_STATE_COMMON, D3D12_RESOURCE_STATE_COPY_DEST);
    ID3D12GraphicsCommandList_CopyTextureRegion(list, &to, box->left, box->top, box->front, &from, NULL);
    change_state(place, list, subresource, D3D12_RESOURCE_STATE_COPY_DEST, D3D12_RESOURCE_STATE_COMMON);
}

static void record_texture(const struct place *place, ID3D12GraphicsCommandList *list,
                           ID3D12Resource *memory, uint64_t from) {
    D3D12_PLACED_SUBRESOURCE_FOOTPRINT footprint;
    if (place->is_region) {
        struct place measured = *place;
        measure_region(&measured, &footprint);
        footprint.Offset = from;
        record_subresource(place, list, place->first, memory, &footprint);
        return;
    }
    for (uint32_t i = 0; i < place->count; i++) {
        uint64_t bytes;
        ID3D12Device_GetCopyableFootprints(uploader_device(place->uploader), &place->desc, place->first + i,
                                           1, from, &footprint, NULL, NULL, &bytes);
        record_subresource(place, list, place->first + i, memory, &footprint);
        from = align_up(from + bytes, D3D12_TEXTURE_DATA_PLACEMENT_ALIGNMENT);
    }
}

// Only what the tiles lie in changes its state: the application may be using other levels.
static void record_tiles(const struct place *place, ID3D12GraphicsCommandList *list, ID3D12Resource *memory,
                         uint64_t from) {
    const D3D12_RESOURCE_STATES common = D3D12_RESOURCE_STATE_COMMON, copy = D3D12_RESOURCE_STATE_COPY_DEST;
    for (uint32_t i = 0; i < place->count; i++) change_state(place, list, place->first + i, common, copy);
    ID3D12GraphicsCommandList_CopyTiles(list, place->resource, &place->tile_start, &place->tile_region,
                                        memory, from,
                                        D3D12_TILE_COPY_FLAG_LINEAR_BUFFER_TO_SWIZZLED_TILED_RESOURCE);
    for (uint32_t i = 0; i < place->count; i++) change_state(place, list, place->first + i, copy, common);
}

void place_record_plain(const struct place *place, ID3D12GraphicsCommandList *list, ID3D12Resource *memory,
                        uint64_t from, uint64_t at, uint64_t bytes) {
    if (place->is_buffer)
        ID3D12GraphicsCommandList_CopyBufferRegion(list, place->resource, place->offset + at, memory, from,
                                                   bytes);
    else if (place->is_tiles)
        record_tiles(place, list, memory, from);
    else
        record_texture(place, list, memory, from);
}

BOOL place_has_room(const struct place *place) {
    return !place->is_compressed ||
           decoder_has_room(uploader_decoder(place->uploader), place->bytes, place->decoded_bytes);
}

HRESULT place_record(const struct place *place, ID3D12GraphicsCommandList *list, ID3D12Resource *memory,
                     const uint8_t *mapped, uint64_t from, uint64_t at, uint64_t bytes) {
    if (place->is_compressed)
        return decoder_add(uploader_decoder(place->uploader), list, place, memory, from, mapped);
    place_record_plain(place, list, memory, from, at, bytes);
    return S_OK;
}
