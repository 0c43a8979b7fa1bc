/* Whole networks of a model folder against golden files: what test_models.c and test_critters.c share. */
#ifndef TI_NETWORK_H
#define TI_NETWORK_H

#include "diffusion/model.h"
#include "tests/golden.h"

/* Opens a model folder, or ends the program with the faults. The model keeps ERRORS: free them after it. */
Model network_open(const char *path, Messages *errors);

/* Leaves whose data come from a golden file and whose gradients are wanted; free with golden_leaf_free. */
Tensor *golden_leaf(Graph *g, const Golden *golden, const char *name);
/* The same without a gradient, from I32 or F32. */
Tensor *golden_constant(Graph *g, const Golden *golden, const char *name);
void golden_leaf_free(Tensor *t);

/* Golden PROMPTS (lines) tokenised to the model's length against golden IDS. */
void network_tokens(const Model *m, const Golden *golden, const char *prompts, const char *ids);

#endif
