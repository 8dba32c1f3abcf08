// decoder.c: GDeflate decoded by a device: its memory there, and the commands for a list of streams.
//
// Streams come from upload memory to the input, all of a list are decoded by one metacommand to the output,
// and go from there to their places. One queue runs the lists in their order, so all of them use the same
// input and output; only the control buffer, which the processor writes, is there once for each list.
//
// The memory stays for a while when nothing is left to do: drivers clear what they give, which takes longer
// than a small load. A timer of Windows' pool gives it back.
//
// The processor checks what a stream says of itself: its size, and where its tiles lie. What is in a tile
// only the GPU sees, and the metacommand tells of no tile that is broken, nor does anything here keep it from
// writing beyond its tile: whoever sets gpu_decode=gpu trusts the program's files.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "decoder.h"

#include <stdlib.h>

#include "metacommand.h"

#define INPUT_BYTES (UINT64_C(16) << 20)
#define OUTPUT_BYTES (UINT64_C(64) << 20)
#define STREAMS_MAX 256
// A stream with fewer tiles gains nothing on a GPU.
#define TILES_MIN 4
// Where a stream begins in the input.
#define STREAM_ALIGNMENT 256
#define CONTROL_BYTES (4 + STREAMS_MAX * 8)
// How long the memory stays unused, and by how much longer if that saves the processor a wake-up.
#define REST_MS 2000
#define REST_SLACK_MS 500
// Of a stream's header, which a table of as many words as there are tiles follows.
#define HEADER_BYTES 8

struct added {
    const struct place *place;
    uint32_t input_at, output_at;
};

struct decoder {
    ID3D12Device *device;
    IUnknown *command;
    uint32_t streams_max;
    uint64_t scratch_bytes;
    BOOL is_initialized;
    PTP_TIMER timer;
    // The memory is the pump's unless `is_idle`, which the lock guards; then it is the timer's as well.
    SRWLOCK lock;
    BOOL is_idle;
    ID3D12Resource *input, *output, *scratch, *control;
    uint8_t *control_mapped;
    uint64_t input_used, output_used;
    uint32_t added_count;
    struct added added[STREAMS_MAX];
};

static uint64_t align_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

// --- Life ----------------------------------------------------------------------------------------------

static HRESULT query(struct decoder *decoder) {
    struct metacommand_query_in in = {.version = 1, .stream_count = STREAMS_MAX, .format = 1};
    struct metacommand_query_out out = {0};
    struct feature_query_metacommand query = {.id = METACOMMAND_STORAGE,
                                              .in = &in,
                                              .in_bytes = sizeof in,
                                              .out = &out,
                                              .out_bytes = sizeof out};
    HRESULT result =
        ID3D12Device_CheckFeatureSupport(decoder->device, FEATURE_QUERY_METACOMMAND, &query, sizeof query);
    if (FAILED(result)) return result;
    decoder->streams_max = out.stream_count < STREAMS_MAX ? out.stream_count : STREAMS_MAX;
    decoder->scratch_bytes = out.scratch_bytes;
    return out.stream_count ? S_OK : DXGI_ERROR_UNSUPPORTED;
}

static HRESULT create_command(struct decoder *decoder) {
    device5 *device;
    HRESULT result = ID3D12Device_QueryInterface(decoder->device, &IID_DEVICE5, (void **)&device);
    if (FAILED(result)) return result;
    struct metacommand_creation creation = {.version = 1, .format = 1, .stream_count = decoder->streams_max};
    result = device->methods->CreateMetaCommand(device, &METACOMMAND_STORAGE, 0, &creation, sizeof creation,
                                                &IID_METACOMMAND, (void **)&decoder->command);
    IUnknown_Release((IUnknown *)device);
    return result;
}

static void drop(ID3D12Resource **resource) {
    if (*resource) ID3D12Resource_Release(*resource);
    *resource = NULL;
}

static void drop_memory(struct decoder *decoder) {
    drop(&decoder->input);
    drop(&decoder->output);
    drop(&decoder->scratch);
    drop(&decoder->control);
}

