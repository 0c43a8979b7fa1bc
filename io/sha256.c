/* SPDX-License-Identifier: MIT */
#include "io/sha256.h"

#include "io/bytes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, ROUNDS = 64 };

typedef struct {
    uint32_t k[ROUNDS], state[8];
} Sha256;

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* Returns the first 32 bits of a root's fractional part. A double holds them, since the integer part is
   below 8. */
static uint32_t fraction_bits(double root) { return (uint32_t)((root - floor(root)) * 4294967296.0); }

/* The constants are the fractional parts of the square roots of the first 8 primes (state) and of the cube
   roots of the first 64 (k). */
static Sha256 start(void) {
    Sha256 s = { 0 };
    int found = 0;
    for (int n = 2; found < ROUNDS; n++) {
        bool prime = true;
        for (int d = 2; d * d <= n && prime; d++) prime = n % d != 0;
        if (!prime) continue;
        if (found < 8) s.state[found] = fraction_bits(sqrt(n));
        s.k[found++] = fraction_bits(cbrt(n));
    }
    return s;
}

static void add_block(Sha256 *s, const unsigned char *block) {
    uint32_t w[ROUNDS], v[8];
    for (int t = 0; t < 16; t++) w[t] = big32(block + 4 * t);
    for (int t = 16; t < ROUNDS; t++) {
        uint32_t a = w[t - 15], b = w[t - 2];
        w[t] = w[t - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[t - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, s->state, sizeof v);
    for (int t = 0; t < ROUNDS; t += 8) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) { /* the names a to h move through v, instead of the values */
            uint32_t a = v[(8 - i) % 8], b = v[(9 - i) % 8], c = v[(10 - i) % 8], e = v[(12 - i) % 8],
                     f = v[(13 - i) % 8], g = v[(14 - i) % 8], *d = &v[(11 - i) % 8], *h = &v[(15 - i) % 8];
            uint32_t t1 = *h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                          s->k[t + i] + w[t + i];
            *d += t1;
            *h = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        }
    }
    for (int i = 0; i < 8; i++) s->state[i] += v[i];
}

/* Hashes the last bytes, which are followed by a one bit, zeros, and the length of all data in bits,
   big-endian, in the last 8 bytes of a block. */
static void finish(Sha256 *s, const unsigned char *bytes, size_t left, uint64_t size,
                   char text[SHA256_TEXT]) {
    unsigned char end[2 * BLOCK] = { 0 };
    if (left) memcpy(end, bytes, left);
    end[left] = 0x80;
    size_t blocks = left + 9 <= BLOCK ? 1 : 2;
    for (int i = 0; i < 8; i++) end[blocks * BLOCK - 1 - (size_t)i] = (unsigned char)(size * 8 >> (8 * i));
    for (size_t i = 0; i < blocks; i++) add_block(s, end + i * BLOCK);
    for (int i = 0; i < 8; i++) snprintf(text + 8 * i, 9, "%08x", s->state[i]);
}

void sha256_text(const void *data, size_t size, char text[SHA256_TEXT]) {
    const unsigned char *bytes = data;
    Sha256 s = start();
    size_t whole = size / BLOCK * BLOCK;
    for (size_t i = 0; i < whole; i += BLOCK) add_block(&s, bytes + i);
    finish(&s, bytes + whole, size - whole, size, text);
}

bool sha256_file(const char *path, char text[SHA256_TEXT], Messages *errors) {
    enum { PART = 1 << 20 };
    FILE *file = fopen(path, "rb");
    if (!file) return messages_add(errors, "%s: cannot be opened: %s", path, strerror(errno));
    unsigned char *part = mem_alloc(PART);
    Sha256 s = start();
    uint64_t size = 0;
    size_t read;
    while ((read = fread(part, 1, PART, file)) == PART) {
        for (size_t i = 0; i < PART; i += BLOCK) add_block(&s, part + i);
        size += PART;
    }
    bool ok = !ferror(file) || messages_add(errors, "%s: cannot be read: %s", path, strerror(errno));
    size_t whole = read / BLOCK * BLOCK;
    for (size_t i = 0; i < whole; i += BLOCK) add_block(&s, part + i);
    finish(&s, part + whole, read - whole, size + read, text);
    free(part);
    fclose(file);
    return ok;
}
