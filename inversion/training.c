#include "inversion/training.h"

#include "autograd/finite.h"

#include <stdlib.h>

TrainingStep training_step_new(const Clip *clip, const Unet *u, float *learned, float *grad, int64_t vectors,
                               int64_t batch, int64_t tokens, int64_t height, int64_t width,
                               PlanOptions options) {
    int64_t latents = u->config.in_channels;
    TrainingStep s = { .batch = batch, .tokens = tokens, .latent_count = latents * height * width };
    Shape shape = shape4(batch, latents, height, width);
    size_t size = (size_t)shape_count(shape) * sizeof(float);
    s.ids = mem_alloc((size_t)(batch * tokens) * sizeof *s.ids);
    s.noisy = mem_alloc(size);
    s.target = mem_alloc(size);
    s.timesteps = mem_alloc((size_t)batch * sizeof(float));

    Graph *g = s.graph = graph_new();
    Tensor *v =
        graph_leaf(g, "rows", shape2(vectors, clip->config.hidden_size), learned, grad); /* all that learns */
    Tensor *z_t = graph_leaf(g, "latents", shape, s.noisy, NULL);
    Tensor *t = graph_leaf(g, "timesteps", shape1(batch), s.timesteps, NULL);
    Tensor *target = graph_leaf(g, "target", shape, s.target, NULL);

    s.context = clip_text(g, clip, s.ids, batch, tokens, v); /* c_theta(y) */
    s.noise_pred = unet(g, u, z_t, t, s.context);            /* eps_theta(z_t, t, c_theta(y)) */
    s.loss = mse_loss(g, s.noise_pred, target);

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
    free(s->timesteps);
    *s = (TrainingStep) { 0 };
}

void training_step_set(TrainingStep *s, const NoiseSchedule *d, int64_t i, const float *z, const float *noise,
                       int64_t t) {
    CHECK(i >= 0 && i < s->batch);
    int64_t offset = i * s->latent_count;
    noise_schedule_add_noise(d, z, noise, t, s->latent_count, s->noisy + offset);
    noise_schedule_target(d, z, noise, t, s->latent_count, s->target + offset);
    s->timesteps[i] = (float)t;
}

float training_step_loss(TrainingStep *s) {
    graph_forward(s->graph);
    return s->loss->data[0];
}

void training_step_gradient(TrainingStep *s, float weight) { graph_backward(s->graph, &weight); }

char *training_step_not_finite(TrainingStep *s, bool *too_large) {
    NotFinite found = graph_find_not_finite(s->graph);
    int context = 0; /* the text encoder's last node */
    while (graph_get(s->graph, context)->out != s->context) context++;
    bool text = found.node && found.index <= context;
    char *where = not_finite_text(found);
    char *line = mem_format("in the %s, %s", text ? "text encoder" : "UNet", where);
    *too_large = !found.weight;
    free(where);
    return line;
}
