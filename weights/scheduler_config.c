/* scheduler/scheduler_config.json, read as DDIMScheduler.from_config(pipeline.scheduler.config) reads it. All
   of diffusers' scheduler classes share the fields of the noise schedule. Absent keys take DDIM's defaults,
   not those of the class that the file names.

   The trap: StableDiffusionPipeline sets steps_offset to 1 and clip_sample to false, but from_config drops
   keys that the file did not have. So these two values hold only where the file has the key (whatever its
   value there); without it they are DDIM's defaults, 0 and true. This was measured. */
#include <stdlib.h>
#include <string.h>

#include "weights/config.h"
#include "io/object.h"

/* The classes whose noise schedule is DDPM's: diffusers' KarrasDiffusionSchedulers and others that a Stable
   Diffusion pipeline can be saved with. Schedulers for flow matching, discrete tokens and video have noise
   schedules of their own and are refused. */
static const char *const CLASSES[] = { "DDIMScheduler",
                                       "DDIMInverseScheduler",
                                       "DDIMParallelScheduler",
                                       "DDPMScheduler",
                                       "DDPMParallelScheduler",
                                       "PNDMScheduler",
                                       "EulerDiscreteScheduler",
                                       "EulerAncestralDiscreteScheduler",
                                       "LMSDiscreteScheduler",
                                       "HeunDiscreteScheduler",
                                       "KDPM2DiscreteScheduler",
                                       "KDPM2AncestralDiscreteScheduler",
                                       "DPMSolverMultistepScheduler",
                                       "DPMSolverMultistepInverseScheduler",
                                       "DPMSolverSinglestepScheduler",
                                       "DPMSolverSDEScheduler",
                                       "DEISMultistepScheduler",
                                       "UniPCMultistepScheduler",
                                       "SASolverScheduler",
                                       "IPNDMScheduler",
                                       "LCMScheduler",
                                       "TCDScheduler",
                                       "RePaintScheduler",
                                       "EDMEulerScheduler",
                                       "EDMDPMSolverMultistepScheduler",
                                       "CosineDPMSolverMultistepScheduler",
                                       NULL };

/* Keys of other samplers, which DDIMScheduler.from_config drops. */
static const char *const IGNORED[] = { "skip_prk_steps",
                                       "variance_type",
                                       "set_alpha_to_zero",
                                       "solver_order",
                                       "predictor_order",
                                       "corrector_order",
                                       "tau_func",
                                       "algorithm_type",
                                       "solver_type",
                                       "solver_p",
                                       "predict_x0",
                                       "disable_corrector",
                                       "lower_order_final",
                                       "euler_at_final",
                                       "use_karras_sigmas",
                                       "use_exponential_sigmas",
                                       "use_beta_sigmas",
                                       "use_lu_lambdas",
                                       "use_flow_sigmas",
                                       "use_dynamic_shifting",
                                       "time_shift_type",
                                       "flow_shift",
                                       "shift_terminal",
                                       "final_sigmas_type",
                                       "lambda_min_clipped",
                                       "interpolation_type",
                                       "timestep_type",
                                       "sigma_min",
                                       "sigma_max",
                                       "sigma_data",
                                       "sigma_schedule",
                                       "rho",
                                       "eta",
                                       "noise_sampler_seed",
                                       "original_inference_steps",
                                       "timestep_scaling",
                                       NULL };

/* The two numbers of dynamic thresholding, which are read only where it is on. */
static const char *const THRESHOLDS[] = { "dynamic_thresholding_ratio", "sample_max_value", NULL };

const char *const BETA_SCHEDULE_NAMES[] = { [BETAS_LINEAR] = "linear",
                                            [BETAS_SCALED_LINEAR] = "scaled_linear",
                                            [BETAS_COSINE] = "squaredcos_cap_v2",
                                            NULL };
