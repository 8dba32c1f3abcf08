// Streams a compressed archive into Vulkan images and buffers of this program's own device, draws them into
// one picture on the GPU, and writes it as PNG.
//
//     cc vulkan_stream.c -o vulkan_stream $(pkg-config --cflags --libs ds_runtime)
//     ./vulkan_stream [archive.dspk [picture.png]]
//
// The archive is one that `ds pack` made of a scene; its files are called NAME.vkFORMAT.WxHxD.mMIPS (an image
// with all mips, in one chunk) or NAME.vkFORMAT.WxHxD.buffer (RGBA8 texels). Without a name it takes the one
// beside this file's folder. Vulkan's loader is opened at run time; without one, or without a device, the
// program says so and ends with 77.
//
// What to look at: borrow_device (the library works on our device), stream (requests into our images), and
// draw, which waits for them on the GPU.

#if !__has_include(<vulkan/vulkan.h>)
#include <stdio.h>
int main(void) {
    puts("SKIPPED: vulkan_stream was built without Vulkan's headers");
    return 77;
}
#else

#include <ds_runtime.h>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Functions of Vulkan that we call, by the object that knows them.
#define OF_INSTANCE(X)                                                                                       \
    X(DestroyInstance) X(EnumeratePhysicalDevices) X(GetPhysicalDeviceProperties)                            \
    X(GetPhysicalDeviceFeatures) X(GetPhysicalDeviceQueueFamilyProperties)                                   \
    X(GetPhysicalDeviceMemoryProperties) X(CreateDevice) X(GetDeviceProcAddr)
#define OF_DEVICE(X)                                                                                         \
    X(DestroyDevice) X(GetDeviceQueue) X(CreateImage) X(DestroyImage) X(CreateBuffer) X(DestroyBuffer)       \
    X(GetImageMemoryRequirements) X(GetBufferMemoryRequirements) X(AllocateMemory) X(FreeMemory)             \
    X(BindImageMemory) X(BindBufferMemory) X(MapMemory) X(CreateSemaphore) X(DestroySemaphore)               \
    X(CreateCommandPool) X(DestroyCommandPool) X(AllocateCommandBuffers) X(BeginCommandBuffer)               \
    X(EndCommandBuffer) X(CmdPipelineBarrier) X(CmdClearColorImage) X(CmdBlitImage)                          \
    X(CmdCopyBufferToImage) X(CmdCopyImageToBuffer) X(QueueSubmit) X(DeviceWaitIdle)

#define DECLARE(name) static PFN_vk##name vk##name;
static PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
static PFN_vkCreateInstance vkCreateInstance;
OF_INSTANCE(DECLARE)
OF_DEVICE(DECLARE)

#define PICTURES_MAX 64
#define BLITS_MAX 4096
#define GAP 8             // between pictures, in pixels
#define SLICES_IN_ROW 16  // of a volume

// A file of the archive on the device: an image or a buffer.
struct picture {
    VkImage image;
    VkBuffer buffer;
    VkDeviceMemory memory;
    ds_gpu_image *gpu_image;
    ds_gpu_buffer *gpu_buffer;
    int format;
    uint32_t width, height, depth, mips;
};

// A mip, or a slice of it, and where it goes on the sheet.
struct blit {
    const struct picture *picture;
    uint32_t mip, slice, width, height, x, y;
};

static struct {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t family;
    VkQueue ours, lent;  // the same one where the family has no other
    pthread_mutex_t lock;
} vk = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct picture pictures[PICTURES_MAX];
static uint32_t picture_count;
static struct blit blits[BLITS_MAX];
static uint32_t blit_count, sheet_width, sheet_height;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void skip(const char *why) {
    printf("SKIPPED: vulkan_stream: %s\n", why);
    exit(77);
}

// Ends the program on a failure. A game would show the message, and go on.
static void check(ds_result result, const char *what) {
    if (result < 0) fail(what, ds_result_string(result));
}

static void check_vk(VkResult result, const char *what) {
    char why[32];
    snprintf(why, sizeof why, "VkResult %d", (int)result);
    if (result < 0) fail(what, why);
}

