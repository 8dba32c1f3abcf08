// GPU buffers and images as destinations, fences of a GPU, and what is refused. Runs on any Vulkan device,
// one in software too; without one it says so and is skipped.

#include "test.h"

#define SIZE (200u * 1024)

static uint8_t *bytes, *back;
static ds_gpu_device *device;

static ds_queue *queue_with_device(ds_runtime *runtime, ds_source_type source_type, uint32_t decode) {
    ds_queue_desc desc = {.struct_size = sizeof desc,
                          .capacity = 128,
                          .source_type = source_type,
                          .gpu_device = device,
                          .gpu_decode = decode};
    ds_queue *queue;
    CHECK_OK(ds_queue_create(runtime, &desc, &queue));
    return queue;
}

static void buffers_are_filled(ds_queue *files, ds_queue *memory) {
    ds_gpu_buffer *buffer;
    CHECK_OK(ds_gpu_buffer_create(device, SIZE + 64, &buffer));
    CHECK(ds_gpu_buffer_handle(buffer) != 0);
    ds_file *file = open_file("in");
    ds_request request = ds_request_read(file, 3, NULL, SIZE - 3);
    CHECK_OK(run(files, ds_request_to_gpu_buffer(request, buffer, 7, SIZE - 3)));
    CHECK_OK(ds_gpu_buffer_read(buffer, 7, back, SIZE - 3));
    CHECK(has_pattern(back, 3, SIZE - 3));

    request = ds_request_copy(bytes + 100, NULL, 1000);
    CHECK_OK(run(memory, ds_request_to_gpu_buffer(request, buffer, 0, 1000)));
    CHECK_OK(ds_gpu_buffer_read(buffer, 0, back, 1000));
    CHECK(has_pattern(back, 100, 1000));

    // Beyond the end; another size than the source's; NULL.
    request = ds_request_to_gpu_buffer(request, buffer, SIZE + 64 - 999, 1000);
    CHECK_RESULT(run(memory, request), DS_E_INVALIDARG);
    ds_error_record record = record_of(memory);
    ds_destination shown = record.parameters.request.request.destination;
    CHECK(record.parameters.request.request.options.types == DS_REQUEST_TYPES(1, DS_DESTINATION_BUFFER));
    CHECK(shown.buffer.resource == buffer && shown.buffer.size == 1000);
    request = ds_request_to_gpu_buffer(request, buffer, 0, 999);
    CHECK_RESULT(run(memory, request), DS_E_INVALID_DESTINATION_SIZE);
    request = ds_request_to_gpu_buffer(request, NULL, 0, 1000);
    CHECK_RESULT(run(memory, request), DS_E_INVALID_DESTINATION_TYPE);
    CHECK_RESULT(ds_gpu_buffer_read(buffer, SIZE, back, 65), DS_E_INVALIDARG);
    ds_file_release(file);
    ds_gpu_buffer_release(buffer);
}

static void buffers_are_written_to_files(ds_queue *files, ds_queue *memory, ds_queue *without_device) {
    ds_gpu_buffer *buffer;
    CHECK_OK(ds_gpu_buffer_create(device, SIZE, &buffer));
    ds_request request = ds_request_copy(bytes, NULL, SIZE);
    CHECK_OK(run(memory, ds_request_to_gpu_buffer(request, buffer, 0, SIZE)));
    ds_file *file;
    CHECK_OK(ds_file_create("from-gpu", &file));
    CHECK_OK(run(memory, ds_request_write_gpu_buffer(buffer, 5, file, 0, SIZE - 5)));
    CHECK_OK(run(files, ds_request_read(file, 0, back, SIZE - 5)));
    CHECK(has_pattern(back, 5, SIZE - 5));

    record_of(memory);  // whatever failed before
    // Beyond the end; NULL; on a queue of files; on one without a device; to memory.
    CHECK_RESULT(run(memory, ds_request_write_gpu_buffer(buffer, 1, file, 0, SIZE)), DS_E_INVALIDARG);
    ds_error_record record = record_of(memory);
    ds_request shown = record.parameters.request.request;
    CHECK(shown.options.types == DS_REQUEST_TYPES(DS_SOURCE_MEMORY, DS_DESTINATION_FILE_FROM_BUFFER));
    CHECK(shown.source.buffer.resource == buffer && shown.source.buffer.offset == 1);
    CHECK(shown.destination.file.destination == file && shown.destination.file.size == SIZE);
    request = ds_request_write_gpu_buffer(NULL, 0, file, 0, 16);
    CHECK_RESULT(run(memory, request), DS_E_INVALID_DESTINATION_TYPE);
    request = ds_request_write_gpu_buffer(buffer, 0, file, 0, 16);
    CHECK_RESULT(run(files, request), DS_E_INVALID_SOURCE_TYPE);
    CHECK_RESULT(run(without_device, request), DS_E_INVALID_DESTINATION_TYPE);
    uint64_t size;
    CHECK_OK(ds_file_size(file, &size));
    CHECK(size == SIZE - 5);
    ds_file_release(file);
    ds_gpu_buffer_release(buffer);
}

