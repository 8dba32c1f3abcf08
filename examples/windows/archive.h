// archive.h: a `.dspk` archive, as far as a program needs it that asks for whole files:
// docs/archive-format.md.
//
// Every number is checked before it is used: an archive comes from somewhere else. Checksums are left to
// `ds verify`.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef ARCHIVE_H
#define ARCHIVE_H

#include "sample.h"

#define HEADER_BYTES 64
#define ENTRY_BYTES 32
#define CHUNK_BYTES 24
#define INDEX_BYTES_MAX (64u << 20)
#define FILES_MAX 4096
#define NAME_BYTES_MAX 255

// A file of the archive. Its chunks are records of CHUNK_BYTES.
struct packed {
    char name[NAME_BYTES_MAX + 1];
    uint64_t bytes;
    const uint8_t *chunks;
    uint32_t chunk_count;
};

struct archive {
    uint32_t chunk_bytes; // of a file, in each of its chunks but the last
    uint32_t count;
    struct packed *files;
    uint64_t bytes;
};

static inline uint64_t number(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    while (bytes-- > 0) value = value << 8 | at[bytes];
    return value;
}

static inline BOOL read_at(FILE *file, uint64_t offset, void *to, size_t bytes) {
    return !_fseeki64(file, (int64_t)offset, SEEK_SET) && fread(to, 1, bytes, file) == bytes;
}

__attribute__((noreturn)) static inline void damaged(const WCHAR *path) {
    end(EXIT_WRONG, "%ls is no archive of `ds pack`, or damaged.", path);
}

// Takes the next entry at `entry`, and its chunks from `*chunk`; answers where the next one begins.
static inline const uint8_t *take_entry(struct archive *archive, const WCHAR *path, const uint8_t *entry,
                                        const uint8_t *entries_end, const uint8_t **chunk,
                                        const uint8_t *chunks_end) {
    if (entries_end - entry < ENTRY_BYTES) damaged(path);
    uint64_t name_bytes = number(entry + 2, 2), rest = name_bytes + number(entry + 4, 2);
    struct packed file = {.bytes = number(entry + 24, 8), .chunks = *chunk};
    uint64_t chunks = file.bytes / archive->chunk_bytes + (file.bytes % archive->chunk_bytes != 0);
    if (rest > (uint64_t)(entries_end - entry) - ENTRY_BYTES) damaged(path);
    if (chunks > (uint64_t)(chunks_end - *chunk) / CHUNK_BYTES) damaged(path);
    *chunk += chunks * CHUNK_BYTES;
    if (entry[0] == 0 && name_bytes <= NAME_BYTES_MAX && archive->count < FILES_MAX) {
        memcpy(file.name, entry + ENTRY_BYTES, name_bytes);
        file.chunk_count = (uint32_t)chunks;
        archive->files[archive->count++] = file;
    }
    return entry + ENTRY_BYTES + rest;
}

// Reads the index; the archive's memory is the program's until it ends.
static inline struct archive open_archive(const WCHAR *path) {
    FILE *file = _wfopen(path, L"rb");
    if (!file)
        end(EXIT_WRONG,
            "%ls cannot be opened. Name an archive that `ds pack` made of examples/scene, or put scene.dspk\n"
            "beside this program.",
            path);
    uint8_t header[HEADER_BYTES], footer[HEADER_BYTES];
    _fseeki64(file, 0, SEEK_END);
    struct archive archive = {.bytes = (uint64_t)_ftelli64(file)};
    if (archive.bytes < 2 * HEADER_BYTES || !read_at(file, 0, header, HEADER_BYTES) ||
        !read_at(file, archive.bytes - HEADER_BYTES, footer, HEADER_BYTES) ||
        memcmp(header, "DSPK\r\n\x1a\n", 8) || memcmp(footer, "DSPKEND\n", 8) || number(header + 8, 4) != 1)
        damaged(path);
    archive.chunk_bytes = (uint32_t)number(header + 12, 4);
    uint64_t at = number(footer + 8, 8), bytes = number(footer + 16, 8);
    uint64_t entries = number(footer + 32, 8), chunks = number(footer + 40, 8);
    if (!archive.chunk_bytes || bytes > INDEX_BYTES_MAX || at > archive.bytes || bytes > archive.bytes - at ||
        chunks > bytes / CHUNK_BYTES || entries > bytes / ENTRY_BYTES)
        damaged(path);
    uint8_t *index = malloc(bytes ? bytes : 1);
    archive.files = calloc(FILES_MAX, sizeof *archive.files);
    if (!index || !archive.files || !read_at(file, at, index, bytes)) damaged(path);
    fclose(file);
    const uint8_t *entry = index, *chunk = index + bytes - chunks * CHUNK_BYTES, *entries_end = chunk;
    while (entries--) entry = take_entry(&archive, path, entry, entries_end, &chunk, index + bytes);
    return archive;
}

#endif // ARCHIVE_H
