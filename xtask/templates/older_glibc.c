// older_glibc.c: lets a program that is linked on a new system run with glibc 2.31.
//
// The linker binds a function to the newest version its system's glibc has, and glibc gave many old
// functions a new version without changing them: when libpthread and libdl became parts of libc (2.32, 2.34),
// and when stat became a function of its own (2.33). What is linked with this file takes the old versions,
// which every glibc for x86-64 has. `cargo xtask dist` links it into all that ships and checks that nothing
// newer is asked for; docs/adr/0009 says why it is done so.
//
// With glibc before 2.34 some of these are in libpthread.so.0 and libdl.so.2, which must be linked as well.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <stddef.h>

// The function's old version under a name of ours.
#define OLD(version, name) __asm__(".symver old_" #name ", " #name "@GLIBC_" version)

OLD("2.2.5", dlclose);
OLD("2.2.5", dlerror);
OLD("2.2.5", dlopen);
OLD("2.2.5", dlsym);
OLD("2.2.5", pthread_attr_getguardsize);
OLD("2.2.5", pthread_attr_getstack);
OLD("2.2.5", pthread_attr_setstacksize);
OLD("2.2.5", pthread_create);
OLD("2.2.5", pthread_detach);
OLD("2.2.5", pthread_getattr_np);
OLD("2.2.5", pthread_join);
OLD("2.2.5", pthread_key_create);
OLD("2.2.5", pthread_key_delete);
OLD("2.12", pthread_setname_np);
OLD("2.2.5", pthread_setspecific);
OLD("2.2.5", pthread_sigmask);

// Arguments go on as they are; all of these are pointers or fit a register.
#define FORWARD(name)                                                                                      \
    long old_##name(long, long, long, long);                                                               \
    long name(long a, long b, long c, long d) { return old_##name(a, b, c, d); }

FORWARD(dlclose)
FORWARD(dlerror)
FORWARD(dlopen)
FORWARD(dlsym)
FORWARD(pthread_attr_getguardsize)
FORWARD(pthread_attr_getstack)
FORWARD(pthread_attr_setstacksize)
FORWARD(pthread_create)
FORWARD(pthread_detach)
FORWARD(pthread_getattr_np)
FORWARD(pthread_join)
FORWARD(pthread_key_create)
FORWARD(pthread_key_delete)
FORWARD(pthread_setname_np)
FORWARD(pthread_setspecific)
FORWARD(pthread_sigmask)

// Before 2.33 programs had these compiled in, as calls that name the struct's version; x86-64 has one.
#define STAT_VERSION 1

OLD("2.2.5", __xstat64);
OLD("2.2.5", __fxstat64);
OLD("2.2.5", __lxstat64);

int old___xstat64(int version, const char *path, void *into);
int old___fxstat64(int version, int fd, void *into);
int old___lxstat64(int version, const char *path, void *into);

int stat64(const char *path, void *into) { return old___xstat64(STAT_VERSION, path, into); }
int fstat64(int fd, void *into) { return old___fxstat64(STAT_VERSION, fd, into); }
int lstat64(const char *path, void *into) { return old___lxstat64(STAT_VERSION, path, into); }

// Before 2.34 a program brought the function that runs its constructors; a newer start file leaves that to
// glibc, whose older versions then run none. In a shared library all this is dropped: nothing refers to it.
typedef void constructor(int argc, char **argv, char **environment);

extern constructor *__init_array_start[] __attribute__((weak, visibility("hidden")));
extern constructor *__init_array_end[] __attribute__((weak, visibility("hidden")));
void _init(void) __attribute__((weak));

static void run_constructors(int argc, char **argv, char **environment) {
    if (_init) _init();
    size_t count = (size_t)(__init_array_end - __init_array_start);
    for (size_t i = 0; i < count; i++) __init_array_start[i](argc, argv, environment);
}

OLD("2.2.5", __libc_start_main);

int old___libc_start_main(void *main, int argc, char **argv, constructor *init, void (*fini)(void),
                          void (*loader_fini)(void), void *stack_end);

int __libc_start_main(void *main, int argc, char **argv, constructor *init, void (*fini)(void),
                      void (*loader_fini)(void), void *stack_end) {
    (void)init; // none, from the start files this is for
    return old___libc_start_main(main, argc, argv, run_constructors, fini, loader_fini, stack_end);
}
