/* SPDX-License-Identifier: MIT */
#include "tests/network.h"

#include "exchange/single.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Model network_open(const char *path, Messages *errors) {
    Messages warnings = { 0 };
    Model m;
    ModelFolder folder;
    if (!exchange_open_model(path, NULL, &folder, errors, &warnings) ||
        !model_open(folder, &m, errors, &warnings)) {
        fprintf(stderr, "%s", errors->text);
        exit(1);
    }
    test_true(path, warnings.count == 0, "opens%s%s", warnings.count ? ", warning: " : "",
              warnings.text ? warnings.text : "");
    messages_free(&warnings);
    return m;
}

Tensor *golden_leaf(Graph *g, const Golden *golden, const char *name) {
    Shape shape = golden_shape(golden, "%s", name);
    float *grad = mem_alloc((size_t)shape_count(shape) * sizeof *grad);
    return graph_leaf(g, name, shape, golden_floats(golden, "%s", name), grad);
}

Tensor *golden_constant(Graph *g, const Golden *golden, const char *name) {
    return graph_leaf(g, name, golden_shape(golden, "%s", name), golden_floats(golden, "%s", name), NULL);
}

void golden_leaf_free(Tensor *t) {
    free(t->data);
    free(t->grad);
}

void network_tokens(const Model *m, const Golden *golden, const char *prompts, const char *ids) {
    int64_t count, length = tokenizer_max_length(m->tokenizer), rows = 0;
    int32_t *want = golden_ints(golden, &count, "%s", ids), *got = mem_alloc((size_t)count * sizeof *got);
    char *text = mem_string(golden_meta(golden, "%s", prompts));
    for (char *line = text; line; rows++) {
        char *end = strchr(line, '\n');
        if (end) *end = 0;
        CHECK((rows + 1) * length <= count);
        tokenizer_encode(m->tokenizer, line, got + rows * length);
        line = end ? end + 1 : NULL;
    }
    CHECK_EQ(rows * length, count);
    test_same(ids, got, want, (size_t)count * sizeof *got);
    free(text);
    free(want);
    free(got);
}
