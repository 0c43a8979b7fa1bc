/* SPDX-License-Identifier: MIT */
/* MT19937 and the numbers that PyTorch and Python derive from it, with the same bits.

   MT19937 keeps N = 624 words of 32 bits and renews all of them at once:

       x_(k+N) = x_(k+M) ^ twist(high bit of x_k, low 31 bits of x_(k+1))        M = 397

   A draw is the next word after tempering, an invertible mix of its bits. Normal numbers come in pairs from
   two uniform numbers u and v (Box and Muller):

       sqrt(-2 ln(1 - u)) cos(2 pi v),  sqrt(-2 ln(1 - u)) sin(2 pi v)

   PyTorch computes them in one of two ways: in blocks of 16 in single precision, or pair by pair in double
   precision. */
#include "tensor/rng.h"

#include "tensor/vmath.h"

#include <math.h>
#include <string.h>

/* ---- MT19937 ---- */

enum { N = TWISTER_WORDS, M = 397 };

/* The functions of the authors' mt19937ar.c, by the same names. */
static void init_genrand(Twister *t, uint32_t seed) {
    t->word[0] = seed;
    for (uint32_t i = 1; i < N; i++) t->word[i] = 1812433253u * (t->word[i - 1] ^ (t->word[i - 1] >> 30)) + i;
    t->next = N;
}

static void init_by_array(Twister *t, const uint32_t *key, uint32_t length) {
    init_genrand(t, 19650218u);
    uint32_t *w = t->word, i = 1, j = 0;
    for (uint32_t k = N; k > 0; k--) { /* max(N, length) rounds; the keys here are short */
        w[i] = (w[i] ^ ((w[i - 1] ^ (w[i - 1] >> 30)) * 1664525u)) + key[j] + j;
        if (++i == N) {
            w[0] = w[N - 1];
            i = 1;
        }
        if (++j == length) j = 0;
    }
    for (uint32_t k = N - 1; k > 0; k--) {
        w[i] = (w[i] ^ ((w[i - 1] ^ (w[i - 1] >> 30)) * 1566083941u)) - i;
        if (++i == N) {
            w[0] = w[N - 1];
            i = 1;
        }
    }
    w[0] = 0x80000000u;
}

static uint32_t twist(uint32_t high, uint32_t low) {
    uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return (y >> 1) ^ (0x9908b0dfu & (0u - (y & 1u)));
}

static void next_block(Twister *t) {
    uint32_t *w = t->word;
    for (int i = 0; i < N - M; i++) w[i] = w[i + M] ^ twist(w[i], w[i + 1]);
    for (int i = N - M; i < N - 1; i++) w[i] = w[i + M - N] ^ twist(w[i], w[i + 1]);
    w[N - 1] = w[M - 1] ^ twist(w[N - 1], w[0]);
    t->next = 0;
}

static uint32_t temper(uint32_t y) {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static uint32_t twister_u32(Twister *t) {
    if (t->next == N) next_block(t);
    return temper(t->word[t->next++]);
}

bool twister_valid(const Twister *t) { return t->next <= N; }

/* ---- torch.Generator('cpu') ---- */

bool generator_valid(const Generator *g) {
    return twister_valid(&g->twister) && g->has_normal <= 1 && isfinite(g->normal);
}

void generator_seed(Generator *g, uint64_t seed) {
    memset(g, 0, sizeof *g);
    init_genrand(&g->twister, (uint32_t)seed);
}

uint32_t generator_u32(Generator *g) { return twister_u32(&g->twister); }

uint64_t generator_u64(Generator *g) {
    uint64_t high = generator_u32(g);
    return high << 32 | generator_u32(g);
}

void generator_rand(Generator *g, float *out, int64_t count) {
    Twister *t = &g->twister;
    while (count > 0) { /* many words at a time, so that the tempering becomes vector code */
        if (t->next == N) next_block(t);
        int64_t run = min_i64(count, N - t->next);
        const uint32_t *w = t->word + t->next;
        for (int64_t i = 0; i < run; i++) out[i] = (float)(int32_t)(temper(w[i]) & 0xffffffu) * 0x1p-24f;
        t->next += (uint32_t)run;
        out += run;
        count -= run;
    }
}

int64_t generator_randint(Generator *g, int64_t low, int64_t high) {
    CHECK(low < high && (low >= 0 || high <= INT64_MAX + low));
    uint64_t range = (uint64_t)high - (uint64_t)low;
    uint64_t x = range < (UINT64_C(1) << 28) ? generator_u32(g) : generator_u64(g);
    return low + (int64_t)(x % range);
}

void generator_randperm(Generator *g, int64_t *out, int64_t count) {
    CHECK(count < RANDPERM_MAX); /* for much larger counts PyTorch draws 64-bit numbers */
    for (int64_t i = 0; i < count; i++) out[i] = i;
    for (int64_t i = 0; i < count - 1; i++) {
        int64_t j = i + generator_u32(g) % (count - i), kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}

/* ---- normal numbers in blocks, single precision ---- */

/* logf, sinf and cosf of the Cephes library (Moshier), with the operations and roundings of PyTorch's AVX2
   kernel in the same order. fmaf is used exactly where that kernel's compiler fused a product with an
   addition. Otherwise the last bit of one value in six would differ. The functions have no branches, so that
   loops that call them become vector code. */

/* ln x for a normal x > 0. With x = 2^e (1 + m) and 1/sqrt(2) <= 1 + m < sqrt(2) it is e ln 2 + m - m^2/2 +
   m^3 P(m) with a polynomial P. */
static inline float cephes_log(float x) {
    uint32_t bits = float_bits(x);
    float fraction = float_from_bits((bits & 0x007fffffu) | 0x3f000000u); /* in [0.5, 1) */
    bool small = fraction < 0.707106781186547524f;
    float e = (float)((int32_t)(bits >> 23) - 126) - (small ? 1.0f : 0.0f);
    float m = (fraction - 1.0f) + (small ? fraction : 0.0f);
    float z = m * m;
    float y = 7.0376836292e-2f;
    y = fmaf(y, m, -1.1514610310e-1f);
    y = fmaf(y, m, 1.1676998740e-1f);
    y = fmaf(y, m, -1.2420140846e-1f);
    y = fmaf(y, m, 1.4249322787e-1f);
    y = fmaf(y, m, -1.6668057665e-1f);
    y = fmaf(y, m, 2.0000714765e-1f);
    y = fmaf(y, m, -2.4999993993e-1f);
    y = fmaf(y, m, 3.3333331174e-1f);
    y = fmaf(y * m, z, e * -2.12194440e-4f); /* ln 2 = 0.693359375 - 2.1219444e-4 */
    y = fmaf(-z, 0.5f, y);
    return fmaf(e, 0.693359375f, m + y);
}

/* sin x and cos x for 0 <= x < 8192. j is x / (pi/4), rounded down to an integer and then up to an even one.
   In x - j pi/4, pi/4 is split into three parts to keep the rounding error small. The sine and the cosine of
   this difference are one polynomial each. */
static inline void cephes_sincos(float x, float *sine, float *cosine) {
    int32_t j = (int32_t)(x * 1.27323954473516f) + 1;
    j &= ~1;
    float y = (float)j;
    x = fmaf(y, -0.78515625f, x);
    x = fmaf(y, -2.4187564849853515625e-4f, x);
    x = fmaf(y, -3.77489497744594108e-8f, x);
    float z = x * x;
    float c = fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f);
    c = fmaf(c, z, 4.166664568298827e-2f);
    c = fmaf(c * z, z, -(z * 0.5f)) + 1.0f;
    float s = fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f);
    s = fmaf(s, z, -1.6666654611e-1f);
    s = fmaf(s * z, x, x);
    bool swap = j & 2; /* in every second quadrant sine and cosine change places */
    float a = swap ? c : s, b = swap ? s : c;
    *sine = j & 4 ? -a : a;
    *cosine = (j + 2) & 4 ? -b : b;
}

