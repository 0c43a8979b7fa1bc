/* The architecture of a model as the config.json files of its folder state it: plain data from which nn/
   builds the networks. */
#ifndef TI_CONFIG_H
#define TI_CONFIG_H

#include "io/base.h"

enum { LEVELS_MAX = 8 };

typedef enum { ACT_QUICK_GELU, ACT_GELU } Activation;

/* text_encoder/config.json, transformers' CLIPTextModel. positions is the length of a prompt in tokens. */
typedef struct {
    int64_t vocab_size, hidden_size, intermediate_size, positions;
    int layers, heads;
    float layer_norm_eps;
    Activation activation;
} ClipConfig;

/* unet/config.json, diffusers' UNet2DConditionModel. A level is one resolution; level 0 is the finest. Down
   and up blocks may differ in whether they attend to the text (have transformers): down_attends[i] is about
   down_block_types[i], the finest level first, and up_attends[i] about up_block_types[i], the coarsest level
   first. */
typedef struct {
    int64_t in_channels, out_channels, sample_size, cross_attention_dim;
    int levels;
    int64_t channels[LEVELS_MAX];
    int layers_per_block[LEVELS_MAX];
    bool down_attends[LEVELS_MAX], up_attends[LEVELS_MAX], mid_attends;
    int heads[LEVELS_MAX];              /* of attention; the trap: the file calls it attention_head_dim */
    int transformer_layers[LEVELS_MAX]; /* BasicTransformerBlocks in a Transformer2DModel */
    int groups;
    float norm_eps;
    bool linear_projection; /* proj_in and proj_out are linear layers instead of 1x1 convolutions */
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
/* What the UNet predicts: the noise, v, or the picture itself. With the last one a model can generate, but
   not be trained with, since the reference's script has no target for it. */
typedef enum { PREDICT_EPSILON, PREDICT_V, PREDICT_SAMPLE } Prediction;
typedef enum { SPACING_LEADING, SPACING_LINSPACE, SPACING_TRAILING } Spacing;
/* The names of these enums' values in a config, ended by NULL. */
extern const char *const BETA_SCHEDULE_NAMES[], *const PREDICTION_NAMES[], *const SPACING_NAMES[];

/* scheduler/scheduler_config.json: the noise schedule, and what DDIMScheduler.from_config makes of the other
   keys. Numbers are doubles, as Python's floats are. */
typedef struct {
    int64_t train_timesteps;
    double beta_start, beta_end;
    BetaSchedule beta_schedule;
    double *trained_betas; /* [train_timesteps], or NULL: then the betas follow from the fields above */
    bool zero_snr;         /* rescale_betas_zero_snr: the last timestep is pure noise */
    Prediction prediction;
    Spacing spacing;
    int64_t steps_offset; /* 1 where the file has the key, whatever its value, else 0 (scheduler_config.c) */
    bool set_alpha_to_one, clip_sample;
    double clip_sample_range;
    bool thresholding; /* dynamic thresholding, instead of clipping (diffusion/ddim.c) */
    double threshold_ratio, threshold_max;
} SchedulerConfig;

/* Each reads the text of one config.json, which path names in messages. Returns false and adds a message for
   each field whose value is not supported. All unknown keys together add one warning. An absent key has the
   default of the reference's class (diffusers 0.42.1, transformers 5.23.0). */
bool clip_config_parse(const char *path, const void *text, size_t size, ClipConfig *c, Messages *errors,
                       Messages *warnings);
bool unet_config_parse(const char *path, const void *text, size_t size, UnetConfig *c, Messages *errors,
                       Messages *warnings);
bool vae_config_parse(const char *path, const void *text, size_t size, VaeConfig *c, Messages *errors,
                      Messages *warnings);
/* The caller frees c->trained_betas. */
bool scheduler_config_parse(const char *path, const void *text, size_t size, SchedulerConfig *c,
                            Messages *errors, Messages *warnings);
#endif