// ---- A device, as any renderer makes one.

static void open_device(void) {
    void *loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!loader) skip("there is no Vulkan loader");
    // POSIX says that what dlsym returns can be called; ISO C has no cast for it.
    *(void **)&vkGetInstanceProcAddr = dlsym(loader, "vkGetInstanceProcAddr");
    vkCreateInstance = (PFN_vkCreateInstance)vkGetInstanceProcAddr(NULL, "vkCreateInstance");

    VkApplicationInfo application = {VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    if (vkCreateInstance(&info, NULL, &vk.instance) != VK_SUCCESS) skip("no driver");
#define LOAD(name) vk##name = (PFN_vk##name)vkGetInstanceProcAddr(vk.instance, "vk" #name);
    OF_INSTANCE(LOAD)
#undef LOAD
    uint32_t count = 1;
    vkEnumeratePhysicalDevices(vk.instance, &count, &vk.physical);
    if (count == 0) skip("no device");
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(vk.physical, &properties);
    if (properties.apiVersion < VK_API_VERSION_1_2) skip("the device has no Vulkan 1.2");
    vkGetPhysicalDeviceMemoryProperties(vk.physical, &vk.memory);
    printf("device: %s\n", properties.deviceName);
}

static void create_device(void) {
    VkQueueFamilyProperties families[16];
    uint32_t count = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(vk.physical, &count, families);
    // Blits need graphics, the library needs compute.
    const VkQueueFlags both = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT;
    while (vk.family < count && (families[vk.family].queueFlags & both) != both) vk.family++;
    if (vk.family == count) skip("the device has no queue for graphics and compute");
    uint32_t queues = families[vk.family].queueCount > 1 ? 2 : 1;

    VkPhysicalDeviceFeatures has;
    vkGetPhysicalDeviceFeatures(vk.physical, &has);
    VkPhysicalDeviceFeatures features = {.textureCompressionBC = has.textureCompressionBC};
    // What the library needs; the more it is given (ds_gpu_device_handles.features), the more it uses.
    VkPhysicalDeviceVulkan12Features features12 = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                                   .timelineSemaphore = VK_TRUE};
    float priorities[] = {1.0f, 0.5f};
    VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = vk.family,
                                     .queueCount = queues,
                                     .pQueuePriorities = priorities};
    VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &features12,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .pEnabledFeatures = &features};
    check_vk(vkCreateDevice(vk.physical, &info, NULL, &vk.device), "vkCreateDevice");
#define LOAD(name) vk##name = (PFN_vk##name)vkGetDeviceProcAddr(vk.device, "vk" #name);
    OF_DEVICE(LOAD)
#undef LOAD
    vkGetDeviceQueue(vk.device, vk.family, 0, &vk.ours);
    vkGetDeviceQueue(vk.device, vk.family, queues - 1, &vk.lent);
}

// For every queue that is lent; here there is only one.
static void lock(void *mutex, uint32_t queue) {
    (void)queue;
    pthread_mutex_lock(mutex);
}

static void unlock(void *mutex, uint32_t queue) {
    (void)queue;
    pthread_mutex_unlock(mutex);
}

// The library works on our device. Where there is only one queue it takes our lock around each submission.
static ds_gpu_device *borrow_device(void) {
    void *lent = vk.lent;
    ds_gpu_device_handles handles = {.struct_size = sizeof handles,
                                     .features = DS_GPU_TIMELINE_SEMAPHORE,
                                     .get_instance_proc_addr = *(void **)&vkGetInstanceProcAddr,
                                     .instance = vk.instance,
                                     .physical_device = vk.physical,
                                     .device = vk.device,
                                     .queues = &lent,
                                     .queue_count = 1,
                                     .queue_family = vk.family,
                                     .lock = vk.lent == vk.ours ? lock : NULL,
                                     .unlock = vk.lent == vk.ours ? unlock : NULL,
                                     .lock_user = &vk.lock};
    ds_gpu_device *device;
    check(ds_gpu_device_borrow(&handles, &device), "borrowing the device");
    return device;
}

