// stream.c: loads a scene of many textures and meshes from one compressed archive into D3D12 textures and
// buffers, and makes a picture of what arrived.
//
// Usage: dstorage-stream.exe [ARCHIVE [PICTURE.png [FOLDER]]]. ARCHIVE is one that `ds pack` made of
// examples/scene, scene.dspk beside this program by default; the picture is dstorage-stream.png in the
// working directory. Everything is enqueued at once: GDeflate requests from the archive right into the
// GPU's resources, a status, and a fence behind them that the GPU waits for. Then all of it is read back
// from the GPU and drawn: textures with their mips, volumes slice by slice, and meshes in the textures they
// wear. Into FOLDER, if it is named and there, every file is written as the GPU has it, to be compared. The
// exit status is 0 if all was right, 4 if there is no dstorage.dll or no Direct3D 12, else 1.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "mesh.h"

#define SHEET_WIDTH 1272
#define GAP 8
#define MESH_SIDE 308
#define MESH_HEIGHT 284
#define SLICE_GAP 4
#define SLICES_IN_ROW 16
#define MIP_GAP 2
// Smaller mips are not shown.
#define MIP_SIDE_MIN 8
// Of subresources in a buffer.
#define ALIGNMENT 512

static struct asset assets[ASSETS_MAX];
static uint32_t asset_count;

// ---- Loading.

static void take_assets(const struct archive *archive) {
    for (uint32_t i = 0; i < archive->count; i++) {
        struct asset asset;
        if (!understand(&archive->files[i], &asset))
            printf("%s is no part of a scene: left out.\n", archive->files[i].name);
        else if (asset_count < ASSETS_MAX)
            assets[asset_count++] = asset;
    }
    if (!asset_count) end(EXIT_WRONG, "There is nothing of a scene in the archive.");
}

static uint64_t bytes_of_all(void) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < asset_count; i++) bytes += assets[i].file->bytes;
    return bytes;
}

// Enqueues everything, submits once, and sleeps until the fence is there. Answers the seconds it took.
static double load_all(const struct archive *archive, const WCHAR *path, ID3D12Fence *fence) {
    storage_queue *queue = open_queue("stream");
    storage_status_array *status = make_status();
    storage_file *file = NULL;
    check(factory->methods->OpenFile(factory, path, &IID_FILE, (void **)&file), "OpenFile");
    double start = seconds();
    for (uint32_t i = 0; i < asset_count; i++) enqueue_asset(queue, file, &assets[i], archive->chunk_bytes);
    queue->methods->EnqueueStatus(queue, status, 0);
    queue->methods->EnqueueSignal(queue, (d3d12_fence *)fence, 1);
    queue->methods->Submit(queue);
    wait_for(fence, 1);
    double took = seconds() - start;
    if (!all_is_well(queue, status)) end(EXIT_WRONG, "The scene is not complete.");
    file->methods->Release(file);
    status->methods->Release(status);
    queue->methods->Release(queue);
    return took;
}

// ---- Back from the GPU.

