/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "cli/dump.h"

#include "cli/console.h"
#include "weights/safetensors.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const FILES[] = { "graph.json", "inputs.safetensors", "step.safetensors",
                                     "forward.safetensors", "backward.safetensors" };
enum { GRAPH, INPUTS, STEP, FORWARD_FILE, BACKWARD_FILE, FILE_COUNT };

/* The largest number of micro-batches whose inputs are written. */
enum { INPUTS_MAX = 8 };

/* A file of tensors that is written while the graph runs, one tensor after the other in the order of
   its header. */
typedef struct {
    const Node **order; /* [count]: the nodes whose outputs, or whose outputs' gradients, are written */
    int count, next;    /* next: the index of the one that is written next */
    Output out;
} Stream;

typedef struct {
    const Loop *loop;
    const TrainingStep *step;
    char **names; /* [graph_nodes] */
    Stream forward, backward;
} Dump;

/* Names */

/* Returns the name of a node's weights without its last part, which is the name of the module in the
   reference. Returns NULL when the node has no weights, and for a node that adds position
   embeddings, which is not a module. */
static char *module_name(const Node *n) {
    const Weight *w = n->layer.weight;
    if (!w && n->ids) w = n->table;
    if (!w) return NULL;
    static const char optional[] = "text_model.", last[] = ".weight";
    const char *name = w->name;
    if (strncmp(name, optional, sizeof optional - 1) == 0) name += sizeof optional - 1;
    size_t length = strlen(name);
    if (length > sizeof last && strcmp(name + length - (sizeof last - 1), last) == 0)
        length -= sizeof last - 1;
    return mem_format("%.*s", (int)length, name);
}

static char **name_nodes(const TrainingStep *s) {
    int count = graph_nodes(s->graph);
    char **names = mem_alloc((size_t)count * sizeof *names);
    const char *part = "text_encoder";
    for (int i = 0; i < count; i++) {
        const Node *n = graph_get(s->graph, i);
        char *module = module_name(n);
        int same = 0; /* the number of earlier nodes with this op in this block */
        for (int k = i; k-- > 0 && graph_get(s->graph, k)->block == n->block;)
            same += graph_get(s->graph, k)->op == n->op;
        if (n->out == s->loss)
            names[i] = mem_string("loss");
        else if (module)
            names[i] = mem_format("%s.%s", part, module);
        else
            names[i] = mem_format("%s.%s.%d", part, n->name, same);
        free(module);
        if (n->out == s->context) part = "unet";
    }
    return names;
}

static int index_of(const Graph *g, const Tensor *out) {
    for (int i = 0; i < graph_nodes(g); i++)
        if (graph_get(g, i)->out == out) return i;
    return -1;
}

/* Returns the name of a tensor that a node reads, which is another node's output or a leaf. */
static const char *tensor_name(const Dump *d, const Tensor *t) {
    int i = index_of(d->step->graph, t);
    if (i >= 0) return d->names[i];
    if (t->data == d->step->noisy) return "noisy";
    if (t->data == d->step->target) return "target";
    return t->data == d->step->timesteps ? "timesteps" : "rows";
}

static json_t *node_json(const Dump *d, const Node *n) {
    json_t *reads = json_array();
    for (int k = 0; k < NODE_INPUTS; k++)
        if (n->in[k]) json_array_append_new(reads, json_string(tensor_name(d, n->in[k])));
    char *module = module_name(n);
    json_t *node = json_pack("{s:s, s:s, s:b, s:o, s:o}", "name", tensor_name(d, n->out), "op", n->op->name,
                             "module", module != NULL, "reads", reads, "shape", json_shape(n->out->shape));
    free(module);
    return node;
}

static bool write_graph(const Dump *d, const char *path, Messages *errors) {
    json_t *nodes = json_array();
    for (int i = 0; i < d->forward.count; i++)
        json_array_append_new(nodes, node_json(d, d->forward.order[i]));
    json_t *document = json_pack("{s:I, s:o}", "accumulate", d->loop->options.accumulate, "nodes", nodes);
    CHECK(document);
    char *text = json_text(document, JSON_LINES);
    bool ok = file_write(path, text, strlen(text), errors);
    free(text);
    json_decref(document);
    return ok;
}

/* Writing tensors while the graph runs */

