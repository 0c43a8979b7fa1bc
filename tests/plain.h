/* SPDX-License-Identifier: MIT */
/* Runs operations of plain/ti.c, whose results the tests expect of the program: they are computed by the
   plainest loops in double precision. */
#ifndef TI_TESTS_PLAIN_H
#define TI_TESTS_PLAIN_H

#include "autograd/ops.h"
#include "tensor/conv.h"

/* An op's output and the gradients of its inputs, rounded to fp32. dx[i] is NULL when there is no input i,
   and all are NULL when plain_node was called without dy. */
typedef struct {
    float *y, *dx[NODE_INPUTS];
} PlainResult;

/* Computes the output of a node from the data of its inputs, and also the gradients when dy, the gradient of
   the output, is not NULL. The graph of the node needs no plan. Returns false when plain/ti.c does not have
   the node's op. The caller frees the result with plain_result_free in either case. */
bool plain_node(const Node *n, const float *dy, PlainResult *result);
void plain_result_free(PlainResult *result);

/* Computes the convolution c of x [batch, in, height, width] with the kernel w [out, in, kernel, kernel] and
   without bias into y [batch, out, out_height, out_width]. When `forward` is false, y holds the gradient of
   the output, and the gradient of the input is added to x. */
void plain_conv2d(const Conv *c, const float *w, double *x, double *y, bool forward);

/* Computes y [rows, out] of a linear layer w [out, in] without bias from x, and dx from dy. `in` is the shape
   of x, whose last dimension is the layer's input. */
void plain_linear(Shape in, int64_t out, const float *x, const float *w, const float *dy, double *y,
                  double *dx);

#endif
