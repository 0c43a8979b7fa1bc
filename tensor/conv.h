/* Convolution of images with a square kernel, 1x1 or 3x3, and its gradient. NCHW throughout:

       x [B, C, H, W]   y [B, O, H', W']   weight [O, C, k, k]   bias [O]

       y[b,o,i,j] = bias[o] + sum_{c,p,q} weight[o,c,p,q] x[b, c, i stride + p - top, j stride + q - left]

   with x = 0 outside the image. Three methods compute it, a file each: conv_1x1.c, conv_im2col.c,
   conv_winograd.c. Which one follows from the shape alone, and so do the tiles that threads work on: one
   machine gives the same bits with any number of threads. */
#ifndef TI_CONV_H
#define TI_CONV_H

#include "tensor/tensor.h"

typedef struct {
    int64_t batch, in_channels, height, width;
    int64_t out_channels, out_height, out_width;
    int64_t kernel, stride;
    int64_t top, left; /* zero padding; the bottom's and the right's follow from the sizes */
} Conv;

typedef enum { CONV_1X1, CONV_IM2COL, CONV_WINOGRAD } ConvMethod;
enum { CONV_METHODS = 3 };
const char *conv_method_name(ConvMethod m);

/* The fastest that can compute it. */
ConvMethod conv_method(const Conv *c);
/* Can this method compute it at all? (Im2col can always.) */
bool conv_can(ConvMethod m, const Conv *c);

/* Floats that a method needs, for both passes: shared by all threads, and for each thread. Bounded, however
   large the image: it is worked through in pieces. */
int64_t conv_scratch(ConvMethod m, const Conv *c);
int64_t conv_workspace(ConvMethod m, const Conv *c);

/* The caller's memory for these needs: thread t has workspaces + t * workspace_floats. */
typedef struct {
    float *scratch, *workspaces;
    size_t workspace_floats;
} ConvMemory;

/* y is overwritten; bias NULL: none. */
void conv_forward(ConvMethod m, const Conv *c, const Weight *weight, const Weight *bias, const float *x,
                  float *y, ConvMemory memory);
/* dx = the gradient, or with add dx += it. */
void conv_backward(ConvMethod m, const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                   ConvMemory memory);

#endif
