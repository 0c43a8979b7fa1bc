/* SPDX-License-Identifier: MIT */
/* Convolution of images with a square kernel, 1x1 or 3x3, and its gradient. NCHW throughout:

       x [B, C, H, W]   y [B, O, H', W']   weight [O, C, k, k]   bias [O]

       y[b,o,i,j] = bias[o] + sum_{c,p,q} weight[o,c,p,q] x[b, c, i stride + p - top, j stride + q - left]

   with x = 0 outside the image. Three methods compute it, each in a file of its own: conv_1x1.c,
   conv_im2col.c and conv_winograd.c. The shape alone decides which method is used and into which tiles the
   work is divided among threads, so that a machine gives the same bits with any number of threads. */
#ifndef TI_CONV_H
#define TI_CONV_H

#include "tensor/tensor.h"

typedef struct {
    int64_t batch, in_channels, height, width;
    int64_t out_channels, out_height, out_width;
    int64_t kernel, stride;
    int64_t top, left;   /* rows and columns of zero padding; the other sides follow from the sizes */
    Precision precision; /* of the matrix products of the methods 1x1 and im2col; Winograd's are fp32 */
} Conv;

typedef enum { CONV_1X1, CONV_IM2COL, CONV_WINOGRAD } ConvMethod;
enum { CONV_METHODS = 3 };
const char *conv_method_name(ConvMethod m);

/* Returns the fastest method that can compute this convolution. */
ConvMethod conv_method(const Conv *c);
/* Whether this method can compute the convolution at all. CONV_IM2COL can compute every convolution. */
bool conv_supports(ConvMethod m, const Conv *c);

/* The floats of memory that a method needs for forward and backward: conv_scratch once, shared by
   all threads, and conv_workspace for each thread. Both are bounded even for large images, which
   are processed in pieces. */
int64_t conv_scratch(ConvMethod m, const Conv *c);
int64_t conv_workspace(ConvMethod m, const Conv *c);

/* The caller's memory: conv_scratch floats at `scratch`, and for thread t its workspace at
   workspaces + t * workspace_floats, where workspace_floats is at least conv_workspace. */
typedef struct {
    float *scratch, *workspaces;
    size_t workspace_floats;
} ConvMemory;

/* Overwrites y. `bias` is NULL when the layer has none. */
void conv_forward(ConvMethod m, const Conv *c, const Weight *weight, const Weight *bias, const float *x,
                  float *y, ConvMemory memory);
/* Computes the gradient of <y, dy> with respect to x. Adds it to dx if `add` is true, else overwrites dx. */
void conv_backward(ConvMethod m, const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                   ConvMemory memory);

#endif
