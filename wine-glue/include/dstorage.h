// dstorage.h: the binary interface of DirectStorage for Windows, declared anew in plain C.
//
// What a compiler needs to speak to a dstorage.dll, Microsoft's or ours, up to version 1.3 and what is known
// of 1.4: numbers, layouts, and the order of the methods. Names are the SDK's without their prefixes. The
// Windows half of the DLL and the programs in tests/dstorage include it; nobody else does.
//
// D3D12 resources appear as pointers to IUnknown; of ID3D12Fence the methods that are called are here.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef DSTORAGE_H
#define DSTORAGE_H

#include <windows.h>
#include <stddef.h>
#include <stdint.h>

// --- Results -------------------------------------------------------------------------------------------

#define E_DSTORAGE(code) ((HRESULT)(0x89240000u | (code)))

#define E_DSTORAGE_INVALID_QUEUE_CAPACITY E_DSTORAGE(0x03)
#define E_DSTORAGE_END_OF_FILE E_DSTORAGE(0x07)
#define E_DSTORAGE_REQUEST_TOO_LARGE E_DSTORAGE(0x08)
#define E_DSTORAGE_ACCESS_VIOLATION E_DSTORAGE(0x09)
#define E_DSTORAGE_FILE_NOT_OPEN E_DSTORAGE(0x0B)
#define E_DSTORAGE_INVALID_DESTINATION_SIZE E_DSTORAGE(0x0F)
#define E_DSTORAGE_QUEUE_CLOSED E_DSTORAGE(0x10)
#define E_DSTORAGE_INDEX_BOUND E_DSTORAGE(0x15)
#define E_DSTORAGE_INVALID_FILE_HANDLE E_DSTORAGE(0x17)
#define E_DSTORAGE_INVALID_SOURCE_TYPE E_DSTORAGE(0x1B)
#define E_DSTORAGE_STAGING_BUFFER_LOCKED E_DSTORAGE(0x1F)
#define E_DSTORAGE_INVALID_FENCE E_DSTORAGE(0x22)
#define E_DSTORAGE_INVALID_STATUS_ARRAY E_DSTORAGE(0x23)
#define E_DSTORAGE_INVALID_DESTINATION_TYPE E_DSTORAGE(0x40)
#define E_DSTORAGE_FILEBUFFERING_REQUIRES_DISABLED_BYPASSIO E_DSTORAGE(0x41)

// --- Numbers -------------------------------------------------------------------------------------------

enum { SOURCE_FILE = 0, SOURCE_MEMORY = 1 };
enum {
    DESTINATION_MEMORY = 0,
    DESTINATION_BUFFER = 1,
    DESTINATION_TEXTURE_REGION = 2,
    DESTINATION_MULTIPLE_SUBRESOURCES = 3,
    DESTINATION_TILES = 4,
    DESTINATION_MULTIPLE_SUBRESOURCES_RANGE = 5,
};
enum { COMPRESSION_NONE = 0, COMPRESSION_GDEFLATE = 1, COMPRESSION_ZSTD = 2, COMPRESSION_CUSTOM_0 = 0x80 };

// DSTORAGE_COMPRESSION_SUPPORT
enum {
    SUPPORT_GPU_OPTIMIZED = 1,
    SUPPORT_GPU_FALLBACK = 2,
    SUPPORT_CPU_FALLBACK = 4,
    SUPPORT_USES_COMPUTE_QUEUE = 8,
    SUPPORT_USES_COPY_QUEUE = 16
};
enum { PRIORITY_LOW = -1, PRIORITY_NORMAL = 0, PRIORITY_HIGH = 1, PRIORITY_REALTIME = 2 };
enum { COMMAND_NONE = -1, COMMAND_REQUEST = 0, COMMAND_STATUS = 1, COMMAND_SIGNAL = 2, COMMAND_EVENT = 3 };
enum { DEBUG_NONE = 0, DEBUG_SHOW_ERRORS = 1, DEBUG_BREAK_ON_ERROR = 2, DEBUG_RECORD_OBJECT_NAMES = 4 };
enum { SELECT_CUSTOM = 1, SELECT_BUILTIN = 2, SELECT_ALL = 3 };
enum { LEVEL_FASTEST = -1, LEVEL_DEFAULT = 0, LEVEL_BEST_RATIO = 1 };
enum { ENQUEUE_NONE = 0, ENQUEUE_WAIT_BEFORE_GPU_WORK = 1, ENQUEUE_WAIT_BEFORE_SOURCE_ACCESS = 2 };