static void CALLBACK rest_is_over(PTP_CALLBACK_INSTANCE instance, void *context, PTP_TIMER timer) {
    (void)instance, (void)timer;
    struct decoder *decoder = context;
    AcquireSRWLockExclusive(&decoder->lock);
    if (decoder->is_idle) drop_memory(decoder);
    ReleaseSRWLockExclusive(&decoder->lock);
}

static void set_idle(struct decoder *decoder, BOOL is_idle) {
    AcquireSRWLockExclusive(&decoder->lock);
    decoder->is_idle = is_idle;
    ReleaseSRWLockExclusive(&decoder->lock);
}

void decoder_rest(struct decoder *decoder) {
    if (!decoder || decoder->is_idle) return;
    // In units of 100 ns; negative from now on.
    LARGE_INTEGER due = {.QuadPart = INT64_C(-10000) * REST_MS};
    FILETIME time = {.dwLowDateTime = due.LowPart, .dwHighDateTime = (DWORD)due.HighPart};
    set_idle(decoder, TRUE);
    SetThreadpoolTimer(decoder->timer, &time, 0, REST_SLACK_MS);
}

void decoder_free(struct decoder *decoder) {
    if (!decoder) return;
    if (decoder->timer) {
        SetThreadpoolTimer(decoder->timer, NULL, 0, 0);
        WaitForThreadpoolTimerCallbacks(decoder->timer, TRUE);
        CloseThreadpoolTimer(decoder->timer);
    }
    drop_memory(decoder);
    if (decoder->command) IUnknown_Release(decoder->command);
    free(decoder);
}

struct decoder *decoder_make(ID3D12Device *device) {
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder) return NULL;
    decoder->device = device;
    decoder->is_idle = TRUE;
    HRESULT result = query(decoder);
    if (SUCCEEDED(result)) result = create_command(decoder);
    if (SUCCEEDED(result)) {
        decoder->timer = CreateThreadpoolTimer(rest_is_over, decoder, NULL);
        if (!decoder->timer) result = E_OUTOFMEMORY;
    }
    if (SUCCEEDED(result)) return decoder;
    log_line("gpu_decode=gpu: the device does not decode GDeflate (%08lx): the processor does", result);
    decoder_free(decoder);
    return NULL;
}

// --- Memory --------------------------------------------------------------------------------------------

static HRESULT make_buffer(struct decoder *decoder, const D3D12_HEAP_PROPERTIES *heap,
                           D3D12_RESOURCE_STATES state, uint64_t bytes, ID3D12Resource **out) {
    D3D12_RESOURCE_DESC desc = {.Dimension = D3D12_RESOURCE_DIMENSION_BUFFER,
                                .Width = bytes,
                                .Height = 1,
                                .DepthOrArraySize = 1,
                                .MipLevels = 1,
                                .SampleDesc = {.Count = 1},
                                .Layout = D3D12_TEXTURE_LAYOUT_ROW_MAJOR,
                                .Flags = D3D12_RESOURCE_FLAG_ALLOW_UNORDERED_ACCESS};
    return ID3D12Device_CreateCommittedResource(decoder->device, heap, D3D12_HEAP_FLAG_NONE, &desc, state,
                                                NULL, &IID_ID3D12Resource, (void **)out);
}

// Upload heaps are never in the state that the metacommand wants.
static HRESULT make_control(struct decoder *decoder) {
    const D3D12_HEAP_PROPERTIES heap = {.Type = D3D12_HEAP_TYPE_CUSTOM,
                                        .CPUPageProperty = D3D12_CPU_PAGE_PROPERTY_WRITE_COMBINE,
                                        .MemoryPoolPreference = D3D12_MEMORY_POOL_L0};
    const D3D12_RANGE nothing_read = {0, 0};
    HRESULT result = make_buffer(decoder, &heap, D3D12_RESOURCE_STATE_UNORDERED_ACCESS,
                                 DECODER_SLOTS * align_up(CONTROL_BYTES, STREAM_ALIGNMENT),
                                 &decoder->control);
    if (FAILED(result)) return result;
    return ID3D12Resource_Map(decoder->control, 0, &nothing_read, (void **)&decoder->control_mapped);
}

