#include "diffusion/sampling.h"

#include "autograd/finite.h"
#include "diffusion/guidance.h"
#include "tensor/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of the three networks: its graph, the graph's result and its plan. */
typedef struct {
    Graph *graph;
    Tensor *result;
    Plan plan;
} Stage;

/* B pictures in one pass of the UNet, n contexts for each of them, S text tokens of width D, L
   latent channels, h w latent picture. */
struct Sampling {
    SamplingOptions options;
    Trajectory trajectory;
    bool guided;
    int64_t batch;         /* B, the pictures in one pass of the UNet */
    int64_t contexts;      /* n, the contexts of each picture: 2 with guidance, else 1 */
    int64_t latent_count;  /* floats of a latent picture, L h w */
    int64_t context_count; /* floats of a prompt's context, S D */
    int64_t tokens;        /* S */
    float scaling_factor;
    Stage encode_text, denoise, decode;
    /* The inputs of the graphs. With guidance the unconditional contexts come first. */
    int32_t *ids;             /* [n, S] */
    float *context;           /* [n B, S, D] */
    float *input, *t;         /* [B, L, h, w], [B] */
    float *to_decode;         /* [1, L, h, w] */
    float *latents, *noise;   /* of all pictures, [count, L, h, w]; noise is that of one step */
    float *past;              /* what the sampler keeps of earlier steps, [count, history, L, h, w] */
    float *guided_noise_pred; /* [L, h, w] */
};

/* Returns the number of pictures that go through the UNet together: as many as have 2048 latent pixels in
   all, which keeps the processor busy, but at least one. It depends only on the number and the size of the
   pictures, so that the bits depend neither on the memory nor on the machine. */
static int64_t unet_batch(int64_t count, int64_t latent_pixels) {
    return min_i64(count, max_i64(1, 2048 / latent_pixels));
}

static Stage encode_text_stage(const Sampling *s, const Clip *clip, float *learned, int64_t vectors,
                               PlanOptions plan) {
    Stage stage = { .graph = graph_new() };
    Tensor *v =
        learned ? graph_leaf(stage.graph, "rows", shape2(vectors, clip->config.hidden_size), learned, NULL)
                : NULL;
    stage.result = clip_text(stage.graph, clip, s->ids, s->contexts, s->tokens, v);
    stage.plan = graph_plan(stage.graph, stage.result, plan);
    return stage;
}

static Stage denoise_stage(const Sampling *s, const Unet *u, Shape latents, int64_t width, PlanOptions plan) {
    Stage stage = { .graph = graph_new() };
    latents.dim[0] = s->batch;
    Tensor *x = graph_leaf(stage.graph, "latents", latents, s->input, NULL);
    Tensor *t = graph_leaf(stage.graph, "timesteps", shape1(s->batch), s->t, NULL);
    Tensor *c = graph_leaf(stage.graph, "context", shape3(s->contexts * s->batch, s->tokens, width),
                           s->context, NULL);
    stage.result = unet(stage.graph, u, x, t, c);
    stage.plan = graph_plan(stage.graph, stage.result, plan);
    return stage;
}

static Stage decode_stage(const Sampling *s, const Vae *vae, Shape latents, PlanOptions plan) {
    Stage stage = { .graph = graph_new() };
    latents.dim[0] = 1;
    stage.result =
        vae_decode(stage.graph, vae, graph_leaf(stage.graph, "latents", latents, s->to_decode, NULL));
    stage.plan = graph_plan(stage.graph, stage.result, plan);
    return stage;
}

static float *floats(int64_t count) { return mem_alloc((size_t)count * sizeof(float)); }

Sampling *sampling_new(const Clip *clip, const Unet *u, const Vae *vae, const NoiseSchedule *noise_schedule,
                       float *learned, int64_t vectors, int64_t tokens, SamplingOptions options,
                       PlanOptions plan) {
    int64_t factor = vae_factor(&vae->config), channels = u->config.in_channels;
    CHECK(options.height % factor == 0 && options.width % factor == 0 && options.count > 0);
    Sampling *s = mem_alloc(sizeof *s);
    s->options = options;
    s->trajectory = trajectory_new(&noise_schedule->config, options.sampler);
    s->tokens = tokens;
    s->scaling_factor = vae->config.scaling_factor;
    Shape latents = shape4(options.count, channels, options.height / factor, options.width / factor);
    s->guided = options.guidance > 1;
    s->contexts = s->guided ? 2 : 1;
    s->batch = unet_batch(options.count, latents.dim[2] * latents.dim[3]);
    s->latent_count = channels * latents.dim[2] * latents.dim[3];
    s->context_count = tokens * clip->config.hidden_size;
    s->ids = mem_alloc((size_t)(s->contexts * tokens) * sizeof *s->ids);
    s->context = floats(s->contexts * s->batch * s->context_count);
    s->input = floats(s->batch * s->latent_count);
    s->t = floats(s->batch);
    s->to_decode = floats(s->latent_count);
    s->latents = floats(options.count * s->latent_count);
    s->noise = floats(options.count * s->latent_count);
    s->past = floats(options.count * options.sampler.sampler->history * s->latent_count);
    s->guided_noise_pred = floats(s->latent_count);
    s->encode_text = encode_text_stage(s, clip, learned, vectors, plan);
    s->denoise = denoise_stage(s, u, latents, clip->config.hidden_size, plan);
    s->decode = decode_stage(s, vae, latents, plan);
    return s;
}

void sampling_free(Sampling *s) {
    if (!s) return;
    graph_free(s->encode_text.graph);
    graph_free(s->denoise.graph);
    graph_free(s->decode.graph);
    trajectory_free(&s->trajectory);
    free(s->ids);
    free(s->context);
    free(s->input);
    free(s->t);
    free(s->to_decode);
    free(s->latents);
    free(s->noise);
    free(s->past);
    free(s->guided_noise_pred);
    free(s);
}

