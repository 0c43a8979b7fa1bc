/* SPDX-License-Identifier: MIT */
/* `ti generate`: generates pictures from a prompt. */
#include "cli/generate.h"

#include "cli/common.h"
#include "cli/console.h"
#include "cli/init_image.h"
#include "cli/keep.h"
#include "cli/memory.h"
#include "cli/picture_record.h"
#include "cli/progress.h"
#include "diffusion/latents.h"
#include "diffusion/mask.h"
#include "diffusion/sampling.h"
#include "io/image_write.h"
#include "io/sheet.h"
#include "io/system.h"
#include "text/prompt_list.h"
#include "tensor/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const RNGS[] = { "cpu", "gpu", NULL };

#define AT(field) offsetof(GenerateOptions, field)
#define WHOLE_MAX 9007199254740991.0 /* 2^53 - 1 */

static const Option OPTIONS[] = {
    { "prompt", OPTION_STRING, AT(prompt), "TEXT", .required = true, .unless = { "prompts", "like" },
      .heading = "what is generated",
      .help = "the text that the picture shows; a learned word in it stands for all its vectors" },
    { "embedding", OPTION_LIST, AT(embeddings), "[NAME=]FILE|FOLDER", .shown = "none",
      .help =
          "the file of a learned word, as ti train, diffusers or A1111 write it; may be given several times; "
          "NAME=FILE gives the word another name for this run; from a FOLDER, the words that the prompts "
          "use are loaded" },
    { "negative", OPTION_STRING, AT(negative), "TEXT", .shown = "nothing",
      .reason = "as in StableDiffusionPipeline", .help = "what the picture should differ from" },
    { "prompts", OPTION_STRING, AT(prompts), "FILE", .shown = "none",
      .help = "a text file with a prompt on each line, and after a tab its own negative prompt; each line is "
              "drawn as by a command of its own, to NAME-1.png, NAME-2.png, ..., or with several pictures "
              "to NAME-1-1.png, ..." },
    { "like", OPTION_STRING, AT(like), "FILE", .shown = "none", .once = true,
      .help =
          "draw a picture of ti generate again, with the options that it carries; options beside this one "
          "replace them" },
    PROMPT_OPTIONS(AT(prompt_syntax), AT(long_prompts)),
    MODEL_OPTION(AT(model)),
    VAE_OPTION(AT(vae)),
    PREDICTION_OPTION(AT(prediction)),
    { "count", OPTION_INT, AT(count), "N", 1, 1000, .standard = "1", .reason = "the quickest",
      .help = "the number of pictures, whose noise comes from one random generator" },
    { "picture", OPTION_INT, AT(picture), "N", 0, 1000, .shown = "all",
      .help = "draw only picture N of the --count" },
    { "width", OPTION_INT, AT(width), "N", 0, 8192, .shown = "the model's own side",
      .reason = "it was trained at that size; with --init-image the picture's own",
      .help = "the width in pixels, a multiple of the VAE's factor (8 in Stable Diffusion)" },
    { "height", OPTION_INT, AT(height), "N", 0, 8192, .shown = "the model's own side",
      .reason = "it was trained at that size",
      .help = "the height in pixels, a multiple of the VAE's factor" },

    { "seed", OPTION_INT, AT(seed), "N", 0, WHOLE_MAX, .standard = "0", .heading = "how it is generated",
      .reason = "fixed, so that the same command gives the same picture",
      .help = "the seed of the initial noise, which is that of torch.Generator().manual_seed(N) on a CPU" },
    { "rng", OPTION_CHOICE, AT(rng), "cpu|gpu", .choices = RNGS, .standard = "cpu",
      .reason = "as torch draws on a CPU",
      .help = "gpu: noise as torch draws it on an NVIDIA GPU, and A1111 by default; picture i has seed + i" },
    { "guidance", OPTION_REAL, AT(guidance), "X", 0, 1000, .standard = "7.5", .model = true,
      .reason = "as in StableDiffusionPipeline",
      .help =
          "the scale of classifier-free guidance, which leads away from the negative prompt and towards the "
          "prompt; at 1 or less there is no guidance, and a step takes half the time" },
    RESCALE_OPTION(AT(rescale), ""),
    CLIP_SKIP_OPTION(AT(clip_skip)),
    { "latents", OPTION_STRING, AT(latents), "FILE", .shown = "drawn from --seed",
      .help =
          "the initial noise: a .safetensors file with one F32 tensor \"latents\" [count, 4, h, w], which "
          "sets the number of pictures and their size" },
    { "init-image", OPTION_STRING, AT(init_image), "FILE", .shown = "none",
      .help = "begin from this picture (PNG, JPEG or BMP), to which noise is added, instead of from noise "
              "alone" },
    { "mask", OPTION_STRING, AT(mask), "FILE", .shown = "none",
      .help = "repaint --init-image only where this picture of the same size is white; the size is then the "
              "model's own "
              "unless --width and --height are given" },
    { "no-paste", OPTION_FLAG, AT(no_paste),
      .help = "leave what --mask keeps as the VAE decodes it, as in diffusers, instead of putting the pixels "
              "back" },
    { "strength", OPTION_REAL, AT(strength), "X", 0, 1, .shown = "0.8, with --mask 1",
      .reason = "as in diffusers' pipelines",
      .help = "how far to go from --init-image: of N steps only the last N X, rounded down, are done" },
    SAMPLER_OPTION(AT(sampler), NULL),
    SAMPLER_STEPS_OPTION(AT(sampler), "steps"),
    KARRAS_OPTION(AT(sampler)),
    NO_KARRAS_OPTION(AT(sampler)),
    { "eta", OPTION_REAL, AT(sampler) + offsetof(SamplerChoice, eta), "X", 0, 1, .standard = "0",
      .reason = "as in the paper",
      .help = "how much new noise a step of ddim adds, up to 1, which is as much as in DDPM" },

    { "out", OPTION_STRING, AT(out), "FILE", .standard = "picture.png", .reason = "in the current folder",
      .once = true, .heading = "what is written",
      .help = "the picture's file: a PNG, or a JPEG of quality 95 if the name ends in .jpg or .jpeg; several "
              "pictures are written to NAME-1.png, NAME-2.png, ..." },
    { "keep", OPTION_INT, AT(keep), "N", 1, 1000, .shown = "all", .once = true,
      .help = "write only the N best of the --count pictures, from the best on, by CLIP's score: how alike a "
              "picture "
              "and the prompt without learned words are, and with --images, how alike it and these are" },
    { "images", OPTION_STRING, AT(images), "FOLDER", .shown = "none", .once = true,
      .help = "with --keep: pictures to which the best are to be alike, such as those that a word was "
              "learned from" },
    { "clip", OPTION_STRING, AT(clip), "FOLDER", .shown = "the model's own", .once = true,
      .help = "with --keep: the CLIP that scores, a folder with transformers' CLIPModel" },
    { "preview", OPTION_INT, AT(preview), "N", 1, 1000, .shown = "none", .once = true,
      .help = "every N steps, write a small preview of the first picture over NAME-preview.png (or .jpg), a "
              "quarter as wide and as high, which takes a sixteenth of a decoding" },
    { "no-metadata", OPTION_FLAG, AT(no_metadata), .once = true,
      .help = "leave out of the files how the pictures were made (docs/pictures.md)" },
    { "grid", OPTION_FLAG, AT(grid), .once = true,
      .help = "also write a contact sheet of all pictures, NAME-grid.png (or .jpg)" },
    { "force", OPTION_FLAG, AT(force), .once = true, .help = "overwrite files that exist" },

    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .heading = "the machine", .once = true,
      .shown = "the physical cores",
      .reason = "a core's second thread slows matrix products down; any number gives the same picture",
      .help = "the number of threads to compute with" },
    PRECISION_OPTION(AT(precision)),
    { "memory", OPTION_STRING, AT(memory), "BYTES|auto", .standard = "auto", .once = true,
      .reason = "what the machine, or the container, has free",
      .help = "the most memory that the run may take, such as 3GB; a run that needs more does not start" },
    { "profile", OPTION_FLAG, AT(profile), .once = true,
      .help = "print at the end which operations took how much time" },
};

