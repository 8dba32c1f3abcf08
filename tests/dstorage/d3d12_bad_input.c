// d3d12_bad_input.c: destinations on a GPU that cannot be: the error in status and record, nothing written,
// and everything works as before.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "d3d12_texture.h"

#define FILE_BYTES (2u << 20)
#define LEVELS 3
#define BUFFER_BYTES 65536

static storage_factory *factory;
static storage_file *file;
static storage_queue *queue;
static ID3D12Resource *buffer, *texture;
static D3D12_RESOURCE_DESC desc;
static uint64_t payload_bytes;

static storage_request request_to(ID3D12Resource *resource, uint8_t type, uint64_t bytes) {
    storage_request request = read_request(file, 0, NULL, (uint32_t)bytes);
    request.options.types = REQUEST_TYPES(SOURCE_FILE, type);
    request.destination = (storage_destination){0};
    request.destination.buffer.resource = (IUnknown *)resource;
    return request;
}

static storage_request region_of(ID3D12Resource *resource, uint32_t subresource, D3D12_BOX box,
                                 uint64_t bytes) {
    storage_request request = request_to(resource, DESTINATION_TEXTURE_REGION, bytes);
    request.destination.texture.subresource_index = subresource;
    memcpy(request.destination.texture.region, &box, sizeof box);
    return request;
}

static storage_request range_of(ID3D12Resource *resource, uint32_t first, uint32_t count, uint64_t bytes) {
    storage_request request = request_to(resource, DESTINATION_MULTIPLE_SUBRESOURCES_RANGE, bytes);
    request.destination.subresources.first_subresource = first;
    request.destination.subresources.num_subresources = count;
    return request;
}

static storage_request all_from(ID3D12Resource *resource, uint32_t first, uint64_t bytes) {
    storage_request request = request_to(resource, DESTINATION_MULTIPLE_SUBRESOURCES, bytes);
    request.destination.subresources.first_subresource = first;
    return request;
}

static storage_request bytes_of(ID3D12Resource *resource, uint64_t offset, uint32_t bytes) {
    return to_buffer(read_request(file, 0, NULL, bytes), resource, offset, bytes);
}

// Alone, and as one of a batch whose others arrive.
static void refuse(const char *what, storage_request request, HRESULT wanted) {
    storage_error_record record;
    ok_hr(run(factory, queue, request), wanted);
    queue->methods->RetrieveErrorRecord(queue, &record);
    const storage_request *told = &record.first_failure.request.request;
    ok(record.failure_count == 1 && record.first_failure.result == wanted, "%s: %u failures, %08lx", what,
       record.failure_count, (long)record.first_failure.result);
    ok(told->options.types == request.options.types &&
           told->uncompressed_size == request.uncompressed_size &&
           !memcmp(&told->destination, &request.destination, sizeof told->destination),
       "%s: the record shows another request", what);
    storage_request good = bytes_of(buffer, BUFFER_BYTES - 16, 16);
    queue->methods->EnqueueRequest(queue, &good);
    queue->methods->EnqueueRequest(queue, &request);
    ok_hr(run(factory, queue, good), wanted);
    queue->methods->RetrieveErrorRecord(queue, &record);
    ok(record.failure_count == 1, "%s: %u failures of three", what, record.failure_count);
}

static const D3D12_BOX whole = {0, 0, 0, 64, 64, 1};

static void null_is_refused(void) {
    const HRESULT wanted = E_DSTORAGE_ACCESS_VIOLATION;
    refuse("null", bytes_of(NULL, 0, 10), wanted);
    refuse("null", region_of(NULL, 0, whole, payload_bytes), wanted);
    refuse("null", all_from(NULL, 0, payload_bytes), wanted);
    refuse("null", range_of(NULL, 0, LEVELS, payload_bytes), wanted);
    refuse("null", request_to(NULL, DESTINATION_TILES, 65536), wanted);
}

static void foreign_devices_are_refused(void) {
    ID3D12Device *own = device;
    device = another_device();
    if (device == own) {
        printf("there is one device a process: resources of another are not tried\n");
    } else {
        ID3D12Resource *bytes = make_unknown_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_DEFAULT);
        ID3D12Resource *texels =
            make_resource(&desc, D3D12_HEAP_TYPE_DEFAULT, D3D12_RESOURCE_STATE_COMMON);
        refuse("another device", bytes_of(bytes, 0, 10), E_INVALIDARG);
        refuse("another device", region_of(texels, 0, whole, payload_bytes), E_INVALIDARG);
        refuse("another device", all_from(texels, 0, payload_bytes), E_INVALIDARG);
        refuse("another device", range_of(texels, 0, LEVELS, payload_bytes), E_INVALIDARG);
        ID3D12Resource_Release(bytes);
        ID3D12Resource_Release(texels);
    }
    ID3D12Device_Release(device);
    device = own;
}

