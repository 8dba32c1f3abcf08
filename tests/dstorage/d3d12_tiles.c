// d3d12_tiles.c: tiles of reserved resources as destinations, read back and compared byte for byte.
//
// First the program tries tiles without DirectStorage: where the d3d12 has none, or its CopyTiles does
// nothing, there is nothing to ask.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "d3d12_texture.h"

#define TILE_BYTES 65536
#define FILE_BYTES (96u * TILE_BYTES)
#define PACKED UINT32_MAX

static storage_factory *factory;
static storage_file *file;
static storage_queue *queue;
static uint8_t *contents;

// A reserved resource, all of it mapped.
struct tiled {
    D3D12_RESOURCE_DESC desc;
    uint32_t count, texel_bytes, block; // of a texel or a block; its edge in texels
    ID3D12Resource *resource;
    ID3D12Heap *heap;
    D3D12_TILE_SHAPE shape;
    D3D12_PACKED_MIP_INFO packed;
    D3D12_SUBRESOURCE_TILING tilings[SUBRESOURCES_MAX];
};

static D3D12_TILED_RESOURCE_COORDINATE at(uint32_t subresource, uint32_t x, uint32_t y, uint32_t z) {
    return (D3D12_TILED_RESOURCE_COORDINATE){.X = x, .Y = y, .Z = z, .Subresource = subresource};
}

static D3D12_TILE_REGION_SIZE tiles(uint32_t count) { return (D3D12_TILE_REGION_SIZE){.NumTiles = count}; }

static D3D12_TILE_REGION_SIZE box(uint32_t width, uint16_t height, uint16_t depth) {
    return (D3D12_TILE_REGION_SIZE){.NumTiles = width * height * depth,
                                    .UseBox = TRUE,
                                    .Width = width,
                                    .Height = height,
                                    .Depth = depth};
}

// --- Reserved resources --------------------------------------------------------------------------------

// The declaration of older mingw-w64 lacks the heap.
typedef void (WINAPI *update_mappings)(ID3D12CommandQueue *, ID3D12Resource *, UINT,
                                       const D3D12_TILED_RESOURCE_COORDINATE *,
                                       const D3D12_TILE_REGION_SIZE *, ID3D12Heap *, UINT,
                                       const D3D12_TILE_RANGE_FLAGS *, const UINT *, const UINT *,
                                       D3D12_TILE_MAPPING_FLAGS);

static HRESULT map_all(struct tiled *tiled, uint32_t tile_count) {
    BOOL is_buffer = tiled->desc.Dimension == D3D12_RESOURCE_DIMENSION_BUFFER;
    D3D12_HEAP_DESC desc = {.SizeInBytes = (uint64_t)tile_count * TILE_BYTES,
                            .Properties = {.Type = D3D12_HEAP_TYPE_DEFAULT},
                            .Flags = is_buffer ? D3D12_HEAP_FLAG_ALLOW_ONLY_BUFFERS
                                               : D3D12_HEAP_FLAG_ALLOW_ONLY_NON_RT_DS_TEXTURES};
    HRESULT result = ID3D12Device_CreateHeap(device, &desc, &IID_ID3D12Heap, (void **)&tiled->heap);
    if (FAILED(result)) return result;
    D3D12_TILED_RESOURCE_COORDINATE start = at(0, 0, 0, 0);
    D3D12_TILE_REGION_SIZE all = tiles(tile_count);
    D3D12_TILE_RANGE_FLAGS flags = D3D12_TILE_RANGE_FLAG_NONE;
    UINT offset = 0;
    update_mappings update = (void *)commands->lpVtbl->UpdateTileMappings;
    update(commands, tiled->resource, 1, &start, &all, tiled->heap, 1, &flags, &offset, &tile_count,
           D3D12_TILE_MAPPING_FLAG_NONE);
    // Other queues do not wait for it.
    must(ID3D12CommandQueue_Signal(commands, fence, ++fence_value));
    ok(wait_fence(fence, fence_value), "the mapping does not end");
    return S_OK;
}

