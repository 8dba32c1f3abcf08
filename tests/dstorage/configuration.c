// configuration.c: DSTORAGE_CONFIGURATION in the lengths of versions 1.1 (28 bytes), 1.2 (32) and 1.4 (48).
//
// The structs do not tell their length, so each function must know its own: each is called with a struct that
// ends where memory ends, and with one behind which stands what would be refused. Version 1.0's 16 bytes are
// old_client.c's.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

typedef HRESULT(WINAPI *configure)(const storage_configuration *);

// As many bytes of the configuration, behind which nothing can be read.
static const storage_configuration *at_the_end(const storage_configuration *all, size_t bytes) {
    static uint8_t *page;
    if (!page) page = VirtualAlloc(NULL, 8192, MEM_RESERVE, PAGE_NOACCESS);
    if (page) page = VirtualAlloc(page, 4096, MEM_COMMIT, PAGE_READWRITE);
    if (!page) exit(1);
    memcpy(page + 4096 - bytes, all, bytes);
    return (const storage_configuration *)(page + 4096 - bytes);
}

static void lengths(const char *what, configure set, size_t bytes) {
    const BOOL has_buffering = bytes >= CONFIGURATION1_BYTES;
    storage_configuration all = {.force_mapping_layer = TRUE, .disable_telemetry = TRUE};
    HRESULT result = set(at_the_end(&all, bytes));
    ok(result == S_OK, "%s, %u bytes: %08lx", what, (unsigned)bytes, (long)result);
    // The first field behind the 28 bytes, which only the longer structs have.
    all.force_file_buffering = TRUE;
    const HRESULT wanted = has_buffering ? E_DSTORAGE_FILEBUFFERING_REQUIRES_DISABLED_BYPASSIO : S_OK;
    result = set(&all);
    ok(result == wanted, "%s, buffering without bypass disabled: %08lx", what, (long)result);
    all.disable_bypass_io = TRUE;
    memset(&all.creator_id, 0xFF, sizeof all.creator_id);
    result = set(at_the_end(&all, bytes));
    ok(result == S_OK, "%s, buffering: %08lx", what, (long)result);
}

// Numbers that mean nothing are no reason to fail a program.
static void any_numbers(void) {
    storage_configuration all;
    memset(&all, 0xFF, sizeof all);
    ok_hr(set_configuration1(&all), S_OK);
    memset(&all, 0, sizeof all);
    all.force_mapping_layer = all.disable_telemetry = TRUE;
    ok_hr(set_configuration1(&all), S_OK);
}

int main(void) {
    load_dll();
    configure set_configuration2 = (void *)GetProcAddress(dll, "DStorageSetConfiguration2");
    lengths("DStorageSetConfiguration", set_configuration, CONFIGURATION_BYTES);
    lengths("DStorageSetConfiguration1", set_configuration1, CONFIGURATION1_BYTES);
    if (ours) lengths("DStorageSetConfiguration2", set_configuration2, CONFIGURATION2_BYTES);
    any_numbers();
    storage_factory *factory = factory_or_exit();
    storage_configuration late = {.force_mapping_layer = TRUE};
    ok_hr(set_configuration(at_the_end(&late, CONFIGURATION_BYTES)), E_FAIL);
    ok_hr(set_configuration1(at_the_end(&late, CONFIGURATION1_BYTES)), E_FAIL);
    if (ours) ok_hr(set_configuration2(at_the_end(&late, CONFIGURATION2_BYTES)), E_FAIL);
    factory->methods->Release(factory);
    return finish_tests();
}
