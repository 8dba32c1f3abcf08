// metacommand.h: what of D3D12 the decoder needs and mingw-w64 does not declare.
//
// Numbers and layouts are D3D12's own. An interface is its table of methods from the first that is called on;
// what is before has the size of so many pointers.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef METACOMMAND_H
#define METACOMMAND_H

#include "upload.h"

static const GUID IID_DEVICE5 = {
    0x8b4f173b, 0x2fea, 0x4b80, {0x8f, 0x58, 0x43, 0x07, 0x19, 0x1a, 0xb9, 0x5d}};
static const GUID IID_LIST4 = {
    0x8754318e, 0xd3a9, 0x4541, {0x98, 0xcf, 0x64, 0x5b, 0x50, 0xdc, 0x48, 0x74}};
static const GUID IID_METACOMMAND = {
    0xdbb84c27, 0x36ce, 0x4fc9, {0xb8, 0x01, 0xf0, 0x48, 0xc4, 0x6a, 0xc5, 0x70}};
// What drivers call the metacommand "DirectStorage".
static const GUID METACOMMAND_STORAGE = {
    0x1bddd090, 0xc47e, 0x459c, {0x8f, 0x81, 0x42, 0xc9, 0xf9, 0x7a, 0x53, 0x08}};

#define FEATURE_QUERY_METACOMMAND ((D3D12_FEATURE)31)
struct feature_query_metacommand {
    GUID id;
    UINT node_mask;
    const void *in;
    SIZE_T in_bytes;
    void *out;
    SIZE_T out_bytes;
};

// How many streams at a time the application wants, and the device takes.
struct metacommand_query_in {
    uint16_t version; // 1
    uint16_t stream_count;
    uint32_t reserved;
    uint64_t format; // 1: GDeflate
};
struct metacommand_query_out {
    uint16_t version;
    uint16_t stream_count;
    uint32_t reserved;
    uint64_t scratch_bytes;
    uint64_t reserved_too;
};

struct metacommand_creation {
    uint64_t version; // 1
    uint64_t format;  // 1: GDeflate
    uint64_t stream_count;
    uint64_t flags;
};

struct metacommand_buffer {
    D3D12_GPU_VIRTUAL_ADDRESS address;
    uint64_t bytes;
};

// The control buffer has a count, and for each stream its offset in the input and that of its bytes in the
// output, 32 bits each. All buffers are in the state UNORDERED_ACCESS.
struct metacommand_execution {
    struct metacommand_buffer input, output, control, scratch;
    uint64_t stream_count;
    struct metacommand_buffer status;
};

typedef struct device5 {
    const struct device5_methods *methods;
} device5;
struct device5_methods {
    void *before[61];
    HRESULT(WINAPI *CreateMetaCommand)
    (device5 *, REFGUID id, UINT node_mask, const void *parameters, SIZE_T bytes, REFIID, void **);
};

typedef struct list4 {
    const struct list4_methods *methods;
} list4;
struct list4_methods {
    void *before[70];
    void(WINAPI *InitializeMetaCommand)(list4 *, IUnknown *command, const void *parameters, SIZE_T bytes);
    void(WINAPI *ExecuteMetaCommand)(list4 *, IUnknown *command, const void *parameters, SIZE_T bytes);
};

#endif // METACOMMAND_H