static HRESULT make_tiled(struct tiled *tiled) {
    UINT count = tiled->count, all = 0;
    if (tiled->desc.Dimension != D3D12_RESOURCE_DIMENSION_BUFFER)
        tiled->desc.Layout = D3D12_TEXTURE_LAYOUT_64KB_UNDEFINED_SWIZZLE;
    HRESULT result =
        ID3D12Device_CreateReservedResource(device, &tiled->desc, D3D12_RESOURCE_STATE_COMMON, NULL,
                                            &IID_ID3D12Resource, (void **)&tiled->resource);
    if (FAILED(result)) return result;
    ID3D12Device_GetResourceTiling(device, tiled->resource, &all, &tiled->packed, &tiled->shape, &count, 0,
                                   tiled->tilings);
    if (!all || count != tiled->count) return E_NOTIMPL;
    return map_all(tiled, all);
}

static void drop_tiled(struct tiled *tiled) {
    if (tiled->resource) ID3D12Resource_Release(tiled->resource);
    if (tiled->heap) ID3D12Heap_Release(tiled->heap);
    tiled->resource = NULL;
    tiled->heap = NULL;
}

static uint32_t tiles_of(const struct tiled *tiled, uint32_t subresource) {
    const D3D12_SUBRESOURCE_TILING *tiling = &tiled->tilings[subresource];
    if (tiling->StartTileIndexInOverallResource == PACKED) return 0;
    return tiling->WidthInTiles * tiling->HeightInTiles * tiling->DepthInTiles;
}

// --- What is to be there -------------------------------------------------------------------------------

// Puts one tile's bytes where they belong in what read_texture answers; what is beyond the edge, nowhere.
static void put_tile(const struct tiled *tiled, uint8_t *image, D3D12_TILED_RESOURCE_COORDINATE to,
                     const uint8_t *tile) {
    struct layout layout = layout_of(&tiled->desc, 0, tiled->count);
    const D3D12_PLACED_SUBRESOURCE_FOOTPRINT *footprint = &layout.footprints[to.Subresource];
    uint64_t row_bytes = tiled->shape.WidthInTexels / tiled->block * tiled->texel_bytes;
    uint32_t rows = tiled->shape.HeightInTexels / tiled->block, slices = tiled->shape.DepthInTexels;
    uint64_t left = to.X * row_bytes, end = layout.row_bytes[to.Subresource];
    for (uint32_t z = 0; z < slices; z++)
        for (uint32_t y = 0; y < rows; y++) {
            uint32_t row = to.Y * rows + y, slice = to.Z * slices + z;
            if (row >= layout.rows[to.Subresource] || slice >= footprint->Footprint.Depth) continue;
            uint64_t line = (uint64_t)slice * layout.rows[to.Subresource] + row;
            uint64_t bytes = end - left < row_bytes ? end - left : row_bytes;
            memcpy(image + footprint->Offset + line * footprint->Footprint.RowPitch + left,
                   tile + ((uint64_t)z * rows + y) * row_bytes, bytes);
        }
}

// The tile behind this one, in the order of the payload.
static void advance(const struct tiled *tiled, D3D12_TILED_RESOURCE_COORDINATE start,
                    const D3D12_TILE_REGION_SIZE *region, D3D12_TILED_RESOURCE_COORDINATE *to) {
    const D3D12_SUBRESOURCE_TILING *tiling = &tiled->tilings[to->Subresource];
    uint32_t left = region->UseBox ? start.X : 0, top = region->UseBox ? start.Y : 0;
    uint32_t right = region->UseBox ? start.X + region->Width : tiling->WidthInTiles;
    uint32_t bottom = region->UseBox ? start.Y + region->Height : tiling->HeightInTiles;
    if (++to->X < right) return;
    to->X = left;
    if (++to->Y < bottom) return;
    to->Y = top;
    if (++to->Z < tiling->DepthInTiles || region->UseBox) return;
    *to = at(to->Subresource + 1, 0, 0, 0);
}

