/* SPDX-License-Identifier: MIT */
/* Helpers of the tests that open a model and compare its networks with golden files. */
#ifndef TI_NETWORK_H
#define TI_NETWORK_H

#include "diffusion/model.h"
#include "tests/golden.h"

/* Opens a model, which is a folder or a single file, or prints the errors and exits with status 1. The model
   keeps a pointer to `errors`, so close the model first and free the messages after that. */
Model network_open(const char *path, Messages *errors);

/* Adds a leaf with data from a golden file and with a gradient; release it with golden_leaf_free. */
Tensor *golden_leaf(Graph *g, const Golden *golden, const char *name);
/* Adds such a leaf without a gradient. */
Tensor *golden_constant(Graph *g, const Golden *golden, const char *name);
void golden_leaf_free(Tensor *t);

/* Tokenises the prompts of a golden file, the lines of its metadata value `prompts`, and compares the ids
   with the tensor `ids`, [prompts, S]. */
void network_tokens(const Model *m, const Golden *golden, const char *prompts, const char *ids);

#endif
