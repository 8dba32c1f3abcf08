// codec.c: IDStorageCompressionCodec.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#define STORAGE_IIDS
#include "glue.h"

#include <stdlib.h>

struct codec {
    storage_codec base;
    LONG references;
    uint64_t native;
};

static const storage_codec_methods methods;

static struct codec *from(storage_codec *this) { return CONTAINING_RECORD(this, struct codec, base); }

static HRESULT WINAPI query_interface(storage_codec *this, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    if (!IsEqualGUID(iid, &IID_UNKNOWN) && !IsEqualGUID(iid, &IID_CODEC)) return E_NOINTERFACE;
    this->methods->AddRef(this);
    *out = this;
    return S_OK;
}

static ULONG WINAPI add_ref(storage_codec *this) {
    return (ULONG)InterlockedIncrement(&from(this)->references);
}

static ULONG WINAPI release(storage_codec *this) {
    struct codec *codec = from(this);
    LONG left = InterlockedDecrement(&codec->references);
    if (left == 0) {
        unix_call_object(UNIX_CODEC_DESTROY, codec->native);
        free(codec);
    }
    return (ULONG)left;
}

static HRESULT run(enum unix_code code, struct unix_codec_run *args, SIZE_T *written) {
    HRESULT result = unix_call(code, args);
    *written = FAILED(result) ? 0 : (SIZE_T)args->written;
    return result;
}

static HRESULT WINAPI compress_buffer(storage_codec *this, const void *source, SIZE_T source_bytes,
                                      int32_t level, void *destination, SIZE_T destination_bytes,
                                      SIZE_T *written) {
    if (!source || !destination || !written) return E_INVALIDARG;
    // The codec's own threads must not meet a page that cannot be touched: see touch.c.
    SIZE_T used_max = this->methods->CompressBufferBound(this, source_bytes);
    touch_to_read(source, source_bytes);
    touch_to_write(destination, destination_bytes < used_max ? destination_bytes : used_max);
    struct unix_codec_run args = {.codec = from(this)->native,
                                  .source = NUMBER(source),
                                  .source_bytes = source_bytes,
                                  .destination = NUMBER(destination),
                                  .destination_bytes = destination_bytes,
                                  .level = level};
    return run(UNIX_CODEC_COMPRESS, &args, written);
}

static HRESULT WINAPI decompress_buffer(storage_codec *this, const void *source, SIZE_T source_bytes,
                                        void *destination, SIZE_T destination_bytes, SIZE_T *written) {
    if (!source || !destination || !written) return E_INVALIDARG;
    touch_to_read(source, source_bytes);
    touch_to_write(destination, destination_bytes);
    struct unix_codec_run args = {.codec = from(this)->native,
                                  .source = NUMBER(source),
                                  .source_bytes = source_bytes,
                                  .destination = NUMBER(destination),
                                  .destination_bytes = destination_bytes};
    return run(UNIX_CODEC_DECOMPRESS, &args, written);
}

static SIZE_T WINAPI compress_buffer_bound(storage_codec *this, SIZE_T source_bytes) {
    struct unix_codec_bound args = {.codec = from(this)->native, .source_bytes = source_bytes};
    unix_call(UNIX_CODEC_BOUND, &args);
    return (SIZE_T)args.bound;
}

static const storage_codec_methods methods = {
    .QueryInterface = query_interface,
    .AddRef = add_ref,
    .Release = release,
    .CompressBuffer = compress_buffer,
    .DecompressBuffer = decompress_buffer,
    .CompressBufferBound = compress_buffer_bound,
};

HRESULT codec_create(uint8_t format, uint32_t threads, REFIID iid, void **out) {
    if (!out) return E_POINTER;
    *out = NULL;
    HRESULT result = unix_open();
    if (FAILED(result)) return result;
    struct codec *codec = calloc(1, sizeof *codec);
    if (!codec) return E_OUTOFMEMORY;
    struct unix_codec_create create = {.format = format, .threads = threads};
    result = unix_call(UNIX_CODEC_CREATE, &create);
    if (FAILED(result)) {
        free(codec);
        return result;
    }
    codec->base.methods = &methods;
    codec->references = 1;
    codec->native = create.codec;
    result = query_interface(&codec->base, iid, out);
    release(&codec->base);
    return result;
}