static void put_tiles(const struct tiled *tiled, uint8_t *image, D3D12_TILED_RESOURCE_COORDINATE start,
                      const D3D12_TILE_REGION_SIZE *region, const uint8_t *payload) {
    D3D12_TILED_RESOURCE_COORDINATE to = start;
    for (uint32_t i = 0; i < region->NumTiles; i++) {
        put_tile(tiled, image, to, payload + (uint64_t)i * TILE_BYTES);
        advance(tiled, start, region, &to);
    }
}

// What is between the rows is nobody's.
static uint32_t rows_that_differ(const struct tiled *tiled, const uint8_t *one, const uint8_t *other) {
    struct layout layout = layout_of(&tiled->desc, 0, tiled->count);
    uint32_t count = 0;
    for (uint32_t i = 0; i < tiled->count; i++) {
        const D3D12_PLACED_SUBRESOURCE_FOOTPRINT *footprint = &layout.footprints[i];
        for (uint32_t row = 0; row < layout.rows[i] * footprint->Footprint.Depth; row++) {
            uint64_t from = footprint->Offset + (uint64_t)row * footprint->Footprint.RowPitch;
            count += !!memcmp(one + from, other + from, layout.row_bytes[i]);
        }
    }
    return count;
}

// An image whose bytes are all 0x55.
static uint8_t *blank(const struct tiled *tiled) {
    uint64_t bytes = layout_of(&tiled->desc, 0, tiled->count).bytes;
    return memset(malloc(bytes), 0x55, bytes);
}

static uint32_t wrong_rows(const struct tiled *tiled, const uint8_t *wanted) {
    uint8_t *found = read_texture(tiled->resource, &tiled->desc, tiled->count);
    uint32_t wrong = rows_that_differ(tiled, wanted, found);
    free(found);
    return wrong;
}

// --- Whether there are tiles ---------------------------------------------------------------------------

static struct tiled rgba(void) {
    struct tiled made = {.desc = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 600, 300, 1, 10),
                         .count = 10,
                         .texel_bytes = 4,
                         .block = 1};
    return made;
}

static void skip(const char *why) {
    printf("SKIPPED: the d3d12 here has no tiles to be filled: %s\n", why);
    exit(EXIT_SKIPPED);
}

// Fills tiles by our own hand, as DirectStorage will.
static void try_tiles(void) {
    D3D12_FEATURE_DATA_D3D12_OPTIONS options = {0};
    ID3D12Device_CheckFeatureSupport(device, D3D12_FEATURE_D3D12_OPTIONS, &options, sizeof options);
    if (!options.TiledResourcesTier) skip("its tier is 0");
    struct tiled tiled = rgba();
    if (FAILED(make_tiled(&tiled))) skip("it makes no reserved texture");
    fill_texture(tiled.resource, &tiled.desc, tiled.count);
    ID3D12Resource *upload = make_buffer(4 * TILE_BYTES, D3D12_HEAP_TYPE_UPLOAD);
    void *mapped;
    must(ID3D12Resource_Map(upload, 0, NULL, &mapped));
    memcpy(mapped, contents, 4 * TILE_BYTES);
    D3D12_TILED_RESOURCE_COORDINATE start = at(0, 1, 1, 0);
    D3D12_TILE_REGION_SIZE region = box(2, 2, 1);
    struct recording recording = begin_commands();
    change(recording.list, tiled.resource, D3D12_RESOURCE_STATE_COMMON, D3D12_RESOURCE_STATE_COPY_DEST);
    ID3D12GraphicsCommandList_CopyTiles(recording.list, tiled.resource, &start, &region, upload, 0,
                                        D3D12_TILE_COPY_FLAG_LINEAR_BUFFER_TO_SWIZZLED_TILED_RESOURCE);
    change(recording.list, tiled.resource, D3D12_RESOURCE_STATE_COPY_DEST, D3D12_RESOURCE_STATE_COMMON);
    run_commands(recording);
    uint8_t *wanted = blank(&tiled);
    put_tiles(&tiled, wanted, start, &region, contents);
    uint32_t wrong = wrong_rows(&tiled, wanted);
    free(wanted);
    ID3D12Resource_Release(upload);
    drop_tiled(&tiled);
    if (wrong) skip("its CopyTiles does not copy");
}

