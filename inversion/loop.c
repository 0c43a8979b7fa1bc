/* SPDX-License-Identifier: MIT */
/* The training loop, which minimises equation 2 (training.c) by stochastic gradient descent:

       repeat until `steps` updates are done:
         1  take a batch of examples: pictures x, mirrored or not, and templates y        dataset_next
         2  z ~ E(x), eps ~ N(0, 1), t ~ U{0 .. T - 1}                                    draw_noise
            z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps                                   training_step_set
         3  loss = || eps - eps_theta(z_t, t, c_theta(y)) ||^2                            forward pass
         4  accumulated += d (loss / accumulate) / d v                                    backward pass
         5  every `accumulate` batches and at an epoch's end: v = AdamW(v, accumulated)   update

   Variants have a place of their own and do nothing by default: loss_weights_set in 2 weights the loss of 3,
   regulariser_add adds to the gradient in 4, sphere_step replaces AdamW in 5, and vectors_rescale follows it.
   The progressive extension and per-image tokens change which vectors y names and 5 updates.

   With options.one_by_one, 3 and 4 are done for one example of the batch after the other (run_examples). They
   may then be shared out among the processes of several machines (ranks.h), and the result has the same bits.

   The timeline of all random draws is at the top of dataset.h. */
#include "inversion/loop.h"

#include "inversion/ranks.h"
#include "inversion/regulariser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *floats(int64_t count) { return mem_alloc((size_t)count * sizeof(float)); }

TrainingStep loop_new_step(const Loop *l, int64_t batch, PlanOptions plan) {
    const LoopData *d = &l->data;
    TrainingStepShape shape = { .batch = batch,
                                .tokens = d->prompts->tokens,
                                .height = d->height,
                                .width = d->width,
                                .vectors = d->vectors + d->own,
                                .weighted = loss_is_weighted(&l->options.weights) };
    return training_step_new(d->clip, d->unet, shape, d->learned, l->grad, plan);
}

Loop loop_new(LoopOptions options, LoopData data, PlanOptions plan) {
    plan.train = true;
    Loop l = { .options = options, .data = data, .plan = plan };
    int64_t count = (data.vectors + data.own) * data.clip->config.hidden_size;
    l.grad = floats(count);
    l.accumulated = floats(count);
    l.adamw = adamw_new(count);
    l.full = loop_new_step(&l, options.one_by_one ? 1 : options.batch, plan);
    int64_t last = data.posteriors->pictures * options.repeats % options.batch;
    if (last && !options.one_by_one) l.last = loop_new_step(&l, last, plan);
    if (options.one_by_one) l.rows = floats(options.batch * (1 + count));
    if (options.one_by_one) l.sum = floats(1 + count);
    int64_t latents = options.batch * l.full.latent_count;
    l.timesteps = mem_alloc((size_t)options.batch * sizeof *l.timesteps);
    l.latents = floats(latents);
    l.noise = floats(latents);
    l.posterior_noise = floats(latents);
    return l;
}

/* Seeds the generators and creates the dataset. loop_new cannot do this, since the dataset points at the
   generators, which move when loop_new returns the struct. */
static void seed_generators(Loop *l) {
    const LoopOptions *o = &l->options;
    generator_seed(&l->torch, o->seed);
    python_seed(&l->python, o->seed);
    l->dataset = dataset_new(l->data.posteriors->pictures, o->repeats, o->batch, l->data.prompts, o->flip,
                             o->per_image, &l->torch, &l->python);
}

void loop_free(Loop *l) {
    dataset_free(&l->dataset);
    adamw_free(&l->adamw);
    training_step_free(&l->full);
    training_step_free(&l->last);
    free(l->grad);
    free(l->accumulated);
    free(l->latents);
    free(l->noise);
    free(l->posterior_noise);
    free(l->timesteps);
    free(l->rows);
    free(l->sum);
    *l = (Loop) { 0 };
}

int64_t loop_bytes(const Loop *l, int threads) {
    int64_t bytes = plan_bytes(&l->full.plan, threads);
    return l->last.graph ? max_i64(bytes, plan_bytes(&l->last.plan, threads)) : bytes;
}

void loop_plan_within(Loop *l, int64_t bytes, int threads) {
    TrainingStep *steps[2] = { &l->full, &l->last };
    for (int i = 0; i < 2; i++) {
        if (!steps[i]->graph) continue;
        int64_t buffers = bytes - steps[i]->plan.workspace * threads;
        PlanOptions plan = l->plan;
        plan.budget = max_i64(buffers, 1);
        training_step_plan(steps[i], plan);
    }
}

void loop_bind(Loop *l, Arena *arena, int threads) {
    graph_bind(l->full.graph, arena, threads);
    if (l->last.graph) graph_bind(l->last.graph, arena, threads);
    seed_generators(l);
}

