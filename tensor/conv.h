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
    int64_t top, left; /* rows and columns of zero padding; those at the bottom and right follow */
} Conv;

typedef enum { CONV_1X1, CONV_IM2COL, CONV_WINOGRAD } ConvMethod;
enum { CONV_METHODS = 3 };
const char *conv_method_name(ConvMethod m);

/* The fastest method that can compute this convolution. */
ConvMethod conv_method(const Conv *c);
/* Whether this method can compute it at all. im2col always can. */
bool conv_can(ConvMethod m, const Conv *c);

/* The floats of memory that a method needs for forward and backward: conv_scratch once, shared by all
   threads, and conv_workspace for each thread. They are bounded however large the image is, since it is
   worked through in pieces. */
int64_t conv_scratch(ConvMethod m, const Conv *c);
int64_t conv_workspace(ConvMethod m, const Conv *c);

/* Memory of the caller: conv_scratch floats at scratch; thread t has workspaces + t * workspace_floats, where
   workspace_floats is at least conv_workspace. */
typedef struct {
    float *scratch, *workspaces;
    size_t workspace_floats;
} ConvMemory;

/* Overwrites y. bias is NULL when there is none. */
void conv_forward(ConvMethod m, const Conv *c, const Weight *weight, const Weight *bias, const float *x,
                  float *y, ConvMemory memory);
/* dx = the gradient of <y, dy> with respect to x; with add dx += it. */
void conv_backward(ConvMethod m, const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                   ConvMemory memory);

#endif
