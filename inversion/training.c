/* SPDX-License-Identifier: MIT */
/* Equation 2 of the paper, from the inside out (the letters are in training.h):

       v* = argmin_v  E_{z ~ E(x), y, eps ~ N(0,1), t} || eps - eps_theta(z_t, t, c_theta(y)) ||^2

   A prompt y such as "a photo of S*" contains the placeholder token S*. The text encoder c_theta looks up
   the embedding of every token, and for S* it takes the learned vectors v instead of rows of its own
   table. Its output is the context. x is a training picture, and z ~ E(x) are its latents, a sample of
   the VAE's posterior. z_t is a mixture of z and the noise eps, with more noise the larger the timestep t
   is. The UNet eps_theta gets z_t, t and the context, and predicts the noise. The loss is the squared
   difference between this prediction and eps, averaged over all elements. Each example of the batch is
   one sample of the expectation.

   c_theta and eps_theta are frozen: their weights are of the type Weight, which has no gradient. So only v
   can learn. The gradient flows from the loss through the UNet to the context, which the UNet reads in its
   cross-attention, and from there through the text encoder to v. adamw.c moves v against the gradient, and
   loop.c repeats this with other samples. */
#include "inversion/training.h"

#include "autograd/finite.h"
#include "inversion/loss_weights.h"

#include <stdlib.h>

TrainingStep training_step_new(const Clip *clip, const Unet *u, TrainingStepShape shape, float *learned,
                               float *grad, PlanOptions options) {
    int64_t batch = shape.batch, tokens = shape.tokens, channels = u->config.in_channels;
    TrainingStep s = { .batch = batch,
                       .tokens = tokens,
                       .latent_count = channels * shape.height * shape.width };
    size_t size = (size_t)(batch * s.latent_count) * sizeof(float);
    s.ids = mem_alloc((size_t)(batch * tokens) * sizeof *s.ids);
    s.noisy = mem_alloc(size);
    s.target = mem_alloc(size);
    s.timesteps = mem_alloc((size_t)batch * sizeof(float));
    s.weights = shape.weighted ? mem_alloc(size / (size_t)channels) : NULL;

    /* The leaves are the learned vectors v (named "rows" in dumps), which alone have a gradient, and the
       inputs, which training_step_set fills in. */
    Graph *g = s.graph = graph_new();
    Shape vectors = shape2(shape.vectors, clip->config.hidden_size);
    Shape latents = shape4(batch, channels, shape.height, shape.width);
    Tensor *v = graph_leaf(g, "rows", vectors, learned, grad);
    Tensor *z_t = graph_leaf(g, "latents", latents, s.noisy, NULL);
    Tensor *t = graph_leaf(g, "timesteps", shape1(batch), s.timesteps, NULL);
    Tensor *target = graph_leaf(g, "target", latents, s.target, NULL);

    /* The prompts y (the ids) become the context c_theta(y). This is where v enters. */
    s.context = clip_text(g, clip, s.ids, batch, tokens, v);
    /* The UNet predicts the noise: eps_theta(z_t, t, c_theta(y)). */
    s.noise_pred = unet(g, u, z_t, t, s.context);
    /* || eps - eps_theta ||^2 as a mean over all elements (v-prediction: of a velocity, not of eps). */
    s.loss = loss_record(g, s.noise_pred, target, s.weights);
    graph_keep(g, s.noise_pred);
    training_step_plan(&s, options);
    return s;
}

void training_step_plan(TrainingStep *s, PlanOptions options) {
    s->plan = graph_plan(s->graph, s->loss, options);
}

void training_step_free(TrainingStep *s) {
    graph_free(s->graph);
    free(s->ids);
    free(s->noisy);
    free(s->target);
    free(s->weights);
    free(s->timesteps);
    *s = (TrainingStep) { 0 };
}

/* Fills in one sample of the expectation: computes z_t and the UNet's target from z, eps and t. */
void training_step_set(TrainingStep *s, const NoiseSchedule *schedule, int64_t i, const float *z,
                       const float *noise, int64_t t) {
    CHECK(i >= 0 && i < s->batch);
    int64_t offset = i * s->latent_count;
    noise_schedule_add_noise(schedule, z, noise, t, s->latent_count, s->noisy + offset);
    noise_schedule_target(schedule, z, noise, t, s->latent_count, s->target + offset);
    s->timesteps[i] = (float)t;
}

float training_step_loss(TrainingStep *s) {
    graph_forward(s->graph);
    return s->loss->data[0];
}

/* The chain rule starts with d (loss * weight) / d loss = weight. */
void training_step_gradient(TrainingStep *s, float weight) { graph_backward(s->graph, &weight); }

char *training_step_not_finite(TrainingStep *s, bool *too_large) {
    NotFinite found = graph_find_not_finite(s->graph);
    int context = 0; /* the index of the text encoder's last node */
    while (graph_get(s->graph, context)->out != s->context) context++;
    bool text = found.node && found.index <= context;
    char *where = not_finite_text(found);
    char *line = mem_format("in the %s, %s", text ? "text encoder" : "UNet", where);
    *too_large = !found.weight;
    free(where);
    return line;
}
