/* SPDX-License-Identifier: MIT */
/* Sampling: from a prompt and a seed to pictures, as diffusers' StableDiffusionPipeline does. The latents
   begin as noise, each timestep has a denoising step of the sampler with classifier-free guidance, and at the
   end the VAE's decoder turns the latents into pictures.

   With a picture to begin from it is diffusers' StableDiffusionImg2ImgPipeline: the latents begin as those
   of the picture with the noise of a later step, which the strength chooses, and the steps before it are
   left out. With a mask as well it is StableDiffusionInpaintPipeline (mask.h). */
#ifndef TI_SAMPLING_H
#define TI_SAMPLING_H

#include "diffusion/sampler.h"
#include "nn/clip.h"
#include "nn/unet.h"
#include "nn/vae.h"
#include "text/prompt.h"

typedef struct {
    int64_t count; /* pictures */
    int64_t only;  /* the number, from 1, of the one picture of them that is drawn; 0 for all */
    SamplerOptions sampler;
    int64_t height, width; /* pixels, multiples of 8 and of the VAE's factor */
    double guidance;       /* the guidance scale; up to 1 there is no unconditional pass. A model with
                              time_cond_proj_dim takes it as an embedding and never has that pass. */
    float rescale;         /* phi of guidance_rescale; 0 for none */
    uint64_t seed;
    bool gpu_noise; /* picture i has the noise of a GPU's generator seeded with seed + i, as in A1111 */
    /* What the pictures show, and what they should differ from, which is read only with guidance. Both must
       outlive the sampling. They may be NULL when it is only planned, and then have one chunk each. */
    const Prompt *prompt, *negative;
    const float *latents; /* [count, L, h, w], the initial noise N(0, I), or NULL to draw it */
    /* The picture [3, height, width] from which all pictures begin, with the sampler's strength, or NULL.
       Its latents are drawn from the VAE's posterior: once, or with gpu_noise for each picture. It must
       outlive the sampling. */
    const float *picture;
    /* Which latents are drawn, [h, w]: where it is 0 those of the picture stay. NULL for all. At a
       strength of 1 the latents then begin as noise alone. It must outlive the sampling. */
    const float *mask;
    int64_t preview; /* each how many steps there is a preview of the first picture (preview.h), or 0 */
    /* Whether the sampler is DDIM_INVERSE: the latents begin as the mean of the picture's posterior, and
       sampling_run ends with the noise that sampling_latents returns, without drawing pictures. */
    bool invert;
} SamplingOptions;

typedef struct Sampling Sampling;

/* Records and plans the graphs (text encoder, UNet, VAE decoder, and for a picture the VAE's encoder).
   learned [vectors, D] are the learned vectors, which ids of vocab_size or more stand for. They are read
   in every run; learned is NULL when there are none. tokens is the length of a prompt's chunk. height and
   width have to be multiples of the VAE's factor, which is a CHECK. */
Sampling *sampling_new(const Clip *clip, const Unet *u, const Vae *vae, const NoiseSchedule *noise_schedule,
                       float *learned, int64_t vectors, int64_t tokens, SamplingOptions options,
                       PlanOptions plan);
void sampling_free(Sampling *s);

/* The bytes of the arena that the graphs share, and the bytes of the weights that they read. */
int64_t sampling_bytes(const Sampling *s, int threads);
int64_t sampling_weights(const Sampling *s);
/* The options with which it was made. */
const SamplingOptions *sampling_options(const Sampling *s);
/* The UNet's evaluations for each picture, the steps of which sampling_run tells. */
int64_t sampling_steps(const Sampling *s);
/* The floating-point operations of a whole run. */
double sampling_flops(const Sampling *s);
/* Gives the graphs their memory; must be called before sampling_run. */
void sampling_bind(Sampling *s, Arena *arena, int threads);
/* The graph of a denoising step, for profiles. Where two prompts differ in length it is the prompt's own. */
Graph *sampling_graph(Sampling *s);
typedef enum {
    SAMPLING_TEXT,
    SAMPLING_DENOISE,
    SAMPLING_DECODE,
    SAMPLING_ENCODE,
    SAMPLING_PREVIEW
} SamplingStage;
/* Returns one of the graphs and its plan, for reports: NULL and an empty plan for SAMPLING_ENCODE without
   a picture, and for SAMPLING_PREVIEW without previews. */
const Graph *sampling_stage(const Sampling *s, SamplingStage stage, Plan *plan);

/* The functions that sampling_run calls; `user` is passed on to them. */
typedef struct {
    /* Called after each denoising step; returning false stops the run. May be NULL. */
    bool (*step)(void *user, int64_t done, int64_t steps);
    /* Called with each finished picture i, counted from 0, [3, height, width], whose values are about -1..1.
       */
    void (*picture)(void *user, int64_t i, const float *picture);
    /* Called with each preview, [3, height, width], of the same values; returning false stops the run. */
    bool (*preview)(void *user, const float *picture, int64_t height, int64_t width);
    void *user;
} SamplingEvents;

/* Generates the pictures. sampler_fault must return NULL for the sampler's options. Returns false when
   an event stopped the run. Returns false and adds a message when a result is not finite. */
bool sampling_run(Sampling *s, const SamplingEvents *events, Messages *errors);

/* Returns the latents of all pictures after the last step that was done, [count, L, h, w]. */
const float *sampling_latents(const Sampling *s);

#endif
