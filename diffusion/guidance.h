#ifndef TI_GUIDANCE_H
#define TI_GUIDANCE_H

#include "io/base.h"

/* eps = uncond + scale (cond - uncond), classifier-free guidance (Ho and Salimans 2022) */
void guide(const float *uncond, const float *cond, float scale, int64_t count, float *out);

#endif
