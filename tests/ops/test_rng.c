/* SPDX-License-Identifier: MIT */
/* Compares the random numbers with PyTorch's and Python's, to the bit. The goldens are from golden/draws.py;
   the short vectors below are from runs of the reference script. */
#include "tensor/philox.h"
#include "tensor/rng.h"
#include "tests/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void same_floats(const Golden *golden, const char *name, const float *got, int64_t count) {
    CHECK_EQ(shape_count(golden_shape(golden, "%s", name)), count);
    float *want = golden_floats(golden, "%s", name);
    test_same(name, got, want, (size_t)count * sizeof(float));
    free(want);
}

static void same_ints(const Golden *golden, const char *name, const int32_t *got, int64_t count) {
    int64_t n;
    int32_t *want = golden_ints(golden, &n, "%s", name);
    CHECK_EQ(n, count);
    test_same(name, got, want, (size_t)count * sizeof(int32_t));
    free(want);
}

/* Tests rand, randn and randperm of every size in the golden file. */
static void test_sizes(const Golden *golden) {
    int64_t count;
    int32_t *sizes = golden_ints(golden, &count, "sizes");
    for (int64_t i = 0; i < count; i++) {
        int64_t n = sizes[i], kept = min_i64(n, 700);
        float *x = mem_alloc((size_t)n * sizeof *x);
        int64_t *permutation = mem_alloc((size_t)n * sizeof *permutation);
        int32_t *first = mem_alloc((size_t)kept * sizeof *first);
        char name[40];
        Generator g;
        generator_seed(&g, (uint64_t)n);
        generator_rand(&g, x, n);
        snprintf(name, sizeof name, "rand.%lld", (long long)n);
        same_floats(golden, name, x, n);
        generator_randn(&g, x, n);
        snprintf(name, sizeof name, "randn.%lld", (long long)n);
        same_floats(golden, name, x, n);
        generator_randperm(&g, permutation, n);
        for (int64_t j = 0; j < kept; j++) first[j] = (int32_t)permutation[j];
        snprintf(name, sizeof name, "randperm.%lld", (long long)n);
        same_ints(golden, name, first, kept);
        free(x);
        free(permutation);
        free(first);
    }
    free(sizes);
}

/* With these seeds a uniform number is exactly 0, so that the radius of the Box-Muller transform is -0, while
   PyTorch's result is +0. */
static void test_zero_radius(const Golden *golden) {
    const int seeds[] = { 1753191, 2934939, 3109716, 5528393 };
    for (int i = 0; i < 4; i++) {
        Generator g;
        float x[16];
        char name[40];
        generator_seed(&g, (uint64_t)seeds[i]);
        generator_randn(&g, x, 16);
        snprintf(name, sizeof name, "zero_radius.%d", seeds[i]);
        same_floats(golden, name, x, 16);
    }
}

/* Tests randint for small and large ranges, then 63-bit numbers, all from one generator. */
static void test_integers(const Golden *golden) {
    Generator g;
    generator_seed(&g, (UINT64_C(1) << 40) + 3);
    for (int i = 0; golden_has(golden, "randint.%d", i); i++) {
        int32_t *range = golden_ints(golden, NULL, "randint.%d.range", i), got[50];
        for (int j = 0; j < 50; j++) got[j] = (int32_t)generator_randint(&g, range[0], range[1]);
        char name[40];
        snprintf(name, sizeof name, "randint.%d", i);
        same_ints(golden, name, got, 50);
        free(range);
    }
    int32_t high[20], low[20];
    for (int j = 0; j < 20; j++) {
        uint64_t x = generator_u64(&g) & INT64_MAX;
        high[j] = (int32_t)(x >> 32);
        low[j] = (int32_t)(x & INT32_MAX);
    }
    same_ints(golden, "u63.high", high, 20);
    same_ints(golden, "u63.low", low, 20);
}

/* Normal numbers are made in pairs. The second half of the last pair of the first randn(3) becomes the first
   number of the channels-last tensor, which in turn leaves one for the last randn(3). */
