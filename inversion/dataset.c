#include "inversion/dataset.h"

#include <stdlib.h>

Dataset dataset_new(int64_t pictures, int64_t repeats, int64_t batch, int64_t templates, bool flip,
                    Generator *torch, Twister *python) {
    Dataset d = {
        .pictures = pictures, .repeats = repeats, .batch = batch, .templates = templates, .flip = flip
    };
    d.torch = torch;
    d.python = python;
    d.epoch_torch = *torch; /* for a state that is saved before the first epoch */
    d.epoch_python = *python;
    d.order = mem_alloc((size_t)(pictures * repeats) * sizeof *d.order);
    d.fetched = pictures * repeats; /* no epoch is under way */
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

int64_t dataset_last_batch(const Dataset *d) {
    return d->pictures * d->repeats - (dataset_batches(d) - 1) * d->batch;
}

/* DataLoader.__iter__ draws a base seed for workers that there are none of, then RandomSampler a seed for a
   generator of its own, which makes the permutation. */
static void start_epoch(Dataset *d) {
    d->epoch_torch = *d->torch;
    d->epoch_python = *d->python;
    d->taken = 0;
    generator_u64(d->torch);
    uint64_t seed = generator_u64(d->torch);
    Generator sampler;
    generator_seed(&sampler, seed);
    generator_randperm(&sampler, d->order, d->pictures * d->repeats);
    d->fetched = 0;
}

/* The dataset's __getitem__, example by example: the template from Python's generator, the flip from
   torch's. */
static void fetch(Dataset *d, Batch *b) {
    int64_t all = d->pictures * d->repeats;
    b->count = min_i64(d->batch, all - d->fetched);
    for (int64_t i = 0; i < b->count; i++) {
        Example *e = &b->examples[i];
        e->picture = d->order[d->fetched++] % d->pictures;
        e->template = python_choice(d->python, d->templates);
        float u;
        generator_rand(d->torch, &u,
                       1); /* drawn whether or not flipping is wanted, as with a probability of 0 */
        e->flipped = d->flip && u < 0.5f;
    }
    b->last = d->fetched == all;
}

Batch dataset_next(Dataset *d) {
    if (d->ahead.count == 0) {
        start_epoch(d);
        fetch(d, &d->ahead);
    }
    Batch batch = d->ahead;
    d->ahead = d->current;
    d->current = batch;
    d->ahead.count = 0;
    d->taken++;
    if (!batch.last) fetch(d, &d->ahead); /* accelerate: to know which batch is the last */
    return batch;
}
