/* SPDX-License-Identifier: MIT */
/* Reads unsigned integers from bytes, which need not be aligned, in big-endian or little-endian order. */
#ifndef TI_BYTES_H
#define TI_BYTES_H

#include <stdint.h>

static inline uint32_t big16(const unsigned char *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t big32(const unsigned char *p) { return big16(p) << 16 | big16(p + 2); }
static inline uint32_t little16(const unsigned char *p) { return (uint32_t)p[1] << 8 | p[0]; }
static inline uint32_t little32(const unsigned char *p) { return little16(p + 2) << 16 | little16(p); }

#endif