// --- Tiles ---------------------------------------------------------------------------------------------

static storage_request to_tiles(const struct tiled *tiled, D3D12_TILED_RESOURCE_COORDINATE start,
                                D3D12_TILE_REGION_SIZE region, uint64_t offset) {
    storage_request request = read_request(file, offset, NULL, region.NumTiles * TILE_BYTES);
    request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_TILES);
    request.destination = (storage_destination){0};
    request.destination.tiles.resource = (IUnknown *)tiled->resource;
    memcpy(request.destination.tiles.start, &start, sizeof start);
    memcpy(&request.destination.tiles.num_tiles, &region, sizeof region);
    return request;
}

static void fill(const char *what, const struct tiled *tiled, D3D12_TILED_RESOURCE_COORDINATE start,
                 D3D12_TILE_REGION_SIZE region) {
    uint64_t offset = 1000 + start.X;
    fill_texture(tiled->resource, &tiled->desc, tiled->count);
    uint8_t *wanted = blank(tiled);
    put_tiles(tiled, wanted, start, &region, contents + offset);
    ok_hr(run(factory, queue, to_tiles(tiled, start, region, offset)), S_OK);
    uint32_t wrong = wrong_rows(tiled, wanted);
    ok(!wrong, "%s, %u of %u at %u %u %u: %u rows are wrong", what, region.NumTiles, start.Subresource,
       start.X, start.Y, start.Z, wrong);
    free(wanted);
}

static uint32_t shape_bytes(const struct tiled *tiled) {
    const D3D12_TILE_SHAPE *shape = &tiled->shape;
    return shape->WidthInTexels / tiled->block * (shape->HeightInTexels / tiled->block) *
           shape->DepthInTexels * tiled->texel_bytes;
}

// Every kind of region that a texture has room for.
static void fill_kinds(const char *what, struct tiled tiled) {
    must(make_tiled(&tiled));
    if (shape_bytes(&tiled) != TILE_BYTES) {
        // Lavapipe of Mesa 25.0 counts a compressed format's blocks where Vulkan wants texels.
        printf("SKIPPED: %s: tiles of this d3d12 have %u bytes\n", what, shape_bytes(&tiled));
        drop_tiled(&tiled);
        return;
    }
    const D3D12_SUBRESOURCE_TILING *first = &tiled.tilings[0];
    uint32_t width = first->WidthInTiles, one = tiles_of(&tiled, 0), two = tiles_of(&tiled, 1);
    uint16_t height = first->HeightInTiles, depth = first->DepthInTiles;
    fill(what, &tiled, at(0, 0, 0, 0), tiles(1));
    fill(what, &tiled, at(0, 0, 0, 0), tiles(one));
    fill(what, &tiled, at(0, 0, 0, 0), box(width, height, depth));
    fill(what, &tiled, at(0, width - 1, height - 1, depth - 1), box(1, 1, 1));
    fill(what, &tiled, at(0, width / 2, height / 2, depth / 2),
         box(width - width / 2, height - height / 2, depth - depth / 2));
    if (height > 1) fill(what, &tiled, at(0, width - 1, 0, 0), tiles(2));
    // On into the next level.
    if (two) fill(what, &tiled, at(0, width - 1, height - 1, depth - 1), tiles(1 + two));
    drop_tiled(&tiled);
}

