// missing.c: the Windows half without its Unix half. The program must get an answer and go on.
//
// Run with a WINEDLLPATH where no Unix half is, and with one where it is of another version.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "test.h"

int main(void) {
    load_dll();
    if (!ours) {
        printf("SKIPPED: Microsoft's DLL has no Unix half\n");
        return EXIT_SKIPPED;
    }
    for (int i = 0; i < 3; i++) {
        void *out = &out;
        ok_hr(get_factory(&IID_FACTORY, &out), E_NOTIMPL);
        ok(!out, "out is not cleared");
        out = &out;
        ok_hr(create_codec(COMPRESSION_GDEFLATE, 0, &IID_CODEC, &out), E_NOTIMPL);
        ok(!out, "out is not cleared");
        storage_configuration configuration = {0};
        ok_hr(set_configuration(&configuration), S_OK);
    }
    return finish_tests();
}
