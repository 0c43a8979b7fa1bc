#include "diffusion/sampling.h"

#include "autograd/finite.h"
#include "diffusion/ddim.h"
#include "diffusion/guidance.h"
#include "tensor/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A graph with its only result. */
typedef struct {
    Graph *graph;
    Tensor *result;
    Plan plan;
} Stage;

struct Sampling {
    const NoiseSchedule *noise_schedule;
    SamplingOptions options;
    bool guided;
    int64_t micro;         /* pictures in one pass of the UNet */
    int64_t latent_count;  /* floats of a latent picture */
    int64_t context_count; /* floats of a prompt's context: tokens x width */
    int64_t tokens;
    float scaling_factor;
    int64_t *timesteps;
    Stage text, denoise, decode;
    /* what the graphs read: with guidance the unconditional contexts come first */
    int32_t *ids;                           /* [1 or 2, tokens] */
    float *context;                         /* [1 or 2 x micro, tokens, D] */
    float *input, *t;                       /* [micro, L, h, w], [micro] */
    float *to_decode;                       /* [1, L, h, w] */
    float *latents, *noise, *guided_output; /* [count, L, h, w] twice, [L, h, w] */
};

/* Pictures run through the UNet together: as many as fill it, by their size alone, so that the bits depend on
   neither the memory nor the machine. At 64x64 latents one picture (two with its unconditional twin) does. */
static int64_t micro_batch(int64_t count, int64_t latent_pixels) {
    return min_i64(count, max_i64(1, 2048 / latent_pixels));
}

static Stage stage_text(const Sampling *d, const Clip *clip, float *learned, int64_t vectors,
                        PlanOptions plan) {
    Stage s = { .graph = graph_new() };
    Tensor *v = learned
                    ? graph_leaf(s.graph, "rows", shape2(vectors, clip->config.hidden_size), learned, NULL)
                    : NULL;
    s.result = clip_text(s.graph, clip, d->ids, d->guided ? 2 : 1, d->tokens, v);
    s.plan = graph_plan(s.graph, s.result, plan);
    return s;
}

static Stage stage_denoise(const Sampling *d, const Unet *u, Shape latents, int64_t width, PlanOptions plan) {
    Stage s = { .graph = graph_new() };
    int64_t contexts = d->micro * (d->guided ? 2 : 1);
    latents.dim[0] = d->micro;
    Tensor *x = graph_leaf(s.graph, "latents", latents, d->input, NULL);
    Tensor *t = graph_leaf(s.graph, "timesteps", shape1(d->micro), d->t, NULL);
    Tensor *c = graph_leaf(s.graph, "context", shape3(contexts, d->tokens, width), d->context, NULL);
    s.result = unet(s.graph, u, x, t, c);
    s.plan = graph_plan(s.graph, s.result, plan);
    return s;
}

static Stage stage_decode(const Sampling *d, const Vae *vae, Shape latents, PlanOptions plan) {
    Stage s = { .graph = graph_new() };
    latents.dim[0] = 1;
    s.result = vae_decode(s.graph, vae, graph_leaf(s.graph, "latents", latents, d->to_decode, NULL));
    s.plan = graph_plan(s.graph, s.result, plan);
    return s;
}

static float *floats(int64_t count) { return mem_alloc((size_t)count * sizeof(float)); }

Sampling *sampling_new(const Clip *clip, const Unet *u, const Vae *vae, const NoiseSchedule *noise_schedule,
                       float *learned, int64_t vectors, int64_t tokens, SamplingOptions options,
                       PlanOptions plan) {
    int64_t factor = vae_factor(&vae->config), channels = u->config.in_channels;
    CHECK(options.height % factor == 0 && options.width % factor == 0 && options.count > 0);
    Sampling *d = mem_alloc(sizeof *d);
    d->noise_schedule = noise_schedule;
    d->options = options;
    d->tokens = tokens;
    d->scaling_factor = vae->config.scaling_factor;
    d->timesteps = mem_alloc((size_t)options.steps * sizeof *d->timesteps);
    ddim_timesteps(noise_schedule, options.steps, d->timesteps);
    Shape latents = shape4(options.count, channels, options.height / factor, options.width / factor);
    d->guided = options.guidance > 1;
    d->micro = micro_batch(options.count, latents.dim[2] * latents.dim[3]);
    d->latent_count = channels * latents.dim[2] * latents.dim[3];
    d->context_count = tokens * clip->config.hidden_size;
    int64_t twins = d->guided ? 2 : 1;
    d->ids = mem_alloc((size_t)(twins * tokens) * sizeof *d->ids);
    d->context = floats(twins * d->micro * d->context_count);
    d->input = floats(d->micro * d->latent_count);
    d->t = floats(d->micro);
    d->to_decode = floats(d->latent_count);
    d->latents = floats(options.count * d->latent_count);
    d->noise = floats(options.count * d->latent_count);
    d->guided_output = floats(d->latent_count);
    d->text = stage_text(d, clip, learned, vectors, plan);
    d->denoise = stage_denoise(d, u, latents, clip->config.hidden_size, plan);
    d->decode = stage_decode(d, vae, latents, plan);
    return d;
}

