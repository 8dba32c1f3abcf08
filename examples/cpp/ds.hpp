// A thin C++17 face of ds_runtime.h, to copy into an engine: owners that give back, results that throw.
//
// It adds nothing to what the C functions do. Handles convert to the C pointers, so every C function can be
// called with them.

#ifndef DS_HPP
#define DS_HPP

#include <ds_runtime.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace ds {

// A result that is a failure.
class error : public std::runtime_error {
  public:
    error(ds_result result, const std::string &what)
        : std::runtime_error(what + ": " + ds_result_string(result)), result_(result) {}
    ds_result result() const noexcept { return result_; }

  private:
    ds_result result_;
};

inline void check(ds_result result, const std::string &what) {
    if (result < 0) throw error(result, what);
}

// One owner of one handle; `GiveBack` is the C function that ends it.
template <typename T, void (*GiveBack)(T *)> class owner {
  public:
    explicit owner(T *raw = nullptr) noexcept : raw_(raw) {}
    operator T *() const noexcept { return raw_.get(); }

  private:
    struct give_back {
        void operator()(T *raw) const noexcept { GiveBack(raw); }
    };
    std::unique_ptr<T, give_back> raw_;
};

using runtime = owner<ds_runtime, ds_runtime_destroy>;
using queue = owner<ds_queue, ds_queue_destroy>;
using codec = owner<ds_codec, ds_codec_destroy>;
using file = owner<ds_file, ds_file_release>;
using status_array = owner<ds_status_array, ds_status_array_release>;
using fence = owner<ds_fence, ds_fence_release>;
using event = owner<ds_event, ds_event_release>;

inline runtime make_runtime(const ds_runtime_options *options = nullptr) {
    ds_runtime *raw = nullptr;
    check(ds_runtime_create(options, &raw), "ds_runtime_create");
    return runtime(raw);
}

inline queue make_queue(const runtime &runtime, uint32_t capacity,
                        ds_source_type source_type = DS_SOURCE_FILE, const char *name = nullptr) {
    ds_queue_desc desc{};
    desc.struct_size = sizeof desc;
    desc.capacity = capacity;
    desc.source_type = source_type;
    desc.name = name;
    ds_queue *raw = nullptr;
    check(ds_queue_create(runtime, &desc, &raw), "ds_queue_create");
    return queue(raw);
}

inline file open_file(const std::string &path) {
    ds_file *raw = nullptr;
    check(ds_file_open(path.c_str(), &raw), path);
    return file(raw);
}

inline file create_file(const std::string &path) {
    ds_file *raw = nullptr;
    check(ds_file_create(path.c_str(), &raw), path);
    return file(raw);
}

inline uint64_t size_of(const file &file) {
    uint64_t bytes = 0;
    check(ds_file_size(file, &bytes), "ds_file_size");
    return bytes;
}

inline status_array make_status_array(uint32_t capacity) {
    ds_status_array *raw = nullptr;
    check(ds_status_array_create(capacity, nullptr, &raw), "ds_status_array_create");
    return status_array(raw);
}

inline fence make_fence(uint64_t initial = 0) {
    ds_fence *raw = nullptr;
    check(ds_fence_create(initial, &raw), "ds_fence_create");
    return fence(raw);
}

// Requests that end together: add them, submit, and ask or wait. One batch of a queue at a time.
class batch {
  public:
    explicit batch(ds_queue *queue) : queue_(queue), status_(make_status_array(1)) {}

    void add(const ds_request &request) {
        check(ds_queue_enqueue_request(queue_, &request), "ds_queue_enqueue_request");
    }

    void submit() {
        check(ds_queue_enqueue_status(queue_, status_, 0), "ds_queue_enqueue_status");
        check(ds_queue_submit(queue_), "ds_queue_submit");
    }

    // The result, if there is one.
    std::optional<ds_result> poll() const {
        if (!ds_status_array_is_complete(status_, 0)) return std::nullopt;
        return ds_status_array_get_result(status_, 0);
    }

    void wait() const { check(ds_status_array_wait(status_, 0, DS_WAIT_FOREVER), "batch"); }

  private:
    ds_queue *queue_;
    status_array status_;
};

} // namespace ds

#endif