#define ERROR_FILENAME_LEN 260
#define REQUEST_NAME_BYTES 64

// --- Structures ----------------------------------------------------------------------------------------

typedef struct storage_factory storage_factory;
typedef struct storage_file storage_file;
typedef struct storage_status_array storage_status_array;
typedef struct storage_queue storage_queue;
typedef struct storage_custom_queue storage_custom_queue;
typedef struct storage_codec storage_codec;
typedef struct d3d12_fence d3d12_fence;

// DSTORAGE_QUEUE_DESC
typedef struct {
    uint64_t source_type;
    uint16_t capacity;
    int8_t priority;
    const char *name;
    IUnknown *device;
} storage_queue_desc;

// DSTORAGE_QUEUE_INFO
typedef struct {
    storage_queue_desc desc;
    uint16_t empty_slot_count;
    uint16_t request_count_until_auto_submit;
} storage_queue_info;

// DSTORAGE_REQUEST_OPTIONS. The second word has bit fields in the SDK; as bytes no compiler can differ.
typedef struct {
    uint8_t compression_format;
    uint8_t reserved[7];
    uint8_t types; // source type in bit 0, destination type in bits 1 to 7
    uint8_t reserved_too[7];
} storage_request_options;

#define REQUEST_TYPES(source, destination) ((uint8_t)((source) | ((destination) << 1)))

// DSTORAGE_SOURCE
typedef union {
    struct {
        const void *source;
        uint32_t size;
    } memory;
    struct {
        storage_file *source;
        uint64_t offset;
        uint32_t size;
    } file;
} storage_source;

// DSTORAGE_DESTINATION
typedef union {
    struct {
        void *buffer;
        uint32_t size;
    } memory;
    struct {
        IUnknown *resource;
        uint64_t offset;
        uint32_t size;
    } buffer;
    struct {
        IUnknown *resource;
        uint32_t subresource_index;
        uint32_t region[6]; // left, top, front, right, bottom, back
    } texture;
    struct {
        IUnknown *resource;
        uint32_t first_subresource;
        uint32_t num_subresources; // in the range form only
    } subresources;
    struct {
        IUnknown *resource;
        uint32_t start[4]; // x, y, z, subresource
        uint32_t num_tiles;
        uint32_t use_box;
        uint32_t width;
        uint16_t height;
        uint16_t depth;
    } tiles;
} storage_destination;

// DSTORAGE_REQUEST
typedef struct {
    storage_request_options options;
    storage_source source;
    storage_destination destination;
    uint32_t uncompressed_size;
    uint64_t cancellation_tag;
    const char *name;
} storage_request;

// DSTORAGE_ERROR_PARAMETERS_REQUEST, since 1.1
typedef struct {
    WCHAR filename[ERROR_FILENAME_LEN];
    char request_name[REQUEST_NAME_BYTES];
    storage_request request;
} storage_error_request;

// DSTORAGE_ERROR_RECORD, since 1.1
typedef struct {
    uint32_t failure_count;
    struct {
        HRESULT result;
        int32_t command_type;
        union {
            storage_error_request request;
            struct {
                storage_status_array *status_array;
                uint32_t index;
            } status;
            struct {
                d3d12_fence *fence;
                uint64_t value;
            } signal;
            struct {
                HANDLE handle;
            } event;
        };
    } first_failure;
} storage_error_record;

// The same in version 1.0: the name is longer, and so everything behind it stands elsewhere.
typedef struct {
    WCHAR filename[ERROR_FILENAME_LEN];
    char request_name[ERROR_FILENAME_LEN];
    storage_request request;
} storage_error_request_1_0;

typedef struct {
    uint32_t failure_count;
    struct {
        HRESULT result;
        int32_t command_type;
        storage_error_request_1_0 request;
    } first_failure;
} storage_error_record_1_0;

