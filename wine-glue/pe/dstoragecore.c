// dstoragecore.c: what dstoragecore.dll exports, for programs that load it by name.
//
// A complete implementation of its own rather than a forwarder to dstorage.dll: either file may be
// Microsoft's while the other is ours.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

// Of the SDK that this DLL answers to.
const uint32_t DStorageSDKVersion = 300;

HRESULT WINAPI DStorageGetFactoryCore(REFIID iid, void **out) { return factory_get(iid, out); }

HRESULT WINAPI DStorageCreateCompressionCodecCore(uint8_t format, uint32_t threads, REFIID iid, void **out) {
    return codec_create(format, threads, iid, out);
}

// Callers of version 1.1 pass 28 bytes and later ones 32: only what both have is read.
HRESULT WINAPI DStorageSetConfigurationCore(const storage_configuration *configuration) {
    return configuration_set(configuration, CONFIGURATION_BYTES);
}
