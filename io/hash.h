/* FNV-1a, 64 bits: to notice that a file or a picture has changed, not against anybody's intent. */
#ifndef TI_HASH_H
#define TI_HASH_H

#include "io/base.h"

#define HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