// DSTORAGE_CUSTOM_DECOMPRESSION_REQUEST
typedef struct {
    uint64_t id;
    uint8_t compression_format;
    uint8_t reserved[3];
    uint32_t flags;
    uint64_t source_size;
    const void *source;
    uint64_t destination_size;
    void *destination;
} storage_custom_request;

// DSTORAGE_CUSTOM_DECOMPRESSION_RESULT
typedef struct {
    uint64_t id;
    HRESULT result;
} storage_custom_result;

// DSTORAGE_CONFIGURATION2 of 1.4. Version 1.2's DSTORAGE_CONFIGURATION1 is its first 32 bytes, and 1.1's
// DSTORAGE_CONFIGURATION its first 28.
typedef struct {
    uint32_t num_submit_threads;
    int32_t num_decompression_threads;
    BOOL force_mapping_layer;
    BOOL disable_bypass_io;
    BOOL disable_telemetry;
    BOOL disable_gpu_metacommand;
    BOOL disable_gpu_decompression;
    BOOL force_file_buffering;
    GUID creator_id;
} storage_configuration;

// Version 1.0's DSTORAGE_CONFIGURATION: shorter, and in another order.
typedef struct {
    uint32_t num_submit_threads;
    BOOL force_mapping_layer;
    BOOL disable_bypass_io;
    BOOL disable_telemetry;
} storage_configuration_1_0;

#define CONFIGURATION_BYTES 28
#define CONFIGURATION1_BYTES 32
#define CONFIGURATION2_BYTES 48

// --- Interfaces ----------------------------------------------------------------------------------------

#define UNKNOWN_METHODS(type)                                                                             \
    HRESULT(WINAPI *QueryInterface)(type * this, REFIID iid, void **out);                                 \
    ULONG(WINAPI *AddRef)(type * this);                                                                   \
    ULONG(WINAPI *Release)(type * this);

// IDStorageFactory
typedef struct {
    UNKNOWN_METHODS(storage_factory)
    HRESULT(WINAPI *CreateQueue)(storage_factory *this, const storage_queue_desc *desc, REFIID, void **out);
    HRESULT(WINAPI *OpenFile)(storage_factory *this, const WCHAR *path, REFIID iid, void **out);
    HRESULT(WINAPI *CreateStatusArray)(storage_factory *this, uint32_t capacity, const char *name, REFIID,
                                       void **out);
    void(WINAPI *SetDebugFlags)(storage_factory *this, uint32_t flags);
    HRESULT(WINAPI *SetStagingBufferSize)(storage_factory *this, uint32_t bytes);
} storage_factory_methods;
struct storage_factory {
    const storage_factory_methods *methods;
};

// IDStorageFile
typedef struct {
    UNKNOWN_METHODS(storage_file)
    void(WINAPI *Close)(storage_file *this);
    HRESULT(WINAPI *GetFileInformation)(storage_file *this, BY_HANDLE_FILE_INFORMATION *out);
} storage_file_methods;
struct storage_file {
    const storage_file_methods *methods;
};

// IDStorageStatusArray. IsComplete answers a C++ bool: one byte in AL, the rest of the register undefined.
typedef struct {
    UNKNOWN_METHODS(storage_status_array)
    _Bool(WINAPI *IsComplete)(storage_status_array *this, uint32_t index);
    HRESULT(WINAPI *GetHResult)(storage_status_array *this, uint32_t index);
} storage_status_array_methods;
struct storage_status_array {
    const storage_status_array_methods *methods;
};

// IDStorageQueue to IDStorageQueue3
typedef struct {
    UNKNOWN_METHODS(storage_queue)
    void(WINAPI *EnqueueRequest)(storage_queue *this, const storage_request *request);
    void(WINAPI *EnqueueStatus)(storage_queue *this, storage_status_array *array, uint32_t index);
    void(WINAPI *EnqueueSignal)(storage_queue *this, d3d12_fence *fence, uint64_t value);
    void(WINAPI *Submit)(storage_queue *this);
    void(WINAPI *CancelRequestsWithTag)(storage_queue *this, uint64_t mask, uint64_t value);
    void(WINAPI *Close)(storage_queue *this);
    HANDLE(WINAPI *GetErrorEvent)(storage_queue *this);
    void(WINAPI *RetrieveErrorRecord)(storage_queue *this, storage_error_record *out);
    void(WINAPI *Query)(storage_queue *this, storage_queue_info *out);
    void(WINAPI *EnqueueSetEvent)(storage_queue *this, HANDLE event);
    uint32_t(WINAPI *GetCompressionSupport)(storage_queue *this, uint8_t format);
    void(WINAPI *EnqueueRequests)(storage_queue *this, const storage_request *requests, uint32_t count,
                                  d3d12_fence *fence, uint64_t value, uint32_t flags);
} storage_queue_methods;
struct storage_queue {
    const storage_queue_methods *methods;
};

