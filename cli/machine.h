/* What the program runs on: cores, the BLAS kernel, the time. */
#ifndef TI_MACHINE_H
#define TI_MACHINE_H

#include "tensor/base.h"

/* Physical cores that this process may use (a core's second hardware thread only slows GEMM down). At least 1. */
int machine_cores(void);

/* Sets OpenMP's threads (0: the physical cores) and keeps BLAS to one; returns the threads. */
int machine_start(int64_t threads);

/* A warning if OpenBLAS runs a kernel below what the processor has, as old builds do on newer processors. */
void machine_check_blas(Messages *warnings);

/* Operations a second that all threads together reach with products of matrices that stay in a core's cache: the best of
   some, in about a tenth of a second. */
double machine_peak_flops(void);

/* Bytes of memory this process has had resident at its peak. */
int64_t machine_peak_memory(void);

/* Seconds on a clock that only goes forward. */
double machine_seconds(void);

/* "1:02:03" or "2:03" */
enum { DURATION_TEXT = 32 };
const char *duration_text(double seconds, char text[DURATION_TEXT]);

#endif