// Copies everything into one buffer of memory. The GPU waits for the fence before it copies; a game would go
// on to draw here.
static void read_back_all(ID3D12Fence *fence) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < asset_count; i++) {
        assets[i].back = bytes;
        bytes += (assets[i].file->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    ID3D12Resource *readback = make_buffer(bytes, D3D12_HEAP_TYPE_READBACK);
    struct recording recording = begin_commands();
    for (uint32_t i = 0; i < asset_count; i++) record_copy_back(&recording, &assets[i], readback);
    check(ID3D12CommandQueue_Wait(commands, fence, 1), "Wait");
    run_commands(recording);
    void *mapped;
    check(ID3D12Resource_Map(readback, 0, NULL, &mapped), "Map");
    for (uint32_t i = 0; i < asset_count; i++) {
        take_payload(&assets[i], mapped);
        for (uint32_t j = 0; j < assets[i].mip_count; j++) decode_mip(&assets[i], &assets[i].mips[j]);
    }
    ID3D12Resource_Release(readback);
}

static void write_payloads(const char *folder) {
    for (uint32_t i = 0; i < asset_count; i++) {
        char path[2 * MAX_PATH];
        snprintf(path, sizeof path, "%s\\%s", folder, assets[i].file->name);
        FILE *file = fopen(path, "wb");
        size_t written = file ? fwrite(assets[i].payload, 1, assets[i].file->bytes, file) : 0;
        if (!file || fclose(file) || written != assets[i].file->bytes)
            end(EXIT_WRONG, "%s cannot be written.", path);
    }
}

// ---- The sheet.

static uint32_t slices_across(const struct mip *mip) {
    return mip->depth < SLICES_IN_ROW ? mip->depth : SLICES_IN_ROW;
}

// How large an asset is on the sheet, without what is written below it.
static void size_of(const struct asset *asset, uint32_t *width, uint32_t *height) {
    const struct mip *mip = &asset->mips[0];
    uint32_t rows = (mip->depth + SLICES_IN_ROW - 1) / SLICES_IN_ROW;
    *width = MESH_SIDE, *height = MESH_HEIGHT;
    if (asset->kind == MESH) return;
    *width = slices_across(mip) * (mip->width + SLICE_GAP) - SLICE_GAP;
    *height = rows * (mip->height + SLICE_GAP) - SLICE_GAP;
    // A column of mips stands to the right.
    if (asset->mip_count > 1 && mip->depth == 1) *width += SLICE_GAP + asset->mips[1].width;
}

static void draw_mip(struct picture *sheet, uint32_t left, uint32_t top, const struct mip *mip, uint32_t z) {
    for (uint32_t y = 0; y < mip->height; y++)
        for (uint32_t x = 0; x < mip->width; x++)
            put(sheet, left + x, top + y, mip->rgb + 3 * (((size_t)z * mip->height + y) * mip->width + x));
}

static void draw_texture(struct picture *sheet, uint32_t left, uint32_t top, const struct asset *asset) {
    const struct mip *mip = &asset->mips[0];
    for (uint32_t z = 0; z < mip->depth; z++)
        draw_mip(sheet, left + z % SLICES_IN_ROW * (mip->width + SLICE_GAP),
                 top + z / SLICES_IN_ROW * (mip->height + SLICE_GAP), mip, z);
    left += mip->width + SLICE_GAP;
    for (uint32_t i = 1; i < asset->mip_count && mip->depth == 1; i++) {
        const struct mip *next = &asset->mips[i];
        if (next->width < MIP_SIDE_MIN || next->height < MIP_SIDE_MIN) break;
        draw_mip(sheet, left, top, next, 0);
        top += next->height + MIP_GAP;
    }
}

static const struct asset *texture_of(const struct asset *mesh) {
    for (uint32_t i = 0; i < asset_count; i++)
        if (assets[i].kind == TEXTURE && assets[i].depth == 1 && !strcmp(assets[i].name, mesh->worn))
            return &assets[i];
    end(EXIT_WRONG, "%s wears %s, which is not in the archive.", mesh->name, mesh->worn);
}

static void describe(const struct asset *asset, char *to, size_t bytes) {
    const char *format = asset->format == BC1 ? "BC1" : "RGBA8";
    if (asset->kind == MESH)
        snprintf(to, bytes, "%s   %u triangles in %s", asset->name, asset->index_count / 3, asset->worn);
    else if (asset->depth > 1)
        snprintf(to, bytes, "%s   %s %ux%ux%u", asset->name, format, asset->width, asset->height,
                 asset->depth);
    else
        snprintf(to, bytes, "%s   %s %ux%u%s", asset->name, format, asset->width, asset->height,
                 asset->kind == TEXELS ? " in a buffer" : "");
}

static void draw_asset(struct picture *sheet, uint32_t left, uint32_t top, uint32_t height,
                       const struct asset *asset) {
    static const uint8_t grey[3] = {176, 178, 186};
    char words[160];
    if (asset->kind == MESH)
        draw_mesh(sheet, left, top, MESH_SIDE, MESH_HEIGHT, asset, texture_of(asset));
    else
        draw_texture(sheet, left, top, asset);
    describe(asset, words, sizeof words);
    write_text(sheet, left, top + height + GAP / 2, words, grey);
    printf("  %-44s at %u,%u\n", words, left, top);
}

// Meshes first, then what is higher.
static int compare_assets(const void *left, const void *right) {
    const struct asset *a = left, *b = right;
    if ((a->kind == MESH) != (b->kind == MESH)) return a->kind == MESH ? -1 : 1;
    uint32_t width, a_height, b_height;
    size_of(a, &width, &a_height);
    size_of(b, &width, &b_height);
    if (a_height != b_height) return a_height < b_height ? 1 : -1;
    return strcmp(a->name, b->name);
}

// Goes through the assets row by row; draws them where there is a sheet, and answers how high it must be.
static uint32_t arrange(struct picture *sheet) {
    uint32_t left = GAP, top = GAP, row_height = 0;
    for (uint32_t i = 0; i < asset_count; i++) {
        uint32_t width, height;
        size_of(&assets[i], &width, &height);
        if (left > GAP && left + width + GAP > SHEET_WIDTH) {
            left = GAP;
            top += row_height;
            row_height = 0;
        }
        if (sheet) draw_asset(sheet, left, top, height, &assets[i]);
        left += width + GAP;
        uint32_t with_words = height + GAP / 2 + TEXT_HEIGHT + GAP;
        row_height = with_words > row_height ? with_words : row_height;
    }
    return top + row_height;
}

static struct picture draw_sheet(void) {
    static const uint8_t ground[3] = {30, 31, 36};
    qsort(assets, asset_count, sizeof *assets, compare_assets);
    struct picture sheet = make_picture(SHEET_WIDTH, arrange(NULL));
    for (uint32_t y = 0; y < sheet.height; y++)
        for (uint32_t x = 0; x < sheet.width; x++) put(&sheet, x, y, ground);
    arrange(&sheet);
    return sheet;
}

// ---- The program.

static void path_or_end(const char *text, WCHAR *path) {
    if (!MultiByteToWideChar(CP_ACP, 0, text, -1, path, MAX_PATH)) end(EXIT_USAGE, "%s is too long.", text);
}

// scene.dspk in this program's folder.
static void default_archive(WCHAR *path) {
    DWORD length = GetModuleFileNameW(NULL, path, MAX_PATH - 16);
    while (length && path[length - 1] != '\\') length--;
    wcscpy(path + length, L"scene.dspk");
}

int main(int count, char **arguments) {
    WCHAR path[MAX_PATH], png[MAX_PATH] = L"dstorage-stream.png";
    if (count > 4) end(EXIT_USAGE, "usage: dstorage-stream.exe [ARCHIVE [PICTURE.png [FOLDER]]]");
    default_archive(path);
    if (count > 1) path_or_end(arguments[1], path);
    if (count > 2) path_or_end(arguments[2], png);
    open_storage();
    open_device();
    struct archive archive = open_archive(path);
    take_assets(&archive);
    for (uint32_t i = 0; i < asset_count; i++) make_asset(&assets[i]);

    ID3D12Fence *fence = make_fence();
    double took = load_all(&archive, path, fence);
    printf("%u textures, buffers and meshes, %.2f MiB from %.2f MiB: on the GPU after %.1f ms (%.0f MB/s).\n",
           asset_count, (double)bytes_of_all() / 1048576, (double)archive.bytes / 1048576, took * 1e3,
           (double)bytes_of_all() / took / 1e6);
    read_back_all(fence);
    if (count > 3) write_payloads(arguments[3]);
    double start = seconds();
    struct picture sheet = draw_sheet();
    if (!write_png(png, &sheet)) end(EXIT_WRONG, "%ls cannot be written.", png);
    printf("Drawn in %.2f s: see %ls.\n", seconds() - start, png);

    for (uint32_t i = 0; i < asset_count; i++) ID3D12Resource_Release(assets[i].resource);
    ID3D12Fence_Release(fence);
    factory->methods->Release(factory);
    return 0;
}
