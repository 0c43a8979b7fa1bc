/* The processor's cores, OpenMP's threads and OpenBLAS's kernels: what has to be set for them as the program
   starts. */
#ifndef TI_THREADS_H
#define TI_THREADS_H

#include "io/base.h"

/* Returns the number of physical cores that this process may use, at least 1. A core's second hardware thread
   is not counted, since it only slows matrix products down. */
int threads_cores(void);

/* Sets the number of OpenMP's threads, where 0 stands for threads_cores(), and makes BLAS use the calling
   thread alone. Returns the number of threads. */
int threads_start(int64_t threads);

/* To be called at the start of main. An OpenBLAS older than the processor does not recognise it and chooses
   the kernels of a much older processor, which can take twenty times as long. Then this executes the program
   again with OPENBLAS_CORETYPE set, since OpenBLAS can be told only by this variable and reads it before
   main. A value that the user has set is left as it is.

   Apart from this function, every program that is linked with threads.c executes itself again before main in
   order to set two other variables: see before_libraries there. */
void threads_restart(char *const argv[]);

/* Adds a warning when OpenBLAS still uses kernels that are older than the processor. */
void threads_check_blas(Messages *warnings);

/* Measures the floating-point operations a second that all threads together reach on products of matrices
   that stay in a core's cache: the best of several tries, in about a tenth of a second. */
double threads_peak_flops(void);

#endif
