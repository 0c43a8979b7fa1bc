/* The operations of plain/ti.c as the tests' oracle: the plainest loops in double precision. */
#ifndef TI_TESTS_PLAIN_H
#define TI_TESTS_PLAIN_H

#include "autograd/ops.h"
#include "tensor/conv.h"

/* An op's output and the gradients of its inputs, rounded to fp32. dx[i] is NULL where input i has none. */
typedef struct {
    float *y, *dx[NODE_INPUTS];
} PlainResult;

/* Computes what a node's op does to the data of the node's inputs, and, when dy is given (it has the output's
   shape), the gradients. The node may be one of a graph without a plan. Returns false when plain/ti.c has no
   such op. plain_result_free in every case. */
bool plain_node(const Node *n, const float *dy, PlainResult *result);
void plain_result_free(PlainResult *result);

/* The convolution c of x [batch, in, height, width] to y [batch, out, out_height, out_width] with a kernel w
   and no bias; or, when `forward` is false, x += the gradient that y's gradient, given in y, has there. */
void plain_conv2d(const Conv *c, const float *w, double *x, double *y, bool forward);

/* A linear layer w [out, in] without bias: y [rows, out] from x, and dx from dy. `in` is the shape of x. */
void plain_linear(Shape in, int64_t out, const float *x, const float *w, const float *dy, double *y,
                  double *dx);

#endif