static void tiles_arrive(uint32_t tier) {
    fill_kinds("rgba", rgba());
    // Slices that have packed levels are more than every tier has.
    fill_kinds("slices", (struct tiled){.desc = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 256, 200, 3, 1),
                                        .count = 3, .texel_bytes = 4, .block = 1});
    fill_kinds("bytes", (struct tiled){.desc = texture_2d(DXGI_FORMAT_R8_UNORM, 1024, 700, 1, 3),
                                       .count = 3, .texel_bytes = 1, .block = 1});
    fill_kinds("halves", (struct tiled){.desc = texture_2d(DXGI_FORMAT_R16G16B16A16_FLOAT, 512, 256, 1, 2),
                                        .count = 2, .texel_bytes = 8, .block = 1});
    fill_kinds("bc1", (struct tiled){.desc = texture_2d(DXGI_FORMAT_BC1_UNORM, 2048, 1024, 1, 3),
                                     .count = 3, .texel_bytes = 8, .block = 4});
    fill_kinds("bc7", (struct tiled){.desc = texture_2d(DXGI_FORMAT_BC7_UNORM, 1000, 600, 1, 2),
                                     .count = 2, .texel_bytes = 16, .block = 4});
    if (tier < 3) return;
    struct tiled volume = {.desc = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 70, 64, 40, 2),
                           .count = 2, .texel_bytes = 4, .block = 1};
    volume.desc.Dimension = D3D12_RESOURCE_DIMENSION_TEXTURE3D;
    fill_kinds("volume", volume);
}

static void compressed_tiles_arrive(void) {
    struct tiled tiled = rgba();
    must(make_tiled(&tiled));
    fill_texture(tiled.resource, &tiled.desc, tiled.count);
    storage_codec *codec;
    must(create_codec(COMPRESSION_GDEFLATE, 1, &IID_CODEC, (void **)&codec));
    D3D12_TILE_REGION_SIZE region = box(2, 3, 1);
    uint32_t bytes = region.NumTiles * TILE_BYTES;
    SIZE_T written = 0, bound = codec->methods->CompressBufferBound(codec, bytes);
    uint8_t *stream = malloc(bound), *wanted = blank(&tiled);
    must(codec->methods->CompressBuffer(codec, contents, bytes, LEVEL_FASTEST, stream, bound, &written));
    codec->methods->Release(codec);
    storage_queue *memory = make_device_queue(factory, SOURCE_MEMORY, CAPACITY);
    storage_request request = to_tiles(&tiled, at(0, 1, 0, 0), region, 0);
    request.options.types = REQUEST_TYPES(SOURCE_MEMORY, DESTINATION_TILES);
    request.options.compression_format = COMPRESSION_GDEFLATE;
    request.source.memory.source = stream;
    request.source.memory.size = (uint32_t)written;
    request.uncompressed_size = bytes;
    ok_hr(run(factory, memory, request), S_OK);
    put_tiles(&tiled, wanted, at(0, 1, 0, 0), &region, contents);
    ok(!wrong_rows(&tiled, wanted), "compressed tiles");
    memory->methods->Release(memory);
    free(stream);
    free(wanted);
    drop_tiled(&tiled);
}

// What is not tiles goes to reserved textures as to any other, packed levels among it.
static void subresources_arrive(void) {
    struct tiled tiled = rgba();
    must(make_tiled(&tiled));
    fill_texture(tiled.resource, &tiled.desc, tiled.count);
    struct layout layout = layout_of(&tiled.desc, 0, tiled.count);
    storage_request request = read_request(file, 5, NULL, (uint32_t)layout.bytes);
    request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_MULTIPLE_SUBRESOURCES);
    request.destination = (storage_destination){0};
    request.destination.subresources.resource = (IUnknown *)tiled.resource;
    ok_hr(run(factory, queue, request), S_OK);
    ok(!wrong_rows(&tiled, contents + 5), "subresources");
    drop_tiled(&tiled);
}