// IDStorageCustomDecompressionQueue and ...Queue1
typedef struct {
    UNKNOWN_METHODS(storage_custom_queue)
    HANDLE(WINAPI *GetEvent)(storage_custom_queue *this);
    HRESULT(WINAPI *GetRequests)(storage_custom_queue *this, uint32_t max, storage_custom_request *out,
                                 uint32_t *count);
    HRESULT(WINAPI *SetRequestResults)(storage_custom_queue *this, uint32_t count,
                                       storage_custom_result *results);
    HRESULT(WINAPI *GetRequests1)(storage_custom_queue *this, uint32_t select, uint32_t max,
                                  storage_custom_request *out, uint32_t *count);
} storage_custom_queue_methods;
struct storage_custom_queue {
    const storage_custom_queue_methods *methods;
};

// IDStorageCompressionCodec
typedef struct {
    UNKNOWN_METHODS(storage_codec)
    HRESULT(WINAPI *CompressBuffer)(storage_codec *this, const void *source, SIZE_T source_bytes,
                                    int32_t level, void *destination, SIZE_T destination_bytes,
                                    SIZE_T *written);
    HRESULT(WINAPI *DecompressBuffer)(storage_codec *this, const void *source, SIZE_T source_bytes,
                                      void *destination, SIZE_T destination_bytes, SIZE_T *written);
    SIZE_T(WINAPI *CompressBufferBound)(storage_codec *this, SIZE_T source_bytes);
} storage_codec_methods;
struct storage_codec {
    const storage_codec_methods *methods;
};

// ID3D12Fence, whose first methods are those of ID3D12Object and ID3D12DeviceChild.
typedef struct {
    UNKNOWN_METHODS(d3d12_fence)
    void *inherited[5]; // GetPrivateData, SetPrivateData, SetPrivateDataInterface, SetName, GetDevice
    uint64_t(WINAPI *GetCompletedValue)(d3d12_fence *this);
    HRESULT(WINAPI *SetEventOnCompletion)(d3d12_fence *this, uint64_t value, HANDLE event);
    HRESULT(WINAPI *Signal)(d3d12_fence *this, uint64_t value);
} d3d12_fence_methods;
struct d3d12_fence {
    const d3d12_fence_methods *methods;
};

#define STORAGE_IID(name, a, b, c, ...) static const GUID name = {a, b, c, {__VA_ARGS__}};
#ifdef STORAGE_IIDS
STORAGE_IID(IID_FACTORY, 0x6924ea0c, 0xc3cd, 0x4826, 0xb1, 0x0a, 0xf6, 0x4f, 0x4e, 0xd9, 0x27, 0xc1)
STORAGE_IID(IID_FILE, 0x5de95e7b, 0x955a, 0x4868, 0xa7, 0x3c, 0x24, 0x3b, 0x29, 0xf4, 0xb8, 0xda)
STORAGE_IID(IID_STATUS_ARRAY, 0x82397587, 0x7cd5, 0x453b, 0xa0, 0x2e, 0x31, 0x37, 0x9b, 0xd6, 0x46, 0x56)
STORAGE_IID(IID_QUEUE, 0xcfdbd83f, 0x9e06, 0x4fda, 0x8e, 0xa5, 0x69, 0x04, 0x21, 0x37, 0xf4, 0x9b)
STORAGE_IID(IID_QUEUE1, 0xdd2f482c, 0x5eff, 0x41e8, 0x9c, 0x9e, 0xd2, 0x37, 0x4b, 0x27, 0x81, 0x28)
STORAGE_IID(IID_QUEUE2, 0xb1c9d643, 0x3a49, 0x44a2, 0xb4, 0x6f, 0x65, 0x36, 0x49, 0x47, 0x0d, 0x18)
STORAGE_IID(IID_QUEUE3, 0xdeb54c52, 0xeca8, 0x46b3, 0x82, 0xa7, 0x03, 0x1b, 0x72, 0x26, 0x26, 0x53)
STORAGE_IID(IID_CUSTOM_QUEUE, 0x97179b2f, 0x2c21, 0x49ca, 0x82, 0x91, 0x4e, 0x1b, 0xf4, 0xa1, 0x60, 0xdf)
STORAGE_IID(IID_CUSTOM_QUEUE1, 0x0d47c6c9, 0xe61a, 0x4706, 0x93, 0xb4, 0x68, 0xbf, 0xe3, 0xf4, 0xaa, 0x4a)
STORAGE_IID(IID_CODEC, 0x84ef5121, 0x9b43, 0x4d03, 0xb5, 0xc1, 0xcc, 0x34, 0x60, 0x6b, 0x26, 0x2d)
STORAGE_IID(IID_UNKNOWN, 0x00000000, 0x0000, 0x0000, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46)
#endif