static VkDeviceMemory allocate(VkMemoryRequirements needs, VkMemoryPropertyFlags flags) {
    uint32_t type = 0;
    while (type < vk.memory.memoryTypeCount &&
           (!(needs.memoryTypeBits >> type & 1) ||
            (vk.memory.memoryTypes[type].propertyFlags & flags) != flags))
        type++;
    VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .allocationSize = needs.size,
                                 .memoryTypeIndex = type};
    VkDeviceMemory memory;
    check_vk(vkAllocateMemory(vk.device, &info, NULL, &memory), "vkAllocateMemory");
    return memory;
}

static VkImage create_image(int format, uint32_t w, uint32_t h, uint32_t d, uint32_t mips,
                            VkDeviceMemory *memory) {
    VkImageCreateInfo info = {VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
                              .imageType = d > 1 ? VK_IMAGE_TYPE_3D : VK_IMAGE_TYPE_2D,
                              .format = (VkFormat)format,
                              .extent = {w, h, d},
                              .mipLevels = mips,
                              .arrayLayers = 1,
                              .samples = VK_SAMPLE_COUNT_1_BIT,
                              .usage = VK_IMAGE_USAGE_TRANSFER_DST_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT};
    VkImage image;
    check_vk(vkCreateImage(vk.device, &info, NULL, &image), "vkCreateImage");
    VkMemoryRequirements needs;
    vkGetImageMemoryRequirements(vk.device, image, &needs);
    *memory = allocate(needs, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    check_vk(vkBindImageMemory(vk.device, image, *memory, 0), "vkBindImageMemory");
    return image;
}

static VkBuffer create_buffer(uint64_t size, VkBufferUsageFlags usage, VkMemoryPropertyFlags flags,
                              VkDeviceMemory *memory) {
    VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = size, .usage = usage};
    VkBuffer buffer;
    check_vk(vkCreateBuffer(vk.device, &info, NULL, &buffer), "vkCreateBuffer");
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(vk.device, buffer, &needs);
    *memory = allocate(needs, flags);
    check_vk(vkBindBufferMemory(vk.device, buffer, *memory, 0), "vkBindBufferMemory");
    return buffer;
}

// ---- The archive: docs/archive-format.md.

static uint64_t number(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    while (bytes-- > 0) value = value << 8 | at[bytes];
    return value;
}

// Reads a part of a file that must be there.
static void read_at(FILE *file, uint64_t offset, void *to, size_t size) {
    if (fseek(file, (long)offset, SEEK_SET) != 0 || fread(to, 1, size, file) != size)
        fail("archive", "too short");
}

// An image of ours for the library: whatever was in it, it is left ready to be copied from.
static void make_image(ds_gpu_device *device, struct picture *picture) {
    picture->image = create_image(picture->format, picture->width, picture->height, picture->depth,
                                  picture->mips, &picture->memory);
    ds_gpu_image_desc desc = {.struct_size = sizeof desc,
                              .image_type = picture->depth > 1 ? 2 : 1,
                              .image = (uint64_t)(uintptr_t)picture->image,
                              .format = picture->format,
                              .width = picture->width,
                              .height = picture->height,
                              .depth = picture->depth,
                              .mip_levels = picture->mips,
                              .array_layers = 1,
                              .layout_before = VK_IMAGE_LAYOUT_UNDEFINED,
                              .layout_after = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL};
    check(ds_gpu_image_import(device, &desc, &picture->gpu_image), "image");
}

static void make_buffer(ds_gpu_device *device, struct picture *picture, uint64_t size) {
    const VkBufferUsageFlags usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT;
    picture->buffer = create_buffer(size, usage, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, &picture->memory);
    ds_gpu_buffer_desc desc = {.struct_size = sizeof desc,
                               .usage = usage,
                               .buffer = (uint64_t)(uintptr_t)picture->buffer,
                               .size = size};
    check(ds_gpu_buffer_import(device, &desc, &picture->gpu_buffer), "buffer");
}

