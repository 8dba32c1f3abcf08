// Compresses memory, writes it to a file, reads it back decompressed: with owners instead of cleanup code.
//
//     c++ -std=c++17 hello.cpp -o hello $(pkg-config --cflags --libs ds_runtime) && ./hello

#include "ds.hpp"

#include <cstdio>
#include <cstring>
#include <vector>

namespace {

std::vector<std::uint8_t> compress(const std::vector<std::uint8_t> &bytes) {
    ds_codec *raw = nullptr;
    ds::check(ds_codec_create(DS_COMPRESSION_GDEFLATE, 0, &raw), "codec");
    ds::codec codec(raw);
    std::vector<std::uint8_t> stream(ds_codec_bound(codec, bytes.size()));
    std::size_t written = 0;
    ds::check(ds_codec_compress(codec, bytes.data(), bytes.size(), DS_COMPRESSION_LEVEL_DEFAULT,
                                stream.data(), stream.size(), &written),
              "compress");
    stream.resize(written);
    return stream;
}

void write(const ds::runtime &runtime, const char *path, const std::vector<std::uint8_t> &bytes) {
    ds::queue queue = ds::make_queue(runtime, DS_MIN_QUEUE_CAPACITY, DS_SOURCE_MEMORY, "writer");
    ds::file file = ds::create_file(path);
    ds::batch batch(queue);
    batch.add(ds_request_write(bytes.data(), file, 0, static_cast<std::uint32_t>(bytes.size())));
    batch.submit();
    batch.wait();
}

std::vector<std::uint8_t> load(const ds::runtime &runtime, const char *path, std::uint32_t size) {
    ds::queue queue = ds::make_queue(runtime, DS_MIN_QUEUE_CAPACITY, DS_SOURCE_FILE, "loader");
    ds::file file = ds::open_file(path);
    std::vector<std::uint8_t> bytes(size);
    ds::batch batch(queue);
    auto stream_size = static_cast<std::uint32_t>(ds::size_of(file));
    ds_request request = ds_request_read(file, 0, bytes.data(), stream_size);
    batch.add(ds_request_compressed(request, DS_COMPRESSION_GDEFLATE, size));
    batch.submit();
    batch.wait();
    return bytes;
}

void hello() {
    ds::runtime runtime = ds::make_runtime();
    std::vector<std::uint8_t> bytes;
    for (int line = 0; line < 10000; line++) {
        std::string text = "Hello, line " + std::to_string(line) + "\n";
        bytes.insert(bytes.end(), text.begin(), text.end());
    }
    std::vector<std::uint8_t> stream = compress(bytes);
    write(runtime, "hello.gd", stream);
    if (load(runtime, "hello.gd", static_cast<std::uint32_t>(bytes.size())) != bytes)
        throw std::runtime_error("hello.gd: other bytes came back");
    std::printf("%zu bytes, %zu compressed, came back whole\n", bytes.size(), stream.size());
}

} // namespace

int main() {
    try {
        hello();
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    return 0;
}
