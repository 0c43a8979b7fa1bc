/* SPDX-License-Identifier: MIT */
/* The number of threads, and the variables of the environment that OpenBLAS and OpenMP read before main. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "tensor/threads.h"

#include "io/system.h"
#include "tensor/gemm.h"

#include <omp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <unistd.h>

/* Reads a number about a logical processor from /sys. Returns -1 when there is none. */
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
    /* The hardware threads of a core are logical processors with the same package and core id. */
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
static bool is_one_of(const char *name, const char *const *list) {
    for (; *list; list++)
        if (strcasecmp(name, *list) == 0) return true;
    return false;
}
#endif

/* Returns the value that OPENBLAS_CORETYPE should have if OpenBLAS uses kernels that are older than the
   processor. Returns NULL if its kernels are appropriate. */
static const char *better_kernels(void) {
#if defined(__x86_64__)
    static const char *const avx512[] = { "SkylakeX", "Cooperlake", "SapphireRapids", NULL };
    static const char *const avx2[] = { "Haswell", "Zen", "Excavator", NULL };
    const char *kernel = blas_kernel();
    bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
    bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const char *better = has_avx512 ? "SkylakeX" : has_avx2 ? "Haswell" : NULL;
    if (!better || is_one_of(kernel, avx512) || (!has_avx512 && is_one_of(kernel, avx2))) return NULL;
    return better;
#else
    return NULL;
#endif
}

/* OpenBLAS and libgomp (GCC's OpenMP) read the environment in their libraries' constructors, before main. To
   set a variable for them, the program has to be executed again. */

/* Whether `variable`, a text "NAME=VALUE", has the same name as `name`, a text "NAME=VALUE" or "NAME=". */
static bool has_name(const char *variable, const char *name) {
    size_t length = strcspn(name, "=") + 1;
    return strncmp(variable, name, length) == 0;
}

static const char *find_variable(char *const environment[], const char *name) {
    for (int i = 0; environment[i]; i++)
        if (has_name(environment[i], name)) return environment[i];
    return NULL;
}

/* Executes the program again with these variables added to the environment, where they replace variables of
   the same names. Returns only when this fails; the program then continues with its present environment. */
static void execute_again(char *const argv[], char *const environment[], const char *const variables[],
                          size_t count) {
    size_t size = 0, used = 0;
    while (environment[size]) size++;
    const char **with = mem_alloc((size + count + 1) * sizeof *with);
    for (size_t i = 0; i < size; i++) {
        bool replaced = false;
        for (size_t k = 0; k < count; k++) replaced = replaced || has_name(environment[i], variables[k]);
        if (!replaced) with[used++] = environment[i];
    }
    for (size_t k = 0; k < count; k++) with[used++] = variables[k];
    with[used] = NULL;
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        execve(path, argv, (char *const *)with); /* by its own path, so that `ps` shows its name */
    }
    execve("/proc/self/exe", argv, (char *const *)with); /* works even if the file was replaced meanwhile */
    free(with);
}

/* When the address space has no room for its buffer, OpenBLAS 0.3.29 and later loop for ever in the
   library's constructor, while earlier versions continue without the buffer. The only sign of this loop is
   that the process has used a second of processor time before main begins. Then a timer's signal ends the
   program with a message. */
static void on_startup_timeout(int signal_number) {
    static const char text[] =
        "ti: out of memory: OpenBLAS needs 134 MB of address space to start (try a higher "
        "ulimit -v)\n";
    (void)signal_number;
    _exit(write(STDERR_FILENO, text, sizeof text - 1) < 0 ? 2 : 1);
}

static void limit_startup(void) {
    signal(SIGVTALRM, on_startup_timeout);
    setitimer(ITIMER_VIRTUAL, &(struct itimerval) { .it_value = { .tv_sec = 1 } }, NULL);
}

void threads_restart(char *const argv[]) {
    setitimer(ITIMER_VIRTUAL, &(struct itimerval) { 0 }, NULL); /* stops limit_startup's timer */
    const char *better = better_kernels();
    if (!better || getenv("OPENBLAS_CORETYPE")) return;
    char *variable = mem_format("OPENBLAS_CORETYPE=%s", better);
    execute_again(argv, environ, (const char *[]) { variable }, 1);
    free(variable);
}

/* Executes the program again unless two variables are set:

   - OPENBLAS_NUM_THREADS=1. This program uses BLAS on the calling thread alone, but without this variable
     OpenBLAS makes a thread for each core before main. This can fail if memory or the number of threads is
     limited, and then OpenBLAS ends the program with a signal, or loops for ever when the program ends.
   - GOMP_SPINCOUNT=1000, the number of times that a waiting OpenMP thread looks for work before it sleeps.
     By default threads spin for milliseconds, on cores that other processes could use. On two cores, beside a
     busy process, a training of 5 s takes 16 to 19 s by default, 9 to 10 s with 1000, and 38 to 65 s with
     100000. Without other processes 1000 costs nothing, while without any spinning (OMP_WAIT_POLICY=passive)
     the training takes 7 s. A value that the user has set is kept. LLVM's OpenMP has another variable, which
     was not measured and is not set.

   A program that is being debugged or traced is not executed again. */
static void before_libraries(int argc, char *argv[], char *environment[]) {
    static const char one_thread[] = "OPENBLAS_NUM_THREADS=1", short_wait[] = "GOMP_SPINCOUNT=1000";
    const char *variables[2];
    size_t count = 0;
    (void)argc;
    const char *blas_threads = find_variable(environment, one_thread);
    if (!blas_threads || strcmp(blas_threads, one_thread) != 0) variables[count++] = one_thread;
    if (!find_variable(environment, short_wait) && !find_variable(environment, "OMP_WAIT_POLICY="))
        variables[count++] = short_wait;
    if (count > 0 && !system_traced()) execute_again(argv, environment, variables, count);
    if (!blas_has_room(1)) limit_startup();
}

/* glibc calls the functions in .preinit_array before the constructors of all libraries, with
   main's arguments. Changes that setenv makes at that time are lost, so before_libraries has to
   execute the program again. */
typedef void RunFirst(int argc, char *argv[], char *environment[]);
__attribute__((section(".preinit_array"), used)) static RunFirst *const run_first = before_libraries;

void threads_check_blas(Messages *warnings) {
    const char *better = better_kernels();
    if (better)
        messages_add(warnings,
                     "OpenBLAS uses its %s kernels, which are older than this processor: "
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
