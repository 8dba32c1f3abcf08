// d3d12_textures.c: D3D12 textures as destinations, read back and compared byte for byte.
//
// The file holds a pattern; what counts of it is where D3D12's footprints say that rows lie.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "d3d12_texture.h"

#define FILE_BYTES (8u << 20)

static storage_factory *factory;
static storage_file *file;
static storage_queue *queue;

// How many rows of subresource `which` are not the pattern of a payload that begins at `offset` with
// subresource `first`; with an offset of UINT64_MAX, are not untouched.
static uint32_t wrong_rows(const uint8_t *bytes, const D3D12_RESOURCE_DESC *desc, uint32_t count,
                           uint32_t which, uint32_t first, uint64_t offset) {
    struct layout all = layout_of(desc, 0, count), part = layout_of(desc, first, which - first + 1);
    const D3D12_PLACED_SUBRESOURCE_FOOTPRINT *at = &all.footprints[which];
    const uint8_t *found = bytes + at->Offset;
    if (offset != UINT64_MAX)
        return wrong_rows_of(found, &all, which, offset + part.footprints[which - first].Offset);
    uint32_t wrong = 0;
    for (uint32_t row = 0; row < all.rows[which] * at->Footprint.Depth; row++) {
        for (uint64_t i = 0; i < all.row_bytes[which]; i++) wrong += found[i] != 0x55;
        found += at->Footprint.RowPitch;
    }
    return wrong;
}

static storage_request read_to_texture(ID3D12Resource *texture, uint8_t type, uint64_t offset,
                                       uint64_t bytes) {
    return to_texture(read_request(file, offset, NULL, (uint32_t)bytes), texture, type);
}

static storage_request to_range(ID3D12Resource *texture, const D3D12_RESOURCE_DESC *desc, uint32_t first,
                                uint32_t count, uint64_t offset) {
    uint64_t bytes = layout_of(desc, first, count).bytes;
    storage_request request =
        read_to_texture(texture, DESTINATION_MULTIPLE_SUBRESOURCES_RANGE, offset, bytes);
    request.destination.subresources.first_subresource = first;
    request.destination.subresources.num_subresources = count;
    return request;
}

// From `first` on; `range` of them, or all if that is 0.
static void fill(const char *what, const D3D12_RESOURCE_DESC *desc, uint32_t count, uint32_t first,
                 uint32_t range) {
    uint32_t end = range ? first + range : count;
    uint64_t offset = 4000 + first;
    ID3D12Resource *texture = make_texture(desc, count);
    storage_request request = to_range(texture, desc, first, end - first, offset);
    if (!range) request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_MULTIPLE_SUBRESOURCES);
    ok_hr(run(factory, queue, request), S_OK);
    uint8_t *bytes = read_texture(texture, desc, count);
    for (uint32_t i = 0; i < count; i++) {
        BOOL inside = i >= first && i < end;
        uint32_t wrong =
            wrong_rows(bytes, desc, count, i, inside ? first : i, inside ? offset : UINT64_MAX);
        ok(!wrong, "%s, %u to %u: subresource %u: %u are wrong", what, first, end, i, wrong);
    }
    free(bytes);
    ID3D12Resource_Release(texture);
}

static void subresources_arrive(void) {
    D3D12_RESOURCE_DESC rgba = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 100, 60, 3, 4);
    D3D12_RESOURCE_DESC bytes = texture_2d(DXGI_FORMAT_R8_UNORM, 257, 3, 1, 1);
    D3D12_RESOURCE_DESC bc7 = texture_2d(DXGI_FORMAT_BC7_UNORM, 1000, 500, 1, 5);
    D3D12_RESOURCE_DESC bc1 = texture_2d(DXGI_FORMAT_BC1_UNORM, 64, 64, 2, 7);
    D3D12_RESOURCE_DESC volume = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 20, 12, 9, 3);
    volume.Dimension = D3D12_RESOURCE_DIMENSION_TEXTURE3D;
    fill("rgba", &rgba, 12, 0, 0);
    fill("rgba", &rgba, 12, 5, 0);
    fill("rgba", &rgba, 12, 2, 7);
    fill("rgba", &rgba, 12, 11, 1);
    fill("bytes", &bytes, 1, 0, 0);
    fill("bc7", &bc7, 5, 0, 0);
    fill("bc7", &bc7, 5, 1, 3);
    fill("bc1", &bc1, 14, 0, 0);
    fill("bc1", &bc1, 14, 6, 2);
    fill("volume", &volume, 3, 0, 0);
    fill("volume", &volume, 3, 1, 1);
}