typedef struct {
    GenerateOptions *o;
    int threads;
    MemoryLimit memory;
    Model model;
    Words words;
    json_t *like;               /* what the picture of --like says, or NULL */
    PictureInputs inputs;       /* set where they are compared with it or recorded */
    Latents latents;            /* of --latents */
    InitImage init;             /* of --init-image */
    PromptList list;            /* what is drawn: the lines of --prompts, or --prompt alone */
    Prompt *prompts, *negative; /* [list.count] */
    int64_t line;               /* the one that is drawn */
    Sampling *sampling;
    Arena arena;
    Image *images; /* [drawn] */
    Keep keep;
    Messages *errors;  /* of writing previews */
    Progress progress; /* of the denoising steps */
    Wait wait;         /* for the decoder */
    Watch decoding;    /* reports the decoder's progress to wait */
    Profile profile;
} Generation;

/* The number of pictures that are drawn of a line. */
static int64_t drawn(const GenerateOptions *o) { return o->picture ? 1 : o->count; }

/* The number of those that are written. */
static int64_t written(const GenerateOptions *o) { return o->keep ? o->keep : drawn(o); }

/* Returns the path of picture i of a line, which the caller frees: --out itself for a single picture,
   NAME-1.png, NAME-2.png, ... for several, and with --prompts all that with NAME-LINE in place of NAME. With
   what = "grid" it is the path of the contact sheet, NAME-grid.png, and with "preview" NAME-preview.png. */
