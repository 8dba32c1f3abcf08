// decoder.h: GDeflate decoded by a device, through the metacommand that DirectStorage asks drivers for.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef DECODER_H
#define DECODER_H

#include "upload.h"

struct decoder;

// NULL if the device has no such metacommand. Any thread.
struct decoder *decoder_make(ID3D12Device *device);
void decoder_free(struct decoder *decoder);

// Whether it takes a stream of so many bytes that is to become so many. What is small is decoded sooner than
// it gets to the GPU; what is larger than the decoder's memory is not for it. Any thread.
BOOL decoder_takes(uint32_t stream_bytes, uint32_t decoded_bytes);

// The rest is the pump's.

// Whether one more such stream fits beside those that were added since the last list was finished.
BOOL decoder_has_room(const struct decoder *decoder, uint64_t stream_bytes, uint64_t decoded_bytes);

// Adds the stream of a place, which lies at `from` in `memory` and is mapped at `stream`, to what `list` will
// decode. E_FAIL if it is not a stream of that size. The place must stay until the GPU is done with the list.
HRESULT decoder_add(struct decoder *decoder, ID3D12GraphicsCommandList *list, const struct place *place,
                    ID3D12Resource *memory, uint64_t from, const uint8_t *stream);

// Records the decoding of what was added, and the way of its bytes into their places. `slot`, below
// DECODER_SLOTS, is of no other list that the GPU is not done with.
#define DECODER_SLOTS 4
HRESULT decoder_finish(struct decoder *decoder, ID3D12GraphicsCommandList *list, uint32_t slot);

// Nothing is under way: the memory goes back if that lasts.
void decoder_rest(struct decoder *decoder);

#endif // DECODER_H
