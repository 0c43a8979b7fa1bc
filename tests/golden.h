/* SPDX-License-Identifier: MIT */
/* Golden files are safetensors files with results of the reference implementation, made by the scripts in
   golden/. For a result NAME the metadata key "torch:NAME" holds, as text, the error of the reference's
   own fp32 computation, max|fp32 - float64| / max|float64|, and "bf16:NAME" that of its computation in
   bfloat16. The names of tensors and metadata keys are given as a printf format. A function that is asked
   for a tensor which the file lacks aborts the program. */
#ifndef TI_GOLDEN_H
#define TI_GOLDEN_H

#include "tests/test.h"
#include "weights/store.h"

typedef struct Golden Golden;

/* Opens a golden file. Prints a message and exits with status 1 when it is missing or malformed. */
Golden *golden_open(const char *path);
void golden_free(Golden *g);

bool golden_has(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* Returns a float tensor as it is stored. */
const Weight *golden_weight(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* Returns a copy of a float tensor in fp32; free() it. */
float *golden_floats(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* Returns a copy of an integer tensor (I32 or I64) as int32; free() it. count may be NULL. */
int32_t *golden_ints(const Golden *g, int64_t *count, const char *format, ...) PRINTF_LIKE(3, 4);
/* Returns a copy of an F64 tensor; free() it. */
double *golden_doubles(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
Shape golden_shape(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* Returns a metadata value; NULL when there is none. */
const char *golden_meta(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* Returns a store of the tensors whose names begin with the given prefix, under their names without it.
   Asking the store for a tensor that it lacks aborts the program. */
Store *golden_store(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);

/* Compares a tensor with the golden tensor of that name as test_close does, and their shapes as well. */
void golden_close(const Golden *g, const char *name, const float *got, Shape shape, double tolerance);
/* Does the same for a result of a graph whose matrix products are bfloat16. The bound is the error of the
   reference in bfloat16 times `margin`. A single number, such as a loss, may have the error of its own
   rounding to bfloat16, which the reference's may lack by chance. */
void golden_close_bf16(const Golden *g, const char *name, const float *got, Shape shape, double margin);
/* Calls golden_close, or golden_close_bf16 with a margin of 1.2, according to the precision. The margin is
   for other processors, which add in another order. */
void golden_close_at(const Golden *g, Precision precision, const char *name, const float *got, Shape shape,
                     double tolerance);

#endif
