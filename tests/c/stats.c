// Statistics: what they count, and the quantiles of the histogram.

#include "test.h"

#define SIZE 4096u

int main(void) {
    make_file("data", SIZE);
    static uint8_t bytes[SIZE];
    ds_runtime *runtime = make_runtime();
    ds_queue *queue = make_queue(runtime, DS_SOURCE_FILE, 128);
    ds_file *file = open_file("data");

    ds_queue_stats stats = stats_of(queue);
    CHECK(stats.requests_enqueued == 0 && stats.submits == 0 && stats.reserved == 0);
    CHECK(ds_queue_stats_latency_ns(&stats, 0.5) == 0);

    ds_fence *never;
    CHECK_OK(ds_fence_create(0, &never));
    for (int i = 0; i < 10; i++) CHECK_OK(run(queue, ds_request_read(file, 0, bytes, SIZE)));
    for (int i = 0; i < 3; i++) CHECK(run(queue, ds_request_read(file, SIZE, bytes, 1)) < 0);
    ds_request request = ds_request_read(file, 0, bytes, SIZE);
    request.cancellation_tag = 1;
    for (int i = 0; i < 2; i++) CHECK_OK(ds_queue_enqueue_requests(queue, &request, 1, never, 1, 0));
    CHECK(stats_of(queue).depth == 2);
    CHECK_OK(ds_queue_cancel_requests_with_tag(queue, 1, 1));

    stats = stats_of(queue);
    CHECK(stats.requests_enqueued == 15 && stats.requests_completed == 10);
    CHECK(stats.requests_failed == 3 && stats.requests_cancelled == 2);
    CHECK(stats.bytes_source == 10 * SIZE && stats.bytes_destination == 10 * SIZE);
    CHECK(stats.submits == 13 && stats.enqueue_waits == 0);
    CHECK(stats.depth == 0 && stats.depth_max == 2);
    uint64_t counted = 0;
    for (int i = 0; i < DS_HISTOGRAM_BUCKETS; i++) counted += stats.latency_buckets[i];
    CHECK(counted == 13);
    uint64_t median = ds_queue_stats_latency_ns(&stats, 0.5), worst = ds_queue_stats_latency_ns(&stats, 1.0);
    CHECK(median > 0 && median <= worst && worst < LONG_NS);

    // The quantile is the upper end of a bucket, whatever the number that asks for it.
    ds_queue_stats made = {.struct_size = sizeof made};
    made.latency_buckets[10] = 99;
    made.latency_buckets[20] = 1;
    CHECK(ds_queue_stats_latency_ns(&made, 0.5) == (1u << 11) - 1);
    CHECK(ds_queue_stats_latency_ns(&made, 1.0) == (1u << 21) - 1);
    CHECK(ds_queue_stats_latency_ns(&made, 17.0) == (1u << 21) - 1);
    CHECK(ds_queue_stats_latency_ns(&made, -1.0) == (1u << 11) - 1);
    double not_a_number = 0.0;
    CHECK(ds_queue_stats_latency_ns(&made, not_a_number / not_a_number) == (1u << 11) - 1);

    ds_queue_destroy(queue);
    ds_file_release(file);
    ds_fence_release(never);
    ds_runtime_destroy(runtime);
    return 0;
}
