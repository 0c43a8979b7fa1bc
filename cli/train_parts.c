/* SPDX-License-Identifier: MIT */
#include "cli/train_parts.h"

#include "cli/common.h"
#include "cli/console.h"
#include "cli/resume.h"
#include "exchange/word_file.h"
#include "weights/neighbours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_folders(const TrainOptions *o, const ModelFolder *m, Messages *errors) {
    const char *option = o->dump ? "--dump" : "--out", *out = o->dump ? o->dump : o->out;
    const char *files[] = { store_path(m->text_encoder), store_path(m->unet), store_path(m->vae),
                            o->init_is_file ? o->init.items[0] : "" };
    const char *folders[] = { m->path, o->vae ? o->vae : "" };
    const char *clash = path_same(out, o->images) ? o->images : NULL;
    for (int i = 0; i < 2 && !clash; i++)
        if (path_is_folder(folders[i]) && path_inside(out, folders[i])) clash = folders[i];
    for (int i = 0; i < 4 && !clash; i++)
        if (*files[i] && path_holds(out, files[i])) clash = files[i];
    if (clash)
        messages_add(errors, "%s %s: is where %s lies, which the run reads; choose another folder", option,
                     out, clash);
}

bool train_prepare_model(TrainOptions *o, Model *m, Messages *errors, Messages *warnings) {
    check_trainable(m, errors);
    check_sides(m, &o->sides, errors, warnings);
    check_folders(o, &m->folder, errors);
    return set_clip_skip(m, o->clip_skip, errors);
}

/* Returns the embeddings of the initialiser words: one word for all vectors, or one word for each. */
static float *vectors_of_words(const TrainOptions *o, const Model *m, Messages *errors) {
    int64_t width = m->clip.config.hidden_size;
    float *learned = mem_alloc((size_t)(o->vectors * width) * sizeof *learned);
    int before = errors->count;
    for (int64_t i = 0; i < o->vectors; i++) {
        const char *word = o->init.items[o->init.count == 1 ? 0 : i];
        int32_t id = tokenizer_single_token(m->tokenizer, word, errors);
        if (id >= 0) weight_read_row(m->clip.token_embedding, id, learned + i * width);
    }
    if (errors->count == before) return learned;
    free(learned);
    return NULL;
}

/* Returns the vectors of a word that was learned before. --vectors becomes their number. */
static float *vectors_of_file(TrainOptions *o, int64_t width, Messages *errors) {
    const char *path = o->init.items[0];
    Embeddings file;
    if (!words_read(path, &file, errors, errors)) return NULL;
    Embedding *e = &file.words[0];
    float *learned = NULL;
    if (file.count > 1)
        messages_add(errors, "--init %s: holds %lld words; give a file with one", path,
                     (long long)file.count);
    else if (e->width != width)
        messages_add(errors,
                     "--init %s: has vectors of %lld numbers, this model's have %lld (another model family?)",
                     path, (long long)e->width, (long long)width);
    else if (train_options_set_vectors(o, e->vectors, errors)) {
        learned = e->learned;
        e->learned = NULL; /* the array belongs to the caller now */
    }
    embeddings_free(&file);
    return learned;
}

int64_t train_state_width(const TrainOptions *o, const RunState *state) {
    int64_t rows = o->vectors + (o->per_image > 0 ? state->identity.picture_count : 0);
    return state->count % rows == 0 ? state->count / rows : 0;
}

/* Returns the initial vectors of the word that the state contains, so that a run can be
   resumed without the file of --init. */
static float *vectors_of_state(const TrainOptions *o, int64_t width, const RunState *state,
                               Messages *errors) {
    int64_t count = o->vectors * width;
    if (train_state_width(o, state) != width) {
        messages_add(errors, "%s/%s: belongs to another model, whose vectors have another length", o->out,
                     RUN_STATE);
        return NULL;
    }
    float *learned = mem_alloc((size_t)count * sizeof *learned);
    memcpy(learned, state->initial, (size_t)count * sizeof *learned);
    return learned;
}