static void expect(storage_request request, HRESULT wanted) {
    ok_hr(run(factory, queue, request), wanted);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    const storage_request *told = &record.first_failure.request.request;
    ok(record.failure_count == 1 && record.first_failure.result == wanted, "%u failures, %08lx",
       record.failure_count, (long)record.first_failure.result);
    ok(told->options.types == request.options.types &&
           !memcmp(&told->destination, &request.destination, sizeof told->destination),
       "the record's request");
}

static void buffers_have_tiles(void) {
    const uint64_t bytes = 5 * TILE_BYTES + 1000;
    struct tiled tiled = {.desc = {.Dimension = D3D12_RESOURCE_DIMENSION_BUFFER,
                                   .Width = bytes,
                                   .Height = 1,
                                   .DepthOrArraySize = 1,
                                   .MipLevels = 1,
                                   .SampleDesc = {.Count = 1},
                                   .Layout = D3D12_TEXTURE_LAYOUT_ROW_MAJOR},
                          .count = 1};
    must(make_tiled(&tiled));
    ok(tiles_of(&tiled, 0) == 6, "%u tiles", tiles_of(&tiled, 0));
    ok_hr(run(factory, queue, to_tiles(&tiled, at(0, 0, 0, 0), tiles(6), 3)), S_OK);
    ok_hr(run(factory, queue, to_tiles(&tiled, at(0, 2, 0, 0), tiles(2), 100)), S_OK);
    ok_hr(run(factory, queue, to_tiles(&tiled, at(0, 5, 0, 0), box(1, 1, 1), 200)), S_OK);
    uint8_t *found = read_buffer(tiled.resource, bytes);
    ok(!memcmp(found, contents + 3, 2 * TILE_BYTES), "before");
    ok(!memcmp(found + 2 * TILE_BYTES, contents + 100, 2 * TILE_BYTES), "two tiles");
    ok(!memcmp(found + 4 * TILE_BYTES, contents + 3 + 4 * TILE_BYTES, TILE_BYTES), "behind");
    ok(!memcmp(found + 5 * TILE_BYTES, contents + 200, 1000), "the last");
    free(found);
    storage_request request = read_request(file, 9, NULL, 70000);
    ok_hr(run(factory, queue, to_buffer(request, tiled.resource, 11, 70000)), S_OK);
    found = read_buffer(tiled.resource, bytes);
    ok(!memcmp(found + 11, contents + 9, 70000), "a range");
    free(found);
    expect(to_tiles(&tiled, at(0, 5, 0, 0), tiles(2), 0), E_INVALIDARG);
    expect(to_tiles(&tiled, at(0, UINT32_MAX, 0, 0), tiles(1), 0), E_INVALIDARG);
    drop_tiled(&tiled);
}

// --- What cannot be ------------------------------------------------------------------------------------

static void expect_refusal(const struct tiled *tiled, D3D12_TILED_RESOURCE_COORDINATE start,
                           D3D12_TILE_REGION_SIZE region) {
    storage_request request = to_tiles(tiled, start, region, 0);
    // Enough for whatever it would be.
    request.source.file.size = request.uncompressed_size = 64 * TILE_BYTES;
    expect(request, E_INVALIDARG);
}

