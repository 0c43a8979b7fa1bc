/* SPDX-License-Identifier: MIT */
/* What the two Euler samplers share (euler.c). */
#ifndef TI_EULER_H
#define TI_EULER_H

#include "diffusion/sampler.h"

void euler_plan(Trajectory *t);
/* The latents are the picture plus sigma n. */
void euler_mix(const Trajectory *t, int64_t k, float *picture, float *noise);
float euler_input_divisor(const Trajectory *t, int64_t k);
/* Returns (x - x0) / sigma for one number of the latents and of the UNet's output. */
float euler_direction(const Trajectory *t, float sigma, float x, float output);

#endif
