/* SPDX-License-Identifier: MIT */
/* Early stopping by DVAR (deterministic variance evaluation): Voronov et al., "Is This Loss Informative?
   Faster Text-to-Image Customization by Tracking Objective Dynamics", arXiv 2302.04841. A run ends when a
   loss that has no random choices in it (deterministic_loss in grid_loss.h) has settled:

       Var(L_(n-W+1) ... L_n) / Var(L_1 ... L_n) < e

   L_1 ... L_n are all evaluations of this loss so far, W is the window and e the threshold. Var is the
   variance of a population, which divides by the number of its elements, as numpy's does. While n < W the run
   goes on. */
#ifndef TI_EARLY_STOP_H
#define TI_EARLY_STOP_H

#include "io/base.h"

/* The rule and what it has seen. A run without early stopping has every == 0 and nothing else. */
typedef struct {
    int64_t every;    /* steps between two evaluations; the first is before the first step */
    int64_t window;   /* W, in evaluations */
    double threshold; /* e */
    int64_t count;
    double *losses; /* [count]: losses[i] is that of step i * every */
    int64_t elements;
    float *best;    /* [elements]: the learned vectors of the lowest loss; of several, those of the first */
    bool last_best; /* whether the vectors after the last step of a run, where that is no multiple of every,
                       have a lower loss than best. Their loss is not in the list. */
} EarlyStop;

/* Returns a rule for a run of so many steps, each of `accumulate` micro-batches of `batch` examples. The
   evaluations, those before the first step and after the last included, take at most a tenth of the run's
   time. There are always enough of them that the run can stop before its end, though, which takes more than a
   tenth in a run of less than 144 steps of one example each, or less than 36 steps of four. The window is a
   tenth of the evaluations. */
EarlyStop early_stop_new(int64_t steps, int64_t batch, int64_t accumulate, double threshold);
void early_stop_free(EarlyStop *s);

/* Returns the number of evaluations before the last of so many steps. */
int64_t early_stop_evaluations(const EarlyStop *s, int64_t steps);

/* Appends the loss of the learned vectors [elements] at step count * every, and keeps the vectors when no
   loss so far is as low. */
void early_stop_add(EarlyStop *s, double loss, const float *learned, int64_t elements);

/* Returns the left side of the inequality, or 1 while there are fewer than `window` losses. It is NAN when
   all losses are the same. */
double early_stop_ratio(const double *losses, int64_t count, int64_t window);
/* Whether the run should end after the last evaluation. */
bool early_stop_reached(const EarlyStop *s);

/* Returns the vectors that a run keeps at its end: the best, or `last`, those of the last step, where these
   are the best or the run has no early stopping. */
const float *early_stop_kept(const EarlyStop *s, const float *last);

/* Returns the index of the lowest loss; of several, that of the first. There must be one. */
int64_t early_stop_best(const EarlyStop *s);

#endif
