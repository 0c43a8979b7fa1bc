/* SPDX-License-Identifier: MIT */
/* The configs of a model: what the JSON files of its folder say about the networks and the noise schedule.
   nn/ and diffusion/ are built from this plain data. */
#ifndef TI_CONFIG_H
#define TI_CONFIG_H

#include "io/base.h"

enum { LEVELS_MAX = 8 };

typedef enum { ACT_QUICK_GELU, ACT_GELU } Activation;

/* text_encoder/config.json, transformers' CLIPTextModel. positions is the length of a prompt in tokens. The
   same fields describe CLIP's encoder of pictures, where vocab_size is 0 and positions is one more than the
   number of patches. */
typedef struct {
    int64_t vocab_size, hidden_size, intermediate_size, positions;
    int layers, heads;
    float layer_norm_eps;
    Activation activation;
} ClipConfig;

/* The config.json of a whole CLIP (transformers' CLIPModel), whose two encoders map pictures and texts to
   features of the same space. */
typedef struct {
    ClipConfig text, vision;
    int64_t eos_token_id;           /* of the text encoder; its trap is in nn/clip_model.h */
    int64_t image_size, patch_size; /* the sides in pixels of a picture and of a patch of it */
    int64_t projection_dim;         /* the length of a feature */
} ClipModelConfig;

/* preprocessor_config.json, transformers' CLIPImageProcessor: how a picture becomes the input of CLIP's
   encoder. A pixel's value is (byte * rescale_factor - mean) / std. */
typedef struct {
    int64_t shortest_edge;           /* to which the picture is resized */
    int64_t crop_height, crop_width; /* of the middle that is then cut out */
    double rescale_factor;
    float mean[3], std[3]; /* of each channel */
} PreprocessorConfig;

/* unet/config.json, diffusers' UNet2DConditionModel. A level is one resolution; level 0 is the finest. Down
   and up blocks may differ in whether they attend to the text (have transformers): down_attends[i] belongs to
   down_block_types[i], the finest level first, and up_attends[i] to up_block_types[i], the coarsest level
   first. */
typedef struct {
    int64_t in_channels, out_channels, sample_size, cross_attention_dim;
    int levels;
    int64_t channels[LEVELS_MAX];
    int layers_per_block[LEVELS_MAX];
    bool down_attends[LEVELS_MAX], up_attends[LEVELS_MAX], mid_attends;
    int heads[LEVELS_MAX]; /* heads of attention; the trap: the file calls it attention_head_dim */
    int transformer_layers[LEVELS_MAX]; /* BasicTransformerBlocks in a Transformer2DModel */
    int groups;
    float norm_eps;
    int64_t time_cond_proj_dim; /* length of the guidance scale's embedding, or 0 when the UNet takes none */
    bool linear_projection;     /* whether proj_in and proj_out are linear layers, not 1x1 convolutions */
} UnetConfig;

/* vae/config.json, diffusers' AutoencoderKL. The UNet sees latents times scaling_factor. */
typedef struct {
    int64_t in_channels, out_channels, latent_channels, sample_size;
    int levels;
    int64_t channels[LEVELS_MAX];
    int layers_per_block, groups;
    bool mid_attention, quant_conv, post_quant_conv;
    float scaling_factor;
} VaeConfig;

typedef enum { BETAS_LINEAR, BETAS_SCALED_LINEAR, BETAS_COSINE } BetaSchedule;
/* What the UNet predicts: the noise, v, or the picture itself. A model that predicts the picture can
   generate, but no word can be learned with it, since the reference's script has no target for that. */
typedef enum { PREDICT_EPSILON, PREDICT_V, PREDICT_SAMPLE } Prediction;
typedef enum { SPACING_LEADING, SPACING_LINSPACE, SPACING_TRAILING } Spacing;
/* The names of these enums' values in a config; each list ends with NULL. */
extern const char *const BETA_SCHEDULE_NAMES[], *const PREDICTION_NAMES[], *const SPACING_NAMES[];

