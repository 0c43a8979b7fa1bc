/* SPDX-License-Identifier: MIT */
#include "weights/sealed.h"

#include "io/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The checksum is the first entry of the header, so that it is at the same place in every file: after the 8
   bytes of the header's length and these characters. */
static const char BEFORE[] = "{\"__metadata__\":{\"checksum\":\"";
static const char ZEROS[] = "0000000000000000";
enum { PLACE = 8 + sizeof BEFORE - 1, DIGITS = sizeof ZEROS - 1 };

/* Computes the checksum's digits. Returns false when the bytes have no place for a checksum. */
static bool checksum(const void *bytes, size_t size, char digits[DIGITS + 1]) {
    const char *at = bytes;
    if (size < PLACE + DIGITS || memcmp(at + 8, BEFORE, sizeof BEFORE - 1) != 0) return false;
    uint64_t hash = hash_bytes(HASH_START, at, PLACE);
    hash = hash_bytes(hash, ZEROS, DIGITS);
    hash = hash_bytes(hash, at + PLACE + DIGITS, size - PLACE - DIGITS);
    snprintf(digits, DIGITS + 1, "%016llx", (unsigned long long)hash);
    return true;
}

bool sealed_seal(void *bytes, size_t size) {
    char digits[DIGITS + 1];
    if (!checksum(bytes, size, digits)) return false;
    memcpy((char *)bytes + PLACE, digits, DIGITS);
    return true;
}

bool sealed_intact(const void *bytes, size_t size) {
    char digits[DIGITS + 1];
    return checksum(bytes, size, digits) && memcmp((const char *)bytes + PLACE, digits, DIGITS) == 0;
}

bool sealed_write(const char *path, const SafeTensor *tensors, int64_t count,
                  const char *const (*metadata)[2], int64_t pairs, Messages *errors) {
    const char *(*all)[2] = mem_alloc((size_t)(pairs + 1) * sizeof *all);
    all[0][0] = "checksum";
    all[0][1] = ZEROS;
    for (int64_t i = 0; i < pairs; i++) memcpy(all[i + 1], metadata[i], sizeof *all);
    Text bytes = safetensors_bytes(tensors, count, (const char *const(*)[2])all, pairs + 1);
    CHECK(sealed_seal(bytes.at, bytes.length));
    bool ok = file_write(path, bytes.at, bytes.length, errors);
    free(bytes.at);
    free(all);
    return ok;
}
