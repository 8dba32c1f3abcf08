// main.c: loading and unloading.
//
// Nothing starts with the DLL; the first factory starts the engine. The DLL stays for the life of the
// process once it has been used, as its Unix half does: a thread of ours may be inside.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "glue.h"

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, void *reserved) {
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) DisableThreadLibraryCalls(module);
    return TRUE;
}
