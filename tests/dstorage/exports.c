// exports.c: names and ordinals of both DLLs, and the core's functions.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

static void by_ordinal(HMODULE module, const char *const *names, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        void *named = (void *)GetProcAddress(module, names[i]);
        void *numbered = (void *)GetProcAddress(module, (const char *)(uintptr_t)(i + 1));
        ok(named && named == numbered, "%s is not export %u", names[i], i + 1);
    }
}

static void core_functions(HMODULE core) {
    HRESULT(WINAPI * factory_core)(REFIID, void **) = (void *)GetProcAddress(core, "DStorageGetFactoryCore");
    HRESULT(WINAPI * configure)(const storage_configuration *) =
        (void *)GetProcAddress(core, "DStorageSetConfigurationCore");
    HRESULT(WINAPI * codec_core)(uint8_t, uint32_t, REFIID, void **) =
        (void *)GetProcAddress(core, "DStorageCreateCompressionCodecCore");
    const uint32_t *version = (void *)GetProcAddress(core, "DStorageSDKVersion");
    ok(*version >= 101 && *version < 1000, "version %u", *version);
    storage_configuration configuration = {.force_mapping_layer = TRUE, .disable_telemetry = TRUE};
    ok_hr(configure(&configuration), S_OK);
    storage_factory *factory = NULL;
    ok_hr(factory_core(&IID_FACTORY, (void **)&factory), S_OK);
    if (factory) ok(factory->methods->Release(factory) == 0, "the factory lives on");
    storage_codec *codec = NULL;
    ok_hr(codec_core(COMPRESSION_GDEFLATE, 1, &IID_CODEC, (void **)&codec), S_OK);
    if (codec) ok(codec->methods->Release(codec) == 0, "the codec lives on");
}

int main(void) {
    static const char *const names[] = {"DStorageCreateCompressionCodec", "DStorageGetFactory",
                                        "DStorageSetConfiguration", "DStorageSetConfiguration1",
                                        "DStorageSetConfiguration2"};
    static const char *const core_names[] = {"DStorageCreateCompressionCodecCore", "DStorageGetFactoryCore",
                                             "DStorageSetConfigurationCore", "DStorageSDKVersion"};
    load_dll();
    by_ordinal(dll, names, ours ? 5 : 3);
    HMODULE core = LoadLibraryW(L"dstoragecore.dll");
    ok(core != NULL, "no dstoragecore.dll");
    if (core) by_ordinal(core, core_names, ARRAYSIZE(core_names));
    if (core) core_functions(core);
    return finish_tests();
}
