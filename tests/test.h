/* SPDX-License-Identifier: MIT */
/* The checks of all test programs. Each check prints a line with its verdict, its name and what it measured.
   The last line of a program gives the counts, and its exit status is 1 when any check failed.

       ok    group_norm.dx    2.1e-06 at [0, 3, 1, 7]    tol 1e-05    torch 1.8e-06
*/
#ifndef TI_TEST_H
#define TI_TEST_H

#include "tensor/tensor.h"

/* Checks that max|got - want| / max|want| <= tolerance and that everything is finite. torch is the error of
   the reference's own fp32 computation, which is printed too; it is negative when it is not known. */
void test_close(const char *name, const float *got, const float *want, Shape shape, double tolerance,
                double torch);

/* Checks that value <= bound. */
void test_below(const char *name, double value, double bound);

/* Returns the larger of the worst error so far and another error. A NaN is kept, so that the check of the
   result fails. */
double test_worse(double worst, double error);

/* Checks a condition; the line ends with the formatted detail. */
void test_true(const char *name, bool ok, const char *format, ...) PRINTF_LIKE(3, 4);

/* Checks that two buffers hold the same bytes. */
void test_same(const char *name, const void *got, const void *want, size_t bytes);

/* Prints "N passed, N failed" and returns main's exit status. */
int test_finish(void);

#endif
