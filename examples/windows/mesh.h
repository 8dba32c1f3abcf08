// mesh.h: draws a mesh on the processor, dressed in its texture: enough to see that both arrived.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef MESH_H
#define MESH_H

#include "asset.h"
#include "picture.h"

#include <math.h>

// Each pixel is the mean of so many by so many.
#define FINER 2
#define YAW 0.62f
#define PITCH 0.50f
#define DISTANCE 3.6f
#define ZOOM 1.72f

// A vertex on its way: on the screen, and what is interpolated, divided by its depth.
struct corner {
    float x, y, near_; // 1 / depth
    float normal[3], texture[2];
};

struct target {
    uint32_t width, height;
    float *near_;
    uint8_t *rgb;
};

static inline float snorm(const uint8_t *at, int bytes) {
    return bytes == 2 ? (float)(int16_t)number(at, 2) / 32767.0f : (float)(int8_t)*at / 127.0f;
}

static inline void turn(float *v) {
    float x = v[0] * cosf(YAW) + v[2] * sinf(YAW), z = v[2] * cosf(YAW) - v[0] * sinf(YAW);
    float y = v[1] * cosf(PITCH) - z * sinf(PITCH);
    v[2] = z * cosf(PITCH) + v[1] * sinf(PITCH), v[0] = x, v[1] = y;
}

static inline struct corner project(const struct target *target, const uint8_t *vertex) {
    float place[3], normal[3];
    for (int i = 0; i < 3; i++) place[i] = snorm(vertex + 2 * i, 2), normal[i] = snorm(vertex + 8 + i, 1);
    turn(place);
    turn(normal);
    struct corner made = {.near_ = 1 / (DISTANCE - place[2])};
    float scale = ZOOM * (float)target->height * made.near_;
    made.x = (float)target->width / 2 + scale * place[0];
    made.y = (float)target->height / 2 - scale * place[1];
    for (int i = 0; i < 3; i++) made.normal[i] = normal[i] * made.near_;
    for (int i = 0; i < 2; i++)
        made.texture[i] = (float)number(vertex + 12 + 2 * i, 2) / 4096.0f * made.near_;
    return made;
}

// The colour at a place of a mip, between the four texels around it.
static inline void sample_mip(const struct mip *mip, const float *place, float *rgb) {
    float x = (place[0] - floorf(place[0])) * (float)mip->width - 0.5f + (float)mip->width;
    float y = (place[1] - floorf(place[1])) * (float)mip->height - 0.5f + (float)mip->height;
    uint32_t left = (uint32_t)x, top = (uint32_t)y;
    float across = x - (float)left, down = y - (float)top;
    rgb[0] = rgb[1] = rgb[2] = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t column = (left + (i & 1)) % mip->width, row = (top + (i >> 1)) % mip->height;
        const uint8_t *texel = mip->rgb + 3 * ((size_t)row * mip->width + column);
        float share = (i & 1 ? across : 1 - across) * (i >> 1 ? down : 1 - down);
        for (int j = 0; j < 3; j++) rgb[j] += share * texel[j];
    }
}

// A lamp above the viewer, and a little light from everywhere.
static inline void shade(float *normal, float *rgb) {
    static const float lamp[3] = {0.15f, 0.60f, 0.79f}, half[3] = {0.079f, 0.317f, 0.945f};
    float length = sqrtf(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]) + 1e-9f;
    // What shows its back is lit from that side.
    float side = normal[2] < 0 ? -1 / length : 1 / length, lit = 0, shine = 0;
    for (int i = 0; i < 3; i++) lit += side * normal[i] * lamp[i], shine += side * normal[i] * half[i];
    lit = lit > 0 ? lit : 0;
    shine = shine > 0 ? 70 * powf(shine, 40) : 0;
    for (int i = 0; i < 3; i++) {
        rgb[i] = rgb[i] * (0.34f + 0.82f * lit) + shine;
        rgb[i] = rgb[i] > 255 ? 255 : rgb[i];
    }
}

static inline float doubled_area(const struct corner *a, const struct corner *b, float x, float y) {
    return (b->x - a->x) * (y - a->y) - (b->y - a->y) * (x - a->x);
}

// The mip whose texels are about as large as pixels are on this triangle.
static inline const struct mip *fitting_mip(const struct asset *texture, const struct corner *c, float area) {
    float place[3][2];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++) place[i][j] = c[i].texture[j] / c[i].near_;
    float texels = fabsf((place[1][0] - place[0][0]) * (place[2][1] - place[0][1]) -
                         (place[1][1] - place[0][1]) * (place[2][0] - place[0][0])) *
                   (float)texture->width * (float)texture->height;
    uint32_t mip = 0;
    for (float ratio = texels / (fabsf(area) + 1e-6f); ratio > 2 && mip + 1 < texture->mip_count; ratio /= 4)
        mip++;
    return &texture->mips[mip];
}

