/* SPDX-License-Identifier: MIT */
/* The processor's cores, OpenMP's threads and OpenBLAS's kernels, and the settings that they need
   when the program starts. */
#ifndef TI_THREADS_H
#define TI_THREADS_H

#include "io/base.h"

/* Returns the number of physical cores that this process may use, at least 1. A core's second hardware thread
   is not counted, since it only slows matrix products down. */
int threads_cores(void);

/* Sets the number of OpenMP's threads, where 0 means threads_cores(), and makes BLAS use the calling thread
   alone. Returns the number of threads. */
int threads_start(int64_t threads);

/* Must be called at the start of main. An OpenBLAS that is older than the processor does not recognise it and
   chooses the kernels of a much older processor, which can take twenty times as long. In this case the
   function executes the program again with OPENBLAS_CORETYPE set: only this variable changes OpenBLAS's
   choice, and OpenBLAS reads it before main. A value that the user has set is not changed.

   Besides, every program that is linked with threads.c executes itself again before main in order to set two
   other variables; see before_libraries in threads.c. */
void threads_restart(char *const argv[]);

/* Adds a warning when OpenBLAS still uses kernels that are older than the processor. */
void threads_check_blas(Messages *warnings);

/* Measures how many floating-point operations per second all threads together perform in products of matrices
   that fit into a core's cache. Returns the best of several tries, which take about a tenth of a second. */
double threads_peak_flops(void);

#endif