static void wrong_dimensions_are_refused(void) {
    refuse("a texture as a buffer", bytes_of(texture, 0, 16), E_INVALIDARG);
    refuse("a buffer as a texture", region_of(buffer, 0, (D3D12_BOX){0, 0, 0, 4, 1, 1}, 16), E_INVALIDARG);
    refuse("a buffer as a texture", all_from(buffer, 0, payload_bytes), E_INVALIDARG);
    refuse("a buffer as a texture", range_of(buffer, 0, 1, payload_bytes), E_INVALIDARG);
}

static void what_is_too_small_is_refused(void) {
    refuse("behind the end", bytes_of(buffer, BUFFER_BYTES - 9, 10), E_INVALIDARG);
    refuse("behind the end", bytes_of(buffer, BUFFER_BYTES, 1), E_INVALIDARG);
    refuse("behind every end", bytes_of(buffer, UINT64_MAX - 4, 10), E_INVALIDARG);
    refuse("larger than the buffer", bytes_of(buffer, 0, BUFFER_BYTES + 1), E_INVALIDARG);
    storage_request request = bytes_of(buffer, 0, 10);
    request.destination.buffer.size = 9;
    refuse("another size", request, E_DSTORAGE_INVALID_DESTINATION_SIZE);
    ID3D12Resource *upload = make_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_UPLOAD);
    refuse("an upload heap", bytes_of(upload, 0, 10), E_INVALIDARG);
    ID3D12Resource_Release(upload);
}

static void regions_outside_are_refused(void) {
    static const struct {
        uint32_t subresource;
        D3D12_BOX box;
    } regions[] = {
        {0, {0, 0, 0, 65, 64, 1}},  {0, {0, 0, 0, 64, 65, 1}},  {0, {0, 0, 0, 64, 64, 2}},
        {0, {64, 0, 0, 65, 64, 1}}, {0, {0, 64, 0, 64, 65, 1}}, {0, {0, 0, 1, 64, 64, 2}},
        {0, {9, 0, 0, 9, 64, 1}},   {0, {9, 0, 0, 8, 64, 1}},   {0, {0, 9, 0, 64, 9, 1}},
        {0, {0, 0, 0, 64, 64, 0}},  {1, {0, 0, 0, 33, 32, 1}},  {2, {0, 0, 0, 16, 17, 1}},
        {LEVELS, {0, 0, 0, 1, 1, 1}},
        {UINT32_MAX, {0, 0, 0, 1, 1, 1}},
        {0, {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}},
        {0, {0, 0, 0, UINT32_MAX, UINT32_MAX, UINT32_MAX}},
    };
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++)
        refuse("a region", region_of(texture, regions[i].subresource, regions[i].box, 1 << 20), E_INVALIDARG);
}

static void subresources_past_the_end_are_refused(void) {
    refuse("past the end", all_from(texture, LEVELS, payload_bytes), E_INVALIDARG);
    refuse("past the end", all_from(texture, UINT32_MAX, payload_bytes), E_INVALIDARG);
    refuse("past the end", range_of(texture, LEVELS, 1, payload_bytes), E_INVALIDARG);
    refuse("past the end", range_of(texture, 0, LEVELS + 1, payload_bytes), E_INVALIDARG);
    refuse("past the end", range_of(texture, 1, UINT32_MAX, payload_bytes), E_INVALIDARG);
    refuse("past the end", range_of(texture, UINT32_MAX, 2, payload_bytes), E_INVALIDARG);
    refuse("none", range_of(texture, 0, 0, payload_bytes), E_INVALIDARG);
}

