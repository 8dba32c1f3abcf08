// upload.h: what place.c, uploader.c and blocks.c know of each other, and of D3D12.
//
// D3D12's declarations are mingw-w64's. Methods that answer a struct take a pointer to it, as C++ compilers
// make of them.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef UPLOAD_H
#define UPLOAD_H

#define COBJMACROS
#define WIDL_EXPLICIT_AGGREGATE_RETURNS
#include "glue.h"

#include <d3d12.h>

// Where a payload for a texture must begin in upload memory; enough for any other.
#define UPLOAD_ALIGNMENT D3D12_TEXTURE_DATA_PLACEMENT_ALIGNMENT

// A part of a resource, for one request. Holds the resource and the uploader.
struct place {
    struct uploader *uploader;
    ID3D12Resource *resource;
    D3D12_RESOURCE_DESC desc;
    BOOL is_buffer;
    BOOL is_region;
    BOOL is_tiles;
    uint64_t offset;       // of a buffer
    uint32_t first, count; // subresources of a texture
    D3D12_BOX region;      // of the first one
    D3D12_TILED_RESOURCE_COORDINATE tile_start;
    D3D12_TILE_REGION_SIZE tile_region;
    uint64_t bytes; // what is taken of a payload
    // For the GPU to decode: `bytes` is the stream's, and of what it becomes so much is wanted.
    BOOL is_compressed;
    uint64_t decoded_bytes, wanted_bytes;
};

// What mingw-w64 does not declare: a tile's size, and the first tile of a level that is packed.
#define TILE_BYTES 65536
#define TILE_PACKED UINT32_MAX

// Reads and checks a request's tiles. Of `place`, the resource is known.
HRESULT tiles_understand(struct place *place, const storage_request *request, uint32_t subresource_count);

ID3D12Device *uploader_device(const struct uploader *uploader);
// The reference that a place holds, as a queue does: a user's.
void uploader_reference(struct uploader *uploader);
// That of a block, which goes when the last user has gone.
void uploader_hold(struct uploader *uploader);
void uploader_let_go(struct uploader *uploader);

// Memory that stays mapped, and is ordinary memory for the processor. Holds the uploader.
struct block {
    struct uploader *uploader;
    ID3D12Resource *memory;
    uint8_t *mapped;
    uint64_t bytes;
};

// Of a device's: `uploader` is whose, or NULL for a trial.
HRESULT block_make(ID3D12Device *device, struct uploader *uploader, uint64_t bytes, struct block **out);
// A mapped buffer, to copy from.
HRESULT memory_make(ID3D12Device *device, const D3D12_HEAP_PROPERTIES *heap, uint64_t bytes,
                    ID3D12Resource **memory, uint8_t **mapped);

// What decodes GDeflate on this device; NULL if the processor does.
struct decoder *uploader_decoder(const struct uploader *uploader);

// Whether parts of the payload may be put in their places one by one.
static inline BOOL place_can_be_split(const struct place *place) {
    return place->is_buffer && !place->is_compressed;
}
// Whether the list that is being recorded has room for it.
BOOL place_has_room(const struct place *place);
// Records the way of `bytes` bytes of the payload, from byte `at` of it, which lie at `from` in `memory`, and
// are mapped at `mapped`. Of what cannot be split, all.
HRESULT place_record(const struct place *place, ID3D12GraphicsCommandList *list, ID3D12Resource *memory,
                     const uint8_t *mapped, uint64_t from, uint64_t at, uint64_t bytes);
// The same of bytes that are decoded.
void place_record_plain(const struct place *place, ID3D12GraphicsCommandList *list, ID3D12Resource *memory,
                        uint64_t from, uint64_t at, uint64_t bytes);

#endif // UPLOAD_H
