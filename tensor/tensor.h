/* SPDX-License-Identifier: MIT */
/* Shapes and the two kinds of arrays. A Weight is frozen and lies in a file; a Tensor is computed,
   in fp32, and may have a gradient. They have different types so that the compiler prevents
   changes of frozen weights. */
#ifndef TI_TENSOR_H
#define TI_TENSOR_H

#include "io/base.h"

enum { SHAPE_MAX = 8 };

typedef struct {
    int rank;
    int64_t dim[SHAPE_MAX]; /* row-major: the last varies fastest */
} Shape;

static inline Shape shape1(int64_t a) { return (Shape) { 1, { a } }; }
static inline Shape shape2(int64_t a, int64_t b) { return (Shape) { 2, { a, b } }; }
static inline Shape shape3(int64_t a, int64_t b, int64_t c) { return (Shape) { 3, { a, b, c } }; }
static inline Shape shape4(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (Shape) { 4, { a, b, c, d } };
}
int64_t shape_count(Shape s); /* the number of elements, which is 1 for rank 0 */
bool shape_equal(Shape a, Shape b);
/* Writes a shape such as "[2, 64, 16, 16]" to `text` and returns it. */
enum { SHAPE_TEXT = 200 };
const char *shape_text(Shape s, char text[SHAPE_TEXT]);

typedef enum { F32, F16, BF16 } DType;
size_t dtype_size(DType t);      /* bytes of one element */
const char *dtype_name(DType t); /* "F32" */

/* The precision of matrix products. With PRECISION_BF16 their factors are rounded to bfloat16 and their
   sums are fp32 (tensor/gemm_bf16.h). All other arithmetic is fp32 in either case. */
typedef enum { PRECISION_F32, PRECISION_BF16 } Precision;

/* A tensor as it lies in the mapped file: any type, any alignment, read-only. */
typedef struct {
    const char *name;
    DType dtype;
    Shape shape;
    const void *data;
} Weight;

/* A contiguous fp32 array, whose memory the planner assigns. The gradient has the shape of the data, and
   exists only if needs_grad is true. */
typedef struct {
    Shape shape;
    float *data, *grad;
    bool needs_grad;
    int id; /* its index in its graph */
} Tensor;

/* Returns the bytes of a weight's data, 0 if w is NULL. */
int64_t weight_bytes(const Weight *w);

/* Returns the number of elements in a row of a weight seen as a matrix [dim 0, product of the other dims]. */
int64_t weight_width(const Weight *w);

/* Part of a weight as fp32: element (r, c) of the part is data[r * stride + c]. */
typedef struct {
    const float *data;
    int64_t stride;
} Panel;

/* Returns rows [row, row + rows) and columns [column, column + columns) of a weight seen as a matrix
   [dim 0, product of the other dims]. If the data is F32 and aligned, the panel points into the file and its
   stride is the matrix's width. Otherwise the part is converted to fp32 in workspace, which has room for
   rows * columns floats, and the stride is `columns`. The conversion is exact. */
Panel weight_panel(const Weight *w, int64_t row, int64_t rows, int64_t column, int64_t columns,
                   float *workspace);

/* Returns the same part transposed, which is always a copy in workspace: element (r, c) of the part is
   data[c * stride + r], with stride = rows. */
Panel weight_panel_transposed(const Weight *w, int64_t row, int64_t rows, int64_t column, int64_t columns,
                              float *workspace);

/* Returns elements [first, first + count) of a weight in memory order, either in the file or
   converted to fp32 in workspace, which has room for count floats. Most weights that are read in this
   way have one dimension. */
const float *weight_vector(const Weight *w, int64_t first, int64_t count, float *workspace);

/* Asks the processor to fetch columns [column, column + columns) of a row into its cache, for a call of
   weight_panel that follows soon. The part outside the weight is left out. */
void weight_prefetch(const Weight *w, int64_t row, int64_t column, int64_t columns);

/* Converts a row of a weight seen as a matrix to fp32. */
void weight_read_row(const Weight *w, int64_t row, float *out);

/* Converts a whole weight to fp32; out has shape_count elements. */
void weight_read(const Weight *w, float *out);

/* Converts `count` elements of type t at `data`, with any alignment, to fp32. */
void widen(DType t, const void *data, int64_t count, float *out);

/* Returns the inner product of a and b [n], summed in double from the first element to the last. */
double dot_product(const float *a, const float *b, int64_t n);

#endif
