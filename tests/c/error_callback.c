// The error callback: what it is told, and that it hears nothing once removed.

#include "test.h"

#define MAX 16

typedef struct {
    ds_result result;
    ds_subsystem subsystem;
    uint32_t has_request;
    uint64_t offset, size, tag;
    char operation[32], message[512], filename[64], name[64];
} heard_report;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static heard_report heard[MAX];
static int heard_count;
static int marker;

static void copy(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from ? from : ""); }

static void hear(void *user, const ds_error_report *report) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    CHECK(user == &marker);
    CHECK(report->struct_size >= sizeof *report && report->line > 0 && strlen(report->file) > 0);
    CHECK(report->timestamp_ns / SECOND_NS + 120 > (uint64_t)now.tv_sec);
    CHECK(report->timestamp_ns / SECOND_NS <= (uint64_t)now.tv_sec);
    pthread_mutex_lock(&lock);
    CHECK(heard_count < MAX);
    heard_report *to = &heard[heard_count++];
    to->result = report->result;
    to->subsystem = report->subsystem;
    to->has_request = report->has_request;
    to->offset = report->offset;
    to->size = report->size;
    to->tag = report->cancellation_tag;
    copy(to->operation, sizeof to->operation, report->operation);
    copy(to->message, sizeof to->message, report->message);
    copy(to->filename, sizeof to->filename, report->filename);
    copy(to->name, sizeof to->name, report->name);
    pthread_mutex_unlock(&lock);
}

// Reports come after the failure was recorded, perhaps on another thread.
static heard_report wait_for(int count) {
    for (;;) {
        pthread_mutex_lock(&lock);
        int now = heard_count;
        heard_report last = heard[count - 1];
        pthread_mutex_unlock(&lock);
        CHECK(now <= count);
        if (now == count) return last;
        sleep_ns(SHORT_NS / 10);
    }
}

int main(void) {
    make_file("data", 4096);
    static uint8_t bytes[4096];
    ds_set_error_callback(hear, &marker);
    ds_file *file;
    CHECK_RESULT(ds_file_open("missing", &file), DS_E_FILE_NOT_FOUND);
    heard_report report = wait_for(1);
    CHECK(report.result == DS_E_FILE_NOT_FOUND && report.subsystem == DS_SUBSYSTEM_FILE);
    CHECK(strcmp(report.operation, "open") == 0 && strstr(report.message, "missing"));
    CHECK(!report.has_request && report.filename[0] == 0 && report.name[0] == 0);

    ds_runtime *runtime = make_runtime();
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    file = open_file("data");
    ds_request request = ds_request_read(file, 4000, bytes, 200);
    request.cancellation_tag = 42;
    request.name = "last block";
    CHECK_RESULT(run(queue, request), DS_E_END_OF_FILE);
    report = wait_for(2);
    CHECK(report.result == DS_E_END_OF_FILE && report.has_request);
    CHECK(report.offset == 4000 && report.size == 200 && report.tag == 42);
    CHECK(strcmp(report.filename, "data") == 0 && strcmp(report.name, "last block") == 0);
    CHECK(strstr(report.message, "data") && strstr(report.message, "0x89240007"));

    request = ds_request_compressed(ds_request_read(file, 0, bytes, 4096), DS_COMPRESSION_GDEFLATE, 4096);
    CHECK_RESULT(run(queue, request), DS_E_FAIL);
    report = wait_for(3);
    CHECK(report.result == DS_E_FAIL && report.subsystem == DS_SUBSYSTEM_DECODE);
    CHECK(report.filename[0] && report.name[0] == 0);

    ds_queue_desc desc = {.struct_size = sizeof desc, .capacity = 5};
    ds_queue *none;
    CHECK_RESULT(ds_queue_create(runtime, &desc, &none), DS_E_INVALID_QUEUE_CAPACITY);
    report = wait_for(4);
    CHECK(report.subsystem == DS_SUBSYSTEM_RUNTIME);

    ds_set_error_callback(NULL, NULL);
    CHECK_RESULT(run(queue, ds_request_read(file, 5000, bytes, 1)), DS_E_END_OF_FILE);
    ds_queue_destroy(queue);
    ds_runtime_destroy(runtime);
    ds_file_release(file);
    wait_for(4);
    return 0;
}
