/* What computes: the processor's cores, OpenMP's threads, BLAS's kernels. */
#ifndef TI_THREADS_H
#define TI_THREADS_H

#include "io/base.h"

/* Physical cores that this process may use (a core's second hardware thread only slows GEMM down). At
   least 1. */
int threads_cores(void);

/* Sets OpenMP's threads (0: the physical cores) and keeps BLAS to one; returns the threads. */
int threads_start(int64_t threads);

/* At the start of main: executes the program once more where OpenBLAS has not known the processor, as builds
   before it do, and runs kernels of a much older one, which take twenty times as long. It can be told only by
   an environment variable (OPENBLAS_CORETYPE, which is left as it is where the user has set it), and reads
   that before main.
   Every program with this file in it is also executed once more before that, for the variables that keep
   BLAS from making threads and OpenMP's from waiting long: threads.c says which. */
void threads_restart(char *const argv[]);

/* A warning if OpenBLAS runs a kernel below what the processor has, as old builds do on newer processors. */
void threads_check_blas(Messages *warnings);

/* Operations a second that all threads together reach with products of matrices that stay in a core's cache:
   the best of some, in about a tenth of a second. */
double threads_peak_flops(void);

#endif
