// The header and the C++ face of the example: owners give back once, failures throw with their number.

#include "../../examples/cpp/ds.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <type_traits>
#include <utility>
#include <vector>

#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);         \
            std::exit(1);                                                                        \
        }                                                                                        \
    } while (0)

static_assert(!std::is_copy_constructible_v<ds::file> && std::is_nothrow_move_constructible_v<ds::file>);
static_assert(sizeof(ds::queue) == sizeof(ds_queue *));
static_assert(std::is_standard_layout_v<ds_request> && std::is_trivially_copyable_v<ds_request>);
static_assert(std::is_trivial_v<ds_error_record>);

template <typename Body> static ds_result result_of(Body body) {
    try {
        body();
    } catch (const ds::error &failure) {
        CHECK(std::strstr(failure.what(), "DS_E_"));
        return failure.result();
    }
    return DS_OK;
}

static void failures_throw(const ds::runtime &runtime) {
    CHECK(result_of([] { ds::open_file("missing"); }) == DS_E_FILE_NOT_FOUND);
    CHECK(result_of([&] { ds::make_queue(runtime, 1); }) == DS_E_INVALID_QUEUE_CAPACITY);
    CHECK(result_of([&] { ds::make_queue(ds::runtime(), 128); }) == DS_E_INVALIDARG);
    ds::queue queue = ds::make_queue(runtime, 128);
    ds::batch batch(queue);
    batch.add(ds_request_read(nullptr, 0, nullptr, 16));
    CHECK(!batch.poll());
    batch.submit();
    CHECK(result_of([&] { batch.wait(); }) == DS_E_INVALID_FILE_HANDLE);
    CHECK(batch.poll() == DS_E_INVALID_FILE_HANDLE);
}

static void owners_move(const ds::runtime &runtime) {
    std::ofstream("data") << "sixteen bytes...";
    ds::file file = ds::open_file("data");
    ds_file *raw = file;
    ds::file moved = std::move(file);
    CHECK(static_cast<ds_file *>(file) == nullptr && static_cast<ds_file *>(moved) == raw);
    CHECK(ds::size_of(moved) == 16);
    std::vector<char> bytes(16);
    ds::queue queue = ds::make_queue(runtime, 128);
    ds::fence fence = ds::make_fence(3);
    {
        ds::batch batch(queue);
        batch.add(ds_request_read(moved, 0, bytes.data(), 16));
        moved = ds::file(); // the request has its own reference
        batch.submit();
        batch.wait();
    }
    ds::check(ds_queue_enqueue_signal(queue, fence, 4), "signal");
    ds::check(ds_queue_submit(queue), "submit");
    ds::check(ds_fence_wait(fence, 4, DS_WAIT_FOREVER), "wait");
    CHECK(std::memcmp(bytes.data(), "sixteen bytes...", 16) == 0);
}

int main() {
    ds::runtime runtime = ds::make_runtime();
    failures_throw(runtime);
    owners_move(runtime);
    return 0;
}
