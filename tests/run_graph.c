/* SPDX-License-Identifier: MIT */
#include "tests/run_graph.h"

#include "tensor/gemm.h"
#include "tests/test.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t bytes_of(const Tensor *t) { return (size_t)shape_count(t->shape) * sizeof(float); }

static void run_once(Graph *g, Tensor *out, const float *dy, PlanOptions options, int threads,
                     float *result) {
    Arena arena;
    blas_start();
    omp_set_num_threads(threads);
    options.train = dy != NULL;
    Plan plan = graph_plan(g, out, options);
    CHECK(arena_allocate(&arena, plan_bytes(&plan, threads)));
    graph_bind(g, &arena, threads);
    graph_forward(g);
    memcpy(result, out->data, bytes_of(out));
    if (dy) graph_backward(g, dy);
    arena_free(&arena);
}

float *run_graph(Graph *g, Tensor *out, const float *dy, Tensor *const leaves[], int count,
                 Precision precision, const char *name) {
    static const struct {
        PlanOptions options;
        int threads;
    } KINDS[] = {
        { { .keep_all = true, .poison = true }, 1 },
        { { .poison = true }, 2 },
        { { .poison = true, .recompute = 1000 }, 5 },
        { { .recompute = 2, .separate = true }, 2 },
    };
    enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0], LEAVES_MAX = 4 };
    CHECK(count <= LEAVES_MAX);
    float *result = mem_alloc(bytes_of(out)), *next = mem_alloc(bytes_of(out)), *first[LEAVES_MAX];
    bool same = true;
    for (int k = 0; k < KIND_COUNT; k++) {
        if (precision == PRECISION_BF16 && k % 2) continue; /* the portable kernel is slow */
        PlanOptions options = KINDS[k].options;
        options.precision = precision;
        run_once(g, out, dy, options, KINDS[k].threads, k ? next : result);
        if (k) same = same && memcmp(result, next, bytes_of(out)) == 0;
        for (int i = 0; i < count; i++) {
            if (k)
                same = same && memcmp(first[i], leaves[i]->grad, bytes_of(leaves[i])) == 0;
            else
                memcpy(first[i] = mem_alloc(bytes_of(leaves[i])), leaves[i]->grad, bytes_of(leaves[i]));
        }
    }
    test_true(name, same, "the same bits with other plans and numbers of threads");
    for (int i = 0; i < count; i++) free(first[i]);
    free(next);
    return result;
}
