/* SPDX-License-Identifier: MIT */
#include "diffusion/mask.h"

#include <string.h>

void mask_from_image(const Image *image, unsigned char *mask) {
    int64_t count = (int64_t)image->width * image->height;
    for (int64_t i = 0; i < count; i++) mask[i] = pixel_brightness(image->rgb + 3 * i) >= 128;
}

int64_t mask_ones(const unsigned char *mask, int64_t count) {
    int64_t ones = 0;
    for (int64_t i = 0; i < count; i++) ones += mask[i];
    return ones;
}

void mask_to_latents(const unsigned char *mask, int64_t height, int64_t width, int64_t factor, float *out) {
    for (int64_t y = 0; y < height / factor; y++)
        for (int64_t x = 0; x < width / factor; x++) *out++ = mask[y * factor * width + x * factor];
}

void mask_blend(const float *mask, const float *kept, int64_t channels, int64_t pixels, float *x) {
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < pixels; i++) {
            int64_t at = c * pixels + i;
            x[at] = (1.0f - mask[i]) * kept[at] + mask[i] * x[at];
        }
}

void mask_paste(const unsigned char *mask, const Image *original, Image *image) {
    CHECK(original->width == image->width && original->height == image->height);
    int64_t count = (int64_t)image->width * image->height;
    for (int64_t i = 0; i < count; i++)
        if (!mask[i]) memcpy(image->rgb + 3 * i, original->rgb + 3 * i, 3);
}
