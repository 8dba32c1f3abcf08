// tiles.c: which tiles of a reserved resource a request names, and whether they are there.
//
// A payload for tiles has 64 KiB for each, in the order in which CopyTiles takes them: through the box, or on
// from the first one, from subresource to subresource. Packed levels have no tiles of their own shape: no
// region reaches into them. In a buffer, tiles are ranges.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "upload.h"

// What GetResourceTiling says of a subresource; no tiles, if it is packed.
static D3D12_SUBRESOURCE_TILING tiling_of(const struct place *place, uint32_t subresource) {
    D3D12_SUBRESOURCE_TILING tiling = {0};
    UINT count = 1;
    ID3D12Device *device = uploader_device(place->uploader);
    ID3D12Device_GetResourceTiling(device, place->resource, NULL, NULL, NULL, &count, subresource, &tiling);
    BOOL is_standard = count == 1 && tiling.StartTileIndexInOverallResource != TILE_PACKED;
    return is_standard ? tiling : (D3D12_SUBRESOURCE_TILING){0};
}

static BOOL is_inside(uint32_t start, uint32_t count, uint32_t end) {
    return start < end && count && count <= end - start;
}

static HRESULT measure_box(struct place *place) {
    const D3D12_TILED_RESOURCE_COORDINATE *start = &place->tile_start;
    const D3D12_TILE_REGION_SIZE *region = &place->tile_region;
    D3D12_SUBRESOURCE_TILING tiling = tiling_of(place, start->Subresource);
    if (!is_inside(start->X, region->Width, tiling.WidthInTiles) ||
        !is_inside(start->Y, region->Height, tiling.HeightInTiles) ||
        !is_inside(start->Z, region->Depth, tiling.DepthInTiles))
        return E_INVALIDARG;
    place->count = 1;
    return (uint64_t)region->Width * region->Height * region->Depth == region->NumTiles ? S_OK : E_INVALIDARG;
}

// Counts the subresources that the tiles lie in.
static HRESULT measure_run(struct place *place, uint32_t subresource_count) {
    const D3D12_TILED_RESOURCE_COORDINATE *start = &place->tile_start;
    uint64_t end = place->tile_region.NumTiles, there = 0;
    for (uint32_t i = start->Subresource; there < end; i++) {
        D3D12_SUBRESOURCE_TILING tiling = {0};
        if (i < subresource_count) tiling = tiling_of(place, i);
        if (!tiling.WidthInTiles) return E_INVALIDARG;
        uint64_t rows = tiling.HeightInTiles;
        if (!place->count) {
            if (start->X >= tiling.WidthInTiles || start->Y >= rows || start->Z >= tiling.DepthInTiles)
                return E_INVALIDARG;
            end += (start->Z * rows + start->Y) * tiling.WidthInTiles + start->X;
        }
        there += tiling.WidthInTiles * rows * tiling.DepthInTiles;
        place->count++;
    }
    return S_OK;
}

// The last tile of a buffer may reach beyond its end; its bytes there go nowhere.
static void measure_buffer(struct place *place) {
    uint64_t bytes = (uint64_t)place->tile_region.NumTiles * TILE_BYTES;
    place->offset = (uint64_t)place->tile_start.X * TILE_BYTES;
    place->bytes = bytes < place->desc.Width - place->offset ? bytes : place->desc.Width - place->offset;
}

static BOOL are_possible(ID3D12Device *device) {
    D3D12_FEATURE_DATA_D3D12_OPTIONS options = {0};
    HRESULT result =
        ID3D12Device_CheckFeatureSupport(device, D3D12_FEATURE_D3D12_OPTIONS, &options, sizeof options);
    return SUCCEEDED(result) && options.TiledResourcesTier != D3D12_TILED_RESOURCES_TIER_NOT_SUPPORTED;
}

HRESULT tiles_understand(struct place *place, const storage_request *request, uint32_t subresource_count) {
    const storage_destination *to = &request->destination;
    D3D12_HEAP_PROPERTIES heap;
    D3D12_HEAP_FLAGS flags;
    if (!are_possible(uploader_device(place->uploader))) return E_DSTORAGE_INVALID_DESTINATION_TYPE;
    // What has a heap has no tiles.
    if (SUCCEEDED(ID3D12Resource_GetHeapProperties(place->resource, &heap, &flags))) return E_INVALIDARG;
    place->is_tiles = TRUE;
    memcpy(&place->tile_start, to->tiles.start, sizeof place->tile_start);
    memcpy(&place->tile_region, &to->tiles.num_tiles, sizeof place->tile_region);
    place->first = place->tile_start.Subresource;
    place->bytes = (uint64_t)place->tile_region.NumTiles * TILE_BYTES;
    if (!place->tile_region.NumTiles || place->first >= subresource_count) return E_INVALIDARG;
    HRESULT result =
        place->tile_region.UseBox ? measure_box(place) : measure_run(place, subresource_count);
    if (SUCCEEDED(result) && place->is_buffer) measure_buffer(place);
    return result;
}
