/* SPDX-License-Identifier: MIT */
#include "exchange/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/torch_file.h"

static bool has(const Safetensors *s, const char *name) { return safetensors_find(s, name) != NULL; }

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* Returns the first tensor whose name begins with prefix and ends with suffix, or NULL. */
static const SafeTensor *find_like(const Safetensors *s, const char *prefix, const char *suffix) {
    for (int64_t i = 0; i < s->count; i++)
        if (begins(s->tensors[i].weight.name, prefix) && text_ends_with(s->tensors[i].weight.name, suffix))
            return &s->tensors[i];
    return NULL;
}

static int64_t dimension(const SafeTensor *t, int d) {
    return t && 0 <= d && d < t->weight.shape.rank ? t->weight.shape.dim[d] : 0;
}

static int64_t last_dimension(const SafeTensor *t) { return t ? dimension(t, t->weight.shape.rank - 1) : 0; }

/* Models that are not supported. Each is recognised by a tensor whose name begins with prefix and ends with
   suffix; the first row that matches counts. */
static const struct {
    const char *prefix, *suffix, *description;
} OTHERS[] = {
    { "conditioner.embedders.", "", "a Stable Diffusion XL checkpoint in one file" },
    { "model.diffusion_model.joint_blocks.", "", "a Stable Diffusion 3 checkpoint in one file" },
    { "joint_blocks.", "", "the transformer of Stable Diffusion 3" },
    { "model.diffusion_model.double_blocks.", "", "a Flux checkpoint in one file" },
    { "double_blocks.", "", "the transformer of Flux" },
    { "transformer_blocks.", ".attn.add_q_proj.weight", "the transformer of Stable Diffusion 3 or Flux" },
    { "control_model.", "", "a ControlNet" },
    { "controlnet_", "", "a ControlNet" },
    { "lora_", "", "a LoRA" },
    { "", ".lora_A.weight", "a LoRA" },
    { "", ".lora_down.weight", "a LoRA" },
    { "", ".lora.down.weight", "a LoRA" },
    { "model.diffusion_model.label_emb.", "", "an unCLIP checkpoint of Stable Diffusion 2.x in one file" },
    { "model.diffusion_model.time_embed.cond_proj.", "", "a latent consistency model in one file" },
};

/* Describes a checkpoint by the number of the UNet's input channels. Returns NULL for any other number, such
   as the 4 of a text-to-image model. */
static const char *by_channels(int64_t channels) {
    return channels == 9   ? "an inpainting checkpoint (9 input channels)"
           : channels == 8 ? "an InstructPix2Pix checkpoint (8 input channels)"
           : channels == 7 ? "an upscaler's checkpoint (7 input channels)"
           : channels == 5 ? "a depth-to-image checkpoint (5 input channels)"
                           : NULL;
}

/* Names a model by the width of its text context, which is the input width of the cross-attention's key
   projection. Returns other for an unknown width. */
static const char *by_width(int64_t width, const char *other) {
    return width == 768                     ? "Stable Diffusion 1.x"
           : width == 1024                  ? "Stable Diffusion 2.x"
           : width == 2048 || width == 1280 ? "Stable Diffusion XL"
                                            : other;
}

/* Describes a file in the original layout by the parts that it has. unet is any of the UNet's tensors, or
   NULL when there is none. */
static Family original_family(const Safetensors *s, const SafeTensor *unet) {
    Family f = { 0 };
    const char *other =
        by_channels(dimension(safetensors_find(s, "model.diffusion_model.input_blocks.0.0.weight"), 1));
    int64_t width = last_dimension(find_like(s, "model.diffusion_model.", ".attn2.to_k.weight"));
    bool vae = find_like(s, "first_stage_model.", ""), text = find_like(s, "cond_stage_model.", "");
    const char *of = by_width(width, "a model with Stable Diffusion's architecture");
    f.checkpoint = unet && text && !other && width != 2048 && width != 1280;
    f.vae = vae;
    if (unet && other)
        snprintf(f.text, sizeof f.text, "%s in one file (original layout)", other);
    else if (!unet)
        snprintf(f.text, sizeof f.text, "%s%s%s alone, in the original layout",
                 vae ? "an autoencoder (VAE)" : "", vae && text ? " and " : "", text ? "a text encoder" : "");
    else if (f.checkpoint && vae)
        snprintf(f.text, sizeof f.text, "a checkpoint of %s in one file (original layout)", of);
    else
        snprintf(f.text, sizeof f.text, "part of a checkpoint of %s in one file (original layout)%s%s", of,
                 vae ? "" : ", without a VAE (first_stage_model)",
                 text ? "" : ", without a text encoder (cond_stage_model)");
    return f;
}

