/* Drawing: from a prompt and a seed to pictures (diffusers' StableDiffusionPipeline with DDIM): start noise,
   a denoising step for each timestep with classifier-free guidance, the VAE's decoder at the end. */
#ifndef TI_SAMPLING_H
#define TI_SAMPLING_H

#include "diffusion/noise_schedule.h"
#include "nn/clip.h"
#include "nn/unet.h"
#include "nn/vae.h"

typedef struct {
    int64_t count, steps;  /* pictures; DDIM steps */
    int64_t height, width; /* pixels, multiples of 8 and of the VAE's factor */
    float guidance, eta;   /* guidance <= 1: no unconditional pass */
    uint64_t seed;
} SamplingOptions;

typedef struct Sampling Sampling;

/* Records and plans all graphs. rows [vectors, D]: the learned vectors that ids >= vocab_size mean, read at
   every run; NULL: none. tokens: the length of a prompt. */
Sampling *sampling_new(const Clip *clip, const Unet *u, const Vae *vae, const NoiseSchedule *d,
                       float *learned, int64_t vectors, int64_t tokens, SamplingOptions options,
                       PlanOptions plan);
void sampling_free(Sampling *d);

/* The bytes that it needs of an arena, and those of the weights it reads. */
int64_t sampling_bytes(const Sampling *d, int threads);
int64_t sampling_weights(const Sampling *d);
/* The operations of a run. */
double sampling_flops(const Sampling *d);
void sampling_bind(Sampling *d, Arena *arena, int threads);
/* The graph of a denoising step, for profiles. */
Graph *sampling_graph(Sampling *d);
/* All three, for reports. */
typedef enum { SAMPLING_TEXT, SAMPLING_DENOISE, SAMPLING_DECODE } SamplingStage;
const Graph *sampling_stage(const Sampling *d, SamplingStage stage, Plan *plan);

typedef struct {
    bool (*step)(void *user, int64_t done,
                 int64_t steps); /* after each denoising step; false stops; NULL: none */
    void (*picture)(void *user, int64_t i,
                    const float *picture); /* picture i, [3, height, width], about -1..1 */
    void *user;
} SamplingEvents;

/* Draws. ids and negative [tokens]: the prompt and what to stay away from ("" as a rule). CHECK: the schedule
   allows so many steps (there is no ddim_fault). False if it was stopped, or, with a line, if numbers come
   out that are not finite. */
bool sampling_run(Sampling *d, const int32_t *ids, const int32_t *negative, const SamplingEvents *events,
                  Messages *errors);

#endif