/* Writes the header. If learned is true, the gradient of the learned vectors follows the last node. */
static void stream_open(const Dump *d, Stream *s, const char *path, bool learned) {
    NamedTensor *list = mem_alloc((size_t)(s->count + 1) * sizeof *list);
    for (int i = 0; i < s->count; i++)
        list[i] = (NamedTensor) { tensor_name(d, s->order[i]->out), s->order[i]->out->shape, NULL };
    const LoopData *data = &d->loop->data;
    if (learned)
        list[s->count] =
            (NamedTensor) { "rows", shape2(data->vectors + data->own, data->clip->config.hidden_size), NULL };
    safetensors_begin(&s->out, path, list, s->count + learned, NULL, 0);
    free(list);
}

static void stream_add(Stream *s, const Node *n, const float *data) {
    CHECK(s->order[s->next] == n);
    s->next++;
    output_write(&s->out, data, (size_t)shape_count(n->out->shape) * sizeof(float));
}

/* Called after a node runs. In the forward pass this writes the node's output before its memory is reused.
   Outputs that are recomputed during the backward pass were written in the forward pass. */
static void after(void *user, const Node *n, bool backward) {
    Dump *d = user;
    if (!backward && d->forward.next < d->forward.count) stream_add(&d->forward, n, n->out->data);
}

/* Called before a node runs. In the backward pass this writes the gradient of the node's output, which is
   complete, since all nodes that read the output have run backward already. */
static void before(void *user, const Node *n, bool backward) {
    Dump *d = user;
    if (backward) stream_add(&d->backward, n, n->out->grad);
}

/* Finds the order in which the plan runs the nodes. Recomputed nodes are not part of it. */
static void find_orders(Dump *d) {
    const Graph *g = d->step->graph;
    d->forward.order = mem_alloc((size_t)graph_nodes(g) * sizeof(Node *));
    d->backward.order = mem_alloc((size_t)graph_nodes(g) * sizeof(Node *));
    for (int i = 0; i < graph_plan_steps(g); i++) {
        PlanStep step = graph_plan_step(g, i);
        if (step.pass == FORWARD) d->forward.order[d->forward.count++] = step.node;
        if (step.pass == BACKWARD) d->backward.order[d->backward.count++] = step.node;
    }
}

/* Writes step.safetensors. learned are the learned vectors as they were before the step. */
static bool write_step(const Dump *d, const float *learned, const char *path, Messages *errors) {
    const TrainingStep *s = d->step;
    const LoopData *data = &d->loop->data;
    int64_t tokens = s->batch * s->tokens;
    float *ids = mem_alloc((size_t)tokens * sizeof *ids);
    for (int64_t i = 0; i < tokens; i++) ids[i] = (float)s->ids[i];
    Shape latents = s->noise_pred->shape;
    NamedTensor tensors[] = {
        { "input_ids", shape2(s->batch, s->tokens), ids },
        { "timesteps", shape1(s->batch), s->timesteps },
        { "latents", latents, d->loop->latents },
        { "noise", latents, d->loop->noise },
        { "rows", shape2(data->vectors + data->own, data->clip->config.hidden_size), learned },
        { "noisy", latents, s->noisy },
        { "target", latents, s->target },
        { "loss", shape1(1), s->loss->data },
    };
    bool ok = safetensors_write(path, tensors, sizeof tensors / sizeof *tensors, NULL, 0, errors);
    free(ids);
    return ok;
}

/* Appends `count` values to a tensor that has `at` values so far. */
static void append(float *to, int64_t at, const float *from, int64_t count) {
    memcpy(to + at, from, (size_t)count * sizeof *to);
}

/* Writes the inputs of the run's first K micro-batches of B examples: input_ids [K, B, S], timesteps [K, B],
   latents and noise [K, B, L, h, w]. These micro-batches are full and belong to the first epoch, whose last
   one may be smaller. It makes their random draws, and then puts the loop back to its beginning. */
