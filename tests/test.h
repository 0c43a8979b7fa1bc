/* What the test programs share: one line a check, a count at the end, exit status 1 if anything failed.

       ok    group_norm.dx    2.1e-06 at [0, 3, 1, 7]    tol 1e-05    torch 1.8e-06
*/
#ifndef TI_TEST_H
#define TI_TEST_H

#include "tensor/tensor.h"

/* max|got - want| / max|want| <= tolerance, and everything is finite. torch: the reference's own fp32 error,
   < 0: not known. */
void test_close(const char *name, const float *got, const float *want, Shape shape, double tolerance,
                double torch);

/* One number against a bound: ok where value <= bound. */
void test_below(const char *name, double value, double bound);

/* The larger of the worst error so far and another. A NaN stays, so that it fails. */
double test_worse(double worst, double error);

void test_true(const char *name, bool ok, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same bytes. */
void test_same(const char *name, const void *got, const void *want, size_t bytes);

/* Prints "N passed, N failed" and returns main's exit status. */
int test_finish(void);

#endif