// What is drawn with depth, by whole subresources.
static void depth_arrives(void) {
    D3D12_RESOURCE_DESC depth16 = texture_2d(DXGI_FORMAT_D16_UNORM, 100, 60, 2, 3);
    D3D12_RESOURCE_DESC depth32 = texture_2d(DXGI_FORMAT_D32_FLOAT, 100, 60, 1, 1);
    depth16.Flags = depth32.Flags = D3D12_RESOURCE_FLAG_ALLOW_DEPTH_STENCIL;
    fill("depth 16", &depth16, 6, 0, 0);
    fill("depth 16", &depth16, 6, 2, 2);
    fill("depth 32", &depth32, 1, 0, 0);
}

// A region's payload is laid out as if it were a texture by itself.
static void fill_region(const char *what, const D3D12_RESOURCE_DESC *desc, uint32_t count, uint32_t which,
                        D3D12_BOX box) {
    const uint64_t offset = 77;
    uint32_t block = desc->Format == DXGI_FORMAT_BC7_UNORM ? 4 : 1;
    D3D12_RESOURCE_DESC part = *desc;
    part.Width = (box.right - box.left + block - 1) / block * block;
    part.Height = (box.bottom - box.top + block - 1) / block * block;
    part.DepthOrArraySize = (uint16_t)(box.back - box.front);
    part.MipLevels = 1;
    struct layout wanted = layout_of(&part, 0, 1), all = layout_of(desc, 0, count);
    ID3D12Resource *texture = make_texture(desc, count);
    storage_request request = read_to_texture(texture, DESTINATION_TEXTURE_REGION, offset, wanted.bytes);
    request.destination.texture.subresource_index = which;
    memcpy(request.destination.texture.region, &box, sizeof box);
    ok_hr(run(factory, queue, request), S_OK);
    uint8_t *bytes = read_texture(texture, desc, count);
    // Inside the box by rows; then these are made untouched, and all must be.
    uint64_t texel_bytes = block == 4 ? 16 : 4, row_bytes = wanted.row_bytes[0];
    const D3D12_PLACED_SUBRESOURCE_FOOTPRINT *to = &all.footprints[which];
    for (uint32_t z = 0; z < part.DepthOrArraySize; z++)
        for (uint32_t row = 0; row < wanted.rows[0]; row++) {
            uint64_t line = (uint64_t)(box.front + z) * all.rows[which] + box.top / block + row;
            uint8_t *at = bytes + to->Offset + line * to->Footprint.RowPitch + box.left / block * texel_bytes;
            uint64_t from = (uint64_t)(z * wanted.rows[0] + row) * wanted.footprints[0].Footprint.RowPitch;
            ok(has_pattern(at, offset + from, row_bytes), "%s: slice %u, row %u", what, z, row);
            memset(at, 0x55, row_bytes);
        }
    for (uint32_t i = 0; i < count; i++)
        ok(!wrong_rows(bytes, desc, count, i, i, UINT64_MAX), "%s: others in %u", what, i);
    free(bytes);
    ID3D12Resource_Release(texture);
}

static void regions_arrive(void) {
    D3D12_RESOURCE_DESC rgba = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 100, 60, 2, 3);
    D3D12_RESOURCE_DESC bc7 = texture_2d(DXGI_FORMAT_BC7_UNORM, 100, 60, 1, 7);
    D3D12_RESOURCE_DESC volume = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 20, 12, 9, 2);
    volume.Dimension = D3D12_RESOURCE_DIMENSION_TEXTURE3D;
    fill_region("whole", &rgba, 6, 0, (D3D12_BOX){0, 0, 0, 100, 60, 1});
    fill_region("part", &rgba, 6, 4, (D3D12_BOX){7, 3, 0, 44, 30, 1});
    fill_region("one texel", &rgba, 6, 5, (D3D12_BOX){24, 14, 0, 25, 15, 1});
    fill_region("blocks", &bc7, 7, 0, (D3D12_BOX){8, 4, 0, 100, 56, 1});
    fill_region("odd level", &bc7, 7, 1, (D3D12_BOX){0, 0, 0, 50, 30, 1});
    fill_region("less than a block", &bc7, 7, 6, (D3D12_BOX){0, 0, 0, 1, 1, 1});
    fill_region("volume", &volume, 2, 0, (D3D12_BOX){2, 1, 3, 11, 12, 8});
}

