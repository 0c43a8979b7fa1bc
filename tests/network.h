/* Helpers of test_models.c and test_critters.c, which compare the networks of a model folder with golden
   files. */
#ifndef TI_NETWORK_H
#define TI_NETWORK_H

#include "diffusion/model.h"
#include "tests/golden.h"

/* Opens a model folder, or prints the errors and exits with status 1. The model keeps a pointer to `errors`,
   which must be freed after it. */
Model network_open(const char *path, Messages *errors);

/* Adds a leaf with data from a golden file and with a gradient; release it with golden_leaf_free. */
Tensor *golden_leaf(Graph *g, const Golden *golden, const char *name);
/* The same without a gradient. */
Tensor *golden_constant(Graph *g, const Golden *golden, const char *name);
void golden_leaf_free(Tensor *t);

/* Tokenises the prompts of a golden file, the lines of its metadata value `prompts`, and compares the ids
   with the tensor `ids`, [prompts, S]. */
void network_tokens(const Model *m, const Golden *golden, const char *prompts, const char *ids);

#endif