static void what_cannot_be_is_said(void) {
    struct tiled tiled = rgba();
    must(make_tiled(&tiled));
    fill_texture(tiled.resource, &tiled.desc, tiled.count);
    uint32_t width = tiled.tilings[0].WidthInTiles, height = tiled.tilings[0].HeightInTiles;
    expect_refusal(&tiled, at(0, 0, 0, 0), tiles(0));
    expect_refusal(&tiled, at(0, width, 0, 0), tiles(1));
    expect_refusal(&tiled, at(0, 0, height, 0), tiles(1));
    expect_refusal(&tiled, at(0, 0, 0, 1), tiles(1));
    expect_refusal(&tiled, at(0, 1, 0, 0), box(width, 1, 1));
    expect_refusal(&tiled, at(0, 0, 1, 0), box(1, (uint16_t)height, 1));
    expect_refusal(&tiled, at(0, 0, 0, 0), box(1, 1, 2));
    expect_refusal(&tiled, at(0, UINT32_MAX, UINT32_MAX, UINT32_MAX), box(2, 2, 2));
    D3D12_TILE_REGION_SIZE region = box(2, 2, 1);
    region.NumTiles = 3;
    expect_refusal(&tiled, at(0, 0, 0, 0), region);
    expect_refusal(&tiled, at(0, 0, 0, 0), box(0, 0, 0));
    expect_refusal(&tiled, at(0, 0, 0, 0), tiles(UINT32_MAX));
    expect_refusal(&tiled, at(tiled.count, 0, 0, 0), tiles(1));
    expect_refusal(&tiled, at(UINT32_MAX, 0, 0, 0), tiles(1));
    // Into packed levels, or what is behind the last one, where a d3d12 packs none.
    uint32_t standard = tiled.packed.NumStandardMips, here = 0;
    for (uint32_t i = 0; i < standard; i++) here += tiles_of(&tiled, i);
    expect_refusal(&tiled, at(standard, 0, 0, 0), tiles(1));
    expect_refusal(&tiled, at(0, 0, 0, 0), tiles(here + 1));
    storage_request request = to_tiles(&tiled, at(0, 0, 0, 0), tiles(2), 0);
    request.source.file.size = request.uncompressed_size -= 1;
    expect(request, E_INVALIDARG);
    request = to_tiles(&tiled, at(0, 0, 0, 0), tiles(2), FILE_BYTES - TILE_BYTES);
    expect(request, E_DSTORAGE_END_OF_FILE);
    request.destination.tiles.resource = NULL;
    expect(request, E_DSTORAGE_ACCESS_VIOLATION);
    // What has no tiles.
    ID3D12Resource *buffer = make_buffer(4 * TILE_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    request = to_tiles(&tiled, at(0, 0, 0, 0), tiles(1), 0);
    request.destination.tiles.resource = (IUnknown *)buffer;
    expect(request, E_INVALIDARG);
    ID3D12Resource_Release(buffer);
    D3D12_RESOURCE_DESC desc = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 256, 256, 1, 1);
    ID3D12Resource *texture = make_texture(&desc, 1);
    request.destination.tiles.resource = (IUnknown *)texture;
    expect(request, E_INVALIDARG);
    ID3D12Resource_Release(texture);
    uint8_t *wanted = blank(&tiled);
    ok(!wrong_rows(&tiled, wanted), "something was written");
    free(wanted);
    ok_hr(run(factory, queue, to_tiles(&tiled, at(0, 0, 0, 0), tiles(here), 0)), S_OK);
    drop_tiled(&tiled);
}

int main(void) {
    load_dll();
    make_device();
    contents = malloc(FILE_BYTES);
    // Every tile differs from every other.
    for (uint32_t i = 0; i < FILE_BYTES; i++) contents[i] = pattern(i) ^ (uint8_t)(i >> 16);
    FILE *out = _wfopen(L"data", L"wb");
    if (!out || fwrite(contents, 1, FILE_BYTES, out) != FILE_BYTES || fclose(out)) exit(1);
    try_tiles();
    D3D12_FEATURE_DATA_D3D12_OPTIONS options = {0};
    ID3D12Device_CheckFeatureSupport(device, D3D12_FEATURE_D3D12_OPTIONS, &options, sizeof options);
    factory = factory_or_exit();
    file = open_file(factory, L"data");
    queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    tiles_arrive(options.TiledResourcesTier);
    compressed_tiles_arrive();
    subresources_arrive();
    buffers_have_tiles();
    what_cannot_be_is_said();
    queue->methods->Release(queue);
    file->methods->Release(file);
    factory->methods->Release(factory);
    return finish_d3d12_tests();
}
