/* SPDX-License-Identifier: MIT */
#include "cli/sampler_options.h"

#include <stdlib.h>
#include <string.h>

/* Sets the sampler, and adds a warning when it is not the one that the user may expect. */
static void set_sampler(const SamplerChoice *o, const Model *m, SamplerOptions *out, Messages *warnings) {
    const SchedulerConfig *config = &m->noise_schedule.config;
    const Sampler *own = sampler_of_config(config, &out->converted);
    out->sampler = own;
    if (o->sampler > 0) {
        out->sampler = SAMPLERS[o->sampler - 1];
        out->converted = true;
    } else if (o->steps == STEPS_ALIGN_YOUR_STEPS) {
        out->sampler = sampler_with_align_your_steps();
        out->converted = true;
    } else if (out->converted && config->class_name) {
        messages_add(warnings, "%s: there is no sampler here for its %s%s: %s draws instead", m->folder.path,
                     config->class_name,
                     strcmp(config->class_name, own->classes[0]) == 0 ? " with this algorithm_type" : "",
                     own->name);
    }
    if (out->sampler->distilled && own != out->sampler)
        messages_add(
            warnings,
            "--sampler %s: is for latent consistency models, and this model is not one by its scheduler: "
            "expect blurred pictures",
            out->sampler->name);
}

static bool check_karras(const SamplerChoice *o, const SamplerOptions *s, Messages *errors) {
    if (s->karras == KARRAS_AS_CONFIG) return true;
    if (o->karras && o->steps == STEPS_ALIGN_YOUR_STEPS)
        return messages_add(errors, "--karras: the timesteps of Align Your Steps cannot be spaced otherwise");
    return s->sampler->has_karras || messages_add(errors, "--%s: the sampler %s has no noise levels to space",
                                                  o->karras ? "karras" : "no-karras", s->sampler->name);
}

void sampler_check(const SamplerChoice *o, Messages *errors) {
    if (o->karras && o->no_karras) messages_add(errors, "--karras and --no-karras exclude each other");
}

void sampler_settle(const Command *c, const void *values, const char *steps, SamplerChoice *o) {
    bool named = options_given(c, values, "sampler");
    if (named && !options_given(c, values, steps)) o->steps = 0;
    if (!options_given(c, values, "karras") && (named || o->no_karras || o->steps == STEPS_ALIGN_YOUR_STEPS))
        o->karras = false;
}

bool sampler_choose(const SamplerChoice *o, const char *steps, double strength, const Model *m,
                    SamplerOptions *out, Messages *errors, Messages *warnings) {
    *out = (SamplerOptions) { .eta = (float)o->eta, .strength = strength };
    set_sampler(o, m, out, warnings);
    out->steps = o->steps ? o->steps : out->sampler->steps;
    out->karras = o->no_karras ? KARRAS_OFF : o->karras ? KARRAS_ON : KARRAS_AS_CONFIG;
    if (!check_karras(o, out, errors)) return false;
    if (o->eta > 0 && !out->sampler->has_eta)
        return messages_add(errors, "--eta %g: the sampler %s has no eta, which is of ddim", o->eta,
                            out->sampler->name);
    char *fault = sampler_fault(&m->noise_schedule.config, *out);
    if (!fault) return true;
    char *number =
        out->steps == STEPS_ALIGN_YOUR_STEPS ? mem_string("ays") : mem_format("%lld", (long long)out->steps);
    messages_add(errors, "--sampler %s --%s %s: %s", out->sampler->name, steps, number, fault);
    free(number);
    free(fault);
    return false;
}