static void streams_are_decoded(ds_queue *queue) {
    ds_codec *codec;
    CHECK_OK(ds_codec_create(DS_COMPRESSION_GDEFLATE, 1, &codec));
    size_t bound = ds_codec_bound(codec, SIZE), written;
    uint8_t *stream = malloc(bound);
    CHECK(stream);
    CHECK_OK(ds_codec_compress(codec, bytes, SIZE, DS_COMPRESSION_LEVEL_FASTEST, stream, bound, &written));
    ds_gpu_buffer *buffer;
    CHECK_OK(ds_gpu_buffer_create(device, SIZE, &buffer));
    ds_request request = ds_request_copy(stream, NULL, (uint32_t)written);
    request = ds_request_compressed(request, DS_COMPRESSION_GDEFLATE, SIZE);
    request = ds_request_to_gpu_buffer(request, buffer, 0, SIZE);
    CHECK_OK(run(queue, request));
    CHECK_OK(ds_gpu_buffer_read(buffer, 0, back, SIZE));
    CHECK(has_pattern(back, 0, SIZE));
    memset(stream + written / 2, 0xFF, 64);
    CHECK_RESULT(run(queue, request), DS_E_FAIL);
    ds_gpu_buffer_release(buffer);
    free(stream);
    ds_codec_destroy(codec);
}

static void images_are_filled(ds_queue *memory) {
    ds_gpu_image_desc desc = {.struct_size = sizeof desc,
                              .image_type = 1,
                              .format = 37,  // VK_FORMAT_R8G8B8A8_UNORM
                              .width = 64,
                              .height = 32,
                              .depth = 1,
                              .mip_levels = 2,
                              .array_layers = 1,
                              .layout_after = 1};  // VK_IMAGE_LAYOUT_GENERAL
    ds_gpu_image *image;
    uint64_t size, first;
    CHECK_OK(ds_gpu_image_create(device, &desc, &image));
    CHECK_OK(ds_gpu_image_payload_size(image, 0, 1, &first));
    CHECK(first == 64 * 32 * 4);
    CHECK_OK(ds_gpu_image_payload_size(image, 0, 2, &size));
    CHECK(size == 64 * 32 * 4 + 15 * 256 + 128);
    CHECK_RESULT(ds_gpu_image_payload_size(image, 1, 2, &size), DS_E_INVALIDARG);
    ds_request request = ds_request_copy(bytes, NULL, (uint32_t)first);
    CHECK_OK(run(memory, ds_request_to_gpu_image(request, image, 0, 1)));
    CHECK_OK(ds_gpu_image_read(image, 0, back, first));
    CHECK(has_pattern(back, 0, first));
    CHECK_RESULT(run(memory, ds_request_to_gpu_image(request, image, 1, 1)), DS_E_INVALIDARG);
    CHECK_RESULT(run(memory, ds_request_to_gpu_image(request, NULL, 0, 1)), DS_E_INVALID_DESTINATION_TYPE);
    ds_gpu_image_release(image);
}

