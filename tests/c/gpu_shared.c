// A device of the program's own, lent to the library, with one queue that both submit to: under the program's
// lock, watched by the validation layers where they are installed. Requests wait for a semaphore that the
// program's own submissions signal, and the program waits for one that the library signals.

#include "test.h"

#if !__has_include(<vulkan/vulkan.h>)
int main(void) {
    puts("SKIPPED: gpu_shared was built without Vulkan's headers");
    return 77;
}
#else

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <dlfcn.h>
#include <stdatomic.h>

#define REQUESTS 500u
#define PART 4096u
#define SIZE (REQUESTS * PART)
// The program's submissions before requests that wait for them may run.
#define TURNS 40u

#define OF_INSTANCE(X)                                                                                       \
    X(DestroyInstance) X(EnumeratePhysicalDevices) X(GetPhysicalDeviceProperties)                            \
    X(GetPhysicalDeviceQueueFamilyProperties) X(GetPhysicalDeviceMemoryProperties) X(CreateDevice)           \
    X(GetDeviceProcAddr)
#define OF_DEVICE(X)                                                                                         \
    X(DestroyDevice) X(GetDeviceQueue) X(CreateBuffer) X(DestroyBuffer) X(GetBufferMemoryRequirements)       \
    X(AllocateMemory) X(FreeMemory) X(BindBufferMemory) X(MapMemory) X(CreateSemaphore) X(DestroySemaphore)  \
    X(CreateCommandPool) X(DestroyCommandPool) X(AllocateCommandBuffers) X(BeginCommandBuffer)               \
    X(EndCommandBuffer) X(CmdFillBuffer) X(QueueSubmit) X(WaitSemaphores)

#define DECLARE(name) static PFN_vk##name vk##name;
static PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
static PFN_vkCreateInstance vkCreateInstance;
static PFN_vkEnumerateInstanceLayerProperties vkEnumerateInstanceLayerProperties;
OF_INSTANCE(DECLARE)
OF_DEVICE(DECLARE)

static VkInstance instance;
static VkPhysicalDevice physical;
static VkDevice device;
static VkQueue queue;
static uint32_t family;
static VkDebugUtilsMessengerEXT messenger;
static atomic_uint messages, locks, inside;
static atomic_bool stop;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void *user, uint32_t queue) {
    CHECK(queue == 0);
    CHECK(user == &mutex && pthread_mutex_lock(&mutex) == 0);
    CHECK(atomic_fetch_add(&inside, 1) == 0);
    atomic_fetch_add(&locks, 1);
}

static void unlock(void *user, uint32_t queue) {
    CHECK(queue == 0);
    CHECK(atomic_fetch_sub(&inside, 1) == 1);
    CHECK(user == &mutex && pthread_mutex_unlock(&mutex) == 0);
}

static void skip(const char *why) {
    printf("SKIPPED: gpu_shared: %s\n", why);
    exit(77);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT kind,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                 void *user) {
    (void)severity, (void)kind, (void)user;
    fprintf(stderr, "%s\n", data->pMessage);
    atomic_fetch_add(&messages, 1);
    return VK_FALSE;
}

static bool has_validation(void) {
    VkLayerProperties layers[64];
    uint32_t count = 64;
    vkEnumerateInstanceLayerProperties(&count, layers);
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(layers[i].layerName, "VK_LAYER_KHRONOS_validation")) return true;
    return false;
}

static void open_instance(void) {
    void *loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!loader) skip("there is no Vulkan loader");
    *(void **)&vkGetInstanceProcAddr = dlsym(loader, "vkGetInstanceProcAddr");
#define LOAD(name) vk##name = (PFN_vk##name)vkGetInstanceProcAddr(NULL, "vk" #name);
    LOAD(CreateInstance)
    LOAD(EnumerateInstanceLayerProperties)
#undef LOAD
    bool validate = has_validation();
    if (!validate) printf("gpu_shared: the validation layers are not installed; run without\n");
    const char *layers[] = {"VK_LAYER_KHRONOS_validation"}, *extensions[] = {"VK_EXT_debug_utils"};
    VkApplicationInfo application = {VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &application,
                                 .enabledLayerCount = validate,
                                 .ppEnabledLayerNames = layers,
                                 .enabledExtensionCount = validate,
                                 .ppEnabledExtensionNames = extensions};
    if (vkCreateInstance(&info, NULL, &instance) != VK_SUCCESS) skip("no driver");
#define LOAD(name) vk##name = (PFN_vk##name)vkGetInstanceProcAddr(instance, "vk" #name);
    OF_INSTANCE(LOAD)
#undef LOAD
    if (!validate) return;
    const char *name = "vkCreateDebugUtilsMessengerEXT";
    PFN_vkCreateDebugUtilsMessengerEXT create =
        (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(instance, name);
    VkDebugUtilsMessengerCreateInfoEXT listen = {
        VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_message};
    CHECK(create && create(instance, &listen, NULL, &messenger) == VK_SUCCESS);
}

