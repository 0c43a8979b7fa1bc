/* SPDX-License-Identifier: MIT */
/* Classifier-free guidance (Ho and Salimans 2022, equation 6), and two things that go with it. */
#ifndef TI_GUIDANCE_H
#define TI_GUIDANCE_H

#include "io/base.h"

/* eps = eps_theta(z_t, uncond) + s (eps_theta(z_t, cond) - eps_theta(z_t, uncond))

   for each of count floats. s is the guidance scale in diffusers' convention, in which 1 means no
   guidance; the paper's w is s - 1. */
void guide(const float *uncond, const float *cond, float scale, int64_t count, float *out);

/* Guidance makes the prediction larger, which overexposes pictures. This replaces a picture's guided
   prediction eps [count] by

       eps' = phi (std(cond) / std(eps)) eps + (1 - phi) eps

   where cond [count] is the prediction for the prompt and std the standard deviation over the picture's
   floats (Lin et al. 2023, section 3.4; rescale_noise_cfg in diffusers). A constant eps, which has
   no standard deviation, stays as it is. */
void guidance_rescale(const float *cond, float phi, int64_t count, float *eps);

/* The embedding of a guidance scale s, with which a model distilled for latent consistency is conditioned
   (get_guidance_scale_embedding in diffusers). Fills out [dim], for dim >= 4:

       out_i       = sin(1000 (s - 1) f_i)     f_i = 10000^(-i / (h - 1))
       out_(h + i) = cos(1000 (s - 1) f_i)     h = dim / 2 rounded down, i = 0 ... h - 1

   The last float of an odd dim is 0. It differs from the embedding of a timestep, whose cosines come first
   and whose frequencies are 10000^(-i / h). All steps are rounded to fp32 as the reference's are, since the
   arguments are in the thousands. */
void guidance_embedding(double scale, int64_t dim, float *out);

#endif