static char *picture_path(const GenerateOptions *o, int64_t line, int64_t i, const char *what) {
    char *line_number = mem_format("%lld", (long long)line + 1),
         *number = mem_format("%lld", (long long)i + 1);
    char *name = image_path(o->out, o->prompts ? line_number : NULL);
    char *path = image_path(name, what ? what : written(o) == 1 ? NULL : number);
    free(name);
    free(number);
    free(line_number);
    return path;
}

static bool check_output(const GenerateOptions *o, int64_t line, int64_t i, const char *what,
                         Messages *errors) {
    char *path = picture_path(o, line, i, what);
    bool ok = may_write(path, o->force, errors);
    free(path);
    return ok;
}

static bool check_outputs(const Generation *g, Messages *errors) {
    const GenerateOptions *o = g->o;
    bool ok = true;
    for (int64_t line = 0; line < g->list.count; line++) {
        for (int64_t i = 0; i < written(o); i++) ok = check_output(o, line, i, NULL, errors) && ok;
        if (o->grid) ok = check_output(o, line, 0, "grid", errors) && ok;
        if (o->preview) ok = check_output(o, line, 0, "preview", errors) && ok;
    }
    return ok;
}

/* Shows the steps of all prompts together. */
static bool show_step(void *user, int64_t done, int64_t steps) {
    Generation *g = user;
    char left[DURATION_TEXT];
    int64_t all_done = g->line * steps + done, all = g->list.count * steps;
    progress_show(&g->progress, done == steps, "denoising %lld/%lld  %.3f s/step  %s left",
                  (long long)all_done, (long long)all, progress_elapsed(&g->progress) / (double)all_done,
                  duration_text(progress_left(&g->progress, all_done, all), left));
    if (done < steps) return true;
    folder_release_pages(&g->model.folder); /* From now on only the decoder's weights are needed. */
    Plan decoder;
    sampling_stage(g->sampling, SAMPLING_DECODE, &decoder);
    g->decoding =
        wait_start(&g->wait, "decoding pictures", (double)drawn(g->o) * decoder.forward_flops, NULL);
    return watch_go_on(&g->decoding, 0, drawn(g->o));
}

static void keep_picture(void *user, int64_t i, const float *picture) {
    Generation *g = user;
    if (g->o->picture) i = 0;
    image_from_floats(picture, &g->images[i]);
    if (g->init.mask && !g->o->no_paste) mask_paste(g->init.mask, &g->init.image, &g->images[i]);
    watch_go_on(&g->decoding, i + 1, drawn(g->o));
}

static bool write_preview(void *user, const float *picture, int64_t height, int64_t width) {
    Generation *g = user;
    Image image;
    if (!image_new((int)width, (int)height, &image, g->errors)) return false;
    image_from_floats(picture, &image);
    char *path = picture_path(g->o, g->line, 0, "preview");
    bool ok = image_write(path, &image, NULL, g->errors);
    free(path);
    image_free(&image);
    return ok;
}

