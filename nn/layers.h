/* Loading of layers: a Layer is found under its name in the checkpoint, its shape checked. A layer that is
   missing leaves a line in the store's errors and NULLs here; whoever loads a model looks at the errors
   before it runs anything. */
#ifndef TI_LAYERS_H
#define TI_LAYERS_H

#include "autograd/graph.h"
#include "weights/store.h"

/* The name of a part of a model, as the checkpoint has it: "down_blocks.0.attentions.1" */
typedef struct {
    char text[128];
} Name;
Name name_of(const char *format, ...) PRINTF_LIKE(1, 2);

/* PREFIX.NAME.weight [out, in] (or [out, in, 1, 1], a 1x1 convolution that is used as a linear) and .bias
   [out] */
Layer load_linear(Store *s, const char *prefix, const char *name, int64_t out, int64_t in, bool bias);
/* weight [out, in, kernel, kernel], bias [out] */
Layer load_conv(Store *s, const char *prefix, const char *name, int64_t out, int64_t in, int kernel);
/* weight and bias [channels] */
Layer load_norm(Store *s, const char *prefix, const char *name, int64_t channels);

#endif