static void test_channels_last(const Golden *golden) {
    Generator g;
    float three[3], x[2 * 4 * 5 * 6];
    generator_seed(&g, 5);
    generator_randn(&g, three, 3);
    same_floats(golden, "channels_last.before", three, 3);
    generator_randn_channels_last(&g, x, shape4(2, 4, 5, 6));
    same_floats(golden, "channels_last", x, 2 * 4 * 5 * 6);
    generator_randn(&g, three, 3);
    same_floats(golden, "channels_last.after", three, 3);
}

/* Makes one call of the mixed sequence and appends the numbers to floats or ints. */
static void play(Generator *g, int call, int64_t n, float *floats, int64_t *floats_count, int32_t *ints,
                 int64_t *ints_count) {
    enum { RAND, RANDN, RANDINT, RANDPERM, CHANNELS_LAST, RESEED }; /* in the order of golden/draws.py */
    int64_t permutation[40];
    CHECK(0 < n && n <= 40);
    float *to = floats + *floats_count;
    switch (call) {
    case RAND:
        generator_rand(g, to, n);
        break;
    case RANDN:
        generator_randn(g, to, n);
        break;
    case RANDINT:
        for (int64_t i = 0; i < n; i++) ints[(*ints_count)++] = (int32_t)generator_randint(g, 0, 1000);
        break;
    case RANDPERM:
        generator_randperm(g, permutation, n);
        for (int64_t i = 0; i < n; i++) ints[(*ints_count)++] = (int32_t)permutation[i];
        break;
    case CHANNELS_LAST:
        generator_randn_channels_last(g, to, shape4(2, 4, n, 3));
        break;
    case RESEED:
        generator_seed(g, (uint64_t)n);
        break;
    default:
        CHECK(call == RAND);
    }
    *floats_count += call == RAND || call == RANDN ? n : call == CHANNELS_LAST ? 24 * n : 0;
}

/* Tests a long sequence of mixed calls, which shows what one call leaves for the next. */
static void test_sequence(const Golden *golden) {
    int64_t numbers, floats_count = 0, ints_count = 0;
    int32_t *calls = golden_ints(golden, &numbers, "sequence.calls");
    float *floats = mem_alloc((size_t)numbers * 24 * 40 * sizeof *floats);
    int32_t *ints = mem_alloc((size_t)numbers * 40 * sizeof *ints);
    Generator g, saved = { 0 };
    generator_seed(&g, 20220811);
    for (int64_t i = 0; i < numbers; i += 2) {
        if (i % 10 == 0) { /* copies the state away and back, as saving and resuming do */
            memcpy(&saved, &g, sizeof g);
            memset(&g, 0xff, sizeof g);
            memcpy(&g, &saved, sizeof g);
        }
        play(&g, calls[i], calls[i + 1], floats, &floats_count, ints, &ints_count);
    }
    same_floats(golden, "sequence.floats", floats, floats_count);
    same_ints(golden, "sequence.ints", ints, ints_count);
    free(calls);
    free(floats);
    free(ints);
}

static void test_python(const Golden *golden) {
    const uint64_t seeds[] = { 0, 11, UINT32_MAX, (UINT64_C(1) << 32) + 5, (UINT64_C(1) << 63) + 9 };
    const int64_t lengths[] = { 1, 2, 19, 27, 32, 33, 1000003 };
    for (int i = 0; i < 5; i++) {
        Twister t;
        int32_t bits[720], choices[7 * 30];
        python_seed(&t, seeds[i]);
        for (int j = 0; j < 720; j++) bits[j] = (int32_t)python_getrandbits(&t, j < 20 ? 5 : 31);
        for (int j = 0; j < 7 * 30; j++) choices[j] = (int32_t)python_choice(&t, lengths[j / 30]);
        char name[40];
        snprintf(name, sizeof name, "python.%d.bits", i);
        same_ints(golden, name, bits, 720);
        snprintf(name, sizeof name, "python.%d.choice", i);
        same_ints(golden, name, choices, 7 * 30);
        double uniform[30], *want = golden_doubles(golden, "python.%d.random", i);
        for (int j = 0; j < 30; j++) uniform[j] = python_random(&t);
        snprintf(name, sizeof name, "python.%d.random", i);
        test_same(name, uniform, want, sizeof uniform);
        free(want);
    }
}