float *train_initial_vectors(TrainOptions *o, const Model *m, NormRule norm, const RunState *state,
                             Messages *errors) {
    int64_t width = m->clip.config.hidden_size;
    if (state && state->newer) return vectors_of_state(o, width, state, errors);
    float *v = o->init_is_file ? vectors_of_file(o, width, errors) : vectors_of_words(o, m, errors);
    if (v && norm.kind == NORM_SPHERE) /* they begin on their sphere */
        vectors_rescale(&(NormRule) { NORM_FIXED, norm.length }, o->vectors, width, v);
    return v;
}

/* Appends so many copies of the first of the vectors [vectors, width], and returns the longer array. */
static float *with_copies(float *v, int64_t vectors, int64_t copies, int64_t width) {
    v = mem_grow(v, (size_t)((vectors + copies) * width) * sizeof *v);
    for (int64_t k = vectors; k < vectors + copies; k++) memcpy(v + k * width, v, (size_t)width * sizeof *v);
    return v;
}

void train_own_vectors(Words *words, float **initial, int64_t pictures) {
    words->learned = with_copies(words->learned, words->vectors, pictures, words->width);
    *initial = with_copies(*initial, words->vectors, pictures, words->width);
}

bool train_read_pictures(const TrainOptions *o, const Model *m, Pictures *pictures, Masks *masks,
                         Messages *errors) {
    PictureFit fit = fit_of(&o->sides, o->center_crop);
    int64_t factor = vae_factor(&m->vae.config);
    return pictures_read(pictures, fit, errors) &&
           (!o->masks || masks_read(masks, pictures, fit, factor, o->background, errors));
}

bool train_prompts(const TrainOptions *o, Tokenizer *t, const Pictures *pictures, TrainingPrompts *prompts,
                   Messages *errors, Messages *warnings) {
    PromptSource source = { o->kind,    o->templates,       o->class,        o->captions,
                            o->vectors, o->progressive > 0, o->per_image > 0 };
    int64_t room = tokenizer_max_length(t) - 2;
    if (!training_prompts_read(prompts, &source, t, o->token, pictures->paths, pictures->count, errors))
        return false;
    if (prompts->longest > room)
        messages_add(
            warnings,
            "a %s has %lld tokens with the word in it; the text encoder takes %lld, the rest is cut off",
            o->captions ? "caption" : "template", (long long)prompts->longest, (long long)room);
    return true;
}

bool train_validation(const TrainOptions *o, const Model *m, const Words *words, Validation **validation,
                      Messages *errors, Messages *warnings) {
    *validation = NULL;
    if (!o->validation_prompt) return true;
    SamplingOptions options = { .count = 1,
                                .height = o->sides.height,
                                .width = o->sides.width,
                                .guidance = o->guidance,
                                .rescale = (float)o->rescale,
                                .seed = (uint64_t)o->seed };
    if (!sampler_choose(&o->sampler, "sampling-steps", 0, m, &options.sampler, errors, warnings))
        return false;
    PromptOptions read = { (PromptSyntax)o->prompt_syntax, (LongPrompts)o->long_prompts };
    *validation = validation_new(m, words, o->validation_prompt, o->negative, read, options,
                                 (PlanOptions) { .precision = (Precision)o->precision }, errors, warnings);
    return *validation != NULL;
}

NormRule train_norm(const TrainOptions *o, const Model *m) {
    NormRule rule;
    CHECK(norm_rule_parse(o->norm, &rule));
    const Weight *table = m->clip.token_embedding;
    int64_t words = tokenizer_vocab_size(m->tokenizer);
    if (rule.kind == NORM_FIXED && rule.length <= 0) rule.length = vocabulary_median_norm(table, words);
    if (rule.kind == NORM_SPHERE) rule.length = vocabulary_mean_norm(table, words);
    return rule;
}

LoopOptions train_loop_options(const TrainOptions *o, NormRule norm) {
    double scale = o->scale_lr ? (double)(o->batch * o->accumulate) : 1;
    LoopOptions options = {
        .steps = o->steps,
        .batch = o->batch,
        .accumulate = o->accumulate,
        .repeats = o->repeats,
        .seed = (uint64_t)o->seed,
        .flip = !o->no_flip,
        .schedule = { o->schedule, o->rates.rate[0] * scale, o->warmup, o->steps, (int)o->cycles, o->rates },
        .adamw = ADAMW_DEFAULTS,
        .weights = { .min_snr = o->min_snr, .masked = o->masks },
        .regularise = o->regularise,
        .progressive = o->progressive,
        .per_image = o->per_image,
        .norm = norm,
        .one_by_one = o->one_by_one,
    };
    for (int64_t i = 0; i < o->rates.count; i++) options.schedule.rates.rate[i] *= scale;
    options.adamw.weight_decay = o->weight_decay;
    return options;
}