// One request for each chunk of a file: an image is filled by one, a buffer by any number.
static void enqueue(ds_queue *queue, ds_file *file, const struct picture *to, const uint8_t *chunk,
                    uint64_t size, uint32_t chunk_size) {
    for (uint64_t offset = 0; offset < size; offset += chunk_size, chunk += 24) {
        uint32_t bytes = size - offset < chunk_size ? (uint32_t)(size - offset) : chunk_size;
        ds_request request = ds_request_read(file, number(chunk, 8), NULL, (uint32_t)number(chunk + 8, 4));
        if (number(chunk + 12, 4) == DS_COMPRESSION_GDEFLATE)
            request = ds_request_compressed(request, DS_COMPRESSION_GDEFLATE, bytes);
        if (to->image)
            request = ds_request_to_gpu_image(request, to->gpu_image, 0, to->mips);
        else
            request = ds_request_to_gpu_buffer(request, to->gpu_buffer, offset, bytes);
        request.name = "picture";
        check(ds_queue_enqueue_request(queue, &request), "enqueue");
    }
}

// What a file's name says of it, if it is a picture.
static bool understand(const char *name, struct picture *picture) {
    int end = 0, image = sscanf(name, "%*[^.].vk%d.%ux%ux%u.m%u%n", &picture->format, &picture->width,
                                &picture->height, &picture->depth, &picture->mips, &end) == 5;
    if (!image)
        sscanf(name, "%*[^.].vk%d.%ux%ux%u.buffer%n", &picture->format, &picture->width, &picture->height,
               &picture->depth, &end);
    return end > 0 && name[end] == 0 && picture_count < PICTURES_MAX;
}

// Enqueues every picture of the archive and submits them at once.
static void stream(const char *path, ds_gpu_device *device, ds_queue *queue) {
    FILE *archive = fopen(path, "rb");
    if (!archive) fail(path, "cannot be opened");
    uint8_t header[64], footer[64];
    read_at(archive, 0, header, sizeof header);
    if (fseek(archive, -64, SEEK_END) != 0 || fread(footer, 1, 64, archive) != 64) fail(path, "too short");
    if (memcmp(header, "DSPK\r\n\x1a\n", 8) != 0 || memcmp(footer, "DSPKEND\n", 8) != 0)
        fail(path, "not an archive");
    uint32_t chunk_size = (uint32_t)number(header + 12, 4);
    uint64_t size = number(footer + 16, 8), chunk_records = 24 * number(footer + 40, 8);
    if (chunk_size == 0 || size > 1 << 20 || chunk_records > size)
        fail(path, "damaged, or too large for this");
    uint8_t *index = malloc(size), *entry = index, *chunk = index + (size - chunk_records);
    if (!index) fail(path, "no memory");
    read_at(archive, number(footer + 8, 8), index, size);
    fclose(archive);

    ds_file *file;
    check(ds_file_open(path, &file), path);
    for (uint8_t *end = chunk; end - entry >= 32;) {
        uint64_t name_size = number(entry + 2, 2), file_size = number(entry + 24, 8);
        uint64_t chunks = (file_size + chunk_size - 1) / chunk_size;
        char name[128] = "";
        if (name_size > (uint64_t)(end - entry) - 32 || 24 * chunks > (uint64_t)(index + size - chunk))
            fail(path, "damaged");
        if (name_size < sizeof name) memcpy(name, entry + 32, name_size);
        struct picture picture = {0};
        if (entry[0] == 0 && understand(name, &picture)) {
            if (picture.mips && chunks != 1) fail(name, "pack with larger chunks (--chunk-kib)");
            if (picture.mips)
                make_image(device, &picture);
            else
                make_buffer(device, &picture, file_size);
            enqueue(queue, file, &picture, chunk, file_size, chunk_size);
            printf("%s: %llu bytes\n", name, (unsigned long long)file_size);
            pictures[picture_count++] = picture;
        }
        chunk += 24 * chunks;
        entry += 32 + name_size + number(entry + 4, 2);
    }
    ds_file_release(file);
    free(index);
}

// ---- The sheet: where everything goes, and the commands that draw it.