static void payloads_that_are_too_short_are_refused(void) {
    struct layout second = layout_of(&desc, 1, 1);
    D3D12_BOX part = {8, 8, 0, 24, 40, 1};
    // Rows of 64 bytes, 256 apart, but for the last.
    uint64_t part_bytes = 31 * 256 + 64;
    refuse("too short", all_from(texture, 0, payload_bytes - 1), E_INVALIDARG);
    refuse("too short", range_of(texture, 1, 1, second.bytes - 1), E_INVALIDARG);
    refuse("too short", region_of(texture, 0, part, part_bytes - 1), E_INVALIDARG);
    refuse("too short", region_of(texture, 0, whole, 16), E_INVALIDARG);
    storage_request request = all_from(texture, 0, payload_bytes);
    request.options.compression_format = COMPRESSION_GDEFLATE;
    request.uncompressed_size = (uint32_t)payload_bytes - 1;
    refuse("too short after decompression", request, E_INVALIDARG);
}

// Of a texture with samples there are no footprints.
static void samples_are_refused(void) {
    D3D12_RESOURCE_DESC with_samples = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 64, 64, 1, 1);
    with_samples.SampleDesc.Count = 4;
    with_samples.Flags = D3D12_RESOURCE_FLAG_ALLOW_RENDER_TARGET;
    ID3D12Resource *made =
        make_resource(&with_samples, D3D12_HEAP_TYPE_DEFAULT, D3D12_RESOURCE_STATE_COMMON);
    refuse("samples", all_from(made, 0, 1 << 20), E_INVALIDARG);
    refuse("samples", region_of(made, 0, whole, 1 << 20), E_INVALIDARG);
    ID3D12Resource_Release(made);
}

// D3D12 tells nobody what state a resource is in: such a request is carried out as if it were in the right
// one. What becomes of the bytes is not defined; that the process and what comes behind live, is asked here.
static void wrong_states_are_survived(void) {
    static const D3D12_RESOURCE_STATES states[] = {D3D12_RESOURCE_STATE_COPY_SOURCE,
                                                   D3D12_RESOURCE_STATE_COPY_DEST,
                                                   D3D12_RESOURCE_STATE_PIXEL_SHADER_RESOURCE};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        ID3D12Resource *made = make_resource(&desc, D3D12_HEAP_TYPE_DEFAULT, states[i]);
        HRESULT result = run(factory, queue, all_from(made, 0, payload_bytes));
        ok(result != E_PENDING, "state %x: no answer", states[i]);
        ID3D12Resource_Release(made);
    }
    ok_hr(ID3D12Device_GetDeviceRemovedReason(device), S_OK);
}

static void nothing_was_written(void) {
    uint8_t *bytes = read_buffer(buffer, BUFFER_BYTES);
    uint32_t written = 0;
    for (uint32_t i = 0; i < BUFFER_BYTES - 16; i++) written += bytes[i] != 0;
    ok(!written, "%u bytes of the buffer were written", written);
    ok(has_pattern(bytes + BUFFER_BYTES - 16, 0, 16), "the good ones");
    free(bytes);
    struct layout layout = layout_of(&desc, 0, LEVELS);
    bytes = read_texture(texture, &desc, LEVELS);
    for (uint32_t i = 0; i < LEVELS; i++)
        for (uint32_t row = 0; row < layout.rows[i]; row++)
            for (uint32_t x = 0; x < layout.row_bytes[i]; x++)
                written += bytes[layout.footprints[i].Offset + row * layout.footprints[i].Footprint.RowPitch +
                                 x] != 0x55;
    ok(!written, "%u bytes of the texture were written", written);
    free(bytes);
}

int main(void) {
    load_dll();
    make_device();
    make_file(L"data", FILE_BYTES);
    desc = texture_2d(DXGI_FORMAT_R8G8B8A8_UNORM, 64, 64, 1, LEVELS);
    payload_bytes = layout_of(&desc, 0, LEVELS).bytes;
    factory = factory_or_exit();
    file = open_file(factory, L"data");
    queue = make_device_queue(factory, SOURCE_FILE, CAPACITY);
    buffer = make_buffer(BUFFER_BYTES, D3D12_HEAP_TYPE_DEFAULT);
    texture = make_texture(&desc, LEVELS);
    null_is_refused();
    foreign_devices_are_refused();
    wrong_dimensions_are_refused();
    what_is_too_small_is_refused();
    regions_outside_are_refused();
    subresources_past_the_end_are_refused();
    payloads_that_are_too_short_are_refused();
    samples_are_refused();
    wrong_states_are_survived();
    nothing_was_written();
    ok_hr(run(factory, queue, all_from(texture, 0, payload_bytes)), S_OK);
    ID3D12Resource_Release(buffer);
    ID3D12Resource_Release(texture);
    queue->methods->Release(queue);
    file->methods->Release(file);
    factory->methods->Release(factory);
    return finish_d3d12_tests();
}