static void expect(storage_request request, HRESULT wanted) {
    ok_hr(run(factory, queue, request), wanted);
    storage_error_record record;
    queue->methods->RetrieveErrorRecord(queue, &record);
    const storage_request *told = &record.first_failure.request.request;
    ok(record.failure_count == 1 && told->options.types == request.options.types &&
           !memcmp(&told->destination, &request.destination, sizeof told->destination),
       "the record of %08lx", (long)wanted);
}

static void expect_region(ID3D12Resource *texture, uint32_t which, D3D12_BOX box) {
    storage_request request = read_to_texture(texture, DESTINATION_TEXTURE_REGION, 0, 1 << 20);
    request.destination.texture.subresource_index = which;
    memcpy(request.destination.texture.region, &box, sizeof box);
    expect(request, E_INVALIDARG);
}

static void what_cannot_be_is_said(void) {
    D3D12_RESOURCE_DESC bc7 = texture_2d(DXGI_FORMAT_BC7_UNORM, 64, 64, 1, 3);
    ID3D12Resource *texture = make_texture(&bc7, 3);
    storage_request request = to_range(texture, &bc7, 0, 3, 0);
    request.source.file.size = request.uncompressed_size -= 1;
    expect(request, E_INVALIDARG);
    request = to_range(texture, &bc7, 0, 3, 0);
    request.destination.subresources.num_subresources = 4;
    expect(request, E_INVALIDARG);
    request.destination.subresources.num_subresources = 0;
    expect(request, E_INVALIDARG);
    request.destination.subresources.num_subresources = UINT32_MAX;
    request.destination.subresources.first_subresource = 2;
    expect(request, E_INVALIDARG);
    request.options.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_MULTIPLE_SUBRESOURCES);
    request.destination.subresources.first_subresource = 3;
    expect(request, E_INVALIDARG);
    expect_region(texture, 3, (D3D12_BOX){0, 0, 0, 8, 8, 1});
    expect_region(texture, 0, (D3D12_BOX){0, 0, 0, 68, 64, 1});
    expect_region(texture, 0, (D3D12_BOX){2, 0, 0, 8, 8, 1});
    expect_region(texture, 0, (D3D12_BOX){0, 0, 0, 8, 6, 1});
    expect_region(texture, 0, (D3D12_BOX){8, 0, 0, 8, 8, 1});
    expect_region(texture, 0, (D3D12_BOX){8, 0, 0, 4, 8, 1});
    expect_region(texture, 0, (D3D12_BOX){0, 0, 0, 8, 8, 2});
    expect_region(texture, 0, (D3D12_BOX){0, 0, 0, UINT32_MAX, UINT32_MAX, UINT32_MAX});
    request = read_to_texture(texture, DESTINATION_BUFFER, 0, 16);
    request.destination.buffer.size = 16;
    expect(request, E_INVALIDARG);
    uint8_t *bytes = read_texture(texture, &bc7, 3);
    for (uint32_t i = 0; i < 3; i++)
        ok(!wrong_rows(bytes, &bc7, 3, i, i, UINT64_MAX), "something was written in %u", i);
    free(bytes);
    ok_hr(run(factory, queue, to_range(texture, &bc7, 0, 3, 0)), S_OK);
    ID3D12Resource_Release(texture);
}

// More than there is to fill is taken as far as it goes.
static void what_is_too_long_is_cut(void) {
    D3D12_RESOURCE_DESC bc7 = texture_2d(DXGI_FORMAT_BC7_UNORM, 64, 64, 1, 3);
    ID3D12Resource *texture = make_texture(&bc7, 3);
    storage_request request = to_range(texture, &bc7, 0, 3, 9);
    request.source.file.size = request.uncompressed_size += 100;
    ok_hr(run(factory, queue, request), S_OK);
    uint8_t *bytes = read_texture(texture, &bc7, 3);
    ok(!wrong_rows(bytes, &bc7, 3, 2, 0, 9), "the last level");
    free(bytes);
    ID3D12Resource_Release(texture);
}

int main(void) {
    load_dll();
    make_device();
    make_file(L"data", FILE_BYTES);
    factory = factory_or_exit();
    file = open_file(factory, L"data");
    queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    subresources_arrive();
    depth_arrives();
    regions_arrive();
    what_is_too_long_is_cut();
    what_cannot_be_is_said();
    queue->methods->Release(queue);
    file->methods->Release(file);
    factory->methods->Release(factory);
    return finish_d3d12_tests();
}
