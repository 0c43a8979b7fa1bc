/* SPDX-License-Identifier: MIT */
#include "diffusion/sampling.h"

#include "autograd/finite.h"
#include "diffusion/emphasis.h"
#include "diffusion/guidance.h"
#include "diffusion/mask.h"
#include "diffusion/preview.h"
#include "nn/encoder.h"
#include "tensor/philox.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of the three networks: its graph, the graph's result and its plan. */
typedef struct {
    Graph *graph;
    Tensor *result;
    Plan plan;
} Stage;

/* B pictures in one pass of the UNet, n prompts for each of them (2 with guidance: the negative prompt
   first), K chunks of a prompt with S text tokens of width D each, L latent channels, h w latent picture. */
struct Sampling {
    SamplingOptions options;
    Trajectory trajectory;
    const Prompt *prompts[2]; /* [n] */
    int64_t count;            /* n */
    int64_t chunks[2];        /* [n]: K of each prompt */
    bool apart;               /* whether the prompts differ in length, so that each has a pass of its own */
    bool weighted;            /* whether a prompt has weights that need the context of an empty chunk */
    int64_t batch;            /* B */
    int64_t channels;         /* L */
    int64_t latent_count;     /* floats of a latent picture, L h w */
    int64_t context_count;    /* floats of a chunk's context, S D */
    int64_t tokens;           /* S */
    float scaling_factor;
    Stage encode_text, decode;
    Encoder encoder;  /* of the picture; its graph is NULL without one */
    Preview preview;  /* its graph is NULL without previews */
    Stage denoise[2]; /* one for all prompts, or one for each */
    /* The inputs of the graphs. With guidance the unconditional contexts come first. */
    int32_t *ids;             /* [all chunks, S], the empty one last */
    float *context[2];        /* [n B, K S, D], or [B, K S, D] of each prompt */
    float *input, *t;         /* [B, L, h, w], [B] */
    float *guidance;          /* [B, time_cond_proj_dim], or NULL where the UNet takes no such embedding */
    float *to_decode;         /* [1, L, h, w] */
    float *latents, *noise;   /* of all pictures, [count, L, h, w]; noise is that of one step */
    float *first;             /* latents of the picture, [count, L, h, w], or NULL */
    float *first_noise;       /* the noise with which they began, [count, L, h, w]; only with a mask */
    float *kept;              /* [L, h, w]; only with a mask */
    float *past;              /* what the sampler keeps of earlier steps, [count, history, L, h, w] */
    float *guided_noise_pred; /* [L, h, w] */
    float *predicted;   /* [L, h, w], the clean latents of the first drawn picture; only with previews */
    float *noise_preds; /* [n B, L, h, w], when the prompts run apart */
};

/* Returns the number of pictures that go through the UNet together: as many as have 2048 latent pixels in
   all, which keeps the processor busy, but at least one. It depends only on the number and the size of the
   pictures, so that the bits depend neither on the memory nor on the machine. */
static int64_t unet_batch(int64_t count, int64_t latent_pixels) {
    return min_i64(count, max_i64(1, 2048 / latent_pixels));
}

static int64_t all_chunks(const Sampling *s) { return s->chunks[0] + s->chunks[1] + s->weighted; }

static Stage encode_text_stage(const Sampling *s, const Clip *clip, float *learned, int64_t vectors,
                               PlanOptions plan) {
    Stage stage = { .graph = graph_new() };
    Tensor *v =
        learned ? graph_leaf(stage.graph, "rows", shape2(vectors, clip->config.hidden_size), learned, NULL)
                : NULL;
    stage.result = clip_text(stage.graph, clip, s->ids, all_chunks(s), s->tokens, v);
    stage.plan = graph_plan(stage.graph, stage.result, plan);
    return stage;
}

