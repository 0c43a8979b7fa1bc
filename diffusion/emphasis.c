/* SPDX-License-Identifier: MIT */
#include "diffusion/emphasis.h"

static double mean(const float *x, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += x[i];
    return sum / (double)count;
}

static void weight_a1111(const float *weights, int64_t tokens, int64_t width, float *context) {
    double before = mean(context, tokens * width);
    for (int64_t i = 0; i < tokens; i++)
        for (int64_t k = 0; k < width; k++) context[i * width + k] *= weights[i];
    float ratio = (float)(before / mean(context, tokens * width));
    for (int64_t i = 0; i < tokens * width; i++) context[i] *= ratio;
}

static void weight_comfy(const float *weights, const float *empty, int64_t tokens, int64_t width,
                         float *context) {
    for (int64_t i = 0; i < tokens; i++)
        for (int64_t k = i * width; k < (i + 1) * width && weights[i] != 1; k++)
            context[k] = empty[k] + weights[i] * (context[k] - empty[k]);
}

void weight_context(PromptSyntax syntax, const float *weights, const float *empty, int64_t tokens,
                    int64_t width, float *context) {
    if (syntax == SYNTAX_A1111) weight_a1111(weights, tokens, width, context);
    if (syntax == SYNTAX_COMFY) weight_comfy(weights, empty, tokens, width, context);
}