/* Turns 16 uniform numbers into normal ones in place: numbers 0..7 give the radius sqrt(-2 ln(1 - u)),
   numbers 8..15 the angle 2 pi v. */
static void normals_from_uniforms(float block[16]) {
    const float two_pi = (float)(2 * 3.14159265358979323846);
#pragma omp simd
    for (int j = 0; j < 8; j++) {
        float sine, cosine, radius = sqrtf(-2.0f * cephes_log(1.0f - block[j]));
        cephes_sincos(two_pi * block[j + 8], &sine, &cosine);
        block[j] = radius * cosine + 0.0f; /* adds the mean 0, as PyTorch does: this turns -0 into 0 */
        block[j + 8] = radius * sine + 0.0f;
    }
}

void generator_randn(Generator *g, float *out, int64_t count) {
    if (count < 16) {
        generator_randn_slow(g, out, count);
        return;
    }
    generator_rand(g, out, count);
    for (int64_t i = 0; i + 16 <= count; i += 16) normals_from_uniforms(out + i);
    if (count % 16 != 0) { /* new draws for the last 16 numbers, which overlap the block before */
        generator_rand(g, out + count - 16, 16);
        normals_from_uniforms(out + count - 16);
    }
}

/* ---- normal numbers one by one, double precision ---- */

static double uniform_double(Generator *g) {
    return (double)(generator_u64(g) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

static double slow_normal(Generator *g) {
    if (g->has_normal) {
        double kept = g->normal;
        g->has_normal = 0;
        g->normal = 0;
        return kept;
    }
    double theta = 2 * 3.14159265358979323846 * uniform_double(g);
    double radius = sqrt(-2 * log1p(-uniform_double(g)));
    g->normal = radius * sin(theta);
    g->has_normal = 1;
    return radius * cos(theta);
}

void generator_randn_slow(Generator *g, float *out, int64_t count) {
    for (int64_t i = 0; i < count; i++) out[i] = (float)slow_normal(g);
}

void generator_randn_channels_last(Generator *g, float *out, Shape shape) {
    CHECK_EQ(shape.rank, 4);
    int64_t channels = shape.dim[1], pixels = shape.dim[2] * shape.dim[3];
    for (int64_t b = 0; b < shape.dim[0]; b++)
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < channels; c++)
                out[(b * channels + c) * pixels + p] = (float)slow_normal(g);
}

/* ---- Python's random ---- */

void python_seed(Twister *t, uint64_t seed) {
    uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    init_by_array(t, key, key[1] ? 2 : 1);
}

uint32_t python_getrandbits(Twister *t, int bits) {
    CHECK(1 <= bits && bits <= 32);
    return twister_u32(t) >> (32 - bits);
}

double python_random(Twister *t) {
    uint32_t high = twister_u32(t) >> 5, low = twister_u32(t) >> 6;
    return ((double)high * 67108864.0 + (double)low) / 9007199254740992.0; /* 2^26, 2^53 */
}

int64_t python_choice(Twister *t, int64_t n) {
    CHECK(0 < n && n <= UINT32_MAX);
    int bits = 0;
    while (n >> bits) bits++;
    int64_t x;
    do x = python_getrandbits(t, bits);
    while (x >= n);
    return x;
}
