/* scheduler/scheduler_config.json, as DDIMScheduler.from_config(pipeline.scheduler.config) takes it over. The
   schedulers' classes share the fields of the noise schedule, and absent keys take DDIM's defaults, not those of the
   class in the file.

   The trap: StableDiffusionPipeline sets steps_offset to 1 and clip_sample to false, but from_config drops what the
   file did not have. So both hold only where the file has the key; else it is DDIM's 0 and true (measured). */
#include <stdlib.h>
#include <string.h>

#include "weights/config.h"
#include "io/object.h"

static const char *const CLASSES[] = { "DDIMScheduler",
                                       "PNDMScheduler",
                                       "DDPMScheduler",
                                       "EulerDiscreteScheduler",
                                       "EulerAncestralDiscreteScheduler",
                                       "LMSDiscreteScheduler",
                                       "HeunDiscreteScheduler",
                                       "DPMSolverMultistepScheduler",
                                       "DPMSolverSinglestepScheduler",
                                       "DEISMultistepScheduler",
                                       "UniPCMultistepScheduler",
                                       "KDPM2DiscreteScheduler",
                                       "KDPM2AncestralDiscreteScheduler",
                                       NULL };

static const JsonFixed FIXED[] = {
    { "timestep_spacing", "\"leading\"", NULL },
    { "rescale_betas_zero_snr", "false", NULL },
    { "thresholding", "false", NULL },
    { "use_flow_sigmas", "false", NULL },
};

/* They steer other samplers, or parts that FIXED rules out. */
static const char *const IGNORED[] = { "skip_prk_steps",
                                       "variance_type",
                                       "dynamic_thresholding_ratio",
                                       "sample_max_value",
                                       "solver_order",
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
                                       "use_dynamic_shifting",
                                       "time_shift_type",
                                       "flow_shift",
                                       "final_sigmas_type",
                                       "lambda_min_clipped",
                                       "interpolation_type",
                                       "timestep_type",
                                       "sigma_min",
                                       "sigma_max",
                                       NULL };

static void read_trained_betas(JsonObject *o, SchedulerConfig *c) {
    if (object_null(o, "trained_betas")) return;
    const json_t *m = object_member(o, "trained_betas");
    size_t n = (size_t)c->train_timesteps;
    bool ok = json_array_size(m) == n;
    c->trained_betas = mem_alloc(n * sizeof *c->trained_betas);
    for (size_t i = 0; i < n && ok; i++) {
        c->trained_betas[i] = json_number_value(json_array_get(m, i)); /* 0 of what is no number */
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
    static const char *const schedules[] = {
        [BETAS_LINEAR] = "linear", [BETAS_SCALED_LINEAR] = "scaled_linear", NULL
    };
    static const char *const predictions[] = {
        [PREDICT_EPSILON] = "epsilon", [PREDICT_V] = "v_prediction", NULL
    };
    int before = errors->count;
    JsonObject o;
    *c = (SchedulerConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    object_choice(&o, "_class_name", 0, CLASSES);
    c->train_timesteps = object_int(&o, "num_train_timesteps", 1000, 1, 100000);
    c->beta_start = object_number(&o, "beta_start", 0.0001, 0, 0.999);
    c->beta_end = object_number(&o, "beta_end", 0.02, 0, 0.999);
    c->beta_schedule = (BetaSchedule)object_choice(&o, "beta_schedule", BETAS_LINEAR, schedules);
    c->prediction = (Prediction)object_choice(&o, "prediction_type", PREDICT_EPSILON, predictions);
    object_int(&o, "steps_offset", 0, 0, 1000); /* checked, not used */
    c->steps_offset = object_member(&o, "steps_offset") ? 1 : 0;
    object_bool(&o, "clip_sample", true);
    c->clip_sample = !object_member(&o, "clip_sample");
    c->set_alpha_to_one = object_bool(&o, "set_alpha_to_one", true);
    c->clip_sample_range = object_number(&o, "clip_sample_range", 1, 1e-6, 1e6);
    read_trained_betas(&o, c);
    object_fixed(&o, FIXED, sizeof FIXED / sizeof *FIXED);
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
