/* FNV-1a with 64 bits, which shows that a file or a picture has changed. It gives no protection against
   somebody who forges one. */
#ifndef TI_HASH_H
#define TI_HASH_H

#include "io/base.h"

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* Continues a hash, which begins as HASH_START, with more bytes and returns it. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