/* Each vector is from a generator newly seeded with 11, to eight digits. */
static void test_vectors(void) {
    Generator g;
    float x[17];
    generator_seed(&g, 11);
    generator_rand(&g, x, 3);
    test_close("seed 11: rand(3)", x, (const float[]) { .14904171f, .48655313f, .98566151f }, shape1(3), 1e-7,
               -1);
    generator_seed(&g, 11);
    generator_randn(&g, x, 3);
    test_close("seed 11: randn(3)", x, (const float[]) { .73762947f, 1.94592917f, -.69954163f }, shape1(3),
               1e-7, -1);
    generator_seed(&g, 11);
    generator_randn(&g, x, 17);
    test_close("seed 11: randn(17)[0, 1, 16]", (const float[]) { x[0], x[1], x[16] },
               (const float[]) { -.51079756f, 1.57270348f, 1.91127360f }, shape1(3), 1e-7, -1);
    generator_seed(&g, 11);
    int64_t a = generator_randint(&g, 0, 1000), b = generator_randint(&g, 0, 1000),
            c = generator_randint(&g, 0, 1000);
    test_true("seed 11: randint(1000)", a == 441 && b == 679 && c == 520, "%d %d %d", (int)a, (int)b, (int)c);
    int64_t got[10];
    generator_seed(&g, 11);
    generator_randperm(&g, got, 10);
    test_same("seed 11: randperm(10)", got, (const int64_t[]) { 1, 7, 2, 0, 9, 3, 5, 6, 4, 8 }, sizeof got);
    Twister t;
    python_seed(&t, 11);
    int64_t templates[8];
    for (int i = 0; i < 8; i++) templates[i] = python_choice(&t, 27);
    test_same("seed 11: templates", templates, (const int64_t[]) { 14, 17, 24, 14, 14, 16, 18, 6 },
              sizeof templates);
}

static void test_valid(void) {
    Generator g;
    generator_seed(&g, 1);
    bool valid = generator_valid(&g);
    g.twister.next = TWISTER_WORDS + 1;
    test_true("a state with an impossible position", valid && !generator_valid(&g), "is refused");
    test_true("no padding in the state", sizeof(Generator) == 4 * TWISTER_WORDS + 16, "%zu bytes", sizeof g);
}

/* The numbers that A1111's own writing of the generator states for seed 0 (modules/rng_philox.py), which are
   those of torch.randn(12) on a GPU. */
static void test_philox(void) {
    static const float want[12] = { -0.92466259f, -0.42534415f, -2.6438457f,  0.14518388f,
                                    -0.12086647f, -0.57972564f, -0.62285122f, -0.32838709f,
                                    -1.07454231f, -0.36314407f, -1.67105067f, 2.26550497f };
    float got[12], other[12];
    Philox g = { .seed = 0 };
    philox_randn(&g, got, 12);
    test_close("a GPU's normal numbers", got, want, shape1(12), 1e-6, -1);
    test_true("the next call", g.call == 1, "%u", g.call);
    philox_randn(&g, other, 12);
    test_true("draws others", memcmp(got, other, sizeof got) != 0, "calls 0 and 1");
    g = (Philox) { .seed = (uint64_t)1 << 32 };
    philox_randn(&g, other, 12);
    test_true("the seed's high half counts", memcmp(got, other, sizeof got) != 0, "seed 2^32");
    enum { MANY = 16384 };
    static float many[MANY];
    double sum = 0, squares = 0;
    g = (Philox) { .seed = 7 };
    philox_randn(&g, many, MANY);
    for (int i = 0; i < MANY; i++) sum += (double)many[i], squares += (double)many[i] * (double)many[i];
    test_below("mean", fabs(sum / MANY), 0.03);
    test_below("variance - 1", fabs(squares / MANY - 1), 0.04);
}

int main(void) {
    Golden *golden = golden_open("golden/draws.safetensors");
    test_vectors();
    test_sizes(golden);
    test_zero_radius(golden);
    test_integers(golden);
    test_channels_last(golden);
    test_sequence(golden);
    test_python(golden);
    test_valid();
    golden_free(golden);
    test_philox();
    return test_finish();
}