static void open_device(void) {
    uint32_t count = 1;
    vkEnumeratePhysicalDevices(instance, &count, &physical);
    if (count == 0) skip("no device");
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(physical, &properties);
    if (properties.apiVersion < VK_API_VERSION_1_2) skip("the device has no Vulkan 1.2");
    VkQueueFamilyProperties families[16];
    uint32_t family_count = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &family_count, families);
    while (family < family_count && !(families[family].queueFlags & VK_QUEUE_COMPUTE_BIT)) family++;
    if (family == family_count) skip("the device has no queue for compute");

    VkPhysicalDeviceVulkan12Features features = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                                 .timelineSemaphore = VK_TRUE};
    float priority = 1.0f;
    VkDeviceQueueCreateInfo one = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                   .queueFamilyIndex = family,
                                   .queueCount = 1,
                                   .pQueuePriorities = &priority};
    VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &features,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &one};
    CHECK(vkCreateDevice(physical, &info, NULL, &device) == VK_SUCCESS);
#define LOAD(name) vk##name = (PFN_vk##name)vkGetDeviceProcAddr(device, "vk" #name);
    OF_DEVICE(LOAD)
#undef LOAD
    vkGetDeviceQueue(device, family, 0, &queue);
}

// A buffer in memory that the host sees.
static VkBuffer make_buffer(VkDeviceMemory *memory, uint8_t **mapping) {
    VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = SIZE,
                               .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    VkBuffer buffer;
    CHECK(vkCreateBuffer(device, &info, NULL, &buffer) == VK_SUCCESS);
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device, buffer, &needs);
    VkPhysicalDeviceMemoryProperties types;
    vkGetPhysicalDeviceMemoryProperties(physical, &types);
    const VkMemoryPropertyFlags flags =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkMemoryAllocateInfo allocate = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size};
    while (!(needs.memoryTypeBits >> allocate.memoryTypeIndex & 1) ||
           (types.memoryTypes[allocate.memoryTypeIndex].propertyFlags & flags) != flags)
        allocate.memoryTypeIndex++;
    CHECK(vkAllocateMemory(device, &allocate, NULL, memory) == VK_SUCCESS);
    CHECK(vkBindBufferMemory(device, buffer, *memory, 0) == VK_SUCCESS);
    void *mapped;
    CHECK(vkMapMemory(device, *memory, 0, VK_WHOLE_SIZE, 0, &mapped) == VK_SUCCESS);
    *mapping = mapped;
    return buffer;
}

static VkSemaphore make_semaphore(void) {
    VkSemaphoreTypeCreateInfo timeline = {VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                          .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &timeline};
    VkSemaphore semaphore;
    CHECK(vkCreateSemaphore(device, &info, NULL, &semaphore) == VK_SUCCESS);
    return semaphore;
}

static void wait_for(VkSemaphore semaphore, uint64_t value) {
    VkSemaphoreWaitInfo info = {VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                .semaphoreCount = 1,
                                .pSemaphores = &semaphore,
                                .pValues = &value};
    CHECK(vkWaitSemaphores(device, &info, LONG_NS) == VK_SUCCESS);
}

// What the program does with its queue: fills, one after another, each signalling the next value.
struct renderer {
    VkBuffer buffer;
    VkSemaphore semaphore;
    uint64_t value;
};

static void *render(void *argument) {
    struct renderer *renderer = argument;
    VkCommandPoolCreateInfo pool_info = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                         .queueFamilyIndex = family};
    VkCommandPool pool;
    CHECK(vkCreateCommandPool(device, &pool_info, NULL, &pool) == VK_SUCCESS);
    VkCommandBufferAllocateInfo allocate = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandPool = pool,
                                            .commandBufferCount = 1};
    VkCommandBuffer commands;
    CHECK(vkAllocateCommandBuffers(device, &allocate, &commands) == VK_SUCCESS);
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    CHECK(vkBeginCommandBuffer(commands, &begin) == VK_SUCCESS);
    vkCmdFillBuffer(commands, renderer->buffer, 0, SIZE, 0x5A5A5A5A);
    CHECK(vkEndCommandBuffer(commands) == VK_SUCCESS);
    while (!atomic_load(&stop)) {
        uint64_t value = ++renderer->value;
        VkTimelineSemaphoreSubmitInfo values = {VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                                .signalSemaphoreValueCount = 1,
                                                .pSignalSemaphoreValues = &value};
        VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .pNext = &values,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands,
                               .signalSemaphoreCount = 1,
                               .pSignalSemaphores = &renderer->semaphore};
        lock(&mutex, 0);
        CHECK(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE) == VK_SUCCESS);
        unlock(&mutex, 0);
        wait_for(renderer->semaphore, value);
    }
    vkDestroyCommandPool(device, pool, NULL);
    return NULL;
}

static ds_gpu_device *borrow(void) {
    void *queues[] = {queue};
    ds_gpu_device_handles handles = {.struct_size = sizeof handles,
                                     .features = DS_GPU_TIMELINE_SEMAPHORE,
                                     .get_instance_proc_addr = *(void **)&vkGetInstanceProcAddr,
                                     .instance = instance,
                                     .physical_device = physical,
                                     .device = device,
                                     .queues = queues,
                                     .queue_count = 1,
                                     .queue_family = family,
                                     .lock = lock,
                                     .unlock = NULL,
                                     .lock_user = &mutex};
    ds_gpu_device *borrowed;
    CHECK_RESULT(ds_gpu_device_borrow(&handles, &borrowed), DS_E_INVALIDARG);
    handles.unlock = unlock;
    CHECK_OK(ds_gpu_device_borrow(&handles, &borrowed));
    return borrowed;
}

