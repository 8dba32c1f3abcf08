// configuration.c: DSTORAGE_CONFIGURATION in its four lengths.
//
// The structs do not say how long they are; the function that takes one does, but for version 1.0, whose
// struct goes to the same function as 1.1's. A program built for 1.0 is known by a number that it exports,
// if it does.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

#define SDK_VERSION_1_0 1

BOOL program_is_1_0(void) {
    const uint32_t *version = (void *)GetProcAddress(GetModuleHandleW(NULL), "DStorageSDKVersion");
    return version && *version == SDK_VERSION_1_0;
}

HRESULT configuration_set(const void *configuration, size_t bytes) {
    storage_configuration all = {0};
    if (!configuration) return E_FAIL;
    if (bytes == CONFIGURATION_BYTES && program_is_1_0()) {
        const storage_configuration_1_0 *old = configuration;
        all.num_submit_threads = old->num_submit_threads;
        all.force_mapping_layer = old->force_mapping_layer;
        all.disable_bypass_io = old->disable_bypass_io;
        all.disable_telemetry = old->disable_telemetry;
    } else {
        CopyMemory(&all, configuration, bytes);
    }
    if (all.force_file_buffering && !all.disable_bypass_io)
        return E_DSTORAGE_FILEBUFFERING_REQUIRES_DISABLED_BYPASSIO;
    return engine_configure(&all);
}
