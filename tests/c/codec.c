// The codec alone, O-72 to O-82: round trips, and input that means harm.

#include "test.h"

#include <signal.h>

#include <pthread.h>

#define KIB 1024u
#define MIB (1024u * KIB)

static ds_codec *codec;
static uint8_t *plain, *stream, *out;
static size_t bound;

static size_t compress(size_t size, ds_compression_level level) {
    size_t written = 0;
    CHECK_OK(ds_codec_compress(codec, plain, size, level, stream, bound, &written));
    CHECK(written > 8 && written <= ds_codec_bound(codec, size));
    return written;
}

static void decompress_fails(const uint8_t *from, size_t size, size_t capacity, ds_result expected) {
    // As small as it is said to be, so that a byte outside is seen.
    uint8_t *input = malloc(size ? size : 1), *output = malloc(capacity ? capacity : 1);
    size_t written = 77;
    CHECK(input && output);
    memcpy(input, from, size);
    CHECK_RESULT(ds_codec_decompress(codec, input, size, output, capacity, &written), expected);
    CHECK(written == 0);
    free(input);
    free(output);
}

static void codecs_and_bounds(void) {
    static const uint8_t other[] = {DS_COMPRESSION_NONE, 2, DS_COMPRESSION_CUSTOM_0};
    static const size_t sizes[] = {0, 1, 64 * KIB, 64 * KIB + 1, MIB};
    static const size_t expected[] = {66420, 66420, 66420, 132824, 1062480};
    for (size_t i = 0; i < sizeof other; i++) { // O-72
        ds_codec *none = (ds_codec *)&none;
        CHECK_RESULT(ds_codec_create(other[i], 0, &none), DS_E_NOTIMPL);
        CHECK(none == NULL);
    }
    ds_codec *many;
    CHECK_OK(ds_codec_create(DS_COMPRESSION_GDEFLATE, 1000, &many)); // O-73
    ds_codec_destroy(many);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) // O-74
        CHECK(ds_codec_bound(codec, sizes[i]) == expected[i]);
    CHECK(ds_codec_bound(codec, SIZE_MAX) >= SIZE_MAX / 2);
}

static void round_trips(void) {
    static const size_t sizes[] = {1, 2, 100, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300001};
    for (ds_compression_level level = -1; level <= 1; level++) { // O-76
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t size = compress(sizes[i], level), written;
            memset(out, 0xEE, MIB);
            CHECK_OK(ds_codec_decompress(codec, stream, size, out, MIB, &written)); // O-79
            CHECK(written == sizes[i] && has_pattern(out, 0, written) && out[written] == 0xEE);
        }
    }
    size_t size = compress(MIB, DS_COMPRESSION_LEVEL_FASTEST), written;
    static const uint8_t header[8] = {0x04, 0xFB, 0x10, 0x00, 0x01, 0x00, 0x00, 0x00};
    CHECK(memcmp(stream, header, 8) == 0); // O-78
    CHECK_OK(ds_codec_decompress(codec, stream, size, out, MIB, &written));
    CHECK(written == MIB && has_pattern(out, 0, MIB));
}

typedef struct {
    pthread_mutex_t lock;
    uint64_t calls, most, all;
} progress_seen;

static void see_progress(void *user, uint64_t bytes_done, uint64_t bytes_all) {
    progress_seen *seen = user;
    pthread_mutex_lock(&seen->lock);
    seen->calls++;
    if (bytes_done > seen->most) seen->most = bytes_done;
    seen->all = bytes_all;
    pthread_mutex_unlock(&seen->lock);
}

static size_t compress_level(size_t size, uint32_t level, ds_codec_progress progress, void *user) {
    size_t written = 77;
    CHECK_OK(ds_codec_compress_level(codec, plain, size, level, stream, bound, progress, user, &written));
    return written;
}

