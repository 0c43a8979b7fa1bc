/* SPDX-License-Identifier: MIT */
/* The hash FNV-1a with 64 bits, by which a changed file or picture is noticed. It does not protect against
   somebody who forges one. */
#ifndef TI_HASH_H
#define TI_HASH_H

#include "io/base.h"

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* Returns the hash continued by more bytes. A hash begins as HASH_START. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
