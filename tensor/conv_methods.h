/* What conv.c needs of each method's file. bias: [O], zeros if the layer has none. */
#ifndef TI_CONV_METHODS_H
#define TI_CONV_METHODS_H

#include "tensor/conv.h"

/* The calling thread's workspace. */
float *conv_own(const ConvMemory *memory);

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

/* kernel 3, stride 1 */
int64_t conv_winograd_scratch(const Conv *c);
int64_t conv_winograd_workspace(const Conv *c);
void conv_winograd_forward(const Conv *c, const Weight *weight, const float *bias, const float *x, float *y,
                           const ConvMemory *memory);
void conv_winograd_backward(const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                            const ConvMemory *memory);

#endif
