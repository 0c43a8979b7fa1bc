/* SHA-256 (FIPS 180-4), with which a file is compared with the one that its makers published. */
#ifndef TI_SHA256_H
#define TI_SHA256_H

#include "io/base.h"

/* Writes the hash of the data as 64 hexadecimal digits and a NUL. */
enum { SHA256_TEXT = 65 };
void sha256_text(const void *data, size_t size, char text[SHA256_TEXT]);

#endif
