/* SPDX-License-Identifier: MIT */
/* Loading of layers: each function finds a Layer's weights under their names in the checkpoint and checks
   their shapes. A weight that is missing or misshapen adds a message to the store's errors and is NULL in the
   Layer. Code that loads a model therefore has to look at the errors before it runs the model. */
#ifndef TI_LAYERS_H
#define TI_LAYERS_H

#include "autograd/graph.h"
#include "weights/store.h"

/* The name of a part of a model in the checkpoint, such as "down_blocks.0.attentions.1". */
typedef struct {
    char text[128];
} Name;
Name name_of(const char *format, ...) PRINTF_LIKE(1, 2);

/* PREFIX.NAME.weight [out, in] and PREFIX.NAME.bias [out]. Where the prefix is empty, its dot
   is left out too. The weight may also be [out, in, 1, 1], a 1x1 convolution, which is used
   as a linear layer over tokens. */
Layer load_linear(Store *s, const char *prefix, const char *name, int64_t out, int64_t in, bool bias);
/* The same with a weight [out, in, kernel, kernel] and a bias [out]. */
Layer load_conv(Store *s, const char *prefix, const char *name, int64_t out, int64_t in, int kernel);
/* The same with a weight and a bias [channels]. */
Layer load_norm(Store *s, const char *prefix, const char *name, int64_t channels);

#endif
