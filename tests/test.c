/* SPDX-License-Identifier: MIT */
#include "tests/test.h"

#include "tensor/threads.h"

#include <math.h>
#include <stdio.h>

static int passed, failed;

/* Calls threads_restart as ti's main does, which may execute the program again with other environment
   variables. Each test program has a main of its own, so a constructor does this for all of them. glibc
   passes main's arguments to constructors. */
__attribute__((constructor)) static void restart(int argc, char *argv[]) {
    (void)argc;
    threads_restart(argv);
}

static const char *verdict(bool ok) {
    *(ok ? &passed : &failed) += 1;
    return ok ? "ok   " : "FAIL ";
}

/* Flushes each line, so that the output of a program that crashes or is stopped shows what had passed. */
static void end_line(void) {
    printf("\n");
    fflush(stdout);
}

/* Writes the multi-dimensional index of element i as text, such as "[0, 3, 1, 7]". */
static const char *index_text(Shape shape, int64_t i, char text[SHAPE_TEXT]) {
    Shape index = { .rank = shape.rank };
    for (int d = shape.rank - 1; d >= 0; d--) {
        index.dim[d] = i % shape.dim[d];
        i /= shape.dim[d];
    }
    return shape_text(index, text);
}

void test_close(const char *name, const float *got, const float *want, Shape shape, double tolerance,
                double torch) {
    double worst = 0, scale = 0;
    int64_t where = 0, n = shape_count(shape);
    bool finite = true;
    for (int64_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        scale = fmax(scale, fabs((double)want[i]));
        if (!isfinite(error) && finite) {
            finite = false;
            where = i;
        }
        if (finite && error > worst) {
            worst = error;
            where = i;
        }
    }
    double error = !finite ? (double)NAN : worst > 0 ? worst / fmax(scale, 1e-30) : 0;
    char text[SHAPE_TEXT];
    printf("%s %-48s %.1e at %s  tol %.0e", verdict(n > 0 && error <= tolerance), name, error,
           index_text(shape, where, text), tolerance);
    if (torch >= 0) printf("  torch %.1e", torch);
    end_line();
}

void test_below(const char *name, double value, double bound) {
    printf("%s %-48s %.3g  bound %.3g", verdict(value <= bound), name, value, bound);
    end_line();
}

double test_worse(double worst, double error) { return isnan(worst) || error <= worst ? worst : error; }

void test_true(const char *name, bool ok, const char *format, ...) {
    printf("%s %-48s ", verdict(ok), name);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    end_line();
}

void test_same(const char *name, const void *got, const void *want, size_t bytes) {
    const unsigned char *a = got, *b = want;
    size_t differ = 0, first = 0;
    for (size_t i = bytes; i-- > 0;)
        if (a[i] != b[i]) {
            differ++;
            first = i;
        }
    if (differ)
        printf("%s %-48s %zu of %zu bytes differ, the first at %zu", verdict(false), name, differ, bytes,
               first);
    else
        printf("%s %-48s the same %zu bytes", verdict(true), name, bytes);
    end_line();
}

int test_finish(void) {
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