int64_t sampling_bytes(const Sampling *s, int threads) {
    return max_i64(plan_bytes(&s->encode_text.plan, threads),
                   max_i64(plan_bytes(&s->denoise.plan, threads), plan_bytes(&s->decode.plan, threads)));
}

int64_t sampling_weights(const Sampling *s) {
    return s->encode_text.plan.weights + s->denoise.plan.weights + s->decode.plan.weights;
}

int64_t sampling_steps(const Sampling *s) { return s->trajectory.evaluations; }

double sampling_flops(const Sampling *s) {
    const SamplingOptions *o = &s->options;
    double passes = (double)(s->trajectory.evaluations * ceil_div(o->count, s->batch));
    return s->encode_text.plan.forward_flops + passes * s->denoise.plan.forward_flops +
           (double)o->count * s->decode.plan.forward_flops;
}

void sampling_bind(Sampling *s, Arena *arena, int threads) {
    graph_bind(s->encode_text.graph, arena, threads);
    graph_bind(s->denoise.graph, arena, threads);
    graph_bind(s->decode.graph, arena, threads);
}

Graph *sampling_graph(Sampling *s) { return s->denoise.graph; }

const Graph *sampling_stage(const Sampling *s, SamplingStage stage, Plan *plan) {
    const Stage *chosen = stage == SAMPLING_TEXT      ? &s->encode_text
                          : stage == SAMPLING_DENOISE ? &s->denoise
                                                      : &s->decode;
    *plan = chosen->plan;
    return chosen->graph;
}

/* Computes the contexts of the prompt and, with guidance, of the negative prompt. This is done once for all
   steps. The contexts are then copied for each picture of a UNet pass. */
static void encode_prompts(Sampling *s, const int32_t *ids, const int32_t *negative) {
    size_t size = (size_t)s->tokens * sizeof *ids;
    if (s->guided) memcpy(s->ids, negative, size);
    memcpy(s->ids + (s->contexts - 1) * s->tokens, ids, size);
    graph_forward(s->encode_text.graph);
    for (int64_t i = 0; i < s->contexts * s->batch; i++)
        memcpy(s->context + i * s->context_count,
               s->encode_text.result->data + i / s->batch * s->context_count,
               (size_t)s->context_count * sizeof(float));
}

/* Does step k for the batch that begins with picture `first`. Pictures before first_pending have had this step
   already: they only fill the batch, and their latents do not change. */
static void denoise(Sampling *s, int64_t first, int64_t first_pending, int64_t k) {
    const Trajectory *t = &s->trajectory;
    int64_t per_picture = s->latent_count, history = t->sampler->history * per_picture;
    float divisor = trajectory_input_divisor(t, k);
    for (int64_t i = 0; i < s->batch * per_picture; i++)
        s->input[i] = s->latents[first * per_picture + i] / divisor;
    for (int64_t i = 0; i < s->batch; i++) s->t[i] = t->timesteps[k];
    graph_forward(s->denoise.graph);
    for (int64_t i = first_pending; i < first + s->batch; i++) {
        const float *noise_pred = s->denoise.result->data + (i - first) * per_picture;
        if (s->guided) {
            guide(noise_pred, noise_pred + s->batch * per_picture, s->options.guidance, per_picture,
                  s->guided_noise_pred);
            noise_pred = s->guided_noise_pred;
        }
        trajectory_step(t, k, noise_pred, s->noise + i * per_picture, per_picture,
                        s->latents + i * per_picture, s->past + i * history);
    }
}

/* Does all steps. Each step draws its noise for all pictures, as the reference's scheduler does for its batch. */
static bool denoise_all(Sampling *s, Generator *generator, const SamplingEvents *events, Messages *errors) {
    int64_t count = s->options.count, steps = s->trajectory.evaluations;
    for (int64_t k = 0; k < steps; k++) {
        if (trajectory_draws(&s->trajectory, k))
            generator_randn(generator, s->noise, count * s->latent_count);
        /* The last batch may begin with pictures that have had this step already, so that it is full. */
        for (int64_t done = 0; done < count; done += s->batch) {
            denoise(s, min_i64(done, count - s->batch), done, k);
            char what[80];
            snprintf(what, sizeof what, "the UNet's prediction at step %lld of %lld", (long long)k + 1,
                     (long long)steps);
            if (!check_finite(s->denoise.graph, s->denoise.result, what, errors)) return false;
        }
        if (events->step && !events->step(events->user, k + 1, steps)) return false;
    }
    return true;
}

bool sampling_run(Sampling *s, const int32_t *ids, const int32_t *negative, const SamplingEvents *events,
                  Messages *errors) {
    int64_t count = s->options.count, per_picture = s->latent_count;
    Generator generator;
    generator_seed(&generator, s->options.seed);
    generator_randn(&generator, s->latents, count * per_picture);
    for (int64_t i = 0; i < count * per_picture; i++) s->latents[i] *= s->trajectory.noise_scale;
    encode_prompts(s, ids, negative);
    if (!check_finite(s->encode_text.graph, s->encode_text.result, "the text encoder's output", errors) ||
        !denoise_all(s, &generator, events, errors))
        return false;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j < per_picture; j++)
            s->to_decode[j] = s->latents[i * per_picture + j] / s->scaling_factor;
        graph_forward(s->decode.graph);
        if (!check_finite(s->decode.graph, s->decode.result, "the VAE's decoded picture", errors))
            return false;
        events->picture(events->user, i, s->decode.result->data);
    }
    return true;
}
