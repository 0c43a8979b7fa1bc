#include "diffusion/guidance.h"

void guide(const float *uncond, const float *cond, float scale, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) out[i] = uncond[i] + scale * (cond[i] - uncond[i]);
}