static bool write_inputs(const Dump *d, Loop *l, const char *path, Messages *errors) {
    const TrainingStep *first = d->step;
    int64_t epoch = l->data.posteriors->pictures * l->options.repeats;
    int64_t steps = min_i64(min_i64(INPUTS_MAX, epoch / first->batch), loop_micro_batches(l));
    int64_t batch = first->batch, tokens = batch * first->tokens, latents = batch * first->latent_count;
    float *ids = mem_alloc((size_t)(steps * tokens) * sizeof *ids);
    float *timesteps = mem_alloc((size_t)(steps * batch) * sizeof *timesteps);
    float *z = mem_alloc((size_t)(steps * latents) * sizeof *z);
    float *noise = mem_alloc((size_t)(steps * latents) * sizeof *noise);
    for (int64_t k = 0; k < steps; k++) {
        const TrainingStep *s = loop_draw(l);
        for (int64_t i = 0; i < tokens; i++) ids[k * tokens + i] = (float)s->ids[i];
        append(timesteps, k * batch, s->timesteps, batch);
        append(z, k * latents, l->latents, latents);
        append(noise, k * latents, l->noise, latents);
    }
    loop_restart(l);
    Shape x = first->noise_pred->shape, shape = { 5, { steps, batch, x.dim[1], x.dim[2], x.dim[3] } };
    NamedTensor tensors[] = {
        { "input_ids", shape3(steps, batch, first->tokens), ids },
        { "timesteps", shape2(steps, batch), timesteps },
        { "latents", shape, z },
        { "noise", shape, noise },
    };
    bool ok = safetensors_write(path, tensors, sizeof tensors / sizeof *tensors, NULL, 0, errors);
    free(ids);
    free(timesteps);
    free(z);
    free(noise);
    return ok;
}

/* The folder */

static void remove_files(const char *folder) {
    for (int i = 0; i < FILE_COUNT; i++) {
        char *path = mem_format("%s/%s", folder, FILES[i]);
        unlink(path);
        free(path);
    }
}

/* Renames the new folder or, where a folder of this name exists, moves its files one by one. */
static bool move_folder(const char *from, const char *to, Messages *errors) {
    if (rename(from, to) == 0) return true;
    bool ok = errno == EEXIST || errno == ENOTEMPTY;
    for (int i = 0; i < FILE_COUNT && ok; i++) {
        char *a = mem_format("%s/%s", from, FILES[i]), *b = mem_format("%s/%s", to, FILES[i]);
        ok = rename(a, b) == 0 || (errno == ENOENT && (unlink(b) == 0 || errno == ENOENT));
        free(a);
        free(b);
    }
    if (ok && rmdir(from) == 0) return true;
    return messages_add(errors, "%s: cannot be written: %s", to, strerror(errno));
}

/* Runs the micro-batch and writes the files. loop_next updates the learned vectors, so they are copied before
   that. */
static bool write_files(Dump *d, Loop *l, char *const paths[FILE_COUNT], Messages *errors,
                        Messages *warnings) {
    if (!write_graph(d, paths[GRAPH], errors) || !write_inputs(d, l, paths[INPUTS], errors)) return false;
    int64_t count = l->adamw.count;
    float *learned = mem_alloc((size_t)count * sizeof *learned);
    memcpy(learned, l->data.learned, (size_t)count * sizeof *learned);
    stream_open(d, &d->forward, paths[FORWARD_FILE], false);
    stream_open(d, &d->backward, paths[BACKWARD_FILE], true);
    Trace trace = { before, after, d };
    graph_trace(d->step->graph, &trace);
    LoopRecord record = loop_next(l);
    graph_trace(d->step->graph, NULL);
    bool ok = output_commit(&d->forward.out, errors);
    if (isfinite(record.loss)) {
        output_write(&d->backward.out, l->grad, (size_t)count * sizeof *learned);
        ok = output_commit(&d->backward.out, errors) && ok;
    } else {
        output_discard(&d->backward.out);
        messages_add(warnings, "the loss is not finite, so there are no gradients");
    }
    ok = ok && write_step(d, learned, paths[STEP], errors);
    free(learned);
    return ok;
}

bool dump_step(Loop *l, const char *path, Messages *errors, Messages *warnings) {
    CHECK(l->step == 0);
    bool short_epoch = l->data.posteriors->pictures * l->options.repeats < l->options.batch;
    Dump d = { .loop = l, .step = short_epoch ? &l->last : &l->full };
    d.names = name_nodes(d.step);
    find_orders(&d);
    int length = (int)strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    char *place = mem_format("%.*s", length, path), *folder = folder_make_beside(place, errors);
    bool ok = folder != NULL;
    if (ok) {
        char *paths[FILE_COUNT];
        for (int i = 0; i < FILE_COUNT; i++) paths[i] = mem_format("%s/%s", folder, FILES[i]);
        ok = write_files(&d, l, paths, errors, warnings) && move_folder(folder, path, errors);
        if (!ok) {
            remove_files(folder);
            rmdir(folder);
        }
        for (int i = 0; i < FILE_COUNT; i++) free(paths[i]);
    }
    free(place);
    free(folder);
    for (int i = 0; i < graph_nodes(d.step->graph); i++) free(d.names[i]);
    free(d.names);
    free(d.forward.order);
    free(d.backward.order);
    return ok;
}
