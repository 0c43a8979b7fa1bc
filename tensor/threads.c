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

/* The start. OpenBLAS and libgomp read the environment before main, in their libraries' constructors, so
   that what is to be set for them needs a new start of the program. */

/* Whether a variable, "NAME=VALUE", has this name: another such text, or "NAME=". */
static bool has_name(const char *variable, const char *name) {
    size_t length = strcspn(name, "=") + 1;
    return strncmp(variable, name, length) == 0;
}

static const char *find_variable(char *const environment[], const char *name) {
    for (int i = 0; environment[i]; i++)
        if (has_name(environment[i], name)) return environment[i];
    return NULL;
}

/* Executes the program with these variables in the place of those of their names. It returns where that
   fails; then the program goes on as it is. */
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
        execve(path, argv, (char *const *)with); /* by its own name, which `ps` shows */
    }
    execve("/proc/self/exe", argv, (char *const *)with); /* where the file was replaced meanwhile */
    free(with);
}

/* Where the addresses of its buffer are not to be had, OpenBLAS from 0.3.29 on spins for ever in its
   constructor, and earlier versions do without. Which of them it is shows only so: a second of the
   processor's time is gone before main has begun. */
static void on_no_main(int signal_number) {
    static const char text[] =
        "ti: out of memory: OpenBLAS needs 134 MB of address space as it starts (try a higher "
        "ulimit -v)\n";
    (void)signal_number;
    _exit(write(STDERR_FILENO, text, sizeof text - 1) < 0 ? 2 : 1);
}

static void await_main(void) {
    signal(SIGVTALRM, on_no_main);
    setitimer(ITIMER_VIRTUAL, &(struct itimerval) { .it_value = { .tv_sec = 1 } }, NULL);
}

void threads_restart(char *const argv[]) {
    setitimer(ITIMER_VIRTUAL, &(struct itimerval) { 0 }, NULL); /* main has begun */
    const char *better = better_kernels();
    if (!better || getenv("OPENBLAS_CORETYPE")) return;
    char *variable = mem_format("OPENBLAS_CORETYPE=%s", better);
    execute_again(argv, environ, (const char *[]) { variable }, 1);
    free(variable);
}

/* OPENBLAS_NUM_THREADS: BLAS runs on the caller's thread alone here, and yet it makes a thread for each core
   before main. Where memory or threads are limited that fails, and OpenBLAS ends the program with a signal,
   or spins for ever as the program ends.
   GOMP_SPINCOUNT: how often a thread of OpenMP looks whether there is work before it sleeps. By default they
   spin for milliseconds, on cores that other processes want: on two cores a training of 5 s takes 16 to 19 s
   beside one that is busy. With 1000 it takes 9 to 10 s, and as long as before where it is alone; with none
   (OMP_WAIT_POLICY=passive) it takes 7 s alone, with 100000 38 to 65 s beside the other. What the user has
   set stays. LLVM's OpenMP has another variable, which was not measured and is left alone. */
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
    if (!blas_has_room(1)) await_main();
}

/* glibc calls it before the constructors of all libraries, with main's arguments. What setenv does as early
   as that is lost, so that this executes the program too. */
typedef void RunFirst(int argc, char *argv[], char *environment[]);
__attribute__((section(".preinit_array"), used)) static RunFirst *const run_first = before_libraries;

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
