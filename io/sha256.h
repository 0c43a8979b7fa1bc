/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4). A file can be compared by its hash with the file that somebody has published. */
#ifndef TI_SHA256_H
#define TI_SHA256_H

#include "io/base.h"

/* Writes the hash of the data as 64 hexadecimal digits and a NUL. */
enum { SHA256_TEXT = 65 };
void sha256_text(const void *data, size_t size, char text[SHA256_TEXT]);
/* Does the same for a file, of which it holds 1 MB at a time. Returns false and adds a message when the file
   cannot be read. */
bool sha256_file(const char *path, char text[SHA256_TEXT], Messages *errors);

#endif