// 500 requests that wait for the renderer, and a signal behind them that the program waits for in Vulkan.
static void stream(ds_queue *into, ds_gpu_buffer *buffer, const uint8_t *bytes, ds_fence *theirs,
                   ds_fence *ours) {
    for (uint32_t i = 0; i < REQUESTS; i++) {
        ds_request request = ds_request_copy(bytes + i * PART, NULL, PART);
        request = ds_request_to_gpu_buffer(request, buffer, i * PART, PART);
        CHECK_OK(ds_queue_enqueue_requests(into, &request, 1, theirs, TURNS,
                                           i % 2 ? DS_ENQUEUE_FENCE_WAIT_BEFORE_GPU_WORK
                                                 : DS_ENQUEUE_FENCE_WAIT_BEFORE_SOURCE_ACCESS));
    }
    CHECK_OK(ds_queue_enqueue_signal(into, ours, 7));
    CHECK_OK(ds_queue_submit(into));
}

int main(void) {
    open_instance();
    open_device();
    ds_gpu_device *borrowed = borrow();
    ds_runtime *runtime = make_runtime();
    ds_queue_desc desc = {.struct_size = sizeof desc,
                          .capacity = 1024,
                          .source_type = DS_SOURCE_MEMORY,
                          .gpu_device = borrowed};
    ds_queue *into;
    CHECK_OK(ds_queue_create(runtime, &desc, &into));

    uint8_t *mapping, *others, *bytes = malloc(SIZE);
    CHECK(bytes);
    fill(bytes, SIZE);
    VkDeviceMemory memory, other_memory;
    VkBuffer target = make_buffer(&memory, &mapping), other = make_buffer(&other_memory, &others);
    ds_gpu_buffer_desc buffer_desc = {.struct_size = sizeof buffer_desc,
                                      .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                      .buffer = (uint64_t)(uintptr_t)target,
                                      .size = SIZE,
                                      .queue_family = 0};
    ds_gpu_buffer *buffer;
    CHECK_OK(ds_gpu_buffer_import(borrowed, &buffer_desc, &buffer));
    CHECK(ds_gpu_buffer_handle(buffer) == buffer_desc.buffer);
    VkSemaphore done = make_semaphore();
    struct renderer renderer = {.buffer = other, .semaphore = make_semaphore()};
    ds_fence *theirs, *ours;
    CHECK_OK(ds_fence_import_gpu(borrowed, (uint64_t)(uintptr_t)renderer.semaphore, &theirs));
    CHECK_OK(ds_fence_import_gpu(borrowed, (uint64_t)(uintptr_t)done, &ours));

    stream(into, buffer, bytes, theirs, ours);
    sleep_ns(SHORT_NS);
    CHECK(ds_fence_value(ours) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, render, &renderer) == 0);
    wait_for(done, 7);
    CHECK(ds_fence_value(theirs) >= TURNS);
    CHECK(has_pattern(mapping, 0, SIZE));
    CHECK_OK(finish(into));
    // Once more while the renderer goes on, with no waiting.
    memset(mapping, 0, SIZE);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        ds_request request = ds_request_copy(bytes + i * PART, NULL, PART);
        request = ds_request_to_gpu_buffer(request, buffer, i * PART, PART);
        CHECK_OK(ds_queue_enqueue_request(into, &request));
        if (i % 25 == 0) CHECK_OK(ds_queue_submit(into));
    }
    CHECK_OK(finish(into));
    CHECK(has_pattern(mapping, 0, SIZE));
    atomic_store(&stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(others[0] == 0x5A && others[SIZE - 1] == 0x5A);
    CHECK(atomic_load(&locks) > renderer.value);

    // Everything of the library's that knows the device goes first; then nobody may touch it.
    ds_fence_release(theirs);
    ds_fence_release(ours);
    ds_gpu_buffer_release(buffer);
    ds_queue_destroy(into);
    ds_gpu_device_release(borrowed);
    vkDestroySemaphore(device, done, NULL);
    vkDestroySemaphore(device, renderer.semaphore, NULL);
    vkDestroyBuffer(device, target, NULL);
    vkDestroyBuffer(device, other, NULL);
    vkFreeMemory(device, memory, NULL);
    vkFreeMemory(device, other_memory, NULL);
    ds_runtime_destroy(runtime);
    vkDestroyDevice(device, NULL);
    if (messenger) {
        const char *name = "vkDestroyDebugUtilsMessengerEXT";
        PFN_vkDestroyDebugUtilsMessengerEXT destroy =
            (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(instance, name);
        destroy(instance, messenger, NULL);
    }
    vkDestroyInstance(instance, NULL);
    CHECK(atomic_load(&messages) == 0);
    free(bytes);
    return 0;
}
#endif