void sampling_free(Sampling *d) {
    if (!d) return;
    graph_free(d->text.graph);
    graph_free(d->denoise.graph);
    graph_free(d->decode.graph);
    free(d->timesteps);
    free(d->ids);
    free(d->context);
    free(d->input);
    free(d->t);
    free(d->to_decode);
    free(d->latents);
    free(d->noise);
    free(d->guided_output);
    free(d);
}

int64_t sampling_bytes(const Sampling *d, int threads) {
    return max_i64(plan_bytes(&d->text.plan, threads),
                   max_i64(plan_bytes(&d->denoise.plan, threads), plan_bytes(&d->decode.plan, threads)));
}

int64_t sampling_weights(const Sampling *d) {
    return d->text.plan.weights + d->denoise.plan.weights + d->decode.plan.weights;
}

double sampling_flops(const Sampling *d) {
    const SamplingOptions *o = &d->options;
    double passes = (double)(o->steps * ceil_div(o->count, d->micro));
    return d->text.plan.forward_flops + passes * d->denoise.plan.forward_flops +
           (double)o->count * d->decode.plan.forward_flops;
}

void sampling_bind(Sampling *d, Arena *arena, int threads) {
    graph_bind(d->text.graph, arena, threads);
    graph_bind(d->denoise.graph, arena, threads);
    graph_bind(d->decode.graph, arena, threads);
}

Graph *sampling_graph(Sampling *d) { return d->denoise.graph; }

const Graph *sampling_stage(const Sampling *d, SamplingStage stage, Plan *plan) {
    const Stage *s = stage == SAMPLING_TEXT ? &d->text : stage == SAMPLING_DENOISE ? &d->denoise : &d->decode;
    *plan = s->plan;
    return s->graph;
}

/* The contexts of prompt and negative prompt, once for all steps, a copy for each picture of a pass. */
static void encode_prompts(Sampling *d, const int32_t *ids, const int32_t *negative) {
    size_t size = (size_t)d->tokens * sizeof *ids;
    int64_t twins = d->guided ? 2 : 1;
    if (d->guided) memcpy(d->ids, negative, size);
    memcpy(d->ids + (twins - 1) * d->tokens, ids, size);
    graph_forward(d->text.graph);
    for (int64_t i = 0; i < twins * d->micro; i++)
        memcpy(d->context + i * d->context_count, d->text.result->data + i / d->micro * d->context_count,
               (size_t)d->context_count * sizeof(float));
}

/* One denoising step of pictures first..first + micro - 1, of which those from fresh on have not been done
   yet. */
static void denoise(Sampling *d, int64_t first, int64_t fresh, int64_t t) {
    int64_t n = d->latent_count;
    memcpy(d->input, d->latents + first * n, (size_t)(d->micro * n) * sizeof(float));
    for (int64_t i = 0; i < d->micro; i++) d->t[i] = (float)t;
    graph_forward(d->denoise.graph);
    for (int64_t i = fresh; i < first + d->micro; i++) {
        const float *output = d->denoise.result->data + (i - first) * n;
        if (d->guided) {
            guide(output, output + d->micro * n, d->options.guidance, n, d->guided_output);
            output = d->guided_output;
        }
        ddim_step(d->noise_schedule, d->options.steps, t, output, d->options.eta, d->noise + i * n, n,
                  d->latents + i * n);
    }
}

bool sampling_run(Sampling *d, const int32_t *ids, const int32_t *negative, const SamplingEvents *events,
                  Messages *errors) {
    const SamplingOptions *o = &d->options;
    CHECK(d->timesteps[0] < d->noise_schedule->config.train_timesteps);
    int64_t n = d->latent_count, all = o->count * n;
    Generator generator;
    generator_seed(&generator, o->seed);
    generator_randn(&generator, d->latents, all);
    encode_prompts(d, ids, negative);
    if (!check_finite(d->text.graph, d->text.result, "what the text encoder makes of the prompt", errors))
        return false;
    for (int64_t s = 0; s < o->steps; s++) {
        if (o->eta > 0) generator_randn(&generator, d->noise, all);
        /* The last pass may be short of pictures: it takes some along that are done already, and leaves them
           alone. */
        for (int64_t done = 0; done < o->count; done += d->micro) {
            denoise(d, min_i64(done, o->count - d->micro), done, d->timesteps[s]);
            char what[80];
            snprintf(what, sizeof what, "what the UNet predicts at step %lld of %lld", (long long)s + 1,
                     (long long)o->steps);
            if (!check_finite(d->denoise.graph, d->denoise.result, what, errors)) return false;
        }
        if (events->step && !events->step(events->user, s + 1, o->steps)) return false;
    }
    for (int64_t i = 0; i < o->count; i++) {
        for (int64_t k = 0; k < n; k++) d->to_decode[k] = d->latents[i * n + k] / d->scaling_factor;
        graph_forward(d->decode.graph);
        if (!check_finite(d->decode.graph, d->decode.result, "the picture that the VAE decodes", errors))
            return false;
        events->picture(events->user, i, d->decode.result->data);
    }
    return true;
}