int64_t loop_vectors(const Loop *l) {
    return progressive_count(l->options.progressive, l->data.vectors, l->step);
}

/* The last update of an epoch may have fewer micro-batches than the others. */
int64_t loop_micro_batches(const Loop *l) {
    int64_t epoch = dataset_batches(&l->dataset), updates = ceil_div(epoch, l->options.accumulate);
    int64_t rest = l->options.steps % updates;
    return l->options.steps / updates * epoch + rest * l->options.accumulate;
}

/* The draws of line 2, in the script's order: the posterior's noise for the whole batch, the training noise
   for the whole batch, then the timesteps. The trap: for two or more pictures the attention in the
   reference's VAE returns its result in channels-last memory order. The latents inherit this order, and
   torch.randn_like draws the training noise in it. */
static void draw_noise(Loop *l, const Batch *batch) {
    const LoopData *d = &l->data;
    int64_t n = l->full.latent_count, channels = d->unet->config.in_channels;
    generator_randn(&l->torch, l->posterior_noise, batch->count * n);
    if (batch->count > 1 && d->vae->mid_attention)
        generator_randn_channels_last(&l->torch, l->noise,
                                      shape4(batch->count, channels, d->height, d->width));
    else
        generator_randn(&l->torch, l->noise, batch->count * n);
    for (int64_t i = 0; i < batch->count; i++)
        l->timesteps[i] = generator_randint(&l->torch, 0, d->noise_schedule->config.train_timesteps);
}

/* Fills in the batch's example i as example `at` of a training step. */
static void fill_in(Loop *l, const Batch *batch, int64_t i, TrainingStep *s, int64_t at) {
    const LoopData *d = &l->data;
    const Example *e = &batch->examples[i];
    int64_t n = s->latent_count, t = l->timesteps[i];
    float *z = l->latents + i * n;
    posterior_sample(posterior_of(d->posteriors, e->picture, e->flipped), l->posterior_noise + i * n, n,
                     d->vae->scaling_factor, z);
    training_step_set(s, d->noise_schedule, at, z, l->noise + i * n, t);
    loss_weights_set(&l->options.weights, d->noise_schedule, t, n / d->unet->config.in_channels, s->weights,
                     at, mask_weights(d->masks, e->picture, e->flipped));
    const int32_t *y = training_prompts_ids(d->prompts, e->prompt, loop_vectors(l), e->own);
    memcpy(s->ids + at * s->tokens, y, (size_t)s->tokens * sizeof *s->ids);
}

/* Update k = 1, 2, ... of one learned vector, which is number `row`. */
static void update_vector(Loop *l, double lr, int64_t row, int64_t k) {
    const LoopData *d = &l->data;
    int64_t width = d->clip->config.hidden_size, at = row * width;
    if (!sphere_step(&l->options.norm, lr, width, d->learned + at, d->initial + at, l->accumulated + at))
        adamw_step(&l->adamw, &l->options.adamw, lr, k, at, width, d->learned, l->accumulated);
    vectors_rescale(&l->options.norm, 1, width, d->learned + at);
}

/* Line 5: one step of AdamW on the learned vectors: those of the word that learn by now, and those of the
   pictures. Nothing else has a gradient, so nothing else can change. */
static void update(Loop *l) {
    int64_t vectors = l->data.vectors, learning = loop_vectors(l);
    double lr = lr_schedule_at(&l->options.schedule, l->step);
    for (int64_t row = 0; row < learning; row++)
        update_vector(l, lr, row, l->step + 1 - progressive_start(l->options.progressive, row));
    for (int64_t row = vectors; row < vectors + l->data.own; row++) update_vector(l, lr, row, l->step + 1);
    memset(l->accumulated, 0, (size_t)l->adamw.count * sizeof(float));
    l->gathered = 0;
    l->step++;
}

/* Line 1, and all draws of line 2. */
static Batch draw(Loop *l) {
    Batch batch = dataset_next(&l->dataset);
    draw_noise(l, &batch);
    return batch;
}

/* The rest of line 2: fills in the inputs of the graph for the whole batch, without running the networks. */
static TrainingStep *fill_in_all(Loop *l, const Batch *batch) {
    TrainingStep *s = batch->count == l->options.batch ? &l->full : &l->last;
    for (int64_t i = 0; i < batch->count; i++) fill_in(l, batch, i, s, i);
    return s;
}

const TrainingStep *loop_draw(Loop *l) {
    CHECK(!l->options.one_by_one);
    Batch batch = draw(l);
    return fill_in_all(l, &batch);
}

/* Lines 2 to 4 for the whole batch at once: returns its loss and, with `backward`, sets l->grad, unless the
   loss is not finite. */
