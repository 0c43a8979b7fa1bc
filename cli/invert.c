/* SPDX-License-Identifier: MIT */
/* `ti invert`: finds the noise from which a picture would be drawn (DDIM's inversion). */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/console.h"
#include "cli/init_image.h"
#include "cli/memory.h"
#include "cli/progress.h"
#include "diffusion/latents.h"
#include "diffusion/sampling.h"
#include "tensor/threads.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    Given given;
    char *in, *prompt, *out, *model, *vae, *memory;
    StringList embeddings;
    int prediction, precision;
    int64_t width, height, steps, clip_skip, threads;
    double guidance;
    bool force;
} InvertOptions;

#define AT(field) offsetof(InvertOptions, field)
static const Option OPTIONS[] = {
    { "picture", OPTION_STRING, AT(in), "PICTURE", .required = true, .positional = true,
      .help = "the picture to invert (PNG, JPEG or BMP)" },
    { "prompt", OPTION_STRING, AT(prompt), "TEXT", .required = true,
      .help = "a text that describes the picture; it may use learned words" },
    { "embedding", OPTION_LIST, AT(embeddings), "[NAME=]FILE|FOLDER", .shown = "none",
      .help = "the file of a learned word, as in ti generate" },
    { "out", OPTION_STRING, AT(out), "FILE", .standard = "latents.safetensors",
      .reason = "in the current folder", .help = "the file for ti generate --latents" },
    MODEL_OPTION(AT(model)),
    VAE_OPTION(AT(vae)),
    PREDICTION_OPTION(AT(prediction)),
    { "width", OPTION_INT, AT(width), "N", 0, 8192, .shown = "the picture's own",
      .help = "the width that the picture is resized to, a multiple of 8 and of the VAE's factor" },
    { "height", OPTION_INT, AT(height), "N", 0, 8192, .shown = "the picture's own", .help = "the same" },
    { "steps", OPTION_INT, AT(steps), "N", 1, 1000, .standard = "50",
      .reason = "fewer give the picture back less well",
      .help = "the steps; ti generate needs as many to give the picture back" },
    { "guidance", OPTION_REAL, AT(guidance), "X", 0, 1000, .standard = "1",
      .reason = "only without guidance the steps can be undone well",
      .help = "the scale of classifier-free guidance" },
    CLIP_SKIP_OPTION(AT(clip_skip)),
    { "force", OPTION_FLAG, AT(force), .help = "overwrite a file that exists" },
    PRECISION_OPTION(AT(precision)),
    { "memory", OPTION_STRING, AT(memory), "BYTES|auto", .standard = "auto",
      .reason = "what the machine, or the container, has free",
      .help = "the most memory that the run may take, such as 3GB; a run that needs more does not start" },
    THREADS_OPTION(AT(threads)),
};

typedef struct {
    const InvertOptions *o;
    int threads;
    MemoryLimit memory;
    Model model;
    Words words;
    Prompt prompt, negative;
    GenerateOptions size; /* what init_image_read reads and sets */
    InitImage init;
    Sampling *sampling;
    Arena arena;
    Progress progress;
} Inversion;

static bool show_step(void *user, int64_t done, int64_t steps) {
    Inversion *v = user;
    progress_show(&v->progress, done == steps, "inverting %lld/%lld  %.3f s/step", (long long)done,
                  (long long)steps, progress_elapsed(&v->progress) / (double)done);
    return true;
}

static bool prepare(Inversion *v, Messages *errors, Messages *warnings) {
    const InvertOptions *o = v->o;
    Model *m = &v->model;
    v->size = (GenerateOptions) { .init_image = o->in, .width = o->width, .height = o->height };
    if (!may_write(o->out, o->force, errors) ||
        !open_model(o->model, o->vae, o->prediction, m, errors, warnings) ||
        !set_clip_skip(m, o->clip_skip, errors) || !init_image_read(&v->size, m, &v->init, errors, warnings))
        return false;
    v->words.width = m->clip.config.hidden_size;
    const char *const prompts[] = { o->prompt, NULL };
    for (int64_t i = 0; i < o->embeddings.count; i++)
        words_load(&v->words, m->tokenizer, o->embeddings.items[i], prompts, errors, warnings);
    if (errors->count > 0) return false;
    prompt_read(m->tokenizer, o->prompt, (PromptOptions) { 0 }, &v->prompt, errors, warnings);
    prompt_read(m->tokenizer, "", (PromptOptions) { 0 }, &v->negative, errors, warnings);
    threads_check_blas(warnings);
    check_precision((Precision)o->precision, warnings);
    return errors->count == 0;
}

