#define _GNU_SOURCE /* sched_getaffinity */
#include "tensor/threads.h"

#include "io/system.h"
#include "tensor/gemm.h"

#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* One number out of a file of /sys; -1 if there is none. */
static long topology(size_t cpu, const char *what) {
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/topology/%s", cpu, what);
    FILE *file = fopen(path, "r");
    long value = -1;
    if (!file) return -1;
    if (fscanf(file, "%ld", &value) != 1) value = -1;
    fclose(file);
    return value;
}

int threads_cores(void) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
    long seen[CPU_SETSIZE][2];
    int cores = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        long package = topology(cpu, "physical_package_id"), core = topology(cpu, "core_id");
        bool known = false;
        for (int i = 0; i < cores && core >= 0; i++)
            known = known || (seen[i][0] == package && seen[i][1] == core);
        if (known) continue;
        seen[cores][0] = package;
        seen[cores++][1] = core;
    }
    return cores > 0 ? cores : 1;
}

int threads_start(int64_t threads) {
    int n = threads > 0 ? (int)threads : threads_cores();
    omp_set_dynamic(0);
    omp_set_num_threads(n);
    blas_start();
    return n;
}

#if defined(__x86_64__)
static bool one_of(const char *name, const char *const *list) {
    for (; *list; list++)
        if (strcasecmp(name, *list) == 0) return true;
    return false;
}
#endif

/* What OPENBLAS_CORETYPE should be, where OpenBLAS runs kernels below what the processor has; else NULL. */
static const char *better_kernels(void) {
#if defined(__x86_64__)
    static const char *const avx512[] = { "SkylakeX", "Cooperlake", "SapphireRapids", NULL };
    static const char *const avx2[] = { "Haswell", "Zen", "Excavator", NULL };
    const char *kernel = blas_kernel();
    bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
    bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const char *better = has_avx512 ? "SkylakeX" : has_avx2 ? "Haswell" : NULL;
    if (!better || one_of(kernel, avx512) || (!has_avx512 && one_of(kernel, avx2))) return NULL;
    return better;
#else
    return NULL;
#endif
}

void threads_restart(char *const argv[]) {
    const char *better = better_kernels();
    if (!better || getenv("OPENBLAS_CORETYPE") || setenv("OPENBLAS_CORETYPE", better, 1) != 0) return;
    execv("/proc/self/exe", argv);
}

void threads_check_blas(Messages *warnings) {
    const char *better = better_kernels();
    if (better)
        messages_add(warnings,
                     "OpenBLAS runs its %s kernels, which are below what this processor has: "
                     "set OPENBLAS_CORETYPE=%s for more speed",
                     blas_kernel(), better);
}

double threads_peak_flops(void) {
    enum { SIDE = 256, TRIES = 8, PRODUCTS = 16 };
    const size_t floats = SIDE * SIDE;
    int threads = omp_get_max_threads();
    float *memory = mem_alloc((size_t)threads * 3 * floats * sizeof *memory);
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        double started = system_seconds();
#pragma omp parallel
        {
            float *a = memory + (size_t)omp_get_thread_num() * 3 * floats, *b = a + floats, *c = b + floats;
            for (int k = 0; k < PRODUCTS; k++)
                gemm(AS_IS, AS_IS, SIDE, SIDE, SIDE, 1, a, SIDE, b, SIDE, 0, c, SIDE);
        }
        double flops = 2.0 * (double)(SIDE * SIDE * SIDE * PRODUCTS) * threads / (system_seconds() - started);
        if (flops > best) best = flops;
    }
    free(memory);
    return best;
}
