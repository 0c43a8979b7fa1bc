/* Sampling: from a prompt and a seed to pictures, as diffusers' StableDiffusionPipeline does with
   DDIMScheduler. The latents begin as noise, each timestep has a denoising step with classifier-free
   guidance, and at the end the VAE's decoder makes pictures of them. */
#ifndef TI_SAMPLING_H
#define TI_SAMPLING_H

#include "diffusion/noise_schedule.h"
#include "nn/clip.h"
#include "nn/unet.h"
#include "nn/vae.h"

typedef struct {
    int64_t count, steps;  /* pictures; DDIM steps */
    int64_t height, width; /* pixels, multiples of 8 and of the VAE's factor */
    float guidance;        /* the guidance scale; up to 1 there is no unconditional pass */
    float eta;             /* of DDIM: 0 adds no noise in a step */
    uint64_t seed;
} SamplingOptions;

typedef struct Sampling Sampling;

/* Records and plans the three graphs (text encoder, UNet, VAE decoder). learned [vectors, D] are the learned
   vectors that ids from vocab_size on stand for, read at every run, or NULL when there are none. tokens is
   the length of a prompt. height and width have to be multiples of the VAE's factor (a CHECK). */
Sampling *sampling_new(const Clip *clip, const Unet *u, const Vae *vae, const NoiseSchedule *noise_schedule,
                       float *learned, int64_t vectors, int64_t tokens, SamplingOptions options,
                       PlanOptions plan);
void sampling_free(Sampling *s);

/* The bytes that the graphs need of an arena, which they share, and the bytes of the weights that they
   read. */
int64_t sampling_bytes(const Sampling *s, int threads);
int64_t sampling_weights(const Sampling *s);
/* The floating-point operations of a whole run. */
double sampling_flops(const Sampling *s);
/* Gives the graphs their memory; must be called before sampling_run. */
void sampling_bind(Sampling *s, Arena *arena, int threads);
/* The graph of a denoising step, for profiles. */
Graph *sampling_graph(Sampling *s);
/* Any of the three graphs and its plan, for reports. */
typedef enum { SAMPLING_TEXT, SAMPLING_DENOISE, SAMPLING_DECODE } SamplingStage;
const Graph *sampling_stage(const Sampling *s, SamplingStage stage, Plan *plan);

/* What sampling_run calls as it goes; `user` is passed on. */
typedef struct {
    /* Called after each denoising step; returning false stops the run. May be NULL. */
    bool (*step)(void *user, int64_t done, int64_t steps);
    /* Called with each finished picture i, [3, height, width], values about -1..1. */
    void (*picture)(void *user, int64_t i, const float *picture);
    void *user;
} SamplingEvents;

/* Generates the pictures. ids and negative [tokens] are the prompt and the negative prompt (usually ""),
   which is read only with guidance. The noise schedule has to allow the number of steps (there is no
   ddim_fault; a CHECK). Returns false when an event stopped the run, and false with a message in errors when
   numbers came out that are not finite. */
bool sampling_run(Sampling *s, const int32_t *ids, const int32_t *negative, const SamplingEvents *events,
                  Messages *errors);

#endif
