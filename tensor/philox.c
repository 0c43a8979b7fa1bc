/* SPDX-License-Identifier: MIT */
#include "tensor/philox.h"

#include <math.h>

/* One block of Philox: ten rounds, each of which multiplies two words of the counter, mixes in the key and
   exchanges words. The key grows by a constant after each round. */
static void philox_block(uint32_t c[4], uint64_t seed) {
    uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c[0] * 0xD2511F53u, b = (uint64_t)c[2] * 0xCD9E8D57u;
        c[0] = (uint32_t)(b >> 32) ^ c[1] ^ key[0];
        c[1] = (uint32_t)b;
        c[2] = (uint32_t)(a >> 32) ^ c[3] ^ key[1];
        c[3] = (uint32_t)a;
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
}

/* Each element has a block of its own, of which the first two words are used: u and v, uniform in (0, 1) and
   (0, 2 pi), become sqrt(-2 ln u) sin v. */
void philox_randn(Philox *g, float *out, int64_t count) {
    const float unit = 0x1p-32f, turn = 0x1p-32f * 6.2831855f;
    for (int64_t i = 0; i < count; i++) {
        uint32_t c[4] = { g->call, 0, (uint32_t)i, 0 };
        philox_block(c, g->seed);
        float u = (float)c[0] * unit + unit / 2, v = (float)c[1] * turn + turn / 2;
        out[i] = sqrtf(-2 * logf(u)) * sinf(v);
    }
    g->call++;
}
