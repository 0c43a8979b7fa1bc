/* SPDX-License-Identifier: MIT */
/* Progressive extension (section 5.1 of the paper): a word of several vectors begins with one, and every P
   steps the next one joins it. A prompt then contains the vectors that have joined, and no others change. P
   is 2000 in the paper; here P = 0 stands for no extension, with all vectors from the first step on. */
#ifndef TI_PROGRESSIVE_H
#define TI_PROGRESSIVE_H

#include "io/base.h"

/* Returns the step k P at which vector k = 0, 1, ... joins. */
int64_t progressive_start(int64_t p, int64_t k);

/* Returns how many of n vectors learn in a step, counted from 0: min(n, 1 + floor(step / P)). */
int64_t progressive_count(int64_t p, int64_t n, int64_t step);

/* Returns how many have learned after so many steps, which is how many a word has that is saved then. Before
   the first step it is one. */
int64_t progressive_learned(int64_t p, int64_t n, int64_t steps);

#endif