static uint32_t smaller(uint32_t side, uint32_t mip) { return side >> mip ? side >> mip : 1; }

// Places the mips of a picture side by side, the slices of a volume in rows.
static void place(const struct picture *picture) {
    uint32_t left = GAP, tallest = 0, in_row = 0;
    for (uint32_t mip = 0; mip < (picture->mips ? picture->mips : 1); mip++) {
        uint32_t width = smaller(picture->width, mip), height = smaller(picture->height, mip);
        for (uint32_t slice = 0; slice < smaller(picture->depth, mip); slice++) {
            if (picture->depth > 1 && in_row == SLICES_IN_ROW) {
                sheet_height += tallest + GAP;
                left = GAP, tallest = in_row = 0;
            }
            if (blit_count == BLITS_MAX) fail("picture", "too many mips and slices");
            blits[blit_count++] = (struct blit){picture, mip, slice, width, height, left, sheet_height};
            left += width + GAP;
            in_row++;
            if (height > tallest) tallest = height;
            if (left > sheet_width) sheet_width = left;
        }
    }
    sheet_height += tallest + GAP;
}

static void turn(VkCommandBuffer commands, VkImage image, VkImageLayout from, VkImageLayout to) {
    VkImageMemoryBarrier barrier = {VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
                                    .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                    .dstAccessMask =
                                        VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                    .oldLayout = from,
                                    .newLayout = to,
                                    .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
                                    .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
                                    .image = image,
                                    .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
    const VkPipelineStageFlags transfer = VK_PIPELINE_STAGE_TRANSFER_BIT;
    vkCmdPipelineBarrier(commands, transfer, transfer, 0, 0, NULL, 0, NULL, 1, &barrier);
}

static void draw_one(VkCommandBuffer commands, const struct blit *blit, VkImage sheet) {
    const VkImageSubresourceLayers target = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    const VkImageLayout to = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
    int32_t x = (int32_t)blit->x, y = (int32_t)blit->y, z = (int32_t)blit->slice;
    int32_t width = (int32_t)blit->width, height = (int32_t)blit->height;
    if (blit->picture->buffer) {
        VkBufferImageCopy copy = {.imageSubresource = target,
                                  .imageOffset = {x, y, 0},
                                  .imageExtent = {blit->width, blit->height, 1}};
        vkCmdCopyBufferToImage(commands, blit->picture->buffer, sheet, to, 1, &copy);
        return;
    }
    // The GPU decodes BC1 and the like while it blits.
    VkImageBlit region = {.srcSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, blit->mip, 0, 1},
                          .srcOffsets = {{0, 0, z}, {width, height, z + 1}},
                          .dstSubresource = target,
                          .dstOffsets = {{x, y, 0}, {x + width, y + height, 1}}};
    const VkImageLayout from = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    vkCmdBlitImage(commands, blit->picture->image, from, sheet, to, 1, &region, VK_FILTER_NEAREST);
}