static SheetRow grid_row(const Generation *g) {
    return (
        SheetRow) { .caption = g->list.lines[g->line].prompt, .pictures = g->images, .count = written(g->o) };
}

/* Makes the list of pictures, whose pixels `allocate` adds. Returns false and adds a message when their
   contact sheet would be too large. */
static bool make_images(Generation *g, Messages *errors) {
    const GenerateOptions *o = g->o;
    g->images = mem_alloc((size_t)drawn(o) * sizeof *g->images);
    for (int64_t i = 0; i < drawn(o); i++)
        g->images[i] = (Image) { .width = (int)o->width, .height = (int)o->height };
    if (!o->grid) return true;
    SheetRow row = grid_row(g);
    char *path = picture_path(o, 0, 0, "grid");
    bool ok = sheet_fits(path, &(SheetContents) { .rows = &row, .count = 1, .grid = true }, errors);
    free(path);
    return ok;
}

/* Records and plans the drawing of a line. */
static Sampling *plan_line(const Generation *g, SamplingOptions options, int64_t line) {
    const Model *m = &g->model;
    options.prompt = &g->prompts[line];
    options.negative = &g->negative[line];
    return sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, g->words.learned, g->words.vectors,
                        tokenizer_max_length(m->tokenizer), options,
                        (PlanOptions) { .precision = (Precision)g->o->precision });
}

/* Prints how much memory the run will take, and allocates it: that of the line that needs the most, which
   depends on the length of its prompts. */
static bool allocate(Generation *g, SamplingOptions options, Messages *errors, Messages *warnings) {
    static const char smaller[] = "a smaller --width and --height";
    if (!make_images(g, errors)) return false;
    MemoryNeed need = { 0 };
    int64_t bytes = 0, steps = 0;
    for (int64_t line = 0; line < g->list.count; line++) {
        Sampling *s = plan_line(g, options, line);
        need = memory_larger(memory_of_sampling(s, g->threads), need);
        bytes = max_i64(bytes, sampling_bytes(s, g->threads));
        steps = sampling_steps(s);
        sampling_free(s);
    }
    if (g->o->preview >= steps)
        return messages_add(errors,
                            "--preview %lld: the last of the %lld steps gives the picture itself; a smaller "
                            "number is needed",
                            (long long)g->o->preview, (long long)steps);
    need.buffers += 3 * drawn(g->o) * g->o->width * g->o->height;
    need = init_image_need(&g->init, need);
    if (!memory_announce(&need, &g->memory, smaller, g->threads, errors, warnings)) return false;
    for (int64_t i = 0; i < drawn(g->o); i++)
        if (!image_new((int)g->o->width, (int)g->o->height, &g->images[i], errors)) return false;
    return get_arena(&g->arena, bytes, smaller, errors);
}

static const char *negative_of(const Generation *g, int64_t line) {
    const char *own = g->list.lines[line].negative;
    return own ? own : g->o->negative ? g->o->negative : "";
}

/* Returns what the record of picture i says about its score, or NULL where there is none. A picture that is
   drawn again keeps its own. */
static json_t *score_of(const Generation *g, int64_t i) {
    const json_t *score = json_object_get(g->like, "score"), *rank = json_object_get(g->like, "rank");
    if (!g->o->keep && i >= 0 && json_is_number(score) && json_is_number(rank))
        return json_pack("{s:f, s:I}", "score", json_number_value(score), "rank",
                         (json_int_t)json_number_value(rank));
    if (!g->o->keep || i < 0) return NULL;
    return json_pack("{s:o, s:I}", "score", json_double(g->keep.scores[i]), "rank", (json_int_t)i + 1);
}