/* What a scheduler_config.json says to the samplers that have such a field (diffusion/sampler.h). */
typedef enum { FINAL_SIGMA_ZERO, FINAL_SIGMA_MIN } FinalSigma;
/* ALGORITHM_OTHER is that of a solver which is neither. */
typedef enum { ALGORITHM_DPMPP, ALGORITHM_SDE_DPMPP, ALGORITHM_OTHER } Algorithm;
typedef enum { SOLVER_MIDPOINT, SOLVER_HEUN } SolverType;

/* scheduler/scheduler_config.json. Where a field is absent the value is the default of DDIMScheduler, and
   of DDPMScheduler, with which words are trained; `absent` says so for the fields whose default is not the
   same in every class. Numbers are doubles, as Python's floats are. */
typedef struct {
    const char *class_name; /* of the reference, such as "PNDMScheduler"; NULL when the file has none */
    struct {
        bool beta_start, beta_end, beta_schedule, spacing, steps_offset, clip_sample, set_alpha_to_one;
    } absent;
    int64_t train_timesteps;
    double beta_start, beta_end;
    BetaSchedule beta_schedule;
    double *trained_betas; /* [train_timesteps], or NULL when the betas follow from the fields above */
    bool zero_snr;         /* rescale_betas_zero_snr, which makes the last timestep pure noise */
    Prediction prediction;
    Spacing spacing;
    int64_t steps_offset; /* 1 when the file has the key, with any value, else 0 (scheduler_config.c) */
    bool set_alpha_to_one, clip_sample;
    double clip_sample_range;
    bool thresholding; /* whether x0 is thresholded dynamically instead of clipped (diffusion/predicted.c) */
    double threshold_ratio, threshold_max;
    bool skip_prk_steps; /* of PNDM */
    /* How the sigmas are placed: those of the visited timesteps unless one of the bools is set. */
    bool karras_sigmas, exponential_sigmas, lu_lambdas, beta_sigmas, flow_sigmas, dynamic_shifting;
    bool log_linear;             /* interpolation_type: the logarithms of the sigmas are linear */
    bool continuous;             /* timestep_type: the UNet is given log(sigma) / 4 where it predicts v */
    double sigma_min, sigma_max; /* the ends of Karras' sigmas, 0 for those of the noise schedule */
    FinalSigma final_sigma;
    /* of DPM-Solver */
    Algorithm algorithm;
    SolverType solver;
    int64_t solver_order;
    bool lower_order_final, euler_at_final, learned_variance;
    double lambda_min_clipped; /* -INFINITY for none */
    /* of latent consistency models */
    int64_t original_steps;
    double timestep_scaling;
} SchedulerConfig;

/* Each parses the text of one config file; path is its name in messages. Returns false and adds a message for
   each field whose value is not supported. All unknown keys are named in one warning. An absent key has the
   default of the reference's class (diffusers 0.42.1, transformers 5.23.0). */
bool clip_config_parse(const char *path, const void *text, size_t size, ClipConfig *c, Messages *errors,
                       Messages *warnings);
bool clip_model_config_parse(const char *path, const void *text, size_t size, ClipModelConfig *c,
                             Messages *errors, Messages *warnings);
bool preprocessor_config_parse(const char *path, const void *text, size_t size, PreprocessorConfig *c,
                               Messages *errors, Messages *warnings);
bool unet_config_parse(const char *path, const void *text, size_t size, UnetConfig *c, Messages *errors,
                       Messages *warnings);
bool vae_config_parse(const char *path, const void *text, size_t size, VaeConfig *c, Messages *errors,
                      Messages *warnings);
/* The caller frees c->trained_betas. */
bool scheduler_config_parse(const char *path, const void *text, size_t size, SchedulerConfig *c,
                            Messages *errors, Messages *warnings);
#endif