/* Plans a pass of the UNet: for the prompt of this index, or for all where they do not run apart. */
static Stage denoise_stage(const Sampling *s, const Unet *u, Shape latents, int64_t width, int64_t prompt,
                           PlanOptions plan) {
    Stage stage = { .graph = graph_new() };
    latents.dim[0] = s->batch;
    int64_t contexts = s->apart ? s->batch : s->count * s->batch;
    Shape context = shape3(contexts, s->chunks[prompt] * s->tokens, width);
    Tensor *x = graph_leaf(stage.graph, "latents", latents, s->input, NULL);
    Tensor *t = graph_leaf(stage.graph, "timesteps", shape1(s->batch), s->t, NULL);
    Tensor *c = graph_leaf(stage.graph, "context", context, s->context[prompt], NULL);
    Tensor *w = s->guidance ? graph_leaf(stage.graph, "guidance",
                                         shape2(s->batch, u->config.time_cond_proj_dim), s->guidance, NULL)
                            : NULL;
    stage.result = unet_guided(stage.graph, u, x, t, w, c);
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

/* Returns the guidance scale's embedding for each picture of a pass, or NULL where the UNet takes none. */
static float *guidance_rows(const Sampling *s, const Unet *u) {
    int64_t dim = u->config.time_cond_proj_dim;
    float *rows = dim ? floats(s->batch * dim) : NULL;
    for (int64_t i = 0; rows && i < s->batch; i++)
        guidance_embedding(s->options.guidance, dim, rows + i * dim);
    return rows;
}

/* Sets what follows from the prompts. A prompt that is not given has one chunk. */
static void set_prompts(Sampling *s, bool guided) {
    s->count = guided ? 2 : 1;
    s->prompts[0] = guided ? s->options.negative : s->options.prompt;
    s->prompts[1] = guided ? s->options.prompt : NULL;
    for (int64_t i = 0; i < s->count; i++) {
        const Prompt *p = s->prompts[i];
        s->chunks[i] = p ? p->chunks : 1;
        s->weighted = s->weighted || (p && p->weights && p->syntax == SYNTAX_COMFY);
    }
    s->apart = guided && s->chunks[0] != s->chunks[1];
}

static int64_t passes(const Sampling *s) { return s->apart ? s->count : 1; }

/* Allocates what the graphs read, and what is kept between them. */
static void allocate(Sampling *s, const Unet *u) {
    int64_t count = s->options.count, contexts = s->apart ? s->batch : s->count * s->batch;
    s->ids = mem_alloc((size_t)(all_chunks(s) * s->tokens) * sizeof *s->ids);
    for (int64_t i = 0; i < passes(s); i++)
        s->context[i] = floats(contexts * s->chunks[i] * s->context_count);
    s->input = floats(s->batch * s->latent_count);
    s->t = floats(s->batch);
    s->guidance = guidance_rows(s, u);
    s->to_decode = floats(s->latent_count);
    s->latents = floats(count * s->latent_count);
    s->noise = floats(count * s->latent_count);
    s->first = s->options.picture ? floats(count * s->latent_count) : NULL;
    s->first_noise = s->options.mask ? floats(count * s->latent_count) : NULL;
    s->kept = s->options.mask ? floats(s->latent_count) : NULL;
    s->past = floats(count * s->options.sampler.sampler->history * s->latent_count);
    s->guided_noise_pred = floats(s->latent_count);
    s->predicted = s->options.preview ? floats(s->latent_count) : NULL;
    s->noise_preds = s->apart ? floats(s->count * s->batch * s->latent_count) : NULL;
}

Sampling *sampling_new(const Clip *clip, const Unet *u, const Vae *vae, const NoiseSchedule *noise_schedule,
                       float *learned, int64_t vectors, int64_t tokens, SamplingOptions options,
                       PlanOptions plan) {
    int64_t factor = vae_factor(&vae->config), channels = u->config.in_channels;
    CHECK(options.height % factor == 0 && options.width % factor == 0 && options.count > 0);
    CHECK(!options.mask || options.picture);
    Sampling *s = mem_alloc(sizeof *s);
    s->options = options;
    s->trajectory = trajectory_new(&noise_schedule->config, options.sampler);
    s->tokens = tokens;
    s->scaling_factor = vae->config.scaling_factor;
    Shape latents = shape4(options.count, channels, options.height / factor, options.width / factor);
    set_prompts(s, options.guidance > 1 && u->config.time_cond_proj_dim == 0);
    s->batch = unet_batch(options.count, latents.dim[2] * latents.dim[3]);
    s->channels = channels;
    s->latent_count = channels * latents.dim[2] * latents.dim[3];
    s->context_count = tokens * clip->config.hidden_size;
    allocate(s, u);
    s->encode_text = encode_text_stage(s, clip, learned, vectors, plan);
    for (int64_t i = 0; i < passes(s); i++)
        s->denoise[i] = denoise_stage(s, u, latents, clip->config.hidden_size, i, plan);
    s->decode = decode_stage(s, vae, latents, plan);
    if (options.picture) s->encoder = encoder_new(vae, options.height, options.width, plan);
    latents.dim[0] = 1;
    if (options.preview) s->preview = preview_new(vae, latents, plan);
    return s;
}

void sampling_free(Sampling *s) {
    if (!s) return;
    graph_free(s->encode_text.graph);
    graph_free(s->decode.graph);
    if (s->encoder.graph) encoder_free(&s->encoder);
    if (s->preview.graph) preview_free(&s->preview);
    for (int64_t i = 0; i < passes(s); i++) {
        graph_free(s->denoise[i].graph);
        free(s->context[i]);
    }
    trajectory_free(&s->trajectory);
    free(s->ids);
    free(s->input);
    free(s->t);
    free(s->guidance);
    free(s->to_decode);
    free(s->latents);
    free(s->noise);
    free(s->first);
    free(s->first_noise);
    free(s->kept);
    free(s->past);
    free(s->guided_noise_pred);
    free(s->predicted);
    free(s->noise_preds);
    free(s);
}

int64_t sampling_bytes(const Sampling *s, int threads) {
    int64_t bytes = max_i64(plan_bytes(&s->encode_text.plan, threads), plan_bytes(&s->decode.plan, threads));
    for (int64_t i = 0; i < passes(s); i++) bytes = max_i64(bytes, plan_bytes(&s->denoise[i].plan, threads));
    if (s->preview.graph) bytes = max_i64(bytes, plan_bytes(&s->preview.plan, threads));
    return s->encoder.graph ? max_i64(bytes, plan_bytes(&s->encoder.plan, threads)) : bytes;
}

const SamplingOptions *sampling_options(const Sampling *s) { return &s->options; }

/* All passes of the UNet read the same weights. */
int64_t sampling_weights(const Sampling *s) {
    return s->encode_text.plan.weights + s->denoise[0].plan.weights + s->decode.plan.weights +
           s->encoder.plan.weights;
}

int64_t sampling_steps(const Sampling *s) { return s->trajectory.evaluations - s->trajectory.begin; }

double sampling_flops(const Sampling *s) {
    const SamplingOptions *o = &s->options;
    double steps = (double)(sampling_steps(s) * ceil_div(o->count, s->batch)), flops = 0;
    for (int64_t i = 0; i < passes(s); i++) flops += steps * s->denoise[i].plan.forward_flops;
    flops += s->encoder.plan.forward_flops;
    if (o->preview) flops += (double)((sampling_steps(s) - 1) / o->preview) * s->preview.plan.forward_flops;
    return s->encode_text.plan.forward_flops + flops + (double)o->count * s->decode.plan.forward_flops;
}

void sampling_bind(Sampling *s, Arena *arena, int threads) {
    graph_bind(s->encode_text.graph, arena, threads);
    for (int64_t i = 0; i < passes(s); i++) graph_bind(s->denoise[i].graph, arena, threads);
    graph_bind(s->decode.graph, arena, threads);
    if (s->encoder.graph) graph_bind(s->encoder.graph, arena, threads);
    if (s->preview.graph) graph_bind(s->preview.graph, arena, threads);
}

Graph *sampling_graph(Sampling *s) { return s->denoise[passes(s) - 1].graph; }

const Graph *sampling_stage(const Sampling *s, SamplingStage stage, Plan *plan) {
    if (stage == SAMPLING_ENCODE) {
        *plan = s->encoder.plan;
        return s->encoder.graph;
    }
    if (stage == SAMPLING_PREVIEW) {
        *plan = s->preview.plan;
        return s->preview.graph;
    }
    const Stage *chosen = stage == SAMPLING_TEXT      ? &s->encode_text
                          : stage == SAMPLING_DENOISE ? &s->denoise[passes(s) - 1]
                                                      : &s->decode;
    *plan = chosen->plan;
    return chosen->graph;
}

/* Applies a prompt's weights to its chunks' contexts, which lie at c. */
static bool weight_prompt(const Sampling *s, const Prompt *p, const float *empty, float *c,
                          Messages *errors) {
    int64_t width = s->context_count / s->tokens;
    for (int64_t k = 0; p->weights && k < p->chunks; k++)
        weight_context(p->syntax, p->weights + k * s->tokens, empty, s->tokens, width,
                       c + k * s->context_count);
    for (int64_t i = 0; i < p->chunks * s->context_count; i++)
        if (!isfinite(c[i]))
            return messages_add(errors, "with its weights, a prompt's context is not finite");
    return true;
}

/* Computes the contexts of the prompt and, with guidance, of the negative prompt. This is done once for all
   steps. The contexts are then copied for each picture of a UNet pass. */
static bool encode_prompts(Sampling *s, Messages *errors) {
    int64_t before = 0; /* chunks */
    for (int64_t i = 0; i < s->count; i++) {
        const Prompt *p = s->prompts[i];
        CHECK(p);
        size_t size = (size_t)s->tokens * sizeof *p->ids;
        memcpy(s->ids + before * s->tokens, p->ids, (size_t)p->chunks * size);
        before += p->chunks;
        if (p->weights && p->syntax == SYNTAX_COMFY)
            memcpy(s->ids + (all_chunks(s) - 1) * s->tokens, p->empty, size);
    }
    graph_forward(s->encode_text.graph);
    if (!check_finite(s->encode_text.graph, s->encode_text.result, "the text encoder's output", errors))
        return false;
    float *c = s->encode_text.result->data, *empty = c + (all_chunks(s) - 1) * s->context_count;
    for (int64_t i = 0; i < s->count; i++) {
        if (!weight_prompt(s, s->prompts[i], empty, c, errors)) return false;
        int64_t size = s->chunks[i] * s->context_count;
        float *to = s->apart ? s->context[i] : s->context[0] + i * s->batch * size;
        for (int64_t k = 0; k < s->batch; k++) memcpy(to + k * size, c, (size_t)size * sizeof(float));
        c += size;
    }
    return true;
}

/* Runs the UNet on the inputs of step k. Returns the noise predictions [n B, L, h, w], or NULL after adding a
   message when they are not finite. */
static const float *predict(Sampling *s, int64_t k, Messages *errors) {
    int64_t size = s->batch * s->latent_count;
    char what[80];
    snprintf(what, sizeof what, "the UNet's prediction at step %lld of %lld",
             (long long)(k - s->trajectory.begin) + 1, (long long)sampling_steps(s));
    for (int64_t i = 0; i < passes(s); i++) {
        Stage *pass = &s->denoise[i];
        graph_forward(pass->graph);
        if (!check_finite(pass->graph, pass->result, what, errors)) return NULL;
        /* The next pass uses the same memory. */
        if (s->apart) memcpy(s->noise_preds + i * size, pass->result->data, (size_t)size * sizeof(float));
    }
    return s->apart ? s->noise_preds : s->denoise[0].result->data;
}

/* Does step k for the batch that begins with picture `first`. Pictures before first_pending have had this
   step already: they only fill the batch, and their latents do not change. */
static bool denoise(Sampling *s, int64_t first, int64_t first_pending, int64_t k, Messages *errors) {
    const Trajectory *t = &s->trajectory;
    int64_t per_picture = s->latent_count, history = t->sampler->history * per_picture;
    float divisor = trajectory_input_divisor(t, k);
    for (int64_t i = 0; i < s->batch * per_picture; i++)
        s->input[i] = s->latents[first * per_picture + i] / divisor;
    for (int64_t i = 0; i < s->batch; i++) s->t[i] = t->timesteps[k];
    const float *noise_preds = predict(s, k, errors);
    for (int64_t i = first_pending; noise_preds && i < first + s->batch; i++) {
        const float *noise_pred = noise_preds + (i - first) * per_picture;
        if (s->count > 1) {
            const float *cond = noise_pred + s->batch * per_picture;
            guide(noise_pred, cond, (float)s->options.guidance, per_picture, s->guided_noise_pred);
            if (s->options.rescale > 0)
                guidance_rescale(cond, s->options.rescale, per_picture, s->guided_noise_pred);
            noise_pred = s->guided_noise_pred;
        }
        if (i == max_i64(s->options.only - 1, 0) && s->preview.graph)
            trajectory_predict_x0(t, k, s->latents + i * per_picture, noise_pred, per_picture, s->predicted);
        trajectory_step(t, k, noise_pred, s->noise + i * per_picture, per_picture,
                        s->latents + i * per_picture, s->past + i * history);
    }
    return noise_preds != NULL;
}

/* Where noise comes from: one generator for all pictures, or one for each of them. */
typedef struct {
    Generator all;
    Philox *each; /* [count], or NULL */
} Noise;

static Noise noise_new(const SamplingOptions *o) {
    Noise n = { .each = o->gpu_noise ? mem_alloc((size_t)o->count * sizeof *n.each) : NULL };
    generator_seed(&n.all, o->seed);
    for (int64_t i = 0; n.each && i < o->count; i++) n.each[i] = (Philox) { o->seed + (uint64_t)i, 0 };
    return n;
}

static void draw_noise(const Sampling *s, Noise *n, float *out) {
    int64_t count = s->options.count;
    for (int64_t i = 0; n->each && i < count; i++)
        philox_randn(&n->each[i], out + i * s->latent_count, s->latent_count);
    if (!n->each) generator_randn(&n->all, out, count * s->latent_count);
}

/* Puts the latents of the picture, with the noise before step k, where the mask keeps it. After the last
   step they have no noise. */
static void keep_unmasked(Sampling *s, int64_t k) {
    const Trajectory *t = &s->trajectory;
    int64_t n = s->latent_count;
    for (int64_t i = 0; i < s->options.count; i++) {
        const float *kept = s->first + i * n;
        if (k < t->evaluations) {
            trajectory_add_noise(t, k, kept, s->first_noise + i * n, n, s->kept);
            kept = s->kept;
        }
        mask_blend(s->options.mask, kept, s->channels, n / s->channels, s->latents + i * n);
    }
}

/* Whether one of the n pictures from number i, counted from 0, is drawn. */
static bool is_drawn(const Sampling *s, int64_t i, int64_t n) {
    int64_t only = s->options.only;
    return only == 0 || (i < only && only <= i + n);
}

/* Shows a preview of the first picture. It is decoded between two steps, since all graphs use the same
   memory. Where the mask keeps the picture, so does the preview. Returns false when the event stopped the
   run, or after adding a message. */
static bool show_preview(Sampling *s, const SamplingEvents *events, Messages *errors) {
    Preview *p = &s->preview;
    if (s->options.mask)
        mask_blend(s->options.mask, s->first, s->channels, s->latent_count / s->channels, s->predicted);
    preview_set(p, s->predicted);
    graph_forward(p->graph);
    return check_finite(p->graph, p->picture, "the VAE's decoded preview", errors) &&
           events->preview(events->user, p->picture->data, p->picture->shape.dim[2],
                           p->picture->shape.dim[3]);
}

/* Does all steps. Each step draws its noise for all pictures, as the reference's scheduler does for its
   batch. */
static bool denoise_all(Sampling *s, Noise *noise, const SamplingEvents *events, Messages *errors) {
    const Trajectory *t = &s->trajectory;
    int64_t count = s->options.count;
    for (int64_t k = t->begin; k < t->evaluations; k++) {
        if (trajectory_draws(t, k)) draw_noise(s, noise, s->noise);
        /* The last batch may begin with pictures that have had this step already, so that it is full. */
        for (int64_t done = 0; done < count; done += s->batch)
            if (is_drawn(s, done, s->batch) && !denoise(s, min_i64(done, count - s->batch), done, k, errors))
                return false;
        if (s->options.mask) keep_unmasked(s, k + 1);
        int64_t done = k + 1 - t->begin, steps = sampling_steps(s);
        if (s->preview.graph && done < steps && done % s->options.preview == 0 &&
            !show_preview(s, events, errors))
            return false;
        if (events->step && !events->step(events->user, done, steps)) return false;
    }
    return true;
}

/* Draws the noise for samples of a picture's posterior: from one generator only one sample is drawn, which
   all pictures share, as in the reference. */
static void draw_posterior(const Sampling *s, Noise *n, float *out) {
    if (n->each) {
        draw_noise(s, n, out);
        return;
    }
    generator_randn(&n->all, out, s->latent_count);
    for (int64_t i = 1; i < s->options.count; i++)
        memcpy(out + i * s->latent_count, out, (size_t)s->latent_count * sizeof *out);
}

/* Sets the latents of the picture. */
static bool encode_picture(Sampling *s, Noise *noise, Messages *errors) {
    const SamplingOptions *o = &s->options;
    memcpy(s->encoder.picture, o->picture, (size_t)(3 * o->height * o->width) * sizeof *o->picture);
    if (!encoder_run(&s->encoder, errors)) return false;
    if (!o->invert) draw_posterior(s, noise, s->noise); /* else it is 0, which gives the mean */
    for (int64_t i = 0; i < o->count; i++)
        posterior_sample(s->encoder.parameters->data, s->noise + i * s->latent_count, s->latent_count,
                         s->scaling_factor, s->first + i * s->latent_count);
    return true;
}

/* Sets the latents with which the first step begins. */
static bool set_latents(Sampling *s, Noise *noise, Messages *errors) {
    const Trajectory *t = &s->trajectory;
    int64_t all = s->options.count * s->latent_count;
    if (s->first && !encode_picture(s, noise, errors)) return false;
    if (s->options.invert) {
        memcpy(s->latents, s->first, (size_t)all * sizeof *s->latents);
        return true;
    }
    if (s->options.latents)
        memcpy(s->latents, s->options.latents, (size_t)all * sizeof *s->latents);
    else
        draw_noise(s, noise, s->latents);
    if (s->options.mask) {
        memcpy(s->first_noise, s->latents, (size_t)all * sizeof *s->latents);
        /* The reference encodes the masked picture too, for UNets that take it as an input, and samples its
           posterior. The sample is not used here, but later noise comes after it. */
        draw_posterior(s, noise, s->noise);
    }
    if (s->first && !(s->options.mask && s->options.sampler.strength == 1))
        trajectory_add_noise(t, t->begin, s->first, s->latents, all, s->latents);
    else
        for (int64_t i = 0; i < all; i++) s->latents[i] *= t->noise_scale;
    return true;
}

bool sampling_run(Sampling *s, const SamplingEvents *events, Messages *errors) {
    int64_t count = s->options.count, per_picture = s->latent_count;
    Noise noise = noise_new(&s->options);
    bool ok =
        set_latents(s, &noise, errors) && encode_prompts(s, errors) && denoise_all(s, &noise, events, errors);
    free(noise.each);
    if (!ok || s->options.invert) return ok;
    for (int64_t i = 0; i < count; i++) {
        if (!is_drawn(s, i, 1)) continue;
        for (int64_t j = 0; j < per_picture; j++)
            s->to_decode[j] = s->latents[i * per_picture + j] / s->scaling_factor;
        graph_forward(s->decode.graph);
        if (!check_finite(s->decode.graph, s->decode.result, "the VAE's decoded picture", errors))
            return false;
        events->picture(events->user, i, s->decode.result->data);
    }
    return true;
}

const float *sampling_latents(const Sampling *s) { return s->latents; }