// Short pieces of what came before, and new bytes between them: it pays to search.
static void fill_with_repeats(uint8_t *bytes, size_t size) {
    uint32_t random = 12345;
    for (size_t i = 0, from = 0, left = 0; i < size; i++) {
        random = random * 1664525 + 1013904223;
        if (left == 0) {
            bytes[i] = (uint8_t)('a' + (random >> 28));
            left = 3 + (random >> 8) % 9;
            from = (random >> 12) % (i + 1);
        } else {
            bytes[i] = bytes[from++];
            left--;
        }
    }
}

static void every_level(void) {
    static const size_t size = 300001;
    static const uint32_t wrong[] = {0, DS_CODEC_LEVEL_MAX + 1, 256 + 1, UINT32_MAX};
    size_t sizes[DS_CODEC_LEVEL_MAX + 1], written;
    fill_with_repeats(plain, size);
    for (uint32_t level = DS_CODEC_LEVEL_MIN; level <= DS_CODEC_LEVEL_MAX; level++) {
        sizes[level] = compress_level(size, level, NULL, NULL);
        memset(out, 0xEE, MIB);
        CHECK_OK(ds_codec_decompress(codec, stream, sizes[level], out, MIB, &written));
        CHECK(written == size && memcmp(out, plain, size) == 0 && out[size] == 0xEE);
    }
    // The levels with a name are among them.
    CHECK(sizes[DS_CODEC_LEVEL_MIN] == compress(size, DS_COMPRESSION_LEVEL_FASTEST));
    CHECK(sizes[DS_CODEC_LEVEL_MAX] == compress(size, DS_COMPRESSION_LEVEL_BEST_RATIO));
    CHECK(sizes[DS_CODEC_LEVEL_MAX] < sizes[DS_CODEC_LEVEL_MIN]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        progress_seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
        ds_result result = ds_codec_compress_level(codec, plain, size, wrong[i], stream, bound, see_progress,
                                                   &seen, &written);
        CHECK_RESULT(result, DS_E_INVALIDARG);
        CHECK(written == 0 && seen.calls == 0);
    }
    fill(plain, size);
}

// A handler of the host's must not run on a thread that the host does not know.
static void see_signals(void *caller, uint64_t bytes_done, uint64_t bytes_all) {
    sigset_t blocked;
    (void)bytes_done, (void)bytes_all;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0);
    int own = pthread_equal(*(pthread_t *)caller, pthread_self());
    CHECK(sigismember(&blocked, SIGUSR1) == !own && !sigismember(&blocked, SIGSEGV));
}

static void threads_take_no_signals(void) {
    pthread_t self = pthread_self();
    compress_level(MIB, 5, see_signals, &self);
}

static void progress_is_told(void) {
    progress_seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    compress_level(MIB, DS_CODEC_LEVEL_MIN, see_progress, &seen);
    CHECK(seen.calls == 16 && seen.most == MIB && seen.all == MIB);
    compress_level(64 * KIB + 1, 5, see_progress, &seen);
    CHECK(seen.calls == 18 && seen.all == 64 * KIB + 1);
}

static void headers_tell_the_size(void) {
    size_t size = compress(300001, 0), found = 77;
    CHECK_OK(ds_codec_uncompressed_size(codec, stream, size, &found));
    CHECK(found == 300001);
    CHECK_RESULT(ds_codec_uncompressed_size(codec, stream, 7, &found), DS_E_FAIL);
    CHECK(found == 0);
    CHECK_RESULT(ds_codec_uncompressed_size(codec, stream, 20, &found), DS_E_FAIL);
    CHECK_RESULT(ds_codec_uncompressed_size(codec, plain, 1000, &found), DS_E_FAIL);
    CHECK_RESULT(ds_codec_uncompressed_size(codec, stream, 0, &found), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_uncompressed_size(codec, NULL, 8, &found), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_uncompressed_size(codec, stream, size, NULL), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_uncompressed_size(NULL, stream, size, &found), DS_E_INVALIDARG);
}