/* Writes picture i of the line, with --keep the i-th best, or its contact sheet when i is -1. */
static bool write_picture(const Generation *g, int64_t i, Messages *errors) {
    const GenerateOptions *o = g->o;
    PictureText text = { 0 };
    if (!o->no_metadata)
        text =
            picture_record(o, &g->inputs, sampling_options(g->sampling), g->list.lines[g->line].prompt,
                           negative_of(g, g->line), o->keep && i >= 0 ? g->keep.order[i] : i, score_of(g, i));
    const PictureText *with = o->no_metadata ? NULL : &text;
    char *path = picture_path(o, g->line, i, i < 0 ? "grid" : NULL);
    if (with && image_format(path) == WRITE_JPEG && !picture_text_fits_jpeg(with))
        console_line(stderr,
                     "ti: %s: a text about it is left out, since a JPEG has no room for so much (a PNG has)",
                     path);
    SheetRow row = grid_row(g);
    bool ok =
        i >= 0 ? image_write(path, &g->images[i], with, errors)
               : sheet_write(path, &(SheetContents) { .rows = &row, .count = 1, .grid = true }, with, errors);
    if (ok) console_path(path);
    free(path);
    picture_text_free(&text);
    return ok;
}

static bool write_pictures(const Generation *g, Messages *errors) {
    bool ok = true;
    for (int64_t i = 0; i < written(g->o) && ok; i++) ok = write_picture(g, i, errors);
    return ok && (!g->o->grid || write_picture(g, -1, errors));
}

/* Says with what pictures are drawn, and, for a number of steps that nobody has given, why with so many. */
static void print_sampler(const SamplerOptions *s) {
    bool ays = s->steps == STEPS_ALIGN_YOUR_STEPS, standard = s->steps == s->sampler->steps;
    char *steps = ays ? mem_string("the steps of Align Your Steps")
                      : mem_format("%lld step%s", (long long)s->steps, s->steps > 1 ? "s" : "");
    console_line(stderr, "ti: sampler %s%s, %s%s%s%s", s->sampler->name,
                 s->karras == KARRAS_ON ? " karras" : "", steps, standard ? " (" : "",
                 standard ? s->sampler->reason : "", standard ? ")" : "");
    free(steps);
}

static bool generate_pictures(Generation *g, Messages *errors, Messages *warnings) {
    const GenerateOptions *o = g->o;
    SamplingOptions options = {
        .count = o->count,
        .only = o->picture,
        .height = o->height,
        .width = o->width,
        .guidance = o->guidance,
        .rescale = (float)o->rescale,
        .seed = (uint64_t)o->seed,
        .gpu_noise = o->rng == 1,
        .latents = g->latents.data,
        .picture = g->init.picture,
        .mask = g->init.latent_mask,
        .preview = o->preview,
    };
    const Model *m = &g->model;
    if (!sampler_choose(&o->sampler, "steps", o->strength, m, &options.sampler, errors, warnings))
        return false;
    if (o->latents)
        latents_compare(o->latents, &g->latents, options.sampler.steps, store_fingerprint(m->folder.unet),
                        warnings);
    print_sampler(&options.sampler);
    bool ok = allocate(g, options, errors, warnings);
    int64_t steps = 0;
    SamplingEvents events = {
        .step = show_step, .picture = keep_picture, .preview = write_preview, .user = g
    };
    if (ok && o->profile) profile_start(&g->profile);
    g->progress = progress_new();
    for (; ok && g->line < g->list.count; g->line++) {
        g->sampling = plan_line(g, options, g->line);
        sampling_bind(g->sampling, &g->arena, g->threads);
        if (o->profile) graph_trace(sampling_graph(g->sampling), &g->profile.trace);
        ok = sampling_run(g->sampling, &events, errors) && folder_unchanged(&m->folder, errors) &&
             (!o->keep || keep_rank(&g->keep, o, &g->words, g->list.lines[g->line].prompt, g->images,
                                    drawn(o), errors, warnings)) &&
             write_pictures(g, errors);
        steps += sampling_steps(g->sampling);
        sampling_free(g->sampling);
        g->sampling = NULL;
    }
    if (steps > 0 && o->profile) profile_print(&g->profile, steps);
    if (steps > 0) print_peak_memory();
    return ok;
}

/* Reads the file of --prompts, or makes a list of --prompt. */
static bool read_list(Generation *g, Messages *errors) {
    const GenerateOptions *o = g->o;
    if (o->prompts) return prompt_list_read(o->prompts, &g->list, errors);
    g->list = (PromptList) { mem_alloc(sizeof *g->list.lines), 1 };
    g->list.lines[0] = (PromptLine) { mem_string(o->prompt), NULL };
    return true;
}