static void record(VkCommandBuffer commands, VkImage sheet, VkBuffer back) {
    VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    check_vk(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    const VkImageLayout target = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
    const VkImageLayout source = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    turn(commands, sheet, VK_IMAGE_LAYOUT_UNDEFINED, target);
    VkClearColorValue grey = {.float32 = {0.16f, 0.16f, 0.17f, 1.0f}};
    VkImageSubresourceRange all = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
    vkCmdClearColorImage(commands, sheet, target, &grey, 1, &all);
    turn(commands, sheet, target, target);
    for (uint32_t i = 0; i < blit_count; i++) draw_one(commands, &blits[i], sheet);
    turn(commands, sheet, target, source);
    VkBufferImageCopy copy = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
                              .imageExtent = {sheet_width, sheet_height, 1}};
    vkCmdCopyImageToBuffer(commands, sheet, source, back, 1, &copy);
    VkMemoryBarrier seen = {VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                            .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &seen, 0,
                         NULL, 0, NULL);
    check_vk(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
}

// Draws once `semaphore` has reached 1: the GPU waits for the pictures, not this thread.
static void draw(VkImage sheet, VkBuffer back, VkSemaphore semaphore) {
    VkCommandPoolCreateInfo pool_info = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                         .queueFamilyIndex = vk.family};
    VkCommandPool pool;
    check_vk(vkCreateCommandPool(vk.device, &pool_info, NULL, &pool), "vkCreateCommandPool");
    VkCommandBufferAllocateInfo allocate_info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                 .commandPool = pool,
                                                 .commandBufferCount = 1};
    VkCommandBuffer commands;
    check_vk(vkAllocateCommandBuffers(vk.device, &allocate_info, &commands), "vkAllocateCommandBuffers");
    record(commands, sheet, back);

    const uint64_t reached = 1;
    const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_TRANSFER_BIT;
    VkTimelineSemaphoreSubmitInfo values = {VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                            .waitSemaphoreValueCount = 1,
                                            .pWaitSemaphoreValues = &reached};
    VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .pNext = &values,
                           .waitSemaphoreCount = 1,
                           .pWaitSemaphores = &semaphore,
                           .pWaitDstStageMask = &stage,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &commands};
    pthread_mutex_lock(&vk.lock);
    check_vk(vkQueueSubmit(vk.ours, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
    pthread_mutex_unlock(&vk.lock);
    // A game would go on to the next frame. Waiting for all of the device is waiting for the library, too,
    // which has nothing to do now.
    pthread_mutex_lock(&vk.lock);
    check_vk(vkDeviceWaitIdle(vk.device), "vkDeviceWaitIdle");
    pthread_mutex_unlock(&vk.lock);
    vkDestroyCommandPool(vk.device, pool, NULL);
}

// ---- PNG, not compressed: this is about another format.

static uint32_t crc(uint32_t sum, const uint8_t *bytes, size_t size) {
    sum = ~sum;
    for (size_t i = 0; i < size; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320u : 0);
    }
    return ~sum;
}

static void big_endian(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

// `data` has room for 8 bytes before and 4 behind: size, name and checksum.
static void write_chunk(FILE *file, const char *name, uint8_t *data, uint32_t size) {
    big_endian(data - 8, size);
    memcpy(data - 4, name, 4);
    big_endian(data + size, crc(0, data - 4, size + 4));
    if (fwrite(data - 8, 1, size + 12, file) != size + 12) fail("picture", "cannot be written");
}

static void write_png(const char *path, const uint8_t *pixels, uint32_t width, uint32_t height) {
    FILE *file = fopen(path, "wb");
    uint32_t row = 1 + 4 * width;  // a filter, which is none, and the pixels
    // Blocks of stored bytes, one a row: five bytes before each; two before and four behind all of them.
    uint32_t size = 2 + height * (5 + row) + 4;
    uint8_t *all = malloc(8 + (size_t)size + 4), head[8 + 13 + 4];
    if (!file || !all || row > 65535) fail(path, "cannot be written");
    fwrite("\x89PNG\r\n\x1a\n", 1, 8, file);
    big_endian(head + 8, width);
    big_endian(head + 12, height);
    memcpy(head + 16, "\x08\x06\x00\x00\x00", 5);  // 8 bits, RGBA
    write_chunk(file, "IHDR", head + 8, 13);
    uint8_t *data = all + 8, *at = data;
    uint32_t a = 1, b = 0;  // Adler-32
    *at++ = 0x78, *at++ = 0x01;
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t block[] = {y + 1 == height, (uint8_t)row, (uint8_t)(row >> 8), (uint8_t)~row,
                                 (uint8_t)(~row >> 8), 0};
        memcpy(at, block, 6);
        memcpy(at + 6, pixels + (size_t)4 * width * y, 4 * width);
        for (uint32_t i = 0; i < row; i++) a = (a + at[5 + i]) % 65521, b = (b + a) % 65521;
        at += 5 + row;
    }
    big_endian(at, b << 16 | a);
    write_chunk(file, "IDAT", data, size);
    write_chunk(file, "IEND", data, 0);
    if (fclose(file) != 0) fail(path, "cannot be written");
    free(all);
}

