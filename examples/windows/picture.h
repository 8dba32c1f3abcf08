// picture.h: a picture in memory: filled, written on, and saved as PNG.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef PICTURE_H
#define PICTURE_H

#include "sample.h"

struct picture {
    uint32_t width, height;
    uint8_t *rgb;
};

static inline struct picture make_picture(uint32_t width, uint32_t height) {
    struct picture made = {width, height, calloc((size_t)width * height, 3)};
    if (!made.rgb) end(EXIT_WRONG, "There is no memory for a picture of %u by %u.", width, height);
    return made;
}

// What lies outside is nobody's.
static inline void put(struct picture *picture, uint32_t x, uint32_t y, const uint8_t *rgb) {
    if (x < picture->width && y < picture->height)
        memcpy(picture->rgb + 3 * ((size_t)y * picture->width + x), rgb, 3);
}

// ---- Words: capitals and digits, three by five dots each.

// Each octal digit is a row, the upper one first; its three bits are the dots.
static const uint16_t letters[26] = {025755, 065656, 034443, 065556, 074647, 074644, 034553, 055755, 072227,
                                     011152, 055655, 044447, 057755, 065555, 025552, 065644, 025573, 065655,
                                     034216, 072222, 055557, 055552, 055775, 055255, 055222, 071247};
static const uint16_t digits[10] = {075557, 026227, 061247, 061216, 055711,
                                    074616, 034652, 071222, 075757, 025316};

#define DOT 2
#define LETTER_WIDTH (4 * DOT)
#define TEXT_HEIGHT (5 * DOT)

static inline void write_letter(struct picture *picture, uint32_t x, uint32_t y, char letter,
                                const uint8_t *rgb) {
    uint16_t dots = 0;
    if (letter >= 'A' && letter <= 'Z') dots = letters[letter - 'A'];
    if (letter >= 'a' && letter <= 'z') dots = letters[letter - 'a'];
    if (letter >= '0' && letter <= '9') dots = digits[letter - '0'];
    for (uint32_t row = 0; row < TEXT_HEIGHT; row++)
        for (uint32_t column = 0; column < 3 * DOT; column++)
            if (dots >> (14 - 3 * (row / DOT) - column / DOT) & 1) put(picture, x + column, y + row, rgb);
}

static inline void write_text(struct picture *picture, uint32_t x, uint32_t y, const char *text,
                              const uint8_t *rgb) {
    for (; *text; text++, x += LETTER_WIDTH) write_letter(picture, x, y, *text, rgb);
}

// ---- PNG, not compressed: this is about another format.

static inline uint32_t crc(uint32_t sum, const uint8_t *bytes, size_t count) {
    for (sum = ~sum; count--; bytes++) {
        sum ^= *bytes;
        for (int bit = 0; bit < 8; bit++) sum = sum & 1 ? sum >> 1 ^ 0xEDB88320u : sum >> 1;
    }
    return ~sum;
}

static inline void put_big_endian(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static inline void write_chunk(FILE *file, const char *name, const uint8_t *data, uint32_t bytes) {
    uint8_t before[8], behind[4];
    put_big_endian(before, bytes);
    memcpy(before + 4, name, 4);
    put_big_endian(behind, crc(crc(0, before + 4, 4), data, bytes));
    fwrite(before, 1, 8, file);
    fwrite(data, 1, bytes, file);
    fwrite(behind, 1, 4, file);
}

// All rows, each a block of its own that is stored as it is. Answers whether it could be written.
static inline BOOL write_png(const WCHAR *path, const struct picture *picture) {
    uint32_t row = 1 + 3 * picture->width; // how it is filtered, which is not at all, and its pixels
    uint8_t head[13] = {[8] = 8, [9] = 2}, *data = malloc(2 + (size_t)picture->height * (5 + row) + 4);
    FILE *file = row < 65536 && data ? _wfopen(path, L"wb") : NULL;
    if (!file) return FALSE;
    put_big_endian(head, picture->width);
    put_big_endian(head + 4, picture->height);
    uint8_t *at = data;
    uint32_t a = 1, b = 0; // Adler-32
    *at++ = 0x78, *at++ = 0x01;
    for (uint32_t y = 0; y < picture->height; y++, at += 5 + row) {
        const uint8_t block[] = {y + 1 == picture->height, (uint8_t)row, (uint8_t)(row >> 8), (uint8_t)~row,
                                 (uint8_t)(~row >> 8), 0};
        memcpy(at, block, sizeof block);
        memcpy(at + sizeof block, picture->rgb + (size_t)3 * picture->width * y, row - 1);
        for (uint32_t i = 0; i < row; i++) a = (a + at[5 + i]) % 65521, b = (b + a) % 65521;
    }
    put_big_endian(at, b << 16 | a);
    fwrite("\x89PNG\r\n\x1a\n", 1, 8, file);
    write_chunk(file, "IHDR", head, sizeof head);
    write_chunk(file, "IDAT", data, (uint32_t)(at + 4 - data));
    write_chunk(file, "IEND", head, 0);
    free(data);
    return !ferror(file) & !fclose(file);
}

#endif // PICTURE_H
