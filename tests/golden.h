/* Golden files: safetensors with what the reference computed, made by golden/. For a result NAME the metadata
   key "torch:NAME" holds the reference's own fp32 error, max|fp32 - float64| / max|float64|, as text. */
#ifndef TI_GOLDEN_H
#define TI_GOLDEN_H

#include "tests/test.h"
#include "weights/store.h"

typedef struct Golden Golden;

Golden *golden_open(const char *path); /* one line and exit 1 where the file is missing or broken */
void golden_free(Golden *g);

bool golden_has(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* A float tensor as it is stored (CHECK: it is there). */
const Weight *golden_weight(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* A copy in fp32; free() it. */
float *golden_floats(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* A copy of an integer tensor (I32 or I64) as int32; free() it. count may be NULL. */
int32_t *golden_ints(const Golden *g, int64_t *count, const char *format, ...) PRINTF_LIKE(3, 4);
/* A copy of an F64 tensor; free() it. */
double *golden_doubles(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
Shape golden_shape(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* A metadata value, NULL if there is none. */
const char *golden_meta(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);
/* The tensors whose names begin with prefix, as a store that knows them without it (CHECKs instead of
   messages). */
Store *golden_store(const Golden *g, const char *format, ...) PRINTF_LIKE(2, 3);

/* test_close against the golden of that name, whose shape is checked too. */
void golden_close(const Golden *g, const char *name, const float *got, Shape shape, double tolerance);

#endif
