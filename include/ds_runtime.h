// ds_runtime.h: the C ABI of ds-runtime, a DirectStorage-compatible engine for Linux.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Generated from ds-capi/src; change it there. C11 and C++17, or later.


#ifndef DS_RUNTIME_H
#define DS_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
#define DS_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define DS_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif


#endif  /* DS_RUNTIME_H */