EarlyStop train_early_stop(const TrainOptions *o) {
    if (o->stop == STOP_OFF) return (EarlyStop) { 0 };
    EarlyStop stop = early_stop_new(o->steps, o->batch, o->accumulate, o->stop_threshold);
    if (o->stop_window > 0) stop.window = o->stop_window;
    return stop;
}

void train_print_stopped(const TrainOptions *o, const RunFolder *f, int64_t step, bool saved) {
    char *command = resume_command(f->path);
    if (saved)
        console_line(stderr, "ti: the word so far: %s/learned_embeds-steps-%lld.safetensors", f->path,
                     (long long)step);
    console_line(stderr, "ti: stopped at step %lld of %lld; continue with: %s", (long long)step,
                 (long long)o->steps, command);
    free(command);
}

void train_print_early_stop(const EarlyStop *stop, int64_t step, int64_t steps) {
    int64_t kept = stop->last_best ? step : early_stop_best(stop) * stop->every;
    if (step < steps)
        console_line(
            stderr,
            "ti: --stop auto ends the run at step %lld of %lld: the variance of the last %lld losses "
            "is %.3g of that of all %lld, which is below %g; the word of step %lld is kept",
            (long long)step, (long long)steps, (long long)stop->window,
            early_stop_ratio(stop->losses, stop->count, stop->window), (long long)stop->count,
            stop->threshold, (long long)kept);
    else
        console_line(stderr,
                     "ti: --stop auto did not end the run before step %lld; the word of step %lld is kept",
                     (long long)steps, (long long)kept);
}

void train_print_settled(const RunFolder *f) {
    if (f->points == 0) return;
    const double *last = f->grid + 2 * (f->points - 1);
    bool along = false; /* whether the loss was measured between the first step and the last */
    for (int64_t i = 0; i < f->points; i++) along = along || (f->grid[2 * i] > 0 && f->grid[2 * i] < last[0]);
    if (!along) return;
    const double *settled = f->grid;
    while (settled[1] > 1.01 * last[1]) settled += 2;
    console_line(stderr, "ti: the fixed-grid loss came within 1 %% of its end at step %.0f of %.0f",
                 settled[0], last[0]);
}

/* One line can be pasted into a shell, the other into Python. */
static void print_commands(const TrainOptions *o, const RunFolder *f, const char *file) {
    const char *class = o->class ? o->class : "";
    char *prompt = mem_format("a photo of a %s%s%s", class, *class ? " " : "", f->word),
         *quoted_prompt = text_for_shell(prompt);
    char *quoted_file = text_for_shell(file), *learned = run_folder_file(f, "learned_embeds.safetensors");
    console_line(stderr, "ti: generate with it: ti generate --embedding %s --prompt %s --out picture.png",
                 quoted_file, quoted_prompt);
    Text path = { 0 }, word = { 0 };
    json_quote(&path, learned);
    json_quote(&word, f->word);
    console_line(stderr, "ti: in diffusers: pipe.load_textual_inversion(%s), then %s in a prompt", path.at,
                 word.at);
    free(path.at);
    free(word.at);
    free(learned);
    free(quoted_file);
    free(quoted_prompt);
    free(prompt);
}

void train_print_usage(const TrainOptions *o, const RunFolder *f, int64_t width, bool ended_early) {
    char *file = run_folder_file(f, "%s.safetensors", f->file_name);
    console_path(file);
    print_commands(o, f, file);
    free(file);
    if (width == 768 || width == 1024)
        console_line(stderr,
                     "ti: in A1111: copy %s.safetensors to embeddings/, then \"%s\" in a prompt; "
                     "in ComfyUI: to models/embeddings/, then \"embedding:%s\"",
                     f->file_name, f->file_name, f->file_name);
    char *command = resume_command(f->path);
    if (ended_early)
        console_line(stderr, "ti: for all %lld steps: %s --stop off", (long long)o->steps, command);
    else if (train_options_extendable(o))
        console_line(stderr, "ti: for more than these %lld steps: %s --steps N", (long long)o->steps,
                     command);
    free(command);
}