static void fences_go_with_semaphores(ds_queue *memory) {
    ds_fence *fence, *same;
    ds_gpu_buffer *buffer;
    CHECK_OK(ds_gpu_buffer_create(device, 1000, &buffer));
    CHECK_OK(ds_fence_create_gpu(device, 5, &fence));
    CHECK(ds_fence_gpu_handle(fence) != 0 && ds_fence_value(fence) == 5);
    CHECK_OK(ds_fence_import_gpu(device, ds_fence_gpu_handle(fence), &same));
    ds_request request = ds_request_to_gpu_buffer(ds_request_copy(bytes, NULL, 1000), buffer, 0, 1000);
    CHECK_OK(ds_queue_enqueue_request(memory, &request));
    CHECK_OK(ds_queue_enqueue_signal(memory, fence, 6));
    CHECK_OK(ds_queue_submit(memory));
    CHECK_OK(ds_fence_wait(same, 6, LONG_NS));
    CHECK_OK(ds_gpu_buffer_read(buffer, 0, back, 1000));
    CHECK(has_pattern(back, 0, 1000));
    ds_fence_release(same);
    ds_fence_release(fence);
    ds_gpu_buffer_release(buffer);
}

static void null_and_nonsense(ds_runtime *runtime) {
    ds_gpu_device *none;
    ds_gpu_device_handles handles = {.struct_size = sizeof handles};
    CHECK_RESULT(ds_gpu_device_borrow(&handles, &none), DS_E_INVALIDARG);
    CHECK(!none);
    ds_gpu_device_options options = {.struct_size = sizeof options, .device = "no such device"};
    CHECK_RESULT(ds_gpu_device_open(&options, &none), DS_E_INVALID_DESTINATION_TYPE);
    options = (ds_gpu_device_options){.struct_size = sizeof options, .queues = 2};
    CHECK_RESULT(ds_gpu_device_open(&options, &none), DS_E_INVALIDARG);
    options = (ds_gpu_device_options){.struct_size = 20};
    CHECK_RESULT(ds_gpu_device_open(&options, &none), DS_E_INVALIDARG);
    ds_gpu_buffer *buffer;
    CHECK_RESULT(ds_gpu_buffer_create(device, 0, &buffer), DS_E_INVALIDARG);
    CHECK_RESULT(ds_gpu_buffer_create(NULL, 1, &buffer), DS_E_INVALIDARG);
    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 128, .gpu_decode = 9};
    ds_queue *queue;
    CHECK_RESULT(ds_queue_create(runtime, &desc, &queue), DS_E_INVALIDARG);
}

int main(void) {
    ds_gpu_device_options options = {.struct_size = sizeof options, .flags = DS_GPU_VALIDATE,
                                     .queues = DS_GPU_QUEUES_YIELD};
    if (ds_gpu_device_open(&options, &device) < 0) {
        printf("SKIPPED: gpu: no Vulkan device; the log says why (DS_LOG=warn)\n");
        return 77;
    }
    bytes = malloc(SIZE);
    back = malloc(SIZE);
    CHECK(bytes && back);
    fill(bytes, SIZE);
    write_file("in", bytes, SIZE);
    ds_gpu_device_info info = {.struct_size = sizeof info};
    CHECK_OK(ds_gpu_device_query(device, &info));
    CHECK(info.name[0] && info.queue_count > 0 && !info.is_lost);
    ds_runtime *runtime = make_runtime();
    ds_queue *files = queue_with_device(runtime, DS_SOURCE_FILE, DS_GPU_DECODE_DEFAULT);
    ds_queue *memory = queue_with_device(runtime, DS_SOURCE_MEMORY, DS_GPU_DECODE_CPU);
    ds_queue_desc plain = {.struct_size = sizeof plain, .capacity = 128, .source_type = DS_SOURCE_MEMORY};
    ds_queue *without_device;
    CHECK_OK(ds_queue_create(runtime, &plain, &without_device));
    ds_queue *decoding = queue_with_device(runtime, DS_SOURCE_MEMORY, DS_GPU_DECODE_GPU);
    CHECK(ds_queue_get_compression_support(memory, DS_COMPRESSION_GDEFLATE) ==
          DS_COMPRESSION_SUPPORT_CPU_FALLBACK);
    buffers_are_filled(files, memory);
    buffers_are_written_to_files(files, memory, without_device);
    streams_are_decoded(memory);
    streams_are_decoded(decoding);
    images_are_filled(memory);
    fences_go_with_semaphores(memory);
    null_and_nonsense(runtime);
    ds_queue_destroy(without_device);
    ds_queue_destroy(decoding);
    ds_queue_destroy(memory);
    ds_queue_destroy(files);
    ds_runtime_destroy(runtime);
    ds_gpu_device_release(device);
    free(bytes);
    free(back);
    return 0;
}
