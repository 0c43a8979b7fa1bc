/* The architecture of a model as its folder's config.json files state it: plain data that nn/ builds from. */
#ifndef TI_CONFIG_H
#define TI_CONFIG_H

#include "io/base.h"

enum { LEVELS_MAX = 8 };

typedef enum { ACT_QUICK_GELU, ACT_GELU } Activation;

/* CLIPTextModel */
typedef struct {
    int64_t vocab_size, hidden_size, intermediate_size, positions;
    int layers, heads;
    float layer_norm_eps;
    Activation activation;
} ClipConfig;

/* UNet2DConditionModel. A level is one resolution, 0 the finest; down and up blocks may differ in whether
   they attend. up_attends[i] is of up_block_types[i], coarsest first as there. */
typedef struct {
    int64_t in_channels, out_channels, sample_size, cross_attention_dim;
    int levels;
    int64_t channels[LEVELS_MAX];
    int layers_per_block[LEVELS_MAX];
    bool down_attends[LEVELS_MAX], up_attends[LEVELS_MAX], mid_attends;
    int heads[LEVELS_MAX];              /* attention_head_dim in SD 1.x's config is this number */
    int transformer_layers[LEVELS_MAX]; /* BasicTransformerBlocks in a Transformer2DModel */
    int groups;
    float norm_eps;
    bool linear_projection;
} UnetConfig;

/* AutoencoderKL */
typedef struct {
    int64_t in_channels, out_channels, latent_channels, sample_size;
    int levels;
    int64_t channels[LEVELS_MAX];
    int layers_per_block, groups;
    bool mid_attention, quant_conv, post_quant_conv;
    float scaling_factor;
} VaeConfig;

typedef enum { BETAS_LINEAR, BETAS_SCALED_LINEAR, BETAS_COSINE } BetaSchedule;
/* The noise, v, or the picture itself, which a model can draw with and not be trained with. */
typedef enum { PREDICT_EPSILON, PREDICT_V, PREDICT_SAMPLE } Prediction;
typedef enum { SPACING_LEADING, SPACING_LINSPACE, SPACING_TRAILING } Spacing;
/* Their names in a config, which NULL closes. */
extern const char *const BETA_SCHEDULE_NAMES[], *const PREDICTION_NAMES[], *const SPACING_NAMES[];

/* The scheduler's noise schedule, and what DDIMScheduler.from_config makes of the rest. Doubles: Python's
   floats. */
typedef struct {
    int64_t train_timesteps;
    double beta_start, beta_end;
    BetaSchedule beta_schedule;
    double *trained_betas; /* [train_timesteps] or NULL */
    bool zero_snr;         /* rescale_betas_zero_snr: the last timestep is pure noise */
    Prediction prediction;
    Spacing spacing;
    int64_t steps_offset; /* 1 where the file has the key, whatever it says, else 0: see scheduler_config.c */
    bool set_alpha_to_one, clip_sample;
    double clip_sample_range;
    bool thresholding; /* instead of clipping: see ddim.c */
    double threshold_ratio, threshold_max;
} SchedulerConfig;

/* Each reads the text of one config.json; path names it in messages. A line in errors for each field whose
   value is not supported, then false; one in warnings for all the keys nobody knows. Keys that are absent
   have the default of the reference's class (diffusers 0.42.1, transformers 5.23.0). */
bool clip_config_parse(const char *path, const void *text, size_t size, ClipConfig *c, Messages *errors,
                       Messages *warnings);
bool unet_config_parse(const char *path, const void *text, size_t size, UnetConfig *c, Messages *errors,
                       Messages *warnings);
bool vae_config_parse(const char *path, const void *text, size_t size, VaeConfig *c, Messages *errors,
                      Messages *warnings);
/* free() trained_betas */
bool scheduler_config_parse(const char *path, const void *text, size_t size, SchedulerConfig *c,
                            Messages *errors, Messages *warnings);
#endif
