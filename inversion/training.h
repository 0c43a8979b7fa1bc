/* Textual inversion itself: the loss of the paper's equation 2 as a graph, of which only the learned rows
   move.

       v* = argmin_v  E_{z ~ E(x), y, eps ~ N(0,1), t} || eps - eps_theta(z_t, t, c_theta(y)) ||^2 */
#ifndef TI_TRAINING_H
#define TI_TRAINING_H

#include "nn/clip.h"
#include "diffusion/noise_schedule.h"
#include "nn/unet.h"

/* The step for one batch size: the graph and what is filled in before it runs.
   B batch, S text tokens, L latent channels, h w latent picture, n learned vectors of width D. */
typedef struct {
    Graph *graph;
    Tensor *context, *noise_pred, *loss; /* [B, S, D], [B, L, h, w], [1] */
    Plan plan;
    int64_t batch, tokens, latent_count; /* latent_count = L h w */
    int32_t *ids;                        /* [B, S] */
    float *noisy;                        /* z_t [B, L, h, w] */
    float *timesteps;                    /* [B] */
    float *target;                       /* [B, L, h, w]: the noise, or v */
} TrainingStep;

/* Records and plans. rows [n, D] are the learned vectors and grad their gradient, both the caller's;
   everything else is a Weight, which has none. With options.train false only the loss can be had. */
TrainingStep training_step_new(const Clip *clip, const Unet *unet, float *learned, float *grad,
                               int64_t vectors, int64_t batch, int64_t tokens, int64_t height, int64_t width,
                               PlanOptions options);
void training_step_free(TrainingStep *s);
/* Plans anew; what was bound before is forgotten. */
void training_step_plan(TrainingStep *s, PlanOptions options);

/* Fills in example i: z_t and target from z and noise [L, h, w] at timestep t. */
void training_step_set(TrainingStep *s, const NoiseSchedule *d, int64_t i, const float *z, const float *noise,
                       int64_t t);

/* Runs forward; the loss of the batch. */
float training_step_loss(TrainingStep *s);
/* Then backward: grad = d (loss * weight) / d rows. */
void training_step_gradient(TrainingStep *s, float weight);

/* After a loss that is not finite: where that begins, "in the UNet, first in ...", for a message; free() it.
   too_large: no weight is to blame. */
char *training_step_not_finite(TrainingStep *s, bool *too_large);

#endif