static float run_batch(Loop *l, const Batch *batch, bool backward) {
    TrainingStep *s = l->latest = fill_in_all(l, batch); /* line 2 */
    float loss = training_step_loss(s);                  /* line 3 */
    if (backward && isfinite(loss))
        training_step_gradient(s, 1.0f / (float)l->options.accumulate); /* line 4 */
    return loss;
}

/* Fills in and runs example i alone. Row i becomes its loss, followed by its part of the batch's gradient
   where `backward` is set and the loss is finite. */
static void run_example(Loop *l, const Batch *batch, int64_t i, bool backward) {
    float *row = l->rows + i * (1 + (backward ? l->adamw.count : 0));
    fill_in(l, batch, i, &l->full, 0);
    row[0] = training_step_loss(&l->full);
    if (!backward || !isfinite(row[0])) return;
    training_step_gradient(&l->full, 1.0f / ((float)l->options.accumulate * (float)batch->count));
    memcpy(row + 1, l->grad, (size_t)l->adamw.count * sizeof *row);
}

/* sum [size] becomes the sum of the rows [count, size], from the first to the last. */
static void add_up(const float *rows, int64_t count, int64_t size, float *sum) {
    for (int64_t k = 0; k < size; k++) {
        double all = 0;
        for (int64_t i = 0; i < count; i++) all += (double)rows[i * size + k];
        sum[k] = (float)all;
    }
}

/* Does the same as run_batch for one example after the other, or for those of this rank, and adds the results
   up in the order of the examples. The batch's loss is the mean of its examples' losses. Returns false when
   the micro-batch was given up, because the ranks end or the weights of this one were changed. */
static bool run_examples(Loop *l, const Batch *batch, bool backward, float *loss) {
    int64_t size = 1 + (backward ? l->adamw.count : 0);
    RankShare mine = ranks_share(batch->count);
    l->latest = &l->full;
    for (int64_t i = mine.first; i < mine.end && ranks_go_on(); i++) run_example(l, batch, i, backward);
    if (!ranks_go_on() || (l->intact && !l->intact(l->user))) return false;
    if (!ranks_gather(l->rows, batch->count, (size_t)size * sizeof *l->rows)) return false;
    if (ranks_own() == 0) add_up(l->rows, batch->count, size, l->sum);
    if (!ranks_copy(l->sum, (size_t)size * sizeof *l->sum)) return false;
    *loss = l->sum[0] / (float)batch->count;
    memcpy(l->grad, l->sum + 1, (size_t)(size - 1) * sizeof *l->grad);
    for (int64_t i = 0; i < batch->count && ranks_own() == 0; i++) {
        if (isfinite(l->rows[i * size])) continue;
        fill_in(l, batch, i, &l->full, 0); /* where training_step_not_finite looks for the fault */
        break;
    }
    return true;
}

/* Lines 2 to 4, in either way. Returns false when the micro-batch was given up. */
static bool run_networks(Loop *l, const Batch *batch, bool backward, float *loss) {
    if (l->options.one_by_one) return run_examples(l, batch, backward, loss);
    *loss = run_batch(l, batch, backward);
    return true;
}

void loop_restart(Loop *l) {
    dataset_free(&l->dataset);
    seed_generators(l);
}

void loop_resume(Loop *l, const Generator *torch, const Twister *python, int64_t taken, int64_t step) {
    l->torch = *torch;
    l->python = *python;
    l->step = step;
    for (int64_t i = 0; i < taken; i++) draw(l);
}

float loop_first_loss(Loop *l) {
    Batch batch = draw(l);
    float loss;
    if (!run_networks(l, &batch, false, &loss)) loss = NAN;
    loop_restart(l);
    return loss;
}

int64_t loop_passes(const Loop *l) {
    return l->options.one_by_one ? ceil_div(l->options.batch, ranks_count()) : 1;
}

LoopRecord loop_next(Loop *l) {
    CHECK(l->step < l->options.steps);
    Batch batch = draw(l); /* line 1, and the draws of line 2 */
    LoopRecord record = { 0 };
    if (!run_networks(l, &batch, true, &record.loss)) { /* lines 2 to 4 */
        l->dataset.taken--;                             /* a resumed run takes this micro-batch again */
        return (LoopRecord) { .given_up = true, .step = l->step };
    }
    if (isfinite(record.loss)) {
        const LoopData *d = &l->data;
        regulariser_add(l->options.regularise, 1.0 / (double)l->options.accumulate, loop_vectors(l),
                        d->clip->config.hidden_size, d->learned, d->initial, l->grad);
        for (int64_t i = 0; i < l->adamw.count; i++) l->accumulated[i] += l->grad[i];
        l->gathered++;
        record.updated = l->gathered == l->options.accumulate || batch.last;
        if (record.updated) update(l); /* line 5 */
    }
    record.step = l->step;
    record.lr = lr_schedule_at(&l->options.schedule, l->step);
    return record;
}