// --- The layouts, as DirectStorage has them on x64 -----------------------------------------------------

#define LAYOUT(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define PLACE(type, member, at) _Static_assert(offsetof(type, member) == (at), #type "." #member)

#ifdef _WIN64
LAYOUT(storage_queue_desc, 32);
PLACE(storage_queue_desc, capacity, 8);
PLACE(storage_queue_desc, priority, 10);
PLACE(storage_queue_desc, name, 16);
PLACE(storage_queue_desc, device, 24);
LAYOUT(storage_queue_info, 40);
PLACE(storage_queue_info, empty_slot_count, 32);
PLACE(storage_queue_info, request_count_until_auto_submit, 34);
LAYOUT(storage_request_options, 16);
PLACE(storage_request_options, types, 8);
LAYOUT(storage_source, 24);
PLACE(storage_source, memory.size, 8);
PLACE(storage_source, file.offset, 8);
PLACE(storage_source, file.size, 16);
LAYOUT(storage_destination, 40);
PLACE(storage_destination, memory.size, 8);
PLACE(storage_destination, buffer.size, 16);
PLACE(storage_destination, texture.region, 12);
PLACE(storage_destination, subresources.num_subresources, 12);
PLACE(storage_destination, tiles.num_tiles, 24);
PLACE(storage_destination, tiles.depth, 38);
LAYOUT(storage_request, 104);
PLACE(storage_request, source, 16);
PLACE(storage_request, destination, 40);
PLACE(storage_request, uncompressed_size, 80);
PLACE(storage_request, cancellation_tag, 88);
PLACE(storage_request, name, 96);
LAYOUT(storage_error_request, 688);
PLACE(storage_error_request, request_name, 520);
PLACE(storage_error_request, request, 584);
LAYOUT(storage_error_record, 704);
PLACE(storage_error_record, first_failure.result, 8);
PLACE(storage_error_record, first_failure.command_type, 12);
PLACE(storage_error_record, first_failure.request, 16);
LAYOUT(storage_error_request_1_0, 888);
PLACE(storage_error_request_1_0, request, 784);
LAYOUT(storage_error_record_1_0, 904);
PLACE(storage_error_record_1_0, first_failure.result, 8);
PLACE(storage_error_record_1_0, first_failure.request, 16);
LAYOUT(storage_custom_request, 48);
PLACE(storage_custom_request, source, 24);
PLACE(storage_custom_request, destination, 40);
LAYOUT(storage_custom_result, 16);
LAYOUT(storage_queue_methods, 15 * 8);
LAYOUT(storage_factory_methods, 8 * 8);
LAYOUT(storage_custom_queue_methods, 7 * 8);
PLACE(d3d12_fence_methods, GetCompletedValue, 8 * 8);
PLACE(d3d12_fence_methods, Signal, 10 * 8);
#endif
LAYOUT(storage_configuration, CONFIGURATION2_BYTES);
PLACE(storage_configuration, force_file_buffering, CONFIGURATION_BYTES);
PLACE(storage_configuration, creator_id, CONFIGURATION1_BYTES);
LAYOUT(storage_configuration_1_0, 16);

#endif // DSTORAGE_H
