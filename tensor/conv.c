/* SPDX-License-Identifier: MIT */
#include "tensor/conv.h"
#include "tensor/conv_methods.h"
#include "tensor/share.h"

#include <string.h>

float *conv_thread_workspace(const ConvMemory *memory) {
    return thread_workspace(memory->workspaces, memory->workspace_floats);
}

const char *conv_method_name(ConvMethod m) {
    static const char *const names[CONV_METHODS] = { "1x1", "im2col", "winograd" };
    return names[m];
}

bool conv_supports(ConvMethod m, const Conv *c) {
    switch (m) {
    case CONV_1X1:
        return c->kernel == 1 && c->stride == 1 && c->out_height == c->height && c->out_width == c->width &&
               c->top == 0 && c->left == 0;
    case CONV_WINOGRAD:
        return c->kernel == 3 && c->stride == 1;
    case CONV_IM2COL:
        break;
    }
    return true;
}

ConvMethod conv_method(const Conv *c) {
    if (conv_supports(CONV_1X1, c)) return CONV_1X1;
    /* Below 16 input channels the transforms, which work on 16 channels at a time, cost more than the
       multiplications that are saved. */
    if (!conv_supports(CONV_WINOGRAD, c) || c->in_channels < 16) return CONV_IM2COL;
    /* For each pair of an input and an output channel, Winograd's method needs 36 multiplications
       per tile, and the transform of the kernel, which takes as long as another 200. im2col needs
       9 per output pixel. */
    int64_t tiles = c->batch * ceil_div(c->out_height, 4) * ceil_div(c->out_width, 4);
    return 9 * c->batch * c->out_height * c->out_width > 36 * tiles + 200 ? CONV_WINOGRAD : CONV_IM2COL;
}

/* The scratch memory begins with the bias in fp32, or zeros if the layer has none. Its size is rounded up to
   whole cache lines so that the memory after it is aligned. */
static int64_t bias_floats(const Conv *c) { return ceil_div(c->out_channels, 16) * 16; }

int64_t conv_scratch(ConvMethod m, const Conv *c) {
    int64_t floats = bias_floats(c);
    switch (m) {
    case CONV_1X1:
        break;
    case CONV_IM2COL:
        floats += conv_im2col_scratch(c);
        break;
    case CONV_WINOGRAD:
        floats += conv_winograd_scratch(c);
        break;
    }
    return floats;
}

int64_t conv_workspace(ConvMethod m, const Conv *c) {
    switch (m) {
    case CONV_1X1:
        return conv_1x1_workspace(c);
    case CONV_IM2COL:
        return conv_im2col_workspace(c);
    case CONV_WINOGRAD:
        break;
    }
    return conv_winograd_workspace(c);
}

void conv_forward(ConvMethod m, const Conv *c, const Weight *weight, const Weight *bias, const float *x,
                  float *y, ConvMemory memory) {
    float *b = memory.scratch;
    memory.scratch += bias_floats(c);
    if (bias)
        weight_read(bias, b);
    else
        memset(b, 0, (size_t)c->out_channels * sizeof(float));
    switch (m) {
    case CONV_1X1:
        conv_1x1_forward(c, weight, b, x, y, &memory);
        break;
    case CONV_IM2COL:
        conv_im2col_forward(c, weight, b, x, y, &memory);
        break;
    case CONV_WINOGRAD:
        conv_winograd_forward(c, weight, b, x, y, &memory);
        break;
    }
}

void conv_backward(ConvMethod m, const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                   ConvMemory memory) {
    memory.scratch += bias_floats(c);
    switch (m) {
    case CONV_1X1:
        conv_1x1_backward(c, weight, dy, add, dx, &memory);
        break;
    case CONV_IM2COL:
        conv_im2col_backward(c, weight, dy, add, dx, &memory);
        break;
    case CONV_WINOGRAD:
        conv_winograd_backward(c, weight, dy, add, dx, &memory);
        break;
    }
}