// The archive in the folder above this file's.
static const char *scene(void) {
    static char path[4096];
    const char *end = strrchr(__FILE__, '/');
    int folder = end ? (int)(end - __FILE__) + 1 : 0;
    snprintf(path, sizeof path, "%.*s../scene.dspk", folder, __FILE__);
    return path;
}

int main(int argc, char **argv) {
    const char *archive = argc > 1 ? argv[1] : scene();
    const char *png = argc > 2 ? argv[2] : "vulkan_stream.png";
    open_device();
    create_device();

    // Once in a program: the runtime, our device for it, and a queue that reads files for that device.
    ds_runtime *runtime;
    check(ds_runtime_create(NULL, &runtime), "runtime");
    ds_gpu_device *device = borrow_device();
    ds_queue_desc desc = {.struct_size = sizeof desc,
                          .capacity = 128,
                          .source_type = DS_SOURCE_FILE,
                          .gpu_device = device};
    ds_queue *queue;
    check(ds_queue_create(runtime, &desc, &queue), "queue");

    // A timeline semaphore of ours that the library signals when everything before the signal is there.
    VkSemaphoreTypeCreateInfo timeline = {VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                          .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &timeline};
    VkSemaphore semaphore;
    check_vk(vkCreateSemaphore(vk.device, &info, NULL, &semaphore), "vkCreateSemaphore");
    ds_fence *fence;
    check(ds_fence_import_gpu(device, (uint64_t)(uintptr_t)semaphore, &fence), "fence");

    stream(archive, device, queue);
    check(ds_queue_enqueue_signal(queue, fence, 1), "enqueue");
    check(ds_queue_submit(queue), "submit");

    sheet_width = sheet_height = GAP;
    for (uint32_t i = 0; i < picture_count; i++) place(&pictures[i]);
    VkDeviceMemory sheet_memory, back_memory;
    VkImage sheet = create_image(VK_FORMAT_R8G8B8A8_UNORM, sheet_width, sheet_height, 1, 1, &sheet_memory);
    VkBuffer back = create_buffer(
        (uint64_t)4 * sheet_width * sheet_height, VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, &back_memory);
    // A queue that both use must not be kept waiting for what the library has yet to submit to it.
    if (vk.ours == vk.lent) check(ds_fence_wait(fence, 1, DS_WAIT_FOREVER), "fence");
    draw(sheet, back, semaphore);

    // The semaphore is signalled for failed requests, too.
    ds_error_record record;
    check(ds_queue_retrieve_error_record(queue, &record), "error record");
    if (record.failure_count > 0) fail(archive, ds_result_string(record.result));

    void *pixels;
    check_vk(vkMapMemory(vk.device, back_memory, 0, VK_WHOLE_SIZE, 0, &pixels), "vkMapMemory");
    write_png(png, pixels, sheet_width, sheet_height);
    printf("see %s\n", png);

    // The library lets go of everything before the device is destroyed.
    for (uint32_t i = 0; i < picture_count; i++) {
        ds_gpu_image_release(pictures[i].gpu_image);
        ds_gpu_buffer_release(pictures[i].gpu_buffer);
    }
    ds_fence_release(fence);
    ds_queue_destroy(queue);
    ds_gpu_device_release(device);
    ds_runtime_destroy(runtime);
    for (uint32_t i = 0; i < picture_count; i++) {
        vkDestroyImage(vk.device, pictures[i].image, NULL);
        vkDestroyBuffer(vk.device, pictures[i].buffer, NULL);
        vkFreeMemory(vk.device, pictures[i].memory, NULL);
    }
    vkDestroyImage(vk.device, sheet, NULL);
    vkDestroyBuffer(vk.device, back, NULL);
    vkFreeMemory(vk.device, sheet_memory, NULL);
    vkFreeMemory(vk.device, back_memory, NULL);
    vkDestroySemaphore(vk.device, semaphore, NULL);
    vkDestroyDevice(vk.device, NULL);
    vkDestroyInstance(vk.instance, NULL);
    return 0;
}
#endif
