/* SPDX-License-Identifier: MIT */
#include "autograd/finite.h"

#include <math.h>
#include <stdlib.h>

bool all_finite(const float *x, int64_t count) {
    bool finite = true;
    for (int64_t i = 0; i < count; i++) finite = finite && isfinite(x[i]);
    return finite;
}

static bool weight_finite(const Weight *w) {
    enum { PIECE = 4096 };
    float piece[PIECE];
    int64_t count = w ? shape_count(w->shape) : 0;
    for (int64_t i = 0; i < count; i += PIECE) {
        int64_t n = min_i64(PIECE, count - i);
        if (!all_finite(weight_vector(w, i, n, piece), n)) return false;
    }
    return true;
}

/* Returns the node's first weight that is not finite, or NULL when all are. */
static const Weight *weight_not_finite(const Node *n) {
    const Weight *weights[] = { n->layer.weight, n->layer.bias, n->table };
    for (int i = 0; i < 3; i++)
        if (!weight_finite(weights[i])) return weights[i];
    return NULL;
}

static void examine(void *user, const Node *n, bool backward) {
    NotFinite *found = user;
    if (backward || found->node || all_finite(n->out->data, shape_count(n->out->shape))) return;
    found->node = n;
    found->weight = weight_not_finite(n);
}

NotFinite graph_find_not_finite(Graph *g) {
    NotFinite found = { .index = -1 };
    Trace trace = { .after = examine, .user = &found };
    graph_trace(g, &trace);
    graph_forward(g);
    graph_trace(g, NULL);
    for (int i = 0; found.node && i < graph_nodes(g); i++)
        if (graph_get(g, i) == found.node) found.index = i;
    return found;
}

char *not_finite_text(NotFinite f) {
    if (!f.node) return mem_string("in the inputs of the computation");
    if (f.weight)
        return mem_format("first in %s, whose weight \"%s\" is not finite", f.node->name, f.weight->name);
    return mem_format("first in %s, where the numbers grow too large", f.node->name);
}

bool check_finite(Graph *g, const Tensor *result, const char *what, Messages *errors) {
    if (all_finite(result->data, shape_count(result->shape))) return true;
    char *where = not_finite_text(graph_find_not_finite(g));
    messages_add(errors, "%s is not finite: %s", what, where);
    free(where);
    return false;
}