/* Writes the latents with what they were made with. */
static bool write_latents(const Inversion *v, Messages *errors) {
    const Model *m = &v->model;
    int64_t factor = vae_factor(&m->vae.config);
    Shape shape = shape4(1, m->unet.config.in_channels, v->size.height / factor, v->size.width / factor);
    LatentsOrigin origin = { v->o->prompt, v->o->steps, v->o->guidance, store_fingerprint(m->folder.unet) };
    bool ok = latents_write(v->o->out, sampling_latents(v->sampling), shape, &origin, errors);
    if (ok) console_path(v->o->out);
    return ok;
}

static bool run(Inversion *v, Messages *errors, Messages *warnings) {
    static const char smaller[] = "a smaller --width and --height";
    const InvertOptions *o = v->o;
    const Model *m = &v->model;
    SamplerOptions sampler = { .sampler = &DDIM_INVERSE, .steps = o->steps, .converted = true };
    char *fault = sampler_fault(&m->noise_schedule.config, sampler);
    if (fault) messages_add(errors, "--steps %lld: %s", (long long)o->steps, fault);
    free(fault);
    if (errors->count > 0) return false;
    SamplingOptions options = { .count = 1,
                                .sampler = sampler,
                                .height = v->size.height,
                                .width = v->size.width,
                                .guidance = o->guidance,
                                .prompt = &v->prompt,
                                .negative = &v->negative,
                                .picture = v->init.picture,
                                .invert = true };
    v->sampling = sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, v->words.learned,
                               v->words.vectors, tokenizer_max_length(m->tokenizer), options,
                               (PlanOptions) { .precision = (Precision)o->precision });
    MemoryNeed need = init_image_need(&v->init, memory_of_sampling(v->sampling, v->threads));
    if (!memory_announce(&need, &v->memory, smaller, v->threads, errors, warnings) ||
        !get_arena(&v->arena, sampling_bytes(v->sampling, v->threads), smaller, errors))
        return false;
    sampling_bind(v->sampling, &v->arena, v->threads);
    v->progress = progress_new();
    return sampling_run(v->sampling, &(SamplingEvents) { .step = show_step, .user = v }, errors) &&
           folder_unchanged(&m->folder, errors) && write_latents(v, errors);
}

static int invert(void *options, Messages *errors, Messages *warnings) {
    Inversion *v = mem_alloc(sizeof *v);
    v->o = options;
    v->threads = threads_start(v->o->threads);
    if (memory_limit_parse(v->o->memory, &v->memory, errors) && prepare(v, errors, warnings))
        run(v, errors, warnings);
    sampling_free(v->sampling);
    arena_free(&v->arena);
    prompt_free(&v->prompt);
    prompt_free(&v->negative);
    init_image_free(&v->init);
    words_free(&v->words);
    model_close(&v->model);
    free(v);
    return 0;
}

static void check(void *options, Messages *errors) {
    const InvertOptions *o = options;
    if (errors->count > 0) return;
    memory_limit_parse(o->memory, &(MemoryLimit) { 0 }, errors);
}

const Command INVERT_COMMAND = {
    .name = "invert",
    .brief = "find the noise from which a picture would be drawn",
    .summary = "Finds the noise from which ti generate --latents draws a picture again with --sampler ddim, "
               "--guidance 1, and the same prompt and steps, or another picture with another prompt.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(InvertOptions),
    .examples =
        "  ti invert photo.png --prompt 'a photo of a cat' --out cat.safetensors\n"
        "  ti generate --latents cat.safetensors --prompt 'a photo of a dog' --sampler ddim --steps 50 "
        "--guidance 1\n",
    .check = check,
    .run = invert,
};