/* Loads the learned words and reads all prompts. */
static void read_prompts(Generation *g, Messages *errors, Messages *warnings) {
    const GenerateOptions *o = g->o;
    int64_t count = g->list.count;
    const char **texts = mem_alloc((size_t)(2 * count + 1) * sizeof *texts);
    for (int64_t i = 0; i < count; i++) {
        texts[2 * i] = g->list.lines[i].prompt;
        texts[2 * i + 1] = negative_of(g, i);
    }
    for (int64_t i = 0; i < o->embeddings.count; i++)
        words_load(&g->words, g->model.tokenizer, o->embeddings.items[i], texts, errors, warnings);
    free(texts);
    PromptOptions read = { (PromptSyntax)o->prompt_syntax, (LongPrompts)o->long_prompts };
    g->prompts = mem_alloc((size_t)count * sizeof *g->prompts);
    g->negative = mem_alloc((size_t)count * sizeof *g->negative);
    for (int64_t i = 0; i < count && errors->count == 0; i++) {
        prompt_read(g->model.tokenizer, g->list.lines[i].prompt, read, &g->prompts[i], errors, warnings);
        prompt_read(g->model.tokenizer, negative_of(g, i), read, &g->negative[i], errors, warnings);
    }
}

static bool given(const GenerateOptions *o, const char *name) {
    return options_given(&GENERATE_COMMAND, o, name);
}

/* Reads the file of --latents, whose number of pictures becomes --count. */
static bool read_latents(Generation *g, Messages *errors) {
    GenerateOptions *o = g->o;
    if (!o->latents) return true;
    if (!latents_read(o->latents, &g->latents, errors)) return false;
    int64_t count = g->latents.shape.dim[0];
    if (given(o, "count") && o->count != count)
        return messages_add(errors, "--count %lld: %s has noise for %lld pictures", (long long)o->count,
                            o->latents, (long long)count);
    o->count = count;
    if (o->keep > count)
        return messages_add(errors, "--keep %lld: %s has noise for only %lld", (long long)o->keep, o->latents,
                            (long long)count);
    return o->picture <= count || messages_add(errors, "--picture %lld: %s has noise for only %lld",
                                               (long long)o->picture, o->latents, (long long)count);
}

/* Takes the size of the pictures from the noise, which must fit the model and the sizes that were given. */
static bool size_from_latents(Generation *g, Messages *errors) {
    GenerateOptions *o = g->o;
    if (!o->latents) return true;
    int64_t channels = g->model.unet.config.in_channels, factor = vae_factor(&g->model.vae.config);
    const int64_t *dim = g->latents.shape.dim;
    int64_t height = dim[2] * factor, width = dim[3] * factor, multiple = max_i64(8, factor);
    bool given_others = (o->height && o->height != height) || (o->width && o->width != width);
    if (dim[1] != channels)
        return messages_add(errors, "%s: has noise of %lld channels, the model needs %lld", o->latents,
                            (long long)dim[1], (long long)channels);
    if (height > 8192 || width > 8192 || height % multiple != 0 || width % multiple != 0 || given_others)
        return messages_add(errors, "%s: is noise for pictures of %lld x %lld pixels%s", o->latents,
                            (long long)width, (long long)height,
                            given_others
                                ? ", not of the given --width and --height"
                                : "; both must be multiples of 8 and of the VAE's factor, up to 8192");
    o->height = height;
    o->width = width;
    return true;
}

/* Hashes the inputs, and compares them with those of the picture of --like. */
static bool hash_inputs(Generation *g, Messages *errors) {
    if (g->o->no_metadata && !g->like) return true;
    return picture_inputs_read(g->o, &g->model, &g->words, &g->inputs, errors) &&
           (!g->like || like_check(g->o, g->like, &g->inputs, errors));
}