static HRESULT provide_memory(struct decoder *decoder) {
    const D3D12_HEAP_PROPERTIES heap = {.Type = D3D12_HEAP_TYPE_DEFAULT};
    const D3D12_RESOURCE_STATES common = D3D12_RESOURCE_STATE_COMMON;
    if (decoder->input) return S_OK;
    // One word, so that there is an address if the device wants none.
    uint64_t scratch_bytes = decoder->scratch_bytes ? decoder->scratch_bytes : 4;
    HRESULT result = make_control(decoder);
    if (SUCCEEDED(result)) result = make_buffer(decoder, &heap, common, scratch_bytes, &decoder->scratch);
    if (SUCCEEDED(result)) result = make_buffer(decoder, &heap, common, OUTPUT_BYTES, &decoder->output);
    if (SUCCEEDED(result)) result = make_buffer(decoder, &heap, common, INPUT_BYTES, &decoder->input);
    if (FAILED(result)) drop_memory(decoder);
    return result;
}

// --- Streams -------------------------------------------------------------------------------------------

static uint64_t tile_count(uint64_t decoded_bytes) {
    return align_up(decoded_bytes, TILE_BYTES) / TILE_BYTES;
}

BOOL decoder_takes(uint32_t stream_bytes, uint32_t decoded_bytes) {
    return tile_count(decoded_bytes) >= TILES_MIN && stream_bytes && stream_bytes <= INPUT_BYTES &&
           tile_count(decoded_bytes) * TILE_BYTES <= OUTPUT_BYTES;
}

BOOL decoder_has_room(const struct decoder *decoder, uint64_t stream_bytes, uint64_t decoded_bytes) {
    uint64_t output = tile_count(decoded_bytes) * TILE_BYTES;
    return decoder->added_count < decoder->streams_max &&
           stream_bytes <= INPUT_BYTES - decoder->input_used && output <= OUTPUT_BYTES - decoder->output_used;
}

