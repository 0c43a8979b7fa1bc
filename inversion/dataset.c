/* SPDX-License-Identifier: MIT */
/* The timeline of all random draws is at the top of dataset.h. */
#include "inversion/dataset.h"

#include <stdlib.h>

Dataset dataset_new(int64_t pictures, int64_t repeats, int64_t batch, const TrainingPrompts *prompts,
                    bool flip, double per_image, Generator *torch, Twister *python) {
    Dataset d = { .pictures = pictures,
                  .repeats = repeats,
                  .batch = batch,
                  .prompts = prompts,
                  .flip = flip,
                  .per_image = per_image };
    d.torch = torch;
    d.python = python;
    d.epoch_torch = *torch; /* a state may be saved before the first epoch begins */
    d.epoch_python = *python;
    d.order = mem_alloc((size_t)(pictures * repeats) * sizeof *d.order);
    d.fetched = pictures * repeats; /* no epoch has begun */
    d.current.examples = mem_alloc((size_t)batch * sizeof(Example));
    d.ahead.examples = mem_alloc((size_t)batch * sizeof(Example));
    return d;
}

void dataset_free(Dataset *d) {
    free(d->order);
    free(d->current.examples);
    free(d->ahead.examples);
    *d = (Dataset) { 0 };
}

int64_t dataset_batches(const Dataset *d) { return ceil_div(d->pictures * d->repeats, d->batch); }

/* DataLoader.__iter__ draws a base seed for its worker processes, although there are none. Then RandomSampler
   draws the seed for a generator of its own, which makes the permutation. */
static void start_epoch(Dataset *d) {
    d->epoch_torch = *d->torch;
    d->epoch_python = *d->python;
    d->taken = 0;
    generator_u64(d->torch); /* the base seed */
    uint64_t seed = generator_u64(d->torch);
    Generator sampler;
    generator_seed(&sampler, seed);
    generator_randperm(&sampler, d->order, d->pictures * d->repeats);
    d->fetched = 0;
}

/* The script's Dataset.__getitem__ for each example of a batch: random.choice draws the template from
   Python's generator, and RandomHorizontalFlip draws the flip from torch's. */
static void fetch(Dataset *d, Batch *b) {
    int64_t all = d->pictures * d->repeats;
    b->count = min_i64(d->batch, all - d->fetched);
    for (int64_t i = 0; i < b->count; i++) {
        Example *e = &b->examples[i];
        e->picture = d->order[d->fetched++] % d->pictures;
        e->prompt = training_prompts_first(d->prompts, e->picture) +
                    python_choice(d->python, training_prompts_count(d->prompts, e->picture));
        e->own = d->per_image > 0 && python_random(d->python) < d->per_image;
        /* The number is drawn even where flipping is off, as RandomHorizontalFlip(p=0) does. */
        float u;
        generator_rand(d->torch, &u, 1);
        e->flipped = d->flip && u < 0.5f;
    }
    b->last = d->fetched == all;
}

Batch dataset_next(Dataset *d) {
    if (d->ahead.count == 0) { /* at the beginning, and after an epoch's last batch */
        start_epoch(d);
        fetch(d, &d->ahead);
    }
    /* The batch that was fetched ahead becomes the current one. The two exchange their arrays, so that the
       next one is fetched into the array of the batch that has been used. */
    Batch batch = d->ahead;
    d->ahead = d->current;
    d->current = batch;
    d->ahead.count = 0;
    d->taken++;
    /* accelerate fetches the next batch before it hands out this one, so its draws come before the noise. */
    if (!batch.last) fetch(d, &d->ahead);
    return batch;
}