const char *const PREDICTION_NAMES[] = {
    [PREDICT_EPSILON] = "epsilon", [PREDICT_V] = "v_prediction", [PREDICT_SAMPLE] = "sample", NULL
};
const char *const SPACING_NAMES[] = {
    [SPACING_LEADING] = "leading", [SPACING_LINSPACE] = "linspace", [SPACING_TRAILING] = "trailing", NULL
};

static void check_class(JsonObject *o) {
    const json_t *m = object_member(o, "_class_name");
    if (!m) return;
    for (int i = 0; CLASSES[i]; i++)
        if (json_is_string(m) && strcmp(json_string_value(m), CLASSES[i]) == 0) return;
    object_fault(o, "_class_name",
                 "only diffusers' schedulers for Stable Diffusion 1.x and 2.x are supported, such as "
                 "\"DDIMScheduler\" "
                 "and \"PNDMScheduler\"");
}

static void read_trained_betas(JsonObject *o, SchedulerConfig *c) {
    if (object_null(o, "trained_betas")) return;
    const json_t *m = object_member(o, "trained_betas");
    size_t n = (size_t)c->train_timesteps;
    bool ok = json_array_size(m) == n;
    c->trained_betas = mem_alloc(n * sizeof *c->trained_betas);
    for (size_t i = 0; i < n && ok; i++) {
        c->trained_betas[i] = json_number_value(json_array_get(m, i)); /* 0 if it is not a number */
        ok = c->trained_betas[i] > 0 && c->trained_betas[i] < 1;
    }
    if (ok) return;
    object_fault(o, "trained_betas",
                 "null, or %lld numbers (num_train_timesteps) between 0 and 1, are supported",
                 (long long)c->train_timesteps);
    free(c->trained_betas);
    c->trained_betas = NULL;
}

bool scheduler_config_parse(const char *path, const void *text, size_t size, SchedulerConfig *c,
                            Messages *errors, Messages *warnings) {
    int before = errors->count;
    JsonObject o;
    *c = (SchedulerConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    check_class(&o);
    c->train_timesteps = object_int(&o, "num_train_timesteps", 1000, 1, 100000);
    c->beta_start = object_number(&o, "beta_start", 0.0001, 0, 0.999);
    c->beta_end = object_number(&o, "beta_end", 0.02, 0, 0.999);
    c->beta_schedule = (BetaSchedule)object_choice(&o, "beta_schedule", BETAS_LINEAR, BETA_SCHEDULE_NAMES);
    c->prediction = (Prediction)object_choice(&o, "prediction_type", PREDICT_EPSILON, PREDICTION_NAMES);
    c->spacing = (Spacing)object_choice(&o, "timestep_spacing", SPACING_LEADING, SPACING_NAMES);
    c->zero_snr = object_bool(&o, "rescale_betas_zero_snr", false);
    object_int(&o, "steps_offset", 0, 0, 1000); /* only checked: see above */
    c->steps_offset = object_member(&o, "steps_offset") ? 1 : 0;
    object_bool(&o, "clip_sample", true);
    c->clip_sample = !object_member(&o, "clip_sample");
    c->set_alpha_to_one = object_bool(&o, "set_alpha_to_one", true);
    c->clip_sample_range = object_number(&o, "clip_sample_range", 1, 1e-6, 1e6);
    read_trained_betas(&o, c);
    c->thresholding = object_bool(&o, "thresholding", false);
    c->threshold_ratio = c->thresholding ? object_number(&o, THRESHOLDS[0], 0.995, 0, 1) : 0.995;
    c->threshold_max = c->thresholding ? object_number(&o, THRESHOLDS[1], 1, 1e-6, 1e6) : 1;
    object_ignore(&o, THRESHOLDS);
    object_ignore(&o, IGNORED);
    object_finish(&o);
    object_close(&o);
    bool ok = errors->count == before;
    if (!ok) {
        free(c->trained_betas);
        c->trained_betas = NULL;
    }
    return ok;
}