static uint32_t word_at(const uint8_t *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

// Tiles lie one behind the other, none of them empty: the first at 0, the others where the table says; the
// table's first word is the size of the last.
static BOOL tiles_are_inside(const uint8_t *table, uint64_t count, uint64_t data_bytes) {
    uint64_t at = 0;
    for (uint64_t i = 1; i < count; i++) {
        uint64_t next = word_at(table + i * 4);
        if (next <= at) return FALSE;
        at = next;
    }
    uint64_t last = word_at(table);
    return last && at < data_bytes && last <= data_bytes - at;
}

// As the engine's own decoder reads a header; a last tile of 0 bytes is a full one.
static BOOL is_stream(const uint8_t *stream, uint64_t bytes, uint64_t decoded_bytes) {
    uint64_t count = tile_count(decoded_bytes), table_bytes = count * 4;
    if (bytes < HEADER_BYTES + table_bytes) return FALSE;
    uint32_t first = word_at(stream), second = word_at(stream + 4);
    uint32_t last = second >> 2 & 0x3FFFF, wanted = decoded_bytes % TILE_BYTES;
    if ((first & 0xFF) != (~(first >> 8) & 0xFF) || (second & 3) != 1 || first >> 16 != count) return FALSE;
    if (last != wanted && !(wanted == 0 && last == TILE_BYTES)) return FALSE;
    return tiles_are_inside(stream + HEADER_BYTES, count, bytes - HEADER_BYTES - table_bytes);
}

HRESULT decoder_add(struct decoder *decoder, ID3D12GraphicsCommandList *list, const struct place *place,
                    ID3D12Resource *memory, uint64_t from, const uint8_t *stream) {
    if (!is_stream(stream, place->bytes, place->decoded_bytes)) return E_FAIL;
    set_idle(decoder, FALSE);
    HRESULT result = provide_memory(decoder);
    if (FAILED(result)) return result;
    struct added *added = &decoder->added[decoder->added_count++];
    *added = (struct added){.place = place,
                            .input_at = (uint32_t)decoder->input_used,
                            .output_at = (uint32_t)decoder->output_used};
    ID3D12GraphicsCommandList_CopyBufferRegion(list, decoder->input, added->input_at, memory, from,
                                               place->bytes);
    // No further than the end, so that what is left is never less than nothing.
    uint64_t end = align_up(decoder->input_used + place->bytes, STREAM_ALIGNMENT);
    decoder->input_used = end < INPUT_BYTES ? end : INPUT_BYTES;
    decoder->output_used += tile_count(place->decoded_bytes) * TILE_BYTES;
    return S_OK;
}

// --- Lists ---------------------------------------------------------------------------------------------

static void change(ID3D12GraphicsCommandList *list, ID3D12Resource *resource, D3D12_RESOURCE_STATES from,
                   D3D12_RESOURCE_STATES to) {
    D3D12_RESOURCE_BARRIER barrier = {.Type = D3D12_RESOURCE_BARRIER_TYPE_TRANSITION};
    barrier.Transition.pResource = resource;
    barrier.Transition.Subresource = D3D12_RESOURCE_BARRIER_ALL_SUBRESOURCES;
    barrier.Transition.StateBefore = from;
    barrier.Transition.StateAfter = to;
    ID3D12GraphicsCommandList_ResourceBarrier(list, 1, &barrier);
}

static struct metacommand_buffer whole(ID3D12Resource *resource, uint64_t bytes) {
    return (struct metacommand_buffer){ID3D12Resource_GetGPUVirtualAddress(resource), bytes};
}

static void execute(struct decoder *decoder, list4 *list, uint32_t slot) {
    uint64_t control_at = slot * align_up(CONTROL_BYTES, STREAM_ALIGNMENT);
    uint32_t *control = (uint32_t *)(decoder->control_mapped + control_at);
    *control++ = decoder->added_count;
    for (uint32_t i = 0; i < decoder->added_count; i++) {
        *control++ = decoder->added[i].input_at;
        *control++ = decoder->added[i].output_at;
    }
    struct metacommand_execution execution = {.input = whole(decoder->input, INPUT_BYTES),
                                              .output = whole(decoder->output, OUTPUT_BYTES),
                                              .control = whole(decoder->control, CONTROL_BYTES),
                                              .scratch = whole(decoder->scratch, decoder->scratch_bytes),
                                              .stream_count = decoder->added_count};
    execution.control.address += control_at;
    if (!decoder->is_initialized)
        list->methods->InitializeMetaCommand(list, decoder->command, NULL, 0);
    decoder->is_initialized = TRUE;
    list->methods->ExecuteMetaCommand(list, decoder->command, &execution, sizeof execution);
}

HRESULT decoder_finish(struct decoder *decoder, ID3D12GraphicsCommandList *list, uint32_t slot) {
    const D3D12_RESOURCE_STATES access = D3D12_RESOURCE_STATE_UNORDERED_ACCESS;
    list4 *with_metacommands;
    if (!decoder->added_count) return S_OK;
    HRESULT result = ID3D12GraphicsCommandList_QueryInterface(list, &IID_LIST4, (void **)&with_metacommands);
    if (SUCCEEDED(result)) {
        change(list, decoder->input, D3D12_RESOURCE_STATE_COPY_DEST, access);
        change(list, decoder->output, D3D12_RESOURCE_STATE_COMMON, access);
        change(list, decoder->scratch, D3D12_RESOURCE_STATE_COMMON, access);
        execute(decoder, with_metacommands, slot);
        change(list, decoder->output, access, D3D12_RESOURCE_STATE_COPY_SOURCE);
        IUnknown_Release((IUnknown *)with_metacommands);
        for (uint32_t i = 0; i < decoder->added_count; i++)
            place_record_plain(decoder->added[i].place, list, decoder->output, decoder->added[i].output_at, 0,
                               decoder->added[i].place->wanted_bytes);
    }
    decoder->added_count = 0;
    decoder->input_used = decoder->output_used = 0;
    return result;
}
