// hello.c: the shortest whole way of a file into a D3D12 buffer.
//
// Usage: dstorage-hello.exe [FILE]. Reads FILE (at most 256 MiB; without one, 1 MiB that it makes and
// removes) into a buffer of the GPU with one request, has the GPU wait for it by a fence, reads the buffer
// back, compares every byte, and says so in one line. The exit status is 0 if all was right, 4 if there is
// no dstorage.dll or no Direct3D 12, else 1.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "sample.h"

#define OWN_FILE L"dstorage-hello.bin"
#define OWN_BYTES (1u << 20)
#define FILE_BYTES_MAX (256u << 20)

static BOOL make_file(void) {
    FILE *file = _wfopen(OWN_FILE, L"wb");
    for (uint32_t i = 0; file && i < OWN_BYTES; i++) fputc((int)(i * 2654435761u >> 24), file);
    return file && !fclose(file);
}

// What the file holds, read in the usual way; to be freed.
static uint8_t *read_file(const WCHAR *path, uint32_t *bytes) {
    FILE *file = _wfopen(path, L"rb");
    if (!file) end(EXIT_WRONG, "%ls cannot be opened.", path);
    _fseeki64(file, 0, SEEK_END);
    int64_t size = _ftelli64(file);
    if (size < 1 || size > FILE_BYTES_MAX) end(EXIT_WRONG, "%ls is empty, or above 256 MiB.", path);
    rewind(file);
    uint8_t *contents = malloc((size_t)size);
    if (!contents || fread(contents, 1, (size_t)size, file) != (size_t)size)
        end(EXIT_WRONG, "%ls cannot be read.", path);
    fclose(file);
    *bytes = (uint32_t)size;
    return contents;
}

// Enqueues the request, a status and a fence's signal behind it, and submits all three.
static void load(storage_queue *queue, storage_file *file, ID3D12Resource *buffer, uint32_t bytes,
                 storage_status_array *status, ID3D12Fence *fence) {
    storage_request request = {.options = {.types = REQUEST_TYPES(SOURCE_FILE, DESTINATION_BUFFER)},
                               .uncompressed_size = bytes,
                               .name = "hello"};
    request.source.file.source = file;
    request.source.file.size = bytes;
    request.destination.buffer.resource = (IUnknown *)buffer;
    request.destination.buffer.size = bytes;
    queue->methods->EnqueueRequest(queue, &request);
    queue->methods->EnqueueStatus(queue, status, 0);
    queue->methods->EnqueueSignal(queue, (d3d12_fence *)fence, 1);
    queue->methods->Submit(queue);
}

// Copies the buffer back once `fence` is there; the GPU waits for it, not this thread.
static uint8_t *read_back(ID3D12Resource *buffer, uint32_t bytes, ID3D12Fence *fence) {
    ID3D12Resource *readback = make_buffer(bytes, D3D12_HEAP_TYPE_READBACK);
    struct recording recording = begin_commands();
    change(recording.list, buffer, D3D12_RESOURCE_STATE_COMMON, D3D12_RESOURCE_STATE_COPY_SOURCE);
    ID3D12GraphicsCommandList_CopyBufferRegion(recording.list, readback, 0, buffer, 0, bytes);
    check(ID3D12CommandQueue_Wait(commands, fence, 1), "Wait");
    run_commands(recording);
    void *mapped;
    check(ID3D12Resource_Map(readback, 0, NULL, &mapped), "Map");
    uint8_t *found = malloc(bytes);
    if (found) memcpy(found, mapped, bytes);
    ID3D12Resource_Release(readback);
    return found;
}

int main(int count, char **arguments) {
    WCHAR path[MAX_PATH] = OWN_FILE;
    if (count > 2 || (count == 2 && !MultiByteToWideChar(CP_ACP, 0, arguments[1], -1, path, MAX_PATH)))
        end(EXIT_USAGE, "usage: dstorage-hello.exe [FILE]");
    open_storage();
    open_device();
    if (count < 2 && !make_file()) end(EXIT_WRONG, "No file can be made in this folder.");
    uint32_t bytes;
    uint8_t *wanted = read_file(path, &bytes);
    storage_queue *queue = open_queue("hello");
    storage_file *file = NULL;
    check(factory->methods->OpenFile(factory, path, &IID_FILE, (void **)&file), "OpenFile");
    storage_status_array *status = make_status();
    ID3D12Fence *fence = make_fence();
    ID3D12Resource *buffer = make_buffer(bytes, D3D12_HEAP_TYPE_DEFAULT);

    double start = seconds();
    load(queue, file, buffer, bytes, status, fence);
    wait_for(fence, 1);
    double took = seconds() - start;
    uint8_t *found = read_back(buffer, bytes, fence);
    BOOL right = all_is_well(queue, status) && found && !memcmp(found, wanted, bytes);

    ID3D12Resource_Release(buffer);
    ID3D12Fence_Release(fence);
    status->methods->Release(status);
    file->methods->Release(file);
    queue->methods->Release(queue);
    factory->methods->Release(factory);
    if (count < 2) DeleteFileW(path);
    if (!right) end(EXIT_WRONG, "What came back from the GPU is not what the file holds.");
    printf("hello: %.1f MiB into a D3D12 buffer in %.2f ms; every byte came back.\n", bytes / 1048576.0,
           took * 1e3);
    return 0;
}
