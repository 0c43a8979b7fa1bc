/* Shapes; Weight: what lies in a file, frozen; Tensor: what is computed, fp32. Two types, so that the
   compiler keeps frozen things frozen. */
#ifndef TI_TENSOR_H
#define TI_TENSOR_H

#include "io/base.h"

enum { SHAPE_MAX = 8 };

typedef struct {
    int rank;
    int64_t dim[SHAPE_MAX]; /* row-major, the last varies fastest */
} Shape;

static inline Shape shape1(int64_t a) { return (Shape) { 1, { a } }; }
static inline Shape shape2(int64_t a, int64_t b) { return (Shape) { 2, { a, b } }; }
static inline Shape shape3(int64_t a, int64_t b, int64_t c) { return (Shape) { 3, { a, b, c } }; }
static inline Shape shape4(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (Shape) { 4, { a, b, c, d } };
}
int64_t shape_count(Shape s); /* elements; 1 for rank 0 */
bool shape_equal(Shape a, Shape b);
/* "[2, 64, 16, 16]" into text, which is returned */
enum { SHAPE_TEXT = 200 };
const char *shape_text(Shape s, char text[SHAPE_TEXT]);

typedef enum { F32, F16, BF16 } DType;
size_t dtype_size(DType t);
const char *dtype_name(DType t); /* "F32" */

/* A tensor as it lies in the mapped file: any type, any alignment, read-only. */
typedef struct {
    const char *name;
    DType dtype;
    Shape shape;
    const void *data;
} Weight;

/* fp32, contiguous; the planner gives it its place. grad has the shape of data; it exists where
   needs_grad. */
typedef struct {
    Shape shape;
    float *data, *grad;
    bool needs_grad;
    int id; /* its number in its graph */
} Tensor;

/* Part of a weight as fp32: element (r, c) of the part is data[r * stride + c]. */
typedef struct {
    const float *data;
    int64_t stride;
} Panel;

/* Rows [row, row + rows) and columns [column, column + columns) of the weight seen as a matrix [dim 0, all
   the rest]. A pointer into the file where the data is F32 and aligned (then the stride is the matrix'
   width), else widened into workspace, which has room for rows * columns floats (then the stride is columns).
   Exact in every type. */
Panel weight_panel(const Weight *w, int64_t row, int64_t rows, int64_t column, int64_t columns,
                   float *workspace);

/* The same part transposed, always a copy: element (r, c) is data[c * stride + r], the stride is rows. */
Panel weight_panel_transposed(const Weight *w, int64_t row, int64_t rows, int64_t column, int64_t columns,
                              float *workspace);

/* Elements [first, first + count) of a weight, mostly one of one dimension: where they are in the file, or in
   workspace. */
const float *weight_vector(const Weight *w, int64_t first, int64_t count, float *workspace);

/* Asks the processor to fetch a part of a row from memory, for weight_panel soon to come. A row that isn't
   there: nothing. */
void weight_prefetch(const Weight *w, int64_t row, int64_t column, int64_t columns);

/* One row of a weight seen as a matrix, widened into out. */
void weight_read_row(const Weight *w, int64_t row, float *out);

/* All of a weight, widened into out [shape_count]. */
void weight_read(const Weight *w, float *out);

/* count elements of type t at data (any alignment) as fp32 */
void widen(DType t, const void *data, int64_t count, float *out);

#endif
