/* SPDX-License-Identifier: MIT */
/* Parses scheduler/scheduler_config.json. Each of diffusers' scheduler classes reads a part of its fields;
   here all are kept that a sampler in diffusion/ reads, which gives the absent ones the defaults of its
   class.

   The trap: StableDiffusionPipeline sets steps_offset to 1 and clip_sample to false, but from_config,
   which converts the pipeline's config to another class, drops keys that the file did not have. So after a
   conversion these two values hold only if the file has the key, whatever its value; otherwise the
   defaults of the class are used, 0 and, for DDIM, true. We found this by measuring. */
#include <math.h>
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

/* Keys of samplers that are not in diffusion/. */
static const char *const IGNORED[] = { "set_alpha_to_zero",
                                       "predictor_order",
                                       "corrector_order",
                                       "tau_func",
                                       "solver_p",
                                       "predict_x0",
                                       "disable_corrector",
                                       "time_shift_type",
                                       "flow_shift",
                                       "shift_terminal",
                                       "sigma_data",
                                       "sigma_schedule",
                                       "rho",
                                       "eta",
                                       "noise_sampler_seed",
                                       NULL };

/* The two numbers of dynamic thresholding, which are read only when it is on. */
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

static const char *read_class(JsonObject *o) {
    const json_t *m = object_member(o, "_class_name");
    if (!m) return NULL;
    for (int i = 0; CLASSES[i]; i++)
        if (json_is_string(m) && strcmp(json_string_value(m), CLASSES[i]) == 0) return CLASSES[i];
    object_fault(o, "_class_name",
                 "only diffusers' schedulers for Stable Diffusion 1.x and 2.x are supported, such as "
                 "\"DDIMScheduler\" "
                 "and \"PNDMScheduler\"");
    return NULL;
}

/* The four functions return `absent` also where the member is null, as in configs of classes to which it is
   optional. */
static bool read_flag(JsonObject *o, const char *key, bool absent) {
    return object_null(o, key) ? absent : object_bool(o, key, absent);
}

static double read_number(JsonObject *o, const char *key, double absent, double low, double high) {
    return object_null(o, key) ? absent : object_number(o, key, absent, low, high);
}

static int64_t read_int(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high) {
    return object_null(o, key) ? absent : object_int(o, key, absent, low, high);
}

static int read_choice(JsonObject *o, const char *key, const char *const names[]) {
    return object_null(o, key) ? 0 : object_choice(o, key, 0, names);
}

static void read_sigmas(JsonObject *o, SchedulerConfig *c) {
    static const char *const finals[] = { "zero", "sigma_min", NULL };
    static const char *const interpolations[] = { "linear", "log_linear", NULL };
    static const char *const types[] = { "discrete", "continuous", NULL };
    c->karras_sigmas = read_flag(o, "use_karras_sigmas", false);
    c->exponential_sigmas = read_flag(o, "use_exponential_sigmas", false);
    c->beta_sigmas = read_flag(o, "use_beta_sigmas", false);
    c->lu_lambdas = read_flag(o, "use_lu_lambdas", false);
    c->flow_sigmas = read_flag(o, "use_flow_sigmas", false);
    c->dynamic_shifting = read_flag(o, "use_dynamic_shifting", false);
    c->final_sigma = (FinalSigma)read_choice(o, "final_sigmas_type", finals);
    c->log_linear = read_choice(o, "interpolation_type", interpolations) == 1;
    c->continuous = read_choice(o, "timestep_type", types) == 1;
    c->sigma_min = read_number(o, "sigma_min", 0, 1e-6, 1e6);
    c->sigma_max = read_number(o, "sigma_max", 0, 1e-6, 1e6);
}

/* Names that belong to other solvers are taken as DPMSolverMultistepScheduler takes them. */
static void read_solver(JsonObject *o, SchedulerConfig *c) {
    static const char *const algorithms[] = {
        "dpmsolver++",     "sde-dpmsolver++",  "dpmsolver", "sde-dpmsolver",
        "data_prediction", "noise_prediction", "deis",      NULL
    };
    static const char *const solvers[] = { "midpoint", "heun", "logrho", "bh1", "bh2", NULL };
    int algorithm = read_choice(o, "algorithm_type", algorithms),
        solver = read_choice(o, "solver_type", solvers);
    c->algorithm =
        algorithm == 6 ? ALGORITHM_DPMPP : (Algorithm)(algorithm < 2 ? algorithm : ALGORITHM_OTHER);
    c->solver = solver == 1 ? SOLVER_HEUN : SOLVER_MIDPOINT;
    c->solver_order = read_int(o, "solver_order", 2, 1, 1000);
    c->lower_order_final = read_flag(o, "lower_order_final", true);
    c->euler_at_final = read_flag(o, "euler_at_final", false);
    c->lambda_min_clipped = read_number(o, "lambda_min_clipped", -INFINITY, -1e6, 1e6);
    const char *variance = object_null(o, "variance_type") ? "" : object_string(o, "variance_type", "");
    c->learned_variance = strcmp(variance, "learned") == 0 || strcmp(variance, "learned_range") == 0;
}

static void read_absent(JsonObject *o, SchedulerConfig *c) {
    c->absent.beta_start = !object_member(o, "beta_start");
    c->absent.beta_end = !object_member(o, "beta_end");
    c->absent.beta_schedule = !object_member(o, "beta_schedule");
    c->absent.spacing = !object_member(o, "timestep_spacing");
    c->absent.steps_offset = !object_member(o, "steps_offset");
    c->absent.clip_sample = !object_member(o, "clip_sample");
    c->absent.set_alpha_to_one = !object_member(o, "set_alpha_to_one");
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
    c->class_name = read_class(&o);
    read_absent(&o, c);
    c->train_timesteps = object_int(&o, "num_train_timesteps", 1000, 1, 100000);
    c->beta_start = object_number(&o, "beta_start", 0.0001, 0, 0.999);
    c->beta_end = object_number(&o, "beta_end", 0.02, 0, 0.999);
    c->beta_schedule = (BetaSchedule)object_choice(&o, "beta_schedule", BETAS_LINEAR, BETA_SCHEDULE_NAMES);
    c->prediction = (Prediction)object_choice(&o, "prediction_type", PREDICT_EPSILON, PREDICTION_NAMES);
    c->spacing = (Spacing)object_choice(&o, "timestep_spacing", SPACING_LEADING, SPACING_NAMES);
    c->zero_snr = object_bool(&o, "rescale_betas_zero_snr", false);
    object_int(&o, "steps_offset", 0, 0, 1000); /* only checks it; see above */
    c->steps_offset = c->absent.steps_offset ? 0 : 1;
    object_bool(&o, "clip_sample", true);
    c->clip_sample = c->absent.clip_sample;
    c->set_alpha_to_one = object_bool(&o, "set_alpha_to_one", true);
    c->clip_sample_range = object_number(&o, "clip_sample_range", 1, 1e-6, 1e6);
    read_trained_betas(&o, c);
    c->thresholding = object_bool(&o, "thresholding", false);
    c->threshold_ratio = c->thresholding ? object_number(&o, THRESHOLDS[0], 0.995, 0, 1) : 0.995;
    c->threshold_max = c->thresholding ? object_number(&o, THRESHOLDS[1], 1, 1e-6, 1e6) : 1;
    c->skip_prk_steps = read_flag(&o, "skip_prk_steps", false);
    c->original_steps = read_int(&o, "original_inference_steps", 50, 1, 100000);
    c->timestep_scaling = read_number(&o, "timestep_scaling", 10, 0, 1e6);
    read_sigmas(&o, c);
    read_solver(&o, c);
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
