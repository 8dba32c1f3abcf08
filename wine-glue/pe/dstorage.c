// dstorage.c: what dstorage.dll exports.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

HRESULT WINAPI DStorageGetFactory(REFIID iid, void **out) { return factory_get(iid, out); }

HRESULT WINAPI DStorageCreateCompressionCodec(uint8_t format, uint32_t threads, REFIID iid, void **out) {
    return codec_create(format, threads, iid, out);
}

HRESULT WINAPI DStorageSetConfiguration(const storage_configuration *configuration) {
    return configuration_set(configuration, CONFIGURATION_BYTES);
}

HRESULT WINAPI DStorageSetConfiguration1(const storage_configuration *configuration) {
    return configuration_set(configuration, CONFIGURATION1_BYTES);
}

HRESULT WINAPI DStorageSetConfiguration2(const storage_configuration *configuration) {
    return configuration_set(configuration, CONFIGURATION2_BYTES);
}
