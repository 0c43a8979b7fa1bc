/* SPDX-License-Identifier: MIT */
/* Times convolutions of the shapes that models have, forward and backward, with every method. Prints
   milliseconds, and the operations of the direct algorithm divided by the time. Weights are F16, as in most
   checkpoints. A * marks the method that conv_method chooses. With the argument "sd", shapes of Stable
   Diffusion 1.5 are timed as well. */
#define _POSIX_C_SOURCE 200809L
#include "tensor/threads.h"
#include "tensor/conv.h"
#include "tensor/gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _OPENMP
#    include <omp.h>
#endif

static int threads(void) {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *floats(int64_t n) {
    float *x = mem_alloc((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++) x[i] = (float)(i * 7919 % 101) / 50 - 1;
    return x;
}

typedef struct {
    int64_t batch, in, size, out, kernel, stride;
} BenchCase;

/* Returns the time of the shortest of several runs, in seconds. */
static double time_pass(ConvMethod m, const Conv *c, const Weight *w, float *x, float *y, ConvMemory memory,
                        bool backward) {
    double best = 1e9, total = 0;
    for (int run = 0; run < 3 || (total < 0.05 && run < 50); run++) {
        double start = now();
        if (backward)
            conv_backward(m, c, w, y, true, x, memory);
        else
            conv_forward(m, c, w, NULL, x, y, memory);
        double taken = now() - start;
        total += taken;
        if (taken < best) best = taken;
    }
    return best;
}

static void bench(const BenchCase *s) {
    int64_t out_size = s->size / s->stride;
    Conv c = { s->batch, s->in,     s->size,   s->size,       s->out,        out_size,
               out_size, s->kernel, s->stride, s->kernel / 2, s->kernel / 2, PRECISION_F32 };
    int64_t nx = s->batch * s->in * s->size * s->size, ny = s->batch * s->out * out_size * out_size;
    int64_t nw = s->out * s->in * s->kernel * s->kernel;
    float *x = floats(nx), *y = floats(ny);
    uint16_t *half = mem_alloc((size_t)nw * sizeof *half);
    for (int64_t i = 0; i < nw; i++) half[i] = (uint16_t)(0x2800 | (i * 7919 & 0x83ff));
    Weight w = { "weight", F16, shape4(s->out, s->in, s->kernel, s->kernel), half };
    double flops = 2.0 * (double)ny * (double)(s->in * s->kernel * s->kernel);
    printf("%2lld x %4lld -> %4lld at %3lld, %lldx%lld /%lld:", (long long)s->batch, (long long)s->in,
           (long long)s->out, (long long)s->size, (long long)s->kernel, (long long)s->kernel,
           (long long)s->stride);
    for (int i = 0; i < CONV_METHODS; i++) {
        ConvMethod m = (ConvMethod)i;
        if (!conv_supports(m, &c)) continue;
        int64_t scratch = conv_scratch(m, &c), workspace = (conv_workspace(m, &c) + 15) / 16 * 16;
        ConvMemory memory = { floats(scratch), floats(workspace * threads()), (size_t)workspace };
        double forward = time_pass(m, &c, &w, x, y, memory, false);
        double backward = time_pass(m, &c, &w, x, y, memory, true);
        printf("  %s%s %.2f ms %.0f, back %.2f ms %.0f GF/s", m == conv_method(&c) ? "*" : "",
               conv_method_name(m), forward * 1e3, flops / forward / 1e9, backward * 1e3,
               flops / backward / 1e9);
        free(memory.scratch);
        free(memory.workspaces);
    }
    printf("\n");
    fflush(stdout);
    free(x);
    free(y);
    free(half);
}

int main(int argc, char **argv) {
    threads_restart(argv);
    static const BenchCase small[] = {
        /* the embedded UNet at batch 4 */
        { 4, 4, 16, 64, 3, 1 },
        { 4, 64, 16, 64, 3, 1 },
        { 4, 192, 16, 64, 3, 1 },
        { 4, 64, 16, 4, 3, 1 },
        { 4, 64, 16, 64, 1, 1 },
        { 4, 64, 16, 64, 3, 2 },
        { 4, 64, 8, 128, 3, 1 },
        { 4, 128, 8, 128, 3, 1 },
        { 4, 384, 8, 128, 3, 1 },
        { 4, 384, 8, 128, 1, 1 },
        { 4, 128, 8, 128, 3, 2 },
        { 4, 128, 4, 256, 3, 1 },
        { 4, 256, 4, 256, 3, 1 },
        { 4, 512, 4, 256, 3, 1 },
        { 8, 256, 4, 256, 3, 1 },
        { 4, 512, 4, 256, 1, 1 },
        /* the decoder of the embedded VAE */
        { 1, 128, 16, 128, 3, 1 },
        { 4, 128, 32, 128, 3, 1 },
        { 4, 64, 64, 64, 3, 1 },
        { 4, 32, 64, 32, 3, 1 },
        { 4, 32, 64, 3, 3, 1 },
    };
    static const BenchCase large[] = {
        { 1, 320, 64, 320, 3, 1 },  { 1, 640, 32, 640, 3, 1 },  { 1, 1280, 16, 1280, 3, 1 },
        { 1, 1280, 8, 1280, 3, 1 }, { 2, 1280, 8, 1280, 3, 1 }, { 1, 320, 64, 320, 3, 2 },
        { 1, 128, 256, 128, 3, 1 },
    };
    blas_start();
    printf("%s kernels, %d threads\n", blas_kernel(), threads());
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) bench(&small[i]);
    if (argc > 1 && !strcmp(argv[1], "sd"))
        for (size_t i = 0; i < sizeof large / sizeof *large; i++) bench(&large[i]);
    return 0;
}
