/* Classifier-free guidance (Ho and Salimans 2022, equation 6). */
#ifndef TI_GUIDANCE_H
#define TI_GUIDANCE_H

#include "io/base.h"

/* eps = eps_theta(z_t, uncond) + s (eps_theta(z_t, cond) - eps_theta(z_t, uncond))

   for each of count floats. s is the guidance scale as diffusers counts it, so that 1 is no guidance; the
   paper's w is s - 1. */
void guide(const float *uncond, const float *cond, float scale, int64_t count, float *out);

#endif