static bool prepare(Generation *g, Messages *errors, Messages *warnings) {
    GenerateOptions *o = g->o;
    if (!read_list(g, errors) || !read_latents(g, errors) || !check_outputs(g, errors) ||
        !open_model(o->model, o->vae, o->prediction, &g->model, errors, warnings) ||
        !options_read_model(&GENERATE_COMMAND, g->model.folder.path, o, errors) ||
        !set_clip_skip(&g->model, o->clip_skip, errors) || !size_from_latents(g, errors) ||
        !init_image_read(o, &g->model, &g->init, errors, warnings))
        return false;
    init_image_settle(o);
    sampler_settle(&GENERATE_COMMAND, o, "steps", &o->sampler);
    g->words.width = g->model.clip.config.hidden_size;
    read_prompts(g, errors, warnings);
    check_side(&g->model, "--width", 0, &o->width, errors, warnings);
    check_side(&g->model, "--height", 0, &o->height, errors, warnings);
    threads_check_blas(warnings);
    check_precision((Precision)o->precision, warnings);
    return errors->count == 0 && keep_open(&g->keep, o, &g->model, g->threads, errors, warnings) &&
           hash_inputs(g, errors);
}

/* Checks the options that belong together. The number of pictures is known later with --latents. */
static bool check_together(const GenerateOptions *o, Messages *errors) {
    int before = errors->count;
    sampler_check(&o->sampler, errors);
    init_image_check(o, errors);
    if (o->keep && o->picture)
        messages_add(errors, "--keep: chooses among all pictures, and --picture draws one of them");
    else if (o->keep > o->count && !o->latents)
        messages_add(errors, "--keep %lld: only %lld are drawn (--count)", (long long)o->keep,
                     (long long)o->count);
    if ((o->images || o->clip) && !o->keep)
        messages_add(errors, "--%s: belongs to --keep", o->images ? "images" : "clip");
    if (o->picture > o->count && !o->latents)
        messages_add(errors, "--picture %lld: there %s only %lld (--count)", (long long)o->picture,
                     o->count == 1 ? "is" : "are", (long long)o->count);
    return errors->count == before;
}

static bool read_like(Generation *g, Messages *errors, Messages *warnings) {
    return !g->o->like || (like_read(g->o, &g->like, errors, warnings) && check_together(g->o, errors));
}

static int generate(void *options, Messages *errors, Messages *warnings) {
    Generation *g = mem_alloc(sizeof *g);
    g->o = options;
    g->errors = errors;
    g->threads = threads_start(g->o->threads);
    if (read_like(g, errors, warnings) && memory_limit_parse(g->o->memory, &g->memory, errors) &&
        prepare(g, errors, warnings))
        generate_pictures(g, errors, warnings);
    for (int64_t i = 0; g->images && i < drawn(g->o); i++) image_free(&g->images[i]);
    free(g->images);
    sampling_free(g->sampling);
    arena_free(&g->arena);
    keep_close(&g->keep);
    latents_free(&g->latents);
    init_image_free(&g->init);
    for (int64_t i = 0; g->prompts && i < g->list.count; i++) {
        prompt_free(&g->prompts[i]);
        prompt_free(&g->negative[i]);
    }
    free(g->prompts);
    free(g->negative);
    prompt_list_free(&g->list);
    words_free(&g->words);
    picture_inputs_free(&g->inputs);
    json_decref(g->like);
    model_close(&g->model);
    free(g);
    return 0;
}

static void check(void *options, Messages *errors) {
    const GenerateOptions *o = options;
    if (errors->count > 0) return;
    if (o->prompts && o->prompt) messages_add(errors, "--prompts: replaces --prompt; leave one of them out");
    if (!o->like) check_together(o, errors); /* else when the picture was read */
    if (!o->out[0] || o->out[strlen(o->out) - 1] == '/')
        messages_add(errors, "--out '%s': must be the name of a PNG or JPEG file", o->out);
    else if (check_picture_name("--out", o->out, errors))
        memory_limit_parse(o->memory, &(MemoryLimit) { 0 }, errors);
}

static const char *const BASIC[] = { "prompt",  "embedding", "negative", "model",      "count", "width",
                                     "height",  "seed",      "guidance", "init-image", "mask",  "strength",
                                     "sampler", "steps",     "out",      "force",      NULL };

const Command GENERATE_COMMAND = {
    .name = "generate",
    .brief = "generate pictures from a prompt",
    .summary = "Generates pictures from a prompt, which may use words that ti train has learned.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(GenerateOptions),
    .basic = BASIC,
    .examples = "  ti generate --embedding out/grum/grum.safetensors --prompt 'a photo of a <grum> wearing a "
                "crown at night' "
                "\\\n              --count 4 --seed 1 --out grum.png\n",
    .check = check,
    .run = generate,
};
