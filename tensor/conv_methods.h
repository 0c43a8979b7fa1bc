/* SPDX-License-Identifier: MIT */
/* The functions of the three methods' files, which conv.c calls. `bias` is [O] in fp32, and zero if the layer
   has none. All other parameters are as in conv.h. */
#ifndef TI_CONV_METHODS_H
#define TI_CONV_METHODS_H

#include "tensor/conv.h"

/* The workspace of the calling thread. */
float *conv_thread_workspace(const ConvMemory *memory);

int64_t conv_1x1_workspace(const Conv *c);
void conv_1x1_forward(const Conv *c, const Weight *weight, const float *bias, const float *x, float *y,
                      const ConvMemory *memory);
void conv_1x1_backward(const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                       const ConvMemory *memory);

int64_t conv_im2col_scratch(const Conv *c);
int64_t conv_im2col_workspace(const Conv *c);
void conv_im2col_forward(const Conv *c, const Weight *weight, const float *bias, const float *x, float *y,
                         const ConvMemory *memory);
void conv_im2col_backward(const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                          const ConvMemory *memory);

/* Only for a 3x3 kernel at stride 1. */
int64_t conv_winograd_scratch(const Conv *c);
int64_t conv_winograd_workspace(const Conv *c);
void conv_winograd_forward(const Conv *c, const Weight *weight, const float *bias, const float *x, float *y,
                           const ConvMemory *memory);
void conv_winograd_backward(const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                            const ConvMemory *memory);

#endif