static void arguments(void) {
    size_t written = 77, size = compress(100, 0);
    CHECK_RESULT(ds_codec_compress(codec, plain, 100, -2, stream, bound, &written), DS_E_INVALIDARG); // O-75
    CHECK(written == 0);
    CHECK_RESULT(ds_codec_compress(codec, plain, 100, 2, stream, bound, &written), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_compress(codec, plain, 0, 0, stream, bound, &written), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_compress(codec, plain, 100, 0, stream, 0, &written), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_compress(codec, plain, 100, 0, plain + 99, 100, &written), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_compress(codec, plain + 99, 100, 0, plain, 100, &written), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_decompress(codec, stream, 0, out, MIB, &written), DS_E_INVALIDARG); // O-81
    CHECK_RESULT(ds_codec_decompress(codec, stream, size, stream, size, &written), DS_E_INVALIDARG);
    // No length makes an address wrap.
    CHECK_RESULT(ds_codec_decompress(codec, stream, SIZE_MAX, out, MIB, &written), DS_E_INVALIDARG);
    CHECK_RESULT(ds_codec_compress(codec, plain, 100, 0, stream, SIZE_MAX, &written), DS_E_INVALIDARG);
    // Apart by nothing is apart.
    memcpy(out, stream, size);
    CHECK_OK(ds_codec_decompress(codec, out, size, out + size, MIB - size, &written));
}

static void small_destinations(void) {
    uint8_t *tight = malloc(100);
    size_t written = 77;
    CHECK(tight);
    ds_result result = ds_codec_compress(codec, plain, MIB, 0, tight, 100, &written); // O-77
    CHECK_RESULT(result, DS_E_INSUFFICIENT_BUFFER);
    CHECK(written == 0);
    free(tight);
    size_t size = compress(MIB, DS_COMPRESSION_LEVEL_FASTEST);
    decompress_fails(stream, size, MIB - 1, DS_E_INSUFFICIENT_BUFFER); // O-80
    decompress_fails(stream, size, 1, DS_E_INSUFFICIENT_BUFFER);
}

static void hostile_streams(void) {
    size_t size = compress(200 * KIB, DS_COMPRESSION_LEVEL_FASTEST);
    decompress_fails(stream, size / 2, MIB, DS_E_FAIL); // O-80
    for (size_t short_size = 1; short_size < 8; short_size++)
        decompress_fails(stream, short_size, MIB, DS_E_FAIL);
    decompress_fails(stream, size - 1, MIB, DS_E_FAIL);
    stream[0] = (uint8_t)~stream[0];
    decompress_fails(stream, size, MIB, DS_E_FAIL); // O-82
    stream[0] = (uint8_t)~stream[0];
    // Any damage is an answer of some kind, inside the buffers.
    uint32_t random = 12345;
    uint8_t *damaged = malloc(size);
    CHECK(damaged);
    for (int round = 0; round < 300; round++) {
        memcpy(damaged, stream, size);
        for (int i = 0; i <= round % 7; i++) {
            random = random * 1664525 + 1013904223;
            // Every third round hits the header and the table.
            damaged[random % (round % 3 ? size : 24)] ^= (uint8_t)(1 << (random >> 29));
        }
        size_t written = 77;
        ds_result result = ds_codec_decompress(codec, damaged, size, out, MIB, &written);
        CHECK(result <= 0 && written <= MIB && (result == DS_OK || written == 0));
    }
    free(damaged);
}

int main(void) {
    CHECK_OK(ds_codec_create(DS_COMPRESSION_GDEFLATE, 2, &codec));
    bound = ds_codec_bound(codec, MIB);
    plain = malloc(MIB);
    stream = malloc(bound);
    out = malloc(MIB);
    CHECK(plain && stream && out);
    fill(plain, MIB);
    codecs_and_bounds();
    round_trips();
    every_level();
    progress_is_told();
    threads_take_no_signals();
    headers_tell_the_size();
    arguments();
    small_destinations();
    hostile_streams();
    ds_codec_destroy(codec);
    free(plain);
    free(stream);
    free(out);
    return 0;
}