static inline void draw_pixel(struct target *target, const struct corner *c, const float *share,
                              const struct mip *mip, size_t at) {
    float near_ = 0, normal[3] = {0}, place[2] = {0}, rgb[3];
    for (int i = 0; i < 3; i++) near_ += share[i] * c[i].near_;
    if (near_ <= target->near_[at]) return;
    target->near_[at] = near_;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) normal[j] += share[i] * c[i].normal[j] / near_;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++) place[j] += share[i] * c[i].texture[j] / near_;
    sample_mip(mip, place, rgb);
    shade(normal, rgb);
    for (int i = 0; i < 3; i++) target->rgb[3 * at + i] = (uint8_t)rgb[i];
}

static inline int clamped(float value, uint32_t end) {
    return value < 0 ? 0 : value > (float)end ? (int)end : (int)value;
}

static inline void draw_triangle(struct target *target, const struct corner *c, const struct asset *texture) {
    float area = doubled_area(&c[0], &c[1], c[2].x, c[2].y);
    if (fabsf(area) < 1e-3f) return;
    const struct mip *mip = fitting_mip(texture, c, area);
    int left = clamped(fminf(fminf(c[0].x, c[1].x), c[2].x), target->width);
    int right = clamped(fmaxf(fmaxf(c[0].x, c[1].x), c[2].x) + 1, target->width);
    int top = clamped(fminf(fminf(c[0].y, c[1].y), c[2].y), target->height);
    int bottom = clamped(fmaxf(fmaxf(c[0].y, c[1].y), c[2].y) + 1, target->height);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            float px = (float)x + 0.5f, py = (float)y + 0.5f, share[3];
            for (int i = 0; i < 3; i++)
                share[i] = doubled_area(&c[(i + 1) % 3], &c[(i + 2) % 3], px, py) / area;
            if (share[0] >= 0 && share[1] >= 0 && share[2] >= 0)
                draw_pixel(target, c, share, mip, (size_t)y * target->width + (size_t)x);
        }
}

// Evening light behind the mesh.
static inline struct target make_target(uint32_t width, uint32_t height) {
    struct target made = {width, height, calloc((size_t)width * height, sizeof(float)),
                          malloc(3 * (size_t)width * height)};
    if (!made.near_ || !made.rgb) end(EXIT_WRONG, "There is no memory to draw in.");
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            float far_x = (float)x / (float)width - 0.5f, far_y = (float)y / (float)height - 0.45f;
            float light = 1 - 1.5f * (far_x * far_x + far_y * far_y);
            uint8_t *rgb = made.rgb + 3 * ((size_t)y * width + x);
            rgb[0] = (uint8_t)(62 * light), rgb[1] = (uint8_t)(70 * light), rgb[2] = (uint8_t)(88 * light);
        }
    return made;
}

// Draws the mesh into a rectangle of the picture. Indices past the vertices are left out.
static inline void draw_mesh(struct picture *picture, uint32_t left, uint32_t top, uint32_t width,
                             uint32_t height, const struct asset *mesh, const struct asset *texture) {
    struct target target = make_target(FINER * width, FINER * height);
    const uint8_t *indices = mesh->payload + (size_t)mesh->vertex_count * VERTEX_BYTES;
    for (uint32_t i = 0; i + 3 <= mesh->index_count; i += 3) {
        struct corner corners[3];
        uint32_t in_range = 0;
        for (uint32_t j = 0; j < 3; j++) {
            uint32_t index = (uint32_t)number(indices + 2 * (size_t)(i + j), 2);
            if (index >= mesh->vertex_count) break;
            corners[j] = project(&target, mesh->payload + (size_t)index * VERTEX_BYTES);
            in_range++;
        }
        if (in_range == 3) draw_triangle(&target, corners, texture);
    }
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint8_t rgb[3];
            for (int i = 0; i < 3; i++) {
                uint32_t sum = 0;
                for (uint32_t n = 0; n < FINER * FINER; n++) {
                    size_t row = (size_t)y * FINER + n / FINER, column = (size_t)x * FINER + n % FINER;
                    sum += target.rgb[3 * (row * target.width + column) + (size_t)i];
                }
                rgb[i] = (uint8_t)(sum / (FINER * FINER));
            }
            put(picture, left + x, top + y, rgb);
        }
    free(target.near_);
    free(target.rgb);
}

#endif // MESH_H