static Family alone(const char *what) {
    Family f = { 0 };
    snprintf(f.text, sizeof f.text, "%s", what);
    return f;
}

static Family family_of(const Safetensors *s) {
    static const char *const embeddings[] = { "embeddings.token_embedding.weight",
                                              "text_model.embeddings.token_embedding.weight" };
    Family f = { 0 };
    if (has(s, "clip_l") || has(s, "clip_g")) return alone("a learned word for Stable Diffusion XL or 3");
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        if (find_like(s, OTHERS[i].prefix, OTHERS[i].suffix)) return alone(OTHERS[i].description);
    const SafeTensor *unet = find_like(s, "model.diffusion_model.", "");
    if (unet || find_like(s, "first_stage_model.", "") || find_like(s, "cond_stage_model.", ""))
        return original_family(s, unet);
    if (has(s, "time_embedding.linear_1.weight") && has(s, "conv_in.weight")) {
        int64_t width = last_dimension(find_like(s, "", ".attn2.to_k.weight"));
        const char *of = by_width(width, NULL);
        if (!of) return alone("a UNet alone, in diffusers' layout");
        snprintf(f.text, sizeof f.text,
                 "the UNet of %s alone, judging by its text width of %lld (diffusers' layout)", of,
                 (long long)width);
        return f;
    }
    if (has(s, "encoder.conv_in.weight") && has(s, "decoder.conv_in.weight"))
        return alone(has(s, "encoder.down.0.block.0.conv1.weight")
                         ? "an autoencoder (VAE) alone, in the original layout"
                         : "an autoencoder (VAE) alone, in diffusers' layout");
    for (int i = 0; i < 2; i++) {
        if (!has(s, embeddings[i])) continue;
        int64_t width = last_dimension(safetensors_find(s, embeddings[i]));
        const char *of = width == 768    ? ", as Stable Diffusion 1.x has"
                         : width == 1024 ? ", as Stable Diffusion 2.x has"
                                         : "";
        snprintf(f.text, sizeof f.text, "a CLIP text encoder of width %lld alone%s", (long long)width, of);
        return f;
    }
    if (looks_like_words(s)) return alone("a learned word");
    return alone("a file of an unknown kind");
}

/* Returns the name without the parts that PyTorch's wrappers insert anywhere in it, or NULL if there are
   none. The caller frees it. */
static char *unwrapped(const char *name) {
    static const char *const wrappers[] = { "_orig_mod.", "module." };
    char *plain = mem_alloc(strlen(name) + 1), *to = plain;
    bool found = false;
    for (const char *part = name; *part;) {
        size_t length = strcspn(part, "."), whole = length + (part[length] == '.');
        bool wrapper = false;
        for (int i = 0; i < 2; i++) wrapper = wrapper || strncmp(part, wrappers[i], strlen(wrappers[i])) == 0;
        if (!wrapper) {
            memcpy(to, part, whole);
            to += whole;
        }
        found = found || wrapper;
        part += whole;
    }
    if (found) return plain;
    free(plain);
    return NULL;
}

void weights_unwrap(Safetensors *s) { safetensors_rename(s, unwrapped); }

Family weights_family(const Safetensors *s) {
    Safetensors view = safetensors_view(s);
    weights_unwrap(&view);
    Family f = family_of(&view);
    safetensors_close(&view);
    return f;
}

bool looks_like_words(const Safetensors *s) {
    for (int64_t i = 0; i < s->count; i++) {
        const Weight *w = &s->tensors[i].weight;
        bool layer = text_ends_with(w->name, ".weight") || text_ends_with(w->name, ".bias");
        if (layer || last_dimension(&s->tensors[i]) != last_dimension(&s->tensors[0])) return false;
    }
    return s->count > 0;
}

bool weights_open(const char *path, Safetensors *s, Messages *errors) {
    unsigned char beginning[16];
    size_t size = file_read_beginning(path, beginning, sizeof beginning);
    if (size >= 4 && memcmp(beginning, "GGUF", 4) == 0)
        return messages_add(
            errors, "%s: is a GGUF file; only F32, F16 and BF16 safetensors and .ckpt files are read", path);
    return is_pickle(beginning, size) ? torch_open(path, s, errors) : safetensors_open(path, s, errors);
}
