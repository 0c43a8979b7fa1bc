/* SHA-256 (FIPS 180-4): to compare a file with the one that its makers published. */
#ifndef TI_SHA256_H
#define TI_SHA256_H

#include "io/base.h"

/* 64 hexadecimal digits and a NUL */
enum { SHA256_TEXT = 65 };
void sha256_text(const void *data, size_t size, char text[SHA256_TEXT]);

#endif
